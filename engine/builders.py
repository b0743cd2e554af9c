"""Builders of VGG16, EfficientNet-Lite0 and the networks of keras.applications."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
from pathlib import Path

import keras
import numpy as np

from data import HOME, fetch, weights
from engine.model_files import is_model_file, load_model_file
from engine.network import Network
from engine.wrapping import PREPROCESSINGS, as_network, plain_keras

#: Each filter's maxima over the 1,000 ImageNet photographs.
RESPONSES = HOME / "class_maxima.npz"


def load_network(
    name: str | os.PathLike = "vgg16", *, weights: str | os.PathLike = "auto", preprocess=None,
    classes=None, output: str | int | None = None,
) -> Network:
    """Load an image network, frozen and ready to be looked into.

    Parameters
    ----------
    name : str or path
        ``"vgg16"``, ``"efficientnet_lite0"``, any model of `keras.applications`
        (``"ResNet50"``, ...; Keras downloads those), or a file that holds a whole model of yours
        (``.keras``, or ``.h5``); no code of the file's is run.
    weights : str or path
        * ``"packaged"`` - from packages of the Python package registry; the same everywhere.
          VGG16's convolution trunk is the original one; its classifier is a linear read-out
          distilled by this project (``head == "distilled"``).
        * ``"imagenet"`` - the files Keras offers for download (VGG16: 553 MB, original head).
        * ``"random"`` - seeded random weights: the control for every picture.
        * a path - a weights file (``.h5``, for VGG16 also ``.keras``) of the same architecture.
        * ``"auto"`` - ``"imagenet"`` if it is here or can be downloaded, else ``"packaged"``.

        A file with a whole model has its own: leave `weights` out, or ask for ``"random"`` ones.
    preprocess, classes, output : optional
        For a file, as in `as_network`: what is done to RGB 0-255 (a function, or a name such as
        ``"0-1"``), the names of its classes, the classifier's output.

    Returns
    -------
    Network
        ``weights_source`` says in words what was loaded.

    Raises
    ------
    ValueError
        Unknown network, or weights that belong to another architecture.
    FetchError
        Weights that are neither on this machine nor can be downloaded.

    References
    ----------
    .. [1] K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image
       recognition", ICLR 2015 (VGG16; weights CC BY 4.0).
    """
    if not isinstance(weights, str | os.PathLike):
        raise ValueError("weights is 'auto', 'packaged', 'imagenet', 'random' or the path of a "
                         f"weights file, not {weights!r}.")
    if is_model_file(name):
        if weights not in ("auto", "packaged", "random"):
            raise ValueError(f"{Path(name).name} has weights of its own: leave weights out, or "
                             "give weights='random' for a control.")
        if preprocess is None and weights == "random":  # nobody trained them on anything
            preprocess = "none"
        net = load_model_file(name, preprocess=preprocess, classes=classes, output=output)
        return _random_twin(net) if weights == "random" else net
    if preprocess is not None or classes is not None or output is not None:
        raise ValueError(f"{name} has its own preprocessing, classes and output: these options "
                         "are for a model file of yours.")
    key = str(name).lower().replace("-", "_")
    with plain_keras():
        if key == "vgg16":
            return _load_vgg16(weights)
        if key == "efficientnet_lite0":
            return _load_efficientnet_lite0(weights)
        return _load_application(name, weights)


def _load_vgg16(source) -> Network:
    """VGG16 for pictures of any size, with the classifier that these weights allow (or none)."""
    trunk = keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3))
    conv_layers = tuple(x.name for x in trunk.layers if isinstance(x, keras.layers.Conv2D))
    head, logits, responses = "none", None, None
    if source == "random":
        words = "random weights (He normal, seed 0), no training"
        arrays = _random_arrays(trunk, seed=0)
    else:
        source, note = choose_vgg16_source(source)
        arrays = weights.vgg16_arrays(source)
        is_imagenet = weights.is_imagenet_trunk(arrays)
        trained = "trained on ImageNet (ILSVRC-2012)" if is_imagenet else "of unknown training"
        responses = RESPONSES if is_imagenet and RESPONSES.exists() else None
        if "predictions" in arrays:
            head, logits = "original", _vgg16_dense_head(trunk.output, arrays)
            words = f"convolutions and original dense head {trained}, from {note}"
        elif is_imagenet:
            head, logits = "distilled", _vgg16_readout(trunk.output)
            words = (
                f"13 convolution layers {trained}, from {note}; classifier: this project's "
                "linear read-out, distilled from EfficientNet-Lite0"
            )
        else:
            words = f"13 convolution layers {trained}, from {note}; no classifier"
    for layer_name in conv_layers:
        trunk.get_layer(layer_name).set_weights(arrays[layer_name])
    model = trunk if logits is None else keras.Model(trunk.input, logits, name="vgg16")
    model.trainable = False
    return Network(
        "vgg16", model, PREPROCESSINGS["vgg"], conv_layers, words,
        head=head, input_channels=("B", "G", "R"), responses=responses,
    )


def choose_vgg16_source(source) -> tuple[str | os.PathLike, str]:
    """Resolve ``"auto"``; return the source, and its description for ``weights_source``."""
    if source == "auto":
        try:
            fetch.fetch("vgg16-imagenet")
            source = "imagenet"
        except fetch.FetchError as problem:
            print(f"The original weights file is out of reach ({problem}) "
                  "The packaged trunk is used: the same convolutions, a distilled classifier.")
            source = "packaged"
    notes = {"packaged": "a package of the Python registry (digests checked)",
             "imagenet": "the Keras download"}
    return source, notes.get(source, f"the file {Path(source).name}")


def _random_arrays(model: keras.Model, *, seed: int) -> dict[str, list[np.ndarray]]:
    """He-normal kernels and zero biases for each convolution of `model`, seeded."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            shape = tuple(layer.kernel.shape)
            spread = np.sqrt(2 / np.prod(shape[:3]))
            arrays[layer.name] = [rng.normal(0, spread, shape).astype("float32"),
                                  np.zeros(shape[3], "float32")]
    return arrays


