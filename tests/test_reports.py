"""Reports on other filters: one (`tools/report.py`) and many (`tools/reports.py`)."""

import re
import subprocess
from pathlib import Path

import keras
import nbformat
import pytest
from distributed import LocalCluster
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conftest import classifier
from tools import report, reports
from tools.export_html import SCRIPT

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = """NETWORK, WEIGHTS = "vgg16", "packaged"
LAYER, FILTER = "block3_conv2", 17
PROFILE = "full"
"""
# Fails for filter 2; says which process runs it, and with how many threads.
SUMMARY = """import json, os, pathlib
share = 1 / (FILTER - 2)
print("words before")
print(json.dumps({
    "network": NETWORK, "layer": LAYER, "filter": FILTER, "hypothesis": "thin <dark> lines",
    "verdict": "supported" if FILTER == 3 else "refuted", "claims": {"supported": FILTER},
    "numbers": {"worker": os.getppid(), "threads": os.environ["OMP_NUM_THREADS"],
                "figures": os.environ["VIZUTILS_FIGURES"]}}))
"""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def text(source, *tags):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def code(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


def write(path, *cells):
    """A notebook with parameters, as if it had been run."""
    cells = [code(PARAMETERS, "parameters"), *cells]
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = [new_output("stream", name="stdout", text="old\n")]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def source(tmp_path):
    (tmp_path / "vizutils.py").write_text("ONE = 1\n")
    return write(tmp_path / "tiny.ipynb", text("# Tiny"), code(SUMMARY, "summary"))


def sources(notebook):
    return [cell.source for cell in notebook.cells]


# --- one report: what is asked for, and the notebook made from it ---------------------------


def test_parameters_may_be_computed_from_each_other_in_every_python():
    """Two scopes would hide FILTER from the comprehension before Python 3.12."""
    cell = code("FILTER = 17\nOTHERS = [FILTER + i for i in (1, 2)]", "parameters")
    assert report.parameters_of(new_notebook(cells=[cell])) == {"FILTER": 17, "OTHERS": [18, 19]}


def test_parameters_get_the_type_of_their_default():
    defaults = {"LAYER": "a", "FILTER": 17, "PROFILE": "full"}
    words = ["LAYER=7", "FILTER=03", "PROFILE=quick"]
    assert report.read_parameters(words, defaults) == {
        "LAYER": "7", "FILTER": 3, "PROFILE": "quick"}


@pytest.mark.parametrize(("word", "said"), [
    ("FLTER=3", "no parameter FLTER; it has LAYER, FILTER"),
    ("FILTER=three", "something like FILTER=17"),
    ("PROFILE=fast", "quick or full"),
])
def test_a_wrong_parameter_is_refused_in_a_sentence(word, said):
    with pytest.raises(ValueError, match=said):
        report.read_parameters([word], {"LAYER": "a", "FILTER": 17, "PROFILE": "full"})


def test_parameters_follow_the_notebooks_own_and_the_notebook_stays(source):
    before = source.read_bytes()
    notebook = report.prepare(source, {"FILTER": 3, "PROFILE": "quick"})
    values = {}
    exec("\n".join(sources(notebook)[:2]), {}, values)
    assert values == {"NETWORK": "vgg16", "WEIGHTS": "packaged", "LAYER": "block3_conv2",
                      "FILTER": 3, "PROFILE": "quick"}
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert source.read_bytes() == before


FIGURES = [
    text("By hand: nets.", "only-pinned"),
    text("Figures 1–4; see Figures 2 and 4, or Figure\n3."),
    text("**Figure 1.** A.\n\n**Figure 2.** B, after Figure 1."),
    code("WORDS = 'by hand, Figure 3'", "only-pinned"),
    text("**Figure 3.** By hand.", "only-pinned"),
    code("print('as Figure 4 shows, 4 times in figure4')"),
    text("**Figure 4.** D."),
]


def test_what_was_written_by_hand_is_left_out_for_another_unit_only(tmp_path):
    cells = [text("See Figures 1, 2 and 4."), *FIGURES[2:], *FIGURES[:1]]
    path = write(tmp_path / "a.ipynb", *cells)
    same = report.prepare(path, {"FILTER": 17, "PROFILE": "quick"})
    assert sources(same)[2:] == [cell.source for cell in cells]
    assert sources(report.prepare(path, {"FILTER": 18}))[2:] == [
        "See Figures 1, 2 and 3.",
        "**Figure 1.** A.\n\n**Figure 2.** B, after Figure 1.",
        "print('as Figure 3 shows, 4 times in figure4')",
        "**Figure 3.** D.",
    ]


def test_a_range_keeps_its_ends(tmp_path):
    path = write(tmp_path / "a.ipynb", text("Figures 1–4, 7 tables"), *FIGURES[2:])
    with pytest.raises(ValueError, match="Figure 7"):  # a list of numbers, as far as one can tell
        report.prepare(path, {"FILTER": 18})
    path = write(tmp_path / "a.ipynb", text("Figures 1–4; 7 tables"), *FIGURES[2:])
    assert "Figures 1–3; 7 tables" in sources(report.prepare(path, {"FILTER": 18}))


def test_a_mention_of_a_figure_that_went_names_the_cell(tmp_path):
    path = write(tmp_path / "a.ipynb", *FIGURES)
    cell = nbformat.read(path, as_version=4).cells[2]
    with pytest.raises(ValueError, match=f"{cell.id}.*Figures 1–4.*mentions Figure 3, which"):
        report.prepare(path, {"LAYER": "block4_conv2"})
    report.prepare(path, {"FILTER": 17})


def test_one_report_is_written_beside_its_notebook(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    report.main("tiny.ipynb", "LAYER=block2_conv2", "FILTER=3")
    assert "thin" in (tmp_path / "build/vgg16_block2_conv2_3.html").read_text()
    made = nbformat.read(tmp_path / "build/vgg16_block2_conv2_3.ipynb", as_version=4)
    assert reports.summary_of(made)["layer"] == "block2_conv2"
    assert reports.summary_of(made)["numbers"]["figures"].endswith("vgg16_block2_conv2_3")


@pytest.mark.parametrize(("word", "said"), [
    ("FILTER=256", "filters 0 to 255"),
    ("LAYER=block9", "convolution layers are block1_conv1"),
    ("NETWORK=vgg61", "known are vgg16"),
    ("NETWORK=efficientnet_lite0", "text is about vgg16"),
    ("LAYER=block1_conv1", "reads the picture itself.*can be about: block2_conv1"),
    ("LAYER=block1_conv2", "nothing is drawn in fewer than 8"),
    ("FILTER=2", "ZeroDivisionError"),  # known only when the cell runs
])
def test_a_report_that_cannot_be_is_refused_and_not_written(
    tmp_path, monkeypatch, source, word, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=said):
        report.main("tiny.ipynb", word)
    assert not (tmp_path / "build").exists()


def test_a_notebook_for_any_network_takes_a_model_of_ones_own(tmp_path):
    classifier(keras.layers.Conv2D(5, 7, name="last"), classes=2).save(tmp_path / "mine.keras")
    (tmp_path / "names.txt").write_text("cat\ndog\n", "utf-8")
    words = [f"NETWORK={tmp_path / 'mine.keras'}", "LAYER=last", "FILTER=2"]
    source = write(tmp_path / "vgg.ipynb", text("About VGG16."))
    with pytest.raises(ValueError, match="no parameter CLASSES"):
        report.request(source, [*words, "CLASSES=names.txt"])
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].source += '\nCLASSES = ""'
    nbformat.write(notebook, source)
    for classes in ("", tmp_path / "names.txt"):
        asked, unit, stem = report.request(source, [*words, f"CLASSES={classes}"])
        assert stem == "mine_last_2" and asked["CLASSES"] == str(classes)
        found = report.check(unit, [unit["FILTER"]])
        assert found == report.Subject("mine", imagenet=False, top=2)
        assert f'CLASSES = "{classes}"' in sources(report.prepare(source, asked))[1]
    with pytest.raises(ValueError, match="filters 0 to 4; 5 is out of range"):
        report.check(unit, [5])
    (tmp_path / "names.txt").write_text("cat\n", "utf-8")
    with pytest.raises(ValueError, match="classes has 1 names, but mine ends in 2"):
        report.check(unit, [2])


def made(*words):
    """The commands that make would give for a target and variables."""
    run = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return re.findall(r"python (tools/.*)", " ".join(run.stdout.replace("\\\n", " ").split("  ")))


def test_make_passes_on_what_it_is_given():
    assert "report.py" not in "".join(made("report"))
    (one,) = made("report", "NETWORK=vgg16", "LAYER=block4_conv2", "FILTER=0", "PROFILE=quick")
    assert one.split() == ["tools/report.py", "lab3_circuit.ipynb", '"NETWORK=vgg16"',
                           '"LAYER=block4_conv2"', '"FILTER=0"', '"PROFILE=quick"']
    (many,) = made("reports", "LAYER=a", "FILTERS=0-15", "SCHEDULER=tcp://b:1", "WORKERS=3")
    assert many.split() == ["tools/reports.py", "lab3_circuit.ipynb", '"LAYER=a"',
                            '"FILTERS=0-15"', '"SCHEDULER=tcp://b:1"', '"WORKERS=3"']


# --- many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "filters"), [
    ("0-3", [0, 1, 2, 3]), ("7", [7]), ("1,5, 9-11", [1, 5, 9, 10, 11]), ("4,2-4", [2, 3, 4]),
])
def test_filters_are_numbers_and_ranges(given, filters):
    assert reports.parse_filters(given) == filters


