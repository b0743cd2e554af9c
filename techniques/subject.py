"""What the report's words and pictures depend on, for any network: VGG16's, or a user's own.

The report was written about VGG16 with ImageNet's classes and the packaged photographs. These
functions choose the pictures, name what is known of their classes, scale printed numbers, and say
in one sentence where a step cannot be taken. For VGG16 they give what the report has always said.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

import vizutils as vz
from data import classes as imagenet
from engine import wrapping
from techniques import descriptions, inhibition

__all__ = [
    "load", "is_imagenet", "can_name", "is_vgg16", "who", "check", "fitting_top", "facts",
    "photographs", "check_pictures", "known", "others", "truths", "naming", "better_scaling",
    "unnamed", "class_tables", "leading", "class_answer", "reference", "crowd", "rounded", "number",
]

FEWEST = 16  #: pictures: the report shows the eight strongest of a half
PIXELS = 4e6  #: that the pictures of a report may have; twice the packaged ones'
MOST = 400  #: pictures, however small


# --- the network ----------------------------------------------------------------------------------


def load(name, weights: str = "packaged", classes: str = "", preprocess: str = "") -> vz.Network:
    """`vizutils.load_network` as the report calls it: what is left out is "".

    The classes of a network that does not say them, and are not ImageNet's, are called by their
    numbers: "class 0".

    Raises
    ------
    ValueError, OSError
        As `vizutils.load_network`.
    """
    net = vz.load_network(name, weights=weights, classes=classes or None,
                          preprocess=preprocess or None)
    if net.classes is not None or not can_name(net) or is_imagenet(net):
        return net
    return dataclasses.replace(net, classes=tuple(f"class {i}" for i in range(net.class_count)))


def can_name(net: vz.Network) -> bool:
    """Whether the network ends in one row of class scores for a picture."""
    return net.has_classifier and len(net.model.output.shape) == 2


def is_imagenet(net: vz.Network) -> bool:
    """Whether its classes are ImageNet's 1,000, so that the packaged photographs are of them."""
    return can_name(net) and net.classes is None and net.class_count == len(imagenet.CLASSES)


def is_vgg16(net: vz.Network) -> bool:
    """Whether it is `vizutils.load_network`'s VGG16; a file of that name may be anything."""
    return net.name == "vgg16" and net.preprocess is wrapping.PREPROCESSINGS["vgg"]


def who(net: vz.Network) -> str:
    """The network and its classifier, as the subject of a sentence."""
    if not is_vgg16(net):
        return net.name
    return "VGG16's trunk with the linear read-out" if net.head == "distilled" else "VGG16"


def check(net: vz.Network, layer: str, filter: int) -> None:
    """Refuse a unit about which the report could not be written, before the long part.

    Raises
    ------
    ValueError
        Unknown layer or filter; a layer that is no plain convolution, that reads the picture
        itself, fewer than four channels, a field in which nothing is drawn, or one so large that
        every position of the network's pictures sees padding. The layers that will do are named.
    """
    if problem := _problem(net, layer):
        fit = [name for name in net.conv_layers if not _problem(net, name)]
        raise ValueError(f"{problem} Layers of {net.name} that the report can be about: "
                         f"{', '.join(fit) or 'none'}.")
    net.check_filter(layer, filter)


def _problem(net: vz.Network, layer: str) -> str:
    """Why the report cannot be about a layer, in a sentence; "" if it can."""
    try:
        conv = net.plain_convolution(layer)
        seen = vz.receptive_field(net, layer)
        vz.unpadded_positions(net, layer, net.input_size)
    except ValueError as problem:
        return str(problem)
    if vz.input_layer(net, layer).feature is None:
        return (f"{layer} reads the picture itself: no channels lie below it that the report could "
                "show. Choose a later layer.")
    if min(conv.input.shape[-1], conv.filters) < 4:
        return (f"{layer} has {conv.filters} filters of {conv.input.shape[-1]} channels: with "
                "fewer than four of either there is nothing to compare with.")
    if seen.size < descriptions.SMALLEST_FIELD:
        return (f"a unit of {layer} sees {seen.size} × {seen.size} px: nothing is drawn in fewer "
                f"than {descriptions.SMALLEST_FIELD}.")
    return ""


