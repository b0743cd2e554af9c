"""The benchmark programs run, and count what they say they count: on the tiny VGG, in seconds."""

import argparse
import dataclasses
import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vizutils as vz

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
PROGRAMS = sorted(p.stem for p in BENCHMARKS.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """The programs import each other as `python benchmarks/….py` lets them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def program(name):
    return importlib.import_module(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_imports_and_says_how_it_is_called(name, monkeypatch, capsys):
    module = program(name)
    if not hasattr(module, "main"):
        return  # what the programs share
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert f"python benchmarks/{name}.py" in module.__doc__
    assert "--" in capsys.readouterr().out


def test_equal_work_ends_at_equal_pictures(tiny, monkeypatch):
    monkeypatch.setattr(program("versus"), "matrix_product_rate", lambda: 1e11)
    found = program("versus").compare(tiny, "block2_conv1", [0, 3], size=24, steps=3, runs=1)
    assert found["apart"] < 0.01
    assert all(len(taken) == 1 and taken[0] > 0 for taken in found["taken"].values())
    assert len(found["rates"]) == 1


def test_work_counts_only_the_filters_asked_for(tiny):
    done, effective = program("versus").work(tiny, "block1_conv2", [0, 3], size=8, steps=1)
    first, last = (2 * 64 * 9 * channels for channels in (3 * 4, 4 * 6 * 4 / 6))
    # two filters, forward and back and one clean picture; block1 has four channels
    assert effective == pytest.approx(3 * 2 * (first + last))
    assert done == pytest.approx(3 * 2 * (first + last * 2 / 4))


def test_an_eager_loop_that_is_stopped_ends_where_it_was(tiny):
    peers = program("peers")
    model = peers.cut_model(tiny, "block1_conv2", 12)
    starts = np.full((2, 12, 12, 3), 120, "float32")
    starts[:, 3:6] = 160
    seen = []
    stopped = peers.eager_loop(model, [0, 1], starts, steps=5, rate=4.0, by="rms",
                               watch=lambda i, step, picture: seen.append((i, step)) or step == 2)
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]
    short = peers.eager_loop(model, [0, 1], starts, steps=[2, 2], rate=4.0, by="rms")
    assert np.array_equal(stopped, short)


def test_quality_finds_the_first_step_and_tabulates_it(tiny):
    quality = program("quality")
    rows = np.array([[0.0, 5.0], [2.0, 1.0], [1.0, 1.0]])
    assert quality.first_reached(rows, np.array([2.0, 9.0])) == [2, None]
    found = quality.compare(tiny, "block2_conv1", [0, 3], cap=3, peer_steps=2, runs=1)
    assert len(found["target"]) == 2
    assert set(found["seconds"]) == {*quality.OURS, *quality.LOOPS, *found["all_steps"]}
    shown = quality.table(found)
    assert all(name in shown for name in found["seconds"])
    json.dumps(found)


def test_end_max_is_the_reports(tiny):
    ascent = vz.maximize(tiny, "block2_conv1", [0, 3], steps=2, progress=False)
    measured = program("quality").end_max(tiny, "block2_conv1", ascent.images, [0, 3])
    assert measured == pytest.approx(ascent.report["end_max"].to_numpy(), rel=1e-5)


def test_blanks_names_the_dead_and_runs_on(tiny, tmp_path):
    blanks = program("blanks")
    kernel, bias = tiny.model.get_layer("block1_conv2").get_weights()
    bias[1] = -1000.0  # dead wherever one starts
    tiny.model.get_layer("block1_conv2").set_weights([kernel, bias])
    found = blanks.study_starts(tiny, "block1_conv2")
    for preset in blanks.HISTORICAL:
        assert 1 in found[preset]["dead"]
        assert found[preset]["woken"] < len(found[preset]["dead"])
        assert found[preset]["wrong"] == []
    rows = blanks.climb(tiny, "block1_conv2", [0, 1], 14, steps=4)
    assert not rows["1"]["flat"] and rows["1"]["end_max"] < 0  # it rises, but not to zero
    assert blanks.faults(rows["1"]) == ["at or below zero"]
    drawn = vz.maximize(tiny, "block1_conv2", [0, 1], size=14, steps=4).images.round()
    for row, image in zip(rows.values(), drawn, strict=True):
        assert row["clipped"] == ((image <= 0) | (image >= 255)).any(-1).mean()
    assert blanks.clipped_words({"a": {"clipped": 0.5}, "b": {"clipped": 0.25}}) == "37.5 %, 50.0 %"
    rows["1"]["second"] = blanks.try_again(tiny, "block1_conv2", 1, 14, {"steps": 2})
    assert all(value < 0 for value in rows["1"]["second"].values())
    state = {"a key": {"block1_conv2": rows}}
    blanks.save(state, tmp_path / "blanks.json")
    again = json.loads((tmp_path / "blanks.json").read_text())["a key"]
    assert again["block1_conv2"]["1"]["flat"] is False
    assert "block1_conv2 filter 1" in blanks.climb_table(again, {"block1_conv2": 14})
    assert "1 of 2" in blanks.start_table({"block1_conv2": found}, again)  # one of the dead rose


def test_blanks_canvas_shows_a_whole_unit_and_samples_are_nested(tiny):
    blanks = program("blanks")
    for layer in tiny.conv_layers:
        size = blanks.canvas(tiny, layer, cap=112)
        seen = vz.receptive_field(tiny, layer, input_size=size)
        assert seen.unpadded.start <= seen.positions // 2 < seen.unpadded.stop
        assert size == vz.canvas(tiny, layer) or size < vz.canvas(tiny, layer) > 112
    few, more = (set(blanks.sample(tiny, "block3_conv2", n)) for n in (3, 6))
    assert few < more
    assert blanks.sample(tiny, "block3_conv2", None) == list(range(8))


def test_patches_writes_different_pictures_and_times_both(tiny, tmp_path):
    patches = program("patches")
    patches.write_pictures(tmp_path, 3, shape=(60, 80))
    images = vz.load_images(tmp_path, size=48)
    assert len(images) == 3
    assert np.abs(images.images[0] - images.images[1]).max() > 20
    taken = patches.compare(tiny, "block2_conv1", vz.load_images(tmp_path, size=48), runs=2)
    assert list(taken) == ["bare", "top_patches"]
    assert all(len(own) == 2 for own in taken.values())


def test_attribution_times_every_method_and_sets_the_peer_beside_it(vgg16, monkeypatch):
    attribution = program("attribution")
    images = vz.load_images(size=32, limit=1).images
    monkeypatch.setattr(attribution, "SAMPLES", 2)
    taken = attribution.compare(vgg16, images, runs=1, quick=True)
    assert all(len(own) == 1 and own[0] > 0 for own in taken.values())
    given = {name: [2.0] for name in taken} | {"tf-keras-vis, SmoothGrad": [5.0]}
    rows = attribution.table(given, pictures=4).splitlines()
    assert "| SmoothGrad | 0.50 | 1.0 | 2.50 times as long |" in rows
    assert "| LIME | 0.50 | 1.0 | – |" in rows


# --- two choices -----------------------------------------------------------------------------


@pytest.fixture
def bench(tiny, noise, monkeypatch):
    """The tiny VGG's block2_conv1, read by the tiny VGG itself, in four pictures of noise."""
    two, methods = program("two_choices"), program("choice_methods")
    monkeypatch.setattr(two, "PAIRS", 4)
    image_set = vz.as_image_set(noise)
    halves = [image_set.subset(half) for half in vz.split_halves(4)]
    seen = two.look(tiny, "block2_conv1", tiny, "block2_conv1", halves, each=300)
    return methods.Bench(tiny, "block2_conv1", 24, tiny, "block2_conv1", 2, halves[0],
                         seen.places_a, seen.answers_a), seen


def toy_units(units=6, places=6000, features=24, seed=0):
    """Units whose answer is known, in the reader's features of as many places.

    Unit i likes feature i; every unit likes feature `units`, contrast, as well. A patch's looks
    tell its contrast and a brightness that nobody likes.
    """
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(places, features))
    answers = found[:, :units] + found[:, [units]]
    return found, answers, np.stack([found[:, units], rng.normal(size=places),
                                     rng.normal(size=places)], 1)


