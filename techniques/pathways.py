"""Influence beyond one layer: what reaches a filter from two layers down, and who reads it.

`expanded_weights` multiplies the weights along all paths to a lower layer, `common_sources` asks
which inputs read the same channels, `factors` groups a filter's inputs by what is active together,
`clients` lists the filters above that listen to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from sklearn.decomposition import NMF

import vizutils as vz
from engine import style
from engine.ascent import noted
from engine.checks import channel_numbers
from engine.kinds import kind_of
from engine.links import made_by
from engine.units import unit_kernels
from techniques import circuits

# --- two layers down ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Expanded:
    """The weights of a filter's paths from a lower layer's channels, added up.

    Attributes
    ----------
    weights : float32 ndarray, shape (rows, columns, channels)
        Over the part of the lower layer's map that the filter sees: what one unit more of a
        channel at that place would add to the pre-activation if every ReLU between were open.
    sizes : float32 ndarray, shape (rows, columns, channels)
        The same with the absolute value of each path: positive and negative do not cancel.
    down_to : str
        The lower layer.
    """

    weights: np.ndarray
    sizes: np.ndarray
    down_to: str

    def table(self) -> pd.DataFrame:
        """Every channel, the largest L2 norm of expanded weights first.

        Returns
        -------
        DataFrame
            ``channel, l2, total`` (sum of weights), ``cancelled``: 1 − Σ|Σ paths| / Σ|paths|,
            from 0 (all paths to a place agree) to 1 (they cancel). ``attrs["cancelled"]``: the
            same over all channels.
        """
        kept, whole = np.abs(self.weights).sum((0, 1)), self.sizes.sum((0, 1))
        table = pd.DataFrame({
            "channel": np.arange(len(kept)), "l2": np.sqrt((self.weights**2).sum((0, 1))),
            "total": self.weights.sum((0, 1)),
            "cancelled": 1 - np.divide(kept, whole, out=np.ones_like(kept), where=whole > 0)})
        table = table.sort_values("l2", ascending=False, kind="stable", ignore_index=True)
        table.attrs["cancelled"] = float(1 - kept.sum() / whole.sum()) if whole.any() else 0.0
        return table


def expanded_weights(net: vz.Network, layer: str, filter: int, *, down_to: str) -> Expanded:
    """The linearised weights from a lower convolution's channels to a filter.

    Along each path weights are multiplied, and paths between the same two places added: the
    transposed convolutions of the layers between, from the filter's kernels downwards. Every
    ReLU between is taken as open, every pool as an average [1]_.

    Parameters
    ----------
    net, layer, filter
    down_to : str
        A convolution below; its activations (after its own ReLU) are what the weights multiply.
        For VGG16's ``block3_conv2``, two layers down is ``block2_conv2``.

    Raises
    ------
    ValueError
        `down_to` is not below `layer` on a path of plain convolutions, pools and batch norms.

    References
    ----------
    .. [1] C. Voss et al., "Visualizing weights", Distill 2021, doi:10.23915/distill.00024.007.
    """
    net.convolution(down_to)
    taps = vz.kernels(net, layer, filter)
    net.plain_convolution(layer)
    signed = _dilated(taps[..., None], net.model.get_layer(layer).dilation_rate)[None, ..., 0]
    weights, sizes = signed, np.abs(signed)
    operation, _ = made_by(net.layer(layer).input)
    while operation.name != vz.norm_after(net, down_to):
        weights = _down(net, operation, weights, down_to)
        sizes = _down(net, operation, sizes, down_to, np.abs)
        operation, _ = made_by(operation.input)
    return Expanded(weights[0], sizes[0], down_to)


def _down(net, operation, weights: np.ndarray, down_to: str, change=np.asarray) -> np.ndarray:
    """Weights (1, rows, columns, channels) on an operation's output, taken to its input.

    `change` is applied to the operation's own weights.
    """
    kind, does = type(operation).__name__, kind_of(operation)
    if kind == "BatchNormalization":
        scale = operation.gamma.numpy() if operation.scale else 1.0
        return weights * change(scale / np.sqrt(operation.moving_variance.numpy()
                                                + operation.epsilon)).astype("float32")
    if does.reads == "window" and does.channels == "kept":  # a pool
        area = np.prod(operation.pool_size)
        box = np.full((*operation.pool_size, 1, 1), 1 / area, "float32")
        each = _transposed(weights.transpose(3, 1, 2, 0), box, operation.strides)  # by channel
        return each.transpose(3, 1, 2, 0)
    if kind == "Conv2D":
        net.plain_convolution(operation.name)
        kernel = change(_dilated(operation.kernel.numpy(), operation.dilation_rate))
        return _transposed(weights, kernel, operation.strides)
    if does.rectifies or (does.channels == "kept" and does.sign
                          and does.reads in ("position", "border")):  # open, or without weights
        return weights
    raise ValueError(f"between the filter and {down_to!r} lies {operation.name} ({kind}); paths "
                     "are followed through plain convolutions, pools and batch norms only. "
                     "Choose as down_to a convolution between the two.")


def _transposed(maps: np.ndarray, kernel: np.ndarray, strides) -> np.ndarray:
    """What `maps`, as weights on a convolution's output, are on its input; no padding."""
    sides = [(n - 1) * s + k for n, s, k in
             zip(maps.shape[1:3], strides, kernel.shape[:2], strict=True)]
    return tf.nn.conv2d_transpose(maps, kernel, (len(maps), *sides, kernel.shape[2]), strides,
                                  "VALID").numpy()


