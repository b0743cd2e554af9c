"""How much a picture tells: a machine's choice between two patches, given a unit's pictures.

    python benchmarks/two_choices.py draw --images DIR [--layers ...] [--methods ...]
    python benchmarks/two_choices.py score
    python benchmarks/two_choices.py rule --images DIR
    python benchmarks/two_choices.py table
    python benchmarks/two_choices.py sheet

After Zimmermann et al. 2021 [1]_: who has seen a unit's pictures, and those of its opposite, is
shown two patches that he has not seen, and says which one excites the unit more. Here the reader is
EfficientNet-Lite0, at the layer whose receptive field is nearest the unit's: it sees what
photographs contain, and knows nothing of the unit.

* Photographs in two halves. Patches to choose between are random places of half B: one of the
  unit's strongest 5 %, one of the middle (40 to 60 %), up to 100 pairs a unit, alike in contrast
  and brightness where the unit looks (`choice_scores.matched_pairs`). Half A gives what is cut
  from photographs for a method.
* A patch is one place of the reader's layer, a picture all places that see no padding, their
  features standardised over half B. likeness(patch, pictures) is the cosine, pooled over places of
  all pictures by `RULE`; chosen is the patch of larger likeness to the unit's pictures less that to
  its opposite's (minus the objective). Equal ones count half.
* What counts is `told`: 0.5 and what a unit's own pictures tell of its pairs more than the other
  drawn units' pictures by the same method do, on average over all of them.
* `RULE` was chosen by `rule`, on units that are not drawn by `draw`, with strongest photographs
  alone.
* Every method draws the same number of pictures on the same canvas; "nine photographs" stand
  beside as the known better aid. Seconds are of all processors together, per picture, of whole
  batches, what happens once for a network and layer included.

`draw` keeps pictures in build/two_choices/ after every batch, and goes on where it stopped; `score`
draws nothing and needs no photographs any more: for whatever is drawn it writes a row a unit to
results/two_choices/LAYER__METHOD.csv. `table` prints means over units with bootstrap intervals, and
by how much the default tells more than each method, on the same units; `sheet` writes
data/method_sheet.webp, the pictures of the first two units of each layer, from what is drawn and
scored.

.. [1] R. S. Zimmermann et al., "How well do feature visualizations support causal understanding of
   CNN activations?", NeurIPS 2021, arXiv:2106.12447.
"""

import argparse
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

import choice_methods
import choice_scores
import numpy as np
import pandas as pd
from quality import end_max

import vizutils as vz
from engine.ascent import weak_note
from techniques import method_sheet, samples

ROOT = Path(__file__).resolve().parent.parent
RESULTS, BUILT = ROOT / "benchmarks" / "results" / "two_choices", ROOT / "build" / "two_choices"
CANVAS = {"block2_conv2": 64, "block3_conv2": 96, "block4_conv2": 128, "block5_conv2": 176}
METHODS = ("nine photographs", "photographs", "default", "bounded 6", "pixels", "MaCo",
           "tf-keras-vis", "first default", "bounded 8")
SEEDS = {"test": 0, "rule": 1, "explore": 7}  # of units, each without those of the one before
EACH, PAIRS = 24, 100  # random places in a photograph; pairs of patches at most
RULE = "mean"
EACH_SHOWN = 2  # units of a layer on the sheet


# ---------------------------------------------------------------------------------------------
# Photographs, units, the reader


def units_of(net: vz.Network, layer: str, kind: str, count: int) -> list[int]:
    """Seeded units; those of one kind are never those of another."""
    taken: set[int] = set()
    for name, seed in SEEDS.items():
        order = np.random.default_rng([seed, net.conv_layers.index(layer)]).permutation(
            net.channels(layer))
        rest = [int(unit) for unit in order if int(unit) not in taken]
        if name == kind:
            return rest[:count]
        taken |= set(rest[:32])  # the most of it that `draw` asks for by itself
    raise ValueError(f"kind is one of {', '.join(SEEDS)}, not {kind!r}.")


def reader_layer(reader: vz.Network, size: int) -> str:
    """The reader's layer of the receptive field nearest to `size`, the last of several."""
    fields = {layer: vz.receptive_field(reader, layer).size for layer in reader.conv_layers}
    nearest = min(abs(field - size) for field in fields.values())
    return [layer for layer, field in fields.items() if abs(field - size) == nearest][-1]


