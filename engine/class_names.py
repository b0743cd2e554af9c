"""Classes by name: ImageNet's thousand, or a user's own list, and labels given in either."""

from __future__ import annotations

import difflib
import numbers
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data import classes as imagenet

IMAGENET = len(imagenet.CLASSES)  #: how many classes ImageNet has


def as_classes(given) -> tuple[str, ...] | None:
    """A user's list of classes, in the order of a classifier's outputs.

    Parameters
    ----------
    given : None, sequence of str, or path
        Names; a text file with one on each line; or a folder: the folders in it, in the order of
        their names, as Keras's ``image_dataset_from_directory`` numbers them.

    Raises
    ------
    ValueError
        No names, names that are not text, or one name twice.
    FileNotFoundError
        Neither such a file nor such a folder.
    """
    if given is None:
        return None
    if isinstance(given, (str, os.PathLike)):
        given = _read(Path(given).expanduser())
    names = list(given)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("classes are names, in the order of the classifier's outputs: "
                         f"classes=['cat', 'dog'], not {given!r}.")
    names = [name.strip() for name in names]
    twice = [name for name in names if sum(_plain(name) == _plain(one) for one in names) > 1]
    if twice:
        raise ValueError(f"classes has {twice[0]!r} twice: each class needs a name of its own.")
    return tuple(names)


def _read(path: Path) -> list[str]:
    """The lines of a text file, or the folders of a folder."""
    if path.is_dir():
        return sorted(one.name for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of class names {path}; classes is a list of "
                                "names, a text file with one on each line, or a folder whose "
                                "folders are named after them.")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is no text in UTF-8; write one class name on each "
                         "line.") from None
    return [line for line in lines if line.strip()]


def check_count(classes: Sequence[str] | None, count: int, name: str) -> None:
    """Refuse a list of classes that is not as long as a network's row of logits."""
    if classes is not None and len(classes) != count:
        raise ValueError(f"classes has {len(classes)} names, but {name} ends in {count} classes: "
                         "give one name for each, in the order of its outputs.")


def entry(index: int, classes: Sequence[str] | None) -> tuple[str, str]:
    """(WordNet id, name) of a class; the id is empty in a list of one's own."""
    return imagenet.CLASSES[index] if classes is None else ("", classes[index])


def group_of(index: int, classes: Sequence[str] | None) -> str:
    """ImageNet's coarse group of a class; in a list of one's own each class is its own group."""
    return imagenet.group_of(index) if classes is None else classes[index]


def find_class(text: str, classes: Sequence[str] | None = None) -> int:
    """The index of a class given by name (case and underscores do not matter) or WordNet id.

    Raises
    ------
    ValueError
        No class is so called; the message names the nearest.
    """
    if classes is None:
        return imagenet.find_class(text)
    plain = [_plain(name) for name in classes]
    if _plain(text) in plain:
        return plain.index(_plain(text))
    near = difflib.get_close_matches(_plain(text), plain, 5, 0.5)
    listed = [classes[plain.index(one)] for one in near] or list(classes[:10])
    raise ValueError(f"no class of this network is called {text!r}; "
                     f"{'near it' if near else 'there are'}: {', '.join(listed)}"
                     f"{'' if near or len(classes) <= 10 else ', ...'}.")


def _plain(text: str) -> str:
    return text.strip().replace("_", " ").lower()


def label_of(label, classes: Sequence[str] | None = None) -> int:
    """A class given as an index, a WordNet id or a name; −1 for none."""
    text = label.strip() if isinstance(label, str) else label
    if text is None or text == "" or text != text:  # NaN, as pandas writes an empty cell
        return -1
    named = classes is not None and isinstance(text, str) and any(
        _plain(text) == _plain(name) for name in classes)  # "7" may be a name
    if named or isinstance(text, str) and not re.fullmatch(r"-?\d+", text):
        wnid = text[:9] if classes is None and re.match(r"n\d{8}(?!\d)", text) else text
        return find_class(wnid, classes)
    count = IMAGENET if classes is None else len(classes)
    number = isinstance(text, (str, numbers.Real, np.generic)) and not isinstance(text, bool)
    if not number or int(text) != float(text) or not -1 <= int(text) < count:
        raise ValueError(f"a label is a class index from 0 to {count - 1} (−1: unknown), "
                         f"{'a WordNet id ' if classes is None else ''}or a class's name, not "
                         f"{label!r}.")
    return int(text)


def label_by_place(path: Path, classes: Sequence[str] | None = None) -> int:
    """The class that a picture's place names: a folder above it, or for ImageNet a WordNet id.

    −1 without one. The nearest folder that is named after a class counts.
    """
    if classes is None:
        for text in (path.stem, path.parent.name):
            if text[:9] in _BY_WNID and not text[9:10].isdecimal():
                return _BY_WNID[text[:9]]
        return -1
    plain = {_plain(name): index for index, name in enumerate(classes)}
    return next((plain[_plain(part)] for part in path.parent.parts[::-1] if _plain(part) in plain),
                -1)


_BY_WNID = {wnid: index for index, (wnid, _) in enumerate(imagenet.CLASSES)}
