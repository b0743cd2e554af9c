"""Reports on any network: its pictures and classes, the sentences, and the whole of it."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_your_networks import DIGITS, digits, reader, trained

import vizutils as vz
from conftest import classifier, pictures_of
from techniques import dashboard, subject
from tools import report, rewording

layers = keras.layers
ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "lab3_circuit.ipynb"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A digits network's file, the names of its classes, and a folder of unseen digits."""
    place = tmp_path_factory.mktemp("mine")
    trained().save(place / "mine.keras")
    (place / "names.txt").write_text("\n".join(DIGITS), "utf-8")
    images, labels = digits()
    for i in range(1200, 1320):
        folder = place / "pictures" / DIGITS[labels[i]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i].astype("uint8")).save(folder / f"{i}.png")
    return place


# --- the network --------------------------------------------------------------------------------


def test_what_is_left_out_is_found_out(home):
    net = subject.load(home / "mine.keras", classes=str(home / "names.txt"))
    assert net.classes == DIGITS and not subject.is_imagenet(net) and subject.who(net) == "mine"
    numbered = subject.load(home / "mine.keras")
    assert numbered.classes == tuple(f"class {i}" for i in range(10))
    assert vz.classify(numbered, pictures_of(28), top=1)[0][0][1].startswith("class ")
    trunk = vz.as_network(keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 3)]))
    assert not subject.can_name(trunk) and "no classifier" in subject.unnamed(trunk).data
    shown = vz.made(pictures_of(32))
    assert len(subject.known(trunk, shown)) == len(subject.others(trunk, shown, [], [])[0]) == 0
    assert "was not asked" in subject.naming(trunk, shown.subset([]), [], pd.DataFrame())


def test_a_file_called_vgg16_is_not_taken_for_vgg16(home, vgg16):
    assert subject.is_vgg16(vgg16) and subject.who(vgg16).startswith("VGG16's trunk")
    trained().save(home / "vgg16.keras")
    net = subject.load(home / "vgg16.keras")
    assert net.name == "vgg16" and not subject.is_vgg16(net) and subject.facts(net, "corners", 4)
    unit = {"NETWORK": str(home / "vgg16.keras"), "WEIGHTS": "packaged", "LAYER": "corners",
            "FILTER": 1, "CLASSES": "", "PICTURES": str(home / "pictures")}
    assert report.check(unit, [1]) == report.Subject("vgg16.keras", imagenet=False, top=4)


@pytest.mark.parametrize(("middle", "says"), [
    ([layers.DepthwiseConv2D(5, name="here")], "here is a DepthwiseConv2D.*about: last"),
    ([layers.Conv2D(3, 7, name="here")], "here has 3 filters of 4 channels.*about: none"),
    ([layers.Conv2D(4, 3, name="here")], "sees 5 × 5 px: nothing is drawn.*about: last"),
    ([layers.Conv2D(4, 7, name="fine"), layers.MaxPooling2D(2), layers.Conv2D(
        4, 7, padding="same", name="middle"), layers.Conv2D(4, 9, padding="same", name="here")],
     "every position.*about: fine, middle")])
def test_a_layer_that_will_not_do_is_refused_with_those_that_will(middle, says):
    net = vz.as_network(classifier(*middle, layers.Conv2D(4, 7, padding="same", name="last")
                                   if len(middle) == 1 else layers.ReLU()))
    with pytest.raises(ValueError, match=says):
        subject.check(net, "here", 0)
    with pytest.raises(ValueError, match="first reads the picture itself"):
        subject.check(net, "first", 0)
    with pytest.raises(ValueError, match="'nowhere' not found.*Layers of own that the report can"):
        subject.check(net, "nowhere", 0)


def test_as_many_kernels_stay_for_comparison_as_are_ranked():
    assert subject.fitting_top(reader(), "corners", 10) == 4
    assert subject.fitting_top(reader(), "corners", 3) == 3
    said = subject.facts(reader(), "corners", 4)
    assert "never negative" in said and "reads 8 channels: 4 kernels are ranked" in said
    signed = vz.as_network(classifier(layers.Conv2D(4, 7, name="last")))
    assert "may be negative" in subject.facts(signed, "last", 2)


