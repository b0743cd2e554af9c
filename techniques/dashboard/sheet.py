"""A layer's contact sheet: filters to click on, and their pictures where the atlas has them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import ipywidgets as widgets

import vizutils as vz
from techniques.dashboard.files import SheetFile, draw_sheet, find_sheet
from techniques.dashboard.look import paragraph, progress_words
from techniques.dashboard.runner import Listener, Runner

TILE, ROOM = 54, 48  #: px of a tile on the contact sheet; tiles shown at once
SHADE = "linear-gradient(transparent 74%, rgba(0, 0, 0, 0.75) 74%)"  #: behind a tile's number


class Sheet(Listener):
    """A layer's filters to click on: their pictures where the atlas has them, else numbers."""

    def __init__(self, choose: Callable[[int], None], runner: Runner, *, folder=None):
        self._choose, self._runner, self._folder = choose, runner, folder
        self._net, self._layer, self._count, self._first, self._chosen = None, "", 0, 0, 0
        self._found: SheetFile | None = None
        self._measure = widgets.Layout(width=f"{TILE}px", margin="1px")
        self.tiles = [self._tile(i) for i in range(ROOM)]
        self.back, self.on, self.draw, self.cancel = (
            widgets.Button(description=words, tooltip=tip, layout=widgets.Layout(width="auto"))
            for words, tip in (
                ("◀ earlier", "Earlier filters of this layer"),
                ("later ▶", "Later filters of this layer"),
                ("Draw this layer's sheet", "Draw a small picture of every filter: minutes, once"),
                ("Cancel", "Stop drawing the sheet; finished pictures are kept")))
        self.back.on_click(lambda _: self._turn(-ROOM))
        self.on.on_click(lambda _: self._turn(ROOM))
        self.draw.on_click(lambda _: self._draw())
        self.cancel.on_click(lambda _: self._stop())
        self.label, self.status, self._look = widgets.HTML(), widgets.HTML(), widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        self._class = f"vzd-{self._look.model_id[:12]}"
        self._grid = widgets.Box(layout=widgets.Layout(display="flex", flex_flow="row wrap"))
        self.widget = widgets.VBox([
            widgets.HBox([self.back, self.label, self.on, self.draw, self.cancel, self.status],
                         layout=row), self._grid, self._look])
        self.widget.add_class(self._class)
        self.cancel.layout.display = "none"

    def _tile(self, i: int) -> widgets.Button:
        tile = widgets.Button(layout=self._measure)
        tile.add_class("vzd-tile")
        tile.add_class(f"vzd-tile-{i}")
        tile.on_click(lambda _: self._choose(self._first + i))
        return tile

    def show(self, net: vz.Network, layer: str, count: int, chosen: int) -> None:
        """Another layer, or another filter of it."""
        if (net, layer) != (self._net, self._layer):
            self._runner.cancel(self._class)
            self._net, self._layer, self._count = net, layer, count
            self._found = find_sheet(net, layer, folder=self._folder)
            self._idle()
        self._chosen, self._first = chosen, chosen // ROOM * ROOM
        self._refresh()

    def _turn(self, by: int) -> None:
        self._first += by
        self._refresh()

    def _refresh(self) -> None:
        """Number the tiles, and lay the pictures under them."""
        last = min(self._first + ROOM, self._count)
        self.label.value = f"filters {self._first}–{last - 1} of {self._count}"
        self.back.disabled, self.on.disabled = self._first == 0, last == self._count
        self._measure.height = "24px" if self._found is None else f"{TILE}px"
        self._grid.children = self.tiles[:last - self._first]
        for number, tile in enumerate(self._grid.children, self._first):
            tile.description = str(number)
            tile.tooltip = self._tip(number)
        self._look.value = self._styles(range(self._first, last))

    def _tip(self, number: int) -> str:
        above = self._found and self._found.percentiles.get(number)
        beats = "" if above is None else f": its picture beats {above:.0f} % of photographs"
        return f"Choose filter {number} of {self._layer}{beats}"

    def _styles(self, filters: Sequence[int]) -> str:
        """The tiles' pictures as one strip, and a frame around the chosen filter."""
        rules = []
        if self._found is not None:
            buffer = io.BytesIO()
            self._found.tiles(filters, TILE).save(buffer, "JPEG", quality=85)
            strip = base64.b64encode(buffer.getvalue()).decode()
            rules.append(f".{self._class} {{ --strip: url(data:image/jpeg;base64,{strip}) }}")
            rules += [
                f".{self._class} .vzd-tile-{i} {{ background-image: {SHADE}, var(--strip); "
                f"background-position: 0 0, -{i * TILE}px 0; color: #fff }}"
                for i, number in enumerate(filters) if number in self._found.boxes]
        if self._chosen in filters:
            rules.append(f".{self._class} .vzd-tile-{self._chosen - self._first} {{ box-shadow: "
                         "inset 0 0 0 3px #e66101 !important; font-weight: bold }")
        return f"<style>{' '.join(rules)}</style>"

    # --- drawing what the atlas lacks

    def _draw(self) -> None:
        net, layer = self._net, self._layer
        self.draw.layout.display, self.cancel.layout.display = "none", ""
        self.status.value = "beginning"
        self._runner.submit(self._class, lambda task: draw_sheet(
            net, layer, task, folder=self._folder), self)

    def _stop(self) -> None:
        self._runner.cancel(self._class)
        self._idle()
        self.status.value = "cancelled; what is finished is kept"

    def _idle(self) -> None:
        """Nothing is being drawn: offer it, if there is anything left to draw."""
        drawn = 0 if self._found is None else len(self._found.boxes)
        self.draw.layout.display = "none" if drawn == self._count else ""
        self.cancel.layout.display, self.status.value = "none", ""

    def shown(self, picture, alt):
        """More pictures are on the sheet."""
        self._found = find_sheet(self._net, self._layer, folder=self._folder)
        self._refresh()

    def progressed(self, share, seconds_left):
        """Tell how far it is."""
        self.status.value = f"drawing: {progress_words(share, seconds_left)}"

    def ended(self, problem):
        """Done, or a sentence about what went wrong."""
        self._idle()
        self.status.value = paragraph(problem, problem=True)
