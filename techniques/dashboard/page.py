"""What ``make dashboard`` shows: the dashboard on a page of its own."""

from __future__ import annotations

import html
import os

import ipywidgets as widgets

from techniques.dashboard.address import asked
from techniques.dashboard.board import Dashboard
from techniques.dashboard.files import BUILD
from techniques.dashboard.look import paragraph
from techniques.dashboard.runner import sentence


def page(query: str | None = None, **options) -> widgets.VBox:
    """A dashboard that begins with what the page's address asks for.

    Parameters
    ----------
    query : str, optional
        What follows the address's question mark; as Voilà tells it by default.
    **options
        Of `Dashboard`; what the address says goes before them.
    """
    wanted, problem = asked(os.environ.get("QUERY_STRING", "") if query is None else query)
    options |= {"address": True}
    try:
        board = Dashboard(**{**options, **wanted})
    except (ValueError, FileNotFoundError) as error:
        problem = f"{problem} {sentence(error)} The page begins as it does without that.".strip()
        board = Dashboard(**options)
    board.message.value = paragraph(problem, problem=True)
    return widgets.VBox([widgets.HTML('<h1 style="font-size: 20px; margin: 2px 6px">'
                                      "Dashboard: what a filter looks for</h1>"), board,
                         widgets.HTML(_links())])


def _links() -> str:
    """Where to read on: the pages that have been built."""
    served = os.environ.get("VIZUTILS_FILES", "")
    pages = (("The report", "lab3_circuit.html", "make report"),
             ("All notebooks", "site/index.html", "make site"),
             ("The explorer", "explorer/index.html", "make explorer"))
    said = [f'<a href="{html.escape(served)}build/{path}" target="_blank" rel="noopener">'
            f"{words}</a>" if served and (BUILD / path).exists() else f"{words}: {command}"
            for words, path, command in pages]
    return f"<p>{' · '.join(said)}</p>"
