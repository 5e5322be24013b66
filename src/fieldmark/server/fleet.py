"""The workers of a server: who gets which images, what becomes of a lost worker's, and how models are exchanged."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.errors import FieldmarkError
from fieldmark.server.batching import SIZES, BatchTimes
from fieldmark.server.limits import Limits
from fieldmark.server.messages import Answered, Batch, Load, Model, Row
from fieldmark.server.models import Served, Source
from fieldmark.server.refusals import not_now
from fieldmark.server.snapshots import snapshot
from fieldmark.server.waiting import Answer, Image, Queue
from fieldmark.server.workers import Worker, start

AHEAD = 2  # batches that a worker has at a time: the next is there when one is done
FALLEN = 2  # an image that so many workers were lost with gets no third
HOPELESS = "cannot be decoded"
_LOOK_S = 0.25  # how often somebody looks whether a worker is stuck
_EARLY_S = 10.0  # a worker that is lost sooner than this is not started again at once
_LONGEST_PAUSE_S = 10.0
Event = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """Models as they were loaded together: private copies, what they say, how long batches take, and the workers that
    have them at the moment."""

    folder: Path
    served: dict[str, Served]
    load: Load
    times: dict[str, BatchTimes]
    workers: list[Worker]


class Fleet:
    """`count` workers. `told` hears of what happens ("worker lost" ...) with its figures; `folder` holds private
    copies of bundles."""

    def __init__(self, limits: Limits, count: int, folder: Path, told: Event) -> None:
        self.limits, self.queue = limits, Queue(limits)
        self.current: Generation | None = None
        self._count, self._folder, self._told = count, folder, told
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._early = 0
        self._exchange = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether a worker is there to answer; it proved its models on their canaries before it was."""
        return self.current is not None and bool(self.current.workers)

    @property
    def at_work(self) -> int:
        return sum(worker.at_work for worker in self.current.workers) if self.current else 0

    async def reload(self, models: Sequence[Source]) -> None:
        """Models as they are on disk now, in new workers; the old ones answer until these are ready, and stay where
        that fails. Raises what `snapshot` and `start` do."""
        async with self._exchange:
            await self._reload(models)

    async def _reload(self, models: Sequence[Source]) -> None:
        folder = self._folder / f"models-{next(self._numbers)}"
        made = await asyncio.to_thread(_copied, models, folder)
        load = Load(
            tuple(Model(key, str(folder / key)) for key in made),
            self.limits.image.max_bytes,
            self.limits.image.max_pixels,
            SIZES,
        )
        started = await asyncio.gather(*(start(load) for _ in range(self._count)), return_exceptions=True)
        workers = [each for each in started if isinstance(each, Worker)]
        if len(workers) < len(started):
            for worker in workers:
                worker.kill()
            await asyncio.to_thread(_removed, folder)
            raise next(each for each in started if isinstance(each, BaseException))
        times = {key: BatchTimes(seconds) for key, seconds in workers[0].seconds.items()}
        generation = Generation(folder=folder, served=made, load=load, times=times, workers=[])
        old, self.current = self.current, generation
        for worker in workers:
            self._employ(worker, generation)
        if old is not None:
            for worker in old.workers:
                worker.dismiss()
            await asyncio.to_thread(_removed, old.folder)
        self._give()

    async def answers(self, key: str, encoded: Sequence[bytes], *, raw: bool) -> list[Answer]:
        """An answer for each image, in order. RequestError (503) where too many wait, or none came in time."""
        loop, since = asyncio.get_running_loop(), time.monotonic()
        images = [Image(key=key, encoded=each, raw=raw, answer=loop.create_future(), since=since) for each in encoded]
        self.queue.add(images, at_work=self.at_work)
        self._give()
        try:
            async with asyncio.timeout(self.limits.answer_s):
                return list(await asyncio.gather(*(image.answer for image in images)))
        except TimeoutError:
            raise not_now(f"no answer within {self.limits.answer_s:g} s") from None
        finally:
            for image in images:  # nobody waits any more; those in the queue are not worked on
                image.answer.cancel()

    async def watch(self) -> None:
        """For as long as the server runs: a worker that takes too long for what it has is stopped."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for worker in list(self.current.workers) if self.current else ():
                if worker.busy_s() > self.limits.work_s:
                    self._told("worker stuck", seconds=round(worker.busy_s(), 2))
                    worker.kill()

    async def end(self) -> None:
        """Workers finish what they have, and end."""
        generation, self.current = self.current, None  # from here on nobody takes a lost worker's place
        for worker in generation.workers if generation else ():
            worker.dismiss()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.limits.answer_s)
        for worker in generation.workers if generation else ():
            worker.kill()
        await asyncio.gather(*self._tasks)

    def _give(self) -> None:
        """Waiting images to the workers that have the fewest."""
        generation = self.current
        while generation is not None and (first := self.queue.first()) is not None:
            free = sorted((w for w in generation.workers if len(w.sent) < AHEAD and w.open), key=lambda w: w.at_work)
            if not free:
                return
            # Shared out among those who have nothing to do, before anybody gets a larger batch.
            idle = max(1, sum(not worker.sent for worker in free))
            share = -(-len(self.queue) // idle)
            images = self.queue.next(min(share, generation.times[first.key].best(self.limits.batch_s)))
            number = next(self._numbers)
            free[0].give(Batch(number, first.key, tuple(i.encoded for i in images), first.raw), images)

    def _heard(self, worker: Worker, answered: Answered, generation: Generation) -> None:
        sent = worker.answered(answered.number)
        self._early, images = 0, len(sent.images)
        key = sent.images[0].key
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
        self._give()

    def _employ(self, worker: Worker, generation: Generation) -> None:
        generation.workers.append(worker)
        task = asyncio.create_task(self._employed(worker, generation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _employed(self, worker: Worker, generation: Generation) -> None:
        """A worker's whole life: what it answers, and, where it is lost, who takes its place and its images."""
        await worker.listen(lambda who, answered: self._heard(who, answered, generation))
        generation.workers.remove(worker)
        lost = self._take_back(worker, generation)
        if generation is not self.current:
            self._give()
            return
        self._told("worker lost", exit_code=worker.process.returncode, images=lost)
        early = time.monotonic() - worker.since < _EARLY_S
        while generation is self.current:
            self._early = self._early + 1 if early else 0
            await asyncio.sleep(min(_LONGEST_PAUSE_S, 0.0 if self._early < 2 else 0.1 * 2**self._early))
            try:
                following = await start(generation.load)
            except FieldmarkError as error:
                self._told("worker not started", what=error.what, where=error.where)
                early = True
                continue
            self._employ(following, generation)
            if generation is not self.current:  # exchanged, or ended, while this one was starting
                following.dismiss()
            self._give()
            return

    def _take_back(self, worker: Worker, generation: Generation) -> int:
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
        detail = f"it brought down the process that decodes, or took it more than {self.limits.work_s:g} s"
        return Answer(
            row=Row(reason=HOPELESS, detail=detail),
            served=generation.served[image.key],
            queue_s=time.monotonic() - image.since,
            decode_s=0.0,
            run_s=0.0,
            batch=1,
        )


def _copied(models: Sequence[Source], folder: Path) -> dict[str, Served]:
    try:
        return {source.key: snapshot(source, folder / source.key) for source in models}
    except (FieldmarkError, OSError):
        _removed(folder)
        raise


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
