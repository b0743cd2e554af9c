"""What a unit still answers to when real patches are altered in one respect.

Drawn stimuli say what a unit *could* be looking for; these tests ask real pictures whether it
is so. A patch that excites the unit is turned, mirrored, turned grey, exchanged dark for light,
blurred or scrambled - exactly its receptive field, nothing around it - and the unit is asked
again. What it keeps of its response is the measure of how much that property mattered.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage

import vizutils as vz

#: Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114], "float32")


def alter(patches: np.ndarray, way: str, *, seed: int = 0) -> np.ndarray:
    """Patches altered in one respect.

    Parameters
    ----------
    patches : Patches, ImageSet, or ndarray of shape (n, size, size, 3)
        RGB 0-255.
    way : str
        ``turned`` (by 90°, exact), ``half turn``, ``mirrored`` (left for right), ``grey`` (each
        pixel's brightness), ``inverted`` (dark for light, colours kept: the brightness is
        mirrored about the patch's mean), ``blurred`` (Gaussian, a sixteenth of the patch),
        ``scrambled`` (its pixels in random order: same colours, no structure), ``phases``
        (random phases, the same for all colours: same spectrum, no alignment).
    seed : int
        For what is random.

    Returns
    -------
    float32 ndarray, the same shape, RGB 0-255
        Values that the alteration took beyond 0-255 are cut off there, which costs ``inverted``
        and ``phases`` some contrast in very dark or very light patches.

    Raises
    ------
    ValueError
        An unknown way; patches that are not square RGB pictures.
    """
    if way not in ALTERATIONS:
        raise ValueError(f"way is one of {', '.join(ALTERATIONS)}, not {way!r}.")
    patches = vz.as_image_set(patches, copy=False).images
    return np.clip(ALTERATIONS[way](patches, np.random.default_rng(seed)), 0, 255)


def _inverted(patches, _):
    brightness = (patches @ BRIGHTNESS)[..., None]
    return patches + 2 * (brightness.mean((1, 2), keepdims=True) - brightness)


def _scrambled(patches, rng):
    n, rows, columns, _ = patches.shape
    flat = patches.reshape(n, rows * columns, 3)
    return np.stack([p[rng.permutation(len(p))] for p in flat]).reshape(patches.shape)


def _phases(patches, rng):
    spectrum = np.fft.rfft2(patches, axes=(1, 2))
    noise = rng.normal(size=patches.shape[:3])  # real noise has the symmetry that phases need
    turn = np.fft.rfft2(noise, axes=(1, 2))[..., None]
    turn /= np.abs(turn)
    turn[:, 0, 0] = 1  # the mean colour stays
    return np.fft.irfft2(spectrum * turn, s=patches.shape[1:3], axes=(1, 2)).astype("float32")


ALTERATIONS = {
    "turned": lambda p, _: np.rot90(p, axes=(1, 2)),
    "half turn": lambda p, _: np.rot90(p, 2, axes=(1, 2)),
    "mirrored": lambda p, _: p[:, :, ::-1],
    "grey": lambda p, _: np.repeat((p @ BRIGHTNESS)[..., None], 3, axis=-1),
    "inverted": _inverted,
    "blurred": lambda p, _: ndimage.gaussian_filter(p, (0, p.shape[1] / 16, p.shape[1] / 16, 0)),
    "scrambled": _scrambled,
    "phases": _phases,
}


def kept(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *, level: np.ndarray,
    maxima: vz.Maxima | None = None, ways=tuple(ALTERATIONS), k: int = 9, controls: int = 24,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of its response a unit keeps when its strongest patches are altered.

    Parameters
    ----------
    image_set : ImageSet
        Where the `k` strongest patches are taken from, one from each picture.
    level : ndarray, shape (filters of the layer,)
        Each filter's mean pre-activation on real pictures: what counts as nothing kept.
    maxima : Maxima, optional
        ``image_maxima(net, layer, image_set)``, if it is there already.
    ways : sequence of str
        See `alter`.
    k : int
        How many patches (fewer if there are fewer pictures).
    controls : int
        Other filters of the layer, drawn at random, each asked about its own strongest patches.
    seed : int
        For the draw of the controls, and for `alter`.

    Returns
    -------
    DataFrame, one row a way
        ``way``; ``kept``: (response to the altered patches − level) / (response to the patches −
        level), means over patches; 1: nothing lost, 0: nothing left, below 0: turned into the
        opposite; NaN for a filter whose strongest patches do not exceed its level, which has
        nothing to lose; ``control``: the median over the other filters (without such ones);
        ``percentile``: the share of them (%) that keep less; both NaN where there is no other
        filter; ``spread``: standard deviation of `kept` over patches.

    Raises
    ------
    ValueError
        Unknown layer or way, filter out of range, `k` below 1, a level that is not one number a
        filter of the layer.
    """
    filter = net.check_filter(layer, filter)
    level, filters = np.asarray(level), net.channels(layer)
    if level.shape != (filters,):
        raise ValueError(f"level needs a number for each of the {filters} filters of {layer} (as "
                         f"in stimuli.tuning(net, {layer!r}).mean), not shape {level.shape}.")
    image_set = vz.as_image_set(image_set, copy=False)
    maxima = vz.image_maxima(net, layer, image_set) if maxima is None else maxima
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(filters), filter)
    units = [filter, *rng.choice(others, min(controls, len(others)), replace=False).tolist()]
    patches = [vz.top_patches(net, image_set, layer, f, k=k, maxima=maxima).images for f in units]
    owner = np.repeat(units, [len(p) for p in patches])
    patches = np.concatenate(patches)

    def answers(images):  # each patch to the unit it was taken for, above that unit's level
        found = vz.patch_responses(net, layer, vz.made(images))[np.arange(len(owner)), owner]
        return pd.Series(found - level[owner])

    whole = answers(patches).groupby(owner).mean()
    whole = whole.where(whole > 1e-5 * np.abs(level[whole.index]))  # more than rounding
    rows, others = [], {}
    for way in ways:
        after = answers(alter(vz.made(patches), way, seed=seed))
        shares = after.groupby(owner).mean() / whole
        mine, rest = shares[filter], shares.drop(filter).dropna()
        less = np.nan if np.isnan(mine) else 100 * (rest < mine).mean()
        spread = (after[owner == filter] / whole[filter]).std(ddof=0)
        rows.append((way, mine, rest.median(), less, spread))
        others[way] = rest.tolist()
    table = pd.DataFrame(rows, columns=["way", "kept", "control", "percentile", "spread"])
    table.attrs["others"] = others
    return table
