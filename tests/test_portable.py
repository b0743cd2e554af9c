"""What runs on a reader's machine runs on Windows too: a lint, since Windows cannot be run here.

Each rule is a way in which Python written on Linux fails there, or answers otherwise.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import vizutils as vz

ROOT = Path(__file__).resolve().parents[1]
# What a reader runs without make. Left out, with the reason:
#   tests/, benchmarks/, tools/{faults,mutants,pythons}.py: for maintainers, who have make;
#   conftest.py: nbval's comparison, part of the tests.
LEFT_OUT = {"faults.py", "mutants.py", "pythons.py"}
RUN_TIME = sorted(
    path for place in (".", "engine", "data", "techniques/**", "tools")
    for path in ROOT.glob(f"{place}/*.py") if path.name not in LEFT_OUT | {"conftest.py"})
NOTEBOOKS = sorted([*ROOT.glob("*.ipynb"), *ROOT.glob("notebooks/*.ipynb")])

MODULES = {"crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource",
           "spwd", "syslog", "termios", "tty"}
CALLS = {
    "os": {"chown", "chroot", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups",
           "getloadavg", "getpgid", "getpgrp", "getpriority", "getsid", "getuid", "initgroups",
           "killpg", "lchown", "mkfifo", "mknod", "nice", "openpty", "pipe2", "posix_fadvise",
           "posix_fallocate", "posix_spawn", "pread", "pwrite", "sched_getaffinity",
           "sched_setaffinity", "sendfile", "setegid", "seteuid", "setgid", "setpgid", "setsid",
           "setuid", "statvfs", "sync", "sysconf", "ttyname", "uname", "wait", "wait3", "wait4",
           "waitid",
           # these are there, but mean something else
           "kill", "rename", "symlink", "link", "chmod", "umask", "system", "popen"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT",
               "SIGSTOP", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause",
               "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"},
    "socket": {"AF_UNIX", "SO_REUSEPORT", "socketpair"},
    "select": {"epoll", "kqueue", "poll"},
    "time": {"tzset"},
    "shutil": {"chown"},
}
METHODS = {"symlink_to", "hardlink_to", "chmod", "lchmod", "owner", "group", "add_signal_handler"}
PLACES = re.compile(r"/(?:tmp|dev|proc|etc|usr|bin|home|root|var|sys|opt)(?:/|$)")
TEXT_OF = {"read_text": 0, "write_text": 1}  # method → place of its argument `encoding`
PROCESSES = {"run", "Popen", "call", "check_call", "check_output"}


def dotted(node):
    """A name such as ``os.path.join``; empty where an expression is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def given(call, name, place):
    """An argument of a call, by name or place; None where it is left to its default."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return named.get(name, call.args[place] if place < len(call.args) else None)


def text_problem(call):
    """Text that is read or written in whatever encoding the machine prefers."""
    name = dotted(call.func)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in TEXT_OF and given(call, "encoding", TEXT_OF[method]) is None:
        return f"{method} without an encoding"
    if name in ("open", "io.open", "os.fdopen") or (method == "open" and not name.startswith(
            ("Image.", "os.", "webbrowser.", "archive."))):
        place = 1 if name in ("open", "io.open", "os.fdopen") else 0
        mode = given(call, "mode", place)
        mode = mode.value if isinstance(mode, ast.Constant) else "r" if mode is None else "?"
        if "b" not in str(mode) and "?" not in str(mode) and given(
                call, "encoding", place + 2) is None:
            return "open without an encoding"
    return ""


def process_problem(call):
    """A program that is run through a shell, or whose words are read in any encoding."""
    *_, method = dotted(call.func).rpartition(".")
    if not dotted(call.func).startswith("subprocess.") or method not in PROCESSES:
        return ""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if "shell" in named or (call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr)):
        return "a command as one string, or through a shell"
    if {"preexec_fn", "start_new_session", "process_group", "pass_fds", "umask"} & set(named):
        return "an argument that Windows has not"
    if {"text", "universal_newlines"} & set(named) and "encoding" not in named:
        return "a process's text without an encoding"
    return ""


def name_problem(node):
    """A module, function or method that Windows has not, or has as another thing."""
    if isinstance(node, ast.Import):
        found = MODULES & {alias.name.split(".")[0] for alias in node.names}
        return f"import of {', '.join(found)}" if found else ""
    if isinstance(node, ast.ImportFrom):
        named = {alias.name for alias in node.names}
        found = MODULES & {str(node.module)} or CALLS.get(str(node.module), set()) & named
        return f"import of {', '.join(found)}" if found else ""
    if isinstance(node, ast.Attribute):
        module, _, name = dotted(node).rpartition(".")
        if name in CALLS.get(module, ()):
            return f"{module}.{name}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        method = node.func.attr
        if method in METHODS:
            return method
        if method == "rename" and len(node.args) == 1 and not node.keywords:
            return "rename, which fails where the new name is taken: replace does it"
        if method == "strftime" and any(isinstance(x, ast.Constant) and ":" in str(x.value)
                                        for x in node.args):
            return "a time with colons, which no file name may hold"
    return ""


def place_problem(node):
    """A place of one system, or a path put together by hand."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return f"the place {node.value}" if PLACES.match(node.value) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        ends = [x.value for x in (node.left, node.right)
                if isinstance(x, ast.Constant) and isinstance(x.value, str)]
        return "a path joined by +" if "/" in ends else ""
    return ""


def problems(text):
    """What in a Python text would fail on Windows, with its line."""
    for node in ast.walk(ast.parse(text)):
        found = [name_problem(node), place_problem(node)]
        if isinstance(node, ast.Call):
            found += [text_problem(node), process_problem(node)]
        yield from (f"line {node.lineno}: {problem}" for problem in found if problem)


@pytest.mark.parametrize("path", RUN_TIME, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_needs_more_than_windows_has(path):
    assert list(problems(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_notebook_needs_more_than_windows_has(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not re.search(r"^\s*!", cell.source, re.MULTILINE)  # a shell's line
            source = re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)
            assert list(problems(source)) == []


@pytest.mark.parametrize("line", [
    "import resource", "from fcntl import flock", "from os import fork", "os.fork()",
    "os.kill(1, 9)", "os.getuid()", "limit = signal.SIGALRM", "signal.signal(signal.SIGKILL, f)",
    "os.rename(a, b)", "path.rename(b)", "link.symlink_to(path)", "os.system('ls')",
    "folder = '/tmp/x'", "open('/dev/null', 'wb')", "os.listdir(folder + '/' + name)",
    "open(path)", "open(path, 'w')", "path.open()", "path.read_text()", "path.write_text(text)",
    "subprocess.run('ls')", "subprocess.run(f'ls {x}')", "subprocess.run([x], shell=True)",
    "subprocess.run([x], text=True)", "subprocess.Popen([x], preexec_fn=f)",
    "now.strftime('%H:%M')", "os.sched_getaffinity(0)", "socket.AF_UNIX"])
def test_each_rule_sees_its_fault(line):
    assert list(problems(line))


@pytest.mark.parametrize("line", [
    "os.replace(a, b)", "path.replace(b)", "table.rename(columns=f)", "open(path, 'rb')",
    "open(path, encoding='utf-8')", "path.open('w', encoding='utf-8')", "path.read_text('utf-8')",
    "path.write_text(text, encoding='utf-8')", "path.write_bytes(x)", "Image.open(path)",
    "subprocess.run([x], text=True, encoding='utf-8')", "os.cpu_count()", "a / 'b' / 'c'"])
def test_what_is_sound_is_left_alone(line):
    assert not list(problems(line))


def test_no_file_has_a_name_that_windows_refuses():
    folders = ("", "engine", "data", "techniques", "tools", "tests", "notebooks", "figures", "docs",
               "benchmarks")
    names = [(folder, path.name) for folder in folders if (ROOT / folder).is_dir()
             for path in (ROOT / folder).iterdir()]
    reserved = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
    for _, name in names:
        assert not re.search(r'[<>:"\\|?*]|[. ]$', name) and not reserved.fullmatch(name), name
    assert len({(folder, name.lower()) for folder, name in names}) == len(names)


def test_a_recipe_can_be_written_to_a_file_of_another_encoding(tmp_path, monkeypatch):
    """As on Windows, where a pipe or a file gets the local code page; a program is UTF-8."""
    monkeypatch.setenv("VIZUTILS_FIGURES", str(tmp_path))
    code = "label = '≈ 3 → 4, é'\n"
    saved = vz.save_figure(vz.plot_images([[[[9, 9, 9]]]]), "one", alt="≈ one box.", recipe=code)
    done = subprocess.run(
        [sys.executable, "-m", "vizutils", "show-recipe", str(saved.path)], cwd=ROOT,
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "cp1252:strict"})
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert done.stdout.decode("utf-8").replace("\r", "").endswith(code)
