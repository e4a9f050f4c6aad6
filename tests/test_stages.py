import threading
import time

import pytest

from samodal.stages import ahead


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_same_items_in_the_same_order(depth):
    assert list(ahead(iter(range(20)), depth)) == list(range(20))
    assert list(ahead([], depth)) == []


def test_never_further_ahead_than_the_queue_is_long():
    made = []
    items = ahead((made.append(i) or i for i in range(50)), 2)
    for item in items:
        time.sleep(0.002)
        assert len(made) <= item + 1 + 2 + 1  # taken, waiting, in hand


def test_an_error_comes_where_its_item_would_have_come():
    def broken():
        yield 1
        yield 2
        raise ValueError("third")

    items = ahead(broken(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(items)


def test_a_dropped_iterator_stops_its_thread():
    before = threading.active_count()
    items = ahead(iter(range(10**9)), 2)
    next(items)
    items.close()
    assert threading.active_count() == before
