"""What an explanation is worth: its predictions at random places of photographs nobody used.

Every score is of many explanations against all filters of a layer at once, (explanations,
filters): another filter's answers are the control that every filter has. Places in one picture
are not independent, so intervals come from drawing *pictures* again (bootstrap).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import average_precision_score

STRONGEST = 0.05  #: share of places that count as strong answers
DRAWS = 400  #: bootstrap samples of pictures


def correlations(predicted: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Pearson's r of each prediction with each filter.

    Parameters
    ----------
    predicted : ndarray, shape (places, explanations)
    answers : ndarray, shape (places, filters)

    Returns
    -------
    float64 ndarray, shape (explanations, filters)
        0 where one of the two is constant: that predicts nothing.
    """
    return correlations_and_samples(predicted, answers, np.zeros(len(answers), int), draws=0)[0]


def resampled(pictures: int, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each picture is in each bootstrap sample, int (draws, pictures)."""
    return np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), draws)


def correlations_and_samples(
    predicted: np.ndarray, answers: np.ndarray, pictures: np.ndarray, *, draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """`correlations` of all pictures, then of bootstrap samples of them.

    Parameters
    ----------
    pictures : int ndarray, shape (places,)
        The picture that each place lies in; a sample draws whole pictures.

    Returns
    -------
    float64 ndarray, shape (1 + draws, explanations, filters)
        The same `seed` draws the same pictures, so that two explanations can be compared
        sample by sample.
    """
    moments = _moments(predicted, answers, pictures)
    count = len(moments[0])
    drawn = np.concatenate([np.ones((1, count)), resampled(count, draws=draws, seed=seed)])
    return _r(*(np.tensordot(drawn, m, 1) for m in moments))


def _moments(predicted, answers, pictures):
    """Sums over the places of each picture: n, x, y, xx, yy, xy; first axis the picture."""
    x, y = map(_standardised, (predicted, answers))
    _, at = np.unique(pictures, return_inverse=True)
    groups = [np.flatnonzero(at == g) for g in range(at.max() + 1)]
    return tuple(map(np.array, zip(*((
        float(len(g)), x[g].sum(0), y[g].sum(0), (x[g]**2).sum(0), (y[g]**2).sum(0),
        x[g].T @ y[g]) for g in groups), strict=True)))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1, in whatever unit; constants become 0."""
    values = values.astype("float64")
    spread = values.std(0)
    varies = spread > 1e-9 * np.abs(values).max(0)  # less is rounding
    return np.divide(values - values.mean(0), spread, out=np.zeros_like(values), where=varies)


def _r(n, x, y, xx, yy, xy):
    """Pearson's r from sums: (samples, explanations, filters)."""
    n = n[:, None]
    varies_x, varies_y = (np.maximum(s2 - s**2 / n, 0) for s2, s in ((xx, x), (yy, y)))
    together = xy - x[:, :, None] * y[:, None] / n[:, :, None]
    scale = np.sqrt(varies_x[:, :, None] * varies_y[:, None])
    return np.divide(together, scale, out=np.zeros_like(together), where=scale > 1e-12)


def identification(r: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Rank of each explanation's own filter among all filters of the layer, by correlation.

    Parameters
    ----------
    r : ndarray, shape (..., explanations, filters)
        From `correlations`.
    filters : int ndarray, shape (explanations,)
        The filter that each explanation is about.

    Returns
    -------
    int ndarray, shape (..., explanations)
        1: the prediction fits no other filter as well as its own; chance is the middle. Equal
        ones count as better: a constant prediction, which fits none, comes last.
    """
    own = np.take_along_axis(r, np.broadcast_to(np.asarray(filters)[:, None],
                                                (*r.shape[:-1], 1)), -1)
    return (r >= own).sum(-1)  # its own is among them


def score_table(
    predicted: np.ndarray, answers: np.ndarray, pictures: np.ndarray, filters: np.ndarray, *,
    draws: int = DRAWS, seed: int = 0,
) -> pd.DataFrame:
    """What each explanation is worth, with intervals over pictures.

    Parameters
    ----------
    predicted : ndarray, shape (places, explanations)
    answers : ndarray, shape (places, filters of the layer)
    pictures : int ndarray, shape (places,)
    filters : int ndarray, shape (explanations,)
        Whose explanation each is.

    Returns
    -------
    DataFrame, one row an explanation
        ``filter``; ``r``, Pearson's, with ``r_low, r_high``; ``rank_r``, Spearman's;
        ``precision``: average precision for the strongest 5 % of the filter's answers (0.05 by
        chance); ``rank``: of its own filter among all (`identification`), with ``rank_low,
        rank_high``; ``first_5``: whether the rank is within the first 5 %. Intervals: 5th to
        95th percentile over `draws` samples of the pictures.
    """
    filters = np.asarray(filters)
    r, *sampled = correlations_and_samples(predicted, answers, pictures, draws=draws, seed=seed)
    sampled = np.array(sampled)
    ranks = identification(sampled, filters)
    at = np.arange(len(filters)), filters
    own = sampled[:, *at]
    rank = identification(r, filters)
    limits = np.quantile(answers, 1 - STRONGEST, axis=0)
    rows = {
        "filter": filters, "r": r[at], "r_low": np.quantile(own, 0.05, 0),
        "r_high": np.quantile(own, 0.95, 0),
        "rank_r": [_spearman(predicted[:, i], answers[:, f]) for i, f in enumerate(filters)],
        "precision": [average_precision_score(answers[:, f] > limits[f], predicted[:, i])
                      if (answers[:, f] > limits[f]).any() else np.nan
                      for i, f in enumerate(filters)],
        "rank": rank, "rank_low": np.quantile(ranks, 0.05, 0), "rank_high": np.quantile(
            ranks, 0.95, 0), "first_5": within_first(rank, answers.shape[1]),
    }
    return pd.DataFrame(rows)


def within_first(rank: np.ndarray, filters: int) -> np.ndarray:
    """Whether a rank lies within the first 5 % of so many filters (the first, of under 20)."""
    return rank <= max(1, int(STRONGEST * filters))


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the two is constant."""
    return float(stats.spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else 0.0
