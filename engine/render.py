"""The ascent: change pictures until they make an objective large. The project has no other."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from engine.graph import ReceptiveField, canvas, receptive_field, unpadded_positions
from engine.network import LOGITS, Network, traced
from engine.objectives import Objective, Reading
from engine.optimisers import Adam
from engine.parameterisations import Fourier
from engine.transforms import TRANSFORMS, draw_warps, warp


class Interrupted(KeyboardInterrupt):
    """Work was stopped from the keyboard; what is finished is kept.

    It propagates as any interrupt does, so that no later code runs on half of the results.
    In a notebook ``import sys; sys.last_value.finished`` gives what there is; called with
    ``interruptible=True``, the function returns it instead, marked ``ended="interrupted"``.

    Attributes
    ----------
    finished : object
        What the function would have returned, as far as it is done.
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
    check_climb(steps, size, seed)
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
        traced_ascent, goal_of(objective), goal_of(measure), size, parameterisation,
        dataclasses.replace(optimiser, rate=1.0), bool(transforms))

    def climb(state, chunk):
        picture, value, state = advance(state, chunk, np.float32(optimiser.rate),
                                        objective.values, measure.values)
        if (state.alive & ~state.sound).numpy().any():  # go back to the last sound picture
            return climb(State(*(x.numpy() for x in state)).back(), warps[:0])
        return picture, value, state

    picture, value, state = climb(State.first_of(numbers), warps[:0])
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


def check_climb(steps: int, size: int | None, seed) -> None:
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


@dataclass(frozen=True)
class Goal:
    """What of an objective decides its trace: all but the numbers themselves."""

    readings: tuple[Reading, ...]
    formula: Callable
    kinds: tuple[tuple[tuple[int | None, ...], str], ...]  # shape and type of its values

    @property
    def specs(self) -> tuple[tf.TensorSpec, ...]:
        """What TensorFlow must know of the values."""
        return tuple(tf.TensorSpec(shape, kind) for shape, kind in self.kinds)


def goal_of(objective: Objective) -> Goal:
    """The part of an objective that `traced_ascent` is made for."""
    kinds = tuple(((None, *np.shape(v)[1:]) if np.ndim(v) else (), np.asarray(v).dtype.name)
                  for v in objective.values)
    return Goal(objective.readings, objective.formula, kinds)


class State(NamedTuple):
    """Where a climb stands: one row of each for each picture, the step number aside."""

    numbers: np.ndarray  # the pictures, as the parameterisation writes them
    last: np.ndarray  # the numbers before the last step: their gradient was finite
    first: np.ndarray  # the optimiser's two memories
    second: np.ndarray
    number: np.ndarray  # steps taken
    alive: np.ndarray  # once its gradient is not finite, a picture stays as it was
    sound: np.ndarray  # whether the picture and what was measured on it are finite

    @classmethod
    def first_of(cls, numbers: np.ndarray) -> State:
        """Before the first step."""
        yes, zero = np.ones(len(numbers), bool), np.zeros_like(numbers)
        return cls(numbers, numbers, zero, zero, np.int32(0), yes, yes)

    def back(self) -> State:
        """Pictures that are not sound as they were before the last step, for good."""
        rows = self.sound.reshape(-1, *[1] * (self.numbers.ndim - 1))
        return self._replace(numbers=np.where(rows, self.numbers, self.last),
                             alive=self.alive & self.sound)


def traced_ascent(
    net: Network, goal: Goal, measure: Goal, size: int, parameterisation, optimiser, warped: bool
) -> Callable:
    """The traced function that takes some steps and then measures the clean picture."""
    read = _reader(net, goal.readings, size)
    read_clean = _reader(net, measure.readings, size, unpadded=True)
    shape = parameterisation.start(np.random.default_rng(0), size).shape
    numbers, flags = tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.bool)
    state = State(*[numbers] * 4, tf.TensorSpec((), tf.int32), flags, flags)

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
        return State(tf.where(moves, state.numbers + change, state.last),
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
    names = [net.last_layer if r.layer == LOGITS else r.layer for r in readings]
    layers = [net.layer(name) for name in names]
    cut = [r.chosen is not None and type(x) is keras.layers.Conv2D and x.groups == 1
           for r, x in zip(readings, layers, strict=True)]
    body = keras.Model(net.graph.input, [
        x.input if short else net.output(name, pre_activation=r.pre_activation)
        for name, r, x, short in zip(names, readings, layers, cut, strict=True)])
    rows, columns = seen_by(net, names, readings, size)
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


def seen_by(net: Network, names, readings, size: int) -> tuple[slice, slice]:
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
        inside = unpadded_positions(net, name, size, needed=False) if unpadded else None
        return None if inside is None else (inside, inside)
    seen = receptive_field(net, name, input_size=size)
    return tuple(slice(i, i + 1) for i in (
        place - start // seen.stride
        for place, start in zip(_position(reading, seen), corner, strict=True)))
