"""A whole layer in one pass that can be interrupted: each filter as `analysis.analyse` has it.

What all filters share is computed once, what belongs to one is saved in blocks of filters: a second
call goes on where the first one stopped, and a block that was damaged is made again. Numbers are
those of `analysis.observe`, `claims.core_findings`, `alterations.kept`, `circuits.edge_table` and
`families.relatives`, one by one. Claims that need climbs or forward passes of their own for every
filter (cut, signs, inhibition, use) are left to `analysis.analyse`.

A block is a `Job`, and `Common.make` does it: the same on another machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.stats import binomtest

import vizutils as vz
from data import HOME, weights
from data.progress import Progress
from engine.atlas_store import folder_for
from engine.units import unit_kernels
from techniques import (
    alterations,
    analysis,
    circuits,
    claims,
    descriptions,
    families,
    layer_analysis,
    stimuli,
)
from techniques.claims import Finding

VERSION = 2  #: raise it when the same call would find other numbers or words
BLOCK = 32  #: filters saved together
SHOWN, UNSEEN = 9, 4  #: patches of a page, and further ones that no page shows (for the quiz)
SIDE = 64  #: pixels of a kept patch, at most
STRONGEST = 9  #: patches of half B at which contributions and alterations are measured
PLACES = 300  #: random places of half B, as in `analysis.examine`
CONTROLS = 20  #: other filters asked about altered patches, as there
WAYS = tuple(analysis.DECIDES.values())


@dataclass(frozen=True, eq=False)
class LayerPass:
    """What a pass found.

    Attributes
    ----------
    layer : str
    filters : list of int
    rows : list of dict
        A row a filter, plain data: ``hypothesis, verdict, elsewhere, properties, family, score,
        claims`` (a row each, as `claims.judge`), ``parts`` (of the description), ``curve`` (angle,
        response), ``families`` (score, control), ``best`` (words of the best stimuli),
        ``altered`` (share kept by way), ``patches`` (picture, value), ``relatives, family rule``.
    gives, elsewhere : float32 ndarray, shape (channels, filters)
        Mean contribution of each edge at the strongest patches of half B, and at random places.
    response : float32 ndarray, shape (filters,)
        Mean pre-activation at those patches.
    patches : uint8 ndarray, shape (filters, SHOWN + UNSEEN, side, side, 3)
        RGB: the strongest patches of all pictures, then further ones.
    drawn : uint8 ndarray, shape (filters, 3, side, side, 3)
        The drawn stimuli it answers to best.
    """

    layer: str
    filters: list[int]
    rows: list[dict]
    gives: np.ndarray
    elsewhere: np.ndarray
    response: np.ndarray
    patches: np.ndarray
    drawn: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """A row a filter: what it answers to best and how, the verdict, the core claims."""
        return pd.DataFrame([{
            "filter": filter,
            **{name: row[name] for name in ("family", "score", "verdict", "elsewhere", "r")},
            **row["properties"], "variants": row["family rule"],
            "claims": ", ".join(one["about"] for one in row["claims"] if one["core"]),
            "hypothesis": row["hypothesis"],
        } for filter, row in zip(self.filters, self.rows, strict=True)])

    def counts(self) -> pd.DataFrame:
        """Verdicts counted: ``verdict, filters, share, low, high`` (Wilson's 95 % interval)."""
        found, rows = self.table["verdict"], []
        for name in (claims.SUPPORTED, claims.UNDECIDED, claims.REFUTED):
            ends = binomtest(int((found == name).sum()), len(found)).proportion_ci(method="wilson")
            rows.append((name, int((found == name).sum()), (found == name).mean(), ends.low,
                         ends.high))
        return pd.DataFrame(rows, columns=["verdict", "filters", "share", "low", "high"])


# --- where it lies ------------------------------------------------------------------------------


def home_of(
    net: vz.Network, layer: str, digest: str, *, seed: int = 0, folder=None,
) -> Path:
    """The folder of a pass, named by everything that decides its numbers.

    Parameters
    ----------
    digest : str
        `digest_of` the pictures.
    folder : path, optional
        In which folder; ``build/passes`` by default.
    """
    made_by = {"version": VERSION, "network": net.name, "layer": layer, "seed": seed,
               "weights": weights.tensor_digest(*vz.submodel(net, layer).get_weights()),
               "pictures": digest, "block": BLOCK}
    return folder_for(Path(folder or HOME.parent / "build" / "passes"), made_by)


def digest_of(image_set: vz.ImageSet) -> str:
    """SHA-256 of the pictures' pixels, names and labels."""
    image_set = vz.as_image_set(image_set, copy=False)
    found = hashlib.sha256(json.dumps([image_set.names, image_set.labels.tolist()]).encode())
    for _, images in image_set.batches():
        found.update(np.ascontiguousarray(images, "<f4"))
    return found.hexdigest()


class _Missing(LookupError):
    """A block is not there, or damaged, and was not to be made."""


def _read(path: Path) -> dict | None:
    """The arrays of a file; None if it is missing or damaged."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None


def _store(path: Path, made: dict) -> None:
    draft = path.with_name(f"draft_{os.getpid()}.npz")
    np.savez_compressed(draft, **made)
    os.replace(draft, path)


# --- what filters share ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Job:
    """A block to be made, by itself and anywhere.

    Attributes
    ----------
    kind : str
        ``"patches"``, ``"claims"`` (which needs what all blocks of the first kind found) or
        ``"usual"`` (contributions at random places, of all filters).
    filters : tuple of int
    told : tuple
        What else decided it.
    found : dict of ndarray
        What claims are made of.
    """

    kind: str
    filters: tuple[int, ...] = ()
    told: tuple = ()
    found: dict = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Its file's name, by what decided it."""
        if self.kind == "usual":
            return "usual.npz"
        text = json.dumps([list(self.filters), *self.told])
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.kind}_{self.filters[0]:04d}_{digest}.npz"


