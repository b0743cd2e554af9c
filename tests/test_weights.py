"""VGG16's weights: the real ones, every file layout, and files that are something else."""

import h5py
import keras
import numpy as np
import pytest

from data import fetch, weights

PUBLISHED = [  # layer, 0 kernel or 1 bias, position, value in Keras's own file
    ("block1_conv1", 0, (0, 0, 0, 0), 0.42947057),
    ("block1_conv1", 1, (25,), 0.7446502),
    ("block1_conv2", 0, (2, 2, 63, 63), 0.016082443),
    ("block2_conv1", 1, (1,), 0.06440781),
    ("block5_conv1", 0, (1, 0, 63, 269), -0.011236359),
    ("block5_conv2", 1, (510,), 0.23517226),
    ("block5_conv3", 0, (0, 2, 0, 400), -0.008714244),
]


@pytest.fixture(scope="module")
def packaged():
    return weights.vgg16_arrays("packaged")


@pytest.fixture(scope="module")
def trunk():
    """An untrained VGG16 trunk as Keras builds it."""
    return keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3))


@pytest.fixture
def own_cache(tmp_path, monkeypatch, packaged):
    """A cache of its own that shares the fetched ONNX model with the real one."""
    onnx_file = fetch.fetch("vgg16-trunk")
    monkeypatch.setenv("VIZUTILS_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "fetch", lambda name: onnx_file)
    return tmp_path


def write_legacy(path, arrays):
    """Keras 2's layout: a group a layer, and in it the layer's name once more."""
    with h5py.File(path, "w") as file:
        for layer, (kernel, bias) in arrays.items():
            file[f"{layer}/{layer}/bias:0"] = bias
            file[f"{layer}/{layer}/kernel:0"] = kernel
        file.create_group("block1_pool")


def same(one, other):
    return list(one) == list(other) and all(
        np.array_equal(a, b)
        for layer in one for a, b in zip(one[layer], other[layer], strict=True))


# ---------------------------------------------------------------------------------------------
# The real weights


@pytest.mark.parametrize("layer, part, position, value", PUBLISHED)
def test_published_values(packaged, layer, part, position, value):
    assert packaged[layer][part][position] == np.float32(value)


def test_the_packaged_trunk_is_complete(packaged):
    assert list(packaged) == list(weights.TRUNK_SHAPES)
    assert sum(tensor.size for layer in packaged.values() for tensor in layer) == 14_714_688
    assert all(tensor.dtype == np.float32 for layer in packaged.values() for tensor in layer)
    assert weights.is_imagenet_trunk(packaged)


def test_one_changed_number_is_noticed(packaged):
    kernel, bias = packaged["block4_conv2"]
    bias = bias.copy()
    bias[7] = np.nextafter(bias[7], 1)
    assert not weights.is_imagenet_trunk(packaged | {"block4_conv2": [kernel, bias]})
    assert not weights.is_imagenet_trunk({k: v for k, v in packaged.items() if "block5" not in k})


def test_the_digest_does_not_depend_on_memory_order_or_byte_order():
    array = np.arange(6, dtype="float32").reshape(2, 3)
    expected = weights.tensor_digest(array)
    assert weights.tensor_digest(np.asfortranarray(array)) == expected
    assert weights.tensor_digest(array.astype(">f4")) == expected
    assert weights.tensor_digest(array[:1], array[1:]) == expected
    assert weights.tensor_digest(array.T) != expected


def test_the_conversion_is_done_once(own_cache, packaged, monkeypatch):
    assert same(weights.vgg16_arrays(), packaged)
    monkeypatch.setattr(weights, "_read_onnx", None)  # calling it would raise TypeError
    assert same(weights.vgg16_arrays(), packaged)


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_damaged_conversion_is_done_again(own_cache, packaged, harm):
    weights.vgg16_arrays()
    path = own_cache / weights.CONVERTED
    content = bytearray(path.read_bytes())
    if harm == "changed":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if harm == "changed" else content[:1000])
    assert same(weights.vgg16_arrays(), packaged)


