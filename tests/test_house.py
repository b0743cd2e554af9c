"""The walls of the house: what may import what, how long a file may be, what exists only once.

Each test reads the sources as text, imports nothing heavy, and says in its message what to do.
The rooms and their order are drawn in CONTRIBUTING.md.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import keras
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The rooms, lowest first: a module imports from its own and from lower ones only.
ROOMS = ("data", "engine", "vizutils", "techniques", "tools")
LONGEST, CHAPTER = 700, 1300  # lines: of a file, and of vizutils.py
ENGINE = range(60, 451)  # lines of a file of the engine


# ---------------------------------------------------------------------------------------------
# Sources


@cache
def sources() -> dict[str, str]:
    """The text of each module that is tracked or new, by its dotted name."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"], cwd=ROOT,
        text=True, capture_output=True, check=True).stdout.split()
    paths = [Path(name) for name in listed if (ROOT / name).exists()]
    return {dotted(path): (ROOT / path).read_text(encoding="utf-8") for path in paths
            if path.parts[0] not in ("tests", "conftest.py")}


def dotted(path: Path) -> str:
    """``techniques/a/__init__.py`` → ``techniques.a.__init__``."""
    return ".".join(path.with_suffix("").parts)


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(sources()[name])


@cache
def notebooks() -> dict[str, str]:
    """The code of each notebook, by its file's name."""
    found = {}
    for path in sorted([*ROOT.glob("*.ipynb"), *ROOT.glob("notebooks/*.ipynb")]):
        cells = nbformat.read(path, as_version=4).cells
        found[path.name] = "\n".join(
            re.sub(r"^[%!].*", "", cell.source, flags=re.MULTILINE)
            for cell in cells if cell.cell_type == "code")
    return found


# ---------------------------------------------------------------------------------------------
# Imports point one way


