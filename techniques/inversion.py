"""What a layer still knows of a picture: feature inversion, and what is left to measure.

A layer's map Φ₀ of a photograph is kept, the photograph thrown away, and a picture x sought
that gives the layer the same map [1]_:

    ‖Φ(x) − Φ₀‖² / ‖Φ₀‖²  +  λ_α Σ |x|^α  +  λ_TV Σ (squared differences of neighbours)^(β/2)

with α = 6 (no extreme pixels) and β = 2 (no noise). Whatever comes back differently was not in
the map, or could not be found. This file

1. counts the layers as the **original exercise** does (`positions`);
2. **inverts** a layer (`invert`), or several (`invert_depths`), by one of two `RECIPES`;
3. **measures** what came back: pixels, features, class (`measures`), where most of it goes
   (`bottleneck`);
4. makes **caricatures**: not the same map, but more of it (`caricature`);
5. draws the results (`plot_depths`, `plot_losses`, `plot_trajectories`, `plot_information`).

References
----------
.. [1] A. Mahendran, A. Vedaldi, "Understanding deep image representations by inverting them",
   CVPR 2015, arXiv:1412.0035.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import matplotlib as mpl
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import vizutils as vz
from engine import style
from engine.optimisers import Momentum, Optimiser
from engine.parameterisations import (
    MEAN,  # noqa: F401  inversion.MEAN and .SPREAD: the units of `regularisers`
    SPREAD,  # noqa: F401
    Parameterisation,
    Standardised,
)
from engine.picture_objectives import power_sum, variation
from engine.render import warn_of_broken

ALPHA, BETA = 6, 2  #: the two exponents
TERMS = ("features", "alpha norm", "variation")  #: what the loss is made of, in this order

# --- positions: layers as another library counts them ---------------------------------------

SEVEN = (1, 5, 10, 15, 20, 25, 30)  #: the exercise's depths
COMPARED = (2, 7, 14, 21, 28)  #: and its comparison row: each block's last convolution


def positions(net: vz.Network) -> pd.DataFrame:
    """The convolution trunk as a list of modules, as torchvision numbers them from 0.

    There a ReLU is a module of its own, so that every convolution counts twice: once before its
    ReLU (here: its pre-activation) and once after it.

    Returns
    -------
    DataFrame, indexed by ``position``
        ``module`` (the usual short name: conv2_1, relu2_1, pool2), ``layer`` and
        ``pre_activation`` (what `invert` wants), ``channels``, ``sees`` (receptive field, px)
        and ``stride`` (px).

    Raises
    ------
    ValueError
        The trunk holds more than convolutions with a ReLU and pools, or names them unlike VGG.
    """
    rows = []
    for layer in net.model.layers[1:]:
        block, _, which = layer.name.removeprefix("block").partition("_")
        if type(layer) is keras.layers.Conv2D and which.startswith("conv"):
            number = which.removeprefix("conv")
            rows += [(f"conv{block}_{number}", layer.name, True),
                     (f"relu{block}_{number}", layer.name, False)]
        elif type(layer) is keras.layers.MaxPooling2D:
            rows.append((f"pool{block}", layer.name, False))
        else:
            break  # the head begins
    if {row[1] for row in rows if row[2]} != set(net.conv_layers):
        raise ValueError(f"{net.name} is no plain VGG, whose modules could be counted: name the "
                         "layer itself, e.g. invert(net, net.conv_layers[0], image).")
    table = pd.DataFrame(rows, columns=["module", "layer", "pre_activation"])
    seen = [vz.receptive_field(net, layer) for layer in table["layer"]]
    table["channels"] = [net.model.get_layer(layer).output.shape[-1] for layer in table["layer"]]
    table["sees"], table["stride"] = [s.size for s in seen], [s.stride for s in seen]
    return table.rename_axis("position")


# --- inversion ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How an inversion searches, and what it prefers among pictures that fit.

    Attributes
    ----------
    parameterisation : Parameterisation
    optimiser : Optimiser
    steps : int
    alpha_weight, tv_weight : float
        λ_α and λ_TV, for pictures in standardised units whatever the parameterisation is.
    side : int
        The pictures' side, in px, that these numbers were chosen for.
    """

    parameterisation: Parameterisation
    optimiser: Optimiser
    steps: int
    alpha_weight: float
    tv_weight: float
    side: int = 224

    def at(self, size: int) -> Recipe:
        """The same recipe for pictures of another side.

        The feature term is a share, the regularisers are sums over pixels: with fewer pixels
        each of them pulls harder at the former and less at the latter. A momentum's rate is
        multiplied, and the weights are divided, by the change in the number of pixels. (Adam's
        steps have the same length whatever the gradient's scale is.)
        """
        pixels = (size / self.side) ** 2
        optimiser = self.optimiser
        if isinstance(optimiser, Momentum):
            optimiser = replace(optimiser, rate=optimiser.rate * pixels)
        return replace(self, optimiser=optimiser, alpha_weight=self.alpha_weight / pixels,
                       tv_weight=self.tv_weight / pixels, side=size)


