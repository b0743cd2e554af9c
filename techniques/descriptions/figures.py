"""A description drawn: its things, and its predictions beside what the network measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from techniques import samples
from techniques.descriptions.bank import bank
from techniques.descriptions.describing import Description


@style.styled
def plot_parts(description: Description) -> Figure:
    """The things of a description, what it likes most first, each under its weight in SD.

    Likes have a red frame, dislikes a blue one, and their sign stands before the weight.
    """
    if not description.parts:
        raise ValueError(f"nothing to draw: {description.sentence}")
    parts = sorted(description.parts, key=lambda part: -part.weight)
    drawn = bank(description.field).drawn([part.thing for part in parts])
    columns = min(4, len(parts))
    rows = -(-len(parts) // columns)
    figure = style.blank_figure(rows * (style.WIDTH / 4 + 0.62))
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if i >= len(parts):
            axes.set_axis_off()
            continue
        name, *numbers = parts[i].thing.words.split("; ")
        told = [number.split(" ", 1)[1] for number in numbers
                if not number.startswith(("phase", "shift", "luminance"))]
        title = f"{parts[i].weight:+.1f}".replace("-", "−") + f" SD\n{name}\n{', '.join(told)}"
        style.show_picture(axes, drawn[i], title, style.RED if parts[i].weight > 0 else style.BLUE)
    return figure


def maps(
    net: vz.Network, description: Description, image: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What the filter answers over a picture, and what its description says, where none pads.

    Parameters
    ----------
    image : ndarray, shape (size, size, 3)
        RGB 0-255, square.

    Returns
    -------
    measured, predicted : float ndarray, shape (positions, positions)
        Pre-activation; standard deviations from an unknown level.
    """
    picture = vz.as_image_set(vz.check_each([image])[0][None], copy=False)
    layer = description.layer
    inside = vz.unpadded_positions(net, layer, picture.size)
    measured = vz.activations(net, layer, picture, pre_activation=True)[
        0, inside, inside, description.filter]
    rows, columns = np.mgrid[inside, inside].reshape(2, -1)
    places = pd.DataFrame({"picture": 0, "row": rows, "column": columns})
    predicted = np.concatenate([description.from_features(bank(description.field).features(p))
                                for p in samples.patches(net, layer, picture, places)])
    return measured, predicted.reshape(measured.shape)


@style.styled
def plot_maps(
    net: vz.Network, description: Description, image_set: vz.ImageSet, pictures: Sequence[int],
) -> Figure:
    """Pictures in rows: the photograph, the measured map, the map that the description predicts.

    The description sees the photograph only. Each map runs from its own least to its largest
    value; the title of the third is Pearson's r of the two.
    """
    image_set = vz.as_image_set(image_set, copy=False)
    figure = style.blank_figure(2.1 * len(pictures))
    panels = figure.subplots(len(pictures), 3, squeeze=False)
    for axes, image in zip(panels, image_set.read(pictures), strict=True):
        measured, predicted = maps(net, description, image)
        seen = vz.unpadded_positions(net, description.layer, image_set.size)
        field = vz.receptive_field(net, description.layer, input_size=image_set.size)
        margin = field.start + field.stride * seen.start + field.size // 2
        shown = image[margin : image_set.size - margin, margin : image_set.size - margin]
        style.show_picture(axes[0], shown, "photograph")
        r = np.corrcoef(measured.ravel(), predicted.ravel())[0, 1] if np.ptp(measured) else np.nan
        for panel, values, title in ((axes[1], measured, "measured"),
                                     (axes[2], predicted, f"predicted, r = {r:.2f}")):
            panel.imshow(values, cmap="magma", interpolation="nearest",
                         norm=Normalize(values.min(), values.max()))
            panel.set_title(title)
            panel.set_axis_off()
    return figure
