"""Units whose answer is known by construction, to measure how often claims are right.

A verdict on a filter of a trained network cannot be marked: nobody knows the answer. Here weights
are changed, or drawn by hand, so that one thing about a unit is certain: that turning a picture
changes nothing, that colour does not matter, which channels cause its answer, which figure it
looks for. `all_mechanisms` makes some 220 such units, by fourteen mechanisms:

in a layer of the given network: `turned`, `grey`, `dead_channel`, `no_use`;
in the layer that reads it: `wired` from pairs A, B of its filters: A, A or B, A and B, A and not B;
in a network of one layer of their own: `hand_made` edges, bars, curves, nets, blobs.

What is true of a filter stands in `Planted.truth`; nothing is said about what the mechanism leaves
open. `turned` and `grey` change *all* filters of their layer, so its other filters are no controls
for these claims: compare with the filters of the network that was given.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

import vizutils as vz
from engine.wrapping import plain_keras
from techniques import samples, stimuli
from techniques.alterations import BRIGHTNESS

LAYER = "block3_conv2"  #: where units are planted unless another layer is asked for
PER = 16  #: units of a mechanism
MOST_SCALED = 10.0  #: `turned` makes no filter's kernels larger than this many times
LARGER = 2.0  #: norm of the kernel on the dead channel, in norms of the filter's largest kernel
UNLIKE = 0.1  #: largest correlation of two filters' answers, and of their kernels, in a pair
TOGETHER = 8  #: pictures in which A and B must be strong at one place for A and B to be wired
TURNS = 0.5  #: cosine of a hand-made kernel with itself turned up to which orientation matters
WIRINGS = ("A", "A or B", "A and B", "A and not B")


@dataclass(frozen=True, eq=False)
class Planted:
    """Units of one mechanism, and what is true of them.

    Attributes
    ----------
    name : str
        The mechanism.
    net : Network
        The network that holds them.
    layer : str
    filters : tuple of int
        The planted ones.
    truth : mapping of str to object
        Claim → True, False or a value, the same for all filters; a list: one for each filter.
        The claims are ``orientation matters`` (False: not by quarters, nor mirrored), ``colour
        matters``, ``strongest kernel`` (input channel of the largest L2 norm), ``strongest kernel
        carries`` (the response), ``used later``, ``causes`` and ``inhibited by`` (tuples of input
        channels), ``several causes`` (each by itself is enough), ``all needed`` (none of the
        causes is enough by itself);
        of hand-made units ``noun, orientation`` (degrees, as in `techniques.stimuli`),
        ``polarity`` (1 light figure, −1 dark), ``hue`` ("" for none) and ``size`` (pixels: width
        of a bar, radius of a curve or blob, period of a net, standard deviation of an edge's
        window); None where a property does not apply.
    """

    name: str
    net: vz.Network
    layer: str
    filters: tuple[int, ...]
    truth: Mapping[str, object]

    def __post_init__(self):
        self.net.check_filters(self.layer, self.filters)
        for claim, values in self.truth.items():
            if isinstance(values, list) and len(values) != len(self.filters):
                raise ValueError(f"{self.name}: {len(values)} values of {claim!r} for "
                                 f"{len(self.filters)} filters.")

    def __len__(self) -> int:
        return len(self.filters)

    def of(self, filter: int) -> dict[str, object]:
        """What is true of one filter; an error if it was not planted."""
        if filter not in self.filters:
            raise ValueError(f"filter {filter} of {self.layer} was not planted by {self.name!r}; "
                             f"these are {', '.join(map(str, self.filters))}.")
        at = self.filters.index(filter)
        return {claim: values[at] if isinstance(values, list) else values
                for claim, values in self.truth.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row a unit: ``mechanism, layer, filter``, and its truths."""
        return pd.DataFrame([{"mechanism": self.name, "layer": self.layer, "filter": f}
                             | self.of(f) for f in self.filters])


def all_mechanisms(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None, together: int = TOGETHER,
) -> Iterator[Planted]:
    """Every mechanism, one after the other: each holds a network, so do not keep them all.

    Parameters
    ----------
    net : Network
        Not changed.
    layer : str
        A convolution that another one reads.
    seed : int
        For all that is drawn.
    per : int
        Units of each mechanism, at most 16: there are no more different hand-made blobs.
    image_set : ImageSet, optional
        Pictures that tell which filters fire; the packaged ones by default.
    together : int
        As in `unlike_pairs`; fewer than the default where there are few pictures.

    Yields
    ------
    Planted
        Fourteen times: 224 units, if `per` is 16.
    """
    image_set = _pictures(net, image_set)
    given = {"layer": layer, "seed": seed, "per": per, "image_set": image_set}
    for mechanism in (turned, grey, dead_channel, no_use):
        yield mechanism(net, **given)
    pairs = unlike_pairs(net, **given, together=together)
    for wiring in WIRINGS:
        yield wired(net, wiring, pairs, layer=layer, seed=seed)
    yield from hand_made(field=vz.receptive_field(net, layer).size, seed=seed, per=per)


def _pictures(net: vz.Network, image_set: vz.ImageSet | None) -> vz.ImageSet:
    return (vz.load_images(size=net.input_size) if image_set is None
            else vz.as_image_set(image_set, copy=False))


def _drawn(net: vz.Network, layer: str, image_set, per: int, seed: int) -> tuple[int, ...]:
    """`per` filters, drawn from those that fire in at least half of the pictures."""
    maxima = vz.image_maxima(net, layer, image_set).values
    firing = np.flatnonzero((maxima > 0).mean(0) >= 0.5)
    if len(firing) < vz.whole("per", per):
        raise ValueError(f"{len(firing)} filters of {layer} fire in at least half of the pictures;"
                         f" {per} cannot be drawn from them.")
    return tuple(sorted(np.random.default_rng(seed).choice(firing, per, replace=False).tolist()))


# --- in a layer of the given network --------------------------------------------------------------


def turned(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None,
) -> Planted:
    """Orientation cannot matter: all kernels up to the layer averaged over eight turns and flips.

    The answer to a patch that was turned by a quarter or mirrored is the same but for rounding.
    Angles between quarters are another matter: square kernels tell 45° from 0°. There such units
    keep some 0.8 of the answer to their own strongest patches (median), and some only a quarter.

    Averaging takes contrast away, layer after layer. So every filter is scaled (at most
    `MOST_SCALED` times) and shifted until its mean and spread on real pictures are what they were;
    that leaves the symmetry as it is.

    Parameters
    ----------
    net, layer, seed, per, image_set
        As in `all_mechanisms`.

    Raises
    ------
    ValueError
        A layer below that is no plain convolution; fewer than `per` filters fire.
    """
    image_set = _pictures(net, image_set)
    layers = net.conv_layers[: net.conv_layers.index(net.plain_convolution(layer).name) + 1]
    found = net
    for name in layers:
        kernel, bias = _weights(net, name)
        kernel = _averaged_over_turns(kernel)
        found = _with(found, name, kernel, bias, f"{name} averaged over turns")
        mean, sd = stimuli.on_pictures(net, name, image_set, progress=False)
        new_mean, new_sd = stimuli.on_pictures(found, name, image_set, progress=False)
        times = np.divide(sd, new_sd, out=np.ones_like(sd), where=new_sd > 0).clip(0, MOST_SCALED)
        found = _with(found, name, kernel * times, mean + times * (bias - new_mean), "rescaled")
    filters = _drawn(found, layer, image_set, per, seed)
    return Planted("turned", found, layer, filters, {"orientation matters": False})


def _averaged_over_turns(kernel: np.ndarray) -> np.ndarray:
    """Mean of the eight turned and mirrored kernels, shape (rows, columns, in, out)."""
    turns = [np.rot90(k, n) for k in (kernel, kernel[:, ::-1]) for n in range(4)]
    return np.mean(turns, 0, dtype="float64").astype("float32")


def grey(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None,
) -> Planted:
    """Colour cannot matter: the first convolution reads each pixel's brightness and nothing else.

    Its answer to a picture is what the given network answers to the picture made grey by
    `alterations.alter`, where no padding is seen.

    Parameters
    ----------
    net, layer, seed, per, image_set
        As in `all_mechanisms`. The preprocessing must turn each pixel by itself into the input,
        by a matrix and a shift, as VGG's does (colours exchanged, a mean subtracted).

    Raises
    ------
    ValueError
        Another preprocessing; fewer than `per` filters fire.
    """
    first = net.conv_layers[0]
    kernel, bias = _weights(net, first)
    matrix, shift = _colour_map(net)
    on_rgb = np.einsum("yxcf,cr->yxrf", kernel.astype("float64"), matrix)
    on_rgb = on_rgb.sum(2, keepdims=True) * BRIGHTNESS[:, None]
    changed = np.einsum("yxrf,rc->yxcf", on_rgb, np.linalg.inv(matrix))
    bias = bias + np.einsum("yxcf,c->f", kernel - changed, shift)
    made = _with(net, first, changed, bias, f"{first} reads brightness only")
    filters = _drawn(made, layer, _pictures(net, image_set), per, seed)
    return Planted("grey", made, layer, filters, {"colour matters": False})


def _colour_map(net: vz.Network) -> tuple[np.ndarray, np.ndarray]:
    """(matrix, shift) of the preprocessing: model input = matrix · RGB + shift, for each pixel."""
    def after(picture):
        return np.asarray(net.preprocess(np.asarray(picture, "float32")[None]), "float64")[0]

    shift = after(np.zeros((1, 1, 3)))[0, 0]
    matrix = (after(128 * np.eye(3)[None])[0] - shift).T / 128
    picture = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
    if not np.allclose(after(picture), picture @ matrix.T + shift, rtol=1e-4, atol=1e-3):
        raise ValueError(f"{net.name}'s preprocessing is no matrix and shift for each pixel: which "
                         "kernels read brightness only cannot be told.")
    return matrix, shift


def dead_channel(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None,
) -> Planted:
    """The kernel of the largest L2 norm carries nothing: it stands on a channel that never fires.

    Of the channels that the layer reads, the one with the smallest mean activation on the
    pictures is silenced. Each planted filter gets a kernel on it: its own largest one,
    `LARGER` times. Its answers are those of a filter without that kernel.

    Parameters
    ----------
    net, layer, seed, per, image_set
        As in `all_mechanisms`.

    Raises
    ------
    ValueError
        The first convolution, which reads the picture; fewer than `per` filters fire.
    """
    image_set = _pictures(net, image_set)
    below = vz.input_layer(net, layer).feature
    if below not in net.conv_layers:
        raise ValueError(f"{layer} does not read a convolution, whose channels could be silenced.")
    answers = samples.sample(net, below, image_set, seed=seed, inputs=False).answers
    channel = int(np.maximum(answers, 0).mean(0).argmin())
    kernel, bias = _weights(net, below)
    kernel[..., channel], bias[channel] = 0, -1
    silenced = _with(net, below, kernel, bias, f"{below} filter {channel} silenced")
    filters = _drawn(silenced, layer, image_set, per, seed)
    kernel, bias = _weights(net, layer)
    for filter in filters:
        largest = np.linalg.norm(kernel[..., filter], axis=(0, 1)).argmax()
        kernel[:, :, channel, filter] = LARGER * kernel[:, :, largest, filter]
    made = _with(silenced, layer, kernel, bias, f"large kernels of {layer} on it")
    return Planted("dead channel", made, layer, filters,
                   {"strongest kernel": channel, "strongest kernel carries": False})


def no_use(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None,
) -> Planted:
    """No later layer uses the filters: all kernels that read them are zero.

    Parameters
    ----------
    net, layer, seed, per, image_set
        As in `all_mechanisms`.

    Raises
    ------
    ValueError
        No convolution reads the layer; fewer than `per` filters fire.
    """
    filters = _drawn(net, layer, _pictures(net, image_set), per, seed)
    made = net
    for name in _readers(net, layer):
        kernel, bias = _weights(net, name)
        kernel[:, :, list(filters)] = 0
        made = _with(made, name, kernel, bias, f"{name} does not read {len(filters)} channels")
    return Planted("no use", made, layer, filters, {"used later": False})


def _readers(net: vz.Network, layer: str) -> list[str]:
    """The convolutions that read a layer's channels, directly or through a pool."""
    found = [name for name in net.conv_layers if vz.input_layer(net, name).feature == layer]
    if not found:
        raise ValueError(f"no convolution of {net.name} reads {layer}; plant further below.")
    return found


def _weights(net: vz.Network, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """(kernels, bias) of a plain convolution, in copies; a bias of 0 where it has none."""
    kernel, *bias = net.plain_convolution(layer).get_weights()
    return kernel, bias[0] if bias else np.zeros(kernel.shape[-1], "float32")


def _with(net: vz.Network, layer: str, kernel, bias, words: str) -> vz.Network:
    """The network with other weights in one convolution; an error if it needs a bias it lacks."""
    if net.plain_convolution(layer).use_bias:
        return net.with_weights({layer: [kernel, bias]}, words)
    raise ValueError(f"{layer} of {net.name} has no bias, which planting needs.")


# --- in the layer that reads it -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of filters, A and B, that have little to do with each other.

    Attributes
    ----------
    table : DataFrame, one row a pair
        ``a, b``: filters; ``correlation`` of their activations; ``kernels``: cosine between their
        kernels; ``together``: pictures with a place at which both are so strong that A and B,
        as wired, fires.
    strength : float32 ndarray, shape (filters of the layer,)
        Largest pre-activation of every filter in the pictures, where no padding is seen.
    """

    table: pd.DataFrame
    strength: np.ndarray


def unlike_pairs(
    net: vz.Network, *, layer: str = LAYER, seed: int = 0, per: int = PER,
    image_set: vz.ImageSet | None = None, unlike: float = UNLIKE, together: int = TOGETHER,
) -> Pairs:
    """Draw pairs of filters for `wired`: each fires, they are little alike, no filter comes twice.

    Parameters
    ----------
    net, layer, seed, per, image_set
        As in `all_mechanisms`.
    unlike : float
        Largest correlation of the two filters' activations, at random places, and cosine of their
        kernels, regardless of sign.
    together : int
        Least number of pictures in which A and B, as wired, fires at one of the random places.

    Raises
    ------
    ValueError
        There are fewer than `per` such pairs.
    """
    image_set = _pictures(net, image_set)
    maxima = vz.image_maxima(net, layer, image_set).values
    strength = maxima.max(0)
    sampled = samples.sample(net, layer, image_set, each=500, seed=seed, inputs=False)
    kernels = _weights(net, layer)[0].reshape(-1, len(strength))
    firing = np.flatnonzero((maxima > 0).mean(0) >= 0.5)
    active = np.maximum(sampled.answers, 0)
    order = np.random.default_rng(seed).permutation(list(itertools.combinations(firing, 2)))
    found, used = [], set()
    for a, b in order:
        if len(found) == per:
            break
        if used & {a, b}:
            continue
        correlation = np.corrcoef(active[:, a], active[:, b])[0, 1]
        cosine = _cosine(kernels[:, a], kernels[:, b])
        both = active[:, a] / strength[a] + active[:, b] / strength[b] > 1
        met = len(set(sampled.pictures[both]))
        if max(abs(correlation), abs(cosine)) <= unlike and met >= together:
            found.append((int(a), int(b), correlation, cosine, met))
            used |= {a, b}
    if len(found) < per:
        raise ValueError(f"{len(found)} pairs of {layer}'s filters are unlike enough and strong "
                         f"together in {together} pictures, not {per}: allow a larger `unlike` or "
                         "a smaller `together`, or give more pictures.")
    columns = ["a", "b", "correlation", "kernels", "together"]
    return Pairs(pd.DataFrame(found, columns=columns), strength)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def wired(
    net: vz.Network, wiring: str, pairs: Pairs, *, layer: str = LAYER, seed: int = 0,
) -> Planted:
    """Filters of the next layer that answer to A, A or B, A and B, or A and not B.

    They read the channels of A and B by the centre of their kernels only. Each channel is divided
    by its `Pairs.strength`, so that A and B count alike, and multiplied by the median strength,
    so that answers are as large as the layer's. For ``A and B`` the bias is such that at its
    largest, in the pictures that the pairs were drawn on, each alone comes to just zero. Before
    the ReLU that is A or B less a constant: the two differ in their activations, and in what is
    left when an edge is cut, not in how their pre-activations go up and down.

    Parameters
    ----------
    wiring : {"A", "A or B", "A and B", "A and not B"}
    pairs : Pairs
        One filter is planted for each pair.
    net, layer
        As in `all_mechanisms`: the layer that A and B are filters of.
    seed : int
        For the filters that are replaced; each wiring has others.

    Raises
    ------
    ValueError
        An unknown wiring; no convolution reads the layer directly, with kernels of odd size.
    """
    if wiring not in WIRINGS:
        raise ValueError(f"wiring is one of {', '.join(WIRINGS)}, not {wiring!r}.")
    reader = next((name for name in _readers(net, layer)
                   if vz.input_layer(net, name).tensor == layer), None)
    kernel, bias = _weights(net, reader or layer)
    if reader is None or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"no convolution with a centre reads {layer} itself (without a pool "
                         "between): choose a layer below another convolution.")
    rng = np.random.default_rng((seed, WIRINGS.index(wiring)))
    filters = rng.choice(kernel.shape[-1], len(pairs.table), replace=False).tolist()
    unit = np.median(pairs.strength)  # what 1 is, once a channel is divided by its strength
    row, column = kernel.shape[0] // 2, kernel.shape[1] // 2
    on_b = {"A": 0, "A or B": 1, "A and B": 1, "A and not B": -1}[wiring]
    for filter, a, b in zip(filters, pairs.table["a"], pairs.table["b"], strict=True):
        kernel[..., filter] = 0
        kernel[row, column, a, filter] = unit / pairs.strength[a]
        kernel[row, column, b, filter] = on_b * unit / pairs.strength[b]
        bias[filter] = -unit if wiring == "A and B" else 0
    made = _with(net, reader, kernel, bias, f"{len(filters)} filters of {reader} wired: {wiring}")
    return Planted(wiring, made, reader, tuple(filters), _wiring_truth(wiring, pairs.table))


def _wiring_truth(wiring: str, table: pd.DataFrame) -> dict[str, object]:
    a, b = ([(int(channel),) for channel in table[name]] for name in ("a", "b"))
    both = [x + y for x, y in zip(a, b, strict=True)]
    return {"causes": both if wiring in ("A or B", "A and B") else a,
            "inhibited by": b if wiring == "A and not B" else [()] * len(a),
            "several causes": wiring == "A or B",
            "all needed": wiring == "A and B"}


# --- in a network of their own --------------------------------------------------------------------


def hand_made(
    *, field: int = 32, stride: int = 4, seed: int = 0, per: int = PER,
) -> Iterator[Planted]:
    """Units that look for one drawn figure: edges, bars, curves, nets, blobs, coloured blobs.

    All of them are filters of one convolution, in a network of nothing else, so that each is a
    control for the others. A filter is the drawn stimulus itself (`techniques.stimuli`) under a
    Gaussian window, with mean zero, so that a uniform patch gives no answer; it is scaled so that
    its own stimulus at the usual contrast gives 1. Grey figures read each pixel's brightness
    (`alterations.BRIGHTNESS`) and nothing else; coloured ones differ from grey in hue only, and
    answer 0 to every grey picture.

    Whether orientation matters is read off the kernel: its cosine with itself turned by a quarter
    is what it keeps of the answer to its own figure. Nets repeat after 60°, and through the window
    a coarse one looks much like a spot: those keep 0.8, so that nothing is said of them.

    Parameters
    ----------
    field : int
        Side of the kernels, and so of the receptive field, in pixels; at least 16.
    stride : int
        In pixels.
    seed : int
        For the draw of angles, sizes, polarities and hues.
    per : int
        Units of each noun, all different; at most 16.

    Yields
    ------
    Planted
        One for each noun: ``edge, bar, curve, net, blob, coloured blob``.
    """
    if not 1 <= per <= PER or field < 16:
        raise ValueError(f"there are 1 to {PER} different units of each noun, not {per}, and a "
                         f"field of at least 16 px, not {field}.")
    rng = np.random.default_rng(seed)
    designs = {noun: table.iloc[np.sort(rng.choice(len(table), per, replace=False))]
               for noun, table in _designs(field).items()}
    kernels = _kernels(pd.concat(designs.values(), ignore_index=True), field)
    net = _one_layer(kernels, stride)
    for i, (noun, table) in enumerate(designs.items()):
        truth = {name: [None if pd.isna(v) else v for v in table[column].astype(object)]
                 for name, column in {"orientation": "orientation", "polarity": "polarity",
                                      "hue": "colour", "size": "size"}.items()}
        coloured = noun == "coloured blob"
        own = kernels[..., i * per : (i + 1) * per]
        like = [_cosine(k.ravel(), np.rot90(k).ravel()) for k in np.moveaxis(own, -1, 0)]
        yield Planted(f"hand-made {noun}", net, net.conv_layers[0],
                      tuple(range(i * per, (i + 1) * per)),
                      {"noun": noun.removeprefix("coloured ")} | truth
                      | {"orientation matters": [_matters(cosine) for cosine in like],
                         "colour matters": coloured})


def _matters(cosine: float) -> bool | None:
    """Whether a quarter turn matters to a kernel that is so like itself turned; None: between."""
    return False if cosine > 0.999 else True if cosine <= TURNS else None


def _designs(field: int) -> dict[str, pd.DataFrame]:
    """Noun → all the units that could be drawn, as rows of a stimuli's table and their size."""
    half, full = np.arange(0, 180, 15.0), np.arange(0, 360, 15.0)
    both, eighth = (1.0, -1.0), field / 8
    return {
        "edge": _rows("edge", "window", orientation=full, window=(eighth, 2 * eighth), shift=(0.,)),
        "bar": _rows("bar", "width", orientation=half, width=(0.75 * eighth, 1.5 * eighth),
                     polarity=both, shift=(0.,)),
        "curve": _rows("curve", "radius", orientation=full, radius=(1.5 * eighth, 2.5 * eighth),
                       width=(0.75 * eighth,), polarity=both),
        "net": _rows("net", "period", orientation=half[:4], period=(2 * eighth, 3 * eighth),
                     polarity=both, phase=(0.,)),
        "blob": _rows("disc", "radius", radius=np.geomspace(eighth / 2, 2.2 * eighth, 8),
                      polarity=both),
        "coloured blob": _rows("disc", "radius", radius=eighth * np.array([0.5, 1, 2]),
                               colour=tuple(stimuli.HUES)),
    }


def _rows(form: str, size: str, **values) -> pd.DataFrame:
    """All combinations of the values, as a stimuli's table, and the Gaussian ``window`` (px)."""
    table = pd.DataFrame(itertools.product(*values.values()), columns=list(values))
    table = table.reindex(columns=[*stimuli.COLUMNS, "window"]).assign(family=form, form=form)
    table["size"] = table[size]
    table[["colour", "colour2"]] = table[["colour", "colour2"]].astype(object).fillna("")
    grey = table["colour"] == ""
    table["luma"] = np.where(grey, stimuli.CONTRAST * table["polarity"].fillna(1), 0)
    table["chroma"] = np.where(grey, 0, stimuli.CHROMA)
    return table


def _kernels(table: pd.DataFrame, field: int) -> np.ndarray:
    """The drawn figures as kernels, float32, shape (field, field, 3, units)."""
    drawn = stimuli.Stimuli(table, field, (field / 2, field / 2)).draw(np.arange(len(table)))
    contrast = (drawn - stimuli.MID_GREY) / stimuli.CONTRAST
    grey = (table["colour"] == "").to_numpy()[:, None, None, None]
    pattern = np.where(grey, contrast * BRIGHTNESS, contrast)
    rows, columns = np.mgrid[:field, :field] + 0.5 - field / 2
    sd = table["window"].fillna(field / 5).to_numpy()[:, None, None]
    window = np.exp(-(rows**2 + columns**2) / (2 * sd**2))[..., None]
    pattern -= (window * pattern).sum((1, 2), keepdims=True) / window.sum((1, 2), keepdims=True)
    kernels = window * pattern
    own = (kernels * contrast).sum((1, 2, 3), keepdims=True)
    return (kernels / own).transpose(1, 2, 3, 0).astype("float32")


def _one_layer(kernels: np.ndarray, stride: int) -> vz.Network:
    """A network of one convolution with these kernels, no bias, and a ReLU."""
    with plain_keras():
        picture = keras.Input((None, None, 3))
        conv = keras.layers.Conv2D(kernels.shape[-1], kernels.shape[0], strides=stride,
                                   activation="relu", name="hand_made")
        model = keras.Model(picture, conv(picture), name="hand_made")
    conv.set_weights([kernels, np.zeros(kernels.shape[-1], "float32")])
    model.trainable = False
    return vz.as_network(model, preprocess=lambda p: (p - stimuli.MID_GREY) / stimuli.CONTRAST)


def table_of(planted: Sequence[Planted]) -> pd.DataFrame:
    """One row for each unit of several mechanisms; None where a claim is left open."""
    frame = pd.concat([p.table.astype(object) for p in planted], ignore_index=True)
    return frame.where(frame.notna(), None)
