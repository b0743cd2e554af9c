"""Experiments with edges in which the other side could have won.

1. **Ladders** (`edge_ladder`, `layer_ladder`): how well do 1, 3, 10, 30 edges alone predict the
   filter at random places? The strongest by L2 or contribution, edges fitted to the answers,
   random ones.
2. **Fair cuts** (`fair_cuts`): a named set is cut, and so are random sets that may hold its
   largest kernel; then all without that kernel.
3. **Inhibitors where they fire** (`inhibitors_at_work`): one inhibitory edge at a time, at the
   places where it takes most away.

An edge's *contribution* at a place is its kernel times what it reads there; contributions and the
bias add up to the pre-activation. What is chosen or fitted is chosen on half A, and tested on B.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from engine.checks import channel_numbers
from techniques import circuits, rebuilding, samples

COUNTS = (1, 3, 10, 30)  #: edges that are kept

# --- contributions --------------------------------------------------------------------------------


def contributions(inputs: np.ndarray, kernels: np.ndarray, *, block: int = 16) -> Iterator:
    """Every edge's term at every place, one filter after the other.

    Parameters
    ----------
    inputs : float32 ndarray, shape (n, kernel rows, kernel columns, channels)
        As ``Sample.inputs``.
    kernels : ndarray, shape (kernel rows, kernel columns, channels, filters)
    block : int
        Filters computed at once: their terms are held together.

    Yields
    ------
    float32 ndarray, shape (n, channels)
    """
    rows, columns, channels, filters = kernels.shape
    read = np.ascontiguousarray(inputs.reshape(len(inputs), -1, channels).transpose(2, 1, 0))
    taps = kernels.astype("float32").reshape(-1, channels, filters).transpose(1, 2, 0)
    for start in range(0, filters, block):
        terms = taps[:, start : start + block] @ read  # (channels, filters, n)
        yield from terms.transpose(1, 2, 0)


# --- ladders --------------------------------------------------------------------------------------


def edge_ladder(
    sample_a: samples.Sample, sample_b: samples.Sample, filter: int, kernels: np.ndarray, *,
    counts: Sequence[int] = COUNTS, draws: int = 100, seed: int = 0,
) -> pd.DataFrame:
    """How well a few edges alone predict one filter's answers on half B.

    Edges keep their real taps, all others read nothing. Four ways to choose them:

    - ``L2``: largest norm;
    - ``contribution``: largest covariance, over half A, of the edge's contribution with the
      filter's answer - its share in the answers' variance; the shares of all edges add up to 1;
    - ``fitted``: one by one what explains half A best, each edge with a positive factor
      (`rebuilding.forward_selection`);
    - ``random``.

    Parameters
    ----------
    sample_a, sample_b : Sample
        Of one layer, with inputs.
    filter : int
    kernels : ndarray, shape (kernel rows, kernel columns, channels)
        The filter's, as ``vz.kernels(net, layer, filter)``.
    counts : sequence of int
        How many edges are kept.
    draws : int
        Random sets of each size.

    Returns
    -------
    DataFrame, one row a ranking and count
        ``ranking, edges``; ``r``: Pearson's over places of half B; ``low, high``: 95 % interval by
        bootstrap over pictures. For ``random``: median, 5th and 95th percentile over the sets.
    """
    terms_a, terms_b = (next(contributions(sample.inputs, kernels[..., None]))
                        for sample in (sample_a, sample_b))
    predicted = _predictions(terms_a, terms_b, sample_a.answers[:, filter], kernels, counts, draws,
                             np.random.default_rng(seed))
    real = sample_b.answers[:, filter]
    rows = []
    for (ranking, edges), columns in predicted.items():
        r = rebuilding.correlations(columns, real)
        low, high = (np.percentile(r, [5, 95]) if ranking == "random" else
                     rebuilding.bootstrapped(columns, real, sample_b.pictures, seed=seed)[:, 0])
        rows.append((ranking, edges, np.median(r), low, high))
    return pd.DataFrame(rows, columns=["ranking", "edges", "r", "low", "high"])


def layer_ladder(
    sample_a: samples.Sample, sample_b: samples.Sample, kernels: np.ndarray, *,
    filters: Sequence[int] | None = None, counts: Sequence[int] = COUNTS, draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """`edge_ladder` for many filters of a layer, without intervals.

    Parameters
    ----------
    kernels : ndarray, shape (kernel rows, kernel columns, channels, filters)
        The whole layer's.
    filters : sequence of int, optional
        Which ones; all without it.

    Returns
    -------
    DataFrame, one row a filter, ranking and count
        ``filter, ranking, edges, r`` (for ``random``: the median over the sets).
    """
    filters = np.arange(kernels.shape[3]) if filters is None else channel_numbers(
        filters, kernels.shape[3])
    rng = np.random.default_rng(seed)
    chosen = kernels[..., filters]
    rows = []
    for filter, *terms in zip(filters, contributions(sample_a.inputs, chosen),
                              contributions(sample_b.inputs, chosen), strict=True):
        predicted = _predictions(*terms, sample_a.answers[:, filter], kernels[..., filter], counts,
                                 draws, rng)
        rows += [(filter, *key, np.median(rebuilding.correlations(
            columns, sample_b.answers[:, filter]))) for key, columns in predicted.items()]
    return pd.DataFrame(rows, columns=["filter", "ranking", "edges", "r"])


def _predictions(terms_a, terms_b, real_a, kernels, counts, draws: int, rng) -> dict:
    """{(ranking, edges): predicted answers on half B, shape (n, sets)}."""
    channels = terms_a.shape[1]
    orders = {"L2": np.argsort(-np.linalg.norm(kernels, axis=(0, 1)), kind="stable"),
              "contribution": np.argsort(-((real_a - real_a.mean()) @ terms_a), kind="stable")}
    found = {(ranking, count): terms_b[:, order[:count]].sum(1, keepdims=True)
             for ranking, order in orders.items() for count in counts}
    path = rebuilding.forward_selection(terms_a, real_a, np.ones((channels, 1)), max(counts))
    for count in counts:
        chosen, factors = path[min(count, len(path) - 1)]
        found["fitted", count] = (terms_b[:, chosen] @ factors)[:, None]
    ranks = rng.permuted(np.tile(np.arange(channels), (draws, 1)), axis=1).T  # (channels, draws)
    return found | {("random", count): terms_b @ (ranks < count).astype("float32")
                    for count in counts}


# --- fair cuts ------------------------------------------------------------------------------------


def fair_cuts(
    top: circuits.Windows, channels: Sequence[int], *, among: Sequence[int] | None = None,
    draws: int = 1000, seed: int = 0,
) -> pd.DataFrame:
    """Cut a named set of edges, beside random sets that could have done as much.

    Where one kernel stands alone, sets of *other* edges cannot match a set that holds it, whatever
    the other named edges do. Three questions are asked apart: is the named set more than any set
    of as much squared weight, the large kernel included; are the others of the set more than any
    edges but that kernel; what does that kernel do alone?

    Parameters
    ----------
    top : Windows
        At the filter's strongest patches.
    channels : sequence of int
        The named set, two channels or more.
    among : sequence of int, optional
        Controls are drawn from these channels and the named ones only: for a set of excitatory
        edges e.g. all excitatory ones, since a random set with inhibitors in it leaves more.
    draws : int
        Random sets for each row (`circuits.matched_controls`).

    Returns
    -------
    DataFrame, one row a cut and kind of control
        ``cut``: ``named set``, ``without its largest``, ``its largest alone``; ``control``:
        ``other edges`` (as `circuits.ablation_table`), ``any edges``, ``any but the largest``;
        ``edges``; ``weight``: share of the filter's squared L2; ``left``: mean response after the
        cut, as a share of the uncut one; ``control_left, control_low, control_high``: median, 5th
        and 95th percentile over random sets; ``control_weight``: median share of squared L2;
        ``percentile``: random sets (%) that leave more; ``holding``: random sets (%) with the
        named set's largest kernel.
    """
    l2 = np.linalg.norm(top.taps.astype("float64"), axis=(0, 1))
    channels = np.unique(channel_numbers(channels, len(l2)))
    if len(channels) < 2:
        raise ValueError(f"a named set is two or more of the channels 0 to {len(l2) - 1}, "
                         f"not {channels.tolist()}.")
    table = pd.DataFrame({"channel": np.arange(len(l2)), "l2": l2})
    gives = circuits.contributions(top).mean(0) / top.values.mean()
    weight = l2**2 / (l2**2).sum()
    largest = channels[l2[channels].argmax()]
    rest = channels[channels != largest]
    if among is not None:
        among = np.union1d(channel_numbers(among, len(l2)), channels)
        table = table[np.isin(table["channel"], among)]
    without = table[table["channel"] != largest]
    rows = []
    for cut, named, control, pool, others in (
            ("named set", channels, "other edges", table, True),
            ("named set", channels, "any edges", table, False),
            ("without its largest", rest, "any but the largest", without, False),
            ("its largest alone", [largest], "any but the largest", table, True)):
        sets = circuits.matched_controls(pool, named, draws=draws, seed=seed, others=others)
        left = 1 - np.array([gives[drawn].sum() for drawn in sets])
        ours = 1 - gives[named].sum()
        low, middle, high = np.percentile(left, [5, 50, 95])
        rows.append((cut, control, len(named), weight[named].sum(), ours, middle, low, high,
                     np.median([weight[drawn].sum() for drawn in sets]),
                     100 * (left > ours).mean(), 100 * np.mean([largest in s for s in sets])))
    return pd.DataFrame(rows, columns=[
        "cut", "control", "edges", "weight", "left", "control_left", "control_low", "control_high",
        "control_weight", "percentile", "holding"])


# --- inhibitors where they fire -------------------------------------------------------------------


def inhibitors_at_work(
    sample: samples.Sample, filter: int, kernels: np.ndarray, *, count: int = 5,
    places: int = 100, limit: float = 0.0, draws: int = 200, seed: int = 0,
) -> pd.DataFrame:
    """What one inhibitory edge holds back, at the places where it takes most away.

    Parameters
    ----------
    sample : Sample
        With inputs, of half B.
    filter, kernels
        As in `edge_ladder`. Inhibitory is an edge whose taps add up to less than zero.
    count : int
        How many inhibitory edges, largest L2 first.
    places : int
        For each: those of the sample where its contribution is most negative.
    limit : float
        Pre-activation above which the unit counts as answering.
    draws : int
        Random sets of other inhibitory edges with as much squared weight, cut at the same places.

    Returns
    -------
    DataFrame, one row an edge
        ``channel, l2``; ``places, pictures``: how many; ``contribution``: its mean there;
        ``whole, cut``: the unit's mean answer with the edge and without; ``passes, passes_cut``:
        places (%) above the limit with it and without; ``released``: their difference, with
        ``low, high``, the 95 % interval by bootstrap over pictures; ``control``: median of
        ``released`` over random sets; ``percentile``: random sets (%) that release fewer places;
        ``peers``: other inhibitory edges (%) that release fewer, each at its own places.

    Raises
    ------
    ValueError
        The layer's inputs can be negative (colours, features before a ReLU): no edge inhibits.

    Notes
    -----
    The places are chosen by the edge itself, so its cut nearly always raises the answers more than
    the control's: regard ``peers``, where every edge has that advantage.
    """
    if sample.inputs.min() < 0:
        raise ValueError(f"{sample.layer} reads negative inputs: no edge of it inhibits; choose a "
                         "layer that reads the output of a ReLU.")
    (terms,) = contributions(sample.inputs, kernels[..., None])
    real = sample.answers[:, filter].astype("float64")
    table = pd.DataFrame({"channel": np.arange(terms.shape[1]),
                          "l2": np.linalg.norm(kernels, axis=(0, 1)), "sum": kernels.sum((0, 1))})
    inhibits = table[(table["sum"] < 0) & (table["l2"] >= vz.MOSTLY_ZERO * table["l2"].max())]
    inhibits = inhibits.sort_values("l2", ascending=False, kind="stable")
    where = {c: _most_negative(terms[:, c], places) for c in inhibits["channel"]}

    def released(cut, here) -> np.ndarray:
        """Percent for each place: 100 where it passes only without the cut edges."""
        without = real[here] - terms[np.ix_(here, cut)].sum(1)
        return 100.0 * ((without > limit).astype(int) - (real[here] > limit))

    everyone = {c: released([c], here).mean() for c, here in where.items() if len(here)}
    rows = []
    for channel, l2 in inhibits[["channel", "l2"]].head(count).itertuples(index=False):
        here = where[channel]
        if not len(here):
            continue
        ours, given = released([channel], here), terms[here, channel].astype("float64")
        sets = circuits.matched_controls(inhibits, [channel], draws=draws, seed=seed)
        controls = np.array([released(drawn, here).mean() for drawn in sets])
        pictures = sample.pictures[here]
        rows.append((channel, l2, len(here), len(np.unique(pictures)), given.mean(),
                     real[here].mean(), (real[here] - given).mean(),
                     100 * (real[here] > limit).mean(),
                     100 * (real[here] - given > limit).mean(), ours.mean(),
                     *_mean_interval(ours, pictures, seed=seed), np.median(controls),
                     100 * (controls < ours.mean()).mean(),
                     100 * np.mean([r < ours.mean() for c, r in everyone.items()
                                    if c != channel])))
    return pd.DataFrame(rows, columns=[
        "channel", "l2", "places", "pictures", "contribution", "whole", "cut", "passes",
        "passes_cut", "released", "low", "high", "control", "percentile", "peers"])


def _most_negative(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` smallest values below zero."""
    order = np.argsort(values, kind="stable")[:count]
    return order[values[order] < 0]


