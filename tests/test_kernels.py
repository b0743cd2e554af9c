"""Ranking kernels, against brute force and against kernels planted by hand."""

import keras
import numpy as np
import pytest

import vizutils as vz


def test_ranking_is_brute_force(vgg16):
    layer, filter = "block3_conv2", 42
    weights = vgg16.model.get_layer(layer).kernel.numpy()
    norms = [float(np.linalg.norm(weights[:, :, c, filter])) for c in range(256)]
    ranking = vz.rank_kernels(vgg16, layer, filter, top=10)
    assert list(ranking.columns) == ["channel", "l2", "sign_index", "positive_share", "kind"]
    assert ranking["channel"].tolist() == sorted(range(256), key=lambda c: -norms[c])[:10]
    for row in ranking.itertuples():
        kernel = weights[:, :, row.channel, filter].ravel().tolist()
        assert row.l2 == pytest.approx(norms[row.channel], rel=1e-5)
        plus, minus = sum(w for w in kernel if w > 0), -sum(w for w in kernel if w < 0)
        assert row.sign_index == pytest.approx((plus - minus) / (plus + minus), rel=1e-4)
        assert row.positive_share == pytest.approx(sum(w > 0 for w in kernel) / 9)
    assert ranking.attrs["l2_share"] == pytest.approx(
        sum(n**2 for n in sorted(norms)[-10:]) / sum(n**2 for n in norms), rel=1e-5)


def planted(kernels, **options):
    """A network whose second convolution has the given kernels (3, 3, c, filters)."""
    inputs = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(kernels.shape[2], 3, padding="same", activation="relu",
                                name="first")(inputs)
    layer = keras.layers.Conv2D(kernels.shape[3], 3, padding="same", name="second", **options)
    model = keras.Model(inputs, layer(first))
    layer.set_weights([kernels, np.zeros(kernels.shape[3])])
    return vz.as_network(model)


def test_planted_kernels_are_found_and_named():
    kernels = np.zeros((3, 3, 6, 1), "float32")
    kernels[:, :, 4, 0] = 1.0  # all taps excite
    kernels[:, :, 1, 0] = -0.5  # all inhibit
    kernels[:, 0, 3, 0], kernels[:, 2, 3, 0] = 0.4, -0.4  # an edge: as much plus as minus
    kernels[0, 0, 5, 0] = 0.01  # mostly zero
    ranking = vz.rank_kernels(planted(kernels), "second", 0)
    assert ranking["channel"].tolist() == [4, 1, 3]
    assert ranking["kind"].tolist() == ["mostly excitatory", "mostly inhibitory", "mixed"]
    assert ranking["positive_share"].tolist() == pytest.approx([1, 0, 1 / 3])
    assert ranking.attrs["mostly_zero"] == 3 and ranking.attrs["channels"] == 6


def test_index_and_majority_can_disagree():
    kernels = np.full((3, 3, 1, 1), 0.1, "float32")
    kernels[1, 1, 0, 0] = -2.0  # eight small excitatory taps, one strong inhibitory
    row = vz.rank_kernels(planted(kernels), "second", 0).iloc[0]
    assert row["positive_share"] > 0.5 and row["kind"] == "mostly inhibitory"


def test_grouped_convolution_reads_its_own_group_only():
    rng = np.random.default_rng(0)
    inputs = keras.Input((8, 8, 6))
    layer = keras.layers.Conv2D(4, 3, groups=2, padding="same", name="grouped")
    net = vz.as_network(keras.Model(inputs, layer(inputs)))
    taps = vz.kernels(net, "grouped", 3)  # the second group: channels 3, 4, 5
    assert taps.shape == (3, 3, 6)
    assert not taps[:, :, :3].any() and taps[:, :, 3:].any()
    x = rng.normal(size=(1, 8, 8, 6)).astype("float32")
    found = net.model(x)[0, 4, 4, 3].numpy()
    assert found == pytest.approx((x[0, 3:6, 3:6] * taps).sum(), rel=1e-4)


def test_depthwise_convolution_has_one_kernel_a_filter():
    inputs = keras.Input((8, 8, 5))
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")
    net = vz.as_network(keras.Model(inputs, layer(inputs)))
    ranking = vz.rank_kernels(net, "depthwise", 7)  # filter 7 = channel 3, second multiplier
    assert ranking["channel"].tolist() == [3]
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 5)).astype("float32")
    found = net.model(x)[0, 4, 4, 7].numpy()
    taps = vz.kernels(net, "depthwise", 7)
    assert found == pytest.approx((x[0, 3:6, 3:6] * taps).sum(), rel=1e-4)


def test_separable_convolution_has_the_products_of_its_parts():
    inputs = keras.Input((8, 8, 4))
    layer = keras.layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", name="both")
    net = vz.as_network(keras.Model(inputs, layer(inputs)))
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype("float32")
    found = net.model(x)[0, 4, 4, 3].numpy()
    assert found == pytest.approx((x[0, 3:6, 3:6] * vz.kernels(net, "both", 3)).sum(), rel=1e-4)


