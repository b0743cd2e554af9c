"""Feature maps: planted kernels, planted twins, known indices."""

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import feature_maps as fm


@pytest.fixture
def planted():
    """Layer "b" on 4 channels: filters 0 and 1 nearly equal, 2 the opposite of 0, the rest random;
    filter 6 has the same kernel on every channel, filter 7 kernels that cancel out."""
    rng = np.random.default_rng(3)
    model = keras.Sequential([
        keras.Input((None, None, 3)),
        keras.layers.Conv2D(4, 3, activation="relu", name="a"),
        keras.layers.Conv2D(8, 3, name="b")])
    kernel = rng.normal(size=(3, 3, 4, 8))
    kernel[..., 1] = kernel[..., 0] + 0.05 * rng.normal(size=(3, 3, 4))
    kernel[..., 2] = -kernel[..., 0]
    kernel[..., 6] = kernel[:, :, :1, 6]
    kernel[..., 7] -= kernel[..., 7].mean(2, keepdims=True)
    model.get_layer("b").set_weights([kernel, np.zeros(8)])
    return vz.as_network(keras.Model(model.inputs, model.outputs),
                         preprocess=lambda images: images / 128 - 1)


def panels(figure):
    return [axes for axes in figure.axes if axes.images and axes.axison]


def test_first_kernels_are_rgb_and_around_grey(vgg16):
    kernels = fm.first_kernels(vgg16)
    assert kernels.shape == (64, 3, 3, 3)
    weight = vgg16.model.get_layer("block1_conv1").kernel.numpy()
    largest = np.abs(weight[..., 5]).max()
    np.testing.assert_allclose(kernels[5, 1, 2, 0], 127.5 + 127.5 * weight[1, 2, 2, 5] / largest,
                               rtol=1e-5)  # red is the third plane of BGR
    with pytest.raises(ValueError, match="only block1_conv1"):
        fm.first_kernels(vgg16, layer="block1_conv2")


def test_averaging_keeps_equal_kernels_and_loses_cancelling_ones(planted, noise):
    table = fm.averaging(planted, "b", noise)
    assert table.loc[6, "mass"] == pytest.approx(1)
    assert table.loc[6, "agreement"] == pytest.approx(1, abs=1e-5)
    assert table.loc[7, "mass"] < 1e-12
    assert table["mass"].between(0, 1 + 1e-6).all()


def test_plots_show_what_was_asked_for(tiny, noise):
    layers = [*tiny.conv_layers, "block5_pool"]
    figure = fm.plot_through(tiny, noise[0], layers)
    through = panels(figure)
    assert [axes.axison for axes in figure.axes] == [True] * 14 + [False] * 2
    assert [p.get_title() for p in through][::13] == ["block1_conv1\n64 × 64 × 4",
                                                     "block5_pool\n2 × 2 × 8"]
    maps = vz.activations(tiny, "block3_conv1", noise[:1])[0]
    np.testing.assert_allclose(through[4].images[0].get_array(), maps.mean(-1), rtol=1e-4)
    shown = panels(fm.plot_maps(tiny, "block3_conv1", noise[0], strongest=True))
    order = [int(p.get_title()) for p in shown if p.get_title()]
    assert order == np.argsort(-maps.mean((0, 1)), kind="stable").tolist()
    assert len({(p.images[0].norm.vmin, p.images[0].norm.vmax) for p in shown
                if p.get_title()}) == 1
    own = panels(fm.plot_maps(tiny, "block3_conv1", noise[0], own_scale=True))
    assert [p.get_title() for p in own] == [f"{i}: {m:.0f}" for i, m in enumerate(maps.max((0, 1)))]
    np.testing.assert_allclose([p.images[0].norm.vmax for p in own],
                               np.where(maps.max((0, 1)), maps.max((0, 1)), 1), rtol=1e-5)
    few = panels(fm.plot_maps(tiny, "block3_conv1", noise[0], count=3))
    assert [p.get_title() for p in few if p.get_title()] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="count"):
        fm.plot_maps(tiny, "block3_conv1", noise[0], count=0)


