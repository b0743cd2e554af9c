"""Two networks beside each other: what a reader sees of both, with a number for each likeness.

1. **First kernels**: how many are grey, how many coloured (`grey_shares`).
2. **Maps**: the last rectified map of each size (`last_maps`), and whether two networks light up
   at the same places of a picture (`map_agreement`).
3. **Figure**: one picture's way through several networks (`plot_ways`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from engine.units import unit_kernels
from techniques import architectures

GREY, COLOURED = 0.9, 0.5  #: a first kernel's share of squared weight along grey: above, below


def grey_shares(net: vz.Network, layer: str | None = None) -> np.ndarray:
    """How grey each first kernel is: the share of its squared weight that colours do not change.

    A kernel of the layer that reads the picture has three weights at each place. Their mean acts
    on grey, what differs from it on colour.

    Parameters
    ----------
    layer : str, optional
        The first convolution by default.

    Returns
    -------
    float ndarray, shape (filters,)
        From 0 (blind to grey) to 1 (blind to colour); NaN for mostly zero filters.

    Raises
    ------
    ValueError
        The layer does not read three colours.
    """
    layer = net.conv_layers[0] if layer is None else layer
    kernel = unit_kernels(net, layer).astype("float64")  # (rows, columns, 3, filters)
    if vz.input_layer(net, layer).feature is not None or kernel.shape[2] != 3:
        raise ValueError(f"{layer} does not read the three colours of a picture.")
    whole = (kernel**2).sum((0, 1, 2))
    grey = (kernel.sum(2) ** 2).sum((0, 1)) / 3
    alive = np.sqrt(whole) >= vz.MOSTLY_ZERO * np.sqrt(whole.max())
    return np.divide(grey, whole, out=np.full(len(whole), np.nan), where=alive)


def last_maps(nets: Sequence[vz.Network]) -> pd.DataFrame:
    """The last rectified layer of each stride that all networks have.

    Returns
    -------
    DataFrame, index: ``stride`` in pixels, one column a network
        Names of layers.
    """
    found = {}
    for net in nets:
        last = architectures.fields(net).drop_duplicates("stride", keep="last")
        found[net.name] = last.set_index("stride")["layer"]
    return pd.DataFrame(found).dropna().sort_index()


def map_agreement(ours: np.ndarray, theirs: np.ndarray) -> pd.DataFrame:
    """Do two networks light up at the same places of the same pictures?

    Parameters
    ----------
    ours, theirs : ndarray, shape (n, rows, columns)
        A layer's maps of the same pictures, averaged over filters; of one size.

    Returns
    -------
    DataFrame, one row a picture
        ``same``: Pearson's correlation of its two maps over places; ``other``: of its map with
        the other network's of the next picture, the control. NaN where a map is constant.

    Raises
    ------
    ValueError
        Maps of different sizes, or fewer than two pictures.
    """
    if ours.shape != theirs.shape or ours.ndim != 3 or len(ours) < 2:
        raise ValueError(f"maps of the same two or more pictures are compared, of one size, not "
                         f"{ours.shape} and {theirs.shape}.")

    def standard(maps):
        flat = maps.reshape(len(maps), -1).astype("float64")
        flat = flat - flat.mean(1, keepdims=True)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        return np.divide(flat, length, out=np.full_like(flat, np.nan), where=length > 0)

    ours, theirs = standard(ours), standard(theirs)
    return pd.DataFrame({"same": (ours * theirs).sum(1),
                         "other": (ours * np.roll(theirs, -1, 0)).sum(1)})


@style.styled
def plot_ways(ways: Mapping[str, Mapping[str, np.ndarray]], image: np.ndarray) -> Figure:
    """One picture's mean maps in several networks: a row a network, each panel on its own scale.

    Parameters
    ----------
    ways : mapping of str to mapping of str to ndarray (rows, columns)
        The network's name → title of the panel → map.
    image : ndarray, shape (h, w, 3)
        RGB 0-255; it stands before each row.
    """
    image, = vz.check_each([image])
    columns = 1 + max(len(maps) for maps in ways.values())
    figure = style.blank_figure(len(ways) * (style.WIDTH / columns + 0.3))
    panels = figure.subplots(len(ways), columns, squeeze=False)
    for line, (name, maps) in zip(panels, ways.items(), strict=True):
        style.show_picture(line[0], image, name)
        for axes in line[1 + len(maps):]:
            axes.set_axis_off()
        for axes, (title, found) in zip(line[1:], maps.items(), strict=False):
            axes.imshow(found, cmap="viridis", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=8)
    return figure
