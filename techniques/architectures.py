"""Is what one network shows true of others? Costs, likeness of layers, matched units.

The functions of `vizutils` take any functional Keras image model; this file puts networks side
by side:

1. **Costs and accuracy** - `layer_costs`, `compare`, `load_available`.
2. **Layers** - do two layers order the pictures alike? Linear centred kernel alignment (`cka`,
   `similarity`), unbiased, with shuffled pictures as the control.
3. **Units** - which layer looks as far (`fields`), which unit answers alike (`match_units`), and
   does a unit's partner share its orientation (`orientation_curves`, `tuning_agreement`).
4. **Input channels** - who writes what a convolution reads (`writers`, `stream_shares`): with
   residual branches a channel has several authors, and its sign is open.
5. **Figures** - `plot_similarity`, `plot_matches`, `plot_partners`, `plot_orientations`.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure

import vizutils as vz
from data.fetch import FetchError
from data.progress import Progress
from engine import style
from engine.graph import is_never_negative_at
from engine.kinds import kind_of
from engine.links import made_by
from techniques import stimuli

# --- costs and accuracy -----------------------------------------------------------------------


def layer_costs(net: vz.Network, *, size: int | None = None) -> pd.DataFrame:
    """Parameters and multiply–adds of every convolution and dense layer, for one picture.

    A multiply–add is one weight times one input, added up: the inner loop of every such layer.
    Biases, normalisations, activations and pools, some per cent, are not counted.

    Parameters
    ----------
    size : int, optional
        Side of the picture in pixels; the network's own input size by default.

    Raises
    ------
    ValueError
        A size that the model, built for another one, does not take.

    Returns
    -------
    DataFrame, one row a layer
        ``layer, kind``; ``positions``: how many outputs each filter has; ``parameters``;
        ``multiply_adds``.
    """
    layers = [x for x in net.model.layers
              if kind_of(x).convolves or isinstance(x, keras.layers.Dense)]
    fixed = net.fixed_size
    size = fixed or net.input_size if size is None else size
    if size < 1:
        raise ValueError(f"size is the picture's side in pixels, at least 1, not {size}.")
    if fixed not in (None, size):
        raise ValueError(f"{net.name} takes pictures of {fixed} px only, not of {size}: leave size "
                         "out, or load it by vz.load_network, which frees it where it can.")
    probe = keras.Model(net.model.input, [[x.output, x.input] for x in layers])
    shapes = probe.compute_output_spec(keras.KerasTensor(  # computes nothing
        (1, size, size, net.model.input_shape[-1] or 3)))
    rows = []
    for layer, (seen, read) in zip(layers, shapes, strict=True):
        positions = int(np.prod(seen.shape[1:-1]))  # 1 for a dense layer behind pooling
        products = sum(int(np.prod(w.shape)) for w in layer.weights if len(w.shape) > 1)
        spread = kind_of(layer).reads == "spread"  # each weight is used once an input position
        used = int(np.prod((read if spread else seen).shape[1:-1]))
        kind = type(layer).__name__
        if isinstance(layer, keras.layers.Conv2D):  # 1×1 and 3×3 are told apart
            kind += f" {'×'.join(map(str, layer.kernel.shape[:-2]))}"
        rows.append((layer.name, kind, positions, layer.count_params(),
                     used * products))
    return pd.DataFrame(
        rows, columns=["layer", "kind", "positions", "parameters", "multiply_adds"])


def compare(
    nets: Sequence[vz.Network], images: vz.ImageSet, *, rounds: int = 0, batch: int = 8
) -> pd.DataFrame:
    """What networks know, weigh and cost, one row each.

    Parameters
    ----------
    nets : sequence of Network
    images : ImageSet
        Judged are its labelled pictures (ImageNet class indices).
    rounds : int
        How often to time each network on `batch` pictures, taking turns; 0: not at all.

    Returns
    -------
    DataFrame
        ``network, head``; ``top1, top5``: how many labelled pictures are named right, at once
        and within five guesses (missing without a classifier); ``pictures``: of how many;
        ``parameters``: all numbers of the model, normalisation statistics included;
        ``multiply_adds``: a picture of this size, from `layer_costs`. With `rounds`:
        ``milliseconds`` a picture (median) and ``ratio``: median, over rounds, of the time
        relative to the first network's in the same round.

    Raises
    ------
    ValueError
        No network, or no labelled picture.
    """
    images = vz.as_image_set(images, copy=False)
    labelled = images.subset(np.flatnonzero(images.labels >= 0))
    if not len(nets) or not len(labelled):
        raise ValueError("compare needs at least one network and one labelled picture; the "
                         "packaged ones, vz.load_images(), have twenty.")
    rows = []
    for net in nets:
        right = _named_right(net, labelled) if net.has_classifier else (pd.NA, pd.NA)
        rows.append((net.name, net.head, *right, len(labelled), net.model.count_params(),
                     int(layer_costs(net, size=images.size)["multiply_adds"].sum())))
    table = pd.DataFrame(rows, columns=["network", "head", "top1", "top5", "pictures",
                                        "parameters", "multiply_adds"])
    table[["top1", "top5"]] = table[["top1", "top5"]].astype("Int64")
    if rounds:
        seconds = _take_turns(nets, images.read(range(min(batch, len(images)))), rounds)
        table["milliseconds"] = 1e3 * np.median(seconds, axis=1) / min(batch, len(images))
        table["ratio"] = np.median(seconds / seconds[:1], axis=1)
    return table


def _named_right(net: vz.Network, labelled: vz.ImageSet) -> tuple[int, int]:
    """Pictures whose class is the first guess, and among the first five."""
    net.check_labels(labelled)
    order = np.argsort(-vz.logits(net, labelled), axis=1)[:, :5]
    hits = order == labelled.labels[:, None]
    return int(hits[:, 0].sum()), int(hits.any(1).sum())


def _take_turns(nets: Sequence[vz.Network], pictures: np.ndarray, rounds: int) -> np.ndarray:
    """Seconds of one forward pass, shape (networks, rounds); in turn, so that load affects all."""
    passes = [net.forward(net.last_layer, pre_activation=False) for net in nets]
    for forward in passes:
        forward(pictures)  # traces
    seconds = np.empty((len(nets), rounds))
    for turn in range(rounds):
        for i, forward in enumerate(passes):
            start = time.perf_counter()
            forward(pictures).numpy()
            seconds[i, turn] = time.perf_counter() - start
    return seconds


def load_available(
    names: Sequence[str], *, weights: str = "imagenet"
) -> tuple[list[vz.Network], dict[str, str]]:
    """Load the networks that can be had; for each other one, say in a sentence why not.

    Returns
    -------
    networks : list of Network
    skipped : dict of str to str
        Name → reason.
    """
    networks, skipped = [], {}
    for name in Progress(names, "networks", delay=1):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Keras announces each address
                networks.append(vz.load_network(name, weights=weights))
        except FetchError as problem:
            skipped[name] = str(problem)
    return networks, skipped


# --- layers: centred kernel alignment -----------------------------------------------------------


def cka(x: np.ndarray, y: np.ndarray, *, debiased: bool = True) -> float:
    """Linear centred kernel alignment of two sets of features of the same pictures [1]_.

    1 if the two differ by a rotation (or reflection) and one common scale, 0 if what one says of
    two pictures' likeness tells nothing of what the other says.

    Parameters
    ----------
    x, y : ndarray, shapes (n, ...) and (n, ...)
        Features of the same n pictures, in the same order; all further axes are flattened.
    debiased : bool
        The unbiased estimator of the dependence (HSIC) [2]_ [3]_: about 0 for independent
        features whatever their number (a little below it as often as above). The plain one
        approaches 1 when features outnumber pictures, even for pure noise.

    Returns
    -------
    float
        NaN if either side does not vary.

    Raises
    ------
    ValueError
        Numbers of pictures that differ, or fewer than four of them.

    References
    ----------
    .. [1] S. Kornblith, M. Norouzi, H. Lee, G. Hinton, "Similarity of neural network
       representations revisited", ICML 2019.
    .. [2] L. Song et al., "Feature selection via dependence maximization", JMLR 13, 2012
       (the unbiased estimator).
    .. [3] T. Nguyen, M. Raghu, S. Kornblith, "Do wide and deep networks learn the same things?",
       ICLR 2021 (its use for CKA).
    """
    return _alignment(*(_gram(np.asarray(features)) for features in (x, y)), debiased)


def _gram(features: np.ndarray) -> np.ndarray:
    """Inner products between pictures, shape (n, n), of centred features."""
    flat = features.reshape(len(features), -1).astype("float64")
    flat = flat - flat.mean(0)
    return flat @ flat.T


def _alignment(k: np.ndarray, m: np.ndarray, debiased: bool) -> float:
    if len(k) != len(m) or len(k) < 4:
        raise ValueError(f"CKA compares features of the same pictures, at least four: "
                         f"here are {len(k)} and {len(m)}.")
    measure = _hsic_unbiased if debiased else lambda a, b: (a * b).sum()
    own = measure(k, k) * measure(m, m)
    return float(measure(k, m) / np.sqrt(own)) if own > 0 else float("nan")


def _hsic_unbiased(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, equation 5, on Gram matrices whose diagonal counts for nothing."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    rows = k.sum(0) @ m.sum(0)
    return ((k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (
        n * (n - 3))


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike the layers of two networks order pictures.

    Attributes
    ----------
    values : DataFrame
        Debiased CKA; rows: layers of one network, columns: layers of the other.
    biased : DataFrame
        The plain estimator, for comparison.
    chance : DataFrame
        95th percentile of the debiased CKA when the other network's pictures are shuffled.
    chance_biased : DataFrame
        *Median* of the plain one when they are shuffled: what it says where nothing is alike.
    pictures : int
    """

    values: pd.DataFrame
    biased: pd.DataFrame
    chance: pd.DataFrame
    chance_biased: pd.DataFrame
    pictures: int

    @property
    def best(self) -> pd.DataFrame:
        """For each row the other network's ``layer`` most like it, with ``cka`` and ``chance``."""
        at = self.values.to_numpy().argmax(1)
        rows = np.arange(len(at))
        return pd.DataFrame({"layer": self.values.columns[at],
                             "cka": self.values.to_numpy()[rows, at],
                             "chance": self.chance.to_numpy()[rows, at]}, index=self.values.index)


