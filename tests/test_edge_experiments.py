"""Experiments with edges: sums that are known, controls that could have won, planted inhibitors."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import vizutils as vz
from conftest import build_tiny_vgg, sampled_halves
from techniques import circuits, edge_experiments, samples

LAYER = "block3_conv1"  # 6 channels in, 8 filters


@pytest.fixture(scope="module")
def tiny():
    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def halves(tiny):
    return sampled_halves(tiny, LAYER)


@pytest.fixture(scope="module")
def layer_kernels(tiny):
    return tiny.layer(LAYER).kernel.numpy()


def planted_sample(terms, pictures=None):
    """A sample of a 1 × 1 filter whose taps are all +1 or -1: its inputs are its terms' sizes."""
    terms = np.asarray(terms, "float32")
    pictures = np.arange(len(terms)) if pictures is None else pictures
    return samples.Sample("planted", pd.DataFrame({"picture": pictures}),
                          terms.sum(1, keepdims=True), np.abs(terms)[:, None, None])


# --- contributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 3, 16])
def test_contributions_and_the_bias_add_up(tiny, halves, layer_kernels, block):
    terms = list(edge_experiments.contributions(halves[0].inputs, layer_kernels, block=block))
    assert len(terms) == 8 and terms[0].shape == (160, 6)
    total = np.stack([one.sum(1) for one in terms], 1) + tiny.layer(LAYER).bias.numpy()
    np.testing.assert_allclose(total, halves[0].answers, rtol=1e-4, atol=1e-5)
    found = circuits.Windows(halves[0].inputs, layer_kernels[..., 5], 0.0,
                             halves[0].answers[:, 5])
    np.testing.assert_allclose(terms[5], circuits.contributions(found), rtol=1e-3, atol=1e-5)


# --- ladders --------------------------------------------------------------------------------------


def test_all_edges_are_the_filter_whatever_their_order(halves, layer_kernels):
    ladder = edge_experiments.edge_ladder(*halves, 2, layer_kernels[..., 2], counts=(1, 6),
                                          draws=10)
    assert ladder["ranking"].value_counts().to_dict() == dict.fromkeys(
        ["L2", "contribution", "fitted", "random"], 2)
    whole = ladder[ladder["edges"] == 6]
    np.testing.assert_allclose(whole[["r", "low", "high"]], 1, atol=1e-3)
    part = ladder[ladder["edges"] == 1]
    assert (part["r"] < 0.99).all() and (part["low"] <= part["high"]).all()


def test_each_ranking_keeps_the_edge_it_is_named_after():
    """Channel 0 has the largest kernel and hardly varies, 1 moves the answer, 2 is small."""
    rng = np.random.default_rng(0)
    terms = np.c_[np.full(400, 5) + 0.01 * rng.normal(size=400), rng.uniform(0, 9, 400),
                  rng.uniform(0, 1, 400)].astype("float32")
    kernels = np.array([4.0, 1.0, 0.5], "float32").reshape(1, 1, 3)
    half = samples.Sample("planted", pd.DataFrame({"picture": np.repeat(range(20), 20)}),
                          terms.sum(1, keepdims=True), (terms / kernels[0])[:, None, None])
    ladder = edge_experiments.edge_ladder(half, half, 0, kernels, counts=(1,), draws=300)
    r = ladder.set_index("ranking")["r"]
    alone = [np.corrcoef(terms[:, c], terms.sum(1))[0, 1] for c in range(3)]
    assert r["L2"] == pytest.approx(alone[0], abs=1e-3)
    assert r[["contribution", "fitted"]].tolist() == pytest.approx([alone[1]] * 2, abs=1e-3)
    assert r["random"] == pytest.approx(np.median(alone), abs=1e-3)


