"""The server's own log on standard error, without anything of an image: one JSON object a line, or, where a person
reads it as it comes, one line of words."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec


def log(event: str, **facts: Any) -> None:
    """One line: when, what, and its facts."""
    now = datetime.now(UTC)
    if sys.stderr.isatty():
        told = "  ".join(f"{name} {_words(value)}" for name, value in facts.items())
        line = f"{now.astimezone():%H:%M:%S}  {event:<12}  {told}".encode()
    else:
        line = msgspec.json.encode({"time": now.isoformat(timespec="milliseconds"), "event": event, **facts})
    sys.stderr.buffer.write(line + b"\n")
    sys.stderr.buffer.flush()


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | dict) else str(value)
