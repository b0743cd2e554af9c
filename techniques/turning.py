"""Real patches turned in small steps behind a round window: which angles does a filter mind?

`alterations` turns patches by quarters, which leaves a square a square. Here the strongest patches
of a filter are turned by any angle. A round window with a soft edge hides the corners, which no
turned square has, and the turned pixels come from the surrounding picture. What is told is the
share of the upright answer that is left at each angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

import vizutils as vz
from engine import style

STEP = 15  #: degrees
SOFT = 1 / 8  #: width of the window's edge, in radii
DRAWS = 2000  #: bootstrap samples


@dataclass(frozen=True, eq=False)
class Turning:
    """What is left of filters' answers to their strongest patches, turned.

    Attributes
    ----------
    layer : str
    filter : int
        The one that is asked about; the rows of the arrays are this one's and the controls'.
    filters : tuple of int
        It, and the controls.
    angles : float ndarray, shape (angles,)
        Degrees, anticlockwise as seen on the screen; the first is 0.
    answers : float32 ndarray, shape (filters, pictures, angles)
        Pre-activation above the filter's level, to its own strongest patches behind the window.
    level : float ndarray, shape (filters,)
        What counts as nothing left: each filter's mean pre-activation on real pictures.
    patches : float32 ndarray, shape (pictures, angles, size, size, 3)
        What `filter` was shown, RGB 0-255.
    """

    layer: str
    filter: int
    filters: tuple[int, ...]
    angles: np.ndarray
    answers: np.ndarray
    level: np.ndarray
    patches: np.ndarray

    @property
    def curves(self) -> np.ndarray:
        """Share of the upright answer left at each angle, (filters, angles): mean over mean.

        NaN for a filter whose upright patches, behind the window, do not exceed its level.
        """
        return _shares(self.answers.mean(1))

    @property
    def table(self) -> pd.DataFrame:
        """The filter's curve, one row an angle.

        ``angle``; ``kept``: share of the upright answer; ``low, high``: its 95 % bootstrap
        interval over pictures; ``control``: median of the other filters; ``percentile``: the
        share of them (%) that keep less.
        """
        mine = self.answers[0]
        picks = np.random.default_rng(0).integers(len(mine), size=(DRAWS, len(mine)))
        drawn = _shares(mine[picks].mean(1))
        drawn = drawn[~np.isnan(drawn).any(1)]
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0) if len(drawn) else [np.nan] * 2
        own, rest = self.curves[0], self.curves[1:]
        rest = rest[~np.isnan(rest).any(1)]
        known = len(rest) and not np.isnan(own).any()
        return pd.DataFrame({
            "angle": self.angles, "kept": own, "low": low, "high": high,
            "control": np.median(rest, 0) if len(rest) else np.nan,
            "percentile": 100 * (rest < own).mean(0) if known else np.nan})

    @property
    def lost(self) -> pd.DataFrame:
        """One row a filter: the part of its answer that turning takes, 1 − mean of its curve.

        ``filter``; ``lost``: 0, orientation does not matter; 1, other angles give nothing.
        """
        lost = 1 - self.curves[:, 1:].mean(1)
        return pd.DataFrame({"filter": self.filters, "lost": lost})


def _shares(answers: np.ndarray) -> np.ndarray:
    """Answers by angle, in shares of the first; NaN where that is not above zero."""
    upright = np.where(answers[..., :1] > 0, answers[..., :1], np.nan)
    return answers / upright


def turn(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *, level: np.ndarray,
    maxima: vz.Maxima | None = None, step: float = STEP, k: int = 9, controls: int = 24,
    seed: int = 0,
) -> Turning:
    """Turn a filter's strongest patches behind a round window, and ask it again at each angle.

    Each patch is the middle of a larger square of its picture, so large that it covers the window
    at every angle; where it passes the picture's border, the picture is mirrored there. Values
    between pixels come from cubic splines at every angle but quarters, which costs a little
    sharpness; and upright patches are those that were chosen for a strong answer. So even a unit
    that minds no angle keeps less than all of its answer: read a curve beside its controls.

    Parameters
    ----------
    net, layer, filter
        The unit, of a layer with a known receptive field.
    image_set : ImageSet
        Where the `k` strongest patches are taken from, one from each picture.
    level : ndarray, shape (filters of the layer,)
        Each filter's mean pre-activation on real pictures, e.g. ``stimuli.on_pictures(...)[0]``.
    maxima : Maxima, optional
        ``image_maxima(net, layer, image_set)``, if it is there already.
    step : float
        Degrees between angles; 360 must be a multiple of it.
    k : int
        How many patches (fewer if there are fewer pictures).
    controls : int
        Other filters of the layer, drawn at random, each asked about its own strongest patches.
    seed : int
        For the draw of the controls.

    Raises
    ------
    ValueError
        Unknown layer, filter out of range, `k` below 1, a step that does not divide 360, a level
        that is not one number a filter of the layer.
    """
    filter, filters = net.check_filter(layer, filter), net.channels(layer)
    level = np.asarray(level)
    if level.shape != (filters,):
        raise ValueError(f"level needs a number for each of the {filters} filters of {layer} (as "
                         f"in stimuli.tuning(net, {layer!r}).mean), not shape {level.shape}.")
    if not 0 < step <= 360 or 360 % step:
        raise ValueError(f"step must divide 360 degrees, as 15 does, not {step}.")
    image_set = vz.as_image_set(image_set, copy=False)
    maxima = vz.image_maxima(net, layer, image_set) if maxima is None else maxima
    others = np.setdiff1d(np.arange(filters), filter)
    rng = np.random.default_rng(seed)
    asked = (filter, *rng.choice(others, min(controls, len(others)), replace=False).tolist())
    angles = np.arange(0, 360, step, dtype="float64")
    answers, shown = [], None
    for one in asked:
        squares = _squares(net, layer, one, image_set, k, maxima)
        field = vz.receptive_field(net, layer).size
        patches = np.stack([behind_window(turned_square(squares, angle, field), squares)
                            for angle in angles], 1)
        shown = patches if shown is None else shown
        flat = vz.made(patches.reshape(-1, field, field, 3))
        found = vz.patch_responses(net, layer, flat, filters=[one])[:, 0] - level[one]
        answers.append(found.reshape(len(patches), len(angles)))
    return Turning(layer, filter, asked, angles, np.stack(answers), level[list(asked)], shown)


def _squares(net, layer: str, filter: int, image_set, k: int, maxima) -> np.ndarray:
    """The strongest patches with their surroundings, (n, side, side, 3), side about √2 fields."""
    table = vz.top_patches(net, image_set, layer, filter, k=k, maxima=maxima).table
    seen = vz.receptive_field(net, layer, input_size=image_set.size)
    more = int(np.ceil(seen.size * (2**0.5 - 1) / 2)) + 1  # pixels on each side
    squares = []
    for image, row, column in zip(image_set.read(table["picture"]), table["row"],
                                  table["column"], strict=True):
        wide = np.pad(image, ((more, more), (more, more), (0, 0)), mode="symmetric")
        top, left, bottom, right = seen.window(row, column)
        squares.append(wide[top : bottom + 2 * more, left : right + 2 * more])
    return np.stack(squares)


def turned_square(squares: np.ndarray, angle: float, size: int) -> np.ndarray:
    """Squares turned about their middle, anticlockwise, and the middle `size` pixels of them.

    Parameters
    ----------
    squares : float32 ndarray, shape (n, side, side, 3)
        RGB 0-255; `side` − `size` is even, and for angles that are no quarters `side` is at least
        √2 times `size`, else corners repeat the border.
    angle : float
        Degrees. Quarters are exact: no pixel is interpolated.

    Returns
    -------
    float32 ndarray, shape (n, size, size, 3)
        RGB 0-255.
    """
    edge = (squares.shape[1] - size) // 2
    if angle % 90 == 0:
        turned = np.rot90(squares, int(angle // 90), (1, 2))
    else:
        turned = ndimage.rotate(squares, angle, axes=(1, 2), reshape=False, order=3,
                                mode="nearest").clip(0, 255)
    return turned[:, edge : edge + size, edge : edge + size]


def behind_window(patches: np.ndarray, squares: np.ndarray | None = None) -> np.ndarray:
    """Patches seen through a round window with a soft edge; outside, each one's mean colour.

    Parameters
    ----------
    patches : float32 ndarray, shape (n, size, size, 3)
        RGB 0-255.
    squares : float32 ndarray, shape (n, side, side, 3), optional
        What the mean colour is taken of: their round middle of the same size, so that it is the
        same for every angle. The patches themselves by default.

    Returns
    -------
    float32 ndarray, the same shape
        RGB 0-255.
    """
    size = patches.shape[1]
    window = _window(size)[..., None]
    source = patches if squares is None else turned_square(squares, 0, size)
    colour = (source * window).sum((1, 2), keepdims=True) / window.sum()
    return (colour + window * (patches - colour)).astype("float32")


def _window(size: int) -> np.ndarray:
    """1 in a disc that fills the square, falling to 0 at its rim along half a cosine."""
    rows, columns = np.mgrid[:size, :size] + 0.5 - size / 2
    radius = np.hypot(rows, columns) / (size / 2)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 1 + SOFT) / SOFT, 0, 1))


@style.styled
def plot_turning(found: Turning, *, pictures: Sequence[int] = (0, 1), shown: int = 8) -> Figure:
    """What is left of a filter's answer at each angle, its controls', and patches as it saw them.

    Parameters
    ----------
    found : Turning
    pictures : sequence of int
        Which of its patches are drawn, a row each; 0 is the strongest.
    shown : int
        Angles drawn of each, evenly spread.
    """
    figure = style.blank_figure(2.6 + 0.85 * len(pictures), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[0.85 * len(pictures), 2.6])
    at = np.unique(np.linspace(0, len(found.angles), shown, endpoint=False).astype(int))
    for row, picture in zip(top.subplots(len(pictures), len(at), squeeze=False), pictures,
                            strict=True):
        for axes, i in zip(row, at, strict=True):
            title = f"{found.angles[i]:.0f}°" if picture == pictures[0] else ""
            style.show_picture(axes, found.patches[picture, i], title)
    axes, table = bottom.subplots(), found.table
    for i, curve in enumerate(found.curves[1:]):
        axes.plot(found.angles, curve, color="#bbbbbb", linewidth=0.6, zorder=1,
                  label="" if i else "other filters")
    axes.plot(found.angles, table["control"], color=style.GREY, linestyle="--",
              label="their median")
    axes.plot(found.angles, table["kept"], color=style.RED, marker="o", markersize=4,
              label=f"filter {found.filter}")
    axes.fill_between(found.angles, table["low"], table["high"], color=style.RED, alpha=0.2,
                      linewidth=0, label="95 %, over pictures")
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    low = min(-0.5, table["low"].min())
    axes.set(title=f"filter {found.filter} of {found.layer}", ylabel="share of the answer left",
             xlabel="turned by (degrees, anticlockwise)", xticks=np.arange(0, 360, 45),
             ylim=(low, max(1.3, table["high"].max())))
    bottom.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure
