"""Drawn stimuli: pictures that differ in one property, for asking a unit what it looks for.

`battery` draws some 1,800 stimuli scaled to a unit's receptive field, `tuning` shows them all to
a layer, `summary` turns one filter's responses into indices and properties by rule, and the
`plot_*` functions draw its tuning maps.

**Orientation** is that of the stripe, bar or edge itself, in degrees, counter-clockwise from
horizontal as seen on the screen: 0 lies flat, 45 runs from bottom left to top right, 90 stands.
Where a stimulus differs on its two sides the angle counts over 360 degrees, and what it is named
after - the light half of an edge, the centre of a curve's circle, the opening of a corner, the
finer side of a frequency boundary, the first of two colours - lies to the *left* of a walker who
walks along that angle: at 0 above, at 90 on the left. `waves`, which is older, counts the
direction *across* the stripes and clockwise: its angle a is the orientation 90 − a.

**Contrast** is equal by rule: a drawn pattern has mean zero over the canvas and a largest value
of one, and is multiplied by a colour of fixed luminance and chroma around mid-grey. *Luminance*
is the mean of R, G and B: a network sees numbers, not what is bright to a human eye.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.colors import CenteredNorm, hsv_to_rgb
from matplotlib.figure import Figure
from tqdm import tqdm

import vizutils as vz
from engine import style

MID_GREY = 127.5
CONTRAST = 100.0  #: grey levels from mid-grey to the extreme of an achromatic stimulus
COLOURED = (60.0, 65.0)  #: luminance and chroma of stimuli that differ in both, grey levels
CHROMA = 120.0  #: chroma of stimuli that differ in colour only; as strong as a luminance of 69
HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}
SMALLEST = 16  #: pixels; a smaller canvas holds no period


def waves(
    period: float, angle: float, *, directions: int = 1, polarity: int = 1, size: int = 64
) -> np.ndarray:
    """Plane waves crossing in one, two or three directions: parallel lines, a grid, a net.

    The sum of the waves is brought to equal contrast for every number of directions: standard
    deviation 1, cut off at ±1, times 100 grey levels around mid-grey.

    Parameters
    ----------
    period : float
        Distance of one wave's crests, in pixels.
    angle : float
        Direction of the first wave, in degrees: across its stripes, clockwise from horizontal
        (stripes of `battery`'s orientation 90 − angle); the others follow at 180° / directions.
    directions : int
        1: parallel lines; 2: a square grid of spots; 3: a honeycomb - light cells in a net of
        dark lines.
    polarity : {1, -1}
        −1 exchanges dark and light.
    size : int
        Side of the picture, in pixels.

    Returns
    -------
    float32 ndarray, shape (size, size, 3)
        RGB, 27.5-227.5, grey.
    """
    if directions < 1 or period <= 0:
        raise ValueError("directions must be at least 1, and the period positive.")
    rows, columns = np.mgrid[:size, :size] - size / 2
    angles = np.deg2rad(angle + 180 / directions * np.arange(directions))
    crossed = _crossed([rows * np.sin(a) + columns * np.cos(a) for a in angles], period)
    grey = MID_GREY + polarity * CONTRAST * crossed
    return np.repeat(grey[..., None], 3, axis=-1).astype("float32")


def _crossed(distances: Sequence[np.ndarray], period: float) -> np.ndarray:
    """Waves along each of the distances, summed, at standard deviation 1, cut off at ±1."""
    crossed = np.cos([d * 2 * np.pi / period for d in distances]).mean(0)
    return np.clip((crossed - crossed.mean()) / crossed.std(), -1, 1)


# --- the battery --------------------------------------------------------------------------------


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
            image[:] = _paint(stimulus, x, y)
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


def _paint(stimulus, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One row of the table as a picture, shape (rows, columns, 3)."""
    pattern = _pattern(stimulus, x, y)[..., None]
    tint = stimulus.luma + stimulus.chroma * hue_direction(stimulus.colour)
    if not stimulus.colour2:
        return MID_GREY + pattern * tint
    other = stimulus.chroma * hue_direction(stimulus.colour2)
    return MID_GREY + (1 + pattern) / 2 * tint + (1 - pattern) / 2 * other


def hue_direction(colour: str) -> np.ndarray:
    """Unit vector in RGB from grey towards a hue at equal luminance; zero for no colour.

    The luminance is subtracted from the pure hue, so that opposite hues have opposite
    directions, and neighbouring ones lie 60 degrees apart.
    """
    if not colour:
        return np.zeros(3)
    pure = hsv_to_rgb((HUES[colour] / 360, 1, 1))
    equal = pure - pure.mean()
    return equal / np.linalg.norm(equal)


def _pattern(stimulus, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a stimulus draws: 1 on the figure at most, mean 0; a patch is 1 everywhere."""
    if stimulus.form == "patch":
        return np.ones_like(x)
    turn = np.deg2rad(np.nan_to_num(stimulus.orientation))
    along = x * np.cos(turn) + y * np.sin(turn)
    left = y * np.cos(turn) - x * np.sin(turn)
    drawn = FORMS[stimulus.form](along, left, stimulus)
    drawn = drawn - drawn.mean()
    return drawn / np.abs(drawn).max()


def _inside(depth: np.ndarray) -> np.ndarray:
    """0 outside, 1 inside, by the depth below an outline in pixels; it blurs over one pixel."""
    return 0.5 + 0.5 * np.tanh(2 * depth)


def _wave(distance, period):
    return np.cos(2 * np.pi * distance / period)


def _moved(left, s):
    return left - s.phase / 360 * s.period


def _arc(along, left, s):
    """Half a circle, touching the centre from the side opposite to its own centre."""
    to_circle = np.abs(np.hypot(along, left - s.radius) - s.radius)
    to_end = np.hypot(np.abs(along) - s.radius, left - s.radius)
    return _inside(s.width / 2 - np.where(left <= s.radius, to_circle, to_end))


def _corner(along, left, s):
    half = np.deg2rad(s.opening / 2)
    return _inside(left * np.sin(half) - np.abs(along) * np.cos(half))


def _net(along, left, s):
    """The lines between the crests of three waves."""
    turns = np.deg2rad([0, 60, 120])
    left = _moved(left, s)
    return -_crossed([left * np.cos(t) - along * np.sin(t) for t in turns], s.period)


def _centre_surround(along, left, s):
    """A disc in a ring of equal area and opposite sign."""
    depth = s.radius - np.hypot(along, left)
    return 2 * _inside(depth) - _inside(depth + (2**0.5 - 1) * s.radius)


def _high_low(along, left, s):
    """Stripes across the boundary: of the period to its left, of three times it to its right."""
    fine = _inside(left)
    return fine * _wave(along, s.period) + (1 - fine) * _wave(along, 3 * s.period)


#: (pixels along the orientation, pixels to its left, row of the table) → pattern
FORMS = {
    "grating": lambda along, left, s: _wave(_moved(left, s), s.period),
    "bar": lambda along, left, s: _inside(s.width / 2 - np.abs(left - s.shift)),
    "edge": lambda along, left, s: _inside(left - s.shift),
    "curve": _arc,
    "corner": _corner,
    "disc": lambda along, left, s: _inside(s.radius - np.hypot(along, left)),
    "ring": lambda along, left, s: _inside(
        max(1, s.radius / 4) - np.abs(np.hypot(along, left) - s.radius)),
    "centre-surround": _centre_surround,
    "grid": lambda along, left, s: _crossed([_moved(left, s), _moved(along, s)], s.period),
    "net": _net,
    "high-low": _high_low,
}


# --- showing it to a layer ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tuning:
    """What the filters of a layer answer to every stimulus.

    Attributes
    ----------
    layer : str
    filters : int ndarray, shape (filters,)
    stimuli : Stimuli
    responses : float32 ndarray, shape (n stimuli, filters)
        Pre-activation of the unit that the stimuli are centred on.
    mean, sd : float32 ndarray, shape (filters,)
        Each filter's mean and standard deviation over all positions of the real pictures that
        see no padding, pre-activation.
    """

    layer: str
    filters: np.ndarray
    stimuli: Stimuli
    responses: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """The stimuli's table."""
        return self.stimuli.table

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """Standard deviations above the mean on real pictures; 0 for a filter that is constant."""
        above = self.responses - self.mean
        return np.divide(above, self.sd, out=np.zeros_like(above), where=self.sd > 0)

    def of(self, filter: int) -> pd.DataFrame:
        """The table with one filter's ``response`` (pre-activation) and ``score`` (SD)."""
        at = np.flatnonzero(self.filters == filter)
        if at.size == 0:
            raise ValueError(f"filter {filter} was not measured: tuning(net, {self.layer!r}) "
                             "measures all filters of the layer.")
        return self.table.assign(response=self.responses[:, at[0]], score=self.scores[:, at[0]])

    @functools.cached_property
    def family_scores(self) -> pd.DataFrame:
        """Best score in each family (rows) of every measured filter (columns)."""
        scores = pd.DataFrame(self.scores, columns=self.filters)
        return scores.groupby(self.table["family"], sort=False).max()


def tuning(
    net: vz.Network, layer: str, filter: int | Sequence[int] | None = None, *,
    image_set: vz.ImageSet | None = None, size: int | None = None, angles: int = 12,
    colours: bool = True, progress: bool = True,
) -> Tuning:
    """Show the battery to a layer and read the unit in the middle.

    Parameters
    ----------
    net, layer
        Any convolution or pooling layer whose receptive field is known.
    filter : int or sequence of int, optional
        All filters of the layer by default: as fast, and each is a control for the others.
    image_set : ImageSet, optional
        Real pictures that give the scale; the packaged ones by default.
    size : int, optional
        Canvas in pixels; by default the smallest, in whole strides, on which a unit sees no
        padding.
    angles, colours
        Orientations over 180 degrees, and whether to test colours; see `battery`.

    Raises
    ------
    ValueError
        Unknown layer, filter out of range, a canvas smaller than 16 px.

    Warns
    -----
    UserWarning
        The canvas or the pictures are smaller than the receptive field: units then see padding.
    """
    count = net.channels(layer)
    filters = net.check_filters(layer, np.arange(count) if filter is None else filter)
    pictures = (vz.load_images(size=net.input_size) if image_set is None
                else vz.as_image_set(image_set))
    seen, unit = _middle_unit(net, layer, size)
    centre = float(seen.start + seen.stride * unit + seen.size / 2)
    stimuli = battery(size=seen.input_size, field=min(seen.size, seen.input_size),
                      centre=(centre, centre), angles=angles, colours=colours)
    answer = _answers(net, layer, seen, unit, filters)
    responses = np.empty((len(stimuli), len(filters)), "float32")
    step = max(4, 2**17 // stimuli.size**2)  # pictures a batch: some 100 MB of activations
    with tqdm(desc=f"{layer}: stimuli", total=len(stimuli), delay=1, leave=False,
              disable=not progress) as bar:
        for which, images in stimuli.batches(step):
            responses[which] = answer(images)
            bar.update(len(which))
    mean, sd = on_pictures(net, layer, pictures, progress=progress)
    return Tuning(layer, filters, stimuli, responses, mean[filters], sd[filters])


def _answers(net: vz.Network, layer: str, seen: vz.ReceptiveField, unit: int, filters):
    """Pictures → pre-activations of the unit in the middle, computing no other where it can."""
    top, left, bottom, right = seen.window(unit, unit)
    if min(top, left) >= 0 and max(bottom, right) <= seen.input_size:
        return lambda images: vz.patch_responses(
            net, layer, vz.made(images[:, top:bottom, left:right]), filters=filters)
    forward = net.forward(layer, pre_activation=True)
    return lambda images: forward(images)[:, unit, unit].numpy()[:, filters]


def _middle_unit(
    net: vz.Network, layer: str, size: int | None
) -> tuple[vz.ReceptiveField, int]:
    """The layer's receptive field on the canvas, and the position (both axes) that is read."""
    if size is None:
        size = net.model.input_shape[1] or _smallest_canvas(net, layer)
    inside = vz.unpadded_positions(net, layer, size, needed=False)
    seen = vz.receptive_field(net, layer, input_size=size)
    middle = seen.positions if inside is None else inside.start + inside.stop
    return seen, min(middle // 2, seen.positions - 1)


def _smallest_canvas(net: vz.Network, layer: str) -> int:
    """Whole strides, at least 16 px, such that a unit sees no padding; at most the input size."""
    stride = vz.receptive_field(net, layer).stride
    size = -(-SMALLEST // stride) * stride
    while size < net.input_size:
        inside = vz.receptive_field(net, layer, input_size=size).unpadded
        if inside.stop > inside.start:
            break
        size += stride
    return size


def on_pictures(net: vz.Network, layer: str, pictures: vz.ImageSet, *, progress: bool = True):
    """Mean and standard deviation of every filter over real pictures, float32 (filters,) each."""
    pictures = vz.as_image_set(pictures)
    inside = vz.unpadded_positions(net, layer, pictures.size, needed=False) or slice(None)
    forward = net.forward(layer, pre_activation=True)
    batches = tqdm(pictures.batches(8), f"{layer}: pictures", -(-len(pictures) // 8), delay=1,
                   leave=False, disable=not progress)
    means, squares, weights = [], [], []
    for _, images in batches:
        maps = forward(images)[:, inside, inside].numpy().astype("float64")
        means.append(maps.mean((0, 1, 2)))
        squares.append((maps**2).mean((0, 1, 2)))
        weights.append(len(images))
    mean = np.average(means, axis=0, weights=weights)
    variance = np.average(squares, axis=0, weights=weights) - mean**2
    return mean.astype("float32"), np.sqrt(np.maximum(variance, 0)).astype("float32")


# --- indices ------------------------------------------------------------------------------------

EXCITED = 2.0  #: score from which a filter answers at all; below it no property is claimed
SELECTIVE = 1 / 3  #: index (a − b) / (a + b) from which a is preferred: twice as strong
FLAT = 0.2  #: a response that varies by at most this share of its maximum is invariant
#: Degrees after which a family repeats. Those of 360 have an orientation as well: both ways count.
CYCLES = {"grating": 180, "bar": 180, "edge": 360, "curve": 360, "corner": 360, "grid": 90,
          "net": 60, "high-low": 360}
SIGNED = ["bar", "curve", "corner", "blob", "net"]  #: families drawn light and dark
SIZES = ["period", "width", "radius", "opening", "polarity"]


@dataclass(frozen=True, eq=False)
class Summary:
    """One filter's tuning in a few numbers; NaN for what a unit that is never excited lacks.

    Responses are rectified pre-activations, what the unit passes on, unless said otherwise.

    Attributes
    ----------
    filter : int
    family : str
        The family with the best score, or ``"none"``.
    score : float
        Best score of all stimuli, in standard deviations above the mean on real pictures.
    families : DataFrame, one row a family
        ``score``: best; ``control``: 95th percentile of that over the other filters measured
        (NaN without); for oriented families, at the size and polarity of the best stimulus and
        the best phase: ``orientation`` (vector sum over the family's cycle), ``selectivity``
        (preferred − opposite in the cycle) / (their sum), ``circular_variance``, ``variation``
        (range / maximum); ``direction, direction_selectivity`` where the two sides differ.
    orientation, selectivity, circular_variance : float
        Of the stronger of gratings and bars, in degrees and 0-1; orthogonal is opposite here.
    period : float
        Of the best grating, in pixels.
    variation : float
        Variation over orientation in the oriented family with the best score.
    radius, curvature : float
        Best radius of a curve (pixels), and (curve − bar) / (curve + bar) for it and the best
        straight bar of the same width; NaN unless one of them excites. The bar crosses the whole
        canvas, the curve is half a circle.
    polarity : float
        (light − dark) / (light + dark) in the family with the best score that has both.
    hue : float
        Preferred among patches, bars and discs of equal luminance, in degrees (0 red, 120
        green, 240 blue).
    colour : float
        (chromatic − grey) / (chromatic + grey): best stimulus without luminance contrast against
        best grey one of about that contrast.
    colour_variation : float
        Range / maximum over grey and all hues of the response to one figure - that of the best
        grey one - with luminance contrast.
    properties : dict
        By rule, with the named constants of this file: ``family``; ``orientation`` selective /
        between / invariant; ``polarity`` light / between / dark; ``curvature`` curved / between /
        straight; ``colour`` chromatic / between / invariant (to the hue of a figure with
        luminance contrast); ``"none"`` where no stimulus of the kind excites the unit.
    """

    filter: int
    family: str
    score: float
    families: pd.DataFrame
    orientation: float
    selectivity: float
    circular_variance: float
    period: float
    variation: float
    radius: float
    curvature: float
    polarity: float
    hue: float
    colour: float
    colour_variation: float
    properties: dict[str, str]


def summary(tuned: Tuning, filter: int) -> Summary:
    """Indices of one filter's tuning, and properties claimed by rule.

    A rule says what a filter does, not that it was learned: among filters with random weights
    as many are selective for orientation, but hardly one is invariant. *Selective* needs the
    preferred orientation to be twice as strong as its opposite, and a circular variance [1]_ of
    at most 2/3, since one strong response by chance would meet the first alone.

    References
    ----------
    .. [1] D. Ringach, R. Shapley, M. Hawken, "Orientation selectivity in macaque V1: diversity
       and laminar dependence", Journal of Neuroscience 22, 2002.
    """
    seen = tuned.of(filter)
    excited = seen["score"].max() >= EXCITED and seen["response"].max() > 0
    seen["response"] = seen["response"].clip(lower=0)
    families = _family_table(tuned, seen, filter)
    straight = families.loc[_strongest(seen, ["grating", "bar"])["family"]]
    oriented = families.loc[families.loc[list(CYCLES), "score"].idxmax()]
    signed = families.loc[families.loc[SIGNED, "score"].idxmax()]
    by_sign = seen[seen["family"] == signed.name].groupby("polarity")["response"].max()
    numbers = {
        **straight[["orientation", "selectivity", "circular_variance"]],
        "period": _strongest(seen, ["grating"])["period"], "variation": oriented["variation"],
        **_curvature(seen), "polarity": _index(by_sign[1], by_sign[-1]), **_colour(seen),
    }
    if not excited:
        numbers = dict.fromkeys(numbers, np.nan)
    known = {
        "orientation": oriented["score"], "polarity": signed["score"],
        "curvature": np.inf if numbers["curvature"] >= -1 else -np.inf,
        "colour": families["score"].reindex(["coloured", "colour pair", "patch"]).max()
        if numbers["colour"] >= -1 else -np.inf,
    }
    rules = {
        "orientation": {"invariant": numbers["variation"] <= FLAT,
                        "selective": min(oriented["selectivity"],
                                         1 - oriented["circular_variance"]) >= SELECTIVE},
        "polarity": {"light": numbers["polarity"] >= SELECTIVE,
                     "dark": numbers["polarity"] <= -SELECTIVE},
        "curvature": {"curved": numbers["curvature"] >= SELECTIVE,
                      "straight": numbers["curvature"] <= -SELECTIVE},
        "colour": {"chromatic": numbers["colour"] >= SELECTIVE,
                   "invariant": numbers["colour_variation"] <= FLAT},
    }
    family = families["score"].idxmax() if excited else "none"
    properties = {"family": family} | {
        name: _name(excited and known[name] >= EXCITED, **rule) for name, rule in rules.items()}
    return Summary(filter, family, float(seen["score"].max()), families,
                   **{k: float(v) for k, v in numbers.items()}, properties=properties)


def _name(known: bool, **rules: bool) -> str:
    """The first rule that holds, "between" if none does, "none" if nothing is known."""
    return next((name for name, holds in rules.items() if holds), "between") if known else "none"


def _index(a: float, b: float) -> float:
    """(a − b) / (a + b) of two responses that are not negative; NaN if both are zero."""
    return (a - b) / (a + b) if a + b > 0 else np.nan


def _strongest(seen: pd.DataFrame, families: Sequence[str]) -> pd.Series:
    rows = seen[seen["family"].isin(families)]
    return rows.loc[rows["score"].idxmax()]


def _alike(seen: pd.DataFrame, stimulus: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """The stimuli that share the given properties with one, missing ones included."""
    same = [(seen[c] == stimulus[c]) | (seen[c].isna() & pd.isna(stimulus[c])) for c in columns]
    return seen[np.logical_and.reduce(same)]


def _curve(seen: pd.DataFrame, family: str, column: str = "response") -> pd.Series:
    """Best response of a family at each orientation, at the best stimulus's size and polarity."""
    best = _strongest(seen, [family])
    return _alike(seen, best, ["family", *SIZES]).groupby("orientation")[column].max()


def _circular(curve: pd.Series, cycle: float) -> tuple[float, float, float]:
    """(preferred angle, selectivity against the opposite, circular variance) over a cycle."""
    values = curve.groupby(curve.index % cycle).max()
    if values.max() <= 0:
        return np.nan, np.nan, np.nan
    total = (values * np.exp(2j * np.pi * values.index / cycle)).sum() / values.sum()
    peak = values.to_numpy().argmax()
    opposite = values.to_numpy()[(peak + len(values) // 2) % len(values)]
    preferred = np.angle(total) / (2 * np.pi) * cycle % cycle
    return preferred, _index(values.max(), opposite), 1 - abs(total)


def _family_table(tuned: Tuning, seen: pd.DataFrame, filter: int) -> pd.DataFrame:
    scores = tuned.family_scores
    others = scores.drop(columns=filter)
    rows = {}
    for family, score in scores[filter].items():
        row = rows[family] = {"score": score}
        row["control"] = np.percentile(others.loc[family], 95) if len(others.columns) else np.nan
        if family in CYCLES:
            curve = _curve(seen, family)
            row["orientation"], row["selectivity"], row["circular_variance"] = _circular(
                curve, min(CYCLES[family], 180))
            row["variation"] = 1 - curve.min() / curve.max() if curve.max() > 0 else np.nan
            if CYCLES[family] == 360:
                row["direction"], row["direction_selectivity"], _ = _circular(curve, 360)
    return pd.DataFrame.from_dict(rows, orient="index")


def _curvature(seen: pd.DataFrame) -> dict[str, float]:
    curve = _strongest(seen, ["curve"])
    bar = _strongest(seen[seen["width"] == curve["width"]], ["bar"])
    if max(curve["score"], bar["score"]) < EXCITED:
        return {"radius": np.nan, "curvature": np.nan}
    return {"radius": curve["radius"], "curvature": _index(curve["response"], bar["response"])}


def _colour(seen: pd.DataFrame) -> dict[str, float]:
    if not (seen["family"] == "coloured").any():
        return dict.fromkeys(("hue", "colour", "colour_variation"), np.nan)
    # The other half of a grating or net is the opposite hue: as much of a cause as the first.
    one_hue = seen[(seen["colour"] != "") & seen["form"].isin(["patch", "bar", "disc"])]
    by_hue = one_hue[one_hue["luma"] == 0].groupby("colour")["response"].max()
    by_hue.index = by_hue.index.map(HUES)
    chromatic = seen.loc[(seen["luma"] == 0) & (seen["chroma"] > 0), "response"].max()
    grey = seen[(seen["luma"].abs() == COLOURED[0]) & (seen["chroma"] == 0)]
    figures = seen[(seen["family"] == "coloured") & (seen["luma"] != 0)]
    best = figures.loc[figures.loc[figures["colour"] == "", "score"].idxmax()]
    hues = _alike(figures, best, ["form", "orientation", "phase", *SIZES])["response"]
    return {"hue": _circular(by_hue.sort_index(), 360)[0],
            "colour": _index(chromatic, grey["response"].max()),
            "colour_variation": 1 - hues.min() / hues.max() if hues.max() > 0 else np.nan}


# --- figures ------------------------------------------------------------------------------------


def best_stimuli(tuned: Tuning, filter: int, *, k: int = 8) -> tuple[np.ndarray, list[str]]:
    """The best stimulus of each of the k best families, strongest first.

    Returns
    -------
    images : float32 ndarray, shape (k, size, size, 3)
        RGB 0-255.
    titles : list of str
        The stimulus in words and its score; for `vizutils.plot_images`.
    """
    seen = tuned.of(filter)
    best = seen.loc[seen.groupby("family")["score"].idxmax()]
    best = best.sort_values("score", ascending=False, kind="stable").head(k)
    titles = [f"{_words(row)}\n{'−' if row.score < 0 else '+'}{abs(row.score):.1f} SD"
              for row in best.itertuples()]
    return tuned.stimuli.draw(best.index), titles


def _words(stimulus) -> str:
    """A stimulus in words, e.g. ``dark green net``."""
    if stimulus.family == "colour pair":
        return f"{stimulus.colour}, {stimulus.colour2}"
    sign = {1: "light", -1: "dark"}.get(stimulus.polarity, "")
    tint = stimulus.colour or ("grey" if stimulus.family == "patch" else "")
    return " ".join(filter(None, [sign, tint, stimulus.form]))


@style.styled
def plot_maps(tuned: Tuning, filter: int) -> Figure:
    """Orientation × period of gratings, direction × radius of curves, best score of each family.

    One signed scale, in standard deviations above the mean on real pictures, each cell the best
    over phase or polarity. Beside a family's bar a tick marks the 95th percentile of the other
    filters measured.
    """
    seen = tuned.of(filter)
    scores = _family_table(tuned, seen, filter).sort_values("score")
    maps = {"grating": ("period", "orientation of the stripes (degrees)"),
            "curve": ("radius", "direction of the curve (degrees)")}
    tables = {family: seen[seen["family"] == family].pivot_table(
        "score", size, "orientation", "max") for family, (size, _) in maps.items()}
    norm = CenteredNorm(0, max(t.abs().to_numpy().max() for t in tables.values()))
    figure = style.blank_figure(3.6, layout="constrained")  # "compressed" overlaps subfigures
    heat, bars = figure.subfigures(1, 2, width_ratios=[1.75, 1])
    panels = heat.subplots(2, 1, height_ratios=[len(t) + 1 for t in tables.values()])
    for axes, (family, table) in zip(panels, tables.items(), strict=True):
        size, words = maps[family]
        drawn = axes.imshow(table, cmap=style.SIGNED, norm=norm, aspect="auto",
                            interpolation="nearest")
        _mark(axes, table.to_numpy(), norm)
        step = max(1, len(table.columns) // 6)
        axes.set(xticks=range(0, len(table.columns), step), yticks=range(len(table)),
                 xticklabels=[f"{a:.0f}" for a in table.columns[::step]],
                 yticklabels=[f"{s:.0f}" for s in table.index],
                 title=f"{family}s", xlabel=words, ylabel=f"{size} (px)")
    heat.colorbar(drawn, ax=panels, shrink=0.7, label="score (SD)")
    axes = bars.subplots()
    axes.barh(scores.index, scores["score"],
              color=np.where(scores["score"] > 0, style.RED, style.BLUE))
    axes.plot(scores["control"], scores.index, "|", color="black", markersize=11,
              markeredgewidth=1.5)
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="best score (SD)" + ("\n| 95 % of others"
             if scores["control"].notna().any() else ""))
    axes.margins(y=0.01)
    return figure


def _mark(axes, values: np.ndarray, norm) -> None:
    """+ or − in every cell of a map that is not nearly zero."""
    for (row, column), value in np.ndenumerate(values):
        strength = abs(value) / norm.halfrange
        if strength > 0.08:
            axes.text(column, row, "+" if value > 0 else "−", ha="center", va="center",
                      fontsize=8, color="white" if strength > 0.55 else "#333333")


@style.styled
def plot_polar(tuned: Tuning, filter: int) -> Figure:
    """Score over orientation for gratings, bars, edges, curves, at each one's best size.

    Angles as in the file's convention; a family that repeats earlier is drawn round the whole
    circle. Below the mean on real pictures everything is drawn at the centre. One radial scale.
    """
    seen = tuned.of(filter)
    figure = style.blank_figure(1.9)
    names = ("grating", "bar", "edge", "curve", "net")
    panels = figure.subplots(1, len(names), subplot_kw={"projection": "polar"})
    curves = {family: _curve(seen, family, "score").clip(lower=0) for family in names}
    top = max(1.0, *(c.max() for c in curves.values()))
    for axes, (family, curve) in zip(panels, curves.items(), strict=True):
        angles = np.unique([curve.index + k for k in range(0, 360, CYCLES[family])])
        values = curve.loc[angles % CYCLES[family]].to_numpy()
        axes.plot(np.deg2rad([*angles, 360]), [*values, values[0]], color=style.RED, linewidth=1.5)
        axes.fill(np.deg2rad(angles), values, color=style.RED, alpha=0.2)
        best = _strongest(seen, [family])
        size = next((f"{c} {best[c]:.0f} px" for c in ("radius", "period", "width")
                     if best[c] > 0), "")
        axes.set(ylim=(0, top), xticks=np.deg2rad([0, 90, 180, 270]), yticks=[top / 2, top],
                 yticklabels=["", f"{top:.0f}"], title=f"{_words(best)}\n{size}")
        axes.tick_params(pad=-2)
        axes.set_rlabel_position(45)
    figure.supxlabel("orientation (degrees); radius: score (SD)", fontsize=9)
    return figure


@style.styled
def plot_colour(tuned: Tuning, filter: int) -> Figure:
    """Best score for each hue: figures with and without luminance contrast, uniform patches.

    Figures are bars, discs, and the lines of gratings and nets; what lies between those lines has
    the opposite hue.
    """
    seen = tuned.of(filter)
    figures = seen[seen["family"] == "coloured"]
    patches = seen[(seen["family"] == "patch")]
    panels = {
        "figures: hue and luminance": figures[figures["luma"] != 0],
        "figures: hue only": figures[figures["luma"] == 0],
        "patches: hue only": patches[(patches["luma"] == 0)
                                     & patches["chroma"].isin([0, CHROMA])],
    }
    figure = style.blank_figure(2.2)
    for axes, (title, rows) in zip(figure.subplots(1, 3, sharey=True), panels.items(),
                                   strict=True):
        best = rows.groupby("colour")["score"].max().reindex(["", *HUES]).dropna()
        shades = np.clip([MID_GREY + CHROMA * hue_direction(c) for c in best.index], 0, 255) / 255
        axes.bar([c or "grey" for c in best.index], best, color=shades, edgecolor="#333333",
                 linewidth=0.6)
        axes.axhline(0, color=style.GREY, linewidth=0.8)
        axes.tick_params(axis="x", rotation=60)
        axes.set(title=title, ylabel="best score (SD)" if not axes.get_subplotspec().colspan.start
                 else "")
    return figure


@style.styled
def plot_tuning(angles: Sequence[float], curves: dict[str, np.ndarray]) -> Figure:
    """Response over orientation, one line for each kind of stimulus."""
    figure = style.blank_figure(2.3)
    axes = figure.subplots()
    markers = "osD^vX"
    for i, (kind, values) in enumerate(curves.items()):
        axes.plot(angles, values, marker=markers[i % len(markers)], markersize=4, label=kind)
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="orientation (degrees)", ylabel="mean pre-activation", xticks=angles[::2])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure
