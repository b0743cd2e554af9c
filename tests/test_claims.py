"""Predictions, findings and the rules that turn them into a verdict."""

import dataclasses
import importlib
import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import vizutils as vz
from techniques import claims, descriptions, samples
from techniques.claims import REFUTED, SUPPORTED, UNDECIDED, Evidence, Finding, Prediction
from techniques.descriptions import scores


def prediction(supported, refuted, **options):
    return Prediction("it", "it is so", supported, refuted, "a test", "a control", **options)


@pytest.mark.parametrize("supported, refuted, more, verdicts", [
    # at 0.4, 0.5, 0.6, 0.7, 0.8
    (0.7, 0.5, True, (REFUTED, REFUTED, UNDECIDED, SUPPORTED, SUPPORTED)),
    (0.5, 0.7, True, (SUPPORTED, SUPPORTED, UNDECIDED, REFUTED, REFUTED)),
    (0.7, 0.5, False, (REFUTED, REFUTED, UNDECIDED, SUPPORTED, SUPPORTED)),  # `more` is for equals
    (0.6, 0.6, True, (REFUTED, REFUTED, SUPPORTED, SUPPORTED, SUPPORTED)),
    (0.6, 0.6, False, (SUPPORTED, SUPPORTED, SUPPORTED, REFUTED, REFUTED)),
])
def test_bounds_and_what_lies_between(supported, refuted, more, verdicts):
    asked = prediction(supported, refuted, more=more)
    assert tuple(map(asked.judge, (0.4, 0.5, 0.6, 0.7, 0.8))) == verdicts
    assert asked.judge(np.nan) == UNDECIDED
    assert {asked.judge(np.inf), asked.judge(-np.inf)} == {SUPPORTED, REFUTED}


@pytest.mark.parametrize("options, words", [
    ({"supported": 0.7, "refuted": 0.5}, "≥ 0.70 (refuted: ≤ 0.50)"),
    ({"supported": 0.5, "refuted": 0.7}, "≤ 0.50 (refuted: ≥ 0.70)"),
    ({"supported": 95, "refuted": 95, "form": "{:.0f}"}, "≥ 95 (refuted: < 95)"),
    ({"supported": 0.05, "refuted": 0.05, "form": "{:.3f}", "more": False},
     "≤ 0.050 (refuted: > 0.050)"),
])
def test_the_demand_in_words(options, words):
    assert prediction(**options).demanded == words


def test_judging_findings():
    asked = [prediction(0.7, 0.5, core=True), Prediction("that", "c", 95, 80, "t", "c",
                                                         form="{:.0f}")]
    found = {"it": Finding(0.81, 0.3, Finding(0.45, low=0.4, high=0.52, approximate=True),
                           "two pictures", approximate=True)}
    table = claims.judge(asked, found)
    assert table.columns.tolist() == ["about", "claim", "demanded", "found", "control",
                                      "random weights", "others pass", "verdict", "core",
                                      "random too", "counts"]
    assert table.iloc[0].tolist() == ["it", "it is so", "≥ 0.70 (refuted: ≤ 0.50)",
                                      "≈ 0.81 (two pictures)", "≈ 0.30", "≈ 0.45 [0.40, 0.52]", "–",
                                      SUPPORTED, True, False, True]
    assert table.iloc[1].tolist()[3:] == ["– (not tested)", "–", "–", "–", UNDECIDED, False, False,
                                          True]
    for random, too in ((Finding(0.7), True), (Finding(0.7, low=0.4), False)):
        assert claims.judge(asked, {"it": Finding(0.81, random=random)})["random too"][0] == too
    with pytest.raises(ValueError, match="no prediction was made about afterthought, luck"):
        claims.judge(asked, found | {"luck": Finding(1), "afterthought": Finding(1)})


def test_an_interval_must_lie_beyond_what_refutes():
    asked = prediction(0.7, 0.5)
    assert [asked.judge(0.8, low, 0.9) for low in (0.51, 0.5, 0.3)] == [SUPPORTED, UNDECIDED,
                                                                        UNDECIDED]
    fewer = prediction(0.1, 0.5)
    assert [fewer.judge(0.05, 0, high) for high in (0.49, 0.5, 0.9)] == [SUPPORTED, UNDECIDED,
                                                                         UNDECIDED]
    # and none of it may reach what supports, if the claim is to be refuted
    assert [asked.judge(0.4, 0.1, high) for high in (0.69, 0.7)] == [REFUTED, UNDECIDED]
    assert [fewer.judge(0.6, low, 0.9) for low in (0.11, 0.1)] == [REFUTED, UNDECIDED]
    assert asked.judge(0.6, 0.1, 0.9) == UNDECIDED
    table = claims.judge([asked], {"it": Finding(0.8, low=0.3, high=0.9, base=0.12)})
    assert table["found"].item() == "0.80 [0.30, 0.90]" and table["verdict"].item() == UNDECIDED
    assert table["others pass"].item() == "12 %"


