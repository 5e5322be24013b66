"""The workers of a server: started, watched, replaced where they are lost, exchanged with their models."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fieldmark.errors import FieldmarkError
from fieldmark.server.batching import SIZES, BatchTimes
from fieldmark.server.dispatching import Dispatch, Generation
from fieldmark.server.limits import Limits
from fieldmark.server.messages import Answered, Load, Model
from fieldmark.server.models import Served, Source
from fieldmark.server.snapshots import snapshot
from fieldmark.server.workers import Worker, start

_LOOK_S = 0.25  # how often somebody looks whether a worker is stuck
_EARLY_S = 10.0  # a worker that is lost sooner than this is not started again at once
_LONGEST_PAUSE_S = 10.0
Event = Callable[..., None]


class Fleet:
    """`count` workers, to whom `dispatch` gives images. `told` hears of what happens ("worker lost" ...) with its
    figures; `folder` holds private copies of bundles."""

    def __init__(self, limits: Limits, count: int, folder: Path, told: Event) -> None:
        self.limits, self.dispatch = limits, Dispatch(limits)
        self._count, self._folder, self._told = count, folder, told
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._early = 0
        self._exchange = asyncio.Lock()

    @property
    def current(self) -> Generation | None:
        """What answers now; None before the first models, and after the end."""
        return self.dispatch.current

    @property
    def ready(self) -> bool:
        """Whether a worker is there to answer; it proved its models on their canaries before it was."""
        return self.current is not None and bool(self.current.workers)

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
        for key, served in made.items():
            for note in served.notes:
                self._told("model", name=key, note=note)
        old, self.dispatch.current = self.current, generation
        for worker in workers:
            self._employ(worker, generation)
        if old is not None:
            for worker in old.workers:
                worker.dismiss()
            await asyncio.to_thread(_removed, old.folder)
        self.dispatch.give()

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
        generation, self.dispatch.current = self.current, None  # from here on nobody takes a lost worker's place
        for worker in generation.workers if generation else ():
            worker.dismiss()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.limits.answer_s)
        for worker in generation.workers if generation else ():
            worker.kill()
        await asyncio.gather(*self._tasks)

    def _employ(self, worker: Worker, generation: Generation) -> None:
        generation.workers.append(worker)
        task = asyncio.create_task(self._employed(worker, generation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _employed(self, worker: Worker, generation: Generation) -> None:
        """A worker's whole life: what it answers, and, where it is lost, who takes its place and its images."""

        def heard(who: Worker, answered: Answered) -> None:
            self._early = 0
            self.dispatch.heard(who, answered, generation)

        await worker.listen(heard)
        generation.workers.remove(worker)
        lost = self.dispatch.take_back(worker, generation)
        if generation is not self.current:
            self.dispatch.give()
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
            self.dispatch.give()
            return


def _copied(models: Sequence[Source], folder: Path) -> dict[str, Served]:
    try:
        return {source.key: snapshot(source, folder / source.key) for source in models}
    except (FieldmarkError, OSError):
        _removed(folder)
        raise


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
