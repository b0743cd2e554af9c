"""The pass of a whole layer: seconds and peak memory after 32, 64, 128 and all filters.

    python benchmarks/layer_pass.py [--layer block3_conv2] [--beside 2] [--folder NEW] [--quick]

One pass from the packaged pictures to the verdicts, block of filters by block, each timed: what so
many filters cost is the sum of their blocks, with what all share and all tracing, which the first
block pays. Not counted: starting Python and loading the network. *Processor seconds* of all threads
stand beside the clock, because they hardly move when the machine is doing other work. Then
`analysis.analyse` on a few filters, one by one, and the share of its time a filter that the pass
takes. With `--folder`, the pass stays there (build/passes: for `make explorer`).
"""

import argparse
import resource
import tempfile
import time

import numpy as np

import vizutils as vz
from techniques import analysis, layer_pass

COUNTS = (32, 64, 128)


def measured() -> np.ndarray:
    """Wall seconds, processor seconds, peak memory (GB) so far."""
    return np.array([time.perf_counter(), time.process_time(),
                     resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20])


def timed_pass(net, layer: str, filters, folder) -> dict[str, list]:
    """(filters, wall seconds, processor seconds, peak memory) of each block, by kind."""
    common = layer_pass.Common(net, layer, vz.load_images(size=net.input_size))
    rows = {"patches": [], "claims": [], "usual": []}

    def make(jobs):
        for at, job in enumerate(jobs):
            began = measured()
            made = common.make(job)
            ended = measured()
            rows[job.kind].append((len(job.filters), *(ended - began)[:2], ended[2]))
            print(f"{job.kind}, {len(job.filters)} filters: {rows[job.kind][-1][1]:.1f} s, "
                  f"{rows[job.kind][-1][2]:.1f} processor seconds", flush=True)
            yield at, made

    layer_pass.run(net, layer, common.image_set, filters=filters, folder=folder, progress=False,
                   make=make)
    if len(rows["patches"]) * layer_pass.BLOCK < len(filters):
        raise ValueError(f"parts of this pass are in {folder} already; give a new folder.")
    return rows


def sums(rows: dict[str, list]) -> np.ndarray:
    """After each block: filters, wall seconds, processor seconds, peak memory."""
    both = [np.array(rows[kind]) for kind in ("patches", "claims")]
    spent = np.cumsum(sum(both)[:, 1:3], 0) + np.array(rows["usual"])[:, 1:3]
    peak = np.maximum.accumulate(np.maximum(*(one[:, 3] for one in both)))
    return np.column_stack([np.cumsum(both[0][:, 0]), spent, peak])


def one_by_one(net, layer: str, filters: int) -> np.ndarray:
    """Median wall and processor seconds of `analysis.analyse`, what filters share left out."""
    shared, taken = analysis.share(net, layer, progress=False), []
    for chosen in range(filters):
        began = measured()
        analysis.analyse(net, layer, chosen, shared=shared, progress=False)
        taken.append((measured() - began)[:2])
    return np.median(taken, 0)


def main():
    """Print each block, a row for each count, the line through all blocks, the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--beside", type=int, default=2, help="filters analysed one by one")
    parser.add_argument("--folder", help="where the pass stays; a temporary one by default")
    parser.add_argument("--quick", action="store_true", help="a trial: 64 filters, one beside them")
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    filters = range(64 if options.quick else net.channels(options.layer))
    with tempfile.TemporaryDirectory() as folder:
        after = sums(timed_pass(net, options.layer, filters, options.folder or folder))
    print("\n| filters | seconds | processor seconds | peak memory |\n|---|---|---|---|")
    for count, wall, processor, peak in after:
        if count in (*COUNTS, after[-1, 0]):
            print(f"| {count:.0f} | {wall:.0f} | {processor:.0f} | {peak:.2f} GB |")
    for at, kind in ((1, "seconds"), (2, "processor seconds")):
        each, shared = np.polyfit(after[:, 0], after[:, at], 1)
        off = np.abs(after[:, at] / (shared + each * after[:, 0]) - 1).max()
        print(f"\n{shared:.0f} {kind} shared, {each:.2f} a filter; no sum is off that line by more "
              f"than {100 * off:.0f} %")
    if options.beside:
        single = one_by_one(net, options.layer, 1 if options.quick else options.beside)
        share = after[-1, 1:3] / after[-1, 0] / single
        print(f"\nanalysis.analyse, one by one: {single[0]:.1f} s, {single[1]:.1f} processor "
              f"seconds a filter; the pass takes {100 * share[0]:.1f} % of the seconds and "
              f"{100 * share[1]:.1f} % of the processor seconds, all that is shared included")


if __name__ == "__main__":
    main()
