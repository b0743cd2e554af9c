"""What `two_choices.py` counts: matched pairs of patches, what pictures tell, how natural they are.

A unit's pictures are judged against those that the same method drew of other units, because a
picture can tell a strong patch from a middling one without knowing the unit: strong patches have
more contrast, and so has noise. Three defences: pairs are matched in contrast and brightness
(`matched_pairs`); the same pairs are put to the pictures of every other unit, and what these tell
is taken away (`told`); a third count says what contrast, brightness or detail alone would tell of
the pairs (`by_alone`).
"""

import numpy as np
import pandas as pd

STRONG, MIDDLE = (95.0, 100.0), (40.0, 60.0)  # percentiles of a unit's answers
CALIPER = 0.2  # standard deviations over places that a pair may differ in contrast, brightness
RULES = {  # likenesses of patches to places, shape (patches, places) → one a patch
    "max": lambda likeness: likeness.max(1),
    "mean": lambda likeness: likeness.mean(1),
    "top 3": lambda likeness: np.sort(likeness, 1)[:, -3:].mean(1),
}

# ---------------------------------------------------------------------------------------------
# Pairs


def looks(patches: np.ndarray) -> np.ndarray:
    """Log contrast, brightness and log detail of patches, shape (n, 3).

    Contrast is the standard deviation of brightness over pixels, detail the root mean square of
    differences between neighbours, both in grey levels and 1 more, so that flat patches count.
    """
    light = np.asarray(patches, "float64").mean(-1)
    down, right = np.diff(light, axis=1), np.diff(light, axis=2)
    detail = np.sqrt(((down**2).mean((1, 2)) + (right**2).mean((1, 2))) / 2)
    return np.stack([np.log1p(light.std((1, 2))), light.mean((1, 2)), np.log1p(detail)], 1)


