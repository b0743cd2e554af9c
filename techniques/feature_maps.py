"""Maps of whole layers: what filters say about a picture, and how alike filters are.

1. **Kernels** of many filters at once, and what averaging over input channels loses
   (`plot_kernel_sheet`, `averaging`).
2. **Maps** of one picture, layer by layer and filter by filter (`each_layer`, `plot_through`,
   `plot_maps`).
3. **Several pictures**: which filters answer to all, which to one (`specificity`).
4. **Starts that go nowhere**: filters that are silent on a picture (`silent`).
5. **Redundancy**: near-duplicate filters against a shuffled control (`sampled_maps`, `redundancy`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm, Normalize, to_rgb
from matplotlib.figure import Figure

import vizutils as vz
from data.progress import Progress
from engine import style
from engine.units import unit_kernels

# --- kernels ------------------------------------------------------------------------------------


def first_kernels(net: vz.Network, *, layer: str | None = None) -> np.ndarray:
    """The kernels of the layer that reads the picture, as colours.

    Returns
    -------
    float32 ndarray, shape (filters, kernel rows, kernel columns, 3)
        RGB 0-255, mid-grey for a weight of zero, each filter scaled to its own largest weight.
    """
    layer = net.conv_layers[0] if layer is None else layer
    kernel = unit_kernels(net, layer)
    if vz.input_layer(net, layer).feature is not None:
        raise ValueError(f"{layer} reads channels of another layer, which have no colour; only "
                         f"{net.conv_layers[0]} reads the picture.")
    rgb = [net.input_channels.index(colour if kernel.shape[2] > 1 else "grey") for colour in "RGB"]
    kernel = kernel[:, :, rgb].transpose(3, 0, 1, 2)  # grey ones are grey, alpha is left out
    return 127.5 + 127.5 * kernel / np.abs(kernel).max((1, 2, 3), keepdims=True)


def averaging(net: vz.Network, layer: str, images) -> pd.DataFrame:
    """What is left of each filter when its kernels are averaged over the input channels.

    The average kernel is what one 3 × 3 picture of a deep filter shows. It is put to the test:
    as a filter that reads the sum of all channels, does it answer like the filter it stands for?

    Parameters
    ----------
    images : ImageSet or ndarray, shape (n, h, w, 3)
        RGB 0-255.

    Returns
    -------
    DataFrame, one row a filter
        ``mass``: share of the squared weights that survives (1 if all kernels were equal,
        1 / channels on average if they are independent); ``agreement``: correlation of the
        averaged filter's map with the filter's own, over all positions.
    """
    images = images if isinstance(images, vz.ImageSet) else vz.made(vz.check_pictures(images))
    conv = net.plain_convolution(layer)
    kernel = unit_kernels(net, layer)
    mean = kernel.mean(2, keepdims=True)
    read = vz.activations(net, vz.input_layer(net, layer).tensor, images)
    own = vz.activations(net, layer, images, pre_activation=True)
    averaged = tf.nn.conv2d(read.sum(3, keepdims=True), mean, conv.strides, conv.padding.upper(),
                            dilations=conv.dilation_rate)
    flat = [np.asarray(m, "float64").reshape(-1, kernel.shape[3]) for m in (averaged, own)]
    a, b = (_standard(f) for f in flat)
    return pd.DataFrame({"mass": kernel.shape[2] * (mean**2).sum((0, 1, 2))
                         / (kernel**2).sum((0, 1, 2)), "agreement": (a * b).sum(0)})


def _standard(samples: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and length 1; zero where a column is constant."""
    deviation = samples - samples.mean(0)
    length = np.linalg.norm(deviation, axis=0)
    return np.divide(deviation, length, out=np.zeros_like(deviation), where=length > 1e-12)


