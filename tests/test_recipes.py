"""Figures carry the code that made them, and that code makes them again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest
from PIL import Image

import vizutils as vz
from engine.recipes import recipe_of
from tools import pythons

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = sorted(ROOT.glob("figures/*.png"))
SAVE = 'vz.save_figure(vz.plot_images(pictures), "fig", alt="Noise.")'


def recipe(*cells):
    return recipe_of(list(cells), "fig").splitlines()


def test_a_recipe_holds_what_the_figure_needs_and_nothing_else():
    cells = ["import numpy as np\nimport os\nimport vizutils as vz",
             "SEED, SIZE = 3, 8\nUNUSED = 1",
             "rng = np.random.default_rng(SEED)\nprint(SIZE)\nother = rng",
             "pictures = rng.uniform(0, 255, (2, SIZE, SIZE, 3))", "pictures.shape", SAVE,
             "pictures = None  # after the figure"]
    assert recipe(*cells) == [
        "import numpy as np", "import vizutils as vz", "SEED, SIZE = 3, 8",
        "rng = np.random.default_rng(SEED)", "pictures = rng.uniform(0, 255, (2, SIZE, SIZE, 3))",
        SAVE]


@pytest.mark.parametrize(("before", "kept"), [
    ("pictures = []\nfor i in range(2):\n    pictures.append(i)\n'shown'", True),
    ("pictures = []\npictures.append(1)\n'shown'", True),
    ("pictures = {}\npictures['a'] = 1", True),
    ("pictures = make()\npictures.size = 1", True),
    ("pictures = [1]\npictures += [2]", True),
    ("pictures = 1\npictures = 2", False),  # the first has no effect
    ("pictures = 1\ntotal = sum(pictures for pictures in range(3))", False),  # another name
    ("pictures = 1\n%matplotlib inline", False),
    ("def pictures():\n    return depth\ndepth = 1", True),  # a name that a function needs
    ("pictures = 0\nfrom make import *", True),  # it may set any name
    ("pictures = 0\nfor pictures in range(3):\n    pass", True),
    ("pictures = 0\nwith open(__file__) as pictures:\n    pass", True),
    ("pictures = 0\ntry:\n    pass\nexcept OSError as pictures:\n    pass", True),
    ("pictures = 0\nmatch 1:\n    case pictures:\n        pass", True),
    ("pictures = 0\nmatch [1]:\n    case [*pictures]:\n        pass", True),
    ("pictures = 0\nmatch {}:\n    case {**pictures}:\n        pass", True),
    ("pictures = 0\ntotal = sum((pictures := i) for i in range(3))", True),  # := binds outside
    ("pictures = 0\nclass pictures:\n    pass", True),
    ("pictures = 0\ndel pictures", True),
    ("pictures = 0\ntotal = lambda pictures: pictures", False),
    ("pictures = 0\ndef total():\n    pictures = 1", False),
])
def test_what_changes_a_value_is_kept_and_what_does_not_is_not(before, kept):
    assert (len(recipe(before, SAVE)) > 2) is kept


@pytest.mark.parametrize("line", [
    "pictures = [depth for i in range(3)]",
    "pictures = [i for depth in range(3) for i in range(depth)], depth",
    "pictures = [depth for depth in depth]",  # the iterable is computed outside
    "pictures = {i: j for i in range(3) for j in range(depth)}",
    "pictures = [[depth * j for j in range(i)] for i in range(3)]",
    "pictures = list(map(lambda x: x + depth, range(3)))",
    "pictures = lambda depth=depth: depth",
    "pictures = f'{depth:.{depth}f}'",
    "def pictures(x: depth):\n    return x",
    "def pictures():\n    def inner():\n        return depth\n    return inner",
    "def pictures():\n    global depth\n    depth = 2",
    "@depth\ndef pictures():\n    pass",
    "async def pictures():\n    await depth",
    "class pictures(depth):\n    pass",
    "class pictures:\n    one = depth",
    "class pictures:\n    def method(self):\n        return depth",
])
def test_a_name_that_is_used_is_followed_wherever_it_stands(line):
    """In comprehensions too, which Python 3.11 compiles as functions and 3.12 does not."""
    assert recipe("depth = 1", line, SAVE)[:2] == ["depth = 1", line.splitlines()[0]]


@pytest.mark.parametrize("line", [
    "pictures = [depth for depth in range(3)]",
    "pictures = [i for depth in range(3) for i in range(depth)]",
    "pictures = list(map(lambda depth: depth, range(3)))",
    "def pictures(depth):\n    return [depth for i in depth]",
    "def pictures():\n    depth = 2\n    def inner():\n        return depth\n    return inner",
])
def test_a_name_that_is_bound_inside_is_another_one(line):
    assert recipe("depth = 1", line, SAVE)[0] == line.splitlines()[0]


def test_a_decorator_is_part_of_its_function():
    cells = ["import functools", "@functools.cache\ndef pictures():\n    pass", SAVE]
    assert recipe(*cells) == "\n".join(cells).splitlines()


BARE = """
import sys
from engine.recipes import recipe_of
print(recipe_of(sys.stdin.read().split(chr(0)), sys.argv[1]), end="")
"""


@pytest.mark.parametrize("python", pythons.installed(), ids=lambda python: python.version)
def test_a_recipe_is_the_same_in_every_python_that_is_installed(python):
    """Nothing but the standard library is needed to find one."""
    report = nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4)
    cells = [cell.source for cell in report.cells if cell.cell_type == "code"]
    for name in ["fig03_ascent", "fig09_kernels", "fig12_circuit", "fig14_predicted"]:
        done = subprocess.run(
            [python.path, "-X", "utf8", "-S", "-c", BARE, name], input="\0".join(cells),
            cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
        assert done.stdout == recipe_of(cells, name), done.stderr


def test_the_last_run_of_a_cell_counts():
    assert recipe("pictures = 1", SAVE, "pictures = 2", SAVE) == ["pictures = 2", SAVE]


def test_broken_cells_and_unknown_figures():
    assert recipe("pictures = 1", "this is (no Python", SAVE) == ["pictures = 1", SAVE]
    assert recipe_of(["pictures = 1", SAVE], "another") == ""


def run(program, folder, *, arguments=()):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=folder, capture_output=True,
        text=True,
        env={**os.environ, "VIZUTILS_FIGURES": str(folder), "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return done.stdout


KERNEL = '''
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in ["import numpy as np\\nimport vizutils as vz", "unused = 1",
             "net = vz.load_network('vgg16', weights='random')",
             "pictures = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))",
             'vz.save_figure(vz.plot_images(pictures, [net.name] * 2), "fig", alt="Noise.", seed=0)'
             ]:
    shell.run_cell(cell, store_history=True).raise_error()
'''


def test_a_notebooks_figure_is_made_again_from_its_own_metadata(tmp_path, capsys):
    run(KERNEL, tmp_path)
    first = np.asarray(Image.open(tmp_path / "fig.png"))
    assert vz.main(["show-recipe", str(tmp_path / "fig.png")]) == 0
    printed = capsys.readouterr().out
    digest = vz.load_network("vgg16", weights="random").digest
    assert all(x in printed for x in ('"seed": 0', digest, '"tensorflow": "', '"numpy": "'))
    assert "unused" not in printed
    (tmp_path / "fig.png").unlink()
    run(printed, tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "fig.png")), first)


def test_a_figure_of_a_program_holds_parameters_but_no_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZUTILS_FIGURES", str(tmp_path))
    saved = vz.save_figure(vz.plot_images([[[[9, 9, 9]]]]), "one", alt="One box.", seed=7)
    assert '"seed": 7' in Image.open(saved.path).info["Comment"]
    with pytest.raises(ValueError, match="holds no recipe: only figures that a notebook's cell"):
        vz.show_recipe(saved.path)
    given = vz.save_figure(vz.plot_images([[[[9, 9, 9]]]]), "one", alt="One box.",
                           recipe="vz.plot_images(x)\n")
    assert vz.show_recipe(given.path).endswith("}\nvz.plot_images(x)\n")


@pytest.mark.parametrize(("content", "said"), [
    (None, "does not exist; give the path of a figure's PNG"),
    (b"not a picture", "is not a picture that can be read")])
def test_what_is_no_figure_is_said(tmp_path, capsys, content, said):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    assert vz.main(["show-recipe", str(tmp_path / "x.png")]) == 1
    assert said in capsys.readouterr().err
    assert vz.main(["show"]) == 2 and "usage" in capsys.readouterr().err


def test_committed_figures_hold_the_recipes_of_the_report():
    """Each is the slice of the committed notebook: no figure is older than its cell."""
    report = nbformat.read(ROOT / "lab3_circuit.ipynb", as_version=4)
    cells = [cell.source for cell in report.cells if cell.cell_type == "code"]
    assert COMMITTED
    for path in COMMITTED:
        assert vz.show_recipe(path).endswith(recipe_of(cells, path.stem)), path.name


EACH = """
import runpy, sys
for program in sys.argv[1:]:
    runpy.run_path(program, run_name="__main__")
