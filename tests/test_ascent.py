"""Gradient ascent against its known answers (SCIENCE: objective, parameterisation, honesty)."""

import dataclasses
import re
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import vizutils as vz
from engine.kinds import KINDS
from engine.parameterisations import COLOUR
from engine.reading import seen_by
from engine.render import traced_ascent
from engine.transforms import draw_warps, warp


def toy(kernel, *, bias=None, activation="relu"):
    """One convolution with the given kernel on pictures scaled to 0-1."""
    kernel = np.asarray(kernel, "float32")
    layer = keras.layers.Conv2D(kernel.shape[3], kernel.shape[0], padding="same",
                                activation=activation, name="conv")
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel, np.zeros(kernel.shape[3]) if bias is None else np.asarray(bias)])
    return vz.as_network(model, preprocess=lambda images: images / 255)


def test_the_objective_rises_and_the_picture_is_its_filters_own(vgg16):
    filters = [3, 24, 28, 150]
    ascent = vz.maximize(vgg16, "block3_conv1", filters, steps=24, size=48)
    assert ascent.images.shape == (4, 48, 48, 3)
    assert ascent.images.min() >= 0 and ascent.images.max() <= 255
    assert (ascent.history[-1] > ascent.history[0] + 100).all()
    maps = vz.activations(vgg16, "block3_conv1", ascent.images, pre_activation=True)
    response = maps.mean((1, 2))[:, filters]  # (picture, filter)
    assert (response.argmax(0) == np.arange(4)).all()  # each filter's own picture excites it most
    assert not ascent.report["flat"].any()


def test_report_is_measured_on_the_clean_picture_without_padding(vgg16):
    ascent = vz.maximize(vgg16, "block2_conv2", [5], steps=8, seeds=2)
    field = vz.receptive_field(vgg16, "block2_conv2", input_size=ascent.images.shape[1])
    maps = vz.activations(vgg16, "block2_conv2", ascent.images, pre_activation=True)
    own = maps[:, field.unpadded, field.unpadded, 5]
    np.testing.assert_allclose(ascent.history[-1], own.mean((1, 2)), rtol=1e-3)
    np.testing.assert_allclose(ascent.report["end_max"], own.max((1, 2)), rtol=1e-3)
    assert ascent.history.shape == (9, 2)
    real = vz.class_responses(vgg16, "block2_conv2")[0][:, 5]
    expected = [100 * (real < value).mean() for value in ascent.report["end_max"]]
    np.testing.assert_allclose(ascent.report["percentile"], expected)
    assert ascent.report["agreement"].between(-1, 1).all()


def test_same_seed_same_pixels_whatever_the_batch(tiny):
    together = vz.maximize(tiny, "block3_conv1", [0, 1, 2, 3, 4], steps=6, size=32, batch=5)
    again = vz.maximize(tiny, "block3_conv1", [0, 1, 2, 3, 4], steps=6, size=32, batch=5)
    apart = vz.maximize(tiny, "block3_conv1", [0, 1, 2, 3, 4], steps=6, size=32, batch=2)
    other = vz.maximize(tiny, "block3_conv1", [0], steps=6, size=32, seed=1)
    np.testing.assert_array_equal(together.images, again.images)
    np.testing.assert_allclose(together.images, apart.images, atol=0.5)
    assert np.abs(together.images[0] - other.images[0]).max() > 5


def test_one_trace_serves_ten_calls(tiny):
    tiny._kept.clear()  # another test may have used it
    for count in range(1, 11):
        vz.maximize(tiny, "block2_conv1", list(range(min(count, 6))), steps=1 + count, size=24)
    traced = [f for (build, *_), f in tiny._kept.items() if build is traced_ascent]
    assert len(traced) == 1
    assert traced[0].experimental_get_tracing_count() == 1


def test_a_step_is_a_function_of_its_own(tiny):
    """In the loop's own graph oneDNN leaves a max-pool's gradient to one core."""
    vz.maximize(tiny, "block2_conv1", 0, size=24, steps=1)
    traced = next(f for (build, *_), f in tiny._kept.items() if build is traced_ascent)
    library = traced.get_concrete_function().graph.as_graph_def().library.function
    alone = [f.signature.name for f in library if f.attr["_noinline"].b]
    assert len(alone) == 1 and "step" in alone[0]


