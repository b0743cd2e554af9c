"""Networks: their layers, their forward functions, and the one cache.

A `Network` answers questions about itself. All graphs are built on `Network.graph`, a copy of the
given Keras model that shares its variables, and cached by `Network.kept`, the project's only cache.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from data import weights
from engine import class_names
from engine.checks import whole_numbers
from engine.keys import are_same, is_value, settings_of
from engine.kinds import kind_of
from engine.links import after_norm, made_by, norm_of


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen image network and what is needed to use it.

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
    classes : tuple of str, or None
        The names of its classes, in order. None: ImageNet's where there are 1,000, else numbers.
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
    classes: tuple[str, ...] | None = None
    _kept: OrderedDict = field(default_factory=OrderedDict, init=False, repr=False)
    _built: dict = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def has_classifier(self) -> bool:
        """Whether ``model`` ends in class scores."""
        return self.head != "none"

    @property
    def class_count(self) -> int:
        """How many classes it tells apart."""
        return self.layer(self.logits_layer).output.shape[-1]

    @property
    def fixed_size(self) -> int | None:
        """Side of the only pictures that ``model`` takes, in pixels; None: of any size."""
        return self.model.input_shape[1]

    @property
    def reads_colour(self) -> bool:
        """Whether colours reach it: a model of one channel is given grey pictures."""
        return self.input_channels != ("grey",)

    @property
    def digest(self) -> str:
        """SHA-256 of all weights as they are now, in the model's order."""
        return weights.tensor_digest(*self.model.get_weights())

    @property
    def graph(self) -> keras.Model:
        """A second model on the same variables, to build on.

        Keras records in a layer every graph that it becomes part of. All that this project
        builds starts here, so that ``model`` itself is never changed; and since the variables
        are shared, new weights in ``model`` take effect here at once. When a setting of a layer
        has changed (its activation function, say), it is made anew, and nothing else is kept.
        """
        settings = settings_of(self.model)
        with self._lock:
            if "graph" not in self._built or not are_same(settings, self._built["settings"]):
                self._kept.clear()
                self._built.update(settings=settings, graph=keras.models.clone_model(
                    self.model, clone_function=twin))
            return self._built["graph"]

    def kept(self, build: Callable, *arguments):
        """``build(self, *arguments)``, made once: asked again, the same result comes back.

        The key is the function and its arguments. With an argument that is no safe key (see
        `is_value`) the result is made anew. At most `MOST_KEPT` results are kept; the one that
        has not been used for the longest time is dropped first.
        """
        if not is_value((build, *arguments)):
            return build(self, *arguments)
        key, _ = (build, *arguments), self.graph  # which drops what is out of date
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

    def layer(self, name: str) -> keras.layers.Layer:
        """The layer of that name in `graph`, or an error that lists the names there are."""
        found = next((x for x in self.graph.operations if x.name == name), None)
        if found is None:
            short = [x.name for x in self.graph.operations if f"{name}".endswith(f"/{x.name}")]
            hint = f"it is called {short[0]} here" if short else (
                f"convolution layers are {', '.join(self.conv_layers) or 'none'}")
            raise ValueError(f"layer {name!r} not found in {self.name}; {hint}.")
        return found

    def convolution(self, name: str) -> keras.layers.Layer:
        """The convolution of that name; an error for any other layer."""
        layer = self.layer(name)
        if name not in self.conv_layers:
            raise ValueError(f"{name!r} is a {type(layer).__name__}, not a convolution; choose one "
                             f"of {', '.join(self.conv_layers)}.")
        return layer

    def plain_convolution(self, name: str) -> keras.layers.Conv2D:
        """The convolution, if its filters read each input channel by a kernel of their own."""
        conv = self.convolution(name)
        if type(conv) is not keras.layers.Conv2D or conv.groups != 1:
            raise ValueError(f"{name} is a {type(conv).__name__}; edges are taken apart and cut "
                             "for plain convolutions (Conv2D with one group) only.")
        return conv

    @property
    def last_layer(self) -> str:
        """Name of the layer whose output the model returns: class logits, if it has any."""
        return made_by(self.model.output)[0].name

    @property
    def logits_layer(self) -> str:
        """The layer whose pre-activation is the class logits.

        ``forward(net.logits_layer, pre_activation=True)`` and `submodel` give them for any
        classifier, also for one that ends in a softmax.

        Raises
        ------
        ValueError
            The network has no classifier, or ends in a map.
        """
        if not self.has_classifier:
            raise ValueError(
                f"{self.name} has no classifier ({self.weights_source}): load it with "
                "weights='packaged' (distilled read-out) or weights='imagenet' (original head), or "
                "wrap a model of your own that ends in class scores by as_network(model, "
                "head='original').")
        if len(self.model.output.shape) != 2:
            raise ValueError(f"{self.name} ends in {self.model.output.shape}, not in one row of "
                             "logits a picture; put a pooling and a dense layer on top.")
        operation, inputs = made_by(self.model.output)
        while inputs and kind_of(operation).channels == "kept" and passes_on(operation):
            operation, inputs = made_by(inputs[0])
        return operation.name

    @property
    def scores(self) -> str:
        """What turns logits into probabilities: "softmax", or "sigmoid" (classes by themselves)."""
        last = self.layer(self.logits_layer)
        name = getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower())
        return "sigmoid" if name == "sigmoid" else "softmax"

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits, shape (n, classes), as probabilities, by `scores`."""
        return getattr(tf.nn, self.scores)(logits).numpy()

    def check_class_names(self) -> None:
        """Refuse a network whose classes have no names that are known."""
        if self.classes is None and self.class_count != class_names.IMAGENET:
            raise ValueError(f"class names are ImageNet's 1,000; {self.name} has "
                             f"{self.class_count} classes of its own: name them by "
                             "as_network(model, classes=[...]), or go by their numbers "
                             "(vz.logits(net, images).argmax(1)).")

    def check_labels(self, image_set) -> None:
        """Refuse pictures whose labels are indices into another list of classes."""
        self.check_class_names()
        if self.classes != image_set.classes:
            whose = "ImageNet's" if self.classes is None else "its own"
            raise ValueError(f"{self.name} has {whose} classes, and these pictures' labels are of "
                             "others: load them by load_images(..., classes=net.classes).")

    def class_name(self, index: int) -> str:
        """A class's name, ImageNet's label, or its number where neither is known."""
        return self.class_entry(index)[1]

    def class_entry(self, index: int) -> tuple[str, str]:
        """(WordNet id, name) of a class; the id is empty for classes that are not ImageNet's."""
        if self.classes is None and self.class_count != class_names.IMAGENET:
            return "", f"class {index}"
        return class_names.entry(int(index), self.classes)

    def find_class(self, text: str) -> int:
        """The index of a class given by its name (or, for ImageNet's, WordNet id)."""
        self.check_class_names()
        return class_names.find_class(text, self.classes)

    def channels(self, layer: str) -> int:
        """How many filters a convolution has; how many channels any other layer's output."""
        return self.layer(layer).output.shape[-1]

    def check_filters(self, layer: str, filters) -> np.ndarray:
        """Filter numbers as an int array, each within the layer's range."""
        count = self.channels(layer)
        filters = whole_numbers("filters", filters)
        if filters.size == 0:
            raise ValueError("no filter given: name at least one.")
        wrong = filters[(filters < 0) | (filters >= count)]
        if wrong.size:
            raise ValueError(f"{layer} has filters 0 to {count - 1}; {wrong[0]} is out of range.")
        return filters

    def check_filter(self, layer: str, filter) -> int:
        """One filter's number, within the layer's range."""
        found = self.check_filters(layer, np.ravel(filter) if np.size(filter) == 1 else filter)
        if len(found) > 1:
            raise ValueError(f"one filter of {layer} is meant here, not {len(found)}: "
                             f"ask for each by itself.")
        return int(found[0])

    def output(self, layer: str, *, pre_activation: bool, whole: bool = True):
        """A layer's symbolic output in `graph`, before or after its activation function.

        A convolution that a batch normalisation directly follows is one unit with it: before its
        activation it is the normalised output. After it, it is that of the activation layer that
        follows, with a norm between or not; with ``whole=False`` what the convolution itself gives.
        """
        own, norm = self.layer(layer), self.norm(layer)
        if norm is not None and pre_activation:
            return norm.output
        linear = getattr(own, "activation", None) in (None, keras.activations.linear)
        if whole and not pre_activation and linear and kind_of(own).convolves:
            return after_norm(self.graph, own.output)
        if pre_activation and kind_of(own).rectifies:
            return own.input
        if not pre_activation or linear:
            return own.output
        return self.kept(_linear_output, layer)

    def norm(self, layer: str) -> keras.layers.BatchNormalization | None:
        """The batch normalisation that is one unit with a convolution; None without one."""
        return norm_of(self.graph, self.layer(layer))

    def forward(self, layer: str | Sequence[str], *, pre_activation: bool) -> Callable:
        """A function from RGB pictures (0-255, of any size) to a layer's map, or several layers'.

        It is a TensorFlow graph, made once and kept.
        """
        layer = layer if isinstance(layer, str) else tuple(layer)
        return self.kept(_traced_forward, layer, pre_activation)

    def with_weights(self, changed: Mapping[str, Sequence[np.ndarray]], words: str) -> Network:
        """A copy with other weights in some layers; this network is not changed.

        Parameters
        ----------
        changed : mapping from layer name to arrays
            As the layer's ``get_weights`` lists them.
        words : str
            What was done, for ``weights_source``.
        """
        model = copy_of(self.model)
        shared = [x.name for x in self.model.layers for name in changed if x.name != name and any(
            a is b for a in x.weights for b in self.model.get_layer(name).weights)]
        if shared:
            raise ValueError(f"{', '.join(changed)} has its weights in common with {shared[0]} "
                             f"(a layer that {self.name} uses more than once): they cannot be "
                             "changed in one place only.")
        for name, arrays in changed.items():
            model.get_layer(name).set_weights(arrays)
        model.trainable = False
        return dataclasses.replace(self, model=model, responses=None,
                                   weights_source=f"{self.weights_source}; {words}")

    def __repr__(self) -> str:
        return f"Network({self.name!r}: {self.weights_source})"


