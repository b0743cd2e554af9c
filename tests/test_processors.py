"""The runs that imitate other processors: what is run, what counts as another number."""

import re

import nbformat
import pytest
from nbclient.exceptions import CellTimeoutError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import processors

COMMITTED = "≈ 8 of 16 [4, 12] fooled, cosine ≈ 0.50, 3 left"


def notebook(*printed, tags=(), sources=None):
    cells = []
    for i, text in enumerate(printed):
        source = sources[i] if sources else f"print({text!r})"
        cell = new_code_cell(source, execution_count=i + 1, metadata={"tags": list(tags)})
        cell.outputs = [new_output("stream", name="stdout", text=text + "\n")]
        cells.append(cell)
    return new_notebook(cells=cells)


def verdicts(committed, found, **options):
    moved = processors.compare(notebook(committed, **options), notebook(found, **options))
    return [(m.committed, m.found, m.verdict) for m in moved]


@pytest.mark.parametrize(("found", "moved"), [
    (COMMITTED, []),
    (COMMITTED.replace("0.50", "0.51"), [("≈ 0.50", "≈ 0.51", "allowed")]),
    (COMMITTED.replace("0.50", "0.60"), [("≈ 0.50", "≈ 0.60", "NOT ALLOWED")]),
    (COMMITTED.replace("8 of 16 [4, 12]", "6 of 16 [2, 10]"),
     [("≈ 8 of 16 [4, 12]", "≈ 6 of 16 [2, 10]", "allowed")]),
    (COMMITTED.replace("8 of 16 [4, 12]", "2 of 16 [0, 6]"),
     [("≈ 8 of 16 [4, 12]", "≈ 2 of 16 [0, 6]", "NOT ALLOWED")]),
    (COMMITTED.replace("3 left", "4 left"), [("3", "4", "NOT ALLOWED")]),
    (COMMITTED.replace("0.50", "0.51").replace("3 left", "4 left"),
     [("≈ 0.50", "≈ 0.51", "allowed"), ("3", "4", "NOT ALLOWED")]),
    (COMMITTED.replace("left", "right"),
     [(COMMITTED, COMMITTED.replace("left", "right"), "NOT ALLOWED")]),
])
def test_each_number_that_moved_is_listed_with_its_verdict(found, moved):
    assert verdicts(COMMITTED, found) == moved


def test_a_cell_that_is_not_compared_is_listed_but_not_refused():
    assert verdicts("took 3", "took 4", tags=["nbval-ignore-output"]) == [
        ("3", "4", "not compared")]


def test_what_nbval_leaves_out_is_left_out():
    assert verdicts("took 3.1 s, at 0x7f00", "took 4.2 s, at 0x7fff") == []
    committed, found = notebook("kept"), notebook("kept")
    found.cells[0].outputs.append(new_output("stream", name="stderr", text="a warning"))
    for book, pixel in ((committed, "AAAA"), (found, "BBBB")):
        book.cells[0].outputs.append(new_output("display_data", {"image/png": pixel}))
    assert processors.compare(committed, found) == []


def test_an_output_more_or_less_is_refused():
    committed, found = notebook("one"), notebook("one")
    found.cells[0].outputs.append(new_output("display_data", {"text/html": "<b>two</b>"}))
    (moved,) = processors.compare(committed, found)
    assert moved.verdict == "NOT ALLOWED"
    assert moved.committed == "outputs: 1 stdout"
    assert moved.found == "outputs: 1 stdout, 1 text/html"


def test_a_table_that_differs_in_its_markup_alone_is_refused():
    committed, found = notebook("a"), notebook("a")
    for book, mark in ((committed, "b"), (found, "i")):
        book.cells[0].outputs = [new_output("display_data", {"text/html": f"<{mark}>0.5</{mark}>"})]
    (moved,) = processors.compare(committed, found)
    assert (moved.committed, moved.verdict) == ("the output", "NOT ALLOWED")


