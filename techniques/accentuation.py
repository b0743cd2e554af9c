"""Feature accentuation: what a filter sees in one photograph, drawn more plainly there.

A picture that climbs from noise shows what a filter wants anywhere. Here the photograph itself
climbs, held to itself by the features of a layer further down: what the filter already answered
to is sharpened, and little else is invented. Only nouns of the engine are composed: a filter's
channel less the distance to the photograph's features, climbed from the photograph
(``vz.maximize(..., preset="accentuation", start=photograph)`` climbs the same).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from engine.checks import whole


@dataclass(frozen=True, eq=False)
class Accentuated:
    """Pictures that were held to a photograph while a filter climbed.

    Attributes
    ----------
    photograph : float32 ndarray, shape (size, size, 3)
        RGB 0-255.
    images : float32 ndarray, shape (n, size, size, 3)
        One for each filter, RGB 0-255.
    report : DataFrame, one row a filter
        ``filter``; ``before, after``: mean pre-activation over positions that see no padding;
        ``apart``: distance of features, 0 for the photograph's own and 1 for none (see
        `vizutils.feature_distance`); ``change``: root mean square over pixels, grey levels.
    layer, at : str
        Whose filters climbed, and whose features held the picture.
    """

    photograph: np.ndarray
    images: np.ndarray
    report: pd.DataFrame
    layer: str
    at: str


def accentuate(
    net: vz.Network, layer: str, filters, photograph: np.ndarray, *, at: str | None = None,
    hold: float = 10.0, steps: int = 64, rate: float = 0.02, progress: bool = True, **watching,
) -> Accentuated:
    """Let filters climb in a photograph that its own features hold back [1]_.

    Climbed is z − hold · d: z the mean of the filter's map, in standard deviations of its answers
    over the photograph, d the distance of features at a lower layer.

    Parameters
    ----------
    net : Network
    layer : str
    filters : int or sequence of int
    photograph : ndarray, shape (size, size, 3)
        RGB 0-255, square.
    at : str, optional
        The layer whose features are held; by default the features that `layer` reads, or, where
        it reads the picture itself, its own.
    hold : float
        0: nothing is held, and the photograph is only where the climb starts.
    steps : int
    rate : float
        Of `vizutils.Adam`, on coefficients of the `vizutils.Fourier` picture.
    **watching
        `snapshots`, `on_step` and `cancel`, as in `vizutils.render`.

    Raises
    ------
    ValueError
        Unknown layer or filter, a picture that is not square RGB 0-255 or so small that every
        position sees padding, a negative hold.
    vizutils.Interrupted
        It was stopped from the keyboard.

    References
    ----------
    .. [1] C. Hamblin, T. Fel, S. Saha, T. Konkle, G. Alvarez, "Feature accentuation: revealing
       'what' features respond to in natural images", 2024, arXiv:2402.10039.
    """
    filters = net.check_filters(layer, filters)
    whole("steps", steps)
    if not hold >= 0:
        raise ValueError(f"hold must be 0 or more, not {hold}.")
    photograph = vz.as_image_set(np.asarray(photograph)[None]).images[0]
    size = photograph.shape[0]
    at = at or vz.input_layer(net, layer).feature or layer
    goal = vz.held_to(net, layer, photograph, at=at, hold=hold)(layer, filters)
    # without transforms: they would move the picture away from the features that hold it
    images = vz.render(net, goal, size=size, steps=steps, optimiser=vz.Adam(rate), transforms=(),
                       start=photograph, progress=progress, **watching).images
    before, after = (_maps(net, layer, pictures)[..., filters].mean((1, 2)) for pictures in (
        photograph[None], images))
    found, features = (vz.activations(net, at, some) for some in (images, photograph[None]))
    apart = ((found - features) ** 2).sum((1, 2, 3)) / (features**2).sum()
    return Accentuated(photograph, images, pd.DataFrame({
        "filter": filters, "before": before[0], "after": np.diagonal(after), "apart": apart,
        "change": np.sqrt(((images - photograph) ** 2).mean((1, 2, 3)))}), layer, at)


def _maps(net: vz.Network, layer: str, pictures: np.ndarray) -> np.ndarray:
    """Pre-activations at positions that see no padding, where there are any."""
    inside = vz.unpadded_positions(net, layer, pictures.shape[1])
    maps = vz.activations(net, layer, vz.made(pictures), pre_activation=True)
    return maps[:, inside, inside]


@style.styled
def plot_accentuated(found: Accentuated) -> Figure:
    """The photograph, then what each filter made of it; below, what changed, about mid-grey."""
    pictures = [found.photograph, *found.images]
    changes = [127.5 + (image - found.photograph) for image in found.images]
    figure = style.blank_figure(2 * style.WIDTH / len(pictures) + 0.5)
    rows = figure.subplots(2, len(pictures), squeeze=False)
    titles = ["photograph", *(f"filter {row.filter}\n{row.before:.0f} → {row.after:.0f}"
                              for row in found.report.itertuples())]
    for axes, image, title in zip(rows[0], pictures, titles, strict=True):
        style.show_picture(axes, image, title)
    rows[1, 0].set_axis_off()
    for axes, image in zip(rows[1, 1:], changes, strict=True):
        style.show_picture(axes, image)
    return figure
