"""Planted units: what is said of them holds exactly, in the real network where it is fast."""

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import alterations, circuits, planted, stimuli

LAYER, NEXT = planted.LAYER, "block3_conv3"


@pytest.fixture(scope="module")
def crops(pictures):
    """Twelve pieces of packaged pictures, 96 px: enough to tell which filters fire."""
    return vz.as_image_set(pictures.read(range(12))[:, 64:160, 64:160])


@pytest.fixture(scope="module")
def patches(crops):
    """Twelve patches of one receptive field."""
    return crops.images[:, 30:62, 30:62]


@pytest.fixture(scope="module")
def pairs(vgg16, crops):
    return planted.unlike_pairs(vgg16, per=4, image_set=crops, together=1)


@pytest.fixture(scope="module")
def turned(vgg16, crops):
    return planted.turned(vgg16, per=4, image_set=crops)


def test_turned_units_answer_alike_whatever_the_turn(vgg16, turned, patches):
    assert turned.of(turned.filters[0]) == {"orientation matters": False}
    turns = [np.rot90(p, n, (1, 2)) for p in (patches, patches[:, :, ::-1]) for n in range(4)]
    upright, *others = (vz.patch_responses(turned.net, LAYER, vz.made(p)) for p in turns)
    for other in others:
        np.testing.assert_allclose(other, upright, rtol=1e-4, atol=1e-4 * np.abs(upright).max())
    before = [vz.patch_responses(vgg16, LAYER, vz.made(p)) for p in turns[:2]]
    assert np.abs(before[0] - before[1]).max() > 0.1 * np.abs(before[0]).max()


def test_turned_units_are_as_lively_as_before(vgg16, turned, crops):
    mean, sd = stimuli.on_pictures(vgg16, LAYER, crops)
    new_mean, new_sd = stimuli.on_pictures(turned.net, LAYER, crops)
    np.testing.assert_allclose(new_mean, mean, atol=1e-2 * sd.max())
    assert np.isclose(new_sd, sd, rtol=1e-2).mean() > 0.9 and (new_sd < 1.01 * sd).all()


def test_grey_units_answer_as_the_network_answers_to_grey(vgg16, crops, patches):
    made = planted.grey(vgg16, per=4, image_set=crops)
    grey = vz.made(alterations.alter(vz.made(patches), "grey"))
    wanted = vz.patch_responses(vgg16, LAYER, grey)
    tolerance = {"rtol": 1e-4, "atol": 1e-5 * np.abs(wanted).max()}
    np.testing.assert_allclose(vz.patch_responses(made.net, LAYER, grey), wanted, **tolerance)
    coloured = vz.patch_responses(made.net, LAYER, vz.made(patches))
    np.testing.assert_allclose(coloured, wanted, **tolerance)
    assert made.truth == {"colour matters": False}


def test_grey_finds_the_preprocessing_out(tiny, noise):
    made = planted.grey(tiny, per=2, image_set=noise)
    grey = vz.made(alterations.alter(vz.made(noise[:, :32, :32]), "grey"))
    np.testing.assert_allclose(
        vz.patch_responses(made.net, LAYER, vz.made(noise[:, :32, :32])),
        vz.patch_responses(tiny, LAYER, grey), rtol=1e-4, atol=1e-5)
    squared = vz.as_network(tiny.model, preprocess=lambda images: images**2)
    with pytest.raises(ValueError, match="no matrix and shift"):
        planted.grey(squared, per=2, image_set=noise)


def test_the_largest_kernel_of_a_dead_channel_carries_nothing(vgg16, crops, patches):
    made = planted.dead_channel(vgg16, per=4, image_set=crops)
    channel = made.truth["strongest kernel"]
    below = vz.activations(made.net, "block3_conv1", crops.images[:4])
    assert not below[..., channel].any() and below.any()
    answers = vz.patch_responses(made.net, LAYER, vz.made(patches))
    for filter in made.filters:
        ranking = vz.kernel_table(made.net, LAYER, filter)
        assert ranking.loc[ranking["l2"].idxmax(), "channel"] == channel
        cut = circuits.ablate(made.net, LAYER, filter, [channel])
        np.testing.assert_array_equal(vz.patch_responses(cut, LAYER, vz.made(patches)), answers)
    assert not made.of(filter)["strongest kernel carries"]


