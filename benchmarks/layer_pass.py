"""The pass of a whole layer: seconds and peak memory for 32, 64, 128 and all filters.

    python benchmarks/layer_pass.py [--layer block3_conv2] [--beside 3] [--quick]

Each count runs in a process of its own, with an empty folder. Counted: everything from the packaged
pictures to the verdicts, what the filters share and all tracing included; not counted: starting
Python and loading the network. *Processor seconds* of all threads stand beside the clock, because
they hardly move when the machine is doing other work. Then `analysis.analyse` on a few filters, one
by one, and the share of its time a filter that the pass takes. A straight line through the counts
says what is shared and what a filter costs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

COUNTS = (32, 64, 128)


def clocks() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def one_pass(layer: str, count: int) -> dict:
    """Seconds and peak memory of one pass, in this process."""
    import vizutils as vz
    from techniques import layer_pass

    net = vz.load_network("vgg16", weights="packaged")
    with tempfile.TemporaryDirectory() as folder:
        began = clocks()
        layer_pass.run(net, layer, filters=range(count) if count else None, folder=folder,
                       progress=False)
        wall, processor = clocks() - began
    return {"filters": count or net.channels(layer), "seconds": wall, "processor": processor,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def one_by_one(layer: str, filters: int) -> dict:
    """Median seconds of `analysis.analyse` on the first filters, what they share left out."""
    import vizutils as vz
    from techniques import analysis

    net = vz.load_network("vgg16", weights="packaged")
    shared = analysis.share(net, layer, progress=False)
    taken = []
    for chosen in range(filters):
        began = clocks()
        analysis.analyse(net, layer, chosen, shared=shared, progress=False)
        taken.append(clocks() - began)
    wall, processor = np.median(taken, 0)
    return {"seconds": wall, "processor": processor}


def elsewhere(*words: str) -> dict:
    """The same program's answer from a new process."""
    found = subprocess.run([sys.executable, __file__, *words], check=True, text=True,
                           stdout=subprocess.PIPE)
    return json.loads(found.stdout.splitlines()[-1])


def main():
    """Print a row for each count, then the line through them and the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--beside", type=int, default=3, help="filters analysed one by one")
    parser.add_argument("--quick", action="store_true", help="a trial: 4 and 8 filters")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.part:
        kind, count = options.part
        print(json.dumps({"pass": one_pass, "one": one_by_one}[kind](options.layer, int(count))))
        return
    named = ["--layer", options.layer, "--part"]
    print("| filters | seconds | processor seconds | peak memory |\n|---|---|---|---|")
    rows = []
    for count in (4, 8) if options.quick else (*COUNTS, 0):
        rows.append(elsewhere(*named, "pass", str(count)))
        print("| {filters} | {seconds:.0f} | {processor:.0f} | {peak:.2f} GB |".format(**rows[-1]),
              flush=True)
    filters = np.array([row["filters"] for row in rows])
    for kind in ("seconds", "processor"):
        taken = np.array([row[kind] for row in rows])
        each, shared = np.polyfit(filters, taken, 1)
        off = np.abs(taken / (shared + each * filters) - 1).max()
        print(f"\n{kind}: {shared:.0f} shared and {each:.2f} a filter; no count is off that line "
              f"by more than {100 * off:.0f} %")
    single = elsewhere(*named, "one", str(1 if options.quick else options.beside))
    for kind in ("seconds", "processor"):
        share = rows[-1][kind] / rows[-1]["filters"] / single[kind]
        print(f"\nanalysis.analyse, one by one: {single[kind]:.1f} {kind} a filter; the pass takes "
              f"{100 * share:.1f} % of that a filter, its shared part included")


if __name__ == "__main__":
    main()
