"""The dashboard in a real browser: Chromium, driven by Playwright, against Voilà.

One page serves all tests, as it would a reader; each says what it needs (`choose`). Bounds on
times hold for a machine that does nothing else, and widen with its load (`busy`); the times
themselves are printed (`pytest -s`).
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard_page import (
    FIRST_FRAME,
    SECOND,
    a_large_picture,
    a_picture,
    busy,
    card,
    choose,
    finished,
    open_second_side,
    picture_of,
    remove_uploads,
    upload,
)
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TITLES = ("Feature picture", "Strongest patches", "Ten kernels", "Circuit sheet", "Activation map",
          "What the filter sees in the picture", "Saliency and Grad-CAM", "Inversion")

FRAMES = 2  # a second, at least
SOON = 0.5  # seconds, for another filter

#: Notes when an element that matches appears: frames are new <img> elements.
WATCH = """selector => {
    window.seen = [];
    new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(node => {
        if (node.nodeType === 1 && (node.matches(selector) || node.querySelector(selector)))
            window.seen.push(performance.now());
    }))).observe(document.body, {childList: true, subtree: true});
    window.began = performance.now();
}"""
SEEN = "() => window.seen.map(at => (at - window.began) / 1000)"


def frames_after(page, act, title="Feature picture"):
    """When frames appeared after an action, in seconds."""
    page.evaluate(WATCH, "img.vzd-live")
    act()
    page.wait_for_function("() => window.seen.length > 0", timeout=60 * SECOND)
    finished(page, title)
    return np.array(page.evaluate(SEEN))


def report(what, times):
    rate = (len(times) - 1) / (times[-1] - times[0])
    print(f"\n{what}: first frame after {times[0]:.2f} s, then {rate:.1f} a second; "
          f"longest gap {np.diff(times).max():.2f} s")
    return rate


def test_a_click_on_the_sheet_draws_that_filter(page):
    choose(page)
    before = picture_of(page, "Feature picture")
    times = frames_after(page, lambda: page.get_by_role("radio", name="22", exact=True).check(
        force=True))
    assert page.get_by_label("Filter no.").input_value() == "22"
    assert picture_of(page, "Feature picture") != before
    assert "filter 22" in card(page, "Feature picture").locator("img").get_attribute("alt")
    rate = report("another filter of block3_conv2", times)
    assert times[0] <= SOON * busy()
    assert rate >= FRAMES / busy()


def test_another_layer_answers_soon_too(page):
    choose(page)
    times = frames_after(page, lambda: page.get_by_label("Layer").select_option("block3_conv3"))
    rate = report("block3_conv3, for the first time", times)
    assert times[0] <= FIRST_FRAME * busy()
    assert rate >= FRAMES / busy()


FOCUSED = """() => { const at = document.activeElement, shown = getComputedStyle(
    at.matches('.vzd-sheet input') ? at.parentElement : at);
    return [at.closest('.vzd-sheet') ? 'sheet' : at.closest('.vzd-card') ? 'card' : 'else',
            at.getAttribute('aria-label') || at.labels?.[0]?.textContent || at.title
            || at.textContent.trim(), shown.outlineStyle, shown.outlineWidth]; }"""


def test_keyboard_alone_chooses_and_saves(page):
    choose(page, steps=8)
    page.get_by_label("Network").focus()
    stops = []
    while not stops or stops[-1][0] != "card":
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
        assert len(stops) < 20, stops
    print(f"\nstops of the Tab key from the network to the first card: {[s[:2] for s in stops]}")
    assert [stop[0] for stop in stops].count("sheet") == 1
    for stop in stops:
        assert stop[1] and stop[2:] == ["solid", "3px"], stop  # each has a name, each is seen
    page.get_by_role("slider", name="Filter").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("block3_conv2, filter 18:").wait_for(timeout=60 * SECOND)
    page.get_by_role("radio", name="18", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("block3_conv2, filter 19:").wait_for(timeout=60 * SECOND)
    page.get_by_label("Filter no.").fill("25")
    page.keyboard.press("Enter")
    page.get_by_text("block3_conv2, filter 25:").wait_for(timeout=60 * SECOND)
    card(page, "Feature picture").get_by_role("button", name="Save figure").focus()
    page.keyboard.press("Enter")
    card(page, "Feature picture").get_by_text("saved as").wait_for(timeout=20 * SECOND)


def test_a_long_run_is_cancelled_within_a_second(page):
    choose(page, steps=8)
    page.get_by_label("Steps").fill("4000")
    page.get_by_label("Steps").press("Enter")
    running = card(page, "Feature picture")
    running.get_by_text("left").wait_for(timeout=60 * SECOND)  # "2 %, about 90 s left"
    began = page.evaluate("() => performance.now()")
    running.get_by_role("button", name="Cancel").click()
    running.get_by_text("cancelled", exact=True).wait_for(timeout=10 * SECOND)
    took = (page.evaluate("() => performance.now()") - began) / 1000
    print(f"\ncancelled after {took:.2f} s")
    assert took <= 1
    shown = picture_of(page, "Feature picture")
    page.wait_for_timeout(2 * SECOND)
    assert picture_of(page, "Feature picture") == shown  # nothing comes late


def test_uploads_are_looked_at_and_a_wrong_file_is_named(page):
    choose(page, steps=8)
    page.get_by_label("Activation map", exact=True).check()
    finished(page, "Activation map")
    before = picture_of(page, "Activation map")
    upload(page, ("sky.png", "image/png", a_picture((20, 90, 220))),
           ("grass.png", "image/png", a_picture((30, 200, 40))),
           ("notes.txt", "text/plain", b"not a picture"))
    alert = page.get_by_role("alert")
    alert.wait_for(timeout=20 * SECOND)
    assert alert.inner_text().startswith("notes.txt is a text file")
    card(page, "Activation map").get_by_text("over sky.png").wait_for(timeout=60 * SECOND)
    assert picture_of(page, "Activation map") != before
    assert page.get_by_label("Picture", exact=True).locator("option").all_inner_texts()[:2] == [
        "sky.png", "grass.png"]
    remove_uploads(page)


def test_a_panel_that_cannot_be_drawn_says_why(page):
    choose(page, layer="block1_conv1", steps=8)
    page.get_by_label("Circuit sheet", exact=True).check()
    card(page, "Circuit sheet").get_by_role("alert").wait_for(timeout=60 * SECOND)
    assert "reads the picture itself" in card(page, "Circuit sheet").inner_text()
    page.get_by_label("Circuit sheet", exact=True).uncheck()


def test_two_filters_side_by_side(page):
    choose(page, steps=8, compare=True)
    numbers = page.get_by_label("Filter no.")
    numbers.nth(1).fill("5")
    numbers.nth(1).press("Enter")
    page.get_by_text("block3_conv2, filter 5:").wait_for(timeout=60 * SECOND)
    cards = card(page, "Feature picture")
    assert cards.count() == 2
    boxes = [cards.nth(i).bounding_box() for i in range(2)]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert cards.nth(0).locator("img").get_attribute("src") != cards.nth(1).locator(
        "img").get_attribute("src")


def test_what_is_shown_is_saved_and_its_call_can_be_copied(page, figures):
    choose(page)
    one = card(page, "Feature picture")
    from playwright.sync_api import TimeoutError

    for patience in (20, 20, 60):  # "done" may still be the climb's before: then nothing is saved
        one.get_by_role("button", name="Save figure").click()
        with contextlib.suppress(TimeoutError):
            one.get_by_text("saved as").wait_for(timeout=patience * SECOND)
            break
    (path,) = figures.glob("dashboard_feature_vgg16_block3_conv2_17.png")
    assert f"figs/{path.name}" in one.inner_text()  # the folder, too
    with page.expect_download() as saved:
        one.get_by_role("link", name="Download").click()
    assert Path(saved.value.path()).read_bytes() == path.read_bytes()
    with Image.open(path) as saved:
        written = json.loads(saved.info["Comment"])
    assert (written["layer"], written["filter"], written["steps"]) == ("block3_conv2", 17, 128)
    one.get_by_text("The call that makes this figure").click()
    assert "vz.maximize(net, 'block3_conv2', 17, steps=128" in one.locator("pre").inner_text()
    one.get_by_role("button", name="Copy the call").click()
    one.get_by_text("Copied").or_(one.get_by_text("press Ctrl+C")).wait_for(timeout=5 * SECOND)


def test_a_picture_of_17_MB_is_taken_and_all_are_counted_and_removed(page):
    choose(page, steps=8)
    upload(page, ("phone.png", "image/png", a_large_picture(17)))
    page.get_by_text("1 picture of yours").wait_for(timeout=60 * SECOND)
    page.locator(".vzd option:checked", has_text="phone.png").wait_for(
        state="attached", timeout=10 * SECOND)
    upload(page, ("second.png", "image/png", a_picture((90, 20, 20))))
    page.get_by_text("2 pictures of yours").wait_for(timeout=20 * SECOND)
    assert page.locator(".vzd-sending").inner_text() == ""
    assert page.locator(".vzd-upload").inner_text().strip() == "Add pictures"  # and no count of 0
    for name in ("second.png", "phone.png"):
        page.get_by_role("button", name=f"✕ {name}").click()
        page.get_by_role("button", name=f"✕ {name}").wait_for(state="detached")
    assert page.get_by_label("Picture", exact=True).locator(
        "option").first.inner_text().split() == "bull mastiff on a lead".split()


def test_what_the_server_cannot_take_is_said_and_not_sent(page, tmp_path):
    choose(page, steps=8)
    huge = tmp_path / "huge.png"
    huge.write_bytes(a_large_picture(205))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add pictures").click()
    chooser.value.set_files(huge)
    page.get_by_role("alert").filter(has_text="huge.png has 205").wait_for(timeout=60 * SECOND)
    assert "this server takes 200 MB at once" in page.get_by_role("alert").inner_text()
    upload(page, ("fine.png", "image/png", a_picture((9, 9, 200))))  # it goes on as before
    page.get_by_text("1 picture of yours").wait_for(timeout=20 * SECOND)
    assert page.get_by_role("alert").count() == 0
    page.get_by_role("button", name="✕ fine.png").click()


RUN = """
import base64, io, json, sys
import numpy as np
from PIL import Image
from techniques import dashboard

