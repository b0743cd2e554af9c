"""A whole layer: every filter's hypothesis on every filter, and how often a verdict is wrong.

One pass over the pictures gives a table of hypothesis × filter × claim. Verdicts on a filter's own
hypothesis, on another's (swapped), on the opposite and on wrong nouns are look-ups in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import vizutils as vz
from engine.units import unit_kernels
from techniques import claims, descriptions, samples, stimuli

EACH_SURVEYED = 150  #: the same for `survey`, which keeps what the layer reads there
LARGEST = 0.25  #: share of a filter's response that one edge may give, or it is mostly a copy


@dataclass(frozen=True, eq=False)
class LayerAnalysis:
    """Hypotheses about filters of a layer, judged on all of its filters.

    Attributes
    ----------
    layer : str
    evidence : claims.Evidence
        Of half B.
    hypotheses : list of claims.Hypothesis
        By rule, from half A.
    numbers : dict of str to claims.Numbers
        Each core claim's number, (hypotheses, filters).
    verdicts : ndarray of str, shape (hypotheses, filters)
    """

    layer: str
    evidence: claims.Evidence
    hypotheses: list[claims.Hypothesis]
    numbers: dict[str, claims.Numbers]
    verdicts: np.ndarray

    @property
    def filters(self) -> np.ndarray:
        """The filter that each hypothesis is about."""
        return np.array([one.description.filter for one in self.hypotheses])

    @property
    def own(self) -> np.ndarray:
        """The verdict of each hypothesis on its own filter."""
        return self.verdicts[np.arange(len(self.hypotheses)), self.filters]

    @property
    def table(self) -> pd.DataFrame:
        """A row a filter: each claim's number on its own filter, the verdict, the sentence.

        ``NAME others``: share of the layer's other filters that pass the same claim; ``elsewhere``:
        for how many other filters the whole hypothesis would be supported.
        """
        at, filters = np.arange(len(self.hypotheses)), self.filters
        table = pd.DataFrame({"filter": filters})
        rates = claims.base_rates(self.numbers, filters)
        for about, found in self.numbers.items():
            table[about] = found.value[at, filters]
            table[f"{about} others"] = rates[about]
        supported = self.verdicts == claims.SUPPORTED
        supported[at, filters] = False
        return table.assign(verdict=self.own, elsewhere=supported.sum(1),
                            sentence=[one.text for one in self.hypotheses])

    def rates_of_claims(self) -> pd.DataFrame:
        """How often each claim is supported: on its own filter, and on the layer's others.

        Returns
        -------
        DataFrame, one row a claim
            ``claim, made`` (hypotheses that make it), ``own, swapped`` (shares).
        """
        at, filters = np.arange(len(self.hypotheses)), self.filters
        others = ~np.eye(self.verdicts.shape[1], dtype=bool)[filters]
        rows = []
        for about in self.numbers:
            verdict = claims.judged(self.numbers, about)
            made = ~np.isnan(verdict[:, 0])
            rows.append((about, int(made.sum()), (verdict[at, filters][made] == 1).mean(),
                         (verdict[made] == 1)[others[made]].mean()))
        return pd.DataFrame(rows, columns=["claim", "made", "own", "swapped"])

    def rates(self, random: claims.Evidence | None = None, *, seed: int = 0) -> pd.DataFrame:
        """How often hypotheses are supported that are true by rule, and that are false.

        Parameters
        ----------
        random : claims.Evidence, optional
            Of the same layer and pictures in a network with random weights.
        seed : int
            For the wrong nouns.

        Returns
        -------
        DataFrame, one row a kind of hypothesis
            ``kind``: ``own``; ``swapped``: another filter's; ``description swapped``: another
            filter's description with the own edges; ``a part left out``: own, without one part
            drawn at random (not false, but not the same); ``opposite``: dark for light or
            turned by 90°, where the hypothesis claims that direction; ``wrong noun``, of all that
            like a form; ``random weights``: the filter of that number in `random`; ``asked,
            supported, refuted`` (counts), ``share`` supported, with Wilson's 95 % interval ``low,
            high``; for ``swapped`` by bootstrap over hypotheses, whose verdicts on many filters
            are not independent.
        """
        filters = self.filters
        others = ~np.eye(self.verdicts.shape[1], dtype=bool)[filters]
        opposites = [one for each in self.hypotheses for one in each.opposites().values()]
        wrong = list(filter(None, (one.with_wrong_nouns(seed + one.description.filter)
                                   for one in self.hypotheses)))
        rng = np.random.default_rng(seed)
        mixed = [one.with_description(dataclasses.replace(
            self.hypotheses[i - 1].description, filter=one.description.filter))
            for i, one in enumerate(self.hypotheses)]
        shorter = [one.with_description(one.description.without(int(rng.integers(n))))
                   for one in self.hypotheses if (n := len(one.description.parts)) > 1]
        kinds = {"own": self.own, "swapped": self.verdicts[others],
                 "description swapped": self._verdicts_on_own(mixed, self.evidence),
                 "a part left out": self._verdicts_on_own(shorter, self.evidence),
                 "opposite": self._verdicts_on_own(opposites, self.evidence),
                 "wrong noun": self._verdicts_on_own(wrong, self.evidence)}
        if random is not None:
            kinds["random weights"] = self._verdicts_on_own(self.hypotheses, random)
        table = pd.DataFrame([rate(kind, found) for kind, found in kinds.items()])
        each = ((self.verdicts == claims.SUPPORTED) & others).sum(1) / others.sum(1)
        drawn = rng.choice(each, (2000, len(each))).mean(1)
        table.loc[table["kind"] == "swapped", ["low", "high"]] = np.quantile(drawn, [0.025, 0.975])
        return table

    @staticmethod
    def _verdicts_on_own(hypotheses, evidence) -> np.ndarray:
        if not hypotheses:
            return np.array([], dtype="<U9")
        filters = [one.description.filter for one in hypotheses]
        found = claims.verdicts(claims.numbers(evidence, hypotheses), filters)
        return found[np.arange(len(filters)), filters]


def rate(kind: str, verdicts: np.ndarray) -> dict:
    """A row of `LayerAnalysis.rates`."""
    asked, supported = len(verdicts), int((verdicts == claims.SUPPORTED).sum())
    row = {"kind": kind, "asked": asked, "supported": supported,
           "refuted": int((verdicts == claims.REFUTED).sum())}
    if not asked:
        return row | dict.fromkeys(("share", "low", "high"), np.nan)
    ends = binomtest(supported, asked).proportion_ci(method="wilson")
    return row | {"share": supported / asked, "low": ends.low, "high": ends.high}


def analyse_layer(
    net: vz.Network, layer: str, image_set: vz.ImageSet | None = None, *,
    filters: Sequence[int] | None = None, parts: int = descriptions.PARTS, seed: int = 0,
    progress: bool = True,
) -> LayerAnalysis:
    """Describe filters of a layer on half A, and judge each hypothesis on all filters on half B.

    Parameters
    ----------
    image_set : ImageSet, optional
        Real pictures, halved by `seed`; the packaged ones by default.
    filters : sequence of int, optional
        Whose hypotheses; all by default. All filters of the layer are controls either way.
    parts : int
        Parts of a description, at most.
    seed : int
        For the halves and the places.

    Raises
    ------
    ValueError
        Unknown layer or filter, a layer that is no plain convolution, a receptive field below
        8 px, too few pictures.
    """
    image_set = (vz.load_images(size=net.input_size) if image_set is None
                 else vz.as_image_set(image_set, copy=False))
    half_a, half_b = (image_set.subset(half) for half in halves(image_set, seed))
    made = hypotheses(net, layer, half_a, filters=filters, parts=parts, seed=seed,
                      progress=progress)
    evidence = claims.of_half_b(net, layer, half_b, seed=seed)
    found = claims.numbers(evidence, made, seed=seed)
    about = [one.description.filter for one in made]
    return LayerAnalysis(layer, evidence, made, found, claims.verdicts(found, about))


def halves(image_set: vz.ImageSet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`vizutils.split_halves` of at least four pictures."""
    if len(image_set) < 4:
        raise ValueError(f"{len(image_set)} picture(s) cannot be halved into some to look at and "
                         "some to test on: give four or more, better forty.")
    return vz.split_halves(len(image_set), seed=seed)


