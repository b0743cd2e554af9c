"""A hypothesis judged on every filter of its layer: its own, and all the others as controls.

A claim is worth what it separates. `numbers` gives each core claim's number for each hypothesis
on each filter, with an interval over pictures; `verdicts` turns them into verdicts by one rule;
`base_rates` says how many other filters pass a claim. A claim that most of them pass does not
count. `swap` asks all of it of one hypothesis, one written by hand too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

import vizutils as vz
from techniques import descriptions
from techniques.claims.evidence import Evidence, of_half_b
from techniques.claims.hypotheses import CORE, EXCHANGED, Hypothesis
from techniques.claims.rules import COMMON, REFUTED, SUPPORTED, UNDECIDED, Finding
from techniques.descriptions import scores

DRAWS = 200  #: bootstrap samples of pictures
AT_ONCE = 8  #: hypotheses judged at a time: some 300 MB for a layer of 256 filters


@dataclass(frozen=True, eq=False)
class Numbers:
    """One claim's number for each hypothesis on each filter of the layer.

    Attributes
    ----------
    value, low, high : float64 ndarray, shape (hypotheses, filters)
        The number, and the 5th and 95th percentile over bootstrap samples of the pictures. NaN
        where the hypothesis does not make the claim.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def numbers(
    evidence: Evidence, hypotheses: Sequence[Hypothesis], *, draws: int = DRAWS, seed: int = 0,
) -> dict[str, Numbers]:
    """Every core claim of hypotheses about a layer, on every filter of it.

    Parameters
    ----------
    evidence : Evidence
        Of half B: pictures that no hypothesis was made from.
    hypotheses : sequence of Hypothesis
        With a description, and named edges.
    draws, seed : int
        Bootstrap samples of the pictures, for the intervals.

    Returns
    -------
    dict of str to Numbers
        ``predicts``: percentile of the filter among all of the layer by the description's r;
        ``noun``: r less that of the best of its `rivals`; ``contrast, angle, hue``: r less the r
        of the same description dark for light, turned by 90° to the left or to the right (the
        better), in the opposite colour;
        ``edges``: share of the response above its mean that the named edges give.
    """
    parts = [_numbers(evidence, hypotheses[i : i + AT_ONCE], draws, seed)
             for i in range(0, len(hypotheses), AT_ONCE)]
    return {about: Numbers(*(np.concatenate([getattr(part[about], name) for part in parts])
                             for name in ("value", "low", "high"))) for about in CORE}


def _numbers(evidence: Evidence, hypotheses, draws: int, seed: int) -> dict[str, Numbers]:
    own = [hypothesis.description for hypothesis in hypotheses]
    asked = {"own": own} | {(about, i): [change(one) for one in own]
                            for about, changes in EXCHANGED.items()
                            for i, change in enumerate(changes)}
    rivals = [hypothesis.rivals for hypothesis in hypotheses]
    asked["rivals"] = [one for each in rivals for one in each]
    predicted = descriptions.predictions(sum(asked.values(), []), evidence.features)
    # (1 + draws, hypotheses, filters) each: of all pictures, then of each sample of them
    r = dict(zip(asked, np.split(scores.correlations_and_samples(
        predicted, evidence.answers, evidence.sample.pictures, draws=draws, seed=seed),
        np.cumsum([len(each) for each in asked.values()])[:-1], axis=1), strict=True))
    whole = r["own"]
    gains = {about: whole - np.max([r[about, i] for i in range(len(changes))], axis=0)
             for about, changes in EXCHANGED.items()}
    others = np.split(r["rivals"], np.cumsum([len(each) for each in rivals])[:-1], axis=1)
    best = np.stack([each.max(1, initial=-np.inf) for each in others], 1)
    # Where no thing has another noun (patches), nothing is claimed about it.
    gains["noun"] = np.where(np.isneginf(best), np.nan, whole - best)
    below = stats.rankdata(whole, "min", axis=-1) - 1  # filters that it fits less well
    gains["predicts"] = 100 * below / max(1, whole.shape[-1] - 1)
    gains["edges"] = _edges(evidence, hypotheses, draws, seed)
    made = {about: np.array([about in {p.about for p in hypothesis.predictions}
                             for hypothesis in hypotheses])[:, None] for about in CORE}
    return {about: Numbers(*(np.where(made[about], a, np.nan) for a in (
        gains[about][0], *np.quantile(gains[about][1:], [0.05, 0.95], axis=0))))
        for about in CORE}


