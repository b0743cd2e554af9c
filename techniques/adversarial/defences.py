"""Simple defences: treatments of the input, and what they give back."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter

import vizutils as vz
from techniques.adversarial.results import Adversaries


def jpeg(images: np.ndarray, *, quality: int = 75) -> np.ndarray:
    """Pictures after being written as JPEG files and read again, RGB 0-255 float32."""
    read = []
    for image in np.rint(vz.check_pictures(images)).clip(0, 255).astype("uint8"):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        read.append(np.asarray(Image.open(file), "float32"))
    return np.stack(read)


def blur(images: np.ndarray, *, sigma: float = 1.0) -> np.ndarray:
    """Pictures blurred by a Gaussian of `sigma` px, RGB 0-255 float32."""
    return gaussian_filter(vz.check_pictures(images), (0, sigma, sigma, 0)).clip(0, 255)


def defend(
    net: vz.Network, found: Adversaries, defences: Mapping[str, Callable], *, labels=None
) -> pd.DataFrame:
    """What a treatment of the input gives back, and what it costs on untouched pictures.

    Parameters
    ----------
    defences : mapping of str to callable
        Name → function of pictures.
    labels : sequence of int, optional
        True classes (−1: unknown), for the accuracy on clean pictures.

    Returns
    -------
    DataFrame, the first row without any treatment
        ``defence, fooled`` (adversaries to give back), ``recovered`` (of them: named again as
        before the attack), ``pictures, kept`` (untouched pictures whose name stays), and with
        labels ``labelled, right`` (untouched, named right).

    Notes
    -----
    The attack knows nothing of the treatment; one that does would take it into its gradient.
    """
    own, fooled = found.before.logits.argmax(1), found.success
    rows = []
    for name, treat in {"none": None, **defences}.items():
        clean, given = ((found.before.logits, found.logits[fooled]) if treat is None else
                        (vz.logits(net, treat(found.before.images)),
                         vz.logits(net, treat(found.images[fooled])) if fooled.any() else
                         found.logits[fooled]))
        row = {"defence": name, "fooled": fooled.sum(),
               "recovered": (given.argmax(1) == own[fooled]).sum(),
               "pictures": len(own), "kept": (clean.argmax(1) == own).sum()}
        if labels is not None:
            known = np.asarray(labels) >= 0
            row |= {"labelled": known.sum(),
                    "right": (clean.argmax(1) == np.asarray(labels))[known].sum()}
        rows.append(row)
    return pd.DataFrame(rows)
