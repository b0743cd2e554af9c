"""Marking: counts, rates and intervals with known answers; claims put to units made here."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import claims, marking, planted
from techniques.descriptions import thing


def cases(true, false, claim="c", mechanism="m"):
    """Rows with so many supported of the true ones and of the false ones: (2, 4) is 2 of 4."""
    return pd.concat([marking.asked(claim, mechanism, value, range(n), np.arange(n) < k)
                      for value, (k, n) in ((True, true), (False, false))], ignore_index=True)


# --- counting -------------------------------------------------------------------------------------


def test_counts_become_rates_with_wilsons_interval():
    row, = marking.rates(cases((15, 16), (1, 20))).to_dict("records")
    assert (row["claim"], row["mechanism"]) == ("c", "m")
    assert (row["true_asked"], row["true_supported"], row["true_share"]) == (16, 15, 15 / 16)
    assert (row["false_asked"], row["false_supported"], row["false_share"]) == (20, 1, 0.05)
    # Wilson 1927, z = 1.96, by hand: (k + z²/2 ± z √(k(n − k)/n + z²/4)) / (n + z²)
    z = 1.959964
    for name, k, n in (("true", 15, 16), ("false", 1, 20)):
        middle, half = k + z**2 / 2, z * (k * (n - k) / n + z**2 / 4) ** 0.5
        assert row[f"{name}_low"] == pytest.approx((middle - half) / (n + z**2), abs=1e-6)
        assert row[f"{name}_high"] == pytest.approx((middle + half) / (n + z**2), abs=1e-6)


def test_a_claim_that_always_supports_is_always_wrong_where_it_is_false():
    table = marking.rates(cases((7, 7), (9, 9)))
    assert table.loc[0, "true_share"] == table.loc[0, "false_share"] == 1
    assert len(marking.misses(table)) == 1
    never = marking.rates(cases((0, 7), (0, 9)))
    assert never.loc[0, "false_share"] == 0 and len(marking.misses(never)) == 1


@pytest.mark.parametrize("true, false, missed", [
    ((9, 10), (1, 20), False), ((8, 10), (1, 20), True), ((9, 10), (2, 20), True),
    ((0, 0), (0, 5), False), ((5, 5), (0, 0), False), ((4, 5), (0, 0), True)])
def test_bounds_are_90_and_5_percent(true, false, missed):
    assert len(marking.misses(marking.rates(cases(true, false)))) == missed


def test_what_was_never_asked_has_no_rate():
    row = marking.rates(cases((3, 4), (0, 0))).loc[0]
    assert row["false_asked"] == 0
    assert row[["false_share", "false_low", "false_high"]].isna().all()


def test_counts_go_by_claim_mechanism_or_case():
    found = pd.concat([cases((1, 2), (0, 2)), cases((2, 2), (0, 2), mechanism="n"),
                       cases((0, 2), (1, 2), claim="d")])
    assert list(marking.rates(found)["claim"]) == ["c", "c", "d"]
    together = marking.rates(found, by=("claim",)).set_index("claim")
    assert together.loc["c", "true_supported"] == 3 and together.loc["c", "true_asked"] == 4
    assert together.loc["d", "false_supported"] == 1


# --- words and hypotheses of hand-made units ------------------------------------------------------


@pytest.fixture(scope="module")
def hand_made():
    return list(planted.hand_made(per=4))


@pytest.fixture(scope="module")
def half_b(pictures):
    return pictures.subset(range(6))


@pytest.fixture(scope="module")
def evidence(hand_made, half_b):
    return claims.gather(hand_made[0].net, "hand_made", half_b, each=60, seed=1)


def test_true_hypotheses_say_what_was_planted(hand_made):
    for made in hand_made:
        for filter in made.filters:
            one, truth = marking.truly(made, filter), made.of(filter)
            (part,) = one.description.parts
            assert all(marking.words_right(part.thing, truth, 32).values())
            made_claims = {p.about for p in one.predictions}
            assert "edges" not in made_claims and "predicts" in made_claims
            assert ("noun" in made_claims) == (not truth["hue"])
            assert ("angle" in made_claims) == (truth["orientation"] is not None)
            assert ("hue" in made_claims) == bool(truth["hue"])


def test_wrong_words_are_found():
    truth = {"noun": "bar", "orientation": 15.0, "polarity": 1.0, "hue": ""}
    right = {"noun": True, "angle": True, "polarity": True}
    assert marking.words_right(thing("light bar; orientation 0°; width 4 px; shift 0 px"),
                               truth, 32) == right
    assert marking.words_right(thing("light bar; orientation 195°; width 4 px; shift 0 px"),
                               truth, 32) == right  # a bar repeats after 180°
    assert marking.words_right(thing("dark curve; orientation 45°; width 4 px; radius 9 px"),
                               truth, 32) == {"noun": False, "angle": False, "polarity": False}
    assert marking.words_right(thing("grating; orientation 15°; period 8 px; phase 180°"),
                               truth, 32) == right | {"noun": False, "polarity": False}
    assert marking.words_right(thing("dark ring; radius 8 px"), truth, 32)["polarity"]
    assert not any(marking.words_right(None, truth, 32).values())
    assert marking.words_right(thing("red disc; radius 4 px"), {
        "noun": "blob", "orientation": None, "polarity": None, "hue": "red"}, 32) == {
            "noun": True, "hue": True}


def test_the_true_hypothesis_passes_and_its_opposites_fail(hand_made, evidence):
    edges = hand_made[0]
    true = [marking.truly(edges, f) for f in edges.filters]
    for about, change in (("angle", lambda d: d.turned(90)), ("angle", lambda d: d.turned(-90)),
                          ("contrast", lambda d: d.inverted())):
        own = marking.core_claims(about, "edge", True, evidence, true)
        false = marking.core_claims(about, "edge", False, evidence, [
            one.with_description(change(one.description)) for one in true])
        assert own["supported"].all() and not false["supported"].any()


def test_what_is_not_claimed_is_not_supported(hand_made, evidence):
    blobs = hand_made[4]
    found = marking.core_claims("angle", "blob", False, evidence,
                                [marking.truly(blobs, f) for f in blobs.filters])
    assert not found["supported"].any() and found["number"].isna().all()


def test_every_other_noun_is_refused_and_look_alikes_are_left_open(hand_made, evidence):
    bars = hand_made[1]
    true = [marking.truly(bars, f) for f in bars.filters]
    own = marking.core_claims("noun", "bar", True, evidence, true)
    false = marking._other_nouns(bars, true, evidence)
    assert own["supported"].all() and not false["supported"].any()
    assert {case.split()[0] for case in false["case"]} == {
        "edge", "corner", "grid", "net", "high-low"}
    coloured = hand_made[5]
    assert marking._other_nouns(coloured, [marking.truly(coloured, f) for f in coloured.filters],
                                evidence).empty


def test_a_noun_by_rule_is_true_or_false_by_what_is_liked_most(hand_made, evidence):
    bars = hand_made[1]
    true = {f: marking.truly(bars, f) for f in bars.filters}
    nets = {f: one.with_description(one.description.with_noun("net")) for f, one in true.items()}
    for said, right in ((true, True), (nets, False)):
        found = marking._nouns_by_rule(bars, said, evidence)
        assert (found["claim"] == "noun by rule").all() and (found["planted"] == right).all()
        assert (found["supported"] == right).all()


def test_altered_patches_tell_blobs_from_bars(hand_made, half_b):
    _, bars, _, _, blobs, coloured = hand_made
    level = np.zeros(24)
    found = pd.concat([marking.altered(made.net, made.layer, made.filters,
                                       [made.of(f) for f in made.filters], half_b, level=level,
                                       mechanism=made.name) for made in (bars, blobs, coloured)])
    assert set(found["claim"]) == {"orientation does not matter", "orientation matters",
                                   "colour does not matter", "colour matters"}
    table = marking.rates(found, by=("claim",))
    assert (table["true_share"] == 1).all() and (table["false_share"] == 0).all()
    assert table.set_index("claim").loc["colour matters", "true_asked"] == 4


# --- mechanisms in a network ----------------------------------------------------------------------


def test_named_edges_are_judged_alone(tiny, noise):
    evidence = claims.gather(tiny, "block2_conv2", noise, each=60)
    by_rule = [marking.naming("block2_conv2", f, 14, evidence.strongest_edges(f, 3))
               for f in range(6)]
    assert all({p.about for p in one.predictions} == {"edges"} for one in by_rule)
    found = marking.core_claims("edges", "m", True, evidence, by_rule)
    np.testing.assert_allclose(found["number"], [
        evidence.share(one.edges, f) for f, one in enumerate(by_rule)], rtol=1e-5)
    assert found["supported"].all()


def test_the_dead_channel_is_never_a_cause(tiny, noise):
    made = planted.dead_channel(tiny, layer="block2_conv2", per=3, image_set=noise)
    found = marking.dead_channel(made, vz.as_image_set(noise[:2]), vz.as_image_set(noise[2:]))
    by_l2 = found[found["case"] == "the largest by L2 alone"]
    assert len(by_l2) == 3 and (by_l2["number"] == 0).all() and not by_l2["supported"].any()
    ranked = found[found["claim"].isin(["ranking", marking.CUT])]
    assert not ranked["planted"].any() and not ranked["supported"].any()
    assert (ranked["number"] == 0).all()


def test_wired_causes_are_found(tiny, noise):
    pairs = planted.unlike_pairs(tiny, layer="block3_conv2", per=2, image_set=noise, unlike=1,
                                 together=1)
    made = planted.wired(tiny, "A or B", pairs, layer="block3_conv2")
    made = dataclasses.replace(made, filters=made.filters[:2])
    # `wired` asks for ten other channels, which the tiny network does not have
    found = marking._inhibitors(made, vz.as_image_set(noise), 0)
    assert not found["planted"].any() and not found["supported"].any()
    found = marking._mechanism(made, dict.fromkeys(made.filters, 2), True,
                               vz.as_image_set(noise), 0)
    assert found.loc[found["claim"] == "ranking", "supported"].all()
