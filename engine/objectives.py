"""Objectives: one number for each picture, to be made large."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from engine.checks import whole_numbers
from engine.climb_checks import class_numbers
from engine.network import LOGITS


@dataclass(frozen=True)
class Reading:
    """What an objective reads: a layer's map, whole or one channel of it for each picture.

    Attributes
    ----------
    layer : str
        ``LOGITS`` stands for the network's last layer, ``PICTURE`` for the pictures themselves:
        shape (n, size, size, 3), RGB 0-255, untransformed, and clipped when they are measured
        but not while they climb. The attributes below do not apply to it.
    pre_activation : bool
        Before the layer's activation function.
    chosen : int or None
        Which of the objective's values holds each picture's channel; None: the whole map.
    at : (row, column) or "centre", optional
        The one position of the map that is read; None: all. An objective made of single
        positions only is climbed on the part of the picture that they can see.
    padded : bool
        Measure over all positions, as the climb reads them: also those that see padding.
    named : bool
        Its classes were given by ImageNet's names: another list of classes will not do.
    """

    layer: str
    pre_activation: bool = True
    chosen: int | None = None
    at: tuple[int, int] | str | None = None
    padded: bool = False
    named: bool = False


@dataclass(frozen=True, eq=False)
class Objective:
    """One number for each picture, to be made large. Objectives add, subtract and scale.

    Attributes
    ----------
    readings : tuple of Reading
    values : tuple of ndarray
        The numbers it needs (channels, factors); they enter the traced function as arguments,
        so that another filter costs no new trace. An array has one row for each picture.
    formula : callable
        ``formula(maps, values)`` → tensor of shape (n,), or (n, terms) for `side_by_side`; one
        map for each reading, of shape (n, rows, columns) for a channel, (n, rows, columns,
        channels) for a whole layer. The ascent climbs on all positions; what is measured uses
        those that see no padding.
        A function, or a frozen dataclass that can be called, of an imported module is traced
        once; one defined in a notebook is traced at each call, for what it reads may change.
    """

    readings: tuple[Reading, ...]
    values: tuple[np.ndarray, ...]
    formula: Callable

    __array_ufunc__ = None  # so that an array times an objective is the objective's to work out

    def __add__(self, other: Objective) -> Objective:
        if isinstance(other, Objective):
            return _joined((self, other), _added)
        if isinstance(other, int) and other == 0:  # what sum() starts from
            return self
        raise ValueError(f"objectives are added to objectives, not to {other!r}.")

    __radd__ = __add__

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.readings, (*self.values, _factor(factor)), _Scaled(self.formula))

    __rmul__ = __mul__

    def __truediv__(self, factor: float) -> Objective:
        return self * _factor(factor, -1)

    def __neg__(self) -> Objective:
        return self * -1.0

    def __sub__(self, other: Objective) -> Objective:
        return self + -other


def side_by_side(*objectives: Objective) -> Objective:
    """Several objectives in one, a column each: the climb makes their sum large.

    Its value has shape (n, terms), so that a history holds the terms one by one. Nothing can be
    added to it afterwards.
    """
    return _joined(objectives, _stacked)


def _joined(objectives: Sequence[Objective], combine: Callable) -> Objective:
    """One objective that reads what several read, their values combined."""
    readings, values = [], []
    for part in objectives:
        readings += [_shifted(reading, len(values)) for reading in part.readings]
        values += part.values
    parts = tuple((part.formula, len(part.readings), len(part.values)) for part in objectives)
    return Objective(tuple(readings), tuple(values), _Joined(parts, combine))


def _shifted(reading: Reading, by: int) -> Reading:
    """The reading once its objective's values come after so many others."""
    chosen = None if reading.chosen is None else reading.chosen + by
    return dataclasses.replace(reading, chosen=chosen)


@dataclass(frozen=True)
class _Joined:
    """Several formulas, each with so many of the maps and values, and what becomes of them."""

    parts: tuple[tuple[Callable, int, int], ...]
    combine: Callable

    def __call__(self, maps, values):
        maps, values = iter(maps), iter(values)
        return self.combine([
            formula(list(itertools.islice(maps, reads)), list(itertools.islice(values, has)))
            for formula, reads, has in self.parts])


