"""Random places of pictures, and what a whole layer reads and answers there.

Explanations are scored at random places, not at a filter's strongest ones: there a description
must say when the filter is silent, too. All filters of a layer share the places, so that each
is a control for the others, and what they read is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import vizutils as vz
from techniques import circuits


@dataclass(frozen=True, eq=False)
class Sample:
    """What a layer answers at some places of some pictures.

    Attributes
    ----------
    layer : str
    places : DataFrame, one row a place
        ``picture`` (index into the image set), ``row, column`` (of the layer's map), sorted by
        picture.
    answers : float32 ndarray, shape (n, filters)
        Pre-activation of every filter of the layer.
    inputs : float32 ndarray, shape (n, kernel rows, kernel columns, channels), or None
        What the layer reads there; None if it was not asked for.
    """

    layer: str
    places: pd.DataFrame
    answers: np.ndarray
    inputs: np.ndarray | None

    def __len__(self) -> int:
        return len(self.places)

    @property
    def pictures(self) -> np.ndarray:
        """The picture of each place, shape (n,)."""
        return self.places["picture"].to_numpy()


def sample(
    net: vz.Network, layer: str, image_set: vz.ImageSet, *, each: int = 150, seed: int = 0,
    inputs: bool = True,
) -> Sample:
    """Ask a layer at `each` random places of every picture that see no padding.

    Parameters
    ----------
    image_set : ImageSet
    each : int
        Places drawn in each picture, with replacement: a larger one does not count more.
    seed : int
        The same seed, layer and pictures give the same places.
    inputs : bool
        Whether to keep what the layer reads, too: a plain convolution then.

    Raises
    ------
    ValueError
        Unknown layer, pictures so small that every position sees padding.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    inside = vz.unpadded_positions(net, layer, image_set.size)
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(inside.start, inside.stop, (2, len(image_set), each))
    answers, read = [], []
    forward = (circuits.layer_windows(net, layer) if inputs else
               net.forward(layer, pre_activation=True))
    batches = image_set.watched(f"{layer}: random places", side=net.fixed_size)
    pictures = (picture for batch in batches for picture in batch[:, None])
    for image, row, column in zip(pictures, rows, columns, strict=True):
        if inputs:
            windows, maps = forward(image)
            read.append(windows[row, column])
        else:
            maps = forward(image)[0].numpy()
        answers.append(maps[row, column])
    places = pd.DataFrame({"picture": np.repeat(np.arange(len(image_set)), each),
                           "row": rows.ravel(), "column": columns.ravel()})
    return Sample(layer, places, np.concatenate(answers),
                  np.concatenate(read) if inputs else None)


def patches(
    net: vz.Network, layer: str, image_set: vz.ImageSet, places: pd.DataFrame, *,
    batch: int = 512,
) -> Iterator[np.ndarray]:
    """The receptive fields at some places, in batches, in their order.

    Parameters
    ----------
    places : DataFrame
        ``picture, row, column``, places that see no padding.

    Yields
    ------
    float32 ndarray, shape (at most batch, size, size, 3)
        RGB 0-255; `size` is the receptive field's.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    field = vz.receptive_field(net, layer, input_size=image_set.size)
    for start in range(0, len(places), batch):
        part = places.iloc[start : start + batch]
        kept = {p: image_set.read([p])[0] for p in part["picture"].unique()}
        crops = []
        for picture, row, column in part[["picture", "row", "column"]].itertuples(index=False):
            top, left, bottom, right = field.window(row, column)
            crops.append(kept[picture][top:bottom, left:right])
        yield np.stack(crops)
