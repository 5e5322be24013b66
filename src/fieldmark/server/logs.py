"""The server's own log: one JSON object a line on standard error, without anything of an image."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec


def log(event: str, **facts: Any) -> None:
    """One line: when, what, and its facts."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    sys.stderr.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stderr.buffer.flush()