def _mean_interval(values: np.ndarray, pictures: np.ndarray, *, seed: int) -> np.ndarray:
    """95 % interval of a mean over places by bootstrap over their pictures: low and high."""
    per = pd.Series(values).groupby(pictures).agg(["sum", "size"]).to_numpy("float64")
    drawn = np.random.default_rng(seed).integers(len(per), size=(2000, len(per)))
    total, size = per[drawn].sum(1).T
    return np.percentile(total / size, [2.5, 97.5])


# --- figure ---------------------------------------------------------------------------------------

LOOKS = {"fitted": ("#1b7837", "-", "D"), "contribution": (style.RED, "--", "s"),
         "L2": ("#1b1b1b", "-", "o")}  #: colour, line and marker of each ranking


@style.styled
def plot_ladder(ladder: pd.DataFrame) -> Figure:
    """How well a few edges predict a filter, a line for each way to choose them.

    Parameters
    ----------
    ladder : DataFrame
        From `edge_ladder`. Bars: intervals over pictures; grey: random sets.
    """
    figure = style.blank_figure(2.9)
    axes = figure.subplots()
    by = dict(list(ladder.groupby("ranking")))
    random = by["random"]
    axes.fill_between(random["edges"], random["low"], random["high"], color="#bbbbbb", linewidth=0,
                      label="random edges, 5 to 95 %")
    axes.plot(random["edges"], random["r"], color=style.GREY, linestyle=":", label="their median")
    for place, (ranking, (colour, line, marker)) in enumerate(LOOKS.items()):
        rung = by[ranking]
        across = rung["edges"] * 1.04 ** (place - 1)  # else intervals hide each other
        axes.errorbar(across, rung["r"], [rung["r"] - rung["low"], rung["high"] - rung["r"]],
                      color=colour, linestyle=line, marker=marker, markersize=4, linewidth=1.3,
                      label="fitted on half A" if ranking == "fitted" else f"largest {ranking}")
    axes.set_xscale("log")
    axes.set_xticks(random["edges"], [f"{edges}" for edges in random["edges"]])
    axes.minorticks_off()
    axes.set(xlabel="edges kept, all others cut", ylabel="r with the filter, half B",
             ylim=(min(0, ladder["low"].min()), 1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure
