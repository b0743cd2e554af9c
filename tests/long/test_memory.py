"""One kernel, used for long: its memory must not grow. Minutes, so only with VIZUTILS_LONG=1.

200 ascents, 1,000 pictures looked through and the figures of 50 dashboards, one after the other in
one process. Each kind of work warms up first; what it then adds may be 5 % at most.
"""

import gc
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("VIZUTILS_LONG" not in os.environ,
                                reason="minutes; VIZUTILS_LONG=1 runs it")

GROWTH = 0.05
LAYER = "block3_conv2"


# ---------------------------------------------------------------------------------------------
# The work: each function does one round of it


def ascent(net, number):
    """One filter, drawn and reported on; another layer every tenth time."""
    import vizutils as vz

    layer = net.conv_layers[4 + number // 10 % 3]
    vz.maximize(net, layer, number % 256, size=64, steps=8, progress=False)


def pictures(net, number):
    """A hundred pictures, read from their files: the strongest patches of a filter."""
    import numpy as np

    import vizutils as vz

    packaged = vz.load_images()
    paths = [packaged.sources[i % len(packaged)] for i in range(100)]
    names = tuple(f"{number}_{i}" for i in range(100))
    image_set = vz.ImageSet(names, np.full(100, -1), 224, tuple(paths))
    maxima = vz.image_maxima(net, "block2_conv2", image_set)
    vz.top_patches(net, image_set, "block2_conv2", number % 128, maxima=maxima)


def dashboard(net, number):
    """Every panel of a dashboard, drawn as PNG, for another filter and picture each time."""
    import vizutils as vz
    from techniques.dashboard import PANELS, View, draw

    photos = vz.load_images(size=96, limit=4)
    view = View(net, LAYER, number % 256, photos, picture=number % 4, size=64, steps=2)
    for name in PANELS:
        draw(name, view)[0].savefig(io.BytesIO(), format="png", dpi=120)


WORK = {  # what is done, rounds that warm up, rounds that are measured
    "ascents": (ascent, 40, 200),
    "pictures": (pictures, 2, 10),
    "dashboards": (dashboard, 10, 50),
}


def room():
    """Bytes of memory that this process occupies."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def work():
    """All of WORK in this process; a line of JSON for each kind, with the room it takes."""
    import vizutils as vz

    net = vz.load_network("vgg16", weights="packaged")
    for name, (do, warm_up, rounds) in WORK.items():
        for number in range(warm_up):
            do(net, number)
        rooms = [room()]
        for number in range(rounds):
            do(net, number)
            if (number + 1) % max(rounds // 5, 1) == 0:
                rooms.append(room())
        print(json.dumps({name: rooms}), flush=True)


# ---------------------------------------------------------------------------------------------
# What must hold


@pytest.fixture(scope="module")
def seen():
    if not Path("/proc/self/statm").exists():
        pytest.skip("the room a process takes is read from /proc")
    done = subprocess.run([sys.executable, "-W", "ignore", __file__], capture_output=True,
                          text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    return found


@pytest.mark.parametrize("name", WORK)
def test_memory_stays_what_it_was_after_warming_up(seen, name):
    before, *later = seen[name]
    print(f"{name}: {before / 1e6:.0f} MB, then", *(f"{room / before - 1:+.1%}" for room in later))
    assert later[-1] <= (1 + GROWTH) * before


if __name__ == "__main__":
    work()
