"""The two peers: the eager one-filter loop of many labs, and tf-keras-vis at its best.

Both get what `vizutils` gets: the network cut off at the layer, its pre-activation, the picture's
own preprocessing inside. So nobody computes layers that nobody reads.
"""

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter

import keras
import numpy as np
import tensorflow as tf

import vizutils as vz


def cut_model(net: vz.Network, layer: str, size: int) -> keras.Model:
    """Functional model from RGB pictures, 0-255, to the layer's pre-activations."""
    picture = keras.Input((size, size, 3))
    prepared = keras.layers.Lambda(net.preprocess, output_shape=(size, size, 3))(picture)
    return keras.Model(picture, vz.submodel(net, layer, pre_activation=True)(prepared))


def normalised(gradient, rate: float, by: str = "norm"):
    """A step of fixed length (or root mean square) for each picture along its gradient."""
    reduce = tf.reduce_sum if by == "norm" else tf.reduce_mean
    length = tf.sqrt(reduce(gradient**2, (1, 2, 3), keepdims=True))
    return rate * tf.math.divide_no_nan(gradient, length)


def eager_loop(model, filters, starts, *, steps, rate=10.0, by="norm", watch=None) -> np.ndarray:
    """One filter after another, a GradientTape for each step, `image += rate · gradient/‖…‖`.

    Parameters
    ----------
    starts : ndarray, shape (n, size, size, 3)
        RGB 0-255, one starting picture for each filter.
    steps : int or sequence of int
        For all filters, or for each.
    watch : callable, optional
        Called with (number of the filter, step, clipped pictures); a true answer ends the climb.
    """
    pictures = []
    steps = np.broadcast_to(steps, len(filters))
    for number, (chosen, start, count) in enumerate(zip(filters, starts, steps, strict=True)):
        image = tf.constant(start[None])
        for step in range(1, count + 1):
            with tf.GradientTape() as tape:
                tape.watch(image)
                goal = tf.reduce_mean(model(image, training=False)[..., chosen])
            image += normalised(tape.gradient(goal, image), rate, by)
            if watch and watch(number, step, tf.clip_by_value(image, 0, 255).numpy()):
                break
        pictures.append(tf.clip_by_value(image, 0, 255).numpy())
    return np.concatenate(pictures)


def tf_keras_vis(model, filters, starts, *, watch=None, **options) -> np.ndarray:
    """tf-keras-vis's ActivationMaximization for one batch: a filter for each starting picture.

    `options` go to its call; without any it uses its defaults (200 steps, RMSprop, jitter and
    rotation, total variation and norm as regularisers). `watch(step, clipped pictures)` sees
    every step.
    """
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.callbacks import Callback
    from tf_keras_vis.utils.scores import CategoricalScore

    class Watch(Callback):
        def __call__(self, i, values, *_, **__):
            watch(i + 1, values[0].numpy())

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The structure of `inputs`")  # it wraps a list
        found = ActivationMaximization(model)(
            CategoricalScore([int(f) for f in filters]), seed_input=starts,
            callbacks=[Watch()] if watch else None, **options)
    return np.asarray(found)
