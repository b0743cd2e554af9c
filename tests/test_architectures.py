"""Networks side by side: published costs, CKA by its definition, partners that are known."""

import dataclasses

import keras
import numpy as np
import pytest
from matplotlib.text import Text

import vizutils as vz
from data.fetch import FetchError
from techniques import architectures as ar
from techniques import stimuli


@pytest.fixture(scope="module")
def lite():
    return vz.load_network("efficientnet_lite0", weights="packaged")


# --- costs and accuracy: published numbers --------------------------------------------------------


@pytest.mark.parametrize(("name", "size", "parameters", "multiply_adds"), [
    ("ResNet50", 224, 25_636_712, 3.86e9), ("MobileNetV2", 224, 3_538_984, 0.30e9),
    ("DenseNet121", 224, 8_062_504, 2.83e9), ("Xception", 299, 22_910_480, 8.36e9),
])
def test_costs_of_published_architectures(name, size, parameters, multiply_adds):
    net = vz.as_network(getattr(keras.applications, name)(weights=None))
    assert net.model.count_params() == parameters
    costs = ar.layer_costs(net, size=size)
    assert costs["multiply_adds"].sum() == pytest.approx(multiply_adds, rel=0.02)
    assert costs["parameters"].sum() < parameters  # the rest is normalisation


def test_costs_of_vgg16_with_its_dense_head_and_without():
    inputs = keras.Input((224, 224, 3))
    trunk = keras.applications.VGG16(weights=None, include_top=False, input_tensor=inputs)
    x = keras.layers.Conv2D(4096, 7, name="fc1")(trunk.output)  # the dense head as convolutions
    x = keras.layers.Conv2D(1000, 1)(keras.layers.Conv2D(4096, 1)(x))
    costs = ar.layer_costs(vz.as_network(keras.Model(inputs, x)))["multiply_adds"]
    assert costs[:13].sum() == 15_346_630_656  # 15.35 G
    assert costs.sum() == 15_470_264_320  # 15.47 G


def test_costs_of_every_kind_of_layer_by_hand():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", groups=3, name="grouped")(inputs)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = keras.layers.SeparableConv2D(5, 3, padding="same", name="separable")(x)
    x = keras.layers.Dense(7, name="dense")(keras.layers.GlobalAveragePooling2D()(x))
    costs = ar.layer_costs(vz.as_network(keras.Model(inputs, x)), size=16)
    assert costs["layer"].tolist() == ["grouped", "depthwise", "separable", "dense"]
    assert costs["kind"].tolist() == ["Conv2D 3×3", "DepthwiseConv2D", "SeparableConv2D", "Dense"]
    assert costs["positions"].tolist() == [8 * 8, 6 * 6, 6 * 6, 1]
    assert costs["multiply_adds"].tolist() == [
        64 * 9 * 1 * 6, 36 * 9 * 12, 36 * (9 * 12 + 12 * 5), 5 * 7]


def test_compare_of_the_packaged_networks(vgg16, lite, tiny, pictures):
    some = pictures.subset(np.flatnonzero(pictures.labels >= 0))
    table = ar.compare([lite, vgg16], some, rounds=2, batch=2)
    assert table["network"].tolist() == ["efficientnet_lite0", "vgg16"]
    assert table.loc[0, "top1"] >= 17 and table.loc[1, "top1"] >= 14  # 18 and 16 when written
    assert (table["top5"] >= table["top1"]).all() and (table["pictures"] == 20).all()
    assert table.loc[0, "multiply_adds"] == pytest.approx(0.39e9, rel=0.02)
    assert table.loc[1, "multiply_adds"] == pytest.approx(15.35e9, rel=1e-3)
    assert table.loc[0, "ratio"] == 1 and table.loc[1, "ratio"] > 2
    headless = ar.compare([tiny], pictures.subset([int(np.argmax(pictures.labels >= 0))]))
    assert headless["top1"].isna().all() and "ratio" not in headless


