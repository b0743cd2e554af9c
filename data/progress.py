"""Progress bars that leave nothing behind, and whether a notebook is running."""

from __future__ import annotations

import io
import sys

from tqdm import tqdm


def shell():
    """IPython's shell, if this is a notebook or a console of IPython; else None."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


class Progress(tqdm):
    """tqdm's bar, shown only where work takes long, and gone when it is done.

    On a console it is drawn to stderr, as ever. In a notebook that would leave an empty red bar
    below the cell. There it is a display that is emptied at the end: no notebook keeps it, and
    no comparison of outputs sees it.

    Parameters
    ----------
    iterable, desc, total, **options
        As tqdm takes them.
    delay : float
        Seconds before it appears.
    """

    def __init__(self, iterable=None, desc=None, total=None, *, delay=2, **options):
        self._display = None  #: of a notebook, once it is there
        self._in_notebook = hasattr(shell(), "kernel")
        if self._in_notebook:
            options |= {"file": io.StringIO(), "ncols": 80, "mininterval": 0.3}
        super().__init__(iterable, desc, total, leave=False, delay=delay, **options)

    def display(self, msg=None, pos=None):
        """Draw the bar, or the text `msg` in its place; an empty one takes it away."""
        if not self._in_notebook:
            return super().display(msg, pos)
        from IPython.display import display

        text = str(self) if msg is None else msg
        if self._display is None and text:
            self._display = display({}, raw=True, display_id=True)
        if self._display is not None:
            self._display.update({"text/plain": text} if text else {}, raw=True)
        return True
