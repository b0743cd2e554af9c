"""Claims that could fail: a hypothesis, its predictions, and a verdict with an error rate.

The order is the point. What was seen on half A of the pictures becomes a hypothesis
(``hypotheses``): a description in a few drawn things, the edges that make the answer, and
predictions, each with the number that would support it and the number that would refute it. Only
then do tests on half B (``evidence``) produce findings, and ``rules`` compares the two. Nobody
writes a verdict by hand, so prose and numbers cannot drift apart.

A claim is worth what it separates: ``against_layer`` puts the same claim to every other filter of
the layer, and a claim that most of them pass does not count. A verdict is worth its error rate:
``swap`` says for how many other filters the same hypothesis would be supported.
"""

from techniques.claims.against_layer import (
    Numbers,
    Swap,
    base_rates,
    core_findings,
    judged,
    numbers,
    swap,
    swapped,
    verdicts,
)
from techniques.claims.evidence import EACH, EACH_A, Evidence, gather, of_half_a, of_half_b
from techniques.claims.hypotheses import (
    CORE,
    DIRECTIONS,
    EDGES,
    Hypothesis,
    about_layer,
    by_hand,
    group_p,
    hypothesise,
    without_strongest,
)
from techniques.claims.rates import error_rate, measured, passed_by
from techniques.claims.rules import (
    BEYOND,
    COMMON,
    KEEPS,
    LOSES,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    WITHIN,
    Finding,
    Prediction,
    judge,
    predictions_table,
    verdict,
)

__all__ = [
    "SUPPORTED", "REFUTED", "UNDECIDED", "KEEPS", "LOSES", "BEYOND", "WITHIN", "COMMON",
    "Prediction", "Finding", "judge", "verdict", "predictions_table", "Hypothesis", "hypothesise",
    "by_hand", "about_layer", "group_p", "without_strongest", "CORE", "DIRECTIONS", "EDGES",
    "Evidence", "gather", "of_half_a", "of_half_b", "EACH", "EACH_A", "Numbers", "numbers",
    "judged", "base_rates", "verdicts", "Swap", "swap", "swapped", "core_findings", "error_rate",
    "measured", "passed_by",
]
