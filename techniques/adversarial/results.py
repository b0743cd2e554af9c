"""What is attacked, within which bounds, and what came of it."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import tensorflow as tf

import vizutils as vz
from data import classes as imagenet
from techniques.attribution import resolve_targets

SPREAD = np.array([0.229, 0.224, 0.225])  #: ImageNet's standard deviation of R, G, B (of 1)


def grey_levels(deviations: float) -> float:
    """A bound in standard deviations of the input, as many papers give ε, in grey levels.

    The three channels' deviations differ a little; the smallest counts, so that the bound holds
    in each: 0.1 becomes 5.7.
    """
    return float(255 * SPREAD.min() * deviations)


@dataclass(frozen=True, eq=False)
class Before:
    """Pictures as they were, what the network said, and what it is to say or unsay.

    Attributes
    ----------
    images : float32 ndarray, shape (n, h, w, 3)
        RGB 0-255.
    logits : float32 ndarray, shape (n, classes)
    targets : int ndarray, shape (n,)
        The class to arrive at (targeted), else the one to get away from: the network's own
        first guess, so that no true label is needed.
    targeted : bool
    classes : tuple of str, or None
        Names of the network's own classes; None: ImageNet's, or none.
    """

    images: np.ndarray
    logits: np.ndarray
    targets: np.ndarray
    targeted: bool
    classes: tuple[str, ...] | None = None

    def subset(self, rows) -> Before:
        """Some of the pictures, in the order of `rows` (indices, a slice or a mask)."""
        return Before(self.images[rows], self.logits[rows], self.targets[rows], self.targeted,
                      self.classes)


@dataclass(frozen=True, eq=False)
class Adversaries:
    """What an attack returns.

    Attributes
    ----------
    before : Before
    images : float32 ndarray, shape (n, h, w, 3)
        RGB 0-255, within ε of ``before.images``: exactly, not up to rounding.
    logits : float32 ndarray, shape (n, classes)
        What the network says of them.
    epsilon : float
        Bound on each pixel's change, in grey levels.
    method : str
    flat : bool ndarray, shape (n,)
        Pictures whose gradient was zero everywhere: these were not attacked at all.
    """

    before: Before
    images: np.ndarray
    logits: np.ndarray
    epsilon: float
    method: str
    flat: np.ndarray

    def subset(self, rows) -> Adversaries:
        """The attack on some pictures, in the order of `rows` (indices, a slice or a mask)."""
        return replace(self, before=self.before.subset(rows), images=self.images[rows],
                       logits=self.logits[rows], flat=self.flat[rows])

    @property
    def perturbation(self) -> np.ndarray:
        """What was added, float32, grey levels, shape (n, h, w, 3)."""
        return self.images - self.before.images

    @property
    def success(self) -> np.ndarray:
        """Whether the network now says the target (targeted) or something else, shape (n,)."""
        arrived = self.logits.argmax(1) == self.before.targets
        return arrived if self.before.targeted else ~arrived

    @property
    def p_target(self) -> np.ndarray:
        """Probability of the class that the attack was about, shape (n,)."""
        rows = np.arange(len(self.images))
        return tf.nn.softmax(self.logits).numpy()[rows, self.before.targets]

    def table(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a picture.

        Returns
        -------
        DataFrame
            ``picture, before, p_before, after, p_after`` (first guesses and their
            probabilities), ``p_old`` (what is left of the old guess's), ``largest`` (largest
            change of a pixel, grey levels), ``success``.
        """
        was, now = (tf.nn.softmax(x).numpy() for x in (self.before.logits, self.logits))
        rows, old, new = np.arange(len(was)), was.argmax(1), now.argmax(1)
        known = was.shape[1] if self.before.classes is None else self.before.classes
        moved = np.abs(self.images.astype("float64") - self.before.images).max((1, 2, 3))
        return pd.DataFrame({
            "picture": rows if names is None else list(names),
            "before": [class_name(i, known) for i in old], "p_before": was[rows, old],
            "after": [class_name(i, known) for i in new], "p_after": now[rows, new],
            "p_old": now[rows, old], "largest": moved, "success": self.success})


def class_name(index: int, classes: int | Sequence[str] = 1000) -> str:
    """A class's name, of those given or of ImageNet's; its number where so many have no names."""
    if not isinstance(classes, int):
        return classes[int(index)]
    if classes != len(imagenet.CLASSES):
        return f"class {index}"
    return imagenet.CLASSES[int(index)][1].replace("_", " ")


def look(net: vz.Network, images, targets=None) -> Before:
    """What the network says before an attack; every attack takes this in place of pictures.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : ImageSet, or ndarray of shape (n, h, w, 3) or (h, w, 3)
        RGB 0-255.
    targets : optional
        Class index or ImageNet name, or one of them for each picture: where the pictures are to
        go. Without: only away from what the network says.

    Raises
    ------
    ValueError
        No classifier, or one whose classes do not exclude each other; pictures of a wrong shape or
        range; a class that does not exist, or that a picture has already.
    """
    if isinstance(images, Before):
        if targets is not None:
            raise ValueError("these pictures were looked at with targets (or without) before: "
                             "give targets to look(), not to the attack.")
        return images
    images = vz.one_or_more(images, copy=True)
    if net.scores == "sigmoid":
        raise ValueError(f"{net.name} answers each class by itself (sigmoids): an attack changes "
                         "which one of classes that exclude each other is named (a softmax).")
    logits = vz.logits(net, images)
    if targets is None:
        return Before(images, logits, logits.argmax(1), False, net.classes)
    wanted = np.asarray(resolve_targets(net, images, targets))
    there = np.flatnonzero(logits.argmax(1) == wanted)
    if there.size:
        name = net.class_name(wanted[there[0]]).replace("_", " ")
        raise ValueError(f"picture {there[0]} is named {name} as it is: "
                         "choose another target for it, or leave it out.")
    return Before(images, logits, wanted, True, net.classes)


def check_epsilon(epsilon) -> float:
    """A bound in grey levels, 0 to 255; a `ValueError` for anything else."""
    if (not isinstance(epsilon, numbers.Real) or isinstance(epsilon, bool)
            or not 0 <= epsilon <= 255):
        raise ValueError("ε is the largest change of a pixel in grey levels, a number from 0 to "
                         f"255, not {epsilon!r}; grey_levels(0.1) converts standard deviations.")
    return float(epsilon)


def bounds(images: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest value that each pixel may take.

    Returns
    -------
    low, high : float32 ndarrays
        Such that ``image − low ≤ ε`` and ``high − image ≤ ε`` hold exactly, and with ε rounded
        down to a float32, so that a difference taken in single precision does not pass it.
    """
    images, limit = vz.check_pictures(images), np.float32(check_epsilon(epsilon))
    if float(limit) > epsilon:
        limit = np.nextafter(limit, np.float32(0))
    low, high = np.maximum(images - limit, 0), np.minimum(images + limit, 255)
    exact = images.astype("float64")  # differences of float32 numbers are exact in float64
    low = np.where(exact - low > limit, np.nextafter(low, images), low)
    high = np.where(high - exact > limit, np.nextafter(high, images), high)
    return low, high
