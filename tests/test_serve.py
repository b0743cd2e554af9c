"""The servers that `make lab` and `make dashboard` start; browsers drive them in tests/browser."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import serve

ROOT = Path(__file__).resolve().parents[1]


def test_both_take_large_messages():
    for command, server in ((serve.lab(["a.ipynb"]), "ServerApp"), (serve.dashboard([]), "Voila")):
        option, = (one for one in command if one.startswith(f"--{server}.tornado_settings="))
        assert int(re.search(r"websocket_max_message_size': (\d+)", option)[1]) > 200e6


def test_the_dashboards_page_holds_only_the_dashboard():
    command = serve.dashboard(["--port=1"])
    page = nbformat.read(command[1], as_version=4)
    assert [cell.source for cell in page.cells] == [serve.PAGE] and command[-1] == "--port=1"
    assert any(one.startswith("--MappingKernelManager.cull_idle_timeout=") for one in command)


@pytest.mark.parametrize(("path", "given"), [
    ("build/lab3_circuit.html", True), ("build/site/a/b.html", True),
    ("build/explorer/index.html", True), ("vizutils.py", False), ("build/uploads/a.png", False),
    ("data/cache/x", False), ("notebooks/6_dashboard.ipynb", False)])
def test_only_what_was_built_is_given_out(path, given):
    option, = (one for one in serve.dashboard([]) if "file_allowlist" in one)
    patterns = eval(option.split("=", 1)[1])
    assert any(re.fullmatch(pattern, path) for pattern in patterns) is given


def test_another_name_is_refused():
    done = subprocess.run([sys.executable, "-m", "tools.serve", "cafe"], cwd=ROOT, text=True,
                          capture_output=True)
    assert done.returncode and "Say which: lab or dashboard." in done.stderr
