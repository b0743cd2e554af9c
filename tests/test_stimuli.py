"""Drawn stimuli against what they say they are."""

import numpy as np
import pytest

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


def test_bad_input():
    with pytest.raises(ValueError, match="at least 1"):
        stimuli.waves(8, 0, directions=0)
