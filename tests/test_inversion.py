"""Feature inversion: regularisers, recipes, measures, positions; what VGG16 gives back."""

import functools

import keras
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from scipy import stats
from skimage import metrics

import vizutils as vz
from techniques import inversion
from tools import companion

#: The exercise's seven modules, and the comparison row: each block's last convolution.
NAMED = {1: "relu1_1", 5: "conv2_1", 10: "conv3_1", 15: "relu3_3", 20: "relu4_2", 25: "relu5_1",
         30: "pool5", 2: "conv1_2", 7: "conv2_2", 14: "conv3_3", 21: "conv4_3", 28: "conv5_3"}
ONE_TO_ONE = np.float32([[0.8, 0.3, -0.2], [-0.2, 0.9, 0.3], [0.3, -0.2, 0.8]])


def linear_net(kernel):
    """A network whose only layer mixes colours, pixel by pixel."""
    inputs = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(3, 1, name="block1_conv1")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel[None, None], np.zeros(3)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def cat():
    """A photograph of a cat, 64 px."""
    images = vz.load_images(size=64)
    return images.read([images.names.index("chelsea")])[0]


# --- regularisers -----------------------------------------------------------------------------


def test_regularisers_equal_sums_written_out():
    pictures = np.random.default_rng(0).normal(0, 1, (2, 5, 5, 3)).astype("float32")
    alpha, variation = inversion.regularisers(pictures)
    for x, a, v in zip(pictures, alpha.numpy(), variation.numpy(), strict=True):
        total = 0.0
        for row in range(4):
            for column in range(4):
                here = x[row, column]
                total += sum((x[row + 1, column] - here) ** 2 + (x[row, column + 1] - here) ** 2)
        np.testing.assert_allclose(a, (np.abs(x) ** 6).sum(), rtol=1e-5)
        np.testing.assert_allclose(v, total, rtol=1e-5)


def test_the_loss_is_made_of_the_three_terms(tiny, noise):
    found = inversion.invert(tiny, "block2_conv1", noise[0], steps=3, alpha_weight=1e-3,
                             tv_weight=1e-4, checkpoints=[3])
    picture = found.snapshots[3]
    map_, goal = (vz.activations(tiny, "block2_conv1", x) for x in (picture, noise[:1]))
    x = (picture / 255 - inversion.MEAN) / inversion.SPREAD
    alpha, variation = (r.numpy()[0] for r in inversion.regularisers(x))
    expected = [((map_ - goal) ** 2).sum() / (goal**2).sum(), 1e-3 * alpha, 1e-4 * variation]
    np.testing.assert_allclose(found.history[-1, 0], expected, rtol=1e-3)
    np.testing.assert_allclose(found.loss[-1, 0], sum(expected), rtol=1e-3)


@pytest.mark.parametrize(("off", "column"), [("alpha_weight", 1), ("tv_weight", 2)])
def test_each_regulariser_can_be_switched_off(tiny, noise, off, column):
    found = inversion.invert(tiny, "block1_conv1", noise[0], steps=2, **{off: 0.0})
    assert not found.history[:, :, column].any()
    assert found.history[-1, :, [0, 3 - column]].all()


# --- known answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [np.eye(3, dtype="float32"), ONE_TO_ONE])
@pytest.mark.parametrize("recipe", ["fourier", "exercise"])
def test_a_layer_that_loses_nothing_gives_the_picture_back(cat, kernel, recipe):
    found = inversion.invert(linear_net(kernel), "block1_conv1", cat, steps=200,
                             alpha_weight=0.0, tv_weight=0.0,
                             recipe=inversion.RECIPES[recipe].at(64))
    assert found.loss[-1, 0] < 0.03
    assert metrics.peak_signal_noise_ratio(cat, found.images[0], data_range=255) > 29


