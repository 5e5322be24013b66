"""Where the pixels of a batch come from, and how they are had before they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.data.overlapping import in_order
from fieldmark.data.picture import Unreadable
from fieldmark.errors import DataError

AHEAD = 3  # batches: one in work, two being read meanwhile
NOT_KEPT = -1


class PixelSource(Protocol):
    """Pixels of N images of one size. An array uint8 [N, S, S, 3] is one, in memory or mapped."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Those of `rows` int64 [B], in their order: a new array uint8 [B, S, S, 3]. May be called by any thread."""
        ...


def in_batches(
    source: PixelSource, rows: NDArray[np.int64], size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """`rows` in runs of up to `size`, each with its pixels, which are read while the runs before are worked on."""

    def read(some: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        return some, source[some]

    runs = (rows[at : at + size] for at in range(0, len(rows), size))
    with closing(in_order(read, runs, threads=1, ahead=AHEAD)) as batches:
        yield from batches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CachedPixels:
    """Pixels of the N images of `data`, each at `place` int64 [N] of the block `block` int32 [N]; where that is
    NOT_KEPT, decoded from its file whenever it is asked for: the same pixels, later."""

    data: Dataset
    geometry: Geometry
    blocks: tuple[NDArray[np.uint8], ...]
    block: NDArray[np.int32]
    place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """DataError where a file that has to be decoded is not there any more as it was."""
        block, place = self.block[rows], self.place[rows]
        if len(rows) and block[0] != NOT_KEPT and (block == block[0]).all():
            return self.blocks[int(block[0])][place]
        pixels = np.empty((len(rows), self.geometry.size_px, self.geometry.size_px, 3), np.uint8)
        # Copied one by one: numpy's indexing would gather each block's rows first, and then copy them once more.
        for at, (number, row) in enumerate(zip(block.tolist(), place.tolist())):
            if number != NOT_KEPT:
                pixels[at] = self.blocks[number][row]
        missing = np.flatnonzero(block == NOT_KEPT)
        for at, image in zip(missing.tolist(), self._decoded(rows[missing])):
            pixels[at] = image
        return pixels

    def _decoded(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        paths = [self.data.path(row) for row in rows]
        for path, image in zip(paths, load_many(paths, self.geometry, content=self.data.content[rows].tolist())):
            if isinstance(image, Unreadable):
                raise DataError(
                    "an image that could be read when training began cannot be read now",
                    where=f"{path}: {image.reason}, {image.detail}",
                    do="put the file back as it was, and go on with --resume",
                )
            yield image
