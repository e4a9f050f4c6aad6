"""A pool of processes for large inputs: the videos are scored side by side, with the same results to the last bit."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

MOST_WORKERS = 8
ENOUGH = 10_000
"""Masks of truth from which on there is a pool.

Two processes for `compare` of 7, 14 and 20 videos x 100 frames x 15 instances of 1080x1920 (10,500 to 30,000 masks)
took 6.0, 10.7 and 15.7 s where one took 9.2, 18.1 and 26.6 s: 1.5 to 1.7 times as fast. A worker's start is 0.6 s.
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
