"""Files that appear when they are whole, or not at all."""

from __future__ import annotations

import os
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
def told_of_the_disk(output: Path, *, do: str) -> Iterator[None]:
    """What the system refuses while `output` is written, as an OutputError with `do` for what to do next."""
    try:
        yield
    except OSError as error:
        raise OutputError("the file could not be written", where=f"{output}: {error.strerror}", do=do) from None
