"""Networks that the tests share: a tiny VGG for speed, the real one for truth."""

import keras
import numpy as np
import pytest

import vizutils as vz

TINY_FILTERS = (4, 6, 8, 8, 8)  # filters a convolution of blocks 1-5


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """The same weights each time in what a test builds: random ones are silent now and then."""
    keras.utils.set_random_seed(0)


def build_tiny_vgg(seed=0):
    """A seeded VGG with VGG16's layer names and a handful of channels."""
    rng = np.random.default_rng(seed)
    x = inputs = keras.Input((None, None, 3))
    for block, (filters, count) in enumerate(zip(TINY_FILTERS, (2, 2, 3, 3, 3), strict=True), 1):
        for conv in range(1, count + 1):
            layer = keras.layers.Conv2D(filters, 3, padding="same", activation="relu",
                                        kernel_initializer="zeros",  # replaced below
                                        name=f"block{block}_conv{conv}")
            x = layer(x)
            kernel = rng.normal(0, (2 / np.prod(layer.kernel.shape[:3])) ** 0.5,
                                layer.kernel.shape)
            layer.set_weights([kernel, rng.normal(0, 0.1, filters)])
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return keras.Model(inputs, x, name="tiny_vgg")


def classifier(*middle, shape=(32, 32, 3), classes=4, activation=None):
    """A Sequential: first convolution, what is given, pooling, scores."""
    return keras.Sequential([keras.Input(shape), keras.layers.Conv2D(4, 3, name="first"), *middle,
                             keras.layers.GlobalAveragePooling2D(),
                             keras.layers.Dense(classes, activation=activation)], name="own")


def pictures_of(size, count=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, size, size, 3)).astype("float32")


def sampled_halves(net, layer):
    """Samples of two sets of four pictures of noise, 160 places each."""
    from techniques import samples  # not for every test

    rng = np.random.default_rng(0)
    pictures = vz.made(rng.uniform(0, 255, (8, 64, 64, 3)).astype("float32"))
    return [samples.sample(net, layer, pictures.subset(half), each=40, seed=seed)
            for seed, half in enumerate((range(4), range(4, 8)))]


@pytest.fixture(scope="module")
def tinies():
    """Where a file's tests leave the tiny network to each other: what it has traced is kept."""
    return []


@pytest.fixture
def tiny(tinies):
    """The tiny VGG on pictures divided by 128, as new: whoever changes it is its last user."""
    if not tinies:
        made = vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
        tinies[:] = made, state(made)
    net, before = tinies
    yield net
    if state(net) != before:
        tinies.clear()


def state(net):
    """What a test may change in a network, in a form that can be compared."""
    fields = {name: id(value) for name, value in vars(net).items()
              if name not in ("_kept", "_built")}
    return fields, net.digest, str(net.model.get_config()), [
        (layer.name, layer.trainable, sorted(map(str, vars(layer)))) for layer in net.model.layers]


@pytest.fixture(scope="module")
def net():
    """The same, one for all tests of a file: for those that change nothing."""
    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="session")
def shown():
    """Twelve packaged pictures, 96 px."""
    return vz.load_images(size=96).subset(range(12))


@pytest.fixture(scope="session")
def vgg16():
    """VGG16 with its real ImageNet trunk and the distilled read-out."""
    return vz.load_network("vgg16", weights="packaged")


@pytest.fixture(scope="session")
def pictures():
    """The packaged pictures, 224 px."""
    return vz.load_images()


@pytest.fixture(scope="session")
def noise():
    """Four seeded noise pictures, 64 px."""
    return np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
