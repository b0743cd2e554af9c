"""A field for a whole number that answers what it cannot take in a sentence."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
import traitlets


class Number(traitlets.HasTraits):
    """A whole number that is typed.

    ipywidgets' own fields change a number they do not like without a word (17.5 becomes 175, 9999
    the largest allowed); here the number before stays, and `told` hears why.

    Parameters
    ----------
    words : str
        The field's name.
    value, low, high : int
        What it begins with, and the bounds.
    told : callable
        ``told(sentence)``, when something was typed; empty if it was taken.
    what : str, optional
        What has these numbers, for the sentence: "block3_conv2 has filters".

    Attributes
    ----------
    value : int
        Can be set and observed.
    widget : Text
    """

    value = traitlets.Int()

    def __init__(self, words: str, value: int, low: int, high: int,
                 told: Callable[[str], None], *, what: str = "", **look):
        super().__init__()
        self.low, self.high, self.what, self.plain = low, high, what or f"{words} takes", not what
        self._told = told
        self.widget = widgets.Text(str(value), description=words, continuous_update=False, **look)
        self.value = value
        self.widget.observe(lambda change: self._typed(change["new"]), names="value")

    def problem_with(self, typed: str) -> str:
        """What is wrong with what was typed, in a sentence; empty if nothing is."""
        try:
            number = int(typed.strip())
        except ValueError:
            number = None
        if number is not None and self.low <= number <= self.high:
            return ""
        kind = "whole numbers " if number is None and self.plain else ""
        said = typed.strip() or "nothing"
        return f"{self.what} {kind}{self.low} to {self.high}, not {said}: {self.value} stays."

    def _typed(self, typed: str) -> None:
        if typed == str(self.value):
            return
        problem = self.problem_with(typed)
        self._told(problem)
        if not problem:
            self.value = int(typed)
        self.widget.value = str(self.value)

    @traitlets.validate("value")
    def _within(self, proposal):
        if problem := self.problem_with(str(proposal["value"])):
            raise ValueError(problem)
        return proposal["value"]

    @traitlets.observe("value")
    def _moved(self, change):
        self.widget.value = str(change["new"])
