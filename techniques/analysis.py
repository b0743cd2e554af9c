"""One filter taken apart in one call: hypothesis on half A, tests on half B, verdict by rule.

`observe` looks at half A and ends in a hypothesis with predictions; `examine` puts them to half B;
`analyse` does both and judges. The parts are those of the other techniques, called with one seed
and kept, so that a report can show each of them and a claim can be traced to its numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import vizutils as vz
from techniques import (
    alterations,
    circuits,
    claims,
    descriptions,
    edge_experiments,
    families,
    inhibition,
    layer_analysis,
    polysemy,
    silencing,
    stimuli,
)
from techniques.claims import Finding, Prediction
from techniques.layer_analysis import LayerAnalysis, analyse_layer

__all__ = ["observe", "examine", "analyse", "analyse_layer", "share", "upstream_signs",
           "hypothesis_of", "groups_of_half_a", "classes_finding", "nothing_to_rank",
           "ranking_finding", "altered_finding", "family_findings", "with_rates", "Observed",
           "Tested", "Analysis", "Shared", "Signs", "LayerAnalysis", "DECIDES"]

#: The alteration of real patches that decides a claim about a property.
DECIDES = {"orientation": "turned", "polarity": "inverted", "colour": "grey",
           "arrangement": "phases"}


@dataclass(frozen=True, eq=False)
class Shared:
    """What the analyses of all filters of a layer share; `share` makes it.

    Attributes
    ----------
    tuned : stimuli.Tuning
        Answers to drawn stimuli, with half A's pictures as scale.
    seen, fresh : claims.Evidence or None
        Of half A and of half B; None for receptive fields in which nothing is drawn.
    maxima : vizutils.Maxima
        Of half B.
    """

    tuned: stimuli.Tuning
    seen: claims.Evidence | None
    fresh: claims.Evidence | None
    maxima: vz.Maxima


@dataclass(frozen=True, eq=False)
class Observed:
    """What half A showed, and the hypothesis made from it.

    Attributes
    ----------
    layer, filter
        The unit.
    tuned : stimuli.Tuning
        Of all filters of the layer; real pictures of half A give the scale.
    summary : stimuli.Summary
    groups : DataFrame
        `vizutils.group_table` of half A's classes; empty if no picture has a label.
    hypothesis : claims.Hypothesis
    """

    layer: str
    filter: int
    tuned: stimuli.Tuning
    summary: stimuli.Summary
    groups: pd.DataFrame
    hypothesis: claims.Hypothesis


@dataclass(frozen=True, eq=False)
class Tested:
    """What the tests on half B gave.

    Attributes
    ----------
    top, elsewhere : circuits.Windows
        The filter's input at its strongest patches, and at random places.
    patches : vizutils.Patches
        Those strongest patches.
    edges, rankings, shares, cuts, effects : DataFrame
        `circuits.edge_table`, `compare_rankings`, `cumulative_shares`, `ablation_table`, and
        `edge_effects` of the strongest kernels by L2.
    fair : DataFrame or None
        `edge_experiments.fair_cuts` of the strongest kernels by L2; None for fewer than two.
    swap : claims.Swap or None
        The hypothesis on all filters of the layer; None where it has no description.
    kept : DataFrame
        `alterations.kept`.
    release : inhibition.Release or None
        None where the layer reads signed inputs.
    use : silencing.ClassEffect or None
        None without a classifier.
    causes : polysemy.Causes
    relatives : families.Relatives
    signs : Signs or None
        None where no feature lies below, or none besides the ranked ones.
    findings : dict of str to claims.Finding
    """

    top: circuits.Windows
    elsewhere: circuits.Windows
    patches: vz.Patches
    edges: pd.DataFrame
    rankings: pd.DataFrame
    shares: pd.DataFrame
    cuts: pd.DataFrame
    effects: pd.DataFrame
    fair: pd.DataFrame | None
    swap: claims.Swap | None
    kept: pd.DataFrame
    release: inhibition.Release | None
    use: silencing.ClassEffect | None
    causes: polysemy.Causes
    relatives: families.Relatives
    signs: Signs | None
    findings: dict[str, Finding]


@dataclass(frozen=True, eq=False)
class Signs:
    """Whether pictures of upstream channels push a filter the way their kernels say.

    Attributes
    ----------
    own : float32 ndarray, shape (ranked channels,)
        The filter's mean pre-activation on each ranked channel's picture.
    random : float32 ndarray
        The same on pictures of channels drawn at random, none of the ranked.
    right : bool ndarray, shape (ranked channels,)
        On the side of `random`'s median that the kernel's sign demands.
    """

    own: np.ndarray
    random: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything about one filter: `observed`, `tested`, the claims' table and the verdict."""

    observed: Observed
    tested: Tested
    claims: pd.DataFrame
    verdict: str


