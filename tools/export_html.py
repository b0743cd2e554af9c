"""Turn an executed notebook into one HTML file that needs nothing else.

    python tools/export_html.py NOTEBOOK HTML

The page loads no script, style sheet, font or picture from anywhere, so it can
be mailed, printed and read offline. What needs scripts is shown by its static
twin: a widget by the picture or text saved beside it. Links to the web remain.
Sections are numbered, code is folded, a figure has its caption under it.
"""

import re
import sys
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

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

# Without a script: a tick box shows the contents on a phone, another all code (where the browser
# lets a style sheet open <details>; elsewhere the box is not offered).
STYLE = """
:root { color-scheme: light; --ground: #fff; --text: #1a1a1a; --soft: #55606e; --line: #d3d8de;
        --panel: #f5f6f8; --link: #0b57a4; --shade: #0003; --card: transparent;
        --keyword: #7928a1; --string: #1e6b3a; --number: #9a4a00; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ground: #15181c; --text: #e3e6ea; --soft: #a3adb9; --line: #3b434d;
          --panel: #1f242b; --link: #85b9ff; --shade: #fff4; --card: #fff;
          --keyword: #d3a0f0; --string: #8fd3a4; --number: #f0b27a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); overflow-wrap: break-word;
       font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 60rem; margin: 1rem auto 4rem; padding: 0 1.5rem; }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 0.5em; }
h2 { border-bottom: 1px solid var(--line); }
a { color: var(--link); }
img { max-width: 100%; height: auto; background: var(--card); }
pre, code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
li { margin: 0.2rem 0; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid var(--line); }
.number { color: var(--soft); font-variant-numeric: tabular-nums; }
.up { float: right; text-decoration: none; font-weight: normal; padding: 0 0.4rem; }

.contents { font-size: 15px; border-bottom: 1px solid var(--line); padding-bottom: 0.5rem; }
.contents label { display: inline-block; padding: 0.3rem 1.2rem 0.3rem 0; cursor: pointer; }
.contents ol { display: none; list-style: none; margin: 0; padding: 0; }
#show-contents:checked ~ ol { display: block; }
.contents li { margin: 0; padding: 0.25rem 0; line-height: 1.3; }
.contents .part { padding-left: 1.6rem; font-size: 14px; }
.contents a { text-decoration: none; }
.contents .home { display: inline-block; margin-right: 1.2rem; }
.contents a:hover, .contents a:focus { text-decoration: underline; }
.all-code { display: none !important; }
@supports selector(::details-content) {
  .contents .all-code { display: inline-block !important; }
  main:has(#show-code:checked) .code::details-content { content-visibility: visible; }
}
@media screen and (min-width: 72rem) {
  main:has(> .contents) { margin-left: calc(19rem + max(0rem, (100vw - 81rem) / 2)); }
  .contents { position: fixed; inset: 0 auto 0 0; width: 18rem; overflow-y: auto; border: 0;
              padding: 1rem 1rem 2rem 1.5rem; border-right: 1px solid var(--line); }
  .contents ol { display: block; margin-top: 0.5rem; }
  .up, #show-contents, [for=show-contents] { display: none !important; }
}

details { margin: 1rem 0 0.5rem; background: var(--panel); border-left: 3px solid var(--line);
          padding: 0.3rem 0.8rem; }
summary { color: var(--soft); font-size: 13px; cursor: pointer; }
.prompt { display: none; }
.output_area { margin: 0.5rem 0; }
.output_stream { border-left: 3px solid var(--line); padding-left: 0.8rem; }
.answer { border-left: 3px solid var(--link); padding: 0.1rem 0 0.1rem 0.8rem; }
blockquote .answer { border: 0; padding: 0; }
figure { margin: 1rem 0 1.4rem; }
figure img { display: block; padding: 4px; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 15px; margin-top: 0.4rem; max-width: 780px; }
figcaption p { margin: 0; }

/* A table wider than its box scrolls in it; a shade tells that there is more. */
.table, main > table { overflow-x: auto; margin: 0.6rem 0; background:
  linear-gradient(to right, var(--ground) 30%, transparent) 0 0 / 40px 100% no-repeat local,
  linear-gradient(to left, var(--ground) 30%, transparent) 100% 0 / 40px 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) 0 0 / 12px 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) 100% 0 / 12px 100% no-repeat scroll; }
main > table { display: block; }
table { border-collapse: collapse; border: 0; font-size: 14px; }
th, td { padding: 0.25rem 0.6rem; text-align: left; vertical-align: top;
         border: 0; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--soft); }
.dataframe th, .dataframe td { font-variant-numeric: tabular-nums; }
.quantity { text-align: right; }
td img { max-width: none; }

.highlight .k, .highlight .kn, .highlight .kc, .highlight .ow { color: var(--keyword); }
.highlight .s1, .highlight .s2, .highlight .sa, .highlight .sd, .highlight .si {
  color: var(--string); }
.highlight .mi, .highlight .mf { color: var(--number); }
.highlight .c1 { color: var(--soft); font-style: italic; }
@media screen and (max-width: 45rem) {
  main { padding: 0 1rem; }
  .table table { width: max-content; min-width: 100%; }
  .table th, .table td { max-width: 13rem; padding: 0.25rem 0.45rem; }
  .text_cell .table table { width: 100%; font-size: 13px; }  /* sentences: narrow, but whole */
  .text_cell th, .text_cell td { padding: 0.2rem 0.3rem; hyphens: auto; }
}
@page { margin: 16mm 15mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; margin: 0; padding: 0; }
  .contents, .up { display: none; }
  main:not(:has(#show-code:checked)) .code:not([open]) { display: none; }
  h1, h2, h3, summary { break-after: avoid; }
  img, tr, figure, figcaption { break-inside: avoid; }
  figure img { max-height: 215mm; width: auto; }
  p, li, figcaption { orphans: 3; widows: 3; }
  .table, main > table { overflow: visible; background: none; }
  table { font-size: 8pt; }
  th, td { padding: 0.15rem 0.35rem; }
  .many { font-size: 6pt; }
  .many th, .many td { padding: 0.1rem 0.15rem; }
  pre, code { font-size: 8pt; }  /* a line of a hundred characters fits */
  figcaption { font-size: 9pt; }
  .number, figcaption, summary { color: inherit; }
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

OWN_NUMBER = re.compile(r"(\d+)\.\s+")  # of a heading
OPENED = "shown"  #: tag of a cell whose code is not folded
CAPTION = re.compile(r"Figure (\d+)\.")
MENTION = re.compile(r"\bFigure\s+(\d+)\b(?! of (?:the report|companion))")
MANY = 9  # columns: more do not fit a printed page
QUANTITY = re.compile(r"[≈<>≤≥±]?\s*[-−+]?[\d,.]+(?:e[-+]?\d+)?\s*%?")


def anchor(heading):
    """The name under which JupyterLab, and so a notebook's own links, knows a heading."""
    return heading.strip().replace(" ", "-")


