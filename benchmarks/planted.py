"""The project's claims put to units whose answer is known: how often are they right?

    python benchmarks/planted.py [--parts turned grey ...] [--again] [--quick]

224 units of `techniques/planted.py`, by fourteen mechanisms, in VGG16's block3_conv2, in the layer
that reads it, or in a network of one layer; the claims and thresholds are those of every analysis
(`techniques/marking.py` says which claim answers which truth). Half A of the packaged pictures
makes hypotheses, half B tests them.

Counted for each claim and mechanism: how often the claim is supported where it was planted true
(bound: at least 90 %) and where it was planted false (at most 5 %), with Wilson's 95 % intervals.
"real" are filters of the network as it is, by what drawn stimuli say of them: no planted truth, and
not counted when all mechanisms are taken together. Rows "by rule: ..."
ask whether the words of descriptions by rule are those that were planted: true cases only.

Each part - a mechanism; all hand-made units together, by hand and as `described` by rule; "real" -
is written to build/planted/ when it is done, and a second call goes on where the first stopped. The
counts of all parts, each with its kinds of hypotheses, go to benchmarks/results/planted.csv.
"""

import argparse
import functools
import time
from pathlib import Path

import pandas as pd

import vizutils as vz
from techniques import marking, planted

ROOT = Path(__file__).resolve().parent.parent
RESULTS, DONE = ROOT / "benchmarks" / "results" / "planted.csv", ROOT / "build" / "planted"
BY_CASE = ("claim", "mechanism", "case")


def parts(net, image_set, *, layer=planted.LAYER, seed=0, per=planted.PER, together=8) -> dict:
    """Name → function that plants units, asks all that is known of them, and returns the rows."""
    half_a, half_b = (image_set.subset(h) for h in vz.split_halves(len(image_set), seed=seed))
    given = {"layer": layer, "seed": seed, "per": per, "image_set": image_set}

    @functools.cache
    def pairs():
        return planted.unlike_pairs(net, **given, together=together)

    def wired(wiring):
        made = planted.wired(net, wiring, pairs(), layer=layer, seed=seed)
        return marking.wired(made, half_a, half_b, seed=seed)

    def turned_or_grey(mechanism):
        return marking.turned_or_grey(mechanism(net, **given), half_a, half_b, seed=seed)

    def hand_made(ask):
        field = vz.receptive_field(net, layer).size
        made = list(planted.hand_made(field=field, seed=seed, per=per))
        return ask(made, half_a, half_b, seed=seed)

    return {
        "hand-made": lambda: hand_made(marking.hand_made),
        "described": lambda: hand_made(marking.described),
        "turned": lambda: turned_or_grey(planted.turned),
        "grey": lambda: turned_or_grey(planted.grey),
        "real": lambda: marking.real_filters(net, layer, half_a, half_b, count=2 * per, seed=seed),
        "dead channel": lambda: marking.dead_channel(planted.dead_channel(net, **given), half_a,
                                                     half_b, seed=seed),
        "no use": lambda: marking.no_use(planted.no_use(net, **given), half_b, seed=seed),
        **{wiring: functools.partial(wired, wiring) for wiring in planted.WIRINGS}}


def ask(every: dict, wanted, folder: Path | None, *, again: bool = False) -> pd.DataFrame:
    """The rows of the wanted parts, and of all others that are done; parts kept are not redone."""
    tables = []
    for name, part in every.items():
        path = folder / f"{name}.csv" if folder else None
        if path and path.exists() and not (again and name in wanted):
            tables.append(pd.read_csv(path, keep_default_na=False, na_values={"number": [""]}))
        elif name in wanted:
            start = time.perf_counter()
            tables.append(part())
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                tables[-1].to_csv(path.with_suffix(".part"), index=False)
                path.with_suffix(".part").replace(path)
    return pd.concat(tables, ignore_index=True)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as a reader wants them: ``15 of 16 (72 to 99 %)``."""
    words = table[[c for c in BY_CASE if c in table]].copy()
    for name in ("true", "false"):
        words[f"planted {name}"] = [
            "-" if not asked else f"{supported} of {asked} ({100 * low:.0f} to {100 * high:.0f} %)"
            for asked, supported, low, high in table[
                [f"{name}_{k}" for k in ("asked", "supported", "low", "high")]
            ].itertuples(index=False)]
    return words


def report(found: pd.DataFrame):
    """Print all counts, and what misses its bound."""
    table = marking.rates(found).sort_values("claim", kind="stable")
    print(f"\n## Supported, where planted true and where false\n\n"
          f"{shown(table).to_string(index=False)}")
    sure = found[~found["mechanism"].str.startswith("real")]
    for title, by in (("claims, all mechanisms together", ("claim",)),
                      ("claim and mechanism", ("claim", "mechanism")),
                      ("claim, mechanism and kind of hypothesis", BY_CASE)):
        missed = marking.misses(marking.rates(sure if by == ("claim",) else found, by=by))
        print(f"\n## Bounds missed (at least {marking.RIGHT:.0%} where true, at most "
              f"{marking.WRONG:.0%} where false): {title}\n\n"
              f"{shown(missed).to_string(index=False) if len(missed) else 'none'}")


def main():
    """Ask, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", metavar="NAME",
                        help="only these; all by default: hand-made, described, turned, grey, "
                        "real, 'dead channel', 'no use', A, 'A or B', 'A and B', 'A and not B'")
    parser.add_argument("--again", action="store_true", help="ask anew what is kept")
    parser.add_argument("--seed", type=int, default=3,
                        help="of units, halves and places; the rules were last changed by what "
                        "seed 0 showed, so that another one tests them")
    parser.add_argument("--quick", action="store_true",
                        help="a trial: two units of each mechanism; keeps and writes nothing")
    options = parser.parse_args()
    began = time.perf_counter()
    net = vz.load_network("vgg16", weights="packaged")
    every = parts(net, vz.load_images(), seed=options.seed, **({"per": 2} if options.quick else {}))
    unknown = set(options.parts or ()) - set(every)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; parts are {', '.join(every)}")
    found = ask(every, options.parts or list(every), None if options.quick else DONE,
                again=options.again)
    report(found)
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        marking.rates(found, by=BY_CASE).round(3).to_csv(RESULTS, index=False)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
