"""What inhibition does: take all of it from a filter, and see what comes back.

The pre-activation is linear in the kernels, so the filter with and without its inhibitory edges,
and the random cuts that serve as control, are filters of one convolution: the layers below run
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from scipy import stats

import vizutils as vz
from engine.graph import is_never_negative_at
from techniques import circuits


def without_inhibition(
    net: vz.Network, layer: str, filter: int, *, clip: bool = False
) -> vz.Network:
    """The network in which nothing inhibits one filter.

    Parameters
    ----------
    clip : bool
        False: cut the inhibitory edges, those of a negative sign index (`vizutils.kernel_table`)
        - what mixed kernels hold against their own channel stays. True: set every negative tap
        of every edge to zero.

    Returns
    -------
    Network
        A copy; `net` is not changed.

    Raises
    ------
    ValueError
        The layer's inputs can be negative (the picture's colours, features before a ReLU): a
        negative tap then asks for small values, it does not inhibit.
    """
    free = _uninhibited(net, layer, filter, clip)
    what = "negative taps" if clip else "inhibitory edges"
    return circuits.rewired(net, layer, filter, free, f"{layer} filter {filter} without {what}")


def _uninhibited(net: vz.Network, layer: str, filter: int, clip: bool) -> np.ndarray:
    """The filter's kernels without inhibition, shape (rows, columns, channels)."""
    if not reads_rectified(net, layer):
        raise ValueError(
            f"{layer} reads signed inputs (colours, or features before a ReLU): a negative tap "
            "there asks for small values and does not inhibit; choose a layer that reads the "
            "output of a ReLU.")
    taps = vz.kernels(net, layer, filter)
    return np.maximum(taps, 0) if clip else np.where(taps.sum((0, 1)) < 0, 0, taps)


def reads_rectified(net: vz.Network, layer: str) -> bool:
    """Whether a plain convolution's inputs are never negative, so that a weight's sign is final."""
    return is_never_negative_at(net.plain_convolution(layer).input)


@dataclass(frozen=True, eq=False)
class Release:
    """What a filter answers to once nothing inhibits it.

    Attributes
    ----------
    pictures : DataFrame, strongest picture after the removal first
        ``picture, name``; ``before, after``: the picture's maximum pre-activation;
        ``rank_before, rank_after``, 1 the strongest; ``row, column``: where it is now;
        ``before_there``: what the whole filter answers at that place; ``returned``: among the
        strongest now, and not before.
    patches : float32 ndarray, shape (returned, size, size, 3)
        Their receptive-field crops, RGB 0-255, in the order of `pictures`.
    measures : DataFrame
        ``measure, before, after``, then ``control, control_low, control_high`` (median, 5th and
        95th percentile over random cuts of as much squared weight) and ``percentile`` (share of
        random cuts, in %, after which the measure is smaller). Measures:
        ``above`` (% of random places over the 99th percentile they had before),
        ``above, level kept`` (the same after the mean rise is taken off again, which is what
        edges that read their mean input would give), ``selectivity`` (mean of the strongest
        pictures' maxima, in standard deviations above the mean of random places),
        ``kurtosis`` (excess, over random places), ``rank correlation`` (Spearman, pictures'
        maxima with those before), ``kept`` (how many of the strongest pictures stay so).
    """

    pictures: pd.DataFrame
    patches: np.ndarray
    measures: pd.DataFrame


