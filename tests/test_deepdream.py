"""DeepDream: it climbs, it repeats itself, and without steps it gives the picture back."""

import keras
import numpy as np
import pytest

import vizutils as vz
from techniques import deepdream

OPTIONS = {"octaves": 2, "steps": 4, "jitter": 4, "progress": False}


@pytest.fixture(scope="session")
def picture():
    return np.random.default_rng(0).uniform(60, 200, (64, 64, 3)).astype("float32")


@pytest.mark.parametrize("filters", [None, [1, 3]])
def test_the_objective_rises_in_every_octave(tiny, picture, filters):
    before = [w.copy() for w in tiny.model.get_weights()]
    found = deepdream.dream(tiny, picture, "block2_conv2", filters=filters, **OPTIONS)
    assert list(found.gains["size"]) == [46, 64]
    assert (found.gains["after"] > found.gains["before"]).all()
    assert found.image.min() >= 0 and found.image.max() <= 255
    assert np.array_equal(found.image, found.octaves[-1])
    for old, new in zip(before, tiny.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("filters", "options"), [
    (None, {}), ([1, 3], {"pre_activation": True})])
def test_what_is_measured_is_what_is_said(tiny, picture, filters, options):
    found = deepdream.dream(tiny, picture, "block2_conv2", filters=filters,
                            **{**OPTIONS, "octaves": 1})
    inside = vz.unpadded_positions(tiny, "block2_conv2", 64)
    maps = vz.activations(tiny, "block2_conv2", found.image[None], **options)[:, inside, inside]
    expected = (maps**2).mean() if filters is None else maps[..., filters].mean()
    assert found.gains["after"].iloc[-1] == pytest.approx(expected, rel=1e-4)


def test_no_steps_give_the_picture_back_exactly(tiny, picture):
    found = deepdream.dream(tiny, picture, "block2_conv2", **{**OPTIONS, "steps": 0, "octaves": 3})
    np.testing.assert_array_equal(found.image, picture)
    assert found.history.empty and len(found.octaves) == 3


def test_only_the_change_is_blurred_by_the_octaves(tiny, picture, monkeypatch):
    climbs = []

    def climb(net, goal, start, **options):
        climbs.append(start)
        end = start + 10.0 if len(climbs) == 1 else start
        return vz.Rendering(end[None], np.zeros((2, 1), "float32"), (0, 1), {},
                            np.zeros(1, bool), "done")

    monkeypatch.setattr(deepdream, "_climb", climb)
    found = deepdream.dream(tiny, picture, "block2_conv2", **OPTIONS)
    np.testing.assert_allclose(found.image, picture + 10, atol=1e-3)  # every detail is there


def test_a_seed_decides(tiny, picture):
    first, again, other = (deepdream.dream(tiny, picture, "block1_conv2", seed=seed, **OPTIONS)
                           for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.image, again.image)
    assert np.abs(first.image - other.image).max() > 1


@pytest.mark.parametrize(("change", "words"), [
    ({"octaves": 0}, "at least 1"), ({"octaves": 9}, "fewer octaves"), ({"steps": -1}, "at least"),
    ({"octave_scale": 1.0}, "above 1"), ({"rate": 0}, "rate"), ({"layer": "block9"}, "not found"),
    ({"filters": 99}, "out of range"), ({"image": np.ones((64, 48, 3))}, "square"),
    ({"image": np.full((64, 64, 3), 0.5)}, "0-1"), ({"image": np.full((64, 64, 3), 300.0)}, "clip"),
])
def test_bad_input_teaches(tiny, picture, change, words):
    with pytest.raises(ValueError, match=words):
        deepdream.dream(tiny, **{"image": picture, "layer": "block2_conv2", **OPTIONS, **change})


def test_a_network_of_one_size_says_so(picture):
    inputs = keras.Input((64, 64, 3))
    net = vz.as_network(keras.Model(inputs, keras.layers.Conv2D(2, 3, name="only")(inputs)))
    with pytest.raises(ValueError, match="octaves=1"):
        deepdream.dream(net, picture, "only", octaves=2, octave_scale=1.4)


@pytest.mark.parametrize("steps", [0, 2])
def test_the_figure(tiny, picture, steps):
    found = deepdream.dream(tiny, picture, "block1_conv2", **{**OPTIONS, "steps": steps})
    figure = deepdream.plot_dream(found)
    figure.canvas.draw()
    pictures = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in pictures][:3] == ["photograph", "dream",
                                                          "octave 1, 46 px"]
    assert len(figure.axes) == 4 + (steps > 0)
    large, first = (axes.get_window_extent().width for axes in (pictures[1], pictures[2]))
    assert large > 1.5 * first
