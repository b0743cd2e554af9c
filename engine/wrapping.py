"""Wrapping a Keras model as a `Network`, and building layers whatever Keras's settings are."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from engine.class_names import as_classes, check_count
from engine.flattening import flat
from engine.kinds import kind_of
from engine.links import below, made_by
from engine.network import Network, passes_on

HEADS = ("original", "distilled", "none")  #: what `Network.head` may be
#: What the channels of a model's input are, by how many there are.
CHANNELS = {1: ("grey",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "alpha")}
GREY = (0.299, 0.587, 0.114)  #: of R, G, B: how Pillow, and most programs, make pictures grey


def _caffe(images):
    """RGB 0-255 → BGR minus ImageNet's mean colour."""
    return keras.ops.flip(images, -1) - tf.constant([103.939, 116.779, 123.68], images.dtype)


def _standardised(images):
    """RGB 0-255 → 0-1, minus ImageNet's mean colour, over its standard deviation."""
    mean, spread = (tf.constant(x, images.dtype) for x in (
        [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (images / 255 - mean) / spread


#: What is done to pictures of 0-255 before a model sees them, by the names that a user may give.
#: The last two are of three colours: as VGG, and as most networks of PyTorch, were trained.
PREPROCESSINGS = {
    "none": lambda images: images,
    "0-1": lambda images: images / 255,
    "-1-1": lambda images: images / 127.5 - 1,
    "vgg": _caffe,
    "torch": _standardised,
}


def as_network(
    model: keras.Model, *, preprocess: Callable | str | None = None, name: str | None = None,
    input_size: int | None = None, head: str | None = None, classes=None,
    output: str | int | None = None,
) -> Network:
    """Wrap a Keras image model of yours so that every function of this project accepts it.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, of one picture with 1, 3 or 4 channels; models inside it are
        opened (their layers are called ``vgg16/block3_conv2``, or shorter where that is unique).
        It is not changed; `Network.model` shares its variables.
    preprocess : str or callable, optional
        RGB 0-255 → model input, differentiable. Left out: the identity, and a sentence that asks
        if the model does not change its pictures itself (``"none"``: it need not). For a
        model of grey pictures it is given grey ones (0.299 R + 0.587 G + 0.114 B, one channel),
        for one of four channels RGB with an opaque fourth (255). By name: ``"0-1"`` (divided by
        255), ``"-1-1"`` (by 127.5, minus 1), ``"vgg"`` (BGR minus ImageNet's mean colour),
        ``"torch"`` (0-1, minus the mean colour, over its standard deviation).
    name
        As in `Network`.
    input_size : int, optional
        As in `Network`: the side that the model is built for, or 224 px if it takes any.
    head : {"original", "distilled", "none"}, optional
        As in `Network`; by default "original" for a model that ends in class scores: in a dense
        layer, or a softmax.
    classes : sequence of str, or path, optional
        Names of its classes, in the order of its outputs; or a text file with a name on each
        line, or the folder of training pictures with a folder for each class.
    output : str or int, optional
        Which output is the classifier's, where there are several: its key, name or number.

    Raises
    ------
    ValueError
        What cannot be taken, each in a sentence that says what helps: subclassed models, models
        that were not built, several inputs, several outputs without `output`, pictures that are
        not square or of other channels, classes of another number.
    """
    if head not in (None, *HEADS):
        raise ValueError(f"head is one of {', '.join(HEADS)} (original: the model ends in class "
                         f"scores of its own), not {head!r}.")
    given, model, classes = model, flat(model, output=output), as_classes(classes)
    channels = CHANNELS.get(model.input_shape[-1], ("R", "G", "B"))
    if isinstance(preprocess, str):
        channels = channels[::-1] if preprocess == "vgg" else channels
        preprocess = _by_name(preprocess, model.input_shape[-1])
    _check_layers(model)
    _check_input(model, input_size)
    if head is None:
        head = "original" if classes is not None or _ends_in_scores(model) else "none"
    net = Network(
        name=name or given.name,
        model=model,
        preprocess=_for_channels(preprocess, model.input_shape[-1]),
        conv_layers=tuple(x.name for x in model.layers if kind_of(x).convolves),
        weights_source=f"the given Keras model {given.name!r}",
        head=head,
        input_size=input_size or model.input_shape[1] or 224,
        input_channels=channels,
        classes=classes,
    )
    if classes is not None:
        check_count(classes, net.class_count, net.name)
    if preprocess is None and _takes_raw_pictures(net):
        print(f"{net.name} changes its pictures nowhere before its first convolution: they go in "
              "as RGB 0-255. If it was trained on others, give preprocess= one of "
              f"{', '.join(PREPROCESSINGS)} (in the report PREPROCESS=), or a function.")
    return net


def _takes_raw_pictures(net: Network) -> bool:
    """Whether a model's first convolution reads pictures as they are given, not in other units."""
    if not net.conv_layers:
        return False
    first = net.model.get_layer(net.conv_layers[0])
    return all(kind_of(one).reads == "picture" or kind_of(one).sign or kind_of(one).augments
               for one in below(first.input))


def _by_name(preprocess: str, channels: int | None) -> Callable:
    """One of `PREPROCESSINGS`, if there is one of that name for so many channels."""
    if preprocess not in PREPROCESSINGS:
        raise ValueError(f"preprocess is one of {', '.join(PREPROCESSINGS)} (of pictures of "
                         f"0-255), or a function, not {preprocess!r}.")
    if preprocess in ("vgg", "torch") and channels not in (None, 3):
        raise ValueError(f"preprocess {preprocess!r} is for three colours, and this model reads "
                         f"{channels} channel(s): '0-1' or '-1-1' may be meant.")
    return PREPROCESSINGS[preprocess]


def _ends_in_scores(model: keras.Model) -> bool:
    """Whether a model ends in one row of class scores: a dense layer, or a softmax."""
    operation, inputs = made_by(model.output)
    while inputs and (passes_on(operation) or kind_of(operation).rectifies):
        if "softmax" in (getattr(getattr(operation, "activation", None), "__name__", ""),
                         type(operation).__name__.lower()):
            break
        operation, inputs = made_by(inputs[0])
    scores = isinstance(operation, keras.layers.Dense) or kind_of(operation).rectifies
    return len(model.output.shape) == 2 and scores and (model.output.shape[-1] or 0) > 1


def _check_input(model: keras.Model, input_size: int | None) -> None:
    """Refuse a model that does not take square pictures of 1, 3 or 4 channels."""
    shape = model.input_shape
    if len(shape) != 4:
        raise ValueError("as_network needs a model of pictures, (n, rows, columns, channels); "
                         f"{model.name} reads {shape}: give its input a channel axis, "
                         "keras.Input((28, 28, 1)) for grey ones.")
    if shape[1] != shape[2] or input_size not in (None, shape[1]) and shape[1]:
        raise ValueError(f"{model.name} takes pictures of {shape[1]} × {shape[2]} px; pictures "
                         f"are square here, and input_size is {input_size or 'left out'}.")


def _for_channels(preprocess: Callable | None, channels: int | None) -> Callable:
    """RGB 0-255 → the input of a model with so many channels."""
    prepared = _in_plain_keras(preprocess) if preprocess else lambda images: images
    if channels in (None, 3) or preprocess and _makes(prepared, channels):
        return prepared
    if channels not in CHANNELS:
        return functools.partial(_refuse, channels)
    if channels == 1:
        return lambda images: prepared(greyed(images))
    return lambda images: prepared(tf.concat(
        [images, tf.fill(tf.concat([tf.shape(images)[:-1], [1]], 0),
                         tf.constant(255, images.dtype))], -1))


def greyed(rgb):
    """Colours, shape (n, h, w, 3) → their grey, shape (n, h, w, 1)."""
    return tf.tensordot(rgb, tf.constant(GREY, rgb.dtype), 1)[..., None]


def _refuse(channels: int, images):
    raise ValueError(f"this model reads {channels} channels; of pictures there are 1 (grey), 3 "
                     "(RGB) or 4 (RGB and alpha): give as_network(model, preprocess=...), which "
                     "makes them.")


def _makes(preprocess: Callable, channels: int) -> bool:
    """Whether a preprocessing makes so many channels of RGB pictures by itself."""
    try:
        return preprocess(tf.zeros((1, 8, 8, 3))).shape[-1] == channels
    except (ValueError, TypeError, tf.errors.InvalidArgumentError):  # it wants what the model reads
        return False


@contextlib.contextmanager
def plain_keras() -> Iterator[None]:
    """Build layers in single precision and with channels last, however Keras is configured.

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
        with plain_keras():
            return preprocess(images)

    return preprocessed


def _check_layers(model: keras.Model) -> None:
    """Refuse a model that is not in single precision, or not with channels last."""
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