def shares(found, pairs, positives, rule="mean"):
    """`told` of units whose pictures are single places, their opposites' minus those."""
    scores = program("choice_scores")
    return scores.told({unit: scores.evidence(found, own[None], -own[None], rule)
                        for unit, own in enumerate(positives)}, pairs)


@pytest.mark.parametrize("rule", ["max", "mean", "top 3"])
def test_what_pictures_tell_is_told_from_what_noise_tells(rule):
    """Known answers: the unit's own direction, contrast alone, another unit's, nothing."""
    scores = program("choice_scores")
    found, answers, seen = toy_units()
    axes = np.eye(found.shape[1])
    matched, free = ({unit: make(unit) for unit in range(6)} for make in (
        lambda unit: scores.matched_pairs(answers[:, unit], seen, np.random.default_rng(unit), 100),
        lambda unit: np.stack([some[:100] for some in scores.candidates(answers[:, unit])], 1)))
    for pairs in (matched, free):
        right = shares(found, pairs, axes[:6], rule)
        noise = shares(found, pairs, axes[[6] * 6], rule)  # the same contrast for all units
        wrong = shares(found, pairs, axes[[1, 2, 3, 4, 5, 0]], rule)
        nothing = shares(found, pairs, axes[:6] * 0, rule)
        assert right["told"].mean() > 0.8
        np.testing.assert_allclose(noise["told"], 0.5)
        assert wrong["told"].mean() < 0.5
        np.testing.assert_allclose(nothing[["own", "others", "told"]], 0.5)
    # unmatched pairs let noise tell as much as the right picture does; matched ones do not
    assert shares(found, free, axes[[6] * 6], rule)["own"].mean() > 0.8
    assert shares(found, matched, axes[[6] * 6], rule)["own"].mean() == pytest.approx(0.5, abs=0.1)
    both = shares(found, free, axes[:6] + 3 * axes[6], rule)  # a unit's own, in much contrast
    assert both["own"].mean() > 0.9 and both["told"].mean() < 0.75


