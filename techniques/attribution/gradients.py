"""Attribution by gradients: saliency, SmoothGrad, gradient × input, integrated gradients.

References
----------
.. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", ICLR
   workshop 2014, arXiv:1312.6034.
.. [2] D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv:1706.03825.
.. [3] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
   arXiv:1703.01365.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

import vizutils as vz
from techniques.attribution.passes import (
    gradient_pass,
    in_batches,
    parts,
    target_logits,
    watched,
)
from techniques.attribution.result import Attribution, largest_over_rgb, reported
from techniques.attribution.targets import asked


def saliency(net: vz.Network, images, targets=None) -> Attribution:
    """Largest |∂ logit / ∂ pixel| over RGB [1]_: how much the logit feels a small change.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : float32 ndarray, shape (n, h, w, 3) or (h, w, 3), or ImageSet
        RGB, 0-255.
    targets
        See `resolve_targets`.

    Returns
    -------
    Attribution
        Unsigned, in logit per grey level; ``rgb`` is the gradient itself.

    Raises
    ------
    ValueError
        As `resolve_targets`.
    """
    images, targets = asked(net, images, targets)
    logits, rgb = in_batches(gradient_pass(net), images, targets)
    return reported("saliency", largest_over_rgb(rgb), targets, logits, signed=False, rgb=rgb)


def smooth_grad(
    net: vz.Network, images, targets=None, *, samples: int = 16, noise: float = 0.15,
    seed: int = 0, batch: int = 8,
) -> Attribution:
    """Saliency of the mean gradient over noisy copies of the picture [2]_.

    Parameters
    ----------
    net, images, targets
        As in `saliency`.
    samples : int
        Noisy copies of each picture.
    noise : float
        Standard deviation of the noise, as a share of the picture's range of grey levels.
    seed : int
        Every picture gets the same noise, so that its map does not depend on its neighbours.
    batch : int
        Copies that go through the network at once: bounds the memory.

    Returns
    -------
    Attribution
        Unsigned, in logit per grey level; ``rgb`` is the mean gradient, ``logits`` those of the
        clean pictures. The absolute value is taken after the mean, so that what changes sign
        under the noise cancels.

    Raises
    ------
    ValueError
        As `resolve_targets`; less than one sample; noise below zero.
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"smooth_grad takes at least one sample and noise ≥ 0, not {samples} "
                         f"and {noise}.")
    images, targets = asked(net, images, targets)
    rgb = np.zeros_like(images)
    for row in watched(range(len(images)), "SmoothGrad"):
        rng, image = np.random.default_rng(seed), images[row]
        spread = np.float32(noise * np.ptp(image))
        for part in parts(samples, batch):
            count = min(part.stop, samples) - part.start
            copies = image + spread * rng.standard_normal((count, *image.shape), "float32")
            rgb[row] += gradient_pass(net)(copies, np.full(count, targets[row], "int32"))[
                1].numpy().sum(0) / samples
    logits = target_logits(net, images, targets)
    return reported("SmoothGrad", largest_over_rgb(rgb), targets, logits, signed=False, rgb=rgb)


def gradient_times_input(net: vz.Network, images, targets=None, *, baseline=None) -> Attribution:
    """Gradient × (pixel − baseline), summed over RGB: the logit's first-order Taylor term.

    Integrated gradients with one step, at the picture itself.

    Parameters
    ----------
    net, images, targets
        As in `saliency`.
    baseline
        As in `integrated_gradients`.

    Returns
    -------
    Attribution
        Signed, in logits.

    Raises
    ------
    ValueError
        As `integrated_gradients`.
    """
    images, targets = asked(net, images, targets)
    baselines = _baselines(images, baseline)
    logits, gradient = in_batches(gradient_pass(net), images, targets)
    rgb = gradient * (images - baselines)
    return reported("gradient × input", rgb.sum(-1), targets, logits, signed=True, rgb=rgb)


