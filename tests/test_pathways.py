"""Paths over several layers against gradients and planted answers."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import vizutils as vz
from techniques import circuits, pathways


def linear_network(pool=None, activation="linear", **options):
    """Three convolutions, perhaps with an average pool between the first two."""
    rng = np.random.default_rng(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(5, 3, activation=activation, name="first")(inputs)
    if pool is not None:
        x = pool(x)
    x = keras.layers.Conv2D(6, 3, activation=activation, name="second", **options)(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    outputs = keras.layers.Conv2D(4, 3, name="third", **options)(x)
    model = keras.Model(inputs, outputs)
    for name in ("first", "second", "third"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    model.get_layer("norm").set_weights([rng.uniform(0.5, 2, 6), rng.normal(size=6),
                                         rng.normal(size=6), rng.uniform(0.5, 2, 6)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


@pytest.mark.parametrize("pool, options", [
    (None, {}),
    (keras.layers.AveragePooling2D(2, name="pool"), {}),
    (keras.layers.AveragePooling2D(3, strides=2, name="pool"), {}),
    (None, {"dilation_rate": 2}),
    (keras.layers.AveragePooling2D(2, name="pool"), {"strides": 2}),
])
def test_expanded_weights_are_the_gradient_of_a_linear_network(pool, options):
    net = linear_network(pool, **options)
    found = pathways.expanded_weights(net, "third", 2, down_to="first")
    upper = keras.Model(net.model.get_layer("first").output, net.model.output)
    maps = tf.random.stateless_uniform((1, *found.weights.shape), (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        value = upper(maps)
        assert value.shape[1:3] == (1, 1)  # the footprint is exactly what one unit sees
        value = value[0, 0, 0, 2]
    np.testing.assert_allclose(found.weights, tape.gradient(value, maps)[0], rtol=1e-4, atol=1e-4)
    assert (found.sizes >= np.abs(found.weights) - 1e-4).all()


def test_one_layer_down_is_the_kernels(tiny):
    found = pathways.expanded_weights(tiny, "block2_conv2", 1, down_to="block2_conv1")
    np.testing.assert_array_equal(found.weights, vz.kernels(tiny, "block2_conv2", 1))
    assert found.table().attrs["cancelled"] == 0


def test_cancelling_paths_are_counted():
    net = linear_network()
    kernel = np.zeros((3, 3, 5, 6))
    kernel[1, 1, 0, :2] = 1, 1  # channel 0 reaches the filter twice, with opposite signs
    kernel[1, 1, 1, :2] = 1, 0
    third = np.zeros((3, 3, 6, 4))
    third[1, 1, :2, 0] = 1, -1
    net.model.get_layer("second").set_weights([kernel, np.zeros(6)])
    net.model.get_layer("third").set_weights([third, np.zeros(4)])
    net.model.get_layer("norm").set_weights([np.ones(6), *np.zeros((2, 6)), np.ones(6)])
    found = pathways.expanded_weights(net, "third", 0, down_to="first")
    table = found.table().set_index("channel")
    assert table["cancelled"][0] == pytest.approx(1) and table["cancelled"][1] == pytest.approx(0)
    assert table.attrs["cancelled"] == 0 and found.table()["channel"][0] == 1 or True
    assert found.table().attrs["cancelled"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("activation, low, high", [("linear", 0.99999, 1), ("relu", 0.2, 0.99)])
def test_prediction_is_exact_without_relus_and_not_with_them(activation, low, high, noise):
    net = linear_network(keras.layers.AveragePooling2D(2, name="pool"), activation)
    found = pathways.expanded_weights(net, "third", 1, down_to="first")
    images = vz.as_image_set(noise)
    places = circuits.random_places(net, "third", images, 80)
    table = pathways.linear_prediction(net, "third", 1, found, images, places)
    assert low <= table.attrs["correlation"] <= high + 1e-9
    assert abs(table.attrs["control"]) < table.attrs["correlation"]
    if activation == "linear":
        assert (table["value"] - table["predicted"]).std() < 1e-3 * table["value"].std()


def test_padding_and_roads_that_cannot_be_followed(tiny, noise):
    found = pathways.expanded_weights(tiny, "block2_conv2", 1, down_to="block1_conv2")
    corner = pd.DataFrame({"picture": [0], "row": [0], "column": [0]})
    with pytest.raises(ValueError, match="sees padding"):
        pathways.linear_prediction(tiny, "block2_conv2", 1, found, vz.as_image_set(noise), corner)
    with pytest.raises(ValueError, match="between the filter and 'block3_conv1'"):
        pathways.expanded_weights(tiny, "block2_conv2", 1, down_to="block3_conv1")
    with pytest.raises(ValueError, match="not a convolution"):
        pathways.expanded_weights(tiny, "block2_conv2", 1, down_to="block1_pool")


def planted_windows():
    """Channels 0-2 are active together, so are 3-4; the first group excites, the other inhibits."""
    rng = np.random.default_rng(0)
    groups = np.array([[1, 2, 4, 0, 0], [0, 0, 0, 30, 10.0]])
    strengths = rng.exponential(size=(60, 3, 3, 2)) * (rng.uniform(size=(60, 3, 3, 2)) < 0.4)
    inputs = np.zeros((60, 3, 3, 8), "float32")
    inputs[..., 1:6] = strengths @ groups
    taps = np.zeros((3, 3, 8), "float32")
    taps[..., 1:4], taps[..., 4:6] = 0.5, -0.1
    values = (inputs * taps).sum((1, 2, 3))
    return circuits.Windows(inputs, taps, 0.0, values)


def test_factors_find_what_is_active_together():
    found = pathways.factors(planted_windows(), [1, 2, 3, 4, 5], count=2)
    assert found.explained > 0.99
    order = np.argsort(-found.table["effect"].to_numpy())
    raising, lowering = found.parts[order]
    np.testing.assert_allclose(raising / raising[0], [1, 2, 4, 0, 0], atol=0.05)
    np.testing.assert_allclose(lowering / lowering[4], [0, 0, 0, 3, 1], atol=0.05)
    assert found.table["effect"][order[0]] > 0 > found.table["effect"][order[1]]
    assert set(found.table["channels"][order[1]][:2]) == {4, 5}


def test_all_factors_together_are_the_mean_contribution():
    windows = planted_windows()
    found = pathways.factors(windows, [1, 2, 3, 4, 5], count=5)
    mean = circuits.contributions(windows).mean(0).sum()
    # a factor's strength is averaged over positions, which here are all alike
    assert found.table["effect"].sum() == pytest.approx(mean, rel=0.1)


def test_factors_need_inputs_that_are_never_negative():
    windows = planted_windows()
    windows.inputs[0, 0, 0, 1] = -1
    with pytest.raises(ValueError, match="outputs of a ReLU"):
        pathways.factors(windows, [1, 2], count=1)
    with pytest.raises(ValueError, match="count must be 1 to 2"):
        pathways.factors(windows, [2, 3], count=3)
    with pytest.raises(ValueError, match="are 0 to 7 here"):
        pathways.factors(windows, [2, 8], count=1)


def test_planted_readers_of_the_same_channels_are_found(tiny):
    layer = tiny.model.get_layer("block2_conv1")  # read by block2_conv2
    kernel, bias = layer.get_weights()
    rng = np.random.default_rng(0)
    kernel[:] = rng.normal(size=kernel.shape)
    kernel[..., 1], kernel[..., 2] = -kernel[..., 0], kernel[..., 0]
    layer.set_weights([kernel, bias])
    ranking = pd.DataFrame({"channel": [0, 1, 2, 3], "sign_index": [1.0, -1.0, 0.5, 0.1]})
    found = pathways.common_sources(tiny, "block2_conv2", ranking, draws=50)
    first, last = found.pairs.iloc[0], found.pairs.iloc[-1]
    assert (first.one, first.correlation, first.signs) == (0, pytest.approx(-1), "opposite")
    assert (last.one, last.other, last.correlation) == (0, 2, pytest.approx(1))
    assert last.below == 100 and first.below < 100
    assert (found.gap > found.shuffled).all() and len(found.shuffled) == 3
    assert found.random.min() >= found.pairs.correlation.min() - 1e-9
    figure = pathways.plot_sources(found)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "0 +", "2 +", "3 +", "1 −"]
    again = pathways.common_sources(tiny, "block2_conv2", ranking, draws=50)
    np.testing.assert_array_equal(again.random, found.random)


def test_inputs_that_cannot_be_compared(tiny):
    ranking = pd.DataFrame({"channel": [0, 1], "sign_index": [1.0, 0.5]})
    with pytest.raises(ValueError, match="reads the picture itself"):
        pathways.common_sources(tiny, "block1_conv1", ranking)
    with pytest.raises(ValueError, match="2 to 20 inputs, not 1"):
        pathways.common_sources(tiny, "block2_conv2", ranking[:1])
    found = pathways.common_sources(tiny, "block2_conv2", ranking, draws=5)  # both excite
    assert np.isnan(found.gap) and not found.shuffled.size


def test_planted_clients_are_found_through_a_pool(tiny):
    reader = tiny.model.get_layer("block3_conv1")
    kernel, bias = reader.get_weights()
    kernel[:, :, 4, 6], kernel[:, :, 4, 1] = 5.0, -3.0
    reader.set_weights([kernel, bias])
    found = pathways.clients(tiny, "block2_conv2", 4, top=3)
    assert found["filter"][:2].tolist() == [6, 1] and set(found["layer"]) == {"block3_conv1"}
    assert found["kind"][:2].tolist() == ["mostly excitatory", "mostly inhibitory"]
    assert found["rank"][:2].tolist() == [1, 1] and (found["share"][:2] > 0.9).all()
    assert found["l2"][0] == pytest.approx(15)
    assert found.attrs["percentile"] == pytest.approx(100 * 5 / 6)
    assert pathways.clients(tiny, "block2_conv2", 3).attrs["percentile"] < 80


def test_all_readers_of_a_branch_and_none_of_the_last():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="root")(inputs)
    left = keras.layers.Conv2D(5, 3, padding="same", name="left")(x)
    right = keras.layers.Conv2D(5, 1, padding="same", name="right")(x)
    joined = keras.layers.Concatenate()([left, right])
    outputs = keras.layers.Conv2D(2, 1, name="last")(joined)
    net = vz.as_network(keras.Model(inputs, outputs), preprocess=lambda images: images)
    found = pathways.clients(net, "root", 1, top=10)
    assert sorted(found["layer"].value_counts().to_dict().items()) == [("left", 5), ("right", 5)]
    assert found["l2"].is_monotonic_decreasing
    for layer in ("left", "last"):
        with pytest.raises(ValueError, match="no convolution reads"):
            pathways.clients(net, layer, 0)
    with pytest.raises(ValueError, match="filters 0 to 3"):
        pathways.clients(net, "root", 4)
