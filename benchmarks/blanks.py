"""The zero-blank goal: how many of VGG16's filters stay without a picture, and why.

    python benchmarks/blanks.py [--filters 64 | --all] [--layers block1_conv1 ...] [--quick]

1. **Here.** Seeded filters of each layer, 32 steps on the pre-activation; beside it the share of
   pixels that are clipped. By default the centre unit is climbed, in Fourier coordinates with
   Adam(0.4) and without transforms, because that is what the comparison asks: `end_max` against
   the same filter's maximum over 1,000 photographs. `--objective channel --transforms --rate 0.05
   --steps 128` is the engine as it comes. Canvas: the default
   one where it is at most `--cap` px, else the smallest multiple of the layer's stride at which
   the centre unit sees no padding (fewer positions make a high maximum harder, not easier).
   Every filter that is flat, ends at or below zero, or not above its photographs is named, and
   tried again from four other seeds and from four in plain pixels: what helps is the reason.
2. **The historical presets.** All filters, each preset's starting picture on the default canvas,
   one forward pass: a filter whose activation after the ReLU is zero everywhere has a zero
   gradient, so its picture stays as it started. That is checked by running the presets on a few
   filters (a picture that the first step leaves unchanged is never changed). Of the dead ones: how
   many would wake at one of eight other random starts (strong noise for all presets: their own is
   faint or none), and how many of those sampled in step 1 got a picture there.

Every batch is written to build/blanks.json, and a second call goes on where the first stopped.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from choice_scores import clipped_share

import vizutils as vz

STATE = Path(__file__).resolve().parent.parent / "build" / "blanks.json"
HISTORICAL = ("normalised_gradient", "lecture_rms", "target_activation")  # of vz.PRESETS
STARTS = 9  # the recipe's own and eight others
SECOND_TRIES = {  # for what the first climb leaves wanting
    "other seeds": {"seed": 1, "seeds": 4},
    "plain pixels": {"seed": 1, "seeds": 4, "parameterisation": vz.Pixels(),
                     "optimiser": vz.Adam(8.0)},
}


def canvas(net, layer: str, cap: int) -> int:
    """The default canvas, or, if it is above `cap`, the smallest that shows a whole unit."""
    default = vz.canvas(net, layer)
    stride = vz.receptive_field(net, layer).stride
    for size in range(stride, default, stride):
        seen = vz.receptive_field(net, layer, input_size=size)
        if default > cap and seen.unpadded.start <= seen.positions // 2 < seen.unpadded.stop:
            return size
    return default


def sample(net, layer: str, count: int | None) -> list[int]:
    """Seeded filters of a layer, a longer sample holding every shorter one; all without a count."""
    every = vz.submodel(net, layer).output.shape[-1]
    order = np.random.default_rng([0, net.conv_layers.index(layer)]).permutation(every)
    return sorted(order[:count].tolist())


def climb(net, layer: str, filters: list[int], size: int, **settings) -> dict:
    """Filter → what its picture reached and what its photographs did."""
    photographs = vz.class_responses(net, layer)[0].max(0) if net.responses else None
    found = vz.maximize(net, layer, filters, size=size, batch=len(filters), progress=False,
                        **settings)
    return {str(row.filter): {
        "clipped": clipped_share(found.images[[row.Index]]),
        "start": row.start, "end_mean": row.end_mean, "end_max": row.end_max, "flat": row.flat,
        "photographs": float(photographs[row.filter]) if photographs is not None else None}
        for row in found.report.itertuples()}


def try_again(net, layer: str, filter: int, size: int, settings: dict) -> dict:
    """What else `end_max` could be: the best of the seeds of each second try."""
    return {name: float(vz.maximize(net, layer, filter, size=size, batch=1, progress=False,
                                    **{**settings, **changes}).report["end_max"].max())
            for name, changes in SECOND_TRIES.items()}


def starting_pictures(preset: str, size: int, count: int = STARTS) -> np.ndarray:
    """The preset's own starting picture, then others: noise, also where the preset has none."""
    own = vz.PRESETS[preset]["parameterisation"]
    rngs = [np.random.default_rng([1, i]) for i in range(count)]
    return np.stack([(vz.Pixels() if i else own).start(rng, size) for i, rng in enumerate(rngs)])