def imported(name: str, text: str, known) -> Iterator[tuple[str, str]]:
    """(module, name taken from it or "") of each import, wherever in the text it stands."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((module_of(alias.name, known), "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inside = module_of(f"{base}.{alias.name}", known)
                yield (inside, "") if inside in known else (module_of(base, known), alias.name)
        elif (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
              and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")):
            yield module_of(str(node.args[0].value), known), ""


def module_of(name: str, known) -> str:
    """A package is its ``__init__``."""
    return f"{name}.__init__" if f"{name}.__init__" in known else name


def upward(modules: dict[str, str]) -> list[str]:
    """Imports from a higher room."""
    def room(name):
        first = name.split(".")[0]
        return ROOMS.index(first) if first in ROOMS else None

    return [f"{name} imports {other}" for name, text in modules.items() if room(name) is not None
            for other, _ in imported(name, text, modules)
            if room(other) is not None and room(other) > room(name)]


def circle(modules: dict[str, str]) -> list[str]:
    """Modules that import each other in a ring, the first one found; empty if there is none."""
    reads = {name: {other for other, _ in imported(name, text, modules) if other in modules}
             for name, text in modules.items()}
    done = set()

    def follow(name, way):
        if name in way:
            return [*way[way.index(name):], name]
        if name not in done:
            done.add(name)
            for other in sorted(reads[name]):
                if found := follow(other, [*way, name]):
                    return found
        return []

    return next(filter(None, (follow(name, []) for name in sorted(modules))), [])


def test_imports_point_one_way():
    wrong = upward(sources())
    assert not wrong, (f"{'; '.join(wrong)}. Imports point one way, {' <- '.join(ROOMS)}: move "
                       "what is needed into the lower room, or hand it over as an argument.")


def test_imports_make_no_circle():
    ring = circle(sources())
    assert not ring, (f"{' -> '.join(ring)}: these modules import each other. Move what both need "
                      "into a third one below them.")


@pytest.mark.parametrize("text", [
    "import vizutils as vz", "from vizutils import render", "from techniques import circuits",
    "def f():\n    from techniques.circuits import ablate", "from ..techniques import circuits",
    "import importlib\nimportlib.import_module('tools.site')"])
def test_an_upward_import_is_found(text):
    modules = dict.fromkeys(["vizutils", "techniques.__init__", "techniques.circuits",
                             "tools.site"], "")
    assert upward(modules | {"engine.a": text, "engine.__init__": ""})
    assert not upward(modules | {"tools.b": text.replace("..", "")})


def test_a_circle_is_found():
    a, b = "from engine import b", "def f():\n    from .c import thing"
    modules = {"engine.__init__": "", "engine.a": a, "engine.b": b, "engine.c": ""}
    assert not circle(modules)
    assert len(circle(modules | {"engine.c": "import engine.a"})) == 4


# ---------------------------------------------------------------------------------------------
# Lengths


def lengths() -> dict[str, int]:
    return {name: len(text.splitlines()) for name, text in sources().items()}


def test_no_file_is_too_long_to_be_read():
    long = [f"{name} ({lines})" for name, lines in lengths().items()
            if lines > LONGEST and name != "vizutils"]
    assert not long, (f"more than {LONGEST} lines: {', '.join(long)}. Make a package of the same "
                      "public names of it, a file for each thing it does.")


def test_the_chapter_is_a_chapter():
    lines = lengths()["vizutils"]
    assert lines <= CHAPTER, (f"vizutils.py has {lines} lines, at most {CHAPTER} are read in one "
                              "go: move what a student does not need to see into engine/.")


def test_files_of_the_engine_are_neither_crumbs_nor_loaves():
    wrong = [f"{name} ({lines})" for name, lines in lengths().items()
             if name.startswith("engine.") and not name.endswith("__init__")
             and lines not in ENGINE]
    assert not wrong, (f"not of {ENGINE[0]} to {ENGINE[-1]} lines: {', '.join(wrong)}. Join a "
                       "crumb to the file it belongs to; cut a loaf where its two jobs meet.")


# ---------------------------------------------------------------------------------------------
# One table of layer kinds

#: The names of Keras's layer classes, as they stand in code.
LAYERS = {name for name in dir(keras.layers)
          if isinstance(getattr(keras.layers, name), type)
          and issubclass(getattr(keras.layers, name), keras.layers.Layer)}
TABLE = "engine.kinds"
MANY = 3  # names of kinds that make a list


def prose(module: ast.AST) -> set[ast.AST]:
    """Strings that no code reads: docstrings."""
    return {node.value for node in ast.walk(module)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}


def layer_names(node: ast.AST) -> set[str]:
    """Names of layer classes in a piece of code: ``keras.layers.Add``, ``Add``, ``"Add"``."""
    words = set()
    for part in ast.walk(node):
        match part:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                words.add(name)
            case ast.Constant(value=str(text)):
                words |= set(re.findall(r"\w+", text))
    return words & LAYERS


def lists_of_kinds(module: ast.AST) -> Iterator[str]:
    """Where code keeps a list of layer kinds: its line, and the names.

    Counted are the names in one display (a tuple, list, set or mapping), in one string, in one
    chain of ``|`` or ``or``, and in all the questions that one function asks of what a layer is
    (``isinstance``, comparisons, patterns). Building a network, layer after layer, is no list.
    """
    docstrings = prose(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.BinOp | ast.BoolOp):
            found = layer_names(node) if not any(map(is_call, ast.walk(node))) else set()
        elif isinstance(node, ast.Constant) and node not in docstrings:
            found = layer_names(node)
        elif isinstance(node, ast.FunctionDef):
            found = set().union(*(layer_names(x) for x in ast.walk(node) if is_question(x)))
        else:
            continue
        if len(found) >= MANY:
            yield f"line {node.lineno}: {', '.join(sorted(found))}"


def is_call(node: ast.AST) -> bool:
    """Whether layers may be made here: ``[Conv2D(8, 3), ReLU()]`` is a network."""
    return isinstance(node, ast.Call) and bool(layer_names(node.func))


def is_question(node: ast.AST) -> bool:
    asked = isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass")
    return asked or isinstance(node, ast.Compare | ast.pattern)


def test_there_is_one_table_of_layer_kinds():
    found = [f"{name}, {where}" for name in sources() if name != TABLE
             for where in lists_of_kinds(tree(name))]
    assert not found, (f"a list of layer kinds beside engine/kinds.py: {'; '.join(found)}. Ask "
                       "kind_of(layer) there; what it cannot say becomes a field of its Kind.")
    assert list(lists_of_kinds(tree(TABLE)))  # the table itself would be found


@pytest.mark.parametrize("text", [
    "POOLS = 'MaxPooling2D AveragePooling2D GlobalAveragePooling2D'.split()",
    "LINEAR = (layers.Conv2D, layers.Dense, layers.Add)", "A = {'Add': 1, 'ReLU': 2, 'Dense': 3}",
    "def f(x):\n    return isinstance(x, Conv2D | Dense) or type(x).__name__ == 'Add'",
    "def f(x):\n    if isinstance(x, Add):\n        return 1\n    if isinstance(x, Dense):\n"
    "        return 2\n    return isinstance(x, ReLU)",
    "def f(x):\n    match x:\n        case Conv2D() | Dense():\n            return 1\n"
    "        case Add():\n            return 2"])
def test_a_list_of_kinds_is_found(text):
    assert list(lists_of_kinds(ast.parse(text)))


@pytest.mark.parametrize("text", [
    '"""A Conv2D, then Dense and Add."""', "x = [Conv2D(8, 3), ReLU(), Add()]",
    "def f(x):\n    x = layers.Conv2D(8, 3)(x)\n    x = layers.ReLU()(x)\n"
    "    return layers.Dense(2)(x)", "PAIR = 'MaxPooling2D', 'AveragePooling2D'"])
def test_a_network_or_a_pair_is_no_list_of_kinds(text):
    assert not list(lists_of_kinds(ast.parse(text)))


# ---------------------------------------------------------------------------------------------
# The names that notebooks use


@cache
def public() -> list[str]:
    """What vizutils.py lists in ``__all__``."""
    listed, = (node.value for node in tree("vizutils").body if isinstance(node, ast.Assign)
               and ast.unparse(node.targets[0]) == "__all__")
    return ast.literal_eval(listed)


def used() -> dict[str, str]:
    """Each NAME of ``vz.NAME`` that a reader meets, and where."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
             for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"),
                          *ROOT.glob("[!.]*/README.md")] if path.exists()}
    found = {}
    for place, text in {**notebooks(), **texts}.items():
        found |= dict.fromkeys(re.findall(r"\bvz\.([A-Za-z_]\w*)", text), place)
    found.pop("NAME", None)  # as CONTRIBUTING.md calls any of them
    return found


