"""One side of the dashboard: choices, a contact sheet, a trail, and the cards that show them."""

from __future__ import annotations

import contextlib
import functools
import html
import os
import warnings
from collections.abc import Sequence

import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure

import vizutils as vz
from techniques.dashboard.card import Card
from techniques.dashboard.entries import Number
from techniques.dashboard.files import BUILD
from techniques.dashboard.look import encoded, image_tag, paragraph
from techniques.dashboard.panels import Panel
from techniques.dashboard.runner import Listener, Task, sentence
from techniques.dashboard.sheet import Sheet
from techniques.dashboard.views import View, names_of, resized

STEPS_BACK, STEPS_SHOWN = 100, 4  #: places that Back knows; those that the trail names


class Side:
    """One set of choices, and the cards that show them.

    Parameters
    ----------
    home : Dashboard
        What both sides share: pictures, settings, the runner.
    letter : str
    """

    def __init__(self, home, letter: str):
        self._home, self.letter, self._listening = home, letter, False
        self._shown: Sequence[str] = ()
        self._layers: dict[str, str] = {}  # where one was in each network
        self._trail: list[tuple[str, str, int]] = []
        self._place: tuple[str, str, int] | None = None
        self._wanted = 0  # the filter that was asked for, whether or not the layer has it
        line = {"layout": widgets.Layout(width="320px", max_width="100%"),
                "style": {"description_width": "70px"}}
        self.network = widgets.Dropdown(options=home.networks, description="Network", **line)
        self.layer = widgets.Dropdown(description="Layer", **line)
        self.slider = widgets.IntSlider(description="Filter", continuous_update=False, **line)
        self.filter = Number("Filter no.", 0, 0, 0, self._say, what="it has filters", **line)
        self.picture = widgets.Dropdown(description="Picture", **line)
        self.heading, self.thumbnail, self.message, self.trail, self.elsewhere = (
            widgets.HTML() for _ in range(5))
        self.back = widgets.Button(description="◀ Back", disabled=True,
                                   tooltip=f"Back to the filter before, side {letter}",
                                   layout=widgets.Layout(width="auto"))
        self.back.on_click(lambda _: self._go_back())
        self.sheet = Sheet(self.choose, home.sheets, side=letter, folder=home.folder)
        self.cards = {name: Card(name, panel, letter, kept=home.kept, go=self.go,
                                 resize=home.resize, folder=home.folder)
                      for name, panel in home.panels.items()}
        for card in self.cards.values():
            card.switch.on_click(lambda _, card=card: self._switch(card))
            card.save.on_click(lambda _, card=card: self._save(card))
        traitlets.link((self.slider, "value"), (self.filter, "value"))
        for widget, heard in ((self.network, self._network_changed),
                              (self.layer, self._layer_changed),
                              (self.filter, self._filter_changed), (self.picture, self._changed)):
            widget.observe(heard, names="value")
        self.widget = self._laid_out()

    def _laid_out(self) -> widgets.VBox:
        """Choices on the left, the contact sheet beside them, the cards below."""
        def row(*children, **layout):
            return widgets.Box(children, layout=widgets.Layout(
                display="flex", flex_flow="row wrap", align_items="flex-start", **layout))

        self.board = row()
        trail = widgets.HBox([self.back, self.trail], layout=widgets.Layout(
            flex_flow="row wrap", align_items="center", max_width="300px"))  # nothing moves
        choices = widgets.VBox([self.network, self.layer, self.slider, self.filter.widget,
                                self.picture, trail, self.elsewhere],
                               layout=widgets.Layout(max_width="100%"))
        sheet = widgets.VBox([self.sheet.widget],
                             layout=widgets.Layout(flex="1 1 300px", min_width="0"))
        return widgets.VBox([self.heading, row(choices, self.thumbnail, sheet), self.message,
                             self.board], layout=widgets.Layout(flex="1 1 0", min_width="0"))

    @property
    def begun(self) -> bool:
        """Whether anything is chosen on this side."""
        return self.layer.value is not None

    @property
    def net(self) -> vz.Network:
        """The network that is looked into."""
        return self._home.nets[self._name]

    @property
    def view(self) -> View:
        """What is chosen."""
        home = self._home
        return View(self.net, self.layer.value, self.filter.value, home.pictures,
                    self.picture.index, self.net.fixed_size or home.size.value,
                    home.steps.value, home.seed.value,
                    home.preset.value or None, home.code(self._name), home.memory)

    def _say(self, problem: str) -> None:
        """A sentence below the choices; empty takes the one before away."""
        self.message.value = paragraph(problem, problem=True)

    def begin(self, network: str, layer: str, filter: int, picture: int) -> None:
        """Fill the choices, then listen to them."""
        self._name = self.network.value = network
        self.list_pictures(picture)
        self._list_layers(layer, filter)
        self._place, self._listening = (network, layer, filter), True

    def list_pictures(self, picture: int) -> None:
        """Offer the dashboard's pictures, and choose one."""
        with self._deaf():
            self.picture.options = names_of(self._home.pictures)
            self.picture.index = picture

    def _list_layers(self, layer: str, filter: int) -> None:
        self.layer.options = self.net.conv_layers
        self.layer.value, self._wanted = layer, filter
        self._fit()

    def _fit(self) -> None:
        """Offer the layer's filters, and stay at the one that was asked for where it has it."""
        layer, count = self.layer.value, self.net.channels(self.layer.value)
        self._layers[self._name] = layer
        chosen = min(self._wanted, count - 1)
        self.filter.high = max(self.filter.high, count - 1)
        self.slider.max = self.filter.high
        self.filter.value = chosen
        self.slider.max = self.filter.high = count - 1
        self.filter.what = f"{layer} has filters"
        self._say("" if chosen == self._wanted else
                  f"{layer} has filters 0 to {count - 1}, not {self._wanted}: {chosen} is shown "
                  f"until a layer has {self._wanted} again.")

    def choose(self, filter: int) -> None:
        """Choose a filter, as a click on the contact sheet does."""
        self.filter.value = filter

    def go(self, layer: str, filter: int, *, network: str | None = None) -> None:
        """Go to another channel, as a click on a kernel's tile does."""
        with self._deaf():
            if network is not None and network != self._name:
                self._name = self.network.value = network
                self._list_layers(layer, filter)
            self.layer.value, self._wanted = layer, filter
            self._fit()
        self.refresh()

    def _go_back(self) -> None:
        if self._trail:
            (network, layer, filter), self._place = self._trail.pop(), None
            self.go(layer, filter, network=network)

    def _remember(self, view: View) -> None:
        """Add where one was to the trail, and show its end."""
        place = (self._name, view.layer, view.filter)
        if self._place is not None and place != self._place:
            self._trail = [*self._trail, self._place][-STEPS_BACK:]
        self._place = place
        self.back.disabled = not self._trail
        ends = [f"{layer} {filter}" for _, layer, filter in self._trail[-STEPS_SHOWN:]]
        self.trail.value = html.escape(" › ".join([
            *(["…"] if len(self._trail) > STEPS_SHOWN else []), *ends,
            f"{view.layer} {view.filter}"]))

    def refresh(self) -> None:
        """Show what is chosen; draw whatever was not drawn before."""
        view = self.view
        for name in sorted(self._shown, key=lambda name: self.cards[name].panel.cost_of(view)):
            card = self.cards[name]  # first, so that the thread begins while the rest is done
            if not card.is_of(view):
                with self._home.runner.lock:
                    if card.recall(view):
                        self._home.runner.cancel(self._of(card))
                    else:
                        self._draw(card, view)
        self._remember(view)
        self.sheet.show(self.net, view.layer, self.filter.high + 1, view.filter)
        self.thumbnail.value = image_tag(encoded(resized(view.image, 128)),
                                         f"The chosen picture: {view.picture_name}", width=128)
        self.elsewhere.value = elsewhere(view)
        self._home.tell()

    def arrange(self, shown: Sequence[str]) -> None:
        """Show the cards that are wanted, and draw what has not been drawn."""
        self._shown = shown
        for name, card in self.cards.items():
            if name not in shown and self._home.runner.cancel(self._of(card)):
                card.view = None  # it was never finished
        self.board.children = [self.cards[name].widget for name in shown]
        if self.begun:
            self.refresh()

    @contextlib.contextmanager
    def _deaf(self):
        """Change several choices as one: nothing is drawn in between."""
        before, self._listening = self._listening, False
        try:
            yield
        finally:
            self._listening = before

    def _of(self, card: Card) -> str:
        return f"{self.letter}: {card.name}"

    def _draw(self, card: Card, view: View) -> None:
        with self._home.runner.lock:  # nothing of the job before is heard in between
            card.wait(view)
            self._home.runner.submit(self._of(card), functools.partial(
                _drawn, card.panel, view), card, cost=card.panel.cost_of(view))

    def _switch(self, card: Card) -> None:
        if card.working:
            self._home.runner.cancel(self._of(card))
            card.stopped()
        else:
            self._draw(card, self.view)

    def _save(self, card: Card) -> None:
        with self._home.runner.lock:
            card.write()

    def _changed(self, change) -> None:
        if self._listening:
            self.refresh()

    def _filter_changed(self, change) -> None:
        if self._listening:
            self._wanted = change["new"]
            self._say("")
            self.refresh()

    def _layer_changed(self, change) -> None:
        if self._listening:
            with self._deaf():
                self._fit()
            self.refresh()

    def _network_changed(self, change) -> None:
        name = self.network.value
        if self._listening and name != self._name:
            self.message.value = paragraph(f"loading {name}")
            self._home.runner.submit(f"{self.letter}: network",
                                     lambda task: self._home.load(name), _Loading(self, name))

    def adopt(self, name: str) -> None:
        """Look into a network that has been loaded, where one was in it or is in this one."""
        here, self._name, self.message.value = self.layer.value, name, ""
        wanted = self._layers.get(name, here)
        layer = wanted if wanted in self.net.conv_layers else middle(self.net)
        with self._deaf():
            self._list_layers(layer, self._wanted)
        self.refresh()

    def refuse(self, problem: str) -> None:
        """Say why a network could not be loaded, and go on with the one before."""
        self._say(problem)
        with self._deaf():
            self.network.value = self._name