def test_what_no_layer_uses_changes_no_class_score(vgg16, crops):
    made = planted.no_use(vgg16, per=4, image_set=crops)
    kernel, bias = made.net.model.get_layer(LAYER).get_weights()
    np.testing.assert_array_equal(kernel, vgg16.model.get_layer(LAYER).get_weights()[0])
    bias[list(made.filters)] += 1000
    louder = made.net.with_weights({LAYER: [kernel, bias]}, "planted filters louder")
    few = crops.images[:4]
    np.testing.assert_array_equal(vz.logits(louder, few), vz.logits(made.net, few))
    assert (vz.activations(louder, LAYER, few) != vz.activations(made.net, LAYER, few)).any()


def test_pairs_are_unlike_and_fire_together(vgg16, pairs):
    table = pairs.table
    assert len(table) == 4 and len(set(table["a"]) | set(table["b"])) == 8
    assert (table[["correlation", "kernels"]].abs() <= planted.UNLIKE).all(axis=None)
    kernel = vgg16.layer(LAYER).get_weights()[0].reshape(-1, 256)
    a, b = table.loc[0, ["a", "b"]].astype(int)
    assert np.isclose(np.corrcoef(kernel[:, a], kernel[:, b])[0, 1], table.loc[0, "kernels"],
                      atol=0.05)


@pytest.mark.parametrize("wiring, says", [
    ("A", lambda a, b: a), ("A or B", lambda a, b: a + b), ("A and B", lambda a, b: a + b - 1),
    ("A and not B", lambda a, b: a - b)])
def test_wired_units_compute_what_they_are_called(vgg16, crops, pairs, wiring, says):
    made = planted.wired(vgg16, wiring, pairs)
    below = vz.activations(made.net, LAYER, crops.images)[:, 4:-4, 4:-4] / pairs.strength
    answers = vz.activations(made.net, NEXT, crops.images, pre_activation=True)[:, 4:-4, 4:-4]
    unit = np.median(pairs.strength)
    for i, filter in enumerate(made.filters):
        a, b = (below[..., pairs.table.loc[i, name]] for name in ("a", "b"))
        np.testing.assert_allclose(answers[..., filter], unit * says(a, b), rtol=1e-4,
                                   atol=1e-4 * unit)
        alone = answers[..., filter][(a == 0) | (b == 0)]
        if wiring == "A and B":
            assert alone.max() <= 1e-4 * unit < answers[..., filter].max()
        assert set(made.of(filter)["causes"]) <= set(pairs.table.loc[i, ["a", "b"]])
    assert made.layer == NEXT and made.truth["several causes"] == (wiring == "A or B")


def test_wiring_needs_a_next_layer_without_a_pool(vgg16, pairs):
    with pytest.raises(ValueError, match="without a pool"):
        planted.wired(vgg16, "A", pairs, layer="block3_conv3")
    with pytest.raises(ValueError, match="A and not B"):
        planted.wired(vgg16, "A xor B", pairs)
    with pytest.raises(ValueError, match="no convolution of vgg16 reads"):
        planted.wired(vgg16, "A", pairs, layer="block5_conv3")


# --- hand-made units ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hand_made():
    """Noun → its planted units."""
    return {made.name.removeprefix("hand-made "): made for made in planted.hand_made()}


@pytest.fixture(scope="module")
def tuned(hand_made, crops):
    """What the battery finds out about all of them."""
    return stimuli.tuning(hand_made["bar"].net, "hand_made", image_set=crops, progress=False)


def test_hand_made_units_share_one_layer(hand_made):
    assert list(hand_made) == ["edge", "bar", "curve", "net", "blob", "coloured blob"]
    assert len({id(made.net) for made in hand_made.values()}) == 1
    assert sorted(f for made in hand_made.values() for f in made.filters) == list(range(96))
    kernels = hand_made["bar"].net.layer("hand_made").get_weights()[0]
    np.testing.assert_allclose(kernels.sum((0, 1)), 0, atol=1e-4)
    assert len(np.unique(kernels.round(5).reshape(-1, 96), axis=1).T) == 96


@pytest.mark.parametrize("noun, cycle", [("edge", 360), ("bar", 180), ("curve", 360), ("net", 60)])
def test_the_battery_finds_the_planted_orientation(hand_made, tuned, noun, cycle):
    made = hand_made[noun]
    for filter in made.filters:
        shown = tuned.of(filter)
        best = shown.loc[shown[shown["family"] == noun]["response"].idxmax()]
        off = (best["orientation"] - made.of(filter)["orientation"] + cycle / 2) % cycle - cycle / 2
        assert abs(off) <= 15, (filter, off)
        polarity = made.of(filter)["polarity"]
        assert polarity is None or polarity == best["polarity"]


