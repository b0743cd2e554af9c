"""The report as a page, the site around it, and the grading sheet: no kernel, no browser."""

import base64
import io
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from engine.style import show_table
from tools import grade, site
from tools.export_html import chapter_numbers, export

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted([ROOT / "lab3_circuit.ipynb", *ROOT.glob("notebooks/*.ipynb")])
CAPTION = re.compile(r"^\*\*Figure (\d+)\.\*\*", re.MULTILINE)


def soup(page):
    return BeautifulSoup(page, "html.parser")


@pytest.fixture(scope="module")
def report():
    return nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4)


@pytest.fixture(scope="module")
def page(report):
    return soup(export(report, ROOT))


def png(colour=0):
    """A picture of 8 px; the brighter ones have other bytes."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def shown(*data, source="draw()", alt="a red square", count=1):
    """A code cell with outputs."""
    cell = new_code_cell(source, execution_count=count)
    for one in data:
        output = new_output("display_data", one)
        if "image/png" in one:
            output.metadata["image/png"] = {"alt": alt}
        cell.outputs.append(output)
    return cell


def text_of(tag):
    return " ".join(tag.get_text().split())


# --- one page: its sections ----------------------------------------------------------------


@pytest.mark.parametrize(("headings", "numbers"), [
    ([(3, "Map"), (2, "Words"), (2, "1. A"), (3, "x"), (3, "y"), (2, "2. B"), (3, "z"), (2, "End")],
     ["", "", "1.", "1.1", "1.2", "2.", "2.1", "3."]),
    ([(2, "A"), (3, "x"), (2, "B")], ["1.", "1.1", "2."]),  # no chapter brings a number: all get
    ([(2, "1. A"), (2, "4. D"), (2, "End")], ["1.", "4.", "5."]),
    ([(2, "1.5 times as much"), (2, "B")], ["1.", "2."]),  # no number of a chapter
    ([], []),
])  # fmt: skip
def test_chapters_keep_their_numbers_and_the_others_get_one(headings, numbers):
    assert chapter_numbers(headings) == numbers


def test_the_contents_are_the_headings(page):
    links = page.select("nav.contents ol a")
    headings = page.find_all(["h2", "h3"])
    assert [text_of(link) for link in links] == [text_of(heading) for heading in headings]
    assert [unquote(link["href"]) for link in links] == [f"#{h['id']}" for h in headings]
    assert len(links) > 8
    assert text_of(links[1]) == "1. The model"


def test_every_name_is_given_once_and_every_link_within_the_page_leads_somewhere(page):
    names = [tag["id"] for tag in page.find_all(id=True)]
    assert len(names) == len(set(names))
    inside = [link["href"] for link in page.find_all("a", href=re.compile("^#"))]
    assert {unquote(address[1:]) for address in inside} <= set(names)


def test_headings_of_the_same_words_have_names_of_their_own():
    again = new_notebook(cells=[new_markdown_cell("# T\n## A\n### Task\n## B\n### Task")])
    headings = soup(export(again, ROOT)).find_all("h3")
    assert [heading["id"] for heading in headings] == ["Task", "Task-2"]


def test_the_rubric_map_is_on_top_and_leads_to_the_chapters(page):
    first = page.find("h2")
    links = [link for link in first.find_previous("table").select("a")
             if not link["href"].startswith(("#figure", "#table"))]
    chapters = {heading["id"] for heading in page.find_all("h2")}
    assert len(links) == 4
    assert {unquote(link["href"][1:]) for link in links} <= chapters


# --- one page: figures, tables, code, links ------------------------------------------------


def test_every_figure_has_its_caption_and_an_alternative_text(report, page):
    written = [n for cell in report.cells for n in CAPTION.findall(cell.source)]
    figures = page.find_all("figure")
    assert [figure["id"] for figure in figures] == [f"figure-{n}" for n in written]
    for figure, number in zip(figures, written, strict=True):
        assert text_of(figure.figcaption).startswith(f"Figure {number}. ")
        assert figure.find("img")["alt"].strip()
    # a thumbnail in a table is named by the cell beside it
    assert all(picture.has_attr("alt") for picture in page.find_all("img"))
    assert all(picture["alt"].strip() for picture in page.select("img:not(td img)"))


def test_two_pictures_of_a_cell_get_a_caption_each_and_other_text_stays():
    below = "**Figure 1.** One.\n\n**Figure 2.** Two, unlike\nFigure 1.\n\nSo much for Figure 2."
    made = soup(export(new_notebook(cells=[
        shown({"image/png": png(1)}, {"image/png": png(2)}), new_markdown_cell(below),
        new_markdown_cell("`Figure 1` and Figure 9, but Figure 1 of the report & <b>Figure 2</b>"),
    ]), ROOT))
    captions = [text_of(caption) for caption in made.find_all("figcaption")]
    assert captions == ["Figure 1. One.", "Figure 2. Two, unlike Figure 1."]
    assert png(1) in made.find(id="figure-1").img["src"]
    linked = [(text_of(link), link["href"]) for link in made.select("main .cell p a:not(strong a)")]
    assert linked == [("Figure 1", "#figure-1"), *[("Figure 2", "#figure-2")] * 2]
    assert "Figure 1 of the report & Figure 2" in text_of(made)
    assert len(made.find_all(class_="text_cell")) == 2


def test_each_of_several_figures_and_references_is_a_link():
    text = ("See Figures 1, 2 and 9 and Table 3 [2, 3].\n\n## Tools and references\n\n"
            "1. A.\n2. B.")
    made = soup(export(new_notebook(cells=[
        shown({"image/png": png(1)}, {"image/png": png(2)}),
        new_markdown_cell("**Figure 1.** One.\n\n**Figure 2.** Two."), new_markdown_cell(text),
    ]), ROOT))
    linked = [(text_of(link), link["href"]) for link in made.select(".text_cell p > a")]
    assert linked == [("1", "#figure-1"), ("2", "#figure-2"), ("2", "#reference-2")]
    assert text_of(made.find(id="reference-2")) == "B."


def test_a_solution_stays_inside_its_box():
    folded = ("1. Try.\n\n<details><summary>One solution</summary>\n\n```python\nx = 1\n```\n\n"
              "So it is.\n\n</details>\n\nNext.")
    made = soup(export(new_notebook(cells=[new_markdown_cell(folded)]), ROOT))
    assert text_of(made.details) == "One solution x = 1 So it is."
    assert "Next." in text_of(made.main) and "Next." not in text_of(made.details)


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.name)
def test_every_solution_is_hidden_until_it_is_asked_for(path):
    made = soup(export(nbformat.read(path, as_version=4), path.parent))
    boxes = made.select("details:not(.code)")
    assert boxes and all(box.find("pre") or len(text_of(box)) > 80 for box in boxes)


def test_the_code_is_folded_and_whole(report, page):
    cells = [cell for cell in report.cells if cell.cell_type == "code"]
    folded = page.find_all("details", class_="code")
    opened = ["shown" in cell.metadata.get("tags", []) for cell in cells]
    assert [fold.has_attr("open") for fold in folded] == opened and 2 <= sum(opened) <= 4
    assert [fold.pre.get_text().strip() for fold in folded] == [c.source.strip() for c in cells]
    assert text_of(folded[0].summary).startswith("In [1] · ")


def test_every_table_lies_in_a_box_of_its_own(page):
    tables = page.find_all("table")
    assert len(tables) > 8
    assert all(table.parent["class"][0] == "table" for table in tables)
    short = [len(table.select("tbody tr")) <= 12 for table in tables]
    assert [table.parent["class"][1:] == ["short"] for table in tables] == short
    assert not page.select("main style")  # pandas brings one for each


def test_a_table_with_a_caption_has_a_name_and_mentions_lead_to_it():
    shown_so = show_table(pd.DataFrame({"<b>": ["x"], "n": [1.5]}), "Table 2. What <it> holds.")
    made = soup(export(new_notebook(cells=[
        shown({"text/html": shown_so._repr_html_(), "text/plain": repr(shown_so)}),
        new_markdown_cell("See Table 2 and Table 3."),
    ]), ROOT))
    box = made.find(id="table-2")
    assert box["class"] == ["table", "short"]
    assert text_of(box.caption) == "Table 2. What <it> holds."
    assert text_of(box.th) == "<b>" and len(box.select("tr")) == 2  # and no count of rows
    assert ["left" in tag["style"] for tag in box.find_all(["th", "td"])] == [True, False] * 2
    assert [link["href"] for link in made.select(".text_cell p a")] == ["#table-2"]


def panels(*found):
    """A figure's output with panels: (name, link) each."""
    made = new_output("display_data", {"image/png": png()})
    made.metadata["image/png"] = {"alt": "a figure", "panels": [
        {key: text for key, text in (("name", name), ("link", link)) if text}
        | {"box": [0.1, 0.2, 0.3, 0.4]} for name, link in found]}
    return made


