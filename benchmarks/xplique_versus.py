"""Against Xplique 2.0.2: the same work, and the time to the values that its own climb ends at.

    python benchmarks/xplique_versus.py --xplique-python PATH [--filters 10] [--runs 5] [--quick]

PATH is the interpreter of an environment with Xplique (`xplique_worker.py` says what is in it),
which is kept running and climbs when asked. Ten filters of block3_conv2 at 96 px. Xplique gets the
network cut at the layer, without the last ReLU, its preprocessing inside; it climbs all ten as one
batch or one after another. The methods take turns, after one uncounted round. Beside the clock
stand *processor seconds* of all threads, which hardly move when the machine is doing other work.

* Equal work: 50 steps of Adam(0.05) in Fourier space on the mean pre-activation, with transforms
  (each side its own) and without; neither measures on the way. A call's tracing is counted on both
  sides; Xplique traces anew in every call, so the time of a call of one step stands beside it.
* Time to quality: `optimize` with its defaults, 256 steps. Its value is measured as ours is, in the
  picture as it is, over positions that see no padding: the mean, which both sides climb, and the
  largest (`end_max`). Counted is how long `maximize` takes until all ten filters are there, against
  Xplique's 256 steps, and against as many as it takes to reach that value for the first time.
"""

import argparse
import functools
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from choice_methods import WORKER, plain_layers

import vizutils as vz

STEPS, THEIRS = 50, 256
WHOLE, ONCE = "Xplique, all its steps", ", one step"
WAYS = {"one batch": True, "one by one": False}
OURS = {  # settings of `maximize` on the way to a value
    "as it comes": {},
    "Adam(0.4), no transforms": {"optimiser": vz.Adam(0.4), "transforms": ()},
    "pixels, Adam(64), no transforms": {
        "parameterisation": vz.Pixels(), "optimiser": vz.Adam(64.0), "transforms": ()},
}


