"""Accentuation: the photograph climbs, and its own features hold it back."""

import threading

import numpy as np
import pytest

import vizutils as vz
from techniques import accentuation


@pytest.fixture(scope="module")
def photograph():
    return vz.load_images(limit=1, size=64).images[0]


def climbed(tiny, photograph, **options):
    return accentuation.accentuate(tiny, "block2_conv2", [1, 3], photograph,
                                   **{"steps": 24, "rate": 0.05, "progress": False} | options)


@pytest.fixture
def found(tiny, photograph):
    return climbed(tiny, photograph)


def test_filters_rise_and_the_report_says_by_how_much(tiny, photograph, found):
    assert found.images.shape == (2, 64, 64, 3) and found.report["filter"].tolist() == [1, 3]
    assert 0 <= found.images.min() and found.images.max() <= 255
    assert (found.report["after"] > found.report["before"]).all()
    inside = vz.unpadded_positions(tiny, "block2_conv2", 64)
    maps = vz.activations(tiny, "block2_conv2", vz.made(found.images), pre_activation=True)
    np.testing.assert_allclose(
        found.report["after"], [maps[i, inside, inside, f].mean() for i, f in enumerate((1, 3))],
        rtol=1e-4)
    change = np.sqrt(((found.images - photograph) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(found.report["change"], change, rtol=1e-5)
    assert found.at == "block2_conv1"  # what the layer reads
    own = vz.activations(tiny, found.at, photograph[None])
    apart = ((vz.activations(tiny, found.at, found.images) - own) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(found.report["apart"], apart / (own**2).sum(), rtol=1e-4)


def test_held_pictures_are_nearer_at_equal_activation(vgg16, photograph):
    """Known answer: for the same rise the held climb pays with less distance."""
    def report(hold, steps):
        return accentuation.accentuate(vgg16, "block3_conv1", [3, 36], photograph, hold=hold,
                                       steps=steps, progress=False).report

    free = [report(0, steps) for steps in (1, 3, 6, 12, 24)]
    held = report(30.0, 48)
    for i in range(2):
        rise = np.array([one["after"][i] for one in free])
        apart = np.array([one["apart"][i] for one in free])
        assert rise[0] < held["after"][i] < rise[-1]
        assert held["apart"][i] < 0.6 * np.interp(held["after"][i], rise, apart)


def test_maximize_draws_the_same_by_name(tiny, photograph, found):
    ascent = vz.maximize(tiny, "block2_conv2", [1, 3], preset="accentuation", start=photograph,
                         steps=24, optimiser=vz.Adam(0.05))
    np.testing.assert_allclose(ascent.images, found.images, atol=0.5)
    np.testing.assert_allclose(ascent.report["end_mean"], found.report["after"], rtol=1e-3)
    for start in (None, np.stack([photograph] * 2)):
        with pytest.raises(ValueError, match="one photograph"):
            vz.maximize(tiny, "block2_conv2", [1, 3], preset="accentuation", start=start)


def test_the_more_is_held_the_nearer_it_stays(tiny, photograph):
    apart = [climbed(tiny, photograph, hold=hold).report["apart"] for hold in (0, 3, 300)]
    assert (apart[0] > apart[1]).all() and (apart[1] > apart[2]).all()


def test_another_layer_can_hold_and_the_first_holds_itself(tiny, photograph):
    assert climbed(tiny, photograph, at="block1_conv1", steps=2).at == "block1_conv1"
    first = accentuation.accentuate(tiny, "block1_conv1", 0, photograph, steps=2, progress=False)
    assert first.at == "block1_conv1" and len(first.images) == 1


def test_it_can_be_watched_and_cancelled(tiny, photograph):
    seen = {}
    whole = climbed(tiny, photograph, snapshots=(1, 9), on_step=seen.__setitem__)
    assert {1, 9, 24} <= set(seen)
    np.testing.assert_array_equal(seen[24], whole.images)
    stop = threading.Event()
    stop.set()
    none = climbed(tiny, photograph, cancel=stop)
    assert (none.report["change"] < 1.5).all()  # as the photograph was written


def test_what_is_refused(tiny, photograph):
    for wrong, sentence in (
            ({"hold": -1}, "hold must be 0 or more"), ({"steps": 0}, "steps"),
            ({"at": "block9"}, "block9")):
        with pytest.raises(ValueError, match=sentence):
            climbed(tiny, photograph, **wrong)
    with pytest.raises(ValueError):
        climbed(tiny, photograph[:, :32])


def test_the_figure_shows_photograph_pictures_and_changes(found):
    figure = accentuation.plot_accentuated(found)
    assert sum(bool(axes.images) for axes in figure.axes) == 5
    assert "filter 3" in figure.alt
