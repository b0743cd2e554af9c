"""The notebooks as they are committed, and the tools that run and show them."""

import base64
import copy
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.execute import execute, picture_in
from tools.export_html import SCRIPT, export

ROOT = Path(__file__).resolve().parents[1]
# by its path: `conftest` alone may mean the one in tests/
_spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)
NOTEBOOKS = sorted([*ROOT.glob("lab3_circuit.ipynb"), *ROOT.glob("notebooks/*.ipynb")])
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vizutils"]

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


DRAW = f"import base64\nfrom IPython.display import Image\nImage(base64.b64decode('{PIXEL}'))"
WARN = "import sys\nprint('kept')\nprint('noise', file=sys.stderr)"


# --- lint: no kernel runs ---------------------------------------------------------------


@pytest.fixture(params=NOTEBOOKS or [None], ids=lambda path: path.name if path else "none")
def path(request):
    if request.param is None:
        pytest.skip("there is no notebook yet")
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts(notebook):
    """Everything a reader sees as text, sources first; pictures inside HTML left out."""
    yield from (cell.source for cell in notebook.cells)
    yield from printed(notebook)


def caption_numbers(text):
    return [int(number) for number in re.findall(r"^\*\*Figure (\d+)\.\*\*", text, re.MULTILINE)]


def code_lines(cell):
    lines = (line.strip() for line in cell.source.splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def test_is_saved_by_restart_and_run_all(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run `make execute`"
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.accelerator == "GPU"


def test_shows_no_error_and_no_warning(notebook):
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]


def test_is_valid_and_its_cells_have_ids_of_their_own(notebook):
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))


def test_is_small(path, notebook):
    assert path.stat().st_size <= 1.5e6  # GitHub shows larger ones unreliably
    lines = [code_lines(cell) for cell in code_cells(notebook)]
    assert statistics.median(lines) <= 8
    assert max(lines) <= 30


def test_every_figure_has_a_caption_and_an_alternative_text(notebook):
    numbers = [n for cell in notebook.cells for n in caption_numbers(cell.source)]
    assert numbers == list(range(1, len(numbers) + 1))
    for cell, below in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        pictures = [o for o in cell.get("outputs", []) if picture_in(o)]
        if pictures:
            assert below and len(caption_numbers(below.source)) >= len(pictures), cell.source
            assert all(o.metadata.get(picture_in(o), {}).get("alt") for o in pictures), cell.source


def test_no_figure_is_shown_by_its_name_alone(notebook):
    """Without pyplot, Jupyter prints a Figure as <Figure size …> and draws nothing."""
    for output in outputs(notebook):
        plain = output.get("data", {}).get("text/plain", "")
        assert picture_in(output) or "<Figure size" not in plain


def test_opens_with_the_badge(path, notebook):
    opening = notebook.cells[0].source
    if ADDRESS["repository"]:
        project = ADDRESS["repository"].removeprefix("https://github.com/")
        place = f"{project}/blob/{ADDRESS['tag']}/{path.relative_to(ROOT).as_posix()}"
        assert f"https://colab.research.google.com/github/{place}" in opening
    else:
        assert opening.startswith("# ")  # nothing where the badge will be
        assert "colab.research.google.com" not in opening


def test_begins_with_the_set_up_cell(notebook):
    assert code_cells(notebook)[0].source == (ROOT / "tools/colab_setup.py").read_text().rstrip()


def test_has_one_parameters_cell(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1


def test_the_report_is_read_in_twenty_minutes():
    """Cells, words, figures and tables, as a reader meets them: a table's plain twin is not met."""
    report = nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4)
    told = [cell.source for cell in report.cells if cell.cell_type == "markdown"]
    shown = [BeautifulSoup(text, "html.parser").get_text(" ") for text in heard(report)]
    tables = [table for output in outputs(report) for table in BeautifulSoup(
        output.get("data", {}).get("text/html", ""), "html.parser").find_all("table")]
    code = [cell.source for cell in code_cells(report)]
    assert len(report.cells) <= 90
    assert sum(len(text.split()) for text in told) <= 3000
    assert sum(len(text.split()) for text in shown) <= 1600
    assert sum(len(caption_numbers(text)) for text in told) <= 15
    assert len(tables) + sum("|---|" in text for text in told) <= 10
    assert max(len(table.select("tbody tr")) for table in tables) <= 12
    assert sum(text.count("#") for text in code) >= sum(map(code_lines, code_cells(report))) / 5


