"""The ascent: change pictures until they make an objective large. The project has no other."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from data.progress import Progress
from engine.climb_checks import as_start, as_transforms, check_climb, check_objective
from engine.graph import canvas
from engine.network import PICTURE, Network, traced
from engine.objectives import Objective, Reading
from engine.optimisers import Adam, Optimiser
from engine.parameterisations import Fourier, Parameterisation
from engine.reading import reader, warn_of_padding
from engine.transforms import TRANSFORMS, draw_warps, warp
from engine.wrapping import greyed


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
        RGB 0-255; grey for a network of grey pictures, unless the climb began with pictures given.
    history : float32 ndarray, shape (steps + 1, n)
        The objective on the untransformed, clipped picture, over positions that see no padding
        (where there are any). It is measured after the steps in `measured`; the rows between
        repeat the last measurement. Shorter than asked for if the climb ended early. With
        ``measure="climb"``: the values that were climbed on, for every step. For an objective
        made by `side_by_side`: shape (steps + 1, n, terms).
    measured : tuple of int
        Those steps, 0 first.
    snapshots : dict of int to ndarray
        The pictures after the steps asked for.
    broken : bool ndarray, shape (n,)
        Pictures whose gradient stopped being finite; they are kept as they last were.
    ended : {"done", "settled", "interrupted"}
        Why the climb stopped.
    importance : float32 ndarray, shape (n, size, size), or None
        How strongly the climb pulled at each pixel: size of the objective's gradient, summed over
        colours and steps [1]_. None if it was not asked for.

    References
    ----------
    .. [1] T. Fel et al., "Unlocking feature visualization for deeper networks with MAgnitude
       Constrained Optimization", NeurIPS 2023, arXiv:2306.06805.
    """

    images: np.ndarray
    history: np.ndarray
    measured: tuple[int, ...]
    snapshots: dict[int, np.ndarray]
    broken: np.ndarray
    ended: str
    importance: np.ndarray | None = None


