"""Compute ``data/class_maxima.npz``: how strongly each VGG16 filter answers to each class.

    python -m tools.make_class_maxima --images DIR

`DIR` holds one photograph for each of the 1,000 ImageNet classes, its name starting with the
class's WordNet id. For every photograph and every filter of the 13 convolution layers the file
keeps the maximum pre-activation over the positions that see no padding, at 224 px, in half
precision: an array (1000, filters) a layer, rows in class order. The photographs themselves are
not kept. About five minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

import vizutils
from data import HOME

RESULT = HOME / "class_maxima.npz"
CLASSES = 1000


def one_picture_a_class(folder):
    """Load a folder's pictures and check that they are one for each class.

    Parameters
    ----------
    folder : path
        Pictures named by WordNet id.

    Returns
    -------
    vizutils.ImageSet
        1,000 pictures of 224 px, in class order.
    """
    pictures = vizutils.load_images(folder)
    if not np.array_equal(pictures.labels, np.arange(CLASSES)):
        missing = np.setdiff1d(np.arange(CLASSES), pictures.labels)
        raise ValueError(
            f"{folder} must hold exactly one picture a class, named by WordNet id; it holds "
            f"{len(pictures)} pictures, and {missing.size} classes have none."
        )
    return pictures


def class_maxima(net, pictures):
    """Find each filter's maximum pre-activation in each picture, all layers in one pass.

    Parameters
    ----------
    net : vizutils.Network
    pictures : vizutils.ImageSet

    Returns
    -------
    dict of str to float16 ndarray of shape (n, filters)
        One array a convolution layer.
    """
    inside = [
        vizutils.receptive_field(net, layer, input_size=pictures.size).unpadded
        for layer in net.conv_layers
    ]
    cut = vizutils.submodel(net, net.conv_layers, pre_activation=True)

    @tf.function
    def maxima(images):
        maps = cut(net.preprocess(images), training=False)
        return [
            tf.reduce_max(layer_map[:, seen, seen], axis=(1, 2))
            for layer_map, seen in zip(maps, inside, strict=True)
        ]

    batches = [
        [values.numpy() for values in maxima(tf.constant(images))]
        for _, images in tqdm(pictures.batches(), "batches")
    ]
    return {
        layer: np.concatenate(values).astype("float16")
        for layer, values in zip(net.conv_layers, zip(*batches, strict=True), strict=True)
    }


def main():
    """Read the command line, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, metavar="DIR",
                        help="one photograph a class, named by WordNet id")
    parser.add_argument("--result", type=Path, default=RESULT, metavar="NPZ")
    arguments = parser.parse_args()
    net = vizutils.load_network("vgg16", weights="packaged")
    maxima = class_maxima(net, one_picture_a_class(arguments.images))
    np.savez_compressed(arguments.result, **maxima)
    print(f"{arguments.result}: {arguments.result.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
