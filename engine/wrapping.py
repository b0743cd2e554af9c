"""Wrapping a Keras model as a `Network`, and building layers whatever Keras's settings are."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras

from engine.kinds import kind_of
from engine.network import Network

HEADS = ("original", "distilled", "none")  #: what `Network.head` may be


def as_network(
    model: keras.Model, *, preprocess: Callable | None = None, name: str | None = None,
    input_size: int | None = None, head: str = "none",
) -> Network:
    """Wrap any functional Keras image model so that every function of this file accepts it.

    Parameters
    ----------
    model : keras.Model
        Functional, one input of RGB pictures, one output.
    preprocess : callable, optional
        RGB 0-255 → model input, differentiable. Identity if the model preprocesses itself.
    name, head
        As in `Network`.
    input_size : int, optional
        As in `Network`: the side that the model is built for, or 224 px if it takes any.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "_operations"):
        raise ValueError("as_network needs a functional keras.Model (one with a layer graph).")
    if len(model.inputs) != 1:
        raise ValueError(f"as_network needs a model with one picture input; {model.name} has "
                         f"{len(model.inputs)}.")
    if len(model.outputs) != 1:
        raise ValueError(f"as_network needs a model with one output; {model.name} has "
                         f"{len(model.outputs)}: give keras.Model(model.input, model.outputs[0]), "
                         "or whichever is meant.")
    if head not in HEADS:
        raise ValueError(f"head is one of {', '.join(HEADS)} (original: the model ends in class "
                         f"scores of its own), not {head!r}.")
    _check_layers(model)
    _check_input(model, input_size)
    return Network(
        name=name or model.name,
        model=model,
        preprocess=_in_plain_keras(preprocess) if preprocess else lambda images: images,
        conv_layers=tuple(x.name for x in model.layers if kind_of(x).convolves),
        weights_source=f"the given Keras model {model.name!r}",
        head=head,
        input_size=input_size or model.input_shape[1] or 224,
    )


def _check_input(model: keras.Model, input_size: int | None) -> None:
    """Refuse a model that does not take square RGB pictures."""
    shape = model.input_shape
    if len(shape) != 4 or shape[3] == 1:
        raise ValueError("as_network needs a model of RGB pictures, (n, rows, columns, 3); "
                         f"{model.name} reads {shape}.")
    if shape[1] != shape[2] or input_size not in (None, shape[1]) and shape[1]:
        raise ValueError(f"{model.name} takes pictures of {shape[1]} × {shape[2]} px; pictures "
                         f"are square here, and input_size is {input_size or 'left out'}.")


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