def _edges(evidence: Evidence, hypotheses, draws: int, seed: int) -> np.ndarray:
    """Share that each hypothesis's edges give, (1 + draws, hypotheses, filters)."""
    carried = evidence.carried.astype("float64")
    named = np.stack([carried[:, list(h.edges)].sum(1) for h in hypotheses], 1)  # (p, h, f)
    whole = carried.sum(1)  # (pictures, filters)
    drawn = scores.resampled(len(carried), draws=draws, seed=seed)
    weights = np.concatenate([np.ones((1, len(carried))), drawn])
    above = (weights @ whole)[:, None]
    given = np.tensordot(weights, named, 1)
    return np.divide(given, above, out=np.zeros_like(given),
                     where=np.broadcast_to(above > 1e-9, given.shape))


def judged(found: Mapping[str, Numbers], about: str) -> np.ndarray:
    """One claim's verdict for each hypothesis on each filter: 1, −1, 0, or NaN if not made."""
    numbers, bounds = found[about], CORE[about]
    supported = (numbers.value >= bounds.supported) & (numbers.low > bounds.refuted)
    refuted = (numbers.value <= bounds.refuted) & (numbers.high < bounds.supported)
    verdict = np.where(supported, 1.0, np.where(refuted, -1.0, 0.0))
    return np.where(np.isnan(numbers.value), np.nan, verdict)


def base_rates(
    found: Mapping[str, Numbers], filters: Sequence[int]
) -> dict[str, np.ndarray]:
    """Share of the layer's other filters that pass each claim of each hypothesis.

    Parameters
    ----------
    filters : sequence of int
        The filter that each hypothesis is about.

    Returns
    -------
    dict of str to float64 ndarray, shape (hypotheses,)
        NaN where the claim is not made.
    """
    others = ~np.eye(next(iter(found.values())).value.shape[1], dtype=bool)[list(filters)]
    rates = {}
    for about in found:
        passed = judged(found, about)
        made = ~np.isnan(passed[:, 0])
        share = ((passed == 1) & others).sum(1) / others.sum(1)
        rates[about] = np.where(made, share, np.nan)
    return rates


def verdicts(found: Mapping[str, Numbers], filters: Sequence[int]) -> np.ndarray:
    """Verdict of each hypothesis on each filter, by the rule of `rules.verdict`.

    Returns
    -------
    ndarray of str, shape (hypotheses, filters)
    """
    rates = base_rates(found, filters)
    passed, failed, counted = (np.zeros(next(iter(found.values())).value.shape, int)
                               for _ in range(3))
    for about in found:
        verdict = judged(found, about)
        counts = (rates[about] < COMMON)[:, None] & ~np.isnan(verdict)
        passed += counts & (verdict == 1)
        failed += counts & (verdict == -1)
        counted += counts
    edges = judged(found, "edges")
    causal = np.isnan(edges) | ((edges == 1) & (rates["edges"] < COMMON)[:, None])
    return np.where(failed > 0, REFUTED, np.where(
        (counted > 0) & (passed == counted) & causal, SUPPORTED, UNDECIDED))


@dataclass(frozen=True, eq=False)
class Swap:
    """What one hypothesis is worth on filters that it is not about.

    Attributes
    ----------
    table : DataFrame, one row a filter of the layer
        ``filter, own`` (is it the hypothesis's own?), a column for each claim (its number), and
        ``verdict``.
    because : mapping
        Core claims that decide against it on its own filter: ``refuted``, ``undecided``, and
        ``not counted``, because half of the others pass them.
    """

    table: pd.DataFrame
    because: Mapping[str, Sequence[str]]

    @property
    def supported(self) -> list[int]:
        """The other filters for which it would be supported."""
        found = self.table
        return found.loc[~found["own"] & (found["verdict"] == SUPPORTED), "filter"].tolist()

    @property
    def verdict(self) -> str:
        """The verdict on its own filter."""
        return self.table.loc[self.table["own"], "verdict"].item()

    @property
    def sentence(self) -> str:
        """Both, in words."""
        others, found = len(self.table) - 1, len(self.supported)
        why = "".join(f" {name}: {', '.join(which)}." for name, which in self.because.items()
                      if which)
        return (f"On its own filter: {self.verdict}.{why} Of the layer's {others} other filters it "
                f"would be supported for ≈ {found} (≈ {100 * found / others:.1f} %).")


