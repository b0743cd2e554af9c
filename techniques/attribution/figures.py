"""Attribution maps drawn: beside and over their picture, and methods beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

import vizutils as vz
from engine import style
from techniques.attribution.result import Attribution


def _reach(maps: np.ndarray) -> float:
    """Where the colours end: few pixels lie beyond, and they would hide all the others."""
    magnitude = np.abs(maps)
    return float(np.percentile(magnitude, 99.5) or magnitude.max() or 1)


def _draw_map(axes, numbers: np.ndarray, signed: bool, reach: float, *, alpha: float = 1.0):
    """One map on the scale of its method; zero everywhere is said in words."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    norm = CenteredNorm(0, reach) if signed else Normalize(0, reach)
    drawn = axes.imshow(numbers, cmap=style.SIGNED if signed else "magma", norm=norm, alpha=alpha,
                        interpolation="nearest")
    if not numbers.any():
        axes.text(0.5, 0.5, "zero\neverywhere", transform=axes.transAxes, ha="center",
                  va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none"})
    elif signed and alpha == 1:
        _mark_ends(axes, numbers)
    return drawn


def _mark_ends(axes, numbers: np.ndarray) -> None:
    """+ and − where a signed map, smoothed, is highest and lowest."""
    smooth = gaussian_filter(numbers, 0.03 * max(numbers.shape))
    for mark, place, exists in (("+", smooth.argmax(), smooth.max() > 0),
                                ("−", smooth.argmin(), smooth.min() < 0)):
        if exists:
            place = np.array(np.unravel_index(place, smooth.shape))
            edge = 0.06 * np.array(smooth.shape)  # the mark stays within the panel
            row, column = np.clip(place, edge, np.array(smooth.shape) - edge)
            axes.text(column, row, mark, ha="center", va="center", fontsize=9, weight="bold",
                      bbox={"boxstyle": "circle,pad=0.1", "facecolor": "white",
                            "edgecolor": "none", "alpha": 0.8})


@style.styled
def plot_attribution(
    image: np.ndarray, attribution: Attribution, *, row: int = 0, title: str = "",
    alpha: float = 0.4,
) -> Figure:
    """The picture, the map with its colour bar, and the map laid over the picture.

    Parameters
    ----------
    image : ndarray, shape (h, w, 3)
        RGB 0-255.
    attribution : Attribution
    row : int
        Which of its maps.
    title : str
        Over the picture; without one, the class index and its logit.
    alpha : float
        How strongly the map covers the picture in the third panel.
    """
    image, = vz.check_each([image])
    numbers, reach = attribution.maps[row], _reach(attribution.maps[row])
    figure = style.blank_figure(2.3)
    axes = figure.subplots(1, 3)
    style.show_picture(axes[0], image, title or f"class {attribution.targets[row]}, logit "
             f"{attribution.logits[row]:.1f}")
    drawn = _draw_map(axes[1], numbers, attribution.signed, reach)
    axes[1].set_title(attribution.method, pad=3)
    figure.colorbar(drawn, ax=axes[1], shrink=0.85,
                    extend="both" if attribution.signed else "max")
    style.show_picture(axes[2], image, f"overlay ({alpha:g})")
    _draw_map(axes[2], numbers, attribution.signed, reach, alpha=alpha)
    return figure


@style.styled
def plot_comparison(
    images: np.ndarray, attributions: Sequence[Attribution], *, labels: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] | None = None, columns: int = 5, own_scale: bool = False,
) -> Figure:
    """A sheet of methods × targets: each picture with all its maps.

    Parameters
    ----------
    images : ndarray, shape (n, h, w, 3)
        RGB 0-255, one a target (the same picture again for another class).
    attributions : sequence of Attribution
        Of the same n targets, one a method.
    labels : sequence of str
        What stands left of each row; without them, the class indices.
    beside : mapping of str to ndarray of shape (n, h, w, 3), optional
        Title → pictures to end with, RGB 0-255: a dream for each target, for example.
    columns : int
        Panels a row; where methods go over several, rows of the same methods stay together.
    own_scale : bool
        Each map has a scale of its own; else all maps of a method have the same.

    Raises
    ------
    ValueError
        An attribution with another number of maps.
    """
    images = vz.check_each(images)
    beside = {title: vz.check_each(shown) for title, shown in (beside or {}).items()}
    count = len(images)
    for found in attributions:
        if len(found.maps) != count:
            raise ValueError(f"{found.method} has {len(found.maps)} maps for {count} pictures; "
                             "give as many pictures as there are targets.")
    labels = labels or [f"class {target}" for target in attributions[0].targets]
    panels = {"picture": images, **{a.method: a for a in attributions}, **beside}
    columns = min(columns, len(panels))
    blocks = -(-len(panels) // columns)
    figure = style.blank_figure(blocks * (count * style.WIDTH / columns + 0.35))
    grid = figure.subplots(blocks * count, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (title, shown) in enumerate(panels.items()):
        block, column = divmod(i, columns)
        title = textwrap.fill(title, 14, break_on_hyphens=False)
        for row, axes in enumerate(grid[block * count : (block + 1) * count, column]):
            axes.set_axis_on()
            if isinstance(shown, Attribution):
                scaled_to = shown.maps[row] if own_scale else shown.maps
                _draw_map(axes, shown.maps[row], shown.signed, _reach(scaled_to))
            else:
                style.show_picture(axes, shown[row])
            axes.set_title(title if row == 0 else "", pad=3)
            axes.set_ylabel(labels[row] if column == 0 else "")
    return figure
