"""Put the report and everything beside it into one folder of pages that lead to each other.

    python tools/site.py FOLDER

shows the committed notebooks as they are (nothing is run): the report, its companions, the grading
sheet, and, where they have been made, the atlas sheets in build/atlas/, the reports on other
filters in build/reports/ and the pages of every filter in build/explorer/. FOLDER/index.html has
a card for each. Every page loads nothing from elsewhere; the folder can be moved, zipped or
served.
"""

import base64
import functools
import io
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import nbformat
from bs4 import BeautifulSoup
from nbconvert.filters import markdown2html
from nbformat.v4 import new_markdown_cell, new_notebook
from PIL import Image

from tools import grade
from tools.execute import picture_in
from tools.export_html import export, whole_page
from tools.report import parameters_of

REPORT = "lab3_circuit.ipynb"
CHECKS = "build/checks.xml"
EXPLORER_NAV = '<nav aria-label="Explorer">'
SIDE = 320  # pixels of a card's picture
LOOK = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem;
         list-style: none; padding: 0; }
.cards > li { border: 1px solid var(--line); border-radius: 6px; background: var(--panel);
              padding: 0.9rem; margin: 0; }
.cards h2 { font-size: 1.05rem; margin: 0.6rem 0 0.3rem; border: 0; }
.cards p { margin: 0; font-size: 15px; }
.cards img { width: 100%; height: 11rem; object-fit: contain; background: #fff; }
.sheet { overflow-x: auto; }
"""


@dataclass(frozen=True, eq=False)
class Card:
    """What the index says about a page: address, title, one sentence (HTML), picture (PNG)."""

    address: str
    title: str
    sentence: str
    picture: bytes | None = None


# --- what a notebook's card shows ---------------------------------------------------------


def sentence_of(notebook):
    """The first sentence of a notebook's abstract, or else of its first paragraph, as HTML."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    paragraphs = [" ".join(part.split()) for text in texts for part in text.split("\n\n")]
    first = next(i for i, text in enumerate(paragraphs) if text.startswith("# "))
    abstract = [text for text in paragraphs if text.startswith("**Abstract")]
    text = re.sub(r"^\*\*Abstract\.?\*\*\s*", "", [*abstract, *paragraphs[first + 1 :], ""][0])
    sentence = re.match(r".+?[.?!](?=\s|$)", text)
    page = BeautifulSoup(markdown2html(sentence[0] if sentence else text), "html.parser")
    return page.p.decode_contents() if page.p else ""


def title_of(notebook):
    """A notebook's first heading."""
    return next(text for cell in notebook.cells if cell.cell_type == "markdown"
                for level, text in grade.HEADING.findall(cell.source) if level == "#")


def picture_of(notebook):
    """A notebook's richest picture: the one that takes most bytes; None if it has none."""
    found = [base64.b64decode(output.data[kind])
             for cell in notebook.cells for output in cell.get("outputs", [])
             if (kind := picture_in(output))]
    return max(found, key=len, default=None)


def thumbnail(encoded, side=SIDE):
    """A picture made small, as a data address."""
    small, picture = io.BytesIO(), Image.open(io.BytesIO(encoded)).convert("RGB")
    picture.thumbnail((side, side))
    picture.quantize(128).save(small, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode()


# --- the pages ----------------------------------------------------------------------------


def lead_from(source, root):
    """Where a notebook's links lead on the site: to other notebooks' pages, else nowhere."""

    def lead(address):
        target = (source.parent / address).resolve()
        known = [path.resolve() for path in notebooks(root)]
        return str(Path(address).with_suffix(".html").as_posix()) if target in known else None

    return lead


def notebooks(root):
    """The report and its companions, in reading order."""
    return [Path(root, REPORT), *sorted(Path(root, "notebooks").glob("[0-9]*.ipynb"))]


def notebook_cards(root, folder):
    """Write each committed notebook's page, at the same place in `folder` as it has in `root`."""
    read = {path: nbformat.read(path, as_version=4) for path in notebooks(root)}
    order = [None, *read, None]
    return [notebook_card(path, root, folder, read, before, after)
            for before, path, after in zip(order, read, order[2:], strict=False)]


def notebook_card(source, root, folder, read, before, after):
    """Write the page of a notebook that stands between two others (paths, or None)."""
    notebook, address = read[source], source.relative_to(root).with_suffix(".html")
    target = folder / address
    target.parent.mkdir(parents=True, exist_ok=True)

    def way(page):
        return Path(os.path.relpath(page, source.parent)).as_posix()

    turns = [path and (way(path.with_suffix(".html")), title_of(read[path]))
             for path in (before, after)]
    own = unit_of(notebook)

    def onward(panel):
        found = own and re.fullmatch(r"#channel-(\d+)", panel.get("link", ""))
        page = found and explorer_address(root, own[0], reads(root, own[1]), found[1])
        return panel | {"link": way(root / page), "label": f"channel {found[1]} in the explorer"
                        } if page else panel

    page = export(notebook, source.parent, lead=lead_from(source, root),
                  home=way(root / "index.html"), before=turns[0], after=turns[1], onward=onward)
    if own and (explorer := explorer_address(root, *own)):
        link = (f'<p><a href="{way(root / explorer)}">Filter {own[2]} of {escape(own[1])}, and '
                "every other one, in the explorer</a></p>")
        page = page.replace("</h1>", f"</h1>\n{link}", 1)
    target.write_text(page, encoding="utf-8")
    return Card(address.as_posix(), title_of(notebook), sentence_of(notebook),
                picture_of(notebook))


def unit_of(notebook):
    """(network, layer, filter) that a notebook is about, by its parameters; None if it has none."""
    own = parameters_of(notebook)
    return (own.get("NETWORK", "vgg16"), own["LAYER"], own["FILTER"]) if (
        {"LAYER", "FILTER"} <= own.keys()) else None


def explorer_index(root):
    """What the explorer says that it holds; {} if it has not been made."""
    path = Path(root, "build/explorer/data/index.js")
    return _parsed(path, path.stat().st_mtime_ns) if path.exists() else {}


@functools.lru_cache(maxsize=1)
def _parsed(path, stamp):
    """The value that a script file of the explorer adds."""
    return json.loads(path.read_text(encoding="utf-8").partition(",")[2].rstrip().rstrip(");"))


def explorer_address(root, network, layer, *filter):
    """Where the site's explorer shows a layer or filter; None if it has no such page."""
    index = explorer_index(root)
    if index.get("network") != network or layer not in [one["name"] for one in index["layers"]]:
        return None
    return "explorer/index.html#" + "/".join(quote(str(part), safe="")
                                             for part in (network, layer, *filter))


def reads(root, layer):
    """The convolution that a layer reads, by the explorer; None if it has none, or is not there."""
    return next((one["reads"] for one in explorer_index(root).get("layers", ())
                 if one["name"] == layer), None)


def grade_card(root, folder):
    """Write the grading sheet, as Markdown and as a page."""
    grade.main(Path(root, REPORT), folder, Path(root, CHECKS))
    text = (folder / "grade.md").read_text(encoding="utf-8")
    page = export(new_notebook(cells=[new_markdown_cell(text)]), root,
                  lead=lambda address: address, home="index.html")
    (folder / "grade.html").write_text(page, encoding="utf-8")
    return Card("grade.html", "Grading sheet",
                "Each point of the rubric, the section that earns it, the evidence there and what "
                "became of its checks.")


def atlas_card(root, folder):
    """Write a page with every atlas sheet that has been drawn; None if there is none."""
    drawn = [path for path in sorted(Path(root, "build/atlas").glob("*/sheet.png"))
             if path.with_name("index.json").exists()]
    if not drawn:
        return None
    (folder / "atlas").mkdir(exist_ok=True)
    figures = []
    for number, path in enumerate(drawn, 1):
        index = json.loads(path.with_name("index.json").read_text(encoding="utf-8"))
        made, count = index["made_by"], len(index["filters"])
        least = ", what excites least" if made.get("sign", 1) < 0 else ""
        unit = escape(f"{made['network']}, {made['layer']}{least}")
        name = f"atlas/{path.parent.name}.png"
        pages = explorer_address(root, made["network"], made["layer"])
        pages = f' <a href="{pages}">a page for each</a>' if pages else ""
        shutil.copyfile(path, folder / name)
        figures.append(
            f'<h2>{unit}</h2><figure><div class="sheet"><a href="{name}"><img src="{name}" '
            f'alt="Contact sheet: {count} filters of {unit}, each drawn by gradient ascent, with '
            f'its number above it."></a></div><figcaption><strong>Sheet {number}.</strong> '
            f"{count} filters of {unit}, {made['size']} px each, numbers above; the picture "
            f"opens at full size.{pages}</figcaption></figure>")
    write_page(folder / "atlas.html", "Atlas", "<h1>Atlas</h1>" + "".join(figures))
    return Card("atlas.html", "Atlas", "Every filter of a layer on one sheet, for "
                f"{len(drawn)} of the layers.", drawn[0].read_bytes())


def reports_card(root, folder):
    """Copy the reports on other filters and their index; None if there are none."""
    source, target = Path(root, "build/reports"), folder / "reports"
    if not (source / "index.html").exists():
        return None
    target.mkdir(exist_ok=True)
    for path in source.glob("*_failed.ipynb"):
        shutil.copyfile(path, target / path.name)
    for path in source.glob("*.html"):
        home = "../index.html" if path.name == "index.html" else "index.html"
        back = f'<main>\n<p><a href="{home}">back to the index</a></p>'
        page = path.read_text(encoding="utf-8").replace("<main>", back, 1)
        (target / path.name).write_text(page, encoding="utf-8")
    index = BeautifulSoup((source / "index.html").read_text(encoding="utf-8"), "html.parser")
    picture = index.find("img")
    png = base64.b64decode(picture["src"].partition("base64,")[2]) if picture else None
    return Card("reports/index.html", "Other filters", index.p.decode_contents(), png)


def explorer_card(root, folder):
    """Copy the explorer, with a way back; None if it has not been made."""
    source, target = Path(root, "build/explorer"), folder / "explorer"
    if not (source / "index.html").exists():
        return None
    shutil.copytree(source, target, dirs_exist_ok=True)
    page = (target / "index.html").read_text(encoding="utf-8")
    page = page.replace(EXPLORER_NAV, f'{EXPLORER_NAV}<a href="../index.html">all pages</a> ', 1)
    (target / "index.html").write_text(page, encoding="utf-8")
    return Card("explorer/index.html", "Explorer", "A page for every filter, linked to what feeds "
                "it and what reads it.")


def write_page(path, title, body):
    """Write a page that is no notebook's."""
    home = "" if path.name == "index.html" else '<p><a href="index.html">all pages</a></p>'
    path.write_text(whole_page(title, home + body, look=LOOK), encoding="utf-8")


def html_card(card):
    """One card of the index."""
    picture = (f'<a href="{card.address}" tabindex="-1"><img src="{thumbnail(card.picture)}" '
               f'alt="A figure of: {escape(card.title)}"></a>' if card.picture else "")
    return (f'<li>{picture}<h2><a href="{card.address}">{escape(card.title)}</a></h2>'
            f"<p>{card.sentence}</p></li>")


def build(root, folder):
    """Write the site of the project in `root` and return the index's path.

    Parameters
    ----------
    root, folder : path

    Returns
    -------
    Path
        ``folder/index.html``.
    """
    root, folder = Path(root), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report, *companions = notebook_cards(root, folder)
    others = [make(root, folder) for make in (grade_card, atlas_card, reports_card, explorer_card)]
    cards = [report, *companions, *filter(None, others)]
    body = f"<h1>{escape(report.title)}: all pages</h1>"
    body += f'<ul class="cards">{"".join(map(html_card, cards))}</ul>'
    write_page(folder / "index.html", report.title, body)
    return folder / "index.html"


def main(folder):
    """Build the site of the project in the working folder."""
    if not Path(REPORT).exists():
        sys.exit(f"{REPORT} does not exist; run make from the folder that holds the Makefile.")
    print(f"wrote {build(Path.cwd(), Path(folder).resolve())}")


if __name__ == "__main__":
    main(*sys.argv[1:])
