"""Contributions and ablations against their known answers."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import vizutils as vz
from techniques import circuits, inhibition, pathways, silencing


@pytest.fixture
def pieces(tiny):
    """(network, layer, filter, pictures, windows at top patches, windows at random places)."""
    images = np.random.default_rng(0).uniform(0, 255, (8, 64, 64, 3)).astype("float32")
    image_set = vz.as_image_set(images)
    layer, filter = "block3_conv1", 2
    patches = vz.top_patches(tiny, image_set, layer, filter, k=5)
    places = circuits.random_places(tiny, layer, image_set, 40, seed=1)
    return (tiny, layer, filter, image_set,
            circuits.windows(tiny, layer, filter, image_set, patches.table),
            circuits.windows(tiny, layer, filter, image_set, places))


def test_contributions_add_up_to_the_pre_activation(pieces):
    for found in pieces[4:]:
        total = found.bias + circuits.contributions(found).sum(1)
        np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-5)


def test_contributions_add_up_on_real_weights(vgg16, pictures):
    few = pictures.subset(range(3))
    for layer in ("block1_conv1", "block3_conv1", "block5_conv2"):
        places = circuits.random_places(vgg16, layer, few, 5)
        found = circuits.windows(vgg16, layer, 7, few, places)
        total = found.bias + circuits.contributions(found).sum(1)
        np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("options", [
    {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "padding": "same"},
    {"padding": "valid"}, {"strides": 3, "padding": "valid", "use_bias": False},
])
def test_strides_dilation_and_padding(options, noise):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="first")(inputs)
    outputs = keras.layers.Conv2D(4, 3, name="second", **options)(x)
    net = vz.as_network(keras.Model(inputs, outputs), preprocess=lambda images: images / 255)
    places = pd.DataFrame({"picture": [0, 1, 3], "row": [0, 5, 9], "column": [4, 0, 11]})
    found = circuits.windows(net, "second", 1, vz.as_image_set(noise), places)
    total = found.bias + circuits.contributions(found).sum(1)
    np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-5)


def test_response_without_edges_is_what_the_ablated_network_says(pieces):
    net, layer, filter, image_set, top, _ = pieces
    table = vz.top_patches(net, image_set, layer, filter, k=5).table
    for channels, keep_only in (([1, 4], False), ([0, 2, 3], True), ([], False)):
        cut = circuits.ablate(net, layer, filter, channels, keep_only=keep_only)
        maps = vz.activations(cut, layer, image_set, pre_activation=True)
        expected = maps[table["picture"], table["row"], table["column"], filter]
        found = circuits.response(top, channels, keep_only=keep_only)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cutting_nothing_all_and_a_zero_kernel(pieces):
    net, layer, filter, image_set, top, _ = pieces
    np.testing.assert_allclose(circuits.response(top), top.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(circuits.response(top, range(6)), top.bias)
    conv = net.model.get_layer(layer)
    kernel, bias = conv.get_weights()
    kernel[:, :, 3, filter] = 0
    conv.set_weights([kernel, bias])
    places = circuits.random_places(net, layer, image_set, 10)
    planted = circuits.windows(net, layer, filter, image_set, places)
    np.testing.assert_allclose(circuits.response(planted, [3]), circuits.response(planted))


def test_reading_the_mean_keeps_the_level(pieces):
    elsewhere = pieces[5]
    means = elsewhere.inputs.mean(0)
    cut = circuits.response(elsewhere, [0, 5], mean_inputs=means)
    assert cut.mean() == pytest.approx(circuits.response(elsewhere).mean(), rel=1e-5)
    assert cut.std() < circuits.response(elsewhere).std() * 1.5
    everything = circuits.response(elsewhere, range(6), mean_inputs=means)
    np.testing.assert_allclose(everything, everything[0])


def test_the_rest_of_the_network_is_untouched(pieces):
    net, layer, filter, image_set, *_ = pieces
    before = [w.copy() for w in net.model.get_weights()]
    silent = circuits.ablate(net, layer, filter)
    a = vz.activations(net, layer, image_set, pre_activation=True)
    b = vz.activations(silent, layer, image_set, pre_activation=True)
    assert not b[..., filter].any()
    np.testing.assert_array_equal(np.delete(a, filter, -1), np.delete(b, filter, -1))
    assert np.abs(vz.activations(net, "block3_conv2", image_set)
                  - vz.activations(silent, "block3_conv2", image_set)).max() > 0
    for old, new in zip(before, net.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def planted_windows(seed=0):
    """Windows of a filter that listens to channels 3 and 8 of twenty, and hardly to others."""
    rng = np.random.default_rng(seed)
    taps = rng.normal(0, 0.05, (3, 3, 20)).astype("float32")
    taps[:, :, 3], taps[:, :, 8] = 1.0, -1.0
    made = []
    for count, level in ((30, 3.0), (200, 0.5)):
        inputs = rng.exponential(0.5, (count, 3, 3, 20)).astype("float32")
        inputs[..., 3] *= level
        values = (inputs * taps).sum((1, 2, 3)) + 0.2
        made.append(circuits.Windows(inputs, taps, 0.2, values))
    return made


def test_every_ranking_finds_planted_edges():
    top, elsewhere = planted_windows()
    table = circuits.edge_table(top, elsewhere)
    for by in ("l2", "l2_spread", "top", "top_size", "elsewhere_size"):
        assert set(circuits.strongest(table, by, 2)) == {3, 8}, by
    assert table["top"][3] > 0 > table["top"][8]
    pairs = circuits.compare_rankings(table, count=2)
    assert (pairs["overlap"] == 2).all() and len(pairs) == 10


def test_cutting_planted_edges_hurts_more_than_any_control():
    top, elsewhere = planted_windows()
    table = circuits.ablation_table(top, elsewhere, count=2, draws=25)
    zero = table[(table["ranking"] == "l2") & (table["way"] == "zero")].iloc[0]
    assert zero["left"] < 0.2 < 0.9 < zero["control"] and zero["percentile"] == 100
    keep = table[(table["ranking"] == "l2") & (table["way"] == "keep only")].iloc[0]
    assert keep["left"] > 0.8 and keep["percentile"] == 100
    assert circuits.minimal_set(top, elsewhere, by="l2")["response"] <= 5


def test_controls_hold_as_much_weight_and_never_overlap():
    l2 = np.linspace(1, 2, 50)
    table = pd.DataFrame({"channel": np.arange(50), "l2": l2})
    chosen = [47, 48, 49]
    wanted = (l2[chosen] ** 2).sum()
    sets = circuits.matched_controls(table, chosen, draws=20, seed=3)
    assert len(sets) == 20 and len({tuple(s) for s in sets}) > 15
    for drawn in sets:
        assert len(set(drawn)) == len(drawn) and not set(drawn) & set(chosen)
        assert 0 <= (l2[drawn] ** 2).sum() - wanted < 4  # over by less than one edge
    everything = circuits.matched_controls(table, range(10, 50), draws=1)[0]
    assert everything.tolist() == list(range(10))  # others hold less: all of them are taken


@pytest.mark.parametrize(("layer", "filter", "channels", "message"), [
    ("block2_pool", 0, [0], "not a convolution"), ("block3_conv1", 8, [0], "filters 0 to 7"),
    ("block3_conv1", 0, [6], "are 0 to 5 here; 6"),
    ("block3_conv1", 0, [-1], "are 0 to 5 here; -1"),
])
def test_bad_input(tiny, layer, filter, channels, message):
    with pytest.raises(ValueError, match=message):
        circuits.ablate(tiny, layer, filter, channels)


def test_depthwise_and_grouped_are_refused_and_places_checked(tiny, noise):
    inputs = keras.Input((None, None, 4))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(inputs)
    x = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(x)
    net = vz.as_network(keras.Model(inputs, x))
    for layer in ("depthwise", "grouped"):
        with pytest.raises(ValueError, match="plain convolutions"):
            circuits.ablate(net, layer, 0, [0])
    outside = pd.DataFrame({"picture": [0], "row": [16], "column": [0]})
    with pytest.raises(ValueError, match="outside the 16 × 16 map"):
        circuits.windows(tiny, "block3_conv1", 0, vz.as_image_set(noise), outside)


# --- places over the whole range of activation --------------------------------------------------


def test_spectrum_runs_from_the_weakest_to_the_strongest(pieces):
    net, layer, filter, image_set, *_ = pieces
    levels = (0.0, 0.5, 0.95)
    places = circuits.spectrum_places(net, layer, filter, image_set, levels=levels, per_level=6)
    inside = vz.receptive_field(net, layer, input_size=64).unpadded
    maps = vz.activations(net, layer, image_set, pre_activation=True)[:, inside, inside, filter]
    edges = [*np.quantile(maps, levels), np.inf]
    for i, level in enumerate(levels):
        here = places[places["level"] == level]
        assert here["value"].between(edges[i], edges[i + 1], inclusive="left").all()
        # a place from each picture that has one, before any gives a second
        has = ((maps >= edges[i]) & (maps < edges[i + 1])).any((1, 2)).sum()
        assert len(here) == 6 and here["picture"].nunique() == min(6, has)
    assert places[["row", "column"]].min().min() >= inside.start
    found = circuits.windows(net, layer, filter, image_set, places)
    np.testing.assert_allclose(found.values, places["value"], rtol=1e-4, atol=1e-5)
    again = circuits.spectrum_places(net, layer, filter, image_set, levels=levels, per_level=6)
    pd.testing.assert_frame_equal(places, again)
    upper = circuits.spectrum_places(net, layer, filter, image_set, levels=(0.9,), per_level=3)
    assert (upper["value"] >= np.quantile(maps, 0.9)).all()


def test_contributions_at_every_level_add_up(pieces):
    net, layer, filter, image_set, top, elsewhere = pieces
    places = circuits.spectrum_places(net, layer, filter, image_set, levels=(0, 0.9), per_level=5)
    found = circuits.windows(net, layer, filter, image_set, places)
    table = circuits.contribution_table(
        {"random": elsewhere, "strongest": top, **circuits.by_level(found, places)})
    assert list(table["where"].unique()) == ["random", "strongest", "≥ 0 %", "≥ 90 %"]
    for _, kind in table.groupby("where"):
        assert top.bias + kind["signed"].sum() == pytest.approx(kind["response"].iloc[0], rel=1e-4)
        assert (kind["size"] >= kind["signed"].abs() - 1e-9).all()


def test_cumulative_shares_of_planted_edges():
    top, elsewhere = planted_windows()
    shares = circuits.cumulative_shares(top, elsewhere, draws=20)
    curves = {by: curve.set_index("edges") for by, curve in shares.groupby("ranking")}
    assert set(curves) == {"l2", "l2_spread", "top", "random"}
    for curve in curves.values():
        assert curve["response"][0] == pytest.approx(top.bias / top.values.mean())
        assert curve.loc[20, ["response", "drive"]].tolist() == pytest.approx([1, 1])
        assert curve["drive"].is_monotonic_increasing and curve["drive"][0] == 0
    # two planted edges, one of each sign: the first gives more than all, both about all
    assert curves["top"]["response"][1] > 1.2
    assert curves["top"]["response"][2] == pytest.approx(1, abs=0.1)
    assert curves["random"]["drive"][2] < 0.3 < 0.9 < curves["top"]["drive"][2]
    assert (curves["random"]["low"] <= curves["random"]["high"]).all()


def test_an_edge_takes_away_what_it_gives():
    top, elsewhere = planted_windows()
    effects = circuits.edge_effects(top, elsewhere, [8, 3]).set_index("channel")
    whole = top.values.mean()
    for channel, row in effects.iterrows():
        cut = circuits.response(top, [channel]).mean()
        mean = circuits.response(top, [channel], mean_inputs=elsewhere.inputs.mean(0)).mean()
        assert row["zero"] == pytest.approx(cut / whole - 1, rel=1e-4, abs=1e-6)
        assert row["mean"] == pytest.approx(mean / whole - 1, rel=1e-4, abs=1e-6)
        assert row["gives"] == -row["zero"]
    assert effects["gives"][3] > 0 > effects["gives"][8]
    assert (effects["percentile"] == 100).all()
    # channel 8 inhibits alike everywhere: a level, which its mean carries as well
    assert abs(effects["mean"][8]) < 0.1 < abs(effects["zero"][8])
    assert effects["percentile_mean"][3] == 100
    with pytest.raises(ValueError, match="channels are 0 to 19"):
        circuits.edge_effects(top, elsewhere, [20])


# --- circuits planted in networks ---------------------------------------------------------------


def toy(taps, *, biases=0.0, head=None, between=(), after=(), preprocess=None, **options):
    """Colours and their mixtures (1 × 1, ReLU) → `between` → a convolution → `after`, head."""
    channels = np.shape(taps)[2]
    inputs = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(channels, 1, activation="relu", use_bias=False, name="first")
    x = first(inputs)
    for layer in between:
        x = layer(x)
    second = keras.layers.Conv2D(np.shape(taps)[3], np.shape(taps)[:2], name="second", **options)
    x = second(x)
    for layer in after:
        x = layer(x)
    if head is not None:
        x = keras.layers.GlobalAveragePooling2D()(x)
        dense = keras.layers.Dense(np.shape(head)[1], use_bias=False)
        x = dense(x)
        dense.set_weights([np.asarray(head, "float32")])
    mixtures = np.random.default_rng(1).uniform(0, 1, (1, 1, 3, channels))
    mixtures[0, 0, :, : min(3, channels)] = np.eye(3)[:, : min(3, channels)]
    first.set_weights([mixtures])
    second.set_weights([taps, np.zeros(np.shape(taps)[3]) + biases])
    return vz.as_network(keras.Model(inputs, x), head="none" if head is None else "original",
                         preprocess=preprocess or (lambda images: images / 255))


def test_a_planted_circuit_of_three_is_found_by_every_ranking():
    rng = np.random.default_rng(0)
    taps = rng.normal(0, 0.02, (3, 3, 24, 4)).astype("float32")
    planted = [5, 11, 20]
    taps[:, :, planted, 2] = np.array([0.5, 0.4, -0.35])
    images = vz.as_image_set(rng.uniform(0, 255, (6, 20, 20, 3)).astype("float32"))
    net = toy(taps)
    patches = vz.top_patches(net, images, "second", 2, k=4)
    top = circuits.windows(net, "second", 2, images, patches.table)
    elsewhere = circuits.windows(net, "second", 2, images,
                                 circuits.random_places(net, "second", images, 100))
    table = circuits.edge_table(top, elsewhere)
    for by in ("l2", "l2_spread", "top", "top_size", "elsewhere_size"):
        assert sorted(circuits.strongest(table, by, 3)) == planted, by
    effects = circuits.edge_effects(top, elsewhere, planted)
    assert (effects["percentile"] == 100).all()
    everyone = circuits.edge_effects(top, elsewhere, range(24))
    assert sorted(everyone["zero"].abs().nlargest(3).index) == planted


def colour_stimuli():
    """Red, blue, magenta, black: 12 px squares of one colour each."""
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255), "magenta": (255, 0, 255), "black": (0,) * 3}
    return np.stack([np.full((12, 12, 3), c, "float32") for c in colours.values()]), list(colours)


def test_the_vetoed_stimulus_returns_and_no_other():
    taps = np.zeros((1, 1, 3, 2), "float32")
    taps[0, 0, :, 1] = 1.0, 0.0, -2.0  # excited by red, vetoed by blue
    net = toy(taps)
    stimuli, labels = colour_stimuli()
    table = inhibition.released_stimuli(net, "second", 1, stimuli, labels).set_index("label")
    assert table.index[table["returned"]].tolist() == ["magenta"]
    assert table["before"].tolist() == pytest.approx([1, -2, -1, 0])
    assert table["after"].tolist() == pytest.approx([1, 0, 1, 0])
    free = inhibition.without_inhibition(net, "second", 1)
    rerun = vz.activations(free, "second", stimuli, pre_activation=True)[:, 0, 0, 1]
    np.testing.assert_allclose(rerun, table["after"])
    pictures = inhibition.released(net, "second", 1, vz.as_image_set(stimuli), k=2)
    returned = pictures.pictures[pictures.pictures["returned"]]
    assert returned["picture"].tolist() == [2] and returned["before_there"].tolist() == [-1]
    np.testing.assert_array_equal(pictures.patches, stimuli[2:3, :1, :1])


@pytest.mark.parametrize("clip", [False, True])
def test_release_by_arithmetic_is_release_in_the_network(pieces, clip):
    net, layer, filter, image_set, top, _ = pieces
    found = inhibition.released(net, layer, filter, image_set, clip=clip, k=3)
    free = inhibition.without_inhibition(net, layer, filter, clip=clip)
    for network, column in ((net, "before"), (free, "after")):
        maxima = vz.image_maxima(network, layer, image_set)
        order = found.pictures["picture"]
        np.testing.assert_allclose(found.pictures[column], maxima.values[order, filter], rtol=1e-4)
    assert (found.pictures["row"] == maxima.rows[order, filter]).all()
    assert (found.pictures["column"] == maxima.columns[order, filter]).all()
    places = found.pictures[["picture", "row", "column"]]
    there = circuits.windows(net, layer, filter, image_set, places)
    np.testing.assert_allclose(there.values, found.pictures["before_there"], rtol=1e-3, atol=1e-4)
    if not clip:  # cutting edges is also `response` on windows
        inhibitory = np.flatnonzero(top.taps.sum((0, 1)) < 0)
        np.testing.assert_allclose(circuits.response(there, inhibitory),
                                   found.pictures["after"], rtol=1e-4)
    new = found.pictures[found.pictures["returned"]]
    assert (new["rank_before"] > 3).all() and (new["rank_after"] <= 3).all()
    measures = found.measures.set_index("measure")
    assert measures["before"]["rank correlation"] == 1 and measures["before"]["kept"] == 3
    assert measures["before"]["above"] == pytest.approx(1, abs=0.2)
    assert measures["after"]["above"] > measures["before"]["above"]
    assert measures["after"]["kept"] == 3 - len(new) == 3 - len(found.patches)


def test_random_cuts_hold_as_much_weight_as_what_inhibits(vgg16):
    for clip in (False, True):
        taps, free, *controls = inhibition._variants(vgg16, "block3_conv2", 17, clip=clip, draws=20,
                                                   seed=0)
        assert len(controls) == 20 and (free.sum((0, 1)) >= 0).all()
        assert not clip or (free >= 0).all()
        wanted = ((taps - free) ** 2).sum()
        cut = np.stack(controls) != taps
        inhibits = np.broadcast_to(free != taps, cut.shape)
        assert cut[inhibits].any() and cut[~inhibits].any()  # of either sign
        for control in controls:
            assert wanted <= ((taps - control) ** 2).sum() < wanted + 0.07  # + its last edge


def test_nothing_to_release_changes_nothing():
    taps = np.full((1, 1, 3, 1), 0.5, "float32")
    stimuli, labels = colour_stimuli()
    table = inhibition.released_stimuli(toy(taps), "second", 0, stimuli, labels)
    assert (table["before"] == table["after"]).all() and not table["returned"].any()
    assert (table["control"] == table["before"]).all()


# --- classes ------------------------------------------------------------------------------------


def centred(logits):
    return logits - logits.mean(1, keepdims=True)


def headed(seed=0, *, skip=False, normalised=False):
    """Three convolutions with a head of 7 classes; with a by-pass around the second."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(6, 3, padding="same", name="second")(first)
    if normalised:
        x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Add()([x, first]) if skip else x
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="third")(x)
    x = keras.layers.Concatenate()([x, keras.layers.MaxPooling2D(1)(first)]) if skip else x
    outputs = keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.set_weights([rng.normal(0, 0.3, w.shape) if w.ndim > 1 else rng.uniform(0.1, 1, w.shape)
                       for w in model.get_weights()])
    return vz.as_network(model, head="original", preprocess=lambda images: images / 255)


