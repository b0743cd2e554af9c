"""Write the grading sheet of an executed report: where each point of the rubric is earned.

    python tools/grade.py NOTEBOOK FOLDER [CHECKS]

FOLDER/grade.md is read from the notebook alone: its rubric map, its headings, captions, answers
and printed lines. CHECKS is the record that `make test` has pytest keep
(``--junitxml=build/checks.xml``); without it, or with one older than the notebook, a module or
a test, the sheet says that nothing is on record. What became of a check is one of four: passed,
failed, kept for later (pytest skipped it, for the reason given), or not on record. Links lead to
the report's page in the same folder.
"""

import ast
import functools
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import nbformat
from bs4 import BeautifulSoup

from tools.export_html import anchor
from tools.modules import modules

HEADING = re.compile(r"^(#{1,4})\s+(.*)", re.MULTILINE)
# a caption's first sentence, or as many as make twenty characters
CAPTION = re.compile(r"^\*\*Figure (\d+)\.\*\*\s+(.{20,}?\.)(?=\s|$)", re.MULTILINE | re.DOTALL)
MAP = re.compile(r"\brubric\b", re.IGNORECASE)
LINK = re.compile(r"\[(.+)\]\(#(.+)\)")
TABLE = re.compile(r"Table (\d+)\.\s+(.+)")
BEST = "evidence"  #: tag of a cell that holds one of a point's two best pieces of evidence
LONGEST = 160  # characters of a printed line that are quoted
PACKAGE = "techniques."
IMPORT = "import of the file"  # the check that fails if none of its tests can be run


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
    tables: list = field(default_factory=list)  # (number, caption, columns); no number: None, ""
    best: list = field(default_factory=list)  # of these: ("figure", number), ("table", number)
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
    names = _imported([ast.parse(cell.source) for cell in notebook.cells
                       if cell.cell_type == "code"])
    before = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for level, text in HEADING.findall(cell.source):
                if level == "##":
                    section = found.setdefault(anchor(text), Section())
            if before is not None and BEST in before.metadata.get("tags", []):
                section.best += [("figure", int(n)) for n, _ in CAPTION.findall(cell.source)]
            section.figures += [(int(n), " ".join(text.split())) for n, text in
                                CAPTION.findall(cell.source)]
            section.answers += _answers(cell.source)
        elif cell.cell_type == "code":
            number += 1
            section.cells.append(number)
            if "nbval-ignore-output" in cell.metadata.get("tags", []):
                section.spared.append(number)
            section.calls |= _calls(ast.parse(cell.source), names)
            for output in cell.outputs:
                _read_output(output, section, best=BEST in cell.metadata.get("tags", []))
        before = cell
    return found