#: The exercise's own numbers, and frequencies climbed by Adam: no rate to tune by depth.
RECIPES = {
    "exercise": Recipe(Standardised(), Momentum(), 200, 1e-7, 1e-8),
    "fourier": Recipe(vz.Fourier(), vz.Adam(0.15), 128, 1e-7, 3e-6, side=96),
}


@dataclass(frozen=True, eq=False)
class Inversion:
    """What `invert` returns.

    Attributes
    ----------
    images : float32 ndarray, shape (n, size, size, 3)
        The pictures found, RGB 0-255 (clipped).
    original : float32 ndarray, shape (n, size, size, 3)
    layer : str
    pre_activation : bool
    history : float64 ndarray, shape (steps + 1, n, 3)
        The `TERMS` of the loss, weighted, after each step (row 0: the start).
    snapshots : dict of int to ndarray
        The pictures after some of the steps.
    broken : bool ndarray, shape (n,)
        Pictures whose gradient stopped being finite; they are kept as they last were.
    ended : {"done", "interrupted"}
    """

    images: np.ndarray
    original: np.ndarray
    layer: str
    pre_activation: bool
    history: np.ndarray
    snapshots: dict[int, np.ndarray]
    broken: np.ndarray
    ended: str

    @property
    def loss(self) -> np.ndarray:
        """The whole loss after each step, shape (steps + 1, n)."""
        return self.history.sum(-1)

    @property
    def reduction(self) -> np.ndarray:
        """How many times smaller the loss is at the end than at the start, shape (n,)."""
        return self.loss[0] / self.loss[-1]