class Xplique:
    """Xplique's program, kept running."""

    def __init__(self, python: str, net: vz.Network, layer: str, size: int):
        self.folder, self.size = tempfile.TemporaryDirectory(), size
        network = Path(self.folder.name) / "net.npz"
        np.savez(network, **plain_layers(net, layer))
        self.program = subprocess.Popen(
            [python, WORKER, network, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)

    def climb(self, filters, *, together: bool, **options) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (kept steps, filters, size, size, 3), RGB 0-255; wall, processor seconds."""
        path = Path(self.folder.name) / "pictures.npy"
        job = {"units": list(map(int, filters)), "size": self.size, "seed": 0,
               "together": together, "pictures": str(path), **options}
        self.program.stdin.write(json.dumps(job) + "\n")
        self.program.stdin.flush()
        told = self.program.stdout.readline()
        if not told:
            raise RuntimeError(f"{WORKER.name} ended; run it by hand to see why.")
        return np.load(path), np.array(json.loads(told)["seconds"])

    def close(self):
        """End the program."""
        self.program.stdin.close()
        self.program.wait(60)
        self.folder.cleanup()


def values(net, layer: str, images: np.ndarray, filters) -> np.ndarray:
    """Mean and largest pre-activation of each picture's own filter, shape (2, n)."""
    inside = vz.receptive_field(net, layer, input_size=images.shape[1]).unpadded
    found = []
    for image, chosen in zip(images, filters, strict=True):
        own = vz.activations(net, layer, image[None], pre_activation=True)[
            0, inside, inside, chosen]
        found.append((own.mean(), own.max()))
    return np.array(found).T


def first_steps(rows: np.ndarray, target: np.ndarray) -> int | None:
    """The first step, from 1, at which every column of `rows` has once been at the target."""
    there = np.maximum.accumulate(rows, 0) >= target
    return int(there.all(1).argmax()) + 1 if there[-1].all() else None


def in_turns(methods: dict, runs: int) -> dict[str, np.ndarray]:
    """Wall and processor seconds of each method's runs, (runs, 2), after an uncounted round.

    A method is a function that returns its own.
    """
    taken = {name: [] for name in methods}
    for run in range(runs + 1):
        for name, method in methods.items():
            taken[name].append(method())
        print(f"run {run}: " + ", ".join(f"{name} {own[-1][0]:.2f} s" for name, own in
                                         taken.items()), flush=True)
    return {name: np.array(own[1:]) for name, own in taken.items()}


def times(taken: dict, slow: str, fast: str) -> str:
    """How many times as long, wall and processor seconds, medians over runs."""
    wall, processor = np.median(taken[slow] / taken[fast], 0)
    return f"{wall:.2f} ({processor:.2f})" if wall < 10 else f"{wall:.0f} ({processor:.0f})"


def spent(own: np.ndarray) -> str:
    """Wall and processor seconds, medians over runs."""
    return "{:.2f} ({:.2f})".format(*np.median(own, 0))


def ours(net, layer: str, filters, size: int, steps: int, **settings) -> np.ndarray:
    """Wall and processor seconds of a call of `maximize`."""
    began = time.perf_counter(), time.process_time()
    vz.maximize(net, layer, filters, size=size, steps=steps, batch=len(filters), progress=False,
                every=steps, **settings)
    return np.subtract((time.perf_counter(), time.process_time()), began)


def equal_work(net, layer, filters, peer: Xplique, steps: int, runs: int) -> dict:
    """Seconds of both with and without transforms, and of Xplique's calls of one step."""
    methods = {}
    for words, own, their in (("with transforms", {}, "standard"),
                              ("without", {"transforms": ()}, None)):
        methods[f"maximize, {words}"] = functools.partial(
            ours, net, layer, filters, peer.size, steps, optimiser=vz.Adam(0.05), **own)
        for way, count in (("one batch", steps), ("one batch", 1), ("one by one", steps)):
            name = f"Xplique, {way}, {words}" + (ONCE if count == 1 else "")
            methods[name] = lambda c=count, t=WAYS[way], x=their: peer.climb(
                filters, together=t, nb_steps=c, transformations=x)[1]
    return in_turns(methods, runs)


def _seen(net, layer, filters, size: int, cap: int, settings: dict) -> np.ndarray:
    """`values` after each step of `maximize`, (steps, 2, n)."""
    found = vz.maximize(net, layer, filters, size=size, steps=cap, progress=False,
                        snapshots=range(1, cap + 1), batch=len(filters), **settings)
    return np.array([values(net, layer, found.snapshots[step], filters)
                     for step in range(1, cap + 1)])


def to_quality(net, layer, filters, peer: Xplique, together: bool, theirs: int, cap: int,
               runs: int) -> dict:
    """Steps and seconds to the mean and the maximum at which Xplique's own climb ends."""
    kept, _ = peer.climb(filters, together=together, nb_steps=theirs, save_every=1)
    rows = np.array([values(net, layer, images, filters) for images in kept])  # (steps, 2, n)
    seen = {own: _seen(net, layer, filters, peer.size, cap, settings)
            for own, settings in OURS.items()}
    steps, methods = {}, {WHOLE: lambda: peer.climb(filters, together=together, nb_steps=theirs)[1]}
    for at, measure in enumerate(("mean", "largest")):
        name = f"Xplique, {measure} first reached"
        steps[name] = first_steps(rows[:, at], rows[-1, at])
        methods[name] = lambda n=steps[name]: peer.climb(filters, together=together, nb_steps=n)[1]
        for own, settings in OURS.items():
            name = f"maximize, {own}: {measure}"
            steps[name] = first_steps(seen[own][:, at], rows[-1, at])
            if steps[name]:
                methods[name] = functools.partial(ours, net, layer, filters, peer.size,
                                                  steps[name], **settings)
    return {"steps": steps, "taken": in_turns(methods, runs), "target": rows[-1]}


def print_equal(taken: dict) -> None:
    """Medians, and ratios to `maximize` of the same kind."""
    print("\n| method | seconds (processor's) | times `maximize` | of which a call of one step |\n"
          "|---|---|---|---|")
    for name, own in taken.items():
        if name.endswith(ONCE):
            continue
        words, once = name.rpartition(", ")[2], taken.get(name + ONCE)
        print(f"| {name} | {spent(own)} | {times(taken, name, f'maximize, {words}')} | "
              f"{'' if once is None else spent(once)} |")


def print_quality(found: dict) -> None:
    """Steps and seconds of each, and how many times as long Xplique takes."""
    taken, steps = found["taken"], found["steps"]
    print("\n| method | steps | seconds (processor's) | times: Xplique, all its steps | "
          "times: Xplique, first reached |\n|---|---|---|---|---|")
    for name, count in steps.items():
        measure = name.rpartition(": ")[2]
        if name.startswith("Xplique"):
            print(f"| {name} | {count} | {spent(taken[name])} | | |")
        elif count is None:
            print(f"| {name} | not reached | | | |")
        else:
            print(f"| {name} | {count} | {spent(taken[name])} | "
                  f"{times(taken, WHOLE, name)} | "
                  f"{times(taken, f'Xplique, {measure} first reached', name)} |")
    print(f"\n{WHOLE}: {spent(taken[WHOLE])} s; it ends at " + "; ".join(
        f"{measure} {np.array2string(own, precision=0, floatmode='fixed')}"
        for measure, own in zip(("mean", "largest"), found["target"], strict=True)))


def main():
    """Print each run, then the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xplique-python", required=True, metavar="PATH")
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--filters", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cap", type=int, default=64, help="most steps of ours")
    parser.add_argument("--quick", action="store_true", help="a trial: 2 filters, few steps")
    options = parser.parse_args()
    filters, steps, theirs, cap, runs = (
        range(options.filters), STEPS, THEIRS, options.cap, options.runs)
    if options.quick:
        filters, steps, theirs, cap, runs = range(2), 4, 8, 16, 1
    net = vz.load_network("vgg16", weights="packaged")
    peer = Xplique(options.xplique_python, net, options.layer, 96)
    try:
        taken = equal_work(net, options.layer, filters, peer, steps, runs)
        print_equal(taken)
        batch, single = (np.median(taken[f"Xplique, {way}, with transforms"], 0)[1]
                         for way in WAYS)
        print(f"\nits faster way, {'one batch' if batch <= single else 'one by one'}, goes on")
        print_quality(to_quality(net, options.layer, filters, peer, bool(batch <= single), theirs,
                                 cap, runs))
    finally:
        peer.close()


if __name__ == "__main__":
    main()
