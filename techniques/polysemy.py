"""One cause or several: what a unit answers to, over its whole range of responses.

The pictures that excite a unit most often look alike only because they are the most extreme.
Here places are taken from weak to strong (`spectrum`), each is described by what every input
channel adds to the response there, and the descriptions are clustered. `causes` says by rule
whether the clusters are one cause, several related or several unrelated ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

import vizutils as vz
from data.progress import Progress
from engine import style
from techniques import circuits

#: Lower ends of the bands of the spectrum, as shares of the way from the unit's mean to its
#: 99.9th percentile; the last band is the top, those before it the middle.
LEVELS = (0.25, 0.5, 0.75)
LEAST_PLACES = 24  #: below this many nothing is said
SHARE = 0.1  #: of the places, which each cluster must hold
LEAD = 0.05  #: by which a silhouette must exceed all clouds': contributions are skewed, clouds not
RELATED = 0.5**0.5  #: cosine of clusters below which less than half of the one is in the other


def spectrum(maps: np.ndarray, *, per_picture: int = 2, seed: int = 0) -> pd.DataFrame:
    """Places from weak to strong responses, a few from each picture.

    Parameters
    ----------
    maps : ndarray, shape (pictures, rows, columns)
        One unit's pre-activation.
    per_picture : int
        At most so many places a picture and band, drawn with `seed`.

    Returns
    -------
    DataFrame
        ``picture, row, column, value, level`` (number of the band in `LEVELS`), strongest first.
    """
    mean, top = maps.mean(), np.quantile(maps, 0.999)
    edges = mean + np.array(LEVELS) * (top - mean)
    picture, row, column = np.nonzero(maps >= edges[0])
    table = pd.DataFrame({"picture": picture, "row": row, "column": column,
                          "value": maps[picture, row, column]})
    table["level"] = np.searchsorted(edges, table["value"], side="right") - 1
    table = table.sample(frac=1, random_state=seed).groupby(["picture", "level"])
    return table.head(per_picture).sort_values("value", ascending=False, ignore_index=True)


def directions(contributions: np.ndarray) -> np.ndarray:
    """Contributions (n, channels) brought to length 1: which channels speak, not how loudly."""
    length = np.linalg.norm(contributions, axis=1, keepdims=True)
    return np.divide(contributions, length, out=np.zeros_like(contributions), where=length > 0)


@dataclass(frozen=True, eq=False)
class Split:
    """Clusters of descriptions, and how sharp they are beside a cloud without clusters.

    Attributes
    ----------
    labels : int ndarray, shape (n,)
        0 to k − 1, the largest cluster first.
    k : int
        1: no number of clusters was sharper, by `LEAD`, than in every cloud.
    silhouette : float
        Mean silhouette at k, or at the best rejected number if k is 1.
    null : ndarray, shape (draws,)
        The same for clouds with the data's mean and covariance.
    """

    labels: np.ndarray
    k: int
    silhouette: float
    null: np.ndarray


def split(vectors: np.ndarray, *, largest: int = 4, draws: int = 20, seed: int = 0) -> Split:
    """Cluster vectors of length 1 (Ward's linkage), if they are clusters at all.

    Any cloud can be cut in two. So each number of clusters from 2 to `largest` is compared with
    `draws` normal clouds of the same mean and covariance, cut the same way [1]_; the number
    that lies furthest above its best cloud is taken, and 1 if none does by `LEAD`. (Columns
    permuted one by one would be the easier control: any two correlated channels pass it.) A
    number whose smallest cluster holds less than `SHARE` of the vectors is out.

    References
    ----------
    .. [1] Y. Liu et al., "Statistical significance of clustering for high-dimension, low-sample
       size data", JASA 2008, doi:10.1198/016214508000000454.
    """
    nothing = Split(np.zeros(len(vectors), int), 1, 0.0, np.zeros(draws))  # nothing to measure
    mean = vectors.mean(0)
    if len(vectors) <= largest or np.linalg.norm(mean) > 0.999:  # all point the same way
        return nothing
    rng = np.random.default_rng(seed)
    numbers = range(2, largest + 1)
    mixed = (rng.normal(size=(len(vectors),) * 2) @ (vectors - mean) for _ in range(draws))
    clouds = [_cuts(cloud / np.sqrt(len(vectors)), numbers) for cloud in mixed]
    best, lead = nothing, -np.inf
    for i, (labels, silhouette) in enumerate(_cuts(vectors, numbers)):
        null = np.array([cloud[i][1] for cloud in clouds])
        counts = np.bincount(labels)
        if counts.min() < SHARE * len(vectors) or silhouette - null.max() <= lead:
            continue
        lead = silhouette - null.max()
        labels = np.argsort(np.argsort(-counts, kind="stable"))[labels]
        best = (Split(labels, len(counts), silhouette, null) if lead > LEAD else
                Split(nothing.labels, 1, silhouette, null))
    return best


def _cuts(vectors: np.ndarray, numbers) -> list[tuple[np.ndarray, float]]:
    """Labels (from 0) and silhouette for each number of clusters, from one tree."""
    apart = pdist(vectors)
    tree, square = linkage(apart, "ward"), squareform(apart)
    cuts = [fcluster(tree, k, "maxclust") - 1 for k in numbers]
    return [(labels, float(silhouette_score(square, labels, metric="precomputed"))
             if labels.any() else 0.0) for labels in cuts]


@dataclass(frozen=True, eq=False)
class Causes:
    """What a unit answers to, and by which numbers.

    Attributes
    ----------
    verdict : {"one cause", "several related", "several unrelated", "undecided"}
    k, silhouette, null
        As in `Split`, over the spectrum's places.
    table : DataFrame
        ``source`` ("spectrum", "diversity"), ``picture, row, column, value, level`` (−1 for
        diversity pictures), ``cluster``.
    similarity : float ndarray, shape (k, k)
        Cosine between the clusters' mean descriptions; below `RELATED` they are unlike.
    survives : dict of str to bool
        ``middle, diversity``: are the two least alike clusters both present there, and unlike?
    shown : DataFrame
        Rows of `table`, a few for each cluster.
    images : float32 ndarray, shape (len(shown), size, size, 3)
        Their receptive fields, RGB 0-255.
    sentence : str
    """

    verdict: str
    k: int
    silhouette: float
    null: np.ndarray
    table: pd.DataFrame
    similarity: np.ndarray
    survives: dict[str, bool]
    shown: pd.DataFrame
    images: np.ndarray
    sentence: str


def diverse_pictures(
    net: vz.Network, layer: str, filter: int, *, scale: float, count: int = 12, steps: int = 64,
    strength: float = 1.0, seed: int = 0,
) -> np.ndarray:
    """A diversity batch: ascent pictures of one filter that repel each other.

    Parameters
    ----------
    scale : float
        The filter's response to a strong picture, e.g. its largest on real ones; it brings
        `strength`, the weight of diversity, to the filter's own unit.

    Returns
    -------
    float32 ndarray, shape (count, size, size, 3)
        RGB 0-255.
    """
    goal = (vz.channel(layer, [filter] * count)
            + strength * scale * vz.diversity(layer, [0] * count))
    return vz.render(net, goal, steps=steps, seed=seed).images


def causes(
    net: vz.Network, layer: str, filter: int, image_set: vz.ImageSet, *,
    diverse: np.ndarray | None = None, per_picture: int = 2, draws: int = 20, seed: int = 0,
) -> Causes:
    """Does a unit answer to one cause, or to several?

    Each place is described by its contributions (`circuits.contributions`) brought to length 1:
    an input channel counts by what it adds to this unit, not by how active it is.

    The rule: fewer than `LEAST_PLACES` places, "undecided". One cluster (`split`), "one cause".
    Clusters of which no two are less alike than `RELATED`, "several related". Otherwise, if
    the two least alike are both found, and unlike, in the middle of the spectrum and among the
    diversity pictures, "several unrelated"; if not, or without such pictures, "undecided".

    Parameters
    ----------
    net, layer, filter
        The unit, of a plain convolution; its pre-activation where no padding is seen.
    image_set : ImageSet
    diverse : ndarray, shape (n, size, size, 3), optional
        From `diverse_pictures`, RGB 0-255; each gives the place of its maximum.
    per_picture, draws, seed
        See `spectrum` and `split`.

    Raises
    ------
    ValueError
        Not a plain convolution, filter out of range, pictures too small for a place that sees
        no padding.

    References
    ----------
    .. [1] C. Olah et al., "Feature visualization", Distill 2017, sections "The spectrum of
       activations" and "Diversity", doi:10.23915/distill.00007.
    """
    filter = net.check_filter(layer, filter)
    image_set = vz.as_image_set(image_set, copy=False)
    diverse = None if diverse is None else vz.as_image_set(diverse, copy=False)
    maps, inside = _maps(net, layer, image_set, filter)
    table = spectrum(maps, per_picture=per_picture, seed=seed)
    table[["row", "column"]] += inside
    vectors = directions(circuits.contributions(
        circuits.windows(net, layer, filter, image_set, table)))
    found = split(vectors, draws=draws, seed=seed)
    table = table.assign(source="spectrum", cluster=found.labels)
    if diverse is not None:
        extra, there = _describe_diverse(net, layer, filter, diverse)
        centres = np.stack([vectors[found.labels == c].mean(0) for c in range(found.k)])
        extra["cluster"] = (there @ directions(centres).T).argmax(1)
        table = pd.concat([table, extra], ignore_index=True)
        vectors = np.concatenate([vectors, there])
    spectral = (table["source"] == "spectrum").to_numpy()
    similarity = _similarity(vectors[spectral], table["cluster"][spectral], found.k)
    parts = {"middle": (spectral & (table["level"] < len(LEVELS) - 1)).to_numpy(),
             "diversity": ~spectral}
    survives = {name: _present(vectors[part], table["cluster"][part].to_numpy(), similarity)
                for name, part in parts.items()}
    verdict = _verdict(int(spectral.sum()), found.k, similarity, survives)
    shown, images = _examples(net, layer, image_set, diverse, table)
    return Causes(verdict, found.k, found.silhouette, found.null, table[
        ["source", "picture", "row", "column", "value", "level", "cluster"]], similarity,
        survives, shown, images, _sentence(layer, filter, verdict, found, similarity, survives,
                                           int(spectral.sum()), diverse is not None))


def _maps(net, layer: str, image_set, filter: int) -> tuple[np.ndarray, int]:
    """A filter's unpadded pre-activations on all pictures, and the first position."""
    inside = vz.unpadded_positions(net, layer, image_set.size)
    forward = net.forward(layer, pre_activation=True)
    maps = [forward(images)[:, inside, inside, filter].numpy()
            for _, images in Progress(image_set.batches(8), f"{layer}: spectrum",
                                      -(-len(image_set) // 8), delay=1)]
    return np.concatenate(maps), inside.start


def _maxima(maps: np.ndarray) -> pd.DataFrame:
    """Place of the maximum in each picture."""
    row, column = np.divmod(maps.reshape(len(maps), -1).argmax(1), maps.shape[2])
    return pd.DataFrame({"picture": np.arange(len(maps)), "row": row, "column": column,
                         "value": maps.max((1, 2))})


def _describe_diverse(net, layer: str, filter: int, diverse) -> tuple[pd.DataFrame, np.ndarray]:
    maps, inside = _maps(net, layer, diverse, filter)
    places = _maxima(maps)
    places[["row", "column"]] += inside
    terms = circuits.contributions(circuits.windows(net, layer, filter, diverse, places))
    return places.assign(source="diversity", level=-1), directions(terms)


def _similarity(vectors: np.ndarray, labels, k: int) -> np.ndarray:
    """Cosine between clusters' mean vectors; NaN for a cluster without any."""
    means = [vectors[labels == c].mean(0) if (labels == c).any()
             else np.full(vectors.shape[1], np.nan) for c in range(k)]
    means = np.array(means)
    return np.clip((means @ means.T) / np.outer(*[np.linalg.norm(means, axis=1)] * 2), -1, 1)


def _least_alike(similarity: np.ndarray) -> tuple[int, int]:
    upper = np.where(np.triu(np.ones_like(similarity), 1) > 0, similarity, np.inf)
    return np.unravel_index(upper.argmin(), upper.shape)


def _present(vectors, labels, similarity) -> bool:
    """Whether the two least alike clusters are both among these places, and unlike there."""
    if len(similarity) < 2 or len(labels) == 0:
        return False
    pair = _least_alike(similarity)
    enough = all((labels == c).sum() >= max(2, SHARE * len(labels)) for c in pair)
    return bool(enough and _similarity(vectors, labels, len(similarity))[pair] < RELATED)


def _verdict(places: int, k: int, similarity, survives: dict) -> str:
    if places < LEAST_PLACES:
        return "undecided"
    if k == 1:
        return "one cause"
    if similarity[_least_alike(similarity)] >= RELATED:
        return "several related"
    return "several unrelated" if all(survives.values()) else "undecided"


def _sentence(layer, filter, verdict, found, similarity, survives, places, diverse):
    words = f"{layer} filter {filter}: {verdict}. {places} places of its spectrum; "
    if not found.null.any():
        return words + "the same channels speak at all of them."
    words += (f"silhouette {found.silhouette:.2f} at best against at most {found.null.max():.2f} "
              f"in {len(found.null)} clouds without clusters")
    if found.k == 1:
        return words + ": they do not fall into clusters."
    least = similarity[_least_alike(similarity)]
    kept = [name for name, there in survives.items() if there]
    words += (f": {found.k} clusters. The two least alike have cosine {least:.2f} (unlike: "
              f"below {RELATED:.2f})")
    if least >= RELATED:
        return words + "."
    return (words + "; the split is "
            f"{'found again in ' + ' and '.join(kept) if kept else 'not found again elsewhere'}"
            f"{'' if diverse else ' (no diversity pictures were given)'}.")


def _examples(net, layer, image_set, diverse, table, count: int = 8):
    """A few places of each cluster, strong to weak, then diversity pictures; and their crops."""
    rows = []
    for _, part in table.groupby("cluster"):
        spectral = part[part["source"] == "spectrum"].index.to_numpy()
        extra = part[part["source"] == "diversity"].index.to_numpy()[:2]
        wanted = min(count - len(extra), len(spectral))
        even = np.linspace(0, len(spectral) - 1, wanted).round().astype(int)
        rows += [*spectral[even], *extra]
    shown = table.loc[rows].reset_index(drop=True)
    sets = {"spectrum": image_set, "diversity": diverse}
    crops = []
    for row in shown.itertuples():
        pictures = sets[row.source]
        field = vz.receptive_field(net, layer, input_size=pictures.size)
        top, left, bottom, right = field.window(row.row, row.column)
        crops.append(pictures.read([row.picture])[0, top:bottom, left:right])
    return shown, np.stack(crops)


@style.styled
def plot_causes(found: Causes) -> Figure:
    """Patches of each cluster, a row each: strong to weak, then from the diversity pictures."""
    clusters = np.unique(found.shown["cluster"])
    columns = max(found.shown.groupby("cluster").size())
    figure = style.blank_figure(1.15 * len(clusters))
    panels = figure.subplots(len(clusters), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for cluster, line in zip(clusters, panels, strict=True):
        own = found.shown.index[found.shown["cluster"] == cluster]
        for axes, i in zip(line, own, strict=False):
            row = found.shown.loc[i]
            kind = "ascent" if row["source"] == "diversity" else f"{row['value']:.0f}"
            style.show_picture(axes, found.images[i], kind)
            axes.title.set_fontsize(8)
        line[0].text(-0.12, 0.5, f"cluster {cluster}", rotation=90, ha="right", va="center",
                     transform=line[0].transAxes)
    return figure
