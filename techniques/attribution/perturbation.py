"""Attribution by hiding parts of the picture: occlusion and LIME.

References
----------
.. [1] M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
   doi:10.1007/978-3-319-10590-1_53.
.. [2] M. Ribeiro, S. Singh, C. Guestrin, "'Why should I trust you?' Explaining the predictions
   of any classifier", KDD 2016, arXiv:1602.04938.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from skimage.segmentation import slic

import vizutils as vz
from techniques.attribution.passes import all_logits, parts, target_logits, watched
from techniques.attribution.result import Attribution, reported
from techniques.attribution.targets import asked

#: ImageNet's mean colour: to networks trained on it, the picture that says least.
MEAN_COLOUR = (123.68, 116.779, 103.939)


def _same_pictures(images: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of each distinct picture: asked about two classes, it is hidden only once."""
    rows: dict[bytes, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image.tobytes(), []).append(row)
    return map(np.array, rows.values())


def occlusion(
    net: vz.Network, images, targets=None, *, patch: int = 32, stride: int = 16, fill=MEAN_COLOUR,
    batch: int = 16,
) -> Attribution:
    """How far the logit falls when a grey patch hides a place [1]_.

    Parameters
    ----------
    net, images, targets
        As in `saliency`. The same picture given for several classes is hidden only once.
    patch, stride : int
        Side of the patch and its step, in pixels; the last one of a row is flush with the edge.
    fill : number or sequence of three
        The patch's colour, RGB 0-255.
    batch : int
        Hidden copies that go through the network at once.

    Returns
    -------
    Attribution
        Signed, in logits: a pixel has the mean fall over the patches that hide it; where the
        logit rises, less than zero.

    Raises
    ------
    ValueError
        As `resolve_targets`; a patch that does not fit, or a stride that leaves pixels unhidden.
    """
    images, targets = asked(net, images, targets)
    if not 1 <= stride <= patch <= min(images.shape[1:3]):
        raise ValueError(f"1 ≤ stride ≤ patch ≤ the picture's side, so that every pixel is hidden "
                         f"once; not stride {stride}, patch {patch} on {images.shape[1:3]}.")
    tops, lefts = (_starts(side, patch, stride) for side in images.shape[1:3])
    windows = [np.s_[top : top + patch, left : left + patch] for top in tops for left in lefts]
    covers = np.zeros(images.shape[1:3], "float32")
    for window in windows:
        covers[window] += 1
    logits, maps = target_logits(net, images, targets), np.zeros(images.shape[:3], "float32")
    for rows in _same_pictures(images):
        for part in watched(parts(len(windows), batch), "occlusion"):
            hidden = np.repeat(images[rows[:1]], len(windows[part]), 0)
            for copy, window in zip(hidden, windows[part], strict=True):
                copy[window] = fill
            falls = logits[rows] - all_logits(net, hidden, batch=batch)[:, targets[rows]]
            for window, fall in zip(windows[part], falls, strict=True):
                maps[(rows, *window)] += fall[:, None, None]
    return reported("occlusion", maps / covers, targets, logits, signed=True)


def _starts(side: int, patch: int, stride: int) -> list[int]:
    """Where patches start along a side, the last one flush with the edge."""
    return sorted({*range(0, side - patch + 1, stride), side - patch})