def _added(terms):
    first, second = terms
    if len(first.shape) != len(second.shape):
        raise ValueError("objectives that stand side by side cannot be added to one that does "
                         "not: add first, then call side_by_side.")
    return first + second


def _stacked(terms):
    return tf.stack(terms, 1)


@dataclass(frozen=True)
class _Scaled:
    """A formula times the last of the values."""

    formula: Callable

    def __call__(self, maps, values):
        found, factor = self.formula(maps, values[:-1]), values[-1]
        by_row = len(factor.shape) == 1 and len(found.shape) == 2  # terms side by side
        return (factor[:, None] if by_row else factor) * found


_numbers = functools.partial(whole_numbers, "filters")


def _factor(factor, power: int = 1) -> np.float32 | np.ndarray:
    """What an objective is multiplied by: a number, or one for each picture."""
    with contextlib.suppress(TypeError, ValueError), np.errstate(over="ignore", divide="ignore"):
        found = np.float32(np.float32(factor) ** power)
        if np.ndim(found) < 2 and np.isfinite(found).all():
            return found
    raise ValueError("an objective is multiplied or divided by a finite number, or by one for each "
                     f"picture, not by {factor!r}.")


def channel(layer: str, filters, *, pre_activation: bool = True) -> Objective:
    """Mean of a filter's map; one filter for each picture.

    The pre-activation is the default because a ReLU that is off passes no gradient: from noise,
    18-25 % of VGG16's filters would never start.
    """
    return Objective((Reading(layer, pre_activation, 0),), (_numbers(filters),), _mean_of_map)


def _mean_of_map(maps, values):
    return tf.reduce_mean(maps[0], (1, 2))


def unit(
    layer: str, filters, *, position: tuple[int, int] | None = None, pre_activation: bool = True
) -> Objective:
    """A filter's value at one position of its map: the centre, or (row, column)."""
    at = "centre" if position is None else tuple(position)
    return Objective((Reading(layer, pre_activation, 0, at),), (_numbers(filters),), _only_place)


def _only_place(maps, values):
    return maps[0][:, 0, 0]


def layer(name: str, *, pre_activation: bool = False) -> Objective:
    """Mean square of a whole layer: whatever is there, more of it (DeepDream)."""
    return Objective((Reading(name, pre_activation),), (), _mean_square)


def _mean_square(maps, values):
    return tf.reduce_mean(maps[0] ** 2, list(range(1, len(maps[0].shape))))


def direction(
    layer: str, vectors, *, cosine_power: float = 0.0, pre_activation: bool = True
) -> Objective:
    """Mean over positions of activations along a direction of channel space.

    Parameters
    ----------
    vectors : ndarray, shape (n, channels)
        One for each picture, or one for all.
    cosine_power : float
        The product is multiplied by max(cosine, 0.1) ** cosine_power: above 0 it asks for the
        direction itself rather than for large activations that lean towards it.
    """
    return Objective((Reading(layer, pre_activation),),
                     (np.atleast_2d(vectors).astype("float32"),), _Along(cosine_power))


@dataclass(frozen=True)
class _Along:
    """The formula of `direction`."""

    cosine_power: float

    def __call__(self, maps, values):
        if len(maps[0].shape) != 4 or maps[0].shape[-1] != values[0].shape[-1]:
            raise ValueError(f"a direction of {values[0].shape[-1]} channels does not belong to "
                             f"what is read, which has shape {tuple(maps[0].shape)}.")
        vector = values[0][:, None, None, :]
        product = tf.reduce_sum(maps[0] * vector, -1)
        if self.cosine_power:
            lengths = tf.norm(maps[0], axis=-1) * tf.norm(vector, axis=-1) + 1e-6
            product *= tf.maximum(product / lengths, 0.1) ** self.cosine_power
        return tf.reduce_mean(product, (1, 2))