def test_matched_pairs_are_alike_and_unit_only_in_what_it_likes():
    scores = program("choice_scores")
    _, answers, seen = toy_units()
    pairs = scores.matched_pairs(answers[:, 0], seen, np.random.default_rng(0), 100)
    strong, middle = pairs.T
    assert pairs.shape == (100, 2) and len(set(pairs.ravel())) == 200
    assert answers[strong, 0].min() >= np.percentile(answers[:, 0], 95)
    low, high = np.percentile(answers[:, 0], [40, 60])
    assert low <= answers[middle, 0].min() and answers[middle, 0].max() <= high
    apart = (seen[strong] - seen[middle])[:, :2] / seen[:, :2].std(0)
    assert np.abs(apart).max() <= scores.CALIPER and np.abs(apart.mean(0)).max() < 0.05
    alone = scores.by_alone(pairs, seen)
    assert alone["contrast"] == alone["brightness"] == 0.5
    assert scores.by_alone(np.stack([some[:100] for some in scores.candidates(answers[:, 0])], 1),
                           seen)["contrast"] > 0.8
    again = scores.matched_pairs(answers[:, 0], seen, np.random.default_rng(0), 100)
    np.testing.assert_array_equal(pairs, again)
    few = scores.matched_pairs(answers[:600, 0], seen[:600], np.random.default_rng(0), 100)
    assert 0 < len(few) < 100 and len(few) % 4 == 0
    with pytest.raises(ValueError, match="give more photographs"):
        scores.matched_pairs(answers[:30, 0], seen[:30], np.random.default_rng(0), 100)


def test_told_is_counted_by_hand():
    """Three units, four places: 0 and 1 strong, 2 and 3 middling, for all."""
    pairs = dict.fromkeys((4, 7, 9), np.array([[0, 2], [1, 3]]))
    right, wrong, tied = (np.array(x, float) for x in ([1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]))
    found = program("choice_scores").told({4: right, 7: wrong, 9: tied}, pairs).set_index("unit")
    assert found["own"].tolist() == [1, 0, 0.5] and found["pairs"].tolist() == [2, 2, 2]
    assert found["others"].tolist() == [0.25, 0.75, 0.5]
    assert found["told"].tolist() == [1.25, -0.25, 0.5]


