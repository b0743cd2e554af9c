"""Does an attribution map show the network, or only the picture? Three tests, with controls.

A map over a picture of a dog that lights up on the dog convinces, whatever made it: an edge
detector does it too. So the maps are tested by what must hold if they show *this network's*
reasons:

1. **Sanity** (`sanity_check`): shuffle the network's weights, from the logits down; the map must
   change. A map that stays as it was depends on the picture, not on what was learned.
2. **Deletion and insertion** (`deletion_insertion`): hide the pixels that the map holds for
   important, first things first; the class must lose faster than when random places are hidden.
3. **Agreement** (`agreement`): do two methods rank the pixels of one picture alike, more than
   those of two different pictures?

A *method* is any callable ``method(net, images, targets)`` that returns an `Attribution` (of the
module `attribution`) or an array of maps, shape (n, rows, columns).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

import vizutils as vz
from data.progress import Progress
from engine import style
from engine.network import copy_of
from techniques import attribution

MARKERS = "osv^D*PX"


# --- maps: what the tests take, and how two are compared ----------------------------------------


def as_maps(found) -> np.ndarray:
    """The maps of an `Attribution`, or given ones: float64, shape (n, rows, columns).

    Raises
    ------
    ValueError
        Not three axes, or numbers that are not finite.
    """
    maps = np.asarray(getattr(found, "maps", found), "float64")
    if maps.ndim != 3:
        raise ValueError(f"maps have shape (n, rows, columns), one number a pixel, not "
                         f"{maps.shape}: fold colours and add the pictures' axis (map[None]).")
    if not np.isfinite(maps).all():
        raise ValueError("a map holds numbers that are not finite: look at the method first.")
    return maps


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's correlation of |map| with |other|, picture by picture; NaN if one is constant."""
    return np.array([np.mean(a * b) for a, b in zip(_ranks(maps), _ranks(others), strict=True)])


def _ranks(maps: np.ndarray) -> np.ndarray:
    """Standardised ranks of |map|, (n, pixels): the mean product of two is Spearman's."""
    ranks = stats.rankdata(np.abs(maps).reshape(len(maps), -1), axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    spread = ranks.std(1, keepdims=True)
    return np.divide(ranks, spread, out=np.full_like(ranks, np.nan), where=spread > 0)


def map_ssim(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """SSIM of |map| with |other|, picture by picture, each scaled to its 99th percentile.

    The percentile, not the maximum, because one bright pixel would make all else black - and two
    black pictures are alike.
    """
    return np.array([structural_similarity(a, b, data_range=1.0)
                     for a, b in zip(_scaled(maps), _scaled(others), strict=True)])


def _scaled(maps: np.ndarray) -> np.ndarray:
    """|map| from 0 to 1 (at its 99th percentile); all zeros stay zeros."""
    sizes = np.abs(maps)
    top = np.percentile(sizes, 99, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, sizes.max((1, 2), keepdims=True))
    return np.clip(np.divide(sizes, top, out=np.zeros_like(sizes), where=top > 0), 0, 1)


# --- 1. sanity: a map of another network must be another map --------------------------------------


@dataclass(frozen=True, eq=False)
class Sanity:
    """How maps change while the network's weights are shuffled from the top down.

    Attributes
    ----------
    table : DataFrame
        ``method, stage`` (0: the network as it is), ``layer`` (the last one shuffled), ``rank,
        ssim``: Spearman's correlation and SSIM of |map| with the original |map|, means over the
        pictures (NaN where all maps are constant).
    maps : dict of str to float64 ndarray, shape (stages, n, rows, columns)
        Each method's maps at every stage.
    verdict : DataFrame, indexed by method
        ``rank, ssim`` after all layers are shuffled; ``other_pictures``: rank correlation of the
        original map with the original maps of the *other* pictures (NaN with one picture);
        ``insensitive``: rank is at least `threshold`, or the map is constant from the start.
    threshold : float
    """

    table: pd.DataFrame
    maps: dict[str, np.ndarray]
    verdict: pd.DataFrame
    threshold: float


def shuffled(net: vz.Network, layers: Sequence[str], *, seed: int = 0) -> vz.Network:
    """A copy of the network in which some layers' own numbers stand in random order.

    Each weight array of a layer keeps its values, so activations keep their order of size, but
    what it had learned is gone. The given network is not touched.

    Parameters
    ----------
    layers : sequence of str
        Names of layers that have weights.
    seed : int
        A layer's order does not depend on which others are shuffled.

    Raises
    ------
    ValueError
        An unknown layer, or one without weights.
    """
    known = weighted_layers(net)
    for name in layers:
        if name not in known:
            raise ValueError(f"{name!r} is no layer with weights of {net.name}; these are "
                             f"{', '.join(known)}.")
    model = copy_of(net.model)
    for name in layers:
        rng = np.random.default_rng((seed, known.index(name)))
        copy = model.get_layer(name)
        copy.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in copy.get_weights()])
    model.trainable = False
    return dataclasses.replace(
        net, model=model, responses=None,
        weights_source=f"{net.weights_source}; {len(layers)} layers shuffled")


