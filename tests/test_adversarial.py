"""Adversaries against foolbox, closed forms, and bounds that must hold exactly."""

import dataclasses

import foolbox
import keras
import numpy as np
import pytest
import tensorflow as tf
from foolbox.attacks import LinfFastGradientAttack, LinfPGD
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import adversarial as adv
from techniques.adversarial import attacks


@pytest.fixture(scope="module")
def net():
    """The tiny VGG with a seeded head of 1,000 classes, loud enough to be sure of itself."""
    trunk = build_tiny_vgg()
    pooled = keras.layers.GlobalAveragePooling2D()(trunk.output)
    head = keras.layers.Dense(1000, name="logits")
    model = keras.Model(trunk.input, head(pooled))
    weights = np.random.default_rng(1).normal(0, 4, (8, 1000))
    head.set_weights([weights, np.zeros(1000)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1, head="original")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (6, 64, 64, 3)).round().astype("float32")


def linear(weights):
    """A network whose logits are weights · pixels: (classes, h, w, 3) → closed forms."""
    weights = np.asarray(weights, "float32")
    inputs = keras.Input(weights.shape[1:])
    dense = keras.layers.Dense(len(weights), use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([weights.reshape(len(weights), -1).T])
    return vz.as_network(model, head="original")


def farthest(found):
    return np.abs(found.images.astype("float64") - found.before.images).max()


# --- known answers ----------------------------------------------------------------------


def test_two_classes_of_a_linear_network_in_closed_form():
    """The loss's gradient is the difference of the two weights, whatever the pixels are."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1e-3, (2, 6, 6, 3))
    image = rng.uniform(50, 200, (1, 6, 6, 3)).astype("float32")
    net = linear(weights)
    said = int(vz.logits(net, image).argmax())
    found = adv.fgsm(net, image, epsilon=3)
    expected = 3 * np.sign(weights[1 - said] - weights[said])
    np.testing.assert_allclose(found.perturbation[0], expected, atol=1e-4)
    back = adv.fgsm(net, image, epsilon=3, targets=1 - said)
    np.testing.assert_array_equal(back.images, found.images)  # two classes: away is towards
    many = adv.pgd(net, image, epsilon=3, steps=7, step=1.3)
    np.testing.assert_allclose(many.perturbation[0], expected, atol=1e-4)


def test_the_largest_change_of_a_linear_logit_is_epsilon_times_the_weights_l1():
    weights = np.random.default_rng(3).normal(0, 1e-3, (2, 5, 5, 3)).astype("float32")
    image = np.full((1, 5, 5, 3), 128, "float32")
    found = adv.fgsm(linear(weights), image, epsilon=2)
    gap = (found.logits - found.before.logits) @ [1, -1]
    assert np.abs(gap[0]) == pytest.approx(2 * np.abs(weights[0] - weights[1]).sum(), rel=1e-4)


def peer(net):
    """foolbox's view of the same network."""
    model = keras.Sequential([keras.layers.Lambda(net.preprocess), net.model])
    return foolbox.TensorFlowModel(model, bounds=(0, 255), device="/CPU:0")


@pytest.mark.parametrize("targets", [None, [5, 17, 400, 999, 0, 31]], ids=["away", "towards"])
@pytest.mark.parametrize("epsilon", [0.5, 8])
def test_fgsm_is_foolboxs(net, images, epsilon, targets):
    found = adv.fgsm(net, images, epsilon=epsilon, targets=targets)
    classes = tf.constant(found.before.targets)
    criterion = (foolbox.criteria.Misclassification(classes) if targets is None
                 else foolbox.criteria.TargetedMisclassification(classes))
    attack = LinfPGD(abs_stepsize=epsilon, steps=1, random_start=False)
    theirs = attack.run(peer(net), tf.constant(images), criterion, epsilon=epsilon)
    np.testing.assert_allclose(found.images, theirs, atol=2e-5)
    if targets is None:  # foolbox's own FGSM is untargeted only
        theirs = LinfFastGradientAttack().run(peer(net), tf.constant(images), classes,
                                              epsilon=epsilon)
        np.testing.assert_allclose(found.images, theirs, atol=2e-5)
        assert farthest(found) <= epsilon < np.abs(theirs.numpy() - images).max() + 1e-4


@pytest.mark.parametrize("targets", [None, [5, 17, 400, 999, 0, 31]], ids=["away", "towards"])
def test_pgd_is_foolboxs(net, images, targets):
    found = adv.pgd(net, images, epsilon=4, steps=5, step=1.5, targets=targets,
                    random_start=False)
    classes = tf.constant(found.before.targets)
    criterion = (foolbox.criteria.Misclassification(classes) if targets is None
                 else foolbox.criteria.TargetedMisclassification(classes))
    attack = LinfPGD(abs_stepsize=1.5, steps=5, random_start=False)
    theirs = attack.run(peer(net), tf.constant(images), criterion, epsilon=4).numpy()
    # a gradient next to zero may change its sign with the last digit: a few pixels, not more
    assert (np.abs(found.images - theirs) > 1e-4).mean() < 1e-3


def test_untargeted_lowers_and_targeted_raises_the_probability(net, images):
    away = adv.pgd(net, images, epsilon=4)
    assert (away.table()["p_old"] < away.table()["p_before"]).all()
    towards = adv.pgd(net, images, epsilon=4, targets=17)
    p = tf.nn.softmax(np.stack([towards.before.logits, towards.logits])).numpy()[:, :, 17]
    assert (p[1] > p[0]).all()


def test_the_gradient_beats_random_signs(net, images):
    table = adv.sweep(net, images, [0, 1, 16])
    assert list(table.method) == ["FGSM", "sign noise"] * 3
    assert (table.fooled[:2] == 0).all() and (table.low <= table.share).all()
    gradient, noise = (table[table.method == m].p_target.to_numpy() for m in
                       ("FGSM", "sign noise"))
    assert (gradient[1:] < noise[1:]).all()
    again = adv.sweep(net, images, [0, 1, 16], signs=adv.gradient_signs(
        net, adv.look(net, images)))
    np.testing.assert_allclose(again.p_target, table.p_target, atol=1e-6)


def test_a_standard_deviation_in_grey_levels():
    assert adv.grey_levels(0.1) == pytest.approx(5.712)
    assert adv.grey_levels(0) == 0


# --- bounds -----------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, derandomize=True)
@given(epsilon=st.floats(0, 255), seed=st.integers(0, 2**32 - 1),
       kind=st.sampled_from(["uniform", "whole", "ends", "tiny"]))
def test_bounds_hold_exactly(epsilon, seed, kind):
    rng = np.random.default_rng(seed)
    image = {"uniform": rng.uniform(0, 255, 300), "whole": rng.integers(0, 256, 300),
             "ends": rng.choice([0, 255], 300), "tiny": 10 ** rng.uniform(-30, 2, 300),
             }[kind].astype("float32").reshape(1, 10, 10, 3)
    low, high = adv.bounds(image, epsilon)
    assert low.dtype == high.dtype == np.float32
    for end in (low, high):
        assert np.abs(end.astype("float64") - image).max() <= epsilon
        assert float(np.abs(end - image).max()) <= epsilon  # in single precision too
        assert end.min() >= 0 and end.max() <= 255
    assert (low <= image).all() and (image <= high).all()
    # and they are no tighter than need be: ε is reached to the last digits but one
    reach = np.minimum(epsilon, 255 - image.astype("float64"))
    np.testing.assert_allclose(high - image.astype("float64"), reach, atol=4e-5)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(epsilon=st.floats(0, 255), seed=st.integers(0, 1000), whole=st.booleans())
def test_every_attack_keeps_them(net, epsilon, seed, whole):
    images = np.random.default_rng(seed).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    images = np.rint(images) if whole else images
    before = adv.look(net, images)
    for found in (adv.fgsm(net, before, epsilon=epsilon),
                  adv.pgd(net, before, epsilon=epsilon, steps=3, seed=seed),
                  adv.sign_noise(net, before, epsilon=epsilon, seed=seed)):
        assert farthest(found) <= epsilon
        assert float(np.abs(found.perturbation).max()) <= epsilon
        assert found.images.min() >= 0 and found.images.max() <= 255
        assert found.images.dtype == np.float32


def test_epsilon_zero_gives_the_picture_back(net, images):
    for attack in (adv.fgsm, adv.pgd, adv.sign_noise):
        found = attack(net, images, epsilon=0)
        np.testing.assert_array_equal(found.images, images)
        assert not found.success.any()


def test_eight_bits_are_whole_grey_levels_within_epsilon(net, images):
    found = adv.pgd(net, images, epsilon=5.7, steps=3)
    kept = adv.rounded(net, found)
    assert not (kept.images % 1).any() and farthest(kept) == 5
    assert np.abs(kept.images - found.images).max() <= 0.7 + 1e-4
    np.testing.assert_array_equal(adv.rounded(net, adv.fgsm(net, images, epsilon=0.4)).images,
                                  images)
    with pytest.raises(ValueError, match="round them before"):
        adv.rounded(net, adv.fgsm(net, images * np.float32(0.9), epsilon=2))


# --- same call, same answer; nothing is changed -----------------------------------------


def test_some_of_an_attack_are_the_same_attack_on_some(net, images):
    before = adv.look(net, images)
    whole = adv.fgsm(net, before, epsilon=2)
    for rows in ([2, 0], np.arange(len(images)) > 0):
        some, alone = whole.subset(rows), adv.fgsm(net, before.subset(rows), epsilon=2)
        np.testing.assert_array_equal(some.images, alone.images)
        np.testing.assert_allclose(some.logits, alone.logits, rtol=1e-4, atol=1e-5)
        assert some.success.tolist() == whole.success[rows].tolist()
        assert some.flat.tolist() == alone.flat.tolist() and some.method == whole.method


def test_one_trace_for_all_and_seeded(net, images):
    first = adv.pgd(net, images[:5], epsilon=4, steps=2, seed=3)  # a batch of 4, one of 1
    again = adv.pgd(net, images[:5], epsilon=4, steps=2, seed=3)
    other = adv.pgd(net, images[:5], epsilon=4, steps=2, seed=4)
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.images != other.images).any()
    assert attacks._gradient(net).experimental_get_tracing_count() == 1


