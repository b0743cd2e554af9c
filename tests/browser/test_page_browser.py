"""The report's page in a real browser: what it fetches, how it fits a phone, a screen and paper."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from playwright.sync_api import sync_playwright

from tools import grade
from tools.export_html import export, whole_page
from tools.site import LOOK, Card, html_card

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (390, 1152, 1280, 1920)  # a phone, the narrowest with a sidebar, two screens
A4 = 680  # pixels between the margins of a printed page
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync"]

# Elements beyond the right edge that no box of their own lets a reader scroll to.
BEYOND = """() => [...document.querySelectorAll('main *')]
  .filter(e => !e.parentElement.closest('.table') && !e.closest('summary'))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
WIDE = """() => [...document.querySelectorAll('main table, main pre, main img')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => `${e.tagName}: ${e.textContent.slice(0, 40)}`)"""


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("No Chromium is installed: `apt-get install chromium` (Debian) and try again.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report's page, its grading sheet and a page of cards, as files."""
    folder = tmp_path_factory.mktemp("pages")
    report = nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4)
    sheet = grade.sheet(report, {}, name="lab3_circuit.ipynb", page="report.html")
    cards = "".join(html_card(Card("a.html", "A_" + "long_" * 12, "One sentence.")) for _ in "abc")
    texts = {
        "report": export(report, ROOT),
        "grade": export(new_notebook(cells=[new_markdown_cell(sheet)]), ROOT),
        "index": whole_page("", f'<ul class="cards">{cards}</ul>', look=LOOK),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def visit(chromium, pages):
    """Open a page in a window of its own; what it asks for is kept in `requests`."""
    contexts = []

    def visit(name, *, width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.requests = []
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto((pages / f"{name}.html").as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ["report", "grade", "index"])
def test_it_fits_every_width_and_fetches_nothing(visit, name):
    page = visit(name, offline=True)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BEYOND) == []
    asked = [url for url in page.requests if not url.startswith("data:")]
    assert asked == [page.url]
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_the_contents_stand_beside_the_text_on_a_wide_screen(visit):
    page = visit("report", width=1152)
    contents, text = page.locator(".contents"), page.locator("h1")
    box = contents.bounding_box()
    assert box["x"] + box["width"] <= text.bounding_box()["x"]
    page.get_by_role("link", name="4. The circuit").click()
    assert abs(page.get_by_role("heading", name="4. The circuit").bounding_box()["y"]) < 40
    assert contents.bounding_box()["y"] == 0  # it stays


def test_the_contents_open_by_keyboard_on_a_phone(visit):
    page = visit("report", width=390, height=800)
    entry = page.get_by_role("link", name="3. The kernels")
    assert not entry.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert entry.is_visible()
    entry.click()
    heading = page.get_by_role("heading", name="3. The kernels")
    assert abs(heading.bounding_box()["y"]) < 80


def test_a_wide_table_scrolls_in_its_box_on_a_phone(visit):
    page = visit("report", width=390)
    assert page.evaluate("""() => {
        const boxes = [...document.querySelectorAll('.table')];
        const wide = boxes.filter(box => box.scrollWidth > box.clientWidth);
        wide.forEach(box => { box.scrollLeft = 50; });
        return wide.length > 3 && wide.every(box => box.scrollLeft > 0);
    }""")


def test_code_opens_cell_by_cell_or_all_at_once(visit):
    page = visit("report")
    first, second = (page.locator("details.code pre").nth(i) for i in (0, 1))

    def heights():
        return [round(code.evaluate("e => e.checkVisibility({contentVisibilityAuto: true})"))
                for code in (first, second)]

    assert heights() == [0, 0]
    page.locator("details.code summary").first.click()
    assert heights() == [1, 0]
    page.get_by_label("show all code").check()
    assert heights() == [1, 1]


def test_code_is_copied_whole(visit):
    page = visit("report")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code = page.locator("details.code[open]").first
    code.get_by_role("button", name="copy").click()
    code.get_by_role("button", name="copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == code.locator("pre").inner_text().strip()


def test_the_circuit_sheet_leads_to_a_channels_picture_and_kernel(visit):
    page = visit("report")
    for kind in ("channel", "kernel"):
        link = page.locator(f'#figure-12 a.panel[href^="#{kind}"]').nth(3)
        link.click()
        panel = page.locator(link.get_attribute("href"))
        box, height = panel.bounding_box(), page.viewport_size["height"]
        assert 0 < box["y"] < height - box["height"] and box["width"] > 40
        outline = panel.evaluate("e => getComputedStyle(e).outlineStyle")
        assert outline == "solid"  # marked, among the others


def test_a_figure_is_enlarged_by_a_click_and_by_keyboard(visit):
    page = visit("report")
    picture, large = page.locator("#figure-9 img"), page.locator("dialog.large")
    small = picture.bounding_box()["width"]
    picture.click()
    assert large.locator("img").bounding_box()["width"] > 1.5 * small
    assert large.locator("img").get_attribute("alt") == picture.get_attribute("alt")
    assert large.locator("p").inner_text().startswith("Figure 9.")
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 500)
    page.keyboard.press("Escape")
    assert not large.is_visible() and page.evaluate("scrollY") == before  # the page has stayed
    button = page.get_by_role("button", name="enlarge figure 9")
    button.focus()
    page.keyboard.press("Enter")
    assert large.is_visible()
    large.get_by_role("button", name="close").click()
    assert not large.is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_tall_figure_is_enlarged_from_its_top_and_can_be_closed_there(visit, width):
    page = visit("report", width=width)
    small = page.locator("#figure-12 img").bounding_box()["width"]
    page.get_by_role("button", name="enlarge figure 12").click()
    picture = page.locator("dialog.large img").bounding_box()
    assert picture["y"] > 0 and picture["width"] > 1.5 * small
    close = page.locator("dialog.large button")
    page.mouse.move(200, 400)
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(300)
    assert 0 <= close.bounding_box()["y"] < 60  # it stays at hand
    close.click()


def test_figures_have_more_pixels_than_the_page_gives_them(visit):
    page = visit("report", width=1920)
    ratios = page.evaluate("""[...document.querySelectorAll('figure img')].map(
        picture => picture.naturalWidth / picture.getBoundingClientRect().width)""")
    assert min(ratios) > 1.6


def test_the_contents_say_where_one_is(visit):
    page = visit("report")
    here = page.locator(".contents [aria-current]")
    for name in ("The kernels", "The filter", "Conclusion"):
        page.get_by_role("heading", name=name).first.evaluate("e => e.scrollIntoView()")
        page.wait_for_function("n => document.querySelector('.contents [aria-current]')"
                               "?.textContent.includes(n)", arg=name)
        assert here.count() == 1


def test_a_heading_offers_its_address(visit):
    page = visit("report")
    link = page.locator("h2:has-text('The circuit') .permalink")
    assert link.evaluate("e => getComputedStyle(e).opacity") == "0"
    page.locator("h2", has_text="The circuit").hover()
    assert link.evaluate("e => getComputedStyle(e).opacity") == "1"
    link.click()
    assert page.url.endswith("#The-circuit")


def test_on_paper_short_tables_and_answers_stay_whole_and_can_be_read(visit):
    page = visit("report", width=A4)
    page.emulate_media(media="print")
    kept = """selector => [...document.querySelectorAll(selector)].map(
        element => getComputedStyle(element).breakInside)"""
    for selector in (".answer", ".table.short", "figure"):
        found = page.evaluate(kept, selector)
        assert len(found) > 5 and set(found) == {"avoid"}, selector
    sizes = page.evaluate("""[...document.querySelectorAll('td, th, caption, figcaption')].map(
        cell => parseFloat(getComputedStyle(cell).fontSize) * 72 / 96)""")
    assert min(sizes) >= 8  # points


def brightness(page, selector, name):
    colour = page.locator(selector).first.evaluate(f"e => getComputedStyle(e)['{name}']")
    return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")) / 3


def test_it_is_dark_for_who_asks_and_figures_stay_on_white(visit):
    for scheme, dark in (("light", False), ("dark", True)):
        page = visit("report", color_scheme=scheme)
        ground, text = (brightness(page, "body", name) for name in ("background-color", "color"))
        assert (ground < 60 and text > 200) if dark else (ground > 200 and text < 60)
    assert brightness(page, "figure img", "background-color") == 255
    page.emulate_media(media="print", color_scheme="dark")
    assert brightness(page, "body", "background-color") == 255


def test_on_paper_nothing_is_cut_and_code_is_there_if_asked_for(visit):
    page = visit("report", width=A4, color_scheme="dark")
    pages = len(page.pdf(format="A4", prefer_css_page_size=True))
    page.emulate_media(media="print")
    assert page.evaluate(WIDE) == []
    assert not page.locator(".contents").is_visible()
    assert not page.locator("details.code").first.is_visible()
    page.emulate_media(media="screen")
    page.get_by_label("show all code").check()
    assert len(page.pdf(format="A4", prefer_css_page_size=True)) > 1.02 * pages
    page.emulate_media(media="print")
    assert page.locator("details.code pre").first.is_visible()
    assert page.evaluate(WIDE) == []
