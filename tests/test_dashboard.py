"""The dashboard without a browser: panels, the runner, and widgets moved by code.

The same tests pass with ipywidgets 7.7.1 and 8; the browser's are in tests/browser.
"""

import base64
import dataclasses
import datetime
import html
import io
import re
import threading
import time
from pathlib import Path

import ipywidgets as widgets
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import vizutils as vz
from techniques import dashboard
from techniques.dashboard import panels

FAST = {"size": 32, "steps": 2}


@pytest.fixture
def pictures(noise):
    """Four noise pictures with names."""
    return vz.ImageSet(("a", "b", "c", "d"), np.full(4, -1), 64, noise)


@pytest.fixture
def view(tiny, pictures):
    return dashboard.View(tiny, "block2_conv2", 3, pictures, 1, **FAST)


@pytest.fixture
def board(tiny, pictures, tmp_path):
    """A dashboard of the tiny VGG that shows only what is quick."""
    made = dashboard.Dashboard(tiny, layer="block2_conv2", filter=3, images=pictures,
                               shown=["kernels"], folder=tmp_path, uploads=tmp_path / "up",
                               **FAST)
    yield made
    made.close()


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


def finished(card):
    wait_for(lambda: card.view is not None and not card.working)
    return card


def png(picture):
    return Image.open(io.BytesIO(picture))


# --- panels -----------------------------------------------------------------------------


class Watcher(dashboard.Task):
    """Keeps what a panel tells."""

    def __init__(self):
        self.shares, self.frames = [], []

    def show(self, picture, alt):
        self.frames.append(picture)

    def progress(self, done, of):
        self.shares.append(done / of)


@pytest.mark.parametrize("name", [n for n in dashboard.PANELS if n != "attribution"])
def test_a_panel_grows_and_its_call_makes_the_same_figure(name, view):
    watcher = Watcher()
    figure, alt = dashboard.PANELS[name].draw(view, watcher)
    scope = {"net": view.net, "pictures": view.pictures}
    exec(dashboard.PANELS[name].call(view), scope)
    assert dashboard.encoded(scope["figure"]) == dashboard.encoded(figure)
    assert "block2_conv2" in alt and alt.endswith(".")
    if name in ("feature", "accentuation", "inversion", "circuit"):
        assert len(watcher.frames) == view.steps and watcher.shares[-1] == 1
        assert all(frame.ndim == 3 and frame.shape[-1] == 3 for frame in watcher.frames)
        assert np.abs(watcher.frames[-1] - watcher.frames[0]).max() > 1
    assert watcher.shares == sorted(watcher.shares)


@pytest.mark.parametrize("preset", vz.PRESETS)
def test_a_recipe_decides_the_filters_picture(preset, view):
    plain, chosen = (dataclasses.replace(view, preset=one) for one in (None, preset))
    figure, _ = dashboard.draw("feature", chosen)
    scope = {"net": view.net}
    exec(dashboard.PANELS["feature"].call(chosen), scope)
    assert dashboard.encoded(scope["figure"]) == dashboard.encoded(figure)
    assert dashboard.encoded(figure) != dashboard.encoded(dashboard.draw("feature", plain)[0])
    assert f"preset={preset!r}" in dashboard.PANELS["feature"].call(chosen)
    assert chosen.parameters["preset"] == preset


def test_the_chosen_picture_is_accentuated(view):
    other = dataclasses.replace(view, picture=3)
    (first, said), (second, _) = (dashboard.draw("accentuation", v) for v in (view, other))
    assert dashboard.encoded(first) != dashboard.encoded(second)
    shown = first.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, dashboard.resized(view.image, view.size), atol=1)
    assert "block2_conv2, filter 3 sees in b" in said
    before, after = map(float, re.search(r"≈ (-?[\d.]+) → ≈ (-?[\d.]+)", said).groups())
    assert after >= before


def test_attribution_of_the_real_network(vgg16):
    pictures = vz.load_images(size=64).subset([3])
    view = dashboard.View(vgg16, "block3_conv2", 17, pictures)
    figure, alt = dashboard.draw("attribution", view)
    scope = {"net": vgg16, "pictures": pictures}
    exec(dashboard.PANELS["attribution"].call(view), scope)
    assert dashboard.encoded(scope["figure"]) == dashboard.encoded(figure)
    (name,), = [[row[1] for row in rows] for rows in vz.classify(vgg16, pictures.images, top=1)]
    assert repr(name) in alt and "distilled head" in alt


@pytest.mark.parametrize(("name", "change", "message"), [
    ("attribution", {}, "classifier"),
    ("circuit", {"layer": "block1_conv1"}, "reads the picture itself"),
    ("patches", {"layer": "block5_conv3"}, "padding"),
    ("unheard", {}, "there are feature, patches"),
])
def test_what_cannot_be_shown_is_said(name, change, message, tiny, pictures):
    view = dashboard.View(tiny, **{"layer": "block2_conv2", "filter": 3, **change},
                          pictures=pictures, **FAST)
    with pytest.raises(ValueError, match=message):
        dashboard.draw(name, view)


