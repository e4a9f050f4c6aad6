"""Progress on long work: a bar on a terminal, plain lines otherwise."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of `total` steps."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn(f"{what:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
        return

    done, began, said = 0, time.monotonic(), -math.inf

    def advance() -> None:
        nonlocal done, said
        done += 1
        now = time.monotonic()
        if done == total or now - said > 5:
            said = now
            print(
                f"{what}: {done}/{total} ({done / max(now - began, 1e-9):.1f} a second)",
                file=sys.stderr,
                flush=True,
            )

    yield advance
