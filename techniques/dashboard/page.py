"""What ``make dashboard`` shows: the dashboard on a page of its own."""

from __future__ import annotations

import html
import os

import ipywidgets as widgets

from techniques.dashboard.address import asked
from techniques.dashboard.board import Dashboard
from techniques.dashboard.files import BUILD
from techniques.dashboard.look import DARK, paragraph
from techniques.dashboard.runner import sentence

#: Folded beside the heading: nothing to read stands between a reader and the pictures.
ABOUT = """<details style="margin: 0 6px; max-width: 60rem"><summary>What is this?</summary>
<p style="line-height: 1.4">A filter of a layer answers to some patterns and not to others. Its
<em>feature picture</em> is drawn from noise until it excites the filter, without any photograph.
The chosen photograph is what the panels about a picture look at, such as the <em>activation
map</em>; <em>strongest patches</em> come from all pictures on offer, yours too, but not from their
borders, where a filter sees what lies beyond the picture. Small pictures on the sheet are drawn in
few steps, to browse by.</p>
<p style="line-height: 1.4"><em>Pre-activation</em>: a filter's value before its ReLU cuts off what
is below zero. <em>Weak</em>: a picture whose largest answer beats fewer than 95 % of photographs.
<em>L2 norm</em>: a kernel's size, the root of the sum of its squared weights. <em>Logit</em>: a
class's score before it becomes a probability. <em>SSIM</em>: how alike two pictures are, 1 for the
same. <em>Padding</em>: the zeros that stand beyond a picture's border.</p></details>"""


def page(query: str | None = None, **options) -> widgets.VBox:
    """A dashboard that begins with what the page's address asks for.

    Parameters
    ----------
    query : str, optional
        What follows the address's question mark; as Voilà tells it by default.
    **options
        Of `Dashboard`; what the address says goes before them.
    """
    query = os.environ.get("QUERY_STRING", "") if query is None else query
    wanted, problem = asked(query)
    board, refused = _begun(options | {"address": True}, wanted)
    board.message.value = paragraph(f"{problem} {refused}".strip(), problem=True)
    heading = ('<div style="display: flex; flex-wrap: wrap; align-items: baseline">'
               '<h1 style="font-size: 20px; margin: 2px 6px">Dashboard: what a filter looks for'
               f"</h1>{ABOUT}</div>")
    alone = "VIZUTILS_FILES" in os.environ and "theme=" not in query  # no JupyterLab around it
    return widgets.VBox([widgets.HTML((DARK if alone else "") + heading), board,
                         widgets.HTML(_links())])


#: What is left out of an address together, where it cannot be had.
_TOGETHER = (("beside", "beside_network", "beside_picture"), ("picture",), ("preset",), ("shown",),
             ("filter",), ("layer", "filter"), ("network", "layer", "filter"))


def _begun(options: dict, wanted: dict) -> tuple[Dashboard, str]:
    """The dashboard with as much of what is wanted as can be had, and why that is not all."""
    problem = ""
    for left_out in ((), *(some for some in _TOGETHER if set(some) & set(wanted)), tuple(wanted)):
        kept = {name: value for name, value in wanted.items() if name not in left_out}
        try:
            return Dashboard(**{**options, **kept}), problem
        except (ValueError, FileNotFoundError) as error:
            problem = problem or f"{sentence(error)} The page begins as it does without that."
    raise ValueError(problem)  # nor without an address


def _links() -> str:
    """Where to read on: the pages that have been built."""
    served = os.environ.get("VIZUTILS_FILES", "")
    pages = (("The report", "lab3_circuit.html", "make report"),
             ("All notebooks", "site/index.html", "make site"),
             ("The explorer", "explorer/index.html", "make explorer"))
    said = [f'<a href="{html.escape(served)}build/{path}" target="_blank" rel="noopener">'
            f"{words}</a>" if served and (BUILD / path).exists()
            else f"{words}: made by <code>{command}</code>"
            for words, path, command in pages]
    return f"<p>{' · '.join(said)}</p>"
