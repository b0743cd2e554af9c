"""Pictures in memory: sets of them, and the one check that all pictures pass."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data.progress import Progress
from engine.checks import ROUNDING, SCALED_BELOW, check_side, what_is_wrong
from engine.decoding import CROP, read_image


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square pictures of one size, read from their files when they are needed.

    `load_images` makes one of nearly anything, `as_image_set` of an array.

    Attributes
    ----------
    names : tuple of str
    labels : ndarray of int, shape (n,)
        Class index, or −1.
    size : int
        Side in pixels.
    sources : tuple of Path, or ndarray of shape (n, size, size, 3)
        Where the pixels come from. An array is checked (`check_pictures`) and kept as float32,
        in a copy: what happens to the array afterwards changes nothing here.
    classes : tuple of str, or None
        The names of the classes that labels are indices of; None: ImageNet's.
    crop : float
        What share of a file's shorter side is shown (see `load_images`).
    """

    names: tuple[str, ...]
    labels: np.ndarray
    size: int
    sources: tuple[Path, ...] | np.ndarray
    classes: tuple[str, ...] | None = None
    crop: float = CROP

    def __post_init__(self):
        if isinstance(self.sources, np.ndarray) and len(self.sources):
            array = check_pictures(self.sources)
            if array.shape[1:3] != (self.size, self.size):
                raise ValueError(f"an ImageSet of size {self.size} holds pictures of "
                                 f"{self.size} × {self.size} px, not {array.shape[1]} × "
                                 f"{array.shape[2]}.")
            object.__setattr__(self, "sources", own(array, self.sources))
        object.__setattr__(self, "labels", np.array(self.labels, int))
        counts = len(self.names), len(self.labels), len(self.sources)
        if len(set(counts)) > 1:
            raise ValueError("an ImageSet needs a name, a label (−1: unknown) and a source for "
                             f"each picture; here are {counts[0]}, {counts[1]} and {counts[2]}.")

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """All pictures, float32 RGB 0-255, shape (n, size, size, 3); kept once asked for."""
        return self.read(range(len(self)))

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Pictures `indices`, float32 RGB 0-255, shape (len(indices), size, size, 3)."""
        ready = self.__dict__.get("images", self.sources)
        if isinstance(ready, np.ndarray):
            return ready[list(indices)]
        return np.stack([read_image(self.sources[i], size=self.size, crop=self.crop)
                         for i in indices])

    def batches(self, size: int = 16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(indices, images)``; memory does not grow with the number of pictures.

        One batch is read ahead in a thread while the caller works on the one before.
        """
        starts = range(0, len(self), size)
        batches = [np.arange(start, min(start + size, len(self))) for start in starts]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.read, batches[0])
            for indices, following in itertools.zip_longest(batches, batches[1:]):
                images = ahead.result()
                if following is not None:
                    ahead = reader.submit(self.read, following)
                yield indices, images

    def watched(self, words: str, *, side: int | None) -> Iterator[np.ndarray]:
        """The pictures, batch by batch, with a progress bar of that name if it takes over 2 s.

        Refused where `side` is given, the only one a network takes, and theirs is another.
        """
        check_side((len(self), self.size, self.size), side)
        with Progress(total=len(self), desc=words, delay=2) as bar:
            for indices, images in self.batches():
                yield images
                bar.update(len(indices))

    def subset(self, indices: Sequence[int]) -> ImageSet:
        """The same pictures, fewer of them, in the order of `indices` (or those of a mask)."""
        indices = np.asarray(indices)
        indices = (np.flatnonzero(indices) if indices.dtype == bool else indices).tolist()
        ready = self.__dict__.get("images", self.sources)
        names, labels = tuple(self.names[i] for i in indices), self.labels[indices]
        if isinstance(ready, np.ndarray):  # pixels that were checked when they came, and a copy
            return MadePictures(names, labels, self.size, ready[indices], self.classes, self.crop)
        return ImageSet(names, labels, self.size, tuple(self.sources[i] for i in indices),
                        self.classes, self.crop)