def _imported(trees):
    """The project's modules and functions by the names that some code gives them.

    Returns
    -------
    dict of str to tuple
        ``("vizutils",)`` for a module, ``("vizutils", "answer")`` for what comes from one.
    """
    names = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            names |= {one.asname or one.name: (one.name.split(".")[-1],) for one in node.names
                      if one.name == "vizutils" or one.asname and one.name.startswith(PACKAGE)}
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.strip("."):
            names |= {one.asname or one.name: (one.name,) for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "vizutils" or node.module.startswith(PACKAGE):
                names |= {one.asname or one.name: (node.module.split(".")[-1], one.name)
                          for one in node.names}
    return names


def _calls(tree, names, *, named=False):
    """The project's functions, as (module, function), that some code calls.

    Parameters
    ----------
    tree : ast.AST
    names : dict
        From `_imported`. A name that the code binds itself (an argument, a variable) is another.
    named : bool
        Those that are only named count too: functions in a list are there to be called.
    """
    inside = list(ast.walk(tree))
    bound = {node.arg for node in inside if isinstance(node, ast.arg)}
    bound |= {node.id for node in inside
              if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    found = set()
    for node in inside if named else (x.func for x in inside if isinstance(x, ast.Call)):
        module = node.value if isinstance(node, ast.Attribute) else node
        if isinstance(module, ast.Name) and module.id not in bound:
            place = names.get(module.id, ()) + ((node.attr,) if module is not node else ())
            found |= {place} if len(place) == 2 else set()
    return found


def _answers(markdown):
    """The paragraphs of a text that begin with **Answer.**, each on one line."""
    paragraphs = (" ".join(text.split()) for text in markdown.split("\n\n"))
    return [text for text in paragraphs if text.startswith("**Answer")]


def _read_output(output, section, *, best):
    """Add what one output shows to its section; `best` if it is among the best evidence."""
    data = output.get("data", {})
    for table in BeautifulSoup(data.get("text/html", ""), "html.parser").find_all("table"):
        heads = (head.get_text(strip=True) for head in table.select("thead tr:first-child th"))
        named = TABLE.match(table.caption.get_text()) if table.caption else None
        number, caption = (int(named[1]), named[2]) if named else (None, "")
        section.tables.append((number, caption, [head for head in heads if head]))
        if best and number:
            section.best.append(("table", number))
    section.answers += _answers(data.get("text/markdown", ""))
    if output.get("name") == "stdout":
        lines = (line.strip() for line in output.text.splitlines())
        section.printed += [line if len(line) <= LONGEST else line[:LONGEST] + " …"
                            for line in lines if re.search(r"\d", line)]


# --- reading the checks -------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What became of a check: "passed", "failed", or "kept for later" and why."""

    state: str
    reason: str = ""


def read_checks(path, since):
    """What became of the tests, from pytest's record.

    Parameters
    ----------
    path : path or None
    since : float
        A record older than this time (seconds) says nothing about what is there now.

    Returns
    -------
    dict of str to dict of str to Check
        By file (``lab3_circuit.ipynb``, ``tests/test_kernels.py``) and name (``Cell 3``,
        ``test_a``, ``TestClass.test_a[1]``); empty if there is no record.

    Raises
    ------
    ValueError
        If the record is cut short.
    """
    path = Path(path) if path else None
    if path is None or not path.exists() or path.stat().st_mtime < since:
        return {}
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except ElementTree.ParseError as problem:
        raise ValueError(f"{path} is no whole record of pytest's ({problem}): run `make test` "
                         "again.") from problem
    checks = {}
    for case in cases:
        # a file that cannot be imported is a case without a class, named like the file
        dotted, name = case.get("classname") or case.get("name"), case.get("name")
        file, group = _place(dotted)
        check, name = _check(case), IMPORT if name == dotted else ".".join([*group, name])
        known = checks.setdefault(file, {})
        if name not in known or check.state == "failed":  # a fault in its tear-down comes twice
            known[name] = check
    return checks


def _check(case):
    """What one case of pytest's record says."""
    skipped = case.find("skipped")
    # one that fails as expected is "skipped" in the record: nbval's cells after a dead kernel
    if (case.find("failure") is not None or case.find("error") is not None
            or skipped is not None and skipped.get("type") == "pytest.xfail"):
        return Check("failed")
    if skipped is not None:
        return Check("kept for later", skipped.get("message") or "no reason given")
    return Check("passed")


def _place(dotted):
    """The file that pytest's record means, and the classes inside it.

    ``notebooks.x.ipynb``, ``tests.test_y.TestClass``.
    """
    if dotted.endswith(".ipynb"):
        return dotted.removesuffix(".ipynb").replace(".", "/") + ".ipynb", []
    parts = dotted.split(".")
    last = next((i for i, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "/".join(parts[: last + 1]) + ".py", parts[last + 1:]


def tests_of(calls, folder="tests"):
    """The tests that call the functions a section uses, file by file.

    Parameters
    ----------
    calls : set of (str, str)
        Module and function.
    folder : path

    Returns
    -------
    dict of str to (set of (str, str), set of str)
        By file: functions, and names of the tests that call any of them. A function belongs to
        the file named like its module if that calls it, else to the one whose tests call it most
        often. Files with most functions come first.
    """
    known = {path.as_posix(): exercised(path.read_text(encoding="utf-8"))
             for path in sorted(Path(folder).glob("test_*.py"))}
    found = {}
    for called in sorted(calls):
        tests = {path: {test for test, used in of.items() if called in used}
                 for path, of in known.items()}
        own = f"{Path(folder).as_posix()}/test_{called[0]}.py"
        best = own if tests.get(own) else max(tests, key=lambda path: len(tests[path]),
                                              default=None)
        if best and tests[best]:
            functions, callers = found.setdefault(best, (set(), set()))
            functions.add(called)
            callers |= tests[best]
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1][0]), pair[0])))


