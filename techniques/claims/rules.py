"""What a prediction, a finding and a verdict are, and the bounds that decide between them.

A prediction carries the number that would support it and the number that would refute it. Tests
produce findings, and `judge` compares the two: nobody writes a verdict by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"

#: A unit that keeps this share of its response to altered patches does not mind the alteration ...
KEEPS = 0.7
#: ... and one that keeps no more than this does; between the two nothing is decided.
LOSES = 0.5
#: Percentile among matched controls that counts as more than chance, and one that does not.
BEYOND, WITHIN = 95.0, 80.0
#: A claim that this share of the layer's other filters passes decides nothing.
COMMON = 0.5


@dataclass(frozen=True)
class Prediction:
    """A claim, and the numbers that would support or refute it, written down before the test.

    Attributes
    ----------
    about : str
        Short name, by which a finding is matched to it.
    claim : str
        What is claimed, as half a sentence.
    supported, refuted : float
        The claim is supported from `supported` on and refuted from `refuted` on, in the
        direction that leads from the one to the other; between them it is undecided. Equal
        numbers: supported at that number and beyond it - above it (`more`) or below - and
        refuted on its other side.
    test, control : str
        How it is tested, and what stands beside the number.
    core : bool
        Whether it says what the unit answers to (the hypothesis itself) or how that is made.
    form : str
        How the number is printed, e.g. ``"{:.2f}"``.
    more : bool
        Only for equal bounds: whether large numbers support.
    """

    about: str
    claim: str
    supported: float
    refuted: float
    test: str
    control: str
    core: bool = False
    form: str = "{:.2f}"
    more: bool = True

    @property
    def grows(self) -> bool:
        """Whether large numbers support the claim."""
        return self.more if self.supported == self.refuted else self.supported > self.refuted

    @property
    def demanded(self) -> str:
        """The two bounds in words."""
        good, bad = (self.form.format(bound) for bound in (self.supported, self.refuted))
        one, other = ("≥", "≤") if self.grows else ("≤", "≥")
        if self.supported == self.refuted:
            other = "<" if self.grows else ">"
        return f"{one} {good} (refuted: {other} {bad})"

    def judge(self, number: float, low: float = np.nan, high: float = np.nan) -> str:
        """Supported, refuted or undecided by a number; undecided for none (NaN).

        With an interval, the claim is supported only if all of it lies beyond `refuted`, and
        refuted only if none of it reaches `supported`.
        """
        sign = 1 if self.grows else -1
        if np.isnan(number):
            return UNDECIDED
        worst, best = (low, high) if self.grows else (high, low)
        if sign * number >= sign * self.supported:
            sure = np.isnan(worst) or sign * worst > sign * self.refuted
            return SUPPORTED if sure else UNDECIDED
        if sign * best >= sign * self.supported:
            return UNDECIDED
        return REFUTED if sign * number <= sign * self.refuted or (
            self.supported == self.refuted) else UNDECIDED


@dataclass(frozen=True)
class Finding:
    """What a test gave.

    Attributes
    ----------
    number : float
        NaN if the test could not be made.
    low, high : float
        Interval over pictures (5th to 95th percentile); NaN where none was made.
    base : float
        Share of the layer's other filters that pass the same claim (NaN: not known).
    control : float
        The same number for the control that the prediction names.
    random : Finding or None
        What the same test gave on a network with random weights.
    words : str
        Said beside the number, e.g. why there is none.
    approximate : bool
        Whether the number comes out of an ascent, whose last digits depend on the processor.
    """

    number: float
    control: float = np.nan
    random: Finding | None = None
    words: str = ""
    approximate: bool = False
    low: float = np.nan
    high: float = np.nan
    base: float = np.nan

    def said(self, form: str) -> str:
        """The number, with its interval if it has one, as ``≈ 0.21 [0.05, 0.43]``; "–" if none."""
        if np.isnan(self.number):
            return "–"
        between = "" if np.isnan(self.low) else (
            f" [{form.format(self.low)}, {form.format(self.high)}]")
        return f"{'≈ ' * self.approximate}{form.format(self.number)}{between}"


def judge(predictions: Sequence[Prediction], findings: Mapping[str, Finding]) -> pd.DataFrame:
    """Hold findings against predictions.

    Returns
    -------
    DataFrame, one row a prediction
        ``about, claim, demanded, found`` (with its interval), ``control, random weights, others
        pass`` (share of the layer's other filters that pass the same claim), ``verdict, core``;
        ``random too``: would random weights support the claim as well?; ``counts``: not where
        half of the others pass (`COMMON`). A prediction without a finding is undecided.

    Raises
    ------
    ValueError
        A finding that nothing predicted: predictions come first.
    """
    unasked = set(findings) - {p.about for p in predictions}
    if unasked:
        raise ValueError(f"no prediction was made about {', '.join(sorted(unasked))}.")
    rows = []
    for p in predictions:
        found = findings.get(p.about, Finding(np.nan, words="not tested"))
        random = found.random or Finding(np.nan)
        control = Finding(found.control, approximate=found.approximate)
        others = Finding(100 * found.base, approximate=found.approximate).said("{:.0f} %")
        words = f" ({found.words})" * bool(found.words)
        rows.append((p.about, p.claim, p.demanded, found.said(p.form) + words,
                     control.said(p.form), random.said(p.form), others,
                     p.judge(found.number, found.low, found.high), p.core,
                     p.judge(random.number, random.low, random.high) == SUPPORTED,
                     not found.base >= COMMON))
    return pd.DataFrame(rows, columns=["about", "claim", "demanded", "found", "control",
                                       "random weights", "others pass", "verdict", "core",
                                       "random too", "counts"])


def verdict(table: pd.DataFrame) -> str:
    """The hypothesis's verdict by rule, from the core claims that count.

    *Refuted* if one of them is; *supported* if there is at least one, all are supported, and a
    causal claim is among them if one was made (``edges``); else *undecided*. Claims about how a
    filter is built are judged one by one and do not change what it answers to.
    """
    core = table[table["core"].astype(bool)]  # an empty table's column is not
    causal = "edges" in core["about"].to_list() if "about" in core else False
    core = core[core["counts"].astype(bool)] if "counts" in core else core
    if (core["verdict"] == REFUTED).any():
        return REFUTED
    sound = len(core) and (core["verdict"] == SUPPORTED).all()
    return SUPPORTED if sound and (not causal or "edges" in core["about"].to_list()) else UNDECIDED


def predictions_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """What stands before the tests: claim, test, control, the demanded number."""
    return pd.DataFrame([(p.about, p.claim, p.test, p.control, p.demanded) for p in predictions],
                        columns=["about", "claim", "test", "control", "demanded"])
