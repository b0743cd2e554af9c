"""A filter's tuning drawn: maps, polar curves, colours, its best stimuli."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from engine import style
from techniques.stimuli.catalogue import CHROMA
from techniques.stimuli.drawing import HUES, MID_GREY, hue_direction
from techniques.stimuli.indices import CYCLES, family_table, orientation_curve, strongest
from techniques.stimuli.responses import Tuning


def best_stimuli(tuned: Tuning, filter: int, *, k: int = 8) -> tuple[np.ndarray, list[str]]:
    """The best stimulus of each of the k best families, strongest first.

    Returns
    -------
    images : float32 ndarray, shape (k, size, size, 3)
        RGB 0-255.
    titles : list of str
        The stimulus in words and its score; for `vizutils.plot_images`.
    """
    seen = tuned.of(filter)
    best = seen.loc[seen.groupby("family")["score"].idxmax()]
    best = best.sort_values("score", ascending=False, kind="stable").head(k)
    titles = [f"{_words(row)}\n{'−' if row.score < 0 else '+'}{abs(row.score):.1f} SD"
              for row in best.itertuples()]
    return tuned.stimuli.draw(best.index), titles


def _words(stimulus) -> str:
    """A stimulus in words, e.g. ``dark green net``."""
    if stimulus.family == "colour pair":
        return f"{stimulus.colour}, {stimulus.colour2}"
    sign = {1: "light", -1: "dark"}.get(stimulus.polarity, "")
    tint = stimulus.colour or ("grey" if stimulus.family == "patch" else "")
    return " ".join(filter(None, [sign, tint, stimulus.form]))


@style.styled
def plot_tuning_maps(tuned: Tuning, filter: int) -> Figure:
    """Orientation × period of gratings, direction × radius of curves, best score of each family.

    One signed scale, in standard deviations above the mean on real pictures, each cell the best
    over phase or polarity. Beside a family's bar a tick marks the 95th percentile of the other
    filters measured.
    """
    seen = tuned.of(filter)
    scores = family_table(tuned, seen, filter).sort_values("score")
    maps = {"grating": ("period", "orientation of the stripes (degrees)"),
            "curve": ("radius", "direction of the curve (degrees)")}
    tables = {family: seen[seen["family"] == family].pivot_table(
        "score", size, "orientation", "max") for family, (size, _) in maps.items()}
    norm = CenteredNorm(0, max(t.abs().to_numpy().max() for t in tables.values()))
    figure = style.blank_figure(3.6, layout="constrained")  # "compressed" overlaps subfigures
    heat, bars = figure.subfigures(1, 2, width_ratios=[1.75, 1])
    panels = heat.subplots(2, 1, height_ratios=[len(t) + 1 for t in tables.values()])
    for axes, (family, table) in zip(panels, tables.items(), strict=True):
        size, words = maps[family]
        drawn = axes.imshow(table, cmap=style.SIGNED, norm=norm, aspect="auto",
                            interpolation="nearest")
        _mark(axes, table.to_numpy(), norm)
        step = max(1, len(table.columns) // 6)
        axes.set(xticks=range(0, len(table.columns), step), yticks=range(len(table)),
                 xticklabels=[f"{a:.0f}" for a in table.columns[::step]],
                 yticklabels=[f"{s:.0f}" for s in table.index],
                 title=f"{family}s", xlabel=words, ylabel=f"{size} (px)")
    heat.colorbar(drawn, ax=panels, shrink=0.7, label="score (SD)")
    axes = bars.subplots()
    axes.barh(scores.index, scores["score"],
              color=np.where(scores["score"] > 0, style.RED, style.BLUE))
    axes.plot(scores["control"], scores.index, "|", color="black", markersize=11,
              markeredgewidth=1.5)
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="best score (SD)" + ("\n| 95 % of others"
             if scores["control"].notna().any() else ""))
    axes.margins(y=0.01)
    return figure


def _mark(axes, values: np.ndarray, norm) -> None:
    """+ or − in every cell of a map that is not nearly zero."""
    for (row, column), value in np.ndenumerate(values):
        strength = abs(value) / norm.halfrange
        if strength > 0.08:
            axes.text(column, row, "+" if value > 0 else "−", ha="center", va="center",
                      fontsize=8, color="white" if strength > 0.55 else "#333333")


@style.styled
def plot_polar(tuned: Tuning, filter: int) -> Figure:
    """Score over orientation for gratings, bars, edges, curves, at each one's best size.

    Angles as in the package's convention; a family that repeats earlier is drawn round the whole
    circle. Below the mean on real pictures everything is drawn at the centre. One radial scale.
    """
    seen = tuned.of(filter)
    figure = style.blank_figure(2.0)
    names = ("grating", "bar", "edge", "curve", "net")
    panels = figure.subplots(1, len(names), subplot_kw={"projection": "polar"})
    curves = {family: orientation_curve(seen, family, "score").clip(lower=0) for family in names}
    top = max(1.0, *(c.max() for c in curves.values()))
    for axes, (family, curve) in zip(panels, curves.items(), strict=True):
        angles = np.unique([curve.index + k for k in range(0, 360, CYCLES[family])])
        values = curve.loc[angles % CYCLES[family]].to_numpy()
        axes.plot(np.deg2rad([*angles, 360]), [*values, values[0]], color=style.RED, linewidth=1.5)
        axes.fill(np.deg2rad(angles), values, color=style.RED, alpha=0.2)
        best = strongest(seen, [family])
        size = next((f"{c} {best[c]:.0f} px" for c in ("radius", "period", "width")
                     if best[c] > 0), "")
        axes.set(ylim=(0, top), xticks=np.deg2rad([0, 90, 180, 270]), yticks=[top / 2, top],
                 yticklabels=["", f"{top:.0f}"], title=f"{_words(best)}\n{size}")
        axes.tick_params(pad=1)
        axes.set_rlabel_position(45)
    figure.supxlabel("orientation (degrees); radius: score (SD)", fontsize=9)
    return figure


@style.styled
def plot_colour(tuned: Tuning, filter: int) -> Figure:
    """Best score for each hue: figures with and without luminance contrast, uniform patches.

    Figures are bars, discs, and the lines of gratings and nets; what lies between those lines has
    the opposite hue.
    """
    seen = tuned.of(filter)
    figures = seen[seen["family"] == "coloured"]
    patches = seen[(seen["family"] == "patch")]
    panels = {
        "figures: hue and luminance": figures[figures["luma"] != 0],
        "figures: hue only": figures[figures["luma"] == 0],
        "patches: hue only": patches[(patches["luma"] == 0)
                                     & patches["chroma"].isin([0, CHROMA])],
    }
    figure = style.blank_figure(2.2)
    for axes, (title, rows) in zip(figure.subplots(1, 3, sharey=True), panels.items(),
                                   strict=True):
        best = rows.groupby("colour")["score"].max().reindex(["", *HUES]).dropna()
        shades = np.clip([MID_GREY + CHROMA * hue_direction(c) for c in best.index], 0, 255) / 255
        axes.bar([c or "grey" for c in best.index], best, color=shades, edgecolor="#333333",
                 linewidth=0.6)
        axes.axhline(0, color=style.GREY, linewidth=0.8)
        axes.tick_params(axis="x", rotation=60)
        axes.set(title=title, ylabel="best score (SD)" if not axes.get_subplotspec().colspan.start
                 else "")
    return figure


@style.styled
def plot_tuning(angles: Sequence[float], curves: dict[str, np.ndarray]) -> Figure:
    """Response over orientation, one line for each kind of stimulus."""
    figure = style.blank_figure(2.3)
    axes = figure.subplots()
    markers = "osD^vX"
    for i, (kind, values) in enumerate(curves.items()):
        axes.plot(angles, values, marker=markers[i % len(markers)], markersize=4, label=kind)
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="orientation (degrees)", ylabel="mean pre-activation", xticks=angles[::2])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure
