"""The fetcher against everything that goes wrong with nets and disks, on this machine only."""

import contextlib
import errno
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.error
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from data import fetch

ROOT = Path(fetch.__file__).parents[1]
CONTENT = bytes(range(256)) * 4096  # 1 MiB, told apart at any offset
MEMBER = b"a picture" * 1000


# ---------------------------------------------------------------------------------------------
# A server that misbehaves on demand, a cache of its own, and a toy package


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the server's attributes say how badly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        time.sleep(server.delay)
        if server.status:
            self.send_error(server.status)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if server.resumable else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after])
        if server.cut_after is not None:
            self.wfile.flush()
            server.stop.wait(server.stall)
            self.close_connection = True

    def log_message(self, *args):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ranges, server.content, server.resumable = [], CONTENT, True
    server.delay, server.status, server.cut_after, server.stall = 0, None, None, 0
    server.stop = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, a short patience, and no memory of unreachable hosts."""
    monkeypatch.setenv("VIZUTILS_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VIZUTILS_OFFLINE", raising=False)
    monkeypatch.setattr(fetch, "SOURCES", tmp_path / "sources.toml")
    monkeypatch.setattr(fetch, "_unreachable", set())
    monkeypatch.setattr(fetch, "READ_SECONDS", 0.3)
    return tmp_path / "cache"


@pytest.fixture
def toy(cache, server):
    """The source "toy": CONTENT at the server's address."""
    write_url_source(f"http://127.0.0.1:{server.server_port}/toy.bin")
    return cache / "toy" / "toy.bin"


