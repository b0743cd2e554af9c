"""Which pixels a class logit rests on: gradients, paths, class activation maps, hidden patches.

Every method gives one number a pixel for one class logit of one picture (`Attribution`):

====================  =====================================================  ======  ==========
method                a pixel's number                                       signed  cost [#]_
====================  =====================================================  ======  ==========
saliency              largest |∂ logit| over red, green, blue [1]_           no      1
SmoothGrad            the same for a mean gradient over noisy copies [2]_    no      samples
gradient × input      gradient × (pixel − baseline), summed over RGB         yes     1
integrated gradients  the same, gradient averaged on the way there [3]_      yes     steps
Grad-CAM              channels of a late layer, weighted by gradient [4]_    no      1
guided Grad-CAM       Grad-CAM × guided backpropagation [4]_                 no      2
occlusion             fall of the logit under a grey patch [5]_              yes     places / 3
LIME                  weight of its superpixel in a linear fit [6]_          yes     samples / 3
====================  =====================================================  ======  ==========

.. [#] In gradients of the network; a pass forwards alone is about a third of one.

All of them explain **logits**, before any softmax, and with respect to RGB pixels of 0-255: the
network's own preprocessing is part of the function that is explained. This file

1. says **what is asked** (`resolve_targets`) and what comes back (`Attribution`);
2. asks **gradients** (`saliency`, `smooth_grad`, `gradient_times_input`,
   `integrated_gradients` with its `completeness`);
3. asks **maps** (`grad_cam`, `guided_grad_cam`);
4. **hides** parts of the picture (`occlusion`, `lime`);
5. draws the results (`plot_attribution`, `plot_comparison`).

References
----------
.. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", ICLR
   workshop 2014, arXiv:1312.6034.
.. [2] D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, arXiv:1706.03825.
.. [3] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
   arXiv:1703.01365.
.. [4] R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
   localization", ICCV 2017, arXiv:1610.02391.
.. [5] M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
   doi:10.1007/978-3-319-10590-1_53.
.. [6] M. Ribeiro, S. Singh, C. Guestrin, "'Why should I trust you?' Explaining the predictions
   of any classifier", KDD 2016, arXiv:1602.04938.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic
from tqdm import tqdm

import vizutils as vz
from data import classes as imagenet
from engine import style
from engine.graph import made_by
from engine.kinds import kind_of
from engine.network import PICTURES, traced
from techniques import deconvnet

#: ImageNet's mean colour: to networks trained on it, the picture that says least.
MEAN_COLOUR = (123.68, 116.779, 103.939)

# --- what is asked, and what comes back -------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Attribution:
    """What one method says of some pictures, one class logit each.

    Attributes
    ----------
    method : str
        Its name in words.
    maps : float32 ndarray, shape (n, h, w)
        One number a pixel; RGB is folded as the method's function says.
    targets : int ndarray, shape (n,)
        Class indices.
    logits : float32 ndarray, shape (n,)
        Their logits on the untouched pictures.
    signed : bool
        Whether a number below zero speaks against the class (else there are none).
    rgb : float32 ndarray, shape (n, h, w, 3), or None
        The map before RGB is folded, where there is one.
    baseline_logits : float32 ndarray, shape (n,), or None
        Integrated gradients: the logits of the pictures from which the paths start.
    steps : int ndarray, shape (n,), or None
        Integrated gradients: gradients taken on each path.
    superpixels : int ndarray, shape (n, h, w), or None
        LIME: the superpixel to which each pixel belongs.
    fit : float ndarray, shape (n,), or None
        LIME: weighted R² of the linear model, 1 at best.
    """

    method: str
    maps: np.ndarray
    targets: np.ndarray
    logits: np.ndarray
    signed: bool
    rgb: np.ndarray | None = None
    baseline_logits: np.ndarray | None = None
    steps: np.ndarray | None = None
    superpixels: np.ndarray | None = None
    fit: np.ndarray | None = None

    @property
    def empty(self) -> np.ndarray:
        """Which maps are zero everywhere and so say nothing: bool ndarray, shape (n,)."""
        return ~self.maps.any((1, 2))


def resolve_targets(net: vz.Network, images, targets=None) -> np.ndarray:
    """Class indices, one a picture.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : float32 ndarray, shape (n, h, w, 3) or (h, w, 3), or ImageSet
        RGB, 0-255.
    targets : None, int, str, or a sequence of int and str
        None is each picture's top class; an index, an ImageNet label or a WordNet id stands for
        all pictures; a sequence has one of these for each.

    Returns
    -------
    int ndarray, shape (n,)

    Raises
    ------
    ValueError
        An index out of range; a label that is misspelt or names two classes (the message
        suggests); not one target a picture; a network without a classifier; pictures of a wrong
        shape or range.
    """
    images = _pictures(net, images)
    if targets is None:
        return _all_logits(net, images).argmax(1)
    if isinstance(targets, str) or np.ndim(targets) == 0:
        targets = [targets] * len(images)
    if len(targets) != len(images):
        raise ValueError(f"{len(targets)} targets for {len(images)} picture(s): give one for all "
                         "pictures, or one for each.")
    count = net.model.output.shape[-1]
    return np.array([_class_index(target, count) for target in targets])


def _class_index(target, count: int) -> int:
    """One target as a class index below `count`."""
    if isinstance(target, str):
        if count != len(imagenet.CLASSES):
            raise ValueError(f"class names are ImageNet's; this network has {count} classes of "
                             "its own: give an index instead.")
        return imagenet.find_class(target)
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)):
        raise ValueError(f"a target is a class index or a class name, not {target!r}.")
    if not 0 <= target < count:
        raise ValueError(f"class index {target} is out of range; this network's classes are "
                         f"0 to {count - 1}.")
    return int(target)


def _pictures(net: vz.Network, images) -> np.ndarray:
    """Pictures as float32 (n, h, w, 3), refused with a reason where the network cannot use them."""
    _head(net)
    images = vz.one_or_more(images)
    wanted = net.model.input_shape[1:3]
    if any(side not in (None, given) for side, given in zip(wanted, images.shape[1:3],
                                                           strict=True)):
        raise ValueError(f"{net.name} takes pictures of {wanted[0]} × {wanted[1]} px, not "
                         f"{images.shape[1]} × {images.shape[2]}; resize them first.")
    return images


def _asked(net: vz.Network, images, targets) -> tuple[np.ndarray, np.ndarray]:
    """(pictures, class indices) of a method's call."""
    return _pictures(net, images), resolve_targets(net, images, targets)


