"""Every public function that takes pictures: a right answer, or one of the shared sentences.

`BATCHES`, `SINGLE` and `EITHER` are all such functions, as a call with a network and pictures;
`EXCEPTIONS` says why a function with a parameter of such a name is not among them. The first
test finds functions that are in neither.
"""

import dataclasses
import functools
import importlib
import inspect
import io
import pkgutil
import tempfile
import types
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import engine
import techniques
import vizutils as vz
from conftest import build_tiny_vgg
from engine import (
    ascent,
    atlas_store,
    checks,
    climb_checks,
    decoding,
    parameterisations,
    style,
    transforms,
)
from techniques import (
    abstraction,
    accentuation,
    adversarial,
    alterations,
    analysis,
    architectures,
    attribution,
    beside,
    circuits,
    claims,
    dashboard,
    deconvnet,
    deepdream,
    descriptions,
    edge_experiments,
    faithfulness,
    families,
    feature_maps,
    inhibition,
    inversion,
    layer_analysis,
    layer_pass,
    method_sheet,
    pathways,
    planted,
    polysemy,
    pruning,
    rebuilding,
    samples,
    silencing,
    stimuli,
    turning,
)
from techniques.attribution import passes, targets
from techniques.dashboard import views
from techniques.descriptions import figures, scores

SIDE = 64
LAYER, DEEP = "block2_conv2", "block3_conv1"
PIXELS = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype="uint8")
FIELD = 14  # what a unit of LAYER sees
QUIET = {"progress": False}


# ---------------------------------------------------------------------------------------------
# What is at hand


@pytest.fixture(scope="module")
def net():
    """The tiny VGG with a classifier of 1,000 classes."""
    trunk = build_tiny_vgg()
    pooled = keras.layers.GlobalAveragePooling2D()(trunk.output)
    dense = keras.layers.Dense(1000, name="logits")
    model = keras.Model(trunk.input, dense(pooled))
    dense.set_weights([np.random.default_rng(1).normal(0, 0.3, (8, 1000)), np.zeros(1000)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1, head="original")


@functools.cache
def residual():
    """A network whose last convolution reads a sum of two."""
    x = inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="second")(x)
    x = keras.layers.Conv2D(4, 1, name="reader")(keras.layers.Add(name="sum")([x, y]))
    return vz.as_network(keras.Model(inputs, x))


def places(net, layer=LAYER):
    return circuits.random_places(net, layer, vz.as_image_set(PIXELS), 6)


def taps(net):
    ranking = vz.rank_kernels(net, LAYER, 1, top=2)
    return ranking, vz.kernels(net, LAYER, 1)[:, :, ranking["channel"]]


def seen(net):
    """As much of an `Observed` as `analysis.examine` reads before it looks at pictures."""
    return types.SimpleNamespace(layer=LAYER, filter=1, net=net)


def by_hand():
    return claims.by_hand(f"{LAYER} filter 1, field {FIELD} px\n+1 dark disc; radius 3 px", [0])


def pass_over(net, x):
    """Of two filters; it begins from nothing each time."""
    with tempfile.TemporaryDirectory() as folder:
        return layer_pass.run(net, LAYER, x, filters=[0, 1], folder=folder, **QUIET).gives


def sample_places(count=5):
    """Places of LAYER that see no padding, in all four pictures."""
    return pd.DataFrame({"picture": np.arange(count) % 4, "row": 10, "column": 12})


def two_hop(net, picture, inputs, feeders):
    ranking, kernels = taps(net)
    return pathways.plot_two_hop(picture, inputs, ranking, kernels, [feeders, feeders],
                           [ranking, ranking], [kernels, kernels])


def maps():
    return np.random.default_rng(2).normal(size=(4, SIDE, SIDE))


def an_attribution():
    return attribution.Attribution("by hand", maps(), np.zeros(4, int), np.zeros(4), True)


def relatives():
    table = pd.DataFrame({"filter": [0], "transformation": ["mirrored"], "response": [0.5],
                          "kernel": [0.5], "member": [True]})
    return types.SimpleNamespace(filter=1, verdict="alone", table=table)


def climb(net, start, parameterisation):
    return vz.render(net, vz.channel(LAYER, [1, 1, 1, 1]), size=SIDE, steps=2, start=start,
                     parameterisation=parameterisation, **QUIET).images


