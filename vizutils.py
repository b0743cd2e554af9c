"""See what one filter of a convolutional network has learned, and which weights made it so.

The file reads from top to bottom in the order of the lab report:

1. **Networks** - load one, frozen, and know which weights it carries.
2. **Images** - any picture file to RGB, 0-255; packaged pictures; naming what is seen.
3. **Units** - where in the picture a unit looks: receptive fields and the layer graph.
4. **Activations** - what real pictures do to a filter: patches, classes, groups.
5. **Gradient ascent** - draw the picture a filter answers to most, and report honestly on it.
6. **Kernels** - the weights that feed a filter, ranked, excitatory or inhibitory.
7. **Figures** - one function for each figure, none of which touches pyplot.
8. **Recipes** - the code that made a figure, kept in it: ``python -m vizutils show-recipe FILE``.

Conventions, everywhere in this file: pictures are RGB, 0-255, shape ``(n, rows, columns, 3)``;
a network's own preprocessing (for VGG16: BGR, mean subtracted) happens inside the traced
function, so that gradients pass through it; a *filter* is the whole weight tensor of one output
channel, a *kernel* the slice of it that reads one input channel; *activation* is the output
after the ReLU, *pre-activation* the value before it. No function changes the Keras model.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import hashlib
import inspect
import io
import itertools
import json
import numbers
import os
import platform
import random
import re
import sys
import threading
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter
if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        f"vizutils needs Keras on TensorFlow, not on {os.environ['KERAS_BACKEND']!r}: set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported, and restart."
    )

import keras
import matplotlib as mpl
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from data import classes as imagenet
from data import fetch, weights
from engine.recipes import recipe_of

try:  # iPhones' pictures; everything else is read without it
    import pillow_heif
except ImportError:
    pillow_heif = None
else:
    pillow_heif.register_heif_opener()

CROP = 0.875  #: share of the resized shorter side that the centre crop keeps (224 of 256)
RESPONSES = Path(__file__).resolve().parent / "data" / "class_maxima.npz"


# ============================================================================================
# 1. Networks
# ============================================================================================


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen image network and what one must know to use it.

    Attributes
    ----------
    name : str
        Short name, e.g. ``"vgg16"``.
    model : keras.Model
        Functional model from *preprocessed* pictures to class logits (or to the last feature
        map, if ``head`` is ``"none"``).
    preprocess : callable
        RGB pictures, 0-255, shape (n, h, w, 3) → the model's input. Differentiable.
    conv_layers : tuple of str
        Names of the convolution layers in order; dense heads do not count.
    weights_source : str
        In words: where the weights come from.
    head : {"original", "distilled", "none"}
        Which classifier turns features into logits.
    input_size : int
        Side in pixels of the crop the network was trained on.
    input_channels : tuple of str
        What the channels of the model's input are, in order; ``("B", "G", "R")`` for VGG16.
    responses : Path or None
        File with each filter's maxima over the 1,000 ImageNet photographs, if known.
    """

    name: str
    model: keras.Model
    preprocess: Callable
    conv_layers: tuple[str, ...]
    weights_source: str
    head: str = "none"
    input_size: int = 224
    input_channels: tuple[str, ...] = ("R", "G", "B")
    responses: Path | None = None
    _kept: OrderedDict = field(default_factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def has_classifier(self) -> bool:
        """Whether ``model`` ends in 1,000 ImageNet logits."""
        return self.head != "none"

    @property
    def digest(self) -> str:
        """SHA-256 of all weights as they are now, in the model's order."""
        return weights.tensor_digest(*self.model.get_weights())

    @functools.cached_property
    def graph(self) -> keras.Model:
        """The model once more, on the same variables, for building on.

        What is cut out of a Keras graph or joined to it stays recorded in its layers. Whatever
        this project builds starts here, so that ``model`` itself is never touched; and since the
        variables are shared, new weights in ``model`` count here at once.
        """
        return keras.models.clone_model(self.model, clone_function=twin)

    def kept(self, build: Callable, *arguments):
        """``build(self, *arguments)``, made once: asked again, the same result comes back.

        The key is the function and its arguments, so it cannot stand for something else; with an
        argument that is no value (`is_value`) the result is made anew. At most `MOST_KEPT`
        results are kept; the one longest unused goes first.
        """
        if not is_value((build, *arguments)):
            return build(self, *arguments)
        key = (build, *arguments)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = build(self, *arguments)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def __repr__(self) -> str:
        return f"Network({self.name!r}: {self.weights_source})"


MOST_KEPT = 64  #: results that a network keeps; each holds a traced function of a few MB at most


def is_value(thing) -> bool:
    """Whether equality says all about a thing, now and later.

    True for numbers, words, functions and frozen dataclasses that an imported module defines,
    and tuples of these. Not for what a notebook's cell defines, or a function within another
    one: it may read a variable that changes.
    """
    if isinstance(thing, tuple):
        return all(map(is_value, thing))
    if isinstance(thing, types.FunctionType):
        return _is_of_a_module(thing)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        rules = thing.__dataclass_params__
        return rules.frozen and rules.eq and _is_of_a_module(type(thing)) and all(
            is_value(getattr(thing, part.name)) for part in dataclasses.fields(thing))
    return thing is None or isinstance(thing, str | int | float | np.generic)


def _is_of_a_module(thing: Callable) -> bool:
    return thing.__module__ != "__main__" and "<locals>" not in thing.__qualname__


def twin(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """A layer that shares another's variables and settings, but for `changes`.

    No graph knows it yet, and the other is not touched: ``twin(conv, activation=linear)`` is a
    convolution without its ReLU whose weights are, now and later, those of ``conv``.
    """
    other = object.__new__(type(layer))  # no __init__: nothing is created
    other.__dict__.update(layer.__dict__)
    other.__dict__.update(_inbound_nodes=[], _outbound_nodes=[], **changes)
    return other


def prepare_device() -> str:
    """Ask the machine for numbers that can be compared, and say what computes them.

    A CPU is left as it is. Where there is a GPU, two of TensorFlow's switches are set:

    * TensorFloat-32 off. It is on by default and rounds what convolutions and matrix products
      read to 10 bits of precision, on NVIDIA GPUs from the Ampere generation on [1]_.
    * Deterministic operations on: the same inputs on the same hardware give the same outputs,
      usually more slowly; random operations of TensorFlow then need a seed, and an operation
      without a deterministic version ends in ``tf.errors.UnimplementedError`` [2]_.

    Returns
    -------
    str
        A sentence for the notebook: the device, and what was asked of it.

    Notes
    -----
    Both effects are TensorFlow's own account. No GPU was at hand where this was written: whether
    every operation used here has a deterministic version there, and how far a GPU's numbers are
    from the committed ones, was not tried. A CPU's numbers differ a little from another CPU's
    too, which is why notebooks print them after the sign ≈. Call this before anything else is
    computed; nothing switches deterministic operations off again but a new process.

    References
    ----------
    .. [1] https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_tensor_float_32_execution
    .. [2] https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "Device: CPU"
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.experimental.enable_op_determinism()
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = dict.fromkeys(x.get("device_name", "of unknown name") for x in details)
    return (f"Device: GPU {', '.join(names)}: TF32 off, deterministic operations asked for; "
            "numbers after ≈ may still differ in their last digits, nobody has compared them here")


def load_network(name: str = "vgg16", *, weights: str | os.PathLike = "auto") -> Network:
    """Load an image network, frozen and ready to be looked into.

    Parameters
    ----------
    name : str
        ``"vgg16"``, ``"efficientnet_lite0"``, or any model of `keras.applications`
        (``"ResNet50"``, ...; Keras downloads those).
    weights : str or path
        * ``"packaged"`` - from packages of the Python package registry; the same everywhere.
          VGG16's convolution trunk is the original one; its classifier is a linear read-out
          distilled by this project (``head == "distilled"``).
        * ``"imagenet"`` - the files Keras offers for download (VGG16: 553 MB, original head).
        * ``"random"`` - seeded random weights: the control for every picture.
        * a path - a weights file (``.h5``) of the same architecture.
        * ``"auto"`` - ``"imagenet"`` if it is here or can be reached, else ``"packaged"``.

    Returns
    -------
    Network
        ``weights_source`` says in words what was loaded.

    Raises
    ------
    ValueError
        Unknown network, or weights that belong to another architecture.
    FetchError
        Weights that are neither here nor within reach.

    References
    ----------
    .. [1] K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image
       recognition", ICLR 2015 (VGG16; weights CC BY 4.0).
    """
    key = str(name).lower().replace("-", "_")
    with _plain_keras():
        if key == "vgg16":
            return _load_vgg16(weights)
        if key == "efficientnet_lite0":
            return _load_efficientnet_lite0(weights)
        return _load_application(name, weights)


@contextlib.contextmanager
def _plain_keras() -> Iterator[None]:
    """Build layers in single precision and with channels last, whatever Keras is set to.

    A session on a GPU often asks for mixed precision. Pre-activations of VGG16 run into the
    thousands, where half precision keeps three digits, and 65,504 is its largest number.
    """
    policy, numbers, order = (keras.config.dtype_policy(), keras.config.floatx(),
                              keras.config.image_data_format())
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_floatx(numbers)
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(order)


def _in_plain_keras(preprocess: Callable) -> Callable:
    """Keras's own preprocessing asks the global settings where the channels are."""
    @functools.wraps(preprocess)
    def preprocessed(images):
        with _plain_keras():
            return preprocess(images)

    return preprocessed


def _check_layers(model: keras.Model) -> None:
    """Refuse a model whose numbers would not be what this project takes them for."""
    for own in model.layers:
        if own.compute_dtype != "float32":
            raise ValueError(
                f"{own.name} of {model.name} computes in {own.compute_dtype}; single precision is "
                'needed. Call keras.config.set_dtype_policy("float32"), build the model again and '
                "give it the weights: new.set_weights(old.get_weights()).")
        if getattr(own, "data_format", "channels_last") == "channels_first":
            raise ValueError(
                f"{own.name} of {model.name} has channels first; (n, rows, columns, channels) is "
                'needed. Call keras.config.set_image_data_format("channels_last") and build the '
                "model again; convolution weights are the same in both.")


def as_network(
    model: keras.Model, *, preprocess: Callable | None = None, name: str | None = None,
    input_size: int = 224, head: str = "none",
) -> Network:
    """Wrap any functional Keras image model so that every function of this file accepts it.

    Parameters
    ----------
    model : keras.Model
        Functional, one picture input.
    preprocess : callable, optional
        RGB 0-255 → model input, differentiable. Identity if the model preprocesses itself.
    name, input_size, head
        As in `Network`.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "_operations"):
        raise ValueError("as_network needs a functional keras.Model (one with a layer graph).")
    if len(model.inputs) != 1:
        raise ValueError(f"as_network needs a model with one picture input; {model.name} has "
                         f"{len(model.inputs)}.")
    _check_layers(model)
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    return Network(
        name=name or model.name,
        model=model,
        preprocess=_in_plain_keras(preprocess) if preprocess else lambda images: images,
        conv_layers=tuple(x.name for x in model.layers if isinstance(x, convolutions)),
        weights_source=f"the given Keras model {model.name!r}",
        head=head,
        input_size=input_size,
    )


def _vgg_preprocess(images):
    """RGB 0-255 → BGR minus the training set's mean colour, as VGG was trained on."""
    return images[..., ::-1] - tf.constant([103.939, 116.779, 123.68], images.dtype)


def _load_vgg16(source) -> Network:
    """Build VGG16's trunk for pictures of any size and put the head on it that is to be had."""
    trunk = keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3))
    conv_layers = tuple(x.name for x in trunk.layers if isinstance(x, keras.layers.Conv2D))
    head, logits, responses = "none", None, None
    if source == "random":
        words = "random weights (He normal, seed 0), no training"
        arrays = _random_arrays(trunk, seed=0)
    else:
        source, note = _choose_vgg16_source(source)
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
        "vgg16", model, _vgg_preprocess, conv_layers, words,
        head=head, input_channels=("B", "G", "R"), responses=responses,
    )


def _choose_vgg16_source(source) -> tuple[str | os.PathLike, str]:
    """Resolve ``"auto"``; return the source and the words for it."""
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


def _vgg16_readout(features):
    """The distilled linear read-out on globally averaged features (data/README.md)."""
    with np.load(Path(__file__).resolve().parent / "data" / "readout.npz") as readout:
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

    if source not in ("auto", "packaged"):
        raise ValueError("efficientnet_lite0 has packaged weights only: weights='packaged'.")
    model = efficientnet_lite0.efficientnet_lite0()
    model.trainable = False
    wrapped = as_network(model, preprocess=efficientnet_lite0.preprocess,
                         name="efficientnet_lite0", head="original")
    return dataclasses.replace(
        wrapped, weights_source="all layers trained on ImageNet (ILSVRC-2012), from a package of "
        "the Python registry (checksum checked)")


def _load_application(name: str, source) -> Network:
    """Any model of keras.applications, rebuilt for pictures of any size where it allows that."""
    builders = {n.lower(): getattr(keras.applications, n) for n in dir(keras.applications)
                if n[0].isupper()}
    if str(name).lower() not in builders:
        known = "vgg16, efficientnet_lite0, " + ", ".join(sorted(builders))
        raise ValueError(f"network {name!r} not found; known are {known}.")
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
        state = random.getstate()
        random.seed(0)  # Keras's initialisers draw their seeds here
        try:
            model = build(weights=None, classifier_activation=None)
        finally:
            random.setstate(state)
        words = "random weights (Keras's own initialisers, seed 0), no training"
        if source != "random":
            model.load_weights(source)
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


# ============================================================================================
# 2. Images
# ============================================================================================


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square pictures of one size, read from their files when they are needed.

    `load_images` makes one of nearly anything, `as_image_set` of an array.

    Attributes
    ----------
    names : tuple of str
    labels : ndarray of int, shape (n,)
        ImageNet class index, or −1.
    size : int
        Side in pixels.
    sources : tuple of Path, or ndarray of shape (n, size, size, 3)
        Where the pixels come from. An array is checked (`check_pictures`) and kept as float32.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    size: int
    sources: tuple[Path, ...] | np.ndarray

    def __post_init__(self):
        if isinstance(self.sources, np.ndarray) and len(self.sources):
            array = check_pictures(self.sources)
            if array.shape[1:3] != (self.size, self.size):
                raise ValueError(f"an ImageSet of size {self.size} holds pictures of "
                                 f"{self.size} × {self.size} px, not {array.shape[1]} × "
                                 f"{array.shape[2]}.")
            object.__setattr__(self, "sources", array)
        object.__setattr__(self, "labels", np.asarray(self.labels, int))
        counts = len(self.names), len(self.labels), len(self.sources)
        if len(set(counts)) > 1:
            raise ValueError("an ImageSet needs a name, a label (−1: unknown) and a source for "
                             f"each picture; here are {counts[0]}, {counts[1]} and {counts[2]}.")

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """All pictures, float32 RGB 0-255, shape (n, size, size, 3); kept once asked for."""
        return self.read(range(len(self)))

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Pictures `indices`, float32 RGB 0-255, shape (len(indices), size, size, 3)."""
        ready = self.__dict__.get("images", self.sources)
        if isinstance(ready, np.ndarray):
            return ready[list(indices)]
        return np.stack([read_image(self.sources[i], size=self.size) for i in indices])

    def batches(self, size: int = 16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(indices, images)``; memory does not grow with the number of pictures.

        One batch is read ahead in a thread while the caller works on the one before.
        """
        starts = range(0, len(self), size)
        batches = [np.arange(start, min(start + size, len(self))) for start in starts]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.read, batches[0])
            for indices, following in itertools.zip_longest(batches, batches[1:]):
                images = ahead.result()
                if following is not None:
                    ahead = reader.submit(self.read, following)
                yield indices, images

    def subset(self, indices: Sequence[int]) -> ImageSet:
        """The same pictures, fewer of them, in the order of `indices`."""
        indices = list(indices)
        ready = self.__dict__.get("images", self.sources)
        sources = (ready[indices] if isinstance(ready, np.ndarray)
                   else tuple(self.sources[i] for i in indices))
        return type(self)(tuple(self.names[i] for i in indices), self.labels[indices], self.size,
                          sources)


class MadePictures(ImageSet):
    """Pictures that come from this program itself (see `made`): taken as they are."""

    def __post_init__(self):
        pass


def made(images: np.ndarray) -> MadePictures:
    """Pictures that this program made or checked before, for functions that would check them.

    What an ascent, an attack or a cut leaves may be so dark that, coming from outside, it would
    pass for a picture scaled to 0-1.

    Parameters
    ----------
    images : float32 ndarray, shape (n, rows, columns, 3)
        RGB, 0-255.
    """
    names = tuple(f"picture {i}" for i in range(len(images)))
    return MadePictures(names, np.full(len(images), -1), images.shape[1], images)


#: Formats that Pillow knows by name, but that are no pictures or need another program.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
#: Endings of cameras' raw files.
RAW = ".arw .cr2 .cr3 .crw .dng .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srw".split()
#: What looks like a picture and is not read: its ending, and what helps.
REMEDIES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "install pillow-heif and restart"),
    **dict.fromkeys((".avif", ".avifs"), "install Pillow 11.3 or later"),
    **dict.fromkeys(RAW, "export a camera's raw files as JPEG"),
    **dict.fromkeys(".ai .cdr .emf .eps .exr .jxl .jxr .kra .psb .svg .svgz .wmf .xcf".split(),
                    "export it as PNG"),
}


def picture_endings() -> frozenset[str]:
    """File endings of the pictures that the installed Pillow reads, in lower case."""
    known = Image.registered_extensions().items()  # a pair of views that .MPO holds is a JPEG
    return frozenset(ending for ending, kind in known
                     if (kind in Image.OPEN or kind == "MPO") and kind not in NO_PICTURES)


def load_images(
    folder=None, *, size: int = 224, limit: int | None = None, labels=None
) -> ImageSet:
    """Pictures in whatever form one has them, as one `ImageSet`; the packaged ones by default.

    Parameters
    ----------
    folder : optional
        * nothing - 20 ImageNet photographs and 19 from outside ImageNet, which come with Python
          packages;
        * a folder - the pictures in it and in the folders in it, by path; hidden files and
          folders are left out;
        * a file, or bytes;
        * a PIL picture;
        * an array of RGB 0-255, of shape (rows, columns, 3) or (n, rows, columns, 3);
        * the value of an ipywidgets `FileUpload` (7 or 8), or another mapping of names to
          pictures;
        * an `ImageSet`;
        * a list of any of these.
    size : int
        Side of the square crop, in pixels: the shorter side is resized to ``size / 0.875``
        (bicubic) and the centre cut out, as both packaged networks expect. An array that has
        this size already stays as it is.
    limit : int, optional
        Take only the first `limit` pictures that can be read.
    labels : optional
        The pictures' classes, each an ImageNet class index, a WordNet id or a class's name (−1
        or empty: unknown):

        * a sequence, one for each picture found;
        * a mapping from file name (where two files share it: the path in the folder) to class;
        * the path of a CSV file with the columns ``file`` and ``label``;
        * ``"folders"``: each picture's folder bears its class's name.

    Returns
    -------
    ImageSet
        Without `labels`, a class is known only where the name of the file or of its folder
        starts with a WordNet id (``n02123159_...``), and for the packaged pictures; else −1.

    Raises
    ------
    FileNotFoundError
        No such folder or file, or no readable picture in the folder.
    ValueError
        Something that is no picture or no class; an address of the web.

    Warns
    -----
    UserWarning
        Pictures that cannot be read, or are of a kind that is not read: they are named, with
        what helps. Files and pictures that `labels` does not bring together.
    """
    if not isinstance(size, numbers.Integral) or size < 1:
        raise ValueError("size is the crop's side in pixels, a positive whole number, not "
                         f"{size!r}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}; leave it out for all pictures.")
    found = _find(folder)
    good, pixels, bad = [], [], []
    for i, picture in enumerate(tqdm(found, "checking pictures", delay=2, leave=False)):
        if limit is not None and len(good) >= limit:
            break
        try:
            pixels.append(_checked_source(picture, i, size))
            good.append(i)
        except (OSError, ValueError) as problem:
            if len(found) == 1:
                raise
            bad.append(str(problem))
    if bad:
        warnings.warn(f"{len(bad)} unreadable picture(s) skipped: {_some(bad, ' ')}", stacklevel=2)
    if not good:
        raise ValueError(f"none of these {len(found)} files can be read as a picture.")
    names = tuple(found[i].name or f"picture {i}" for i in good)
    given = _labels(labels, found, good)
    if all(isinstance(one, Path) for one in pixels):
        return ImageSet(names, given, size, tuple(pixels))
    return MadePictures(names, given, size, np.stack([  # each was checked when it was found
        read_image(one, size=size) if isinstance(one, Path) else one for one in pixels]))