def share(
    net: vz.Network, layer: str, image_set: vz.ImageSet | None = None, *, seed: int = 0,
    progress: bool = True,
) -> Shared:
    """What does not depend on the filter: made once, it serves `analyse` for all of a layer.

    Parameters
    ----------
    image_set, seed
        As in `analyse`: the same for both.
    """
    net.plain_convolution(layer)  # before the long part
    half_a, half_b = _halves(net, image_set, seed)
    tuned = stimuli.tuning(net, layer, image_set=half_a, progress=progress)
    drawn = vz.receptive_field(net, layer).size >= descriptions.SMALLEST_FIELD
    seen = claims.of_half_a(net, layer, half_a, seed=seed) if drawn else None
    fresh = claims.of_half_b(net, layer, half_b, seed=seed) if drawn else None
    return Shared(tuned, seen, fresh, vz.image_maxima(net, layer, half_b))


def _halves(net, image_set, seed: int) -> tuple[vz.ImageSet, vz.ImageSet]:
    """Halves of the given pictures, or of the packaged ones."""
    image_set = (vz.load_images(size=net.input_size) if image_set is None
                 else vz.as_image_set(image_set, copy=False))
    return tuple(image_set.subset(half) for half in layer_analysis.halves(image_set, seed))


def observe(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *, top: int = 10,
    colours: bool = True, seed: int = 0, progress: bool = True, shared: Shared | None = None,
) -> Observed:
    """Look at half A: drawn stimuli, classes by group; then make a hypothesis by rule.

    Parameters
    ----------
    image_set : ImageSet
        Half A of the pictures. For VGG16 the class groups come from half A of its stored
        responses to 1,000 photographs instead (`vizutils.split_halves` of 1,000 by `seed`).
    top : int
        How many kernels will be ranked.
    colours : bool
        Whether to show coloured stimuli too: nearly half of them. Without, nothing is claimed
        about colour.
    shared : Shared, optional
        `share` of the same pictures and seed, if it is there already.

    Raises
    ------
    ValueError
        Unknown layer or filter, a layer that is no plain convolution, pictures so small that
        every position sees padding.
    """
    net.plain_convolution(layer)  # before the long part
    image_set = vz.as_image_set(image_set, copy=False)
    vz.unpadded_positions(net, layer, image_set.size)
    filter = net.check_filter(layer, filter)
    tuned = shared.tuned if shared else stimuli.tuning(
        net, layer, image_set=image_set, colours=colours, progress=progress)
    if tuned.layer != layer:
        raise ValueError(f"what is shared is of {tuned.layer}, not of {layer}: make it with "
                         f"share(net, '{layer}', ...).")
    summary = stimuli.summary(tuned, filter)
    about = None
    if vz.receptive_field(net, layer).size >= descriptions.SMALLEST_FIELD:
        about, = layer_analysis.hypotheses(
            net, layer, image_set, filters=[filter], tuned=tuned, seed=seed, progress=progress,
            evidence=shared.seen if shared else None)
    groups = groups_of_half_a(net, layer, filter, image_set, seed=seed)
    hypothesis = hypothesis_of(net, layer, filter, summary, groups, about=about, top=top)
    return Observed(layer, filter, tuned, summary, groups, hypothesis)


def hypothesis_of(
    net: vz.Network, layer: str, filter: int, summary: stimuli.Summary, groups: pd.DataFrame, *,
    about: claims.Hypothesis | None = None, top: int = 10,
) -> claims.Hypothesis:
    """The hypothesis of `observe`, from its parts.

    Parameters
    ----------
    summary, groups
        As in `Observed`.
    about : claims.Hypothesis, optional
        What its description says (`layer_analysis.hypotheses`).
    """
    clear = groups[(groups.p_holm < 0.05) & (groups.difference > 0)].group.tolist()
    return claims.hypothesise(layer, filter, summary.properties, clear, top=top,
                              channels=vz.kernels(net, layer, filter).shape[2], about=about)