def released(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *, k: int = 9,
    clip: bool = False, draws: int = 20, seed: int = 0,
) -> Release:
    """Remove all inhibition from a filter and see which pictures it answers to then.

    Parameters
    ----------
    k : int
        How many pictures count as the strongest.
    clip : bool
        As in `without_inhibition`.
    draws : int
        Random cuts for the control: edges (with `clip`: taps) of either sign, drawn until they
        hold as much squared weight as what inhibits.

    Returns
    -------
    Release

    Notes
    -----
    The pre-activation is linear in the kernels, so the layers below run once, and the filter
    with and without inhibition and all controls are filters of one convolution on top.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    variants = _variants(net, layer, filter, clip=clip, draws=draws, seed=seed)
    seen = _answers(net, layer, filter, variants, image_set, seed=seed)
    k = min(k, len(image_set))
    before, after = seen.maxima[:, 0], seen.maxima[:, 1]
    ranks = stats.rankdata(-seen.maxima[:, :2], axis=0, method="ordinal")
    pictures = pd.DataFrame({
        "picture": np.arange(len(image_set)), "name": image_set.names, "before": before,
        "after": after, "rank_before": ranks[:, 0], "rank_after": ranks[:, 1],
        "row": seen.rows, "column": seen.columns, "before_there": seen.before_there,
        "returned": (ranks[:, 1] <= k) & (ranks[:, 0] > k),
    }).sort_values("rank_after", ignore_index=True)
    field = vz.receptive_field(net, layer, input_size=image_set.size)
    crops = [np.empty((0, field.size, field.size, 3), "float32")]
    for place in pictures[pictures["returned"]].itertuples():
        top, left, bottom, right = field.window(place.row, place.column)
        crops.append(image_set.read([place.picture])[:, top:bottom, left:right])
    measured = [_selectivity(seen, variant, k) for variant in range(len(variants))]
    return Release(pictures, np.concatenate(crops), _against_controls(measured))


def released_stimuli(
    net: vz.Network, layer: str, filter: int, stimuli: np.ndarray, labels: Sequence, *,
    threshold: float = 0.0, clip: bool = False, draws: int = 20, seed: int = 0,
) -> pd.DataFrame:
    """The same question put with drawn stimuli: which of them does inhibition veto?

    Parameters
    ----------
    stimuli : ndarray, shape (n, h, w, 3)
        RGB 0-255.
    labels : sequence, length n
    threshold : float
        Pre-activation above which a stimulus counts as answered: 0, where the ReLU opens, or
        e.g. the 99th percentile of random places.

    Returns
    -------
    DataFrame, in the order of the stimuli
        ``label``; ``before, after``: maximum pre-activation; ``returned``: answered now and not
        before; ``control``: median of ``after`` over random cuts of as much squared weight;
        ``percentile``: share of random cuts (%) after which the response is smaller.
    """
    image_set = vz.as_image_set(stimuli, copy=False)
    if len(labels) != len(image_set):
        raise ValueError(f"{len(image_set)} stimuli need as many labels, not {len(labels)}.")
    variants = _variants(net, layer, filter, clip=clip, draws=draws, seed=seed)
    seen = _answers(net, layer, filter, variants, image_set, seed=seed)
    before, after, controls = seen.maxima[:, 0], seen.maxima[:, 1], seen.maxima[:, 2:]
    return pd.DataFrame({
        "label": list(labels), "before": before, "after": after,
        "returned": (before <= threshold) & (after > threshold),
        "control": np.median(controls, axis=1),
        "percentile": 100 * (controls < after[:, None]).mean(1),
    })


def _variants(net, layer, filter, *, clip: bool, draws: int, seed: int) -> list[np.ndarray]:
    """Kernels of the whole filter, of the uninhibited one, and of `draws` random cuts."""
    free = _uninhibited(net, layer, filter, clip)
    taps = vz.kernels(net, layer, filter)
    parts = taps.reshape(1 if clip else -1, taps.size if clip else taps.shape[2])
    gone = (parts != free.reshape(parts.shape)).any(0)
    table = pd.DataFrame({"channel": np.arange(gone.size), "l2": np.linalg.norm(parts, axis=0)})
    controls = circuits.matched_controls(table, np.flatnonzero(gone), draws=draws, seed=seed,
                                         others=False)
    return [taps, free, *(np.where(np.isin(table["channel"], cut), 0, parts).reshape(taps.shape)
                          for cut in controls)]


@dataclass(frozen=True, eq=False)
class _Answers:
    """What variants of one filter answer: (pictures, variants) and (places, variants)."""

    maxima: np.ndarray
    sample: np.ndarray
    rows: np.ndarray  # of the second variant's maximum in each picture
    columns: np.ndarray
    before_there: np.ndarray  # the first variant's answer at that place


def _answers(
    net, layer, filter, variants: Sequence[np.ndarray], image_set, *, seed: int, each: int = 100
) -> _Answers:
    """Stream the pictures once through all variants; `each` random places a picture are kept."""
    conv = net.plain_convolution(layer)
    bias = vz.filter_bias(net, layer, filter)
    taps = np.stack(variants, -1)
    reads = net.forward(vz.input_layer(net, layer).tensor, pre_activation=False)
    inside = vz.unpadded_positions(net, layer, image_set.size)
    rng = np.random.default_rng(seed)
    found = []
    for batch in image_set.watched(f"{layer}: pictures", side=net.fixed_size):
        maps = keras.ops.conv(reads(batch), taps, conv.strides, conv.padding, "channels_last",
                              conv.dilation_rate).numpy()[:, inside, inside] + bias
        side = maps.shape[2]
        maps = maps.reshape(len(batch), -1, len(variants))
        spots = rng.integers(maps.shape[1], size=(len(batch), each, 1))
        place = maps[:, :, 1].argmax(1)
        found.append((maps.max(1), np.take_along_axis(maps, spots, 1).reshape(-1, len(variants)),
                      place // side + inside.start, place % side + inside.start,
                      maps[np.arange(len(batch)), place, 0]))
    return _Answers(*map(np.concatenate, zip(*found, strict=True)))


def _selectivity(seen: _Answers, variant: int, k: int) -> dict[str, float]:
    """How one variant of a filter compares with the whole filter (variant 0)."""
    maxima, whole = seen.maxima[:, variant], seen.maxima[:, 0]
    places, usual = seen.sample[:, variant], seen.sample[:, 0]
    limit = np.quantile(usual, 0.99)
    spread = max(places.std(), 1e-12)
    best, best_before = (np.argsort(-m, kind="stable")[:k] for m in (maxima, whole))
    return {
        "above": 100 * (places > limit).mean(),
        "above, level kept": 100 * (places - places.mean() + usual.mean() > limit).mean(),
        "selectivity": (maxima[best].mean() - places.mean()) / spread,
        "kurtosis": (((places - places.mean()) / spread) ** 4).mean() - 3,
        "rank correlation": _rank_correlation(maxima, whole),
        "kept": len(np.intersect1d(best, best_before)),
    }


def _rank_correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Spearman's; 0 where one of the two is constant, for that ranks nothing."""
    if not (np.ptp(values) and np.ptp(others)):
        return 0.0
    return pd.Series(values).corr(pd.Series(others), "spearman")


def _against_controls(measured: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Measures before and after, beside those of the controls (all that follow)."""
    table = pd.DataFrame(measured).T  # (measures, variants)
    before, after, controls = table[0], table[1], table.iloc[:, 2:]
    low, middle, high = np.percentile(controls, [5, 50, 95], axis=1)
    return pd.DataFrame({
        "before": before, "after": after, "control": middle, "control_low": low,
        "control_high": high, "percentile": 100 * controls.lt(after, axis=0).mean(axis=1),
    }).rename_axis("measure").reset_index()
