"""Links between layers: what makes a Keras tensor, what reads it, and what is one unit with it.

All code that follows a network's layer graph uses these functions, and `engine.kinds` for what a
layer does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras

from engine.kinds import kind_of


def made_by(tensor) -> tuple[keras.layers.Layer, list]:
    """The layer that makes a Keras tensor, and the tensors that it makes it from."""
    operation, node, _ = tensor._keras_history  # noqa: SLF001  (Keras has no public name for it)
    return operation, operation._inbound_nodes[node].input_tensors  # noqa: SLF001


def readers(model: keras.Model, tensor) -> list[keras.layers.Layer]:
    """The layers, and the operations that are no layers, of a model that read a Keras tensor."""
    return [layer for layer in model.operations for node in layer._inbound_nodes  # noqa: SLF001
            if any(read is tensor for read in node.input_tensors)]


def norm_of(model: keras.Model, layer: keras.layers.Layer):
    """The batch normalisation that is one unit with a convolution of `model`, or None.

    It reads the convolution's output, before any activation, over channels, and nothing else
    reads that.
    """
    linear = getattr(layer, "activation", None) in (None, keras.activations.linear)
    if not kind_of(layer).convolves or not linear:
        return None
    reading = readers(model, layer.output)
    if len(reading) != 1 or not isinstance(reading[0], keras.layers.BatchNormalization):
        return None
    return reading[0] if reading[0].axis in (-1, 3) else None


def after_norm(model: keras.Model, tensor):
    """A convolution's map after batch normalisation and activation, where it has these.

    Each is a layer that alone reads the one before; what comes after the activation is no part of
    the unit.
    """
    reading = readers(model, tensor)
    if len(reading) != 1:
        return tensor
    if kind_of(reading[0]).rectifies:
        return reading[0].output
    normalises = isinstance(reading[0], keras.layers.BatchNormalization)
    return after_norm(model, reading[0].output) if normalises else tensor


def below(tensor) -> Iterator[keras.layers.Layer]:
    """Every operation that a tensor depends on, its own maker first."""
    seen, waiting = set(), [tensor]
    while waiting:
        operation, inputs = made_by(waiting.pop())
        if id(operation) not in seen:
            seen.add(id(operation))
            waiting += inputs
            yield operation


def is_picture(tensor) -> bool:
    """Whether a tensor is still the picture, if in other units: no kernel was laid over it."""
    return all(kind_of(own).reads in ("picture", "position", "size")
               and getattr(own, "kernel", None) is None for own in below(tensor))


def replayed(outputs: list, known: dict[int, object], call: Callable) -> list:
    """Run a layer graph once more, with something else in place of each of its operations.

    Parameters
    ----------
    outputs : list of Keras tensors
        Of the graph as it is.
    known : dict
        What takes the place of tensors, by their `id`: at least of the graph's inputs. It is
        filled while the graph is run.
    call : callable
        ``call(operation, *args, **kwargs)`` → what the operation's outputs become.

    Returns
    -------
    list
        What takes the place of `outputs`.
    """
    waiting = list(outputs)
    while waiting:  # a loop: a deep network has more layers than Python calls within calls
        tensor = waiting[-1]
        operation, number, _ = tensor._keras_history  # noqa: SLF001
        node = operation._inbound_nodes[number]  # noqa: SLF001
        missing = [x for x in node.input_tensors if id(x) not in known]
        if id(tensor) in known:
            waiting.pop()
        elif missing:
            waiting += missing[::-1]
        else:
            given = node.arguments
            args, kwargs = keras.tree.map_structure(
                lambda x: known.get(id(x), x), (given.args, given.kwargs))
            made = keras.tree.flatten(call(operation, *args, **kwargs))
            known.update(zip(map(id, node.output_tensors), made, strict=True))
    return [known[id(x)] for x in outputs]