def hypotheses(
    net: vz.Network, layer: str, half_a: vz.ImageSet, *, filters: Sequence[int] | None = None,
    tuned: stimuli.Tuning | None = None, evidence: claims.Evidence | None = None,
    parts: int = descriptions.PARTS, seed: int = 0, progress: bool = True,
) -> list[claims.Hypothesis]:
    """Hypotheses by rule from half A: descriptions, nouns, directions, named edges.

    Parameters
    ----------
    half_a : ImageSet
        Pictures that no test will use.
    tuned : stimuli.Tuning, optional
        The layer's answers to drawn stimuli, if they are there already.
    evidence : claims.Evidence, optional
        `claims.of_half_a`, if it is there already.
    """
    net.plain_convolution(layer)  # before the long part
    filters = None if filters is None else net.check_filters(layer, filters)
    descriptions.bank(vz.receptive_field(net, layer).size)
    if tuned is None:
        tuned = stimuli.tuning(net, layer, image_set=half_a, progress=progress)
    if evidence is None:
        evidence = claims.of_half_a(net, layer, half_a, seed=seed)
    describer = descriptions.Describer(tuned, evidence.sample, evidence.features, evidence.field)
    described = [describer.describe(f, parts=parts)
                 for f in (range(net.channels(layer)) if filters is None else filters)]
    rivals = [[describer.describe(one.filter, parts=parts, without=descriptions.alike(
        one.main_form))] if one.main_form else [] for one in described]
    return claims.about_layer(evidence, described, rivals)


