"""Passes through a network: every class's logit, and the gradient of one by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

import vizutils as vz
from data.progress import Progress
from engine.network import PICTURES, traced

CLASSES = tf.TensorSpec((None,), tf.int32)  #: one class index for each picture


def gradient_pass(net: vz.Network) -> Callable:
    """A function of (pictures, classes): (logits (n,), gradient with respect to RGB 0-255)."""
    return net.kept(_traced_gradient)


def _traced_gradient(net: vz.Network) -> Callable:
    network = vz.submodel(net, net.logits_layer, pre_activation=True)

    def gradient(images, targets):
        logits = network(net.preprocess(images), training=False)
        chosen = tf.gather(logits, targets, batch_dims=1)
        return chosen, tf.gradients(chosen, images)[0]  # no gradient of any weight

    return traced(gradient, PICTURES, CLASSES)


def all_logits(net: vz.Network, images: np.ndarray, *, batch: int = 16) -> np.ndarray:
    """Every class's logit, float32 (n, classes)."""
    forward = net.forward(net.logits_layer, pre_activation=True)
    return np.concatenate([forward(images[part]).numpy() for part in parts(len(images), batch)])


def target_logits(net: vz.Network, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Each picture's logit of its own target, float32 (n,)."""
    return all_logits(net, images)[np.arange(len(targets)), targets]


def parts(count: int, batch: int) -> Iterator[slice]:
    """Consecutive slices of at most `batch` that cover `count`."""
    if batch < 1:
        raise ValueError(f"batch is how many pictures go through at once, at least 1, not {batch}.")
    return (slice(first, first + batch) for first in range(0, count, batch))


def in_batches(run: Callable, images: np.ndarray, targets: np.ndarray, batch: int = 8):
    """What a traced pass gives for all pictures, batch by batch, as arrays."""
    done = [run(images[part], targets[part].astype("int32"))
            for part in parts(len(images), batch)]
    return [np.concatenate(arrays) for arrays in zip(*done, strict=True)]


def watched(rounds: Iterable, method: str) -> Iterable:
    """The rounds of some work, with a progress bar of the method's name when they take long."""
    return Progress(list(rounds), method, delay=1)
