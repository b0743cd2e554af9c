"""A filter built again by hand: its explanation written as weights, and compared with the filter.

*Curve Circuits* [1]_ replaced the weights of a network's curve detectors by hand-made ones: an
explanation is complete if the circuit it describes answers like the real one. Here a filter of
thousands of weights becomes a **list**: some input channels, each with one strength and one of
six fixed shapes (`TEMPLATES`): everywhere, centre, and four sides against their opposite side.

1. `rebuild` fits the strengths to what the filter answers on one half of the pictures;
   `read_off` takes the list from the weights alone, without a picture.
2. `agreement` compares answers with the real filter's at random places of the other half;
   `compare` does so for the list and its rivals, `growth` for every length of the list.
3. `Rebuilt.network` puts the hand-made filter into a copy of the network.

A list of 40 holds 40 strengths for the 2,304 weights of a block3_conv2 filter. Which channel and
which shape is chosen as well, some ten bits a line; the bias is kept or fitted on top, and no
correlation depends on it.

A good fit alone is weak evidence. Neighbouring taps and channels resemble each other, so 40 fitted
numbers reach a median r of 0.88 even for filters of random weights, where the list read off the
weights reaches 0.47 (``benchmarks/results/rebuilding_lists_random.csv``). `read_off` is the harder
test, and `compare` shows what lists without places or of random channels reach.

References
----------
.. [1] N. Cammarata, G. Goh, S. Carter, C. Voss, L. Schubert, C. Olah, "Curve Circuits", Distill
   2021, doi:10.23915/distill.00024.006 (an artificial artificial neural network).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from scipy.optimize import nnls
from sklearn.metrics import average_precision_score

import vizutils as vz
from engine import style
from engine.checks import channel_numbers
from techniques import circuits, samples

# --- shapes ---------------------------------------------------------------------------------------

STRONGEST = 0.05  #: share of places that count as a filter's strongest
AGAINST = " minus "  #: between the two sides of a shape
#: What each shape is, of row and column counted in half taps from the kernel's centre. Chosen on
#: half A with 20 filters of block3_conv2 and lists of 20: mean r 0.83 with "everywhere" alone, 0.87
#: with "centre", 0.89 with all six, and 0.89 with the best eight of thirty shapes (lines, single
#: sides, corners, rings).
TEMPLATES = {
    "everywhere": lambda row, column, sides: np.ones(sides),
    "centre": lambda row, column, sides: (3 * abs(row) <= sides[0]) & (3 * abs(column) <= sides[1]),
    "right minus left": lambda row, column, sides: np.sign(column),
    "bottom minus top": lambda row, column, sides: np.sign(row),
    "bottom right minus top left": lambda row, column, sides: np.sign(row + column),
    "top right minus bottom left": lambda row, column, sides: np.sign(column - row),
}


def templates(rows: int, columns: int) -> np.ndarray:
    """The shapes of `TEMPLATES` on kernels of one size, each of L2 norm 1.

    Returns
    -------
    float64 ndarray, shape (len(TEMPLATES), rows, columns)

    Raises
    ------
    ValueError
        Fewer than three rows or columns: such kernels have no centre beside two sides.
    """
    if min(rows, columns) < 3:
        raise ValueError(f"kernels of {rows} × {columns} taps have no centre between two sides; "
                         "shapes are told apart from 3 × 3 on.")
    row, column = np.ogrid[1 - rows : rows : 2, 1 - columns : columns : 2]
    drawn = [np.broadcast_to(shape(row, column, (rows, columns)), (rows, columns))
             for shape in TEMPLATES.values()]
    return np.stack([one / np.linalg.norm(one) for one in drawn])


def said(template: str, strength: float) -> str:
    """A shape in words: with a negative strength the two sides change places."""
    return template if strength > 0 else AGAINST.join(reversed(template.split(AGAINST)))


# --- the hand-made filter -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A filter written as a list of channels, shapes and strengths.

    Attributes
    ----------
    table : DataFrame, largest strength first
        ``channel``; ``template``: a name of `TEMPLATES`; ``strength``: the factor of the shape of
        norm 1, in units of the weights.
    bias : float
    shape : (kernel rows, kernel columns, channels)
    """

    table: pd.DataFrame
    bias: float
    shape: tuple[int, int, int]

    @property
    def taps(self) -> np.ndarray:
        """The list as weights: float32, of `shape`."""
        shapes = dict(zip(TEMPLATES, templates(*self.shape[:2]), strict=True))
        taps = np.zeros(self.shape, "float32")
        for line in self.table.itertuples():
            taps[..., line.channel] += line.strength * shapes[line.template]
        return taps

    def answers(self, inputs: np.ndarray) -> np.ndarray:
        """What it answers to windows of shape (n, *shape): pre-activations, shape (n,)."""
        return answers(inputs, self.taps, self.bias)

    def words(self, names: Mapping[int, str] | None = None) -> str:
        """The list as sentences, strongest first; `names` says what channels stand for."""
        parts = {"Excited by": [], "Inhibited by": [], "Compares": []}
        for channel, template, strength in self.table.itertuples(index=False):
            turned = AGAINST in template
            kind = "Compares" if turned else "Excited by" if strength > 0 else "Inhibited by"
            name = (names or {}).get(channel, f"channel {channel}")
            parts[kind].append(f"{name} ({said(template, strength) if turned else template})")
        return " ".join(f"{kind} {', '.join(lines)}." for kind, lines in parts.items() if lines)

    def network(self, net: vz.Network, layer: str, filter: int) -> vz.Network:
        """A copy of the network with this filter in the place of the real one."""
        return circuits.rewired(net, layer, filter, self.taps,
                                f"{layer} filter {filter} rebuilt from {len(self.table)} numbers",
                                bias=self.bias)