def _head(net: vz.Network) -> str:
    """The layer whose pre-activation is the logits."""
    if not net.has_classifier:
        raise ValueError(
            f"{net.name} has no classifier ({net.weights_source}), so there is no class to "
            "explain: load it with weights='packaged' or 'imagenet', or wrap a model of your own "
            "that ends in class logits by as_network(model, head='original').")
    if len(net.model.output.shape) != 2:
        raise ValueError(f"{net.name} ends in {net.model.output.shape}, not in one row of logits "
                         "a picture; put a pooling and a dense layer on top.")
    return net.last_layer


def _result(method: str, maps, targets, logits, *, signed: bool, **more) -> Attribution:
    """An `Attribution`; maps that say nothing are reported in words."""
    maps = np.asarray(maps, "float32")
    if not np.isfinite(maps).all():
        raise ValueError(f"{method} gave numbers that are not finite: this network's gradient "
                         "overflows on this picture.")
    found = Attribution(method, maps, np.asarray(targets), np.asarray(logits, "float32"), signed,
                        **more)
    if found.empty.any():
        which = ", ".join(f"{row} (class {found.targets[row]})"
                          for row in np.flatnonzero(found.empty))
        warnings.warn(f"{method} is zero everywhere for picture {which}: by this method no pixel "
                      "counts there, so the map says nothing.", stacklevel=3)
    return found


# --- passes through the network ---------------------------------------------------------------


CLASSES = tf.TensorSpec((None,), tf.int32)  #: one class index for each picture


def _gradient_pass(net: vz.Network) -> Callable:
    """(pictures, classes) → (logits (n,), gradient with respect to RGB 0-255)."""
    return net.kept(_traced_gradient)


def _traced_gradient(net: vz.Network) -> Callable:
    network = vz.submodel(net, _head(net), pre_activation=True)

    def gradient(images, targets):
        logits = network(net.preprocess(images), training=False)
        chosen = tf.gather(logits, targets, batch_dims=1)
        return chosen, tf.gradients(chosen, images)[0]  # no gradient of any weight

    return traced(gradient, PICTURES, CLASSES)


