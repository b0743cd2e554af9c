"""What each edge of a circuit contributes, and what happens when edges are cut.

A filter's pre-activation at one position is a sum, exactly: its bias, plus for every input
channel the product of that channel's kernel with the window of activations it reads. This file

1. reads the **windows** at strongest, random and graded places (`windows`, `spectrum_places`);
2. takes the sum apart: **contributions** (`edge_table`, `cumulative_shares`);
3. puts it together again without some terms: **cutting edges** (`response`, `ablation_table`,
   `edge_effects`), and builds the network in which they are really gone (`ablate`);
4. draws the results (`plot_shares`, `plot_ablation`).

What inhibition does as a whole is asked in `inhibition`, what lies above in `silencing`.

The unit is the convolution's output before its activation. Where batch normalisation directly
follows, it is the normalised output: its scale and shift are folded into the kernels and the bias,
as `vz.rank_kernels` does, so that the terms add up to what the activation reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from engine.checks import channel_numbers, check_side
from engine.network import PICTURES, traced
from engine.units import unit_weights

# --- windows: what a filter reads -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Windows:
    """What a filter reads at some places of some pictures, and what it makes of it.

    Attributes
    ----------
    inputs : float32 ndarray, shape (n, kernel rows, kernel columns, channels)
        Activations of the tensor that the layer reads (after the pool, if there is one).
    taps : float32 ndarray, shape (kernel rows, kernel columns, channels)
        The filter's kernels.
    bias : float
    values : float32 ndarray, shape (n,)
        The filter's pre-activation there, as the network computes it.
    """

    inputs: np.ndarray
    taps: np.ndarray
    bias: float
    values: np.ndarray

    def at(self, chosen: np.ndarray) -> Windows:
        """Some of the places: `chosen` is an index or a mask over them."""
        return Windows(self.inputs[chosen], self.taps, self.bias, self.values[chosen])


def windows(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, places: pd.DataFrame
) -> Windows:
    """Read a filter's input at given places.

    Parameters
    ----------
    net, layer, filter
        The unit; a `Conv2D` of any stride, dilation and padding.
    image_set : ImageSet
    places : DataFrame
        ``picture, row, column``: positions in the layer's map, as in ``Patches.table`` or from
        `random_places`.

    Raises
    ------
    ValueError
        The layer is no plain convolution, or a place lies outside its map.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    net.plain_convolution(layer)
    taps = vz.kernels(net, layer, filter)
    forward = layer_windows(net, layer)
    inputs = np.empty((len(places), *taps.shape), "float32")
    values = np.empty(len(places), "float32")
    pictures = places["picture"].to_numpy()
    for picture in np.unique(pictures):
        here = np.flatnonzero(pictures == picture)
        rows, columns = (places[axis].to_numpy()[here] for axis in ("row", "column"))
        unfolded, written = forward(image_set.read([picture]))
        side = written.shape[:2]
        if (rows >= side[0]).any() or (columns >= side[1]).any() or min(*rows, *columns) < 0:
            raise ValueError(
                f"a place of picture {picture} lies outside the {side[0]} × {side[1]} map of "
                f"{layer}: it was found in another layer, or in pictures of another size.")
        inputs[here] = unfolded[rows, columns]
        values[here] = written[rows, columns, filter]
    return Windows(inputs, taps, vz.filter_bias(net, layer, filter), values)


def layer_windows(net: vz.Network, layer: str) -> Callable:
    """A function from one picture to what a convolution reads at each position, and answers.

    Returns
    -------
    function
        float32 RGB 0-255, shape (1, h, w, 3) → windows, shape (rows, columns, kernel rows,
        kernel columns, channels), and pre-activations, shape (rows, columns, filters).
    """
    conv = net.plain_convolution(layer)
    forward = net.kept(_traced_reads_and_writes, layer)
    taps = (*conv.kernel_size, conv.kernel.shape[2])

    def read_and_write(picture):
        check_side(picture.shape, net.fixed_size)
        read, written = forward(picture)
        unfolded = tf.image.extract_patches(
            read, [1, *conv.kernel_size, 1], [1, *conv.strides, 1],
            [1, *conv.dilation_rate, 1], conv.padding.upper())[0].numpy()
        return unfolded.reshape(*unfolded.shape[:2], *taps), written[0].numpy()

    return read_and_write


