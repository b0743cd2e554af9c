"""Things that a description names: drawn stimuli as words, and the words drawn again."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from techniques.stimuli import CHROMA, COLOURED, CONTRAST, FORMS, HUES

#: What a description may be wrong about: the form of a thing. Rings and centre-surrounds are
#: blobs of another profile; a patch has no form.
NOUNS = ("bar", "grating", "edge", "curve", "corner", "disc", "grid", "net", "high-low")
#: Forms that photographs do not tell apart: through its window a bar is a curve of large radius, a
#: grating of large period, and a wide one nearly a disc, as a curve of small radius is; a curve has
#: an edge's two sides, and so has a corner; discs, rings and centre-surrounds are blobs of three
#: profiles.
LOOK_ALIKES = tuple(map(frozenset, (
    ("bar", "curve"), ("bar", "grating"), ("bar", "disc"), ("curve", "grating"), ("curve", "disc"),
    ("curve", "edge"), ("corner", "edge"), ("disc", "ring"), ("disc", "centre-surround"),
    ("ring", "centre-surround"))))
SIGNED = ("bar", "curve", "corner", "disc", "ring", "centre-surround", "net")
UNITS = {"orientation": "°", "period": " px", "phase": "°", "width": " px", "shift": " px",
         "radius": " px", "opening": "°", "luminance": ""}
SIZES = ("period", "width", "radius", "opening")  #: positive
_WORDS = re.compile(
    rf"(?:(?P<tone>light|dark) )?(?:(?P<colour>{'|'.join(HUES)}) )?"
    rf"(?P<form>patch|{'|'.join(sorted(FORMS, key=len, reverse=True))})"
    rf"(?: against (?P<colour2>{'|'.join(HUES)}))?(?P<numbers>(?:; \w+ [-\d.e+]+[° px]*)*)")
_NUMBER = re.compile(r"; (\w+) ([-\d.e+]+)")


@dataclass(frozen=True, eq=False)
class Thing:
    """One drawn stimulus, centred on the receptive field; `stimuli.Stimuli` tells the columns.

    Attributes
    ----------
    form : str
        ``patch`` or a key of `stimuli.FORMS`.
    orientation, period, phase, width, shift, radius, opening : float
        Degrees and pixels; NaN where the form has no such property.
    luma, chroma : float
        Grey levels against mid-grey, and strength of the colour.
    colour, colour2 : str
        Hue of the figure and of its other side; "" for none.
    """

    form: str
    orientation: float = np.nan
    period: float = np.nan
    phase: float = np.nan
    width: float = np.nan
    shift: float = np.nan
    radius: float = np.nan
    opening: float = np.nan
    luma: float = CONTRAST
    chroma: float = 0.0
    colour: str = ""
    colour2: str = ""

    def __eq__(self, other: object) -> bool:
        # NaN equals nothing: written as None, so that what is missing in both is the same.
        return self._told == other._told if isinstance(other, Thing) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._told)

    @property
    def _told(self) -> tuple:
        return tuple(None if value != value else value for value in dataclasses.astuple(self))

    @property
    def words(self) -> str:
        """The thing in words and numbers, from which `thing` makes it again."""
        tone = "dark" if self.luma < 0 else "light" if self.luma > 0 and (
            self.form in SIGNED or self.colour) else ""
        names = [tone if self.form != "patch" else "", self.colour, self.form]
        said = " ".join(filter(None, names)) + (f" against {self.colour2}" if self.colour2 else "")
        numbers = {name: getattr(self, name) for name in UNITS if name != "luminance"}
        if self.form == "patch":
            numbers["luminance"] = self.luma
        return said + "".join(f"; {name} {value:g}{UNITS[name]}"
                              for name, value in numbers.items() if not np.isnan(value))

    def turned(self, degrees: float) -> Thing:
        """The same thing, turned counter-clockwise (one without an orientation stays)."""
        return dataclasses.replace(self, orientation=(self.orientation + degrees) % 360)

    def inverted(self) -> Thing:
        """Dark for light; a thing of equal luminance stays."""
        return dataclasses.replace(self, luma=-self.luma if self.luma else 0.0)

    def recoloured(self) -> Thing:
        """Each colour exchanged for its opposite; a grey thing stays."""
        names = list(HUES)
        opposite = {name: names[(i + 3) % 6] for i, name in enumerate(names)} | {"": ""}
        return dataclasses.replace(self, colour=opposite[self.colour],
                                   colour2=opposite[self.colour2])

    @property
    def breadth(self) -> float:
        """Width of its strokes, in pixels; NaN for an edge, a corner or a patch."""
        return {"bar": self.width, "curve": self.width, "grating": self.period / 2,
                "grid": self.period / 2, "net": self.period / 2, "high-low": self.period / 2,
                }.get(self.form, 2 * self.radius)

    def with_noun(self, noun: str, field: int) -> Thing:
        """Another form with the same orientation, breadth, place, tone and colour.

        Parameters
        ----------
        noun : str
            One of `NOUNS`.
        field : int
            Side of the receptive field in pixels: what is missing (an edge has no breadth)
            follows from it.
        """
        if self.form in (noun, "patch"):
            return self
        breadth = max(1.0, field / 8 if np.isnan(self.breadth) else self.breadth)
        moved = self.phase / 360 * self.period if self.phase > 0 else self.shift
        moved = 0.0 if np.isnan(moved) else round(moved, 2)
        own = {
            "bar": {"width": breadth, "shift": moved}, "edge": {"shift": moved},
            "grating": {"period": 2 * breadth, "phase": moved / breadth * 180 % 360},
            "curve": {"width": breadth, "radius": field / 2}, "corner": {"opening": 90.0},
            "disc": {"radius": breadth / 2}, "grid": {"period": 2 * breadth, "phase": 0.0},
            "net": {"period": 2 * breadth, "phase": 0.0}, "high-low": {"period": 2 * breadth},
        }[noun]
        angle = np.nan if noun == "disc" else np.nan_to_num(self.orientation)
        return Thing(noun, orientation=angle, luma=self.luma, chroma=self.chroma,
                     colour=self.colour, colour2=self.colour2 if noun == "edge" else "", **own)


def look_alike(one: str, other: str) -> bool:
    """Whether two forms are the same, or not told apart by photographs (`LOOK_ALIKES`)."""
    return one == other or frozenset((one, other)) in LOOK_ALIKES


def alike(form: str) -> set[str]:
    """All forms that look like one, itself among them."""
    return {other for other in FORMS if look_alike(form, other)}


def thing(words: str) -> Thing:
    """The thing that `Thing.words` tells, or one in your own words.

    Examples
    --------
    >>> thing("dark curve; orientation 75°; radius 16 px; width 4 px").form
    'curve'

    Raises
    ------
    ValueError
        Words of another form; a number that such a thing does not have, or one that it lacks.
    """
    found = _WORDS.fullmatch(words.strip())
    if not found:
        raise ValueError(
            f"{words!r} names no thing: write [light|dark] [colour] form[ against colour] and "
            "'; name number' for each of its numbers, as in 'dark curve; orientation 75°; radius "
            f"16 px; width 4 px'. Forms: {', '.join(FORMS)}, patch; colours: {', '.join(HUES)}.")
    told = _NUMBER.findall(found["numbers"])
    needed = _needed(found["form"])
    if sorted(name for name, _ in told) != sorted(needed):
        raise ValueError(f"a {found['form']} is told by {', '.join(needed)}, not by "
                         f"{', '.join(name for name, _ in told) or 'no number'}.")
    numbers = {name: _number(name, value) for name, value in told}
    colour, tone = found["colour"] or "", found["tone"]
    if found["colour2"] and not colour:
        raise ValueError(f"{words!r} has a second colour but no first one: write 'red edge against "
                         f"{found['colour2']}; ...', say.")
    if tone and found["form"] == "patch":
        raise ValueError(f"how light a patch is, its luminance says: leave out {tone!r}.")
    if found["form"] == "patch":
        luma = numbers.pop("luminance")
    else:
        luma = {"light": 1.0, "dark": -1.0, None: 0.0 if colour else 1.0}[tone]
        luma *= COLOURED[0] if colour else CONTRAST
    chroma = 0.0 if not colour else COLOURED[1] if luma else CHROMA
    return Thing(found["form"], luma=luma, chroma=chroma, colour=colour,
                 colour2=found["colour2"] or "", **numbers)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"the {name} is no number: {text!r}.") from None
    if name in SIZES and value <= 0:
        raise ValueError(f"the {name} of a thing must be positive, not {text}.")
    return value


def _needed(form: str) -> list[str]:
    """Names of the numbers that tell a thing of that form."""
    return {"patch": ["luminance"], "grating": ["orientation", "period", "phase"],
            "bar": ["orientation", "width", "shift"], "edge": ["orientation", "shift"],
            "curve": ["orientation", "width", "radius"], "corner": ["orientation", "opening"],
            "grid": ["orientation", "period", "phase"], "net": ["orientation", "period", "phase"],
            "high-low": ["orientation", "period"]}.get(form, ["radius"])


def things_of(table: pd.DataFrame) -> dict[int, Thing]:
    """The things among a battery's rows, by row number.

    Left out: figures that differ from another row in contrast only, which likeness ignores,
    and the patch that is mid-grey.
    """
    names = [f.name for f in dataclasses.fields(Thing)]
    found = {}
    for number, family, *row in table[["family", *names]].itertuples():
        one = Thing(*row)
        weaker = (family == "coloured" and not one.colour) or (
            one.form == "patch" and not one.luma and one.chroma < CHROMA)
        if not weaker:
            found[number] = one
    return found
