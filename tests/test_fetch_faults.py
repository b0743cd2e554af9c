"""The fetcher against servers that break in every way, on loopback, byte by byte.

`test_fetch.py` holds the usual troubles in the words a user reads; here a socket says exactly
what it is told to. After each fault the same things must hold: a sentence, soon; no file under
the final name; and the next call, to a server that works, brings the file, going on from what
had arrived.
"""

import contextlib
import hashlib
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import pytest

from data import fetch

ROOT = Path(fetch.__file__).parents[1]
CONTENT = bytes(range(256)) * 2048  # 512 KiB, told apart at any offset
HALF = len(CONTENT) // 2
PATIENCE = 0.4  # seconds that the fetcher waits here for the next bytes
RATE_SECONDS = 0.6  # and over which it wants the least rate


# ---------------------------------------------------------------------------------------------
# A server told what to do with each connection


class Server:
    """Answers connection after connection by the functions in `script`, then as it should."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.script, self.asked, self.ending = [], [], threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ending.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                if not (piece := connection.recv(4096)):
                    return
                request += piece
            found = re.search(rb"[Rr]ange: bytes=(\d+)-", request)
            start = int(found[1]) if found else 0
            self.asked.append(start)
            reply = self.script.pop(0) if self.script else sound
            reply(self, connection, start)

    def close(self):
        self.ending.set()
        self.listener.close()


def header(status="200 OK", **fields):
    lines = [f"HTTP/1.1 {status}", "Connection: close",
             *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def sound(server, connection, start):
    end = len(CONTENT)
    if start:
        connection.sendall(header("206 Partial Content", Content_Length=end - start,
                                  Content_Range=f"bytes {start}-{end - 1}/{end}"))
    else:
        connection.sendall(header(Content_Length=end))
    connection.sendall(CONTENT[start:])


def says(*pieces, then="close"):
    """A reply of these bytes; then it closes, resets the connection, or stalls."""

    def reply(server, connection, start):
        for piece in pieces:
            connection.sendall(piece)
        if then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif then == "stall":
            server.ending.wait(30)

    return reply


def endless(lead):
    """A reply whose body does not end before the reader hangs up."""

    def reply(server, connection, start):
        connection.sendall(lead)
        piece = b"x" * 65536
        if b"chunked" in lead:
            piece = b"10000\r\n" + piece + b"\r\n"
        server.poured = 0
        while not server.ending.is_set() and server.poured < 1 << 30:
            connection.sendall(piece)
            server.poured += len(piece)

    return reply


def drips(*pieces, drop=b"x"):
    """A reply of these bytes, then a drop now and then, longer than anybody should wait."""

    def reply(server, connection, start):
        for piece in pieces:
            connection.sendall(piece)
        for _ in range(100):  # 5 s: a fetcher that waits for the end is found out, not waited for
            if not server.ending.wait(PATIENCE / 8):
                connection.sendall(drop)

    return reply


def moved(to, status="302 Found"):
    return says(header(status, Location=to, Content_Length=0))


def loop(server, connection, start):
    server.script.insert(0, loop)
    moved("/again")(server, connection, start)


WHOLE = header(Content_Length=len(CONTENT))
FAULTS = {
    # reset
    "reset before a word": says(then="reset"),
    "reset in the headers": says(WHOLE[:20], then="reset"),
    "reset midway": says(WHOLE, CONTENT[:HALF], then="reset"),
    "closed before a word": says(),
    # stalls
    "silent": says(then="stall"),
    "stalls in the headers": says(WHOLE[:20], then="stall"),
    "stalls before the body": says(WHOLE, then="stall"),
    "stalls midway": says(WHOLE, CONTENT[:HALF], then="stall"),
    # drips
    "drips before a word": drips(),
    "drips in the headers": drips(WHOLE[:20]),
    "drips headers": drips(WHOLE[:-2], drop=b"X: y\r\n"),
    "drips from the start": drips(WHOLE),
    "drips midway": drips(WHOLE, CONTENT[:HALF]),
    "drips without a length": drips(header(), CONTENT[:HALF]),
    "drips in a chunk": drips(header(Transfer_Encoding="chunked"), b"80000\r\n", CONTENT[:HALF]),
    # truncates
    "cut short": says(WHOLE, CONTENT[:HALF]),
    "cut in a chunk": says(header(Transfer_Encoding="chunked"), b"80000\r\n", CONTENT[:HALF]),
    "chunks without an end": says(header(Transfer_Encoding="chunked"), b"100\r\n", CONTENT[:256],
                                  b"\r\n"),
    "chunks of no size": says(header(Transfer_Encoding="chunked"), b"zzz\r\n", CONTENT),
    # wrong lengths
    "says less than it has": says(header(Content_Length=HALF), CONTENT),
    "says more than it has": says(header(Content_Length=2 * len(CONTENT)), CONTENT[:HALF]),
    "says nothing and sends half": says(header(), CONTENT[:HALF]),
    "says nothing and sends nothing": says(header(Content_Length=0)),
    "two lengths": says(WHOLE[:-2] + b"Content-Length: 7\r\n\r\n", CONTENT),
    "no number for a length": says(header(Content_Length="many"), CONTENT[:HALF]),
    "a length below zero": says(header(Content_Length=-5), CONTENT[:HALF]),
    "without end": endless(header()),
    "chunks without number": endless(header(Transfer_Encoding="chunked")),
    # other bytes
    "the right length, other bytes": says(WHOLE, CONTENT[::-1]),
    "a page for a file": says(header(Content_Type="text/html"), b"<html>Please log in</html>"),
    "packed, it says": says(header(Content_Encoding="gzip", Content_Length=HALF), CONTENT[:HALF]),
    "no HTTP at all": says(b"\x16\x03\x01\x02\x00 what?\r\n\r\n"),
    "headers without end": says(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 500, b"\r\n"),
    "a header too long": says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    # redirects
    "in a circle": loop,
    "to itself for good": moved("/again", "301 Moved Permanently"),
    "to nowhere": moved("http://no-such-host.invalid/toy.bin"),
    "to a closed port": moved("http://127.0.0.1:9/toy.bin"),
    "to a file here": moved("file:///etc/hostname"),
    "to an address that is none": moved("http://[::bad/"),
    "without saying where": says(header("302 Found", Content_Length=0)),
    # refusals
    **{f"{number}": says(header(f"{number} Trouble", Content_Length=0))
       for number in (403, 404, 410, 416, 429, 500, 502, 503, 504)},
    "an error with a body that stalls": says(header("500 Trouble", Content_Length=99),
                                             then="stall"),
}
GOOD_AFTER_ALL = {"to itself for good"}  # one redirect, and then the file


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def toy(tmp_path, monkeypatch, server):
    """The source "toy": CONTENT at the server's address, in an empty cache."""
    monkeypatch.setenv("VIZUTILS_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VIZUTILS_OFFLINE", raising=False)
    monkeypatch.setattr(fetch, "SOURCES", tmp_path / "sources.toml")
    monkeypatch.setattr(fetch, "_unreachable", set())
    monkeypatch.setattr(fetch, "READ_SECONDS", PATIENCE)
    monkeypatch.setattr(fetch, "RATE_SECONDS", RATE_SECONDS)
    digest = hashlib.sha256(CONTENT).hexdigest()
    fetch.SOURCES.write_text(
        f'[source.toy]\nkind = "url"\naddress = "{server.address}/toy.bin"\nfile = "toy.bin"\n'
        f'size = {len(CONTENT)}\nsha256 = "{digest}"\n')
    return tmp_path / "cache" / "toy" / "toy.bin"


