"""Panels: each draws one kind of figure of a view, and writes the code that makes the same.

A panel of your own is one more `Panel` in the dictionary that `Dashboard` is given as ``panels``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from techniques import accentuation, attribution, inversion
from techniques.dashboard.runner import Task
from techniques.dashboard.views import SIZE, View, brief, names_of, resized


@dataclass(frozen=True)
class Lead:
    """A channel that a panel shows, and that one can go to from there.

    Attributes
    ----------
    layer : str
    filter : int
    words : str
        What it is to the filter that is shown.
    """

    layer: str
    filter: int
    words: str


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
    cost : float, or callable
        Roughly the seconds that it takes, or ``cost(view)`` → those: the cheapest of the panels
        that wait is drawn first.
    leads : callable, optional
        ``leads(view)`` → the channels in it, as `Lead`: the card has a tile for each.
    """

    title: str
    draw: Callable[[View, Task], tuple[Figure, str]]
    call: Callable[[View], str]
    uses: tuple[str, ...] = ("net", "layer", "filter")
    width: float = style.WIDTH
    cost: float | Callable[[View], float] = 5
    leads: Callable[[View], Sequence[Lead]] | None = None

    def cost_of(self, view: View) -> float:
        """Roughly the seconds that it takes to draw a view."""
        return self.cost(view) if callable(self.cost) else self.cost


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
    check_panels([name], panels)
    return panels[name].draw(view, Task())


def check_panels(names: Sequence[str], panels: Mapping[str, Panel]) -> None:
    """Refuse names that no panel has, with the names there are."""
    for name in names:
        if name not in panels:
            raise ValueError(f"panel {name!r} not found; there are {', '.join(panels)}.")


def _stops(steps: int, size: int) -> list[int]:
    """After which steps a picture is shown: soon at first, then about four times a second."""
    every = max(1, round(4 * (SIZE / size) ** 2))
    return sorted({1, 2, *range(every, steps + 1, every), steps} & set(range(1, steps + 1)))


def told(value: float) -> str:
    """An activation in words: whole numbers where they are large, never "-0"."""
    return f"{value:.0f}" if abs(value) >= 9.5 else f"{round(float(value), 1) + 0:.1f}"


def draw_feature(view: View, task: Task) -> tuple[Figure, str]:
    """The filter's picture, growing as the ascent climbs."""
    def on_step(done, pictures):
        task.progress(done, view.steps)
        task.show(shown(pictures)[0], f"{view.title} after {done} of {view.steps} steps")

    shown = vz.stretched if view.preset in vz.STRETCHED else np.asarray
    ascent = vz.maximize(view.net, view.layer, view.filter, steps=view.steps, size=view.size,
                         seed=view.seed, preset=view.preset,
                         snapshots=_stops(view.steps, view.size), on_step=on_step, progress=False)
    row = ascent.report.iloc[0]
    beats = "" if np.isnan(row.percentile) else (
        f"; its maximum is above ≈ {int(row.percentile)} % of the photographs' maxima")
    drawn = dataclasses.replace(ascent, images=shown(ascent.images))
    figure = vz.plot_images(drawn, [view.title], columns=1, width=3.0)
    return figure, (f"Picture that excites {view.title}: mean pre-activation ≈ {told(row.start)} → "
                    f"≈ {told(row.end_mean)} in {row.steps} steps{beats}.")


def call_feature(view: View) -> str:
    """The code of `draw_feature`."""
    stretch = ("import dataclasses\nascent = dataclasses.replace(ascent, "
               "images=vz.stretched(ascent.images))\n" if view.preset in vz.STRETCHED else "")
    return f"""import vizutils as vz
{view.code["net"]}
ascent = vz.maximize(net, {view.layer!r}, {view.filter}, steps={view.steps}, size={view.size},
                     seed={view.seed}, preset={view.preset!r})
{stretch}figure = vz.plot_images(ascent, [{view.title!r}], columns=1, width=3.0)
figure
"""


