"""Decoded images are kept, block by block, for as long as there is room."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.picture import Unreadable
from fieldmark.training.blocks import Block, Draft
from fieldmark.training.cache_folder import KEPT_FREE, Room, drafting, make_room

# A block that is lost or removed costs so much decoding. A set makes no more than MOST_BLOCKS / 2 of them, and no run
# opens more than MOST_BLOCKS: each map takes one of the few files (often 1,024) that a process may have open.
BLOCK_BYTES, MOST_BLOCKS = 2**28, 256
# What an image takes in the lists of blocks, and what all of a set's blocks take beside pixels and images, at most.
LISTED_BYTES, LISTS_BYTES = 200, 2**14


class Known:
    """What is known of images, by the sha256 of their files: where their pixels are, or why there are none.

    `readable` can be decoded, and perhaps are nowhere kept.
    """

    def __init__(self) -> None:
        self.blocks: list[NDArray[np.uint8]] = []
        self.place: dict[str, tuple[int, int]] = {}
        self.unreadable: dict[str, Unreadable] = {}
        self.readable: set[str] = set()

    def add(self, block: Block) -> None:
        """All that a block holds."""
        number = len(self.blocks)
        self.blocks.append(block.pixels)
        for row, content in enumerate(block.footer.content):
            self.place.setdefault(content, (number, row))
        self.unreadable.update(block.footer.unreadable)
        self.readable.update(block.footer.readable)


class Keeper:
    """Takes decoded images of `side_px`, of a set of `images`, and makes blocks of them in `home`, a folder of the
    room's. What it is given is entered in `known`.

    `full` says why nothing more is kept, in words; "" while there is room. A disk that will not take a block ends the
    keeping and nothing else: its images are `readable`, and those of the blocks before stay kept.
    """

    def __init__(self, known: Known, room: Room, home: Path, side_px: int, images: int) -> None:
        self.full = room.closed
        self._known, self._room, self._home, self._side_px = known, room, home, side_px
        self._left, self._for_pixels = 0, room.limit - LISTED_BYTES * images - LISTS_BYTES
        self._row_bytes = 3 * side_px**2
        self._block_rows = max(1, max(BLOCK_BYTES, 2 * images * self._row_bytes // MOST_BLOCKS) // self._row_bytes)
        self._writable = not room.closed
        self._draft: Draft | None = None
        self._drafts: Path | None = None
        self._on_exit = ExitStack()
        self._unreadable: dict[str, Unreadable] = {}  # learnt since the last block
        self._readable: list[str] = []

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draft is not None:
            self._draft.drop()
        self._on_exit.close()

    def expect(self, images: int) -> None:
        """So many will be kept or refused before `finish`: room is looked for, and `full` says if there is none."""
        self._left = images
        if not self.full:
            self._begin()

    def keep(self, content: str, pixels: NDArray[np.uint8]) -> None:
        """An image that was decoded: uint8 [S, S, 3]."""
        if self._draft is None and not self.full:
            self._begin()
        self._left -= 1
        if self._draft is None:
            self._not_kept((content,))
            return
        try:
            self._draft.add(content, pixels)
        except OSError as error:
            self._not_kept((content,))
            self._give_up(error)
        else:
            if len(self._draft.content) == self._draft.room:
                self.finish()

    def refuse(self, content: str, why: Unreadable) -> None:
        """An image that nothing can be made of, for a reason that is in its bytes."""
        self._left -= 1
        self._known.unreadable[content] = self._unreadable[content] = why

    def finish(self) -> None:
        """Whatever was learnt since the last block becomes one, for this run and for others."""
        try:
            draft = self._draft = self._draft or self._draft_for_lists()
            if draft is None:
                return
            if not (draft.content or self._unreadable or self._readable):
                draft.drop()
                self._draft = None
                return
            block = draft.finish(self._home, self._unreadable, tuple(self._readable))
        except OSError as error:
            self._give_up(error)
            return
        self._known.add(block)
        self._draft, self._unreadable, self._readable = None, {}, []

    def _begin(self) -> None:
        try:
            draft = self._draft = self._new_draft()
            # First it takes its size, and then it is seen whether that was too much: two processes that begin at the
            # same time see each other.
            draft.resize(min(self._block_rows, self._left))
            too_many = make_room(self._room.folder, self._for_pixels, unwritten=draft.room * self._row_bytes)
            draft.resize(max(0, draft.room - math.ceil(too_many / self._row_bytes)))
        except OSError as error:
            self._give_up(error)
            return
        if not draft.room:
            draft.drop()
            self._draft = None
            self.full = (
                f"the cache in {self._room.folder} may take {self._room.limit / 1e6:,.6g} MB, "
                f"and leaves {KEPT_FREE / 1e6:,.0f} MB of the disk free"
            )

    def _draft_for_lists(self) -> Draft | None:
        lists = LISTED_BYTES * (len(self._unreadable) + len(self._readable))
        if not lists or not self._writable or make_room(self._room.folder, self._room.limit - lists, unwritten=lists):
            return None
        return self._new_draft()

    def _new_draft(self) -> Draft:
        if self._drafts is None:
            self._drafts = self._on_exit.enter_context(drafting(self._room.folder))
        return Draft(self._drafts / "block", self._side_px)

    def _not_kept(self, content: tuple[str, ...]) -> None:
        self._known.readable.update(content)
        self._readable.extend(content)

    def _give_up(self, error: OSError) -> None:
        self.full, self._writable = f"{self._room.folder} could not be written: {error.strerror or error}", False
        if self._draft is not None:
            self._not_kept(self._draft.content)
            self._draft.drop()
            self._draft = None
