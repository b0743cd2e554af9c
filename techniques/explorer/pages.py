"""What the pages of a layer say, as plain data: lists, dicts, numbers and texts.

How it looks is none of this file's business; `tools.explorer` writes it to files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

import vizutils as vz
from techniques import claims
from techniques.explorer import words
from techniques.explorer.weights import Groups, Inputs, Readers, groups, inputs, readers
from techniques.layer_pass import LayerPass

TOP = 10  #: kernels a page ranks


@dataclass(frozen=True, eq=False)
class Layer:
    """What is known of a layer.

    Attributes
    ----------
    name : str
    field : int
        Side of the receptive field, in pixels.
    reads : str or None
        The convolution whose channels it reads; None for the picture itself.
    inputs, readers, groups
        See `techniques.explorer.weights`.
    rates : str
        How often verdicts are wrong here.
    analysed : LayerPass or None
        A pass, if one has been made.
    pictures : dict
        By ``picture`` and ``negative``: what is known of each filter's (``end_max, percentile,
        flat``), by its number; empty if none have been drawn.
    """

    name: str
    field: int
    reads: str | None
    inputs: Inputs
    readers: Readers
    groups: Groups | None
    rates: str
    analysed: LayerPass | None = None
    pictures: dict[str, dict[int, dict]] = field(default_factory=dict)

    @property
    def filters(self) -> int:
        """How many."""
        return self.inputs.l2.shape[1]


def read(net: vz.Network, name: str) -> Layer:
    """What weights and stored answers say of a layer; nothing is drawn, no picture looked at."""
    return Layer(name, vz.receptive_field(net, name).size, vz.input_layer(net, name).feature,
                 inputs(net, name), readers(net, name), groups(net, name),
                 claims.error_rate(net, name))


def entry(layer: Layer) -> dict:
    """What a contact sheet needs of a layer: its facts, each filter's words and measures."""
    percentile = None
    if drawn := layer.pictures.get("picture"):
        percentile = [drawn.get(f, {}).get("percentile") for f in range(layer.filters)]
    named = words.tags(layer.inputs, layer.groups, layer.analysed, top=TOP)
    return {
        "name": layer.name, "filters": layer.filters, "field": layer.field,
        "reads": layer.reads, "readers": list(layer.readers.layers),
        "kernel": list(layer.inputs.taps.shape[:2]), "channels": layer.inputs.taps.shape[2],
        "rates": layer.rates,
        "analysed": 0 if layer.analysed is None else len(layer.analysed.filters),
        "counts": [] if layer.analysed is None else [
            [row.verdict, int(row.filters), round(row.low, 3), round(row.high, 3)]
            for row in layer.analysed.counts().itertuples()],
        "tags": {kind: coded(values) for kind, values in named.items()},
        "texts": words.texts(layer.groups, layer.analysed, layer.filters),
        "measures": words.measures(layer.inputs, layer.readers, layer.groups, layer.analysed,
                                   percentile, top=TOP),
    }


def coded(values: list[list[str]]) -> dict:
    """Words as numbers of a list of words, the most frequent first."""
    flat = [word for each in values for word in each]
    known = sorted(set(flat), key=lambda word: (-flat.count(word), word))
    return {"words": known, "of": [[known.index(word) for word in each] for each in values]}


def unit(layer: Layer, filter: int) -> dict:
    """What the page of a filter says."""
    found = layer.inputs
    by_l2 = found.ranked(filter, TOP)
    at = layer.analysed.filters.index(filter) if (
        layer.analysed is not None and filter in layer.analysed.filters) else None
    gives = None if at is None else layer.analysed.gives[:, at].astype("float64")
    by_gives = [] if gives is None else np.argsort(  # in size, as `circuits.strongest`
        -np.abs(gives), kind="stable")[:TOP].tolist()
    shown = [*by_l2, *(c for c in by_gives if c not in by_l2)]
    return {
        "edges": [_edge(layer, filter, c, at) for c in shown],
        "l2": by_l2, "gives": by_gives,
        "share": _digits(found.share(filter, by_l2)),
        "zero": int(found.mostly_zero[:, filter].sum()),
        "clients": [[name, number, _digits(l2), _digits(sign), kind, rank, _digits(share)]
                    for name, number, l2, sign, kind, rank, share in layer.readers.top[filter]],
        "outgoing": _digits(layer.readers.percentile[filter]),
        "excited": _digits(layer.readers.excited[filter]),
        "groups": _groups(layer.groups, filter),
        "classes": [] if layer.groups is None else layer.groups.classes[filter],
        "pictures": {kind: known[filter] for kind, known in layer.pictures.items()
                     if filter in known},
        "analysis": None if at is None else layer.analysed.rows[at],
    }


def _edge(layer: Layer, filter: int, channel: int, at: int | None) -> dict:
    found = layer.inputs
    edge = {"c": channel, "l2": _digits(found.l2[channel, filter]),
            "sign": _digits(found.sign_index[channel, filter]),
            "kind": str(found.kind[channel, filter]),
            "taps": [_digits(tap) for tap in found.taps[:, :, channel, filter].ravel()]}
    if at is None or not layer.analysed.response[at] > 0:
        return edge
    whole, own, usual = (float(x) for x in (
        layer.analysed.response[at], layer.analysed.gives[channel, at],
        layer.analysed.elsewhere[channel, at]))
    return edge | {"gives": _digits(own / whole), "loses": _digits((own - usual) / whole)}


def _groups(found: Groups | None, filter: int, count: int = 6) -> list:
    """(group, difference, corrected p), the largest differences first."""
    if found is None:
        return []
    order = np.argsort(-np.abs(found.difference[filter]), kind="stable")[:count]
    order = order[np.argsort(-found.difference[filter, order], kind="stable")]
    return [[found.names[g], _digits(found.difference[filter, g]),
             _digits(found.p_holm[filter, g])] for g in order]


def _digits(value, digits: int = 4) -> float | None:
    """Rounded to `digits` significant digits; None for what is no number."""
    return float(f"{value:.{digits}g}") if value is not None and np.isfinite(value) else None
