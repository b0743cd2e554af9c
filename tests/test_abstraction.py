"""Invariance and loss, on layers and pictures whose answer is known."""

import numpy as np
import pytest
from scipy import ndimage

import vizutils as vz
from conftest import build_tiny_vgg, pictures_of
from techniques import abstraction


def with_kernel(kernel):
    """A VGG whose first layer has that kernel in every filter, and no bias."""
    model = build_tiny_vgg()
    first = model.get_layer("block1_conv1")
    first.set_weights([np.broadcast_to(np.reshape(kernel, (1, 1, 3, 1)) * np.pad(
        np.ones((1, 1, 1, 1)), ((1, 1), (1, 1), (0, 0), (0, 0))), first.kernel.shape),
        np.zeros(first.filters)])
    return vz.as_network(model, preprocess=lambda images: images)


def test_a_layer_that_reads_brightness_does_not_notice_lost_colour():
    images = pictures_of(32)
    found = abstraction.changed(with_kernel([0.299, 0.587, 0.114]), images, at=(0,))["conv1_1"]
    assert found["without colour"] < 1e-4
    assert found["without fine grain"] > 0.2
    other = abstraction.changed(with_kernel([1, 0, -1]), images, at=(0,))["conv1_1"]
    assert other["without colour"] == pytest.approx(0.7, abs=0.1)  # all of the map: 1 / √2 of it
    assert (abstraction.changed(with_kernel([1, 1, 1]), images, at=(0,)) > 0)["pixels"].all()


def test_one_picture_is_refused(tiny):
    with pytest.raises(ValueError, match="two or more"):
        abstraction.changed(tiny, pictures_of(32, 1))


def test_exchanged_tiles_are_the_same_pixels_elsewhere():
    images = pictures_of(34, 2)
    moved = abstraction.WAYS["tiles exchanged"](images)
    np.testing.assert_array_equal(moved[:, :8, :8], images[:, 24:32, 24:32])
    np.testing.assert_array_equal(moved[:, 32:], images[:, 32:])
    np.testing.assert_array_equal(abstraction.WAYS["tiles exchanged"](moved), images)


def test_what_was_taken_from_a_picture_is_missed():
    image = pictures_of(64, 1)[0]
    assert min(abstraction.recovered(image, image).values()) == pytest.approx(1)
    blurred = abstraction.recovered(image, ndimage.gaussian_filter(image, (2.5, 2.5, 0)))
    assert blurred["coarse form"] > 0.95
    assert blurred["fine grain"] < blurred["middle"] < 0.9 or blurred["fine grain"] < 0.8
    red_blue = image.copy()
    red_blue[..., 0], red_blue[..., 2] = image[..., 2], image[..., 0]
    assert abstraction.recovered(image, red_blue)["colour"] < 0.2
