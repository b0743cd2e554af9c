"""Altered patches: each alteration does what its name says, and units built by hand mind it."""

import keras
import numpy as np
import pytest
from scipy import ndimage

import vizutils as vz
from techniques import alterations


@pytest.fixture(params=[12, 13], ids=["even", "odd"])
def patches(request):
    """Four patches of weak contrast, so that nothing is cut off at 0 or 255."""
    rng = np.random.default_rng(1)
    return rng.uniform(115, 140, (4, request.param, request.param, 3)).astype("float32")


def brightness(images):
    return images @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("way, moved", [
    ("turned", lambda p: p.transpose(0, 2, 1, 3)[:, ::-1]),  # anticlockwise: columns become rows
    ("half turn", lambda p: p[:, ::-1, ::-1]),
    ("mirrored", lambda p: p[:, :, ::-1]),
])
def test_turns_and_mirrors_move_pixels_exactly(patches, way, moved):
    np.testing.assert_array_equal(alterations.alter(patches, way), moved(patches))


@pytest.mark.parametrize("way, times", [("turned", 4), ("half turn", 2), ("mirrored", 2)])
def test_repeated_they_lead_back(patches, way, times):
    found = patches
    for _ in range(times):
        found = alterations.alter(found, way)
    np.testing.assert_array_equal(found, patches)


def test_grey_keeps_brightness_and_nothing_else(patches):
    found = alterations.alter(patches, "grey")
    assert (found == found[..., :1]).all()
    np.testing.assert_allclose(found[..., 0], brightness(patches), rtol=1e-5)


def test_inverted_mirrors_brightness_and_keeps_colours(patches):
    found = alterations.alter(patches, "inverted")
    before, after = brightness(patches), brightness(found)
    mean = before.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(after - mean, mean - before, atol=1e-3)
    np.testing.assert_allclose(np.diff(found, axis=-1), np.diff(patches, axis=-1), atol=1e-3)


def test_scrambled_keeps_the_pixels_and_not_their_places(patches):
    found = alterations.alter(patches, "scrambled", seed=3)
    for before, after in zip(patches.reshape(4, -1, 3), found.reshape(4, -1, 3), strict=True):
        # whole pixels: a colour stays together
        assert sorted(map(tuple, before)) == sorted(map(tuple, after))
        assert (before != after).any(1).mean() > 0.9


def test_phases_keep_the_spectrum_the_mean_and_how_colours_go_together(patches):
    found = alterations.alter(patches, "phases")
    before, after = (np.fft.fft2(p, axes=(1, 2)) for p in (patches, found))
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=0.05)
    np.testing.assert_allclose(found.mean((1, 2)), patches.mean((1, 2)), rtol=1e-5)
    apart = [np.angle(s[:, 1:4, 1:4, 0] / s[:, 1:4, 1:4, 1]) for s in (before, after)]
    np.testing.assert_allclose(np.exp(1j * apart[0]), np.exp(1j * apart[1]), atol=0.02)
    assert np.corrcoef(found.ravel(), patches.ravel())[0, 1] < 0.3


def test_blur_stays_within_a_patch_and_a_colour():
    dots = np.full((2, 32, 32, 3), 100, "float32")
    dots[0, 16, 16, 0] = 200  # one red dot, in the first patch
    found = alterations.alter(dots, "blurred")
    assert (found[1] == 100).all() and (found[0, ..., 1:] == 100).all()
    spread = found[0, ..., 0] - 100
    assert spread.sum() == pytest.approx(100, rel=1e-3)
    places = np.arange(32) - 16
    assert (spread.sum(0) * places**2).sum() / 100 == pytest.approx(2**2, rel=0.05)  # 32 / 16


@pytest.mark.parametrize("way", alterations.ALTERATIONS)
def test_every_alteration_gives_pictures_and_repeats(way):
    harsh = np.random.default_rng(0).choice([0, 255], (3, 16, 16, 3)).astype("float32")
    given = harsh.copy()
    found = alterations.alter(harsh, way, seed=5)
    assert found.shape == harsh.shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 255
    np.testing.assert_array_equal(found, alterations.alter(harsh, way, seed=5))
    np.testing.assert_array_equal(harsh, given)


def test_what_cannot_be_altered_is_refused(patches):
    with pytest.raises(ValueError, match="turned, half turn, mirrored, grey.*not 'sideways'"):
        alterations.alter(patches, "sideways")
    for wrong, message in ((patches[0], r"image\[None\]"), (patches[:, 1:], "square"),
                           (patches[..., :1], "make grey pictures RGB")):
        with pytest.raises(ValueError, match=message):
            alterations.alter(wrong, "turned")


# --- what units keep ----------------------------------------------------------------------------

CENTRE_SURROUND, GABOR, RED, LIGHT, DEAD = range(5)
BIASES = np.array([0.1, -0.4, 0.7, -0.2, 0.3])


def kernels_by_hand():
    """Filters whose likes are known, shape (9, 9, 3, 5)."""
    rows, columns = np.mgrid[-4:5, -4:5]
    near, far = (np.exp(-(rows**2 + columns**2) / (2 * sd**2)) for sd in (1.2, 2.4))
    centre_surround = near / near.sum() - far / far.sum()
    gabor = far * np.cos(2 * np.pi * rows / 6)
    luminance = np.array([0.299, 0.587, 0.114])
    shapes = [(centre_surround, luminance), (gabor - gabor.mean(), luminance),
              (near, np.array([1, -0.5, -0.5])), (near, luminance)]
    made = [shape[..., None] * colour for shape, colour in shapes]
    return np.stack([*made, np.zeros((9, 9, 3))], -1)


