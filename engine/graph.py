"""Units: their receptive fields in the picture, and the layers that feed them.

All code that follows a network's layer graph uses `made_by` and `readers` below, and
`engine.kinds` for what a layer does.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from engine.images import check_pictures, made
from engine.kinds import is_never_negative, kind_of
from engine.network import LOGITS, Network, traced, twin


def made_by(tensor) -> tuple[keras.layers.Layer, list]:
    """The layer that makes a Keras tensor, and the tensors that it makes it from."""
    operation, node, _ = tensor._keras_history  # noqa: SLF001  (Keras has no public name for it)
    return operation, operation._inbound_nodes[node].input_tensors  # noqa: SLF001


def readers(model: keras.Model, tensor) -> list[keras.layers.Layer]:
    """The layers of a model that read a Keras tensor."""
    return [layer for layer in model.layers for node in layer._inbound_nodes  # noqa: SLF001
            if any(read is tensor for read in node.input_tensors)]


def after_norm(model: keras.Model, tensor):
    """A convolution's map after batch normalisation and activation, if nothing else reads it."""
    reading = readers(model, tensor)
    if len(reading) != 1:
        return tensor
    follows = kind_of(reading[0]).rectifies or isinstance(
        reading[0], keras.layers.BatchNormalization)
    return after_norm(model, reading[0].output) if follows else tensor


def is_never_negative_at(tensor) -> bool:
    """Whether the layer graph shows that a tensor is never negative."""
    operation, inputs = made_by(tensor)
    if is_never_negative(operation):
        return True
    return bool(inputs) and kind_of(operation).sign and all(map(is_never_negative_at, inputs))


# --- where a unit looks -------------------------------------------------------------------------


@dataclass(frozen=True)
class ReceptiveField:
    """The square of the picture that one unit of a layer can see.

    Attributes
    ----------
    size : int
        Side of that square, in input pixels.
    stride : int
        Input pixels between the squares of two neighbouring units.
    start : int
        Row (and column) at which the square of unit (0, 0) starts; negative where it sees
        padding.
    positions : int
        Units along one side of the map, for a picture of `input_size`.
    input_size : int
        Side of the picture these numbers hold for, in pixels.
    """

    size: int
    stride: int
    start: int
    positions: int
    input_size: int

    def window(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of unit (row, column)'s square; may leave the picture."""
        top, left = (self.start + self.stride * i for i in (row, column))
        return top, left, top + self.size, left + self.size

    @property
    def unpadded(self) -> slice:
        """Positions (along one axis) whose square lies inside the picture: no padding seen."""
        tops = self.start + self.stride * np.arange(self.positions)
        inside = np.flatnonzero((tops >= 0) & (tops + self.size <= self.input_size))
        return slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0)


def receptive_field(net: Network, layer: str, *, input_size: int | None = None) -> ReceptiveField:
    """Receptive field of a layer's units, from the layer graph.

    Walks from the layer back to the picture; each convolution or pool of kernel k and stride s
    turns "I see w inputs, stride t" into "I see (w − 1)·s + k, stride t·s" [1]_. Branches are
    joined by the smallest square that holds them all.

    Parameters
    ----------
    net : Network
    layer : str
    input_size : int, optional
        Side of the picture in pixels (positions, and "same" padding of strided layers, depend
        on it); the network's own input size by default.

    Raises
    ------
    ValueError
        Unknown layer; a layer without positions (dense, globally pooled); an operation this
        function does not know; an `input_size` that is no number of pixels.

    References
    ----------
    .. [1] A. Araujo, W. Norris, J. Sim, "Computing receptive fields of convolutional neural
       networks", Distill 2019, doi:10.23915/distill.00021.
    """
    input_size = net.input_size if input_size is None else input_size
    if not isinstance(input_size, numbers.Integral) or input_size < 1:
        raise ValueError("input_size is the pictures' side in pixels, a whole number, at least 1, "
                         f"not {input_size!r}.")
    walk = _walk_back(net.layer(layer).output, input_size, {})
    rows, columns = walk
    if rows.stride != columns.stride:
        raise ValueError(f"layer {layer!r} strides rows and columns differently: not supported.")
    start = min(rows.start, columns.start)
    end = max(rows.start + rows.size, columns.start + columns.size)
    return ReceptiveField(end - start, rows.stride, start, rows.positions, input_size)


def _walk_back(tensor, input_size: int, known: dict) -> tuple[ReceptiveField, ReceptiveField]:
    """Receptive fields along (rows, columns) of a Keras tensor's positions."""
    if id(tensor) in known:
        return known[id(tensor)]
    operation, inputs = made_by(tensor)
    if not inputs:  # the picture itself
        found = (ReceptiveField(1, 1, 0, input_size, input_size),) * 2
    else:
        branches = [_walk_back(x, input_size, known) for x in inputs]
        joined = [_join([branch[axis] for branch in branches]) for axis in (0, 1)]
        found = tuple(_step(operation, joined[axis], axis) for axis in (0, 1))
    known[id(tensor)] = found
    return found


