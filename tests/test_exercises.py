"""The lookup tables: every call runs and gives what it says; every row leads to its cell."""

import re
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest

import vizutils as vz
from conftest import build_tiny_vgg, pictures_of
from techniques import (
    adversarial,
    architectures,
    attribution,
    dashboard,
    exercises,
    inversion,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/exercises.md").read_text(encoding="utf-8")


def table(heading):
    """The rows of the table below a heading of docs/exercises.md, the cells without backticks."""
    below = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in below.splitlines()
            if line.startswith("|")]
    return [[cell.replace("`", "") for cell in row] for row in rows[2:]]


@pytest.fixture(scope="module")
def names():
    """What a notebook holds when the calls of `exercises.FUNCTIONS` are made."""
    model = build_tiny_vgg()
    scores = keras.layers.Dense(1000)(keras.layers.GlobalAveragePooling2D()(model.output))
    net = vz.as_network(keras.Model(model.inputs, scores), head="distilled",
                        preprocess=lambda images: images / 128 - 1)
    images, layer = pictures_of(48), "block2_conv2"
    pictures = vz.load_images(size=48, limit=20)
    return {"net": net, "other": net, "images": images, "image": images[0], "layer": layer,
            "filter": 3, "pictures": pictures, "vz": vz, "adversarial": adversarial,
            "architectures": architectures, "attribution": attribution, "dashboard": dashboard,
            "inversion": inversion,
            "inverted": inversion.invert(net, layer, images[0], steps=2, progress=False),
            "attacked": adversarial.fgsm(net, images, epsilon=1)}


@pytest.mark.parametrize("row", exercises.FUNCTIONS, ids=lambda row: row.asked)
def test_every_call_runs_and_gives_what_it_says(row, names):
    found = eval(row.call, dict(names))
    assert row.gives in [kind.__name__ for kind in type(found).__mro__]
    if row.gives == "dict":
        assert set(found) == {"psnr", "ssim", "correlation"}


def test_the_page_and_companion_1_show_the_same_table():
    shown = [[f.asked, f.call, f"{f.gives}: {f.holds}", f"companion {f.companion}"]
             for f in exercises.FUNCTIONS]
    assert table("Functions") == shown
    assert exercises.functions()["here"].tolist() == [row[1] for row in shown]


def test_positions_are_those_of_the_layer_graph(vgg16):
    """Each row against the graph: a ReLU is the row before it, cut off at zero, and so on."""
    rows = [[int(position), *rest] for position, *rest in table("Positions")]
    found = inversion.positions(vgg16)
    assert [row[0] for row in rows] == list(range(31)) == list(found.index)
    noise = vz.made(pictures_of(64, 1))
    maps, kinds = {}, {"Conv2D": [], "MaxPooling2D": []}
    for position, module, layer, way in rows:
        assert [module, layer] == found.loc[position, ["module", "layer"]].tolist()
        before = "pre_activation=True" in way
        assert before == found.loc[position, "pre_activation"]
        maps[position] = vz.activations(vgg16, layer, noise, pre_activation=before)
        kind = type(vgg16.model.get_layer(layer)).__name__
        if before or kind == "MaxPooling2D":
            kinds[kind].append(position)
        else:
            np.testing.assert_array_equal(maps[position], np.maximum(maps[position - 1], 0))
    assert kinds["MaxPooling2D"] == [4, 9, 16, 23, 30]  # as torchvision counts them
    assert kinds["Conv2D"] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


# --- rows of the exercises' documents -------------------------------------------------------


def cells():
    return {cell.id: (path.name, cell) for path in sorted(ROOT.glob("notebooks/*.ipynb"))
            for cell in nbformat.read(path, as_version=4).cells}


def wrong_rows(rows, there):
    """Rows whose cell is missing, lies in another companion, or does not call what is named."""
    for row, companion, cell, call in rows:
        path, found = there.get(cell, ("", None))
        if not path.startswith(companion.removeprefix("companion ")):
            yield f"{row}: {companion} has no cell {cell}"
        elif call != "–" and not re.search(rf"\b{re.escape(call)}\(", found.source):
            yield f"{row}: cell {cell} does not call {call}"


def test_every_row_leads_to_a_cell_that_calls_what_it_names():
    rows = table("Rows")
    assert len(rows) >= 19
    assert list(wrong_rows(rows, cells())) == []


def test_a_row_that_leads_nowhere_is_found():
    there = {"a": ("1_x.ipynb", nbformat.v4.new_code_cell("vz.maximize(net)"))}
    rows = [["fine", "companion 1", "a", "vz.maximize"], ["words", "companion 1", "a", "–"],
            ["moved", "companion 2", "a", "–"], ["gone", "companion 1", "b", "–"],
            ["other", "companion 1", "a", "maxi"]]
    assert [text.split(":")[0] for text in wrong_rows(rows, there)] == ["moved", "gone", "other"]


def test_the_companions_take_a_picture_of_yours():
    for number in range(1, 6):
        (path,) = ROOT.glob(f"notebooks/{number}_*.ipynb")
        parameters = next(cell.source for cell in nbformat.read(path, as_version=4).cells
                          if "parameters" in cell.metadata.get("tags", []))
        assert 'IMAGE = ""' in parameters, path.name
