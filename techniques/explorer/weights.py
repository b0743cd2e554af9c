"""What the weights and the stored answers say of every filter of a layer, without any climbing.

The same numbers as `vizutils.rank_kernels`, `pathways.clients` and `vizutils.group_table` give for
one filter, for all of a layer at once: seconds for VGG16's 4,224 filters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import vizutils as vz
from engine import class_names
from engine.units import unit_kernels

PERMUTATIONS = 2000  #: as in `vizutils.group_table`


@dataclass(frozen=True, eq=False)
class Inputs:
    """Every kernel of every filter of a layer, measured and ranked.

    Attributes
    ----------
    taps : float32 ndarray, shape (rows, columns, channels, filters)
    l2, sign_index : float ndarray, shape (channels, filters)
    kind : str ndarray, shape (channels, filters)
        As in `vizutils.kernel_table`.
    order : int ndarray, shape (channels, filters)
        Channels, the largest L2 norm first.
    mostly_zero : bool ndarray, shape (channels, filters)
    """

    taps: np.ndarray
    l2: np.ndarray
    sign_index: np.ndarray
    kind: np.ndarray
    order: np.ndarray
    mostly_zero: np.ndarray

    def ranked(self, filter: int, top: int) -> list[int]:
        """The channels of `vizutils.rank_kernels`, in its order."""
        order = self.order[:, filter]
        return order[~self.mostly_zero[order, filter]][:top].tolist()

    def share(self, filter: int, channels) -> float:
        """Share of a filter's squared weight that some channels hold; 0 without any weight."""
        squares = self.l2[:, filter] ** 2
        return float(squares[list(channels)].sum() / squares.sum()) if squares.any() else 0.0


def inputs(net: vz.Network, layer: str) -> Inputs:
    """Measure all kernels of a layer.

    Raises
    ------
    ValueError
        Unknown layer, or none that is a plain convolution.
    """
    kernels = unit_kernels(net, layer)
    taps = kernels.reshape(-1, *kernels.shape[2:])  # (taps, channels, filters)
    mass = np.abs(taps).sum(0)
    l2 = np.sqrt((taps.astype("float64") ** 2).sum(0))
    index = np.divide(taps.sum(0), mass, out=np.zeros_like(mass), where=mass > 0)
    return Inputs(kernels, l2, index, vz.kernel_kinds(index),
                  np.argsort(-l2, axis=0, kind="stable"), l2 < vz.MOSTLY_ZERO * l2.max(0))


@dataclass(frozen=True, eq=False)
class Readers:
    """Who listens to each filter of a layer.

    Attributes
    ----------
    layers : tuple of str
        The convolutions that read it.
    top : list of list of tuple
        For each filter its clients, the largest kernel first: ``(layer, filter, l2, sign index,
        kind, rank, share)``, as the rows of `pathways.clients`.
    percentile, excited : float ndarray, shape (filters,)
        The table's ``attrs``; NaN where nothing reads the layer.
    """

    layers: tuple[str, ...]
    top: list[list[tuple]]
    percentile: np.ndarray
    excited: np.ndarray


def readers(net: vz.Network, layer: str, *, top: int = 5) -> Readers:
    """`pathways.clients` of every filter of a layer; empty where no plain convolution reads it."""
    filters = net.channels(layer)
    names = tuple(name for name in plain_layers(net)
                  if vz.input_layer(net, name).feature == layer)
    if not names:
        nothing = np.full(filters, np.nan)
        return Readers((), [[] for _ in range(filters)], nothing, nothing)
    norms, index = [], []
    for name in names:
        kernel = unit_kernels(net, name).astype("float64")
        size = np.abs(kernel).sum((0, 1))
        norms.append(np.sqrt((kernel**2).sum((0, 1))))  # (channels, clients)
        index.append(np.divide(kernel.sum((0, 1)), size, out=np.zeros_like(size), where=size > 0))
    of = np.concatenate([np.full(n.shape[1], i) for i, n in enumerate(norms)])
    number = np.concatenate([np.arange(n.shape[1]) for n in norms])
    share = np.concatenate([n**2 / np.maximum((n**2).sum(0), 1e-30) for n in norms], 1)
    l2, signs = np.concatenate(norms, 1), np.concatenate(index, 1)
    kinds, mass = vz.kernel_kinds(signs), (l2**2).sum(1)
    best = np.argsort(-l2, axis=1, kind="stable")[:, :top]
    rows = [[(names[of[c]], int(number[c]), float(l2[f, c]), float(signs[f, c]),
              str(kinds[f, c]), 1 + int((l2[:, c] > l2[f, c]).sum()), float(share[f, c]))
             for c in best[f]]
            for f in range(filters)]
    percentile = np.array([100 * (mass < own).mean() for own in mass])
    return Readers(names, rows, percentile, (signs > 0).mean(1))


