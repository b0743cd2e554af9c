"""What an ascent leaves: pictures of filters, a report, and what must be said under them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import ndimage

WEAK = 95.0  #: percentile among photographs' maxima below which a picture is called weak


def weak_note(percentile: float | None) -> str:
    """What is said under a picture that ends below the photographs; nothing under others.

    Parameters
    ----------
    percentile : float or None
        Of its largest answer among the maxima of photographs; NaN or None: not known.
    """
    known = percentile is not None and np.isfinite(percentile)
    return f"weak: above {int(percentile)} %" if known and percentile < WEAK else ""


def titled(titles: Sequence[str], notes: Sequence[str]) -> list[str]:
    """Each title, and its note on a line of its own; a missing title is empty."""
    given = [*titles, *[""] * (len(notes) - len(titles))]
    return ["\n".join(filter(None, pair)) for pair in zip(given, notes, strict=True)]


@dataclass(frozen=True, eq=False)
class Ascent:
    """Pictures of filters, and a report on how each ascent went.

    Attributes
    ----------
    images : float32 ndarray, shape (n, size, size, 3)
        RGB 0-255; n = filters × seeds, seeds of one filter side by side.
    history : float32 ndarray, shape (steps + 1, n)
        Mean pre-activation (with ``objective="unit"``: the centre's) of the untransformed,
        clipped picture, whatever was climbed on; see `Rendering`.
    measured : tuple of int
        The steps after which it was measured.
    report : DataFrame, one row for each picture
        ``filter, seed``; ``start, end_mean``: mean pre-activation of the first and of the final
        picture; ``end_max``: largest pre-activation in it; ``best``: largest mean pre-activation
        of those measured on the way; ``percentile`` of end_max among the maxima of real
        pictures (NaN where none are known, and of pictures that excite least); ``agreement``:
        mean cosine between this filter's pictures from other seeds, as mean activation vectors
        of the layer below; ``flat``: nothing happened (contrast under 2 grey levels, or no
        rise); ``steps`` taken.
    snapshots : dict of int to ndarray
        The pictures after the steps asked for.
    ended : {"done", "settled", "interrupted"}
        Why the last batch's climb stopped; "interrupted": pictures are missing or unfinished.
    importance : float32 ndarray, shape (n, size, size), or None
        Where the climb pulled, as `Rendering` has it; None if it was not asked for.
    """

    images: np.ndarray
    history: np.ndarray
    measured: tuple[int, ...]
    report: pd.DataFrame
    snapshots: dict[int, np.ndarray] = field(default_factory=dict)
    ended: str = "done"
    importance: np.ndarray | None = None

    def of(self, filter: int, *, seed: int | None = None) -> np.ndarray:
        """The picture of one filter (of its first seed, unless another is named)."""
        rows = self.report["filter"] == filter
        if seed is not None:
            rows &= self.report["seed"] == seed
        if not rows.any():
            there = self.report["filter"] == filter
            raise ValueError(
                f"no picture of filter {filter} with seed {seed} here; its seeds are "
                f"{', '.join(map(str, self.report['seed'][there]))}." if there.any() else
                f"no picture of filter {filter} here; there are those of filters "
                f"{', '.join(map(str, self.report['filter'].unique()[:20]))}.")
        return self.images[np.flatnonzero(rows)[0]]

    def only(self, filters: Sequence[int]) -> Ascent:
        """These filters' pictures (of their first seeds), in this order: for a figure of some."""
        own = self.report["filter"].to_numpy()
        missing = sorted(set(filters) - set(own))
        if missing:
            raise ValueError(f"no picture of filters {', '.join(map(str, missing))} here; there "
                             f"are those of filters {', '.join(map(str, np.unique(own)[:20]))}.")
        rows = [int(np.flatnonzero(own == filter)[0]) for filter in filters]
        return dataclasses.replace(
            self, images=self.images[rows], history=self.history[:, rows],
            report=self.report.iloc[rows].reset_index(drop=True),
            snapshots={step: images[rows] for step, images in self.snapshots.items()},
            importance=None if self.importance is None else self.importance[rows])

    @property
    def notes(self) -> list[str]:
        """For each picture what figures say under it: nothing, or that it is weak."""
        return [weak_note(percentile) for percentile in self.report["percentile"]]

    def faded(self, *, opaque: float = 0.2, background: float = 255.0) -> np.ndarray:
        """The pictures, the more transparent the less the climb pulled there [1]_.

        Parameters
        ----------
        opaque : float
            Share of the pixels, those pulled at most, that are shown as they are; the others'
            opacity is their pull as a share of the least of these. Pulls are smoothed by two
            pixels, since gradients are finer than what the eye follows.
        background : float
            The grey level behind.

        Returns
        -------
        float32 ndarray, shape (n, size, size, 3)
            RGB 0-255.

        Raises
        ------
        ValueError
            No importance was asked for, or `opaque` is no share.

        References
        ----------
        .. [1] T. Fel et al., "Unlocking feature visualization for deeper networks with MAgnitude
           Constrained Optimization", NeurIPS 2023, arXiv:2306.06805.
        """
        if self.importance is None:
            raise ValueError("this ascent kept no account of where it pulled: draw it with "
                             "maximize(..., importance=True).")
        if not 0 < opaque <= 1:
            raise ValueError(f"opaque is a share above 0, at most 1, not {opaque!r}.")
        pull = ndimage.gaussian_filter(self.importance, (0, 2, 2))
        least = np.quantile(pull, 1 - opaque, axis=(1, 2), keepdims=True)
        opacity = np.clip(pull / np.maximum(least, 1e-12), 0, 1)[..., None]
        return (opacity * self.images + (1 - opacity) * background).astype("float32")


def noted(pictures: Ascent | Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], list[str]]:
    """Pictures, and what stands under each: an ascent's notes, nothing under others."""
    if isinstance(pictures, Ascent):
        return pictures.images, pictures.notes
    return pictures, [""] * len(pictures)