def test_one_unit_has_no_others():
    with pytest.raises(ValueError, match="draw at least two"):
        program("choice_scores").told({3: np.zeros(4)}, {3: np.array([[0, 1]])})


def test_looks_of_a_patch():
    scores = program("choice_scores")
    flat, fine, coarse = np.zeros((3, 8, 8, 3))
    fine[::2], coarse[:4] = 100, 100
    found = scores.looks([flat, fine, coarse])
    np.testing.assert_allclose(found[0], 0)
    np.testing.assert_allclose(found[1:, 0], np.log(51))
    np.testing.assert_allclose(found[1:, 1], 50)
    assert found[1, 2] > found[2, 2] > 0


def test_how_natural_a_picture_is():
    two = program("choice_scores")
    image = np.full((1, 8, 8, 3), 100.0)
    image[0, :2, :, 0], image[0, 2, :4] = 255.3, -4
    assert two.clipped_share(image) == 20 / 64
    frequency = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(96))
    phases = np.random.default_rng(0).uniform(-np.pi, np.pi, (8, *frequency.shape))
    for slope in (-1, 0):
        wanted = np.maximum(frequency, 1 / 96) ** slope * np.exp(1j * phases)
        wanted[:, 0, 0] = 0
        light = np.fft.irfft2(wanted, s=(96, 96))[..., None].repeat(3, -1)
        assert two.spectrum_slope(light) == pytest.approx(slope, abs=0.15)
    histogram = two.colour_histogram(image)
    assert histogram.sum() == pytest.approx(1) and histogram[0] == 4 / 64
    assert histogram[1 * 16 + 1 * 4 + 1] == 44 / 64


def test_units_of_different_kinds_are_different(tiny, vgg16):
    two = program("two_choices")
    kinds = [two.units_of(vgg16, "block2_conv2", kind, 32) for kind in two.SEEDS]
    assert len(set().union(*kinds)) == 96
    assert two.units_of(vgg16, "block2_conv2", "test", 8) == kinds[0][:8]
    with pytest.raises(ValueError, match="test, rule, explore"):
        two.units_of(vgg16, "block2_conv2", "best", 8)


def test_the_reader_sees_as_much_as_the_unit(tiny):
    two = program("two_choices")
    assert two.reader_layer(tiny, 14) == "block2_conv2"
    assert two.reader_layer(tiny, 11) == "block2_conv1"
    image = np.arange(24 * 24 * 3.0).reshape(24, 24, 3)
    squares = two.windows(image, 10, 4)
    assert squares.shape == (9, 10, 10, 3)
    np.testing.assert_array_equal(squares[0], image[3:13, 3:13])
    np.testing.assert_array_equal(squares[4], image[7:17, 7:17])  # as much room left as right
    np.testing.assert_array_equal(two.windows(image, 24, 4), image[None])
    with pytest.raises(ValueError, match="no window"):
        two.windows(image, 25, 4)


def test_answers_are_the_same_asked_of_patches_or_of_photographs(tiny, noise):
    two, samples = program("two_choices"), importlib.import_module("techniques.samples")
    image_set = vz.as_image_set(noise)
    small, large = 2, 300  # patches of fewer pixels than the photograph, and of more
    field = vz.receptive_field(tiny, "block2_conv1").size
    assert small * field**2 < image_set.size**2 < large * field**2
    for each in (small, large):
        places, answers = two.ask(tiny, "block2_conv1", image_set, each, 5)
        whole = samples.sample(tiny, "block2_conv1", image_set, each=each, seed=5)
        assert places.equals(whole.places)
        np.testing.assert_allclose(answers, whole.answers, atol=1e-4)


