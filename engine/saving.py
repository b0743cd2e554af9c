"""Figures on disk, each with the program that makes it again."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data import HOME
from data.progress import shell
from engine.network import Network
from engine.recipes import recipe_of
from engine.style import panels_of, png_of, shown_as


@dataclass(frozen=True, eq=False)
class SavedFigure:
    """A figure as it was written; Jupyter shows it smaller in bytes, not in pixels.

    Attributes
    ----------
    path : Path
    png : bytes
        The file.
    alt : str
        Alternative text, for readers who cannot see the figure.
    panels : tuple of dict
        Its panels that have a name or lead somewhere, see `engine.style.panels_of`.
    """

    path: Path
    png: bytes
    alt: str
    panels: tuple = ()

    def __repr__(self) -> str:
        return f"{self.path.name}: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        data, about = shown_as(self.png, self.alt, self.panels)
        return data | {"text/plain": repr(self)}, about


def save_figure(
    figure: Figure, name: str, *, alt: str, recipe: str | None = None, **parameters
) -> SavedFigure:
    """Write a figure below ``build/figures`` and return what a notebook shows.

    Parameters
    ----------
    figure : Figure
    name : str
        File name without ending.
    alt : str
        What is to be seen, in a sentence.
    recipe : str, optional
        Code that makes the figure again. In a notebook it is found in the cells run so far, see
        `engine.recipes.recipe_of`.
    **parameters
        What made the figure (layer, filter, seed, steps, ...): kept in the PNG's metadata, beside
        the recipe, the digests of the networks it uses, and the versions of the libraries.

    Notes
    -----
    The environment variable ``VIZUTILS_FIGURES`` names another folder; ``make figures`` sets it
    to ``figures/``, whose files are committed.
    """
    folder = Path(os.environ.get("VIZUTILS_FIGURES")
                  or HOME.parent / "build" / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    variables = _notebook()
    if recipe is None:
        recipe = recipe_of(variables.get("In", []), name)
    note = PngInfo()
    note.add_itxt("Title", name)
    note.add_itxt("Description", alt)
    note.add_itxt("Comment", json.dumps(parameters, default=str, ensure_ascii=False))
    note.add_itxt("Networks", json.dumps(_networks_in(recipe, variables)))
    note.add_itxt("Versions", json.dumps(_versions()))
    note.add_itxt("Recipe", recipe, zip=True)
    png = png_of(figure, note)
    path = folder / f"{name}.png"
    path.write_bytes(png)
    return SavedFigure(path, png, alt, tuple(panels_of(figure)))


def _notebook() -> dict:
    """The variables of the notebook that is running, its inputs as ``In``; none elsewhere."""
    here = shell()
    return {} if here is None else here.user_ns


def _networks_in(recipe: str, variables: dict) -> dict[str, dict[str, str]]:
    """Which weights the networks named in a recipe have."""
    return {name: {"network": value.name, "weights": value.weights_source, "sha256": value.digest}
            for name, value in variables.items()
            if isinstance(value, Network) and re.search(rf"\b{name}\b", recipe)}


def _versions() -> dict[str, str]:
    """Releases that a figure's pixels depend on."""
    libraries = tf, keras, np, mpl, pd
    return {"python": platform.python_version(),
            **{module.__name__: module.__version__ for module in libraries}}


def show_recipe(path: str | os.PathLike) -> str:
    """What made a saved figure, as a program that makes it again.

    Parameters
    ----------
    path : path
        A PNG that `save_figure` wrote.

    Returns
    -------
    str
        Python: parameters, weights and versions as comments, then the code.

    Raises
    ------
    ValueError
        The file is no picture, or holds no recipe.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the path of a figure's PNG.")
    try:
        with Image.open(path) as picture:
            kept = {key: str(value) for key, value in picture.info.items()}
    except OSError as error:
        raise ValueError(f"{path} is not a picture that can be read: {error}.") from error
    if not kept.get("Recipe"):
        raise ValueError(f"{path} holds no recipe: only figures that a notebook's cell saved with "
                         "vizutils.save_figure do.")
    lines = [f"{kept['Title']}: {kept['Description']}", f"parameters: {kept['Comment']}",
             f"networks: {kept['Networks']}", f"versions: {kept['Versions']}"]
    return "".join(f"# {line}\n" for line in lines) + kept["Recipe"]
