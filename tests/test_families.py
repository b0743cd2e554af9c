"""Families against planted ones: a network built to be equivariant, and one that is not."""

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import families

TURNS = ["turn 90°", "turn 180°", "turn 270°"]


def turned_filters(template, channels=None):
    """A kernel (3, 3, c) in four turns; channels come in cycles of four that turn with it."""
    made = []
    for turn in range(4):
        turned = np.rot90(template, turn)
        if channels is not None:  # channel 4g + i takes the part of 4g + i − turn
            cycles = np.arange(channels).reshape(-1, 4)
            turned = turned[:, :, np.roll(cycles, turn, axis=1).ravel()]
        made.append(turned)
    return np.stack(made, axis=-1)


@pytest.fixture(scope="module")
def planted():
    """Layer "first": two templates in four turns. "second": filters 0-3 a family of turns,
    4-5 a symmetric filter and its near copy, the rest random."""
    rng = np.random.default_rng(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    outputs = keras.layers.Conv2D(48, 3, padding="same", name="second")(x)
    model = keras.Model(inputs, outputs)
    first = np.concatenate([turned_filters(rng.normal(size=(3, 3, 3))) for _ in range(2)], -1)
    family = turned_filters(rng.normal(size=(3, 3, 8)), 8)
    symmetric = np.zeros((3, 3, 8))
    symmetric[1, 1, :4] = 1  # all four turns of the first template, at one place
    near = symmetric + rng.normal(0, 0.02, symmetric.shape)
    second = np.concatenate([family, np.stack([symmetric, near], -1),
                             rng.normal(size=(3, 3, 8, 42))], -1)
    model.get_layer("first").set_weights([first, np.zeros(8)])
    model.get_layer("second").set_weights([second, rng.normal(0, 0.1, 48)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def images():
    return vz.as_image_set(np.random.default_rng(1).uniform(0, 255, (6, 40, 40, 3)))


@pytest.fixture(scope="module")
def agreements(planted, images):
    first, second = families.response_agreement(planted, ["first", "second"], images)
    match = families.correspondence(first)
    return first, second, families.kernel_agreement(planted, "second", match)


def test_transformations_are_the_eight_of_the_square():
    square = np.arange(9).reshape(3, 3)
    seen = {families.transformed(square, t).tobytes() for t in range(8)}
    assert len(seen) == len(families.TRANSFORMATIONS) == 8
    named = dict(zip(families.TRANSFORMATIONS, range(8), strict=True))
    for name, expected in (("turn 90°", np.rot90(square)), ("mirror top-bottom", square[::-1]),
                           ("mirror left-right", square[:, ::-1]),
                           ("mirror at main diagonal", square.T)):
        np.testing.assert_array_equal(families.transformed(square, named[name]), expected)
    group = families._group()
    for t in range(8):
        for s in range(8):
            np.testing.assert_array_equal(
                families.transformed(families.transformed(square, s), t),
                families.transformed(square, group[t, s]))


def test_a_planted_family_agrees_exactly(agreements):
    first, second, kernel = agreements
    for a in range(4):
        for turn in range(4):
            b = (a + turn) % 4
            assert first[turn, a, b] == pytest.approx(1, abs=1e-5)
            assert second[turn, a, b] == pytest.approx(1, abs=1e-5)
            assert kernel[turn, a, b] > 0.95


def test_moving_back_is_the_inverse(agreements):
    for array in agreements[:2]:
        np.testing.assert_allclose(array[1], array[3].T, atol=1e-5)
        for itself in (0, 2, 4, 5, 6, 7):
            np.testing.assert_allclose(array[itself], array[itself].T, atol=1e-5)
        np.testing.assert_allclose(np.diagonal(array[0]), 1, atol=1e-5)


def test_one_layer_or_two_in_one_pass(planted, images, agreements):
    alone = families.response_agreement(planted, "second", images)
    np.testing.assert_allclose(alone, agreements[1], atol=1e-5)


def test_agreement_is_the_correlation_of_moved_maps(tiny):
    """By the definition, on one picture: all eight positions of it, no shared code."""
    image = np.random.default_rng(2).uniform(0, 255, (1, 24, 24, 3)).astype("float32")
    agreement = families.response_agreement(tiny, "block2_conv1", vz.as_image_set(image), size=24)
    inside = vz.receptive_field(tiny, "block2_conv1", input_size=24).unpadded
    left, right = [], []
    for picture in (image, image[:, :, ::-1]):
        for turn in range(4):
            x = np.rot90(picture, turn, (1, 2))
            ours = vz.activations(tiny, "block2_conv1", x, pre_activation=True)
            theirs = vz.activations(tiny, "block2_conv1", np.rot90(x, 1, (1, 2)),
                                    pre_activation=True)
            left.append(np.rot90(ours[:, inside, inside], 1, (1, 2))[..., 2].ravel())
            right.append(theirs[:, inside, inside, 4].ravel())
    expected = np.corrcoef(np.concatenate(left), np.concatenate(right))[0, 1]
    assert agreement[1, 2, 4] == pytest.approx(expected, abs=1e-4)


def test_the_family_is_found_and_each_turn_is_right(agreements):
    _, second, kernel = agreements
    for filter in range(4):
        found = families.relatives(filter, second, kernel)
        assert found.verdict == "family" and not found.invariant
        members = found.table[found.table["member"]]
        turns = {(filter + t) % 4: TURNS[t - 1] for t in (1, 2, 3)}
        assert dict(zip(members["filter"], members["transformation"], strict=True)) == turns
        assert "family" in found.sentence and found.sentence.startswith(f"Filter {filter}:")


def test_random_filters_are_no_family(agreements):
    _, second, kernel = agreements
    verdicts = [families.relatives(f, second, kernel).verdict for f in range(6, 48)]
    assert "family" not in verdicts and verdicts.count("no family") >= 38


def test_a_symmetric_filter_is_no_family_and_its_copy_no_variant(agreements):
    _, second, kernel = agreements
    found = families.relatives(4, second, kernel)
    turned = found.itself.set_index("transformation").loc[TURNS]
    np.testing.assert_allclose(turned["response"], 1, atol=1e-4)
    assert found.table["filter"][0] == 5 and found.table["gain"][0] < 0.01
    assert found.verdict == "no family" and not found.table["member"].any()


def test_invariance_by_the_rule(agreements):
    _, second, kernel = (a.copy() for a in agreements)
    assert not families.relatives(9, second, kernel).invariant
    second[:, 9, 9] = 0.71
    assert families.relatives(9, second, kernel).invariant
    second[6, 9, 9] = 0.69
    assert not families.relatives(9, second, kernel).invariant


def test_the_first_layer_matches_colours_with_themselves(planted):
    kernel = families.kernel_agreement(planted, "first")
    for turn in range(4):
        for a in range(4):
            assert kernel[turn, a, (a + turn) % 4] == pytest.approx(1, abs=1e-5)


def stimuli(orientations, phases=(0.0, 90.0)):
    rows = [("grating", o, p, phase) for o in orientations for p in (4.0, 8.0) for phase in phases]
    rows += [("disc", np.nan, np.nan, np.nan)]
    rows += [("coarse", o, 4.0, 0.0) for o in (0.0, 90.0)]
    return pd.DataFrame(rows, columns=["family", "orientation", "period", "phase"])


def test_tuning_turns_are_found():
    table = stimuli(np.arange(0, 180, 15.0)).sample(frac=1, random_state=0)
    rng = np.random.default_rng(0)
    peaks = np.array([0, 45, 150])
    bell = np.cos(np.deg2rad(table["orientation"].to_numpy()[:, None] - peaks)) ** 8
    scores = np.nan_to_num(bell, nan=9.0) * (table["period"].to_numpy() == 4)[:, None]
    scores = np.column_stack([scores, rng.normal(size=len(table))])
    turns, agreement = families.tuning_agreement(table, scores)
    np.testing.assert_array_equal(turns, np.arange(0, 180, 15))
    for a in range(3):
        for b in range(3):
            best = agreement[:, a, b].argmax()
            assert turns[best] == (peaks[b] - peaks[a]) % 180
            assert agreement[best, a, b] == pytest.approx(1, abs=1e-5)
    assert agreement[:, 0, 3].max() < 0.9


def test_relatives_report_tuning_beside_the_rule(agreements):
    _, second, kernel = agreements
    tuning = np.zeros((2, 48, 48), "float32")
    tuning[1, 0, 2] = 0.8
    found = families.relatives(0, second, kernel, tuning=(np.array([0.0, 45.0]), tuning))
    row = found.table.set_index("filter").loc[2]
    assert (row["turn"], row["tuning_percentile"]) == (45, 100)
    assert row["tuning"] == pytest.approx(0.8)
    families.plot_pairs(found)


def test_figures_show_what_is_given(agreements):
    _, second, kernel = agreements
    found = families.relatives(0, second, kernel)
    picture = np.full((8, 8, 3), 90.0)
    figure = families.plot_relatives(found, picture, [picture] * 5)
    titles = [axes.get_title() for axes in figure.axes if axes.axison]
    assert len(titles) == 6 and titles[0] == "filter 0\n(family)"
    assert sum("●" in title for title in titles) == 3
    assert len(families.plot_pairs(found).axes) == 2


def test_strided_layers_are_shown_at_a_size_that_mirrors(images):
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="strided")(inputs)
    net = vz.as_network(keras.Model(inputs, outputs), preprocess=lambda images: images / 255)
    inside, side = families._mirrored_positions(net, ["strided"], 40, 30)
    assert side % 2 == 1  # at even sizes "same" pads one side only
    agreement = families.response_agreement(net, "strided", images, size=30)
    np.testing.assert_allclose(agreement[1], agreement[3].T, atol=1e-5)


def test_bad_input_teaches(planted, images, agreements, tiny):
    first, second, kernel = agreements
    with pytest.raises(ValueError, match="larger pictures"):
        families.response_agreement(tiny, "block5_conv3", images)
    with pytest.raises(ValueError, match="reads the picture"):
        families.kernel_agreement(planted, "first", first)
    with pytest.raises(ValueError, match="reads first: give match"):
        families.kernel_agreement(planted, "second")
    with pytest.raises(ValueError, match="reads 8 channels"):
        families.kernel_agreement(planted, "second", second)
    with pytest.raises(ValueError, match="0 to 47"):
        families.relatives(48, second, kernel)
    with pytest.raises(ValueError, match="orientation alone"):
        families.tuning_agreement(stimuli([0.0], [0.0]).iloc[:3], np.zeros((3, 2)))
    with pytest.raises(ValueError, match="not evenly spaced"):
        families.tuning_agreement(stimuli([0.0, 10.0, 30.0]), np.zeros((15, 2)))


@pytest.mark.parametrize("members", [[], [0, 1]])
def test_the_histogram_keeps_its_labels_with_and_without_members(members, recwarn):
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({name: rng.normal(0.1, 0.2, 2000) for name in ("response", "kernel")})
    table = pd.DataFrame({"member": [i in members for i in range(4)],
                          **{name: rng.uniform(0.3, 0.6, 4) for name in pairs}})
    figure = families.plot_pairs(families.Relatives(0, table, None, pairs, "no family", False, ""))
    figure.draw_without_rendering()
    assert not [w for w in recwarn if "layout" in str(w.message)]
    for axes in figure.axes:
        assert axes.xaxis.label.get_window_extent().y0 >= 0