class MadePictures(ImageSet):
    """Pictures that this program made or checked (see `made`): neither checked nor copied."""

    def __post_init__(self):
        pass


def made(images: np.ndarray) -> MadePictures:
    """Pictures that this program made or checked before, for functions that would check them.

    The result of an ascent, an attack or a cut may be so dark that the check would take it for
    a picture scaled to 0-1.

    Parameters
    ----------
    images : float32 ndarray, shape (n, rows, columns, 3)
        RGB, 0-255. Not copied: of a user's array that is to be kept, `as_image_set` makes a copy.
    """
    names = tuple(f"picture {i}" for i in range(len(images)))
    return MadePictures(names, np.full(len(images), -1), images.shape[1], images)


@dataclass(frozen=True, eq=False)
class Patches:
    """The pieces of real pictures that excite a filter most.

    Attributes
    ----------
    images : float32 ndarray, shape (k, size, size, 3)
        RGB 0-255, exactly the receptive field of the maximum.
    table : DataFrame
        ``picture, name, label, value, row, column`` (position in the map), best first.
    """

    images: np.ndarray
    table: pd.DataFrame


# --- one check for all pictures ------------------------------------------------------------------


def check_pictures(images) -> np.ndarray:
    """Pictures as this project takes them, or an error that says how to get there.

    A network gives a confident answer to numbers that are no picture, and a ReLU hides NaN: so
    every function that takes pictures checks them here first. Each picture is judged by itself.

    Parameters
    ----------
    images : ImageSet, Patches, or array of shape (n, rows, columns, 3)
        RGB, 0-255, of any number type.

    Returns
    -------
    float32 ndarray, shape (n, rows, columns, 3)
        The same numbers.

    Raises
    ------
    ValueError
        No array of numbers; a wrong shape, or no picture; values that are not finite, beyond
        0-255, or scaled to 0-1 (known by fractions and a largest value below 2, as resizing may
        go beyond 1: a black picture is one).
    """
    if isinstance(images, (ImageSet, Patches)):
        return images.images
    array = _numbers_of(images)
    if not array.size:
        raise ValueError(f"no picture given: the array is empty, of shape {array.shape}.")
    if array.ndim != 4 or array.shape[-1] != 3:
        raise ValueError(f"pictures have shape (n, rows, columns, 3), not {array.shape}; "
                         f"{_how_to_shape(array.shape)}.")
    low, high = array.min((1, 2, 3)), array.max((1, 2, 3))
    usual = (low >= -ROUNDING) & (high <= 255 + ROUNDING) & (high >= SCALED_BELOW)
    for i in np.flatnonzero(~usual):  # False for NaN as well
        problem = what_is_wrong(array[i], low[i], high[i])
        if problem:
            raise ValueError(f"picture {i} {problem}")
    return array


def check_each(images: Iterable) -> list[np.ndarray]:
    """Pictures that may differ in size, each checked as by `check_pictures`."""
    if isinstance(images, (ImageSet, Patches)):
        return list(images.images)
    found = []
    for i, image in enumerate(images):
        try:
            found.append(check_pictures(_numbers_of(image)[None])[0])
        except ValueError as problem:
            raise ValueError(str(problem).replace("picture 0", f"picture {i}", 1)) from None
    if not found:
        raise ValueError("no picture given: the list is empty.")
    return found


def one_or_more(images, *, copy: bool = False) -> np.ndarray:
    """One picture (rows, columns, 3) or several, as a checked batch; a copy, if it is kept."""
    if isinstance(images, (ImageSet, Patches)):
        return check_pictures(images)
    array = _numbers_of(images)
    array = check_pictures(array[None] if array.ndim == 3 else array)
    return own(array, images) if copy else array


