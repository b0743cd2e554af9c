"""Adversaries drawn: pictures, rates over ε, changes by layer and filter, attribution maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from engine import style
from techniques.adversarial.results import Adversaries


@style.styled
def plot_adversaries(found: Adversaries, pictures: Sequence[int] | None = None) -> Figure:
    """Picture, perturbation to scale, perturbation amplified, adversary; a row for each picture.

    Mid-grey is no change. To scale, one grey level is one grey level; amplified, ±ε is black and
    white in each channel.
    """
    pictures = range(min(3, len(found.images))) if pictures is None else list(pictures)
    table, gain = found.table(), 127.5 / found.epsilon if found.epsilon else 1.0
    figure = style.blank_figure(2.05 * len(pictures))
    for i, row in zip(pictures, figure.subplots(len(pictures), 4, squeeze=False), strict=True):
        said = table.iloc[i]
        change = found.perturbation[i]
        style.show_picture(row[0], found.before.images[i], f"{said.before}\n{said.p_before:.0%}")
        style.show_picture(row[1], 127.5 + change,
                           f"{found.method}\nε = {found.epsilon:.1f}, to scale")
        style.show_picture(row[2], 127.5 + gain * change, f"amplified\n× {gain:.0f}")
        style.show_picture(row[3], found.images[i], f"{said.after}\n{said.p_after:.0%}")
    return figure


@style.styled
def plot_rates(table: pd.DataFrame) -> Figure:
    """Share of pictures fooled by ε, a line for each method, with its interval.

    Parameters
    ----------
    table : DataFrame
        From `rates` or `sweep`.
    """
    figure = style.blank_figure(2.8)
    axes = figure.subplots()
    groups = table.groupby(["method", "targeted"], sort=False)
    for i, ((method, targeted), rows) in enumerate(groups):
        rows = rows.sort_values("epsilon")
        colour = mpl.colormaps["viridis"](i / max(len(groups) - 0.5, 1))
        label = f"{method}{', targeted' if targeted else ''} ({rows.pictures.iloc[0]} pictures)"
        axes.errorbar(rows.epsilon, 100 * rows.share,
                      100 * np.abs(rows[["low", "high"]].sub(rows.share, axis=0).to_numpy().T),
                      label=label, color=colour, marker="osv^D*P"[i % 7], markersize=5,
                      linestyle=["-", "--", ":", "-."][i % 4], capsize=2, elinewidth=0.8)
    ticks = sorted(set(table.epsilon))
    axes.set(xscale="log", xlabel="ε: largest change of a pixel, grey levels", ylim=(-4, 104),
             ylabel="pictures fooled, %")
    axes.set_xticks(ticks, [f"{e:.3g}" for e in ticks])
    axes.minorticks_off()
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    return figure


@style.styled
def plot_layers(table: pd.DataFrame) -> Figure:
    """Relative change layer by layer: the mean over pictures and their range, by method.

    Parameters
    ----------
    table : DataFrame
        From `layer_change`, of one or several attacks (concatenated).
    """
    figure = style.blank_figure(3.0)
    axes = figure.subplots()
    colours = (style.RED, style.BLUE, style.GREY, "black")
    for i, (method, rows) in enumerate(table.groupby("method", sort=False)):
        by_layer = rows.groupby("layer", sort=False)["change"]
        places, colour = np.arange(by_layer.ngroups), colours[i % 4]
        axes.fill_between(places, by_layer.min(), by_layer.max(), color=colour, alpha=0.15,
                          linewidth=0)
        axes.plot(places, by_layer.mean(), color=colour, marker="osv^"[i % 4], markersize=4,
                  label=method)
    axes.set_xticks(places, list(by_layer.groups), rotation=60, ha="right",
                    rotation_mode="anchor")
    axes.set(ylabel="relative change ‖Δ‖ / ‖Φ‖", yscale="log")
    axes.legend(frameon=False)
    return figure


@style.styled
def plot_filters(tables: Mapping[str, pd.DataFrame], filter: int) -> Figure:
    """Change of all filters of a layer, sorted, with one of them marked; a panel a method.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Panel title → `filter_change`.
    filter : int
        The one to mark.
    """
    figure = style.blank_figure(2.6)
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        ordered = table.sort_values("change", ascending=False).reset_index(drop=True)
        place = int(np.flatnonzero(ordered["filter"] == filter)[0])
        axes.plot(ordered.change, color=style.GREY, linewidth=1.2)
        axes.plot(place, ordered.change[place], "o", color=style.RED, markersize=6)
        axes.annotate(f"filter {filter}: {place + 1} of {len(ordered)}",
                      (place, ordered.change[place]), (8, 10), textcoords="offset points",
                      fontsize=8, color=style.RED)
        axes.axhline(ordered.change.median(), color=style.GREY, linewidth=0.8, linestyle=":")
        axes.set(title=title, xlabel="filters, most changed first")
    panels[0].set_ylabel("relative change of the map")
    return figure


@style.styled
def plot_attributions(
    found: Adversaries, maps: Mapping[str, Sequence[np.ndarray]], picture: int = 0, *,
    asked: Sequence[str] = ("", ""),
) -> Figure:
    """Attribution maps before and after, and their difference; a row for each method.

    Beside them stand the untouched picture (first row) and the adversary (the others; the only one
    if there is one method).

    Parameters
    ----------
    maps : mapping of str to (before, after)
        Method → two maps of shape (h, w), on one scale in each row; the difference is red (+)
        where the map grew, blue (−) where it shrank.
    picture : int
        Which of `found` they belong to.
    asked : (before, after)
        Names of the classes that the two maps are about.
    """
    figure = style.blank_figure(1.75 * len(maps))
    rows = figure.subplots(len(maps), 4, squeeze=False)
    for row, (axes, (method, (before, after))) in enumerate(zip(rows, maps.items(), strict=True)):
        top = max(float(np.max(before)), float(np.max(after))) or 1.0
        untouched = row == 0 and len(maps) > 1  # above the adversary, to be compared
        style.show_picture(axes[0], (found.before if untouched else found).images[picture],
                           "untouched" if untouched else "adversary")
        for panel, title, drawn in ((axes[1], f"before:\n{asked[0]}", before),
                                    (axes[2], f"after:\n{asked[1]}", after)):
            bar = panel.imshow(drawn, cmap="magma", vmin=0, vmax=top)
            panel.set(xticks=[], yticks=[], title=title)
        axes[1].set_ylabel(method)
        figure.colorbar(bar, ax=axes[2], shrink=0.8)
        change = after - before
        norm = CenteredNorm(0, np.abs(change).max() or 1.0)
        bar = axes[3].imshow(change, cmap=style.SIGNED, norm=norm)
        axes[3].set(xticks=[], yticks=[], title="after − before\n(+ red, − blue)")
        figure.colorbar(bar, ax=axes[3], shrink=0.8)
    return figure