@style.styled
def plot_kernel_sheet(
    net: vz.Network, layer: str, filters: Sequence[int], *, top: int = 10
) -> Figure:
    """Each filter's strongest kernels on one signed scale, then the average over all channels.

    The average is drawn twice: on the common scale, and stretched to its own.
    """
    filters = net.check_filters(layer, filters)
    taps = {f: vz.kernels(net, layer, f) for f in filters.tolist()}
    order = {f: np.argsort(-(k**2).sum((0, 1)), kind="stable")[:top] for f, k in taps.items()}
    norm = CenteredNorm(0, max(np.abs(k).max() for k in taps.values()))
    count = min(top, next(iter(taps.values())).shape[2])
    figure = style.blank_figure(0.75 * len(filters) + 0.4)
    panels = figure.subplots(len(filters), count + 2, squeeze=False)
    for row, (f, kernel) in zip(panels, taps.items(), strict=True):
        for axes, channel in zip(row, order[f], strict=False):
            drawn = style.draw_kernel(axes, kernel[:, :, channel], norm, marks=False)
            axes.set_title(str(channel), fontsize=8, pad=2)
        mean = kernel.mean(2)
        style.draw_kernel(row[-2], mean, norm, marks=False)
        style.draw_kernel(row[-1], mean, CenteredNorm(0, np.abs(mean).max()), marks=False)
        row[-2].set_title("mean", fontsize=8, pad=2)
        row[-1].set_title(f"× {norm.halfrange / np.abs(mean).max():.0f}", fontsize=8, pad=2)
        row[0].set_ylabel(f"filter {f}")
    figure.colorbar(drawn, ax=panels, shrink=0.8, label="weight", location="bottom", aspect=50)
    return figure


# --- maps of one picture ------------------------------------------------------------------------


def each_layer(
    net: vz.Network, layers: Sequence[str], images: np.ndarray, measure: Callable, *,
    pre_activation: bool = False,
) -> dict:
    """What `measure` makes of the maps of several layers, read in one pass.

    Parameters
    ----------
    images : ndarray, shape (n, h, w, 3)
        RGB 0-255, one batch: some 55 MB each at 224 px if all of VGG16's layers are read.
    measure : callable
        A layer's maps, float32 ndarray of shape (n, rows, columns, filters) → anything.

    Returns
    -------
    dict of layer → what `measure` returned
    """
    forward = net.forward(tuple(layers), pre_activation=pre_activation)
    maps = tf.nest.flatten(forward(vz.as_image_set(images, copy=False).images))
    return {layer: measure(found.numpy()) for layer, found in zip(layers, maps, strict=True)}


def _panel(axes, image, title: str, norm=None):
    drawn = axes.imshow(image, cmap="viridis", norm=norm, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=8, pad=2)
    return drawn


@style.styled
def plot_through(
    net: vz.Network, image: np.ndarray, layers: Sequence[str], *, columns: int = 4
) -> Figure:
    """One picture's way through the layers: the mean of each one's maps, with its shape.

    Parameters
    ----------
    image : ndarray, shape (h, w, 3)
        RGB 0-255.
    layers : sequence of str
        Each panel has a scale of its own, from the smallest mean to the largest.
    """
    image, = vz.check_each([image])
    means = each_layer(net, layers, vz.made(image[None]),
                       lambda maps: (maps[0].mean(-1), maps.shape[1:]))
    rows = -(-len(layers) // columns)
    figure = style.blank_figure(rows * 1.75)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(layers):]:
        axes.set_axis_off()
    for axes, (layer, (mean, shape)) in zip(panels.flat, means.items(), strict=False):
        _panel(axes, mean, f"{layer}\n{' × '.join(map(str, shape))}")
    return figure