def test_momentum_is_gradient_descent_with_a_memory():
    optimiser, place, memory = inversion.Momentum(rate=0.1, share=0.5), 4.0, (0.0,)
    places = []
    for number in range(3):  # uphill on −x², by hand: v ← v / 2 − 2x, x ← x + v / 10
        change, memory = optimiser.change(-2 * place, memory, number, optimiser.rate)
        place += change
        places.append(place)
    np.testing.assert_allclose(places, [3.2, 2.16, 1.208])


def test_another_side_changes_rate_and_weights_by_the_number_of_pixels():
    exercise, fourier = (inversion.RECIPES[name] for name in ("exercise", "fourier"))
    assert (exercise.optimiser.rate, exercise.optimiser.share, exercise.steps) == (1e3, 0.9, 200)
    assert (exercise.alpha_weight, exercise.tv_weight) == (1e-7, 1e-8)
    half = exercise.at(112)
    assert half.optimiser.rate == 250
    assert half.alpha_weight == pytest.approx(4e-7)
    assert half.at(224).tv_weight == pytest.approx(1e-8)
    assert fourier.at(48).optimiser == fourier.optimiser


# --- what comes back --------------------------------------------------------------------------


def test_history_snapshots_and_neighbours(tiny, noise):
    both = inversion.invert(tiny, "block2_pool", noise[:2], steps=20, checkpoints=4)
    assert both.history.shape == (21, 2, 3)
    assert list(both.snapshots) == [5, 10, 15, 20]
    np.testing.assert_array_equal(both.snapshots[20], both.images)
    assert 0 <= both.images.min() and both.images.max() <= 255
    assert (both.ended, both.broken.any()) == ("done", False)
    one = inversion.invert(tiny, "block2_pool", noise[0], steps=20, checkpoints=[7])
    np.testing.assert_allclose(one.loss[:, 0], both.loss[:, 0], rtol=1e-3)


def test_nothing_of_the_model_changes_and_a_second_run_is_the_same(tiny, noise):
    before = [w.numpy() for w in tiny.model.weights]
    first, second = (inversion.invert(tiny, "block1_conv2", noise[0], steps=5) for _ in "ab")
    for weight, old in zip(tiny.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)
    np.testing.assert_allclose(first.images, second.images, atol=1e-2)
    other = inversion.invert(tiny, "block1_conv2", noise[0], steps=5, seed=1)
    assert np.abs(first.images - other.images).max() > 0.1


class Once:
    """An event that is set after it was asked `patience` times; or an impatient reader."""

    def __init__(self, patience, impatient=False):
        self.patience, self.impatient = patience, impatient

    def is_set(self):
        self.patience -= 1
        if self.patience < 0 and self.impatient:
            raise KeyboardInterrupt
        return self.patience < 0


@pytest.mark.parametrize("impatient", [False, True])
def test_an_interrupt_keeps_what_there_is(tiny, noise, impatient):
    ask = functools.partial(inversion.invert, tiny, "block1_conv1", noise[0], steps=40)
    if impatient:
        with pytest.raises(vz.Interrupted, match="12 of 40 steps") as stop:
            ask(cancel=Once(3, impatient))
        found = stop.value.finished
        assert ask(cancel=Once(3, impatient), interruptible=True).ended == "interrupted"
    else:
        found = ask(cancel=Once(3))
    assert found.ended == "interrupted"
    assert len(found.history) == 13 and list(found.snapshots) == [4, 8, 12]
    np.testing.assert_array_equal(found.images, found.snapshots[12])


def test_a_rate_that_is_too_large_is_told_and_leaves_a_picture(tiny, noise):
    wild = inversion.RECIPES["exercise"].at(224)
    wild = inversion.replace(wild, optimiser=inversion.Momentum(rate=1e12))
    found = inversion.invert(tiny, "block3_conv1", noise[0], recipe=wild, steps=30)
    assert found.broken[0]
    assert np.isfinite(found.images).all()


