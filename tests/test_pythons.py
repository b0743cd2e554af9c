"""The runs on every installed Python: which are found, what is run, and what the table says."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import pythons

ROOT = Path(__file__).resolve().parents[1]
SELF = "{}.{}".format(*sys.version_info)
MAKEFILE = """
PYTHON ?= true
report:
	@echo level $(MAKELEVEL), path $$PYTHONPATH
	@echo data $$VIZUTILS_DATA; cat text; $(PYTHON) -c "print('ran', 1)"
test:
	@echo "= 1 failed, 1_651 = passed, no summary in 3 parts"
	@echo "2 failed, 11 passed, 3 skipped, 1 warning in 75.50s (0:01:15)"; exit 2
test-colab:
	@echo "=== 12 passed in 0.50s ==="
"""


def stump(folder, name, program):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return str(folder / name)


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """A machine on which no Python is found but those that a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(pythons.sys, "executable", str(tmp_path / "none"))
    return tmp_path


def test_the_versions_are_those_that_the_project_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, last = pythons.SUPPORTED[0], pythons.SUPPORTED[-1]
    after = f"3.{int(last.split('.')[1]) + 1}"
    assert project["requires-python"] == f">={first},<{after}"
    assert pythons.COLAB in pythons.SUPPORTED
    assert f"- python={pythons.COLAB} " in (ROOT / "environment.yml").read_text(encoding="utf-8")


def test_this_python_is_among_those_found():
    assert SELF in [python.version for python in pythons.installed()]


def test_the_path_comes_first_and_stumps_are_passed_over(nothing_here):
    """As pyenv's shims: a file of that name which runs nothing."""
    stump(nothing_here / "bin", "python3.12", "exit 127")
    stump(nothing_here / "bin", "python3.13", "echo 3.13")
    places = {name: stump(nothing_here / "pyenv/versions" / name / "bin", "python",
                          f"echo {name[:4]}") for name in ("3.12.1", "3.12.10", "3.12.9", "3.13.0")}
    assert [(x.version, x.path) for x in pythons.installed()] == [
        ("3.12", places["3.12.10"]), ("3.13", str(nothing_here / "bin/python3.13"))]


def test_a_python_that_cannot_make_an_environment_is_passed_over(nothing_here):
    """Debian's has no ensurepip: the program that asks ends with an error."""
    stump(nothing_here / "bin", "python3.12", "echo No module named ensurepip >&2; exit 1")
    assert pythons.installed() == []
    assert pythons.main(["3.12"]) == 2


@pytest.mark.parametrize(("text", "counts"), [
    ("1 failed, 1651 passed, 27 skipped, 4 warnings in 400.12s (0:06:40)\n",
     {"failed": 1, "passed": 1651, "skipped": 27, "warnings": 4}),
    ("== 3 passed in 0.1s ==\nnoise\n===== 2 errors in 1.00s =====\nmake: *** [test] Error 1\n",
     {"errors": 2}),
    ("no tests\n", {})])
def test_counts_are_pytests_last_summary(text, counts):
    assert pythons.counts_of(text) == counts


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a Makefile whose `make test` fails, and a change not committed."""
    home = tmp_path / "project"
    home.mkdir()
    (home / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    (home / "text").write_text("as committed\n", encoding="utf-8")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], cwd=home, check=True)
    (home / "text").write_text("changed since\n", encoding="utf-8")
    monkeypatch.setattr(pythons, "installed", lambda versions: [
        pythons.Python(version, sys.executable) for version in versions if version != "3.13"])
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("MAKELEVEL", "1")  # as under `make test-pythons`
    monkeypatch.delenv("VIZUTILS_DATA", raising=False)
    return home


def test_fresh_clones_run_the_commands_go_on_after_a_failure_and_end_in_a_table(project, capfd):
    assert pythons.main([], root=project) == 1
    said = capfd.readouterr()
    rows = [line.strip("| ").split(" | ") for line in said.out.splitlines() if "| 3." in line]
    assert [row[:6] for row in rows] == [
        ["3.11", "make report", "passed", "–", "–", "–"],
        ["3.11", "make test", "FAILED", "11", "2", "3"],
        ["3.12", "make report", "passed", "–", "–", "–"],
        ["3.12", "make test", "FAILED", "11", "2", "3"],
        ["3.12", "make test-colab", "passed", "12", "0", "0"]]
    assert "not committed is left out" in said.out
    assert "Not installed here, so not run: Python 3.13." in said.err
    report = (project / "build/pythons/3.12-report.log").read_text(encoding="utf-8")
    assert report.splitlines() == ["level 0, path", f"data {project / 'data' / 'cache'}",
                                   "as committed", "ran 1"]


def test_a_choice_runs_nothing_else_and_a_second_call_clones_anew(project, capfd, monkeypatch):
    monkeypatch.setenv("VIZUTILS_DATA", os.path.join("shared", "downloads"))
    monkeypatch.setattr(pythons, "commands", lambda python: [["make", "report"]])
    left = project / "build/pythons/3.11/left"
    for _ in range(2):
        assert pythons.main(["3.11"], root=project) == 0
        assert not left.exists()
        left.touch()
    assert "3.12" not in capfd.readouterr().out
    report = (project / "build/pythons/3.11-report.log").read_text(encoding="utf-8")
    assert f"data {Path.cwd() / 'shared' / 'downloads'}\n" in report


def test_a_choice_that_cannot_be_is_said(project, capsys):
    assert pythons.main(["3.13"], root=project) == 2
    assert pythons.main(["3.9"], root=project) == 2
    assert "supports 3.11, 3.12, 3.13, not 3.9." in capsys.readouterr().err
    assert not (project / "build").exists()


def test_a_choice_that_is_not_installed_fails_though_the_others_pass(project, monkeypatch, capsys):
    monkeypatch.setattr(pythons, "commands", lambda python: [["make", "report"]])
    assert pythons.main(["3.11", "3.13"], root=project) == 1
    assert "not run: Python 3.13." in capsys.readouterr().err


def test_an_interrupt_shows_what_is_known_and_goes_on_its_way(project, monkeypatch, capsys):
    def interrupted(command, folder, **options):
        if command[1] == "test":
            raise KeyboardInterrupt
        return pythons.Run("3.11", "make report", True, {}, 60.0)

    monkeypatch.setattr(pythons, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pythons.main(["3.11"], root=project)
    assert "| 3.11 | make report | passed | – | – | – | 1.0 |" in capsys.readouterr().out


def test_where_a_python_is_for_the_makefile():
    tool = [sys.executable, str(ROOT / "tools/pythons.py"), "--find"]
    found = subprocess.run([*tool, SELF], capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).exists()
    lost = subprocess.run([*tool, "3.99"], capture_output=True, text=True, check=False)
    assert lost.returncode == 1 and not lost.stdout