# --- pictures and classes -------------------------------------------------------------------------


def test_pictures_are_drawn_evenly_and_mixed(home, capsys, monkeypatch):
    monkeypatch.setattr(subject, "MOST", 60)
    found = subject.photographs(reader(), str(home / "pictures"))
    assert "60 of the 120 pictures" in capsys.readouterr().out
    assert set(np.bincount(found.labels, minlength=10)) <= {5, 6, 7}
    assert len(set(found.labels[:10])) == 10 and found.size == 28
    assert found.names == subject.photographs(reader(), str(home / "pictures")).names
    few = home / "pictures" / "seven"
    with pytest.raises(ValueError, match=r"picture\(s\) in .*seven: .*give 16 or more"):
        subject.photographs(reader(), str(few))


def test_files_are_named_as_the_arrays_they_hold(home):
    net = reader()
    photos = subject.photographs(net, str(home / "pictures"))
    numbers = [int(name.partition(".")[0]) for name in photos.names]
    pixels = np.repeat(digits()[0][numbers][..., None], 3, axis=-1)
    np.testing.assert_array_equal(photos.images, pixels.astype("uint8"))
    np.testing.assert_array_equal(vz.logits(net, photos), vz.logits(net, photos.images))


def test_a_filter_that_never_fires_is_refused_with_those_that_do(home):
    net, folder = reader(), str(home / "pictures")
    kernel, bias = net.model.get_layer("corners").get_weights()
    kernel, bias = kernel.copy(), bias.copy()
    kernel[..., 3], bias[3] = 0, -1
    dull = dataclasses.replace(net.with_weights({"corners": [kernel, bias]}, "one dead"))
    subject.check_pictures(dull, "corners", [1], folder)
    with pytest.raises(ValueError, match="filter 3 of corners does not fire.*those that fire most"):
        subject.check_pictures(dull, "corners", [1, 3], folder)


def test_right_and_wrong_names_are_counted_and_shown(home):
    net = reader()
    photos = subject.photographs(net, str(home / "pictures"))
    named = subject.known(net, photos)
    guesses = vz.classify(net, named, top=5)
    right = sum(g[0][1] == DIGITS[i] for g, i in zip(guesses, named.labels, strict=True))
    said = subject.naming(net, named, guesses, pd.DataFrame())
    assert f"digits names {right} of 120 pictures right (guessing would get 12.0)" in said
    assert "worth reading" in said
    wrong, what = subject.others(net, photos, named, guesses)
    assert what == "Pictures that it names wrong." and len(wrong) == min(12, 120 - right)
    truths = subject.truths(net, wrong)["true class"]
    assert not any(g[0][1] == true for g, true in zip(vz.classify(net, wrong), truths, strict=True))
    nameless = vz.load_images(photos.images, size=28, classes=DIGITS)
    assert not len(subject.known(net, nameless))
    assert "No picture's class is known" in subject.unnamed(net).data
    shown, what = subject.others(net, nameless, nameless.subset([]), [])
    assert len(shown) == 12 and subject.truths(net, shown) == {}


def test_a_network_without_its_scaling_is_told_which_would_do(home):
    """The digits network as if it had been trained on 0-1, without a Rescaling inside."""
    x = inputs = keras.Input((28, 28, 1))
    for layer in trained().layers[2:]:
        x = layer(x)
    bare = keras.Model(inputs, x)
    folder = str(home / "pictures")
    net = vz.as_network(bare, classes=DIGITS)
    named = subject.known(net, subject.photographs(net, folder))
    guesses = vz.classify(net, named, top=5)
    if sum(g[0][1] == DIGITS[i] for g, i in zip(guesses, named.labels, strict=True)) > 60:
        guesses = [[("", "none", 1.0)]] * len(named)  # it withstands the wrong scale
    assert subject.better_scaling(net, named, 12).startswith("With PREPROCESS=0-1 it would name")
    said = subject.naming(net, named, guesses, pd.DataFrame())
    assert "may not be worth reading" in said
    scaled = vz.as_network(bare, preprocess="0-1", classes=DIGITS)
    np.testing.assert_allclose(vz.logits(scaled, named), vz.logits(reader(), named), rtol=1e-3,
                               atol=1e-4)
    right = (vz.logits(scaled, named).argmax(1) == named.labels).sum()
    assert subject.better_scaling(scaled, named, right) == ""