def by_hand(filters=slice(None)):
    kernel = kernels_by_hand()[..., filters]
    inputs = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(kernel.shape[3], 9, name="units")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel, BIASES[filters]])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def clouds():
    """Sixteen pictures of smooth coloured noise, 40 px."""
    noise = np.random.default_rng(0).normal(size=(16, 40, 40, 3))
    noise = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    return vz.as_image_set(np.clip(127 + 30 * noise / noise.std(), 0, 255).astype("float32"))


@pytest.fixture(scope="module")
def shares(clouds):
    """What each filter keeps: a frame (ways, filters)."""
    net = by_hand()
    return {f: alterations.kept(net, "units", f, clouds, level=level_of(net, clouds)).set_index(
        "way") for f in range(5)}


def level_of(net, image_set):
    return vz.activations(net, "units", image_set).mean((0, 1, 2), dtype="float64")


def test_a_round_unit_does_not_mind_turns(shares):
    moved = shares[CENTRE_SURROUND].loc[["turned", "half turn", "mirrored"]]
    np.testing.assert_allclose(moved["kept"], 1, atol=1e-3)


def test_an_oriented_unit_minds_a_quarter_turn_and_no_half_turn(shares):
    kept = shares[GABOR]["kept"]
    assert kept["turned"] < 0.3
    assert kept["half turn"] == pytest.approx(1, abs=1e-3)


def test_a_red_unit_minds_grey_and_a_light_one_does_not(shares):
    assert abs(shares[RED].loc["grey", "kept"]) < 0.1
    for unit in (CENTRE_SURROUND, GABOR, LIGHT):
        assert shares[unit].loc["grey", "kept"] == pytest.approx(1, abs=1e-3)


def test_a_unit_with_a_polarity_minds_inversion_and_a_red_one_does_not(shares):
    assert shares[CENTRE_SURROUND].loc["inverted", "kept"] < -0.8  # the opposite, nearly exactly
    assert shares[RED].loc["inverted", "kept"] == pytest.approx(1, abs=0.05)


def test_units_mind_the_loss_of_structure(shares):
    assert (shares[GABOR].loc[["scrambled", "phases"], "kept"] < 0.5).all()
    assert 0 < shares[CENTRE_SURROUND].loc["blurred", "kept"] < 1


def test_a_dead_unit_has_nothing_to_keep(shares):
    assert shares[DEAD][["kept", "percentile", "spread"]].isna().all(axis=None)
    assert np.isfinite(shares[DEAD]["control"]).all()


def test_kept_is_the_ratio_above_the_level(clouds, shares):
    net, filter, k = by_hand(), GABOR, 3
    level = level_of(net, clouds)
    found = alterations.kept(net, "units", filter, clouds, level=level, ways=["turned"], k=k)
    patches = vz.top_patches(net, clouds, "units", filter, k=k)
    turned = np.rot90(patches.images, axes=(1, 2)) / 128 - 1
    after = (turned * kernels_by_hand()[..., filter]).sum((1, 2, 3)) + BIASES[filter]
    after = after - level[filter]
    before = (patches.table["value"] - level[filter]).mean()
    assert found["kept"][0] == pytest.approx(after.mean() / before, abs=1e-4)
    assert found["spread"][0] == pytest.approx((after / before).std(), abs=1e-4)


@pytest.mark.parametrize("way", ["turned", "grey", "inverted", "blurred"])
def test_controls_are_the_other_filters_on_their_own_patches(shares, way):
    kept = np.array([shares[f].loc[way, "kept"] for f in (CENTRE_SURROUND, RED, LIGHT)])
    own = shares[GABOR].loc[way]
    assert own["control"] == pytest.approx(np.median(kept))  # the dead filter does not count
    assert own["percentile"] == pytest.approx(100 * (kept < own["kept"]).mean())


def test_kept_with_less_to_go_by(clouds):
    alone = by_hand([GABOR])
    found = alterations.kept(alone, "units", 0, clouds, level=level_of(alone, clouds), k=99,
                             ways=("turned", "grey"))
    assert found["way"].tolist() == ["turned", "grey"] and np.isfinite(found["kept"]).all()
    assert found[["control", "percentile"]].isna().all(axis=None)  # no other filter
    net = by_hand()
    drawn = [alterations.kept(net, "units", GABOR, clouds, level=level_of(net, clouds), controls=2,
                              k=2, seed=4, maxima=maxima)
             for maxima in (None, vz.image_maxima(net, "units", clouds))]
    assert drawn[0].equals(drawn[1])


def test_kept_refuses_what_it_cannot_answer(clouds):
    net = by_hand()
    level = level_of(net, clouds)
    with pytest.raises(ValueError, match="each of the 5 filters"):
        alterations.kept(net, "units", 1, clouds, level=level[1])
    with pytest.raises(ValueError, match="filters 0 to 4; 7 is out of range"):
        alterations.kept(net, "units", 7, clouds, level=level)
    with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
        alterations.kept(net, "units", 1, clouds, level=level, k=0)
    with pytest.raises(ValueError, match="not 'upside down'"):
        alterations.kept(net, "units", 1, clouds, level=level, ways=["upside down"])
