"""The project's claims, put to units whose answer is known: how often is a claim right?

Each function here takes planted units (`techniques.planted`), asks the claims that their truth
answers - by the code and the thresholds that every analysis uses - and gives a row for each
question: was the claim true where it was planted, and was it supported? `rates` counts: *right
where planted* (share supported of the true ones) and *supported where false*.

Half A of the pictures makes hypotheses, half B tests them. What a mechanism leaves open is not
asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import vizutils as vz
from engine.units import unit_biases
from techniques import (
    alterations,
    circuits,
    claims,
    descriptions,
    edge_experiments,
    layer_analysis,
    polysemy,
    samples,
    silencing,
    stimuli,
)
from techniques.claims import CORE, KEEPS, LOSES, SUPPORTED, Hypothesis
from techniques.planted import Planted
from techniques.stimuli.indices import CYCLES

RIGHT, WRONG = 0.9, 0.05  #: bounds: least share supported where true, largest where false
COLUMNS = ["claim", "mechanism", "case", "planted", "filter", "number", "supported"]
NEAR = 15.0  #: degrees within which an angle is right: the battery's step
CUT = "cut beside other edges"  #: what is asked of a cut here (`_mechanism`)
CONTROLS = 5  #: other filters silenced for the claim ``use``
STEPS, PICTURES = 32, 8  #: of the diversity batch, as in an analysis
#: Claims about altered patches: (name, way, whether the response must survive, which truth it is).
ALTERED = (("orientation does not matter", "turned", True, "orientation matters"),
           ("orientation matters", "turned", False, "orientation matters"),
           ("colour does not matter", "grey", True, "colour matters"),
           ("colour matters", "grey", False, "colour matters"),
           ("dark and light matter", "inverted", False, "polarity matters"))


# --- counting -------------------------------------------------------------------------------------


def asked(
    claim: str, mechanism: str, planted: bool, filters: Iterable[int], supported: Iterable[bool],
    *, case: str = "", numbers: Iterable[float] | None = None,
) -> pd.DataFrame:
    """A row for each time that a claim was asked.

    Parameters
    ----------
    claim, mechanism : str
    planted : bool
        Whether the claim is true of these units.
    filters, supported, numbers
        One for each question: the unit, whether the claim was supported, its number.
    case : str
        Which hypothesis, in words.

    Returns
    -------
    DataFrame with the columns `COLUMNS`
    """
    filters = [int(f) for f in filters]
    numbers = np.full(len(filters), np.nan) if numbers is None else np.asarray(numbers, "float64")
    return pd.DataFrame({
        "claim": claim, "mechanism": mechanism, "case": case, "planted": bool(planted),
        "filter": filters, "number": numbers, "supported": np.asarray(supported, bool)})[COLUMNS]


def rates(found: pd.DataFrame, *, by: Sequence[str] = ("claim", "mechanism")) -> pd.DataFrame:
    """How often claims are supported where they are true, and where they are false.

    Parameters
    ----------
    found : DataFrame
        Rows of `asked`.
    by : sequence of str
        What is counted together.

    Returns
    -------
    DataFrame, one row a group, in the order of appearance
        The columns of `by`; for ``true`` and ``false``: ``true_asked, true_supported,
        true_share``, with Wilson's 95 % interval ``true_low, true_high`` (NaN if never asked).
    """
    rows = []
    for key, group in found.groupby(list(by), sort=False):
        row = dict(zip(by, key, strict=True))
        for name, value in (("true", True), ("false", False)):
            part = group.loc[group["planted"] == value, "supported"]
            row |= {f"{name}_{k}": v for k, v in _share(int(part.sum()), len(part)).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _share(supported: int, asked: int) -> dict[str, float]:
    counts = {"asked": asked, "supported": supported}
    if not asked:
        return counts | dict.fromkeys(("share", "low", "high"), np.nan)
    ends = binomtest(supported, asked).proportion_ci(method="wilson")
    return counts | {"share": supported / asked, "low": ends.low, "high": ends.high}


def misses(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `rates` that miss a bound: `RIGHT` where true, or `WRONG` where false."""
    return table[(table["true_share"] < RIGHT) | (table["false_share"] > WRONG)]


# --- what several mechanisms share ----------------------------------------------------------------


