"""DeepDream: a photograph climbs towards more of whatever a layer already sees in it.

Gradient ascent from noise asks what a filter wants; DeepDream asks what a layer *finds* in a
given picture, and exaggerates it. It is `vizutils.render` with a photograph as its start, at
several sizes one after the other (**octaves**): small first, where the layer's receptive fields
span half the picture and make large forms, then larger, where they add detail.

Shrinking the photograph loses detail. So what passes from one octave to the next is not the
dreamed picture but only what the dream has *changed*: the change is enlarged and added to the
photograph as it is at the larger size. Nothing of the photograph is lost by way of the octaves,
and a dream of zero steps is the photograph itself, to the last bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from engine.render import warn_of_broken

SMALLEST = 32  #: pixels; below this even VGG16's last pool is left with a single position


@dataclass(frozen=True, eq=False)
class Dream:
    """A dreamed picture, and how it came about.

    Attributes
    ----------
    original, image : float32 ndarray, shape (size, size, 3)
        The photograph and the dream, RGB 0-255.
    octaves : tuple of float32 ndarray
        The dream at the end of each octave, smallest first; the last one is ``image``.
    history : DataFrame
        ``octave`` (from 0), ``size`` (pixels), ``step``, ``objective``: measured on the clipped
        picture without jitter, over positions that see no padding (where there are any).
        Objectives of different octaves are of different pictures: compare within an octave.
    layer : str
    filters : tuple of int or None
        What was raised: the mean of these filters' maps (pre-activation), or None: the mean
        square of the whole layer's activations.
    parameters : dict
        ``octaves, octave_scale, steps, rate, jitter, seed``.
    """

    original: np.ndarray
    image: np.ndarray
    octaves: tuple[np.ndarray, ...]
    history: pd.DataFrame
    layer: str
    filters: tuple[int, ...] | None
    parameters: dict

    @property
    def gains(self) -> pd.DataFrame:
        """``octave, size, before, after``: the objective at the ends of each octave."""
        ends = self.history.groupby(["octave", "size"])["objective"].agg(["first", "last"])
        return ends.rename(columns={"first": "before", "last": "after"}).reset_index()


def dream(
    net: vz.Network, image: np.ndarray, layer: str, *,
    filters: int | Sequence[int] | None = None, octaves: int = 4, octave_scale: float = 1.4,
    steps: int = 10, rate: float = 3.0, jitter: int = 16, seed: int = 0, progress: bool = True,
) -> Dream:
    """Exaggerate what a layer, or some of its filters, find in a picture [1]_.

    Parameters
    ----------
    net : Network
        Any; it needs no classifier.
    image : float ndarray, shape (size, size, 3)
        RGB 0-255, square.
    layer : str
        Lower layers draw strokes and textures, higher ones parts of things.
    filters : int or sequence of int, optional
        Raise the mean of these filters' maps, not the mean square of the whole layer.
    octaves : int
        How many sizes; the last one is the picture's own.
    octave_scale : float
        By what each octave is larger than the one before.
    steps : int
        Steps of ascent in each octave; 0 gives the picture back.
    rate : float
        Length of a step: root mean square over pixels and channels, in grey levels.
    jitter : int
        Each step sees the picture shifted by up to so many whole pixels either way, wrapped at
        the border: it keeps the strides of the network from showing as a grid.
    seed : int
    progress : bool
        Show a bar for each octave that takes over a second.

    Returns
    -------
    Dream

    Raises
    ------
    ValueError
        A picture that is not square RGB 0-255; an unknown layer or filter; octaves that would
        start below 32 px or that the network, built for one size only, cannot take; options out
        of range.
    vizutils.Interrupted
        It was stopped from the keyboard; ``finished`` is the dream of the octaves so far.

    Notes
    -----
    The gradient is normalised at every step, so `rate` and `steps` alone say how far a dream
    can go: with the defaults at most 30 grey levels (root mean square) in each octave.

    References
    ----------
    .. [1] A. Mordvintsev, C. Olah, M. Tyka, "Inceptionism: going deeper into neural networks",
       Google Research Blog, 2015 (octaves, jitter, the L2 objective).
    """
    image = _square(image)
    _check_options(octaves, octave_scale, steps, rate, jitter)
    sizes = _sizes(net, image.shape[0], octaves, octave_scale)
    goal, filters = _goal(net, layer, filters)
    change, dreamed, history = np.zeros((sizes[0], sizes[0], 3), "float32"), [], []

    def so_far():
        return Dream(image, dreamed[-1], tuple(dreamed),
                     pd.DataFrame(history, columns=["octave", "size", "step", "objective"]),
                     layer, filters,
                     {"octaves": octaves, "octave_scale": octave_scale, "steps": steps,
                      "rate": rate, "jitter": jitter, "seed": seed})

    for octave, size in enumerate(sizes):
        photograph = _resized(image, size)
        picture = photograph + _resized(change, size)
        if steps:
            try:
                found = _climb(net, goal, picture, steps=steps,
                               optimiser=vz.Normalised(rate, "rms"),
                               transforms=(_shift(jitter),) if jitter else (),
                               seed=[(seed, octave)], progress=progress)
            except KeyboardInterrupt as interrupt:
                if not dreamed:
                    raise
                raise vz.Interrupted(f"{octave} of {octaves} octaves", so_far()) from interrupt
            if found.broken[0]:
                warn_of_broken(net, f"{layer}: the gradient stopped being finite in octave "
                                    f"{octave + 1}")
            picture = found.images[0]
            history += [(octave, size, step, float(found.history[step, 0]))
                        for step in found.measured]
        change = picture - photograph
        dreamed.append(picture)
    return so_far()


def _goal(net: vz.Network, layer: str, filters) -> tuple[vz.Objective, tuple[int, ...] | None]:
    """The objective of one picture, and the filters as a tuple."""
    if len(net.layer(layer).output.shape) != 4:
        raise ValueError(f"{layer!r} has no map; a dream needs one of the convolution layers "
                         f"{', '.join(net.conv_layers)} (or a pool).")
    if filters is None:
        return vz.layer(layer), None
    filters = net.check_filters(layer, filters)
    mean = np.zeros(net.channels(layer))
    mean[filters] = 1 / len(set(filters.tolist()))
    return vz.direction(layer, mean), tuple(filters.tolist())


def _climb(net: vz.Network, goal: vz.Objective, picture: np.ndarray, **options) -> vz.Rendering:
    """One octave: ascent in pixels from a given picture."""
    with warnings.catch_warnings():
        # a photograph shows its borders anyhow: octaves smaller than a receptive field are meant
        warnings.filterwarnings("ignore", message="a unit of .* sees .* more than the canvas")
        return vz.render(net, goal, size=len(picture), start=picture,
                         parameterisation=_Unbounded(), **options)


@dataclass(frozen=True)
class _Unbounded(vz.Pixels):
    """Pixels that may start beyond 0-255, where one octave's change goes on into the next."""

    def write(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(image, "float32")


def _shift(pixels: int):
    """Jitter by whole pixels, which moves a picture without blurring it."""
    def draw(rng, count):
        matrices = np.tile(np.eye(3), (count, 1, 1))
        matrices[:, :2, 2] = rng.integers(-pixels, pixels + 1, (count, 2))
        return matrices

    return draw


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """The picture at another size (linear, so changes add up); at its own size untouched."""
    if image.shape[0] == size:
        return image
    return tf.image.resize(image, (size, size), antialias=True).numpy()


def _sizes(net: vz.Network, size: int, octaves: int, octave_scale: float) -> list[int]:
    """Sides of the octaves in pixels, smallest first."""
    sizes = [round(size / octave_scale**i) for i in reversed(range(octaves))]
    fixed = net.fixed_size
    if fixed is not None and set(sizes) != {fixed}:
        raise ValueError(f"{net.name} takes pictures of {fixed} px only, so it cannot see smaller "
                         f"octaves: give a picture of {fixed} px and octaves=1.")
    if sizes[0] < SMALLEST:
        raise ValueError(f"the first of {octaves} octaves would be {sizes[0]} px; at least "
                         f"{SMALLEST} are needed: take fewer octaves or a larger picture.")
    return sizes


def _square(image) -> np.ndarray:
    """The picture as float32, if it is one."""
    image, = vz.check_each([image])
    if image.shape[0] != image.shape[1]:
        raise ValueError(f"one square RGB picture of shape (size, size, 3) is needed, not "
                         f"{image.shape}: vz.read_image(path, size=224) crops a file to one.")
    return image


def _check_options(octaves, octave_scale, steps, rate, jitter) -> None:
    if octaves < 1 or steps < 0 or jitter < 0:
        raise ValueError(f"octaves must be at least 1, steps and jitter at least 0; not "
                         f"{octaves}, {steps} and {jitter}.")
    if not (octave_scale > 1 and rate > 0):
        raise ValueError(f"octave_scale must be above 1 (each octave is that much larger) and "
                         f"rate above 0; not {octave_scale} and {rate}.")


# --- figures ----------------------------------------------------------------------------------


@style.styled
def plot_dream(found: Dream) -> Figure:
    """The photograph and the dream, large; below, each octave's end and how its objective rose."""
    panels, climbed = len(found.octaves), len(found.history) > 0
    large, small = style.WIDTH / 2, style.WIDTH / max(panels, 4)
    figure = style.blank_figure(large + small + 0.7 + 1.4 * climbed)
    grid = figure.add_gridspec(2 + climbed, 1, height_ratios=[large, small, 1.2][:2 + climbed])
    row = grid[0].subgridspec(1, 2)
    style.show_picture(figure.add_subplot(row[0]), found.original, "photograph")
    style.show_picture(figure.add_subplot(row[1]), found.image, "dream")
    row = grid[1].subgridspec(1, max(panels, 4))
    for i, picture in enumerate(found.octaves):
        style.show_picture(figure.add_subplot(row[i]), picture,
                           f"octave {i + 1}, {len(picture)} px")
    if climbed:
        _draw_history(figure.add_subplot(grid[2]), found)
    return figure


def _draw_history(axes, found: Dream) -> None:
    """Objective by step, octave after octave, from each octave's start."""
    steps = found.parameters["steps"]
    for octave, rows in found.history.groupby("octave"):
        start = rows["objective"].iloc[0]
        axes.plot(octave * steps + rows["step"], rows["objective"] - start, color=style.GREY,
                  marker="osv^D*P"[octave % 7], markersize=3.5, linewidth=1)
    axes.set_xticks(np.arange(len(found.octaves)) * steps,
                    [f"octave {i + 1}" for i in range(len(found.octaves))], ha="left")
    what = "mean square" if found.filters is None else "mean of filters"
    axes.set_ylabel(f"{what},\nrise in its octave")
    axes.axhline(0, color=style.GREY, linewidth=0.8)
