"""Run the notebooks as other processors would, and list every number that moves.

    python tools/processors.py [NOTEBOOK ...] [--settings "SSE4.1, no oneDNN"]
    make test-processors NOTEBOOKS=notebooks/4_adversaries.ipynb

TensorFlow's convolutions come from oneDNN, which picks its program by the processor; another
program adds up in another order and differs in last digits. oneDNN's own switches ask for the
program of an older processor than this one, and none can ask for a newer one's: those settings
are named as not run. Each run is compared with the committed notebook by the rules of
``make test-notebooks`` (conftest.py, tests/nbval_sanitize.cfg). Executed copies stay in
``build/processors``; one that is newer than its notebook and all modules is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.execute import execute, is_stderr  # noqa: E402  (started as a file, too)
from tools.modules import ingredients  # noqa: E402

_spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)


def threads(count: int) -> dict[str, str]:
    """Variables that give TensorFlow, OpenMP and OpenBLAS so many threads."""
    return dict.fromkeys(["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS",
                          "OPENBLAS_NUM_THREADS"], str(count))


# name: (variables of the kernel, what the processor must have for the setting to be another one
# than "as it is": NumPy's words for it, old and new)
SETTINGS = {
    "as it is": ({}, ()),
    "SSE4.1": ({"ONEDNN_MAX_CPU_ISA": "SSE41"}, ("AVX2", "X86_V3")),
    "AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, ("AVX512_SKX", "X86_V4")),
    "AVX-512": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, ("AVX512_SPR",)),
    "no oneDNN": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, ()),
    "one thread": (threads(1), ()),
    "two threads": (threads(2), ()),
}
MARKUP = re.compile(r"</?[a-z][^>]*>")  # its class names hold numbers that are no results
ANY_NUMBER = re.compile(rules.APPROXIMATE.pattern + rf"|(?<![\w.,]){rules.NUMBER}")


@dataclass(frozen=True)
class Moved:
    """A number, or a whole text, that a run gave otherwise than the committed notebook."""

    cell: int  # among the code cells, from 1, as the notebook numbers them
    committed: str
    found: str
    verdict: str  # "allowed", "not compared" or "NOT ALLOWED"


def features() -> set[str]:
    """The instruction sets of this processor, as NumPy calls them."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        np.show_runtime()
    lists = re.findall(r"'(?:baseline|found)': \[(.*?)\]", said.getvalue(), re.DOTALL)
    return set(re.findall(r"'(\w+)'", " ".join(lists)))


def possible(present: set[str]) -> list[str]:
    """The settings that a processor with these instruction sets can imitate."""
    return [name for name, (_, needed) in SETTINGS.items()
            if not needed or present.intersection(needed)]