@dataclass(frozen=True, eq=False)
class Common:
    """What the pass of a layer computes once, when the first block asks for it."""

    net: vz.Network
    layer: str
    image_set: vz.ImageSet
    seed: int = 0
    progress: bool = False

    def make(self, job: Job) -> dict:
        """The arrays of a block."""
        block = np.array(job.filters, int)
        if job.kind == "patches":
            return _patches(self, block)
        if job.kind == "claims":
            return _claims(self, block, job.found, job.told[0])
        return {"usual": self.usual}

    @functools.cached_property
    def halves(self) -> tuple[vz.ImageSet, vz.ImageSet]:
        """The pictures to look at, and those to test on."""
        return tuple(self.image_set.subset(half)
                     for half in layer_analysis.halves(self.image_set, self.seed))

    @functools.cached_property
    def shared(self) -> analysis.Shared:
        """As `analysis.observe` and `analysis.examine` take it."""
        return analysis.share(self.net, self.layer, self.image_set, seed=self.seed,
                              progress=self.progress)

    @functools.cached_property
    def maxima(self) -> vz.Maxima:
        """Of all pictures."""
        return vz.image_maxima(self.net, self.layer, self.image_set)

    @functools.cached_property
    def maxima_b(self) -> vz.Maxima:
        """Of half B."""
        return self.maxima.subset(layer_analysis.halves(self.image_set, self.seed)[1])

    @functools.cached_property
    def level(self) -> np.ndarray:
        """Mean pre-activations on half A."""
        return stimuli.on_pictures(self.net, self.layer, self.halves[0], progress=False)[0]

    @functools.cached_property
    def kernels(self) -> np.ndarray:
        """Shape (rows, columns, channels, filters)."""
        return unit_kernels(self.net, self.layer)

    @functools.cached_property
    def usual(self) -> np.ndarray:
        """Mean contribution of every edge of every filter at random places of half B."""
        places = circuits.random_places(self.net, self.layer, self.halves[1], PLACES,
                                        seed=self.seed)
        found = circuits.windows(self.net, self.layer, 0, self.halves[1], places)
        return np.einsum("rck,rckf->kf", found.inputs.mean(0, dtype="float64"), self.kernels)

    @functools.cached_property
    def agreements(self):
        """Of responses, kernels and tuning, for families."""
        below = vz.input_layer(self.net, self.layer).feature
        layers = [self.layer] if below is None else [below, self.layer]
        *lower, response = families.response_agreement(
            self.net, layers, self.halves[1], pictures=16, seed=self.seed)
        match = families.correspondence(lower[0]) if lower else None
        tuned = self.shared.tuned
        return (response, families.kernel_agreement(self.net, self.layer, match),
                families.tuning_agreement(tuned.table, tuned.scores))


# --- the first road: patches, what they keep, what edges give -------------------------------------


