"""Turn an executed notebook into one HTML file that needs nothing else.

    python tools/export_html.py NOTEBOOK HTML

The page loads no script, style sheet, font or picture from anywhere, so it can
be mailed, printed and read offline. What needs a kernel is shown by its static
twin: a widget by the picture or text saved beside it. Links to the web remain.
Sections are numbered, code is folded, a figure has its caption under it, and
panels of figures lead to each other. How it looks is in page.css; what its own
small script adds (copy, enlarge, "you are here") is in copy.js and page.js.
"""

import base64
import functools
import mimetypes
import re
import sys
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from tools.execute import PICTURES

# nbconvert's "basic" template is the body of its "classic" one, without the
# scripts and fonts that either page around it would fetch ("lab" also cuts long
# lines off and drops alternative texts). The page below stands in their place.
_PAGE = """<!DOCTYPE html>
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
<script>{script}</script>
</body>
</html>
"""

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8")
                 for name in ("copy.js", "page.js"))

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
# "Figure 3", "Tables 1, 2 and 4": not those of another notebook
MENTION = re.compile(r"\b(Figure|Table)s?\s+\d+(?:(?:,\s+|\s+and\s+|–)\d+)*\b"
                     r"(?! of (?:the report|companion))")
CITED = re.compile(r"\[(\d+(?:, \d+)*)\]")
TABLE = re.compile(r"Table (\d+)\.")
MANY = 9  # columns: more do not fit a printed page
SHORT = 12  # rows: no more, and a table stays on one printed page
QUANTITY = re.compile(r"[≈<>≤≥±]?\s*[-−+]?[\d,.]+(?:e[-+]?\d+)?\s*%?")


def whole_page(title, body, *, look=""):
    """A page of the house: its title (text), its body (HTML), and what it adds to the style."""
    return _PAGE.format(title=escape(title), style=STYLE + look, body=body, script=SCRIPT)


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
    """Give every heading a name to link to, each its own, and the link."""
    taken = {}
    for heading in body.find_all(["h1", "h2", "h3", "h4"]):
        name = anchor(heading.get_text())
        taken[name] = taken.get(name, 0) + 1
        heading["id"] = name if taken[name] == 1 else f"{name}-{taken[name]}"
        link = body.new_tag("a", href=f"#{heading['id']}", attrs={"class": "permalink"})
        link["aria-label"] = f"link to {heading.get_text()}"
        heading.append(link)


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
            caption.strong.contents[0].wrap(body.new_tag("a", href=f"#{figure['id']}"))
            figure.append(caption.wrap(body.new_tag("figcaption")))
        if not below.get_text(strip=True) and not below.find("img"):
            below.decompose()


def shown_kind(output):
    """The form of an output that the page shows; None for a stream or an error."""
    return next((kind for kind in SHOWN if kind in output.get("data", {})), None)


def link_panels(body, notebook, onward):
    """Name the panels of figures, and lay a link over each that leads to another panel.

    Figures say in their metadata where these are (`engine.style.panels_of`); `onward` may say that
    one leads to another page.
    """
    outputs = [(output, kind) for cell in notebook.cells for output in cell.get("outputs", [])
               if (kind := shown_kind(output)) in PICTURES]
    pictures = body.select(".output_png img, .output_jpeg img")
    named = {tag["id"] for tag in body.select("[id]")}
    for picture, (output, kind) in zip(pictures, outputs, strict=True):
        panels = list(map(onward, output.metadata.get(kind, {}).get("panels", [])))
        if panels:
            box = picture.wrap(body.new_tag("span", attrs={"class": "map"}))
            box.extend(_panel(body, panel, named) for panel in panels)
    for panel in body.select("a.panel"):
        if panel["href"][0] == "#" and panel["href"][1:] not in named:  # left out of this notebook
            panel.decompose()


def _panel(body, panel, named):
    """A panel as an element that lies over its figure; its name, if it is new, joins `named`."""
    sides = zip(("left", "top", "width", "height"), panel["box"], strict=True)
    place = "; ".join(f"{side}: {100 * share:.2f}%" for side, share in sides)
    tag = body.new_tag("a" if "link" in panel else "span",
                       attrs={"class": "panel", "style": place})
    if "name" in panel and panel["name"] not in named:
        tag["id"] = panel["name"]
        named.add(panel["name"])
    if "link" in panel:
        tag["href"] = panel["link"]
        tag["aria-label"] = tag["title"] = panel.get(
            "label", panel["link"].removeprefix("#").replace("-", " "))
    return tag


