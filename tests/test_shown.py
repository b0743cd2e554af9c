"""What a function returns shows itself in a notebook, once and with its alternative text.

Real kernels run here: the figures, the companions' solutions (*Your turn*), and the code that
the dashboard copies. Solutions that take longer than seconds are kept for VIZUTILS_LONG.
"""

import ast
import base64
import importlib
import inspect
import io
import os
import pickle
import pkgutil
import re
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

import techniques
import vizutils as vz
from data.progress import Progress
from engine import style
from engine.recipes import recipe_of
from techniques import dashboard
from tools.execute import PICTURES, picture_in, tidy
from tools.export_html import export

ROOT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("VIZUTILS_LONG"))
TINY = """import sys
import numpy as np
import vizutils as vz
ONE = [[[[9, 9, 9]]]]
from conftest import build_tiny_vgg
mine = vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)
noise = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
"""


class Kernel:
    """A notebook that runs cell after cell in one kernel."""

    def __init__(self, client):
        self.client = client

    def run(self, source):
        """The outputs of one more cell, without what was progress; it must not fail."""
        return [output for output in self.cell(source).outputs
                if output.get("name") != "stderr" and output.get("data") != {}]

    def cell(self, source):
        """One more cell, run."""
        cell = new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        return cell


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """Starts kernels in a folder that holds the pictures which the solutions read."""
    folder = tmp_path_factory.mktemp("kernel")
    photo = vz.load_images(size=256).images[3].astype("uint8")
    for name in ("my_picture.jpg", "path/to/picture.jpg", "a.jpg", "b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / name)
    begun = []

    def start():
        client = NotebookClient(new_notebook(), timeout=1800, startup_timeout=180,
                                iopub_timeout=120,  # a dashboard's messages are many
                                resources={"metadata": {"path": str(folder)}})
        begun.append(client.setup_kernel(env={
            **os.environ, "VIZUTILS_FIGURES": str(folder), "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests", ROOT)))}))
        begun[-1].__enter__()
        return Kernel(client)

    yield start
    for one in begun:
        one.__exit__(None, None, None)


@pytest.fixture(scope="module")
def kernel(kernels):
    """A kernel in which nobody asked for pyplot (Keras imports it, but sets nothing up)."""
    made = kernels()
    made.run(TINY)
    return made


@pytest.fixture(scope="module")
def with_pyplot(kernels):
    """A kernel as many a notebook begins."""
    made = kernels()
    made.run("%matplotlib inline\nimport matplotlib.pyplot as plt")
    made.run(TINY)
    return made


def pictures(outputs):
    """(size, alternative text) of every picture among outputs."""
    found = []
    for output in outputs:
        data = output.get("data", {})
        if kind := picture_in(output):
            with Image.open(io.BytesIO(base64.b64decode(data[kind]))) as picture:
                about = output.metadata[kind]
                assert sum(kind in data for kind in PICTURES) == 1, "shown twice"
                size = about["width"], about["height"]
                assert size == tuple(round(0.6 * side) for side in picture.size)
                found.append((size, about["alt"]))
        else:
            assert "<Figure size" not in data.get("text/plain", ""), "a figure without its picture"
    return found


# --- figures -----------------------------------------------------------------------------------


FIGURES = [
    ("vz.plot_images(ONE, width=1)", (120, 120), "A sheet of pictures, each under its title;"),
    ("vz.plot_images(ONE, width=1, alt='One box.')", (120, 120), "One box."),
    ("vz.plot_images(noise, ['a', 'b\\nc'], columns=2, width=2)", None,
     "A sheet of pictures, each under its title; those that are marked have a red frame. "
     "Written on it: a; b c."),
    ("vz.visualize_filter(mine, 'block2_conv2', 3, iterations=2, size=32)", None,
     "Written on it: block2_conv2, filter 3."),
    ("vz.plot_kernels(mine, 'block2_conv2', 3, vz.rank_kernels(mine, 'block2_conv2', 3))", None,
     "The ranked kernels on one signed scale"),
    ("vz.save_figure(vz.plot_images(ONE, width=1), 'one', alt='By hand.')", (120, 120), "By hand."),
    ("_ = vz.plot_images(ONE, width=1)\n_.alt = 'Changed.'\n_", (120, 120), "Changed."),
]


@pytest.mark.parametrize("which", ["kernel", "with_pyplot"])
@pytest.mark.parametrize(("source", "size", "alt"), FIGURES, ids=[f[0] for f in FIGURES])
def test_a_figure_shows_itself_once_with_its_text(request, which, source, size, alt):
    kernel = request.getfixturevalue(which)
    (found,) = pictures(kernel.run(source))
    assert alt in found[1]
    assert size in (None, found[0])