apart = {}
for title, (code, shown) in json.load(sys.stdin).items():
    scope = {}
    exec(code, scope)
    made, seen = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float) for content in (
        dashboard.encoded(scope["figure"]), base64.b64decode(shown)))
    apart[title] = float(abs(made - seen).mean()) if made.shape == seen.shape else 255.0
print("APART", json.dumps(apart))
"""


def test_every_panels_copied_code_makes_what_it_shows(page):
    """Pasted into a new process; a picture of the user's is looked at."""
    choose(page, steps=8)
    upload(page, ("mine.png", "image/png", a_picture((20, 90, 220))))
    page.get_by_text("1 picture of yours").wait_for(timeout=20 * SECOND)
    for title in TITLES:
        page.get_by_label(title, exact=True).check()
    codes = {}
    for title in TITLES:
        card(page, title).get_by_text("done", exact=True).wait_for(timeout=180 * SECOND)
        card(page, title).get_by_text("The call that makes this figure").click()
        codes[title] = (card(page, title).locator("pre").inner_text(),
                        picture_of(page, title).split(",")[1])
    done = subprocess.run([sys.executable, "-c", RUN], input=json.dumps(codes), text=True,
                          capture_output=True, timeout=600)
    assert "APART" in done.stdout, done.stderr[-2000:]
    apart = json.loads(done.stdout.split("APART")[1])
    print(f"\nmean difference in grey levels: {apart}")
    assert set(apart) == set(TITLES) and max(apart.values()) < 2, apart
    for title in TITLES[1:]:
        page.get_by_label(title, exact=True).uncheck()
    remove_uploads(page)


