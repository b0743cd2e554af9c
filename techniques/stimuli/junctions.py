"""Nets, grids, discs and lone lines told apart: do lines that *meet* matter to a filter?

A filter that answers to a net may look for the junctions, for the lines, for the cells between
them, or for a texture of that coarseness. The stimuli here differ in one of these at a time. An
irregular net (the borders of Voronoi cells around a shaken hexagonal lattice) comes in four
versions with the same lines: whole; *cut*, every line shortened at both ends, so that none meets
another; *broken*, every line interrupted in its middle, so that the junctions stay; *thick cut*,
cut and drawn wider. Cut and broken nets have the same ink, and thick cut and whole ones: within
each two only the place of the ink differs.

Contrast is equal by the package's rule: mean zero over the canvas, largest value one, times
`CONTRAST` around mid-grey. Ink is the mean of the pattern before that, in shares of the canvas.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import brentq
from scipy.spatial import Voronoi

import vizutils as vz
from engine import style
from techniques.stimuli.catalogue import SMALLEST, Stimuli
from techniques.stimuli.drawing import CONTRAST, MID_GREY
from techniques.stimuli.responses import Tuning, on_pictures

KINDS = ("net", "thick cut net", "cut net", "broken net", "discs", "+", "x", "parallel", "segment")
SHAKE = 0.12  #: standard deviation of a cell's centre from the lattice, in cells
WIDTH = 1 / 8  #: of a line, in cells
GAP = 0.2  #: what is taken away at each end of a cut net's line, in lengths of that line
SHORT = 0.2  #: lines shorter than this, in cells, are left out of cut nets
DISC = 0.3  #: radius of a disc, in cells


@dataclass(frozen=True, eq=False)
class Junctions(Stimuli):
    """Stimuli whose table says ``family`` (one of `KINDS`), ``polarity``, ``cell``, ``seed``.

    ``polarity`` is 1 for a light figure on dark, −1 for the opposite; ``cell`` is the distance of
    neighbouring cells or lines, in pixels; rows of the same cell and seed share the places of
    their cells, so that they can be compared one by one; ``ink`` is the figure's share of the
    canvas.
    """

    patterns: np.ndarray = field(repr=False)  # float32, shape (n, size, size): ink, 0-1

    def draw(self, which: Sequence[int]) -> np.ndarray:
        """Stimuli `which` (row numbers), float32 RGB 0-255, shape (n, size, size, 3)."""
        ink = self.patterns[np.asarray(which)]
        drawn = ink - ink.mean((1, 2), keepdims=True)
        drawn /= np.abs(drawn).max((1, 2), keepdims=True)
        sign = self.table["polarity"].to_numpy("float32")[np.asarray(which), None, None]
        return np.repeat((MID_GREY + CONTRAST * sign * drawn)[..., None], 3, -1).astype("float32")


def junctions(
    *, field: int, cells: Sequence[float] | None = None, seeds: int = 24,
) -> Junctions:
    """Draw `KINDS` of both polarities, in several sizes, each at several random places.

    Parameters
    ----------
    field : int
        Side of the receptive field, and of the canvas, in pixels; at least 16.
    cells : sequence of float, optional
        Distances of neighbouring cells, in pixels; by default the three largest periods of
        `battery`'s nets, the largest of them half the field.
    seeds : int
        Random nets and places of each kind and size; seed 0 is the same in every call.

    Raises
    ------
    ValueError
        A field below 16 px, cells below 5 px (whose lines could not be cut visibly).
    """
    if field < SMALLEST:
        raise ValueError(f"a field of {field} px holds no net: at least {SMALLEST} are needed.")
    if cells is None:
        cells = np.geomspace(max(4, 0.7 * field**0.5), max(8, field / 2), 5)[2:].round(1)
    if min(cells) < 5:
        raise ValueError(f"lines of a net of {min(cells)} px cells cannot be cut visibly: cells "
                         "must be at least 5 px.")
    rows, patterns = [], []
    for cell, seed in itertools.product(cells, range(vz.whole("seeds", seeds))):
        drawn = _drawn(float(cell), seed, field)
        for kind, polarity in itertools.product(KINDS, (1, -1)):
            rows.append((kind, polarity, float(cell), seed, drawn[kind].mean()))
            patterns.append(drawn[kind])
    table = pd.DataFrame(rows, columns=["family", "polarity", "cell", "seed", "ink"])
    return Junctions(table, field, (field / 2, field / 2), np.stack(patterns).astype("float32"))


def _drawn(cell: float, seed: int, size: int) -> dict[str, np.ndarray]:
    """Kind → ink, 0-1, shape (size, size), all of one cell size around the same places."""
    rng = np.random.default_rng((seed, round(10 * cell)))
    centres, edges = _cells(cell, size, rng)
    width, axis = WIDTH * cell, np.arange(size) + 0.5 - size / 2
    at = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)  # rows, columns from the middle
    long = edges[np.linalg.norm(edges[:, 1] - edges[:, 0], axis=-1) > SHORT * cell]

    def net_cut(width):
        return _ink(_shortened(long, GAP, width), width, at)

    def net_broken(gap):
        return _ink(_interrupted(edges, gap, width), width, at)

    net, cut = _ink(edges, width, at), net_cut(width)
    thick = brentq(lambda w: net_cut(w).mean() - net.mean(), width, cell / 2, xtol=0.01)
    gap = brentq(lambda g: net_broken(g).mean() - cut.mean(), 0, 0.98, xtol=2e-3)
    shift, angle = rng.uniform(0, cell, 2), rng.uniform(0, np.pi)
    start = rng.uniform(-cell / 4, cell / 4, 2)
    half = cell / 2 * np.array([np.sin(angle), np.cos(angle)])
    return {
        "net": net, "thick cut net": net_cut(thick), "cut net": cut, "broken net": net_broken(gap),
        "discs": _ink(np.stack([centres, centres], 1), 2 * DISC * cell, at),
        "+": _ink(_lines(0, cell, size, shift), width, at),
        "x": _ink(_lines(np.pi / 4, cell, size, shift), width, at),
        "parallel": _ink(_lines(angle, cell, size, shift)[::2], width, at),
        "segment": _ink(np.array([[start - half, start + half]]), width, at),
    }


def _cells(cell: float, size: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) of shaken hexagonal cells, and the lines between them (m, 2 ends, 2)."""
    reach = int(np.ceil(size / cell)) + 3
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    lattice = cell * np.stack([i * 3**0.5 / 2, j + i % 2 / 2], -1)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centres = lattice @ turn + rng.uniform(0, cell, 2) + rng.normal(0, SHAKE * cell, lattice.shape)
    found = Voronoi(centres)
    finite = [pair for pair in found.ridge_vertices if min(pair) >= 0]
    edges = found.vertices[np.array(finite)]
    seen = (np.abs(edges).max(-1) < size / 2 + cell).any(1)  # no line is longer than a cell
    return centres, edges[seen]


