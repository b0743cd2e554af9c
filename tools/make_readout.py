"""Distil ``data/readout.npz``: a linear classifier for VGG16's convolution trunk.

    python -m tools.make_readout --images DIR --work build/readout

No package carries VGG16's own dense layers, so its trunk gets a read-out that is linear in the
globally averaged maps of ``block5_pool`` (as class activation mapping needs it [1]_) and is
taught by EfficientNet-Lite0 [2]_. `DIR` holds one photograph for each ImageNet class, its name
starting with the WordNet id.

1. *Views*: the centre crop, both halves, and random-resized crops of every photograph pass
   through both networks. The teacher's logits are averaged over the view and its mirror image.
   Each view is kept in the work folder, so that an interrupted run goes on where it stopped.
2. *Fit*: closed-form ridge regression from the standardised features to the teacher's
   compressed logits, then a few epochs of cross-entropy to the teacher's probabilities. In both
   the photographs' true classes have a say.
3. *Measure* on photographs held out of the fit, in two ways: classes never seen (the fit knows
   them by the teacher's second guesses only), and classes seen in the other half of the same
   photograph. The truth, one unrelated photograph a class, lies between them.
4. *Scale* the logits so that on held-out photographs confidence is right [3]_.

References
----------
.. [1] B. Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.
.. [2] G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015,
   https://arxiv.org/abs/1503.02531
.. [3] C. Guo et al., "On calibration of modern neural networks", ICML 2017.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from tqdm.auto import tqdm

import vizutils
from data import HOME
from data.efficientnet_lite0 import efficientnet_lite0, preprocess
from data.weights import vgg16_arrays
from tools.make_class_maxima import one_picture_a_class

RESULT = HOME / "readout.npz"
SIDE = 224
BATCH = 25
FOLDS = 5
CLASSES = 1000

# The fit, chosen by the two measures on held-out photographs (data/README.md).
EXPONENT = 0.7  # the teacher's logits are compressed to |logit| ** EXPONENT
TRUE_CLASS_BONUS = 2.0  # added to the compressed logit of the true class
PENALTY = 300.0  # of the squared kernel, beside the sum (not the mean) of squared errors
START_SCALE = 3.0  # undoes the compression's loss of confidence
TRUE_CLASS_SHARE = 0.3  # of the probabilities to be met; the rest is the teacher's
EPOCHS = 5
LEARNING_RATE = 1e-3  # falling linearly to zero
REFINING_BATCH = 500

# The random crops.
SMALLEST_AREA = 0.2
WIDEST_ASPECT = 4 / 3


class View(NamedTuple):
    """What both networks make of one view of every photograph, in class order."""

    features: np.ndarray  # float32, (1000, 512): block5_pool, averaged over positions
    teacher: np.ndarray  # float32, (1000, 1000): the teacher's logits
    labels: np.ndarray  # int, (1000,): the true classes


class Readout(NamedTuple):
    """A linear classifier, logits = features @ kernel + bias."""

    kernel: np.ndarray  # (512, 1000)
    bias: np.ndarray  # (1000,)

    def __call__(self, features):
        """Return the logits, shape (n, 1000), of features of shape (n, 512)."""
        return features @ self.kernel + self.bias


# --- Views ----------------------------------------------------------------------------------


def half(picture, *, second):
    """Cut out the first or second half along the longer side, and resize it to 224 px."""
    along = int(np.argmax(picture.size))  # 0: columns, 1: rows
    box = np.array([0, 0, *picture.size], float)
    box[along if second else along + 2] = picture.size[along] / 2
    return resized(picture, trimmed(box))


def trimmed(box):
    """Trim a box (left, top, right, bottom) evenly until its sides are as 4 : 3 at most."""
    size = box[2:] - box[:2]
    excess = np.maximum(size - WIDEST_ASPECT * size[::-1], 0) / 2
    return box + np.concatenate([excess, -excess])


def random_crop(picture, rng):
    """Cut out 20–100 % of the area, 3:4 to 4:3, resize to 224 px, mirror half of the time."""
    size = np.array(picture.size)
    crop = size + 1.0
    while (crop > size).any():
        area = rng.uniform(SMALLEST_AREA, 1) * size.prod()
        aspect = np.exp(rng.uniform(-np.log(WIDEST_ASPECT), np.log(WIDEST_ASPECT)))
        crop = np.sqrt([area * aspect, area / aspect])
    corner = rng.uniform(0, size - crop)
    image = resized(picture, np.concatenate([corner, corner + crop]))
    return image[:, ::-1] if rng.random() < 0.5 else image


def resized(picture, box):
    """Resize the box (left, top, right, bottom) of a picture to 224 px, bicubic, RGB 0–255."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=tuple(box))
    return np.asarray(small, "float32")