@style.styled
def plot_maps(
    net: vz.Network, layer: str, image: np.ndarray, *, count: int = 64, strongest: bool = False,
    columns: int = 8, own_scale: bool = False,
) -> Figure:
    """Up to `count` maps of a layer for one picture, from zero; eight a row are 64 px wide or more.

    Parameters
    ----------
    image : ndarray, shape (h, w, 3)
        RGB 0-255.
    strongest : bool
        The filters with the largest mean activation first, instead of the first in order.
    own_scale : bool
        Each map has a scale of its own, its largest value above it, so that weak ones can be seen
        too; else all have the same, which the colour bar tells.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}.")
    image, = vz.check_each([image])
    maps = vz.activations(net, layer, vz.made(image[None]))[0]
    mean = maps.mean((0, 1))
    order = (np.argsort(-mean, kind="stable") if strongest else np.arange(len(mean)))[:count]
    # the brightest thousandth would leave all others dark
    norm = Normalize(0, float(np.quantile(maps[:, :, order], 0.999)) or 1.0, clip=True)
    rows, top = -(-len(order) // columns), maps.max((0, 1))
    figure = style.blank_figure(rows * (style.WIDTH / columns + 0.1) + (0 if own_scale else 0.4))
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(order):]:
        axes.set_axis_off()
    for axes, f in zip(panels.flat, order, strict=False):
        axes.spines[:].set_visible(False)
        title, scale = (f"{f}: {top[f]:.0f}", Normalize(0, top[f] or 1.0)) if own_scale else (
            str(f), norm)
        drawn = _panel(axes, maps[:, :, f], title, scale)
    if not own_scale:
        figure.colorbar(drawn, ax=panels, shrink=0.5, label="activation", location="bottom",
                        aspect=40, extend="max")
    return figure


@style.styled
def plot_across(
    net: vz.Network, layer: str, images: np.ndarray, filters: Sequence[int],
    titles: Sequence[str] = (),
) -> Figure:
    """Maps of some filters (columns) for several pictures (rows), one scale for each column.

    Parameters
    ----------
    images : ndarray, shape (n, h, w, 3)
        RGB 0-255, shown in the first column.
    titles : sequence of str
        One a filter; its number by default.
    """
    filters = net.check_filters(layer, filters)
    images = vz.check_pictures(images)
    maps = vz.activations(net, layer, vz.made(images))[..., filters]
    width = style.WIDTH / (len(filters) + 1)
    figure = style.blank_figure(len(images) * width + 0.35)
    panels = figure.subplots(len(images), len(filters) + 1, squeeze=False)
    for i, row in enumerate(panels):
        style.show_picture(row[0], images[i])
        for j, axes in enumerate(row[1:]):
            title = (titles[j] if titles else str(filters[j])) if i == 0 else ""
            _panel(axes, maps[i, :, :, j], title, Normalize(0, maps[..., j].max() or 1.0))
    return figure


# --- several pictures ---------------------------------------------------------------------------

CONSISTENT = 0.1  #: specificity up to which a filter answers to all pictures alike
SPECIFIC = 0.5  #: specificity from which it answers to some and hardly to others


def specificity(responses: np.ndarray) -> np.ndarray:
    """How unevenly each filter's response is spread over pictures: lifetime sparseness [1]_.

    (1 − (mean)² / mean of squares) / (1 − 1/n): 0 for the same response to all n pictures, 1 for
    a filter that answers to one only; NaN for one that answers to none.

    Parameters
    ----------
    responses : ndarray, shape (n, filters)
        Not negative, e.g. mean activations; n ≥ 2.

    References
    ----------
    .. [1] W. Vinje, J. Gallant, "Sparse coding and decorrelation in primary visual cortex during
       natural vision", Science 287, 2000, doi:10.1126/science.287.5456.1273.
    """
    responses = np.asarray(responses, "float64")
    if len(responses) < 2 or (responses < 0).any():
        raise ValueError("specificity compares responses ≥ 0 to at least two pictures; give "
                         "activations (after the ReLU), one row a picture.")
    squares = (responses**2).mean(0)
    even = np.divide(responses.mean(0) ** 2, squares, out=np.full(squares.shape, np.nan),
                     where=squares > 0)
    return (1 - even) / (1 - 1 / len(responses))


# --- starts that go nowhere ---------------------------------------------------------------------


def silent(net: vz.Network, layer: str, images) -> np.ndarray:
    """Filters whose map is nowhere above zero: after the ReLU they pass no gradient back.

    Returns
    -------
    bool ndarray, shape (n, filters)
    """
    forward = net.forward(layer, pre_activation=True)
    return np.concatenate([(tf.reduce_max(forward(batch), (1, 2)) <= 0).numpy()
                           for batch in vz.picture_batches(images)])


FAINT = vz.PRESETS["normalised_gradient"]["parameterisation"].spread


def starts(
    filters: Sequence[int], *, size: int, seed: int, spread: float = FAINT
) -> np.ndarray:
    """The noise from which `vizutils.maximize` climbs for each filter in a pixel recipe.

    `spread` is its standard deviation, in grey levels; `FAINT`, that of the preset
    ``"normalised_gradient"``, by default.
    """
    return np.stack([vz.Pixels(spread).start(np.random.default_rng((seed, f)), size)
                     for f in np.asarray(filters).tolist()])


# --- redundancy ---------------------------------------------------------------------------------

KERNEL, RESPONSE = 0.5, 0.7  #: cosine of weights and correlation of maps of near-duplicates


def sampled_maps(
    net: vz.Network, layers: Sequence[str], image_set: vz.ImageSet, *, places: int = 256,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Pre-activations of whole layers at some random places of each picture.

    Parameters
    ----------
    layers : sequence of str
        Read in one pass.
    places : int
        For each picture, among the positions that see no padding (all where there are fewer).

    Returns
    -------
    dict of layer → float32 ndarray, shape (pictures × places, filters)
        All filters at the same places; which they are hangs on the seed and the layer alone, not
        on the other layers.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    rng = {layer: np.random.default_rng((seed, *layer.encode())) for layer in layers}
    inside = {layer: vz.unpadded_positions(net, layer, image_set.size) for layer in layers}
    forward = net.forward(tuple(layers), pre_activation=True)
    found: dict[str, list] = {layer: [] for layer in layers}
    # pairs: the maps of all layers of one picture at 224 px take 55 MB
    for _, images in Progress(image_set.batches(2), "maps", -(-len(image_set) // 2), delay=1):
        for layer, maps in zip(layers, tf.nest.flatten(forward(images)), strict=True):
            for one in maps[:, inside[layer], inside[layer]].numpy():
                flat = one.reshape(-1, one.shape[-1])
                found[layer].append(rng[layer].choice(flat, min(places, len(flat)), replace=False))
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def redundancy(
    net: vz.Network, layer: str, samples: np.ndarray, *, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs of filters of a layer: how alike their weights and their maps are.

    Parameters
    ----------
    net, layer
        A plain convolution.
    samples : ndarray, shape (places, filters)
        From `sampled_maps`.
    seed : int
        Of the control, in which each filter's weights, and its samples, are shuffled by
        themselves: what is alike then is alike by chance.

    Returns
    -------
    real, shuffled : DataFrame, one row a pair
        ``a, b`` (a < b); ``kernel``: cosine of the weights; ``response``: correlation of the
        maps; ``twins``: both at least `KERNEL` and `RESPONSE`.
    """
    kernel = unit_kernels(net, layer)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    rng = np.random.default_rng(seed)
    shuffled = (rng.permuted(kernel, axis=0), rng.permuted(samples, axis=0))
    return _pairs(kernel, samples), _pairs(*shuffled)


