"""Calls that are wrong, odd or of networks of one's own: a right answer or a sentence."""

import dataclasses
import functools
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import vizutils as vz
from engine.kinds import kind_of
from techniques import adversarial, attribution, deconvnet, deepdream, inversion, silencing

LAYER = "block2_conv1"


def own(*layers, size=(None, None), head="none", **options):
    """A network of one's own: layers one after the other."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((*size, 3))
    for layer in layers:
        x = layer(x)
    return vz.as_network(keras.Model(inputs, x, name="own"), head=head, **options)


def conv(name, **options):
    return keras.layers.Conv2D(4, 3, name=name, **options)


@pytest.fixture(scope="module")
def classifiers():
    """Three with the same weights and ten classes: logits, a dense softmax, a softmax layer."""
    def build(*last):
        return own(conv("a", activation="relu"), keras.layers.GlobalAveragePooling2D(),
                   *last, head="original", preprocess=lambda images: images / 128 - 1)

    keras.utils.set_random_seed(0)  # with other weights no logit may be negative
    nets = [build(keras.layers.Dense(10, name="d")),
            build(keras.layers.Dense(10, name="d", activation="softmax")),
            build(keras.layers.Dense(10, name="d"), keras.layers.Softmax())]
    for net in nets:
        net.model.set_weights(nets[0].model.get_weights())
    return nets


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [
    lambda net, some, noise: vz.rank_kernels(net, LAYER, some),
    lambda net, some, noise: vz.top_patches(net, noise, LAYER, some),
    lambda net, some, noise: vz.class_table(net, LAYER, some),
    lambda net, some, noise: deconvnet.project(net, LAYER, some, noise)])
def test_several_filters_are_not_taken_for_their_first(tiny, noise, ask):
    for some in ([3, 4], np.array([3, 4]), (3, 4)):
        with pytest.raises(ValueError, match=f"one filter of {LAYER} is meant here, not 2"):
            ask(tiny, some, noise)


def test_one_filter_may_come_as_any_whole_number(tiny):
    for one in (3, np.int64(3), np.uint8(3), [3], np.array(3), np.array([[3]])):
        assert tiny.check_filter(LAYER, one) == 3
    with pytest.raises(ValueError, match="not an array of shape"):
        vz.maximize(tiny, LAYER, [[1, 2]])
    with pytest.raises(ValueError, match=f"{2**32 + 3} is out of range"):
        vz.render(tiny, vz.channel(LAYER, 2**32 + 3), steps=1)  # as 32 bits it would be filter 3


# --- classes -------------------------------------------------------------------------------------


def test_logits_are_read_before_a_softmax_everywhere(classifiers, noise):
    plain, *others = classifiers

    def read(net):
        attacked = adversarial.fgsm(net, noise, epsilon=2)
        return {"logits": vz.logits(net, noise),
                "attribution": attribution.saliency(net, noise, 3).logits,
                "attack": attacked.logits, "attacked": attacked.images,
                "probabilities": attacked.table()["p_before"],
                "effect": silencing.class_effect(net, "a", 1, noise).change,
                "climbed": vz.render(net, vz.class_logit([3]), size=16, steps=3).history}

    expected = read(plain)
    assert (expected["logits"] < 0).any()  # as no probability is
    for net in others:
        found = read(net)
        for what, numbers in expected.items():
            np.testing.assert_allclose(found[what], numbers, rtol=1e-3, atol=1e-5, err_msg=what)


def test_ten_classes_have_no_name_of_imagenets(classifiers, noise):
    net = classifiers[1]
    with pytest.raises(ValueError, match="own has 10 classes of its own"):
        vz.classify(net, noise)
    for one in ("tabby", "goldfish", ["goldfish", "tabby"]):  # goldfish is class 1
        with pytest.raises(ValueError, match="own has 10 classes of its own"):
            vz.render(net, vz.class_logit(one), steps=1)
    for one in (500, 10, -1):
        with pytest.raises(ValueError, match=f"own's classes are 0 to 9, not {one}"):
            vz.render(net, vz.class_logit(one), steps=1)
    assert vz.logits(net, noise).shape == (4, 10)
    found = inversion.measures(net, inversion.invert(net, "a", noise[0], steps=1))
    assert found["seen"].str.fullmatch(r"class \d").all()


def test_a_class_may_be_named(vgg16):
    assert vz.class_logit("tabby").values[0].tolist() == [281]
    assert vz.class_logit(["n02123045", 3]).values[0].tolist() == [281, 3]
    named, numbered = (vz.render(vgg16, vz.class_logit(one), size=48, steps=1).images
                       for one in ("tabby", 281))
    np.testing.assert_array_equal(named, numbered)
    with pytest.raises(ValueError, match="classes are whole numbers"):
        vz.class_logit(1.5)


def test_models_that_are_no_single_picture_classifier_are_refused():
    x = keras.Input((None, None, 3))
    made = conv("a")(x)
    with pytest.raises(ValueError, match="one output; two has 2: say which is meant"):
        vz.as_network(keras.Model(x, [made, conv("b")(made)], name="two"))
    with pytest.raises(ValueError, match="head is one of original, distilled, none"):
        vz.as_network(keras.Model(x, made), head="mine")
    rows = keras.Input((28, 28))
    with pytest.raises(ValueError, match="needs a model of pictures.*channel axis"):
        vz.as_network(keras.Model(rows, keras.layers.Dense(3)(rows)))
    six = keras.Input((None, None, 6))
    net = vz.as_network(keras.Model(six, conv("a")(six)))
    with pytest.raises(ValueError, match="this model reads 6 channels"):
        vz.activations(net, "a", np.full((1, 8, 8, 3), 9.0))
    wide = keras.Input((32, 64, 3))
    with pytest.raises(ValueError, match="32 × 64 px; pictures are square"):
        vz.as_network(keras.Model(wide, conv("a")(wide)))


# --- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [
    lambda: keras.layers.GroupNormalization(2),
    lambda: keras.layers.LayerNormalization(axis=[1, 2, 3]), lambda: keras.layers.UpSampling2D(),
    lambda: keras.layers.Softmax(axis=1),
    lambda: lambda x: keras.layers.Concatenate(axis=1)([x, x])])
def test_a_receptive_field_that_is_not_known_is_not_guessed(below):
    net = own(conv("a"), below(), conv("z"), size=(32, 32))
    with pytest.raises(ValueError, match="whose receptive field is not known here"):
        vz.receptive_field(net, "z")


def test_what_is_joined_along_channels_still_has_one():
    net = own(conv("a"), lambda x: keras.layers.Concatenate(axis=3)([x, x]), conv("z"))
    assert vz.receptive_field(net, "z").size == 5
    assert kind_of(net.graph.get_layer("z")).convolves
    for size in (0, -5, 2.5):
        with pytest.raises(ValueError, match="input_size is the pictures' side"):
            vz.receptive_field(net, "z", input_size=size)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_dilated_convolution_climbs(padding):
    net = own(conv("a", dilation_rate=2, padding=padding, activation="relu"), conv("b"))
    found = vz.maximize(net, "a", [0, 1], steps=4, size=24)
    own_maps = vz.activations(net, "a", found.images, pre_activation=True)
    inside = vz.unpadded_positions(net, "a", 24)
    measured = [maps[inside, inside, f].mean() for f, maps in enumerate(own_maps)]
    np.testing.assert_allclose(found.history[-1], measured, rtol=1e-4)


def test_what_lies_above_a_convolution_has_its_agreement_or_none(noise):
    net = own(conv("a"), conv("c"), keras.layers.BatchNormalization(name="n"),
              keras.layers.ReLU(), keras.layers.MaxPooling2D(name="p"),
              lambda x: keras.layers.Add(name="sum")([x, x]))
    of_conv = vz.picture_vectors(net, "c", noise)
    for layer in ("n", "p"):
        found = vz.maximize(net, layer, 0, seeds=2, steps=2, size=32)
        assert found.report["agreement"].between(-1, 1.001).all()
        np.testing.assert_array_equal(vz.picture_vectors(net, layer, noise), of_conv)
    assert vz.maximize(net, "sum", 0, seeds=2, steps=2, size=32).report["agreement"].isna().all()
    with pytest.raises(ValueError, match="no single layer below"):
        vz.picture_vectors(net, "sum", noise)


def test_a_model_of_one_size_climbs_at_that_size(tmp_path):
    net = own(conv("a"), conv("b"), size=(32, 32))
    assert net.input_size == net.fixed_size == 32
    assert vz.maximize(net, "a", 0, steps=1).images.shape == (1, 32, 32, 3)
    assert vz.render(net, vz.channel("b", 0), steps=1).images.shape == (1, 32, 32, 3)
    assert vz.atlas(net, "a", steps=1, folder=tmp_path).images.shape == (4, 32, 32, 3)
    for call in (lambda: vz.maximize(net, "a", 0, size=48), lambda: vz.atlas(net, "a", size=48),
                 lambda: vz.render(net, vz.channel("a", 0), size=13)):
        with pytest.raises(ValueError, match="own takes pictures of 32 px only, not of"):
            call()


# --- maxima --------------------------------------------------------------------------------------


def test_maxima_know_whose_they_are(tiny, noise):
    pictures = vz.as_image_set(noise)
    every = vz.image_maxima(tiny, LAYER, pictures)
    some = vz.image_maxima(tiny, LAYER, pictures, filters=[5, 2])
    plain = vz.top_patches(tiny, pictures, LAYER, 2, k=2)
    for maxima in (every, some):
        found = vz.top_patches(tiny, pictures, LAYER, 2, k=2, maxima=maxima)
        pd.testing.assert_frame_equal(found.table, plain.table)
    small = vz.ImageSet(pictures.names, pictures.labels, 48, noise[:, :48, :48])
    renamed = vz.ImageSet(("a", "b", "c", "d"), pictures.labels, 64, noise)
    for layer, images, maxima, words in [
            ("block2_conv2", pictures, vz.image_maxima(tiny, LAYER, pictures), "maxima of block2"),
            (LAYER, small, every, "found at 64 px; the pictures have 48"),
            (LAYER, renamed, every, "of other pictures"), (LAYER, pictures, some, "filters 5, 2")]:
        with pytest.raises(ValueError, match=words):
            vz.top_patches(tiny, images, layer, 1, maxima=maxima)


def test_maxima_of_some_pictures_go_with_those(tiny, noise):
    pictures = vz.as_image_set(noise)
    whole = vz.image_maxima(tiny, LAYER, pictures)
    for some in ([2, 0], np.array([False, True, False, True])):
        rows = np.arange(4)[some]
        half, part = whole.subset(some), pictures.subset(rows)
        alone = vz.image_maxima(tiny, LAYER, part)
        np.testing.assert_allclose(half.values, alone.values, rtol=1e-4)
        assert half.names == part.names and len(vz.top_patches(
            tiny, part, LAYER, 1, maxima=half).images) == 2
    with pytest.raises(ValueError, match="other pictures, or in another order"):
        vz.top_patches(tiny, pictures.subset([0, 2]), LAYER, 1, maxima=whole.subset([2, 0]))


def test_a_reference_may_be_maxima_of_the_layer(tiny, noise):
    maxima = vz.image_maxima(tiny, LAYER, noise)
    reports = [vz.maximize(tiny, LAYER, 1, steps=2, size=24, reference=given).report
               for given in (maxima, maxima.values)]
    pd.testing.assert_frame_equal(*reports)
    for wrong in (vz.image_maxima(tiny, "block3_conv1", noise),
                  vz.image_maxima(tiny, LAYER, noise, filters=[1])):
        with pytest.raises(ValueError, match="the reference are maxima of"):
            vz.maximize(tiny, LAYER, 1, reference=wrong)


# --- climbs --------------------------------------------------------------------------------------


def test_a_picture_does_not_agree_with_its_own_copy(tiny):
    assert vz.maximize(tiny, LAYER, [1, 1], steps=2, size=24).report["agreement"].isna().all()
    twice = vz.maximize(tiny, LAYER, [1, 1], seeds=2, steps=2, size=24)
    once = vz.maximize(tiny, LAYER, [1], seeds=2, steps=2, size=24)
    np.testing.assert_allclose(twice.report["agreement"], once.report["agreement"].tolist() * 2,
                               rtol=1e-4)


@pytest.mark.parametrize(("options", "words"), [
    ({"sign": 2}, "sign is 1 or −1"), ({"sign": 0}, "sign is 1 or −1"),
    ({"calm": 1.5}, "calm is a share from 0 to 1"), ({"calm": -0.1}, "calm is a share"),
    ({"snapshots": (9,)}, "snapshots are steps from 0 to 2, not 9"),
    ({"snapshots": (-1,)}, "snapshots are steps"), ({"seed": 1.5}, "seed must be a whole number"),
    ({"seed": [0, 1]}, "seed must be a whole number"),
    ({"seeds": 1.5}, "seeds must be a whole number"),
    ({"steps": 2.5}, "steps must be a whole number"),
    ({"size": 24.5}, "size is the pictures' side"),
    ({"batch": 2.5}, "batch must be a whole number"),
    ({"transforms": "jitter"}, "transforms is a sequence"),
    ({"transforms": (4,)}, "transforms is a sequence"),
    ({"optimiser": "adam"}, "offers rate, memory, change; not 'adam'"),
    ({"optimiser": keras.optimizers.Adam()}, "offers rate, memory, change"),
    ({"optimiser": vz.Adam}, "offers rate, memory, change"),
    ({"optimiser": vz.Adam(float("nan"))}, "rate is a finite number"),
    ({"parameterisation": "pixels"}, "offers start, picture, write"),
    ({"settle": 2}, "settle is a share"), ({"every": 0}, "every must be a whole number"),
    ({"objective": vz.channel(LAYER, 0)}, "objective is one of")])
def test_numbers_that_no_climb_can_have(tiny, options, words):
    with pytest.raises(ValueError, match=words):
        vz.maximize(tiny, LAYER, 1, **{"steps": 2, "size": 24} | options)


def test_what_stands_for_itself_is_taken_so(tiny, noise):
    def drawn(**options):
        return vz.maximize(tiny, LAYER, [1, 2], steps=3, **options).images

    shift = vz.jitter(2)
    np.testing.assert_array_equal(drawn(size=24, transforms=None), drawn(size=24, transforms=()))
    np.testing.assert_array_equal(drawn(size=24, transforms=shift),
                                  drawn(size=24, transforms=(shift,)))
    np.testing.assert_array_equal(drawn(size=64, start=vz.as_image_set(noise[:2])),
                                  drawn(size=64, start=noise[:2]))


def test_a_named_objective_goes_before_a_presets(tiny):
    def climbed(objective):
        return vz.maximize(tiny, LAYER, 1, objective=objective, preset="normalised_gradient",
                           size=32, steps=3)

    alone, unit, channel = climbed(None), climbed("unit"), climbed("channel")
    assert not np.array_equal(alone.images, unit.images)
    assert not np.array_equal(alone.images, channel.images)  # the preset's is after the ReLU
    start = vz.PRESETS["normalised_gradient"]["parameterisation"]
    by_hand = vz.maximize(tiny, LAYER, 1, objective="unit", size=32, steps=3, transforms=(),
                          parameterisation=start, optimiser=vz.Normalised(10.0))
    np.testing.assert_array_equal(unit.images, by_hand.images)


@pytest.mark.parametrize(("objective", "words"), [
    (lambda: vz.channel(LAYER, 8), "has filters 0 to 5; 8 is out of range"),
    (lambda: vz.unit(LAYER, -1), "-1 is out of range"),
    (lambda: vz.channel(LAYER, 0) + vz.channel("block2_conv2", [0, 99]), "99 is out of range"),
    (lambda: vz.channel(LAYER, 1.7), "filters are whole numbers"),
    (lambda: vz.channel(LAYER, [[1, 2]]), "one or a row of them"),
    (lambda: vz.direction(LAYER, np.ones(3)), "a direction of 3 channels does not belong"),
    (lambda: vz.direction(LAYER, np.ones(1)), "a direction of 1 channels does not belong"),
    (lambda: vz.class_logit(3), "tiny_vgg has no classifier"),
    (lambda: "channel", "an objective is needed, such as")])
def test_an_objective_that_reads_what_is_not_there(tiny, objective, words):
    with pytest.raises(ValueError, match=words):
        vz.render(tiny, objective(), size=24, steps=1)


def test_a_dense_layer_has_no_channel_to_draw(classifiers):
    with pytest.raises(ValueError, match="d of own has no map"):
        vz.render(classifiers[0], vz.channel("d", 3), size=24, steps=1)
    squares = vz.render(classifiers[0], vz.layer("d"), size=24, steps=1)
    assert np.isfinite(squares.history).all()


def test_objectives_reckon_as_numbers_do(tiny):
    one, other = vz.channel(LAYER, [0, 1]), vz.channel("block2_conv2", [2, 3])

    def value(objective):
        return vz.render(tiny, objective, size=24, steps=1, seed=[3, 4],
                         transforms=()).history[0]  # of the untransformed start

    first, second = value(one), value(other)
    np.testing.assert_allclose(value(one / 2), first / 2, rtol=1e-5)
    np.testing.assert_allclose(value(sum([one, other])), first + second, rtol=1e-5)
    for product in (np.array([2.0, 3.0]) * one, one * np.array([2.0, 3.0])):
        np.testing.assert_allclose(value(product), first * [2, 3], rtol=1e-5)
    both = value(np.array([2.0, 3.0]) * vz.side_by_side(one, other))
    np.testing.assert_allclose(both, np.stack([first, second], 1) * [[2], [3]], rtol=1e-5)
    for wrong in (lambda: one * other, lambda: one * float("nan"), lambda: one / 0,
                  lambda: one * None, lambda: one * np.ones((2, 2))):
        with pytest.raises(ValueError, match="multiplied or divided by a finite number"):
            wrong()
    with pytest.raises(ValueError, match="are added to objectives, not to 3"):
        one + 3


def test_who_stops_moving_is_told_and_why(tiny, noise):
    with pytest.warns(UserWarning, match="finite in octave 1.*A smaller rate may help"):
        deepdream.dream(tiny, noise[0], "block3_conv1", octaves=1, rate=1e38, steps=3)
    recipe = next(iter(inversion.RECIPES.values()))
    fast = dataclasses.replace(recipe, optimiser=vz.Adam(1e38))
    with pytest.warns(UserWarning, match="stopped being finite for picture 0"):
        inversion.invert(tiny, LAYER, noise[0], recipe=fast, steps=3)
    for name in ("alpha_weight", "tv_weight"):
        with pytest.raises(ValueError, match=f"{name} is at least 0"):
            inversion.invert(tiny, LAYER, noise[0], **{name: -1})
    tiny.model.get_layer("block1_conv1").kernel.assign(tf.fill((3, 3, 3, 4), np.nan))
    with pytest.warns(UserWarning, match="weights that are not finite") as caught:
        vz.maximize(tiny, LAYER, 0, size=24, steps=2)
    assert not any("smaller rate" in str(warning.message) for warning in caught)


# --- what is kept --------------------------------------------------------------------------------


def _formula(maps, values):
    return tf.reduce_mean(maps[0], (1, 2))


def test_a_formula_that_borrows_a_name_is_made_anew(tiny):
    sign = [1.0]

    @functools.wraps(_formula)
    def formula(maps, values):
        return sign[0] * _formula(maps, values)

    goal = dataclasses.replace(vz.channel(LAYER, 1), formula=formula)
    first = vz.render(tiny, goal, size=24, steps=1).history[0, 0]
    sign[0] = -1.0  # what the formula reads changes, the formula is the same object
    assert vz.render(tiny, goal, size=24, steps=1).history[0, 0] == -first != 0


def test_a_new_activation_function_counts_at_once(noise):
    net = own(conv("a", activation="relu"), conv("b"))
    before = vz.activations(net, "b", noise)
    climbed = vz.maximize(net, "b", 0, steps=2, size=24).history
    net.model.get_layer("a").activation = keras.activations.tanh
    after = vz.activations(net, "b", noise)
    np.testing.assert_allclose(after, net.model(noise).numpy(), rtol=1e-4, atol=1e-4)
    assert not np.allclose(before, after)
    assert not np.allclose(vz.maximize(net, "b", 0, steps=2, size=24).history, climbed)
    net.model.get_layer("a").activation = keras.activations.relu
    np.testing.assert_array_equal(vz.activations(net, "b", noise), before)


# --- rankings, networks by name -----------------------------------------------------------------


def test_a_ranking_is_drawn_for_its_own_filter_only(tiny):
    ranking = vz.rank_kernels(tiny, LAYER, 3)
    assert (ranking.attrs["layer"], ranking.attrs["filter"]) == (LAYER, 3)
    vz.plot_kernels(tiny, LAYER, 3, ranking)
    for layer, filter in ((LAYER, 4), ("block2_conv2", 3)):
        with pytest.raises(ValueError, match=f"ranking is of {LAYER}'s filter 3, not of"):
            vz.plot_kernels(tiny, layer, filter, ranking)
    with pytest.raises(ValueError, match="999 is out of range"):
        vz.plot_words(tiny, LAYER, 999)


def test_weights_that_cannot_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.h5 not found; give 'imagenet'"):
        vz.load_network("ResNet50", weights="nowhere.h5")
    for name in ("ResNet50", "vgg16", "efficientnet_lite0"):
        with pytest.raises(ValueError, match="weights is 'auto'.*, not None"):
            vz.load_network(name, weights=None)


def test_a_warning_at_a_fixed_size_advises_no_other(noise):
    net = own(conv("a", padding="same"), conv("b", padding="same"), size=(4, 4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vz.maximize(net, "b", 0, steps=1)
    assert any("all are used." in str(w.message) for w in caught)
    assert not any("size=" in str(w.message) for w in caught)
