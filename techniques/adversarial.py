"""Pictures changed a little so that the network says something else: adversaries.

No pixel may move by more than ε grey levels, ‖δ‖∞ ≤ ε, and none may leave 0-255. Within these
bounds the loss of the class, cross-entropy on the logits, is driven up (*untargeted*: anything
but what the network said) or that of another class down (*targeted*: exactly that one). This
file

1. **attacks**: one step along the gradient's signs (`fgsm` [1]_), many small ones that are
   projected back (`pgd` [2]_), and random signs of the same size as a control (`sign_noise`);
2. **counts**: `rates`, `sweep` over ε, `transfer` to another network;
3. **looks inside**: how much each layer (`layer_change`) and each filter (`filter_change`) moves;
4. **defends**, simply: `jpeg`, `blur`, measured by `defend`, and eight bits a pixel (`rounded`);
5. **draws** the results (`plot_adversaries`, `plot_rates`, `plot_layers`, `plot_filters`,
   `plot_maps`).

References
----------
.. [1] I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples",
   ICLR 2015, arXiv:1412.6572.
.. [2] A. Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
   2018, arXiv:1706.06083.
"""

from __future__ import annotations

import io
import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest
from tqdm import tqdm

import vizutils as vz
from data import classes as imagenet
from engine import style
from engine.network import PICTURES, traced
from techniques.attribution import resolve_targets

BATCH = 4  #: pictures that go forwards and backwards at once; more is no faster on a processor
SPREAD = np.array([0.229, 0.224, 0.225])  #: ImageNet's standard deviation of R, G, B (of 1)


def grey_levels(deviations: float) -> float:
    """A bound in standard deviations of the input, as many papers give ε, in grey levels.

    The three channels' deviations differ a little; the smallest counts, so that the bound holds
    in each: 0.1 becomes 5.7.
    """
    return float(255 * SPREAD.min() * deviations)


# --- what is attacked, and what came of it ------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Before:
    """Pictures as they were, what the network said, and what it is to say or unsay.

    Attributes
    ----------
    images : float32 ndarray, shape (n, h, w, 3)
        RGB 0-255.
    logits : float32 ndarray, shape (n, classes)
    targets : int ndarray, shape (n,)
        The class to arrive at (targeted), else the one to get away from: the network's own
        first guess, so that no true label is needed.
    targeted : bool
    """

    images: np.ndarray
    logits: np.ndarray
    targets: np.ndarray
    targeted: bool

    def subset(self, rows) -> Before:
        """Some of the pictures, in the order of `rows` (indices, a slice or a mask)."""
        return Before(self.images[rows], self.logits[rows], self.targets[rows], self.targeted)


