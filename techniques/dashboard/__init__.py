"""A dashboard: point at a filter and watch what is known of it appear.

``views``: what is looked at; ``runner``: work in a thread, and its cancellation; ``panels``: what
each figure shows, and the code that makes it without a dashboard (`draw` makes one); ``files``:
uploads and contact sheets; ``look``: CSS, HTML, the copy button; ``script``: what only JavaScript
can do; ``entries``, ``card``, ``sheet``, ``side``, ``board``: the widgets, of which `Dashboard` is
the whole; ``address``: what is chosen, in words that can be sent; ``page``: what ``make dashboard``
shows. No file imports from one that imports from it.

The widgets run with ipywidgets 7.7 (Colab) and 8; the thread only sets their traits.
"""

from techniques.dashboard.address import asked
from techniques.dashboard.board import Dashboard
from techniques.dashboard.card import Card, Kept
from techniques.dashboard.entries import Number
from techniques.dashboard.files import (
    SheetFile,
    Upload,
    atlas_folder,
    draw_sheet,
    find_sheet,
    read_uploads,
)
from techniques.dashboard.look import encoded, image_tag, in_words
from techniques.dashboard.page import page
from techniques.dashboard.panels import (
    FILTER,
    PANELS,
    PICTURE,
    Lead,
    Panel,
    draw,
    plot_activation,
)
from techniques.dashboard.runner import Cancelled, Job, Listener, Runner, Task, sentence
from techniques.dashboard.sheet import Sheet
from techniques.dashboard.side import Side, middle
from techniques.dashboard.views import GIVEN, SIZE, View, brief, join, names_of, resized

__all__ = [
    "Dashboard", "View", "Panel", "Lead", "PANELS", "draw", "plot_activation", "join", "resized",
    "brief", "names_of", "SIZE", "GIVEN", "FILTER", "PICTURE", "Runner", "Job", "Task", "Listener",
    "Cancelled", "sentence", "read_uploads", "Upload", "SheetFile", "atlas_folder", "find_sheet",
    "draw_sheet", "encoded", "image_tag", "in_words", "Card", "Kept", "Sheet", "Side", "Number",
    "middle", "asked", "page",
]