@contextlib.contextmanager
def _seeded():
    """Keras's initialisers draw their seeds from Python's own random numbers."""
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)


def _random_twin(net: Network) -> Network:
    """A network of the same architecture, as it was before training; its input is scaled alike."""
    with plain_keras(), _seeded():
        model = keras.models.clone_model(net.model)
    for own, given in zip(model.layers, net.model.layers, strict=True):
        if isinstance(given, keras.layers.Normalization):
            own.set_weights(given.get_weights())
    model.trainable = False
    return dataclasses.replace(
        net, model=model, head="none", classes=None,
        weights_source="random weights (Keras's own initialisers, seed 0), no training")


def _vgg16_readout(features):
    """The distilled linear read-out on globally averaged features (data/README.md)."""
    with np.load(HOME / "readout.npz") as readout:
        kernel, bias = (readout[k].astype("float32") for k in ("kernel", "bias"))
    pooled = keras.layers.GlobalAveragePooling2D(name="average_pool")(features)
    dense = keras.layers.Dense(kernel.shape[1], name="readout")
    logits = dense(pooled)
    dense.set_weights([kernel, bias])
    return logits


def _vgg16_dense_head(features, arrays):
    """VGG16's three dense layers as convolutions, so that pictures may have any size [1]_.

    At 224 px the result equals the dense network's; on larger pictures logits are averaged over
    positions, the "dense evaluation" of the VGG paper.
    """
    shapes = {"fc1": (7, 7, 512, 4096), "fc2": (1, 1, 4096, 4096), "predictions": (1, 1, 4096, -1)}
    x = features
    for name, shape in shapes.items():
        kernel, bias = arrays[name]
        activation = "linear" if name == "predictions" else "relu"
        layer = keras.layers.Conv2D(bias.size, shape[0], activation=activation, name=name)
        x = layer(x)
        layer.set_weights([kernel.reshape(shape), bias])
    return keras.layers.GlobalAveragePooling2D(name="logits")(x)


def _load_efficientnet_lite0(source) -> Network:
    """EfficientNet-Lite0 with its own ImageNet classifier, from a package."""
    from data import efficientnet_lite0

    if source not in ("auto", "packaged", "random"):
        raise ValueError("efficientnet_lite0 has packaged weights only: weights='packaged'.")
    model = efficientnet_lite0.efficientnet_lite0()
    model.trainable = False
    wrapped = as_network(model, preprocess=efficientnet_lite0.preprocess,
                         name="efficientnet_lite0", head="original")
    if source == "random":
        return _random_twin(wrapped)
    return dataclasses.replace(
        wrapped, weights_source="all layers trained on ImageNet (ILSVRC-2012), from a package of "
        "the Python registry (checksum checked)")


def _check_file(source, name: str) -> None:
    """Refuse a file of weights that is not there, before anything is built."""
    if not Path(source).is_file():
        raise FileNotFoundError(f"weights file {source} not found; give 'imagenet', 'random' or "
                                f"the path of a Keras .h5 file of {name}.")


def _load_file(model: keras.Model, source) -> None:
    """Give a model the weights of a file; an error that names the file if it cannot have them."""
    try:
        model.load_weights(source)
    except (OSError, ValueError, KeyError) as problem:
        raise ValueError(f"{Path(source).name} is damaged, or holds no weights of {model.name} as "
                         f"Keras writes them ({problem}).") from problem


def _load_application(name: str, source) -> Network:
    """Any model of keras.applications, rebuilt for pictures of any size where it allows that."""
    builders = {n.lower(): getattr(keras.applications, n) for n in dir(keras.applications)
                if n[0].isupper()}
    if str(name).lower() not in builders:
        known = "vgg16, efficientnet_lite0, " + ", ".join(sorted(builders))
        raise ValueError(f"network {name!r} not found; known are {known}.")
    if source not in ("auto", "imagenet", "packaged", "random"):
        _check_file(source, name)
    if source == "packaged":
        raise ValueError(f"no package carries weights for {name}: use weights='imagenet' "
                         "or a path.")
    build = builders[str(name).lower()]
    package = __import__(build.__module__, fromlist=["preprocess_input"])
    if source in ("auto", "imagenet"):
        with fetch.patient_downloads():
            model = build(weights="imagenet", classifier_activation=None)
        words = "all layers trained on ImageNet (ILSVRC-2012), downloaded by Keras"
    else:
        with _seeded():
            model = build(weights=None, classifier_activation=None)
        words = "random weights (Keras's own initialisers, seed 0), no training"
        if source != "random":
            _load_file(model, source)
            words = f"weights from the file {Path(source).name}"
    size = model.input_shape[1]
    try:  # a dense head behind Flatten is the one thing that fixes the picture's size
        anywhere = keras.models.clone_model(model, input_tensors=keras.Input((None, None, 3)))
        anywhere.set_weights(model.get_weights())
        model = anywhere
    except (ValueError, TypeError):
        words += f"; pictures must be {size} px"
    model.trainable = False
    wrapped = as_network(model, preprocess=package.preprocess_input, name=str(name).lower(),
                         input_size=size, head="none" if source == "random" else "original")
    return dataclasses.replace(wrapped, weights_source=words)