def test_what_cannot_be_loaded_is_said(monkeypatch, capsys, tiny):
    def load(name, weights):
        print("Downloading from https://...")
        if name == "ResNet50":
            raise FetchError("there is no internet here.")
        return tiny

    monkeypatch.setattr(vz, "load_network", load)
    networks, skipped = ar.load_available(["ResNet50", "mine"])
    assert networks == [tiny] and skipped == {"ResNet50": "there is no internet here."}
    assert capsys.readouterr().out == ""


# --- centred kernel alignment -----------------------------------------------------------------


def plain_cka(x, y):
    """By Kornblith's definition: ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖), columns centred."""
    x, y = x - x.mean(0), y - y.mean(0)
    return (np.linalg.norm(y.T @ x) ** 2
            / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def unbiased_hsic(x, y):
    """As the mean over all quadruples of different pictures (Gretton's U-statistic)."""
    k, m = x @ x.T, y @ y.T
    n, total, count = len(x), 0.0, 0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
                        count += 1
    return total / count


def test_cka_by_its_definitions():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 5))
    y[:, 0] = 2 * x[:, 1]
    assert ar.cka(x, y, debiased=False) == pytest.approx(plain_cka(x, y))
    x, y = x - x.mean(0), y - y.mean(0)
    expected = unbiased_hsic(x, y) / np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))
    assert ar.cka(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("debiased", [True, False])
def test_cka_is_one_for_itself_and_blind_to_rotation_shift_and_scale(debiased):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 4))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert ar.cka(x, x, debiased=debiased) == pytest.approx(1)
    assert ar.cka(x, 3 * x @ rotation + 5, debiased=debiased) == pytest.approx(1)
    y[:, :2] += x[:, :2]
    assert ar.cka(-7 * x @ rotation, y, debiased=debiased) == pytest.approx(
        ar.cka(x, y, debiased=debiased))
    stretched = x * [1, 1, 1, 1, 1, 9]  # no common scale: that must be seen
    assert ar.cka(x, stretched, debiased=debiased) < 0.9


def test_debiased_cka_of_independent_features_is_near_zero():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(39, 5000)), rng.normal(size=(39, 3000))) for _ in range(10)]
    assert abs(np.mean([ar.cka(x, y) for x, y in pairs])) < 0.05
    assert min(ar.cka(x, y, debiased=False) for x, y in pairs) > 0.95  # the trap


def test_similarity_finds_the_same_layer(tiny, noise):
    images = np.concatenate([noise, noise[::-1] / 2 + 60])
    layers = ["block1_conv1", "block2_conv2", "block4_conv1"]
    found = ar.similarity(tiny, tiny, images, layers, layers, draws=20)
    np.testing.assert_allclose(np.diag(found.values), 1)
    np.testing.assert_allclose(found.values, found.values.T)
    assert found.best["layer"].tolist() == layers and found.pictures == 8
    assert found.chance.to_numpy().max() < 1
    maps = vz.activations(tiny, "block4_conv1", images)  # 8 × 8, averaged to 4 × 4
    coarse = maps.reshape(8, 4, 2, 4, 2, 8).mean((2, 4))
    again = ar.similarity(tiny, tiny, images, ["block4_conv1"], layers, grid=4, draws=2)
    assert again.values.shape == (1, 3)
    first = vz.activations(tiny, "block1_conv1", images).reshape(8, 4, 16, 4, 16, 4).mean((2, 4))
    assert again.values.iloc[0, 0] == pytest.approx(ar.cka(coarse, first), rel=1e-4)
    kept = ar.similarity(tiny, tiny, images, layers, layers, draws=20,
                         ours=ar.grams(tiny, layers, images))
    np.testing.assert_array_equal(kept.values, found.values)  # what was there already is used
    np.testing.assert_array_equal(kept.chance, found.chance)
    for which, pictures in ((layers[:2], images), (layers, images[:6])):
        with pytest.raises(ValueError, match="other layers or pictures"):
            ar.similarity(tiny, tiny, pictures, which, layers, ours=ar.grams(tiny, layers, images))


