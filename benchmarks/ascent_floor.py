"""How near a batched ascent comes to the machine's matrix-product rate.

    python benchmarks/ascent_floor.py [--steps 256] [--runs 5]

Ten filters of block3_conv1 at 64 px. The floor is the time that the ascent's convolutions,
forward and back to the picture, would take at the rate of a large matrix product, measured
before and after each run in the same process. Measuring the clean picture for the history is
not part of the floor.
"""

import argparse
import statistics

from measure import forward_flops, matrix_product_rate, seconds

import vizutils as vz

LAYER, FILTERS, SIZE = "block3_conv1", range(10), 64


def main():
    """Print one line a run, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    work = 2 * options.steps * len(FILTERS) * forward_flops(net, LAYER, SIZE)

    def climb():
        vz.maximize(net, LAYER, FILTERS, size=SIZE, steps=options.steps, progress=False)

    climb()
    ratios = []
    for run in range(options.runs):
        before = matrix_product_rate()
        (taken,) = seconds(climb, runs=1, warm_up=0)
        rate = (before + matrix_product_rate()) / 2
        ratios.append(taken * rate / work)
        print(f"run {run + 1}: {taken:.1f} s, floor {work / rate:.1f} s "
              f"({rate / 1e9:.0f} GFLOP/s), ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio to the matrix-product floor: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
