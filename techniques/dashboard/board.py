"""The dashboard: two sides with choices, cards and a contact sheet each, and what they share."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
from matplotlib.figure import Figure

import vizutils as vz
from engine.model_files import is_model_file
from techniques.dashboard.card import Card
from techniques.dashboard.files import read_uploads
from techniques.dashboard.look import STYLE, encoded, image_tag, paragraph
from techniques.dashboard.panels import PANELS, Panel, check_panels
from techniques.dashboard.runner import Listener, Runner, Task, sentence
from techniques.dashboard.sheet import Sheet
from techniques.dashboard.views import GIVEN, SIZE, View, join, resized


class Side:
    """One set of choices, and the cards that show them.

    Parameters
    ----------
    home : Dashboard
        What both sides share: pictures, settings, the runner.
    letter : str
    """

    def __init__(self, home: Dashboard, letter: str):
        self._home, self.letter, self._listening = home, letter, False
        self._shown: Sequence[str] = ()
        line = {"layout": widgets.Layout(width="320px", max_width="100%"),
                "style": {"description_width": "70px"}}
        self.network = widgets.Dropdown(options=home.networks, description="Network", **line)
        self.layer = widgets.Dropdown(description="Layer", **line)
        self.slider = widgets.IntSlider(description="Filter", continuous_update=False,
                                        readout=False, **line)
        self.filter = widgets.BoundedIntText(description="Filter no.", **line)
        self.picture = widgets.Dropdown(description="Picture", **line)
        self.heading, self.thumbnail, self.message = (widgets.HTML() for _ in range(3))
        self.sheet = Sheet(self.choose, home.sheets, folder=home.folder)
        self.cards = {name: Card(name, panel, letter) for name, panel in home.panels.items()}
        for card in self.cards.values():
            card.switch.on_click(lambda _, card=card: self._switch(card))
            card.save.on_click(lambda _, card=card: self._save(card))
        widgets.link((self.slider, "value"), (self.filter, "value"))
        for widget, heard in ((self.network, self._network_changed),
                              (self.layer, self._layer_changed),
                              (self.filter, self._changed), (self.picture, self._changed)):
            widget.observe(heard, names="value")
        self.widget = self._laid_out()

    def _laid_out(self) -> widgets.VBox:
        """Choices on the left, the contact sheet beside them, the cards below."""
        def row(*children, **layout):
            return widgets.Box(children, layout=widgets.Layout(
                display="flex", flex_flow="row wrap", align_items="flex-start", **layout))

        self.board = row()
        choices = widgets.VBox([self.network, self.layer, self.slider, self.filter, self.picture,
                                self.message])
        sheet = widgets.VBox([self.sheet.widget],
                             layout=widgets.Layout(flex="1 1 420px", min_width="0"))
        return widgets.VBox([self.heading, row(choices, self.thumbnail, sheet), self.board],
                            layout=widgets.Layout(flex="1 1 0", min_width="0"))

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
                    home.preset.value, home.code(self._name), home.memory)

    def begin(self, network: str, layer: str, filter: int, picture: int) -> None:
        """Fill the choices, then listen to them."""
        self._name = self.network.value = network
        self.list_pictures(picture)
        self._list_layers(layer)
        self.filter.value = filter
        self._listening = True

    def list_pictures(self, picture: int) -> None:
        """Offer the dashboard's pictures, and choose one."""
        with self._deaf():
            self.picture.options = self._home.pictures.names
            self.picture.index = picture

    def _list_layers(self, layer: str) -> None:
        self.layer.options = self.net.conv_layers
        self.layer.value = layer
        self._fit()

    def _fit(self) -> None:
        """Offer the layer's filters."""
        count = self.net.model.get_layer(self.layer.value).output.shape[-1]
        self.slider.max = self.filter.max = count - 1

    def choose(self, filter: int) -> None:
        """Choose a filter, as a click on the contact sheet does."""
        self.filter.value = filter

    def refresh(self) -> None:
        """Draw again whatever no longer shows what is chosen."""
        view = self.view
        for name in self._shown:  # first, so that the thread begins while the rest is done
            if not self.cards[name].is_of(view):
                self._draw(self.cards[name], view)
        self.sheet.show(self.net, view.layer, self.filter.max + 1, view.filter)
        self.thumbnail.value = image_tag(encoded(resized(view.image, 128)),
                                         f"The chosen picture: {self.picture.value}", width=128)

    def arrange(self, shown: Sequence[str]) -> None:
        """Show the cards that are wanted, and draw what has not been drawn."""
        self._shown = shown
        for name, card in self.cards.items():
            if name not in shown and self._home.runner.cancel(self._place(card)):
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

    def _place(self, card: Card) -> str:
        return f"{self.letter}: {card.name}"

    def _draw(self, card: Card, view: View) -> None:
        with self._home.runner.lock:  # nothing of the job before is heard in between
            card.wait(view)
            self._home.runner.submit(self._place(card),
                                     functools.partial(_drawn, card.panel, view), card)

    def _switch(self, card: Card) -> None:
        if card.working:
            self._home.runner.cancel(self._place(card))
            card.stopped()
        else:
            self._draw(card, self.view)

    def _save(self, card: Card) -> None:
        with self._home.runner.lock:
            card.write()

    def _changed(self, change) -> None:
        if self._listening:
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
        """Look into a network that has been loaded."""
        self._name, self.message.value = name, ""
        with self._deaf():
            self._list_layers(middle(self.net))
        self.refresh()

    def refuse(self, problem: str) -> None:
        """Say why a network could not be loaded, and go on with the one before."""
        self.message.value = paragraph(problem, problem=True)
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


