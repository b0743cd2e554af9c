"""The standing texts: what they name exists, what exists is named, and they are short.

README.md is for readers, CONTRIBUTING.md for whoever changes something, docs/ for what is long.
"""

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

from tools.modules import PACKAGES, modules

ROOT = Path(__file__).resolve().parents[1]
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("[!.]*/README.md")])
#: What is made or fetched on a reader's machine, and so need not be here.
MADE = ("build/", ".venv", "data/cache", "~")
#: Words that stand for a name of the reader's own.
PLACEHOLDER = re.compile(r"\b(?:NAME|DIR|FILE|FIGURE|my)\b|[<>{}$…]")
ENDING = r"\.(?:py|md|ipynb|toml|yml|txt|json|npz|png|cfg)"


def names(paths):
    return [path.relative_to(ROOT).as_posix() for path in paths]


@cache
def text_of(path):
    return path.read_text(encoding="utf-8")


# --- what a paper names exists --------------------------------------------------------------------


def files_named(text):
    """Files and folders named in code: `a/b.py`, ``python tools/x.py``, ``python -m data.x``."""
    for code in re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL):
        code = "".join(code)
        yield from (f"{name.replace('.', '/')}.py" for name in re.findall(
            rf"-m ((?:{'|'.join([*PACKAGES, 'tools'])})\.[\w.]+|vizutils)", code))
        for word in re.findall(r"(?<![\w=:/.])[\w.~*-]+(?:/[\w.*-]+)*/?", code):
            word = word.rstrip(".")
            whole = re.fullmatch(rf"[\w.*/-]+{ENDING}|\.?[a-z]+/|[\w.~-]+(?:/[\w.*-]+)+/?", word)
            if whole and not word.startswith(MADE) and not PLACEHOLDER.search(word):
                yield word


def is_there(name, folder):
    return any(list(home.glob(name.rstrip("/"))) for home in (ROOT, folder))


