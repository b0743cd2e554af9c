"""The dashboard's page as it opens, as it is shared and as it vanishes: each test has its own.

What is done on a page that is there is in `test_dashboard_browser.py`.
"""

import os
import re
import time
from pathlib import Path

from dashboard_page import FIRST_FRAME, SECOND, busy, card, finished
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURE = 150_000  # bytes of the picture for readers


def test_a_click_right_at_the_start_is_answered(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/?shown=feature&steps=32", timeout=180 * SECOND)
    tile = page.get_by_role("radio", name="22", exact=True)
    tile.wait_for(state="attached", timeout=180 * SECOND)
    began = page.evaluate("() => performance.now()")
    tile.check(force=True)
    card(page, "Feature picture").get_by_text("block3_conv2, filter 22").first.wait_for(
        timeout=60 * SECOND)
    took = (page.evaluate("() => performance.now()") - began) / 1000
    print(f"\na click at once was answered after {took:.1f} s")
    assert page.get_by_label("Filter no.").input_value() == "22"
    assert took <= FIRST_FRAME * busy()
    page.close()


def test_the_picture_of_it_for_readers(browser, address, tmp_path):
    """As the README and companion 6 show it; VIZUTILS_PICTURE=1 renews the committed one."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{address}/?shown=feature,patches,activation&steps=64", timeout=180 * SECOND)
    for title in ("Activation map", "Feature picture", "Strongest patches"):
        card(page, title).get_by_text("done", exact=True).wait_for(timeout=180 * SECOND)
    page.wait_for_timeout(SECOND)
    assert page.locator(".vzd-sheet div label").count() == 256
    assert page.locator(".vzd-sheet").bounding_box()["y"] < 300  # nothing to read before it
    assert card(page, "Feature picture").bounding_box()["y"] < 560
    committed = ROOT / "figures" / "dashboard.jpg"
    target = committed if os.environ.get("VIZUTILS_PICTURE") else tmp_path / committed.name
    page.screenshot(path=target, type="jpeg", quality=52)
    page.close()
    assert committed.stat().st_size <= PICTURE  # another sheet may have been drawn here
    with Image.open(committed) as shown, Image.open(target) as now:
        assert shown.size == now.size == (1280, 900)


def test_what_a_loading_page_missed_is_told_again(browser, address):
    """ipywidgets loses what the kernel tells between the states a page asks for and their use."""
    page, arrived, lost, losing = browser.new_page(), [], [], []

    def lose(page_side):
        kernel = page_side.connect_to_server()

        def to_kernel(message):
            if b'"event":"click"' in as_bytes(message):
                arrived.append(message)
            kernel.send(message)

        def to_page(message):
            if losing and re.search(rb'"method": ?"update"', as_bytes(message)):
                lost.append(as_bytes(message))
            else:
                page_side.send(message)

        page_side.on_message(to_kernel)
        kernel.on_message(to_page)

    page.route_web_socket(re.compile("/channels"), lose)
    page.goto(f"{address}/?shown=activation", timeout=180 * SECOND)
    finished(page, "Activation map")
    assert len(arrived) == 1  # nobody clicked: the script says that the page is there
    losing.append(True)
    page.get_by_label("Layer").first.select_option("block3_conv3")
    until = time.monotonic() + 120
    while not any(b'"done"' in message for message in lost):
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    losing.clear()
    assert card(page, "Activation map").get_by_text("block3_conv3").count() == 0
    page.locator(".vzd-arrived").evaluate("button => button.click()")  # as the script does
    card(page, "Activation map").get_by_text("block3_conv3").first.wait_for(timeout=60 * SECOND)
    finished(page, "Activation map")
    page.close()


def as_bytes(message):
    return message.encode() if isinstance(message, str) else message


def test_a_kernel_whose_page_vanished_is_ended(browser, serving, tmp_path):
    """The page does not say good-bye: its connection is cut, as when a phone loses its network."""
    quick = ("--no-browser", "--Voila.ip=127.0.0.1", "--MappingKernelManager.cull_interval=2",
             "--MappingKernelManager.cull_idle_timeout=3")
    with serving(["tools.serve", "dashboard", *quick], tmp_path, "voila/static/",
                 PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3") as address:
        page = browser.new_page()
        page.add_init_script("navigator.sendBeacon = () => true")
        page.goto(f"{address}/?shown=feature&steps=8", timeout=180 * SECOND)
        finished(page, "Feature picture")
        page.wait_for_timeout(8 * SECOND)  # a kernel that is looked at stays
        assert "Kernel shutdown" not in (tmp_path / "log").read_text()
        page.goto("about:blank")
        until = time.monotonic() + 60
        while "Culling" not in (tmp_path / "log").read_text():
            assert time.monotonic() < until, (tmp_path / "log").read_text()[-1000:]
            time.sleep(0.5)
        page.close()