@pytest.mark.parametrize("skip", [False, True])
def test_class_effect_is_what_the_silenced_network_says(noise, skip):
    noise = noise[:3, :20, :20]
    net = headed(skip=skip)
    effect = silencing.class_effect(net, "second", 3, noise, k=2, pictures=9, controls=20)
    moved = centred(vz.logits(circuits.ablate(net, "second", 3), noise) - vz.logits(net, noise))
    fires = vz.activations(net, "relu", noise)[..., 3].max((1, 2)) > 0
    assert effect.pictures == fires.sum() > 0
    np.testing.assert_allclose(effect.change, moved[fires].mean(0), rtol=1e-3, atol=1e-5)
    assert effect.total == pytest.approx(np.sqrt((moved[fires] ** 2).mean()), rel=1e-3)
    assert len(effect.controls) == 5  # there are no more other filters
    assert effect.table["change"].is_monotonic_increasing
    assert effect.table["index"].tolist() == np.argsort(effect.change)[[0, 1, 5, 6]].tolist()


def test_silenced_means_zero_after_batch_normalisation(noise):
    noise = noise[:2, :20, :20]
    net = headed(normalised=True)
    norm = net.model.get_layer("norm")
    gamma, _, *moments = norm.get_weights()
    norm.set_weights([gamma, np.full(6, 5.0), *moments])  # a zero before it is no zero after it
    effect = silencing.class_effect(net, "second", 3, noise, controls=1)
    model = keras.models.clone_model(net.model)
    model.set_weights(net.model.get_weights())
    norm = model.get_layer("norm")
    gamma, beta, *moments = norm.get_weights()
    gamma[3] = beta[3] = 0  # the normalised map is zero, and so is its ReLU
    norm.set_weights([gamma, beta, *moments])
    moved = centred(vz.logits(dataclasses.replace(net, model=model), noise) - vz.logits(net, noise))
    np.testing.assert_allclose(effect.change, moved.mean(0), rtol=1e-3, atol=1e-5)