@pytest.mark.parametrize(("change", "said"), [
    ({"layer": "block9"}, "not found"), ({"recipe": "none"}, "exercise, fourier"),
    ({"steps": 0}, "at least 1"), ({"image": np.zeros((32, 48, 3))}, "square"),
    ({"checkpoints": [99]}, "between 1 and 5"), ({"layer": "flat"}, "no map"),
])
def test_what_cannot_be_inverted_is_refused_in_a_sentence(noise, change, said):
    inputs = keras.Input((None, None, 3))
    body = keras.layers.Conv2D(4, 3, name="block1_conv1", activation="relu")(inputs)
    flat = keras.layers.GlobalAveragePooling2D(name="flat")(body)
    net = vz.as_network(keras.Model(inputs, flat), preprocess=lambda images: images / 255)
    given = {"layer": "block1_conv1", "image": noise[0], "steps": 5, **change}
    with pytest.raises(ValueError, match=said):
        inversion.invert(net, **given)


def test_a_silent_map_is_refused(noise):
    net = linear_net(np.zeros((3, 3), "float32"))
    with pytest.raises(ValueError, match="silent"):
        inversion.invert(net, "block1_conv1", noise[0])


# --- positions --------------------------------------------------------------------------------


def test_positions_are_those_of_the_exercise(vgg16):
    table = inversion.positions(vgg16)
    assert len(table) == 31
    assert dict(table.loc[list(NAMED), "module"]) == NAMED
    assert (table.loc[5, "layer"], table.loc[5, "pre_activation"]) == ("block2_conv1", True)
    assert (table.loc[15, "layer"], table.loc[15, "pre_activation"]) == ("block3_conv3", False)
    assert tuple(table.loc[30, ["channels", "sees", "stride"]]) == (512, 212, 32)
    assert set(NAMED) == {*inversion.SEVEN, *inversion.COMPARED}


def test_other_networks_are_counted_only_if_they_are_plain():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="block1_conv1")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(4, 3, name="block1_conv2")(x)
    net = vz.as_network(keras.Model(inputs, x), preprocess=lambda images: images)
    with pytest.raises(ValueError, match="plain VGG"):
        inversion.positions(net)


def test_several_depths_in_order(tiny, noise):
    found = inversion.invert_depths(tiny, noise[0], at=(4, 1), steps=2)
    assert list(found) == ["pool1", "relu1_1"]
    assert found["pool1"].layer == "block1_pool"
    with pytest.raises(ValueError, match="0 to 30, not 31"):
        inversion.invert_depths(tiny, noise[0], at=[31])


# --- measures ---------------------------------------------------------------------------------


def test_likeness_equals_scikit_image():
    rng = np.random.default_rng(1)
    one, other = rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    other = (one + other) / 2
    found = inversion.likeness(one, other)
    mse = ((one.astype("float64") - other) ** 2).mean()
    assert found["psnr"] == pytest.approx(10 * np.log10(255**2 / mse), rel=1e-5)
    assert found["psnr"] == metrics.peak_signal_noise_ratio(one, other, data_range=255)
    assert found["ssim"] == pytest.approx(np.mean([metrics.structural_similarity(
        one[..., c], other[..., c], data_range=255) for c in range(3)]), rel=1e-5)
    assert found["correlation"] == pytest.approx(
        stats.pearsonr(one.ravel(), other.ravel())[0], rel=1e-5)
    assert inversion.likeness(one, one + 1e-3)["ssim"] == pytest.approx(1)


@pytest.mark.parametrize("wanted", [0.9, 0.4])
def test_a_blurred_picture_is_as_alike_as_asked(cat, wanted):
    image = inversion.blurred(cat, wanted)
    assert inversion.likeness(cat, image)["ssim"] == pytest.approx(wanted, abs=0.01)
    assert np.abs(np.diff(image, axis=0)).mean() < np.abs(np.diff(cat, axis=0)).mean()


def still(net, layer, original, images):
    """An inversion that found given pictures."""
    return inversion.Inversion(images, original, layer, False, np.ones((2, len(images), 3)), {},
                               np.zeros(len(images), bool), "done")


