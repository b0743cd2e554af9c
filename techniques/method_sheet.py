"""The same units drawn by each method: what pictures look like beside what they were measured.

The pictures are those that `benchmarks/two_choices.py` drew and judged, made small and kept in one
file with a note of what made them. Some need libraries that this project does not (tf-keras-vis,
Xplique) and all need minutes, so nothing is drawn here.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from data import HOME
from engine import style

SHEET = HOME / "method_sheet.webp"  #: written by ``benchmarks/two_choices.py sheet``
TILE = 80  #: px a picture, unless asked otherwise; enlarged or reduced


@dataclass(frozen=True, eq=False)
class MethodSheet:
    """Pictures of units by several methods.

    Attributes
    ----------
    methods : tuple of str
    units : tuple of (str, int)
        Layer and filter.
    images : float32 ndarray, shape (methods, units, tile, tile, 3)
        RGB 0-255; grey where there is no picture.
    notes : tuple of tuples of str
        For each method and unit what stands under the picture: nothing, "weak: 40 %" where its
        largest answer is above so few photographs' maxima, or "not drawn".
    note : dict
        What made them: ``command, canvas`` (px, by layer).
    """

    methods: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    images: np.ndarray
    notes: tuple[tuple[str, ...], ...]
    note: dict


def save(pictures: Mapping[tuple[str, str, int], tuple[np.ndarray, str]], path: Path, *,
         methods: Sequence[str], units: Sequence[tuple[str, int]], note: dict,
         tile: int = TILE, quality: int = 60) -> None:
    """Write pictures as one WebP, rows of methods, and what they are in a JSON file beside it.

    Parameters
    ----------
    pictures : mapping of (method, layer, filter) to (ndarray of shape (side, side, 3), str)
        RGB 0-255, of any side, and what stands under it; what is missing stays grey.
    tile : int
        Px a picture.
    quality : int
        Of WebP.
    """
    sheet = Image.new("RGB", (tile * len(units), tile * len(methods)), "#808080")
    notes = [["not drawn"] * len(units) for _ in methods]
    for i, method in enumerate(methods):
        for j, unit in enumerate(units):
            if (method, *unit) in pictures:
                image, notes[i][j] = pictures[method, *unit]
                small = Image.fromarray(np.clip(np.round(image), 0, 255).astype("uint8"))
                sheet.paste(small.resize((tile, tile), Image.Resampling.LANCZOS),
                            (j * tile, i * tile))
    sheet.save(path, "WEBP", quality=quality, method=6)
    found = {"methods": list(methods), "units": [list(unit) for unit in units], **note,
             "notes": notes}
    path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def load(path: Path = SHEET) -> MethodSheet:
    """The sheet as it was kept.

    Raises
    ------
    FileNotFoundError
        It was not written.
    """
    found = json.loads(path.with_suffix(".json").read_text("utf-8"))
    methods, units = found.pop("methods"), [(layer, unit) for layer, unit in found.pop("units")]
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"), "float32")
    tile = len(pixels) // len(methods)
    images = pixels.reshape(len(methods), tile, len(units), tile, 3).swapaxes(1, 2)
    notes = tuple(map(tuple, found.pop("notes")))
    return MethodSheet(tuple(methods), tuple(units), images, notes, found)


@style.styled
def plot_methods(sheet: MethodSheet) -> Figure:
    """A row a method, a column a unit; under a picture stands whether it is weak, or missing."""
    rows, columns = sheet.images.shape[:2]
    named = 1.05  # inches, for the methods' names
    side = (style.WIDTH - named) / columns
    figure = style.blank_figure(rows * (side + 0.14) + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for i, method in enumerate(sheet.methods):
        for j, (layer, unit) in enumerate(sheet.units):
            style.show_picture(grid[i, j], sheet.images[i, j],
                               "\n".join([*layer.split("_"), str(unit)]) if i == 0 else "")
            grid[i, j].set_xlabel(sheet.notes[i][j], fontsize=8, labelpad=1)
        grid[i, 0].set_ylabel(textwrap.fill(method, 13), rotation=0, ha="right", va="center")
    return figure
