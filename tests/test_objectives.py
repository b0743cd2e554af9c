"""Objectives that see the picture or compare with what is given: values, slopes, climbs."""

import functools

import numpy as np
import pytest

import vizutils as vz
from engine.optimisers import Momentum
from engine.parameterisations import MEAN, SPREAD
from engine.reading import seen_by
from engine.render import traced_ascent
from techniques import inversion

LAYER, SIDE = "block1_conv1", 12


@pytest.fixture
def pictures(noise):
    """Two pictures with room for a step of 30 grey levels."""
    return 30 + noise[:2, :SIDE, :SIDE] * np.float32(195 / 255)


# --- what each says, by hand ------------------------------------------------------------------


def standardised(picture):
    return (picture.astype("float64") / 255 - MEAN.astype("float64")) / SPREAD.astype("float64")


def variation(picture, power):
    x, total = standardised(picture), 0.0
    for row in range(SIDE - 1):
        for column in range(SIDE - 1):
            down = x[row + 1, column] - x[row, column]
            right = x[row, column + 1] - x[row, column]
            total += (np.sqrt(down**2 + right**2) ** power).sum()
    return total


def norm(picture, power):
    return (np.abs(standardised(picture)) ** power).sum()


def apart(picture, other):
    return ((picture.astype("float64") - other) ** 2).mean()


OTHER = np.random.default_rng(5).uniform(0, 255, (SIDE, SIDE, 3)).astype("float32")
SEEN = {
    "total_variation, 1": (lambda: vz.total_variation(1), functools.partial(variation, power=1)),
    "total_variation, 1.5": (lambda: vz.total_variation(1.5),
                             functools.partial(variation, power=1.5)),
    "total_variation, 2": (vz.total_variation, functools.partial(variation, power=2)),
    "lp_norm, 1": (lambda: vz.lp_norm(1), functools.partial(norm, power=1)),
    "lp_norm, 6": (vz.lp_norm, functools.partial(norm, power=6)),
    "distance_to": (lambda: vz.distance_to(OTHER), functools.partial(apart, other=OTHER)),
}


def value(net, objective, images, **options):
    """An objective's value on given pictures, as the ascent measures it."""
    return vz.render(net, objective, size=images.shape[1], steps=1, start=images, transforms=(),
                     parameterisation=vz.Pixels(), progress=False, **options).history[0]


def slope(net, objective, image, length):
    """The gradient at a picture, from a step of plain ascent whose longest change is `length`."""
    rate = 1.0
    for _ in range(60):  # a rate of the right order, whatever the objective's scale is
        found = vz.render(net, objective, size=SIDE, steps=1, start=image, transforms=(),
                          parameterisation=vz.Pixels(), optimiser=Momentum(rate, 0.0),
                          progress=False).images[0]
        longest = np.abs(found - image).max()
        if length / 2 < longest < length:
            return (found.astype("float64") - image) / rate
        rate *= 0.7 * length / longest if longest > 1e-3 else 1e3
    raise AssertionError("no step of that length")


@pytest.mark.parametrize("name", SEEN)
def test_values_are_those_of_numpy(tiny, pictures, name):
    objective, by_hand = SEEN[name]
    expected = [by_hand(picture) for picture in pictures]
    np.testing.assert_allclose(value(tiny, objective(), pictures), expected, rtol=1e-5)
    np.testing.assert_allclose(value(tiny, objective(), pictures, measure="climb"), expected,
                               rtol=1e-5)


@pytest.mark.parametrize("name", SEEN)
def test_a_climb_goes_along_the_slope_of_finite_differences(tiny, pictures, name):
    objective, by_hand = SEEN[name]
    image, rng = pictures[0].astype("float64"), np.random.default_rng(0)
    found = slope(tiny, objective(), pictures[0], 25)
    for row, column, colour in rng.integers(0, (SIDE, SIDE, 3), (15, 3)):
        step = np.zeros(image.shape)
        step[row, column, colour] = 1e-2
        expected = (by_hand(image + step) - by_hand(image - step)) / 2e-2
        assert found[row, column, colour] == pytest.approx(
            expected, rel=5e-3, abs=1e-4 * np.abs(found).max())


