"""Put deliberate faults into a copy of the modules and see the tests find each one.

    python -m tools.mutants [NAME ...] [--jobs 2]

Each fault is a slip that public labs and libraries have made, or that would change a number of
the report without a sound. The tests of the module concerned must fail with it, and pass
without it. The table that is printed names the first test that failed: the fault's killer, which
is kept in `KILLERS` and asked first the next time. Tests that could not be run (an error in a
fixture or an import, no end in time) have found nothing.
"""

import argparse
import concurrent.futures
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tools.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 3600  # seconds that the tests of one fault may take
NOT_RUN = "COULD NOT RUN"
KILLERS = ROOT / "tools" / "killers.json"  # fault → the test that found it last
# No cache is left behind, and no plugin is loaded: to import them takes a second or more.
BARE = ["-p", "no:cacheprovider"]
LEFT_OUT = {".git", ".venv", "build", "cache", ".pytest_cache", ".ruff_cache"}


def copy_project(target: Path) -> Path:
    """A copy to put faults into, with the same downloads."""
    shutil.copytree(ROOT, target, ignore=lambda folder, names: LEFT_OUT & set(names))
    cache = ROOT / "data" / "cache"
    if cache.exists():
        (target / "data" / "cache").symlink_to(cache)
    return target


def failing(project: Path, *tests: str) -> str:
    """The first test that fails in a copy, ``tests/FILE.py::NAME``; empty if none does.

    Parameters
    ----------
    tests : str
        Files of ``tests/`` without their ending, or what this returned before.

    Raises
    ------
    RuntimeError
        If the tests cannot be run to an end, or nothing but their fixtures fails.
    """
    files = [name if "::" in name else f"tests/{name}.py" for name in tests]
    for until in (["-x"], []):  # again to the end if the first thing was an error
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *until, *BARE, *files],
                cwd=project, capture_output=True, text=True, timeout=LONGEST,
                env={**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1",
                     "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        except subprocess.TimeoutExpired as problem:
            raise RuntimeError(f"{', '.join(files)} did not end within {LONGEST} s.") from problem
        if done.returncode == 0:
            return ""
        found = re.search(r"^FAILED (\S+?::[^\s\[]+)", done.stdout, re.MULTILINE)
        if done.returncode == 1 and found:
            return found[1]
    raise RuntimeError(f"pytest could not run {', '.join(files)}:\n{done.stdout[-2000:]}")


def hunt(project: Path, fault: Fault, known: str = "") -> tuple[str, float]:
    """(killer, seconds) of one fault; the copy is whole again afterwards.

    The test that found it last time, if it is `known`, is asked before all others.
    """
    path, began = project / fault.file, time.monotonic()
    sound = path.read_text()
    path.write_text(fault.put_into(sound))
    try:
        killer = ""
        with contextlib.suppress(RuntimeError):  # that test is no more: all of them decide
            killer = known and failing(project, known)
        killer = killer or failing(project, *fault.tests.split())
        return killer, time.monotonic() - began
    finally:
        path.write_text(sound)


def main(names: list[str], jobs: int) -> int:
    """Hunt all faults, or those whose names hold one of the given words."""
    faults = [f for f in FAULTS if not names or any(word in f.name for word in names)]
    if not faults:
        print(f"no fault is named so; there are: {'; '.join(f.name for f in FAULTS)}.")
        return 2
    killers = json.loads(KILLERS.read_text()) if KILLERS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        copies = itertools.count()
        own = threading.local()

        def project() -> Path:  # each thread's own copy
            if not hasattr(own, "project"):
                own.project = copy_project(Path(folder) / str(next(copies)))
            return own.project

        def work(fault):
            try:
                return hunt(project(), fault, killers.get(fault.name, ""))
            except RuntimeError as problem:  # the other faults are looked for all the same
                print(f"{fault.name}: {problem}", file=sys.stderr, flush=True)
                return NOT_RUN, 0

        tests = sorted({test for fault in faults for test in fault.tests.split()})
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            broken = list(filter(None, pool.map(lambda test: failing(project(), test), tests)))
            if broken:
                print(f"fails without any fault: {', '.join(broken)}; mend that first.")
                return 2
            survivors = 0
            print("| fault | file | seconds | killed by |\n|---|---|---|---|", flush=True)
            for fault, (killer, seconds) in zip(faults, pool.map(work, faults), strict=True):
                survivors += killer in ("", NOT_RUN)
                print(f"| {fault.name} | {fault.file} | {seconds:.0f} | {killer or 'SURVIVED'} |",
                      flush=True)
                if "::" in killer:
                    killers[fault.name] = killer
    known = {fault.name for fault in FAULTS}
    KILLERS.write_text(json.dumps({name: killer for name, killer in sorted(killers.items())
                                   if name in known}, indent=0) + "\n")
    print(f"{len(faults) - survivors} of {len(faults)} faults are found by the tests")
    return int(survivors > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="words in the names of the faults to try")
    parser.add_argument("--jobs", type=int, default=1, help="copies to work on side by side")
    given = parser.parse_args()
    sys.exit(main(given.names, given.jobs))