def link_figures(body):
    """Make every mention of a figure or a table in the text a link to it."""
    there = {tag["id"] for tag in body.select("figure[id], .table[id]")}
    for text in body.find_all(string=MENTION):
        inside = {parent.name for parent in text.parents}
        if inside & {"a", "pre", "code", "summary", "strong", "caption", "h1", "h2", "h3"}:
            continue

        def linked(found):
            kind, plural = found[1], found[0].startswith(f"{found[1]}s")
            # one is linked with its word, of several each number
            return re.sub(r"\d+" if plural else r".+", functools.partial(_link, kind, there),
                          found[0])

        escaped = str(text.output_ready("minimal"))
        text.replace_with(BeautifulSoup(MENTION.sub(linked, escaped), "html.parser"))


def _link(kind, there, found):
    """A mention, or a number of one, as a link if the page holds what is meant."""
    name = f"{kind.lower()}-{re.search(r'[0-9]+', found[0])[0]}"
    return f'<a href="#{name}">{found[0]}</a>' if name in there else found[0]


def link_references(body):
    """Make each number in brackets a link to its entry in the list of references."""
    heading = next((heading for heading in body.find_all(["h2", "h3"])
                    if "references" in heading.get_text().lower()), None)
    listed = heading and heading.find_next("ol")
    entries = listed.find_all("li", recursive=False) if listed else []
    for number, entry in enumerate(entries, 1):
        entry["id"] = f"reference-{number}"

    def linked(found):
        known = 0 < int(found[0]) <= len(entries)
        return f'<a href="#reference-{found[0]}">{found[0]}</a>' if known else found[0]

    for text in body.find_all(string=CITED) if entries else []:
        if not {parent.name for parent in text.parents} & {"a", "pre", "code", "table"}:
            new = CITED.sub(lambda found: re.sub(r"\d+", linked, found[0]),
                            str(text.output_ready("minimal")))
            text.replace_with(BeautifulSoup(new, "html.parser"))


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
        box = table.wrap(body.new_tag("div", attrs={"class": "table"}))
        if len(table.select("tbody tr")) <= SHORT:
            box["class"].append("short")
        if table.caption and (found := TABLE.match(table.caption.get_text())):
            box["id"] = f"table-{found[1]}"
            table.caption.string.wrap(body.new_tag("a", href=f"#{box['id']}"))
        for cell in table.select(".dataframe td:not([style])"):
            if QUANTITY.fullmatch(cell.get_text(strip=True)):
                cell["class"] = "quantity"
        for row in table.find_all("tr", style=True):
            del row["style"]


def embed_pictures(body, folder):
    """Put the files of pictures into the page; of one on the web (a badge, say) its text stays.

    nbconvert would do it, but takes each piece of HTML in a Markdown cell for a whole one, and so
    closes a <details> before what it is to hold.
    """
    for picture in body("img"):
        parts = urlsplit(picture["src"])
        if parts.scheme == "data":
            continue
        file, kind = folder / unquote(parts.path), mimetypes.guess_type(parts.path)[0]
        if parts.scheme or parts.netloc or not file.is_file():
            picture.replace_with(picture.get("alt", ""))
        else:
            encoded = base64.b64encode(file.read_bytes()).decode()
            picture["src"] = f"data:{kind};base64,{encoded}"


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


def add_turn(body, before, after):
    """Put links to the page before and the one after at the end; each an (address, title)."""
    nav = body.new_tag("nav", attrs={"class": "turn", "aria-label": "Pages"})
    for page, form in ((before, "← {}"), (after, "{} →")):
        if page:
            link = body.new_tag("a", href=page[0])
            link.string = form.format(page[1])
            nav.append(link)
    if nav.contents:
        body.append(nav)


def export(notebook, folder, *, lead=lambda address: None, home=None, before=None, after=None,
           onward=lambda panel: panel):
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
    before, after : (str, str), optional
        Address and title of the neighbouring pages.
    onward : callable
        A figure's panel → the same, or with another ``link`` and its ``label``.

    Returns
    -------
    str
        The page, as HTML.
    """
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    exporter.config.NbConvertBase.display_data_priority = SHOWN
    resources = {"metadata": {"path": str(folder)}}
    body = BeautifulSoup(exporter.from_notebook_node(notebook, resources)[0], "html.parser")

    for element in body(["script", "link", "iframe", "style"]):
        element.decompose()
    embed_pictures(body, Path(folder))
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
    link_panels(body, notebook, onward)
    box_tables(body)
    link_figures(body)
    link_references(body)
    add_contents(body, home)
    add_turn(body, before, after)
    return whole_page(title, str(body))


def main(notebook, html):
    """Write the page of the executed `notebook` to the file `html`."""
    folder = Path.cwd()  # the executed copy lies in build/, its pictures do not
    page = export(nbformat.read(notebook, as_version=4), folder)
    Path(html).write_text(page, encoding="utf-8")
    print(f"wrote {html} ({len(page) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
