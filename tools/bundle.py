"""Pack what a run needs into one zip, for a place that cannot fetch the project.

    python tools/bundle.py build/lab3-circuit.zip

The set-up cell of every notebook asks for this file on Colab. It holds the modules and the data
that is committed beside them; weights and photographs come from packages, as everywhere.
"""

import sys
import zipfile
from pathlib import Path

from tools.modules import ingredients

ROOT = Path(__file__).resolve().parents[1]
TERMS = "LICENSE*", "data/README.md"  #: under which all this may be used


def pack(root, target):
    """Write the zip `target` of the project in `root`; its files lie in one folder."""
    terms = [path for pattern in TERMS for path in sorted(root.glob(pattern))]
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [*ingredients(root), *terms]:
            archive.write(path, Path(target.stem, path.relative_to(root)))


def main(target):
    """Pack this project and say how large it is."""
    target = Path(target)
    pack(ROOT, target)
    print(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
