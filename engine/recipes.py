"""Recipes: the statements of a notebook that one figure needs.

Which names a statement sets and uses is read from its syntax tree alone. Nothing here asks how
the interpreter compiles it (Python 3.12 and later run a comprehension without a function of its
own), and nothing but the standard library is imported: a recipe is the same in every Python.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SAVES = "save_figure("  #: what a statement that saves a figure contains
ANYTHING = "*"  #: the name that ``from module import *`` sets


def recipe_of(cells: Sequence[str], name: str) -> str:
    """The statements among a notebook's cells that one figure needs, in their order.

    A backward slice [1]_: from the statement that saves the figure, each earlier statement is
    kept that sets or changes a name needed so far. It errs on the side of keeping too much.

    Parameters
    ----------
    cells : sequence of str
        Sources in the order in which they were run; the figure is saved in one of them.
    name : str
        The figure's, as given to `vizutils.save_figure`.

    Returns
    -------
    str
        Code that runs on its own; empty if no statement saves a figure of that name.

    References
    ----------
    .. [1] M. Weiser, "Program slicing", ICSE 1981.
    """
    steps = [step for cell in cells for step in _steps(cell)]
    last = max((i for i, step in enumerate(steps)
                if SAVES in step.text and f'"{name}"' in step.text), default=None)
    if last is None:
        return ""
    kept, needed = [], steps[last].uses
    for step in reversed(steps[:last]):
        if step.changes & needed or ANYTHING in step.changes:
            kept.append(step.text)
            needed = (needed - step.sets) | step.uses
    return "\n".join([*reversed(kept), steps[last].text]) + "\n"


@dataclass(frozen=True)
class _Step:
    """A statement of a notebook: the names it surely sets, may change, and uses."""

    text: str
    sets: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]


def _steps(cell: str) -> Iterator[_Step]:
    """The statements of one cell; none of a cell that is no Python."""
    cell = re.sub(r"^[%!].*", "", cell, flags=re.MULTILINE)  # IPython's own commands
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return
    for node in body:
        text = _text(cell, node)
        stored, used = _names(node)
        inside = [] if SAVES in text else list(ast.walk(node))
        if isinstance(node, ast.Expr) and node is body[-1]:
            inside = []  # a cell's last line is there to be shown
        # what changes in place: a.b = 1, a[0] = 1, a.append(1)
        touched = {_root(x) for x in inside if isinstance(x, ast.Attribute | ast.Subscript)
                   and isinstance(x.ctx, ast.Store)}
        touched |= {_root(x.value.func) for x in inside if isinstance(x, ast.Expr)
                    and isinstance(x.value, ast.Call) and isinstance(x.value.func, ast.Attribute)}
        match node:  # := may stand where it is not reached: not sure
            case ast.Assign():
                sure, _ = _names(node.targets)
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef():
                sure = stored
            case _:
                sure = frozenset()
        yield _Step(text, sure, stored | touched, used | touched)


def _text(cell: str, node: ast.stmt) -> str:
    """A statement as it stands in its cell, its decorators included."""
    decorators = getattr(node, "decorator_list", [])
    if decorators:
        return "\n".join(cell.splitlines()[decorators[0].lineno - 1:node.end_lineno])
    return ast.get_source_segment(cell, node)


def _root(node: ast.expr) -> str:
    """The name that an expression such as ``a.b[0].c`` begins with; none of other kinds."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _names(node: ast.AST | list) -> tuple[frozenset[str], frozenset[str]]:
    """Names that code stores and loads around itself, those that its functions need included.

    What is bound inside a comprehension, a lambda or a function is its own affair; what is
    computed before one of them begins (the first iterable, defaults, decorators) is not.
    """
    parts = node if isinstance(node, list) else list(ast.iter_child_nodes(node))
    found = [_names(part) for part in parts]
    stored = frozenset().union(*(names for names, _ in found))
    used = frozenset().union(*(names for _, names in found))
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            used |= {name}
        case (ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name))
              | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name))
              | ast.MatchMapping(rest=str(name))):
            stored |= {name}
        case ast.alias():
            stored |= {(node.asname or node.name).split(".")[0]}
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            used |= {*names}
        case ast.ClassDef():  # its own names may be loaded outside too: rather too much
            stored = frozenset({node.name})
    if isinstance(node, _COMPREHENSIONS):
        bound, _ = _names([part.target for part in node.generators])
        stored, used = stored - bound, (used - bound) | _names(node.generators[0].iter)[1]
    elif isinstance(node, _FUNCTIONS):
        elsewhere = {name for x in ast.walk(node) if isinstance(x, ast.Global | ast.Nonlocal)
                     for name in x.names}
        before = [node.args, *getattr(node, "decorator_list", [])]
        used = (used - (stored - elsewhere)) | _names(before)[1]
        stored = frozenset() if isinstance(node, ast.Lambda) else frozenset({node.name})
    return stored, used