def test_panels_of_figures_lead_to_each_other():
    cell = new_code_cell("draw()", execution_count=1, outputs=[
        panels((None, "#kernel-3"), (None, "#kernel-4")), panels(("kernel-3", None))])
    made = soup(export(new_notebook(cells=[cell]), ROOT))
    (link,) = made.select("a.panel")  # the other leads nowhere
    assert link["href"] == "#kernel-3" and link["aria-label"] == "kernel 3"
    assert link["style"] == "left: 10.00%; top: 20.00%; width: 30.00%; height: 40.00%"
    assert made.find(id="kernel-3").parent.img["alt"] == "a figure"


def test_the_circuit_sheet_leads_to_each_channels_picture_and_kernel(page):
    sheet = page.find(id="circuit").find_parent("figure")
    assert "circuit" in text_of(sheet.figcaption)
    led = [link["href"].removeprefix("#") for link in sheet.select("a.panel")]
    assert len(led) == len(set(led)) == 20
    for name in led:
        assert page.find(id=name)["href"] == "#circuit"  # and back
        target = page.find(id=name).find_parent("figure")
        assert ("kernels" if "kernel" in name else "upstream") in text_of(target.figcaption)


def test_a_table_of_many_columns_may_break_names_and_numbers_stand_right():
    heads = "".join(f"<th>block{i}_conv1</th>" for i in range(12))
    cells = "<td>≈ 1,234.5</td><td>-0.5</td><td>5 %</td><td>10 of 12</td><td>block1</td>"
    table = (f'<table class="dataframe"><thead><tr>{heads}</tr></thead>'
             f"<tbody><tr>{cells}</tr></tbody></table>")
    made = soup(export(new_notebook(cells=[shown({"text/html": table})]), ROOT))
    assert text_of(made.th) == "block0_conv1"
    assert made.th.wbr
    assert ["quantity" in cell.get("class", []) for cell in made.find_all("td")] == [
        True, True, True, False, False]


