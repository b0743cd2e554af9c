"""Attacks: one step along the gradient's signs [1]_, many projected ones [2]_, and a control.

References
----------
.. [1] I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples",
   ICLR 2015, arXiv:1412.6572.
.. [2] A. Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
   2018, arXiv:1706.06083.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import vizutils as vz
from data.progress import Progress
from engine.network import PICTURES, traced
from techniques.adversarial.results import Adversaries, Before, bounds, check_epsilon, look

BATCH = 4  #: pictures that go forwards and backwards at once; more is no faster on a processor


def _gradient(net: vz.Network) -> Callable:
    """(pictures, classes) → gradient of their cross-entropies by pixel."""
    return net.kept(_traced_gradient)


def _traced_gradient(net: vz.Network) -> Callable:
    logits = vz.submodel(net, net.logits_layer, pre_activation=True)

    def gradient(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                classes, logits(net.preprocess(images), training=False))
        return tape.gradient(loss, images)  # a sum over pictures, which do not meet

    return traced(gradient, PICTURES, tf.TensorSpec((None,), tf.int32))


def _signs(net: vz.Network, images: np.ndarray, before: Before) -> np.ndarray:
    """Which way each pixel of some pictures must go: −1, 0 or 1, float32."""
    towards = -1 if before.targeted else 1
    return towards * np.sign(_gradient(net)(images, before.targets.astype("int32")).numpy())


def _batches(before: Before, title: str):
    """(slice, those pictures alone) after each other, with a progress bar."""
    starts = range(0, len(before.images), BATCH)
    for start in Progress(starts, title, delay=1):
        part = slice(start, start + BATCH)
        yield part, before.subset(part)


def gradient_signs(net: vz.Network, before: Before) -> np.ndarray:
    """The signs that `fgsm` steps along, float32 (n, h, w, 3): the same for every ε."""
    return np.concatenate([_signs(net, part.images, part)
                           for _, part in _batches(before, "gradients")])


def _result(net, before: Before, images, epsilon, method: str, flat=None) -> Adversaries:
    """What the network says of the changed pictures; flat gradients are told."""
    flat = np.zeros(len(images), bool) if flat is None else flat
    if flat.any():
        warnings.warn(f"the gradient of {flat.sum()} of {len(flat)} pictures is zero everywhere "
                      "(saturated logits, or dead units): they were not attacked, which says "
                      "nothing of the network's strength.", stacklevel=3)
    return Adversaries(before, images, vz.logits(net, vz.made(images)), epsilon, method, flat)


def fgsm(
    net: vz.Network, images, *, epsilon: float, targets=None, signs: np.ndarray | None = None,
) -> Adversaries:
    """Fast gradient sign method: one step of ε along the signs of the loss's gradient.

    Parameters
    ----------
    net : Network
        With a classifier; not modified.
    images : ImageSet, ndarray of shape (n, h, w, 3) or (h, w, 3), or Before
        RGB 0-255. What `look` found saves a pass.
    epsilon : float
        Largest change of a pixel, in grey levels; `grey_levels` converts standard deviations.
    targets : optional
        See `look`.
    signs : float32 ndarray, optional
        From `gradient_signs`, if they are here already.

    Raises
    ------
    ValueError
        ε that is negative, NaN or above 255, and what `look` refuses.

    References
    ----------
    .. [1] I. Goodfellow et al., ICLR 2015, arXiv:1412.6572, section 4.
    """
    epsilon, before = check_epsilon(epsilon), look(net, images, targets)
    signs = gradient_signs(net, before) if signs is None else np.asarray(signs, "float32")
    if signs.shape != before.images.shape:
        raise ValueError(f"signs of shape {signs.shape} do not belong to pictures of shape "
                         f"{before.images.shape}: give gradient_signs(net, look(net, images)).")
    low, high = bounds(before.images, epsilon)
    moved = np.clip(before.images + np.float32(epsilon) * signs, low, high)
    return _result(net, before, moved, epsilon, "FGSM", ~signs.any((1, 2, 3)))


def pgd(
    net: vz.Network, images, *, epsilon: float, steps: int = 10, step: float | None = None,
    targets=None, random_start: bool = True, seed: int = 0,
) -> Adversaries:
    """Projected gradient descent: many small sign steps, each put back into the ε-ball.

    Parameters
    ----------
    net, images, epsilon, targets
        As for `fgsm`.
    steps : int
    step : float, optional
        Grey levels a step; without, 2.5 ε / `steps` [1]_: far enough to cross the ball.
    random_start : bool
        Start anywhere in the ball instead of at the picture.
    seed : int
        Of the random starts, drawn for all pictures in a row: a picture's depends on its place.

    Returns
    -------
    Adversaries
        The last step's pictures, whether or not an earlier one was already misnamed.

    References
    ----------
    .. [1] A. Madry et al., ICLR 2018, arXiv:1706.06083, section 2.1 and appendix.
    """
    epsilon, before = check_epsilon(epsilon), look(net, images, targets)
    if not isinstance(steps, numbers.Integral) or steps < 1:
        raise ValueError(f"steps is a whole number, at least 1, not {steps!r}.")
    step = 2.5 * epsilon / steps if step is None else check_epsilon(step)
    rng = np.random.default_rng(seed)
    low, high = bounds(before.images, epsilon)
    moved = before.images
    if random_start:
        moved = np.clip(moved + rng.uniform(-epsilon, epsilon, moved.shape).astype("float32"),
                        low, high)
    moved, flat = moved.copy(), np.ones(len(moved), bool)
    for part, own in _batches(before, f"PGD, {steps} steps"):
        for _ in range(steps):
            signs = _signs(net, moved[part], own)
            moved[part] = np.clip(moved[part] + np.float32(step) * signs, low[part], high[part])
            flat[part] &= ~signs.any((1, 2, 3))
    return _result(net, before, moved, epsilon, f"PGD, {steps} steps", flat)


def random_signs(before: Before, *, seed: int = 0) -> np.ndarray:
    """−1 or 1 for each pixel, by lot: the control for `gradient_signs`."""
    rng = np.random.default_rng(seed)
    return rng.choice(np.float32([-1, 1]), before.images.shape)


def sign_noise(net: vz.Network, images, *, epsilon: float, targets=None,
               seed: int = 0) -> Adversaries:
    """The control: every pixel moves by ε as in `fgsm`, but up or down by lot."""
    epsilon, before = check_epsilon(epsilon), look(net, images, targets)
    low, high = bounds(before.images, epsilon)
    moved = np.clip(before.images + np.float32(epsilon) * random_signs(before, seed=seed),
                    low, high)
    return _result(net, before, moved, epsilon, "sign noise")


def rounded(net: vz.Network, found: Adversaries) -> Adversaries:
    """The adversaries as an 8-bit file would keep them: whole grey levels within ε.

    Raises
    ------
    ValueError
        The pictures they were made from are not whole grey levels themselves.
    """
    if (found.before.images % 1).any():
        raise ValueError("the original pictures hold broken grey levels, so that there may be no "
                         "whole one within ε: round them before the attack.")
    low, high = bounds(found.before.images, found.epsilon)
    whole = np.clip(np.rint(found.images), np.ceil(low), np.floor(high))
    return _result(net, found.before, whole, found.epsilon, f"{found.method}, 8 bits", found.flat)
