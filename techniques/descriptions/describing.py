"""Descriptions: a few signed parts that predict a filter's answer to any patch.

A `Describer` chooses each filter's parts among the drawn stimuli by what predicts its answers to
half A's photographs; a `Description` then predicts without the network, is printed, and is made
again from its print.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

import vizutils as vz
from techniques import samples, stimuli
from techniques.descriptions.bank import bank
from techniques.descriptions.things import NOUNS, Thing, look_alike, thing, things_of

PARTS = 8  #: parts of a description, at most
LIKED = 1.0  #: score of a stimulus (SD above the mean on photographs) from which a part may like it
DISLIKED = 0.0  #: score below which a part may dislike it
APART = 0.25  #: share of a part's variance that the parts before it must leave unexplained
PLAIN = 0.9  #: a coloured part must explain this much less for a grey one to be preferred
LEAST = 1e-4  #: share of the answers' variance that a part must explain
RIDGE = 0.01  #: penalty on weights, per place, of standardised likenesses
FAINT = 0.1  #: share of the largest weight below which a part is not worth saying
ANGLES = range(0, 180, 30)  #: at which nouns are tried in place of things that have no orientation
SAME = 0.9  #: likeness to its own variant from which a description is indifferent to it


@dataclass(frozen=True)
class Part:
    """A thing, and what likeness to it adds to a filter's answer.

    Attributes
    ----------
    weight : float
        Standard deviations (of the filter's answers to photographs) that the thing itself adds;
        negative for what the filter dislikes.
    thing : Thing
    """

    weight: float
    thing: Thing

    @property
    def text(self) -> str:
        """One line, from which `part` makes it again."""
        return f"{self.weight:+.3g} {self.thing.words}"


@dataclass(frozen=True)
class Description:
    """What a filter answers to, as a sum of likenesses to drawn things.

    Attributes
    ----------
    layer : str
    filter : int
    field : int
        Side of the receptive field, in pixels: how large the things are drawn.
    parts : tuple of Part
        In the order in which they were chosen.
    """

    layer: str
    filter: int
    field: int
    parts: tuple[Part, ...]

    def predict(self, patches: np.ndarray) -> np.ndarray:
        """The answer to patches, in standard deviations from an unknown level, without a network.

        Parameters
        ----------
        patches : ndarray, shape (n, field, field, 3)
            RGB 0-255.

        Returns
        -------
        float64 ndarray, shape (n,)
        """
        patches = vz.as_image_set(patches, copy=False).images
        return self.from_features(bank(self.field).features(patches))

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """`predict`, from `Bank.features` of the patches, shape (n, features)."""
        return features @ (self.weights @ bank(self.field).templates(self.things))

    @property
    def weights(self) -> np.ndarray:
        """One for each part."""
        return np.array([part.weight for part in self.parts])

    @property
    def things(self) -> list[Thing]:
        """One for each part."""
        return [part.thing for part in self.parts]

    @property
    def main_form(self) -> str:
        """The form of the thing that it likes most; "" for none, a patch or a figure in colour.

        The features read colour at two periods only, too coarse to tell the form of a figure
        that differs from its ground in colour alone.
        """
        likes = max(self.parts, key=lambda part: part.weight, default=None)
        if likes is None or likes.weight <= 0 or not likes.thing.luma:
            return ""
        return "" if likes.thing.form == "patch" else likes.thing.form

    @property
    def text(self) -> str:
        """All of it, a line each part, from which `from_text` makes it again."""
        return "\n".join([f"{self.layer} filter {self.filter}, field {self.field} px",
                          *(part.text for part in self.parts)])

    @property
    def sentence(self) -> str:
        """What it likes, dislikes and is indifferent to, in words; made from the parts alone."""
        likes = sorted((p for p in self.parts if p.weight > 0), key=lambda p: -p.weight)
        dislikes = sorted((p for p in self.parts if p.weight < 0), key=lambda p: p.weight)
        if not self.parts:
            return f"Filter {self.filter} of {self.layer} answers to no drawn thing in particular."
        coloured = any(one.colour for one in self.things)
        indifferent = [name for name, same in self.indifferent().items()
                       if same and (coloured or name != "colour")]
        said = [f"likes {_listed(likes)}" if likes else "",
                f"dislikes {_listed(dislikes)}" if dislikes else "",
                f"is indifferent to {' and '.join(indifferent)}" if indifferent else "",
                "" if coloured else "names no colour"]
        return (f"Filter {self.filter} of {self.layer} "
                + "; ".join(filter(None, said)) + ".")

    def indifferent(self) -> dict[str, bool]:
        """Whether it weighs features alike (cosine ≥ `SAME`) when all its things change so.

        Returns
        -------
        dict of str to bool
            ``orientation`` (turned by 90°), ``dark or light`` (exchanged), ``colour`` (opposite
            hues; also where no part has a colour).
        """
        return {name: self.likeness(other) >= SAME for name, other in (
            ("orientation", self.turned(90)), ("dark or light", self.inverted()),
            ("colour", self.recoloured()))}

    def likeness(self, other: Description) -> float:
        """How alike two descriptions of one field weigh features: cosine, −1 to 1."""
        one, two = (each.weights @ bank(each.field).templates(each.things)
                    for each in (self, other))
        length = np.linalg.norm(one) * np.linalg.norm(two)
        return float(one @ two / length) if length else 0.0

    def changed(self, change: Callable[[Thing], Thing]) -> Description:
        """The same weights on other things."""
        return dataclasses.replace(self, parts=tuple(
            Part(part.weight, change(part.thing)) for part in self.parts))

    def turned(self, degrees: float) -> Description:
        """Every part turned counter-clockwise."""
        return self.changed(lambda one: one.turned(degrees))

    def inverted(self) -> Description:
        """Every part dark for light."""
        return self.changed(Thing.inverted)

    def recoloured(self) -> Description:
        """Every part in the opposite colour."""
        return self.changed(Thing.recoloured)

    def with_noun(self, noun: str) -> Description:
        """Every part another form, the same for all; place, breadth, angle and tone as they are."""
        return self.changed(lambda one: one.with_noun(noun, self.field))

    def rivals(self) -> list[Description]:
        """What nouns given by hand must predict better than: every other, the same for all parts.

        A part that looks like the other noun (`things.look_alike`) stays as it is. Where no part
        has an orientation, nouns that have one are tried at `ANGLES`.
        """
        turns = ANGLES if all(np.isnan(one.orientation) for one in self.things) else (0,)
        found = [self.changed(lambda one, noun=noun, by=by: one if look_alike(one.form, noun)
                              else one.with_noun(noun, self.field).turned(by))
                 for noun in NOUNS for by in turns]
        return [one for one in found if one.things != self.things]

    def with_wrong_nouns(self, seed: int = 0) -> Description:
        """Every part another form, drawn at random for each."""
        rng = np.random.default_rng(seed)
        return self.changed(lambda one: one.with_noun(
            rng.choice([n for n in NOUNS if n != one.form]), self.field))

    def without(self, part: int) -> Description:
        """All parts but one, with the weights they have here."""
        return dataclasses.replace(self, parts=self.parts[:part] + self.parts[part + 1 :])

    def shortened(self, parts: int) -> Description:
        """Its first parts only, with the weights they have here."""
        return dataclasses.replace(self, parts=self.parts[:parts])


def predictions(descriptions: Sequence[Description], features: np.ndarray) -> np.ndarray:
    """What many descriptions of one layer predict, each thing drawn once.

    Parameters
    ----------
    features : ndarray, shape (n, features)
        `Bank.features` of the patches.

    Returns
    -------
    float32 ndarray, shape (n, descriptions)
    """
    fields = {one.field for one in descriptions}
    if len(fields) != 1:
        raise ValueError("give descriptions of one layer, not "
                         f"{f'of fields of {sorted(fields)} px' if fields else 'none'}.")
    field, = fields
    known = {one.words: one for each in descriptions for one in each.things}
    place = {words: i for i, words in enumerate(known)}
    weights = np.zeros((len(known), len(descriptions)), "float32")
    for i, each in enumerate(descriptions):
        for part in each.parts:
            weights[place[part.thing.words], i] += part.weight
    return features @ (bank(field).templates(list(known.values())).T @ weights)


def from_text(text: str) -> Description:
    """A description from its `Description.text`, or from one that you write.

    Examples
    --------
    >>> print(from_text('''block3_conv2 filter 36, field 32 px
    ... +1.2 dark curve; orientation 75°; width 4 px; radius 16 px''').sentence[:35])
    Filter 36 of block3_conv2 likes a d

    Raises
    ------
    ValueError
        A first line or a part that cannot be read, with an example of one that can.
    """
    if not isinstance(text, str):
        raise ValueError(f"a description is read from text, not from {type(text).__name__}.")
    head, *lines = [line for line in text.splitlines() if line.strip()] or [""]
    found = re.fullmatch(r"(\S+) filter (\d+), field (\d+) px", head.strip())
    if not found:
        raise ValueError(f"a description starts with 'block3_conv2 filter 36, field 32 px', not "
                         f"with {head!r}.")
    return Description(found[1], int(found[2]), int(found[3]), tuple(map(part, lines)))


def part(line: str) -> Part:
    """A part from its line: a signed weight, a space, a thing in words (`thing`)."""
    weight, _, words = line.strip().replace("−", "-").partition(" ")
    try:
        value = float(weight)
        if not np.isfinite(value) or not value:
            raise ValueError(f"a weight of {weight} says nothing.")
        return Part(value, thing(words))
    except ValueError as error:
        raise ValueError(f"cannot read the part {line!r}: {error} A part is a weight and a "
                         "thing, as in '+1.2 dark disc; radius 4 px'.") from None


def _listed(parts: Sequence[Part]) -> str:
    """A dark curve (75°, 16 px), a ... and ..."""
    names = []
    for one in parts:
        words, *numbers = one.thing.words.split("; ")
        shown = [n.split(" ", 1)[1] for n in numbers if n.split()[0] in
                 ("orientation", "period", "width", "radius") and not (
                     n.startswith("width") and one.thing.form == "curve")]
        article = "an" if words[0] in "aeiou" else "a"
        names.append(f"{article} {words}" + (f" ({', '.join(shown)})" if shown else ""))
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


class Describer:
    """Chooses the parts of a layer's descriptions; what all of them need is computed once.

    Parts are chosen one after the other (orthogonal matching pursuit [1]_): each time the thing
    that explains most of what the parts before it left unexplained in the photographs. Only a
    thing that the filter itself answered to when it was drawn (`LIKED`) may be liked, and only
    one that left it below its mean (`DISLIKED`) disliked. At least one part is liked, if any can
    be. Parts with next to no weight (`FAINT`) are left out.

    Parameters
    ----------
    tuned : stimuli.Tuning
        The layer's answers to drawn stimuli.
    found : samples.Sample
        Its answers at random places of half A's photographs.
    features : ndarray, shape (len(found), features)
        `Bank.features` of the receptive fields there.
    field : int
        Side of the receptive field, in pixels.

    References
    ----------
    .. [1] Y. Pati, R. Rezaiifar, P. Krishnaprasad, "Orthogonal matching pursuit", Asilomar
       Conference on Signals, Systems and Computers, 1993.
    """

    def __init__(
        self, tuned: stimuli.Tuning, found: samples.Sample, features: np.ndarray, field: int,
    ):
        candidates = things_of(tuned.table)
        rows, self._things = list(candidates), list(candidates.values())
        likeness = features @ bank(field).templates(self._things).T
        self._spread = np.maximum(likeness.std(0), 1e-12)
        likeness = (likeness - likeness.mean(0)) / self._spread
        self._alike = (likeness.T @ likeness / len(likeness)).astype("float64")
        self._plain = np.array([1.0 if not one.colour else PLAIN for one in self._things])
        answers = found.answers - found.answers.mean(0)
        answers /= np.maximum(answers.std(0), 1e-12)
        self._agreement = (likeness.T @ answers / len(answers)).astype("float64")
        self._side = np.where(tuned.scores[rows] > LIKED, 1,
                              np.where(tuned.scores[rows] < DISLIKED, -1, 0))
        self._tuned, self._field = tuned, field

    def best_things(self) -> tuple[list[Thing | None], np.ndarray]:
        """For each filter the thing it answered to whose likeness foretells its answers best.

        Returns
        -------
        list of Thing or None
            None for a filter that answered to nothing drawn.
        ndarray, shape (filters,)
            Pearson's r of that likeness and the answers in the photographs; 0 for None.
        """
        r = np.where(self._side > 0, self._agreement[:, self._tuned.filters], -1)
        best = r.argmax(0)
        none = r.max(0) <= -1
        return ([None if no else self._things[i] for i, no in zip(best, none, strict=True)],
                np.where(none, 0.0, r.max(0)))

    def describe(
        self, filter: int, *, parts: int = PARTS, without: Collection[str] = (),
    ) -> Description:
        """One filter's description.

        Parameters
        ----------
        parts : int
            How many it has, at most; it has fewer if no thing explains more.
        without : collection of str
            Forms that no part may have.
        """
        column = int(np.flatnonzero(self._tuned.filters == filter)[0])
        allowed = np.array([one.form not in without for one in self._things])
        chosen, weights = _pursue(self._alike, self._agreement[:, filter],
                                  np.where(allowed, self._side[:, column], 0), self._plain, parts)
        weights = weights / self._spread[chosen]
        loud = np.abs(weights) >= FAINT * np.abs(weights).max(initial=0)
        return Description(self._tuned.layer, int(filter), self._field, tuple(
            Part(float(f"{w:.3g}"), self._things[i])
            for i, w, said in zip(chosen, weights, loud, strict=True) if said))


def _pursue(alike, agreement, side, plain, parts: int) -> tuple[list[int], np.ndarray]:
    """Orthogonal matching pursuit with signs that are given: (chosen, weights).

    Parameters
    ----------
    alike : ndarray, shape (n, n)
        Correlations of the candidates.
    agreement : ndarray, shape (n,)
        Their correlation with the answers.
    side : ndarray of int, shape (n,)
        1: may be liked, −1: disliked, 0: neither.
    plain : ndarray, shape (n,)
        What a candidate's gain is multiplied by.
    """
    chosen, weights, refused = [], np.zeros(0), set()
    left, explained, basis = agreement.copy(), np.zeros(len(agreement)), []
    while len(chosen) < parts:
        gain = plain * left**2 / np.maximum(1 - explained, APART)
        allowed = (np.sign(left) == side) & (explained <= 1 - APART)
        allowed[[*chosen, *refused]] = False
        if len(chosen) == parts - 1 and not (side[chosen] > 0).any():
            allowed &= side > 0  # the last part: what it likes must be said
        best = int(np.where(allowed, gain, -1).argmax())
        if not allowed[best] or gain[best] < LEAST:
            break
        trial = [*chosen, best]
        within = alike[np.ix_(trial, trial)] + RIDGE * np.eye(len(trial))
        fitted = np.linalg.solve(within, agreement[trial])
        if (np.sign(fitted) != side[trial]).any():
            refused.add(best)
            continue
        chosen, weights = trial, fitted
        # The new part's own share, at right angles to those before it (Gram and Schmidt).
        own = alike[best] - sum((b * b[best] for b in basis), np.zeros(len(agreement)))
        own /= np.sqrt(own[best])
        basis.append(own)
        left = left - own * (left[best] / own[best])
        explained = explained + own**2
    return chosen, weights
