"""What a layer answers to the battery, on the scale of its answers to real pictures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import vizutils as vz
from data.progress import Progress
from techniques.stimuli.catalogue import SMALLEST, Stimuli, battery


@dataclass(frozen=True, eq=False)
class Tuning:
    """What the filters of a layer answer to every stimulus.

    Attributes
    ----------
    layer : str
    filters : int ndarray, shape (filters,)
    stimuli : Stimuli
    responses : float32 ndarray, shape (n stimuli, filters)
        Pre-activation of the unit that the stimuli are centred on.
    mean, sd : float32 ndarray, shape (filters,)
        Each filter's mean and standard deviation over all positions of the real pictures that
        see no padding, pre-activation.
    """

    layer: str
    filters: np.ndarray
    stimuli: Stimuli
    responses: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """The stimuli's table."""
        return self.stimuli.table

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """Standard deviations above the mean on real pictures; 0 for a filter that is constant."""
        above = self.responses - self.mean
        return np.divide(above, self.sd, out=np.zeros_like(above), where=self.sd > 0)

    def of(self, filter: int) -> pd.DataFrame:
        """The table with one filter's ``response`` (pre-activation) and ``score`` (SD)."""
        at = np.flatnonzero(self.filters == filter)
        if at.size == 0:
            raise ValueError(f"filter {filter} was not measured: tuning(net, {self.layer!r}) "
                             "measures all filters of the layer.")
        return self.table.assign(response=self.responses[:, at[0]], score=self.scores[:, at[0]])

    @functools.cached_property
    def family_scores(self) -> pd.DataFrame:
        """Best score in each family (rows) of every measured filter (columns)."""
        scores = pd.DataFrame(self.scores, columns=self.filters)
        return scores.groupby(self.table["family"], sort=False).max()


def tuning(
    net: vz.Network, layer: str, filter: int | Sequence[int] | None = None, *,
    image_set: vz.ImageSet | None = None, size: int | None = None, angles: int = 12,
    colours: bool = True, progress: bool = True,
) -> Tuning:
    """Show the battery to a layer and read the unit in the middle.

    Parameters
    ----------
    net, layer
        Any convolution or pooling layer whose receptive field is known.
    filter : int or sequence of int, optional
        All filters of the layer by default: as fast, and each is a control for the others.
    image_set : ImageSet, optional
        Real pictures that give the scale; the packaged ones by default.
    size : int, optional
        Canvas in pixels; by default the smallest, in whole strides, on which a unit sees no
        padding.
    angles, colours
        Orientations over 180 degrees, and whether to test colours; see `battery`. A network of
        grey pictures is shown none.

    Raises
    ------
    ValueError
        Unknown layer, filter out of range, a canvas smaller than 16 px.

    Warns
    -----
    UserWarning
        The canvas or the pictures are smaller than the receptive field: units then see padding.
    """
    count = net.channels(layer)
    filters = net.check_filters(layer, np.arange(count) if filter is None else filter)
    pictures = (vz.load_images(size=net.input_size) if image_set is None
                else vz.as_image_set(image_set, copy=False))
    seen, unit = _middle_unit(net, layer, size)
    centre = float(seen.start + seen.stride * unit + seen.size / 2)
    stimuli = battery(size=seen.input_size, field=min(seen.size, seen.input_size),
                      centre=(centre, centre), angles=angles,
                      colours=colours and net.reads_colour)
    answer = _answers(net, layer, seen, unit, filters)
    responses = np.empty((len(stimuli), len(filters)), "float32")
    step = max(4, 2**17 // stimuli.size**2)  # pictures a batch: some 100 MB of activations
    with Progress(desc=f"{layer}: stimuli", total=len(stimuli), delay=1,
                  disable=not progress) as bar:
        for which, images in stimuli.batches(step):
            responses[which] = answer(images)
            bar.update(len(which))
    mean, sd = on_pictures(net, layer, pictures, progress=progress)
    return Tuning(layer, filters, stimuli, responses, mean[filters], sd[filters])


def _answers(net: vz.Network, layer: str, seen: vz.ReceptiveField, unit: int, filters):
    """Pictures → pre-activations of the unit in the middle, computing no other where it can."""
    top, left, bottom, right = seen.window(unit, unit)
    if min(top, left) >= 0 and max(bottom, right) <= seen.input_size:
        return lambda images: vz.patch_responses(
            net, layer, vz.made(images[:, top:bottom, left:right]), filters=filters)
    forward = net.forward(layer, pre_activation=True)
    return lambda images: forward(images)[:, unit, unit].numpy()[:, filters]


def _middle_unit(
    net: vz.Network, layer: str, size: int | None
) -> tuple[vz.ReceptiveField, int]:
    """The layer's receptive field on the canvas, and the position (both axes) that is read."""
    if size is None:
        size = net.model.input_shape[1] or _smallest_canvas(net, layer)
    inside = vz.unpadded_positions(net, layer, size, needed=False)
    seen = vz.receptive_field(net, layer, input_size=size)
    middle = seen.positions if inside is None else inside.start + inside.stop
    return seen, min(middle // 2, seen.positions - 1)


def _smallest_canvas(net: vz.Network, layer: str) -> int:
    """Whole strides, at least 16 px, such that a unit sees no padding; at most the input size."""
    stride = vz.receptive_field(net, layer).stride
    size = -(-SMALLEST // stride) * stride
    while size < net.input_size:
        inside = vz.receptive_field(net, layer, input_size=size).unpadded
        if inside.stop > inside.start:
            break
        size += stride
    return size


def on_pictures(net: vz.Network, layer: str, pictures: vz.ImageSet, *, progress: bool = True):
    """Mean and standard deviation of every filter over real pictures, float32 (filters,) each."""
    pictures = vz.as_image_set(pictures, copy=False)
    inside = vz.unpadded_positions(net, layer, pictures.size, needed=False) or slice(None)
    forward = net.forward(layer, pre_activation=True)
    batches = Progress(pictures.batches(8), f"{layer}: pictures", -(-len(pictures) // 8), delay=1,
                       disable=not progress)
    means, squares, weights = [], [], []
    for _, images in batches:
        maps = forward(images)[:, inside, inside].numpy().astype("float64")
        means.append(maps.mean((0, 1, 2)))
        squares.append((maps**2).mean((0, 1, 2)))
        weights.append(len(images))
    mean = np.average(means, axis=0, weights=weights)
    variance = np.average(squares, axis=0, weights=weights) - mean**2
    return mean.astype("float32"), np.sqrt(np.maximum(variance, 0)).astype("float32")