@pytest.mark.parametrize("pre_activation", [True, False])
def test_the_distance_of_maps_is_a_share_of_the_target(tiny, pictures, pre_activation):
    """Over all positions, padding or not, before and after the ReLU."""
    kind = {"pre_activation": pre_activation}
    targets = vz.activations(tiny, "block2_conv1", pictures[::-1], **kind).astype("float64")
    maps = vz.activations(tiny, "block2_conv1", pictures, **kind)
    expected = ((maps - targets) ** 2).sum((1, 2, 3)) / (targets**2).sum((1, 2, 3))
    goal = vz.feature_distance("block2_conv1", targets, **kind)
    for measure in (None, "climb"):
        np.testing.assert_allclose(value(tiny, goal, pictures, measure=measure), expected,
                                   rtol=1e-4)
    itself = vz.feature_distance("block2_conv1", maps, **kind)
    np.testing.assert_allclose(value(tiny, itself, pictures), 0, atol=1e-10)


def test_the_slope_of_the_distance_of_maps(tiny, pictures):
    """Before the ReLU block1_conv1 is linear, so differences of any length give the slope."""
    image, other = pictures
    target = vz.activations(tiny, LAYER, other[None], pre_activation=True)
    found = slope(tiny, vz.feature_distance(LAYER, target, pre_activation=True), image, 25)

    def share(picture):
        map_ = vz.activations(tiny, LAYER, picture[None], pre_activation=True).astype("float64")
        return ((map_ - target) ** 2).sum() / (target.astype("float64") ** 2).sum()

    rng = np.random.default_rng(1)
    for _ in range(5):
        step = rng.uniform(-20, 20, image.shape).astype("float32")
        expected = (share(image + step) - share(image - step)) / 2
        assert (found * step).sum() == pytest.approx(expected, rel=1e-2,
                                                     abs=1e-2 * np.abs(found * step).sum())


@pytest.mark.parametrize("objective", [vz.total_variation(1), vz.total_variation(1.5),
                                       vz.lp_norm(1), vz.lp_norm(1.5)])
def test_a_flat_picture_has_a_slope(tiny, objective):
    flat = np.full((SIDE, SIDE, 3), 127.0)
    found = vz.render(tiny, -objective, size=SIDE, steps=2, start=flat, transforms=(),
                      parameterisation=vz.Pixels(), optimiser=vz.Adam(1.0), progress=False)
    assert not found.broken.any() and np.isfinite(found.history).all()


# --- what is read -----------------------------------------------------------------------------


def test_a_climb_reads_the_picture_itself_not_what_transforms_make_of_it(tiny, pictures):
    options = {"size": SIDE, "steps": 3, "start": pictures, "parameterisation": vz.Pixels(),
               "optimiser": vz.Normalised(50.0), "progress": False}
    goal = -vz.distance_to(OTHER)
    still = vz.render(tiny, goal, transforms=(), **options)
    shaken = vz.render(tiny, goal, **options)
    np.testing.assert_allclose(still.images, shaken.images, atol=1e-3)


def test_each_picture_comes_near_its_own(tiny, pictures):
    options = {"size": SIDE, "steps": 120, "parameterisation": vz.Pixels(), "progress": False,
               "optimiser": vz.Adam(4.0)}
    found = vz.render(tiny, -vz.distance_to(pictures), **options)
    np.testing.assert_allclose(found.images, pictures, atol=5)
    one = vz.render(tiny, -vz.distance_to(OTHER), seed=[0, 1], **options)
    np.testing.assert_allclose(one.images, [OTHER] * 2, atol=5)


