"""Where decoded images are kept for all runs, how much of the disk they may have, and which of them go first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fieldmark.bundle.claiming import claim, remove_leftovers, try_lock
from fieldmark.caches import cache_folder
from fieldmark.training.blocks import SUFFIX
from fieldmark.units import size_in_bytes

AUTO_SHARE = 0.5  # of what would be free without the cache
KEPT_FREE = 2**30  # bytes of disk that the cache leaves to checkpoints, the bundle and everybody else
KIND = "pixels"
_DRAFTS = "blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The cache's `folder`, which may grow to `limit` bytes; or why there is none to read or write, in words."""

    folder: Path
    limit: int
    closed: str = ""


def parse_size(text: str) -> int | None:
    """`"20GB"` or `"512MiB"` in bytes, `"0"`, or None for `"auto"`. UsageError for anything else."""
    if text == "auto":
        return None
    return 0 if text == "0" else size_in_bytes(text, where="cache size")


def room_for(size: str) -> Room:
    """What `size` ("20GB", "0", "auto": AUTO_SHARE of what the disk would have free without the cache) comes to here.

    UsageError where it is no size.
    """
    asked = parse_size(size)
    if asked == 0:
        return Room(folder=Path(), limit=0, closed="the cache size is 0")
    try:
        folder = cache_folder(KIND)
        remove_drafts(folder)
        limit = int(AUTO_SHARE * (_free(folder) + _used(folder))) if asked is None else asked
    except OSError as error:
        return Room(folder=Path(), limit=0, closed=f"there is no folder for it: {error}")
    return Room(folder=folder, limit=limit)


def make_room(folder: Path, limit: int, *, unwritten: int = 0) -> int:
    """Remove blocks that no living process uses, the least recently used first, until all files of the folder
    together have no more than `limit` bytes, and the disk keeps KEPT_FREE when `unwritten` bytes of them, which it
    has not given yet, are written. Returns how many bytes are too many still.

    Where the disk has no locks, nothing can be told to be unused, and nothing is removed.
    """
    too_many = max(_used(folder) - limit, KEPT_FREE + unwritten - _free(folder))
    for _, size, file in sorted(_blocks(folder)):
        if too_many <= 0:
            break
        too_many -= size if _removed(file) else 0
    return max(0, too_many)


@contextmanager
def drafting(folder: Path) -> Iterator[Path]:
    """A place beside the blocks to write one in. It goes at the end; after a kill, when the next one looks."""
    folder.mkdir(parents=True, exist_ok=True)
    draft, lock = claim(folder / _DRAFTS)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(lock)


def remove_drafts(folder: Path) -> None:
    """Those whose writers were killed."""
    if folder.is_dir():
        remove_leftovers(folder / _DRAFTS)


def _blocks(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(last use, bytes, file) of every block, whatever it was made by."""
    for file in folder.glob("*/*" + SUFFIX):
        with suppress(FileNotFoundError):  # another process removed it meanwhile
            status = file.stat()
            yield status.st_mtime_ns, status.st_size, file


def _removed(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            if try_lock(opened.fileno()) is not True:
                return False
            file.unlink()
    except FileNotFoundError:  # by another process
        return True
    except PermissionError:
        return False
    return True


def _used(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(place, name).stat().st_size
    return total


def _free(folder: Path) -> int:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free