def _join(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """The smallest field that holds those of several branches (Add, Concatenate)."""
    start = min(f.start for f in fields)
    end = max(f.start + f.size for f in fields)
    first = fields[0]
    return ReceptiveField(end - start, first.stride, start, first.positions, first.input_size)


def _step(operation, below: ReceptiveField, axis: int) -> ReceptiveField:
    """The field of an operation's output positions, given that of its input positions."""
    reads = kind_of(operation).reads
    if reads == "position":
        return below
    if reads == "border":
        sign = 1 if hasattr(operation, "padding") else -1
        before, after = (sign * n for n in
                         (operation.padding if sign == 1 else operation.cropping)[axis])
        return ReceptiveField(below.size, below.stride, below.start - before * below.stride,
                              below.positions + before + after, below.input_size)
    if reads != "window":
        raise ValueError(
            f"{operation.name} ({type(operation).__name__}) has no positions, or is an operation "
            "whose receptive field is not known here; choose a convolution or pooling layer "
            "before it."
        )
    window = operation.pool_size if hasattr(operation, "pool_size") else operation.kernel_size
    dilation = getattr(operation, "dilation_rate", (1, 1))[axis]
    width, stride = (window[axis] - 1) * dilation + 1, operation.strides[axis]
    if operation.padding == "same":  # TensorFlow pads so that ceil(positions / stride) remain
        positions = -(-below.positions // stride)
        padded = max((positions - 1) * stride + width - below.positions, 0) // 2
    else:
        positions, padded = (below.positions - width) // stride + 1, 0
    return ReceptiveField(
        below.size + (width - 1) * below.stride, below.stride * stride,
        below.start - padded * below.stride, positions, below.input_size,
    )


def unpadded_positions(
    net: Network, layer: str, size: int, *, needed: bool = True
) -> slice | None:
    """Positions (along one axis) of a layer's map that see no padding.

    Parameters
    ----------
    size : int
        Side of the pictures, in pixels.
    needed : bool
        Whether to go on without any is an error. If not, None (take all) is returned: where
        every position sees padding, with a warning, and for a layer without positions.

    Raises
    ------
    ValueError
        There are none, and they are needed.
    """
    if not needed and len(net.layer(layer).output.shape) != 4:
        return None
    seen = receptive_field(net, layer, input_size=size)
    inside = seen.unpadded
    if inside.start < inside.stop:
        return inside
    if needed:
        raise ValueError(f"every position of {layer} sees padding at {size} px: load larger "
                         "pictures (load_images(..., size=...)).")
    remedy = "" if net.fixed_size else f" size={canvas(net, layer)} avoids that."
    warnings.warn(
        f"a unit of {layer} sees {seen.size} px, more than the canvas of {size} px: every "
        f"position sees padding, and all are used.{remedy}", stacklevel=3)
    return None


def canvas(net: Network, layer: str, *, strides: int = 8) -> int:
    """Side of the picture that suits a layer's units, in pixels.

    Parameters
    ----------
    strides : int
        Room beyond one receptive field: 8 lets a texture show, 1 is the least with which a unit
        sees no padding. Rounded up to the layer's stride. A model that is built for one size
        leaves no choice: it is that size.
    """
    if net.fixed_size or layer == LOGITS:
        return net.fixed_size or net.input_size
    seen = receptive_field(net, layer)
    return -(-(seen.size + strides * seen.stride) // seen.stride) * seen.stride


# --- which layers feed it ------------------------------------------------------------------------


@dataclass(frozen=True)
class InputLayer:
    """What a convolution reads.

    Attributes
    ----------
    feature : str or None
        The layer whose channels they are - the thing to visualise; None for the picture itself.
    tensor : str
        The layer whose *output* is read, e.g. the pool between - the thing to multiply weights
        with.
    """

    feature: str | None
    tensor: str


def input_layer(net: Network, layer: str) -> InputLayer:
    """Which layer's channels feed `layer`, and through which tensor.

    ``block3_conv1`` of VGG16 reads the output of ``block2_pool``, whose channels are those of
    ``block2_conv2``; a circuit that overlooks the pool shows the wrong pictures.
    """
    read, inputs = made_by(net.convolution(layer).input)
    operation = read
    while inputs and kind_of(operation).channels == "kept":
        operation, inputs = made_by(inputs[0])
    return InputLayer(operation.name if inputs else None, read.name)


def convolution_below(net: Network, layer: str) -> str | None:
    """The convolution whose channels a layer's are: itself, or below a norm, activation or pool.

    None where there is no such one: the layer joins branches, mixes channels, or is the picture.
    """
    own = net.layer(layer)
    operation, inputs = made_by(own.output)
    while len(inputs) == 1 and kind_of(operation).channels == "kept":
        operation, inputs = made_by(inputs[0])
    return operation.name if operation.name in net.conv_layers else None


def norm_after(net: Network, layer: str) -> str:
    """The batch normalisation that directly follows a convolution; `layer` itself without one.

    In a network with batch normalisation the unit that a ReLU reads is the *normalised* output.
    Give the name that this returns to `maximize`, `top_patches` or `activations`, and the
    picture is that unit's, even where the normalisation turns the sign.

    Returns
    -------
    str
        `layer`, unless its output, before any activation, is read by one layer alone and that
        is a BatchNormalization over channels.
    """
    conv = net.convolution(layer)
    reading = readers(net.graph, conv.output)
    linear = getattr(conv, "activation", None) in (None, keras.activations.linear)
    if not linear or len(reading) != 1:
        return layer
    norm = reading[0]
    if not isinstance(norm, keras.layers.BatchNormalization) or norm.axis not in (-1, 3):
        return layer
    return norm.name


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
    picture = tensor = keras.Input((None, None, 3), dtype="float32")
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
    chain, tensor = [], own.input if kind_of(own).rectifies else own.output
    while True:
        operation, inputs = made_by(tensor)
        if not inputs:
            return chain[::-1]
        if len(inputs) > 1 or kind_of(operation).reads not in ("position", "window"):
            return None
        chain.append(operation)
        tensor = inputs[0]
