"""What a method answers: one number a pixel."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Attribution:
    """What one method says of some pictures, one class logit each.

    Attributes
    ----------
    method : str
        Its name in words.
    maps : float32 ndarray, shape (n, h, w)
        One number a pixel; RGB is folded as the method's function says.
    targets : int ndarray, shape (n,)
        Class indices.
    logits : float32 ndarray, shape (n,)
        Their logits on the untouched pictures.
    signed : bool
        Whether a number below zero speaks against the class (else there are none).
    rgb : float32 ndarray, shape (n, h, w, 3), or None
        The map before RGB is folded, where there is one.
    baseline_logits : float32 ndarray, shape (n,), or None
        Integrated gradients: the logits of the pictures from which the paths start.
    steps : int ndarray, shape (n,), or None
        Integrated gradients: gradients taken on each path.
    superpixels : int ndarray, shape (n, h, w), or None
        LIME: the superpixel to which each pixel belongs.
    fit : float ndarray, shape (n,), or None
        LIME: weighted R² of the linear model, 1 at best.
    """

    method: str
    maps: np.ndarray
    targets: np.ndarray
    logits: np.ndarray
    signed: bool
    rgb: np.ndarray | None = None
    baseline_logits: np.ndarray | None = None
    steps: np.ndarray | None = None
    superpixels: np.ndarray | None = None
    fit: np.ndarray | None = None

    @property
    def empty(self) -> np.ndarray:
        """Which maps are zero everywhere and so say nothing: bool ndarray, shape (n,)."""
        return ~self.maps.any((1, 2))


def reported(method: str, maps, targets, logits, *, signed: bool, **more) -> Attribution:
    """An `Attribution`; maps that say nothing are reported in words."""
    maps = np.asarray(maps, "float32")
    if not np.isfinite(maps).all():
        raise ValueError(f"{method} gave numbers that are not finite: this network's gradient "
                         "overflows on this picture.")
    found = Attribution(method, maps, np.asarray(targets), np.asarray(logits, "float32"), signed,
                        **more)
    if found.empty.any():
        which = ", ".join(f"{row} (class {found.targets[row]})"
                          for row in np.flatnonzero(found.empty))
        warnings.warn(f"{method} is zero everywhere for picture {which}: by this method no pixel "
                      "counts there, so the map says nothing.", stacklevel=3)
    return found


def largest_over_rgb(rgb: np.ndarray) -> np.ndarray:
    """Largest magnitude over red, green and blue: shape (..., 3) → (...)."""
    return np.abs(rgb).max(-1)
