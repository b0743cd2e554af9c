"""Time to quality: how long each method takes to match tf-keras-vis after its 200 steps.

    python benchmarks/quality.py [--layers block2_conv2 ...] [--filters 5] [--runs 5] [--quick]

* Metric: `end_max`, the filter's largest pre-activation over positions that see no padding, in the
  picture as it is: untransformed, clipped to 0-255, on the canvas that vizutils takes by itself.
* Target, for each filter: what tf-keras-vis ends at with all its defaults (200 steps, RMSprop,
  jitter, rotation, regularisers), one by one or as one batch, whichever is higher.
* First the step at which each method first reaches the target is looked for, untimed, looking at
  every step up to `--cap`. Then runs of just that length are timed: a batch stops with its slowest
  filter, one-by-one methods with each filter's own. tf-keras-vis may pass its final value on the
  way, so it stands there twice: up to the first time, and with its 200 steps.
* Everything is counted (random starts, history, report) except what happens once for a network and
  layer: building the cut model, tracing, compiling. That first call has a column of its own.
"""

import argparse
import functools
import json
import statistics
import time
from pathlib import Path

import numpy as np
import peers
from measure import seconds

import vizutils as vz

LAYERS = ("block2_conv2", "block3_conv2", "block4_conv2")
OURS = {  # settings of `maximize`; one trace serves all filters of a layer
    "vizutils, as it comes": {},
    "vizutils, Adam(0.4), no transforms": {"optimiser": vz.Adam(0.4), "transforms": ()},
    "vizutils, unit, Adam(0.4), no transforms": {
        "objective": "unit", "optimiser": vz.Adam(0.4), "transforms": ()},
    "vizutils, unit, pixels, Adam(64), no transforms": {
        "objective": "unit", "parameterisation": vz.Pixels(), "optimiser": vz.Adam(64.0),
        "transforms": ()},
}
LOOPS = {  # settings of the eager loop; the first is the recipe of many labs
    "eager loop, norm 10": {"rate": 10.0, "by": "norm"},
    "eager loop, rms 4": {"rate": 4.0, "by": "rms"},
    "eager loop, rms 16": {"rate": 16.0, "by": "rms"},
}
PEER = "tf-keras-vis"


def end_max(net, layer: str, images: np.ndarray, filters) -> np.ndarray:
    """Each picture's largest pre-activation of its own filter, where no padding is seen."""
    inside = vz.receptive_field(net, layer, input_size=images.shape[1]).unpadded
    found = []
    for image, chosen in zip(images, filters, strict=True):
        maps = vz.activations(net, layer, image[None], pre_activation=True)
        found.append(maps[0, inside, inside, chosen].max())
    return np.array(found)


def first_reached(rows: np.ndarray, target: np.ndarray) -> list[int | None]:
    """For each column of `rows` (steps, n), the first step (counted from 1) at the target."""
    hit = np.asarray(rows) >= target
    return [int(column.argmax()) + 1 if column.any() else None for column in hit.T]


def peer_methods(model, filters, starts):
    """Name → function of the filters' numbers of steps and of a watcher."""
    def one_by_one(steps, watch=None):
        for i, count in enumerate(np.broadcast_to(steps, len(filters))):
            seen = watch and (lambda step, pictures, i=i: watch(i, step, pictures))
            peers.tf_keras_vis(model, filters[i:i + 1], starts[i:i + 1], steps=count, watch=seen)

    def one_batch(steps, watch=None):
        seen = watch and (lambda step, pictures: watch(None, step, pictures))
        peers.tf_keras_vis(model, filters, starts, steps=np.max(steps), watch=seen)

    return {f"{PEER}, one by one": one_by_one, f"{PEER}, one batch": one_batch}


def watched(method, steps: int, count: int, score) -> tuple[np.ndarray, float]:
    """Run a peer once, keeping every step's pictures: their scores (steps, n), and the seconds."""
    kept = {}

    def watch(number, step, pictures):
        for i, picture in zip(range(count) if number is None else [number], pictures, strict=True):
            kept[step, i] = picture

    (taken,) = seconds(lambda: method(steps, watch), runs=1, warm_up=0)
    rows = [score(np.stack([kept[step, i] for i in range(count)])) for step in range(1, steps + 1)]
    return np.array(rows), taken


