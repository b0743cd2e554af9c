"""From one unit back to the pixels that drove it: deconvnet, gradient, guided backpropagation.

The unit's answer is sent backwards through the layers that computed it: convolutions transposed,
each max-pool value to the place it was taken from (its *switch*), and through every ReLU by one
of three rules. The rules are the only difference between the three methods:

=============  ========================================  ==============================
rule           passes a signal where                      method
=============  ========================================  ==============================
``gradient``   the ReLU's input was positive              saliency [1]_
``deconvnet``  the signal itself is positive              Zeiler & Fergus [2]_
``guided``     both are                                   guided backpropagation [3]_
=============  ========================================  ==============================

A deconvnet's unpooling with switches is exactly the gradient of max pooling, and its transposed
filters are the gradient of a convolution: so all three are one backward pass through a copy of
the network whose ReLUs have another backward rule. The network itself is not touched.

References
----------
.. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", ICLR
   workshop 2014, arXiv:1312.6034.
.. [2] M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
   doi:10.1007/978-3-319-10590-1_53.
.. [3] J. Springenberg et al., "Striving for simplicity: the all convolutional net", ICLR
   workshop 2015, arXiv:1412.6806.
.. [4] A. Mahendran, A. Vedaldi, "Salient deconvolutional networks", ECCV 2016,
   doi:10.1007/978-3-319-46466-4_8 (what the rules show and hide).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

import vizutils as vz
from engine.kinds import kind_of
from engine.network import PICTURES, traced, twin

RULES = ("gradient", "deconvnet", "guided")
BATCH_PIXELS = 2**17  #: pixels sent back together; a pass keeps some 2 kB of VGG16's maps for each


def rectifier(rule: str, *, ceiling: float = np.inf) -> Callable:
    """A ReLU with one of the three backward rules.

    Parameters
    ----------
    rule : {"gradient", "deconvnet", "guided"}
    ceiling : float
        Where it saturates (6 for a ReLU6); there the forward mask is closed too.

    Returns
    -------
    callable
        Tensor → tensor, differentiable by its rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule is one of {', '.join(RULES)}, not {rule!r}.")

    @tf.custom_gradient
    def relu(x):
        def backward(signal):
            if rule != "gradient":
                signal = tf.nn.relu(signal)
            if rule != "deconvnet":
                signal *= tf.cast((x > 0) & (x < ceiling), signal.dtype)
            return signal

        return tf.clip_by_value(x, 0, ceiling), backward

    return relu


# --- the network with another backward rule -----------------------------------------------------


def with_rule(net: vz.Network, layer: str, rule: str) -> keras.Model:
    """The network up to a layer's pre-activation, its ReLUs with another backward rule.

    Parameters
    ----------
    net, layer
        Any layer of a functional network whose nonlinearities are ReLUs and pools.
    rule : {"gradient", "deconvnet", "guided"}

    Returns
    -------
    keras.Model
        From preprocessed pictures to the same numbers as ``vz.submodel(net, layer,
        pre_activation=True)``, on the same variables.

    Raises
    ------
    ValueError
        Unknown rule or layer; a nonlinearity for which the rules say nothing.
    """
    rectifier(rule)  # refuses an unknown rule, even where there is no ReLU below
    cut = vz.submodel(net, layer, pre_activation=True)
    derived = keras.models.clone_model(cut, clone_function=lambda own: _derived(own, rule))
    _refuse_unknown(net, derived)
    return derived


def _derived(own: keras.layers.Layer, rule: str) -> keras.layers.Layer:
    """A layer on the same variables; if it rectifies, by the rule."""
    if type(own) is keras.layers.ReLU:
        if own.negative_slope or own.threshold:
            raise ValueError(f"{own.name} is a ReLU with a negative slope or a threshold, for "
                             "which the rules are not defined; use a network with plain ReLUs.")
        ceiling = np.inf if own.max_value is None else float(own.max_value)
        return keras.layers.Activation(rectifier(rule, ceiling=ceiling), name=own.name,
                                       dtype="float32")
    activation = getattr(own, "activation", None)
    if activation in (keras.activations.relu, keras.activations.relu6):
        ceiling = 6.0 if activation is keras.activations.relu6 else np.inf
        return twin(own, activation=rectifier(rule, ceiling=ceiling))
    if activation not in (None, keras.activations.linear):
        name = getattr(activation, "__name__", activation)
        raise ValueError(f"{own.name} has the activation {name}: the rules differ in a ReLU's "
                         "backward pass and say nothing about others. Use a network with ReLUs, "
                         "or the plain gradient (tf.GradientTape).")
    return twin(own)


def _refuse_unknown(net: vz.Network, derived: keras.Model) -> None:
    """Refuse what could hide a nonlinearity: nested models, functions, custom layers."""
    for operation in derived.operations:
        if not kind_of(operation).backward:
            raise ValueError(f"{operation.name} of {net.name} is a {type(operation).__name__}, "
                             "which may hold a nonlinearity that no rule covers; choose a layer "
                             "below it, or rebuild the network with ReLU layers.")