def test_photographs_are_cut_at_the_strongest_places(bench, tiny):
    methods, (bench, seen) = program("choice_methods"), bench
    field = vz.receptive_field(tiny, bench.layer).size
    for sign, best in ((1, np.max), (-1, np.min)):
        cut = methods.by_name(bench, "photographs")([2, 5], sign)
        assert cut.shape == (2, 2, field, field, 3)
        for unit, own in zip((2, 5), cut, strict=True):
            values = vz.patch_responses(tiny, bench.layer, own, filters=[unit])
            assert best(values) == pytest.approx(best(seen.answers_a[:, unit]), rel=1e-4)
    with pytest.raises(ValueError, match="--images DIR"):
        methods.photographs(dataclasses.replace(bench, image_set=None), [2], 1)
    with pytest.raises(ValueError, match="there are nine photographs, photographs"):
        methods.by_name(bench, "magic")


def test_a_method_is_drawn_gone_on_with_and_judged_without_drawing(bench, tmp_path, monkeypatch):
    two, (bench, seen) = program("two_choices"), bench
    methods = program("choice_methods")
    monkeypatch.setitem(methods.METHODS, "default", (methods.ours, {"steps": 2}))
    monkeypatch.setattr(vz, "class_responses", lambda net, layer: (seen.answers_a, None))
    monkeypatch.setattr(program("choice_scores"), "CALIPER", 3.0)  # there are few places
    two.draw(bench, "default", [1, 3], tmp_path)
    pictures, seconds = two.kept(tmp_path, bench.layer, "default", 3)
    assert pictures.shape == (2, 2, 24, 24, 3) and (pictures[0] != pictures[1]).any()
    assert seconds > 0 and two.kept(tmp_path, bench.layer, "default", 5) is None
    pairs = two.pairs_of(seen, [1, 3, 4])
    few = two.score(bench, seen, "default", [1, 3, 4], pairs, tmp_path)
    assert few["unit"].tolist() == [1, 3] and few["seconds"].tolist() == [seconds] * 2
    two.draw(bench, "default", [1, 3, 4], tmp_path)
    np.testing.assert_array_equal(two.kept(tmp_path, bench.layer, "default", 3)[0], pictures)
    monkeypatch.setattr(vz, "maximize", lambda *_, **__: pytest.fail("drawn again"))
    two.draw(bench, "default", [1, 3, 4], tmp_path)
    table = two.score(bench, seen, "default", [1, 3, 4], pairs, tmp_path)
    assert table["unit"].tolist() == [1, 3, 4] and table["own"].between(0, 1).all()
    np.testing.assert_allclose(table["own"][:2], few["own"])  # the others' share is another
    np.testing.assert_allclose(table["told"], 0.5 + table["own"] - table["others"])
    assert two.score(bench, seen, "pixels", [1, 3], pairs, tmp_path).empty
    for method in ("default", "peer"):
        two.write(table.assign(method=method), tmp_path / f"{bench.layer}__{method}.csv")
    shown = two.markdown(two.all_tables(tmp_path), bench.layer)
    assert "| default | 3 |" in shown and "| 0.00 [0.00, 0.00] |" in shown
    given_away = two.what_pairs_give_away(seen, pairs)
    assert (given_away["contrast"] == 0.5).all() and given_away["contrast_unmatched"].notna().all()


def test_coarse_to_fine_goes_on_from_the_enlarged_picture(bench, monkeypatch):
    (bench, _), methods = bench, program("choice_methods")
    asked, original = [], vz.maximize

    def spy(net, layer, units, **options):
        asked.append(options)
        return original(net, layer, units, **options)

    monkeypatch.setattr(vz, "maximize", spy)
    found = methods.coarse_to_fine(bench, [1, 3], 1, steps=7)
    assert found.shape == (2, 2, 24, 24, 3)
    first, second = asked
    assert (first["size"], first["steps"], second["size"], second["steps"]) == (12, 3, 24, 4)
    start = second["start"]  # the half one, each pixel about four times
    small = original(bench.net, bench.layer, [1, 3], **first).images
    assert start.shape == (4, 24, 24, 3)
    blocks = start.reshape(4, 12, 2, 12, 2, 3).mean((2, 4))
    assert np.abs(blocks - small).mean() < 0.2 * small.std()


