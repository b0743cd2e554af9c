"""One filter's whole analysis: seconds and peak memory of `analysis.analyse`.

    python benchmarks/whole_filter.py [--layer block3_conv2] [--filters 17 36 93] [--runs 1]

Counted: everything from pictures to verdict - drawn stimuli, contributions, cuts with controls,
altered patches, inhibition, class scores, families, causes - with its tracing, and the same
tests on random weights. Counted apart: what all filters of the layer share (`analysis.share`).
Not counted: starting Python and loading the network.
"""

import argparse
import resource
import statistics
import time

import vizutils as vz
from techniques import analysis


def main():
    """Print one row a filter and the peak memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--filters", type=int, nargs="+", default=[17, 36, 93])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a trial: few controls and steps")
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    control = vz.load_network("vgg16", weights="random")
    began = time.perf_counter()
    shared = analysis.share(net, options.layer, progress=False)
    print(f"shared by the layer's filters: {time.perf_counter() - began:.0f} s\n")
    settings = {"controls": 2, "steps": 4, "pieces": 4} if options.quick else {}
    print("| filter | stimuli | seconds | verdict | claims supported |\n|---|---|---|---|---|")
    for chosen in options.filters:
        taken = []
        for _ in range(options.runs):
            began = time.perf_counter()
            found = analysis.analyse(net, options.layer, chosen, random_net=control,
                                     progress=False, shared=shared, **settings)
            taken.append(time.perf_counter() - began)
        held = int((found.claims.verdict == "supported").sum())
        print(f"| {options.layer} {chosen} | {len(found.observed.tuned.stimuli)} | "
              f"{statistics.median(taken):.0f} | {found.verdict} | {held} of {len(found.claims)} |",
              flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory of the program: {peak:.2f} GB")


if __name__ == "__main__":
    main()
