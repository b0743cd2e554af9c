"""Maxima of filters in pictures, and what they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.images import ImageSet
from engine.network import Network


@dataclass(frozen=True, eq=False)
class Maxima:
    """Where and how strongly each filter answers each picture at most.

    Attributes
    ----------
    values : float32 ndarray, shape (n, filters)
        Maximum pre-activation over the positions that see no padding.
    rows, columns : int ndarray, shape (n, filters)
        Position of that maximum in the layer's map.
    layer : str, optional
        The layer, and ...
    filters : tuple of int, optional
        ... its filters, if not all of them.
    names : tuple of str, optional
        The pictures' names, and ...
    size : int, optional
        ... their side in pixels. What is None was not recorded, and is not checked.
    """

    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    layer: str | None = None
    filters: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    size: int | None = None

    def subset(self, indices: Sequence[int]) -> Maxima:
        """Those of some of the pictures, in the order of `indices`, as `ImageSet.subset`."""
        indices = np.asarray(indices)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        names = None if self.names is None else tuple(self.names[i] for i in indices)
        return dataclasses.replace(self, values=self.values[indices], rows=self.rows[indices],
                                   columns=self.columns[indices], names=names)

    @classmethod
    def joined(cls, parts: Sequence[Maxima]) -> Maxima:
        """Those of several lots of pictures of one layer, one after the other."""
        first = parts[0]
        names = None if first.names is None else tuple(n for part in parts for n in part.names)
        return cls(*(np.concatenate([getattr(part, name) for part in parts])
                     for name in ("values", "rows", "columns")),
                   first.layer, first.filters, names, first.size)

    def column(self, net: Network, layer: str, filter: int, image_set: ImageSet) -> int:
        """Where a filter of a layer stands; an error if these are not its maxima.

        Raises
        ------
        ValueError
            They belong to another layer, other filters, other pictures or another size.
        """
        remedy = "give image_maxima(net, layer, image_set)."
        count = net.channels(layer) if self.filters is None else len(self.filters)
        if self.values.shape != (wanted := (len(image_set), count)):
            raise ValueError(f"maxima of {self.values.shape[0]} pictures and "
                             f"{self.values.shape[1]} filters do not belong to these {wanted[0]} "
                             f"and {layer}'s {wanted[1]}: {remedy}")
        if self.layer not in (None, layer):
            raise ValueError(f"these are maxima of {self.layer}, not of {layer}: {remedy}")
        if self.size not in (None, image_set.size):
            raise ValueError(f"these maxima were found at {self.size} px; the pictures have "
                             f"{image_set.size}: {remedy}")
        if self.names not in (None, tuple(image_set.names)):
            raise ValueError("these are maxima of other pictures, or in another order: "
                             f"{remedy} maxima.subset(indices) goes with image_set.subset.")
        if self.filters is None:
            return filter
        if filter not in self.filters:
            raise ValueError(f"these are maxima of {layer}'s filters "
                             f"{', '.join(map(str, self.filters))}, not of {filter}: {remedy}")
        return self.filters.index(filter)

    def reference(self, layer: str) -> np.ndarray:
        """The values, as reference for a layer's pictures; an error if they are another's."""
        if self.layer not in (None, layer) or self.filters is not None:
            whose = f"of {self.layer}" if self.filters is None else "of some filters"
            raise ValueError(f"the reference are maxima {whose}; all filters of {layer} are "
                             "needed: give image_maxima(net, layer, pictures).")
        return self.values
