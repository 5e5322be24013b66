"""The stack that this thread handles signals on is left as it was.

OpenVINO (2026.4) gives the thread that compiles a graph such a stack, and takes back whichever there was before when
the last user of that core goes. NNCF makes a core for each attempt, the next before the last has gone: what is put
back then is a stack that is no more, and the next signal ends the process without a word.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """stack_t of Linux (sigaltstack(2))."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def same_signal_stack() -> Iterator[None]:
    """On Linux; elsewhere nothing is done."""
    if sys.platform != "linux":
        yield
        return
    before, change = _Stack(), ctypes.CDLL(None).sigaltstack
    change(None, ctypes.byref(before))
    try:
        yield
    finally:
        gc.collect()  # whoever would put something else back does so now
        change(ctypes.byref(before), None)
