"""How much `top_patches` costs beyond the network itself, and whether its memory is flat.

    python benchmarks/patches.py [--layer block3_conv2] [--pictures 500] [--runs 5] [--quick]

The pictures are seeded crops, flips and contrasts of the packaged ones, written as JPEG to a
temporary folder, 500 × 375 px. Throughput: `top_patches` from the files to the patches (reading,
decoding, resizing, the network, maxima, crops), against the cut network alone, traced, on arrays
that lie ready in memory, in batches of the same size; both take turns after an uncounted round.
Memory: the peak of a fresh process that does nothing else, with a tenth of the pictures and with
all of them. The folder is listed before (`load_images`), and that is not counted.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from measure import seconds
from PIL import Image

import vizutils as vz


def write_pictures(folder: Path, count: int, shape: tuple[int, int] = (375, 500)) -> None:
    """Save `count` different pictures, made of the packaged ones."""
    sources = vz.load_images(size=max(shape) + 100).images
    rng = np.random.default_rng(0)
    for i in range(count):
        image = sources[i % len(sources)]
        row, column = (rng.integers(side - want + 1)
                       for side, want in zip(image.shape, shape, strict=False))
        crop = image[row:row + shape[0], column:column + shape[1], :]
        crop = 127.5 + rng.uniform(0.7, 1.0) * (crop[:, ::rng.choice([-1, 1])] - 127.5)
        Image.fromarray(crop.round().astype("uint8")).save(folder / f"picture_{i:04d}.jpg")


def compare(net, layer: str, image_set: vz.ImageSet, *, runs: int, batch: int = 16) -> dict:
    """Seconds of each run, for `top_patches` and for the bare network."""
    ready = image_set.read(range(len(image_set)))  # not kept by the set: top_patches reads files
    model = vz.submodel(net, layer, pre_activation=True)
    bare = tf.function(lambda images: model(net.preprocess(images), training=False),
                       input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])

    def forward():
        for first in range(0, len(ready), batch):
            bare(ready[first:first + batch])

    def patches():
        vz.top_patches(net, image_set, layer, 0)

    bare(ready[:batch])
    vz.top_patches(net, image_set.subset(range(min(batch, len(image_set)))), layer, 0)
    taken = {"bare": [], "top_patches": []}
    for _ in range(runs):
        taken["bare"] += seconds(forward, runs=1, warm_up=0)
        taken["top_patches"] += seconds(patches, runs=1, warm_up=0)
    return taken


def peak_memory(folder: Path, layer: str, limit: int) -> float:
    """Peak resident memory in MB of a fresh process that asks for the patches of one filter."""
    done = subprocess.run(
        [sys.executable, __file__, "--layer", layer, "--pictures", str(limit), "--inside", folder],
        capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def inside(folder: str, layer: str, limit: int) -> None:
    """What the fresh process does."""
    net = vz.load_network("vgg16", weights="packaged")
    vz.top_patches(net, vz.load_images(folder, limit=limit), layer, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (2**20 if sys.platform == "darwin" else 2**10))


def main():
    """Print two lines and what they mean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="block3_conv2")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a trial: 40 pictures, 2 runs")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside, options.layer, options.pictures)
    count, runs = (40, 2) if options.quick else (options.pictures, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), count)
        net = vz.load_network("vgg16", weights="packaged")
        taken = compare(net, options.layer, vz.load_images(folder), runs=runs)
        few, many = (peak_memory(Path(folder), options.layer, n) for n in (count // 10, count))
    for name, own in taken.items():
        print(f"{name}: {count / statistics.median(own):.1f} pictures/s "
              f"(median of {runs} runs, {options.layer}, {count} pictures)")
    share = statistics.median(b / t for b, t in zip(*taken.values(), strict=True))
    print(f"throughput of top_patches, share of the bare network's: {share:.2f}")
    print(f"peak memory: {few:.0f} MB at {count // 10} pictures, {many:.0f} MB at {count}")


if __name__ == "__main__":
    main()
