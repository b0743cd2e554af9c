"""Run a companion notebook on any picture.

    python tools/companion.py 2 IMAGE=cat.jpg [SEED=1] ...

writes build/<name>.ipynb and the page build/<name>.html. Any parameter of the notebook can be
given; the committed notebook is only read. On another picture than the packaged one, cells
tagged `only-pinned` (what was said by hand about that one) are left out.
"""

import sys
from pathlib import Path

from tools import report


def find(number, folder="notebooks"):
    """The companion of that number.

    Raises
    ------
    ValueError
        In a sentence that lists the companions there are.
    """
    there = sorted(Path(folder).glob("[0-9]*_*.ipynb"))
    found = [path for path in there if path.name.partition("_")[0] == number]
    if not found:
        names = ", ".join(path.name for path in there) or "none"
        raise ValueError(f"There is no companion {number!r}; say N=2 for the one whose name begins "
                         f"with 2. In {folder}/ there are: {names}.")
    return found[0]


def whole_path(picture):
    """The full path of a picture that can be read: the notebook's kernel runs in another folder.

    Raises
    ------
    ValueError
        In a sentence that names the file.
    """
    import vizutils as vz  # and TensorFlow with it: seconds

    path = Path(picture).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"There is no picture {picture}: give a file's path, IMAGE=cat.jpg.")
    try:
        vz.read_image(path, size=8)
    except (OSError, ValueError) as problem:  # it says what to do
        raise ValueError(f"IMAGE cannot be read: {problem}") from None
    return str(path)


def prepare(source, words):
    """The notebook as it is to be run, with the parameters in `words`."""
    own = report.parameters_of(report.load_notebook_node(str(source)))
    asked = report.read_parameters(words, own)
    if asked.get("IMAGE"):
        asked["IMAGE"] = whole_path(asked["IMAGE"])
    notebook = report.prepare(source, asked)
    if asked.get("IMAGE"):
        report.leave_out(notebook, "only-pinned")
    return notebook


def main(number, *words):
    """Run a companion with the parameters in `words`; write it and its page to build/."""

    def prepared():
        source = find(number)
        return prepare(source, words), source.resolve().parent, Path("build", source.name)

    report.publish(prepared)


if __name__ == "__main__":
    main(*sys.argv[1:])