# --- a batch normalisation behind the convolution -----------------------------------------------


def normalised_network(kind="plain", *, between=None, read_twice=False, **options):
    """Convolution, then normalisation with scales of both signs, then ReLU."""
    rng = np.random.default_rng(1)
    inputs = keras.Input((8, 8, 6))
    layer = {"plain": keras.layers.Conv2D(4, 3, name="conv"),
             "grouped": keras.layers.Conv2D(4, 3, groups=2, name="conv"),
             "depthwise": keras.layers.DepthwiseConv2D(3, name="conv"),
             "separable": keras.layers.SeparableConv2D(4, 3, name="conv")}[kind]
    x = raw = layer(inputs)
    x = between(x) if between else x
    norm = keras.layers.BatchNormalization(name="norm", **options)
    x = keras.layers.ReLU(name="relu")(norm(x))
    if read_twice:
        x = keras.layers.Add()([x, raw])
    net = vz.as_network(keras.Model(inputs, x))
    for part in (layer, norm):
        part.set_weights([rng.normal(size=w.shape) for w in part.get_weights()])
    norm.moving_variance.assign(rng.uniform(0.5, 2, norm.moving_variance.shape))
    if norm.scale:
        norm.gamma.assign(np.resize([1.5, -0.7], norm.gamma.shape))
    return net


@pytest.mark.parametrize("kind", ["plain", "grouped", "depthwise", "separable"])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
def test_folded_contributions_add_up_to_the_normalised_unit(kind, options):
    net = normalised_network(kind, **options)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 6)).astype("float32")
    assert vz.norm_after(net, "conv") == "norm"
    for filter in (0, 3):
        for fold, name in ((True, "norm"), (False, "conv")):
            whole = vz.submodel(net, name)(x)[0, 2, 3, filter].numpy()
            taps = vz.kernels(net, "conv", filter, fold=fold)
            terms = (x[0, 2:5, 3:6] * taps).sum((0, 1))
            total = terms.sum() + vz.filter_bias(net, "conv", filter, fold=fold)
            assert total == pytest.approx(whole, rel=1e-4, abs=1e-4)


def test_a_negative_scale_turns_the_sign_and_leaves_the_order():
    net = normalised_network()
    ranking = vz.rank_kernels(net, "conv", 1)  # its scale is negative
    raw = vz.kernels(net, "conv", 1, fold=False).reshape(9, 6)
    index = raw.sum(0) / np.abs(raw).sum(0)
    order = np.argsort(-(raw**2).sum(0))
    assert ranking["channel"].tolist() == order.tolist()
    np.testing.assert_allclose(ranking["sign_index"], -index[order], rtol=1e-4)
    same = vz.rank_kernels(net, "conv", 0)["sign_index"]  # and this one's positive
    raw = vz.kernels(net, "conv", 0, fold=False).reshape(9, 6)
    assert sorted(same) == pytest.approx(sorted(raw.sum(0) / np.abs(raw).sum(0)), rel=1e-4)


@pytest.mark.parametrize("options", [{"between": keras.layers.ReLU()}, {"read_twice": True}],
                         ids=["after the ReLU", "read by another layer too"])
def test_only_a_normalisation_that_directly_and_alone_follows_is_folded(options):
    net = normalised_network(**options)
    assert vz.norm_after(net, "conv") == "conv"
    np.testing.assert_array_equal(vz.kernels(net, "conv", 1),
                                  vz.kernels(net, "conv", 1, fold=False))


def test_vgg16_has_nothing_to_fold(vgg16):
    for layer in vgg16.conv_layers:
        assert vz.norm_after(vgg16, layer) == layer
    stored = vgg16.model.get_layer("block3_conv2")
    np.testing.assert_array_equal(vz.kernels(vgg16, "block3_conv2", 17),
                                  stored.kernel.numpy()[..., 17])
    assert vz.filter_bias(vgg16, "block3_conv2", 17) == stored.bias.numpy()[17]


@pytest.mark.parametrize(("layer", "filter", "top", "message"), [
    ("block7_conv1", 0, 10, "not found"), ("block3_pool", 0, 10, "not a convolution"),
    ("block3_conv1", 8, 10, "filters 0 to 7"), ("block3_conv1", 0, 0, "top must be"),
])
def test_bad_input(tiny, layer, filter, top, message):
    with pytest.raises(ValueError, match=message):
        vz.rank_kernels(tiny, layer, filter, top=top)


def test_all_zero_filter_has_no_ranking():
    ranking = vz.rank_kernels(planted(np.zeros((3, 3, 4, 1), "float32")), "second", 0)
    assert ranking.attrs["l2_share"] == 0
