"""Stages of work that overlap: each in a thread of its own, with a bounded queue behind it."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items in the same order, worked out by a thread that is at most `depth` items ahead.

    It pays where the work on both sides leaves Python (decoding, matrix products, image operations). An error comes up
    where its item would have come. When the iterator is dropped, the thread stops after the item in hand.

    Args:
        items: used, and closed, by that thread alone from now on.
        depth: items that wait in the queue, at least 1; so many are in memory besides the one in hand.
    """
    ready: queue.Queue = queue.Queue(depth)
    dropped = threading.Event()

    def put(item: object, error: BaseException | None = None) -> bool:
        while not dropped.is_set():
            try:
                ready.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_END)
        except BaseException as error:  # whatever it is, the other side is to get it
            put(_END, error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="samodal-stage", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        dropped.set()
        thread.join()