def test_the_model_is_not_modified(net, images):
    weights = [w.copy() for w in net.model.get_weights()]
    config, given_images = net.model.to_json(), images.copy()
    found = adv.pgd(net, images, epsilon=4, steps=2)
    adv.layer_change(net, found)
    adv.filter_change(net, found, "block3_conv2")
    adv.defend(net, found, {"jpeg": adv.jpeg})
    for before, after in zip(weights, net.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert net.model.to_json() == config
    np.testing.assert_array_equal(images, given_images)


def test_a_picture_alone_and_a_set_of_pictures(net, images):
    alone = adv.fgsm(net, images[0], epsilon=2)
    in_set = adv.fgsm(net, vz.ImageSet(("a", "b"), np.array([-1, -1]), 64, images[:2]), epsilon=2)
    assert alone.images.shape == (1, 64, 64, 3)
    np.testing.assert_allclose(alone.images[0], in_set.images[0], atol=1e-4)


# --- what it does inside, elsewhere, and against it --------------------------------------


def test_layer_change_of_a_linear_layer_by_hand(net, images):
    found = adv.fgsm(net, images[:2], epsilon=8)
    table = adv.layer_change(net, found).set_index(["layer", "picture"])["change"]
    x, y = (np.asarray(net.preprocess(i), "float64") for i in (images[1], found.images[1]))
    assert table["pixels", 1] == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x), 1e-5)
    before, after = (vz.activations(net, "block1_conv1", i[None], pre_activation=True)
                     for i in (images[1], found.images[1]))
    expected = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert table["block1_conv1", 1] == pytest.approx(expected, 1e-5)
    expected = np.linalg.norm(found.logits[1] - found.before.logits[1]) / np.linalg.norm(
        found.before.logits[1])
    assert table["logits", 1] == pytest.approx(expected, 1e-4)
    nothing = adv.layer_change(net, adv.fgsm(net, images[:1], epsilon=0))
    assert (nothing.change < 1e-6).all() and len(nothing) == 15  # but for rounding


