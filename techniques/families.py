"""Families: filters of one layer that look for the same thing turned or mirrored.

If a layer holds a feature in several orientations, then turning the picture makes its filters
exchange their maps: the layer is *equivariant* in that feature. Three witnesses are heard, each
for every pair of filters, so that a pair can be compared with all others: maps of real pictures
and of the same pictures turned (`response_agreement`), tuning to drawn stimuli
(`tuning_agreement`) and the weights (`kernel_agreement`). `relatives` asks them about one
filter and applies a rule.

An agreement is an array ``agreement[t, a, b]``: how far filter b is filter a moved by
transformation t, from −1 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure

import vizutils as vz
from data.progress import Progress
from engine import style
from engine.ascent import noted
from engine.units import unit_kernels

#: The eight ways to lay a square on itself. Turns are anticlockwise; a mirrored one is mirrored
#: left to right first and turned then.
TRANSFORMATIONS = (
    "same", "turn 90°", "turn 180°", "turn 270°",
    "mirror left-right", "mirror at main diagonal", "mirror top-bottom",
    "mirror at other diagonal",
)


def transformed(array: np.ndarray, number: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """`array` moved by ``TRANSFORMATIONS[number]`` in the plane of `axes` (rows, columns)."""
    mirrored, turns = divmod(number, 4)
    return np.rot90(np.flip(array, axes[1]) if mirrored else array, turns, axes)


def _group() -> np.ndarray:
    """Numbers of products, shape (8, 8): ``[t, s]`` is "first s, then t"."""
    square = np.arange(4).reshape(2, 2)
    keys = [transformed(square, t).tobytes() for t in range(8)]
    return np.array([[keys.index(transformed(transformed(square, s), t).tobytes())
                      for s in range(8)] for t in range(8)])


# --- maps of real pictures ----------------------------------------------------------------------


def response_agreement(
    net: vz.Network, layer: str | Sequence[str], image_set: vz.ImageSet, *, pictures: int = 32,
    size: int | None = None, seed: int = 0,
) -> np.ndarray | list[np.ndarray]:
    """Correlation of each filter's map of a picture, moved, with each one's map of it moved.

    Pieces of the pictures are shown in all eight positions, which needs no interpolation; maps
    are moved back, so that each position compares what two filters say about the same place.
    As every piece takes every position, no orientation is over-represented, and
    ``agreement[t, a, b]`` equals ``agreement[inverse of t, b, a]``.

    Parameters
    ----------
    net
    layer : str or sequence of str
        A layer with maps, read as pre-activation over positions that see no padding. Several,
        the highest last, cost little more than that one: a layer and the one below it are what
        `kernel_agreement` needs.
    image_set : ImageSet
    pictures : int
        How many of the pictures (drawn with `seed`) give a piece each.
    size : int, optional
        Side of a piece in pixels, cut at a random place: by default the (last) layer's receptive
        field and twelve strides. The largest side not above it (nor above the pictures') is used
        at which positions lie mirror-symmetrically in the picture.

    Returns
    -------
    float32 ndarray, shape (8, filters, filters), or a list of them
        In the order of `TRANSFORMATIONS`. Zero for a filter whose map is constant.

    Raises
    ------
    ValueError
        At no such side do the layer's positions lie symmetrically and see no padding.

    References
    ----------
    .. [1] C. Olah et al., "Naturally occurring equivariance in neural networks", Distill 2020,
       doi:10.23915/distill.00024.004.
    """
    layers = [layer] if isinstance(layer, str) else list(layer)
    image_set = vz.as_image_set(image_set, copy=False)
    inside, size = _mirrored_positions(net, layers, image_set.size, size)
    forward = net.forward(layers, pre_activation=True)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(image_set))[:pictures]
    corners = rng.integers(image_set.size - size + 1, size=(len(chosen), 2))
    sums = [_Sums(net.channels(name)) for name in layers]
    for picture, (row, column) in Progress(zip(chosen, corners, strict=True), "eight positions",
                                           len(chosen), delay=1):
        piece = image_set.read([picture])[0, row : row + size, column : column + size]
        shown = np.stack([transformed(piece, t) for t in range(8)])
        for one, maps, places in zip(sums, tf.nest.flatten(forward(shown)), inside, strict=True):
            one.add(maps[:, places, places].numpy())
    found = [one.correlations() for one in sums]
    return found[0] if isinstance(layer, str) else found


class _Sums:
    """Running sums for the correlations of a layer's filters."""

    def __init__(self, filters: int):
        self.group = _group()
        self.inverse = np.argmin(self.group, axis=1)  # the product with it is 0, "same"
        self.count, self.total = 0, np.zeros(filters)
        self.cross = np.zeros((8, filters, filters))

    def add(self, maps: np.ndarray) -> None:
        """Maps of one piece in its eight positions, shape (8, side, side, filters)."""
        back = np.stack([transformed(m, t) for m, t in zip(maps, self.inverse, strict=True)])
        back = back.reshape(8, -1, maps.shape[-1])  # (position shown in, place, filter)
        flat = back.reshape(-1, maps.shape[-1])
        for t in range(8):  # b is read where the piece lies moved by t beyond where a is read
            self.cross[t] += flat.T @ back[self.group[t]].reshape(flat.shape)
        self.total += flat.sum(0, dtype="float64")
        self.count += len(flat)

    def correlations(self) -> np.ndarray:
        mean = self.total / self.count
        covariance = self.cross / self.count - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diagonal(covariance[0]), 0))
        scale = np.outer(spread, spread)
        return np.divide(covariance, scale, out=np.zeros_like(covariance),
                         where=scale > 1e-9 * scale.max()).clip(-1, 1).astype("float32")