def test_what_half_of_the_others_pass_does_not_count():
    asked = [Prediction(about, "", 1, 0, "", "", core=True) for about in ("rare", "common")]

    def judged(common, rare_base=0.1):
        table = claims.judge(asked, {"rare": Finding(1, base=rare_base), "common": common})
        return table["counts"].tolist(), claims.verdict(table)

    assert judged(Finding(1, base=0.2)) == ([True, True], SUPPORTED)
    assert judged(Finding(0, base=0.2)) == ([True, True], REFUTED)
    for common in (0, np.nan, 1):  # it may be as it will
        assert judged(Finding(common, base=0.5)) == ([True, False], SUPPORTED)
    assert judged(Finding(1, base=0.5), 0.9) == ([False, False], UNDECIDED)
    assert judged(Finding(1, base=np.nan)) == ([True, True], SUPPORTED)  # not known


@pytest.mark.parametrize("edges, base, expected", [
    (1, 0.1, SUPPORTED), (1, 0.5, UNDECIDED), (np.nan, 0.1, UNDECIDED), (0, 0.1, REFUTED),
    (0, 0.5, UNDECIDED),
])
def test_a_causal_claim_that_was_made_must_hold_and_count(edges, base, expected):
    asked = [Prediction(about, "", 1, 0, "", "", core=True) for about in ("predicts", "edges")]
    found = {"predicts": Finding(1, base=0), "edges": Finding(edges, base=base)}
    assert claims.verdict(claims.judge(asked, found)) == expected


@pytest.mark.parametrize("core, other, expected", [
    ("s", "", SUPPORTED),
    ("s", "sr", SUPPORTED),
    ("s", "uu", SUPPORTED),
    ("ss", "srr", SUPPORTED),  # how it is built does not change what it answers to
    ("s", "r", SUPPORTED),
    ("su", "sss", UNDECIDED),
    ("u", "s", UNDECIDED),
    ("", "sss", UNDECIDED),
    ("", "", UNDECIDED),
    ("ssr", "sss", REFUTED),
    ("ur", "", REFUTED),
    ("r", "s", REFUTED),
])
def test_verdicts(core, other, expected):
    words = {"s": SUPPORTED, "r": REFUTED, "u": UNDECIDED}
    rows = [(words[v], True) for v in core] + [(words[v], False) for v in other]
    assert claims.verdict(pd.DataFrame(rows, columns=["verdict", "core"])) == expected


def test_the_rule_never_rests_on_the_order():
    numbers = {SUPPORTED: 1.0, REFUTED: 0.0, UNDECIDED: np.nan}
    for judged in itertools.permutations((SUPPORTED, SUPPORTED, REFUTED, UNDECIDED)):
        asked = [Prediction(str(i), "", 1, 0, "", "", core=v == SUPPORTED)
                 for i, v in enumerate(judged)]
        found = {str(i): Finding(numbers[v]) for i, v in enumerate(judged)}
        assert claims.verdict(claims.judge(asked, found)) == SUPPORTED  # the core alone
        asked = [dataclasses.replace(p, core=True) for p in asked]
        assert claims.verdict(claims.judge(asked, found)) == REFUTED


# --- hypotheses by rule -------------------------------------------------------------------------

MECHANISM = {"cut", "ranking", "signs", "inhibition", "use"}


@pytest.mark.parametrize("properties, groups, text, core, made", [
    ({"family": "net", "orientation": "invariant", "polarity": "dark", "colour": "invariant",
      "curvature": "straight"}, ["dogs", "birds"],
     "Filter 3 of conv answers to something like a net, in any orientation, dark on light, "
     "whatever the colour; among photographs most of all to dogs and birds.",
     {"orientation", "polarity", "colour", "classes"}, {"arrangement", "own turns"}),
    ({"family": "edge", "orientation": "selective", "polarity": "light", "colour": "chromatic"},
     ["food"],
     "Filter 3 of conv answers to something like an edge, in one orientation, light on dark, in "
     "the right colour; among photographs most of all to food.",
     {"orientation", "polarity", "colour", "classes"}, {"arrangement", "family"}),
    ({"family": "patch", "orientation": "between", "polarity": "none", "colour": "chromatic"}, [],
     "Filter 3 of conv answers to something like a uniform patch, in the right colour; no group "
     "of classes leads.", {"colour"}, set()),
    ({"family": "none", "orientation": "none", "polarity": "none", "colour": "none"}, [],
     "Filter 3 of conv answers to no drawn stimulus in particular; no group of classes leads.",
     set(), {"arrangement"}),
    ({"family": "high-low"}, ["a", "b", "c"],
     "Filter 3 of conv answers to something like a boundary between fine and coarse stripes; "
     "among photographs most of all to a, b and c.", {"classes"}, {"arrangement"}),
    ({}, [], "Filter 3 of conv answers to no drawn stimulus in particular; no group of classes "
     "leads.", set(), {"arrangement"}),
])
def test_hypotheses(properties, groups, text, core, made):
    found = claims.hypothesise("conv", 3, properties, groups)
    assert found.text == text
    assert found.properties == properties and found.groups == tuple(groups)
    asked = {p.about: p for p in found.predictions}
    assert len(asked) == len(found.predictions)  # a finding is matched by its name
    assert {about for about, p in asked.items() if p.core} == core
    assert {about for about, p in asked.items() if not p.core} == MECHANISM | made


