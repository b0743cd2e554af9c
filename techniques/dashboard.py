"""A dashboard: point at a filter and watch what is known of it appear.

The file reads from the inside out, and only its last part knows of widgets:

1. **Views** - what is looked at (`View`): a network, a layer, a filter, a picture.
2. **Panels** - the table `PANELS`: each is a function from a view to a figure, and the lines of
   code that make and show the same figure without a dashboard. `draw` calls one.
3. **Work** - a `Runner` does long work in a thread; a new job for the same place cancels the old
   one, and what a cancelled job still reports is dropped.
4. **Widgets** - `Card`, `Sheet`, `Side` and the `Dashboard` that holds them.

A panel of your own is a `Panel` in the dictionary that `Dashboard` is given as ``panels``.
Everything runs with ipywidgets 7.7 (Colab) and 8; the worker's thread only sets traits.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import io
import itertools
import json
import queue
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

import vizutils as vz
from data import weights
from engine import style
from techniques import attribution, inversion

SIZE = 96  #: side of drawn pictures, in px: frames follow each other fast enough to watch

#: What stands for a network and pictures that come from outside, in lines of code.
GIVEN = {"net": "# net: the network that the dashboard was given",
         "pictures": "# pictures: the image set that the dashboard was given"}

# --- views: what is looked at ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class View:
    """What a panel is asked to show.

    Attributes
    ----------
    net : Network
    layer : str
    filter : int
    pictures : ImageSet
        All that can be chosen; the strongest patches are cut from them.
    picture : int
        Which of them is looked at.
    size : int
        Side in px of pictures that are drawn.
    steps, seed : int
        Of an ascent or an inversion.
    code : mapping of str to str
        ``"net"`` and ``"pictures"``: lines of code that make the two, or say what they are.
    memory : dict
        What panels keep for the next view of the same network and pictures.
    """

    net: vz.Network
    layer: str
    filter: int
    pictures: vz.ImageSet
    picture: int = 0
    size: int = SIZE
    steps: int = 128
    seed: int = 0
    code: Mapping[str, str] = field(default_factory=lambda: dict(GIVEN))
    memory: dict = field(default_factory=dict, repr=False)

    @property
    def image(self) -> np.ndarray:
        """The chosen picture, float32 RGB 0-255, shape (side, side, 3)."""
        return self.pictures.read([self.picture])[0]

    @property
    def title(self) -> str:
        """The filter's name in words."""
        return f"{self.layer}, filter {self.filter}"

    @property
    def parameters(self) -> dict:
        """What decides a panel's figure, as it is written into a saved one."""
        return {"network": self.net.name, "weights": self.net.weights_source, "layer": self.layer,
                "filter": self.filter, "picture": self.pictures.names[self.picture],
                "size": self.size, "steps": self.steps, "seed": self.seed}


def join(pictures: vz.ImageSet, own: Mapping[str, np.ndarray]) -> vz.ImageSet:
    """An image set with pictures of one's own in front of it.

    Parameters
    ----------
    pictures : ImageSet
    own : mapping of str to ndarray, shape (size, size, 3)
        Name → RGB 0-255, of the set's size.
    """
    pictures = vz.as_image_set(pictures)
    if not own:
        return pictures
    added = vz.check_each(own.values())
    for name, image in zip(own, added, strict=True):
        if image.shape[:2] != (pictures.size, pictures.size):
            raise ValueError(f"{name} has {image.shape[0]} × {image.shape[1]} px, the others "
                             f"{pictures.size}: vz.read_image(path, size={pictures.size}).")
    return vz.ImageSet((*own, *pictures.names),
                       np.concatenate([np.full(len(own), -1), pictures.labels]), pictures.size,
                       np.concatenate([np.stack(added), pictures.images]))


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """A square RGB picture, 0-255, at another side (bicubic)."""
    image, = vz.check_each([image])
    planes = Image.fromarray(np.clip(image, 0, 255).round().astype("uint8"))
    return np.asarray(planes.resize((size, size), Image.Resampling.BICUBIC), "float32")


# --- panels: what is shown --------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One kind of figure.

    Attributes
    ----------
    title : str
    draw : callable
        ``draw(view, task)`` → ``(figure, alternative text)``. On the way it may call
        ``task.progress(done, of)`` and ``task.show(picture, alternative text)`` (see `Task`).
    call : callable
        ``call(view)`` → lines of code whose ``figure`` is the same, and which end with it, so
        that a notebook shows it.
    uses : tuple of str
        Which attributes of the view matter: the panel is drawn again when one of them changes.
    width : float
        Of the figure, in inches: so much room its card takes.
    """

    title: str
    draw: Callable[[View, Task], tuple[Figure, str]]
    call: Callable[[View], str]
    uses: tuple[str, ...] = ("net", "layer", "filter")
    width: float = style.WIDTH


class Task:
    """What a panel's function tells while it works; here: to nobody.

    Each method is a place where cancelled work ends: it raises `Cancelled`.
    """

    def show(self, picture: np.ndarray, alt: str) -> None:
        """Show a preliminary picture: RGB 0-255, shape (rows, columns, 3)."""

    def progress(self, done: float, of: float) -> None:
        """Say how much of the work is done."""


def draw(name: str, view: View, *, panels: Mapping[str, Panel] | None = None):
    """One panel's figure, without a dashboard.

    Parameters
    ----------
    name : str
        A name in `PANELS`, or in `panels` instead.
    view : View

    Returns
    -------
    (Figure, str)
        The figure and its alternative text.

    Raises
    ------
    ValueError
        Unknown panel; whatever the panel cannot show of this view.
    """
    panels = PANELS if panels is None else panels
    _check_panels([name], panels)
    return panels[name].draw(view, Task())


def _check_panels(names: Sequence[str], panels: Mapping[str, Panel]) -> None:
    for name in names:
        if name not in panels:
            raise ValueError(f"panel {name!r} not found; there are {', '.join(panels)}.")


def _stops(steps: int, size: int) -> list[int]:
    """After which steps a picture is shown: soon at first, then about four times a second."""
    every = max(1, round(4 * (SIZE / size) ** 2))
    return sorted({1, 2, *range(every, steps + 1, every), steps} & set(range(1, steps + 1)))


def draw_feature(view: View, task: Task) -> tuple[Figure, str]:
    """The filter's picture, growing as the ascent climbs."""
    def on_step(done, pictures):
        task.progress(done, view.steps)
        task.show(pictures[0], f"{view.title} after {done} of {view.steps} steps")

    ascent = vz.maximize(view.net, view.layer, view.filter, steps=view.steps, size=view.size,
                         seed=view.seed, snapshots=_stops(view.steps, view.size),
                         on_step=on_step, progress=False)
    row = ascent.report.iloc[0]
    beats = "" if np.isnan(row.percentile) else (
        f"; its maximum is above ≈ {row.percentile:.0f} % of the photographs' maxima")
    figure = vz.plot_images(ascent.images, [view.title], columns=1, width=3.0)
    return figure, (f"Picture that excites {view.title}: mean pre-activation ≈ {row.start:.0f} → "
                    f"≈ {row.end_mean:.0f} in {row.steps} steps{beats}.")