def test_maps_are_large_enough_to_see(vgg16, noise):
    """At 780 px, a page's width, each of 64 is at least 64 px wide."""
    for own_scale in (False, True):
        figure = fm.plot_maps(vgg16, "block1_conv1", noise[0], own_scale=own_scale)
        figure.set_dpi(120)
        figure.canvas.draw()
        assert figure.bbox.width == 780
        assert min(p.get_window_extent().width for p in panels(figure)
                   if p.get_title()) >= 64


def test_maps_across_pictures_share_a_scale_for_each_filter(tiny, noise):
    figure = fm.plot_across(tiny, "block2_conv1", noise[:3], [4, 2], ["x", "y"])
    maps = vz.activations(tiny, "block2_conv1", noise[:3])
    rows = np.reshape(panels(figure), (3, 3))
    assert [axes.get_title() for axes in rows[0]] == ["", "x", "y"]
    for i, row in enumerate(rows):
        np.testing.assert_allclose(row[1].images[0].get_array(), maps[i, :, :, 4], rtol=1e-5)
        assert row[2].images[0].norm.vmax == pytest.approx(maps[..., 2].max())


def test_each_layer_is_read_in_one_pass_as_if_it_were_alone(tiny, noise):
    shapes = fm.each_layer(tiny, tiny.conv_layers, noise, np.shape)
    assert tuple(shapes) == tiny.conv_layers
    for layer in ("block1_conv1", "block5_conv3"):
        own = vz.activations(tiny, layer, noise, pre_activation=True)
        assert shapes[layer] == own.shape
        found = fm.each_layer(tiny, [layer, "block1_conv2"], noise, np.asarray, pre_activation=True)
        np.testing.assert_allclose(found[layer], own, rtol=1e-4, atol=1e-5)


def test_shares_are_stacked_to_a_hundred():
    table = pd.DataFrame({"edges": [60.0, 20], "corners": [40.0, 80]}, index=["a", "b"])
    axes = fm.plot_shares(table).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == [60, 20, 100, 100]
    assert [t.get_text() for t in axes.texts] == ["60", "20", "40", "80"]


def test_kernel_sheet_has_the_mean_at_the_end(planted):
    sheet = panels(fm.plot_kernel_sheet(planted, "b", [6, 7], top=3))
    mean = vz.kernels(planted, "b", 6).mean(2)
    np.testing.assert_allclose(sheet[3].images[0].get_array(), mean)
    assert sheet[0].images[0].norm is sheet[3].images[0].norm
    assert sheet[4].images[0].norm.halfrange == pytest.approx(np.abs(mean).max())


def test_specificity_known_answers():
    responses = np.array([[2, 8, 0, 1], [2, 0, 0, 1], [2, 0, 0, 0], [2, 0, 0, 0.0]])
    np.testing.assert_allclose(fm.specificity(responses), [0, 1, np.nan, 2 / 3])
    for wrong in (responses[:1], -responses):
        with pytest.raises(ValueError, match="activations"):
            fm.specificity(wrong)


def test_silent_filters_get_no_gradient(tiny):
    layer = tiny.model.get_layer("block3_conv1")
    layer.bias.assign([0.1, 0.1, 0.1, 0.1, -50, -50, -50, -50])
    start = fm.starts(range(8), size=48, seed=0)
    ascent = vz.maximize(tiny, layer.name, range(8), preset="normalised_gradient", size=48, steps=4,
                         progress=False)
    silent = np.diag(fm.silent(tiny, layer.name, start))
    moved = np.abs(ascent.images - np.clip(start, 0, 255)).max((1, 2, 3)) > 1e-6
    np.testing.assert_array_equal(moved, ~silent)
    assert silent[4:].all() and not silent.all()