def test_measures_of_the_picture_itself_and_of_another(vgg16):
    pictures = vz.load_images(size=96).read([0, 12])
    same = inversion.measures(vgg16, still(vgg16, "block2_conv1", pictures, pictures + 1e-3))
    assert (same["error"] < 1e-6).all() and (same["ssim"] > 0.999).all()
    assert same["top1"].all() and (same["seen"] == same["found"]).all()
    swapped = inversion.measures(vgg16, still(vgg16, "block2_conv1", pictures, pictures[::-1]),
                                 names=["dog", "rug"])
    assert (swapped["picture"] == ["dog", "rug"]).all()
    assert not swapped["top1"].any() and (swapped["rank"] > 1).all()
    mixed = np.stack([a * pictures[0] + (1 - a) * pictures[1] for a in (0.3, 0.6, 0.75, 0.95)])
    shown = np.repeat(pictures[:1], 4, axis=0)
    between = inversion.measures(vgg16, still(vgg16, "block2_conv1", shown, mixed))
    assert {*between["top1"]} == {True, False} and (between["probability"] > 0).all()
    assert (between["top1"] == (between["seen"] == between["found"])).all()
    assert (between["top5"] == (between["rank"] <= 5)).all()
    goal, map_ = vz.activations(vgg16, "block2_conv1", pictures)
    assert swapped.loc[0, "error"] == pytest.approx(
        ((map_ - goal) ** 2).sum() / (goal**2).sum(), rel=1e-4)


def table_of(rows):
    """`information`'s columns for depths a, b, c, ...: rows of one value for each picture."""
    return pd.DataFrame([{"module": "abcd"[i], "picture": str(j), "ssim": value}
                         for i, row in enumerate(rows) for j, value in enumerate(row)])


def test_the_bottleneck_is_named_by_rule():
    clear = inversion.bottleneck(table_of([[1, 1, 1], [0.8, 0.9, 0.5], [0.1, 0.2, 0.3]]))
    assert list(clear["step"]) == ["a → b", "b → c"]
    np.testing.assert_allclose(clear["fall"], [0.8 / 3, 1.6 / 3])
    assert list(clear["pictures"]) == [1, 2]
    assert list(clear["bottleneck"]) == [False, True]
    torn = inversion.bottleneck(table_of([[1, 1], [0.1, 0.9], [0, 0.1]]))
    assert not torn["bottleneck"].any()  # each picture has its own
    with pytest.raises(ValueError, match="two depths"):
        inversion.bottleneck(table_of([[1, 1]]))


@pytest.mark.filterwarnings("error")
def test_a_picture_of_one_colour_correlates_with_none_and_does_not_vote():
    flat = np.full((16, 16, 3), 90.0)
    found = inversion.likeness(flat, np.random.default_rng(0).uniform(0, 255, flat.shape))
    assert np.isnan(found["correlation"]) and np.isfinite([found["psnr"], found["ssim"]]).all()
    assert inversion.likeness(flat, flat)["psnr"] == np.inf
    lone = inversion.bottleneck(table_of([[1, np.nan], [0.9, np.nan], [0.1, np.nan]]))
    assert list(lone["pictures"]) == [0, 1] and list(lone["bottleneck"]) == [False, True]
    with pytest.raises(ValueError, match="one colour"):
        inversion.bottleneck(table_of([[np.nan], [np.nan]]))


# --- caricature -------------------------------------------------------------------------------


def test_resemblance_is_the_dot_product_times_the_cosine():
    rng = np.random.default_rng(0)
    map_, target = rng.normal(size=(2, 1, 2, 2, 5)).astype("float32")
    target += map_
    product = (map_ * target).sum(-1)
    cosine = product / np.linalg.norm(map_, axis=-1) / np.linalg.norm(target, axis=-1)
    for power in (0.0, 2.0):
        goal = inversion.resemblance("any", target, cosine_power=power)
        value = goal.formula([map_], goal.values).numpy()
        np.testing.assert_allclose(
            value, (product * np.maximum(cosine, 0.1) ** power).mean((1, 2)), rtol=1e-4)