def view_makers(crops, seed):
    """Map the name of each view to a function (photograph's number, Pillow picture) → image."""
    makers = {
        "first_half": lambda _, picture: half(picture, second=False),
        "second_half": lambda _, picture: half(picture, second=True),
    }
    for crop in range(crops):
        makers[f"seed{seed}_crop{crop:02d}"] = lambda number, picture, crop=crop: random_crop(
            picture, np.random.default_rng([seed, crop, number])
        )
    return makers


def extract(photographs, work, crops, seed):
    """Pass all views of all photographs through both networks, or read them if that was done.

    Parameters
    ----------
    photographs : vizutils.ImageSet
        One picture a class, in class order.
    work : Path
        Folder for the views, one file each.
    crops, seed : int
        Random crops a photograph, and the seed they are drawn with.

    Returns
    -------
    dict of str to View
        "centre", "first_half", "second_half" and the random crops.
    """
    work.mkdir(parents=True, exist_ok=True)
    measure = both_networks()
    centre = (images for _, images in photographs.batches(BATCH))
    views = {"centre": view(work / "centre.npz", measure, centre)}
    for name, maker in view_makers(crops, seed).items():
        images = batches(photographs.sources, maker)
        views[name] = view(work / f"{name}.npz", measure, images)
    return views


def batches(paths, maker):
    """Yield one view of all pictures, float32 RGB 0–255, shape (≤ 25, 224, 224, 3) each."""
    for start in range(0, len(paths), BATCH):
        numbers = range(start, min(start + BATCH, len(paths)))
        yield np.stack([maker(number, whole_picture(paths[number])) for number in numbers])


def whole_picture(path):
    """Read a picture as an RGB Pillow image."""
    return Image.fromarray(vizutils.read_image(path).astype("uint8"))


def view(path, measure, pictures):
    """Read one view's file, or measure the batches of pictures and write it."""
    if not path.exists():
        parts = [measure(tf.constant(images)) for images in tqdm(pictures, path.stem)]
        features, teacher = (np.concatenate(part) for part in zip(*parts, strict=True))
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, features=features, teacher=teacher)
        unfinished.replace(path)
    with np.load(path) as stored:
        return View(stored["features"], stored["teacher"], np.arange(CLASSES))


def both_networks():
    """Return a traced function from RGB 0–255 to (VGG16's pooled features, teacher's logits)."""
    trunk = keras.applications.VGG16(
        weights=None, include_top=False, pooling="avg", input_shape=(None, None, 3)
    )
    for name, arrays in vgg16_arrays("packaged").items():
        trunk.get_layer(name).set_weights(arrays)
    teacher = efficientnet_lite0()

    @tf.function
    def measure(images):
        inputs = preprocess(images)
        logits = teacher(inputs, training=False) + teacher(inputs[:, :, ::-1], training=False)
        features = trunk(keras.applications.vgg16.preprocess_input(images), training=False)
        return features, logits / 2

    return measure


# --- Fit ------------------------------------------------------------------------------------


def fit(examples, seed):
    """Fit a read-out: ridge regression for a start, then a few epochs on probabilities.

    Parameters
    ----------
    examples : View
        Features, teacher's logits and true classes of n pictures.
    seed : int
        Of the order in which the second step takes the pictures.

    Returns
    -------
    Readout
        It takes features as they are: their standardisation is folded in.
    """
    centre, spread = examples.features.mean(axis=0), examples.features.std(axis=0) + 1e-6
    standard = examples._replace(features=(examples.features - centre) / spread)
    kernel, bias = refined(ridge(standard), standard, seed)
    kernel = kernel / spread[:, None]
    return Readout(kernel, bias - centre @ kernel)


def ridge(examples):
    """Meet the teacher's compressed logits, a bonus on the true class, in least squares.

    Squared errors on raw logits are ruled by each photograph's own class. Compressed, the
    teacher's opinion of all the others, by which it knows classes apart, counts for more.
    """
    features = examples.features.astype("float64")
    centred = examples.teacher - examples.teacher.mean(axis=1, keepdims=True)
    wanted = np.sign(centred) * np.abs(centred) ** EXPONENT
    wanted[np.arange(len(wanted)), examples.labels] += TRUE_CLASS_BONUS
    bias = wanted.mean(axis=0)
    gram = features.T @ features + PENALTY * np.eye(features.shape[1])
    return Readout(np.linalg.solve(gram, features.T @ (wanted - bias)), bias)


