"""See what one filter of a convolutional network has learned, and which weights made it so.

The file reads from top to bottom in the order of the lab report:

1. **Classes** - what the network sees in a picture.
2. **Activations** - what real pictures do to a filter: patches, classes, groups.
3. **Gradient ascent** - draw the picture a filter answers to most, and report honestly on it.
4. **Kernels** - the weights that feed a filter, ranked, excitatory or inhibitory.
5. **Figures** - one function for each figure, none of which touches pyplot.

The machinery is in `engine`; the parts of it that notebooks use are imported here as well:
``vz.load_network``, ``vz.load_images``, ``vz.receptive_field``, ``vz.render``, ...

Conventions, everywhere in this file: pictures are RGB, 0-255, shape ``(n, rows, columns, 3)``;
a network's own preprocessing (for VGG16: BGR, mean subtracted) happens inside the function that
TensorFlow differentiates, so that gradients pass through it; a *filter* is the whole weight tensor
of one output channel, a *kernel* the slice of it that reads one input channel; *activation* is the
output after the ReLU, *pre-activation* the value before it. No function changes the Keras model.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import engine  # noqa: F401  it prepares TensorFlow's start, so it comes first
from data.progress import Progress

# isort: split
import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from data import HOME, fetch, weights
from engine import class_names
from engine.ascent import Ascent, titled
from engine.atlas_store import Atlas, contact_sheet, folder_for, part_of
from engine.builders import load_network
from engine.checks import whole
from engine.climb_checks import as_start, check_climb, turned
from engine.decoding import read_image
from engine.graph import (
    InputLayer,
    ReceptiveField,
    canvas,
    convolution_below,
    framed,
    input_layer,
    norm_after,
    norm_scale_shift,
    receptive_field,
    unit_forward,
    unpadded_positions,
)
from engine.images import (
    ImageSet,
    Patches,
    as_image_set,
    check_each,
    check_pictures,
    made,
    one_or_more,
    picture_batches,
    stretched,
)
from engine.kinds import kind_of
from engine.links import made_by
from engine.loading import load_images
from engine.maxima import Maxima
from engine.network import PICTURE, Network, prepare_device, submodel
from engine.objectives import (
    Objective,
    Reading,
    channel,
    class_logit,
    direction,
    diversity,
    feature_distance,
    layer,
    near_target,
    side_by_side,
    unit,
)
from engine.optimisers import Adam, Normalised
from engine.parameterisations import BoundedSpectrum, Fourier, NaturalSpectrum, Pixels
from engine.picture_objectives import distance_to, lp_norm, total_variation
from engine.render import Interrupted, Rendering, render, warn_of_broken
from engine.saving import SavedFigure, save_figure, show_recipe
from engine.style import (
    BLUE,
    GREY,
    RED,
    SIGNED,
    WIDTH,
    ShownFigure,
    blank_figure,
    draw_kernel,
    edge_look,
    show_picture,
    show_table,
    styled,
    thumbnail_table,
)
from engine.transforms import TRANSFORMS, jitter, rotate, scale
from engine.wrapping import as_network

# All that notebooks call as vz.NAME: the engine's, then this file's own, in its order.
__all__ = [
    "Network", "load_network", "as_network", "prepare_device", "submodel", "ImageSet", "Patches",
    "load_images", "read_image", "as_image_set", "check_pictures", "check_each", "made",
    "one_or_more", "picture_batches", "stretched", "ReceptiveField", "InputLayer",
    "receptive_field", "input_layer", "norm_after", "canvas", "framed", "unpadded_positions",
    "Objective", "Reading", "channel", "unit", "layer", "direction", "class_logit", "diversity",
    "near_target", "Fourier", "Pixels", "NaturalSpectrum", "BoundedSpectrum", "Adam", "Normalised",
    "TRANSFORMS", "jitter", "rotate", "scale", "render", "feature_distance", "distance_to",
    "total_variation", "lp_norm", "side_by_side", "PICTURE", "Rendering", "Interrupted", "Atlas",
    "ShownFigure", "SavedFigure", "save_figure", "show_recipe", "show_table", "thumbnail_table",
    "classify", "logits", "activations", "Maxima", "image_maxima", "top_patches", "patch_responses",
    "lit_by", "class_responses", "class_table", "group_table", "split_halves", "PRESETS",
    "STRETCHED", "held_to", "Ascent", "titled", "maximize", "picture_vectors", "atlas",
    "visualize_filter", "MOSTLY_ZERO", "EXCITATORY", "INHIBITORY", "kernels", "filter_bias",
    "kernel_kinds", "kernel_table", "rank_kernels", "plot_images", "plot_input", "plot_groups",
    "plot_norms", "plot_kernels", "plot_circuit", "plot_words", "edge_numbers", "answer",
]


# ============================================================================================
# 1. Classes: what the network sees in a picture
# ============================================================================================


def classify(net: Network, images, *, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Name what the network sees.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : ImageSet, or float ndarray of shape (n, h, w, 3)
        RGB, 0-255.
    top : int
        How many guesses for each picture.

    Returns
    -------
    list of list of (wnid, label, probability)
        For each picture its `top` classes, the most probable first. Classes of your own
        (``net.classes``) have an empty WordNet id.

    Raises
    ------
    ValueError
        If the network has no classifier, or one whose classes have no names; the message names
        the remedy. `top` below 1.
    """
    net.check_class_names()
    whole("top", top)
    probabilities = net.probabilities(logits(net, images))
    return [[(*net.class_entry(i), float(row[i])) for i in np.argsort(-row)[:top]]
            for row in probabilities]


def logits(net: Network, images) -> np.ndarray:
    """Class logits, shape (n, classes), of an `ImageSet` or of RGB pictures 0-255.

    They are read before a softmax that the model may end in.
    """
    forward, side = net.forward(net.logits_layer, pre_activation=True), net.fixed_size
    return np.concatenate([forward(batch).numpy() for batch in picture_batches(images, side=side)])


# ============================================================================================
# 2. Activations: what real pictures do to a filter
# ============================================================================================

def activations(net: Network, layer, images, *, pre_activation: bool = False) -> np.ndarray:
    """A layer's feature maps for a few pictures.

    Parameters
    ----------
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB, 0-255.
    pre_activation : bool
        Before the layer's ReLU instead of after it.

    Returns
    -------
    float32 ndarray, shape (n, rows, columns, filters)
        All of it in memory: for many pictures use `image_maxima`, which keeps one number a
        picture and filter.
    """
    forward, side = net.forward(layer, pre_activation=pre_activation), net.fixed_size
    return np.concatenate([forward(batch).numpy() for batch in picture_batches(images, side=side)])


