"""A layer's pass on several processes or machines, by Dask: each makes blocks and hands them back.

A worker loads the network and the pictures itself, by the words of the command, so files that these
name must be there on every machine; what blocks share, it computes once. Numbers are those of one
process.
"""

import functools
import os
from collections.abc import Callable, Iterable

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker


def over(client: Client, options: dict, *, threads: int = 1) -> Callable:
    """What makes the blocks of a layer on a client's workers.

    Parameters
    ----------
    client : Client
    options : dict
        Of the command: ``NETWORK``, ``WEIGHTS``, ``PICTURES``, ``CLASSES``.
    threads : int
        That a worker may use.

    Returns
    -------
    callable
        Layer → ``make`` of `techniques.layer_pass.run`; raises OSError if workers keep dying.
    """
    words = tuple(sorted(options.items()))

    def of(layer: str) -> Callable:
        def make_all(jobs) -> Iterable[tuple[int, dict]]:
            futures = {client.submit(make, words, layer, threads, job, pure=False): at
                       for at, job in enumerate(jobs)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
                    future.release()
            except KilledWorker as problem:
                raise OSError("Workers died on the same block again and again: each needs about "
                              "3 GB of memory. Blocks that are done are kept.") from problem

        return make_all

    return of


def make(words: tuple, layer: str, threads: int, job) -> dict:
    """Make a block, on whatever machine this is."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))  # heard before TensorFlow's first operation
    return _common(words, layer).make(job)


@functools.lru_cache(maxsize=1)
def _common(words: tuple, layer: str):
    from techniques import layer_pass  # a scheduler's worker needs it, this module's reader not
    from tools.explorer.__main__ import load

    net, pictures = load(dict(words))
    return layer_pass.Common(net, layer, pictures)