"""


def differences(folder, *paths):
    """Largest and mean difference, in grey levels, between each figure and its remake.

    The recipes run one after the other in a fresh process, each as a program of its own.
    """
    programs = []
    for path in paths:
        with Image.open(path) as picture:
            drawn_by = json.loads(picture.info["Versions"])["matplotlib"]
        if drawn_by.split(".")[:2] != matplotlib.__version__.split(".")[:2]:
            pytest.skip(f"{path.name} was drawn by matplotlib {drawn_by}; "
                        f"{matplotlib.__version__} lays text out otherwise, by 10 grey levels on "
                        "average")
        programs.append(folder / f"{path.stem}.py")
        programs[-1].write_text(vz.show_recipe(path), encoding="utf-8")
    run(EACH, folder, arguments=programs)
    for path in paths:
        old, new = (np.asarray(Image.open(x).convert("RGB"), float)
                    for x in (path, folder / path.name))
        assert old.shape == new.shape
        yield np.abs(old - new).max(), np.abs(old - new).mean()


def test_committed_figures_are_made_again(tmp_path):
    """To a grey level on average: fonts and encoders differ a little between machines."""
    names = ["fig08_norms", "fig09_kernels"]
    for _, mean in differences(tmp_path, *(ROOT / "figures" / f"{name}.png" for name in names)):
        assert mean < 1


@pytest.mark.skipif(not os.environ.get("VIZUTILS_LONG"), reason="minutes: make test-long")
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_committed_figure_is_made_again(path, tmp_path):
    ((largest, mean),) = differences(tmp_path, path)
    print(f"{path.stem}: largest difference {largest:.0f}, mean {mean:.4f} grey levels")
    assert mean < 1