def _pairs(kernel: np.ndarray, samples: np.ndarray) -> pd.DataFrame:
    length = np.linalg.norm(kernel, axis=0)
    unit = np.divide(kernel, length, out=np.zeros_like(kernel), where=length > 0)
    standard = _standard(samples.astype("float32"))
    a, b = np.triu_indices(kernel.shape[1], 1)
    table = pd.DataFrame({"a": a, "b": b, "kernel": (unit.T @ unit)[a, b],
                          "response": (standard.T @ standard)[a, b]})
    return table.assign(twins=(table["kernel"] >= KERNEL) & (table["response"] >= RESPONSE))


@style.styled
def plot_redundancy(real: pd.DataFrame, shuffled: pd.DataFrame) -> Figure:
    """All pairs of a layer: likeness of weights against likeness of maps, and the control."""
    figure = style.blank_figure(2.9)
    for axes, table, title in zip(figure.subplots(1, 2, sharex=True, sharey=True),
                                  (real, shuffled), ("as trained", "shuffled"), strict=True):
        axes.plot(table["kernel"], table["response"], ".", markersize=1.5, color="#888888")
        twins = table[table["twins"]]
        axes.plot(twins["kernel"], twins["response"], "D", markersize=4, color=style.RED)
        axes.axvline(KERNEL, color=style.GREY, linestyle=":", linewidth=1)
        axes.axhline(RESPONSE, color=style.GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="cosine of weights", title=f"{title}: {len(twins)} near-duplicates")
        axes.label_outer()
    figure.axes[0].set_ylabel("correlation of maps")
    return figure


