"""Turn an executed notebook into one HTML file that needs nothing else.

    python tools/export_html.py NOTEBOOK HTML

The page loads no script, style sheet, font or picture from anywhere, so it can
be mailed, printed and read offline. What needs scripts is shown by its static
twin: a widget by the picture or text saved beside it. Links to follow remain.
"""

import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

# nbconvert's "basic" template is the body of its "classic" one, without the
# scripts and fonts that either page around it would fetch ("lab" also cuts long
# lines off and drops alternative texts). The page below stands in their place.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
body { margin: 0; background: #fff; color: #1a1a1a;
       font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1.5rem; }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 0.5em; }
h2 { border-bottom: 1px solid #ccc; }
a { color: #0b57a4; }
img { max-width: 100%; height: auto; }
pre, code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 1rem 0 0.5rem; background: #f6f7f9; border-left: 3px solid #b9c3d0;
          padding: 0.4rem 0.8rem; }
summary { color: #5b6573; font-size: 13px; cursor: pointer; }
.output_area { margin: 0.5rem 0; overflow-x: auto; }
.output_area > .prompt { display: none; }
table { border-collapse: collapse; border: 0; font-size: 14px; margin: 0.6rem 0; }
th, td { padding: 0.25rem 0.6rem; text-align: left; border: 0; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #888; }
.dataframe th, .dataframe td { text-align: right; font-variant-numeric: tabular-nums; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid #ccc; color: #444; }
.highlight .k, .highlight .kn, .highlight .kc, .highlight .ow { color: #7928a1; }
.highlight .s1, .highlight .s2, .highlight .sa, .highlight .sd, .highlight .si { color: #1e6b3a; }
.highlight .mi, .highlight .mf { color: #9a4a00; }
.highlight .c1 { color: #5b6573; font-style: italic; }
@media print {
  main { max-width: none; margin: 0; }
  img, tr, details { break-inside: avoid; }
}
"""

# The first of these that an output has is shown.
SHOWN = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
]


def fold_code(body, code):
    """Let a reader fold a cell's code away, under its number."""
    prompt = code.find(class_="prompt")
    summary = body.new_tag("summary")
    summary.string = prompt.get_text(strip=True).rstrip(":")
    prompt.replace_with(summary)
    code.name, code["open"] = "details", ""


def export(notebook, folder):
    """Return an executed notebook as a self-contained page.

    Parameters
    ----------
    notebook : NotebookNode
        With its outputs.
    folder : path
        Relative addresses of pictures in its Markdown start here.

    Returns
    -------
    str
        The page, as HTML.
    """
    exporter = HTMLExporter(template_name="basic", embed_images=True, exclude_anchor_links=True)
    exporter.config.NbConvertBase.display_data_priority = SHOWN
    resources = {"metadata": {"path": str(folder)}}
    body = BeautifulSoup(exporter.from_notebook_node(notebook, resources)[0], "html.parser")

    for element in body(["script", "link", "iframe"]):
        element.decompose()
    for picture in body("img"):
        if not picture["src"].startswith("data:"):  # a badge, say: its text stays
            picture.replace_with(picture["alt"])
    for code in body.find_all(class_="input"):
        fold_code(body, code)

    heading = body.find("h1")
    title = heading.get_text() if heading else "Notebook"
    return PAGE.format(title=title, style=STYLE, body=body)


def main(notebook, html):
    """Write the page of the executed `notebook` to the file `html`."""
    folder = Path.cwd()  # the executed copy lies in build/, its pictures do not
    page = export(nbformat.read(notebook, as_version=4), folder)
    Path(html).write_text(page, encoding="utf-8")
    print(f"wrote {html} ({len(page) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