def test_frames_are_dense_at_first_and_end_with_the_last_step():
    assert panels._stops(128, 96)[:4] == [1, 2, 4, 8]
    assert panels._stops(128, 96)[-1] == 128
    assert panels._stops(5, 400) == [1, 2, 3, 4, 5]
    assert panels._stops(1, 96) == [1]


def test_maxima_of_a_layer_are_found_once(view, monkeypatch):
    first = dashboard.draw("patches", view)[1]
    monkeypatch.setattr(vz, "image_maxima", lambda *a, **o: pytest.fail("found again"))
    assert dashboard.draw("patches", view)[1] == first


def test_own_pictures_come_first(pictures, noise):
    own = {"mine": noise[2] / 2}
    joined = dashboard.join(pictures, own)
    assert joined.names == ("mine", "a", "b", "c", "d")
    np.testing.assert_array_equal(joined.images[0], own["mine"])
    np.testing.assert_array_equal(joined.images[1:], pictures.images)
    assert dashboard.join(pictures, {}) is pictures


# --- the runner -------------------------------------------------------------------------


class Ear(dashboard.Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.heard, self.over = [], threading.Event()

    def began(self):
        self.heard.append("began")

    def shown(self, picture, alt):
        self.heard.append(alt)

    def progressed(self, share, seconds_left):
        self.heard.append((share, seconds_left))

    def ended(self, problem):
        self.heard.append(("ended", problem))
        self.over.set()


@pytest.fixture
def runner():
    made = dashboard.Runner(pause=0)
    yield made
    made.close()


def test_a_job_is_heard_from_beginning_to_end(runner):
    ear = Ear()

    def work(task):
        task.progress(0, 4)
        time.sleep(0.05)
        task.progress(1, 4)
        task.show(None, "half")
        return None, "whole"

    runner.submit("here", work, ear)
    assert ear.over.wait(5)
    assert ear.heard[0] == "began" and ear.heard[1] == (0, None)
    share, left = ear.heard[2]
    assert share == 0.25 and 0.1 < left < 2  # three times as long again as the 0.05 s so far
    assert ear.heard[3:] == ["half", "whole", ("ended", "")]


def test_a_new_job_cancels_the_old_one_and_drops_what_it_says(runner):
    old, new, inside, go = Ear(), Ear(), threading.Event(), threading.Event()
    ended = []

    def stubborn(task):
        inside.set()
        go.wait(5)
        try:
            task.show(None, "stale")
        finally:
            ended.append("unwound")

    first = runner.submit("here", stubborn, old)
    assert inside.wait(5)
    second = runner.submit("here", lambda task: (None, "fresh"), new)
    go.set()
    assert new.over.wait(5)
    assert second > first and ended == ["unwound"]
    assert old.heard == ["began"]
    assert new.heard == ["began", "fresh", ("ended", "")]


def test_even_a_result_that_is_ready_is_dropped_when_stale(runner):
    ear, inside, go = Ear(), threading.Event(), threading.Event()

    def deaf(task):  # never asks, never tells
        inside.set()
        go.wait(5)
        return None, "stale"

    runner.submit("here", deaf, ear)
    assert inside.wait(5)
    assert runner.cancel("here") and not runner.cancel("here")
    go.set()
    after = Ear()
    runner.submit("there", lambda task: None, after)
    assert after.over.wait(5)
    assert ear.heard == ["began"]


def test_waiting_for_what_was_queued(runner):
    ended = []
    runner.submit("here", lambda task: time.sleep(0.1) or ended.append(1), Ear())
    assert runner.wait(5) and ended == [1]
    runner.submit("here", lambda task: time.sleep(1), Ear())
    assert not runner.wait(0.01)


def test_a_waiting_job_that_was_replaced_never_begins(runner):
    go, ears = threading.Event(), [Ear() for _ in range(3)]
    runner.submit("busy", lambda task: go.wait(5) and None, Ear())
    for ear in ears:
        runner.submit("here", lambda task: (None, "done"), ear)
    go.set()
    assert ears[2].over.wait(5)
    assert [ear.heard for ear in ears[:2]] == [[], []]


@pytest.mark.parametrize(("error", "words"), [
    (ValueError("filter 9 of 8:\nchoose another"), "filter 9 of 8: choose another"),
    (FileNotFoundError("no such folder"), "no such folder"),
    (KeyError("x"), "KeyError: 'x'"),
    (ZeroDivisionError(), "ZeroDivisionError: no reason given"),
])
def test_an_error_becomes_a_sentence_and_the_thread_lives_on(runner, error, words):
    def fail(task):
        raise error

    ear, after = Ear(), Ear()
    runner.submit("here", fail, ear)
    runner.submit("there", lambda task: None, after)
    assert after.over.wait(5)
    assert ear.heard == ["began", ("ended", words)]


@pytest.mark.parametrize(("seconds", "words"), [
    (0.2, "about 1 s left"), (42.4, "about 42 s left"), (300, "about 5 min left")])
def test_time_left_in_words(seconds, words):
    assert dashboard.in_words(seconds) == words


# --- files ------------------------------------------------------------------------------


def file_bytes(size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def test_uploads_of_both_releases_are_read_alike(tmp_path):
    content = file_bytes()
    seven = {"a.png": {"metadata": {"name": "a.png"}, "content": content}}
    eight = ({"name": "a.png", "type": "image/png", "size": 1, "content": memoryview(content)},)
    for value in (seven, eight):
        found, problem = dashboard.read_uploads(value, size=32, folder=tmp_path)
        assert list(found) == ["a.png"] and not problem
        np.testing.assert_allclose(found["a.png"].image,
                                   np.broadcast_to([200, 30, 30], (32, 32, 3)))
        assert found["a.png"].path.read_bytes() == content
    assert dashboard.read_uploads({}) == dashboard.read_uploads(()) == ({}, "")


def test_a_picture_for_a_network_of_ones_own_is_shown_whole(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype="uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    own = vz.load_images(pixels.astype("float32"), size=32, classes=["a", "b"])
    found, _ = dashboard.read_uploads({"a.png": {"content": buffer.getvalue()}}, size=own.size,
                                      crop=own.crop, folder=tmp_path)
    np.testing.assert_array_equal(found["a.png"].image, pixels)
    joined = dashboard.join(own, {"a.png": found["a.png"].image})
    assert joined.crop == own.crop == 1


def test_arrays_for_a_network_of_ones_own_do_not_cut_its_files(tiny, noise):
    own = dataclasses.replace(tiny, classes=tuple("ab"), name="own")
    board = dashboard.Dashboard(own, filter=1, images=noise, shown=(), networks=())
    assert board.pictures.crop == 1 and board.pictures.classes == ("a", "b")
    board.close()
    board = dashboard.Dashboard(tiny, filter=1, images=noise, shown=(), networks=())
    assert board.pictures.crop < 1
    board.close()


def test_names_are_shortened_between_words():
    assert dashboard.brief("Chinese tower above trees and a lake") == "Chinese tower …"
    assert len(dashboard.brief("stained-glass windows (the label says prayer rug)")) <= 20
    assert dashboard.brief("IMG_20261201_121212345.jpeg") == "IMG_20261201_1212123"
    assert dashboard.brief("coins") == "coins"


def test_patches_come_first_once_the_answers_are_known(view):
    before = dashboard.PANELS["patches"].cost_of(view)
    assert before > dashboard.PANELS["feature"].cost_of(view)
    dashboard.draw("patches", view)
    assert dashboard.PANELS["patches"].cost_of(view) < dashboard.PANELS["feature"].cost_of(view)


def test_good_uploads_are_kept_and_bad_ones_named(tmp_path):
    files = {"a.png": file_bytes(), "notes.txt": b"hello", "cut.png": file_bytes()[:60],
             "raw.nef": file_bytes()}
    found, problem = dashboard.read_uploads(
        {name: {"content": content} for name, content in files.items()}, size=32, folder=tmp_path)
    assert list(found) == ["a.png"] and len(list(tmp_path.glob("*/*"))) == 1
    assert problem.startswith("notes.txt is a text file")
    assert "cut.png is damaged" in problem and "raw.nef is of a kind that is not read" in problem


SHEET = {"size": 16, "steps": 2, "batch": 4}


def test_a_sheet_is_found_only_for_these_weights(tiny, tmp_path):
    assert dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path) is None
    drawn = vz.atlas(tiny, "block2_conv1", folder=tmp_path, progress=False, **SHEET)
    found = dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path)
    tiles = np.asarray(found.tiles([4, 99, 1], 16))
    np.testing.assert_array_equal(tiles[:, :16], drawn.images[4])
    assert (tiles[:, 16:32] == 0x88).all()
    np.testing.assert_array_equal(tiles[:, 32:], drawn.images[1])
    drawn.index.with_name("index.json").write_text("{}")
    assert dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path) is None
    drawn = vz.atlas(tiny, "block2_conv1", folder=tmp_path, progress=False, **SHEET)
    assert dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path) is not None
    layer = tiny.model.get_layer("block1_conv1")
    layer.set_weights([2 * w for w in layer.get_weights()])
    assert dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path) is None


