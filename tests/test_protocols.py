"""What a new parameterisation or optimiser must offer, asked of each that there is, by using it."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
import techniques
import vizutils as vz
from engine.keys import is_value
from engine.optimisers import Adam, Momentum, Normalised, Optimiser
from engine.parameterisations import (
    COLOUR,
    BoundedSpectrum,
    Fourier,
    NaturalSpectrum,
    Parameterisation,
    Pixels,
    Standardised,
)
from engine.render import traced_ascent


def classes_with(protocol):
    """Every class of the engine and of techniques that has the protocol's methods."""
    methods = [name for name, thing in vars(protocol).items()
               if inspect.isfunction(thing) and not name.startswith("_")]
    found = set()
    for package in (engine, techniques):
        for part in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{part.name}")
            found |= {thing for _, thing in inspect.getmembers(module, inspect.isclass)
                      if thing is not protocol and all(hasattr(thing, m) for m in methods)}
    return sorted(found, key=lambda thing: thing.__name__)


WRITINGS, RULES = classes_with(Parameterisation), classes_with(Optimiser)
few = settings(max_examples=8, deadline=None, derandomize=True,
               suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**20)


def test_the_classes_are_found():
    written = {Fourier, Pixels, Standardised, NaturalSpectrum, BoundedSpectrum}
    assert written < set(WRITINGS)  # and deepdream's
    assert {Adam, Normalised, Momentum} <= set(RULES)


@pytest.mark.parametrize("kind", WRITINGS + RULES)
def test_each_is_a_key_for_its_trace(kind):
    one, same = kind(), kind()
    assert one == same and hash(one) == hash(same) and is_value(one)
    field = dataclasses.fields(one)[0]
    other = dataclasses.replace(one, **{field.name: getattr(one, field.name) + 1})
    assert other != one
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, field.name, 0)


def smooth_picture(rng, size):
    """Any colours, without the extremes that some parameterisations cannot reach."""
    return rng.uniform(20, 235, (size, size, 3)).astype("float32")


@pytest.mark.parametrize("kind", WRITINGS)
@few
@given(size=st.integers(3, 40), seed=seeds)
def test_a_parameterisation_keeps_its_promises(kind, size, seed):
    writing, rng = kind(), np.random.default_rng(seed)
    begun = writing.start(np.random.default_rng(seed), size)
    assert begun.dtype == np.float32 and np.isfinite(begun).all()
    np.testing.assert_array_equal(begun, writing.start(np.random.default_rng(seed), size))
    other = writing.start(np.random.default_rng(seed + 1), size)
    assert other.shape == begun.shape and (other != begun).any()

    images = np.stack([smooth_picture(rng, size) for _ in range(3)])
    numbers = np.stack([writing.write(image) for image in images])
    assert numbers.dtype == np.float32 and numbers.shape[1:] == begun.shape
    shown = writing.picture(tf.constant(numbers), size)
    assert shown.dtype == tf.float32 and shown.shape == (3, size, size, 3)
    if kind not in (NaturalSpectrum, BoundedSpectrum):  # not any magnitudes, see below
        np.testing.assert_allclose(shown, images, atol=0.1)
    for one, row in zip(shown, numbers, strict=True):  # whoever its neighbours are
        np.testing.assert_allclose(writing.picture(tf.constant(row[None]), size)[0], one, atol=0.01)

    numbers = tf.constant(np.stack([begun, other]))
    with tf.GradientTape() as tape:
        tape.watch(numbers)
        pixel = writing.picture(numbers, size)[0, 1, 2, 0]
    slope = tape.gradient(pixel, numbers).numpy()
    assert np.isfinite(slope).all() and slope[0].any() and not slope[1].any()


def magnitudes(image):
    """Of each frequency of the three decorrelated colours, orthonormal, without the mean."""
    planes = np.einsum("hwc,kc->khw", image - image.mean((0, 1)), np.linalg.inv(COLOUR))
    return np.abs(np.fft.rfft2(planes, norm="ortho"))


