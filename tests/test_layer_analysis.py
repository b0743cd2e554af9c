"""A whole layer at once: the same numbers as for one filter, and rates that add up."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import analysis, claims, descriptions, layer_analysis, samples
from techniques.claims import REFUTED, SUPPORTED, UNDECIDED

LAYER, SEED = "block2_conv1", 3  # six filters that read four channels, field 10 px


def tiny_net(seed=0):
    return vz.as_network(build_tiny_vgg(seed), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def net():
    return tiny_net()


@pytest.fixture(scope="module")
def photographs():
    return vz.load_images(size=64).subset(range(14))


def analysed(net, photographs, **options):
    return analysis.analyse_layer(net, LAYER, photographs, seed=SEED, progress=False, parts=3,
                                  **options)


@pytest.fixture(scope="module")
def found(net, photographs):
    """The analysis, and which pictures each half read."""
    seen = {"hypotheses": set(), "tests": set()}
    whole = vz.ImageSet.read

    def staged(name, function):
        def stage(*args, **options):
            with pytest.MonkeyPatch.context() as patch:
                def spy(self, indices):
                    seen[name].update(self.names[i] for i in indices)
                    return whole(self, indices)
                patch.setattr(vz.ImageSet, "read", spy)
                return function(*args, **options)
        return stage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_analysis, "hypotheses",
                      staged("hypotheses", layer_analysis.hypotheses))
        patch.setattr(layer_analysis.claims, "of_half_b", staged("tests", claims.of_half_b))
        made = analysed(net, photographs)
    return made, seen


def test_halves_share_no_picture(found, photographs):
    half_a, half_b = vz.split_halves(len(photographs), seed=SEED)
    names = np.array(photographs.names)
    looked_at, tested_on = (found[1][name] & set(names) for name in ("hypotheses", "tests"))
    assert looked_at == set(names[half_a]) and tested_on == set(names[half_b])
    assert not looked_at & tested_on  # the rest are drawn stimuli


def test_one_row_a_filter(found):
    made = found[0]
    assert made.filters.tolist() == list(range(6)) and made.verdicts.shape == (6, 6)
    table = made.table
    assert table["filter"].tolist() == list(range(6))
    assert table["verdict"].tolist() == made.own.tolist() == np.diag(made.verdicts).tolist()
    supported = made.verdicts == SUPPORTED
    assert table["elsewhere"].tolist() == [supported[i].sum() - supported[i, i] for i in range(6)]
    for about, one in made.numbers.items():
        np.testing.assert_array_equal(table[about], np.diag(one.value))
        np.testing.assert_array_equal(table[f"{about} others"],
                                      claims.base_rates(made.numbers, range(6))[about])
    assert table["sentence"].tolist() == [one.text for one in made.hypotheses]
    np.testing.assert_array_equal(made.verdicts, claims.verdicts(made.numbers, range(6)))


@pytest.mark.parametrize("filter", [1, 4])
def test_a_filter_alone_has_the_same_numbers(found, net, photographs, filter):
    """`analyse` makes its own hypothesis and findings; parts are as many as `analyse` takes."""
    half_a, half_b = (photographs.subset(half)
                      for half in vz.split_halves(len(photographs), seed=SEED))
    about, = layer_analysis.hypotheses(net, LAYER, half_a, filters=[filter], parts=3, seed=SEED,
                                       progress=False)
    made = found[0]
    assert about == made.hypotheses[filter]
    evidence = claims.gather(net, LAYER, half_b, seed=SEED + 1)
    findings, swap = claims.core_findings(evidence, about, filter, seed=SEED)
    assert set(findings) == {p.about for p in about.predictions}
    assert swap.table["verdict"].tolist() == made.verdicts[filter].tolist()
    for name in findings:
        one = made.numbers[name]
        np.testing.assert_allclose(
            [findings[name].number, findings[name].low, findings[name].high],
            [one.value[filter, filter], one.low[filter, filter], one.high[filter, filter]],
            atol=1e-5)
        assert findings[name].base == pytest.approx(made.table[f"{name} others"][filter],
                                                    nan_ok=True)
    table = claims.judge(about.predictions, {p.about: findings[p.about]
                                             for p in about.predictions})
    assert claims.verdict(table) == made.own[filter]


def test_the_survey_reads_half_a_alone_and_its_numbers_are_their_definitions(net, photographs):
    half_a, half_b = vz.split_halves(len(photographs), seed=SEED)
    shared = analysis.share(net, LAYER, photographs, seed=SEED, progress=False)

    def surveyed(pictures, top=2):
        return layer_analysis.survey(net, LAYER, photographs.subset(pictures), tuned=shared.tuned,
                                     evidence=shared.seen, top=top, seed=SEED)

    found = surveyed(half_a)
    assert sorted(found.index) == list(range(6)) and not found.equals(surveyed(half_b))
    kernels = net.convolution(LAYER).kernel.numpy()
    read = samples.sample(net, LAYER, photographs.subset(half_a),
                          each=layer_analysis.EACH_SURVEYED, seed=SEED)
    for filter, row in found.iterrows():
        kept = np.argsort(-np.linalg.norm(kernels[..., filter], axis=(0, 1)))[:2]
        alone = np.einsum("nrck,rck->n", read.inputs[..., kept], kernels[:, :, kept, filter])
        assert row["r by 2"] == pytest.approx(
            np.corrcoef(alone, read.answers[:, filter])[0, 1], abs=1e-4)
        each = [shared.seen.share([channel], filter) for channel in range(4)]
        assert row["largest edge"] == pytest.approx(max(each), abs=1e-5)
        if row["thing"]:
            one = descriptions.from_text(f"{LAYER} filter {filter}, field 10 px\n+1 {row['thing']}")
            assert row["r by thing"] == pytest.approx(np.corrcoef(
                one.from_features(shared.seen.features), shared.seen.answers[:, filter])[0, 1],
                abs=1e-3)
    passed = found["form"] & (found["largest edge"] <= layer_analysis.LARGEST)
    assert found["mean rank"].notna().tolist() == passed.tolist()
    assert found["mean rank"][passed].is_monotonic_increasing


def test_some_filters_get_the_rows_of_the_whole(found, net, photographs):
    whole, some = found[0], analysed(net, photographs, filters=[4, 1])
    assert some.hypotheses == [whole.hypotheses[4], whole.hypotheses[1]]
    pd.testing.assert_frame_equal(some.table, whole.table.iloc[[4, 1]].reset_index(drop=True),
                                  atol=1e-5)
    assert some.verdicts.tolist() == whole.verdicts[[4, 1]].tolist()
    one, other = (each.rates().set_index("kind") for each in (whole, some))
    assert other.asked["own"] == 2 and other.asked["swapped"] == 10
    assert one.asked["own"] == 6 and one.asked["swapped"] == 30


def test_swap_says_what_the_layers_row_says(found, net, photographs):
    made = found[0]
    alone = claims.swap(net, made.hypotheses[2], image_set=photographs, seed=SEED)
    assert alone.table["verdict"].tolist() == made.verdicts[2].tolist()
    assert len(alone.supported) == made.table["elsewhere"][2]
    for about, one in made.numbers.items():
        np.testing.assert_allclose(alone.table[about], one.value[2], atol=1e-5)


# --- rates --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted(found):
    """The analysis with numbers and verdicts by hand: filter 0 to 2 of six are described."""
    made = found[0]
    hypotheses = [claims.by_hand(
        f"{LAYER} filter {i}, field 10 px\n+1 {words}", [0], directions=directions)
        for i, (words, directions) in enumerate([
            ("dark bar; orientation 45°; width 2 px; shift 0 px", ["contrast", "angle"]),
            ("light disc; radius 2 px", ["contrast"]), ("patch; luminance 90", [])])]
    verdicts = np.full((3, 6), UNDECIDED, dtype="<U9")
    verdicts[0, 0] = verdicts[1, 1] = verdicts[0, 5] = SUPPORTED
    verdicts[2, 2] = verdicts[2, 0] = verdicts[2, 1] = REFUTED
    passes = np.array([[1.0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [np.nan] * 6])
    numbers = {"contrast": claims.Numbers(passes, passes, passes)}
    return dataclasses.replace(made, hypotheses=hypotheses, verdicts=verdicts, numbers=numbers)


def test_rates_are_counted(counted):
    rates = counted.rates().set_index("kind")
    assert rates.index.tolist() == ["own", "swapped", "description swapped", "a part left out",
                                    "opposite", "wrong noun"]
    assert rates.loc["own", ["asked", "supported", "refuted"]].tolist() == [3, 2, 1]
    assert rates.loc["swapped", ["asked", "supported", "refuted"]].tolist() == [15, 1, 2]
    assert rates.asked["description swapped"] == 3
    assert rates.asked["a part left out"] == 0  # each has but one
    assert rates.asked["opposite"] == 3  # dark for light twice, turned once
    assert rates.asked["wrong noun"] == 2  # a patch claims no noun
    # of 5, 5 and 5 other filters: supported for 1, 0 and 0 (bootstrap over hypotheses)
    assert rates.loc["swapped", "low"] == 0 < rates.loc["swapped", "high"] < 0.21
    for kind, row in rates.drop(index=["swapped", "a part left out"]).iterrows():
        assert row.share == pytest.approx(row.supported / row.asked), kind
        ends = binomtest(int(row.supported), int(row.asked)).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx((ends.low, ends.high))


def test_a_part_is_left_out_of_lists_that_have_several(counted):
    two = claims.by_hand(f"{LAYER} filter 0, field 10 px\n+1 dark bar; orientation 45°; "
                         "width 2 px; shift 0 px\n-1 light disc; radius 2 px", [0])
    some = dataclasses.replace(counted, hypotheses=[two, *counted.hypotheses[1:]])
    assert some.rates().set_index("kind").asked["a part left out"] == 1
    one = two.description
    assert [p.thing.form for p in one.without(0).parts] == ["disc"]
    assert [p.thing.form for p in one.without(1).parts] == ["bar"] and len(one.parts) == 2


def test_false_hypotheses_are_judged_on_their_own_filters(counted):
    rates = counted.rates(seed=5).set_index("kind")

    def verdict(hypothesis):
        filter = hypothesis.description.filter
        numbers = claims.numbers(counted.evidence, [hypothesis])
        return claims.verdicts(numbers, [filter])[0, filter]

    bar, disc, _ = counted.hypotheses
    opposite = [bar.with_description(bar.description.inverted()),
                bar.with_description(bar.description.turned(90)),
                disc.with_description(disc.description.inverted())]
    wrong = [one.with_wrong_nouns(5 + i) for i, one in enumerate((bar, disc))]
    mixed = [one.with_description(dataclasses.replace(other.description, filter=i))
             for i, (one, other) in enumerate(zip(counted.hypotheses, [
                 counted.hypotheses[-1], *counted.hypotheses[:-1]], strict=True))]
    for kind, false in (("opposite", opposite), ("wrong noun", wrong),
                        ("description swapped", mixed)):
        said = list(map(verdict, false))
        assert rates.supported[kind] == said.count(SUPPORTED)
        assert rates.refuted[kind] == said.count(REFUTED)


def test_random_weights_stand_beside(counted, photographs):
    half_b = photographs.subset(vz.split_halves(len(photographs), seed=SEED)[1])
    random = claims.gather(tiny_net(7), LAYER, half_b, seed=SEED + 1)
    rates = counted.rates(random).set_index("kind")
    numbers = claims.numbers(random, counted.hypotheses)
    verdicts = claims.verdicts(numbers, [0, 1, 2])[[0, 1, 2], [0, 1, 2]]
    assert rates.asked["random weights"] == 3
    assert rates.refuted["random weights"] == (verdicts == REFUTED).sum()
    assert rates.supported["random weights"] == (verdicts == SUPPORTED).sum()


def test_rates_of_claims_are_counted(counted):
    table = counted.rates_of_claims()
    assert table["claim"].tolist() == ["contrast"] and table["made"].tolist() == [2]
    assert table["own"].item() == 1 / 2  # filter 0's own passes, filter 1's does not
    assert table["swapped"].item() == 3 / 10


def test_nothing_asked_has_no_rate():
    assert layer_analysis.rate("none", np.array([], "<U9")) == pytest.approx(
        {"kind": "none", "asked": 0, "supported": 0, "refuted": 0, "share": np.nan,
         "low": np.nan, "high": np.nan}, nan_ok=True)


def test_what_cannot_be_analysed(net, photographs):
    with pytest.raises(ValueError, match=r"3 picture\(s\) cannot be halved"):
        analysis.analyse_layer(net, LAYER, photographs.subset(range(3)))
    with pytest.raises(ValueError, match="field of 3 px holds no period"):
        analysis.analyse_layer(net, "block1_conv1", photographs, progress=False)
    with pytest.raises(ValueError, match="filters 0 to 5; 6 is out of range"):
        analysed(net, photographs, filters=[6])
    with pytest.raises(ValueError, match="'third' not found"):
        analysis.analyse_layer(net, "third", photographs)