def weighted_layers(net: vz.Network) -> list[str]:
    """Names of the layers that have weights, from the picture up."""
    return [layer.name for layer in net.model.layers if layer.weights]


def sanity_check(
    net: vz.Network, images, methods: Mapping[str, Callable], targets, *,
    layers: Sequence[str] | None = None, threshold: float = 0.5, seed: int = 0,
) -> Sanity:
    """Shuffle a copy of the network layer by layer from the logits down, and watch the maps [1]_.

    Parameters
    ----------
    net : Network
        Not modified.
    images : float ndarray, shape (n, h, w, 3)
        RGB 0-255.
    methods : mapping of str to callable
        Title → ``method(net, images, targets)``. `edges` is a good control: it never looks at
        the network.
    targets
        Handed to each method as it is: classes (indices or names), the same at every stage. Not
        None, because a shuffled network has another top class.
    layers : sequence of str, optional
        Where to stop on the way down: at each of these, it and all layers with weights above
        it are shuffled. Default: at every layer.
    threshold : float
        A method whose maps, with everything shuffled, still have this rank correlation with the
        originals is called insensitive. It is a convention: read it beside ``other_pictures``.
    seed : int

    Returns
    -------
    Sanity

    Raises
    ------
    ValueError
        No targets, no methods, unknown layers, a method that returns no maps.

    Notes
    -----
    Weights are shuffled, where [1]_ draws them anew: shuffling needs no initialiser, keeps
    batch normalisation in range, and does not silence the network. A product with the picture,
    such as gradient × input, keeps the picture's outline whatever the network: a high remnant
    there is not all insensitivity.

    References
    ----------
    .. [1] J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
    """
    images = vz.check_pictures(images)
    if targets is None:
        raise ValueError("targets must be named: the network's own top class changes when its "
                         "weights do. vz.logits(net, images).argmax(1) gives today's.")
    if not methods:
        raise ValueError("no method given: {'saliency': attribution.saliency} would be one.")
    stages = _cascade(net, layers)
    maps = {name: [] for name in methods}
    for shuffle in Progress(stages, "shuffling", delay=1):
        # a fresh copy for each stage: methods may keep traces, and copies of weights in them
        stage = shuffled(net, shuffle, seed=seed) if shuffle else net
        for name, method in methods.items():
            maps[name].append(as_maps(method(stage, images, targets)))
    maps = {name: np.stack(found) for name, found in maps.items()}
    table = pd.DataFrame(
        [(name, i, shuffle[-1] if shuffle else "(none)", _mean(rank_correlation(found[0], there)),
          _mean(map_ssim(found[0], there)))
         for name, found in maps.items()
         for i, (shuffle, there) in enumerate(zip(stages, found, strict=True))],
        columns=["method", "stage", "layer", "rank", "ssim"])
    return Sanity(table, maps, _verdict(table, maps, threshold), threshold)