# --- sheets -------------------------------------------------------------------------------------


RED = 255 * np.array(to_rgb(style.RED))  #: RGB 0-255


def mosaic(
    images: Sequence[np.ndarray], *, columns: int = 3, marked: Sequence[bool] | None = None
) -> np.ndarray:
    """Pictures of one size side by side on white, as one picture for `vizutils.plot_images`.

    Hundreds of pictures become one panel. Small ones are enlarged to at least 24 px, pixels kept
    square and sharp; those `marked` get a red frame.
    """
    images = vz.check_pictures(images)
    scale = -(-24 // images.shape[2])
    images = images.repeat(scale, 1).repeat(scale, 2)
    count, height, width = images.shape[:3]
    gap = max(2, width // 24)
    sheet = np.full((-(-count // columns) * (height + gap) + gap,
                     columns * (width + gap) + gap, 3), 255.0, "float32")
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        if marked is not None and marked[i]:
            sheet[top - gap : top + height + gap, left - gap : left + width + gap] = RED
        sheet[top : top + height, left : left + width] = image
    return sheet


def shrunk(images: np.ndarray, factor: int) -> np.ndarray:
    """Pictures at 1 / factor of their size, each pixel the mean of a square; a rest is cut off."""
    images = vz.check_pictures(images)
    count, rows, columns = (n // f for n, f in zip(images.shape, (1, factor, factor),
                                                   strict=False))
    kept = images[:, : rows * factor, : columns * factor]
    return kept.reshape(count, rows, factor, columns, factor, 3).mean((2, 4))


def posterised(images: np.ndarray, *, levels: int = 32) -> np.ndarray:
    """Pictures in so many evenly spaced levels a colour: noise then takes half the room as PNG."""
    images = vz.one_or_more(images) if np.ndim(images) == 4 else vz.check_each([images])[0]
    step = 256 / levels
    return np.floor(np.clip(images, 0, 255) / step) * step + step / 2


@style.styled
def plot_shares(table: pd.DataFrame, *, label: str = "share of filters (%)") -> Figure:
    """Stacked bars, one a row of `table`; each share of at least 6 % has its number.

    Parameters
    ----------
    table : DataFrame
        Shares in percent; columns are the parts, at most eight.
    """
    hatches = ["", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo"]
    shades = ["#08306b", "#fdae61", "#abd9e9", "#b2182b", "#9970ab", "#d9d9d9", "#7fbf7b",
              "#ffffbf"]
    figure = style.blank_figure(0.32 * len(table) + 1.1)
    axes = figure.subplots()
    left = np.zeros(len(table))
    for part, hatch, shade in zip(table.columns, hatches, shades, strict=False):
        values = table[part].to_numpy()
        axes.barh(table.index, values, left=left, color=shade, hatch=hatch, edgecolor="white",
                  linewidth=0.4, label=part)
        for row, (start, value) in enumerate(zip(left, values, strict=True)):
            if value >= 6:
                axes.text(start + value / 2, row, f"{value:.0f}", ha="center", va="center",
                          fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        left += values
    axes.invert_yaxis()
    axes.set(xlabel=label, xlim=(0, 100))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center",
                  ncols=min(4, len(table.columns)), frameon=False)
    return figure