def invert(
    net: vz.Network, layer: str, image: np.ndarray, *, pre_activation: bool = False,
    recipe: str | Recipe = "fourier", steps: int | None = None,
    alpha_weight: float | None = None, tv_weight: float | None = None,
    checkpoints: int | Sequence[int] = 10, seed: int = 0,
    cancel: threading.Event | None = None,
    on_step: Callable[[int, np.ndarray], object] | None = None, progress: bool = True,
    interruptible: bool = False,
) -> Inversion:
    """Find a picture that a layer cannot tell from a given one (Mahendran & Vedaldi).

    Parameters
    ----------
    net : Network
    layer : str
        Any layer with a map: convolution, pool, ...
    image : ndarray, shape (size, size, 3) or (n, size, size, 3)
        RGB 0-255, square; several are inverted side by side, each on its own.
    pre_activation : bool
        Before the layer's ReLU (conv2_1) instead of after it (relu2_1).
    recipe : str or Recipe
        A name in `RECIPES`, or one of your own.
    steps, alpha_weight, tv_weight : optional
        Instead of the recipe's; a weight of 0 switches its regulariser off.
    checkpoints : int or sequence of int
        After which steps to keep the pictures, or how many such steps, evenly spaced.
    seed : int
        Of the starting noise.
    cancel : threading.Event, optional
        When it is set, what there is at the last checkpoint is returned.
    on_step : callable, optional
        ``on_step(steps taken, pictures)`` is called at every checkpoint, for whoever wants to
        watch. What it raises ends the search and is passed on.
    progress : bool
        Show a bar when the work takes over a second.
    interruptible : bool
        On an interrupt from the keyboard return what there is instead of raising
        `vizutils.Interrupted`, whose ``finished`` holds it.

    Returns
    -------
    Inversion

    Raises
    ------
    ValueError
        Unknown layer or recipe, a layer without a map, a picture that is not square, a map of
        zeros (there is nothing to invert), fewer steps than one.
    """
    recipe = _recipe(recipe, steps=steps, alpha_weight=alpha_weight, tv_weight=tv_weight)
    original = _square(image)
    target = _target(net, layer, original, pre_activation)
    goal = vz.side_by_side(  # in the order of TERMS
        -vz.feature_distance(layer, target, pre_activation=pre_activation),
        -recipe.alpha_weight * vz.lp_norm(ALPHA), -recipe.tv_weight * vz.total_variation(BETA))

    def inverted(found: vz.Rendering) -> Inversion:
        if found.broken.any():
            which = ", ".join(map(str, np.flatnonzero(found.broken)))
            warn_of_broken(net, f"{layer}: the gradient stopped being finite for picture {which}",
                           stacklevel=4)
        return Inversion(found.images, original, layer, pre_activation,
                         -found.history.astype("float64"), found.snapshots, found.broken,
                         found.ended)

    try:
        return inverted(vz.render(
            net, goal, size=original.shape[1], steps=recipe.steps, transforms=(), seed=seed,
            parameterisation=recipe.parameterisation, optimiser=recipe.optimiser,
            measure="climb", every=max(1, recipe.steps // 10), cancel=cancel, on_step=on_step,
            snapshots=_checkpoints(checkpoints, recipe.steps),
            progress=f"inverting {layer}" if progress else False))
    except vz.Interrupted as stop:
        found = inverted(stop.finished)
        if interruptible:
            return found
        came = f"{stop.finished.measured[-1]} of {recipe.steps} steps"
        raise vz.Interrupted(came, found) from stop


def invert_depths(
    net: vz.Network, image: np.ndarray, *, at: Sequence[int] = SEVEN, **options
) -> dict[str, Inversion]:
    """`invert` at several `positions` of a VGG: module name → inversion, in the order given."""
    table = positions(net)
    unknown = [p for p in at if p not in table.index]
    if unknown:
        raise ValueError(f"{net.name} has positions 0 to {len(table) - 1}, not {unknown[0]}; "
                         "inversion.positions(net) lists them.")
    found = {}
    for row in (table.loc[position] for position in at):
        try:
            found[row["module"]] = invert(net, row["layer"], image,
                                          pre_activation=bool(row["pre_activation"]), **options)
        except KeyboardInterrupt as interrupt:
            raise vz.Interrupted(f"{len(found)} of {len(at)} depths", found) from interrupt
        if found[row["module"]].ended == "interrupted":
            break
    return found


def regularisers(standardised):
    """Σ |x|^α and the total variation of each picture: tensor (n, size, size, 3) → two of (n,)."""
    return power_sum(standardised, ALPHA), variation(standardised, BETA)


def _recipe(recipe, **given) -> Recipe:
    """A recipe by name, with what is given instead of its own."""
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(f"recipe {recipe!r} not found; there are {', '.join(RECIPES)}, or "
                             "give an inversion.Recipe of your own.")
        recipe = RECIPES[recipe]
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if recipe.steps < 1:
        raise ValueError(f"steps must be at least 1, not {recipe.steps}.")
    for name in ("alpha_weight", "tv_weight"):
        if not 0 <= getattr(recipe, name) < np.inf:
            raise ValueError(f"{name} is at least 0 (0 switches the regulariser off), not "
                             f"{getattr(recipe, name)}.")
    return recipe


def _square(image) -> np.ndarray:
    """One picture or several as a batch, if they are square."""
    images = vz.one_or_more(image, copy=True)
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"a square RGB picture is needed, (size, size, 3), not {images.shape}; "
                         "vz.read_image(path, size=128) cuts one out of any file.")
    return images


def _target(net: vz.Network, layer: str, original: np.ndarray, pre_activation: bool):
    """The map that is to be met, if it is one."""
    target = vz.activations(net, layer, vz.made(original), pre_activation=pre_activation)
    if target.ndim != 4:
        raise ValueError(f"{layer} has no map (its output is a vector): choose a convolution or "
                         "a pool.")
    if not target.reshape(len(target), -1).any(1).all():
        raise ValueError(f"{layer} is silent on this picture (its map is zero everywhere, or "
                         "empty): give a larger one, or a lower layer.")
    return target


def _checkpoints(checkpoints, steps: int) -> list[int]:
    """Steps after which the pictures are kept, in order: those given, or so many of them."""
    if np.ndim(checkpoints) == 0:
        count = min(checkpoints, steps)
        checkpoints = np.linspace(steps / count, steps, count).round()
    kept = sorted({int(step) for step in checkpoints})
    if not all(0 < step <= steps for step in kept):
        raise ValueError(f"checkpoints lie between 1 and {steps} (the last step), not {kept}.")
    return kept