def compared(cell) -> dict[str, list[str]]:
    """What nbval compares of a cell's outputs: texts by kind, cleaned by the same patterns."""
    config = (ROOT / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8")
    texts = {}
    for output in cell.outputs:
        if is_stderr(output):
            continue
        printed = ({output.name: output.text} if output.output_type == "stream" else
                   output.get("data", {"error": output.get("evalue", "")}))
        for kind, text in printed.items():
            if not kind.startswith(("image/png", "image/jpeg", "application/vnd.jupyter.widget")):
                for pattern, instead in get_sanitize_patterns(config):
                    text = re.sub(pattern, instead, text)
                texts.setdefault(kind, []).append(text)
    return texts


def differences(committed: str, found: str) -> list[tuple[str, str, bool]]:
    """Each number that differs between two texts: as committed, as found, whether allowed.

    Texts that differ in more than numbers are one difference, of their first unlike lines.
    """
    if rules.unpadded(committed) == rules.unpadded(found):
        return []
    first, second = (list(ANY_NUMBER.finditer(text)) for text in (committed, found))
    words = [rules.unpadded("≈" + ANY_NUMBER.sub("#", text)) for text in (committed, found)]
    if words[0] == words[1]:
        return [(a[0], b[0], bool(a["number"] and b["number"] and rules.agree(b, a)))
                for a, b in zip(first, second, strict=True) if a[0] != b[0]]
    lines = zip(committed.splitlines(), found.splitlines(), strict=False)
    return [next(((a, b, False) for a, b in lines if rules.unpadded(a) != rules.unpadded(b)),
                 ("a text", "one of another length", False))]


def compare(committed, executed) -> list[Moved]:
    """Every number that differs between a notebook as committed and as executed."""
    moved, cells = [], [[c for c in notebook.cells if c.cell_type == "code"]
                        for notebook in (committed, executed)]
    for number, (before, after) in enumerate(zip(*cells, strict=True), start=1):
        texts, again = compared(before), compared(after)
        ignored = "nbval-ignore-output" in before.metadata.get("tags", [])
        pairs = [pair for kind in texts.keys() & again.keys()
                 for pair in zip(texts[kind], again[kind], strict=False)]
        shapes = [f"outputs: {', '.join(f'{len(x)} {kind}' for kind, x in sorted(of.items()))}"
                  for of in (texts, again)]
        if shapes[0] != shapes[1]:
            pairs.append(tuple(shapes))
        for was, now in pairs:
            same = rules.Printed(was) == now  # this alone decides, as under nbval
            moves = differences(*(MARKUP.sub(" ", text) for text in (was, now)))
            if not same and all(near for *_, near in moves):
                moves.append(("the output", "another one", False))
            moved += [Moved(number, a, b, "not compared" if ignored else
                            "allowed" if near or same else "NOT ALLOWED") for a, b, near in moves]
    return list(dict.fromkeys(moved))  # a table is there twice, as text and as HTML


def table(found: dict[tuple[str, str], list[Moved]]) -> str:
    """All that moved, a row for each number, as Markdown; keys are (notebook, setting)."""
    settings = list(dict.fromkeys(setting for _, setting in found))
    rows = {}
    for (notebook, setting), moves in found.items():
        for m in moves:
            row = rows.setdefault((notebook, m.cell, m.committed), ({}, []))
            row[0].setdefault(setting, []).append(m.found)
            row[1].append(m.verdict)
    lines = ["| notebook | In | committed | " + " | ".join(settings) + " | |",
             "|---" * (4 + len(settings)) + "|"]
    worst = ["NOT ALLOWED", "not compared", "allowed"]
    for (notebook, cell, was), (now, verdicts) in sorted(rows.items(), key=lambda row: row[0]):
        cells = [notebook, str(cell), was, *(" / ".join(now.get(s, "=")) for s in settings),
                 min(verdicts, key=worst.index)]
        lines.append("| " + " | ".join(x.strip().replace("|", "\\|") for x in cells) + " |")
    return "\n".join(lines)


def run(path: Path, setting: str, folder: Path, *, root: Path = ROOT) -> nbformat.NotebookNode:
    """The notebook as executed under a setting; a copy in `folder` serves if it is new enough."""
    target = folder / setting.replace(" ", "_") / path.name
    sources = [path, *ingredients(root)]
    if target.exists() and target.stat().st_mtime > max(s.stat().st_mtime for s in sources):
        return nbformat.read(target, as_version=4)
    print(f"{path.name}: {setting}", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    variables = {**SETTINGS[setting][0], "VIZUTILS_FIGURES": str(target.parent / "figures")}
    executed = execute(nbformat.read(path, as_version=4), path.resolve().parent,
                       environment=variables)
    nbformat.write(executed, target)
    return executed


def main(notebooks: list[Path], asked: list[str], *, folder: Path | None = None) -> int:
    """Run, compare, print the table: 0 if every cell is allowed, 2 for an unknown setting."""
    if unknown := set(asked) - set(SETTINGS):
        print(f"no setting is called {', '.join(sorted(unknown))}; there are "
              f"{', '.join(SETTINGS)}.", file=sys.stderr)
        return 2
    can = possible(features())
    for name in asked or SETTINGS:
        if name not in can:
            print(f"{name}: not run; this processor cannot imitate it, or is that one itself.")
    found, stopped = {}, []
    for path in notebooks:
        committed = nbformat.read(path, as_version=4)
        for setting in (name for name in asked or SETTINGS if name in can):
            try:
                executed = run(path, setting, folder or ROOT / "build" / "processors")
            except CellExecutionError as error:  # the others still run
                stopped.append(f"{path.name} under {setting}: {error.ename}: {error.evalue}")
            except (DeadKernelError, CellTimeoutError) as error:  # memory, ended, or too slow
                stopped.append(f"{path.name} under {setting}: {str(error).splitlines()[0]}")
            else:
                found[path.name, setting] = compare(committed, executed)
    print(table(found), *stopped, sep="\n", flush=True)
    refused = {(notebook, m.cell) for (notebook, _), moves in found.items() for m in moves
               if m.verdict == "NOT ALLOWED"}
    print(f"{len(found)} runs compared; {len(refused)} cells not allowed, {len(stopped)} stopped.")
    return int(bool(refused or stopped))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, default=[])
    parser.add_argument("--settings", default="", help=f"of {', '.join(SETTINGS)}; all of them")
    given = parser.parse_args()
    every = [ROOT / "lab3_circuit.ipynb", *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    sys.exit(main(given.notebooks or every,
                  [s.strip() for s in given.settings.split(",") if s.strip()]))
