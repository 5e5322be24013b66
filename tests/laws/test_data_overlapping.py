"""Work that threads do ahead: in order, bounded, its faults at their place."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.overlapping import in_order


@given(st.lists(st.integers(), max_size=40), st.integers(1, 4), st.integers(1, 6))
def test_it_is_map(items, threads, ahead):
    assert list(in_order(lambda item: item * 2, items, threads=threads, ahead=ahead)) == [item * 2 for item in items]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_is_begun_than_was_asked(ahead):
    taken = itertools.count()
    done = in_order(abs, taken, threads=2, ahead=ahead)
    assert [next(done) for _ in range(10)] == list(range(10))
    done.close()
    assert next(taken) == 9 + ahead


def test_work_is_ahead_of_its_use():
    begun = threading.Event()
    done = in_order(lambda item: begun.set() if item == 2 else None, range(9), threads=1, ahead=3)
    next(done)
    assert begun.wait(timeout=60), "the third was begun while the first was in use"
    done.close()


def test_a_fault_comes_at_its_place_and_ends_it():
    before = threading.active_count()
    done = in_order(lambda item: 6 // item, [3, 2, 0, 1], threads=2, ahead=3)
    assert [next(done), next(done)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(done)
    assert list(done) == [] and threading.active_count() == before


def test_what_the_items_raise_comes_through():
    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(in_order(abs, items(), threads=1, ahead=1))


def test_closing_stops_the_threads():
    before = threading.active_count()
    done = in_order(abs, itertools.count(), threads=3, ahead=4)
    next(done)
    assert threading.active_count() > before
    done.close()
    assert threading.active_count() == before