# --- measures: what came back -----------------------------------------------------------------

MEASURES = {  #: column of `measures`: how a figure names it
    "psnr": "PSNR (dB)", "ssim": "SSIM", "correlation": "correlation of pixels",
    "error": "relative feature error", "probability": "probability of\nthe original's class",
    "rank": "rank of the\noriginal's class",
}


def likeness(original: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """PSNR (dB), SSIM and Pearson's correlation of two pictures, RGB 0-255, of equal shape.

    The first two are scikit-image's, with a data range of 255. PSNR is infinite for equal
    pictures; a picture of one colour correlates with none (NaN).
    """
    original, image = vz.check_each([original, image])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "psnr": float(peak_signal_noise_ratio(original, image, data_range=255)),
            "ssim": float(structural_similarity(original, image, data_range=255, channel_axis=-1)),
            "correlation": float(np.corrcoef(original.ravel(), image.ravel())[0, 1]),
        }


def blurred(original: np.ndarray, ssim: float) -> np.ndarray:
    """A picture blurred until its SSIM to itself is as given: a control for what SSIM misses.

    Parameters
    ----------
    original : ndarray, shape (size, size, 3)
        RGB 0-255.
    ssim : float
        If even its mean colour is more alike than that, the mean colour is (nearly) returned.
    """
    sharp, blunt = 0.0, float(original.shape[0])  # standard deviations of the Gaussian, px
    for _ in range(12):
        middle = (sharp + blunt) / 2
        image = gaussian(original, middle, channel_axis=-1, preserve_range=True)
        if likeness(original, image)["ssim"] > ssim:
            sharp = middle
        else:
            blunt = middle
    return image.astype("float32")


