"""How often attacks succeed: rates, a sweep over ε, transfer to another network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import vizutils as vz
from data.progress import Progress
from techniques.adversarial.attacks import fgsm, gradient_signs, sign_noise
from techniques.adversarial.results import Adversaries, check_epsilon, look


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
    epsilons = [check_epsilon(e) for e in epsilons]
    before = look(net, images, targets)
    signs = gradient_signs(net, before) if signs is None else signs
    rows = []
    for epsilon in Progress(epsilons, "ε", delay=1):
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
