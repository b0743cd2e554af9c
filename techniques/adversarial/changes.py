"""How far an attack moves each layer, and each filter of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

import vizutils as vz
from data.progress import Progress
from techniques.adversarial.results import Adversaries


def _relative(after: np.ndarray, before: np.ndarray, axes) -> np.ndarray:
    """‖after − before‖ / ‖before‖ over some axes; NaN where there was nothing before."""
    change, size = (np.sqrt((x.astype("float64") ** 2).sum(axes)) for x in (after - before, before))
    return np.divide(change, size, out=np.full(size.shape, np.nan), where=size > 0)


def layer_change(
    net: vz.Network, found: Adversaries, *, layers: Sequence[str] | None = None
) -> pd.DataFrame:
    """How far each layer's maps moved, relative to what they were.

    Parameters
    ----------
    layers : sequence of str, optional
        All convolutions (pre-activation) and the logits by default.

    Returns
    -------
    DataFrame, a row for each layer and picture
        ``method, layer, picture, change``: ‖Φ(x + δ) − Φ(x)‖₂ / ‖Φ(x)‖₂. The first rows, layer
        ``"pixels"``, are the pictures themselves, as preprocessed.
    """
    names = [*net.conv_layers, net.last_layer] if layers is None else list(layers)
    forward = net.forward(tuple(names), pre_activation=True)
    rows = []
    for i in Progress(range(len(found.images)), "layers", delay=1):
        pair = np.stack([found.before.images[i], found.images[i]])
        maps = [net.preprocess(tf.constant(pair)), *tf.nest.flatten(forward(pair))]
        for name, (before, after) in zip(["pixels", *names], maps, strict=True):
            change = float(_relative(after.numpy(), before.numpy(), None))
            rows.append((found.method, name, i, change))
    return pd.DataFrame(rows, columns=["method", "layer", "picture", "change"])


def filter_change(net: vz.Network, found: Adversaries, layer: str) -> pd.DataFrame:
    """How far each filter of a layer moved: is one of them hit more than its neighbours?

    Returns
    -------
    DataFrame, a row for each filter
        ``filter, change`` (relative L2 of its pre-activation map, mean over pictures),
        ``before, after`` (its largest pre-activation in a picture, mean over pictures),
        ``shift`` (mean change of that maximum, in standard deviations over the pictures).
    """
    net.convolution(layer)
    change, maxima = [], []
    for i in range(len(found.images)):
        pair = vz.made(np.stack([found.before.images[i], found.images[i]]))
        pair = vz.activations(net, layer, pair, pre_activation=True)
        change.append(_relative(pair[1], pair[0], (0, 1)))
        maxima.append(pair.max((1, 2)))
    before, after = np.stack(maxima, 1).astype("float64")  # each (pictures, filters)
    spread = before.std(0)
    shift = np.divide((after - before).mean(0), spread, out=np.full(spread.shape, np.nan),
                      where=spread > 0)
    return pd.DataFrame({"filter": np.arange(before.shape[1]), "change": np.mean(change, 0),
                         "before": before.mean(0), "after": after.mean(0), "shift": shift})
