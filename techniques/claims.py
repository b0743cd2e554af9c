"""Claims that could fail: a hypothesis made by rule, its predictions, and their verdicts.

The order is the point. What was seen on half A of the pictures becomes a hypothesis
(`hypothesise`); the hypothesis becomes predictions, each with the number that would support it
and the number that would refute it; only then do tests on half B produce findings, and `judge`
compares the two. Nobody writes a verdict by hand, so prose and numbers cannot drift apart.
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

    def judge(self, number: float) -> str:
        """Supported, refuted or undecided by a number; undecided for none (NaN)."""
        sign = 1 if self.grows else -1
        if np.isnan(number):
            return UNDECIDED
        if sign * number >= sign * self.supported:
            return SUPPORTED
        return REFUTED if sign * number <= sign * self.refuted or (
            self.supported == self.refuted) else UNDECIDED


@dataclass(frozen=True)
class Finding:
    """What a test gave.

    Attributes
    ----------
    number : float
        NaN if the test could not be made.
    control : float
        The same number for the control that the prediction names.
    random : float
        The same test on a network with random weights (NaN: not made).
    words : str
        Said beside the number, e.g. why there is none.
    approximate : bool
        Whether the number comes out of an ascent, whose last digits depend on the processor.
    """

    number: float
    control: float = np.nan
    random: float = np.nan
    words: str = ""
    approximate: bool = False


def judge(predictions: Sequence[Prediction], findings: Mapping[str, Finding]) -> pd.DataFrame:
    """Hold findings against predictions.

    Returns
    -------
    DataFrame, one row a prediction
        ``about, claim, demanded, found, control, random weights, verdict, core``, and
        ``random too``: would random weights support the claim as well? A prediction without a
        finding is undecided.

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
        near = "≈ " if found.approximate else ""
        said = ["–" if np.isnan(n) else near + p.form.format(n)
                for n in (found.number, found.control, found.random)]
        said[0] = f"{said[0]} ({found.words})" if found.words else said[0]
        rows.append((p.about, p.claim, p.demanded, *said, p.judge(found.number), p.core,
                     p.judge(found.random) == SUPPORTED))
    return pd.DataFrame(rows, columns=["about", "claim", "demanded", "found", "control",
                                       "random weights", "verdict", "core", "random too"])


def verdict(table: pd.DataFrame) -> str:
    """The hypothesis's verdict by rule.

    *Refuted* if one of its core claims is; *supported* if at least one core claim is supported,
    none is undecided, and no more of the other claims are refuted than supported; else
    *undecided*.
    """
    is_core = table["core"].astype(bool)  # an empty table's column is not
    core, other = table[is_core], table[~is_core]
    if (core.verdict == REFUTED).any():
        return REFUTED
    sound = len(core) and (core.verdict == SUPPORTED).all()
    others_hold = (other.verdict == SUPPORTED).sum() >= (other.verdict == REFUTED).sum()
    return SUPPORTED if sound and others_hold else UNDECIDED


def predictions_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """What stands before the tests: claim, test, control, the demanded number."""
    return pd.DataFrame([(p.about, p.claim, p.test, p.control, p.demanded) for p in predictions],
                        columns=["about", "claim", "test", "control", "demanded"])


# --- a hypothesis by rule -----------------------------------------------------------------------


@dataclass(frozen=True)
class Hypothesis:
    """What a filter is taken to answer to, and what follows from it.

    Attributes
    ----------
    text : str
        One sentence, made from `properties` and `groups`.
    properties : dict
        From the tuning: see ``stimuli.Summary.properties``.
    groups : tuple of str
        Groups of classes that led clearly in half A.
    predictions : tuple of Prediction
    """

    text: str
    properties: dict[str, str]
    groups: tuple[str, ...]
    predictions: tuple[Prediction, ...]


#: What a property of the tuning says about patches of real pictures: (property, its value) →
#: (alteration, whether the response survives it, the claim).
ALTERED = {
    ("orientation", "invariant"): ("turned", True, "orientation does not matter"),
    ("orientation", "selective"): ("turned", False, "orientation matters"),
    ("polarity", "dark"): ("inverted", False, "dark must be dark"),
    ("polarity", "light"): ("inverted", False, "light must be light"),
    ("colour", "invariant"): ("grey", True, "colour does not matter"),
    ("colour", "chromatic"): ("grey", False, "colour matters"),
}

#: How the sentence names a property; what is missing here is left out of it.
WORDS = {
    ("orientation", "invariant"): "in any orientation",
    ("orientation", "selective"): "in one orientation",
    ("polarity", "dark"): "dark on light",
    ("polarity", "light"): "light on dark",
    ("colour", "invariant"): "whatever the colour",
    ("colour", "chromatic"): "in the right colour",
}

#: Families of stimuli whose name alone is no noun.
THINGS = {
    "coloured": "a coloured figure",
    "colour pair": "an edge between two colours",
    "high-low": "a boundary between fine and coarse stripes",
    "patch": "a uniform patch",
}


