"""A whole layer: how long, how good, how much memory, and whether cost is linear in filters.

    python benchmarks/atlas.py [--layer block3_conv1] [--sample 16]

Draws the layer with `vz.atlas` into a new folder, 32, 64, 128 and all filters (each from
nothing), then compares `end_max` of a seeded sample with the same filters after 512 steps of
`vz.maximize` at its defaults on the same canvas.
"""

import argparse
import resource
import tempfile
import time

import numpy as np

import vizutils as vz


def main():
    """Print a line for each count of filters, then the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layer", default="block3_conv1")
    parser.add_argument("--sample", type=int, default=16)
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    whole = net.model.get_layer(options.layer).output.shape[-1]
    with tempfile.TemporaryDirectory() as warm_up:
        vz.atlas(net, options.layer, filters=[0], folder=warm_up, progress=False)
    for count in sorted({c for c in (32, 64, 128, whole) if c <= whole}):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            found = vz.atlas(net, options.layer, filters=range(count), folder=folder,
                             progress=False)
            taken = time.perf_counter() - start
            print(f"{count} filters at {found.images.shape[1]} px: {taken:.1f} s, "
                  f"{1000 * taken / count:.0f} ms a filter, {int(found.report.flat.sum())} flat",
                  flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory so far {peak:.0f} MB")

    sample = np.sort(np.random.default_rng(0).choice(whole, options.sample, replace=False))
    slow = vz.maximize(net, options.layer, sample, steps=512, size=found.images.shape[1],
                       progress=False).report["end_max"].to_numpy()
    ratio = found.report.set_index("filter").loc[sample, "end_max"].to_numpy() / slow
    print(f"end_max of the atlas as a share of 512 steps, {options.sample} filters: "
          f"median {100 * np.median(ratio):.0f} %, lowest {100 * ratio.min():.0f} %")


if __name__ == "__main__":
    main()
