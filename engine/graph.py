"""Units: their receptive fields in the picture, and the layers that feed them."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from engine.images import check_pictures, made
from engine.kinds import is_never_negative, kind_of
from engine.links import is_picture, made_by
from engine.network import LOGITS, Network, traced, twin


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
    through : str
        The last layer by which a unit *also* depends on the whole picture: a gate of
        squeeze-and-excite multiplies each channel by one number for the whole map. The square is
        then what the unit sees position by position. Empty: there is no such layer.
    coarsest : int
        The longest stride on the way: beyond `stride` where a layer makes a map larger.
    """

    size: int
    stride: int
    start: int
    positions: int
    input_size: int
    through: str = ""
    coarsest: int = 1

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
    gates: list[str] = []
    rows, columns = _walk_back(net.layer(layer).output, input_size, gates)
    if rows.stride != columns.stride:
        raise ValueError(f"layer {layer!r} strides rows and columns differently: not supported.")
    start = min(rows.start, columns.start)
    end = max(rows.start + rows.size, columns.start + columns.size)
    return ReceptiveField(end - start, rows.stride, start, rows.positions, input_size,
                          gates[-1] if gates else "", math.lcm(rows.coarsest, columns.coarsest))


def _walk_back(tensor, input_size: int, gates: list) -> tuple[ReceptiveField, ReceptiveField]:
    """Receptive fields along (rows, columns) of a Keras tensor's positions.

    The layers that multiply or add what a whole map was reduced to are listed in `gates`.
    """
    known, waiting = {}, [tensor]
    while waiting:  # a loop: a deep network has more layers than Python calls within calls
        operation, inputs = made_by(waiting[-1])
        local = _with_positions(waiting[-1], inputs)
        missing = [x for x in local if id(x) not in known]
        if missing and id(waiting[-1]) not in known:
            waiting += missing
            continue
        tensor_done = waiting.pop()
        if not inputs:  # the picture itself
            known[id(tensor_done)] = (ReceptiveField(1, 1, 0, input_size, input_size),) * 2
        elif id(tensor_done) not in known:
            gates += [operation.name] if len(local) < len(inputs) else []
            read = [[known[id(x)][axis] for x in local] for axis in (0, 1)]
            stepped = [_step(operation, _join(operation, read[axis]), axis) for axis in (0, 1)]
            known[id(tensor_done)] = tuple(
                replace(found, coarsest=math.lcm(found.stride, *(x.coarsest for x in below)))
                for found, below in zip(stepped, read, strict=True))
    return known[id(tensor)]


def _with_positions(tensor, inputs: Sequence) -> list:
    """The inputs that a tensor reads position by position.

    Left out: what a whole map was reduced to, one number a channel, and is now laid over all
    positions (the gate of squeeze-and-excite).
    """
    if len(inputs) < 2 or len(tensor.shape) != 4 or tuple(tensor.shape[1:3]) == (1, 1):
        return list(inputs)
    return [x for x in inputs if len(x.shape) > 2 and tuple(x.shape[1:3]) != (1, 1)] or list(inputs)


def _join(operation, fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """The smallest field that holds those of several branches (Add, Concatenate)."""
    start = min(f.start for f in fields)
    end = max(f.start + f.size for f in fields)
    first = fields[0]
    if len({f.stride for f in fields}) > 1:
        raise ValueError(f"{operation.name} ({type(operation).__name__}) joins branches of "
                         "different strides, whose receptive field is not known here; choose a "
                         "convolution or pooling layer before it.")
    return ReceptiveField(end - start, first.stride, start, first.positions, first.input_size)


def _step(operation, below: ReceptiveField, axis: int) -> ReceptiveField:
    """The field of an operation's output positions, given that of its input positions."""
    reads = kind_of(operation).reads
    if reads == "position" or reads == "size" and _target(operation)[axis] == below.positions:
        return below
    if reads == "border":
        sign = 1 if hasattr(operation, "padding") else -1
        before, after = (sign * n for n in
                         (operation.padding if sign == 1 else operation.cropping)[axis])
        return ReceptiveField(below.size, below.stride, below.start - before * below.stride,
                              below.positions + before + after, below.input_size)
    if reads == "spread":
        return _spread(operation, below, axis)
    if reads == "size":
        raise ValueError(
            f"{operation.name} ({type(operation).__name__}) brings {below.positions} positions to "
            f"{_target(operation)[axis]}: what lies above it has no receptive field of whole "
            "pixels; choose a layer before it, or pictures of the size that it makes.")
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


def _target(operation) -> tuple[int, int]:
    """The size that an operation brings every map to."""
    return operation.height, operation.width


def _spread(operation, below: ReceptiveField, axis: int) -> ReceptiveField:
    """The field above an operation that makes a map larger.

    Neighbours that are made from one input position see the same square. The field given is the
    smallest that moves by the same step from each position to the next and holds them all.
    """
    size = getattr(operation, "size", None)
    times = size[axis] if size else operation.strides[axis]
    if below.stride % times or getattr(operation, "interpolation", "nearest") != "nearest":
        raise ValueError(
            f"{operation.name} ({type(operation).__name__}) makes positions of less than a pixel, "
            "or blends them: an operation whose receptive field is not known here; choose a "
            "convolution or pooling layer before it.")
    step = below.stride // times
    if size:
        return ReceptiveField(below.size + below.stride - step, step,
                              below.start - below.stride + step, below.positions * times,
                              below.input_size)
    dilation = operation.dilation_rate[axis]
    width = (operation.kernel_size[axis] - 1) * dilation + 1
    full = (below.positions - 1) * times + max(width, times)
    positions = below.positions * times if operation.padding == "same" else full
    cut = max(full - positions, 0) // 2
    return ReceptiveField(below.size + (width - 1) * step, step,
                          below.start + (cut - width + 1) * step, positions, below.input_size)


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
    conv = net.convolution(layer)
    read, inputs = made_by(conv.input)
    if is_picture(conv.input):
        return InputLayer(None, read.name)
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
    if seen.coarsest > seen.stride:
        raise ValueError(f"{layer} lies above a map that was made larger: what a patch gives there "
                         "depends on where it lies. Ask for whole pictures (activations).")
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
    own, norm, chain = net.layer(layer), net.norm(layer), []
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
