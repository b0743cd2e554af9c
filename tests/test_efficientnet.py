"""EfficientNet-Lite0: the architecture, its weights, and what it sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vizutils as vz
from data import efficientnet_lite0 as lite
from data.fetch import fetch
from data.restricted_pickle import read_tensors


@pytest.fixture(scope="module")
def network():
    return vz.load_network("efficientnet_lite0", weights="packaged")


def test_it_names_the_packaged_imagenet_pictures(network, pictures):
    labelled = pictures.subset(np.flatnonzero(pictures.labels >= 0))
    guesses = vz.logits(network, labelled).argmax(axis=1)
    assert len(labelled) == 20
    assert (guesses == labelled.labels).sum() >= 17  # 18 when this was written


def test_the_architecture_is_the_published_one(network):
    model = network.model
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, 1000)
    assert model.count_params() == 4_694_024  # batch-norm statistics included
    assert model.get_layer("stem_conv").filters == 32
    assert model.get_layer("head_conv").filters == 1280
    blocks = [x.name for x in model.layers if x.name.endswith("_project_conv")]
    assert len(blocks) == 16
    assert blocks[0].startswith("block1a") and blocks[-1].startswith("block7a")
    assert sum(isinstance(x, keras.layers.Add) for x in model.layers) == 9
    assert not model.trainable_weights


def test_activations_are_layers_of_their_own_and_end_at_six(network):
    assert all(x.activation is keras.activations.linear
               for x in network.model.layers if isinstance(x, keras.layers.Conv2D))
    assert {x.max_value for x in network.model.layers if isinstance(x, keras.layers.ReLU)} == {6}


def test_maps_shrink_as_same_padding_says(network, noise):
    odd = noise[:1, :51, :45]
    maps = vz.activations(network, "head_relu", odd)
    assert maps.shape == (1, 2, 2, 1280)  # 51 → 26 → 13 → 7 → 4 → 2 and 45 → 23 → 12 → 6 → 3 → 2
    assert 0 <= maps.min() and maps.max() <= 6


def test_preprocessing_is_exact_and_differentiable():
    pixels = tf.constant([[[[0.0, 127.0, 255.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        prepared = lite.preprocess(pixels)
    np.testing.assert_allclose(prepared.numpy().ravel(), [-127 / 128, 0, 1])
    np.testing.assert_allclose(tape.gradient(prepared, pixels).numpy(), 1 / 128)
    assert lite.preprocess(np.zeros((1, 2, 2, 3), "uint8")).dtype == tf.float32


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_other_weights_are_refused_by_the_layers_name(change):
    tensors = read_tensors(fetch("efficientnet-lite0"))
    kernel = tensors.pop("_blocks.3._depthwise_conv.weight")
    if change == "misshapen":
        tensors["_blocks.3._depthwise_conv.weight"] = kernel[:, :, :3, :3]
    with pytest.raises(ValueError, match="not EfficientNet-Lite0's.*block3a_depthwise_conv"):
        lite.set_weights(lite.build(), tensors)