def test_a_unit_that_feeds_nothing_has_no_effect(noise):
    net = headed()
    third = net.model.get_layer("third")
    kernel, bias = third.get_weights()
    kernel[:, :, 3] = 0
    third.set_weights([kernel, bias])
    before = [w.copy() for w in net.model.get_weights()]
    effect = silencing.class_effect(net, "second", 3, noise[:2, :20, :20])
    assert not effect.change.any() and effect.total == effect.percentile == 0
    assert (effect.controls > 0).any()
    assert len(third._inbound_nodes) == 1  # the given model's graph is as it was
    for old, new in zip(before, net.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_class_effect_of_the_real_network(vgg16, pictures):
    few = pictures.subset(range(2))
    effect = silencing.class_effect(vgg16, "block5_conv3", 7, few, k=3, pictures=1, controls=2)
    assert effect.head == "distilled" and len(effect.table) == 6 and effect.pictures == 1
    assert effect.table["label"].str.len().min() > 1 and effect.total > 0


def test_class_effect_needs_a_classifier(tiny, noise):
    with pytest.raises(ValueError, match="weights='packaged'"):
        silencing.class_effect(tiny, "block2_conv1", 0, noise)
    with pytest.raises(ValueError, match="controls must be at least 1"):
        silencing.class_effect(headed(), "second", 0, noise, controls=0)


# --- other architectures: an answer that is right, or an error that says why ---------------------


@pytest.mark.parametrize("options", [
    {"strides": 2}, {"dilation_rate": 2}, {"padding": "same", "strides": 2}, {"padding": "same"},
    {"use_bias": True, "after": "norm"}, {"between": "norm"}, {"between": "pool"},
], ids=str)
def test_contributions_and_release_in_other_architectures(options, noise):
    norm = keras.layers.BatchNormalization()
    put = {"norm": [norm], "pool": [keras.layers.MaxPooling2D()]}
    options = {key: put.get(value, value) for key, value in options.items()}
    rng = np.random.default_rng(3)
    net = toy(rng.normal(0, 1, (3, 3, 5, 4)).astype("float32"), biases=0.3, **options)
    if norm.built:
        norm.set_weights([rng.uniform(0.5, 2, w.shape) for w in norm.get_weights()])
    images = vz.as_image_set(noise[:2, :24, :24])
    places = circuits.spectrum_places(net, "second", 2, images, levels=(0, 0.9), per_level=2)
    found = circuits.windows(net, "second", 2, images, places)
    total = found.bias + circuits.contributions(found).sum(1)
    np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-4)
    if "between" in options and norm.built:  # it turns what a ReLU made into signed numbers
        with pytest.raises(ValueError, match="signed inputs"):
            inhibition.released(net, "second", 2, images, draws=2)
        return
    after = inhibition.released(net, "second", 2, images, draws=2).pictures
    free = inhibition.without_inhibition(net, "second", 2)
    expected = vz.image_maxima(free, "second", images).values[after["picture"], 2]
    np.testing.assert_allclose(after["after"], expected, rtol=1e-4)


