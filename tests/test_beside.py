"""Two networks beside each other, on answers that are known."""

import keras
import numpy as np
import pytest

import vizutils as vz
from conftest import build_tiny_vgg, classifier
from techniques import beside

layers = keras.layers


def test_grey_coloured_and_empty_kernels_are_told_apart():
    net = vz.as_network(classifier())
    kernel, bias = net.model.get_layer("first").get_weights()
    kernel[..., 0] = np.arange(9).reshape(3, 3, 1)  # the same in all colours
    kernel[..., 1] = np.array([1, -1, 0])  # red against green: blind to grey
    kernel[..., 2] = np.array([1, 0, 0])  # red alone
    kernel[..., 3] = 1e-6
    found = beside.grey_shares(net.with_weights({"first": [kernel, bias]}, "by hand"))
    np.testing.assert_allclose(found, [1, 0, 1 / 3, np.nan], atol=1e-6)
    with pytest.raises(ValueError, match="block1_conv2 does not read the three colours"):
        beside.grey_shares(vz.as_network(build_tiny_vgg()), "block1_conv2")


def test_the_last_rectified_map_of_each_common_stride(tiny):
    inputs = keras.Input((None, None, 3))
    x = layers.ReLU(name="a")(layers.Conv2D(4, 3, strides=2, name="conv")(inputs))
    x = layers.Conv2D(4, 3, activation="relu", name="b")(x)
    x = layers.Conv2D(4, 3, strides=4, name="linear")(x)
    other = vz.as_network(keras.Model(inputs, x, name="other"))
    found = beside.last_maps([tiny, other])
    assert found.to_dict("index") == {2: {"tiny_vgg": "block2_conv2", "other": "b"}}


def test_maps_agree_where_they_light_up_at_the_same_places():
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(20, 8, 8))
    found = beside.map_agreement(ours, 3 * ours + 7)
    np.testing.assert_allclose(found["same"], 1)
    assert abs(found["other"].mean()) < 0.1
    mixed = beside.map_agreement(ours, ours + rng.normal(size=ours.shape))
    assert mixed["same"].mean() == pytest.approx(np.sqrt(0.5), abs=0.05)
    np.testing.assert_allclose(beside.map_agreement(ours, -ours)["same"], -1)
    flat = beside.map_agreement(ours, np.ones_like(ours))
    assert flat["same"].isna().all()
    with pytest.raises(ValueError, match="of one size, not"):
        beside.map_agreement(ours, ours[:, :4])


def test_a_row_for_each_network_with_the_picture_before_it():
    maps = {"deep": np.eye(4), "deeper": np.eye(2)}
    figure = beside.plot_ways({"one": maps, "two": {"only": np.eye(4)}},
                              np.full((16, 16, 3), 100.0))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["one", "deep", "deeper", "two", "only", ""]
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False]
    assert figure.axes[2].images[0].get_array().shape == (2, 2)
