"""Parameterisations: how a picture is written in numbers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
from scipy import ndimage

from data import HOME
from engine.images import check_pictures

# How red, green and blue vary together in ImageNet (columns: brightness, red against blue,
# green against magenta), from Lucid [Apache-2.0], scaled to its largest column.
COLOUR = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], "float32")
COLOUR /= np.linalg.norm(COLOUR, axis=0).max()

# Mean and standard deviation of ImageNet's red, green and blue, as shares of 255, as torchvision
# and most labs have them.
MEAN, SPREAD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], "float32")


def standardised(images):
    """RGB 0-255 → standardised units: (RGB / 255 − mean) / standard deviation of each colour."""
    return (images / 255 - MEAN) / SPREAD


class Parameterisation(Protocol):
    """What a parameterisation must offer; it need not inherit from this class.

    It is a **frozen dataclass of an imported module** whose fields are numbers, strings or such
    dataclasses; equal fields share one traced climb (`engine.keys.is_value`). It has no state.
    """

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Numbers of one picture to start from, drawn from `rng` alone.

        Parameters
        ----------
        rng : numpy Generator
            The picture's own stream; transforms are drawn from it afterwards.
        size : int
            The picture's side, px.

        Returns
        -------
        float32 ndarray
            Its shape depends on `size` alone.
        """

    def picture(self, numbers, size: int):
        """Numbers of n pictures → RGB 0-255, in TensorFlow operations with gradients.

        Parameters
        ----------
        numbers : float32 tensor, shape (n, ...)
            One row for each picture, as `start` returns it; n is unknown while tracing.
        size : int

        Returns
        -------
        float32 tensor, shape (n, size, size, 3)
            Each picture depends on its own row only. Values may leave 0-255: the climb goes on
            with them, what is shown and measured is clipped.
        """

    def write(self, image: np.ndarray) -> np.ndarray:
        """The numbers whose `picture` is a given one, as nearly as they can write it.

        Parameters
        ----------
        image : ndarray, shape (size, size, 3)
            RGB 0-255.

        Returns
        -------
        float32 ndarray
            Of the shape that `start` has for this size.

        Raises
        ------
        ValueError
            It cannot be written; `engine.images.check_pictures` refuses what is no picture.
        """


