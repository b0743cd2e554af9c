"""The dashboard of companion 6 in JupyterLab, started as usual and by `make lab`.

The companion's own cells are run, without those that draw figures.
"""

import nbformat
import numpy as np
import pytest
from dashboard_page import SECOND, a_large_picture, a_picture, busy, card, upload
from test_lab_browser import ROOT, opened

NEEDED = ("n6-002", "n6-004", "n6-006", "n6-008", "n6-038")  # set-up, parameters, the live cell


@pytest.fixture(scope="module")
def companion(tmp_path_factory):
    """A folder with the companion in it, and JupyterLab's own settings."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.read(ROOT / "notebooks" / "6_dashboard.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[-1].id == NEEDED[-1]  # nothing computes below the live cell
    notebook.cells = [cell for cell in code if cell.id in NEEDED]
    assert len(notebook.cells) == len(NEEDED)
    for cell in notebook.cells:
        cell.update(outputs=[], execution_count=None)
    nbformat.write(notebook, folder / "board.ipynb")
    return folder


def settings(folder):
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in (
        "_CONFIG", "LAB_WORKSPACES", "LAB_SETTINGS")}
    return own | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


QUIET = ("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=")


def running(browser, address):
    """The notebook, run; the dashboard has drawn its first figure."""
    page = opened(browser, address, "board.ipynb")
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(timeout=120 * SECOND)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_role("heading", name="Feature picture").wait_for(timeout=180 * SECOND)
    return page


@pytest.fixture(scope="module")
def plain(browser, serving, companion):
    """JupyterLab as anybody starts it."""
    with serving(["jupyterlab", *QUIET, f"--notebook-dir={companion}"], companion, "api",
                 **settings(companion)) as address:
        page = running(browser, address)
        yield page
        page.close()


def test_a_click_at_once_is_answered(plain):
    began = plain.evaluate("() => performance.now()")
    plain.get_by_role("radio", name="22", exact=True).check(force=True)
    card(plain, "Feature picture").get_by_text("filter 22").first.wait_for(timeout=60 * SECOND)
    took = (plain.evaluate("() => performance.now()") - began) / 1000
    print(f"\nin JupyterLab a click at once was answered after {took:.1f} s")
    assert took <= 3 * busy()


def test_a_tile_keeps_its_keys_to_itself(plain):
    cells = plain.locator(".jp-Cell").count()
    plain.get_by_role("radio", name="22", exact=True).focus()
    for key in ("x", "d", "d", "a", "b"):
        plain.keyboard.press(key)
    plain.wait_for_timeout(SECOND)
    assert plain.locator(".jp-Cell").count() == cells == len(NEEDED)
    plain.keyboard.press("ArrowRight")
    plain.get_by_text("block3_conv2, filter 23:").wait_for(timeout=60 * SECOND)


def test_what_is_too_large_for_the_server_is_said(plain):
    """Sent, it would close the connection, and no upload would be heard any more."""
    upload(plain, ("phone.png", "image/png", a_large_picture(17)))
    said = plain.get_by_role("alert").filter(has_text="phone.png has 17.0 MB")
    said.wait_for(timeout=30 * SECOND)
    assert "takes 10 MB at once" in said.inner_text() and "make lab" in said.inner_text()
    upload(plain, ("small.png", "image/png", a_picture((20, 90, 220))))
    plain.get_by_text("1 picture of yours").wait_for(timeout=30 * SECOND)


def test_the_view_is_copied_as_a_call(plain):
    plain.get_by_label("Filter no.").fill("30")
    plain.get_by_label("Filter no.").press("Enter")
    plain.get_by_text("This view as a call").click()
    plain.locator("pre").filter(has_text="dashboard.Dashboard(").filter(
        has_text="filter=30").wait_for(timeout=30 * SECOND)


def test_by_make_lab_a_picture_of_17_MB_is_taken(browser, serving, companion):
    with serving(["tools.serve", "lab", *QUIET, f"--notebook-dir={companion}"], companion, "api",
                 **settings(companion)) as address:
        page = running(browser, address)
        upload(page, ("phone.png", "image/png", a_large_picture(17)))
        page.get_by_text("1 picture of yours").wait_for(timeout=60 * SECOND)
        upload(page, ("second.png", "image/png", a_picture((20, 90, 220))))
        page.get_by_text("2 pictures of yours").wait_for(timeout=30 * SECOND)
        frames = np.array(page.evaluate("() => document.querySelectorAll('.vzd img').length"))
        assert frames >= 2
        page.close()