def test_a_page_that_stands_alone_has_no_link_to_a_file(page):
    addresses = [link["href"] for link in page.find_all("a", href=True)]
    assert all(address.startswith(("#", "https://")) for address in addresses)
    assert not page.find_all(["link", "iframe"])
    (script,) = page.find_all("script")
    assert not script.attrs and "http" not in script.text and "import" not in script.text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_text_needs_a_script_to_set_its_formulas(path):
    """The pages set no TeX: formulas are written in characters."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.DOTALL)
            assert not re.search(r"\$[^$\n]+\$|\\\(|\\\[|\\begin\{", prose), cell.source


# --- the grading sheet ---------------------------------------------------------------------


MAP = """### Where the rubric's points are

| Step | Points | Section | Evidence |
|---|---|---|---|
| 1. Choose | 3 | [1. The model](#1.-The-model-[3-points]) | a table |
| 2. Find | 4 | [2. The filter](#2.-The-filter-[4-points]) | a picture |
"""


def tiny_report(rubric=MAP):
    said = shown({"text/markdown": "**Answer.** It names 16 of 20."}, count=3)
    said.outputs.append(new_output("stream", text="no number\ncosine ≈ 0.97\n" + "7" * 300))
    frame = {"text/html": "<table><thead><tr><th></th><th>layer</th></tr></thead></table>"}
    drawn = shown({"image/png": png()}, source="claims.judge(vz.absent()); table.drop(1)", count=4)
    drawn.metadata["tags"] = ["nbval-ignore-output"]
    return new_notebook(cells=[
        new_markdown_cell("# Tiny\n\n**Abstract.** A *net* at 0.5 px. More."),
        new_markdown_cell(rubric),
        new_code_cell("import vizutils as vz\nfrom techniques import claims", execution_count=1),
        new_markdown_cell("## 1. The model [3 points]"),
        shown(frame, source="vz.rank_kernels(1)", count=2), said,
        new_markdown_cell("## 2. The filter [4 points]\n### Its picture"),
        drawn,
        new_markdown_cell("**Figure 1.** Red, or\nnearly: a small square. And more."),
        new_markdown_cell("**Answer.** By hand."),
    ])


KERNEL_TESTS = """import vizutils as vz
ALL = [vz.rank_kernels, vz.kernels]
def ranked(net): return vz.rank_kernels(net)
@pytest.fixture
def ranking(tiny): return ranked(tiny)
class TestA:
    def test_one(self, ranking): pass
def test_two(): ranked(1)
def test_two_again():
    # vz.rank_kernels(1) is spoken of only
    net.rank_kernels(1), "vz.rank_kernels(1)", monkeypatch.setattr(vz, "rank_kernels", 1)
@pytest.mark.parametrize("function", ALL)
def test_two_of_a_list(function): function(1)
"""
OTHER_TESTS = """import vizutils as vz
from techniques import circuits as claims
def rank_kernels(net): pass
def judge(net): pass
class Board:
    def absent(self): pass
def test_a(): rank_kernels(1); judge(1); Board().absent(); claims.judge(1)
def test_b(): judge(2); page.absent(1)
def test_c(vz): vz.absent(1)
def test_d():
    vz = Board()
    vz.absent()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with everything that the site may show."""
    monkeypatch.chdir(tmp_path)
    nbformat.write(tiny_report(), "lab3_circuit.ipynb")
    Path("vizutils.py").touch()  # the grading sheet asks how old the modules are
    Path("notebooks").mkdir()
    there = "../lab3_circuit.ipynb#1.-The-model-[3-points]"
    links = (f"# Companion\n\nIt asks. See [the report]({there}), [two](2_b.ipynb), "
             "[data](../data/README.md) and [web](https://x.org/a.ipynb).")
    for name in ("1_a", "2_b"):
        nbformat.write(new_notebook(cells=[new_markdown_cell(links), shown({"image/png": png()}),
                                           new_markdown_cell("**Figure 1.** A.")]),
                       f"notebooks/{name}.ipynb")
    Path("notebooks/draft.ipynb").write_text("not numbered, so not a companion")
    Path("tests").mkdir()
    Path("tests/test_kernels.py").write_text(KERNEL_TESTS)
    Path("tests/test_other.py").write_text(OTHER_TESTS)
    Path("tests/test_claims.py").write_text(
        "from techniques.claims import judge\ndef test_three(): judge(1)\n")
    return tmp_path


def add_by_products(project):
    """An atlas sheet and reports on other filters."""
    home = project / "build/atlas/vgg16_block1_conv1_abc"
    home.mkdir(parents=True)
    (home / "sheet.png").write_bytes(base64.b64decode(png()))
    (home / "index.json").write_text(json.dumps(
        {"made_by": {"network": "vgg16", "layer": "block1_conv1", "size": 48},
         "filters": {"0": {}, "1": {}}}))
    least = project / "build/atlas/vgg16_block1_conv1_def"
    least.mkdir()
    (least / "sheet.png").write_bytes(base64.b64decode(png()))
    (least / "index.json").write_text(json.dumps(
        {"made_by": {"network": "vgg16", "layer": "block1_conv1", "size": 48, "sign": -1},
         "filters": {"0": {}}}))
    (project / "build/atlas/begun").mkdir()
    other = project / "build/reports"
    other.mkdir(parents=True)
    (other / "index.html").write_text('<main><p>2 filters.</p><a href="a.html">a</a>'
                                      '<a href="b_failed.ipynb">b</a></main>')
    (other / "a.html").write_text("<main><h1>a</h1></main>")
    (other / "b_failed.ipynb").write_text("{}")


def test_the_sheet_says_what_the_notebook_shows(project):
    sheet = grade.sheet(tiny_report(), {}, name="r.ipynb", page="r.html")
    assert "7 points in all" in sheet
    one, two = sheet.split("\n## ")[1:]
    assert one.startswith("1. Choose [3 points]")
    assert all(said in one for said in (
        "promised: a table.", "- Table: layer", "> **Answer.** It names 16 of 20.",
        "\ncosine ≈ 0.97\n", "`r.ipynb`, In [2–3]",
        "`tests/test_kernels.py`, tests that call `rank_kernels`: not on record"))
    assert "no number" not in one
    assert max(map(len, one.splitlines())) < 200
    assert all(said in two for said in (
        "- [Figure 1](r.html#figure-1): Red, or nearly: a small square.\n",
        "> **Answer.** By hand.", "not compared (they depend on the machine): In [4]",
        "`tests/test_claims.py`, tests that call `judge`: not on record",
        "- no test calls `absent` by name"))
    assert "drop" not in two  # no function of this project


RECORD = """<testsuites><testsuite>
<testcase classname="r.ipynb" name="Cell 0"/><testcase classname="r.ipynb" name="Cell 1"/>
<testcase classname="r.ipynb" name="Cell 2"/>
<testcase classname="r.ipynb" name="Cell 3"><failure/></testcase>
<testcase classname="notebooks.n.ipynb" name="Cell 2"><failure/></testcase>
<testcase classname="tests.test_kernels.TestA" name="test_one"/>
<testcase classname="tests.test_kernels" name="test_two"/>
<testcase classname="tests.test_kernels" name="test_two_again"><failure/></testcase>
<testcase classname="tests.test_kernels" name="test_two_of_a_list[a]"/>
<testcase classname="tests.test_kernels" name="test_two_of_a_list[b]">
<skipped type="pytest.skip" message="minutes: make test-long"/></testcase>
<testcase classname="tests.test_claims" name="test_three">
<skipped type="pytest.skip" message="minutes: make test-long"/></testcase>
</testsuite></testsuites>"""


def test_the_sheet_says_what_became_of_checks_and_only_newer_ones_count(project):
    Path("checks.xml").write_text(RECORD)
    checks = grade.read_checks("checks.xml", since=0)
    sheet = grade.sheet(tiny_report(), checks, name="r.ipynb", page="r.html")
    assert "In [2–3]: all 2 passed" in sheet
    assert "In [4]: **1 of 1 failed** (In [4])" in sheet
    assert ("`tests/test_kernels.py`, tests that call `rank_kernels`: 3 of 4 passed, "
            "1 of 4 kept for later (minutes: make test-long)\n") in sheet
    assert ("`tests/test_claims.py`, tests that call `judge`: 1 of 1 kept for later "
            "(minutes: make test-long)\n") in sheet
    assert grade.read_checks("checks.xml", since=Path("checks.xml").stat().st_mtime + 1) == {}
    assert grade.read_checks("nowhere.xml", since=0) == {}
    assert "run `make grade`" in grade.sheet(tiny_report(), {}, name="r.ipynb", page="r.html")


def one_case(inside="", name="test_two", classname="tests.test_kernels"):
    return f'<testcase classname="{classname}" name="{name}">{inside}</testcase>'


LATER = '<skipped type="pytest.skip" message="minutes"/>'


@pytest.mark.parametrize(("cases", "said"), [
    (one_case(), "1 of 3 passed, 2 of 3 not on record"),
    (one_case("<failure/>"), "**1 of 3 failed** (test_two), 2 of 3 not on record"),
    (one_case("<error/>"), "**1 of 3 failed** (test_two), 2 of 3 not on record"),
    (one_case() + one_case("<error/>"), "**1 of 3 failed** (test_two), 2 of 3 not on record"),
    (one_case("<error/>") + one_case(), "**1 of 3 failed** (test_two), 2 of 3 not on record"),
    (one_case(LATER), "1 of 3 kept for later (minutes), 2 of 3 not on record"),
    # nbval's cells after a dead kernel
    (one_case('<skipped type="pytest.xfail"/>'),
     "**1 of 3 failed** (test_two), 2 of 3 not on record"),
    (one_case(LATER) + one_case(LATER, "test_two_of_a_list[a]") + one_case(
        LATER, "test_one", "tests.test_kernels.TestA"), "all 3 kept for later (minutes)"),
    # a namesake in another class, and one that calls nothing
    (one_case("<failure/>", "test_one", "tests.test_kernels.TestB")
     + one_case("<failure/>", "test_two_again"), "not on record"),
    (one_case("<error/>", "tests.test_kernels", ""), "**1 of 1 failed** (import of the file)"),
    ("", "not on record"),
])
def test_each_state_of_a_check_is_told_as_what_it_is(project, cases, said):
    Path("checks.xml").write_text(f"<testsuite>{cases}</testsuite>")
    sheet = grade.sheet(tiny_report(), grade.read_checks("checks.xml", since=0), name="r.ipynb",
                        page="r.html")
    (line,) = re.findall(r"`tests/test_kernels.py`, tests that call `rank_kernels`: (.*)", sheet)
    assert line == said


def test_a_record_cut_short_is_said(project):
    Path("checks.xml").write_text(RECORD[:300])
    with pytest.raises(ValueError, match="no whole record of pytest's .*run `make test` again"):
        grade.read_checks("checks.xml", since=0)


def test_the_reports_answers_are_credited_with_no_test_of_a_namesake():
    """Methods of that name in other tests are another thing."""
    credited = grade.tests_of({("vizutils", "answer")}, ROOT / "tests")
    (functions, tests), = credited.values()
    assert functions == {("vizutils", "answer")}
    assert tests == {"test_an_answer_is_set_off_as_one"}


@pytest.mark.parametrize(("rubric", "said"), [
    ("### Steps", "no rubric map"),
    (MAP.replace("| 4 |", "| four |"), "cannot be read: '2. Find"),
    (MAP.replace("[2. The filter](", "2. The filter ("), "cannot be read"),
    (MAP.replace("#2.-The", "#2.-A"), "leads to no chapter; there are 1.-The-model"),
])
def test_a_rubric_map_that_cannot_be_read_is_refused_in_a_sentence(rubric, said):
    with pytest.raises(ValueError, match=said):
        grade.sheet(tiny_report(rubric), {}, name="r.ipynb", page="r.html")


def test_each_point_of_the_report_has_its_two_best_pieces_of_evidence_first(report, page):
    sheet = grade.sheet(report, {}, name="lab3_circuit.ipynb", page="p.html")
    parts = sheet.split("\n## ")[1:]
    assert len(parts) == 4
    for part in parts:
        best = part.partition("Best evidence:\n\n")[2].partition("\n\nThen:")[0].splitlines()
        assert len(best) == 2
        for line in best:
            name = re.match(r"- \[\w+ \d+\]\(p\.html#([a-z]+-\d+)\): .{12}", line)[1]
            assert page.find(id=name), name
            assert part.count(line) == 1 and part.index("> **Answer.**") > part.index(line)


def test_the_reports_sheet_has_every_point_and_leads_to_sections_and_figures(report, page):
    sheet = grade.sheet(report, {}, name="lab3_circuit.ipynb", page="lab3_circuit.html")
    rows = [cell.source for cell in report.cells if "### Where the rubric" in cell.source]
    points = re.findall(r"^\| (\d\. [^|]+) \| (\d) \|", rows[0], re.MULTILINE)
    assert len(points) == 4
    for task, worth in points:
        assert f"## {task} [{worth} points]" in sheet
    names = {tag["id"] for tag in page.find_all(id=True)}
    asked = [unquote(n) for n in re.findall(r"\(lab3_circuit\.html#([^)]+)\)", sheet)]
    assert len(asked) > 18
    assert set(asked) <= names
    for part in sheet.split("\n## ")[1:]:
        assert "> **Answer.**" in part
        assert "- [Figure " in part
        assert "`tests/test_" in part


# --- the site ------------------------------------------------------------------------------


def targets(folder):
    """Every link and picture of the site's pages that is not on the web, with where it leads."""
    for path in folder.rglob("*.html"):
        made = soup(path.read_text())
        for tag in made.find_all(["a", "img"]):
            address = tag.get("href") or tag.get("src") or ""
            if not address.startswith(("https://", "data:")):
                parts = urlsplit(address)
                yield (path.parent / unquote(parts.path) if parts.path else path), parts.fragment


def test_every_link_between_the_sites_pages_leads_somewhere(project):
    add_by_products(project)
    folder = project / "build/site"
    index = site.build(project, folder)
    found = list(targets(folder))
    assert len(found) > 25
    for target, name in found:
        assert target.exists(), target
        if name:
            assert soup(target.read_text()).find(id=unquote(name)), (target, name)

    cards = soup(index.read_text()).select(".cards > li")
    assert [card.h2.a["href"] for card in cards] == [
        "lab3_circuit.html", "notebooks/1_a.html", "notebooks/2_b.html", "grade.html", "atlas.html",
        "reports/index.html"]
    assert [text_of(card.p) for card in cards[:2]] == ["A net at 0.5 px.", "It asks."]
    assert all(card.p.get_text() for card in cards)
    atlases = (folder / "atlas.html").read_text()
    assert "2 filters of vgg16, block1_conv1, 48 px" in atlases
    assert "1 filters of vgg16, block1_conv1, what excites least, 48 px" in atlases


def test_the_explorer_is_on_the_site_where_it_has_been_made(project):
    add_by_products(project)
    home = project / "build/explorer"
    (home / "data").mkdir(parents=True)
    (home / "index.html").write_text(
        f'<title>vgg16: every filter</title>{site.EXPLORER_NAV}<a href="#">all layers</a></nav>')
    index = {"network": "vgg16", "layers": [
        {"name": "block1_conv1", "reads": None}, {"name": "block3_conv1", "reads": "block2_conv2"},
        {"name": "block3_conv2", "reads": "block3_conv1"}]}
    (home / "data/index.js").write_text(f'explorer.add("index",{json.dumps(index)});\n')
    path = project / "lab3_circuit.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(1, new_code_cell('LAYER, FILTER = "block3_conv2", 17',
                                           metadata={"tags": ["parameters"]}))
    notebook.cells.append(new_code_cell("circuit", execution_count=9, outputs=[
        panels((None, "#channel-60"), (None, "#kernel-60")), panels(("kernel-60", "#circuit"))]))
    nbformat.write(notebook, path)
    folder = project / "out"
    index = soup(site.build(project, folder).read_text())
    assert index.select(".cards > li h2 a")[-1]["href"] == "explorer/index.html"
    assert (folder / "explorer/data/index.js").exists()
    assert soup((folder / "explorer/index.html").read_text()).a["href"] == "../index.html"
    address = "explorer/index.html#vgg16/block3_conv2/17"
    made = soup((folder / "lab3_circuit.html").read_text())
    assert made.select("h1 + p a")[0]["href"] == address
    channel, kernel = made.select("a.panel")
    assert channel["href"] == "explorer/index.html#vgg16/block3_conv1/60"
    assert channel["aria-label"] == "channel 60 in the explorer"
    assert kernel["href"] == "#kernel-60"  # stays on the page
    assert soup((folder / "atlas.html").read_text()).find(
        href="explorer/index.html#vgg16/block1_conv1")


