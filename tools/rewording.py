"""The report's sentences about VGG16 and ten kernels, said otherwise where they would be untrue."""

from __future__ import annotations

import tomllib
from pathlib import Path

TEXTS = Path(__file__).with_name("rewording.toml")
KINDS = ("unit", "network", "imagenet", "own", "top")  #: what an entry's `when` may be
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def in_words(count):
    """A number as text has it: ten, but 13."""
    return WORDS[count] if 0 <= count < len(WORDS) else str(count)


def entries(path=TEXTS):
    """The entries of the list of texts, in order: dicts of part or paragraph, when, and say.

    Raises
    ------
    ValueError
        An entry that is none.
    """
    found = tomllib.loads(Path(path).read_text("utf-8"))["text"]
    for entry in found:
        if not {"when", "say"} < set(entry) <= {"when", "say", "part", "paragraph"} or (
                len(entry) != 3 or entry["when"] not in KINDS):
            raise ValueError(f"{Path(path).name} has an entry that is none: {entry}.")
    return found


def old_text(entry, source):
    """What an entry replaces in a cell's source; "" if it does not stand there."""
    if "part" in entry:
        return entry["part"] if entry["part"] in source else ""
    return next((paragraph for paragraph in source.split("\n\n")
                 if paragraph.startswith(entry["paragraph"])), "")


def reword(notebook, kinds, words, *, texts=None):
    """Put other texts in the place of those that are not true of what a notebook is run on.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place. A text that it does not have is left out: it may have gone with a cell.
    kinds : collection of str
        Which of `KINDS` hold.
    words : dict of str
        ``network, layer, top``: what is filled in.
    texts : sequence of dict, optional
        `entries()` by default.
    """
    for entry in entries() if texts is None else texts:
        if entry["when"] not in kinds:
            continue
        said = entry["say"]
        for name, word in words.items():
            said = said.replace("{" + name + "}", word)
        for cell in notebook.cells:
            if old := old_text(entry, cell.source):
                cell.source = cell.source.replace(old, said)