def chapter_numbers(headings):
    """Number the headings of chapters and their parts.

    A chapter that has a number in its text keeps it, one that follows gets the next; what stands
    before the first of them (the words, say) gets none. If no chapter brings a number, all do.

    Parameters
    ----------
    headings : sequence of (int, str)
        Levels, 2 for a chapter and 3 for a part, and texts, in the notebook's order.

    Returns
    -------
    list of str
        ``"2."``, ``"2.1"`` or ``""``.
    """
    own = [OWN_NUMBER.match(text) if level == 2 else None for level, text in headings]
    chapter, part, numbers = 0, 0, []
    for (level, _), found in zip(headings, own, strict=True):
        if level == 2:
            begun = chapter or not any(own)
            chapter, part = int(found[1]) if found else chapter + 1 if begun else 0, 0
        else:
            part += 1
        numbers.append("" if not chapter else f"{chapter}." if level == 2 else f"{chapter}.{part}")
    return numbers


def name_headings(body):
    """Give every heading a name to link to: each its own, so that no link is ambiguous."""
    taken = {}
    for heading in body.find_all(["h1", "h2", "h3", "h4"]):
        name = anchor(heading.get_text())
        taken[name] = taken.get(name, 0) + 1
        heading["id"] = name if taken[name] == 1 else f"{name}-{taken[name]}"


