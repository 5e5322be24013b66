"""What torchrun says of this process: which it is, of how many. Without torchrun it is the only one."""

from __future__ import annotations

import os


def world_size() -> int:
    """Processes that train together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_world_size() -> int:
    """Those of them on this machine, which share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def rank() -> int:
    """0 is the main process: it alone speaks and writes."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0
