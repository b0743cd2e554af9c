"""A panel's place on the page: its picture, what is being done, and the buttons for it."""

from __future__ import annotations

import base64
import html
import io
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
from matplotlib.figure import Figure

import vizutils as vz
from data import HOME
from engine import style
from techniques.dashboard.files import find_sheet
from techniques.dashboard.look import (
    code_block,
    download,
    encoded,
    image_tag,
    paragraph,
    progress_words,
)
from techniques.dashboard.panels import Lead, Panel
from techniques.dashboard.runner import Listener, sentence
from techniques.dashboard.views import View

LEAD = 64  #: px of a tile that leads to another channel


@dataclass(frozen=True, eq=False)
class Finished:
    """What a card showed when it was finished."""

    figure: Figure
    alt: str
    picture: str
    leads: tuple[Lead, ...]


class Kept:
    """Finished panels, so that going back draws nothing; the longest unused go first."""

    def __init__(self, room: int = 150):
        self._room, self._finished = room, OrderedDict()

    @staticmethod
    def _key(name: str, panel: Panel, view: View) -> tuple:
        return name, *(getattr(view, used) for used in panel.uses)

    def add(self, name: str, panel: Panel, view: View, finished: Finished) -> None:
        """Keep a panel of a view."""
        self._finished[self._key(name, panel, view)] = finished
        while len(self._finished) > self._room:
            self._finished.popitem(last=False)

    def find(self, name: str, panel: Panel, view: View) -> Finished | None:
        """What is kept of a panel for this view, if anything is."""
        key = self._key(name, panel, view)
        if key in self._finished:
            self._finished.move_to_end(key)
        return self._finished.get(key)


