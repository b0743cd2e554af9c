"""Receptive fields, the layer graph, activations, dataset examples and classes."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import vizutils as vz
from data import classes as imagenet
from engine.graph import chain_below

# Receptive field / stride in input pixels, worked out by hand (SCIENCE, "Geometry").
VGG16_FIELDS = {
    "block1_conv1": (3, 1), "block1_conv2": (5, 1), "block1_pool": (6, 2),
    "block2_conv1": (10, 2), "block2_conv2": (14, 2), "block2_pool": (16, 4),
    "block3_conv1": (24, 4), "block3_conv2": (32, 4), "block3_conv3": (40, 4),
    "block3_pool": (44, 8), "block4_conv1": (60, 8), "block4_conv2": (76, 8),
    "block4_conv3": (92, 8), "block4_pool": (100, 16), "block5_conv1": (132, 16),
    "block5_conv2": (164, 16), "block5_conv3": (196, 16), "block5_pool": (212, 32),
}


@pytest.mark.parametrize("layer", VGG16_FIELDS)
def test_vgg_fields(tiny, layer):
    field = vz.receptive_field(tiny, layer)
    assert (field.size, field.stride) == VGG16_FIELDS[layer]


def gradient_support(net, layer, side, row, column):
    """(top, left, bottom, right) of the input pixels that change unit (row, column)."""
    cut = vz.submodel(net, layer, pre_activation=True)
    boxes = []
    for seed in range(3):
        image = tf.constant(np.random.default_rng(seed).uniform(0, 255, (1, side, side, 3)),
                            tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(cut(net.preprocess(image))[0, row, column])
        touched = np.abs(tape.gradient(value, image)[0].numpy()).sum(-1) > 0
        rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
        boxes.append((rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    lows, highs = np.array(boxes)[:, :2].min(0), np.array(boxes)[:, 2:].max(0)
    return (*lows, *highs)


def linear(model):
    """The same graph with absolute weights, no ReLU and mean pools: nothing masks gradients."""
    def swap(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(
                layer.pool_size, layer.strides, layer.padding, name=layer.name)
        if "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=swap)
    copy.set_weights([np.abs(w) + 0.01 for w in model.get_weights()])
    return copy


@pytest.mark.parametrize("layer", ["block1_conv2", "block2_pool", "block3_conv2", "block4_conv1"])
def test_field_is_the_support_of_the_gradient(tiny, layer):
    net = vz.as_network(linear(tiny.model), preprocess=tiny.preprocess)
    field = vz.receptive_field(net, layer, input_size=96)
    middle = field.positions // 2
    assert gradient_support(net, layer, 96, middle, middle) == field.window(middle, middle)


@pytest.mark.parametrize("side", [63, 64, 65])
def test_field_of_strided_dilated_and_joined_layers(side):
    inputs = x = keras.Input((None, None, 3))
    x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)))(x)
    x = keras.layers.Conv2D(4, 5, strides=2, padding="valid", name="stem")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    left = keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2, name="left")(x)
    right = keras.layers.Conv2D(4, 1, padding="same", name="right")(x)
    joined = keras.layers.Add(name="joined")([left, right])
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="normalised")(joined))
    net = vz.as_network(linear(model))
    for layer in ("stem", "depthwise", "right", "joined", "normalised"):
        field = vz.receptive_field(net, layer, input_size=side)
        middle = field.positions // 2
        assert vz.submodel(net, layer)(np.zeros((1, side, side, 3))).shape[1] == field.positions
        assert gradient_support(net, layer, side, middle, middle) == field.window(middle, middle)


def test_unpadded_positions_see_no_padding(tiny, noise):
    field = vz.receptive_field(tiny, "block3_conv1", input_size=64)
    # a wide frame around the picture replaces the zero padding, and must change nothing inside
    framed = np.pad(noise, ((0, 0), (32, 32), (32, 32), (0, 0)), constant_values=77)
    small = vz.activations(tiny, "block3_conv1", noise)
    large = vz.activations(tiny, "block3_conv1", framed)[:, 8:-8, 8:-8]
    same = np.isclose(small, large, atol=1e-5).all((0, 3))
    inside = np.zeros_like(same)
    inside[field.unpadded, field.unpadded] = True
    assert same[inside].all()
    assert not same[~inside].all()


def test_input_layer_steps_over_the_pool(tiny):
    assert vz.input_layer(tiny, "block3_conv1") == vz.InputLayer("block2_conv2", "block2_pool")
    assert vz.input_layer(tiny, "block3_conv2") == vz.InputLayer("block3_conv1", "block3_conv1")
    assert vz.input_layer(tiny, "block1_conv1").feature is None


def test_layers_without_positions_are_refused(vgg16):
    for layer in ("readout", "average_pool"):
        with pytest.raises(ValueError, match="no positions"):
            vz.receptive_field(vgg16, layer)
    with pytest.raises(ValueError, match="not a convolution"):
        vz.input_layer(vgg16, "block2_pool")


def test_submodel_before_and_after_the_ReLU(tiny, noise):
    before = vz.activations(tiny, "block2_conv2", noise, pre_activation=True)
    after = vz.activations(tiny, "block2_conv2", noise)
    assert before.min() < 0
    np.testing.assert_allclose(np.maximum(before, 0), after, atol=1e-6)
    reference = tiny.model.get_layer("block2_conv2")
    assert reference.activation is keras.activations.relu


def test_weighted_sum_of_inputs_is_the_pre_activation(vgg16, pictures):
    """bias + sum over channels and taps of w·a equals the network, to 1e-4 relative."""
    layer, filter = "block3_conv1", 17
    picture = pictures.images[:2]
    inputs = vz.activations(vgg16, vz.input_layer(vgg16, layer).tensor, picture)
    taps = vz.kernels(vgg16, layer, filter)
    row, column = 20, 31
    window = inputs[:, row - 1 : row + 2, column - 1 : column + 2].astype("float64")
    bias = vgg16.model.get_layer(layer).bias.numpy()[filter]
    expected = bias + (window * taps).sum((1, 2, 3))
    found = vz.activations(vgg16, layer, picture, pre_activation=True)[:, row, column, filter]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# --- dataset examples -----------------------------------------------------------------------


def test_top_patches_against_a_search_by_hand(tiny):
    rng = np.random.default_rng(5)
    image_set = vz.as_image_set(rng.uniform(0, 255, (21, 48, 48, 3)).astype("float32"))
    patches = vz.top_patches(tiny, image_set, "block3_conv1", 2, k=5)
    maps = vz.activations(tiny, "block3_conv1", image_set.images, pre_activation=True)[..., 2]
    field = vz.receptive_field(tiny, "block3_conv1", input_size=48)
    inside = maps[:, field.unpadded, field.unpadded]
    best = np.argsort(-inside.max((1, 2)))[:5]
    assert patches.table["picture"].tolist() == best.tolist()
    for crop, row in zip(patches.images, patches.table.itertuples(), strict=True):
        assert row.value == pytest.approx(maps[row.picture, row.row, row.column], rel=1e-5)
        top, left, bottom, right = field.window(row.row, row.column)
        np.testing.assert_array_equal(
            crop, image_set.images[row.picture, top:bottom, left:right])
    assert patches.images.shape == (5, 24, 24, 3)


def test_a_patch_alone_excites_the_unit_as_much(vgg16, pictures):
    """The crop is the receptive field: seen alone, at its centre, it gives the same value."""
    few = pictures.subset(range(6))
    patches = vz.top_patches(vgg16, few, "block3_conv1", 60, k=3)
    # embed the crop in grey so that the centre unit sees the crop only
    canvas = np.full((3, 64, 64, 3), 128, "float32")
    canvas[:, 22:46, 22:46] = patches.images  # unit (8, 8): 8 · 4 − 10 = 22
    values = vz.activations(vgg16, "block3_conv1", canvas, pre_activation=True)[:, 8, 8, 60]
    np.testing.assert_allclose(values, patches.table["value"], rtol=1e-3)


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_conv2", "block3_conv1", "block4_conv1"])
def test_patches_answer_alone_as_in_their_pictures(tiny, layer):
    images = np.random.default_rng(2).uniform(0, 255, (70, 72, 72, 3)).astype("float32")
    image_set = vz.as_image_set(images if layer == "block1_conv1" else images[:5])
    maxima = vz.image_maxima(tiny, layer, image_set)
    for filter in (0, 3):
        patches = vz.top_patches(tiny, image_set, layer, filter, k=70, maxima=maxima)
        alone = vz.patch_responses(tiny, layer, patches.images)
        assert alone.shape == (len(image_set), maxima.values.shape[1])
        expected = maxima.values[patches.table["picture"], filter]
        np.testing.assert_allclose(alone[:, filter], expected, rtol=1e-4, atol=1e-5)
        # the other filters answer at the same place
        maps = vz.activations(tiny, layer, image_set, pre_activation=True)
        place = patches.table[["picture", "row", "column"]].to_numpy().T
        np.testing.assert_allclose(alone, maps[tuple(place)], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(
            vz.patch_responses(tiny, layer, patches.images, filters=[filter]),
            alone[:, [filter]])


@pytest.mark.parametrize("stride, padding", [(2, "same"), (2, "valid"), (3, "valid")])
def test_patches_of_strided_and_dilated_layers(stride, padding):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 5, strides=stride, padding=padding)(inputs)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(3, 3, padding="same", dilation_rate=2, name="wide")(x)
    net = vz.as_network(keras.Model(inputs, x))
    image_set = vz.as_image_set(np.random.default_rng(3).uniform(0, 255, (4, 65, 65, 3)))
    patches = vz.top_patches(net, image_set, "wide", 1)
    np.testing.assert_allclose(vz.patch_responses(net, "wide", patches.images, filters=1)[:, 0],
                               patches.table["value"], rtol=1e-4)


def test_patches_of_another_size_are_refused(tiny):
    with pytest.raises(ValueError, match=r"block3_conv1 sees 24 × 24 RGB .* \(32, 32, 3\)"):
        vz.patch_responses(tiny, "block3_conv1", np.zeros((2, 32, 32, 3)))
    with pytest.raises(ValueError, match="out of range"):
        vz.patch_responses(tiny, "block3_conv1", np.zeros((2, 24, 24, 3)), filters=[8])


def test_too_small_pictures_are_refused(tiny, noise):
    with pytest.raises(ValueError, match="sees padding at 64 px"):
        vz.top_patches(tiny, vz.as_image_set(noise), "block5_conv1", 0)


def test_class_table_counts_and_averages(tiny):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (6, 32, 32, 3)).astype("float32")
    labels = np.array([7, 7, 7, 250, 250, -1])
    image_set = vz.ImageSet(tuple("abcdef"), labels, 32, images)
    table = vz.class_table(tiny, "block2_conv1", 1, image_set).set_index("index")
    values = vz.image_maxima(tiny, "block2_conv1", image_set).values[:, 1]
    assert table.loc[7, "mean"] == pytest.approx(values[:3].mean(), rel=1e-6)
    assert table.loc[7, "spread"] == pytest.approx(values[:3].std(ddof=1), rel=1e-5)
    assert table["pictures"].to_dict() == {7: 3, 250: 2}
    assert table.loc[250, "label"] == imagenet.CLASSES[250][1]
    assert "2 picture(s)" in table.attrs["note"]


def test_a_filters_own_part_is_what_it_does_not_share_with_the_layer(tiny, monkeypatch):
    # 60 pictures of 20 classes; every filter answers more to contrast, which classes 0-4 have;
    # filter 2 prefers classes 10-14, too, and filter 5 never answers
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 3)
    shared = 3.0 * (labels < 5)
    sizes, levels = np.array([1, 2, 5, 3, 4, 0]), np.array([7, 0, 4, -3, 1, 0.3])
    values = sizes * (shared[:, None] + rng.normal(0, 0.2, (60, 6))) + levels
    values[:, 2] += 5 * 2.0 * ((labels >= 10) & (labels < 15))
    values = values.astype("float32")
    monkeypatch.setattr(vz, "class_responses", lambda *given: (values, labels))
    plain = vz.class_table(tiny, "block2_conv1", 2)
    assert set(plain["index"][:5]) == set(range(5))  # led by what every filter answers to
    own = vz.class_table(tiny, "block2_conv1", 2, own=True)
    assert set(own["index"][:5]) == set(range(10, 15))
    spread = values.std(0, dtype="float64")
    z = np.divide(values - values.mean(0, dtype="float64"), spread, out=np.zeros(values.shape),
                  where=spread > 1e-6)
    by_hand = pd.Series(z[:, 2] - z.mean(1)).groupby(labels).mean()
    np.testing.assert_allclose(own.set_index("index")["mean"].sort_index(), by_hand, atol=1e-5)
    assert values.max() > 20  # nothing was changed in place


def test_pictures_without_a_class_do_not_shift_the_own_part(tiny, monkeypatch):
    values = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
    labels = np.array([1, 1, 2, 2, 3, 3, -1, -1])
    wild = values.copy()
    wild[6:] += 100
    tables = []
    for given in (values, wild):
        monkeypatch.setattr(vz, "class_responses", lambda *_, given=given: (given, labels))
        tables.append(vz.class_table(tiny, "block2_conv1", 4, own=True))
    pd.testing.assert_frame_equal(*tables)


def test_class_table_of_vgg16_needs_no_pictures(vgg16):
    table = vz.class_table(vgg16, "block3_conv2", 10)
    assert len(table) == 1000 and table["mean"].is_monotonic_decreasing
    assert (table["pictures"] == 1).all() and "anecdotes" in table.attrs["note"]


def test_class_table_without_labels_or_store_names_the_remedy(tiny, noise):
    with pytest.raises(ValueError, match="give an image_set with labels"):
        vz.class_table(tiny, "block2_conv1", 0)
    with pytest.raises(ValueError, match="no picture has a class label"):
        vz.class_table(tiny, "block2_conv1", 0, vz.as_image_set(noise))


def test_group_table_finds_a_planted_group_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c", "d", "e"], 40)
    noise = pd.DataFrame({"group": groups, "mean": rng.normal(size=200)})
    assert (vz.group_table(noise, permutations=500)["p_holm"] > 0.05).all()
    planted = noise.assign(mean=noise["mean"] + 1.5 * (groups == "c"))
    table = vz.group_table(planted, permutations=500)
    assert table.loc[0, "group"] == "c"
    assert table.loc[0, "p_holm"] < 0.05
    by_hand = planted["mean"] / planted["mean"].std(ddof=0)
    expected = by_hand[groups == "c"].mean() - by_hand[groups != "c"].mean()
    assert table.loc[0, "difference"] == pytest.approx(expected)


def test_a_picture_is_red_where_the_filter_fires(vgg16):
    image = np.full((1, 64, 64, 3), 40.0, "float32")
    image[0, 24:40, 24:40] = 220
    (lit,) = vz.lit_by(vgg16, "block2_conv2", 5, image)
    answers = vz.activations(vgg16, "block2_conv2", image)[0, :, :, 5:6]
    spread = tf.image.resize(answers, (64, 64)).numpy()
    share = spread / spread.max()
    assert 0.1 < (share > 0.05).mean() < 0.9 and share.min() < 1e-3
    grey = 110 + 0.55 * image[0]
    np.testing.assert_allclose(lit, (1 - share) * grey + share * [200, 0, 30], atol=1e-2)
    row, column = np.unravel_index(share[..., 0].argmax(), (64, 64))
    assert lit[row, column].tolist() == pytest.approx([200, 0, 30], abs=0.01)


def test_halves_are_disjoint_and_cover():
    a, b = vz.split_halves(31, seed=2)
    assert len(a) == 16 and not set(a) & set(b) and set(a) | set(b) == set(range(31))


def test_a_branch_is_answered_on_a_whole_picture_and_a_chain_by_its_unit_alone(tiny, noise):
    inputs = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    second = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="second")(first)
    joined = keras.layers.Add(name="joined")([first, second])
    last = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="last")(joined)
    branched = vz.as_network(keras.Model(inputs, last), preprocess=lambda images: images / 255)
    assert chain_below(branched, "last") is None
    assert [x.name for x in chain_below(tiny, "block2_conv1")] == [
        "block1_conv1", "block1_conv2", "block1_pool", "block2_conv1"]
    for net, layer in ((branched, "last"), (tiny, "block3_conv2")):
        images = vz.as_image_set(noise)
        maxima = vz.image_maxima(net, layer, images)
        for filter in (0, 3):
            found = vz.top_patches(net, images, layer, filter, k=4, maxima=maxima)
            answers = vz.patch_responses(net, layer, found.images, filters=[filter])[:, 0]
            np.testing.assert_allclose(answers, found.table["value"], rtol=1e-4)
