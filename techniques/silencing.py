"""What a filter does to the layers above it: silence it, and see which classes lose and gain."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import vizutils as vz
from data.progress import Progress
from engine.links import after_norm, made_by
from engine.network import traced, twin


@dataclass(frozen=True, eq=False)
class ClassEffect:
    """What silencing a filter does to the class logits.

    Attributes
    ----------
    table : DataFrame
        The classes that lose most, then those that gain most: ``index, wnid, label, change``
        (mean over the pictures), ``control``: mean change, over silenced other filters, of the
        class that stands at the same rank *for them*.
    change : float64 ndarray, shape (classes,)
        Mean change of every logit.
    total : float
        Root mean square change over pictures and classes.
    controls : float64 ndarray
        The same for each control filter.
    percentile : float
        Share of the control filters (%) whose silencing changes less.
    pictures : int
        How many pictures the filter fires in and was measured on.
    head : str
        Which classifier the logits come from (`vizutils.Network`).
    """

    table: pd.DataFrame
    change: np.ndarray
    total: float
    controls: np.ndarray
    percentile: float
    pictures: int
    head: str


def class_effect(
    net: vz.Network, layer: str, filter: int, images, *, k: int = 5, pictures: int = 5,
    controls: int = 20, seed: int = 0,
) -> ClassEffect:
    """Silence a filter and see which classes lose and gain by it.

    Parameters
    ----------
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB 0-255.
    k : int
        How many classes to list on either side.
    pictures : int
        A filter - the control filters too - is judged by the pictures in which it fires most
        strongly, at most so many.
    controls : int
        How many other filters of the layer are silenced, one at a time, for comparison.

    Returns
    -------
    ClassEffect
        Changes are relative to the mean change of all logits, since a softmax ignores what
        raises them all alike.

    Raises
    ------
    ValueError
        The network has no classifier, or there is no other filter to compare with.

    Notes
    -----
    Silenced means: its map is zero as the layers above read it, after the batch normalisation
    and activation that may follow the convolution. Layers below run once for each picture; only
    what lies above runs again for each filter.
    """
    _ = net.logits_layer  # refuses a network without a classifier
    filter = net.check_filter(layer, filter)
    image_set = vz.as_image_set(images, copy=False)
    lower, upper = _split(net, layer)
    others = np.delete(np.arange(net.channels(layer)), filter)
    drawn = np.random.default_rng(seed).choice(others, min(controls, others.size), replace=False)
    if not drawn.size:
        raise ValueError(f"the control silences other filters of {layer}, which has {others.size}: "
                         f"controls must be at least 1, not {controls}.")
    filters = np.r_[filter, drawn]
    batches = image_set.watched(f"{layer}: pictures", side=net.fixed_size)
    peaks = np.concatenate([np.abs(lower(batch)[0].numpy()).max((1, 2))[:, filters]
                            for batch in batches])
    ranks = np.argsort(np.argsort(-peaks, axis=0, kind="stable"), axis=0)
    jobs = (ranks < pictures) & (peaks > 0)  # (pictures, filters)
    changes = squares = 0.0
    for i in Progress(np.flatnonzero(jobs.any(1)), "silencing", delay=1):
        moved = _silencing(lower, upper, image_set.read([i]), filters[jobs[i]])
        here = np.zeros((len(filters), moved.shape[1]))
        here[jobs[i]] = moved
        changes, squares = changes + here, squares + here**2
    count = np.maximum(jobs.sum(0), 1)
    mean = np.zeros((len(filters), net.class_count)) + changes / count[:, None]
    total = np.sqrt(np.mean(np.zeros_like(mean) + squares, axis=1) / count)
    return ClassEffect(
        _class_changes(net, mean, k), mean[0], float(total[0]), total[1:],
        100 * float((total[1:] < total[0]).mean()), int(jobs[:, 0].sum()), net.head)


def _silencing(lower, upper, image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Centred change of one picture's logits for each silenced filter, (filters, classes)."""
    read, *rest = lower(image)
    keeps = np.ones((len(filters) + 1, read.shape[-1]), "float32")
    keeps[np.arange(len(filters)) + 1, filters] = 0  # the first row keeps all
    logits = upper([read * keeps[:, None, None], *(tf.repeat(x, len(keeps), 0) for x in rest)])
    moved = (logits[1:] - logits[:1]).numpy().astype("float64")
    return moved - moved.mean(1, keepdims=True)


def _class_changes(net: vz.Network, mean: np.ndarray, k: int) -> pd.DataFrame:
    """The k classes that lose and the k that gain most by silencing the first filter."""
    order = np.argsort(mean[0], kind="stable")
    k = min(k, len(order) // 2)
    listed = np.r_[:k, len(order) - k : len(order)]  # ranks: losses, then gains
    names = [net.class_entry(i) for i in order[listed]]
    return pd.DataFrame({
        "index": order[listed], "wnid": [n[0] for n in names], "label": [n[1] for n in names],
        "change": mean[0, order[listed]], "control": np.sort(mean[1:], axis=1)[:, listed].mean(0)})


def _split(net: vz.Network, layer: str):
    """The network as two traced functions, cut where a layer's map is read.

    The lower one goes from RGB pictures to the map and to whatever by-passes it (skip
    connections), the upper one from these to the logits. They have a twin of the graph to
    themselves, for Keras notes in a layer each graph that it is used in.
    """
    logits = vz.submodel(net, net.logits_layer, pre_activation=True)
    model = keras.models.clone_model(logits, clone_function=twin)
    cut = after_norm(model, model.get_layer(layer).output)
    bypass, above_cut = {}, {id(cut)}
    for operation in model.operations:  # each after those that it reads
        tensor = operation.output
        _, below = made_by(tensor)
        if id(tensor) not in above_cut and any(id(t) in above_cut for t in below):
            above_cut.add(id(tensor))
            bypass.update({id(t): t for t in below if id(t) not in above_cut})
    if id(model.output) not in above_cut:
        raise ValueError(f"no class logit depends on {layer}: take a layer that the classifier "
                         "reads, directly or through others.")
    ports = [cut, *bypass.values()]
    below, above = keras.Model(model.input, ports), keras.Model(ports, model.output)
    return (traced(lambda images: keras.tree.flatten(below(net.preprocess(images),
                                                              training=False))),
            traced(lambda read: above(read, training=False)))


