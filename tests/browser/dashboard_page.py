"""What the tests of the dashboard's page share: how a reader finds and handles its parts."""

import io
import os

import numpy as np
from PIL import Image

SECOND = 1000  # Playwright counts in milliseconds
FIRST_FRAME = 2.0  # seconds, for a block 3 layer not yet traced


def busy():
    """How many times the cores are over-committed; 1 on a machine that is at rest."""
    return max(1.0, os.getloadavg()[0] / os.cpu_count())


def open_second_side(page, wanted):
    button = page.get_by_role("button", name="Compare")
    if ("mod-active" in button.get_attribute("class")) != wanted:
        button.click()
    card(page, "Feature picture").nth(1).wait_for(state="attached" if wanted else "detached")


def choose(page, *, layer="block3_conv2", filter=17, steps=128, compare=False):
    """Put the dashboard into a known state, and wait until it has drawn it."""
    open_second_side(page, False)  # the second side would begin with what the first shows now
    page.get_by_label("Layer").first.select_option(layer)
    for label, value in (("Steps", steps), ("Filter no.", filter)):
        page.get_by_label(label).first.fill(str(value))
        page.get_by_label(label).first.press("Enter")
    card(page, "Feature picture").first.get_by_text(f"{layer}, filter {filter}:").wait_for(
        timeout=120 * SECOND)
    finished(page, "Feature picture")
    if compare:
        open_second_side(page, True)


def card(page, title):
    return page.locator(".vzd-card").filter(has=page.get_by_role("heading", name=title))


def finished(page, title):
    card(page, title).first.get_by_text("done", exact=True).wait_for(timeout=120 * SECOND)


def picture_of(page, title):
    return card(page, title).locator("img").get_attribute("src")


def upload(page, *files):
    """Give files as a reader does: through the button's file dialogue."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add pictures").click()
    chooser.value.set_files([{"name": name, "mimeType": kind, "buffer": content}
                             for name, kind, content in files])


def remove_uploads(page):
    """Take all pictures of the user's away."""
    while page.locator(".vzd button", has_text="✕").count():
        page.locator(".vzd button", has_text="✕").first.click()
        page.wait_for_timeout(300)


def a_picture(colour):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)) // 2 + np.array(colour) // 2
    Image.fromarray(pixels.astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def a_large_picture(megabytes):
    """A PNG that cannot be made smaller: noise."""
    side = round((megabytes * 1e6 / 3) ** 0.5)
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), "uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