@pytest.mark.parametrize("given", ["", "1,", "a", "5-2", "-1", "1.5", "0:15"])
def test_other_filters_are_refused_in_a_sentence(given):
    with pytest.raises(ValueError, match="for example FILTERS=0-15"):
        reports.parse_filters(given)


@pytest.fixture(scope="module")
def scheduler():
    """Two worker processes behind a scheduler on loopback."""
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", scheduler_port=0,
                      dashboard_address=None) as cluster:
        assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", cluster.scheduler_address)
        yield cluster.scheduler_address


def test_a_key_changes_with_notebook_modules_and_parameters(source):
    def key(*words, number=3):
        (job,) = reports.plan(source, words, [number]).values()
        return job.metadata["report"]["key"]

    first = key()
    assert key() == first
    assert len({first, key(number=4), key("PROFILE=quick")}) == 3
    (source.parent / "vizutils.py").write_text("ONE = 2\n")
    changed = key()
    write(source, code(SUMMARY + "# more", "summary"))
    assert len({first, changed, key()}) == 3


def test_a_key_changes_with_the_users_own_files(source, tmp_path):
    network = tmp_path / "mine.keras"

    def key():
        (job,) = reports.plan(source, [f"NETWORK={network}"], [3]).values()
        return job.metadata["report"]["key"]

    network.write_bytes(b"trained for an epoch")
    before = key()
    network.write_bytes(b"trained for two")
    assert key() != before