# --- projections --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Projections:
    """What of each picture drove the strongest unit, by one rule.

    Attributes
    ----------
    images : float32 ndarray, shape (n, h, w, 3)
        Signed, RGB; for the gradient rule in pre-activation per grey level.
    values : float32 ndarray, shape (n,)
        The units' pre-activations.
    rows, columns : int ndarray, shape (n,)
        Their positions in the layer's map (of a patch in its frame: see `project`).
    rule : str
    """

    images: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    rule: str


def project(
    net: vz.Network, layer: str, filter: int, patches_or_images, *, rule: str = "deconvnet",
) -> Projections:
    """Send the single strongest unit of each patch or picture back to the pixels.

    Parameters
    ----------
    net, layer, filter
        The unit's kind; pre-activation, so that its own ReLU plays no part.
    patches_or_images : Patches, ImageSet or ndarray, shape (n, h, w, 3)
        RGB 0-255. Patches of exactly the receptive field's size are put in a grey frame, and the
        unit is the one that sees the patch, no more, no less; in larger pictures it is the
        strongest among the positions that see no padding.
    rule : {"deconvnet", "gradient", "guided"}

    Returns
    -------
    Projections
        As large as what was given. A signal of one is sent back, not the unit's value as in the
        original: the rules are homogeneous, so that only the scale differs.

    Raises
    ------
    ValueError
        Unknown rule, layer or filter; pictures smaller than the receptive field; a
        nonlinearity for which the rules say nothing.
    """
    filter = net.check_filter(layer, filter)
    images = vz.check_pictures(patches_or_images)
    size, height, width = vz.receptive_field(net, layer).size, *images.shape[1:3]
    if min(height, width) < size:
        raise ValueError(f"a unit of {layer} sees {size} px; these pictures are {height} × "
                         f"{width}. Give larger ones, or patches of {size} × {size}.")
    if height == width == size:
        shown, unit, top = vz.framed(net, layer, vz.made(images))
        places = [slice(unit, unit + 1)] * 2
    else:
        shown, top = images, 0
        places = [vz.unpadded_positions(net, layer, side) for side in (height, width)]
    send_back = net.kept(_traced_projection, layer, rule)  # for many filters, one after the other
    step = int(np.clip(BATCH_PIXELS // (shown.shape[1] * shown.shape[2]), 1, 64))
    window = np.int32([(place.start, place.stop) for place in places])
    parts = [send_back(shown[first : first + step], np.int32(filter), window)
             for first in range(0, len(shown), step)]
    projected, values, chosen = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows, columns = np.divmod(chosen, window[1, 1] - window[1, 0]) + window[:, :1]
    return Projections(projected[:, top : top + height, top : top + width], values, rows, columns,
                       rule)


def _traced_projection(net: vz.Network, layer: str, rule: str) -> Callable:
    """(pictures, filter, window of the map) → (projections, values, places within the window)."""
    derived = with_rule(net, layer, rule)

    def send_back(images, filter, window):
        (top, bottom), (left, right) = (tf.unstack(ends) for ends in tf.unstack(window))
        maps = derived(net.preprocess(images), training=False)[:, top:bottom, left:right, filter]
        flat = tf.reshape(maps, (tf.shape(maps)[0], -1))
        chosen = tf.argmax(flat, 1)  # one unit; the gradient of a maximum would take all equals
        strongest = tf.gather(flat, chosen, batch_dims=1)
        return tf.gradients(strongest, images)[0], strongest, chosen  # no gradient of any weight

    return traced(send_back, PICTURES, tf.TensorSpec((), tf.int32), tf.TensorSpec((2, 2), tf.int32))


# --- for looking at -----------------------------------------------------------------------------


def as_pictures(projected: Projections | np.ndarray, *, share: float = 1.0) -> np.ndarray:
    """Projections as RGB 0-255: mid-grey is zero, each one's largest number is white or black.

    With a `share` below 1, all beyond that quantile of the sizes is white or black: a few large
    numbers then leave the others visible.

    Each picture has a scale of its own, as is usual for these methods: it shows *where* and in
    which direction pixels matter, not how much.
    """
    signed = getattr(projected, "images", projected)
    largest = np.quantile(np.abs(signed), share, axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(signed, largest, out=np.zeros_like(signed), where=largest > 0)
    return 127.5 + 127.5 * scaled.clip(-1, 1)


def cosines(first: Projections, second: Projections) -> np.ndarray:
    """Cosine between two projections of each picture, shape (n,).

    The control for a projection: where *another* filter's projection of the same patch looks the
    same, the picture tells of the patch and the rule, not of the filter [4]_.
    """
    a, b = (p.images.reshape(len(p.images), -1).astype("float64") for p in (first, second))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(1), lengths, out=np.zeros(len(a)), where=lengths > 0)
