"""Why pictures rebuilt from deep layers look abstract: what a map ignores, and what is lost.

1. **Invariance** (`changed`): a photograph is shifted, mirrored, made grey, ...; how far does each
   layer's map move, as a share of the way to another photograph's map? What hardly moves it
   cannot be rebuilt from it.
2. **Loss** (`recovered`): of a picture that came back, how much of the photograph's coarse form,
   fine grain and colour is in it?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

import vizutils as vz
from techniques import alterations, inversion

#: What is done to a photograph: (name, float32 pictures → pictures), mildest first.
WAYS = {
    "shifted by 2 px": lambda x: np.roll(x, 2, axis=2),
    "shifted by 8 px": lambda x: np.roll(x, 8, axis=2),
    "half the contrast": lambda x: 127.5 + (x - 127.5) / 2,
    "without colour": lambda x: alterations.alter(x, "grey"),
    "without fine grain": lambda x: ndimage.gaussian_filter(x, (0, 1.5, 1.5, 0)),
    "mirrored": lambda x: alterations.alter(x, "mirrored"),
    "tiles exchanged": lambda x: _tiles(x, 4),
    "pixels scrambled": lambda x: alterations.alter(x, "scrambled"),
}
COARSE, FINE = 6, 16  #: cycles a picture: coarse form below, fine grain above


def _tiles(images: np.ndarray, count: int) -> np.ndarray:
    """`count` × `count` squares of each picture in reversed order; a rest keeps its place."""
    side = images.shape[1] // count
    shuffled = images.copy()
    for row in range(count):
        for column in range(count):
            to, source = (np.s_[:, r * side:(r + 1) * side, c * side:(c + 1) * side]
                          for r, c in ((row, column), (count - 1 - row, count - 1 - column)))
            shuffled[to] = images[source]
    return shuffled


def changed(
    net: vz.Network, images: np.ndarray, *, at: Sequence[int] = inversion.SEVEN
) -> pd.DataFrame:
    """How far each of `WAYS` moves each layer's map.

    Parameters
    ----------
    net : Network
        A VGG, whose modules `inversion.positions` counts.
    images : ndarray, shape (n, size, size, 3)
        RGB 0-255, square, two or more: each one's neighbour is the yardstick.
    at : sequence of int
        Positions.

    Returns
    -------
    DataFrame, a row a way, a column a module
        ‖Φ(changed) − Φ‖ / ‖Φ(another photograph) − Φ‖, mean over pictures: 0 where the layer does
        not notice, 1 where the changed photograph is as far as another one. The first column,
        ``pixels``, says the same of the pictures themselves.

    Raises
    ------
    ValueError
        One picture only.
    """
    images = vz.check_pictures(images)
    if len(images) < 2:
        raise ValueError("changed compares with another photograph's map: give two or more.")
    rows = inversion.positions(net).loc[list(at)]
    altered = {way: vz.made(change(images)).images for way, change in WAYS.items()}
    altered = {"another photograph": np.roll(images, 1, axis=0), **altered}
    found = {"pixels": _ways(altered, images)}
    for row in rows.itertuples():
        maps = {way: vz.activations(net, row.layer, vz.made(pictures),
                                    pre_activation=bool(row.pre_activation))
                for way, pictures in {"": images, **altered}.items()}
        found[row.module] = _ways(maps, maps.pop(""))
    return pd.DataFrame(found).drop(index="another photograph")


def _ways(maps: Mapping[str, np.ndarray], own: np.ndarray) -> pd.Series:
    """Distance of each from `own`, as a share of the other photograph's."""
    far = {way: np.linalg.norm((m - own).reshape(len(own), -1).astype("float64"), axis=1)
           for way, m in maps.items()}
    return pd.Series({way: (d / far["another photograph"]).mean() for way, d in far.items()})


def recovered(original: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """What of a photograph is in a picture rebuilt from its features.

    Parameters
    ----------
    original, image : ndarray, shape (size, size, 3)
        RGB 0-255.

    Returns
    -------
    dict
        Correlations: ``coarse form``, brightness below `COARSE` cycles a picture; ``middle``;
        ``fine grain``, above `FINE`; ``colour``: red and blue less the brightness.
    """
    pair = np.stack(vz.check_each([original, image])).astype("float64")
    brightness = pair @ alterations.BRIGHTNESS
    rows, columns = (np.fft.fftfreq(n) * n for n in brightness.shape[1:])
    cycles = np.hypot(rows[:, None], columns)
    spectrum = np.fft.fft2(brightness - brightness.mean((1, 2), keepdims=True))
    bands = {"coarse form": cycles <= COARSE, "middle": (cycles > COARSE) & (cycles <= FINE),
             "fine grain": cycles > FINE}
    parts = {name: np.fft.ifft2(spectrum * band).real for name, band in bands.items()}
    parts["colour"] = pair[..., [0, 2]] - brightness[..., None]
    return {name: float(np.corrcoef(*both.reshape(2, -1))[0, 1]) for name, both in parts.items()}
