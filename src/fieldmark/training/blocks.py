"""A block of the pixel cache: decoded images in one file, which is whole or not there and is never believed unread.

pixels   uint8 [n, S, S, 3], row after row from the file's first byte, so that it is mapped as it is
footer   JSON: whose pixels these are, and what else was learnt while they were decoded
tail     the footer's length (8 bytes) and CRC-32 (4 bytes), little-endian

A block is named by its footer, which names its content: two processes that write the same one write the same file.
Blocks, and not a file a dataset, so that sets share what they have in common; not a file an image, because a batch is
gathered from maps, which one process may not have by the million.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.claiming import try_lock
from fieldmark.data.picture import Unreadable

SUFFIX = ".pixels"
_TAIL = struct.Struct("<QI")
_READ_BYTES = 2**22


class Footer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`content` sha256 of the n images' files, in hex. The block also remembers of what other files nothing can be
    decoded (`unreadable`), and what was decoded and not kept (`readable`): it need not be tried again."""

    schema: int = 1
    content: tuple[str, ...]
    unreadable: dict[str, Unreadable]
    readable: tuple[str, ...]
    crc32: int  # of the pixels. One core reads 2.8 GB a second with it, 1.4 with sha256, 0.7 with blake2b.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """`pixels` uint8 [n, S, S, 3], mapped. While they live, a lock tells others that the file is in use."""

    footer: Footer
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A block that is not what was written, and how that was seen."""

    file: Path
    why: str


def read_footer(file: Path, side_px: int) -> Footer | Damaged | None:
    """What a block holds; its pixels are not looked at. None where it is gone, or not ours to read."""
    try:
        with file.open("rb") as opened:
            return _footer(opened, side_px)
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        return Damaged(file=file, why=str(error))


def open_block(file: Path, footer: Footer, side_px: int) -> Block | Damaged | None:
    """The block, from now on the most recently used one, if its pixels match their checksum. None where it is gone,
    or another process is just removing it."""
    try:
        with file.open("rb") as opened:
            if try_lock(opened.fileno(), shared=True) is False:
                return None
            if _checksum(opened, len(footer.content) * 3 * side_px**2) != footer.crc32:
                return Damaged(file=file, why="its pixels do not match their checksum")
            with suppress(OSError):  # a cache that may only be read has no order of use
                os.utime(file)
            return Block(footer=footer, pixels=_mapped(opened.fileno(), len(footer.content), side_px))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: cut off since its footer was read, so that nothing is mapped
        return Damaged(file=file, why=str(error))


class Draft:
    """A block in the making, in a file that has the size of `room` images as soon as that is known."""

    def __init__(self, file: Path, side_px: int) -> None:
        self.room = 0
        self._path, self._side_px = file, side_px
        self._file = file.open("w+b", buffering=_READ_BYTES)
        self._content: list[str] = []
        self._crc32 = 0

    @property
    def content(self) -> tuple[str, ...]:
        """Of the images that are in it so far."""
        return tuple(self._content)

    def resize(self, room: int) -> None:
        """So many images are to come."""
        self._file.truncate(room * 3 * self._side_px**2)
        self.room = room

    def add(self, content: str, pixels: NDArray[np.uint8]) -> None:
        """One image: uint8 [S, S, 3], and its file's sha256 in hex."""
        row = np.ascontiguousarray(pixels).data
        self._file.write(row)
        self._crc32 = zlib.crc32(row, self._crc32)
        self._content.append(content)

    def finish(self, folder: Path, unreadable: dict[str, Unreadable], readable: tuple[str, ...]) -> Block:
        """Move it into `folder`, whole. OSError where the disk will not take it."""
        footer = Footer(content=self.content, unreadable=unreadable, readable=readable, crc32=self._crc32)
        encoded = msgspec.json.encode(footer)
        self._file.write(encoded + _TAIL.pack(len(encoded), zlib.crc32(encoded)))
        self._file.truncate()
        self._file.flush()
        os.fsync(self._file.fileno())
        # Locked before anybody can see it, so that it is nobody's to remove.
        try_lock(self._file.fileno(), shared=True)
        block = Block(footer=footer, pixels=_mapped(self._file.fileno(), len(self._content), self._side_px))
        folder.mkdir(parents=True, exist_ok=True)
        self._path.replace(folder / (hashlib.sha256(encoded).hexdigest()[:32] + SUFFIX))
        self._file.close()
        return block

    def drop(self) -> None:
        """Give back what it took of the disk."""
        self._path.unlink(missing_ok=True)
        # Closing writes what is still in memory, which a full disk refuses once more.
        with suppress(OSError):
            self._file.close()


def _footer(opened: BinaryIO, side_px: int) -> Footer:
    size = os.fstat(opened.fileno()).st_size
    opened.seek(max(0, size - _TAIL.size))
    tail = opened.read()
    length, checksum = _TAIL.unpack(tail) if len(tail) == _TAIL.size else (size, 0)
    if length > size - _TAIL.size:
        raise ValueError("it is cut off")
    opened.seek(size - _TAIL.size - length)
    encoded = opened.read(length)
    if zlib.crc32(encoded) != checksum:
        raise ValueError("its list of images is not what was written")
    footer = msgspec.json.decode(encoded, type=Footer)
    if size != len(footer.content) * 3 * side_px**2 + length + _TAIL.size:
        raise ValueError("it is longer or shorter than its images")
    return footer


def _checksum(opened: BinaryIO, left: int) -> int:
    # Read, and not seen through the map: a disk's fault is then an error, and through a map it ends the process.
    checksum = 0
    while some := opened.read(min(left, _READ_BYTES)):
        checksum, left = zlib.crc32(some, checksum), left - len(some)
    return checksum


def _mapped(descriptor: int, images: int, side_px: int) -> NDArray[np.uint8]:
    # The map keeps a descriptor of its own, and with it the lock.
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    return np.frombuffer(memory, np.uint8, images * 3 * side_px**2).reshape(images, side_px, side_px, 3)