def similarity(
    net: vz.Network, other: vz.Network, images, layers: Sequence[str],
    other_layers: Sequence[str], *, grid: int = 7, draws: int = 100, seed: int = 0,
    ours: Sequence[np.ndarray] | None = None,
) -> Similarity:
    """CKA between layers of two networks (or of one with itself) over pictures.

    Parameters
    ----------
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB 0-255; at least four.
    layers, other_layers : sequence of str
    grid : int
        Maps are averaged to at most ``grid × grid`` areas, so that layers of any resolution are
        read alike and what lies where still counts. 1: channels' averages only.
    draws : int
        How many shuffles of the pictures make the control.
    ours : sequence of ndarray, optional
        ``grams(net, layers, images, grid=grid)``, if they are there already.
    """
    image_set = vz.as_image_set(images, copy=False)
    ours = grams(net, layers, image_set, grid=grid) if ours is None else ours
    theirs = grams(other, other_layers, image_set, grid=grid)
    if [np.shape(one) for one in ours] != [(len(image_set),) * 2] * len(layers):
        raise ValueError("ours belongs to other layers or pictures: make it with "
                         "grams(net, layers, images).")
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(image_set)) for _ in range(draws)]

    def table(cell) -> pd.DataFrame:
        return pd.DataFrame([[cell(k, m) for m in theirs] for k in ours],
                            index=list(layers), columns=list(other_layers))

    def shuffled(debiased: bool, percentile: float):
        return table(lambda k, m: np.percentile(
            [_alignment(k, m[np.ix_(o, o)], debiased) for o in orders], percentile))

    return Similarity(table(lambda k, m: _alignment(k, m, True)),
                      table(lambda k, m: _alignment(k, m, False)),
                      shuffled(True, 95), shuffled(False, 50), len(image_set))


