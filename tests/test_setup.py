"""What installs the project: requirement lists, Makefile, CI and the Colab cell."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest

from data import fetch
from tools import bundle, reports
from tools.modules import PACKAGES, ingredients, modules

ROOT = Path(__file__).resolve().parents[1]
RUN_TIME = "requirements.txt"
FOR_TESTS = "requirements-dev.txt"


def requirements(name):
    """The lines of a requirements file without comments."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def distributions(*names):
    lines = [line for name in names for line in requirements(name)]
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in lines}


def test_every_requirement_is_bounded_and_explained():
    for name in (RUN_TIME, FOR_TESTS):
        for line in requirements(name):
            assert re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+", line), line
        lines = [x for x in (ROOT / name).read_text().splitlines() if x and x[0] not in "#-"]
        assert all("#" in line for line in lines)


def test_conda_users_get_the_same_list():
    listed = (ROOT / "environment.yml").read_text().split("- pip:\n")[1]
    assert re.findall(r"^      - (\S+)", listed, re.MULTILINE) == requirements(RUN_TIME)


def sources():
    """Each Python text of the project: where it is, and what it says."""
    for place in (".", "engine", "data", "techniques/**", "tools", "tests/**", "benchmarks"):
        for path in ROOT.glob(f"{place}/*.py"):
            yield path, path.read_text()
    for path in [*ROOT.glob("*.ipynb"), *ROOT.glob("notebooks/*.ipynb")]:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                yield path, re.sub(r"^[%!].*", "", cell.source, flags=re.MULTILINE)


def imported(text):
    """Top-level names of the modules that a Python text imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


#: Programs that run in an environment of their own, and what they import from it.
ELSEWHERE = {"xplique_worker.py": {"xplique"}}


def test_every_import_is_declared():
    own = {"vizutils", "engine", "data", "techniques", "tools", "conftest"}
    own.add("google")  # Colab's own module, in the set-up cell
    for folder in ("tests", "tests/browser", "benchmarks"):
        own |= {path.stem for path in (ROOT / folder).glob("*.py")}
    carriers = importlib.metadata.packages_distributions()
    for path, text in sources():
        testing = path.relative_to(ROOT).parts[0] in ("tests", "benchmarks", "conftest.py")
        declared = distributions(RUN_TIME, *([FOR_TESTS] if testing else []))
        beside = ELSEWHERE.get(path.name, set())
        for module in set(imported(text)) - own - beside - sys.stdlib_module_names:
            found = {name.lower().replace("_", "-") for name in carriers.get(module, [module])}
            assert found & declared, f"{path.name} imports {module}, which no requirement brings"


def test_ci_runs_the_linter_and_the_command_that_readers_are_told():
    commands = (ROOT / ".ci/run").read_text().splitlines()
    assert commands[-4:] == ["make lint", "make test", "make test-browser", "make test-notebooks"]
    assert re.search(r"^ *make test\b", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_road_without_make_installs_what_make_installs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    road = readme.partition("```bat\n")[2].partition("```")[0].splitlines()
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\n.venv/ready:")[2]
    recipe = recipe.partition("\n\n")[0].replace("--quiet ", "").replace("$(BIN)/python", "python")
    asked = [line for line in road if "pip install" in line]
    assert asked == [line.strip() for line in recipe.splitlines() if "pip install" in line]
    assert road[0] == "python -m venv .venv" and road[-1].startswith("jupyter lab ")
    assert (ROOT / road[-1].split()[-1]).exists()


def test_every_module_is_installed_hashed_and_dated():
    tracked = subprocess.run(["git", "ls-files", "vizutils.py", *PACKAGES], cwd=ROOT, text=True,
                             capture_output=True, check=True).stdout.split()
    listed = {path.relative_to(ROOT).as_posix() for path in modules(ROOT)}
    assert listed >= {name for name in tracked if name.endswith(".py")}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    find = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    assert find == [f"{package}*" for package in PACKAGES]
    inside = {Path(name).parent for name in listed} - {Path(".")}
    assert all((ROOT / folder / "__init__.py").exists() for folder in inside)


@pytest.mark.parametrize("touched", ["vizutils.py", "engine/a.py", "techniques/board/deep/b.py",
                                     "data/c.py", "data/sources.toml"])
def test_touching_any_module_makes_results_stale(tmp_path, touched):
    """A module that is left out makes an old report, grade or run pass for a new one."""
    for name in ("vizutils.py", "engine/a.py", "techniques/board/deep/b.py", "data/c.py",
                 "data/sources.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before = 1\n")
        os.utime(path, (1000, 1000))
    before = reports.digest_of(tmp_path)
    assert reports.digest_of(tmp_path) == before
    (tmp_path / touched).write_text("after = 2\n")  # its date changes as well
    assert reports.digest_of(tmp_path) != before
    assert max(path.stat().st_mtime for path in ingredients(tmp_path)) > 1000


# --- Makefile, in a folder of its own, with a Python that only writes down what it is asked --


RECORDER = """#!/bin/sh
echo "$@" >> log
case "$1 $2" in
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/pip ;;
  "--version "*) echo "Python 3.10.1" ;;
  "-c "*) exit {unfit} ;;
