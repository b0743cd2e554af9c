"""Compute ``data/sheets.npz``: a small picture of every filter of VGG16, to browse by.

    python -m tools.make_sheets [--photographs block4 block5]

Each filter's picture is climbed on a canvas so small, and in so few steps, that all 4,224 take
about half an hour on two idle cores: enough to tell filters apart, too little to judge one by. (In
blocks 4 and 5 the canvas is smaller than what a unit sees.) For the blocks named after
`--photographs` nothing is climbed: a filter is shown by its strongest patch of the packaged
photographs, which takes a minute. The dashboard shows them on its contact sheets, and says which
they are, until `vz.atlas` has drawn larger ones. Interrupted, the same command goes on from there.
"""

import argparse
import io
import json
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import vizutils as vz
from data import HOME, weights

RESULT, WORK = HOME / "sheets.npz", HOME.parent / "build" / "sheets"
TILE, COLUMNS, QUALITY = 32, 16, 55  #: px of a tile; tiles in a row; of WebP
#: Block → how its filters are climbed. A larger canvas costs its square.
RECIPES = {block: {"size": size, "steps": steps, "seed": 0, "calm": 0.5, "batch": 16}
           for block, size, steps in (("block1", 32, 20), ("block2", 32, 20), ("block3", 40, 20),
                                      ("block4", 48, 16), ("block5", 48, 16))}


def climbed(net, layer, *, filters=None, folder=WORK):
    """The pictures of a layer's filters (all by default), RGB 0-255, shape (n, size, size, 3)."""
    recipe = RECIPES[layer.split("_")[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that units see more than the canvas
        return vz.atlas(net, layer, filters=filters, optimiser=vz.Adam(0.4), folder=folder,
                        **recipe).images


def patches(net, layer, pictures, *, filters=None):
    """The filters' strongest patches of photographs, a list of RGB 0-255, square."""
    maxima = vz.image_maxima(net, layer, pictures)
    filters = range(net.channels(layer)) if filters is None else filters
    return [vz.top_patches(net, pictures, layer, filter, k=1, maxima=maxima).images[0]
            for filter in filters]


def sheet(pictures):
    """Pictures as one WebP file, `COLUMNS` tiles in a row, filter after filter."""
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * TILE, rows * TILE), "#888888")
    for i, picture in enumerate(pictures):
        tile = Image.fromarray(np.clip(picture, 0, 255).round().astype("uint8"))
        page.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS),
                   (i % COLUMNS * TILE, i // COLUMNS * TILE))
    buffer = io.BytesIO()
    page.save(buffer, "WEBP", quality=QUALITY, method=6)
    return np.frombuffer(buffer.getvalue(), "uint8")


def main():
    """Draw what is missing, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photographs", nargs="*", default=[], metavar="BLOCK", choices=RECIPES)
    parser.add_argument("--result", type=Path, default=RESULT, metavar="NPZ")
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    pictures = vz.load_images()
    sheets, counts, digests, kinds = {}, {}, {}, {}
    for layer in net.conv_layers:
        quick = layer.split("_")[0] in options.photographs
        sheets[layer] = sheet(patches(net, layer, pictures) if quick else climbed(net, layer))
        counts[layer], kinds[layer] = net.channels(layer), "photographs" if quick else "climbed"
        digests[layer] = weights.tensor_digest(*vz.submodel(net, layer).get_weights())
        print(f"{layer}, {kinds[layer]}: {len(sheets[layer]) / 1e3:.0f} kB", flush=True)
    made_by = {"tile": TILE, "columns": COLUMNS, "filters": counts, "weights": digests,
               "kinds": kinds, "recipes": RECIPES}
    np.savez(options.result, made_by=json.dumps(made_by), **sheets)
    print(f"{options.result}: {options.result.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
