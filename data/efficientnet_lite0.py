"""EfficientNet-Lite0, a small complete ImageNet classifier, as a functional Keras model.

EfficientNet-B0 made fit for phones: no squeeze-and-excite, ReLU clipped at 6 for swish, stem
and head not scaled [1]_ [2]_. Here it is the second architecture to compare VGG16 with, and the
teacher of the read-out in ``data/readout.npz``. Layer names follow ``keras.applications``
(``block2a_expand_conv``, …), so that every function that works on VGG16 works on it.

References
----------
.. [1] M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
   Networks", 2019, https://arxiv.org/abs/1905.11946
.. [2] TensorFlow TPU models, "EfficientNet-lite",
   https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from data.fetch import fetch
from data.restricted_pickle import read_tensors

SOURCE = "efficientnet-lite0"
STEM_FILTERS, HEAD_FILTERS, CLASSES = 32, 1280, 1000
BATCH_NORM_EPSILON = 1e-3
PIXEL_CENTRE, PIXEL_SCALE = 127.0, 128.0


class Stage(NamedTuple):
    """A run of inverted-residual blocks; only the first one strides and widens."""

    repeats: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0():
    """Build EfficientNet-Lite0 with its packaged ImageNet weights.

    Returns
    -------
    keras.Model
        Functional and frozen. Input: preprocessed images (n, height, width, 3), any height and
        width (it was trained at 224); output: `logits` (n, 1000), before the softmax.

    Raises
    ------
    data.fetch.FetchError
        The weights are neither here nor can they be fetched.
    ValueError
        The weights file is damaged or of another architecture.
    """
    model = build()
    set_weights(model, read_tensors(fetch(SOURCE)))
    model.trainable = False
    return model


def preprocess(images):
    """Scale RGB 0–255 to the network's input, (x − 127) / 128, differentiably.

    Parameters
    ----------
    images : tensor or ndarray
        RGB, 0–255, shape (n, height, width, 3).

    Returns
    -------
    tensor
        float32, about −1 to 1, of the same shape.
    """
    return (keras.ops.cast(images, "float32") - PIXEL_CENTRE) / PIXEL_SCALE


def build():
    """Build the architecture with random weights (see `efficientnet_lite0`)."""
    image = keras.Input((None, None, 3), name="image")
    x = _convolve(image, STEM_FILTERS, "stem", kernel_size=3, strides=2)
    x = _relu6(x, "stem")
    for name, stage, stride in _blocks():
        x = _inverted_residual(x, name, stage, stride)
    x = _relu6(_convolve(x, HEAD_FILTERS, "head"), "head")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="efficientnet_lite0")


def _blocks():
    """List (name, stage, stride) of the 16 blocks, named block1a, block2a, block2b, …"""
    return [
        (f"block{number}{'abcd'[repeat]}", stage, stage.stride if repeat == 0 else 1)
        for number, stage in enumerate(STAGES, start=1)
        for repeat in range(stage.repeats)
    ]


def _inverted_residual(x, name, stage, stride):
    """Expand by 1×1, filter each channel by itself, project by 1×1; add the input if it fits."""
    block_input, width = x, x.shape[-1]
    if stage.expansion != 1:
        x = _relu6(_convolve(x, width * stage.expansion, f"{name}_expand"), f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel_size, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_normalise(x, f"{name}_depthwise"), f"{name}_depthwise")
    x = _convolve(x, stage.filters, f"{name}_project")
    if stride == 1 and width == stage.filters:
        x = layers.Add(name=f"{name}_add")([block_input, x])
    return x


def _convolve(x, filters, name, *, kernel_size=1, strides=1):
    """Convolve with TensorFlow's "same" padding, no bias, then normalise."""
    x = layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _normalise(x, name)


def _normalise(x, name):
    return layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn")(x)


def _relu6(x, name):
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def set_weights(model, tensors):
    """Give the model the tensors of the PyTorch file.

    Parameters
    ----------
    model : keras.Model
        From `build`.
    tensors : dict of str to ndarray
        The file's tensors by their PyTorch names; kernels are (out, in, row, column).

    Raises
    ------
    ValueError
        A tensor is missing or of another shape than the architecture's.
    """
    for name, prefix in _torch_prefixes().items():
        layer = model.get_layer(name)
        try:
            layer.set_weights(_keras_weights(layer, prefix, tensors))
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"these are not EfficientNet-Lite0's weights: layer '{name}' does not fit "
                f"({error})."
            ) from error


def _torch_prefixes():
    """Map each Keras layer with weights to the prefix of its tensors in the PyTorch file."""
    prefixes = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "logits": "_fc",
    }
    for index, (name, stage, _) in enumerate(_blocks()):
        for number, part in enumerate(("expand", "depthwise", "project")):
            if part == "expand" and stage.expansion == 1:
                continue
            prefixes[f"{name}_{part}_conv"] = f"_blocks.{index}._{part}_conv"
            prefixes[f"{name}_{part}_bn"] = f"_blocks.{index}._bn{number}"
    return prefixes


def _keras_weights(layer, prefix, tensors):
    """Return a layer's weights in Keras's order and layout."""
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{prefix}.{part}"] for part in
                ("weight", "bias", "running_mean", "running_var")]
    kernel = tensors[f"{prefix}.weight"]
    if kernel.ndim == 2:  # the dense layer's
        return [kernel.T, tensors[f"{prefix}.bias"]]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [np.transpose(kernel, (2, 3, 0, 1))]  # its "in" axis has length one
    return [np.transpose(kernel, (2, 3, 1, 0))]
