"""Every picture decoded once: the geometry's output for a whole dataset, as one array on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Dataset, Skipped
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.data.picture import Unreadable
from fieldmark.errors import OutputError
from fieldmark.progress import Progress, silent

PIXELS, INDEX = "pixels.npy", "pixels.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """`pixels` uint8 [M, S, S, 3], read from disk as they are used; `data` the M rows that could be read, with the
    others added to its `skipped`."""

    pixels: NDArray[np.uint8]
    data: Dataset


class _Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Written last, so that its presence says that the array is whole. `key` is of contents and geometry."""

    schema: int = 1
    key: str
    bytes: int
    unreadable: dict[int, Unreadable]  # by row of the dataset


def cache_pixels(
    data: Dataset, geometry: Geometry, folder: Path, *, threads: int | None = None, progress: Progress = silent
) -> Cached:
    """Decode every file of `data` into `folder/pixels.npy`, or take what is there if it is whole and of the same
    contents, order and geometry. OutputError where the disk will not take it; then nothing is left."""
    key = _key(data, geometry)
    index = _whole(folder, key)
    if index is None:
        with _nothing_left_on_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            index = _decode_all(data, geometry, folder, key, threads=threads, progress=progress)
    pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    unreadable = index.unreadable
    kept = np.array([row for row in range(len(data)) if row not in unreadable], np.int64)
    skipped = tuple(Skipped(file=str(data.files[row]), unreadable=why) for row, why in sorted(unreadable.items()))
    return Cached(pixels=pixels, data=replace(data.rows(kept), skipped=data.skipped + skipped))


def _decode_all(
    data: Dataset, geometry: Geometry, folder: Path, key: str, *, threads: int | None, progress: Progress
) -> _Index:
    unreadable: dict[int, Unreadable] = {}
    paths = [data.path(row) for row in range(len(data))]
    with (folder / PIXELS).open("wb") as file:
        header = _header(len(data), geometry.size_px)
        file.write(header)
        for row, loaded in enumerate(load_many(paths, geometry, threads=threads)):
            if isinstance(loaded, Unreadable):
                unreadable[row] = loaded
            else:
                file.write(loaded.tobytes())
            progress("read images", row + 1, len(data))
        if unreadable:
            _rewrite_header(file, header, len(data) - len(unreadable), geometry.size_px)
        file.flush()
        os.fsync(file.fileno())
    index = _Index(key=key, bytes=(folder / PIXELS).stat().st_size, unreadable=unreadable)
    draft = folder / f".{INDEX}"
    draft.write_bytes(msgspec.json.encode(index))
    draft.replace(folder / INDEX)
    return index


def _header(images: int, side: int) -> bytes:
    buffer = BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (images, side, side, 3)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _rewrite_header(file: BinaryIO, before: bytes, images: int, side: int) -> None:
    # numpy pads its header so that a growing first axis fits; the length is checked because the pixels follow it.
    header = _header(images, side)
    if len(header) != len(before):
        raise ValueError(f"numpy's header changed its length from {len(before)} to {len(header)} bytes")
    file.seek(0)
    file.write(header)


def _key(data: Dataset, geometry: Geometry) -> str:
    """Of contents in their order and of the geometry; names and labels do not change pixels."""
    text = msgspec.json.encode([[str(content) for content in data.content], geometry])
    return hashlib.sha256(text).hexdigest()


def _whole(folder: Path, key: str) -> _Index | None:
    """What an earlier run left, if it can be trusted."""
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=_Index)
        whole = index.key == key and (folder / PIXELS).stat().st_size == index.bytes
    except (OSError, msgspec.MsgspecError):
        return None
    return index if whole else None


@contextmanager
def _nothing_left_on_error(folder: Path) -> Iterator[None]:
    """Whatever ends the writing, no half of it stays; a full disk becomes an OutputError."""
    try:
        (folder / INDEX).unlink(missing_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"the pixel cache could not be written: {error}",
            where=str(folder / PIXELS),
            do="free some space, or name another folder for the run",
        ) from error
    finally:
        if not (folder / INDEX).is_file():
            (folder / PIXELS).unlink(missing_ok=True)