def test_planted_twins_are_found_and_opposites_are_not(planted, noise):
    samples = fm.sampled_maps(planted, ["b"], vz.as_image_set(noise), places=100)["b"]
    assert samples.shape == (400, 8)
    real, shuffled = fm.redundancy(planted, "b", samples)
    assert len(real) == 28
    assert real.loc[real["twins"], ["a", "b"]].to_numpy().tolist() == [[0, 1]]
    opposite = real[(real["a"] == 0) & (real["b"] == 2)].iloc[0]
    assert opposite["kernel"] == pytest.approx(-1)
    assert opposite["response"] == pytest.approx(-1, abs=1e-5)
    assert not shuffled["twins"].any()
    figure = fm.plot_redundancy(real, shuffled)
    assert [axes.get_title()[-17:] for axes in figure.axes] == ["1 near-duplicates",
                                                                "0 near-duplicates"]
    assert shuffled["response"].abs().max() < 0.3


def test_samples_are_the_maps_at_the_same_places(tiny, noise):
    found = fm.sampled_maps(tiny, ["block1_conv2", "block2_conv1"], vz.as_image_set(noise),
                            places=10**6)
    maps = vz.activations(tiny, "block1_conv2", noise, pre_activation=True)[:, 2:-2, 2:-2]
    own = found["block1_conv2"].reshape(4, -1, maps.shape[-1])
    expected = maps.reshape(own.shape)
    for a, b in zip(own, expected, strict=True):
        np.testing.assert_allclose(a[np.lexsort(a.T)], b[np.lexsort(b.T)], rtol=1e-4, atol=1e-5)
    assert found["block2_conv1"].shape[1] == 6
    few, alone = (fm.sampled_maps(tiny, layers, vz.as_image_set(noise), places=7)["block2_conv1"]
                  for layers in (["block1_conv2", "block2_conv1"], ["block2_conv1"]))
    assert few.shape == (28, 6) and len(np.unique(few, axis=0)) == 28  # no place twice
    np.testing.assert_allclose(few, alone, rtol=1e-4, atol=1e-5)  # whatever else is read


def test_starts_are_the_ascents_own_and_stronger_noise_if_asked(tiny):
    own = vz.maximize(tiny, "block3_conv1", [5], preset="normalised_gradient", size=48, steps=1,
                      snapshots=[0], progress=False).snapshots[0]
    np.testing.assert_allclose(fm.starts([5], size=48, seed=0), own, atol=1e-3)
    for spread in (1, 30):
        noise = fm.starts([5], size=48, seed=0, spread=spread)
        assert noise.std() == pytest.approx(spread, rel=0.05)
        assert noise.mean() == pytest.approx(127.5, abs=1)


def test_mosaic_and_stretch():
    images = np.stack([np.full((50, 50, 3), value, "float32") for value in (0, 60, 120, 180)])
    sheet = fm.mosaic(images, marked=[True, False, False, False])
    assert sheet.shape == (106, 158, 3)
    assert [sheet[10, c, 0] for c in (10, 53, 62, 120)] == [0, 178, 60, 120]
    assert sheet[60, 10, 0] == 180 and (sheet[60, 120] == 255).all()
    assert fm.mosaic(images[:, :3, :3]).shape[0] == 2 * 26 + 2
    steps = np.arange(2 * 5 * 4 * 3.0).reshape(2, 5, 4, 3)
    assert fm.shrunk(steps, 2).shape == (2, 2, 2, 3)
    np.testing.assert_allclose(fm.shrunk(steps, 2)[1, 1, 0], steps[1, 2:4, :2].mean((0, 1)))
    grey = np.arange(256.0).reshape(1, 1, -1, 1).repeat(3, -1)
    levels = fm.posterised(grey, levels=4)[0, 0, :, 1]
    assert np.unique(levels).tolist() == [32, 96, 160, 224] and np.argmax(levels == 96) == 64
    np.testing.assert_array_equal(fm.posterised(grey[0]), fm.posterised(grey)[0])
    noise = np.random.default_rng(0).normal(100, 3, (2, 20, 20, 3))
    shown = vz.stretched(noise)
    np.testing.assert_allclose(shown.std((1, 2, 3)), 0.15 * 255, rtol=0.01)
    np.testing.assert_allclose(shown.mean((1, 2, 3)), 127.5, rtol=0.01)
