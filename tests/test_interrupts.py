"""Work stopped in the middle, politely (SIGINT) or not (SIGKILL): what was done is kept.

Each piece of work runs in a process of its own, is stopped when it says that it is halfway, and
is taken up again. Only processes that were started here are stopped. VIZUTILS_LONG=1 also
interrupts a batch of reports.
"""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

import vizutils as vz
from data import fetch

ROOT = Path(__file__).resolve().parents[1]
LONG = "VIZUTILS_LONG" in os.environ

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@pytest.fixture
def run(tmp_path):
    """Start Python on a script, in a process group of its own that ends with the test."""
    started = []

    def start(script, *arguments, **environment):
        output = open(tmp_path / f"output_{len(started)}", "w+")
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            # a shell has its background jobs ignore Ctrl-C, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment})
        process.said = Path(output.name).read_text
        started.append((process, output))
        return process

    yield start
    for process, output in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.close()


def wait_for(condition, process=None, seconds=90):
    """Wait until something is so; whoever waits in vain learns what the process said."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = process is not None and process.poll() is not None
        assert not ended or condition(), f"ended early: {process.said()}"
        assert time.monotonic() < deadline, process.said() if process else "waited in vain"
        time.sleep(0.02)


def interrupt(process):
    """What Ctrl-C at a terminal does: SIGINT to the whole group. Returns what was printed."""
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)
    return process.said()


# ---------------------------------------------------------------------------------------------
# Ascent and atlas: one process, interrupted twice, then killed

DRAWING = """
import sys
sys.path.insert(0, "tests")
import conftest, numpy as np, vizutils as vz

class Teller:  # asked between the steps: the callback of an ascent
    asked = 0
    def is_set(self):
        self.asked += 1
        print("ascent", self.asked)
        return False