def test_two_workers_share_the_filters_and_a_failed_one_stops_nobody(source, scheduler, capsys):
    home = source.parent / reports.HOME
    # The one that fails comes last: a worker slow to start might do no other, and is not counted.
    jobs = reports.plan(source, [], [1, 3, 4, 2])
    assert reports.make_reports(jobs, source.parent, scheduler=scheduler) == 1
    stems = [f"vgg16_block3_conv2_{number}" for number in (1, 3, 4)]
    failed = "vgg16_block3_conv2_2_failed.ipynb"
    assert sorted(path.name for path in home.iterdir()) == sorted(
        ["index.html", failed, *(stem + end for stem in stems for end in (".html", ".ipynb"))])

    summaries = [reports.summary_of(nbformat.read(home / f"{stem}.ipynb", as_version=4))
                 for stem in stems]
    assert [summary["filter"] for summary in summaries] == [1, 3, 4]
    assert len({summary["numbers"]["worker"] for summary in summaries}) == 2
    assert {summary["numbers"]["threads"] for summary in summaries} == {"1"}
    assert len({summary["numbers"]["figures"] for summary in summaries}) == 3

    kept = nbformat.read(home / failed, as_version=4)
    assert [o.output_type for cell in kept.cells for o in cell.get("outputs", [])] == ["error"]
    index = (home / "index.html").read_text()
    links = re.findall(r'href="([^"]+)"', index)
    assert links == [f"{stems[1]}.html", f"{stems[2]}.html", f"{stems[0]}.html", failed]
    assert "failed: ZeroDivisionError: division by zero" in index
    assert "4 filters, of which 1 failed" in index

    # Again: what exists is not made again; the failed one is tried again.
    stamps = {stem: (home / f"{stem}.html").stat().st_mtime_ns for stem in stems}
    (home / f"{stems[2]}.html").unlink()  # as if interrupted before the page was written
    write(home / "mine.ipynb")  # the student's, not a report
    capsys.readouterr()
    again = reports.plan(source, [], [1, 2, 3, 4])
    assert reports.make_reports(again, source.parent, scheduler=scheduler) == 1
    assert "2 of 4 reports are there already" in capsys.readouterr().out
    changed = [stem for stem in stems if (home / f"{stem}.html").stat().st_mtime_ns != stamps[stem]]
    assert changed == stems[2:]


