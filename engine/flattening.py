"""Any Keras model of pictures as one flat graph: no model in a model, one output, one size.

The layers of the flat graph are twins of the model's own: they share its variables, so that the
numbers are the same, now and after further training, and the model itself is not changed.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from engine.kinds import kind_of
from engine.links import is_picture, made_by, replayed
from engine.network import passes_on, twin

#: What `as_network` says of models whose layers are joined in Python code.
SUBCLASSED = (
    "is a subclassed model: its layers are joined in Python code, which is no graph that could be "
    "followed. Build it as a functional one from the same layers, with the same weights: "
    "inputs = keras.Input((rows, columns, 3)); keras.Model(inputs, model.call(inputs)).")


class LayerName(str):
    """A layer's name that may say which model it lies in: ``vgg16/block3_conv2``.

    Keras refuses names with a slash, for variables are called by such paths; the variables here
    have their names already.
    """

    def __contains__(self, part: str) -> bool:
        return part != "/" and super().__contains__(part)


def flat(model: keras.Model, *, output: str | int | None = None) -> keras.Model:
    """A model as one flat functional graph on the same variables.

    Parameters
    ----------
    model : keras.Model
        Functional or `keras.Sequential`, of one picture.
    output : str or int, optional
        Which of several outputs: its key, its name, or its number.

    Returns
    -------
    keras.Model
        `model` itself if it is such a graph already. Else one in which models inside models are
        opened (at any depth), a layer that is used several times is several layers, layers that
        change pictures at random are left out, and layers at its start that bring pictures to a
        size are replaced by that size of its input. A classifier of one number, the probability of
        the second of two classes, has two logits, 0 and its own.

    Raises
    ------
    ValueError
        A subclassed model, or one inside; one that was not built; several inputs; several outputs
        of which none was chosen.
    """
    check_is_graph(model)
    inputs, tensor = _ends(model, output)
    if _is_flat(model, inputs, tensor):
        return model
    size = tuple(inputs.shape[1:])
    opened = _opened(model, inputs, tensor, size, sized=False)
    target = _first_size(opened)
    return opened if target is None else _opened(
        model, inputs, tensor, (*target, size[-1]), sized=True)


def check_is_graph(model) -> None:
    """Refuse what has no layer graph, in a sentence that says what helps."""
    if not isinstance(model, keras.Model):
        raise ValueError("as_network needs a keras.Model, functional or Sequential, not "
                         f"{type(model).__name__}; vz.load_network loads networks by name and "
                         "models from files.")
    if isinstance(model, keras.Sequential):
        if not model.built or not model.layers or not getattr(model, "inputs", None):
            raise ValueError(f"{model.name} was not built yet, so that it has no weights: call "
                             "model.build((None, rows, columns, channels)), or begin it with "
                             "keras.Input((rows, columns, channels)).")
    elif not is_functional(model):
        raise ValueError(f"{model.name} {SUBCLASSED}")


def is_functional(model) -> bool:
    """Whether a model knows its layer graph (a Sequential one does not show it)."""
    return isinstance(model, keras.Model) and hasattr(model, "_operations")


def _ends(model: keras.Model, output: str | int | None):
    """The input of a model, and the one of its outputs that is meant."""
    if len(model.inputs) != 1:
        raise ValueError(f"as_network needs a model with one picture input; {model.name} has "
                         f"{len(model.inputs)}.")
    if output is None and len(model.outputs) == 1:
        return model.inputs[0], model.outputs[0]
    named = {made_by(x)[0].name: x for x in model.outputs}
    if is_functional(model) and isinstance(model.output, dict):
        named = model.output
    names, choices = list(named), {**dict(enumerate(model.outputs)), **named}
    if output not in choices:
        listed = ", ".join(f"{name} {tuple(choices[name].shape)}" for name in names)
        asked = "" if output is None else f", none of them {output!r}"
        raise ValueError(
            f"as_network needs a model with one output; {model.name} has {len(model.outputs)}"
            f"{asked}: say which is meant, as_network(model, output={names[0]!r}) or its number; "
            f"there are {listed}.")
    return model.inputs[0], choices[output]


def _is_flat(model: keras.Model, inputs, tensor) -> bool:
    """Whether a model can stay as it is."""
    if not is_functional(model) or model.output is not tensor or model.input is not inputs:
        return False  # such as a list of one output, or a mapping of one input
    if inputs.shape[0] is not None or inputs.dtype != "float32":
        return False
    for own in model.operations:
        kind = kind_of(own)
        if isinstance(own, keras.Model) or _parts(own) is not None or kind.augments:
            return False
        if kind.reads == "size" and is_picture(own.output):
            return False
    nodes = [node for level in model._nodes_by_depth.values() for node in level]  # noqa: SLF001
    once = len({id(node.operation) for node in nodes}) == len(nodes)
    return once and not _is_one_probability(tensor)


def _parts(own) -> Sequence | None:
    """The layers that a layer runs one after the other; None for any other layer."""
    if isinstance(own, (keras.Sequential, keras.layers.Pipeline)):
        return own.layers
    return None


def _opened(model: keras.Model, inputs, tensor, shape, *, sized: bool) -> keras.Model:
    """The flat model, for pictures of a shape (rows, columns, channels); `sized`: the final one."""
    picture = keras.Input(shape, dtype="float32", name=made_by(inputs)[0].name)
    made: list[tuple[keras.layers.Layer, tuple[str, ...]]] = []
    call = _Call((), made, sized)
    outputs = call.through(model)(picture) if isinstance(model, keras.Sequential) else (
        replayed([tensor], {id(inputs): picture}, call)[0])
    if _is_one_probability(outputs):
        outputs = _two_logits(outputs, made)
    _name(made, picture)
    return keras.Model(picture, outputs, name=model.name)


@dataclass(frozen=True)
class _Call:
    """What happens to an operation when its graph is run once more: see `replayed`.

    Attributes
    ----------
    path : tuple of str
        The models that it lies in, from the outside.
    made : list of (operation, path)
        What was made so far; filled here.
    sized : bool
        Whether the pictures have their final size already.
    """

    path: tuple[str, ...]
    made: list
    sized: bool

    def __call__(self, operation, *args, **kwargs):
        """The operation's outputs, made by its twin, or by what is inside it."""
        inner = _Call((*self.path, operation.name), self.made, self.sized).through(operation)
        if inner is not None:
            return inner(args[0])
        if isinstance(operation, keras.Model):
            raise ValueError(f"{operation.name}, inside the model, {SUBCLASSED}")
        kind = kind_of(operation)
        if kind.augments and kind.reads == "position" or kind.reads == "size" and (
                self.sized and is_picture(args[0]) or _has_size(operation, args[0])):
            return args[0]
        for name in ("training", "mask"):  # all that is done here is inference
            kwargs.pop(name, None)
        own = twin(operation)
        self.made.append((own, (*self.path, operation.name)))
        return own(*args, **kwargs)

    def through(self, operation) -> Callable | None:
        """A function that runs a tensor through what is inside a model; None for other layers."""
        parts = _parts(operation)
        if parts is not None:
            return lambda tensor: functools.reduce(lambda x, part: self(part, x), parts, tensor)
        if not is_functional(operation):
            return None

        def run(tensor):
            given = zip(map(id, operation.inputs), keras.tree.flatten(tensor), strict=True)
            return keras.tree.pack_sequence_as(
                operation.output, replayed(operation.outputs, dict(given), self))

        return run


