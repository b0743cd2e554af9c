"""How much a picture tells: a machine's choice between two patches, given a unit's pictures.

    python benchmarks/two_choices.py draw --images DIR [--layers ...] [--methods ...]
    python benchmarks/two_choices.py rule --images DIR
    python benchmarks/two_choices.py table

After Zimmermann et al. 2021 [1]_: who has seen a unit's pictures, and those of its opposite, is
shown two patches that he has not seen, and says which one excites the unit more. Here the reader is
EfficientNet-Lite0, at the layer whose receptive field is nearest the unit's: it sees what
photographs contain, and knows nothing of the unit.

* Photographs in two halves. Patches to choose between are random places of half B: one of the
  unit's strongest 5 %, one of the middle (47.5 to 52.5 %), 100 pairs a unit. Half A gives what is
  cut from photographs for a method.
* A patch is one place of the reader's layer, a picture all places that see no padding, their
  features standardised over half B. likeness(patch, pictures) is the cosine, pooled over places of
  all pictures by `RULE`; chosen is the patch of larger likeness to the unit's pictures less that to
  its opposite's (minus the objective). Equal ones count half.
* `RULE` was chosen by `rule`, on units that are not drawn by `draw`, with strongest photographs
  alone.
* Every method draws the same number of pictures on the same canvas; "nine photographs" stand
  beside as the known better aid. Seconds are per picture, of
  whole batches, what happens once for a network and layer included.

`draw` writes a row a unit to results/two_choices/LAYER__METHOD.csv and pictures to
build/two_choices/ after every batch, and goes on where it stopped. `table` prints means over units
with bootstrap intervals, and each method's difference from the default on the same units.

.. [1] R. S. Zimmermann et al., "How well do feature visualizations support causal understanding of
   CNN activations?", NeurIPS 2021, arXiv:2106.12447.
"""

import argparse
import functools
import re
import time
from dataclasses import dataclass
from pathlib import Path

import choice_methods
import numpy as np
import pandas as pd
from quality import end_max

import vizutils as vz
from techniques import samples

ROOT = Path(__file__).resolve().parent.parent
RESULTS, BUILT = ROOT / "benchmarks" / "results" / "two_choices", ROOT / "build" / "two_choices"
CANVAS = {"block2_conv2": 64, "block3_conv2": 96, "block4_conv2": 128, "block5_conv2": 176}
METHODS = ("default", "pixels", "MaCo", "bounded 6", "bounded 8", "tf-keras-vis", "photographs",
           "nine photographs", "another unit")
SEEDS = {"test": 0, "rule": 1, "explore": 7}  # of units, each without those of the one before
EACH, PAIRS = 8, 100  # random places in a photograph; pairs of patches
STRONG, MIDDLE = (95.0, 100.0), (47.5, 52.5)  # percentiles of a unit's answers
RULES = {  # likenesses of patches to places, shape (patches, places) → one a patch
    "max": lambda likeness: likeness.max(1),
    "mean": lambda likeness: likeness.mean(1),
    "top 3": lambda likeness: np.sort(likeness, 1)[:, -3:].mean(1),
}
RULE = "mean"


# ---------------------------------------------------------------------------------------------
# The choice


