"""How often a verdict is wrong: own, swapped, opposite, wrong-noun and random-weight hypotheses.

    python benchmarks/verdicts.py [LAYER ...] [--filters N] [--quick]

For each layer, hypotheses by rule of all its filters (block3_conv2) or of 64 seeded ones are judged
on every filter of the layer. What is done stays in build/verdicts: a second call goes on where the
first one stopped. Writes data/verdict_rates.json (what reports print), benchmarks/results/
verdict_claims.csv (each claim's own and swapped rate) and, for block3_conv2, data/
descriptions_block3_conv2.json: every filter's description, edges and numbers.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import vizutils as vz  # noqa: E402  (started as a file)
from techniques import claims, layer_analysis  # noqa: E402

LAYERS = ("block3_conv2", "block2_conv2", "block4_conv2", "block5_conv1")
WHOLE = "block3_conv2"  # all of its filters; of the others a sample
RESULTS, BUILD = ROOT / "benchmarks" / "results", ROOT / "build" / "verdicts"
SHARED = ROOT / "data" / f"descriptions_{WHOLE}.json"


def study(layer: str, count: int | None) -> dict:
    """One layer's rates, claims and descriptions, from nothing."""
    start = time.perf_counter()
    net, random_net = (vz.load_network("vgg16", weights=w) for w in ("packaged", "random"))
    channels = net.channels(layer)
    chosen = None if count is None or count >= channels else sorted(
        np.random.default_rng(0).choice(channels, count, replace=False).tolist())
    found = layer_analysis.analyse_layer(net, layer, filters=chosen)
    shared = time.perf_counter() - start
    photos = vz.load_images(size=net.input_size)
    _, half_b = layer_analysis.halves(photos, 0)
    random = claims.of_half_b(random_net, layer, photos.subset(half_b))
    untrained = layer_analysis.analyse_layer(random_net, layer, filters=chosen)
    return {
        "layer": layer, "rates": found.rates(random).to_dict("records"),
        "untrained": layer_analysis.rate("own, untrained", untrained.own),
        "claims": found.rates_of_claims().assign(layer=layer).to_dict("records"),
        "filters": shared_part(found), "seconds": round(shared),
        "gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def shared_part(found: layer_analysis.LayerAnalysis) -> list[dict]:
    """What is kept of each filter: description, rival by other forms, edges, numbers, verdict."""
    table = found.table
    return [{"filter": int(row.filter), "text": one.description.text, "named": list(one.edges),
             **({"rival": one.rivals[0].text} if one.rivals else {}),
             "claims": [p.about for p in one.predictions], "verdict": row.verdict,
             "elsewhere": int(row.elsewhere),
             **{about: round(float(row._asdict()[about]), 3) for about in found.numbers
                if not np.isnan(row._asdict()[about])}}
            for row, one in zip(table.itertuples(index=False), found.hypotheses, strict=True)]


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", default=LAYERS)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="eight filters, nothing is written")
    asked = parser.parse_args(arguments)
    done = []
    BUILD.mkdir(parents=True, exist_ok=True)
    for layer in asked.layers:
        part = BUILD / f"{layer}.json"
        if asked.quick or not part.exists():
            count = 8 if asked.quick else None if layer == WHOLE else asked.filters
            found = study(layer, count)
            if not asked.quick:
                part.write_text(json.dumps(found), encoding="utf-8")
        else:
            found = json.loads(part.read_text(encoding="utf-8"))
        done.append(found)
        print(f"\n{layer}: shared part {found['seconds']} s, {found['gigabytes']} GB")
        print(pd.DataFrame([*found["rates"], found["untrained"]]).round(3).to_string(index=False))
        print(pd.DataFrame(found["claims"]).round(3).to_string(index=False))
    if not asked.quick:
        write(done)


def write(done: list[dict]) -> None:
    """The committed tables."""
    known = claims.measured().get("vgg16", {})
    rates = known | {found["layer"]: {row.pop("kind"): rounded(row)
                                      for row in [*found["rates"], found["untrained"]]}
                     for found in done}
    text = json.dumps({"vgg16": rates}, indent=1) + "\n"
    (ROOT / "data" / "verdict_rates.json").write_text(text, encoding="utf-8")
    RESULTS.mkdir(exist_ok=True)
    table = pd.DataFrame([row for found in done for row in found["claims"]]).round(4)
    path = RESULTS / "verdict_claims.csv"
    before = pd.read_csv(path) if path.exists() else table[:0]  # other layers' rows stay
    pd.concat([before[~before["layer"].isin(table["layer"])], table]).to_csv(path, index=False)
    for found in done:
        if found["layer"] == WHOLE:
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in found["filters"])
            SHARED.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def rounded(row: dict) -> dict:
    """Shares with four digits."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


if __name__ == "__main__":
    main()
