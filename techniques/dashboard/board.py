"""The dashboard: two sides with choices, cards and a contact sheet each, and what they share."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

import ipywidgets as widgets

import vizutils as vz
from engine.model_files import is_model_file
from techniques.dashboard.address import call
from techniques.dashboard.card import Kept
from techniques.dashboard.entries import Number
from techniques.dashboard.files import Upload, read_uploads
from techniques.dashboard.look import STYLE, code_block, paragraph
from techniques.dashboard.panels import PANELS, Panel, check_panels
from techniques.dashboard.runner import Runner
from techniques.dashboard.script import script, state
from techniques.dashboard.side import Side, middle
from techniques.dashboard.views import GIVEN, SIZE, STEPS, View, join

SHOWN = ("feature", "patches")  #: panels at first


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
    uploads : path, optional
        Where uploaded pictures are kept, for copied code to find; ``build/uploads`` by default.
    network : str, optional
        Which of the networks is looked into first: the first one by default.
    picture : str, optional
        Name of the picture that is looked at first.
    beside : (str, int), optional
        A layer and a filter for the second side, which is then shown.
    beside_network, beside_picture : str, optional
        What the second side looks into and at, if not the first one's.
    address : bool
        Whether the page's address follows what is chosen: on a page of its own.

    Attributes
    ----------
    sides : tuple of two Side
        Choices and cards; the second is seen while "Compare" is pressed.

    Raises
    ------
    ValueError
        Unknown network, layer, filter, picture, panel or recipe.
    """

    def __init__(
        self, net: vz.Network | None = None, *, layer: str | None = None, filter: int = 17,
        images: vz.ImageSet | str | os.PathLike | None = None,
        panels: Mapping[str, Panel] | None = None,
        shown: Sequence[str] = SHOWN,
        networks: Sequence[str] = ("vgg16", "efficientnet_lite0"), size: int = SIZE,
        steps: int = STEPS, seed: int = 0, preset: str | None = None, folder=None, classes=None,
        preprocess=None, uploads=None, network: str | None = None, picture: str | None = None,
        beside: tuple[str, int] | None = None, beside_network: str | None = None,
        beside_picture: str | None = None, address: bool = False,
    ):
        self.runner, self.sheets, self.kept = Runner(), Runner(), Kept()
        self.panels = dict(PANELS if panels is None else panels)
        check_panels(shown, self.panels)
        self.nets = {} if net is None else {net.name: net}
        self._options = {name: value for name, value in (
            ("classes", classes), ("preprocess", preprocess)) if value is not None}
        place = isinstance(images, (str, os.PathLike))
        self._given = {"net": net is not None and net.name, "folder": place and os.fspath(images),
                       "pictures": images is not None and not place}
        self.networks = list(dict.fromkeys([*self.nets, *map(os.fspath, networks)]))
        network = self.networks[0] if network is None else network
        _check("network", network, self.networks)
        _check("preset", preset, (None, *vz.PRESETS))
        other = network if beside_network is None else beside_network
        _check("network", other, self.networks)
        self.load(network)
        taken = self.nets[network]
        layer = middle(taken) if layer is None else layer
        vz.kernels(taken, layer, filter)  # refuses what is not there
        if beside is not None:
            self.load(other)
            vz.kernels(self.nets[other], *beside)
        self._first = _taken(images, taken) if self._given["pictures"] else vz.load_images(
            images, size=taken.fixed_size or 224, classes=taken.classes)
        for name in {picture, beside_picture} - {None}:
            _check("picture", name, self._first.names)
        self.pictures, self._own, self.memory, self.folder = self._first, {}, {}, folder
        self._uploads, self._address = uploads, address
        controls = self._controls(shown, size, steps, seed, preset)
        self.sides = (Side(self, "A"), Side(self, "B"))
        self._columns = widgets.HBox()
        self.arrived = widgets.Button(tooltip="The page is there",
                                      layout=widgets.Layout(display="none"))
        self.arrived.add_class("vzd-arrived")
        self.arrived.on_click(lambda _: self.tell_again())
        super().__init__([widgets.HTML(STYLE + script()), controls, self._columns, self._call,
                          self._state, self.arrived])
        self.add_class("vzd")
        at = 0 if picture is None else self._first.names.index(picture)
        self.sides[0].begin(network, layer, filter, at)
        if beside is not None:
            self.sides[1].begin(other, *beside, at if beside_picture is None else
                                self._first.names.index(beside_picture))
            self.compare.value = True
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

    @property
    def choices(self) -> dict:
        """What is chosen: arguments of `Dashboard` that open it again."""
        first, second = self.sides
        chosen = {"layer": first.layer.value, "filter": first.filter.value}
        if first.network.value != self.networks[0]:
            chosen["network"] = first.network.value
        name = self.pictures.names[first.picture.index]
        if name != self._first.names[0] and name in self._first.names:
            chosen["picture"] = name
        if tuple(self.shown) != SHOWN:
            chosen["shown"] = self.shown
        chosen |= {name: field.value for name, field, usual in (
            ("size", self.size, SIZE), ("steps", self.steps, STEPS), ("seed", self.seed, 0),
            ("preset", self.preset, "")) if field.value != usual}
        if self.compare.value and second.begun:
            chosen["beside"] = (second.layer.value, second.filter.value)
            if second.network.value != first.network.value:
                chosen["beside_network"] = second.network.value
            other = self.pictures.names[second.picture.index]
            if other != name and other in self._first.names:
                chosen["beside_picture"] = other
        return chosen

    def tell(self) -> None:
        """Let the page's address, and the call below the cards, follow what is chosen."""
        chosen = self.choices
        given = {"images": self._given["folder"]} if self._given["folder"] else {}
        looked_at = {self.pictures.names[side.picture.index] for side in
                     self.sides[: 1 + self.compare.value] if side.begun}
        without = " (without your own picture)" if looked_at & set(self._own) else ""
        self._call.value = code_block(f"This view as a call{without}", call({**given, **chosen}))
        as_words = {name: ",".join(value) if name == "shown" else
                    "/".join(map(str, value)) if name == "beside" else value
                    for name, value in chosen.items()}
        self._state.value = state(urlencode(as_words, safe=",/"), address=self._address)

    def tell_again(self) -> None:
        """Send once more what is shown: a page that was loading has missed some of it.

        ipywidgets asks for all states when a page is opened; what is told between its answer and
        the page's being ready for more is lost, and a panel would seem to work for ever.
        """
        with self.runner.lock, self.sheets.lock:
            for widget in _within(self):
                widget.layout.send_state()
                widget.send_state()

    def resize(self, size: int) -> None:
        """Have pictures drawn at another size."""
        self.size.value = size

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
            paths = [str(upload.path) for upload in self._own.values()]
            said["pictures"] += (
                "\nfrom pathlib import Path\nfrom techniques import dashboard\n"
                f"own = {paths}  # your pictures\n"
                "pictures = dashboard.join(pictures, {Path(path).name: vz.read_image(path, "
                f"size={self._first.size}, crop=pictures.crop) for path in own}})")
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
                                         tooltip="Add pictures of yours, to look at",
                                         layout=widgets.Layout(width="auto"))
        self.upload.add_class("vzd-upload")
        self.size, self.steps, self.seed = (
            Number(words, value, low, high, self._say, layout=widgets.Layout(width="150px"))
            for words, value, low, high in (("Size (px)", size, 16, 512),
                                            ("Steps", steps, 1, 4096), ("Seed", seed, 0, 9999)))
        self.preset = widgets.Dropdown(
            options=[("default", ""), *((name.replace("_", " "), name) for name in vz.PRESETS)],
            value=preset or "", description="Recipe",  # None would choose nothing
            layout=widgets.Layout(width="240px"))
        self.message, self._sending, self._call, self._state = (widgets.HTML() for _ in range(4))
        self.mine = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap", align_items="center"))
        self._list_own("")
        self.upload.observe(self._add_pictures, names="value")
        for widget in (self.compare, *self.ticks.values()):
            widget.observe(lambda _: self._arrange(), names="value")
        for widget in (self.size, self.steps, self.seed, self.preset):
            widget.observe(lambda _: self._refresh(), names="value")
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        return widgets.VBox([
            widgets.HBox([self.compare, self.upload, self.size.widget, self.steps.widget,
                          self.seed.widget, self.preset], layout=row),
            widgets.HBox([widgets.HTML("Show:&emsp;"), *self.ticks.values()], layout=row),
            self._sending, self.mine, self.message])

    def _refresh(self) -> None:
        self._say("")  # what was wrong before is over
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
            side.heading.value = f"<h2>{side.letter}</h2>" if self.compare.value else ""
        first.arrange(self.shown)
        second.arrange(self.shown if self.compare.value else ())
        self._columns.children = [side.widget for side in self.sides[:1 + self.compare.value]]

    def _say(self, problem: str) -> None:
        """A sentence below the controls; empty takes the one before away."""
        self.message.value = paragraph(problem, problem=True)

    def _add_pictures(self, change) -> None:
        """Take uploads, choose the first of them on the first side, and name what is no picture."""
        if not self.upload.value:
            return
        found, problem = read_uploads(
            self.upload.value, size=self._first.size, crop=self._first.crop, folder=self._uploads,
            taken=self._own)
        if isinstance(self.upload.value, tuple):  # ipywidgets 8 counts on the button what is here
            self.upload.value = ()
        self._own = {**found, **self._own, **found}  # the newest first, whatever the name
        if found:
            self._take_pictures(next(iter(found)))
        self._list_own(problem)

    def _list_own(self, problem: str) -> None:
        """Name the user's own pictures, each with a button that takes it away."""
        self._say(problem)
        count = len(self._own)
        self._told = getattr(self, "_told", 0) + 1  # another text each time: the page wrote into it
        self._sending.value = f'<div class="vzd-sending" role="status" data-n="{self._told}"></div>'
        said = widgets.HTML(f"{count} picture{'s' * (count != 1)} of yours, the middle square of "
                            f"{'each' if count > 1 else 'it'}:&emsp;" if count else "")
        self.mine.children = [said, *(self._remover(name) for name in self._own)]

    def _remover(self, name: str) -> widgets.Button:
        button = widgets.Button(description=f"✕ {name}", tooltip=f"Remove {name}",
                                layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self._remove(name))
        return button

    def _remove(self, name: str) -> None:
        """Take a picture of the user's away, its file too."""
        upload: Upload = self._own.pop(name)
        upload.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another picture may lie there
            upload.path.parent.rmdir()
        self._take_pictures(None)
        self._list_own("")

    def _take_pictures(self, chosen: str | None) -> None:
        """Offer what pictures there are now; the first side looks at the chosen one."""
        before = [self.pictures.names[side.picture.index] if side.begun else None
                  for side in self.sides]
        self.pictures = join(self._first, {name: up.image for name, up in self._own.items()})
        for side, name in zip(self.sides, before, strict=True):
            if side.begun:
                wanted = chosen if chosen and side is self.sides[0] else name
                names = self.pictures.names
                side.list_pictures(names.index(wanted) if wanted in names else 0)
        self._refresh()


def _within(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """A widget and all that it holds, what is held first."""
    for held in getattr(widget, "children", ()):
        yield from _within(held)
    yield widget


def _taken(images, net: vz.Network) -> vz.ImageSet:
    """Pictures that were given; beside arrays for a network of its own classes, files are whole."""
    pictures = vz.as_image_set(images)
    if pictures is images or not net.classes:
        return pictures
    return dataclasses.replace(pictures, classes=net.classes, crop=1.0)


def _check(kind: str, name, known) -> None:
    """Refuse a name that is not among those there are."""
    if name not in known:
        listed = ", ".join(str(one) for one in known if one is not None)
        raise ValueError(f"{kind} {name!r} not found; there are {listed}.")