class Card(Listener):
    """One panel's place: its picture, what is being done, and what can be done with it.

    Parameters
    ----------
    name : str
        The panel's, in the dashboard's table.
    panel : Panel
    side : str
        The side's letter, for those who hear the buttons' names instead of seeing their place.
    kept : Kept, optional
        Where finished figures are kept.
    go : callable, optional
        ``go(layer, filter)``: goes to another channel.
    resize : callable, optional
        ``resize(px)``: has pictures drawn at another size.
    folder : path, optional
        Of contact sheets.
    """

    def __init__(self, name: str, panel: Panel, side: str, *, kept: Kept | None = None,
                 go: Callable[[str, int], None] | None = None,
                 resize: Callable[[int], None] | None = None, folder=None):
        self.name, self.panel = name, panel
        self._kept, self._go, self._folder = kept or Kept(), go, folder
        self._leads: tuple[Lead, ...] = ()
        self.view: View | None = None
        self.figure: Figure | None = None
        self.alt, self.working = "", False
        self._about = f": {panel.title}, side {side}"
        auto = widgets.Layout(width="auto")
        self.switch, self.save, self.larger = (widgets.Button(layout=auto) for _ in range(3))
        self.save.description, self.save.disabled = "Save figure", True
        self.save.tooltip = f"Save the figure with its parameters{self._about}"
        self.larger.layout = widgets.Layout(width="auto", display="none")
        self.larger.tooltip = f"Draw it large enough{self._about}"
        self.larger.on_click(lambda _: resize(self._wanted))
        self.bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="110px"))
        self.status, self.picture, self.words, self.code, self._look = (
            widgets.HTML() for _ in range(5))
        self.words.add_class("vzd-words")
        tools = widgets.HBox([self.switch, self.save, self.larger, self.bar, self.status],
                             layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self.tiles = widgets.Box(layout=widgets.Layout(display="flex", flex_flow="row wrap"))
        self.widget = widgets.VBox(
            [widgets.HTML(f"<h3>{html.escape(panel.title)}</h3>"), self.picture, self.words,
             self.tiles, tools, self.code, self._look],
            layout=widgets.Layout(width=f"{panel.width * style.SCREEN + 36:.0f}px",
                                  overflow="hidden"))
        self.widget.add_class("vzd-card")
        self._class = f"vzd-{self._look.model_id[:12]}"
        self.tiles.add_class(self._class)
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

    def _begin(self, view: View) -> None:
        """Another view: what is shown is no longer true."""
        self.view, self.figure, self.alt, self._leads = view, None, "", ()
        self.save.disabled, self.larger.layout.display, self.tiles.children = True, "none", ()
        try:
            code = self.panel.call(view)
        except Exception as error:  # what it cannot show, it cannot write either
            code = f"# {sentence(error)}"
        self.code.value = code_block("The call that makes this figure", code)

    def wait(self, view: View) -> None:
        """Another view is to come."""
        self._begin(view)
        self._set_working(True)
        self.words.value, self.bar.value, self.status.value = "", 0, ""
        self.picture.value = '<div class="vzd-wait">waiting for its turn</div>'

    def recall(self, view: View) -> bool:
        """Show what was finished for this view before; tells whether there was anything."""
        found = self._kept.find(self.name, self.panel, view)
        if found is not None:
            self._begin(view)
            self.figure, self.alt, self._leads = found.figure, found.alt, found.leads
            self.picture.value, self.words.value = found.picture, paragraph(found.alt)
            self._finish()
        return found is not None

    def began(self):
        """Say that it is this panel's turn."""
        self.picture.value = '<div class="vzd-wait">working</div>'

    def shown(self, picture, alt):
        """Show a frame, or the finished figure."""
        live = not isinstance(picture, Figure)
        width = round((self.panel.width if live else picture.get_figwidth()) * style.SCREEN)
        self.figure, self.alt = (None, alt) if live else (picture, alt)
        self.picture.value = image_tag(encoded(picture), alt, width=width, live=live)
        self.words.value = paragraph(alt, quiet=live)  # a frame is not announced

    def progressed(self, share, seconds_left):
        """Move the bar and tell the time left."""
        self.bar.value, self.status.value = share, progress_words(share, seconds_left)

    def ended(self, problem):
        """Done, or a sentence about what went wrong."""
        if problem:
            self._set_working(False)
            self.bar.value, self.status.value = 0, ""
            self.picture.value, self.words.value = "", paragraph(problem, problem=True)
            return
        if self.panel.leads is not None:
            self._leads = tuple(self.panel.leads(self.view))
        if self.figure is not None:
            self._kept.add(self.name, self.panel, self.view, Finished(
                self.figure, self.alt, self.picture.value, self._leads))
        self._finish()

    def _finish(self) -> None:
        """The figure is there: what can be done with it."""
        self.save.disabled = self.figure is None
        self.bar.value, self.status.value = 1, "done"
        advised = re.search(r"\bsize=(\d+) avoids", self.alt)
        if advised:
            self._wanted = int(advised[1])
            self.larger.description = f"Draw at {self._wanted} px"
            self.larger.layout.display = ""
        self._show_leads()
        self._set_working(False)

    def _show_leads(self) -> None:
        """A tile for each channel that the figure shows."""
        if not self._leads or self._go is None:
            return
        found = find_sheet(self.view.net, self._leads[0].layer, folder=self._folder)
        rules = []
        if found is not None:
            buffer = io.BytesIO()
            found.tiles([lead.filter for lead in self._leads], LEAD).save(buffer, "JPEG",
                                                                          quality=85)
            strip = base64.b64encode(buffer.getvalue()).decode()
            rules = [f".{self._class} .vzd-tile {{ background-image: linear-gradient(transparent "
                     "76%, rgba(0, 0, 0, 0.8) 76%), "
                     f"url(data:image/jpeg;base64,{strip}); color: #fff }}"]
            rules += [f".{self._class} .vzd-tile:nth-child({i + 1}) {{ background-position: 0 0, "
                      f"-{i * LEAD}px 0 }}" for i in range(len(self._leads))]
        self._look.value = f"<style>{' '.join(rules)}</style>"
        self.tiles.children = [self._tile(lead, found is not None) for lead in self._leads]

    def _tile(self, lead: Lead, drawn: bool) -> widgets.Button:
        tile = widgets.Button(
            description=f"{lead.filter} {style.SIGNS.get(lead.words, '')}".rstrip(),
            tooltip=f"Go to {lead.layer}, filter {lead.filter} ({lead.words}){self._about}",
            layout=widgets.Layout(width=f"{LEAD}px", height=f"{LEAD if drawn else 24}px",
                                  margin="1px"))
        tile.add_class("vzd-tile")
        tile.on_click(lambda _: self._go(lead.layer, lead.filter))
        return tile

    def stopped(self) -> None:
        """Cancelled by hand: a frame that is shown stays, and is said to be unfinished."""
        self._set_working(False)
        self.status.value = "cancelled"
        if "vzd-wait" in self.picture.value:
            self.picture.value = ""

    def write(self) -> None:
        """Save the figure with its parameters, and offer it to the browser."""
        view = self.view
        name = f"dashboard_{self.name}_{view.net.name}_{view.layer}_{view.filter}"
        if "picture" in self.panel.uses:
            name += f"_{Path(view.pictures.names[view.picture]).stem}"
        name += "".join(f"_{what}_{value}" for what, value, usual in view.settings
                        if what in self.panel.uses and value != usual)  # each has its own file
        try:
            saved = vz.save_figure(self.figure, name.replace(" ", "_"), alt=self.alt,
                                   panel=self.name, recipe=self.panel.call(view),
                                   **view.parameters)
            content = saved.path.read_bytes()
        except OSError as error:
            self.status.value = paragraph(f"not saved: {sentence(error)}", problem=True)
            return
        place, home = saved.path.resolve(), HOME.parent.resolve()
        place = place.relative_to(home) if place.is_relative_to(home) else place
        self.status.value = (f"<span role='status' style='overflow-wrap: anywhere'>saved as "
                             f"{html.escape(str(place))}</span> "
                             f"{download(content, saved.path.name)}")
