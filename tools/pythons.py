"""Run the README's two commands on fresh clones of HEAD, with each Python that is installed.

    python tools/pythons.py [3.12 3.13]     # make test-pythons PYTHONS="3.12 3.13"
    python tools/pythons.py --find 3.12     # where that Python is

Each clone lies in ``build/pythons/VERSION``, with a log of each command beside it. Python 3.12,
which Colab has, runs ``make test-colab`` too. The downloads are shared; a failure ends its own
command only; a table is printed at the end, and the exit code says whether everything passed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = "3.11", "3.12", "3.13"
COLAB = "3.12"  #: the Python that Colab has
# What would make a clone's commands look elsewhere than a new user's do.
OWN = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VIZUTILS_FIGURES", "VIZUTILS_LONG"}
FIT = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Python:
    """An interpreter that can make an environment."""

    version: str
    path: str


@dataclass(frozen=True)
class Run:
    """What became of one command; `counts` holds pytest's words, e.g. ``passed``."""

    version: str
    command: str
    passed: bool
    counts: dict[str, int]
    seconds: float


def installed(versions=SUPPORTED) -> list[Python]:
    """The first Python of each version that works: on the PATH, then pyenv's, then this one."""
    found = []
    for version in versions:
        for path in _candidates(version):
            try:
                said = subprocess.run([path, "-c", FIT], capture_output=True, text=True,
                                      check=False, timeout=60).stdout.strip()
            except (OSError, subprocess.TimeoutExpired):
                continue  # a stump: the next one may work
            if said == version:
                found.append(Python(version, path))
                break
    return found


def _candidates(version: str) -> list[str]:
    """Where a Python of that version may be, pyenv's newest first."""
    on_path = (shutil.which(f"python{version}", path=folder) for folder in os.get_exec_path())
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    pyenvs = sorted(home.glob(f"{version}.*"), key=lambda x: [int(n) for n in
                                                             re.findall(r"\d+", x.name)])
    return list(dict.fromkeys([*filter(None, on_path), *(
        str(place / "bin" / "python") for place in reversed(pyenvs)), sys.executable]))


def clone(root: Path, folder: Path) -> None:
    """A new clone of what is committed in `root`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(root), str(folder)], check=True)


def commands(python: Python) -> list[list[str]]:
    """The commands of the README that one Python runs."""
    own = [["make", "report", f"PYTHON={python.path}"], ["make", "test", f"PYTHON={python.path}"]]
    colab = [["make", "test-colab", f"COLAB_PYTHON={python.path}"]]
    return own + (colab if python.version == COLAB else [])


def run(command: list[str], folder: Path, *, version: str, data: Path) -> Run:
    """Run one command in a clone, into a log beside it."""
    name, log = " ".join(command[:2]), folder.parent / f"{version}-{command[1]}.log"
    environment = {key: value for key, value in os.environ.items()
                   if key not in OWN and not key.startswith(("MAKE", "MFLAGS"))}
    environment["VIZUTILS_DATA"] = str(data)
    print(f"Python {version}: {name} (log: {log})", flush=True)
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT,
                              env=environment, check=False)
    return Run(version, name, done.returncode == 0,
               counts_of(log.read_text(encoding="utf-8", errors="replace")),
               time.monotonic() - began)


def counts_of(text: str) -> dict[str, int]:
    """How many tests passed, failed, ... by pytest's last summary; empty where none is."""
    ends = re.findall(r"^=*\s*(\d+ [a-z]+(?:, \d+ [a-z]+)*) in [\d.]+s", text, re.MULTILINE)
    return {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", ends[-1])} if ends else {}


def table(runs: list[Run]) -> str:
    """The runs as a Markdown table; – where a command counts no tests."""
    lines = ["| Python | command | | passed | failed | skipped | minutes |",
             "|---|---|---|---|---|---|---|"]
    for one in runs:
        broken = one.counts.get("failed", 0) + one.counts.get("errors", one.counts.get("error", 0))
        numbers = [one.counts.get("passed", 0), broken, one.counts.get("skipped", 0)]
        cells = [one.version, one.command, "passed" if one.passed else "FAILED",
                 *(numbers if one.counts else "–––"), f"{one.seconds / 60:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(asked: list[str], *, root: Path = ROOT) -> int:
    """Run everything, print the table; 0 if all passed, 2 if nothing could be run."""
    if unknown := set(asked) - set(SUPPORTED):
        print(f"PYTHONS={' '.join(asked)}: this project supports {', '.join(SUPPORTED)}, not "
              f"{', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    found = installed(asked or SUPPORTED)
    missing = [x for x in asked or SUPPORTED if x not in {python.version for python in found}]
    if missing:
        print(f"Not installed here, so not run: Python {', '.join(missing)}.", file=sys.stderr)
    if not found:
        return 2
    if subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True,
                      check=True).stdout:
        print("Work that is not committed is left out: the clones hold HEAD.", flush=True)
    home, runs = root / "build" / "pythons", []
    data = Path(os.environ.get("VIZUTILS_DATA") or root / "data" / "cache").resolve()
    try:
        for python in found:
            folder = home / python.version
            clone(root, folder)
            for command in commands(python):
                runs.append(run(command, folder, version=python.version, data=data))
    finally:  # an interrupt is passed on, after what is known so far
        print(table(runs), flush=True)
    return int(not all(one.passed for one in runs) or bool(asked and missing))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", help=f"of {', '.join(SUPPORTED)}; default: all")
    parser.add_argument("--find", metavar="VERSION", help="print where that Python is")
    given = parser.parse_args()
    if given.find:
        here = installed([given.find])
        print(here[0].path if here else "", end="\n" if here else "")
        sys.exit(not here)
    sys.exit(main(given.versions))