def test_a_table_counts_once_as_text_and_as_html():
    committed, found = notebook("a"), notebook("a")
    for book, number in ((committed, "0.50"), (found, "0.51")):
        book.cells[0].outputs = [new_output("execute_result", {
            "text/plain": f"   cosine\n0  ≈ {number}",
            "text/html": f"<table><tr><th>0</th><td>≈ {number}</td></tr></table>"})]
    assert [m.verdict for m in processors.compare(committed, found)] == ["allowed"]


def test_a_processor_is_asked_only_for_what_it_can_imitate():
    always = ["as it is", "no oneDNN", "one thread", "two threads"]
    assert processors.possible({"X86_V2"}) == always
    assert set(processors.possible({"X86_V3"})) == {*always, "SSE4.1"}  # AVX2 is what it is
    assert set(processors.possible({"AVX2", "AVX512_SKX"})) == {*always, "SSE4.1", "AVX2"}
    assert set(processors.possible({"X86_V3", "X86_V4", "AVX512_SPR"})) == set(processors.SETTINGS)
    assert processors.features()  # NumPy names this processor's


@pytest.fixture
def short(tmp_path):
    """A notebook whose number hangs on a setting, as committed."""
    source = "import os\nprint('≈ 0.50 of', os.environ.get('TF_NUM_INTRAOP_THREADS', 'many'))"
    path = tmp_path / "short.ipynb"
    nbformat.write(notebook("≈ 0.50 of 1", sources=[source]), path)
    return path


def test_main_runs_the_settings_and_says_what_it_found(short, tmp_path, capsys):
    folder = tmp_path / "out"
    assert processors.main([short], ["one thread"], folder=folder) == 0
    assert "short.ipynb: one thread" in capsys.readouterr().out
    assert processors.main([short], ["one thread", "two threads", "as it is"], folder=folder) == 1
    said = capsys.readouterr().out
    assert "short.ipynb: one thread" not in said  # its copy is newer than the notebook
    assert re.search(r"\| short.ipynb \| 1 \| 1 \| = \| 2 \| = \| NOT ALLOWED \|", said)
    assert "3 runs compared; 1 cells not allowed, 0 stopped." in said


def test_a_kernel_that_dies_stops_its_own_run_only(short, tmp_path, capsys):
    dying = tmp_path / "dying.ipynb"
    nbformat.write(notebook("", sources=["import os\nos._exit(1)"]), dying)
    assert processors.main([dying, short], ["one thread"], folder=tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "dying.ipynb under one thread: Kernel died" in said
    assert "1 runs compared; 0 cells not allowed, 1 stopped." in said


def test_a_cell_that_takes_too_long_stops_its_own_run_only(short, tmp_path, capsys, monkeypatch):
    slow, whole = tmp_path / "slow.ipynb", processors.run
    slow.write_text(short.read_text())

    def run(path, *args):
        if path == slow:
            raise CellTimeoutError("A cell timed out.\nIts source.")
        return whole(path, *args)

    monkeypatch.setattr(processors, "run", run)
    assert processors.main([slow, short], ["one thread"], folder=tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "slow.ipynb under one thread: A cell timed out.\n" in said
    assert "1 runs compared; 0 cells not allowed, 1 stopped." in said


def test_main_says_what_it_cannot_run(short, tmp_path, capsys, monkeypatch):
    assert processors.main([short], ["SSE5"]) == 2
    assert "no setting is called SSE5; there are as it is, SSE4.1" in capsys.readouterr().err
    monkeypatch.setattr(processors, "features", lambda: {"X86_V2"})
    assert processors.main([], ["AVX-512"]) == 0
    assert "AVX-512: not run; this processor cannot imitate it" in capsys.readouterr().out
    broken = tmp_path / "broken.ipynb"
    nbformat.write(notebook("", sources=["1 / 0"]), broken)
    assert processors.main([broken], ["as it is"], folder=tmp_path / "out") == 1
    assert "broken.ipynb under as it is: ZeroDivisionError: " in capsys.readouterr().out