def heard(notebook):
    """What each output says once: HTML before Markdown before plain text; pictures say nothing."""
    for output in outputs(notebook):
        data = output.get("data", {"text/plain": output.get("text", "")})
        if not picture_in(output):
            yield data.get("text/html") or data.get("text/markdown") or data["text/plain"]


def test_names_no_place_of_the_machine_that_ran_it(notebook):
    place = re.compile(r"/(?:work|root|home|tmp|Users|mnt)/|localhost|127\.0\.0\.1|[A-Z]:\\|pypi\.")
    assert not [text for text in texts(notebook) if place.search(text)]


# --- numbers in prose ---------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
# What is not prose: code, folded solutions, addresses, tags, headings, places in the text, years.
NO_PROSE = re.compile(
    r"```.*?```|<details>.*?</details>|`[^`]*`|\]\([^)]*\)|<[^>]+>|^#.*$|^\s*\d+\.\s|"
    r"(?i:figures?|sections?|steps?|companions?|notebooks?)\s+\d+(?:\s*(?:and|to|or|–|,)\s*\d+)*|"
    r"\b(?:19|20)\d\d\b", re.DOTALL | re.MULTILINE)
CITED = re.compile(r"\[\d+\]|arXiv|doi:|\]\(http")


def plain(number):
    return (number.rstrip("0").rstrip(".") if "." in number else number).replace(",", "")


def loose_numbers(notebook):
    """Numbers in prose that no cell prints, no code sets and no source stands beside.

    A small whole number is bound to occur somewhere: what this finds is a result that has
    drifted away from its cell, or was typed in from elsewhere.
    """
    there = {plain(n) for text in [*(cell.source for cell in code_cells(notebook)),
                                   *printed(notebook)]
             for n in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?|\d+", re.sub(r"(?<=\d)_", "", text))}
    return [(number[0], sentence.strip())
            for cell in notebook.cells if cell.cell_type == "markdown"
            for sentence in re.split(r"(?<=\.)\s+|\n\n", cell.source)
            if not CITED.search(sentence)
            for number in NUMBER.finditer(NO_PROSE.sub(" ", sentence))
            if plain(number[0]) not in there]


def printed(notebook):
    """Every text that a cell's output holds, pictures left out."""
    for output in outputs(notebook):
        for kind, text in {"text": output.get("text", ""), **output.get("data", {})}.items():
            if kind.startswith("text"):
                yield re.sub(r"data:[\w/+]+;base64,[\w+/=]+", "", text)


def test_every_number_in_prose_is_printed_or_cited(notebook):
    assert loose_numbers(notebook) == []


@pytest.mark.parametrize(("prose", "loose"), [
    ("The filter keeps 41 % of it.", ["41"]),
    ("The filter keeps 1,234.50 of it.", []),
    ("It was trained on 50,000 pictures [3].", []),
    ("See Figure 41, section 77 and `rate=77`, as in 1998.", []),
    ("First 41 pictures. Then [2] says 77.", ["41"]),
])
def test_a_loose_number_is_found(prose, loose):
    cells = [new_markdown_cell(prose), new_code_cell("print(found)")]
    cells[1].outputs = [new_output("stream", name="stdout", text="kept: 1234.5 and ≈ 3 %\n")]
    assert [number for number, _ in loose_numbers(new_notebook(cells=cells))] == loose


# --- what nbval compares ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reference", "near"),
    [
        ("12.34", "12.34", True),
        ("12.90", "12.34", True),
        ("13.10", "12.34", False),
        ("-0.5", "-0.5", True),
        ("-0.5", "0.5", False),
        ("0.00", "0.01", True),  # rounding alone makes this difference
        ("0.00", "0.02", False),
        ("4,100", "4,224", True),
        ("1.2e-5", "1.3e-5", True),
        ("1.2e-5", "1.2e-4", False),
        ("−3.0", "-3.1", True),  # a minus sign instead of a hyphen
    ],
)
def test_near_numbers(number, reference, near):
    assert rules.is_near(number, reference) is near
    assert rules.is_near(reference, number) is near


