"""What any input is judged by before it is used: pixels, and numbers of things."""

from __future__ import annotations

import numbers

import numpy as np

ROUNDING = 1e-3  #: grey levels by which rounding may take a picture beyond 0-255
#: Largest value below which a picture with fractions is taken for one scaled to 0-1: resizing
#: (bicubic) or brightening may take it beyond 1, and a picture of 0-255 that is as dark as this
#: holds whole numbers.
SCALED_BELOW = 2.0
#: How far below 0 the same resizing takes such a picture, as a share of its largest value. What
#: preprocessing makes (−1 to 1; mean subtracted) lies lower.
UNDERSHOOT = 0.25


def what_is_wrong(picture: np.ndarray, low: float, high: float) -> str:
    """Why an array's values are no picture's, and the remedy.

    Parameters
    ----------
    picture : ndarray of any shape
        One picture, to be judged as RGB or grey, 0-255.
    low, high : float
        Its extremes.

    Returns
    -------
    str
        The rest of a sentence that begins with the picture's name; empty for a picture, were it
        black.
    """
    if not np.isfinite([low, high]).all():
        return "holds values that are not finite (NaN or infinity); pictures are RGB, 0-255."
    beyond = low < -ROUNDING
    if high < SCALED_BELOW and low >= -UNDERSHOOT * max(high, 0) - ROUNDING:
        if beyond or np.abs(picture - np.rint(picture)).max() > ROUNDING:
            clip = " and clip to 0-255" if beyond or high > 1 + ROUNDING else ""
            return (f"is scaled to 0-1 (its largest value is {high:.4g}): multiply by 255{clip}; "
                    "pictures are RGB, 0-255.")
        return ""
    if beyond:
        return (f"holds values from {low:.4g} to {high:.4g}: undo the preprocessing; pictures are "
                "RGB, 0-255, and each network preprocesses them by itself.")
    if high > 255 + ROUNDING:
        return (f"holds values up to {high:.4g}: clip them, or divide 16-bit values by 257; "
                "pictures are RGB, 0-255.")
    return ""


def whole(name: str, value, least: int = 1, *, hint: str = "") -> int:
    """A whole number, of Python or NumPy.

    Parameters
    ----------
    name : str
        What the error calls it.
    least : int
        The smallest that is allowed.
    hint : str, optional
        What else to do, for the error's end.

    Raises
    ------
    ValueError
        Anything else: 0, 2.5, "3", True.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}"
                         f"{hint and '; '}{hint}.")
    return int(value)


def whole_numbers(what: str, values) -> np.ndarray:
    """One whole number, or a row of them, as an int array, shape (n,), which may be empty.

    Raises
    ------
    ValueError
        Fractions, a mask, an array of several axes; `what` says in the plural what is meant.
    """
    found = np.atleast_1d(np.asarray(values))
    if found.ndim > 1 or found.size and not np.issubdtype(found.dtype, np.integer):
        given = f"an array of shape {found.shape}" if found.ndim > 1 else repr(values)
        hint = " (np.flatnonzero makes them of a mask)" * (found.dtype == bool)
        raise ValueError(f"{what} are whole numbers, one or a row of them, not {given}{hint}.")
    return found.astype(int)


def channel_numbers(channels, count: int) -> np.ndarray:
    """`whole_numbers` of channels, each from 0 to `count` − 1 (none is counted from the end)."""
    channels = whole_numbers("channels", channels)
    wrong = channels[(channels < 0) | (channels >= count)]
    if wrong.size:
        raise ValueError(f"channels are 0 to {count - 1} here; {wrong[0]} is out of range.")
    return channels


def check_side(shape: tuple[int, ...], side: int | None) -> None:
    """Refuse pictures of another side than the only one a network takes (None: it takes any)."""
    if side is not None and shape[1:3] != (side, side):
        raise ValueError(f"this network takes pictures of {side} × {side} px only, not of "
                         f"{shape[1]} × {shape[2]}: vz.load_images(files, size={side}) reads them "
                         "so.")