def test_predictions_point_the_way_the_property_says():
    for value, survives in (("invariant", True), ("selective", False)):
        found = claims.hypothesise("conv", 3, {"orientation": value}, [])
        turned = next(p for p in found.predictions if p.about == "orientation")
        assert turned.judge(0.9) == (SUPPORTED if survives else REFUTED)
        assert turned.judge(0.1) == (REFUTED if survives else SUPPORTED)
        assert turned.judge(0.6) == UNDECIDED and "turned by 90°" in turned.test
    classes = claims.hypothesise("conv", 3, {}, ["dogs"]).predictions[1]
    assert [classes.judge(p) for p in (0.01, 0.2, 0.6)] == [SUPPORTED, UNDECIDED, REFUTED]


def test_predictions_name_how_many_kernels_there_are():
    def asked(**options):
        return claims.predictions_table(claims.hypothesise("conv", 3, {}, [],
                                                           **options).predictions)

    few = asked(top=10, channels=3).set_index("about")
    assert "the 3 strongest kernels" in few.claim["cut"] and "3 of 3" in few.control["ranking"]
    many = asked(top=6, channels=128)
    assert "the 6 strongest kernels" in many.claim[1] and many.control[2] == "by chance, 6 of 128"
    assert many.columns.tolist() == ["about", "claim", "test", "control", "demanded"]


# --- classes ------------------------------------------------------------------------------------


def classes(effect=0.0, seed=0, count=60, members=12):
    member = np.arange(count) < members
    mean = np.random.default_rng(seed).normal(3, 2, count) + 2 * effect * member
    return pd.DataFrame({"mean": mean}), member


def test_a_planted_group_is_found_and_its_opposite_is_not():
    table, member = classes(effect=1.5)
    effect, p = claims.group_p(table, member, permutations=999)
    by_hand = stats.zscore(table["mean"].to_numpy())[member].mean()
    assert effect == pytest.approx(by_hand) and p <= 0.002
    assert claims.group_p(*classes(effect=-1.5), permutations=999)[1] > 0.99
    assert claims.group_p(table, member, permutations=999) == (effect, p)  # seeded


def test_the_strongest_photograph_left_out():
    table, member = classes(effect=0.3, seed=7)
    strongest = int(np.flatnonzero(member)[table["mean"].to_numpy()[member].argmax()])
    table.loc[strongest, "mean"] = 12.0  # one photograph carries the group
    assert claims.group_p(table, member, permutations=999)[1] < 0.05
    left, still = claims.without_strongest(table, member)
    assert len(left) == len(table) - 1 and strongest not in left.index
    assert still.sum() == member.sum() - 1
    assert claims.group_p(left, still, permutations=999)[1] > 0.05
    alone = np.arange(len(table)) == strongest
    assert not claims.without_strongest(table, alone)[1].any()


