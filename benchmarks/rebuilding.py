"""Filters written by hand, and experiments with their edges: what comes out on real weights.

    python benchmarks/rebuilding.py [--layer block3_conv2] [--filters 36 57 37 230 17] [--others 32]

Packaged photographs in two halves: lists, rankings and fits are made on half A (300 random places
a picture), every number is measured on half B (150). Named filters one by one; other filters,
drawn with a seed, as a distribution: a claim that holds for all of them says nothing about one.

1. **Lists** (`techniques/rebuilding.py`): r with the real filter for 10, 20 and 40 numbers, fitted
   and read off the weights, and rivals of the list of 40; how many numbers a given r needs; the
   same for filters of random weights, which no explanation should fit.
2. **Ladders**: r of 1, 3, 10, 30 edges; the whole layer's filters for the named ones' percentile.
3. **Fair cuts** at half B's nine strongest patches: the ten edges of largest L2, against edges of
   either sign; the ten of largest contribution at half A's nine, against excitatory edges too.
4. **Inhibitors where they fire**: the five strongest of each filter, released over the unit's usual
   99th percentile, and over 0, where the ReLU opens.

Tables are written to benchmarks/results/rebuilding_NAME.csv.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import vizutils as vz
from techniques import circuits, edge_experiments, rebuilding, samples

RESULTS = Path(__file__).resolve().parent / "results"
CURVES = [36, 57, 37, 230]  # curve detectors
SIZES = (10, 20, 40)  # numbers in a list
CONTROLS = 16  # filters of random weights, at most


def seeded_others(filters: int, named: list[int], count: int) -> list[int]:
    """Filters of the layer that are not named."""
    order = np.random.default_rng(0).permutation(filters)
    return [int(f) for f in order if f not in named][:count]


def two_samples(net, layer: str, halves, each: tuple[int, int]) -> list[samples.Sample]:
    """Random places of half A and of half B."""
    return [samples.sample(net, layer, half, each=count, seed=seed)
            for half, count, seed in zip(halves, each, (1, 2), strict=True)]


def lists(sample_a, sample_b, kernels: np.ndarray, filters: list[int]) -> pd.DataFrame:
    """`rebuilding.agreement` of lists of three lengths, and of the rivals of the longest."""
    tables = []
    for filter in filters:
        own = kernels[..., filter]
        made = {}
        for numbers in SIZES[:-1]:
            made[f"rebuilt {numbers}"] = rebuilding.rebuild(sample_a, filter, own, numbers=numbers)
            made[f"weights alone {numbers}"] = rebuilding.read_off(own, numbers=numbers)
        short = rebuilding.agreement({name: one.answers(sample_b.inputs)
                                      for name, one in made.items()}, sample_b, filter)
        short["numbers"] = [len(one.table) for one in made.values()]
        longest = rebuilding.compare(sample_a, sample_b, filter, own, numbers=SIZES[-1])
        longest["prediction"] += f" {SIZES[-1]}"
        tables.append(pd.concat([short, longest]).assign(filter=filter))
    return pd.concat(tables, ignore_index=True)


def needed(sample_a, sample_b, kernels: np.ndarray, filters: list[int]) -> pd.DataFrame:
    """Numbers that a list needs for r of 0.8, 0.85 and 0.9 on half B; none: more than the last."""
    rows = []
    for filter in filters:
        steps = rebuilding.growth(sample_a, sample_b, filter, kernels[..., filter],
                                  numbers=SIZES[-1])
        rows.append([filter, *(steps.loc[steps["r"] >= least, "numbers"].min()
                               for least in (0.8, 0.85, 0.9))])
    return pd.DataFrame(rows, columns=["filter", "r 0.8", "r 0.85", "r 0.9"])


def strongest_windows(net, layer: str, image_set, kernels, filters: list[int]) -> dict:
    """{filter: Windows at its nine strongest patches}; the pictures run twice for all filters."""
    maxima = vz.image_maxima(net, layer, image_set)
    places = {f: vz.top_patches(net, image_set, layer, f, maxima=maxima).table for f in filters}
    union = pd.concat(list(places.values()), ignore_index=True)
    inputs = circuits.windows(net, layer, filters[0], image_set, union).inputs
    bias = net.layer(layer).bias.numpy()
    parts = np.split(inputs, np.cumsum([len(table) for table in places.values()])[:-1])
    return {f: circuits.Windows(part, kernels[..., f], float(bias[f]),
                                places[f]["value"].to_numpy("float32"))
            for f, part in zip(filters, parts, strict=True)}


def cuts(top_a: dict, top_b: dict, draws: int) -> pd.DataFrame:
    """`edge_experiments.fair_cuts` of each filter, for three ways to choose set and controls."""
    tables = []
    for filter, top in top_b.items():
        table = circuits.edge_table(top_a[filter], top_a[filter])
        by_l2 = circuits.strongest(table, "l2")
        by_gift = table.sort_values("top", ascending=False)["channel"].to_numpy()[:10]
        excites = np.flatnonzero(top.taps.sum((0, 1)) > 0)
        for chosen, named, among in (("L2", by_l2, None), ("contribution", by_gift, None),
                                     ("contribution, excitatory controls", by_gift, excites)):
            tables.append(edge_experiments.fair_cuts(top, named, among=among, draws=draws).assign(
                filter=filter, chosen=chosen))
    return pd.concat(tables, ignore_index=True)


def inhibitors(sample_b, kernels: np.ndarray, filters: list[int], draws: int) -> pd.DataFrame:
    """`edge_experiments.inhibitors_at_work` of each filter, for two limits."""
    return pd.concat([
        edge_experiments.inhibitors_at_work(sample_b, f, kernels[..., f], limit=limit,
                                            draws=draws).assign(filter=f, over=over)
        for f in filters for over, limit in (
            ("99th percentile", float(np.quantile(sample_b.answers[:, f], 0.99))), ("0", 0.0))],
        ignore_index=True)


def spread(values: pd.Series) -> str:
    """Median, and the 5th and 95th percentile."""
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def interval(row) -> str:
    """A correlation with its interval."""
    return f"{row.r:.3f} [{row.low:.3f}, {row.high:.3f}]"


def by_filter(table: pd.DataFrame, columns: str, named: list[int], cell=interval) -> pd.DataFrame:
    """One row a named filter, one for the distribution of all others."""
    mine = table[table["filter"].isin(named)]
    shown = mine.assign(shown=[cell(row) for row in mine.itertuples()]).pivot(
        index="filter", columns=columns, values="shown").loc[named]
    rest = table[~table["filter"].isin(named)]
    if len(rest):
        shown.loc[f"{rest['filter'].nunique()} others"] = rest.groupby(columns)["r"].agg(spread)
    return shown[list(dict.fromkeys(table[columns]))]


def say(title: str, table: pd.DataFrame, *, index: bool = True):
    """Print a table under its title."""
    print(f"\n## {title}\n\n{table.to_string(index=index)}", flush=True)


def report_lists(found: pd.DataFrame, named: list[int]):
    """Print what lists reach, and which targets are met."""
    for words in ("rebuilt", "weights alone"):
        part = found[found["prediction"].str.match(rf"{words} \d+$")]
        say(f"r on half B, {words}", by_filter(part, "prediction", named))
    rivals = found[found["prediction"].str.endswith(f" {SIZES[-1]}")]
    say("rivals of the list of 40", by_filter(rivals, "prediction", named,
                                              cell=lambda row: f"{row.r:.3f}"))
    own = found.assign(first=100.0 * (found["rank"] == 1)).groupby("prediction", sort=False)
    say("all filters: the prediction fits its own filter better than any other (%); average "
        "precision for the strongest 5 %", own.agg({"first": "mean", "precision": spread}))
    r = found.set_index(["prediction", "filter"])["r"]
    curves = [f for f in CURVES if f in named]
    for words, least in ((f"rebuilt {SIZES[-1]}", 0.9), (f"rebuilt {SIZES[-2]}", 0.85)):
        met = sum(r[words, f] >= least for f in curves)
        print(f"target: {words}, r ≥ {least}: {met} of {len(curves)} curve detectors")


def report_cuts(found: pd.DataFrame, named: list[int]):
    """Print the named filters' cuts, and how many of all filters pass."""
    columns = ["filter", "chosen", "cut", "control", "weight", "left", "control_left",
               "control_low", "control_high", "percentile", "holding"]
    say("fair cuts", found.loc[found["filter"].isin(named), columns].round(2), index=False)
    passing = found.assign(passes=found["percentile"] >= 95).groupby(
        ["chosen", "cut", "control"], sort=False)["passes"].agg(["sum", "size"])
    say("cuts that take away more than 95 % of random sets do, all filters", passing)