def call_feature(view: View) -> str:
    """The code of `draw_feature`."""
    return f"""import vizutils as vz
{view.code["net"]}
ascent = vz.maximize(net, {view.layer!r}, {view.filter}, steps={view.steps}, size={view.size},
                     seed={view.seed})
figure = vz.plot_images(ascent.images, [{view.title!r}], columns=1, width=3.0)
figure
"""


def draw_patches(view: View, task: Task) -> tuple[Figure, str]:
    """The nine pieces of pictures that excite the filter most."""
    patches = vz.top_patches(view.net, view.pictures, view.layer, view.filter,
                             maxima=_maxima(view, task))
    names, values = patches.table["name"], patches.table["value"]
    titles = [f"{value:.1f}\n{name[:16]}" for value, name in zip(values, names, strict=True)]
    figure = vz.plot_images(patches.images, titles, columns=3, width=4.0)
    return figure, (f"The {len(titles)} patches of {len(view.pictures)} pictures that excite "
                    f"{view.title} most, with pre-activation and picture: from "
                    f"≈ {values.iloc[0]:.0f} ({names.iloc[0]}) to ≈ {values.iloc[-1]:.0f}.")


def _maxima(view: View, task: Task, batch: int = 8) -> vz.Maxima:
    """All pictures' maxima, a few pictures at a time, so that one can cancel in between."""
    key = ("maxima", view.net, view.layer, view.pictures)
    if key not in view.memory:
        parts, count = [], len(view.pictures)
        for first in range(0, count, batch):
            task.progress(first, count)
            some = view.pictures.subset(range(first, min(first + batch, count)))
            parts.append(vz.image_maxima(view.net, view.layer, some))
        view.memory[key] = vz.Maxima(*(np.concatenate([getattr(part, name) for part in parts])
                                       for name in ("values", "rows", "columns")))
    return view.memory[key]


def call_patches(view: View) -> str:
    """The code of `draw_patches`."""
    return f"""import vizutils as vz
{view.code["net"]}
{view.code["pictures"]}
patches = vz.top_patches(net, pictures, {view.layer!r}, {view.filter})
titles = [f"{{value:.1f}}\\n{{name[:16]}}" for value, name in
          patches.table[["value", "name"]].values]
figure = vz.plot_images(patches.images, titles, columns=3, width=4.0)
figure
"""


def draw_kernels(view: View, task: Task) -> tuple[Figure, str]:
    """The filter's ten largest kernels, each tap with its sign."""
    ranking = vz.rank_kernels(view.net, view.layer, view.filter)
    kinds = ranking["kind"].value_counts()
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return (vz.plot_kernels(view.net, view.layer, view.filter, ranking),
            f"The {len(ranking)} largest kernels of {view.title} by L2 norm: {counted}. They hold "
            f"{100 * ranking.attrs['l2_share']:.0f} % of its squared weight.")


def call_kernels(view: View) -> str:
    """The code of `draw_kernels`."""
    return f"""import vizutils as vz
{view.code["net"]}
ranking = vz.rank_kernels(net, {view.layer!r}, {view.filter})
figure = vz.plot_kernels(net, {view.layer!r}, {view.filter}, ranking)
figure
"""


def _upstream(view: View) -> tuple[str, pd.DataFrame, dict]:
    """The layer that feeds the filter, the ten edges, and how the sheet's pictures are drawn."""
    feature = vz.input_layer(view.net, view.layer).feature
    if feature is None:
        raise ValueError(f"{view.layer} reads the picture itself: no filter feeds it, so there is "
                         "no circuit to draw. Choose a later layer.")
    size = min(view.size, vz.canvas(view.net, feature))
    return (feature, vz.rank_kernels(view.net, view.layer, view.filter),
            {"steps": min(64, view.steps), "size": size, "seed": view.seed})


def draw_circuit(view: View, task: Task) -> tuple[Figure, str]:
    """The ten strongest edges: upstream pictures, kernels, the filter's picture."""
    feature, ranking, options = _upstream(view)
    channels = ranking["channel"].tolist()
    of = options["steps"] * (len(channels) + 1)

    def on_step(done, pictures):
        task.progress(done * len(channels), of)
        task.show(np.concatenate(pictures, axis=1),
                  f"The {len(channels)} upstream pictures after {done} steps")

    common = {**options, "snapshots": _stops(options["steps"], 3 * options["size"]),
              "progress": False}
    upstream = vz.maximize(view.net, feature, channels, on_step=on_step, **common)
    own = vz.maximize(view.net, view.layer, view.filter, **{**common, "size": view.size},
                      on_step=lambda done, _: task.progress(of - options["steps"] + done, of))
    taps = vz.kernels(view.net, view.layer, view.filter)[:, :, channels]
    figure = vz.plot_circuit(upstream.images, ranking, taps, own.images[0], layer=view.layer,
                             filter=view.filter, feature=feature)
    listed = ", ".join(f"{row.channel} ({row.kind.removeprefix('mostly ')})"
                       for row in ranking.itertuples())
    return figure, f"What feeds {view.title}: filters of {feature}, strongest first: {listed}."


def call_circuit(view: View) -> str:
    """The code of `draw_circuit`."""
    feature, _, options = _upstream(view)
    given = f"steps={options['steps']}, seed={options['seed']}"
    return f"""import vizutils as vz
{view.code["net"]}
layer, filter, feature = {view.layer!r}, {view.filter}, {feature!r}
ranking = vz.rank_kernels(net, layer, filter)
upstream = vz.maximize(net, feature, ranking["channel"].tolist(), size={options["size"]}, {given})
own = vz.maximize(net, layer, filter, size={view.size}, {given})
taps = vz.kernels(net, layer, filter)[:, :, ranking["channel"]]
figure = vz.plot_circuit(upstream.images, ranking, taps, own.images[0], layer=layer,
                         filter=filter, feature=feature)
figure
"""


@style.styled
def plot_activation(image: np.ndarray, values: np.ndarray, *, title: str) -> Figure:
    """A picture, and a map laid over its grey copy.

    Parameters
    ----------
    image : ndarray, shape (h, w, 3)
        RGB 0-255.
    values : ndarray, shape (rows, columns)
        Activations, from 0; stretched over the whole picture.
    title : str
    """
    image, = vz.check_each([image])
    figure = style.blank_figure(2.7, 4.4)
    left, right = figure.subplots(1, 2)
    style.show_picture(left, image, "the picture")
    box = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    right.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
    drawn = right.imshow(values, cmap="viridis", alpha=0.7, extent=box, vmin=0,
                         vmax=float(values.max()) or 1.0, interpolation="nearest")
    right.set(xticks=[], yticks=[])
    right.set_title(title, pad=3)
    figure.colorbar(drawn, ax=right, shrink=0.9, location="bottom", label="activation")
    return figure