# --- partners -----------------------------------------------------------------------------------


def shuffled_twin(tiny, layer, order):
    """The tiny network with one layer's filters in another order, scaled."""
    model = keras.models.clone_model(tiny.model)
    model.set_weights(tiny.model.get_weights())
    conv = model.get_layer(layer)
    kernel, bias = conv.get_weights()
    conv.set_weights([2 * kernel[..., order], 2 * bias[order]])
    return dataclasses.replace(tiny, model=model)


def test_partners_of_a_network_with_its_filters_in_another_order(tiny, noise):
    order = np.random.default_rng(3).permutation(8)
    images = np.concatenate([noise, 255 - noise[:, ::-1]])
    matches = ar.match_units(tiny, "block3_conv2", shuffled_twin(tiny, "block3_conv2", order),
                             "block3_conv2", images)
    assert (order[matches["partner"]] == np.arange(8)).all()
    np.testing.assert_allclose(matches[["chosen", "held_out"]], 1, atol=1e-4)
    assert matches["control"].abs().max() < 0.6


def test_places_of_two_layers_look_at_the_same_spot(vgg16, lite):
    ours, theirs = ar._same_places(vgg16, "block3_conv2", lite, "block3b_expand_relu", 224)
    a, b = (vz.receptive_field(net, layer) for net, layer in
            ((vgg16, "block3_conv2"), (lite, "block3b_expand_relu")))
    middles = [s.start + s.size / 2 + s.stride * at for s, at in ((a, ours), (b, theirs))]
    assert len(ours) == len(theirs) > 20
    assert np.abs(middles[0] - middles[1]).max() <= a.stride / 2
    for s, at in ((a, ours), (b, theirs)):
        assert at.min() >= s.unpadded.start and at.max() < s.unpadded.stop


def test_fields_list_what_the_layer_graph_says(vgg16, lite):
    assert ar.fields(vgg16)["layer"].tolist() == list(vgg16.conv_layers)
    near = ar.nearest_fields(lite, vz.receptive_field(vgg16, "block3_conv2").size, count=2)
    assert near["layer"].tolist() == ["block3a_depthwise_relu", "block3b_expand_relu"]
    assert near["size"].tolist() == [35, 35] and near["filters"].tolist() == [144, 240]


def test_tuning_agreement_of_partners_that_agree(tiny, noise):
    tuned = stimuli.tuning(tiny, "block3_conv1", image_set=vz.as_image_set(noise), colours=False)
    curves = ar.orientation_curves(tuned)
    assert list(curves.index) == list(range(0, 180, 15)) and list(curves) == list(range(8))
    one = tuned.of(3).query("family == 'grating' and orientation == 45")["score"].max()
    assert curves.loc[45, 3] == pytest.approx(one)
    matches = ar.pd.DataFrame({"unit": range(8), "partner": range(8)})
    found = ar.tuning_agreement(curves, curves, matches)
    assert found["apart"] == 0 and found["correlation"] == pytest.approx(1)
    assert found["control"] > 0 and found["correlation_control"] < 1
    turned = curves.set_axis(np.roll(curves.index, 6)).sort_index()  # 90 degrees
    assert ar.tuning_agreement(curves, turned, matches)["apart"] == 90
    with pytest.raises(ValueError, match="the same number of angles"):
        ar.tuning_agreement(curves, curves.iloc[::2], matches)


# --- input channels -----------------------------------------------------------------------------