def test_classes_of_ones_own_are_tested_picture_by_picture(home):
    net = reader()
    half = subject.photographs(net, str(home / "pictures"))
    table, groups = subject.class_tables(net, "corners", 10, half)
    each = vz.class_table(net, "corners", 10, half, each=True)
    assert len(table) == len(groups) == 10 and len(each) == len(half)
    assert each.groupby("label")["mean"].mean()[table.label[0]] == pytest.approx(table["mean"][0])
    assert groups.classes.sum() == len(half)
    said = subject.class_answer(net, table, groups)
    assert f"class of half A is {table.label[0]}. Of 10 classes" in said
    assert list(subject.leading(table, count=3)) == ["label", "mean of the largest pre-activations"]
    nameless = vz.load_images(half.images, size=28, classes=DIGITS)
    empty = subject.class_tables(net, "corners", 10, nameless)
    assert "nothing is said about classes" in subject.class_answer(net, *empty)
    assert not len(subject.leading(empty[0]))


@pytest.mark.parametrize(("values", "unit", "shown"), [
    ([11754.2, 3], 10, [11750, 0]), ([1932.0, 148], 100, [1900, 100]), ([432.1, 1], 100, [432, 1]),
    ([1.9344, 0.5], 100, [1.93, 0.5]), ([24.2344, -3.06], 10, [24.2, -3.1]), ([0.0], 10, [0])])
def test_numbers_are_rounded_to_what_they_are_worth(values, unit, shown):
    found = subject.rounded(pd.Series(values, dtype="float32"), unit)
    assert [f"{x}" for x in found] == [f"{x}" for x in shown]


def test_a_number_in_a_sentence_keeps_three_digits():
    assert [subject.number(x) for x in (13069.4, 292.3, 35.71, -0.0213)] == [
        "13,069", "292", "35.7", "-0.0213"]


def test_a_grey_network_is_drawn_and_asked_without_colours():
    net = reader()
    assert not net.reads_colour
    drawn = vz.maximize(net, "corners", [1, 2], steps=4, snapshots=[2])
    for images in (drawn.images, drawn.snapshots[2]):
        assert np.ptp(images, axis=-1).max() == 0
    start = pictures_of(28, 1)[0]
    kept = vz.maximize(net, "corners", 1, steps=1, start=start, transforms=(),
                       parameterisation=vz.Pixels(), optimiser=vz.Normalised(1.0))
    assert np.abs(kept.images[0] - start).max() < 2  # a picture that was given keeps its colours


def test_the_dashboard_takes_the_same_names(home):
    board = dashboard.Dashboard(layer="corners", filter=1, networks=[home / "mine.keras"], shown=(),
                                images=home / "pictures", classes=str(home / "names.txt"),
                                preprocess="none", steps=2)
    view = board.view
    board.close()
    assert view.net.classes == view.pictures.classes == DIGITS and view.pictures.size == 28
    assert (view.pictures.labels >= 0).all() and len(view.pictures) == 120
    scope = {"vz": vz}
    exec("\n".join(view.code.values()), scope)
    assert scope["net"].classes == DIGITS and scope["pictures"].names == view.pictures.names


# --- the report's sentences --------------------------------------------------------------------


def test_each_text_that_is_said_otherwise_stands_in_the_report_once():
    cells = [cell.source for cell in nbformat.read(REPORT, as_version=4).cells]
    for entry in rewording.entries():
        places = [cell for cell in cells if rewording.old_text(entry, cell)]
        assert len(places) == 1, entry
        assert "part" not in entry or places[0].count(entry["part"]) == 1, entry


OTHER = {"NETWORK": "mine.keras", "LAYER": "corners", "FILTER": 1}


