"""How a stimulus is drawn: patterns over distances along an orientation and to its left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import hsv_to_rgb

MID_GREY = 127.5
CONTRAST = 100.0  #: grey levels from mid-grey to the extreme of an achromatic stimulus
HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}


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
        Direction of the first wave, in degrees: across its stripes, clockwise from horizontal
        (stripes of `battery`'s orientation 90 − angle); the others follow at 180° / directions.
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
    crossed = _crossed([rows * np.sin(a) + columns * np.cos(a) for a in angles], period)
    grey = MID_GREY + polarity * CONTRAST * crossed
    return np.repeat(grey[..., None], 3, axis=-1).astype("float32")


def _crossed(distances: Sequence[np.ndarray], period: float) -> np.ndarray:
    """Waves along each of the distances, summed, at standard deviation 1, cut off at ±1."""
    crossed = np.cos([d * 2 * np.pi / period for d in distances]).mean(0)
    return np.clip((crossed - crossed.mean()) / crossed.std(), -1, 1)


def paint(stimulus, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One row of a battery's table as a picture.

    Parameters
    ----------
    stimulus : named tuple
        The row; its columns are told in `Stimuli`.
    x, y : ndarray, shape (rows, columns)
        Each pixel's distance from the stimulus's centre, to the right and upwards, in pixels.

    Returns
    -------
    ndarray, shape (rows, columns, 3)
        RGB 0-255.
    """
    pattern = _pattern(stimulus, x, y)[..., None]
    tint = stimulus.luma + stimulus.chroma * hue_direction(stimulus.colour)
    if not stimulus.colour2:
        return MID_GREY + pattern * tint
    other = stimulus.chroma * hue_direction(stimulus.colour2)
    return MID_GREY + (1 + pattern) / 2 * tint + (1 - pattern) / 2 * other


def hue_direction(colour: str) -> np.ndarray:
    """Unit vector in RGB from grey towards a hue at equal luminance; zero for no colour.

    The luminance is subtracted from the pure hue, so that opposite hues have opposite
    directions, and neighbouring ones lie 60 degrees apart.
    """
    if not colour:
        return np.zeros(3)
    pure = hsv_to_rgb((HUES[colour] / 360, 1, 1))
    equal = pure - pure.mean()
    return equal / np.linalg.norm(equal)


def _pattern(stimulus, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a stimulus draws: 1 on the figure at most, mean 0; a patch is 1 everywhere."""
    if stimulus.form == "patch":
        return np.ones_like(x)
    turn = np.deg2rad(np.nan_to_num(stimulus.orientation))
    along = x * np.cos(turn) + y * np.sin(turn)
    left = y * np.cos(turn) - x * np.sin(turn)
    drawn = FORMS[stimulus.form](along, left, stimulus)
    drawn = drawn - drawn.mean()
    return drawn / np.abs(drawn).max()


def _inside(depth: np.ndarray) -> np.ndarray:
    """0 outside, 1 inside, by the depth below an outline in pixels; it blurs over one pixel."""
    return 0.5 + 0.5 * np.tanh(2 * depth)


def _wave(distance, period):
    return np.cos(2 * np.pi * distance / period)


def _moved(left, s):
    return left - s.phase / 360 * s.period


def _arc(along, left, s):
    """Half a circle, touching the centre from the side opposite to its own centre."""
    to_circle = np.abs(np.hypot(along, left - s.radius) - s.radius)
    to_end = np.hypot(np.abs(along) - s.radius, left - s.radius)
    return _inside(s.width / 2 - np.where(left <= s.radius, to_circle, to_end))


def _corner(along, left, s):
    half = np.deg2rad(s.opening / 2)
    return _inside(left * np.sin(half) - np.abs(along) * np.cos(half))


def _net(along, left, s):
    """The lines between the crests of three waves."""
    turns = np.deg2rad([0, 60, 120])
    left = _moved(left, s)
    return -_crossed([left * np.cos(t) - along * np.sin(t) for t in turns], s.period)


def _centre_surround(along, left, s):
    """A disc in a ring of equal area and opposite sign."""
    depth = s.radius - np.hypot(along, left)
    return 2 * _inside(depth) - _inside(depth + (2**0.5 - 1) * s.radius)


def _high_low(along, left, s):
    """Stripes across the boundary: of the period to its left, of three times it to its right."""
    fine = _inside(left)
    return fine * _wave(along, s.period) + (1 - fine) * _wave(along, 3 * s.period)


#: (pixels along the orientation, pixels to its left, row of the table) → pattern
FORMS = {
    "grating": lambda along, left, s: _wave(_moved(left, s), s.period),
    "bar": lambda along, left, s: _inside(s.width / 2 - np.abs(left - s.shift)),
    "edge": lambda along, left, s: _inside(left - s.shift),
    "curve": _arc,
    "corner": _corner,
    "disc": lambda along, left, s: _inside(s.radius - np.hypot(along, left)),
    "ring": lambda along, left, s: _inside(
        max(1, s.radius / 4) - np.abs(np.hypot(along, left) - s.radius)),
    "centre-surround": _centre_surround,
    "grid": lambda along, left, s: _crossed([_moved(left, s), _moved(along, s)], s.period),
    "net": _net,
    "high-low": _high_low,
}