@functools.cache  # each rubric point asks about all files
def exercised(source):
    """Which of the project's functions each test of a file calls.

    Parameters
    ----------
    source : str
        The file's text.

    Returns
    -------
    dict of str to set of (str, str)
        Module and function, by test (``test_a``, ``TestClass.test_b``). What a test calls by way
        of the file's own helpers and fixtures counts, and functions named in the lists it is
        parametrised with; a method or a helper that has a function's name does not.
    """
    tree = ast.parse(source)
    names = _imported([tree])
    parts = {}  # what stands in the file by name: calls, and the names of others it uses
    tests = {}
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else []
        _part(node, names, parts)
        for one in [node, *inner]:
            if isinstance(one, ast.FunctionDef) and one.name.startswith("test"):
                _part(one, names, parts)
                tests[one.name if one is node else f"{node.name}.{one.name}"] = one.name
    return {test: _reached(name, parts) for test, name in tests.items()}


def _part(node, names, parts):
    """Note what a statement of a test file calls and uses, under each name it defines."""
    uses = {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}
    if isinstance(node, ast.FunctionDef):
        uses |= {argument.arg for argument in node.args.args}  # fixtures
        found = _calls(node, names)
        for decorator in node.decorator_list:
            found |= _calls(decorator, names, named=True)
        parts[node.name] = found, uses
    elif isinstance(node, ast.ClassDef):
        parts[node.name] = _calls(node, names), uses
    elif isinstance(node, ast.Assign):
        for target in (x.id for one in node.targets for x in ast.walk(one)
                       if isinstance(x, ast.Name)):
            parts[target] = _calls(node.value, names, named=True), uses


def _reached(name, parts):
    """What a test calls itself and by way of what it uses."""
    found, seen, left = set(), set(), [name]
    while left:
        one = left.pop()
        if one in parts and one not in seen:
            seen.add(one)
            found |= parts[one][0]
            left += parts[one][1]
    return found


# --- writing ------------------------------------------------------------------------------


def _verdict(results):
    """What became of some checks, in words and counts.

    Parameters
    ----------
    results : dict of str to Check or None
        None for one that is not on record.
    """
    states = {name: ("not on record", "") if check is None else (check.state, check.reason)
              for name, check in results.items()}
    counts, of = Counter(states.values()), len(results)
    parts = []
    for state in ("failed", "passed", "kept for later", "not on record"):
        for (found, reason), count in sorted(counts.items()):
            if found == state:
                said = state if not reason else f"{state} ({reason})"
                parts.append(f"all {of} {said}" if count == of > 1 else f"{count} of {of} {said}")
    if set(counts) <= {("not on record", "")}:
        return "not on record"
    failed = [name for name, (state, _) in states.items() if state == "failed"]
    if failed:
        parts[0] = f"**{parts[0]}** ({', '.join(failed[:5])}{', …' * (len(failed) > 5)})"
    return ", ".join(parts)


def cell_results(section, checks, name):
    """What became of a section's cells under nbval; None for one that is not on record."""
    results = checks.get(name, {})
    return {f"In [{number + 1}]": results.get(f"Cell {number}") for number in section.cells}


def test_results(tests, results):
    """What became of some tests, each with its parameters; None for one not on record."""
    found = {}
    for test in sorted(tests):
        cases = {name: check for name, check in results.items()
                 if name.partition("[")[0] in (test, IMPORT)}
        found |= cases or {test: None}
    return found


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


def _listed(functions):
    return ", ".join(f"`{name}`" for name in sorted(name for _, name in functions))


def _detail(point, section, checks, *, name, page):
    """The part of the sheet about one point, as lines."""
    link = f"[{point.section}]({page}#{quote(point.anchor)})"
    lines = [f"## {point.task} [{point.points} points]", "",
             f"Section {link}; promised: {point.promised}.", ""]
    said = {("figure", number): f"- [Figure {number}]({page}#figure-{number}): {text}"
            for number, text in section.figures}
    said |= {("table", number): f"- [Table {number}]({page}#table-{number}): {caption} "
             f"(columns: {', '.join(heads)})"
             for number, caption, heads in section.tables if number}
    if section.best:
        lines += ["Best evidence:", "", *(said[one] for one in section.best), "", "Then:", ""]
    lines += [text for one, text in said.items() if one not in section.best]
    lines += [f"- Table: {', '.join(heads)}" for number, _, heads in section.tables if not number]
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
    credited = tests_of(section.calls)
    for path, (called, tests) in credited.items():
        lines.append(f"- `{path}`, tests that call {_listed(called)}: "
                     f"{_verdict(test_results(tests, checks.get(path, {})))}")
    alone = section.calls.difference(*(called for called, _ in credited.values()))
    if alone:
        lines.append(f"- no test calls {_listed(alone)} by name")
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
        made = max(path.stat().st_mtime for path in [
            source, *home.glob("*.py"), *home.rglob("tests/*.py"), *modules(home)])
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