@few
@given(size=st.integers(3, 60), seed=seeds)
def test_a_natural_spectrum_is_the_same_whatever_the_phases(size, seed):
    writing, rng = NaturalSpectrum(), np.random.default_rng(seed)
    wanted = writing.magnitude(size)
    for phases in (writing.start(rng, size), np.zeros((3, size, size // 2 + 1), "float32")):
        shown = writing.picture(tf.constant(phases[None]), size)[0].numpy()
        np.testing.assert_allclose(magnitudes(shown), wanted, atol=1e-4 * wanted.max())
    half = NaturalSpectrum(0.5).picture(tf.constant(phases[None]), size)[0].numpy()
    half, shown = (image - image.mean((0, 1)) for image in (half, shown))
    np.testing.assert_allclose(half, shown / 2, atol=0.01)


def test_a_natural_spectrum_keeps_the_phases_of_a_photograph():
    photo = vz.load_images(limit=1, size=64).images[0]
    writing = NaturalSpectrum()
    shown = writing.picture(tf.constant(writing.write(photo)[None]), 64)[0].numpy()

    def phases(image):
        planes = np.einsum("hwc,kc->khw", image - image.mean((0, 1)), np.linalg.inv(COLOUR))
        return np.angle(np.fft.rfft2(planes))[:, 1:31, 1:32]  # self-conjugate ones have signs only

    apart = np.angle(np.exp(1j * (phases(shown) - phases(photo))))
    assert np.abs(apart).max() < 0.01
    assert np.corrcoef(shown.ravel(), photo.ravel())[0, 1] > 0.6


@few
@given(size=st.integers(8, 40), seed=seeds)
def test_a_bounded_spectrum_outgrows_its_bound_nowhere(size, seed):
    writing, rng = BoundedSpectrum(2.0), np.random.default_rng(seed)
    for scale in (1, 1e3):
        numbers = scale * rng.normal(size=(1, 2, 3, size, size // 2 + 1)).astype("float32")
        share = writing.picture(tf.constant(numbers), size)[0].numpy().astype("float64") / 255
        assert 0 < share.min() and share.max() < 1
        levels = 255 / 4 * np.log(share / (1 - share))
        bound = writing.bound(size)
        assert (magnitudes(levels) <= 1.01 * bound + 1e-3 * bound.max()).all()


def test_a_bounded_spectrum_writes_a_photograph():
    photo = vz.load_images(limit=1, size=64).images[0]
    writing = BoundedSpectrum()
    shown = writing.picture(tf.constant(writing.write(photo)[None]), 64)[0].numpy()
    shown, wanted = (image - image.mean((0, 1)) for image in (shown, photo))
    assert np.corrcoef(shown.ravel(), wanted.ravel())[0, 1] > 0.98


def test_a_natural_spectrum_is_that_of_photographs():
    """Of the packaged ones, which are not those it was measured on."""
    photos = vz.load_images(limit=20, size=180).images
    fade = np.outer(*[np.hanning(182)[1:-1]] * 2)[..., None]
    fade = fade / np.sqrt((fade**2).mean())
    seen = np.mean([magnitudes((p - p.mean((0, 1))) * fade) for p in photos], axis=0)
    wanted = NaturalSpectrum().magnitude(180)
    frequency = np.hypot(np.fft.fftfreq(180)[:, None], np.fft.rfftfreq(180))
    for low, high in ((0.03, 0.08), (0.08, 0.2), (0.2, 0.5)):
        band = (frequency >= low) & (frequency < high)
        ratio = seen[:, band].mean(1) / wanted[:, band].mean(1)
        assert 0.6 < ratio[0] < 1.6, (low, ratio)  # brightness
        assert ((ratio > 0.4) & (ratio < 3)).all(), (low, ratio)  # few pictures, of few colours


@pytest.mark.parametrize("kind", RULES)
@few
@given(seed=seeds, steps=st.integers(1, 5),
       shape=st.sampled_from([(2, 4), (3, 2, 5), (1, 3, 3, 3)]))
def test_an_optimiser_keeps_its_promises(kind, seed, steps, shape):
    rule, rng = kind(), np.random.default_rng(seed)
    gradients = rng.normal(0, 1, (steps, *shape)).astype("float32")
    numbers = rng.normal(0, 1, shape).astype("float32")

    def walk(rows, rate):
        """The steps taken on some of the rows, and the memory at the end."""
        memory, taken = rule.memory(numbers[rows]), []
        assert isinstance(memory, tuple)
        kinds = [(m.shape, m.dtype) for m in memory]
        assert all(shape[0] == len(numbers[rows]) for shape, _ in kinds)
        for number, gradient in enumerate(gradients[:, rows]):
            step, memory = rule.change(tf.constant(gradient), memory, tf.constant(number),
                                       tf.constant(rate, tf.float32))
            assert step.shape == gradient.shape and isinstance(memory, tuple)
            assert [(tuple(m.shape), tf.as_dtype(m.dtype).as_numpy_dtype) for m in memory] == kinds
            taken.append(step.numpy())
        return np.stack(taken)

    together = walk(slice(None), 1.0)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(walk(slice(None), 2.0), 2 * together, rtol=1e-5)
    np.testing.assert_allclose(walk(slice(0, 1), 1.0), together[:, :1], rtol=1e-4, atol=1e-6)
    assert ((together[0] * gradients[0]).sum() > 0)  # uphill, at the first step
    still, _ = rule.change(tf.zeros(shape), rule.memory(numbers), tf.constant(0), tf.constant(1.0))
    np.testing.assert_array_equal(still, 0)  # no slope, no step


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("writing", WRITINGS)
def test_any_two_climb_together_and_their_trace_is_found_again(tiny, writing, rule):
    tiny._kept.clear()  # another test may have used it
    goal, rate = vz.channel("block2_conv1", [1, 3]), {
        Fourier: 0.3, Standardised: 0.1, NaturalSpectrum: 0.1, BoundedSpectrum: 0.05}.get(
            writing, 4.0)
    if rule is Momentum:  # its steps have the gradient's length
        rate = {Fourier: 1.0, Standardised: 10.0, NaturalSpectrum: 100.0, BoundedSpectrum: 1.0}.get(
            writing, 1e4)
    for seed in (0, 1):
        found = vz.render(tiny, goal, size=24, steps=10, parameterisation=writing(), seed=seed,
                          optimiser=rule(rate * (1 + seed / 10)), transforms=(),
                          measure="climb", progress=False)
        assert (found.history[-1] > found.history[0]).all() and not found.broken.any()
    traced = [f for (build, *_), f in tiny._kept.items() if build is traced_ascent]
    assert [f.experimental_get_tracing_count() for f in traced] == [1]


@dataclasses.dataclass(frozen=True)
class Hesitant:
    """Remembers three things of three kinds: a count, the longest gradient so far, a sum."""

    rate: float = 1.0

    def memory(self, numbers):
        rows = len(numbers)
        return (np.zeros(rows, "int32"), np.zeros((rows, 1), "float32"),
                np.zeros(numbers.shape, "float32"))

    def change(self, gradient, memory, number, rate):
        count, longest, total = memory
        length = tf.reshape(tf.norm(tf.reshape(gradient, (tf.shape(gradient)[0], -1)), axis=1),
                            (-1, 1))
        longest, total = tf.maximum(longest, length), total + gradient
        return (rate * total / longest[:, :, None, None] / tf.cast(count + 1, tf.float32)[
            :, None, None, None], (count + 1, longest, total))


def test_an_optimiser_may_remember_whatever_it_needs(tiny, noise):
    options = {"size": 24, "steps": 3, "start": noise[:2, :24, :24], "transforms": (),
               "parameterisation": Pixels(), "progress": False}
    goal = vz.channel("block2_conv1", [1, 3])
    found = vz.render(tiny, goal, optimiser=Hesitant(50.0), **options)

    cut = vz.submodel(tiny, "block2_conv1", pre_activation=True)
    images, total, longest = tf.constant(options["start"]), 0, 0
    for count in range(3):
        with tf.GradientTape() as tape:
            tape.watch(images)
            maps = cut(tiny.preprocess(images))
            value = tf.reduce_mean(maps[0, ..., 1]) + tf.reduce_mean(maps[1, ..., 3])
        gradient = tape.gradient(value, images).numpy()
        total = total + gradient
        longest = np.maximum(longest, np.sqrt((gradient**2).sum((1, 2, 3), keepdims=True)))
        images += 50 * total / longest / (count + 1)
    np.testing.assert_allclose(found.images, np.clip(images, 0, 255), atol=0.02)