def fitting_top(net: vz.Network, layer: str, top: int) -> int:
    """How many kernels to rank: at most half of them, so that others are left as a control."""
    return min(top, max(1, net.convolution(layer).input.shape[-1] // 2))


def facts(net: vz.Network, layer: str, top: int) -> str:
    """How to read a layer's kernels; "" for VGG16, of which the report says so by hand."""
    if is_vgg16(net):
        return ""
    channels = net.convolution(layer).input.shape[-1]
    rows, columns = net.convolution(layer).kernel_size
    norm = net.norm(layer)
    said = [f"a kernel of {layer}: {rows} × {columns}"
            + (", its batch normalisation folded in" if norm is not None else "")]
    said.append("what it reads is never negative: the sign of a weight is the sign of its effect"
                if inhibition.reads_rectified(net, layer) else
                "what it reads may be negative: a positive weight excites only where its input is "
                "positive, and \"excitatory\" below means no more than a positive weight")
    if 2 * top >= channels - 1:
        said.append(f"it reads {channels} channels: {top} kernels are ranked, so that as many are "
                    "left to compare with")
    return "\n".join(said)


# --- pictures and classes -------------------------------------------------------------------------


def photographs(net: vz.Network, folder: str = "", *, seed: int = 0) -> vz.ImageSet:
    """The report's evidence: the packaged photographs, or for classes of one's own a folder's.

    Of many pictures some are drawn by `seed`, as many of each class as there are; they come in a
    random order, so that the first ones are a mixture.

    Raises
    ------
    ValueError
        Fewer than `FEWEST` pictures.
    """
    if is_imagenet(net) or not folder:
        return vz.load_images(size=net.input_size, classes=net.classes)
    found = vz.load_images(folder, size=net.input_size, classes=net.classes)
    if len(found) < FEWEST:
        raise ValueError(f"{len(found)} picture(s) in {folder}: the report halves its pictures and "
                         f"shows eight of a half, so give {FEWEST} or more, better forty.")
    order = np.random.default_rng(seed).permutation(len(found))
    turn = pd.Series(found.labels[order]).groupby(found.labels[order]).cumcount()
    order = order[np.argsort(turn, kind="stable")]  # one of each class, then a second of each ...
    most = int(np.clip(PIXELS / net.input_size**2, 3 * FEWEST, MOST))
    if len(found) > most:
        print(f"{most} of the {len(found)} pictures are drawn, as many of each class as there are.")
    return found.subset(order[:most])


def check_pictures(net, layer: str, filters, folder: str, *, seed: int = 0) -> None:
    """Refuse pictures that are too few, or on which none of the filters responds.

    Raises
    ------
    ValueError
        As `photographs`; a filter that does not fire at the strongest places of half B.
    """
    photos = photographs(net, folder, seed=seed)
    half_b = photos.subset(vz.split_halves(len(photos), seed=seed)[1])
    strongest = -np.sort(-vz.image_maxima(net, layer, half_b).values, axis=0)[:9].mean(0)
    if silent := [number for number in filters if strongest[number] <= 0]:
        lively = [str(i) for i in np.argsort(-strongest)[:5] if strongest[i] > 0]
        raise ValueError(
            f"filter {silent[0]} of {layer} does not fire on half of these pictures, so there is "
            f"no response to explain; those that fire most: {', '.join(lively) or 'none'}.")


def known(net: vz.Network, evidence: vz.ImageSet) -> vz.ImageSet:
    """Those of the pictures whose true class is one that the network names."""
    return evidence.subset(np.flatnonzero(evidence.labels >= 0) if can_name(net) else [])


def others(net, evidence, named, guesses, folder: str = "") -> tuple[vz.ImageSet, str]:
    """Up to twelve pictures more to be named, and what they are.

    A folder's for a network of ImageNet's classes; for one of other classes those of `named` that
    it names wrong, or if no true class is known, any.
    """
    if is_imagenet(net):
        return vz.load_images(folder, size=net.input_size, limit=12), "Your pictures."
    if not can_name(net) or not len(evidence):
        return evidence.subset([]), ""
    if not len(named):
        return evidence.subset(range(min(12, len(evidence)))), "What it calls pictures."
    wrong = [i for i, (guess, label) in enumerate(zip(guesses, named.labels, strict=True))
             if guess[0][1] != net.class_name(label)]
    return named.subset(wrong[:12]), "Pictures that it names wrong."


def truths(net: vz.Network, shown: vz.ImageSet) -> dict[str, list[str]]:
    """A table's column of true classes, if all pictures of a network of one's own have one."""
    if is_imagenet(net) or not len(shown) or (shown.labels < 0).any():
        return {}
    return {"true class": [net.class_name(i) for i in shown.labels]}


def unnamed(net: vz.Network):
    """The sentence in a table's place where no picture can be named right or wrong."""
    if not can_name(net):
        return vz.answer(f"{net.name} has no classifier, so it names nothing; this step is left "
                         "out, and the rest is about its features.")
    return vz.answer("No picture's class is known here, so this step is left out. Pictures in "
                     "folders named after the network's classes (PICTURES, CLASSES) would be "
                     "named right or wrong.")


def naming(net: vz.Network, named: vz.ImageSet, guesses, shown: pd.DataFrame) -> str:
    """How many pictures are named right, in the report's words.

    Parameters
    ----------
    named : ImageSet
        Pictures with a known class.
    guesses : list
        `vizutils.classify` of them, the first five.
    shown : DataFrame
        Further pictures, with a column "judgement" where there is one.
    """
    if not len(named):
        return "How many pictures the network names right was not asked."
    truth = [net.class_name(i) for i in named.labels]
    right = sum(g[0][1] == t for g, t in zip(guesses, truth, strict=True))
    among = sum(t in [x[1] for x in g] for g, t in zip(guesses, truth, strict=True))
    imagenets, count = is_imagenet(net), net.class_count
    noun = "ImageNet photographs" if imagenets else "pictures"
    text = f"{who(net)} names {right} of {len(truth)} {noun} right"
    text += (f"; the true class is among its first five guesses for {among} (guessing would get "
             f"{5 / count * len(truth):.1f}). " if count > 10 else
             f" (guessing would get {len(truth) / count:.1f}). ")
    if "judgement" in shown:
        found = shown.judgement.value_counts()
        text += (f"Of {len(shown)} pictures from outside it names {found.get('right', 0)} right, "
                 f"{found.get('reasonable', 0)} reasonably and {found.get('wrong', 0)} wrong. ")
    kind = "photographs of its own kind" if imagenets else "of these pictures"
    return text + (f"The network names most {kind} right, so its features are worth reading."
                   if right > len(truth) / 2 else
                   "The network names most of them wrong: its features may not be worth reading. "
                   + (better_scaling(net, named, right) or (
                       "" if imagenets else "Is the order of CLASSES that of its outputs?")))


def better_scaling(net: vz.Network, named: vz.ImageSet, right: int) -> str:
    """A sentence, if under another preprocessing the network named far more pictures right."""
    counts = {}
    for name in wrapping.PREPROCESSINGS:
        try:
            other = vz.as_network(net.model, preprocess=name, classes=net.classes, head=net.head)
        except ValueError:  # of three colours, and these are grey
            continue
        counts[name] = int((vz.logits(other, named).argmax(1) == named.labels).sum())
    best = max(counts, key=counts.get)
    if counts[best] < right + 0.2 * len(named):
        return ""
    return (f"With PREPROCESS={best} it would name {counts[best]} of {len(named)} right: it was "
            "probably trained on pictures so prepared.")


# --- a filter and its pictures --------------------------------------------------------------------


def class_tables(
    net: vz.Network, layer: str, filter: int, half_a: vz.ImageSet, *, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A filter's class table on half A, and its groups.

    From VGG16's stored responses where there are any (half A of the 1,000 photographs), else from
    the labelled pictures of `half_a`. Classes of one's own are tested as the groups, each picture
    by itself. Both tables are empty where no picture's class is known.
    """
    if net.responses is not None:
        table = vz.class_table(net, layer, filter)
        table = table[table["index"].isin(vz.split_halves(len(table), seed=seed)[0])]
        return table, vz.group_table(table, seed=seed)
    labelled = known(net, half_a)
    if not len(labelled):
        return pd.DataFrame(), pd.DataFrame()
    table = vz.class_table(net, layer, filter, labelled)
    if is_imagenet(net):
        return table, vz.group_table(table, seed=seed)
    each = vz.class_table(net, layer, filter, labelled, each=True)
    return table, vz.group_table(each, seed=seed)


def leading(table: pd.DataFrame, *, count: int = 10) -> pd.DataFrame:
    """The first rows of a class table for reading: label, group and the response."""
    if not len(table):
        return table
    several = table["pictures"].max() > 1
    value = "mean of the largest pre-activations" if several else "largest pre-activation"
    columns = ["label", value] if (table["label"] == table["group"]).all() else [
        "label", "group", value]
    shown = table.head(count).rename(columns={"mean": value})[columns]
    return shown.assign(**{value: rounded(shown[value], 10)})


def class_answer(net: vz.Network, table: pd.DataFrame, groups: pd.DataFrame) -> str:
    """Which class excites most, and which groups stand out, in the report's words."""
    if not len(table):
        return ("No picture of half A has a class that is known, so nothing is said about classes. "
                "Folders named after the network's classes (PICTURES, CLASSES) would give them.")
    clear = groups[groups.p_holm < 0.05]
    more, less = (", ".join(clear[side].group) or "none"
                  for side in (clear.difference > 0, clear.difference < 0))
    what = "coarse groups of classes" if net.classes is None else "classes"
    alone = "" if net.responses is not None else " These are few photographs."
    return (f"The most exciting class of half A is {table.iloc[0].label}. Of {len(groups)} {what}, "
            f"clearly above the others: {more}; clearly below: {less}."
            f"{'' if len(clear) else ' No kind of thing stands out.'}"
            f"{alone if is_imagenet(net) else ''}")


def reference(net: vz.Network, layer: str, evidence: vz.ImageSet) -> vz.Maxima | None:
    """What an ascent's pictures are held against: None for VGG16's stored responses."""
    return None if net.responses is not None else vz.image_maxima(net, layer, evidence)


def crowd(net: vz.Network, evidence: vz.ImageSet) -> str:
    """Of which pictures `reference` is, in words."""
    return "1,000 photographs" if net.responses is not None else f"the {len(evidence)} pictures"


def rounded(values, unit: float):
    """Values for a table: to whole multiples of `unit`, or if they are small to three digits.

    Parameters
    ----------
    values : array or Series of float
    unit : float
        10 or 100, as suits numbers in the thousands.

    Returns
    -------
    As given: whole numbers, or floats rounded to three digits of the largest one.
    """
    values = values.astype("float64")  # else a rounded 0.1 is written with nine digits
    largest = float(np.max(np.abs(np.asarray(values)), initial=0))
    if largest >= 10 * unit:
        return (values / unit).round().astype(int) * int(unit)
    digits = 2 - int(np.floor(np.log10(largest))) if largest > 0 else 0
    return values.round(digits) if digits > 0 else values.round(digits).astype(int)


def number(value: float) -> str:
    """A number in a sentence: whole with separators from 100 on, else with three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
