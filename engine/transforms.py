"""Transforms: random affine maps, drawn in NumPy, so that a seed means the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def jitter(pixels: float) -> Callable:
    """Shift by up to `pixels` in each direction."""
    def draw(rng, count):
        matrices = np.tile(np.eye(3), (count, 1, 1))
        matrices[:, :2, 2] = rng.uniform(-pixels, pixels, (count, 2))
        return matrices

    return draw


def scale(low: float, high: float) -> Callable:
    """Zoom by a factor between `low` and `high`."""
    def draw(rng, count):
        factor = rng.uniform(low, high, count)
        return np.stack([np.diag([1 / f, 1 / f, 1.0]) for f in factor])

    return draw


def rotate(degrees: float) -> Callable:
    """Turn by up to `degrees` either way."""
    def draw(rng, count):
        angle = np.deg2rad(rng.uniform(-degrees, degrees, count))
        matrices = np.tile(np.eye(3), (count, 1, 1))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
        matrices[:, 0, 1], matrices[:, 1, 0] = -np.sin(angle), np.sin(angle)
        return matrices

    return draw


#: What a picture must survive at each step: it keeps single-pixel tricks from winning.
TRANSFORMS = (jitter(4), scale(0.9, 1.1), rotate(10), jitter(2))


def draw_warps(transforms: Sequence[Callable], rng: np.random.Generator, count: int) -> np.ndarray:
    """Chain random transforms: `count` affine maps, shape (count, 2, 3), output → input pixel."""
    chained = np.tile(np.eye(3), (count, 1, 1))
    for draw in transforms:
        chained = chained @ draw(rng, count)
    return chained[:, :2].astype("float32")


def warp(images, warps, size: int):
    """Resample pictures through affine maps: bilinear, exact gradients, wrapped at the border.

    Wrapping suits Fourier pictures, which repeat without a seam: no grey frame enters, and over
    the steps every position of a map acts on every pixel.

    Parameters
    ----------
    images : tensor, shape (n, size, size, 3)
    warps : tensor, shape (n, 2, 3)
        Rows and columns of the input pixel for (row, column, 1) of the output pixel, both
        counted from the centre.
    """
    ruler = np.arange(size) - (size - 1) / 2
    rows, columns = np.meshgrid(ruler, ruler, indexing="ij")
    grid = np.stack([rows.ravel(), columns.ravel(), np.ones(size * size)]).astype("float32")
    wanted = tf.linalg.matmul(warps, grid) + (size - 1) / 2  # (n, 2, size * size)
    corner = tf.floor(wanted)
    weight = wanted - corner
    low = tf.math.floormod(tf.cast(corner, tf.int32), size)
    high = tf.math.floormod(low + 1, size)
    count = tf.shape(images)[0]
    offset = tf.range(count)[:, None] * (size * size)
    pixels = tf.reshape(images, (-1, 3))

    def at(row, column):
        return tf.gather(pixels, offset + row * size + column)  # (n, size * size, 3)

    down, right = weight[:, 0, :, None], weight[:, 1, :, None]
    upper = (1 - right) * at(low[:, 0], low[:, 1]) + right * at(low[:, 0], high[:, 1])
    lower = (1 - right) * at(high[:, 0], low[:, 1]) + right * at(high[:, 0], high[:, 1])
    return tf.reshape((1 - down) * upper + down * lower, (count, size, size, 3))
