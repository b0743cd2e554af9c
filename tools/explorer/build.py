"""Put the explorer's site together: data as script files, pictures as sprites, one page.

Everything slow is kept elsewhere (`vizutils.atlas` in build/atlas/, `techniques.layer_pass` in
build/passes/) and read from there again, so that an interrupted build goes on and a repeated one
writes the same files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import vizutils as vz
from data import HOME, weights
from engine.ascent import weak_note
from techniques import explorer, layer_pass
from tools.explorer import sprites

PAGE = Path(__file__).with_name("page")
LOOK = Path(__file__).parents[1] / "page.css"  #: of all pages of the house
COPY = Path(__file__).parents[1] / "copy.js"  #: as in them, too
SCRIPTS = ("core", "search", "kernels", "sheet", "cards", "unit", "quiz", "main")
SMALLEST = 64  #: pixels of a drawn picture


@dataclass(frozen=True)
class Places:
    """Where slow things are kept: atlases and passes."""

    atlas: Path = HOME.parent / "build" / "atlas"
    passes: Path = HOME.parent / "build" / "passes"


@dataclass(frozen=True)
class Said:
    """How the site says, in Python and as a command, what it was made from."""

    net: str  #: Python that loads the network
    pictures: str  #: Python that loads the pictures
    command: str = "make explorer"  #: what makes the site, without LAYERS=...


def draw(net: vz.Network, layers: Sequence[str], places: Places, *, steps: int = 80,
         progress: bool = True) -> None:
    """Draw the pictures of layers: what excites each filter most and least, and their inputs."""
    wanted = {(name, sign): None for name in layers for sign in (1, -1)}
    wanted |= {(below, 1): None for name in layers
               if (below := vz.input_layer(net, name).feature) is not None}
    for name, sign in wanted:
        vz.atlas(net, name, size=side_of(net, name), steps=steps, sign=sign,
                 folder=places.atlas, progress=progress)


def side_of(net: vz.Network, layer: str) -> int:
    """Pixels of a drawn picture."""
    return net.fixed_size or max(SMALLEST, vz.canvas(net, layer, strides=2))


# --- what has been made -------------------------------------------------------------------


def drawn(net: vz.Network, layer: str, folder: Path, sign: int) -> tuple[np.ndarray, dict] | None:
    """The largest finished atlas of a layer: pictures, and what is known of each; None if none.

    Any atlas of these weights will do, also one that ``make atlas`` has drawn.
    """
    digest = weights.tensor_digest(*vz.submodel(net, layer).get_weights())
    found = []
    for path in sorted(folder.glob(f"{net.name}_{layer.replace('/', '-')}_*/index.json")):
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            made, filters = index["made_by"], index["filters"]
        except (OSError, ValueError, KeyError):
            continue  # damaged: drawn again by the command that the page names
        own = (made.get("layer"), made.get("weights"), made.get("sign", 1))
        if own == (layer, digest, sign) and len(filters) == net.channels(layer):
            found.append((made["size"], made["steps"], path, filters))
    for *_, path, filters in sorted(found, key=lambda one: one[:2], reverse=True):
        try:
            with Image.open(path.with_name("sheet.png")) as sheet:
                sheet.load()
        except (OSError, SyntaxError):
            continue
        images = [np.asarray(sheet.crop(filters[str(f)]["box"])) for f in range(len(filters))]
        known = {f: {"end": filters[str(f)]["end_max"],
                     "percentile": filters[str(f)]["percentile"],
                     "weak": sign > 0 and bool(weak_note(filters[str(f)]["percentile"])),
                     "flat": filters[str(f)]["flat"]} for f in range(len(filters))}
        return np.stack(images)[:, None], known
    return None


# --- the site -----------------------------------------------------------------------------


def build(
    net: vz.Network, folder, said: Said, *, layers: Sequence[str] = (),
    image_set: vz.ImageSet | None = None, places: Places | None = None, steps: int = 80,
    progress: bool = True, make_of: Callable[[str], Callable] | None = None,
) -> Path:
    """Draw and analyse the layers that are asked for, and write pages of all of them.

    Parameters
    ----------
    net : Network
        Every plain convolution gets pages.
    folder : path
        Where the site goes; what an earlier build left there and this one does not write, goes.
    said : Said
    layers : sequence of str
        Those to draw and analyse. Others show what has been made of them before.
    image_set : ImageSet, optional
        The packaged pictures by default.
    places : Places, optional
        Where slow things are kept; in ``build/`` by default.
    steps : int
        Of each ascent.
    make_of : callable, optional
        From a layer to the ``make`` of `layer_pass.run`: analyses it elsewhere.

    Returns
    -------
    Path
        ``folder/index.html``.

    Raises
    ------
    ValueError
        Unknown layers, or none that has pages; too few or too small pictures.
    """
    folder, places = Path(folder), places or Places()
    known = explorer.plain_layers(net)
    if not known:
        raise ValueError(f"{net.name} has no plain convolution, so there is nothing to explore.")
    if strange := [name for name in layers if name not in known]:
        raise ValueError(f"layer {strange[0]!r} has no pages; those that have are "
                         f"{', '.join(known)}.")
    image_set = (vz.load_images(size=net.input_size) if image_set is None
                 else vz.as_image_set(image_set, copy=False))
    draw(net, layers, places, steps=steps, progress=progress)
    for name in layers:
        layer_pass.run(net, name, image_set, folder=places.passes, progress=progress,
                       make=make_of and make_of(name))
    digest, written, entries = layer_pass.digest_of(image_set), {"index.html"}, []
    for part in ("data", "pictures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name in known:
        layer, sheets = read(net, name, digest, folder, places)
        stem = file_of(name)
        units = [explorer.unit(layer, f) for f in range(layer.filters)]
        _write(folder / f"data/{stem}.js", _script(f"units/{name}", units))
        written |= {f"data/{stem}.js"} | {f"pictures/{one}" for sheet in sheets.values()
                                          for one in sheet["files"]}
        if layer.analysed is not None:
            _write(folder / f"data/{stem}.csv", layer.analysed.table.to_csv(index=False))
            written.add(f"data/{stem}.csv")
        entries.append(explorer.entry(layer) | {
            "data": f"data/{stem}.js", "sprites": sheets, "size": side_of(net, name),
            "table": "" if layer.analysed is None else f"data/{stem}.csv",
            "signs": [[round(float(layer.inputs.sign_index[c, f]), 2)
                       for c in layer.inputs.ranked(f, explorer.TOP)]
                      for f in range(layer.filters)]})
    colours = {"R": "red", "G": "green", "B": "blue"}
    index = {"network": net.name, "source": net.weights_source,
             "inputs": [colours.get(one, one) for one in net.input_channels],
             "pictures": len(image_set),
             "top": explorer.TOP, "command": said.command,
             "calls": explorer.templates(net=said.net, shown=said.pictures),
             "tags": explorer.TAGS,
             "measures": {name: list(one) for name, one in explorer.MEASURES.items()},
             "layers": entries}
    _write(folder / "data/index.js", _script("index", index))
    written |= {"data/index.js"} | _page(folder, net.name)
    for path in [*folder.glob("data/*"), *folder.glob("pictures/*")]:
        if path.relative_to(folder).as_posix() not in written:
            path.unlink()
    return folder / "index.html"


def read(net: vz.Network, name: str, digest: str, folder: Path, places: Places):
    """All that is known of a layer, and its sprites, which are written to `folder`."""
    layer, sheets, pictures = explorer.read(net, name), {}, {}
    analysed = layer_pass.stored(net, name, digest, folder=places.passes)
    stem = file_of(name)
    for kind, sign in (("picture", 1), ("negative", -1)):
        if found := drawn(net, name, places.atlas, sign):
            images, pictures[kind] = found
            sheets[kind] = sprites.write(images, folder / "pictures", f"{stem}_{kind}")
    if analysed is not None:
        for kind, images in (("patches", analysed.patches), ("drawn", analysed.drawn)):
            sheets[kind] = sprites.write(images, folder / "pictures", f"{stem}_{kind}")
    return explorer.Layer(**{**vars(layer), "analysed": analysed, "pictures": pictures}), sheets


def file_of(layer: str) -> str:
    """A layer's name as a file's, on every file system."""
    return re.sub(r"[^\w.-]", "-", layer)


def _script(name: str, value) -> str:
    """Data as a script: a page that was opened as a file may load scripts, and nothing else."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"explorer.add({json.dumps(name)},{text});\n"


def _page(folder: Path, network: str) -> set[str]:
    """Write the page, its look and its scripts; return their names."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (
        COPY, *(PAGE / f"{name}.js" for name in SCRIPTS)))
    look = LOOK.read_text(encoding="utf-8") + (PAGE / "look.css").read_text(encoding="utf-8")
    page = (PAGE / "page.html").read_text(encoding="utf-8").replace("NETWORK", network)
    for name, text in (("explorer.js", scripts), ("look.css", look), ("index.html", page)):
        _write(folder / name, text)
    return {"explorer.js", "look.css", "index.html"}


def _write(path: Path, text: str) -> None:
    """Write a file in one go: killed at any moment, no half of it bears the name."""
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    os.replace(draft, path)


def is_named(options):
    """Whether the network is one of those with weights to choose, not a file with its own."""
    return not Path(options["NETWORK"]).suffix


def load(options):
    """The network that is asked for, and its pictures."""
    named = {"classes": options["CLASSES"]} if options["CLASSES"] else {}
    net = vz.load_network(options["NETWORK"], **named,
                          weights=options["WEIGHTS"] if is_named(options) else "auto")
    return net, vz.load_images(options["PICTURES"] or None, size=net.input_size,
                               classes=net.classes if options["PICTURES"] else None)