def answers(inputs: np.ndarray, taps: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """What any filter answers to windows of shape (n, *taps.shape): shape (n,)."""
    return inputs.reshape(len(inputs), -1) @ taps.astype("float32").ravel() + bias


def read_off(kernels: np.ndarray, bias: float = 0.0, *, numbers: int = 40) -> Rebuilt:
    """The list that follows from the weights alone.

    Each kernel is projected on the shape that resembles it most; the channels with the largest
    projections are listed.

    Parameters
    ----------
    kernels : ndarray, shape (kernel rows, kernel columns, channels)
    bias : float
        The filter's own.
    numbers : int
        Lines of the list, at most.

    Returns
    -------
    Rebuilt
    """
    projections = _projections(kernels)
    best = np.abs(projections).argmax(1)
    strengths = projections[np.arange(len(best)), best]
    chosen = np.argsort(-np.abs(strengths), kind="stable")[:numbers]
    return _listed(chosen, best[chosen], strengths[chosen], bias, kernels.shape)


def rebuild(
    sample: samples.Sample, filter: int, kernels: np.ndarray, *, numbers: int = 40,
    channels: Sequence[int] | None = None, shapes: Sequence[str] = tuple(TEMPLATES),
) -> Rebuilt:
    """The list whose answers come nearest to the filter's at some places.

    Lines are added one by one: the channel and shape that say most about what is still wrong
    (orthogonal matching pursuit [1]_); then all strengths are fitted again by least squares. The
    sign of a strength is the kernel's own (of its projection on the shape), not free: the list
    must excite and inhibit as the filter does.

    Parameters
    ----------
    sample : Sample
        With inputs: of half A, if half B shall test the result.
    filter : int
    kernels : ndarray, shape (kernel rows, kernel columns, channels)
        The filter's, as ``vz.kernels(net, layer, filter)``.
    numbers : int
        Lines of the list, at most.
    channels : sequence of int, optional
        Only these may be listed.
    shapes : sequence of str
        Only these shapes may be used.

    Returns
    -------
    Rebuilt
        With a bias that gives the filter's mean answer over the sample.

    Notes
    -----
    The answers are linear in the inputs. The fit therefore learns nothing that is not in the
    kernels and in the inputs' covariance; it weighs errors by what the filter really reads. A
    listed channel also speaks for unlisted ones that resemble it, so its strength may be larger
    than its own kernel's; `read_off` has no such freedom.

    References
    ----------
    .. [1] Y. Pati, R. Rezaiifar, P. Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993,
       doi:10.1109/ACSSC.1993.342465.
    """
    if unknown := set(shapes) - set(TEMPLATES):
        raise ValueError(f"no shape is called {sorted(unknown)[0]!r}: {', '.join(TEMPLATES)}.")
    signs = np.sign(_projections(kernels))
    signs[:, ~np.isin(list(TEMPLATES), shapes)] = 0
    if channels is not None:
        signs[~np.isin(np.arange(len(signs)), channel_numbers(channels, len(signs)))] = 0
    real = sample.answers[:, filter]
    columns = _seen_through_shapes(sample)
    chosen, strengths = forward_selection(columns, real, signs, numbers)[-1]
    channel, template = np.divmod(chosen, len(TEMPLATES))
    bias = float(real.mean() - columns[:, chosen].mean(0) @ strengths)
    return _listed(channel, template, strengths, bias, kernels.shape)


def growth(
    sample_a: samples.Sample, sample_b: samples.Sample, filter: int, kernels: np.ndarray, *,
    numbers: int = 40,
) -> pd.DataFrame:
    """How well the list does on half B at each length: how many numbers the explanation needs.

    Parameters
    ----------
    sample_a, sample_b : Sample
        Of one layer, with inputs; lists are made on the first.
    filter, kernels, numbers
        As in `rebuild`.

    Returns
    -------
    DataFrame, one row a step of `rebuild`, from none to at most `numbers`
        ``numbers``: how many strengths; ``r``: Pearson's with the filter over half B.
    """
    path = forward_selection(_seen_through_shapes(sample_a), sample_a.answers[:, filter],
                             np.sign(_projections(kernels)), numbers)
    columns = _seen_through_shapes(sample_b)
    predicted = np.stack([columns[:, chosen] @ strengths for chosen, strengths in path], 1)
    return pd.DataFrame({"numbers": [len(chosen) for chosen, _ in path],
                         "r": correlations(predicted, sample_b.answers[:, filter])})


def forward_selection(
    columns: np.ndarray, target: np.ndarray, signs: np.ndarray, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Choose columns one by one, and fit weights of given signs by least squares.

    Parameters
    ----------
    columns : float32 ndarray, shape (n, groups × members)
    target : ndarray, shape (n,)
    signs : ndarray, shape (groups, members)
        +1, -1, or 0 for a column that may not be used. At most one of each group is chosen.
    count : int
        Columns to choose, at most: it stops early when none left would help.

    Returns
    -------
    list of (int ndarray, float64 ndarray)
        Which columns, and their weights, after 0, 1, 2, ... steps. No weight is zero, each has
        its column's sign. A constant is taken out of columns and target first.
    """
    groups, members = signs.shape
    sign, free = signs.ravel().astype("float64"), signs.ravel() != 0
    columns = columns - columns.mean(0)
    target = (target - target.mean()).astype(columns.dtype)
    explains = left = sign * (target @ columns)  # products with the target, and with what is left
    spread = np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    enough = 1e-5 * np.linalg.norm(target)
    chosen, overlaps = [], np.empty((0, len(sign)))
    path = [(np.empty(0, int), np.empty(0))]
    for _ in range(count):
        gain = np.where(free, left / spread, 0)
        if gain.max() <= enough:
            break
        best = int(gain.argmax())
        free[best // members * members :][:members] = False
        chosen.append(best)
        overlaps = np.vstack([overlaps, sign * sign[best] * (columns[:, best] @ columns)])
        weights = _least_squares(overlaps[:, chosen], explains[chosen])
        left = explains - weights @ overlaps
        used = weights > 0
        path.append((np.asarray(chosen)[used], (weights * sign[chosen])[used]))
    return path


def _least_squares(overlaps: np.ndarray, explains: np.ndarray) -> np.ndarray:
    """Weights ≥ 0 from normal equations; a trace of ridge keeps equal columns apart."""
    ridge = 1e-6 * overlaps.diagonal().mean() * np.eye(len(overlaps))
    root = np.linalg.cholesky((overlaps + overlaps.T) / 2 + ridge)
    return nnls(root.T, np.linalg.solve(root, explains))[0]


def _projections(kernels: np.ndarray) -> np.ndarray:
    """Each kernel on each shape of norm 1, shape (channels, shapes)."""
    return np.einsum("rck,src->ks", kernels.astype("float64"), templates(*kernels.shape[:2]))


def _seen_through_shapes(sample: samples.Sample) -> np.ndarray:
    """Each channel's window weighted by each shape: float32, (n, channels × shapes)."""
    inputs = sample.inputs
    if inputs is None:
        raise ValueError("the sample holds no inputs: draw it with inputs=True.")
    shapes = templates(*inputs.shape[1:3]).reshape(len(TEMPLATES), -1).astype("float32")
    flat = inputs.reshape(len(inputs), shapes.shape[1], -1)  # (n, taps, channels)
    return np.matmul(flat.transpose(0, 2, 1), shapes.T).reshape(len(inputs), -1)


def _listed(channels, templates_of, strengths, bias: float, shape) -> Rebuilt:
    table = pd.DataFrame({"channel": channels, "template": np.array(list(TEMPLATES))[templates_of],
                          "strength": strengths})
    order = np.argsort(-np.abs(strengths), kind="stable")
    return Rebuilt(table.iloc[order].reset_index(drop=True), float(bias), tuple(shape))


# --- how well answers agree -----------------------------------------------------------------------


def agreement(
    predictions: Mapping[str, np.ndarray], sample: samples.Sample, filter: int, *,
    draws: int = 1000, seed: int = 0,
) -> pd.DataFrame:
    """How well predicted answers agree with a filter's real ones over a sample.

    Parameters
    ----------
    predictions : mapping of str to ndarray, shape (n,)
        E.g. ``{"rebuilt": rebuilt.answers(sample.inputs)}``.
    sample : Sample
        Of pictures that no prediction was fitted to.
    filter : int
    draws : int
        Samples of the bootstrap.

    Returns
    -------
    DataFrame, one row a prediction
        ``prediction``; ``r``: Pearson's; ``low, high``: its 95 % interval by bootstrap over
        *pictures*, since places of one picture resemble each other; ``rank``: 1 if the prediction
        fits no other filter of the layer better, 2 if one, ...; ``precision``: average precision
        for the strongest 5 % of places (chance: 0.05), which silence elsewhere cannot raise.
    """
    columns = np.stack([np.asarray(p, "float64") for p in predictions.values()], 1)
    real = sample.answers.astype("float64")
    with_all = _columnwise(columns, real)  # (predictions, filters)
    own = with_all[:, filter]
    low, high = bootstrapped(columns, real[:, filter], sample.pictures, draws=draws, seed=seed)
    strong = real[:, filter] >= np.quantile(real[:, filter], 1 - STRONGEST)
    return pd.DataFrame({"prediction": list(predictions), "r": own, "low": low, "high": high,
                         "rank": 1 + (with_all > own[:, None]).sum(1),
                         "precision": [average_precision_score(strong, p) for p in columns.T]})


def correlations(predictions: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Pearson's r of each column of (n, m) with `real` (n,); 0 for a constant. Shape (m,)."""
    return _columnwise(predictions, real[:, None])[:, 0]


def _columnwise(predictions: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Pearson's r of each column with each, shape (columns of one, columns of the other)."""
    standard = [(x - x.mean(0)) / np.maximum(len(x) ** 0.5 * x.std(0), 1e-12)
                for x in (predictions, real)]
    return standard[0].T @ standard[1]


def bootstrapped(
    predictions: np.ndarray, real: np.ndarray, pictures: np.ndarray, *, draws: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """95 % intervals of Pearson's r by bootstrap over pictures: low and high, shape (2, m).

    Whole pictures are drawn with replacement. A correlation needs only six sums over places, so
    each picture's sums are taken once and added up in every draw.
    """
    x, y = predictions - predictions.mean(0), (real - real.mean())[:, None]
    names, places = np.unique(pictures, return_inverse=True)
    terms = np.stack(np.broadcast_arrays(1.0, x, y, x * x, y * y, x * y))  # (6, n, m)
    member = np.eye(len(names))[places]  # (n, pictures)
    times = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), draws)  # (draws, pictures)
    n, sx, sy, sxx, syy, sxy = np.einsum("dp,np,snm->sdm", times, member, terms, optimize=True)
    spread = np.sqrt(np.maximum((n * sxx - sx * sx) * (n * syy - sy * sy), 0))
    r = np.divide(n * sxy - sx * sy, spread, where=spread > 1e-12, out=np.zeros_like(spread))
    return np.percentile(r, [2.5, 97.5], axis=0)


def compare(
    sample_a: samples.Sample, sample_b: samples.Sample, filter: int, kernels: np.ndarray, *,
    numbers: int = 40, seed: int = 0,
) -> pd.DataFrame:
    """A filter's list beside its rivals, all judged on half B.

    Parameters
    ----------
    sample_a, sample_b : Sample
        Of one layer; whatever is fitted, is fitted on the first.
    filter, kernels, numbers
        As in `rebuild`.
    seed : int
        Of the random channels.

    Returns
    -------
    DataFrame, as from `agreement`
        ``rebuilt``: `rebuild`; ``weights alone``: `read_off`; ``no places``: `rebuild` with the
        shape "everywhere" only - what the list says without *where*; ``random channels``:
        `rebuild` from as many channels drawn at random; ``bare kernels``: the real kernels of
        the list's channels, all others cut; ``regression``: these channels' taps free, fitted
        by least squares (9 numbers a channel). A column ``numbers`` says how many each has.
    """
    made = {
        "rebuilt": rebuild(sample_a, filter, kernels, numbers=numbers),
        "weights alone": read_off(kernels, numbers=numbers),
        "no places": rebuild(sample_a, filter, kernels, numbers=numbers, shapes=["everywhere"]),
        "random channels": rebuild(
            sample_a, filter, kernels, numbers=numbers,
            channels=np.random.default_rng(seed).permutation(kernels.shape[2])[:numbers]),
    }
    predictions = {name: one.answers(sample_b.inputs) for name, one in made.items()}
    listed = made["rebuilt"].table["channel"].to_numpy()
    bare = kernels[..., listed]
    read_a, read_b = sample_a.inputs[..., listed], sample_b.inputs[..., listed]
    predictions["bare kernels"] = answers(read_b, bare)
    flat = read_a.reshape(len(read_a), -1)
    real = sample_a.answers[:, filter]
    fitted = np.linalg.lstsq(flat - flat.mean(0), real - real.mean(), rcond=1e-4)[0]
    predictions["regression"] = answers(read_b, fitted.reshape(bare.shape))
    table = agreement(predictions, sample_b, filter)
    table["numbers"] = [*(len(one.table) for one in made.values()), bare.size, bare.size]
    return table


# --- figure ---------------------------------------------------------------------------------------


@style.styled
def plot_rebuilt(
    rebuilt: Rebuilt, kernels: np.ndarray, sample: samples.Sample, filter: int, *, count: int = 8
) -> Figure:
    """A filter's strongest kernels, the same by hand, and the answers of both.

    Parameters
    ----------
    rebuilt : Rebuilt
    kernels : ndarray, shape (kernel rows, kernel columns, channels)
        The real ones; both rows share one colour scale.
    sample : Sample
        Where both answer: one dot a place.
    count : int
        Kernels shown, in the order of the list.
    """
    count = min(count, len(rebuilt.table))
    figure = style.blank_figure(4.6)
    grid = figure.add_gridspec(3, count, height_ratios=[1, 1, 4])
    taps = rebuilt.taps
    shown = rebuilt.table["channel"].to_numpy()[:count]
    largest = max(np.abs(from_[..., shown]).max() for from_ in (kernels, taps))
    norm = CenteredNorm(halfrange=float(largest) or 1.0)
    panels = []
    for row, (name, from_) in enumerate((("real", kernels), ("by hand", taps))):
        for place, channel in enumerate(shown):
            axes = figure.add_subplot(grid[row, place])
            drawn = style.draw_kernel(axes, from_[..., channel], norm)
            panels.append(axes)
            if row == 0:
                axes.set_title(f"{channel}", pad=3)
            if place == 0:
                axes.set_ylabel(name)
    figure.colorbar(drawn, ax=panels, label="weight", shrink=0.9)
    axes = figure.add_subplot(grid[2, :])
    real, ours = sample.answers[:, filter], rebuilt.answers(sample.inputs)
    r = correlations(ours[:, None], real)[0]
    axes.scatter(ours, real, s=5, color="#1b1b1b", alpha=0.25, linewidths=0)
    ends = [min(real.min(), ours.min()), max(real.max(), ours.max())]
    axes.plot(ends, ends, color=style.GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel=f"answer of the filter by hand ({len(rebuilt.table)} numbers)",
             ylabel=f"of the real one ({kernels.size:,} weights)", title=f"r = {r:.2f}")
    return figure