def refined(start, examples, seed):
    """Bring the probabilities nearer to the teacher's mixed with the true classes."""
    keras.utils.set_random_seed(seed)
    truth = np.eye(start.bias.size, dtype="float32")[examples.labels]
    wanted = (1 - TRUE_CLASS_SHARE) * softmax(examples.teacher, axis=1) + TRUE_CLASS_SHARE * truth
    model = keras.Sequential([keras.Input(start.kernel.shape[:1]), keras.layers.Dense(CLASSES)])
    model.set_weights([START_SCALE * part for part in start])
    steps = EPOCHS * -(-len(wanted) // REFINING_BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.PolynomialDecay(LEARNING_RATE, steps, 0)),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    model.fit(examples.features, wanted, batch_size=REFINING_BATCH, epochs=EPOCHS, verbose=0)
    return Readout(*model.get_weights())


def held_out_logits(views, seed):
    """Logits of photographs that were held out of the fit, a fifth at a time.

    Returns
    -------
    unseen : ndarray of shape (1000, 1000)
        Of the centre crops, by read-outs that saw no photograph of their class.
    other_half : ndarray of shape (1000, 1000)
        Of the second halves, by read-outs that saw the first half only (as often as all views
        of another photograph).
    """
    training = training_views(views)
    everyone = np.arange(CLASSES)
    unseen, other_half = np.empty((2, CLASSES, CLASSES))
    for held_out in np.random.default_rng(seed).permutation(everyone).reshape(FOLDS, -1):
        known = [take(v, np.setdiff1d(everyone, held_out)) for v in training]
        glimpses = [take(views["first_half"], held_out)] * len(training)
        unseen[held_out] = fit(stack(known), seed)(views["centre"].features[held_out])
        other_half[held_out] = fit(stack(known + glimpses), seed)(
            views["second_half"].features[held_out]
        )
    return unseen, other_half


def training_views(views):
    """List the centre crop and the random crops; the halves serve for measuring only."""
    return [v for name, v in views.items() if not name.endswith("half")]


def take(examples, indices):
    """Pick some pictures of a view."""
    return View(*(part[indices] for part in examples))


def stack(examples):
    """Join views to one."""
    return View(*(np.concatenate(parts) for parts in zip(*examples, strict=True)))


# --- Measure --------------------------------------------------------------------------------


def accuracy(logits, labels):
    """Return the shares (best guess right, right within the best five), each 0–1."""
    guesses = np.argsort(-logits, axis=1)
    hits = guesses[:, :5] == labels[:, None]
    return round(float(hits[:, 0].mean()), 3), round(float(hits.any(axis=1).mean()), 3)


def surprise(logits, labels):
    """Mean −log probability of the true class, in nats."""
    return -float(log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def best_scale(logits, labels):
    """Find the factor on the logits that makes the true classes least surprising."""
    return float(minimize_scalar(
        lambda scale: surprise(scale * logits, labels), bounds=(0.1, 20), method="bounded"
    ).x)


def packaged_accuracies(readout):
    """Measure the read-out and its teacher on the packaged ImageNet photographs.

    They took no part in the fit or in any choice.
    """
    pictures = vizutils.load_images(size=SIDE)
    pictures = pictures.subset(np.flatnonzero(pictures.labels >= 0))
    features, teacher = (part.numpy() for part in both_networks()(tf.constant(pictures.images)))
    return {
        "packaged_pictures": len(pictures),
        "packaged": accuracy(readout(features), pictures.labels),
        "packaged_teacher": accuracy(teacher, pictures.labels),
    }


def main():
    """Read the command line, extract, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, metavar="DIR",
                        help="one photograph a class, named by WordNet id")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR",
                        help="folder for the extracted views (8 MB each)")
    parser.add_argument("--result", type=Path, default=RESULT, metavar="NPZ")
    parser.add_argument("--crops", type=int, default=10, help="random crops a photograph")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    photographs = one_picture_a_class(arguments.images)
    views = extract(photographs, arguments.work, arguments.crops, arguments.seed)
    unseen, other_half = held_out_logits(views, arguments.seed)
    scale = best_scale(other_half, photographs.labels)
    kernel, bias = (scale * part for part in fit(stack(training_views(views)), arguments.seed))
    readout = Readout(kernel.astype("float16"), bias.astype("float32"))

    facts = {
        "teacher": "EfficientNet-Lite0",
        "features": "block5_pool of VGG16, averaged over positions",
        "crops": arguments.crops,
        "seed": arguments.seed,
        "exponent": EXPONENT,
        "true_class_bonus": TRUE_CLASS_BONUS,
        "penalty": PENALTY,
        "true_class_share": TRUE_CLASS_SHARE,
        "epochs": EPOCHS,
        "scale": round(scale, 3),
        "held_out_unseen_class": accuracy(unseen, photographs.labels),
        "held_out_other_half": accuracy(other_half, photographs.labels),
        "teacher_centre": accuracy(views["centre"].teacher, photographs.labels),
        "teacher_second_half": accuracy(views["second_half"].teacher, photographs.labels),
        **packaged_accuracies(readout),
    }
    np.savez_compressed(arguments.result, **readout._asdict(), facts=json.dumps(facts))
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