def test_pyplot_is_set_up_in_the_second_kernel_only(kernel, with_pyplot):
    """So the first has no formatter for a plain Figure, and the second one that knows no text."""
    for one, known in ((kernel, "False"), (with_pyplot, "True")):
        (output,) = one.run("from matplotlib.figure import Figure\n"
                            "formatters = get_ipython().display_formatter.formatters\n"
                            "Figure in formatters['image/png'].type_printers")
        assert output["data"]["text/plain"] == known


@pytest.mark.parametrize("which", ["kernel", "with_pyplot"])
def test_a_figure_that_is_kept_or_displayed_by_hand(request, which):
    kernel = request.getfixturevalue(which)
    assert kernel.run("figure = vz.plot_images(ONE, width=1)") == []
    assert len(pictures(kernel.run("display(figure)"))) == 1
    (output,) = kernel.run("figure")
    assert output["data"]["text/plain"] == "<Figure size 200x200 with 1 Axes>"  # as nbval knows it
    assert sorted(output["data"]) == ["image/png", "text/plain"]


def test_the_readers_own_figures_are_shown_as_ever(with_pyplot):
    (output,) = with_pyplot.run("fig = plt.figure(); fig.gca().plot([1, 2]); plt.show()")
    assert "image/png" in output["data"] and "alt" not in output.metadata.get("image/png", {})


def test_the_picture_shown_is_the_picture_saved(kernel):
    drawn = "vz.plot_kernels(mine, 'block2_conv2', 3, vz.rank_kernels(mine, 'block2_conv2', 3))"
    (first,), (second,) = (kernel.run(text) for text in (
        drawn, f"saved = vz.save_figure({drawn}, 'one', alt='a'); saved"))
    shown, saved = (one["data"][picture_in(one)] for one in (first, second))
    assert shown == saved
    (output,) = kernel.run("saved.path.read_bytes() == saved.png, str(saved.path)")
    same, path = ast.literal_eval(output["data"]["text/plain"])
    assert same and psnr(Image.open(path), decoded(shown)) > 38


# --- progress ----------------------------------------------------------------------------------


def test_a_progress_bar_is_there_while_work_goes_on_and_gone_afterwards(kernel):
    begun = kernel.cell("from data.progress import Progress\n"
                        "bar = Progress(total=3, desc='thirds', delay=0)\n"
                        "bar.update(); _ = bar.refresh()")
    (shown,) = begun.outputs
    assert shown["data"]["text/plain"].startswith("thirds:  33%")
    kernel.cell("bar.close()")  # nothing on stderr either, which would be an empty red bar
    assert [output.get("data") for output in begun.outputs] == [{}]
    assert tidy(new_notebook(cells=[begun])).cells[0].outputs == []
    assert kernel.cell("for _ in Progress(range(9), 'quick'): pass").outputs == []


def test_on_a_console_a_progress_bar_is_tqdms(capsys):
    for _ in Progress(range(3), "thirds", delay=0):
        pass
    said = capsys.readouterr()
    assert "thirds:" in said.err and said.err.endswith("\r") and not said.out


# --- kept small --------------------------------------------------------------------------------


def decoded(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def psnr(one, two):
    one, two = (np.asarray(picture.convert("RGB"), float) for picture in (one, two))
    return 10 * np.log10(255**2 / max(np.square(one - two).mean(), 1e-9))


def png_of(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_a_figure_of_few_colours_stays_exact():
    cells = np.random.default_rng(0).integers(0, 250, (5, 20, 1)).repeat(3, axis=2)
    cells = cells.repeat(40, axis=0).repeat(40, axis=1).astype("uint8")
    data, about = style.shown_as(png_of(cells), "cells")
    (kind,) = data
    assert (kind, about) == ("image/png", {kind: {"width": 480, "height": 120, "alt": "cells"}})
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data[kind])).convert("RGB")), cells)


def test_photographs_become_a_jpeg_that_keeps_their_colours():
    photographs = vz.load_images(size=160).images[:4].astype("uint8")
    sheet = np.concatenate(photographs, axis=1)
    png = png_of(sheet)
    data, about = style.shown_as(png, "")
    assert list(data) == list(about) == ["image/jpeg"]
    shown = Image.open(io.BytesIO(data["image/jpeg"]))
    assert len(data["image/jpeg"]) < 0.25 * len(png) and shown.size == (640, 160)
    assert psnr(Image.fromarray(sheet), shown) > 28
    assert np.abs(np.asarray(shown, float).mean((0, 1)) - sheet.mean((0, 1))).max() < 1