def _cascade(net: vz.Network, layers) -> list[list[str]]:
    """Which layers are shuffled at each stage, top first; none at the first stage."""
    known = weighted_layers(net)
    stops = known if layers is None else list(layers)
    for name in stops:
        if name not in known:
            raise ValueError(f"{name!r} is no layer with weights of {net.name}; these are "
                             f"{', '.join(known)}.")
    stops = sorted({known.index(name) for name in stops}, reverse=True)
    return [[], *(known[:stop - 1 if stop else None:-1] for stop in stops)]


def _verdict(table: pd.DataFrame, maps: dict, threshold: float) -> pd.DataFrame:
    """Each method's last stage, beside how alike its maps of different pictures are."""
    last = table.groupby("method", sort=False)[["rank", "ssim"]].last(skipna=False)
    own = table.groupby("method", sort=False)["rank"].first(skipna=False)
    last["other_pictures"] = [_mean(_between(_ranks(maps[name][0]))) for name in last.index]
    last["insensitive"] = (last["rank"] >= threshold) | own.isna()
    return last


def _between(ranks: np.ndarray) -> np.ndarray:
    """Rank correlations of all pairs of different maps."""
    return (ranks @ ranks.T / ranks.shape[1])[~np.eye(len(ranks), dtype=bool)]


def _mean(values: np.ndarray) -> float:
    """Mean of what is a number; NaN if nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def edges(net: vz.Network, images, targets) -> np.ndarray:
    """A pseudo-method for control: the Sobel gradient's length of the picture's brightness.

    It takes the arguments of a method and ignores the network and the class.
    """
    grey = vz.one_or_more(images).astype("float64").mean(-1)
    return np.hypot(ndimage.sobel(grey, 1), ndimage.sobel(grey, 2))


# --- 2. deletion and insertion: is what the map points at what the class rests on? --------------


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores while the pixels of a map are hidden, or shown, most important first.

    Attributes
    ----------
    fractions : float64 ndarray, shape (steps + 1,)
        Share of the pixels hidden (deletion) or shown (insertion), 0 to 1.
    deletion, insertion : dict of str to float64 ndarray
        Method → scores, shape (n, steps + 1).
    random_deletion, random_insertion : dict of int to float64 ndarray
        Grain of the random maps in pixels → scores, shape (maps, n, steps + 1).
    table : DataFrame
        One row a method and picture, then one a grain of random maps and picture (means over
        them): ``method, picture, target, deletion, insertion`` (areas under the curves;
        deletion low, insertion high is good), ``deletion_percentile, insertion_percentile``:
        share of all random maps (%) that do worse, ties counting half (NaN for the random ones).
    targets : int ndarray, shape (n,)
    score, baseline : str
        What was scored, and what pixels are replaced by, in words.
    """

    fractions: np.ndarray
    deletion: dict[str, np.ndarray]
    insertion: dict[str, np.ndarray]
    random_deletion: dict[int, np.ndarray]
    random_insertion: dict[int, np.ndarray]
    table: pd.DataFrame
    targets: np.ndarray
    score: str
    baseline: str


