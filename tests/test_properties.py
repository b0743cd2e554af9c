"""Any layer of any small network: a right answer, or a sentence that says why there is none."""

import os
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_units import gradient_support, linear

import vizutils as vz
from techniques import circuits

SIDE = 40
KINDS = ("plain", "plain", "strided", "dilated", "depthwise", "separable", "grouped", "residual",
         "concatenated", "max pool", "mean pool", "normalised", "rectified")
blocks = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from((1, 2, 3, 5)),
                            st.sampled_from(("same", "valid"))), min_size=1, max_size=5)
seeds = st.integers(0, 2**20)
# each builds and traces a network; the long run takes more
few = settings(max_examples=40 if os.environ.get("VIZUTILS_LONG") else 12, deadline=None,
               derandomize=True, suppress_health_check=list(HealthCheck))


def grow(x, kind, kernel, padding, name):
    """One more block on top of a tensor."""
    layers, same = keras.layers, {"padding": "same", "name": name}
    if kind == "plain":
        return layers.Conv2D(4, kernel, padding=padding, name=name)(x)
    if kind == "strided":
        return layers.Conv2D(4, kernel, strides=2, padding=padding, name=name)(x)
    if kind == "dilated":
        return layers.Conv2D(4, kernel, dilation_rate=2, padding=padding, name=name)(x)
    if kind == "depthwise":
        return layers.DepthwiseConv2D(kernel, depth_multiplier=2, padding=padding, name=name)(x)
    if kind == "separable":
        return layers.SeparableConv2D(4, kernel, padding=padding, name=name)(x)
    if kind == "grouped":
        groups = 2 if x.shape[-1] % 2 == 0 else 1
        return layers.Conv2D(4, kernel, groups=groups, padding=padding, name=name)(x)
    if kind == "residual":
        return layers.Add(name=f"{name}_sum")([
            x, layers.Conv2D(x.shape[-1], kernel, **same)(x)])
    if kind == "concatenated":
        return layers.Concatenate(name=f"{name}_both")([
            layers.Conv2D(2, kernel, **same)(x), layers.Conv2D(2, 1, name=f"{name}_by")(x)])
    if kind == "max pool":
        return layers.MaxPooling2D(2, name=name)(x)
    if kind == "mean pool":
        return layers.AveragePooling2D(3, strides=2, padding=padding, name=name)(x)
    if kind == "normalised":
        return layers.BatchNormalization(name=name)(x)
    return layers.ReLU(name=name)(x)


def network(plan, seed):
    """A network of the planned blocks with seeded weights, negative scales among them."""
    inputs = x = keras.Input((None, None, 3))
    for i, block in enumerate(plan):
        x = grow(x, *block, name=f"b{i}")
    model = keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same", name="last")(x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        drawn = [rng.normal(0, 1 / np.sqrt(np.prod(w.shape[:-1]) + 1), w.shape)
                 for w in layer.get_weights()]
        if isinstance(layer, keras.layers.BatchNormalization):
            drawn[3] = np.abs(drawn[3]) + 0.1  # a variance
        layer.set_weights(drawn)
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


def says_why(problem):
    """A sentence, not a bare name or number."""
    assert len(str(problem).split()) >= 5, repr(problem)


