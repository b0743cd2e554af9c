"""Pictures from files, folders, uploads or arrays, and their class labels."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import numbers
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, KeysView, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data import fetch
from data.progress import Progress
from engine.checks import whole
from engine.class_names import as_classes, label_by_place, label_of
from engine.decoding import (
    CROP,
    beginning,
    centre_crop,
    no_decoder_for,
    picture_endings,
    read_bytes,
    read_image,
    refuse_address,
    to_rgb,
)
from engine.file_kinds import REMEDIES
from engine.images import ImageSet, MadePictures, one_or_more


def load_images(
    folder=None, *, size: int = 224, limit: int | None = None, labels=None, classes=None,
    crop: float | None = None
) -> ImageSet:
    """Load pictures from files, folders, uploads or arrays; the packaged ones by default.

    Parameters
    ----------
    folder : optional
        * nothing - 20 ImageNet photographs and 19 from outside ImageNet, which come with Python
          packages;
        * a folder - the pictures in it and in the folders in it, by path; hidden files and
          folders are left out;
        * a file, or bytes;
        * a PIL picture;
        * an array of RGB 0-255, of shape (rows, columns, 3) or (n, rows, columns, 3);
        * the value of an ipywidgets `FileUpload` (7 or 8), or another mapping of names to
          pictures;
        * an `ImageSet`;
        * a list of any of these.
    size : int
        Side of the square crop, in pixels: the shorter side is resized to ``size / crop``
        (bicubic) and the centre cut out. An array that has this size already stays as it is.
    limit : int, optional
        Take only the first `limit` pictures that can be read.
    labels : optional
        The pictures' classes, each an ImageNet class index, a WordNet id or a class's name (−1
        or empty: unknown):

        * a sequence, one for each picture found;
        * a mapping, or a pandas Series, from file name (where two files share it: the path in the
          folder) to class;
        * the path of a CSV file with the columns ``file`` and ``label``;
        * ``"folders"``: each picture's folder is named after its class, by name or WordNet id.
    classes : optional
        Names of classes that are not ImageNet's, in the order of a network's outputs
        (``net.classes``; or a text file or folder, see `as_classes`). Labels are then of these,
        and without `labels` a picture below a folder that is named after a class is of that one.
    crop : float, optional
        What share of the shorter side is kept, above 0 and at most 1. Left out: an `ImageSet`'s
        own; with `classes` 1, since a file of a network's size is what the network was trained
        on; else 0.875, as both packaged networks expect of photographs.

    Returns
    -------
    ImageSet
        Without `labels` and `classes`, a class is known only where the name of the file or of its
        folder starts with a WordNet id (``n02123159_...``), and for the packaged pictures; else −1.

    Raises
    ------
    FileNotFoundError
        No such folder or file, or no readable picture in the folder.
    ValueError
        Something that is no picture or no class; an address of the web; labels without an order.

    Warns
    -----
    UserWarning
        Pictures that cannot be read, and files in a folder that may be meant as pictures and are
        not read (videos, archives, documents): they are named, with what helps. Files that
        `labels` names and that are not there; pictures it leaves out.
    """
    if not isinstance(size, numbers.Integral) or size < 1:
        raise ValueError("size is the crop's side in pixels, a positive whole number, not "
                         f"{size!r}.")
    if limit is not None:
        whole("limit", limit, hint="leave it out for all pictures")
    found, classes = _packaged() if folder is None else _find(folder), as_classes(classes)
    if isinstance(folder, ImageSet):
        classes = folder.classes if classes is None else classes
        crop = folder.crop if crop is None else crop
    crop = _share(crop, classes)
    if classes is not None and getattr(folder, "classes", None) != classes:
        found = [dataclasses.replace(one, label=_place(one, classes)) for one in found]
    good, pixels, bad = [], [], []
    for i, picture in enumerate(Progress(found, "checking pictures", delay=2)):
        if limit is not None and len(good) >= limit:
            break
        try:
            pixels.append(_checked_source(picture, i, size, crop))
            good.append(i)
        except (OSError, ValueError) as problem:
            if len(found) == 1:
                raise
            bad.append(str(problem))
    if bad:
        warnings.warn(f"{len(bad)} unreadable picture(s) skipped: {_some(bad, ' ')}", stacklevel=2)
    if not good:
        raise ValueError(f"none of these {len(found)} files can be read as a picture.")
    names = tuple(found[i].name or f"picture {i}" for i in good)
    given = _labels(labels, found, good, classes)
    if all(isinstance(one, Path) for one in pixels):
        return ImageSet(names, given, size, tuple(pixels), classes, crop)
    return MadePictures(names, given, size, np.stack([  # each was checked when it was found
        read_image(one, size=size, crop=crop) if isinstance(one, Path) else one
        for one in pixels]), classes, crop)


@dataclass(frozen=True, eq=False)
class _Found:
    """A picture before it is read: where it is, and what it and its file are called."""

    source: object  # a path, bytes, a PIL picture or a checked array
    name: str = ""
    file: str = ""
    label: int = -1


def _packaged() -> list[_Found]:
    """The pictures that come with Python packages."""
    return [_Found(p.path, p.name, p.path.name, p.label) for p in fetch.pictures()]


def _find(source) -> list[_Found]:
    """Every picture in a source of any accepted kind."""
    if isinstance(source, ImageSet):
        return [_Found(*row) for row in zip(source.sources, source.names, source.names,
                                            source.labels.tolist(), strict=True)]
    if isinstance(source, (str, os.PathLike)):
        return _find_path(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return [_Found(bytes(source))]
    if isinstance(source, Image.Image):
        return [_named(source, getattr(source, "filename", ""))]
    if hasattr(source, "read"):  # an open file
        return [_named(bytes(source.read()), getattr(source, "name", ""))]
    if isinstance(source, Mapping):
        return _find_named(source)
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        array = np.asarray(source)
        if array.dtype.kind in "fiub":
            return [_Found(image) for image in one_or_more(array)]
    if not isinstance(source, Iterable):
        raise ValueError(f"pictures are not read from {type(source).__name__}: give a folder, a "
                         "file, bytes, a PIL picture, an array, an upload's value, or a list of "
                         "them.")
    found = []
    for i, one in enumerate(source):
        try:
            found += _find(one)
        except ValueError as problem:
            raise ValueError(f"entry {i} of the list: {problem}") from None
    if not found:
        raise ValueError("no picture given: the list (or the upload) is empty.")
    return found


def _named(source, name) -> _Found:
    """A picture of a file that is open already, or is in memory; some have no name."""
    if not name or not isinstance(name, (str, bytes, os.PathLike)):
        return _Found(source)
    path = Path(os.fsdecode(name))
    return _Found(source, path.stem, path.name, label_by_place(path.absolute()))


def _find_named(source: Mapping) -> list[_Found]:
    """Pictures by name: an upload of ipywidgets 7, one file of ipywidgets 8, or any mapping."""
    if "content" in source:
        source = {source.get("name", ""): source["content"]}
    found = []
    for name, one in source.items():
        one = one["content"] if isinstance(one, Mapping) else one
        path, label = Path(str(name)), label_by_place(Path(str(name)))
        found += [dataclasses.replace(f, name=path.stem, file=str(name),
                                      label=f.label if label < 0 else label) for f in _find(one)]
    if not found:
        raise ValueError("no picture given: the upload is empty.")
    return found


def _find_path(path) -> list[_Found]:
    """A file, or the pictures of a folder and of the folders in it."""
    refuse_address(path)
    path = Path(path).expanduser()
    if not path.exists() and set("*?") & set(path.name):
        raise FileNotFoundError(f"{path} is a pattern: give the list of files, "
                                f"sorted(Path({str(path.parent)!r}).glob({path.name!r})).")
    if path.is_file() or (path.suffix.lower() in picture_endings() and not path.is_dir()):
        return [_Found(path, path.stem, path.name, label_by_place(path.absolute()))]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one that holds pictures.")
    endings, found, left_out = picture_endings(), [], {}
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        ending = file.suffix.lower()
        if any(part[0] == "." or part == "__MACOSX" for part in inside.parts):
            continue  # of the system's or of Jupyter's making: never somebody's pictures
        if not file.is_file():
            continue
        if ending in endings or (not ending and _is_picture(file)):
            label = label_by_place(file.absolute())
            found.append(_Found(file, file.stem, inside.as_posix(), label))
        elif remedy := _remedy(file, ending):
            left_out.setdefault(remedy, []).append(inside.as_posix())
    unread = "; ".join(f"{_some(files)} ({remedy})" for remedy, files in left_out.items())
    if not found:
        there = unread and f"; of kinds that are not read: {unread}"
        raise FileNotFoundError(f"no readable picture in {path}; looked for .jpg, .png and "
                                f"{len(endings) - 2} other endings{there}.")
    if unread:
        warnings.warn(f"{sum(map(len, left_out.values()))} file(s) of kinds that are not read: "
                      f"{unread}.", stacklevel=4)
    return found


def _some(words: Sequence[str], between: str = ", ", most: int = 5) -> str:
    """The first few of many, and how many more there are."""
    more = f"{between}and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def _is_picture(path: Path) -> bool:
    """Whether a file without an ending begins as a usual picture does."""
    usual = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
    Image.init()  # else it knows five kinds until it meets another
    try:
        with Image.open(path, formats=[kind for kind in usual if kind in Image.OPEN]):
            return True
    except (OSError, ValueError, SyntaxError):  # what Pillow raises on anything else
        return False


def _remedy(file: Path, ending: str) -> str:
    """What helps with a file that may be meant as a picture and is not read; else nothing."""
    if ending:
        return REMEDIES.get(ending, "")
    try:
        return no_decoder_for(beginning(file))
    except OSError:  # it may not be opened, and nothing says that it is a picture
        return ""


def _share(crop: float | None, classes) -> float:
    """`crop` as `load_images` takes it, checked."""
    if crop is None:
        return CROP if classes is None else 1.0
    if isinstance(crop, bool) or not isinstance(crop, numbers.Real) or not 0 < crop <= 1:
        raise ValueError("crop is the share of a picture's shorter side that is kept, above 0 and "
                         f"at most 1, not {crop!r}.")
    return float(crop)


def _checked_source(picture: _Found, number: int, size: int, crop: float):
    """A path whose file can be read, or the pixels of anything else, cut to `size`."""
    source, name = picture.source, picture.file or f"picture {number}"
    if isinstance(source, Path):
        read_image(source, size=8)  # decoded small: cheap, and finds damage a header hides
        return source
    if isinstance(source, bytes):
        return read_bytes(source, name, size, crop)
    if isinstance(source, np.ndarray):
        if source.shape[:2] == (size, size):
            return source
        source = Image.fromarray(np.clip(source, 0, 255).round().astype("uint8"))
    return np.asarray(centre_crop(to_rgb(source, name), size, crop), "float32")


# --- labels: what a picture shows ---------------------------------------------------------------


def _place(one: _Found, classes: Sequence[str]) -> int:
    """The class of one's own list that a picture's folder is named after.

    What lies above the folder that was given says nothing: it may be called like a class, too.
    """
    path = Path(one.file)
    if isinstance(one.source, Path):
        path = Path(*one.source.absolute().parts[-1 - len(path.parts):])
    return label_by_place(path, classes)


def _labels(labels, found: Sequence[_Found], good: Sequence[int], classes) -> np.ndarray:
    """Class indices of the `good` ones of the pictures found, int (len(good),)."""
    if labels is None:
        return np.array([found[i].label for i in good], int)
    if isinstance(labels, str) and labels == "folders":
        return np.array(_labels_by_folder([found[i] for i in good], classes), int)
    if isinstance(labels, (str, os.PathLike)):
        labels = _read_labels(Path(labels).expanduser())
    if isinstance(labels, pd.Series) and len(labels) and all(
            isinstance(key, (str, os.PathLike)) for key in labels.index):
        labels = _one_label_each(labels.items(), "labels")
    if isinstance(labels, Mapping):
        by_picture = _labels_by_file(labels, found, good, classes)
        return np.array([by_picture.get(i, found[i].label) for i in good], int)
    labels = _in_order(labels)
    if len(labels) not in (len(found), len(good)):
        raise ValueError(f"{len(labels)} labels for {len(found)} picture(s): give one for each, in "
                         "the order of the names, or a mapping from file name to class.")
    one_each = labels if len(labels) == len(good) else [labels[i] for i in good]
    return np.array([label_of(label, classes) for label in one_each], int)


def _in_order(labels) -> list:
    """Labels that are paired with pictures by their places."""
    if isinstance(labels, pd.DataFrame):
        raise ValueError("labels is a table: give two columns of it as a mapping, "
                         'dict(zip(table["file"], table["label"])).')
    if isinstance(labels, Set) and not isinstance(labels, KeysView):
        raise ValueError("labels is a set, which has no order: give a list, in the order of the "
                         "pictures, or a mapping from file name to class.")
    if not isinstance(labels, Iterable) or getattr(labels, "ndim", 1) == 0:
        raise ValueError(f"labels is one class for each picture, not {labels!r}: give a list, "
                         f"[{labels!r}] for one picture.")
    labels = list(labels)
    if any(isinstance(label, (list, tuple)) or getattr(label, "ndim", 0) for label in labels):
        raise ValueError("labels is one class for each picture, not a row for each: give "
                         "np.argmax(labels, axis=1) of one-hot rows, np.ravel(labels) of a column.")
    return labels


def _labels_by_folder(found: Sequence[_Found], own) -> list[int]:
    """Classes by the names of the pictures' folders; other names are a sentence."""
    folders = [one.source.absolute().parent.name if isinstance(one.source, Path) else ""
               for one in found]
    classes, unknown = {}, []
    for name in dict.fromkeys(folders):
        if own is None and re.fullmatch(r"[-+]?\d+", name.strip()):  # whose numbers, nobody knows
            unknown.append(f"{name!r} is a number, not a class's name")
            continue
        try:
            classes[name] = label_of(name, own)
        except ValueError as problem:
            unknown.append(str(problem).rstrip("."))
        else:
            if classes[name] < 0:
                unknown.append("there are pictures without a folder")
    if unknown:
        raise ValueError(f'labels="folders" wants folders named as '
                         f'{"ImageNet " if own is None else ""}classes: '
                         f"{_some(unknown, '; ')}. Rename them, or give labels= otherwise.")
    return [classes[name] for name in folders]