def test_a_sheet_shows_what_excites_most_and_the_largest_of_its_pictures(tiny, tmp_path):
    def atlas(**options):
        return vz.atlas(tiny, "block2_conv1", folder=tmp_path, progress=False, **SHEET | options)

    atlas(sign=-1)  # the explorer draws these too
    assert dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path) is None
    atlas()
    for more in ({"size": 24}, {"size": 24, "steps": 1}, {"size": 8}, {"size": 32, "sign": -1}):
        atlas(**more)
    large = atlas(size=24).images
    found = dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path)
    np.testing.assert_array_equal(np.asarray(found.tiles([3], 24)), large[3])


def test_a_cancelled_sheet_keeps_what_is_finished_and_goes_on(tiny, tmp_path):
    class Impatient(Watcher):
        def progress(self, done, of):
            super().progress(done, of)
            if done > 4:
                raise dashboard.Cancelled

    with pytest.raises(dashboard.Cancelled):
        dashboard.draw_sheet(tiny, "block2_conv1", Impatient(), folder=tmp_path, **SHEET)
    assert list(dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path).boxes) == [0, 1, 2, 3]
    watcher = Watcher()
    dashboard.draw_sheet(tiny, "block2_conv1", watcher, folder=tmp_path, **SHEET)
    assert len(dashboard.find_sheet(tiny, "block2_conv1", folder=tmp_path).boxes) == 6
    assert watcher.shares == sorted(watcher.shares) and watcher.shares[-1] == 1


