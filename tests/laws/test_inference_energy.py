"""Energy from the processor's counters, or none."""

from __future__ import annotations

from pathlib import Path

from fieldmark.inference.energy import joules, read_counters


def package(folder: Path, name: str, microjoules: int, most: int = 1_000_000) -> Path:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{most}\n")
    return place


def test_packages_are_added_and_their_parts_are_not_counted_twice(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "dtpm"):
        package(tmp_path, name, 100)
    before = read_counters(tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        package(tmp_path, name, 500_100)
    assert before is not None and joules(before, read_counters(tmp_path)) == 1.0


def test_a_counter_that_ran_over(tmp_path):
    package(tmp_path, "intel-rapl:0", 900_000)
    before = read_counters(tmp_path)
    package(tmp_path, "intel-rapl:0", 100_000)
    assert joules(before, read_counters(tmp_path)) == 0.2


def test_no_counter_no_energy(tmp_path):
    assert read_counters(tmp_path) is None
    assert read_counters(tmp_path / "missing") is None
    (package(tmp_path, "intel-rapl:0", 1) / "energy_uj").unlink()
    assert read_counters(tmp_path) is None