def _mirrored_positions(net, layers, largest: int, size: int | None) -> tuple[list[slice], int]:
    """Unpadded positions for the largest fit side at which position i mirrors to n − 1 − i.

    A strided layer may pad one pixel more on one side, or leave one out, at some sizes; then a
    mirrored picture is sampled at other places than the picture.
    """
    top = vz.receptive_field(net, layers[-1], input_size=largest)
    wanted = min(largest, top.size + 12 * top.stride if size is None else size)
    for side in range(wanted, max(top.size, wanted - 2 * top.stride) - 1, -1):
        fields = [vz.receptive_field(net, name, input_size=side) for name in layers]
        symmetric = all(2 * f.start + f.stride * (f.positions - 1) + f.size == side
                        for f in fields)
        if symmetric and all(f.unpadded.stop > f.unpadded.start for f in fields):
            return [f.unpadded for f in fields], side
    raise ValueError(f"no piece of at most {wanted} px has positions of {layers[-1]} that mirror "
                     f"each other and see no padding (its units see {top.size} px); use larger "
                     "pictures, or a lower layer.")


# --- drawn stimuli ------------------------------------------------------------------------------


def tuning_agreement(
    table: pd.DataFrame, scores: np.ndarray, *, ignore: Sequence[str] = ("phase", "shift")
) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of each filter's scores with each one's scores for the same stimuli turned.

    Parameters
    ----------
    table : DataFrame
        The stimuli; ``orientation`` in degrees (NaN: has none, left out). Stimuli that agree in
        all other columns are one series; its orientations must be evenly spaced and go once
        round, be that 60°, 90°, 180° or 360°. Series in coarser steps than the finest are left
        out, so that every turn compares the same stimuli.
    scores : ndarray, shape (stimuli, filters)
    ignore : sequence of str
        Columns over which scores are averaged first: half a turn takes a grating to another
        phase, and a bar to the other side of the centre, so that these have no fixed partner.

    Returns
    -------
    turns : ndarray, shape (n,)
        Degrees, from 0 in the battery's step, in the sense in which ``orientation`` grows.
    agreement : float32 ndarray, shape (n, filters, filters)
        ``[d, a, b]``: filter b scores on the turned stimuli as filter a does on the stimuli.

    Raises
    ------
    ValueError
        No series has several orientations, or one is unevenly spaced.
    """
    others = [c for c in table.columns if c not in ("orientation", *ignore)]
    frame = pd.DataFrame(np.asarray(scores))
    frame["series"] = (table.groupby(others, dropna=False).ngroup().to_numpy() if others else 0)
    frame["orientation"] = table["orientation"].to_numpy()
    means = frame.dropna(subset="orientation").groupby(["series", "orientation"]).mean()
    series = [part for _, part in means.groupby(level=0) if len(part) > 1]
    if not series:
        raise ValueError("no two stimuli differ in orientation alone; name columns that number "
                         "the stimuli in ignore=(...).")
    steps = np.array([_step(part.index.get_level_values(1).to_numpy()) for part in series])
    series = [part.to_numpy("float64") for part, step in zip(series, steps, strict=True)
              if np.isclose(step, steps.min())]
    values = np.concatenate(series)
    deviation = values - values.mean(0)
    length = np.linalg.norm(deviation, axis=0)
    unit = np.divide(deviation, length, out=np.zeros_like(deviation), where=length > 1e-12)
    parts = np.split(unit, np.cumsum([len(one) for one in series])[:-1])
    shifts = np.arange(max(map(len, series)))
    agreement = [unit.T @ np.concatenate([np.roll(part, -shift, 0) for part in parts])
                 for shift in shifts]
    return shifts * steps.min(), np.stack(agreement).astype("float32")


def _step(orientations: np.ndarray) -> float:
    """The even spacing of a series' ascending orientations."""
    step = orientations[1] - orientations[0]
    whole = step * len(orientations)
    if not np.allclose(np.diff(orientations), step) or abs(360 / whole - round(360 / whole)) > 1e-6:
        raise ValueError(f"orientations {orientations} are not evenly spaced once round; a "
                         "turned stimulus would have no partner.")
    return float(step)