def test_links_to_notebooks_lead_to_their_pages_and_those_to_other_files_go(project):
    site.build(project, project / "out")
    made = soup((project / "out/notebooks/1_a.html").read_text())
    links = {text_of(link): link["href"] for link in made.select(".cell p:not(figcaption p) a")}
    assert links == {"the report": "../lab3_circuit.html#1.-The-model-%5B3-points%5D",
                     "two": "2_b.html", "web": "https://x.org/a.ipynb"}
    assert "data" in text_of(made)
    assert made.find("a", class_="home")["href"] == "../index.html"
    turns = [(text_of(link), link["href"]) for link in made.select(".turn a")]
    assert turns == [("← Tiny", "../lab3_circuit.html"), ("Companion →", "2_b.html")]


def test_what_has_not_been_made_has_no_card(project):
    addresses = [card.a["href"] for card in
                 soup(site.build(project, project / "out").read_text()).select(".cards > li h2")]
    assert addresses == ["lab3_circuit.html", "notebooks/1_a.html", "notebooks/2_b.html",
                         "grade.html"]
    assert not [path for path in (project / "out").rglob("*") if "draft" in path.name]


def test_the_sites_sheet_takes_the_record_of_the_checks(project):
    (project / "build").mkdir()
    Path(site.CHECKS).write_text(RECORD.replace('"r.ipynb"', '"lab3_circuit.ipynb"'))
    os.utime("lab3_circuit.ipynb", (0, 0))  # older than its checks
    site.build(project, project / "out")
    assert "In [2–3]: all 2 passed" in text_of(soup((project / "out/grade.html").read_text()))
    later = Path(site.CHECKS).stat().st_mtime + 10
    Path("vizutils.py").write_text("")
    os.utime("vizutils.py", (later, later))  # changed since
    site.build(project, project / "out")
    assert "In [2–3]: not on record" in text_of(soup((project / "out/grade.html").read_text()))


def test_no_project_no_site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run make from the folder"):
        site.main("out")
