"""Tests of attribution maps against networks whose reasons are known."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import vizutils as vz
from techniques import faithfulness


@pytest.fixture
def linear():
    """Two logits, each a weighted sum of the pixels of a 6 × 6 picture; and the weights."""
    weights = np.random.default_rng(1).normal(0, 1, (6 * 6 * 3, 2)).astype("float32")
    inputs = keras.Input((6, 6, 3))
    dense = keras.layers.Dense(2, name="logits")
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([weights, np.zeros(2, "float32")])
    return (vz.as_network(model, preprocess=lambda x: x / 255, head="original"),
            weights.reshape(6, 6, 3, 2))


@pytest.fixture
def headed(tiny):
    """The tiny VGG with a seeded linear head of five classes."""
    dense = keras.layers.Dense(5, name="head")
    pooled = keras.layers.GlobalAveragePooling2D()(tiny.model.output)
    model = keras.Model(tiny.model.input, dense(pooled))
    dense.set_weights([np.random.default_rng(2).normal(0, 1, w.shape) for w in dense.get_weights()])
    return vz.as_network(model, preprocess=tiny.preprocess, head="original")


def gradient(net, images, targets):
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = net.model(net.preprocess(images), training=False)
        total = tf.reduce_sum(tf.gather(logits, targets, axis=1, batch_dims=1))
    return np.abs(tape.gradient(total, images).numpy()).max(-1)


def little(count=2, side=6):
    return np.random.default_rng(3).uniform(0, 255, (count, side, side, 3)).astype("float32")


def test_the_exact_map_of_a_linear_network_cannot_be_beaten(linear):
    net, weights = linear
    images = little()
    exact = ((images - 127.5) / 255 * weights[..., 0]).sum(-1)
    rng = np.random.default_rng(0)
    maps = {"exact": exact, "reversed": -exact,
            **{f"near {i}": exact + rng.normal(0, 0.2, exact.shape) for i in range(5)}}
    found = faithfulness.deletion_insertion(
        net, images, maps, 0, steps=36, baseline="grey", score="logit", random_maps=10,
        grains=(1, 3))
    table = found.table.set_index(["method", "picture"])
    for picture in (0, 1):
        best = table.loc[("exact", picture)]
        others = table.xs(picture, level="picture").drop("exact")
        assert (best["deletion"] < others["deletion"]).all()
        assert (best["insertion"] > others["insertion"]).all()
        assert best["deletion_percentile"] == best["insertion_percentile"] == 100
        assert table.loc[("reversed", picture), "deletion_percentile"] == 0
        for score in found.deletion.values():  # no order falls lower at any share hidden
            assert (score[picture] >= found.deletion["exact"][picture] - 1e-4).all()
    by_hand = np.cumsum(np.sort(exact[0].ravel())[::-1])
    start = found.deletion["exact"][0, 0]
    np.testing.assert_allclose(found.deletion["exact"][0, 1:], start - by_hand, atol=1e-4)


def test_curves_end_at_the_picture_and_its_baseline(linear):
    net, _ = linear
    images = little()
    found = faithfulness.deletion_insertion(net, images, {"m": images[..., 0]}, [1, 0], steps=4,
                                            baseline="mean", batch=3)
    whole = tf.nn.softmax(vz.logits(net, images)).numpy()[[0, 1], [1, 0]]
    plain = np.zeros_like(images) + images.mean((1, 2), keepdims=True)
    blank = tf.nn.softmax(vz.logits(net, plain)).numpy()[[0, 1], [1, 0]]
    for curve, (first, last) in ((found.deletion, (whole, blank)),
                                 (found.insertion, (blank, whole))):
        np.testing.assert_allclose(curve["m"][:, 0], first, rtol=1e-5)
        np.testing.assert_allclose(curve["m"][:, -1], last, rtol=1e-5)
    again = faithfulness.deletion_insertion(net, images, {"m": images[..., 0]}, [1, 0], steps=4,
                                            baseline="mean", batch=16)
    np.testing.assert_allclose(found.deletion["m"], again.deletion["m"], rtol=1e-5)


def test_a_constant_map_is_a_random_order():
    rank = faithfulness._order(np.ones((20, 20)), np.random.default_rng(0))
    assert sorted(rank.ravel()) == list(range(400))
    assert abs(np.corrcoef(rank.ravel(), np.arange(400))[0, 1]) < 0.2


def test_shuffled_weights_are_another_network_and_the_given_one_stays(headed, noise):
    before = [w.copy() for w in headed.model.get_weights()]
    copy = faithfulness.shuffled(headed, ["head", "block3_conv2"])
    for old, new in zip(before, headed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for name in faithfulness.weighted_layers(headed):
        for old, new in zip(headed.model.get_layer(name).get_weights(),
                            copy.model.get_layer(name).get_weights(), strict=True):
            assert np.array_equal(old, new) != (name in ("head", "block3_conv2"))
            np.testing.assert_array_equal(np.sort(old.ravel()), np.sort(new.ravel()))
    assert np.abs(vz.logits(headed, noise) - vz.logits(copy, noise)).max() > 1e-3


def test_an_edge_detector_is_found_out_and_a_gradient_is_not(headed, noise):
    before = [w.copy() for w in headed.model.get_weights()]
    found = faithfulness.sanity_check(
        headed, noise[:2], {"edges": faithfulness.edges, "gradient": gradient}, [0, 3],
        layers=["head", "block3_conv1", "block1_conv1"])
    stages = found.table.query("method == 'gradient'")
    assert list(stages["layer"]) == ["(none)", "head", "block3_conv1", "block1_conv1"]
    assert stages["rank"].iloc[0] == pytest.approx(1)
    assert stages["rank"].iloc[-1] < 0.5
    edges = found.table.query("method == 'edges'")
    np.testing.assert_allclose(edges[["rank", "ssim"]], 1)
    assert found.verdict["insensitive"].to_dict() == {"edges": True, "gradient": False}
    for old, new in zip(before, headed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_cascade_goes_down_from_the_logits(headed):
    layers = faithfulness.weighted_layers(headed)
    stages = faithfulness._cascade(headed, None)
    assert stages[0] == [] and stages[1] == ["head"] and stages[-1] == layers[::-1]
    assert all(set(a) < set(b) for a, b in zip(stages, stages[1:], strict=False))


def test_a_constant_map_is_insensitive_and_has_no_rank(headed, noise):
    found = faithfulness.sanity_check(
        headed, noise[:2], {"flat": lambda net, images, targets: np.zeros(images.shape[:3])},
        [0, 0], layers=["head"])
    assert found.table["rank"].isna().all()
    assert found.verdict.loc["flat", "insensitive"]


def test_maps_agree_with_themselves_and_with_what_ranks_alike():
    maps = np.random.default_rng(0).normal(0, 1, (3, 16, 16))
    found = faithfulness.agreement(
        {"a": maps, "tripled": 3 * maps, "cubed": np.abs(maps) ** 3, "flat": 0 * maps}, cell=1)
    np.testing.assert_allclose(found.same.iloc[:3, :3], 1)
    assert found.same["flat"].isna().all()
    assert found.other.iloc[:3, :3].abs().max().max() < 0.3


def test_rank_correlation_is_scipys():
    from scipy import stats

    a, b = np.random.default_rng(0).normal(0, 1, (2, 1, 9, 9))
    expected = stats.spearmanr(np.abs(a).ravel(), np.abs(b).ravel()).statistic
    assert faithfulness.rank_correlation(a, b)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("change", "words"), [
    ({"baseline": "black"}, "blur"), ({"score": "loss"}, "logit"), ({"targets": 7}, "0 to 1"),
    ({"targets": [0, 1, 0]}, "one for each"), ({"maps": {"m": np.ones((2, 5, 6))}}, "enlarge"),
    ({"maps": {"m": np.full((2, 6, 6), np.nan)}}, "not finite"), ({"random_maps": 0}, "control"),
])
def test_curves_teach(linear, change, words):
    options = {"maps": {"m": np.ones((2, 6, 6))}, "targets": 0, **change}
    with pytest.raises(ValueError, match=words):
        faithfulness.deletion_insertion(linear[0], little(), **options)


@pytest.mark.parametrize(("change", "words"), [
    ({"targets": None}, "must be named"), ({"methods": {}}, "no method"),
    ({"layers": ["block9"]}, "block1_conv1"),
])
def test_sanity_teaches(headed, noise, change, words):
    options = {"methods": {"edges": faithfulness.edges}, "targets": [0, 0], **change}
    with pytest.raises(ValueError, match=words):
        faithfulness.sanity_check(headed, noise[:2], **options)


@pytest.mark.parametrize(("maps", "cell", "words"), [
    (np.ones((1, 8, 8)), 1, "two pictures"), (np.ones((2, 8, 8)), 9, "1 to 8"),
    (np.ones((2, 8, 8, 3)), 1, "one number a pixel"),
])
def test_agreement_teaches(maps, cell, words):
    with pytest.raises(ValueError, match=words):
        faithfulness.agreement({"a": maps}, cell=cell)


def test_groups_of_methods_are_compared_without_a_method_with_itself():
    table = pd.DataFrame([[1, 0.5, 0.1], [0.5, 1, 0.3], [0.1, 0.3, 1]], list("abc"), list("abc"))
    assert faithfulness.between(table, ["a", "b"]) == 0.5
    assert faithfulness.between(table, ["a", "b"], ["c"]) == pytest.approx(0.2)
    assert faithfulness.between(table) == pytest.approx(0.3)


def test_figures(headed, noise, linear):
    maps = {"edges": faithfulness.edges(None, noise[:2], None), "grey": noise[:2].mean(-1)}
    sane = faithfulness.sanity_check(headed, noise[:2], {"edges": faithfulness.edges}, [0, 1],
                                     layers=["head"])
    curves = faithfulness.deletion_insertion(linear[0], little(), {"m": little()[..., 0]}, 0,
                                             steps=4)
    for figure in (faithfulness.plot_sanity(sane), faithfulness.plot_cascade(sane),
                   faithfulness.plot_curves(curves),
                   faithfulness.plot_agreement(faithfulness.agreement(maps))):
        figure.canvas.draw()
        assert figure.get_size_inches()[0] == pytest.approx(6.5)