def test_without_an_effect_p_is_uniform():
    p = [claims.group_p(*classes(seed=s), permutations=99, seed=s)[1] for s in range(200)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert min(p) >= 0.01  # never 0: the observed set counts


def test_few_classes_give_the_exact_share():
    table = pd.DataFrame({"mean": [5.0, 1.1, 1.3, 0.7, 0.9]})
    member = np.array([True, True, False, False, False])  # second of the ten pairs
    assert claims.group_p(table, member)[1] == pytest.approx(0.2, abs=0.02)


def test_groups_that_cannot_be_compared():
    table, member = classes()
    for wrong in (np.zeros(60, bool), np.ones(60, bool)):
        assert np.isnan(claims.group_p(table, wrong)).all()
    # a filter that answers everything alike prefers nothing
    effect, p = claims.group_p(table.assign(mean=0.3), member, permutations=99)
    assert effect == pytest.approx(0, abs=1e-3) and p == 1


# --- a layer of planted filters -----------------------------------------------------------------

FIELD, PICTURES, EACH, CHANNELS = 14, 25, 48, 12
TONES = ("light", "dark", "red", "green", "dark blue")


def planted_parts():
    """Two things for each of 20 filters: a bar, and a curve that it dislikes."""
    for angle in (0, 45, 90, 135):
        for tone in TONES:
            yield (f"+1 {tone} bar; orientation {angle}°; width 3 px; shift 0 px\n"
                   f"-0.7 {tone} curve; orientation {angle}°; width 3 px; radius 5 px")


def directions(one):
    """What a planted filter may claim: a tone for its contrast, a colour for its hue."""
    first = one.things[0]
    return {"angle", *(["contrast"] if first.luma else []), *(["hue"] if first.colour else [])}


def edges_of(filter):
    return filter % CHANNELS, (filter + 1) % CHANNELS


@pytest.fixture(scope="module")
def described():
    return [descriptions.from_text(f"planted filter {i}, field {FIELD} px\n{parts}")
            for i, parts in enumerate(planted_parts())]


@pytest.fixture(scope="module")
def evidence(described):
    """20 filters that answer as they are described, plus noise; each has two edges of its own."""
    rng = np.random.default_rng(0)
    look = descriptions.bank(FIELD)
    things = [thing for one in described for thing in one.things]
    shown = look.drawn([change(one) for one in things for change in (
        lambda t: t, lambda t: t.inverted(), lambda t: t.turned(90), lambda t: t.recoloured(),
        lambda t: t.with_noun("disc", FIELD), lambda t: t.with_noun("edge", FIELD))])
    count = PICTURES * EACH
    patches = (shown[rng.integers(len(shown), size=(2, count))].mean(0)
               + rng.normal(0, 15, (count, FIELD, FIELD, 3)))
    features = look.features(np.clip(patches, 0, 255))
    answers = descriptions.predictions(described, features).astype("float64")
    answers += rng.normal(0, 0.3, answers.shape) * answers.std(0)
    carried = np.full((PICTURES, CHANNELS, len(described)), 0.04)
    for filter in range(len(described)):
        carried[:, edges_of(filter), filter] = 0.3
    carried *= rng.uniform(0.5, 1.5, (PICTURES, 1, len(described)))
    places = pd.DataFrame({"picture": np.repeat(np.arange(PICTURES), EACH), "row": 0, "column": 0})
    return Evidence("planted", FIELD, samples.Sample("planted", places, answers, None), features,
                    carried)


@pytest.fixture(scope="module")
def hypotheses(described):
    """True ones."""
    return [claims.by_hand(one.text, edges_of(one.filter), directions=directions(one))
            for one in described]


@pytest.fixture(scope="module")
def found(evidence, hypotheses):
    return claims.numbers(evidence, hypotheses, draws=60)


def test_true_hypotheses_are_supported_on_their_own_filters_alone(found, hypotheses):
    filters = np.arange(20)
    verdicts = claims.verdicts(found, filters)
    assert verdicts.shape == (20, 20)
    assert (verdicts[filters, filters] == SUPPORTED).all()
    assert (verdicts == SUPPORTED).sum() == 20
    own = {about: one.value[filters, filters] for about, one in found.items()}
    assert (own["predicts"] == 100).all()
    np.testing.assert_allclose(own["edges"], 0.6, rtol=1e-9)  # 2 · 0.3 of 2 · 0.3 + 10 · 0.04
    for about in ("hue", "contrast"):
        made = np.array([about in directions(h.description) for h in hypotheses])
        assert 0 < made.sum() < 20 and (own[about][made] > 0.03).all()
        assert (np.isnan(found[about].value) == ~made[:, None]).all()
    for one in found.values():
        made = ~np.isnan(one.value)
        assert (one.low[made] <= one.high[made]).all()


@pytest.mark.parametrize("about, change", [
    ("contrast", lambda d: d.inverted()), ("angle", lambda d: d.turned(90)),
    ("hue", lambda d: d.recoloured()), ("noun", lambda d: d.with_noun("edge")),
])
def test_what_is_false_loses_by_its_own_claim(found, evidence, hypotheses, about, change):
    made = [h for h in hypotheses if about in {p.about for p in h.predictions}]
    filters = [h.description.filter for h in made]
    false = [h.with_description(change(h.description)) for h in made]
    lost = claims.numbers(evidence, false, draws=20)
    at = np.arange(len(made)), filters
    assert (lost[about].value[at] < 0).all()
    assert (claims.judged(lost, about)[at] == -1).all()
    assert (claims.verdicts(lost, filters)[at] != SUPPORTED).all()
    if about in ("contrast", "hue"):  # exchanged twice is the truth: one's gain, the other's loss
        np.testing.assert_allclose(lost[about].value, -found[about].value[filters], atol=1e-4)


def test_numbers_are_differences_of_correlations(found, evidence, described):
    def r(one):
        predicted = one.from_features(evidence.features)
        return np.array([np.corrcoef(predicted, a)[0, 1] for a in evidence.answers.T])

    for i in (4, 14):
        one, own = described[i], r(described[i])
        turned = np.maximum(r(one.turned(90)), r(one.turned(270)))  # the better way round
        for about, other in (("contrast", r(one.inverted())), ("angle", turned),
                             ("hue", r(one.recoloured()))):
            np.testing.assert_allclose(found[about].value[i], own - other, atol=1e-4)
        # a bar and a curve look like each other, discs and gratings, a curve like an edge too
        both = ("corner", "grid", "net", "high-low")
        others = [r(one.with_noun(noun)) for noun in both]
        others.append(r(one.changed(lambda t: t.with_noun("edge", FIELD)
                                    if t.form == "bar" else t)))
        np.testing.assert_allclose(found["noun"].value[i], own - np.max(others, 0), atol=1e-4)
        below = [(own < each).sum() for each in own]  # filters that it fits less well
        np.testing.assert_allclose(found["predicts"].value[i], 100 * np.array(below) / 19)
    share = evidence.carried[:, edges_of(2)].sum((0, 1)) / evidence.carried.sum((0, 1))
    np.testing.assert_allclose(found["edges"].value[2], share)
    np.testing.assert_allclose(evidence.share(edges_of(2)), share)
    assert evidence.share(edges_of(2), 5) == pytest.approx(share[5])
    assert set(evidence.strongest_edges(7, 2)) == set(edges_of(7))


def test_intervals_come_from_drawing_pictures_again(evidence, hypotheses):
    found = claims.numbers(evidence, hypotheses[:1], draws=200, seed=3)
    whole, named = evidence.carried.sum(1), evidence.carried[:, edges_of(0)].sum(1)
    drawn = scores.resampled(PICTURES, draws=200, seed=3)
    shares = [(named[again].sum(0) / whole[again].sum(0)) for again in
              (np.repeat(np.arange(PICTURES), times) for times in drawn)]
    np.testing.assert_allclose([found["edges"].low[0], found["edges"].high[0]],
                               np.quantile(shares, [0.05, 0.95], axis=0))
    again = claims.numbers(evidence, hypotheses[:1], draws=200, seed=4)
    assert (again["contrast"].low != found["contrast"].low).any()
    np.testing.assert_array_equal(again["contrast"].value, found["contrast"].value)


def by_numbers(values, about="contrast"):
    values = np.array(values, float)
    return {about: claims.Numbers(values, values, values)}


def test_base_rates_are_of_the_other_filters():
    # supported from 0.03 on; the hypotheses are about filters 1, 0 and 3
    found = by_numbers([[0.5, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.0],
                        [np.nan] * 4])
    np.testing.assert_allclose(claims.base_rates(found, [1, 0, 3, 2])["contrast"],
                               [1 / 3, 0, 1, np.nan])


def test_a_common_claim_does_not_count_in_verdicts():
    rare = by_numbers([[0.9, 0.0, 0.0, 0.0]], "edges") | by_numbers([[99.0, 0, 0, 0]], "predicts")
    for others, expected in (([0.0, 0.0, 0.5], REFUTED), ([0.5, 0.5, 0.0], SUPPORTED)):
        found = rare | by_numbers([[-0.2, *others]])  # its own filter fails
        assert claims.verdicts(found, [0])[0, 0] == expected
    common = rare | by_numbers([[0.9, 0.9, 0.9, 0.0]], "edges")  # two thirds of the others
    assert claims.verdicts(common, [0])[0, 0] == UNDECIDED


def random_numbers(rng, hypotheses, filters):
    """Numbers around the bounds, with intervals; some claims are not made."""
    found = {}
    for about, p in claims.CORE.items():
        wide = abs(p.supported - p.refuted)
        middle = rng.choice([p.refuted - wide, p.refuted, p.supported, p.supported + wide],
                            (hypotheses, filters), p=[0.1, 0.1, 0.3, 0.5])
        low, high = (middle + sign * rng.choice([0.1, 0.5, 2.5], middle.shape) * wide
                     for sign in (-1, 1))
        if about not in ("predicts", "edges"):
            middle[rng.random(hypotheses) < 0.4] = np.nan
        found[about] = claims.Numbers(middle, *(np.where(np.isnan(middle), np.nan, end)
                                                for end in (low, high)))
    return found


def test_verdicts_are_those_of_judge_and_verdict():
    rng, seen = np.random.default_rng(0), []
    for _ in range(12):
        found = random_numbers(rng, 6, 9)
        filters = rng.integers(9, size=6)
        verdicts, rates = claims.verdicts(found, filters), claims.base_rates(found, filters)
        for h, f in itertools.product(range(6), range(9)):
            made = {about: one for about, one in found.items() if not np.isnan(one.value[h, f])}
            findings = {about: Finding(one.value[h, f], low=one.low[h, f], high=one.high[h, f],
                                       base=rates[about][h]) for about, one in made.items()}
            table = claims.judge([claims.CORE[about] for about in made], findings)
            assert verdicts[h, f] == claims.verdict(table)
            seen.append(verdicts[h, f])
    assert {SUPPORTED, REFUTED, UNDECIDED} == set(seen)


def test_swap_counts_the_others(evidence, hypotheses):
    net = vz.as_network(planted_network())
    found = claims.swap(net, hypotheses[3], evidence=evidence)
    assert found.verdict == SUPPORTED and found.supported == []
    assert found.sentence == ("On its own filter: supported. Of the layer's 19 other filters it "
                              "would be supported for ≈ 0 (≈ 0.0 %).")
    assert found.table["filter"].tolist() == list(range(20)) and found.table["own"][3]
    # filter 8 answers as this hypothesis says, to the letter, and by the same edges
    answers, carried = evidence.answers.copy(), evidence.carried.copy()
    answers[:, 8] = hypotheses[3].description.from_features(evidence.features)
    carried[:, :, 8] = carried[:, :, 3]
    twin = dataclasses.replace(evidence, carried=carried, sample=dataclasses.replace(
        evidence.sample, answers=answers))
    found = claims.swap(net, hypotheses[3], evidence=twin)
    assert found.supported == [8] and found.verdict == UNDECIDED  # it fits one other better
    assert found.table["predicts"][3] == pytest.approx(100 * 18 / 19)
    assert found.sentence.endswith("supported for ≈ 1 (≈ 5.3 %).")


def planted_network():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(CHANNELS, 12, name="below")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(20, 3, name="planted")(x))


