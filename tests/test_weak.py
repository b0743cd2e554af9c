"""An ascent that ends below the photographs is said to be weak wherever it is drawn."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import vizutils as vz
from engine import ascent as kept
from engine.atlas_store import contact_sheet

LAYER = "block2_conv1"


def drawn(tiny, percentiles, **options):
    """A short ascent, and the same with percentiles of our own."""
    found = vz.maximize(tiny, LAYER, range(len(percentiles)), size=24, steps=1, **options)
    return dataclasses.replace(found, report=found.report.assign(percentile=percentiles))


def texts(figure):
    return [axes.get_title() for axes in figure.axes if axes.images] + [
        text.get_text() for text in figure.texts]


@pytest.mark.parametrize(("percentile", "note"), [
    (94.9, "weak: above 94 %"), (95.0, ""), (100.0, ""), (0.0, "weak: above 0 %"),
    (float("nan"), ""), (None, "")])
def test_weak_is_what_ends_below_the_95th_percentile(percentile, note):
    assert kept.weak_note(percentile) == note


def test_a_reference_above_the_picture_makes_it_weak_one_below_does_not(tiny):
    for level, weak in ((1e6, True), (-1e6, False)):
        found = vz.maximize(tiny, LAYER, [0, 1], size=24, steps=1,
                            reference=np.full((5, 6), level))
        assert [bool(note) for note in found.notes] == [weak] * 2


def test_what_excites_least_need_not_beat_photographs(tiny):
    low = vz.maximize(tiny, LAYER, [0, 1], size=24, steps=1, sign=-1,
                      reference=np.full((5, 6), 1e6))
    assert low.report["percentile"].isna().all() and low.notes == ["", ""]


def test_a_sheet_of_an_ascent_tells_its_weak_pictures(tiny):
    found = drawn(tiny, [99.0, 40.0, np.nan])
    assert texts(vz.plot_images(found, ["a", "b", "c"])) == ["a", "b\nweak: above 40 %", "c"]
    assert texts(vz.plot_images(found)) == ["", "weak: above 40 %", ""]
    assert texts(vz.plot_images(found.images, ["a", "b", "c"])) == ["a", "b", "c"]  # plain ones


def test_one_filter_drawn_by_name_tells_it(tiny, monkeypatch):
    for percentile, told in ((3.0, True), (97.0, False)):
        before = drawn(tiny, [percentile])
        with monkeypatch.context() as here:
            here.setattr(vz, "maximize", lambda *_, before=before, **__: before)
            figure = vz.visualize_filter(tiny, LAYER, 0, iterations=1)
        assert any("weak: above 3 %" in text for text in texts(figure)) is told


@pytest.mark.parametrize("words", [(), ("lines", "dots", "", "")])
def test_a_circuit_sheet_tells_it_of_inputs_and_of_the_filter(tiny, words):
    ranking = vz.rank_kernels(tiny, LAYER, 0, top=4)
    upstream = drawn(tiny, [99.0, 12.0, np.nan, 50.0])
    taps = vz.kernels(tiny, LAYER, 0)[:, :, ranking.channel]

    def sheet(inputs, own):
        return vz.plot_circuit(inputs, ranking, taps, own, words=words, layer=LAYER, filter=0)

    told = "\n".join(texts(sheet(upstream, drawn(tiny, [7.0]))))
    assert told.count("weak") == 3
    for percentile in (12, 50, 7):
        assert f"weak: above {percentile} %" in told
    silent = sheet(list(upstream.images), drawn(tiny, [99.0]))
    assert "weak" not in "\n".join(texts(silent))
    noted = sheet(upstream, upstream.images[0])
    extra = bool(words)  # a note below a word is one line more
    assert bool(noted.get_figheight() > silent.get_figheight()) is extra


def test_a_contact_sheet_marks_it(tiny, tmp_path):
    found = drawn(tiny, [99.0, 12.0])
    images = found.images.round().astype("uint8")
    sheets = []
    for percentiles in ([99.0, 12.0], [99.0, 99.0], [99.0, np.nan]):
        path, _ = contact_sheet(tmp_path, images, found.report.assign(percentile=percentiles), {})
        with Image.open(path) as sheet:
            sheets.append(np.asarray(sheet.convert("L")))
    np.testing.assert_array_equal(sheets[1], sheets[2])
    changed = np.argwhere(sheets[0] != sheets[1])
    assert len(changed) and changed[:, 1].min() > 24  # above the second picture only
    assert changed[:, 0].max() < 18