def is_sentence(problem):
    words = str(problem)
    return words.endswith(".") and re.search(r"again|[Cc]heck|restart", words)


# ---------------------------------------------------------------------------------------------
# One fault, and then a server that works


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in GOOD_AFTER_ALL])
def test_a_fault_costs_a_sentence_and_the_next_call_succeeds(toy, server, fault):
    server.script.append(FAULTS[fault])
    began = time.monotonic()
    with pytest.raises(fetch.FetchError) as raised:
        fetch.fetch("toy")
    assert time.monotonic() - began < PATIENCE + 3
    assert is_sentence(raised.value), raised.value
    assert not toy.exists() and not fetch.is_here("toy")
    assert sorted(path.name for path in toy.parent.iterdir()) in ([], ["toy.bin.part"])

    server.script.clear()
    fetch._unreachable.clear()  # the user restarts Python, as the sentence says
    part = toy.with_name("toy.bin.part")
    had = part.stat().st_size if part.exists() else 0
    try:
        fetch.fetch("toy")
    except fetch.FetchError as problem:  # wrong bytes are seen once all are there
        assert "does not have the checksum" in str(problem)
        assert fault in ("a page for a file", "no HTTP at all")
        fetch.fetch("toy")
    assert toy.read_bytes() == CONTENT
    assert had in server.asked
    assert [path.name for path in toy.parent.iterdir()] == ["toy.bin"]


