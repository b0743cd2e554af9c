"""How often this rule's verdicts are wrong: rates that were measured, layer by layer.

``data/verdict_rates.json`` is written by ``benchmarks/verdicts.py`` and ``data/claim_rates.json``
by ``benchmarks/claim_rates.py``; nothing here measures.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import vizutils as vz

DATA = Path(__file__).resolve().parents[2] / "data"
RATES, CLAIM_RATES = DATA / "verdict_rates.json", DATA / "claim_rates.json"


@functools.cache
def measured() -> dict[str, dict[str, dict]]:
    """Rates by network and layer, then by kind: ``own, swapped, opposite, ...``."""
    return json.loads(RATES.read_text(encoding="utf-8")) if RATES.exists() else {}


def passed_by(net: vz.Network, layer: str) -> dict[str, float]:
    """Share of a layer's seeded filters that pass each claim which is not judged on all of them.

    Returns
    -------
    dict of str to float
        By claim; empty for a layer of which nothing is measured. It counts filters of which the
        claim was made and could be tested.
    """
    if net.responses is None or not CLAIM_RATES.exists():
        return {}
    found = json.loads(CLAIM_RATES.read_text(encoding="utf-8")).get(net.name, {}).get(layer, {})
    return {about: row["supported"] / row["asked"] for about, row in found.items() if row["asked"]}


def error_rate(net: vz.Network, layer: str) -> str:
    """The line a report prints beside its verdict: how often such a verdict is wrong.

    Returns
    -------
    str
        For a layer without rates, how to measure them.
    """
    net.channels(layer)  # refuses what is no layer
    rates = measured().get(net.name, {}).get(layer) if net.responses is not None else None
    if rates is None:
        return (f"How often this rule is wrong for {layer} of {net.name} has not been measured: "
                "analysis.analyse_layer(net, layer).rates() does it.")
    said = {kind: f"{100 * r['share']:.1f} % [{100 * r['low']:.1f}, {100 * r['high']:.1f}] of "
                  f"{r['asked']:,}" for kind, r in rates.items()}
    return (
        f"In {layer} this rule supports {said['own']} filters' own hypotheses; of hypotheses that "
        f"belong to another filter of the layer {said['swapped']}; of another's description "
        f"with the filter's own edges {said['description swapped']}; of opposite ones "
        f"{said['opposite']}; with wrong nouns, claimed, {said['wrong noun']}; on the same filter "
        f"of a network with random weights {said['random weights']}. It cannot refuse lists that "
        f"are nearly right: without one of their parts, {said['a part left out']} are supported. "
        "And of hypotheses made and judged on random weights it supports "
        f"{said['own, untrained']} (95 % intervals).")
