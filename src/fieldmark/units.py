"""What people write for amounts: 20ms, 10MB, 5M, 90s."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fieldmark.errors import UsageError

LONGEST = 30  # characters; no amount that means anything is longer
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*)", re.ASCII | re.IGNORECASE)
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_BYTES = {
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_COUNTS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "": 1.0}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def milliseconds(text: str, *, where: str) -> float:
    """`"20ms"`, `"0.5s"` or `"800us"`. UsageError names `where` it stood."""
    return _amount(text, _MILLISECONDS, "a length of time", where, "write it as 20ms or 0.5s")


def size_in_bytes(text: str, *, where: str) -> int:
    """`"500kB"`, `"10MB"` or `"1.5GB"`, in powers of a thousand; `"512MiB"` in powers of 1024."""
    return round(_amount(text, _BYTES, "a size", where, "write it as 500kB, 10MB or 20GB"))


def count(text: str, *, where: str) -> int:
    """`"5M"`, `"1.2G"` or `"40000"`."""
    return round(_amount(text, _COUNTS, "a number", where, "write it as 5M, 600M or 1.2G"))


def seconds(text: str, *, where: str) -> float:
    """`"90s"`, `"10m"`, `"2h"` or `"90"`."""
    return _amount(text, _SECONDS, "a length of time", where, "write 90s, 10m or 2h")


def _amount(text: str, units: Mapping[str, float], what: str, where: str, do: str) -> float:
    found = _WRITTEN.fullmatch(text.strip()) if len(text) <= LONGEST else None
    amount = float(found[1]) * units.get(found[2].lower(), 0.0) if found else 0.0
    if amount == 0.0:
        raise UsageError(f"{text!r} is not {what}", where=f"{where} = {text}", do=do)
    return amount
