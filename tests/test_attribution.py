"""Attribution: known answers, peers, and what is refused."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
from lime.lime_image import LimeImageExplainer
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import attribution
from techniques.attribution import gradients, passes, perturbation

SQUARES = np.add.outer(2 * (np.arange(64) // 32), np.arange(64) // 32)  # four superpixels
METHODS = {
    "saliency": {}, "smooth_grad": {"samples": 3}, "gradient_times_input": {},
    "integrated_gradients": {"steps": 12, "tolerance": np.inf}, "grad_cam": {},
    "guided_grad_cam": {}, "occlusion": {"patch": 16, "stride": 16},
    "lime": {"samples": 12, "segments": SQUARES},
}


def with_head(trunk, classes=5, activation=None, seed=1):
    """A trunk with average pooling and a seeded dense layer on top, as a network."""
    dense = keras.layers.Dense(classes, activation=activation, name="logits")
    model = keras.Model(
        trunk.input, dense(keras.layers.GlobalAveragePooling2D()(trunk.output)))
    rng = np.random.default_rng(seed)
    dense.set_weights([rng.normal(size=dense.kernel.shape), rng.normal(size=classes)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1, head="original")


@pytest.fixture
def classifier():
    """The tiny VGG with five classes."""
    return with_head(build_tiny_vgg())


def linear(weights, bias=0.0):
    """A network whose class k has the logit Σ weights[k] · picture + bias: shape (k, h, w, 3)."""
    weights = np.asarray(weights, "float32")
    inputs = keras.Input(weights.shape[1:])
    conv = keras.layers.Conv2D(len(weights), weights.shape[1:3], name="weights")
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(conv(inputs)))
    conv.set_weights([np.moveaxis(weights, 0, 3), np.full(len(weights), bias)])
    return vz.as_network(model, head="original")


@pytest.fixture
def ramp():
    """A linear network of two classes on 8 × 8 pictures, its weights, and a picture."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    return linear(weights), weights, rng.uniform(0, 255, (1, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="session")
def lite0():
    """EfficientNet-Lite0 with its own classifier."""
    return vz.load_network("efficientnet_lite0")


@pytest.fixture(scope="session")
def small_pictures():
    """Three packaged pictures, 128 px."""
    return vz.load_images(size=128).read([0, 6, 20])


# --- what is asked --------------------------------------------------------------------------


def test_targets_are_the_top_class_or_what_was_said(lite0, small_pictures):
    top = attribution.resolve_targets(lite0, small_pictures)
    np.testing.assert_array_equal(top, vz.logits(lite0, small_pictures).argmax(1))
    asked = attribution.resolve_targets(lite0, small_pictures, ["tabby", 7, "n02012849"])
    np.testing.assert_array_equal(asked, [281, 7, 134])
    np.testing.assert_array_equal(attribution.resolve_targets(lite0, small_pictures[0], 3), [3])


@pytest.mark.parametrize(("targets", "message"), [
    (5, "class index 5 is out of range; this network's classes are 0 to 4"),
    (-1, "out of range"),
    ([1, 2], "2 targets for 4 picture"),
    (True, "a class index or a class name, not True"),
    (1.0, "a class index or a class name"),
    ("tabby", "has 5 classes of its own"),
])
def test_bad_targets(classifier, noise, targets, message):
    with pytest.raises(ValueError, match=message):
        attribution.resolve_targets(classifier, noise, targets)


@pytest.mark.parametrize(("name", "message"), [
    ("tabbby", "near it: .*tabby"), ("crane", "names 2 classes; say which"),
])
def test_bad_names(lite0, small_pictures, name, message):
    with pytest.raises(ValueError, match=message):
        attribution.saliency(lite0, small_pictures, name)


