"""The hunt for deliberate faults: its list fits the code, and it can tell dead from alive."""

import json
from dataclasses import replace

import pytest

from tools import mutants

FAULT = mutants.Fault("sign turned", "own.py", "return x", "return -x", "test_own")


def test_the_list_is_long_and_names_each_fault_once():
    names = [fault.name for fault in mutants.FAULTS]
    assert len(names) >= 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("fault", mutants.FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
def test_each_fault_fits_the_code_and_leaves_it_readable(fault):
    sound = (mutants.ROOT / fault.file).read_text()
    if fault.file.endswith(".py"):
        compile(fault.put_into(sound), fault.file, "exec")
    assert fault.put_into(sound) != sound
    for test in fault.tests.split():
        assert (mutants.ROOT / "tests" / f"{test}.py").exists()


@pytest.fixture
def project(tmp_path):
    """A module and a test that finds a turned sign, and nothing else."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "own.py").write_text("def keep(x):\n    y = 1\n    return x\n")
    (tmp_path / "tests/test_own.py").write_text(
        "import own\n\n\ndef test_kept():\n    assert own.keep(2) == 2\n")
    return tmp_path


def test_a_fault_is_found_or_survives_and_the_copy_is_whole_again(project):
    before = (project / "own.py").read_text()
    assert mutants.failing(project, "test_own") == ""
    assert mutants.hunt(project, FAULT)[0] == "tests/test_own.py::test_kept"
    assert mutants.hunt(project, replace(FAULT, old="y = 1", new="y = 2"))[0] == ""
    assert (project / "own.py").read_text() == before


def test_the_test_that_found_it_last_is_asked_first(project):
    last = "tests/test_own.py::test_last"
    (project / "tests/test_own.py").write_text(
        "import own\n\n\ndef test_kept():\n    assert own.keep(2) == 2\n\n\n"
        "def test_last():\n    assert own.keep(3) == 3\n")
    assert mutants.hunt(project, FAULT, last)[0] == last
    for gone in ("tests/test_own.py::test_gone", "tests/test_gone.py::test_kept"):
        assert mutants.hunt(project, FAULT, gone)[0] == "tests/test_own.py::test_kept"
    other = replace(FAULT, old="return x", new="return 3")  # which it does not find
    assert mutants.hunt(project, other, last)[0] == "tests/test_own.py::test_kept"


def test_a_test_that_cannot_run_kills_nothing(project):
    with pytest.raises(RuntimeError, match="pytest could not run tests/test_none.py"):
        mutants.failing(project, "test_none")


FIXTURE = """import own
import pytest


@pytest.fixture
def two():
    return own.keep(2)


def test_kept(two):
    assert two == 2
"""


def test_an_error_in_a_fixture_finds_nothing(project):
    (project / "tests/test_own.py").write_text(FIXTURE)
    assert mutants.hunt(project, FAULT)[0] == "tests/test_own.py::test_kept"
    with pytest.raises(RuntimeError, match="pytest could not run tests/test_own.py"):
        mutants.hunt(project, replace(FAULT, new="raise MemoryError"))
    assert "return x" in (project / "own.py").read_text()


def test_an_error_hides_no_failure(project):
    (project / "tests/test_own.py").write_text(
        FIXTURE + "\n\ndef test_again():\n    with pytest.raises(TypeError):\n"
        "        own.keep()\n    assert not own.keep\n")
    found, _ = mutants.hunt(project, replace(FAULT, new="raise MemoryError"))
    assert found == "tests/test_own.py::test_again"


def test_tests_without_end_find_nothing(project, monkeypatch):
    monkeypatch.setattr(mutants, "LONGEST", 3)
    with pytest.raises(RuntimeError, match="did not end within 3 s"):
        mutants.hunt(project, replace(FAULT, new="import time; time.sleep(60)"))


def test_no_fault_is_put_into_what_is_broken_already(monkeypatch, capsys):
    monkeypatch.setattr(mutants, "copy_project", lambda target: target)
    monkeypatch.setattr(mutants, "failing",
                        lambda project, test: "test_a" if test == "test_images" else "")
    monkeypatch.setattr(mutants, "hunt", lambda *given: pytest.fail("hunted"))
    assert mutants.main(["crop not central", "TF32"], 2) == 2
    assert "fails without any fault: test_a; mend that first" in capsys.readouterr().out


def test_the_hunt_goes_on_after_tests_that_could_not_run(tmp_path, monkeypatch, capsys):
    def hunt(project, fault, known):
        assert known == ("test_b" if "mean" in fault.name else "")
        if "not central" in fault.name:
            raise RuntimeError("no room")
        return "test_x.py::test_a", 1

    kept = tmp_path / "killers.json"
    kept.write_text('{"mean colour not subtracted": "test_b", "no fault any more": "test_c"}')
    monkeypatch.setattr(mutants, "KILLERS", kept)
    monkeypatch.setattr(mutants, "hunt", hunt)
    monkeypatch.setattr(mutants, "copy_project", lambda target: target)
    monkeypatch.setattr(mutants, "failing", lambda project, *tests: "")
    assert mutants.main(["crop not central", "mean colour"], 1) == 1
    said = capsys.readouterr()
    assert "| COULD NOT RUN |" in said.out and "1 of 2 faults are found" in said.out
    assert "crop not central: no room" in said.err
    assert json.loads(kept.read_text()) == {"mean colour not subtracted": "test_x.py::test_a"}


def test_a_list_out_of_date_is_said():
    with pytest.raises(ValueError, match="'return x' stands 2 times in own.py, not once"):
        FAULT.put_into("return x; return x")
