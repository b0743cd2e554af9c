"""What is looked at: a network, a layer, a filter, a picture, and how that is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

import vizutils as vz
from data import fetch

SIZE = 96  #: side of drawn pictures, in px: frames follow each other fast enough to watch
STEPS = 128  #: of an ascent or an inversion

#: What stands for a network and pictures that come from outside, in lines of code.
GIVEN = {"net": "# net: the network that the dashboard was given",
         "pictures": "# pictures: the image set that the dashboard was given"}


@dataclass(frozen=True, eq=False)
class View:
    """What a panel is asked to show.

    Attributes
    ----------
    net : Network
    layer : str
    filter : int
    pictures : ImageSet
        All that can be chosen; the strongest patches are cut from them.
    picture : int
        Which of them is looked at.
    size : int
        Side in px of pictures that are drawn.
    steps, seed : int
        Of an ascent or an inversion.
    preset : str, optional
        The recipe of the filter's picture, see `vizutils.PRESETS`; `vizutils.maximize`'s own
        without.
    code : mapping of str to str
        ``"net"`` and ``"pictures"``: lines of code that make the two, or say what they are.
    memory : dict
        What panels keep for the next view of the same network and pictures.
    """

    net: vz.Network
    layer: str
    filter: int
    pictures: vz.ImageSet
    picture: int = 0
    size: int = SIZE
    steps: int = STEPS
    seed: int = 0
    preset: str | None = None
    code: Mapping[str, str] = field(default_factory=lambda: dict(GIVEN))
    memory: dict = field(default_factory=dict, repr=False)

    @property
    def image(self) -> np.ndarray:
        """The chosen picture, float32 RGB 0-255, shape (side, side, 3)."""
        return self.pictures.read([self.picture])[0]

    @property
    def title(self) -> str:
        """The filter's name in words."""
        return f"{self.layer}, filter {self.filter}"

    @property
    def picture_name(self) -> str:
        """What the chosen picture is called where people read it."""
        return names_of(self.pictures)[self.picture]

    @property
    def settings(self) -> tuple[tuple[str, object, object], ...]:
        """How pictures are drawn: (name, value, the usual value) of each setting."""
        return (("size", self.size, SIZE), ("steps", self.steps, STEPS), ("seed", self.seed, 0),
                ("preset", self.preset, None))

    @property
    def parameters(self) -> dict:
        """What decides a panel's figure, as it is written into a saved one."""
        return {"network": self.net.name, "weights": self.net.weights_source, "layer": self.layer,
                "filter": self.filter, "picture": self.pictures.names[self.picture],
                "size": self.size, "steps": self.steps, "seed": self.seed, "preset": self.preset}


def names_of(pictures: vz.ImageSet) -> tuple[str, ...]:
    """The pictures' names for people: the packaged ones' say what they show.

    Only where all packaged pictures are there: a file of yours may be called as one of them is.
    """
    known = fetch.shows()
    if not known.keys() <= set(pictures.names):
        return pictures.names
    return tuple(known.get(name, name) for name in pictures.names)


def brief(name: str, room: int = 20) -> str:
    """A picture's name for a narrow title: its first words, as many as there is room for."""
    return textwrap.shorten(name, room, placeholder=" …") if " " in name else name[:room]


def join(pictures: vz.ImageSet, own: Mapping[str, np.ndarray]) -> vz.ImageSet:
    """An image set with pictures of one's own in front of it.

    Parameters
    ----------
    pictures : ImageSet
    own : mapping of str to ndarray, shape (size, size, 3)
        Name → RGB 0-255, of the set's size.
    """
    pictures = vz.as_image_set(pictures)
    if not own:
        return pictures
    added = vz.check_each(own.values())
    for name, image in zip(own, added, strict=True):
        if image.shape[:2] != (pictures.size, pictures.size):
            raise ValueError(f"{name} has {image.shape[0]} × {image.shape[1]} px, the others "
                             f"{pictures.size}: vz.read_image(path, size={pictures.size}).")
    return vz.ImageSet((*own, *pictures.names),
                       np.concatenate([np.full(len(own), -1), pictures.labels]), pictures.size,
                       np.concatenate([np.stack(added), pictures.images]), pictures.classes,
                       pictures.crop)


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """A square RGB picture, 0-255, at another side (bicubic)."""
    image, = vz.check_each([image])
    planes = Image.fromarray(np.clip(image, 0, 255).round().astype("uint8"))
    return np.asarray(planes.resize((size, size), Image.Resampling.BICUBIC), "float32")