def test_red_filter_gives_a_red_picture():
    kernel = np.zeros((3, 3, 3, 1))
    kernel[1, 1] = [[1], [-0.5], [-0.5]]
    strong = vz.Adam(0.2)
    picture = vz.maximize(toy(kernel), "conv", 0, steps=200, size=24, optimiser=strong).images[0]
    red, green, blue = picture.mean((0, 1))
    assert red > 200 and green < 60 and blue < 60


def test_linear_filter_reaches_its_closed_form_direction():
    kernel = np.random.default_rng(1).normal(size=(5, 5, 3, 1))
    ascent = vz.maximize(toy(kernel), "conv", 0, objective="unit", steps=1, size=5, transforms=(),
                         parameterisation=vz.Pixels(spread=0.0), optimiser=vz.Adam(1.0))
    # the centre unit is linear, so Adam's first step is the sign of the kernel itself
    np.testing.assert_array_equal(np.sign(ascent.images[0] - 127.5), np.sign(kernel[..., 0]))


@pytest.mark.parametrize("position", [None, (0, 0), (3, 11), (6, 5)])
@pytest.mark.parametrize("layer", ["block1_conv2", "block3_conv2"])
def test_a_unit_is_climbed_on_what_it_sees_and_nothing_changes(tiny, noise, layer, position):
    start, size = noise[:2, :48, :48], 48
    goal = vz.unit(layer, [1, 2], position=position)
    found = vz.render(tiny, goal, size=size, steps=3, start=start, transforms=(),
                      parameterisation=vz.Pixels(), optimiser=vz.Normalised(50.0))

    whole = vz.submodel(tiny, layer, pre_activation=True)
    images = tf.constant(start)
    for _ in range(3):
        with tf.GradientTape() as tape:
            tape.watch(images)
            maps = whole(tiny.preprocess(images))
            row, column = position or (maps.shape[1] // 2, maps.shape[2] // 2)
            total = maps[0, row, column, 1] + maps[1, row, column, 2]
        gradient = tape.gradient(total, images).numpy()
        images += 50 * gradient / np.sqrt((gradient**2).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(found.images, np.clip(images, 0, 255), atol=0.02)


def test_a_unit_needs_only_the_part_of_the_picture_that_it_sees(tiny):
    readings = vz.unit("block3_conv2", [0]).readings
    rows, columns = seen_by(tiny, ["block3_conv2"], readings, 96)
    assert rows == columns
    assert 32 <= rows.stop - rows.start <= 40 and rows.start % 4 == 0
    both = vz.unit("block3_conv2", [0]) + vz.channel("block1_conv1", [0])
    names = [r.layer for r in both.readings]
    assert seen_by(tiny, names, both.readings, 96) == (slice(0, 96),) * 2
    with pytest.raises(ValueError, match="24 × 24 for 96 px"):
        vz.render(tiny, vz.unit("block3_conv2", [0], position=(24, 0)), size=96, steps=1)


def test_dead_unit_is_flagged_and_a_ReLU_that_is_off_is_not_fatal():
    kernel = np.zeros((3, 3, 3, 2))
    kernel[1, 1, :, 1] = 1
    ascent = vz.maximize(toy(kernel, bias=[0, -2.5]), "conv", [0, 1], steps=60, size=24,
                         optimiser=vz.Adam(0.2))
    assert ascent.report["flat"].tolist() == [True, False]
    assert ascent.report["start"][1] < 0 < ascent.report["end_max"][1]  # starts dead, ends alive


def test_least_exciting_picture(tiny):
    low = vz.maximize(tiny, "block2_conv1", 2, steps=20, size=24, sign=-1)
    assert low.history[-1, 0] < low.history[0, 0]


def start_value(net, objective, images):
    """An objective's value on given pictures, as the ascent measures it."""
    return vz.render(net, objective, size=images.shape[1], steps=1, start=images, transforms=(),
                     parameterisation=vz.Pixels()).history[0]


def test_objectives_compose_and_agree_with_numpy(tiny, noise):
    images = noise[:2]
    low = vz.activations(tiny, "block1_conv2", images, pre_activation=True)
    high = vz.activations(tiny, "block2_conv1", images, pre_activation=True)
    inside = {name: vz.receptive_field(tiny, name, input_size=64).unpadded
              for name in ("block1_conv2", "block2_conv1")}
    low = low[:, inside["block1_conv2"], inside["block1_conv2"]]
    high = high[:, inside["block2_conv1"], inside["block2_conv1"]]
    mean = [high[0, :, :, 0].mean(), high[1, :, :, 4].mean()]
    centre = [low[0, 30, 30, 2], low[1, 30, 30, 3]]  # of 60 positions
    a, b = vz.channel("block2_conv1", [0, 4]), vz.unit("block1_conv2", [2, 3])
    np.testing.assert_allclose(start_value(tiny, a - 0.5 * b, images),
                               np.subtract(mean, 0.5 * np.array(centre)), rtol=1e-4)
    at = vz.unit("block1_conv2", [2, 3], position=(5, 7))
    np.testing.assert_allclose(start_value(tiny, at, images), [low[0, 3, 5, 2], low[1, 3, 5, 3]],
                               rtol=1e-4)  # positions count from the map's corner, padding or not
    power = vz.layer("block2_conv1", pre_activation=True)
    np.testing.assert_allclose(start_value(tiny, power + 0 * a, images),
                               (high**2).mean((1, 2, 3)), rtol=1e-4)
    vector = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    product = np.einsum("nrcf,nf->nrc", high, vector)
    np.testing.assert_allclose(start_value(tiny, vz.direction("block2_conv1", vector), images),
                               product.mean((1, 2)), rtol=1e-3, atol=1e-5)
    cosine = product / np.linalg.norm(high, axis=-1)
    cosine /= np.linalg.norm(vector, axis=-1)[:, None, None]
    found = start_value(tiny, vz.direction("block2_conv1", vector, cosine_power=2.0), images)
    expected = (product * np.maximum(cosine, 0.1) ** 2).mean((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_one_channel_is_read_as_from_the_whole_layer(tiny, noise):
    """Cutting the kernel to the batch's channels changes no number, before or after the ReLU."""
    for pre in (True, False):
        objective = vz.channel("block2_conv2", [5, 1, 5, 0], pre_activation=pre)
        inside = vz.receptive_field(tiny, "block2_conv2", input_size=64).unpadded
        maps = vz.activations(tiny, "block2_conv2", noise, pre_activation=pre)
        expected = [maps[i, inside, inside, f].mean() for i, f in enumerate([5, 1, 5, 0])]
        np.testing.assert_allclose(start_value(tiny, objective, noise), expected, rtol=1e-4)


def test_diversity_drives_pictures_apart(tiny):
    filters, groups = [1, 1, 1], [0, 0, 0]
    alike = vz.render(tiny, vz.channel("block2_conv2", filters), size=32, steps=25)
    goal = vz.channel("block2_conv2", filters) + 3.0 * vz.diversity("block2_conv2", groups)
    apart = vz.render(tiny, goal, size=32, steps=25)
    likeness = [-start_value(tiny, vz.diversity("block2_conv2", groups), r.images).mean()
                for r in (alike, apart)]
    assert likeness[1] < likeness[0] - 0.01
    lone = start_value(tiny, vz.diversity("block2_conv2", [0, 1, 2]), alike.images)
    np.testing.assert_array_equal(lone, 0)  # nobody else in the group


def test_fourier_writes_any_picture(noise):
    smooth = noise[0, :15, :15] * 0.9 + 10
    written = vz.Fourier().write(smooth)
    again = vz.Fourier().picture(tf.constant(written[None]), 15)[0].numpy()
    np.testing.assert_allclose(again, smooth, atol=0.05)


def test_start_from_a_picture_and_snapshots(tiny, noise):
    result = vz.render(tiny, vz.channel("block2_conv1", [0, 1]), size=64, steps=7,
                       start=noise[0], snapshots=(0, 3, 7))
    assert set(result.snapshots) == {0, 3, 7}
    np.testing.assert_allclose(result.snapshots[0][1], np.clip(noise[0], 1, 254), atol=1.1)
    np.testing.assert_array_equal(result.snapshots[7], result.images)
    assert np.abs(result.snapshots[3] - result.images).max() > 1
    with pytest.raises(ValueError, match=r"needed is \(32, 32, 3\)"):
        vz.render(tiny, vz.channel("block2_conv1", 0), size=32, start=noise[0])


def test_presets_run_and_leave_dead_filters_blank():
    kernel = np.zeros((3, 3, 3, 2))
    kernel[1, 1] = [[10, 10], [0, 0], [0, 0]]
    net = toy(kernel, bias=[0, -9])  # the second starts dead: mid-grey gives 5 − 9
    for preset in set(vz.PRESETS) - {"natural_spectrum"}:
        old = vz.maximize(net, "conv", [0, 1], steps=30, size=16, preset=preset)
        assert old.report["flat"].tolist() == [False, True], preset
        assert old.history[-1, 0] > old.history[0, 0]
    rescued = vz.maximize(net, "conv", [1], steps=30, size=16, preset="normalised_gradient",
                          objective=vz.channel)
    assert not rescued.report["flat"][0]


@pytest.mark.parametrize(("recipe", "reach"), [("normalised_gradient", 0.125),
                                               ("target_activation", 0.5)])
def test_historical_recipes_start_from_their_sources_noise(tiny, recipe, reach):
    """Uniform noise of ±reach has a standard deviation of reach / √3; the step is 10."""
    settings = vz.PRESETS[recipe]
    start = settings["parameterisation"].start(np.random.default_rng(0), 96)
    assert start.std() == pytest.approx(reach / 3**0.5, rel=0.02)
    assert settings["optimiser"] == vz.Normalised(10.0)
    first = vz.maximize(tiny, "block2_conv1", 1, preset=recipe, size=32, steps=1).images[0]
    noise = reach / 3**0.5 * 3072**0.5  # its norm on 32 px
    assert np.linalg.norm(first - 127.5) == pytest.approx(np.hypot(10, noise), rel=0.1)


def test_a_recipe_by_name_is_drawn_and_its_faint_picture_stretched(tiny, capsys):
    faint = vz.maximize(tiny, "block2_conv1", 1, preset="normalised_gradient", size=32, steps=3)
    figure = vz.visualize_filter(tiny, "block2_conv1", 1, recipe="normalised_gradient",
                                 iterations=3, size=32)
    shown = np.asarray(figure.axes[0].images[0].get_array(), float)
    assert faint.images.std() < 2
    np.testing.assert_allclose(shown, vz.stretched(faint.images)[0], atol=1)
    assert f"{faint.history[3, 0]:9.3f}" in capsys.readouterr().out
    with pytest.raises(ValueError, match="normalised_gradient"):
        vz.visualize_filter(tiny, "block2_conv1", 1, recipe="magic")


def test_natural_spectrum_keeps_its_magnitudes_through_maximize(tiny):
    """Of what is not clipped: at a lower contrast every pixel stays within 0-255."""
    ascent = vz.maximize(tiny, "block2_conv2", [0, 3], preset="natural_spectrum", size=48, steps=24,
                         parameterisation=vz.NaturalSpectrum(0.3))
    assert 0 < ascent.images.min() and ascent.images.max() < 255
    assert (ascent.history[-1] > ascent.history[0]).all() and not ascent.report["flat"].any()
    planes = np.einsum("nhwc,kc->nkhw", ascent.images, np.linalg.inv(COLOUR))
    found = np.abs(np.fft.rfft2(planes, norm="ortho"))
    wanted = vz.NaturalSpectrum(0.3).magnitude(48)
    found[:, :, 0, 0] = 0  # the mean colour
    np.testing.assert_allclose(found, np.stack([wanted] * 2), atol=1e-3 * wanted.max())
    assert vz.PRESETS["natural_spectrum"]["parameterisation"] == vz.NaturalSpectrum()


def test_natural_spectrum_climbs_as_it_comes(vgg16):
    """Known answer: above what photographs do on the whole picture, with hardly a pixel clipped."""
    ascent = vz.maximize(vgg16, "block2_conv1", [3, 17], preset="natural_spectrum", steps=64)
    photographs = vz.load_images(limit=20, size=64).images
    maps = vz.activations(vgg16, "block2_conv1", photographs, pre_activation=True)[..., [3, 17]]
    assert (ascent.report["end_mean"] > maps.mean((1, 2)).max(0)).all()
    shown = ascent.images.round()
    assert ((shown <= 0) | (shown >= 255)).any(-1).mean() < 0.02


@pytest.mark.parametrize("parameterisation", [vz.Fourier(), vz.Pixels(),
                                              vz.NaturalSpectrum(0.3)])
def test_importance_is_where_the_climb_pulled(tiny, parameterisation):
    """Known answers: one step's is the gradient; none outside a unit's receptive field."""
    def climb(steps, **options):
        return vz.render(tiny, vz.unit("block2_conv1", [1, 3]), size=32, steps=steps,
                         parameterisation=parameterisation, transforms=(), **options)

    plain, found = climb(6), climb(6, importance=True)
    assert plain.importance is None and found.importance.shape == (2, 32, 32)
    np.testing.assert_array_equal(plain.images, found.images)  # watching changes nothing
    field = vz.receptive_field(tiny, "block2_conv1", input_size=32)
    top, left, bottom, right = field.window(field.positions // 2, field.positions // 2)
    inside = np.zeros((32, 32), bool)
    inside[top:bottom, left:right] = True
    assert (found.importance[:, inside].sum(1) > 0).all() and not found.importance[:, ~inside].any()

    three = climb(3, importance=True).importance
    assert (three <= found.importance).all() and three.sum() < 0.9 * found.importance.sum()
    one = climb(1, importance=True, snapshots=(0,))
    start = tf.constant(one.snapshots[0])
    forward = tiny.forward("block2_conv1", pre_activation=True)
    with tf.GradientTape() as tape:
        tape.watch(start)
        maps = forward(start)
        middle = maps.shape[1] // 2
        total = maps[0, middle, middle, 1] + maps[1, middle, middle, 3]
    wanted = np.abs(tape.gradient(total, start)).sum(-1)
    np.testing.assert_allclose(one.importance, wanted, atol=1e-3, rtol=0.02)


def test_what_the_climb_did_not_pull_at_fades(tiny):
    """Known answers: outside a unit's receptive field nothing is seen, where it pulled all is."""
    ascent = vz.maximize(tiny, "block2_conv1", [1, 3], objective="unit", size=40, steps=6, batch=1,
                         transforms=(), preset="natural_spectrum", importance=True)
    assert ascent.importance.shape == (2, 40, 40)
    faded = ascent.faded(background=200.0)
    field = vz.receptive_field(tiny, "block2_conv1", input_size=40)
    top, left, bottom, right = field.window(field.positions // 2, field.positions // 2)
    far = np.ones((40, 40), bool)
    far[top - 8 : bottom + 8, left - 8 : right + 8] = False  # as far as the smoothing reaches
    assert (faded[:, far] == 200).all()
    middle = (top + bottom) // 2
    np.testing.assert_array_equal(faded[:, middle, middle], ascent.images[:, middle, middle])
    shown = (faded == ascent.images).all(-1).mean((1, 2))
    assert (shown >= 0.2).all() and (shown < 0.25).all()
    low, high = np.minimum(ascent.images, 200), np.maximum(ascent.images, 200)
    assert (low - 0.01 <= faded).all() and (faded <= high + 0.01).all()  # always between the two
    with pytest.raises(ValueError, match="opaque is a share"):
        ascent.faded(opaque=0)
    with pytest.raises(ValueError, match="importance=True"):
        vz.maximize(tiny, "block2_conv1", 1, size=24, steps=1).faded()


def test_normalised_gradient_is_the_textbook_step(tiny, noise):
    image = noise[:1, :32, :32]
    result = vz.render(tiny, vz.channel("block2_conv1", [3], pre_activation=False), size=32,
                       steps=1, start=image, transforms=(), parameterisation=vz.Pixels(),
                       optimiser=vz.Normalised(10.0))
    cut = vz.submodel(tiny, "block2_conv1")
    pixels = tf.constant(image)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        loss = tf.reduce_mean(cut(tiny.preprocess(pixels))[..., 3])
    gradient = tape.gradient(loss, pixels).numpy()
    expected = image + 10 * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(result.images, np.clip(expected, 0, 255), atol=1e-2)


def test_settling_ends_early_and_says_so():
    kernel = np.zeros((1, 1, 3, 1))
    kernel[0, 0, 0] = 1  # saturates at white: nothing more to gain
    ascent = vz.maximize(toy(kernel), "conv", [0], steps=400, size=16, settle=0.02,
                         optimiser=vz.Adam(0.5))
    steps = ascent.report["steps"][0]
    assert 20 < steps < 400 and len(ascent.history) == steps + 1


def test_cancel_returns_what_there_is(tiny):
    stop = threading.Event()
    stop.set()
    ascent = vz.maximize(tiny, "block2_conv1", [0, 1, 2], steps=50, size=24, batch=2, cancel=stop)
    assert len(ascent.images) == 2 and ascent.report["steps"].tolist() == [0, 0]


def test_a_gradient_that_is_not_finite_stops_its_picture_only():
    kernel = np.zeros((1, 1, 3, 2), "float32")
    kernel[0, 0, 0] = 1
    inputs = keras.Input((None, None, 3))
    maps = keras.layers.Conv2D(2, 1, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Lambda(
        lambda x: tf.stack([x[..., 0], tf.sqrt(0.8 - x[..., 1])], -1), name="root")(maps))
    model.get_layer("conv").set_weights([kernel, np.zeros(2)])
    net = vz.as_network(model, preprocess=lambda images: images / 255)
    goal = vz.Objective((vz.Reading("root", True, 0),), (np.array([0, 1], "int32"),),
                        lambda maps, values: tf.reduce_mean(maps[0], (1, 2))
                        * tf.constant([1.0, -1.0]))
    KINDS["Lambda"] = KINDS["Identity"]
    try:
        result = vz.render(net, goal, size=8, steps=80, optimiser=vz.Adam(0.5), transforms=())
    finally:
        del KINDS["Lambda"]
    assert result.broken.tolist() == [False, True]
    assert np.isfinite(result.images).all() and result.images[0].mean() > 200


def test_memory_that_runs_out_halves_the_batch(tiny, monkeypatch, capsys):
    original, sizes = vz.render, []

    def small_machine(net, objective, **options):
        sizes.append(len(options["seed"]))
        if sizes[-1] > 2:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")
        return original(net, objective, **options)

    monkeypatch.setattr(vz, "render", small_machine)
    ascent = vz.maximize(tiny, "block2_conv1", range(5), steps=2, size=24, batch=5)
    assert len(ascent.images) == 5 and sizes == [5, 2, 2, 1]
    assert capsys.readouterr().out.count("Memory ran out") == 1


def test_class_logit_rises(vgg16):
    goal = vz.class_logit([207])
    ascent = vz.render(vgg16, goal, size=64, steps=12)
    assert ascent.history[-1, 0] > ascent.history[0, 0] + 1


def test_fourier_pictures_are_what_numpy_says():
    fourier, size = vz.Fourier(), 15
    coefficients = fourier.start(np.random.default_rng(3), size)
    picture = fourier.picture(tf.constant(coefficients[None]), size)[0].numpy()
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    spectrum = (coefficients[0] + 1j * coefficients[1]) * size / np.maximum(frequency, 1 / size)
    planes = np.fft.irfft2(spectrum, s=(size, size)) / 4
    colours = np.einsum("khw,ck->hwc", planes, COLOUR)
    np.testing.assert_allclose(picture, 255 / (1 + np.exp(-colours)), rtol=1e-4)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-7, 11)])
def test_warp_by_whole_pixels_is_a_roll(shift, noise):
    warps = np.tile(np.eye(2, 3, dtype="float32"), (4, 1, 1))
    warps[:, :, 2] = shift
    moved = warp(noise, warps, 64).numpy()
    np.testing.assert_allclose(moved, np.roll(noise, (-shift[0], -shift[1]), (1, 2)), atol=1e-2)


def test_warp_by_a_quarter_turn_is_rot90(noise):
    matrix = np.array([[0, 1, 0], [-1, 0, 0]], "float32")
    turned = warp(noise, np.tile(matrix, (4, 1, 1)), 64).numpy()
    np.testing.assert_allclose(turned, np.rot90(noise, k=1, axes=(1, 2)), atol=1e-2)


def test_warp_has_the_exact_gradient():
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 1, (1, 9, 9, 3)), tf.float32)
    warps = draw_warps(vz.TRANSFORMS, rng, 1)
    weights = rng.normal(size=(1, 9, 9, 3)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(warp(images, warps, 9) * weights)
    gradient = tape.gradient(total, images)
    change = rng.normal(size=images.shape).astype("float32")  # linear, so any step is exact
    moved = tf.reduce_sum(warp(images + change, warps, 9) * weights)
    np.testing.assert_allclose(moved - total, tf.reduce_sum(gradient * change), rtol=1e-3)


def stopping(after):
    """An `on_step` like a user who presses stop after so many steps."""
    def on_step(step, pictures):
        if step >= after:
            raise KeyboardInterrupt
    return on_step


def test_an_interrupt_goes_on_its_way_and_what_is_finished_is_kept(tiny):
    goal, climb = vz.channel("block2_conv1", [1]), {"size": 24, "steps": 10, "on_step": stopping(2)}
    with pytest.raises(vz.Interrupted, match="after 2 of 10 steps") as stop:
        vz.render(tiny, goal, **climb)
    found = stop.value.finished
    assert isinstance(stop.value, KeyboardInterrupt)
    assert found.measured == (0, 2) and found.history.shape == (3, 1)
    assert found.ended == "interrupted" and np.isfinite(found.images).all()
    asked = vz.render(tiny, goal, interruptible=True, **climb)
    np.testing.assert_array_equal(asked.images, found.images)
    assert asked.ended == "interrupted"


def test_an_interrupted_batch_of_filters_keeps_the_finished_ones(tiny):
    calls = []

    def on_step(step, pictures):
        calls.append(step)
        if len(calls) == 3:
            raise KeyboardInterrupt

    options = {"size": 24, "steps": 4, "batch": 2, "on_step": on_step}
    with pytest.raises(vz.Interrupted, match="2 of 4 steps of picture 4 of 6") as stop:
        vz.maximize(tiny, "block2_conv1", range(6), **options)
    found = stop.value.finished
    assert found.report["filter"].tolist() == [0, 1, 2, 3]
    assert found.report["steps"].tolist() == [4, 4, 2, 2]
    assert found.ended == "interrupted"
    calls.clear()
    assert vz.maximize(tiny, "block2_conv1", range(6), interruptible=True,
                       **options).ended == "interrupted"
    assert vz.maximize(tiny, "block2_conv1", 0, size=24, steps=2).ended == "done"


def test_one_filter_goes_with_many_seeds(tiny):
    goal = vz.channel("block3_conv1", 3)
    three = vz.render(tiny, goal, seed=[0, 1, 2], size=40, steps=20)
    assert three.images.shape[0] == three.history.shape[1] == 3
    assert (three.images.std((1, 2, 3)) > 5).all()  # two of them never climbed
    for seed, (image, history) in enumerate(zip(three.images, three.history.T, strict=True)):
        alone = vz.render(tiny, goal, seed=[seed], size=40, steps=20)
        np.testing.assert_allclose(image, alone.images[0], atol=1)
        np.testing.assert_allclose(history, alone.history[:, 0], rtol=1e-3, atol=1e-3)


def test_counts_are_one_or_one_for_each(tiny, noise):
    one, three = vz.channel("block2_conv1", 1), vz.channel("block2_conv1", [0, 1, 2])
    options = {"size": 24, "steps": 1}
    starts = noise[:, :24, :24]
    assert len(vz.render(tiny, three - one, **options).images) == 3
    assert len(vz.render(tiny, one, start=starts, **options).images) == 4
    assert len(vz.render(tiny, vz.layer("block2_conv1"), seed=[5, 6], **options).images) == 2
    assert len(vz.render(tiny, three, measure=one, **options).images) == 3
    for wrong in ({"objective": three, "seed": [0, 1]}, {"objective": three, "start": starts},
                  {"objective": three + vz.channel("block2_conv1", [0, 1])},
                  {"objective": three, "measure": vz.channel("block2_conv1", [0, 1])},
                  {"objective": one, "seed": [0, 1], "start": starts}):
        with pytest.raises(ValueError, match="cannot be paired.* one for all pictures"):
            vz.render(tiny, **{**options, **wrong})


def test_each_filter_starts_from_its_own_picture_whatever_the_batch(tiny, noise):
    starts = noise[:, :24, :24]
    options = {"size": 24, "steps": 1, "parameterisation": vz.Pixels(),
               "optimiser": vz.Adam(1e-6)}
    found = vz.maximize(tiny, "block2_conv1", [0, 1, 2, 3], start=starts, batch=3, **options)
    np.testing.assert_allclose(found.images, starts, atol=1e-3)
    with pytest.raises(ValueError, match="3 starting pictures for 4 to be drawn"):
        vz.maximize(tiny, "block2_conv1", [0, 1, 2, 3], start=starts[:3], **options)


def test_a_reference_of_another_layer_is_refused(tiny):
    with pytest.raises(ValueError, match=r"reference has shape \(5, 8\); block2_conv1 has 6"):
        vz.maximize(tiny, "block2_conv1", 0, size=24, steps=1, reference=np.zeros((5, 8)))


def test_the_last_sound_picture_is_kept_at_a_rate_that_blows_up(tiny):
    goal = vz.channel("block2_conv1", [1])
    begun = vz.render(tiny, goal, size=24, steps=1, snapshots=[0]).snapshots[0]
    for steps in (1, 8):  # unsound at the very end, and on the way
        with np.errstate(all="ignore"):
            wild = vz.render(tiny, goal, size=24, steps=steps, optimiser=vz.Adam(1e38))
        assert wild.broken.all()
        np.testing.assert_array_equal(wild.images, begun)
        assert np.isfinite(wild.history).all()


@pytest.mark.parametrize("kind", ["function", "record"])
def test_equal_names_with_other_formulas_are_other_objectives(tiny, kind):
    reading, numbers = vz.Reading("block2_conv1", True, 0), (np.array([1], "int32"),)

    def objective(sign):
        if kind == "function":
            return vz.Objective((reading,), numbers,
                                lambda maps, values: sign * tf.reduce_mean(maps[0], (1, 2)))

        @dataclasses.dataclass(frozen=True)
        class Formula:
            name: str = "the same"

            def __call__(self, maps, values):
                return sign * tf.reduce_mean(maps[0], (1, 2))

        return vz.Objective((reading,), numbers, Formula())

    up, down = (vz.render(tiny, objective(sign), size=24, steps=10) for sign in (1.0, -1.0))
    assert np.abs(up.images - down.images).max() > 5
    assert up.history[-1, 0] > up.history[0, 0] and down.history[-1, 0] > down.history[0, 0]


def test_a_formula_that_reads_a_variable_sees_its_change(tiny):
    sign = {"now": 1.0}
    objective = vz.Objective((vz.Reading("block2_conv1", True, 0),), (np.array([1], "int32"),),
                             lambda maps, values: sign["now"] * tf.reduce_mean(maps[0], (1, 2)))
    first = vz.render(tiny, objective, size=24, steps=4)
    sign["now"] = -1.0
    second = vz.render(tiny, objective, size=24, steps=4)
    np.testing.assert_allclose(first.history[0], -second.history[0])


def test_canvas_smaller_than_the_field_warns_and_names_the_size(tiny):
    with pytest.warns(UserWarning, match="size=128 avoids that"):
        vz.maximize(tiny, "block4_conv1", 0, steps=1, size=32)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"layer": "block9"}, "layer 'block9' not found.*block1_conv1"),
    ({"filters": 99}, "filters 0 to 5; 99 is out of range"),
    ({"filters": -1}, "out of range"),
    ({"filters": []}, "no filter given"),
    ({"filters": 1.5}, "whole numbers"),
    ({"steps": 0}, "at least 1"),
    ({"seeds": 0}, "at least 1"),
    ({"objective": "beauty"}, "channel, unit"),
    ({"preset": "magic"}, "normalised_gradient"),
    ({"layer": "block9_pool"}, "not found"),
])
def test_bad_input_is_told_in_a_sentence(tiny, arguments, message):
    arguments = {"layer": "block2_conv1", "filters": 0, "steps": 1, **arguments}
    with pytest.raises(ValueError, match=message):
        vz.maximize(tiny, arguments.pop("layer"), arguments.pop("filters"), **arguments)


