"""The atlas: cached by content, resumable, and its index finds every picture."""

import json

import numpy as np
import pytest
from PIL import Image

import vizutils as vz

FAST = {"size": 16, "steps": 3, "batch": 2, "progress": False}


def forbid(*args, **options):
    raise AssertionError("nothing should be drawn again")


def test_every_filter_has_its_picture_where_the_index_says(tiny, tmp_path):
    found = vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    assert found.images.shape == (6, 16, 16, 3) and found.images.dtype == np.uint8
    assert found.report["filter"].tolist() == list(range(6))
    index = json.loads(found.index.read_text())
    with Image.open(found.sheet) as sheet:
        for i in range(6):
            np.testing.assert_array_equal(
                np.asarray(sheet.crop(index["filters"][str(i)]["box"])), found.images[i])
        assert json.loads(sheet.info["Comment"]) == index["made_by"]


def test_a_second_call_only_reads(tiny, tmp_path, monkeypatch):
    first = vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    monkeypatch.setattr(vz, "maximize", forbid)
    second = vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_allclose(first.report["end_max"], second.report["end_max"], rtol=1e-5)
    for change in ({"steps": 4}, {"seed": 1}, {"size": 20}, {"optimiser": vz.Adam(0.1)}):
        with pytest.raises(AssertionError, match="drawn again"):
            vz.atlas(tiny, "block2_conv1", folder=tmp_path, **{**FAST, **change})


def test_other_weights_have_an_atlas_of_their_own(tiny, tmp_path, monkeypatch):
    first = vz.atlas(tiny, "block2_conv1", folder=tmp_path, filters=[0], **FAST)
    layer = tiny.model.get_layer("block1_conv1")
    layer.set_weights([2 * w for w in layer.get_weights()])
    second = vz.atlas(tiny, "block2_conv1", folder=tmp_path, filters=[0], **FAST)
    assert first.sheet != second.sheet


def test_what_excites_least_has_an_atlas_of_its_own(tiny, tmp_path):
    most = vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    least = vz.atlas(tiny, "block2_conv1", folder=tmp_path, sign=-1, **FAST)
    assert most.sheet != least.sheet
    assert (least.report["end_mean"] < most.report["end_mean"]).all()
    assert json.loads(least.index.read_text())["made_by"]["sign"] == -1
    assert "sign" not in json.loads(most.index.read_text())["made_by"]  # older atlases are read


def test_an_interrupted_atlas_goes_on(tiny, tmp_path, monkeypatch):
    original, calls = vz.render, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            options["on_step"] = stop
        return original(*args, **options)

    def stop(step, pictures):
        raise KeyboardInterrupt

    monkeypatch.setattr(vz, "render", interrupted)
    with pytest.raises(vz.Interrupted, match="after 4 of 6 filters") as stopped:
        vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    assert stopped.value.finished.report["filter"].tolist() == [0, 1, 2, 3]
    whole = vz.atlas(tiny, "block2_conv1", folder=tmp_path, **FAST)
    assert whole.report["filter"].tolist() == list(range(6))
    assert len(calls) == 4  # one batch was left to draw


def test_bad_input(tiny, tmp_path):
    with pytest.raises(ValueError, match="filters 0 to 5"):
        vz.atlas(tiny, "block2_conv1", filters=[6], folder=tmp_path, **FAST)
    with pytest.raises(ValueError, match="not found"):
        vz.atlas(tiny, "block2", folder=tmp_path, **FAST)
