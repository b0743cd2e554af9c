"""Contributions and ablations against their known answers."""

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import circuits


@pytest.fixture
def pieces(tiny):
    """(network, layer, filter, pictures, windows at top patches, windows at random places)."""
    images = np.random.default_rng(0).uniform(0, 255, (8, 64, 64, 3)).astype("float32")
    image_set = vz._as_set(images)
    layer, filter = "block3_conv1", 2
    patches = vz.top_patches(tiny, image_set, layer, filter, k=5)
    places = circuits.random_places(tiny, layer, image_set, 40, seed=1)
    return (tiny, layer, filter, image_set,
            circuits.windows(tiny, layer, filter, image_set, patches.table),
            circuits.windows(tiny, layer, filter, image_set, places))


def test_contributions_add_up_to_the_pre_activation(pieces):
    for found in pieces[4:]:
        total = found.bias + circuits.contributions(found).sum(1)
        np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-5)


def test_contributions_add_up_on_real_weights(vgg16, pictures):
    few = pictures.subset(range(3))
    for layer in ("block1_conv1", "block3_conv1", "block5_conv2"):
        places = circuits.random_places(vgg16, layer, few, 5)
        found = circuits.windows(vgg16, layer, 7, few, places)
        total = found.bias + circuits.contributions(found).sum(1)
        np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("options", [
    {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "padding": "same"},
    {"padding": "valid"}, {"strides": 3, "padding": "valid", "use_bias": False},
])
def test_strides_dilation_and_padding(options, noise):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="first")(inputs)
    outputs = keras.layers.Conv2D(4, 3, name="second", **options)(x)
    net = vz.as_network(keras.Model(inputs, outputs), preprocess=lambda images: images / 255)
    places = pd.DataFrame({"picture": [0, 1, 3], "row": [0, 5, 9], "column": [4, 0, 11]})
    found = circuits.windows(net, "second", 1, vz._as_set(noise), places)
    total = found.bias + circuits.contributions(found).sum(1)
    np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-5)


