"""Energy that the processor used, where its own counters may be read (RAPL: Intel 2009, and AMD since Zen)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

COUNTERS = Path("/sys/class/powercap")
Reading = Mapping[Path, int]  # microjoules by counter, which run over at a value of their own


def read_counters(folder: Path = COUNTERS) -> Reading | None:
    """Microjoules that each processor package has used since it does not matter when; None where this machine shows
    no counter, or shows it to nobody (since Linux 5.10 it is root's alone)."""
    packages = [path for path in sorted(folder.glob("intel-rapl:*")) if path.name.count(":") == 1]
    try:
        readings = {path: int((path / "energy_uj").read_text()) for path in packages}
    except (OSError, ValueError):
        return None
    return readings or None


def joules(before: Reading, after: Reading) -> float:
    """What was used between two readings that lie less than one overrun apart (minutes, at full power)."""
    return sum(_between(path, before[path], after[path]) for path in before if path in after) / 1e6


def _between(path: Path, before: int, after: int) -> int:
    if after >= before:
        return after - before
    return after - before + int((path / "max_energy_range_uj").read_text())