def render(
    net: Network, objective: Objective, *, size: int | None = None, steps: int = 128,
    parameterisation: Parameterisation = Fourier(), optimiser: Optimiser = Adam(),
    transforms: Sequence[Callable] = TRANSFORMS, seed: int | Sequence = 0,
    start: np.ndarray | None = None, calm: float = 0.0,
    measure: Objective | Literal["climb"] | None = None, every: int | None = None,
    snapshots: Sequence[int] = (), settle: float = 0.0, cancel: threading.Event | None = None,
    on_step: Callable[[int, np.ndarray], object] | None = None, progress: bool | str = True,
    interruptible: bool = False, importance: bool = False,
) -> Rendering:
    """Climb: change pictures until they make an objective large.

    Parameters
    ----------
    net : Network
    objective : Objective
        One filter (class, ...) for each of n pictures, or one for all.
    size : int, optional
        Side of the pictures in pixels: by default the receptive field of the highest layer
        read, plus eight strides (a mid-level unit needs 40-100 px, not 224); the network's
        input size where no layer is read.
    steps : int
    parameterisation : Parameterisation
        `Fourier`, `Pixels`, ..., or one of your own.
    optimiser : Optimiser
        `Adam`, `Normalised`, ..., or one of your own.
    transforms : sequence of callables
        `jitter`, `scale`, `rotate`, ...; an empty one, or None, for none.
    seed : int, or one entry (int or tuple of int) for each picture
        Each picture has a random stream of its own: it does not depend on its neighbours in
        the batch. Several seeds and one filter: that many pictures of it.
    start : ndarray, shape (size, size, 3) or (n, size, size, 3), or ImageSet, optional
        Pictures (RGB 0-255) to start from instead of noise.
    calm : float
        Share of the steps, at the end, in which transforms rest: the picture that is shown is
        then finished as it is seen.
    measure : Objective or "climb", optional
        What the history measures, if not the objective on the clean picture. "climb": the
        objective as each step finds it - transformed, before clipping, over all positions - and
        after the last step untransformed. That costs nothing: every step computes it anyway.
    every : int, optional
        Steps between two measurements, a sixteenth of all by default. Each one is a forward
        pass that does not climb.
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
    progress : bool or str
        Show a bar when the work takes over a second; a str is what it says.
    interruptible : bool
        On an interrupt from the keyboard return what there is, marked as such, instead of
        raising `Interrupted`.
    importance : bool
        Keep account of where the climb pulled; it costs one addition a step.

    Returns
    -------
    Rendering

    Raises
    ------
    ValueError
        Unknown layer, channel or class, numbers out of range, a class logit of a network without
        a classifier, a starting picture of the wrong shape, another size than a model is built
        for; numbers of filters, seeds and starting pictures that cannot be paired (each is n,
        or 1).
    Interrupted
        It was stopped from the keyboard.
    """
    check_climb(net, steps=steps, size=size, seed=seed, calm=calm, snapshots=snapshots,
                every=every, settle=settle, optimiser=optimiser, parameterisation=parameterisation)
    if isinstance(measure, str) and measure != "climb":
        raise ValueError(f'measure is an objective or "climb", not {measure!r}.')
    as_climbed = isinstance(measure, str)
    measure = objective if measure is None or as_climbed else measure
    for goal in (objective, measure):
        check_objective(net, goal)
    transforms, start = as_transforms(transforms), as_start(start)
    size = size or _size_for(net, objective)
    if not as_climbed:
        warn_of_padding(net, measure.readings, size)
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
        traced_ascent, goal_of(objective), None if as_climbed else goal_of(measure), size,
        parameterisation, dataclasses.replace(optimiser, rate=1.0), bool(transforms), importance,
        start is None and not net.reads_colour)

    def climb(state, chunk):
        picture, told, state = advance(state, chunk, np.float32(optimiser.rate),
                                       objective.values, measure.values)
        if (state.alive & ~state.sound).numpy().any():  # go back to the last sound picture
            before = tf.nest.map_structure(lambda x: x.numpy(), state).back()
            picture, again, state = climb(before, warps[:0])
            return picture, np.concatenate([told[:-1], again]), state
        return picture, told.numpy(), state

    side = size if importance else 0
    picture, told, state = climb(State.first_of(numbers, optimiser, side), warps[:0])
    values = {0: told[0]}  # of the measure, by step
    kept = {0: picture.numpy()} if 0 in snapshots else {}
    ended, interrupt = "done", None
    every = every or max(2, steps // 16)
    with Progress(total=steps, delay=1, disable=not progress,
                  desc=progress if isinstance(progress, str) else "gradient ascent") as bar:
        try:
            for stop in sorted({*range(every, steps, every), steps,
                                *(s for s in snapshots if 0 < s < steps)}):
                if cancel is not None and cancel.is_set():
                    ended = "interrupted"
                    break
                picture, told, state = climb(state, warps[max(values) : stop])
                values.update(zip(range(stop + 1 - len(told), stop + 1), told, strict=True))
                bar.update(stop - bar.n)
                if stop in snapshots:
                    kept[stop] = picture.numpy()
                if on_step is not None:
                    on_step(stop, picture.numpy())
                if settle and _has_settled(values, steps, settle):
                    ended = "settled"
                    break
        except KeyboardInterrupt as problem:
            ended, interrupt = "interrupted", problem
    done = max(values)
    latest = np.searchsorted(list(values), np.arange(done + 1), side="right") - 1
    found = Rendering(picture.numpy(), np.stack(list(values.values()))[latest], tuple(values), kept,
                      ~state.alive.numpy(), ended, state.pull.numpy() if importance else None)
    if interrupt is None or interruptible:
        return found
    raise Interrupted(f"{done} of {steps} steps", found) from interrupt


def _size_for(net: Network, objective: Objective) -> int:
    """The canvas of the highest layer that an objective reads; none: the network's own size."""
    layers = [r.layer for r in objective.readings if r.layer != PICTURE]
    return max((canvas(net, layer) for layer in layers), default=net.input_size)


def warn_of_broken(net: Network, what: str, *, stacklevel: int = 3) -> None:
    """Tell that a gradient stopped being finite, and what may have made it so."""
    sound = all(np.isfinite(w).all() for w in net.model.get_weights())
    cause = "A smaller rate may help." if sound else (
        f"{net.name} has weights that are not finite (NaN or infinite): load it again.")
    warnings.warn(f"{what}; the last sound picture is kept. {cause}", stacklevel=stacklevel + 1)


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


def _start_from(start, parameterisation, count: int, size: int) -> np.ndarray:
    """Starting pictures → the parameterisation's numbers, one set for each of `count`."""
    start = np.asarray(start, "float32")
    if start.shape not in ((size, size, 3), (count, size, size, 3)):
        raise ValueError(f"start has shape {start.shape}; needed is {(size, size, 3)}, or "
                         f"{(count, size, size, 3)} for one picture each (give size= as well).")
    written = [parameterisation.write(image) for image in start.reshape(-1, size, size, 3)]
    return np.stack(written * (count // len(written)))


def _has_settled(values: dict[int, np.ndarray], steps: int, settle: float) -> bool:
    """Whether no picture moved a `settle` share of its way over the last eighth of steps."""
    measured, rows = list(values), list(values.values())
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
    memory: tuple[np.ndarray, ...]  # the optimiser's
    number: np.ndarray  # steps taken
    alive: np.ndarray  # once its gradient is not finite, a picture stays as it was
    sound: np.ndarray  # whether the picture and what was measured on it are finite
    pull: np.ndarray  # at each pixel so far; of 0 x 0 pixels where nobody asks for it

    @classmethod
    def first_of(cls, numbers: np.ndarray, optimiser: Optimiser, side: int = 0) -> State:
        """Before the first step; `side` is that of the map of pulls."""
        yes, none = np.ones(len(numbers), bool), np.zeros((len(numbers), side, side), "float32")
        return cls(numbers, numbers, optimiser.memory(numbers), np.int32(0), yes, yes, none)

    def back(self) -> State:
        """Pictures that are not sound as they were before the last step, for good."""
        rows = self.sound.reshape(-1, *[1] * (self.numbers.ndim - 1))
        return self._replace(numbers=np.where(rows, self.numbers, self.last),
                             alive=self.alive & self.sound)


def traced_ascent(
    net: Network, goal: Goal, measure: Goal | None, size: int, parameterisation: Parameterisation,
    optimiser: Optimiser, warped: bool, importance: bool = False, grey: bool = False,
) -> Callable:
    """The traced function that takes some steps and then measures the clean picture.

    It returns the clipped pictures, the measured values (one row) and the new state. Without a
    `measure` the values are those that were climbed on: a row before each step, one at the end.
    With `grey` the pictures are returned without the colours, which the network does not see.
    """
    read = reader(net, goal.readings, size)
    read_clean = None if measure is None else reader(net, measure.readings, size, unpadded=True)
    numbers = parameterisation.start(np.random.default_rng(0), size)[None]
    state = tf.nest.map_structure(
        lambda x: tf.TensorSpec((None, *x.shape[1:]) if np.ndim(x) else (), x.dtype),
        State.first_of(numbers, optimiser, size if importance else 0))

    def goal_value(picture, warps, values):
        seen = picture if warps is None else warp(picture, warps, size)
        # all positions pull, else the picture's border would stay grey
        return goal.formula(read(seen, picture, values), values)

    def step(state, warps, rate, values):
        with tf.GradientTape() as tape:
            tape.watch(state.numbers)
            picture = parameterisation.picture(state.numbers, size)
            value = goal_value(picture, warps, values)
            total = tf.reduce_sum(value)
        gradient, at_pixels = tape.gradient(total, (state.numbers, picture)) if importance else (
            tape.gradient(total, state.numbers), None)
        pull = state.pull + tf.reduce_sum(abs(at_pixels), -1) if importance else state.pull
        alive = tf.logical_and(state.alive, all_finite(gradient))
        change, memory = optimiser.change(gradient, state.memory, state.number, rate)

        def moved(new, old):
            return tf.where(tf.reshape(alive, (-1, *[1] * (len(old.shape) - 1))), new, old)

        return value, State(
            moved(state.numbers + change, state.last), moved(state.numbers, state.last),
            tf.nest.map_structure(moved, memory, state.memory), state.number + 1, alive,
            state.sound, moved(pull, state.pull) if importance else pull)

    # a function of its own: oneDNN's max-pool gradients are chosen in the order of the operations,
    # which a loop's circle hides; without this one of them ran on one core, a twelfth of a step
    alone = tf.function(step, autograph=False, experimental_attributes={"_noinline": True})

    def advance(state, warps, rate, values, measured_values):
        count = tf.shape(warps)[0] if measure is None else 0  # rows to tell before the last one

        def one_more(i, told, state):
            value, state = alone(state, warps[i] if warped else None, rate, values)
            return i + 1, told.write(i, value) if measure is None else told, state

        _, told, state = tf.while_loop(
            lambda i, told, state: i < tf.shape(warps)[0], one_more,
            (0, tf.TensorArray(tf.float32, count + 1), state))
        picture = parameterisation.picture(state.numbers, size)
        clean = tf.clip_by_value(picture, 0, 255)
        clean = tf.repeat(greyed(clean), 3, -1) if grey else clean
        if measure is None:
            last = goal_value(picture, None, values)
        else:
            last = measure.formula(read_clean(clean, clean, measured_values), measured_values)
        sound = tf.logical_and(all_finite(picture), all_finite(last))
        return clean, told.write(count, last).stack(), state._replace(sound=sound)

    return traced(advance, state, tf.TensorSpec((None, None, 2, 3), tf.float32),
                  tf.TensorSpec((), tf.float32), goal.specs,
                  goal.specs if measure is None else measure.specs)


def all_finite(rows):
    """For each row of a tensor, whether all of its numbers are finite."""
    return tf.reduce_all(tf.math.is_finite(rows), list(range(1, len(rows.shape))))