def integrated_gradients(
    net: vz.Network, images, targets=None, *, steps: int = 50, baseline=None,
    tolerance: float = 0.01, batch: int = 8,
) -> Attribution:
    """(Pixel − baseline) × the mean gradient on the straight way from baseline to picture [3]_.

    In a network with batch normalisation the logit makes nearly all of its rise within the first
    tenth of the way from black, and evenly spaced steps miss it (errors of 20 % are usual with
    50). So steps go where the sum is wrong: between two points of the path the rise of the logit
    is known exactly, and where the trapezoid of the two gradients differs most from it, the
    stretch is halved next.

    Parameters
    ----------
    net, images, targets
        As in `saliency`.
    steps : int
        Gradients on each path.
    baseline : None, number, sequence of three, or ndarray of shape (h, w, 3) or (n, h, w, 3)
        Where the path starts, RGB 0-255. None is black, as in the paper: pixels then count by
        how far they are from black, and black ones not at all.
    tolerance : float
        Where the map's sum misses the logit's rise by a larger share, up to three times as many
        gradients again are spent; what is still missing then is said in a warning.
    batch : int
        Points of a path that go through the network at once. The gradients of one path are kept
        until it is done (0.6 MB each at 224 px).

    Returns
    -------
    Attribution
        Signed, in logits, summed over RGB; with ``baseline_logits`` and the ``steps`` taken. How
        nearly the map adds up to the logit's rise is told by `completeness`.

    Raises
    ------
    ValueError
        As `resolve_targets`; less than two steps; a baseline of another shape or outside 0-255.
    """
    if steps < 2:
        raise ValueError(f"steps are the gradients on the way, both ends included: at least 2, "
                         f"not {steps}.")
    images, targets = asked(net, images, targets)
    baselines = _baselines(images, baseline)
    done = [_mean_gradient(net, start, image, target, steps, tolerance, batch)
            for start, image, target in watched(
                zip(baselines, images, targets, strict=True), "integrated gradients")]
    mean, starts, ends, taken = (np.array(part) for part in zip(*done, strict=True))
    rgb = mean * (images - baselines)
    found = reported("integrated gradients", rgb.sum(-1), targets, ends, signed=True, rgb=rgb,
                    baseline_logits=starts, steps=taken)
    missed = completeness(found).query("abs(error) > @tolerance")
    if len(missed):
        warnings.warn("integrated gradients miss the logit's rise by more than "
                      f"{tolerance:.0%} for picture {', '.join(map(str, missed.index))} "
                      f"({missed['error'].abs().max():.1%} at worst): take more steps, or another "
                      "baseline if the logit hardly rises.", stacklevel=2)
    return found


ROUND = 8  #: stretches of a path that are halved before its error is looked at again


def _mean_gradient(net, start, image, target, steps: int, tolerance: float, batch: int):
    """(mean gradient on the way, first and last logit, gradients taken) of one path."""
    way, run = image - start, gradient_pass(net)
    places = np.linspace(0, 1, min(steps, ROUND + 1), dtype="float32") ** 2  # denser at the start
    at, logits = np.empty((2, 0), "float32")
    gradients = np.empty((0, *image.shape), "float32")
    while True:
        points = start + places[:, None, None, None] * way
        new = in_batches(run, points, np.full(len(points), target), batch)
        order = np.argsort(np.concatenate([at, places]))
        at, logits, gradients = (np.concatenate(pair)[order] for pair in (
            (at, places), (logits, new[0]), (gradients, new[1])))
        slopes = np.tensordot(gradients, way, 3).astype("float64")
        missed = np.diff(at) * (slopes[1:] + slopes[:-1]) / 2 - np.diff(logits)
        wrong = abs(missed.sum()) > tolerance * abs(logits[-1] - logits[0])
        goal = 4 * steps if wrong and len(at) >= steps else steps
        if len(at) >= goal:
            break
        worst = np.argsort(-np.abs(missed), kind="stable")[: min(ROUND, goal - len(at))]
        places = (at[worst] + at[worst + 1]) / 2
    weights = np.convolve(np.diff(at), [0.5, 0.5])  # the trapezoid rule
    return np.tensordot(weights, gradients, 1), logits[0], logits[-1], len(at)


def _baselines(images: np.ndarray, baseline) -> np.ndarray:
    """A baseline for each picture, as large as they are."""
    baseline = np.zeros(3) if baseline is None else np.asarray(baseline)
    try:
        baselines = np.broadcast_to(baseline, images.shape).astype("float32")
    except ValueError:
        raise ValueError(f"a baseline is a grey level, a colour or a picture like those asked "
                         f"about {images.shape[1:]}, not of shape {baseline.shape}.") from None
    if not (baselines.min() >= 0 and baselines.max() <= 255):
        raise ValueError("a baseline is a picture too: RGB numbers from 0 to 255.")
    return baselines


def completeness(attribution: Attribution) -> pd.DataFrame:
    """Whether integrated gradients add up: Σ map = logit(picture) − logit(baseline) [3]_.

    Returns
    -------
    DataFrame
        A row a picture: ``class``, ``sum`` of the map, ``rise`` of the logit over the baseline's,
        ``error`` = (sum − rise) / |rise|.

    Raises
    ------
    ValueError
        The attribution has no baseline.
    """
    if attribution.baseline_logits is None:
        raise ValueError(f"{attribution.method} promises no sum; only integrated gradients do.")
    table = pd.DataFrame({"class": attribution.targets,
                          "sum": attribution.maps.sum((1, 2), dtype="float64"),
                          "rise": (attribution.logits - attribution.baseline_logits)})
    return table.assign(error=(table["sum"] - table["rise"]) / table["rise"].abs())