def test_the_layer_at_once_is_each_filter_alone(halves, layer_kernels):
    together = edge_experiments.layer_ladder(*halves, layer_kernels, filters=[3, 1],
                                             counts=(1, 2, 4))
    assert together["filter"].unique().tolist() == [3, 1]
    for filter in (1, 3):
        alone = edge_experiments.edge_ladder(*halves, filter, layer_kernels[..., filter],
                                             counts=(1, 2, 4), draws=5)
        both = alone.merge(together[together["filter"] == filter], on=["ranking", "edges"])
        both = both[both["ranking"] != "random"]
        assert len(both) == 9
        np.testing.assert_allclose(both["r_x"], both["r_y"], atol=1e-5)
    every = edge_experiments.layer_ladder(*halves, layer_kernels, counts=(2,), draws=3)
    assert every["filter"].nunique() == 8


# --- fair cuts ------------------------------------------------------------------------------------


@pytest.fixture
def lone_kernel():
    """A filter of 40 channels: channel 7 gives half of the response, the others what they may."""
    taps = np.full(40, 0.2, "float32")
    taps[7] = 2
    inputs = np.random.default_rng(0).uniform(0.5, 1.5, (3, 1, 1, 40)).astype("float32")
    inputs[..., 7] = np.delete(inputs, 7, -1).sum(-1) / 10
    found = circuits.Windows(inputs, taps.reshape(1, 1, 40), 0.0, np.empty(3, "float32"))
    found.values[:] = circuits.response(found)
    return found


def test_a_set_that_lives_on_one_kernel_is_found_out(lone_kernel):
    table = edge_experiments.fair_cuts(lone_kernel, [3, 7, 11, 12]).set_index(["cut", "control"])
    old = table.loc["named set", "other edges"]
    assert old["holding"] == 0 and old["weight"] > old["control_weight"]  # none could match it
    fair = table.loc["named set", "any edges"]
    assert fair["holding"] == 100 and fair["percentile"] < 60
    assert fair["left"] == old["left"]
    without = table.loc["without its largest", "any but the largest"]
    assert without["holding"] == 0 and without["edges"] == 3
    assert without["control_low"] < without["left"] < without["control_high"]
    assert without["weight"] == pytest.approx(3 / 139)
    alone = table.loc["its largest alone", "any but the largest"]
    assert alone["left"] == pytest.approx(0.5) and alone["edges"] == 1
    assert alone["weight"] == pytest.approx(100 / 139)


def test_a_set_that_matters_passes_without_its_largest(lone_kernel):
    lone_kernel.inputs[..., [3, 11, 12]] = 10
    lone_kernel.values[:] = circuits.response(lone_kernel)
    table = edge_experiments.fair_cuts(lone_kernel, [3, 7, 11, 12]).set_index("cut")
    assert table.loc["without its largest", "percentile"] > 99


def test_cuts_are_what_circuits_says(lone_kernel):
    named = [0, 7, 20]
    left = edge_experiments.fair_cuts(lone_kernel, named, draws=5)["left"]
    whole = lone_kernel.values.mean()
    for found, cut in zip(left, (named, named, [0, 20], [7]), strict=True):
        assert found == pytest.approx(circuits.response(lone_kernel, cut).mean() / whole)


def test_controls_come_from_among_the_channels_given(lone_kernel):
    lone_kernel.inputs[..., 20:] = 0  # cutting these changes nothing
    lone_kernel.values[:] = circuits.response(lone_kernel)
    among, all_of_them = (
        edge_experiments.fair_cuts(lone_kernel, [3, 11, 12], among=given).iloc[0]
        for given in (range(8, 20), None))
    assert among["control_high"] < 1 == all_of_them["control_high"]
    assert among["holding"] == 0 and among["left"] == all_of_them["left"]


@pytest.mark.parametrize("channels", [[3], [3, 3], [0, 40], [-1, 2]])
def test_a_named_set_is_two_channels_that_exist(lone_kernel, channels):
    with pytest.raises(ValueError, match="two or more of the channels 0 to 39|are 0 to 39 here"):
        edge_experiments.fair_cuts(lone_kernel, channels)