def _all_logits(net: vz.Network, images: np.ndarray, *, batch: int = 16) -> np.ndarray:
    """Every class's logit, float32 (n, classes)."""
    forward = net.forward(_head(net), pre_activation=True)
    return np.concatenate([forward(images[part]).numpy() for part in _parts(len(images), batch)])


def _parts(count: int, batch: int) -> Iterator[slice]:
    """Consecutive slices of at most `batch` that cover `count`."""
    if batch < 1:
        raise ValueError(f"batch is how many pictures go through at once, at least 1, not {batch}.")
    return (slice(first, first + batch) for first in range(0, count, batch))


def _in_batches(run: Callable, images: np.ndarray, targets: np.ndarray, batch: int = 8):
    """What a traced pass gives for all pictures, batch by batch, as arrays."""
    done = [run(images[part], targets[part].astype("int32"))
            for part in _parts(len(images), batch)]
    return [np.concatenate(arrays) for arrays in zip(*done, strict=True)]


def _watched(parts, method: str):
    """A progress bar, when it takes long."""
    return tqdm(list(parts), method, delay=1, leave=False)


# --- gradients --------------------------------------------------------------------------------


def _largest(rgb: np.ndarray) -> np.ndarray:
    """Largest magnitude over RGB: (..., 3) → (...)."""
    return np.abs(rgb).max(-1)


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
    images, targets = _asked(net, images, targets)
    logits, rgb = _in_batches(_gradient_pass(net), images, targets)
    return _result("saliency", _largest(rgb), targets, logits, signed=False, rgb=rgb)


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
    images, targets = _asked(net, images, targets)
    rgb = np.zeros_like(images)
    for row in _watched(range(len(images)), "SmoothGrad"):
        rng, image = np.random.default_rng(seed), images[row]
        spread = np.float32(noise * np.ptp(image))
        for part in _parts(samples, batch):
            count = min(part.stop, samples) - part.start
            copies = image + spread * rng.standard_normal((count, *image.shape), "float32")
            rgb[row] += _gradient_pass(net)(copies, np.full(count, targets[row], "int32"))[
                1].numpy().sum(0) / samples
    logits = _own(_all_logits(net, images), targets)
    return _result("SmoothGrad", _largest(rgb), targets, logits, signed=False, rgb=rgb)


