"""The sheet of methods: what was kept comes back, and what is missing or weak is said."""

import json

import numpy as np
import pytest
from PIL import Image

from techniques import method_sheet as ms

UNITS = [("block2_conv2", 7), ("block3_conv2", 9), ("block3_conv2", 1)]


@pytest.fixture
def sheet(tmp_path):
    """Two methods, three units, plain colours, one missing."""
    colours = {("ours", *unit): [60 * i, 100, 200] for i, unit in enumerate(UNITS)}
    colours |= {("peer", *UNITS[0]): [250, 20, 20], ("peer", *UNITS[2]): [20, 20, 250]}
    sides = (31, 51, 200, 96, 80)
    pictures = {key: (np.full((side, side, 3), 1.0) * colour, "weak: 3 %" if side == 51 else "")
                for side, (key, colour) in zip(sides, colours.items(), strict=True)}
    path = tmp_path / "sheet.webp"
    ms.save(pictures, path, methods=["ours", "peer"], units=UNITS, note={"command": "this"})
    return path, colours, ms.load(path)


def test_every_picture_is_where_its_method_and_unit_say(sheet):
    _, colours, found = sheet
    assert found.methods == ("ours", "peer") and list(found.units) == UNITS
    assert found.images.shape == (2, 3, ms.TILE, ms.TILE, 3) and found.note == {"command": "this"}
    for i, method in enumerate(found.methods):
        for j, unit in enumerate(found.units):
            wanted = colours.get((method, *unit), [128, 128, 128])
            inner = found.images[i, j, 8:-8, 8:-8]  # a WebP blurs borders
            np.testing.assert_allclose(inner.mean((0, 1)), wanted, atol=6)


def test_what_is_weak_or_missing_is_said_under_it(sheet):
    _, _, found = sheet
    assert found.notes == (("", "weak: 3 %", ""), ("", "not drawn", ""))
    figure = ms.plot_methods(found)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_xlabel() for axes in panels] == ["", "weak: 3 %", "", "", "not drawn", ""]
    assert panels[0].get_title() == "block2\nconv2\n7" and panels[3].get_title() == ""
    assert [panels[i].get_ylabel() for i in (0, 3)] == ["ours", "peer"]


def test_the_file_is_small_and_its_note_is_text(sheet):
    path, _, _ = sheet
    with Image.open(path) as image:
        assert image.size == (3 * ms.TILE, 2 * ms.TILE)
    assert json.loads(path.with_suffix(".json").read_text("utf-8"))["command"] == "this"
    with pytest.raises(FileNotFoundError):
        ms.load(path.with_name("other.webp"))


def test_tiles_of_another_size_come_back_whole(tmp_path):
    left = np.zeros((40, 40, 3))
    left[:, :20] = 255  # half white, half black: a tile cut elsewhere would not be
    ms.save({("a", *UNITS[0]): (left, ""), ("b", *UNITS[1]): (left[:, ::-1], "")},
            tmp_path / "sheet.webp", methods=["a", "b"], units=UNITS, note={}, tile=40)
    found = ms.load(tmp_path / "sheet.webp").images
    assert found.shape == (2, 3, 40, 40, 3)
    np.testing.assert_allclose(found[0, 0, :, 4:16].mean(), 255, atol=6)
    np.testing.assert_allclose(found[1, 1, :, 4:16].mean(), 0, atol=6)