def deletion_insertion(
    net: vz.Network, images, maps: Mapping[str, object], targets, *, steps: int = 16,
    baseline: str = "blur", score: str = "probability", random_maps: int = 4,
    grains: Sequence[int] = (1, 32), batch: int = 16, seed: int = 0,
) -> Curves:
    """Hide, and show, a picture's pixels in the order of a map, and follow the class [1]_.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : float ndarray, shape (n, h, w, 3)
        RGB 0-255.
    maps : mapping of str to Attribution or ndarray of shape (n, h, w)
        Method → maps; the largest number first, so what speaks against the class comes last.
        Equal numbers are taken in random order.
    targets : int, str, or sequence of int and str
        As in `attribution.resolve_targets`.
    steps : int
        In how many equal parts the pixels are taken. Each costs two forward passes a map.
    baseline : {"blur", "grey", "mean"}
        What stands where pixels are hidden: the picture blurred (Gaussian, standard deviation a
        sixteenth of its side), mid-grey (127.5), or the picture's mean colour.
    score : {"probability", "logit"}
    random_maps : int
        How many random maps of each grain every picture gets for control.
    grains : sequence of int
        Size in pixels of the random maps' blotches. Hiding scattered pixels (grain 1) makes
        noise that hurts a network more than hiding a patch does, wherever it is: compare a fine
        map with fine grains, a smooth one with coarse.
    batch : int
        Pictures a forward pass; memory does not grow with `steps`.
    seed : int

    Returns
    -------
    Curves

    Raises
    ------
    ValueError
        A network without a classifier, maps of another size than the pictures, classes out of
        range, unknown baseline or score.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: randomized input sampling for explanation of
       black-box models", BMVC 2018.
    """
    images = vz.check_pictures(images)
    if min(steps, random_maps, batch, *grains, len(grains)) < 1:
        raise ValueError("steps, random_maps, batch and every grain must be at least 1, and "
                         "there must be a grain: without random maps there is no control.")
    maps = {name: _fitting(name, found, images) for name, found in maps.items()}
    hidden, words = _baseline(images, baseline)
    targets = attribution.resolve_targets(net, images, targets)
    scorer = _scorer(net, score)
    rng = np.random.default_rng(seed)
    noise = {grain: np.stack([_blotches(rng, images.shape[:3], grain) for _ in range(random_maps)])
             for grain in grains}
    jobs = [*((key, m) for key, m in maps.items()),
            *(((grain, i), m) for grain, many in noise.items() for i, m in enumerate(many))]
    found = {key: np.empty((2, len(images), steps + 1)) for key, _ in jobs}
    with Progress(total=len(jobs) * len(images), desc="deletion and insertion", delay=1) as bar:
        for i, (image, blank, target) in enumerate(zip(images, hidden, targets, strict=True)):
            ends = scorer(np.stack([image, blank]), target)
            for key, many in jobs:
                rank = _order(many[i], rng)
                found[key][:, i] = _follow(scorer, image, blank, rank, target, ends, steps, batch)
                bar.update()
    chance = {grain: np.stack([found[grain, j] for j in range(random_maps)], 1) for grain in grains}
    fractions = np.linspace(0, 1, steps + 1)
    methods = {name: found[name] for name in maps}
    return Curves(
        fractions, *({name: both[k] for name, both in methods.items()} for k in (0, 1)),
        *({grain: both[k] for grain, both in chance.items()} for k in (0, 1)),
        _areas(methods, chance, fractions, targets), targets,
        f"{score} of the class ({net.head} head)", words)


def _follow(scorer, image, blank, rank, target, ends, steps: int, batch: int) -> np.ndarray:
    """One picture's deletion and insertion scores along one order of pixels, (2, steps + 1)."""
    shares = np.arange(1, steps) / steps
    plan = [(behind, over, share) for behind, over in ((image, blank), (blank, image))
            for share in shares]  # `over` covers the first pixels of the order
    scores = [scorer(np.stack([np.where((rank < share * rank.size)[..., None], over, behind)
                               for behind, over, share in part]), target)
              for part in _chunks(plan, batch)]
    inner = np.concatenate(scores).reshape(2, -1) if scores else np.empty((2, 0))
    return np.column_stack([ends, inner, ends[::-1]])


def _chunks(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start:start + size]


