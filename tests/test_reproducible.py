"""The same call gives the same numbers in another process, and near ones with other threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Everything that is drawn by chance or summed over many positions, on the real weights.
PROGRAM = '''
import hashlib, json, sys
import numpy as np
import tensorflow as tf
if len(sys.argv) > 2:
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
    tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[2]))
import vizutils as vz
from techniques import circuits

net = vz.load_network("vgg16", weights="packaged")
ascent = vz.maximize(net, "block2_conv2", [3, 5], steps=12, seeds=2, seed=7, size=40)
plain = vz.maximize(net, "block2_conv2", [3], objective="unit", steps=12, size=24,
                    parameterisation=vz.Pixels(), transforms=(), optimiser=vz.Adam(8.0))
photos = vz.load_images(limit=3)
places = circuits.random_places(net, "block2_conv2", photos, 40, seed=1)
found = circuits.windows(net, "block2_conv2", 3, photos, places)
tables = {
    "report": ascent.report.drop(columns="flat").astype(float).to_numpy(),
    "maxima": vz.image_maxima(net, "block2_conv2", photos).values,
    "ranking": vz.rank_kernels(net, "block2_conv2", 3)["l2"].to_numpy(),
    "groups": vz.group_table(vz.class_table(net, "block2_conv2", 3))["p"].to_numpy(),
    "contributions": circuits.contributions(found),
    "logits": vz.logits(net, photos),
}
np.savez(sys.argv[1], pictures=ascent.images, plain=plain.images, **tables)
'''


def run(folder, name, *threads):
    path = folder / f"{name}.npz"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path), *threads], cwd=folder,
                          capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(path))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return run(tmp_path_factory.mktemp("first"), "first")


def test_two_fresh_processes_agree_to_the_last_bit(first, tmp_path):
    second = run(tmp_path, "second")
    assert second.keys() == first.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)


# Largest difference between one thread and two, as a share of the largest number. Sums are taken
# in another order; an ascent lets what that changes grow.
SUMMED, CLIMBED = 1e-5, 0.05


def test_one_and_two_threads_agree_within_a_stated_tolerance(first, tmp_path):
    one = run(tmp_path, "one", "1")
    apart = {name: float(np.nanmax(np.abs(one[name] - values)) / np.nanmax(np.abs(values)))
             for name, values in first.items()}
    print(json.dumps(apart))
    for name in ("ranking", "groups"):  # no sum over positions: the same bits
        assert apart[name] == 0
    for name in ("maxima", "contributions", "logits"):
        assert apart[name] < SUMMED, name
    assert apart["report"] < CLIMBED
    for name in ("pictures", "plain"):  # pixels, one by one, may differ more: their mean may not
        assert np.abs(one[name] - first[name]).mean() < 255 * CLIMBED, name
