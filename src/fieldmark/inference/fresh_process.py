"""What a process costs that starts, answers and ends: from the outside, as its caller sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fieldmark.errors import Interrupted


class FreshProcess(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from start to end of one `fieldmark predict`, and the most memory it held (None where this system does
    not say)."""

    images: int
    took_s: float
    peak_mb: float | None


def predict_afresh(bundle: Path, images: Sequence[Path], *options: str) -> FreshProcess:
    """`fieldmark predict` on a list of images, in a process of its own. Interrupted where it does not end well."""
    command = [sys.executable, "-m", "fieldmark", "predict", str(bundle), "-", "--format", "jsonl", *options]
    with tempfile.TemporaryFile() as listed, tempfile.TemporaryFile() as complaints:
        listed.write(b"".join(os.fsencode(path.absolute()) + b"\n" for path in images))
        listed.seek(0)
        began = time.perf_counter()
        with subprocess.Popen(command, stdin=listed, stdout=subprocess.DEVNULL, stderr=complaints) as process:
            peak_mb = _waited(process)
        took_s = time.perf_counter() - began
        if process.returncode:
            complaints.seek(0)
            raise Interrupted(
                f"a process that was to predict ended with {process.returncode}",
                where=complaints.read(2000).decode(errors="replace").strip(),
                do=f"see what it says by hand: {' '.join(command)}",
            )
    return FreshProcess(images=len(images), took_s=took_s, peak_mb=peak_mb)


def _waited(process: subprocess.Popen[bytes]) -> float | None:
    """Waits for its end; the most memory it held, in MB of a million bytes."""
    if not hasattr(os, "wait4"):  # Windows
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / 1e6
