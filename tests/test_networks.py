"""Loading networks: which weights, which head, and what is said about them."""

import functools
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vizutils as vz
from data import fetch, weights
from engine.builders import choose_vgg16_source


@pytest.fixture
def switches(monkeypatch):
    """What was asked of TensorFlow; nothing is really switched, as that could not be undone."""
    asked = []
    experimental = tf.config.experimental
    monkeypatch.setattr(experimental, "enable_tensor_float_32_execution",
                        lambda enabled: asked.append(("TF32", enabled)))
    monkeypatch.setattr(experimental, "enable_op_determinism",
                        lambda: asked.append(("determinism", True)))
    return asked


def test_a_cpu_is_left_as_it_is(switches, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert vz.prepare_device() == "Device: CPU"
    assert not switches


@pytest.mark.parametrize(("details", "name"), [
    ([{"device_name": "Tesla T4"}], "Tesla T4"),
    ([{"device_name": "A100"}, {"device_name": "A100"}, {"device_name": "L4"}], "A100, L4"),
    ([{}], "of unknown name")])
def test_a_gpu_is_asked_for_full_precision_and_the_same_order(
        switches, monkeypatch, details, name):
    monkeypatch.setattr(tf.config, "list_physical_devices",
                        lambda kind: list(range(len(details))) if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
    assert vz.prepare_device() == (
        f"Device: GPU {name}: TF32 off, deterministic operations asked for; numbers after ≈ may "
        "still differ in their last digits, nobody has compared them here")
    assert switches == [("TF32", False), ("determinism", True)]


DETERMINISTIC = """
import numpy as np, tensorflow as tf
import vizutils as vz
from techniques import attribution, deconvnet
real = tf.config.list_physical_devices
tf.config.list_physical_devices = lambda kind=None: real("CPU")  # a CPU that passes for a GPU
assert "of unknown name" in vz.prepare_device()
assert not tf.config.experimental.tensor_float_32_execution_enabled()
net = vz.load_network("vgg16", weights="random")
first, second = (vz.maximize(net, "block2_conv2", [1, 2], steps=3, size=32) for _ in range(2))
np.testing.assert_array_equal(first.images, second.images)
picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
deconvnet.project(net, "block2_conv2", 1, picture)
net = vz.load_network("vgg16", weights="packaged")
attribution.grad_cam(net, picture, 3)
"""


def test_nothing_here_needs_a_seed_of_tensorflows_once_determinism_is_asked_for():
    """In a process of its own: the switch stays on."""
    done = subprocess.run([sys.executable, "-c", DETERMINISTIC], capture_output=True, text=True,
                          cwd=Path(vz.__file__).parent)
    assert done.returncode == 0, done.stderr


def test_packaged_vgg16_says_what_it_is(vgg16):
    assert vgg16.head == "distilled" and vgg16.has_classifier
    assert "ImageNet" in vgg16.weights_source and "distilled" in vgg16.weights_source
    assert len(vgg16.conv_layers) == 13 and vgg16.conv_layers[0] == "block1_conv1"
    assert vgg16.model.input_shape == (None, None, None, 3)
    assert not vgg16.model.trainable_weights  # frozen
    kernel = vgg16.model.get_layer("block1_conv2").kernel.numpy()
    assert kernel[2, 2, 63, 63] == np.float32(0.016082443)  # a published value


def test_no_network_is_used_when_the_data_is_here(vgg16, pictures, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    assert vz.load_network("vgg16", weights="packaged").head == "distilled"
    assert vz.load_network("efficientnet_lite0").head == "original"
    assert len(vz.load_images()) == len(pictures)


def test_auto_falls_back_and_says_so(monkeypatch, capsys):
    def unreachable(name):
        raise fetch.FetchError("there is no internet here.")

    monkeypatch.setattr(fetch, "fetch", unreachable)
    source, words = choose_vgg16_source("auto")
    assert source == "packaged" and "package" in words
    assert "there is no internet here" in capsys.readouterr().out


def test_original_head_as_convolutions_equals_the_dense_network(monkeypatch, noise):
    """At 224 px the fully convolutional VGG16 gives the dense one's logits."""
    dense = keras.applications.VGG16(weights=None, classifier_activation=None)
    arrays = {x.name: x.get_weights() for x in dense.layers if x.weights}
    monkeypatch.setattr(weights, "vgg16_arrays", lambda source: arrays)
    net = vz.load_network("vgg16", weights="some/file.h5")
    assert net.head == "original" and net.responses is None
    assert "unknown training" in net.weights_source and "file.h5" in net.weights_source
    picture = np.resize(noise[:1], (1, 224, 224, 3))
    expected = dense(net.preprocess(picture)).numpy()
    np.testing.assert_allclose(vz.logits(net, picture), expected, rtol=1e-3, atol=1e-5)
    assert len(net.conv_layers) == 13  # the head does not count
    larger = np.resize(noise[:1], (1, 256, 288, 3))
    assert vz.logits(net, larger).shape == (1, 1000)


def test_random_weights_are_seeded_and_have_no_classifier(noise):
    one, two = (vz.load_network("vgg16", weights="random") for _ in range(2))
    assert one.head == "none" and one.responses is None and "random" in one.weights_source
    np.testing.assert_array_equal(vz.kernels(one, "block3_conv2", 5),
                                  vz.kernels(two, "block3_conv2", 5))


def test_weights_from_a_file_of_the_trunk(vgg16, tmp_path):
    path = tmp_path / "mine.weights.h5"
    keras.Model(vgg16.model.input, vgg16.model.get_layer("block5_pool").output).save_weights(path)
    net = vz.load_network("vgg16", weights=path)
    assert net.head == "distilled" and "mine.weights.h5" in net.weights_source


def test_efficientnet_takes_the_same_calls(pictures):
    net = vz.load_network("efficientnet_lite0", weights="packaged")
    assert vz.classify(net, pictures.subset([0]), top=1)[0][0][1] == "bull_mastiff"
    field = vz.receptive_field(net, "block2a_depthwise_conv")
    assert field.stride == 4
    ascent = vz.maximize(net, "block3a_expand_conv", [0, 2], steps=8, size=64)
    assert (ascent.history[-1] > ascent.history[0]).all()
    assert len(vz.rank_kernels(net, "block3a_expand_conv", 0)) == 10


def test_a_keras_application_is_built_for_any_size():
    net = vz.load_network("MobileNetV2", weights="random")
    assert net.model.input_shape == (None, None, None, 3)
    assert "random" in net.weights_source and net.head == "none"
    values = vz.activations(net, net.conv_layers[3], np.zeros((1, 96, 80, 3), "float32"))
    assert values.ndim == 4


@pytest.mark.parametrize("kind", [keras.layers.ReLU, functools.partial(keras.layers.ReLU, 6.0),
                                  functools.partial(keras.layers.Activation, "relu"),
                                  keras.layers.LeakyReLU], ids=["ReLU", "ReLU6", "relu", "leaky"])
def test_the_pre_activation_of_a_layer_that_only_rectifies_is_what_it_reads(kind, noise):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    net = vz.as_network(keras.Model(inputs, kind(name="rectified")(x)))
    read = vz.activations(net, "conv", noise[:1], pre_activation=True)
    assert read.min() < 0
    np.testing.assert_array_equal(
        vz.activations(net, "rectified", noise[:1], pre_activation=True), read)
    after = vz.activations(net, "rectified", noise[:1])
    assert not np.array_equal(after, read)
    np.testing.assert_array_equal(vz.activations(net, "conv", noise[:1]), after)  # one unit
    patches = noise[:, 20:23, 30:33]  # one receptive field each
    np.testing.assert_allclose(vz.patch_responses(net, "rectified", patches),
                               vz.patch_responses(net, "conv", patches), rtol=1e-5)


@pytest.mark.parametrize(("name", "source", "message"), [
    ("vgg61", "auto", "'vgg61' not found; known are vgg16"),
    ("ResNet50", "packaged", "weights='imagenet'"),
    ("efficientnet_lite0", "imagenet", "packaged weights only"),
])
def test_bad_names(name, source, message):
    with pytest.raises(ValueError, match=message):
        vz.load_network(name, weights=source)


def test_sequential_and_other_things_are_refused():
    with pytest.raises(ValueError, match="functional"):
        vz.as_network("vgg16")


def test_another_backend_is_refused_in_a_sentence():
    run = subprocess.run([sys.executable, "-c", "import vizutils"], capture_output=True, text=True,
                         env={**os.environ, "KERAS_BACKEND": "jax"}, check=False)
    assert run.returncode != 0
    assert "needs Keras on TensorFlow, not on 'jax'" in run.stderr


@pytest.mark.parametrize("name", ["MobileNetV2", "efficientnet_lite0"])
def test_random_weights_are_the_same_each_time(name):
    first, again = (vz.load_network(name, weights="random") for _ in range(2))
    assert first.digest == again.digest
    assert first.head == "none" and "random" in first.weights_source
