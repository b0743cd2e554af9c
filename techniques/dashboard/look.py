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
FOCUS, CHOSEN = "var(--jp-brand-color1, #2166ac)", "#e66101"
LINK = "var(--jp-content-link-color, #1a5fb4)"

#: Colours are JupyterLab's, so that they follow its theme; figures stay on white paper.
STYLE = f"""<style>
.vzd, .vzd .widget-label, .vzd .widget-html-content, .vzd label {{ color: {INK}; }}
.vzd {{ background: {PAPER}; padding: 4px; }}
.vzd .widget-html-content {{ line-height: 1.35; white-space: normal; }}
.vzd h2, .vzd h3 {{ margin: 2px 0; font-size: 15px; color: {INK}; }}
.vzd p {{ margin: 3px 0; }}
.vzd-card {{ border: 1px solid {LINE}; border-radius: 4px; padding: 6px 10px; margin: 4px;
  max-width: calc(100% - 10px); box-sizing: border-box; }}
.vzd-card img {{ display: block; max-width: 100%; background: #ffffff; margin: 4px 0; }}
.vzd-card .vzd-live {{ image-rendering: pixelated; }}
.vzd-wait {{ background: {FAINT}; height: 240px; display: flex; align-items: center;
  justify-content: center; }}
.vzd pre {{ background: {FAINT}; color: {INK}; padding: 6px; overflow-x: auto; font-size: 12px;
  font-family: monospace; white-space: pre; margin: 4px 0; }}
.vzd summary {{ cursor: pointer; }}
.vzd-problem {{ border-left: 4px solid var(--jp-error-color1, #b2182b); padding: 4px 8px;
  background: {FAINT}; }}
.vzd.vzd button:focus-visible, .vzd.vzd summary:focus-visible, .vzd.vzd input:focus-visible,
.vzd.vzd select:focus-visible, .vzd.vzd a:focus-visible, .vzd.vzd .noUi-handle:focus-visible,
.vzd.vzd .vzd-sheet div label:has(:focus-visible), .vzd.vzd label:has(> input:focus-visible) {{
  outline: 3px solid {FOCUS} !important; outline-offset: 1px; box-shadow: 0 0 0 1px {PAPER}; }}
.vzd-tile {{ background-color: {FAINT}; background-repeat: no-repeat; border: 1px solid {LINE};
  padding: 0; display: flex; align-items: flex-end; justify-content: center; font-size: 11px;
  line-height: 14px; color: {INK}; overflow: hidden; }}
.vzd .vzd-sheet {{ width: auto; height: auto; max-height: 246px; overflow-y: auto;
  position: relative; padding: 4px; }}
.vzd .vzd-sheet .widget-radio-box {{ display: flex; flex-flow: row wrap;
  width: 100%; margin: 0; padding: 0; }}
.vzd .vzd-sheet div label {{ box-sizing: border-box; margin: 1px; width: 44px; height: 24px;
  border: 1px solid {LINE}; background-color: {FAINT}; background-repeat: no-repeat;
  display: flex; align-items: flex-end; justify-content: center; font-size: 11px;
  line-height: 14px; cursor: pointer; position: relative; }}
.vzd .vzd-sheet div label input {{ position: absolute; inset: 0; margin: 0; opacity: 0;
  width: 100%; height: 100%; cursor: pointer; }}
.vzd .vzd-sheet div label:has(:checked) {{ outline: 3px solid {CHOSEN}; outline-offset: -3px;
  font-weight: bold; }}
.vzd .widget-readout {{ pointer-events: none; color: {INK}; }}
.vzd .vzd-words > .widget-html-content {{ max-width: 72ch; }}
.vzd .vzd-sending:empty {{ display: none; }}
.vzd a {{ color: {LINK}; text-decoration: underline; }}
</style>"""

#: For a page of its own (Voilà's is light) where the reader's system is dark: JupyterLab's colours.
DARK = """<style>@media (prefers-color-scheme: dark) {
:root:root { color-scheme: dark;
  --jp-layout-color0: #111111; --jp-layout-color1: #212121; --jp-layout-color2: #424242;
  --jp-layout-color3: #616161; --jp-border-color0: #757575; --jp-border-color1: #757575;
  --jp-border-color2: #616161; --jp-border-color3: #424242;
  --jp-ui-font-color0: #ffffff; --jp-ui-font-color1: #e6e6e6; --jp-ui-font-color2: #bdbdbd;
  --jp-ui-font-color3: #9e9e9e; --jp-content-font-color0: #ffffff;
  --jp-content-font-color1: #e6e6e6; --jp-content-font-color2: #bdbdbd;
  --jp-content-link-color: #90caf9; --jp-brand-color1: #64b5f6; --jp-error-color1: #ef9a9a;
  --jp-rendermime-error-background: #5d1f1f; }
:root:root body { background: var(--jp-layout-color0); color: var(--jp-ui-font-color1); }
}</style>"""

#: The copied text is what is shown; without a clipboard it is selected, to be copied by hand.
COPY = """<button type="button" class="jupyter-button widget-button" style="width: auto"
onclick="const said = this, code = this.previousElementSibling;
getSelection().selectAllChildren(code);
(navigator.clipboard ? navigator.clipboard.writeText(code.textContent) : Promise.reject()).then(
() => {said.textContent = 'Copied'}, () => {said.textContent = 'Selected: press Ctrl+C'})"
>Copy the call</button>"""


def code_block(title: str, code: str) -> str:
    """Code to unfold and copy."""
    return (f"<details><summary>{html.escape(title)}</summary>"
            f'<pre tabindex="0">{html.escape(code)}</pre>{COPY}</details>')


def download(content: bytes, name: str) -> str:
    """A link by which the browser saves a PNG file."""
    return (f'<a download="{html.escape(name)}" href="data:image/png;base64,'
            f'{base64.b64encode(content).decode()}">Download</a>')


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


def paragraph(words: str, *, problem: bool = False, quiet: bool = False) -> str:
    """A sentence as an HTML paragraph, announced by screen readers unless it is a quiet one."""
    if not words:
        return ""
    look = 'class="vzd-problem" role="alert"' if problem else "" if quiet else 'role="status"'
    return f"<p {look}>{html.escape(words)}</p>"
