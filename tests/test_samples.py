"""Random places: the answers are the network's, the windows are what it read."""

import numpy as np
import pytest

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import samples


@pytest.fixture(scope="module")
def tiny():
    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return vz.made(rng.uniform(0, 255, (3, 64, 64, 3)).astype("float32"))


@pytest.mark.parametrize("layer", ["block1_conv1", "block3_conv2"])
def test_answers_are_bias_plus_taps_times_inputs(tiny, pictures, layer):
    found = samples.sample(tiny, layer, pictures, each=7, seed=3)
    assert len(found) == 21 and found.pictures.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    conv = tiny.layer(layer)
    by_hand = np.einsum("nrck,rckf->nf", found.inputs, conv.kernel.numpy()) + conv.bias.numpy()
    np.testing.assert_allclose(found.answers, by_hand, rtol=1e-4, atol=1e-4)


def test_patches_at_the_places_give_the_answers_again(tiny, pictures):
    layer = "block2_conv2"
    found = samples.sample(tiny, layer, pictures, each=5, seed=1, inputs=False)
    assert found.inputs is None
    crops = np.concatenate(list(samples.patches(tiny, layer, pictures, found.places, batch=4)))
    assert crops.shape == (15, 14, 14, 3)
    again = vz.patch_responses(tiny, layer, vz.made(crops))
    np.testing.assert_allclose(found.answers, again, rtol=1e-4, atol=1e-4)


def test_same_seed_same_places_whether_or_not_inputs_are_kept(tiny, pictures):
    with_inputs = samples.sample(tiny, "block2_conv1", pictures, each=4, seed=5)
    without = samples.sample(tiny, "block2_conv1", pictures, each=4, seed=5, inputs=False)
    assert with_inputs.places.equals(without.places)
    np.testing.assert_allclose(with_inputs.answers, without.answers, rtol=1e-5, atol=1e-5)
    other = samples.sample(tiny, "block2_conv1", pictures, each=4, seed=6, inputs=False)
    assert not other.places.equals(without.places)
