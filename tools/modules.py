"""The files that results are computed with: one list for everything that hashes or dates them."""

from __future__ import annotations

from pathlib import Path

PACKAGES = "engine", "techniques", "data"
DATA = {".toml", ".json", ".npz"}  #: endings of what modules read, beside what is fetched


def modules(root: Path) -> list[Path]:
    """``vizutils.py`` and every module of the packages, however deep, in order.

    What is not there is left out: a notebook may lie in a folder of its own.
    """
    root = Path(root)
    found = [path for package in PACKAGES for path in root.joinpath(package).rglob("*.py")]
    return [*root.glob("vizutils.py"), *sorted(found)]


def ingredients(root: Path) -> list[Path]:
    """The modules, and the data that is committed beside them."""
    kept = sorted(path for path in Path(root).glob("data/*") if path.suffix in DATA)
    return [*modules(root), *kept]