# --- inhibitors where they fire -------------------------------------------------------------------


def test_an_inhibitor_that_vetoes_is_told_from_one_that_does_not():
    """Channel 1 fires where channel 0 drives the unit hard; 2 to 5 fire where nothing does."""
    rng = np.random.default_rng(0)
    terms = np.zeros((1000, 6))
    terms[:, 0] = rng.uniform(0, 1, 1000)
    vetoed = rng.choice(1000, 60, replace=False)
    terms[vetoed, 0], terms[vetoed, 1] = 9, -9
    quiet = np.setdiff1d(np.arange(1000), vetoed)
    for channel in (2, 3, 4, 5):
        terms[rng.choice(quiet, 60, replace=False), channel] = -9
    sample = planted_sample(terms, np.repeat(np.arange(20), 50))
    kernels = np.array([1, -1.2, -1.1, -1, -1, -1], "float32").reshape(1, 1, 6)
    sample.inputs[:] /= np.abs(kernels)
    found = edge_experiments.inhibitors_at_work(sample, 0, kernels, count=2, places=100,
                                                limit=2.0)
    assert found["channel"].tolist() == [1, 2]
    vetoes, idle = found.iloc[0], found.iloc[1]
    assert vetoes["places"] == 60  # only where it takes something away
    assert vetoes["contribution"] == pytest.approx(-9, rel=1e-5)
    assert vetoes["cut"] - vetoes["whole"] == pytest.approx(9, rel=1e-5)
    assert vetoes[["passes", "passes_cut", "released", "low", "high"]].tolist() == [
        0, 100, 100, 100, 100]  # at 9 − 9 the unit is silent, without the edge it answers
    assert vetoes[["control", "percentile", "peers"]].tolist() == [0, 100, 100]
    assert idle["released"] < 10 and idle["peers"] < 50


def test_a_limit_can_be_given_and_excitatory_edges_are_left_out(halves, layer_kernels):
    kernels = layer_kernels[..., 2]
    found = edge_experiments.inhibitors_at_work(halves[1], 2, kernels, count=9, places=20,
                                                limit=-1e9)
    negative = np.flatnonzero(kernels.sum((0, 1)) < 0)
    assert 0 < len(found) <= len(negative) and set(found["channel"]) <= set(negative)
    assert (found["passes"] == 100).all() and (found["released"] == 0).all()
    assert found["l2"].is_monotonic_decreasing
    assert (found["contribution"] < 0).all() and (found["places"] <= 20).all()


def test_signed_inputs_have_no_inhibitors(tiny, noise):
    half = samples.sample(tiny, "block1_conv1", vz.made(noise), each=5)
    with pytest.raises(ValueError, match="block1_conv1 reads negative inputs"):
        edge_experiments.inhibitors_at_work(half, 0, vz.kernels(tiny, "block1_conv1", 0))


def test_the_interval_draws_pictures_not_places():
    values = np.r_[np.zeros(99), 100.0]
    one = edge_experiments._mean_interval(values, np.zeros(100, int), seed=0)
    assert one.tolist() == [1, 1]
    low, high = edge_experiments._mean_interval(values, np.arange(100), seed=0)
    assert low == 0 and 2 <= high <= 5


# --- figure ---------------------------------------------------------------------------------------


def test_the_ladder_is_drawn_with_a_line_for_each_ranking(halves, layer_kernels):
    ladder = edge_experiments.edge_ladder(*halves, 2, layer_kernels[..., 2], counts=(1, 2, 4),
                                          draws=10)
    figure = edge_experiments.plot_ladder(ladder)
    figure.canvas.draw()
    for words in ("random edges, 5 to 95 %", "fitted on half A", "largest contribution",
                  "largest L2"):
        assert words in figure.alt
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2", "4"]
    assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= 8