def test_a_report_that_succeeds_at_last_replaces_the_failed_one(tmp_path):
    notebook = new_notebook(metadata={"report": {"error": "E: no"}})
    reports.save(notebook, tmp_path / "a.ipynb", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a_failed.ipynb"]
    del notebook.metadata["report"]["error"]
    reports.save(notebook, tmp_path / "a.ipynb", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.ipynb"]


def test_no_scheduler_is_said_with_the_remedy():
    with pytest.raises(OSError, match="leave SCHEDULER out"):
        reports.connect("tcp://127.0.0.1:9", timeout=0.5)


def finished(home, number, printed=None, **about):
    """An executed notebook with a picture, and what its summary cell printed."""
    picture, summary = code("draw", "picture"), code("say", "summary")
    picture.outputs = [new_output("display_data", {"image/png": PIXEL}, metadata={
        "image/png": {"alt": f'Filter "{number}".'}} if number % 2 else {})]
    if printed is not None:
        summary.outputs = [new_output("stream", name="stdout", text=printed)]
    notebook = new_notebook(cells=[picture, summary])
    notebook.metadata["report"] = {"unit": ["vgg16", "a", number], "key": "", "minutes": 1.25,
                                   **about}
    nbformat.write(notebook, home / f"{number}.ipynb")


def test_the_index_ranks_by_verdict_and_needs_nothing_from_outside(tmp_path):
    verdict = '{{"verdict": "{}", "claims": {{"supported": {}}}, "numbers": {{"peak": 0.5}}}}'
    finished(tmp_path, 1, verdict.format("refuted", 5))
    finished(tmp_path, 2, error="DeadKernelError: Kernel died")
    finished(tmp_path, 3, "said\n" + verdict.format("supported", 3) + "\n")
    finished(tmp_path, 4, verdict.format("supported in part", 9))
    finished(tmp_path, 5)
    finished(tmp_path, 6, "no JSON")
    finished(tmp_path, 10, verdict.format("supported", 4))
    finished(tmp_path, 11, '{"hypothesis": "<b>", "verdict": "undecided"}')
    page = reports.write_index(tmp_path).read_text()
    order = re.findall(r'href="(\d+)\.\w+"', page)
    assert order == ["10", "3", "4", "11", "1", "5", "6", "2"]
    assert page.count('<img src="data:image/png') == 8
    assert page.count('alt="its picture"') == 4 and 'alt="Filter &quot;11&quot;."' in page
    assert not re.search(r"https?:|<script|<link", page.replace(f"<script>{SCRIPT}", "", 1))
    assert page.count("no cell tagged summary printed") == 2
    assert all(said in page for said in (
        "peak: 0.5", "4 supported", "&lt;b&gt;", "DeadKernelError", "<td>1.2</td>"))