def test_many_colours_are_not_pressed_into_a_palette():
    """A palette would be the smallest form of these blocks, and wrong by 17 grey levels in all."""
    blocks = np.random.default_rng(0).integers(0, 256, (25, 50, 3), "uint8")
    sheet = blocks.repeat(16, axis=0).repeat(16, axis=1)
    ((kind, shown),) = style.shown_as(png_of(sheet), "")[0].items()
    assert kind == "image/jpeg"  # exact but at the blocks' edges
    apart = np.asarray(Image.open(io.BytesIO(shown)), int)[8::16, 8::16] - blocks
    assert np.abs(apart).mean() < 4


def test_a_small_colour_bar_keeps_its_ends():
    """On a white figure: a palette by frequency alone turned the deepest blue into black."""
    ramp = (255 * mpl.colormaps["RdBu_r"](np.linspace(0, 1, 64))[:, :3]).astype("uint8")
    sheet = np.full((400, 780, 3), 255, "uint8")
    sheet[100:164, 700:712] = ramp[:, None]
    ((_, shown),) = style.shown_as(png_of(sheet), "")[0].items()
    seen = np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"), int)[100:164, 706]
    assert np.abs(seen - ramp).max() <= 40 and np.abs(seen[[1, -2]] - ramp[[1, -2]]).max() <= 24


def test_a_figure_of_fewer_dots_is_shown_as_large():
    """A sheet of many small pictures needs no more pixels than they have."""
    figure = vz.plot_images(np.full((1, 8, 8, 3), 200, "uint8"), width=2)
    (_, about), figure.dpi = style.shown_as(style.png_of(figure), ""), style.SCREEN
    png = style.png_of(figure)
    assert style.shown_as(png, "")[1] == about
    assert Image.open(io.BytesIO(png)).width == about["image/png"]["width"]


def test_no_figure_grows_by_it():
    flat = png_of(np.full((2, 2, 3), 200, "uint8"))
    assert style.shown_as(flat, "")[0] == {"image/png": flat}


@pytest.mark.parametrize("drawn", ["vz.plot_images(ONE, ", "vz.plot_images(noise, ['a', 'b'], "])
def test_the_text_reaches_the_pages(kernel, drawn):
    cell = new_code_cell(f"{drawn}alt='Five \"boxes\" < six')", execution_count=1)
    cell.outputs = kernel.run(cell.source)
    notebook = new_notebook(cells=[new_markdown_cell("# Page"), cell])
    for page in (export(notebook, ROOT),
                 HTMLExporter(template_name="classic").from_notebook_node(notebook)[0]):
        (alt,) = (picture["alt"] for picture in BeautifulSoup(page, "html.parser")("img"))
        assert alt == 'Five "boxes" < six'


def test_the_circuit_sheets_panels_are_where_it_says_and_lead_to_their_channel(tiny):
    ranking = vz.rank_kernels(tiny, "block2_conv2", 3, top=5)
    greys = [np.full((8, 8, 3), 40 * (i + 1), "uint8") for i in range(5)]
    taps = vz.kernels(tiny, "block2_conv2", 3)[:, :, ranking.channel]
    figure = vz.plot_circuit(greys, ranking, taps, greys[0])
    picture = Image.open(io.BytesIO(style.png_of(figure)))
    middle, *sheet = style.panels_of(figure)
    assert middle["name"] == "circuit"
    panels = {panel["link"]: panel["box"] for panel in sheet}
    assert set(panels) == {f"#{kind}-{channel}" for channel in ranking.channel
                           for kind in ("channel", "kernel")}
    for grey, channel in zip(greys, ranking.channel, strict=True):
        left, top, width, height = panels[f"#channel-{channel}"]
        middle = [round(share * side) for share, side in
                  zip((left + width / 2, top + height / 2), picture.size, strict=True)]
        assert picture.convert("RGB").getpixel(middle) == tuple(grey[0, 0])
        beside = panels[f"#kernel-{channel}"]
        assert abs(beside[1] + beside[3] / 2 - top - height / 2) < 0.01  # its own row

    named = vz.plot_kernels(tiny, "block2_conv2", 3, ranking)
    style.png_of(named)
    assert [(panel["name"], panel["link"]) for panel in style.panels_of(named)] == [
        (f"kernel-{channel}", "#circuit") for channel in ranking.channel]


def test_an_answer_is_set_off_as_one():
    assert vz.answer("It  names\n16 of 20.").data == "**Answer.** It names 16 of 20."


def test_outside_a_notebook_it_is_a_figure_like_any_other():
    figure = vz.plot_images([[[[9, 9, 9]]]], width=1, alt="One box.")
    assert repr(figure) == "<Figure size 200x200 with 1 Axes>"
    assert pickle.loads(pickle.dumps(figure)).alt == "One box."