def core_claims(
    claim: str, mechanism: str, planted: bool, evidence: claims.Evidence,
    hypotheses: Sequence[Hypothesis], *, case: str = "",
) -> pd.DataFrame:
    """One core claim of hypotheses, each judged on its own filter by half B's evidence.

    A hypothesis that does not make the claim counts as not supported. ``noun by rule`` is the
    claim ``noun``, counted apart.
    """
    about = claim.removesuffix(" by rule")
    filters = [one.description.filter for one in hypotheses]
    found = claims.numbers(evidence, hypotheses)
    at = np.arange(len(filters)), filters
    return asked(claim, mechanism, planted, filters, claims.judged(found, about)[at] == 1,
                 case=case, numbers=found[about].value[at])


def claiming(hypothesis: Hypothesis, *about: str) -> Hypothesis:
    """The same hypothesis with these core claims and no others."""
    return dataclasses.replace(hypothesis, predictions=tuple(CORE[name] for name in about))


def naming(layer: str, filter: int, field: int, edges: Sequence[int]) -> Hypothesis:
    """A hypothesis of which only the named edges count."""
    said = claims.by_hand(f"{layer} filter {filter}, field {field} px\n+1 light disc; radius "
                          f"{max(1, field // 8)} px", edges, directions=())
    return claiming(said, "edges")


def altered(
    net: vz.Network, layer: str, filters: Sequence[int], truths: Sequence[dict[str, object]],
    half_b: vz.ImageSet, *, level: np.ndarray, mechanism: str, seed: int = 0,
) -> pd.DataFrame:
    """The claims about turned, grey and inverted patches, of filters whose truth is known.

    Parameters
    ----------
    truths : sequence of mapping
        For each filter, the truths of `ALTERED` that are known: True, False; others are left out.
    level : ndarray, shape (filters of the layer,)
        As in `alterations.kept`.
    """
    maxima = vz.image_maxima(net, layer, half_b)
    rows = []
    for filter, truth in zip(filters, truths, strict=True):
        known = [one for one in ALTERED if truth.get(one[3]) is not None]
        table = alterations.kept(net, layer, filter, half_b, level=level, maxima=maxima,
                                 ways=tuple({way for _, way, _, _ in known}), controls=1,
                                 seed=seed).set_index("way")
        for claim, way, survives, name in known:
            kept = table.loc[way, "kept"]
            supported = kept >= KEEPS if survives else kept <= LOSES
            rows.append(asked(claim, mechanism, truth[name] != survives, [filter], [supported],
                              case="altered patches", numbers=[kept]))
    return pd.concat(rows, ignore_index=True)


# --- one mechanism after the other ----------------------------------------------------------------