def number_headings(body):
    """Number chapters and parts, and return the list of contents that leads to them."""
    headings = body.find_all(["h2", "h3"])
    numbers = chapter_numbers([(int(h.name[1]), h.get_text()) for h in headings])
    entries = body.new_tag("ol")
    for heading, number in zip(headings, numbers, strict=True):
        first = heading.find(string=True)
        if heading.name == "h2" and OWN_NUMBER.match(first):
            first.replace_with(OWN_NUMBER.sub("", first, count=1))
        entry = body.new_tag("li", attrs={"class": "part" if "." in number[:-1] else "chapter"})
        link = body.new_tag("a", href=f"#{heading['id']}")
        link.string = f"{number} {heading.get_text()}".strip()
        entry.append(link)
        entries.append(entry)
        if number:
            sign = body.new_tag("span", attrs={"class": "number"})
            sign.string = number
            heading.insert(0, sign)
            sign.insert_after(" ")
    return entries


def add_contents(body, home):
    """Put a list of contents above the page, and a way back to it at every chapter."""
    entries = number_headings(body)
    nav = BeautifulSoup(
        '<nav class="contents" id="contents" aria-label="Contents">'
        '<input type="checkbox" id="show-contents"><label for="show-contents"> Contents</label>'
        '<label class="all-code"><input type="checkbox" id="show-code"> show all code (and print '
        "it)</label></nav>", "html.parser").nav  # fmt: skip
    if not body.find(class_="code"):
        nav.find(class_="all-code").decompose()
    if home:
        way = body.new_tag("a", href=home, attrs={"class": "home"})
        way.string = "all pages"
        nav.insert(0, way)
    nav.append(entries)
    body.insert(0, nav)
    for heading in body.find_all("h2"):
        back = body.new_tag("a", href="#contents", attrs={"class": "up"})
        back["aria-label"], back.string = "back to the contents", "↑"
        heading.insert_before(back)


def fold_code(body, code, *, opened):
    """Fold a cell's code away under its number and size, unless it is there to be read."""
    prompt = code.find(class_="prompt")
    lines = len(code.find("pre").get_text().strip().splitlines())
    summary = body.new_tag("summary")
    number = prompt.get_text(strip=True).rstrip(":")
    summary.string = f"{number} · {lines} line{'s' if lines > 1 else ''} of code"
    prompt.replace_with(summary)
    code.name, code["class"] = "details", ["code"]
    if opened:
        code["open"] = ""


def caption_figures(body):
    """Put each picture with the caption from the Markdown cell after it into one figure."""
    for cell in body.find_all(class_="code_cell"):
        below = cell.find_next_sibling(class_="cell")
        if below is None or "text_cell" not in below["class"]:
            continue
        captions = [p for p in below.find_all("p") if p.strong and CAPTION.match(p.get_text())]
        # (pictures inside tables are no figures)
        for picture, caption in zip(cell.select(".output_png > img, .output_jpeg > img"), captions,
                                    strict=False):
            number = CAPTION.match(caption.get_text())[1]
            figure = picture.wrap(body.new_tag("figure", id=f"figure-{number}"))
            figure.append(caption.wrap(body.new_tag("figcaption")))
        if not below.get_text(strip=True) and not below.find("img"):
            below.decompose()


