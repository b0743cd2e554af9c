"""Users' classes by name, and models from files, whose code is never run."""

import functools
import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

import vizutils as vz
from conftest import classifier, pictures_of

layers = keras.layers


@pytest.fixture(autouse=True)
def seeded():
    """Fresh layers have the same weights in each test."""
    keras.utils.set_random_seed(3)


# --- classes and labels ---------------------------------------------------------------------------


def test_folders_named_after_classes_are_labels(tmp_path):
    for name, count in (("my cat", 2), ("dog", 1), ("others", 1)):
        (tmp_path / name / "2024").mkdir(parents=True)
        for i in range(count):
            keras.utils.save_img(tmp_path / name / "2024" / f"{i}.png", pictures_of(32, 1)[0])
    found = vz.load_images(tmp_path, size=32, classes=["dog", "My_Cat"])
    assert dict(zip(found.names, found.labels, strict=False)) and found.labels.tolist() == [
        0, 1, 1, -1]
    assert found.classes == found.subset([1]).classes == ("dog", "My_Cat")
    assert vz.load_images(tmp_path, size=32).labels.tolist() == [-1] * 4
    by_name = vz.load_images(tmp_path, size=32, labels=["dog", 0, "my cat", ""],
                             classes=["dog", "My_Cat"])
    assert by_name.labels.tolist() == [0, 0, 1, -1]
    with pytest.raises(ValueError, match="index from 0 to 1"):
        vz.load_images(tmp_path, size=32, labels=[0, 1, 2, 0], classes=["dog", "My_Cat"])
    alone = vz.load_images(tmp_path / "dog", size=32, classes=["dog", "My_Cat"])
    assert alone.labels.tolist() == [0]  # the folder itself may be of one class
    above = vz.load_images(tmp_path, size=32, classes=[tmp_path.parent.name, "others"])
    assert above.labels.tolist() == [-1, -1, -1, 1]  # but what it lies in says nothing
    names = tmp_path / "names.txt"
    names.write_text("dog\n\nmy cat\n", "utf-8")
    assert vz.load_images(tmp_path, size=32, classes=names).classes == ("dog", "my cat")
    assert vz.as_network(classifier(classes=3), classes=tmp_path).classes == (
        "dog", "my cat", "others")


@pytest.mark.parametrize(("classes", "says"), [
    (["a", "b"], "classes has 2 names, but own ends in 4 classes"),
    (["a", "b", "c", "A"], "has 'a' twice"), ([1, 2, 3, 4], "classes are names"),
    ("nowhere.txt", "no file of class names nowhere.txt")])
