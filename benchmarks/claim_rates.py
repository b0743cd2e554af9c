"""How many filters of a layer pass each claim: the base rate of claims about how a filter is built.

    python benchmarks/claim_rates.py [LAYER] [--filters N]

N seeded filters of a layer (24 of block3_conv2) are analysed one by one, as a report does it, and
each claim's verdicts are counted. A claim that half of them pass decides nothing, and reports say
so beside it. What is done stays in build/claim_rates: a second call goes on where the first one
stopped. Writes data/claim_rates.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import vizutils as vz  # noqa: E402  (started as a file)
from techniques import analysis, claims  # noqa: E402

BUILD = ROOT / "build" / "claim_rates"


def verdicts_of(
    net: vz.Network, layer: str, filter: int, shared: analysis.Shared,
) -> dict[str, str]:
    """The verdict on each claim of a filter that is not judged on the whole layer anyway."""
    table = analysis.analyse(net, layer, filter, progress=False, shared=shared).claims
    table = table[~table["about"].isin(list(claims.CORE)) & (table["found"].str[0] != "–")]
    return dict(zip(table["about"], table["verdict"], strict=True))


def counted(verdicts: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    """By claim: how many filters were asked, and how many passed."""
    asked = Counter(about for one in verdicts for about in one)
    passed = Counter(about for one in verdicts for about, verdict in one.items()
                     if verdict == claims.SUPPORTED)
    return {about: {"supported": passed[about], "asked": n} for about, n in sorted(asked.items())}


def main() -> None:
    """Ask, print and write."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layer", nargs="?", default="block3_conv2")
    parser.add_argument("--filters", type=int, default=24)
    asked = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    chosen = np.random.default_rng(0).permutation(net.channels(asked.layer))[: asked.filters]
    BUILD.mkdir(parents=True, exist_ok=True)
    found, shared = [], None
    for filter in chosen.tolist():
        part = BUILD / f"{asked.layer}-{filter}.json"
        if not part.exists():
            shared = shared or analysis.share(net, asked.layer)
            began = time.perf_counter()
            part.write_text(json.dumps(verdicts_of(net, asked.layer, filter, shared)),
                            encoding="utf-8")
            print(f"{asked.layer} filter {filter}: {time.perf_counter() - began:.0f} s", flush=True)
        found.append(json.loads(part.read_text(encoding="utf-8")))
    table = counted(found)
    for about, row in table.items():
        print(f"{about:14} {row['supported']} of {row['asked']}")
    known = (json.loads(claims.rates.CLAIM_RATES.read_text(encoding="utf-8"))
             if claims.rates.CLAIM_RATES.exists() else {})
    known.setdefault(net.name, {})[asked.layer] = table
    claims.rates.CLAIM_RATES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