def dead_filters(net, layer: str, pictures: np.ndarray) -> np.ndarray:
    """Whether a filter's activation is zero everywhere, shape (pictures, filters)."""
    return np.stack([(vz.activations(net, layer, picture[None])[0] <= 0).all((0, 1))
                     for picture in pictures])


def check_prediction(net, layer: str, preset: str, picture, dead, count: int = 2) -> list[int]:
    """Run a preset on a few dead and a few live filters: those predicted wrongly."""
    rng = np.random.default_rng(2)
    some = [int(f) for group in (np.flatnonzero(dead), np.flatnonzero(~dead))
            for f in rng.permutation(group)[:count]]
    images = vz.maximize(net, layer, some, preset=preset, start=picture, size=len(picture),
                         steps=1, batch=len(some), progress=False).images
    same = (images == np.clip(picture, 0, 255)).all((1, 2, 3))
    return [f for f, unchanged in zip(some, same, strict=True) if unchanged != dead[f]]


def study_starts(net, layer: str) -> dict:
    """Preset → dead filters, how many of them wake at other starts, and wrong predictions."""
    size, found = vz.canvas(net, layer), {}
    for preset in HISTORICAL:
        pictures = starting_pictures(preset, size)
        dead = dead_filters(net, layer, pictures)
        found[preset] = {
            "dead": np.flatnonzero(dead[0]).tolist(), "filters": dead.shape[1],
            "woken": int((dead[0] & ~dead[1:].all(0)).sum()),
            "wrong": check_prediction(net, layer, preset, pictures[0], dead[0])}
    return found


def save(state: dict, path: Path) -> None:
    """Write whole or not at all: an interruption leaves the last good file."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(state, indent=1, default=lambda number: number.item()))
    os.replace(part, path)


def faults(row: dict) -> list[str]:
    """What is wrong with one filter's picture."""
    found = ["flat"] if row["flat"] else []
    if row["end_max"] <= 0:
        found.append("at or below zero")
    if row["photographs"] is not None and row["end_max"] <= row["photographs"]:
        found.append("not above its photographs")
    return found


def clipped_words(rows: dict) -> str:
    """Share of pixels that are shown as 0 or 255: the mean over pictures, and the largest."""
    shares = [100 * row["clipped"] for row in rows.values()]
    return f"{np.mean(shares):.1f} %, {np.max(shares):.1f} %"


def climb_table(done: dict, sizes: dict) -> str:
    """The first table, and the filters it should name."""
    lines = ["| layer | canvas (px) | filters | flat | end_max ≤ 0 | not above its photographs | "
             "end_max / photographs: lowest, median | clipped pixels: mean, most |\n|"
             + "---|" * 8]
    named, solved = [], 0
    for layer, rows in done.items():
        kinds = [faults(row) for row in rows.values()]
        counts = [sum(kind in k for k in kinds)
                  for kind in ("flat", "at or below zero", "not above its photographs")]
        ratios = [row["end_max"] / row["photographs"] for row in rows.values()
                  if row["photographs"]]
        shares = f"{np.min(ratios):.2f}, {np.median(ratios):.2f}" if ratios else "–"
        lines.append(f"| {layer} | {sizes[layer]} | {len(rows)} | "
                     + " | ".join(map(str, counts)) + f" | {shares} | {clipped_words(rows)} |")
        for (f, row), kind in zip(rows.items(), kinds, strict=True):
            if kind:
                others = row.get("second", {})
                limit = max(0, row["photographs"] or 0)
                solved += any(value > limit for value in others.values())
                words = [f"{name} {value:.1f}" for name, value in others.items()]
                named.append(f"- {layer} filter {f}: {', '.join(kind)}. " + ", ".join(
                    [f"end_max {row['end_max']:.1f}",
                     f"photographs {row['photographs'] or np.nan:.1f}", *words]))
    every = sum(map(len, done.values()))
    rows = {(layer, f): row for layer, own in done.items() for f, row in own.items()}
    lines.append(f"\nClipped pixels over all {every}: {clipped_words(rows)}.")
    if not named:
        return "\n".join([*lines, f"\nNone of the {every} to be named."])
    return "\n".join([*lines, f"\nNamed: {len(named)} of {every}; {solved} of them get above zero "
                      "and their photographs at a second try:\n", *named])


