"""What draws the pictures that `two_choices.py` compares: this project, peers, photographs.

Each method is a function of a `Bench` (a layer and all that belongs to it), units and a sign (1 for
what excites a unit, −1 for the opposite) that returns pictures, RGB 0-255, of shape (units,
pictures, side, side, 3). All ascents draw on the same canvas.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import peers

import vizutils as vz

WORKER = Path(__file__).resolve().parent / "xplique_worker.py"
OURS = {  # settings of `maximize`
    "default": {},
    "first default": {"parameterisation": vz.Fourier(spread=0.04), "optimiser": vz.Adam(0.2)},
    "pixels": {"preset": "normalised_gradient", "parameterisation": vz.Pixels()},
    "MaCo": {"preset": "natural_spectrum"},
    **{f"bounded {contrast}": {"parameterisation": vz.BoundedSpectrum(float(contrast)),
                               "optimiser": vz.Adam(0.1), "steps": 64}
       for contrast in (6, 8)},  # candidates for a default
}
XPLIQUE = {  # what its worker is asked for
    "Xplique Fourier": {"method": "optimize"},
    "Xplique MaCo": {"method": "maco"},
    **{f"Xplique MaCo, {crops} crops": {"method": "maco", "nb_crops": crops} for crops in (2, 4)},
}


@dataclass(frozen=True, eq=False)
class Bench:
    """A layer, and all that is needed to draw and to judge its units' pictures.

    Attributes
    ----------
    net, reader : Network
        Whose units are drawn, and who reads the pictures.
    layer, reader_layer : str
    size : int
        Side of the canvas, px.
    pictures : int
        For each unit and sign.
    image_set : ImageSet
        Half A of the photographs, from which aids are cut.
    places : DataFrame
        ``picture, row, column`` of random places in half A ...
    answers : ndarray, shape (places, filters)
        ... and the layer's pre-activations there.
    python : str
        The interpreter of Xplique's environment; empty: there is none.
    """

    net: vz.Network
    layer: str
    size: int
    reader: vz.Network | None = None
    reader_layer: str = ""
    pictures: int = 2
    image_set: vz.ImageSet | None = None
    places: pd.DataFrame | None = None
    answers: np.ndarray | None = None
    python: str = ""


def grouped(images: np.ndarray, units) -> np.ndarray:
    """Pictures side by side → one row of them for each unit."""
    return images.reshape(len(units), -1, *images.shape[1:])


def ours(bench: Bench, units, sign: int, **settings) -> np.ndarray:
    """The ascent of this project."""
    found = vz.maximize(bench.net, bench.layer, units, size=bench.size, seeds=bench.pictures,
                        sign=sign, progress=False, **settings)
    return grouped(found.images, units)


def coarse_to_fine(bench: Bench, units, sign: int, *, steps: int = 64, **settings) -> np.ndarray:
    """Half of the steps on half of the canvas, which is then enlarged: a quarter of their cost."""
    found = vz.maximize(bench.net, bench.layer, units, size=bench.size // 2, seeds=bench.pictures,
                        sign=sign, progress=False, steps=steps // 2, **settings)
    start = keras.ops.image.resize(found.images, (bench.size, bench.size), "bicubic")
    return ours(bench, units, sign, start=np.clip(start, 0, 255), steps=steps - steps // 2,
                **settings)


def tf_keras_vis(bench: Bench, units, sign: int) -> np.ndarray:
    """tf-keras-vis with its defaults, as one batch."""
    model = peers.cut_model(bench.net, bench.layer, bench.size)
    if sign < 0:
        model = keras.Model(model.input, keras.ops.negative(model.output))
    filters = np.repeat(units, bench.pictures)
    starts = np.stack([np.random.default_rng([i % bench.pictures, f]).uniform(
        0, 255, (bench.size, bench.size, 3)) for i, f in enumerate(filters)]).astype("float32")
    np.random.seed(0)  # noqa: NPY002 - its jitter draws from there
    return grouped(np.clip(peers.tf_keras_vis(model, filters, starts), 0, 255), units)


def plain_layers(net: vz.Network, layer: str) -> dict[str, np.ndarray]:
    """A chain of convolutions and pools up to a layer, as arrays that any program can read.

    Returns
    -------
    dict
        ``"kinds"``: "conv" or "pool" for each step; ``kernel_i``, ``bias_i`` of convolution i.

    Raises
    ------
    ValueError
        A layer that is neither.
    """
    kinds, arrays = [], {}
    for step in vz.submodel(net, layer).layers[1:]:  # the first is the picture
        if hasattr(step, "kernel_size"):
            arrays[f"kernel_{len(kinds)}"], arrays[f"bias_{len(kinds)}"] = step.get_weights()
            kinds.append("conv")
        elif hasattr(step, "pool_size"):
            kinds.append("pool")
        else:
            raise ValueError(f"{step.name} is neither a convolution nor a pool.")
    return {"kinds": np.array(kinds), **arrays}


def xplique(bench: Bench, units, sign: int, **settings) -> np.ndarray:
    """Xplique in its own environment, one picture after another."""
    if not bench.python:
        raise ValueError("Xplique needs an environment of its own: --xplique-python PATH.")
    with tempfile.TemporaryDirectory() as folder:
        network, jobs, pictures = (Path(folder) / name for name in ("net.npz", "jobs.json",
                                                                    "pictures.npy"))
        np.savez(network, **plain_layers(bench.net, bench.layer))
        jobs.write_text(json.dumps({**settings, "size": bench.size, "sign": sign,
                                    "units": np.repeat(units, bench.pictures).tolist(),
                                    "seeds": list(range(bench.pictures)) * len(units)}))
        subprocess.run([bench.python, WORKER, network, jobs, pictures], check=True,
                       stderr=subprocess.DEVNULL)
        return grouped(np.load(pictures), units)


def patch_side(bench: Bench) -> int:
    """Side of a patch: what the unit sees, and no less than what one place of the reader sees."""
    seen = vz.receptive_field(bench.net, bench.layer).size
    return max(seen, vz.receptive_field(bench.reader, bench.reader_layer).size)


def extreme_places(bench: Bench, unit: int, sign: int, count: int) -> pd.DataFrame:
    """Half A's strongest (or weakest) places of a unit, at most one in a photograph."""
    order = np.argsort(-sign * bench.answers[:, unit], kind="stable")
    return bench.places.iloc[order].drop_duplicates("picture")[:count]