@dataclass(frozen=True)
class Fourier:
    """Pictures written as spatial frequencies in decorrelated colours.

    A step of the same length on every coefficient then changes coarse and fine structure alike
    as natural pictures have them (amplitude ~ 1/frequency), instead of the high-frequency noise
    that pixels give [1]_. A sigmoid keeps pixels within 0-255 by itself.

    Parameters
    ----------
    decay : float
        Amplitudes fall as 1 / frequency ** decay.
    spread : float
        Standard deviation of the starting coefficients.

    References
    ----------
    .. [1] C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill 2017,
       doi:10.23915/distill.00007.
    """

    decay: float = 1.0
    spread: float = 0.01

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Random coefficients of one picture: real and imaginary parts, colours, frequencies."""
        return rng.normal(0, self.spread, (2, 3, size, size // 2 + 1)).astype("float32")

    def amplitude(self, size: int) -> np.ndarray:
        """What a coefficient of 1 is worth at each frequency, shape (size, size // 2 + 1)."""
        frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
        return (size / np.maximum(frequency, 1 / size) ** self.decay / 4).astype("float32")

    def picture(self, coefficients, size: int):
        """Coefficients of n pictures → RGB 0-255, shape (n, size, size, 3)."""
        spectrum = tf.complex(*tf.unstack(coefficients, axis=1))
        spectrum *= tf.constant(self.amplitude(size), tf.complex64)
        planes = tf.signal.irfft2d(spectrum, [size, size])  # (n, 3, size, size)
        colours = tf.einsum("nkhw,ck->nhwc", planes, tf.constant(COLOUR))
        return 255 * tf.sigmoid(colours)

    def write(self, image: np.ndarray) -> np.ndarray:
        """The coefficients of a given picture, RGB 0-255, shape (size, size, 3)."""
        image = check_pictures(np.asarray(image)[None])[0]
        share = np.clip(image / 255, 0.004, 0.996)  # pure black and white lie at infinity
        planes = np.einsum("hwc,kc->khw", np.log(share / (1 - share)), np.linalg.inv(COLOUR))
        spectrum = np.fft.rfft2(planes) / self.amplitude(image.shape[0])
        return np.stack([spectrum.real, spectrum.imag]).astype("float32")


@dataclass(frozen=True)
class Pixels:
    """Pictures written as pixel values, as the first recipes had them: for comparison.

    Parameters
    ----------
    spread : float
        Standard deviation of the starting noise around mid-grey, in grey levels.
    """

    spread: float = 10.0

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Noise around mid-grey, one picture."""
        return rng.normal(127.5, self.spread, (size, size, 3)).astype("float32")

    def picture(self, values, size: int):
        """The values are the picture; not bounded while the ascent runs."""
        return values

    def write(self, image: np.ndarray) -> np.ndarray:
        """A given picture, RGB 0-255, is its own values."""
        return check_pictures(np.asarray(image)[None])[0]


@dataclass(frozen=True)
class Standardised:
    """Pixel values in standardised units, see `standardised`: grey is about 0, white about 2.5.

    Parameters
    ----------
    spread : float
        Standard deviation of the starting noise around ImageNet's mean colour, in these units.
    """

    spread: float = 1e-3

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Noise around ImageNet's mean colour, one picture."""
        return rng.normal(0, self.spread, (size, size, 3)).astype("float32")

    def picture(self, values, size: int):
        """Values → RGB 0-255; not bounded while the ascent runs."""
        return 255 * (values * SPREAD + MEAN)

    def write(self, image: np.ndarray) -> np.ndarray:
        """A given picture, RGB 0-255, in these units."""
        return standardised(check_pictures(np.asarray(image)[None])[0])


@functools.cache
def _photographs() -> tuple[np.ndarray, np.ndarray]:
    """Mean colour of photographs, and their mean magnitudes: `tools.make_spectrum`."""
    with np.load(HOME / "spectrum.npz") as kept:
        return kept["mean"], kept["magnitude"].astype("float32")


@dataclass(frozen=True)
class NaturalSpectrum:
    """Pictures with the spectrum of photographs: only the phases climb.

    Each spatial frequency of each decorrelated colour has the mean magnitude that it has in 1,000
    photographs, whatever the climb does (MaCo [1]_). No frequency can be driven up, so that
    neither the high-frequency noise of deep layers nor saturated colours arise; what is left is
    where structure lies, and its edges and angles, which are phases.

    Parameters
    ----------
    contrast : float
        What the magnitudes are multiplied by. At 1 a picture has the contrast of photographs, and
        some of its pixels leave 0-255.

    References
    ----------
    .. [1] T. Fel et al., "Unlocking feature visualization for deeper networks with MAgnitude
       Constrained Optimization", NeurIPS 2023, arXiv:2306.06805.
    """

    contrast: float = 1.0

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Random phases of one picture in radians: colours, frequencies."""
        return rng.uniform(-np.pi, np.pi, (3, size, size // 2 + 1)).astype("float32")

    def magnitude(self, size: int) -> np.ndarray:
        """Of every frequency, float32 (3, size, size // 2 + 1), in grey levels; the mean has none.

        In units of an orthonormal transform, in which random structure has the same magnitudes
        at all sizes. Frequencies between those that were measured are interpolated.
        """
        _, measured = _photographs()
        side = measured.shape[1]
        rows, columns = np.meshgrid(np.fft.fftfreq(size) * side, np.fft.rfftfreq(size) * side,
                                    indexing="ij")
        found = np.exp([ndimage.map_coordinates(np.log(plane), [rows, columns], order=1,
                                                mode="grid-wrap") for plane in measured])
        found[:, 0, 0] = 0
        return (self.contrast * found).astype("float32")

    def picture(self, phases, size: int):
        """Phases of n pictures → RGB 0-255, shape (n, size, size, 3); not bounded."""
        mean, _ = _photographs()
        angle = tf.concat([  # columns that hold each frequency twice: the two must agree
            self._odd(phases[..., :1]), phases[..., 1 : (size + 1) // 2],
            *([] if size % 2 else [self._odd(phases[..., -1:])])], -1)
        spectrum = tf.complex(tf.cos(angle), tf.sin(angle))
        spectrum *= tf.constant(size * self.magnitude(size), tf.complex64)
        planes = tf.signal.irfft2d(spectrum, [size, size])  # (n, 3, size, size)
        return tf.einsum("nkhw,ck->nhwc", planes, tf.constant(COLOUR)) + mean

    @staticmethod
    def _odd(phases):
        """Phases of one column, made odd: −φ at the opposite frequency."""
        return phases - tf.roll(tf.reverse(phases, [-2]), 1, -2)

    def write(self, image: np.ndarray) -> np.ndarray:
        """The phases of a given picture, RGB 0-255; its magnitudes cannot be written."""
        image = check_pictures(np.asarray(image)[None])[0]
        planes = np.einsum("hwc,kc->khw", image - image.mean((0, 1)), np.linalg.inv(COLOUR))
        phases = np.angle(np.fft.rfft2(planes))
        for column in (0,) if image.shape[0] % 2 else (0, -1):
            phases[..., column] /= 2
        return phases.astype("float32")


@dataclass(frozen=True)
class BoundedSpectrum:
    """Pictures whose magnitudes are at most a multiple of photographs', softly within 0-255.

    Between `Fourier`, which may drive any frequency up, and `NaturalSpectrum`, which fixes them
    all: a frequency that a filter does not care for may fade, and none can outgrow `contrast`
    times what photographs have. A sigmoid whose slope is 1 at mid-grey keeps colours from being
    clipped.

    Parameters
    ----------
    contrast : float
        The largest magnitude of a frequency, in those of photographs.
    spread : float
        Standard deviation of the starting coefficients; at 1 a magnitude is at 0.7 of its bound.
    """

    contrast: float = 6.0
    spread: float = 0.01

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Random coefficients of one picture: real and imaginary parts, colours, frequencies."""
        return rng.normal(0, self.spread, (2, 3, size, size // 2 + 1)).astype("float32")

    def bound(self, size: int) -> np.ndarray:
        """Of every frequency's magnitude, as `NaturalSpectrum.magnitude`."""
        return NaturalSpectrum(self.contrast).magnitude(size)

    def picture(self, coefficients, size: int):
        """Coefficients of n pictures → RGB 0-255, shape (n, size, size, 3)."""
        bounded = coefficients / tf.sqrt(1 + tf.reduce_sum(coefficients**2, 1, keepdims=True))
        spectrum = tf.complex(*tf.unstack(bounded, axis=1))
        spectrum *= tf.constant(size * self.bound(size), tf.complex64)
        planes = tf.signal.irfft2d(spectrum, [size, size])  # (n, 3, size, size)
        levels = tf.einsum("nkhw,ck->nhwc", planes, tf.constant(COLOUR)) + _photographs()[0]
        return 255 * tf.sigmoid((levels - 127.5) * (4 / 255))

    def write(self, image: np.ndarray) -> np.ndarray:
        """The coefficients of a given picture, as far as its magnitudes are within the bound."""
        image = check_pictures(np.asarray(image)[None])[0]
        share = np.clip(image / 255, 0.004, 0.996)  # as `Fourier.write`
        levels = 127.5 + np.log(share / (1 - share)) * (255 / 4) - _photographs()[0]
        planes = np.einsum("hwc,kc->khw", levels, np.linalg.inv(COLOUR))
        bound = np.maximum(image.shape[0] * self.bound(image.shape[0]), 1e-6)
        bounded = np.fft.rfft2(planes) / bound
        bounded[:, 0, 0] = 0  # the mean colour is photographs'
        size = np.abs(bounded)
        wanted = np.minimum(size, 0.99)
        bounded *= wanted / np.maximum(size, 1e-9) / np.sqrt(1 - wanted**2)
        return np.stack([bounded.real, bounded.imag]).astype("float32")
