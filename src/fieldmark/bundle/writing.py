"""A bundle is written beside its place and moved into it: a crash leaves the old one or the new one.

Beside `OUT` there may stand, while a bundle is written or after a crash,
`.OUT.partial-XXXX`   a bundle in the making, locked by its writer; unlocked, it is a leftover and is removed;
`.OUT.previous`       the old bundle, put aside for the two renames; it comes back where `OUT` is missing.
Both are recognised by the next `staged(OUT)`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fieldmark.bundle.checksums import read_sums, write_sums
from fieldmark.bundle.claiming import claim, remove_leftovers
from fieldmark.bundle.consistency import problems
from fieldmark.bundle.layout import MANIFEST, SUMS
from fieldmark.bundle.schema import Manifest
from fieldmark.errors import BundleError, OutputError

_DISK = {
    errno.ENOSPC: ("the disk is full", "free some space, or give --out on another disk"),
    errno.EDQUOT: ("your disk quota is used up", "free some space, or give --out on another disk"),
    errno.EFBIG: ("a file would be larger than this disk or session allows", "give --out on another disk"),
    errno.EROFS: ("this disk is read-only", "give --out on a disk that can be written"),
    errno.EACCES: ("writing is not allowed here", "give --out in a folder that is yours"),
    errno.EPERM: ("writing is not allowed here", "give --out in a folder that is yours"),
    errno.EBUSY: ("another program is using this place", "close it, or give another --out"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "give --out a shorter name"),
    errno.EIO: ("the disk reports a fault", "give --out on another disk"),
}
# A list of numbers that the formatter broke into lines. A raw line break cannot stand inside a JSON string.
_BROKEN_NUMBERS = re.compile(r"\[\n[-+.,\s0-9eE]*\]")


@contextmanager
def staged(out: str | Path) -> Iterator[Path]:
    """A new folder to write a bundle in; on a clean exit it stands at `out`, in the place of an older bundle.

    Enter it before any long work: what is in the way is refused here. `seal` the folder before leaving.
    Raises OutputError where `out` holds anything but a bundle, where its parent folder is missing, or where the
    disk will not take what is written; then nothing is left, and an older bundle stays as it was.
    """
    place = Path(out).resolve()
    with _disk_faults(place):
        _refuse_without_parent(place)
        _settle_previous(place)
        _refuse_what_is_in_the_way(place)
        remove_leftovers(place)
        folder, lock = claim(place)
    try:
        with _disk_faults(place, folder):
            yield folder
            if not (folder / SUMS).is_file():
                raise ValueError("a staged bundle must be sealed before it is moved into place")
            _move_into_place(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # nothing is there any more where all went well
        os.close(lock)


def seal(folder: Path, manifest: Manifest) -> None:
    """Writes `fieldmark.json` and, over every file, SHA256SUMS. May be called again after files were added."""
    for field, what in problems(manifest):
        raise ValueError(f"{field}: {what}")
    # json, because msgspec would write NaN in a recipe as null without a word; here it is a ValueError.
    encoded = json.dumps(msgspec.to_builtins(manifest), allow_nan=False, ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(_BROKEN_NUMBERS.sub(_on_one_line, encoded) + "\n", encoding="utf-8")
    write_sums(folder)


def previous_of(out: Path) -> Path:
    """Where the old bundle of `out` stands while the new one is moved in."""
    return out.parent / f".{out.name}.previous"


def _on_one_line(numbers: re.Match[str]) -> str:
    return "[" + ", ".join(numbers[0].strip("[]").replace(",", " ").split()) + "]"


@contextmanager
def _disk_faults(place: Path, folder: Path | None = None) -> Iterator[None]:
    """Turns what a disk can refuse into OutputError; an error about a file elsewhere is not ours to explain."""
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        ours = named is None or named.is_relative_to(place.parent if folder is None else folder) or named == place
        if error.errno not in _DISK or not ours:
            raise
        what, do = _DISK[error.errno]
        raise OutputError(f"the bundle could not be written: {what}", where=str(place), do=do) from error


def _refuse_without_parent(place: Path) -> None:
    if not place.parent.is_dir():
        raise OutputError(
            "the folder that the bundle shall stand in does not exist",
            where=str(place.parent),
            do=f"make it (mkdir -p {place.parent}), or give another --out",
        )


def _refuse_what_is_in_the_way(place: Path) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    do = "give another --out, or move it away yourself"
    if not (place / MANIFEST).is_file():
        raise OutputError("something that is not a bundle is in the way", where=str(place), do=do)
    try:
        listed = {*read_sums(place), SUMS}
    except BundleError as error:
        raise OutputError("a damaged bundle is in the way", where=error.where, do=do) from error
    for path in sorted(place.rglob("*")):
        if not path.is_dir() and path.relative_to(place).as_posix() not in listed:
            raise OutputError("the old bundle's folder holds a file that is not its own", where=str(path), do=do)


def _settle_previous(place: Path) -> None:
    previous = previous_of(place)
    if not previous.is_dir():
        return
    if place.exists():
        shutil.rmtree(previous)
    else:
        previous.rename(place)


def _move_into_place(folder: Path, place: Path) -> None:
    _refuse_what_is_in_the_way(place)  # hours may have passed
    previous = previous_of(place)
    if place.exists():
        place.rename(previous)
    try:
        folder.rename(place)
    except OSError:
        if previous.is_dir():
            previous.rename(place)
        raise
    shutil.rmtree(previous, ignore_errors=True)