def test_classes_that_do_not_fit_are_refused(classes, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        vz.as_network(classifier(), classes=classes)


def test_imagenets_names_do_not_pass_for_ones_own():
    net = vz.as_network(classifier(classes=300), classes=[f"kind {i}" for i in range(300)])
    with pytest.raises(ValueError, match="given by ImageNet's names, and own has its own"):
        vz.render(net, vz.class_logit("tabby"), steps=1)
    assert net.class_name(281) == "kind 281" and net.find_class("Kind_7") == 7
    unnamed = vz.as_network(classifier())
    assert unnamed.has_classifier and unnamed.class_name(2) == "class 2"
    with pytest.raises(ValueError, match=r"as_network\(model, classes="):
        vz.classify(unnamed, pictures_of(32))


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_whole_vgg16_gives_its_weights_in_either_kind_of_file(ending, tmp_path, vgg16):
    trunk = keras.Model(vgg16.model.input, vgg16.model.get_layer("block5_pool").output)
    path = tmp_path / f"vgg16.{ending}"
    trunk.save(path)
    net = vz.load_network("vgg16", weights=path)
    assert net.head == "distilled" and net.responses is not None  # bit by bit ImageNet's
    opened = vz.load_network(path, preprocess=keras.applications.vgg16.preprocess_input)
    assert opened.conv_layers == vgg16.conv_layers
    shown = pictures_of(32)
    np.testing.assert_array_equal(
        vz.activations(opened, "block2_conv2", shown), vz.activations(net, "block2_conv2", shown))


class Mine(layers.Layer):
    """A layer that no file can bring."""

    def call(self, x):
        return x * 2


def saved(path, *middle):
    classifier(*middle).save(path)
    return path


def rewritten(path, change):
    """The description in a model's file, changed as text."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        parts["config.json"] = change(parts["config.json"].decode()).encode()
        with zipfile.ZipFile(path, "w") as file:
            for name, content in parts.items():
                file.writestr(name, content)
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = change(file.attrs["model_config"])
    return path


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_code_in_a_file_is_not_run(ending, tmp_path):
    marker = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    hostile = layers.Lambda(eval(f"lambda x: (x, {code})[0]"), name="hostile")
    path = saved(tmp_path / f"hostile.{ending}", hostile)
    marker.unlink(missing_ok=True)  # building it ran it
    keras.config.enable_unsafe_deserialization()  # what a user may have called before
    try:
        with pytest.raises(ValueError, match="hostile.* has a [Ll]ambda layer, which runs code"):
            vz.load_network(path)
    finally:
        global_state.set_global_attribute("safe_mode_saving", None)  # as it is at the start
    assert not marker.exists()


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_file_that_names_functions_of_the_system_calls_none(ending, tmp_path):
    path = saved(tmp_path / f"named.{ending}", layers.Activation("relu", name="act"))

    def hostile(text):
        description = json.loads(text)
        for layer in description["config"]["layers"]:
            if layer["config"].get("name") == "act":
                layer["config"]["activation"] = {
                    "module": "os", "class_name": "function", "config": "getcwd",
                    "registered_name": "getcwd"}
        return json.dumps(description)

    with pytest.raises(ValueError, match="needs function|names the function getcwd of os"):
        vz.load_network(rewritten(path, hostile))
    download = functools.partial(re.sub, r'"module": "os"', '"module": "keras.utils"')
    with pytest.raises(ValueError, match="names the function getcwd of keras.utils"):
        vz.load_network(rewritten(path, lambda text: download(text)))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_layer_of_ones_own_is_in_no_file(ending, tmp_path):
    path = saved(tmp_path / f"mine.{ending}", Mine(name="mine"))
    with pytest.raises(ValueError, match="needs .*Mine, which is no layer of Keras.*load_weights"):
        vz.load_network(path)


def test_random_weights_of_a_file_are_a_control_that_is_the_same_each_time(tmp_path):
    scaled = keras.layers.Normalization(mean=[9.0, 8.0, 7.0], variance=[4.0, 5.0, 6.0])
    path = saved(tmp_path / "mine.keras", keras.layers.Conv2D(3, 3, name="last"))
    keras.Sequential([keras.Input((32, 32, 3)), scaled, classifier(
        keras.layers.Conv2D(3, 3, name="last"))], name="outer").save(path)
    net = vz.load_network(path)
    one, two = (vz.load_network(path, weights="random") for _ in range(2))
    assert one.digest == two.digest != net.digest and "random" in one.weights_source
    assert one.conv_layers == net.conv_layers and not one.has_classifier
    assert not np.allclose(vz.kernels(one, "last", 0), vz.kernels(net, "last", 0))
    shown = pictures_of(32)
    where = vz.input_layer(net, "first").tensor
    np.testing.assert_allclose(vz.activations(one, where, shown),
                               vz.activations(net, where, shown), rtol=1e-5)


def test_files_that_hold_no_model_are_refused_in_a_sentence(tmp_path):
    model = classifier()
    model.save_weights(tmp_path / "mine.weights.h5")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "folder.keras").mkdir()
    model.save(tmp_path / "cut.keras")
    whole = (tmp_path / "cut.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    for name, says in (("mine.weights.h5", "holds weights only"), ("text.keras", "no whole model"),
                       ("folder.keras", "is a folder"), ("cut.keras", "no whole model"),
                       ("none.keras", "there is no model file")):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            vz.load_network(tmp_path / name)
    model.save(tmp_path / "good.keras")
    with pytest.raises(ValueError, match="weights of its own: leave weights out"):
        vz.load_network(tmp_path / "good.keras", weights="imagenet")
    with pytest.raises(ValueError, match="has its own preprocessing, classes and output"):
        vz.load_network("vgg16", classes=["a"])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_subclassed_model_in_a_file_gets_its_own_remedy(ending, tmp_path):
    class Mine(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.top = layers.Conv2D(4, 3)

        def call(self, x):
            return self.top(x)

    model = Mine()
    model(pictures_of(16))
    model.save(tmp_path / f"mine{ending}")
    with pytest.raises(ValueError, match=r"mine.*\(Mine\) is a subclassed model.*model\.call\(inp"):
        vz.load_network(tmp_path / f"mine{ending}")


def test_a_description_that_is_no_mapping_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.keras", "w") as file:
        file.writestr("config.json", "[]")
    with pytest.raises(ValueError, match="no whole model"):
        vz.load_network(tmp_path / "mine.keras")


# --- what is done to pictures before a model sees them ------------------------------------------


@pytest.mark.parametrize(("name", "function"), [
    ("none", lambda x: x), ("0-1", lambda x: x / 255), ("-1-1", lambda x: x / 127.5 - 1),
    ("vgg", keras.applications.vgg16.preprocess_input),
    ("torch", functools.partial(keras.applications.imagenet_utils.preprocess_input,
                                mode="torch"))])
def test_a_preprocessing_is_asked_for_by_name(name, function, tmp_path, capsys):
    saved(tmp_path / "mine.keras")
    shown = pictures_of(32)
    net = vz.load_network(tmp_path / "mine.keras", preprocess=name)
    own = vz.load_network(tmp_path / "mine.keras", preprocess=function)
    np.testing.assert_allclose(vz.logits(net, shown), vz.logits(own, shown), rtol=1e-4, atol=1e-3)
    assert net.input_channels == (("B", "G", "R") if name == "vgg" else ("R", "G", "B"))
    assert capsys.readouterr().out == ""  # who has said it is not asked


def test_where_a_preprocessing_may_be_missing_it_is_said_with_the_names(tmp_path, capsys):
    for middle, raw in ([], True), ([layers.Rescaling(1 / 255)], False):
        inputs = keras.Input((32, 32, 3))
        x = layers.ZeroPadding2D(1)(inputs)  # it changes no number
        for layer in middle:
            x = layer(x)
        keras.Model(inputs, layers.Conv2D(4, 3)(x)).save(tmp_path / "mine.keras")
        vz.load_network(tmp_path / "mine.keras")
        said = capsys.readouterr().out
        assert ("none, 0-1, -1-1, vgg, torch" in said and "PREPROCESS=" in said) is raw
        assert bool(said) is raw
        vz.load_network(tmp_path / "mine.keras", weights="random")
        assert capsys.readouterr().out == ""
        loaded = keras.models.load_model(tmp_path / "mine.keras")
        vz.as_network(loaded, name="mine")  # a model in memory is asked about as a file is
        assert capsys.readouterr().out == said
        vz.as_network(loaded, preprocess="none")
        assert capsys.readouterr().out == ""


def test_a_preprocessing_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="preprocess is one of none, 0-1.*not '0-2'"):
        vz.as_network(classifier(), preprocess="0-2")
    with pytest.raises(ValueError, match="for three colours, and this model reads 1 channel"):
        vz.as_network(classifier(shape=(32, 32, 1)), preprocess="vgg")
    net = vz.as_network(classifier(shape=(32, 32, 1)), preprocess="0-1")
    grey = net.preprocess(pictures_of(32)).numpy()
    assert grey.shape == (3, 32, 32, 1) and 0 <= grey.min() < grey.max() <= 1
