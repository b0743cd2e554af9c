"""Public functions on small networks of unusual build, against plain Keras and NumPy.

Each test holds an answer that was wrong, or right for one spelling of a network and wrong for
another; where no right answer exists, the sentence that says so.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizutils as vz
from techniques import (
    adversarial,
    architectures,
    attribution,
    circuits,
    edge_experiments,
    faithfulness,
    feature_maps,
    pathways,
    pruning,
    rebuilding,
    samples,
)

PICTURES = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype("float32")


def network(build, *, size=None, seed=1, **settings) -> vz.Network:
    """`build` from the picture, as a network on pictures divided by 255."""
    keras.utils.set_random_seed(seed)
    picture = keras.Input((size, size, 3))
    return vz.as_network(keras.Model(picture, build(picture)), preprocess="0-1", **settings)


def two_convolutions(x):
    x = layers.Conv2D(6, 3, activation="relu", name="c")(x)
    return layers.Conv2D(3, 3, name="d")(x)


# --- the sign of an ascent ------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_the_photograph_is_held_whatever_the_sign(sign):
    net = network(two_convolutions)
    photograph = PICTURES[0, :32, :32]
    held = vz.activations(net, "c", photograph[None])
    drawn = vz.maximize(net, "d", 0, preset="accentuation", start=photograph, steps=40, sign=sign,
                        progress=False)
    found = vz.activations(net, "c", vz.made(drawn.images))
    assert ((found - held) ** 2).sum() < 0.01 * (held**2).sum()
    assert sign * (drawn.history[-1, 0] - drawn.history[0, 0]) > 0


def test_a_penalty_is_not_turned_round():
    net = network(two_convolutions)

    def smooth(layer, filters):
        return vz.channel(layer, filters) - 1e-3 * vz.total_variation()

    common = {"size": 32, "steps": 2, "transforms": (), "progress": False}
    with pytest.raises(ValueError, match="Write the sign where it belongs"):
        vz.maximize(net, "d", 0, objective=smooth, sign=-1, **common)
    by_name, by_hand = (
        vz.maximize(net, "d", 0, objective=objective, sign=sign, **common).images
        for objective, sign in ((vz.channel, -1), (lambda x, f: -1 * vz.channel(x, f), 1)))
    np.testing.assert_array_equal(by_name, by_hand)


# --- maps that are made larger, cut, or of a size ----------------------------------------------


def up_and_down(x):
    x = layers.MaxPooling2D(4)(layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    x = layers.UpSampling2D(4)(layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    return layers.Conv2D(4, 3, padding="same", name="top")(x)


def cut(x):
    return layers.Conv2D(4, 3, name="top")(layers.Cropping2D(1)(layers.Conv2D(3, 3)(x)))


def framed(x):
    return layers.Conv2D(4, 3, name="top")(layers.ZeroPadding2D(2)(layers.Conv2D(3, 3)(x)))


@pytest.mark.parametrize(("build", "at"), [
    (up_and_down, None), (cut, None), (cut, (0, 7)), (framed, (0, 0)), (framed, (61, 3))])
def test_the_unit_that_is_climbed_is_the_one_that_is_named(build, at):
    net = network(build)
    right = net.model(PICTURES[:1] / 255).numpy()[0, ..., 1]
    place = at or (right.shape[0] // 2,) * 2
    climbed = vz.render(net, vz.unit("top", [1], position=at), size=64, steps=1, start=PICTURES[0],
                        transforms=(), parameterisation=vz.Pixels(), optimiser=vz.Adam(0.0),
                        progress=False)
    assert climbed.history[0, 0] == pytest.approx(right[place], abs=1e-5)


def test_a_patch_above_a_larger_map_is_refused():
    net = network(up_and_down)
    patches = vz.top_patches(net, PICTURES, "top", 0)
    right = net.model(PICTURES / 255).numpy()[..., 0]
    for row in patches.table.itertuples():
        assert row.value == pytest.approx(right[row.picture, row.row, row.column], abs=1e-5)
    with pytest.raises(ValueError, match="depends on where it lies"):
        vz.patch_responses(net, "top", patches)


def sized(*sizes) -> keras.Model:
    keras.utils.set_random_seed(1)
    x = picture = keras.Input((None, None, 3))
    for size in sizes:
        x = size(x)
    return keras.Model(picture, layers.Conv2D(4, 3, name="c")(layers.Rescaling(1 / 255)(x)))


def test_pictures_of_a_size_that_the_network_never_sees_are_refused():
    model = sized(layers.Resizing(32, 32))
    net = vz.as_network(model)
    np.testing.assert_allclose(vz.activations(net, "c", PICTURES[:, :32, :32]),
                               model(PICTURES[:, :32, :32]), atol=1e-5)
    places = circuits.random_places(net, "c", PICTURES[:, :32, :32], 5)
    for ask in (vz.activations, vz.image_maxima,
                lambda *given: circuits.windows(*given[:2], 0, given[2], places)):
        with pytest.raises(ValueError, match="32 × 32 px only, not of 64 × 64"):
            ask(net, "c", PICTURES)


def test_sizes_one_after_the_other_are_said_to_be_left_out():
    with pytest.warns(UserWarning, match="resizing.*, center_crop.*read as they are"):
        net = vz.as_network(sized(layers.Resizing(64, 64), layers.CenterCrop(32, 32)))
    assert net.fixed_size == 32


# --- one unit, however it is written -----------------------------------------------------------


def written(apart: bool):
    """The same function, the ReLU inside the convolution or a layer of its own."""
    def build(x):
        x = layers.Conv2D(6, 3, name="c1", activation=None if apart else "relu")(x)
        return layers.Conv2D(3, 3, name="c2")(layers.ReLU()(x) if apart else x)
    return network(build, seed=3)


def test_a_relu_apart_is_the_convolutions_own():
    inside, apart = written(False), written(True)
    for before in (True, False):
        np.testing.assert_allclose(*(
            vz.activations(net, "c1", PICTURES, pre_activation=before)
            for net in (inside, apart)), atol=1e-6)
    places = circuits.random_places(apart, "c2", PICTURES, 50)
    weights = pathways.expanded_weights(apart, "c2", 0, down_to="c1")
    found = pathways.linear_prediction(apart, "c2", 0, weights, PICTURES, places)
    assert found.attrs["correlation"] == pytest.approx(1, abs=1e-6)


def test_a_second_norm_is_no_part_of_the_unit():
    def build(x):
        x = layers.BatchNormalization()(layers.Conv2D(4, 3, name="c")(x))
        x = layers.BatchNormalization(beta_initializer=keras.initializers.Constant(-5.0))(
            layers.ReLU(name="r")(x))
        return layers.Conv2D(2, 1)(x)

    net = network(build)
    np.testing.assert_array_equal(*(vz.activations(net, name, PICTURES) for name in "cr"))


def test_grad_cam_of_a_convolution_reads_what_its_relu_gives():
    def build(x):
        x = layers.Conv2D(5, 3, name="c", use_bias=False)(x)
        x = layers.BatchNormalization(
            beta_initializer=keras.initializers.RandomNormal(0, 0.5, seed=2))(x)
        return layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU(name="r")(x)))

    net = network(build, head="original", classes=list("abcd"))
    maps = [attribution.grad_cam(net, PICTURES, 1, layer=name).maps for name in "cr"]
    activation = keras.Model(net.model.input, net.model.get_layer("r").output)(PICTURES / 255)
    weights = net.model.layers[-1].kernel.numpy()[:, 1]  # of the mean of each map
    by_hand = np.maximum((activation.numpy() * weights).sum(-1), 0)
    by_hand = tf.image.resize(by_hand[..., None], (64, 64)).numpy()[..., 0]
    for found in maps:
        assert np.corrcoef(found.ravel(), by_hand.ravel())[0, 1] > 0.9999


# --- classes that do not exclude each other ---------------------------------------------------


@pytest.fixture(scope="module")
def each_by_itself():
    """Three classes, each with a sigmoid, and the model behind."""
    return network(lambda x: layers.Dense(3, activation="sigmoid")(
        layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="c")(x))),
        head="original", classes=["a", "b", "c"])


def test_probabilities_are_those_of_the_model(each_by_itself):
    right = each_by_itself.model.predict(PICTURES / 255, verbose=0)
    first = {name: share for _, name, share in vz.classify(each_by_itself, PICTURES, top=3)[0]}
    assert first == pytest.approx(dict(zip("abc", right[0], strict=True)), abs=1e-5)
    maps = attribution.saliency(each_by_itself, PICTURES[:1], 0)
    curves = faithfulness.deletion_insertion(
        each_by_itself, PICTURES[:1], {"saliency": maps}, [0], steps=4, random_maps=1)
    assert curves.deletion["saliency"][0, 0] == pytest.approx(right[0, 0], abs=1e-5)
    same = pruning.judged(each_by_itself, {"itself": each_by_itself}, PICTURES)["itself"]
    assert (same.lost == 0).all()


def test_what_a_smaller_network_loses_is_in_the_models_probabilities(each_by_itself):
    other = network(lambda x: layers.Dense(3, activation="sigmoid")(
        layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="c")(x))),
        head="original", classes=["a", "b", "c"], seed=5)
    before, after = (net.model.predict(PICTURES / 255, verbose=0)
                     for net in (each_by_itself, other))
    rows, named = np.arange(3), before.argmax(1)
    lost = pruning.judged(each_by_itself, {"other": other}, PICTURES)["other"].lost
    np.testing.assert_allclose(lost, 100 * (before - after)[rows, named], atol=1e-3)


def test_attacks_refuse_classes_that_do_not_exclude_each_other(each_by_itself):
    with pytest.raises(ValueError, match="answers each class by itself"):
        adversarial.fgsm(each_by_itself, PICTURES[:1], epsilon=1.0)


# --- numbers of channels ----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [np.arange(6) > 2, [-1], [6], [0.5]],
                         ids=["a mask", "from the end", "beyond", "a half"])
def test_channels_are_whole_numbers_in_range(channels):
    net = network(two_convolutions)
    places = circuits.random_places(net, "d", PICTURES, 5)
    windows = circuits.windows(net, "d", 0, PICTURES, places)
    table = circuits.edge_table(windows, windows)
    sample = samples.sample(net, "d", vz.as_image_set(PICTURES), each=5)
    for ask in (lambda: circuits.ablate(net, "d", 0, channels),
                lambda: circuits.response(windows, channels),
                lambda: circuits.edge_effects(windows, windows, channels),
                lambda: circuits.matched_controls(table, channels),
                lambda: edge_experiments.fair_cuts(windows, channels),
                lambda: edge_experiments.fair_cuts(windows, [0, 1], among=channels),
                lambda: rebuilding.rebuild(sample, 0, vz.kernels(net, "d", 0), channels=channels),
                lambda: pathways.factors(windows, channels, count=1)):
        with pytest.raises(ValueError, match="channels"):
            ask()


def test_a_mask_of_pictures_is_taken():
    wanted = np.array([True, False, True])
    some = vz.as_image_set(PICTURES).subset(wanted)
    assert some.names == ("picture 0", "picture 2")
    assert len(some.labels) == 2
    np.testing.assert_array_equal(some.images, PICTURES[wanted])


# --- numbers of layers -------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [1, 2])
def test_kernels_that_are_alike_lose_nothing_when_averaged(dilation):
    net = network(lambda x: layers.Conv2D(3, 3, dilation_rate=dilation, name="d")(
        layers.Conv2D(6, 3, activation="relu")(x)))
    conv = net.model.get_layer("d")
    kernel, bias = conv.get_weights()
    conv.set_weights([np.repeat(kernel[:, :, :1], 6, 2), bias])
    np.testing.assert_allclose(feature_maps.averaging(net, "d", PICTURES).agreement, 1, atol=1e-4)


def test_pruning_an_unknown_layer_is_refused():
    net = network(lambda x: layers.Dense(5)(layers.GlobalAveragePooling2D()(
        layers.Conv2D(4, 3, name="c", activation="relu")(x))))
    samples = feature_maps.sampled_maps(net, ["c"], vz.as_image_set(PICTURES))
    assert pruning.pruned(net, {"c": {1: 0}}, samples).channels("c") == 3
    for merged in ({"C": {1: 0}}, {"c": {4: 0}}, {"c": {1: 9}}):
        with pytest.raises(ValueError, match="not found|out of range"):
            pruning.pruned(net, merged, samples)


def test_a_gradient_is_divided_by_a_length_that_exists():
    with pytest.raises(ValueError, match="norm"):
        vz.Normalised(1.0, by="l2")


@pytest.mark.parametrize(("width", "stride", "padding"), [(4, 1, "valid"), (3, 2, "valid"),
                                                          (3, 2, "same")])
def test_each_weight_of_a_transposed_convolution_is_used_once_an_input_position(
        width, stride, padding):
    net = network(lambda x: layers.Conv2DTranspose(
        5, width, stride, padding=padding, name="t")(x), size=8)
    costs = architectures.layer_costs(net).set_index("layer")
    assert costs.multiply_adds["t"] == 8 * 8 * width * width * 3 * 5


def test_one_layer_that_changed_may_be_named_alone():
    net = network(lambda x: layers.Dense(3)(layers.GlobalAveragePooling2D()(
        layers.Conv2D(4, 3, name="c")(x))), head="original", classes=list("abc"))
    found = adversarial.fgsm(net, PICTURES[:1], epsilon=1.0)
    changed = adversarial.layer_change(net, found, layers=["c"])
    assert changed.layer.tolist() == ["pixels", "c"]


def test_words_for_a_depthwise_filter():
    net = network(lambda x: layers.DepthwiseConv2D(3, name="each")(layers.Conv2D(4, 3)(x)))
    assert any("channel 2 of 4" in text.get_text() for text in
               vz.plot_words(net, "each", 2).axes[0].texts)