def start_table(starts: dict, done: dict) -> str:
    """The second table: dead filters of each preset by layer."""
    presets = list(next(iter(starts.values())))
    lines = ["| layer | filters | " + " | ".join(
        f"`{p}`: dead at its start; woken by other starts; of the sampled, drawn here"
        for p in presets) + " |\n|" + "---|" * (2 + len(presets))]
    total = {preset: np.zeros(4, int) for preset in presets}
    every, wrong = 0, []
    for layer, found in starts.items():
        cells = []
        for preset in presets:
            dead, rows = found[preset]["dead"], done.get(layer, {})
            sampled = [rows[str(f)] for f in dead if str(f) in rows]
            drawn = sum(not row["flat"] and row["end_max"] > 0 for row in sampled)
            numbers = np.array([len(dead), found[preset]["woken"], drawn, len(sampled)])
            total[preset] += numbers
            cells.append("{}; {}; {} of {}".format(*numbers))
            wrong += [f"{layer} {f} ({preset})" for f in found[preset]["wrong"]]
        every += found[presets[0]]["filters"]
        lines.append(f"| {layer} | {found[presets[0]]['filters']} | " + " | ".join(cells) + " |")
    sums = [f"{dead} ({100 * dead / every:.0f} %); {woken} ({100 * woken / max(dead, 1):.0f} %); "
            f"{drawn} of {sampled}" for dead, woken, drawn, sampled in total.values()]
    lines.append(f"| all | {every} | " + " | ".join(sums) + " |")
    verdict = f"predicted wrongly: {', '.join(wrong)}" if wrong else "all as predicted"
    lines.append("\nChecked by running two dead and two live filters of each layer and preset: "
                 f"{verdict}.")
    return "\n".join(lines)


def main():
    """Go on where the last call stopped; print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", help="default: all 13")
    parser.add_argument("--filters", type=int, default=64, help="seeded filters of each layer")
    parser.add_argument("--all", action="store_true", help="every filter: hours without a GPU")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--objective", default="unit", choices=["unit", "channel"])
    parser.add_argument("--transforms", action="store_true", help="with the engine's transforms")
    parser.add_argument("--rate", type=float, default=0.4, help="of Adam")
    parser.add_argument("--cap", type=int, default=112, help="largest default canvas (px)")
    parser.add_argument("--quick", action="store_true",
                        help="a trial: 2 filters of 2 layers, 4 steps; build/blanks_quick.json")
    options = parser.parse_args()
    path = STATE
    if options.quick:
        options.layers, options.filters = options.layers or ["block1_conv2", "block3_conv2"], 2
        options.steps, path = 4, STATE.with_name("blanks_quick.json")
    net = vz.load_network("vgg16", weights="packaged")
    layers = options.layers or net.conv_layers
    count = None if options.all else options.filters
    key = (f"{options.objective}, {options.steps} steps, Adam({options.rate}), "
           f"{'with' if options.transforms else 'no'} transforms, cap {options.cap}")
    state = json.loads(path.read_text()) if path.exists() else {}
    ours, starts = state.setdefault(key, {}), state.setdefault("presets", {})
    settings = {"objective": options.objective, "steps": options.steps,
                "optimiser": vz.Adam(options.rate),
                "transforms": vz.TRANSFORMS if options.transforms else ()}
    sizes = {layer: canvas(net, layer, options.cap) for layer in layers}

    began = time.perf_counter()
    for layer in layers:
        if layer not in starts:
            starts[layer] = study_starts(net, layer)
            save(state, path)
        rows = ours.setdefault(layer, {})
        todo = [f for f in sample(net, layer, count) if "clipped" not in rows.get(str(f), {})]
        batch = max(1, min(16, 16 * 112**2 // sizes[layer] ** 2))  # memory: pixels of a batch
        for first in range(0, len(todo), batch):
            rows.update(climb(net, layer, todo[first:first + batch], sizes[layer], **settings))
            save(state, path)
        for f, row in rows.items():
            if faults(row) and "second" not in row:
                row["second"] = try_again(net, layer, int(f), sizes[layer], settings)
                save(state, path)
        print(f"{layer}: {len(rows)} filters, {time.perf_counter() - began:.0f} s so far",
              flush=True)
    print(f"\n{key}\n\n{climb_table({x: ours[x] for x in layers}, sizes)}\n\n"
          f"{start_table({x: starts[x] for x in layers}, ours)}")


if __name__ == "__main__":
    main()