def _read_labels(path: Path) -> dict[str, str]:
    """The columns file and label of a CSV file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of labels {path}; labels is a sequence, a "
                                'mapping, the path of a CSV file, or "folders".')
    lines = _text(path.read_bytes()).splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    head, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)
                   if row] or [[]]
    head = [name.lower() for name in head]
    if not {"file", "label"} <= set(head):
        raise ValueError(f"{path.name} needs a first line that names the columns file and label, "
                         f"not {', '.join(head) or 'an empty one'}.")
    cells = [dict(zip(head, row, strict=False)) for row in rows]
    return _one_label_each([(one.get("file", ""), one.get("label", "")) for one in cells],
                           path.name)


def _text(content: bytes) -> str:
    """A text file as programs write it: UTF-8, UTF-16 with its mark, or Windows's cp1252."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _one_label_each(pairs: Iterable[tuple], source: str) -> dict:
    """File → label, where a file may be named twice but not with two labels."""
    found: dict = {}
    for file, label in pairs:
        if found.setdefault(file, label) != label and label == label:  # NaN is no other label
            raise ValueError(f"{source} gives {file} two labels, {found[file]} and {label}.")
    return found


def _composed(name: str) -> str:
    """A file's name in one spelling of its accents: a Mac writes ä as a and two dots."""
    return unicodedata.normalize("NFC", name)


