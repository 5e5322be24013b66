"""Images that wait for a worker, within bounds, and which of them go next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.server.limits import Limits
from fieldmark.server.messages import Row
from fieldmark.server.models import Served
from fieldmark.server.refusals import not_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A row, who gave it, and how long each step took, in seconds; `decode_s` and `run_s` are of its whole batch."""

    row: Row
    served: Served
    queue_s: float
    decode_s: float
    run_s: float
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """One image on its way: an encoded file, or, with `raw`, the bytes of pixels uint8 [S, S, 3]. `since` is when it
    came; `fallen` counts the workers that were lost with it."""

    key: str
    encoded: bytes
    raw: bool
    answer: asyncio.Future[Answer]
    since: float
    fallen: int = 0

    def like(self, other: Image) -> bool:
        """Whether both may be in one batch. What a worker was lost with goes alone, to show whose fault it is."""
        return self.key == other.key and self.raw == other.raw and not (self.fallen or other.fallen)


class Queue:
    """First come, first served, but that images of one model are batched."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._images: deque[Image] = deque()

    def __len__(self) -> int:
        return len(self._images)

    def add(self, images: Sequence[Image], *, at_work: int) -> None:
        """Takes all or none: RequestError (503) where they and those before them, `at_work` among workers, are more
        than may wait."""
        if len(self._images) + at_work + len(images) > self._limits.max_waiting_images:
            raise not_now(f"{len(self._images) + at_work} images wait already")
        self._images.extend(images)

    def put_back(self, images: Sequence[Image]) -> None:
        """To the front, in their order."""
        self._images.extendleft(reversed(images))

    def forget_unwanted(self) -> None:
        """Those that nobody waits for any more take nobody's place."""
        self._images = deque(image for image in self._images if not image.answer.done())

    def next(self, most: int) -> list[Image]:
        """Up to `most` images that may be one batch. Those that nobody waits for any more are dropped."""
        batch: list[Image] = []
        while self._images and len(batch) < most:
            if self._images[0].answer.done():
                self._images.popleft()
            elif batch and not batch[0].like(self._images[0]):
                break
            else:
                batch.append(self._images.popleft())
        return batch

    def first(self) -> Image | None:
        """The one that has waited longest, and is still waited for."""
        while self._images and self._images[0].answer.done():
            self._images.popleft()
        return self._images[0] if self._images else None