@pytest.fixture
def package(cache, tmp_path, monkeypatch):
    """The source "toy" as a member of a wheel in a folder that pip is told of."""
    folder = tmp_path / "registry"
    folder.mkdir()
    wheel = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/toy.bin", MEMBER)
        archive.writestr("toy-1.0.dist-info/METADATA",
                         "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"
                         "Requires-Dist: no-such-package\n")
        archive.writestr("toy-1.0.dist-info/WHEEL",
                         "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("toy-1.0.dist-info/RECORD", "")
    whole = wheel.read_bytes()
    write_source(
        kind="wheel", package="toy", version="1.0", file=wheel.name, size=len(whole),
        sha256=sha256(whole), members=[{"path": "toy/toy.bin", "size": len(MEMBER),
                                        "sha256": sha256(MEMBER)}])
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_url_source(address, **changes):
    write_source(**{"kind": "url", "address": address, "file": "toy.bin", "size": len(CONTENT),
                    "sha256": sha256(CONTENT)} | changes)


def write_source(**values):
    def toml(value):
        if isinstance(value, list):
            return f"[{', '.join(map(toml, value))}]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
        return str(value) if isinstance(value, int) else f'"{value}"'

    lines = [f"{key} = {toml(value)}" for key, value in values.items() if value is not None]
    fetch.SOURCES.write_text("\n".join(["[source.toy]", *lines]))


def left_behind(cache):
    """Names of all files in the cache but locks."""
    return sorted(p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


# ---------------------------------------------------------------------------------------------
# The good road


def test_a_file_arrives_whole_and_is_asked_for_once(toy, server):
    assert not fetch.is_here("toy")
    assert fetch.fetch("toy") == toy
    assert toy.read_bytes() == CONTENT
    assert fetch.is_here("toy")
    fetch.fetch("toy")
    assert server.ranges == [None]


def test_md5_will_do_where_the_publisher_gives_no_sha256(toy, server):
    write_url_source(f"http://127.0.0.1:{server.server_port}/toy.bin", sha256=None,
                     md5=hashlib.md5(CONTENT).hexdigest())
    assert fetch.fetch("toy").read_bytes() == CONTENT


def test_a_bar_shows_only_for_a_slow_download(toy, server, capfd, monkeypatch):
    fetch.fetch("toy")
    assert "toy.bin" not in capfd.readouterr().err
    toy.unlink()
    quick_bar = fetch.Progress
    monkeypatch.setattr(fetch, "Progress", lambda **kw: quick_bar(**kw | {"delay": 0}))
    fetch.fetch("toy")
    assert "toy.bin" in capfd.readouterr().err


@pytest.mark.parametrize("colour", ["", "1"])  # a notebook's kernel has FORCE_COLOR=1
def test_a_wheel_is_found_by_pip_and_only_its_members_are_kept(package, cache, monkeypatch, colour):
    monkeypatch.setenv("FORCE_COLOR", colour)
    path = fetch.fetch("toy")
    assert path.read_bytes() == MEMBER
    assert left_behind(cache) == ["toy.bin"]


def test_a_wheel_put_there_by_hand_needs_neither_net_nor_pip(package, cache, monkeypatch):
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / package.name).write_bytes(package.read_bytes())
    monkeypatch.setenv("VIZUTILS_OFFLINE", "1")
    assert fetch.fetch("toy").read_bytes() == MEMBER


def test_what_is_here_needs_no_net(toy, server, monkeypatch):
    fetch.fetch("toy")
    monkeypatch.setenv("VIZUTILS_OFFLINE", "1")
    assert fetch.fetch("toy") == toy


def test_an_unknown_source_names_the_known_ones(toy):
    with pytest.raises(ValueError, match="'tyo' not found; sources are toy"):
        fetch.fetch("tyo")


# ---------------------------------------------------------------------------------------------
# Troubles of the net


def test_a_broken_connection_is_resumed_where_it_stopped(toy, server, cache):
    server.cut_after = 300_000
    with pytest.raises(fetch.FetchError, match="continues"):
        fetch.fetch("toy")
    assert left_behind(cache) == ["toy.bin.part"]
    server.cut_after = None
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.ranges[0] is None and len(server.ranges) == 2
    assert 300_000 - fetch.CHUNK < int(server.ranges[1].strip("bytes=-")) <= 300_000
    assert left_behind(cache) == ["toy.bin"]


def test_a_short_file_is_told_from_a_complete_one(toy, server):
    server.content = CONTENT[:-1]
    with pytest.raises(fetch.FetchError, match="broke off after"):
        fetch.fetch("toy")
    assert not toy.exists()


def test_a_server_that_cannot_resume_sends_all_again(toy, server):
    server.cut_after = 300_000
    with pytest.raises(fetch.FetchError):
        fetch.fetch("toy")
    server.cut_after, server.resumable = None, False
    assert fetch.fetch("toy").read_bytes() == CONTENT


def test_resuming_onto_wrong_bytes_is_noticed(toy, server, cache):
    toy.parent.mkdir(parents=True)
    toy.with_name("toy.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(fetch.FetchError, match="checksum"):
        fetch.fetch("toy")
    assert left_behind(cache) == []
    assert fetch.fetch("toy").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more"])
def test_a_wrong_file_is_removed(toy, server, cache, content):
    server.content = content
    with pytest.raises(fetch.FetchError, match="does not have the checksum"):
        fetch.fetch("toy")
    assert left_behind(cache) == []


def test_a_server_that_stalls_midway_times_out(toy, server):
    server.cut_after, server.stall = 300_000, 10
    begin = time.monotonic()
    with pytest.raises(fetch.FetchError, match="broke midway.*timed out"):
        fetch.fetch("toy")
    assert time.monotonic() - begin < 3


def test_a_server_that_says_nothing_times_out(toy, server):
    server.delay = 1
    with pytest.raises(fetch.FetchError, match="sent nothing"):
        fetch.fetch("toy")


def test_a_refusal_gives_its_number(toy, server):
    server.status = 404
    with pytest.raises(fetch.FetchError, match="127.0.0.1 refused the download .404 Not Found"):
        fetch.fetch("toy")


def test_an_unreachable_host_is_asked_once(cache, monkeypatch):
    write_url_source("http://no-such-host.invalid/toy.bin")
    with pytest.raises(fetch.FetchError, match="cannot be reached .*internet connection"):
        fetch.fetch("toy")
    monkeypatch.setattr(fetch.requests, "get", None)  # asking again would fail differently
    with pytest.raises(fetch.FetchError, match="not tried again"):
        fetch.fetch("toy")
    assert left_behind(cache) == []


def test_a_closed_port_is_named_as_such(cache):
    write_url_source("http://127.0.0.1:9/toy.bin")
    with pytest.raises(fetch.FetchError, match="Connection refused"):
        fetch.fetch("toy")


def test_offline_by_choice_asks_nobody(toy, server, monkeypatch):
    monkeypatch.setenv("VIZUTILS_OFFLINE", "1")
    with pytest.raises(fetch.FetchError, match="VIZUTILS_OFFLINE is set"):
        fetch.fetch("toy")
    assert server.ranges == []


def test_no_registry_in_reach_is_said_once_and_soon(package, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(fetch.FetchError, match="registry cannot be reached.*put the file toy-1.0"):
        fetch.fetch("toy")
    monkeypatch.setattr(fetch.subprocess, "run", None)
    with pytest.raises(fetch.FetchError, match="not tried again"):
        fetch.fetch("toy")


def test_a_registry_without_the_package_is_not_taken_for_no_net(package):
    package.rename(package.with_name("other-1.0-py3-none-any.whl"))
    with pytest.raises(fetch.FetchError, match="pip does not find toy==1.0"):
        fetch.fetch("toy")
    assert not fetch._unreachable


def test_python_without_pip_is_told_how_to_get_it(package, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    folder = "Scripts" if os.name == "nt" else "bin"
    monkeypatch.setattr(fetch.sys, "executable", str(tmp_path / "bare" / folder / "python"))
    with pytest.raises(fetch.FetchError, match="no pip.*ensurepip"):
        fetch.fetch("toy")


def test_keras_downloads_get_a_timeout_and_a_sentence(cache):
    before = fetch.socket.getdefaulttimeout()
    with (
        pytest.raises(fetch.FetchError, match="Keras could not download.*Name or service"),
        fetch.patient_downloads(),
    ):
        assert fetch.socket.getdefaulttimeout() == fetch.READ_SECONDS
        try:
            raise urllib.error.URLError(OSError(errno.EIO, "Name or service not known"))
        except urllib.error.URLError as problem:
            raise Exception(f"URL fetch failure on x: {problem.reason}") from problem  # as Keras
    assert fetch.socket.getdefaulttimeout() == before
    with pytest.raises(ZeroDivisionError), fetch.patient_downloads():
        _ = 1 / 0


# ---------------------------------------------------------------------------------------------
# Troubles of the disk


@pytest.mark.parametrize("harm", [lambda b: b[:1000], lambda b: b[:-1] + b"?", lambda b: b""])
def test_a_damaged_file_is_fetched_again(toy, server, harm):
    fetch.fetch("toy")
    toy.write_bytes(harm(CONTENT))
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert len(server.ranges) == 2


def test_a_full_disk_is_a_sentence(toy, server, monkeypatch):
    fill_disk(monkeypatch)
    with pytest.raises(fetch.FetchError, match="disk of .* full; toy needs 1.0 MB"):
        fetch.fetch("toy")
    assert not toy.exists()


def test_a_disk_that_fills_while_unpacking_leaves_nothing_half(package, cache, monkeypatch):
    def copy(packed, unpacked, size):
        unpacked.write(packed.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch.shutil, "copyfileobj", copy)
    with pytest.raises(fetch.FetchError, match="full"):
        fetch.fetch("toy")
    assert left_behind(cache) == [package.name]


def fill_disk(monkeypatch):
    """Let every write by the fetcher fail as on a full disk."""
    def full_open(path, mode):
        file = open(path, mode)
        if "b" in mode and mode != "rb":
            file.close()
            file = FullFile()
        return file

    monkeypatch.setattr(fetch, "open", full_open, raising=False)


class FullFile(contextlib.nullcontext):
    def __enter__(self):
        return self

    def write(self, piece):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"),
                                   FileNotFoundError(errno.ENOENT, "No such drive")])
def test_a_cache_folder_that_cannot_be_made_is_a_sentence(toy, monkeypatch, error):
    def refuse(*args, **options):  # simulated: root may write anywhere
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(fetch.FetchError, match=f"Cannot write toy .*{error.strerror}.*VIZUTILS"):
        fetch.fetch("toy")


def test_a_file_in_place_of_the_cache_folder_is_a_sentence(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VIZUTILS_DATA", str(tmp_path / "file" / "cache"))
    with pytest.raises(fetch.FetchError, match="Cannot write toy .*VIZUTILS_DATA"):
        fetch.fetch("toy")
    with pytest.raises(fetch.FetchError, match="Cannot write x .*VIZUTILS_DATA"):
        fetch.build_once("x", lambda path: path.write_text("x"))


def test_a_read_only_cache_is_a_sentence(toy, cache, monkeypatch):
    def refuse(*args):  # simulated: root may write anywhere
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fetch.os, "replace", refuse)
    with pytest.raises(fetch.FetchError, match="Permission denied.*VIZUTILS_DATA"):
        fetch.fetch("toy")


# ---------------------------------------------------------------------------------------------
# Several processes, derived files


def test_two_processes_fetch_a_file_once(toy, server):
    server.delay = 0.3
    script = ("import sys; from pathlib import Path; from data import fetch\n"
              "fetch.SOURCES = Path(sys.argv[1])\n"
              "print(fetch.fetch('toy'))")
    both = [subprocess.Popen([sys.executable, "-c", script, str(fetch.SOURCES)], cwd=ROOT,
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=20)[0].strip() for process in both]
    assert answers == [str(toy)] * 2
    assert toy.read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_build_once_builds_once_even_in_two_threads(cache):
    calls = []

    def make(path):
        calls.append(path.suffix)
        time.sleep(0.1)
        path.write_text("built")

    threads = [threading.Thread(target=fetch.build_once, args=("a.h5", make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [".h5"]
    assert fetch.build_once("a.h5", make).read_text() == "built"


@pytest.mark.parametrize("error, seen", [
    (OSError(errno.ENOSPC, "No space left on device"), fetch.FetchError),
    (ValueError("no such thing"), ValueError),
])
def test_a_build_that_fails_leaves_nothing(cache, error, seen):
    def make(path):
        path.write_text("half")
        raise error

    with pytest.raises(seen):
        fetch.build_once("a.h5", make)
    assert left_behind(cache) == []


# ---------------------------------------------------------------------------------------------
# The command line, and the real sources


def test_the_command_line_ends_with_a_sentence_and_exit_code_1(toy, server, capsys):
    assert fetch.main(["toy"]) == 0
    assert str(toy) in capsys.readouterr().out
    toy.unlink()
    server.status = 503
    assert fetch.main([]) == 1
    assert "refused the download" in capsys.readouterr().err
    assert fetch.main(["tyo"]) == 1


def test_the_command_line_offline_shows_no_traceback(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "data.fetch", "vgg16-trunk"], cwd=ROOT, capture_output=True,
        text=True, env=os.environ | {"VIZUTILS_DATA": str(tmp_path), "VIZUTILS_OFFLINE": "1"})
    assert ran.returncode == 1
    assert "VIZUTILS_OFFLINE is set" in ran.stderr and "Traceback" not in ran.stderr


def test_every_real_source_says_what_it_is_and_whose():
    for name, source in fetch.sources().items():
        assert source["kind"] in ("wheel", "url", "installed"), name
        assert all(source[key] for key in ("what", "licence", "credit")), name
    assert "pypi" not in fetch.SOURCES.read_text().lower()  # the registry is pip's to choose


def test_the_packaged_pictures():
    pictures = fetch.pictures()
    inside = [p for p in pictures if p.label >= 0]
    outside = [p for p in pictures if p.label < 0]
    assert len(inside) == 20 and {p.origin for p in inside} == {"foolbox"}
    assert len(outside) >= 10 and {p.origin for p in outside} == {"scikit-image", "scikit-learn"}
    assert pictures == inside + outside
    assert len({p.name for p in pictures}) == len(pictures)
    for picture in inside:
        assert picture.name.endswith(f"_{picture.label}") and picture.truth == (picture.label,)
    for picture in pictures:
        with Image.open(picture.path) as image:
            image.load()
        assert picture.description and picture.credit and picture.licence
        classes = picture.truth + picture.reasonable
        assert len(set(classes)) == len(classes) and all(0 <= c < 1000 for c in classes)


def test_a_picture_missing_from_its_package_is_named(monkeypatch, tmp_path):
    text = fetch.SOURCES.read_text(encoding="utf-8").replace("chelsea.png", "garfield.png")
    monkeypatch.setattr(fetch, "SOURCES", tmp_path / "sources.toml")
    fetch.SOURCES.write_text(text, encoding="utf-8")
    with pytest.raises(fetch.FetchError, match="scikit-image does not contain garfield.png"):
        fetch.pictures()


def test_a_package_that_is_not_installed_is_named(cache):
    write_source(kind="installed", package="no-such-package", folder="x")
    assert not fetch.is_here("toy")
    with pytest.raises(fetch.FetchError, match="pip install no-such-package"):
        fetch.fetch("toy")