def draw_patches(view: View, task: Task) -> tuple[Figure, str]:
    """The nine pieces of pictures that excite the filter most."""
    patches = vz.top_patches(view.net, view.pictures, view.layer, view.filter,
                             maxima=_maxima(view, task))
    values = patches.table["value"]
    names = [names_of(view.pictures)[i] for i in patches.table["picture"]]
    titles = [f"{value:.1f}\n{brief(name)}" for value, name in zip(values, names, strict=True)]
    figure = vz.plot_images(patches.images, titles, columns=3, width=4.0)
    return figure, (f"The {len(titles)} patches of {len(view.pictures)} pictures that excite "
                    f"{view.title} most, with pre-activation and picture: from "
                    f"≈ {told(values.iloc[0])} ({names[0]}) to ≈ {told(values.iloc[-1])}; places "
                    "that see beyond a picture's border are left out.")


def _maxima_key(view: View) -> tuple:
    """Where the view's memory holds all pictures' maxima."""
    return "maxima", view.net, view.layer, view.pictures


def cost_of_patches(view: View) -> float:
    """Little once the layer's answers to all pictures are known."""
    return 0.7 if _maxima_key(view) in view.memory else 3


def _maxima(view: View, task: Task, batch: int = 8) -> vz.Maxima:
    """All pictures' maxima, a few pictures at a time, so that one can cancel in between."""
    key = _maxima_key(view)
    if key not in view.memory:
        parts, count = [], len(view.pictures)
        for first in range(0, count, batch):
            task.progress(first, count)
            some = view.pictures.subset(range(first, min(first + batch, count)))
            parts.append(vz.image_maxima(view.net, view.layer, some))
        view.memory[key] = vz.Maxima.joined(parts)
    return view.memory[key]


def call_patches(view: View) -> str:
    """The code of `draw_patches`."""
    return f"""import vizutils as vz
from techniques import dashboard
{view.code["net"]}
{view.code["pictures"]}
patches = vz.top_patches(net, pictures, {view.layer!r}, {view.filter})
names = dashboard.names_of(pictures)
titles = [f"{{row.value:.1f}}\\n{{dashboard.brief(names[row.picture])}}"
          for row in patches.table.itertuples()]
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


def leads_upstream(view: View) -> list[Lead]:
    """The channels of the ten largest kernels, where a convolution draws them."""
    feature = vz.input_layer(view.net, view.layer).feature
    if feature is None:
        return []
    ranking = vz.rank_kernels(view.net, view.layer, view.filter)
    return [Lead(feature, int(row.channel), row.kind) for row in ranking.itertuples()]


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
    figure = vz.plot_circuit(upstream, ranking, taps, own, layer=view.layer, filter=view.filter,
                             feature=feature)
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
figure = vz.plot_circuit(upstream, ranking, taps, own, layer=layer, filter=filter,
                         feature=feature)
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
    right.set_title(title, pad=5)
    figure.colorbar(drawn, ax=right, shrink=0.9, location="bottom", label="activation")
    return figure


def draw_activation(view: View, task: Task) -> tuple[Figure, str]:
    """Where in the picture the filter is active."""
    values = vz.activations(view.net, view.layer, view.image[None])[0, :, :, view.filter]
    rows, columns = values.shape
    row, column = np.unravel_index(values.argmax(), values.shape)
    said = (f"active at ≈ {100 * (values > 0).mean():.0f} % of {rows} × {columns} positions, most "
            f"in row {row}, column {column} (≈ {told(values.max())})" if values.max() > 0
            else "silent everywhere")
    return (plot_activation(view.image, values, title=view.title),
            f"Activation map of {view.title} over {view.picture_name}: {said}.")


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


def _beside(view: View, task: Task, image: np.ndarray, what: str):
    """An ``on_step`` that shows how a picture grows beside the one it starts from."""
    def on_step(done, pictures):
        task.progress(done, view.steps)
        task.show(np.concatenate([image, pictures[0]], axis=1),
                  f"The picture, and {what} after {done} of {view.steps} steps")
    return on_step


def draw_accentuation(view: View, task: Task) -> tuple[Figure, str]:
    """What the filter sees in the picture, growing there as the picture climbs."""
    image = resized(view.image, view.size)
    on_step = _beside(view, task, image, f"{view.title} in it")
    found = accentuation.accentuate(view.net, view.layer, view.filter, image, steps=view.steps,
                                    snapshots=_stops(view.steps, view.size), on_step=on_step,
                                    progress=False)
    row = found.report.iloc[0]
    return accentuation.plot_accentuated(found), (
        f"What {view.title} sees in {view.picture_name}, drawn more plainly there, "
        f"and below it what changed: mean pre-activation ≈ {row.before:.1f} → ≈ {row.after:.1f}, "
        f"pixels moved by ≈ {row.change:.0f} grey levels.")


def call_accentuation(view: View) -> str:
    """The code of `draw_accentuation`."""
    return f"""import vizutils as vz
