"""The shipped contact sheets: they are those that `tools.make_sheets` makes."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import vizutils as vz
from techniques import dashboard
from tools import make_sheets

LIMIT = 2_500_000  # bytes


@pytest.fixture(scope="module")
def made_by():
    with np.load(make_sheets.RESULT) as sheets:
        return json.loads(str(sheets["made_by"]))


def tiles_of(net, layer, filters):
    """The shipped tiles, float RGB 0-255, shape (n, side, side, 3)."""
    found = dashboard.find_sheet(net, layer, folder="nowhere")
    row = np.asarray(found.tiles(filters, make_sheets.TILE), float)
    return row.reshape(make_sheets.TILE, len(filters), make_sheets.TILE, 3).swapaxes(0, 1)


def likeness(first, second):
    """Correlations of every tile with every other, shape (n, n)."""
    first, second = (tiles.reshape(len(tiles), -1) for tiles in (first, second))
    return np.corrcoef(first, second)[:len(first), len(first):]


def test_every_filter_of_all_13_layers_has_a_tile(vgg16, made_by):
    assert make_sheets.RESULT.stat().st_size <= LIMIT
    assert tuple(made_by["filters"]) == vgg16.conv_layers and made_by["tile"] == make_sheets.TILE
    for layer in vgg16.conv_layers:
        found = dashboard.find_sheet(vgg16, layer, folder="nowhere")
        assert found.shipped and len(found.boxes) == vgg16.channels(layer)
        flat = tiles_of(vgg16, layer, range(len(found.boxes))).std((1, 2, 3)) < 3
        assert flat.mean() < 0.05, f"{layer}: {flat.sum()} tiles without contrast"


def test_other_weights_have_no_shipped_sheet(tiny):
    assert dashboard.find_sheet(tiny, "block1_conv1", folder="nowhere") is None


@pytest.mark.parametrize("layer", ["block1_conv2", "block3_conv1"])
def test_climbed_tiles_are_those_of_the_script(layer, vgg16, made_by, tmp_path):
    """One batch is climbed again; each tile is like its own, and not like the others."""
    assert made_by["kinds"][layer] == "climbed" and made_by["recipes"] == make_sheets.RECIPES
    filters = range(16)
    again = make_sheets.sheet(make_sheets.climbed(vgg16, layer, filters=filters, folder=tmp_path))
    row = np.asarray(Image.open(io.BytesIO(again.tobytes())).convert("RGB"), float)
    side = make_sheets.TILE
    again = row[:side].reshape(side, 16, side, 3).swapaxes(0, 1)
    alike = likeness(tiles_of(vgg16, layer, filters), again)
    own, others = np.diagonal(alike), alike[~np.eye(16, dtype=bool)]
    assert np.median(own) > 0.9 and own.min() > 0.5 > np.median(np.abs(others))


def test_photographs_tiles_are_those_of_the_script(vgg16, made_by):
    layers = [layer for layer, kind in made_by["kinds"].items() if kind == "photographs"]
    assert set(layers) <= {name for name in vgg16.conv_layers if name[5] in "45"}
    for layer in layers[:1]:
        pictures = make_sheets.patches(vgg16, layer, vz.load_images(), filters=range(8))
        again = make_sheets.sheet(pictures)
        row = np.asarray(Image.open(io.BytesIO(again.tobytes())).convert("RGB"), float)
        side = make_sheets.TILE
        own = np.diagonal(likeness(tiles_of(vgg16, layer, range(8)), row[:side, :8 * side].reshape(
            side, 8, side, 3).swapaxes(0, 1)))
        assert own.min() > 0.95


def test_a_sheet_holds_its_pictures_in_order():
    pictures = [np.full((4, 4, 3), 10.0 * i) for i in range(18)]
    page = np.asarray(Image.open(io.BytesIO(make_sheets.sheet(pictures).tobytes())).convert("RGB"))
    side = make_sheets.TILE
    assert page.shape == (2 * side, 16 * side, 3)
    for i in (0, 7, 17):
        row, column = divmod(i, 16)
        assert abs(int(page[row * side + 16, column * side + 16, 0]) - 10 * i) <= 6
