"""Objectives: one number for each picture, to be made large."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data import classes as imagenet
from engine.network import LOGITS


@dataclass(frozen=True)
class Reading:
    """What an objective reads: a layer's map, whole or one channel of it for each picture.

    Attributes
    ----------
    layer : str
        ``LOGITS`` stands for the network's last layer.
    pre_activation : bool
        Before the layer's activation function.
    chosen : int or None
        Which of the objective's values holds each picture's channel; None: the whole map.
    at : (row, column) or "centre", optional
        The one position of the map that is read; None: all. An objective made of single
        positions only is climbed on the part of the picture that they can see.
    """

    layer: str
    pre_activation: bool = True
    chosen: int | None = None
    at: tuple[int, int] | str | None = None


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
        ``formula(maps, values)`` → tensor of shape (n,); one map for each reading, of shape
        (n, rows, columns) for a channel, (n, rows, columns, channels) for a whole layer. The
        ascent climbs on all positions; what is measured uses those that see no padding.
        A function, or a frozen dataclass that can be called, of an imported module is traced
        once; one defined in a notebook is traced at each call, for what it reads may change.
    """

    readings: tuple[Reading, ...]
    values: tuple[np.ndarray, ...]
    formula: Callable

    def __add__(self, other: Objective) -> Objective:
        n_maps, n_values = len(self.readings), len(self.values)
        shifted = tuple(
            r if r.chosen is None else dataclasses.replace(r, chosen=r.chosen + n_values)
            for r in other.readings)
        return Objective(self.readings + shifted, self.values + other.values,
                         _Sum(self.formula, other.formula, n_maps, n_values))

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.readings, (*self.values, np.float32(factor)), _Scaled(self.formula))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self * -1.0

    def __sub__(self, other: Objective) -> Objective:
        return self + -other


@dataclass(frozen=True)
class _Sum:
    """Two formulas added; the first one has so many of the maps and values."""

    first: Callable
    second: Callable
    maps: int
    values: int

    def __call__(self, maps, values):
        return (self.first(maps[:self.maps], values[:self.values])
                + self.second(maps[self.maps:], values[self.values:]))


@dataclass(frozen=True)
class _Scaled:
    """A formula times the last of the values."""

    formula: Callable

    def __call__(self, maps, values):
        return values[-1] * self.formula(maps, values[:-1])


def _numbers(values) -> np.ndarray:
    return np.atleast_1d(values).astype("int32")


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
    return tf.reduce_mean(maps[0] ** 2, (1, 2, 3))


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
        vector = values[0][:, None, None, :]
        product = tf.reduce_sum(maps[0] * vector, -1)
        if self.cosine_power:
            lengths = tf.norm(maps[0], axis=-1) * tf.norm(vector, axis=-1) + 1e-6
            product *= tf.maximum(product / lengths, 0.1) ** self.cosine_power
        return tf.reduce_mean(product, (1, 2))


def class_logit(classes) -> Objective:
    """The logit of an ImageNet class; one class for each picture."""
    wrong = [c for c in np.atleast_1d(classes) if not 0 <= c < len(imagenet.CLASSES)]
    if wrong:
        raise ValueError(f"ImageNet's classes are 0 to {len(imagenet.CLASSES) - 1}, "
                         f"not {wrong[0]}.")
    return Objective((Reading(LOGITS, False),), (_numbers(classes),), _own_logit)


def _own_logit(maps, values):
    return tf.gather(maps[0], values[0], batch_dims=1)


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
    return Objective((Reading(layer),), (_numbers(groups),), _unlike_others)


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
    return Objective((Reading(layer, False, 0),), (_numbers(filters),), _near_square_of_largest)


def _near_square_of_largest(maps, values):
    target = tf.stop_gradient(tf.reduce_max(maps[0], (1, 2), keepdims=True)) ** 2
    return -tf.reduce_mean((maps[0] - target) ** 2, (1, 2))
