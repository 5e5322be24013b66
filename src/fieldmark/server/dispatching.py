"""Who gets which images, and what becomes of those that a lost worker had."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.server.batching import BatchTimes
from fieldmark.server.limits import Limits
from fieldmark.server.messages import Answered, Batch, Load, Row
from fieldmark.server.models import Served
from fieldmark.server.refusals import not_now, went_away
from fieldmark.server.waiting import Answer, Image, Queue
from fieldmark.server.workers import Worker

AHEAD = 2  # batches that a worker has at a time: the next is there when one is done
FALLEN = 2  # an image that so many workers were lost with gets no third
HOPELESS = "cannot be decoded"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """Models as they were loaded together: private copies, what they say, how long batches take, and the workers that
    have them at the moment."""

    folder: Path
    served: dict[str, Served]
    load: Load
    times: dict[str, BatchTimes]
    workers: list[Worker]


class Dispatch:
    """Between requests that wait and the workers of `current`, the generation that images are given to."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self.queue = limits, Queue(limits)
        self.current: Generation | None = None
        self._numbers = itertools.count()

    @property
    def at_work(self) -> int:
        return sum(worker.at_work for worker in self.current.workers) if self.current else 0

    async def answers(
        self, key: str, encoded: Sequence[bytes], *, raw: bool, gone: asyncio.Future[None]
    ) -> list[Answer]:
        """An answer for each image, in order. RequestError where too many wait or none came in time (503), or whoever
        asked went away, which is when `gone` is done."""
        loop, since = asyncio.get_running_loop(), time.monotonic()
        images = [Image(key=key, encoded=each, raw=raw, answer=loop.create_future(), since=since) for each in encoded]

        def left(_: asyncio.Future[None]) -> None:
            if waiting := next((image.answer for image in images if not image.answer.done()), None):
                waiting.set_exception(went_away())

        self.queue.add(images, at_work=self.at_work)
        gone.add_done_callback(left)
        self.give()
        try:
            async with asyncio.timeout(self._limits.answer_s):
                return [await image.answer for image in images]  # in turn: the first that is not done is waited for
        except TimeoutError:
            raise not_now(f"no answer within {self._limits.answer_s:g} s") from None
        finally:
            gone.remove_done_callback(left)
            for image in images:
                image.answer.cancel()
            if gone.done() or any(image.answer.cancelled() for image in images):  # nobody waits any more
                self.queue.forget_unwanted()

    def give(self) -> None:
        """Waiting images to the workers that have the fewest."""
        generation = self.current
        while generation is not None and (first := self.queue.first()) is not None:
            free = sorted((w for w in generation.workers if len(w.sent) < AHEAD and w.open), key=lambda w: w.at_work)
            if not free:
                return
            # Shared out among those who have nothing to do, before anybody gets a larger batch.
            idle = max(1, sum(not worker.sent for worker in free))
            share = -(-len(self.queue) // idle)
            images = self.queue.next(min(share, generation.times[first.key].best(self._limits.batch_s)))
            batch = Batch(next(self._numbers), first.key, tuple(image.encoded for image in images), first.raw)
            free[0].give(batch, images)

    def heard(self, worker: Worker, answered: Answered, generation: Generation) -> None:
        """The answers of a batch, to those who wait for them."""
        sent = worker.answered(answered.number)
        key, images = sent.images[0].key, len(sent.images)
        generation.times[key].observe(images, answered.run_s)
        for image, row in zip(sent.images, answered.rows):
            if not image.answer.done():
                answer = Answer(
                    row=row,
                    served=generation.served[key],
                    queue_s=sent.since - image.since,
                    decode_s=answered.decode_s,
                    run_s=answered.run_s,
                    batch=images,
                )
                image.answer.set_result(answer)
        self.give()

    def take_back(self, worker: Worker, generation: Generation) -> int:
        """The images of a worker that is lost wait again; how many there are."""
        first, *later = [sent.images for sent in worker.sent.values()] or [[]]
        worker.sent.clear()
        # It answers in order: only the first batch can have brought it down.
        fallen = [replace(image, fallen=image.fallen + 1) for image in first]
        for image in fallen:
            if image.fallen >= FALLEN and not image.answer.done():
                image.answer.set_result(self._hopeless(image, generation))
        images = [image for image in (*fallen, *itertools.chain(*later)) if not image.answer.done()]
        self.queue.put_back(images)
        return len(images)

    def _hopeless(self, image: Image, generation: Generation) -> Answer:
        detail = f"it brought down the process that decodes, or took it more than {self._limits.work_s:g} s"
        return Answer(
            row=Row(reason=HOPELESS, detail=detail),
            served=generation.served[image.key],
            queue_s=time.monotonic() - image.since,
            decode_s=0.0,
            run_s=0.0,
            batch=1,
        )