@pytest.mark.parametrize(("images", "message"), [
    (np.zeros((2, 8, 8)), r"shape \(n, rows, columns, 3\)"),
    (np.zeros((0, 8, 8, 3)), "shape"),
    (np.full((1, 32, 32, 3), 256.0), "values up to 256: clip them"),
    (np.full((1, 32, 32, 3), np.nan), "not finite"),
    (np.full((1, 32, 32, 3), 0.5), "scaled to 0-1"),
])
def test_bad_pictures(classifier, images, message):
    with pytest.raises(ValueError, match=message):
        attribution.saliency(classifier, images)


@pytest.mark.parametrize(("method", "options", "message"), [
    ("smooth_grad", {"samples": 0}, "at least one sample"),
    ("smooth_grad", {"noise": -0.1}, "noise ≥ 0"),
    ("smooth_grad", {"batch": 0}, "batch is how many"),
    ("integrated_gradients", {"steps": 1}, "at least 2"),
    ("integrated_gradients", {"baseline": np.zeros((3, 3))}, "not of shape"),
    ("integrated_gradients", {"baseline": -1}, "from 0 to 255"),
    ("grad_cam", {"layer": "block9"}, "block9.*not found"),
    ("grad_cam", {"layer": "logits"}, "has no map"),
    ("occlusion", {"patch": 65}, "1 ≤ stride ≤ patch"),
    ("occlusion", {"patch": 8, "stride": 9}, "1 ≤ stride ≤ patch"),
    ("lime", {"samples": 1}, "at least 2 samples"),
    ("lime", {"segments": 1}, "at least 2 superpixels"),
    ("lime", {"segments": np.zeros((3, 3))}, "not \\(3, 3\\)"),
    ("lime", {"segments": np.zeros((64, 64), int)}, "one single superpixel"),
    ("lime", {"segments": np.full((64, 64), -1)}, "numbered 0, 1, 2"),
    ("lime", {"segments": 2 * np.tri(64, dtype=int)}, "superpixel 1 of picture 0 is empty"),
])
def test_bad_options(classifier, noise, method, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(attribution, method)(classifier, noise, 0, **options)


def test_networks_that_cannot_be_asked(tiny, noise, ramp):
    with pytest.raises(ValueError, match="no classifier.*weights='packaged'.*head='original'"):
        attribution.saliency(tiny, noise)
    with pytest.raises(ValueError, match="not in one row of logits"):
        attribution.saliency(vz.as_network(tiny.model, head="original"), noise)
    with pytest.raises(ValueError, match="8 × 8 px only, not of 64 × 64"):
        attribution.saliency(ramp[0], noise)


# --- gradients ------------------------------------------------------------------------------


def test_a_linear_network_has_its_weights_as_gradient(ramp):
    net, weights, image = ramp
    found = attribution.saliency(net, image, 1)
    np.testing.assert_allclose(found.rgb[0], weights[1], rtol=1e-5)
    np.testing.assert_allclose(found.maps[0], np.abs(weights[1]).max(-1), rtol=1e-5)
    np.testing.assert_allclose(found.logits, (weights[1] * image).sum(), rtol=1e-4)
    for method in (attribution.gradient_times_input, attribution.integrated_gradients):
        np.testing.assert_allclose(method(net, image, 1, baseline=100).maps[0],
                                   (weights[1] * (image[0] - 100)).sum(-1), rtol=1e-3, atol=0.01)


def test_gradients_go_through_the_preprocessing(classifier, noise):
    by_pixels = attribution.saliency(classifier, noise, 2)
    inner = dataclasses.replace(classifier, preprocess=lambda images: images)
    step = np.zeros_like(noise[:1])
    step[0, 30, 30, 1] = 1
    rise = (vz.logits(classifier, noise[:1] + step) - vz.logits(classifier, noise[:1] - step))[0, 2]
    assert by_pixels.rgb[0, 30, 30, 1] == pytest.approx(rise / 2, rel=0.05)
    assert not np.allclose(attribution.saliency(inner, noise, 2).maps, by_pixels.maps)


def test_a_softmax_on_top_is_left_out(noise):
    logits, softmax = (with_head(build_tiny_vgg(), activation=a) for a in (None, "softmax"))
    for method in (attribution.saliency, attribution.grad_cam):
        np.testing.assert_allclose(method(softmax, noise, 1).maps, method(logits, noise, 1).maps,
                                   rtol=1e-4, atol=1e-7)


def test_smooth_grad_is_the_mean_over_noisy_copies(classifier, noise):
    plain = attribution.saliency(classifier, noise, 0)
    still = attribution.smooth_grad(classifier, noise, 0, samples=2, noise=0)
    np.testing.assert_allclose(still.maps, plain.maps, rtol=1e-3, atol=1e-8)
    found = attribution.smooth_grad(classifier, noise[:1], 0, samples=5, noise=0.1, batch=2)
    rng = np.random.default_rng(0)
    copies = noise[0] + np.float32(0.1 * np.ptp(noise[0])) * np.concatenate(
        [rng.standard_normal((k, 64, 64, 3), "float32") for k in (2, 2, 1)])
    run = passes.gradient_pass(classifier)
    mean = np.mean([run(copy[None], np.zeros(1, "int32"))[1][0] for copy in copies], 0)
    np.testing.assert_allclose(found.rgb[0], mean, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(found.logits, plain.logits[:1], rtol=1e-5)
    alone = attribution.smooth_grad(classifier, noise[3], 0)
    np.testing.assert_allclose(attribution.smooth_grad(classifier, noise, 0, batch=5).maps[3],
                               alone.maps[0], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", ["vgg16", "lite0"])
def test_integrated_gradients_are_complete_and_a_wrong_order_is_caught(
        request, small_pictures, name):
    net = request.getfixturevalue(name)
    images = small_pictures[:1, 16:112, 16:112] if name == "vgg16" else small_pictures
    found = attribution.integrated_gradients(net, images)
    table = attribution.completeness(found)
    assert (table["error"].abs() <= 0.01).all()
    assert (found.steps <= 120).all()
    black = vz.logits(net, np.zeros_like(images[:1]))[0, found.targets]
    np.testing.assert_allclose(table["rise"], found.logits - black, rtol=1e-3)
    # The classical fault: gradient of *preprocessed* pixels × raw pixels.
    mean = np.divide(found.rgb, images, out=np.zeros_like(images), where=images > 0)
    mean = mean[..., ::-1] if name == "vgg16" else mean * 128
    faulty = dataclasses.replace(found, maps=(mean * images).sum(-1))
    assert (attribution.completeness(faulty)["error"].abs() > 0.01).all()


def test_integrated_gradients_go_where_the_logit_rises():
    # One logit, Σ relu(pixel − 40) · 0.01 from a grey picture: it starts to rise at 40 / 200.
    inputs = keras.Input((4, 4, 3))
    conv = keras.layers.Conv2D(1, 1, activation="relu", name="late")
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(conv(inputs)))
    conv.set_weights([np.full((1, 1, 3, 1), 0.01), np.array([-1.2])])
    net = vz.as_network(model, head="original")
    image = np.full((1, 4, 4, 3), 200, "float32")
    found = attribution.integrated_gradients(net, image, 0, steps=24)
    assert attribution.completeness(found)["error"].abs().max() < 0.005
    np.testing.assert_allclose(found.maps, 4.8 / 16, rtol=0.005)
    with pytest.warns(UserWarning, match="miss the logit's rise"):
        attribution.integrated_gradients(net, image, 0, steps=2, tolerance=1e-9)
    with pytest.raises(ValueError, match="saliency promises no sum"):
        attribution.completeness(attribution.saliency(net, image, 0))


def test_all_zero_gradients_are_reported_not_drawn(classifier, noise):
    dead = vz.as_network(keras.models.clone_model(classifier.model), head="original")
    weights = [np.zeros_like(w) for w in classifier.model.get_weights()]
    dead.model.set_weights(weights)
    with pytest.warns(UserWarning, match=r"saliency is zero everywhere for picture 0 \(class 3\)"):
        found = attribution.saliency(dead, noise[:1], 3)
    assert found.empty.all()
    figure = attribution.plot_attribution(noise[0], found)
    assert sum("zero" in t.get_text() for axes in figure.axes for t in axes.texts) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not attribution.saliency(classifier, noise).empty.any()


# --- class activation maps ------------------------------------------------------------------


def test_grad_cam_by_hand():
    # Channels: red and green. Class 0 is 2 · mean red − mean green, so that the gradient's mean
    # is 2/16 and −1/16, and the map relu(2 red − green) / 16.
    inputs = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(2, 1, activation="relu", name="colours")
    dense = keras.layers.Dense(2, name="logits")
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(conv(inputs))))
    conv.set_weights([np.eye(3, 2)[None, None], np.zeros(2)])
    dense.set_weights([np.array([[2.0, 0.0], [-1.0, 3.0]]), np.zeros(2)])
    net = vz.as_network(model, head="original")
    image = np.random.default_rng(0).uniform(0, 255, (4, 4, 3)).astype("float32")
    found = attribution.grad_cam(net, image, 0)
    np.testing.assert_allclose(
        found.maps[0], np.maximum(2 * image[..., 0] - image[..., 1], 0) / 16, rtol=1e-5)
    np.testing.assert_allclose(
        attribution.grad_cam(net, image, 1, layer="colours").maps[0], 3 / 16 * image[..., 1],
        rtol=1e-5)