def test_settle_changes_only_near_numbers():
    assert rules.settle("a ≈ 1.01, b ≈ 9.0, c 1.01", "a ≈ 1.00, b ≈ 5.0, c 1.00") == (
        "a ≈ 1.00, b ≈ 9.0, c 1.01"
    )
    assert rules.settle("≈ 1.0 ≈ 2.0", "≈ 1.0") == "≈ 1.0 ≈ 2.0"


@pytest.mark.parametrize(("number", "reference", "same"), [
    ("≈ 8 of 16 [4, 12]", "≈ 6 of 16 [2, 10]", True),
    ("≈ 0.21 [0.05, 0.43]", "≈ 0.30 [0.10, 0.50]", True),
    ("≈ -0.1 [-0.3, 0.2]", "≈ −0.2 [−0.4, 0.1]", True),
    ("≈ 1.16 [1.02, 1.31]", "≈ 1.06 [0.99, 1.13]", True),  # 0.10 apart, of √(0.14² + 0.07²)
    ("≈ 8 of 16 [4, 12]", "≈ 13 of 16 [8, 16]", True),  # 5 apart, of √(4² + 5²)
    ("≈ 8 of 16 [4, 12]", "≈ 14 of 16 [10, 16]", False),  # 6 apart, of √(4² + 4²)
    ("≈ 8 of 16 [2, 12]", "≈ 14 of 16 [10, 19]", False),  # the sides that face away do not help
    ("≈ 8 of 16 [8, 8]", "≈ 9 of 16 [9, 9]", False),
    ("≈ 8 of 16 [8, 8]", "≈ 8 of 16 [8, 8]", True),
    ("≈ 4 of 16 [1, 3]", "≈ 2 of 16 [1, 9]", False),  # outside its own interval
    ("≈ 8 of 16 [4, 12]", "≈ 8 of 17 [4, 12]", False),
    ("≈ 8 of 16 [4, 12]", "≈ 8 of 16", False),
    ("≈ 8", "≈ 8 of 16 [4, 12]", False),
    ("≈ 8 of 16", "≈ 5 of 16", False),  # plain numbers keep their rule
    ("8 of 16 [4, 12]", "6 of 16 [2, 10]", False),  # no sign: to the letter
    ("≈ 8 of 16 [4, 12] fooled", "≈ 6 of 16 [2, 10] lost", False),
])
def test_numbers_with_an_interval_differ_as_two_samples_may(number, reference, same):
    assert (rules.Printed(number) == rules.Printed(reference)) is same
    assert (rules.Printed(reference) == rules.Printed(number)) is same


def test_columns_may_be_as_wide_as_their_numbers():
    table = "   fooled\n0     ≈ {}\n1  ≈ 1,000"
    assert rules.Printed(table.format("9.8")) == "   fooled\n0    ≈ 10.0\n1  ≈ 1,000"
    assert rules.Printed("a  b") != "a b"  # no number that varies, no other width


def printed_cell(source, printed):
    cell = new_code_cell(source, execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text=printed)]
    return cell