def test_terms_hold_an_ascent_back(tiny, noise):
    """Regularised ascents and caricatures are sums of nouns."""
    options = {"size": 32, "steps": 40, "progress": False, "transforms": (), "seed": 3}
    goal, photograph = vz.channel("block2_conv1", [1, 2]), noise[0, :32, :32]
    free = vz.render(tiny, goal, **options)
    smooth = vz.render(tiny, goal - 1e-2 * vz.total_variation(), **options)
    near = vz.render(tiny, goal - 1e-3 * vz.distance_to(photograph), start=photograph, **options)
    far = vz.render(tiny, goal, start=photograph, **options)
    for held, loose, objective in ((smooth, free, vz.total_variation()),
                                   (near, far, vz.distance_to(photograph))):
        assert (value(tiny, objective, held.images)
                < 0.7 * value(tiny, objective, loose.images)).all()
        assert (value(tiny, goal, held.images) > value(tiny, goal, noise[:2, :32, :32])).all()
    seen = vz.activations(tiny, "block2_conv1", noise[:1, :32, :32])
    more = inversion.resemblance("block2_conv1", seen) - 1e-2 * vz.total_variation()
    found = vz.render(tiny, more, measure="climb", **options)
    assert found.history[-1, 0] > found.history[0, 0]


def test_a_unit_is_still_climbed_on_what_it_sees_and_the_picture_read_whole(tiny, noise):
    goal = vz.unit("block2_conv1", [1]) + 0.5 * vz.lp_norm(2)
    images = noise[:1, :48, :48]
    unit = value(tiny, vz.unit("block2_conv1", [1]), images)
    np.testing.assert_allclose(value(tiny, goal, images), unit + 0.5 * norm(images[0], 2),
                               rtol=1e-4)
    readings = [r for r in goal.readings if r.layer != vz.PICTURE]
    rows, _ = seen_by(tiny, [r.layer for r in readings], readings, 48)
    assert rows.stop - rows.start < 24
    found = vz.render(tiny, goal, size=48, steps=1, start=images, transforms=(),
                      parameterisation=vz.Pixels(), optimiser=vz.Normalised(100.0))
    assert (found.images != images).any((0, 3)).all()  # the norm pulls at every pixel


def test_the_size_hangs_on_the_layers_that_are_read(tiny):
    small = vz.channel("block1_conv1", 0)
    sides = {len(vz.render(tiny, goal, steps=1, progress=False).images[0])
             for goal in (small, small - vz.total_variation(), vz.lp_norm() + small)}
    assert sides == {vz.canvas(tiny, "block1_conv1")}
    alone = vz.render(tiny, -vz.total_variation(), steps=1, progress=False)
    assert len(alone.images[0]) == tiny.input_size


# --- terms side by side, and what a climb tells -------------------------------------------------


def test_terms_side_by_side_are_told_apart_and_climbed_together(tiny, noise):
    a, b, c = vz.channel("block2_conv1", [1, 2]), vz.diversity("block2_conv1", [0, 0]), vz.lp_norm()
    options = {"size": 24, "steps": 6, "progress": False}
    apart = vz.render(tiny, vz.side_by_side(a, 3 * b, -1e-4 * c), **options)
    together = vz.render(tiny, a + 3 * b - 1e-4 * c, **options)
    assert apart.history.shape == (7, 2, 3)
    np.testing.assert_allclose(apart.images, together.images, atol=0.05)
    np.testing.assert_allclose(apart.history.sum(-1), together.history, rtol=1e-3, atol=1e-4)
    for i, term in enumerate((a, 3 * b, -1e-4 * c)):
        np.testing.assert_allclose(apart.history[-1, :, i], value(tiny, term, apart.images),
                                   rtol=1e-3, atol=1e-5)
    for wrong in (vz.side_by_side(a, b) + c, c - vz.side_by_side(a, b)):
        with pytest.raises(ValueError, match="add first, then call side_by_side"):
            vz.render(tiny, wrong, **options)


def test_a_climb_tells_what_it_climbs_on_at_every_step(tiny, noise):
    """Without transforms and clipping that is what measuring after every step tells."""
    target = vz.activations(tiny, "block2_conv1", noise[:2, :24, :24])
    goal = vz.side_by_side(-vz.feature_distance("block2_conv1", target), -1e-6 * vz.lp_norm())
    options = {"size": 24, "steps": 9, "transforms": (), "progress": False}
    told = vz.render(tiny, goal, measure="climb", every=4, **options)
    measured = vz.render(tiny, goal, every=1, **options)
    assert told.measured == measured.measured == tuple(range(10))
    np.testing.assert_allclose(told.history, measured.history, rtol=1e-4)
    np.testing.assert_allclose(told.images, measured.images, atol=0.01)
    assert len(np.unique(told.history[:, 0, 0])) == 10