def class_logit(classes) -> Objective:
    """The logit of a class, before a softmax; one class for each picture.

    Parameters
    ----------
    classes : int, or a sequence of int; ImageNet's labels and WordNet ids for its 1,000
    """
    numbers, named = class_numbers(classes)
    return Objective((Reading(LOGITS, True, 0, named=named),), (numbers,), _own_logit)


def _own_logit(maps, values):
    return maps[0]


def diversity(layer: str, groups) -> Objective:
    """How unlike the other pictures of its group each picture is, from −1 (alike) to 0.

    Likeness is the cosine between Gram matrices (which channels are active together) [1]_.
    Scale it to the objective it is added to: activations of VGG16 run into the thousands.

    Parameters
    ----------
    layer : str
    groups : sequence of int
        Pictures with equal numbers repel each other; for a diversity set of one filter, zeros.

    References
    ----------
    .. [1] C. Olah et al., "Feature visualization", Distill 2017, section "Diversity".
    """
    return Objective((Reading(layer),), (whole_numbers("groups", groups),), _unlike_others)


def _unlike_others(maps, values):
    features = tf.nn.relu(maps[0])
    grams = tf.einsum("nrca,nrcb->nab", features, features)
    grams = tf.math.l2_normalize(tf.reshape(grams, (tf.shape(grams)[0], -1)), axis=1)
    same = tf.cast(values[0][:, None] == values[0], tf.float32)
    same = tf.linalg.set_diag(same, tf.zeros_like(values[0], tf.float32))
    alike = tf.linalg.matmul(grams, grams, transpose_b=True) * same
    return -tf.reduce_sum(alike, 1) / tf.maximum(tf.reduce_sum(same, 1), 1)


def near_target(layer: str, filters) -> Objective:
    """Minus the mean square distance of a filter's map to an unreachable target.

    The target is the square of the map's largest value. Only of historical interest: see the
    preset ``"target_activation"``.
    """
    return Objective((Reading(layer, False, 0),), (_numbers(filters),),
                     _near_square_of_largest)


def _near_square_of_largest(maps, values):
    target = tf.stop_gradient(tf.reduce_max(maps[0], (1, 2), keepdims=True)) ** 2
    return -tf.reduce_mean((maps[0] - target) ** 2, (1, 2))


# --- objectives that compare with what is given --------------------------------------------------


def feature_distance(layer: str, targets, *, pre_activation: bool = False) -> Objective:
    """Squared distance of a layer's map Φ to a given one: ‖Φ − Φ₀‖² / ‖Φ₀‖² [1]_.

    1 for a map of zeros, 0 for the same map. Subtract it to come near. It is measured over all
    positions, as it is climbed, whether they see padding or not.

    Parameters
    ----------
    layer : str
        Any, with or without positions.
    targets : ndarray, shape (n, rows, columns, channels)
        Maps Φ₀, as `vizutils.activations` gives them for pictures of the size that climbs; one
        for each picture, or one for all.

    References
    ----------
    .. [1] A. Mahendran, A. Vedaldi, "Understanding deep image representations by inverting
       them", CVPR 2015, arXiv:1412.0035.
    """
    targets = np.asarray(targets, "float32")
    if not targets.reshape(len(targets), -1).any(1).all():
        raise ValueError(f"a target map of {layer} is zero everywhere, so no distance is a share "
                         "of it: take another picture or layer, or its pre-activation.")
    return Objective((Reading(layer, pre_activation, padded=True),), (targets,), _share_missed)


def _share_missed(maps, values):
    found, target = maps[0], values[0]
    check_alike(found, target)
    axes = list(range(1, len(target.shape)))
    return tf.reduce_sum((found - target) ** 2, axes) / tf.reduce_sum(target**2, axes)


def check_alike(found, wanted) -> None:
    """Refuse to compare what is read with something of another size."""
    if tuple(found.shape[1:]) != tuple(wanted.shape[1:]):
        raise ValueError(f"what is read has shape {tuple(found.shape[1:])}, what it is compared "
                         f"with {tuple(wanted.shape[1:])}: climb with the size= (and at the "
                         "layer) that it was made with.")
