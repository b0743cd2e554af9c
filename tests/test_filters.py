"""The report on other filters, each executed in full: minutes, so only on request.

    make test-filters

The list holds early and late layers, two dull filters (the weakest of their layer on 1,000
photographs) and two whose ten strongest kernels all, or nearly all, inhibit.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tools import report

ROOT = Path(__file__).parent.parent
FILTERS = [
    ("block2_conv2", 5),
    ("block2_conv2", 32),  # dull
    ("block3_conv1", 191),  # the largest kernel of the report's own filter
    ("block3_conv2", 128),  # ten of its ten strongest kernels inhibit
    ("block3_conv3", 54),  # dull
    ("block4_conv1", 120),  # inhibition again
    ("block4_conv2", 17),
    ("block5_conv1", 25),
]

pytestmark = pytest.mark.skipif("VIZUTILS_LONG" not in os.environ,
                                reason="minutes; make test-filters runs it")


@pytest.mark.parametrize(("layer", "filter"), FILTERS)
def test_the_report_on_another_filter(layer, filter, record_property):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tools.report", "lab3_circuit.ipynb", f"LAYER={layer}",
         f"FILTER={filter}", "PROFILE=quick"], cwd=ROOT, capture_output=True, text=True)
    seconds = time.monotonic() - began
    record_property("seconds", round(seconds))
    print(f"{layer} {filter}: {seconds:.0f} s")
    assert done.returncode == 0, done.stderr[-3000:]

    path = ROOT / "build" / f"vgg16_{layer}_{filter}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    (cell,) = report.tagged(notebook, "summary")
    found = json.loads(cell.outputs[0].text)
    assert (found["layer"], found["filter"]) == (layer, filter)
    assert found["verdict"] in ("supported", "refuted", "undecided")
    assert path.with_suffix(".html").stat().st_size > 1e5
    # Nothing of what was said by hand about the report's own filter may remain.
    told = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for words in ("ilter 37", "rim of", "The author", "Reading.", "191"):
        assert words not in told
    assert "light below dark" not in code and "210°" not in code
    others = {"block3_conv2"} - {layer}
    assert not any(name in told for name in others)
