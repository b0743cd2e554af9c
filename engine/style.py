"""The house style: sizes, colours, and figures that a notebook shows by themselves."""

from __future__ import annotations

import base64
import functools
import html
import inspect
import io
import itertools
import re
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data.progress import shell
from engine.images import check_each

WIDTH, DPI = 6.5, 200  #: inches, and dots an inch, of figures
SCREEN = 120  #: pixels that a page gives to an inch of a figure, which so has more dots than pixels
STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8,
         "ytick.labelsize": 8, "legend.fontsize": 8, "axes.spines.top": False,
         "axes.spines.right": False}
SIGNED = "RdBu_r"
RED, BLUE, GREY = "#b2182b", "#2166ac", "#555555"
SIGNS = {"mostly excitatory": "+", "mostly inhibitory": "−", "mixed": "±"}  #: of kernels, by kind
NAMED = 12  #: panels that an alternative text names at most
COLOURS = 128, 256  #: of a figure's palette, where so few do
FAITHFUL = 16  #: grey levels by which a palette may miss a pixel; one in a thousand more
QUALITY = 40  #: of JPEGs
SMOOTH = "lanczos"  #: how a picture is enlarged; maps and kernels show their cells


class ShownFigure(Figure):
    """A figure that a notebook shows by itself, with its alternative text and its links.

    IPython draws a plain Figure only where pyplot was set up, and then without such a text. This
    class brings its own picture and has IPython prefer it: it is shown once, with pyplot and
    without, drawn as `save_figure` would write it, and kept small (`shown_as`).

    Attributes
    ----------
    alt : str
        What is to be seen, in a sentence. It goes into the output's metadata, where nbconvert's
        "basic" and "classic" pages read it; JupyterLab 4 does not read it out.
    """

    alt = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        here = shell()
        if here is not None:  # pyplot registers drawing functions for Figure: not a second time
            for form in ("image/png", "image/jpeg"):
                here.display_formatter.formatters[form].for_type(ShownFigure, lambda _: None)

    def __repr__(self) -> str:
        return super().__repr__().replace("ShownFigure", "Figure", 1)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        return shown_as(png_of(self), self.alt, panels_of(self))


def png_of(figure: Figure, note: PngInfo | None = None) -> bytes:
    """A figure as a PNG with a note in it, at the figure's own dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi,
                   pil_kwargs={"pnginfo": note} if note else {})
    return buffer.getvalue()


def panels_of(figure: Figure) -> list[dict]:
    """The panels of a drawn figure that a page may lead to, or from.

    A panel's name is its `gid` ("kernel-60"), where it leads is its `url` ("#channel-60"): both are
    matplotlib's own (`Artist.set_gid`, `Artist.set_url`).

    Returns
    -------
    list of dict
        ``"name"`` and ``"link"``, where there are any, and ``"box"``: left, top, width and height
        as shares of the figure.
    """
    found = []
    for axes in figure.axes:
        said = {"name": axes.get_gid(), "link": axes.get_url()}
        said = {key: text for key, text in said.items() if text}
        if said:
            x, y, width, height = axes.get_position().bounds
            found.append(said | {"box": [round(v, 4) for v in (x, 1 - y - height, width, height)]})
    return found


def shown_as(png: bytes, alt: str, panels: Sequence[dict] = ()) -> tuple[dict, dict]:
    """What a notebook keeps of a drawn figure: a picture small in bytes, and its metadata.

    The metadata say at which size it is shown (`SCREEN`), its alternative text and its `panels_of`.
    GitHub shows large notebooks unreliably. A figure of lines and kernels has few colours: a PNG
    with a palette is smaller than a JPEG and nearer to it. One that holds photographs becomes a
    JPEG. The figure as it was drawn is kept where neither is smaller.
    """
    with Image.open(io.BytesIO(png)) as picture:
        drawn, dpi = picture.convert("RGB"), picture.info.get("dpi", (DPI,))[0]
    forms = {"image/jpeg": _encoded(drawn, "JPEG", quality=QUALITY, progressive=True)}
    if drawn.getcolors(COLOURS[-1]) is not None:  # all of them fit: nothing is lost
        tried = COLOURS[-1:]
    else:  # to find a palette takes seconds: one that fails a sample of the pixels is not sought
        sample = drawn.resize([max(1, side // 4) for side in drawn.size], Image.Resampling.NEAREST)
        tried = COLOURS if _missed(sample, _palette(sample, COLOURS[-1])) <= FAITHFUL else ()
    for colours in tried:
        palette = _palette(drawn, colours)
        if _missed(drawn, palette) <= FAITHFUL:
            forms["image/png"] = _encoded(palette, "PNG")
            break
    form = min(forms, key=lambda form: len(forms[form]))
    if len(forms[form]) >= len(png):
        form, forms = "image/png", {"image/png": png}
    about = {key: round(side * SCREEN / dpi) for key, side in
             (("width", drawn.width), ("height", drawn.height))}
    about |= ({"alt": alt} if alt else {}) | ({"panels": list(panels)} if panels else {})
    return {form: forms[form]}, {form: about}


def _palette(picture: Image.Image, colours: int) -> Image.Image:
    """An RGB picture in so many colours."""
    return picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def _encoded(picture: Image.Image, form: str, **options) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, optimize=True, **options)
    return buffer.getvalue()


def _missed(one: Image.Image, two: Image.Image) -> float:
    """Grey levels within which 99.9 % of a picture's pixels agree with another's."""
    one, two = (np.asarray(picture.convert("RGB"), "int16") for picture in (one, two))
    apart = np.abs(one - two).max(-1)
    return float(np.quantile(apart, 0.999))


def blank_figure(height: float, width: float = WIDTH, layout: str = "compressed") -> ShownFigure:
    """An empty figure of the house style, in inches; a notebook shows it by itself."""
    return ShownFigure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")


def styled(function):
    """Apply the house style while a figure function runs, and say in words what it drew.

    The function gets one more option, ``alt``: the figure's alternative text. Without it the text
    is the first line of the function's docstring, and what is written on the figure: titles of
    panels, names of axes and lines.
    """
    @functools.wraps(function)
    def drawn(*args, alt: str | None = None, **kwargs):
        with mpl.rc_context(STYLE):
            figure = function(*args, **kwargs)
        figure.alt = _described(figure, function.__doc__) if alt is None else alt
        return figure

    own = inspect.signature(function)
    given = inspect.Parameter("alt", inspect.Parameter.KEYWORD_ONLY, default=None,
                              annotation="str | None")
    drawn.__signature__ = own.replace(parameters=[*own.parameters.values(), given])
    return drawn


def _described(figure: Figure, says: str) -> str:
    """What is to be seen on a figure, from a docstring and the words on the figure itself."""
    def listed(what, words):
        words = list(dict.fromkeys(filter(None, (" ".join(word.split()) for word in words))))
        more = f"; and {len(words) - NAMED} more" * (len(words) > NAMED)
        return [f"{what}: {'; '.join(words[:NAMED])}{more}."] if words else []

    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in panels))]
    return " ".join([
        says.strip().splitlines()[0].replace("`", ""),
        *listed("Written on it", [figure.get_suptitle(), *(axes.get_title() for axes in panels),
                                  *(text.get_text() for text in figure.texts)]),
        *listed("Across", [axes.get_xlabel() for axes in panels]),
        *listed("Upwards", [axes.get_ylabel() for axes in panels]),
        *listed("Legend", [text.get_text() for one in legends for text in one.get_texts()])])


def show_picture(axes, image, title: str = "", colour: str | None = None):
    """One RGB picture (0-255) without ticks; `colour` draws a frame around it."""
    axes.imshow(np.clip(np.asarray(image), 0, 255).astype("uint8"), interpolation=SMOOTH)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, pad=3)
    for spine in axes.spines.values():
        spine.set(visible=colour is not None, color=colour, linewidth=2.5)


def edge_look(kind: str) -> tuple[str, str, str]:
    """Sign, colour and line style of a kernel's edge, by its kind (`vizutils.kernel_kinds`)."""
    sign = SIGNS[kind]
    return sign, {"+": RED, "−": BLUE, "±": GREY}[sign], {"+": "-", "−": "--", "±": ":"}[sign]


