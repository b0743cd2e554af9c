"""The hunt for deliberate faults: its list fits the code, and it can tell dead from alive."""

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
    compile(fault.put_into(sound), fault.file, "exec")
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
    assert mutants.hunt(project, FAULT)[0] == "test_kept"
    assert mutants.hunt(project, replace(FAULT, old="y = 1", new="y = 2"))[0] == ""
    assert (project / "own.py").read_text() == before


def test_a_test_that_cannot_run_kills_nothing(project):
    with pytest.raises(RuntimeError, match="pytest could not run tests/test_none.py"):
        mutants.failing(project, "test_none")


def test_a_list_out_of_date_is_said():
    with pytest.raises(ValueError, match="'return x' stands 2 times in own.py, not once"):
        FAULT.put_into("return x; return x")
