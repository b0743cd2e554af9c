"""A fixed way to look at a patch: Gabor features, and how like a drawn thing it is.

Nothing here is learned or measured, and no network is asked: the features follow from the
receptive field's side alone, so that a description's printed text gives the same predictions
wherever it is read.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

import vizutils as vz
from techniques import samples, stimuli
from techniques.descriptions.things import Thing, things_of
from techniques.stimuli.drawing import MID_GREY, paint

SMALLEST_FIELD = 8  #: pixels; a smaller field holds no period
DIRECTIONS = 8  #: orientations of the Gabor features over 180 degrees
KEPT = 8192  #: templates that a bank remembers, some 60 MB
WIDTH = 0.5  #: standard deviation of a Gabor's window, in periods
#: What is looked at: luminance, red against green, yellow against blue (rows; of R, G, B).
AXES = np.array([[1 / 3, 1 / 3, 1 / 3], [2**-0.5, -(2**-0.5), 0],
                 [6**-0.5, 6**-0.5, -2 * 6**-0.5]], "float32")


@dataclass(frozen=True, eq=False)
class Bank:
    """Features of patches as large as a receptive field; made by `bank`.

    For luminance at five periods and for two opponent colours at two: Gabors [1]_ of eight
    orientations at the middle and at four places around it, in four rectified phases and as
    energy; and the local mean at the same places. A feature is divided by its period, for the
    amplitude of natural pictures grows with it [2]_.

    Attributes
    ----------
    field : int
        Side of the patches, in pixels.
    gabors : tuple of float32 ndarray, shape (2 · Gabors, field²)
        Cosine and sine in turn; of luminance, and of the opponent colours.
    means : float32 ndarray, shape (places, field²)
    scales : float32 ndarray, shape (features,)

    References
    ----------
    .. [1] J. Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
       orientation optimized by two-dimensional visual cortical filters", JOSA A 2, 1985.
    .. [2] D. Field, "Relations between the statistics of natural images and the response
       properties of cortical cells", JOSA A 4, 1987.
    """

    field: int
    gabors: tuple[np.ndarray, np.ndarray, np.ndarray]
    means: np.ndarray
    scales: np.ndarray
    _known: dict[str, np.ndarray] = dataclasses.field(default_factory=dict, repr=False)

    def features(self, patches: np.ndarray) -> np.ndarray:
        """Features of patches.

        Parameters
        ----------
        patches : ndarray, shape (n, field, field, 3)
            RGB 0-255.

        Returns
        -------
        float32 ndarray, shape (n, features)
        """
        if patches.shape[1:] != (self.field, self.field, 3):
            raise ValueError(f"patches must have the shape (n, {self.field}, {self.field}, 3) of "
                             f"the receptive field, not {patches.shape}.")
        seen = (patches.astype("float32") - MID_GREY) / stimuli.CONTRAST
        found = []
        for axis, gabors in zip(AXES, self.gabors, strict=True):
            flat = (seen @ axis).reshape(len(seen), -1)
            waves = flat @ gabors.T
            cosine, sine = waves[:, ::2], waves[:, 1::2]
            found += [np.maximum(cosine, 0), np.maximum(-cosine, 0), np.maximum(sine, 0),
                      np.maximum(-sine, 0), np.hypot(cosine, sine), flat @ self.means.T]
        return np.concatenate(found, axis=1) / self.scales

    def of_places(self, net: vz.Network, layer: str, image_set: vz.ImageSet, places) -> np.ndarray:
        """Features of the receptive fields at some places (`samples.Sample.places`)."""
        return np.concatenate([self.features(patches) for patches in
                               samples.patches(net, layer, image_set, places)])

    def drawn(self, things: Iterable[Thing]) -> np.ndarray:
        """Things as pictures, float32 RGB 0-255, shape (n, field, field, 3)."""
        size = max(self.field, stimuli.SMALLEST)
        rows, columns = np.mgrid[:size, :size] + 0.5
        x, y = columns - size / 2, size / 2 - rows  # y points up
        margin = (size - self.field) // 2
        inside = slice(margin, margin + self.field)
        with np.errstate(invalid="ignore"):
            found = [(one, paint(one, x, y)[inside, inside]) for one in things]
        for one, picture in found:
            if not np.isfinite(picture).all():
                raise ValueError(f"{one.words!r} shows nothing in a receptive field of "
                                 f"{self.field} px: move it to the middle or change its size.")
        return np.stack([picture for _, picture in found]).astype("float32")

    @functools.cached_property
    def battery(self) -> np.ndarray:
        """Features of every thing that `stimuli.battery` draws for this field, (n, features)."""
        table = stimuli.battery(size=max(self.field, stimuli.SMALLEST), field=self.field).table
        return self.of_things(list(things_of(table).values()))

    @functools.cached_property
    def ordinary(self) -> np.ndarray:
        """What any drawn pattern has: mean of the battery's features at length 1, (features,)."""
        return np.mean(_to_length_1(self.battery), axis=0)

    def of_things(self, things: Sequence[Thing]) -> np.ndarray:
        """Features of drawn things, float32 (things, features)."""
        found = [self.features(self.drawn(things[i : i + 256])) for i in range(0, len(things), 256)]
        return np.concatenate(found) if found else np.zeros((0, self.scales.size), "float32")

    def templates(self, things: Sequence[Thing]) -> np.ndarray:
        """Weights of features that say how like each thing a patch is, float32 (things, features).

        A thing's features at length 1, less what any drawn pattern has; in a unit such that a
        patch that shows the thing itself scores 1. Things are drawn once: `KEPT` of them are
        remembered.
        """
        words = [one.words for one in things]
        new = {w: one for w, one in zip(words, things, strict=True) if w not in self._known}
        own = self.of_things(list(new.values()))
        special = _to_length_1(own) - self.ordinary
        special /= np.sum(own * special, axis=1, keepdims=True)
        known = dict(zip(new, special.astype("float32"), strict=True))
        found = np.stack([known.get(w, self._known.get(w)) for w in words]) if words else (
            np.zeros((0, self.scales.size), "float32"))
        self._known.update(list(known.items())[:max(0, KEPT - len(self._known))])
        return found


