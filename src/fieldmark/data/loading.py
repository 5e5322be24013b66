"""Files to the model's input pixels, one at a time or many, overlapped and in order."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sized
from contextlib import closing
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.cores import available_cores
from fieldmark.data.decoding import decode_image, too_many_bytes
from fieldmark.data.geometry import Geometry, apply_image, scale_to_px
from fieldmark.data.overlapping import in_order
from fieldmark.data.picture import Limits, Pixels, Reason, Unreadable

_TASK_BYTES = 2 * 2**20  # pixels that one thread makes between two hand-overs
_TASK_FILES = 64
_TASKS_A_THREAD = 3  # waiting, working, done: a bounded window, whatever the folder holds
_DEFAULT_LIMITS = Limits()


def load_bytes(encoded: bytes, geometry: Geometry, limits: Limits = _DEFAULT_LIMITS) -> Pixels | Unreadable:
    """The bytes of a file to uint8 [size_px, size_px, 3], by the one decode path and the one geometry."""
    decoded = decode_image(encoded, limits=limits, scale_to_px=scale_to_px(geometry))
    return decoded if isinstance(decoded, Unreadable) else apply_image(decoded[0], geometry)


def load_file(
    path: Path, geometry: Geometry, limits: Limits = _DEFAULT_LIMITS, *, content: str | None = None
) -> Pixels | Unreadable:
    """As `load_bytes`; a file that is not there or may not be read is an `Unreadable` too, and so is one whose bytes
    are not those of sha256 `content`, in hex."""
    encoded = read_bytes(path, limits)
    if isinstance(encoded, Unreadable):
        return encoded
    if content is not None and hashlib.sha256(encoded).hexdigest() != content:
        return Unreadable(reason=Reason.CHANGED, detail="the file is not what it was when it was listed")
    return load_bytes(encoded, geometry, limits)


def load_many(
    paths: Iterable[Path],
    geometry: Geometry,
    *,
    content: Iterable[str] | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    threads: int | None = None,
) -> Iterator[Pixels | Unreadable]:
    """Each path's pixels, or why there are none, in the order of `paths`, which may be endless.

    A few MB of pixels a thread are in flight, never the folder. What `paths` raises comes through; closing the
    generator stops the threads. `content` as for `load_file`. `threads` defaults to the cores this process may use.
    """
    count = threads or available_cores()
    size = max(1, min(_TASK_FILES, _TASK_BYTES // (3 * geometry.size_px**2)))
    if isinstance(paths, Sized):  # few files are shared out, so that no thread stands idle
        size = max(1, min(size, len(paths) // (2 * count)))
    source = zip(paths, repeat(None) if content is None else content)
    chunks = iter(lambda: list(islice(source, size)), [])
    work = partial(_load_chunk, geometry=geometry, limits=limits)
    with closing(in_order(work, chunks, threads=count, ahead=count * _TASKS_A_THREAD)) as loaded:
        for chunk in loaded:
            yield from chunk


def load_readable(paths: Iterable[Path], geometry: Geometry) -> tuple[Pixels, NDArray[np.int64]]:
    """(uint8 [M, S, S, 3] of those that can be read, int64 [M] which of `paths` they are), all of it in memory."""
    loaded = enumerate(load_many(paths, geometry))
    seen = [(at, pixels) for at, pixels in loaded if not isinstance(pixels, Unreadable)]
    side = geometry.size_px
    pixels = np.stack([each for _, each in seen]) if seen else np.empty((0, side, side, 3), np.uint8)
    return pixels, np.array([at for at, _ in seen], dtype=np.int64)


def read_bytes(path: Path, limits: Limits) -> bytes | Unreadable:
    """A file's bytes, unless it is missing, not to be read, no plain file, or larger than the limit."""
    try:
        status = os.stat(path)  # noqa: PTH116  pathlib costs as much as reading a small file
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait, a device would never end
            return Unreadable(reason=Reason.NOT_READABLE, detail="it is not a plain file")
        if status.st_size > limits.max_bytes:
            return too_many_bytes(status.st_size, limits)
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        return Unreadable(reason=Reason.MISSING, detail="there is no such file")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Unreadable(reason=Reason.NOT_READABLE, detail=getattr(error, "strerror", None) or str(error))


def _load_chunk(
    chunk: list[tuple[Path, str | None]], geometry: Geometry, limits: Limits
) -> list[Pixels | Unreadable]:
    return [load_file(path, geometry, limits, content=content) for path, content in chunk]
