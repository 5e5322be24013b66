"""What a library does to the stack that signals are handled on is undone."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, signal
from fieldmark.conversion.signal_stack import _Stack, same_signal_stack

libc = ctypes.CDLL(None)
gone = _Stack(start=16, flags=0, size=20000)  # where nothing can be written
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
with same_signal_stack():
    libc.sigaltstack(ctypes.byref(gone), None)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="stack_t is Linux's")
def test_a_signal_after_a_stack_that_is_no_more_does_no_harm() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
    harmed = PROGRAM.replace("with same_signal_stack():", "if True:")
    assert subprocess.run([sys.executable, "-c", harmed], capture_output=True, check=False).returncode < 0
