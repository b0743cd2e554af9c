"""The report in JupyterLab: its links lead somewhere."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEIGHT = 900  # of the window


@pytest.fixture(scope="module")
def lab(tmp_path_factory, serving):
    """JupyterLab on loopback, with the report."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "lab3_circuit.ipynb", folder)
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in (
        "_CONFIG", "LAB_WORKSPACES", "LAB_SETTINGS")}
    with serving(["jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                  "--IdentityProvider.token=", f"--notebook-dir={folder}"], folder, "api",
                 PYTHONPATH=str(ROOT), **own) as address:
        yield address


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