def report_inhibitors(found: pd.DataFrame, named: list[int]):
    """Print the named filters' inhibitors, and a summary of all."""
    say("inhibitors where they fire", found[found["filter"].isin(named)].drop(
        columns=["l2", "places"]).round(1), index=False)
    summary = found.assign(
        some=found["released"] > 0, surely=found["low"] > 0, beats=found["percentile"] >= 95,
    ).groupby("over")[["passes", "passes_cut", "released", "control", "some", "surely",
                       "beats"]].mean()
    say("all filters: means (%); share of edges that release a place, that surely do, that release "
        "more than 95 % of random cuts", summary.round(2))


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--filters", type=int, nargs="+", default=[*CURVES, 17])
    parser.add_argument("--others", type=int, default=32)
    parser.add_argument("--quick", action="store_true",
                        help="a trial of few filters, places and draws; writes nothing")
    options = parser.parse_args()
    others, each, draws = (3, (60, 40), 50) if options.quick else (options.others, (300, 150), 1000)
    began = time.perf_counter()
    net = vz.load_network("vgg16", weights="packaged")
    pictures = vz.load_images()
    halves = [pictures.subset(half) for half in vz.split_halves(len(pictures), seed=0)]
    sample_a, sample_b = two_samples(net, options.layer, halves, each)
    kernels = net.layer(options.layer).kernel.numpy()
    named = options.filters
    filters = named + seeded_others(kernels.shape[3], named, others)
    tables = {"lists": lists(sample_a, sample_b, kernels, filters)}
    report_lists(tables["lists"], named)
    tables["needed"] = needed(sample_a, sample_b, kernels, filters)
    say("numbers needed, named filters", tables["needed"].head(len(named)), index=False)
    say("and all", tables["needed"].drop(columns="filter").describe().round(0))
    control = vz.load_network("vgg16", weights="random")
    tables["lists_random"] = lists(
        *two_samples(control, options.layer, halves, each),
        control.layer(options.layer).kernel.numpy(), filters[len(named):][:CONTROLS])
    say("filters of random weights", tables["lists_random"].groupby("prediction", sort=False)[
        ["r", "precision"]].agg(spread))
    tables["ladder"] = pd.concat([
        edge_experiments.edge_ladder(sample_a, sample_b, f, kernels[..., f]).assign(filter=f)
        for f in named], ignore_index=True)
    start = time.perf_counter()
    whole = edge_experiments.layer_ladder(sample_a, sample_b, kernels,
                                          filters=filters if options.quick else None)
    print(f"\n{whole['filter'].nunique()} filters' ladders: {time.perf_counter() - start:.0f} s")
    tables["ladder_layer"] = whole.groupby(["ranking", "edges"], sort=False)["r"].describe(
        percentiles=[0.05, 0.25, 0.5, 0.75, 0.95]).reset_index()
    say("r of a few edges on half B", tables["ladder"].assign(
        r=[interval(row) for row in tables["ladder"].itertuples()]).pivot(
            index=["ranking", "edges"], columns="filter", values="r")[named])
    say("the layer's filters", tables["ladder_layer"].round(2), index=False)
    top_a, top_b = (strongest_windows(net, options.layer, half, kernels, filters)
                    for half in halves)
    tables["cuts"] = cuts(top_a, top_b, draws)
    report_cuts(tables["cuts"], named)
    tables["inhibitors"] = inhibitors(sample_b, kernels, filters, min(draws, 200))
    report_inhibitors(tables["inhibitors"], named)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        for name, table in tables.items():
            table.round(4).to_csv(RESULTS / f"rebuilding_{name}.csv", index=False)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
