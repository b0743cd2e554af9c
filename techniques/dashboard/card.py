"""A panel's place on the page: its picture, what is being done, and the buttons for it."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as widgets
from matplotlib.figure import Figure

import vizutils as vz
from engine import style
from techniques.dashboard.look import COPY, encoded, image_tag, paragraph, progress_words
from techniques.dashboard.panels import Panel
from techniques.dashboard.runner import Listener, sentence
from techniques.dashboard.views import View


class Card(Listener):
    """One panel's place: its picture, what is being done, and what can be done with it.

    Parameters
    ----------
    name : str
        The panel's, in the dashboard's table.
    panel : Panel
    side : str
        The side's letter, for those who hear the buttons' names instead of seeing their place.
    """

    def __init__(self, name: str, panel: Panel, side: str):
        self.name, self.panel = name, panel
        self.view: View | None = None
        self.figure: Figure | None = None
        self.alt, self.working = "", False
        self.switch = widgets.Button(layout=widgets.Layout(width="auto"))
        self.save = widgets.Button(description="Save figure", disabled=True,
                                   layout=widgets.Layout(width="auto"),
                                   tooltip=f"Save the figure with its parameters: {panel.title}, "
                                           f"side {side}")
        self._about = f": {panel.title}, side {side}"
        self.bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="110px"))
        self.status, self.picture, self.words, self.code = (widgets.HTML() for _ in range(4))
        tools = widgets.HBox([self.switch, self.save, self.bar, self.status],
                             layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self.widget = widgets.VBox(
            [widgets.HTML(f"<h4>{html.escape(panel.title)}</h4>"), self.picture, self.words, tools,
             self.code], layout=widgets.Layout(width=f"{panel.width * style.SCREEN + 36:.0f}px",
                                               overflow="hidden"))
        self.widget.add_class("vzd-card")
        self._set_working(False)

    def _set_working(self, working: bool) -> None:
        """The one button stops what runs, and begins again what does not."""
        self.working = working
        self.switch.description = "Cancel" if working else "Draw again"
        self.switch.tooltip = ("Stop drawing" if working else "Draw again") + self._about

    def is_of(self, view: View) -> bool:
        """Whether what is shown (or on its way) is what the panel shows of this view."""
        return self.view is not None and all(
            getattr(self.view, name) == getattr(view, name) for name in self.panel.uses)

    def wait(self, view: View) -> None:
        """Another view is to come: what is shown is no longer true."""
        self.view, self.figure, self.alt = view, None, ""
        self._set_working(True)
        self.words.value, self.bar.value, self.save.disabled = "", 0, True
        self.picture.value = '<div class="vzd-wait">waiting for its turn</div>'
        self.status.value = ""
        try:
            code = self.panel.call(view)
        except Exception as error:  # what it cannot show, it cannot write either
            code = f"# {sentence(error)}"
        self.code.value = (f"<details><summary>The call that makes this figure</summary>"
                           f"<pre>{html.escape(code)}</pre>{COPY}</details>")

    def began(self):
        """Say that it is this panel's turn."""
        self.picture.value = '<div class="vzd-wait">working</div>'

    def shown(self, picture, alt):
        """Show a frame, or the finished figure."""
        live = not isinstance(picture, Figure)
        width = round((self.panel.width if live else picture.get_figwidth()) * style.SCREEN)
        self.figure, self.alt = (None, alt) if live else (picture, alt)
        self.picture.value = image_tag(encoded(picture), alt, width=width, live=live)
        self.words.value = paragraph(alt)

    def progressed(self, share, seconds_left):
        """Move the bar and tell the time left."""
        self.bar.value, self.status.value = share, progress_words(share, seconds_left)

    def ended(self, problem):
        """Done, or a sentence about what went wrong."""
        self._set_working(False)
        self.save.disabled = self.figure is None
        self.bar.value, self.status.value = (0, "") if problem else (1, "done")
        if problem:
            self.picture.value, self.words.value = "", paragraph(problem, problem=True)

    def stopped(self) -> None:
        """Cancelled by hand: a frame that is shown stays, and is said to be unfinished."""
        self._set_working(False)
        self.status.value = "cancelled"
        if "vzd-wait" in self.picture.value:
            self.picture.value = ""

    def write(self) -> None:
        """Save the figure with its parameters."""
        view = self.view
        name = f"dashboard_{self.name}_{view.net.name}_{view.layer}_{view.filter}"
        if "picture" in self.panel.uses:
            name += f"_{Path(view.pictures.names[view.picture]).stem}"
        try:
            saved = vz.save_figure(self.figure, name.replace(" ", "_"), alt=self.alt,
                                   panel=self.name, recipe=self.panel.call(view),
                                   **view.parameters)
            self.status.value = f"saved as {html.escape(saved.path.name)}"
        except OSError as error:
            self.status.value = paragraph(f"not saved: {sentence(error)}", problem=True)