# --- widgets ----------------------------------------------------------------------------


def test_it_begins_with_what_it_was_asked_for(board):
    side = board.sides[0]
    assert (side.layer.value, side.filter.value, side.slider.max) == ("block2_conv2", 3, 5)
    card = finished(side.cards["kernels"])
    assert 'alt="The 6 largest kernels of block2_conv2, filter 3' in card.picture.value
    assert "rank_kernels(net, &#x27;block2_conv2&#x27;, 3)" in card.code.value
    assert repr(board) == ("Dashboard of tiny_vgg: block2_conv2, filter 3 (run the notebook to "
                           "use it)")


def test_slider_number_and_sheet_say_the_same(board):
    side = board.sides[0]
    side.slider.value = 4
    assert side.filter.value == 4
    side.sheet.tiles.index = 1
    assert side.slider.value == side.filter.value == 1
    assert "filter 1" in finished(side.cards["kernels"]).picture.value


def test_another_layer_brings_its_filters(board):
    side = board.sides[0]
    side.filter.value = 5
    side.layer.value = "block1_conv1"
    assert side.filter.value == side.slider.max == 3
    assert len(side.sheet.tiles.options) == 4
    assert "block1_conv1, filter 3" in finished(side.cards["kernels"]).picture.value


def test_only_what_changed_is_drawn_again(board):
    card = finished(board.sides[0].cards["kernels"])
    before = card.view
    board.sides[0].picture.index = 2
    board.steps.value = 3
    assert card.view is before  # kernels look at no picture and climb nowhere
    board.sides[0].filter.value = 2
    assert card.view is not before


def test_another_recipe_draws_the_filters_picture_anew(board):
    board.ticks["feature"].value = True
    side = board.sides[0]
    card, kernels = finished(side.cards["feature"]), finished(side.cards["kernels"]).view
    before = card.picture.value
    board.preset.value = "natural_spectrum"
    assert finished(card).picture.value != before and side.cards["kernels"].view is kernels
    assert "preset=&#x27;natural_spectrum&#x27;" in card.code.value


def test_the_default_recipe_can_be_chosen_again(board):
    board.preset.value = "natural_spectrum"
    board.preset.index = 0  # what the browser sends
    assert board.preset.label == "default" and board.preset.index == 0
    assert board.sides[0].view.preset is None and "preset" not in board.choices


def test_a_panel_is_drawn_when_it_is_ticked(board):
    board.ticks["activation"].value = True
    board.ticks["kernels"].value = False
    side = board.sides[0]
    assert side.board.children == (side.cards["activation"].widget,)
    assert "over a:" in finished(side.cards["activation"]).words.value


def test_cancel_and_draw_again(board):
    side, card = board.sides[0], board.sides[0].cards["feature"]
    board.steps.value = 4000
    board.ticks["feature"].value = True
    wait_for(lambda: "left" in card.status.value)
    card.switch.click()
    assert (card.status.value, card.switch.description) == ("cancelled", "Draw again")
    frame = card.picture.value
    time.sleep(0.2)
    assert card.picture.value == frame and card.save.disabled
    board.steps.value = 2
    assert "block2_conv2, filter 3:" in finished(card).words.value
    assert not card.save.disabled and side.cards["feature"].bar.value == 1


def test_an_error_is_a_sentence_in_the_panel(board):
    board.ticks["attribution"].value = True
    card = finished(board.sides[0].cards["attribution"])
    assert 'role="alert"' in card.words.value and "classifier" in card.words.value
    assert card.save.disabled and card.picture.value == ""
    assert card.switch.description == "Draw again"


def test_a_warning_is_said_below_the_figure(board):
    board.sides[0].layer.value = "block5_conv3"
    board.ticks["feature"].value = True
    assert "Note: a unit of block5_conv3 sees" in finished(
        board.sides[0].cards["feature"]).words.value


def test_two_sides_are_chosen_apart(board):
    board.compare.value = True
    first, second = board.sides
    assert second.filter.value == 3 and len(board._columns.children) == 2
    second.filter.value = 5
    assert first.filter.value == 3
    assert "filter 3" in finished(first.cards["kernels"]).picture.value
    assert "filter 5" in finished(second.cards["kernels"]).picture.value
    board.compare.value = False
    assert board._columns.children == (first.widget,)


def upload(board, *files):
    """What the browser sends, in the form of the installed release."""
    if int(widgets.__version__.split(".")[0]) < 8:
        value = {name: {"metadata": {"name": name}, "content": content} for name, content in files}
    else:
        now = datetime.datetime.now(datetime.UTC)
        value = tuple({"name": name, "type": "", "size": len(content), "content": content,
                       "last_modified": now} for name, content in files)
    board.upload.set_trait("value", value)


