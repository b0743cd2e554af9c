"""Write the grading sheet of an executed report: where each point of the rubric is earned.

    python tools/grade.py NOTEBOOK FOLDER [CHECKS]

FOLDER/grade.md is read from the notebook alone: its rubric map, its headings, captions, answers
and printed lines. CHECKS is the record that `make test` has pytest keep
(``--junitxml=build/checks.xml``); without it, or with one older than the notebook or a module,
the sheet says that nothing is on record. Links lead to the report's page in the same folder.
"""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import nbformat
from bs4 import BeautifulSoup

from tools.export_html import anchor

HEADING = re.compile(r"^(#{1,4})\s+(.*)", re.MULTILINE)
# a caption's first sentence, or as many as make twenty characters
CAPTION = re.compile(r"^\*\*Figure (\d+)\.\*\*\s+(.{20,}?\.)(?=\s|$)", re.MULTILINE | re.DOTALL)
MAP = re.compile(r"\brubric\b", re.IGNORECASE)
LINK = re.compile(r"\[(.+)\]\(#(.+)\)")
LONGEST = 160  # characters of a printed line that are quoted


@dataclass(frozen=True, eq=False)
class Point:
    """A row of the rubric map: what is asked, and the section that answers."""

    task: str
    points: int
    section: str
    anchor: str
    promised: str


@dataclass(eq=False)
class Section:
    """What a section of the notebook holds as evidence."""

    figures: list = field(default_factory=list)  # (number, first sentence of its caption)
    tables: list = field(default_factory=list)  # their columns
    answers: list = field(default_factory=list)
    printed: list = field(default_factory=list)
    cells: list = field(default_factory=list)  # numbers of its code cells, as nbval counts
    spared: list = field(default_factory=list)  # those whose output nbval does not compare
    calls: set = field(default_factory=set)  # (module, function) of this project


# --- reading the notebook -----------------------------------------------------------------


def rubric(notebook):
    """The rubric's points, from the table under the heading that names the rubric.

    Raises
    ------
    ValueError
        If there is no such table.
    """
    for cell in notebook.cells:
        found = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if found and MAP.search(found[2]):
            rows = [[part.strip() for part in line.strip().strip("|").split("|")]
                    for line in cell.source.splitlines() if line.lstrip().startswith("|")]
            return [_point(row) for row in rows[2:]]
    raise ValueError("The notebook has no rubric map: a Markdown cell whose heading names the "
                     "rubric, with a table of step, points, section (a link) and evidence.")


def _point(row):
    try:
        task, points, link, promised = row
        section, target = LINK.fullmatch(link).groups()
        return Point(task, int(points), section, unquote(target), promised)
    except (ValueError, AttributeError):
        raise ValueError(f"A row of the rubric map cannot be read: {' | '.join(row)!r}. It needs "
                         "step, points, section as [text](#heading), and evidence.") from None


