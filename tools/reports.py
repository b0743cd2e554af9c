"""Run the report on many filters and rank what comes out.

    python tools/reports.py NOTEBOOK FILTERS=0-15 [LAYER=block3_conv2] [PROFILE=quick] ...
                            [SCHEDULER=tcp://host:port | WORKERS=2]

Each filter's report goes to build/reports/, and build/reports/index.html ranks them
by verdict. The work is done by Dask: by worker processes on this machine, or by those
of a running scheduler, on as many machines as it has. A report that exists already,
made from the same notebook, modules and parameters, is not made again. A filter
that fails leaves its notebook as ..._failed.ipynb and a sentence in the index.
"""

import base64
import hashlib
import html
import io
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from dask.system import CPU_COUNT
from distributed import Client, as_completed
from distributed.system import MEMORY_LIMIT
from nbclient.exceptions import CellExecutionError
from PIL import Image

from tools.execute import execute, picture_in, tidy
from tools.export_html import export, whole_page
from tools.modules import ingredients
from tools.report import check, prepare, read_parameters, request, tagged

HOME = "build/reports"
MEMORY = 3e9  # bytes that one report may need
LOOK = "td img { max-width: none; } td:nth-child(5) { white-space: nowrap; }"
RANKING = ["supported", "supported in part", "undecided", "refuted"]  # then others, then failures


# --- what is to be done -------------------------------------------------------------------


def parse_filters(text):
    """Filter numbers from a text such as ``1,5,9-12``, in order, each once."""
    numbers = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first:
            raise ValueError(f"FILTERS={text} cannot be: give numbers and ranges, "
                             "for example FILTERS=0-15 or FILTERS=1,5,9-12.")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def digest_of(folder):
    """One digest of all modules and data that a report in `folder` is computed with."""
    found = hashlib.sha256()
    for path in ingredients(folder):
        found.update(path.read_bytes())
    return found.hexdigest()


def digest_of_files(unit):
    """One digest of the files that a report's parameters name: a network, its classes' names."""
    found = hashlib.sha256()
    for name in ("NETWORK", "WEIGHTS", "CLASSES"):
        path = Path(str(unit.get(name) or "none")).expanduser()
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


def plan(source, words, filters, subject=None):
    """The notebooks to run; `subject` is what `tools.report.check` returned.

    Returns
    -------
    dict of str to NotebookNode
        By the names of their files. Each carries in its metadata, as `report`, its unit and a
        key: two reports with the same key are made from the same inputs.
    """
    digest, jobs = digest_of(Path(source).resolve().parent), {}
    for number in filters:
        asked, unit, stem = request(source, [*words, f"FILTER={number}"])
        notebook = prepare(source, asked, subject)
        cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
        texts = json.dumps([digest, digest_of_files(unit), *cells])
        notebook.metadata["report"] = {
            "unit": [unit["NETWORK"], unit["LAYER"], number],
            "key": hashlib.sha256(texts.encode()).hexdigest(),
        }
        jobs[stem] = notebook
    return jobs


def is_done(notebook, path):
    """Whether the report of a planned notebook lies there, made from the same inputs."""
    if not path.exists() or not path.with_suffix(".html").exists():
        return False
    return details_of(path).get("key") == notebook.metadata["report"]["key"]


def details_of(path):
    """What a notebook's metadata tell about it as a report; {} if it is none, or damaged."""
    try:
        return nbformat.read(path, as_version=4).metadata.get("report", {})
    except ValueError:
        return {}


# --- doing it -----------------------------------------------------------------------------


def run_one(text, folder, environment):
    """Execute a notebook given as text, on whatever machine this is, and return it as text.

    Its metadata tell how many minutes it took and, if it failed, the `error`.
    """
    notebook, began = nbformat.reads(text, as_version=4), time.monotonic()
    about = notebook.metadata["report"]
    try:
        execute(notebook, folder, environment=environment)
    except CellExecutionError as error:
        about["error"] = f"{error.ename}: {error.evalue}"
    except Exception as error:  # a dead kernel, say: nothing may stop the other filters
        about["error"] = f"{type(error).__name__}: {error}"
    about["minutes"] = round((time.monotonic() - began) / 60, 2)
    return nbformat.writes(tidy(notebook))


