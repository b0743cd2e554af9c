"""How a number is printed that another picture, seed or processor would change.

A climb of many steps (PGD, a long ascent, an inversion) takes its next step from a gradient whose
last digits depend on the processor, so that two machines may end at different pictures. What is
counted or averaged over a few of them is a sample, and is printed as one: with its interval. The
check of a notebook (conftest.py in the project's root) then asks whether two numbers differ by no
more than two such samples may.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest


def counted(hits: Sequence[bool] | int, total: int | None = None) -> str:
    """A count with Wilson's 95 % interval [1]_, as in ``"≈ 8 of 16 [4, 12]"``.

    Parameters
    ----------
    hits : sequence of bool, or int
        What came out for each picture or seed; or how many of `total` succeeded.
    total : int, optional
        Needed with a number of hits only.

    Returns
    -------
    str
        The interval is in counts, its ends rounded outwards to whole ones.

    Raises
    ------
    ValueError
        Nothing was counted, or more hits than cases.

    References
    ----------
    .. [1] E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209-212.

    Examples
    --------
    >>> counted([True, False, True, True])
    '≈ 3 of 4 [1, 4]'
    """
    if total is None:
        hits, total = int(np.sum(hits)), len(hits)
    if not isinstance(hits, numbers.Integral) or not 0 <= hits <= total or total < 1:
        raise ValueError(f"{hits} of {total} is no count: give one hit or miss for each case, at "
                         "least one, or how many of how many.")
    ends = binomtest(int(hits), int(total)).proportion_ci(method="wilson")
    # 1e-9: Wilson's ends at no or all hits are 0 and 1 up to their last binary digit
    low, high = math.floor(ends.low * total + 1e-9), math.ceil(ends.high * total - 1e-9)
    return f"≈ {hits} of {total} [{low}, {high}]"


def averaged(values: Sequence[float], digits: int = 2) -> str:
    """A mean with its 95 % bootstrap interval, as in ``"≈ 0.21 [0.05, 0.43]"``.

    Parameters
    ----------
    values : sequence of float
        One for each picture or seed: what is drawn from, with replacement.
    digits : int
        Digits after the point.

    Returns
    -------
    str
        The interval holds the middle 95 % of the means of 2,000 samples, always the same ones.

    Raises
    ------
    ValueError
        Fewer than two values, or one that is not finite.
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("an interval needs two or more finite values, one for each picture.")
    rows = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[rows].mean(1), [2.5, 97.5])
    return f"≈ {values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def within(value: float, low: float, high: float, digits: int = 2) -> str:
    """A number with the bounds in which another processor's may lie: ``"≈ 85 [42, 170]"``.

    For a single climb, which leaves nothing to draw samples from: the bounds are a tolerance that
    whoever prints the number has measured, and says.
    """
    value, low, high = (round(x, digits) + 0.0 for x in (value, low, high))  # no "-0.00"
    return f"≈ {value:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"