esac
"""


@pytest.fixture
def sandbox(tmp_path):
    for name in ("Makefile", RUN_TIME, FOR_TESTS, "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def make(folder, target, *, unfit=0):
    """Run make; give what it said and what it asked of Python."""
    (folder / "python").write_text(RECORDER.format(unfit=unfit))
    (folder / "python").chmod(0o755)
    (folder / "log").write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    run = subprocess.run(
        ["make", target, "PYTHON=./python"],
        cwd=folder, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return run, (folder / "log").read_text().splitlines()


def test_a_second_call_installs_nothing(sandbox):
    _, first = make(sandbox, "report")
    assert [line for line in first if "venv" in line] == ["-m venv .venv"]
    assert [line.split()[-1] for line in first if "pip install" in line] == [RUN_TIME, "."]

    _, second = make(sandbox, "report")
    assert len(second) == 3
    assert all(line.startswith("tools/") for line in second)


def test_the_tests_need_no_more_than_their_own_list_on_top(sandbox):
    make(sandbox, "report")
    _, asked = make(sandbox, "test")
    assert [line.split()[-1] for line in asked if "pip install" in line] == [FOR_TESTS]
    assert asked[-1].startswith("-m pytest")


def test_an_unfit_python_is_refused_in_a_sentence(sandbox):
    run, asked = make(sandbox, "report", unfit=1)
    assert run.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in run.stderr
    assert "Python 3.10.1" in run.stderr
    assert not any("venv" in line for line in asked)


def test_help_names_every_command(sandbox):
    said = make(sandbox, "help")[0].stdout
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert sorted(re.findall(r"^make ([\w-]+)", said, re.MULTILINE)) == sorted(phony)


# --- the Colab cell ----------------------------------------------------------------------


CELL = (ROOT / "tools/colab_setup.py").read_text()

# What surrounds the cell: on Colab a module of that name is loaded, and pip only says
# what it was asked. Python runs with -S, without site-packages: there is no onnx unless
# an empty module stands for it, and the project is not installed either.
AROUND = """
import importlib.machinery, subprocess, sys, types
if {on_colab}:
    files = sys.modules["google.colab.files"] = types.ModuleType("files")
    files.upload = lambda: print("asked for a file") or {uploads}
    sys.modules["google"] = types.ModuleType("google")
    sys.modules["google.colab"] = types.ModuleType("colab")
    sys.modules["google.colab"].files = files
if not {lacks_onnx}:
    sys.modules["onnx"] = types.ModuleType("onnx")
    sys.modules["onnx"].__spec__ = importlib.machinery.ModuleSpec("onnx", None)
really_run = subprocess.run
def run(command, check):
    print("ran", *command[1:])
    if "pip" not in command:
        really_run(command, check=check)
subprocess.run = run
"""


def run_cell(folder, *, on_colab=True, lacks_onnx=False, cell=CELL, times=1, uploads=()):
    program = AROUND.format(on_colab=on_colab, lacks_onnx=lacks_onnx, uploads=uploads)
    program += cell * times + "\nimport vizutils; print('found', vizutils.__file__)"
    return subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def repository(tmp_path):
    """A public repository with the project at tag v1, standing in for GitHub's."""
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "vizutils.py").touch()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "advice.detachedHead=false"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"], ["tag", "v1"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return f'REPOSITORY, TAG = "{folder.as_uri()}", "v1"'


def test_cell_is_short_and_names_the_address_in_pyproject():
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vizutils"]
    assert f'REPOSITORY, TAG = "{address["repository"]}", "{address["tag"]}"' in CELL
    assert len([line for line in CELL.splitlines() if line]) <= 27
    assert bool(address["repository"]) == bool(address["tag"])


def test_cell_clones_once_on_colab(tmp_path, repository):
    content = tmp_path / "content"
    content.mkdir()
    cell = CELL.replace('REPOSITORY, TAG = "", ""', repository)
    first = run_cell(content, cell=cell, times=2)
    assert first.stdout.count("ran clone") == 1
    assert f"found {content}/lab3-circuit/vizutils.py" in first.stdout

    second = run_cell(content, cell=cell)
    assert "ran" not in second.stdout
    assert "found" in second.stdout


def test_cell_installs_only_what_colab_lacks(tmp_path):
    (tmp_path / "vizutils.py").touch()
    assert "ran -m pip install -q onnx<1.22" in run_cell(tmp_path, lacks_onnx=True).stdout
    assert "ran" not in run_cell(tmp_path).stdout


def test_cell_does_nothing_elsewhere(tmp_path, repository):
    (tmp_path / "vizutils.py").touch()
    cell = CELL.replace('REPOSITORY, TAG = "", ""', repository)
    elsewhere = run_cell(tmp_path, cell=cell, on_colab=False, lacks_onnx=True)
    assert elsewhere.stdout == f"found {tmp_path}/vizutils.py\n"


@pytest.mark.parametrize("home", [".", "unzipped"])
def test_cell_finds_the_project_above_and_in_an_unpacked_zip(tmp_path, home):
    (tmp_path / home).mkdir(exist_ok=True)
    (tmp_path / home / "vizutils.py").touch()
    place = tmp_path if home == "unzipped" else tmp_path / "notebooks"
    place.mkdir(exist_ok=True)
    assert f"found {(tmp_path / home).resolve()}/vizutils.py" in run_cell(place).stdout


def test_cell_says_what_to_do_without_the_project(tmp_path):
    place = tmp_path / "content"
    place.mkdir()
    for uploads in ((), ("notes.txt",)):
        (place / "notes.txt").write_text("no zip")
        lost = run_cell(place, uploads=uploads)
        assert "asked for a file" in lost.stdout
        assert lost.returncode == 1
        assert "choose its zip" in lost.stderr
    assert "asked" not in run_cell(place, on_colab=False).stdout


def test_cell_unpacks_the_projects_zip_once(tmp_path):
    """As Colab does: its dialog saves the file, under a new name where the first one is taken."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "vizutils.py").touch()
    content = tmp_path / "content"
    bundle.pack(tmp_path / "mine", content / "lab3-circuit (1).zip")
    found = run_cell(content, uploads=["lab3-circuit (1).zip"], times=2)
    assert found.stdout.count("asked for a file") == 1
    assert f"found {content}/lab3-circuit (1)/vizutils.py" in found.stdout


def test_the_zip_holds_what_a_run_needs(tmp_path):
    """Every import of every notebook, and data that functions read, from the unpacked zip alone."""
    bundle.pack(ROOT, tmp_path / "lab3-circuit.zip")
    with zipfile.ZipFile(tmp_path / "lab3-circuit.zip") as archive:
        names = {name.removeprefix("lab3-circuit/") for name in archive.namelist()}
        archive.extractall(tmp_path)
    wanted = {path.relative_to(ROOT).as_posix() for path in ingredients(ROOT)}
    assert names - wanted == {"LICENSE", "data/README.md"} and wanted <= names
    program = f"""
import importlib, os, pkgutil, sys
sys.path = [p for p in sys.path if os.path.realpath(p or os.curdir) != {str(ROOT)!r}]
sys.path.insert(0, {str(tmp_path / 'lab3-circuit')!r})
import techniques
import vizutils as vz
for found in pkgutil.walk_packages(techniques.__path__, "techniques."):
    importlib.import_module(found.name)
net = vz.load_network("vgg16", weights="packaged")
print(len(vz.class_table(net, "block3_conv2", 17)), len(vz.load_images()), vz.__file__)
"""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                          text=True, env=environment | {"VIZUTILS_DATA": str(fetch.cache_dir())})
    assert done.returncode == 0, done.stderr
    count, pictures, home = done.stdout.splitlines()[-1].split(maxsplit=2)
    assert int(count) == 1000 and int(pictures) > 30
    assert home == str(tmp_path / "lab3-circuit" / "vizutils.py")


def test_no_half_merged_file_is_tracked():
    found = subprocess.run(["git", "grep", "-lE", r"^(<{7}|>{7}|\|{7}) "], cwd=ROOT, text=True,
                           capture_output=True)
    assert (found.returncode, found.stdout) == (1, ""), found.stdout + found.stderr  # 1: none


def test_a_half_merged_file_would_be_found(tmp_path):
    (tmp_path / "README.md").write_text("a\n" + "<" * 7 + " HEAD\nb\n", encoding="utf-8")
    found = subprocess.run(["git", "grep", "--no-index", "-lE", r"^(<{7}|>{7}|\|{7}) "],
                           cwd=tmp_path, text=True, capture_output=True)
    assert found.stdout.split() == ["README.md"]
