"""Drawn stimuli: pictures that differ in one property, for asking a unit what it looks for."""

from __future__ import annotations

import numpy as np


def waves(
    period: float, angle: float, *, directions: int = 1, polarity: int = 1, size: int = 64
) -> np.ndarray:
    """Plane waves crossing in one, two or three directions: parallel lines, a grid, a net.

    The sum of the waves is brought to equal contrast for every number of directions: standard
    deviation 1, cut off at ±1, times 100 grey levels around mid-grey.

    Parameters
    ----------
    period : float
        Distance of one wave's crests, in pixels.
    angle : float
        Direction of the first wave, in degrees; the others follow at 180° / directions.
    directions : int
        1: parallel lines; 2: a square grid of spots; 3: a honeycomb - light cells in a net of
        dark lines.
    polarity : {1, -1}
        −1 exchanges dark and light.
    size : int
        Side of the picture, in pixels.

    Returns
    -------
    float32 ndarray, shape (size, size, 3)
        RGB, 27.5-227.5, grey.
    """
    if directions < 1 or period <= 0:
        raise ValueError("directions must be at least 1, and the period positive.")
    rows, columns = np.mgrid[:size, :size] - size / 2
    angles = np.deg2rad(angle + 180 / directions * np.arange(directions))
    phases = [(rows * np.sin(a) + columns * np.cos(a)) * 2 * np.pi / period for a in angles]
    crossed = np.cos(phases).mean(0)
    crossed = np.clip((crossed - crossed.mean()) / crossed.std(), -1, 1)
    grey = 127.5 + polarity * 100 * crossed
    return np.repeat(grey[..., None], 3, axis=-1).astype("float32")