def draw_kernel(axes, kernel: np.ndarray, norm, *, marks: bool = True):
    """One kernel on a signed scale, each tap marked + or − unless it is nearly zero."""
    drawn = axes.imshow(kernel, cmap=SIGNED, norm=norm, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#888888", linewidth=0.8)
    if marks:
        for (row, column), tap in np.ndenumerate(kernel):
            strength = abs(tap) / norm.halfrange
            if strength > 0.08:
                axes.text(column, row, "+" if tap > 0 else "−", ha="center", va="center",
                          fontsize=8, color="white" if strength > 0.55 else "#333333")
    return drawn


class ShownTable:
    """A table as a notebook shows it: texts to the left, numbers to the right, no second count.

    Attributes
    ----------
    table : DataFrame
    html : str
        A Markdown or HTML reader's form; a console gets the plain one.
    """

    def __init__(self, table: pd.DataFrame, html: str):
        self.table, self.html = table, html

    def __repr__(self) -> str:
        return self.table.to_string(index=False)

    def _repr_html_(self) -> str:
        return self.html


def show_table(table: pd.DataFrame, caption: str = "") -> ShownTable:
    """Show a table in the house style, under its caption.

    Parameters
    ----------
    table : DataFrame
        Shown without its index; make it a column (`reset_index`) where it says something.
    caption : str
        "Table 3. What it holds."; the page gives it an address and a link.
    """
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    sides = itertools.cycle([f' style="text-align: {"right" if number else "left"}">'
                             for number in numbers])
    page = table.to_html(index=False, border=0, na_rep="–")
    page = re.sub(r"(?<=<t[dh])>", lambda _: next(sides), page)  # heads first, then row by row
    if caption:
        said = f'<caption style="text-align: left">{html.escape(caption)}</caption>'
        page = page.replace("<thead>", f"{said}\n  <thead>", 1)
    return ShownTable(table, page)


def thumbnail_table(
    images: np.ndarray, table: pd.DataFrame, caption: str = "", *, side: int = 72
) -> ShownTable:
    """A table with a small picture before each row, for a notebook.

    Parameters
    ----------
    images : ndarray, shape (rows, h, w, 3)
        RGB 0-255.
    table : DataFrame
        As many rows; shown without its index.
    caption : str
        See `show_table`.
    side : int
        Thumbnails' side in pixels; they are drawn with twice as many.
    """
    images = check_each(images)

    def tag(image):
        small = Image.fromarray(np.clip(image, 0, 255).astype("uint8")).resize((2 * side, 2 * side))
        jpeg = base64.b64encode(_encoded(small, "JPEG", quality=QUALITY)).decode()
        return f'<img alt="" width="{side}" src="data:image/jpeg;base64,{jpeg}">'

    shown = table.copy()
    shown.insert(0, "picture", [f"@{i}@" for i in range(len(shown))])
    page = show_table(shown, caption).html
    for i, image in enumerate(images):
        page = page.replace(f"@{i}@", tag(image))
    return ShownTable(table, page)
