"""Networks that users bring: the situations of public bug reports, and answers that are known."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import vizutils as vz
from conftest import classifier, pictures_of
from techniques import adversarial, analysis, attribution, circuits, dashboard, silencing

layers = keras.layers
DIGITS = tuple("zero one two three four five six seven eight nine".split())


@pytest.fixture(autouse=True)
def seeded():
    """Fresh layers have the same weights in each test."""
    keras.utils.set_random_seed(3)


def small_trunk(name="trunk", seed=0):
    """Two convolutions, the first with a batch norm whose numbers are no defaults."""
    keras.utils.set_random_seed(seed)
    trunk = keras.Sequential([
        keras.Input((None, None, 3)), layers.Conv2D(6, 3, use_bias=False, name="first"),
        layers.BatchNormalization(name="norm"), layers.ReLU(name="relu"),
        layers.Conv2D(5, 3, activation="relu", name="second")], name=name)
    rng = np.random.default_rng(seed)
    trunk.get_layer("norm").set_weights([
        np.resize([1.5, -0.7], 6), rng.normal(size=6), rng.normal(size=6), rng.uniform(1, 2, 6)])
    return trunk


def head(x, classes=3, **options):
    return layers.Dense(classes, **options)(layers.GlobalAveragePooling2D(name="pooled")(x))


# --- a network trained on digits ------------------------------------------------------------------


@functools.cache
def digits():
    """scikit-learn's 8 × 8 digits at 28 px, grey 0-255, and what they show: (n, 28, 28), (n,)."""
    found = load_digits()
    small = np.kron(found.images * (255 / 16), np.ones((1, 3, 3)))
    return np.pad(small, ((0, 0), (2, 2), (2, 2))).astype("float32"), found.target