@pytest.mark.parametrize("fault", ["reset midway", "stalls midway", "drips midway", "cut short",
                                   "cut in a chunk"])
def test_what_arrived_is_not_asked_for_again(toy, server, fault):
    server.script.append(FAULTS[fault])
    with pytest.raises(fetch.FetchError):
        fetch.fetch("toy")
    fetch._unreachable.clear()
    fetch.fetch("toy")
    assert server.asked[0] == 0 and len(server.asked) == 2
    # a reset may take with it what lay in the socket's buffers
    assert server.asked[1] >= (1 if fault == "reset midway" else HALF - fetch.CHUNK)


def test_many_breaks_in_a_row_still_end_in_the_whole_file(toy, server):
    def sixteenth(server, connection, start):
        connection.sendall(header("206 Partial Content", Content_Range=f"bytes {start}-9/9",
                                  Content_Length=len(CONTENT) - start) if start else WHOLE)
        connection.sendall(CONTENT[start : start + len(CONTENT) // 4])

    server.script += [sixteenth] * 3
    for _ in range(3):
        with pytest.raises(fetch.FetchError, match="continues"):
            fetch.fetch("toy")
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.asked == sorted(set(server.asked)) and len(server.asked) == 4


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect",
                                    "308 Permanent Redirect"])
def test_a_redirect_is_followed_and_resumed_through(toy, server, status):
    server.script += [moved("/elsewhere", status), FAULTS["cut short"], moved("/again", status)]
    with pytest.raises(fetch.FetchError, match="continues"):
        fetch.fetch("toy")
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.asked[:2] == [0, 0] and server.asked[2] == server.asked[3] > 0


def test_a_body_without_end_is_left_as_soon_as_it_is_too_long(toy, server):
    server.script.append(FAULTS["without end"])
    with pytest.raises(fetch.FetchError, match="does not have the checksum"):
        fetch.fetch("toy")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not server.ending.wait(0.1):
        poured = server.poured
        if server.ending.wait(0.3) or server.poured == poured:
            break
    assert server.poured < 64 * len(CONTENT)  # what the sockets' buffers hold, not a full disk


@pytest.mark.parametrize("reply", [
    says(header("206 Partial Content", Content_Range="bytes 0-9/10", Content_Length=10),
         CONTENT[:10]),
    says(header("206 Partial Content", Content_Range="apples", Content_Length=10), CONTENT[:10]),
    says(header("206 Partial Content", Content_Length=HALF), CONTENT[HALF:]),
])
def test_a_server_that_resumes_elsewhere_does_no_harm(toy, server, reply):
    server.script += [FAULTS["cut short"], reply]
    for _ in range(2):
        with pytest.raises(fetch.FetchError):
            fetch.fetch("toy")
    with contextlib.suppress(fetch.FetchError):
        fetch.fetch("toy")
    assert fetch.fetch("toy").read_bytes() == CONTENT


def test_a_server_whose_file_got_shorter_is_asked_for_the_whole(toy, server):
    toy.parent.mkdir(parents=True)
    toy.with_name("toy.bin.part").write_bytes(CONTENT[:HALF])
    server.script.append(FAULTS["416"])
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.asked == [HALF, 0]


def test_a_part_that_lacks_only_its_name_is_not_fetched_again(toy, server):
    toy.parent.mkdir(parents=True)
    toy.with_name("toy.bin.part").write_bytes(CONTENT)
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.asked == []


# ---------------------------------------------------------------------------------------------
# Slow, but not too slow


def test_a_drip_is_named_and_says_that_it_goes_on_from_there(toy, server):
    server.script.append(FAULTS["drips midway"])
    with pytest.raises(fetch.FetchError, match=re.escape(
            "The connection to 127.0.0.1 broke midway (less than 1000 bytes a second arrived). "
            "Run it again: it continues where it stopped.")):
        fetch.fetch("toy")


