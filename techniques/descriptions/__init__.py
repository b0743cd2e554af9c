"""Descriptions that predict: what a filter answers to, in a few things that can be drawn.

A description is at most eight signed parts. Each names a thing - a bar, a curve, a net, ... with
orientation, size, tone, colour and place - and says how much likeness to it adds to the answer.
From it follow a sentence, a printed text, and a prediction for any patch of a photograph,
without the network; from the text follows the same description again.

In this order: ``things`` (things in words, and drawn), ``bank`` (a fixed way to look at a patch),
``describing`` (how parts are chosen), ``scores`` (what a description is worth on photographs that
nobody used), ``figures``.
"""

from techniques.descriptions import scores
from techniques.descriptions.bank import SMALLEST_FIELD, Bank, bank
from techniques.descriptions.describing import (
    PARTS,
    Describer,
    Description,
    Part,
    from_text,
    part,
    predictions,
)
from techniques.descriptions.figures import maps, plot_maps, plot_parts
from techniques.descriptions.things import NOUNS, Thing, alike, look_alike, thing, things_of

__all__ = [
    "Bank", "bank", "SMALLEST_FIELD", "Description", "Part", "Describer", "from_text", "part",
    "predictions", "PARTS", "Thing", "thing", "things_of", "NOUNS", "alike", "look_alike",
    "scores", "maps", "plot_maps", "plot_parts",
]