@functools.cache
def trained():
    """A grey `Sequential` with a softmax, trained on the first 1,200 digits in a few seconds."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.RandomTranslation(0.05, 0.05), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False, name="strokes"),
        layers.BatchNormalization(name="norm"), layers.ReLU(name="relu"),
        layers.ZeroPadding2D(1, name="border"),
        layers.Conv2D(12, 3, activation="relu", name="corners"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, activation="softmax")],
        name="digits")
    images, labels = digits()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[:1200, ..., None], labels[:1200], epochs=6, batch_size=32, verbose=0)
    return model


@functools.cache
def reader():
    return vz.as_network(trained(), classes=DIGITS)


def unseen(count=200):
    images, labels = digits()
    colour = np.repeat(images[1200 : 1200 + count, ..., None], 3, -1)
    return vz.load_images(colour, size=28, labels=labels[1200 : 1200 + count], classes=DIGITS)


def test_grey_digits_are_named_by_the_users_words():
    net, shown = reader(), unseen()
    assert (net.head, net.class_count, net.fixed_size) == ("original", 10, 28)
    assert net.input_channels == ("grey",) and net.preprocess(shown.images[:1]).shape[-1] == 1
    guesses = [one[0] for one in vz.classify(net, shown, top=1)]
    assert {wnid for wnid, _, _ in guesses} == {""}
    right = np.mean([name == DIGITS[label]
                     for (_, name, _), label in zip(guesses, shown.labels, strict=True)])
    assert right > 0.85
    grey = digits()[0][1200:1400, ..., None]
    np.testing.assert_allclose([p for _, _, p in guesses],
                               trained().predict(grey, verbose=0).max(1), rtol=1e-3)


def test_colours_become_the_grey_that_pillow_makes_of_them():
    colours = np.float32([[255, 0, 0], [0, 255, 0], [0, 0, 255], [30, 90, 200]])
    pictures = np.broadcast_to(colours[:, None, None], (4, 28, 28, 3))
    grey = [np.asarray(Image.fromarray(one.astype("uint8")).convert("L")) for one in pictures]
    np.testing.assert_allclose(reader().preprocess(pictures)[..., 0], grey, atol=1)


def test_logits_of_a_softmax_head_are_read_before_it():
    net, shown = reader(), unseen(20)
    logits = vz.logits(net, shown)
    assert not np.allclose(logits.sum(1), 1, atol=0.1)
    np.testing.assert_allclose(tf.nn.softmax(logits),
                               trained().predict(digits()[0][1200:1220, ..., None], verbose=0),
                               rtol=1e-3, atol=1e-6)


def test_a_class_table_of_digits_speaks_of_digits():
    net, shown = reader(), unseen()
    table = vz.class_table(net, "corners", 2, shown)
    assert set(table["label"]) == set(DIGITS) == set(table["group"])
    values = vz.image_maxima(net, "corners", shown).values[:, 2]
    best = table["label"][0]
    assert table["mean"][0] == pytest.approx(values[shown.labels == DIGITS.index(best)].mean())
    assert len(vz.group_table(table)) == 10
    with pytest.raises(ValueError, match="labels are of others: load them by load_images"):
        vz.class_table(net, "corners", 2, vz.load_images(size=28))


def test_attribution_and_adversaries_speak_of_digits():
    net, shown = reader(), unseen(8)
    asked = attribution.saliency(net, shown.images, "seven")
    assert set(asked.targets) == {7}
    with pytest.raises(ValueError, match="no class of this network is called 'sevn'.*seven"):
        attribution.saliency(net, shown.images, "sevn")
    cam = attribution.grad_cam(net, shown.images)
    assert cam.maps.shape == (8, 28, 28)
    attack = adversarial.fgsm(net, shown.images, epsilon=40.0)
    table = attack.table()
    assert set(table["before"]) | set(table["after"]) <= set(DIGITS)
    assert attack.success.any()
    with pytest.raises(ValueError, match="as it is: choose another target"):
        adversarial.look(net, shown.images[:1], table["before"][0])
    changed = silencing.class_effect(net, "corners", 1, shown, controls=2).table
    assert set(changed["label"]) <= set(DIGITS)


def test_ascent_in_a_fixed_grey_network_raises_what_the_network_itself_reads():
    net = reader()
    found = vz.maximize(net, "strokes", [0, 3], steps=24)
    assert found.images.shape == (2, 28, 28, 3)
    assert (found.history[-1] > found.history[0] + 1e-3).all()
    grey = found.images @ np.float32([0.299, 0.587, 0.114])
    inner = keras.Model(trained().inputs[0], trained().get_layer("norm").output)
    maps = inner(grey[..., None], training=False).numpy()
    inside = vz.unpadded_positions(net, "strokes", 28)
    own = [maps[i, inside, inside, f].mean() for i, f in enumerate((0, 3))]
    np.testing.assert_allclose(found.history[-1], own, rtol=1e-3, atol=1e-4)


def test_the_dashboard_and_a_whole_analysis_take_the_digits():
    net, shown = reader(), unseen(30)
    board = dashboard.Dashboard(net, layer="corners", filter=1, images=shown, shown=(), steps=4)
    view = board.view
    board.close()
    assert view.size == 28
    _, words = dashboard.draw("attribution", view)
    assert any(f"of '{name}'" in words for name in DIGITS)
    own = dashboard.join(shown, {"mine": shown.images[0]})
    assert own.classes == DIGITS and own.labels[0] == -1
    found = analysis.analyse(net, "corners", 1, image_set=shown, controls=2, steps=4, pieces=4,
                             progress=False)
    assert found.verdict in ("supported", "supported in part", "undecided", "refuted")
    assert len(found.claims) > 5


# --- one unit: a convolution and its norm ---------------------------------------------------------


def test_a_convolution_and_its_norm_are_one_unit_everywhere():
    """Against the network as Keras runs it, unfolded."""
    net, shown = reader(), unseen(12)
    inner = keras.Model(trained().inputs[0], [trained().get_layer("norm").output,
                                           trained().get_layer("relu").output])
    norm, relu = (x.numpy() for x in inner(digits()[0][1200:1212, ..., None], training=False))
    own = vz.activations(net, "strokes", shown, pre_activation=True)
    np.testing.assert_allclose(own, norm, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(vz.activations(net, "strokes", shown), relu, rtol=1e-4, atol=1e-4)
    forward = vz.image_maxima(net, "strokes", shown)
    inside = vz.unpadded_positions(net, "strokes", 28)
    np.testing.assert_allclose(forward.values, norm[:, inside, inside].max((1, 2)), rtol=1e-4,
                               atol=1e-4)
    places = circuits.random_places(net, "strokes", shown, 30)
    windows = circuits.windows(net, "strokes", 1, shown, places)
    total = windows.bias + circuits.contributions(windows).sum(1)
    at = norm[places["picture"], places["row"], places["column"], 1]
    np.testing.assert_allclose(total, at, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(windows.values, at, rtol=1e-3, atol=1e-3)


def test_cutting_edges_below_a_norm_takes_away_their_contributions():
    trunk = small_trunk()
    deep = keras.Sequential([trunk, layers.Conv2D(4, 3, name="third"),
                             layers.BatchNormalization(name="after")])
    deep.get_layer("after").set_weights(np.array(
        [[2, -1, 0, 1], [1, 1, 1, 1], [0.5, 0, 0, 0], [1, 1, 4, 2]]))
    net, shown = vz.as_network(deep), vz.as_image_set(pictures_of(16))
    places = circuits.random_places(net, "third", shown, 20)
    for filter in (0, 1):
        found = circuits.windows(net, "third", filter, shown, places)
        terms = circuits.contributions(found)
        cut = circuits.windows(circuits.ablate(net, "third", filter, [1, 3]), "third", filter,
                               shown, places)
        np.testing.assert_allclose(cut.values, found.values - terms[:, [1, 3]].sum(1),
                                   rtol=1e-3, atol=2e-2)
    for filter in (0, 1, 2):  # silenced: nothing is left of the unit, not even its shift
        silent = circuits.ablate(net, "third", filter)
        maps = vz.activations(silent, "third", shown, pre_activation=True)
        np.testing.assert_allclose(maps[..., filter], 0, atol=1e-5)
        others = np.delete(maps, filter, -1)
        whole = vz.activations(net, "third", shown, pre_activation=True)
        np.testing.assert_allclose(others, np.delete(whole, filter, -1), rtol=1e-5, atol=1e-4)


def test_a_climb_on_one_unit_reads_the_norm_whichever_way_it_is_computed():
    net = vz.as_network(small_trunk())
    by_conv, by_norm = (vz.maximize(net, name, [0, 1], steps=8, size=24)
                        for name in ("first", "norm"))
    np.testing.assert_allclose(by_conv.history[-1], by_norm.history[-1], rtol=0.05)
    np.testing.assert_allclose(by_conv.history[0], by_norm.history[0], rtol=1e-4)
    patches = pictures_of(24)[:, 4:7, 5:8]
    np.testing.assert_allclose(vz.patch_responses(net, "first", patches),
                               vz.patch_responses(net, "norm", patches), rtol=1e-4, atol=1e-3)


# --- models inside models -------------------------------------------------------------------------


def test_a_nested_model_gives_the_numbers_of_its_flat_twin():
    trunk = small_trunk()
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for layer in trunk.layers:
        x = layer(x)
    x = layers.Rescaling(2.0)(x)  # so that the flat one is another model, with the same numbers
    flat = vz.as_network(keras.Model(inputs, x))
    inner = keras.Sequential([trunk], name="inner")
    outer = keras.Sequential([keras.Input((32, 32, 3)), keras.Sequential([inner], name="middle"),
                              layers.Rescaling(2.0)], name="outer")
    nested = vz.as_network(outer)
    assert nested.conv_layers == flat.conv_layers == ("first", "second")
    shown = vz.as_image_set(pictures_of(32))
    np.testing.assert_array_equal(nested.model(shown.images), flat.model(shown.images))
    for layer in nested.conv_layers:
        assert vz.receptive_field(nested, layer) == vz.receptive_field(flat, layer)
        assert vz.input_layer(nested, layer) == vz.InputLayer(
            *{"first": (None, nested.model.layers[0].name), "second": ("first", "relu")}[layer])
        np.testing.assert_array_equal(vz.kernels(nested, layer, 1), vz.kernels(flat, layer, 1))
        pair = [vz.maximize(net, layer, [0, 2], steps=6) for net in (nested, flat)]
        np.testing.assert_array_equal(pair[0].images, pair[1].images)
    assert nested.digest == flat.digest


def test_layers_of_one_name_are_called_by_as_much_of_their_path_as_is_needed():
    inputs = keras.Input((None, None, 3))
    parts = [keras.Sequential([layers.Conv2D(2, 3, name="conv"), layers.ReLU(name=f"only_{side}")],
                              name=side) for side in ("left", "right")]
    net = vz.as_network(keras.Model(inputs, layers.Concatenate()([part(inputs) for part in parts])))
    assert net.conv_layers == ("left/conv", "right/conv")
    assert {"only_left", "only_right"} <= {x.name for x in net.model.layers}
    with pytest.raises(ValueError, match="'left/only_left' not found.*called only_left here"):
        net.layer("left/only_left")
    shown = pictures_of(12)
    for part, name in zip(parts, net.conv_layers, strict=True):
        np.testing.assert_allclose(vz.activations(net, name, shown, pre_activation=True),
                                   part.layers[0](shown).numpy(), rtol=1e-4, atol=1e-3)
        assert vz.maximize(net, name, 0, steps=2, size=12).images.shape == (1, 12, 12, 3)
    silent = circuits.ablate(net, "left/conv", 0)
    assert silent.conv_layers == net.conv_layers and silent.digest != net.digest
    assert not vz.activations(silent, "left/conv", shown)[..., 0].any()


def test_a_model_used_twice_is_two_models_on_the_same_weights():
    trunk = small_trunk()
    inputs = keras.Input((24, 24, 3))
    both = layers.Add()([trunk(inputs), trunk(layers.Rescaling(0.5)(inputs))])
    net = vz.as_network(keras.Model(inputs, both))
    assert set(net.conv_layers) == {"first", "second", "first/2", "second/2"}
    shown = pictures_of(24)
    np.testing.assert_allclose(vz.activations(net, "first/2", shown, pre_activation=True),
                               vz.activations(net, "first", shown / 2, pre_activation=True),
                               rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="uses more than once"):
        circuits.ablate(net, "second", 0)


def test_the_users_model_is_not_changed_and_further_training_takes_effect():
    trunk = small_trunk()
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, head(trunk(inputs)))
    nodes = [len(x._inbound_nodes) for x in (*model.layers, *trunk.layers)]
    net, shown = vz.as_network(model), pictures_of(16)
    before = vz.logits(net, shown)
    trunk.get_layer("second").kernel.assign(trunk.get_layer("second").kernel * 2)
    np.testing.assert_allclose(vz.logits(net, shown), model(shown, training=False), rtol=1e-4,
                               atol=1e-5)
    assert not np.allclose(before, vz.logits(net, shown))
    assert nodes == [len(x._inbound_nodes) for x in (*model.layers, *trunk.layers)]


# --- transfer learning ----------------------------------------------------------------------------


def transfer(vgg16):
    """VGG16's packaged trunk, up to block3_conv2, inside a Sequential that tells three pictures."""
    cut = keras.Model(vgg16.model.input, vgg16.model.get_layer("block3_conv2").output, name="vgg16")
    model = keras.Sequential([
        keras.Input((64, 64, 3)), layers.RandomFlip("horizontal"), cut,
        layers.GlobalAveragePooling2D(name="mean"), layers.Dense(3, activation="softmax")],
        name="mine")
    images = vz.load_images(size=64, limit=3).images
    net = vz.as_network(model, preprocess=keras.applications.vgg16.preprocess_input,
                        classes=["dog", "bird", "thing"])
    forward = net.forward("mean", pre_activation=False)
    rng = np.random.default_rng(0)
    noisy = np.clip(images[np.arange(12) % 3] + rng.normal(0, 12, (12, 64, 64, 3)), 0, 255)
    features = forward(noisy.astype("float32")).numpy()
    scale = features.std()
    found = LogisticRegression(max_iter=200).fit(features / scale, np.arange(12) % 3)
    model.layers[-1].set_weights([found.coef_.T / scale, found.intercept_])
    return net, model, vz.made(images)


