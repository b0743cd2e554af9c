"""One filter's tuning in a few numbers, and the properties that are claimed from them by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from techniques.stimuli.catalogue import COLOURED
from techniques.stimuli.drawing import HUES
from techniques.stimuli.responses import Tuning

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
    families = family_table(tuned, seen, filter)
    straight = families.loc[strongest(seen, ["grating", "bar"])["family"]]
    oriented = families.loc[families.loc[list(CYCLES), "score"].idxmax()]
    signed = families.loc[families.loc[SIGNED, "score"].idxmax()]
    by_sign = seen[seen["family"] == signed.name].groupby("polarity")["response"].max()
    numbers = {
        **straight[["orientation", "selectivity", "circular_variance"]],
        "period": strongest(seen, ["grating"])["period"], "variation": oriented["variation"],
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


def strongest(seen: pd.DataFrame, families: Sequence[str]) -> pd.Series:
    """The stimulus with the best score of some families: a row of `Tuning.of`."""
    rows = seen[seen["family"].isin(families)]
    return rows.loc[rows["score"].idxmax()]


def _alike(seen: pd.DataFrame, stimulus: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """The stimuli that share the given properties with one, missing ones included."""
    same = [(seen[c] == stimulus[c]) | (seen[c].isna() & pd.isna(stimulus[c])) for c in columns]
    return seen[np.logical_and.reduce(same)]


def orientation_curve(seen: pd.DataFrame, family: str, column: str = "response") -> pd.Series:
    """Best response of a family at each orientation, at the best stimulus's size and polarity."""
    best = strongest(seen, [family])
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


def family_table(tuned: Tuning, seen: pd.DataFrame, filter: int) -> pd.DataFrame:
    """One filter family by family, as `Summary.families`; `seen` is its `Tuning.of`."""
    scores = tuned.family_scores
    others = scores.drop(columns=filter)
    rows = {}
    for family, score in scores[filter].items():
        row = rows[family] = {"score": score}
        row["control"] = np.percentile(others.loc[family], 95) if len(others.columns) else np.nan
        if family in CYCLES:
            curve = orientation_curve(seen, family)
            row["orientation"], row["selectivity"], row["circular_variance"] = _circular(
                curve, min(CYCLES[family], 180))
            row["variation"] = 1 - curve.min() / curve.max() if curve.max() > 0 else np.nan
            if CYCLES[family] == 360:
                row["direction"], row["direction_selectivity"], _ = _circular(curve, 360)
    return pd.DataFrame.from_dict(rows, orient="index")


def _curvature(seen: pd.DataFrame) -> dict[str, float]:
    curve = strongest(seen, ["curve"])
    bar = strongest(seen[seen["width"] == curve["width"]], ["bar"])
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
