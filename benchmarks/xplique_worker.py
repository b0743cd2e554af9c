"""Draws pictures with Xplique 2.0.2, in an environment of its own that knows nothing else.

    python benchmarks/xplique_worker.py --help

`two_choices.py` calls it: a network as arrays (.npz) and jobs (.json) go in, pictures (.npy, RGB
0-255) come out. `xplique_versus.py` keeps it running, with `-` for the jobs: each line of JSON on
its input is a climb of `optimize`, answered by its seconds. Its environment: tensorflow-cpu 2.20,
tf-keras 2.20.1 without dependencies (they bring a second TensorFlow), Xplique without its own, and
beside it einops, deprecated, matplotlib, opencv-python-headless, scikit-image, scikit-learn,
tensorflow-probability 0.25.
Options that a job does not name are Xplique's defaults; the canvas is the network's input.
"""

import argparse
import json
import sys
import time

import numpy as np

BGR_MEAN = (103.939, 116.779, 123.68)  # what VGG16's preprocessing takes away
RANGES = {"optimize": (0.0, 1.0), "maco": (-1.0, 1.0)}  # of pictures, by Xplique's default


def network(arrays, size: int, low: float, high: float):
    """The chain of layers as a Keras model: pictures from low to high → pre-activations."""
    import tensorflow as tf

    picture = tf.keras.Input((size, size, 3))
    x = (picture - low) * (255 / (high - low))
    x = x[..., ::-1] - tf.constant(BGR_MEAN)
    last = len(arrays["kinds"]) - 1
    for i, kind in enumerate(arrays["kinds"]):
        if kind == "pool":
            x = tf.keras.layers.MaxPooling2D(2)(x)
            continue
        kernel, bias = arrays[f"kernel_{i}"], arrays[f"bias_{i}"]
        step = tf.keras.layers.Conv2D(kernel.shape[-1], kernel.shape[:2], padding="same",
                                      activation=None if i == last else "relu",
                                      name="drawn" if i == last else None)
        x = step(x)
        step.set_weights([kernel, bias])
    return tf.keras.Model(picture, x)


def draw(model, unit: int, *, method: str, size: int, sign: int, **options) -> np.ndarray:
    """One picture, RGB 0-255."""
    from xplique.features_visualizations import Objective, maco, optimize

    goal = Objective.channel(model, "drawn", unit, multiplier=float(sign))
    options = {"custom_shape": (size, size), "values_range": RANGES[method], **options}
    found = maco(goal, **options)[0] if method == "maco" else optimize(goal, **options)[0][-1][0]
    low, high = RANGES[method]
    return 255 * (np.asarray(found, "float32") - low) / (high - low)


def climb(model, units, *, size: int, seed: int, together: bool, **options) -> tuple:
    """Pictures (kept steps, units, size, size, 3) of `optimize`; wall and processor seconds.

    `together`: all units in one call, as its API allows; else one call after another.
    """
    import tensorflow as tf
    from xplique.features_visualizations import Objective, optimize

    tf.keras.utils.set_random_seed(seed)
    began, found = (time.perf_counter(), time.process_time()), []
    for some in [units] if together else [[unit] for unit in units]:
        goal = Objective.channel(model, "drawn", some)
        found.append(optimize(goal, custom_shape=(size, size), **options)[0])
    pictures = [np.stack(own) for own in found]  # to the host: done only now
    ended = time.perf_counter(), time.process_time()
    return 255 * np.concatenate(pictures, 1), np.subtract(ended, began).tolist()


def serve(arrays) -> None:
    """Climb what each line of the input asks for, until it ends."""
    models = {}
    for line in sys.stdin:
        job = json.loads(line)
        path, size = job.pop("pictures"), job["size"]
        if size not in models:
            models[size] = network(arrays, size, *RANGES["optimize"])
        pictures, seconds = climb(models[size], **job)
        if path:
            np.save(path, pictures.astype("float32"))
        print(json.dumps({"seconds": seconds}), flush=True)


def main():
    """Draw all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help=".npz: layers as choice_methods.plain_layers has them")
    parser.add_argument("jobs", help=".json: method, size, sign, units, seeds, options; - to serve")
    parser.add_argument("pictures", nargs="?", help=".npy, written")
    given = parser.parse_args()
    if given.jobs == "-":
        serve(np.load(given.network))
        return
    import tensorflow as tf

    with open(given.jobs) as file:
        jobs = json.load(file)
    units, seeds = jobs.pop("units"), jobs.pop("seeds")
    model = network(np.load(given.network), jobs["size"], *RANGES[jobs["method"]])
    pictures = []
    for unit, seed in zip(units, seeds, strict=True):
        tf.keras.utils.set_random_seed(1000 * seed + unit)
        pictures.append(draw(model, unit, **jobs))
    np.save(given.pictures, np.clip(np.stack(pictures), 0, 255).astype("float32"))


if __name__ == "__main__":
    main()