CASES = {  # name: (what the cell prints, what is committed)
    "equal": ("pooled ≈ 0.52, 9 patches", "pooled ≈ 0.52, 9 patches"),
    "near": ("pooled ≈ 0.52, 9 patches", "pooled ≈ 0.54, 9 patches"),
    "percent": ("≈ 96 % of them", "≈ 94 % of them"),
    "time": ("took 12.3 s and 850 ms", "took 9.8 s and 12 ms"),
    "address": ("<Unit at 0x7f0012ab>", "<Unit at 0x7fffffff>"),
    "path": ("wrote /srv/x/build/a.png", "wrote /opt/me/lab/build/a.png"),
    "far": ("pooled ≈ 0.52, 9 patches", "pooled ≈ 0.60, 9 patches"),
    "integer": ("pooled ≈ 0.52, 9 patches", "pooled ≈ 0.52, 8 patches"),
    "unmarked": ("pooled 0.52", "pooled 0.53"),
    "words": ("≈ 0.52 left", "≈ 0.52 right"),
    "interval": ("≈ 6 of 16 [2, 10] fooled", "≈ 8 of 16 [4, 12] fooled"),
    "outside": ("≈ 2 of 16 [0, 6] fooled", "≈ 8 of 16 [4, 12] fooled"),
}
REFUSED = {"far", "integer", "unmarked", "words", "outside", "other_html"}

# A table as pandas shows it: the same HTML, plain text with other line breaks.
TABLE = r"""
class Table:
    def _repr_mimebundle_(self, **kwargs):
        return {"text/plain": "a \\\n0 ≈ 10.0\nb\n0", "text/html": "<td>≈ 10.0</td>"}
Table()"""


def table_cell(plain, html):
    cell = new_code_cell(TABLE, execution_count=1)
    data = {"text/plain": plain, "text/html": html}
    cell.outputs = [new_output("execute_result", data, execution_count=1)]
    return cell


def nbval_outcomes(folder, *cells):
    """Whether nbval passes each of these cells, all of one notebook: one kernel serves all."""
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    nbformat.write(new_notebook(cells=list(cells)), folder / "checked.ipynb")
    sanitize = ROOT / "tests/nbval_sanitize.cfg"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--nbval",
         "--nbval-current-env", "--nbval-sanitize-with", str(sanitize), "."],
        cwd=folder, capture_output=True, text=True,
        env=os.environ | {"VIZUTILS_FIGURES": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""},
    )  # fmt: skip
    found = {int(cell): said == "PASSED" for said, cell in re.findall(
        r"^(PASSED|FAILED) (?:.*/)?checked\.ipynb::Cell (\d+)", run.stdout, re.MULTILINE)}
    assert sorted(found) == list(range(len(cells))), run.stdout
    return [found[i] for i in range(len(cells))]


def test_nbval_compares_with_tolerance_and_without_stderr(tmp_path):
    cells = {name: printed_cell(f"print({now!r})", f"{committed}\n")
             for name, (now, committed) in CASES.items()}
    cells |= {"noisy": printed_cell(WARN, "kept\n"),
              "wrapped": table_cell("a b\n0 ≈ 9.8", "<td>≈ 9.8</td>"),
              "other_html": table_cell("a b\n0 ≈ 9.8", "<td>≈ 8.0</td>")}
    passed = nbval_outcomes(tmp_path, *cells.values())
    assert {name for name, ok in zip(cells, passed, strict=True) if not ok} == REFUSED


def test_a_changed_number_in_the_report_is_noticed(tmp_path):
    """The first cells of the report as committed, then the last of them with one digit changed."""
    report = code_cells(nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4))
    last = next(i for i, cell in enumerate(report) if "convolution trunk:" in cell.source)
    changed = copy.deepcopy(report[last])
    changed.id = "changed"
    (output,) = changed.outputs
    assert "14,714,688" in output.text
    output.text = output.text.replace("14,714,688", "14,714,689")
    passed = nbval_outcomes(tmp_path, *report[: last + 1], changed)
    assert passed == [True] * (last + 1) + [False]


