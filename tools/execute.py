"""Execute a notebook from top to bottom in a fresh kernel and save the result.

    python tools/execute.py SOURCE TARGET

With SOURCE as TARGET this is how an author saves a notebook (`make execute`);
nothing else in the project changes one. If a cell fails, TARGET stays as it was.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.validator import normalize

CELL_TIMEOUT = 1800  # seconds
PICTURES = "image/png", "image/jpeg"


def is_stderr(output):
    """Whether an output is a stream of warnings and progress, not a result."""
    return output.output_type == "stream" and output.name == "stderr"


def picture_in(output):
    """The kind of the picture that an output shows, ``image/png`` or ``image/jpeg``; else None."""
    return next((kind for kind in PICTURES if kind in output.get("data", {})), None)


def describe_pictures(cell):
    """Give a cell's pictures the alternative text in its metadata (`alt`), for want of another.

    The house's figures bring one along; pyplot's and Pillow's cannot.
    """
    for output in cell.outputs:
        if (kind := picture_in(output)) and "alt" in cell.metadata:
            output.metadata.setdefault(kind, {}).setdefault("alt", cell.metadata["alt"])


def tidy(notebook):
    """Bring an executed notebook into the form in which it is committed.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place.

    Returns
    -------
    NotebookNode
        The same, with a valid id for every cell.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first with cell ids
    notebook.metadata.pop("widgets", None)
    notebook.metadata.update(
        # What Colab asks for, and no release of Python: any that runs it may save it.
        accelerator="GPU",
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        language_info={"name": "python"},
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs
                            if not is_stderr(output) and output.get("data") != {}]  # a bar's place
            describe_pictures(cell)
    return normalize(notebook)[1]


def execute(notebook, folder, *, environment=None, on_section=lambda heading: None):
    """Run every cell of a notebook.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place: it gets the new outputs.
    folder : path
        Where its kernel runs.
    environment : dict, optional
        Variables that the kernel has besides those of this process.
    on_section : callable
        Called with the first line of each Markdown cell that opens with a heading.

    Returns
    -------
    NotebookNode
        The same, tidied.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises; its text holds the cell and the traceback.
    """

    def announce(cell, cell_index):
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            on_section(cell.source.splitlines()[0].lstrip("# "))

    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        startup_timeout=180,
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        on_cell_start=announce,
        resources={"metadata": {"path": str(folder)}},
    ).execute(
        stderr=subprocess.DEVNULL,  # chatter of libraries; errors come as outputs
        env={**os.environ, **(environment or {})},
    )
    return tidy(notebook)


def run(notebook, folder, target, *, environment=None):
    """Execute a notebook in `folder`, write `target` and say how long it took."""
    began = time.monotonic()

    def report(text):
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    notebook = execute(notebook, folder, environment=environment, on_section=report)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    report(f"wrote {target}")


def main(source, target):
    """Execute the notebook `source` in its own folder and write `target`."""
    source, target = Path(source), Path(target)
    if not source.exists():
        sys.exit(f"{source} does not exist; run make from the folder that holds the Makefile.")
    try:
        run(nbformat.read(source, as_version=4), source.resolve().parent, target)
    except CellExecutionError as error:
        sys.exit(f"{error}\n{source} stopped at the cell above; {target} was not written.")


if __name__ == "__main__":
    main(*sys.argv[1:])
