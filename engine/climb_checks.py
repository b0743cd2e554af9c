"""Checks of what a climb is asked for: each refuses by one sentence that says what is wanted."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence

import numpy as np

from data import classes as imagenet
from engine.checks import whole, whole_numbers
from engine.images import ImageSet
from engine.network import LOGITS, PICTURE, Network


def share(name: str, value) -> float:
    """A share, from 0 to 1."""
    if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, not {value!r}.")
    return float(value)


def check_size(net: Network, size) -> None:
    """Refuse a side of pictures that a network cannot take."""
    if isinstance(size, numbers.Integral) and size < 1 or not isinstance(size, numbers.Integral):
        raise ValueError("size is the pictures' side in pixels, a whole number, at least 1, not "
                         f"{size!r}.")
    if net.fixed_size not in (None, size):
        raise ValueError(f"{net.name} takes pictures of {net.fixed_size} px only, not of {size}: "
                         "leave size out.")


def check_climb(
    net: Network, *, steps, size, seed, calm=0.0, snapshots: Sequence[int] = (), every=None,
    settle=0.0, optimiser=None, parameterisation=None,
) -> None:
    """Refuse what no climb can have."""
    whole("steps", steps)
    if size is not None:
        check_size(net, size)
    for one in [seed] if np.ndim(seed) == 0 else seed:
        for part in np.ravel(one).tolist():
            if not isinstance(part, int) or isinstance(part, bool) or part < 0:
                raise ValueError(f"seeds are whole numbers from 0 on, not {part!r}.")
    share("calm", calm)
    share("settle", settle)
    if every is not None:
        whole("every", every)
    wrong = [s for s in snapshots if not isinstance(s, numbers.Integral) or not 0 <= s <= steps]
    if wrong:
        raise ValueError(f"snapshots are steps from 0 to {steps}, not {wrong[0]!r}.")
    _check_offers("optimiser", optimiser, "vz.Adam(0.05)", "rate", "memory", "change")
    _check_offers("parameterisation", parameterisation, "vz.Fourier()", "start", "picture",
                  "write")
    rate = getattr(optimiser, "rate", 1.0)
    if not isinstance(rate, numbers.Real) or not np.isfinite(rate):
        raise ValueError(f"an optimiser's rate is a finite number, not {rate!r}.")


def _check_offers(role: str, thing, example: str, *methods: str) -> None:
    missing = [name for name in methods if not hasattr(thing, name)]
    if thing is not None and (missing or isinstance(thing, type)):
        raise ValueError(f"{role} is one of this project's, such as {example}, or one of your own "
                         f"that offers {', '.join(methods)}; not {thing!r}.")


def as_transforms(transforms) -> tuple[Callable, ...]:
    """Transforms as a tuple: None is none, a single one is a tuple of it."""
    found = () if transforms is None else (
        (transforms,) if callable(transforms) else transforms)
    if isinstance(found, str) or not all(map(callable, found)):
        raise ValueError("transforms is a sequence of transforms, such as (vz.jitter(4), "
                         f"vz.rotate(10)), or empty for none; not {transforms!r}.")
    return tuple(found)


def as_start(start):
    """Starting pictures as an array; those of an ImageSet are read."""
    return start.read(range(len(start))) if isinstance(start, ImageSet) else start


def check_objective(net: Network, objective) -> None:
    """Refuse an objective that reads what a network does not have."""
    if not hasattr(objective, "readings"):
        raise ValueError('an objective is needed, such as vz.channel("LAYER", 17), not '
                         f"{objective!r}.")
    for reading in objective.readings:
        if reading.layer == PICTURE:
            continue
        logits = reading.layer == LOGITS
        layer = net.logits_layer if logits else reading.layer
        shape = net.layer(layer).output.shape
        if reading.chosen is None:
            continue
        chosen = objective.values[reading.chosen]
        if logits:
            check_classes(net, chosen, named=reading.named)
        elif len(shape) != 4:
            raise ValueError(f"{layer} of {net.name} has no map of which a channel could be "
                             "raised; vz.class_logit raises a class's logit.")
        else:
            net.check_filters(layer, chosen)


def turned(objective, sign: int):
    """An objective, or with sign −1 its opposite, if it is one thing that is made large.

    Raises
    ------
    ValueError
        −1, and it reads several: a penalty among them would be made large.
    """
    if sign != 1 and len(getattr(objective, "readings", ())) > 1:
        raise ValueError("sign=-1 turns round all of an objective, and this one reads "
                         f"{len(objective.readings)} things: a penalty among them would be made "
                         "large. Write the sign where it belongs, such as lambda layer, filters: "
                         "-1 * vz.channel(layer, filters) - penalty.")
    return objective if sign == 1 else sign * objective


def check_classes(net: Network, chosen, *, named: bool = False) -> None:
    """Refuse class numbers beyond a network's classes, and names of another list of classes."""
    if named:
        net.check_class_names()
        if net.classes is not None:
            raise ValueError(f"these classes were given by ImageNet's names, and {net.name} has "
                             "its own: give vz.class_logit(net.find_class(name)).")
    wrong = [c for c in np.ravel(chosen) if not 0 <= c < net.class_count]
    if wrong:
        raise ValueError(f"{net.name}'s classes are 0 to {net.class_count - 1}, not {wrong[0]}.")


def class_numbers(classes) -> tuple[np.ndarray, bool]:
    """Class numbers as an int array, and whether ImageNet's names were given for them."""
    listed = [classes] if isinstance(classes, str) or np.ndim(classes) == 0 else list(classes)
    named = any(isinstance(one, str) for one in listed)
    return whole_numbers("classes", [
        imagenet.find_class(one) if isinstance(one, str) else one for one in listed]), named
