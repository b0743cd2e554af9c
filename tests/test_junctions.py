"""Nets, cut nets and lone lines: drawn as they are named, and units built to tell them apart."""

import keras
import numpy as np
import pytest
from scipy import ndimage

import vizutils as vz
from techniques import stimuli

FIELD = 32


@pytest.fixture(scope="module")
def drawn():
    return stimuli.junctions(field=FIELD, seeds=3)


def inked(drawn, kind, cell=16.0, seed=0):
    """The ink of one stimulus, 0-1, shape (size, size)."""
    table = drawn.table
    at = table.index[(table["family"] == kind) & (table["cell"] == cell) & (table["seed"] == seed)]
    return drawn.patterns[at[0]]


def test_every_kind_in_every_size_and_polarity(drawn):
    assert len(drawn) == len(stimuli.KINDS) * 2 * 3 * 3
    assert sorted(drawn.table["cell"].unique()) == [8, 11.3, 16]  # the battery's largest periods
    images = drawn.draw(np.arange(len(drawn)))
    assert images.shape == (len(drawn), FIELD, FIELD, 3) and images.dtype == np.float32
    assert len(np.unique(images.round(1).reshape(len(drawn), -1), axis=0)) == len(drawn)


def test_contrast_is_the_packages(drawn):
    images = drawn.draw(np.arange(len(drawn)))
    assert (images == images[..., :1]).all()
    np.testing.assert_allclose(images.mean((1, 2, 3)), stimuli.MID_GREY, atol=0.01)
    np.testing.assert_allclose(np.abs(images - stimuli.MID_GREY).max((1, 2, 3)), stimuli.CONTRAST,
                               rtol=1e-4)
    sign = drawn.table["polarity"].to_numpy()
    light, dark = images[sign == 1], images[sign == -1]
    np.testing.assert_allclose(light + dark, 2 * stimuli.MID_GREY, atol=1e-3)


@pytest.mark.parametrize("one, other", [("cut net", "broken net"), ("thick cut net", "net")])
def test_what_is_compared_has_the_same_ink(drawn, one, other):
    ink = drawn.table.pivot_table("ink", ["cell", "seed"], "family")
    np.testing.assert_allclose(ink[one], ink[other], rtol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_only_lines_that_meet_make_one_piece(drawn, seed):
    def pieces(kind):
        return ndimage.label(inked(drawn, kind, seed=seed) > 0.25, np.ones((3, 3)))[1]

    assert pieces("net") == 1 and pieces("segment") == 1
    assert pieces("cut net") >= 5 and pieces("broken net") >= 5


def test_cut_and_broken_nets_lie_on_the_net(drawn):
    net, cut, broken = (inked(drawn, kind) for kind in ("net", "cut net", "broken net"))
    assert (cut <= net + 1e-6).all() and (broken <= net + 1e-6).all()
    # the junctions, where ink of the net is thickest, are in the broken net and not in the cut one
    thick = ndimage.uniform_filter(net, 3, mode="constant")
    junction = thick[3:-3, 3:-3] >= np.quantile(thick[3:-3, 3:-3], 0.97)
    assert broken[3:-3, 3:-3][junction].mean() > 2 * cut[3:-3, 3:-3][junction].mean()


def test_discs_lie_inside_the_cells(drawn):
    net, discs = (inked(drawn, kind) > 0.5 for kind in ("net", "discs"))
    assert discs.any() and not (net & discs).any()


def test_crossings_run_as_their_sign_says(drawn):
    upright, slanted = (inked(drawn, kind) for kind in ("+", "x"))
    assert (upright > 0.5).all(1).any() and (upright > 0.5).all(0).any()
    assert not (slanted > 0.5).all(1).any() and not (slanted > 0.5).all(0).any()


def test_seeds_are_repeatable_and_differ():
    one, again = (stimuli.junctions(field=FIELD, seeds=2, cells=[10]) for _ in range(2))
    np.testing.assert_array_equal(one.patterns, again.patterns)
    assert np.abs(inked(one, "net", 10, 0) - inked(one, "net", 10, 1)).max() > 0.5


def test_hopeless_nets_are_refused():
    with pytest.raises(ValueError, match="at least 16"):
        stimuli.junctions(field=8)
    with pytest.raises(ValueError, match="at least 5 px"):
        stimuli.junctions(field=FIELD, cells=[4])


# --- units built to tell them apart ---------------------------------------------------------------


@pytest.fixture(scope="module")
def built(pictures):
    """Three filters: one is a whole net's own pattern, one its cut net's, one reads nothing."""
    few = stimuli.junctions(field=FIELD, seeds=6, cells=[10, 16])
    kernels = np.stack([inked(few, "broken net", 16, 2), inked(few, "cut net", 16, 2),
                        np.zeros((FIELD, FIELD))], -1)
    kernels = (kernels - kernels.mean((0, 1))) / FIELD**2
    x = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(3, FIELD, strides=4, name="only")
    model = keras.Model(x, conv(x))
    conv.set_weights([np.repeat(kernels[:, :, None], 3, 2), np.zeros(3)])
    net = vz.as_network(model)
    crops = vz.as_image_set(pictures.read(range(4))[:, :96, :96])
    return net, stimuli.shown_junctions(net, "only", seeds=6, cells=[10, 16], image_set=crops)


def test_meeting_is_told_from_not_meeting(built):
    net, shown = built
    effect = stimuli.meeting_effect(net, "only", [0, 1, 2], shown=shown).set_index(
        ["filter", "polarity", "cell"])
    assert effect.loc[(0, 1, 16), "more"] > 0 > effect.loc[(1, 1, 16), "more"]
    assert effect.loc[(0, -1, 16), "more"] < 0 < effect.loc[(1, -1, 16), "more"]
    np.testing.assert_allclose(effect.loc[2, ["more", "low", "high"]], 0)
    assert effect.loc[(0, 1, 16), "percentile"] == pytest.approx(200 / 3)


def test_the_table_says_what_was_measured(built):
    net, shown = built
    table = stimuli.junction_tuning(net, "only", [1, 0], shown=shown)
    assert len(table) == 2 * len(stimuli.KINDS) * 2 * 2
    assert ((table["low"] <= table["score"]) & (table["score"] <= table["high"])).all()
    rows = shown.table[(shown.table["family"] == "net") & (shown.table["polarity"] == 1)
                       & (shown.table["cell"] == 16)].index
    said = table.query("filter == 1 and kind == 'net' and polarity == 1 and cell == 16")
    np.testing.assert_allclose(said["score"], shown.scores[rows, 1].mean(), rtol=1e-5)
    spread = shown.scores[rows, 1].std() / 6**0.5
    np.testing.assert_allclose((said["high"] - said["low"]) / spread, 4, rtol=0.2)


def test_what_was_shown_must_belong(built):
    net, shown = built
    with pytest.raises(ValueError, match="shown must be"):
        stimuli.junction_tuning(net, "only", 0, shown=shown, seeds=3)
    with pytest.raises(ValueError, match="is none of net"):
        stimuli.meeting_effect(net, "only", 0, shown=shown, than="grid")


def test_the_figure_shows_each_kind(built):
    net, shown = built
    table = stimuli.junction_tuning(net, "only", [0, 1], shown=shown)
    figure = stimuli.plot_junctions(table[table["filter"] == 0], shown.stimuli)
    assert "thick cut net" in figure.alt and "filter 0: light on dark" in figure.alt
    with pytest.raises(ValueError, match="one filter"):
        stimuli.plot_junctions(table, shown.stimuli)
