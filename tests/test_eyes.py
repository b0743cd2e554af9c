"""The shipped pictures of units that somebody read as eyes: whole, of these weights, made anew."""

import numpy as np
import pytest

import vizutils as vz
from data import HOME, weights
from techniques import method_sheet
from tools import make_eyes


@pytest.fixture(scope="module")
def sheet():
    return method_sheet.load(HOME / "eyes.webp")


def test_each_unit_is_there_in_both_ways(sheet, vgg16):
    assert sheet.methods == tuple(make_eyes.WAYS)
    assert sheet.units == tuple((make_eyes.LAYER, unit) for unit in make_eyes.UNITS)
    assert sheet.images.shape == (2, 6, 224, 224, 3)
    assert (sheet.images.std((2, 3, 4)) > 10).all()  # none is blank
    assert (sheet.note["steps"], sheet.note["size"]) == (make_eyes.STEPS, make_eyes.SIZE)
    cut = vz.submodel(vgg16, make_eyes.LAYER)
    assert sheet.note["weights"] == weights.tensor_digest(*cut.get_weights())


def test_no_other_shipped_picture_excites_a_unit_as_its_own_does(sheet, vgg16):
    answers = vz.image_maxima(vgg16, make_eyes.LAYER, vz.made(sheet.images[0])).values
    assert (answers[:, make_eyes.UNITS].argmax(0) == np.arange(6)).all()


@pytest.mark.parametrize("way", make_eyes.WAYS)
def test_the_script_draws_what_it_says(vgg16, way):
    drawn = make_eyes.drawn(vgg16, way, units=(104,), steps=2, size=64)
    (image, _), = drawn.values()
    wanted = vz.maximize(vgg16, make_eyes.LAYER, 104, steps=2, size=64, seed=make_eyes.SEED,
                         progress=False, **make_eyes.WAYS[way]).images
    if way == "target activation":  # faint as it comes
        wanted = vz.stretched(wanted)
    assert list(drawn) == [(way, make_eyes.LAYER, 104)]
    np.testing.assert_allclose(image, wanted[0], atol=1)