def image_maxima(net: Network, layer: str, image_set: ImageSet, *, filters=None) -> Maxima:
    """Each filter's maximum pre-activation in each picture, streamed batch by batch.

    Memory grows by three numbers a picture and filter (all of the layer, unless `filters` names
    some); maps are reduced in the batch that made them. `image_set` may be an array as well.
    """
    image_set = as_image_set(image_set, copy=False)
    inside = unpadded_positions(net, layer, image_set.size)
    filters = None if filters is None else net.check_filters(layer, filters)
    forward = net.forward(layer, pre_activation=True)
    values, places = [], []
    for batch in image_set.watched(f"{layer}: pictures", side=net.fixed_size):
        maps = forward(batch)[:, inside, inside, :]
        if filters is not None:
            maps = tf.gather(maps, filters, axis=3)
        side = maps.shape[2]
        flat = tf.transpose(tf.reshape(maps, (len(batch), -1, maps.shape[-1])), (0, 2, 1))
        values.append(tf.reduce_max(flat, 2).numpy())
        places.append(tf.argmax(flat, 2).numpy())  # the last axis, next to each other in memory
    rows, columns = np.divmod(np.concatenate(places), side)
    return Maxima(np.concatenate(values), rows + inside.start, columns + inside.start, layer,
                  None if filters is None else tuple(filters.tolist()), tuple(image_set.names),
                  image_set.size)


def top_patches(
    net: Network, image_set: ImageSet, layer: str, filter: int, *, k: int = 9,
    maxima: Maxima | None = None,
) -> Patches:
    """The `k` pictures' patches that excite a filter most, at most one from each picture.

    Parameters
    ----------
    image_set : ImageSet
    layer, filter
        The unit; its pre-activation is compared over positions that see no padding.
    k : int
        How many (fewer if there are fewer pictures).
    maxima : Maxima, optional
        What `image_maxima` found before, of this layer in pictures of these names.
    """
    filter = net.check_filter(layer, filter)
    image_set = as_image_set(image_set, copy=False)
    whole("k", k)
    if maxima is None:
        maxima = image_maxima(net, layer, image_set, filters=[filter])
    place = maxima.column(net, layer, filter, image_set)
    best = np.argsort(-maxima.values[:, place], kind="stable")[:k]
    table = pd.DataFrame({
        "picture": best, "name": [image_set.names[i] for i in best],
        "label": image_set.labels[best], "value": maxima.values[best, place],
        "row": maxima.rows[best, place], "column": maxima.columns[best, place],
    })
    field = receptive_field(net, layer, input_size=image_set.size)
    crops = []
    for image, row, column in zip(image_set.read(best), table["row"], table["column"], strict=True):
        top, left, bottom, right = field.window(row, column)
        crops.append(image[top:bottom, left:right])
    return Patches(np.stack(crops), table)


def patch_responses(net: Network, layer: str, patches, *, filters=None) -> np.ndarray:
    """Pre-activations of the unit whose receptive field is exactly the patch.

    Parameters
    ----------
    patches : Patches, or ndarray of shape (n, size, size, 3)
        RGB 0-255; `size` is the layer's receptive field.
    filters : sequence of int, optional
        All filters of the layer by default.

    Returns
    -------
    float32 ndarray, shape (n, filters)
        Pre-activations.

    Raises
    ------
    ValueError
        Patches of another size than the receptive field.
    """
    patches = check_pictures(patches)
    seen = receptive_field(net, layer)
    if patches.shape[1:] != (seen.size, seen.size, 3):
        raise ValueError(f"a unit of {layer} sees {seen.size} × {seen.size} RGB pixels; these "
                         f"patches have shape {patches.shape[1:]}.")
    forward = unit_forward(net, layer)
    found = np.concatenate([forward(patches[first : first + 64]).numpy()
                            for first in range(0, len(patches), 64)])
    return found if filters is None else found[:, net.check_filters(layer, filters)]


def lit_by(net: Network, layer: str, filter: int, images) -> np.ndarray:
    """Pictures in pale grey, red where a filter fires (its map stretched over the picture).

    Returns
    -------
    float32 ndarray, shape (n, h, w, 3)
        RGB 0-255: full red where a picture's activation is largest, grey where it is zero, in
        between in proportion to the activation.
    """
    filter = net.check_filter(layer, filter)
    images = check_pictures(images)
    maps = activations(net, layer, images)[..., filter, None]
    maps = tf.image.resize(maps, images.shape[1:3]).numpy()  # bilinear, to the pictures' size
    largest = np.maximum(maps.max((1, 2, 3), keepdims=True), 1e-12)
    share = np.maximum(maps, 0) / largest
    grey = 110 + 0.55 * images.mean(-1, keepdims=True)  # pale, so that red stands out
    return ((1 - share) * grey + share * np.array([200, 0, 30])).astype("float32")