def normed(features: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def evidence(patches, positive, negative, rule: str) -> np.ndarray:
    """Likeness to a unit's pictures less that to its opposite's, shape (patches,).

    Parameters
    ----------
    patches, positive, negative : ndarray, shape (places, features)
        Standardised features of the patches, and of all places of the pictures.
    rule : str
        One of `RULES`.
    """
    to_positive, to_negative = (RULES[rule](normed(patches) @ normed(some).T)
                                for some in (positive, negative))
    return to_positive - to_negative


def correct_share(strong: np.ndarray, middle: np.ndarray) -> float:
    """Share of pairs in which the strong patch has more evidence; equal ones count half."""
    return float(((strong > middle) + 0.5 * (strong == middle)).mean())


def draw_pairs(answers: np.ndarray, rng, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of a unit's strongest answers, and as many of its middle ones, in random order.

    Raises
    ------
    ValueError
        There are too few places.
    """
    found = []
    for low, high in (STRONG, MIDDLE):
        least, most = np.percentile(answers, [low, high])
        inside = np.flatnonzero((answers >= least) & (answers <= most))
        if len(inside) < count:
            raise ValueError(f"{len(inside)} places for {count} pairs: give more photographs.")
        found.append(rng.choice(inside, count, replace=False))
    return found[0], found[1]


# ---------------------------------------------------------------------------------------------
# How natural pictures are


def clipped_share(images: np.ndarray) -> float:
    """Share of pixels with a colour that is shown as 0 or 255."""
    shown = np.round(images)
    return float(((shown <= 0) | (shown >= 255)).any(-1).mean())


def spectrum_slope(images: np.ndarray) -> float:
    """Slope of log magnitude over log frequency of brightness; natural pictures have about −1.

    From 2 cycles a picture to 0.4 a pixel, behind a Hann window.
    """
    size = images.shape[1]
    window = np.outer(*[np.hanning(size + 2)[1:-1]] * 2)
    light = images.mean(-1) - images.mean((1, 2, 3))[:, None, None]
    magnitude = np.abs(np.fft.rfft2(light * window)).mean(0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    used = (frequency >= 2 / size) & (frequency <= 0.4)
    edges = np.geomspace(2 / size, 0.4, 9)
    ring = np.digitize(frequency[used], edges)
    means = pd.DataFrame({"f": np.log(frequency[used]), "m": np.log(magnitude[used] + 1e-6)}
                         ).groupby(ring).mean()
    return float(np.polyfit(means["f"], means["m"], 1)[0])


def colour_histogram(images: np.ndarray) -> np.ndarray:
    """Shares of 4 × 4 × 4 boxes of RGB, shape (64,)."""
    boxes = np.clip(images // 64, 0, 3).astype(int).reshape(-1, 3) @ [16, 4, 1]
    return np.bincount(boxes, minlength=64) / len(boxes)


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
    histogram : ndarray, shape (64,)
        Of half A's colours.
    """

    answers_a: np.ndarray
    places_a: pd.DataFrame
    answers_b: np.ndarray
    features: np.ndarray
    histogram: np.ndarray

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """In standard deviations over half B's places, about their mean."""
        return (features - self.features.mean(0)) / np.maximum(self.features.std(0), 1e-6)


def look(net, layer: str, reader, read_layer: str, halves, *, each: int = EACH) -> Photographs:
    """Ask the layer and the reader at random places of the photographs."""
    half_a, half_b = halves
    side = max(vz.receptive_field(n, one).size for n, one in ((net, layer), (reader, read_layer)))
    found = []
    for seed, half in enumerate(halves):
        seen = samples.sample(net, layer, half, each=each, seed=seed, inputs=False)
        field = vz.receptive_field(net, layer, input_size=half.size)
        corner = np.array([field.window(row, column)[:2] for row, column in
                           seen.places[["row", "column"]].to_numpy()]) + (field.size - side) // 2
        inside = ((corner >= 0) & (corner + side <= half.size)).all(1)
        found.append((seen.places[inside].reset_index(drop=True), seen.answers[inside]))
    field = vz.receptive_field(reader, read_layer).size
    (places_a, answers_a), (places_b, answers_b) = found
    features = np.concatenate([vz.patch_responses(reader, read_layer, choice_methods.cut(
        net, layer, half_b, part, field)) for _, part in places_b.groupby(
            np.arange(len(places_b)) // 256)])
    some = half_a.read(range(0, len(half_a), max(1, len(half_a) // 100)))
    return Photographs(answers_a, places_a, answers_b, features, colour_histogram(some))


def kept_look(path: Path, key: str, make) -> Photographs:
    """`look` kept in a file, made anew for other photographs."""
    if path.exists():
        with np.load(path) as kept:
            if str(kept["key"]) == key:
                places = pd.DataFrame(kept["places_a"], columns=["picture", "row", "column"])
                return Photographs(kept["answers_a"], places, kept["answers_b"],
                                   kept["features"], kept["histogram"])
    found = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, key=key, answers_a=found.answers_a, answers_b=found.answers_b,
             features=found.features, histogram=found.histogram,
             places_a=found.places_a[["picture", "row", "column"]].to_numpy())
    return found


# ---------------------------------------------------------------------------------------------
# One method in one layer


def slug(name: str) -> str:
    """A method's name as part of a file's."""
    return re.sub(r"\W+", "_", name)


def features_of(bench, seen: Photographs, images: np.ndarray) -> np.ndarray:
    """Standardised features of all places of a few pictures."""
    field = vz.receptive_field(bench.reader, bench.reader_layer)
    squares = np.concatenate([windows(image, field.size, field.stride) for image in images])
    return seen.standardised(vz.patch_responses(bench.reader, bench.reader_layer,
                                                vz.made(squares)))


def choose(bench, seen: Photographs, unit: int, pictures: np.ndarray, rule: str = RULE) -> float:
    """Share of a unit's pairs that are told apart by pictures of shape (2 signs, n, s, s, 3)."""
    positive, negative = (features_of(bench, seen, images) for images in pictures)
    strong, middle = draw_pairs(seen.answers_b[:, unit], np.random.default_rng([2, unit]), PAIRS)
    of = seen.standardised(seen.features)
    return correct_share(*(evidence(of[some], positive, negative, rule)
                           for some in (strong, middle)))


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


def judge(bench, seen: Photographs, unit: int, pictures: np.ndarray) -> dict:
    """A unit's row: what its pictures tell, and how natural they are."""
    positive = pictures[0]
    distance = np.abs(colour_histogram(positive) - seen.histogram).sum() / 2
    return {"unit": unit, "correct": choose(bench, seen, unit, pictures), "pairs": PAIRS,
            "percentile": reached(bench, positive, unit), "clipped": clipped_share(positive),
            "slope": spectrum_slope(positive), "colours": distance}


def run(bench, seen: Photographs, method: str, units, results: Path, built: Path, *,
        batch: int = 8) -> pd.DataFrame:
    """Draw and judge what is not yet in the method's table; write it after every batch."""
    path = results / f"{bench.layer}__{slug(method)}.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"unit": pd.Series(dtype=int)})
    draw = choice_methods.by_name(bench, method)
    wanted = [unit for unit in units if unit not in set(table["unit"])]
    for first in range(0, len(wanted), batch):
        some = wanted[first : first + batch]
        start = time.perf_counter()
        pictures = np.stack([draw(some, sign) for sign in (1, -1)], axis=1)
        seconds = (time.perf_counter() - start) / (2 * len(some) * bench.pictures)
        rows = []
        for unit, own in zip(some, np.round(pictures), strict=True):
            keep(built, bench.layer, method, unit, own)
            rows.append({"layer": bench.layer, "method": method,
                         **judge(bench, seen, unit, own.astype("float32")), "seconds": seconds})
        table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
        write(table, path)
        print(f"{bench.layer} {method}: {len(table)} units, {seconds:.2f} s a picture", flush=True)
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = ["layer", "method", "unit"]
    part = path.with_suffix(".part")
    table[[*order, *(c for c in table if c not in order)]].round(4).to_csv(part, index=False)
    part.replace(path)


def picture_path(built: Path, layer: str, method: str, unit: int) -> Path:
    """Where a unit's pictures are kept."""
    return built / layer / slug(method) / f"{unit}.npy"


def keep(built: Path, layer: str, method: str, unit: int, pictures: np.ndarray) -> None:
    """Keep a unit's pictures, shape (2 signs, n, side, side, 3)."""
    path = picture_path(built, layer, method, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, pictures.astype("uint8"))


def kept(built: Path, layer: str, method: str, unit: int) -> np.ndarray:
    """Pictures of before.

    Raises
    ------
    ValueError
        There are none.
    """
    path = picture_path(built, layer, method, unit)
    if not path.exists():
        raise ValueError(f"{layer} unit {unit} has no pictures by {method}: draw these first.")
    return np.load(path)


# ---------------------------------------------------------------------------------------------
# The table


def interval(values, draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and the middle 95 % of means over units drawn with replacement."""
    values = np.asarray(values, "float64")
    rows = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(values[rows].mean(1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def shown(values) -> str:
    """``0.81 [0.78, 0.84]``."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*interval(values))


def markdown(tables: pd.DataFrame, layer: str) -> str:
    """A layer's methods, the best first."""
    own = tables[tables["layer"] == layer]
    lines = [f"| {layer} | units | correct | less the default, same units | percentile | clipped | "
             "slope | colours | s a picture |\n|" + "---|" * 9]
    base = own[own["method"] == "default"].set_index("unit")["correct"]
    order = own.groupby("method")["correct"].mean().sort_values(ascending=False).index
    for method in order:
        rows = own[own["method"] == method].set_index("unit")
        both = rows.index.intersection(base.index)
        paired = shown(rows.loc[both, "correct"] - base[both]) if (
            len(both) and method != "default") else "–"
        lines.append(
            f"| {method} | {len(rows)} | {shown(rows['correct'])} | {paired} | "
            f"{rows['percentile'].median():.0f} | {100 * rows['clipped'].mean():.1f} % | "
            f"{rows['slope'].mean():.2f} | {rows['colours'].mean():.2f} | "
            f"{rows['seconds'].median():.2f} |")
    return "\n".join(lines)


def all_tables(results: Path) -> pd.DataFrame:
    """Every row that is written."""
    paths = sorted(results.glob("*__*.csv"))
    if not paths:
        raise SystemExit("nothing is drawn yet: python benchmarks/two_choices.py draw --help")
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


# ---------------------------------------------------------------------------------------------
# The commands


def prepared(net, reader, layer: str, halves, options):
    """A layer's bench and what its photographs say."""
    read = reader_layer(reader, vz.receptive_field(net, layer).size)
    key = f"{[half.names for half in halves]} {EACH} {read}"
    seen = kept_look(BUILT / f"{layer}.npz", key, lambda: look(net, layer, reader, read, halves))
    units = units_of(net, layer, getattr(options, "kind", "rule"), options.units)
    return units, seen, choice_methods.Bench(
        net, layer, CANVAS[layer], reader, read, options.pictures, halves[0], seen.places_a,
        seen.answers_a, getattr(options, "xplique_python", ""),
        functools.partial(kept, BUILT / getattr(options, "kind", "rule"), layer),
        dict(zip(units, [*units[1:], units[0]], strict=True)))


def networks_and_halves(options):
    """VGG16, the reader, and the two halves of the photographs."""
    image_set = vz.load_images(options.images)
    halves = [image_set.subset(half) for half in vz.split_halves(len(image_set))]
    return (*(vz.load_network(name, weights="packaged")
              for name in ("vgg16", "efficientnet_lite0")), halves)


def draw_all(options) -> None:
    """Every wanted layer and method."""
    net, reader, halves = networks_and_halves(options)
    results = RESULTS if options.kind == "test" else BUILT / options.kind / "results"
    for layer in options.layers:
        units, seen, bench = prepared(net, reader, layer, halves, options)
        for method in options.methods:
            run(bench, seen, method, units, results, BUILT / options.kind, batch=options.batch)


def find_rule(options) -> None:
    """Which way of pooling is best with strongest photographs, on units of their own."""
    net, reader, halves = networks_and_halves(options)
    rows = []
    for layer in options.layers:
        units, seen, bench = prepared(net, reader, layer, halves, options)
        draw = choice_methods.by_name(bench, "photographs")
        for unit in units:
            pictures = np.stack([draw([unit], sign)[0] for sign in (1, -1)])
            rows += [{"layer": layer, "method": "photographs", "rule": rule, "unit": unit,
                      "correct": choose(bench, seen, unit, pictures, rule)} for rule in RULES]
    found = pd.DataFrame(rows)
    write(found, (BUILT if options.quick else RESULTS) / "rule.csv")
    print(found.pivot_table(index="layer", columns="rule", values="correct", margins=True).round(3))


def main():
    """Draw, choose the rule, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table", help="print what is drawn, as Markdown")
    table.add_argument("--results", type=Path, default=RESULTS)
    for name, words in (("draw", "draw and judge"), ("rule", "how likenesses are pooled")):
        command = commands.add_parser(name, help=words)
        command.add_argument("--images", required=True, help="folder of photographs, 1,000 or so")
        command.add_argument("--layers", nargs="+", default=list(CANVAS), choices=list(CANVAS))
        command.add_argument("--units", type=int, default=32 if name == "draw" else 16)
        command.add_argument("--pictures", type=int, default=1 if name == "draw" else 9,
                             help="for each unit and sign")
        command.add_argument("--quick", action="store_true", help="rule: write to build/ only")
    draw = commands.choices["draw"]
    draw.add_argument("--methods", nargs="+", default=list(METHODS))
    draw.add_argument("--kind", default="test", choices=list(SEEDS), help="which seeded units")
    draw.add_argument("--batch", type=int, default=8, help="units drawn before a table is written")
    draw.add_argument("--xplique-python", default="", help="interpreter of Xplique's environment")
    options = parser.parse_args()
    if options.command == "table":
        tables = all_tables(options.results)
        print("\n\n".join(markdown(tables, layer) for layer in CANVAS
                          if layer in set(tables["layer"])))
    else:
        (draw_all if options.command == "draw" else find_rule)(options)


if __name__ == "__main__":
    main()
