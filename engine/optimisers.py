"""Optimisers: how a step is taken from a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Adam:
    """Steps of nearly equal length on every number, smoothed over time [1]_.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    rate: float = 0.05

    def change(self, gradient, first, second, number, rate):
        """(step, first moment, second moment) after `number` steps."""
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        t = tf.cast(number + 1, tf.float32)
        rate = rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return rate * first / (tf.sqrt(second) + 1e-8), first, second


@dataclass(frozen=True)
class Normalised:
    """Steps of fixed length along the gradient: its length or its root mean square is `rate`.

    Parameters
    ----------
    rate : float
        In the parameterisation's units (grey levels for `Pixels`).
    by : {"norm", "rms"}
    """

    rate: float = 10.0
    by: str = "norm"

    def change(self, gradient, first, second, number, rate):
        """(step, unchanged memories)."""
        axes = list(range(1, len(gradient.shape)))
        reduce = tf.reduce_sum if self.by == "norm" else tf.reduce_mean
        length = tf.sqrt(reduce(gradient**2, axes, keepdims=True))
        return rate * tf.math.divide_no_nan(gradient, length), first, second
