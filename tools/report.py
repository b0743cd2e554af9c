"""Run the report on another filter: the same notebook with other parameters.

    python tools/report.py NOTEBOOK LAYER=block4_conv2 FILTER=17 [PROFILE=quick] ...

writes build/<network>_<layer>_<filter>.html and the executed notebook beside it.
Any parameter of the notebook can be given; NOTEBOOK itself is only read. NETWORK may
be the file of a model of yours, with the names of its classes in CLASSES, pictures of
them in the folder PICTURES, and in PREPROCESS what is done to a picture of 0-255 before
the model sees it. For another unit than the one it was written about, cells tagged
`only-pinned` (what was said by hand about that unit) are left out, for another network
those tagged `only-vgg16`, for PROFILE=quick those tagged `only-full`; the figures are
numbered anew, and sentences that would be untrue are said otherwise (rewording.toml).
"""

import dataclasses
import re
import sys
from pathlib import Path

from nbclient.exceptions import CellExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from tools import execute, export_html
from tools.rewording import in_words, reword

PINNED = ("NETWORK", "WEIGHTS", "LAYER", "FILTER")  # another one of these, another unit
PROFILES = ("quick", "full")

CAPTION = re.compile(r"^\*\*Figure (\d+)\.\*\*", re.MULTILINE)
MENTION = re.compile(r"\bFigure\s+\d+|\bFigures\s+\d+(?:(?:\s*[-–,]\s*|,?\s+and\s+)\d+)*")


def tagged(notebook, tag):
    """The cells of a notebook that carry a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def parameters_of(notebook):
    """A notebook's parameters and their values: what its `parameters` cell assigns."""
    values = {}
    for cell in tagged(notebook, "parameters"):
        # one scope, as in a notebook: in two, a comprehension sees the cell's names from Python
        # 3.12 on only
        exec(cell.source, values)
    values.pop("__builtins__", None)
    return values


def read_parameters(words, defaults):
    """Turn words like ``FILTER=17`` into parameters.

    Parameters
    ----------
    words : sequence of str
    defaults : dict
        The notebook's own; each value gets the type of its default.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If there is no such parameter, or it cannot have such a value.
    """
    asked = {}
    for name, _, text in (word.partition("=") for word in words):
        if name not in defaults:
            raise ValueError(f"The notebook has no parameter {name}; it has {', '.join(defaults)}.")
        try:
            asked[name] = type(defaults[name])(text)
        except ValueError:
            raise ValueError(f"{name}={text} cannot be: give something like "
                             f"{name}={defaults[name]}.") from None
    if asked.get("PROFILE", "full") not in PROFILES:
        raise ValueError(f"PROFILE is {' or '.join(PROFILES)}, not {asked['PROFILE']}.")
    return asked


def captions(cells):
    """The numbers of the figures that Markdown captions introduce."""
    texts = (cell.source for cell in cells if cell.cell_type == "markdown")
    return [int(number) for text in texts for number in CAPTION.findall(text)]


def renumber(cell, numbers, tag):
    """Give a cell's figures, and those it mentions, the numbers of the dict `numbers`.

    `tag` is named if one has none.
    """

    def number(match):
        if int(match[0]) not in numbers:
            opening = cell.source.strip().partition("\n")[0]
            raise ValueError(
                f"Cell {cell.get('id')} ({opening!r}) mentions Figure {match[0]}, which stands in "
                f"a cell tagged {tag}: tag this cell too, or leave the mention out.")
        return str(numbers[int(match[0])])

    cell.source = MENTION.sub(lambda mention: re.sub(r"\d+", number, mention[0]), cell.source)