def lime(
    net: vz.Network, images, targets=None, *, samples: int = 256, segments=50,
    kernel_width: float = 0.25, penalty: float = 1.0, seed: int = 0, batch: int = 16,
) -> Attribution:
    """Weights of superpixels in a linear model of the logit around the picture [2]_.

    Superpixels are switched off at random (painted in their own mean colour); copies that keep
    more of the picture, by cosine distance, weigh more; a ridge regression of the logit on which
    ones are on gives each superpixel its weight.

    Parameters
    ----------
    net, images, targets
        As in `saliency`. The same picture given for several classes is hidden only once.
    samples : int
        Copies with parts switched off; the first is the picture itself.
    segments : int, or int ndarray of shape (h, w) or (n, h, w)
        About how many superpixels SLIC makes, or the superpixels themselves, numbered from 0
        without gaps.
    kernel_width, penalty : float
        Of the exponential kernel exp(−distance² / width²), whose root is the weight as in the
        authors' program, and of the ridge.
    seed, batch : int

    Returns
    -------
    Attribution
        Signed, in logits for a whole superpixel; with ``superpixels`` and ``fit``.

    Raises
    ------
    ValueError
        As `resolve_targets`; empty superpixels, less than two of them, or too few samples.
    """
    images, targets = asked(net, images, targets)
    if samples < 2 or kernel_width <= 0 or penalty < 0:
        raise ValueError("lime takes at least 2 samples, a kernel width above 0 and a penalty of "
                         f"at least 0, not {samples}, {kernel_width} and {penalty}.")
    superpixels = _superpixels(images, segments)
    logits = target_logits(net, images, targets)
    maps, fit = np.zeros(images.shape[:3], "float32"), np.zeros(len(images))
    for rows in _same_pictures(images):
        image, labels = images[rows[0]], superpixels[rows[0]]
        switches = np.random.default_rng(seed).integers(0, 2, (samples, labels.max() + 1))
        switches[0] = 1
        painted = _mean_colours(image, labels)
        answers = np.concatenate([
            all_logits(net, np.where(switches[part][:, labels][..., None], image, painted),
                        batch=batch)[:, targets[rows]]
            for part in watched(parts(samples, batch), "LIME")])
        weights, fit[rows] = _weighted_ridge(switches, answers, _nearness(switches, kernel_width),
                                             penalty)
        maps[rows] = weights.T[:, labels]
    return reported("LIME", maps, targets, logits, signed=True, superpixels=superpixels, fit=fit)


def _superpixels(images: np.ndarray, segments) -> np.ndarray:
    """Each picture's superpixels, int (n, h, w): made by SLIC, or given and checked."""
    if np.ndim(segments) == 0:
        if segments < 2:
            raise ValueError(f"lime needs at least 2 superpixels, not {segments}.")
        labels = np.stack([slic(image / 255, n_segments=int(segments), start_label=0)
                           for image in images])
    else:
        labels = np.asarray(segments)
        if labels.shape not in (images.shape[:3], images.shape[1:3]):
            raise ValueError(f"superpixels have the picture's shape {images.shape[1:3]}, not "
                             f"{labels.shape}.")
        labels = np.broadcast_to(labels, images.shape[:3])
    for row, one in enumerate(labels):
        _check_superpixels(one, row)
    return labels.astype(int)


def _check_superpixels(labels: np.ndarray, row: int) -> None:
    """Refuse superpixels that hold no pixel, and a picture that is a single one."""
    found = np.unique(labels)
    if found[0] < 0 or not np.array_equal(found, found.astype(int)):
        raise ValueError(f"superpixels of picture {row} are numbered 0, 1, 2, ...; found "
                         f"{found[0]}.")
    missing = np.setdiff1d(np.arange(found[-1] + 1), found)
    if missing.size:
        raise ValueError(f"superpixel {missing[0]} of picture {row} is empty ({missing.size} in "
                         "all): number them from 0 without gaps, for example with "
                         "skimage.segmentation.relabel_sequential(labels + 1)[0] - 1.")
    if found.size < 2:
        raise ValueError(f"picture {row} is one single superpixel: there is nothing to switch. "
                         "Ask for more segments, or give superpixels of your own.")


def _mean_colours(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture with every superpixel in its mean colour."""
    sizes = np.bincount(labels.ravel())
    colours = np.stack([np.bincount(labels.ravel(), image[..., c].ravel()) for c in range(3)], 1)
    return (colours / sizes[:, None]).astype("float32")[labels]


def _nearness(switches: np.ndarray, width: float) -> np.ndarray:
    """Each copy's weight by its cosine distance from the picture with everything on."""
    cosine = np.sqrt(switches.mean(1))  # Σ z / (√Σ z · √count) for zeros and ones
    return np.sqrt(np.exp(-((1 - cosine) ** 2) / width**2))


def _weighted_ridge(inputs, answers, weights, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """(coefficients (inputs, answers), weighted R² (answers,)), the intercept not penalised."""
    share = (weights / weights.sum())[:, None]
    inputs, answers = inputs - (share * inputs).sum(0), answers - (share * answers).sum(0)
    weighted = inputs * weights[:, None]
    coefficients = np.linalg.solve(weighted.T @ inputs + penalty * np.eye(inputs.shape[1]),
                                   weighted.T @ answers)
    total = (share * answers**2).sum(0)
    missed = (share * (answers - inputs @ coefficients) ** 2).sum(0)
    return coefficients, 1 - np.divide(missed, total, out=np.ones_like(total), where=total > 0)
