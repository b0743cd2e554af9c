"""Drawn stimuli against what they say they are, and tuning against units built to have it."""

import dataclasses

import keras
import numpy as np
import pytest

import vizutils as vz
from techniques import stimuli


def test_parallel_lines_have_their_period_and_orientation():
    picture = stimuli.waves(8, 0, size=64)[..., 0]
    assert picture.shape == (64, 64) and picture.dtype == np.float32
    np.testing.assert_allclose(picture, picture[:1].repeat(64, 0), atol=1e-3)  # along columns
    strongest = np.abs(np.fft.rfft(picture[0] - picture[0].mean())).argmax()
    assert strongest == 64 / 8
    turned = stimuli.waves(8, 90, size=64)[..., 0]
    np.testing.assert_allclose(turned, picture.T, atol=1e-3)


@pytest.mark.parametrize("directions", [1, 2, 3])
def test_polarity_is_the_negative_and_contrast_is_alike(directions):
    light = stimuli.waves(10, 15, directions=directions)
    dark = stimuli.waves(10, 15, directions=directions, polarity=-1)
    np.testing.assert_allclose(light + dark, 255, atol=1e-3)
    assert 60 < light.std() < 95
    assert light.min() >= 27.5 - 1e-3 and light.max() <= 227.5 + 1e-3


def test_three_directions_repeat_every_sixty_degrees():
    a, b = (stimuli.waves(9, angle, directions=3) for angle in (0, 60))
    np.testing.assert_allclose(a, b, atol=0.1)
    assert np.abs(a - stimuli.waves(9, 30, directions=3)).max() > 50


# --- the battery --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    """(stimuli of a 32-pixel field on 36 pixels, all their pictures)."""
    battery = stimuli.battery(size=36, field=32)
    return battery, battery.draw(np.arange(len(battery)))


def test_pictures_are_valid_and_none_is_drawn_twice(drawn):
    battery, images = drawn
    assert len(battery) >= 1000 and images.dtype == np.float32
    assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 255
    plain = images[(battery.table["family"] != "coloured").to_numpy()]
    assert len(np.unique(plain.round(2).reshape(len(plain), -1), axis=0)) == len(plain)


def test_contrast_is_equal_by_rule(drawn):
    battery, images = drawn
    table = battery.table
    structured = (table["family"] != "patch").to_numpy()
    np.testing.assert_allclose(images.mean(-1)[structured].mean((1, 2)), 127.5, atol=0.01)
    grey = structured & (table["chroma"] == 0).to_numpy()
    largest = np.abs(images[grey] - 127.5).max((1, 2, 3))
    np.testing.assert_allclose(largest, table["luma"].abs()[grey], rtol=1e-5)
    equal = structured & (table["luma"] == 0).to_numpy()
    assert np.ptp(images[equal].mean(-1), axis=(1, 2)).max() < 0.01
    assert np.ptp(images[equal], axis=(1, 2)).max(1).min() > 50


def test_orientation_is_that_of_the_line_and_left_is_left(drawn):
    battery, images = drawn

    def find(family, **values):
        rows = battery.table[battery.table["family"] == family]
        for column, value in values.items():
            rows = rows[rows[column] == value]
        return images[rows.index[0], ..., 0]

    rising = find("bar", orientation=45, polarity=1, shift=0)
    assert rising[4, 31] > 150 > rising[4, 4]  # row 4 is near the top: up on the right
    for family, values in [("edge", {"shift": 0}), ("corner", {"polarity": 1}),
                           ("curve", {"polarity": 1, "radius": 4.0})]:
        picture = find(family, orientation=0, **values)
        assert picture[:18].mean() > picture[18:].mean() + 1, family  # left of "eastwards": above
    high_low = find("high-low", orientation=90) - 127.5
    change = np.abs(np.diff(high_low, axis=0)).mean(0)  # the stripes lie across the boundary
    assert change[:15].mean() > 1.5 * change[-15:].mean()
    pairs = battery.table.query("family == 'colour pair' and colour == 'red' and orientation == 90")
    first = images[pairs.index[0]]
    assert first[18, 5, 0] > 220 and first[18, 30, 0] < first[18, 5, 0]


def test_turning_a_stimulus_is_turning_its_picture(drawn):
    battery, images = drawn
    table = battery.table[battery.table["family"] != "grid"]
    properties = table.columns.drop("orientation").tolist()
    turned = table.assign(orientation=table["orientation"] + 90).reset_index()
    pairs = table.reset_index().merge(turned, on=[*properties, "orientation"])
    assert set(pairs["family"]) >= {"grating", "bar", "edge", "curve", "corner", "high-low"}
    np.testing.assert_allclose(images[pairs["index_x"]],
                               np.rot90(images[pairs["index_y"]], axes=(1, 2)), atol=0.05)


def test_outlines_are_smooth(drawn):
    battery, images = drawn
    bar = battery.table.query("family == 'bar' and orientation == 15 and polarity == 1").index[0]
    assert len(np.unique(images[bar].round(1))) > 20  # not black and white