def test_a_transfer_model_is_opened_and_names_its_three_classes(vgg16):
    net, model, shown = transfer(vgg16)
    assert net.conv_layers[-1] == "block3_conv2" and len(net.conv_layers) == 6
    assert net.fixed_size == 64
    guesses = vz.classify(net, shown, top=3)
    assert [one[0][1] for one in guesses] == ["dog", "bird", "thing"]
    np.testing.assert_array_equal(vz.kernels(net, "block3_conv2", 37),
                                  vz.kernels(vgg16, "block3_conv2", 37))
    np.testing.assert_allclose(vz.activations(net, "block3_conv2", shown),
                               vz.activations(vgg16, "block3_conv2", shown), rtol=1e-3, atol=1e-2)
    expected = model(keras.applications.vgg16.preprocess_input(shown.images.copy()),
                     training=False)
    np.testing.assert_allclose(sorted(p for _, _, p in guesses[0]), sorted(expected[0]), rtol=1e-2,
                               atol=1e-4)
    ranking = vz.rank_kernels(net, "block3_conv2", 37)
    assert ranking["channel"].tolist() == vz.rank_kernels(vgg16, "block3_conv2",
                                                          37)["channel"].tolist()


def test_a_planted_unit_is_found_by_ascent_ranking_and_contributions():
    """A filter of the nested trunk that reads one red edge detector, twice as much as anything."""
    keras.utils.set_random_seed(1)
    trunk = keras.Sequential([keras.Input((None, None, 3)),
                              layers.Conv2D(4, 3, activation="relu", name="edges"),
                              layers.Conv2D(3, 3, use_bias=False, name="planted"),
                              layers.BatchNormalization(name="norm")], name="trunk")
    edges, planted = np.zeros((3, 3, 3, 4)), np.full((3, 3, 4, 3), 0.01)
    edges[:, 0, 0, 2], edges[:, 2, 0, 2] = -1, 1  # channel 2: from dark to light in red
    edges[1, 1, 1, [0, 1, 3]] = 0.1
    planted[1, 1, 2, 1] = -1.0  # whose norm turns the sign: it excites
    trunk.get_layer("edges").set_weights([edges / 255, np.zeros(4)])
    trunk.get_layer("planted").set_weights([planted])
    trunk.get_layer("norm").set_weights(np.array(
        [[1, -2, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]]))
    net = vz.as_network(keras.Sequential([keras.Input((32, 32, 3)), trunk,
                                          layers.GlobalAveragePooling2D(), layers.Dense(2)]))
    ranking = vz.rank_kernels(net, "planted", 1)
    assert ranking["channel"][0] == 2 and ranking["kind"][0] == "mostly excitatory"
    found = vz.maximize(net, "planted", 1, objective="unit", steps=60)
    red = found.images[0, 14:19, 13:20, 0]
    assert (red[:, -1] - red[:, 0]).max() > 40
    assert found.history[-1, 0] > 5 * abs(found.history[0, 0])
    shown = vz.as_image_set(pictures_of(32))
    patches = vz.top_patches(net, shown, "planted", 1)
    windows = circuits.windows(net, "planted", 1, shown, patches.table)
    table = circuits.edge_table(windows, windows)
    assert circuits.strongest(table, "top", 1).tolist() == [2]
    assert table["top"][2] > 0.8 * (windows.values - windows.bias).mean()