def test_wrong_numbers_are_answered(page):
    choose(page, steps=8)
    for typed in ("9999", "17.5", "-3", "abc"):
        field = page.get_by_label("Filter no.")
        field.fill(typed)
        field.press("Enter")
        alert = page.get_by_role("alert").filter(
            has_text=f"block3_conv2 has filters 0 to 255, not {typed}: 17 stays.")
        alert.wait_for(timeout=10 * SECOND)
        assert field.input_value() == "17"
    choose(page, filter=18, steps=8)
    assert page.get_by_role("alert").count() == 0


def test_going_back_to_a_filter_draws_nothing_again(page):
    choose(page, filter=40, steps=16)
    choose(page, filter=41, steps=16)
    page.evaluate(WATCH, "img")
    page.get_by_role("button", name="Back").click()
    card(page, "Feature picture").get_by_text("block3_conv2, filter 40:").wait_for(
        timeout=20 * SECOND)
    took = page.evaluate("() => (performance.now() - window.began) / 1000")
    print(f"\nback after {took:.2f} s")
    page.wait_for_timeout(500)
    assert page.evaluate("() => document.querySelectorAll('img.vzd-live').length") == 0
    assert took <= 0.5 * busy()
    choose(page, filter=41, steps=16)
    assert card(page, "Feature picture").get_by_text("done", exact=True).count() == 1


