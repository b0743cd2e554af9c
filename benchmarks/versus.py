"""Equal work: the same pixels, steps and pictures by vizutils, an eager loop and tf-keras-vis.

    python benchmarks/versus.py [--runs 5] [--quick]

Ten filters of block3_conv2 at 96 px, 50 steps in plain pixels, without transforms or regularisers,
`image += 10 · gradient/‖gradient‖` on the mean pre-activation, all from the same noise. So all end
at the same pictures, which is checked. The methods take turns, after one uncounted round.

* `climb`: the steps alone, one call of vizutils' traced ascent: the equal work of the goals.
* `maximize`: the same through the front door, with what only it does: the history (a forward pass
  on the clean picture now and then) and the report.
* `eager loop`: one filter after another on the cut model.
* `tf-keras-vis`: its ActivationMaximization, once for each filter, and as one batch of ten.

The arithmetic rate counts convolutions only, forward and back to the picture, once as done (of the
last layer only the filters asked for are computed) and once as if the whole layer had been
("effective"); a large matrix product is timed before and after every run of `climb`.
"""

import argparse
import statistics

import numpy as np
import peers
from measure import forward_flops, matrix_product_rate, seconds

import vizutils as vz
from engine import render as ascent


def methods(net, layer: str, filters: list[int], size: int, steps: int) -> dict:
    """Name → function without arguments that returns the clipped pictures."""
    rng = np.random.default_rng(0)
    starts = np.stack([vz.Pixels().start(rng, size) for _ in filters])
    model = peers.cut_model(net, layer, size)
    rule = vz.Normalised(10.0)

    def climb():
        goal = vz.channel(layer, filters)
        kind = ascent.goal_of(goal)
        advance = net.kept(ascent.traced_ascent, kind, kind, size, vz.Pixels(), vz.Normalised(1.0),
                           False)
        state = ascent.State.first_of(starts, rule)
        warps = np.tile(np.eye(3, dtype="float32")[:2], (steps, len(filters), 1, 1))  # not used
        return advance(state, warps, np.float32(rule.rate), goal.values, goal.values)[0].numpy()

    def maximize():
        return vz.maximize(net, layer, filters, size=size, steps=steps, start=starts,
                           parameterisation=vz.Pixels(), optimiser=rule, transforms=(),
                           progress=False).images

    def peer(chosen, some):
        import keras

        return peers.tf_keras_vis(
            model, chosen, some, steps=steps, input_modifiers=[], regularizers=[],
            optimizer=keras.optimizers.SGD(1.0),
            gradient_modifier=lambda gradient: peers.normalised(gradient, rule.rate))

    return {
        "climb": climb,
        "maximize": maximize,
        "eager loop": lambda: peers.eager_loop(model, filters, starts, steps=steps),
        "tf-keras-vis, one by one": lambda: np.concatenate(
            [peer([f], start[None]) for f, start in zip(filters, starts, strict=True)]),
        "tf-keras-vis, one batch": lambda: peer(filters, starts),
    }


def work(net, layer: str, filters: list[int], size: int, steps: int) -> tuple[float, float]:
    """(done, effective) operations of a climb: steps forward and back, one clean picture."""
    whole = forward_flops(net, layer, size)
    last = whole - forward_flops(net, vz.input_layer(net, layer).feature, size)
    done = whole - last + last * len(filters) / vz.submodel(net, layer).output.shape[-1]
    passes = (2 * steps + 1) * len(filters)
    return passes * done, passes * whole


def compare(net, layer: str, filters: list[int], size: int, steps: int, runs: int) -> dict:
    """Seconds of every method's every run, the matrix product's rates, the largest difference."""
    todo = methods(net, layer, filters, size, steps)
    pictures = {name: method() for name, method in todo.items()}  # the warm-up
    apart = max(np.abs(p - pictures["climb"]).max() for p in pictures.values())
    taken, rates = {name: [] for name in todo}, []
    for run in range(runs):
        for name, method in todo.items():
            before = matrix_product_rate() if name == "climb" else 0.0
            taken[name] += seconds(method, runs=1, warm_up=0)
            if name == "climb":
                rates.append((before + matrix_product_rate()) / 2)
        print(f"run {run + 1}: " + ", ".join(f"{n} {t[-1]:.2f} s" for n, t in taken.items()),
              flush=True)
    return {"taken": taken, "rates": rates, "apart": apart}


def main():
    """Print each run, then a Markdown table of medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--runs", type=int, default=5, help="runs counted, after one warm-up")
    parser.add_argument("--quick", action="store_true", help="a trial: 2 filters, 5 steps, 2 runs")
    options = parser.parse_args()
    filters, size, steps, runs = list(range(10)), 96, 50, options.runs
    if options.quick:
        filters, steps, runs = filters[:2], 5, 2
    net = vz.load_network("vgg16", weights="packaged")
    found = compare(net, options.layer, filters, size, steps, runs)

    taken = found["taken"]
    print(f"\n{options.layer}, {len(filters)} filters, {size} px, {steps} steps; "
          f"medians of {runs} runs; pictures differ by at most {found['apart']:.3f} grey levels\n")
    print("| method | seconds | times `climb` | times `maximize` |\n|---|---|---|---|")
    for name, own in taken.items():
        ratios = (statistics.median(a / b for a, b in zip(own, taken[base], strict=True))
                  for base in ("climb", "maximize"))
        print(f"| {name} | {statistics.median(own):.2f} | "
              + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    product = statistics.median(found["rates"])
    for word, operations in zip(("done", "effective"),
                                work(net, options.layer, filters, size, steps), strict=True):
        share = statistics.median(operations / seconds_ / rate for seconds_, rate in
                                  zip(taken["climb"], found["rates"], strict=True))
        print(f"\nrate of `climb`, {word}: {share:.2f} of a matrix product's "
              f"({product / 1e9:.0f} GFLOP/s)")


if __name__ == "__main__":
    main()
