"""Compute ``data/spectrum.npz``: how much of each spatial frequency photographs hold.

    python -m tools.make_spectrum --images DIR

`DIR` holds photographs, for instance one for each ImageNet class; 1,000 of them were used. The
file keeps their mean colour and, for the three decorrelated colours of
`engine.parameterisations.COLOUR`, the mean magnitude of each frequency of a picture of 224 px,
in half precision. The photographs themselves are not kept. About half a minute.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import vizutils as vz
from data import HOME
from engine.parameterisations import COLOUR

RESULT = HOME / "spectrum.npz"
SIZE = 224


def spectrum(pictures):
    """Mean colour, and mean magnitudes of the frequencies of decorrelated colours.

    A window that fades to zero keeps a photograph's borders, which do not fit together, from
    counting as edges.

    Parameters
    ----------
    pictures : vizutils.ImageSet
        Square, of `SIZE` px.

    Returns
    -------
    dict
        ``mean``: float32 (3,), RGB 0-255; ``magnitude``: float16 (3, SIZE, SIZE // 2 + 1), in
        grey levels, of NumPy's `rfft2` with ``norm="ortho"``.
    """
    fade = np.hanning(SIZE + 2)[1:-1]
    window = np.outer(fade, fade)
    window /= np.sqrt((window**2).mean())
    inverse, total, magnitude = np.linalg.inv(COLOUR), np.zeros(3), 0.0
    for _, images in tqdm(pictures.batches(8), "photographs", -(-len(pictures) // 8)):
        colour = images.mean((1, 2), keepdims=True)
        total += colour.sum((0, 1, 2))
        planes = np.einsum("nhwc,kc->nkhw", images - colour, inverse) * window
        magnitude = magnitude + np.abs(np.fft.rfft2(planes, norm="ortho")).sum(0)
    return {"mean": (total / len(pictures)).astype("float32"),
            "magnitude": (magnitude / len(pictures)).astype("float16")}


def main():
    """Compute the spectrum and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, type=Path, help="a folder of photographs")
    options = parser.parse_args()
    np.savez_compressed(RESULT, **spectrum(vz.load_images(options.images, size=SIZE)))
    print(f"{RESULT}: {RESULT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