from techniques import accentuation, dashboard
{view.code["net"]}
{view.code["pictures"]}
image = dashboard.resized(pictures.read([{view.picture}])[0], {view.size})
found = accentuation.accentuate(net, {view.layer!r}, {view.filter}, image, steps={view.steps})
figure = accentuation.plot_accentuated(found)
figure
"""


def draw_attribution(view: View, task: Task) -> tuple[Figure, str]:
    """Which pixels the network's first guess rests on."""
    image = view.image[None]
    saliency = attribution.saliency(view.net, image)
    task.progress(1, 2)
    grad_cam = attribution.grad_cam(view.net, image, saliency.targets)
    name = view.net.class_name(saliency.targets[0])
    figure = attribution.plot_comparison(image, [saliency, grad_cam], columns=3, labels=[name])
    return figure, (f"Saliency (how strongly each pixel pulls) and Grad-CAM (where the last map "
                    f"speaks for it) of {name!r}, the first guess for "
                    f"{view.picture_name}: logit ≈ {saliency.logits[0]:.1f}, "
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
name = net.class_name(saliency.targets[0])
figure = attribution.plot_comparison(image, [saliency, grad_cam], columns=3, labels=[name])
figure
"""


def draw_inversion(view: View, task: Task) -> tuple[Figure, str]:
    """The picture as the layer alone remembers it, growing as the search goes on."""
    image = resized(view.image, view.size)
    on_step = _beside(view, task, image, "its inversion")
    found = inversion.invert(view.net, view.layer, image, steps=view.steps, seed=view.seed,
                             checkpoints=_stops(view.steps, view.size), on_step=on_step,
                             progress=False)
    likeness = inversion.likeness(image, found.images[0])
    figure = vz.plot_images([image, found.images[0]], ["the picture", f"from {view.layer} alone"],
                            columns=2, width=4.6)
    return figure, (f"{view.picture_name} and what {view.layer} gives back of it: "
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
                     (*FILTER, "size", "steps", "seed", "preset"), 3.0, cost=2),
    "patches": Panel("Strongest patches", draw_patches, call_patches, (*FILTER, "pictures"), 4.0,
                     cost=cost_of_patches),
    "kernels": Panel("Ten kernels", draw_kernels, call_kernels, FILTER, cost=1,
                     leads=leads_upstream),
    "circuit": Panel("Circuit sheet", draw_circuit, call_circuit,
                     (*FILTER, "size", "steps", "seed"), cost=20, leads=leads_upstream),
    "activation": Panel("Activation map", draw_activation, call_activation,
                        (*FILTER, *PICTURE), 4.4, cost=0.5),
    "accentuation": Panel("What the filter sees in the picture", draw_accentuation,
                          call_accentuation, (*FILTER, *PICTURE, "size", "steps"), cost=8),
    "attribution": Panel("Saliency and Grad-CAM", draw_attribution, call_attribution, PICTURE,
                         cost=4),
    "inversion": Panel("Inversion", draw_inversion, call_inversion,
                       (*PICTURE, "layer", "size", "steps", "seed"), 4.6, cost=10),
}