def compare(net, layer: str, filters: list[int], *, cap: int, peer_steps: int, runs: int) -> dict:
    """All methods on one layer; see the module's text."""
    size = vz.canvas(net, layer)
    score = functools.partial(end_max, net, layer, filters=filters)
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 255, (len(filters), size, size, 3)).astype("float32")  # as PEER does
    grey = np.stack([vz.Pixels().start(rng, size) for _ in filters])
    model = peers.cut_model(net, layer, size)
    np.random.seed(0)  # noqa: NPY002 - the peer's jitter draws from there; its rotation has no seed

    methods, reached, first_call, whole = peer_methods(model, filters, starts), {}, {}, {}
    rows = {}
    for name, method in methods.items():
        (first_call[name],) = seconds(functools.partial(method, 1), runs=1, warm_up=0)
        rows[name], whole[name] = watched(method, peer_steps, len(filters), score)
    target = np.max([r[-1] for r in rows.values()], axis=0)
    reached = {name: first_reached(r, target) for name, r in rows.items()}
    last = {name: r[-1] for name, r in rows.items()}

    for name, settings in LOOPS.items():
        methods[name] = functools.partial(_loop, model, filters, grey, settings)
        (first_call[name],) = seconds(functools.partial(methods[name], 1), runs=1, warm_up=0)
        reached[name], last[name] = _search_loop(
            net, layer, model, filters, grey, settings, target, cap)
    for name, settings in OURS.items():
        methods[name] = functools.partial(_ours, net, layer, filters, settings)
        (first_call[name],) = seconds(functools.partial(methods[name], 1), runs=1, warm_up=0)
        found = vz.maximize(net, layer, filters, steps=cap, snapshots=range(1, cap + 1),
                            batch=len(filters), progress=False, **settings)
        seen = np.array([score(found.snapshots[step]) for step in range(1, cap + 1)])
        reached[name], last[name] = first_reached(seen, target), seen[-1]

    taken = {name: [] for name in methods}
    for _ in range(runs):  # the methods take turns
        for name, method in methods.items():
            limit = peer_steps if name in whole else cap
            steps = [limit if step is None else step for step in reached[name]]
            # a loop that never arrives is run for its first filter only: the others cost the same
            if name in LOOPS and None in reached[name]:
                one = functools.partial(_loop, model, filters[:1], grey[:1], LOOPS[name], cap)
                taken[name] += [len(filters) * t for t in seconds(one, runs=1, warm_up=0)]
            else:
                taken[name] += seconds(functools.partial(method, steps), runs=1, warm_up=0)
    return {"layer": layer, "size": size, "filters": filters, "target": target.tolist(),
            "cap": cap, "peer_steps": peer_steps, "runs": runs, "steps": reached,
            "seconds": {name: statistics.median(t) for name, t in taken.items()},
            "all_steps": whole, "first_call": first_call,
            "share_at_end": {name: (v / target).tolist() for name, v in last.items()}}


def _ours(net, layer, filters, settings, steps):
    vz.maximize(net, layer, filters, steps=int(np.max(steps)), batch=len(filters), progress=False,
                **settings)


def _loop(model, filters, starts, settings, steps):
    peers.eager_loop(model, filters, starts, steps=steps, **settings)


def _search_loop(net, layer, model, filters, starts, settings, target, cap):
    """First steps at the target (None: not within `cap`), and the last scores seen."""
    reached, last = [None] * len(filters), np.zeros(len(filters))

    def watch(i, step, picture):
        last[i] = end_max(net, layer, picture, filters[i:i + 1])[0]
        if last[i] >= target[i]:
            reached[i] = step
        return reached[i] is not None

    peers.eager_loop(model, filters, starts, steps=cap, watch=watch, **settings)
    return reached, last


def table(found: dict) -> str:
    """One layer's result as Markdown."""
    lines = [f"\n{found['layer']}, filters {found['filters']}, {found['size']} px; medians of "
             f"{found['runs']} runs\n",
             "| method | first step at the target, each filter | seconds | first call (s) | "
             "share of the target at the end, lowest |\n|---|---|---|---|---|"]
    for name, steps in found["steps"].items():
        limit = found["peer_steps"] if name.startswith(PEER) else found["cap"]
        words = " ".join(str(s or f">{limit}") for s in steps)
        more = "≥ " if None in steps else ""
        lowest = "" if name in LOOPS and not more else f"{min(found['share_at_end'][name]):.2f}"
        lines.append(f"| {name} | {words} | {more}{found['seconds'][name]:.2f} | "
                     f"{found['first_call'][name]:.2f} | {lowest} |")
    for name, taken in found["all_steps"].items():
        lines.append(f"| {name}, its {found['peer_steps']} steps (one run) | | {taken:.2f} | | |")
    lines.append("\n| how many times faster | eager loop, norm 10 | eager loop, best rate | "
                 "tf-keras-vis, first reached | tf-keras-vis, all steps |\n|---|---|---|---|---|")
    spent = found["seconds"]
    peak = {"loop": next(iter(LOOPS)), "best": min(LOOPS, key=lambda n: (
        None in found["steps"][n], spent[n])), "peer": min(found["all_steps"], key=lambda n: (
            None in found["steps"][n], spent[n]))}
    for name in OURS:
        if None in found["steps"][name]:
            lines.append(f"| {name} | target not reached | | | |")
            continue
        ratios = [f"{'≥ ' if None in found['steps'][peer] else ''}{spent[peer] / spent[name]:.1f}"
                  for peer in peak.values()]
        ratios.append(f"{min(found['all_steps'].values()) / spent[name]:.1f}")
        lines.append(f"| {name} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def main():
    """Print two tables a layer and write the numbers to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--filters", type=int, default=5, help="seeded filters of each layer")
    parser.add_argument("--cap", type=int, default=128, help="most steps of what is no peer")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", default="build/quality.json", help="where the numbers go")
    parser.add_argument("--quick", action="store_true",
                        help="a trial: block2_conv2, 2 filters, 10 steps of the peer, 1 run")
    options = parser.parse_args()
    layers, count, cap, runs, peer_steps = (
        (LAYERS[:1], 2, 10, 1, 10) if options.quick else
        (options.layers, options.filters, options.cap, options.runs, 200))
    net = vz.load_network("vgg16", weights="packaged")
    results, began = [], time.perf_counter()
    for layer in layers:
        filters = np.random.default_rng(0).choice(
            vz.submodel(net, layer).output.shape[-1], count, replace=False).tolist()
        results.append(compare(net, layer, filters, cap=cap, peer_steps=peer_steps, runs=runs))
        print(table(results[-1]), f"\n\n{time.perf_counter() - began:.0f} s so far", flush=True)
    if not options.quick:
        path = Path(options.out)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