# ---------------------------------------------------------------------------------------------
# The table: what takes several pictures, what takes one, what takes either

BATCHES = {
    vz.check_pictures: lambda net, x: vz.check_pictures(x),
    vz.picture_batches: lambda net, x: list(vz.picture_batches(x, 2)),
    vz.as_image_set: lambda net, x: vz.as_image_set(x).images,
    vz.ImageSet: lambda net, x: vz.ImageSet(tuple("abcd")[:len(x)], np.zeros(len(x)), SIDE,
                                            vz.check_pictures(x)).images,
    vz.classify: lambda net, x: [p for row in vz.classify(net, x) for *_, p in row],
    vz.logits: lambda net, x: vz.logits(net, x),
    vz.activations: lambda net, x: vz.activations(net, LAYER, x),
    vz.image_maxima: lambda net, x: vz.image_maxima(net, LAYER, x),
    vz.top_patches: lambda net, x: vz.top_patches(net, x, LAYER, 1),
    vz.patch_responses: lambda net, x: vz.patch_responses(net, LAYER, cut(x)),
    vz.lit_by: lambda net, x: vz.lit_by(net, LAYER, 1, x),
    vz.framed: lambda net, x: vz.framed(net, LAYER, cut(x)),
    vz.class_responses: lambda net, x: vz.class_responses(net, LAYER, x),
    vz.class_table: lambda net, x: vz.class_table(net, LAYER, 1, x),
    vz.picture_vectors: lambda net, x: vz.picture_vectors(net, LAYER, x),
    vz.thumbnail_table: lambda net, x: vz.thumbnail_table(
        x, pd.DataFrame({"number": range(len(x))})).html,
    adversarial.bounds: lambda net, x: adversarial.bounds(x, 2.0),
    adversarial.jpeg: lambda net, x: adversarial.jpeg(x),
    adversarial.blur: lambda net, x: adversarial.blur(x),
    alterations.alter: lambda net, x: alterations.alter(x, "blurred"),
    alterations.kept: lambda net, x: alterations.kept(net, LAYER, 1, x, level=np.zeros(6),
                                                      ways=("grey",), controls=2),
    analysis.observe: lambda net, x: analysis.observe(net, LAYER, 1, x, top=2, **QUIET),
    analysis.examine: lambda net, x: analysis.examine(net, seen(net), x, top=2, **QUIET),
    analysis.analyse: lambda net, x: analysis.analyse(net, LAYER, 1, x, top=2, **QUIET),
    analysis.share: lambda net, x: analysis.share(net, LAYER, x, **QUIET).maxima.values,
    architectures.compare: lambda net, x: architectures.compare([net], x),
    architectures.grams: lambda net, x: architectures.grams(net, [LAYER], x)[0],
    architectures.similarity: lambda net, x: architectures.similarity(
        net, net, x, [LAYER], [DEEP], draws=2),
    architectures.match_units: lambda net, x: architectures.match_units(
        net, LAYER, net, LAYER, x, draws=1),
    architectures.stream_shares: lambda net, x: architectures.stream_shares(
        residual(), "reader", x),
    analysis.analyse_layer: lambda net, x: analysis.analyse_layer(
        net, LAYER, x, filters=[1], parts=2, **QUIET).table,
    layer_pass.digest_of: lambda net, x: int(layer_pass.digest_of(x)[:8], 16),
    layer_pass.run: pass_over,
    layer_analysis.hypotheses: lambda net, x: [h.text for h in layer_analysis.hypotheses(
        net, LAYER, x, filters=[1], parts=2, **QUIET)],
    figures.plot_maps: lambda net, x: figures.plot_maps(net, by_hand().description, x, [0]),
    abstraction.changed: lambda net, x: abstraction.changed(net, x, at=(1,)),
    pruning.judged: lambda net, x: pruning.judged(net, {"same": net}, x)["same"]["lost"],
    samples.sample: lambda net, x: samples.sample(net, LAYER, x, each=5),
    samples.patches: lambda net, x: list(samples.patches(net, LAYER, x, sample_places())),
    claims.gather: lambda net, x: claims.gather(net, LAYER, x, each=8),
    claims.of_half_a: lambda net, x: claims.of_half_a(net, LAYER, x),
    claims.of_half_b: lambda net, x: claims.of_half_b(net, LAYER, x),
    claims.swap: lambda net, x: claims.swap(net, by_hand(), image_set=x).table,
    descriptions.Description.predict: lambda net, x: by_hand().description.predict(cut(x)),
    descriptions.Bank.of_places: lambda net, x: descriptions.bank(FIELD).of_places(
        net, LAYER, x, sample_places()),
    circuits.windows: lambda net, x: circuits.windows(net, LAYER, 1, x, places(net)),
    circuits.random_places: lambda net, x: circuits.random_places(net, LAYER, x, 5),
    circuits.spectrum_places: lambda net, x: circuits.spectrum_places(net, LAYER, 1, x),
    dashboard.join: lambda net, x: dashboard.join(x, {}).images,
    deconvnet.project: lambda net, x: deconvnet.project(net, LAYER, 1, x),
    faithfulness.sanity_check: lambda net, x: faithfulness.sanity_check(
        net, x, {"edges": faithfulness.edges}, [0] * 4, layers=["logits"]),
    faithfulness.deletion_insertion: lambda net, x: faithfulness.deletion_insertion(
        net, x, {"by hand": maps()}, [0] * 4, steps=2, random_maps=1),
    families.response_agreement: lambda net, x: families.response_agreement(net, LAYER, x),
    feature_maps.averaging: lambda net, x: feature_maps.averaging(net, LAYER, x),
    feature_maps.each_layer: lambda net, x: feature_maps.each_layer(net, [LAYER, DEEP], x, np.sum),
    feature_maps.plot_across: lambda net, x: feature_maps.plot_across(net, LAYER, x, [1, 2]),
    feature_maps.silent: lambda net, x: feature_maps.silent(net, LAYER, x),
    feature_maps.sampled_maps: lambda net, x: feature_maps.sampled_maps(net, [LAYER], x),
    feature_maps.mosaic: lambda net, x: feature_maps.mosaic(x),
    feature_maps.shrunk: lambda net, x: feature_maps.shrunk(x, 2),
    vz.stretched: lambda net, x: vz.stretched(x),
    inhibition.released: lambda net, x: inhibition.released(net, LAYER, 1, x, draws=2),
    inhibition.released_stimuli: lambda net, x: inhibition.released_stimuli(
        net, LAYER, 1, x, list("abcd"), draws=2),
    pathways.linear_prediction: lambda net, x: pathways.linear_prediction(
        net, DEEP, 1, pathways.expanded_weights(net, DEEP, 1, down_to=LAYER), x,
        places(net, DEEP), draws=2),
    polysemy.causes: lambda net, x: polysemy.causes(net, LAYER, 1, x, draws=2),
    "polysemy.causes, diverse": lambda net, x: polysemy.causes(
        net, LAYER, 1, vz.as_image_set(PIXELS), diverse=x, draws=2),
    silencing.class_effect: lambda net, x: silencing.class_effect(net, LAYER, 1, x, controls=2),
    stimuli.tuning: lambda net, x: stimuli.tuning(
        net, "block1_conv2", 1, image_set=x, angles=12, colours=False, **QUIET).mean,
    stimuli.on_pictures: lambda net, x: stimuli.on_pictures(net, LAYER, x, **QUIET),
    turning.turn: lambda net, x: turning.turn(net, LAYER, 1, x, level=np.zeros(6), step=90,
                                              controls=2).answers,
}
SINGLE = {
    vz.check_each: lambda net, x: vz.check_each([x, x]),
    vz.plot_images: lambda net, x: vz.plot_images([x, x]),
    vz.held_to: lambda net, x: vz.maximize(
        net, LAYER, 1, objective=vz.held_to(net, LAYER, x), size=SIDE, steps=1, **QUIET).images,
    abstraction.recovered: lambda net, x: abstraction.recovered(x, PIXELS[0]),
    "recovered, image": lambda net, x: abstraction.recovered(PIXELS[0], x),
    vz.plot_input: lambda net, x: vz.plot_input(PIXELS[0], x, net),
    "plot_input, original": lambda net, x: vz.plot_input(x, PIXELS[0], net),
    vz.plot_circuit: lambda net, x: vz.plot_circuit(PIXELS[:2], *taps(net), x),
    "plot_circuit, upstream": lambda net, x: vz.plot_circuit([x, x], *taps(net), PIXELS[0]),
    pathways.plot_two_hop: lambda net, x: two_hop(net, x, PIXELS[:2], PIXELS[:2]),
    "plot_two_hop, inputs": lambda net, x: two_hop(net, PIXELS[0], [x, x], PIXELS[:2]),
    "plot_two_hop, feeders": lambda net, x: two_hop(net, PIXELS[0], PIXELS[:2], [x, x]),
    architectures.plot_partners: lambda net, x: architectures.plot_partners({"a": ([x], ["b"])}),
    beside.plot_ways: lambda net, x: beside.plot_ways({"a": {"b": np.eye(4)}}, x),
    attribution.plot_attribution: lambda net, x: attribution.plot_attribution(x, an_attribution()),
    attribution.plot_comparison: lambda net, x: attribution.plot_comparison(
        [x] * 4, [an_attribution()]),
    "plot_comparison, beside": lambda net, x: attribution.plot_comparison(
        PIXELS, [an_attribution()], beside={"dream": [x] * 4}),
    "dashboard.join, own": lambda net, x: dashboard.join(vz.as_image_set(PIXELS), {"a": x}).images,
    dashboard.resized: lambda net, x: dashboard.resized(x, 32),
    dashboard.plot_activation: lambda net, x: dashboard.plot_activation(x, maps()[0], title="t"),
    accentuation.accentuate: lambda net, x: accentuation.accentuate(
        net, LAYER, 1, x, steps=1, **QUIET).images,
    deepdream.dream: lambda net, x: deepdream.dream(net, x, LAYER, octaves=2, steps=1, **QUIET),
    families.plot_relatives: lambda net, x: families.plot_relatives(relatives(), x, [PIXELS[0]]),
    "plot_relatives, pictures": lambda net, x: families.plot_relatives(
        relatives(), PIXELS[0], [x]),
    feature_maps.plot_through: lambda net, x: feature_maps.plot_through(net, x, [LAYER, DEEP]),
    feature_maps.plot_maps: lambda net, x: feature_maps.plot_maps(net, LAYER, x, count=2),
    figures.maps: lambda net, x: figures.maps(net, by_hand().description, x),
    inversion.likeness: lambda net, x: inversion.likeness(PIXELS[1], x),
    inversion.blurred: lambda net, x: inversion.blurred(x, 0.5),
}
EITHER = {
    vz.one_or_more: lambda net, x: vz.one_or_more(x),
    vz.load_images: lambda net, x: vz.load_images(x, size=SIDE).images,
    vz.render: lambda net, x: climb(net, x, vz.Fourier()),
    vz.Pixels: lambda net, x: climb(net, x, vz.Pixels()),
    inversion.Standardised: lambda net, x: climb(net, x, inversion.Standardised()),
    vz.distance_to: lambda net, x: vz.distance_to(x).values[0],
    adversarial.look: lambda net, x: adversarial.look(net, x),
    adversarial.fgsm: lambda net, x: adversarial.fgsm(net, x, epsilon=2.0).images,
    adversarial.pgd: lambda net, x: adversarial.pgd(net, x, epsilon=2.0, steps=1).images,
    adversarial.sign_noise: lambda net, x: adversarial.sign_noise(net, x, epsilon=2.0).images,
    adversarial.sweep: lambda net, x: adversarial.sweep(net, x, [2.0]),
    attribution.resolve_targets: lambda net, x: attribution.resolve_targets(net, x),
    attribution.saliency: lambda net, x: attribution.saliency(net, x),
    attribution.smooth_grad: lambda net, x: attribution.smooth_grad(net, x, samples=2),
    attribution.gradient_times_input: lambda net, x: attribution.gradient_times_input(net, x),
    attribution.integrated_gradients: lambda net, x: attribution.integrated_gradients(
        net, x, steps=4, tolerance=10),
    attribution.grad_cam: lambda net, x: attribution.grad_cam(net, x),
    attribution.coarse_cam: lambda net, x: attribution.coarse_cam(net, x),
    attribution.guided_grad_cam: lambda net, x: attribution.guided_grad_cam(net, x),
    attribution.occlusion: lambda net, x: attribution.occlusion(net, x),
    attribution.lime: lambda net, x: attribution.lime(
        net, x, samples=8, segments=np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // (SIDE * 16)),
    faithfulness.edges: lambda net, x: faithfulness.edges(net, x, 0),
    feature_maps.posterised: lambda net, x: feature_maps.posterised(x),
    inversion.invert: lambda net, x: inversion.invert(net, LAYER, x, steps=1, **QUIET).images,
    inversion.invert_depths: lambda net, x: [found.images for found in inversion.invert_depths(
        net, x, at=[2], steps=1, **QUIET).values()],
    inversion.caricature: lambda net, x: inversion.caricature(
        net, LAYER, x, steps=1, **QUIET).images,
}
STARTS = {EITHER[form] for form in (vz.render, vz.Pixels, inversion.Standardised)}
EXCEPTIONS = {
    vz.made: "marks what this program made, which is taken as it is",
    vz.read_image: "takes a file",
    ascent.noted: "hands pictures on as they are, to plot functions, which check",
    climb_checks.as_start: "hands starts on to the parameterisation's `write`, which checks",
    checks.what_is_wrong: "is the check: takes one picture in any shape, and its extremes",
    atlas_store.contact_sheet: "lays out what an ascent drew",
    decoding.centre_crop: "takes a PIL picture that is being read",
    decoding.read_bytes: "takes the bytes of a file, and decodes them",
    decoding.to_rgb: "takes a PIL picture that is being read",
    style.show_picture: "draws what a plot function was given, and its perturbations",
    parameterisations.standardised: "runs within a climb, on the picture as it grows",
    transforms.warp: "runs within a climb, on the picture as it grows",
    vz.maximize: "hands `start` on to render",
    adversarial.plot_adversaries: "pictures: numbers of rows",
    adversarial.plot_attributions: "picture: the number of a row",
    passes.all_logits: "after `asked`",
    passes.in_batches: "after `asked`",
    passes.target_logits: "after `asked`",
    targets.asked: "begins each of attribution's methods, which are in the table",
    analysis.upstream_signs: "upstream: an Ascent",
    scores.correlations_and_samples: "pictures: the number of each place's picture",
    scores.resampled: "pictures: how many there are",
    scores.score_table: "pictures: the number of each place's picture",
    edge_experiments.contributions: "inputs: what a layer reads",
    rebuilding.bootstrapped: "pictures: the number of each place's picture",
    layer_analysis.halves: "counts the pictures of a set",
    rebuilding.answers: "inputs: what a layer reads",
    dashboard.encoded: "a frame of what this program draws; may be one pixel beyond",
    dashboard.read_uploads: "crop: a share of a picture's side",
    views.names_of: "reads the names of a set's pictures",
    method_sheet.save: "pictures: what ascents drew",
    dashboard.image_tag: "picture: a PNG's bytes",
    faithfulness.plot_cascade: "picture: the number of a row",
    faithfulness.plot_curves: "picture: the number of a row",
    planted.all_mechanisms: "hands image_set on to the mechanisms",
    planted.turned: "hands image_set on to on_pictures and image_maxima",
    planted.grey: "hands image_set on to image_maxima",
    planted.dead_channel: "hands image_set on to image_maxima",
    planted.no_use: "hands image_set on to image_maxima",
    planted.unlike_pairs: "hands image_set on to image_maxima",
    stimuli.shown_junctions: "hands image_set on to on_pictures",
    turning.behind_window: "patches that `turn` has cut",
    turning.plot_turning: "pictures: numbers of rows",
    inversion.plot_depths: "picture: the number of a row",
    inversion.plot_losses: "picture: the number of a row",
    inversion.plot_trajectories: "picture: the number of a row",
}
TELLING = {"images", "image", "picture", "pictures", "patches", "patches_or_images", "image_set",
           "original", "crop", "diverse", "stimuli", "own", "upstream", "inputs", "feeders",
           "start", "photo", "photos", "photograph", "photographs", "beside", "folder_or_images"}
#: Seconds each, and every part of theirs is here by itself.
LONG = {analysis.observe, analysis.examine, analysis.analyse, analysis.analyse_layer,
        analysis.share, layer_analysis.hypotheses, layer_pass.run}

ENTRIES = [(form, function, call) for form, table in
           (("batch", BATCHES), ("one", SINGLE), ("either", EITHER))
           for function, call in table.items()]


def name_of(value):
    return value if isinstance(value, str) else getattr(value, "__name__", "")


def cut(x):
    """Patches of one receptive field from pictures, whatever their shape is."""
    x = np.asarray(x)
    return x[:, :FIELD, :FIELD] if x.ndim == 4 else x


def modules():
    yield vz
    for package in (engine, techniques):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def test_every_function_that_takes_pictures_is_in_the_table():
    known = {function for _, function, _ in ENTRIES} | set(EXCEPTIONS)
    missing = []
    for module in modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and TELLING & set(inspect.signature(function).parameters):
                if function not in known:
                    missing.append(f"{module.__name__}.{name}")
    assert not missing
    assert claims and not set(EXCEPTIONS) & {function for _, function, _ in ENTRIES}


# ---------------------------------------------------------------------------------------------
# What is no picture


SENTENCES = {
    "NaN": r"picture \d holds values that are not finite",
    "infinity": r"picture \d holds values that are not finite",
    "scaled to 0-1": r"picture \d is scaled to 0-1",
    "preprocessed": r"picture \d holds values from .* undo the preprocessing",
    "16 bits": r"picture \d holds values up to",
    "grey": "pictures have shape .* make grey pictures RGB",
    "wrong rank": "pictures have shape .*, not ",
    "empty": "no picture given",
}


def spoilt(how, form):
    """Four pictures (or one) with a fault."""
    x = PIXELS.astype("float32")
    x = x[0] if form == "one" else x
    spots = (..., 3, 5, 1) if form == "one" else (0, 3, 5, 1)
    if how in ("NaN", "infinity"):
        x[spots] = np.nan if how == "NaN" else np.inf
        return x
    return {"scaled to 0-1": x / 255, "preprocessed": x / 127.5 - 1, "16 bits": x * 257,
            "grey": x[..., :1], "wrong rank": x[0] if form == "batch" else x[None],
            "empty": x[:0]}[how] if (how, form) != ("wrong rank", "either") else x[None]


@pytest.mark.parametrize(("form", "function", "call"), ENTRIES, ids=name_of)
def test_what_is_no_picture_is_refused_in_the_same_words(net, form, function, call):
    for how, sentence in SENTENCES.items():
        if call in STARTS and how in ("grey", "wrong rank", "empty"):
            sentence = "start has shape"  # it must also fit the canvas
        with pytest.raises(ValueError, match=sentence):
            call(net, spoilt(how, form))


def numbers_in(found):
    """All arrays and numbers in whatever a function returned, in order."""
    if dataclasses.is_dataclass(found):
        found = [getattr(found, f.name) for f in dataclasses.fields(found)]
    if isinstance(found, Figure):
        drawn = io.BytesIO()
        found.savefig(drawn, format="rgba", dpi=40)
        return [np.frombuffer(drawn.getvalue(), "uint8")]
    if isinstance(found, pd.DataFrame):
        found = [found[column].to_numpy() for column in found]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        return [part for one in found for part in numbers_in(one)]
    if isinstance(found, (np.ndarray, int, float, np.generic, pd.Series)):
        array = np.asarray(found)
        return [array] if array.dtype.kind in "fiub" else []
    return [np.frombuffer(found.encode(), "uint8")] if isinstance(found, str) else []


@pytest.mark.parametrize(("form", "function", "call"),
                         [entry for entry in ENTRIES if entry[1] not in LONG], ids=name_of)
def test_whole_numbers_are_the_same_pictures(net, form, function, call):
    def outcome(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # canvases and maps that these small pictures are for
            try:
                return numbers_in(call(net, x))
            except ValueError as problem:  # no labels, say: the same for both
                return [str(problem)]

    x = PIXELS[0] if form == "one" else PIXELS
    whole, broken = outcome(x), outcome(x.astype("float64"))
    assert len(whole) == len(broken) > 0
    for one, other in zip(whole, broken, strict=True):
        np.testing.assert_array_equal(one, other)
    refused = {vz.class_table: "class label", architectures.compare: "labelled"}
    if isinstance(whole[0], str) or function in refused:
        assert function in refused and refused[function] in whole[0]
