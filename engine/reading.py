"""Reading: from pictures to what an objective reads of them, computing no more than that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from engine.graph import ReceptiveField, receptive_field, unpadded_positions
from engine.kinds import kind_of
from engine.links import below
from engine.network import LOGITS, PICTURE, Network
from engine.objectives import Reading


def reader(
    net: Network, readings: Sequence[Reading], size: int, *, unpadded: bool = False
) -> Callable:
    """A function from pictures to what an objective reads: maps, and the picture itself.

    It takes the pictures as the network is to see them, those that are shown, and the values.
    """
    read_maps = _map_reader(net, [r for r in readings if r.layer != PICTURE], size, unpadded)

    def read(seen, shown, values):
        maps = iter(read_maps(seen, values))
        return [shown if r.layer == PICTURE else next(maps) for r in readings]

    return read


def warn_of_padding(net: Network, readings: Sequence[Reading], size: int) -> None:
    """Say where all that will be measured of a layer sees padding: at each call, not each trace."""
    for reading in readings:
        if reading.layer not in (PICTURE, LOGITS) and reading.at is None and not reading.padded:
            unpadded_positions(net, reading.layer, size, needed=False)


def _map_reader(
    net: Network, readings: Sequence[Reading], size: int, unpadded: bool
) -> Callable:
    """A function from pictures to the maps of layers that an objective reads.

    Where one channel of a convolution is read for each picture, only the channels of this batch
    are computed, not the layer's hundreds: the kernel is cut, which changes no number. With
    `unpadded`, maps keep only the positions that see no padding, where there are any.
    """
    if not readings:
        return lambda images, values: []
    names = [net.logits_layer if r.layer == LOGITS else r.layer for r in readings]
    layers = [net.layer(name) for name in names]
    norms = [net.norm(name) for name in names]
    cut = [r.chosen is not None and _can_be_cut(x) and (norm is None or r.pre_activation)
           for r, x, norm in zip(readings, layers, norms, strict=True)]
    body = keras.Model(net.graph.input, [
        x.input if short else net.output(name, pre_activation=r.pre_activation)
        for name, r, x, short in zip(names, readings, layers, cut, strict=True)])
    rows, columns = seen_by(net, names, readings, size)
    whole = (rows, columns) == (slice(0, size),) * 2
    crops = [_kept(net, name, r, size, unpadded, (rows.start, columns.start))
             for name, r in zip(names, readings, strict=True)]

    def read(images, values):
        seen = images if whole else images[:, rows, columns]
        outputs = tf.nest.flatten(body(net.preprocess(seen), training=False))
        maps = []
        for r, x, norm, short, crop, found in zip(
                readings, layers, norms, cut, crops, outputs, strict=True):
            if short:
                kernel = tf.gather(x.kernel.value, values[r.chosen], axis=3)
                found = x.convolution_op(found, kernel)  # (n, rows, columns, n)
                found = tf.transpose(tf.linalg.diag_part(tf.transpose(found, (1, 2, 0, 3))),
                                     (2, 0, 1))
                if x.use_bias:
                    found += tf.gather(x.bias.value, values[r.chosen])[:, None, None]
                if norm is not None:
                    found = _normalised(norm, found, values[r.chosen])
                found = found if r.pre_activation else x.activation(found)
            elif r.chosen is not None:
                found = tf.gather(found, values[r.chosen], axis=-1, batch_dims=1)
            maps.append(found if crop is None else found[:, crop[0], crop[1]])
        return maps

    return read


def _normalised(norm: keras.layers.BatchNormalization, found, channels):
    """Maps of one channel each, (n, rows, columns), as a batch normalisation leaves them."""
    def own(variable):
        return tf.gather(variable.value, channels)[:, None, None]

    scale = tf.math.rsqrt(own(norm.moving_variance) + norm.epsilon)
    scale *= own(norm.gamma) if norm.scale else 1.0
    return (found - own(norm.moving_mean)) * scale + (own(norm.beta) if norm.center else 0.0)


def _can_be_cut(layer: keras.layers.Layer) -> bool:
    """Whether single channels of a layer can be computed: of a plain convolution.

    TensorFlow pads a dilated one only if it knows how many channels there are while tracing.
    """
    if type(layer) is not keras.layers.Conv2D or layer.groups != 1:
        return False
    return layer.padding != "same" or set(layer.dilation_rate) == {1}


def seen_by(net: Network, names, readings, size: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that matter to an objective.

    All of them, unless it reads single positions only: then the square that these can see. It
    starts and ends at multiples of the coarsest stride, so that pools fall as they do on all of it.
    """
    windows, steps = [], [1]
    for name, reading in zip(names, readings, strict=True):
        if reading.at is None:
            return slice(0, size), slice(0, size)
        seen = receptive_field(net, name, input_size=size)
        windows.append(seen.window(*_position(reading, seen)))
        steps.append(seen.coarsest)
    step = math.lcm(*steps)
    bordered = any(kind_of(own).reads == "border" for name in names
                   for own in below(net.layer(name).output))  # at a cut's border it acts anew
    if size % step or net.fixed_size or bordered:  # only the whole picture will do
        return slice(0, size), slice(0, size)
    low = np.maximum(np.min(windows, 0)[:2] // step * step, 0)
    high = np.minimum(-(-np.max(windows, 0)[2:] // step) * step, size)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _position(reading: Reading, seen: ReceptiveField) -> tuple[int, int]:
    """The row and column that a reading of one position names."""
    row, column = (seen.positions // 2,) * 2 if reading.at == "centre" else reading.at
    if not (0 <= row < seen.positions and 0 <= column < seen.positions):
        raise ValueError(f"position {reading.at} lies outside {reading.layer}'s map, which is "
                         f"{seen.positions} × {seen.positions} for {seen.input_size} px.")
    return row, column


def _kept(net: Network, name: str, reading: Reading, size: int, unpadded: bool, corner):
    """Rows and columns of a map that are read (None: all), the picture being cut at `corner`."""
    if reading.at is None:
        if not unpadded or reading.padded or len(net.layer(name).output.shape) != 4:
            return None
        inside = receptive_field(net, name, input_size=size).unpadded
        return (inside, inside) if inside.start < inside.stop else None
    seen = receptive_field(net, name, input_size=size)
    return tuple(slice(i, i + 1) for i in (
        place - start // seen.stride
        for place, start in zip(_position(reading, seen), corner, strict=True)))
