"""What a network keeps can neither lie nor grow without end; Keras's settings change no number."""

import concurrent.futures
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vizutils as vz
from conftest import build_tiny_vgg
from engine.keys import is_value
from engine.network import MOST_KEPT, traced
from techniques import attribution, circuits, deconvnet, inversion

ROOT = Path(__file__).resolve().parents[1]


def test_new_weights_count_at_once_in_everything_that_was_traced(tiny, noise):
    layer = "block2_conv2"
    size = vz.receptive_field(tiny, layer).size
    patches = noise[:, :size, :size]
    asked = {
        "activations": lambda net: vz.activations(net, layer, noise, pre_activation=True),
        "submodel": lambda net: vz.submodel(net, layer, pre_activation=True)(
            net.preprocess(noise)).numpy(),
        "one unit": lambda net: vz.patch_responses(net, layer, patches),
        "ascent": lambda net: vz.maximize(net, layer, [0, 1], size=24, steps=2).history,
        "deconvnet": lambda net: deconvnet.project(net, layer, 0, noise).images,
        "windows": lambda net: circuits.windows(
            net, layer, 0, vz.as_image_set(noise),
            circuits.random_places(net, layer, vz.as_image_set(noise), 5)).values,
        "inversion": lambda net: inversion.invert(net, layer, noise[0], steps=1).history,
    }
    old = {name: ask(tiny) for name, ask in asked.items()}
    tiny.model.set_weights([1.5 * w for w in tiny.model.get_weights()])
    fresh = vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
    fresh.model.set_weights(tiny.model.get_weights())
    for name, ask in asked.items():
        np.testing.assert_allclose(ask(tiny), ask(fresh), rtol=1e-4, atol=1e-4, err_msg=name)
        assert not np.allclose(ask(tiny), old[name], rtol=1e-3), name
    assert tiny.digest == fresh.digest


def test_no_function_leaves_a_trace_in_the_users_model(tiny, noise):
    def nodes():
        return [(len(x._inbound_nodes), len(x._outbound_nodes)) for x in tiny.model.layers]

    before, config = nodes(), tiny.model.get_config()
    vz.submodel(tiny, "block2_conv2", pre_activation=True)
    vz.submodel(tiny, ["block1_pool", "block2_conv2"], pre_activation=[False, True])
    vz.maximize(tiny, "block3_conv1", 0, steps=1)
    vz.patch_responses(tiny, "block1_conv2", noise[:, :5, :5])
    deconvnet.project(tiny, "block2_conv1", 0, noise)
    circuits.ablate(tiny, "block2_conv1", 0, [1])
    assert nodes() == before and tiny.model.get_config() == config


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first(tiny):
    tiny._kept.clear()  # another test may have used it
    for cosine in range(MOST_KEPT + 5):
        tiny.kept(_made, cosine)
        tiny.kept(_made, 0)  # used all the time
    assert len(tiny._kept) == MOST_KEPT
    assert tiny.kept(_made, 0) is tiny.kept(_made, 0)
    assert (_made, 1) not in tiny._kept and (_made, MOST_KEPT + 4) in tiny._kept


def _made(net, number):
    return [net, number]


@dataclasses.dataclass(frozen=True)
class Record:
    number: float
    inner: object = None


@dataclasses.dataclass
class Loose:
    number: float = 1.0


def test_only_what_equality_says_all_about_is_a_key(tiny):
    def closure(maps, values):
        return maps

    values = (1, 2.5, "word", None, True, np.float32(1), _made, Record(1.0),
              (Record(1.0, _made), 3))
    assert all(is_value(value) for value in values)
    assert not any(is_value(value) for value in (
        closure, lambda: 0, Loose(), Record(1.0, closure), np.zeros(2), [1], {1: 2},
        (1, Record(0.0, Loose()))))
    assert tiny.kept(_made, Loose()) is not tiny.kept(_made, Loose())


def test_a_copy_with_other_settings_keeps_a_cache_of_its_own(tiny, noise):
    plain = vz.activations(tiny, "block1_conv1", noise)
    other = dataclasses.replace(tiny, preprocess=lambda images: images * 0)
    assert not np.allclose(vz.activations(other, "block1_conv1", noise), plain)


def test_two_threads_share_what_is_kept(tiny):
    tiny._kept.clear()  # another test may have used it
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tiny.kept(_made, number % 70), range(2000)))
    assert len(tiny._kept) == MOST_KEPT


def test_stored_class_responses_are_refused_once_the_weights_changed():
    net = vz.load_network("vgg16", weights="packaged")
    assert len(vz.class_table(net, "block1_conv2", 3)) == 1000
    changed = net.model.get_layer("block1_conv2")
    changed.set_weights([2 * w for w in changed.get_weights()])
    assert len(vz.class_table(net, "block1_conv1", 3)) == 1000  # lies below the change
    for layer in ("block1_conv2", "block3_conv2"):
        with pytest.raises(ValueError, match="weights up to it were changed after loading"):
            vz.class_table(net, layer, 3)
    ascent = vz.maximize(net, "block1_conv2", 3, steps=1)
    assert ascent.report["percentile"].isna().all()