def _own(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Each row's logit of its target."""
    return logits[np.arange(len(targets)), targets]


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
    images, targets = _asked(net, images, targets)
    baselines = _baselines(images, baseline)
    logits, gradient = _in_batches(_gradient_pass(net), images, targets)
    rgb = gradient * (images - baselines)
    return _result("gradient × input", rgb.sum(-1), targets, logits, signed=True, rgb=rgb)


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
    images, targets = _asked(net, images, targets)
    baselines = _baselines(images, baseline)
    done = [_mean_gradient(net, start, image, target, steps, tolerance, batch)
            for start, image, target in _watched(
                zip(baselines, images, targets, strict=True), "integrated gradients")]
    mean, starts, ends, taken = (np.array(part) for part in zip(*done, strict=True))
    rgb = mean * (images - baselines)
    found = _result("integrated gradients", rgb.sum(-1), targets, ends, signed=True, rgb=rgb,
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
    way, run = image - start, _gradient_pass(net)
    places = np.linspace(0, 1, min(steps, ROUND + 1), dtype="float32") ** 2  # denser at the start
    at, logits = np.empty((2, 0), "float32")
    gradients = np.empty((0, *image.shape), "float32")
    while True:
        points = start + places[:, None, None, None] * way
        new = _in_batches(run, points, np.full(len(points), target), batch)
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


# --- class activation maps --------------------------------------------------------------------


def grad_cam(net: vz.Network, images, targets=None, *, layer: str | None = None) -> Attribution:
    """Where a late layer's channels speak for the class [4]_.

    Each channel is weighted by the mean, over positions, of the logit's gradient; what remains
    below zero is cut off, and the coarse map is enlarged bilinearly.

    Parameters
    ----------
    net, images, targets
        As in `saliency`.
    layer : str, optional
        A layer with a map, after its activation; without it `last_map`.

    Returns
    -------
    Attribution
        Unsigned. No negative evidence is shown: a map that is zero everywhere is reported.

    Raises
    ------
    ValueError
        As `resolve_targets`; a layer without a map, or that does not feed the logits.
    """
    images, targets = _asked(net, images, targets)
    logits, coarse = coarse_cam(net, images, targets, layer=layer)
    return _result("Grad-CAM", _enlarged(coarse, images.shape[1:3]), targets, logits, signed=False)


def coarse_cam(
    net: vz.Network, images, targets=None, *, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(logits (n,), Grad-CAM in the layer's own positions (n, rows, columns)), before enlarging."""
    images, targets = _asked(net, images, targets)
    return tuple(_in_batches(_cam_pass(net, layer or last_map(net)), images, targets))


def last_map(net: vz.Network) -> str:
    """The last layer with a map before the classifier, pools left out.

    VGG16: block5_conv3; networks with batch normalisation: the activation after the last one.
    """
    operation = net.model.get_layer(_head(net))
    while not _is_last_map(net, operation):
        if type(operation).__name__ == "InputLayer":
            raise ValueError(f"{net.name} has no layer with a map below its classifier, so there "
                             "is nothing for Grad-CAM to weigh; use a gradient method.")
        operation, _ = made_by(keras.tree.flatten(operation.input)[0])
    return operation.name


def _is_last_map(net: vz.Network, operation) -> bool:
    shape = operation.output.shape
    does = kind_of(operation)  # pools and what is open in inference only pass on
    passes_on = does.reads == "picture" or (does.channels == "kept" and does.sign)
    dense_head = type(operation) is keras.layers.Conv2D and operation.name not in net.conv_layers
    return len(shape) == 4 and shape[1:3] != (1, 1) and not dense_head and not passes_on


def _cam_pass(net: vz.Network, layer: str) -> Callable:
    """(pictures, classes) → (logits, class activation map in the layer's positions)."""
    return net.kept(_traced_cam, layer)


def _traced_cam(net: vz.Network, layer: str) -> Callable:
    network = vz.submodel(net, [layer, _head(net)], pre_activation=[False, True])
    if len(network.outputs[0].shape) != 4:
        raise ValueError(f"{layer} has no map (its output is {network.outputs[0].shape}); Grad-CAM "
                         f"needs one: {', '.join(net.conv_layers[-3:])}, for example.")

    def cam(images, targets):
        maps, logits = network(net.preprocess(images), training=False)
        chosen = tf.gather(logits, targets, batch_dims=1)
        gradient = tf.gradients(chosen, maps)[0]  # stops at the layer: nothing below it
        if gradient is None:
            raise ValueError(f"{layer} does not feed the logits of {net.name}.")
        weights = tf.reduce_mean(gradient, (1, 2), keepdims=True)
        return chosen, tf.nn.relu(tf.reduce_sum(weights * maps, -1))

    return traced(cam, PICTURES, CLASSES)


def _enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinearly to the picture's size; a position's number sits in the middle of its pixels."""
    return tf.image.resize(maps[..., None], size)[..., 0].numpy()


def guided_grad_cam(
    net: vz.Network, images, targets=None, *, layer: str | None = None
) -> Attribution:
    """Grad-CAM (where) × guided backpropagation (which edges) [4]_.

    Parameters
    ----------
    net, images, targets, layer
        As in `grad_cam`; a network whose nonlinearities are ReLUs (see
        `techniques.deconvnet.with_rule`).

    Returns
    -------
    Attribution
        Unsigned: largest magnitude over RGB. The sign of the product, kept in ``rgb``, says
        brighter or darker, not for or against.

    Raises
    ------
    ValueError
        As `grad_cam`; a nonlinearity for which the guided rule says nothing.
    """
    images, targets = _asked(net, images, targets)
    logits, coarse = coarse_cam(net, images, targets, layer=layer)
    guided = _in_batches(_guided_pass(net), images, targets)[0]
    rgb = guided * _enlarged(coarse, images.shape[1:3])[..., None]
    return _result("guided Grad-CAM", _largest(rgb), targets, logits, signed=False, rgb=rgb)


def _guided_pass(net: vz.Network) -> Callable:
    """(pictures, classes) → (guided gradient with respect to RGB,)."""
    return net.kept(_traced_guided)


def _traced_guided(net: vz.Network) -> Callable:
    network = deconvnet.with_rule(net, _head(net), "guided")

    def guided(images, targets):
        logits = network(net.preprocess(images), training=False)
        return (tf.gradients(tf.gather(logits, targets, batch_dims=1), images)[0],)

    return traced(guided, PICTURES, CLASSES)


# --- hiding parts -----------------------------------------------------------------------------


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
    """How far the logit falls when a grey patch hides a place [5]_.

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
    images, targets = _asked(net, images, targets)
    if not 1 <= stride <= patch <= min(images.shape[1:3]):
        raise ValueError(f"1 ≤ stride ≤ patch ≤ the picture's side, so that every pixel is hidden "
                         f"once; not stride {stride}, patch {patch} on {images.shape[1:3]}.")
    tops, lefts = (_starts(side, patch, stride) for side in images.shape[1:3])
    windows = [np.s_[top : top + patch, left : left + patch] for top in tops for left in lefts]
    covers = np.zeros(images.shape[1:3], "float32")
    for window in windows:
        covers[window] += 1
    logits, maps = _own(_all_logits(net, images), targets), np.zeros(images.shape[:3], "float32")
    for rows in _same_pictures(images):
        for part in _watched(_parts(len(windows), batch), "occlusion"):
            hidden = np.repeat(images[rows[:1]], len(windows[part]), 0)
            for copy, window in zip(hidden, windows[part], strict=True):
                copy[window] = fill
            falls = logits[rows] - _all_logits(net, hidden, batch=batch)[:, targets[rows]]
            for window, fall in zip(windows[part], falls, strict=True):
                maps[(rows, *window)] += fall[:, None, None]
    return _result("occlusion", maps / covers, targets, logits, signed=True)


def _starts(side: int, patch: int, stride: int) -> list[int]:
    """Where patches start along a side, the last one flush with the edge."""
    return sorted({*range(0, side - patch + 1, stride), side - patch})


def lime(
    net: vz.Network, images, targets=None, *, samples: int = 256, segments=50,
    kernel_width: float = 0.25, penalty: float = 1.0, seed: int = 0, batch: int = 16,
) -> Attribution:
    """Weights of superpixels in a linear model of the logit around the picture [6]_.

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
    images, targets = _asked(net, images, targets)
    if samples < 2 or kernel_width <= 0 or penalty < 0:
        raise ValueError("lime takes at least 2 samples, a kernel width above 0 and a penalty of "
                         f"at least 0, not {samples}, {kernel_width} and {penalty}.")
    superpixels = _superpixels(images, segments)
    logits = _own(_all_logits(net, images), targets)
    maps, fit = np.zeros(images.shape[:3], "float32"), np.zeros(len(images))
    for rows in _same_pictures(images):
        image, labels = images[rows[0]], superpixels[rows[0]]
        switches = np.random.default_rng(seed).integers(0, 2, (samples, labels.max() + 1))
        switches[0] = 1
        painted = _mean_colours(image, labels)
        answers = np.concatenate([
            _all_logits(net, np.where(switches[part][:, labels][..., None], image, painted),
                        batch=batch)[:, targets[rows]]
            for part in _watched(_parts(samples, batch), "LIME")])
        weights, fit[rows] = _weighted_ridge(switches, answers, _nearness(switches, kernel_width),
                                             penalty)
        maps[rows] = weights.T[:, labels]
    return _result("LIME", maps, targets, logits, signed=True, superpixels=superpixels, fit=fit)


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


# --- figures ----------------------------------------------------------------------------------


def _reach(maps: np.ndarray) -> float:
    """Where the colours end: few pixels lie beyond, and they would hide all the others."""
    magnitude = np.abs(maps)
    return float(np.percentile(magnitude, 99.5) or magnitude.max() or 1)


def _draw_map(axes, numbers: np.ndarray, signed: bool, reach: float, *, alpha: float = 1.0):
    """One map on the scale of its method; zero everywhere is said in words."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    norm = CenteredNorm(0, reach) if signed else Normalize(0, reach)
    drawn = axes.imshow(numbers, cmap=style.SIGNED if signed else "magma", norm=norm, alpha=alpha,
                        interpolation="nearest")
    if not numbers.any():
        axes.text(0.5, 0.5, "zero\neverywhere", transform=axes.transAxes, ha="center",
                  va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none"})
    elif signed and alpha == 1:
        _mark_ends(axes, numbers)
    return drawn


def _mark_ends(axes, numbers: np.ndarray) -> None:
    """+ and − where a signed map, smoothed, is highest and lowest."""
    smooth = gaussian_filter(numbers, 0.03 * max(numbers.shape))
    for mark, place, exists in (("+", smooth.argmax(), smooth.max() > 0),
                                ("−", smooth.argmin(), smooth.min() < 0)):
        if exists:
            place = np.array(np.unravel_index(place, smooth.shape))
            edge = 0.06 * np.array(smooth.shape)  # the mark stays within the panel
            row, column = np.clip(place, edge, np.array(smooth.shape) - edge)
            axes.text(column, row, mark, ha="center", va="center", fontsize=9, weight="bold",
                      bbox={"boxstyle": "circle,pad=0.1", "facecolor": "white",
                            "edgecolor": "none", "alpha": 0.8})


@style.styled
def plot_attribution(
    image: np.ndarray, attribution: Attribution, *, row: int = 0, title: str = "",
    alpha: float = 0.4,
) -> Figure:
    """The picture, the map with its colour bar, and the map laid over the picture.

    Parameters
    ----------
    image : ndarray, shape (h, w, 3)
        RGB 0-255.
    attribution : Attribution
    row : int
        Which of its maps.
    title : str
        Over the picture; without one, the class index and its logit.
    alpha : float
        How strongly the map covers the picture in the third panel.
    """
    image, = vz.check_each([image])
    numbers, reach = attribution.maps[row], _reach(attribution.maps[row])
    figure = style.blank_figure(2.3)
    axes = figure.subplots(1, 3)
    style.show_picture(axes[0], image, title or f"class {attribution.targets[row]}, logit "
             f"{attribution.logits[row]:.1f}")
    drawn = _draw_map(axes[1], numbers, attribution.signed, reach)
    axes[1].set_title(attribution.method, pad=3)
    figure.colorbar(drawn, ax=axes[1], shrink=0.85,
                    extend="both" if attribution.signed else "max")
    style.show_picture(axes[2], image, f"overlay ({alpha:g})")
    _draw_map(axes[2], numbers, attribution.signed, reach, alpha=alpha)
    return figure


@style.styled
def plot_comparison(
    images: np.ndarray, attributions: Sequence[Attribution], *, labels: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] | None = None, columns: int = 5,
) -> Figure:
    """A sheet of methods × targets: each picture with all its maps.

    Parameters
    ----------
    images : ndarray, shape (n, h, w, 3)
        RGB 0-255, one a target (the same picture again for another class).
    attributions : sequence of Attribution
        Of the same n targets, one a method. All maps of a method have the same scale.
    labels : sequence of str
        What stands left of each row; without them, the class indices.
    beside : mapping of str to ndarray of shape (n, h, w, 3), optional
        Title → pictures to end with, RGB 0-255: a dream for each target, for example.
    columns : int
        Panels a row; where methods go over several, rows of the same methods stay together.

    Raises
    ------
    ValueError
        An attribution with another number of maps.
    """
    images = vz.check_each(images)
    beside = {title: vz.check_each(shown) for title, shown in (beside or {}).items()}
    count = len(images)
    for found in attributions:
        if len(found.maps) != count:
            raise ValueError(f"{found.method} has {len(found.maps)} maps for {count} pictures; "
                             "give as many pictures as there are targets.")
    labels = labels or [f"class {target}" for target in attributions[0].targets]
    panels = {"picture": images, **{a.method: a for a in attributions}, **beside}
    columns = min(columns, len(panels))
    blocks = -(-len(panels) // columns)
    figure = style.blank_figure(blocks * (count * style.WIDTH / columns + 0.35))
    grid = figure.subplots(blocks * count, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (title, shown) in enumerate(panels.items()):
        block, column = divmod(i, columns)
        title = textwrap.fill(title, 14, break_on_hyphens=False)
        for row, axes in enumerate(grid[block * count : (block + 1) * count, column]):
            axes.set_axis_on()
            if isinstance(shown, Attribution):
                _draw_map(axes, shown.maps[row], shown.signed, _reach(shown.maps))
            else:
                style.show_picture(axes, shown[row])
            axes.set_title(title if row == 0 else "", pad=3)
            axes.set_ylabel(labels[row] if column == 0 else "")
    return figure