def test_response_without_edges_is_what_the_ablated_network_says(pieces):
    net, layer, filter, image_set, top, _ = pieces
    table = vz.top_patches(net, image_set, layer, filter, k=5).table
    for channels, keep_only in (([1, 4], False), ([0, 2, 3], True), ([], False)):
        cut = circuits.ablate(net, layer, filter, channels, keep_only=keep_only)
        maps = vz.activations(cut, layer, image_set, pre_activation=True)
        expected = maps[table["picture"], table["row"], table["column"], filter]
        found = circuits.response(top, channels, keep_only=keep_only)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cutting_nothing_all_and_a_zero_kernel(pieces):
    net, layer, filter, image_set, top, _ = pieces
    np.testing.assert_allclose(circuits.response(top), top.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(circuits.response(top, range(6)), top.bias)
    conv = net.model.get_layer(layer)
    kernel, bias = conv.get_weights()
    kernel[:, :, 3, filter] = 0
    conv.set_weights([kernel, bias])
    places = circuits.random_places(net, layer, image_set, 10)
    planted = circuits.windows(net, layer, filter, image_set, places)
    np.testing.assert_allclose(circuits.response(planted, [3]), circuits.response(planted))


def test_reading_the_mean_keeps_the_level(pieces):
    elsewhere = pieces[5]
    means = elsewhere.inputs.mean(0)
    cut = circuits.response(elsewhere, [0, 5], mean_inputs=means)
    assert cut.mean() == pytest.approx(circuits.response(elsewhere).mean(), rel=1e-5)
    assert cut.std() < circuits.response(elsewhere).std() * 1.5
    everything = circuits.response(elsewhere, range(6), mean_inputs=means)
    np.testing.assert_allclose(everything, everything[0])


def test_the_rest_of_the_network_is_untouched(pieces):
    net, layer, filter, image_set, *_ = pieces
    before = [w.copy() for w in net.model.get_weights()]
    silent = circuits.ablate(net, layer, filter)
    a = vz.activations(net, layer, image_set, pre_activation=True)
    b = vz.activations(silent, layer, image_set, pre_activation=True)
    assert not b[..., filter].any()
    np.testing.assert_array_equal(np.delete(a, filter, -1), np.delete(b, filter, -1))
    assert np.abs(vz.activations(net, "block3_conv2", image_set)
                  - vz.activations(silent, "block3_conv2", image_set)).max() > 0
    for old, new in zip(before, net.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def planted_windows(seed=0):
    """Windows of a filter that listens to channels 3 and 8 of twenty, and hardly to others."""
    rng = np.random.default_rng(seed)
    taps = rng.normal(0, 0.05, (3, 3, 20)).astype("float32")
    taps[:, :, 3], taps[:, :, 8] = 1.0, -1.0
    made = []
    for count, level in ((30, 3.0), (200, 0.5)):
        inputs = rng.exponential(0.5, (count, 3, 3, 20)).astype("float32")
        inputs[..., 3] *= level
        values = (inputs * taps).sum((1, 2, 3)) + 0.2
        made.append(circuits.Windows(inputs, taps, 0.2, values))
    return made


def test_every_ranking_finds_planted_edges():
    top, elsewhere = planted_windows()
    table = circuits.edge_table(top, elsewhere)
    for by in ("l2", "l2_spread", "top", "top_size", "elsewhere_size"):
        assert set(circuits.strongest(table, by, 2)) == {3, 8}, by
    assert table["top"][3] > 0 > table["top"][8]
    pairs = circuits.compare_rankings(table, count=2)
    assert (pairs["overlap"] == 2).all() and len(pairs) == 10


def test_cutting_planted_edges_hurts_more_than_any_control():
    top, elsewhere = planted_windows()
    table = circuits.ablation_table(top, elsewhere, count=2, draws=25)
    zero = table[(table["ranking"] == "l2") & (table["way"] == "zero")].iloc[0]
    assert zero["left"] < 0.2 < 0.9 < zero["control"] and zero["percentile"] == 100
    keep = table[(table["ranking"] == "l2") & (table["way"] == "keep only")].iloc[0]
    assert keep["left"] > 0.8 and keep["percentile"] == 100
    assert circuits.minimal_set(top, elsewhere, by="l2")["response"] <= 5


def test_controls_hold_as_much_weight_and_never_overlap():
    l2 = np.linspace(1, 2, 50)
    table = pd.DataFrame({"channel": np.arange(50), "l2": l2})
    chosen = [47, 48, 49]
    wanted = (l2[chosen] ** 2).sum()
    sets = circuits.matched_controls(table, chosen, draws=20, seed=3)
    assert len(sets) == 20 and len({tuple(s) for s in sets}) > 15
    for drawn in sets:
        assert len(set(drawn)) == len(drawn) and not set(drawn) & set(chosen)
        assert 0 <= (l2[drawn] ** 2).sum() - wanted < 4  # over by less than one edge
    everything = circuits.matched_controls(table, range(10, 50), draws=1)[0]
    assert everything.tolist() == list(range(10))  # others hold less: all of them are taken


@pytest.mark.parametrize(("layer", "filter", "channels", "message"), [
    ("block2_pool", 0, [0], "not a convolution"), ("block3_conv1", 8, [0], "filters 0 to 7"),
    ("block3_conv1", 0, [6], "channels 0 to 5"), ("block3_conv1", 0, [-1], "channels 0 to 5"),
])
def test_bad_input(tiny, layer, filter, channels, message):
    with pytest.raises(ValueError, match=message):
        circuits.ablate(tiny, layer, filter, channels)


def test_depthwise_and_grouped_are_refused_and_places_checked(tiny, noise):
    inputs = keras.Input((None, None, 4))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(inputs)
    x = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(x)
    net = vz.as_network(keras.Model(inputs, x))
    for layer in ("depthwise", "grouped"):
        with pytest.raises(ValueError, match="plain convolutions"):
            circuits.ablate(net, layer, 0, [0])
    outside = pd.DataFrame({"picture": [0], "row": [16], "column": [0]})
    with pytest.raises(ValueError, match="outside the 16 × 16 map"):
        circuits.windows(tiny, "block3_conv1", 0, vz._as_set(noise), outside)
