"""What a layer answers on one half of the pictures: the evidence that all its filters share.

Half A's makes hypotheses, half B's tests them. Whatever is computed here once serves every
filter of the layer, and makes each of them a control for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import vizutils as vz
from engine.units import unit_kernels
from techniques import descriptions, samples

STRONGEST = 0.01  #: share of the random places that count as a filter's strongest ...
LEAST_PLACES = 20  #: ... but at least so many
EACH_A, EACH = 300, 150  #: random places in a picture of half A, and of half B


@dataclass(frozen=True, eq=False)
class Evidence:
    """A layer's answers at random places of some pictures, and what they are made of.

    Attributes
    ----------
    layer : str
    field : int
        Side of the receptive field, in pixels.
    sample : samples.Sample
        Without the inputs.
    features : float32 ndarray, shape (places, features), or None
        `descriptions.Bank.features` of the receptive fields; None for fields below 8 px.
    carried : float32 ndarray, shape (pictures, input channels, filters)
        What each edge gives at the filter's strongest places, summed over those in a picture,
        more than it gives at an average place. Over all channels that is the filter's response
        above its mean.
    """

    layer: str
    field: int
    sample: samples.Sample
    features: np.ndarray | None
    carried: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        """Pre-activation of every filter at the places, shape (places, filters)."""
        return self.sample.answers

    def share(self, channels, filter=slice(None)) -> np.ndarray:
        """Share of the response above its mean that some edges give at the strongest places."""
        given = self.carried.sum(0)
        return _share(given[list(channels)].sum(0), given.sum(0))[filter]

    def share_of_each(self) -> np.ndarray:
        """`share` of each edge alone, of every filter, shape (input channels, filters)."""
        given = self.carried.sum(0)
        return _share(given, given.sum(0))

    def strongest_edges(self, filter: int, count: int) -> tuple[int, ...]:
        """The input channels that give most at a filter's strongest places, most first."""
        given = self.carried[:, :, filter].sum(0)
        return tuple(np.argsort(-given, kind="stable")[:count].tolist())


def gather(
    net: vz.Network, layer: str, image_set: vz.ImageSet, *, each: int = EACH, seed: int = 0,
) -> Evidence:
    """Ask a layer at `each` random places of every picture.

    Parameters
    ----------
    image_set : ImageSet
        One half of the pictures.
    each : int
        Places in a picture.
    seed : int
        For the places.

    Raises
    ------
    ValueError
        A layer that is no plain convolution, pictures so small that every position sees padding.
    """
    found = samples.sample(net, layer, image_set, each=each, seed=seed)
    field = vz.receptive_field(net, layer).size
    features = descriptions.bank(field).of_places(net, layer, image_set, found.places) if (
        field >= descriptions.SMALLEST_FIELD) else None
    carried = _carried(found, unit_kernels(net, layer))
    return Evidence(layer, field, samples.Sample(layer, found.places, found.answers, None),
                    features, carried)


def of_half_a(net: vz.Network, layer: str, image_set: vz.ImageSet, *, seed: int = 0) -> Evidence:
    """What hypotheses are made from: `gather`, `EACH_A` places in a picture of half A."""
    return gather(net, layer, image_set, each=EACH_A, seed=seed)


def of_half_b(net: vz.Network, layer: str, image_set: vz.ImageSet, *, seed: int = 0) -> Evidence:
    """What hypotheses are put to: `gather` of half B, with places drawn apart from half A's."""
    return gather(net, layer, image_set, seed=seed + 1)


def _carried(found: samples.Sample, kernels: np.ndarray) -> np.ndarray:
    """`Evidence.carried`, from windows and kernels of shape (rows, columns, channels, filters)."""
    pictures, at = np.unique(found.pictures, return_inverse=True)
    usual = np.einsum("rck,rckf->kf", found.inputs.mean(0), kernels)
    count = min(len(found), max(LEAST_PLACES, int(STRONGEST * len(found))))
    carried = np.zeros((len(pictures), *usual.shape), "float32")
    for filter in range(kernels.shape[3]):
        strong = np.argpartition(-found.answers[:, filter], count - 1)[:count]
        given = np.einsum("nrck,rck->nk", found.inputs[strong], kernels[..., filter])
        np.add.at(carried[:, :, filter], at[strong], given - usual[:, filter])
    return carried


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``; 0 where there is no response to have a share in."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape),
                     where=whole > 1e-9)