def survey(
    net: vz.Network, layer: str, half_a: vz.ImageSet, *, tuned: stimuli.Tuning,
    evidence: claims.Evidence, top: int = 10, seed: int = 0,
) -> pd.DataFrame:
    """All filters of a layer, by how promising they are to explain, from half A alone.

    Parameters
    ----------
    half_a : ImageSet
    tuned, evidence
        The layer's answers to drawn stimuli and at random places of half A:
        `techniques.analysis.Shared.tuned` and ``seen``.
    top : int
        How many kernels are to explain a filter.

    Returns
    -------
    DataFrame, index: filter; best first, those that fall out last
        ``thing``: the drawn stimulus, among those it answered to, whose likeness foretells its
        answers to photographs best; ``r by thing``: Pearson's r of likeness and answers at random
        places; ``r by ten`` (by `top`): r of the answers with what the `top` kernels of largest
        L2 norm give alone; ``largest edge``: share of the response above its mean, at the
        strongest places, that one edge gives; ``form``: the thing is grey, so that it is the
        form that matters; ``mean rank`` of the two r, among filters of which that holds and whose
        largest edge gives at most `LARGEST`; NaN for the others.
    """
    describer = descriptions.Describer(tuned, evidence.sample, evidence.features, evidence.field)
    things, r_thing = describer.best_things()
    sample = samples.sample(net, layer, half_a, each=EACH_SURVEYED, seed=seed)
    kernels = unit_kernels(net, layer)
    l2 = np.linalg.norm(kernels, axis=(0, 1))  # (channels, filters)
    kept = np.argsort(np.argsort(-l2, axis=0, kind="stable"), axis=0) < top
    alone = np.tensordot(sample.inputs, kernels * kept, 3)
    r_ten = [descriptions.scores.correlations(alone[:, [f]], sample.answers[:, [f]]).item()
             for f in range(alone.shape[1])]
    largest = evidence.share_of_each().max(0)
    found = pd.DataFrame({
        "thing": [one.words if one else "" for one in things], "r by thing": r_thing,
        f"r by {'ten' if top == 10 else top}": r_ten, "largest edge": largest,
        "form": [one is not None and not one.colour for one in things]}).rename_axis("filter")
    passed = found["form"] & (largest <= LARGEST)
    ranks = found.loc[passed, found.columns[1:3]].rank(ascending=False)
    found["mean rank"] = ranks.mean(axis=1)
    return found.sort_values("mean rank", kind="stable", na_position="last")