@dataclass(frozen=True, eq=False)
class Groups:
    """How a layer's filters answer to coarse groups of classes.

    Attributes
    ----------
    names : list of str
    difference, p_holm : float64 ndarray, shape (filters, groups)
        As in `vizutils.group_table`, of the filters' own part (``class_table(..., own=True)``).
    classes : list of list of str
        For each filter the classes whose photographs it answers to most, by its own part.
    """

    names: list[str]
    difference: np.ndarray
    p_holm: np.ndarray
    classes: list[list[str]]

    def clear(self, filter: int) -> list[str]:
        """Groups that excite a filter more than the others, p < 0.05 after Holm."""
        found = (self.p_holm[filter] < 0.05) & (self.difference[filter] > 0)
        return [self.names[g] for g in np.argsort(-self.difference[filter], kind="stable")
                if found[g]]


def groups(net: vz.Network, layer: str, *, top: int = 5, seed: int = 0) -> Groups | None:
    """Class groups of every filter of a layer, from the stored answers to 1,000 photographs.

    Every filter's test uses the same permutations: the numbers are those of
    ``group_table(class_table(net, layer, filter, own=True).sort_values("index"), seed=seed)``.

    Returns
    -------
    Groups or None
        None where nothing is stored: another network, changed weights.
    """
    try:
        values, labels = vz.class_responses(net, layer)
    except ValueError:
        return None
    values = values.astype("float64")
    values = (values - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    values -= values.mean(1, keepdims=True)
    group_of = np.array([class_names.group_of(i, None) for i in labels])
    names = np.array(sorted(set(group_of)))
    score = (values - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    observed, p = _permuted(score, (group_of[:, None] == names).astype(float), seed)
    strongest = np.argsort(-values, axis=0, kind="stable")[:top].T
    return Groups(names.tolist(), observed, np.array([_holm(row) for row in p]),
                  [[class_names.entry(labels[i], None)[1] for i in row] for row in strongest])


def _permuted(score: np.ndarray, member: np.ndarray, seed: int):
    """Differences of groups, and how often a random re-assignment differs as much.

    ``score`` (pictures, filters), ``member`` (pictures, groups) → two (filters, groups).
    """
    size, count = member.sum(0), len(score)

    def difference(inside):
        return inside / size - (score.sum(0)[:, None] - inside) / np.maximum(count - size, 1)

    observed = difference(score.T @ member)
    rng, beaten = np.random.default_rng(seed), np.zeros_like(observed)
    orders = rng.permuted(np.tile(np.arange(count), (PERMUTATIONS, 1)), axis=1)
    for order in orders:  # the scores moved over the groups: the groups moved over the scores
        moved = np.empty_like(member)
        moved[order] = member
        beaten += np.abs(difference(score.T @ moved)) >= np.abs(observed) - 1e-12
    return observed, (1 + beaten) / (1 + PERMUTATIONS)


def _holm(p: np.ndarray) -> np.ndarray:
    """Corrected for their number, by Holm's step-down rule."""
    order = np.argsort(p, kind="stable")
    found = np.empty_like(p)
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return found


def plain_layers(net: vz.Network) -> list[str]:
    """The convolutions whose kernels read one channel each: those that have pages."""
    found = []
    for name in net.conv_layers:
        try:
            net.plain_convolution(name)
        except ValueError:
            continue
        found.append(name)
    return found