def _shortened(edges: np.ndarray, gap: float, width: float) -> np.ndarray:
    """Lines without the share `gap` at each end, round ends included; a dot at the least."""
    start, end = edges[:, :1], edges[:, 1:]
    length = np.linalg.norm(end - start, axis=-1, keepdims=True)
    off = np.minimum(gap + width / 2 / length, 0.5)  # where the round end's centre lies
    return np.concatenate([start + off * (end - start), end + off * (start - end)], 1)


def _interrupted(edges: np.ndarray, gap: float, width: float) -> np.ndarray:
    """Lines without the share `gap` in the middle, round ends included: two stumps of each."""
    start, end = edges[:, :1], edges[:, 1:]
    length = np.linalg.norm(end - start, axis=-1, keepdims=True)
    stump = np.maximum(0.5 - gap / 2 - width / 2 / length, 0)
    return np.concatenate([np.concatenate([start, start + stump * (end - start)], 1),
                           np.concatenate([end, end + stump * (start - end)], 1)])


def _lines(angle: float, cell: float, size: int, shift: np.ndarray) -> np.ndarray:
    """Long lines a cell apart, along `angle` and across it in turn, as segments (n, 2, 2)."""
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([along[1], -along[0]])
    reach = int(np.ceil(size / cell)) + 1
    lines = []
    for k in range(-reach, reach + 1):
        for way, other, offset in ((along, across, shift[0]), (across, along, shift[1])):
            middle = other * (k * cell + offset)
            lines.append([middle - 2 * size * way, middle + 2 * size * way])
    return np.array(lines)