def windows(image: np.ndarray, side: int, stride: int) -> np.ndarray:
    """Squares of a picture, `stride` apart, one of them in its centre: (n, side, side, 3)."""
    room = image.shape[0] - side
    if room < 0:
        raise ValueError(f"a picture of {image.shape[0]} px has no window of {side} px.")
    starts = np.arange(room % (2 * stride) // 2, room + 1, stride)
    return np.stack([image[top : top + side, left : left + side]
                     for top in starts for left in starts])


@dataclass(frozen=True, eq=False)
class Photographs:
    """What a layer and the reader make of random places, kept in one file.

    Attributes
    ----------
    answers_a, answers_b : ndarray, shape (places, filters)
    places_a : DataFrame
    features : ndarray, shape (places of half B, features of the reader's layer)
    looks : ndarray, shape (places of half B, 3)
        Of the unit's receptive field, from `choice_scores.looks`.
    histogram : ndarray, shape (64,)
        Of half A's colours.
    """

    answers_a: np.ndarray
    places_a: pd.DataFrame
    answers_b: np.ndarray
    features: np.ndarray
    looks: np.ndarray
    histogram: np.ndarray

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """In standard deviations over half B's places, about their mean."""
        return (features - self.features.mean(0)) / np.maximum(self.features.std(0), 1e-6)


def ask(net, layer: str, half, each: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Random places of photographs and a layer's answers there; see `samples.sample`.

    Asked patch by patch where these have fewer pixels than their photograph.
    """
    if each * vz.receptive_field(net, layer).size ** 2 >= half.size**2:
        seen = samples.sample(net, layer, half, each=each, seed=seed, inputs=False)
        return seen.places, seen.answers
    inside = vz.unpadded_positions(net, layer, half.size)
    rows, columns = np.random.default_rng(seed).integers(inside.start, inside.stop,
                                                         (2, len(half), each))
    places = pd.DataFrame({"picture": np.repeat(np.arange(len(half)), each),
                           "row": rows.ravel(), "column": columns.ravel()})
    return places, np.concatenate([vz.patch_responses(net, layer, patches) for patches in
                                   samples.patches(net, layer, half, places)])


def look(net, layer: str, reader, read_layer: str, halves, *, each: int = EACH) -> Photographs:
    """Ask the layer and the reader at random places of the photographs."""
    half_a, half_b = halves
    side = max(vz.receptive_field(n, one).size for n, one in ((net, layer), (reader, read_layer)))
    found = []
    for seed, half in enumerate(halves):
        places, answers = ask(net, layer, half, each, seed)
        once = ~places.duplicated().to_numpy()  # deep layers have few places
        field = vz.receptive_field(net, layer, input_size=half.size)
        corner = np.array([field.window(row, column)[:2] for row, column in
                           places[["row", "column"]].to_numpy()]) + (field.size - side) // 2
        inside = once & ((corner >= 0) & (corner + side <= half.size)).all(1)
        found.append((places[inside].reset_index(drop=True), answers[inside]))
    own, read = (vz.receptive_field(n, at).size for n, at in ((net, layer), (reader, read_layer)))
    (places_a, answers_a), (places_b, answers_b) = found
    features, looked = [], []
    for _, part in places_b.groupby(np.arange(len(places_b)) // 256):
        features.append(vz.patch_responses(
            reader, read_layer, choice_methods.cut(net, layer, half_b, part, read)))
        looked.append(choice_scores.looks(choice_methods.cut(net, layer, half_b, part, own)))
    some = half_a.read(range(0, len(half_a), max(1, len(half_a) // 100)))
    return Photographs(answers_a, places_a, answers_b, np.concatenate(features),
                       np.concatenate(looked), choice_scores.colour_histogram(some))


def kept_look(path: Path, key: str | None, make) -> Photographs:
    """`look` kept in a file, made anew for other photographs; without a key: whatever is kept."""
    if path.exists():
        with np.load(path) as kept:
            if key in (None, str(kept["key"])):
                places = pd.DataFrame(kept["places_a"], columns=["picture", "row", "column"])
                return Photographs(kept["answers_a"], places, kept["answers_b"],
                                   kept["features"], kept["looks"], kept["histogram"])
    if key is None:
        raise SystemExit(f"no photographs are kept in {path}: give --images DIR.")
    found = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, key=key, answers_a=found.answers_a, answers_b=found.answers_b,
             features=found.features, looks=found.looks, histogram=found.histogram,
             places_a=found.places_a[["picture", "row", "column"]].to_numpy())
    return found


# ---------------------------------------------------------------------------------------------
# Drawing


def slug(name: str) -> str:
    """A method's name as part of a file's."""
    return re.sub(r"\W+", "_", name)


def picture_path(built: Path, layer: str, method: str, unit: int) -> Path:
    """Where a unit's pictures are kept."""
    return built / layer / slug(method) / f"{unit}.npz"


def kept(built: Path, layer: str, method: str, unit: int) -> tuple[np.ndarray, float] | None:
    """Pictures of before, shape (2 signs, n, side, side, 3), and seconds each; None: not drawn."""
    path = picture_path(built, layer, method, unit)
    if not path.exists():
        return None
    with np.load(path) as found:
        return found["pictures"].astype("float32"), float(found["seconds"])


def processor_seconds() -> float:
    """Of this program and of programs it has called, all threads together."""
    return sum(os.times()[:4])


def draw(bench, method: str, units, built: Path) -> None:
    """Draw both signs of what is not yet kept, as one batch, and keep it."""
    wanted = [unit for unit in units if kept(built, bench.layer, method, unit) is None]
    if not wanted:
        return
    by_method = choice_methods.by_name(bench, method)
    start = processor_seconds()
    pictures = np.stack([by_method(wanted, sign) for sign in (1, -1)], axis=1)
    seconds = (processor_seconds() - start) / (2 * len(wanted) * bench.pictures)
    for unit, own in zip(wanted, pictures, strict=True):
        path = picture_path(built, bench.layer, method, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, pictures=np.round(own).astype("uint8"), seconds=seconds)
        part.replace(path)
    print(f"{bench.layer} {method}: units {wanted}, {seconds:.2f} processor s a picture",
          flush=True)


# ---------------------------------------------------------------------------------------------
# Judging


def features_of(bench, seen: Photographs, images: np.ndarray) -> np.ndarray:
    """Standardised features of all places of a few pictures."""
    field = vz.receptive_field(bench.reader, bench.reader_layer)
    squares = np.concatenate([windows(image, field.size, field.stride) for image in images])
    return seen.standardised(vz.patch_responses(bench.reader, bench.reader_layer,
                                                vz.made(squares)))


def pairs_of(seen: Photographs, units) -> dict[int, np.ndarray]:
    """Each unit's matched pairs of places in half B."""
    return {unit: choice_scores.matched_pairs(seen.answers_b[:, unit], seen.looks,
                                              np.random.default_rng([2, unit]), PAIRS)
            for unit in units}


def what_pairs_give_away(seen: Photographs, pairs: dict[int, np.ndarray]) -> pd.DataFrame:
    """How many pairs there are, what contrast alone tells of them, and of unmatched ones."""
    rows = []
    for unit, own in pairs.items():
        rng = np.random.default_rng([3, unit])
        free = np.stack([rng.choice(some, 1000) for some in choice_scores.candidates(
            seen.answers_b[:, unit])], 1)
        alone = choice_scores.by_alone(free, seen.looks)
        rows.append({"unit": unit, "pairs": len(own),
                     **choice_scores.by_alone(own, seen.looks),
                     **{f"{name}_unmatched": share for name, share in alone.items()}})
    return pd.DataFrame(rows)


def tell(bench, seen: Photographs, pictures: dict[int, np.ndarray], pairs, rule: str = RULE):
    """`choice_scores.told` of units' pictures, each of shape (2 signs, n, side, side, 3)."""
    patches = seen.standardised(seen.features)
    used = np.unique(np.concatenate([pairs[unit].ravel() for unit in pictures]))
    evidences = {}
    for unit, own in pictures.items():
        evidences[unit] = np.full(len(patches), np.nan)
        evidences[unit][used] = choice_scores.evidence(
            patches[used], *(features_of(bench, seen, images) for images in own), rule)
    return choice_scores.told(evidences, {unit: pairs[unit] for unit in pictures})


def reached(bench, images: np.ndarray, unit: int) -> float:
    """Mean percentile of pictures' largest answers among the photographs' maxima."""
    field, side = vz.receptive_field(bench.net, bench.layer).size, images.shape[1]
    if side == choice_methods.patch_side(bench):  # as `choice_methods.cut` centres it
        inside = slice(-((field - side) // 2), -((field - side) // 2) + field)
        values = vz.patch_responses(bench.net, bench.layer, images[:, inside, inside],
                                    filters=[unit])[:, 0]
    else:
        values = end_max(bench.net, bench.layer, images, [unit] * len(images))
    maxima = vz.class_responses(bench.net, bench.layer)[0][:, unit]
    return float(np.mean([100 * (maxima < value).mean() for value in values]))


def score(bench, seen: Photographs, method: str, units, pairs, built: Path) -> pd.DataFrame:
    """A row for each unit that is drawn; none where fewer than two are."""
    found = {unit: drawn for unit in units
             if (drawn := kept(built, bench.layer, method, unit)) is not None}
    if len(found) < 2:
        return pd.DataFrame()
    table = tell(bench, seen, {unit: pictures for unit, (pictures, _) in found.items()}, pairs)
    natural = []
    for unit, (pictures, seconds) in found.items():
        positive = pictures[0]
        natural.append({
            "percentile": reached(bench, positive, unit),
            "clipped": choice_scores.clipped_share(positive),
            "slope": choice_scores.spectrum_slope(positive),
            "colours": np.abs(choice_scores.colour_histogram(positive) - seen.histogram).sum() / 2,
            "seconds": seconds})
    table = pd.concat([table, pd.DataFrame(natural)], axis=1)
    return table.assign(layer=bench.layer, method=method)


def write(table: pd.DataFrame, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [c for c in ("layer", "method", "unit") if c in table]
    part = path.with_suffix(".part")
    table[[*order, *(c for c in table if c not in order)]].round(4).to_csv(part, index=False)
    part.replace(path)


# ---------------------------------------------------------------------------------------------
# The table


def shown(values) -> str:
    """``0.81 [0.78, 0.84]``."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*choice_scores.interval(values))


def markdown(tables: pd.DataFrame, layer: str) -> str:
    """A layer's methods, those that tell most first."""
    own = tables[tables["layer"] == layer]
    lines = [f"| {layer} | units | told | own | others' | default tells more by | percentile | "
             "clipped | slope | colours | processor s |\n|" + "---|" * 11]
    base = own[own["method"] == "default"].set_index("unit")["told"]
    order = own.groupby("method")["told"].mean().sort_values(ascending=False).index
    for method in order:
        rows = own[own["method"] == method].set_index("unit")
        both = rows.index.intersection(base.index)
        paired = shown(base[both] - rows.loc[both, "told"]) if (
            len(both) and method != "default") else "–"
        lines.append(
            f"| {method} | {len(rows)} | {shown(rows['told'])} | {rows['own'].mean():.2f} | "
            f"{rows['others'].mean():.2f} | {paired} | "
            f"{rows['percentile'].median():.0f} | {100 * rows['clipped'].mean():.1f} % | "
            f"{rows['slope'].mean():.2f} | {rows['colours'].mean():.2f} | "
            f"{rows['seconds'].median():.2f} |")
    return "\n".join(lines)


def all_tables(results: Path) -> pd.DataFrame:
    """Every row that is written."""
    paths = sorted(results.glob("*__*.csv"))
    if not paths:
        raise SystemExit("nothing is scored yet: python benchmarks/two_choices.py score --help")
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


# ---------------------------------------------------------------------------------------------
# The commands


def prepared(net, reader, layer: str, halves, options):
    """A layer's units, what photographs say of it, and its bench."""
    read = reader_layer(reader, vz.receptive_field(net, layer).size)
    key = f"{[half.names for half in halves]} {EACH} {read}" if halves[0] else None
    seen = kept_look(BUILT / f"{layer}.npz", key, lambda: look(net, layer, reader, read, halves))
    return (units_of(net, layer, options.kind, options.units), seen, choice_methods.Bench(
        net, layer, CANVAS[layer], reader, read, options.pictures, halves[0], seen.places_a,
        seen.answers_a, options.xplique_python))


def networks_and_halves(options):
    """VGG16, the reader, and the two halves of the photographs, None where none are given."""
    halves = [None, None]
    if options.images:
        image_set = vz.load_images(options.images)
        halves = [image_set.subset(half) for half in vz.split_halves(len(image_set))]
    return (*(vz.load_network(name, weights="packaged")
              for name in ("vgg16", "efficientnet_lite0")), halves)


def draw_all(options) -> None:
    """Every wanted layer and method; a few units by all methods, then the next few."""
    net, reader, halves = networks_and_halves(options)
    for layer in options.layers:
        units, _, bench = prepared(net, reader, layer, halves, options)
        for first in range(0, len(units), options.batch):
            for method in options.methods:
                draw(bench, method, units[first : first + options.batch], BUILT / options.kind)


def score_all(options) -> None:
    """Whatever is drawn of the wanted layers and methods."""
    net, reader, halves = networks_and_halves(options)
    results = RESULTS if options.kind == "test" else BUILT / options.kind / "results"
    for layer in options.layers:
        units, seen, bench = prepared(net, reader, layer, halves, options)
        pairs = pairs_of(seen, units)
        write(what_pairs_give_away(seen, pairs).assign(layer=layer), results / f"{layer}.csv")
        for method in options.methods or choice_methods.NAMES:
            table = score(bench, seen, method, units, pairs, BUILT / options.kind)
            if len(table):
                write(table, results / f"{layer}__{slug(method)}.csv")
                print(f"{layer} {method}: {len(table)} units, told {shown(table['told'])}",
                      flush=True)


def find_rule(options) -> None:
    """Which way of pooling is best with strongest photographs, on units of their own."""
    net, reader, halves = networks_and_halves(options)
    rows = []
    for layer in options.layers:
        units, seen, bench = prepared(net, reader, layer, halves, options)
        by_method = choice_methods.by_name(bench, "photographs")
        pictures = {unit: np.stack([by_method([unit], sign)[0] for sign in (1, -1)])
                    for unit in units}
        pairs = pairs_of(seen, units)
        rows += [tell(bench, seen, pictures, pairs, rule).assign(
            layer=layer, method="photographs", rule=rule) for rule in choice_scores.RULES]
    found = pd.concat(rows, ignore_index=True)
    write(found, (BUILT if options.quick else RESULTS) / "rule.csv")
    print(found.pivot_table(index="layer", columns="rule", values="told", margins=True).round(3))


def write_sheet(options) -> None:
    """The first units' pictures by each method that has drawn any of them, in one small file."""
    net, rows, pictures = vz.load_network("vgg16", weights="packaged"), [], {}
    units = [(layer, unit) for layer in CANVAS for unit in units_of(net, layer, "test", EACH_SHOWN)]
    scored = all_tables(options.results).set_index(["method", "layer", "unit"])["percentile"]
    for method, at in itertools.product(choice_methods.NAMES, units):
        drawn = kept(BUILT / "test", at[0], method, at[1])
        if drawn is None or (method, *at) not in scored.index:
            continue
        rows.append(method)
        note = weak_note(scored[method, *at]) if "photograph" not in method else ""
        shown = drawn[0][0][:1 if method != "nine photographs" else 9]
        pictures[method, *at] = mosaic(shown), note.replace(" above", "")
    method_sheet.save(pictures, options.out, methods=list(dict.fromkeys(rows)), units=units,
                      note={"command": "python benchmarks/two_choices.py sheet", "canvas": CANVAS})
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB, "
          f"{len(pictures)} of {len(units) * len(set(rows))} pictures")


def mosaic(images: np.ndarray) -> np.ndarray:
    """One picture as it is, nine as a square of three by three."""
    side = round(len(images) ** 0.5)
    rows = images[: side**2].reshape(side, side, *images.shape[1:])
    return np.concatenate(np.concatenate(rows, axis=1), axis=1)


def main():
    """Draw, score, choose the rule, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="print what is scored, as Markdown")
    table.add_argument("--results", type=Path, default=RESULTS)
    sheet = commands.add_parser("sheet", help="write the sheet of methods")
    sheet.add_argument("--results", type=Path, default=RESULTS)
    sheet.add_argument("--out", type=Path, default=method_sheet.SHEET)
    words = {"draw": "keep pictures", "score": "judge them", "rule": "how likenesses are pooled"}
    for name, told in words.items():
        rule = name == "rule"
        command = commands.add_parser(name, help=told)
        command.add_argument("--images", default="", required=rule, help="folder of photographs, "
                             "1,000 or so; once a layer's were looked at, only photographs need it")
        command.add_argument("--layers", nargs="+", default=list(CANVAS), choices=list(CANVAS))
        command.add_argument("--units", type=int, default=16 if rule else 32)
        command.add_argument("--pictures", type=int, default=9 if rule else 1,
                             help="for each unit and sign")
        command.add_argument("--kind", default="rule" if rule else "test", choices=list(SEEDS),
                             help="which seeded units")
        command.add_argument("--methods", nargs="+", default=list(METHODS) * (name == "draw"),
                             help="score: by default whatever is drawn")
        command.add_argument("--xplique-python", default="",
                             help="draw: interpreter of Xplique's environment")
    commands.choices["rule"].add_argument("--quick", action="store_true",
                                          help="write to build/ only")
    commands.choices["draw"].add_argument("--batch", type=int, default=8,
                                          help="units drawn before they are kept")
    options = parser.parse_args()
    if options.command == "table":
        tables = all_tables(options.results)
        print("\n\n".join(markdown(tables, layer) for layer in CANVAS
                          if layer in set(tables["layer"])))
    else:
        {"draw": draw_all, "score": score_all, "rule": find_rule,
         "sheet": write_sheet}[options.command](options)


if __name__ == "__main__":
    main()