def test_the_sheet_shows_what_is_drawn_and_scored(tmp_path, monkeypatch):
    two, sheets = program("two_choices"), importlib.import_module("techniques.method_sheet")
    monkeypatch.setattr(two, "BUILT", tmp_path)
    net = vz.load_network("vgg16", weights="packaged")
    first, second = two.units_of(net, "block3_conv2", "test", 2)
    for method, unit, count, colour in (("default", first, 1, 90), ("default", second, 1, 10),
                                        ("nine photographs", first, 9, 200)):
        path = two.picture_path(tmp_path / "test", "block3_conv2", method, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, pictures=np.full((2, count, 12, 12, 3), colour, "uint8"), seconds=1.0)
        if (method, unit) != ("default", second):  # not scored
            two.write(pd.DataFrame({"layer": ["block3_conv2"], "method": method, "unit": unit,
                                    "percentile": 40.0}),
                      tmp_path / f"block3_conv2__{two.slug(method)}.csv")
    out = tmp_path / "sheet.webp"
    two.write_sheet(argparse.Namespace(results=tmp_path, out=out))
    found = sheets.load(out)
    assert found.methods == ("nine photographs", "default") and len(found.units) == 8
    at = found.units.index(("block3_conv2", first))
    assert [row[at] for row in found.notes] == ["", "weak: 40 %"]
    assert found.images[1, at].mean() == pytest.approx(90, abs=8)
    drawn = np.array(found.notes) != "not drawn"
    assert drawn.sum() == 2 and drawn[:, at].all()


def test_nine_pictures_are_one_square():
    two = program("two_choices")
    images = np.arange(9.0)[:, None, None, None] * np.ones((9, 2, 2, 3))
    square = two.mosaic(images)
    assert square.shape == (6, 6, 3)
    np.testing.assert_array_equal(square[::2, ::2, 0], np.arange(9).reshape(3, 3))
    np.testing.assert_array_equal(two.mosaic(images[:1]), images[0])


def test_photographs_are_looked_at_once(bench, tmp_path):
    two, (_, seen) = program("two_choices"), bench
    path = tmp_path / "kept.npz"
    two.kept_look(path, "these", lambda: seen)
    again = two.kept_look(path, "these", lambda: pytest.fail("looked at again"))
    np.testing.assert_array_equal(again.answers_b, seen.answers_b)
    assert again.places_a.equals(seen.places_a[["picture", "row", "column"]])
    assert two.kept_look(path, "others", lambda: seen) is seen
    kept = two.kept_look(path, None, lambda: pytest.fail("looked at again"))  # whatever there is
    np.testing.assert_array_equal(kept.features, seen.features)
    with pytest.raises(SystemExit, match="give --images DIR"):
        two.kept_look(tmp_path / "none.npz", None, lambda: seen)


def test_a_unit_is_told_by_its_own_photographs(bench, monkeypatch):
    """The reader is the network itself, at the unit's own layer: it must know."""
    two, (bench, seen) = program("two_choices"), bench
    monkeypatch.setattr(program("choice_scores"), "CALIPER", 3.0)  # there are few places
    draw = program("choice_methods").by_name(bench, "photographs")
    pictures = {unit: np.stack([draw([unit], sign)[0] for sign in (1, -1)]) for unit in range(6)}
    pairs = two.pairs_of(seen, range(6))
    own = two.tell(bench, seen, pictures, pairs)
    turned = two.tell(bench, seen, {unit: both[::-1] for unit, both in pictures.items()}, pairs)
    assert own["told"].mean() > 0.6 and own["own"].mean() > 0.6
    np.testing.assert_allclose(turned["own"], 1 - own["own"])
    same = two.tell(bench, seen, dict.fromkeys(pictures, pictures[0]), pairs)
    np.testing.assert_allclose(same["told"], 0.5)  # one picture for all units tells of none


def test_the_chain_of_layers_is_written_as_it_is(tiny):
    chain = program("choice_methods").plain_layers(tiny, "block2_conv1")
    assert chain["kinds"].tolist() == ["conv", "conv", "pool", "conv"]
    np.testing.assert_array_equal(chain["kernel_3"], tiny.layer("block2_conv1").kernel)