def test_writers_of_streams_and_concatenations(lite):
    plain = ar.writers(lite, "block4c_depthwise_conv")
    assert plain["writer"].tolist() == ["block4c_expand_conv"] and plain.attrs["rectified"]
    stream = ar.writers(lite, "block6d_expand_conv")
    assert stream["writer"].tolist() == [f"block6{b}_project_conv" for b in "cba"]
    assert (stream["first"] == 0).all() and (stream["last"] == 191).all()
    assert stream.attrs == {"tensor": "block6c_add", "rectified": False}
    dense = vz.as_network(keras.applications.DenseNet121(weights=None, input_shape=(64, 64, 3)))
    third = ar.writers(dense, "conv2_block3_1_conv")  # 64 channels of the stem, then 32 a block
    assert third[["first", "last"]].to_numpy().tolist() == [[96, 127], [64, 95], [0, 63]]
    assert third["writer"].tolist() == ["conv2_block2_2_conv", "conv2_block1_2_conv", "conv1_conv"]
    assert third.attrs["rectified"]


def test_shares_of_a_stream_add_up(lite, pictures):
    few = pictures.subset(range(3))
    shares = ar.stream_shares(lite, "block4c_expand_conv", few)
    assert shares.columns.tolist() == ["block4b_project_bn", "block4a_project_bn"]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    parts = [vz.activations(lite, n, few).reshape(-1, 80)[:, 5] for n in shares.columns]
    stream = parts[0] + parts[1]
    assert shares.iloc[5, 0] == pytest.approx(
        np.cov(parts[0], stream)[0, 1] / stream.var(ddof=1), rel=1e-3)
    with pytest.raises(ValueError, match="not read a plain sum"):
        ar.stream_shares(lite, "block4c_depthwise_conv", few)


# --- bad input, and nothing is changed -----------------------------------------------------------


def fixed():
    """A network for pictures of one size."""
    inputs = keras.Input((16, 16, 3))
    return vz.as_network(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)))


@pytest.mark.parametrize(("call", "message"), [
    (lambda tiny, noise: ar.cka(np.zeros((5, 2)), np.zeros((6, 2))), "same pictures.*5 and 6"),
    (lambda tiny, noise: ar.cka(np.zeros((3, 2)), np.zeros((3, 2))), "at least four"),
    (lambda tiny, noise: ar.compare([tiny], vz.as_image_set(noise)), "one labelled picture"),
    (lambda tiny, noise: ar.match_units(tiny, "block1_conv1", tiny, "block1_conv1", noise[:3]),
     "at least four, not 3"),
    (lambda tiny, noise: ar.match_units(tiny, "block5_conv3", tiny, "block1_conv1", noise),
     "without padding; use larger pictures"),
    (lambda tiny, noise: ar.writers(tiny, "block3_pool"), "not a convolution"),
    (lambda tiny, noise: ar.layer_costs(fixed(), size=32), "pictures of 16 px only, not of 32"),
], ids=["numbers", "few", "unlabelled", "halves", "padding", "pool", "size"])
def test_bad_input(call, message, tiny, noise):
    with pytest.raises(ValueError, match=message):
        call(tiny, noise)


def test_cka_of_a_constant_is_undefined():
    assert np.isnan(ar.cka(np.ones((6, 2)), np.random.default_rng(0).normal(size=(6, 2))))


def test_figures_have_no_small_text_and_no_network_is_changed(tiny, noise):
    before = [w.copy() for w in tiny.model.get_weights()]
    layers = ["block1_conv1", "block2_conv1"]
    alike = ar.similarity(tiny, tiny, noise, layers, layers, draws=5)
    matches = ar.match_units(tiny, "block2_conv1", tiny, "block2_conv2", noise)
    curves = ar.pd.DataFrame(np.random.default_rng(0).normal(size=(12, 8)),
                             index=np.arange(0, 180, 15.0))
    figures = [ar.plot_similarity({"itself": alike, "again": alike}),
               ar.plot_matches({"itself": matches, "again": matches}),
               ar.plot_partners({"one": (noise[:2], ["a", "b"]), "two": (noise[2:], ["c", "d"])}),
               ar.plot_orientations(curves, curves, matches.head(6), labels=("one", "other"))]
    for figure in figures:
        figure.draw_without_rendering()
        assert figure.get_figwidth() == 6.5
        assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= 8
    for old, new in zip(before, tiny.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
