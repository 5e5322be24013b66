"""Which processor this is, and how many of its cores we may really use: in a container, fewer than it has."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path


def available_cores(*, proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores by CPU affinity, no more than the cgroup quota (v1 and v2) rounded up; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(proc, mount))]))


def processor_model(*, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """As the system names it ("AMD EPYC 9V74"); where it names none, the kind of machine ("aarch64")."""
    named = (line.partition(":")[2].strip() for line in _text(cpuinfo).splitlines() if line.startswith("model name"))
    return next(named, "") or platform.machine()


def instruction_sets(*, cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """What this processor computes with, in words, by the precision whose answers depend on it: "int8", and
    "bfloat16" where it has that. Without VNNI, sums of products of 8 bits on x86-64 keep 16 bits and saturate, so
    that one int8 graph answers differently there (onnxruntime's quantization guide)."""
    lines = (line.partition(":") for line in _text(cpuinfo).splitlines())
    flags = {*next((words.split() for name, _, words in lines if name.strip() in ("flags", "Features")), [])}
    machine = platform.machine()
    if machine in ("x86_64", "AMD64"):
        integers = f"x86-64 {'with' if {'avx512_vnni', 'avx_vnni'} & flags else 'without'} VNNI"
        return {"int8": integers} | ({"bfloat16": "x86-64 with bf16"} if "avx512_bf16" in flags else {})
    if machine in ("aarch64", "arm64"):
        # Each of Apple's has them; its system has no such file.
        dotted = "asimddp" in flags or platform.system() == "Darwin"
        return {"int8": f"ARM64 {'with' if dotted else 'without'} dot products"}
    return {"int8": machine}


def _quotas(proc: Path, mount: Path) -> Iterator[float]:
    for line in _text(proc).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        root = mount if number == "0" else mount / controllers
        here = root / group.lstrip("/")
        # A quota set further up binds as well. Inside a container only the mount's own top may be visible.
        for folder in {here, *here.parents} - set(root.parents):
            yield from _quota_of(folder)


def _quota_of(folder: Path) -> Iterator[float]:
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[0]) > 0 < int(words[1]):
        yield int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # no cgroups here, or not ours to read: no quota that we could know of
        return ""
