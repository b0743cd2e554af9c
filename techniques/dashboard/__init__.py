"""A dashboard: point at a filter and watch what is known of it appear.

``views``: what is looked at; ``runner``: work in a thread, and its cancellation; ``panels``: what
each figure shows, and the code that makes it without a dashboard (`draw` makes one); ``files``:
uploads and contact sheets; ``look``: CSS, HTML, the copy button; ``card``, ``sheet``, ``board``:
the widgets, of which `Dashboard` is the whole. A file imports only from those named before it.

The widgets run with ipywidgets 7.7 (Colab) and 8; the thread only sets their traits.
"""

from techniques.dashboard.board import Dashboard, Side, middle
from techniques.dashboard.card import Card
from techniques.dashboard.files import (
    SheetFile,
    atlas_folder,
    draw_sheet,
    find_sheet,
    read_uploads,
)
from techniques.dashboard.look import encoded, image_tag, in_words
from techniques.dashboard.panels import FILTER, PANELS, PICTURE, Panel, draw, plot_activation
from techniques.dashboard.runner import Cancelled, Job, Listener, Runner, Task, sentence
from techniques.dashboard.sheet import Sheet
from techniques.dashboard.views import GIVEN, SIZE, View, join, resized

__all__ = [
    "Dashboard", "View", "Panel", "PANELS", "draw", "plot_activation", "join", "resized", "SIZE",
    "GIVEN", "FILTER", "PICTURE", "Runner", "Job", "Task", "Listener", "Cancelled", "sentence",
    "read_uploads", "SheetFile", "atlas_folder", "find_sheet", "draw_sheet", "encoded",
    "image_tag", "in_words", "Card", "Sheet", "Side", "middle",
]