def test_the_last_map(vgg16, lite0, classifier, ramp):
    assert attribution.last_map(vgg16) == "block5_conv3"
    assert attribution.last_map(lite0) == "head_relu"
    assert attribution.last_map(classifier) == "block5_conv3"
    with pytest.raises(ValueError, match="no layer with a map"):
        attribution.grad_cam(ramp[0], ramp[2], 0)


def test_a_coarse_map_is_enlarged_in_place(classifier, noise):
    found = attribution.grad_cam(classifier, noise, 0)
    logits, coarse = attribution.coarse_cam(classifier, noise, 0)
    assert coarse.shape == (4, 4, 4) and found.maps.shape == (4, 64, 64)
    centres = found.maps.reshape(4, 4, 16, 4, 16)[:, :, 7:9, :, 7:9].mean((2, 4))
    np.testing.assert_allclose(centres, coarse, rtol=0.1, atol=0.02 * coarse.max())


def test_guided_grad_cam_is_guided_gradient_times_cam(noise):
    inputs = keras.Input((None, None, 3))
    plain = keras.layers.Conv2D(4, 3, padding="same", name="plain")  # no ReLU: guided = gradient
    net = with_head(keras.Model(inputs, plain(inputs)))
    product = (attribution.saliency(net, noise, 0).maps * attribution.grad_cam(net, noise, 0).maps)
    found = attribution.guided_grad_cam(net, noise, 0)
    np.testing.assert_allclose(found.maps, product, rtol=1e-4, atol=1e-8)
    assert (found.rgb < 0).any() and not found.signed
    swish = keras.layers.Conv2D(4, 3, activation="swish", name="swish")
    with pytest.raises(ValueError, match="silu|swish"):
        attribution.guided_grad_cam(with_head(keras.Model(inputs, swish(inputs))), noise, 0)