def connect(scheduler="", workers=0, *, timeout=10):
    """Return a Dask client, and how many threads a report may use.

    Without the address of a scheduler, worker processes are started on this machine: one a
    core, as far as the memory goes. A report's start, file work and drawing use one core, so
    two reports with a thread each, side by side, were done sooner than one after the other
    with two threads (265 s against 298 s, on two cores that were busy otherwise, too).

    Raises
    ------
    OSError
        If no scheduler answers, or it has no workers.
    """
    if not scheduler:
        workers = max(1, workers or min(CPU_COUNT, int(MEMORY_LIMIT / MEMORY)))
        client = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        return client, max(1, CPU_COUNT // workers)
    try:
        client = Client(scheduler, timeout=timeout)
        client.wait_for_workers(1, timeout=timeout)
    except (OSError, ValueError) as problem:
        raise OSError(f"No scheduler with workers answers at {scheduler}: start `dask scheduler` "
                      f"and `dask worker {scheduler} --nthreads 1`, or leave SCHEDULER out to "
                      "use this machine.") from problem
    return client, 1


def run_all(jobs, folder, *, scheduler="", workers=0):
    """Execute planned notebooks at the same time; yield name and notebook as each is done."""
    client, threads = connect(scheduler, workers)
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    with client:
        futures = {}
        for stem, notebook in jobs.items():
            environment = {name: str(threads) for name in names}
            environment["VIZUTILS_FIGURES"] = f"{HOME}/figures/{stem}"
            text = nbformat.writes(notebook)
            futures[client.submit(run_one, text, folder, environment, pure=False)] = stem
        for future in as_completed(futures):
            stem, problem = futures[future], future.exception()
            if problem is None:
                yield stem, nbformat.reads(future.result(), as_version=4)
            else:  # its worker died, and those it was given to next
                jobs[stem].metadata["report"].update(error=str(problem), minutes=0)
                yield stem, jobs[stem]
            future.release()


def save(notebook, path, folder):
    """Write an executed notebook and its page, or, of a failed one, the notebook alone."""
    page, failed = path.with_suffix(".html"), path.with_stem(f"{path.stem}_failed")
    for old in (page, path, failed):  # the page goes first and comes last: it says "complete"
        old.unlink(missing_ok=True)
    if "error" in notebook.metadata["report"]:
        write(failed, nbformat.writes(notebook))
    else:
        write(path, nbformat.writes(notebook))
        write(page, export(notebook, folder))


def write(path, text):
    """Write a file in one go: killed at any moment, no half of it bears the name."""
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


# --- the index ----------------------------------------------------------------------------


def summary_of(notebook):
    """What the cell tagged `summary` printed last, a line of JSON; {} if there is none."""
    for cell in tagged(notebook, "summary"):
        printed = "".join(output.get("text", "") for output in cell.outputs).strip()
        try:
            return json.loads(printed.rpartition("\n")[2])
        except ValueError:  # the index says so
            pass
    return {}


def thumbnail(notebook, side=128):
    """The first picture of the cell tagged `picture`, as an HTML element; "" if there is none."""
    for cell in tagged(notebook, "picture"):
        for output in cell.outputs:
            if kind := picture_in(output):
                picture = Image.open(io.BytesIO(base64.b64decode(output.data[kind]))).convert("RGB")
                picture.thumbnail((side, side))
                small = io.BytesIO()
                picture.save(small, "png")
                text = base64.b64encode(small.getvalue()).decode()
                alt = output.metadata.get(kind, {}).get("alt", "its picture")
                return f'<img src="data:image/png;base64,{text}" alt="{html.escape(alt)}">'
    return ""


def rank(row):
    """Where a row of the index belongs: verdict, claims that hold, unit."""
    about, summary = row["about"], row["summary"]
    verdict = summary.get("verdict")
    place = RANKING.index(verdict) if verdict in RANKING else len(RANKING)
    return ("error" in about, place, -summary.get("claims", {}).get("supported", 0), about["unit"])


def row_of(path):
    """What the index says about one executed notebook; None if it is not one of ours."""
    told = details_of(path)
    if not told:
        return None
    notebook, failed = nbformat.read(path, as_version=4), "error" in told
    return {"path": path if failed else path.with_suffix(".html"), "about": told,
            "summary": {} if failed else summary_of(notebook), "picture": thumbnail(notebook)}


def html_row(row):
    """One row of the index's table."""
    about, summary = row["about"], row["summary"]
    verdict = summary.get("verdict", "none: no cell tagged summary printed a line of JSON")
    if "error" in about:
        verdict = f"failed: {about['error']} (the notebook is kept up to the failing cell)"
    pairs = [f"{count} {kind}" for kind, count in summary.get("claims", {}).items()]
    pairs += [f"{name}: {value}" for name, value in summary.get("numbers", {}).items()]
    said = [html.escape(str(text)) for text in (summary.get("hypothesis", ""), verdict)]
    path = row["path"]
    name = path.stem.removesuffix("_failed").replace("_", "_<wbr>")  # where a line may break
    link = f'<a href="{path.name}">{name}</a>'
    cells = [link, row["picture"], *said, "<br>".join(map(html.escape, pairs)),
             f"{about['minutes']:.1f}"]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def write_index(home):
    """Write the page that ranks every report in the folder `home`, and return its path."""
    rows = [row_of(path) for path in Path(home).glob("*.ipynb")]
    rows = sorted(filter(None, rows), key=rank)
    failed = sum("error" in row["about"] for row in rows)
    heads = ["filter", "picture", "hypothesis", "verdict", "numbers", "minutes"]
    lines = [
        "<h1>Filters, ranked by verdict</h1>",
        f"<p>{len(rows)} filters, of which {failed} failed. Order: {', '.join(RANKING)}; "
        "then by claims that hold.</p>",
        "<table><thead><tr>", *(f"<th>{head}</th>" for head in heads), "</tr></thead>",
        *map(html_row, rows), "</table>",
    ]
    page = whole_page("Filters, ranked", "\n".join(lines), look=LOOK)
    path = Path(home, "index.html")
    write(path, page)
    return path


def make_reports(jobs, folder, *, scheduler="", workers=0):
    """Run what is not done yet, save each report as it comes, write the index at last.

    Parameters
    ----------
    jobs : dict
        From `plan`.
    folder : path
        The project, at the same place on every machine: kernels run there, and the reports
        go to build/reports/ in it.
    scheduler, workers
        See `connect`.

    Returns
    -------
    int
        How many of the filters failed.
    """
    home, began, failed = Path(folder, HOME), time.monotonic(), 0
    home.mkdir(parents=True, exist_ok=True)
    left = {name: job for name, job in jobs.items() if not is_done(job, home / f"{name}.ipynb")}
    print(f"{len(jobs) - len(left)} of {len(jobs)} reports are there already", flush=True)
    try:
        done = run_all(left, str(folder), scheduler=scheduler, workers=workers) if left else []
        for stem, notebook in done:
            save(notebook, home / f"{stem}.ipynb", folder)
            error = notebook.metadata["report"].get("error")
            failed += error is not None
            print(f"{time.monotonic() - began:6.0f} s  {stem}  {error or 'done'}", flush=True)
    finally:  # an interrupted run has an index too, and goes on when called again
        print(f"wrote {write_index(home)}")
    return failed


def main(source, *words):
    """Make the reports that `words` ask for."""
    options = {"FILTERS": "", "SCHEDULER": "", "WORKERS": 0}
    own = [word for word in words if word.partition("=")[0] in options]
    words = [word for word in words if word not in own]
    try:
        options |= read_parameters(own, options)
        filters = parse_filters(options["FILTERS"])
        subject = check(request(source, words)[1], filters)
        failed = make_reports(
            plan(source, words, filters, subject), Path(source).resolve().parent,
            scheduler=options["SCHEDULER"], workers=options["WORKERS"])
    except (ValueError, OSError) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Interrupted: the same command goes on from here.")
    if failed:
        sys.exit(f"{failed} of {len(filters)} filters failed; the index says why.")


if __name__ == "__main__":
    main(*sys.argv[1:])
