"""Where the pixels of a batch come from, and how they are had before they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.overlapping import in_order

AHEAD = 3  # batches: one in work, two being read meanwhile


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