def groups_of_half_a(
    net: vz.Network, layer: str, filter: int, half_a: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """`vizutils.group_table` of half A's classes, as `observe` reads it; empty without labels."""
    classes = _class_half(net, layer, filter, half_a, 0, seed)
    return vz.group_table(classes, seed=seed) if len(classes) else pd.DataFrame(
        columns=["group", "classes", "difference", "p", "p_holm"])


def classes_finding(
    net: vz.Network, layer: str, filter: int, half_b: vz.ImageSet, groups: Sequence[str], *,
    seed: int = 0,
) -> Finding:
    """Whether groups of classes excite a filter more than others in half B, too."""
    table = _class_half(net, layer, filter, half_b, 1, seed)
    member = table["group"].isin(groups)
    effect, p = claims.group_p(table, member, seed=seed)
    left, still = claims.without_strongest(table, member) if member.any() else (table, member)
    _, without = claims.group_p(left, still, seed=seed)  # NaN where it was the only one
    return Finding(float(np.maximum(p, without)), 0.5, words="" if np.isnan(p) else
                   f"{effect:.2f} sd; {p:.3f} with the strongest photograph")


def _class_half(net, layer: str, filter: int, image_set, half: int, seed: int) -> pd.DataFrame:
    """Class table of one half: of the stored responses if there are any, else of the pictures.

    ``mean`` is the filter's own part: filters answer alike to much of what a photograph holds
    (contrast, large objects), so each picture's mean over the layer is subtracted. Of classes that
    are not ImageNet's, each a group by itself, a row is a picture. Empty if no picture has a
    label: then nothing is said about classes.
    """
    if net.responses is None and not (image_set.labels >= 0).any():
        return pd.DataFrame(columns=["index", "group", "mean"])
    table = vz.class_table(net, layer, filter, image_set if net.responses is None else None,
                           own=True, each=net.classes is not None)
    if net.responses is None:
        return table
    return table[table["index"].isin(vz.split_halves(len(table), seed=seed)[half])]


def examine(
    net: vz.Network, seen: Observed, image_set: vz.ImageSet, *,
    random_net: vz.Network | None = None, upstream: vz.Ascent | None = None,
    maxima: vz.Maxima | None = None, top: int = 10,
    draws: int = 20, k: int = 9, places: int = 300, controls: int = 20, steps: int = 32,
    pieces: int = 16, seed: int = 0, progress: bool = True, shared: Shared | None = None,
) -> Tested:
    """Put the predictions to half B.

    Parameters
    ----------
    seen : Observed
    image_set : ImageSet
        Half B: none of the pictures that `seen` was made from.
    random_net : Network, optional
        The standing control: the same tests where the weights are random.
    upstream : Ascent, optional
        Pictures of the ranked channels, if they have been made; short climbs otherwise.
    maxima : Maxima, optional
        ``image_maxima(net, layer, image_set)``, if it is there already.
    top, draws, k, places : int
        Kernels ranked; random sets for each cut; strongest patches; random places.
    controls : int
        Other filters asked about altered patches and silenced, and other channels drawn.
    steps : int
        Of the short climbs: the diversity batch, upstream pictures and those of their controls.
    pieces : int
        Pieces of pictures shown in all eight positions, for families.
    shared : Shared, optional
        `share` of the same pictures and seed, if it is there already.
    """
    layer, filter = seen.layer, seen.filter
    top = min(top, vz.kernels(net, layer, filter).shape[2])
    image_set = vz.as_image_set(image_set, copy=False)
    if maxima is None:
        maxima = shared.maxima if shared else vz.image_maxima(net, layer, image_set)
    place = maxima.column(net, layer, filter, image_set)
    patches = vz.top_patches(net, image_set, layer, filter, k=k, maxima=maxima)
    strong = circuits.windows(net, layer, filter, image_set, patches.table)
    somewhere = circuits.random_places(net, layer, image_set, places, seed=seed)
    anywhere = circuits.windows(net, layer, filter, image_set, somewhere)
    edges = circuits.edge_table(strong, anywhere)
    kept = alterations.kept(net, layer, filter, image_set, level=seen.tuned.mean, maxima=maxima,
                            k=k, controls=controls, seed=seed)
    pictures = polysemy.diverse_pictures(net, layer, filter, count=8, steps=steps, seed=seed,
                                         scale=abs(float(maxima.values[:, place].max())))
    rectified = inhibition.reads_rectified(net, layer)
    below = vz.input_layer(net, layer).feature
    ranking = vz.rank_kernels(net, layer, filter, top=top)
    found = {
        "top": strong, "elsewhere": anywhere, "patches": patches, "edges": edges, "kept": kept,
        "rankings": circuits.compare_rankings(edges, count=top),
        "shares": circuits.cumulative_shares(strong, anywhere, seed=seed),
        "cuts": circuits.ablation_table(strong, anywhere, count=top, draws=draws, seed=seed),
        "effects": circuits.edge_effects(strong, anywhere, ranking.channel),
        "fair": edge_experiments.fair_cuts(strong, ranking.channel, draws=25 * draws, seed=seed)
        if len(ranking) > 1 and strong.values.mean() > 0 else None,
        "release": inhibition.released(net, layer, filter, image_set, k=k, draws=draws,
                                     seed=seed) if rectified else None,
        "use": silencing.class_effect(net, layer, filter, image_set, controls=controls,
                                     seed=seed) if net.has_classifier else None,
        "causes": polysemy.causes(net, layer, filter, image_set, diverse=pictures, seed=seed),
        "relatives": _relatives(net, seen, image_set, below, pieces, seed),
        "signs": None if below is None or len(ranking) == len(edges) else upstream_signs(
            net, layer, filter, ranking, upstream=upstream, controls=controls, steps=steps,
            seed=seed, progress=progress),
    }
    core, swap = {}, None
    if seen.hypothesis.description is not None:
        fresh = shared.fresh if shared else claims.of_half_b(net, layer, image_set, seed=seed)
        core, swap = claims.core_findings(fresh, seen.hypothesis, filter, seed=seed)
    findings = core | _findings(net, seen, image_set, found, top, seed)
    if random_net is not None:
        findings = _with_random(random_net, seen, image_set, findings, top, draws, k, places, seed)
    predicted = {p.about for p in seen.hypothesis.predictions}
    return Tested(**found, swap=swap,
                  findings={a: f for a, f in findings.items() if a in predicted})


def analyse(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet | None = None, *,
    seed: int = 0, top: int = 10, progress: bool = True, shared: Shared | None = None, **options,
) -> Analysis:
    """A filter's hypothesis, its tests and the verdict, in one call.

    Parameters
    ----------
    image_set : ImageSet, optional
        Real pictures, halved by `seed`; the packaged ones by default.
    shared : Shared, optional
        `share(net, layer, image_set, seed=seed)`: for another filter of the same layer.
    **options
        Passed on to `examine`.

    Raises
    ------
    ValueError
        Unknown layer or filter, a layer that is no plain convolution or has fewer than four
        filters, too few or too small pictures.
    """
    half_a, half_b = _halves(net, image_set, seed)
    seen = observe(net, layer, filter, half_a, top=top, seed=seed, progress=progress,
                   shared=shared)
    found = examine(net, seen, half_b, top=top, seed=seed, progress=progress, shared=shared,
                    **options)
    table = claims.judge(seen.hypothesis.predictions, found.findings)
    return Analysis(seen, found, table, claims.verdict(table))


def upstream_signs(
    net: vz.Network, layer: str, filter: int, ranking: pd.DataFrame, *,
    upstream: vz.Ascent | None = None, controls: int = 20, steps: int = 32, seed: int = 0,
    progress: bool = True,
) -> Signs:
    """Show a filter the pictures of its ranked input channels, and of random ones.

    Parameters
    ----------
    ranking : DataFrame
        From `vizutils.rank_kernels`.
    upstream : Ascent, optional
        The ranked channels' pictures; else they are drawn as the controls are, in `steps` steps
        on the smallest canvas on which a unit of `layer` sees no padding.
    controls : int
        How many random channels.

    Raises
    ------
    ValueError
        The layer reads the picture itself; every channel is ranked, so that none is left to
        compare with; `upstream` lacks a ranked channel or is too small a canvas.
    """
    if upstream is not None and upstream.ended == "interrupted":
        raise ValueError("the upstream pictures come from a climb that was interrupted, so nothing "
                         "can be concluded from them: draw them again.")
    below = vz.input_layer(net, layer).feature
    if below is None:
        raise ValueError(f"{layer} reads the picture itself: no channel below has a picture.")
    channels = vz.kernels(net, layer, filter).shape[2]
    pool = np.setdiff1d(np.arange(channels), ranking.channel)
    if not pool.size:
        raise ValueError(f"all {channels} channels that {layer} reads are ranked, none is left to "
                         "compare with: rank fewer, rank_kernels(..., top=...).")
    drawn = np.random.default_rng(seed).choice(pool, min(controls, len(pool)), replace=False)
    options = {"steps": steps, "size": vz.canvas(net, layer, strides=1), "seed": seed,
               "optimiser": vz.Adam(0.2), "progress": progress}
    if upstream is None:
        upstream = vz.maximize(net, below, ranking.channel, **options)
    others = vz.maximize(net, below, drawn, **options)

    def answers(pictures):
        inside = vz.unpadded_positions(net, layer, pictures.shape[1])
        maps = vz.activations(net, layer, vz.made(pictures), pre_activation=True)
        return maps[:, inside, inside, filter].mean((1, 2))

    own = answers(np.stack([upstream.of(c) for c in ranking.channel]))
    random = answers(others.images)
    side = np.sign(own - np.median(random))
    return Signs(own, random, (side * ranking.sign_index).to_numpy() > 0)


def _relatives(net, seen: Observed, image_set, below, pieces: int, seed: int):
    """Families by responses and kernels, with the tuning's turns beside them."""
    layers = [seen.layer] if below is None else [below, seen.layer]
    *lower, response = families.response_agreement(net, layers, image_set, pictures=pieces,
                                                   seed=seed)
    match = families.correspondence(lower[0]) if lower else None
    kernel = families.kernel_agreement(net, seen.layer, match)
    turns = families.tuning_agreement(seen.tuned.table, seen.tuned.scores)
    return families.relatives(seen.filter, response, kernel, tuning=turns)


# Findings that one filter's analysis and a whole layer's pass state alike.


def nothing_to_rank(fires: bool, count: int, channels: int) -> str:
    """Why the first `count` of a filter's kernels say nothing, in words; empty if they may."""
    if not fires:
        return "it never fires"
    return f"all {channels} kernels are ranked" if count == channels else ""


def ranking_finding(overlap: int, count: int, channels: int) -> Finding:
    """Share of the first `count` kernels that two rankings have in common; control: chance."""
    return Finding(overlap / count, count / channels)


def altered_finding(
    prediction: Prediction | None, kept: float, control: float, others: Sequence[float],
) -> Finding:
    """What is left after an alteration; base: the share of other filters that would pass."""
    passed = [prediction.judge(n) == claims.SUPPORTED for n in others] if prediction else []
    return Finding(kept, control, base=float(np.mean(passed)) if passed else np.nan)


def family_findings(relatives: families.Relatives) -> dict[str, Finding]:
    """Whether the filter has a family, and how alike its own answers to turned pictures are."""
    return {
        "family": Finding({"family": 1.0, "no family": 0.0}.get(relatives.verdict, np.nan),
                          words=relatives.verdict),
        "own turns": Finding(float(relatives.itself["response"].min()),
                             float(relatives.pairs["response"].median()))}


def with_rates(net: vz.Network, layer: str, findings: Mapping[str, Finding]) -> dict[str, Finding]:
    """Findings with the layer's measured base rate where they have none of their own."""
    rates = claims.passed_by(net, layer)
    return {about: dataclasses.replace(one, base=rates.get(about, np.nan))
            if np.isnan(one.base) else one for about, one in findings.items()}


def _findings(net, seen: Observed, image_set, found: Mapping, top: int, seed: int) -> dict:
    """Numbers for every prediction that could have been made."""
    kept = found["kept"].set_index("way")
    pairs = found["rankings"].set_index(["ranking", "other"])
    channels = len(found["edges"])
    nothing = nothing_to_rank(found["top"].values.mean() > 0, top, channels)
    findings = {}
    predicted = {p.about: p for p in seen.hypothesis.predictions}
    others = found["kept"].attrs["others"]
    for about, way in DECIDES.items():
        findings[about] = altered_finding(predicted.get(about), kept.kept[way],
                                          kept.control[way], others[way])
    findings["classes"] = classes_finding(net, seen.layer, seen.filter, image_set,
                                          seen.hypothesis.groups, seed=seed)
    fair = found["fair"]
    if nothing or fair is None:
        findings["cut"] = Finding(np.nan, words=nothing or "fewer than two kernels are ranked")
    else:
        whole, rest = (fair.set_index(["cut", "control"]).loc[named] for named in (
            ("named set", "any edges"), ("without its largest", "any but the largest")))
        findings["cut"] = Finding(whole["percentile"], rest["percentile"],
                                  words=f"{100 * whole['left']:.0f} % left")
    findings["ranking"] = Finding(np.nan, words=nothing) if nothing else ranking_finding(
        pairs.overlap["l2", "top"], top, channels)
    if found["signs"] is None:
        reads_picture = vz.input_layer(net, seen.layer).feature is None
        findings["signs"] = Finding(np.nan, words="the layer reads the picture itself" if
                                    reads_picture else "no other channel to compare with")
    else:
        findings["signs"] = Finding(found["signs"].right.mean(), 0.5, approximate=True)
    if found["release"] is None:
        findings["inhibition"] = Finding(np.nan, words="inputs are signed")
    else:
        row = found["release"].measures.set_index("measure").loc["above, level kept"]
        more = row["after"] > row["before"]  # else nothing is let in, whatever random cuts do
        findings["inhibition"] = Finding(
            row["percentile"] if more else 0.0, row["control"],
            words=f"{row['after']:.1f} % of places, {row['before']:.1f} before")
    if found["use"] is None:
        findings["use"] = Finding(np.nan, words="no classifier")
    else:
        findings["use"] = Finding(found["use"].percentile, 50.0)
    return with_rates(net, seen.layer, findings | family_findings(found["relatives"]))


def _with_random(net, seen: Observed, image_set, findings, top, draws, k, places, seed) -> dict:
    """Findings with the same numbers for the filter of a network with random weights."""
    layer, filter = seen.layer, seen.filter
    maxima = vz.image_maxima(net, layer, image_set)
    level, _ = stimuli.on_pictures(net, layer, image_set, progress=False)
    kept = alterations.kept(net, layer, filter, image_set, level=level, maxima=maxima, k=k,
                            ways=tuple(DECIDES.values()), controls=1, seed=seed).set_index("way")
    patches = vz.top_patches(net, image_set, layer, filter, k=k, maxima=maxima)
    strong = circuits.windows(net, layer, filter, image_set, patches.table)
    anywhere = circuits.windows(net, layer, filter, image_set, circuits.random_places(
        net, layer, image_set, places, seed=seed))
    pairs = circuits.compare_rankings(circuits.edge_table(strong, anywhere), count=top)
    found, numbers = {}, {}
    if seen.hypothesis.description is not None:
        evidence = claims.of_half_b(net, layer, image_set, seed=seed)
        found, _ = claims.core_findings(evidence, seen.hypothesis, filter, seed=seed)
    numbers |= {about: kept.kept[way] for about, way in DECIDES.items()}
    if strong.values.mean() > 0 and top > 1:
        fair = edge_experiments.fair_cuts(strong, vz.rank_kernels(
            net, layer, filter, top=top).channel, draws=25 * draws, seed=seed)
        numbers["cut"] = fair.set_index(["cut", "control"]).percentile["named set", "any edges"]
    numbers["ranking"] = pairs.set_index(["ranking", "other"]).overlap["l2", "top"] / top
    found |= {about: dataclasses.replace(findings[about], number=number, words="", low=np.nan,
                                         high=np.nan) for about, number in numbers.items()
              if about in findings}
    return {about: dataclasses.replace(f, random=found.get(about)) for about, f in findings.items()}
