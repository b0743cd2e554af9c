"""Predictions, findings and the rules that turn them into a verdict."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from techniques import claims
from techniques.claims import REFUTED, SUPPORTED, UNDECIDED, Finding, Prediction


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
    found = {"it": Finding(0.81, 0.3, 0.45, "two pictures", approximate=True)}
    table = claims.judge(asked, found)
    assert table.columns.tolist() == ["about", "claim", "demanded", "found", "control",
                                      "random weights", "others pass", "verdict", "core",
                                      "random too", "counts"]
    assert table.iloc[0].tolist() == ["it", "it is so", "≥ 0.70 (refuted: ≤ 0.50)",
                                      "≈ 0.81 (two pictures)", "≈ 0.30", "≈ 0.45", "–", SUPPORTED,
                                      True, False, True]
    assert table.iloc[1].tolist()[3:] == ["– (not tested)", "–", "–", "–", UNDECIDED, False, False,
                                          True]
    assert claims.judge(asked, {"it": Finding(0.81, random=0.7)})["random too"].tolist() == [
        True, False]
    with pytest.raises(ValueError, match="no prediction was made about afterthought, luck"):
        claims.judge(asked, found | {"luck": Finding(1), "afterthought": Finding(1)})


def test_an_interval_must_lie_beyond_what_refutes():
    asked = prediction(0.7, 0.5)
    assert [asked.judge(0.8, low, 0.9) for low in (0.51, 0.5, 0.3)] == [SUPPORTED, UNDECIDED,
                                                                        UNDECIDED]
    fewer = prediction(0.1, 0.5)
    assert [fewer.judge(0.05, 0, high) for high in (0.49, 0.5, 0.9)] == [SUPPORTED, UNDECIDED,
                                                                         UNDECIDED]
    assert asked.judge(0.4, 0.1, 0.8) == REFUTED and asked.judge(0.6, 0.1, 0.9) == UNDECIDED
    table = claims.judge([asked], {"it": Finding(0.8, low=0.3, high=0.9, base=0.12)})
    assert table["found"].item() == "0.80 [0.30, 0.90]" and table["verdict"].item() == UNDECIDED
    assert table["others pass"].item() == "12 %"


def test_what_half_of_the_others_pass_does_not_count():
    asked = [Prediction(about, "", 1, 0, "", "", core=True) for about in ("rare", "common")]

    def judged(common, rare=Finding(1, base=0.1)):
        table = claims.judge(asked, {"rare": rare, "common": common})
        return table["counts"].tolist(), claims.verdict(table)

    assert judged(Finding(1, base=0.2)) == ([True, True], SUPPORTED)
    assert judged(Finding(0, base=0.2)) == ([True, True], REFUTED)
    for common in (0, np.nan, 1):  # it may be as it will
        assert judged(Finding(common, base=0.5)) == ([True, False], SUPPORTED)
    assert judged(Finding(1, base=0.5), Finding(1, base=0.9)) == ([False, False], UNDECIDED)
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

MECHANISM = {"cut", "ranking", "signs", "inhibition", "one cause", "use"}


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
