"""Single units: with the batch normalisation that follows them, on a patch of their own.

A convolution that a batch normalisation directly follows is one unit with it, everywhere: its
pre-activation is the normalised output, its kernels are folded [1]_.

References
----------
.. [1] B. Jacob et al., "Quantization and training of neural networks for efficient
   integer-arithmetic-only inference", CVPR 2018, section 3.2 (folding).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import keras
import numpy as np

from engine.graph import canvas, receptive_field
from engine.images import check_pictures, made
from engine.kinds import kind_of
from engine.links import made_by
from engine.network import Network, traced, twin


def norm_after(net: Network, layer: str) -> str:
    """The batch normalisation that directly follows a convolution; `layer` itself without one.

    In a network with batch normalisation the unit that a ReLU reads is the *normalised* output,
    even where that turns the sign. The two layers are one unit everywhere: `maximize`,
    `top_patches`, `activations` and contributions give the same for either name.

    Returns
    -------
    str
        `layer`, unless its output, before any activation, is read by one layer alone and that
        is a BatchNormalization over channels.
    """
    net.convolution(layer)
    norm = net.norm(layer)
    return layer if norm is None else norm.name


def norm_scale_shift(net: Network, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift, by filter, of the batch normalisation that follows a convolution.

    Returns
    -------
    scale, shift : float32 ndarray, shape (filters,)
        1 and 0 where no batch normalisation directly follows.
    """
    count = net.channels(layer)
    norm = net.layer(norm_after(net, layer))
    if norm.name == layer:
        return np.ones(count, "float32"), np.zeros(count, "float32")
    scale = (norm.gamma.numpy() if norm.scale else 1.0) / np.sqrt(
        norm.moving_variance.numpy() + norm.epsilon)
    return scale, (norm.beta.numpy() if norm.center else 0.0) - norm.moving_mean.numpy() * scale


def unit_kernels(net: Network, layer: str) -> np.ndarray:
    """All kernels of a plain convolution, folded: float32, (rows, columns, channels, filters)."""
    kernel = net.plain_convolution(layer).kernel.numpy()
    return kernel if net.norm(layer) is None else kernel * norm_scale_shift(net, layer)[0]


def unit_biases(net: Network, layer: str) -> np.ndarray:
    """The biases that belong to `unit_kernels`: float32, (filters,)."""
    conv = net.plain_convolution(layer)
    bias = conv.bias.numpy() if conv.use_bias else np.zeros(net.channels(layer), "float32")
    scale, shift = norm_scale_shift(net, layer)
    return bias if net.norm(layer) is None else bias * scale + shift


def unit_weights(
    net: Network, layer: str, filter: int, taps: np.ndarray, bias: float | None = None
) -> dict[str, list[np.ndarray]]:
    """What to store, for `Network.with_weights`, so that a unit has these kernels.

    Parameters
    ----------
    taps : ndarray, shape (rows, columns, channels)
        Folded, as `vizutils.kernels` gives them. A unit whose normalisation multiplies by 0
        reads nothing, whatever they are.
    bias : float, optional
        Folded as well; what it was, by default.
    """
    kernel, *biases = net.plain_convolution(layer).get_weights()
    norm, scale = net.norm(layer), norm_scale_shift(net, layer)[0][filter]
    kernel[..., filter] = np.divide(taps, scale, out=np.zeros_like(taps, "float32"),
                                    where=scale != 0)
    found = {layer: [kernel, *biases]}
    if bias is None:
        return found
    if biases:
        biases[0][filter] = bias if norm is None else 0
    if norm is not None:
        stored = norm.get_weights()  # gamma and beta where there are such, mean, variance
        stored[-2][filter] = 0 if norm.center else -bias / scale if scale else 0
        if norm.center:
            stored[-3][filter] = bias
        found[norm.name] = stored
    return found


# --- one unit at a time ---------------------------------------------------------------------------


def unit_forward(net: Network, layer: str) -> Callable:
    """Patches of one receptive field → pre-activations of the unit that sees them, (n, filters).

    Where the network below is a chain, it is built again with "valid" padding: one receptive
    field then gives one unit, and no layer computes a position that this unit does not need
    (half of the work for a mid-level unit of VGG16). Elsewhere the patch is laid into the
    smallest picture on which a unit sees no padding, plain grey around it.
    """
    return net.kept(_traced_unit, layer)


def _traced_unit(net: Network, layer: str) -> Callable:
    chain = chain_below(net, layer)
    if chain is None:
        whole = net.forward(layer, pre_activation=True)

        def forward(patches):
            pictures, unit, _ = framed(net, layer, made(patches))
            return whole(pictures)[:, unit, unit]

        return forward
    picture = tensor = keras.Input((None, None, net.graph.input.shape[-1]), dtype="float32")
    for operation in chain:
        changes = {"padding": "valid"} if hasattr(operation, "padding") else {}
        if operation.name == layer and hasattr(operation, "activation"):
            changes["activation"] = keras.activations.linear
        tensor = twin(operation, **changes)(tensor)
    model = keras.Model(picture, tensor)
    return traced(lambda images: model(net.preprocess(images), training=False)[:, 0, 0])


def framed(net: Network, layer: str, patches: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Patches of one receptive field, laid where one unit sees just them.

    Returns
    -------
    pictures : float32 ndarray, shape (n, side, side, 3)
        The smallest on which a unit sees no padding, plain grey around the patch.
    unit : int
        The unit's position, along both axes.
    top : int
        Row (and column) of the pictures at which the patch starts.
    """
    patches = check_pictures(patches)
    side = canvas(net, layer, strides=1)
    seen = receptive_field(net, layer, input_size=side)
    if seen.through:
        warnings.warn(f"a unit of {layer} depends on the whole picture through {seen.through}: "
                      "a patch on grey does not give what it gave in its picture.", stacklevel=3)
    if seen.unpadded.start == seen.unpadded.stop:
        raise ValueError(f"a unit of {layer} sees {seen.size} px, and every one padding too in the "
                         f"pictures of {side} px that {net.name} takes: there is no patch of it.")
    unit = int(seen.unpadded.start)
    top, left, bottom, right = seen.window(unit, unit)
    pictures = np.full((len(patches), side, side, 3), 127.5, "float32")
    pictures[:, top:bottom, left:right] = patches
    return pictures, unit, top


def chain_below(net: Network, layer: str) -> list | None:
    """The operations from the picture to a layer, if each reads the one before and nothing else.

    None as well where one of them could not be built again without padding.
    """
    own = net.layer(layer)
    norm = net.norm(layer)
    chain = []
    tensor = own.input if kind_of(own).rectifies else (own if norm is None else norm).output
    while True:
        operation, inputs = made_by(tensor)
        if not inputs:
            return chain[::-1]
        if len(inputs) > 1 or not isinstance(operation, keras.layers.Layer) or kind_of(
                operation).reads not in ("position", "window"):
            return None
        chain.append(operation)
        tensor = inputs[0]
