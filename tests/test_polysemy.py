"""One cause or several, on clusters and detectors that were planted."""

import keras
import numpy as np
import pytest

import vizutils as vz
from techniques import polysemy


def planted(groups, spread=0.15, count=40, channels=20, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, channels))
    vectors = np.repeat(centres, count, axis=0)
    return polysemy.directions(vectors + rng.normal(0, spread * 3, vectors.shape))


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_planted_clusters_are_counted(groups):
    found = polysemy.split(planted(groups))
    assert found.k == groups and found.silhouette > found.null.max()
    pieces = found.labels.reshape(groups, -1)
    assert (pieces == pieces[:, :1]).mean() > 0.95 and len(set(pieces[:, 0])) == groups


@pytest.mark.parametrize("seed", range(3))
def test_clouds_without_clusters_are_not_cut(seed):
    rng = np.random.default_rng(seed)
    round_cloud = 6 + rng.normal(size=(80, 15))
    long_cloud = round_cloud + 1.5 * rng.normal(size=(80, 1)) * rng.normal(size=15)
    for cloud in (round_cloud, long_cloud):
        assert polysemy.split(polysemy.directions(cloud), draws=20, seed=seed).k == 1
    assert polysemy.split(np.tile([[1.0, 0, 0]], (50, 1))).k == 1


def test_a_handful_of_strays_is_no_cluster():
    vectors = np.concatenate([planted(1, 0.1, 60), planted(1, 0.1, 3, seed=5)])
    assert polysemy.split(vectors).k == 1


def test_spectrum_takes_a_few_from_each_picture_and_band():
    rng = np.random.default_rng(0)
    maps = rng.exponential(size=(12, 20, 20)).astype("float32")
    table = polysemy.spectrum(maps, per_picture=2)
    assert table.groupby(["picture", "level"]).size().max() == 2
    assert table["value"].is_monotonic_decreasing and table["value"].min() > maps.mean()
    np.testing.assert_array_equal(maps[table["picture"], table["row"], table["column"]],
                                  table["value"])
    assert table.groupby("level")["value"].max()[0] <= table.groupby("level")["value"].min()[1]
    assert sorted(table["level"].unique()) == [0, 1, 2]


def detectors():
    """First layer: redness, vertical stripes, others. Second: 0 wants either of the two, 1 only
    redness, 2 redness with a little of much else; the others are random."""
    rng = np.random.default_rng(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(10, 5, padding="same", activation="relu", name="parts")(inputs)
    outputs = keras.layers.Conv2D(12, 3, padding="same", name="units")(x)
    model = keras.Model(inputs, outputs)
    parts = rng.normal(0, 0.1, (5, 5, 3, 10))
    parts[..., :2] = 0
    parts[..., 0, 0], parts[..., 1:, 0] = 0.08, -0.06  # red, not grey
    parts[:, :, :, 1] = 0.055 * np.array([-1, 0, 2, 0, -1])[None, :, None]
    units = rng.normal(0, 0.2, (3, 3, 10, 12))
    units[..., :3] = 0
    units[1, 1, :2, 0] = units[1, 1, 0, 1] = 1
    units[..., 2] = rng.normal(0, 0.002, (3, 3, 10))
    units[1, 1, 0, 2] = 1
    model.get_layer("parts").set_weights([parts, np.full(10, -0.02)])
    model.get_layer("units").set_weights([units, np.zeros(12)])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


def pictures(count=32, side=40, seed=0):
    """Noise on grey with red blobs, or with vertical stripes, of any strength."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    images = rng.normal(128, 8, (count, side, side, 3))
    for i, image in enumerate(images):
        height = rng.uniform(0.3, 1) * 100
        centre = rng.uniform(12, 28, 2)
        near = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 40)
        if i % 2:
            image[..., 0] += height * near
            image[..., 1:] -= height * near[..., None]
        else:
            image += (height * near * np.array([1, 0, -1, 0])[columns % 4])[..., None]
    return images.clip(0, 255).astype("float32")


@pytest.fixture(scope="module")
def net():
    return detectors()


@pytest.fixture(scope="module")
def seen():
    return vz.as_image_set(pictures())


def test_a_sum_of_two_detectors_has_two_unrelated_causes(net, seen):
    found = polysemy.causes(net, "units", 0, seen, diverse=pictures(10, seed=3))
    assert found.verdict == "several unrelated" and found.k == 2
    assert found.similarity[0, 1] < 0.2
    assert found.survives == {"middle": True, "diversity": True}
    spectral = found.table[found.table["source"] == "spectrum"]
    striped = spectral["picture"] % 2 == 0
    first = spectral["cluster"] == spectral["cluster"][striped].mode()[0]
    assert (first == striped).mean() > 0.95
    assert "several unrelated" in found.sentence and len(found.images) == len(found.shown)
    figure = polysemy.plot_causes(found)
    assert sum(axes.get_title() == "ascent" for axes in figure.axes) == 4


def test_without_or_with_one_sided_diversity_nothing_unrelated_is_claimed(net, seen):
    alone = polysemy.causes(net, "units", 0, seen)
    assert alone.verdict == "undecided" and "no diversity pictures" in alone.sentence
    one_sided = polysemy.causes(net, "units", 0, seen, diverse=pictures(10, seed=3)[1::2])
    assert one_sided.verdict == "undecided" and not one_sided.survives["diversity"]


@pytest.mark.parametrize("filter", [1, 2])
def test_one_detector_has_one_cause(net, seen, filter):
    found = polysemy.causes(net, "units", filter, seen, diverse=pictures(10, seed=3)[1::2])
    assert found.verdict == "one cause" and found.k == 1
    assert (found.table["cluster"] == 0).all()


def test_a_split_of_like_clusters_is_related():
    like, unlike = (np.array([[1, cosine], [cosine, 1]]) for cosine in (0.75, 0.65))
    both = {"middle": True, "diversity": True}
    assert polysemy._verdict(100, 2, like, both) == "several related"
    assert polysemy._verdict(100, 2, unlike, both) == "several unrelated"
    assert polysemy._verdict(100, 2, unlike, {**both, "middle": False}) == "undecided"
    assert polysemy._verdict(polysemy.LEAST_PLACES - 1, 1, unlike, both) == "undecided"


def test_diversity_pictures_differ_and_are_seeded(net):
    made = polysemy.diverse_pictures(net, "units", 0, scale=5.0, count=3, steps=4)
    again = polysemy.diverse_pictures(net, "units", 0, scale=5.0, count=3, steps=4)
    assert made.shape[0] == 3 and 0 <= made.min() <= made.max() <= 255
    np.testing.assert_array_equal(made, again)
    assert np.abs(made[0] - made[1]).mean() > 0.3


def test_bad_input_teaches(net, tiny, seen):
    with pytest.raises(ValueError, match="filters 0 to 11"):
        polysemy.causes(net, "units", 12, seen)
    with pytest.raises(ValueError, match="larger pictures"):
        polysemy.causes(tiny, "block5_conv2", 0, seen)