@pytest.mark.parametrize(("iterations", "steps"), [
    (1, [1]), (5, [1, 2, 3, 4, 5]), (17, [2, 3, 5, 7, 8, 10, 12, 14, 15, 17]),
    (50, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50])])
def test_visualize_filter_prints_the_value_at_each_step_it_names(tiny, capsys, iterations, steps):
    figure = vz.visualize_filter(tiny, "block2_conv1", 1, iterations=iterations, size=24)
    printed = capsys.readouterr().out
    told = {int(step): float(value)
            for step, value in re.findall(r"iteration +(\d+) +(-?[\d.]+)", printed)}
    assert list(told) == steps and len(told) <= 10
    every = vz.maximize(tiny, "block2_conv1", 1, steps=iterations, size=24,
                        snapshots=range(iterations + 1))
    np.testing.assert_allclose(list(told.values()), every.history[steps, 0], atol=2e-3)
    start = float(re.search(r"at the start +(-?[\d.]+)", printed)[1])
    assert start == pytest.approx(every.history[0, 0], abs=1e-3)
    assert figure.axes


def test_visualize_filter_draws_a_filter_by_lot(tiny, capsys):
    def named(**options):
        vz.visualize_filter(tiny, "block2_conv1", iterations=1, size=24, **options)
        return re.search(r"filter (\d+)", capsys.readouterr().out)[1]

    assert len({named() for _ in range(12)}) > 1  # 6 filters: by chance all alike once in 10⁸
    assert len({named(seed=3) for _ in range(3)}) == 1
    with pytest.raises(ValueError, match="out of range"):
        vz.visualize_filter(tiny, "block2_conv1", 6)


def test_nothing_is_changed_in_the_model(tiny):
    layers = tiny.model.layers
    before = [w.copy() for w in tiny.model.get_weights()]
    activations = [getattr(x, "activation", None) for x in layers]
    trainable = [x.trainable for x in layers]
    vz.maximize(tiny, "block3_conv2", [0, 1], steps=3, seeds=2)
    vz.visualize_filter(tiny, "block2_conv1", 1, iterations=2, size=24)
    for old, new in zip(before, tiny.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert activations == [getattr(x, "activation", None) for x in layers]
    assert trainable == [x.trainable for x in layers]
