"""Class activation maps: which places of a late layer speak for the class.

References
----------
.. [1] R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
   localization", ICCV 2017, arXiv:1610.02391.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import vizutils as vz
from engine.kinds import kind_of
from engine.links import made_by
from engine.network import PICTURES, traced
from techniques import deconvnet
from techniques.attribution.passes import CLASSES, in_batches
from techniques.attribution.result import Attribution, largest_over_rgb, reported
from techniques.attribution.targets import asked


def grad_cam(net: vz.Network, images, targets=None, *, layer: str | None = None) -> Attribution:
    """Where a late layer's channels speak for the class [1]_.

    Each channel is weighted by the mean, over positions, of the logit's gradient; what remains
    below zero is cut off, and the coarse map is enlarged bilinearly.

    Parameters
    ----------
    net, images, targets
        As in `saliency`.
    layer : str, optional
        A layer with a map, after its activation; without it `last_map`.

    Returns
    -------
    Attribution
        Unsigned. No negative evidence is shown: a map that is zero everywhere is reported.

    Raises
    ------
    ValueError
        As `resolve_targets`; a layer without a map, or that does not feed the logits.
    """
    images, targets = asked(net, images, targets)
    logits, coarse = coarse_cam(net, images, targets, layer=layer)
    return reported("Grad-CAM", _enlarged(coarse, images.shape[1:3]), targets, logits, signed=False)


def coarse_cam(
    net: vz.Network, images, targets=None, *, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(logits (n,), Grad-CAM in the layer's own positions (n, rows, columns)), before enlarging."""
    images, targets = asked(net, images, targets)
    return tuple(in_batches(_cam_pass(net, layer or last_map(net)), images, targets))


def last_map(net: vz.Network) -> str:
    """The last layer with a map before the classifier, pools left out.

    VGG16: block5_conv3; networks with batch normalisation: the activation after the last one.
    """
    operation = net.layer(net.logits_layer)
    while not _is_last_map(net, operation):
        if type(operation).__name__ == "InputLayer":
            raise ValueError(f"{net.name} has no layer with a map below its classifier, so there "
                             "is nothing for Grad-CAM to weigh; use a gradient method.")
        operation, _ = made_by(keras.tree.flatten(operation.input)[0])
    return operation.name


def _is_last_map(net: vz.Network, operation) -> bool:
    shape = operation.output.shape
    does = kind_of(operation)  # pools and what is open in inference only pass on
    passes_on = does.reads == "picture" or (does.channels == "kept" and does.sign)
    dense_head = type(operation) is keras.layers.Conv2D and operation.name not in net.conv_layers
    return len(shape) == 4 and shape[1:3] != (1, 1) and not dense_head and not passes_on


def _cam_pass(net: vz.Network, layer: str) -> Callable:
    """(pictures, classes) → (logits, class activation map in the layer's positions)."""
    return net.kept(_traced_cam, layer)


def _traced_cam(net: vz.Network, layer: str) -> Callable:
    read, _ = made_by(net.output(layer, pre_activation=False))  # after its norm and activation
    network = vz.submodel(net, [read.name, net.logits_layer], pre_activation=[False, True])
    if len(network.outputs[0].shape) != 4:
        raise ValueError(f"{layer} has no map (its output is {network.outputs[0].shape}); Grad-CAM "
                         f"needs one: {', '.join(net.conv_layers[-3:])}, for example.")

    def cam(images, targets):
        maps, logits = network(net.preprocess(images), training=False)
        chosen = tf.gather(logits, targets, batch_dims=1)
        gradient = tf.gradients(chosen, maps)[0]  # stops at the layer: nothing below it
        if gradient is None:
            raise ValueError(f"{layer} does not feed the logits of {net.name}; "
                             f"{last_map(net)} does, and what lies below it.")
        weights = tf.reduce_mean(gradient, (1, 2), keepdims=True)
        return chosen, tf.nn.relu(tf.reduce_sum(weights * maps, -1))

    return traced(cam, PICTURES, CLASSES)


def _enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinearly to the picture's size; a position's number sits in the middle of its pixels.

    As usual the map is stretched over the whole picture: where layers below have no padding, places
    near the border come out too far from its middle.
    """
    return tf.image.resize(maps[..., None], size)[..., 0].numpy()


def guided_grad_cam(
    net: vz.Network, images, targets=None, *, layer: str | None = None
) -> Attribution:
    """Grad-CAM (where) × guided backpropagation (which edges) [1]_.

    Parameters
    ----------
    net, images, targets, layer
        As in `grad_cam`; a network whose nonlinearities are ReLUs (see
        `techniques.deconvnet.with_rule`).

    Returns
    -------
    Attribution
        Unsigned: largest magnitude over RGB. The sign of the product, kept in ``rgb``, says
        brighter or darker, not for or against.

    Raises
    ------
    ValueError
        As `grad_cam`; a nonlinearity for which the guided rule says nothing.
    """
    images, targets = asked(net, images, targets)
    logits, coarse = coarse_cam(net, images, targets, layer=layer)
    guided = in_batches(_guided_pass(net), images, targets)[0]
    rgb = guided * _enlarged(coarse, images.shape[1:3])[..., None]
    return reported("guided Grad-CAM", largest_over_rgb(rgb), targets, logits, signed=False,
                    rgb=rgb)


def _guided_pass(net: vz.Network) -> Callable:
    """(pictures, classes) → (guided gradient with respect to RGB,)."""
    return net.kept(_traced_guided)


def _traced_guided(net: vz.Network) -> Callable:
    network = deconvnet.with_rule(net, net.logits_layer, "guided")

    def guided(images, targets):
        logits = network(net.preprocess(images), training=False)
        return (tf.gradients(tf.gather(logits, targets, batch_dims=1), images)[0],)

    return traced(guided, PICTURES, CLASSES)