def photographs(bench: Bench, units, sign: int, *, count: int = 0) -> np.ndarray:
    """Pieces of photographs where a unit is most (or least) active; as many as other pictures."""
    if bench.image_set is None:
        raise ValueError("photographs are cut from a folder of them: --images DIR.")
    return np.stack([cut(bench.net, bench.layer, bench.image_set,
                         extreme_places(bench, unit, sign, count or bench.pictures),
                         patch_side(bench)) for unit in units])


def cut(net: vz.Network, layer: str, image_set: vz.ImageSet, places, side: int) -> np.ndarray:
    """Squares of a given side centred on places, moved inwards at a photograph's edge."""
    seen = vz.receptive_field(net, layer, input_size=image_set.size)
    read = {picture: image_set.read([picture])[0] for picture in places["picture"].unique()}
    crops = []
    for row in places.itertuples():
        top, left, _, _ = seen.window(row.row, row.column)
        top, left = (int(np.clip(at + (seen.size - side) // 2, 0, image_set.size - side))
                     for at in (top, left))
        crops.append(read[row.picture][top : top + side, left : left + side])
    return np.stack(crops)


METHODS = {  # function and settings of each
    "nine photographs": (photographs, {"count": 9}),
    "photographs": (photographs, {}),
    **{own: (ours, settings) for own, settings in OURS.items()},
    "bounded 6, coarse to fine": (coarse_to_fine, {
        key: OURS["bounded 6"][key] for key in ("parameterisation", "optimiser")}),
    "coarse to fine": (coarse_to_fine, {"steps": 128}),
    "tf-keras-vis": (tf_keras_vis, {}),
    **{own: (xplique, settings) for own, settings in XPLIQUE.items()},
}
NAMES = tuple(METHODS)


def by_name(bench: Bench, name: str) -> Callable[[list[int], int], np.ndarray]:
    """``draw(units, sign)`` of a method.

    Raises
    ------
    ValueError
        Unknown method; the message names those there are.
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r} not found; there are {', '.join(NAMES)}.")
    method, settings = METHODS[name]
    return lambda units, sign: method(bench, units, sign, **settings)
