"""Pages of every filter of a network, linked to what feeds it and what reads it.

    python -m tools.explorer FOLDER [LAYERS="block3_conv1 block3_conv2"] [NETWORK=vgg16]
                             [WEIGHTS=packaged] [PICTURES=folder] [CLASSES=names.txt]
                             [SCHEDULER=tcp://host:port | WORKERS=2]

Layers that are named are drawn and analysed (interrupted, the same command goes on from there);
all others get what needs no climbing, and what was made of them before. FOLDER/index.html opens in
any browser, from the disk. With WORKERS the analysis is done by that many processes, with
SCHEDULER by those of a running Dask scheduler, on as many machines as it has.
"""

import contextlib
import sys
import time
from pathlib import Path

import vizutils as vz
from tools.explorer import build

DEFAULTS = {"LAYERS": "", "NETWORK": "vgg16", "WEIGHTS": "packaged", "PICTURES": "", "CLASSES": ""}
SPREAD = {"SCHEDULER": "", "WORKERS": "0"}  #: how it is done, which the pages need not say


def read_words(words):
    """Options like ``LAYERS=...``, with the defaults of those not given.

    Raises
    ------
    ValueError
        An option that there is not.
    """
    options = DEFAULTS | SPREAD
    for name, _, value in (word.partition("=") for word in words):
        if name not in options:
            raise ValueError(f"{name} is no option; there are {', '.join(options)}.")
        options[name] = value
    return options


def how(options):
    """The network's Python, the pictures' Python and the command, for the pages to say."""
    named = f", classes={options['CLASSES']!r}" if options["CLASSES"] else ""
    chosen = options["WEIGHTS"] if is_named(options) else "auto"
    given = [f'{name}="{options[name]}"' for name, default in DEFAULTS.items()
             if options[name] != default and name != "LAYERS"]
    folder = repr(options["PICTURES"]) + ", " if options["PICTURES"] else ""
    own = ", classes=net.classes" if options["PICTURES"] else ""
    return build.Said(
        f"vz.load_network({options['NETWORK']!r}, weights={chosen!r}{named})",
        f"vz.load_images({folder}size=net.input_size{own})", " ".join(["make explorer", *given]))


def is_named(options):
    """Whether the network is one of those with weights to choose, not a file with its own."""
    return not Path(options["NETWORK"]).suffix


def load(options):
    """The network that is asked for, and its pictures."""
    named = {"classes": options["CLASSES"]} if options["CLASSES"] else {}
    net = vz.load_network(options["NETWORK"], **named,
                          weights=options["WEIGHTS"] if is_named(options) else "auto")
    return net, vz.load_images(options["PICTURES"] or None, size=net.input_size,
                               classes=net.classes if options["PICTURES"] else None)


@contextlib.contextmanager
def spread_over(options):
    """What makes a layer's blocks elsewhere, while it lasts; None: they are made here.

    Raises
    ------
    ValueError, OSError
        WORKERS is no number; no scheduler answers.
    """
    if not options["WORKERS"].isdecimal():
        raise ValueError(f"WORKERS={options['WORKERS']} cannot be: give a whole number.")
    if not options["SCHEDULER"] and options["WORKERS"] == "0":
        yield None
        return
    from tools.explorer import spread  # Dask takes a second to load
    from tools.reports import connect

    client, threads = connect(options["SCHEDULER"], int(options["WORKERS"]))
    with client:
        yield spread.over(client, {name: options[name] for name in DEFAULTS}, threads=threads)


def main(folder, *words):
    """Build the site, or end with a sentence."""
    began = time.monotonic()
    try:
        options = read_words(words)
        net, pictures = load(options)
        with spread_over(options) as make_of:
            page = build.build(net, folder, how(options), layers=options["LAYERS"].split(),
                               image_set=pictures, make_of=make_of)
    except (ValueError, OSError) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Interrupted: the same command goes on from here.")
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    print(f"wrote {page} ({size:.1f} MB, {time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