def test_signed_inputs_have_contributions_but_no_inhibition(tiny, noise):
    images = vz.as_image_set(noise)
    places = circuits.random_places(tiny, "block1_conv1", images, 6)
    found = circuits.windows(tiny, "block1_conv1", 0, images, places)
    total = found.bias + circuits.contributions(found).sum(1)
    np.testing.assert_allclose(total, found.values, rtol=1e-4, atol=1e-5)
    for ask in (lambda: inhibition.without_inhibition(tiny, "block1_conv1", 0),
                lambda: inhibition.released(tiny, "block1_conv1", 0, images),
                lambda: inhibition.released_stimuli(tiny, "block1_conv1", 0, noise, range(4))):
        with pytest.raises(ValueError, match="signed inputs"):
            ask()


@pytest.mark.parametrize("layer", [
    keras.layers.DepthwiseConv2D(3, name="odd"), keras.layers.SeparableConv2D(4, 3, name="odd"),
    keras.layers.Conv2D(4, 3, groups=2, name="odd")], ids=lambda layer: type(layer).__name__)
def test_edges_of_other_convolutions_are_refused(layer, noise):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 1, activation="relu", name="first")(inputs)
    net = vz.as_network(keras.Model(inputs, layer(x)))
    for ask in (lambda: inhibition.without_inhibition(net, "odd", 0),
                lambda: circuits.windows(net, "odd", 0, vz.as_image_set(noise),
                                         pd.DataFrame({"picture": [0], "row": [0], "column": [0]})),
                lambda: inhibition.released(net, "odd", 0, vz.as_image_set(noise))):
        with pytest.raises(ValueError, match="plain convolutions"):
            ask()