def test_a_slow_line_brings_the_whole_file(toy, server, monkeypatch):
    """32 pieces with pauses: ten periods and more, each above the least rate."""
    monkeypatch.setattr(fetch, "RATE_SECONDS", 0.1)

    def slow(server, connection, start):
        connection.sendall(WHOLE)
        for at in range(0, len(CONTENT), len(CONTENT) // 32):
            connection.sendall(CONTENT[at : at + len(CONTENT) // 32])
            time.sleep(0.05)

    server.script.append(slow)
    assert fetch.fetch("toy").read_bytes() == CONTENT
    assert server.asked == [0]


def test_the_least_rate_lets_the_largest_file_through_a_slow_line():
    largest = max(source.get("size", 0) for source in fetch.sources().values())
    assert largest > 500e6
    assert fetch.LEAST_RATE * 50 <= 100_000  # bytes a second
    assert fetch.LEAST_RATE >= 200  # a few bytes a second are no download
    assert fetch.READ_SECONDS < fetch.RATE_SECONDS  # silence is noticed before


@pytest.mark.parametrize(("reply", "said"), [
    (drips(WHOLE), "less than 1000 bytes a second arrived"),
    (drips(), "less than 1000 bytes a second arrived"),
    (says(WHOLE, then="stall"), "timed out")], ids=["body", "headers", "silence"])
def test_keras_downloads_neither_drip_nor_stall(toy, server, tmp_path, monkeypatch, reply, said):
    server.script.append(reply)
    began = time.monotonic()
    with (pytest.raises(fetch.FetchError, match=f"Keras could not download .*{said}"),
          fetch.patient_downloads()):
        keras.utils.get_file("toy.bin", f"{server.address}/toy.bin", cache_dir=tmp_path)
    assert time.monotonic() - began < RATE_SECONDS + 3
    monkeypatch.setattr(fetch, "READ_SECONDS", 20)  # a busy machine may be slow to answer
    with fetch.patient_downloads():
        path = keras.utils.get_file("toy.bin", f"{server.address}/toy.bin", cache_dir=tmp_path)
    assert Path(path).read_bytes() == CONTENT


def test_nobody_elses_connections_are_hurried(toy, server):
    """Another thread's drip goes on while this one downloads, and ours once it is done."""
    plain = socket.SocketIO
    arrived, ours = [], threading.Event()

    def elsewhere():
        with socket.create_connection(server.listener.getsockname()) as connection:
            ours.wait(10)
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            arrived.append(connection.makefile("rb").read(3 * int(8 * RATE_SECONDS / PATIENCE)))

    server.script.append(drips())
    other = threading.Thread(target=elsewhere)
    other.start()
    with fetch.patient_downloads(), fetch.patient_downloads():
        ours.set()
        other.join(20)
    assert len(arrived[0]) == 3 * int(8 * RATE_SECONDS / PATIENCE)
    assert socket.SocketIO is plain


# ---------------------------------------------------------------------------------------------
# Two processes


FETCH = ("import sys; from pathlib import Path; from data import fetch\n"
         "fetch.SOURCES = Path(sys.argv[1])\n"
         "print(fetch.fetch('toy'))")


def fetching():
    return subprocess.Popen([sys.executable, "-c", FETCH, str(fetch.SOURCES)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_of_two_is_killed_midway_and_the_other_goes_on_from_there(toy, server):
    server.script.append(FAULTS["stalls midway"])  # until its reader dies: 20 s by default
    part = toy.with_name("toy.bin.part")
    first = fetching()
    wait_for(lambda: part.exists() and part.stat().st_size >= HALF - 2 * fetch.CHUNK)
    second = fetching()
    time.sleep(0.5)
    assert second.poll() is None and not toy.exists()
    first.kill()
    assert second.communicate(timeout=20)[0].strip() == str(toy)
    first.communicate()
    assert toy.read_bytes() == CONTENT
    assert len(server.asked) == 2 and server.asked[1] > 0
    assert os.listdir(toy.parent) == ["toy.bin"]


def test_eight_at_once_fetch_once(toy, server):
    def slow(server, connection, start):
        time.sleep(0.3)
        sound(server, connection, start)

    server.script.append(slow)
    found, threads = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: found.append(fetch.fetch("toy"))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert found == [toy] * 8 and server.asked == [0]
