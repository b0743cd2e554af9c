"""What an attribution map costs, and beside tf-keras-vis where both have the method.

    python benchmarks/attribution.py [--network vgg16] [--pictures 4] [--runs 5] [--quick]

Packaged pictures at 224 px, each explained for its top class, which both sides are given. The
methods take turns, after one uncounted round (traces are made there). tf-keras-vis gets the model
with the pictures already preprocessed; preprocessing inside the clock is ours alone. Its SmoothGrad
takes as many samples and as much noise. Ratios are medians of the ratios within a run.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measure import seconds

import vizutils as vz
from techniques import attribution

SAMPLES = 16


def methods(net: vz.Network, images: np.ndarray, targets: np.ndarray, *, quick: bool) -> dict:
    """Name → function without arguments that explains all the pictures."""
    given = (net, images, targets)
    few, half = {"samples": 4} if quick else {}, images.shape[1] // 2
    return {
        "saliency": lambda: attribution.saliency(*given),
        "SmoothGrad": lambda: attribution.smooth_grad(*given, samples=SAMPLES),
        "gradient × input": lambda: attribution.gradient_times_input(*given),
        "integrated gradients": lambda: attribution.integrated_gradients(
            *given, tolerance=np.inf, **({"steps": 4} if quick else {})),
        "Grad-CAM": lambda: attribution.grad_cam(*given),
        "guided Grad-CAM": lambda: attribution.guided_grad_cam(*given),
        "occlusion": lambda: attribution.occlusion(
            *given, **({"patch": half, "stride": half} if quick else {})),
        "LIME": lambda: attribution.lime(*given, **({**few, "segments": 4} if quick else {})),
    }


def peers(net: vz.Network, images: np.ndarray, targets: np.ndarray) -> dict:
    """The same of tf-keras-vis, by the name of the method it is held against."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    score, prepared = CategoricalScore(targets.tolist()), np.asarray(net.preprocess(images))
    saliency, gradcam = Saliency(net.model, clone=False), Gradcam(net.model, clone=False)
    noise = 0.15  # of the picture's range: the default of both
    return {
        "saliency": lambda: saliency(score, prepared),
        "SmoothGrad": lambda: saliency(score, prepared, smooth_samples=SAMPLES,
                                       smooth_noise=noise),
        "Grad-CAM": lambda: gradcam(score, prepared, penultimate_layer=attribution.last_map(net),
                                    seek_penultimate_conv_layer=False),
    }


def compare(net: vz.Network, images: np.ndarray, runs: int, *, quick: bool = False) -> dict:
    """Seconds of every run of every method, ours and (marked) tf-keras-vis's."""
    targets = attribution.resolve_targets(net, images)
    todo = methods(net, images, targets, quick=quick)
    todo |= {f"tf-keras-vis, {name}": work for name, work in peers(net, images, targets).items()}
    taken = {name: [] for name in todo}
    for work in todo.values():
        work()
    for run in range(runs):
        for name, work in todo.items():
            taken[name] += seconds(work, runs=1, warm_up=0)
        print(f"run {run + 1}: " + ", ".join(f"{n} {t[-1]:.2f} s" for n, t in taken.items()),
              flush=True)
    return taken


def table(taken: dict, pictures: int) -> str:
    """Markdown: seconds a picture, the cost in saliency maps, and times the peer takes."""
    lines = ["| method | seconds a picture | times a saliency map | tf-keras-vis takes |",
             "|---|---|---|---|"]
    for name, own in taken.items():
        if name.startswith("tf-keras-vis"):
            continue
        times = statistics.median(a / b for a, b in zip(own, taken["saliency"], strict=True))
        peer = taken.get(f"tf-keras-vis, {name}")
        beside = "–" if peer is None else f"""{statistics.median(
            b / a for a, b in zip(own, peer, strict=True)):.2f} times as long"""
        lines.append(f"| {name} | {statistics.median(own) / pictures:.2f} | {times:.1f} "
                     f"| {beside} |")
    return "\n".join(lines)


def main():
    """Print each run, then the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5, help="runs counted, after one warm-up")
    parser.add_argument("--quick", action="store_true", help="a trial: 1 picture, few samples")
    options = parser.parse_args()
    pictures, runs = (1, 1) if options.quick else (options.pictures, options.runs)
    net = vz.load_network(options.network, weights="packaged")
    images = vz.load_images(size=net.input_size, limit=pictures).images
    taken = compare(net, images, runs, quick=options.quick)
    print(f"\n{options.network}, {pictures} pictures of {net.input_size} px, medians of {runs} "
          f"runs\n\n{table(taken, pictures)}")


if __name__ == "__main__":
    main()
