"""Pruning: copies that are planted go without a trace, others do not."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import architectures, pruning
from techniques import feature_maps as fm

LAYER = "block2_conv2"


@pytest.fixture
def copied(tiny):
    """The tiny VGG with a head, in which filter 5 of a layer is twice filter 1."""
    x = keras.layers.GlobalAveragePooling2D()(tiny.model.output)
    model = keras.Model(tiny.model.inputs, keras.layers.Dense(6)(x))
    kernel, bias = model.get_layer(LAYER).get_weights()
    kernel[..., 5], bias[5] = 2 * kernel[..., 1], 2 * bias[1]
    model.get_layer(LAYER).set_weights([kernel, bias])
    return vz.as_network(model, preprocess=tiny.preprocess, head="distilled",
                         classes=list("abcdef"))


def samples_of(net, noise):
    return fm.sampled_maps(net, [LAYER], vz.made(noise))


def test_the_ones_most_alike_go_and_no_one_leans_on_what_is_gone():
    pairs = pd.DataFrame([(0, 1, 0.9, True), (1, 2, 0.95, True), (2, 3, 0.8, True),
                          (4, 5, 0.99, False), (0, 2, 0.7, True)],
                         columns=["a", "b", "response", "twins"])
    gone = pruning.duplicates(pairs)
    assert gone == {2: 1, 0: 1}
    assert not set(gone) & set(gone.values())


def test_a_planted_copy_goes_without_a_trace(copied, noise):
    found = samples_of(copied, noise)
    smaller = pruning.pruned(copied, {LAYER: {5: 1}}, found)
    assert smaller.model.get_layer(LAYER).filters == 5
    np.testing.assert_allclose(vz.logits(smaller, noise), vz.logits(copied, noise), rtol=1e-3,
                               atol=1e-4)
    assert pruning.judged(copied, {"": smaller}, vz.made(noise))[""]["same"].all()
    assert not smaller.model.trainable_weights
    before, after = (architectures.layer_costs(n, size=64).set_index("layer").multiply_adds
                     for n in (copied, smaller))
    assert after[LAYER] * 6 == before[LAYER] * 5  # a filter less
    assert after["block3_conv1"] * 6 == before["block3_conv1"] * 5  # and a channel less to read
    assert after["block1_conv2"] == before["block1_conv2"]


def test_another_filter_leaves_a_trace(copied, noise):
    found = samples_of(copied, noise)
    smaller = pruning.pruned(copied, {LAYER: {0: 1}}, found)
    assert np.abs(vz.logits(smaller, noise) - vz.logits(copied, noise)).max() > 1e-2
    assert (pruning.judged(copied, {"": smaller}, vz.made(noise))[""]["lost"].abs() > 0).any()


def test_the_control_takes_as_many_and_gives_them_to_the_most_similar(copied, noise):
    samples = samples_of(copied, noise)[LAYER]
    drawn = [pruning.by_lot(samples, 3, seed=seed) for seed in range(20)]
    assert all(len(gone) == 3 and not set(gone) & set(gone.values()) for gone in drawn)
    assert len({tuple(gone) for gone in drawn}) > 5
    assert {gone[5] for gone in drawn if 5 in gone and 1 not in gone} == {1}  # its copy


def test_labels_judge_only_what_has_one(copied, noise):
    images = vz.made(noise)
    images = dataclasses.replace(images, labels=np.array([-1, 0, 1, -1]))
    table = pruning.judged(copied, {"itself": copied}, images)["itself"]
    assert table["right_before"].isna().tolist() == [True, False, False, True]
    assert (table["lost"] == 0).all()


def test_what_is_no_chain_is_refused(noise):
    x = inputs = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, name="a")(x))
    net = vz.as_network(keras.Model(inputs, x))
    with pytest.raises(ValueError, match="no plain chain: batch_norm"):
        pruning.pruned(net, {"a": {1: 0}}, {"a": noise.reshape(-1, 4)})