def class_responses(
    net: Network, layer: str, image_set: ImageSet | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Per-picture maxima of all filters of a layer, and the pictures' classes.

    Without `image_set`: VGG16's stored answers to 1,000 photographs, one for each ImageNet
    class (`data/README.md` tells how they were made; the photographs are not needed).

    Returns
    -------
    values : float32 ndarray, shape (pictures, filters)
        Maximum pre-activation over positions that see no padding.
    labels : int ndarray, shape (pictures,)
        Class indices (−1: unknown).

    Raises
    ------
    ValueError
        No pictures for a network or layer without stored answers; weights changed since loading.
    """
    net.check_filters(layer, 0)
    if image_set is not None:
        image_set = as_image_set(image_set, copy=False)
        return image_maxima(net, layer, image_set).values, image_set.labels
    if net.responses is None:
        raise ValueError(
            f"stored class responses exist for VGG16 with ImageNet weights only, not for "
            f"{net.name} ({net.weights_source}): give an image_set with labels.")
    if not _has_stored_responses(net, layer):
        raise ValueError("the stored class responses belong to VGG16's convolutions with ImageNet "
                         f"weights; {layer} is none, or weights up to it were changed after "
                         "loading: give an image_set with labels, or load the network again.")
    with np.load(net.responses) as stored:
        values = stored[layer].astype("float32")
    return values, np.arange(len(values))


def _has_stored_responses(net: Network, layer: str) -> bool:
    """Whether there are stored responses, made with the weights that layers up to here have."""
    pinned = fetch.vgg16_digests()
    if net.responses is None or layer not in pinned:
        return False
    below = list(pinned)[: list(pinned).index(layer) + 1]
    return all(weights.tensor_digest(*net.layer(name).get_weights()) == pinned[name]
               for name in below)


def class_table(
    net: Network, layer: str, filter: int, image_set: ImageSet | None = None, *, own: bool = False,
    each: bool = False,
) -> pd.DataFrame:
    """How strongly a filter answers to each class: ImageNet's, or the pictures' own.

    Parameters
    ----------
    layer, filter
        The unit.
    image_set : ImageSet, optional
        Pictures with class labels; VGG16's stored answers to 1,000 photographs by default.
    own : bool
        Each filter's values are standardised over the pictures; then the mean over all filters is
        subtracted for each picture. What is left is what this filter answers to, others do not.
    each : bool
        A row for each picture by itself instead of one for each class.

    Returns
    -------
    DataFrame
        ``index, wnid, label, group, mean, spread, pictures``, strongest class first: the mean
        and standard deviation (NaN for one picture) of the per-picture maxima (pre-activation).
        Of classes that are not ImageNet's ``wnid`` is empty, and each is a group by itself.
        ``attrs["note"]`` says plainly when classes have too few pictures to conclude from.

    Raises
    ------
    ValueError
        No picture has a label, a filter out of range; what `class_responses` refuses.
    """
    filter = net.check_filter(layer, filter)
    classes = getattr(image_set, "classes", None)
    values, labels = class_responses(net, layer, image_set)
    if not (known := labels >= 0).any():
        raise ValueError("no picture has a class label: give load_images(..., labels=...), or name "
                         "files or folders by WordNet id.")
    if image_set is not None and net.classes is not None:
        net.check_labels(image_set)
    if own:
        values = values.astype("float64")  # float32's rounding errors would be scaled up
        values = (values - values[known].mean(0)) / np.maximum(values[known].std(0), 1e-12)
        values -= values.mean(1, keepdims=True)
    rows = np.arange(known.sum()) if each else labels[known]
    table = pd.Series(values[known, filter]).groupby(rows).agg(
        mean="mean", spread="std", pictures="size")
    shown = labels[known] if each else table.index
    table.insert(0, "index", shown)
    table.insert(1, "wnid", [class_names.entry(i, classes)[0] for i in shown])
    table.insert(2, "label", [class_names.entry(i, classes)[1] for i in shown])
    table.insert(3, "group", [class_names.group_of(i, classes) for i in shown])
    table = table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
    table.attrs["note"] = "" if (fewest := table["pictures"].min()) >= 5 else (
        f"as few as {fewest} picture(s) a class: single classes are anecdotes, read the groups")
    return table


def group_table(table: pd.DataFrame, *, permutations: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Read a class table by coarse group, with a permutation test.

    For each group: the mean response of its classes minus that of all others, in standard
    deviations over classes, and the share of `permutations` random re-assignments of groups
    whose difference is at least as large in size (two-sided p, never 0: the observed one counts).

    Returns
    -------
    DataFrame
        ``group, classes, difference, p, p_holm``, largest difference first; ``p_holm`` is
        corrected for the number of groups (Holm's step-down rule).
    """
    score = table["mean"].to_numpy()
    score = (score - score.mean()) / max(score.std(), 1e-12)
    names = np.array(sorted(table["group"].unique()))
    member = (table["group"].to_numpy()[:, None] == names).astype(float)  # (classes, groups)
    size = member.sum(0)

    def difference(scores):  # (..., classes) → (..., groups)
        inside = scores @ member
        total = scores.sum(-1, keepdims=True)
        return inside / size - (total - inside) / np.maximum(len(score) - size, 1)

    observed = difference(score)
    rng = np.random.default_rng(seed)
    shuffled = difference(rng.permuted(np.tile(score, (permutations, 1)), axis=1))
    p = (1 + (np.abs(shuffled) >= np.abs(observed) - 1e-12).sum(0)) / (1 + permutations)
    order = np.argsort(p, kind="stable")
    holm = np.empty_like(p)
    holm[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    frame = pd.DataFrame({"group": names, "classes": size.astype(int), "difference": observed,
                          "p": p, "p_holm": holm})
    return frame.sort_values("difference", ascending=False, ignore_index=True)


def split_halves(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint random halves A, B of ``range(count)``, sorted.

    A hypothesis is formed on half A and tested on half B; else it is tested on the very
    evidence that suggested it.
    """
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: (count + 1) // 2]), np.sort(order[(count + 1) // 2:])


# ============================================================================================
# 3. Gradient ascent: the picture a filter answers to most
# ============================================================================================

# Five nouns, after Lucid, a file each in engine/: an *objective* says what to make large, a
# *parameterisation* how a picture is written in numbers, *transforms* what it must survive, an
# *optimiser* how a step is taken, and `render` climbs. `maximize` wraps it for the filters of a
# layer, `atlas` for all filters of one.

_FIRED = functools.partial(channel, pre_activation=False)
#: Recipes that readers may know, each with what `maximize` then uses. ``normalised_gradient``:
#: keras.io's, from its noise; ``lecture_rms``: a lecture's; ``target_activation``: distance to an
#: unreachable target. They climb in pixels on the activation *after* the ReLU, leave a filter that
#: starts dead blank, and are shown `stretched`. ``natural_spectrum``: MaCo.
PRESETS = {
    "normalised_gradient": {"objective": _FIRED, "transforms": (), "optimiser": Normalised(10.0),
                            "parameterisation": Pixels(0.25 / 12**0.5)},
    "lecture_rms": {"objective": _FIRED, "transforms": (), "optimiser": Normalised(1.0, "rms"),
                    "parameterisation": Pixels(0.0)},
    "target_activation": {"objective": near_target, "transforms": (),
                          "optimiser": Normalised(10.0), "parameterisation": Pixels(1 / 12**0.5)},
    "natural_spectrum": {"objective": channel, "parameterisation": NaturalSpectrum(),
                         "optimiser": Adam(0.1)},
}
STRETCHED = frozenset(PRESETS) - {"natural_spectrum"}  #: whose pictures are faint


def held_to(net: Network, layer: str, photograph: np.ndarray, *, at: str | None = None,
            hold: float = 10.0, sign: int = 1) -> Callable[[str, np.ndarray], Objective]:
    """What feature accentuation makes large, as ``objective(layer, filters)`` for `maximize`.

    sign · z − hold · d: z the mean of the filter's map, in standard deviations of its answers over
    the photograph (RGB 0-255, shape (size, size, 3)); d the `feature_distance` to it at the layer
    `at`, by default the one that `layer` reads. `techniques.accentuation` has the source.
    """
    photograph, = check_each([photograph])
    inside = unpadded_positions(net, layer, photograph.shape[1])
    maps = activations(net, layer, made(photograph[None]), pre_activation=True)
    spread = np.maximum(maps[0, inside, inside].std((0, 1)), 1e-6)
    at = at or input_layer(net, layer).feature or layer
    near = hold * feature_distance(at, activations(net, at, made(photograph[None])))
    return lambda layer, filters: channel(layer, filters) * (sign / spread[filters]) - near


def _recipe(net: Network, layer: str, preset: str, start, sign: int) -> dict:
    """What `maximize` uses for a preset."""
    if preset in PRESETS:
        return dict(PRESETS[preset])
    if preset != "accentuation":
        raise ValueError(f"preset {preset!r} not found; known are {', '.join(PRESETS)}, and "
                         "accentuation of a photograph (start=).")
    if np.ndim(start) < 3 or np.shape(start)[:-3] not in ((), (1,)):
        raise ValueError("accentuation needs one photograph to begin with: give it as start=.")
    photograph = start.reshape(start.shape[-3:])
    return {"objective": held_to(net, layer, photograph, sign=sign), "transforms": (),
            "optimiser": Adam(0.02)}


def maximize(
    net: Network, layer: str, filters, *, objective: str | Callable | None = None,
    steps: int = 128, size: int | None = None, seed: int = 0, seeds: int = 1,
    preset: str | None = None, reference=None, batch: int = 16, sign: int = 1,
    start: np.ndarray | None = None, progress: bool = True, interruptible: bool = False,
    **options,
) -> Ascent:
    """Draw the pictures that filters of a layer answer to most: one batch for many filters.

    Parameters
    ----------
    net : Network
    layer : str
    filters : int or sequence of int
    objective : {"channel", "unit"} or callable, optional
        Mean of the filter's pre-activation over its map (the default, unless a preset says
        otherwise), or its value at the centre; or ``objective(layer, filters)`` → `Objective`,
        one value a picture.
    steps, size
        As in `render`.
    seed : int
        First random seed ...
    seeds : int
        ... and how many, each a picture of its own.
    preset : str, optional
        A recipe of `PRESETS`, or "accentuation" of the photograph that is given as `start` (see
        `held_to`); `objective` and `options` override it.
    reference : Maxima, or ndarray of shape (pictures, all filters of the layer), optional
        Maxima of real pictures (`image_maxima(...)`) for the percentile; VGG16's stored ones by
        default, NaN without either.
    batch : int
        Pictures optimised together; memory grows with it, not with the number of filters. It is
        halved if memory runs out.
    sign : {1, -1}
        −1 draws what a filter is *least* excited by (not with an objective of several readings).
    start : ndarray, shape (size, size, 3) or (n, size, size, 3), or ImageSet, optional
        Pictures to start from, one for all or one for each (filter, seed).
    interruptible : bool
        On an interrupt from the keyboard return what there is instead of raising `Interrupted`.
    **options
        Passed on to `render`: `parameterisation`, `optimiser`, `transforms`, `calm`,
        `snapshots`, `settle`, `cancel`, `on_step`, `importance`.

    Returns
    -------
    Ascent
        Of fewer pictures than asked for where `ended` is "interrupted": by `cancel`, or from the
        keyboard with `interruptible`.

    Raises
    ------
    ValueError
        Unknown layer, preset or objective, a layer without positions, filter out of range, no
        filter, steps or seeds below 1; a `reference` of another layer, starting pictures that
        cannot be paired.
    Interrupted
        It was stopped from the keyboard; ``finished`` is the `Ascent` so far.

    Notes
    -----
    The same seed gives the same pixels on the same machine in batches of the same size. Another
    batch size, processor or TensorFlow release rounds differently, and an ascent lets small
    differences grow: expect activations within 5 %, the tolerance with which the report is
    checked (it held between TensorFlow 2.20 and 2.21).
    """
    filters = net.check_filters(layer, filters)
    whole("seeds", seeds), whole("seed", seed, 0), whole("batch", batch)
    if sign not in (1, -1):
        raise ValueError(f"sign is 1 or −1, not {sign!r}.")
    start = as_start(start)
    signed = preset == "accentuation" and objective is None  # the sign is in the objective
    if preset is not None:
        recipe = _recipe(net, layer, preset, start, sign)
        its_own, options = recipe.pop("objective"), {**recipe, **options}
        objective = its_own if objective is None else objective
    kinds = {None: channel, "channel": channel, "unit": unit}
    if not callable(objective) and objective not in kinds:
        raise ValueError(f"objective is one of channel, unit, not {objective!r}; "
                         "compose others with render().")
    climbed = kinds.get(objective, objective)
    measured = unit if objective == "unit" else channel
    check_climb(net, steps=steps, size=size, seed=seed)
    size = size or (start.shape[-2] if preset == "accentuation" else canvas(net, layer))
    receptive_field(net, layer)  # refuses a layer without positions
    jobs = [(f, s) for f in filters.tolist() for s in range(seed, seed + seeds)]
    if np.ndim(start) == 4 and len(start) not in (1, len(jobs)):
        raise ValueError(f"{len(start)} starting pictures for {len(jobs)} to be drawn: give one "
                         "for all, or one for each filter and seed (seeds side by side).")
    reference = _reference(net, layer, reference)

    done: list[Rendering] = []
    interrupt = None
    with Progress(total=len(jobs), desc=f"{layer}: pictures", delay=2,
                  disable=not progress or len(jobs) <= batch) as bar:
        while (first := sum(len(r.images) for r in done)) < len(jobs):
            some = jobs[first : first + batch]
            own = [f for f, _ in some]
            goal = turned(climbed(layer, own), 1 if signed else sign)
            one_each = np.ndim(start) == 4 and len(start) > 1
            begun = start[first : first + batch] if one_each else start
            try:
                done.append(render(net, goal, size=size, steps=steps, measure=measured(layer, own),
                                   seed=[(s, f) for f, s in some], start=begun,
                                   progress=progress and len(jobs) <= batch,
                                   **options))
            except tf.errors.ResourceExhaustedError:
                if batch == 1:
                    raise
                batch //= 2
                print(f"Memory ran out: going on with {batch} pictures at a time.")
                continue
            except KeyboardInterrupt as problem:
                if isinstance(problem, Interrupted):
                    done.append(problem.finished)
                if not done:
                    raise
                interrupt = problem
                break  # what is finished is kept
            bar.update(len(some))
            if done[-1].ended == "interrupted":
                break
    wanted, jobs = len(jobs), jobs[: sum(len(r.images) for r in done)]
    _warn_of_broken(net, layer, jobs, done)
    images, history = _joined(done)
    report = _report(net, layer, jobs, images, history, reference, sign)
    report["steps"] = np.repeat([r.measured[-1] for r in done], [len(r.images) for r in done])
    longest = max(done, key=lambda r: r.measured[-1])
    snapshots = {step: np.concatenate([r.snapshots[step] for r in done])
                 for step in longest.snapshots if all(step in r.snapshots for r in done)}
    pulls = [r.importance for r in done if r.importance is not None]
    found = Ascent(images, history, longest.measured, report, snapshots,
                   "interrupted" if interrupt else done[-1].ended,
                   np.concatenate(pulls) if pulls else None)
    if interrupt is None or interruptible:
        return found
    came = f"{done[-1].measured[-1]} of {steps} steps of picture {len(jobs)} of {wanted}"
    raise Interrupted(came, found) from interrupt


def _reference(net: Network, layer: str, reference) -> np.ndarray | None:
    """Maxima of real pictures, one column a filter of the layer; stored ones if none are given."""
    if reference is None:
        return class_responses(net, layer)[0] if _has_stored_responses(net, layer) else None
    if isinstance(reference, Maxima):
        reference = reference.reference(layer)
    reference, count = np.asarray(reference), net.channels(layer)
    if reference.ndim != 2 or reference.shape[1] != count:
        raise ValueError(f"reference has shape {reference.shape}; {layer} has {count} filters: "
                         "give image_maxima(net, layer, pictures), all filters of it.")
    return reference


def _joined(done: Sequence[Rendering]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and histories of several batches; a history that ended early keeps its last row."""
    length = max(len(r.history) for r in done)
    histories = [np.pad(r.history, ((0, length - len(r.history)), (0, 0)), mode="edge")
                 for r in done]
    return np.concatenate([r.images for r in done]), np.concatenate(histories, axis=1)


def _warn_of_broken(net: Network, layer: str, jobs, done: Sequence[Rendering]) -> None:
    """Name the pictures whose gradient stopped being finite."""
    broken = np.concatenate([r.broken for r in done])
    if broken.any():
        which = ", ".join(f"{f} (seed {s})"
                          for (f, s), bad in zip(jobs, broken, strict=True) if bad)
        warn_of_broken(net, f"{layer}: the gradient stopped being finite for filter {which}")


def _report(net, layer, jobs, images, history, reference, sign) -> pd.DataFrame:
    """The report of `maximize`; see `Ascent`."""
    filters = np.array([f for f, _ in jobs])
    maps = activations(net, layer, images, pre_activation=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # render has warned already
        crop = unpadded_positions(net, layer, images.shape[1], needed=False) or slice(None)
    own = np.stack([m[crop, crop, f] for m, f in zip(maps, filters, strict=True)])
    contrast = images.std(axis=(1, 2, 3))
    rise = sign * (history[-1] - history[0])
    end_max = own.max((1, 2))
    percentile = np.full(len(jobs), np.nan)
    if reference is not None and sign == 1:  # the least exciting need not beat photographs
        percentile = 100 * (reference[:, filters] < end_max).mean(0)
    return pd.DataFrame({
        "filter": filters, "seed": [s for _, s in jobs],
        "start": history[0], "end_mean": history[-1], "end_max": end_max,
        "best": (sign * history).max(0) * sign, "percentile": percentile,
        "agreement": _agreement(net, layer, images, jobs),
        "flat": (contrast < 2) | (rise <= 1e-6 * np.abs(history[0])),
    })


def picture_vectors(net: Network, layer: str, images) -> np.ndarray:
    """Pictures as the layer below `layer` sees them: mean activations, scaled to length 1.

    Returns
    -------
    float32 ndarray, shape (n, input channels)
        The product of two rows is the cosine that `Ascent.report` calls agreement.

    Raises
    ------
    ValueError
        A layer that reads the picture itself, or several layers.
    """
    own = convolution_below(net, layer)
    if own is None:
        raise ValueError(f"{layer} has no single layer below whose channels it reads; take a "
                         "convolution that reads another layer.")
    below = activations(net, input_layer(net, own).tensor, images).mean((1, 2))
    return below / np.maximum(np.linalg.norm(below, axis=1, keepdims=True), 1e-12)


def _agreement(net: Network, layer: str, images: np.ndarray, jobs) -> np.ndarray:
    """Mean cosine between a filter's pictures from different seeds, seen by the layer below."""
    filters, seeds = np.array(jobs).T
    same = (filters[:, None] == filters) & (seeds[:, None] != seeds)
    others = same.sum(1)
    if not others.any() or convolution_below(net, layer) is None:
        return np.full(len(filters), np.nan)
    below = picture_vectors(net, layer, made(images))
    total = np.where(same, below @ below.T, 0).sum(1)
    return np.divide(total, others, out=np.full(len(filters), np.nan), where=others > 0)


# --- a whole layer ---------------------------------------------------------------------------

ATLAS_VERSION = 1  #: raise it when the same call would draw other pictures


def atlas(
    net: Network, layer: str, *, filters=None, size: int | None = None, steps: int = 80,
    seed: int = 0, optimiser=Adam(0.4), calm: float = 0.5, batch: int = 16, sign: int = 1,
    folder: str | os.PathLike | None = None, progress: bool = True,
    on_step: Callable[[int, np.ndarray], object] | None = None,
) -> Atlas:
    """Draw every filter of a layer; finished pictures are stored and read again.

    Finished batches are kept in a folder named by everything that decides the pictures (weights
    digest, parameters, version), so that an interrupted call goes on where it stopped and a
    repeated one only reads. Fast settings: a few large steps on a small canvas; `maximize` draws
    single filters with more care.

    Parameters
    ----------
    filters : sequence of int, optional
        All of the layer by default.
    size : int, optional
        Side of the pictures in pixels: by default the receptive field plus two strides, at
        least 48.
    steps, seed, optimiser, calm, batch, sign
        As in `maximize`.
    folder : path, optional
        Where to keep it; ``build/atlas`` by default.
    on_step : callable, optional
        As in `render`, for each batch that has to be drawn; finished batches are kept if it
        raises.

    Returns
    -------
    Atlas

    Raises
    ------
    Interrupted
        It was stopped from the keyboard; ``finished`` is the atlas of the filters so far. The
        same call goes on from there.
    """
    filters = net.check_filters(layer, range(net.channels(layer)) if filters is None else filters)
    check_climb(net, steps=steps, size=size, seed=seed, calm=calm, optimiser=optimiser)
    size = size or net.fixed_size or max(48, canvas(net, layer, strides=2))
    made_by = {"version": ATLAS_VERSION, "network": net.name, "layer": layer, "size": size,
               "weights": weights.tensor_digest(*submodel(net, layer).get_weights()),
               "steps": steps, "seed": seed, "optimiser": repr(optimiser), "calm": calm,
               "batch": batch} | ({} if sign == 1 else {"sign": sign})
    home = folder_for(Path(folder or HOME.parent / "build" / "atlas"), made_by)
    home.mkdir(parents=True, exist_ok=True)

    def draw(some):
        return maximize(net, layer, some, size=size, steps=steps, seed=seed, optimiser=optimiser,
                        calm=calm, batch=batch, sign=sign, on_step=on_step, progress=False)

    parts, interrupt = [], None
    for first in Progress(range(0, len(filters), batch), f"atlas of {layer}", delay=2,
                          disable=not progress):
        try:
            part = part_of(draw, filters[first : first + batch], home)
        except KeyboardInterrupt as problem:
            if not parts:
                raise
            interrupt = problem
            break
        parts.append(part)
    images = np.concatenate([images for images, _ in parts])
    report = pd.concat([report for _, report in parts], ignore_index=True)
    report["percentile"] = report["percentile"] if sign == 1 else np.nan  # of older atlases
    found = Atlas(images, report, *contact_sheet(home, images, report, made_by))
    if interrupt is not None:
        raise Interrupted(f"{len(images)} of {len(filters)} filters (the same call goes on from "
                          "there)", found) from interrupt
    return found


def visualize_filter(
    net: Network, layer: str, filter: int | None = None, *, recipe: str | None = None,
    iterations: int = 50, size: int | None = None, seed: int | None = None,
) -> Figure:
    """Draw one filter and print how the ascent goes, as textbooks' functions do.

    Prints the mean pre-activation, whatever is climbed on, at the start and after at most ten
    steps, evenly spaced, the last one included; each line is for exactly the step it names.

    Parameters
    ----------
    filter : int, optional
        A random one if none is given: another at each call, unless `seed` is given.
    recipe : str, optional
        A name in `PRESETS`; this module's own if none is given.
    iterations : int
        Steps of the ascent.
    size : int, optional
        Side of the picture, in pixels: 96 unless the model is built for another.
    seed : int, optional
        Of the random filter and of the starting noise (0 if none is given).

    Returns
    -------
    Figure
    """
    if filter is None:
        count = net.channels(layer)
        filter = int(np.random.default_rng(seed).integers(count))
    lines = min(10, max(iterations, 1))
    told = [round(iterations * line / lines) for line in range(1, lines + 1)]
    ascent = maximize(net, layer, filter, steps=iterations,
                      size=size or net.fixed_size or 96, seed=seed or 0, snapshots=told,
                      preset=recipe)
    print(f"{layer}, filter {filter}: mean pre-activation\n"
          f"at the start      {ascent.history[0, 0]:9.3f}")
    for step in told:  # `snapshots` has each of them measured
        print(f"iteration {step:4d}    {ascent.history[step, 0]:9.3f}")
    images = stretched(ascent.images) if recipe in STRETCHED else ascent.images
    return plot_images(images, titled([f"{layer}, filter {filter}"], ascent.notes), columns=1,
                       width=2.6)


# ============================================================================================
# 4. Kernels: the weights that feed a filter
# ============================================================================================

EXCITATORY, INHIBITORY = 0.2, -0.2  #: thresholds of the sign index
MOSTLY_ZERO = 0.05  #: kernels below this share of the filter's largest L2 norm


def kernels(net: Network, layer: str, filter: int, *, fold: bool = True) -> np.ndarray:
    """All kernels of one filter: one for each input channel.

    Parameters
    ----------
    layer : str
        A convolution. For a depthwise or grouped one, the kernels of input channels that the
        filter does not read are zero; a separable one has the products of its two parts, which
        is exact, since nothing stands between them.
    filter : int
    fold : bool
        Multiply by the scale γ/√(σ² + ε) of a batch normalisation that directly follows [1]_:
        a negative γ turns excitation by the filter's inputs into inhibition. The order of the
        kernels, and each one's share, are the same either way. Without such a layer (VGG16)
        nothing changes. False: the weights as they are stored, which add up to the convolution's
        own output.

    Returns
    -------
    float32 ndarray, shape (kernel rows, kernel columns, input channels)

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", CVPR 2018, section 3.2 (folding).
    """
    conv = net.convolution(layer)
    filter = net.check_filter(layer, filter)
    channels = conv.input.shape[-1]
    if kind_of(conv).reads == "spread":  # a transposed convolution
        own, first = conv.kernel.numpy()[:, :, filter], 0  # (rows, columns, channels)
    elif isinstance(conv, keras.layers.SeparableConv2D):
        mixed = conv.pointwise_kernel.numpy()[0, 0, :, filter].reshape(channels, -1)
        own, first = np.einsum("rckm,km->rck", conv.depthwise_kernel.numpy(), mixed), 0
    elif isinstance(conv, keras.layers.DepthwiseConv2D):
        first, multiple = divmod(filter, conv.depth_multiplier)
        own = conv.kernel.numpy()[:, :, first : first + 1, multiple]
    else:
        own = conv.kernel.numpy()[:, :, :, filter]  # (rows, columns, channels of its group)
        first = filter // (conv.filters // conv.groups) * own.shape[2]
    placed = np.zeros((*own.shape[:2], channels), "float32")
    placed[:, :, first : first + own.shape[2]] = own
    return placed * norm_scale_shift(net, layer)[0][filter] if fold else placed


def filter_bias(net: Network, layer: str, filter: int, *, fold: bool = True) -> float:
    """A filter's bias: its pre-activation is Σ `kernels` · inputs + this.

    With `fold`, the output of the batch normalisation that directly follows, if there is one.
    """
    conv = net.convolution(layer)
    filter = net.check_filter(layer, filter)
    own = float(conv.bias.numpy()[filter]) if conv.use_bias else 0.0
    scale, shift = norm_scale_shift(net, layer)
    return float(own * scale[filter] + shift[filter]) if fold else own


def kernel_kinds(index: np.ndarray) -> np.ndarray:
    """A sign index, -1 to 1, in words: mostly excitatory, mostly inhibitory or mixed."""
    return np.select([index > EXCITATORY, index < INHIBITORY],
                     ["mostly excitatory", "mostly inhibitory"], "mixed")


def kernel_table(net: Network, layer: str, filter: int) -> pd.DataFrame:
    """Every kernel of a filter, the largest L2 norm first.

    Returns
    -------
    DataFrame, one row for each input channel
        ``channel``; ``l2``: √Σw²; ``sign_index``: (Σw⁺ − Σ|w⁻|) / Σ|w|, from −1 (all taps
        inhibit) to 1 (all excite); ``positive_share``: share of positive taps; ``kind``: the
        index in words (`EXCITATORY`, `INHIBITORY` are its thresholds); ``mostly_zero``: L2
        below `MOSTLY_ZERO` of the filter's largest.

    Notes
    -----
    From block1_conv2 on, VGG16's inputs are outputs of a ReLU and so never negative: the sign
    of a tap is the sign of its effect. For ``block1_conv1`` the inputs are signed colours, and
    "excitatory" means "raised by more of that colour than average". The same holds wherever the
    input is signed: a 1×1 convolution that reads a sum of residual branches, say.

    A batch normalisation that directly follows is folded into the kernels (see `kernels`).
    """
    taps = kernels(net, layer, filter)
    taps = taps.reshape(-1, taps.shape[-1])  # (taps, channels)
    mass = np.abs(taps).sum(0)
    l2 = np.sqrt((taps.astype("float64") ** 2).sum(0))
    index = np.divide(taps.sum(0), mass, out=np.zeros_like(mass), where=mass > 0)
    table = pd.DataFrame({
        "channel": np.arange(len(l2)), "l2": l2, "sign_index": index,
        "positive_share": (taps > 0).mean(0), "kind": kernel_kinds(index),
        "mostly_zero": l2 < MOSTLY_ZERO * l2.max(),
    })
    return table.sort_values("l2", ascending=False, kind="stable", ignore_index=True)


def rank_kernels(net: Network, layer: str, filter: int, *, top: int = 10) -> pd.DataFrame:
    """The `top` kernels of a filter by L2 norm, and whether they excite or inhibit.

    Returns
    -------
    DataFrame
        ``channel, l2, sign_index, positive_share, kind`` as in `kernel_table`, without mostly
        zero kernels. ``attrs``: ``channels`` (how many there are), ``mostly_zero`` (how many
        were left out), ``l2_share`` (share of the filter's squared weight in the rows listed),
        ``layer, filter`` (whose they are).

    Raises
    ------
    ValueError
        Unknown layer, not a convolution, filter out of range, `top` below 1.
    """
    whole("top", top)
    table = kernel_table(net, layer, filter)
    listed = table[~table["mostly_zero"]].head(top).drop(columns="mostly_zero")
    total = (table["l2"] ** 2).sum()
    listed.attrs = {
        "channels": len(table), "mostly_zero": int(table["mostly_zero"].sum()),
        "l2_share": float((listed["l2"] ** 2).sum() / total) if total else 0.0,
        "layer": layer, "filter": net.check_filter(layer, filter),
    }
    return listed


# ============================================================================================
# 5. Figures
# ============================================================================================

#
# Each function returns a `ShownFigure`: a matplotlib Figure built without pyplot that a notebook
# shows as a cell's last value, with its alternative text. That text may be given to each of them
# as `alt="..."`; `save_figure`, which also writes the figure, demands one. Signed numbers are red
# (excites) and blue (inhibits) around white at zero, on one scale for all panels of a figure, and
# marked + and − as well.


def answer(text: str):
    """An **Answer** whose numbers were computed: prose and results cannot drift apart."""
    from IPython.display import Markdown

    return Markdown(f"**Answer.** {' '.join(text.split())}")


@styled
def plot_images(
    images: Sequence[np.ndarray] | Ascent, titles: Sequence[str] = (), *, columns: int = 5,
    width: float = WIDTH, marked: Sequence[int] = (), heading: str = "",
) -> Figure:
    """A sheet of pictures, each under its title; those that are marked have a red frame.

    Parameters
    ----------
    images : Ascent, or sequence of ndarray, shape (h, w, 3)
        RGB 0-255; shown as they are, no contrast stretching. Under an ascent's pictures stands
        which of them are weak (`Ascent.notes`).
    """
    if isinstance(images, Ascent):
        images, titles = images.images, titled(titles, images.notes)
    images = check_each(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max([t.count("\n") + 1 for t in titles if t], default=0)
    figure = blank_figure(rows * (width / columns + 0.15 * lines) + (0.25 if heading else 0), width)
    if heading:
        figure.suptitle(heading, fontsize=10)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if i < len(images):
            show_picture(axes, images[i], titles[i] if i < len(titles) else "",
                  RED if i in marked else None)
        else:
            axes.set_axis_off()
    return figure


@styled
def plot_input(original: np.ndarray, crop: np.ndarray, net: Network) -> Figure:
    """What the network receives: the photograph, its crop, and the preprocessed planes."""
    original, crop = check_each([original, crop])
    received = net.preprocess(tf.constant(crop[None]))[0].numpy()
    figure = blank_figure(1.75)
    planes = received.shape[-1]  # one of a grey network's input
    axes = figure.subplots(1, 2 + planes, width_ratios=[1.25, *[1] * (1 + planes)])
    show_picture(axes[0], original, f"original\n{original.shape[0]} × {original.shape[1]}")
    show_picture(axes[1], crop, f"crop\n{crop.shape[0]} × {crop.shape[1]}, RGB")
    norm = CenteredNorm(0, np.abs(received).max())
    for channel_index, channel_name in enumerate(net.input_channels[:planes]):
        panel = axes[2 + channel_index]
        drawn = panel.imshow(received[..., channel_index], cmap=SIGNED, norm=norm)
        panel.set(xticks=[], yticks=[], title=f"input channel {channel_index}\n({channel_name})")
    figure.colorbar(drawn, ax=axes[2:], shrink=0.8, label="value received")
    return figure


@styled
def plot_groups(groups: pd.DataFrame, *, level: float = 0.05) -> Figure:
    """Coarse groups of classes: how far each lies above or below the others."""
    figure = blank_figure(0.5 + 0.2 * len(groups))
    axes = figure.subplots()
    shown = groups.iloc[::-1]
    colours = np.where(shown["difference"] > 0, RED, BLUE)
    clear = (shown["p_holm"] < level).to_numpy()
    bars = axes.barh(shown["group"] + shown["classes"].map(" ({})".format), shown["difference"],
                     color=colours)
    for bar, is_clear, value in zip(bars, clear, shown["difference"], strict=True):
        bar.set_alpha(1.0 if is_clear else 0.3)
        if is_clear:
            axes.annotate("*", (value, bar.get_y() + bar.get_height() / 2), va="center",
                          xytext=(4 if value > 0 else -4, -2), textcoords="offset points",
                          ha="left" if value > 0 else "right", weight="bold")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="mean response minus that of all others (standard deviations)")
    axes.margins(y=0.01)
    return figure


@styled
def plot_norms(table: pd.DataFrame, *, top: int = 10) -> Figure:
    """All kernels' L2 norms in falling order, and how much of the squared weight they gather."""
    figure = blank_figure(2.2)
    left, right = figure.subplots(1, 2)
    l2 = table["l2"].to_numpy()
    left.bar(np.arange(len(l2)), l2, width=1.0, color="#bbbbbb")
    left.bar(np.arange(min(top, len(l2))), l2[:top], width=1.0, color="#404040")
    left.axhline(MOSTLY_ZERO * l2.max(), color=GREY, linestyle=":", linewidth=1)
    left.annotate("mostly zero below", (len(l2), MOSTLY_ZERO * l2.max()), ha="right",
                  xytext=(0, 2), textcoords="offset points", fontsize=8, color="black")
    left.set(xlabel="kernels, strongest first", ylabel="L2 norm")
    gathered = np.cumsum(l2**2) / (l2**2).sum()
    right.plot(np.arange(1, len(l2) + 1), 100 * gathered, color="#404040")
    share = 100 * gathered[min(top, len(l2)) - 1]
    right.plot([top, top, 0], [0, share, share], color=GREY, linestyle=":", linewidth=1)
    right.annotate(f"top {top}: {share:.0f} %", (top, share), xytext=(6, -8),
                   textcoords="offset points", fontsize=8)
    right.set(xlabel="kernels, strongest first", ylabel="squared weight (%)",
              ylim=(0, 102), xlim=(0, None))
    return figure


@styled
def plot_kernels(net: Network, layer: str, filter: int, ranking: pd.DataFrame) -> Figure:
    """The ranked kernels on one signed scale, with channel, norm and kind above each."""
    whose = tuple(ranking.attrs.get(key) for key in ("layer", "filter"))
    if whose not in ((None, None), (layer, net.check_filter(layer, filter))):
        raise ValueError(f"this ranking is of {whose[0]}'s filter {whose[1]}, not of {layer}'s "
                         f"{filter}: give rank_kernels(net, layer, filter).")
    taps = kernels(net, layer, filter)[:, :, ranking["channel"]]
    columns = min(5, len(ranking))
    rows = -(-len(ranking) // columns)
    figure = blank_figure(rows * 1.65)
    norm = CenteredNorm(0, np.abs(taps).max())
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(ranking):]:
        axes.set_axis_off()
    for i, (axes, row) in enumerate(zip(panels.flat, ranking.itertuples(), strict=False)):
        drawn = draw_kernel(axes, taps[:, :, i], norm)
        axes.set_gid(f"kernel-{row.channel}")  # the circuit sheet leads here, and this back to it
        axes.set_url("#circuit")
        axes.set_title(f"channel {row.channel}\nL2 {row.l2:.3f}\n{row.kind}", fontsize=8)
    figure.colorbar(drawn, ax=panels, shrink=0.7, label="weight (+ excites, − inhibits)" if rows > 1
                    else "weight\n+ excites\n− inhibits")
    return figure


@styled
def plot_circuit(
    upstream: Sequence[np.ndarray] | Ascent, ranking: pd.DataFrame, taps: np.ndarray,
    picture: np.ndarray | Ascent, *, words: Sequence[str] = (), layer: str = "",
    filter: int | str = "", feature: str = "", contributions: Sequence[float] = (),
    effects: Sequence[float] = (),
) -> Figure:
    """The circuit as a weight explorer draws it: upstream pictures - kernels - the filter.

    Parameters
    ----------
    upstream : Ascent, or sequence of ndarray (h, w, 3)
        Pictures of the upstream channels, in the order of `ranking`; of an ascent, which are weak
        is told.
    ranking : DataFrame
        From `rank_kernels`.
    taps : ndarray, shape (rows, columns, len(ranking))
        Their kernels.
    picture : Ascent, or ndarray (h, w, 3)
        The filter's picture.
    words : sequence of str
        What each upstream channel looks for.
    contributions : sequence of float, optional
        What each edge gives, as a share of the filter's response; printed beside it.
    effects : sequence of float, optional
        By which share the response changes when the edge is cut; printed beside it.
    """
    words, title = [*words, *[""] * (len(ranking) - len(words))], f"{layer}\nfilter {filter}"
    if isinstance(upstream, Ascent):
        upstream, words = upstream.images, titled(words, upstream.notes)
    if isinstance(picture, Ascent):
        picture, title = picture.images[0], titled([title], picture.notes[:1])[0]
    *upstream, picture = check_each([*upstream, picture])
    half = -(-len(ranking) // 2)  # two columns of edges, the filter between them
    below = feature if len(feature) <= 14 else "channel"  # a longer name meets the arrows
    more = (len(contributions) > 0 or len(effects) > 0) + any("\n" in word for word in words)
    tall = 1.3 + 0.13 * more  # inches: one edge's picture, kernel and lines of text
    figure = blank_figure(half * tall + 0.2, layout="none")
    deep = figure.get_figheight()
    norm = CenteredNorm(0, np.abs(taps).max())
    centre = figure.add_axes([0.41, 0.5, 0.18, 0.18 * WIDTH / deep])
    centre.set_gid("circuit")
    show_picture(centre, picture, title)
    side, small = 0.8, 0.5  # inches: upstream pictures, kernels
    for i, row in enumerate(ranking.itertuples()):
        right = i >= half
        bottom = deep - tall * (i % half + 1) + 0.35 + 0.13 * more  # inches
        x_picture, x_kernel = (WIDTH - 0.1 - side, WIDTH - 0.25 - side - small) if right else (
            0.1, 0.25 + side)
        box = np.array([WIDTH, deep, WIDTH, deep])
        panel = figure.add_axes([x_picture, bottom, side, side] / box)
        panel.set_url(f"#channel-{row.channel}")  # on a page: to its larger picture and patches
        show_picture(panel, upstream[i])
        edge = figure.add_axes([x_kernel, bottom + (side - small) / 2, small, small] / box)
        edge.set_url(f"#kernel-{row.channel}")
        drawn = draw_kernel(edge, taps[:, :, i], norm)
        sign, colour, line = edge_look(row.kind)
        figure.text((WIDTH - 0.1 if right else 0.1) / WIDTH, (bottom - 0.04) / deep,
                    f"{i + 1}. {below} {row.channel}  {sign} {row.l2:.2f}\n{words[i]}"
                    + edge_numbers(i, contributions, effects), fontsize=8,
                    ha="right" if right else "left", va="top", linespacing=1.1)
        level = 1 - (i % half + 0.5) / half  # where the arrow meets the filter's picture
        figure.add_artist(ConnectionPatch(
            (0 if right else 1, 0.5), (1 if right else 0, level), edge.transAxes,
            centre.transAxes, arrowstyle="-|>", color=colour, alpha=0.8,
            linewidth=0.8 + 2.2 * row.l2 / ranking["l2"].max(), linestyle=line))
    low = max(0.09, 0.4 / deep)  # a figure of few edges is low, its letters are not
    bar = figure.add_axes([0.42, low, 0.16, 0.015])
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="weight")
    figure.text(0.5, low + max(0.1, 0.35 / deep),
                "solid red: excites\ndashed blue: inhibits\ndotted grey: mixed", fontsize=8,
                ha="center", va="center", color=GREY)
    return figure


def edge_numbers(i: int, contributions: Sequence[float], effects: Sequence[float]) -> str:
    """What edge `i` gives and costs: a line like "gives 31 % · cut −12 %", or nothing."""
    numbers = []
    contributions, effects = np.asarray(contributions), np.asarray(effects)
    for word, shares, form in (("gives", contributions, "d"), ("cut", effects, "+d")):
        if i < len(shares):
            percent = round(100 * float(shares[i]))  # an integer, so that there is no −0
            numbers.append(f"{word} {percent:{form if percent else 'd'}} %".replace("-", "−"))
    return "\n" + " · ".join(numbers) if numbers else ""


@styled
def plot_words(net: Network, layer: str, filter: int) -> Figure:
    """The words filter, kernel, edge and activation, drawn in the chosen layer's real shapes."""
    conv, filter = net.convolution(layer), net.check_filter(layer, filter)
    rows, columns = conv.kernel_size
    channels = conv.input.shape[-1]
    below = input_layer(net, layer)
    side_in = receptive_field(net, below.tensor).positions
    side_out = receptive_field(net, layer).positions
    figure = blank_figure(2.5, layout="none")
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 13), ylim=(0, 5))
    axes.set_axis_off()

    def stack(x, y, width, height, sheets, colour, highlighted=None):
        for k in reversed(range(sheets)):
            axes.add_patch(Rectangle((x + 0.14 * k, y + 0.14 * k), width, height, edgecolor="#333",
                                     facecolor=RED if k == highlighted else colour, linewidth=0.8,
                                     alpha=0.75 if k == highlighted else 1))

    stack(0.4, 1.5, 2.0, 2.0, 6, "#dfe7ef", highlighted=0)
    axes.text(1.7, 0.95, f"input activation\n{below.tensor}\n{side_in} × {side_in} × {channels}",
              ha="center", va="top")
    stack(5.0, 1.9, 1.1, 1.1, 6, "#f4e3d3", highlighted=0)
    axes.text(5.9, 0.95, f"filter {filter}\n{rows} × {columns} × {channels}\n= {channels} kernels",
              ha="center", va="top")
    axes.annotate(f"one kernel\n{rows} × {columns} × 1", (5.6, 3.0), (6.0, 4.55), ha="center",
                  va="center", color=RED, arrowprops={"arrowstyle": "-", "color": RED})
    axes.annotate("one input channel", (1.4, 3.5), (1.7, 4.75), ha="center", va="center", color=RED,
                  arrowprops={"arrowstyle": "-", "color": RED})
    stack(9.6, 1.5, 2.0, 2.0, 1, "#dfefdf")
    axes.text(10.6, 0.95, f"output activation\nchannel {filter} of {net.channels(layer)} of\n"
              f"{layer}, {side_out} × {side_out}", ha="center", va="top")
    axes.annotate("", (4.95, 2.45), (2.45, 2.45), arrowprops={"arrowstyle": "-|>", "color": RED})
    axes.annotate("edge", (3.75, 2.45), ha="center", va="bottom", xytext=(0, 3),
                  textcoords="offset points", color=RED)
    axes.annotate("", (9.4, 2.5), (7.1, 2.5), arrowprops={"arrowstyle": "-|>"})
    steps = ["sum + bias", *(["norm"] if net.norm(layer) is not None else [])]
    last = made_by(net.output(layer, pre_activation=False))[0]
    after = getattr(getattr(last, "activation", None), "__name__", type(last).__name__).lower()
    if after.startswith("relu") or kind_of(last).rectifies or hasattr(last, "activation"):
        steps += {"linear": []}.get(after, [f"then {after.replace('relu', 'ReLU')}"])
    axes.text(8.25, 2.65, ",\n".join(steps), ha="center", va="bottom")
    return figure


def main(arguments: Sequence[str]) -> int:
    """``python -m vizutils show-recipe FILE``: print the program that makes a figure again."""
    if len(arguments) != 2 or arguments[0] != "show-recipe":
        print("usage: python -m vizutils show-recipe FIGURE.png > again.py", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(encoding="utf-8")  # Python's own; Windows writes its code page to files
    try:
        print(show_recipe(arguments[1]), end="")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