def _patches(common: Common, block: np.ndarray) -> dict:
    """Arrays of a block of filters: patches, altered answers, contributions."""
    net, layer, half_b = common.net, common.layer, common.halves[1]
    shown = [_shown(common, int(f)) for f in block]
    best = [vz.top_patches(net, half_b, layer, int(f), k=STRONGEST, maxima=common.maxima_b)
            for f in block]
    gives, response = _contributions(common, block, [one.table for one in best])
    kept = [_shares(common, int(f), one.images) for f, one in zip(block, best, strict=True)]
    return {"patches": np.stack([images for images, _ in shown]),
            "places": json.dumps([places for _, places in shown]),
            "gives": gives, "response": response, "kept": np.array(kept, "float64"),
            "filters": block}


def _shown(common: Common, filter: int) -> tuple[np.ndarray, list]:
    """Patches of a page and further ones, small, and (picture, value) of each."""
    found = vz.top_patches(common.net, common.image_set, common.layer, filter,
                           k=len(common.image_set), maxima=common.maxima)
    count = len(found.images)
    rest = np.arange(SHOWN, count)  # strong ones and weak ones, none of them shown on the page
    rest = rest[np.linspace(0, len(rest) - 1, UNSEEN).astype(int)] if len(rest) else rest
    chosen = [*range(min(SHOWN, count)), *rest]
    images = _small(found.images[chosen])
    missing = SHOWN + UNSEEN - len(images)
    images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), "uint8")])
    table = found.table.iloc[chosen]
    return images, [[str(name), float(value)] for name, value in
                    zip(table["name"], table["value"], strict=True)]