# --- whole layers, and Xplique ---------------------------------------------------------------


def test_a_pass_is_timed_block_by_block():
    rows = {"patches": [(32, 5.0, 9.0, 1.0), (32, 2.0, 4.0, 1.5), (8, 1.0, 2.0, 1.2)],
            "claims": [(32, 3.0, 6.0, 1.1), (32, 3.0, 6.0, 1.1), (8, 1.0, 1.0, 1.3)],
            "usual": [(0, 0.5, 0.5, 1.4)]}
    np.testing.assert_allclose(program("layer_pass").sums(rows), [
        [32, 8.5, 15.5, 1.1], [64, 13.5, 25.5, 1.5], [72, 15.5, 28.5, 1.5]])


def test_a_seeded_part_of_a_layer_is_drawn_and_held_against_long_climbs(tiny, capsys):
    atlas = program("atlas")
    assert len(atlas.chosen(256, 8, 0)) == 32 and len(atlas.chosen(256, 8, 5)) == 5
    assert atlas.chosen(8, 1, 0).tolist() == list(range(8))
    options = argparse.Namespace(part=2, only=0, folder=None, sample=1)
    atlas.several(tiny, ["block1_conv1"], options)
    row = re.search(r"\| block1_conv1 \| 64 \| 2 of 4 \|.* (\d+) %, (\d+) % \| \d \|",
                    capsys.readouterr().out)
    assert row and row[1] == row[2]  # of one filter


FAKE = """import json, sys
import numpy as np
kinds = np.load(sys.argv[1])["kinds"].tolist()
for line in sys.stdin:
    job = json.loads(line)
    np.save(job["pictures"], np.full((1, len(job["units"]), job["size"], 4, 3), len(kinds)))
    print(json.dumps({"seconds": [job["nb_steps"], 2.0]}), flush=True)
    if job["nb_steps"] == 9:
        break
"""


def test_xplique_s_program_is_kept_running_and_its_end_is_told(tiny, tmp_path, monkeypatch):
    versus = program("xplique_versus")
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(versus, "WORKER", tmp_path / "fake.py")
    peer = versus.Xplique(sys.executable, tiny, "block1_conv2", 12)
    for steps in (3, 9):
        pictures, taken = peer.climb([0, 1, 2], together=True, nb_steps=steps)
        assert pictures.shape == (1, 3, 12, 4, 3) and (pictures == 2).all()  # two convolutions
        assert taken.tolist() == [steps, 2.0]
    with pytest.raises((RuntimeError, BrokenPipeError)):
        peer.climb([0], together=True, nb_steps=1)
    peer.program.wait(10)


def test_a_value_is_reached_when_every_filter_has_been_there():
    versus = program("xplique_versus")
    rows = np.array([[3.0, 0.0], [1.0, 2.0], [1.0, 5.0]])
    assert versus.first_steps(rows, np.array([3.0, 2.0])) == 2
    assert versus.first_steps(rows, np.array([3.0, 9.0])) is None
    order = []
    taken = versus.in_turns({name: lambda n=name: order.append(n) or (len(order), 1.0)
                             for name in "ab"}, runs=2)
    assert order == ["a", "b"] * 3 and taken["a"].tolist() == [[3, 1], [5, 1]]  # the first: warm-up
    assert versus.times(taken, "b", "a") == f"{np.median([4 / 3, 6 / 5]):.2f} (1.00)"


@pytest.mark.parametrize(("name", "says"), [
    ("VGG16", r"^\| VGG16 \| 13 \| .* \| equal \| [1-4] of 4 rise \| 10 ranked \| none \|$"),
    ("MobileNetV2", r"^\| MobileNetV2 \| 52 \| .* \| equal \| [1-4] of 4 rise \| \d+ ranked"),
    ("MobileNetV3Small", r"\| whole picture, by \S+_mul \| .* \| 20: \S+avg_pool .* choose a")])
def test_a_row_of_a_family_tells_what_can_be_looked_into(name, says):
    assert re.search(says, program("families").row(name, field=24))