def test_batches_are_the_pictures(drawn):
    battery, images = drawn
    which, last = list(battery.batches(500))[-1]
    assert which[-1] == len(battery) - 1 and len(last) == len(battery) % 500
    np.testing.assert_array_equal(last, images[which])


def test_the_battery_grows_with_the_field():
    small, large = (stimuli.battery(size=s, field=s).table for s in (16, 100))
    for column in ("period", "width", "radius"):
        assert small[column].max() < large[column].max()
    assert small["period"].min() >= 3 and len(small) == len(large)


# --- units with known tuning --------------------------------------------------------------------


def toy(kernels, bias=0.0):
    """A network of one convolution with these kernels, each of shape (side, side, 3)."""
    inputs = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(len(kernels), kernels[0].shape[0], padding="same", name="toy")
    outputs = conv(inputs)
    conv.set_weights([np.stack(kernels, -1), np.full(len(kernels), bias)])
    return vz.as_network(keras.Model(inputs, outputs),
                         preprocess=lambda images: (images - 127.5) / 100)


def grid(side=15):
    """Coordinates x to the right and y up from the middle of a kernel."""
    rows, columns = np.mgrid[:side, :side] - side // 2
    return columns, -rows


def gabor(orientation, period=6.0):
    x, y = grid()
    turn = np.deg2rad(orientation)
    across = y * np.cos(turn) - x * np.sin(turn)
    wave = np.exp(-(x**2 + y**2) / 18) * np.cos(2 * np.pi * across / period)
    return np.repeat((wave - wave.mean())[..., None], 3, -1)


def disc(sign=1.0, inner=2.0):
    """Difference of two Gaussians: light centre, dark surround, sum zero."""
    squared = sum(c**2 for c in grid())
    centre, surround = (np.exp(-squared / (2 * s**2)) for s in (inner, 2 * inner))
    kernel = centre / centre.sum() - surround / surround.sum()
    return sign * np.repeat(kernel[..., None], 3, -1)


ANGLES = (10, 37, 90, 155)
UNITS = {
    **{f"gabor {a}": gabor(a) for a in ANGLES}, "light": disc(), "dark": disc(-1.0),
    "red": (disc() * 0 + np.exp(-(grid()[0]**2 + grid()[1]**2) / 18)[..., None]) * [1, -0.5, -0.5],
    "edge": np.repeat(np.sign(grid()[1])[..., None] * 1.0, 3, -1),
}


@pytest.fixture(scope="module")
def few():
    """Eight of the packaged pictures, small."""
    return vz.load_images(size=64, limit=8)


@pytest.fixture(scope="module")
def tuned(few):
    """The battery shown to all toys."""
    return stimuli.tuning(toy(list(UNITS.values())), "toy", image_set=few, progress=False)


def summary_of(tuned, name):
    return stimuli.summary(tuned, list(UNITS).index(name))


@pytest.mark.parametrize("angle", ANGLES)
def test_a_gabor_has_the_orientation_it_was_built_with(tuned, angle):
    found = summary_of(tuned, f"gabor {angle}")
    off = (found.orientation - angle + 90) % 180 - 90
    assert abs(off) < 5
    assert found.properties["orientation"] == "selective" and found.selectivity > 0.8
    assert found.circular_variance < 0.6
    assert abs(found.period - 6) < 1.5
    assert found.properties["colour"] != "chromatic"


@pytest.mark.parametrize(("name", "sign"), [("light", 1), ("dark", -1)])
def test_centre_surround_prefers_blobs_of_its_polarity_at_any_orientation(tuned, name, sign):
    found = summary_of(tuned, name)
    assert found.family == "blob" and found.properties["polarity"] == name
    assert found.polarity * sign > 0.5
    assert found.properties["orientation"] == "invariant" and found.variation < 0.1
    assert found.properties["colour"] == "invariant" and found.colour == pytest.approx(-1, abs=0.01)


def test_a_unit_for_red_prefers_red(tuned):
    found = summary_of(tuned, "red")
    assert found.properties["colour"] == "chromatic"
    assert min(found.hue, 360 - found.hue) < 10


def test_a_small_colour_unit_is_not_fooled_by_what_lies_between_the_lines(few):
    violet = toy([np.ones((3, 3, 3)) * [0.2, -1, 0.8]])  # at 281 degrees of the colour circle
    found = stimuli.summary(stimuli.tuning(violet, "toy", image_set=few, progress=False), 0)
    assert abs(found.hue - 281) < 10 and found.properties["colour"] == "chromatic"


def test_an_edge_unit_knows_its_light_side(tuned):
    edge = summary_of(tuned, "edge").families.loc["edge"]
    assert min(edge["direction"], 360 - edge["direction"]) < 5  # light above: direction 0
    assert edge["direction_selectivity"] == pytest.approx(1)


def test_a_unit_never_excited_has_no_tuning(few):
    silent = stimuli.tuning(toy([gabor(20)], bias=-1e4), "toy", image_set=few, progress=False)
    found = stimuli.summary(silent, 0)
    assert set(found.properties.values()) == {"none"} and found.family == "none"
    assert np.isnan([found.orientation, found.hue, found.polarity, found.curvature]).all()