def test_what_swap_refuses(evidence, described):
    net = vz.as_network(planted_network())
    text = described[0].text
    for changed, edges, words in (
        (text.replace("filter 0", "filter 20"), [1], "20 is out of range"),
        (text.replace("14 px", "12 px"), [1], "field of planted has 14 px, not 12"),
        (text, [CHANNELS], "channels 0 to 11; edge 12 is none of them"),
        (text.replace("planted ", "plant "), [1], "'plant' not found"),
    ):
        with pytest.raises(ValueError, match=words):
            claims.swap(net, claims.by_hand(changed, edges), evidence=evidence)
    with pytest.raises(ValueError, match="without a description .*by_hand"):
        claims.swap(net, claims.hypothesise("planted", 3, {}, []), evidence=evidence)


# --- hypotheses with a description --------------------------------------------------------------

BAR = "conv filter 3, field 14 px\n+1 dark bar; orientation 45°; width 3 px; shift 0 px"


def test_a_hypothesis_by_hand():
    made = claims.by_hand(BAR, [4, 2])
    assert [p.about for p in made.predictions] == [a for a in claims.CORE if a != "hue"]  # grey
    assert made.edges == (4, 2) and made.text == made.description.sentence
    assert [p.about for p in claims.by_hand(BAR, [1], directions=["angle"]).predictions] == [
        "predicts", "noun", "angle", "edges"]
    assert set(made.opposites()) == {"contrast", "angle"}
    assert made.opposites()["angle"].description == made.description.turned(90)
    patch = claims.by_hand("conv filter 3, field 14 px\n+1 patch; luminance 90", [1])
    assert "noun" not in {p.about for p in patch.predictions}
    # colour is read at two periods only: the form of a figure in colour alone is not claimed
    for tone, claimed in (("", False), ("light ", True)):
        made = claims.by_hand(f"conv filter 3, field 14 px\n+1 {tone}red disc; radius 3 px", [1])
        assert ("noun" in {p.about for p in made.predictions}) == claimed