def leave_out(notebook, tag):
    """Take the cells with a tag out of a notebook, in place, and number its figures anew.

    Raises
    ------
    ValueError
        If a cell that stays, text or code, mentions a figure that went.
    """
    before, gone = captions(notebook.cells), tagged(notebook, tag)
    notebook.cells = [cell for cell in notebook.cells if cell not in gone]
    kept = captions(notebook.cells)
    if kept != before:
        for cell in notebook.cells:
            renumber(cell, {old: new for new, old in enumerate(kept, 1)}, tag)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is known of a network before a report on it is run; `check` finds out.

    Attributes
    ----------
    network : str
        What the report calls it.
    imagenet : bool
        Whether it names ImageNet's classes.
    top : int
        How many kernels can be ranked, of those asked for.
    """

    network: str = "vgg16"
    imagenet: bool = True
    top: int = 10


def prepare(source, asked, subject=None):
    """A notebook as it is to be run.

    Parameters
    ----------
    source : path
        The committed notebook; it is only read.
    asked : dict
        Parameters that differ from its own.
    subject : Subject, optional
        What `check` returned; VGG16 by default.

    Returns
    -------
    NotebookNode
        Without outputs, and with a cell after its parameters that sets `asked`.
    """
    notebook = load_notebook_node(str(source))
    for cell in notebook.cells:
        if cell.cell_type == "code":  # if it fails, nothing of the committed run must remain
            cell.outputs, cell.execution_count = [], None
    own = parameters_of(notebook)
    unit = {**own, **asked}
    subject = subject or Subject(top=unit.get("TOP", 10))
    reword(notebook, _kinds(own, unit, subject), {
        "network": subject.network, "layer": str(unit.get("LAYER", "")),
        "top": in_words(subject.top)})
    if any(unit[name] != own[name] for name in PINNED if name in own):
        leave_out(notebook, "only-pinned")
    if subject.network != "vgg16":
        leave_out(notebook, "only-vgg16")
    if asked.get("PROFILE") == "quick":
        leave_out(notebook, "only-full")
    return parameterize_notebook(notebook, asked)


def _kinds(own, unit, subject):
    """Which texts are to be said otherwise; see `tools.rewording.KINDS`."""
    kinds = {"top"} if subject.top != 10 else set()
    if any(unit[name] != own[name] for name in PINNED if name in own):
        kinds.add("unit")
    if subject.network != "vgg16":
        kinds |= {"network", "imagenet" if subject.imagenet else "own"}
    return kinds


def check(unit, filters):
    """Refuse what the network does not have, before a kernel is started for it.

    A notebook that has a parameter CLASSES (the names of the classes, in a file) is written for
    any network; one without it for VGG16.

    Returns
    -------
    Subject
        For `prepare`.

    Raises
    ------
    ValueError, OSError
        In a sentence that lists what there is.
    """
    from techniques import subject  # and TensorFlow with it: seconds

    given = {name.lower(): unit[name] for name in ("CLASSES", "PREPROCESS") if unit.get(name)}
    net = subject.load(unit["NETWORK"], unit["WEIGHTS"], **given)
    if not subject.is_vgg16(net) and "CLASSES" not in unit:
        raise ValueError(f"The report's text is about vgg16, not {unit['NETWORK']}. In Python, "
                         "techniques.analysis.analyse takes any network.")
    for number in filters:
        subject.check(net, unit["LAYER"], number)
    if net.responses is None:
        subject.check_pictures(net, unit["LAYER"], filters, unit.get("PICTURES", ""),
                               seed=unit.get("SEED", 0))
    top = subject.fitting_top(net, unit["LAYER"], unit.get("TOP", 10))
    # a file's ending stays where VGG16 itself would be meant without it
    name = Path(unit["NETWORK"]).name if net.name == "vgg16" else net.name
    return Subject(name, subject.is_imagenet(net), top)


def request(source, words):
    """What is asked for: the parameters that were given, all of them, and the files' name."""
    own = parameters_of(load_notebook_node(str(source)))
    asked = read_parameters(words, own)
    unit = {**own, **asked}
    weights = [] if unit["WEIGHTS"] == own["WEIGHTS"] else [Path(unit["WEIGHTS"]).stem]
    network = re.sub(r"\.(keras|h5|hdf5)$", "", Path(unit["NETWORK"]).name)  # or a file's path
    stem = "_".join(map(str, [network, unit["LAYER"], unit["FILTER"], *weights])).replace("/", "-")
    return asked, unit, stem if asked.keys() & set(PINNED) else Path(source).stem


def publish(prepared):
    """Run a notebook and write it and its page, or end the program with a sentence.

    Parameters
    ----------
    prepared : callable
        Returns the notebook, the folder it runs in, and the path it is written to; what it
        raises is bad input.
    """
    try:
        notebook, folder, target = prepared()
        figures = Path("build/figures", target.stem).resolve()
        execute.run(notebook, folder, target, environment={"VIZUTILS_FIGURES": str(figures)})
    except (ValueError, OSError) as problem:
        sys.exit(str(problem))
    except CellExecutionError as error:
        sys.exit(f"{error}\nThe notebook stopped at the cell above; {target} was not written.")
    export_html.main(target, target.with_suffix(".html"))


def main(source, *words):
    """Run `source` with the parameters in `words`; write the notebook and its page to build/."""

    def prepared():
        asked, unit, stem = request(source, words)
        notebook = prepare(source, asked, check(unit, [unit["FILTER"]]))
        return notebook, Path(source).resolve().parent, Path("build", f"{stem}.ipynb")

    publish(prepared)


if __name__ == "__main__":
    main(*sys.argv[1:])
