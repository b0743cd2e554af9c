"""The benchmark programs run, and count what they say they count: on the tiny VGG, in seconds."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import vizutils as vz

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
PROGRAMS = sorted(p.stem for p in BENCHMARKS.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """The programs import each other as `python benchmarks/….py` lets them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def program(name):
    return importlib.import_module(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_imports_and_says_how_it_is_called(name, monkeypatch, capsys):
    module = program(name)
    if not hasattr(module, "main"):
        return  # what the programs share
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert f"python benchmarks/{name}.py" in module.__doc__
    assert "--" in capsys.readouterr().out


def test_equal_work_ends_at_equal_pictures(tiny, monkeypatch):
    monkeypatch.setattr(program("versus"), "matrix_product_rate", lambda: 1e11)
    found = program("versus").compare(tiny, "block2_conv1", [0, 3], size=24, steps=3, runs=1)
    assert found["apart"] < 0.01
    assert all(len(taken) == 1 and taken[0] > 0 for taken in found["taken"].values())
    assert len(found["rates"]) == 1


def test_work_counts_only_the_filters_asked_for(tiny):
    done, effective = program("versus").work(tiny, "block1_conv2", [0, 3], size=8, steps=1)
    first, last = (2 * 64 * 9 * channels for channels in (3 * 4, 4 * 6 * 4 / 6))
    # two filters, forward and back and one clean picture; block1 has four channels
    assert effective == pytest.approx(3 * 2 * (first + last))
    assert done == pytest.approx(3 * 2 * (first + last * 2 / 4))


def test_an_eager_loop_that_is_stopped_ends_where_it_was(tiny):
    peers = program("peers")
    model = peers.cut_model(tiny, "block1_conv2", 12)
    starts = np.full((2, 12, 12, 3), 120, "float32")
    starts[:, 3:6] = 160
    seen = []
    stopped = peers.eager_loop(model, [0, 1], starts, steps=5, rate=4.0, by="rms",
                               watch=lambda i, step, picture: seen.append((i, step)) or step == 2)
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]
    short = peers.eager_loop(model, [0, 1], starts, steps=[2, 2], rate=4.0, by="rms")
    assert np.array_equal(stopped, short)


def test_quality_finds_the_first_step_and_tabulates_it(tiny):
    quality = program("quality")
    rows = np.array([[0.0, 5.0], [2.0, 1.0], [1.0, 1.0]])
    assert quality.first_reached(rows, np.array([2.0, 9.0])) == [2, None]
    found = quality.compare(tiny, "block2_conv1", [0, 3], cap=3, peer_steps=2, runs=1)
    assert len(found["target"]) == 2
    assert set(found["seconds"]) == {*quality.OURS, *quality.LOOPS, *found["all_steps"]}
    shown = quality.table(found)
    assert all(name in shown for name in found["seconds"])
    json.dumps(found)


def test_end_max_is_the_reports(tiny):
    ascent = vz.maximize(tiny, "block2_conv1", [0, 3], steps=2, progress=False)
    measured = program("quality").end_max(tiny, "block2_conv1", ascent.images, [0, 3])
    assert measured == pytest.approx(ascent.report["end_max"].to_numpy(), rel=1e-5)


def test_blanks_names_the_dead_and_runs_on(tiny, tmp_path):
    blanks = program("blanks")
    kernel, bias = tiny.model.get_layer("block1_conv2").get_weights()
    bias[1] = -1000.0  # dead wherever one starts
    tiny.model.get_layer("block1_conv2").set_weights([kernel, bias])
    found = blanks.study_starts(tiny, "block1_conv2")
    for preset in vz.PRESETS:
        assert 1 in found[preset]["dead"]
        assert found[preset]["woken"] < len(found[preset]["dead"])
        assert found[preset]["wrong"] == []
    rows = blanks.climb(tiny, "block1_conv2", [0, 1], 14, steps=4)
    assert not rows["1"]["flat"] and rows["1"]["end_max"] < 0  # it rises, but not to zero
    assert blanks.faults(rows["1"]) == ["at or below zero"]
    rows["1"]["second"] = blanks.try_again(tiny, "block1_conv2", 1, 14, {"steps": 2})
    assert all(value < 0 for value in rows["1"]["second"].values())
    state = {"a key": {"block1_conv2": rows}}
    blanks.save(state, tmp_path / "blanks.json")
    again = json.loads((tmp_path / "blanks.json").read_text())["a key"]
    assert again["block1_conv2"]["1"]["flat"] is False
    assert "block1_conv2 filter 1" in blanks.climb_table(again, {"block1_conv2": 14})
    assert "of 1" in blanks.start_table({"block1_conv2": found}, again)


def test_blanks_canvas_shows_a_whole_unit_and_samples_are_nested(tiny):
    blanks = program("blanks")
    for layer in tiny.conv_layers:
        size = blanks.canvas(tiny, layer, cap=112)
        seen = vz.receptive_field(tiny, layer, input_size=size)
        assert seen.unpadded.start <= seen.positions // 2 < seen.unpadded.stop
        assert size == vz.canvas(tiny, layer) or size < vz.canvas(tiny, layer) > 112
    few, more = (set(blanks.sample(tiny, "block3_conv2", n)) for n in (3, 6))
    assert few < more
    assert blanks.sample(tiny, "block3_conv2", None) == list(range(8))


def test_patches_writes_different_pictures_and_times_both(tiny, tmp_path):
    patches = program("patches")
    patches.write_pictures(tmp_path, 3, shape=(60, 80))
    images = vz.load_images(tmp_path, size=48)
    assert len(images) == 3
    assert np.abs(images.images[0] - images.images[1]).max() > 20
    taken = patches.compare(tiny, "block2_conv1", vz.load_images(tmp_path, size=48), runs=2)
    assert list(taken) == ["bare", "top_patches"]
    assert all(len(own) == 2 for own in taken.values())


def test_attribution_times_every_method_and_sets_the_peer_beside_it(vgg16, monkeypatch):
    attribution = program("attribution")
    images = vz.load_images(size=32, limit=1).images
    monkeypatch.setattr(attribution, "SAMPLES", 2)
    taken = attribution.compare(vgg16, images, runs=1, quick=True)
    assert all(len(own) == 1 and own[0] > 0 for own in taken.values())
    given = {name: [2.0] for name in taken} | {"tf-keras-vis, SmoothGrad": [5.0]}
    rows = attribution.table(given, pictures=4).splitlines()
    assert "| SmoothGrad | 0.50 | 1.0 | 2.50 times as long |" in rows
    assert "| LIME | 0.50 | 1.0 | – |" in rows