def _drawn(panel: Panel, view: View, task: Task) -> tuple[Figure, str]:
    """A panel's figure; warnings that come up on the way are said below it."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        figure, alt = panel.draw(view, task)
    notes = [str(w.message) for w in raised if issubclass(w.category, UserWarning)]
    return figure, " ".join([alt, *(f"Note: {note}" for note in dict.fromkeys(notes))])


class Dashboard(widgets.VBox):
    """Choose a filter, and see what is known of it appear.

    Parameters
    ----------
    net : Network, optional
        VGG16 with packaged weights by default.
    layer : str, optional
        ``"block3_conv2"``, or the middle one if the network has none of that name.
    filter : int
    images : ImageSet or path, optional
        Pictures to choose from, or their folder: the packaged ones by default.
    panels : mapping of str to Panel, optional
        What can be shown: `PANELS` by default.
    shown : sequence of str
        Names of the panels that are shown at first.
    networks : sequence of str
        What `vz.load_network` is asked for when another network is chosen; a model's file, too.
    classes, preprocess : optional
        Of networks that are files, as in `vz.load_network`.
    size, steps, seed : int
        Of ascents and inversions; they can be changed in the dashboard.
    preset : str, optional
        The recipe of filters' pictures at first, a name in `vizutils.PRESETS`.
    folder : path, optional
        Where contact sheets are kept; `vz.atlas`'s folder by default.

    Attributes
    ----------
    sides : tuple of two Side
        Choices and cards; the second is seen while "Compare" is pressed.

    Raises
    ------
    ValueError
        Unknown layer, filter or panel.
    """

    def __init__(
        self, net: vz.Network | None = None, *, layer: str | None = None, filter: int = 17,
        images: vz.ImageSet | str | os.PathLike | None = None,
        panels: Mapping[str, Panel] | None = None,
        shown: Sequence[str] = ("feature", "patches"),
        networks: Sequence[str] = ("vgg16", "efficientnet_lite0"), size: int = SIZE,
        steps: int = 128, seed: int = 0, preset: str | None = None, folder=None, classes=None,
        preprocess=None,
    ):
        self.runner, self.sheets = Runner(), Runner()
        self.panels = dict(PANELS if panels is None else panels)
        check_panels(shown, self.panels)
        self.nets = {} if net is None else {net.name: net}
        self._options = {name: value for name, value in (
            ("classes", classes), ("preprocess", preprocess)) if value is not None}
        place = isinstance(images, (str, os.PathLike))
        self._given = {"net": net is not None and net.name, "folder": place and os.fspath(images),
                       "pictures": images is not None and not place}
        self.networks = list(dict.fromkeys([*self.nets, *map(os.fspath, networks)]))
        self.load(self.networks[0])
        layer = middle(self.nets[self.networks[0]]) if layer is None else layer
        vz.kernels(self.nets[self.networks[0]], layer, filter)  # refuses what is not there
        taken = self.nets[self.networks[0]]
        self._first = vz.as_image_set(images) if self._given["pictures"] else vz.load_images(
            images, size=taken.fixed_size or 224, classes=taken.classes)
        self.pictures, self._own, self.memory, self.folder = self._first, {}, {}, folder
        controls = self._controls(shown, size, steps, seed, preset)
        self.sides = (Side(self, "A"), Side(self, "B"))
        self._columns = widgets.HBox()
        super().__init__([widgets.HTML(STYLE), controls, self._columns])
        self.add_class("vzd")
        self.sides[0].begin(self.networks[0], layer, filter, 0)
        self._arrange()

    def __repr__(self) -> str:
        view = self.view
        return f"Dashboard of {view.net.name}: {view.title} (run the notebook to use it)"

    @property
    def shown(self) -> list[str]:
        """Names of the panels that are ticked."""
        return [name for name, box in self.ticks.items() if box.value]

    @property
    def view(self) -> View:
        """What is chosen on the first side."""
        return self.sides[0].view

    def wait(self) -> None:
        """Wait until everything that is being drawn is drawn."""
        self.runner.wait()

    def close(self) -> None:
        """End the threads, and the widgets with them."""
        self.runner.close()
        self.sheets.close()
        super().close()

    def load(self, name: str) -> None:
        """Have a network ready."""
        if name not in self.nets:
            self.nets[name] = vz.load_network(name, weights="packaged", **self._options_of(name))

    def _options_of(self, network: str) -> dict:
        """What is said of networks that are files; others know it."""
        return self._options if is_model_file(network) else {}

    def code(self, network: str) -> dict[str, str]:
        """Lines of code that make a network and the pictures, for `View.code`."""
        said = dict(GIVEN)
        if network != self._given["net"]:
            options = "".join(f", {name}={value!r}"
                              for name, value in self._options_of(network).items())
            said["net"] = f'net = vz.load_network({network!r}, weights="packaged"{options})'
        if not self._given["pictures"]:
            options = [repr(self._given["folder"])] if self._given["folder"] else []
            options += [f"size={self._first.size}"] if self._first.size != 224 else []
            options += [f"classes={self._first.classes!r}"] if self._first.classes else []
            said["pictures"] = f"pictures = vz.load_images({', '.join(options)})"
        if self._own:
            said["pictures"] += (
                "\nfrom techniques import dashboard\n"
                f"own = {list(self._own)}  # paths of your files\n"
                "pictures = dashboard.join(pictures, {path: vz.read_image(path, "
                f"size={self._first.size}) for path in own}})")
        return said

    def _controls(self, shown, size: int, steps: int, seed: int, preset) -> widgets.VBox:
        """What concerns both sides: panels, comparison, pictures, settings."""
        self.ticks = {name: widgets.Checkbox(name in shown, description=panel.title, indent=False,
                                             layout=widgets.Layout(width="auto",
                                                                   margin="0 18px 0 0"))
                      for name, panel in self.panels.items()}
        self.compare = widgets.ToggleButton(
            description="Compare", tooltip="Two layers, filters or pictures side by side",
            layout=widgets.Layout(width="auto"))
        self.upload = widgets.FileUpload(accept="image/*", multiple=True,
                                         description="Add pictures",
                                         layout=widgets.Layout(width="auto"))
        self.size, self.steps, self.seed = (
            widgets.BoundedIntText(value, min=low, max=high, description=words,
                                   layout=widgets.Layout(width="150px"))
            for words, value, low, high in (("Size (px)", size, 16, 512),
                                            ("Steps", steps, 1, 4096), ("Seed", seed, 0, 9999)))
        self.preset = widgets.Dropdown(
            options=[("default", None), *((name.replace("_", " "), name) for name in vz.PRESETS)],
            value=preset, description="Recipe", layout=widgets.Layout(width="240px"))
        self.message = widgets.HTML()
        self.upload.observe(self._add_pictures, names="value")
        for widget in (self.compare, *self.ticks.values()):
            widget.observe(lambda _: self._arrange(), names="value")
        for widget in (self.size, self.steps, self.seed, self.preset):
            widget.observe(lambda _: self._refresh(), names="value")
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        return widgets.VBox([
            widgets.HBox([self.compare, self.upload, self.size, self.steps, self.seed,
                          self.preset], layout=row),
            widgets.HBox([widgets.HTML("Show:&emsp;"), *self.ticks.values()], layout=row),
            self.message])

    def _refresh(self) -> None:
        for side in self.sides:
            if side.begun:
                side.refresh()

    def _arrange(self) -> None:
        """Show one side or both."""
        first, second = self.sides
        if self.compare.value and not second.begun:  # it begins as the first one is
            second.begin(first.network.value, first.layer.value, first.filter.value,
                         first.picture.index)
        for side in self.sides:
            side.heading.value = f"<h3>{side.letter}</h3>" if self.compare.value else ""
        first.arrange(self.shown)
        second.arrange(self.shown if self.compare.value else ())
        self._columns.children = [side.widget for side in self.sides[:1 + self.compare.value]]

    def _add_pictures(self, change) -> None:
        """Take uploads, choose the first of them on the first side, and name what is no picture."""
        found, problem = read_uploads(self.upload.value, size=self._first.size)
        self.message.value = paragraph(problem, problem=True)
        if not found:
            return
        self._own = {**found, **self._own, **found}  # the newest first, whatever the name
        self.pictures = join(self._first, self._own)
        for side in self.sides:
            if side.begun:
                name = next(iter(found)) if side is self.sides[0] else side.picture.value
                side.list_pictures(self.pictures.names.index(name))
        self._refresh()