def test_blobs_know_their_polarity_and_no_angle(hand_made, tuned):
    made = hand_made["blob"]
    for filter in made.filters:
        shown = tuned.of(filter)
        best = shown.loc[shown[shown["form"] == "disc"]["response"].idxmax()]
        assert best["polarity"] == made.of(filter)["polarity"]
        assert made.of(filter)["orientation"] is None
        kernel = made.net.layer("hand_made").get_weights()[0][..., filter]
        np.testing.assert_allclose(np.rot90(kernel), kernel, atol=1e-5)


def test_orientation_matters_where_the_turned_kernel_is_another(hand_made):
    said = {noun: {made.of(f)["orientation matters"] for f in made.filters}
            for noun, made in hand_made.items()}
    assert said["edge"] == said["bar"] == said["curve"] == {True}
    assert said["blob"] == said["coloured blob"] == {False}
    nets = hand_made["net"]  # coarse ones look like spots through their window
    assert {(nets.of(f)["size"], nets.of(f)["orientation matters"]) for f in nets.filters} == {
        (8.0, True), (12.0, None)}


def test_colour_matters_to_coloured_blobs_only(hand_made, patches):
    net = hand_made["bar"].net
    coloured = vz.patch_responses(net, "hand_made", vz.made(patches))
    grey = vz.patch_responses(net, "hand_made",
                              vz.made(alterations.alter(vz.made(patches), "grey")))
    for noun, made in hand_made.items():
        wanted = np.zeros_like(coloured) if noun == "coloured blob" else coloured
        np.testing.assert_allclose(grey[:, made.filters], wanted[:, made.filters], atol=1e-3)
        assert made.truth["colour matters"] == (noun == "coloured blob")
    assert np.abs(coloured[:, hand_made["coloured blob"].filters]).max() > 0.1


def test_coloured_blobs_prefer_their_hue(hand_made, tuned):
    made = hand_made["coloured blob"]
    for filter in made.filters:
        shown = tuned.of(filter)
        discs = shown[(shown["form"] == "disc") & (shown["family"] == "coloured")]
        assert discs.loc[discs["response"].idxmax(), "colour"] == made.of(filter)["hue"]


# --- all of it ------------------------------------------------------------------------------------


def test_fourteen_mechanisms_without_a_change_to_the_network(vgg16, crops):
    before = vgg16.digest
    few = crops.subset(range(4))
    found = list(planted.all_mechanisms(vgg16, per=2, image_set=few, together=1))
    assert len({made.name for made in found}) == len(found) == 14
    assert all(len(made) == 2 for made in found) and 14 * planted.PER >= 200
    assert vgg16.digest == before
    table = planted.table_of(found)
    assert len(table) == 28 and table.loc[0, "orientation matters"] is False
    assert table.loc[0, "causes"] is None


def test_the_seed_draws_the_units(tiny, noise):
    drawn = [planted.no_use(tiny, per=4, image_set=noise, seed=s).filters for s in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
    with pytest.raises(ValueError, match="9 cannot be drawn"):
        planted.no_use(tiny, per=9, image_set=noise)


def test_truths_fit_their_filters(tiny):
    with pytest.raises(ValueError, match="2 values of 'hue' for 1 filters"):
        planted.Planted("x", tiny, LAYER, (0,), {"hue": ["red", "blue"]})
    made = planted.Planted("x", tiny, LAYER, (3, 1), {"hue": ["red", "blue"], "known": True})
    assert made.of(1) == {"hue": "blue", "known": True}
    with pytest.raises(ValueError, match="was not planted"):
        made.of(2)
    assert isinstance(made.table, pd.DataFrame) and list(made.table["hue"]) == ["red", "blue"]


def test_a_layer_without_bias_is_refused(noise):
    x = keras.Input((None, None, 3))
    y = keras.layers.Conv2D(4, 3, use_bias=False, name="only")(x)
    net = vz.as_network(keras.Model(x, y))
    with pytest.raises(ValueError, match="no bias"):
        planted.grey(net, layer="only", per=1, image_set=noise)