def figure_functions():
    """Every function of the house whose result is said to be a figure."""
    modules = [vz, *(importlib.import_module(found.name) for found in
                     pkgutil.walk_packages(techniques.__path__, "techniques."))]
    for module in modules:
        for name, function in vars(module).items():
            if name.startswith("plot_") and function.__module__ == module.__name__:
                yield pytest.param(function, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("function", list(figure_functions()))
def test_every_figure_function_takes_an_alternative_text_and_has_one_of_its_own(function):
    assert inspect.signature(function).parameters["alt"].kind is inspect.Parameter.KEYWORD_ONLY
    first = inspect.getdoc(function).splitlines()[0]
    assert len(first) > 30 and first.endswith("."), "its first line says what is to be seen"


def test_only_the_houses_figures_are_made():
    """A Figure made by hand would not show itself."""
    for path in [ROOT / "vizutils.py", *ROOT.glob("techniques/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and ast.unparse(node.func)
            assert made not in ("Figure", "plt.figure", "plt.subplots"), path.name


# --- the code that the dashboard copies ----------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in dashboard.PANELS if n != "attribution"])
def test_copied_code_shows_its_figure(kernel, name, tiny, pictures_of_noise):
    view = dashboard.View(tiny, "block2_conv2", 3, pictures_of_noise, size=32, steps=3)
    kernel.run("net = mine\npictures = vz.ImageSet(tuple('abcd'), np.full(4, -1), 64, noise)")
    card = dashboard.Card(name, dashboard.PANELS[name], "A")
    card.wait(view)
    code = BeautifulSoup(card.code.value, "html.parser").pre.get_text()
    (found,) = pictures(kernel.run(code))
    assert len(found[1]) > 30


@pytest.fixture
def pictures_of_noise(noise):
    return vz.ImageSet(tuple("abcd"), [-1] * 4, 64, noise)


def test_copied_code_that_stands_alone_shows_its_figure(kernel, vgg16):
    view = dashboard.View(vgg16, "block3_conv2", 17, vz.load_images(size=64), code={
        "net": 'net = vz.load_network("vgg16", weights="packaged")',
        "pictures": "pictures = vz.load_images(size=64)"})
    (found,) = pictures(kernel.run(dashboard.PANELS["attribution"].call(view)))
    assert "methods × targets" in found[1]


# --- the companions' solutions -------------------------------------------------------------------

SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
#: Those that take longer than 20 s with what they need of their notebook.
HEAVY = {"1.3", "2.1", "2.2", "2.3", "3.2", "3.3", "4.1", "4.2", "4.3", "5.1", "5.2", "6.1", "6.2",
         "6.3", "7.1", "7.2", "7.3", "8.3"}
#: Parameters of companions that are made smaller unless VIZUTILS_LONG is set.
QUICK = {"3": "SIZE, STEPS, COPIES, SAMPLES = 64, 4, 2, 16", "5": "STEPS = 8"}


def solutions():
    """(companion, number of the task, the solution's code) of every *Your turn*."""
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        texts = [cell.source for cell in nbformat.read(path, as_version=4).cells
                 if cell.cell_type == "markdown"]
        for number, code in enumerate(SOLUTION.findall("\n".join(texts)), 1):
            name = f"{path.name[0]}.{number}"
            kept = pytest.mark.skipif(name in HEAVY and not LONG, reason="minutes: make test-long")
            yield pytest.param(path, code, id=name, marks=kept)


def needed(path, code):
    """What a solution needs of its notebook: the recipe of a figure made by it."""
    cells = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            cells.append(cell.source)
            if "parameters" in cell.metadata.get("tags", []) and not LONG:
                cells.append(QUICK.get(path.name[0], ""))
    body = textwrap.indent(f'# save_figure("solution")\n{code}return', "    ")
    return recipe_of([*cells, f"def solution():\n{body}"], "solution").partition(
        "def solution():")[0]


def test_every_companion_has_three_solutions():
    assert len([one.id for one in solutions()]) == 3 * len(list(ROOT.glob("notebooks/*.ipynb")))


@pytest.mark.parametrize(("path", "code"), list(solutions()))
def test_a_solution_runs_and_shows_its_picture(kernel, path, code):
    kernel.run(needed(path, code))
    outputs = kernel.run(code)
    last = ast.parse(code).body[-1]
    due = isinstance(last, ast.Expr) and re.search(r"\b(plot_\w+|save_figure)\(", ast.unparse(last))
    found = pictures(outputs)
    assert len(found) == bool(due)
    assert all(len(alt) > 30 for _, alt in found)
    silent = isinstance(last, ast.Assign)  # it changes the dashboard above
    assert bool(outputs) is not silent
    print([output.get("text") or output["data"]["text/plain"] for output in outputs],
          file=sys.stderr)
