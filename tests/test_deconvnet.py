"""Projections to pixels against rules written down, toys done by hand, and the plain gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

import vizutils as vz
from techniques import deconvnet

INPUTS, SIGNALS = [5.0, 0.0, -5.0, 10.0], [-2.0, 3.0, 4.0, 1.0]
TABLE = {"gradient": [-2, 0, 0, 1], "deconvnet": [0, 3, 4, 1], "guided": [0, 0, 0, 1]}


def network(layers, channels=3):
    """Named layers, one after the other, on raw pixels."""
    model = keras.Sequential([keras.Input((None, None, channels)), *layers])
    return vz.as_network(keras.Model(model.inputs, model.outputs))


def plain_gradient(net, layer, filter, images, places=slice(None)):
    cut = vz.submodel(net, layer, pre_activation=True)
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        maps = cut(net.preprocess(x))[:, places, places, filter]
        value = tf.reduce_max(maps, (1, 2))
    return tape.gradient(value, x).numpy(), value.numpy()


# --- the rules --------------------------------------------------------------------------


@pytest.mark.parametrize("rule", deconvnet.RULES)
def test_rule_table(rule):
    x = tf.constant(INPUTS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = deconvnet.rectifier(rule)(x)
    np.testing.assert_array_equal(y, [5, 0, 0, 10])
    passed = tape.gradient(y, x, output_gradients=tf.constant(SIGNALS))
    np.testing.assert_array_equal(passed, TABLE[rule])


@pytest.mark.parametrize(("rule", "expected"), [
    ("gradient", [1, 0, 0, 0]), ("deconvnet", [1, 1, 1, 1]), ("guided", [1, 0, 0, 0])])
def test_a_relu6_also_masks_where_it_saturates(rule, expected):
    x = tf.constant(INPUTS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = deconvnet.rectifier(rule, ceiling=6)(x)
    np.testing.assert_array_equal(y, [5, 0, 0, 6])
    np.testing.assert_array_equal(tape.gradient(y, x), expected)


# --- toys -------------------------------------------------------------------------------


def test_switches_send_the_signal_to_where_the_maximum_was():
    pool = keras.layers.MaxPooling2D(2, name="pool")
    same = keras.layers.Conv2D(1, 1, use_bias=False, name="same")
    net = network([pool, same])
    same.set_weights([np.float32([1, 0, 0]).reshape(1, 1, 3, 1)])
    image = np.zeros((1, 4, 4, 3), "float32")
    image[0, 1, 0, 0], image[0, 2, 3, 0] = 7, 9  # in the windows top left and bottom right
    found = deconvnet.project(net, "same", 0, image)
    expected = np.zeros((4, 4, 3))
    expected[2, 3, 0] = 1
    np.testing.assert_array_equal(found.images[0], expected)
    assert (found.values[0], found.rows[0], found.columns[0]) == (9, 1, 1)


def by_hand(image, first, second, rule):
    """Conv 3 × 3 → ReLU → pool 2 → conv 3 × 3 at its only position, sent back in NumPy."""
    before = np.stack([correlate2d(image, first[:, :, k], "valid")
                       for k in range(first.shape[2])], -1)  # (6, 6, k)
    after = np.maximum(before, 0)
    windows = after.reshape(3, 2, 3, 2, -1).transpose(0, 2, 4, 1, 3).reshape(3, 3, -1, 4)
    switches = windows.argmax(-1)
    up = np.zeros_like(windows)
    np.put_along_axis(up, switches[..., None], second[..., None], -1)
    up = up.reshape(3, 3, -1, 2, 2).transpose(0, 3, 1, 4, 2).reshape(after.shape)
    if rule != "gradient":
        up = np.maximum(up, 0)
    if rule != "deconvnet":
        up = up * (before > 0)
    pixels = np.zeros_like(image)
    for row, column, k in np.ndindex(up.shape):
        pixels[row : row + 3, column : column + 3] += up[row, column, k] * first[:, :, k]
    return pixels, (windows.max(-1) * second).sum()


@pytest.mark.parametrize("rule", deconvnet.RULES)
def test_a_two_layer_network_done_by_hand(rule):
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(3, 3, 4)), rng.normal(size=(3, 3, 4))
    layers = [keras.layers.Conv2D(4, 3, activation="relu", use_bias=False, name="one"),
              keras.layers.MaxPooling2D(2, name="pool"),
              keras.layers.Conv2D(1, 3, activation="relu", use_bias=False, name="two")]
    net = network(layers)
    layers[0].set_weights([np.repeat(one[:, :, None], 3, 2)])
    layers[2].set_weights([two[..., None]])
    image = rng.normal(size=(8, 8))
    numbers = vz.made(np.repeat(image[None, ..., None] / 3, 3, 3).astype("float32"))
    found = deconvnet.project(net, "two", 0, numbers, rule=rule)
    pixels, value = by_hand(image, one, two, rule)
    np.testing.assert_allclose(found.images[0], np.repeat(pixels[..., None], 3, 2), atol=1e-5)
    np.testing.assert_allclose(found.values, value, rtol=1e-5)


# --- a network ---------------------------------------------------------------------------


def test_gradient_rule_is_the_gradient(tiny, noise):
    inside = vz.receptive_field(tiny, "block3_conv2", input_size=64).unpadded
    expected, values = plain_gradient(tiny, "block3_conv2", 5, noise, inside)
    found = deconvnet.project(tiny, "block3_conv2", 5, noise, rule="gradient")
    np.testing.assert_allclose(found.images, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.values, values, rtol=1e-5)
    maps = vz.activations(tiny, "block3_conv2", noise, pre_activation=True)[..., 5]
    np.testing.assert_allclose(maps[range(4), found.rows, found.columns], values, rtol=1e-5)


def test_rules_differ_but_not_in_what_the_network_says(tiny, noise):
    found = [deconvnet.project(tiny, "block3_conv2", 5, noise, rule=r) for r in deconvnet.RULES]
    for other in found[1:]:
        np.testing.assert_allclose(other.values, found[0].values, rtol=1e-5)
        assert np.abs(deconvnet.cosines(found[0], other)).max() < 0.999
    assert [f.rule for f in found] == list(deconvnet.RULES)


def test_without_a_relu_below_all_rules_agree(tiny, noise):
    a, b, c = (deconvnet.project(tiny, "block1_conv1", 2, noise, rule=r) for r in deconvnet.RULES)
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.images, c.images)


def test_only_what_the_unit_sees_is_touched(tiny, noise):
    found = deconvnet.project(tiny, "block2_conv2", 1, noise)
    seen = vz.receptive_field(tiny, "block2_conv2", input_size=64)
    for image, row, column in zip(found.images, found.rows, found.columns, strict=True):
        top, left, bottom, right = seen.window(row, column)
        assert np.abs(image[top:bottom, left:right]).max() > 0
        image = image.copy()
        image[top:bottom, left:right] = 0
        assert not image.any()


def test_a_patch_is_projected_as_in_its_picture(tiny, noise):
    pictures = vz.as_image_set(noise)
    patches = vz.top_patches(tiny, pictures, "block3_conv1", 3, k=4)
    found = deconvnet.project(tiny, "block3_conv1", 3, patches)
    assert found.images.shape == patches.images.shape
    np.testing.assert_allclose(found.values, patches.table["value"], rtol=1e-4)
    whole = deconvnet.project(tiny, "block3_conv1", 3, pictures)
    seen = vz.receptive_field(tiny, "block3_conv1", input_size=64)
    for i, row in patches.table.iterrows():
        top, left, bottom, right = seen.window(row["row"], row["column"])
        np.testing.assert_allclose(found.images[i], whole.images[row["picture"], top:bottom,
                                                                 left:right], atol=1e-7)


def test_the_network_is_not_changed(tiny, noise):
    before = [w.copy() for w in tiny.model.get_weights()]
    nodes = [len(x._inbound_nodes) for x in tiny.model.layers]
    maps = tiny.model(noise).numpy()
    for rule in deconvnet.RULES:
        deconvnet.project(tiny, "block3_conv3", 0, noise, rule=rule)
    assert all(np.array_equal(a, b)
               for a, b in zip(before, tiny.model.get_weights(), strict=True))
    assert [len(x._inbound_nodes) for x in tiny.model.layers] == nodes
    assert tiny.model.get_layer("block1_conv1").activation is keras.activations.relu
    np.testing.assert_array_equal(tiny.model(noise).numpy(), maps)


def test_real_vgg_matches_its_own_tape(vgg16, pictures):
    images = pictures.images[:2, 60:160, 60:160]
    inside = vz.receptive_field(vgg16, "block3_conv2", input_size=100).unpadded
    expected, values = plain_gradient(vgg16, "block3_conv2", 17, images, inside)
    found = deconvnet.project(vgg16, "block3_conv2", 17, images, rule="gradient")
    np.testing.assert_allclose(found.values, values, rtol=1e-4)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.images / scale, expected / scale, atol=1e-5)


def test_relu6_layers_and_branches(noise):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = y = keras.layers.ReLU(6.0, name="clipped")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="b")(x)
    x = keras.layers.Add()([x, y])
    outputs = keras.layers.Conv2D(5, 3, padding="same", name="c")(x)
    net = vz.as_network(keras.Model(inputs, outputs), preprocess=lambda images: images / 20 - 6)
    inside = vz.receptive_field(net, "c", input_size=64).unpadded
    expected, _ = plain_gradient(net, "c", 4, noise, inside)
    found = deconvnet.project(net, "c", 4, noise, rule="gradient")
    np.testing.assert_allclose(found.images, expected, atol=1e-6)
    guided = deconvnet.project(net, "c", 4, noise, rule="guided")
    assert np.abs(guided.images - expected).max() > 1e-4


# --- looking, and what is refused -----------------------------------------------------------


def test_pictures_keep_sign_and_scale_to_their_own_largest():
    signed = np.zeros((2, 2, 2, 3), "float32")
    signed[0, 0, 0, 0], signed[0, 1, 1, 2] = -4, 2
    shown = deconvnet.as_pictures(signed)
    assert shown[0, 0, 0, 0] == 0 and shown[0, 1, 1, 2] == 191.25
    assert (shown[1] == 127.5).all()
    cut = deconvnet.as_pictures(signed, share=11 / 12)[0]  # all but the largest number
    assert cut[0, 0, 0] == 0 and cut[1, 1, 2] > 191.25


@pytest.mark.parametrize(("layer", "message"), [
    (keras.layers.Conv2D(2, 1, activation="silu", name="x"), "activation silu"),
    (keras.layers.LeakyReLU(name="x"), "LeakyReLU"),
    (keras.layers.ReLU(negative_slope=0.1, name="x"), "negative slope"),
])
def test_other_nonlinearities_are_refused(layer, message, noise):
    net = network([keras.layers.Conv2D(2, 3, name="a"), layer,
                   keras.layers.Conv2D(2, 3, name="b")])
    with pytest.raises(ValueError, match=message):
        deconvnet.project(net, "b", 0, noise)


def test_bad_calls_teach(tiny, noise):
    with pytest.raises(ValueError, match="gradient, deconvnet, guided"):
        deconvnet.project(tiny, "block1_conv1", 0, noise, rule="relu")
    with pytest.raises(ValueError, match="filters 0 to 7"):
        deconvnet.project(tiny, "block3_conv2", 8, noise)
    with pytest.raises(ValueError, match="sees 40 px"):
        deconvnet.project(tiny, "block3_conv3", 0, noise[:, :20, :20])
    with pytest.raises(ValueError, match="shape"):
        deconvnet.project(tiny, "block3_conv3", 0, noise[0])
