"""What descriptions are worth: from one part to eight, beside a floor and two ceilings.

    python benchmarks/descriptions.py [LAYER ...] [--quick]

Every filter of each layer is described on half A of the packaged pictures and scored at 150 random
places of each photograph of half B: Pearson's r with its own answers, and the rank of its own
filter among all filters of the layer. Beside the descriptions stand: *swapped* (each filter with
the description of the next one), *whole tuning* (a ridge regression of the answers to all drawn
stimuli on the same features, no photographs), *photographs* (the same regression on half A's
photographs: the ceiling of these features), and descriptions of a network with random weights.
Writes benchmarks/results/descriptions.csv.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import vizutils as vz  # noqa: E402  (started as a file)
from techniques import claims, descriptions, layer_analysis, stimuli  # noqa: E402
from techniques.descriptions import scores  # noqa: E402

LAYERS = ("block3_conv2", "block2_conv2", "block4_conv2")
PARTS = (1, 2, 3, 4, 5, 6, 7, 8)
RIDGES = (0.1, 1.0)  #: shares of the number of rows: drawn stimuli, photographs


def main(arguments: list[str] | None = None) -> None:
    """Score every layer and write the table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", default=LAYERS)
    parser.add_argument("--quick", action="store_true", help="one layer, four parts only")
    asked = parser.parse_args(arguments)
    layers, parts = (LAYERS[1:2], (4,)) if asked.quick else (asked.layers, PARTS)
    table = pd.concat([scored(layer, parts) for layer in layers], ignore_index=True)
    print(table.round(3).to_string(index=False))
    if not asked.quick:
        path = ROOT / "benchmarks" / "results" / "descriptions.csv"
        before = pd.read_csv(path) if path.exists() else table[:0]  # other layers' rows stay
        kept = before[~before["layer"].isin(table["layer"])]
        pd.concat([kept, table.round(4)]).to_csv(path, index=False)


def scored(layer: str, parts) -> pd.DataFrame:
    """All rows of one layer."""
    rows = []
    for weights in ("packaged", "random"):
        net = vz.load_network("vgg16", weights=weights)
        photos = vz.load_images(size=net.input_size)
        half_a, half_b = (photos.subset(half) for half in layer_analysis.halves(photos, 0))
        tuned = stimuli.tuning(net, layer, image_set=half_a)
        seen = claims.of_half_a(net, layer, half_a)
        fresh = claims.of_half_b(net, layer, half_b)
        describer = descriptions.Describer(tuned, seen.sample, seen.features, seen.field)
        described = {count: [describer.describe(f, parts=count) for f in tuned.filters]
                     for count in (parts if weights == "packaged" else parts[-1:])}
        found = {(f"{weights}, description", count): descriptions.predictions(
            each, fresh.features) for count, each in described.items()}
        if weights == "packaged":
            longest = found["packaged, description", parts[-1]]
            found["swapped", parts[-1]] = np.roll(longest, 1, axis=1)
            things = descriptions.things_of(tuned.table)
            drawn = descriptions.bank(seen.field).of_things(list(things.values()))
            answers = tuned.responses[list(things)]
            found["whole tuning", len(things)] = ridge(
                drawn, answers, fresh.features, RIDGES[0], seen.features)
            found["photographs", len(seen.answers)] = ridge(
                seen.features, seen.answers, fresh.features, RIDGES[1], seen.features)
        rows += [{"layer": layer, "from": name, "parts": count} | worth(
            predicted, fresh.answers) for (name, count), predicted in found.items()]
    return pd.DataFrame(rows)


def ridge(features, answers, fresh, penalty: float, usual) -> np.ndarray:
    """Ridge regression of standardised answers on features standardised by photographs."""
    mean, spread = usual.mean(0), np.maximum(usual.std(0), 1e-6)
    x, new = (features - mean) / spread, (fresh - mean) / spread
    y = (answers - answers.mean(0)) / np.maximum(answers.std(0), 1e-12)
    x = x - x.mean(0)
    inner = x @ x.T + penalty * len(x) * np.eye(len(x)) if len(x) < x.shape[1] else None
    weights = x.T @ np.linalg.solve(inner, y) if inner is not None else np.linalg.solve(
        x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ y)
    return new @ weights


def worth(predicted: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Medians over filters, quartiles of r, and how often its own filter is found."""
    r = scores.correlations(predicted, answers)
    rank, own = scores.identification(r, np.arange(len(r))), np.diag(r)
    low, middle, high = np.quantile(own, [0.25, 0.5, 0.75])
    return {"filters": len(r), "r": middle, "r_quarter": low, "r_three_quarters": high,
            "rank": float(np.median(rank)), "first": (rank == 1).mean(),
            "first_5_percent": scores.within_first(rank, len(r)).mean()}


if __name__ == "__main__":
    main()
