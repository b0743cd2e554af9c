"""Filters by hand: lists that are known come out again, and are judged against the network."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import vizutils as vz
from conftest import build_tiny_vgg, sampled_halves
from techniques import circuits, rebuilding, samples

LAYER = "block3_conv2"  # 8 channels in, 8 filters


@pytest.fixture(scope="module")
def tiny():
    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def halves(tiny):
    return sampled_halves(tiny, LAYER)


def planted(sample, table, bias=0.0):
    """The sample, with a known list in the place of filter 0; and that list."""
    known = rebuilding.Rebuilt(pd.DataFrame(table, columns=["channel", "template", "strength"]),
                               bias, sample.inputs.shape[1:])
    answers = sample.answers.copy()
    answers[:, 0] = known.answers(sample.inputs)
    return samples.Sample(sample.layer, sample.places, answers, sample.inputs), known


KNOWN = [(3, "everywhere", 2.0), (6, "right minus left", -1.5),
         (7, "top right minus bottom left", 1.0), (2, "centre", -0.5)]


# --- shapes ---------------------------------------------------------------------------------------


def test_shapes_on_three_by_three_taps():
    drawn = dict(zip(rebuilding.TEMPLATES, rebuilding.templates(3, 3), strict=True))
    by_hand = {
        "everywhere": [[1, 1, 1]] * 3, "centre": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "right minus left": [[-1, 0, 1]] * 3, "bottom minus top": [[-1] * 3, [0] * 3, [1] * 3],
        "bottom right minus top left": [[-1, -1, 0], [-1, 0, 1], [0, 1, 1]],
        "top right minus bottom left": [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]]}
    assert drawn.keys() == by_hand.keys()
    for name, shape in by_hand.items():
        np.testing.assert_allclose(drawn[name], np.array(shape) / np.linalg.norm(shape))


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (3, 5), (5, 5), (7, 7)])
def test_shapes_of_any_size_have_norm_one_and_differ(size):
    flat = rebuilding.templates(*size).reshape(len(rebuilding.TEMPLATES), -1)
    overlaps = flat @ flat.T
    np.testing.assert_allclose(overlaps.diagonal(), 1)
    assert (np.abs(overlaps - np.eye(len(flat))) < 0.95).all()
    assert len(flat) <= 8
    np.testing.assert_allclose(flat[2:].sum(1), 0, atol=1e-12)  # one side against the other


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_small_kernels_are_refused(size):
    with pytest.raises(ValueError, match="no centre between two sides"):
        rebuilding.templates(*size)


# --- lists ----------------------------------------------------------------------------------------


def test_a_planted_list_comes_out_again_from_answers_and_from_weights(halves):
    sample, known = planted(halves[0], KNOWN, bias=0.7)
    for found in (rebuilding.rebuild(sample, 0, known.taps),
                  rebuilding.read_off(known.taps, 0.7, numbers=4)):
        assert found.table["channel"].tolist() == [3, 6, 7, 2]
        assert found.table["template"].tolist() == known.table["template"].tolist()
        np.testing.assert_allclose(found.table["strength"], known.table["strength"], rtol=1e-3)
        np.testing.assert_allclose(found.taps, known.taps, atol=1e-3)
        assert found.bias == pytest.approx(0.7, abs=1e-2)


def test_the_list_is_as_long_as_asked_and_uses_what_it_may(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 2, fold=False)
    found = rebuilding.rebuild(halves[0], 2, kernels, numbers=3, channels=[0, 5, 6, 7],
                               shapes=["everywhere", "centre"])
    assert 1 <= len(found.table) <= 3
    assert set(found.table["channel"]) <= {0, 5, 6, 7}
    assert set(found.table["template"]) <= {"everywhere", "centre"}
    assert len(rebuilding.read_off(kernels, numbers=3).table) == 3


def test_one_line_a_channel_with_the_kernels_own_sign(halves, tiny):
    for filter in range(8):
        kernels = vz.kernels(tiny, LAYER, filter, fold=False)
        table = rebuilding.rebuild(halves[0], filter, kernels).table
        assert table["channel"].is_unique
        shapes = dict(zip(rebuilding.TEMPLATES, rebuilding.templates(3, 3), strict=True))
        own = [(kernels[..., line.channel] * shapes[line.template]).sum()
               for line in table.itertuples()]
        assert (np.sign(own) == np.sign(table["strength"])).all()


def test_longer_lists_fit_half_a_better(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 1, fold=False)
    r = [np.corrcoef(rebuilding.rebuild(halves[0], 1, kernels, numbers=n).answers(
        halves[0].inputs), halves[0].answers[:, 1])[0, 1] for n in (1, 3, 8)]
    assert r[0] < r[1] < r[2]


def test_growth_ends_where_the_list_does(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 1, fold=False)
    steps = rebuilding.growth(*halves, 1, kernels, numbers=4)
    assert steps["numbers"].tolist() == [0, 1, 2, 3, 4] and steps["r"][0] == 0
    whole = rebuilding.rebuild(halves[0], 1, kernels, numbers=4).answers(halves[1].inputs)
    assert steps["r"].iloc[-1] == pytest.approx(
        np.corrcoef(whole, halves[1].answers[:, 1])[0, 1], abs=1e-4)
    sample, known = planted(halves[0], KNOWN)
    exact = rebuilding.growth(sample, planted(halves[1], KNOWN)[0], 0, known.taps)
    assert exact["r"][4] > 0.999 > exact["r"][2]


def test_steps_of_the_selection_are_least_squares():
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(60, 6)).astype("float32") + 3
    target = (columns @ [2, 0, 0, 1, 0, 0.1]).astype("float32")
    path = rebuilding.forward_selection(columns, target, np.ones((6, 1)), 3)
    assert [len(chosen) for chosen, _ in path] == [0, 1, 2, 3]
    assert path[1][0].tolist() == [0]
    chosen, weights = path[2]
    plain = np.linalg.lstsq(np.c_[columns[:, chosen], np.ones(60)], target, rcond=None)[0]
    np.testing.assert_allclose(weights, plain[:2], rtol=1e-3)
    grouped = rebuilding.forward_selection(columns, target, np.ones((2, 3)), 6)
    assert len(grouped[-1][0]) == 2  # one of each group
    nothing = rebuilding.forward_selection(columns, target, np.zeros((6, 1)), 6)
    assert len(nothing) == 1


def test_a_sign_that_would_not_help_is_not_used():
    columns = np.random.default_rng(2).normal(size=(50, 2)).astype("float32")
    target = columns[:, 0] - columns[:, 1]
    chosen, weights = rebuilding.forward_selection(columns, target, np.ones((2, 1)), 2)[-1]
    assert 1 not in chosen.tolist() and (weights > 0).all()


def test_without_inputs_or_with_unknown_shapes_it_says_so(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 0, fold=False)
    bare = samples.Sample(LAYER, halves[0].places, halves[0].answers, None)
    with pytest.raises(ValueError, match="inputs=True"):
        rebuilding.rebuild(bare, 0, kernels)
    with pytest.raises(ValueError, match="no shape is called 'ring': everywhere, centre"):
        rebuilding.rebuild(halves[0], 0, kernels, shapes=["ring"])


def test_the_network_with_the_filter_by_hand_answers_as_the_list_does(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 2, fold=False)
    found = rebuilding.rebuild(halves[0], 2, kernels, numbers=4)
    pictures = vz.made(np.random.default_rng(9).uniform(0, 255, (2, 64, 64, 3)).astype("float32"))
    changed = found.network(tiny, LAYER, 2)
    there = samples.sample(changed, LAYER, pictures, each=20, seed=4)
    np.testing.assert_allclose(there.answers[:, 2], found.answers(there.inputs), rtol=1e-3,
                               atol=1e-4)
    before = samples.sample(tiny, LAYER, pictures, each=20, seed=4).answers
    np.testing.assert_allclose(np.delete(there.answers, 2, 1), np.delete(before, 2, 1), rtol=1e-5,
                               atol=1e-5)
    np.testing.assert_array_equal(vz.kernels(tiny, LAYER, 2, fold=False), kernels)


def test_words_say_the_list(halves):
    _, known = planted(halves[0], KNOWN)
    assert known.words({3: "dark bars"}) == (
        "Excited by dark bars (everywhere). Inhibited by channel 2 (centre). Compares channel 6 "
        "(left minus right), channel 7 (top right minus bottom left).")


# --- agreement ------------------------------------------------------------------------------------


def test_agreement_of_the_truth_its_opposite_another_filter_and_a_constant(halves):
    sample = halves[1]
    real = sample.answers[:, 5]
    table = rebuilding.agreement({"itself": real, "opposite": -2 * real,
                                  "another": sample.answers[:, 3], "constant": 0 * real + 4},
                                 sample, 5).set_index("prediction")
    assert table["r"].tolist()[:2] == pytest.approx([1, -1])
    assert table.loc["itself", ["low", "high", "rank"]].tolist() == pytest.approx([1, 1, 1])
    assert table.loc["opposite", "rank"] == 8
    assert table.loc["another", "rank"] >= 2
    assert table.loc["another", "r"] == pytest.approx(
        np.corrcoef(real, sample.answers[:, 3])[0, 1], abs=1e-5)
    assert table.loc["constant", ["r", "low", "high"]].tolist() == [0, 0, 0]
    assert table["precision"]["itself"] == 1
    assert table["precision"]["opposite"] < table["precision"]["constant"] == 8 / 160


def test_the_interval_is_that_of_drawing_pictures():
    rng = np.random.default_rng(0)
    pictures = np.repeat(np.arange(6), 5)
    x = rng.normal(size=30) + 100
    y = x + rng.normal(size=30) + np.repeat(rng.normal(size=6), 5)
    low, high = rebuilding.bootstrapped(x[:, None], y, pictures, draws=3000)[:, 0]
    by_hand = []
    for _ in range(3000):
        places = np.concatenate([np.flatnonzero(pictures == p) for p in rng.integers(6, size=6)])
        by_hand.append(np.corrcoef(x[places], y[places])[0, 1])
    assert (low, high) == pytest.approx(np.percentile(by_hand, [2.5, 97.5]), abs=0.02)
    single = rebuilding.bootstrapped(x[:, None], y, 0 * pictures)
    np.testing.assert_allclose(single, np.corrcoef(x, y)[0, 1])  # one picture: nothing to draw


def test_rivals_stand_beside_the_list(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 2, fold=False)
    table = rebuilding.compare(*halves, 2, kernels, numbers=5).set_index("prediction")
    assert list(table.index) == ["rebuilt", "weights alone", "no places", "random channels",
                                 "bare kernels", "regression"]
    assert table.loc["regression", "numbers"] == 9 * table.loc["rebuilt", "numbers"]
    assert table.loc["rebuilt", "r"] > table.loc["no places", "r"]
    assert (table["low"] <= table["r"] + 1e-9).all() and (table["r"] <= table["high"] + 1e-9).all()


def test_bare_kernels_of_all_channels_are_the_filter(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 2, fold=False)
    sample, known = planted(halves[1], KNOWN)
    table = rebuilding.compare(planted(halves[0], KNOWN)[0], sample, 0, known.taps)
    assert table.set_index("prediction").loc[["rebuilt", "bare kernels", "regression"],
                                             "r"].min() > 0.9999
    whole = rebuilding.answers(halves[1].inputs, kernels, tiny.layer(LAYER).bias.numpy()[2])
    np.testing.assert_allclose(whole, halves[1].answers[:, 2], rtol=1e-3, atol=1e-4)


def test_on_real_weights_forty_numbers_beat_as_many_of_random_channels(vgg16, pictures):
    half_a, half_b = vz.split_halves(len(pictures))
    sample_a, sample_b = (samples.sample(vgg16, LAYER, pictures.subset(half[:6]), each=100, seed=s)
                          for s, half in ((1, half_a), (2, half_b)))
    table = rebuilding.compare(sample_a, sample_b, 36, vz.kernels(vgg16, LAYER, 36, fold=False))
    r = table.set_index("prediction")["r"]
    assert r["rebuilt"] > 0.85 and r["rebuilt"] > r["random channels"] and table["rank"][0] == 1


# --- benchmark ------------------------------------------------------------------------------------


def test_the_benchmark_measures_what_it_says(halves, tiny):
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "rebuilding.py"
    spec = importlib.util.spec_from_file_location("benchmark", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert program.seeded_others(8, [2, 5], 3) == program.seeded_others(8, [2, 5], 6)[:3]
    assert set(program.seeded_others(8, [2, 5], 9)) == {0, 1, 3, 4, 6, 7}
    kernels = tiny.layer(LAYER).kernel.numpy()
    pictures = vz.made(np.random.default_rng(5).uniform(0, 255, (4, 64, 64, 3)).astype("float32"))
    top = program.strongest_windows(tiny, LAYER, pictures, kernels, [6, 2])
    for filter in (6, 2):
        table = vz.top_patches(tiny, pictures, LAYER, filter).table
        alone = circuits.windows(tiny, LAYER, filter, pictures, table)
        for part in ("inputs", "taps", "bias", "values"):
            np.testing.assert_allclose(getattr(top[filter], part), getattr(alone, part),
                                       rtol=1e-4, atol=1e-5)
    found = program.lists(*halves, kernels, [6, 2])
    assert found["prediction"].nunique() == 10 and len(found) == 20
    assert list(program.by_filter(found, "prediction", [6]).index) == [6, "1 others"]
    assert len(program.cuts(top, top, 5)) == 24


# --- figure ---------------------------------------------------------------------------------------


def test_the_figure_shows_both_kernels_of_each_line(halves, tiny):
    kernels = vz.kernels(tiny, LAYER, 2, fold=False)
    found = rebuilding.rebuild(halves[0], 2, kernels, numbers=5)
    figure = rebuilding.plot_rebuilt(found, kernels, halves[1], 2, count=3)
    figure.canvas.draw()
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 6 and len({axes.images[0].norm for axes in images}) == 1
    np.testing.assert_array_equal(images[0].images[0].get_array(),
                                  kernels[..., found.table["channel"][0]])
    np.testing.assert_array_equal(images[3].images[0].get_array(),
                                  found.taps[..., found.table["channel"][0]])
    assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= 8
    assert "r = 0." in figure.alt
