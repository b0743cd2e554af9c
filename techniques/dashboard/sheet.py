"""A layer's contact sheet: filters to choose by picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import ipywidgets as widgets

import vizutils as vz
from techniques.dashboard.files import SheetFile, draw_sheet, find_sheet
from techniques.dashboard.look import paragraph, progress_words
from techniques.dashboard.runner import Listener, Runner

TILE, COLUMNS = 44, 16  #: px of a tile on the page; tiles in a row of the picture that holds them
SHADE = "linear-gradient(transparent 70%, rgba(0, 0, 0, 0.8) 70%)"  #: behind a tile's number


class Sheet(Listener):
    """A layer's filters, with their pictures where there are any.

    They are one group of radio buttons: one stop for the Tab key, arrow keys within.
    """

    def __init__(self, choose: Callable[[int], None], runner: Runner, *, side: str, folder=None):
        self._choose, self._runner, self._folder = choose, runner, folder
        self._net, self._layer, self._count = None, "", 0
        self._found: SheetFile | None = None
        self.tiles = widgets.RadioButtons(options=["0"], layout=widgets.Layout(width="auto"))
        self.tiles.add_class("vzd-sheet")
        self.draw, self.cancel = (
            widgets.Button(description=words, tooltip=f"{tip}, side {side}",
                           layout=widgets.Layout(width="auto"))
            for words, tip in (
                ("", "Draw every filter of this layer with care: minutes, once"),
                ("Cancel", "Stop drawing the sheet; finished pictures are kept")))
        self.draw.on_click(lambda _: self._draw())
        self.cancel.on_click(lambda _: self._stop())
        self.label, self.status, self._look = widgets.HTML(), widgets.HTML(), widgets.HTML()
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        self._class = f"vzd-{self._look.model_id[:12]}"
        self.widget = widgets.VBox([
            widgets.HBox([self.label, self.draw, self.cancel, self.status], layout=row),
            self.tiles, self._look])
        self.widget.add_class(self._class)
        self.cancel.layout.display = "none"
        self.tiles.observe(self._picked, names="index")
        self._moving = False

    def _picked(self, change) -> None:
        if not self._moving and change["new"] is not None:
            self._choose(change["new"])

    def show(self, net: vz.Network, layer: str, count: int, chosen: int) -> None:
        """Another layer, or another filter of it."""
        self._moving = True
        try:
            if (net, layer) != (self._net, self._layer):
                self._runner.cancel(self._class)
                self._net, self._layer, self._count = net, layer, count
                self._found = find_sheet(net, layer, folder=self._folder)
                self.tiles.options = [str(i) for i in range(count)]
                self._idle()
                self._refresh()
            self.tiles.index = chosen
        finally:
            self._moving = False

    def _refresh(self) -> None:
        """Lay the pictures under the tiles."""
        what = "not drawn yet" if self._found is None else self._found.words
        self.draw.description = ("Draw this layer's sheet (minutes)" if self._found is None else
                                 "Draw larger pictures (minutes)")
        self.label.value = f"{self._layer}: {self._count} filters, {what}"
        self._look.value = "" if self._found is None else self._styles(self._found)

    def _styles(self, found: SheetFile) -> str:
        """All tiles as one picture, and where in it each tile's begins."""
        if found.shipped:  # it is laid out like this already
            page = base64.b64encode(found.content).decode()
        else:
            buffer = io.BytesIO()
            found.tiles(range(self._count), TILE, columns=COLUMNS).save(buffer, "WEBP", quality=80)
            page = base64.b64encode(buffer.getvalue()).decode()
        rows = -(-self._count // COLUMNS)
        at = f".{self._class} .vzd-sheet div label"
        rules = [f"{at} {{ background-image: {SHADE}, url(data:image/webp;base64,{page}); "
                 f"background-size: 100% 100%, {COLUMNS * TILE}px {rows * TILE}px; color: #fff; "
                 f"width: {TILE}px; height: {TILE}px; "
                 "background-position: 0 0, var(--left, 0px) var(--up, 0px) }"]
        rules += [f"{at}:nth-child({COLUMNS}n+{i + 1}) {{ --left: -{i * TILE}px }}"
                  for i in range(COLUMNS)]
        rules += [f"{at}:nth-child(n+{i * COLUMNS + 1}) {{ --up: -{i * TILE}px }}"
                  for i in range(rows)]
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
        kept = self._found is not None and not self._found.shipped
        self.status.value = "cancelled" + "; what is finished is kept" * kept

    def _idle(self) -> None:
        """Nothing is being drawn: offer it, if there is anything left to draw."""
        complete = self._found and not self._found.shipped and (
            len(self._found.boxes) == self._count)
        self.draw.layout.display = "none" if complete else ""
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
