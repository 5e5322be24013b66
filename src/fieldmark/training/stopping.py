"""Being told to end (SIGTERM, as schedulers, containers and torchrun send it) without losing work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fieldmark.errors import Interrupted
from fieldmark.ranks import world_size


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Within the context SIGTERM ends nothing; the function that is given says whether one has come. Python hears
    signals in its main thread alone: elsewhere they end the process as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told.is_set
    except Interrupted:
        if world_size() > 1:
            before = signal.SIG_IGN  # torchrun tells whoever is left to end, and would cut off what they have to say
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