def told(subject_, asked=None):
    notebook = report.prepare(REPORT, OTHER if asked is None else asked, subject_)
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_of_another_network_nothing_is_said_that_holds_for_vgg16_alone():
    for imagenet in (True, False):
        text = told(report.Subject("mine", imagenet, 4))
        assert text.startswith("# Lab 3: a circuit in mine\n")
        about = [line for line in text.splitlines() if "VGG16" in line]
        assert all("first written about VGG16" in line or "measured for layers of VGG16" in line
                   for line in about), about
        assert not re.search(r"\b[Tt]en\b(?! of the twenty| of them| strongest of half)", text)
        assert "lie within the random ones" not in text and "{" not in text.replace("{sh", "")
        assert ("ILSVRC-2012 [2]" in text) is imagenet
        assert ("CLASSES" in text) is not imagenet


def test_of_vgg16_everything_is_said_as_before():
    before = nbformat.read(REPORT, as_version=4)
    same = report.prepare(REPORT, {"PROFILE": "quick"})
    assert {c.source for c in before.cells} <= {c.source for c in same.cells} | {
        c.source for c in report.tagged(before, "only-full")}
    fewer = told(None, {"TOP": 6})
    assert "the top six dark" in fewer and "The six upstream channels" in fewer


def test_of_vgg16_the_answers_are_those_of_the_committed_report(vgg16):
    """What moved from the report's cells into functions says what the cells said."""
    said = " ".join(output.data["text/markdown"]
                    for cell in nbformat.read(REPORT, as_version=4).cells
                    for output in cell.get("outputs", [])
                    if "text/markdown" in output.get("data", {}))
    photos = subject.photographs(vgg16)
    assert photos.names == vz.load_images().names
    named = subject.known(vgg16, photos)
    text = subject.naming(vgg16, named, vz.classify(vgg16, named), pd.DataFrame())
    first, _, last = text.partition(" The network names")
    assert first in said and last in said
    half = photos.subset(vz.split_halves(len(photos))[0])
    table, groups = subject.class_tables(vgg16, "block3_conv2", 37, half)
    assert subject.class_answer(vgg16, table, groups) in said
    assert subject.leading(table)["largest pre-activation"].mod(10).eq(0).all()
    assert subject.facts(vgg16, "block3_conv2", 10) == ""
    assert subject.reference(vgg16, "block3_conv2", photos) is None
    assert f"{subject.crowd(vgg16, photos)}." in said


def test_an_entry_that_is_none_is_refused(tmp_path):
    path = tmp_path / "texts.toml"
    path.write_text('[[text]]\npart = "a"\nwhen = "sometimes"\nsay = "b"\n', "utf-8")
    with pytest.raises(ValueError, match=r"texts.toml has an entry that is none: .*sometimes"):
        rewording.entries(path)


# --- the whole of it ------------------------------------------------------------------


LITE = ["NETWORK=efficientnet_lite0", "LAYER=block3a_project_conv", "FILTER=0"]


@pytest.mark.skipif("VIZUTILS_LONG" not in os.environ, reason="minutes; make test-long runs it")
@pytest.mark.parametrize("own", [True, False], ids=["digits", "lite0"])
def test_the_report_on_another_network(own, home):
    words = [f"NETWORK={home}/mine.keras", "LAYER=corners", "FILTER=10",
             f"PICTURES={home}/pictures", f"CLASSES={home}/names.txt"] if own else LITE
    done = subprocess.run([sys.executable, "-m", "tools.report", REPORT.name, "PROFILE=quick",
                           *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    stem = "mine_corners_10" if own else "efficientnet_lite0_block3a_project_conv_0"
    notebook = nbformat.read(ROOT / "build" / f"{stem}.ipynb", as_version=4)
    (cell,) = report.tagged(notebook, "summary")
    found = json.loads(cell.outputs[0].text)
    assert found["network"] == ("mine" if own else "efficientnet_lite0")
    assert found["verdict"] in ("supported", "refuted", "undecided")
    answers = " ".join(output.data["text/markdown"] for cell in notebook.cells
                       for output in cell.get("outputs", []) if "text/markdown" in output.get(
                           "data", {}))
    assert ("mine names" if own else "efficientnet_lite0 names 18 of 20 ImageNet") in answers
    assert "nan" not in answers and "VGG16" not in answers
