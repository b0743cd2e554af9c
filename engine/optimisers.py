"""Optimisers: how a step is taken from a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf


class Optimiser(Protocol):
    """What an optimiser must offer; it need not inherit from this class.

    It is a **frozen dataclass of an imported module** with a field ``rate``, whose other fields
    are numbers, strings or such dataclasses; equal fields share one traced climb
    (`engine.keys.is_value`). It has no state: what it remembers passes through `change`.
    """

    @property
    def rate(self) -> float:
        """Length of a step, in the parameterisation's units; a field of the dataclass.

        `render` passes it to `change`, so that another rate needs no new trace: `change` must
        use its argument, never this field.
        """

    def memory(self, numbers: np.ndarray) -> tuple[np.ndarray, ...]:
        """What it remembers, before the first step: any number of arrays, or none.

        Parameters
        ----------
        numbers : float32 ndarray, shape (n, ...)
            The pictures, as the parameterisation writes them.

        Returns
        -------
        tuple of ndarray
            Each of shape (n, ...) and of any type, with a row for each picture: a picture whose
            gradient stops being finite keeps its rows as they are.
        """

    def change(self, gradient, memory, number, rate):
        """One step uphill, in TensorFlow operations; each row depends on the same row only.

        Parameters
        ----------
        gradient : float32 tensor, shape (n, ...)
            Of the objective, with respect to the parameterisation's numbers.
        memory : tuple of tensors
            As `memory` or the last step returned it; its shapes and types never change.
        number : int32 scalar tensor
            Steps taken so far, from 0.
        rate : float32 scalar tensor

        Returns
        -------
        step : tensor, shape (n, ...)
            What is added to the numbers; proportional to `rate`.
        memory : tuple of tensors
        """


@dataclass(frozen=True)
class Adam:
    """Steps of nearly equal length on every number, smoothed over time [1]_.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    rate: float = 0.05

    def memory(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two moments of the gradient, zero at first."""
        return np.zeros_like(numbers), np.zeros_like(numbers)

    def change(self, gradient, memory, number, rate):
        """(step, moments) after `number` steps."""
        first, second = memory
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        t = tf.cast(number + 1, tf.float32)
        rate = rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return rate * first / (tf.sqrt(second) + 1e-8), (first, second)


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

    def __post_init__(self):
        if self.by not in ("norm", "rms"):
            raise ValueError(f'a gradient is divided by its "norm" or "rms", not {self.by!r}.')

    def memory(self, numbers: np.ndarray) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def change(self, gradient, memory, number, rate):
        """(step, no memory)."""
        axes = list(range(1, len(gradient.shape)))
        reduce = tf.reduce_sum if self.by == "norm" else tf.reduce_mean
        length = tf.sqrt(reduce(gradient**2, axes, keepdims=True))
        return rate * tf.math.divide_no_nan(gradient, length), memory


@dataclass(frozen=True)
class Momentum:
    """Plain gradient ascent that keeps a share of its speed.

    Parameters
    ----------
    rate : float
        What the gradient is multiplied by: unlike the others', it must suit the objective's scale.
    share : float
        Of the last step's velocity that is kept.
    """

    rate: float = 1e3
    share: float = 0.9

    def memory(self, numbers: np.ndarray) -> tuple[np.ndarray]:
        """The velocity, zero at first."""
        return (np.zeros_like(numbers),)

    def change(self, gradient, memory, number, rate):
        """(step, velocity)."""
        velocity = self.share * memory[0] + gradient
        return rate * velocity, (velocity,)