def _has_size(operation, tensor) -> bool:
    """Whether a map has the size already that a layer brings maps to."""
    return tuple(tensor.shape[1:3]) == (operation.height, operation.width)


def _first_size(model: keras.Model) -> tuple[int, int] | None:
    """The size to which a flat model brings its pictures before it looks at them."""
    sizes = {own.name: (own.height, own.width) for own in model.operations
             if kind_of(own).reads == "size" and is_picture(made_by(own.output)[1][0])}
    if len(set(sizes.values())) > 1:
        warnings.warn(f"{', '.join(sizes)} bring pictures to a size one after the other; here they "
                      "are left out, and pictures of the last size are read as they are.",
                      stacklevel=4)
    return list(sizes.values())[-1] if sizes else None


def _is_one_probability(tensor) -> bool:
    """Whether a model ends in one number a picture, between 0 and 1."""
    operation, inputs = made_by(tensor)
    while inputs and passes_on(operation):
        operation, inputs = made_by(inputs[0])
    name = getattr(getattr(operation, "activation", None), "__name__", type(operation).__name__)
    return len(tensor.shape) == 2 and tensor.shape[-1] == 1 and name.lower() == "sigmoid"


def _two_logits(probability, made: list):
    """Logits 0 and z, whose softmax is 1 − p and p, where p is the sigmoid of z."""
    operation, inputs = made_by(probability)
    while passes_on(operation):
        operation, inputs = made_by(inputs[0])
    logit = inputs[0]
    if not kind_of(operation).rectifies:  # a layer with weights, and the sigmoid in it
        linear = twin(operation, activation=keras.activations.linear)
        made[:] = [(linear if own is operation else own, path) for own, path in made]
        logit = linear(logit)
    both = keras.layers.Dense(2, use_bias=False, dtype="float32", name="two_logits")
    logits = both(logit)
    both.set_weights([np.array([[0, 1]], "float32")])
    made.append((both, ("two_logits",)))
    return logits


def _name(made: list, picture) -> None:
    """Call each layer by as much of its path as no other layer shares."""
    taken = Counter()
    paths = []
    for _, path in made:
        taken[path] += 1
        paths.append(path if taken[path] == 1 else (*path, str(taken[path])))
    endings = Counter("/".join(path[start:]) for path in paths for start in range(len(path)))
    endings[made_by(picture)[0].name] += 1
    for (own, whole), path in zip(made, paths, strict=True):
        least = 1 if len(path) == len(whole) else 2  # a repeated layer keeps its number
        short = next(("/".join(path[-n:]) for n in range(least, len(path) + 1)
                      if endings["/".join(path[-n:])] == 1), "/".join(path))
        own.__dict__["name"] = LayerName(short)
