"""Many small pictures in a few WebP files: a browser opens one instead of hundreds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

PER_FILE = 64  #: filters in a file: WebP is at most 16,383 px high
SIDE = 128  #: pixels of a picture, at most
QUALITY = 82


def write(images: np.ndarray, folder: Path, name: str) -> dict:
    """Write pictures of a layer's filters.

    Parameters
    ----------
    images : uint8 ndarray, shape (filters, each, side, side, 3)
        RGB: `each` pictures a filter.
    folder : Path
    name : str
        Files are called ``name_0.webp``, ``name_1.webp``, ...

    Returns
    -------
    dict
        ``files``; ``side``; ``each``; ``columns`` of a file: `each`, or 8 for one picture a
        filter, row after row; ``per``: filters in a file.
    """
    images = shrunk(images)
    count, each, side = images.shape[:3]
    columns, files = (8 if each == 1 else each), []
    for first in range(0, count, PER_FILE):
        part = images[first : first + PER_FILE].reshape(-1, side, side, 3)
        rows = -(-len(part) // columns)
        sheet = np.zeros((rows * columns, side, side, 3), "uint8")
        sheet[: len(part)] = part
        sheet = sheet.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
        files.append(f"{name}_{first // PER_FILE}.webp")
        draft = folder / f"draft_{os.getpid()}.webp"
        Image.fromarray(sheet.reshape(rows * side, columns * side, 3)).save(
            draft, "webp", quality=QUALITY, method=4)
        os.replace(draft, folder / files[-1])
    return {"files": files, "side": side, "each": each, "columns": columns, "per": PER_FILE}


def shrunk(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Pictures of at most `side` pixels, the same shape otherwise."""
    if images.shape[2] <= side:
        return images
    flat = images.reshape(-1, *images.shape[2:])
    small = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.LANCZOS))
             for one in flat]
    return np.stack(small).reshape(*images.shape[:2], side, side, 3)