def candidates(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of a unit's strongest answers, and of its middle ones."""
    bounds = [np.percentile(answers, part) for part in (STRONG, MIDDLE)]
    strong, middle = (np.flatnonzero((answers >= low) & (answers <= high)) for low, high in bounds)
    return strong, middle


def matched_pairs(answers: np.ndarray, seen: np.ndarray, rng, count: int) -> np.ndarray:
    """Pairs of a strong and a middle place that differ little in contrast and brightness.

    In a quarter of the pairs the strong patch has more contrast and is brighter, in a quarter it
    has more contrast and is darker, and so on: who chooses by contrast or by brightness is right
    in half of them. No place is in two pairs.

    Parameters
    ----------
    answers : ndarray, shape (places,)
    seen : ndarray, shape (places, at least 2)
        From `looks`.
    rng : numpy Generator
    count : int
        Fewer are returned, a multiple of four, where no more can be matched.

    Returns
    -------
    int ndarray, shape (pairs, 2)
        Strong place, middle place.

    Raises
    ------
    ValueError
        Not even four pairs can be matched.
    """
    scaled = seen[:, :2] / np.maximum(seen[:, :2].std(0), 1e-9)
    strong, middle = candidates(answers)
    apart = scaled[strong][:, None] - scaled[middle]  # (strong, middle, 2)
    far = np.abs(apart).max(2)
    free = [(far <= CALIPER) & (np.sign(apart) == signs).all(2)
            for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    found = []
    while len(found) + 4 <= count:
        four = []
        for mask in free:
            rows = np.flatnonzero(mask.any(1))
            if not len(rows):
                break
            row = rng.choice(rows)
            column = np.where(mask[row], far[row], np.inf).argmin()
            four.append((strong[row], middle[column]))
            for other in free:
                other[row] = False
                other[:, column] = False
        if len(four) < 4:
            break
        found += four
    if not found:
        raise ValueError(f"no pairs within {CALIPER} standard deviations: give more photographs.")
    return np.array(found)


def by_alone(pairs: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """Share of pairs in which the strong patch has more contrast, brightness, detail."""
    return {name: share_right(seen[:, i], pairs)
            for i, name in enumerate(("contrast", "brightness", "detail"))}


# ---------------------------------------------------------------------------------------------
# The choice


def normed(features: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def evidence(patches, positive, negative, rule: str) -> np.ndarray:
    """Likeness to a unit's pictures less that to its opposite's, shape (patches,).

    Parameters
    ----------
    patches, positive, negative : ndarray, shape (places, features)
        Standardised features of the patches, and of all places of the pictures.
    rule : str
        One of `RULES`.
    """
    patches = normed(patches)
    to_positive, to_negative = (RULES[rule](patches @ normed(some).T)
                                for some in (positive, negative))
    return to_positive - to_negative


def share_right(values: np.ndarray, pairs: np.ndarray) -> float:
    """Share of pairs whose strong place has the larger value; equal ones count half."""
    strong, middle = values[pairs.T]
    return float(((strong > middle) + 0.5 * (strong == middle)).mean())


def told(evidences: dict[int, np.ndarray], pairs: dict[int, np.ndarray]) -> pd.DataFrame:
    """What each unit's pictures tell of its pairs, over what other units' pictures tell of them.

    Parameters
    ----------
    evidences : dict of unit to ndarray, shape (places,)
        From that unit's pictures, all by one method.
    pairs : dict of unit to ndarray, shape (pairs, 2)

    Returns
    -------
    DataFrame, one row a unit
        ``unit, pairs``; ``own``: share of its pairs told apart by its own pictures; ``others``:
        by another unit's, the mean over all others; ``told``: 0.5 + own − others, 0.5 for
        pictures that say nothing of the unit, whatever they say of contrast.

    Raises
    ------
    ValueError
        Fewer than two units: there are no others.
    """
    if len(evidences) < 2:
        raise ValueError("one unit has no others to be compared with: draw at least two.")
    rows = []
    for unit, own in pairs.items():
        share = {other: share_right(values, own) for other, values in evidences.items()}
        mine = share.pop(unit)
        others = float(np.mean(list(share.values())))
        rows.append({"unit": unit, "pairs": len(own), "own": mine, "others": others,
                     "told": 0.5 + mine - others})
    return pd.DataFrame(rows)


def interval(values, draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and the middle 95 % of means over units drawn with replacement."""
    values = np.asarray(values, "float64")
    rows = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(values[rows].mean(1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


# ---------------------------------------------------------------------------------------------
# How natural pictures are


def clipped_share(images: np.ndarray) -> float:
    """Share of pixels with a colour that is shown as 0 or 255."""
    shown = np.round(images)
    return float(((shown <= 0) | (shown >= 255)).any(-1).mean())


def spectrum_slope(images: np.ndarray) -> float:
    """Slope of log magnitude over log frequency of brightness; natural pictures have about −1.

    From 2 cycles a picture to 0.4 a pixel, behind a Hann window.
    """
    size = images.shape[1]
    window = np.outer(*[np.hanning(size + 2)[1:-1]] * 2)
    light = images.mean(-1) - images.mean((1, 2, 3))[:, None, None]
    magnitude = np.abs(np.fft.rfft2(light * window)).mean(0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    used = (frequency >= 2 / size) & (frequency <= 0.4)
    edges = np.geomspace(2 / size, 0.4, 9)
    ring = np.digitize(frequency[used], edges)
    means = pd.DataFrame({"f": np.log(frequency[used]), "m": np.log(magnitude[used] + 1e-6)}
                         ).groupby(ring).mean()
    return float(np.polyfit(means["f"], means["m"], 1)[0])


def colour_histogram(images: np.ndarray) -> np.ndarray:
    """Shares of 4 × 4 × 4 boxes of RGB, shape (64,)."""
    boxes = np.clip(images // 64, 0, 3).astype(int).reshape(-1, 3) @ [16, 4, 1]
    return np.bincount(boxes, minlength=64) / len(boxes)