def test_filter_change_by_hand(net, images):
    found = adv.fgsm(net, images[:3], epsilon=8)
    table = adv.filter_change(net, found, "block2_conv1").set_index("filter")
    before, after = (vz.activations(net, "block2_conv1", i, pre_activation=True)[..., 4]
                     for i in (images[:3], found.images))
    expected = np.mean([np.linalg.norm(b - a) / np.linalg.norm(a)
                        for a, b in zip(before, after, strict=True)])
    assert table.change[4] == pytest.approx(expected, 1e-5)
    rise = after.max((1, 2)) - before.max((1, 2))
    assert table["shift"][4] == pytest.approx(rise.mean() / before.max((1, 2)).std(), 1e-4)
    assert len(table) == 6


def test_transfer_counts_only_what_both_name_right(net, images):
    found = adv.fgsm(net, images, epsilon=16)
    labels = found.before.targets.copy()
    labels[:2] = -1, (labels[1] + 1) % 1000  # unknown; named wrong
    table = adv.transfer(net, [found, adv.fgsm(net, images, epsilon=0)], labels).to_dict("list")
    fooled = int(found.success[2:].sum())
    assert fooled > 0 and table["pictures"] == [4, 4]
    assert table["fooled"] == table["fooled_there"] == table["same"] == [fooled, 0]
    other = linear(np.zeros((1000, 64, 64, 3)))  # says class 0 to everything
    with pytest.raises(ValueError, match="named right by both"):
        adv.transfer(other, [found], np.full(6, 7))
    with pytest.raises(ValueError, match="same pictures"):
        adv.transfer(net, [found, adv.fgsm(net, images[:2], epsilon=1)], labels)


def test_defences_by_hand(net, images):
    found = adv.fgsm(net, images, epsilon=16)
    own, fooled = found.before.targets, int(found.success.sum())
    grey = np.full_like(images[:1], 128)
    table = adv.defend(net, found, {
        "oracle": lambda given: images if len(given) == 6 else images[found.success],
        "blank": lambda given: np.repeat(grey, len(given), 0)}, labels=[*own[:4], -1, -1])
    assert list(table.defence) == ["none", "oracle", "blank"]
    assert list(table.recovered[:2]) == [0, fooled] and list(table.kept[:2]) == [6, 6]
    assert list(table.labelled) == [4, 4, 4] and list(table.right[:2]) == [4, 4]
    said = int(vz.logits(net, grey).argmax())
    assert table.kept[2] == (own == said).sum()


def test_jpeg_and_blur():
    image = np.zeros((1, 33, 33, 3), "float32")
    image[0, 16, 16] = 255
    soft = adv.blur(image, sigma=1.5)
    assert soft.sum() == pytest.approx(image.sum(), rel=1e-3)  # light is spread, not lost
    assert soft[0, 16, 16, 0] == pytest.approx(255 / (2 * np.pi * 1.5**2), rel=0.02)
    flat = np.full((2, 16, 16, 3), 99.6, "float32")
    np.testing.assert_array_equal(adv.jpeg(flat), np.full_like(flat, 100))
    smooth = np.broadcast_to(np.linspace(0, 255, 32)[:, None], (1, 32, 32, 3)).astype("float32")
    worst = [np.abs(adv.jpeg(smooth, quality=q) - smooth).max() for q in (20, 95)]
    assert worst[0] > worst[1] and worst[1] < 4