# --- Keras's global state ------------------------------------------------------------------------


@pytest.fixture
def keras_settings():
    """Whatever a test does to Keras's global settings is undone."""
    policy, numbers, order = (keras.config.dtype_policy(), keras.config.floatx(),
                              keras.config.image_data_format())
    yield
    keras.config.set_floatx(numbers)
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(order)


@pytest.mark.parametrize("setting", ["mixed_float16", "float64", "channels_first"])
def test_global_settings_of_keras_change_no_number(vgg16, keras_settings, noise, setting):
    expected = {"logits": vz.logits(vgg16, noise),
                "picture": vz.maximize(vgg16, "block2_conv1", 3, steps=3).images,
                "projection": deconvnet.project(vgg16, "block2_conv1", 3, noise).images,
                "cam": attribution.grad_cam(vgg16, noise[:1], 3).maps}
    if setting == "channels_first":
        keras.config.set_image_data_format(setting)
    elif setting == "float64":
        keras.config.set_floatx(setting)
    else:
        keras.config.set_dtype_policy(setting)
    net = vz.load_network("vgg16", weights="packaged")
    found = {"logits": vz.logits(net, noise),
             "picture": vz.maximize(net, "block2_conv1", 3, steps=3).images,
             "projection": deconvnet.project(net, "block2_conv1", 3, noise).images,
             "cam": attribution.grad_cam(net, noise[:1], 3).maps}
    for name, numbers in expected.items():
        np.testing.assert_allclose(found[name], numbers, rtol=1e-3, atol=1e-3, err_msg=name)
    lite = vz.load_network("efficientnet_lite0")
    assert vz.logits(lite, noise).dtype == np.float32
    assert {setting} & {keras.config.dtype_policy().name, keras.config.floatx(),
                        keras.config.image_data_format()}  # and the user's setting is left alone


def test_kerass_preprocessing_keeps_channels_last(keras_settings, tiny, noise):
    net = vz.as_network(build_tiny_vgg(), preprocess=keras.applications.vgg16.preprocess_input)
    expected = vz.activations(net, "block1_conv1", noise)
    keras.config.set_image_data_format("channels_first")
    fresh = dataclasses.replace(net)
    np.testing.assert_allclose(vz.activations(fresh, "block1_conv1", noise), expected, rtol=1e-5)


@pytest.mark.parametrize(("setting", "message"), [
    ("mixed_float16", "computes in float16; single precision is needed.*set_dtype_policy"),
    ("channels_first", "has channels first.*set_image_data_format")])
def test_a_model_of_other_numbers_is_refused_in_a_sentence(keras_settings, setting, message):
    if setting == "channels_first":
        keras.config.set_image_data_format(setting)
        inputs = keras.Input((3, 16, 16))
    else:
        keras.config.set_dtype_policy(setting)
        inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs))
    with pytest.raises(ValueError, match=message):
        vz.as_network(model)


# --- editing a module under a running notebook ---------------------------------------------------


def test_a_traced_function_is_taken_as_it_is_written():
    def decides(number):
        return 1.0 if number > 0 else 0.0  # AutoGraph would rewrite this from its source

    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        traced(decides, tf.TensorSpec((), tf.float32))(np.float32(1))


def test_a_module_edited_while_it_is_in_use_goes_on_working(tmp_path):
    """AutoGraph reads sources when it traces; lines that have moved break it."""
    for name in ("vizutils.py", "engine", "techniques", "data"):
        source, target = ROOT / name, tmp_path / name
        ignore = shutil.ignore_patterns("cache", "__pycache__")
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(
            source, target)
    program = """
import re, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, "TESTS")
from conftest import build_tiny_vgg
import vizutils as vz
from techniques import adversarial, attribution, circuits, deconvnet, inversion
assert Path(vz.__file__).parent == Path.cwd()
for path in [Path("vizutils.py"), *Path("engine").glob("*.py"), *Path("techniques").rglob("*.py")]:
    path.write_text("# a line more\\n(\\n" * 7 + path.read_text(encoding="utf-8"), encoding="utf-8")
net = vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
noise = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
vz.maximize(net, "block2_conv1", [0, 1], steps=3)
vz.patch_responses(net, "block1_conv2", noise[:, :5, :5])
inversion.invert(net, "block1_conv2", noise[0], steps=2)
deconvnet.project(net, "block2_conv1", 0, noise)
print("worked")
""".replace("TESTS", str(ROOT / "tests").replace("\\", "/"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment,
                         capture_output=True, text=True)
    assert run.stdout.strip().endswith("worked"), run.stderr[-3000:]