def swap(
    net: vz.Network, hypothesis: Hypothesis, *, image_set: vz.ImageSet | None = None,
    evidence: Evidence | None = None, seed: int = 0,
) -> Swap:
    """Judge a hypothesis on all filters of its layer: for how many would it be supported?

    Parameters
    ----------
    hypothesis : Hypothesis
        By rule, or your own (`by_hand`).
    image_set : ImageSet, optional
        All pictures, of which half B by `seed` is used; the packaged ones by default.
    evidence : Evidence, optional
        Of half B, if it is there already.

    Raises
    ------
    ValueError
        No hypothesis or one without a description; a filter, edge or field that the layer does not
        have; evidence of another layer.
    """
    if not isinstance(hypothesis, Hypothesis):
        raise ValueError("a hypothesis comes from claims.by_hand(text, edges=...) or from "
                         f"analysis.observe(...); {type(hypothesis).__name__} is none.")
    if hypothesis.description is None:
        raise ValueError("a hypothesis without a description says nothing about other filters: "
                         "write one with claims.by_hand(text, edges=...).")
    layer, filter = hypothesis.description.layer, hypothesis.description.filter
    filter = net.check_filter(layer, filter)
    channels = net.plain_convolution(layer).kernel.shape[2]
    if max(hypothesis.edges, default=0) >= channels:
        raise ValueError(f"{layer} reads channels 0 to {channels - 1}; edge "
                         f"{max(hypothesis.edges)} is none of them.")
    field = vz.receptive_field(net, layer).size
    if hypothesis.description.field != field:
        raise ValueError(f"the receptive field of {layer} has {field} px, not "
                         f"{hypothesis.description.field}: things would be drawn too large or too "
                         f"small. Start with '{layer} filter {filter}, field {field} px'.")
    if evidence is not None and getattr(evidence, "layer", None) != layer:
        raise ValueError(f"the evidence is not of {layer}: make it with claims.of_half_b(net, "
                         f"'{layer}', half B's pictures), or leave it out.")
    if evidence is None:
        image_set = vz.load_images(size=net.input_size) if image_set is None else image_set
        image_set = vz.as_image_set(image_set, copy=False)
        _, half_b = vz.split_halves(len(image_set), seed=seed)
        evidence = of_half_b(net, layer, image_set.subset(half_b), seed=seed)
    return swapped(numbers(evidence, [hypothesis], seed=seed), filter)


def swapped(found: Mapping[str, Numbers], filter: int) -> Swap:
    """`swap`, from the `numbers` of one hypothesis about a filter."""
    table = pd.DataFrame({about: one.value[0] for about, one in found.items()})
    table.insert(0, "filter", table.index)
    table.insert(1, "own", table["filter"] == filter)
    own = {about: judged(found, about)[0, filter] for about in found}
    common = [about for about, share in base_rates(found, [filter]).items()
              if share[0] >= COMMON]
    because = {name: [about for about, verdict in own.items()
                      if verdict == value and about not in common]
               for name, value in (("Refuted", -1), ("Undecided", 0))} | {"Not counted": common}
    return Swap(table.assign(verdict=verdicts(found, [filter])[0]), because)


def core_findings(
    evidence: Evidence, hypothesis: Hypothesis, filter: int, *, random: Evidence | None = None,
    seed: int = 0,
) -> tuple[dict[str, Finding], Swap]:
    """What a hypothesis is worth on a filter: its core claims' findings, beside all the others.

    Parameters
    ----------
    evidence : Evidence
        Of half B: pictures that the hypothesis was not made from.
    hypothesis : Hypothesis
        With a description.
    filter : int
    random : Evidence, optional
        The same of a network with random weights: the standing control.

    Returns
    -------
    dict of str to Finding
        For `rules.judge`. Its control is the median of the layer's other filters.
    Swap
        The hypothesis on every filter.
    """
    found = numbers(evidence, [hypothesis], seed=seed)
    rates = base_rates(found, [filter])
    untrained = {} if random is None else core_findings(random, hypothesis, filter, seed=seed)[0]
    findings = {}
    for about in (p.about for p in hypothesis.predictions if p.about in found):
        one = found[about]
        value, low, high = (float(a[0, filter]) for a in (one.value, one.low, one.high))
        # another processor may choose another part where two things explain nearly as much
        findings[about] = Finding(
            value, float(np.median(np.delete(one.value[0], filter))), untrained.get(about),
            low=low, high=high, base=float(rates[about][0]), approximate=True)
    r = scores.correlations(hypothesis.description.from_features(evidence.features)[:, None],
                            evidence.answers[:, [filter]]).item()
    if "predicts" in findings:
        findings["predicts"] = dataclasses.replace(findings["predicts"], words=f"r ≈ {r:.2f}")
    return findings, swapped(found, filter)