@pytest.mark.parametrize("text, edges, options, words", [
    (BAR, [], {}, "name at least one edge"),
    (BAR, [1, 1], {}, "named once; not 1, 1"),
    (BAR, [-1], {}, "0 or more"),
    (BAR, [1], {"directions": ["contrast", "size"]}, "contrast, angle, hue, not size"),
    (BAR.splitlines()[0], [1], {}, "name at least one thing"),
    ("", [1], {}, "a description starts with"),
    (BAR.replace("bar", "snail"), [1], {}, "names no thing"),
])
def test_what_by_hand_refuses(text, edges, options, words):
    with pytest.raises(ValueError, match=words):
        claims.by_hand(text, edges, **options)


def about(evidence, described):
    """Hypotheses by rule whose rivals are the same things by other names."""
    return claims.about_layer(evidence, described, [one.rivals() for one in described])


def test_a_noun_is_claimed_only_where_half_a_needs_it(evidence, described):
    one = described[0]  # a light bar and a curve
    edges = one.changed(lambda t: t.with_noun("edge", FIELD))
    for rivals, claimed in (([edges], True), ([one], False), ([edges, one], False), ([], False)):
        made, = claims.about_layer(evidence, [one], [rivals])
        assert ("noun" in {p.about for p in made.predictions}) == claimed
        assert made.rivals == tuple(rivals)
        assert made.text.endswith("other forms predict it nearly as well.") != claimed
    found = claims.numbers(evidence, [claims.about_layer(evidence, [one], [[edges]])[0]], draws=9)
    r = [np.corrcoef(d.from_features(evidence.features), evidence.answers[:, 0])[0, 1]
         for d in (one, edges)]
    assert found["noun"].value[0, 0] == pytest.approx(r[0] - r[1], abs=1e-4)


