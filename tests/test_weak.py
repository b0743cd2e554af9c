"""An ascent that ends below the photographs is said to be weak wherever it is drawn."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vizutils as vz
from engine import ascent as kept
from engine.atlas_store import contact_sheet
from techniques import dashboard, families, pathways

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


def test_some_pictures_of_an_ascent_keep_their_own_rows(tiny):
    found = drawn(tiny, [99.0, 12.0, 50.0], importance=True)
    some = found.only([2, 0])
    assert some.report["filter"].tolist() == [2, 0] and some.notes == ["weak: above 50 %", ""]
    np.testing.assert_array_equal(some.images, found.images[[2, 0]])
    np.testing.assert_array_equal(some.history, found.history[:, [2, 0]])
    np.testing.assert_array_equal(some.importance, found.importance[[2, 0]])
    with pytest.raises(ValueError, match="no picture of filters 7 here"):
        found.only([0, 7])


def test_two_hops_tell_it_of_all_three_rows(tiny):
    found = drawn(tiny, [12.0, 99.0, 50.0, 99.0])
    ranking = vz.rank_kernels(tiny, LAYER, 0, top=2)
    taps = vz.kernels(tiny, LAYER, 0)[:, :, ranking.channel]

    def sheet(own, inputs, feeders):
        figure = pathways.plot_two_hop(own, inputs, ranking, taps, [feeders] * 2, [ranking] * 2,
                                       [taps] * 2, title="a filter", words=("lines", "dots"))
        return "\n".join(texts(figure))

    told = sheet(found.only([2]), found.only([0, 1]), found.only([2, 1]))
    assert "a\nfilter\nweak: above 50 %" in told and "lines\nweak: above 12 %" in told
    assert told.count("weak: above") == 2 and told.count("weak\n") + told.endswith("weak") == 2
    assert "weak" not in sheet(found.images[2], found.images[:2], found.images[:2])


def test_relatives_tell_it_too(tiny):
    found = drawn(tiny, [12.0, 99.0, 50.0])
    table = pd.DataFrame({"filter": [1, 2], "member": [True, False], "transformation": ["same"] * 2,
                          "response": [0.5, 0.4], "kernel": [0.3, 0.2]})
    relatives = SimpleNamespace(filter=0, verdict="family", table=table)
    titles = texts(families.plot_relatives(relatives, found.only([0]), found.only([1, 2])))
    assert [("weak" in title) for title in titles if title] == [True, False, True]
    plain = texts(families.plot_relatives(relatives, found.images[0], found.images[1:]))
    assert not any("weak" in title for title in plain)


@pytest.mark.parametrize("preset", [None, "normalised_gradient"])
def test_the_dashboard_tells_it(tiny, monkeypatch, preset):
    pictures = vz.ImageSet(("a",), np.full(1, -1), 64, np.full((1, 64, 64, 3), 90.0))
    view = dashboard.View(tiny, LAYER, 0, pictures, size=24, steps=1, preset=preset)
    before = drawn(tiny, [3.0])
    monkeypatch.setattr(vz, "maximize", lambda *_, **__: before)
    figure, _ = dashboard.draw("feature", view)
    assert any("weak: above 3 %" in text for text in texts(figure))
