"""Put deliberate faults into a copy of the modules and see the tests find each one.

    python tools/mutants.py [NAME ...] [--jobs 2]

Each fault is a slip that public labs and libraries have made, or that would change a number of
the report without a sound. The tests of the module concerned must fail with it, and pass
without it. The table that is printed names the first test that failed: the fault's killer. Tests
that could not be run (an error in a fixture or an import, no end in time) have found nothing.
"""

import argparse
import concurrent.futures
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 3600  # seconds that the tests of one fault may take
NOT_RUN = "COULD NOT RUN"
# No cache is left behind, and no plugin is loaded: to import them takes a second or more.
BARE = ["-p", "no:cacheprovider"]
LEFT_OUT = {".git", ".venv", "build", "cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Fault:
    """A slip: `old` stands once in `file`, `new` takes its place, `tests` should fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str

    def put_into(self, text: str) -> str:
        """The file's text with the fault in it.

        Raises
        ------
        ValueError
            If `old` does not stand there exactly once: the list is out of date.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"the fault {self.name!r} is out of date: {self.old!r} stands "
                             f"{text.count(self.old)} times in {self.file}, not once.")
        return text.replace(self.old, self.new)


FAULTS = tuple(Fault(*given) for given in [
    # --- networks, pictures, units --------------------------------------------------------------
    ("red and blue swapped", "engine/wrapping.py", "return images[..., ::-1] - tf.constant",
     "return images - tf.constant", "test_images"),
    ("mean colour not subtracted", "engine/wrapping.py", "tf.constant([103.939, 116.779, 123.68]",
     "tf.constant([0.0, 0.0, 0.0]", "test_images"),
    ("crop not central", "engine/decoding.py", "(new[0] - size) // 2, (new[1] - size) // 2",
     "(new[0] - size) // 3, (new[1] - size) // 2", "test_images"),
    ("TF32 left on", "engine/network.py",
     "    tf.config.experimental.enable_tensor_float_32_execution(False)\n", "", "test_networks"),
    ("a trailing number is a class", "engine/class_names.py",
     "                return _BY_WNID[text[:9]]\n        return -1",
     "                return _BY_WNID[text[:9]]\n        tail = path.stem.rpartition(\"_\")[2]\n"
     "        return int(tail) if tail.isdecimal() and int(tail) < 1000 else -1", "test_pictures"),
    ("labels slip when a picture is damaged", "engine/loading.py", "else [labels[i] for i in good]",
     "else labels[: len(good)]", "test_pictures"),
    ("hidden files are pictures", "engine/loading.py", 'part[0] == "." or part == "__MACOSX"',
     'part == "__MACOSX"', "test_pictures"),
    ("kinds that are not read vanish", "engine/loading.py", "elif remedy := _remedy(file, ending):",
     "elif remedy := None:", "test_pictures"),
    ("pictures judged by the batch", "engine/images.py",
     "low, high = array.min((1, 2, 3)), array.max((1, 2, 3))",
     "low, high = (np.full(len(array), f(array)) for f in (np.min, np.max))", "test_pictures"),
    ("NaN passes for a picture", "engine/checks.py", "if not np.isfinite([low, high]).all():",
     "if np.isinf([low, high]).any():", "test_pictures"),
    ("a black picture is called scaled", "engine/checks.py",
     "if beyond or np.abs(picture - np.rint(picture)).max() > ROUNDING:", "if high <= 1:",
     "test_pictures"),
    ("image sets of arrays are taken on trust", "engine/images.py",
     "array = check_pictures(self.sources)", 'array = np.asarray(self.sources, "float32")',
     "test_pictures"),
    ("a scaled picture that overshoots passes", "engine/checks.py", "SCALED_BELOW = 2.0",
     "SCALED_BELOW = 1.0", "test_pictures"),
    ("a set of pictures changes with the caller's array", "engine/images.py",
     "return array.copy() if shared and", "return array if shared and", "test_pictures"),
    ("a dark picture of 16 bits is one of 8", "engine/decoding.py", "white = _white(picture)  #",
     "white = _white(picture) if np.max(picture) > 255 else 255  #", "test_images"),
    ("floats in a file are not judged", "engine/decoding.py", "        if problem:\n",
     "        if not np.isfinite(values).all():\n", "test_images"),
    ("a Series of file names is paired by place", "engine/loading.py",
     "if isinstance(labels, pd.Series) and len(labels) and all(",
     "if isinstance(labels, pd.Series) and not len(labels) and all(", "test_pictures"),
    ("folders named 0 and 1 are tench and goldfish", "engine/loading.py",
     're.fullmatch(r"[-+]?\\d+", name.strip())', "not name.strip()", "test_pictures"),
    ("an upload's name says no class", "engine/loading.py",
     "label=f.label if label < 0 else label)", "label=f.label)", "test_pictures"),
    ("accents are compared as they are spelt", "engine/loading.py",
     'return unicodedata.normalize("NFC", name)', "return name", "test_pictures"),
    ("videos in a folder vanish", "engine/file_kinds.py",
     ".mov .mp4 .mpeg .mpg .mts .webm .wmv", ".mpeg .mpg .mts .webm .wmv", "test_pictures"),
    ("half a picture is a limit", "engine/checks.py",
     "not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least",
     "value < least", "test_pictures"),
    ("a figure draws what is no picture", "techniques/families.py",
     "own, *pictures = vz.check_each([own, *pictures])", "pass", "test_picture_entries"),
    ("receptive field one too small", "engine/graph.py", "return top, left, top + self.size,",
     "return top, left, top + self.size - 1,", "test_units"),
    ("padded positions count as unpadded", "engine/graph.py",
     "(tops >= 0) & (tops + self.size <= self.input_size)",
     "(tops >= -self.stride) & (tops + self.size <= self.input_size)", "test_units"),
    ("the unit beside the strongest is cut out", "vizutils.py",
     "return Maxima(np.concatenate(values), rows + inside.start,",
     "return Maxima(np.concatenate(values), rows,", "test_units"),
    ("a list of filters is taken for its first", "engine/network.py",
     "if len(found) > 1:", "if False:", "test_hostile_calls"),
    ("probabilities taken for logits", "vizutils.py",
     "net.forward(net.logits_layer, pre_activation=True)",
     "net.forward(net.logits_layer, pre_activation=False)", "test_hostile_calls"),
    ("joined along rows, called a position", "engine/kinds.py",
     "return all(one in (-1, last) for one in axes)", "return True", "test_hostile_calls"),
    ("another layer's maxima are believed", "engine/maxima.py",
     "if self.layer not in (None, layer):", "if False:", "test_hostile_calls"),
    ("the maxima's pictures keep their names", "engine/maxima.py",
     "tuple(self.names[i] for i in indices)", "self.names", "test_hostile_calls"),
    ("a picture agrees with its own copy", "vizutils.py",
     "& (seeds[:, None] != seeds)", "& ~np.eye(len(seeds), dtype=bool)", "test_hostile_calls"),
    ("historical recipes start from noise that hides them", "vizutils.py",
     '"parameterisation": Pixels(0.25 / 12**0.5)', '"parameterisation": Pixels()', "test_ascent"),
    ("a faint picture is shown as it is", "vizutils.py",
     "stretched(ascent.images) if recipe in STRETCHED else ascent.images", "ascent.images",
     "test_ascent"),
    ("a preset's objective beats the caller's", "vizutils.py",
     "objective = its_own if objective is None else objective", "objective = its_own",
     "test_hostile_calls"),
    ("an objective's channels are not checked", "engine/climb_checks.py",
     "            net.check_filters(layer, chosen)", "            pass", "test_hostile_calls"),
    ("a dilated convolution is cut", "engine/reading.py",
     'return layer.padding != "same" or set(layer.dilation_rate) == {1}', "return True",
     "test_hostile_calls"),
    ("a model's one size is not kept to", "engine/graph.py",
     "    if net.fixed_size or layer == LOGITS:", "    if layer == LOGITS:",
     "test_hostile_calls"),
    ("a rate is blamed for weights that are NaN", "engine/render.py",
     "sound = all(np.isfinite(w).all() for w in net.model.get_weights())", "sound = True",
     "test_hostile_calls"),
    ("another filter's ranking is drawn", "vizutils.py",
     "if whose not in ((None, None), (layer, net.check_filter(layer, filter))):", "if False:",
     "test_hostile_calls"),
    ("probabilities without softmax", "vizutils.py",
     "(tf.nn.sigmoid if apart else tf.nn.softmax)(logits(net, images)).numpy()",
     "logits(net, images)", "test_images"),
    # --- what a network keeps, Keras's settings -------------------------------------------------
    ("what a cell defines is kept", "engine/keys.py",
     'return bool(imported and not nested and not hasattr(function, "__wrapped__"))',
     "return True", "test_ascent"),
    ("a formula is known by the name it was given", "engine/keys.py",
     'not nested and not hasattr(function, "__wrapped__")',
     '"<locals>" not in function.__qualname__', "test_hostile_calls"),
    ("a new activation function is not noticed", "engine/network.py",
     "or not are_same(settings, self._built[\"settings\"]):", "or False:", "test_hostile_calls"),
    ("the user's model is built upon", "engine/network.py",
     "graph=keras.models.clone_model(\n                    self.model, clone_function=twin))",
     "graph=self.model)",
     "test_kept"),
    ("nothing kept is ever let go", "engine/network.py", "while len(self._kept) > MOST_KEPT:",
     "while False:", "test_kept"),
    ("stored responses for any weights", "vizutils.py",
     "return all(weights.tensor_digest(*net.layer(name).get_weights()) == pinned[name]",
     "return all(True", "test_kept"),
    ("Keras's policy decides the precision", "engine/wrapping.py",
     '    keras.config.set_dtype_policy("float32")\n', "", "test_kept"),
    ("Keras's channel order reaches the preprocessing", "engine/wrapping.py",
     "prepared = _in_plain_keras(preprocess) if preprocess", "prepared = preprocess if preprocess",
     "test_kept"),
    ("AutoGraph reads sources while tracing", "engine/network.py", "autograph=False,",
     "autograph=True,",
     "test_kept"),
    # --- downloads, recipes ---------------------------------------------------------------------
    ("a drip of bytes passes for a download", "data/fetch.py",
     "if self.arrived < LEAST_RATE * RATE_SECONDS:", "if self.arrived < 0:", "test_fetch_faults"),
    ("everybody's connections are hurried", "data/fetch.py",
     "self.paced = threading.get_ident() in _pacing", "self.paced = True", "test_fetch_faults"),
    ("a silent server is waited for", "data/fetch.py", "timeout=(CONNECT_SECONDS, READ_SECONDS))",
     "timeout=(CONNECT_SECONDS, 10 * READ_SECONDS))", "test_fetch_faults"),
    ("pip's answer read in the machine's encoding", "data/fetch.py",
     'encoding="utf-8", errors="replace")', 'errors="replace")', "test_portable"),
    ("names inside a comprehension forgotten", "engine/recipes.py",
     "stored, used = stored - bound, (used - bound) | _names(node.generators[0].iter)[1]",
     "stored, used = stored - bound, _names(node.generators[0].iter)[1]", "test_recipes"),
    ("a default computed outside a function forgotten", "engine/recipes.py",
     "used = (used - (stored - elsewhere)) | _names(before)[1]",
     "used = used - (stored - elsewhere)", "test_recipes"),
    # --- gradient ascent ------------------------------------------------------------------------
    ("one filter, many seeds: only one climbs", "engine/render.py",
     "values = tuple(np.repeat(v, count, axis=0) if", "values = tuple(v if", "test_ascent"),
    ("counts that disagree are not told", "engine/render.py",
     "if 0 in several or len(several) > 1:", "if False:", "test_ascent"),
    ("a picture that blew up is shown", "engine/render.py",
     "if (state.alive & ~state.sound).numpy().any():", "if False:", "test_ascent"),
    ("an interrupt is swallowed", "engine/render.py",
     'raise Interrupted(f"{done} of {steps} steps", found) from interrupt', "return found",
     "test_ascent"),
    ("printed values of other steps", "vizutils.py", "snapshots=told,", "snapshots=(),",
     "test_ascent"),
    ("maxima of other pictures are believed", "engine/maxima.py",
     "if self.values.shape != (wanted := (len(image_set), count)):", "if False:",
     "test_what_happens"),
    ("filter index ignored", "engine/reading.py",
     "kernel = tf.gather(x.kernel.value, values[r.chosen], axis=3)",
     "kernel = tf.gather(x.kernel.value, 0 * values[r.chosen], axis=3)", "test_ascent"),
    ("ascent goes downhill", "engine/render.py", "moved(state.numbers + change, state.last)",
     "moved(state.numbers - change, state.last)", "test_ascent"),
    ("one step instead of all", "engine/render.py",
     "lambda i, told, state: i < tf.shape(warps)[0]",
     "lambda i, told, state: i < tf.minimum(1, tf.shape(warps)[0])", "test_ascent"),
    ("the ReLU left in the objective", "engine/reading.py",
     "found = found if r.pre_activation else x.activation(found)", "found = x.activation(found)",
     "test_ascent"),
    ("the optimiser remembers nothing", "engine/render.py",
     "tf.nest.map_structure(moved, memory, state.memory)", "state.memory", "test_protocols"),
    ("the picture is read through the transforms", "engine/render.py",
     "goal.formula(read(seen, picture, values), values)",
     "goal.formula(read(seen, seen, values), values)", "test_objectives"),
    ("a climb's last value is clipped", "engine/render.py",
     "last = goal_value(picture, None, values)", "last = goal_value(clean, None, values)",
     "test_objectives"),
    ("a term reads another term's filters", "engine/objectives.py", "reading.chosen + by",
     "reading.chosen", "test_ascent"),
    ("total variation of rows only", "engine/picture_objectives.py", "squares = down**2 + right**2",
     "squares = down**2 + down**2", "test_objectives"),
    ("a flat picture has no slope", "engine/picture_objectives.py", "    if power < 2:",
     "    if False:",
     "test_objectives"),
    ("a norm of signed pixels", "engine/picture_objectives.py", "tf.abs(x) ** power", "x ** power",
     "test_objectives"),
    ("the norm is counted from black", "engine/parameterisations.py",
     "return (images / 255 - MEAN) / SPREAD", "return images / 255 / SPREAD", "test_objectives"),
    ("all come near the first one's picture", "engine/picture_objectives.py",
     "tf.reduce_mean((maps[0] - values[0]) ** 2, (1, 2, 3))",
     "tf.reduce_mean((maps[0] - values[0][:1]) ** 2, (1, 2, 3))", "test_objectives"),
    ("a distance of maps that is no share", "engine/objectives.py",
     " / tf.reduce_sum(target**2, axes)", "", "test_objectives"),
    ("a target's border is not compared", "engine/reading.py",
     "measured = unpadded and not reading.padded", "measured = unpadded", "test_objectives"),
    ("colour matrix transposed", "engine/parameterisations.py",
     'colours = tf.einsum("nkhw,ck->nhwc"', 'colours = tf.einsum("nkhw,kc->nhwc"', "test_ascent"),
    ("colour matrix transposed, natural", "engine/parameterisations.py",
     'return tf.einsum("nkhw,ck->nhwc"', 'return tf.einsum("nkhw,kc->nhwc"', "test_protocols"),
    ("frequencies that disagree with themselves", "engine/parameterisations.py",
     "return phases - tf.roll(tf.reverse(phases, [-2]), 1, -2)", "return phases", "test_protocols"),
    ("magnitudes of another size", "engine/parameterisations.py",
     "tf.constant(size * self.magnitude(size)", "tf.constant(224 * self.magnitude(size)",
     "test_protocols"),
    ("importance of the last step alone", "engine/render.py",
     "pull = state.pull + tf.reduce_sum", "pull = tf.reduce_sum", "test_ascent"),
    ("another recipe than the chosen one", "techniques/dashboard/panels.py",
     "preset=view.preset,", "preset=None,", "test_dashboard"),
    ("pictures of the opposite speak for the unit", "benchmarks/choice_scores.py",
     "return to_positive - to_negative", "return to_positive + to_negative", "test_benchmarks"),
    ("what any picture tells counts as the unit's", "benchmarks/choice_scores.py",
     '"told": 0.5 + mine - others', '"told": mine', "test_benchmarks"),
    ("a unit is among the others", "benchmarks/choice_scores.py",
     "mine = share.pop(unit)", "mine = share[unit]", "test_benchmarks"),
    ("pairs differ in contrast as they come", "benchmarks/choice_scores.py",
     "(far <= CALIPER) & (np.sign(apart) == signs).all(2)", "(far <= CALIPER)",
     "test_benchmarks"),
    ("a picture below the photographs passes for a strong one", "engine/ascent.py",
     "known and percentile < WEAK", "known and percentile < 0", "test_weak"),
    ("a circuit sheet keeps silent on its weak inputs", "vizutils.py",
     "upstream, words = upstream.images, titled(words, upstream.notes)",
     "upstream = upstream.images", "test_weak"),
    ("what the climb pulled at fades", "engine/ascent.py",
     "(opacity * self.images + (1 - opacity) * background)",
     "((1 - opacity) * self.images + opacity * background)", "test_ascent"),
    ("accentuation by name forgets the photograph", "vizutils.py",
     "* (1 / spread[filters]) - near", "* (1 / spread[filters])", "test_accentuation"),
    ("seed ignored", "vizutils.py", "seed=[(s, f) for f, s in some]",
     "seed=[(0, f) for f, s in some]", "test_ascent"),
    ("measured on the picture before clipping", "engine/render.py",
     "clean = tf.clip_by_value(picture, 0, 255)",
     "clean = picture", "test_ascent"),
    ("an atlas of other weights is taken for this one's", "vizutils.py",
     '"weights": weights.tensor_digest(*submodel(net, layer).get_weights()),',
     '"weights": "",', "test_atlas"),
    # --- kernels --------------------------------------------------------------------------------
    ("ranked by L1", "vizutils.py", "l2 = np.sqrt((taps.astype(\"float64\") ** 2).sum(0))",
     "l2 = mass", "test_kernels"),
    ("weakest kernel first", "vizutils.py",
     'table.sort_values("l2", ascending=False, kind="stable", ignore_index=True)\n\n\ndef rank',
     'table.sort_values("l2", ascending=True, kind="stable", ignore_index=True)\n\n\ndef rank',
     "test_kernels"),
    ("sign turned", "vizutils.py", "np.divide(taps.sum(0), mass,", "np.divide(-taps.sum(0), mass,",
     "test_kernels"),
    ("input and output channels exchanged", "vizutils.py",
     "own = conv.kernel.numpy()[:, :, :, filter]", "own = conv.kernel.numpy()[:, :, filter, :]",
     "test_kernels"),
    ("a normalisation's sign forgotten", "vizutils.py",
     "return placed * norm_scale_shift(net, layer)[0][filter] if fold else placed",
     "return placed * abs(_normalisation(net, layer)[0][filter]) if fold else placed",
     "test_kernels"),
    ("Holm's rule without its factor", "vizutils.py", "p[order] * np.arange(len(p), 0, -1)",
     "p[order]", "test_units"),
    # --- circuits and claims --------------------------------------------------------------------
    ("bias forgotten", "techniques/circuits.py",
     "return found.bias + terms[:, ~gone].sum(1) + level",
     "return terms[:, ~gone].sum(1) + level", "test_circuits"),
    ("keep only means cut", "techniques/circuits.py", "gone ^= keep_only", "gone ^= False",
     "test_circuits"),
    ("contributions by absolute weight", "techniques/circuits.py",
     'np.einsum("nrck,rck->nk", found.inputs.astype("float64"), found.taps)',
     'np.einsum("nrck,rck->nk", found.inputs.astype("float64"), np.abs(found.taps))',
     "test_circuits"),
    ("silencing keeps the bias", "engine/units.py", "biases[0][filter] = bias if",
     "biases[0][filter] += bias if", "test_circuits"),
    # --- networks of users ----------------------------------------------------------------------
    ("a norm is forgotten by what is cut to single channels", "engine/reading.py",
     "if norm is not None:\n                    found", "if False:\n                    found",
     "test_your_networks"),
    ("a silenced unit keeps its norm's shift", "engine/units.py",
     "stored[-3][filter] = bias", "stored[-3][filter] += bias", "test_your_networks"),
    ("cut edges are written as if they were not folded", "engine/units.py",
     "np.divide(taps, scale,", "np.divide(taps, 1,", "test_your_networks"),
    ("grey is the mean of the colours", "engine/wrapping.py", "GREY = (0.299, 0.587, 0.114)",
     "GREY = (1 / 3, 1 / 3, 1 / 3)", "test_your_networks"),
    ("alpha is transparent", "engine/wrapping.py", "tf.constant(255, images.dtype)",
     "tf.constant(0, images.dtype)", "test_your_networks"),
    ("layers in two models get one name", "engine/flattening.py",
     'if endings["/".join(path[-n:])] == 1), ', 'if n), ', "test_your_networks"),
    ("the wrong one of two classes is meant", "engine/flattening.py", "np.array([[0, 1]],",
     "np.array([[1, 0]],", "test_your_networks"),
    ("the gate of squeeze-and-excite is not said", "engine/graph.py",
     "gates += [operation.name] if", "gates += [] if", "test_your_networks"),
    ("labels of other classes are believed", "engine/network.py",
     "if self.classes != image_set.classes:", "if False:", "test_your_networks"),
    ("pictures of 0-1 stay 0-255", "engine/wrapping.py", '"0-1": lambda images: images / 255',
     '"0-1": lambda images: images / 1', "test_model_files"),
    ("files of the network's size are cut", "engine/loading.py",
     "return CROP if classes is None else 1.0", "return CROP", "test_images"),
    ("a subset cuts its files as ImageNet's", "engine/images.py",
     "                        self.classes, self.crop)", "                        self.classes)",
     "test_images"),
    ("a model that changes no picture is not asked about", "engine/wrapping.py",
     "return all(kind_of(one).reads ==", "return not all(kind_of(one).reads ==",
     "test_model_files"),
    ("a grey network is drawn in colours", "engine/render.py",
     "start is None and not net.reads_colour", "False", "test_subject"),
    ("pictures of a report are the first of the folder", "techniques/subject.py",
     "order = order[np.argsort(turn, kind=\"stable\")]", "order = np.arange(len(found))",
     "test_subject"),
    ("every kernel is ranked, none is left as a control", "techniques/subject.py",
     "net.convolution(layer).input.shape[-1] // 2", "net.convolution(layer).input.shape[-1]",
     "test_subject"),
    ("another network is called VGG16", "tools/report.py", 'kinds |= {"network",', 'kinds |= {',
     "test_subject"),
    ("a file's functions may come from anywhere", "engine/model_files.py",
     "not module.startswith(FUNCTIONS):", "False:", "test_model_files"),
    ("a file's lambda is left to Keras", "engine/model_files.py",
     'if name.strip("_").lower() == "lambda" or name in RUNS_CODE:', "if False:",
     "test_model_files"),
    ("a refuted claim passes", "techniques/claims/rules.py",
     "if sign * number >= sign * self.supported:", "if sign * number >= sign * self.refuted:",
     "test_claims"),
    ("p may be zero", "techniques/claims/hypotheses.py", "(1 + (shuffled >= effect - 1e-12).sum())",
     "((shuffled >= effect - 1e-12).sum())", "test_claims"),
    ("interval ignored by judge", "techniques/claims/rules.py",
     "sure = np.isnan(worst) or sign * worst > sign * self.refuted", "sure = True", "test_claims"),
    ("interval ignored by verdicts", "techniques/claims/against_layer.py",
     "(numbers.value >= bounds.supported) & (numbers.low > bounds.refuted)",
     "numbers.value >= bounds.supported", "test_claims"),
    ("refuted without an interval", "techniques/claims/rules.py",
     "if sign * best >= sign * self.supported:", "if False:", "test_claims"),
    ("refuted without an interval, by verdicts", "techniques/claims/against_layer.py",
     "(numbers.value <= bounds.refuted) & (numbers.high < bounds.supported)",
     "numbers.value <= bounds.refuted", "test_claims"),
    ("turned one way round only", "techniques/claims/hypotheses.py",
     '(lambda one: one.turned(90), lambda one: one.turned(270))',
     '(lambda one: one.turned(90),)', "test_claims"),
    ("a common claim counts", "techniques/claims/rules.py",
     'core = core[core["counts"].astype(bool)] if "counts" in core else core', "pass",
     "test_claims"),
    ("a common claim counts in verdicts", "techniques/claims/against_layer.py",
     "counts = (rates[about] < COMMON)[:, None] & ~np.isnan(verdict)",
     "counts = ~np.isnan(verdict)", "test_claims"),
    ("no cause needed", "techniques/claims/rules.py",
     'sound and (not causal or "edges" in core["about"].to_list())', "sound", "test_claims"),
    ("base rate includes the own filter", "techniques/claims/against_layer.py",
     "share = ((passed == 1) & others).sum(1) / others.sum(1)", "share = (passed == 1).mean(1)",
     "test_claims"),
    ("base rate of the own filter only", "techniques/claims/against_layer.py",
     "share = ((passed == 1) & others).sum(1) / others.sum(1)",
     "share = ((passed == 1) & ~others).sum(1) / 1.0", "test_claims"),
    ("base rate from one filter", "techniques/claims/against_layer.py",
     "share = ((passed == 1) & others).sum(1) / others.sum(1)",
     "share = (passed == 1)[np.arange(len(passed)), others.argmax(1)] * 1.0", "test_claims"),
    ("swap counts its own filter", "techniques/claims/against_layer.py",
     'found.loc[~found["own"] & (found["verdict"] == SUPPORTED), "filter"]',
     'found.loc[found["verdict"] == SUPPORTED, "filter"]', "test_claims"),
    ("noun ignored", "techniques/claims/against_layer.py",
     'gains["noun"] = np.where(np.isneginf(best), np.nan, whole - best)',
     'gains["noun"] = np.where(np.isneginf(best), np.nan, np.abs(whole))', "test_claims"),
    ("a patch wins by its noun", "techniques/claims/against_layer.py",
     'gains["noun"] = np.where(np.isneginf(best), np.nan, whole - best)',
     'gains["noun"] = whole - best', "test_claims"),
    ("a look-alike is a rival", "techniques/descriptions/describing.py",
     "if look_alike(one.form, noun)\n", "if one.form == noun\n", "test_descriptions"),
    ("a disc's rivals lie at one angle", "techniques/descriptions/describing.py",
     "turns = ANGLES if all(", "turns = (0,) if all(", "test_descriptions"),
    ("faint parts are said", "techniques/descriptions/describing.py",
     "loud = np.abs(weights) >= FAINT", "loud = np.abs(weights) >= 0", "test_descriptions"),
    ("a form is claimed of colour alone", "techniques/descriptions/describing.py",
     "likes.weight <= 0 or not likes.thing.luma", "likes.weight <= 0", "test_descriptions"),
    ("every noun is claimed", "techniques/claims/hypotheses.py",
     "loss if one.main_form and others else -np.inf", "9", "test_claims"),
    ("a rival may use the forms it must do without", "techniques/descriptions/describing.py",
     "np.where(allowed, self._side[:, column], 0)", "self._side[:, column]", "test_descriptions"),
    ("a group may rest on one photograph", "techniques/claims/hypotheses.py",
     "stays = np.arange(len(table)) != strongest", "stays = np.arange(len(table)) >= 0",
     "test_claims"),
    ("unlike causes count as related", "techniques/polysemy.py",
     "if similarity[_least_alike(similarity)] >= RELATED:", "if True:", "test_polysemy"),
    ("base rates of another layer", "techniques/claims/rates.py",
     ".get(net.name, {}).get(layer, {})", ".get(net.name, {}).popitem()[1]", "test_claims"),
    ("every direction claimed", "techniques/claims/hypotheses.py", "if loss[i] >= CLAIMED",
     "if loss[i] >= -9", "test_claims"),
    ("what every place gives counts as carried", "techniques/claims/evidence.py",
     "at[strong], given - usual[:, filter])", "at[strong], given)", "test_claims"),
    ("halves mixed", "techniques/layer_analysis.py", "claims.gather(net, layer, half_b, seed=",
     "claims.gather(net, layer, half_a, seed=", "test_layer_analysis"),
    ("halves mixed by swap", "techniques/claims/against_layer.py",
     "_, half_b = vz.split_halves", "half_b, _ = vz.split_halves", "test_layer_analysis"),
    ("swapped rates hold the own verdict", "techniques/layer_analysis.py",
     '"swapped": self.verdicts[others]', '"swapped": self.verdicts.ravel()',
     "test_layer_analysis"),
    # --- descriptions ---------------------------------------------------------------------------
    ("polarity kept by inverted", "techniques/descriptions/things.py",
     "luma=-self.luma if self.luma else 0.0", "luma=self.luma", "test_descriptions"),
    ("turned the other way round", "techniques/descriptions/things.py",
     "(self.orientation + degrees) % 360", "(self.orientation - degrees) % 360",
     "test_descriptions"),
    ("another noun loses its place", "techniques/descriptions/things.py",
     "moved = 0.0 if np.isnan(moved) else round(moved, 2)", "moved = 0.0", "test_descriptions"),
    ("what is missing differs from itself", "techniques/descriptions/things.py",
     "None if value != value else value for", "value for", "test_descriptions"),
    ("disliked without a drawn answer", "techniques/descriptions/describing.py",
     "np.where(tuned.scores[rows] < DISLIKED, -1, 0))",
     "np.where(tuned.scores[rows] < DISLIKED, -1, -1))", "test_descriptions"),
    ("uniform patches make waves", "techniques/descriptions/bank.py",
     "found += [cosine, sine - window * (sine.sum() / window.sum())]",
     "found += [cosine, sine]", "test_descriptions"),
    ("what every pattern has counts as likeness", "techniques/descriptions/bank.py",
     "special = _to_length_1(own) - self.ordinary", "special = _to_length_1(own)",
     "test_descriptions"),
    ("identification counted over explanations", "techniques/descriptions/scores.py",
     "return (r >= own).sum(-1)", "return (r >= own).sum(-2)[..., :len(filters)]", "test_scores"),
    ("a constant prediction comes first", "techniques/descriptions/scores.py",
     "return (r >= own).sum(-1)", "return (r > own).sum(-1) + 1", "test_scores"),
    ("a bootstrap of places", "techniques/descriptions/scores.py",
     "_, at = np.unique(pictures, return_inverse=True)\n    groups",
     "at = np.arange(len(pictures))\n    groups", "test_scores"),
    ("a constant filter's rounding is an answer", "vizutils.py",
     '        values = values.astype("float64")  # else', "        # else", "test_units"),
    # --- experiments on edges, planted circuits -------------------------------------------------
    ("a bootstrap of places, rebuilt", "techniques/rebuilding.py",
     "np.unique(pictures, return_inverse=True)",
     "np.unique(np.arange(len(pictures)), return_inverse=True)", "test_rebuilding"),
    ("the largest kernel is cut all the same", "techniques/edge_experiments.py",
     '("without its largest", rest, "any but the largest", without, False)',
     '("without its largest", rest, "any but the largest", table, False)',
     "test_edge_experiments"),
    ("A and not B wired as A and B", "techniques/planted.py", '"A and not B": -1}[wiring]',
     '"A and not B": 1}[wiring]', "test_planted"),
    ("grey by equal weights", "techniques/planted.py", "* BRIGHTNESS[:, None]",
     "/ 3 + 0 * BRIGHTNESS[:, None]", "test_planted"),
    ("patches turned the other way", "techniques/turning.py", "rotate(squares, angle,",
     "rotate(squares, -angle,", "test_turning"),
    ("a broken net with less ink", "techniques/stimuli/junctions.py",
     "net_broken(g).mean() - cut.mean()", "net_broken(g).mean() - 0.8 * cut.mean()",
     "test_junctions"),
    ("percentile inverted", "techniques/silencing.py", "(total[1:] < total[0]).mean()",
     "(total[1:] > total[0]).mean()", "test_circuits"),
    ("paths not averaged over a pool", "techniques/pathways.py", "1 / area, \"float32\")",
     "1.0, \"float32\")", "test_pathways"),
    ("turned the wrong way round", "techniques/families.py",
     "for m, t in zip(maps, self.inverse, strict=True)",
     "for m, t in zip(maps, range(8), strict=True)", "test_families"),
    # --- deconvnet, inversion -------------------------------------------------------------------
    ("deconvnet's rule swapped with guided's", "techniques/deconvnet.py",
     'if rule != "deconvnet":', 'if rule == "deconvnet":', "test_deconvnet"),
    ("signal sent back from all units", "techniques/deconvnet.py",
     "strongest = tf.gather(flat, chosen, batch_dims=1)", "strongest = tf.reduce_sum(flat, 1)",
     "test_deconvnet"),
    ("momentum forgotten", "engine/optimisers.py",
     "velocity = self.share * memory[0] + gradient", "velocity = gradient", "test_inversion"),
    ("a regulariser rewards", "techniques/inversion.py", "-recipe.alpha_weight * vz.lp_norm(ALPHA)",
     "recipe.alpha_weight * vz.lp_norm(ALPHA)", "test_inversion"),
    # --- attribution, adversaries, other networks ---------------------------------------------
    ("gradient of preprocessed pixels", "techniques/attribution/gradients.py",
     "rgb = mean * (images - baselines)", "rgb = mean[..., ::-1] * (images - baselines)",
     "test_attribution"),
    ("baseline forgotten", "techniques/attribution/gradients.py",
     "rgb = mean * (images - baselines)", "rgb = mean * images", "test_attribution"),
    ("negative evidence in Grad-CAM", "techniques/attribution/cam.py",
     "tf.nn.relu(tf.reduce_sum(weights * maps, -1))", "tf.reduce_sum(weights * maps, -1)",
     "test_attribution"),
    ("signed saliency", "techniques/attribution/result.py", "return np.abs(rgb).max(-1)",
     "return rgb.max(-1)", "test_attribution"),
    ("LIME without nearness", "techniques/attribution/perturbation.py",
     "np.sqrt(np.exp(-((1 - cosine) ** 2) / width**2))", "np.ones_like(cosine)",
     "test_attribution"),
    ("attack strengthens the class", "techniques/adversarial/attacks.py",
     "return towards * np.sign(", "return -towards * np.sign(", "test_adversarial"),
    ("not projected back", "techniques/adversarial/attacks.py",
     "np.clip(moved[part] + np.float32(step) * signs, low[part], high[part])",
     "moved[part] + np.float32(step) * signs", "test_adversarial"),
    ("biased CKA", "techniques/architectures.py",
     "k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))", "k, m = k + 0, m + 0",
     "test_architectures"),
    # --- what another processor may change -------------------------------------------------------
    ("intervals never checked", "conftest.py",
     'return sound and near and found["total"] == expected["total"]',
     'return sound and found["total"] == expected["total"]', "test_notebooks"),
    ("the intervals' far sides are taken", "conftest.py",
     "(less, _, up_to), (more, down_to, _) = samples",
     "(less, up_to, _), (more, _, down_to) = samples", "test_notebooks"),
    ("any number near any other", "conftest.py",
     "return abs(number - reference) <= TOLERANCE * largest + last_digit",
     "return True", "test_notebooks"),
    ("a difference that is not allowed passes", "tools/processors.py",
     'if m.verdict == "NOT ALLOWED"}', 'if m.verdict == "REFUSED"}', "test_processors"),
    ("a differing text counts as equal", "tools/processors.py",
     'moves.append(("the output", "another one", False))', "pass", "test_processors"),
    ("Wilson's interval left out", "techniques/intervals.py", 'proportion_ci(method="wilson")',
     'proportion_ci(method="exact")', "test_intervals"),
    ("the bootstrap draws each value once", "techniques/intervals.py",
     "rows = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))",
     "rows = np.tile(np.arange(len(values)), (2000, 1))", "test_intervals"),
    # --- the rest ----------------------------------------------------------------------------
    ("detail not put back", "techniques/deepdream.py",
     "picture = photograph + _resized(change, size)",
     "picture = _resized(dreamed[-1], size) if dreamed else photograph", "test_deepdream"),
    ("twins that go are not read from others", "techniques/pruning.py",
     "kernel[..., b, :] += gains[a] * kernel[..., a, :]", "pass", "test_pruning"),
    ("the changed map is its own yardstick", "techniques/abstraction.py",
     'd / far["another photograph"]', "d / max(d.max(), 1e-9)", "test_abstraction"),
    ("a row of the exercises that leads nowhere", "docs/exercises.md",
     "| companion 1 | `n1-013d` |", "| companion 2 | `n1-013d` |", "test_exercises"),
    # --- what is shown and what is told ---------------------------------------------------------
    ("a figure that no notebook shows", "engine/style.py",
     'return ShownFigure(figsize=(width, height), dpi=DPI,',
     'return Figure(figsize=(width, height), dpi=DPI,', "test_shown"),
    ("pyplot's picture goes before the figure's own", "engine/style.py",
     "if here is not None:  # pyplot registers", "if False:  # pyplot registers", "test_shown"),
    ("a finished bar stays", "data/progress.py",
     'self._display.update({"text/plain": text} if text else {}, raw=True)',
     'self._display.update({"text/plain": text}, raw=True)', "test_shown"),
    ("a panel's place upside down", "engine/style.py", "(x, 1 - y - height, width, height)",
     "(x, y, width, height)", "test_shown"),
    ("panels lead to the channel's number in the ranking", "vizutils.py",
     'edge.set_url(f"#kernel-{row.channel}")', 'edge.set_url(f"#kernel-{i}")', "test_shown"),
    ("texts to the right", "engine/style.py", '"right" if number else "left"',
     '"left" if number else "right"', "test_page"),
    ("alternative text lost", "engine/style.py",
     "return shown_as(png_of(self), self.alt, panels_of(self))",
     'return shown_as(png_of(self), "", panels_of(self))', "test_shown"),
    ("photographs shown in a few flat colours", "engine/style.py",
     "FAITHFUL = 16", "FAITHFUL = 256", "test_shown"),
    ("figures never made small", "engine/style.py",
     "if len(forms[form]) >= len(png):", "if True:", "test_shown"),
    ("the caller's alternative text not heard", "engine/style.py",
     "_described(figure, function.__doc__) if alt is None else alt",
     "_described(figure, function.__doc__)", "test_shown"),
    ("copied code that shows nothing", "techniques/dashboard/panels.py",
     "figure = vz.plot_kernels(net, {view.layer!r}, {view.filter}, ranking)\nfigure\n",
     "figure = vz.plot_kernels(net, {view.layer!r}, {view.filter}, ranking)\n", "test_shown"),
    ("skipped told as failed", "tools/grade.py",
     'return Check("kept for later", skipped.get("message") or "no reason given")',
     'return Check("failed")', "test_page"),
    ("skipped told as passed", "tools/grade.py",
     'return Check("kept for later", skipped.get("message") or "no reason given")',
     'return Check("passed")', "test_page"),
    ("cells that are not on record left out", "tools/grade.py",
     "found |= cases or {test: None}", "found |= cases", "test_page"),
    ("a method's name credited to a function", "tools/grade.py",
     "place = names.get(module.id, ()) + (", 'place = names.get(module.id, ("vizutils",)) + (',
     "test_page"),
    # --- the pass of a layer and the explorer ----------------------------------------------------
    ("a pass taken for that of other pictures", "techniques/layer_pass.py",
     '"pictures": digest, "block": BLOCK}', '"block": BLOCK}', "test_layer_pass"),
    ("contributions where no test looks", "techniques/layer_pass.py",
     "read(common.halves[1].read([picture]))", "read(common.halves[0].read([picture]))",
     "test_layer_pass"),
    ("pages rank kernels from the smallest", "techniques/explorer/weights.py",
     'np.argsort(-l2, axis=0, kind="stable")', 'np.argsort(l2, axis=0, kind="stable")',
     "test_explorer"),
    ("what an earlier build left stays", "tools/explorer/build.py",
     "            path.unlink()\n", "            pass\n", "test_explorer"),
    ("a block put in another's place", "techniques/layer_pass.py",
     "found[lost[at]] = made", "found[at] = made", "test_layer_pass"),
    ("the circuit sheet never leads to the explorer", "tools/site.py",
     'r"#channel-(\\d+)"', 'r"#chanel-(\\d+)"', "test_page"),
    # --- the dashboard ---------------------------------------------------------------------------
    ("the dearest panel first", "techniques/dashboard/side.py",
     "key=lambda name: self.cards[name].panel.cost",
     "key=lambda name: -self.cards[name].panel.cost",
     "test_dashboard"),
    ("finished panels forgotten", "techniques/dashboard/card.py",
     "while len(self._finished) > self._room:", "while self._finished:", "test_dashboard"),
    ("wrong numbers not answered", "techniques/dashboard/entries.py",
     "self._told(problem)", 'self._told("")', "test_dashboard"),
    ("Back that stays where it is", "techniques/dashboard/side.py",
     "self._place = self._trail.pop(), None", "self._place = self._trail[-1], None",
     "test_dashboard"),
    ("other weights' pictures on the sheet", "techniques/dashboard/files.py",
     'if made_by["weights"].get(layer) != digest:', 'if layer not in made_by["weights"]:',
     "test_sheets"),
    ("every file given out", "tools/serve.py", 'f"build[/{re.escape(os.sep)}]{path}"',
     'f".*{path}|.*py"', "test_serve"),
    ("an error told as a fault found", "tools/mutants.py",
     'r"^FAILED \\S+?::(\\S+)"', 'r"^(?:FAILED|ERROR) \\S+?::(\\S+)"', "test_mutants"),
])