def draw_activation(view: View, task: Task) -> tuple[Figure, str]:
    """Where in the picture the filter is active."""
    values = vz.activations(view.net, view.layer, view.image[None])[0, :, :, view.filter]
    rows, columns = values.shape
    row, column = np.unravel_index(values.argmax(), values.shape)
    said = (f"active at ≈ {100 * (values > 0).mean():.0f} % of {rows} × {columns} positions, most "
            f"in row {row}, column {column} (≈ {values.max():.0f})" if values.max() > 0
            else "silent everywhere")
    return (plot_activation(view.image, values, title=view.title),
            f"Activation map of {view.title} over {view.pictures.names[view.picture]}: {said}.")


def call_activation(view: View) -> str:
    """The code of `draw_activation`."""
    return f"""import vizutils as vz
from techniques import dashboard
{view.code["net"]}
{view.code["pictures"]}
image = pictures.read([{view.picture}])[0]
values = vz.activations(net, {view.layer!r}, image[None])[0, :, :, {view.filter}]
figure = dashboard.plot_activation(image, values, title={view.title!r})
figure
"""


def draw_attribution(view: View, task: Task) -> tuple[Figure, str]:
    """Which pixels the network's first guess rests on."""
    image = view.image[None]
    saliency = attribution.saliency(view.net, image)
    task.progress(1, 2)
    grad_cam = attribution.grad_cam(view.net, image, saliency.targets)
    name = vz.imagenet.CLASSES[saliency.targets[0]][1]
    figure = attribution.plot_comparison(image, [saliency, grad_cam], columns=3, labels=[name])
    return figure, (f"Saliency (how strongly each pixel pulls) and Grad-CAM (where the last map "
                    f"speaks for it) of {name!r}, the first guess for "
                    f"{view.pictures.names[view.picture]}: logit ≈ {saliency.logits[0]:.1f}, "
                    f"{view.net.head} head.")


def call_attribution(view: View) -> str:
    """The code of `draw_attribution`."""
    return f"""import vizutils as vz
from techniques import attribution
{view.code["net"]}
{view.code["pictures"]}
image = pictures.read([{view.picture}])
saliency = attribution.saliency(net, image)
grad_cam = attribution.grad_cam(net, image, saliency.targets)
name = vz.imagenet.CLASSES[saliency.targets[0]][1]
figure = attribution.plot_comparison(image, [saliency, grad_cam], columns=3, labels=[name])
figure
"""


def draw_inversion(view: View, task: Task) -> tuple[Figure, str]:
    """The picture as the layer alone remembers it, growing as the search goes on."""
    image = resized(view.image, view.size)

    def on_step(done, pictures):
        task.progress(done, view.steps)
        task.show(np.concatenate([image, pictures[0]], axis=1),
                  f"The picture, and its inversion after {done} of {view.steps} steps")

    found = inversion.invert(view.net, view.layer, image, steps=view.steps, seed=view.seed,
                             checkpoints=_stops(view.steps, view.size), on_step=on_step,
                             progress=False)
    likeness = inversion.likeness(image, found.images[0])
    figure = vz.plot_images([image, found.images[0]], ["the picture", f"from {view.layer} alone"],
                            columns=2, width=4.6)
    return figure, (f"{view.pictures.names[view.picture]} and what {view.layer} gives back of it: "
                    f"loss {found.loss[0, 0]:.2f} → ≈ {found.loss[-1, 0]:.3f}, "
                    f"SSIM ≈ {likeness['ssim']:.2f}.")


def call_inversion(view: View) -> str:
    """The code of `draw_inversion`."""
    return f"""import vizutils as vz
from techniques import dashboard, inversion
{view.code["net"]}
{view.code["pictures"]}
image = dashboard.resized(pictures.read([{view.picture}])[0], {view.size})
found = inversion.invert(net, {view.layer!r}, image, steps={view.steps}, seed={view.seed})
figure = vz.plot_images([image, found.images[0]], ["the picture", "from {view.layer} alone"],
                        columns=2, width=4.6)
figure
"""


FILTER, PICTURE = ("net", "layer", "filter"), ("net", "pictures", "picture")
#: What a dashboard can show, in this order.
PANELS = {
    "feature": Panel("Feature picture", draw_feature, call_feature,
                     (*FILTER, "size", "steps", "seed"), 3.0),
    "patches": Panel("Strongest patches", draw_patches, call_patches, (*FILTER, "pictures"), 4.0),
    "kernels": Panel("Ten kernels", draw_kernels, call_kernels, FILTER),
    "circuit": Panel("Circuit sheet", draw_circuit, call_circuit,
                     (*FILTER, "size", "steps", "seed")),
    "activation": Panel("Activation map", draw_activation, call_activation,
                        (*FILTER, *PICTURE), 4.4),
    "attribution": Panel("Saliency and Grad-CAM", draw_attribution, call_attribution, PICTURE),
    "inversion": Panel("Inversion", draw_inversion, call_inversion,
                       (*PICTURE, "layer", "size", "steps", "seed"), 4.6),
}


# --- work: one thread, and only the newest job of a place is heard ------------------------------


class Cancelled(Exception):
    """Raised in work that is no longer wanted."""