def _to_length_1(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


@functools.lru_cache(4)
def bank(field: int) -> Bank:
    """The features for a receptive field of `field` pixels.

    Raises
    ------
    ValueError
        A field below `SMALLEST_FIELD`.
    """
    if field < SMALLEST_FIELD:
        raise ValueError(f"a receptive field of {field} px holds no period of the bank's features: "
                         f"describe a layer whose field has {SMALLEST_FIELD} px or more.")
    periods = np.geomspace(max(4, 0.7 * field**0.5), max(8, field / 2), 5)
    offset = field / 5
    places = [(0, 0), *((r, c) for r in (offset, -offset) for c in (offset, -offset))]
    luminance, colour = (_gabors(field, p, places) for p in (periods, periods[[2, 4]]))
    up, right = _axes(field)
    means = np.array([np.exp(-((right - c)**2 + (up - r)**2) / 2 / (field / 8)**2).ravel()
                      for r, c in places])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    scales = [np.r_[np.tile(np.repeat(p, DIRECTIONS * len(places)), 5),
                    np.full(len(places), field / 3)]
              for p in (periods, periods[[2, 4]], periods[[2, 4]])]
    return Bank(field, (luminance, colour, colour), means.astype("float32"),
                np.concatenate(scales).astype("float32"))


def _axes(field: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels upwards and to the right of the patch's middle."""
    rows, columns = np.mgrid[:field, :field] + 0.5 - field / 2
    return -rows, columns


def _gabors(field: int, periods, places) -> np.ndarray:
    """Cosine and sine Gabors of norm 1 without a mean, (2 · Gabors, field²)."""
    up, right = _axes(field)
    found = []
    for period in periods:
        for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
            for row, column in places:
                y, x = up - row, right - column
                window = np.exp(-(x**2 + y**2) / 2 / (WIDTH * period)**2)
                along = 2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period
                cosine = window * np.cos(along)
                cosine -= window * (cosine.sum() / window.sum())
                sine = window * np.sin(along)  # has a mean where the patch's edge cuts the window
                found += [cosine, sine - window * (sine.sum() / window.sum())]
    found = np.array(found).reshape(len(found), -1)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype("float32")