def test_wrong_nouns_are_claimed(hypotheses):
    one = hypotheses[0]
    wrong = one.with_wrong_nouns(3)
    assert "noun" in {p.about for p in wrong.predictions} and wrong.edges == one.edges
    assert wrong.description == one.description.with_wrong_nouns(3)
    assert wrong.rivals == tuple(wrong.description.rivals())
    patch = descriptions.from_text(f"planted filter 1, field {FIELD} px\n+1 patch; luminance 90")
    assert one.with_description(patch).with_wrong_nouns(3) is None


def test_directions_are_claimed_only_where_half_a_says_so(evidence, described):
    made = about(evidence, described)
    assert [one.description for one in made] == described
    assert all(set(one.edges[:2]) == set(edges_of(i)) for i, one in enumerate(made))
    for one in made:
        tone = TONES[one.description.filter % 5]  # with a tone, half A loses little by its hue
        assert {p.about for p in one.predictions} == {"predicts", "angle", "edges"} | (
            {"hue"} if tone in ("red", "green") else {"contrast", "noun"})
    # a filter for which dark and light, or angles, are the same
    both = dataclasses.replace(described[0], parts=(
        *described[0].parts, *described[0].inverted().parts))
    alike = dataclasses.replace(evidence, sample=dataclasses.replace(
        evidence.sample, answers=evidence.answers + 0))
    alike.answers[:, 0] = both.from_features(evidence.features)
    one, = about(alike, [both])
    assert {p.about for p in one.predictions} - {"noun"} == {"predicts", "angle", "edges"}
    patch = descriptions.from_text(f"planted filter 1, field {FIELD} px\n+1 patch; luminance 90")
    one, = about(evidence, [patch])
    assert "noun" not in {p.about for p in one.predictions}


def test_patches_and_empty_descriptions_win_nothing_by_their_noun(evidence, hypotheses):
    patch = descriptions.from_text(f"planted filter 1, field {FIELD} px\n+1 patch; luminance 90")
    for one in (patch, patch.shortened(0)):
        made = hypotheses[1].with_description(one)  # claims a noun all the same
        found = claims.numbers(evidence, [made], draws=10)
        assert np.isnan(found["noun"].value).all()
        assert claims.verdicts(found, [1])[0, 1] != SUPPORTED


def test_a_dead_filter_is_not_supported(evidence, described):
    dead = dataclasses.replace(evidence, carried=evidence.carried.copy(), sample=(
        dataclasses.replace(evidence.sample, answers=evidence.answers.copy())))
    dead.answers[:, 5], dead.carried[:, :, 5] = 0, 0
    made = about(dead, [described[5], described[5].shortened(0)])
    assert {p.about for p in made[0].predictions} == {"predicts", "edges"}
    assert made[1].predictions == () and "no drawn thing" in made[1].text
    found = claims.numbers(dead, [*made, claims.by_hand(described[5].text, edges_of(5))], draws=20)
    assert (dead.share(edges_of(5), 5), found["edges"].value[0, 5]) == (0, 0)
    verdicts = claims.verdicts(found, [5, 5, 5])[:, 5]
    assert verdicts.tolist() == [REFUTED, UNDECIDED, REFUTED]


def test_a_description_stands_before_what_is_said_beside_it():
    about = claims.by_hand(BAR, [1, 2])
    made = claims.hypothesise("conv", 3, {"orientation": "selective"}, ["dogs"], about=about)
    assert made.text == about.text[:-1] + "; among photographs most of all to dogs."
    core = [p.about for p in made.predictions if p.core]
    assert core == [p.about for p in about.predictions]  # classes and turned patches: beside it
    assert {"orientation", "classes", "arrangement", *MECHANISM} < {
        p.about for p in made.predictions}
    assert (made.description, made.edges) == (about.description, (1, 2))


# --- what a layer answers -----------------------------------------------------------------------


