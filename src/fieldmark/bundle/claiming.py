"""Folders in the making, each locked by its writer: so a leftover of a crash is told from work under way."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock: there no leftover is told apart, and none removed
    fcntl = None  # type: ignore[assignment]


def claim(place: Path) -> tuple[Path, int]:
    """A new folder `.NAME.partial-XXXX` beside `place`, and the descriptor that locks it until it is closed."""
    while True:
        folder = place.parent / f"{_prefix(place)}{secrets.token_hex(4)}"
        folder.mkdir()
        descriptor = _open(folder)
        if descriptor is None:
            continue  # another writer took the newborn folder for a leftover and removed it
        if try_lock(descriptor) is not False:
            return folder, descriptor
        os.close(descriptor)  # another writer is just removing it


def remove_leftovers(place: Path) -> None:
    """Removes what writers of `place` left when they were killed: folders that are surely locked by nobody."""
    for folder in [path for path in place.parent.iterdir() if path.name.startswith(_prefix(place))]:
        descriptor = _open(folder)
        if descriptor is None:
            continue
        if try_lock(descriptor) is True:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _prefix(place: Path) -> str:
    return f".{place.name}.partial-"


def _open(folder: Path) -> int | None:
    try:
        # Windows cannot open a folder; with nothing to lock, anything that can be closed will do.
        return os.open(folder if fcntl else os.devnull, os.O_RDONLY)
    except FileNotFoundError:
        return None


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """True: the lock is ours, until the file is closed or mapped no more; False: another has it, who does not share
    it, or whom we would not share it with; None: this system or disk has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # Lustre and some network disks are mounted without locks
        return None
    return True