def _ink(segments: np.ndarray, width: float, at: np.ndarray) -> np.ndarray:
    """Share of each pixel that lines with round ends cover; thin ones are drawn paler."""
    (y, x), (to_y, to_x) = segments[:, 0].T, (segments[:, 1] - segments[:, 0]).T
    away_y, away_x = at[..., :1] - y, at[..., 1:] - x  # (rows, columns, segments)
    place = (away_y * to_y + away_x * to_x) / np.maximum(to_y**2 + to_x**2, 1e-9)
    place = np.clip(place, 0, 1)
    distance = np.hypot(away_y - place * to_y, away_x - place * to_x)
    return np.clip(width / 2 - distance + 0.5, 0, 1).max(-1, initial=0)


# --- what a layer answers -------------------------------------------------------------------------


def shown_junctions(
    net: vz.Network, layer: str, *, cells: Sequence[float] | None = None, seeds: int = 24,
    image_set: vz.ImageSet | None = None,
) -> Tuning:
    """Show `junctions` to all filters of a layer, on exactly their receptive field.

    Parameters
    ----------
    net, layer
        A layer with a receptive field of at least 16 px.
    cells, seeds
        As in `junctions`.
    image_set : ImageSet, optional
        Real pictures that give the scale; the packaged ones by default.

    Returns
    -------
    Tuning
        Its ``scores`` are standard deviations above each filter's mean on real pictures.
    """
    pictures = (vz.load_images(size=net.input_size) if image_set is None
                else vz.as_image_set(image_set, copy=False))
    drawn = junctions(field=vz.receptive_field(net, layer).size, cells=cells, seeds=seeds)
    responses = np.concatenate([vz.patch_responses(net, layer, vz.made(images))
                                for _, images in drawn.batches()])
    mean, sd = on_pictures(net, layer, pictures, progress=False)
    return Tuning(layer, np.arange(len(mean)), drawn, responses, mean, sd)


def junction_tuning(
    net: vz.Network, layer: str, filters: int | Sequence[int], *, shown: Tuning | None = None,
    **options,
) -> pd.DataFrame:
    """What filters answer to nets, cut nets, discs and lines, on the scale of real pictures.

    Parameters
    ----------
    net, layer, filters
    shown : Tuning, optional
        ``shown_junctions(net, layer)``, if it is there already.
    **options
        Of `shown_junctions`, otherwise.

    Returns
    -------
    DataFrame, one row for each filter, kind, polarity and cell size
        ``filter, kind, polarity, cell``; ``score``: mean over seeds, in standard deviations above
        the filter's mean on real pictures; ``low, high``: its 95 % bootstrap interval over seeds;
        ``percentile``: the share of the layer's filters (%) with a lower score.
    """
    filters = net.check_filters(layer, filters)
    shown = _belonging(net, layer, shown, options)
    groups = ["family", "polarity", "cell"]
    rows = []
    for (kind, polarity, cell), at in shown.table.groupby(groups, sort=False).indices.items():
        scores = shown.scores[at]
        means, low, high = _bootstrapped(scores)
        rows += [(f, kind, polarity, cell, means[f], low[f], high[f],
                  100 * (means < means[f]).mean()) for f in filters]
    columns = ["filter", "kind", "polarity", "cell", "score", "low", "high", "percentile"]
    return pd.DataFrame(rows, columns=columns).sort_values("filter", kind="stable",
                                                           ignore_index=True)


