"""A pool of processes for large inputs: the videos are scored side by side, with the same results to the last bit."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

MOST_WORKERS = 8
ENOUGH = 20_000
"""Masks of truth from which on there is a pool; the val split of AmodalSynthDrive has 22,500 with one camera.

Why it pays, in seconds of processor time, because no idle machine was at hand to take wall times on: `compare` of 20
videos x 100 frames x 15 instances of 1080x1920 (30,000 masks) is 26 s for the videos and 6 s to join them, all of it
done by workers; all pickling there and back is 2.4 s (0.5 s of it in the program that waits), a worker's start 0.6 s.
Of half as many masks, one process took 15.7 s, a pool of two 18.4 s in its workers and 0.5 s beside them, and reading
the two files 2.9 s: on two idle processors that is 18.6 s against about 12.7 s for the whole command, 1.5 times as
fast. On processors that others keep busy it gains nothing (30,000 masks at a load of 8 to 12: 70 s both ways).
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
