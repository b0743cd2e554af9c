"""An atlas on disk: finished batches, the contact sheet and its index."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from engine.ascent import weak_note


@dataclass(frozen=True, eq=False)
class Atlas:
    """One picture for each filter of a layer.

    Attributes
    ----------
    images : uint8 ndarray, shape (n, size, size, 3)
        RGB.
    report : DataFrame
        As in `Ascent`, one row for each picture.
    sheet : Path
        The contact sheet, a PNG with the filter's number above each picture, and "weak" where
        it is (`engine.ascent.WEAK`).
    index : Path
        JSON beside it: what made it, and for each filter its box on the sheet (left, top,
        right, bottom, in pixels) and its numbers.
    """

    images: np.ndarray
    report: pd.DataFrame
    sheet: Path
    index: Path


def folder_for(home: Path, made_by: Mapping) -> Path:
    """The folder in `home` for what is made by these settings, which all count for its name.

    Parameters
    ----------
    made_by : mapping
        What JSON can hold; ``network`` and ``layer`` are read in the name.
    """
    key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    return home / f"{made_by['network']}_{made_by['layer'].replace('/', '-')}_{key}"


def part_of(draw: Callable, filters: np.ndarray, home: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Pictures and report of one batch: read from `home`, or drawn by ``draw(filters)`` and stored.

    Parameters
    ----------
    draw : callable
        Filters → an object with ``images`` and ``report`` (`vizutils.Ascent`).
    """
    numbers = hashlib.sha256(repr(filters.tolist()).encode()).hexdigest()[:8]
    path = home / f"filters_{filters[0]:04d}_{numbers}"
    if (kept := _stored_part(path, filters)) is not None:
        return kept
    ascent = draw(filters)
    images = ascent.images.round().astype("uint8")
    draft = home / f"draft_{os.getpid()}"
    np.savez(draft.with_suffix(".npz"), images=images)
    ascent.report.to_csv(draft.with_suffix(".csv"), index=False)
    for ending in (".npz", ".csv"):
        os.replace(draft.with_suffix(ending), path.with_suffix(ending))
    return images, ascent.report


def _stored_part(path: Path, filters):
    """Pictures and report of a stored batch; None if there is none, or it is damaged."""
    if not path.with_suffix(".csv").exists():  # written last: the pictures are whole
        return None
    try:
        report = pd.read_csv(path.with_suffix(".csv"))
        with np.load(path.with_suffix(".npz")) as stored:
            images = stored["images"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    whole = report.get("filter", pd.Series()).tolist() == filters.tolist()
    return (images, report) if whole and len(images) == len(filters) else None


def contact_sheet(home: Path, images: np.ndarray, report: pd.DataFrame, made_by: dict):
    """Write the sheet and its index; return their paths."""
    size, line, gap = images.shape[1], 14, 4
    columns = min(16, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + line + gap) + gap),
                      "white")
    pen, entries = ImageDraw.Draw(sheet), {}
    for i, (image, row) in enumerate(zip(images, report.itertuples(), strict=True)):
        left = gap + (i % columns) * (size + gap)
        top = gap + (i // columns) * (size + line + gap) + line
        mark = " weak" if weak_note(row.percentile) else ""
        pen.text((left, top - line), f"{row.filter}{mark}", fill="black",
                 font=ImageFont.load_default(size=11))
        sheet.paste(Image.fromarray(image), (left, top))
        entries[int(row.filter)] = {
            "box": [left, top, left + size, top + size], "end_max": round(float(row.end_max), 2),
            "percentile": None if np.isnan(row.percentile) else round(float(row.percentile), 1),
            "flat": bool(row.flat)}
    note = PngInfo()
    note.add_text("Comment", json.dumps(made_by))
    paths, draft = (home / "sheet.png", home / "index.json"), home / f"draft_{os.getpid()}"
    sheet.save(draft, "png", pnginfo=note)
    os.replace(draft, paths[0])
    draft.write_text(json.dumps({"made_by": made_by, "filters": entries}, indent=1), "utf-8")
    os.replace(draft, paths[1])
    return paths