def test_uploads_are_offered_and_the_first_is_chosen(board):
    board.compare.value = True
    board.sides[1].picture.index = 2
    upload(board, ("mine.png", file_bytes()), ("notes.txt", b"hello"))
    assert board.sides[0].picture.options == ("mine.png", "a", "b", "c", "d")
    assert [side.picture.value for side in board.sides] == ["mine.png", "c"]
    assert "notes.txt is a text file" in board.message.value
    np.testing.assert_allclose(board.sides[0].view.image[5, 5], [200, 30, 30])
    assert board.upload.value == () or isinstance(board.upload.value, dict)  # 8 counts on it
    upload(board, ("other.png", file_bytes()))
    assert board.sides[0].picture.options[:2] == ("other.png", "mine.png")
    assert board.message.value == ""


def test_the_code_of_uploaded_pictures_makes_them(board, tmp_path, monkeypatch):
    upload(board, ("mine.png", file_bytes()), ("b.png", file_bytes((30, 30))))
    monkeypatch.chdir(tmp_path)  # wherever it is pasted
    scope = {"net": None, "pictures": board._first, "vz": vz}
    exec(board.sides[0].view.code["pictures"], scope)
    np.testing.assert_array_equal(scope["pictures"].images, board.pictures.images)
    assert scope["pictures"].names == board.pictures.names


def test_two_pictures_of_one_name_are_two(board):
    other = file_bytes((30, 30))
    upload(board, ("image.png", file_bytes()))
    upload(board, ("image.png", other))
    upload(board, ("image.png", file_bytes()))  # the first one again
    assert set(board.sides[0].picture.options[:2]) == {"image.png", "image (2).png"}
    assert board.sides[0].picture.options[2:] == ("a", "b", "c", "d")
    assert board.mine.children[0].value.startswith("2 pictures of yours")
    scope = {"net": None, "pictures": board._first, "vz": vz}
    exec(board.sides[0].view.code["pictures"], scope)
    assert scope["pictures"].names == board.pictures.names


@pytest.mark.skipif(int(widgets.__version__.split(".")[0]) < 8, reason="a mapping cannot hold two")
def test_two_pictures_of_one_name_sent_together_are_two(board):
    upload(board, ("image.png", file_bytes()), ("image.png", file_bytes((30, 30))))
    assert set(board.sides[0].picture.options[:2]) == {"image.png", "image (2).png"}


def test_uploads_are_counted_and_removed_with_their_files(board, tmp_path):
    upload(board, ("mine.png", file_bytes()))
    upload(board, ("other.png", file_bytes((30, 30))))
    words, *buttons = board.mine.children
    assert words.value.startswith("2 pictures of yours")
    assert [button.description for button in buttons] == ["✕ other.png", "✕ mine.png"]
    buttons[0].click()
    assert board.sides[0].picture.options == ("mine.png", "a", "b", "c", "d")
    assert board.sides[0].picture.value == "mine.png"
    assert [path.name for path in (tmp_path / "up").glob("*/*")] == ["mine.png"]
    board.mine.children[1].click()
    assert board.pictures is board._first and board.mine.children[0].value == ""
    assert board.sides[0].picture.value == "a"


