"""Files: pictures that are uploaded, and the contact sheets that `vz.atlas` keeps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import vizutils as vz
from data import weights
from techniques.dashboard.runner import Task, sentence


def read_uploads(uploads, *, size: int = 224) -> tuple[dict[str, np.ndarray], str]:
    """Read the pictures among uploaded files.

    Parameters
    ----------
    uploads
        Value of a `FileUpload`: a dict in ipywidgets 7, a tuple of dicts in 8.
    size : int
        Side of the pictures in px, as in `vz.load_images`.

    Returns
    -------
    (dict of str to ndarray, str)
        File name → float32 RGB 0-255, shape (size, size, 3); and a sentence for each file that
        cannot be read as a picture.
    """
    if not isinstance(uploads, Mapping):
        uploads = {file["name"]: file for file in uploads}
    pictures, problems = {}, []
    for name, file in uploads.items():
        try:
            pictures[name] = vz.load_images({name: file}, size=size).images[0]
        except (OSError, ValueError) as problem:
            problems.append(sentence(problem))
    return pictures, " ".join(problems)


@dataclass(frozen=True, eq=False)
class SheetFile:
    """An atlas's contact sheet as it was found; see `vz.Atlas`."""

    path: Path
    boxes: dict[int, tuple[int, int, int, int]]
    percentiles: dict[int, float | None]

    def tiles(self, filters: Sequence[int], side: int) -> Image.Image:
        """Those filters' pictures in a row, `side` px each; grey where there is none yet."""
        row = Image.new("RGB", (side * len(filters), side), "#888888")
        with Image.open(self.path) as sheet:
            for i, filter in enumerate(filters):
                if filter in self.boxes:
                    row.paste(sheet.resize((side, side), box=self.boxes[filter]), (i * side, 0))
        return row


def atlas_folder(folder=None) -> Path:
    """Where `vz.atlas` keeps its sheets, unless another folder is given."""
    return Path(folder or Path(vz.__file__).resolve().parent / "build" / "atlas")


def find_sheet(net: vz.Network, layer: str, *, folder=None) -> SheetFile | None:
    """The fullest contact sheet of a layer with these very weights; None if none was drawn.

    Nothing is drawn here: that takes minutes and is for whoever asks for it.
    """
    digest = weights.tensor_digest(*vz.submodel(net, layer).get_weights())
    found = []
    for path in sorted(atlas_folder(folder).glob(f"{net.name}_{layer}_*/index.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):  # damaged: as if there were none
            index = json.loads(path.read_text("utf-8"))
            if index["made_by"]["weights"] == digest and path.with_name("sheet.png").exists():
                entries = {int(filter): entry for filter, entry in index["filters"].items()}
                found.append(SheetFile(path.with_name("sheet.png"),
                                       {f: tuple(entry["box"]) for f, entry in entries.items()},
                                       {f: entry["percentile"] for f, entry in entries.items()}))
    return max(found, key=lambda sheet: len(sheet.boxes), default=None)


def draw_sheet(net: vz.Network, layer: str, task: Task, *, folder=None, batch: int = 16,
               **options) -> None:
    """Draw a layer's atlas batch by batch, so that it can be watched and cancelled.

    Parameters
    ----------
    task : Task
        Hears of the progress, and is shown each batch once it is on the sheet.
    **options
        Of `vz.atlas`.
    """
    count = net.model.get_layer(layer).output.shape[-1]
    steps = options.setdefault("steps", 80)
    for first in range(0, count, batch):
        task.progress(first, count)
        until = min(first + batch, count)
        found = vz.atlas(
            net, layer, filters=range(until), folder=folder, batch=batch, progress=False,
            on_step=lambda done, _, first=first, until=until: task.progress(
                first + (until - first) * done / steps, count), **options)
        task.progress(until, count)
        task.show(np.concatenate(found.images[first:], axis=1),
                  f"Filters {first} to {until - 1} of {layer}")
