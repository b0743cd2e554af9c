"""How it looks: the style sheet, the copy button, pictures and sentences as HTML."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from engine import style

INK, PAPER = "var(--jp-ui-font-color1, #1b1b1b)", "var(--jp-layout-color1, #ffffff)"
LINE, FAINT = "var(--jp-border-color1, #949494)", "var(--jp-layout-color2, #eeeeee)"

#: Colours are JupyterLab's, so that they follow its theme; figures stay on white paper.
STYLE = f"""<style>
.vzd, .vzd .widget-label, .vzd .widget-html-content, .vzd label {{ color: {INK}; }}
.vzd {{ background: {PAPER}; padding: 4px; }}
.vzd .widget-html-content {{ line-height: 1.35; white-space: normal; }}
.vzd h3, .vzd h4 {{ margin: 2px 0; font-size: 15px; color: {INK}; }}
.vzd p {{ margin: 3px 0; }}
.vzd-card {{ border: 1px solid {LINE}; border-radius: 4px; padding: 6px 10px; margin: 4px;
  max-width: calc(100% - 10px); box-sizing: border-box; }}
.vzd-card img {{ display: block; max-width: 100%; background: #ffffff; margin: 4px 0; }}
.vzd-card .vzd-live {{ image-rendering: pixelated; }}
.vzd-wait {{ background: {FAINT}; height: 240px; display: flex; align-items: center;
  justify-content: center; }}
.vzd pre {{ background: {FAINT}; color: {INK}; padding: 6px; overflow-x: auto; font-size: 12px;
  margin: 4px 0; }}
.vzd summary {{ cursor: pointer; }}
.vzd-problem {{ border-left: 4px solid var(--jp-error-color1, #b2182b); padding: 4px 8px;
  background: {FAINT}; }}
.vzd button:focus-visible, .vzd summary:focus-visible, .vzd input:focus-visible,
.vzd select:focus-visible {{ outline: 2px solid var(--jp-brand-color1, #2166ac);
  outline-offset: 1px; }}
.vzd-tile {{ background-color: {FAINT}; background-repeat: no-repeat; border: 1px solid {LINE};
  padding: 0; display: flex; align-items: flex-end; justify-content: center; font-size: 11px;
  line-height: 14px; color: {INK}; }}
</style>"""

#: The copied text is what is shown; without a clipboard it is selected, to be copied by hand.
COPY = """<button type="button" class="jupyter-button widget-button" style="width: auto"
onclick="const said = this, code = this.previousElementSibling;
getSelection().selectAllChildren(code);
(navigator.clipboard ? navigator.clipboard.writeText(code.textContent) : Promise.reject()).then(
() => {said.textContent = 'Copied'}, () => {said.textContent = 'Selected: press Ctrl+C'})"
>Copy the call</button>"""


def encoded(picture: np.ndarray | Figure) -> bytes:
    """A picture as PNG: an RGB array 0-255, or a figure."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=style.SCREEN)
    else:
        Image.fromarray(np.clip(picture, 0, 255).round().astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def image_tag(picture: bytes, alt: str, *, width: int, live: bool = False) -> str:
    """An ``<img>`` that carries its own bytes and its alternative text, at most `width` px wide."""
    kind = "vzd-live" if live else "vzd-done"
    return (f'<img class="{kind}" alt="{html.escape(alt)}" style="width: {width}px" '
            f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">')


def in_words(seconds: float) -> str:
    """A time left, no more exactly than it is known."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"


def progress_words(share: float, seconds_left: float | None) -> str:
    """How much is done (a share, 0-1), and the time left where it is known."""
    return f"{100 * share:.0f} %" + ("" if seconds_left is None else f", {in_words(seconds_left)}")


def paragraph(words: str, *, problem: bool = False) -> str:
    """A sentence as an HTML paragraph, marked for screen readers; empty for no words."""
    if not words:
        return ""
    look = 'class="vzd-problem" role="alert"' if problem else 'role="status"'
    return f"<p {look}>{html.escape(words)}</p>"
