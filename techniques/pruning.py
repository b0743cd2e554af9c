"""Near-duplicate filters taken out of a network: what that saves, and what it costs.

A filter whose map is nearly a multiple of another's can go: what its readers lose, they get from
the other one, so many times as strongly as least squares says. The rest of the network is left as
it is, nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd

import vizutils as vz
from engine.kinds import kind_of

Merged = Mapping[int, int]  #: filter that goes → filter that takes its place


def duplicates(pairs: pd.DataFrame) -> dict[int, int]:
    """Which filters of a layer go, and which takes the place of each.

    Parameters
    ----------
    pairs : DataFrame
        The first table of `feature_maps.redundancy`.

    Returns
    -------
    dict of int to int
        Near-duplicates, the most alike first: the one with the higher number goes, unless another
        one leans on it already. What stays does stay.
    """
    gone: dict[int, int] = {}
    for a, b in pairs[pairs["twins"]].sort_values("response", ascending=False)[["a", "b"]].values:
        leaves, stays = (a, b) if b in gone.values() else (b, a)
        if not {leaves, stays} & set(gone) and leaves not in gone.values():
            gone[int(leaves)] = int(stays)
    return gone


def by_lot(samples: np.ndarray, count: int, *, seed: int = 0) -> dict[int, int]:
    """The control: as many filters drawn at random, each given to the most similar one that stays.

    Parameters
    ----------
    samples : ndarray, shape (places, filters)
        From `feature_maps.sampled_maps`.
    """
    order = np.random.default_rng(seed).permutation(samples.shape[1])
    leave, stay = order[:count], order[count:]
    alike = np.nan_to_num(np.corrcoef(samples.T))[np.ix_(leave, stay)]
    return {int(a): int(b) for a, b in zip(leave, stay[alike.argmax(1)], strict=True)}


def pruned(
    net: vz.Network, merged: Mapping[str, Merged], samples: Mapping[str, np.ndarray]
) -> vz.Network:
    """A smaller network without the filters that go.

    Parameters
    ----------
    net : Network
        A plain chain of layers, like VGG16; not changed.
    merged : mapping of layer to {filter that goes: filter that takes its place}
        From `duplicates` or `by_lot`.
    samples : mapping of layer to ndarray of shape (places, filters)
        Pre-activations, from `feature_maps.sampled_maps`: how many times as strong the one that
        stays must be read is fitted to them, after the ReLU.

    Raises
    ------
    ValueError
        A network whose layers are no chain of convolutions, pools and dense layers.
    """
    for name, goes in merged.items():
        net.check_filters(name, [*goes, *goes.values()] or [0])
    x = inputs = keras.Input(net.model.input_shape[1:])
    gone: Merged = {}
    gains: dict[int, float] = {}
    for layer in net.model.layers[1:]:
        config, weights = layer.get_config(), layer.get_weights()
        plain = _mixes_by_one_kernel(layer, weights)
        if not plain and (weights or kind_of(layer).channels != "kept"):
            raise ValueError(f"{net.name} is no plain chain: {layer.name} is a "
                             f"{type(layer).__name__}, whose channels cannot be taken out here.")
        if plain:
            weights[0] = _read_from_others(weights[0], gone, gains)
            gone = merged.get(layer.name, {})
            gains = _gains(samples[layer.name], gone) if gone else {}
            weights = [np.delete(w, list(gone), axis=-1) for w in weights]
            config["filters" if "filters" in config else "units"] = weights[0].shape[-1]
        smaller = type(layer).from_config(config)
        x = smaller(x)
        smaller.set_weights(weights)
    count = sum(map(len, merged.values()))
    model = keras.Model(inputs, x, name=net.name)
    model.trainable = False
    return vz.as_network(model, preprocess=net.preprocess, head=net.head, classes=net.classes,
                         name=f"{net.name} without {count} filters", input_size=net.input_size)


def _mixes_by_one_kernel(layer: keras.layers.Layer, weights: list[np.ndarray]) -> bool:
    """Whether a layer's first weights are a kernel of shape (…, channels read, filters)."""
    kind = kind_of(layer)
    return (kind.channels == "mixed" and kind.reads != "spread" and bool(weights)
            and weights[0].shape[-2:] == (layer.input.shape[-1], layer.output.shape[-1]))


def _gains(samples: np.ndarray, gone: Merged) -> dict[int, float]:
    """For each filter that goes: how many times the other's activations come nearest to its own."""
    on = np.maximum(samples, 0).astype("float64")
    return {a: float(on[:, a] @ on[:, b] / max(on[:, b] @ on[:, b], 1e-12))
            for a, b in gone.items()}


def _read_from_others(kernel: np.ndarray, gone: Merged, gains: Mapping[int, float]) -> np.ndarray:
    """A reader's kernel, (…, channels, filters), that no longer reads the channels in `gone`."""
    kernel = kernel.copy()
    for a, b in gone.items():
        kernel[..., b, :] += gains[a] * kernel[..., a, :]
    return np.delete(kernel, list(gone), axis=-2)


def judged(
    net: vz.Network, smaller: Mapping[str, vz.Network], images: vz.ImageSet
) -> dict[str, pd.DataFrame]:
    """What each picture is called before and after, by each of some smaller networks.

    Parameters
    ----------
    images : ImageSet
        Those with a label are judged by it too.

    Returns
    -------
    dict of name to DataFrame, one row a picture
        ``same``: the first guess is the old one; ``lost``: by how much less probable the old
        first guess has become (percentage points); ``right_before, right_after``: the label is
        named first (missing without a label).
    """
    images = vz.as_image_set(images, copy=False)
    before = net.probabilities(vz.logits(net, images).astype("float64"))
    rows, first = np.arange(len(before)), before.argmax(1)
    known = images.labels >= 0

    def right(found):
        return pd.array(np.where(known, found.argmax(1) == images.labels, pd.NA), "boolean")

    def table(after):
        return pd.DataFrame({"same": after.argmax(1) == first,
                             "lost": 100 * (before - after)[rows, first],
                             "right_before": right(before), "right_after": right(after)})

    return {name: table(one.probabilities(vz.logits(one, images).astype("float64")))
            for name, one in smaller.items()}