def link_figures(body):
    """Make every mention of a figure in the text a link to it."""
    there = {figure["id"] for figure in body.find_all("figure")}
    for text in body.find_all(string=MENTION):
        inside = {parent.name for parent in text.parents}
        if inside & {"a", "pre", "code", "summary", "strong", "h1", "h2", "h3"}:
            continue

        def linked(found):
            name = f"figure-{found[1]}"
            return f'<a href="#{name}">{found[0]}</a>' if name in there else found[0]

        escaped = str(text.output_ready("minimal"))
        text.replace_with(BeautifulSoup(MENTION.sub(linked, escaped), "html.parser"))


def narrow(body, table):
    """Let a table of many columns break the names in its heads after an underscore."""
    table["class"] = [*table.get("class", []), "many"]
    for text in table.select_one("tr").find_all(string=re.compile("_")):
        first, *others = text.split("_")
        parts = [first]
        for other in others:
            parts += ["_", body.new_tag("wbr"), other]
        text.replace_with(*parts)


def box_tables(body):
    """Give each table a box in which it scrolls, and set numbers flush right."""
    for table in body.find_all("table"):
        if len(table.select_one("tr").find_all(["th", "td"])) > MANY:
            narrow(body, table)
        table.attrs.pop("border", None)
        table.wrap(body.new_tag("div", attrs={"class": "table"}))
        for cell in table.select(".dataframe td"):
            if QUANTITY.fullmatch(cell.get_text(strip=True)):
                cell["class"] = "quantity"
        for row in table.find_all("tr", style=True):
            del row["style"]


def settle_links(body, lead):
    """Change addresses of other files by `lead`; a link that leads nowhere becomes plain text."""
    for link in body.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc or not parts.path:
            continue
        address = lead(unquote(parts.path))
        if address is None:
            link.unwrap()
        else:
            link["href"] = parts._replace(path=address).geturl()


def export(notebook, folder, *, lead=lambda address: None, home=None):
    """Return an executed notebook as a self-contained page.

    Parameters
    ----------
    notebook : NotebookNode
        With its outputs.
    folder : path
        Relative addresses of pictures in its Markdown start here.
    lead : callable
        Where a link to another file (an address relative to the notebook) leads on the page;
        None if nowhere, as from a page that stands alone.
    home : str, optional
        Address of the page that lists all pages, where there is one.

    Returns
    -------
    str
        The page, as HTML.
    """
    exporter = HTMLExporter(template_name="basic", embed_images=True, exclude_anchor_links=True)
    exporter.config.NbConvertBase.display_data_priority = SHOWN
    resources = {"metadata": {"path": str(folder)}}
    body = BeautifulSoup(exporter.from_notebook_node(notebook, resources)[0], "html.parser")

    for element in body(["script", "link", "iframe", "style"]):
        element.decompose()
    for picture in body("img"):
        if not picture["src"].startswith("data:"):  # a badge, say: its text stays
            picture.replace_with(picture["alt"])
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for code, cell in zip(body.find_all(class_="input"), cells, strict=True):
        fold_code(body, code, opened=OPENED in cell.metadata.get("tags", []))
    for paragraph in body("p"):
        if paragraph.strong and paragraph.get_text().startswith("Answer"):
            paragraph["class"] = "answer"
    heading = body.find("h1")
    title = heading.get_text() if heading else "Notebook"

    settle_links(body, lead)
    name_headings(body)
    caption_figures(body)
    link_figures(body)
    box_tables(body)
    add_contents(body, home)
    return PAGE.format(title=escape(title), style=STYLE, body=body)


def main(notebook, html):
    """Write the page of the executed `notebook` to the file `html`."""
    folder = Path.cwd()  # the executed copy lies in build/, its pictures do not
    page = export(nbformat.read(notebook, as_version=4), folder)
    Path(html).write_text(page, encoding="utf-8")
    print(f"wrote {html} ({len(page) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
