"""A hypothesis by rule: what half A showed becomes a sentence, and predictions for half B."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from techniques.claims.rules import BEYOND, KEEPS, LOSES, WITHIN, Prediction
from techniques.descriptions import Description, from_text, predictions
from techniques.descriptions.scores import correlations

CLAIMED = 0.1  #: r that half A must lose by an exchange for a direction to be claimed
EDGES = 10  #: edges that a hypothesis names

#: The core claims of a hypothesis with a description: what it answers to, each of them judged on
#: every filter of the layer, and what makes it answer. Gains are differences of Pearson's r.
CORE = {p.about: p for p in (
    Prediction("predicts", "the description predicts this filter better than most others of the "
               "layer", BEYOND, WITHIN, "share of the layer's filters that it predicts less well, "
               "by r at random places (%)", "by chance: 50", True, "{:.0f}"),
    Prediction("noun", "the form it likes most, or a look-alike, is needed to predict", 0.03, 0.0,
               "r less that of the best description by other forms (by hand: of the same list with "
               "other nouns)", "0: no difference", True),
    Prediction("contrast", "dark and light are as it says", 0.03, 0.0,
               "r less that with dark for light", "0: no difference", True),
    Prediction("angle", "orientations are as it says", 0.03, 0.0,
               "r less that turned by 90° to the left or right (the better)", "0: no difference",
               True),
    Prediction("hue", "colours are as it says", 0.02, 0.0,
               "r less that in opposite colours", "0: no difference", True),
    Prediction("edges", "the edges it names give much of the answer", 0.2, 0.1,
               "share of the response above its mean that they give at its strongest places",
               "other filters with the same edges, median", True),
)}
DIRECTIONS = ("contrast", "angle", "hue")  #: claimed only where half A says that they matter
#: What the claims about directions exchange in a description; the best exchange is the control.
EXCHANGED = {"contrast": (Description.inverted,),
             "angle": (lambda one: one.turned(90), lambda one: one.turned(270)),
             "hue": (Description.recoloured,)}


@dataclass(frozen=True)
class Hypothesis:
    """What a filter is taken to answer to, and what follows from it.

    Attributes
    ----------
    text : str
        What it answers to, in a sentence.
    properties : dict
        From the tuning: see ``stimuli.Summary.properties``.
    groups : tuple of str
        Groups of classes that led clearly in half A.
    predictions : tuple of Prediction
    description : descriptions.Description or None
        The signed parts that predict its answers; None where a field is too small for any.
    edges : tuple of int
        Input channels that are said to make the answer, most first.
    rivals : tuple of Description
        What its noun must predict better than.
    """

    text: str
    properties: dict[str, str]
    groups: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    description: Description | None = None
    edges: tuple[int, ...] = ()
    rivals: tuple[Description, ...] = ()

    def with_description(self, description: Description) -> Hypothesis:
        """The same claims and edges about another description: a swap, an opposite, ..."""
        return dataclasses.replace(self, description=description, text=description.sentence,
                                   rivals=tuple(description.rivals()))

    def with_wrong_nouns(self, seed: int = 0) -> Hypothesis | None:
        """The same, with other nouns drawn at random, and claiming them; None without a noun."""
        if not self.description.main_form:
            return None
        told = {p.about for p in self.predictions} | {"noun"}
        wrong = self.with_description(self.description.with_wrong_nouns(seed))
        return dataclasses.replace(wrong, predictions=tuple(
            p for about, p in CORE.items() if about in told))

    def opposites(self) -> dict[str, Hypothesis]:
        """For each direction that it claims (contrast, angle), the hypothesis that denies it."""
        claimed = {p.about for p in self.predictions}
        return {about: self.with_description(EXCHANGED[about][0](self.description))
                for about in ("contrast", "angle") if about in claimed}


def by_hand(
    text: str, edges: Sequence[int], *, directions: Sequence[str] = DIRECTIONS,
) -> Hypothesis:
    """Your own hypothesis: a description in words, and the edges that make the answer.

    Parameters
    ----------
    text : str
        As `descriptions.from_text` reads it: a line with layer, filter and field, then a line a
        part.
    edges : sequence of int
        Input channels.
    directions : sequence of str
        Which of `DIRECTIONS` you claim; one that nothing in the description has (the hue of a
        grey thing, the angle of a disc) is left out.

    Examples
    --------
    >>> by_hand('''block3_conv2 filter 36, field 32 px
    ... +1 dark curve; orientation 75°; width 4 px; radius 16 px''', [1, 2]).edges
    (1, 2)

    Raises
    ------
    ValueError
        Words that name no thing, an unknown direction, no edge or one that is named twice.
    """
    directions = (directions,) if isinstance(directions, str) else tuple(directions)
    wrong = set(directions) - set(DIRECTIONS)
    if wrong:
        raise ValueError(f"directions are of {', '.join(DIRECTIONS)}, not "
                         f"{', '.join(map(str, wrong))}.")
    try:
        edges = tuple(map(operator.index, edges))
    except TypeError:
        raise ValueError("edges are input channels, whole numbers, as in edges=[222, 198]; not "
                         f"{edges!r}.") from None
    if not edges:
        raise ValueError("name at least one edge: a verdict needs a claim about what makes the "
                         "answer.")
    if len(set(edges)) < len(edges) or min(edges) < 0:
        raise ValueError("an edge is an input channel, 0 or more, and is named once; not "
                         f"{', '.join(map(str, edges))}.")
    description = from_text(text)
    if not description.parts:
        raise ValueError("name at least one thing, as in '+1 dark disc; radius 4 px'.")
    told = {about for about in directions if any(
        change(description).things != description.things for change in EXCHANGED[about])}
    made = {"predicts", "edges"} | told | ({"noun"} if description.main_form else set())
    return Hypothesis(description.sentence, {}, (), tuple(
        p for about, p in CORE.items() if about in made), description, edges,
        tuple(description.rivals()))


def about_layer(
    evidence, described: Sequence[Description], rivals: Sequence[Sequence[Description]],
) -> list[Hypothesis]:
    """Hypotheses by rule from descriptions: nouns, directions and edges as half A shows them.

    Parameters
    ----------
    evidence : Evidence
        Of half A, from which `described` was made.
    described : sequence of Description
    rivals : sequence of sequences of Description
        For each, the best descriptions by other forms.
    """
    filters = [one.filter for one in described]
    at = np.arange(len(filters)), filters
    answers = evidence.answers

    def r(changed):
        return correlations(predictions(changed, evidence.features), answers)[at]

    own = r(described)
    lost = {about: own - np.max([r([change(one) for one in described]) for change in changes], 0)
            for about, changes in EXCHANGED.items()}
    lost["noun"] = np.array([
        loss if one.main_form and others else -np.inf for one, others, loss in zip(
            described, rivals, own - _best(r, described, rivals), strict=True)])
    made = []
    for i, one in enumerate(described):
        about = {"predicts", "edges", *(name for name, loss in lost.items() if loss[i] >= CLAIMED)}
        if not one.parts:
            about = set()  # nothing is said, so nothing is claimed
        text = one.sentence
        if one.main_form and "noun" not in about:
            text = f"{text[:-1]}; other forms predict it nearly as well."
        free = [name for name, changes in EXCHANGED.items() if name not in about and any(
            change(one).things != one.things for change in changes)]
        if free:
            text = f"{text[:-1]}; not claimed: its {' and its '.join(free)}."
        made.append(Hypothesis(text, {}, (), tuple(p for name, p in CORE.items() if name in about),
                               one, evidence.strongest_edges(one.filter, EDGES), tuple(rivals[i])))
    return made


def _best(r, described, rivals) -> np.ndarray:
    """The largest of each description's rivals' r; where there is none, its own."""
    most = max(map(len, rivals), default=0)
    padded = [[*others, *[others[0] if others else one] * (most - len(others))]
              for one, others in zip(described, rivals, strict=True)]
    return np.max([r(list(column)) for column in zip(*padded, strict=True)] or [r(described)], 0)


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
    top: int = 10, channels: int = 256, about: Hypothesis | None = None,
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
    about : Hypothesis, optional
        What its description says (`about_layer`): its core claims then; what altered patches
        and classes say stands beside them.
    """
    groups, top = tuple(groups), min(top, channels)
    known = [(k, v) for k, v in properties.items() if (k, v) in ALTERED]
    beside = [_altered(*ALTERED[item], name=item[0]) for item in known]
    if groups:
        beside.append(Prediction(
            "classes", f"among photographs, {_listed(groups)} excite it more than others", 0.05,
            0.5, "permutation p in half B, also without the strongest photograph",
            "random groups of as many classes", True, "{:.3f}"))
    if properties.get("family") != "patch":
        beside.insert(len(known), Prediction(
            "arrangement", "how the parts are arranged matters, not their spectrum alone", LOSES,
            KEEPS, "share of the response kept when phases are random", "other filters, median"))
    where = f"; among photographs most of all to {_listed(groups)}" if groups else (
        "; no group of classes leads")
    made = _mechanism(properties, top, channels)
    if about is None:
        said = ", ".join([_thing(properties.get("family", "none")),
                          *(WORDS[item] for item in known)])
        return Hypothesis(f"Filter {filter} of {layer} answers to {said}{where}.",
                          dict(properties), groups, (*beside, *made))
    beside = [dataclasses.replace(p, core=False) for p in beside]
    return dataclasses.replace(
        about, text=f"{about.text[:-1]}{where}.", properties=dict(properties), groups=groups,
        predictions=(*about.predictions, *beside, *made))


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
                   "percentile of what cutting them costs among random sets of as much weight, "
                   "which may hold the strongest kernel",
                   "the same without the strongest kernel, among sets that lack it",
                   form="{:.0f}"),
        Prediction("ranking", "L2 finds the edges that matter", 0.5, 0.2,
                   f"share of L2's first {top} among the first {top} by contribution",
                   f"by chance, {top} of {channels}"),
        Prediction("signs", "upstream pictures push the way their kernels say", 0.8, 0.6,
                   "share on the right side of random channels' median", "by chance: 0.5"),
        Prediction("inhibition", "inhibition keeps other things out", BEYOND, WITHIN,
                   "share of random cuts of as much weight that let in less at random places (%)",
                   "% of places over the old 99th percentile after a random cut", form="{:.0f}"),
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


def without_strongest(
    table: pd.DataFrame, member: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows and members of `group_p` without the member that answers most.

    If the effect stays without it, it does not rest on one photograph: leaving out any other
    member takes less away.
    """
    member = np.asarray(member, bool)
    strongest = np.where(member, table["mean"], -np.inf).argmax()
    stays = np.arange(len(table)) != strongest
    return table[stays], member[stays]


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