def test_a_package_with_other_weights_is_refused(own_cache, monkeypatch):
    monkeypatch.setattr(weights, "_read_onnx", lambda path: {
        layer: [np.zeros(shape, "float32"), np.zeros(shape[-1], "float32")]
        for layer, shape in weights.TRUNK_SHAPES.items()})
    with pytest.raises(ValueError, match="does not hold VGG16's ImageNet weights"):
        weights.vgg16_arrays()
    assert not list(own_cache.glob("*.h5"))


# ---------------------------------------------------------------------------------------------
# File layouts


def test_a_legacy_file(tmp_path, packaged):
    write_legacy(tmp_path / "notop.h5", packaged)
    assert same(weights.vgg16_arrays(tmp_path / "notop.h5"), packaged)


@pytest.mark.filterwarnings("ignore:You are saving your model")
@pytest.mark.parametrize("filename", ["x.weights.h5", "x.h5"])
def test_a_file_that_keras_saves(tmp_path, trunk, filename):
    path = tmp_path / filename
    (trunk.save_weights if ".weights" in filename else trunk.save)(path)
    arrays = weights.vgg16_arrays(str(path))
    assert list(arrays) == list(weights.TRUNK_SHAPES)
    for layer, tensors in arrays.items():
        for ours, keras_own in zip(tensors, trunk.get_layer(layer).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, keras_own)
    assert not weights.is_imagenet_trunk(arrays)


def test_dense_layers_come_along(tmp_path, packaged, monkeypatch):
    assert sum(np.prod(s) + s[-1] for s in weights.DENSE_SHAPES.values()) == 123_642_856
    small = {"fc1": (20, 4), "fc2": (4, 4), "predictions": (4, 10)}
    monkeypatch.setattr(weights, "DENSE_SHAPES", small)
    dense = {name: [np.ones(shape, "float32"), np.zeros(shape[1], "float32")]
             for name, shape in small.items()}
    write_legacy(tmp_path / "full.h5", dense | packaged)
    assert same(weights.vgg16_arrays(tmp_path / "full.h5"), packaged | dense)


# ---------------------------------------------------------------------------------------------
# Files that are something else


def test_no_such_file():
    with pytest.raises(FileNotFoundError, match="nowhere.h5 not found; give 'packaged'"):
        weights.vgg16_arrays("nowhere.h5")


def test_not_hdf5(tmp_path):
    (tmp_path / "x.h5").write_text("<html>404</html>")
    with pytest.raises(ValueError, match="x.h5 is damaged, cut short or not an HDF5 file"):
        weights.vgg16_arrays(tmp_path / "x.h5")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_cut_short(tmp_path, packaged, share):
    write_legacy(tmp_path / "x.h5", packaged)
    content = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="damaged, cut short"):
        weights.vgg16_arrays(tmp_path / "x.h5")


def test_another_architecture(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="stem")])
    model.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(ValueError, match="lacks block1_conv1, .* 9 more, and has .*stem"):
        weights.vgg16_arrays(tmp_path / "x.weights.h5")


def test_vgg19_is_told_from_vgg16_by_its_extra_layers(tmp_path, packaged):
    extra = {f"block{b}_conv4": packaged["block5_conv3"] for b in (3, 4, 5)}
    write_legacy(tmp_path / "vgg19.h5", packaged | extra)
    with pytest.raises(ValueError, match="not VGG16: .*block3_conv4"):
        weights.vgg16_arrays(tmp_path / "vgg19.h5")


def test_a_vgg_of_other_widths(tmp_path, packaged):
    kernel, bias = packaged["block2_conv1"]
    write_legacy(tmp_path / "x.h5", packaged | {"block2_conv1": [kernel[..., :96], bias[:96]]})
    with pytest.raises(ValueError, match=r"block2_conv1 should have .*\(3, 3, 64, 128\).*96"):
        weights.vgg16_arrays(tmp_path / "x.h5")
