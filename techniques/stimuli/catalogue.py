"""The battery: which stimuli there are, as a table whose rows are drawn when asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from techniques.stimuli.drawing import CONTRAST, HUES, paint

COLOURED = (60.0, 65.0)  #: luminance and chroma of stimuli that differ in both, grey levels
CHROMA = 120.0  #: chroma of stimuli that differ in colour only; as strong as a luminance of 69
SMALLEST = 16  #: pixels; a smaller canvas holds no period


@dataclass(frozen=True, eq=False)
class Stimuli:
    """A table of stimuli, and the pictures it describes, drawn when they are asked for.

    Attributes
    ----------
    table : DataFrame, one row a stimulus
        ``family``: what it is; ``form``: how it is drawn; ``orientation`` (degrees); ``period,
        width, radius`` (pixels); ``opening`` of a corner (degrees); ``phase`` of waves (degrees)
        or ``shift`` of bars and edges (pixels), both to the left of the orientation;
        ``polarity``: 1 light figure - bar, blob, lines of a net - on dark, −1 dark on light;
        ``colour, colour2``: hue of the figure, and of the other side; ``luma``: luminance of the
        figure against mid-grey, in grey levels; ``chroma``: its colour's length in RGB. NaN or
        "" where a property does not apply.
    size : int
        Side of every picture, in pixels.
    centre : tuple of float
        (row, column) that the stimuli are centred on, in pixels from the canvas's top left.
    """

    table: pd.DataFrame
    size: int
    centre: tuple[float, float]

    def __len__(self) -> int:
        return len(self.table)

    def draw(self, which: Sequence[int]) -> np.ndarray:
        """Stimuli `which` (row numbers), float32 RGB 0-255, shape (n, size, size, 3)."""
        rows, columns = np.mgrid[:self.size, :self.size] + 0.5
        x, y = columns - self.centre[1], self.centre[0] - rows  # y points up
        images = np.empty((len(which), self.size, self.size, 3), "float32")
        for image, stimulus in zip(images, self.table.iloc[which].itertuples(), strict=True):
            image[:] = paint(stimulus, x, y)
        return images

    def batches(self, count: int = 64) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(rows of the table, images)``; no more than `count` pictures are in memory."""
        for start in range(0, len(self), count):
            which = np.arange(start, min(start + count, len(self)))
            yield which, self.draw(which)


def battery(
    *, size: int, field: int, centre: tuple[float, float] | None = None, angles: int = 12,
    colours: bool = True,
) -> Stimuli:
    """Stimuli for a unit whose receptive field is `field` pixels wide.

    Gratings, bars, edges, curves, corners, blobs, grids, nets, boundaries between two spatial
    frequencies, uniform patches, pairs of colours, and coloured versions of gratings, bars, nets
    and discs - with and without a luminance contrast. Nothing is random. Spatial periods run
    from 0.7·√field (at least 4 pixels: theoretical fields grow faster than what units look
    for) to half the field (at least 8); widths are half a period, radii run from an eighth of
    the field to the field.

    Parameters
    ----------
    size : int
        Side of the canvas, in pixels; at least the field and 16.
    field : int
        Side of the receptive field, in pixels.
    centre : tuple of float, optional
        Centre of the field, (row, column) from the top left corner; the canvas's by default.
    angles : int
        Orientations over 180 degrees, a multiple of 12 (nets repeat after 60 degrees, and their
        opposite lies at 30).
    colours : bool
        Whether to draw coloured figures and pairs of colours, nearly half of the battery.
    """
    if size < max(field, SMALLEST):
        raise ValueError(f"a canvas of {size} px is too small for a receptive field of {field} px:"
                         f" size must be at least {max(field, SMALLEST)}.")
    if angles < 12 or angles % 12:
        raise ValueError(f"angles must be a multiple of 12, not {angles}.")
    table = pd.concat(_families(field, angles), ignore_index=True)
    if not colours:
        table = table[~table["family"].isin(["coloured", "colour pair"])].reset_index(drop=True)
    table["form"] = table["form"].fillna(table["family"])
    table[["colour", "colour2"]] = table[["colour", "colour2"]].fillna("")
    table["luma"] = table["luma"].fillna(CONTRAST * table["polarity"].fillna(1))
    table["chroma"] = table["chroma"].fillna(0.0)
    return Stimuli(table, size, centre or (size / 2, size / 2))