def test_what_is_told_of_a_climb_is_not_clipped(tiny):
    white = np.full((SIDE, SIDE, 3), 255.0)
    found = vz.render(tiny, vz.lp_norm(2), size=SIDE, steps=3, start=white, transforms=(),
                      parameterisation=vz.Pixels(), optimiser=vz.Normalised(200.0), every=1,
                      measure="climb", progress=False)
    assert (np.diff(found.history[:, 0]) > 0).all()
    assert found.history[-1, 0] > 1.02 * norm(white, 2)
    assert (found.images == 255).all()


def test_measurements_are_taken_when_asked(tiny):
    goal, steps = vz.channel("block2_conv1", 1), []
    found = vz.render(tiny, goal, size=24, steps=10, every=4, snapshots=[7], progress=False,
                      on_step=lambda step, pictures: steps.append(step))
    assert found.measured == (0, 4, 7, 8, 10) and steps == [4, 7, 8, 10]
    assert found.history.shape == (11, 1) and (found.history[4] == found.history[6]).all()
    for wrong, words in (({"every": 0}, "every must be a whole number of at least 1"),
                         ({"measure": "ascent"}, 'measure is an objective or "climb"')):
        with pytest.raises(ValueError, match=words):
            vz.render(tiny, goal, size=24, steps=1, **wrong)


def test_a_climb_that_blows_up_tells_of_its_last_sound_picture(tiny):
    goal = vz.side_by_side(vz.channel("block2_conv1", [1]), -1e-9 * vz.lp_norm())
    options = {"size": 24, "measure": "climb", "transforms": (), "progress": False}
    begun = vz.render(tiny, goal, steps=1, snapshots=[0], **options)
    for steps in (1, 8):
        with np.errstate(all="ignore"):
            wild = vz.render(tiny, goal, steps=steps, optimiser=vz.Adam(1e38), **options)
        assert wild.broken.all() and wild.history.shape == (steps + 1, 1, 2)
        np.testing.assert_array_equal(wild.images, begun.snapshots[0])
        np.testing.assert_allclose(wild.history[[0, -1]], begun.history[[0, 0]], rtol=1e-4)


def test_other_weights_and_targets_cost_no_trace(tiny, noise):
    tiny._kept.clear()  # another test may have used it
    for picture, weight in zip(noise, (1e-7, 1e-6, 1e-5, 0.0), strict=True):
        inversion.invert(tiny, "block2_conv1", picture, steps=2, alpha_weight=weight, seed=1)
    traced = [f for (build, *_), f in tiny._kept.items() if build is traced_ascent]
    assert [f.experimental_get_tracing_count() for f in traced] == [1]


@pytest.mark.parametrize(("make", "said"), [
    (lambda net: vz.total_variation(0.5), "power must be at least 1"),
    (lambda net: vz.lp_norm(0), "power must be at least 1"),
    (lambda net: vz.lp_norm(float("nan")), "power must be at least 1"),
    (lambda net: vz.feature_distance("block1_conv1", np.zeros((1, 4, 4, 4))),
     "target map of block1_conv1 is zero everywhere"),
    (lambda net: vz.render(net, -vz.distance_to(OTHER), size=24, steps=1),
     r"read has shape \(24, 24, 3\).*compared with \(12, 12, 3\).*size="),
    (lambda net: vz.render(net, -vz.feature_distance("block1_conv1", np.ones((1, 9, 9, 4))),
                           size=24, steps=1), r"\(24, 24, 4\).*\(9, 9, 4\)"),
    (lambda net: vz.render(net, -vz.distance_to(np.stack([OTHER] * 2)), size=SIDE, seed=[1, 2, 3],
                           steps=1), "cannot be paired"),
])
def test_what_cannot_be_is_told_in_a_sentence(tiny, make, said):
    with pytest.raises(ValueError, match=said):
        make(tiny)
