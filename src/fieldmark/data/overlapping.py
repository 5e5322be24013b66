"""Work that threads do ahead of its use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int) -> Generator[R]:
    """`work(item)` for each of `items`, which may be endless, in their order.

    At most `ahead` results are under way, waiting or in the caller's hands. `items` is read in the caller's thread.
    What `work` or `items` raises comes through at its place; closing the generator stops the threads.
    """
    window: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fieldmark-ahead")
    try:
        for item in items:
            window.append(pool.submit(work, item))
            if len(window) >= ahead:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