class Listener:
    """What a `Runner` calls in its thread; here nothing is done with it."""

    def began(self) -> None:
        """The work has begun."""

    def shown(self, picture: np.ndarray | Figure, alt: str) -> None:
        """There is a picture, preliminary (an array) or final (a figure)."""

    def progressed(self, share: float, seconds_left: float | None) -> None:
        """A share (0-1) of the work is done."""

    def ended(self, problem: str) -> None:
        """The work is over; `problem` is a sentence if it failed, else empty."""


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of work, as a `Runner` keeps it."""

    number: int
    place: str
    work: Callable[[Task], tuple[Figure, str] | None]
    listener: Listener
    stop: threading.Event = field(default_factory=threading.Event)


class _LiveTask(Task):
    """A task that hands on what it is told while its job is the newest of its place."""

    def __init__(self, runner: Runner, job: Job):
        self._runner, self._job = runner, job
        self._first: tuple[float, float] | None = None  # when work was first counted, how much

    def show(self, picture, alt):
        self._runner.tell(self._job, lambda heard: heard.shown(picture, alt))

    def progress(self, done, of):
        now = time.monotonic()
        self._first = self._first or (now, done)  # what came before was set-up, and is not a pace
        began, before = self._first
        left = (now - began) / (done - before) * (of - done) if done > before else None
        self._runner.tell(self._job, lambda heard: heard.progressed(done / of, left))


class Runner:
    """Does jobs one after the other in a thread of its own.

    Parameters
    ----------
    pause : float
        Seconds that a job waits before it begins: one that is replaced within this time (a
        slider being dragged) costs nothing.

    Notes
    -----
    A job is cancelled by setting its event. Whatever it tells after that is dropped, and the
    next thing it tells raises `Cancelled` in it, so that no work has to ask. `lock` makes "is it
    still wanted?" and the telling one step: nothing stale can slip in between. Figures are
    turned into bytes while it is held, since matplotlib does not do two at a time.
    """

    def __init__(self, *, pause: float = 0.05):
        self.pause = pause
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._newest: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self.lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def submit(self, place: str, work, listener: Listener) -> int:
        """Queue `work(task)`; an earlier job of the same place is cancelled. Returns its number."""
        with self.lock:
            self.cancel(place)
            job = Job(next(self._numbers), place, work, listener)
            self._newest[place] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="dashboard")
                self._thread.start()
        self._queue.put(job)
        return job.number

    def cancel(self, place: str) -> bool:
        """Cancel a place's job; tells whether there was one that had not ended."""
        with self.lock:
            job = self._newest.pop(place, None)
            if job is not None:
                job.stop.set()
            return job is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all jobs queued so far are over; tells whether they are."""
        over = threading.Event()
        self.submit(f"wait {id(over)}", lambda task: over.set(), Listener())
        return over.wait(seconds)

    def close(self) -> None:
        """Cancel everything and let the thread end."""
        with self.lock:
            for place in list(self._newest):
                self.cancel(place)
            if self._thread is not None:
                self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.stop.wait(self.pause):
                continue
            try:
                self._do(job)
                problem = ""
            except Cancelled:
                continue
            except Exception as error:  # whatever it is: a sentence in the panel, not a log
                problem = sentence(error)
            with self.lock:
                if not job.stop.is_set():
                    del self._newest[job.place]
                    job.listener.ended(problem)

    def _do(self, job: Job) -> None:
        self._tell(job, lambda heard: heard.began())
        made = job.work(_LiveTask(self, job))
        if made is not None:
            self._tell(job, lambda heard: heard.shown(*made))

    def tell(self, job: Job, telling: Callable[[Listener], None]) -> None:
        """Let the job's listener hear something, unless the job was stopped: then `Cancelled`."""
        with self.lock:
            if job.stop.is_set():
                raise Cancelled
            telling(job.listener)


def sentence(error: Exception) -> str:
    """An exception in words; its kind is named only where the words alone may not do."""
    words = " ".join(str(error).split())
    taught = isinstance(error, (ValueError, FileNotFoundError))
    return words if words and taught else f"{type(error).__name__}: {words or 'no reason given'}"


def in_words(seconds: float) -> str:
    """A time left, no more exactly than it is known."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"


# --- files: uploads and contact sheets ------------------------------------------------------------


def uploaded(value) -> list[tuple[str, bytes]]:
    """Names and contents of a `FileUpload`'s value: a dict in ipywidgets 7, a tuple in 8."""
    if isinstance(value, Mapping):
        return [(name, bytes(entry["content"])) for name, entry in value.items()]
    return [(entry["name"], bytes(entry["content"])) for entry in value]


def read_uploads(files: Sequence[tuple[str, bytes]], *, size: int = 224):
    """Read pictures from bytes.

    Returns
    -------
    (dict of str to ndarray, str)
        Name → float32 RGB 0-255, shape (size, size, 3); and a sentence for each file that is no
        picture.
    """
    pictures, problems = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files:
            path = Path(folder, Path(name).name)
            path.write_bytes(content)
            try:
                pictures[name] = vz.read_image(path, size=size)
            except (OSError, ValueError) as problem:
                problems.append(sentence(problem))
    return pictures, " ".join(problems)


@dataclass(frozen=True, eq=False)
class SheetFile:
    """An atlas's contact sheet as it was found; see `vz.Atlas`."""

    path: Path
    boxes: dict[int, tuple[int, int, int, int]]
    percentiles: dict[int, float | None]

    def tiles(self, filters: Sequence[int], side: int) -> Image.Image:
        """Those filters' pictures in a row, `side` px each; grey where there is none yet."""
        row = Image.new("RGB", (side * len(filters), side), "#888888")
        with Image.open(self.path) as sheet:
            for i, filter in enumerate(filters):
                if filter in self.boxes:
                    row.paste(sheet.resize((side, side), box=self.boxes[filter]), (i * side, 0))
        return row


def atlas_folder(folder=None) -> Path:
    """Where `vz.atlas` keeps its sheets, unless another folder is given."""
    return Path(folder or Path(vz.__file__).resolve().parent / "build" / "atlas")


