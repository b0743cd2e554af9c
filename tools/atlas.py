"""Draw every filter of a layer on one contact sheet.

    python tools/atlas.py LAYER [--network vgg16] [--weights packaged]

Interrupted, it goes on from where it was when called again.
"""

import argparse

import vizutils as vz


def main():
    """Draw, and say where the sheet is and how many pictures failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layer")
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--weights", default="packaged")
    options = parser.parse_args()
    try:
        net = vz.load_network(options.network, weights=options.weights)
        found = vz.atlas(net, options.layer)
    except (ValueError, OSError) as problem:
        parser.exit(1, f"{problem}\n")
    except KeyboardInterrupt:
        parser.exit(1, "Interrupted: the same command goes on from here.\n")
    flat = int(found.report["flat"].sum())
    print(f"{len(found.report)} filters of {options.layer}, {flat} flat, "
          f"{int((found.report['end_max'] <= 0).sum())} not above zero")
    print(f"sheet: {found.sheet}\nindex: {found.index}")


if __name__ == "__main__":
    main()
