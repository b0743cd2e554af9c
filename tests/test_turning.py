"""Patches turned behind a window: the geometry is exact, and units built by hand mind it."""

import keras
import numpy as np
import pytest

import vizutils as vz
from techniques import turning

SIDE = 16


@pytest.fixture(scope="module")
def squares():
    """Three smooth squares of 26 px, the middle 16 of which are asked for."""
    rows, columns = np.mgrid[:26, :26] / 26
    shades = [rows, rows * columns, np.sin(5 * rows + 2 * columns) / 2 + 0.5]
    return np.stack([np.stack([s, 1 - s, s**2], -1) for s in shades]).astype("float32") * 200 + 20


def test_quarters_are_exact(squares):
    middle = squares[:, 5:-5, 5:-5]
    for n in range(4):
        np.testing.assert_array_equal(turning.turned_square(squares, 90 * n, SIDE),
                                      np.rot90(middle, n, (1, 2)))


@pytest.mark.parametrize("quarter", [0, 90, 180, 270])
def test_angles_next_to_quarters_look_like_them(squares, quarter):
    exact = turning.turned_square(squares, quarter, SIDE)
    np.testing.assert_allclose(turning.turned_square(squares, quarter + 0.01, SIDE), exact, atol=1)


def test_turning_goes_anticlockwise():
    square = np.zeros((1, 26, 26, 3), "float32")
    square[:, 11:15, 18:20] = 255  # to the right of the middle
    turned = turning.turned_square(square, 45, SIDE)[0, ..., 0]
    row, column = np.average(np.argwhere(turned > 60), axis=0)
    assert row < 7 and column > 9  # above it and to its right


def test_no_corner_is_lost(squares):
    """What lies outside the larger square's disc comes never into the window."""
    rows, columns = np.mgrid[:26, :26] - 12.5
    flat = np.where(np.hypot(rows, columns) > 11, 255, 100.0)[None, ..., None].repeat(3, -1)
    for angle in range(0, 360, 15):
        shown = turning.behind_window(turning.turned_square(flat, angle, SIDE))
        np.testing.assert_allclose(shown, 100, atol=2)


def test_the_window_hides_corners_and_keeps_the_middle(squares):
    patches = squares[:, 5:-5, 5:-5]
    shown = turning.behind_window(patches)
    np.testing.assert_array_equal(shown[:, 4:12, 4:12], patches[:, 4:12, 4:12])
    corners = shown[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, corners[:, :1].repeat(4, 1), atol=1e-3)
    assert np.abs(corners[:, 0] - patches.mean((1, 2))).max() < 20
    other = turning.behind_window(turning.turned_square(squares, 30, SIDE), squares)
    np.testing.assert_allclose(other[:, 0, 0], corners[:, 0], atol=1e-3)  # the same at every angle


# --- units built by hand --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    """Filters: 0 a lying bar, 1 a disc, 2 the light half above, 3 nothing; and their pictures."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    window = np.exp(-(rows**2 + columns**2) / 32)
    kernels = np.stack([np.abs(rows) < 2, np.hypot(rows, columns) < 4, rows < 0, 0 * rows], -1)
    kernels = kernels * 1.0
    kernels -= (window[..., None] * kernels).sum((0, 1)) / window.sum()
    x = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(4, SIDE, name="only")
    model = keras.Model(x, conv(x))
    conv.set_weights([(window[..., None] * kernels)[:, :, None].repeat(3, 2), np.zeros(4)])
    rows, columns = np.mgrid[:40, :40] - 19.5
    # a soft bar, a soft disc, a soft edge, each in the middle of two pictures
    drawn = [np.exp(-(rows / 2.5)**2), np.exp(-(rows**2 + columns**2) / 20),
             0.5 - 0.5 * np.tanh(rows / 2)]
    images = np.stack([c * d for d in drawn for c in (100, 200)])[..., None].repeat(3, -1) + 20
    return vz.as_network(model), vz.as_image_set(images.astype("float32"))


def turned(built, filter, **options):
    net, images = built
    return turning.turn(net, "only", filter, images, level=np.zeros(4), k=2, **options)


def test_a_disc_minds_no_angle(built):
    net, images = built
    found = turning.turn(net, "only", 1, images.subset([2, 3]), level=np.zeros(4), k=2)
    np.testing.assert_allclose(found.table["kept"], 1, atol=0.02)
    assert found.lost.set_index("filter").loc[1, "lost"] == pytest.approx(0, abs=0.02)


def test_a_bar_comes_back_after_half_a_turn_and_an_edge_does_not(built):
    bar = turned(built, 0).table.set_index("angle")["kept"]
    edge = turned(built, 2).table.set_index("angle")["kept"]
    assert bar[0] == edge[0] == 1
    assert bar[180] == pytest.approx(1, abs=0.02) and bar[90] < 0.3
    assert edge[180] == pytest.approx(-1, abs=0.02) and abs(edge[90]) < 0.05
    np.testing.assert_allclose(bar[[15, 30, 45]], bar[[345, 330, 315]], atol=0.02)


def test_the_table_has_intervals_and_controls(built):
    found = turned(built, 0, controls=3)
    table = found.table
    assert list(table["angle"]) == list(range(0, 360, 15)) and sorted(found.filters) == [0, 1, 2, 3]
    assert (table["low"] <= table["kept"] + 1e-6).all()
    assert (table["kept"] <= table["high"] + 1e-6).all()
    at_half = table.set_index("angle").loc[180]
    assert at_half["percentile"] == 50  # more is left than of the edge, less than of the disc
    assert found.patches.shape == (2, 24, SIDE, SIDE, 3)


def test_a_filter_with_nothing_to_lose_is_told_as_nan(built):
    found = turned(built, 3)
    assert found.table[["kept", "percentile"]].isna().all(axis=None)
    assert found.lost["lost"].isna()[0] and not found.table["control"].isna().any()


@pytest.mark.parametrize("options, says", [
    ({"step": 50}, "must divide 360"), ({"step": 0}, "must divide 360"),
    ({"level": np.zeros(3)}, "a number for each of the 4 filters"), ({"k": 0}, "k must be")])
def test_hopeless_questions_are_refused(built, options, says):
    net, images = built
    with pytest.raises(ValueError, match=says):
        turning.turn(net, "only", 0, images, **{"level": np.zeros(4)} | options)


def test_the_figure_names_the_filter(built):
    figure = turning.plot_turning(turned(built, 0), pictures=(0,))
    assert "filter 0" in figure.alt and "turned by" in figure.alt and "0°" in figure.alt