def test_what_edges_carry_is_the_response_above_its_mean(tiny, noise):
    layer = "block2_conv2"
    found = claims.gather(tiny, layer, vz.made(noise), each=40, seed=5)
    assert found.field == 14 and found.sample.inputs is None
    assert found.features.shape == (160, descriptions.bank(14).scales.size)
    maps = vz.activations(tiny, layer, noise, pre_activation=True)
    at = found.sample.places
    answers = maps[at["picture"], at["row"], at["column"]]
    np.testing.assert_allclose(found.answers, answers, rtol=1e-4, atol=1e-4)
    assert found.carried.shape == (4, 6, 6)  # pictures, channels, filters
    for filter in range(6):
        strong = np.argsort(-answers[:, filter])[:20]
        for picture in range(4):
            above = answers[strong, filter] - answers[:, filter].mean()
            in_it = at["picture"].to_numpy()[strong] == picture
            assert found.carried[picture, :, filter].sum() == pytest.approx(
                above[in_it].sum(), abs=1e-3)
    # one edge by hand: its window times its kernel
    windows = samples.sample(tiny, layer, vz.made(noise), each=40, seed=5).inputs
    kernel = tiny.layer(layer).kernel.numpy()[:, :, 2, 4]
    given = (windows[..., 2] * kernel).sum((1, 2))
    strong = np.argsort(-answers[:, 4])[:20]
    assert found.carried[:, 2, 4].sum() == pytest.approx(
        (given[strong] - given.mean()).sum(), abs=1e-3)
    whole = found.carried.sum((0, 1))
    np.testing.assert_allclose(found.share([2, 4]), found.carried[:, [2, 4]].sum((0, 1)) / whole,
                               rtol=1e-5)
    assert found.share(range(6), 3) == pytest.approx(1)
    order = np.argsort(-found.carried[:, :, 4].sum(0))
    assert found.strongest_edges(4, 3) == tuple(order[:3])


def test_small_fields_have_no_features(tiny, noise):
    assert claims.gather(tiny, "block1_conv2", vz.made(noise), each=5).features is None


@pytest.mark.parametrize(("thing", "claimed"), [
    ("dark curve; orientation 75°; width 4 px; radius 16 px", {"contrast", "angle"}),
    ("dark disc; radius 4 px", {"contrast"}),
    ("red disc; radius 4 px", {"hue"}),
    ("light red bar; orientation 0°; width 4 px; shift 0 px", {"contrast", "angle", "hue"}),
])
def test_a_direction_that_nothing_has_is_not_claimed_by_hand(thing, claimed):
    made = claims.by_hand(f"conv filter 3, field 32 px\n+1 {thing}", [0])
    assert {p.about for p in made.predictions} - {"predicts", "noun", "edges"} == claimed


# --- rates that were measured -------------------------------------------------------------------


def test_base_rates_come_from_the_layers_own_counts(vgg16, tiny, tmp_path, monkeypatch):
    path = tmp_path / "claim_rates.json"
    monkeypatch.setattr(claims.rates, "CLAIM_RATES", path)
    assert claims.passed_by(vgg16, "block3_conv2") == {}
    path.write_text(json.dumps({"vgg16": {
        "block3_conv2": {"cut": {"supported": 6, "asked": 24}, "use": {"supported": 0, "asked": 0}},
        "block2_conv2": {"cut": {"supported": 1, "asked": 2}}}}))
    assert claims.passed_by(vgg16, "block3_conv2") == {"cut": 0.25}
    assert claims.passed_by(vgg16, "block4_conv2") == {}
    assert claims.passed_by(tiny, "block3_conv2") == {}  # another network's layer of that name


def test_claims_are_counted_where_they_were_made(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(vz.__file__).parent / "benchmarks"))
    counted = importlib.import_module("claim_rates").counted
    assert counted([{"cut": SUPPORTED, "use": REFUTED}, {"cut": UNDECIDED}]) == {
        "cut": {"supported": 1, "asked": 2}, "use": {"supported": 0, "asked": 1}}
    assert counted([]) == {}


def test_a_swap_says_what_decided_against_it(evidence, hypotheses):
    wrong = dataclasses.replace(hypotheses[2], edges=edges_of(7))
    said = claims.swap(vz.as_network(planted_network()), wrong, evidence=evidence)
    assert said.because["Refuted"] == ["edges"] and "Refuted: edges." in said.sentence
    right = claims.swap(vz.as_network(planted_network()), hypotheses[2], evidence=evidence)
    assert not any(right.because.values()) and right.sentence.startswith(
        "On its own filter: supported. Of the layer's 19")
    everything = dataclasses.replace(hypotheses[2], edges=tuple(range(CHANNELS)))
    common = claims.swap(vz.as_network(planted_network()), everything, evidence=evidence)
    assert common.because["Not counted"] == ["edges"] and common.verdict == UNDECIDED


def test_evidence_of_another_layer_is_refused(evidence, hypotheses):
    for wrong in (dataclasses.replace(evidence, layer="block9"), "x"):
        with pytest.raises(ValueError, match="the evidence is not of planted"):
            claims.swap(vz.as_network(planted_network()), hypotheses[0], evidence=wrong)