# --- weights ------------------------------------------------------------------------------------

SHARPNESS = 4  #: power that turns agreement of two channels into the weight of their match


def correspondence(agreement: np.ndarray) -> np.ndarray:
    """Which channel takes each one's part when the picture is moved.

    A soft match: positive agreement to the power of `SHARPNESS`, each row brought to sum 1. In
    VGG16 few channels have an exact partner. A match with the one best channel (or one-to-one)
    throws the second-best away; over all pairs of block3_conv1 and block3_conv2, agreement of
    kernels followed agreement of responses best with this soft match (correlation 0.76 to 0.79,
    against 0.72 to 0.75 for the single best).

    Parameters
    ----------
    agreement : ndarray, shape (8, channels, channels)
        `response_agreement` of the layer whose channels are read.

    Returns
    -------
    float32 ndarray, shape (8, channels, channels)
        ``[t, c, d]``: share of channel c's part that d takes under transformation t.
    """
    weight = np.maximum(agreement, 0).astype("float64") ** SHARPNESS
    weight[0] = np.eye(len(weight[0]))  # an unmoved picture needs no match
    total = weight.sum(2, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0).astype("float32")


def kernel_agreement(net: vz.Network, layer: str, match: np.ndarray | None = None) -> np.ndarray:
    """Cosine of each filter's kernels, moved and handed to the matching channels, with each one's.

    Parameters
    ----------
    net, layer
        A plain convolution with square kernels.
    match : ndarray, shape (8, channels, channels), optional
        `correspondence` of the layer below; not for a layer that reads the picture, whose red,
        green and blue stay what they are when the picture is moved.

    Returns
    -------
    float32 ndarray, shape (8, filters, filters)

    Raises
    ------
    ValueError
        A match is missing, superfluous or of the wrong shape; kernels that are not square.
    """
    kernel = unit_kernels(net, layer)
    channels, feature = kernel.shape[2], vz.input_layer(net, layer).feature
    if kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernels of {layer} are {kernel.shape[0]} × {kernel.shape[1]}: only "
                         "square ones can be laid on themselves in eight ways.")
    if (match is None) != (feature is None):
        raise ValueError(f"{layer} reads " + (
            "the picture: its colours match themselves; leave match out." if feature is None else
            f"{feature}: give match=correspondence(response_agreement(net, {feature!r}, ...))."))
    match = np.broadcast_to(np.eye(channels, dtype="float32"),
                            (8, channels, channels)) if match is None else match
    if match.shape != (8, channels, channels):
        raise ValueError(f"match has shape {match.shape}; {layer} reads {channels} channels, so "
                         f"(8, {channels}, {channels}) is needed.")
    plain = _unit_columns(kernel.reshape(-1, kernel.shape[3]))
    moved = (np.einsum("rscf,cd->rsdf", transformed(kernel, t), match[t], optimize=True)
             for t in range(8))
    return np.stack([_unit_columns(m.reshape(plain.shape)).T @ plain for m in moved])


def _unit_columns(matrix: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(matrix, axis=0)
    return np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)


# --- a filter's relatives -----------------------------------------------------------------------