def own(array: np.ndarray, given) -> np.ndarray:
    """Checked pictures to be kept: a copy if they lie in the memory of what a user gave.

    Whoever scales their array in place afterwards (``images /= 255``) would else change what is
    kept, and nothing would check it again.
    """
    shared = isinstance(given, np.ndarray) or hasattr(given, "__array__")
    return array.copy() if shared and np.may_share_memory(array, np.asarray(given)) else array


def _numbers_of(images) -> np.ndarray:
    """A float32 array of anything that converts to an array of numbers."""
    try:
        array = np.asarray(images)
    except ValueError:
        raise ValueError("these pictures differ in size: vz.load_images(pictures, size=...) brings "
                         "them to one.") from None
    if isinstance(images, Image.Image) or array.dtype.kind not in "fiub":
        raise ValueError(f"pictures come as an array or an ImageSet, not as {type(images).__name__}"
                         ": vz.load_images(...) reads files, folders, PIL pictures, bytes and "
                         "uploads.")
    if array.dtype.kind == "b":
        raise ValueError("these are masks of True and False, no pictures: multiply by 255.")
    return array.astype("float32", copy=False)


def _how_to_shape(shape: tuple[int, ...]) -> str:
    """What makes pictures of an array of another shape."""
    if len(shape) == 3 and shape[-1] == 3:
        return "wrap a single one as image[None]"
    if len(shape) in (3, 4) and shape[-1] == 4:
        return "leave the transparency out: images[..., :3]"
    if len(shape) in (3, 4) and shape[-3] == 3:
        return "put the colours last: np.moveaxis(images, -3, -1)"
    if len(shape) in (3, 4) and shape[-1] == 1:
        return "make grey pictures RGB: np.repeat(images, 3, axis=-1)"
    if len(shape) in (2, 3):
        return "make grey pictures RGB: np.stack([images] * 3, axis=-1)"
    return "colours are red, green, blue, on the last axis"


def picture_batches(images, size: int = 16, *, side: int | None = None) -> Iterator[np.ndarray]:
    """Checked pictures, `size` at a time: of an `ImageSet`, or of an array (any sides).

    Raises
    ------
    ValueError
        As `check_pictures`; pictures that are not `side` px wide and high, if that is given.
    """
    if isinstance(images, ImageSet):
        batches = (batch for _, batch in as_image_set(images, copy=False).batches(size))
    else:
        array = check_pictures(images)
        batches = (array[first : first + size] for first in range(0, len(array), size))
    for batch in batches:
        check_side(batch.shape, side)
        yield batch


def as_image_set(images, *, copy: bool = True) -> ImageSet:
    """An `ImageSet` as it is; an array of square pictures, checked, as one without labels.

    Parameters
    ----------
    images : ImageSet, Patches, or array of shape (n, size, size, 3)
        RGB, 0-255. Files, PIL pictures, bytes, uploads: `load_images`.
    copy : bool
        Whether the set owns its pixels. A function that lets go of the set before it returns needs
        no copy.

    Raises
    ------
    ValueError
        As `check_pictures`; pictures that are not square.
    """
    if isinstance(images, ImageSet):
        if not len(images):
            raise ValueError("no picture given: the ImageSet is empty.")
        return images
    array = check_pictures(images)
    if array.shape[1] != array.shape[2]:
        raise ValueError(f"these pictures have {array.shape[1]} × {array.shape[2]} px, but square "
                         "ones are needed: vz.load_images(images, size=...) crops them.")
    return made(own(array, images) if copy else array)


def stretched(images: np.ndarray, *, share: float = 0.15) -> np.ndarray:
    """Each picture's standard deviation brought to `share` of the range, as old recipes show it.

    It makes the faintest pattern visible - and noise to which nothing happened as well.
    """
    images = check_pictures(images)
    spread = np.maximum(images.std((1, 2, 3), keepdims=True), 1e-6)
    mean = images.mean((1, 2, 3), keepdims=True)
    return np.clip(127.5 + 255 * share * (images - mean) / spread, 0, 255)