def _labels_by_file(labels: Mapping, found: Sequence[_Found], good, classes) -> dict[int, int]:
    """Picture number → class, for the files that a mapping names."""
    known: dict[str, list[int]] = {}
    for i, one in enumerate(found):
        path = one.source.as_posix() if isinstance(one.source, Path) else ""
        for name in {*map(_composed, (one.file, Path(one.file).name, one.name, path))} - {""}:
            known.setdefault(name, []).append(i)
    by_picture, strange = {}, []
    for key, label in labels.items():
        if not isinstance(key, (str, os.PathLike)):
            raise ValueError(f"labels maps file names to classes, and {key!r} is no file name.")
        name = _composed(os.fspath(key).replace("\\", "/").removeprefix("./"))
        numbers_ = known.get(name, [])
        exact = [i for i in numbers_ if _composed(found[i].file) == name]
        if len(numbers_) > 1 and len(exact) != 1:
            raise ValueError(f"{len(numbers_)} pictures are called {name}: give the path in the "
                             f"folder, as in {found[numbers_[0]].file!r}.")
        strange += [] if numbers_ else [name]
        for i in exact or numbers_:
            by_picture[i] = label_of(label, classes)
    if not by_picture:
        raise ValueError(f"labels names none of the pictures: it has {_some(strange, most=3)}; the "
                         f"files are {_some([one.file for one in found], most=3)}.")
    without = [found[i].file for i in good if i not in by_picture]
    if strange or without:
        warnings.warn(f"labels names {len(strange)} file(s) that are not among the pictures "
                      f"({_some(strange, most=3) or 'none'}) and leaves out {len(without)} "
                      f"picture(s) ({_some(without, most=3) or 'none'}).", stacklevel=4)
    return by_picture