def _families(field: int, angles: int) -> list[pd.DataFrame]:
    """The battery's rows, family by family."""
    half = np.arange(angles) * 180 / angles
    full = np.arange(2 * angles) * 180 / angles
    sixth, quarter = half[: angles // 3], half[: angles // 2]
    both = (1, -1)
    periods = np.geomspace(max(4, 0.7 * field**0.5), max(8, field / 2), 5).round(1)
    widths = periods[[0, 2, 3]] / 2
    radii = np.geomspace(max(2, field / 8), max(8, field), 4).round(1)
    spots = np.geomspace(max(1, field / 20), max(4, field / 4), 5).round(1)
    shift = (0.0, *(np.array([-1, 1]) * max(1, periods[1] / 2)))
    pairs = [{"colour": a, "colour2": b} for a, b in itertools.combinations(HUES, 2)]
    return [
        _rows("grating", orientation=half, period=periods, phase=(0, 90, 180, 270)),
        _rows("bar", orientation=half, width=widths, shift=shift, polarity=both),
        _rows("edge", orientation=full, shift=shift),
        _rows("curve", orientation=full, radius=radii, width=widths[1:2], polarity=both),
        _rows("corner", orientation=full[::2], opening=(45, 90, 135), polarity=both),
        _rows("blob", form=("disc", "ring", "centre-surround"), radius=spots, polarity=both),
        _rows("grid", orientation=quarter, period=periods[1:], phase=(0, 90, 180)),
        _rows("net", orientation=sixth, period=periods[1:], phase=(0, 120, 240), polarity=both),
        _rows("high-low", orientation=full, period=periods[[0, 1]]),
        _rows("patch", luma=np.linspace(-120, 120, 9)),
        _rows("patch", colour=tuple(HUES), luma=(-COLOURED[0], 0.0, COLOURED[0]),
              chroma=COLOURED[1:]),
        _rows("patch", colour=tuple(HUES), luma=(0.0,), chroma=(CHROMA,)),
        *(_rows("colour pair", form=("edge",), orientation=full[:: angles // 2], shift=(0.0,),
                luma=(0.0,), chroma=(CHROMA,), **{k: (v,) for k, v in pair.items()})
          for pair in pairs),
        *_coloured(half[:: angles // 4], sixth[:: angles // 6], periods, widths, spots),
    ]


def _coloured(angles, net_angles, periods, widths, spots) -> list[pd.DataFrame]:
    """Gratings, bars, nets and discs: grey, of each hue with luminance, of each hue without."""
    luma, chroma = COLOURED
    tints = [{"luma": (luma,), "colour": ("",), "chroma": (0.0,)},
             {"luma": (luma,), "colour": tuple(HUES), "chroma": (chroma,)},
             {"luma": (0.0,), "colour": tuple(HUES), "chroma": (CHROMA,)}]
    frames = []
    for tint in tints:
        signs = (1, -1) if tint["luma"][0] else (np.nan,)
        frames += [
            _rows("coloured", form=("grating",), orientation=angles, period=periods[[1, 3]],
                  phase=(0, 120, 240), **tint),
            _rows("coloured", form=("bar",), orientation=angles, width=widths[:2], shift=(0.0,),
                  polarity=signs, **tint),
            _rows("coloured", form=("net",), orientation=net_angles, period=periods[1:4],
                  phase=(0, 240), polarity=signs, **tint),
            _rows("coloured", form=("disc",), radius=spots[[0, 2, 4]], polarity=signs, **tint),
        ]
    for frame in frames:
        frame["luma"] *= frame["polarity"].fillna(1)
    return frames


COLUMNS = ("family form orientation period phase width shift radius opening polarity colour "
           "colour2 luma chroma").split()


def _rows(family: str, **values) -> pd.DataFrame:
    """All combinations of the values, a row each; other columns empty."""
    frame = pd.DataFrame(itertools.product(*values.values()), columns=list(values))
    frame.insert(0, "family", family)
    frame = frame.reindex(columns=COLUMNS)
    words = ["family", "form", "colour", "colour2"]
    return frame.astype({c: object if c in words else "float64" for c in COLUMNS})