def grams(net: vz.Network, layers: Sequence[str], images, *, grid: int = 7) -> list[np.ndarray]:
    """What `similarity` compares: inner products between pictures, one matrix a layer.

    Its arguments are `similarity`'s: a network that is compared with several is read once.

    Returns
    -------
    list of float64 ndarray, each of shape (pictures, pictures)
    """
    image_set = vz.as_image_set(images, copy=False)
    forward = net.forward(tuple(layers), pre_activation=False)
    kept: list[list] = [[] for _ in layers]
    for _, batch in Progress(image_set.batches(4), f"{net.name}: layers", -(-len(image_set) // 4),
                             delay=1):
        for found, maps in zip(kept, tf.nest.flatten(forward(batch)), strict=True):
            side = min(grid, *maps.shape[1:3])
            found.append(tf.image.resize(maps, (side, side), method="area").numpy())
    return [_gram(np.concatenate(found)) for found in kept]


# --- units: fields, partners, tuning --------------------------------------------------------------


def fields(net: vz.Network, layers: Sequence[str] | None = None) -> pd.DataFrame:
    """How far the units of each layer see: ``layer, size, stride, filters``.

    Parameters
    ----------
    layers : sequence of str, optional
        By default the rectified maps: convolutions with an activation, and ReLU layers.
    """
    if layers is None:
        layers = [x.name for x in net.model.layers if len(x.output.shape) == 4
                  and (isinstance(x, keras.layers.ReLU)
                       or getattr(x, "activation", None) not in (None, keras.activations.linear))]
    seen = [vz.receptive_field(net, name) for name in layers]
    return pd.DataFrame({
        "layer": list(layers), "size": [s.size for s in seen], "stride": [s.stride for s in seen],
        "filters": [net.channels(name) for name in layers]})


def nearest_fields(net: vz.Network, size: int, *, count: int = 3) -> pd.DataFrame:
    """The rectified layers whose receptive field comes nearest to `size` pixels, as a ratio."""
    table = fields(net)
    apart = np.abs(np.log(table["size"] / size))
    return table.iloc[np.argsort(apart, kind="stable")[:count]].reset_index(drop=True)


def _same_places(net, layer: str, other, other_layer: str, size: int):
    """Positions of two maps, along one axis, whose units look at the same spot unpadded."""
    seen = [vz.receptive_field(*unit, input_size=size)
            for unit in ((net, layer), (other, other_layer))]
    coarse, fine = sorted((0, 1), key=lambda i: -seen[i].stride)
    at = np.arange(seen[coarse].positions)[seen[coarse].unpadded]
    middle = [s.start + s.size / 2 for s in seen]
    near = (middle[coarse] + seen[coarse].stride * at - middle[fine]) / seen[fine].stride
    near = np.floor(near + 0.5).astype(int)
    good = (near >= seen[fine].unpadded.start) & (near < seen[fine].unpadded.stop)
    if not good.any():
        raise ValueError(f"no unit of {layer} and of {other_layer} sees a picture of {size} px "
                         "without padding; use larger pictures or lower layers.")
    places = {coarse: at[good], fine: near[good]}
    return places[0], places[1]


def _responses(net, layer: str, image_set, places: np.ndarray) -> np.ndarray:
    """Pre-activations at a grid of positions, shape (pictures, positions², filters)."""
    forward = net.forward(layer, pre_activation=True)
    found = [tf.gather(tf.gather(forward(batch), places, axis=1), places, axis=2).numpy()
             for _, batch in Progress(image_set.batches(4), f"{layer}: responses",
                                      -(-len(image_set) // 4), delay=1)]
    maps = np.concatenate(found)
    return maps.reshape(len(maps), -1, maps.shape[-1])


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every column of x with every column of y; 0 for constant ones."""
    def standard(samples):
        deviation = samples - samples.mean(0)
        length = np.linalg.norm(deviation, axis=0)
        return np.divide(deviation, length, out=np.zeros_like(deviation), where=length > 1e-6)

    return standard(x).T @ standard(y)


def match_units(
    net: vz.Network, layer: str, other: vz.Network, other_layer: str, images, *,
    draws: int = 5, seed: int = 0,
) -> pd.DataFrame:
    """For each unit of a layer, the other network's unit that answers most like it.

    Responses (pre-activations) are read at places where a unit of either layer looks at the same
    spot of a picture. Partners are chosen by correlation on half A of the pictures and measured
    on half B, for the best of hundreds looks good on the data that chose it [1]_.

    Parameters
    ----------
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB 0-255.
    draws : int
        Controls: the other network is shown the same pictures in another order.

    Returns
    -------
    DataFrame, one row a unit of `layer`
        ``unit, partner``; ``chosen``: correlation on half A; ``held_out``: on half B;
        ``control``: median, over draws, of the held-out correlation of the partner that was
        chosen with shuffled pictures.

    References
    ----------
    .. [1] Y. Li, J. Yosinski, J. Clune, H. Lipson, J. Hopcroft, "Convergent learning: do
       different neural networks learn the same representations?", ICLR 2016.
    """
    image_set = vz.as_image_set(images, copy=False)
    if len(image_set) < 4:
        raise ValueError(f"partners are chosen on half of the pictures and tested on the other: "
                         f"give at least four, not {len(image_set)}.")
    ours, theirs = _same_places(net, layer, other, other_layer, image_set.size)
    x = _responses(net, layer, image_set, ours)
    y = _responses(other, other_layer, image_set, theirs)
    half_a, half_b = vz.split_halves(len(image_set), seed=seed)

    def search(y):
        first, second = (correlations(*(np.concatenate(r[half]) for r in (x, y)))
                         for half in (half_a, half_b))
        partner, rows = first.argmax(1), np.arange(len(first))
        return partner, first[rows, partner], second[rows, partner]

    partner, chosen, held_out = search(y)
    rng = np.random.default_rng(seed)
    control = [search(y[_moved_in_halves(half_a, half_b, rng)])[2] for _ in range(draws)]
    return pd.DataFrame({"unit": np.arange(len(partner)), "partner": partner, "chosen": chosen,
                         "held_out": held_out, "control": np.median(control, axis=0)})


def _moved_in_halves(half_a, half_b, rng) -> np.ndarray:
    """An order of the pictures in which none keeps its place and none leaves its half."""
    order = np.empty(len(half_a) + len(half_b), int)
    for half in (half_a, half_b):
        mixed = rng.permutation(half)
        order[mixed] = np.roll(mixed, 1)
    return order


def orientation_curves(tuned: stimuli.Tuning, *, family: str = "grating") -> pd.DataFrame:
    """Each unit's best response at every orientation: rows: degrees, columns: filters.

    The best over phase, period and polarity, in standard deviations above the mean on pictures,
    so that batteries of different sizes can be compared.
    """
    of = (tuned.table["family"] == family).to_numpy()
    scores = pd.DataFrame(tuned.scores[of], columns=tuned.filters)
    return scores.groupby(tuned.table.loc[of, "orientation"].to_numpy()).max()


def tuning_agreement(
    curves: pd.DataFrame, other: pd.DataFrame, matches: pd.DataFrame, *, draws: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Do partners, matched on photographs, prefer the same orientation of gratings?

    Parameters
    ----------
    curves, other : DataFrame
        From `orientation_curves`, of either layer, at the same orientations over 180 degrees.
    matches : DataFrame
        ``unit, partner``, as from `match_units`.
    draws : int
        Controls: the same partners dealt to other units.

    Returns
    -------
    dict
        ``pairs``; ``apart``: median angle between the preferred orientations, in degrees;
        ``control``: median of that over the draws (45 if nothing were preferred);
        ``percentile``: share of the draws (%) whose angle is larger; ``correlation``: median
        correlation of the two curves, and ``correlation_control``.
    """
    if not np.array_equal(curves.index, other.index):
        raise ValueError("the two batteries hold different orientations: give tuning() the same "
                         "number of angles for both layers.")
    ours, theirs = curves[matches["unit"]].to_numpy(), other[matches["partner"]].to_numpy()
    degrees = curves.index.to_numpy()

    def judge(order):
        apart = np.abs(degrees[ours.argmax(0)] - degrees[theirs[:, order].argmax(0)])
        same = correlations(ours, theirs[:, order]).diagonal()
        return np.median(np.minimum(apart, 180 - apart)), np.median(same)

    rng = np.random.default_rng(seed)
    apart, same = judge(np.arange(len(matches)))
    control = np.array([judge(rng.permutation(len(matches))) for _ in range(draws)])
    middle = np.median(control, axis=0)
    return {"pairs": len(matches), "apart": float(apart), "control": float(middle[0]),
            "percentile": 100 * float((control[:, 0] > apart).mean()),
            "correlation": float(same), "correlation_control": float(middle[1])}


# --- input channels: who writes them ------------------------------------------------------------


def writers(net: vz.Network, layer: str) -> pd.DataFrame:
    """Which layers write the channels that a convolution reads.

    In VGG16 it is one layer: input channel k is filter k of the layer below, rectified. Behind a
    sum of residual branches channel k is the *sum* of filter k of several layers; behind a
    concatenation, channels `first` to `last` belong to one layer each.

    Returns
    -------
    DataFrame, one row a writer, the nearest first
        ``writer, kind``; ``first, last``: the input channels it writes, or adds to. ``attrs``:
        ``tensor``: the layer whose output is read; ``rectified``: whether that can never be
        negative, so that the sign of a kernel is the sign of its effect.
    """
    conv = net.convolution(layer)
    rows = list(dict.fromkeys(_writers_of(conv.input, 0)))
    table = pd.DataFrame(rows, columns=["writer", "kind", "first", "last"])
    table.attrs = {"tensor": vz.input_layer(net, layer).tensor,
                   "rectified": is_never_negative_at(conv.input)}
    return table


def _writers_of(tensor, first: int) -> list[tuple[str, str, int, int]]:
    """(layer, kind, first channel, last channel) for each layer that writes into a tensor."""
    operation, inputs = made_by(tensor)
    kind = type(operation).__name__
    if inputs and kind_of(operation).channels in ("kept", "joined"):
        return [row for x in inputs[::-1] for row in _writers_of(x, first)]
    if kind_of(operation).channels == "stacked":
        starts = first + np.cumsum([0, *(x.shape[-1] for x in inputs[:-1])])
        return [row for x, start in zip(inputs[::-1], starts[::-1].tolist(), strict=True)
                for row in _writers_of(x, start)]
    return [(operation.name, kind, first, first + tensor.shape[-1] - 1)]


def stream_shares(net: vz.Network, layer: str, images) -> pd.DataFrame:
    """How much of a residual stream's variance each of its writers contributes.

    A stream channel is a sum, so its variance is the sum of its covariances with the summands.

    Parameters
    ----------
    layer : str
        A convolution that reads a sum of the (normalised) outputs of `writers`.
    images : ImageSet, or ndarray of shape (n, h, w, 3)
        RGB 0-255; all positions of all pictures count.

    Returns
    -------
    DataFrame, one row a channel, one column a writer
        Shares that add up to 1 (one may be negative: it writes against the others).

    Raises
    ------
    ValueError
        The layer does not read a plain sum of its writers' outputs.
    """
    names = [vz.norm_after(net, name) if name in net.conv_layers else name
             for name in writers(net, layer)["writer"]]
    tensor = vz.input_layer(net, layer).tensor
    forward = net.forward((*names, tensor), pre_activation=False)
    parts = [[tf.reshape(m, (-1, m.shape[-1])).numpy() for m in forward(batch)]
             for batch in vz.picture_batches(images, 8)]
    *summands, stream = (np.concatenate(p).astype("float64") for p in zip(*parts, strict=True))
    if any(s.shape != stream.shape for s in summands) or not np.allclose(
            sum(summands), stream, atol=1e-3 * np.abs(stream).max()):
        raise ValueError(f"{layer} does not read a plain sum of {', '.join(names)}: shares are "
                         "defined for residual streams only.")
    centred = stream - stream.mean(0)
    variance = np.maximum((centred**2).sum(0), 1e-12)
    return pd.DataFrame({n: (s * centred).sum(0) / variance
                         for n, s in zip(names, summands, strict=True)})


# --- figures ------------------------------------------------------------------------------------


@style.styled
def plot_similarity(found: Mapping[str, Similarity]) -> Figure:
    """Debiased CKA as heat maps on one scale, one panel a key; a dot where it beats chance.

    Parameters
    ----------
    found : mapping of str to Similarity
        Title → similarity; all with the same rows.
    """
    first = next(iter(found.values())).values
    figure = style.blank_figure(1.5 + 0.21 * len(first))
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (title, alike) in zip(panels, found.items(), strict=True):
        drawn = axes.imshow(alike.values, vmin=0, vmax=1, cmap="viridis", aspect="auto",
                            interpolation="nearest", origin="lower")
        beats = alike.values.to_numpy() > alike.chance.to_numpy()
        for (row, column), value in np.ndenumerate(alike.values.to_numpy()):
            if beats[row, column]:
                axes.text(column, row, "·", ha="center", va="center", fontsize=9,
                          color="black" if value > 0.55 else "white")
        axes.set_xticks(range(alike.values.shape[1]), alike.values.columns, rotation=90)
        axes.set_yticks(range(len(first)), first.index)
        axes.set_title(title)
    figure.colorbar(drawn, ax=panels, label="debiased CKA")
    return figure


@style.styled
def plot_matches(matches: Mapping[str, pd.DataFrame]) -> Figure:
    """Held-out correlation of every unit with its partner, sorted, one line a candidate set.

    Parameters
    ----------
    matches : mapping of str to DataFrame
        From `match_units`, all for the same layer; the first one's shuffled control is drawn too.
    """
    figure = style.blank_figure(2.6)
    axes = figure.subplots()
    lines = {label: table["held_out"] for label, table in matches.items()}
    lines["pictures shuffled"] = next(iter(matches.values()))["control"]
    looks = zip([style.RED, style.BLUE, "#1b7837", style.GREY], ["-", "--", "-.", ":"], strict=True)
    for (label, values), (colour, line) in zip(lines.items(), looks, strict=False):
        axes.plot(np.arange(1, len(values) + 1), np.sort(values)[::-1], color=colour,
                  linestyle=line, label=label)
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="units, best matched first", ylabel="held-out correlation\nwith the partner",
             xlim=(1, None))
    figure.legend(loc="outside lower center", ncols=len(lines), frameon=False)
    return figure


@style.styled
def plot_partners(
    rows: Mapping[str, tuple[Sequence[np.ndarray], Sequence[str]]]
) -> Figure:
    """Pictures in columns, one column a pair of units, one row a network or source.

    Parameters
    ----------
    rows : mapping of str to (pictures, titles)
        Label of the row → RGB pictures 0-255 and the words above each.
    """
    rows = {label: (vz.check_each(pictures), titles) for label, (pictures, titles) in rows.items()}
    count = len(next(iter(rows.values()))[0])
    figure = style.blank_figure(len(rows) * (5.8 / count + 0.14))
    panels = figure.subplots(len(rows), count, squeeze=False)
    for line, (label, (pictures, titles)) in zip(panels, rows.items(), strict=True):
        for axes, picture, title in zip(line, pictures, titles, strict=True):
            style.show_picture(axes, picture, title)
            axes.title.set_fontsize(8)
        line[0].set_ylabel(label, fontsize=8)
    return figure


@style.styled
def plot_orientations(
    curves: pd.DataFrame, other: pd.DataFrame, matches: pd.DataFrame, *, labels: tuple[str, str]
) -> Figure:
    """Orientation curves of units (solid) and their partners (dashed), each against its maximum."""
    columns = min(3, len(matches))
    rows = -(-len(matches) // columns)
    figure = style.blank_figure(0.6 + 1.45 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(matches):]:
        axes.set_axis_off()
    for axes, pair in zip(panels.flat, matches.itertuples(), strict=False):
        for curve, colour, line, label in (
                (curves[pair.unit], "#1b1b1b", "-", labels[0]),
                (other[pair.partner], style.RED, "--", labels[1])):
            axes.plot(curve.index, curve / max(curve.max(), 1e-9), color=colour, linestyle=line,
                      label=label)
        axes.set_title(f"{pair.unit} and {pair.partner}: {pair.held_out:.2f}", fontsize=8)
        axes.set(xticks=[0, 90, 180], ylim=(min(-0.2, axes.get_ylim()[0]), 1.08))
    figure.supxlabel("orientation of the grating (degrees)", fontsize=9)
    figure.supylabel("best response / maximum", fontsize=9)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  frameon=False)
    return figure