BEYOND = 99.0  #: percentile among all pairs that a member's responses and kernels both exceed
NEAR = 95.0  #: the same for a possible member
MEMBERS = 2  #: how many members, beside the filter, make a family
RESPONSE_FLOOR = 0.5  #: agreement of responses below which the rarest pair is no variant
KERNEL_FLOOR = 0.3  #: the same for kernels
GAIN = 0.1  #: by how much a variant must agree better moved than unmoved
INVARIANT = 0.7  #: agreement with itself in all positions: half the variance (0.7²) is shared


@dataclass(frozen=True, eq=False)
class Relatives:
    """The filters nearest to one under turns and mirrors, and what a rule makes of them.

    Attributes
    ----------
    filter : int
    table : DataFrame, nearest first
        ``filter``; ``transformation``: the one at which the responses agree best;
        ``response, response_percentile``; ``gain``: how much better they agree so than unmoved;
        ``kernel, kernel_percentile`` at the same transformation; if tuning was given ``turn``
        (degrees; best of all), ``tuning, tuning_percentile``; ``member``. Percentiles are among
        all ordered pairs of the layer, each at its own best. A pair is as near as the weaker of
        its response and kernel percentiles.
    itself : DataFrame
        ``transformation, response, kernel``: agreement with itself moved.
    pairs : DataFrame
        ``response, kernel`` (and ``tuning``) of all ordered pairs.
    verdict : {"family", "no family", "undecided"}
        "family": at least `MEMBERS` others lie beyond percentile `BEYOND` in responses and in
        kernels, above `RESPONSE_FLOOR` and `KERNEL_FLOOR`, and agree better by `GAIN` moved than
        unmoved (else they are duplicates). "undecided": fewer do, but one does, or `MEMBERS` do
        beyond percentile `NEAR`.
    invariant : bool
        The filter agrees with itself above `INVARIANT` in all eight positions.
    sentence : str
    """

    filter: int
    table: pd.DataFrame
    itself: pd.DataFrame
    pairs: pd.DataFrame
    verdict: str
    invariant: bool
    sentence: str


def relatives(
    filter: int, response: np.ndarray, kernel: np.ndarray, *,
    tuning: tuple[np.ndarray, np.ndarray] | None = None, count: int = 8,
) -> Relatives:
    """Find a filter's nearest relatives and say whether they make a family.

    Parameters
    ----------
    filter : int
    response, kernel : ndarray, shape (8, filters, filters)
        From `response_agreement` and `kernel_agreement`.
    tuning : (turns, agreement), optional
        From `tuning_agreement`; reported beside the others, no part of the rule (a battery of
        stimuli may hold nothing that the filter answers to).
    count : int
        How many relatives to list.
    """
    filters = response.shape[1]
    if not 0 <= filter < filters or kernel.shape != response.shape:
        raise ValueError(f"filter must be 0 to {filters - 1}, and both agreements of one shape; "
                         f"got filter {filter}, {response.shape} and {kernel.shape}.")
    best = response.argmax(0)[None]
    of_pairs = {"response": response.max(0), "kernel": np.take_along_axis(kernel, best, 0)[0]}
    if tuning is not None:
        of_pairs["tuning"] = tuning[1].max(0)
    different = ~np.eye(filters, dtype=bool)
    pairs = pd.DataFrame({name: values[different] for name, values in of_pairs.items()})
    table = pd.DataFrame({"filter": np.arange(filters),
                          "transformation": np.array(TRANSFORMATIONS)[best[0, filter]]})
    for name, values in of_pairs.items():
        if name == "tuning":
            table["turn"] = tuning[0][tuning[1][:, filter].argmax(0)]
        table[name] = values[filter]
        table[f"{name}_percentile"] = _percentiles(values[filter], pairs[name].to_numpy())
        if name == "response":
            table["gain"] = values[filter] - response[0, filter]
    table = table[table["filter"] != filter]
    nearness = table[["response_percentile", "kernel_percentile"]].min(axis=1)
    variant = ((table["gain"] >= GAIN) & (table["response"] >= RESPONSE_FLOOR)
               & (table["kernel"] >= KERNEL_FLOOR))
    table["member"] = variant & (nearness >= BEYOND)
    members, near = int(table["member"].sum()), int((variant & (nearness >= NEAR)).sum())
    verdict = ("family" if members >= MEMBERS else
               "undecided" if members or near >= MEMBERS else "no family")
    listed = table.loc[nearness.sort_values(ascending=False, kind="stable").index]
    itself = pd.DataFrame({"transformation": TRANSFORMATIONS,
                           "response": response[:, filter, filter],
                           "kernel": kernel[:, filter, filter]})
    invariant = bool(itself["response"].min() >= INVARIANT)
    return Relatives(filter, listed.head(count).reset_index(drop=True), itself, pairs, verdict,
                     invariant, _sentence(filter, listed, itself, verdict, members, invariant))


