"""A browser, and Voilà with a dashboard for it; each is started here and stopped by its own id."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = ("There is no Chromium to test with: install it (Debian: sudo apt-get install -y "
           "chromium), or name one in the environment variable VIZUTILS_BROWSER.")
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync").split()
QUIET = "--no-browser", "--Voila.ip=127.0.0.1"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Debian's Chromium under Playwright, with a new profile."""
    path = os.environ.get("VIZUTILS_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), "")
    if not path:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")), executable_path=path, args=FLAGS,
            viewport={"width": 1280, "height": 900})
        yield context
        context.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """What `make dashboard` starts, on loopback."""
    folder = tmp_path_factory.mktemp("voila")
    with served(["tools.serve", "dashboard", *QUIET], folder, "voila/static/",
                PYTHONPATH=str(ROOT), VIZUTILS_FIGURES=str(folder / "figs"),
                TF_CPP_MIN_LOG_LEVEL="3") as found:
        yield found


@contextlib.contextmanager
def served(command, folder, path, **environment):
    """Start a server (a module and its options) on a free port of loopback, and stop it at last.

    Yields
    ------
    str
        Its address, once something answers at `path`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"], cwd=folder,
            env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield answers_at(f"http://127.0.0.1:{port}", server, folder / "log", path)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def answers_at(address, server, log, path):
    """The address, once the server listens there."""
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/{path}", timeout=1)
        except urllib.error.HTTPError:  # it answers, if only that there is nothing
            return address
        except OSError:
            time.sleep(0.2)
        else:
            return address
    pytest.fail(f"No server answered:\n{log.read_text()}", pytrace=False)


@pytest.fixture(scope="session")
def serving():
    """`served`, for other files of tests."""
    return served


@pytest.fixture(scope="module")
def figures(tmp_path_factory, address):
    """The folder in which this Voilà saves figures."""
    return next(tmp_path_factory.getbasetemp().glob("voila*")) / "figs"


@pytest.fixture(scope="module")
def page(browser, address):
    """The dashboard, drawn for the first time (VGG16 is loaded by then, the layer traced)."""
    page = browser.new_page()
    page.goto(f"{address}/?shown=feature", timeout=180_000)
    page.get_by_role("heading", name="Feature picture").wait_for(timeout=180_000)
    page.get_by_text("done", exact=True).first.wait_for(timeout=180_000)
    yield page
    page.close()
