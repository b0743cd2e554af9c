"""Files: pictures that are uploaded, and contact sheets: shipped, or kept by `vz.atlas`."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import vizutils as vz
from data import HOME, weights
from techniques.dashboard.runner import Task, sentence

BUILD = HOME.parent / "build"
SHIPPED = HOME / "sheets.npz"  #: small pictures of VGG16's filters: `tools.make_sheets`
KINDS = {"climbed": "small drawn pictures, to browse by",
         "photographs": "the strongest patch of the packaged photographs, to browse by"}


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture of the user's.

    Attributes
    ----------
    image : float32 ndarray, shape (size, size, 3)
        RGB 0-255.
    path : Path
        Where the file is kept, so that copied code finds it.
    """

    image: np.ndarray
    path: Path


def read_uploads(
    uploads, *, size: int = 224, crop: float | None = None, folder=None,
    taken: Mapping[str, Upload] | None = None,
) -> tuple[dict[str, Upload], str]:
    """Read the pictures among uploaded files, and keep them as files.

    Parameters
    ----------
    uploads
        Value of a `FileUpload`: a dict in ipywidgets 7, a tuple of dicts in 8.
    size, crop
        Side of the pictures in px, and what share of a file's shorter side they show, as in
        `vz.load_images`.
    folder : path, optional
        Where they are kept, each in a folder named by its content; ``build/uploads`` by default.
    taken : mapping of str to Upload, optional
        Those that are there already: another picture of the same name gets a number.

    Returns
    -------
    (dict of str to Upload, str)
        File name → picture; and a sentence for each file that cannot be read as one.
    """
    folder = Path(folder or BUILD / "uploads")
    named = uploads.items() if isinstance(uploads, Mapping) else (
        (file["name"], file) for file in uploads)
    pictures, problems = {}, []
    for name, file in named:
        try:
            image = vz.load_images({name: file}, size=size, crop=crop).images[0]
            content = bytes(file["content"])
            own = folder / hashlib.sha256(content).hexdigest()[:12]
            name = _free(Path(name), own, {**(taken or {}), **pictures})
            path = own / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            pictures[name] = Upload(image, path)
        except (OSError, ValueError) as problem:
            problems.append(sentence(problem))
    return pictures, " ".join(problems)


def _free(name: Path, own: Path, taken: Mapping[str, Upload]) -> str:
    """A picture's name, with a number where another picture (in another folder) has it."""
    tried = itertools.chain([name.name], (f"{name.stem} ({n}){name.suffix}"
                                          for n in itertools.count(2)))
    return next(one for one in tried if one not in taken or taken[one].path.parent == own)


@dataclass(frozen=True, eq=False)
class SheetFile:
    """A contact sheet as it was found: `vz.atlas`'s, or the shipped one.

    Attributes
    ----------
    content : Path or bytes
        Of the picture that holds all tiles.
    boxes : dict of int to (left, upper, right, lower)
        Filter → its tile, in px.
    words : str
        What the tiles are.
    shipped : bool
        Whether they are the small ones that come with the project.
    """

    content: Path | bytes
    boxes: dict[int, tuple[int, int, int, int]]
    words: str = "drawn"
    shipped: bool = False

    def tiles(self, filters: Sequence[int], side: int, *, columns: int | None = None):
        """Those filters' pictures, `side` px each, in rows; grey where there is none yet."""
        columns = columns or len(filters)
        page = Image.new("RGB", (side * columns, side * -(-len(filters) // columns)), "#888888")
        source = self.content if isinstance(self.content, Path) else io.BytesIO(self.content)
        with Image.open(source) as opened:
            sheet = opened.convert("RGB")
        for i, filter in enumerate(filters):
            if filter in self.boxes:
                page.paste(sheet.resize((side, side), box=self.boxes[filter]),
                           (i % columns * side, i // columns * side))
        return page


def atlas_folder(folder=None) -> Path:
    """Where `vz.atlas` keeps its sheets, unless another folder is given."""
    return Path(folder or BUILD / "atlas")


def find_sheet(net: vz.Network, layer: str, *, folder=None) -> SheetFile | None:
    """The best contact sheet of a layer with these very weights; None if there is none.

    That is the fullest that was drawn (of the largest pictures), or else the shipped one, unless
    the drawn one is complete. Atlases of what excites *least* are none. Nothing is drawn here: that
    takes minutes and is for whoever asks for it.
    """
    digest = weights.tensor_digest(*vz.submodel(net, layer).get_weights())
    found = [((len(sheet.boxes), False, 0, 0), sheet) for sheet in _shipped(layer, digest)]
    for path in sorted(atlas_folder(folder).glob(
            f"{net.name}_{layer.replace('/', '-')}_*/index.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):  # damaged: as if there were none
            index = json.loads(path.read_text("utf-8"))
            made = index["made_by"]
            own = (made["layer"], made["weights"], made.get("sign", 1)) == (layer, digest, 1)
            if own and path.with_name("sheet.png").exists():
                boxes = {int(f): tuple(entry["box"]) for f, entry in index["filters"].items()}
                found.append(((len(boxes), True, made["size"], made["steps"]), SheetFile(
                    path.with_name("sheet.png"), boxes, f"{len(boxes)} drawn")))
    return max(found, key=lambda one: one[0], default=(None, None))[1]


@functools.lru_cache(maxsize=32)
def _shipped(layer: str, digest: str) -> tuple[SheetFile, ...]:
    """The shipped sheet of a layer, if there is one of these weights."""
    if not SHIPPED.exists():
        return ()
    with np.load(SHIPPED) as sheets:
        made_by = json.loads(str(sheets["made_by"]))
        if made_by["weights"].get(layer) != digest:
            return ()
        content = sheets[layer].tobytes()
    side, columns = made_by["tile"], made_by["columns"]
    with Image.open(io.BytesIO(content)) as sheet:
        boxes = {}
        for number in range(made_by["filters"][layer]):
            left, upper = number % columns * side, number // columns * side
            boxes[number] = (left, upper, left + side, upper + side)
        if sheet.size != (columns * side, -(-len(boxes) // columns) * side):
            raise ValueError(f"{SHIPPED.name} is damaged: {layer} has {sheet.size} px.")
    return (SheetFile(content, boxes, KINDS[made_by["kinds"][layer]], shipped=True),)


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
