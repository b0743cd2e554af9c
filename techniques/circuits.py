"""What each edge of a circuit contributes, and what happens when edges are cut.

A filter's pre-activation at one position is a sum, exactly: its bias, plus for every input
channel the product of that channel's kernel with the window of activations it reads. This file
takes the sum apart (`contributions`), puts it together again without some of its terms
(`response`, `cut_curve`, `matched_controls`), and builds the network in which edges are really
gone (`ablate`), for what lies above the filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import vizutils as vz


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
    conv = _plain_convolution(net, layer)
    taps = vz.kernels(net, layer, filter)
    reads = vz._forward(net, vz.input_layer(net, layer).tensor, pre_activation=False)
    writes = vz._forward(net, layer, pre_activation=True)
    inputs = np.empty((len(places), *taps.shape), "float32")
    values = np.empty(len(places), "float32")
    pictures = places["picture"].to_numpy()
    for picture in np.unique(pictures):
        here = np.flatnonzero(pictures == picture)
        rows, columns = (places[axis].to_numpy()[here] for axis in ("row", "column"))
        image = image_set.read([picture])
        unfolded = tf.image.extract_patches(
            reads(image), [1, *conv.kernel_size, 1], [1, *conv.strides, 1],
            [1, *conv.dilation_rate, 1], conv.padding.upper())[0].numpy()
        side = unfolded.shape[:2]
        if (rows >= side[0]).any() or (columns >= side[1]).any() or min(*rows, *columns) < 0:
            raise ValueError(f"a place lies outside the {side[0]} × {side[1]} map of {layer}.")
        inputs[here] = unfolded[rows, columns].reshape(-1, *taps.shape)
        values[here] = writes(image)[0].numpy()[rows, columns, filter]
    bias = float(conv.bias.numpy()[filter]) if conv.use_bias else 0.0
    return Windows(inputs, taps, bias, values)


def _plain_convolution(net: vz.Network, layer: str) -> keras.layers.Conv2D:
    """The layer, if its filters read every input channel through a kernel of their own."""
    conv = vz._conv_layer(net, layer)
    if type(conv) is not keras.layers.Conv2D or conv.groups != 1:
        raise ValueError(f"{layer} is a {type(conv).__name__}; edges are taken apart and cut for "
                         "plain convolutions (Conv2D with one group) only.")
    return conv


def random_places(
    net: vz.Network, layer: str, image_set: vz.ImageSet, count: int, *, seed: int = 0
) -> pd.DataFrame:
    """`count` positions that see no padding, drawn evenly over pictures and positions."""
    inside = vz.receptive_field(net, layer, input_size=image_set.size).unpadded
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "picture": rng.integers(len(image_set), size=count),
        "row": rng.integers(inside.start, inside.stop, count),
        "column": rng.integers(inside.start, inside.stop, count),
    })


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
    mean_inputs : ndarray, shape (kernel rows, kernel columns, channels), optional
        What cut edges read instead of nothing: e.g. ``elsewhere.inputs.mean(0)``. Zero is an
        input that the filter never sees; the mean removes the information and keeps the level.
    """
    gone = np.zeros(found.taps.shape[2], bool)
    gone[np.asarray(cut, int)] = True
    gone ^= keep_only
    terms = contributions(found)
    level = 0.0
    if mean_inputs is not None:
        level = np.einsum("rck,rck->k", mean_inputs.astype("float64"), found.taps)[gone].sum()
    return found.bias + terms[:, ~gone].sum(1) + level


def matched_controls(
    table: pd.DataFrame, channels: Sequence[int], *, draws: int = 20, seed: int = 0
) -> list[np.ndarray]:
    """Random sets of other edges that hold as much squared weight as `channels` together.

    The strongest edges have no partners of their own norm, so a control is matched as a whole:
    other edges (not mostly zero) are drawn until their Σ L2² reaches that of `channels` - many
    weak edges for a few strong ones - or until none is left.

    Returns
    -------
    list of ndarray
        `draws` sets of channels, each in ascending order.
    """
    mass = table.set_index("channel")["l2"] ** 2
    pool = mass[(mass >= vz.MOSTLY_ZERO**2 * mass.max()) & ~mass.index.isin(channels)]
    wanted = mass[list(channels)].sum()
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(draws):
        order = rng.permutation(len(pool))
        gathered = np.cumsum(pool.to_numpy()[order])
        count = min(int(np.searchsorted(gathered, wanted)) + 1, len(pool))
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
        share of random sets (%) that leave more - for ``keep only``: less - than this one.
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
            left = response(top, chosen, **options).mean() / whole
            others = np.array([response(top, c, **options).mean() for c in controls]) / whole
            beaten = others < left if way == "keep only" else others > left
            rows.append((by, way, left, response(elsewhere, chosen, **options).mean() / whole,
                         np.median(others), 100 * beaten.mean()))
    return pd.DataFrame(rows, columns=["ranking", "way", "left", "left_elsewhere", "control",
                                       "percentile"])


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

    Returns
    -------
    Network
        A copy; `net` is not changed.
    """
    conv = _plain_convolution(net, layer)
    filter = int(vz._check_filters(net, layer, filter)[0])
    model = keras.models.clone_model(net.model)
    model.set_weights(net.model.get_weights())
    kernel, *bias = conv.get_weights()
    if channels is None:
        kernel[..., filter] = 0
        bias = [np.where(np.arange(b.size) == filter, 0, b) for b in bias]
        words = f"{layer} filter {filter} silenced"
    else:
        wrong = [c for c in channels if not 0 <= c < kernel.shape[2]]
        if wrong:
            raise ValueError(f"{layer} reads channels 0 to {kernel.shape[2] - 1}, not {wrong[0]}.")
        gone = np.isin(np.arange(kernel.shape[2]), channels) ^ keep_only
        kernel[:, :, gone, filter] = 0
        words = f"{int(gone.sum())} edges of {layer} filter {filter} cut"
    model.get_layer(layer).set_weights([kernel, *bias])
    model.trainable = False
    return vz._replace(net, model=model, weights_source=f"{net.weights_source}; {words}",
                       responses=None)