def test_what_is_shown_is_saved_with_its_parameters(board, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZUTILS_FIGURES", str(tmp_path / "figures"))
    card = finished(board.sides[0].cards["kernels"])
    card.save.click()
    (path,) = (tmp_path / "figures").iterdir()
    assert path.name == "dashboard_kernels_tiny_vgg_block2_conv2_3.png"
    with Image.open(path) as saved:
        assert '"filter": 3' in saved.info["Comment"]
        assert saved.info["Description"] == card.alt
    assert f"saved as {path}" in card.status.value  # the folder too
    assert 'download="dashboard_kernels_tiny_vgg_block2_conv2_3.png"' in card.status.value
    assert base64.b64encode(path.read_bytes()).decode() in card.status.value
    monkeypatch.setenv("VIZUTILS_FIGURES", str(path))  # a file, no folder
    card.save.click()
    assert 'role="alert"' in card.status.value and "not saved" in card.status.value


def test_a_sheet_is_drawn_only_when_asked_for(board, tmp_path):
    sheet = board.sides[0].sheet
    finished(board.sides[0].cards["kernels"])
    assert not list(tmp_path.glob("tiny_vgg*"))
    assert "background-image" not in sheet._look.value
    sheet.draw.click()
    wait_for(lambda: sheet.cancel.layout.display == "none", 60)
    assert len(sheet._found.boxes) == 6 and sheet.draw.layout.display == "none"
    assert "background-image" in sheet._look.value


def test_another_network_is_loaded_when_it_is_chosen(board, tiny, monkeypatch):
    side = board.sides[0]
    monkeypatch.setattr(vz, "load_network", lambda name, weights: tiny)
    side.network.value = "vgg16"
    wait_for(lambda: side.view.code["net"].startswith("net = vz.load_network('vgg16'"))
    assert (side.layer.value, side.filter.value) == ("block2_conv2", 3)  # it has them, too

    def refuse(name, weights):
        raise ValueError(f"no {name} here")

    monkeypatch.setattr(vz, "load_network", refuse)
    side.network.value = "efficientnet_lite0"
    wait_for(lambda: "no efficientnet_lite0 here" in side.message.value)
    assert side.network.value == "vgg16"


@pytest.mark.parametrize(("typed", "said"), [
    ("9999", "block2_conv2 has filters 0 to 5, not 9999: 3 stays."),
    ("17.5", "block2_conv2 has filters 0 to 5, not 17.5: 3 stays."),
    ("-1", "not -1: 3 stays."), ("", "not nothing: 3 stays."), ("three", "not three: 3 stays.")])
def test_a_wrong_number_changes_nothing_and_is_answered(typed, said, board):
    field = board.sides[0].filter
    field.widget.value = typed
    assert (field.value, field.widget.value) == (3, "3")
    assert said in board.sides[0].message.value and 'role="alert"' in board.sides[0].message.value
    field.widget.value = " 4 "
    assert (field.value, field.widget.value, board.sides[0].slider.value) == (4, "4", 4)
    assert board.sides[0].message.value == ""
    with pytest.raises(ValueError, match="has filters 0 to 5, not 6"):
        field.value = 6
    assert field.value == 4


def test_a_wrong_setting_is_answered_too(board):
    board.steps.widget.value = "1e3"
    assert "Steps takes whole numbers 1 to 4096, not 1e3: 2 stays." in board.message.value
    board.seed.widget.value = "7"
    assert board.seed.value == 7 and board.message.value == ""


def test_a_layer_without_the_filter_shows_another_until_one_has_it(board):
    side = board.sides[0]
    side.filter.value = 5
    side.layer.value = "block1_conv1"  # four filters
    assert side.filter.value == 3 and "not 5: 3 is shown" in side.message.value
    side.layer.value = "block2_conv2"
    assert side.filter.value == 5 and side.message.value == ""


def test_going_back_to_a_filter_draws_nothing(board, monkeypatch):
    side = board.sides[0]
    card = finished(side.cards["kernels"])
    before = card.picture.value, card.words.value, card.figure
    side.filter.value = 4
    finished(card)
    monkeypatch.setattr(board.runner, "submit", lambda *a, **o: pytest.fail("drawn again"))
    side.filter.value = 3
    assert (card.picture.value, card.words.value, card.figure) == before
    assert not card.working and not card.save.disabled and card.tiles.children


def test_what_is_recalled_is_not_overwritten_by_what_was_on_its_way(board):
    board.ticks["feature"].value = True
    side, card = board.sides[0], board.sides[0].cards["feature"]
    before = finished(card).picture.value
    board.steps.value = 4000
    wait_for(lambda: "left" in card.status.value)
    board.steps.value = 2
    assert card.picture.value == before and card.status.value == "done"
    time.sleep(0.3)
    assert card.picture.value == before and side.cards["feature"].view.steps == 2


def test_only_so_many_finished_panels_are_kept(view):
    kept, panel = dashboard.Kept(room=2), dashboard.PANELS["kernels"]
    views = [dataclasses.replace(view, filter=i) for i in range(3)]
    for i, one in enumerate(views):
        kept.add("kernels", panel, one, i)
        assert kept.find("kernels", panel, views[0]) == (0 if i < 2 or i == 2 else None)
    assert [kept.find("kernels", panel, one) for one in views] == [0, None, 2]
    assert kept.find("kernels", panel, dataclasses.replace(view, filter=0, steps=9)) == 0


def test_the_cheapest_of_those_that_wait_is_done_first(runner):
    go, order = threading.Event(), []
    runner.submit("busy", lambda task: go.wait(5) and None, Ear())
    for cost in (3, 1, 2):
        runner.submit(f"cost {cost}", lambda task, cost=cost: order.append(cost), Ear(), cost=cost)
    go.set()
    assert runner.wait(5) and order == [1, 2, 3]


def test_all_panels_are_drawn_in_the_order_of_their_cost(tiny, pictures):
    order = []
    panels = {name: dashboard.Panel(name, lambda view, task, name=name: (
        order.append(name), (Figure(), name))[1], lambda view: "", cost=cost)
        for name, cost in (("slow", 9), ("quick", 1), ("middle", 5))}
    board = dashboard.Dashboard(tiny, filter=1, images=pictures, panels=panels,
                                shown=list(panels), networks=())
    board.wait()
    assert order == ["quick", "middle", "slow"]
    board.close()
    costs = {name: panel.cost_of(board.view) for name, panel in dashboard.PANELS.items()}
    assert min(costs, key=costs.get) == "activation" and max(costs, key=costs.get) == "circuit"


def test_a_kernels_tile_leads_to_its_channel_and_back_leads_back(board):
    side = board.sides[0]
    card = finished(side.cards["kernels"])
    channels = vz.rank_kernels(side.net, "block2_conv2", 3)["channel"].tolist()
    tile = card.tiles.children[1]
    assert tile.description.split()[0] == str(channels[1])
    assert tile.tooltip.startswith(f"Go to block2_conv1, filter {channels[1]} (")
    assert side.back.disabled
    tile.click()
    assert (side.layer.value, side.filter.value) == ("block2_conv1", channels[1])
    assert side.trail.value == f"block2_conv2 3 › block2_conv1 {channels[1]}"
    side.filter.value = channels[0]
    side.back.click()
    assert (side.layer.value, side.filter.value) == ("block2_conv1", channels[1])
    side.back.click()
    assert (side.layer.value, side.filter.value) == ("block2_conv2", 3) and side.back.disabled
    assert side.trail.value == "block2_conv2 3"
    finished(card).tiles.children[0].click()
    assert side.filter.value == channels[0]


def test_the_circuits_tiles_lead_on_too_and_the_first_layers_have_none(view, tiny, pictures):
    leads = dashboard.PANELS["circuit"].leads(view)
    assert [lead.filter for lead in leads] == vz.rank_kernels(
        tiny, "block2_conv2", 3)["channel"].tolist()
    assert {lead.layer for lead in leads} == {"block2_conv1"}
    first = dashboard.View(tiny, "block1_conv1", 0, pictures, **FAST)
    assert dashboard.PANELS["kernels"].leads(first) == []


def test_figures_of_other_settings_have_files_of_their_own(board, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZUTILS_FIGURES", str(tmp_path / "figures"))
    board.ticks["feature"].value = True
    card = board.sides[0].cards["feature"]
    for change in (lambda: None, lambda: setattr(board.seed, "value", 3),
                   lambda: setattr(board.preset, "value", "lecture_rms")):
        change()
        finished(card).save.click()
    own = "dashboard_feature_tiny_vgg_block2_conv2_3_size_32_steps_2"
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{own}.png", f"{own}_seed_3.png", f"{own}_seed_3_preset_lecture_rms.png"}


def test_small_numbers_keep_a_decimal():
    said = [dashboard.panels.told(value) for value in (3.46, 2.7, -0.04, -21.6, 6095.2)]
    assert said == ["3.5", "2.7", "0.0", "-22", "6095"]


def test_a_wrong_setting_is_forgotten_once_another_is_chosen(board):
    board.seed.widget.value = "17.5"
    assert board.message.value
    board.steps.value = 3
    assert not board.message.value


def test_a_canvas_that_is_too_small_can_be_made_larger_by_a_button(board):
    board.sides[0].layer.value = "block4_conv1"
    board.ticks["feature"].value = True
    card = finished(board.sides[0].cards["feature"])
    board.sides[0].filter.value = 2  # said of each filter, not of the first alone
    assert "avoids" in finished(card).words.value and card.larger.layout.display == ""
    advised = int(re.search(r"size=(\d+) avoids", card.words.value)[1])
    assert card.larger.description == f"Draw at {advised} px"
    assert card.larger.layout.display == ""
    card.larger.click()
    assert board.size.value == advised
    finished(card)
    assert "avoids that" not in card.words.value and card.larger.layout.display == "none"


def test_frames_are_not_announced_but_the_figure_is(view):
    card = dashboard.Card("feature", dashboard.PANELS["feature"], "A")
    card.wait(view)
    card.shown(np.zeros((4, 4, 3)), "a frame")
    assert "a frame" in card.words.value and "role" not in card.words.value
    card.shown(Figure(), "the figure")
    assert 'role="status"' in card.words.value


def test_packaged_pictures_have_names_for_people(noise):
    packaged = vz.load_images(size=32)
    names = dashboard.names_of(packaged)
    assert len(set(names)) == len(packaged)
    assert names[packaged.names.index("chelsea")] == "head of a tabby cat"
    mine = vz.ImageSet(("chelsea", "moon", "c", "d"), np.full(4, -1), 64, noise)
    assert dashboard.names_of(mine) == mine.names  # files of somebody else


def test_what_is_chosen_is_a_call_and_an_address_that_open_it_again(board, tiny, pictures):
    side = board.sides[0]
    side.layer.value, side.filter.value = "block3_conv1", 7
    side.picture.index = 2
    board.compare.value = True
    board.sides[1].filter.value = 2
    said = board._state.value
    assert "history" not in said  # the address of a notebook is not the dashboard's
    assert "dashboard.Dashboard(" in board._call.value
    board._address = True
    board.tell()
    query = re.search(r"'\?([^']+)'", html.unescape(board._state.value))[1]
    wanted, problem = dashboard.asked(query)
    assert not problem and wanted == {
        "layer": "block3_conv1", "filter": 7, "picture": "c", "shown": ["kernels"], "size": 32,
        "steps": 2, "beside": ("block3_conv1", 2)} == board.choices
    again = dashboard.Dashboard(tiny, images=pictures, **wanted)
    assert again.choices == board.choices and again.sides[1].filter.value == 2
    again.close()


def test_a_page_that_has_come_is_told_again(board, monkeypatch):
    card, again = finished(board.sides[0].cards["kernels"]), []
    monkeypatch.setattr(widgets.Widget, "send_state", lambda self, key=None: again.append(self))
    board.arrived.click()  # as the script in the page does
    shown = {card.status, card.picture, card.bar, card.save, card.tiles, card.larger.layout,
             *card.tiles.children, board.sides[0].sheet.tiles, board.sides[0].message}
    assert shown <= set(again)
    assert again.index(card.tiles.children[0]) < again.index(card.tiles)  # what is held goes first


def test_both_sides_are_in_the_address(board, tiny, pictures, monkeypatch):
    monkeypatch.setattr(vz, "load_network", lambda name, weights: tiny)
    first, second = board.sides
    board.compare.value = True
    second.network.value = "vgg16"
    wait_for(lambda: second.view.code["net"].startswith("net = vz.load_network('vgg16'"))
    second.picture.index = 3
    assert board.choices["beside_network"] == "vgg16"
    assert board.choices["beside_picture"] == "d" and "picture" not in board.choices
    again = dashboard.Dashboard(tiny, images=pictures, **board.choices)
    assert again.choices == board.choices
    assert [side.picture.value for side in again.sides] == ["a", "d"]
    again.close()
    upload(board, ("mine.png", file_bytes()))
    assert "without your own picture" in board._call.value


def test_companion_6_shows_the_picture_that_the_browser_test_made():
    home = Path(vz.__file__).parent
    notebook = nbformat.read(home / "notebooks" / "6_dashboard.ipynb", as_version=4)
    (shown,) = [cell.attachments["dashboard.jpg"]["image/jpeg"] for cell in notebook.cells
                if "attachments" in cell]
    assert base64.b64decode(shown) == (home / "figures" / "dashboard.jpg").read_bytes()


def test_an_address_that_is_not_understood_is_answered():
    wanted, problem = dashboard.asked("layer=a&filter=x&colour=red&theme=dark&beside=b")
    assert wanted == {"layer": "a"}
    assert problem == ("filter=x in the address is not understood. colour in the address is not "
                       "known. beside=b in the address is not understood.")


def test_the_page_begins_where_it_can(tiny, pictures, monkeypatch):
    monkeypatch.setenv("QUERY_STRING", "layer=block9&filter=2")
    shown = dashboard.page(net=tiny, images=pictures, layer="block2_conv1", filter=1, shown=())
    board = shown.children[1]
    assert (board.view.layer, board.view.filter) == ("block2_conv1", 1)
    assert "block9" in board.message.value and 'role="alert"' in board.message.value
    board.close()
    for wrong, said in (("beside=block2_conv1/99", "0 to"), ("picture=z", "a, b, c, d"),
                        ("preset=mine", "lecture_rms"), ("network=mine", "tiny_vgg")):
        board = dashboard.page(f"{wrong}&filter=3&steps=5", net=tiny, images=pictures,
                               layer="block2_conv1", filter=1, shown=()).children[1]
        assert said in board.message.value and board.steps.value == 5  # the rest is kept
        assert board.view.filter == (1 if wrong == "network=mine" else 3)
        board.close()
    board = dashboard.page("filter=2", net=tiny, images=pictures, shown=()).children[1]
    assert board.view.filter == 2 and board.message.value == ""
    assert "history.replaceState(null, &#x27;&#x27;, &#x27;?layer=" in board._state.value
    board.close()


def test_the_explorer_is_linked_where_there_is_one(view, tmp_path, monkeypatch):
    from techniques.dashboard import side

    monkeypatch.setattr(side, "BUILD", tmp_path)
    assert side.elsewhere(view) == ""
    (tmp_path / "explorer").mkdir()
    (tmp_path / "explorer" / "index.html").write_text("")
    monkeypatch.delenv("VIZUTILS_FILES", raising=False)
    assert side.elsewhere(view).endswith("index.html#tiny_vgg/block2_conv2/3")
    monkeypatch.setenv("VIZUTILS_FILES", "/files/")
    assert 'href="/files/build/explorer/index.html#tiny_vgg/block2_conv2/3"' in side.elsewhere(view)


def test_the_script_knows_what_the_server_takes(monkeypatch):
    from techniques.dashboard import script

    monkeypatch.delenv("VIZUTILS_UPLOAD_MB", raising=False)
    assert "Number(10)" in script.script()
    monkeypatch.setenv("VIZUTILS_UPLOAD_MB", "200")
    assert "Number(200)" in script.script()


def test_a_panel_of_ones_own(tiny, pictures):
    def blank(view, task):
        return Figure(), f"nothing of {view.title}"

    panels = {**dashboard.PANELS, "blank": dashboard.Panel("Blank", blank, lambda view: "")}
    board = dashboard.Dashboard(tiny, filter=1, images=pictures, panels=panels, shown=["blank"],
                                networks=())
    assert "nothing of block3_conv2, filter 1" in finished(
        board.sides[0].cards["blank"]).words.value
    board.close()


@pytest.mark.parametrize(("asked", "message"), [
    ({"layer": "block9"}, "not found"), ({"filter": 99}, "filters 0 to"),
    ({"shown": ["nothing"]}, "panel 'nothing' not found"), ({"picture": "z"}, "there are a, b"),
    ({"network": "mine.keras"}, "there are tiny_vgg"), ({"preset": "oil"}, "lecture_rms"),
    ({"beside": ("block9", 1)}, "not found"), ({"steps": 0}, "Steps takes 1 to 4096, not 0")])
def test_bad_input(asked, message, tiny, pictures):
    with pytest.raises(ValueError, match=message):
        dashboard.Dashboard(tiny, images=pictures, networks=(), **{"filter": 1, **asked})
