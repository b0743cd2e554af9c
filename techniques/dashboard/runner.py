"""Long work in a thread: a new job for the same place cancels the old one.

A `Runner` does jobs one after the other. What a job tells goes through its `Task` to a
`Listener`; what a cancelled job still tells is dropped. Nothing here knows of widgets or panels.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure


class Cancelled(Exception):
    """Raised in work that is no longer wanted."""


class Task:
    """What a panel's function tells while it works; here: to nobody.

    Each method is a place where cancelled work ends: it raises `Cancelled`.
    """

    def show(self, picture: np.ndarray, alt: str) -> None:
        """Show a preliminary picture: RGB 0-255, shape (rows, columns, 3)."""

    def progress(self, done: float, of: float) -> None:
        """Say how much of the work is done."""


class Listener:
    """What a `Runner` calls in its thread; here nothing is done with it."""

    def began(self) -> None:
        """The work has begun."""

    def shown(self, picture: np.ndarray | Figure, alt: str) -> None:
        """There is a picture, preliminary (an array) or final (a figure)."""

    def progressed(self, share: float, seconds_left: float | None) -> None:
        """A share (0-1) of the work is done."""

    def ended(self, problem: str) -> None:
        """The work is over; `problem` is a sentence if it failed, else empty."""


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of work, as a `Runner` keeps it."""

    number: int
    place: str
    work: Callable[[Task], tuple[Figure, str] | None]
    listener: Listener
    queued: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)


class _LiveTask(Task):
    """A task that hands on what it is told while its job is the newest of its place."""

    def __init__(self, runner: Runner, job: Job):
        self._runner, self._job = runner, job
        self._first: tuple[float, float] | None = None  # when work was first counted, how much

    def show(self, picture, alt):
        self._runner.tell(self._job, lambda heard: heard.shown(picture, alt))

    def progress(self, done, of):
        now = time.monotonic()
        self._first = self._first or (now, done)  # what came before was set-up, and is not a pace
        began, before = self._first
        left = (now - began) / (done - before) * (of - done) if done > before else None
        self._runner.tell(self._job, lambda heard: heard.progressed(done / of, left))


class Runner:
    """Does jobs one after the other in a thread of its own, the cheapest of those that wait first.

    Parameters
    ----------
    pause : float
        Seconds that a job waits before it begins: one that is replaced within this time (a
        slider being dragged) costs nothing.

    Notes
    -----
    A job is cancelled by setting its event. Whatever it tells after that is dropped, and the
    next thing it tells raises `Cancelled` in it, so that no work has to ask. `lock` makes "is it
    still wanted?" and the telling one step: nothing stale can slip in between. Figures are
    turned into bytes while it is held, since matplotlib does not do two at a time.
    """

    def __init__(self, *, pause: float = 0.05):
        self.pause = pause
        self._queue: queue.PriorityQueue[tuple[float, int, Job | None]] = queue.PriorityQueue()
        self._newest: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self.lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def submit(self, place: str, work, listener: Listener, *, cost: float = 0) -> int:
        """Queue `work(task)`; an earlier job of the same place is cancelled. Returns its number.

        Of jobs that wait, the one of least `cost` is done first; of equal ones, the first.
        """
        with self.lock:
            self.cancel(place)
            job = Job(next(self._numbers), place, work, listener)
            self._newest[place] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="dashboard")
                self._thread.start()
        self._queue.put((cost, job.number, job))
        return job.number

    def cancel(self, place: str) -> bool:
        """Cancel a place's job; tells whether there was one that had not ended."""
        with self.lock:
            job = self._newest.pop(place, None)
            if job is not None:
                job.stop.set()
            return job is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all jobs queued so far are over; tells whether they are."""
        over = threading.Event()
        self.submit(f"wait {id(over)}", lambda task: over.set(), Listener(), cost=float("inf"))
        return over.wait(seconds)

    def close(self) -> None:
        """Cancel everything and let the thread end."""
        with self.lock:
            for place in list(self._newest):
                self.cancel(place)
            if self._thread is not None:
                self._queue.put((-1, next(self._numbers), None))

    def _work(self) -> None:
        while (job := self._queue.get()[-1]) is not None:
            if job.stop.wait(max(0, job.queued + self.pause - time.monotonic())):
                continue
            try:
                self._do(job)
                problem = ""
            except Cancelled:
                continue
            except Exception as error:  # whatever it is: a sentence in the panel, not a log
                problem = sentence(error)
            with self.lock:
                if not job.stop.is_set():
                    del self._newest[job.place]
                    job.listener.ended(problem)

    def _do(self, job: Job) -> None:
        self.tell(job, lambda heard: heard.began())
        made = job.work(_LiveTask(self, job))
        if made is not None:
            self.tell(job, lambda heard: heard.shown(*made))

    def tell(self, job: Job, telling: Callable[[Listener], None]) -> None:
        """Let the job's listener hear something, unless the job was stopped: then `Cancelled`."""
        with self.lock:
            if job.stop.is_set():
                raise Cancelled
            telling(job.listener)


def sentence(error: Exception) -> str:
    """An exception in words; its kind is named only where the words alone may not do."""
    words = " ".join(str(error).split())
    taught = isinstance(error, (ValueError, FileNotFoundError))
    return words if words and taught else f"{type(error).__name__}: {words or 'no reason given'}"