@dataclass(frozen=True, eq=False)
class Adversaries:
    """What an attack returns.

    Attributes
    ----------
    before : Before
    images : float32 ndarray, shape (n, h, w, 3)
        RGB 0-255, within ε of ``before.images``: exactly, not up to rounding.
    logits : float32 ndarray, shape (n, classes)
        What the network says of them.
    epsilon : float
        Bound on each pixel's change, in grey levels.
    method : str
    flat : bool ndarray, shape (n,)
        Pictures whose gradient was zero everywhere: these were not attacked at all.
    """

    before: Before
    images: np.ndarray
    logits: np.ndarray
    epsilon: float
    method: str
    flat: np.ndarray

    @property
    def perturbation(self) -> np.ndarray:
        """What was added, float32, grey levels, shape (n, h, w, 3)."""
        return self.images - self.before.images

    @property
    def success(self) -> np.ndarray:
        """Whether the network now says the target (targeted) or something else, shape (n,)."""
        arrived = self.logits.argmax(1) == self.before.targets
        return arrived if self.before.targeted else ~arrived

    @property
    def p_target(self) -> np.ndarray:
        """Probability of the class that the attack was about, shape (n,)."""
        rows = np.arange(len(self.images))
        return tf.nn.softmax(self.logits).numpy()[rows, self.before.targets]

    def table(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a picture.

        Returns
        -------
        DataFrame
            ``picture, before, p_before, after, p_after`` (first guesses and their
            probabilities), ``p_old`` (what is left of the old guess's), ``largest`` (largest
            change of a pixel, grey levels), ``success``.
        """
        was, now = (tf.nn.softmax(x).numpy() for x in (self.before.logits, self.logits))
        rows, old, new = np.arange(len(was)), was.argmax(1), now.argmax(1)
        moved = np.abs(self.images.astype("float64") - self.before.images).max((1, 2, 3))
        return pd.DataFrame({
            "picture": rows if names is None else list(names),
            "before": [class_name(i, was.shape[1]) for i in old], "p_before": was[rows, old],
            "after": [class_name(i, was.shape[1]) for i in new], "p_after": now[rows, new],
            "p_old": now[rows, old], "largest": moved, "success": self.success})


def class_name(index: int, classes: int = 1000) -> str:
    """ImageNet's name of a class, or its number for a network with other classes."""
    if classes != len(imagenet.CLASSES):
        return f"class {index}"
    return imagenet.CLASSES[int(index)][1].replace("_", " ")


def look(net: vz.Network, images, targets=None) -> Before:
    """What the network says before an attack; every attack takes this in place of pictures.

    Parameters
    ----------
    net : Network
        With a classifier.
    images : ImageSet, or ndarray of shape (n, h, w, 3) or (h, w, 3)
        RGB 0-255.
    targets : optional
        Class index or ImageNet name, or one of them for each picture: where the pictures are to
        go. Without: only away from what the network says.

    Raises
    ------
    ValueError
        No classifier; pictures of a wrong shape or range; a class that does not exist, or that
        a picture has already.
    """
    if isinstance(images, Before):
        if targets is not None:
            raise ValueError("these pictures were looked at with targets (or without) before: "
                             "give targets to look(), not to the attack.")
        return images
    images = vz.one_or_more(images)
    logits = vz.logits(net, images)
    if targets is None:
        return Before(images, logits, logits.argmax(1), False)
    wanted = np.asarray(resolve_targets(net, images, targets))
    there = np.flatnonzero(logits.argmax(1) == wanted)
    if there.size:
        raise ValueError(f"picture {there[0]} is named {class_name(wanted[there[0]])} as it is: "
                         "choose another target for it, or leave it out.")
    return Before(images, logits, wanted, True)


def _check_epsilon(epsilon) -> float:
    if (not isinstance(epsilon, numbers.Real) or isinstance(epsilon, bool)
            or not 0 <= epsilon <= 255):
        raise ValueError("ε is the largest change of a pixel in grey levels, a number from 0 to "
                         f"255, not {epsilon!r}; grey_levels(0.1) converts standard deviations.")
    return float(epsilon)


def bounds(images: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest value that each pixel may take.

    Returns
    -------
    low, high : float32 ndarrays
        Such that ``image − low ≤ ε`` and ``high − image ≤ ε`` hold exactly, and with ε rounded
        down to a float32, so that a difference taken in single precision does not pass it.
    """
    images, limit = vz.check_pictures(images), np.float32(_check_epsilon(epsilon))
    if float(limit) > epsilon:
        limit = np.nextafter(limit, np.float32(0))
    low, high = np.maximum(images - limit, 0), np.minimum(images + limit, 255)
    exact = images.astype("float64")  # differences of float32 numbers are exact in float64
    low = np.where(exact - low > limit, np.nextafter(low, images), low)
    high = np.where(high - exact > limit, np.nextafter(high, images), high)
    return low, high


# --- attacks ------------------------------------------------------------------------------------


def _gradient(net: vz.Network) -> Callable:
    """(pictures, classes) → gradient of their cross-entropies by pixel."""
    return net.kept(_traced_gradient)


def _traced_gradient(net: vz.Network) -> Callable:
    def gradient(images, classes):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                classes, net.model(net.preprocess(images), training=False))
        return tape.gradient(loss, images)  # a sum over pictures, which do not meet

    return traced(gradient, PICTURES, tf.TensorSpec((None,), tf.int32))


def _signs(net: vz.Network, images: np.ndarray, before: Before) -> np.ndarray:
    """Which way each pixel of some pictures must go: −1, 0 or 1, float32."""
    towards = -1 if before.targeted else 1
    return towards * np.sign(_gradient(net)(images, before.targets.astype("int32")).numpy())


def _batches(before: Before, title: str):
    """(slice, those pictures alone) after each other, with a progress bar."""
    starts = range(0, len(before.images), BATCH)
    for start in tqdm(starts, title, delay=1, leave=False):
        part = slice(start, start + BATCH)
        yield part, before.subset(part)


def gradient_signs(net: vz.Network, before: Before) -> np.ndarray:
    """The signs that `fgsm` steps along, float32 (n, h, w, 3): the same for every ε."""
    return np.concatenate([_signs(net, part.images, part)
                           for _, part in _batches(before, "gradients")])


def _result(net, before: Before, images, epsilon, method: str, flat=None) -> Adversaries:
    """What the network says of the changed pictures; flat gradients are told."""
    flat = np.zeros(len(images), bool) if flat is None else flat
    if flat.any():
        warnings.warn(f"the gradient of {flat.sum()} of {len(flat)} pictures is zero everywhere "
                      "(saturated logits, or dead units): they were not attacked, which says "
                      "nothing of the network's strength.", stacklevel=3)
    return Adversaries(before, images, vz.logits(net, vz.made(images)), epsilon, method, flat)


def fgsm(
    net: vz.Network, images, *, epsilon: float, targets=None, signs: np.ndarray | None = None,
) -> Adversaries:
    """Fast gradient sign method: one step of ε along the signs of the loss's gradient.

    Parameters
    ----------
    net : Network
        With a classifier; not modified.
    images : ImageSet, ndarray of shape (n, h, w, 3) or (h, w, 3), or Before
        RGB 0-255. What `look` found saves a pass.
    epsilon : float
        Largest change of a pixel, in grey levels; `grey_levels` converts standard deviations.
    targets : optional
        See `look`.
    signs : float32 ndarray, optional
        From `gradient_signs`, if they are here already.

    Raises
    ------
    ValueError
        ε that is negative, NaN or above 255, and what `look` refuses.

    References
    ----------
    .. [1] I. Goodfellow et al., ICLR 2015, arXiv:1412.6572, section 4.
    """
    epsilon, before = _check_epsilon(epsilon), look(net, images, targets)
    signs = gradient_signs(net, before) if signs is None else np.asarray(signs, "float32")
    if signs.shape != before.images.shape:
        raise ValueError(f"signs of shape {signs.shape} do not belong to pictures of shape "
                         f"{before.images.shape}: give gradient_signs(net, look(net, images)).")
    low, high = bounds(before.images, epsilon)
    moved = np.clip(before.images + np.float32(epsilon) * signs, low, high)
    return _result(net, before, moved, epsilon, "FGSM", ~signs.any((1, 2, 3)))


def pgd(
    net: vz.Network, images, *, epsilon: float, steps: int = 10, step: float | None = None,
    targets=None, random_start: bool = True, seed: int = 0,
) -> Adversaries:
    """Projected gradient descent: many small sign steps, each put back into the ε-ball.

    Parameters
    ----------
    net, images, epsilon, targets
        As for `fgsm`.
    steps : int
    step : float, optional
        Grey levels a step; without, 2.5 ε / `steps` [1]_: far enough to cross the ball.
    random_start : bool
        Start anywhere in the ball instead of at the picture.
    seed : int
        Of the random start.

    Returns
    -------
    Adversaries
        The last step's pictures, whether or not an earlier one was already misnamed.

    References
    ----------
    .. [1] A. Madry et al., ICLR 2018, arXiv:1706.06083, section 2.1 and appendix.
    """
    epsilon, before = _check_epsilon(epsilon), look(net, images, targets)
    if not isinstance(steps, numbers.Integral) or steps < 1:
        raise ValueError(f"steps is a whole number, at least 1, not {steps!r}.")
    step = 2.5 * epsilon / steps if step is None else _check_epsilon(step)
    rng = np.random.default_rng(seed)
    low, high = bounds(before.images, epsilon)
    moved = before.images
    if random_start:
        moved = np.clip(moved + rng.uniform(-epsilon, epsilon, moved.shape).astype("float32"),
                        low, high)
    moved, flat = moved.copy(), np.ones(len(moved), bool)
    for part, own in _batches(before, f"PGD, {steps} steps"):
        for _ in range(steps):
            signs = _signs(net, moved[part], own)
            moved[part] = np.clip(moved[part] + np.float32(step) * signs, low[part], high[part])
            flat[part] &= ~signs.any((1, 2, 3))
    return _result(net, before, moved, epsilon, f"PGD, {steps} steps", flat)


def random_signs(before: Before, *, seed: int = 0) -> np.ndarray:
    """−1 or 1 for each pixel, by lot: the control for `gradient_signs`."""
    rng = np.random.default_rng(seed)
    return rng.choice(np.float32([-1, 1]), before.images.shape)


def sign_noise(net: vz.Network, images, *, epsilon: float, targets=None,
               seed: int = 0) -> Adversaries:
    """The control: every pixel moves by ε as in `fgsm`, but up or down by lot."""
    epsilon, before = _check_epsilon(epsilon), look(net, images, targets)
    low, high = bounds(before.images, epsilon)
    moved = np.clip(before.images + np.float32(epsilon) * random_signs(before, seed=seed),
                    low, high)
    return _result(net, before, moved, epsilon, "sign noise")


def rounded(net: vz.Network, found: Adversaries) -> Adversaries:
    """The adversaries as an 8-bit file would keep them: whole grey levels within ε.

    Raises
    ------
    ValueError
        The pictures they were made from are not whole grey levels themselves.
    """
    if (found.before.images % 1).any():
        raise ValueError("the original pictures hold broken grey levels, so that there may be no "
                         "whole one within ε: round them before the attack.")
    low, high = bounds(found.before.images, found.epsilon)
    whole = np.clip(np.rint(found.images), np.ceil(low), np.floor(high))
    return _result(net, found.before, whole, found.epsilon, f"{found.method}, 8 bits", found.flat)


# --- counting -----------------------------------------------------------------------------------


def rates(attacks: Sequence[Adversaries]) -> pd.DataFrame:
    """How often each attack succeeded.

    Returns
    -------
    DataFrame
        ``method, targeted, epsilon, pictures, fooled, share, low, high`` (Wilson's 95 %
        interval of the share), ``p_target`` (mean probability of the class the attack was about:
        to be raised if targeted, lowered if not).
    """
    rows = []
    for found in attacks:
        count, fooled = len(found.images), int(found.success.sum())
        interval = binomtest(fooled, count).proportion_ci(method="wilson")
        rows.append((found.method, found.before.targeted, found.epsilon, count, fooled,
                     fooled / count, interval.low, interval.high,
                     found.p_target.mean()))
    return pd.DataFrame(rows, columns=["method", "targeted", "epsilon", "pictures", "fooled",
                                       "share", "low", "high", "p_target"])


def sweep(
    net: vz.Network, images, epsilons: Sequence[float], *, targets=None, seed: int = 0,
    signs: np.ndarray | None = None,
) -> pd.DataFrame:
    """FGSM and its control over several ε: one pass backwards in all, one forwards for each.

    Parameters
    ----------
    net, images, targets, signs
        As for `fgsm`.
    epsilons : sequence of float
    seed : int
        Of the control's signs.

    Returns
    -------
    DataFrame
        As `rates`; a row for FGSM and one for sign noise (the same signs at every ε) each.
    """
    epsilons = [_check_epsilon(e) for e in epsilons]
    before = look(net, images, targets)
    signs = gradient_signs(net, before) if signs is None else signs
    rows = []
    for epsilon in tqdm(epsilons, "ε", delay=1, leave=False):
        rows.append(rates([fgsm(net, before, epsilon=epsilon, signs=signs),
                           sign_noise(net, before, epsilon=epsilon, seed=seed)]))
    return pd.concat(rows, ignore_index=True)


def transfer(other: vz.Network, attacks: Sequence[Adversaries], labels) -> pd.DataFrame:
    """Do adversaries made on one network fool another, which had no part in them?

    Only pictures that both networks name right are counted: the others cannot be lost.

    Parameters
    ----------
    other : Network
    attacks : sequence of Adversaries
        All of the same pictures; sign noise among them is the control.
    labels : sequence of int
        True classes; −1 (unknown) leaves a picture out.

    Returns
    -------
    DataFrame
        ``method, epsilon, pictures, fooled, fooled_there`` (misnamed by the attacked and by the
        other network), ``same`` (of those misnamed by both: by the same name).

    Raises
    ------
    ValueError
        No picture is named right by both, so that nothing could be counted.
    """
    labels, first = np.asarray(labels), attacks[0].before
    if any(found.before.images.shape != first.images.shape for found in attacks):
        raise ValueError("the attacks must be of the same pictures, to be counted alike.")
    right = (first.logits.argmax(1) == labels) & (
        vz.logits(other, first.images).argmax(1) == labels)
    if not right.any():
        raise ValueError("no picture is named right by both networks: give labelled pictures "
                         "that are, e.g. ImageNet photographs with labels >= 0.")
    rows = []
    for found in attacks:
        here = found.logits[right].argmax(1)
        there = vz.logits(other, found.images[right]).argmax(1)
        both = (here != labels[right]) & (there != labels[right])
        rows.append((found.method, found.epsilon, right.sum(), (here != labels[right]).sum(),
                     (there != labels[right]).sum(), (both & (here == there)).sum()))
    return pd.DataFrame(rows, columns=["method", "epsilon", "pictures", "fooled", "fooled_there",
                                       "same"])


# --- inside the network -------------------------------------------------------------------------


def _relative(after: np.ndarray, before: np.ndarray, axes) -> np.ndarray:
    """‖after − before‖ / ‖before‖ over some axes; NaN where there was nothing before."""
    change, size = (np.sqrt((x.astype("float64") ** 2).sum(axes)) for x in (after - before, before))
    return np.divide(change, size, out=np.full(size.shape, np.nan), where=size > 0)


def layer_change(
    net: vz.Network, found: Adversaries, *, layers: Sequence[str] | None = None
) -> pd.DataFrame:
    """How far each layer's maps moved, relative to what they were.

    Parameters
    ----------
    layers : sequence of str, optional
        All convolutions (pre-activation) and the logits by default.

    Returns
    -------
    DataFrame, a row for each layer and picture
        ``method, layer, picture, change``: ‖Φ(x + δ) − Φ(x)‖₂ / ‖Φ(x)‖₂. The first rows, layer
        ``"pixels"``, are the pictures themselves, as preprocessed.
    """
    names = [*net.conv_layers, net.last_layer] if layers is None else list(layers)
    forward = net.forward(tuple(names), pre_activation=True)
    rows = []
    for i in tqdm(range(len(found.images)), "layers", delay=1, leave=False):
        pair = np.stack([found.before.images[i], found.images[i]])
        maps = [net.preprocess(tf.constant(pair)), *forward(pair)]
        for name, (before, after) in zip(["pixels", *names], maps, strict=True):
            change = float(_relative(after.numpy(), before.numpy(), None))
            rows.append((found.method, name, i, change))
    return pd.DataFrame(rows, columns=["method", "layer", "picture", "change"])


def filter_change(net: vz.Network, found: Adversaries, layer: str) -> pd.DataFrame:
    """How far each filter of a layer moved: is one of them hit more than its neighbours?

    Returns
    -------
    DataFrame, a row for each filter
        ``filter, change`` (relative L2 of its pre-activation map, mean over pictures),
        ``before, after`` (its largest pre-activation in a picture, mean over pictures),
        ``shift`` (mean change of that maximum, in standard deviations over the pictures).
    """
    net.convolution(layer)
    change, maxima = [], []
    for i in range(len(found.images)):
        pair = vz.made(np.stack([found.before.images[i], found.images[i]]))
        pair = vz.activations(net, layer, pair, pre_activation=True)
        change.append(_relative(pair[1], pair[0], (0, 1)))
        maxima.append(pair.max((1, 2)))
    before, after = np.stack(maxima, 1).astype("float64")  # each (pictures, filters)
    spread = before.std(0)
    shift = np.divide((after - before).mean(0), spread, out=np.full(spread.shape, np.nan),
                      where=spread > 0)
    return pd.DataFrame({"filter": np.arange(before.shape[1]), "change": np.mean(change, 0),
                         "before": before.mean(0), "after": after.mean(0), "shift": shift})


# --- simple defences ----------------------------------------------------------------------------


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


# --- figures ------------------------------------------------------------------------------------


@style.styled
def plot_adversaries(found: Adversaries, pictures: Sequence[int] | None = None) -> Figure:
    """Picture, perturbation to scale, perturbation amplified, adversary; a row for each picture.

    Mid-grey is no change. To scale, one grey level is one grey level; amplified, ±ε is black and
    white in each channel.
    """
    pictures = range(min(3, len(found.images))) if pictures is None else list(pictures)
    table, gain = found.table(), 127.5 / found.epsilon if found.epsilon else 1.0
    figure = style.blank_figure(2.05 * len(pictures))
    for i, row in zip(pictures, figure.subplots(len(pictures), 4, squeeze=False), strict=True):
        said = table.iloc[i]
        change = found.perturbation[i]
        style.show_picture(row[0], found.before.images[i], f"{said.before}\n{said.p_before:.0%}")
        style.show_picture(row[1], 127.5 + change,
                           f"{found.method}\nε = {found.epsilon:.1f}, to scale")
        style.show_picture(row[2], 127.5 + gain * change, f"amplified\n× {gain:.0f}")
        style.show_picture(row[3], found.images[i], f"{said.after}\n{said.p_after:.0%}")
    return figure


@style.styled
def plot_rates(table: pd.DataFrame) -> Figure:
    """Share of pictures fooled by ε, a line for each method, with its interval.

    Parameters
    ----------
    table : DataFrame
        From `rates` or `sweep`.
    """
    figure = style.blank_figure(2.8)
    axes = figure.subplots()
    groups = table.groupby(["method", "targeted"], sort=False)
    for i, ((method, targeted), rows) in enumerate(groups):
        rows = rows.sort_values("epsilon")
        colour = mpl.colormaps["viridis"](i / max(len(groups) - 0.5, 1))
        label = f"{method}{', targeted' if targeted else ''} ({rows.pictures.iloc[0]} pictures)"
        axes.errorbar(rows.epsilon, 100 * rows.share,
                      100 * np.abs(rows[["low", "high"]].sub(rows.share, axis=0).to_numpy().T),
                      label=label, color=colour, marker="osv^D*P"[i % 7], markersize=5,
                      linestyle=["-", "--", ":", "-."][i % 4], capsize=2, elinewidth=0.8)
    ticks = sorted(set(table.epsilon))
    axes.set(xscale="log", xlabel="ε: largest change of a pixel, grey levels", ylim=(-4, 104),
             ylabel="pictures fooled, %")
    axes.set_xticks(ticks, [f"{e:.3g}" for e in ticks])
    axes.minorticks_off()
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    return figure


@style.styled
def plot_layers(table: pd.DataFrame) -> Figure:
    """Relative change layer by layer: the mean over pictures and their range, by method.

    Parameters
    ----------
    table : DataFrame
        From `layer_change`, of one or several attacks (concatenated).
    """
    figure = style.blank_figure(3.0)
    axes = figure.subplots()
    colours = (style.RED, style.BLUE, style.GREY, "black")
    for i, (method, rows) in enumerate(table.groupby("method", sort=False)):
        by_layer = rows.groupby("layer", sort=False)["change"]
        places, colour = np.arange(by_layer.ngroups), colours[i % 4]
        axes.fill_between(places, by_layer.min(), by_layer.max(), color=colour, alpha=0.15,
                          linewidth=0)
        axes.plot(places, by_layer.mean(), color=colour, marker="osv^"[i % 4], markersize=4,
                  label=method)
    axes.set_xticks(places, list(by_layer.groups), rotation=60, ha="right",
                    rotation_mode="anchor")
    axes.set(ylabel="relative change ‖Δ‖ / ‖Φ‖", yscale="log")
    axes.legend(frameon=False)
    return figure


@style.styled
def plot_filters(tables: Mapping[str, pd.DataFrame], filter: int) -> Figure:
    """Change of all filters of a layer, sorted, with one of them marked; a panel a method.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Panel title → `filter_change`.
    filter : int
        The one to mark.
    """
    figure = style.blank_figure(2.6)
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        ordered = table.sort_values("change", ascending=False).reset_index(drop=True)
        place = int(np.flatnonzero(ordered["filter"] == filter)[0])
        axes.plot(ordered.change, color=style.GREY, linewidth=1.2)
        axes.plot(place, ordered.change[place], "o", color=style.RED, markersize=6)
        axes.annotate(f"filter {filter}: {place + 1} of {len(ordered)}",
                      (place, ordered.change[place]), (8, 10), textcoords="offset points",
                      fontsize=8, color=style.RED)
        axes.axhline(ordered.change.median(), color=style.GREY, linewidth=0.8, linestyle=":")
        axes.set(title=title, xlabel="filters, most changed first")
    panels[0].set_ylabel("relative change of the map")
    return figure


@style.styled
def plot_maps(
    found: Adversaries, maps: Mapping[str, Sequence[np.ndarray]], picture: int = 0, *,
    asked: Sequence[str] = ("", ""),
) -> Figure:
    """Attribution maps before and after, and their difference; a row for each method.

    Parameters
    ----------
    maps : mapping of str to (before, after)
        Method → two maps of shape (h, w), on one scale in each row; the difference is red (+)
        where the map grew, blue (−) where it shrank.
    picture : int
        Which of `found` they belong to.
    asked : (before, after)
        Names of the classes that the two maps are about.
    """
    figure = style.blank_figure(1.75 * len(maps))
    rows = figure.subplots(len(maps), 4, squeeze=False)
    for axes, (method, (before, after)) in zip(rows, maps.items(), strict=True):
        top = max(float(np.max(before)), float(np.max(after))) or 1.0
        style.show_picture(axes[0], found.images[picture], "adversary")
        for panel, title, drawn in ((axes[1], f"before:\n{asked[0]}", before),
                                    (axes[2], f"after:\n{asked[1]}", after)):
            bar = panel.imshow(drawn, cmap="magma", vmin=0, vmax=top)
            panel.set(xticks=[], yticks=[], title=title)
        axes[1].set_ylabel(method)
        figure.colorbar(bar, ax=axes[2], shrink=0.8)
        change = after - before
        norm = CenteredNorm(0, np.abs(change).max() or 1.0)
        bar = axes[3].imshow(change, cmap=style.SIGNED, norm=norm)
        axes[3].set(xticks=[], yticks=[], title="after − before\n(+ red, − blue)")
        figure.colorbar(bar, ax=axes[3], shrink=0.8)
    return figure