def copy_project(target: Path) -> Path:
    """A copy to put faults into, with the same downloads."""
    shutil.copytree(ROOT, target, ignore=lambda folder, names: LEFT_OUT & set(names))
    cache = ROOT / "data" / "cache"
    if cache.exists():
        (target / "data" / "cache").symlink_to(cache)
    return target


def failing(project: Path, *tests: str) -> str:
    """The first test that fails in a copy; empty if none does.

    Raises
    ------
    RuntimeError
        If the tests cannot be run to an end, or nothing but their fixtures fails.
    """
    files = [f"tests/{name}.py" for name in tests]
    for until in (["-x"], []):  # again to the end if the first thing was an error
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *until, *BARE, *files],
                cwd=project, capture_output=True, text=True, timeout=LONGEST,
                env={**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1",
                     "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        except subprocess.TimeoutExpired as problem:
            raise RuntimeError(f"{', '.join(files)} did not end within {LONGEST} s.") from problem
        if done.returncode == 0:
            return ""
        found = re.search(r"^FAILED \S+?::(\S+)", done.stdout, re.MULTILINE)
        if done.returncode == 1 and found:
            return found[1]
    raise RuntimeError(f"pytest could not run {', '.join(files)}:\n{done.stdout[-2000:]}")


def hunt(project: Path, fault: Fault) -> tuple[str, float]:
    """(killer, seconds) of one fault; the copy is whole again afterwards."""
    path, began = project / fault.file, time.monotonic()
    sound = path.read_text()
    path.write_text(fault.put_into(sound))
    try:
        return failing(project, *fault.tests.split()), time.monotonic() - began
    finally:
        path.write_text(sound)


def main(names: list[str], jobs: int) -> int:
    """Hunt all faults, or those whose names hold one of the given words."""
    faults = [f for f in FAULTS if not names or any(word in f.name for word in names)]
    if not faults:
        print(f"no fault is named so; there are: {'; '.join(f.name for f in FAULTS)}.")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copies = itertools.count()
        own = threading.local()

        def project() -> Path:  # each thread's own copy
            if not hasattr(own, "project"):
                own.project = copy_project(Path(folder) / str(next(copies)))
            return own.project

        def work(fault):
            try:
                return hunt(project(), fault)
            except RuntimeError as problem:  # the other faults are looked for all the same
                print(f"{fault.name}: {problem}", file=sys.stderr, flush=True)
                return NOT_RUN, 0

        tests = sorted({test for fault in faults for test in fault.tests.split()})
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            broken = list(filter(None, pool.map(lambda test: failing(project(), test), tests)))
            if broken:
                print(f"fails without any fault: {', '.join(broken)}; mend that first.")
                return 2
            survivors = 0
            print("| fault | file | seconds | killed by |\n|---|---|---|---|", flush=True)
            for fault, (killer, seconds) in zip(faults, pool.map(work, faults), strict=True):
                survivors += killer in ("", NOT_RUN)
                print(f"| {fault.name} | {fault.file} | {seconds:.0f} | {killer or 'SURVIVED'} |",
                      flush=True)
    print(f"{len(faults) - survivors} of {len(faults)} faults are found by the tests")
    return int(survivors > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="words in the names of the faults to try")
    parser.add_argument("--jobs", type=int, default=1, help="copies to work on side by side")
    given = parser.parse_args()
    sys.exit(main(given.names, given.jobs))