def _dilated(kernel: np.ndarray, rate) -> np.ndarray:
    """A kernel with the zeros of its dilation written out."""
    sides = [(k - 1) * r + 1 for k, r in zip(kernel.shape[:2], rate, strict=True)]
    spread = np.zeros((*sides, *kernel.shape[2:]), kernel.dtype)
    spread[:: rate[0], :: rate[1]] = kernel
    return spread


def linear_prediction(
    net: vz.Network, layer: str, filter: int, expanded: Expanded, image_set: vz.ImageSet,
    places: pd.DataFrame, *, draws: int = 20, seed: int = 0,
) -> pd.DataFrame:
    """How far expanded weights foretell the filter's true pre-activation.

    Parameters
    ----------
    places : DataFrame
        ``picture, row, column`` in `layer`'s map, e.g. from `circuits.random_places`; none may
        see padding.
    draws : int
        Controls: the same weights dealt to other channels at random.

    Returns
    -------
    DataFrame, a row a place
        ``predicted`` (without a constant) and ``value``. ``attrs``: ``correlation`` of the two
        over the places, ``control``: the median correlation of the draws, ``percentile``: share
        of the draws (%) below the true one.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    lower = net.forward(expanded.down_to, pre_activation=False)
    upper = net.forward(layer, pre_activation=True)
    below, above = (vz.receptive_field(net, name, input_size=image_set.size)
                    for name in (expanded.down_to, layer))
    rng = np.random.default_rng(seed)
    dealt = [rng.permutation(expanded.weights.shape[2]) for _ in range(draws)]
    sets = np.stack([expanded.weights, *(expanded.weights[..., d] for d in dealt)], axis=-1)
    rows, columns, channels = expanded.weights.shape
    predicted, values = np.empty((len(places), draws + 1)), np.empty(len(places))
    for picture, here in places.groupby("picture").indices.items():
        image = image_set.read([picture])
        seen = lower(image)[0].numpy()
        at = places.iloc[here][["row", "column"]].to_numpy()
        values[here] = upper(image)[0].numpy()[at[:, 0], at[:, 1], filter]
        corners = (above.start + above.stride * at - below.start) // below.stride
        if (corners < 0).any() or (corners + (rows, columns) > seen.shape[:2]).any():
            raise ValueError(f"a place of {layer} sees padding, where weights end at the "
                             "picture's edge; take places from circuits.random_places.")
        windows = np.stack([seen[r : r + rows, c : c + columns] for r, c in corners])
        predicted[here] = windows.reshape(len(here), -1) @ sets.reshape(-1, draws + 1)
    found = np.corrcoef(predicted.T, values)[-1, :-1]
    table = pd.DataFrame({"predicted": predicted[:, 0], "value": values})
    table.attrs = {"correlation": float(found[0]), "control": float(np.median(found[1:])),
                   "percentile": float(100 * (found[1:] < found[0]).mean())}
    return table


# --- inputs that read the same channels -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sources:
    """How alike a filter's inputs read the channels below them.

    Attributes
    ----------
    feature : str
        The layer of the inputs.
    channels, excites : int and bool ndarray, shape (inputs,)
        The inputs in the order of the ranking, and whether their kernel sums above zero.
    correlation : float64 ndarray, shape (inputs, inputs)
        Of their mean kernels (a number for each channel that they read).
    pairs : DataFrame, the most opposite first
        ``one, other, correlation``; ``signs``: "same" or "opposite" edges into the filter;
        ``below``: share (%) of all pairs of the layer's channels that are as opposite.
    random : float64 ndarray
        The most opposite pair's correlation in sets of as many random channels of the layer.
    gap : float
        Mean correlation of pairs with the same sign minus that of pairs with opposite signs; NaN
        where all inputs have one sign.
    shuffled : float64 ndarray
        `gap` for every other choice of as many inhibiting inputs among these.
    """

    feature: str
    channels: np.ndarray
    excites: np.ndarray
    correlation: np.ndarray
    pairs: pd.DataFrame
    random: np.ndarray
    gap: float
    shuffled: np.ndarray


def common_sources(
    net: vz.Network, layer: str, ranking: pd.DataFrame, *, draws: int = 2000, seed: int = 0
) -> Sources:
    """Do a filter's inputs read the same channels below, and with which signs?

    Each input's kernels are averaged over their taps: one signed number for each channel that it
    reads. Two inputs with opposite numbers say the opposite of the same channels; if one excites
    the filter and the other inhibits it, both push it the same way.

    Parameters
    ----------
    net, layer
    ranking : DataFrame
        Rows of `vizutils.rank_kernels` for a filter of `layer`: two to twenty inputs.
    draws : int
        How many random sets of channels, the control for the most opposite pair.
    seed : int

    Raises
    ------
    ValueError
        `layer` reads the picture itself; fewer than two or more than twenty inputs.
    """
    feature = vz.input_layer(net, layer).feature
    if feature is None:
        raise ValueError(f"{layer} reads the picture itself: no channel below reads another.")
    if not 2 <= len(ranking) <= 20:
        raise ValueError(f"compare 2 to 20 inputs, not {len(ranking)}: rank_kernels(..., top=10).")
    means = unit_kernels(net, feature).astype("float64").mean((0, 1))
    steady = means.std(0) == 0  # reads every channel alike, or none: no correlation
    centred = (means - means.mean(0)) / np.where(steady, 1, means.std(0))
    everyone = centred.T @ centred / len(means)
    channels, excites = ranking["channel"].to_numpy(), (ranking["sign_index"] > 0).to_numpy()
    alike = everyone[np.ix_(channels, channels)]
    one, other = np.triu_indices(len(channels), 1)
    values = np.sort(everyone[np.triu_indices(len(everyone), 1)])
    pairs = pd.DataFrame({
        "one": channels[one], "other": channels[other], "correlation": alike[one, other],
        "signs": np.where(excites[one] == excites[other], "same", "opposite"),
        "below": 100 * np.searchsorted(values, alike[one, other], "right") / len(values)})
    rng = np.random.default_rng(seed)
    sets = [rng.choice(len(everyone), len(channels), replace=False) for _ in range(draws)]
    lowest = np.array([everyone[np.ix_(s, s)][one, other].min() for s in sets])

    def gap(exciting):
        same = exciting[one] == exciting[other]
        if same.all() or not same.any():
            return np.nan
        return alike[one, other][same].mean() - alike[one, other][~same].mean()

    inhibiting = int((~excites).sum())
    choices = [~np.isin(np.arange(len(channels)), c)
               for c in itertools.islice(
                   itertools.combinations(range(len(channels)), inhibiting), 200_000)]
    shuffled = np.array([gap(c) for c in choices if (c != excites).any()])
    return Sources(feature, channels, excites, alike,
                   pairs.sort_values("correlation", kind="stable", ignore_index=True), lowest,
                   float(gap(excites)), shuffled)


# --- inputs that act together -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Factors:
    """Groups of inputs that are active together, and what each does to the filter.

    Attributes
    ----------
    channels : int ndarray, shape (channels,)
    parts : float64 ndarray, shape (factors, channels)
        How much of each channel a factor holds, at the factor's mean strength.
    taps : float64 ndarray, shape (factors, kernel rows, kernel columns)
        What a factor at its mean strength adds to the pre-activation at each tap.
    table : DataFrame
        ``factor, channels`` (the three largest parts, in units of each channel's root mean
        square), ``effect`` (sum of taps), ``raises, lowers`` (positive and negative taps'
        sums), ``share`` of the activation that the factors explain.
    explained : float
        Share of the inputs' squared size that the factors hold, channels on equal footing.
    """

    channels: np.ndarray
    parts: np.ndarray
    taps: np.ndarray
    table: pd.DataFrame
    explained: float


def factors(
    found: circuits.Windows, channels: Sequence[int], *, count: int = 3, seed: int = 0
) -> Factors:
    """One-sided NMF of some of a filter's inputs.

    The factorisation is of the *activations* alone, which are never negative: each window
    position is written as a sum of `count` fixed mixtures of channels. Weights, which have both
    signs, are not factorised; they are then read through the mixtures, so that a factor's effect
    keeps its sign. That is the one-sided use of NMF on weights [1]_. Channels are brought to
    equal root mean square first, or the loudest would be the factors.

    Parameters
    ----------
    found : circuits.Windows
        At strong places, say.
    channels : sequence of int
        The edges to group, e.g. the ten strongest.
    count : int
        Number of factors, at most the number of channels.
    seed : int

    Raises
    ------
    ValueError
        Inputs are negative somewhere (a layer that reads signed colours, or no ReLU before it);
        `count` not between 1 and the number of channels; a channel out of range.

    References
    ----------
    .. [1] C. Voss et al., "Visualizing weights", Distill 2021, section "One-sided NMF",
       doi:10.23915/distill.00024.007.
    """
    channels = channel_numbers(channels, found.taps.shape[2])
    if not 1 <= count <= len(channels):
        raise ValueError(f"count must be 1 to {len(channels)}, the number of channels, "
                         f"not {count}.")
    inputs = found.inputs[..., channels].reshape(-1, len(channels)).astype("float64")
    if inputs.min() < 0:
        raise ValueError("the inputs are negative in places; non-negative factors need a layer "
                         "that reads the outputs of a ReLU.")
    loudness = np.sqrt((inputs**2).mean(0))
    scaled = np.divide(inputs, loudness, out=np.zeros_like(inputs), where=loudness > 0)
    nmf = NMF(count, init="nndsvda", max_iter=600, tol=1e-4, random_state=seed)
    strengths = nmf.fit_transform(scaled)
    mixed = nmf.components_ * strengths.mean(0)[:, None]
    parts = mixed * loudness
    taps = np.einsum("fk,rck->frc", parts, found.taps[..., channels].astype("float64"))
    table = pd.DataFrame({
        "factor": np.arange(count),
        "channels": [channels[np.argsort(-row, kind="stable")[:3]].tolist() for row in mixed],
        "effect": taps.sum((1, 2)), "raises": np.maximum(taps, 0).sum((1, 2)),
        "lowers": np.minimum(taps, 0).sum((1, 2)),
        "share": mixed.sum(1) / max(mixed.sum(), 1e-12)})
    rest = ((scaled - strengths @ nmf.components_) ** 2).sum()
    return Factors(channels, parts, taps, table, float(1 - rest / max((scaled**2).sum(), 1e-12)))


# --- one layer up -------------------------------------------------------------------------------


def clients(net: vz.Network, layer: str, filter: int, *, top: int = 5) -> pd.DataFrame:
    """The filters above that listen most to a filter.

    Parameters
    ----------
    net, layer, filter
    top : int
        How many to list, over all convolutions that read this layer's channels (through pools,
        activations and norms; a layer may have several).

    Returns
    -------
    DataFrame, the largest kernel first
        ``layer, filter`` of the client; ``l2, sign_index, kind`` of its kernel for this channel;
        ``rank``: of that kernel among the client's own (1: it listens to nothing more);
        ``share``: of the client's squared weight. ``attrs``: ``percentile``: share of this
        layer's channels (%) whose outgoing weight (root of the squared kernels of all clients)
        is below this one's; ``excited``: share of all clients whose kernel for it sums above 0.

    Raises
    ------
    ValueError
        No plain convolution reads the layer channel by channel (the last one; a layer whose
        output is added to, or concatenated with, another's; depthwise readers).

    Notes
    -----
    Weights carry the inverse scale of what they read: a channel that speaks softly has larger
    outgoing kernels. The percentile compares within the layer with that caveat.
    """
    filter = net.check_filter(layer, filter)
    net.convolution(layer)
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}.")
    readers = [name for name in net.conv_layers if vz.input_layer(net, name).feature == layer]
    if not readers:
        raise ValueError(f"no convolution reads {layer}'s channels one by one: it is the last "
                         "one, or its output is joined with another's first. Choose a layer "
                         "below another convolution.")
    tables, mass = [], 0
    for name in readers:
        kernel = unit_kernels(net, name).astype("float64")
        norms = np.sqrt((kernel**2).sum((0, 1)))  # (channels, clients)
        own = kernel[:, :, filter]
        size = np.abs(own).sum((0, 1))
        tables.append(pd.DataFrame({
            "layer": name, "filter": np.arange(kernel.shape[3]), "l2": norms[filter],
            "sign_index": np.divide(own.sum((0, 1)), size, out=np.zeros_like(size),
                                    where=size > 0),
            "rank": 1 + (norms > norms[filter]).sum(0),
            "share": norms[filter] ** 2 / np.maximum((norms**2).sum(0), 1e-30)}))
        mass = mass + (norms**2).sum(1)
    table = pd.concat(tables)
    excited = float((table["sign_index"] > 0).mean())
    table = table.sort_values("l2", ascending=False, kind="stable").head(top)
    table.insert(4, "kind", vz.kernel_kinds(table["sign_index"].to_numpy()))
    table = table.reset_index(drop=True)
    table.attrs = {"percentile": float(100 * (mass < mass[filter]).mean()), "excited": excited}
    return table


# --- figure ---------------------------------------------------------------------------------------


@style.styled
def plot_two_hop(
    picture: np.ndarray | vz.Ascent, inputs: Sequence[np.ndarray] | vz.Ascent,
    ranking: pd.DataFrame, taps: np.ndarray,
    feeders: Sequence[Sequence[np.ndarray] | vz.Ascent], feeder_rankings: Sequence[pd.DataFrame],
    feeder_taps: Sequence[np.ndarray], *, title: str = "", feature: str = "", below: str = "",
    words: Sequence[str] = (), contributions: Sequence[float] = (),
    effects: Sequence[float] = (),
) -> Figure:
    """Two hops of a circuit on one sheet: what feeds the inputs - inputs - the filter.

    Parameters
    ----------
    picture : Ascent, or ndarray (h, w, 3)
        The filter's picture, RGB 0-255, shown under `title`.
    inputs : Ascent, or sequence of ndarray (h, w, 3)
        Pictures of its strongest input channels; of ascents, which are weak is told.
    ranking, taps
        Their rows of `rank_kernels`, and their kernels, shape (rows, columns, len(inputs)).
    feeders : sequence (an input) of Ascent, or of sequence (a feeder) of ndarray (h, w, 3)
        For each input: the pictures of the channels that feed it most.
    feeder_rankings, feeder_taps
        For each input: as `ranking` and `taps`, for its feeders.
    feature, below : str
        Layers of the inputs and of the feeders.
    words, contributions, effects
        For the inputs, as in `plot_circuit`.

    Notes
    -----
    Each hop has a colour scale of its own, for kernels of two layers differ in size.
    """
    (picture, *_), (note, *_) = noted(picture if isinstance(picture, vz.Ascent) else [picture])
    title, = vz.titled([title.replace(" ", "\n", 1)], [note])
    inputs, notes = noted(inputs)
    words = vz.titled(words, notes)
    feeders, weak = zip(*map(noted, feeders), strict=True)
    picture, *inputs = vz.check_each([picture, *inputs])
    feeders = [vz.check_each(pictures) for pictures in feeders]
    rows = max(len(pictures) for pictures in feeders)
    tall, margin = 0.68, 0.9  # inches: one feeder; the headings and the colour bars
    deep = len(inputs) * (rows * tall + 0.22) + margin
    figure = style.blank_figure(deep, layout="none")
    box = np.array([style.WIDTH, deep, style.WIDTH, deep])

    def panel(left, middle, side):  # a square, by its left edge and its middle, in inches
        return figure.add_axes(np.array([left, middle - side / 2, side, side]) / box)

    def label(x, y, text, **how):
        figure.text(x / style.WIDTH, y / deep, text, **{"fontsize": 8, "linespacing": 1.1, **how})

    def edge(left, middle, side, kernel, row, norm, to, level, strongest):
        axes = panel(left, middle, side)
        drawn = style.draw_kernel(axes, kernel, norm, marks=side > 0.45)
        sign, colour, line = style.edge_look(row.kind)
        figure.add_artist(ConnectionPatch(
            (1, 0.5), (0, level), axes.transAxes, to.transAxes, arrowstyle="-|>", alpha=0.8,
            color=colour, linewidth=0.8 + 2.2 * row.l2 / strongest, linestyle=line))
        return f"{row.channel}  {sign} {row.l2:.2f}", drawn

    scale = CenteredNorm(0, np.abs(taps).max())
    scale_below = CenteredNorm(0, max(np.abs(t).max() for t in feeder_taps))
    centre = panel(5.2, deep / 2, 1.2)
    style.show_picture(centre, picture, title)
    for i, row in enumerate(ranking.itertuples()):
        middle = deep - 0.25 - (i + 0.5) * (rows * tall + 0.22)
        mine = panel(2.85, middle + 0.1, 1.0)
        style.show_picture(mine, inputs[i])
        text, drawn = edge(4.0, middle + 0.1, 0.5, taps[:, :, i], row, scale, centre,
                           1 - (i + 0.5) / len(inputs), ranking["l2"].max())
        numbers = vz.edge_numbers(i, contributions, effects)
        label(2.85, middle - 0.44, f"{text}\n{words[i]}{numbers}", va="top")
        l2 = feeder_rankings[i]["l2"].max()
        for j, below_row in enumerate(feeder_rankings[i].itertuples()):
            height = middle + (len(feeders[i]) / 2 - 0.5 - j) * tall
            style.show_picture(panel(0.85, height, 0.6), feeders[i][j])
            text, drawn_below = edge(1.53, height, 0.5, feeder_taps[i][:, :, j], below_row,
                                     scale_below, mine, 1 - (j + 0.5) / len(feeders[i]), l2)
            label(0.8, height, "\n".join(filter(None, [*text.split("  "), weak[i][j] and "weak"])),
                  ha="right", va="center")
    for x, name in ((0.85, below), (2.85, feature)):
        label(x, deep - 0.2, name, weight="bold")
    for left, drawn_on, hop in ((0.85, drawn_below, below), (4.0, drawn, feature)):
        bar = figure.add_axes(np.array([left, 0.34, 1.2, 0.07]) / box)
        figure.colorbar(drawn_on, cax=bar, orientation="horizontal")
        label(left + 1.3, 0.3, f"weight from\n{hop}", va="center", color=style.GREY)
    return figure


@style.styled
def plot_sources(found: Sources) -> Figure:
    """Correlations of the inputs' mean kernels; the most opposite pair among random sets'."""
    order = np.argsort(~found.excites, kind="stable")  # exciting inputs first
    names = [f"{found.channels[i]} {'+' if found.excites[i] else '−'}" for i in order]
    figure = style.blank_figure(3.1)
    matrix, control = figure.subplots(1, 2, width_ratios=(1.25, 1))
    shown = found.correlation[np.ix_(order, order)]
    shown[np.eye(len(order), dtype=bool)] = np.nan  # of each with itself
    drawn = matrix.imshow(shown, cmap=style.SIGNED, norm=CenteredNorm(0, np.nanmax(np.abs(shown))),
                          interpolation="nearest")
    matrix.set_facecolor("#dddddd")
    matrix.set_xticks(range(len(order)), names, rotation=90)
    matrix.set_yticks(range(len(order)), names)
    border = found.excites.sum() - 0.5
    for line in (matrix.axhline, matrix.axvline):
        line(border, color="black", linewidth=1)
    figure.colorbar(drawn, ax=matrix, label="correlation")
    control.hist(found.random, bins=40, color="#bbbbbb")
    lowest = found.pairs["correlation"].iloc[0]
    control.axvline(lowest, color=style.RED)
    control.annotate("these inputs", (lowest, 0.97), xycoords=("data", "axes fraction"), va="top",
                     xytext=(-4, 0), textcoords="offset points", color=style.RED,
                     ha="right")
    control.set(xlabel="most opposite pair's correlation", ylabel="random sets of channels")
    return figure
