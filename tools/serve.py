"""Start a server as this project needs it: JupyterLab, or the dashboard on a page of its own.

    python -m tools.serve lab lab3_circuit.ipynb
    python -m tools.serve dashboard --port=8866

What follows is handed on to JupyterLab or Voilà. Both take pictures of any phone (in one message
`LARGEST` MB instead of 10); the dashboard's server also ends kernels whose page is gone, and gives
out what was built: the report's page, the site, the explorer.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
PAGE = "from techniques import dashboard\n\ndashboard.page()\n"
LARGEST = 200  #: MB that a server takes in one message; the dashboard is told
#: Seconds after which a kernel that no page looks at is ended, and between two looks.
GONE, LOOK = 60, 15
#: Below ``build/``: what the dashboard's page links to.
OPEN = ("lab3_circuit.html", "site/.*", "explorer/.*")


def settings(server: str) -> list[str]:
    """Options for the largest message; `server` is the class that takes them."""
    limit = {"websocket_max_message_size": round((LARGEST + 1) * 1e6)}
    return [f"--{server}.tornado_settings={limit}"]


def lab(arguments: list[str]) -> list[str]:
    """The command for JupyterLab."""
    return ["jupyterlab", *arguments, *settings("ServerApp")]


def dashboard(arguments: list[str]) -> list[str]:
    """The command for Voilà, after its page has been written into ``build/``."""
    page = ROOT / "build" / "dashboard" / "dashboard.ipynb"
    page.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(PAGE)]), page)
    allowed = [f"build[/{re.escape(os.sep)}]{path}" for path in OPEN]
    options = [f"--Voila.root_dir={ROOT}", *settings("Voila"),
               f"--VoilaConfiguration.file_allowlist={allowed}",
               "--VoilaConfiguration.file_denylist=[]",
               f"--MappingKernelManager.cull_idle_timeout={GONE}",
               f"--MappingKernelManager.cull_interval={LOOK}"]
    said = {argument.partition("=")[0] for argument in arguments}  # given twice, it is refused
    return ["voila", str(page), *(one for one in options if one.partition("=")[0] not in said),
            *arguments]


def main():
    """Become the server that the first argument names."""
    commands = {"lab": lab, "dashboard": dashboard}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"Say which: {' or '.join(commands)}.")
    os.chdir(ROOT)
    command = commands[sys.argv[1]](sys.argv[2:])
    os.environ["VIZUTILS_UPLOAD_MB"] = str(LARGEST)
    if sys.argv[1] == "dashboard":  # JupyterLab gives pages out, but not what they load
        os.environ["VIZUTILS_FILES"] = "/voila/files/"
    command = [sys.executable, "-m", *command]
    if os.name == "nt":  # there, to become another program is to leave it behind
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