def test_every_public_name_of_the_chapter_exists():
    import vizutils as vz

    assert len(set(public())) == len(public())
    gone = [name for name in public() if not hasattr(vz, name)]
    assert not gone, f"vizutils.__all__ names {', '.join(gone)}, which vizutils.py does not have."


def test_every_name_that_readers_use_is_public():
    missing = [f"vz.{name} ({place})" for name, place in used().items() if name not in public()]
    assert not missing, (f"used, but not in vizutils.__all__: {', '.join(missing)}. Add the name "
                         "there (and to the imports from engine/), or use a public one.")
    assert len(used()) > 40  # else this test reads nothing


def test_what_the_chapter_defines_is_used():
    own = tree("vizutils")
    defined = {node.name for node in own.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    here = {node.id for node in ast.walk(own) if isinstance(node, ast.Name)}
    there = {name for text in (*sources().values(), *notebooks().values())
             for name in re.findall(r"\bvz\.([A-Za-z_]\w*)", text)}
    idle = sorted(defined - here - there)
    assert not idle, f"nothing but tests uses vizutils' {', '.join(idle)}: delete it, or show it."
    assert len(defined) > 30


# ---------------------------------------------------------------------------------------------
# One ascent
#
# An ascent is a loop in which the point where a gradient is taken depends on the gradients taken
# before. What the names in a loop depend on is read from the syntax tree, names that hold
# functions included; a loop over batches or over points of a path has no such ring.

ASCENT = "engine.render"
TAPES = {"GradientTape", "gradients"}  # of TensorFlow
ASKED = {"gradient", "jacobian", "batch_jacobian"}  # of a tape
CARRY = {"while_loop", "scan", "foldl", "foldr", "reduce", "accumulate"}  # state, from step to step
STORES = {"assign", "assign_add", "assign_sub", "append", "extend", "write", "update", "add"}
APPLIES = {"apply_gradients", "apply", "minimize"}  # of an optimiser: changes its arguments
#: Rings that are no ascent of an objective by `render`'s rules, each with the reason.
ALLOWED = {
    ("techniques.adversarial", "pgd"): "each step is projected into the ball of ε",
    ("techniques.attribution", "_mean_gradient"):
        "integrated gradients put points where the sum is wrong: quadrature, no picture climbs",
    ("notebooks.lab3_circuit", "climb"): "shows the idea once, and that vizutils does the same",
    ("benchmarks.peers", "eager_loop"): "the loop that others write: what is measured against",
}


def bindings(name: str, module: ast.AST) -> dict[str, tuple[str, str]]:
    """What imported names stand for: (module, name in it), or (module, "")."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                single = ast.copy_location(type(node)(**{**dict(ast.iter_fields(node)),
                                                         "names": [alias]}), node)
                (where, taken), = imported(name, ast.unparse(single), sources())
                found[alias.asname or alias.name] = where, taken
    return found


def functions(module: ast.AST) -> dict[str, list[ast.AST]]:
    """All functions of a module, methods and nested ones too, by name."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def mentioned(node: ast.AST, bound: dict) -> set[tuple[str, str]]:
    """(module, name) of what a piece of code mentions; module "" is its own."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(bound.get(part.id, ("", part.id)))
        elif isinstance(part, ast.Attribute):
            left = bound.get(part.value.id) if isinstance(part.value, ast.Name) else None
            found.add((left[0], part.attr) if left else ("", part.attr))
    return found


def takes_gradient(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in TAPES for part in ast.walk(node))


def gradient_functions(modules: dict[str, tuple[ast.AST, dict]]) -> set[tuple[str, str]]:
    """(module, name) of every function that takes a gradient itself or through others."""
    bodies = {(name, function): nodes for name, (module, _) in modules.items() if name != ASCENT
              for function, nodes in functions(module).items()}
    asks = {key: set().union(*(mentioned(node, modules[key[0]][1]) for node in nodes))
            for key, nodes in bodies.items()}
    found = {key for key, nodes in bodies.items() if any(map(takes_gradient, nodes))}

    def known(where, key):
        return (key[0] or where, key[1]) in found

    while True:
        again = {key for key in bodies if any(known(key[0], asked) for asked in asks[key])}
        passed_on = {(name, alias) for name, (_, bound) in modules.items()  # a package's __init__
                     for alias, key in bound.items() if key in found}
        if again | passed_on <= found:
            return found
        found |= again | passed_on


def chain(node: ast.AST) -> str:
    """``a.b`` of an expression such as ``a.b[0]``; empty where it is something else."""
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Attribute):
        left = chain(node.value)
        return f"{left}.{node.attr}" if left else ""
    return node.id if isinstance(node, ast.Name) else ""


def read(node: ast.AST) -> set[str]:
    """Names that an expression reads, dotted ones with all their beginnings."""
    found = set()
    for part in ast.walk(node):
        words = chain(part).split(".") if isinstance(part, ast.Name | ast.Attribute) else [""]
        found |= {".".join(words[:n + 1]) for n in range(len(words))}
    return found - {""}


def stored(target: ast.AST) -> set[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*map(stored, target.elts))
    return {chain(target)} - {""}


def changes(loop: ast.AST) -> Iterator[tuple[set[str], list[ast.AST]]]:
    """(names that change, expressions they change by) of each statement in a loop."""
    for node in ast.walk(loop):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield set().union(*map(stored, targets)), [value]
            case ast.AugAssign(target=target, value=value):
                yield stored(target), [value, target]
            case (ast.AnnAssign(target=target, value=ast.expr() as value)
                  | ast.NamedExpr(target=target, value=value)
                  | ast.For(target=target, iter=value)
                  | ast.comprehension(target=target, iter=value)
                  | ast.withitem(optional_vars=ast.expr() as target, context_expr=value)):
                yield stored(target), [value]
            case ast.Call(func=ast.Attribute(attr=name, value=owner)) if name in STORES | APPLIES:
                yield stored(owner), [node]
                if name in APPLIES:
                    yield read(node) - read(node.func), [node]


def climbs(loop: ast.AST, is_gradient) -> bool:
    """Whether a gradient taken in a loop depends on one taken before in the same loop.

    A statement that takes a gradient and lets its result go must have changed something.
    """
    if any(isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
           and not isinstance(node.value.func, ast.Attribute) and is_gradient(node.value)
           for node in ast.walk(loop)):
        return True
    follows, through = {}, set()
    for names, values in changes(loop):
        for value in values:
            for name in read(value):
                follows.setdefault(name, set()).update(names)
            for call in ast.walk(value):
                if isinstance(call, ast.Call) and is_gradient(call):
                    given = [*call.args, *(keyword.value for keyword in call.keywords)]
                    through |= {(name, to) for arg in given for name in read(arg) for to in names}

    def reaches(name, goal):
        seen, ahead = set(), [name]
        while ahead:
            at = ahead.pop()
            if at == goal:
                return True
            if at not in seen:
                seen.add(at)
                ahead += follows.get(at, ())
        return False

    return any(reaches(to, name) for name, to in through)


def ascents(modules: dict[str, tuple[ast.AST, dict]]) -> list[tuple[str, str, int]]:
    """(module, function, line) of each ascent loop."""
    takes = gradient_functions(modules)
    found = []
    for name, (module, bound) in modules.items():
        if name == ASCENT:
            continue

        def reaches(node, name=name, bound=bound):
            return takes_gradient(node) or any((where or name, what) in takes
                                               for where, what in mentioned(node, bound))

        holders = {place for node in ast.walk(module) if isinstance(node, ast.Assign)
                   and isinstance(node.value, ast.Call) and reaches(node.value)
                   for target in node.targets for place in stored(target)}

        def is_gradient(call, reaches=reaches, holders=holders):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ASKED:
                return not ast.unparse(call.func.value).startswith("np")
            named = [call.func, *(x for x in call.args if isinstance(x, ast.Name | ast.Lambda))]
            return any(reaches(x) or chain(x) in holders for x in named)

        for place, loops in loops_of(module):
            for loop in loops:
                if isinstance(loop, ast.Call):  # what it calls, not what it starts from
                    wrong = any(reaches(part) for argument in loop.args for part in (
                        argument.args if isinstance(argument, ast.Call) else [argument]))
                else:
                    wrong = climbs(loop, is_gradient)
                if wrong:
                    found.append((name, place, loop.lineno))
    return found


def loops_of(module: ast.AST) -> Iterator[tuple[str, list[ast.AST]]]:
    """(function, its loops), nested functions apart; "" for what stands outside of functions."""
    def own(node):
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.FunctionDef):
                continue
            if isinstance(part, ast.For | ast.While | ast.ListComp | ast.GeneratorExp) or (
                    isinstance(part, ast.Call) and chain(part.func).split(".")[-1] in CARRY):
                yield part
            yield from own(part)

    yield "", list(own(module))
    for name, nodes in functions(module).items():
        for node in nodes:
            yield name, list(own(node))


def is_allowed(module: str, function: str) -> bool:
    return any(module.startswith(room) and function == name for room, name in ALLOWED)


def test_there_is_one_ascent():
    texts = {**sources(), **{f"notebooks.{name}": code for name, code in notebooks().items()}}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    found = ascents({name: (module, bindings(name, module)) for name, module in trees.items()})
    wrong = [f"{name}.{place}, line {line}" for name, place, line in found
             if not is_allowed(name, place)]
    assert not wrong, (f"a loop climbs along gradients outside of engine/render.py: "
                       f"{'; '.join(wrong)}. Write what it climbs as an Objective and call render "
                       "(or add it to ALLOWED with the reason why render cannot do it).")
    stale = [place for place in ALLOWED if not any(
        name.startswith(place[0]) and function == place[1] for name, function, _ in found)]
    assert not stale, f"allowed, but no longer there: {stale}; take them off the list."


def climbing(text: str) -> list[tuple[str, str, int]]:
    return ascents({"techniques.toy": (ast.parse(text), {"tf": ("tensorflow", "")})})


TAKES = """
def slope(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)
"""


@pytest.mark.parametrize("loop", [
    "for _ in range(9):\n    with tf.GradientTape() as tape:\n        y = f(x)\n"
    "    x += rate * tape.gradient(y, x)",
    "while True:\n    g = slope(x)\n    x = x + g / norm(g)",
    "for _ in range(9):\n    g, = tf.gradients(f(x), [x])\n    x.assign_add(g)",
    "for _ in range(9):\n    g = slope(x)\n    rule.apply_gradients([(g, x)])",
    "for _ in range(9):\n    x[part] = np.clip(x[part] + slope(x[part]), 0, 255)",
    "for _ in range(9):\n    self.x = self.x + slope(self.x)",
    "run = traced(slope)\nfor _ in range(9):\n    state = move(state, run(state))",
    "x = tf.while_loop(lambda x: True, lambda x: x + slope(x), x)",
    "def step(x):\n    return x + slope(x)\nx = tf.while_loop(lambda x: True, step, x)",
    "x = functools.reduce(lambda x, _: x + slope(x), range(9), x)",
    "def step():\n    nonlocal_x[0] += slope(nonlocal_x[0])\nfor _ in range(9):\n    step()",
    "xs = [x := x + slope(x) for _ in range(9)]"])
def test_an_ascent_is_found(loop):
    assert climbing(TAKES + loop)


@pytest.mark.parametrize("loop", [
    "found = [slope(x) for x in batches]",
    "for x in batches:\n    found.append(slope(x))",
    "for share in shares:\n    total += slope(start + share * way)",
    "for _ in range(9):\n    picture = vz.render(net, goal, start=picture).images",
    "for x in batches:\n    g = slope(x)\n    bar.update(len(g))",
    "x = tf.while_loop(lambda x: True, lambda x: x + 1, slope(x))"])
def test_a_loop_without_a_ring_is_no_ascent(loop):
    assert not climbing(TAKES + loop)