class _Loading(Listener):
    """Hears of a network that is being loaded for a side."""

    def __init__(self, side: Side, name: str):
        self._side, self._name = side, name

    def ended(self, problem):
        try:
            if not problem:
                self._side.adopt(self._name)
        except Exception as error:  # a network that loads, but in which nothing can be chosen
            problem = sentence(error)
        if problem:
            self._side.refuse(problem)


def middle(net: vz.Network) -> str:
    """A layer to begin with: the report's, or the middle one of another network."""
    report = "block3_conv2"
    return report if report in net.conv_layers else net.conv_layers[len(net.conv_layers) // 2]


def elsewhere(view: View) -> str:
    """A link to the explorer's page of the unit, where there is an explorer."""
    if not (BUILD / "explorer" / "index.html").exists():
        return ""
    page = f"build/explorer/index.html#{view.net.name}/{view.layer}/{view.filter}"
    served = os.environ.get("VIZUTILS_FILES")
    if served is None:
        return f"In the explorer: {html.escape(page)}"
    return (f'<a href="{html.escape(served + page)}" target="_blank" rel="noopener">'
            "This filter in the explorer</a>")


def _drawn(panel: Panel, view: View, task: Task) -> tuple[Figure, str]:
    """A panel's figure; warnings that come up on the way are said below it."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        figure, alt = panel.draw(view, task)
    notes = [str(w.message) for w in raised if issubclass(w.category, UserWarning)]
    return figure, " ".join([alt, *(f"Note: {note}" for note in dict.fromkeys(notes))])