@pytest.mark.parametrize(("name", "layer"), [("vgg16", "block5_conv3"), ("lite0", "head_relu")])
def test_saliency_and_grad_cam_equal_those_of_tf_keras_vis(request, small_pictures, name, layer):
    net, images = request.getfixturevalue(name), small_pictures[:2]
    given = net.preprocess(images)
    score = CategoricalScore([243, 282])

    def normalised(maps):
        low, high = (f(maps, (1, 2), keepdims=True) for f in (np.min, np.max))
        return (maps - low) / (high - low)

    theirs = Saliency(net.model, clone=False)(score, given)
    ours = attribution.saliency(net, images, [243, 282])
    np.testing.assert_allclose(normalised(ours.maps), theirs, atol=1e-4)
    theirs = Gradcam(net.model, clone=False)(
        score, given, penultimate_layer=layer, seek_penultimate_conv_layer=False,
        expand_cam=False)
    logits, ours = attribution.coarse_cam(net, images, [243, 282])
    np.testing.assert_allclose(normalised(ours), theirs, atol=1e-4)


# --- hiding parts ---------------------------------------------------------------------------


def test_occlusion_of_a_linear_network_by_hand(ramp):
    net, weights, image = ramp
    loss = (weights[1] * (image[0] - 50)).sum(-1).reshape(2, 4, 2, 4).sum((1, 3))
    found = attribution.occlusion(net, image, 1, patch=4, stride=4, fill=50, batch=3)
    np.testing.assert_allclose(found.maps[0, ::4, ::4], loss, rtol=1e-3, atol=0.05)
    assert (found.maps[0, :4, :4] == found.maps[0, 0, 0]).all()


def test_the_last_patch_is_flush_with_the_edge():
    assert perturbation._starts(10, 4, 4) == [0, 4, 6]
    assert perturbation._starts(8, 4, 2) == [0, 2, 4]


@pytest.fixture
def chequered():
    """A network that sums chequered 8 × 8 squares with known weights, and their picture.

    A square in its mean colour has no chequers: what it was worth is exactly its effect.
    """
    chequers = np.where(np.indices((32, 32)).sum(0) % 2, 1.0, -1.0)
    squares = np.add.outer(4 * (np.arange(32) // 8), np.arange(32) // 8)
    effects = np.random.default_rng(3).permutation(np.linspace(-3, 5, 16))
    weights = (effects[squares] * chequers / (64 * 60))[..., None] * [1, 0, 0]
    image = (128 + 60 * chequers[..., None] * [1, 0, 0]).astype("float32")
    return linear([0 * weights, weights], bias=1.0), squares, effects, image


def test_lime_finds_known_effects_and_agrees_with_its_authors(chequered):
    net, squares, effects, image = chequered
    found = attribution.lime(net, image, 1, segments=squares)
    own = found.maps[0, ::8, ::8].ravel()
    np.testing.assert_allclose(own, effects, atol=0.25)
    assert found.fit[0] > 0.99
    theirs = LimeImageExplainer(random_state=0).explain_instance(
        image.astype("double"), lambda batch: vz.logits(net, batch), labels=(1,),
        top_labels=None, num_features=16, num_samples=256, segmentation_fn=lambda _: squares)
    weights = np.zeros(16)
    weights[[k for k, _ in theirs.local_exp[1]]] = [v for _, v in theirs.local_exp[1]]
    assert spearmanr(own, weights).statistic >= 0.9
    assert spearmanr(own, effects).statistic >= 0.9


def test_copies_weigh_by_their_distance_as_limes_authors_have_it():
    switches = np.random.default_rng(0).integers(0, 2, (20, 9)).astype(float)
    switches[0], switches[1] = 1, [1, *[0] * 8]
    far = pairwise_distances(switches, np.ones((1, 9)), metric="cosine").ravel()
    found = perturbation._nearness(switches, 0.25)
    np.testing.assert_allclose(found, np.sqrt(np.exp(-(far**2) / 0.25**2)), rtol=1e-6)
    assert found[0] == 1 and found[1] < 0.1


def test_the_ridge_is_scikit_learns():
    rng = np.random.default_rng(0)
    inputs, answers, weights = rng.normal(size=(30, 4)), rng.normal(size=(30, 2)), rng.random(30)
    peer = Ridge(alpha=0.7).fit(inputs, answers, sample_weight=weights)
    found, fit = perturbation._weighted_ridge(inputs, answers, weights, 0.7)
    np.testing.assert_allclose(found, peer.coef_.T, rtol=1e-6)
    assert fit[0] == pytest.approx(peer.__class__(alpha=0.7).fit(
        inputs, answers[:, 0], sample_weight=weights).score(inputs, answers[:, 0], weights))


def test_a_picture_asked_twice_is_hidden_once(chequered, monkeypatch):
    net, squares, _, image = chequered
    seen = []
    inner = passes.all_logits
    for module in (passes, perturbation):
        monkeypatch.setattr(module, "all_logits", lambda net, images, **options: (
            seen.append(len(images)), inner(net, images, **options))[1])
    both = attribution.lime(net, np.stack([image, image]), [0, 1], segments=squares, samples=32)
    assert sum(seen) == 2 + 32
    assert not both.maps[0].any() or np.abs(both.maps[0]).max() < 1e-4
    one = attribution.lime(net, image, 1, segments=squares, samples=32)
    np.testing.assert_allclose(both.maps[1], one.maps[0], rtol=1e-5)


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_contract(classifier, noise, method):
    before = [w.copy() for w in classifier.model.get_weights()]
    config = classifier.model.get_config()
    ask = getattr(attribution, method)
    found = ask(classifier, noise, [0, 1, 2, 3], **METHODS[method])
    assert found.maps.shape == (4, 64, 64) and found.maps.dtype == np.float32
    assert found.signed or found.maps.min() >= 0
    np.testing.assert_array_equal(found.targets, range(4))
    np.testing.assert_allclose(found.logits, np.diag(vz.logits(classifier, noise)), rtol=1e-4)
    again = ask(classifier, noise[2], 2, **METHODS[method])  # another shape, alone
    np.testing.assert_allclose(again.maps[0], found.maps[2], rtol=1e-3,
                               atol=1e-4 * np.abs(found.maps[2]).max())
    assert classifier.model.get_config() == config
    for old, new in zip(before, classifier.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for kept in classifier._kept.values():
        count = getattr(kept, "experimental_get_tracing_count", lambda: 1)()
        assert count <= 1


@pytest.mark.parametrize("method", ["smooth_grad", "integrated_gradients"])
def test_batches_are_bounded(classifier, noise, method, monkeypatch):
    sizes = []
    run = passes.gradient_pass(classifier)
    monkeypatch.setattr(gradients, "gradient_pass", lambda net: lambda images, targets: (
        sizes.append(len(images)), run(images, targets))[1])
    count = {"smooth_grad": {"samples": 10}, "integrated_gradients": {"steps": 10}}[method]
    getattr(attribution, method)(classifier, noise[:2], 0, batch=3, **count)
    assert max(sizes) <= 3 and sum(sizes) >= 20


# --- figures --------------------------------------------------------------------------------


def test_the_three_panels(classifier, noise):
    found = attribution.occlusion(classifier, noise, 0, **METHODS["occlusion"])
    figure = attribution.plot_attribution(noise[1], found, row=1, title="noise")
    picture, numbers, overlay, bar = figure.axes
    assert picture.get_title() == "noise" and numbers.get_title() == "occlusion"
    np.testing.assert_array_equal(numbers.images[0].get_array(), found.maps[1])
    assert overlay.images[1].get_alpha() == 0.4
    assert {t.get_text() for t in numbers.texts} == {"+", "−"}
    low, high = numbers.images[0].get_clim()
    assert low == -high and numbers.images[0].get_cmap().name == "RdBu_r"


def test_the_sheet_has_one_scale_a_method(classifier, noise):
    found = [getattr(attribution, m)(classifier, noise[:2], [0, 1], **METHODS[m]) for m in METHODS]
    figure = attribution.plot_comparison(noise[:2], found, labels=["zero", "one"])
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert [t for t in titles if t] == ["picture", *(f.method for f in found)]
    assert len(figure.axes) == 20
    assert figure.axes[1].images[0].get_clim() == figure.axes[6].images[0].get_clim()
    assert figure.axes[5].get_ylabel() == "one"
    with pytest.raises(ValueError, match="saliency has 2 maps for 3 pictures"):
        attribution.plot_comparison(noise[:3], found)