def sections(notebook):
    """What each chapter (a heading of the second level) holds, by the chapter's anchor."""
    found, section, number = {}, Section(), -1
    modules = _modules(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for level, text in HEADING.findall(cell.source):
                if level == "##":
                    section = found.setdefault(anchor(text), Section())
            section.figures += [(int(n), " ".join(text.split())) for n, text in
                                CAPTION.findall(cell.source)]
            section.answers += _answers(cell.source)
        elif cell.cell_type == "code":
            number += 1
            section.cells.append(number)
            if "nbval-ignore-output" in cell.metadata.get("tags", []):
                section.spared.append(number)
            section.calls |= {(modules[name], function) for name, function in
                              re.findall(r"\b(\w+)\.(\w+)\(", cell.source) if name in modules}
            for output in cell.outputs:
                _read_output(output, section)
    return found


def _modules(notebook):
    """The project's modules by the names that the notebook gives them."""
    names = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                names |= {one.asname or one.name: one.name for one in node.names
                          if one.name == "vizutils"}
            elif isinstance(node, ast.ImportFrom) and node.module == "techniques":
                names |= {one.asname or one.name: one.name for one in node.names}
    return names


def _answers(markdown):
    """The paragraphs of a text that begin with **Answer.**, each on one line."""
    paragraphs = (" ".join(text.split()) for text in markdown.split("\n\n"))
    return [text for text in paragraphs if text.startswith("**Answer")]


def _read_output(output, section):
    """Add what one output shows to its section."""
    data = output.get("data", {})
    for table in BeautifulSoup(data.get("text/html", ""), "html.parser").find_all("table"):
        heads = (head.get_text(strip=True) for head in table.select("thead tr:first-child th"))
        section.tables.append([head for head in heads if head])
    section.answers += _answers(data.get("text/markdown", ""))
    if output.get("name") == "stdout":
        lines = (line.strip() for line in output.text.splitlines())
        section.printed += [line if len(line) <= LONGEST else line[:LONGEST] + " …"
                            for line in lines if re.search(r"\d", line)]


# --- reading the checks -------------------------------------------------------------------


def read_checks(path, since):
    """Which tests passed, from pytest's record.

    Parameters
    ----------
    path : path or None
    since : float
        A record older than this time (seconds) says nothing about what is there now.

    Returns
    -------
    dict of str to dict of str to bool
        By file (``lab3_circuit.ipynb``, ``tests/test_kernels.py``) and name; empty if there is
        no record.
    """
    path = Path(path) if path else None
    if path is None or not path.exists() or path.stat().st_mtime < since:
        return {}
    checks = {}
    for case in ElementTree.parse(path).iter("testcase"):
        passed = case.find("failure") is None and case.find("error") is None
        skipped = case.find("skipped") is not None
        checks.setdefault(_file(case.get("classname")), {})[case.get("name")] = (
            passed and not skipped)
    return checks


def _file(dotted):
    """The file that pytest's record means: ``notebooks.x.ipynb``, ``tests.test_y.TestClass``."""
    if dotted.endswith(".ipynb"):
        return dotted.removesuffix(".ipynb").replace(".", "/") + ".ipynb"
    parts = dotted.split(".")
    last = next((i for i, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "/".join(parts[: last + 1]) + ".py"


def tests_of(calls, folder="tests"):
    """The test files that call the functions a section uses, those that call most first.

    Parameters
    ----------
    calls : set of (str, str)
        Module and function.
    folder : path

    Returns
    -------
    dict of str to set of str
        Functions by file. A function belongs to the file named like its module if that calls it,
        else to the one that calls it most often.
    """
    texts = {path.as_posix(): path.read_text("utf-8")
             for path in sorted(Path(folder).glob("test_*.py"))}
    found = {}
    for module, name in calls:
        count = {path: len(re.findall(rf"\b{name}\(", text)) for path, text in texts.items()}
        own = f"{Path(folder).as_posix()}/test_{module}.py"
        best = own if count.get(own) else max(count, key=count.get, default=None)
        if best and count[best]:
            found.setdefault(best, set()).add(name)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


# --- writing ------------------------------------------------------------------------------


def _verdict(results):
    """What became of some checks, in words."""
    failed = [name for name, passed in results.items() if not passed]
    if not results:
        return "not on record"
    if failed:
        return f"**{len(failed)} of {len(results)} did not pass** ({', '.join(failed[:5])})"
    return f"all {len(results)} passed"


def cell_results(section, checks, name):
    """The results of nbval for a section's cells."""
    results = checks.get(name, {})
    return {f"In [{number + 1}]": results[f"Cell {number}"] for number in section.cells
            if f"Cell {number}" in results}


def _count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _numbers(numbers):
    """Numbers as ranges: 4–14, 16."""
    runs = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def _cells(numbers):
    """Code cells by the numbers a reader sees: nbval counts from 0, Jupyter from 1."""
    return f"In [{_numbers([number + 1 for number in numbers])}]"


def _detail(point, section, checks, *, name, page):
    """The part of the sheet about one point, as lines."""
    link = f"[{point.section}]({page}#{quote(point.anchor)})"
    lines = [f"## {point.task} [{point.points} points]", "",
             f"Section {link}; promised: {point.promised}.", ""]
    lines += [f"- [Figure {number}]({page}#figure-{number}): {text}"
              for number, text in section.figures]
    lines += [f"- Table: {', '.join(heads)}" for heads in section.tables]
    lines.append("")
    for answer in section.answers:
        lines += [f"> {answer}", ""]
    if section.printed:
        lines += ["Numbers printed:", "", "```text", *section.printed, "```", ""]
    lines += ["Checks:", "", f"- nbval re-runs `{name}`, {_cells(section.cells)}, and compares "
              f"what they print: {_verdict(cell_results(section, checks, name))}"]
    if section.spared:
        lines.append(f"- run, but not compared (they depend on the machine): "
                     f"{_cells(section.spared)}")
    for path, names in tests_of(section.calls).items():
        called = ", ".join(f"`{one}`" for one in sorted(names))
        lines.append(f"- `{path}` ({called}): {_verdict(checks.get(path, {}))}")
    return [*lines, ""]


def sheet(notebook, checks, *, name, page):
    """The grading sheet.

    Parameters
    ----------
    notebook : NotebookNode
        An executed report.
    checks : dict
        From `read_checks`.
    name, page : str
        The notebook's file, as the checks name it, and its page, as links name it.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ValueError
        If the rubric map is missing, or points at a section that does not exist.
    """
    asked, held = rubric(notebook), sections(notebook)
    for point in asked:
        if point.anchor not in held:
            raise ValueError(f"The rubric map's link #{point.anchor} leads to no chapter; there "
                             f"are {', '.join(held)}.")
    title = next(text for cell in notebook.cells for level, text in HEADING.findall(cell.source)
                 if level == "#")
    source = ("the checks on record are those of `make test`." if checks else
              "no check newer than the notebook and its modules is on record: run `make grade`.")
    lines = [f"# Grading sheet: {title}", "",
             f"Generated from `{name}` by `tools/grade.py`; {source} "
             f"{sum(point.points for point in asked)} points in all.", "",
             "| Rubric point | Points | Section | Evidence | Check |", "|---|---|---|---|---|"]
    for point in asked:
        section = held[point.anchor]
        figures = [number for number, _ in section.figures]
        parts = [f"Figure{'s' * (len(figures) > 1)} {_numbers(figures)}" * bool(figures),
                 _count(len(section.tables), "table"), _count(len(section.answers), "answer")]
        lines.append(f"| {point.task} | {point.points} | [{point.section}]({page}"
                     f"#{quote(point.anchor)}) | {'; '.join(filter(None, parts))} | "
                     f"{_cells(section.cells)}: {_verdict(cell_results(section, checks, name))} |")
    lines.append("")
    for point in asked:
        lines += _detail(point, held[point.anchor], checks, name=name, page=page)
    return "\n".join(lines)


def main(source, folder, checks=None):
    """Write FOLDER/grade.md for the executed notebook `source`."""
    source = Path(source)
    home = source.resolve().parent
    try:
        made = max(path.stat().st_mtime for path in [source, *home.glob("*.py"),
                                                     *home.glob("engine/*.py"),
                                                     *home.glob("techniques/*.py"),
                                                     *home.glob("data/*.py")])
        text = sheet(nbformat.read(source, as_version=4), read_checks(checks, made),
                     name=source.name, page=source.with_suffix(".html").name)
    except (ValueError, OSError) as problem:
        sys.exit(str(problem))
    target = Path(folder, "grade.md")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"wrote {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