def hypothesise(
    layer: str, filter: int, properties: Mapping[str, str], groups: Sequence[str], *,
    top: int = 10, channels: int = 256,
) -> Hypothesis:
    """A hypothesis about a filter that nobody has looked at, from what half A showed.

    Parameters
    ----------
    properties : mapping
        ``stimuli.summary(...).properties`` with real pictures of half A as reference.
    groups : sequence of str
        Groups of classes that respond clearly more than the others in half A.
    top : int
        How many kernels are ranked (all, if there are fewer).
    channels : int
        How many kernels there are.
    """
    groups, top = tuple(groups), min(top, channels)
    known = [(k, v) for k, v in properties.items() if (k, v) in ALTERED]
    core = [_altered(*ALTERED[item], name=item[0]) for item in known]
    if properties.get("family") != "patch":
        core.append(Prediction(
            "arrangement", "how the parts are arranged matters, not their spectrum alone", LOSES,
            KEEPS, "share of the response kept when phases are random", "other filters, median"))
    if groups:
        core.append(Prediction(
            "classes", f"among photographs, {_listed(groups)} excite it more than others", 0.05,
            0.5, "permutation p in half B", "random groups of as many classes", True, "{:.3f}"))
    thing = _thing(properties.get("family", "none"))
    said = ", ".join([thing, *(WORDS[item] for item in known)])
    where = f"; among photographs most of all to {_listed(groups)}" if groups else (
        "; no group of classes leads")
    return Hypothesis(f"Filter {filter} of {layer} answers to {said}{where}.", dict(properties),
                      groups, (*core, *_mechanism(properties, top, channels)))


def _thing(family: str) -> str:
    """A family of stimuli as the sentence names it."""
    if family == "none":
        return "no drawn stimulus in particular"
    article = "an" if family[0] in "aeiou" else "a"
    return "something like " + THINGS.get(family, f"{article} {family}")


def _altered(way: str, survives: bool, claim: str, *, name: str) -> Prediction:
    good, bad = (KEEPS, LOSES) if survives else (LOSES, KEEPS)
    done = {"turned": "turned by 90°", "inverted": "exchanged dark for light",
            "grey": "turned grey"}[way]
    return Prediction(name, claim, good, bad,
                      f"share of the response kept when the strongest patches are {done}",
                      "other filters, median", True)


def _mechanism(properties: Mapping[str, str], top: int, channels: int) -> list[Prediction]:
    """Claims about how the filter is built, the same for every filter but for the family."""
    made = [
        Prediction("cut", f"the {top} strongest kernels by L2 carry the response", BEYOND, WITHIN,
                   "share of random sets of as much weight that cost less (%)",
                   "the first by contribution instead", form="{:.0f}"),
        Prediction("ranking", "L2 finds the edges that matter", 0.5, 0.2,
                   f"share of L2's first {top} among the first {top} by contribution",
                   f"by chance, {top} of {channels}"),
        Prediction("signs", "upstream pictures push the way their kernels say", 0.8, 0.6,
                   "share on the right side of random channels' median", "by chance: 0.5"),
        Prediction("inhibition", "inhibition keeps other things out", BEYOND, WITHIN,
                   "share of random cuts of as much weight that let in less at random places (%)",
                   "% of places over the old 99th percentile after a random cut", form="{:.0f}"),
        Prediction("one cause", "its causes are one or related (not polysemantic)", 1, 0,
                   "1: one or related, 0: unrelated clusters of patches", "clouds without clusters",
                   form="{:.0f}"),
        Prediction("use", "later layers use it: class scores change when it is silenced", BEYOND,
                   50.0, "percentile of the change among other filters", "50 by chance",
                   form="{:.0f}"),
    ]
    if properties.get("orientation") == "selective":
        made.append(Prediction("family", "it belongs to a family of turned variants", 1, 0,
                               "1: by rule a family, 0: none", "all pairs of the layer",
                               form="{:.0f}"))
    if properties.get("orientation") == "invariant":
        made.append(Prediction("own turns", "it answers to turned pictures as to upright ones",
                               0.7, 0.5, "lowest correlation with itself over turns and flips",
                               "median pair of different filters"))
    return made


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def group_p(
    table: pd.DataFrame, member: np.ndarray, *, permutations: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Do some classes excite a filter more than others? (effect, p), one-sided.

    Parameters
    ----------
    table : DataFrame
        Rows of `vizutils.class_table`.
    member : bool ndarray
        Which rows belong to the classes in question.

    Returns
    -------
    effect : float
        Their mean response, in standard deviations above the mean of all rows.
    p : float
        Share of random sets of as many rows that reach it (never 0: the observed one counts).
        Both are NaN if none or all of the rows are members.
    """
    member = np.asarray(member, bool)
    if not 0 < member.sum() < len(member):
        return np.nan, np.nan
    score = table["mean"].to_numpy("float64")
    score = (score - score.mean()) / max(score.std(), 1e-12)
    rng = np.random.default_rng(seed)
    shuffled = np.array([rng.choice(score, member.sum(), replace=False).mean()
                         for _ in range(permutations)])
    effect = score[member].mean()
    return float(effect), float((1 + (shuffled >= effect - 1e-12).sum()) / (permutations + 1))
