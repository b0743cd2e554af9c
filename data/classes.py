"""Names and coarse groups of the 1,000 ImageNet classes (ILSVRC-2012), without a download."""

import difflib
import json
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent

CLASSES = [tuple(row) for row in json.loads((_HERE / "classes.json").read_text("utf-8"))]
"""(WordNet id, label) of each class, in the order of a classifier's outputs."""


@cache
def groups():
    """Return the coarse groups: disjoint, together all 1,000 classes.

    Returns
    -------
    dict of str to tuple of int
        Group name → class indices, ascending.
    """
    members = json.loads((_HERE / "groups.json").read_text("utf-8"))
    return {name: tuple(indices) for name, indices in members.items()}


def group_of(index):
    """Return the name of the coarse group that holds a class.

    Parameters
    ----------
    index : int
        Class index, 0–999.
    """
    for name, indices in groups().items():
        if index in indices:
            return name
    raise ValueError(f"class index {index} is outside 0–{len(CLASSES) - 1}.")


def find_class(text):
    """Find a class by its label or WordNet id.

    Parameters
    ----------
    text : str
        Label ("great white shark", case and underscores do not matter) or id ("n01484850").

    Returns
    -------
    int
        Class index, 0–999.

    Raises
    ------
    ValueError
        No class, or more than one ("crane" is a bird and a machine), is so called; the
        message names the nearest.
    """
    wanted = _plain(text)
    found = [i for i, names in enumerate(CLASSES) if wanted in map(_plain, names)]
    if len(found) == 1:
        return found[0]
    if found:
        options = " or ".join(f"{CLASSES[i][0]} (class {i}, {group_of(i)})" for i in found)
        raise ValueError(f"'{text}' names {len(found)} classes; say which: {options}.")
    raise ValueError(f"no ImageNet class is called '{text}'; {_suggestion(wanted)}.")


def _plain(text):
    return text.strip().replace("_", " ").lower()


def _suggestion(wanted):
    """Name labels that contain the wanted word, or else are spelt like it."""
    labels = {_plain(label): label for _, label in CLASSES}
    near = [label for plain, label in labels.items() if wanted and wanted in plain][:5]
    near = near or [labels[plain] for plain in difflib.get_close_matches(wanted, labels, 5, 0.5)]
    return f"near it: {', '.join(near)}" if near else "see data/classes.json for the 1,000 labels"