@pytest.mark.parametrize(("options", "message"), [
    ({"levels": (0.5, 0.2)}, "rising quantiles"), ({"levels": (0, 1)}, "rising quantiles"),
    ({"per_level": 0}, "per_level must be"),
])
def test_spectrum_refuses(tiny, noise, options, message):
    with pytest.raises(ValueError, match=message):
        circuits.spectrum_places(tiny, "block2_conv1", 0, vz.as_image_set(noise), **options)


def test_small_pictures_and_missing_labels_are_refused(tiny, noise):
    small = vz.as_image_set(noise[:, :16, :16])
    with pytest.raises(ValueError, match="larger pictures"):
        circuits.spectrum_places(tiny, "block3_conv2", 0, small)
    with pytest.raises(ValueError, match="4 stimuli need as many labels"):
        inhibition.released_stimuli(tiny, "block2_conv1", 0, noise, ["one"])


# --- figures ------------------------------------------------------------------------------------


def words_of(figure):
    """All text of a figure, none of it below 8 points."""
    found = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert figure.get_figwidth() == 6.5 and min(t.get_fontsize() for t in found) >= 8
    return "\n".join(t.get_text() for t in found)


def test_figures_of_shares_and_cuts():
    top, elsewhere = planted_windows()
    shown = words_of(circuits.plot_shares(circuits.cumulative_shares(top, elsewhere)))
    assert "L2 × spread" in shown and "random" in shown
    cuts = circuits.ablation_table(top, elsewhere, count=2)
    assert ((cuts["control_low"] <= cuts["control"]) & (cuts["control"] <= cuts["control_high"])
            ).all()
    shown = words_of(circuits.plot_ablation(cuts))
    assert f"{100 * cuts['left'][0]:.0f}" in shown and "only they stay" in shown