def find_sheet(net: vz.Network, layer: str, *, folder=None) -> SheetFile | None:
    """The fullest contact sheet of a layer with these very weights; None if none was drawn.

    Nothing is drawn here: that takes minutes and is for whoever asks for it.
    """
    digest = weights.tensor_digest(*vz.submodel(net, layer).get_weights())
    found = []
    for path in sorted(atlas_folder(folder).glob(f"{net.name}_{layer}_*/index.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):  # damaged: as if there were none
            index = json.loads(path.read_text("utf-8"))
            if index["made_by"]["weights"] == digest and path.with_name("sheet.png").exists():
                entries = {int(filter): entry for filter, entry in index["filters"].items()}
                found.append(SheetFile(path.with_name("sheet.png"),
                                       {f: tuple(entry["box"]) for f, entry in entries.items()},
                                       {f: entry["percentile"] for f, entry in entries.items()}))
    return max(found, key=lambda sheet: len(sheet.boxes), default=None)


def draw_sheet(net: vz.Network, layer: str, task: Task, *, folder=None, batch: int = 16,
               **options) -> None:
    """Draw a layer's atlas batch by batch, so that it can be watched and cancelled.

    Parameters
    ----------
    task : Task
        Hears of the progress, and is shown each batch once it is on the sheet.
    **options
        Of `vz.atlas`.
    """
    count = net.model.get_layer(layer).output.shape[-1]
    steps = options.setdefault("steps", 80)
    for first in range(0, count, batch):
        task.progress(first, count)
        until = min(first + batch, count)
        found = vz.atlas(
            net, layer, filters=range(until), folder=folder, batch=batch, progress=False,
            on_step=lambda done, _, first=first, until=until: task.progress(
                first + (until - first) * done / steps, count), **options)
        task.progress(until, count)
        task.show(np.concatenate(found.images[first:], axis=1),
                  f"Filters {first} to {until - 1} of {layer}")


# --- widgets ----------------------------------------------------------------------------------

TILE, ROOM = 54, 48  #: px of a tile on the contact sheet; tiles shown at once
INK, PAPER = "var(--jp-ui-font-color1, #1b1b1b)", "var(--jp-layout-color1, #ffffff)"
LINE, FAINT = "var(--jp-border-color1, #949494)", "var(--jp-layout-color2, #eeeeee)"

SHADE = "linear-gradient(transparent 74%, rgba(0, 0, 0, 0.75) 74%)"  #: behind a tile's number

#: Colours are JupyterLab's, so that they follow its theme; figures stay on white paper.
STYLE = f"""<style>
.vzd, .vzd .widget-label, .vzd .widget-html-content, .vzd label {{ color: {INK}; }}
.vzd {{ background: {PAPER}; padding: 4px; }}
.vzd .widget-html-content {{ line-height: 1.35; white-space: normal; }}
.vzd h3, .vzd h4 {{ margin: 2px 0; font-size: 15px; color: {INK}; }}
.vzd p {{ margin: 3px 0; }}
.vzd-card {{ border: 1px solid {LINE}; border-radius: 4px; padding: 6px 10px; margin: 4px;
  max-width: calc(100% - 10px); box-sizing: border-box; }}
.vzd-card img {{ display: block; max-width: 100%; background: #ffffff; margin: 4px 0; }}
.vzd-card .vzd-live {{ image-rendering: pixelated; }}
.vzd-wait {{ background: {FAINT}; height: 240px; display: flex; align-items: center;
  justify-content: center; }}
.vzd pre {{ background: {FAINT}; color: {INK}; padding: 6px; overflow-x: auto; font-size: 12px;
  margin: 4px 0; }}
.vzd summary {{ cursor: pointer; }}
.vzd-problem {{ border-left: 4px solid var(--jp-error-color1, #b2182b); padding: 4px 8px;
  background: {FAINT}; }}
.vzd button:focus-visible, .vzd summary:focus-visible, .vzd input:focus-visible,
.vzd select:focus-visible {{ outline: 2px solid var(--jp-brand-color1, #2166ac);
  outline-offset: 1px; }}
.vzd-tile {{ background-color: {FAINT}; background-repeat: no-repeat; border: 1px solid {LINE};
  padding: 0; display: flex; align-items: flex-end; justify-content: center; font-size: 11px;
  line-height: 14px; color: {INK}; }}
</style>"""

#: The copied text is what is shown; without a clipboard it is selected, to be copied by hand.
COPY = """<button type="button" class="jupyter-button widget-button" style="width: auto"
onclick="const said = this, code = this.previousElementSibling;
getSelection().selectAllChildren(code);
(navigator.clipboard ? navigator.clipboard.writeText(code.textContent) : Promise.reject()).then(
() => {said.textContent = 'Copied'}, () => {said.textContent = 'Selected: press Ctrl+C'})"
>Copy the call</button>"""


def encoded(picture: np.ndarray | Figure) -> bytes:
    """A picture as PNG: an RGB array 0-255, or a figure."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=style.DPI)
    else:
        Image.fromarray(np.clip(picture, 0, 255).round().astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def image_tag(picture: bytes, alt: str, *, width: int, live: bool = False) -> str:
    """An ``<img>`` that carries its own bytes and its alternative text, at most `width` px wide."""
    kind = "vzd-live" if live else "vzd-done"
    return (f'<img class="{kind}" alt="{html.escape(alt)}" style="width: {width}px" '
            f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">')


def _progress(share: float, seconds_left: float | None) -> str:
    return f"{100 * share:.0f} %" + ("" if seconds_left is None else f", {in_words(seconds_left)}")


def _said(words: str, *, problem: bool = False) -> str:
    """A sentence for a panel, marked for screen readers."""
    if not words:
        return ""
    look = 'class="vzd-problem" role="alert"' if problem else 'role="status"'
    return f"<p {look}>{html.escape(words)}</p>"


class Card(Listener):
    """One panel's place: its picture, what is being done, and what can be done with it.

    Parameters
    ----------
    name : str
        The panel's, in the dashboard's table.
    panel : Panel
    side : str
        The side's letter, for those who hear the buttons' names instead of seeing their place.
    """

    def __init__(self, name: str, panel: Panel, side: str):
        self.name, self.panel = name, panel
        self.view: View | None = None
        self.figure: Figure | None = None
        self.alt, self.working = "", False
        self.switch = widgets.Button(layout=widgets.Layout(width="auto"))
        self.save = widgets.Button(description="Save figure", disabled=True,
                                   layout=widgets.Layout(width="auto"),
                                   tooltip=f"Save the figure with its parameters: {panel.title}, "
                                           f"side {side}")
        self._about = f": {panel.title}, side {side}"
        self.bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="110px"))
        self.status, self.picture, self.words, self.code = (widgets.HTML() for _ in range(4))
        tools = widgets.HBox([self.switch, self.save, self.bar, self.status],
                             layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self.widget = widgets.VBox(
            [widgets.HTML(f"<h4>{html.escape(panel.title)}</h4>"), self.picture, self.words, tools,
             self.code], layout=widgets.Layout(width=f"{panel.width * style.DPI + 36:.0f}px",
                                               overflow="hidden"))
        self.widget.add_class("vzd-card")
        self._set_working(False)

    def _set_working(self, working: bool) -> None:
        """The one button stops what runs, and begins again what does not."""
        self.working = working
        self.switch.description = "Cancel" if working else "Draw again"
        self.switch.tooltip = ("Stop drawing" if working else "Draw again") + self._about

    def is_of(self, view: View) -> bool:
        """Whether what is shown (or on its way) is what the panel shows of this view."""
        return self.view is not None and all(
            getattr(self.view, name) == getattr(view, name) for name in self.panel.uses)

    def wait(self, view: View) -> None:
        """Another view is to come: what is shown is no longer true."""
        self.view, self.figure, self.alt = view, None, ""
        self._set_working(True)
        self.words.value, self.bar.value, self.save.disabled = "", 0, True
        self.picture.value = '<div class="vzd-wait">waiting for its turn</div>'
        self.status.value = ""
        try:
            code = self.panel.call(view)
        except Exception as error:  # what it cannot show, it cannot write either
            code = f"# {sentence(error)}"
        self.code.value = (f"<details><summary>The call that makes this figure</summary>"
                           f"<pre>{html.escape(code)}</pre>{COPY}</details>")

    def began(self):
        """Say that it is this panel's turn."""
        self.picture.value = '<div class="vzd-wait">working</div>'

    def shown(self, picture, alt):
        """Show a frame, or the finished figure."""
        live = not isinstance(picture, Figure)
        width = round((self.panel.width if live else picture.get_figwidth()) * style.DPI)
        self.figure, self.alt = (None, alt) if live else (picture, alt)
        self.picture.value = image_tag(encoded(picture), alt, width=width, live=live)
        self.words.value = _said(alt)

    def progressed(self, share, seconds_left):
        """Move the bar and tell the time left."""
        self.bar.value, self.status.value = share, _progress(share, seconds_left)

    def ended(self, problem):
        """Done, or a sentence about what went wrong."""
        self._set_working(False)
        self.save.disabled = self.figure is None
        self.bar.value, self.status.value = (0, "") if problem else (1, "done")
        if problem:
            self.picture.value, self.words.value = "", _said(problem, problem=True)

    def stopped(self) -> None:
        """Cancelled by hand: a frame that is shown stays, and is said to be unfinished."""
        self._set_working(False)
        self.status.value = "cancelled"
        if "vzd-wait" in self.picture.value:
            self.picture.value = ""

    def write(self) -> None:
        """Save the figure with its parameters."""
        view = self.view
        name = f"dashboard_{self.name}_{view.net.name}_{view.layer}_{view.filter}"
        if "picture" in self.panel.uses:
            name += f"_{Path(view.pictures.names[view.picture]).stem}"
        try:
            saved = vz.save_figure(self.figure, name.replace(" ", "_"), alt=self.alt,
                                   panel=self.name, recipe=self.panel.call(view),
                                   **view.parameters)
            self.status.value = f"saved as {html.escape(saved.path.name)}"
        except OSError as error:
            self.status.value = _said(f"not saved: {sentence(error)}", problem=True)


class Sheet(Listener):
    """A layer's filters to click on: their pictures where the atlas has them, else numbers."""

    def __init__(self, choose: Callable[[int], None], runner: Runner, *, folder=None):
        self._choose, self._runner, self._folder = choose, runner, folder
        self._net, self._layer, self._count, self._first, self._chosen = None, "", 0, 0, 0
        self._found: SheetFile | None = None
        self._measure = widgets.Layout(width=f"{TILE}px", margin="1px")
        self.tiles = [self._tile(i) for i in range(ROOM)]
        self.back, self.on, self.draw, self.cancel = (
            widgets.Button(description=words, tooltip=tip, layout=widgets.Layout(width="auto"))
            for words, tip in (
                ("◀ earlier", "Earlier filters of this layer"),
                ("later ▶", "Later filters of this layer"),
                ("Draw this layer's sheet", "Draw a small picture of every filter: minutes, once"),
                ("Cancel", "Stop drawing the sheet; finished pictures are kept")))
        self.back.on_click(lambda _: self._turn(-ROOM))
        self.on.on_click(lambda _: self._turn(ROOM))
        self.draw.on_click(lambda _: self._draw())
        self.cancel.on_click(lambda _: self._stop())
        self.label, self.status, self._look = widgets.HTML(), widgets.HTML(), widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        self._class = f"vzd-{self._look.model_id[:12]}"
        self._grid = widgets.Box(layout=widgets.Layout(display="flex", flex_flow="row wrap"))
        self.widget = widgets.VBox([
            widgets.HBox([self.back, self.label, self.on, self.draw, self.cancel, self.status],
                         layout=row), self._grid, self._look])
        self.widget.add_class(self._class)
        self.cancel.layout.display = "none"

    def _tile(self, i: int) -> widgets.Button:
        tile = widgets.Button(layout=self._measure)
        tile.add_class("vzd-tile")
        tile.add_class(f"vzd-tile-{i}")
        tile.on_click(lambda _: self._choose(self._first + i))
        return tile

    def show(self, net: vz.Network, layer: str, count: int, chosen: int) -> None:
        """Another layer, or another filter of it."""
        if (net, layer) != (self._net, self._layer):
            self._runner.cancel(self._class)
            self._net, self._layer, self._count = net, layer, count
            self._found = find_sheet(net, layer, folder=self._folder)
            self._idle()
        self._chosen, self._first = chosen, chosen // ROOM * ROOM
        self._refresh()

    def _turn(self, by: int) -> None:
        self._first += by
        self._refresh()

    def _refresh(self) -> None:
        """Number the tiles, and lay the pictures under them."""
        last = min(self._first + ROOM, self._count)
        self.label.value = f"filters {self._first}–{last - 1} of {self._count}"
        self.back.disabled, self.on.disabled = self._first == 0, last == self._count
        self._measure.height = "24px" if self._found is None else f"{TILE}px"
        self._grid.children = self.tiles[:last - self._first]
        for number, tile in enumerate(self._grid.children, self._first):
            tile.description = str(number)
            tile.tooltip = self._tip(number)
        self._look.value = self._styles(range(self._first, last))

    def _tip(self, number: int) -> str:
        above = self._found and self._found.percentiles.get(number)
        beats = "" if above is None else f": its picture beats {above:.0f} % of photographs"
        return f"Choose filter {number} of {self._layer}{beats}"

    def _styles(self, filters: Sequence[int]) -> str:
        """The tiles' pictures as one strip, and a frame around the chosen filter."""
        rules = []
        if self._found is not None:
            buffer = io.BytesIO()
            self._found.tiles(filters, TILE).save(buffer, "JPEG", quality=85)
            strip = base64.b64encode(buffer.getvalue()).decode()
            rules.append(f".{self._class} {{ --strip: url(data:image/jpeg;base64,{strip}) }}")
            rules += [
                f".{self._class} .vzd-tile-{i} {{ background-image: {SHADE}, var(--strip); "
                f"background-position: 0 0, -{i * TILE}px 0; color: #fff }}"
                for i, number in enumerate(filters) if number in self._found.boxes]
        if self._chosen in filters:
            rules.append(f".{self._class} .vzd-tile-{self._chosen - self._first} {{ box-shadow: "
                         "inset 0 0 0 3px #e66101 !important; font-weight: bold }")
        return f"<style>{' '.join(rules)}</style>"

    # --- drawing what the atlas lacks

    def _draw(self) -> None:
        net, layer = self._net, self._layer
        self.draw.layout.display, self.cancel.layout.display = "none", ""
        self.status.value = "beginning"
        self._runner.submit(self._class, lambda task: draw_sheet(
            net, layer, task, folder=self._folder), self)

    def _stop(self) -> None:
        self._runner.cancel(self._class)
        self._idle()
        self.status.value = "cancelled; what is finished is kept"

    def _idle(self) -> None:
        """Nothing is being drawn: offer it, if there is anything left to draw."""
        drawn = 0 if self._found is None else len(self._found.boxes)
        self.draw.layout.display = "none" if drawn == self._count else ""
        self.cancel.layout.display, self.status.value = "none", ""

    def shown(self, picture, alt):
        """More pictures are on the sheet."""
        self._found = find_sheet(self._net, self._layer, folder=self._folder)
        self._refresh()

    def progressed(self, share, seconds_left):
        """Tell how far it is."""
        self.status.value = f"drawing: {_progress(share, seconds_left)}"

    def ended(self, problem):
        """Done, or a sentence about what went wrong."""
        self._idle()
        self.status.value = _said(problem, problem=True)


class Side:
    """One set of choices, and the cards that show them.

    Parameters
    ----------
    home : Dashboard
        What both sides share: pictures, settings, the runner.
    letter : str
    """

    def __init__(self, home: Dashboard, letter: str):
        self._home, self.letter, self._listening = home, letter, False
        self._shown: Sequence[str] = ()
        line = {"layout": widgets.Layout(width="320px", max_width="100%"),
                "style": {"description_width": "70px"}}
        self.network = widgets.Dropdown(options=home.networks, description="Network", **line)
        self.layer = widgets.Dropdown(description="Layer", **line)
        self.slider = widgets.IntSlider(description="Filter", continuous_update=False,
                                        readout=False, **line)
        self.filter = widgets.BoundedIntText(description="Filter no.", **line)
        self.picture = widgets.Dropdown(description="Picture", **line)
        self.heading, self.thumbnail, self.message = (widgets.HTML() for _ in range(3))
        self.sheet = Sheet(self.choose, home.sheets, folder=home.folder)
        self.cards = {name: Card(name, panel, letter) for name, panel in home.panels.items()}
        for card in self.cards.values():
            card.switch.on_click(lambda _, card=card: self._switch(card))
            card.save.on_click(lambda _, card=card: self._save(card))
        widgets.link((self.slider, "value"), (self.filter, "value"))
        for widget, heard in ((self.network, self._network_changed),
                              (self.layer, self._layer_changed),
                              (self.filter, self._changed), (self.picture, self._changed)):
            widget.observe(heard, names="value")
        self.widget = self._laid_out()

    def _laid_out(self) -> widgets.VBox:
        """Choices on the left, the contact sheet beside them, the cards below."""
        def row(*children, **layout):
            return widgets.Box(children, layout=widgets.Layout(
                display="flex", flex_flow="row wrap", align_items="flex-start", **layout))

        self.board = row()
        choices = widgets.VBox([self.network, self.layer, self.slider, self.filter, self.picture,
                                self.message])
        sheet = widgets.VBox([self.sheet.widget],
                             layout=widgets.Layout(flex="1 1 420px", min_width="0"))
        return widgets.VBox([self.heading, row(choices, self.thumbnail, sheet), self.board],
                            layout=widgets.Layout(flex="1 1 0", min_width="0"))

    @property
    def begun(self) -> bool:
        """Whether anything is chosen on this side."""
        return self.layer.value is not None

    @property
    def net(self) -> vz.Network:
        """The network that is looked into."""
        return self._home.nets[self._name]

    @property
    def view(self) -> View:
        """What is chosen."""
        home = self._home
        return View(self.net, self.layer.value, self.filter.value, home.pictures,
                    self.picture.index, home.size.value, home.steps.value, home.seed.value,
                    home.code(self._name), home.memory)

    def begin(self, network: str, layer: str, filter: int, picture: int) -> None:
        """Fill the choices, then listen to them."""
        self._name = self.network.value = network
        self.list_pictures(picture)
        self._list_layers(layer)
        self.filter.value = filter
        self._listening = True

    def list_pictures(self, picture: int) -> None:
        """Offer the dashboard's pictures, and choose one."""
        with self._deaf():
            self.picture.options = self._home.pictures.names
            self.picture.index = picture

    def _list_layers(self, layer: str) -> None:
        self.layer.options = self.net.conv_layers
        self.layer.value = layer
        self._fit()

    def _fit(self) -> None:
        """Offer the layer's filters."""
        count = self.net.model.get_layer(self.layer.value).output.shape[-1]
        self.slider.max = self.filter.max = count - 1

    def choose(self, filter: int) -> None:
        """Choose a filter, as a click on the contact sheet does."""
        self.filter.value = filter

    def refresh(self) -> None:
        """Draw again whatever no longer shows what is chosen."""
        view = self.view
        for name in self._shown:  # first, so that the thread begins while the rest is done
            if not self.cards[name].is_of(view):
                self._draw(self.cards[name], view)
        self.sheet.show(self.net, view.layer, self.filter.max + 1, view.filter)
        self.thumbnail.value = image_tag(encoded(resized(view.image, 128)),
                                         f"The chosen picture: {self.picture.value}", width=128)

    def arrange(self, shown: Sequence[str]) -> None:
        """Show the cards that are wanted, and draw what has not been drawn."""
        self._shown = shown
        for name, card in self.cards.items():
            if name not in shown and self._home.runner.cancel(self._place(card)):
                card.view = None  # it was never finished
        self.board.children = [self.cards[name].widget for name in shown]
        if self.begun:
            self.refresh()

    @contextlib.contextmanager
    def _deaf(self):
        """Change several choices as one: nothing is drawn in between."""
        before, self._listening = self._listening, False
        try:
            yield
        finally:
            self._listening = before

    def _place(self, card: Card) -> str:
        return f"{self.letter}: {card.name}"

    def _draw(self, card: Card, view: View) -> None:
        with self._home.runner.lock:  # nothing of the job before is heard in between
            card.wait(view)
            self._home.runner.submit(self._place(card),
                                     functools.partial(_drawn, card.panel, view), card)

    def _switch(self, card: Card) -> None:
        if card.working:
            self._home.runner.cancel(self._place(card))
            card.stopped()
        else:
            self._draw(card, self.view)

    def _save(self, card: Card) -> None:
        with self._home.runner.lock:
            card.write()

    def _changed(self, change) -> None:
        if self._listening:
            self.refresh()

    def _layer_changed(self, change) -> None:
        if self._listening:
            with self._deaf():
                self._fit()
            self.refresh()

    def _network_changed(self, change) -> None:
        name = self.network.value
        if self._listening and name != self._name:
            self.message.value = _said(f"loading {name}")
            self._home.runner.submit(f"{self.letter}: network",
                                     lambda task: self._home.load(name), _Loading(self, name))

    def adopt(self, name: str) -> None:
        """Look into a network that has been loaded."""
        self._name, self.message.value = name, ""
        with self._deaf():
            self._list_layers(middle(self.net))
        self.refresh()

    def refuse(self, problem: str) -> None:
        """Say why a network could not be loaded, and go on with the one before."""
        self.message.value = _said(problem, problem=True)
        with self._deaf():
            self.network.value = self._name


class _Loading(Listener):
    """Hears of a network that is being loaded for a side."""

    def __init__(self, side: Side, name: str):
        self._side, self._name = side, name

    def ended(self, problem):
        try:
            if not problem:
                self._side.adopt(self._name)
        except Exception as error:  # a network that loads, but in which nothing can be chosen
            problem = sentence(error)
        if problem:
            self._side.refuse(problem)


def middle(net: vz.Network) -> str:
    """A layer to begin with: the report's, or the middle one of another network."""
    report = "block3_conv2"
    return report if report in net.conv_layers else net.conv_layers[len(net.conv_layers) // 2]


def _drawn(panel: Panel, view: View, task: Task) -> tuple[Figure, str]:
    """A panel's figure; warnings that come up on the way are said below it."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        figure, alt = panel.draw(view, task)
    notes = [str(w.message) for w in raised if issubclass(w.category, UserWarning)]
    return figure, " ".join([alt, *(f"Note: {note}" for note in dict.fromkeys(notes))])


class Dashboard(widgets.VBox):
    """Choose a filter, and see what is known of it appear.

    Parameters
    ----------
    net : Network, optional
        VGG16 with packaged weights by default.
    layer : str, optional
        ``"block3_conv2"``, or the middle one if the network has none of that name.
    filter : int
    images : ImageSet, optional
        Pictures to choose from: the packaged ones by default.
    panels : mapping of str to Panel, optional
        What can be shown: `PANELS` by default.
    shown : sequence of str
        Names of the panels that are shown at first.
    networks : sequence of str
        What `vz.load_network` is asked for when another network is chosen.
    size, steps, seed : int
        Of ascents and inversions; they can be changed in the dashboard.
    folder : path, optional
        Where contact sheets are kept; `vz.atlas`'s folder by default.

    Attributes
    ----------
    sides : tuple of two Side
        Choices and cards; the second is seen while "Compare" is pressed.

    Raises
    ------
    ValueError
        Unknown layer, filter or panel.
    """

    def __init__(
        self, net: vz.Network | None = None, *, layer: str | None = None, filter: int = 17,
        images: vz.ImageSet | None = None, panels: Mapping[str, Panel] | None = None,
        shown: Sequence[str] = ("feature", "patches"),
        networks: Sequence[str] = ("vgg16", "efficientnet_lite0"), size: int = SIZE,
        steps: int = 128, seed: int = 0, folder=None,
    ):
        self.runner, self.sheets = Runner(), Runner()
        self.panels = dict(PANELS if panels is None else panels)
        _check_panels(shown, self.panels)
        self.nets = {} if net is None else {net.name: net}
        self._given = {"net": net is not None and net.name, "pictures": images is not None}
        self.networks = list(dict.fromkeys([*self.nets, *networks]))
        self.load(self.networks[0])
        layer = middle(self.nets[self.networks[0]]) if layer is None else layer
        vz.kernels(self.nets[self.networks[0]], layer, filter)  # refuses what is not there
        self._first = vz.load_images() if images is None else vz.as_image_set(images)
        self.pictures, self._own, self.memory, self.folder = self._first, {}, {}, folder
        controls = self._controls(shown, size, steps, seed)
        self.sides = (Side(self, "A"), Side(self, "B"))
        self._columns = widgets.HBox()
        super().__init__([widgets.HTML(STYLE), controls, self._columns])
        self.add_class("vzd")
        self.sides[0].begin(self.networks[0], layer, filter, 0)
        self._arrange()

    def __repr__(self) -> str:
        view = self.view
        return f"Dashboard of {view.net.name}: {view.title} (run the notebook to use it)"

    @property
    def shown(self) -> list[str]:
        """Names of the panels that are ticked."""
        return [name for name, box in self.ticks.items() if box.value]

    @property
    def view(self) -> View:
        """What is chosen on the first side."""
        return self.sides[0].view

    def wait(self) -> None:
        """Wait until everything that is being drawn is drawn."""
        self.runner.wait()

    def close(self) -> None:
        """End the threads, and the widgets with them."""
        self.runner.close()
        self.sheets.close()
        super().close()

    def load(self, name: str) -> None:
        """Have a network ready."""
        if name not in self.nets:
            self.nets[name] = vz.load_network(name, weights="packaged")

    def code(self, network: str) -> dict[str, str]:
        """Lines of code that make a network and the pictures, for `View.code`."""
        said = dict(GIVEN)
        if network != self._given["net"]:
            said["net"] = f'net = vz.load_network({network!r}, weights="packaged")'
        if not self._given["pictures"]:
            said["pictures"] = "pictures = vz.load_images()"
        if self._own:
            said["pictures"] += (
                "\nfrom techniques import dashboard\n"
                f"own = {list(self._own)}  # paths of your files\n"
                "pictures = dashboard.join(pictures, {path: vz.read_image(path, "
                f"size={self._first.size}) for path in own}})")
        return said

    def _controls(self, shown, size: int, steps: int, seed: int) -> widgets.VBox:
        """What concerns both sides: panels, comparison, pictures, settings."""
        self.ticks = {name: widgets.Checkbox(name in shown, description=panel.title, indent=False,
                                             layout=widgets.Layout(width="auto",
                                                                   margin="0 18px 0 0"))
                      for name, panel in self.panels.items()}
        self.compare = widgets.ToggleButton(
            description="Compare", tooltip="Two layers, filters or pictures side by side",
            layout=widgets.Layout(width="auto"))
        self.upload = widgets.FileUpload(accept="image/*", multiple=True,
                                         description="Add pictures",
                                         layout=widgets.Layout(width="auto"))
        self.size, self.steps, self.seed = (
            widgets.BoundedIntText(value, min=low, max=high, description=words,
                                   layout=widgets.Layout(width="150px"))
            for words, value, low, high in (("Size (px)", size, 16, 512),
                                            ("Steps", steps, 1, 4096), ("Seed", seed, 0, 9999)))
        self.message = widgets.HTML()
        self.upload.observe(self._add_pictures, names="value")
        for widget in (self.compare, *self.ticks.values()):
            widget.observe(lambda _: self._arrange(), names="value")
        for widget in (self.size, self.steps, self.seed):
            widget.observe(lambda _: self._refresh(), names="value")
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        return widgets.VBox([
            widgets.HBox([self.compare, self.upload, self.size, self.steps, self.seed], layout=row),
            widgets.HBox([widgets.HTML("Show:&emsp;"), *self.ticks.values()], layout=row),
            self.message])

    def _refresh(self) -> None:
        for side in self.sides:
            if side.begun:
                side.refresh()

    def _arrange(self) -> None:
        """Show one side or both."""
        first, second = self.sides
        if self.compare.value and not second.begun:  # it begins as the first one is
            second.begin(first.network.value, first.layer.value, first.filter.value,
                         first.picture.index)
        for side in self.sides:
            side.heading.value = f"<h3>{side.letter}</h3>" if self.compare.value else ""
        first.arrange(self.shown)
        second.arrange(self.shown if self.compare.value else ())
        self._columns.children = [side.widget for side in self.sides[:1 + self.compare.value]]

    def _add_pictures(self, change) -> None:
        """Take uploads, choose the first of them on the first side, and name what is no picture."""
        found, problem = read_uploads(uploaded(self.upload.value), size=self._first.size)
        self.message.value = _said(problem, problem=True)
        if not found:
            return
        self._own = {**found, **self._own, **found}  # the newest first, whatever the name
        self.pictures = join(self._first, self._own)
        for side in self.sides:
            if side.begun:
                name = next(iter(found)) if side is self.sides[0] else side.picture.value
                side.list_pictures(self.pictures.names.index(name))
        self._refresh()
