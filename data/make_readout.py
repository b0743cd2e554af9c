"""Distil ``data/readout.npz``: a linear classifier for VGG16's convolution trunk.

    python -m data.make_readout --images DIR --work build/readout

No package carries VGG16's own dense layers, so its trunk gets a read-out that is linear in the
globally averaged maps of ``block5_pool`` (as class activation mapping needs it [1]_) and is
taught by EfficientNet-Lite0 [2]_. `DIR` holds one photograph for each ImageNet class, its name
starting with the WordNet id.

1. *Views*: the centre crop, both halves, and random-resized crops of every photograph pass
   through both networks. The teacher's logits are averaged over the view and its mirror image.
   Each view is kept in the work folder, so that an interrupted run goes on where it stopped.
2. *Fit*: closed-form ridge regression from the standardised features to the teacher's logits.
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
from tqdm.auto import tqdm

import vizutils
from data.efficientnet_lite0 import efficientnet_lite0, preprocess
from data.make_class_maxima import one_picture_a_class
from data.weights import vgg16_arrays

RESULT = Path(__file__).with_name("readout.npz")
SIDE = 224
BATCH = 25
FOLDS = 5
SMALLEST_AREA = 0.2
WIDEST_ASPECT = 4 / 3


class View(NamedTuple):
    """What both networks make of one view of every photograph, in class order."""

    features: np.ndarray  # float32, (1000, 512): block5_pool, averaged over positions
    teacher: np.ndarray  # float32, (1000, 1000): the teacher's logits


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
    paths = photographs.sources

    def batches(maker):
        for start in range(0, len(paths), BATCH):
            numbers = range(start, min(start + BATCH, len(paths)))
            yield np.stack([maker(i, whole_picture(paths[i])) for i in numbers])

    views = {"centre": view(work / "centre.npz", measure,
                            lambda: (images for _, images in photographs.batches(BATCH)))}
    for name, maker in view_makers(crops, seed).items():
        views[name] = view(work / f"{name}.npz", measure, lambda maker=maker: batches(maker))
    return views


def whole_picture(path):
    """Read a picture as an RGB Pillow image."""
    return Image.fromarray(vizutils.read_image(path).astype("uint8"))


def view(path, measure, batches):
    """Read one view's file, or measure its batches and write the file."""
    if not path.exists():
        parts = [measure(tf.constant(images)) for images in tqdm(batches(), path.stem)]
        features, teacher = (np.concatenate(part) for part in zip(*parts, strict=True))
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, features=features, teacher=teacher)
        unfinished.replace(path)
    with np.load(path) as stored:
        return View(stored["features"], stored["teacher"])


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


def targets(teacher, exponent):
    """Centre the teacher's logits for each picture and compress them, keeping their signs.

    Squared errors on the raw logits are ruled by the few photographs' own classes; compressed,
    the teacher's opinion of all other classes counts for more.
    """
    centred = teacher - teacher.mean(axis=1, keepdims=True)
    return np.sign(centred) * np.abs(centred) ** exponent


def fit(features, wanted, penalty):
    """Fit a read-out by ridge regression on standardised features.

    Parameters
    ----------
    features : ndarray of shape (n, 512)
    wanted : ndarray of shape (n, 1000)
        The logits to be met.
    penalty : float
        Weight of the squared kernel against the sum (not the mean) of squared errors.

    Returns
    -------
    Readout
        With the standardisation folded in: it takes the features as they are.
    """
    features, wanted = features.astype("float64"), wanted.astype("float64")
    centre, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = (features - centre) / spread
    gram = standard.T @ standard + penalty * np.eye(standard.shape[1])
    kernel = np.linalg.solve(gram, standard.T @ (wanted - wanted.mean(axis=0)))
    kernel /= spread[:, None]
    return Readout(kernel, wanted.mean(axis=0) - centre @ kernel)


def held_out_logits(views, exponent, penalty, seed):
    """Logits of photographs that were held out of the fit, a fifth at a time.

    Returns
    -------
    unseen : ndarray of shape (1000, 1000)
        Of the centre crops, by read-outs that saw no photograph of their class.
    other_half : ndarray of shape (1000, 1000)
        Of the second halves, by read-outs that saw the first half only (as often as all views
        of another photograph).
    """
    first, second = views["first_half"], views["second_half"]
    training = training_views(views)
    unseen, other_half = np.empty((2, *first.teacher.shape))
    everyone = np.arange(len(first.features))
    for held_out in np.random.default_rng(seed).permutation(everyone).reshape(FOLDS, -1):
        rest = np.setdiff1d(everyone, held_out)
        known = [View(v.features[rest], v.teacher[rest]) for v in training]
        glimpses = [View(first.features[held_out], first.teacher[held_out])] * len(training)
        blind = fit_views(known, exponent, penalty)
        glimpsed = fit_views(known + glimpses, exponent, penalty)
        unseen[held_out] = blind(views["centre"].features[held_out])
        other_half[held_out] = glimpsed(second.features[held_out])
    return unseen, other_half


def training_views(views):
    """List the centre crop and the random crops; the halves serve for measuring only."""
    return [v for name, v in views.items() if not name.endswith("half")]


def fit_views(views, exponent, penalty):
    """Fit a read-out to a list of views."""
    teacher = np.concatenate([v.teacher for v in views])
    features = np.concatenate([v.features for v in views])
    return fit(features, targets(teacher, exponent), penalty)


# --- Measure --------------------------------------------------------------------------------


def accuracy(logits, labels):
    """Return the shares (best guess right, right within the best five), each 0–1."""
    guesses = np.argsort(-logits, axis=1)
    hits = guesses[:, :5] == labels[:, None]
    return round(float(hits[:, 0].mean()), 3), round(float(hits.any(axis=1).mean()), 3)


def surprise(logits, labels):
    """Mean −log probability of the true class, in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())


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
    parser.add_argument("--penalty", type=float, default=300.0, help="of the ridge regression")
    parser.add_argument("--exponent", type=float, default=0.8,
                        help="compression of the teacher's logits; 1 leaves them as they are")
    arguments = parser.parse_args()

    photographs = one_picture_a_class(arguments.images)
    views = extract(photographs, arguments.work, arguments.crops, arguments.seed)
    recipe = {"exponent": arguments.exponent, "penalty": arguments.penalty}
    unseen, other_half = held_out_logits(views, **recipe, seed=arguments.seed)
    scale = best_scale(other_half, photographs.labels)
    kernel, bias = (scale * part for part in fit_views(training_views(views), **recipe))
    readout = Readout(kernel.astype("float16"), bias.astype("float32"))

    facts = {
        "teacher": "EfficientNet-Lite0",
        "features": "block5_pool of VGG16, averaged over positions",
        "crops": arguments.crops,
        "seed": arguments.seed,
        **recipe,
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