def targets_named(text):
    """What ``make`` is called with, in code."""
    code = "\n".join("".join(found) for found in re.findall(
        r"```\w*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL))
    return set(re.findall(r"^\s*make ([a-z][a-z-]*)", code, re.MULTILINE))


def targets():
    listed = re.search(r"^\.PHONY: (.*)", text_of(ROOT / "Makefile"), re.MULTILINE)
    return set(listed[1].split())


def anchors(text):
    """The places of a page that a link may lead to, as GitHub names them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}


def dead_links(path, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        place, _, anchor = target.partition("#")
        led = path.parent / place if place else path
        if not led.exists() or (anchor and anchor not in anchors(text_of(led))):
            yield target


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_every_file_that_is_named_exists(path):
    text = re.sub("<!-- what happens when -->.*<!-- end", "", text_of(path), flags=re.DOTALL)
    gone = [name for name in files_named(text) if not is_there(name, path.parent)]
    assert not gone, f"{path.name} names {', '.join(gone)}: follow the file to where it is now."


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_every_command_that_is_named_exists(path):
    gone = targets_named(text_of(path)) - targets()
    assert not gone, f"{path.name} says make {', '.join(gone)}, which the Makefile does not have."


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_every_link_leads_somewhere(path):
    dead = list(dead_links(path, text_of(path)))
    assert not dead, f"{path.name} links to {', '.join(dead)}, which is not there."


def test_what_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A b!\n")
    text = ("`engine/gone.py`, `gone.md`, `docs/*.xyz`, `make report`, `make gone`\n"
            "```sh\npython tools/gone.py\npython -m data.gone\nmake lost X=1\n```\n"
            "`build/there.html`, `vz.render`, `data/NAME.py`, `engine/render.py`, `and/or`")
    found = [name for name in files_named(text) if not is_there(name, tmp_path)]
    assert found == ["engine/gone.py", "gone.md", "docs/*.xyz", "data/gone.py", "tools/gone.py",
                     "and/or"]
    assert targets_named(text) - targets() == {"gone", "lost"}
    assert list(dead_links(page, "[a](#a-b) [b](#b) [c](page.md#a-b) [d](no.md)")) == [
        "#b", "no.md"]


# --- what exists is named, shortly ----------------------------------------------------------------


def test_the_readme_is_read_in_three_minutes():
    lines = text_of(ROOT / "README.md").splitlines()
    assert len(lines) <= 130, "the README is too long: move a table to docs/ and link to it."
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", "\n".join(lines))}
    missing = set(names(PAPERS)) - {"README.md"} - linked
    assert not missing, f"the README links to every page, not to {', '.join(sorted(missing))}."


def test_contributing_is_one_page_and_names_every_room_and_file_of_the_engine():
    text = text_of(ROOT / "CONTRIBUTING.md")
    assert len(text.splitlines()) <= 100
    wanted = [*names(ROOT.glob("engine/*.py")), "data/", "engine/", "vizutils.py", "techniques/",
              "tools/", "tests/"]
    missing = [name for name in wanted if f"`{name}`" not in text and "__init__" not in name]
    assert not missing, f"CONTRIBUTING.md has no line on {', '.join(missing)}."


def listed(package):
    """(name, words) of each line ``name``: words of a package's docstring."""
    text = ast.get_docstring(ast.parse(text_of(ROOT / package / "__init__.py")))
    return re.findall(r"^``(\w+)``: (.+)$", text, re.MULTILINE)


def test_techniques_lists_what_is_there_in_a_line_each():
    there = {path.stem for path in (ROOT / "techniques").glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in (ROOT / "techniques").glob("*/__init__.py")}
    named = [name for name, _ in listed("techniques")]
    assert len(named) == len(set(named))
    assert set(named) == there, (
        f"techniques/__init__.py lacks {sorted(there - set(named))} and has "
        f"{sorted(set(named) - there)} too many: a line ``name``: what it does, for each.")
    assert all(len(words.split()) >= 5 and words.endswith(".") for _, words in listed("techniques"))


def test_the_engine_lists_what_is_there():
    text = ast.get_docstring(ast.parse(text_of(ROOT / "engine/__init__.py")))
    named = set(re.findall(r"``(\w+)``", text))
    there = {path.stem for path in (ROOT / "engine").glob("*.py")} - {"__init__"}
    assert named == there, (f"engine/__init__.py lacks {sorted(there - named)} and has "
                            f"{sorted(named - there)} too many.")


# --- one spelling, plain words --------------------------------------------------------------------

#: American spellings, and turns of phrase that a plain word says better.
SPELLING = re.compile(
    r"\b(?:(?:behavi|col|fav|neighb|lab)or(?!atory)\w*|gray\w*|cent(?:er|ered|ering)|"
    r"(?:anal|catal)yz\w+|(?:optim|normal|visual|maxim|minim|recogn|organ|summar|parameter|regular|"
    r"initial|real|random|general|standard|character|emphas|equal|penal|memor|special|synthes)iz"
    r"(?:e|es|ed|er|ers|ing|ation|ations)|label(?:ed|ing)|model(?:ed|ing)|cancel(?:ed|ing)|"
    r"artifacts?|fulfills?|judgments?|defense)\b", re.IGNORECASE)
PHRASES = re.compile(r"\b(?:to be had|moods?|answerable|whichever road|honesty report|of no name|"
                     r"goes on its way)\b")


def prose_of(text):
    """(line, words) of each comment and docstring, without code, names, titles and addresses."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield getattr(node, "lineno", 1), (ast.get_docstring(node) or "").partition(
                "References\n")[0]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def strange(words):
    """What is no British spelling, or no plain word."""
    words = re.sub(r"``.*?``|`[^`]*`|```.*?```|\"[^\"]*\"|'[^'\n]*'|\S*[._/]\w\S*", " ", words,
                   flags=re.DOTALL)
    return [found[0] for rule in (SPELLING, PHRASES) for found in rule.finditer(words)]


CODE = [*modules(ROOT), *sorted(ROOT.glob("tools/*.py")), *sorted(ROOT.glob("benchmarks/*.py"))]


@pytest.mark.parametrize("path", CODE, ids=names(CODE))
def test_prose_in_code_is_british_and_plain(path):
    found = [f"line {line}: {word}" for line, words in prose_of(text_of(path))
             for word in strange(words)]
    assert not found, f"{path.name}: {'; '.join(found)}. Spell British English; say the plain word."


@pytest.mark.parametrize("path", PAPERS, ids=names(PAPERS))
def test_papers_are_british_and_plain(path):
    assert not strange(text_of(path))


def test_a_strange_word_is_found():
    code = '"""The color of `color`, "Visualizing".\n\nReferences\n----------\nOptimization."""\n'
    code += "x = color  # normalized by `normalize`\n"
    assert [strange(words) for _, words in prose_of(code)] == [["color"], ["normalized"]]
    assert strange("The head that is to be had") and not strange("a laboratory, a size, a prize")