def measures(
    net: vz.Network, inversion: Inversion, *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """How much of each picture an inversion brought back.

    Parameters
    ----------
    net : Network
    inversion : Inversion
    names : sequence of str, optional
        The pictures' names.

    Returns
    -------
    DataFrame, one row a picture
        ``picture``; ``psnr``, ``ssim``, ``correlation`` (`likeness`); ``error``: the relative
        feature error ‖Φ(x) − Φ₀‖² / ‖Φ₀‖² of the clipped picture; ``reduction``: loss at the
        start over loss at the end. With a classifier also ``seen`` and ``found``: the class of
        the original and of the inversion; ``rank`` and ``probability`` that the inversion gives
        the original's class; ``top1, top5``: whether it is named first, or among the first five.
        Both pictures are enlarged to the classifier's input size.
    """
    kind = {"pre_activation": inversion.pre_activation}
    goal, found = (vz.activations(net, inversion.layer, vz.made(images), **kind)
                   for images in (inversion.original, inversion.images))
    missed = found - goal
    axes = (1, 2, 3)
    table = pd.DataFrame({
        "picture": [str(i) for i in range(len(goal))] if names is None else list(names),
        **pd.DataFrame([likeness(*pair) for pair in zip(
            inversion.original, inversion.images, strict=True)]).to_dict("list"),
        "error": (missed.astype("float64") ** 2).sum(axes) / (goal.astype("float64")**2).sum(axes),
        "reduction": inversion.reduction,
    })
    return pd.concat([table, _verdicts(net, inversion)], axis=1) if net.has_classifier else table


def _verdicts(net: vz.Network, inversion: Inversion) -> pd.DataFrame:
    """What the classifier makes of the originals and of the inversions."""
    side = (net.input_size, net.input_size)
    before, after = (
        vz.logits(net, vz.made(np.clip(tf.image.resize(images, side, "bicubic").numpy(), 0, 255)))
        for images in (inversion.original, inversion.images))
    seen, each = before.argmax(1), np.arange(len(before))
    rank = 1 + (after > after[each, seen][:, None]).sum(1)
    return pd.DataFrame({
        "seen": [net.class_name(i) for i in seen],
        "found": [net.class_name(i) for i in after.argmax(1)],
        "rank": rank, "probability": net.probabilities(after)[each, seen],
        "top1": rank == 1, "top5": rank <= 5,
    })


def information(
    net: vz.Network, inversions: Mapping[str, Inversion], *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """`measures` of every depth in one table, with a column ``module``, in the order given."""
    return pd.concat([measures(net, found, names=names).assign(module=module)
                      for module, found in inversions.items()], ignore_index=True)


def by_depth(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One measure from `information`: a row for each module, a column for each picture."""
    return table.pivot(index="module", columns="picture", values=measure).loc[
        table["module"].unique()]


def bottleneck(table: pd.DataFrame, *, measure: str = "ssim") -> pd.DataFrame:
    """Between which neighbouring depths most information goes, by rule.

    The bottleneck is the step with the largest mean fall over the pictures, provided that it is
    also the largest step of more than half of them; otherwise none is named.

    Parameters
    ----------
    table : DataFrame
        From `information`, depths in rising order, two at least.
    measure : str
        A column that falls with depth: ``ssim``, ``psnr`` or ``correlation``. Pictures for which
        it does not exist at some depth are left out.

    Returns
    -------
    DataFrame, one row a step, in order of depth
        ``step`` ("pool1 → pool2"), ``fall`` (mean), ``least, most`` (over pictures),
        ``pictures`` (for how many it is the largest step), ``bottleneck``.

    Raises
    ------
    ValueError
        Fewer than two depths; no picture is left.
    """
    values = by_depth(table, measure).dropna(axis=1)
    if len(values) < 2:
        raise ValueError("a bottleneck lies between two depths: invert two layers at least.")
    if not values.shape[1]:
        raise ValueError(f"{measure} does not exist for any of these pictures (one colour only?): "
                         "give a picture with some structure.")
    falls = -values.diff().iloc[1:].to_numpy()
    votes = np.bincount(falls.argmax(0), minlength=len(falls))
    mean = falls.mean(1)
    return pd.DataFrame({
        "step": [f"{a} → {b}" for a, b in zip(values.index[:-1], values.index[1:], strict=True)],
        "fall": mean, "least": falls.min(1), "most": falls.max(1), "pictures": votes,
        "bottleneck": (np.arange(len(mean)) == mean.argmax()) & (2 * votes > falls.shape[1]),
    })


# --- caricatures ----------------------------------------------------------------------------


def resemblance(
    layer: str, target: np.ndarray, *, cosine_power: float = 2.0, pre_activation: bool = False
) -> vz.Objective:
    """Mean over positions of the dot product with a map, times a power of the cosine.

    `vz.direction` asks for one direction everywhere; here every position has its own.

    Parameters
    ----------
    target : ndarray, shape (n, rows, columns, channels)
    cosine_power : float
        0: the larger the better, in whatever direction it grows fastest; above 0 the direction
        must be kept as well.
    """
    return vz.Objective((vz.Reading(layer, pre_activation),), (np.asarray(target, "float32"),),
                        _Resemblance(cosine_power))


@dataclass(frozen=True)
class _Resemblance:
    """The formula of `resemblance`."""

    cosine_power: float

    def __call__(self, maps, values):
        product = tf.reduce_sum(maps[0] * values[0], -1)
        lengths = tf.norm(maps[0] + 1e-6, axis=-1) * tf.norm(values[0], axis=-1) + 1e-6
        cosine = tf.maximum(product / lengths, 0.1)
        return tf.reduce_mean(product * cosine**self.cosine_power, (1, 2))


def caricature(
    net: vz.Network, layer: str, image: np.ndarray, *, cosine_power: float = 2.0,
    pre_activation: bool = False, **options,
) -> vz.Rendering:
    """Exaggerate what a layer sees in a picture [1]_.

    Inversion wants the same map; a caricature wants *more* of it: at every position the largest
    possible dot product with what the layer found there.

    Parameters
    ----------
    net, layer, pre_activation
    image : ndarray, shape (size, size, 3) or (n, size, size, 3)
        RGB 0-255.
    cosine_power : float
        See `resemblance`.
    **options
        For `vz.render`: ``steps, seed, transforms, snapshots, cancel, ...``

    References
    ----------
    .. [1] C. Olah, A. Mordvintsev et al., Lucid, notebook "Feature inversion: caricatures",
       2018 (Apache-2.0).
    """
    original = _square(image)
    target = _target(net, layer, original, pre_activation)
    size = original.shape[1]
    inside = vz.receptive_field(net, layer, input_size=size).unpadded
    seen = target[:, inside, inside] if inside.start < inside.stop else target
    kind = {"cosine_power": cosine_power, "pre_activation": pre_activation}
    return vz.render(net, resemblance(layer, target, **kind), size=size,
                     measure=resemblance(layer, seen, **kind), **options)


# --- figures --------------------------------------------------------------------------------


@style.styled
def plot_depths(
    inversions: Mapping[str, Inversion], *, picture: int = 0, below: Sequence[str] = (),
    columns: int = 4, heading: str = "",
) -> Figure:
    """The original, then what each depth gives back, with its SSIM.

    Parameters
    ----------
    inversions : mapping of str to Inversion
        Title → inversion, shallowest first.
    picture : int
        Which of the pictures inverted side by side.
    below : sequence of str
        Words under each inversion.
    """
    original = next(iter(inversions.values())).original[picture]
    drawn = [("original", original, "")]
    for i, (module, found) in enumerate(inversions.items()):
        image = found.images[picture]
        title = f"{module}\nSSIM {likeness(original, image)['ssim']:.2f}"
        drawn.append((title + (" (diverged)" if found.loss[-1, picture] > 1
                               or found.broken[picture] else ""), image,
                      below[i] if below else ""))
    rows = -(-len(drawn) // columns)
    lines = max(text.count("\n") + 1 for text in below) if below else 0
    figure = style.blank_figure(rows * (style.WIDTH / columns + 0.3 + 0.14 * lines)
                        + (0.3 if heading else 0))
    if heading:
        figure.suptitle(heading, fontsize=10)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if i < len(drawn):
            title, image, words = drawn[i]
            style.show_picture(axes, image, title)
            axes.set_xlabel(words, fontsize=8)
        else:
            axes.set_axis_off()
    return figure


@style.styled
def plot_losses(runs: Mapping[str, Mapping[str, Inversion]], *, picture: int = 0) -> Figure:
    """Loss by step, one panel a recipe, one line a depth.

    Parameters
    ----------
    runs : mapping of str to (mapping of str to Inversion)
        Panel → module → inversion.
    """
    figure = style.blank_figure(2.9)
    panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, (recipe, inversions) in zip(panels, runs.items(), strict=True):
        for i, (module, found) in enumerate(inversions.items()):
            loss = found.loss[:, picture]
            axes.plot(np.where(np.isfinite(loss), loss, np.nan), linewidth=1.2, label=module,
                      color=mpl.colormaps["viridis"](i / len(inversions)),
                      marker="osv^D*P"[i % 7], markersize=4, markevery=(i * 3, len(loss) // 6 + 1))
        axes.set(title=recipe, xlabel="step", yscale="log")
        axes.set_ylim(top=min(axes.get_ylim()[1], 1e2))  # what diverges leaves the panel
    panels[0].set_ylabel("loss")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
                  ncols=7, frameon=False, columnspacing=1, handlelength=1.5)
    return figure


@style.styled
def plot_trajectories(
    inversions: Mapping[str, Inversion], *, picture: int = 0, columns: int = 5
) -> Figure:
    """How inversions took shape: the pictures after some steps, with their SSIM."""
    drawn = []
    for module, found in inversions.items():
        for step, images in found.snapshots.items():
            ssim = likeness(found.original[picture], images[picture])["ssim"]
            drawn.append((f"{module}, step {step}\nSSIM {ssim:.2f}", images[picture]))
    return vz.plot_images([image for _, image in drawn], [title for title, _ in drawn],
                          columns=columns)


@style.styled
def plot_information(table: pd.DataFrame, measures: Sequence[str] = tuple(MEASURES)) -> Figure:
    """Each measure by depth: mean over pictures, their range, and every picture's own line.

    Parameters
    ----------
    table : DataFrame
        From `information`.
    measures : sequence of str
        Its columns to draw, three in a row; those it does not have are left out.
    """
    measures = [m for m in measures if m in table]
    rows = -(-len(measures) // 3)
    figure = style.blank_figure(2.3 * rows)
    for axes, measure in zip(figure.subplots(rows, 3, squeeze=False).flat, measures,
                             strict=False):
        values = by_depth(table, measure)
        places = np.arange(len(values))
        axes.fill_between(places, values.min(axis=1), values.max(axis=1), color="#d9d9d9",
                          linewidth=0)
        axes.plot(places, values, color=style.GREY, linewidth=0.6)
        axes.plot(places, values.mean(axis=1), color=style.BLUE, marker="o", markersize=4)
        axes.set_xticks(places, values.index, rotation=60)
        axes.set_ylabel(MEASURES.get(measure, measure))
        if measure in ("error", "rank"):
            axes.set_yscale("log")
    return figure
