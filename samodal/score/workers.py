"""A pool of processes for large inputs: the videos are scored side by side, with the same results to the last bit."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

MOST_WORKERS = 8
ENOUGH = 30_000
"""Masks of truth from which on there is a pool.

A gain is expected on idle processors, but has not been measured on any. On two processors that other work kept busy
(load 8 to 12), `compare` took, one process against a pool of two: 9000 masks of 1080x1920, 30 and 25 s against 32 and
32 s (8.5 against 10.4 s of processor time, the rest is starting and pickling); 30,000 masks, 70 s against 70 s.
"""


@contextmanager
def mapping(num_masks: int, num_videos: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map`, or where there is much to do that of a pool of processes, one a processor.

    The processes are started afresh, because a fork of a process that has threads (torch) can hang; so the calling
    program must be importable (`if __name__ == "__main__":`), as `samodal` is.
    """
    workers = min(_processors(), num_videos, MOST_WORKERS)
    if workers < 2 or num_masks < ENOUGH:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