def test_an_address_can_be_shared(page, browser, address):
    choose(page, layer="block2_conv2", filter=9, steps=8)
    page.wait_for_function("() => location.search.includes('filter=9')", timeout=10 * SECOND)
    shared = page.url
    assert "layer=block2_conv2" in shared and "steps=8" in shared
    other = browser.new_page()
    other.goto(shared, timeout=180 * SECOND)
    other.get_by_text("block2_conv2, filter 9:").wait_for(timeout=180 * SECOND)
    assert other.get_by_label("Steps").input_value() == "8"
    other.goto(f"{address}/?layer=block9&shown=", timeout=180 * SECOND)
    other.get_by_role("alert").filter(has_text="block9").wait_for(timeout=180 * SECOND)
    other.close()


def test_a_kernels_tile_leads_to_its_channel(page):
    choose(page, steps=8)
    page.get_by_label("Ten kernels", exact=True).check()
    tile = card(page, "Ten kernels").locator(".vzd-tile").first
    tile.wait_for(timeout=60 * SECOND)
    number = tile.inner_text().split()[0]
    tile.click()
    page.get_by_text(f"block3_conv1, filter {number}:").wait_for(timeout=60 * SECOND)
    assert f"block3_conv2 17 › block3_conv1 {number}" in page.locator(".vzd").first.inner_text()
    page.get_by_role("button", name="Back").click()
    page.get_by_text("block3_conv2, filter 17:").wait_for(timeout=20 * SECOND)
    page.get_by_label("Ten kernels", exact=True).uncheck()


def test_activation_map_comes_first_with_all_panels_ticked(page):
    choose(page, steps=16)  # the circuit sheet's ten pictures take longer than the bound even so
    for title in TITLES:
        page.get_by_label(title, exact=True).check()
    for title in TITLES:
        card(page, title).get_by_text("done", exact=True).wait_for(timeout=240 * SECOND)
    page.evaluate("() => { window.began = performance.now(); }")
    page.get_by_role("radio", name="23", exact=True).check(force=True)
    card(page, "Activation map").get_by_text("block3_conv2, filter 23 over").wait_for(
        timeout=60 * SECOND)
    took = page.evaluate("() => (performance.now() - window.began) / 1000")
    card(page, "Feature picture").locator("img.vzd-live").wait_for(timeout=60 * SECOND)
    feature = page.evaluate("() => (performance.now() - window.began) / 1000")
    print(f"\nall panels ticked: activation map after {took:.2f} s, first frame of the feature "
          f"picture after {feature:.2f} s; load {busy():.1f}")
    assert took <= 1.5 * busy()
    for title in TITLES[1:]:
        page.get_by_label(title, exact=True).uncheck()


def test_built_pages_are_given_out_and_nothing_else(page, address):
    built = ROOT / "build" / "explorer" / "index.html"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text("<title>a stand-in of the browser test</title>")
    found = {path: page.request.get(f"{address}/voila/files/{path}").status for path in (
        "build/explorer/index.html", "vizutils.py", "build/uploads/a.png", "README.md")}
    stand_in = built.stat().st_size < 60
    if stand_in:
        built.unlink()
    assert found == {"build/explorer/index.html": 200, "vizutils.py": 403,
                     "build/uploads/a.png": 403, "README.md": 403}


def test_axe_finds_nothing_serious(page):
    choose(page, steps=8, compare=True)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        paper = page.locator(".vzd").first.evaluate("it => getComputedStyle(it).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (theme == "light"), paper
        if os.environ.get("VIZUTILS_SHOTS"):
            page.screenshot(path=f"{os.environ['VIZUTILS_SHOTS']}/dashboard_{theme}.png")
        found = Axe().run(page, context=".vzd").response["violations"]
        said = [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]
        print(f"\naxe, {theme}: {said}")
        assert not [one for one in said if one[1] in ("serious", "critical")]
    page.emulate_media(color_scheme="light")
    open_second_side(page, False)


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_label("Ten kernels", exact=True).check()
    choose(page, steps=8, compare=True)
    finished(page, "Ten kernels")
    wide = page.evaluate("""() => [...document.querySelectorAll('.vzd *')].filter(element =>
        element.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)""")
    assert wide == []


def test_every_control_has_a_name(page):
    nameless = page.evaluate("""() => [...document.querySelectorAll(
        '.vzd button, .vzd select, .vzd input:not([type=file])')].filter(element =>
        !element.textContent.trim() && !element.title && !element.labels?.length &&
        !element.getAttribute('aria-label')).map(e => e.outerHTML.slice(0, 120))""")
    assert nameless == []
    assert page.locator(".vzd img:not([alt])").count() == 0
