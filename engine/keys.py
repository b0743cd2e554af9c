"""Keys of the cache: what says all about itself, now and later, and what a model's layers do."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types

import keras
import numpy as np


def is_value(thing) -> bool:
    """Whether a thing is a safe key of the cache: equal things are the same, now and later.

    True for numbers, words, functions and frozen dataclasses that an imported module defines,
    and tuples of these. Not for what a notebook's cell defines, or a function within another
    one: it may read a variable that changes.
    """
    if isinstance(thing, tuple):
        return all(map(is_value, thing))
    if isinstance(thing, types.FunctionType):
        return _is_of_a_module(thing)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        rules, own = thing.__dataclass_params__, type(thing)
        return rules.frozen and rules.eq and _is_module_class(own) and all(
            is_value(getattr(thing, part.name)) for part in dataclasses.fields(thing))
    return thing is None or isinstance(thing, str | int | float | np.generic)


def _is_of_a_module(function: types.FunctionType) -> bool:
    """Judged by its code, for `functools.wraps` copies another function's name and module."""
    home = function.__globals__.get("__name__")
    imported = home != "__main__" and vars(sys.modules.get(home, object)) is function.__globals__
    nested = function.__code__.co_flags & inspect.CO_NESTED or function.__closure__
    return bool(imported and not nested and not hasattr(function, "__wrapped__"))


def _is_module_class(own: type) -> bool:
    """Whether a module holds the class under its own name, and what calls it is the module's."""
    called = inspect.getattr_static(own, "__call__", None)
    if isinstance(called, types.FunctionType) and not _is_of_a_module(called):
        return False
    return own.__module__ != "__main__" and "<locals>" not in own.__qualname__


#: What decides, beside its weights, what a layer computes and may be changed after it was built.
DECIDES = ("activation", "strides", "padding", "dilation_rate", "pool_size", "size", "epsilon",
           "axis", "use_bias", "groups", "negative_slope", "max_value", "threshold", "alpha",
           "scale", "offset", "rate", "cropping", "interpolation")


def settings_of(model: keras.Model) -> list:
    """What decides a model's function beside its weights, layer by layer: cheap to compare."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += settings_of(layer)
        else:
            own = vars(layer)
            found += [own.get(name) for name in DECIDES]
    return found


def are_same(first: list, second: list) -> bool:
    """Whether two lists of settings agree; functions are compared by identity."""
    return len(first) == len(second) and all(
        a is b or (not callable(a) and type(a) is type(b) and isinstance(
            a, int | float | str | tuple | list) and a == b)
        for a, b in zip(first, second, strict=True))