def meeting_effect(
    net: vz.Network, layer: str, filters: int | Sequence[int], *, shown: Tuning | None = None,
    of: str = "broken net", than: str = "cut net", **options,
) -> pd.DataFrame:
    """How much more filters answer where lines meet: broken nets, seed by seed, against cut ones.

    Both have the same lines, places and ink; so have whole nets and thick cut ones. What counts
    as a preference for junctions is a difference above zero, with its interval, that is large
    among the layer's filters. Whole nets beat cut ones for closed cells, too: only broken nets,
    which have junctions and no closed cell, tell the two apart.

    Parameters
    ----------
    net, layer, filters, shown, **options
        As in `junction_tuning`.
    of, than : str
        The two of `KINDS` that are compared.

    Returns
    -------
    DataFrame, one row for each filter, polarity and cell size
        ``filter, polarity, cell``; ``more``: mean difference in standard deviations; ``low,
        high``: its 95 % bootstrap interval over seeds; ``percentile``: the share of the layer's
        filters (%) with a smaller difference.
    """
    filters = net.check_filters(layer, filters)
    shown = _belonging(net, layer, shown, options)
    for kind in (of, than):
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}.")
    rows = []
    for (polarity, cell), part in shown.table.groupby(["polarity", "cell"], sort=False):
        first, second = (part[part["family"] == kind].sort_values("seed").index
                         for kind in (of, than))
        means, low, high = _bootstrapped(shown.scores[first] - shown.scores[second])
        rows += [(f, polarity, cell, means[f], low[f], high[f], 100 * (means < means[f]).mean())
                 for f in filters]
    columns = ["filter", "polarity", "cell", "more", "low", "high", "percentile"]
    return pd.DataFrame(rows, columns=columns).sort_values("filter", kind="stable",
                                                           ignore_index=True)


def _belonging(net: vz.Network, layer: str, shown: Tuning | None, options) -> Tuning:
    if shown is None:
        return shown_junctions(net, layer, **options)
    if not isinstance(shown.stimuli, Junctions) or shown.layer != layer or options:
        raise ValueError(f"shown must be shown_junctions(net, {layer!r}), made with the options "
                         "that are wanted.")
    return shown


def _bootstrapped(values: np.ndarray, draws: int = 2000) -> tuple[np.ndarray, ...]:
    """Mean over the rows of (seeds, filters), and the ends of its 95 % interval."""
    count = len(values)
    picks = np.random.default_rng(0).integers(count, size=(draws, count))
    weights = np.stack([np.bincount(pick, minlength=count) for pick in picks]) / count
    low, high = np.percentile(weights @ values, [2.5, 97.5], axis=0)
    return values.mean(0), low, high


# --- figures --------------------------------------------------------------------------------------


@style.styled
def plot_junctions(table: pd.DataFrame, drawn: Junctions) -> Figure:
    """Each kind as it looks, and what one filter answers to it: mean score and interval by size.

    Parameters
    ----------
    table : DataFrame
        `junction_tuning` of one filter.
    drawn : Junctions
        What was shown: ``shown.stimuli``.
    """
    if table["filter"].nunique() != 1:
        raise ValueError("one filter's table is drawn: table[table['filter'] == f].")
    figure = style.blank_figure(4.2, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2.6])
    cells = np.sort(table["cell"].unique())
    shown = drawn.table
    example = shown[(shown["cell"] == cells[len(cells) // 2]) & (shown["seed"] == 0)
                    & (shown["polarity"] == 1)]
    for axes, kind in zip(top.subplots(1, len(KINDS)), KINDS, strict=True):
        image = drawn.draw(example.index[example["family"] == kind])[0]
        style.show_picture(axes, image, kind.replace(" net", "\nnet"))
    panels = bottom.subplots(1, 2, sharey=True)
    for axes, polarity, title in zip(panels, (1, -1), ("light on dark", "dark on light"),
                                     strict=True):
        part = table[table["polarity"] == polarity]
        for i, (cell, rows) in enumerate(part.groupby("cell")):
            rows = rows.set_index("kind").loc[list(KINDS)]
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
            across = np.arange(len(KINDS)) + 0.2 * (i - (len(cells) - 1) / 2)
            axes.errorbar(across, rows["score"], error, fmt="os^DvX"[i % 6], markersize=4,
                          linewidth=1, label=f"{cell:g} px cells")
        axes.axhline(0, color=style.GREY, linewidth=0.8)
        axes.set_xticks(range(len(KINDS)), KINDS, rotation=45, ha="right")
        axes.set(title=f"filter {table['filter'].iloc[0]}: {title}",
                 ylabel="score (SD)" if polarity == 1 else "")
    bottom.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3,
                  frameon=False)
    return figure
