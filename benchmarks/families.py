"""Every family of keras.applications: what of it can be looked into, or the sentence why not.

    nice -n 15 python benchmarks/families.py [NAME ...] [--largest] [--field 72]

The smallest network of each family, with random weights (nothing is downloaded). Its unit is the
last convolution whose receptive field is at most `--field` pixels. A row tells whether the network
loads; whether that field is exactly the part of the picture on which the unit's gradient is not
zero; how many of four filters' ascents (16 steps, without transforms) rise; whether kernels rank;
and which layers have no field, by the sentence that the first of them gives. With --largest the
largest of each family are built, and their fields taken, but nothing is climbed.
"""

import argparse
import sys
import time

import numpy as np
import tensorflow as tf

import vizutils as vz

#: The smallest and the largest network of each family.
FAMILIES = {
    "VGG16": "VGG19", "ResNet50": "ResNet152", "ResNet50V2": "ResNet152V2", "Xception": "",
    "InceptionV3": "InceptionResNetV2", "MobileNet": "", "MobileNetV2": "",
    "MobileNetV3Small": "MobileNetV3Large", "DenseNet121": "DenseNet201",
    "NASNetMobile": "NASNetLarge", "EfficientNetB0": "EfficientNetB4",
    "EfficientNetV2B0": "EfficientNetV2M", "ConvNeXtTiny": "ConvNeXtBase",
}
HEAD = ("| network | convolutions | unit | field | support of the gradient | ascent | kernels | "
        "without a field |\n|---|---|---|---|---|---|---|---|")


def fields(net: vz.Network) -> tuple[dict, str]:
    """The receptive fields of a network's convolutions, and why the others have none."""
    found, why = {}, {}
    for name in net.conv_layers:
        try:
            found[name] = vz.receptive_field(net, name)
        except ValueError as sentence:
            why[name] = str(sentence)
    first = next(iter(why.values()), "")
    return found, f"{len(why)}: {first}" if why else "none"


def support(net: vz.Network, layer: str, size: int, pictures: int = 12):
    """(top, left, bottom, right) of the pixels on which a layer's central unit depends.

    Over pictures of noise and all channels of the layer, since a pool passes one of its inputs on.
    """
    forward = net.forward(layer, pre_activation=True)
    seen = vz.receptive_field(net, layer, input_size=size)
    at = central(seen)
    rng, touched = np.random.default_rng(0), np.zeros((size, size), bool)
    for _ in range(pictures):
        image = tf.constant(rng.uniform(0, 255, (1, size, size, 3)).astype("float32"))
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(tf.abs(forward(image)[:, at, at]))
        touched |= np.abs(tape.gradient(value, image)[0]).max(-1) > 0
        box = [np.flatnonzero(touched.any(axis)) for axis in (1, 0)]
        found = (*(int(b[0]) for b in box), *(int(b[-1]) + 1 for b in box))
        if found == seen.window(at, at):
            break
    return found


def central(seen) -> int:
    """The unit in the middle of those that see no padding, or of all."""
    inside = seen.unpadded
    return (inside.start + inside.stop - 1) // 2 if inside.stop else seen.positions // 2


def compared(net: vz.Network, layer: str, size: int) -> str:
    """How the support of the gradient compares with the receptive field, in words."""
    seen = vz.receptive_field(net, layer, input_size=size)
    found, said = support(net, layer, size), seen.window(central(seen), central(seen))
    if seen.through:
        return f"whole picture, by {seen.through}" if found == (0, 0, size, size) else "differs"
    if found == said:
        return "equal"
    inside = found[0] >= said[0] and found[1] >= said[1] and found[2] <= said[2] and (
        found[3] <= said[3])
    sides = f"{found[2] - found[0]} × {found[3] - found[1]} px"
    return f"within it, {sides}" if inside else f"differs: {sides}"


def row(name: str, *, field: int = 72, climb: bool = True) -> str:
    """One line of the table."""
    try:
        net = vz.load_network(name, weights="random")
    except ValueError as sentence:
        return f"| {name} | {sentence} | | | | | | |"
    known, without = fields(net)
    cells = [name, str(len(net.conv_layers))]
    small = [layer for layer, seen in known.items() if seen.size <= field]
    if not climb or not small:
        largest = max((seen.size for seen in known.values()), default=0)
        return f"| {' | '.join(cells)} | not climbed | up to {largest} px | | | | {without} |"
    layer = small[-1]
    size = vz.canvas(net, layer, strides=2)
    ascent = vz.maximize(net, layer, range(4), steps=16, size=size, transforms=(), progress=False)
    rises = int((ascent.history[-1] > ascent.history[0]).sum())
    try:
        ranked = str(len(vz.rank_kernels(net, layer, 0, top=10)))
    except ValueError as sentence:
        ranked = str(sentence)
    cells += [layer, f"{known[layer].size} px", compared(net, layer, size), f"{rises} of 4 rise",
              f"{ranked} ranked", without]
    return f"| {' | '.join(cells)} |"


def main():
    """Print the table; 1 if a row ended in anything but a sentence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks of keras.applications")
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("--field", type=int, default=72)
    options = parser.parse_args()
    names = options.names or [name for pair in FAMILIES.items()
                              for name in [pair[options.largest]] if name]
    print(HEAD)
    failed = 0
    for name in names:
        began = time.perf_counter()
        try:
            print(row(name, field=options.field, climb=not options.largest), flush=True)
        except Exception as problem:  # a row that is no sentence is what this looks for
            failed += 1
            print(f"| {name} | {type(problem).__name__}: {problem} | | | | | | |", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