def _percentiles(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Share of `among` (%) that does not exceed each value."""
    return 100 * np.searchsorted(np.sort(among), values, side="right") / len(among)


def _sentence(filter, listed, itself, verdict, members, invariant) -> str:
    nearest, moved = listed.iloc[0], itself["response"][1:]
    return (f"Filter {filter}: {verdict} ({members} other{'s' * (members != 1)} beyond the "
            f"{BEYOND:g}th percentile of all pairs in responses and kernels); nearest is filter "
            f"{nearest['filter']} ({nearest['transformation']}; response {nearest['response']:.2f}"
            f", percentile {nearest['response_percentile']:.1f}; kernel {nearest['kernel']:.2f}, "
            f"percentile {nearest['kernel_percentile']:.1f}). Turned or mirrored pictures change "
            f"its own map {'little' if invariant else 'much'} (agreement with itself "
            f"{moved.min():.2f} to {moved.max():.2f}): it is "
            f"{'invariant' if invariant else 'not invariant'} by the rule.")


@style.styled
def plot_relatives(
    found: Relatives, own: np.ndarray | vz.Ascent, pictures: Sequence[np.ndarray] | vz.Ascent, *,
    columns: int = 5,
) -> Figure:
    """The filter's picture and those of its nearest relatives, with transformation and numbers.

    A dot marks members of the family.

    Parameters
    ----------
    found : Relatives
    own : Ascent, or ndarray, shape (h, w, 3)
        RGB 0-255; of an ascent, whether it is weak is told.
    pictures : Ascent, or sequence of ndarray (h, w, 3)
        In the order of ``found.table``, as many as are to be shown.
    """
    (own, *_), (note, *_) = noted(own if isinstance(own, vz.Ascent) else [own])
    pictures, notes = noted(pictures)
    own, *pictures = vz.check_each([own, *pictures])
    titles = [f"filter {found.filter}\n({found.verdict})"] + [
        f"{'● ' * row.member}filter {row.filter}\n{row.transformation}\n"
        f"response {row.response:.2f}\nkernel {row.kernel:.2f}"
        for row in found.table.head(len(pictures)).itertuples()]
    titles = vz.titled(titles, [note, *notes][:len(titles)])
    rows = -(-len(titles) // columns)
    figure = style.blank_figure(rows * 2.05)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(titles):]:
        axes.set_axis_off()
    for axes, image, title in zip(panels.flat, [own, *pictures], titles, strict=False):
        style.show_picture(axes, image, title)
        axes.title.set_fontsize(8)
    return figure


@style.styled
def plot_pairs(found: Relatives) -> Figure:
    """Agreement of all pairs of the layer, with the filter's nearest relatives marked."""
    witnesses = list(found.pairs.columns)
    figure = style.blank_figure(2.5, layout="constrained")
    panels = figure.subplots(1, len(witnesses), squeeze=False)[0]
    for axes, name in zip(panels, witnesses, strict=True):
        axes.hist(found.pairs[name], bins=80, color="#bbbbbb")
        axes.set_yscale("log")
        limit = np.percentile(found.pairs[name], BEYOND)
        axes.axvline(limit, color=style.GREY, linestyle=":", linewidth=1)
        axes.annotate(f"{BEYOND:g} %", (limit, 0.97), xycoords=("data", "axes fraction"), va="top",
                      ha="right", xytext=(-2, 0), textcoords="offset points", fontsize=8)
        bottom = axes.get_ylim()[0]
        for member, marker, face in ((False, "v", "white"), (True, "D", style.RED)):
            values = found.table.loc[found.table["member"] == member, name]
            drawn, = axes.plot(values, [bottom * 1.6] * len(values), marker, color=style.RED,
                               clip_on=False, markerfacecolor=face, markersize=5,
                               label="member" if member else "relative")
            drawn.set_in_layout(False)  # without any member its box is infinite: no layout then
        axes.set(xlabel=f"agreement of {name}{'s' * (name != 'tuning')}")
    panels[0].set_ylabel("pairs of filters")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  frameon=False)
    return figure