def test_a_constant_unit_scores_zero(few):
    still = stimuli.tuning(toy([gabor(20) * 0], bias=3.0), "toy", image_set=few, progress=False)
    assert not still.scores.any()
    assert stimuli.summary(still, 0).family == "none"


# --- reading a layer ----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["block1_conv1", "block3_conv2"])
def test_responses_are_the_middle_units_and_the_scale_is_that_of_pictures(tiny, layer, noise):
    found = stimuli.tuning(tiny, layer, image_set=vz.as_image_set(noise), progress=False)
    size, centre = found.stimuli.size, found.stimuli.centre[0]
    seen = vz.receptive_field(tiny, layer, input_size=size)
    unit = round((centre - seen.size / 2 - seen.start) / seen.stride)
    top, _, bottom, _ = seen.window(unit, unit)
    assert 0 <= top and bottom <= size and (top + bottom) / 2 == centre
    some = np.arange(0, len(found.stimuli), 150)
    maps = vz.activations(tiny, layer, found.stimuli.draw(some), pre_activation=True)
    np.testing.assert_allclose(found.responses[some], maps[:, unit, unit], rtol=1e-4, atol=1e-4)
    inside = vz.receptive_field(tiny, layer, input_size=64).unpadded
    real = vz.activations(tiny, layer, noise, pre_activation=True)[:, inside, inside]
    np.testing.assert_allclose(found.mean, real.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.sd, real.std((0, 1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.scores * found.sd + found.mean, found.responses, atol=1e-3)


def test_one_filter_is_its_column_of_all(tiny, noise):
    options = {"image_set": vz.as_image_set(noise), "progress": False}
    every = stimuli.tuning(tiny, "block2_conv1", **options)
    one = stimuli.tuning(tiny, "block2_conv1", 3, **options)
    np.testing.assert_allclose(one.scores[:, 0], every.scores[:, 3], atol=1e-4)
    assert one.responses.shape == (len(one.table), 1) and list(one.filters) == [3]
    assert stimuli.summary(one, 3).families["control"].isna().all()
    with pytest.raises(ValueError, match="was not measured"):
        one.of(2)


def test_real_filters(vgg16, few):
    """block1_conv2 on few pictures: real units, indices within their ranges."""
    found = stimuli.tuning(vgg16, "block1_conv2", image_set=few, progress=False)
    assert np.isfinite(found.scores).all() and found.responses.shape == (len(found.table), 64)
    every = [stimuli.summary(found, f) for f in range(0, 64, 8)]
    for one in every:
        assert not one.selectivity < 0 and not one.selectivity > 1
        assert one.families["score"].max() == pytest.approx(one.score)
    assert any(one.properties["orientation"] == "selective" for one in every)


def test_figures_show_what_they_are_given(tuned):
    maps = stimuli.plot_tuning_maps(tuned, 0)
    images = [i for axes in maps.axes for i in axes.get_images()]
    assert [i.get_array().shape for i in images[:2]] == [(5, 12), (4, 24)]
    assert images[0].norm is images[1].norm
    polar = stimuli.plot_polar(tuned, 0)
    line = polar.axes[0].lines[0]
    peak = np.rad2deg(line.get_xdata()[line.get_ydata().argmax()])
    assert abs(peak % 180 - ANGLES[0]) < 10
    red = stimuli.plot_colour(tuned, list(UNITS).index("red"))
    heights = [bar.get_height() for bar in red.axes[2].patches]  # grey, red, yellow, …
    assert np.argmax(heights) == 1
    images, titles = stimuli.best_stimuli(tuned, 0, k=3)
    assert images.shape == (3, *(tuned.stimuli.size,) * 2, 3) and "grating" in titles[0]
    vz.plot_images(images, titles)


def test_results_cannot_be_changed_by_accident(tuned):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tuned.layer = "another"


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="at least 1"):
        stimuli.waves(8, 0, directions=0)
    with pytest.raises(ValueError, match="size must be at least 40"):
        stimuli.battery(size=30, field=40)
    with pytest.raises(ValueError, match="multiple of 12"):
        stimuli.battery(size=40, field=40, angles=10)
    with pytest.raises(ValueError, match="not found"):
        stimuli.tuning(tiny, "block9_conv1")
    with pytest.raises(ValueError, match="out of range"):
        stimuli.tuning(tiny, "block1_conv1", 99)
    with pytest.warns(UserWarning, match="sees padding"):
        stimuli.tuning(tiny, "block3_conv3", size=16, progress=False,
                       image_set=vz.as_image_set(np.full((1, 64, 64, 3), 9.0, "float32")))


def test_without_colours_nothing_is_said_about_them(tiny, pictures):
    tuned = stimuli.tuning(tiny, "block2_conv1", 1, image_set=pictures.subset([0]), colours=False)
    assert not set(tuned.table["family"]) & {"coloured", "colour pair"}
    assert len(tuned.stimuli) >= 1000
    found = stimuli.summary(tuned, 1)
    assert found.properties["colour"] == "none" and np.isnan(found.colour_variation)