def turned_or_grey(
    made: Planted, half_a: vz.ImageSet, half_b: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """Orientation, or colour, cannot matter: `angle` or `hue`, and what altered patches say.

    The core claim is asked as the rule makes it from half A, and of every description, whether
    the rule makes it or not.
    """
    about = "angle" if "orientation matters" in made.truth else "hue"
    tuned = stimuli.tuning(made.net, made.layer, image_set=half_a, progress=False)
    hypotheses = layer_analysis.hypotheses(made.net, made.layer, half_a, filters=made.filters,
                                           tuned=tuned, seed=seed, progress=False)
    evidence = claims.of_half_b(made.net, made.layer, half_b, seed=seed)
    return pd.concat([
        core_claims(about, made.name, False, evidence, hypotheses, case="by rule"),
        core_claims(about, made.name, False, evidence,
                    [claiming(one, about) for one in hypotheses], case="asked of all"),
        altered(made.net, made.layer, made.filters, [made.of(f) for f in made.filters], half_b,
                level=tuned.mean, mechanism=made.name, seed=seed),
    ], ignore_index=True)


def real_filters(
    net: vz.Network, layer: str, half_a: vz.ImageSet, half_b: vz.ImageSet, *, count: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Filters of the network that drawn stimuli call selective, or chromatic: as far as known.

    Nothing is planted here: orientation or colour matters to them by what half A's tuning says.
    They are the false cases of the claims that it does not, and controls for `turned` and `grey`,
    which change every filter of their layer.
    """
    tuned = stimuli.tuning(net, layer, image_set=half_a, progress=False)
    order = np.random.default_rng(seed).permutation(net.channels(layer))
    chosen = {"orientation": [], "colour": []}
    wanted = {"orientation": "selective", "colour": "chromatic"}
    for filter in order:
        properties = stimuli.summary(tuned, int(filter)).properties
        for name, found in chosen.items():
            if properties[name] == wanted[name] and len(found) < count:
                found.append(int(filter))
        if all(len(found) == count for found in chosen.values()):
            break
    return pd.concat([
        altered(net, layer, found, [{f"{name} matters": True}] * len(found), half_b,
                level=tuned.mean, mechanism=f"real, {wanted[name]}", seed=seed)
        for name, found in chosen.items() if found], ignore_index=True)


def dead_channel(
    made: Planted, half_a: vz.ImageSet, half_b: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """The largest kernel carries nothing: edges by the rule, and by L2 alone."""
    net, layer, dead = made.net, made.layer, made.truth["strongest kernel"]
    seen = claims.of_half_a(net, layer, half_a, seed=seed)
    evidence = claims.of_half_b(net, layer, half_b, seed=seed)
    by_rule = {f: seen.strongest_edges(f, claims.EDGES) for f in made.filters}

    def judged(edges: dict, planted: bool, case: str):
        return core_claims("edges", made.name, planted, evidence, [
            naming(layer, f, seen.field, e) for f, e in edges.items()], case=case)

    return pd.concat([
        judged(by_rule, True, "by rule"),
        judged({f: [dead] for f in made.filters}, False, "the largest by L2 alone"),
        asked("an edge by rule is a cause", made.name, False, made.filters,
              [dead in e for e in by_rule.values()], case="the dead channel among the ten"),
        _mechanism(made, dict.fromkeys(made.filters, 1), False, half_b, seed),
    ], ignore_index=True)


def _mechanism(made: Planted, tops: dict, planted: bool, half_b, seed: int) -> pd.DataFrame:
    """The claim `ranking` of an analysis, and a cut beside cuts of *other* edges, by its bound.

    An analysis judges a cut beside sets of any edges (`edge_experiments.fair_cuts`). These units
    have a few kernels only: any set of as much weight holds the same ones, so that question cannot
    be put to them.
    """
    bounds = {p.about: p for p in claims.hypothesise(made.layer, 0, {}, ()).predictions}
    maxima = vz.image_maxima(made.net, made.layer, half_b)
    somewhere = circuits.random_places(made.net, made.layer, half_b, 300, seed=seed)
    places = [vz.top_patches(made.net, half_b, made.layer, f, maxima=maxima).table for f in tops]
    # the layers below run once: every filter reads the same inputs
    read = circuits.windows(made.net, made.layer, made.filters[0], half_b,
                            pd.concat([somewhere, *places], ignore_index=True))
    bias = unit_biases(made.net, made.layer)
    anywhere, *strong = np.split(read.inputs, np.cumsum([len(somewhere), *map(len, places)])[:-1])
    found = {"ranking": [], CUT: []}
    for (filter, top), inputs in zip(tops.items(), strong, strict=True):
        taps = vz.kernels(made.net, made.layer, filter)
        windows = [circuits.Windows(part, taps, float(bias[filter]), np.einsum(
            "nrck,rck->n", part, taps, optimize=True) + bias[filter])
            for part in (inputs, anywhere)]
        edges = circuits.edge_table(*windows)
        pairs = circuits.compare_rankings(edges, count=top).set_index(["ranking", "other"])
        cuts = circuits.ablation_table(*windows, count=top, seed=seed)
        found["ranking"].append(pairs.overlap["l2", "top"] / top)
        found[CUT].append(cuts.set_index(["ranking", "way"]).percentile["l2", "zero"])
    said = "as many as there are causes" if planted else "the largest kernel"
    return pd.concat([
        asked(about, made.name, planted, tops,
              [bounds["cut" if about == CUT else about].judge(n) == SUPPORTED for n in numbers],
              case=said, numbers=numbers)
        for about, numbers in found.items()], ignore_index=True)


def no_use(made: Planted, half_b: vz.ImageSet, *, seed: int = 0) -> pd.DataFrame:
    """No later layer uses the filters: the claim `use`. True cases are not known.

    Silencing them changes exactly nothing, and nothing is smaller: how many `CONTROLS` are
    silenced cannot change the verdict.
    """
    numbers = [silencing.class_effect(made.net, made.layer, f, half_b, pictures=2,
                                      controls=CONTROLS, seed=seed).percentile
               for f in made.filters]
    return asked("use", made.name, False, made.filters, np.array(numbers) >= claims.BEYOND,
                 case="percentile", numbers=numbers)


def wired(
    made: Planted, half_a: vz.ImageSet, half_b: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """The causes are known: named edges, rankings, one cause or several, inhibitors."""
    net, layer = made.net, made.layer
    seen = claims.of_half_a(net, layer, half_a, seed=seed)
    evidence = claims.of_half_b(net, layer, half_b, seed=seed)
    causes = {f: made.of(f)["causes"] for f in made.filters}
    by_rule = {f: seen.strongest_edges(f, claims.EDGES) for f in made.filters}
    following = dict(zip(made.filters, [*list(causes.values())[1:], causes[made.filters[0]]],
                         strict=True))
    rng = np.random.default_rng(seed)
    inside = {f: (*causes[f], *made.of(f)["inhibited by"]) for f in made.filters}
    others = {f: rng.choice(np.setdiff1d(np.arange(evidence.carried.shape[1]), inside[f]),
                            claims.EDGES, replace=False) for f in made.filters}

    def judged(edges: dict, planted: bool, case: str):
        return core_claims("edges", made.name, planted, evidence, [
            naming(layer, f, seen.field, e) for f, e in edges.items()], case=case)

    found = [
        judged(causes, True, "the causes"),
        judged(by_rule, True, "by rule"),
        judged(following, False, "another unit's causes"),
        judged(others, False, "ten other channels"),
        asked("an edge by rule is a cause", made.name, True, made.filters,
              [set(by_rule[f][: len(causes[f])]) == set(causes[f]) for f in made.filters],
              case="the first are the causes"),
    ]
    blocked = {f: e for f in made.filters if (e := made.of(f)["inhibited by"])}
    if blocked:
        found.append(judged(blocked, False, "the inhibitor"))
    else:
        found.append(_mechanism(made, {f: len(c) for f, c in causes.items()}, True, half_b, seed))
    found += [_inhibitors(made, half_b, seed), _causes(made, half_b, seed)]
    return pd.concat(found, ignore_index=True)


def _inhibitors(made: Planted, half_b, seed: int) -> pd.DataFrame:
    """`edge_experiments.inhibitors_at_work`.

    The claim ``inhibition`` of an analysis is not asked: its control, random cuts of as much
    weight, has but two edges to draw from here, one of them the inhibitor.
    """
    net, layer = made.net, made.layer
    sample = samples.sample(net, layer, half_b, seed=seed + 1)
    rows = []
    for filter in made.filters:
        blocks = made.of(filter)["inhibited by"]
        table = edge_experiments.inhibitors_at_work(
            sample, filter, vz.kernels(net, layer, filter), seed=seed)
        sure = table.loc[table["low"] > 0, "channel"].tolist()
        right = sure == list(blocks) if blocks else bool(sure)
        released = table["released"].max() if len(table) else np.nan
        rows.append(asked("inhibitor at work", made.name, bool(blocks), [filter], [right],
                          numbers=[released]))
    return pd.concat(rows, ignore_index=True)


def _causes(made: Planted, half_b, seed: int) -> pd.DataFrame:
    """The claim `one cause`, and its opposite; pictures are climbed only where they can decide."""
    net, layer = made.net, made.layer
    several, verdicts, clusters = made.truth["several causes"], [], []
    for filter in made.filters:
        found = polysemy.causes(net, layer, filter, half_b, seed=seed)
        if found.verdict == "undecided" and found.k > 1:
            scale = abs(float(found.table["value"].max()))
            diverse = polysemy.diverse_pictures(net, layer, filter, count=PICTURES, steps=STEPS,
                                                seed=seed, scale=scale)
            found = polysemy.causes(net, layer, filter, half_b, diverse=diverse, seed=seed)
        verdicts.append(found.verdict)
        clusters.append(found.k)
    return pd.concat([
        asked(claim, made.name, planted, made.filters, [v in says for v in verdicts],
              case="clusters of contributions", numbers=clusters)
        for claim, planted, says in (
            ("one cause", not several, ("one cause", "several related")),
            ("several causes", several, ("several unrelated",)))], ignore_index=True)


# --- hand-made units ------------------------------------------------------------------------------

#: What a thing of each noun is called and told by; ``size`` is the truth of that name.
FORMS = {"edge": "edge; orientation {orientation}°; shift 0 px",
         "bar": "bar; orientation {orientation}°; width {size} px; shift 0 px",
         "curve": "curve; orientation {orientation}°; width {width} px; radius {size} px",
         "net": "net; orientation {orientation}°; period {size} px; phase 0°",
         "blob": "disc; radius {size} px"}
FORM = {"blob": "disc"}  #: nouns that a description calls otherwise


def truly(made: Planted, filter: int) -> Hypothesis:
    """The true hypothesis about a hand-made unit, by hand; it names no edges.

    Directions are claimed where they exist: ``contrast`` for what is light or dark (an edge is
    another one dark for light), ``angle`` where there is an orientation, ``hue`` where there is
    a colour.
    """
    truth = made.of(filter)
    field = made.net.layer(made.layer).kernel.shape[0]
    tone = {None: "", 1.0: "light ", -1.0: "dark "}[truth["polarity"]]
    colour = f"{truth['hue']} " if truth["hue"] else ""
    width = field * 0.75 / 8  # as `planted` draws curves
    words = FORMS[truth["noun"]].format(**truth, width=width)
    about = ["predicts"]
    about += ["contrast"] if truth["polarity"] or truth["noun"] == "edge" else []
    about += ["angle"] if truth["orientation"] is not None else []
    about += ["hue"] if colour else []
    said = claims.by_hand(f"{made.layer} filter {filter}, field {field} px\n+1 {tone}{colour}"
                          f"{words}", [0])
    about += ["noun"] if said.description.main_form else []
    return claiming(said, *about)


def hand_made(
    mechanisms: Sequence[Planted], half_a: vz.ImageSet, half_b: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """True and false hypotheses by hand about units that look for one drawn figure.

    False ones: another unit's; turned by 90°, dark for light, in the opposite colour, another
    noun. A false hypothesis must not be supported in the claim that it denies, and must not
    predict the unit better than the others.

    Parameters
    ----------
    mechanisms : sequence of Planted
        From `planted.hand_made`: all of one network.
    """
    net, layer = mechanisms[0].net, mechanisms[0].layer
    evidence = claims.of_half_b(net, layer, half_b, seed=seed)
    tuned = stimuli.tuning(net, layer, image_set=half_a, progress=False)
    rows = []
    for made in mechanisms:
        true = [truly(made, f) for f in made.filters]
        rows += [_true_hypotheses(made, true, evidence), _exchanged(made, true, evidence),
                 _other_nouns(made, true, evidence)]
        truths = [made.of(f) | {"polarity matters": True if "contrast" in {
            p.about for p in one.predictions} else None}
            for f, one in zip(made.filters, true, strict=True)]
        rows.append(altered(net, layer, made.filters, truths, half_b, level=tuned.mean,
                            mechanism=made.name, seed=seed))
    return pd.concat(rows, ignore_index=True)


def described(
    mechanisms: Sequence[Planted], half_a: vz.ImageSet, half_b: vz.ImageSet, *, seed: int = 0,
) -> pd.DataFrame:
    """Descriptions by rule of hand-made units: do they predict, and are their words right?

    Parameters
    ----------
    mechanisms : sequence of Planted
        From `planted.hand_made`: all of one network.
    """
    net, layer = mechanisms[0].net, mechanisms[0].layer
    by_rule = {one.description.filter: one for one in layer_analysis.hypotheses(
        net, layer, half_a, seed=seed, progress=False)}
    evidence = claims.of_half_b(net, layer, half_b, seed=seed)
    rows = []
    for made in mechanisms:
        own = [claiming(by_rule[f], "predicts") for f in made.filters]
        rows += [core_claims("predicts", made.name, True, evidence, own, case="by rule"),
                 _nouns_by_rule(made, by_rule, evidence), _words_by_rule(made, by_rule)]
    return pd.concat(rows, ignore_index=True)


def _nouns_by_rule(made: Planted, by_rule: dict[int, Hypothesis], evidence) -> pd.DataFrame:
    """The claim ``noun`` of descriptions by rule: true where the thing liked most is the planted.

    A look-alike counts as true: it is what the claim leaves open.
    """
    own, rows = FORM.get(made.truth["noun"], made.truth["noun"]), []
    for filter in made.filters:
        form = by_rule[filter].description.main_form
        if form:
            rows.append(core_claims(
                "noun by rule", made.name, descriptions.look_alike(form, own), evidence,
                [by_rule[filter]], case=f"{form} liked most"))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


def _true_hypotheses(made: Planted, true, evidence) -> pd.DataFrame:
    """Each claim of the true hypotheses on their own filter, and `predicts` on all others."""
    found = claims.numbers(evidence, true)
    at = np.arange(len(true)), list(made.filters)
    rows = []
    for about, numbers in found.items():
        value = numbers.value[at]
        claimed = ~np.isnan(value)
        rows.append(asked(about, made.name, True, np.array(made.filters)[claimed],
                          (claims.judged(found, about)[at] == 1)[claimed], case="true",
                          numbers=value[claimed]))
    others = ~np.eye(evidence.answers.shape[1], dtype=bool)[list(made.filters)]
    rows.append(asked("predicts", made.name, False, np.nonzero(others)[1],
                      claims.judged(found, "predicts")[others] == 1, case="another unit's",
                      numbers=found["predicts"].value[others]))
    return pd.concat(rows, ignore_index=True)


def _exchanged(made: Planted, true, evidence) -> pd.DataFrame:
    """Turned by 90°, dark for light, in the opposite colour: where that is another thing."""
    changes = {"angle": ("turned by 90°", lambda d: d.turned(90)),
               "contrast": ("dark for light", lambda d: d.inverted()),
               "hue": ("in the opposite colour", lambda d: d.recoloured())}
    rows = []
    for about, (case, change) in changes.items():
        false = [one.with_description(change(one.description)) for one in true
                 if about in {p.about for p in one.predictions}]
        if false:
            rows += [core_claims(claim, made.name, False, evidence, false, case=case)
                     for claim in (about, "predicts")]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


def _other_nouns(made: Planted, true, evidence) -> pd.DataFrame:
    """Every other noun in place of the true one, but for its look-alikes, which are left open."""
    own = FORM.get(made.truth["noun"], made.truth["noun"])
    if not all(one.description.main_form for one in true):
        return pd.DataFrame(columns=COLUMNS)  # in colour alone: no form is claimed
    return pd.concat([core_claims(
        "noun", made.name, False, evidence, case=f"{noun} instead", hypotheses=[
            claiming(one.with_description(one.description.with_noun(noun)), "noun")
            for one in true])
        for noun in descriptions.NOUNS if not descriptions.look_alike(noun, own)],
        ignore_index=True)


def _words_by_rule(made: Planted, by_rule: dict[int, Hypothesis]) -> pd.DataFrame:
    """Is the thing that a description by rule likes most, or first, the one that was planted?"""
    rows = []
    for filter in made.filters:
        one = by_rule[filter].description
        likes = [p for p in one.parts if p.weight > 0]
        chosen = {"liked most": max(likes, key=lambda p: p.weight, default=None),
                  "liked and chosen first": next(iter(likes), None)}
        rows += [asked(f"by rule: {name}", made.name, True, [filter], [right], case=case)
                 for case, part in chosen.items()
                 for name, right in words_right(part and part.thing, made.of(filter),
                                                one.field).items()]
    return pd.concat(rows, ignore_index=True)


def words_right(
    thing: descriptions.Thing | None, truth: dict[str, object], field: int,
) -> dict[str, bool]:
    """Which words of a thing are those of a hand-made unit's truth.

    Parameters
    ----------
    thing : descriptions.Thing or None
    truth : mapping
        ``noun, orientation, polarity, hue``; what is None or "" there is not asked.
    field : int
        Side of the receptive field, in pixels.

    Returns
    -------
    dict of str to bool
        ``noun``; ``angle``: within `NEAR` degrees, over the cycle of the planted noun, also for a
        thing of another noun; ``polarity``: light or dark in the middle (between a net's lines
        if the unit looks for a net), also for a grating or a ring; ``hue``.
    """
    found = {"noun": thing is not None and thing.form == FORM.get(truth["noun"], truth["noun"])}
    if truth["orientation"] is not None:
        cycle = CYCLES[truth["noun"]]
        off = np.nan if thing is None else (
            thing.orientation - truth["orientation"] + cycle / 2) % cycle - cycle / 2
        found["angle"] = bool(abs(off) <= NEAR)
    if truth["polarity"] is not None:
        middle = -truth["polarity"] if truth["noun"] == "net" else truth["polarity"]
        found["polarity"] = thing is not None and _tone(thing, field) == middle
    if truth["hue"]:
        found["hue"] = thing is not None and thing.colour == truth["hue"]
    return found


def _tone(thing: descriptions.Thing, field: int) -> float:
    """1 if the drawn thing is lighter in the middle than mid-grey, −1 if darker, 0 if neither."""
    middle = slice(field // 2 - 1, field // 2 + 1)
    drawn = descriptions.bank(field).drawn([thing])[0, middle, middle] - stimuli.MID_GREY
    return float(np.sign(np.round((drawn @ alterations.BRIGHTNESS).mean())))
