"""The report in JupyterLab: its links lead somewhere, and work leaves no empty bars behind."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
HEIGHT = 900  # of the window
LONG_WORK = """
import time
from data.progress import Progress
for _ in Progress(range(60), "sixty steps", delay=0.5):
    time.sleep(0.05)
print("finished")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, answering):
    """JupyterLab on loopback, with the report and a notebook that takes three seconds."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "lab3_circuit.ipynb", folder)
    work = new_notebook(cells=[new_code_cell(LONG_WORK)])
    work.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(work, folder / "work.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / "c"),
                   "JUPYTERLAB_WORKSPACES_DIR": str(folder / "w"),
                   "JUPYTERLAB_SETTINGS_DIR": str(folder / "s")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
             "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", f"--notebook-dir={folder}"],
            cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield answering(f"http://127.0.0.1:{port}", server, folder / "log", "api")
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def opened(browser, lab, name):
    """A notebook, open in JupyterLab."""
    page = browser.new_page()
    page.goto(f"{lab}/doc/tree/{name}", timeout=120_000)
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    return page


TOP = """text => {
    const all = [...document.querySelectorAll('.jp-RenderedMarkdown h2')];
    const found = all.find(heading => heading.textContent.startsWith(text));
    return found ? found.getBoundingClientRect().top : null;
}"""


def is_led_to(page, link, text):
    """Whether a click on a link brings the heading of that text into view."""
    page.locator(".jp-WindowedPanel-outer").evaluate("e => e.scrollTo(0, 0)")
    link.click()
    for _ in range(20):
        page.wait_for_timeout(200)
        top = page.evaluate(TOP, text)
        if top is not None and 0 <= top < HEIGHT:
            return True
    return False


def test_every_link_within_the_report_leads_to_its_heading(browser, lab):
    """JupyterLab draws cells as they come into view: the first click may fall short of far ones."""
    page = opened(browser, lab, "lab3_circuit.ipynb")
    links = page.locator('.jp-RenderedMarkdown a[href^="#"]:not(.jp-InternalAnchorLink)')
    links.nth(3).wait_for()
    names = [link.inner_text() for link in links.all()]
    assert {"The model", "The filter", "The kernels", "The circuit"} <= set(names)
    for number, name in enumerate(names):
        assert any(is_led_to(page, links.nth(number), name) for _ in range(3)), name
    page.close()


def test_a_progress_bar_leaves_nothing_behind(browser, lab):
    page = opened(browser, lab, "work.ipynb")
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    outputs = page.locator(".jp-OutputArea-output")
    page.get_by_text("sixty steps").wait_for(timeout=60_000)  # it is there while the work goes on
    page.get_by_text("finished", exact=True).wait_for(timeout=60_000)
    assert [output.inner_text().strip() for output in outputs.all()] == ["finished"]
    page.close()