def test_elsewhere_has_its_own_control():
    top, elsewhere = planted_windows()
    cuts = circuits.ablation_table(top, elsewhere, count=2, draws=25).set_index(["ranking", "way"])
    assert cuts["percentile_elsewhere"][("l2", "zero")] in (0, 100)  # it stands out there, too
    share = circuits.response(elsewhere).mean() / top.values.mean()
    assert cuts.attrs["uncut_elsewhere"] == pytest.approx(share, rel=1e-4)
    np.testing.assert_allclose(cuts["left_elsewhere"][:, "mean"], share, rtol=1e-4)


def test_circuit_sheets_print_numbers_only_when_given(tiny):
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (3, 8, 8, 3))

    def edges(layer, filter):
        ranking = vz.rank_kernels(tiny, layer, filter, top=3)
        return ranking, vz.kernels(tiny, layer, filter)[:, :, ranking["channel"]]

    ranking, taps = edges("block3_conv2", 1)
    plain = words_of(vz.plot_circuit(pictures, ranking, taps, pictures[0], layer="L", filter=1))
    numbers = {"contributions": [0.31, -0.004, 0.05], "effects": [-0.12, 0.004, 0.2]}
    full = words_of(vz.plot_circuit(pictures, ranking, taps, pictures[0], **numbers))
    assert "gives" not in plain and "gives 31 % · cut −12 %" in full
    assert "gives 0 % · cut 0 %" in full and "cut +20 %" in full
    feeders = [edges("block3_conv1", channel) for channel in ranking["channel"]]
    sheet = words_of(pathways.plot_two_hop(
        pictures[0], pictures, ranking, taps, [pictures] * 3, *zip(*feeders, strict=True),
        title="filter 1", feature="block3_conv1", below="block2_conv2", **numbers))
    assert "gives 31 % · cut −12 %" in sheet and "weight from\nblock2_conv2" in sheet
    assert all(f"{row.channel}\n" in sheet for table, _ in feeders for row in table.itertuples())
