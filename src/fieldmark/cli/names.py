"""Names of files by the million: sorted and kept on the disk, so that memory stays flat."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from tempfile import TemporaryFile
from typing import IO

IN_MEMORY = 50_000  # names that are sorted at a time
_BLOCK = 2**16
_END = b"\0"  # the one byte that no name has


def write_name(stream: IO[bytes], name: str) -> bytes:
    """One name for `read_names`; returns the bytes that were written."""
    encoded = os.fsencode(name) + _END
    stream.write(encoded)
    return encoded


def read_names(stream: IO[bytes]) -> Iterator[str]:
    """The names that `write_name` wrote, a block at a time."""
    rest = b""
    while block := stream.read(_BLOCK):
        *names, rest = (rest + block).split(_END)
        yield from map(os.fsdecode, names)


def in_sorted_order(names: Iterable[str]) -> Iterator[str]:
    """As `sorted`, with no more than IN_MEMORY names held; the others wait in temporary files."""
    waiting = iter(names)
    with ExitStack() as open_files:
        runs: list[Iterator[str]] = []
        while run := sorted(islice(waiting, IN_MEMORY)):
            if len(run) < IN_MEMORY:
                runs.append(iter(run))
                break
            stream = open_files.enter_context(TemporaryFile())
            for name in run:
                write_name(stream, name)
            stream.seek(0)
            runs.append(read_names(stream))
        yield from heapq.merge(*runs)