@dataclass(frozen=True, eq=False)
class _Found:
    """A picture before it is read: where it is, and what it and its file are called."""

    source: object  # a path, bytes, a PIL picture or a checked array
    name: str = ""
    file: str = ""
    label: int = -1


def _find(source) -> list[_Found]:
    """Every picture in whatever was given."""
    if source is None:
        return [_Found(p.path, p.name, p.path.name, p.label) for p in fetch.pictures()]
    if isinstance(source, ImageSet):
        return [_Found(*row) for row in zip(source.sources, source.names, source.names,
                                            source.labels.tolist(), strict=True)]
    if isinstance(source, (str, os.PathLike)):
        return _find_path(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return [_Found(bytes(source))]
    if isinstance(source, Image.Image):
        path = Path(getattr(source, "filename", ""))
        return [_Found(source, path.stem, path.name)]
    if hasattr(source, "read"):  # an open file
        path = Path(str(getattr(source, "name", "")))
        return [_Found(bytes(source.read()), path.stem, path.name)]
    if isinstance(source, Mapping):
        return _find_named(source)
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        array = np.asarray(source)
        if array.dtype.kind in "fiub":
            return [_Found(image) for image in one_or_more(array)]
    if not isinstance(source, Iterable):
        raise ValueError(f"pictures are not read from {type(source).__name__}: give a folder, a "
                         "file, bytes, a PIL picture, an array, an upload's value, or a list of "
                         "them.")
    found = []
    for i, one in enumerate(source):
        try:
            found += _find(one)
        except ValueError as problem:
            raise ValueError(f"entry {i} of the list: {problem}") from None
    if not found:
        raise ValueError("no picture given: the list (or the upload) is empty.")
    return found


def _find_named(source: Mapping) -> list[_Found]:
    """Pictures by name: an upload of ipywidgets 7, one file of ipywidgets 8, or any mapping."""
    if "content" in source:
        source = {source.get("name", ""): source["content"]}
    found = []
    for name, one in source.items():
        one = one["content"] if isinstance(one, Mapping) else one
        found += [dataclasses.replace(f, name=Path(str(name)).stem, file=str(name))
                  for f in _find(one)]
    if not found:
        raise ValueError("no picture given: the upload is empty.")
    return found


def _find_path(path) -> list[_Found]:
    """A file, or the pictures of a folder and of the folders in it."""
    _refuse_address(path)
    path = Path(path).expanduser()
    if not path.exists() and set("*?") & set(path.name):
        raise FileNotFoundError(f"{path} is a pattern: give the list of files, "
                                f"sorted(Path({str(path.parent)!r}).glob({path.name!r})).")
    if path.is_file() or (path.suffix.lower() in picture_endings() and not path.is_dir()):
        return [_Found(path, path.stem, path.name, _label_of(path))]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one that holds pictures.")
    endings, found, left_out = picture_endings(), [], {}
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        ending = file.suffix.lower()
        if any(part[0] == "." or part == "__MACOSX" for part in inside.parts):
            continue  # of the system's or of Jupyter's making: never somebody's pictures
        if not file.is_file():
            continue
        if ending in endings or (not ending and _is_picture(file)):
            found.append(_Found(file, file.stem, inside.as_posix(), _label_of(file)))
        elif ending in REMEDIES:
            left_out.setdefault(REMEDIES[ending], []).append(inside.as_posix())
    unread = "; ".join(f"{_some(files)} ({remedy})" for remedy, files in left_out.items())
    if not found:
        there = unread and f"; of kinds that are not read: {unread}"
        raise FileNotFoundError(f"no readable picture in {path}; looked for .jpg, .png and "
                                f"{len(endings) - 2} other endings{there}.")
    if unread:
        warnings.warn(f"{sum(map(len, left_out.values()))} picture(s) of kinds that are not read: "
                      f"{unread}.", stacklevel=4)
    return found


def _some(words: Sequence[str], between: str = ", ", most: int = 5) -> str:
    """The first few of many, and how many more there are."""
    more = f"{between}and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def _is_picture(path: Path) -> bool:
    """Whether a file without an ending begins as a usual picture does."""
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")):
            return True
    except (OSError, ValueError, SyntaxError):  # what Pillow raises on anything else
        return False


def _checked_source(picture: _Found, number: int, size: int):
    """A path whose file can be read, or the pixels of anything else, cut to `size`."""
    source = picture.source
    if isinstance(source, Path):
        read_image(source, size=8)  # decoded small: cheap, and finds damage a header hides
        return source
    if isinstance(source, bytes):
        return _read(source, picture.file or f"picture {number}", size)
    if isinstance(source, np.ndarray):
        if source.shape[:2] == (size, size):
            return source
        source = Image.fromarray(np.clip(source, 0, 255).round().astype("uint8"))
    return np.asarray(_centre_crop(_to_rgb(ImageOps.exif_transpose(source)), size), "float32")


# --- labels: what a picture shows -----------------------------------------------------------


def _label_of(path: Path) -> int:
    """ImageNet class index from the WordNet id that starts a file's or its folder's name."""
    by_wnid = {wnid: index for index, (wnid, _) in enumerate(imagenet.CLASSES)}
    for text in (path.stem, path.absolute().parent.name):
        if text[:9] in by_wnid and not text[9:10].isdecimal():
            return by_wnid[text[:9]]
    return -1


def _labels(labels, found: Sequence[_Found], good: Sequence[int]) -> np.ndarray:
    """Class indices of the `good` ones of the pictures found, int (len(good),)."""
    if labels is None:
        return np.array([found[i].label for i in good], int)
    if isinstance(labels, str) and labels == "folders":
        return np.array(_labels_by_folder([found[i] for i in good]), int)
    if isinstance(labels, (str, os.PathLike)):
        labels = _read_labels(Path(labels).expanduser())
    if isinstance(labels, Mapping):
        by_picture = _labels_by_file(labels, found, good)
        return np.array([by_picture.get(i, found[i].label) for i in good], int)
    labels = list(labels)
    if len(labels) not in (len(found), len(good)):
        raise ValueError(f"{len(labels)} labels for {len(found)} picture(s): give one for each, in "
                         "the order of the names, or a mapping from file name to class.")
    one_each = labels if len(labels) == len(good) else [labels[i] for i in good]
    return np.array([_class_of(label) for label in one_each], int)


def _class_of(label) -> int:
    """A class given as an index, a WordNet id or a name; −1 for none."""
    text = label.strip() if isinstance(label, str) else label
    if text is None or text == "" or text != text:  # NaN, as pandas writes an empty cell
        return -1
    if isinstance(text, str) and not re.fullmatch(r"-?\d+", text):
        wnid = text[:9] if re.match(r"n\d{8}(?!\d)", text) else text
        return imagenet.find_class(wnid)
    number = isinstance(text, (str, numbers.Real, np.generic)) and not isinstance(text, bool)
    if not number or int(text) != float(text) or not -1 <= int(text) < len(imagenet.CLASSES):
        raise ValueError(f"a label is a class index from 0 to {len(imagenet.CLASSES) - 1} (−1: "
                         f"unknown), a WordNet id or a class's name, not {label!r}.")
    return int(text)


def _labels_by_folder(found: Sequence[_Found]) -> list[int]:
    """Classes by the names of the pictures' folders; other names are a sentence."""
    folders = [one.source.absolute().parent.name if isinstance(one.source, Path) else ""
               for one in found]
    classes, unknown = {}, []
    for name in dict.fromkeys(folders):
        try:
            classes[name] = _class_of(name)
        except ValueError as problem:
            unknown.append(str(problem).rstrip("."))
        else:
            if classes[name] < 0:
                unknown.append("there are pictures without a folder")
    if unknown:
        raise ValueError(f'labels="folders" wants folders named as ImageNet classes: '
                         f"{_some(unknown, '; ')}. Rename them, or give labels= otherwise.")
    return [classes[name] for name in folders]


def _read_labels(path: Path) -> dict[str, str]:
    """The columns file and label of a CSV file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of labels {path}; labels is a sequence, a "
                                'mapping, the path of a CSV file, or "folders".')
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    head, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)
                   if row] or [[]]
    head = [name.lower() for name in head]
    if not {"file", "label"} <= set(head):
        raise ValueError(f"{path.name} needs a first line that names the columns file and label, "
                         f"not {', '.join(head) or 'an empty one'}.")
    found: dict[str, str] = {}
    for row in rows:
        cells = dict(zip(head, row, strict=False))
        file, label = cells.get("file", ""), cells.get("label", "")
        if found.setdefault(file, label) != label:
            raise ValueError(f"{path.name} gives {file} two labels, {found[file]} and {label}.")
    return found


def _labels_by_file(labels: Mapping, found: Sequence[_Found], good) -> dict[int, int]:
    """Picture number → class, for the files that a mapping names."""
    known: dict[str, list[int]] = {}
    for i, one in enumerate(found):
        path = one.source.as_posix() if isinstance(one.source, Path) else ""
        for name in {one.file, Path(one.file).name, one.name, path} - {""}:
            known.setdefault(name, []).append(i)
    by_picture, strange = {}, []
    for key, label in labels.items():
        name = os.fspath(key).replace("\\", "/").removeprefix("./")
        numbers_ = known.get(name, [])
        exact = [i for i in numbers_ if found[i].file == name]
        if len(numbers_) > 1 and len(exact) != 1:
            raise ValueError(f"{len(numbers_)} pictures are called {name}: give the path in the "
                             f"folder, as in {found[numbers_[0]].file!r}.")
        strange += [] if numbers_ else [name]
        for i in exact or numbers_:
            by_picture[i] = _class_of(label)
    if not by_picture:
        raise ValueError(f"labels names none of the pictures: it has {_some(strange, most=3)}; the "
                         f"files are {_some([one.file for one in found], most=3)}.")
    without = [found[i].file for i in good if i not in by_picture]
    if strange or without:
        warnings.warn(f"labels names {len(strange)} file(s) that are not among the pictures "
                      f"({_some(strange, most=3) or 'none'}) and leaves out {len(without)} "
                      f"picture(s) ({_some(without, most=3) or 'none'}).", stacklevel=4)
    return by_picture


#: Pixels a picture may have once decoded: on the way to RGB, below 1 GB of memory.
MOST_PIXELS = 36_000_000
THINNEST = 20  #: a side longer than this many shorter ones is cut before the picture is enlarged


def read_image(path: str | os.PathLike | bytes, *, size: int | None = None) -> np.ndarray:
    """Read any picture file as RGB.

    Whatever Pillow decodes: JPEG, PNG, WebP, AVIF, GIF (first frame), TIFF, ..., and HEIC where
    ``pillow-heif`` is installed; greyscale, palette, transparency (over white), CMYK and 16-bit
    pictures, turned as their EXIF tag says. Very large JPEGs are decoded at reduced size.

    Parameters
    ----------
    path : path, or bytes
        A file, or what one holds.
    size : int, optional
        Side of the square centre crop in pixels (see `load_images`); without it the whole
        picture is returned.

    Returns
    -------
    ndarray of float32, shape (rows, columns, 3)
        RGB, 0-255.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, cut short, no picture, or has more than `MOST_PIXELS` once decoded: a
        file of a few bytes may claim any size.
    """
    if isinstance(path, bytes):
        return _read(path, "this picture", size)
    _refuse_address(path)
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a picture: vz.load_images reads folders.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture file {path}; check the name and the folder.")
    if path.suffix.lower() in RAW:  # Pillow would find the thumbnail in it
        raise ValueError(f"{path.name} is of a kind that is not read: {REMEDIES[RAW[0]]}.")
    if path.stat().st_size > 8 * MOST_PIXELS:
        raise _too_large(path.name)
    try:
        # Read at once: of a file's own words about its parts' lengths, Pillow believes any.
        content = path.read_bytes()
    except OSError as problem:
        raise ValueError(f"{path.name} cannot be opened ({problem.strerror}): check who may read "
                         "it, or leave it out.") from None
    return _read(content, path.name, size)


def _read(content: bytes, name: str, size: int | None) -> np.ndarray:
    """What `read_image` returns, of a file's bytes; `name` is what errors call it."""
    try:
        picture = _to_rgb(_decoded(content, size))
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except MemoryError:
        raise
    except Exception as problem:  # on damage, decoders fail in any way
        unknown = isinstance(problem, UnidentifiedImageError)  # it would name an address
        missing = unknown and _missing_decoder(content)
        if missing:
            raise ValueError(f"{name} is {missing}, or save it as JPEG.") from None
        cause = "unknown format" if unknown else str(problem) or type(problem).__name__
        raise ValueError(f"{name} is damaged, cut short or no picture ({cause}): save it "
                         "again as JPEG or PNG, or leave it out.") from problem
    if size is not None:
        picture = _centre_crop(picture, size)
    return np.asarray(picture, "float32")


def _too_large(name: str) -> ValueError:
    return ValueError(f"{name} is too large to be decoded safely: make it smaller, at most "
                      f"{MOST_PIXELS / 1e6:.0f} million pixels.")


def _refuse_address(path) -> None:
    """A sentence for whoever gives an address of the web."""
    address = os.fspath(path)
    if re.match(r"(https?|ftp|data):", address, re.IGNORECASE):
        short = address if len(address) <= 60 else address[:57] + "..."
        raise ValueError(f"{short} is an address, and files are read here: download the picture "
                         "first (urllib.request.urlretrieve(address, 'picture.jpg')), then give "
                         "the file's name.")


def _missing_decoder(content: bytes) -> str:
    """What a sound file of a kind is that cannot be decoded here, and the remedy."""
    if content[4:8] != b"ftyp":
        return ""
    if content[8:12] in (b"avif", b"avis"):
        return "an AVIF picture, which this Pillow cannot read: install Pillow 11.3 or later"
    if content[8:12] in HEIC_BRANDS and pillow_heif is None:
        return ("a HEIC picture, as iPhones take them: install pillow-heif (pip install "
                "pillow-heif) and restart")
    return ""


#: First words of the files that pillow-heif reads.
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def _decoded(content: bytes, size: int | None) -> Image.Image:
    """A picture file, the right way up; a JPEG reduced if only `size` pixels are wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged here instead
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format in NO_PICTURES:  # Pillow would run another program, or fail
                raise UnidentifiedImageError
            width, height = picture.size
            if size is not None:
                wanted = 2 * round(size / CROP)  # twice too large, so that bicubic still decides
                picture.draft("RGB", (wanted, wanted))
            if "progressive" not in picture.info:  # such a JPEG is held whole, however reduced
                width, height = picture.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            return ImageOps.exif_transpose(picture)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB; transparency over white, 16 bits scaled to 8."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, "float32")
        scale = 257 if values.max(initial=0) > 255 else 1
        picture = Image.fromarray(np.clip(values / scale, 0, 255).round().astype("uint8"))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def _centre_crop(picture: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to size / CROP (bicubic), then cut the centre out."""
    longest = THINNEST * min(picture.size)
    left, top = (max(side - longest, 0) // 2 for side in picture.size)
    if left or top:  # a line of pixels, enlarged whole, would fill the memory
        picture = picture.crop((left, top, picture.width - left, picture.height - top))
    width, height = picture.size
    scale = round(size / CROP) / min(width, height)
    new = (max(size, round(width * scale)), max(size, round(height * scale)))
    picture = picture.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return picture.crop((left, top, left + size, top + size))


def classify(net: Network, images, *, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Name what the network sees.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : ImageSet, or float ndarray of shape (n, h, w, 3)
        RGB, 0-255.
    top : int
        How many guesses for each picture.

    Returns
    -------
    list of list of (wnid, label, probability)
        For each picture its `top` classes, the most probable first.

    Raises
    ------
    ValueError
        If the network has no classifier; the message names the remedy.
    """
    probabilities = tf.nn.softmax(logits(net, images)).numpy()
    return [[(*imagenet.CLASSES[i], float(row[i])) for i in np.argsort(-row)[:top]]
            for row in probabilities]


def logits(net: Network, images) -> np.ndarray:
    """Class logits, shape (n, 1000), of an `ImageSet` or of RGB pictures 0-255."""
    if not net.has_classifier:
        raise ValueError(
            f"{net.name} was loaded without a classifier ({net.weights_source}): load it with "
            "weights='packaged' (distilled read-out) or weights='imagenet' (original head)."
        )
    forward = _forward(net, net.model.layers[-1].name, pre_activation=False)
    return np.concatenate([forward(batch).numpy() for batch in picture_batches(images)])


# --- one check for all pictures -------------------------------------------------------------

ROUNDING = 1e-3  #: grey levels by which rounding may take a picture beyond 0-255


def check_pictures(images) -> np.ndarray:
    """Pictures as this project takes them, or an error that says how to get there.

    A network gives a confident answer to numbers that are no picture, and a ReLU swallows NaN:
    so every function that takes pictures asks here first. Each picture is judged by itself.

    Parameters
    ----------
    images : ImageSet, Patches, or array of shape (n, rows, columns, 3)
        RGB, 0-255, of any number type.

    Returns
    -------
    float32 ndarray, shape (n, rows, columns, 3)
        The same numbers.

    Raises
    ------
    ValueError
        No array of numbers; a wrong shape, or no picture; values that are not finite, beyond
        0-255, or scaled to 0-1 (known by a largest value of at most 1, with fractions: a black
        picture is one).
    """
    if isinstance(images, (ImageSet, Patches)):
        return images.images
    array = _numbers_of(images)
    if not array.size:
        raise ValueError(f"no picture given: the array is empty, of shape {array.shape}.")
    if array.ndim != 4 or array.shape[-1] != 3:
        raise ValueError(f"pictures have shape (n, rows, columns, 3), not {array.shape}; "
                         f"{_how_to_shape(array.shape)}.")
    low, high = array.min((1, 2, 3)), array.max((1, 2, 3))
    usual = (low >= -ROUNDING) & (high <= 255 + ROUNDING) & (high > 1 + ROUNDING)
    for i in np.flatnonzero(~usual):  # False for NaN as well
        problem = _what_is_wrong(array[i], low[i], high[i])
        if problem:
            raise ValueError(f"picture {i} {problem}")
    return array


def check_each(images: Iterable) -> list[np.ndarray]:
    """Pictures that may differ in size, each checked as by `check_pictures`."""
    if isinstance(images, (ImageSet, Patches)):
        return list(images.images)
    found = []
    for i, image in enumerate(images):
        try:
            found.append(check_pictures(_numbers_of(image)[None])[0])
        except ValueError as problem:
            raise ValueError(str(problem).replace("picture 0", f"picture {i}", 1)) from None
    if not found:
        raise ValueError("no picture given: the list is empty.")
    return found


def one_or_more(images) -> np.ndarray:
    """One picture (rows, columns, 3) or several, as a checked batch."""
    if isinstance(images, (ImageSet, Patches)):
        return check_pictures(images)
    array = _numbers_of(images)
    return check_pictures(array[None] if array.ndim == 3 else array)


def _numbers_of(images) -> np.ndarray:
    """A float32 array of whatever holds numbers."""
    try:
        array = np.asarray(images)
    except ValueError:
        raise ValueError("these pictures differ in size: vz.load_images(pictures, size=...) brings "
                         "them to one.") from None
    if isinstance(images, Image.Image) or array.dtype.kind not in "fiub":
        raise ValueError(f"pictures come as an array or an ImageSet, not as {type(images).__name__}"
                         ": vz.load_images(...) reads files, folders, PIL pictures, bytes and "
                         "uploads.")
    if array.dtype.kind == "b":
        raise ValueError("these are masks of True and False, no pictures: multiply by 255.")
    return array.astype("float32", copy=False)


def _how_to_shape(shape: tuple[int, ...]) -> str:
    """What makes pictures of an array of another shape."""
    if len(shape) == 3 and shape[-1] == 3:
        return "wrap a single one as image[None]"
    if len(shape) in (3, 4) and shape[-1] == 4:
        return "leave the transparency out: images[..., :3]"
    if len(shape) in (3, 4) and shape[-3] == 3:
        return "put the colours last: np.moveaxis(images, -3, -1)"
    if len(shape) in (3, 4) and shape[-1] == 1:
        return "make grey pictures RGB: np.repeat(images, 3, axis=-1)"
    if len(shape) in (2, 3):
        return "make grey pictures RGB: np.stack([images] * 3, axis=-1)"
    return "colours are red, green, blue, on the last axis"


def _what_is_wrong(picture: np.ndarray, low: float, high: float) -> str:
    """The rest of a sentence that begins with a picture's number; empty for a dark picture."""
    if not np.isfinite([low, high]).all():
        return "holds values that are not finite (NaN or infinity); pictures are RGB, 0-255."
    if low < -ROUNDING:
        return (f"holds values from {low:.4g} to {high:.4g}: undo the preprocessing; pictures are "
                "RGB, 0-255, and each network preprocesses them by itself.")
    if high > 255 + ROUNDING:
        return (f"holds values up to {high:.4g}: clip them, or divide 16-bit values by 257; "
                "pictures are RGB, 0-255.")
    if np.abs(picture - np.rint(picture)).max() > ROUNDING:
        return (f"is scaled to 0-1 (its largest value is {high:.4g}): multiply by 255; pictures "
                "are RGB, 0-255.")
    return ""


def picture_batches(images, size: int = 16) -> Iterator[np.ndarray]:
    """Checked pictures, `size` at a time: of an `ImageSet`, or of an array (any sides)."""
    if isinstance(images, ImageSet):
        for _, batch in as_image_set(images).batches(size):
            yield batch
    else:
        array = check_pictures(images)
        for first in range(0, len(array), size):
            yield array[first : first + size]


def as_image_set(images) -> ImageSet:
    """An `ImageSet` as it is; an array of square pictures, checked, as one without labels.

    Parameters
    ----------
    images : ImageSet, Patches, or array of shape (n, size, size, 3)
        RGB, 0-255. Files, PIL pictures, bytes, uploads: `load_images`.

    Raises
    ------
    ValueError
        As `check_pictures`; pictures that are not square.
    """
    if isinstance(images, ImageSet):
        if not len(images):
            raise ValueError("no picture given: the ImageSet is empty.")
        return images
    array = check_pictures(images)
    if array.shape[1] != array.shape[2]:
        raise ValueError(f"these pictures have {array.shape[1]} × {array.shape[2]} px, but square "
                         "ones are needed: vz.load_images(images, size=...) crops them.")
    return made(array)


# ============================================================================================
# 3. Units: where they look, and what feeds them
# ============================================================================================


@dataclass(frozen=True)
class ReceptiveField:
    """The square of the picture that one unit of a layer can see.

    Attributes
    ----------
    size : int
        Side of that square, in input pixels.
    stride : int
        Input pixels between the squares of two neighbouring units.
    start : int
        Row (and column) at which the square of unit (0, 0) starts; negative where it sees
        padding.
    positions : int
        Units along one side of the map, for a picture of `input_size`.
    input_size : int
        Side of the picture these numbers hold for, in pixels.
    """

    size: int
    stride: int
    start: int
    positions: int
    input_size: int

    def window(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of unit (row, column)'s square; may leave the picture."""
        top, left = (self.start + self.stride * i for i in (row, column))
        return top, left, top + self.size, left + self.size

    @property
    def unpadded(self) -> slice:
        """Positions (along one axis) whose square lies inside the picture: no padding seen."""
        tops = self.start + self.stride * np.arange(self.positions)
        inside = np.flatnonzero((tops >= 0) & (tops + self.size <= self.input_size))
        return slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0)


def receptive_field(net: Network, layer: str, *, input_size: int | None = None) -> ReceptiveField:
    """Receptive field of a layer's units, from the layer graph.

    Walks from the layer back to the picture; each convolution or pool of kernel k and stride s
    turns "I see w inputs, stride t" into "I see (w − 1)·s + k, stride t·s" [1]_. Branches are
    joined by the smallest square that holds them all.

    Parameters
    ----------
    net : Network
    layer : str
    input_size : int, optional
        Side of the picture in pixels (positions, and "same" padding of strided layers, depend
        on it); the network's own input size by default.

    Raises
    ------
    ValueError
        Unknown layer; a layer without positions (dense, globally pooled); an operation this
        function does not know.

    References
    ----------
    .. [1] A. Araujo, W. Norris, J. Sim, "Computing receptive fields of convolutional neural
       networks", Distill 2019, doi:10.23915/distill.00021.
    """
    input_size = input_size or net.input_size
    walk = _walk_back(_layer(net, layer).output, input_size, {})
    rows, columns = walk
    if rows.stride != columns.stride:
        raise ValueError(f"layer {layer!r} strides rows and columns differently: not supported.")
    start = min(rows.start, columns.start)
    end = max(rows.start + rows.size, columns.start + columns.size)
    return ReceptiveField(end - start, rows.stride, start, rows.positions, input_size)


def _walk_back(tensor, input_size: int, known: dict) -> tuple[ReceptiveField, ReceptiveField]:
    """Receptive fields along (rows, columns) of a Keras tensor's positions."""
    if id(tensor) in known:
        return known[id(tensor)]
    operation, node, _ = tensor._keras_history
    inputs = operation._inbound_nodes[node].input_tensors
    if not inputs:  # the picture itself
        found = (ReceptiveField(1, 1, 0, input_size, input_size),) * 2
    else:
        branches = [_walk_back(x, input_size, known) for x in inputs]
        joined = [_join([branch[axis] for branch in branches]) for axis in (0, 1)]
        found = tuple(_step(operation, joined[axis], axis) for axis in (0, 1))
    known[id(tensor)] = found
    return found


def _join(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """The smallest field that holds those of several branches (Add, Concatenate)."""
    start = min(f.start for f in fields)
    end = max(f.start + f.size for f in fields)
    first = fields[0]
    return ReceptiveField(end - start, first.stride, start, first.positions, first.input_size)


# Layers whose output at one position reads its input at that position only.
POINTWISE = (
    "InputLayer Activation ReLU LeakyReLU PReLU ELU Softmax BatchNormalization LayerNormalization "
    "GroupNormalization Dropout SpatialDropout2D GaussianNoise GaussianDropout Add Subtract "
    "Multiply Average Maximum Minimum Concatenate Rescaling Normalization Identity"
).split()


def _step(operation, below: ReceptiveField, axis: int) -> ReceptiveField:
    """The field of an operation's output positions, given that of its input positions."""
    kind = type(operation).__name__
    if kind in POINTWISE:
        return below
    if kind == "ZeroPadding2D" or kind == "Cropping2D":
        sign = 1 if kind == "ZeroPadding2D" else -1
        before, after = (sign * n for n in
                         (operation.padding if sign == 1 else operation.cropping)[axis])
        return ReceptiveField(below.size, below.stride, below.start - before * below.stride,
                              below.positions + before + after, below.input_size)
    window = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if window is None:
        raise ValueError(
            f"{operation.name} ({kind}) has no positions, or is an operation whose receptive "
            "field is not known here; choose a convolution or pooling layer before it."
        )
    dilation = getattr(operation, "dilation_rate", (1, 1))[axis]
    width, stride = (window[axis] - 1) * dilation + 1, operation.strides[axis]
    if operation.padding == "same":  # TensorFlow pads so that ceil(positions / stride) remain
        positions = -(-below.positions // stride)
        padded = max((positions - 1) * stride + width - below.positions, 0) // 2
    else:
        positions, padded = (below.positions - width) // stride + 1, 0
    return ReceptiveField(
        below.size + (width - 1) * below.stride, below.stride * stride,
        below.start - padded * below.stride, positions, below.input_size,
    )


@dataclass(frozen=True)
class InputLayer:
    """What a convolution reads.

    Attributes
    ----------
    feature : str or None
        The layer whose channels they are - the thing to visualise; None for the picture itself.
    tensor : str
        The layer whose *output* is read, e.g. the pool between - the thing to multiply weights
        with.
    """

    feature: str | None
    tensor: str


# Layers that keep every channel what it is, and only rescale or resample it.
CHANNEL_KEEPING = (
    "Activation ReLU LeakyReLU ELU BatchNormalization Dropout SpatialDropout2D ZeroPadding2D "
    "Cropping2D MaxPooling2D AveragePooling2D Identity Rescaling Normalization"
).split()


def input_layer(net: Network, layer: str) -> InputLayer:
    """Which layer's channels feed `layer`, and through which tensor.

    ``block3_conv1`` of VGG16 reads the output of ``block2_pool``, whose channels are those of
    ``block2_conv2``; a circuit that overlooks the pool shows the wrong pictures.
    """
    tensor = _conv_layer(net, layer).input
    read = tensor._keras_history.operation
    operation = read
    while type(operation).__name__ in CHANNEL_KEEPING:
        operation = operation.input._keras_history.operation
    feature = None if type(operation).__name__ == "InputLayer" else operation.name
    return InputLayer(feature, read.name)


def normalised(net: Network, layer: str) -> str:
    """The batch normalisation that directly follows a convolution; `layer` itself without one.

    In a network with batch normalisation the unit that a ReLU reads is the *normalised* output.
    Give the name that this returns to `maximize`, `top_patches` or `activations`, and the
    picture is that unit's, even where the normalisation turns the sign.

    Returns
    -------
    str
        `layer`, unless its output, before any activation, is read by one layer alone and that
        is a BatchNormalization over channels.
    """
    conv = _conv_layer(net, layer)
    readers = [x for x in net.graph.layers for node in x._inbound_nodes
               if any(t is conv.output for t in node.input_tensors)]
    linear = getattr(conv, "activation", None) in (None, keras.activations.linear)
    if not linear or len(readers) != 1:
        return layer
    norm = readers[0]
    if not isinstance(norm, keras.layers.BatchNormalization) or norm.axis not in (-1, 3):
        return layer
    return norm.name


def _normalisation(net: Network, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """What the batch normalisation after a convolution makes of it: × scale + shift, by filter."""
    count = _conv_layer(net, layer).output.shape[-1]
    norm = _layer(net, normalised(net, layer))
    if norm.name == layer:
        return np.ones(count, "float32"), np.zeros(count, "float32")
    scale = (norm.gamma.numpy() if norm.scale else 1.0) / np.sqrt(
        norm.moving_variance.numpy() + norm.epsilon)
    return scale, (norm.beta.numpy() if norm.center else 0.0) - norm.moving_mean.numpy() * scale


def submodel(
    net: Network, layer: str | Sequence[str], *, pre_activation: bool | Sequence[bool] = False
) -> keras.Model:
    """The network cut off at `layer`: nothing above it is computed.

    Parameters
    ----------
    net : Network
    layer : str or sequence of str
        One layer, or several (then the model has a list of outputs).
    pre_activation : bool, or one for each layer
        Leave out the activation function of `layer` itself (the layers below keep theirs).

    Returns
    -------
    keras.Model
        From preprocessed pictures to the layer's map. It shares the variables of ``net.model``,
        which is not touched.
    """
    if isinstance(layer, str):
        return keras.Model(net.graph.input, _output(net, layer, pre_activation))
    before = [pre_activation] * len(layer) if isinstance(pre_activation, bool) else pre_activation
    return keras.Model(net.graph.input, [
        _output(net, name, linear) for name, linear in zip(layer, before, strict=True)])


# Layers that are nothing but an activation: what they read is the pre-activation.
RECTIFIERS = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU,
              keras.layers.PReLU, keras.layers.ELU)


def _output(net: Network, name: str, pre_activation: bool):
    """A layer's symbolic output, before or after its own activation."""
    layer = _layer(net, name)
    if pre_activation and isinstance(layer, RECTIFIERS):
        return layer.input
    activation = getattr(layer, "activation", None)
    if not pre_activation or activation in (None, keras.activations.linear):
        return layer.output
    return net.kept(_linear_output, name)


def _linear_output(net: Network, name: str):
    layer = _layer(net, name)
    return twin(layer, name=f"{name}_linear", activation=keras.activations.linear)(layer.input)


def _layer(net: Network, name: str) -> keras.layers.Layer:
    """The layer of that name in the network's graph, or an error that lists the names there are."""
    names = [x.name for x in net.graph.layers]
    if name not in names:
        raise ValueError(f"layer {name!r} not found in {net.name}; convolution layers are "
                         f"{', '.join(net.conv_layers)}.")
    return net.graph.get_layer(name)


def _conv_layer(net: Network, name: str) -> keras.layers.Layer:
    layer = _layer(net, name)
    if name not in net.conv_layers:
        raise ValueError(f"{name!r} is a {type(layer).__name__}, not a convolution; choose one "
                         f"of {', '.join(net.conv_layers)}.")
    return layer


def _check_filters(net: Network, layer: str, filters) -> np.ndarray:
    """Filter numbers as an int array, each within the layer's range."""
    count = _layer(net, layer).output.shape[-1]
    filters = np.atleast_1d(np.asarray(filters))
    if filters.size == 0:
        raise ValueError("no filter given: name at least one.")
    if not np.issubdtype(filters.dtype, np.integer):
        raise ValueError(f"filters are whole numbers, not {filters.dtype}.")
    wrong = filters[(filters < 0) | (filters >= count)]
    if wrong.size:
        raise ValueError(f"{layer} has filters 0 to {count - 1}; {wrong[0]} is out of range.")
    return filters


# ============================================================================================
# 4. Activations: what real pictures do to a filter
# ============================================================================================


def _forward(net: Network, layer: str | Sequence[str], *, pre_activation: bool) -> Callable:
    """A traced function from RGB pictures to a layer's map, one trace for all shapes."""
    layer = layer if isinstance(layer, str) else tuple(layer)
    return net.kept(_traced_forward, layer, pre_activation)


def _traced_forward(net: Network, layer: str | tuple[str, ...], pre_activation: bool) -> Callable:
    cut = submodel(net, layer, pre_activation=pre_activation)
    return traced(lambda images: cut(net.preprocess(images), training=False), PICTURES)


#: What most traced functions take: RGB pictures, as many and as large as they come.
PICTURES = tf.TensorSpec((None, None, None, 3), tf.float32)


def traced(function: Callable, *signature) -> Callable:
    """A TensorFlow graph of `function`, drawn once for arguments of the given kinds.

    Without a signature one graph serves all shapes. AutoGraph, which reads the source file anew
    and so breaks when a module is edited under a running notebook, stays off: loops are
    `tf.while_loop`.
    """
    made = tf.function(function, input_signature=signature or None, autograph=False,
                       reduce_retracing=not signature)
    # TensorFlow counts traces by line of code and would take many layers for one that is traced
    # again and again.
    made._omit_frequent_tracing_warning = True
    return made


def activations(net: Network, layer, images, *, pre_activation: bool = False) -> np.ndarray:
    """A layer's feature maps for a few pictures.

    Parameters
    ----------
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB, 0-255.
    pre_activation : bool
        Before the layer's ReLU instead of after it.

    Returns
    -------
    float32 ndarray, shape (n, rows, columns, filters)
        All of it in memory: for many pictures use `image_maxima`, which keeps one number a
        picture and filter.
    """
    forward = _forward(net, layer, pre_activation=pre_activation)
    return np.concatenate([forward(batch).numpy() for batch in picture_batches(images)])


@dataclass(frozen=True, eq=False)
class Maxima:
    """Where and how strongly each filter answers each picture at most.

    Attributes
    ----------
    values : float32 ndarray, shape (n, filters)
        Maximum pre-activation over the positions that see no padding.
    rows, columns : int ndarray, shape (n, filters)
        Position of that maximum in the layer's map.
    """

    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def positions_inside(net: Network, layer: str, size: int) -> slice:
    """Positions (along one axis) that see no padding in pictures of `size` pixels.

    Raises
    ------
    ValueError
        There are none.
    """
    inside = receptive_field(net, layer, input_size=size).unpadded
    if inside.start == inside.stop:
        raise ValueError(f"every position of {layer} sees padding at {size} px: load larger "
                         "pictures (load_images(..., size=...)).")
    return inside


def image_maxima(net: Network, layer: str, image_set: ImageSet, *, filters=None) -> Maxima:
    """Each filter's maximum pre-activation in each picture, streamed batch by batch.

    Memory grows by three numbers a picture and filter (all of the layer, unless `filters` names
    some); maps are reduced in the batch that made them. `image_set` may be an array as well.
    """
    image_set = as_image_set(image_set)
    inside = positions_inside(net, layer, image_set.size)
    filters = None if filters is None else _check_filters(net, layer, filters)
    forward = _forward(net, layer, pre_activation=True)
    values, places = [], []
    total = -(-len(image_set) // 16)
    for _, batch in tqdm(image_set.batches(16), f"{layer}: pictures", total, delay=2, leave=False):
        maps = forward(batch)[:, inside, inside, :]
        if filters is not None:
            maps = tf.gather(maps, filters, axis=3)
        side = maps.shape[2]
        flat = tf.transpose(tf.reshape(maps, (len(batch), -1, maps.shape[-1])), (0, 2, 1))
        values.append(tf.reduce_max(flat, 2).numpy())
        places.append(tf.argmax(flat, 2).numpy())  # along memory: half the time of across it
    rows, columns = np.divmod(np.concatenate(places), side)
    return Maxima(np.concatenate(values), rows + inside.start, columns + inside.start)


@dataclass(frozen=True, eq=False)
class Patches:
    """The pieces of real pictures that excite a filter most.

    Attributes
    ----------
    images : float32 ndarray, shape (k, size, size, 3)
        RGB 0-255, exactly the receptive field of the maximum.
    table : DataFrame
        ``picture, name, label, value, row, column`` (position in the map), best first.
    """

    images: np.ndarray
    table: pd.DataFrame


def top_patches(
    net: Network, image_set: ImageSet, layer: str, filter: int, *, k: int = 9,
    maxima: Maxima | None = None,
) -> Patches:
    """The `k` pictures' patches that excite a filter most, at most one from each picture.

    Parameters
    ----------
    image_set : ImageSet
    layer, filter
        The unit; its pre-activation is compared over positions that see no padding.
    k : int
        How many (fewer if there are fewer pictures).
    maxima : Maxima, optional
        What `image_maxima` found before: asking for many filters of a layer then costs one pass.
    """
    filter = int(_check_filters(net, layer, filter)[0])
    image_set = as_image_set(image_set)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}.")
    place = filter
    if maxima is None:
        maxima, place = image_maxima(net, layer, image_set, filters=[filter]), 0
    elif maxima.values.shape != (wanted := (len(image_set), _layer(net, layer).output.shape[-1])):
        raise ValueError(f"maxima of {maxima.values.shape[0]} pictures and "
                         f"{maxima.values.shape[1]} filters do not belong to these {wanted[0]} and "
                         f"{layer}'s {wanted[1]}: give image_maxima(net, layer, image_set).")
    best = np.argsort(-maxima.values[:, place], kind="stable")[:k]
    table = pd.DataFrame({
        "picture": best, "name": [image_set.names[i] for i in best],
        "label": image_set.labels[best], "value": maxima.values[best, place],
        "row": maxima.rows[best, place], "column": maxima.columns[best, place],
    })
    field = receptive_field(net, layer, input_size=image_set.size)
    crops = []
    for image, row, column in zip(image_set.read(best), table["row"], table["column"], strict=True):
        top, left, bottom, right = field.window(row, column)
        crops.append(image[top:bottom, left:right])
    return Patches(np.stack(crops), table)


def patch_responses(net: Network, layer: str, patches, *, filters=None) -> np.ndarray:
    """What the unit that sees exactly a patch makes of it: no more, no less of the picture.

    Parameters
    ----------
    patches : Patches, or ndarray of shape (n, size, size, 3)
        RGB 0-255; `size` is the layer's receptive field.
    filters : sequence of int, optional
        All filters of the layer by default.

    Returns
    -------
    float32 ndarray, shape (n, filters)
        Pre-activations.

    Raises
    ------
    ValueError
        Patches of another size than the receptive field.
    """
    patches = check_pictures(patches)
    seen = receptive_field(net, layer)
    if patches.shape[1:] != (seen.size, seen.size, 3):
        raise ValueError(f"a unit of {layer} sees {seen.size} × {seen.size} RGB pixels; these "
                         f"patches have shape {patches.shape[1:]}.")
    forward = _unit_forward(net, layer)
    found = np.concatenate([forward(patches[first : first + 64]).numpy()
                            for first in range(0, len(patches), 64)])
    return found if filters is None else found[:, _check_filters(net, layer, filters)]


#: Layers that a chain may consist of when it is built again without padding.
UNPADDED = ("Conv2D MaxPooling2D AveragePooling2D Activation ReLU LeakyReLU BatchNormalization "
            "Dropout Rescaling").split()


def _unit_forward(net: Network, layer: str) -> Callable:
    """Patches of one receptive field → pre-activations of the unit that sees them, (n, filters).

    Where the network below is a chain, it is built again with "valid" padding: one receptive
    field then gives one unit, and no layer computes a position that this unit does not need
    (half of the work for a mid-level unit of VGG16). Elsewhere the patch is laid into the
    smallest picture on which a unit sees no padding, plain grey around it.
    """
    return net.kept(_traced_unit, layer)


def _traced_unit(net: Network, layer: str) -> Callable:
    chain = _chain_below(net, layer)
    if chain is None:
        whole = _forward(net, layer, pre_activation=True)

        def forward(patches):
            pictures, unit, _ = framed(net, layer, made(patches))
            return whole(pictures)[:, unit, unit]

        return forward
    picture = tensor = keras.Input((None, None, 3), dtype="float32")
    for operation in chain:
        changes = {"padding": "valid"} if hasattr(operation, "padding") else {}
        if operation.name == layer and hasattr(operation, "activation"):
            changes["activation"] = keras.activations.linear
        tensor = twin(operation, **changes)(tensor)
    model = keras.Model(picture, tensor)
    return traced(lambda images: model(net.preprocess(images), training=False)[:, 0, 0])


def framed(net: Network, layer: str, patches: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Patches of one receptive field, laid where one unit sees just them.

    Returns
    -------
    pictures : float32 ndarray, shape (n, side, side, 3)
        The smallest on which a unit sees no padding, plain grey around the patch.
    unit : int
        The unit's position, along both axes.
    top : int
        Row (and column) of the pictures at which the patch starts.
    """
    patches = check_pictures(patches)
    side = canvas(net, layer, strides=1)
    seen = receptive_field(net, layer, input_size=side)
    unit = int(seen.unpadded.start)
    top, left, bottom, right = seen.window(unit, unit)
    pictures = np.full((len(patches), side, side, 3), 127.5, "float32")
    pictures[:, top:bottom, left:right] = patches
    return pictures, unit, top


def _chain_below(net: Network, layer: str) -> list | None:
    """The operations from the picture to a layer, if each reads the one before and nothing else."""
    own = _layer(net, layer)
    chain, tensor = [], own.input if isinstance(own, RECTIFIERS) else own.output
    while True:
        operation, node, _ = tensor._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        if not inputs:
            return chain[::-1]
        if len(inputs) > 1 or type(operation).__name__ not in UNPADDED:
            return None
        chain.append(operation)
        tensor = inputs[0]


def class_responses(net: Network, layer: str, image_set: ImageSet | None = None):
    """Per-picture maxima of all filters of a layer, and the pictures' classes.

    Without `image_set`: VGG16's stored answers to 1,000 photographs, one for each ImageNet
    class (`data/README.md` tells how they were made; the photographs are not needed).

    Returns
    -------
    values : float32 ndarray, shape (pictures, filters)
        Maximum pre-activation over positions that see no padding.
    labels : int ndarray, shape (pictures,)
        Class indices (−1: unknown).
    """
    _check_filters(net, layer, 0)
    if image_set is not None:
        image_set = as_image_set(image_set)
        return image_maxima(net, layer, image_set).values, image_set.labels
    if net.responses is None:
        raise ValueError(
            f"stored class responses exist for VGG16 with ImageNet weights only, not for "
            f"{net.name} ({net.weights_source}): give an image_set with labels.")
    if not _has_stored_responses(net, layer):
        raise ValueError("the stored class responses belong to VGG16's convolutions with ImageNet "
                         f"weights; {layer} is none, or weights up to it were changed after "
                         "loading: give an image_set with labels, or load the network again.")
    with np.load(net.responses) as stored:
        values = stored[layer].astype("float32")
    return values, np.arange(len(values))


def _has_stored_responses(net: Network, layer: str) -> bool:
    """Whether there are stored responses and the weights up to `layer` are still those behind."""
    pinned = fetch.vgg16_digests()
    if net.responses is None or layer not in pinned:
        return False
    below = list(pinned)[: list(pinned).index(layer) + 1]
    return all(weights.tensor_digest(*_layer(net, name).get_weights()) == pinned[name]
               for name in below)


def class_table(
    net: Network, layer: str, filter: int, image_set: ImageSet | None = None
) -> pd.DataFrame:
    """How strongly a filter answers to each ImageNet class.

    Parameters
    ----------
    layer, filter
        The unit.
    image_set : ImageSet, optional
        Pictures with class labels; VGG16's stored answers to 1,000 photographs by default.

    Returns
    -------
    DataFrame
        ``index, wnid, label, group, mean, spread, pictures``, strongest class first: the mean
        and standard deviation (NaN for one picture) of the per-picture maxima (pre-activation).
        ``attrs["note"]`` says plainly when classes have too few pictures to conclude from.
    """
    filter = int(_check_filters(net, layer, filter)[0])
    values, labels = class_responses(net, layer, image_set)
    known = labels >= 0
    if not known.any():
        raise ValueError("no picture has a class label: give load_images(..., labels=...), or name "
                         "files or folders by WordNet id.")
    grouped = pd.Series(values[known, filter]).groupby(labels[known])
    table = pd.DataFrame({"mean": grouped.mean(), "spread": grouped.std(),
                          "pictures": grouped.size()})
    table.insert(0, "index", table.index)
    table.insert(1, "wnid", [imagenet.CLASSES[i][0] for i in table.index])
    table.insert(2, "label", [imagenet.CLASSES[i][1] for i in table.index])
    table.insert(3, "group", [imagenet.group_of(i) for i in table.index])
    table = table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
    fewest = int(table["pictures"].min())
    table.attrs["note"] = "" if fewest >= 5 else (
        f"as few as {fewest} picture(s) a class: single classes are anecdotes, read the groups")
    return table


def group_table(table: pd.DataFrame, *, permutations: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Read a class table by coarse group, with a permutation test.

    For each group: the mean response of its classes minus that of all others, in standard
    deviations over classes, and the share of `permutations` random re-assignments of groups
    whose difference is at least as large in size (two-sided p, never 0: the observed one counts).

    Returns
    -------
    DataFrame
        ``group, classes, difference, p, p_holm``, largest difference first; ``p_holm`` is
        corrected for the number of groups (Holm's step-down rule).
    """
    score = table["mean"].to_numpy()
    score = (score - score.mean()) / max(score.std(), 1e-12)
    names = np.array(sorted(table["group"].unique()))
    member = (table["group"].to_numpy()[:, None] == names).astype(float)  # (classes, groups)
    size = member.sum(0)

    def difference(scores):  # (..., classes) → (..., groups)
        inside = scores @ member
        total = scores.sum(-1, keepdims=True)
        return inside / size - (total - inside) / np.maximum(len(score) - size, 1)

    observed = difference(score)
    rng = np.random.default_rng(seed)
    shuffled = difference(rng.permuted(np.tile(score, (permutations, 1)), axis=1))
    p = (1 + (np.abs(shuffled) >= np.abs(observed) - 1e-12).sum(0)) / (1 + permutations)
    order = np.argsort(p, kind="stable")
    holm = np.empty_like(p)
    holm[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    frame = pd.DataFrame({"group": names, "classes": size.astype(int), "difference": observed,
                          "p": p, "p_holm": holm})
    return frame.sort_values("difference", ascending=False, ignore_index=True)


def survey_layer(
    net: Network, layer: str, *, pictures: Sequence[int] | None = None, top: int = 10
) -> pd.DataFrame:
    """All filters of a layer, by how promising they are to explain, from stored responses.

    Parameters
    ----------
    pictures : sequence of int, optional
        Which of the 1,000 photographs to use (a half, so that the other stays fresh).
    top : int
        How many kernels "concentration" counts.

    Returns
    -------
    DataFrame, index: filter; best mean rank first
        ``selectivity``: share of variance of the maxima over photographs that coarse class
        groups explain (η²); ``kurtosis``: excess kurtosis of the maxima (rarely but strongly
        on); ``concentration``: share of squared weight in the `top` kernels; ``mean_rank`` over
        the three, 1 the best.
    """
    values, labels = class_responses(net, layer)
    pictures = np.arange(len(values)) if pictures is None else np.asarray(pictures)
    group = np.array([imagenet.group_of(i) for i in labels[pictures]])
    spread = values[pictures] - values[pictures].mean(0)
    between = sum((group == g).sum() * spread[group == g].mean(0) ** 2 for g in np.unique(group))
    found = pd.DataFrame({
        "selectivity": between / (spread**2).sum(0),
        "kurtosis": (spread**4).mean(0) / (spread**2).mean(0) ** 2 - 3,
        "concentration": [rank_kernels(net, layer, f, top=top).attrs["l2_share"]
                          for f in range(values.shape[1])],
    })
    found["mean_rank"] = found.rank(ascending=False).mean(axis=1)
    return found.rename_axis("filter").sort_values("mean_rank", kind="stable")


def split_halves(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint random halves A, B of ``range(count)``, sorted.

    A hypothesis is formed on half A and tested on half B; else it is tested on the very
    evidence that suggested it.
    """
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: (count + 1) // 2]), np.sort(order[(count + 1) // 2:])


# ============================================================================================
# 5. Gradient ascent: the picture a filter answers to most
# ============================================================================================
#
# Five nouns, after Lucid: an *objective* says what to make large, a *parameterisation* how a
# picture is written in numbers, *transforms* what it must survive, an *optimiser* how a step is
# taken, and `render` climbs. `maximize` wraps it for the filters of a layer, `atlas` for all.


@dataclass(frozen=True)
class Reading:
    """What an objective reads: a layer's map, whole or one channel of it for each picture.

    Attributes
    ----------
    layer : str
        ``LOGITS`` stands for the network's last layer.
    pre_activation : bool
        Before the layer's activation function.
    chosen : int or None
        Which of the objective's values holds each picture's channel; None: the whole map.
    at : (row, column) or "centre", optional
        The one position of the map that is read; None: all. An objective made of single
        positions only is climbed on the part of the picture that they can see.
    """

    layer: str
    pre_activation: bool = True
    chosen: int | None = None
    at: tuple[int, int] | str | None = None


@dataclass(frozen=True, eq=False)
class Objective:
    """One number for each picture, to be made large. Objectives add, subtract and scale.

    Attributes
    ----------
    readings : tuple of Reading
    values : tuple of ndarray
        The numbers it needs (channels, factors); they enter the traced function as arguments,
        so that another filter costs no new trace. An array has one row for each picture.
    formula : callable
        ``formula(maps, values)`` → tensor of shape (n,); one map for each reading, of shape
        (n, rows, columns) for a channel, (n, rows, columns, channels) for a whole layer. The
        ascent climbs on all positions; what is measured uses those that see no padding.
        A function, or a frozen dataclass that can be called, of an imported module is traced
        once; one defined in a notebook is traced at each call, for what it reads may change.
    """

    readings: tuple[Reading, ...]
    values: tuple[np.ndarray, ...]
    formula: Callable

    def __add__(self, other: Objective) -> Objective:
        n_maps, n_values = len(self.readings), len(self.values)
        shifted = tuple(
            r if r.chosen is None else dataclasses.replace(r, chosen=r.chosen + n_values)
            for r in other.readings)
        return Objective(self.readings + shifted, self.values + other.values,
                         _Sum(self.formula, other.formula, n_maps, n_values))

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.readings, (*self.values, np.float32(factor)), _Scaled(self.formula))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self * -1.0

    def __sub__(self, other: Objective) -> Objective:
        return self + -other


@dataclass(frozen=True)
class _Sum:
    """Two formulas added; the first one has so many of the maps and values."""

    first: Callable
    second: Callable
    maps: int
    values: int

    def __call__(self, maps, values):
        return (self.first(maps[:self.maps], values[:self.values])
                + self.second(maps[self.maps:], values[self.values:]))


@dataclass(frozen=True)
class _Scaled:
    """A formula times the last of the values."""

    formula: Callable

    def __call__(self, maps, values):
        return values[-1] * self.formula(maps, values[:-1])


LOGITS = "(class logits)"


def _numbers(values) -> np.ndarray:
    return np.atleast_1d(values).astype("int32")


def channel(layer: str, filters, *, pre_activation: bool = True) -> Objective:
    """Mean of a filter's map; one filter for each picture.

    The pre-activation is the default because a ReLU that is off passes no gradient: from noise,
    18-25 % of VGG16's filters would never start.
    """
    return Objective((Reading(layer, pre_activation, 0),), (_numbers(filters),), _mean_of_map)


def _mean_of_map(maps, values):
    return tf.reduce_mean(maps[0], (1, 2))


def unit(
    layer: str, filters, *, position: tuple[int, int] | None = None, pre_activation: bool = True
) -> Objective:
    """A filter's value at one position of its map: the centre, or (row, column)."""
    at = "centre" if position is None else tuple(position)
    return Objective((Reading(layer, pre_activation, 0, at),), (_numbers(filters),), _only_place)


def _only_place(maps, values):
    return maps[0][:, 0, 0]


def layer(name: str, *, pre_activation: bool = False) -> Objective:
    """Mean square of a whole layer: whatever is there, more of it (DeepDream)."""
    return Objective((Reading(name, pre_activation),), (), _mean_square)


def _mean_square(maps, values):
    return tf.reduce_mean(maps[0] ** 2, (1, 2, 3))


def direction(
    layer: str, vectors, *, cosine_power: float = 0.0, pre_activation: bool = True
) -> Objective:
    """Mean over positions of activations along a direction of channel space.

    Parameters
    ----------
    vectors : ndarray, shape (n, channels)
        One for each picture, or one for all.
    cosine_power : float
        The product is multiplied by max(cosine, 0.1) ** cosine_power: above 0 it asks for the
        direction itself rather than for large activations that lean towards it.
    """
    return Objective((Reading(layer, pre_activation),),
                     (np.atleast_2d(vectors).astype("float32"),), _Along(cosine_power))


@dataclass(frozen=True)
class _Along:
    """The formula of `direction`."""

    cosine_power: float

    def __call__(self, maps, values):
        vector = values[0][:, None, None, :]
        product = tf.reduce_sum(maps[0] * vector, -1)
        if self.cosine_power:
            lengths = tf.norm(maps[0], axis=-1) * tf.norm(vector, axis=-1) + 1e-6
            product *= tf.maximum(product / lengths, 0.1) ** self.cosine_power
        return tf.reduce_mean(product, (1, 2))


def class_logit(classes) -> Objective:
    """The logit of an ImageNet class; one class for each picture."""
    wrong = [c for c in np.atleast_1d(classes) if not 0 <= c < len(imagenet.CLASSES)]
    if wrong:
        raise ValueError(f"ImageNet's classes are 0 to {len(imagenet.CLASSES) - 1}, "
                         f"not {wrong[0]}.")
    return Objective((Reading(LOGITS, False),), (_numbers(classes),), _own_logit)


def _own_logit(maps, values):
    return tf.gather(maps[0], values[0], batch_dims=1)


def diversity(layer: str, groups) -> Objective:
    """How unlike the other pictures of its group each picture is, from −1 (alike) to 0.

    Likeness is the cosine between Gram matrices (which channels are active together) [1]_.
    Scale it to the objective it is added to: activations of VGG16 run into the thousands.

    Parameters
    ----------
    layer : str
    groups : sequence of int
        Pictures with equal numbers repel each other; for a diversity set of one filter, zeros.

    References
    ----------
    .. [1] C. Olah et al., "Feature visualization", Distill 2017, section "Diversity".
    """
    return Objective((Reading(layer),), (_numbers(groups),), _unlike_others)


def _unlike_others(maps, values):
    features = tf.nn.relu(maps[0])
    grams = tf.einsum("nrca,nrcb->nab", features, features)
    grams = tf.math.l2_normalize(tf.reshape(grams, (tf.shape(grams)[0], -1)), axis=1)
    same = tf.cast(values[0][:, None] == values[0], tf.float32)
    same = tf.linalg.set_diag(same, tf.zeros_like(values[0], tf.float32))
    alike = tf.linalg.matmul(grams, grams, transpose_b=True) * same
    return -tf.reduce_sum(alike, 1) / tf.maximum(tf.reduce_sum(same, 1), 1)


def near_target(layer: str, filters) -> Objective:
    """Minus the mean square distance of a filter's map to an unreachable target.

    The target is the square of the map's largest value. Only of historical interest: see the
    preset ``"target_activation"``.
    """
    return Objective((Reading(layer, False, 0),), (_numbers(filters),), _near_square_of_largest)


def _near_square_of_largest(maps, values):
    target = tf.stop_gradient(tf.reduce_max(maps[0], (1, 2), keepdims=True)) ** 2
    return -tf.reduce_mean((maps[0] - target) ** 2, (1, 2))


# --- parameterisations: how a picture is written in numbers ---------------------------------

# How red, green and blue vary together in ImageNet (columns: brightness, red against blue,
# green against magenta), from Lucid [Apache-2.0], scaled to its largest column.
COLOUR = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], "float32")
COLOUR /= np.linalg.norm(COLOUR, axis=0).max()


@dataclass(frozen=True)
class Fourier:
    """Pictures written as spatial frequencies in decorrelated colours.

    A step of the same length on every coefficient then changes coarse and fine structure alike
    as natural pictures have them (amplitude ~ 1/frequency), instead of the high-frequency noise
    that pixels give [1]_. A sigmoid keeps pixels within 0-255 by itself.

    Parameters
    ----------
    decay : float
        Amplitudes fall as 1 / frequency ** decay.
    spread : float
        Standard deviation of the starting coefficients.

    References
    ----------
    .. [1] C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill 2017,
       doi:10.23915/distill.00007.
    """

    decay: float = 1.0
    spread: float = 0.01

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Random coefficients of one picture: real and imaginary parts, colours, frequencies."""
        return rng.normal(0, self.spread, (2, 3, size, size // 2 + 1)).astype("float32")

    def amplitude(self, size: int) -> np.ndarray:
        """What a coefficient of 1 is worth at each frequency, shape (size, size // 2 + 1)."""
        frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
        return (size / np.maximum(frequency, 1 / size) ** self.decay / 4).astype("float32")

    def picture(self, coefficients, size: int):
        """Coefficients of n pictures → RGB 0-255, shape (n, size, size, 3)."""
        spectrum = tf.complex(coefficients[:, 0], coefficients[:, 1])
        spectrum *= tf.constant(self.amplitude(size), tf.complex64)
        planes = tf.signal.irfft2d(spectrum, [size, size])  # (n, 3, size, size)
        colours = tf.einsum("nkhw,ck->nhwc", planes, tf.constant(COLOUR))
        return 255 * tf.sigmoid(colours)

    def write(self, image: np.ndarray) -> np.ndarray:
        """The coefficients of a given picture, RGB 0-255, shape (size, size, 3)."""
        image = check_pictures(np.asarray(image)[None])[0]
        share = np.clip(image / 255, 0.004, 0.996)  # pure black and white lie at infinity
        planes = np.einsum("hwc,kc->khw", np.log(share / (1 - share)), np.linalg.inv(COLOUR))
        spectrum = np.fft.rfft2(planes) / self.amplitude(image.shape[0])
        return np.stack([spectrum.real, spectrum.imag]).astype("float32")


@dataclass(frozen=True)
class Pixels:
    """Pictures written as pixel values, as the first recipes had them: for comparison.

    Parameters
    ----------
    spread : float
        Standard deviation of the starting noise around mid-grey, in grey levels.
    """

    spread: float = 10.0

    def start(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Noise around mid-grey, one picture."""
        return rng.normal(127.5, self.spread, (size, size, 3)).astype("float32")

    def picture(self, values, size: int):
        """The values are the picture; not bounded while the ascent runs."""
        return values

    def write(self, image: np.ndarray) -> np.ndarray:
        """A given picture, RGB 0-255, is its own values."""
        return check_pictures(np.asarray(image)[None])[0]


# --- optimisers: how a step is taken from a gradient ------------------------------------------


@dataclass(frozen=True)
class Adam:
    """Steps of nearly equal length on every number, smoothed over time [1]_.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    rate: float = 0.05

    def change(self, gradient, first, second, number, rate):
        """(step, first moment, second moment) after `number` steps."""
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        t = tf.cast(number + 1, tf.float32)
        rate = rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return rate * first / (tf.sqrt(second) + 1e-8), first, second


@dataclass(frozen=True)
class Normalised:
    """Steps of fixed length along the gradient: its length or its root mean square is `rate`.

    Parameters
    ----------
    rate : float
        In the parameterisation's units (grey levels for `Pixels`).
    by : {"norm", "rms"}
    """

    rate: float = 10.0
    by: str = "norm"

    def change(self, gradient, first, second, number, rate):
        """(step, unchanged memories)."""
        axes = list(range(1, len(gradient.shape)))
        reduce = tf.reduce_sum if self.by == "norm" else tf.reduce_mean
        length = tf.sqrt(reduce(gradient**2, axes, keepdims=True))
        return rate * tf.math.divide_no_nan(gradient, length), first, second


# --- transforms: random affine maps, drawn in NumPy, so that a seed means the same everywhere -


def jitter(pixels: float) -> Callable:
    """Shift by up to `pixels` in each direction."""
    def draw(rng, count):
        matrices = np.tile(np.eye(3), (count, 1, 1))
        matrices[:, :2, 2] = rng.uniform(-pixels, pixels, (count, 2))
        return matrices

    return draw


def scale(low: float, high: float) -> Callable:
    """Zoom by a factor between `low` and `high`."""
    def draw(rng, count):
        factor = rng.uniform(low, high, count)
        return np.stack([np.diag([1 / f, 1 / f, 1.0]) for f in factor])

    return draw


def rotate(degrees: float) -> Callable:
    """Turn by up to `degrees` either way."""
    def draw(rng, count):
        angle = np.deg2rad(rng.uniform(-degrees, degrees, count))
        matrices = np.tile(np.eye(3), (count, 1, 1))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
        matrices[:, 0, 1], matrices[:, 1, 0] = -np.sin(angle), np.sin(angle)
        return matrices

    return draw


#: What a picture must survive at each step: it keeps single-pixel tricks from winning.
TRANSFORMS = (jitter(4), scale(0.9, 1.1), rotate(10), jitter(2))


def draw_warps(transforms: Sequence[Callable], rng: np.random.Generator, count: int) -> np.ndarray:
    """Chain random transforms: `count` affine maps, shape (count, 2, 3), output → input pixel."""
    chained = np.tile(np.eye(3), (count, 1, 1))
    for draw in transforms:
        chained = chained @ draw(rng, count)
    return chained[:, :2].astype("float32")


def warp(images, warps, size: int):
    """Resample pictures through affine maps: bilinear, exact gradients, wrapped at the border.

    Wrapping suits Fourier pictures, which repeat without a seam: no grey frame enters, and every
    pixel is pulled at by every position sooner or later.

    Parameters
    ----------
    images : tensor, shape (n, size, size, 3)
    warps : tensor, shape (n, 2, 3)
        Rows and columns of the input pixel for (row, column, 1) of the output pixel, both
        counted from the centre.
    """
    ruler = np.arange(size) - (size - 1) / 2
    rows, columns = np.meshgrid(ruler, ruler, indexing="ij")
    grid = np.stack([rows.ravel(), columns.ravel(), np.ones(size * size)]).astype("float32")
    wanted = tf.linalg.matmul(warps, grid) + (size - 1) / 2  # (n, 2, size * size)
    corner = tf.floor(wanted)
    weight = wanted - corner
    low = tf.math.floormod(tf.cast(corner, tf.int32), size)
    high = tf.math.floormod(low + 1, size)
    count = tf.shape(images)[0]
    offset = tf.range(count)[:, None] * (size * size)
    pixels = tf.reshape(images, (-1, 3))

    def at(row, column):
        return tf.gather(pixels, offset + row * size + column)  # (n, size * size, 3)

    down, right = weight[:, 0, :, None], weight[:, 1, :, None]
    upper = (1 - right) * at(low[:, 0], low[:, 1]) + right * at(low[:, 0], high[:, 1])
    lower = (1 - right) * at(high[:, 0], low[:, 1]) + right * at(high[:, 0], high[:, 1])
    return tf.reshape((1 - down) * upper + down * lower, (count, size, size, 3))


# --- climbing -----------------------------------------------------------------------------------


class Interrupted(KeyboardInterrupt):
    """Work was stopped from the keyboard; what is finished is kept.

    It goes on its way as any interrupt does, so that nothing after it runs on half of the work.
    In a notebook ``import sys; sys.last_value.finished`` gives what there is; called with
    ``interruptible=True``, the function returns it instead, marked ``ended="interrupted"``.

    Attributes
    ----------
    finished : object
        What the function would have returned, as far as it came.
    """

    def __init__(self, done: str, finished):
        super().__init__(f"interrupted after {done}; import sys and take what is finished from "
                         "sys.last_value.finished.")
        self.finished = finished


@dataclass(frozen=True, eq=False)
class Rendering:
    """What `render` returns.

    Attributes
    ----------
    images : float32 ndarray, shape (n, size, size, 3)
        RGB 0-255.
    history : float32 ndarray, shape (steps + 1, n)
        The objective on the untransformed, clipped picture, over positions that see no padding
        (where there are any). It is measured after the steps in `measured`; the rows between
        repeat the last measurement. Shorter than asked for if the climb ended early.
    measured : tuple of int
        Those steps, 0 first.
    snapshots : dict of int to ndarray
        The pictures after the steps asked for.
    broken : bool ndarray, shape (n,)
        Pictures whose gradient stopped being finite; they are kept as they last were.
    ended : {"done", "settled", "interrupted"}
        Why the climb stopped.
    """

    images: np.ndarray
    history: np.ndarray
    measured: tuple[int, ...]
    snapshots: dict[int, np.ndarray]
    broken: np.ndarray
    ended: str


def render(
    net: Network, objective: Objective, *, size: int | None = None, steps: int = 128,
    parameterisation=Fourier(), optimiser=Adam(), transforms: Sequence[Callable] = TRANSFORMS,
    seed: int | Sequence = 0, start: np.ndarray | None = None,
    calm: float = 0.0, measure: Objective | None = None, snapshots: Sequence[int] = (),
    settle: float = 0.0, cancel: threading.Event | None = None,
    on_step: Callable[[int, np.ndarray], object] | None = None, progress: bool = True,
    interruptible: bool = False,
) -> Rendering:
    """Climb: change pictures until they make an objective large.

    Parameters
    ----------
    net : Network
    objective : Objective
        One filter (class, ...) for each of n pictures, or one for all.
    size : int, optional
        Side of the pictures in pixels: by default the receptive field of the highest layer
        read, plus eight strides (a mid-level unit needs 40-100 px, not 224).
    steps : int
    parameterisation : Fourier or Pixels
    optimiser : Adam or Normalised
    transforms : sequence of callables
        `jitter`, `scale`, `rotate`, ...; an empty one for none.
    seed : int, or one entry (int or tuple of int) for each picture
        Each picture has a random stream of its own: it does not depend on its neighbours in
        the batch. Several seeds and one filter: that many pictures of it.
    start : ndarray, shape (size, size, 3) or (n, size, size, 3), optional
        Pictures (RGB 0-255) to start from instead of noise.
    calm : float
        Share of the steps, at the end, in which transforms rest: the picture that is shown is
        then finished as it is seen.
    measure : Objective, optional
        What the history measures, if not the objective itself.
    snapshots : sequence of int
        Steps after which to keep the pictures as well.
    settle : float
        Stop early once no picture's measure has moved by this share of its whole way over the
        last eighth of `steps`; 0: never.
    cancel : threading.Event, optional
        When it is set (from another thread), the climb ends and returns what there is.
    on_step : callable, optional
        ``on_step(steps taken, pictures)`` is called after each measurement and snapshot, for
        whoever wants to watch. What it raises ends the climb and is passed on.
    progress : bool
        Show a bar when the work takes over a second.
    interruptible : bool
        On an interrupt from the keyboard return what there is, marked as such, instead of
        raising `Interrupted`.

    Returns
    -------
    Rendering

    Raises
    ------
    ValueError
        Unknown layer, no steps, a class logit of a network without a classifier, a starting
        picture of the wrong shape; numbers of filters, seeds and starting pictures that cannot
        be paired (each is n, or 1).
    Interrupted
        It was stopped from the keyboard.
    """
    _check_climb(steps, size, seed)
    size = size or max(canvas(net, reading.layer) for reading in objective.readings)
    measure = objective if measure is None else measure
    count = _count_pictures(objective, measure, seed, start)
    objective, measure = _for_each(objective, count), _for_each(measure, count)
    seeds = [(seed, i) for i in range(count)] if np.ndim(seed) == 0 else list(seed)
    streams = [np.random.default_rng(s) for s in seeds]
    numbers = np.stack([parameterisation.start(rng, size) for rng in streams])
    if start is not None:
        numbers = _start_from(start, parameterisation, count, size)
    warps = np.stack([draw_warps(transforms, rng, steps) for rng in streams], axis=1)
    warps[steps - round(calm * steps):] = np.eye(2, 3)

    advance = net.kept(  # the rate is an argument of the trace
        _ascent, _goal(objective), _goal(measure), size, parameterisation,
        dataclasses.replace(optimiser, rate=1.0), bool(transforms))

    def climb(state, chunk):
        picture, value, state = advance(state, chunk, np.float32(optimiser.rate),
                                        objective.values, measure.values)
        if (state.alive & ~state.sound).numpy().any():  # go back to the last sound picture
            return climb(_State(*(x.numpy() for x in state)).back(), warps[:0])
        return picture, value, state

    picture, value, state = climb(_State.first_of(numbers), warps[:0])
    measured, rows = [0], [value.numpy()]
    kept = {0: picture.numpy()} if 0 in snapshots else {}
    ended, interrupt = "done", None
    every = max(2, steps // 16)  # a measurement is a forward pass that does not climb
    with tqdm(total=steps, desc="gradient ascent", delay=1, leave=False,
              disable=not progress) as bar:
        try:
            for stop in sorted({*range(every, steps, every), steps,
                                *(s for s in snapshots if 0 < s < steps)}):
                if cancel is not None and cancel.is_set():
                    ended = "interrupted"
                    break
                picture, value, state = climb(state, warps[measured[-1] : stop])
                bar.update(stop - measured[-1])
                rows.append(value.numpy())
                measured.append(stop)
                if stop in snapshots:
                    kept[stop] = picture.numpy()
                if on_step is not None:
                    on_step(stop, picture.numpy())
                if settle and _has_settled(measured, rows, steps, settle):
                    ended = "settled"
                    break
        except KeyboardInterrupt as problem:
            ended, interrupt = "interrupted", problem
    latest = np.searchsorted(measured, np.arange(measured[-1] + 1), side="right") - 1
    found = Rendering(picture.numpy(), np.stack(rows)[latest], tuple(measured), kept,
                      ~state.alive.numpy(), ended)
    if interrupt is None or interruptible:
        return found
    raise Interrupted(f"{measured[-1]} of {steps} steps", found) from interrupt


def _count_pictures(objective: Objective, measure: Objective, seed, start) -> int:
    """How many pictures are meant; filters, seeds and starts are one for all or one for each."""
    one_each = np.ndim(start) == 4 and len(start)  # `_start_from` refuses an empty one
    counts = {"seed": np.shape(seed)[:1], "start": np.shape(start)[:1] if one_each else ()}
    for role, goal in (("objective", objective), ("measure", measure)):
        for i, values in enumerate(goal.values):
            counts[f"{role}'s values {i}"] = np.shape(values)[:1]
    found = {what: shape[0] for what, shape in counts.items() if shape}
    several = set(found.values()) - {1}
    if 0 in several or len(several) > 1:
        told = ", ".join(f"{count} for {what}" for what, count in found.items())
        raise ValueError(f"these cannot be paired: {told}. Each must be one for all pictures, or "
                         "one for each picture (filters, seeds and starts in the same order).")
    return several.pop() if several else 1


def _for_each(objective: Objective, count: int) -> Objective:
    """The objective with a row of its values for each picture."""
    values = tuple(np.repeat(v, count, axis=0) if np.ndim(v) and len(v) == 1 and count > 1 else v
                   for v in objective.values)
    return dataclasses.replace(objective, values=values)


def _check_climb(steps: int, size: int | None, seed) -> None:
    """Refuse numbers that no climb can have."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}.")
    if size is not None and size < 1:
        raise ValueError(f"size is the pictures' side in pixels, at least 1, not {size}.")
    if np.min(seed) < 0:
        raise ValueError(f"seeds are whole numbers from 0 on, not {np.min(seed)}.")


def _start_from(start, parameterisation, count: int, size: int) -> np.ndarray:
    """Starting pictures → the parameterisation's numbers, one set for each of `count`."""
    start = np.asarray(start, "float32")
    if start.shape not in ((size, size, 3), (count, size, size, 3)):
        raise ValueError(f"start has shape {start.shape}; needed is {(size, size, 3)}, or "
                         f"{(count, size, size, 3)} for one picture each (give size= as well).")
    written = [parameterisation.write(image) for image in start.reshape(-1, size, size, 3)]
    return np.stack(written * (count // len(written)))


def _has_settled(measured, rows, steps: int, settle: float) -> bool:
    """Whether no picture moved a `settle` share of its way over the last eighth of steps."""
    before = [i for i, step in enumerate(measured) if step <= measured[-1] - steps / 8]
    if len(before) < 2:  # not even twice an eighth: too early to judge
        return False
    lately, in_all = rows[-1] - rows[before[-1]], rows[-1] - rows[0]
    return bool((np.abs(lately) <= settle * np.abs(in_all)).all())


def canvas(net: Network, layer: str, *, strides: int = 8) -> int:
    """Side of the picture that suits a layer's units, in pixels.

    Parameters
    ----------
    strides : int
        Room beyond one receptive field: 8 lets a texture show, 1 is the least with which a unit
        sees no padding. Rounded up to the layer's stride.
    """
    if layer == LOGITS:
        return net.input_size
    seen = receptive_field(net, layer)
    return -(-(seen.size + strides * seen.stride) // seen.stride) * seen.stride


@dataclass(frozen=True)
class _Goal:
    """What of an objective decides its trace: all but the numbers themselves."""

    readings: tuple[Reading, ...]
    formula: Callable
    kinds: tuple[tuple[tuple[int | None, ...], str], ...]  # shape and type of its values

    @property
    def specs(self) -> tuple[tf.TensorSpec, ...]:
        return tuple(tf.TensorSpec(shape, kind) for shape, kind in self.kinds)


def _goal(objective: Objective) -> _Goal:
    kinds = tuple(((None, *np.shape(v)[1:]) if np.ndim(v) else (), np.asarray(v).dtype.name)
                  for v in objective.values)
    return _Goal(objective.readings, objective.formula, kinds)


class _State(NamedTuple):
    """Where a climb stands: one row of each for each picture, the step number aside."""

    numbers: np.ndarray  # the pictures, as the parameterisation writes them
    last: np.ndarray  # the numbers before the last step: their gradient was finite
    first: np.ndarray  # the optimiser's two memories
    second: np.ndarray
    number: np.ndarray  # steps taken
    alive: np.ndarray  # once its gradient is not finite, a picture stays as it was
    sound: np.ndarray  # whether the picture and what was measured on it are finite

    @classmethod
    def first_of(cls, numbers: np.ndarray) -> _State:
        yes, zero = np.ones(len(numbers), bool), np.zeros_like(numbers)
        return cls(numbers, numbers, zero, zero, np.int32(0), yes, yes)

    def back(self) -> _State:
        """Pictures that are not sound as they were before the last step, for good."""
        rows = self.sound.reshape(-1, *[1] * (self.numbers.ndim - 1))
        return self._replace(numbers=np.where(rows, self.numbers, self.last),
                             alive=self.alive & self.sound)


def _ascent(
    net: Network, goal: _Goal, measure: _Goal, size: int, parameterisation, optimiser, warped: bool
) -> Callable:
    """The traced function that takes some steps and then measures the clean picture."""
    read = _reader(net, goal.readings, size)
    read_clean = _reader(net, measure.readings, size, unpadded=True)
    shape = parameterisation.start(np.random.default_rng(0), size).shape
    numbers, flags = tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.bool)
    state = _State(*[numbers] * 4, tf.TensorSpec((), tf.int32), flags, flags)

    def gradient_of(numbers, warps, values):
        with tf.GradientTape() as tape:
            tape.watch(numbers)
            images = parameterisation.picture(numbers, size)
            if warped:
                images = warp(images, warps, size)
            # all positions pull, else the picture's border would stay grey
            total = tf.reduce_sum(goal.formula(read(images, values), values))
        return tape.gradient(total, numbers)

    def step(state, warps, rate, values):
        gradient = gradient_of(state.numbers, warps, values)
        alive = tf.logical_and(state.alive, all_finite(gradient))
        change, first, second = optimiser.change(gradient, state.first, state.second,
                                                 state.number, rate)
        moves = tf.reshape(alive, (-1, *[1] * len(shape)))
        return _State(tf.where(moves, state.numbers + change, state.last),
                      tf.where(moves, state.numbers, state.last),
                      tf.where(moves, first, state.first), tf.where(moves, second, state.second),
                      state.number + 1, alive, state.sound)

    def advance(state, warps, rate, values, measured_values):
        _, state = tf.while_loop(
            lambda i, state: i < tf.shape(warps)[0],
            lambda i, state: (i + 1, step(state, warps[i], rate, values)), (0, state))
        picture = parameterisation.picture(state.numbers, size)
        clean = tf.clip_by_value(picture, 0, 255)
        measured = measure.formula(read_clean(clean, measured_values), measured_values)
        sound = tf.logical_and(all_finite(picture), tf.math.is_finite(measured))
        return clean, measured, state._replace(sound=sound)

    return traced(advance, state, tf.TensorSpec((None, None, 2, 3), tf.float32),
                  tf.TensorSpec((), tf.float32), goal.specs, measure.specs)


def all_finite(rows):
    """For each row of a tensor, whether all of its numbers are finite."""
    return tf.reduce_all(tf.math.is_finite(rows), list(range(1, len(rows.shape))))


def _reader(
    net: Network, readings: Sequence[Reading], size: int, *, unpadded: bool = False
) -> Callable:
    """A function from pictures to the maps that an objective reads.

    Where one channel of a convolution is read for each picture, only the channels of this batch
    are computed, not the layer's hundreds: the kernel is cut, which changes no number. With
    `unpadded`, maps keep only the positions that see no padding, where there are any.
    """
    if any(r.layer == LOGITS for r in readings) and not net.has_classifier:
        raise ValueError(f"{net.name} has no classifier, so no class logit can be raised.")
    names = [net.model.layers[-1].name if r.layer == LOGITS else r.layer for r in readings]
    layers = [_layer(net, name) for name in names]
    cut = [r.chosen is not None and type(x) is keras.layers.Conv2D and x.groups == 1
           for r, x in zip(readings, layers, strict=True)]
    body = keras.Model(net.graph.input, [
        x.input if short else _output(net, name, r.pre_activation)
        for name, r, x, short in zip(names, readings, layers, cut, strict=True)])
    rows, columns = _seen_by(net, names, readings, size)
    crops = [_kept(net, name, r, size, unpadded, (rows.start, columns.start))
             for name, r in zip(names, readings, strict=True)]

    def read(images, values):
        seen = images[:, rows, columns]
        outputs = tf.nest.flatten(body(net.preprocess(seen), training=False))
        maps = []
        for r, x, short, crop, found in zip(readings, layers, cut, crops, outputs, strict=True):
            if short:
                kernel = tf.gather(x.kernel.value, values[r.chosen], axis=3)
                found = x.convolution_op(found, kernel)  # (n, rows, columns, n)
                found = tf.transpose(tf.linalg.diag_part(tf.transpose(found, (1, 2, 0, 3))),
                                     (2, 0, 1))
                if x.use_bias:
                    found += tf.gather(x.bias.value, values[r.chosen])[:, None, None]
                found = found if r.pre_activation else x.activation(found)
            elif r.chosen is not None:
                found = tf.gather(found, values[r.chosen], axis=3, batch_dims=1)
            maps.append(found if crop is None else found[:, crop[0], crop[1]])
        return maps

    return read


def _seen_by(net: Network, names, readings, size: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that matter to an objective.

    All of them, unless it reads single positions only: then the square that these can see. It
    starts and ends at multiples of the stride, so that pools fall as they do on the whole picture.
    """
    windows, steps = [], [1]
    for name, reading in zip(names, readings, strict=True):
        if reading.at is None:
            return slice(0, size), slice(0, size)
        seen = receptive_field(net, name, input_size=size)
        windows.append(seen.window(*_position(reading, seen)))
        steps.append(seen.stride)
    step = max(steps)
    if size % step or net.model.input_shape[1] is not None:  # only the whole picture will do
        return slice(0, size), slice(0, size)
    low = np.maximum(np.min(windows, 0)[:2] // step * step, 0)
    high = np.minimum(-(-np.max(windows, 0)[2:] // step) * step, size)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _position(reading: Reading, seen: ReceptiveField) -> tuple[int, int]:
    """The row and column that a reading of one position names."""
    row, column = (seen.positions // 2,) * 2 if reading.at == "centre" else reading.at
    if not (0 <= row < seen.positions and 0 <= column < seen.positions):
        raise ValueError(f"position {reading.at} lies outside {reading.layer}'s map, which is "
                         f"{seen.positions} × {seen.positions} for {seen.input_size} px.")
    return row, column


def _kept(net: Network, name: str, reading: Reading, size: int, unpadded: bool, corner):
    """Rows and columns of a map that are read (None: all), the picture being cut at `corner`."""
    if reading.at is None:
        inside = _unpadded(net, name, size) if unpadded else None
        return None if inside is None else (inside, inside)
    seen = receptive_field(net, name, input_size=size)
    return tuple(slice(i, i + 1) for i in (
        place - start // seen.stride
        for place, start in zip(_position(reading, seen), corner, strict=True)))


def _unpadded(net: Network, layer: str, size: int) -> slice | None:
    """Positions of a map that see no padding; None (all) where there are none or no positions."""
    if len(_layer(net, layer).output.shape) != 4:
        return None
    seen = receptive_field(net, layer, input_size=size)
    inside = seen.unpadded
    if inside.start == inside.stop:
        warnings.warn(
            f"a unit of {layer} sees {seen.size} px, more than the canvas of {size} px: every "
            f"position sees padding, and all are used. size={canvas(net, layer)} avoids that.",
            stacklevel=3)
        return None
    return inside


# --- the filters of a layer -------------------------------------------------------------------

#: Recipes that readers may know from elsewhere, each with what `maximize` then uses.
#: ``normalised_gradient``: keras.io's example and many labs; ``lecture_rms``: the course's lecture
#: notebook; ``target_activation``: distance to an unreachable target. All climb in pixels, without
#: transforms, on the activation *after* the ReLU - and leave a filter that starts dead blank.
PRESETS = {
    "normalised_gradient": {
        "objective": functools.partial(channel, pre_activation=False),
        "parameterisation": Pixels(), "optimiser": Normalised(10.0), "transforms": ()},
    "lecture_rms": {
        "objective": functools.partial(channel, pre_activation=False),
        "parameterisation": Pixels(0.0), "optimiser": Normalised(1.0, "rms"), "transforms": ()},
    "target_activation": {
        "objective": near_target,
        "parameterisation": Pixels(), "optimiser": Normalised(10.0), "transforms": ()},
}


@dataclass(frozen=True, eq=False)
class Ascent:
    """Pictures of filters, and an honest report on them.

    Attributes
    ----------
    images : float32 ndarray, shape (n, size, size, 3)
        RGB 0-255; n = filters × seeds, seeds of one filter side by side.
    history : float32 ndarray, shape (steps + 1, n)
        Mean pre-activation (with ``objective="unit"``: the centre's) of the untransformed,
        clipped picture, whatever was climbed on; see `Rendering`.
    measured : tuple of int
        The steps after which it was measured.
    report : DataFrame, one row for each picture
        ``filter, seed``; ``start, end_mean``: mean pre-activation of the first and of the final
        picture; ``end_max``: largest pre-activation in it; ``best``: largest mean pre-activation
        of those measured on the way; ``percentile`` of end_max among the maxima of real
        pictures; ``agreement``: mean cosine between this filter's pictures from other seeds,
        as mean activation vectors of the layer below; ``flat``: nothing happened (contrast
        under 2 grey levels, or no rise); ``steps`` taken.
    snapshots : dict of int to ndarray
        The pictures after the steps asked for.
    ended : {"done", "settled", "interrupted"}
        Why the last batch's climb stopped; "interrupted": pictures are missing or unfinished.
    """

    images: np.ndarray
    history: np.ndarray
    measured: tuple[int, ...]
    report: pd.DataFrame
    snapshots: dict[int, np.ndarray] = field(default_factory=dict)
    ended: str = "done"

    def of(self, filter: int, *, seed: int | None = None) -> np.ndarray:
        """The picture of one filter (of its first seed, unless another is named)."""
        rows = self.report["filter"] == filter
        if seed is not None:
            rows &= self.report["seed"] == seed
        if not rows.any():
            raise ValueError(f"no picture of filter {filter} here (seed {seed}).")
        return self.images[np.flatnonzero(rows)[0]]


def maximize(
    net: Network, layer: str, filters, *, objective: str | Callable = "channel",
    steps: int = 128, size: int | None = None, seed: int = 0, seeds: int = 1,
    preset: str | None = None, reference=None, batch: int = 16, sign: int = 1,
    start: np.ndarray | None = None, progress: bool = True, interruptible: bool = False,
    **options,
) -> Ascent:
    """Draw the pictures that filters of a layer answer to most: one batch for many filters.

    Parameters
    ----------
    net : Network
    layer : str
    filters : int or sequence of int
    objective : {"channel", "unit"} or callable
        Mean of the filter's pre-activation over its map, or its value at the centre; or
        ``objective(layer, filters)`` → `Objective`, one value a picture.
    steps, size
        As in `render`.
    seed : int
        First random seed ...
    seeds : int
        ... and how many, each a picture of its own.
    preset : str, optional
        A historical recipe of `PRESETS`; a callable `objective` and `options` override it.
    reference : ndarray of shape (pictures, all filters of the layer), optional
        Maxima of real pictures (`image_maxima(...).values`) for the percentile; VGG16's stored
        ones by default, NaN without either.
    batch : int
        Pictures optimised together; memory grows with it, not with the number of filters. It is
        halved if memory runs out.
    sign : {1, -1}
        −1 draws what a filter is *least* excited by.
    start : ndarray, shape (size, size, 3) or (n, size, size, 3), optional
        Pictures to start from, one for all or one for each (filter, seed).
    interruptible : bool
        On an interrupt from the keyboard return what there is instead of raising `Interrupted`.
    **options
        Passed on to `render`: `parameterisation`, `optimiser`, `transforms`, `calm`,
        `snapshots`, `settle`, `cancel`, `on_step`.

    Returns
    -------
    Ascent
        Of fewer pictures than asked for where `ended` is "interrupted": by `cancel`, or from the
        keyboard with `interruptible`.

    Raises
    ------
    ValueError
        Unknown layer, preset or objective, a layer without positions, filter out of range, no
        filter, steps or seeds below 1; a `reference` of another layer, starting pictures that
        cannot be paired.
    Interrupted
        It was stopped from the keyboard; ``finished`` is the `Ascent` so far.

    Notes
    -----
    The same seed gives the same pixels on the same machine in batches of the same size. Another
    batch size, processor or TensorFlow release rounds differently, and an ascent lets small
    differences grow: expect activations within 5 %, the tolerance with which the report is
    checked (it held between TensorFlow 2.20 and 2.21).
    """
    filters = _check_filters(net, layer, filters)
    if seeds < 1 or steps < 1 or batch < 1:
        raise ValueError("steps, seeds and batch must each be at least 1.")
    _check_climb(steps, size, seed)
    if preset is not None:
        if preset not in PRESETS:
            raise ValueError(f"preset {preset!r} not found; known are {', '.join(PRESETS)}.")
        recipe = dict(PRESETS[preset])
        its_own, options = recipe.pop("objective"), {**recipe, **options}
        objective = objective if callable(objective) else its_own
    kinds = {"channel": channel, "unit": unit}
    if not callable(objective) and objective not in kinds:
        raise ValueError(f"objective is one of {', '.join(kinds)}, not {objective!r}; "
                         "compose others with render().")
    climbed = kinds.get(objective, objective)
    measured = unit if objective == "unit" else channel
    size = size or canvas(net, layer)
    receptive_field(net, layer)  # refuses a layer without positions
    jobs = [(f, s) for f in filters.tolist() for s in range(seed, seed + seeds)]
    if np.ndim(start) == 4 and len(start) not in (1, len(jobs)):
        raise ValueError(f"{len(start)} starting pictures for {len(jobs)} to be drawn: give one "
                         "for all, or one for each filter and seed (seeds side by side).")
    reference = _reference(net, layer, reference)

    done: list[Rendering] = []
    interrupt = None
    with tqdm(total=len(jobs), desc=f"{layer}: pictures", delay=2, leave=False,
              disable=not progress or len(jobs) <= batch) as bar:
        while (first := sum(len(r.images) for r in done)) < len(jobs):
            some = jobs[first : first + batch]
            own = [f for f, _ in some]
            goal = climbed(layer, own)
            one_each = np.ndim(start) == 4 and len(start) > 1
            begun = start[first : first + batch] if one_each else start
            try:
                done.append(render(net, sign * goal if sign != 1 else goal, size=size, steps=steps,
                                   measure=measured(layer, own), seed=[(s, f) for f, s in some],
                                   start=begun, progress=progress and len(jobs) <= batch,
                                   **options))
            except tf.errors.ResourceExhaustedError:
                if batch == 1:
                    raise
                batch //= 2
                print(f"Memory ran out: going on with {batch} pictures at a time.")
                continue
            except KeyboardInterrupt as problem:
                if isinstance(problem, Interrupted):
                    done.append(problem.finished)
                if not done:
                    raise
                interrupt = problem
                break  # what is finished is kept
            bar.update(len(some))
            if done[-1].ended == "interrupted":
                break
    wanted, jobs = len(jobs), jobs[: sum(len(r.images) for r in done)]
    _warn_of_broken(layer, jobs, done)
    images, history = _joined(done)
    report = _report(net, layer, jobs, images, history, reference, sign)
    report["steps"] = np.repeat([r.measured[-1] for r in done], [len(r.images) for r in done])
    longest = max(done, key=lambda r: r.measured[-1])
    snapshots = {step: np.concatenate([r.snapshots[step] for r in done])
                 for step in longest.snapshots if all(step in r.snapshots for r in done)}
    found = Ascent(images, history, longest.measured, report, snapshots,
                   "interrupted" if interrupt else done[-1].ended)
    if interrupt is None or interruptible:
        return found
    came = f"{done[-1].measured[-1]} of {steps} steps of picture {len(jobs)} of {wanted}"
    raise Interrupted(came, found) from interrupt


def _reference(net: Network, layer: str, reference) -> np.ndarray | None:
    """Maxima of real pictures, one column a filter of the layer; stored ones if none are given."""
    if reference is None:
        return class_responses(net, layer)[0] if _has_stored_responses(net, layer) else None
    reference, count = np.asarray(reference), _layer(net, layer).output.shape[-1]
    if reference.ndim != 2 or reference.shape[1] != count:
        raise ValueError(f"reference has shape {reference.shape}; {layer} has {count} filters: "
                         "give image_maxima(net, layer, pictures).values, all filters of it.")
    return reference


def _joined(done: Sequence[Rendering]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and histories of several batches; a history that ended early keeps its last row."""
    length = max(len(r.history) for r in done)
    histories = [np.pad(r.history, ((0, length - len(r.history)), (0, 0)), mode="edge")
                 for r in done]
    return np.concatenate([r.images for r in done]), np.concatenate(histories, axis=1)


def _warn_of_broken(layer: str, jobs, done: Sequence[Rendering]) -> None:
    """Name the pictures whose gradient stopped being finite."""
    broken = np.concatenate([r.broken for r in done])
    if broken.any():
        which = ", ".join(f"{f} (seed {s})"
                          for (f, s), bad in zip(jobs, broken, strict=True) if bad)
        warnings.warn(f"{layer}: the gradient stopped being finite for filter {which}; the last "
                      "sound picture is kept. A smaller rate may help.", stacklevel=3)


def _report(net, layer, jobs, images, history, reference, sign) -> pd.DataFrame:
    """The honesty report of `maximize`; see `Ascent`."""
    filters = np.array([f for f, _ in jobs])
    maps = activations(net, layer, images, pre_activation=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # render has said it
        crop = _unpadded(net, layer, images.shape[1]) or slice(None)
    own = np.stack([m[crop, crop, f] for m, f in zip(maps, filters, strict=True)])
    contrast = images.std(axis=(1, 2, 3))
    rise = sign * (history[-1] - history[0])
    end_max = own.max((1, 2))
    percentile = np.full(len(jobs), np.nan)
    if reference is not None:
        percentile = 100 * (reference[:, filters] < end_max).mean(0)
    return pd.DataFrame({
        "filter": filters, "seed": [s for _, s in jobs],
        "start": history[0], "end_mean": history[-1], "end_max": end_max,
        "best": (sign * history).max(0) * sign, "percentile": percentile,
        "agreement": _agreement(net, layer, images, filters),
        "flat": (contrast < 2) | (rise <= 1e-6 * np.abs(history[0])),
    })


def picture_vectors(net: Network, layer: str, images) -> np.ndarray:
    """Pictures as the layer below `layer` sees them: mean activations, scaled to length 1.

    Returns
    -------
    float32 ndarray, shape (n, input channels)
        The product of two rows is the cosine that `Ascent.report` calls agreement.
    """
    below = activations(net, input_layer(net, layer).tensor, images).mean((1, 2))
    return below / np.maximum(np.linalg.norm(below, axis=1, keepdims=True), 1e-12)


def _agreement(net: Network, layer: str, images: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Mean cosine between pictures of the same filter, seen by the layer below."""
    same = (filters[:, None] == filters) & ~np.eye(len(filters), dtype=bool)
    others = same.sum(1)
    if not others.any():
        return np.full(len(filters), np.nan)
    below = picture_vectors(net, layer, made(images))
    total = np.where(same, below @ below.T, 0).sum(1)
    return np.divide(total, others, out=np.full(len(filters), np.nan), where=others > 0)


# --- a whole layer ---------------------------------------------------------------------------

ATLAS_VERSION = 1  #: raise it when the same call would draw other pictures


@dataclass(frozen=True, eq=False)
class Atlas:
    """One picture for each filter of a layer.

    Attributes
    ----------
    images : uint8 ndarray, shape (n, size, size, 3)
        RGB.
    report : DataFrame
        As in `Ascent`, one row for each picture.
    sheet : Path
        The contact sheet, a PNG with the filter's number above each picture.
    index : Path
        JSON beside it: what made it, and for each filter its box on the sheet (left, top,
        right, bottom, in pixels) and its numbers.
    """

    images: np.ndarray
    report: pd.DataFrame
    sheet: Path
    index: Path


def atlas(
    net: Network, layer: str, *, filters=None, size: int | None = None, steps: int = 80,
    seed: int = 0, optimiser=Adam(0.4), calm: float = 0.5, batch: int = 16,
    folder: str | os.PathLike | None = None, progress: bool = True,
    on_step: Callable[[int, np.ndarray], object] | None = None,
) -> Atlas:
    """Draw every filter of a layer, once: the work is kept and found again.

    Finished batches are kept in a folder named by everything that decides the pictures (weights
    digest, parameters, version), so that an interrupted call goes on where it stopped and a
    repeated one only reads. Fast settings: a few large steps on a small canvas; `maximize` draws
    single filters with more care.

    Parameters
    ----------
    filters : sequence of int, optional
        All of the layer by default.
    size : int, optional
        Side of the pictures in pixels: by default the receptive field plus two strides, at
        least 48.
    steps, seed, optimiser, calm, batch
        As in `maximize`.
    folder : path, optional
        Where to keep it; ``build/atlas`` by default.
    on_step : callable, optional
        As in `render`, for each batch that has to be drawn; finished batches are kept if it
        raises.

    Returns
    -------
    Atlas

    Raises
    ------
    Interrupted
        It was stopped from the keyboard; ``finished`` is the atlas of the filters so far. The
        same call goes on from there.
    """
    filters = _check_filters(
        net, layer, range(_layer(net, layer).output.shape[-1]) if filters is None else filters)
    size = size or max(48, canvas(net, layer, strides=2))
    made_by = {"version": ATLAS_VERSION, "network": net.name, "layer": layer, "size": size,
               "weights": weights.tensor_digest(*submodel(net, layer).get_weights()),
               "steps": steps, "seed": seed, "optimiser": repr(optimiser), "calm": calm,
               "batch": batch}
    key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    home = Path(folder or Path(__file__).resolve().parent / "build" / "atlas")
    home = home / f"{net.name}_{layer}_{key}"
    home.mkdir(parents=True, exist_ok=True)

    parts, interrupt = [], None
    for first in tqdm(range(0, len(filters), batch), f"atlas of {layer}", delay=2, leave=False,
                      disable=not progress):
        try:
            part = _atlas_part(net, layer, filters[first : first + batch], home, size=size,
                               steps=steps, seed=seed, optimiser=optimiser, calm=calm,
                               batch=batch, on_step=on_step)
        except KeyboardInterrupt as problem:
            if not parts:
                raise
            interrupt = problem
            break
        parts.append(part)
    images = np.concatenate([images for images, _ in parts])
    report = pd.concat([report for _, report in parts], ignore_index=True)
    found = Atlas(images, report, *_contact_sheet(home, images, report, made_by))
    if interrupt is not None:
        raise Interrupted(f"{len(images)} of {len(filters)} filters (the same call goes on from "
                          "there)", found) from interrupt
    return found


def _atlas_part(net, layer, filters, home: Path, **options):
    """Pictures and report of one batch, kept or drawn."""
    numbers = hashlib.sha256(repr(filters.tolist()).encode()).hexdigest()[:8]
    path = home / f"filters_{filters[0]:04d}_{numbers}"
    if (kept := _stored_part(path, filters)) is not None:
        return kept
    ascent = maximize(net, layer, filters, progress=False, **options)
    images = ascent.images.round().astype("uint8")
    draft = home / f"draft_{os.getpid()}"
    np.savez(draft.with_suffix(".npz"), images=images)
    ascent.report.to_csv(draft.with_suffix(".csv"), index=False)
    for ending in (".npz", ".csv"):
        os.replace(draft.with_suffix(ending), path.with_suffix(ending))
    return images, ascent.report


def _stored_part(path: Path, filters):
    """Pictures and report of a batch that was kept; None if there is none, or it is damaged."""
    if not path.with_suffix(".csv").exists():  # written last: the pictures are whole
        return None
    try:
        report = pd.read_csv(path.with_suffix(".csv"))
        with np.load(path.with_suffix(".npz")) as stored:
            images = stored["images"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    whole = report.get("filter", pd.Series()).tolist() == filters.tolist()
    return (images, report) if whole and len(images) == len(filters) else None


def _contact_sheet(home: Path, images: np.ndarray, report: pd.DataFrame, made_by: dict):
    """Write the sheet and its index; return their paths."""
    size, line, gap = images.shape[1], 14, 4
    columns = min(16, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + line + gap) + gap),
                      "white")
    pen, entries = ImageDraw.Draw(sheet), {}
    for i, (image, row) in enumerate(zip(images, report.itertuples(), strict=True)):
        left = gap + (i % columns) * (size + gap)
        top = gap + (i // columns) * (size + line + gap) + line
        pen.text((left, top - line), str(row.filter), fill="black",
                 font=ImageFont.load_default(size=11))
        sheet.paste(Image.fromarray(image), (left, top))
        entries[int(row.filter)] = {
            "box": [left, top, left + size, top + size], "end_max": round(float(row.end_max), 2),
            "percentile": None if np.isnan(row.percentile) else round(float(row.percentile), 1),
            "flat": bool(row.flat)}
    note = PngInfo()
    note.add_text("Comment", json.dumps(made_by))
    paths, draft = (home / "sheet.png", home / "index.json"), home / f"draft_{os.getpid()}"
    sheet.save(draft, "png", pnginfo=note)
    os.replace(draft, paths[0])
    draft.write_text(json.dumps({"made_by": made_by, "filters": entries}, indent=1), "utf-8")
    os.replace(draft, paths[1])
    return paths


def visualize_filter(
    net: Network, layer: str, filter: int | None = None, *, iterations: int = 50, size: int = 96,
    seed: int | None = None,
) -> Figure:
    """Draw one filter while telling how the ascent goes: the textbook's function.

    Prints the objective at the start and after at most ten steps, evenly spaced, the last one
    included; each line gives the value at exactly the step it names.

    Parameters
    ----------
    filter : int, optional
        A random one if none is given: another at each call, unless `seed` is given.
    iterations : int
        Steps of the ascent.
    size : int
        Side of the picture, in pixels.
    seed : int, optional
        Of the random filter and of the starting noise (0 if none is given).

    Returns
    -------
    Figure
    """
    if filter is None:
        count = _layer(net, layer).output.shape[-1]
        filter = int(np.random.default_rng(seed).integers(count))
    lines = min(10, max(iterations, 1))
    told = [round(iterations * line / lines) for line in range(1, lines + 1)]
    ascent = maximize(net, layer, filter, steps=iterations, size=size, seed=seed or 0,
                      snapshots=told)
    print(f"{layer}, filter {filter}: mean pre-activation\n"
          f"at the start      {ascent.history[0, 0]:9.3f}")
    for step in told:  # `snapshots` has each of them measured
        print(f"iteration {step:4d}    {ascent.history[step, 0]:9.3f}")
    return plot_images(ascent.images, [f"{layer}, filter {filter}"], columns=1, width=2.6)


# ============================================================================================
# 6. Kernels: the weights that feed a filter
# ============================================================================================

EXCITATORY, INHIBITORY = 0.2, -0.2  #: thresholds of the sign index
MOSTLY_ZERO = 0.05  #: kernels below this share of the filter's largest L2 norm


def kernels(net: Network, layer: str, filter: int, *, fold: bool = True) -> np.ndarray:
    """All kernels of one filter: one for each input channel.

    Parameters
    ----------
    layer : str
        A convolution. For a depthwise or grouped one, the kernels of input channels that the
        filter does not read are zero; a separable one has the products of its two parts, which
        is exact, since nothing stands between them.
    filter : int
    fold : bool
        Multiply by the scale γ/√(σ² + ε) of a batch normalisation that directly follows [1]_:
        a negative γ turns excitation into inhibition for whatever reads the filter. The order of
        the kernels, and each one's share, are the same either way. Without such a layer (VGG16)
        nothing changes. False: the weights as they are stored, which add up to the convolution's
        own output.

    Returns
    -------
    float32 ndarray, shape (kernel rows, kernel columns, input channels)

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", CVPR 2018, section 3.2 (folding).
    """
    conv = _conv_layer(net, layer)
    filter = int(_check_filters(net, layer, filter)[0])
    channels = conv.input.shape[-1]
    if isinstance(conv, keras.layers.SeparableConv2D):
        mixed = conv.pointwise_kernel.numpy()[0, 0, :, filter].reshape(channels, -1)
        own, first = np.einsum("rckm,km->rck", conv.depthwise_kernel.numpy(), mixed), 0
    elif isinstance(conv, keras.layers.DepthwiseConv2D):
        first, multiple = divmod(filter, conv.depth_multiplier)
        own = conv.kernel.numpy()[:, :, first : first + 1, multiple]
    else:
        own = conv.kernel.numpy()[:, :, :, filter]  # (rows, columns, channels of its group)
        first = filter // (conv.filters // conv.groups) * own.shape[2]
    placed = np.zeros((*own.shape[:2], channels), "float32")
    placed[:, :, first : first + own.shape[2]] = own
    return placed * _normalisation(net, layer)[0][filter] if fold else placed


def filter_bias(net: Network, layer: str, filter: int, *, fold: bool = True) -> float:
    """What a filter gives when it reads nothing: Σ `kernels` · inputs + this is its output.

    With `fold`, the output of the batch normalisation that directly follows, if there is one.
    """
    conv = _conv_layer(net, layer)
    filter = int(_check_filters(net, layer, filter)[0])
    own = float(conv.bias.numpy()[filter]) if conv.use_bias else 0.0
    scale, shift = _normalisation(net, layer)
    return float(own * scale[filter] + shift[filter]) if fold else own


def kernel_table(net: Network, layer: str, filter: int) -> pd.DataFrame:
    """Every kernel of a filter, the largest L2 norm first.

    Returns
    -------
    DataFrame, one row for each input channel
        ``channel``; ``l2``: √Σw²; ``sign_index``: (Σw⁺ − Σ|w⁻|) / Σ|w|, from −1 (all taps
        inhibit) to 1 (all excite); ``positive_share``: share of positive taps; ``kind``: the
        index in words (`EXCITATORY`, `INHIBITORY` are its thresholds); ``mostly_zero``: L2
        below `MOSTLY_ZERO` of the filter's largest.

    Notes
    -----
    From block1_conv2 on, VGG16's inputs are outputs of a ReLU and so never negative: the sign
    of a tap is the sign of its effect. For ``block1_conv1`` the inputs are signed colours, and
    "excitatory" means "raised by more of that colour than average". The same holds wherever the
    input is signed: a 1×1 convolution that reads a sum of residual branches, say.

    A batch normalisation that directly follows is folded into the kernels (see `kernels`).
    """
    taps = kernels(net, layer, filter)
    taps = taps.reshape(-1, taps.shape[-1])  # (taps, channels)
    mass = np.abs(taps).sum(0)
    l2 = np.sqrt((taps.astype("float64") ** 2).sum(0))
    index = np.divide(taps.sum(0), mass, out=np.zeros_like(mass), where=mass > 0)
    kind = np.select([index > EXCITATORY, index < INHIBITORY],
                     ["mostly excitatory", "mostly inhibitory"], "mixed")
    table = pd.DataFrame({
        "channel": np.arange(len(l2)), "l2": l2, "sign_index": index,
        "positive_share": (taps > 0).mean(0), "kind": kind,
        "mostly_zero": l2 < MOSTLY_ZERO * l2.max(),
    })
    return table.sort_values("l2", ascending=False, kind="stable", ignore_index=True)


def rank_kernels(net: Network, layer: str, filter: int, *, top: int = 10) -> pd.DataFrame:
    """The `top` kernels of a filter by L2 norm, and whether they excite or inhibit.

    Returns
    -------
    DataFrame
        ``channel, l2, sign_index, positive_share, kind`` as in `kernel_table`, without mostly
        zero kernels. ``attrs``: ``channels`` (how many there are), ``mostly_zero`` (how many
        were left out), ``l2_share`` (share of the filter's squared weight in the rows listed).

    Raises
    ------
    ValueError
        Unknown layer, not a convolution, filter out of range, `top` below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}.")
    table = kernel_table(net, layer, filter)
    listed = table[~table["mostly_zero"]].head(top).drop(columns="mostly_zero")
    total = (table["l2"] ** 2).sum()
    listed.attrs = {
        "channels": len(table), "mostly_zero": int(table["mostly_zero"].sum()),
        "l2_share": float((listed["l2"] ** 2).sum() / total) if total else 0.0,
    }
    return listed


# ============================================================================================
# 7. Figures
# ============================================================================================
#
# Each function returns a `ShownFigure`: a matplotlib Figure built without pyplot that a notebook
# shows as a cell's last value, with its alternative text. That text may be given to each of them
# as `alt="..."`; `save_figure`, which also writes the figure, demands one. Signed numbers are red
# (excites) and blue (inhibits) around white at zero, on one scale for all panels of a figure, and
# marked + and − as well.

WIDTH, DPI = 6.5, 120  #: inches, and dots an inch, of figures
STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8,
         "ytick.labelsize": 8, "legend.fontsize": 8, "axes.spines.top": False,
         "axes.spines.right": False}
SIGNED = "RdBu_r"
RED, BLUE, GREY = "#b2182b", "#2166ac", "#555555"


NAMED = 12  #: panels that an alternative text names at most


class ShownFigure(Figure):
    """A figure that a notebook shows by itself, with its alternative text.

    IPython draws a plain Figure only where pyplot was set up, and then without such a text. This
    class brings its own picture and has IPython prefer it: it is shown once, with pyplot and
    without, drawn as `save_figure` would write it.

    Attributes
    ----------
    alt : str
        What is to be seen, in a sentence. It goes into the output's metadata, where nbconvert's
        "basic" and "classic" pages read it; JupyterLab 4 does not read it out.
    """

    alt = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        shell = _shell()
        if shell is not None:  # a method alone would come after what pyplot registers for Figure
            shell.display_formatter.formatters["image/png"].for_type(
                ShownFigure, ShownFigure._repr_png_)

    def __repr__(self) -> str:
        return super().__repr__().replace("ShownFigure", "Figure", 1)

    def _repr_png_(self) -> tuple[bytes, dict]:
        png, size = _drawn(self)
        return png, _shown_as(size, self.alt)


def _drawn(figure: Figure, note: PngInfo | None = None) -> tuple[bytes, tuple[int, int]]:
    """A figure as a PNG with a note in it, and its width and height in pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, pil_kwargs={"pnginfo": note} if note else {})
    with Image.open(buffer) as picture:
        return buffer.getvalue(), picture.size


def _shown_as(size: tuple[int, int], alt: str) -> dict:
    """The metadata with which a notebook shows a PNG."""
    return {"width": size[0], "height": size[1]} | ({"alt": alt} if alt else {})


def _figure(height: float, width: float = WIDTH, layout: str = "compressed") -> ShownFigure:
    """An empty figure of the house style, in inches; a notebook shows it by itself."""
    return ShownFigure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")


def _styled(function):
    """Apply the house style while a figure function runs, and say in words what it drew.

    The function gets one more option, ``alt``: the figure's alternative text. Without it the text
    is the first line of the function's docstring, and what is written on the figure: titles of
    panels, names of axes and lines.
    """
    @functools.wraps(function)
    def drawn(*args, alt: str | None = None, **kwargs):
        with mpl.rc_context(STYLE):
            figure = function(*args, **kwargs)
        figure.alt = _described(figure, function.__doc__) if alt is None else alt
        return figure

    own = inspect.signature(function)
    given = inspect.Parameter("alt", inspect.Parameter.KEYWORD_ONLY, default=None,
                              annotation="str | None")
    drawn.__signature__ = own.replace(parameters=[*own.parameters.values(), given])
    return drawn


def _described(figure: Figure, says: str) -> str:
    """What is to be seen on a figure, from a docstring and the words on the figure itself."""
    def listed(what, words):
        words = list(dict.fromkeys(filter(None, (" ".join(word.split()) for word in words))))
        more = f"; and {len(words) - NAMED} more" * (len(words) > NAMED)
        return [f"{what}: {'; '.join(words[:NAMED])}{more}."] if words else []

    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in panels))]
    return " ".join([
        says.strip().splitlines()[0].replace("`", ""),
        *listed("Written on it", [figure.get_suptitle(), *(axes.get_title() for axes in panels),
                                  *(text.get_text() for text in figure.texts)]),
        *listed("Across", [axes.get_xlabel() for axes in panels]),
        *listed("Upwards", [axes.get_ylabel() for axes in panels]),
        *listed("Legend", [text.get_text() for one in legends for text in one.get_texts()])])


def _show(axes, image, title: str = "", colour: str | None = None):
    """One RGB picture (0-255) without ticks; `colour` draws a frame around it."""
    axes.imshow(np.clip(np.asarray(image), 0, 255).astype("uint8"), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, pad=3)
    for spine in axes.spines.values():
        spine.set(visible=colour is not None, color=colour, linewidth=2.5)


@dataclass(frozen=True, eq=False)
class SavedFigure:
    """A figure as it was written: Jupyter shows exactly the bytes of the file.

    Attributes
    ----------
    path : Path
    png : bytes
    alt : str
        Alternative text, for readers who cannot see the figure.
    size : tuple of int
        Width and height in pixels.
    """

    path: Path
    png: bytes
    alt: str
    size: tuple[int, int]

    def __repr__(self) -> str:
        return f"{self.path.name}: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return ({"image/png": self.png, "text/plain": repr(self)},
                {"image/png": _shown_as(self.size, self.alt)})


def save_figure(
    figure: Figure, name: str, *, alt: str, recipe: str | None = None, **parameters
) -> SavedFigure:
    """Write a figure below ``build/figures`` and return what a notebook shows.

    Parameters
    ----------
    figure : Figure
    name : str
        File name without ending.
    alt : str
        What is to be seen, in a sentence.
    recipe : str, optional
        Code that makes the figure again. In a notebook it is found in the cells run so far, see
        `engine.recipes.recipe_of`.
    **parameters
        What made the figure (layer, filter, seed, steps, ...): kept in the PNG's metadata, beside
        the recipe, the digests of the networks it uses, and the versions of the libraries.

    Notes
    -----
    The environment variable ``VIZUTILS_FIGURES`` names another folder; ``make figures`` sets it
    to ``figures/``, whose files are committed.
    """
    folder = Path(os.environ.get("VIZUTILS_FIGURES")
                  or Path(__file__).resolve().parent / "build" / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    variables = _notebook()
    if recipe is None:
        recipe = recipe_of(variables.get("In", []), name)
    note = PngInfo()
    note.add_itxt("Title", name)
    note.add_itxt("Description", alt)
    note.add_itxt("Comment", json.dumps(parameters, default=str, ensure_ascii=False))
    note.add_itxt("Networks", json.dumps(_networks_in(recipe, variables)))
    note.add_itxt("Versions", json.dumps(_versions()))
    note.add_itxt("Recipe", recipe, zip=True)
    png, size = _drawn(figure, note)
    path = folder / f"{name}.png"
    path.write_bytes(png)
    return SavedFigure(path, png, alt, size)


def answer(text: str):
    """An **Answer** whose numbers were computed: prose and results cannot drift apart."""
    from IPython.display import Markdown

    return Markdown(f"**Answer.** {' '.join(text.split())}")


def thumbnail_table(images: np.ndarray, table: pd.DataFrame, *, side: int = 72):
    """A table with a small picture before each row, for a notebook.

    Parameters
    ----------
    images : ndarray, shape (rows, h, w, 3)
        RGB 0-255.
    table : DataFrame
        As many rows; shown without its index.
    side : int
        Thumbnails' side in pixels.
    """
    import base64

    from IPython.display import HTML

    images = check_each(images)

    def tag(image):
        buffer = io.BytesIO()
        small = Image.fromarray(np.clip(image, 0, 255).astype("uint8")).resize((side, side))
        small.save(buffer, "JPEG", quality=85)
        return ('<img alt="" src="data:image/jpeg;base64,'
                f'{base64.b64encode(buffer.getvalue()).decode()}">')

    shown = table.copy()
    shown.insert(0, "picture", [f"@{i}@" for i in range(len(shown))])
    page = shown.to_html(index=False, border=0)
    for i, image in enumerate(images):
        page = page.replace(f"@{i}@", tag(image))
    return HTML(page)


@_styled
def plot_images(
    images: Sequence[np.ndarray], titles: Sequence[str] = (), *, columns: int = 5,
    width: float = WIDTH, marked: Sequence[int] = (), heading: str = "",
) -> Figure:
    """A sheet of pictures, each under its title; those that are marked have a red frame.

    Parameters
    ----------
    images : sequence of ndarray, shape (h, w, 3)
        RGB 0-255; shown as they are, no contrast stretching.
    """
    images = check_each(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max([t.count("\n") + 1 for t in titles if t], default=0)
    figure = _figure(rows * (width / columns + 0.15 * lines) + (0.25 if heading else 0), width)
    if heading:
        figure.suptitle(heading, fontsize=10)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if i < len(images):
            _show(axes, images[i], titles[i] if i < len(titles) else "",
                  RED if i in marked else None)
        else:
            axes.set_axis_off()
    return figure


@_styled
def plot_input(original: np.ndarray, crop: np.ndarray, net: Network) -> Figure:
    """What the network receives: the photograph, its crop, and the preprocessed planes."""
    original, crop = check_each([original, crop])
    received = net.preprocess(tf.constant(crop[None]))[0].numpy()
    figure = _figure(1.75)
    axes = figure.subplots(1, 5, width_ratios=[1.25, 1, 1, 1, 1])
    _show(axes[0], original, f"original\n{original.shape[0]} × {original.shape[1]}")
    _show(axes[1], crop, f"crop\n{crop.shape[0]} × {crop.shape[1]}, RGB")
    norm = CenteredNorm(0, np.abs(received).max())
    for channel_index, channel_name in enumerate(net.input_channels):
        panel = axes[2 + channel_index]
        drawn = panel.imshow(received[..., channel_index], cmap=SIGNED, norm=norm)
        panel.set(xticks=[], yticks=[], title=f"input channel {channel_index}\n({channel_name})")
    figure.colorbar(drawn, ax=axes[2:], shrink=0.8, label="value received")
    return figure


@_styled
def plot_history(ascent: Ascent) -> Figure:
    """How the mean pre-activation rose, one line a picture."""
    figure = _figure(2.2)
    axes = figure.subplots()
    for i, row in ascent.report.iterrows():
        axes.plot(ascent.measured, ascent.history[list(ascent.measured), i],
                  label=f"filter {row['filter']}, seed {row['seed']}")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="step", ylabel="mean pre-activation\n(clean picture)")
    if len(ascent.report) <= 6:
        axes.legend(frameon=False)
    return figure


@_styled
def plot_groups(groups: pd.DataFrame, *, level: float = 0.05) -> Figure:
    """Coarse groups of classes: how far each lies above or below the others."""
    figure = _figure(0.5 + 0.2 * len(groups))
    axes = figure.subplots()
    shown = groups.iloc[::-1]
    colours = np.where(shown["difference"] > 0, RED, BLUE)
    clear = (shown["p_holm"] < level).to_numpy()
    bars = axes.barh(shown["group"] + shown["classes"].map(" ({})".format), shown["difference"],
                     color=colours)
    for bar, is_clear, value in zip(bars, clear, shown["difference"], strict=True):
        bar.set_alpha(1.0 if is_clear else 0.3)
        if is_clear:
            axes.annotate("*", (value, bar.get_y() + bar.get_height() / 2), va="center",
                          xytext=(4 if value > 0 else -4, -2), textcoords="offset points",
                          ha="left" if value > 0 else "right", weight="bold")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="mean response minus that of all others (standard deviations)")
    axes.margins(y=0.01)
    return figure


@_styled
def plot_norms(table: pd.DataFrame, *, top: int = 10) -> Figure:
    """All kernels' L2 norms in falling order, and how much of the squared weight they gather."""
    figure = _figure(2.2)
    left, right = figure.subplots(1, 2)
    l2 = table["l2"].to_numpy()
    left.bar(np.arange(len(l2)), l2, width=1.0, color="#bbbbbb")
    left.bar(np.arange(min(top, len(l2))), l2[:top], width=1.0, color="#404040")
    left.axhline(MOSTLY_ZERO * l2.max(), color=GREY, linestyle=":", linewidth=1)
    left.annotate("mostly zero below", (len(l2), MOSTLY_ZERO * l2.max()), ha="right",
                  xytext=(0, 2), textcoords="offset points", fontsize=8, color=GREY)
    left.set(xlabel="kernels, strongest first", ylabel="L2 norm")
    gathered = np.cumsum(l2**2) / (l2**2).sum()
    right.plot(np.arange(1, len(l2) + 1), 100 * gathered, color="#404040")
    share = 100 * gathered[min(top, len(l2)) - 1]
    right.plot([top, top, 0], [0, share, share], color=GREY, linestyle=":", linewidth=1)
    right.annotate(f"top {top}: {share:.0f} %", (top, share), xytext=(6, -8),
                   textcoords="offset points", fontsize=8)
    right.set(xlabel="kernels, strongest first", ylabel="share of squared weight (%)",
              ylim=(0, 102), xlim=(0, None))
    return figure


def _draw_kernel(axes, kernel: np.ndarray, norm, *, marks: bool = True):
    """One kernel on a signed scale, each tap marked + or − unless it is nearly zero."""
    drawn = axes.imshow(kernel, cmap=SIGNED, norm=norm, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#888888", linewidth=0.8)
    if marks:
        for (row, column), tap in np.ndenumerate(kernel):
            strength = abs(tap) / norm.halfrange
            if strength > 0.08:
                axes.text(column, row, "+" if tap > 0 else "−", ha="center", va="center",
                          fontsize=8, color="white" if strength > 0.55 else "#333333")
    return drawn


@_styled
def plot_kernels(net: Network, layer: str, filter: int, ranking: pd.DataFrame) -> Figure:
    """The ranked kernels on one signed scale, with channel, norm and kind above each."""
    taps = kernels(net, layer, filter)[:, :, ranking["channel"]]
    columns = min(5, len(ranking))
    rows = -(-len(ranking) // columns)
    figure = _figure(rows * 1.65)
    norm = CenteredNorm(0, np.abs(taps).max())
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(ranking):]:
        axes.set_axis_off()
    for i, (axes, row) in enumerate(zip(panels.flat, ranking.itertuples(), strict=False)):
        drawn = _draw_kernel(axes, taps[:, :, i], norm)
        axes.set_title(f"channel {row.channel}\nL2 {row.l2:.3f}\n{row.kind}", fontsize=8)
    figure.colorbar(drawn, ax=panels, shrink=0.7, label="weight (+ excites, − inhibits)")
    return figure


@_styled
def plot_circuit(
    upstream: Sequence[np.ndarray], ranking: pd.DataFrame, taps: np.ndarray, picture: np.ndarray,
    *, words: Sequence[str] = (), layer: str = "", filter: int | str = "", feature: str = "",
    contributions: Sequence[float] = (), effects: Sequence[float] = (),
) -> Figure:
    """The circuit as a weight explorer draws it: upstream pictures - kernels - the filter.

    Parameters
    ----------
    upstream : sequence of ndarray (h, w, 3)
        Pictures of the upstream channels, in the order of `ranking`.
    ranking : DataFrame
        From `rank_kernels`.
    taps : ndarray, shape (rows, columns, len(ranking))
        Their kernels.
    picture : ndarray (h, w, 3)
        The filter's picture.
    words : sequence of str
        What each upstream channel looks for.
    contributions : sequence of float, optional
        What each edge gives, as a share of the filter's response; printed beside it.
    effects : sequence of float, optional
        By which share the response changes when the edge is cut; printed beside it.
    """
    *upstream, picture = check_each([*upstream, picture])
    half = -(-len(ranking) // 2)  # two columns of edges, the filter between them
    given = len(contributions) > 0 or len(effects) > 0
    tall = 1.43 if given else 1.3  # inches: one edge's picture, kernel and text
    figure = _figure(half * tall + 0.2, layout="none")
    deep = figure.get_figheight()
    norm = CenteredNorm(0, np.abs(taps).max())
    centre = figure.add_axes([0.41, 0.5, 0.18, 0.18 * WIDTH / deep])
    _show(centre, picture, f"{layer}\nfilter {filter}")
    side, small = 0.8, 0.5  # inches: upstream pictures, kernels
    for i, row in enumerate(ranking.itertuples()):
        right = i >= half
        bottom = deep - tall * (i % half + 1) + (0.48 if given else 0.35)  # inches
        x_picture, x_kernel = (WIDTH - 0.1 - side, WIDTH - 0.25 - side - small) if right else (
            0.1, 0.25 + side)
        box = np.array([WIDTH, deep, WIDTH, deep])
        panel = figure.add_axes([x_picture, bottom, side, side] / box)
        _show(panel, upstream[i])
        edge = figure.add_axes([x_kernel, bottom + (side - small) / 2, small, small] / box)
        drawn = _draw_kernel(edge, taps[:, :, i], norm)
        sign = {"mostly excitatory": "+", "mostly inhibitory": "−"}.get(row.kind, "±")
        colour = {"+": RED, "−": BLUE, "±": GREY}[sign]
        word = words[i] if i < len(words) else ""
        figure.text((WIDTH - 0.1 if right else 0.1) / WIDTH, (bottom - 0.04) / deep,
                    f"{i + 1}. {feature} {row.channel}  {sign} {row.l2:.2f}\n{word}"
                    + _edge_numbers(i, contributions, effects), fontsize=8,
                    ha="right" if right else "left", va="top", linespacing=1.1)
        level = 1 - (i % half + 0.5) / half  # where the arrow meets the filter's picture
        figure.add_artist(ConnectionPatch(
            (0 if right else 1, 0.5), (1 if right else 0, level), edge.transAxes,
            centre.transAxes, arrowstyle="-|>", color=colour, alpha=0.8,
            linewidth=0.8 + 2.2 * row.l2 / ranking["l2"].max(),
            linestyle={"+": "-", "−": "--", "±": ":"}[sign]))
    bar = figure.add_axes([0.42, 0.09, 0.16, 0.015])
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="weight")
    figure.text(0.5, 0.19, "solid red: excites\ndashed blue: inhibits\ndotted grey: mixed",
                fontsize=8, ha="center", va="center", color=GREY)
    return figure


def _edge_numbers(i: int, contributions: Sequence[float], effects: Sequence[float]) -> str:
    """A line like "gives 31 % · cut −12 %", or nothing."""
    numbers = []
    contributions, effects = np.asarray(contributions), np.asarray(effects)
    for word, shares, form in (("gives", contributions, "d"), ("cut", effects, "+d")):
        if i < len(shares):
            percent = round(100 * float(shares[i]))  # an integer, so that there is no −0
            numbers.append(f"{word} {percent:{form if percent else 'd'}} %".replace("-", "−"))
    return "\n" + " · ".join(numbers) if numbers else ""


@_styled
def plot_two_hop(
    picture: np.ndarray, inputs: Sequence[np.ndarray], ranking: pd.DataFrame, taps: np.ndarray,
    feeders: Sequence[Sequence[np.ndarray]], feeder_rankings: Sequence[pd.DataFrame],
    feeder_taps: Sequence[np.ndarray], *, title: str = "", feature: str = "", below: str = "",
    words: Sequence[str] = (), contributions: Sequence[float] = (),
    effects: Sequence[float] = (),
) -> Figure:
    """Two hops of a circuit on one sheet: what feeds the inputs - inputs - the filter.

    Parameters
    ----------
    picture : ndarray (h, w, 3)
        The filter's picture, RGB 0-255, shown under `title`.
    inputs : sequence of ndarray (h, w, 3)
        Pictures of its strongest input channels.
    ranking, taps
        Their rows of `rank_kernels`, and their kernels, shape (rows, columns, len(inputs)).
    feeders : sequence (an input) of sequence (a feeder) of ndarray (h, w, 3)
        For each input: the pictures of the channels that feed it most.
    feeder_rankings, feeder_taps
        For each input: as `ranking` and `taps`, for its feeders.
    feature, below : str
        Layers of the inputs and of the feeders.
    words, contributions, effects
        For the inputs, as in `plot_circuit`.

    Notes
    -----
    Each hop has a colour scale of its own, for kernels of two layers differ in size.
    """
    picture, *inputs = check_each([picture, *inputs])
    feeders = [check_each(pictures) for pictures in feeders]
    rows = max(len(pictures) for pictures in feeders)
    tall, margin = 0.68, 0.9  # inches: one feeder; the headings and the colour bars
    deep = len(inputs) * (rows * tall + 0.22) + margin
    figure = _figure(deep, layout="none")
    box = np.array([WIDTH, deep, WIDTH, deep])

    def panel(left, middle, side):  # a square, by its left edge and its middle, in inches
        return figure.add_axes(np.array([left, middle - side / 2, side, side]) / box)

    def label(x, y, text, **how):
        figure.text(x / WIDTH, y / deep, text, **{"fontsize": 8, "linespacing": 1.1, **how})

    def edge(left, middle, side, kernel, row, norm, to, level, strongest):
        axes = panel(left, middle, side)
        drawn = _draw_kernel(axes, kernel, norm, marks=side > 0.45)
        sign = {"mostly excitatory": "+", "mostly inhibitory": "−"}.get(row.kind, "±")
        figure.add_artist(ConnectionPatch(
            (1, 0.5), (0, level), axes.transAxes, to.transAxes, arrowstyle="-|>", alpha=0.8,
            color={"+": RED, "−": BLUE, "±": GREY}[sign],
            linewidth=0.8 + 2.2 * row.l2 / strongest,
            linestyle={"+": "-", "−": "--", "±": ":"}[sign]))
        return f"{row.channel}  {sign} {row.l2:.2f}", drawn

    scale = CenteredNorm(0, np.abs(taps).max())
    scale_below = CenteredNorm(0, max(np.abs(t).max() for t in feeder_taps))
    centre = panel(5.2, deep / 2, 1.2)
    _show(centre, picture, title.replace(" ", "\n", 1))
    for i, row in enumerate(ranking.itertuples()):
        middle = deep - 0.25 - (i + 0.5) * (rows * tall + 0.22)
        mine = panel(2.85, middle + 0.1, 1.0)
        _show(mine, inputs[i])
        text, drawn = edge(4.0, middle + 0.1, 0.5, taps[:, :, i], row, scale, centre,
                           1 - (i + 0.5) / len(inputs), ranking["l2"].max())
        word = words[i] if i < len(words) else ""
        label(2.85, middle - 0.44, f"{text}\n{word}{_edge_numbers(i, contributions, effects)}",
              va="top")
        l2 = feeder_rankings[i]["l2"].max()
        for j, below_row in enumerate(feeder_rankings[i].itertuples()):
            height = middle + (len(feeders[i]) / 2 - 0.5 - j) * tall
            _show(panel(0.85, height, 0.6), feeders[i][j])
            text, drawn_below = edge(1.53, height, 0.5, feeder_taps[i][:, :, j], below_row,
                                     scale_below, mine, 1 - (j + 0.5) / len(feeders[i]), l2)
            label(0.8, height, text.replace("  ", "\n"), ha="right", va="center")
    for x, name in ((0.85, below), (2.85, feature)):
        label(x, deep - 0.2, name, weight="bold")
    for left, drawn_on, hop in ((0.85, drawn_below, below), (4.0, drawn, feature)):
        bar = figure.add_axes(np.array([left, 0.34, 1.2, 0.07]) / box)
        figure.colorbar(drawn_on, cax=bar, orientation="horizontal")
        label(left + 1.3, 0.3, f"weight from\n{hop}", va="center", color=GREY)
    return figure


@_styled
def plot_words(net: Network, layer: str, filter: int) -> Figure:
    """The words filter, kernel, edge and activation, drawn in the chosen layer's real shapes."""
    conv = _conv_layer(net, layer)
    rows, columns = conv.kernel_size
    channels = conv.input.shape[-1]
    below = input_layer(net, layer)
    side_in = receptive_field(net, below.tensor).positions
    side_out = receptive_field(net, layer).positions
    figure = _figure(2.5, layout="none")
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 13), ylim=(0, 5))
    axes.set_axis_off()

    def stack(x, y, width, height, sheets, colour, highlighted=None):
        for k in reversed(range(sheets)):
            axes.add_patch(Rectangle((x + 0.14 * k, y + 0.14 * k), width, height, edgecolor="#333",
                                     facecolor=RED if k == highlighted else colour, linewidth=0.8,
                                     alpha=0.75 if k == highlighted else 1))

    stack(0.4, 1.5, 2.0, 2.0, 6, "#dfe7ef")
    axes.text(1.7, 0.95, f"input activation\n{below.tensor}\n{side_in} × {side_in} × {channels}",
              ha="center", va="top")
    stack(5.0, 1.9, 1.1, 1.1, 6, "#f4e3d3", highlighted=0)
    axes.text(5.9, 0.95, f"filter {filter}\n{rows} × {columns} × {channels}\n= {channels} kernels",
              ha="center", va="top")
    axes.annotate(f"one kernel\n{rows} × {columns} × 1", (5.4, 2.9), (4.2, 4.4), ha="center",
                  va="center", color=RED, arrowprops={"arrowstyle": "-", "color": RED})
    stack(9.6, 1.5, 2.0, 2.0, 1, "#dfefdf")
    axes.text(10.6, 0.95, f"output activation\nchannel {filter} of {conv.filters} of\n{layer}, "
              f"{side_out} × {side_out}", ha="center", va="top")
    axes.annotate("", (4.8, 2.5), (3.4, 2.5), arrowprops={"arrowstyle": "-|>"})
    axes.annotate("", (9.4, 2.5), (7.1, 2.5), arrowprops={"arrowstyle": "-|>"})
    axes.text(8.25, 2.65, "sum + bias,\nthen ReLU", ha="center", va="bottom")
    axes.annotate("edge: the kernel that joins\none input channel to the filter", (4.1, 2.55),
                  (9.6, 4.4), ha="center", va="center", color=GREY,
                  arrowprops={"arrowstyle": "-", "color": GREY, "linestyle": ":"})
    return figure


@_styled
def plot_road() -> Figure:
    """The report's road in one row: from the filter's picture to its circuit."""
    steps = [("picture", "gradient\nascent"), ("classes", "photographs\nand patches"),
             ("kernels", "L2 norm\nand sign"), ("upstream\nchannels", "pictures,\npatches"),
             ("circuit", "explained\nand tested")]
    figure = _figure(1.15, layout="none")
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 10), ylim=(0, 1.77))
    axes.set_axis_off()
    for i, (name, means) in enumerate(steps):
        left = 0.15 + 1.97 * i
        axes.add_patch(Rectangle((left, 0.78), 1.5, 0.8, facecolor="#eef2f7", edgecolor="#333333"))
        axes.text(left + 0.75, 1.18, name, ha="center", va="center", weight="bold")
        axes.text(left + 0.75, 0.68, means, ha="center", va="top", color=GREY)
        if i:
            axes.annotate("", (left - 0.03, 1.18), (left - 0.44, 1.18),
                          arrowprops={"arrowstyle": "-|>"})
    return figure


@_styled
def plot_tuning(angles: Sequence[float], curves: dict[str, np.ndarray]) -> Figure:
    """Response over orientation, one line for each kind of stimulus."""
    figure = _figure(2.3)
    axes = figure.subplots()
    markers = "osD^vX"
    for i, (kind, values) in enumerate(curves.items()):
        axes.plot(angles, values, marker=markers[i % len(markers)], markersize=4, label=kind)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="orientation (degrees)", ylabel="mean pre-activation", xticks=angles[::2])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


@_styled
def plot_transfer(
    responses: np.ndarray, control: np.ndarray, ranking: pd.DataFrame, words: Sequence[str] = ()
) -> Figure:
    """A filter's response to its input channels' pictures, beside those of random channels.

    Parameters
    ----------
    responses : ndarray, shape (len(ranking),)
        To the pictures of the ranked channels.
    control : ndarray
        To the pictures of random channels of the same layer.
    """
    figure = _figure(0.9 + 0.24 * len(ranking))
    axes = figure.subplots()
    places = np.arange(len(ranking))[::-1] + 1
    colours = np.where(ranking["sign_index"] > 0, RED, BLUE)
    axes.axvline(np.median(control), color=GREY, linewidth=1, linestyle=":")
    axes.scatter(control, np.zeros(len(control)), color=GREY, marker="|", s=80)
    axes.hlines(places, np.median(control), responses, color=colours, linewidth=1.5)
    for marker, excites in (("o", True), ("s", False)):
        chosen = (ranking["sign_index"] > 0).to_numpy() == excites
        axes.scatter(responses[chosen], places[chosen], color=RED if excites else BLUE,
                     marker=marker, zorder=3, label="excitatory edge" if excites
                     else "inhibitory edge")
    names = [f"{row.channel} {words[i] if i < len(words) else ''}".strip()
             for i, row in enumerate(ranking.itertuples())]
    axes.set_yticks([*places, 0], [*names, "random channels"])
    axes.set_xlabel("mean pre-activation of the filter (dotted: median of random channels)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False)
    return figure


def report_table(report: pd.DataFrame) -> pd.DataFrame:
    """An honesty report for reading: rounded, and ≈ before what varies between machines.

    Parameters
    ----------
    report : DataFrame
        ``Ascent.report``, or some of its columns and rows; other columns pass unchanged.
    """
    digits = {"start": 0, "end_mean": 0, "end_max": 0, "best": 0, "percentile": 1, "agreement": 2}
    shown = report.reset_index(drop=True).astype(object)
    for column in shown.columns.intersection(list(digits)):
        shown[column] = ["–" if np.isnan(value) else f"≈ {value:,.{digits[column]}f}"
                         for value in shown[column]]
    return shown.rename(columns=lambda name: name.replace("_", " "))


# ============================================================================================
# 8. Recipes: the code that made a figure, kept in it (found by engine/recipes.py)
# ============================================================================================


def _shell():
    """IPython's shell, if this is a notebook or a console of IPython; else None."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _notebook() -> dict:
    """The variables of the notebook that is running, its inputs as ``In``; none elsewhere."""
    shell = _shell()
    return {} if shell is None else shell.user_ns


def _networks_in(recipe: str, variables: dict) -> dict[str, dict[str, str]]:
    """Which weights the networks named in a recipe have."""
    return {name: {"network": value.name, "weights": value.weights_source, "sha256": value.digest}
            for name, value in variables.items()
            if isinstance(value, Network) and re.search(rf"\b{name}\b", recipe)}


def _versions() -> dict[str, str]:
    """Releases that a figure's pixels depend on."""
    libraries = tf, keras, np, mpl, pd
    return {"python": platform.python_version(),
            **{module.__name__: module.__version__ for module in libraries}}


def show_recipe(path: str | os.PathLike) -> str:
    """What made a saved figure, as a program that makes it again.

    Parameters
    ----------
    path : path
        A PNG that `save_figure` wrote.

    Returns
    -------
    str
        Python: parameters, weights and versions as comments, then the code.

    Raises
    ------
    ValueError
        The file is no picture, or holds no recipe.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the path of a figure's PNG.")
    try:
        with Image.open(path) as picture:
            kept = {key: str(value) for key, value in picture.info.items()}
    except OSError as error:
        raise ValueError(f"{path} is not a picture that can be read: {error}.") from error
    if not kept.get("Recipe"):
        raise ValueError(f"{path} holds no recipe: only figures that a notebook's cell saved with "
                         "vizutils.save_figure do.")
    lines = [f"{kept['Title']}: {kept['Description']}", f"parameters: {kept['Comment']}",
             f"networks: {kept['Networks']}", f"versions: {kept['Versions']}"]
    return "".join(f"# {line}\n" for line in lines) + kept["Recipe"]


def main(arguments: Sequence[str]) -> int:
    """``python -m vizutils show-recipe FILE``: print the program that makes a figure again."""
    if len(arguments) != 2 or arguments[0] != "show-recipe":
        print("usage: python -m vizutils show-recipe FIGURE.png > again.py", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(encoding="utf-8")  # Python's own; Windows writes its code page to files
    try:
        print(show_recipe(arguments[1]), end="")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