def test_tables_and_figures(net, images):
    found = adv.fgsm(net, images, epsilon=8)
    table = found.table(names=list("abcdef"))
    assert list(table.picture) == list("abcdef") and table.largest.max() <= 8
    was = tf.nn.softmax(found.before.logits).numpy()
    np.testing.assert_allclose(table.p_before, was.max(1))
    assert table.before[0] == adv.class_name(was[0].argmax())
    assert adv.class_name(2, 10) == "class 2" and adv.class_name(9) == "ostrich"
    change = adv.filter_change(net, found, "block2_conv1")
    maps = np.random.default_rng(0).uniform(0, 1, (2, 64, 64))
    drawn = [adv.plot_adversaries(found),
             adv.plot_adversaries(adv.fgsm(net, images, epsilon=0), [4]),
             adv.plot_rates(adv.rates([found])), adv.plot_layers(adv.layer_change(net, found)),
             adv.plot_filters({"FGSM": change}, 3),
             adv.plot_attributions(found, {"saliency": maps}, asked=("a", "b"))]
    assert all(isinstance(figure, Figure) for figure in drawn)
    panels = drawn[0].axes
    assert panels[0].get_title().startswith(table.before[0])
    np.testing.assert_array_equal(panels[3].images[0].get_array(),
                                  found.images[0].astype("uint8"))
    np.testing.assert_array_equal(  # mid-grey is no change; ±ε black and white
        panels[2].images[0].get_array(),
        (127.5 + 127.5 / 8 * found.perturbation[0]).clip(0, 255).astype("uint8"))


# --- bad input teaches ------------------------------------------------------------------

BAD = {
    "negative": ({"epsilon": -1}, "from 0 to 255"),
    "NaN": ({"epsilon": np.nan}, "from 0 to 255"),
    "too large": ({"epsilon": 256}, "from 0 to 255"),
    "words": ({"epsilon": "8"}, "grey_levels"),
    "class number": ({"epsilon": 1, "targets": 1000}, "1000"),
    "class name": ({"epsilon": 1, "targets": "ostrick"}, "ostrich"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("attack", [adv.fgsm, adv.pgd, adv.sign_noise])
def test_bad_options(net, images, attack, options, message):
    with pytest.raises(ValueError, match=message):
        attack(net, images, **options)


@pytest.mark.parametrize(("change", "message"), [
    (lambda x: x[..., 0], r"\(n, rows, columns, 3\)"), (lambda x: x[0, 0], "rows, columns, 3"),
    (lambda x: x[:0], "no picture given"), (lambda x: x * np.nan, "NaN"),
    (lambda x: x - 1000, "0-255"), (lambda x: x * 2, "clip them"), (lambda x: x / 255, "0-1")])
def test_bad_pictures(net, images, change, message):
    with pytest.raises(ValueError, match=message):
        adv.fgsm(net, change(images), epsilon=1)


def test_other_bad_input(net, tiny, images):
    with pytest.raises(ValueError, match="weights='packaged'"):
        adv.fgsm(tiny, images, epsilon=1)
    with pytest.raises(ValueError, match="as it is"):
        adv.fgsm(net, images[:1], epsilon=1, targets=int(vz.logits(net, images[:1]).argmax()))
    with pytest.raises(ValueError, match="at least 1"):
        adv.pgd(net, images, epsilon=1, steps=0)
    with pytest.raises(ValueError, match="from 0 to 255"):
        adv.pgd(net, images, epsilon=1, step=-1)
    with pytest.raises(ValueError, match="give targets to look"):
        adv.fgsm(net, adv.look(net, images), epsilon=1, targets=3)
    with pytest.raises(ValueError, match="not found"):
        adv.filter_change(net, adv.fgsm(net, images, epsilon=1), "block9")


def test_a_flat_gradient_is_told(images):
    with pytest.warns(UserWarning, match="zero everywhere"):
        found = adv.fgsm(linear(np.zeros((3, 64, 64, 3))), images, epsilon=4)
    assert found.flat.all()
    np.testing.assert_array_equal(found.images, images)


# --- the real network -------------------------------------------------------------------


def test_vgg16_falls_to_one_grey_level_and_not_to_noise(vgg16, pictures):
    before = adv.look(vgg16, pictures.subset([0, 8]))  # a bull mastiff and a yurt, both named so
    assert list(before.targets) == [243, 915]
    assert adv.fgsm(vgg16, before, epsilon=1).success.all()
    assert not adv.sign_noise(vgg16, before, epsilon=1).success.any()


def test_a_frozen_result(net, images):
    found = adv.fgsm(net, images[:1], epsilon=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.epsilon = 3