def _traced_reads_and_writes(net: vz.Network, layer: str):
    both = vz.submodel(net, [vz.input_layer(net, layer).tensor, layer],
                       pre_activation=[False, True])
    return traced(lambda images: both(net.preprocess(images), training=False), PICTURES)


def random_places(
    net: vz.Network, layer: str, image_set: vz.ImageSet, count: int, *, seed: int = 0
) -> pd.DataFrame:
    """`count` positions that see no padding, drawn evenly over pictures and positions."""
    image_set = vz.as_image_set(image_set, copy=False)
    inside = vz.unpadded_positions(net, layer, image_set.size)
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "picture": rng.integers(len(image_set), size=count),
        "row": rng.integers(inside.start, inside.stop, count),
        "column": rng.integers(inside.start, inside.stop, count),
    })


LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)  #: quantiles at which levels start


def spectrum_places(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *,
    levels: Sequence[float] = LEVELS, per_level: int = 12, seed: int = 0,
) -> pd.DataFrame:
    """Places from a unit's weakest to its strongest responses: its activation spectrum [1]_.

    All positions of all pictures that see no padding are ordered by pre-activation and divided
    at the quantiles `levels`; from each level places are drawn at random.

    Parameters
    ----------
    levels : sequence of float
        Rising quantiles from 0 to below 1; a level reaches to the next one, the last to the
        maximum. The steps are finer at the top, where a unit fires.
    per_level : int
        Places for each level: from different pictures as far as there are any.

    Returns
    -------
    DataFrame
        ``picture, row, column, level`` (the quantile at which it starts), ``value``
        (pre-activation), weakest level first; made for `windows`.

    Raises
    ------
    ValueError
        Levels that do not rise from 0 to below 1, no place a level, a filter out of range.

    References
    ----------
    .. [1] C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill 2017,
       doi:10.23915/distill.00007 (dataset examples over the whole range of activation).
    """
    if list(levels) != sorted(set(levels)) or not 0 <= levels[0] or not levels[-1] < 1:
        raise ValueError(f"levels are rising quantiles, 0 ≤ level < 1, not {tuple(levels)}.")
    if per_level < 1:
        raise ValueError(f"per_level must be at least 1, not {per_level}.")
    filter = net.check_filter(layer, filter)
    image_set = vz.as_image_set(image_set, copy=False)
    inside = vz.unpadded_positions(net, layer, image_set.size)
    forward = net.forward(layer, pre_activation=True)
    batches = image_set.watched(f"{layer}: pictures", side=net.fixed_size)
    maps = np.concatenate([forward(batch)[:, inside, inside, filter].numpy()  # one channel is kept
                           for batch in batches])
    values = maps.ravel()
    level = np.searchsorted(np.quantile(values, levels)[1:], values, side="right")
    if levels[0] > 0:
        level[values < np.quantile(values, levels[0])] = -1  # below the first: not asked for
    rng = np.random.default_rng(seed)
    drawn = [_one_from_each(rng.permutation(np.flatnonzero(level == i)), maps[0].size)[:per_level]
             for i in range(len(levels))]
    places = np.concatenate(drawn)
    picture, row, column = np.unravel_index(places, maps.shape)
    return pd.DataFrame({
        "picture": picture, "row": row + inside.start, "column": column + inside.start,
        "level": np.repeat(np.asarray(levels, float), [len(d) for d in drawn]),
        "value": values[places],
    })