def _small(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Pictures of at most `side` pixels, uint8."""
    if images.shape[1] > side:
        images = tf.image.resize(images, (side, side), antialias=True).numpy()
    return np.clip(np.round(images), 0, 255).astype("uint8")


def _contributions(common: Common, block: np.ndarray, tables: Sequence[pd.DataFrame]):
    """Mean contributions at each filter's places (channels, block), and its mean response."""
    read = circuits.layer_windows(common.net, common.layer)
    gives = np.zeros((common.kernels.shape[2], len(block)))
    response = np.zeros(len(block))
    wanted = pd.concat([table.assign(at=i) for i, table in enumerate(tables)])
    for picture, here in wanted.groupby("picture"):
        windows, maps = read(common.halves[1].read([picture]))
        for row in here.itertuples():
            f = block[row.at]
            gives[:, row.at] += np.einsum(
                "rck,rck->k", windows[row.row, row.column].astype("float64"),
                common.kernels[..., f]) / len(tables[row.at])
            response[row.at] += maps[row.row, row.column, f] / len(tables[row.at])
    return gives, response


def _shares(common: Common, filter: int, patches: np.ndarray) -> list[float]:
    """What of a filter's response its altered strongest patches keep, way by way."""
    level = common.level[filter]

    def above(images):
        found = vz.patch_responses(common.net, common.layer, vz.made(images))
        return (found[:, filter] - level).mean()

    whole = above(patches)
    if not whole > 1e-5 * abs(level):
        return [np.nan] * len(WAYS)
    return [above(alterations.alter(vz.made(patches), way, seed=common.seed)) / whole
            for way in WAYS]


# --- the second road: hypotheses and their verdicts -----------------------------------------------


def _claims(common: Common, block: np.ndarray, first: dict, top: int) -> dict:
    """A row a filter as JSON, and the stimuli it answers to best."""
    net, layer, shared = common.net, common.layer, common.shared
    about = [None] * len(block)
    if shared.seen is not None:
        about = layer_analysis.hypotheses(
            net, layer, common.halves[0], filters=block, tuned=shared.tuned,
            evidence=shared.seen, seed=common.seed, progress=False)
        about = [one if one.description is not None else None for one in about]
    rows, drawn = [], []
    for f, one in zip(block.tolist(), about, strict=True):
        row, best = _row(common, f, one, first, top)
        rows.append(row)
        drawn.append(best)
    return {"rows": json.dumps(rows), "drawn": np.stack(drawn), "filters": block}


def _row(common: Common, filter: int, about, first: dict, top: int) -> tuple[dict, np.ndarray]:
    net, layer, shared = common.net, common.layer, common.shared
    summary = stimuli.summary(shared.tuned, filter)
    groups = analysis.groups_of_half_a(net, layer, filter, common.halves[0], seed=common.seed)
    seen = analysis.hypothesis_of(net, layer, filter, summary, groups, about=about, top=top)
    relatives = families.relatives(filter, *common.agreements[:2], tuning=common.agreements[2])
    findings = _findings(common, filter, seen, first, relatives, top)
    elsewhere, r = 0, np.nan
    if seen.description is not None:
        core, swap = claims.core_findings(shared.fresh, seen, filter, seed=common.seed)
        findings |= core
        elsewhere = len(swap.supported)
        r = descriptions.scores.correlations(
            seen.description.from_features(shared.fresh.features)[:, None],
            shared.fresh.answers[:, [filter]]).item()
    told = [p for p in seen.predictions if p.about in findings]
    table = claims.judge(told, findings)
    images, words = stimuli.best_stimuli(shared.tuned, filter, k=3)
    return {
        "filter": filter, "hypothesis": seen.text, "verdict": claims.verdict(table),
        "elsewhere": elsewhere, "r": _number(r), "properties": seen.properties,
        "family": summary.family, "score": _number(summary.score), "groups": list(seen.groups),
        "description": seen.description.text if seen.description is not None else "",
        "parts": [] if seen.description is None else [
            [_number(p.weight), p.thing.words] for p in seen.description.parts],
        "claims": _plain(table[["about", "claim", "demanded", "found", "others pass", "verdict",
                                "core", "counts"]].to_dict("records")),
        "families": [[name, _number(row["score"]), _number(row["control"])] for name, row in
                     summary.families.sort_values("score", ascending=False).iterrows()],
        "curve": _curve(shared.tuned, filter, summary), "best": words,
        "altered": {way: _number(first["kept"][filter, i]) for i, way in enumerate(WAYS)},
        "family rule": relatives.verdict, "invariant": relatives.invariant,
        "relatives": [[int(one.filter), one.transformation, _number(one.response),
                       _number(one.kernel), bool(one.member)]
                      for one in relatives.table.itertuples()],
    }, _small(images)


def _findings(common, filter, seen, first, relatives, top) -> dict[str, Finding]:
    """Numbers for the predictions beside the core ones that need no pass of their own."""
    predicted, found = {p.about: p for p in seen.predictions}, {}
    others = np.setdiff1d(np.arange(len(first["kept"])), filter)
    drawn = np.random.default_rng(common.seed).choice(others, min(CONTROLS, len(others)),
                                                      replace=False)
    for about, way in analysis.DECIDES.items():
        if about not in predicted:
            continue
        rest = first["kept"][drawn, WAYS.index(way)]
        rest = rest[~np.isnan(rest)]
        found[about] = analysis.altered_finding(
            predicted[about], first["kept"][filter, WAYS.index(way)],
            float(np.median(rest)) if len(rest) else np.nan, rest)
    if "classes" in predicted:
        found["classes"] = analysis.classes_finding(common.net, common.layer, filter,
                                                    common.halves[1], seen.groups, seed=common.seed)
    count = min(top, len(first["gives"]))
    l2 = np.linalg.norm(common.kernels[..., filter].reshape(-1, len(first["gives"])), axis=0)
    nothing = analysis.nothing_to_rank(first["response"][filter] > 0, count, len(l2))
    if nothing:
        found["ranking"] = Finding(np.nan, words=nothing)
    else:
        strong = [set(np.argsort(-np.abs(v), kind="stable")[:count].tolist())
                  for v in (l2, first["gives"][:, filter])]
        found["ranking"] = analysis.ranking_finding(len(strong[0] & strong[1]), count, len(l2))
    found |= {about: one for about, one in analysis.family_findings(relatives).items()
              if about in predicted}
    return analysis.with_rates(common.net, common.layer, found)


def _curve(tuned: stimuli.Tuning, filter: int, summary: stimuli.Summary) -> list:
    """(angle, response) of its best oriented family, rectified; empty where it is never excited."""
    oriented = summary.families["orientation"].dropna() if "orientation" in summary.families else ()
    if summary.family == "none" or not len(oriented):
        return []
    family = summary.families.loc[oriented.index, "score"].idxmax()
    curve = stimuli.orientation_curve(tuned.of(filter), family)
    return [family, [[float(a), _number(max(v, 0))] for a, v in curve.items()]]


def _number(value, digits: int = 5) -> float | None:
    """Rounded to `digits` significant digits; None for what is no number."""
    return float(f"{value:.{digits}g}") if value is not None and np.isfinite(value) else None


def _plain(rows: list[dict]) -> list[dict]:
    """Rows with Python's own kinds of values."""
    return [{k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
            for row in rows]


# --- all of it --------------------------------------------------------------------------------


def run(
    net: vz.Network, layer: str, image_set: vz.ImageSet | None = None, *,
    filters: Sequence[int] | None = None, top: int = 10, seed: int = 0, folder=None,
    progress: bool = True, make: Callable[[list[Job]], Iterable[tuple[int, dict]]] | None = None,
) -> LayerPass:
    """Analyse all filters of a layer, or go on with it.

    Parameters
    ----------
    image_set : ImageSet, optional
        Real pictures, halved by `seed`; the packaged ones by default.
    filters : sequence of int, optional
        All of the layer by default; controls are then drawn among these alone.
    top : int
        How many kernels are ranked.
    folder : path, optional
        Where blocks are kept; ``build/passes`` by default.
    make : callable, optional
        Makes blocks elsewhere: from jobs to pairs of a job's place among them and its arrays
        (`Common.make`), in any order. Here, one after another, by default.

    Returns
    -------
    LayerPass

    Raises
    ------
    ValueError
        Unknown layer or filter, a layer that is no plain convolution, too few or too small
        pictures.
    KeyboardInterrupt
        It was stopped from the keyboard: the same call goes on from there.
    """
    net.plain_convolution(layer)
    image_set = (vz.load_images(size=net.input_size) if image_set is None
                 else vz.as_image_set(image_set, copy=False))
    home = home_of(net, layer, digest_of(image_set), seed=seed, folder=folder)
    home.mkdir(parents=True, exist_ok=True)
    common = Common(net, layer, image_set, seed, progress)
    return _run(net, layer, filters, top, home, progress,
                make or (lambda jobs: enumerate(map(common.make, jobs))))


def stored(
    net: vz.Network, layer: str, digest: str, *, top: int = 10, seed: int = 0, folder=None,
) -> LayerPass | None:
    """A whole layer's finished pass, read from where `run` keeps it; None if it is not whole.

    Parameters
    ----------
    digest : str
        `digest_of` the pictures that it was made with.
    """
    home = home_of(net, layer, digest, seed=seed, folder=folder)
    try:
        return _run(net, layer, None, top, home, False, None)
    except _Missing:
        return None


def _run(net, layer: str, filters, top: int, home: Path, progress: bool, make) -> LayerPass:
    filters = np.unique(net.check_filters(
        layer, range(net.channels(layer)) if filters is None else filters)).tolist()
    blocks = [tuple(filters[first : first + BLOCK]) for first in range(0, len(filters), BLOCK)]
    with Progress(total=2 * len(filters), desc=f"{layer}: filters, twice", delay=2,
                  disable=not progress) as bar:

        def each(jobs: list[Job]) -> list[dict]:
            found = [_read(home / job.file) for job in jobs]
            lost = [i for i, one in enumerate(found) if one is None]
            if lost and make is None:
                raise _Missing(str(home / jobs[lost[0]].file))
            bar.update(sum(len(job.filters) for job in jobs) - sum(len(jobs[i].filters)
                                                                   for i in lost))
            for at, made in make([jobs[i] for i in lost]) if lost else ():
                job = jobs[lost[at]]
                _store(home / job.file, made)
                found[lost[at]] = made
                bar.update(len(job.filters))
            return found

        first = each([Job("patches", block) for block in blocks])
        joined = _joined(net.channels(layer), filters, first)
        second = each([Job("claims", block, (top, filters), joined) for block in blocks])
        usual = each([Job("usual")])[0]["usual"]
    rows = [row for one in second for row in json.loads(str(one["rows"]))]
    places = [each for one in first for each in json.loads(str(one["places"]))]
    rows = [row | {"patches": each} for row, each in zip(rows, places, strict=True)]
    return LayerPass(layer, filters, rows,
                     np.concatenate([one["gives"] for one in first], 1).astype("float32"),
                     usual[:, filters].astype("float32"),
                     np.concatenate([one["response"] for one in first]).astype("float32"),
                     np.concatenate([one["patches"] for one in first]),
                     np.concatenate([one["drawn"] for one in second]))


def _joined(count: int, filters: list[int], first: Sequence[dict]) -> dict:
    """Arrays of the first road by the filters' own numbers; NaN for those not asked for."""
    kept = np.full((count, len(WAYS)), np.nan)
    gives = np.zeros((first[0]["gives"].shape[0], count))
    response = np.zeros(count)
    kept[filters] = np.concatenate([one["kept"] for one in first])
    gives[:, filters] = np.concatenate([one["gives"] for one in first], 1)
    response[filters] = np.concatenate([one["response"] for one in first])
    return {"kept": kept, "gives": gives, "response": response}
