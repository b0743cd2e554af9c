"""Whole layers drawn: how long, how good, how much memory, and is cost linear in filters?

    python benchmarks/atlas.py [--layer block3_conv1] [--sample 16]
    python benchmarks/atlas.py --blocks 1 2 3 [--part 8] [--only 32] [--folder NEW]
    python benchmarks/atlas.py --layers block4_conv3 block5_conv2 --part 8

The first draws one layer with `vz.atlas` into a new folder, 32, 64, 128 and all filters (each from
nothing), and compares `end_max` of a seeded sample with the same filters after 512 steps of
`vz.maximize` at its defaults on the same canvas.

The others draw whole blocks, or single layers, as the explorer does (64 px or more), or a seeded
part of each: an eighth with `--part 8`, or at most that many filters with `--only`, and say what
the whole layer takes at that rate. Processor seconds of all threads stand beside the clock: they
hardly move when the machine is doing other work. Tracing is counted. With `--folder`, pictures of
whole layers stay there, for `make explorer`.
"""

import argparse
import resource
import tempfile
import time

import numpy as np

import vizutils as vz
from tools.explorer import build


def clocks() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def against_long(net, layer: str, found: vz.Atlas, sample: int) -> np.ndarray:
    """`end_max` of a seeded sample of an atlas, as shares of 512 steps on the same canvas."""
    drawn = found.report.set_index("filter")["end_max"]
    some = np.sort(np.random.default_rng(0).choice(drawn.index, min(sample, len(drawn)),
                                                   replace=False))
    slow = vz.maximize(net, layer, some, steps=512, size=found.images.shape[1], progress=False)
    return drawn.loc[some].to_numpy() / slow.report["end_max"].to_numpy()


def one_layer(net, layer: str, sample: int) -> None:
    """Print a line for each count of filters, then the comparison."""
    whole = net.channels(layer)
    with tempfile.TemporaryDirectory() as warm_up:
        vz.atlas(net, layer, filters=[0], folder=warm_up, progress=False)
    for count in sorted({c for c in (32, 64, 128, whole) if c <= whole}):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            found = vz.atlas(net, layer, filters=range(count), folder=folder, progress=False)
            taken = time.perf_counter() - start
            print(f"{count} filters at {found.images.shape[1]} px: {taken:.1f} s, "
                  f"{1000 * taken / count:.0f} ms a filter, {int(found.report.flat.sum())} flat",
                  flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory so far {peak:.0f} MB")
    ratio = against_long(net, layer, found, sample)
    print(f"end_max of the atlas as a share of 512 steps, {len(ratio)} filters: "
          f"median {100 * np.median(ratio):.0f} %, lowest {100 * ratio.min():.0f} %")


def chosen(whole: int, part: int, only: int) -> np.ndarray:
    """The seeded filters of a layer that are drawn."""
    count = min(max(1, whole // part), only or whole)
    return np.sort(np.random.default_rng(0).choice(whole, count, replace=False))


def several(net, layers: list[str], options) -> None:
    """Print a row a layer: seconds, for the whole layer, share of the long climb's `end_max`."""
    print("| layer | px | drawn | seconds | processor seconds | whole layer: seconds | processor | "
          "of 512 steps: median, lowest | flat |\n|---|---|---|---|---|---|---|---|---|")
    sums, ratios = np.zeros(2), []
    for layer in layers:
        some = chosen(net.channels(layer), options.part, options.only)
        with tempfile.TemporaryDirectory() as folder:
            began = clocks()
            found = vz.atlas(net, layer, filters=some, size=build.side_of(net, layer),
                             folder=options.folder or folder, progress=False)
            taken = clocks() - began
        whole = taken * net.channels(layer) / len(some)
        sums += whole
        ratio = against_long(net, layer, found, options.sample) if options.sample else np.zeros(0)
        ratios.append(ratio)
        shares = (f"{100 * np.median(ratio):.0f} %, {100 * ratio.min():.0f} %" if len(ratio)
                  else "not asked")
        print(f"| {layer} | {found.images.shape[1]} | {len(some)} of {net.channels(layer)} | "
              f"{taken[0]:.0f} | {taken[1]:.0f} | {whole[0]:.0f} | {whole[1]:.0f} | {shares} | "
              f"{int(found.report.flat.sum())} |", flush=True)
    filters = sum(net.channels(layer) for layer in layers)
    ratio = np.concatenate(ratios)
    print(f"\n{filters} filters: {sums[0] / 60:.1f} minutes, {sums[1] / 60:.1f} processor minutes"
          + (f"; of {len(ratio)} sampled filters, end_max is {100 * np.median(ratio):.0f} % of "
             f"the long climb's in the median" if len(ratio) else ""))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def main():
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv1")
    parser.add_argument("--sample", type=int, default=16, help="filters climbed for long, a layer")
    parser.add_argument("--blocks", type=int, nargs="+", help="draw these blocks' layers instead")
    parser.add_argument("--layers", nargs="+", default=[], help="draw these layers instead")
    parser.add_argument("--part", type=int, default=1, help="draw one filter of so many")
    parser.add_argument("--only", type=int, default=0, help="draw at most so many of a layer")
    parser.add_argument("--folder", help="a new folder, where pictures stay")
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    wanted = (*options.layers, *(f"block{block}_" for block in options.blocks or ()))
    unknown = [start for start in wanted
               if not any(name.startswith(start) for name in net.conv_layers)]
    if unknown:
        parser.error(f"no layer begins with {', '.join(unknown)}; there are "
                     f"{', '.join(net.conv_layers)}.")
    if wanted:
        several(net, [name for name in net.conv_layers if name.startswith(wanted)], options)
    else:
        one_layer(net, options.layer, options.sample)


if __name__ == "__main__":
    main()
