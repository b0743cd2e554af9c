"""What is asked: pictures that the network takes, and a class for each."""

from __future__ import annotations

import numpy as np

import vizutils as vz
from engine.checks import check_side
from techniques.attribution.passes import all_logits


def resolve_targets(net: vz.Network, images, targets=None) -> np.ndarray:
    """Class indices, one a picture.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : float32 ndarray, shape (n, h, w, 3) or (h, w, 3), or ImageSet
        RGB, 0-255.
    targets : None, int, str, or a sequence of int and str
        None is each picture's top class; an index, a class's name or a WordNet id stands for
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
        return all_logits(net, images).argmax(1)
    if isinstance(targets, str) or np.ndim(targets) == 0:
        targets = [targets] * len(images)
    if len(targets) != len(images):
        raise ValueError(f"{len(targets)} targets for {len(images)} picture(s): give one for all "
                         "pictures, or one for each.")
    return np.array([_class_index(target, net) for target in targets])


def _class_index(target, net: vz.Network) -> int:
    """One target as the index of one of the network's classes."""
    count = net.class_count
    if isinstance(target, str):
        return net.find_class(target)
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)):
        raise ValueError(f"a target is a class index or a class name, not {target!r}.")
    if not 0 <= target < count:
        raise ValueError(f"class index {target} is out of range; this network's classes are "
                         f"0 to {count - 1}.")
    return int(target)


def _pictures(net: vz.Network, images) -> np.ndarray:
    """Pictures as float32 (n, h, w, 3), refused with a reason where the network cannot use them."""
    _ = net.logits_layer  # refuses a network without a classifier
    images = vz.one_or_more(images)
    check_side(images.shape, net.fixed_size)
    return images


def asked(net: vz.Network, images, targets) -> tuple[np.ndarray, np.ndarray]:
    """What a method was called with, checked: float32 (n, h, w, 3) and class indices (n,)."""
    return _pictures(net, images), resolve_targets(net, images, targets)