net = vz.as_network(conftest.build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
try:
    vz.maximize(net, "block2_conv1", range(6), size=16, steps=4000, batch=2, seed=0,
                cancel=Teller(), progress=False)
except vz.Interrupted as stop:
    print(stop)
    found = stop.finished
np.save(sys.argv[1] + "/ascent.npy", found.images)
found.report.to_csv(sys.argv[1] + "/ascent.csv", index=False)
print("ascent saved")
options = dict(size=16, steps=int(sys.argv[2]), batch=2, folder=sys.argv[1], progress=False)
try:
    vz.atlas(net, "block2_conv1", **options)
except vz.Interrupted as stop:
    print(stop)
    print("atlas of", len(stop.finished.report))
vz.atlas(net, "block2_conv1", **options)
"""
STEPS = 800


@pytest.fixture
def cut_short(run, tmp_path):
    """The process above, taken through its three stops; what it printed and left."""
    process = run(DRAWING, tmp_path, STEPS)

    def parts():
        return sorted(tmp_path.glob("*/filters_*.csv"))

    wait_for(lambda: "ascent 3\n" in process.said(), process)
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: "ascent saved" in process.said(), process)
    wait_for(lambda: len(parts()) == 1, process)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: "atlas of" in process.said(), process)
    kept = {path: path.stat().st_mtime_ns for path in parts()}
    wait_for(lambda: len(parts()) > len(kept), process)
    kept = {path: path.stat().st_mtime_ns for path in parts()}
    process.kill()
    process.wait()
    return process.said(), kept


def test_ascent_and_atlas_keep_what_was_finished(cut_short, tiny, tmp_path, monkeypatch):
    said, kept = cut_short
    # the ascent: pictures of the batch that was at work, none of those to come
    steps = int(re.search(r"interrupted after (\d+) of 4000 steps", said)[1])
    report = pd.read_csv(tmp_path / "ascent.csv")
    images = np.load(tmp_path / "ascent.npy")
    assert 0 < steps < 4000 and report["filter"].tolist() == [0, 1]
    assert (report["steps"] == steps).all() and len(images) == 2
    assert np.isfinite(images).all() and images.std() > 1

    # the atlas: every finished batch, whole, whoever reads it next
    assert "interrupted after 2 of 6 filters (the same call goes on from there)" in said
    assert "atlas of 2" in said and len(kept) == 2
    drawn, original = [], vz.maximize

    def maximize(net, layer, filters, **options):
        drawn.extend(filters)
        return original(net, layer, filters, **options)

    monkeypatch.setattr(vz, "maximize", maximize)
    whole = vz.atlas(tiny, "block2_conv1", folder=tmp_path, size=16, steps=STEPS, batch=2,
                     progress=False)
    assert drawn == [4, 5]
    assert whole.report["filter"].tolist() == list(range(6))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    with Image.open(whole.sheet) as sheet:
        sheet.load()
    assert len(json.loads(whole.index.read_text())["filters"]) == 6


FAST = {"size": 16, "steps": 3, "batch": 2, "progress": False}


@pytest.mark.parametrize("harm", [
    lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"PK",
    lambda content: content[:-20] + bytes([content[-20] ^ 255]) + content[-19:],
    lambda content: content.replace(b"\n1,", b"\n7,"),
])
@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_a_damaged_part_of_an_atlas_is_drawn_again(tiny, tmp_path, harm, ending):
    sound = vz.atlas(tiny, "block2_conv1", folder=tmp_path, filters=[0, 1], **FAST)
    (path,) = tmp_path.glob(f"*/filters_*{ending}")
    path.write_bytes(harm(path.read_bytes()))
    again = vz.atlas(tiny, "block2_conv1", folder=tmp_path, filters=[0, 1], **FAST)
    np.testing.assert_array_equal(again.images, sound.images)
    assert again.report["filter"].tolist() == [0, 1]


def test_an_interrupt_between_two_batches_keeps_the_first(tiny, tmp_path, monkeypatch):
    original, calls = np.savez, []

    def savez(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*args, **options)

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(vz.Interrupted, match="2 of 6 filters .the same call goes on from") as stop:
        vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    assert stop.value.finished.report["filter"].tolist() == [0, 1]
    assert stop.value.finished.sheet.exists()


NOTEBOOK = """
import sys, time
import numpy as np
sys.path[:0] = ["tests"]
from conftest import build_tiny_vgg
import vizutils as vz
from techniques import deepdream, inversion
net = vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
noise = np.random.default_rng(0).uniform(0, 255, (64, 64, 3)).astype("float32")
def tell(step, pictures):
    print("step", step, flush=True)
"""
CLIMBS = {
    "maximize": 'vz.maximize(net, "block2_conv1", [0, 1], steps=200_000, snapshots=range(50, '
                '200_000, 50), on_step=tell)',
    "invert": 'inversion.invert(net, "block1_conv2", noise, steps=200_000, '
              'checkpoints=range(50, 200_000, 50), on_step=tell)',
}


@pytest.fixture(scope="module")
def client():
    """A kernel with a tiny network, for both climbs: each test asks it for `last_value` anew."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT))
    try:
        client.execute_interactive(NOTEBOOK, timeout=180)
        client.manager = manager
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("climb", CLIMBS)
def test_stop_stops_a_notebook_that_runs_all_cells(client, climb):
    """As JupyterLab does it: all cells are queued, then the kernel is interrupted."""
    client.execute_interactive("import sys; sys.last_value = found = None; del found", timeout=60)
    cells = [client.execute(f"found = {CLIMBS[climb]}"),
             client.execute("print('went on with tainted pictures')")]
    printed, replies, pressed = "", {}, False
    while len(replies) < 2:
        with contextlib.suppress(queue.Empty):
            message = client.get_iopub_msg(timeout=0.2)
            printed += message["content"].get("text", "")
        if not pressed and printed.count("step ") >= 2:
            client.manager.interrupt_kernel()
            pressed = True
        with contextlib.suppress(queue.Empty):
            reply = client.get_shell_msg(timeout=0.05)
            replies[reply["parent_header"]["msg_id"]] = reply["content"]
    first, second = (replies[cell] for cell in cells)
    assert (first["status"], first["ename"]) == ("error", "Interrupted")
    assert "sys.last_value.finished" in first["evalue"]
    assert second["status"] != "ok" and "went on" not in printed
    seen = []
    client.execute_interactive(
        "half = sys.last_value.finished; print(half.ended, half.images.shape[0], "
        "'found' in dir())", output_hook=lambda m: seen.append(m["content"].get("text", "")))
    assert "".join(seen).split()[0] == "interrupted" and "False" in "".join(seen)


# ---------------------------------------------------------------------------------------------
# Fetching

CONTENT = bytes(range(256)) * 4096
FETCHING = """
import sys
from pathlib import Path
from data import fetch
fetch.SOURCES = Path(sys.argv[1])
sys.exit(fetch.main(["toy"]))
"""


@pytest.fixture
def server():
    """Sends CONTENT, the first half of it, then nothing until `go` is set."""
    go, asked = threading.Event(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            asked.append(start)
            self.send_response(206 if start else 200)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(CONTENT[start : len(CONTENT) // 2])
                self.wfile.flush()
                go.wait(60)
                self.wfile.write(CONTENT[max(start, len(CONTENT) // 2):])

        def log_message(self, *args):
            """Keep the test's output clean."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads, running.go, running.asked = True, go, asked
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    go.set()
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_fetching_goes_on_where_it_was_stopped(run, server, tmp_path, monkeypatch, how):
    monkeypatch.setenv("VIZUTILS_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "SOURCES", tmp_path / "sources.toml")
    digest = fetch.hashlib.sha256(CONTENT).hexdigest()
    fetch.SOURCES.write_text(
        f'[source.toy]\nkind = "url"\naddress = "http://127.0.0.1:{server.server_port}/toy.bin"\n'
        f'file = "toy.bin"\nsize = {len(CONTENT)}\nsha256 = "{digest}"\n')
    part = tmp_path / "cache" / "toy" / "toy.bin.part"
    first = run(FETCHING, fetch.SOURCES, NO_PROXY="127.0.0.1")
    wait_for(lambda: part.exists() and part.stat().st_size >= len(CONTENT) // 2 - fetch.CHUNK,
             first)
    if how == "SIGINT":
        assert "Interrupted: the same command goes on from here." in interrupt(first)
        assert "Traceback" not in first.said() and first.returncode == 1
    else:
        first.kill()
        first.wait()
    had = part.stat().st_size
    assert had and os.listdir(part.parent) == ["toy.bin.part"]
    server.go.set()
    second = run(FETCHING, fetch.SOURCES, NO_PROXY="127.0.0.1")
    assert second.wait(timeout=60) == 0, second.said()
    assert (part.parent / "toy.bin").read_bytes() == CONTENT
    assert server.asked == [0, had]
    assert os.listdir(part.parent) == ["toy.bin"]


BUILDING = """
import sys, time
from pathlib import Path
from data import fetch
def make(path):
    path.write_text("half")
    if sys.argv[1] == "wait":
        print("halfway")
        time.sleep(60)
    path.write_text("whole")
print(fetch.build_once("built.txt", make).read_text())
"""


def test_a_conversion_that_was_killed_is_done_again(run, tmp_path):
    first = run(BUILDING, "wait", VIZUTILS_DATA=str(tmp_path / "cache"))
    wait_for(lambda: "halfway" in first.said(), first)
    first.kill()
    first.wait()
    assert not (tmp_path / "cache" / "built.txt").exists()
    second = run(BUILDING, "go", VIZUTILS_DATA=str(tmp_path / "cache"))
    assert second.wait(timeout=60) == 0 and "whole" in second.said()
    assert sorted(p.name for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock") == [
        "built.txt"]


# ---------------------------------------------------------------------------------------------
# Many reports

# A report that waits, once told to: for filter 2, until the file "go" lies in its folder.
CELL = """import json, os, pathlib, time
pathlib.Path(f"kernel_{FILTER}").write_text(str(os.getpid()))
while FILTER == 2 and not pathlib.Path("go").exists():
    time.sleep(0.05)
print(json.dumps({"verdict": "supported", "filter": FILTER}))"""
REPORTS = """
import sys
from tools import reports
reports.check = lambda unit, filters: None  # it would load TensorFlow
reports.main(*sys.argv[1:])
"""


@pytest.fixture
def notebook(tmp_path):
    parameters = 'NETWORK, WEIGHTS, LAYER, FILTER = "vgg16", "packaged", "block3_conv2", 17'
    cells = [new_code_cell(source, metadata={"tags": [tag]})
             for source, tag in ((parameters, "parameters"), (CELL, "summary"))]
    made = new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(made, tmp_path / "tiny.ipynb")
    return tmp_path / "tiny.ipynb"


def alive(kernel):
    """Whether the process whose number a kernel left in a file still runs."""
    try:
        os.kill(int(kernel.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_batch_of_reports_goes_on_after_a_kill_and_an_interrupt(run, notebook):
    home, kernel = notebook.parent / "build" / "reports", notebook.parent / "kernel_2"
    words = (REPORTS, notebook, "FILTERS=0,2", "WORKERS=1")
    done = [home / f"vgg16_block3_conv2_0.{ending}" for ending in ("ipynb", "html")]

    first = run(*words)
    wait_for(lambda: done[1].exists() and kernel.exists() and kernel.read_text(), first)
    first.kill()
    first.wait()
    stamps = [path.stat().st_mtime_ns for path in done]
    wait_for(lambda: not alive(kernel))  # no kernel is left to run for nobody
    kernel.unlink()

    if LONG:
        second = run(*words)
        wait_for(lambda: kernel.exists() and kernel.read_text(), second)
        said = interrupt(second)
        assert "1 of 2 reports are there already" in said
        assert "Interrupted: the same command goes on from here." in said
        assert second.returncode == 1
        assert (home / "index.html").read_text().count("<tr><td>") == 1
        wait_for(lambda: not alive(kernel))

    (notebook.parent / "go").touch()
    third = run(*words)
    assert third.wait(timeout=90) == 0, third.said()
    assert "1 of 2 reports are there already" in third.said()
    assert [path.stat().st_mtime_ns for path in done] == stamps
    assert (home / "index.html").read_text().count("<tr><td>") == 2
    assert not list(home.glob("*.part"))


def test_a_page_half_written_is_not_taken_for_a_report(notebook, monkeypatch):
    from tools import reports

    (job,) = reports.plan(notebook, [], [1]).values()
    path = notebook.parent / "one.ipynb"
    whole = Path.write_text

    def cut(self, text, **options):
        if ".html" not in self.name:
            return whole(self, text, **options)
        whole(self, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    reports.save(job, path, notebook.parent)
    assert reports.is_done(job, path)
    monkeypatch.setattr(Path, "write_text", cut)
    with pytest.raises(KeyboardInterrupt):
        reports.save(job, path, notebook.parent)
    monkeypatch.undo()
    assert path.exists() and not reports.is_done(job, path)


def test_a_damaged_report_is_made_again_and_left_out_of_the_index(notebook):
    from tools import reports

    (job,) = reports.plan(notebook, [], [1]).values()
    path = notebook.parent / "one.ipynb"
    path.with_suffix(".html").write_text("page")
    path.write_text('{"cells": [')  # by an older release, or another program
    assert not reports.is_done(job, path)
    assert "0 filters" in reports.write_index(notebook.parent).read_text()
