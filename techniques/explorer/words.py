"""What a filter can be found by: words for its properties, and numbers to sort by.

Every word comes from a rule that stands elsewhere (`stimuli.Summary.properties`, `claims.verdict`,
`vizutils.group_table`); this file only says how a reader would name it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from techniques.explorer.weights import Groups, Inputs, Readers
from techniques.layer_pass import LayerPass

#: A property of the tuning and its value → the word for it; what is missing has none.
PROPERTIES = {
    "polarity": {"dark": "dark", "light": "light", "between": "either polarity"},
    "orientation": {"invariant": "any orientation", "selective": "one orientation"},
    "curvature": {"curved": "curved", "straight": "straight"},
    "colour": {"invariant": "any colour", "chromatic": "coloured"},
}
#: What each kind of tag is called above its choice.
TAGS = {"kernels": "kernels", "group": "classes it prefers", "family": "answers best to",
        "polarity": "polarity", "orientation": "orientation", "curvature": "curvature",
        "colour": "colour", "variants": "turned variants", "verdict": "verdict"}
MOST = 6  #: of ten kernels of one kind that name the filter's
#: What each measure is called, and how many digits after the point are shown.
MEASURES = {
    "share": ("weight in its ten largest kernels (%)", 0),
    "outgoing": ("weight with which it is read (percentile)", 0),
    "group": ("clearest group of classes (SD)", 2),
    "percentile": ("its picture among photographs (percentile)", 0),
    "r": ("r of its description on new pictures", 2),
    "score": ("best drawn stimulus (SD)", 1),
    "given": ("response that its ten largest kernels give (%)", 0),
    "elsewhere": ("other filters its hypothesis fits", 0),
}


def kernels_word(kinds: Sequence[str]) -> str:
    """What a filter's ranked kernels are, mostly."""
    for kind in ("mostly excitatory", "mostly inhibitory"):
        if len(kinds) and sum(one == kind for one in kinds) >= MOST / 10 * len(kinds):
            return kind.removeprefix("mostly ") + " kernels"
    return "mixed kernels"


def tags(
    found: Inputs, groups: Groups | None, analysed: LayerPass | None, *, top: int = 10,
) -> dict[str, list[list[str]]]:
    """Words for each filter of a layer, by kind of tag: a list of words a filter.

    Kinds of which nothing is known are left out.
    """
    filters = range(found.l2.shape[1])
    named = {"kernels": [[kernels_word([found.kind[c, f] for c in found.ranked(f, top)])]
                         for f in filters]}
    if groups is not None:
        named["group"] = [groups.clear(f) for f in filters]
    if analysed is None:
        return named
    rows = dict(zip(analysed.filters, analysed.rows, strict=True))
    for kind, words in PROPERTIES.items():
        named[kind] = [[words[value]] if f in rows and (
            value := rows[f]["properties"].get(kind)) in words else [] for f in filters]
    known = {"family": lambda row: [] if row["family"] == "none" else [row["family"]],
             "variants": lambda row: ["family of turned variants"]
             if row["family rule"] == "family" else [],
             "verdict": lambda row: [row["verdict"]]}
    return named | {kind: [read(rows[f]) if f in rows else [] for f in filters]
                    for kind, read in known.items()}


def texts(groups: Groups | None, analysed: LayerPass | None, filters: int) -> list[str]:
    """What is searched besides the tags: the classes it answers to most, and its hypothesis."""
    said = [""] * filters if groups is None else [
        ", ".join(names).replace("_", " ") for names in groups.classes]
    for f, row in () if analysed is None else zip(analysed.filters, analysed.rows, strict=True):
        said[f] += " · " + re.sub(r"^Filter \d+ of \S+ ", "", row["hypothesis"])
    return said


def measures(
    found: Inputs, read: Readers, groups: Groups | None, analysed: LayerPass | None,
    percentile: Sequence[float] | None, *, top: int = 10,
) -> dict[str, list[float | None]]:
    """Numbers of each filter to sort by, by the names of `MEASURES`; None where not known."""
    filters = range(found.l2.shape[1])
    ranked = [found.ranked(f, top) for f in filters]
    numbers = {"share": [100 * found.share(f, ranked[f]) for f in filters],
               "outgoing": read.percentile, "percentile": percentile}
    if groups is not None:
        numbers["group"] = groups.difference.max(1)
    if analysed is not None:
        rows = dict(zip(analysed.filters, analysed.rows, strict=True))
        for name in ("r", "score", "elsewhere"):
            numbers[name] = [rows[f][name] if f in rows else np.nan for f in filters]
        at = {f: i for i, f in enumerate(analysed.filters)}
        numbers["given"] = [
            100 * float(analysed.gives[ranked[f], at[f]].sum() / analysed.response[at[f]])
            if f in at and analysed.response[at[f]] > 0 else np.nan for f in filters]
    return {name: [rounded(v, MEASURES[name][1] + 1) for v in numbers[name]]
            for name in MEASURES if numbers.get(name) is not None}


def rounded(value, digits: int) -> float | None:
    """With `digits` after the point; None for what is no number."""
    return round(float(value), digits) if value is not None and np.isfinite(value) else None