def _one_from_each(places: np.ndarray, positions: int) -> np.ndarray:
    """Flat places re-ordered: first one of each picture, then a second one of each, ..."""
    turn = pd.Series(places).groupby(places // positions).cumcount()
    return places[np.argsort(turn.to_numpy(), kind="stable")]


# --- contributions: the terms of the sum ------------------------------------------------------


def contributions(found: Windows) -> np.ndarray:
    """Each edge's term in the pre-activation, shape (n, channels).

    ``found.bias + contributions(found).sum(1)`` equals ``found.values`` to rounding.
    """
    return np.einsum("nrck,rck->nk", found.inputs.astype("float64"), found.taps)


def edge_table(top: Windows, elsewhere: Windows) -> pd.DataFrame:
    """All edges of a filter, by what they are and by what they do.

    Parameters
    ----------
    top : Windows
        At the filter's strongest patches.
    elsewhere : Windows
        At random places.

    Returns
    -------
    DataFrame, one row a channel, in the order of channels
        ``channel``; ``l2``; ``l2_spread``: L2 × the standard deviation of the channel's input
        at random places; ``top, top_size``: mean contribution and mean absolute contribution at
        the strongest patches; ``elsewhere, elsewhere_size``: at random places.
    """
    here, there = contributions(top), contributions(elsewhere)
    l2 = np.sqrt((top.taps.astype("float64") ** 2).sum((0, 1)))
    return pd.DataFrame({
        "channel": np.arange(len(l2)), "l2": l2,
        "l2_spread": l2 * elsewhere.inputs.std((0, 1, 2)),
        "top": here.mean(0), "top_size": np.abs(here).mean(0),
        "elsewhere": there.mean(0), "elsewhere_size": np.abs(there).mean(0),
    })


def by_level(found: Windows, places: pd.DataFrame) -> dict[str, Windows]:
    """Windows at `spectrum_places`, taken apart by level; keys like ``"≥ 90 %"``."""
    return {f"≥ {100 * level:g} %": found.at(places["level"].to_numpy() == level)
            for level in places["level"].unique()}


def contribution_table(places: Mapping[str, Windows]) -> pd.DataFrame:
    """Mean contributions of every edge at several kinds of place.

    Parameters
    ----------
    places : mapping of str to Windows
        Of one filter, e.g. ``{"random": elsewhere, "strongest": top, **by_level(...)}``.

    Returns
    -------
    DataFrame, one row an edge and kind of place
        ``where``; ``channel``; ``signed, size``: mean contribution and mean absolute
        contribution; ``response``: mean pre-activation there.
    """
    tables = []
    for where, found in places.items():
        terms = contributions(found)
        tables.append(pd.DataFrame({
            "where": where, "channel": np.arange(terms.shape[1]), "signed": terms.mean(0),
            "size": np.abs(terms).mean(0), "response": found.values.mean()}))
    return pd.concat(tables, ignore_index=True)


def strongest(table: pd.DataFrame, by: str, count: int = 10) -> np.ndarray:
    """The `count` channels that are largest in size by a column of `edge_table`."""
    order = np.argsort(-table[by].abs().to_numpy(), kind="stable")[:count]
    return table["channel"].to_numpy()[order]


def compare_rankings(table: pd.DataFrame, *, count: int = 10) -> pd.DataFrame:
    """How far rankings of a filter's edges agree: Spearman's rank correlation and overlap.

    Returns
    -------
    DataFrame
        ``ranking, other, rank_correlation, overlap`` (channels that both have among their
        first `count`) for every pair of L2, L2 × spread and contributions.
    """
    columns = ["l2", "l2_spread", "top", "top_size", "elsewhere_size"]
    ranks = table[columns].abs().corr("spearman")
    first = {by: set(strongest(table, by, count).tolist()) for by in columns}
    pairs = [(a, b) for i, a in enumerate(columns) for b in columns[i + 1 :]]
    return pd.DataFrame([(a, b, ranks.loc[a, b], len(first[a] & first[b])) for a, b in pairs],
                        columns=["ranking", "other", "rank_correlation", "overlap"])


def cumulative_shares(
    top: Windows, elsewhere: Windows, *, rankings: Sequence[str] = ("l2", "l2_spread", "top"),
    draws: int = 20, seed: int = 0,
) -> pd.DataFrame:
    """How much of the strongest patches' response the first edges of a ranking make up.

    Parameters
    ----------
    top, elsewhere : Windows
        At the strongest patches and at random places.
    rankings : sequence of str
        Columns of `edge_table` (largest in size first). Random orders are always added.
    draws : int
        How many random orders.

    Returns
    -------
    DataFrame
        ``ranking``; ``edges``: how many, from 0; ``response``: bias and the contributions of
        these edges, as a share of the whole response (it may pass 1 before inhibition brings
        it back); ``drive``: their share of all positive contributions; ``low, high``: 5th and
        95th percentile of ``response`` over the random orders (for rankings: ``response``). The
        ranking ``random`` holds the orders' medians.
    """
    table = edge_table(top, elsewhere)
    terms = contributions(top)
    gives, drives = terms.mean(0), np.maximum(terms, 0).mean(0)
    rng = np.random.default_rng(seed)
    orders = {by: strongest(table, by, len(table))[None] for by in rankings}
    orders["random"] = np.stack([rng.permutation(len(table)) for _ in range(draws)])
    curves = []
    for ranking, order in orders.items():
        response, drive = (np.insert(amount[order].cumsum(1), 0, 0, axis=1)
                           for amount in (gives, drives))
        response = (response + top.bias) / top.values.mean()
        low, middle, high = np.percentile(response, [5, 50, 95], axis=0)
        curves.append(pd.DataFrame({
            "ranking": ranking, "edges": np.arange(len(table) + 1), "response": middle,
            "drive": np.median(drive, axis=0) / drives.sum(), "low": low, "high": high}))
    return pd.concat(curves, ignore_index=True)


# --- cutting edges ------------------------------------------------------------------------------


def response(
    found: Windows, cut: Sequence[int] = (), *, keep_only: bool = False,
    mean_inputs: np.ndarray | None = None,
) -> np.ndarray:
    """The filter's pre-activation at the windows without some of its edges, shape (n,).

    Parameters
    ----------
    found : Windows
    cut : sequence of int
        Channels whose edge is cut, or, with `keep_only`, the only ones that stay.
    keep_only : bool
        Cut all other edges instead.
    mean_inputs : ndarray, shape (kernel rows, kernel columns, channels), optional
        What cut edges read instead of nothing: e.g. ``elsewhere.inputs.mean(0)``. Zero is an
        input that the filter never sees; the mean removes the information and keeps the level.
    """
    gone = np.zeros(found.taps.shape[2], bool)
    gone[channel_numbers(cut, len(gone))] = True
    gone ^= keep_only
    terms = contributions(found)
    level = 0.0
    if mean_inputs is not None:
        level = np.einsum("rck,rck->k", mean_inputs.astype("float64"), found.taps)[gone].sum()
    return found.bias + terms[:, ~gone].sum(1) + level


def matched_controls(
    table: pd.DataFrame, channels: Sequence[int], *, draws: int = 20, seed: int = 0,
    others: bool = True,
) -> list[np.ndarray]:
    """Random sets of other edges that hold as much squared weight as `channels` together.

    The strongest edges have no partners of their own norm, so a control is matched as a whole:
    other edges (not mostly zero) are drawn until their Σ L2² reaches that of `channels` - many
    weak edges for a few strong ones - or until none is left.

    Parameters
    ----------
    table : DataFrame
        ``channel, l2``, as from `edge_table`.
    channels : sequence of int
        Of the table, the set to be matched.
    draws : int
        Random sets.
    others : bool
        False: draw from all edges, `channels` among them - for sets that hold so much weight
        that the others cannot match it.

    Returns
    -------
    list of ndarray
        `draws` sets of channels, each in ascending order.
    """
    mass = table.set_index("channel")["l2"] ** 2
    channels = channel_numbers(channels, 1 + int(mass.index.max()))
    pool = mass[(mass >= vz.MOSTLY_ZERO**2 * mass.max())
                & ~(others & mass.index.isin(channels))]
    wanted = mass[channels].sum()
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(draws):
        order = rng.permutation(len(pool))
        gathered = np.cumsum(pool.to_numpy()[order])
        count = min(int(np.searchsorted(gathered, wanted)) + int(wanted > 0), len(pool))
        sets.append(np.sort(pool.index.to_numpy()[order[:count]]))
    return sets


def ablation_table(
    top: Windows, elsewhere: Windows, *, count: int = 10, draws: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Cut the strongest edges, by two rankings, beside random edges of as much squared weight.

    Returns
    -------
    DataFrame, one row a ranking (``l2``, ``top``: contribution at the strongest patches) and
    way of cutting (``zero``, ``mean``, ``keep only``)
        ``left``: mean response at the strongest patches, as a share of the uncut one;
        ``left_elsewhere``: the same at random places, in units of the uncut response at the
        strongest patches; ``control``: median of ``left`` over random sets; ``percentile``:
        share of random sets (%) that leave more - for ``keep only``: less - than this one;
        ``control_low, control_high``: 5th and 95th percentile of ``left`` over random sets;
        ``control_elsewhere, percentile_elsewhere``: as the two above, for ``left_elsewhere``.
        ``attrs["uncut_elsewhere"]``: what ``left_elsewhere`` is when nothing is cut.
    """
    table = edge_table(top, elsewhere)
    means = elsewhere.inputs.mean(0)
    whole = top.values.mean()
    ways = {"zero": {}, "mean": {"mean_inputs": means}, "keep only": {"keep_only": True}}
    rows = []
    for by in ("l2", "top"):
        chosen = strongest(table, by, count)
        controls = matched_controls(table, chosen, draws=draws, seed=seed)
        for way, options in ways.items():
            (left, *others), (there, *others_there) = (
                [response(found, cut, **options).mean() / whole for cut in (chosen, *controls)]
                for found in (top, elsewhere))
            sign = 1 if way == "keep only" else -1  # a set that matters leaves more, or less
            rows.append((by, way, left, there, np.median(others),
                         100 * np.less(sign * np.array(others), sign * left).mean(),
                         *np.percentile(others, [5, 95]), np.median(others_there),
                         100 * np.less(sign * np.array(others_there), sign * there).mean()))
    cuts = pd.DataFrame(rows, columns=[
        "ranking", "way", "left", "left_elsewhere", "control", "percentile", "control_low",
        "control_high", "control_elsewhere", "percentile_elsewhere"])
    cuts.attrs["uncut_elsewhere"] = float(elsewhere.values.mean() / whole)
    return cuts


def edge_effects(top: Windows, elsewhere: Windows, channels: Sequence[int]) -> pd.DataFrame:
    """What single edges give at the strongest patches, and what cutting each alone takes away.

    Parameters
    ----------
    top, elsewhere : Windows
        At the strongest patches and at random places (whose mean input replaces a cut one).
    channels : sequence of int
        The edges to report, e.g. ``ranking["channel"]``.

    Returns
    -------
    DataFrame, in the order of `channels`
        ``channel, l2``; ``gives``: mean contribution as a share of the whole response;
        ``zero, mean``: change of the response, as a share, when this edge alone reads nothing
        or its mean input; ``percentile, percentile_mean``: share (%) of all *other* edges -
        those not in `channels` and not mostly zero - whose effect is smaller in size.

    Raises
    ------
    ValueError
        Channels that the filter does not read, or a mask of them.

    Notes
    -----
    The pre-activation is a sum, so ``zero`` is ``-gives`` exactly: what an edge gives is what
    it takes away. ``mean`` differs: an edge that gives as much everywhere carries a level, not
    information, and its ``mean`` is nearly 0.
    """
    table = edge_table(top, elsewhere)
    channels = channel_numbers(channels, len(table))
    whole = top.values.mean()
    zero = -table["top"] / whole
    mean = (table["elsewhere"] - table["top"]) / whole
    chosen = np.isin(np.arange(len(table)), channels)
    others = ~chosen & (table["l2"] >= vz.MOSTLY_ZERO * table["l2"].max()).to_numpy()

    def beaten(effect):
        return [100 * (np.abs(effect[others]) < abs(effect[c])).mean() if others.any() else np.nan
                for c in channels]

    return pd.DataFrame({
        "channel": channels, "l2": table["l2"].to_numpy()[channels],
        **{name: effect.to_numpy()[channels] for name, effect in
           (("gives", -zero), ("zero", zero), ("mean", mean))},
        "percentile": beaten(zero), "percentile_mean": beaten(mean),
    })


def minimal_set(
    top: Windows, elsewhere: Windows, *, by: str = "top", share: float = 0.9
) -> dict[str, int]:
    """How many edges, strongest first, recover the response and the ranking of places.

    Returns
    -------
    dict
        ``response``: edges kept (others cut to zero) until the mean response at the strongest
        patches reaches `share` of the whole one; ``ranking``: until Spearman's correlation with
        the uncut filter over random places does.
    """
    table = edge_table(top, elsewhere)
    order = strongest(table, by, len(table))
    recovered = top.bias + np.cumsum(contributions(top)[:, order], axis=1).mean(0)
    partial = elsewhere.bias + np.cumsum(contributions(elsewhere)[:, order], axis=1)
    ranks = pd.DataFrame(partial).rank()
    agreement = ranks.corrwith(pd.Series(elsewhere.values).rank()).to_numpy()
    return {"response": _first(recovered >= share * top.values.mean()),
            "ranking": _first(agreement >= share)}


def _first(reached: np.ndarray) -> int:
    """Edges needed until `reached` holds for good."""
    never = np.flatnonzero(~reached)
    return 1 if never.size == 0 else int(never[-1]) + 2


def ablate(
    net: vz.Network, layer: str, filter: int, channels: Sequence[int] | None = None, *,
    keep_only: bool = False,
) -> vz.Network:
    """The network with edges of one filter cut; without `channels`, the filter itself silenced.

    Parameters
    ----------
    channels : sequence of int, optional
        Input channels whose kernels become zero (with `keep_only`: the only ones that stay). An
        empty one cuts nothing.
    keep_only : bool
        Cut all other edges instead.

    Returns
    -------
    Network
        A copy; `net` is not changed.
    """
    net.plain_convolution(layer)
    taps = vz.kernels(net, layer, filter)
    if channels is None:
        return rewired(net, layer, filter, 0 * taps, f"{layer} filter {filter} silenced", bias=0)
    gone = np.isin(np.arange(taps.shape[2]), channel_numbers(channels, taps.shape[2])) ^ keep_only
    return rewired(net, layer, filter, np.where(gone, 0, taps),
                    f"{int(gone.sum())} edges of {layer} filter {filter} cut")


def rewired(net: vz.Network, layer: str, filter: int, taps, words: str, bias=None) -> vz.Network:
    """A copy of the network in which one filter has other kernels (and another bias), folded."""
    return net.with_weights(unit_weights(net, layer, filter, taps, bias), words)


# --- figures ----------------------------------------------------------------------------------

RANKINGS = {"l2": "L2", "l2_spread": "L2 × spread", "top": "contribution", "random": "random",
            "top_size": "contribution (size)", "elsewhere_size": "contribution elsewhere (size)"}
WAYS = {"zero": "cut: read nothing", "mean": "cut: read their mean", "keep only": "only they stay"}


@style.styled
def plot_shares(shares: pd.DataFrame, *, mark: int = 10) -> Figure:
    """How the response and its positive drive gather over edges, one line a ranking.

    Parameters
    ----------
    shares : DataFrame
        From `cumulative_shares`; random orders are grey, with a band from 5 to 95 %.
    mark : int
        Number of edges at which a dotted line stands.
    """
    figure = style.blank_figure(2.5)
    panels = figure.subplots(1, 2)
    looks = zip(["-", "--", "-.", (0, (1, 1))], ["#1b1b1b", style.RED, style.BLUE, "#1b7837"],
                strict=True)
    for ranking, curve in shares.groupby("ranking", sort=False):
        line, colour = ("-", "#999999") if ranking == "random" else next(looks)
        for axes, column in zip(panels, ("response", "drive"), strict=True):
            axes.plot(curve["edges"], 100 * curve[column], linestyle=line, color=colour,
                      label=RANKINGS.get(ranking, ranking))
        if ranking == "random":
            panels[0].fill_between(curve["edges"], 100 * curve["low"], 100 * curve["high"],
                                   color=colour, alpha=0.25, linewidth=0)
    for axes, of in zip(panels, ("the response", "positive\ncontributions"), strict=True):
        axes.axhline(100, color=style.GREY, linewidth=0.8)
        axes.axvline(mark, color=style.GREY, linewidth=0.8, linestyle=":")
        axes.set(xlabel="edges, strongest first", ylabel=f"share of {of} (%)", xlim=(0, None))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False)
    return figure


@style.styled
def plot_ablation(cuts: pd.DataFrame, *, elsewhere: bool = True) -> Figure:
    """What cutting leaves, a bar for each ranking and way; below it the random sets.

    Parameters
    ----------
    cuts : DataFrame
        From `ablation_table`. Left: at the strongest patches, with the random sets' median
        (tick) and their 5th to 95th percentile (line); right: at random places, as a share of the
        uncut response at the strongest patches (dotted: of the uncut filter).
    elsewhere : bool
        Whether to show random places at all.
    """
    figure = style.blank_figure(0.95 + 0.42 * len(cuts))
    left, *more = figure.subplots(1, 1 + elsewhere, sharey=True, squeeze=False,
                                  width_ratios=[1.6, 1][: 1 + elsewhere])[0]
    shown = cuts.sort_values("way", key=lambda way: way.map(list(WAYS).index), kind="stable")
    places = np.arange(len(shown))[::-1] + 0.0
    solid = (shown["ranking"] == "l2").to_numpy()
    for axes, column, control in zip([left, *more], ("left", "left_elsewhere"),
                                     ("control", "control_elsewhere"), strict=False):
        axes.barh(places + 0.12, 100 * shown[column], 0.42, edgecolor="#404040",
                  color=np.where(solid, "#404040", "#d0d0d0"))
        axes.scatter(100 * shown[control], places - 0.27, marker="|", s=60, color=style.RED,
                     zorder=3, label="random sets of as much weight")
        axes.axvline(0, color=style.GREY, linewidth=0.8)
        for place, value in zip(places, 100 * shown[column], strict=True):
            axes.annotate(f"{value:.0f}".replace("-", "−"), (max(value, 0), place + 0.12),
                          xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
        axes.margins(x=0.14)
    left.hlines(places - 0.27, 100 * shown["control_low"], 100 * shown["control_high"],
                color=style.RED, linewidth=1.5)
    left.axvline(100, color=style.GREY, linewidth=0.8, linestyle=":")
    left.set_yticks(places, [f"{RANKINGS[row.ranking]}\n{WAYS[row.way]}"
                             for row in shown.itertuples()])
    left.set(xlabel="left at the strongest patches (%)")
    for right in more:
        right.axvline(100 * cuts.attrs["uncut_elsewhere"], color=style.GREY, linewidth=0.8,
                      linestyle=":")
        right.set(xlabel="at random places (%)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    return figure


@style.styled
def plot_transfer(
    responses: np.ndarray, control: np.ndarray, ranking: pd.DataFrame, words: Sequence[str] = ()
) -> Figure:
    """A filter's response to its input channels' pictures, beside those of random channels.

    Parameters
    ----------
    responses : ndarray, shape (len(ranking),)
        To the pictures of the ranked channels.
    control : ndarray
        To the pictures of random channels of the same layer.
    """
    figure = style.blank_figure(0.9 + 0.24 * len(ranking))
    axes = figure.subplots()
    places = np.arange(len(ranking))[::-1] + 1
    colours = np.where(ranking["sign_index"] > 0, style.RED, style.BLUE)
    axes.axvline(np.median(control), color=style.GREY, linewidth=1, linestyle=":")
    axes.scatter(control, np.zeros(len(control)), color=style.GREY, marker="|", s=80)
    axes.hlines(places, np.median(control), responses, color=colours, linewidth=1.5)
    for marker, excites in (("o", True), ("s", False)):
        chosen = (ranking["sign_index"] > 0).to_numpy() == excites
        axes.scatter(responses[chosen], places[chosen], color=style.RED if excites else style.BLUE,
                     marker=marker, zorder=3, label="excitatory edge" if excites
                     else "inhibitory edge")
    names = [f"{row.channel} {words[i] if i < len(words) else ''}".strip()
             for i, row in enumerate(ranking.itertuples())]
    axes.set_yticks([*places, 0], [*names, "random channels"])
    axes.set_xlabel("mean pre-activation of the filter (dotted: median of random channels)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False)
    return figure