@few
@given(blocks, seeds)
def test_a_receptive_field_is_the_support_of_the_gradient(plan, seed):
    net = network(plan, seed)
    probe = vz.as_network(linear(net.model))
    for layer in {net.model.layers[len(net.model.layers) // 2].name, "last"}:
        field = vz.receptive_field(net, layer, input_size=SIDE)
        assert vz.activations(probe, layer, np.zeros((1, SIDE, SIDE, 3))).shape[1] == (
            field.positions)
        middle = field.positions // 2
        inside = np.clip(field.window(middle, middle), 0, SIDE)  # what it sees may stick out
        assert gradient_support(probe, layer, SIDE, middle, middle) == tuple(inside)


@few
@given(blocks, seeds)
def test_kernels_are_the_derivatives_of_the_filters_output(plan, seed):
    net = network(plan, seed)
    rng = np.random.default_rng(seed)
    for name in net.conv_layers:
        layer = net.model.get_layer(name)
        filter = int(rng.integers(layer.output.shape[-1]))
        there = tf.constant(rng.normal(size=(1, 16, 16, layer.input.shape[-1])), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(there)
            maps = layer(there)
            value = maps[0, maps.shape[1] // 2, maps.shape[2] // 2, filter]
        slope = tape.gradient(value, there).numpy()[0]
        taps = vz.kernels(net, name, filter, fold=False)
        np.testing.assert_allclose(taps.sum((0, 1)), slope.sum((0, 1)), rtol=1e-4, atol=1e-5)
        table = vz.kernel_table(net, name, filter).sort_values("channel")
        norms = np.sqrt((slope**2).sum((0, 1)))
        shares = table["l2"] / max(table["l2"].max(), 1e-9)  # a normalisation's scale falls out
        np.testing.assert_allclose(shares, norms / max(norms.max(), 1e-9), rtol=1e-3, atol=1e-4)


@few
@given(blocks, seeds)
def test_contributions_add_up_or_the_layer_is_refused(plan, seed):
    net = network(plan, seed)
    photos = vz.as_image_set(noise(seed))
    for layer in net.conv_layers:
        try:
            places = circuits.random_places(net, layer, photos, 6, seed=seed)
            found = circuits.windows(net, layer, 0, photos, places)
        except ValueError as problem:
            says_why(problem)
            continue
        total = circuits.contributions(found).sum(1) + found.bias
        np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-4)


def noise(seed):
    return np.random.default_rng(seed).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


@few
@given(blocks, seeds, st.integers(0, 5), st.integers(1, 4), st.sampled_from(("channel", "unit")))
def test_an_ascent_keeps_its_promises(plan, seed, which, steps, objective):
    net = network(plan, seed)
    layer = net.conv_layers[which % len(net.conv_layers)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a small canvas, said in a warning
        ascent = vz.maximize(net, layer, [0, 1], steps=steps, size=SIDE, seed=seed % 100,
                             objective=objective, progress=False)
    assert ascent.images.shape == (2, SIDE, SIDE, 3)
    assert np.isfinite(ascent.images).all()
    assert 0 <= ascent.images.min() and ascent.images.max() <= 255
    assert ascent.history.shape == (steps + 1, 2)
    assert ascent.report["filter"].tolist() == [0, 1]


anything = st.one_of(st.integers(-3, 12), st.just(2.5), st.just("3"), st.just(10**9))


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(st.sampled_from(("block1_conv1", "block2_conv1", "block5_conv3", "block1_pool", "block9",
                        "", "Block1_conv1")),
       anything, st.integers(-1, 3), st.sampled_from((None, -8, 0, 1, 7, 16, 30)),
       st.integers(-1, 3))
def test_arguments_of_any_value_give_an_answer_or_a_sentence(shared, layer, filter, steps, size,
                                                             top):
    calls = (
        lambda: vz.maximize(shared, layer, filter, steps=steps, size=size, progress=False).images,
        lambda: vz.rank_kernels(shared, layer, filter, top=top)["l2"],
        lambda: vz.receptive_field(shared, layer, input_size=size).size,
        lambda: vz.kernels(shared, layer, filter))
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert np.isfinite(np.asarray(call())).all()
            except ValueError as problem:
                says_why(problem)


@pytest.fixture(scope="module")
def shared():
    from conftest import build_tiny_vgg

    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


def test_several_inputs_are_refused():
    one, two = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    model = keras.Model([one, two], keras.layers.Conv2D(2, 3)(keras.layers.Add()([one, two])))
    with pytest.raises(ValueError, match="one picture"):
        vz.as_network(model)