# --- executing and exporting ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::nbformat.warnings.DuplicateCellId")
def test_execute_leaves_what_is_committed(tmp_path):
    cells = [
        new_markdown_cell("## Part one"),
        new_code_cell(WARN, execution_count=7),
        new_code_cell(DRAW, metadata={"alt": "one grey pixel"}),
    ]
    cells[1].id = cells[2].id = "twice"
    sections = []
    notebook = execute(new_notebook(cells=cells), tmp_path, on_section=sections.append)

    assert sections == ["Part one"]
    test_is_saved_by_restart_and_run_all(notebook)
    test_shows_no_error_and_no_warning(notebook)
    test_is_valid_and_its_cells_have_ids_of_their_own(notebook)
    printed, picture = outputs(notebook)
    assert printed.text == "kept\n"
    assert picture.metadata["image/png"]["alt"] == "one grey pixel"


def test_a_failing_notebook_is_not_saved(tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), tmp_path / "broken.ipynb")
    run = subprocess.run(
        [sys.executable, ROOT / "tools/execute.py", "broken.ipynb", "build/broken.ipynb"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stderr
    assert not (tmp_path / "build").exists()


def outside_requests(page):
    """Whatever in a page would make a browser fetch something (its own script aside)."""
    page = page.replace(f"<script>{SCRIPT}</script>", "", 1)
    return re.findall(
        r"""<(?:script|link|iframe|object|embed|base|video|audio)\b[^>]*>|"""
        r"""\b(?:src|srcset|poster|background)\s*=\s*["']?(?!data:)[^"'\s>]+|"""
        r"""@import[^;]*|url\(\s*["']?(?!data:)[^)]*\)""",
        page,
    )


def test_the_pages_own_script_fetches_nothing():
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\b|WebSocket|sendBeacon", SCRIPT)


def test_the_page_needs_nothing_from_outside(tmp_path):
    """Badges, attachments, files, widgets, scripts and tables: all that a notebook can hold."""
    picture = f"data:image/png;base64,{PIXEL}"
    (tmp_path / "road.png").write_bytes(base64.b64decode(PIXEL))
    badge = "[![Open in Colab](https://x.org/badge.svg)](https://x.org/colab)"
    opening = new_markdown_cell(f"# A circuit\n{badge} and ![the road](road.png)")
    stuck = new_markdown_cell("![stuck on](attachment:a.png)")
    stuck.attachments = {"a.png": {"image/png": PIXEL}}
    shown = [
        {"image/png": PIXEL},
        {"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/plain": "a slider"},
        {"application/javascript": "alert(1)", "text/plain": "a script"},
        {"text/html": f'<script src="https://x.org/a.js"></script><img src="{picture}">'},
        {"text/html": "<table><tr><td>0.25</td></tr></table>"},
    ]
    code = new_code_cell("dashboard", execution_count=1)
    code.outputs = [new_output("display_data", data) for data in shown]
    code.outputs[0].metadata["image/png"] = {"alt": "ten curves"}
    page = export(new_notebook(cells=[opening, stuck, code]), tmp_path)

    assert not outside_requests(page)
    assert "<title>A circuit</title>" in page
    assert '<a href="https://x.org/colab">Open in Colab</a>' in page
    assert page.count(picture) == 4
    assert all(f'alt="{alt}"' in page for alt in ("ten curves", "stuck on", "the road"))
    assert all(text in page for text in ("a slider", "a script", "<td>0.25</td>", "In\xa0[1]"))


def test_the_notebooks_pages_need_nothing_from_outside(path, notebook):
    page = export(notebook, path.parent)
    assert not outside_requests(page)
    pictures = [output for output in outputs(notebook) if picture_in(output)]
    assert len(re.findall('src="data:image/(?:png|jpeg)', page)) >= len(pictures)


def test_report_and_companions_link_to_each_other():
    report = (ROOT / "lab3_circuit.ipynb").read_text()
    for path in NOTEBOOKS:
        if path.parent.name == "notebooks":
            assert f"](notebooks/{path.name})" in report
            assert "](../lab3_circuit.ipynb)" in path.read_text()
