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

_PROGRAM = """
import sys
from fieldmark.cli.main import main
from fieldmark.inference.fresh_process import peak_mb
try:
    main()
finally:
    sys.stderr.write(f"\\n{peak_mb()}")
"""


class FreshProcess(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from start to end of one `fieldmark predict`, and the most memory it held (None where this system does
    not say)."""

    images: int
    took_s: float
    peak_mb: float | None


def predict_afresh(bundle: Path, images: Sequence[Path], *options: str) -> FreshProcess:
    """`fieldmark predict` on a list of images, in a process of its own. Interrupted where it does not end well."""
    words = ["predict", str(bundle), "-", "--format", "jsonl", *options]
    with tempfile.TemporaryFile() as listed, tempfile.TemporaryFile() as complaints:
        listed.write(b"".join(os.fsencode(path.absolute()) + b"\n" for path in images))
        listed.seek(0)
        began = time.perf_counter()
        command = [sys.executable, "-c", _PROGRAM, *words]
        done = subprocess.run(command, stdin=listed, stdout=subprocess.DEVNULL, stderr=complaints, check=False)
        took_s = time.perf_counter() - began
        complaints.seek(0)
        said, _, peak = complaints.read().decode(errors="replace").rpartition("\n")
    if done.returncode:
        raise Interrupted(
            f"a process that was to predict ended with {done.returncode}",
            where=said.strip()[-2000:],
            do=f"see what it says by hand: fieldmark {' '.join(words)}",
        )
    return FreshProcess(images=len(images), took_s=took_s, peak_mb=None if peak == "None" else float(peak))


def peak_mb() -> float | None:
    """The most memory that this process has held, in MB of a million bytes; None where this system does not say."""
    # Linux's getrusage also counts what the process held that started this one.
    for line in _status().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    if sys.platform != "darwin":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _status() -> str:
    status = Path("/proc/self/status")
    return status.read_text(encoding="utf-8") if status.exists() else ""
