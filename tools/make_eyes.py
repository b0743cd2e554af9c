"""Draw ``data/eyes.webp``: six units of block5_conv1 at 224 px, as large as companion 8 needs them.

    python -m tools.make_eyes

Twice: as `maximize` draws, and by the recipe of the target activation with which somebody once read
these units as eyes and birds, 128 steps each. Some ten minutes on two idle cores, which is why the
companion reads the pictures instead. The note says under each whether it is weak.
"""

import argparse
from pathlib import Path

import vizutils as vz
from data import HOME, weights
from techniques import method_sheet

LAYER, UNITS = "block5_conv1", (24, 25, 103, 104, 115, 116)
STEPS, SIZE, SEED = 128, 224, 0
WAYS = {"as maximize draws": {}, "target activation": {"preset": "target_activation"}}


def drawn(net, way, *, units=UNITS, steps=STEPS, size=SIZE):
    """The units' pictures in one of the `WAYS`, by (way, layer, unit): RGB 0-255 and its note."""
    found = vz.maximize(net, LAYER, list(units), steps=steps, size=size, seed=SEED, batch=3,
                        **WAYS[way])
    images = vz.stretched(found.images) if WAYS[way].get("preset") in vz.STRETCHED else found.images
    notes = [note or ("its mean did not rise" if flat else "") for note, flat in
             zip(found.notes, found.report.flat, strict=True)]
    return {(way, LAYER, unit): (image, note) for unit, image, note in
            zip(units, images, notes, strict=True)}


def main():
    """Draw, and write the sheet and its note."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--result", type=Path, default=HOME / "eyes.webp", metavar="WEBP")
    options = parser.parse_args()
    net = vz.load_network("vgg16", weights="packaged")
    pictures = {}
    for way in WAYS:
        pictures |= drawn(net, way)
    method_sheet.save(
        pictures, options.result, methods=list(WAYS), units=[(LAYER, unit) for unit in UNITS],
        tile=SIZE, quality=70,
        note={"command": "python -m tools.make_eyes", "steps": STEPS, "size": SIZE, "seed": SEED,
              "weights": weights.tensor_digest(*vz.submodel(net, LAYER).get_weights())})
    print(f"wrote {options.result} ({options.result.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