# --- the dozen situations of public bug reports ---------------------------------------------------


def works(net, layer, size=32):
    """A climb rises, kernels rank, and the field is where the gradient is."""
    climb = vz.maximize(net, layer, range(net.channels(layer)), steps=6,
                        size=None if net.fixed_size else size)
    alive = climb.history[0] != 0  # a filter may read nothing but dead ones
    assert alive.any() and (climb.history[-1] > climb.history[0])[alive].all()
    assert len(vz.rank_kernels(net, layer, 0)) > 0
    assert support(net, layer) == support_by_field(net, layer)
    return net


def support(net, layer):
    """Rows and columns of the picture on which the most central unit's value depends."""
    size = net.fixed_size or 64
    forward = net.forward(layer, pre_activation=True)
    images = tf.constant(pictures_of(size, 2))
    seen = vz.receptive_field(net, layer, input_size=size)
    at = int(np.mean([seen.unpadded.start, seen.unpadded.stop - 1]))
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(forward(images)[:, at, at] ** 2)
    touched = np.abs(tape.gradient(value, images)).max((0, 3)) > 0
    return tuple((int(x.min()), int(x.max()) + 1) for x in np.nonzero(touched))


def support_by_field(net, layer):
    size = net.fixed_size or 64
    seen = vz.receptive_field(net, layer, input_size=size)
    at = int(np.mean([seen.unpadded.start, seen.unpadded.stop - 1]))
    top, left, bottom, right = seen.window(at, at)
    return (top, bottom), (left, right)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_sequential_without_input_built_by_a_call_saved_and_loaded(ending, tmp_path, capsys):
    model = keras.Sequential([layers.Conv2D(4, 3, activation="relu", name="first"),
                              layers.GlobalAveragePooling2D(), layers.Dense(3)], name="late")
    with pytest.raises(ValueError, match=r"late was not built yet.*model.build\(\(None, rows"):
        vz.as_network(model)
    model(pictures_of(24))
    model.save(tmp_path / f"mine.{ending}")
    net = vz.load_network(tmp_path / f"mine.{ending}", classes=["a", "b", "c"])
    assert "RGB 0-255" in capsys.readouterr().out
    assert net.name == "mine" and f"mine.{ending}" in net.weights_source
    assert not net.model.trainable_weights
    np.testing.assert_allclose(vz.logits(net, pictures_of(24, 5)),
                               model(pictures_of(24, 5)[:3]).numpy().tolist()
                               + model(pictures_of(24, 5)[2:]).numpy().tolist()[1:], rtol=1e-4)
    works(net, "first")


