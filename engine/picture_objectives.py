"""Objectives that read the picture itself: regularisers, and distance to a photograph."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from engine.images import one_or_more
from engine.network import PICTURE
from engine.objectives import Objective, Reading, check_alike
from engine.parameterisations import standardised


def distance_to(picture) -> Objective:
    """Mean squared distance to a picture, in grey levels², over pixels and colours.

    Subtract it to stay near: ``channel(...) - 0.01 * distance_to(photograph)``.

    Parameters
    ----------
    picture : ndarray, shape (size, size, 3) or (n, size, size, 3)
        RGB 0-255, of the size that climbs; one for all pictures, or one for each.
    """
    return Objective((Reading(PICTURE),), (one_or_more(picture, copy=True),), _mean_square_apart)


def _mean_square_apart(maps, values):
    check_alike(maps[0], values[0])
    return tf.reduce_mean((maps[0] - values[0]) ** 2, (1, 2, 3))


def total_variation(power: float = 2.0) -> Objective:
    """Σ (down² + right²) ^ (power / 2): how much neighbouring pixels differ [1]_.

    Differences are in standardised units (`engine.parameterisations.standardised`: 1 is about 57
    grey levels). The sum, over pixels and colours, grows with the number of pixels. Subtract a
    little of it to keep noise out.

    Parameters
    ----------
    power : float
        At least 1. At 1 an edge costs the same whether it is sharp or soft; 2 prefers soft ones.

    References
    ----------
    .. [1] A. Mahendran, A. Vedaldi, "Understanding deep image representations by inverting
       them", CVPR 2015, arXiv:1412.0035.
    """
    return Objective((Reading(PICTURE),), (), _TotalVariation(_power(power)))


@dataclass(frozen=True)
class _TotalVariation:
    """The formula of `total_variation`."""

    power: float

    def __call__(self, maps, values):
        return variation(standardised(maps[0]), self.power)


def variation(x, power: float):
    """`total_variation` of pictures in standardised units: (n, rows, columns, 3) → (n,)."""
    down = x[:, 1:, :-1] - x[:, :-1, :-1]
    right = x[:, :-1, 1:] - x[:, :-1, :-1]
    squares = down**2 + right**2
    if power < 2:  # a root's slope at 0 would be NaN; where nothing differs it is taken as 0
        flat = squares == 0
        terms = tf.where(flat, 0.0, tf.where(flat, 1.0, squares) ** (power / 2))
    else:
        terms = squares ** (power / 2)
    return tf.reduce_sum(terms, (1, 2, 3))


def lp_norm(power: float = 6.0) -> Objective:
    """Σ |x| ^ power: how extreme pixels are, Mahendran and Vedaldi's Lα norm with α = power [1]_.

    Pixels x are in standardised units (`engine.parameterisations.standardised`): 0 is ImageNet's
    mean colour, 0-255 lies within ±2.7. The sum, over pixels and colours and without a root,
    grows with the number of pixels. Subtract a little of it to avoid extreme pixels.

    Parameters
    ----------
    power : float
        At least 1; the larger it is, the less moderate pixels count.

    References
    ----------
    .. [1] As for `total_variation`.
    """
    return Objective((Reading(PICTURE),), (), _LpNorm(_power(power)))


@dataclass(frozen=True)
class _LpNorm:
    """The formula of `lp_norm`."""

    power: float

    def __call__(self, maps, values):
        return power_sum(standardised(maps[0]), self.power)


def power_sum(x, power: float):
    """`lp_norm` of pictures in standardised units: (n, rows, columns, 3) → (n,)."""
    return tf.reduce_sum(tf.abs(x) ** power, (1, 2, 3))


def _power(power: float) -> float:
    if not power >= 1:
        raise ValueError(f"power must be at least 1 (below, the slope at 0 is infinite), not "
                         f"{power}.")
    return float(power)