def test_a_caricature_has_more_than_the_picture_itself(tiny, noise):
    found = inversion.caricature(tiny, "block2_conv2", noise[0], steps=60, transforms=())
    assert found.images.shape == (1, 64, 64, 3)
    itself = vz.activations(tiny, "block2_conv2", noise[:1])[:, 5:-5, 5:-5]
    assert found.history[-1, 0] > 1.5 * (itself**2).sum(-1).mean()


# --- the real network -------------------------------------------------------------------------


def test_vgg16_gives_back_less_with_depth(vgg16, cat):
    found = inversion.invert_depths(vgg16, cat, at=(1, 5, 10), steps=60)
    table = inversion.information(vgg16, found)
    assert (table["reduction"] >= 10).all()
    assert table["psnr"].is_monotonic_decreasing and table["ssim"].iloc[0] > 0.85
    assert table["ssim"].iloc[1] >= 0.6


# --- figures ----------------------------------------------------------------------------------


def test_figures(tiny, noise):
    found = inversion.invert_depths(tiny, noise[:2], at=(1, 4), steps=6, checkpoints=[1, 3, 6])
    table = inversion.information(tiny, found)
    below = ["shallow\nmap", "after a pool"]
    row = inversion.plot_depths(found, picture=1, below=below, columns=3)
    assert [a.get_title().split("\n")[0] for a in row.axes] == ["original", "relu1_1", "pool1"]
    assert [a.get_xlabel() for a in row.axes] == ["", *below]
    losses = inversion.plot_losses({"one": found, "two": found})
    np.testing.assert_allclose(losses.axes[1].lines[1].get_ydata(), found["pool1"].loss[:, 0])
    steps = inversion.plot_trajectories(found)
    assert [a.get_title().split("\n")[0] for a in steps.axes[:3]] == [
        f"relu1_1, step {step}" for step in (1, 3, 6)]
    spread = inversion.plot_information(table)
    mean = spread.axes[0].lines[-1].get_ydata()
    np.testing.assert_allclose(mean, table.groupby("module", sort=False)["psnr"].mean())
    for figure in (row, losses, steps, spread):
        figure.canvas.draw()


# --- the companion on any picture -------------------------------------------------------------


@pytest.mark.parametrize(("words", "said"), [
    (("7",), "no companion '7'.*2_tiny.ipynb"), (("2", "IMAGE=gone.jpg"), "no picture gone.jpg"),
    (("2", "IMAGE=text.jpg"), "cannot be read: text.jpg is damaged.*save it again as JPEG"),
    (("2", "IMAGE=."), "no picture ."), (("2", "COLOUR=red"), "no parameter"),
])
def test_a_companion_that_cannot_be_run_is_refused(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    tiny_companion(tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(SystemExit, match=said):
        companion.main(*words)
    assert not (tmp_path / "build").exists()


def test_a_companion_runs_on_any_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_companion(tmp_path)
    Image.new("L", (40, 30), 99).save(tmp_path / "mine.png")
    companion.main("2", "IMAGE=mine.png")
    done = nbformat.read(tmp_path / "build/2_tiny.ipynb", as_version=4)
    assert "by hand" not in str(done.cells)
    assert done.cells[-1].outputs[0].text == "True True\n"
    assert "True True" in (tmp_path / "build/2_tiny.html").read_text()


def tiny_companion(folder):
    """notebooks/2_tiny.ipynb, which says whether its picture and figures have full paths."""
    (folder / "notebooks").mkdir()
    show = ("import os\nprint(os.path.isfile(IMAGE), os.environ['VIZUTILS_FIGURES'].endswith("
            "'build/figures/2_tiny'))")
    cells = [new_code_cell('IMAGE = ""', metadata={"tags": ["parameters"]}),
             new_markdown_cell("said by hand", metadata={"tags": ["only-pinned"]}),
             new_code_cell(show)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata),
                   folder / "notebooks/2_tiny.ipynb")
