"""Descriptions: words, drawings, features and predictions, with known answers."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from techniques import descriptions, samples, stimuli
from techniques.descriptions import (
    NOUNS,
    bank,
    describing,
    figures,
    from_text,
    part,
    thing,
    things_of,
)

FIELD = 14


def drawn(*words, field=32):
    return bank(field).drawn([thing(one) for one in words])


def battery_things(field):
    table = stimuli.battery(size=max(field, stimuli.SMALLEST), field=field).table
    return things_of(table)


# --- things in words ----------------------------------------------------------------------------


@pytest.mark.parametrize("field", [10, 14, 32, 76])
def test_every_drawn_stimulus_is_the_same_in_words(field):
    size = max(field, stimuli.SMALLEST)
    every = stimuli.battery(size=size, field=field)
    things = battery_things(field)
    again = {number: thing(one.words) for number, one in things.items()}
    assert [one.words for one in again.values()] == [one.words for one in things.values()]
    assert len({one.words for one in things.values()}) == len(things)
    some = list(things)[:: 1 if field < 32 else 7]
    redrawn = bank(field).drawn([again[number] for number in some])
    np.testing.assert_array_equal(redrawn, bank(field).drawn([things[n] for n in some]))
    margin = (size - field) // 2
    inside = slice(margin, margin + field)
    np.testing.assert_array_equal(redrawn, every.draw(some)[:, inside, inside])
    assert set(again.values()) == set(things.values())  # equal where both lack a number, too


def test_what_is_left_out_of_the_battery():
    table = stimuli.battery(size=32, field=32).table
    left = table.drop(index=list(things_of(table)))
    figures = left["family"] == "coloured"
    assert (left["colour"][figures] == "").all()
    assert set(left["family"]) == {"coloured", "patch"}
    grey = left[~figures & (left["colour"] == "")]
    assert len(grey) == 1 and grey["luma"].item() == 0
    assert set(table["family"]) == set(table["family"][list(things_of(table))])


@pytest.mark.parametrize("words, values", [
    ("dark curve; orientation 75°; radius 16 px; width 4 px",
     {"form": "curve", "orientation": 75, "radius": 16, "width": 4, "luma": -100, "chroma": 0}),
    ("light disc; radius 4 px", {"form": "disc", "radius": 4, "luma": 100}),
    ("disc; radius 4", {"luma": 100}),  # light unless it is said, and units may be left out
    ("grating; phase 90; period 8 px; orientation 30", {"phase": 90, "period": 8}),
    ("light red disc; radius 4 px", {"colour": "red", "luma": 60, "chroma": 65}),
    ("dark blue net; orientation 0°; period 8 px; phase 0°", {"luma": -60, "chroma": 65}),
    ("red disc; radius 4 px", {"luma": 0, "chroma": 120}),
    ("red edge against green; orientation 0°; shift 0 px", {"colour2": "green", "luma": 0}),
    ("patch; luminance -90", {"form": "patch", "luma": -90, "chroma": 0}),
    ("blue patch; luminance 0", {"colour": "blue", "luma": 0, "chroma": 120}),
    ("  high-low; orientation 1.5e1°; period 4 px ", {"orientation": 15}),
])
def test_things_in_your_own_words(words, values):
    found = thing(words)
    assert {name: getattr(found, name) for name in values} == values
    assert thing(found.words) == found and hash(thing(found.words)) == hash(found)
    assert np.isfinite(bank(32).drawn([found])).all()


@pytest.mark.parametrize("words, sentence", [
    ("", "names no thing"),
    ("snail; radius 3 px", "'snail; radius 3 px' names no thing.* Forms: grating, .*, patch"),
    ("pink disc; radius 3 px", "names no thing.* colours: red, yellow"),
    ("red light disc; radius 3 px", "names no thing"),
    ("disc", "a disc is told by radius, not by no number"),
    ("disc; width 3 px", "a disc is told by radius, not by width"),
    ("bar; orientation 0°; width 3 px", "told by orientation, width, shift, not by orientation, w"),
    ("disc; radius 3 px; width 4 px", "told by radius, not by radius, width"),
    ("disc; radius 3 px; radius 4 px", "told by radius, not by radius, radius"),
    ("disc; radius 3-4 px", "the radius is no number: '3-4'"),
    ("disc; radius 0 px", "radius of a thing must be positive, not 0"),
    ("grating; orientation 0°; period -4 px; phase 0°", "period of a thing must be positive"),
    ("disc against red; radius 3 px", "a second colour but no first one"),
    ("dark patch; luminance 90", "its luminance says: leave out 'dark'"),
])
def test_words_that_are_no_thing(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        thing(words)


def test_what_lies_outside_the_field_cannot_be_drawn():
    with pytest.raises(ValueError, match="shift 500 px' shows nothing in a receptive field of 32"):
        drawn("bar; orientation 0°; width 3 px; shift 500 px")


# --- changed things draw what they say ----------------------------------------------------------

GREY = ["dark curve; orientation 75°; radius 16 px; width 4 px",
        "light bar; orientation 30°; width 3 px; shift -4 px", "edge; orientation 15°; shift 2 px",
        "grating; orientation 45°; period 8 px; phase 90°", "dark disc; radius 5 px",
        "light corner; orientation 60°; opening 45°", "dark net; orientation 15°; period 8 px; "
        "phase 120°", "high-low; orientation 210°; period 4.5 px", "patch; luminance -60"]


@pytest.mark.parametrize("words", GREY)
def test_inverted_is_255_less_the_picture(words):
    one, other = bank(32).drawn([thing(words), thing(words).inverted()])
    np.testing.assert_allclose(other, 255 - one, atol=1e-4)
    assert thing(words).inverted().inverted() == thing(words) != thing(words).inverted()
    assert thing(thing(words).inverted().words) == thing(words).inverted()


@pytest.mark.parametrize("words", [*GREY, "light red bar; orientation 100°; width 3 px; shift 3 px",
                                   "red edge against blue; orientation 0°; shift 0 px"])
def test_turned_is_the_picture_turned(words):
    one = drawn(words)[0]
    for degrees, quarters in ((90, 1), (-90, 3), (180, 2), (360, 0)):
        other = bank(32).drawn([thing(words).turned(degrees)])[0]
        np.testing.assert_allclose(other, np.rot90(one, quarters), atol=1e-3)


def test_a_turn_is_counter_clockwise():
    flat, turned = (thing(f"light bar; orientation {a}°; width 3 px; shift 0 px") for a in (0, 45))
    assert flat.turned(45) == turned
    picture = bank(32).drawn([turned])[0, ..., 0]
    assert picture[24, 7] > 200 > 127.5 > picture[7, 7]  # from bottom left to top right


def test_recoloured_is_the_opposite_hue():
    pairs = [("red", "cyan"), ("yellow", "blue"), ("green", "magenta")]
    for one, other in [*pairs, *(pair[::-1] for pair in pairs)]:
        words = f"{{}} edge against {{}}; orientation 0°; shift 0 px; {one}"
        words = words.rpartition(";")[0]
        assert thing(words.format(one, other)).recoloured() == thing(words.format(other, one))
        coloured, opposite = drawn(f"{one} disc; radius 5 px", f"{other} disc; radius 5 px")
        np.testing.assert_allclose(coloured + opposite, 255, atol=1e-3)
        assert bank(32).drawn([thing(f"{one} disc; radius 5 px").recoloured()]) == pytest.approx(
            opposite[None])
        light = thing(f"light {one} disc; radius 5 px").recoloured()
        assert light.luma == 60 and light.colour == other
    for words in GREY:
        assert thing(words).recoloured() == thing(words)
    red = drawn("red disc; radius 5 px")[0, 16, 16]
    assert red[0] > 127.5 > red[1] == red[2]


@pytest.mark.parametrize("noun", NOUNS)
def test_another_noun_keeps_the_rest(noun):
    for words in GREY:
        one = thing(words)
        other = one.with_noun(noun, 32)
        if one.form in (noun, "patch"):
            assert other is one
            continue
        assert other.form == noun and thing(other.words).words == other.words
        assert (other.luma, other.chroma, other.colour) == (one.luma, one.chroma, one.colour)
        if noun != "disc":
            assert other.orientation == np.nan_to_num(one.orientation)
        if noun not in ("edge", "corner") and not np.isnan(one.breadth):
            assert other.breadth == max(1, one.breadth)
        assert np.isfinite(bank(32).drawn([other])).all()


def test_another_noun_as_drawn():
    bar = thing("light bar; orientation 0°; width 4 px; shift 6 px")  # 6 px above the middle
    rows = bank(32).drawn([bar.with_noun(noun, 32) for noun in ("grating", "edge", "disc")])[..., 0]
    assert rows[0, 9:11].min() > rows[0, 13:15].max()  # a crest where the bar was
    assert rows[0, 9:11] == pytest.approx(rows[0, 17:19], abs=1e-3)  # and a period of 8 px below
    assert (rows[1, :9] > 127.5).all() and (rows[1, 11:] < 127.5).all()
    assert (rows[2, 15:17, 15:17] > 127.5).all() and (rows[2, :13] < 127.5).all()
    coloured = thing("red edge against green; orientation 45°; shift 0 px").with_noun("bar", 32)
    assert (coloured.words) == "red bar; orientation 45°; width 4 px; shift 0 px"


# --- the bank -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [10, 14, 32, 76])
def test_uniform_patches_have_no_waves(field):
    look = bank(field)
    patches = np.full((3, field, field, 3), 127.5, "float32")
    patches[1], patches[2] = 240, (200, 90, 40)
    found = look.features(patches)
    assert found.shape == (3, look.scales.size) and found.dtype == "float32"
    assert (found[0] == 0).all()
    means = np.zeros(look.scales.size, bool)
    end = 0
    for gabors in look.gabors:
        waves = end + 5 * len(gabors) // 2
        end = waves + len(look.means)
        means[waves:end] = True
    assert end == len(means)
    np.testing.assert_allclose(found[:, ~means], 0, atol=1e-5)
    assert (np.abs(found[1, means]).reshape(3, -1)[0] > 0.1).all()
    np.testing.assert_allclose(found[1, means].reshape(3, -1)[1:], 0, atol=1e-5)  # no colour
    red_green, yellow_blue = found[2, means].reshape(3, -1)[1:]
    assert (red_green > 0).all() and (yellow_blue > 0).all()  # reddish, yellowish


def test_gabors_have_norm_1_and_no_mean():
    for gabors in bank(FIELD).gabors:
        np.testing.assert_allclose(np.linalg.norm(gabors, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(gabors.sum(1), 0, atol=1e-4)


def energies(field, patches):
    """Energy of the luminance Gabors, (n, periods, orientations, places)."""
    count = len(bank(field).gabors[0]) // 2
    return bank(field).features(patches)[:, 4 * count : 5 * count].reshape(len(patches), 5, 8, 5)


@pytest.mark.parametrize("field", [14, 32])
def test_turning_a_patch_permutes_orientations(field):
    patch = np.random.default_rng(0).uniform(0, 255, (1, field, field, 3)).astype("float32")
    one, turned = energies(field, patch)[0], energies(field, np.rot90(patch, axes=(1, 2)))[0]
    # places: the middle, above right, below right, above left, below left - a quarter further
    rolled = np.roll(one, 4, axis=1)  # 90° are four of eight orientations
    found = [[np.allclose(turned[:, :, a], rolled[:, :, b], atol=1e-4) for a in range(5)]
             for b in range(5)]
    assert np.array(found).sum(0).tolist() == [1] * 5  # each place has one that it went to
    assert found[0][0] and not np.trace(np.array(found)[1:, 1:])
    assert not np.allclose(turned, one, atol=1e-2)


def test_waves_have_the_orientation_and_period_of_the_gabor():
    periods = np.geomspace(4, 16, 5)  # 0.7 · √32 < 4
    angles = np.arange(8) * 22.5
    patches = drawn(*(f"grating; orientation {a}°; period {p}; phase 0°" for a in angles
                      for p in periods))
    best = energies(32, patches)[..., 0].reshape(40, 40).argmax(1)  # in the middle
    period, angle = np.divmod(best, 8)
    assert (angle == np.repeat(np.arange(8), 5)).all()
    assert (np.abs(period - np.tile(np.arange(5), 8)) <= 1).all()


def test_opponent_colours():
    assert descriptions.bank(FIELD) is bank(FIELD)  # made once
    red, green, grey, yellow, blue = bank(32).features(drawn(
        "red disc; radius 5 px", "cyan disc; radius 5 px", "disc; radius 5 px",
        "yellow disc; radius 5 px", "blue disc; radius 5 px"))
    first = 5 * len(bank(32).gabors[0]) // 2 + 5  # features of luminance
    one = (len(red) - first) // 2
    parts = {"luminance": slice(0, first), "red-green": slice(first, first + one),
             "yellow-blue": slice(first + one, None)}
    size = {name: [np.abs(f[where]).max() for f in (red, green, grey, yellow, blue)]
            for name, where in parts.items()}
    assert max(size["luminance"][:2] + size["luminance"][3:]) < 1e-4 < size["luminance"][2]
    assert size["red-green"][2] < 1e-4 and size["yellow-blue"][2] < 1e-4
    assert size["red-green"][0] == pytest.approx(size["red-green"][1], rel=1e-4)
    assert max(size["red-green"][3:]) < 1e-4 < min(size["yellow-blue"][3:])


def test_a_thing_scores_1_on_itself_and_less_on_others():
    for field in (FIELD, 32):
        things = list(battery_things(field).values())[::17]
        look = bank(field)
        likeness = look.of_things(things) @ look.templates(things).T
        np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-4)
        # by direction: a weaker picture of the same kind is no better likeness
        length = np.linalg.norm(look.of_things(things), axis=1)
        by_length = likeness / length[:, None] * length
        off = ~np.eye(len(things), dtype=bool)
        assert (by_length[off] < 1).all()
        assert np.median(likeness[off]) < 0.2


def test_templates_are_the_same_from_memory():
    things = list(battery_things(FIELD).values())[::40]
    look = bank(FIELD)
    fresh = dataclasses.replace(look, _known={})
    first = fresh.templates(things)
    assert len(fresh._known) == len(things)
    np.testing.assert_array_equal(first, fresh.templates(things))
    np.testing.assert_array_equal(first[::-1], fresh.templates(things[::-1]))
    np.testing.assert_allclose(first, look.templates(things), atol=1e-6)
    one = dataclasses.replace(look, _known={}).templates(things[3:4])
    np.testing.assert_allclose(first[3:4], one, atol=1e-6)
    assert look.templates([]).shape == (0, look.scales.size)


def test_memory_has_a_bound(monkeypatch):
    monkeypatch.setattr(sys.modules["techniques.descriptions.bank"], "KEPT", 3)
    look = dataclasses.replace(bank(FIELD), _known={})
    things = list(battery_things(FIELD).values())[:6]
    found = look.templates(things)
    assert len(look._known) == 3
    np.testing.assert_array_equal(found[:3], look.templates(things)[:3])
    np.testing.assert_allclose(found, look.templates(things), atol=1e-6)


def test_what_the_bank_refuses():
    with pytest.raises(ValueError, match=r"shape \(n, 14, 14, 3\) of the receptive field, not"):
        bank(14).features(np.zeros((2, 16, 16, 3)))
    with pytest.raises(ValueError, match="field of 7 px holds no period .* 8 px or more"):
        bank(7)


# --- descriptions -------------------------------------------------------------------------------

TEXT = """block3_conv2 filter 36, field 14 px
+1.2 dark curve; orientation 75°; width 3 px; radius 6 px
-0.5 light red edge; orientation 30°; shift 1 px
+0.004 patch; luminance 90"""


@pytest.fixture(scope="module")
def patches():
    """Noise with something of a battery thing in each."""
    rng = np.random.default_rng(0)
    shown = bank(FIELD).drawn(list(battery_things(FIELD).values()))
    mixed = shown[rng.integers(len(shown), size=(3, 1200))].mean(0)
    return np.clip(mixed + rng.normal(0, 10, mixed.shape), 0, 255).astype("float32")


def test_a_description_is_made_again_from_its_text(patches):
    one = from_text(TEXT)
    assert (one.layer, one.filter, one.field) == ("block3_conv2", 36, 14)
    assert one.text == TEXT and from_text(one.text) == one
    assert one.weights.tolist() == [1.2, -0.5, 0.004]
    np.testing.assert_array_equal(from_text(one.text).predict(patches), one.predict(patches))
    assert from_text("\n\n" + TEXT.replace("\n", "\n\n  ") + "\n") == one


def test_predictions_are_sums_of_likenesses(patches):
    one = from_text(TEXT)
    likeness = bank(14).features(patches) @ bank(14).templates(one.things).T
    np.testing.assert_allclose(one.predict(patches), likeness @ [1.2, -0.5, 0.004], atol=1e-4)
    features = bank(14).features(patches)
    several = [one, one.turned(90), one.with_noun("net"), one.shortened(1), one.shortened(0)]
    found = descriptions.predictions(several, features)
    assert found.shape == (len(patches), 5)
    for column, each in zip(found.T, several, strict=True):
        np.testing.assert_allclose(column, each.predict(patches), atol=1e-4)
    assert (found[:, 4] == 0).all()
    # the first part, shown alone, adds its weight
    shown = bank(14).drawn(one.things[:1])
    assert one.shortened(1).predict(shown) == pytest.approx([1.2], abs=1e-4)


def test_changed_descriptions():
    one = from_text(TEXT)
    assert one.turned(90).things == [t.turned(90) for t in one.things]
    assert one.inverted().things == [t.inverted() for t in one.things]
    assert one.recoloured().things == [t.recoloured() for t in one.things]
    assert [t.form for t in one.with_noun("bar").things] == ["bar", "bar", "patch"]
    for seed in range(9):
        wrong = one.with_wrong_nouns(seed)
        assert all(a.form != b.form or a.form == "patch"
                   for a, b in zip(wrong.things, one.things, strict=True))
        assert wrong == one.with_wrong_nouns(seed)
    assert len({one.with_wrong_nouns(seed) for seed in range(9)}) > 3
    for other in (one.turned(90), one.inverted(), one.with_noun("bar")):
        assert (other.weights == one.weights).all() and other.filter == 36


def test_rivals_are_other_nouns_that_can_be_told_apart():
    def described(*lines):
        return from_text("\n".join(["block3_conv2 filter 36, field 14 px", *lines]))

    bar = described("+1 dark bar; orientation 45°; width 3 px; shift 0 px", "-1 patch; luminance 9")
    assert [[t.form for t in one.things] for one in bar.rivals()] == [
        [noun, "patch"] for noun in ("edge", "corner", "grid", "net", "high-low")]
    assert all((one.weights == bar.weights).all() for one in bar.rivals())
    # what looks like the other noun stays, the rest changes
    both = described("+1 dark bar; orientation 45°; width 3 px; shift 0 px",
                     "+1 edge; orientation 45°; shift 2 px")
    forms = [[t.form for t in one.things] for one in both.rivals()]
    assert ["bar", "bar"] in forms and ["bar", "disc"] in forms  # a disc for the edge alone
    assert ["bar", "edge"] not in forms and ["curve", "curve"] not in forms
    # without any orientation, other nouns are tried at several
    disc = described("+1 light disc; radius 3 px")
    nets = [one.things[0].orientation for one in disc.rivals() if one.things[0].form == "net"]
    assert nets == [0, 30, 60, 90, 120, 150]
    assert "bar" not in {one.things[0].form for one in disc.rivals()}
    assert described("+1 patch; luminance 9").rivals() == []
    assert bar.shortened(0).rivals() == []


@pytest.mark.parametrize("text, sentence", [
    ("", "a description starts with 'block3_conv2 filter 36, field 32 px', not with ''"),
    ("  \n ", "not with ''"),
    ("filter 36 of block3_conv2\n+1 disc; radius 3 px", "not with 'filter 36 of block3_conv2'"),
    (TEXT.replace(", field 14 px", ""), "not with 'block3_conv2 filter 36'"),
    (TEXT.replace("+1.2 ", ""), "cannot read the part 'dark curve.*A part is a weight and a thing"),
    (TEXT.replace("curve", "snail"), "cannot read the part .* names no thing"),
    (TEXT.replace("+1.2", "nan"), "a weight of nan says nothing"),
    (TEXT.replace("+1.2", "0"), "a weight of 0 says nothing"),
    (TEXT.replace("; width 3 px", ""), "told by orientation, width, radius, not by"),
])
def test_texts_that_are_no_description(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_text(text)
    if text.startswith("block3_conv2 filter 36, f"):
        with pytest.raises(ValueError, match=sentence):
            part(text.splitlines()[1])


def test_what_predicts_nothing_together():
    with pytest.raises(ValueError, match=r"fields of \[14, 32\] px"):
        descriptions.predictions([from_text(TEXT), from_text(TEXT.replace("14 px", "32 px"))],
                                 np.zeros((1, 9)))
    with pytest.raises(ValueError, match="of one layer, not none"):
        descriptions.predictions([], np.zeros((1, 9)))


def test_the_sentence():
    assert from_text(TEXT).sentence == (
        "Filter 36 of block3_conv2 likes a dark curve (75°, 6 px) and a patch; dislikes a light "
        "red edge (30°).")
    disc = from_text("conv filter 2, field 14 px\n+1 dark disc; radius 3 px")
    assert disc.sentence == ("Filter 2 of conv likes a dark disc (3 px); is indifferent to "
                             "orientation; names no colour.")
    net = from_text("conv filter 2, field 14 px\n-1 edge; orientation 0°; shift 0 px")
    assert net.sentence == "Filter 2 of conv dislikes an edge (0°); names no colour."
    assert disc.shortened(0).sentence == (
        "Filter 2 of conv answers to no drawn thing in particular.")


def described(*parts):
    return from_text("\n".join(["conv filter 2, field 14 px", *parts]))


def test_what_a_description_is_indifferent_to():
    bar = "+1 {} bar; orientation {}°; width 3 px; shift 0 px"
    assert described(bar.format("dark", 0)).indifferent() == {
        "orientation": False, "dark or light": False, "colour": True}
    assert described(bar.format("dark", 0), bar.format("dark", 90)).indifferent() == {
        "orientation": True, "dark or light": False, "colour": True}
    assert described(bar.format("dark", 0), bar.format("light", 0)).indifferent() == {
        "orientation": False, "dark or light": True, "colour": True}
    assert described(bar.format("red", 0)).indifferent() == {
        "orientation": False, "dark or light": True, "colour": False}
    one = described(bar.format("dark", 0))
    assert one.likeness(one) == pytest.approx(1)
    assert one.likeness(one.shortened(0)) == 0


# --- describing a layer -------------------------------------------------------------------------

LIKES = {"dark bar; orientation 45°; width 2 px; shift 0 px": 1.0,
         "light red disc; radius 2 px": 0.8,
         "light net; orientation 0°; period 6.7 px; phase 0°": -0.7}


@pytest.fixture(scope="module")
def planted(patches):
    """Four filters: linear in three things, silent, its opposite, noise; and what was measured."""
    every = stimuli.battery(size=16, field=FIELD)
    three, look = [thing(words) for words in LIKES], bank(FIELD)
    assert set(three) < set(battery_things(FIELD).values())
    rng = np.random.default_rng(1)

    def answers(features):
        likeness = features @ look.templates(three).T @ list(LIKES.values())
        return np.stack([likeness, 0 * likeness, -likeness, rng.normal(size=len(likeness))], 1)

    given = answers(look.features(patches)).astype("float32")
    given[:, 0] += rng.normal(0, 0.1, len(given)) * given[:, 0].std()
    inside = slice(1, 1 + FIELD)
    shown = answers(look.features(every.draw(range(len(every)))[:, inside, inside]))
    tuned = stimuli.Tuning("conv", np.arange(4), every, shown.astype("float32"), given.mean(0),
                           given.std(0))
    places = pd.DataFrame({"picture": np.arange(len(given)) // 40, "row": 0, "column": 0})
    return tuned, samples.Sample("conv", places, given, None), three


def layer_described(tuned, found, features, *, filters=(0, 1, 2, 3), **options):
    describer = descriptions.Describer(tuned, found, features, FIELD)
    return [describer.describe(filter, **options) for filter in filters]


@pytest.fixture(scope="module")
def made(planted, patches):
    tuned, found, *_ = planted
    half = np.arange(800)
    kept = samples.Sample("conv", found.places.iloc[half], found.answers[half], None)
    return layer_described(tuned, kept, bank(FIELD).features(patches[half]))


def test_planted_things_are_found(made, planted):
    three = planted[2]
    assert [one.filter for one in made] == [0, 1, 2, 3] and made[0].layer == "conv"
    own = {p.thing: p.weight for p in made[0].parts}
    assert set(made[0].things[:3]) == set(three)
    spread = planted[1].answers[:, 0].std()
    for one, weight in zip(three, LIKES.values(), strict=True):
        assert own[one] == pytest.approx(weight / spread, rel=0.25)


def test_planted_answers_are_predicted(made, planted, patches):
    unseen = np.arange(800, len(patches))
    predicted = made[0].predict(patches[unseen])
    assert np.corrcoef(predicted, planted[1].answers[unseen, 0])[0, 1] > 0.9
    assert np.corrcoef(made[2].predict(patches[unseen]),
                       planted[1].answers[unseen, 2])[0, 1] > 0.7
    noise = made[3].predict(patches[unseen])
    assert abs(np.corrcoef(noise, planted[1].answers[unseen, 3])[0, 1]) < 0.2


def test_a_silent_filter_gets_no_parts(made):
    assert made[1].parts == ()
    assert made[1].sentence == "Filter 1 of conv answers to no drawn thing in particular."
    assert from_text(made[1].text) == made[1]


def test_signs_agree_with_what_was_drawn(made, planted):
    tuned = planted[0]
    rows = {one: number for number, one in battery_things(FIELD).items()}
    for one in made:
        assert len(one.parts) <= descriptions.PARTS
        for each in one.parts:
            score = tuned.scores[rows[each.thing], one.filter]
            assert score > 1 if each.weight > 0 else score < 0
    assert sum(map(len, (one.parts for one in made))) > 6


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_at_most_so_many_parts_and_one_of_them_liked(planted, patches, parts):
    tuned, found, *_ = planted
    features = bank(FIELD).features(patches)
    made = layer_described(tuned, found, features, filters=[2, 0], parts=parts)
    assert [one.filter for one in made] == [2, 0]
    for one in made:
        assert 1 <= len(one.parts) <= parts and (one.weights > 0).any()
        assert from_text(one.text) == one


def test_the_sentence_of_a_described_filter(made):
    sentence = made[0].sentence
    assert sentence.startswith("Filter 0 of conv likes a ")
    assert "; dislikes " in sentence and "dark bar (45°" in sentence and "light red disc" in (
        sentence.split("dislikes")[0])
    assert "light net (0°, 6.7 px)" in sentence.split("dislikes")[1]
    assert sentence.count("likes a") + sentence.count("likes an") >= 2 and sentence[-1] == "."


def test_things_that_the_filter_ignored_are_not_named(planted, patches):
    tuned, found, *_ = planted
    deaf = dataclasses.replace(tuned, responses=np.repeat(
        tuned.mean[None] + 0.5 * tuned.sd, len(tuned.responses), 0))  # neither liked nor disliked
    made = layer_described(deaf, found, bank(FIELD).features(patches))
    assert [one.parts for one in made] == [()] * 4


def test_maps_stand_beside_what_is_predicted(tiny, noise):
    one = described("+1 dark disc; radius 3 px")
    one = dataclasses.replace(one, layer="block2_conv2")
    measured, predicted = figures.maps(tiny, one, noise[1])
    inside = vz.unpadded_positions(tiny, "block2_conv2", 64)
    answers = vz.activations(tiny, "block2_conv2", noise[1:2], pre_activation=True)
    np.testing.assert_allclose(measured, answers[0, inside, inside, 2], rtol=1e-5, atol=1e-5)
    field = vz.receptive_field(tiny, "block2_conv2", input_size=64)
    for row, column in ((0, 0), (3, 7), (-1, -2)):
        at = np.arange(32)[inside]
        top, left, bottom, right = field.window(at[row], at[column])
        alone = one.predict(noise[1:2, top:bottom, left:right])
        assert predicted[row, column] == pytest.approx(alone.item(), abs=1e-4)
    drawn = figures.plot_maps(tiny, one, vz.made(noise), [1, 3])
    r = np.corrcoef(measured.ravel(), predicted.ravel())[0, 1]
    assert [a.get_title() for a in drawn.axes[:3]] == ["photograph", "measured",
                                                       f"predicted, r = {r:.2f}"]
    first = field.window(*at[[0, 0]])[0] + 7  # middle of the first field
    assert drawn.axes[0].images[0].get_array().shape[:2] == (64 - 2 * first,) * 2


def test_parts_are_drawn_likes_first():
    drawn = figures.plot_parts(from_text(TEXT))
    titles = [axes.get_title() for axes in drawn.axes]
    assert [title.split("\n")[:2] for title in titles] == [
        ["+1.2 SD", "dark curve"], ["+0.0 SD", "patch"], ["−0.5 SD", "light red edge"]]
    assert "75°, 3 px, 6 px" in titles[0] and titles[1].endswith("\n")
    with pytest.raises(ValueError, match="nothing to draw: .* no drawn thing in particular"):
        figures.plot_parts(from_text(TEXT).shortened(0))


def test_a_bank_of_places_sees_the_receptive_fields(tiny, noise):
    found = samples.sample(tiny, "block2_conv2", vz.made(noise), each=6, inputs=False)
    crops = np.concatenate(list(samples.patches(tiny, "block2_conv2", noise, found.places)))
    np.testing.assert_array_equal(
        bank(14).of_places(tiny, "block2_conv2", vz.made(noise), found.places),
        bank(14).features(crops))


def test_what_weighs_next_to_nothing_is_not_said(planted, patches, monkeypatch):
    tuned, found, *_ = planted
    features = bank(FIELD).features(patches)

    def made(faint):
        monkeypatch.setattr(describing, "FAINT", faint)
        return layer_described(tuned, found, features)

    for every, loud in zip(made(0.0), made(0.5), strict=True):
        limit = 0.5 * max(np.abs(every.weights), default=0)
        assert loud.parts == tuple(p for p in every.parts if abs(p.weight) >= limit)
    assert len(loud.parts) < len(every.parts)  # of noise, the last


def test_forms_can_be_forbidden(planted, patches):
    tuned, found, *_ = planted
    features = bank(FIELD).features(patches)
    (own,), (other,) = (layer_described(tuned, found, features, filters=[0], without=without)
                        for without in ((), ("bar", "disc")))
    assert {"bar", "disc"} <= {t.form for t in own.things}
    assert other.parts and not {"bar", "disc"} & {t.form for t in other.things}
    answers = found.answers[:, 0]
    r = [np.corrcoef(one.from_features(features), answers)[0, 1] for one in (own, other)]
    assert r[1] < r[0] - 0.01


@pytest.mark.parametrize("lines, form", [
    (["+1 light disc; radius 3 px", "+2 dark curve; orientation 0°; width 3 px; radius 9 px"],
     "curve"),
    (["-3 light disc; radius 3 px", "+1 edge; orientation 0°; shift 0 px"], "edge"),
    (["-3 light disc; radius 3 px"], ""), ([], ""), (["+1 patch; luminance 9"], ""),
    (["+1 red disc; radius 3 px"], ""), (["+1 light red disc; radius 3 px"], "disc")])
def test_the_main_form_is_that_of_what_is_liked_most(lines, form):
    one = from_text("\n".join(["block3_conv2 filter 36, field 14 px", *lines]))
    assert one.main_form == form


def test_forms_that_look_alike():
    assert descriptions.alike("bar") == {"bar", "curve", "disc", "grating"}
    assert descriptions.alike("disc") == {"bar", "curve", "disc", "ring", "centre-surround"}
    assert descriptions.alike("net") == {"net"}
    assert descriptions.look_alike("edge", "curve") and not descriptions.look_alike("edge", "bar")