def test_augmentation_and_a_base_called_for_training_are_nothing_in_inference():
    trunk = small_trunk()
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2),
                                layers.RandomZoom(0.2), layers.RandomContrast(0.3)], name="augment")
    inputs = keras.Input((48, 48, 3))
    x = layers.Resizing(32, 32)(layers.RandomCrop(40, 40)(augment(inputs)))
    x = layers.Dropout(0.3)(trunk(layers.Rescaling(1 / 127.5, -1)(x), training=True))
    model = keras.Model(inputs, head(x))
    net, shown = vz.as_network(model, classes=["a", "b", "c"]), pictures_of(32)
    assert net.fixed_size == net.input_size == 32  # what comes out of Resizing
    assert not [x.name for x in net.model.layers if x.name.startswith("random")]
    expected = model.layers[-1](model.layers[-2](trunk(shown / 127.5 - 1, training=False)))
    np.testing.assert_allclose(vz.logits(net, shown), expected, rtol=1e-4, atol=1e-5)
    works(net, "second")


def test_of_two_outputs_one_is_chosen():
    inputs = keras.Input((24, 24, 3))
    x = small_trunk()(inputs)
    scores, box = head(x, activation="softmax"), layers.Dense(4, name="box")(layers.Flatten()(x))
    listed = keras.Model(inputs, [box, scores], name="both")
    keyed = keras.Model(inputs, {"box": box, "kind": scores}, name="both")
    with pytest.raises(ValueError, match=r"both has 2: say which is meant.*output='box'.*kind"):
        vz.as_network(keyed)
    with pytest.raises(ValueError, match="none of them 'knd'"):
        vz.as_network(keyed, output="knd")
    shown = pictures_of(24)
    for net in (vz.as_network(listed, output=1), vz.as_network(keyed, output="kind")):
        np.testing.assert_allclose(tf.nn.softmax(vz.logits(net, shown)), listed(shown)[1],
                                   rtol=1e-4)
        assert attribution.grad_cam(net, shown).maps.shape == (3, 24, 24)
        assert "box" not in [x.name for x in net.model.layers]
    alone = vz.as_network(keras.Model(inputs, {"kind": scores}))
    np.testing.assert_allclose(vz.logits(alone, shown), vz.logits(net, shown), rtol=1e-4)


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"picture": x}], ids=["list", "dict"])
def test_inputs_of_any_structure_size_and_number_type_are_taken(wrap):
    inputs = keras.Input(batch_shape=(2, 24, 24, 3), dtype="uint8")
    x = small_trunk()(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(wrap(inputs), wrap(head(x)))
    net, shown = vz.as_network(model), np.round(pictures_of(24))
    found = vz.logits(net, shown)  # three pictures, of a model that was built for two
    expected = keras.tree.flatten(model(wrap(shown[:2].astype("uint8"))))[0]
    np.testing.assert_allclose(found[:2], expected, rtol=1e-3, atol=1e-5)
    assert vz.maximize(net, "second", 0, steps=2).images.shape == (1, 24, 24, 3)


def test_one_probability_is_two_classes():
    model = classifier(layers.ReLU(), classes=1, activation="sigmoid")
    net = vz.as_network(model, classes=["cat", "dog"])
    shown = pictures_of(32)
    chance = {name: p for _, name, p in vz.classify(net, shown, top=2)[0]}
    assert chance["dog"] == pytest.approx(model.predict(shown, verbose=0)[0, 0], rel=1e-3)
    assert chance["cat"] == pytest.approx(1 - chance["dog"], abs=1e-5)
    assert set(attribution.saliency(net, shown, "cat").targets) == {0}


def test_classes_that_do_not_exclude_each_other_keep_their_own_probabilities():
    model = classifier(layers.ReLU(), classes=3, activation="sigmoid")
    net, shown = vz.as_network(model, classes=["a", "b", "c"]), pictures_of(32)
    found = {name: p for _, name, p in vz.classify(net, shown, top=3)[0]}
    np.testing.assert_allclose([found[name] for name in "abc"],
                               model.predict(shown, verbose=0)[0], rtol=1e-3)


EVEN = functools.partial(layers.Conv2D, 4, 4, strides=2, padding="same", name="last")
DEPTHWISE = functools.partial(layers.DepthwiseConv2D, 3, name="last")
SEPARABLE = functools.partial(layers.SeparableConv2D, 4, 3, name="last")


@pytest.mark.parametrize(("middle", "last"), [
    ([layers.ReLU], EVEN), ([lambda: layers.PReLU(shared_axes=[1, 2])], DEPTHWISE),
    ([layers.BatchNormalization, lambda: layers.Activation("relu")], SEPARABLE),
    ([lambda: layers.ZeroPadding2D(2)], EVEN),
    ([lambda: layers.Cropping2D(((1, 2), (1, 2)))], DEPTHWISE),
    ([lambda: layers.LayerNormalization(axis=-1)], SEPARABLE),
    ([lambda: layers.MaxPooling2D(2), lambda: layers.UpSampling2D(2)], EVEN)],
    ids=["relu", "prelu", "norm", "padding", "cropping", "layernorm", "upsampling"])
def test_layers_of_every_kind_lie_below_a_unit(middle, last):
    net = vz.as_network(classifier(*[make() for make in middle], last()))
    if isinstance(middle[0](), layers.MaxPooling2D):  # every other unit sees a little less
        (top, bottom), _ = support(net, "last")
        (low, high), _ = support_by_field(net, "last")
        assert low <= top <= low + 1 and high - 1 <= bottom <= high
        return
    works(net, "last")


def test_a_transposed_convolution_is_a_unit_with_its_field():
    keras.utils.set_random_seed(0)
    net = vz.as_network(classifier(layers.MaxPooling2D(4), layers.Conv2DTranspose(
        5, 4, strides=2, name="wide")))
    (low, high), _ = support_by_field(net, "wide")
    (top, bottom), _ = support(net, "wide")
    assert low <= top < bottom <= high and high - low - (bottom - top) <= 4
    taps = vz.kernels(net, "wide", 3)
    assert taps.shape == (4, 4, 4)
    np.testing.assert_array_equal(taps, net.layer("wide").kernel.numpy()[:, :, 3])
    assert vz.maximize(net, "wide", 0, steps=3).images.shape == (1, 32, 32, 3)


def test_squeeze_and_excite_is_said_to_be_global():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Conv2D(4, 3, name="last")(layers.Multiply(name="excite")([x, gate]))
    net = vz.as_network(keras.Model(inputs, x))
    seen = vz.receptive_field(net, "last")
    assert (seen.size, seen.stride, seen.through) == (5, 1, "excite")
    assert vz.receptive_field(net, "first").through == ""
    climb = vz.maximize(net, "last", range(4), steps=5, size=24)
    assert (climb.history[-1] > climb.history[0]).all()
    with pytest.warns(UserWarning, match="whole picture through excite"):
        vz.patch_responses(net, "last", pictures_of(5))


def test_preprocessing_by_arithmetic_is_followed():
    inputs = keras.Input((None, None, 3))
    x = keras.applications.vgg16.preprocess_input(inputs)
    x = layers.Conv2D(4, 3, name="first")(keras.ops.relu(x[..., ::-1] / 2))
    net = works(vz.as_network(keras.Model(inputs, x)), "first")
    assert vz.input_layer(net, "first").feature is None  # it reads the picture
    half = vz.as_network(keras.Model(inputs, layers.Conv2D(4, 3, name="c")(inputs[:, ::2, ::2])))
    with pytest.raises(ValueError, match="whose receptive field is not known here"):
        vz.receptive_field(half, "c")


@pytest.mark.parametrize(("wrong", "says"), [
    (lambda x: layers.Flatten()(x), "has no positions"),
    (lambda x: layers.Reshape((-1, 4))(x), "has no positions"),
    (lambda x: layers.Conv1D(2, 1)(layers.MultiHeadAttention(1, 2)(*[
        layers.Reshape((-1, 4))(x)] * 2)), "has no positions"),
    (lambda x: layers.Resizing(20, 20)(x), "brings 30 positions to 20")],
    ids=["flatten", "reshape", "attention", "resizing"])
def test_what_has_no_positions_stops_with_a_sentence(wrong, says):
    inputs = keras.Input((32, 32, 3))
    x = wrong(layers.Conv2D(4, 3)(inputs))
    x = layers.Identity(name="last")(x)
    net = vz.as_network(keras.Model(inputs, x))
    with pytest.raises(ValueError, match=says):
        vz.receptive_field(net, "last")
    with pytest.raises(ValueError, match=says):
        vz.maximize(net, "last", 0)


class Subclassed(keras.Model):
    """As keras.io's tutorials write them."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.conv, self.top = layers.Conv2D(4, 3, name="conv"), layers.Dense(2, name="top")

    def call(self, x):
        return self.top(layers.GlobalAveragePooling2D()(self.conv(x)))


def test_a_subclassed_model_is_refused_by_its_remedy_which_works():
    model = Subclassed()
    expected = model(pictures_of(16))
    with pytest.raises(ValueError, match=r"subclassed is a subclassed model.*model\.call\(inputs"):
        vz.as_network(model)
    nested = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match="subclassed, inside the model, is a subclassed model"):
        vz.as_network(keras.Model(nested, model(nested)))
    inputs = keras.Input((16, 16, 3))
    net = vz.as_network(keras.Model(inputs, model.call(inputs)))
    np.testing.assert_allclose(vz.logits(net, pictures_of(16)), expected, rtol=1e-4)


def sequences():
    clip = keras.Input((5, 16, 16, 3))
    return keras.Model(clip, layers.TimeDistributed(layers.Conv2D(2, 3))(clip), name="clips")


def two_inputs():
    a, b = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    return keras.Model([a, b], layers.Add()([a, b]), name="pair")


@pytest.mark.parametrize(("make", "says"), [
    (sequences, "needs a model of pictures.*clips reads"),
    (two_inputs, "one picture input; pair has 2"),
    (lambda: keras.Sequential([keras.Input((64,)), layers.Dense(3)]), "needs a model of pictures"),
    (lambda: keras.Sequential([keras.Input((8, 16, 3)), layers.Conv2D(2, 3)]), "are square here"),
    (lambda: "mine.keras", "load_network loads networks by name and models from files")],
    ids=["time", "inputs", "vectors", "oblong", "path"])
def test_what_is_no_model_of_one_picture_is_refused_in_a_sentence(make, says):
    with pytest.raises(ValueError, match=says):
        vz.as_network(make())


def test_four_channels_get_an_opaque_fourth():
    model = classifier(shape=(None, None, 4))
    net, shown = vz.as_network(model), pictures_of(20)
    opaque = np.concatenate([shown, np.full((3, 20, 20, 1), 255, "float32")], -1)
    np.testing.assert_allclose(vz.logits(net, shown), model(opaque), rtol=1e-4, atol=1e-4)
    scaled = vz.as_network(model, preprocess=lambda images: images / 255)
    np.testing.assert_allclose(vz.logits(scaled, shown), model(opaque / 255), rtol=1e-4, atol=1e-5)
    works(net, "first")


def test_pictures_of_another_size_than_the_model_takes_are_refused():
    """A model that flattens its map has one size; TensorFlow would speak of matrices."""
    model = keras.Sequential([keras.Input((28, 28, 3)), keras.layers.Conv2D(4, 3, name="first"),
                              keras.layers.Flatten(), keras.layers.Dense(3)])
    net = vz.as_network(model, preprocess=lambda images: images / 255, classes=list("abc"))
    assert vz.logits(net, pictures_of(28)).shape == (3, 3)
    for call in (vz.logits, vz.classify):
        with pytest.raises(ValueError, match=r"28 × 28 px only, not of 64 × 64: vz.load_images"):
            call(net, pictures_of(64))