#: results that a network keeps; each holds a traced function of a few MB at most
MOST_KEPT = 64


def twin(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """A layer that shares another's variables and settings, but for `changes`.

    It is in no graph yet, and the other is not changed: ``twin(conv, activation=linear)`` is a
    convolution without its ReLU whose weights are, now and later, those of ``conv``.
    """
    other = object.__new__(type(layer))  # no __init__: nothing is created
    other.__dict__.update(layer.__dict__)
    other.__dict__.update(_inbound_nodes=[], _outbound_nodes=[], **changes)
    return other


def passes_on(operation) -> bool:
    """Whether an operation hands on in inference what it reads, each number as it is."""
    linear = getattr(operation, "activation", None) is keras.activations.linear
    kind = kind_of(operation)
    return linear and kind.rectifies or type(operation) in (
        keras.layers.Dropout, keras.layers.Identity)


def copy_of(model: keras.Model) -> keras.Model:
    """A model with the same weights in variables of its own."""
    copy = keras.models.clone_model(model)
    for own, given in zip(copy.layers, model.layers, strict=True):
        own.set_weights(given.get_weights())  # layer by layer: some may share their weights
    return copy


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
        Leave out the activation function of `layer` itself (the layers below keep theirs), and
        keep the batch normalisation that directly follows it.

    Returns
    -------
    keras.Model
        From preprocessed pictures to the layer's map. It shares the variables of ``net.model``,
        which is not touched.
    """
    if isinstance(layer, str):
        return keras.Model(net.graph.input,
                           net.output(layer, pre_activation=pre_activation, whole=False))
    before = [pre_activation] * len(layer) if isinstance(pre_activation, bool) else pre_activation
    return keras.Model(net.graph.input, [
        net.output(name, pre_activation=linear, whole=False)
        for name, linear in zip(layer, before, strict=True)])


def _linear_output(net: Network, name: str):
    layer = net.layer(name)
    named = type(layer.name)(f"{name}_linear")  # a name with slashes stays one
    return twin(layer, name=named, activation=keras.activations.linear)(layer.input)


def _traced_forward(net: Network, layer: str | tuple[str, ...], pre_activation: bool) -> Callable:
    names = [layer] if isinstance(layer, str) else layer
    outputs = [net.output(name, pre_activation=pre_activation) for name in names]
    cut = keras.Model(net.graph.input, outputs[0] if isinstance(layer, str) else outputs)
    return traced(lambda images: cut(net.preprocess(images), training=False), PICTURES)


LOGITS = "(class logits)"  #: in an objective, stands for the network's class logits
PICTURE = "(the picture)"  #: in an objective, stands for the picture itself
#: What most traced functions take: RGB pictures, as many and as large as they come.
PICTURES = tf.TensorSpec((None, None, None, 3), tf.float32)


def traced(function: Callable, *signature) -> Callable:
    """A TensorFlow graph of `function`, traced once for arguments of the given kinds.

    Without a signature one graph serves all shapes. AutoGraph, which reads the source file anew
    and so breaks when a module is edited under a running notebook, stays off: loops are
    `tf.while_loop`.
    """
    made = tf.function(function, input_signature=signature or None, autograph=False,
                       reduce_retracing=not signature)
    # TensorFlow counts traces by line of code and would take many layers for one that is traced
    # again and again.
    made._omit_frequent_tracing_warning = True  # noqa: SLF001
    return made


def prepare_device() -> str:
    """Make a GPU's numbers as reproducible as TensorFlow allows, and name the device.

    A CPU is left as it is. On a GPU two of TensorFlow's switches are set: TensorFloat-32 off, which
    rounds what convolutions read to 10 bits of precision [1]_; and deterministic operations on,
    usually slower: random ones then need a seed, and one without a deterministic version ends in
    ``tf.errors.UnimplementedError`` [2]_.

    Call it before anything else is computed; only a new process switches deterministic operations
    off again. Both effects are as TensorFlow's documentation states them: this was written without
    a GPU, and how far its numbers are from the committed ones was not tried.

    Returns
    -------
    str
        A sentence for the notebook: the device, and what was asked of it.

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
