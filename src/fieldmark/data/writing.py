"""Files and folders that appear when they are whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fieldmark.errors import OutputError


@contextmanager
def writing_whole(output: Path) -> Iterator[IO[bytes]]:
    """A file that appears when it is whole, or not at all. Raises OutputError where the disk will not take it."""
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with told_of_the_disk(output, do="free some space, or write it somewhere else"):
            with beside.open("wb") as stream:
                yield stream
            beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def writing_folder(place: Path, *, what: str, do: str) -> Iterator[Path]:
    """A new folder of files that takes the place of `place` when it is whole and on the disk, or not at all.

    OutputError where the disk will not take it: `what` could not be written, and `do` is what to do next.
    """
    draft = place.with_name(f".writing-{place.name}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        for path in (*draft.iterdir(), draft):
            _flush(path)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
        _flush(place.parent)
    except OSError as error:
        raise OutputError(f"{what} could not be written: {error}", where=str(place), do=do) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _flush(path: Path) -> None:
    # Without this a power cut may leave the new name with the old (or no) content.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told_of_the_disk(output: Path, *, do: str) -> Iterator[None]:
    """What the system refuses while `output` is written, as an OutputError with `do` for what to do next."""
    try:
        yield
    except OSError as error:
        raise OutputError("the file could not be written", where=f"{output}: {error.strerror}", do=do) from None