def _order(a_map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each pixel's place in the order, 0 for the largest number; ties at random."""
    order = np.lexsort((rng.random(a_map.size), -a_map.ravel()))
    rank = np.empty(a_map.size, int)
    rank[order] = np.arange(a_map.size)
    return rank.reshape(a_map.shape)


def _blotches(rng: np.random.Generator, shape: tuple[int, int, int], grain: int) -> np.ndarray:
    """Random maps whose blotches are about `grain` pixels wide, shape (n, h, w)."""
    noise = rng.normal(size=shape)
    return noise if grain == 1 else ndimage.gaussian_filter(noise, (0, grain / 2, grain / 2))


def _fitting(name: str, found, images: np.ndarray) -> np.ndarray:
    maps = as_maps(found)
    if maps.shape != images.shape[:3]:
        raise ValueError(f"the maps of {name!r} have shape {maps.shape}, the pictures "
                         f"{images.shape[:3]}: enlarge maps to the pictures' size first.")
    return maps


def _baseline(images: np.ndarray, baseline: str) -> tuple[np.ndarray, str]:
    """What stands in for hidden pixels, and the words for it."""
    width = images.shape[1] / 16
    if baseline == "blur":
        blurred = ndimage.gaussian_filter(images, (0, width, width, 0), mode="reflect")
        return blurred, f"the picture blurred (Gaussian, {width:.0f} px)"
    if baseline == "grey":
        return np.full_like(images, 127.5), "mid-grey (127.5)"
    if baseline == "mean":
        return np.zeros_like(images) + images.mean((1, 2), keepdims=True), "its mean colour"
    raise ValueError(f"baseline {baseline!r} is unknown: take 'blur', 'grey' or 'mean'.")


def _scorer(net: vz.Network, score: str) -> Callable:
    """A function from pictures and a class to one number for each picture."""
    if score not in ("probability", "logit"):
        raise ValueError(f"score {score!r} is unknown: take 'probability' or 'logit'.")

    def scored(pictures, target):
        values = vz.logits(net, vz.made(pictures))
        values = net.probabilities(values) if score == "probability" else values
        return values[:, target].astype("float64")

    return scored


def _areas(methods: dict, chance: dict, fractions: np.ndarray, targets) -> pd.DataFrame:
    """Areas under the curves, and their percentiles among the random maps'."""
    random = {grain: np.trapezoid(both, fractions, axis=-1) for grain, both in chance.items()}
    pool = np.concatenate(list(random.values()), axis=1)  # (2, maps, n)
    rows = []
    for name, both in methods.items():
        areas = np.trapezoid(both, fractions, axis=-1)
        for i, target in enumerate(targets):
            percentiles = _beaten(pool[0, :, i], areas[0, i]), _beaten(-pool[1, :, i], -areas[1, i])
            rows.append((name, i, target, *areas[:, i], *percentiles))
    rows += [(f"random, {grain} px", i, target, *areas.mean(1)[:, i], np.nan, np.nan)
             for grain, areas in random.items() for i, target in enumerate(targets)]
    return pd.DataFrame(rows, columns=["method", "picture", "target", "deletion", "insertion",
                                       "deletion_percentile", "insertion_percentile"])


def _beaten(others: np.ndarray, value: float) -> float:
    """Share of `others` (%) that lie above `value`, ties counting half."""
    return 100 * float(np.mean((others > value) + 0.5 * (others == value)))


# --- 3. agreement: do methods point at the same pixels? ------------------------------------------


@dataclass(frozen=True, eq=False)
class Agreement:
    """How alike methods rank pixels.

    Attributes
    ----------
    same : DataFrame, methods × methods
        Spearman's correlation of |map|, mean over pictures.
    other : DataFrame, methods × methods
        The control: one method's map of a picture with the other's map of *another* picture,
        mean over all such pairs. What is left there is taste (centre, contours of the frame),
        not knowledge of the picture.
    cell : int
        Side of the squares, in pixels, that maps were averaged over.
    """

    same: pd.DataFrame
    other: pd.DataFrame
    cell: int


def agreement(maps: Mapping[str, object], *, cell: int = 8) -> Agreement:
    """Spearman's rank correlation between the maps of every two methods.

    Parameters
    ----------
    maps : mapping of str to Attribution or ndarray of shape (n, h, w)
        Method → maps of the same pictures, two or more.
    cell : int
        |map| is averaged over squares of so many pixels first, because single pixels of a
        gradient's map are noise; 1 compares pixels. A rim that fills no square is left out.

    Returns
    -------
    Agreement
        NaN where a map is constant (all-zero gradients): there is nothing to rank.

    Raises
    ------
    ValueError
        One picture only (no control), maps of different shapes, a cell larger than the maps.
    """
    found = {name: as_maps(m) for name, m in maps.items()}
    shapes = {m.shape for m in found.values()}
    if len(shapes) != 1:
        raise ValueError(f"all methods need maps of the same pictures and size, not {shapes}.")
    count, *sides = shapes.pop()
    if count < 2:
        raise ValueError("agreement needs maps of at least two pictures: those of other pictures "
                         "are its control.")
    if not 1 <= cell <= min(sides):
        raise ValueError(f"cell is a side in pixels, 1 to {min(sides)} here, not {cell}.")
    ranks = np.concatenate([_ranks(averaged(np.abs(m), cell)) for m in found.values()])
    every = (ranks @ ranks.T / ranks.shape[1]).reshape(len(found), count, len(found), count)
    every = every.transpose(0, 2, 1, 3)  # method, other method, picture, other picture
    alike = np.eye(count, dtype=bool)
    names = list(found)

    def table(pairs):
        means = [[_mean(pair[pairs]) for pair in row] for row in every]
        return pd.DataFrame(means, index=names, columns=names)

    return Agreement(table(alike), table(~alike), cell)


def between(table: pd.DataFrame, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> float:
    """Mean agreement over pairs of different methods.

    Parameters
    ----------
    table : DataFrame
        ``same`` or ``other`` of an `Agreement`.
    rows, columns : sequence of str
        Methods of two groups; all methods without `rows`, pairs within one group without
        `columns`.
    """
    rows = list(rows or table.index)
    pairs = table.loc[rows, list(columns or rows)]
    return float(np.mean([pairs.loc[a, b] for a in pairs.index for b in pairs.columns if a != b]))


def averaged(maps: np.ndarray, cell: int) -> np.ndarray:
    """Means over squares of `cell` pixels, shape (n, h // cell, w // cell)."""
    count, rows, columns = (maps.shape[0], maps.shape[1] // cell, maps.shape[2] // cell)
    whole = maps[:, :rows * cell, :columns * cell]
    return whole.reshape(count, rows, cell, columns, cell).mean((2, 4))


# --- figures ----------------------------------------------------------------------------------


@style.styled
def plot_sanity(found: Sanity) -> Figure:
    """Likeness of each method's maps to the originals, by how far down weights are shuffled."""
    figure = style.blank_figure(3.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, column, title in zip(panels, ("rank", "ssim"), ("Spearman of |map|", "SSIM of |map|"),
                                   strict=True):
        for i, (method, rows) in enumerate(found.table.groupby("method", sort=False)):
            axes.plot(rows["stage"], rows[column], label=method, linewidth=1.2, markersize=4,
                      **_line(i, found.table["method"].nunique()))
        axes.axhline(0, color=style.GREY, linewidth=0.8)
        axes.set_title(f"{title} with the original")
        axes.set_xticks(rows["stage"], rows["layer"], rotation=90)
        axes.set_xlabel("shuffled from the logits down to")
    panels[0].axhline(found.threshold, color=style.GREY, linewidth=0.8, linestyle=":")
    panels[0].set_ylabel("likeness (1: unchanged)")
    _legend(figure, panels[0])
    return figure


@style.styled
def plot_cascade(found: Sanity, *, picture: int = 0, stages: Sequence[int] | None = None) -> Figure:
    """One picture's |maps| while weights are shuffled: a row a method, a column a stage.

    Parameters
    ----------
    stages : sequence of int, optional
        Which; up to six spread evenly by default.
    """
    first = found.table[found.table["method"] == found.table["method"].iloc[0]]
    if stages is None:
        stages = np.unique(np.linspace(0, len(first) - 1, 6).round().astype(int))
    side = (style.WIDTH - 0.3) / len(stages)
    figure = style.blank_figure(len(found.maps) * (side + 0.05) + 0.4)
    grid = figure.subplots(len(found.maps), len(stages), squeeze=False)
    for axes_row, (method, maps) in zip(grid, found.maps.items(), strict=True):
        for axes, stage in zip(axes_row, stages, strict=True):
            axes.imshow(_scaled(maps[stage])[picture], cmap="gray", vmin=0, vmax=1,
                        interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        axes_row[0].set_ylabel(method)
    for axes, stage in zip(grid[0], stages, strict=True):
        axes.set_title(first["layer"].iloc[stage], fontsize=8, pad=3)
    return figure


@style.styled
def plot_curves(found: Curves, *, picture: int | None = None, columns: int = 4) -> Figure:
    """Deletion and insertion curves, a panel a method, over the bands of the coarse random maps.

    Parameters
    ----------
    picture : int, optional
        One picture's curves; the mean over all by default.
    columns : int
        Panels a row.
    """
    chosen = slice(None) if picture is None else slice(picture, picture + 1)
    grain, rows = max(found.random_insertion), -(-len(found.insertion) // columns)
    figure = style.blank_figure(1.55 * rows + 0.75)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(found.insertion):]:
        axes.set_axis_off()
    for axes, method in zip(panels.flat, found.insertion, strict=False):
        for name, line, colour, curves, chance in (
                ("pixels shown", "-", style.BLUE, found.insertion, found.random_insertion),
                ("pixels hidden", "--", style.RED, found.deletion, found.random_deletion)):
            spread = chance[grain][:, chosen].mean(1)
            axes.fill_between(found.fractions, spread.min(0), spread.max(0), color=colour,
                              alpha=0.18, linewidth=0, label=f"{name}: random, {grain} px")
            axes.plot(found.fractions, curves[method][chosen].mean(0), line, color=colour,
                      linewidth=1.6, label=name)
        axes.set_title(method)
        axes.set(xlabel="share of pixels", ylabel=found.score.split(" (")[0].replace(" of", "\nof"))
        axes.label_outer()
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False)
    return figure


def _line(i: int, count: int) -> dict:
    """Colour and marker of the i-th method: told apart without colour too."""
    return {"color": mpl.colormaps["viridis"](0.9 * i / max(count - 1, 1)),
            "marker": MARKERS[i % len(MARKERS)]}


def _legend(figure: Figure, axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


@style.styled
def plot_agreement(found: Agreement) -> Figure:
    """Rank correlation of every two methods: the same picture, and other pictures as control."""
    side = len(found.same)
    figure = style.blank_figure(min(1.3 + 0.33 * side, 4.2) + 0.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, table, title in zip(panels, (found.same, found.other),
                                  ("same picture", "other pictures (control)"), strict=True):
        drawn = axes.imshow(table, cmap=style.SIGNED, norm=CenteredNorm(0, 1))
        axes.set_title(title)
        axes.set_xticks(range(side), table.columns, rotation=90)
        axes.set_yticks(range(side), table.index)
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            axes.text(column, row, f"{value:+.1f}" if np.isfinite(value) else "–", ha="center",
                      va="center", fontsize=8, color="white" if abs(value) > 0.6 else "black")
    figure.colorbar(drawn, ax=panels, shrink=0.7, label="Spearman of |map|")
    return figure
