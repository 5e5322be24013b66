"""How a graph is run on this machine, as a value: which runner, and what the threads share out among them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fieldmark.inference.runners import DEFAULT_RUNNER, RUNNERS

Count = Annotated[int, msgspec.Meta(ge=1, le=4096)]

# In hand at a time (in pictures of 224 px): beyond these, memory grows and speed does not.
_PIXELS = 224 * 224
_PIXELS_IN_HAND, _BATCH_IMAGES = 64 * _PIXELS, 256


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`workers` threads take `batch` pictures each from file to answer, through one session of `runner` that has
    `threads` threads for a run. One worker decodes while another runs the graph."""

    runner: str
    threads: Count
    workers: Count
    batch: Count

    def __str__(self) -> str:
        batch = f"batches of {self.batch}" if self.batch > 1 else "one picture at a time"
        return f"{self.runner}, {_counted(self.workers, 'worker')}, {_counted(self.threads, 'thread')} a run, {batch}"


def for_one(cores: int, size_px: int, runner: str | None = None) -> Execution:
    """All cores work on one run: the quickest answer for one picture of `size_px`."""
    return _execution(runner or DEFAULT_RUNNER, cores, cores, size_px)


def for_many(cores: int, size_px: int, runner: str | None = None) -> Execution:
    """A core for each worker, which nothing has to share: usually the most pictures in a given time."""
    return _execution(runner or DEFAULT_RUNNER, 1, cores, size_px)


def candidates(cores: int, size_px: int, runner: str) -> tuple[Execution, ...]:
    """The handful worth measuring, `for_many` first."""
    usual = for_many(cores, size_px, runner)
    found = [usual, msgspec.structs.replace(usual, batch=max(1, usual.batch // 4))]
    if cores >= 4:
        found.append(msgspec.structs.replace(usual, threads=2, workers=cores // 2))
    found.append(for_one(cores, size_px, runner))
    return tuple(dict.fromkeys(found))


def _execution(runner: str, threads: int, workers: int, size_px: int) -> Execution:
    pixels = min(RUNNERS[runner].batch * _PIXELS, _PIXELS_IN_HAND // workers)
    batch = max(1, min(_BATCH_IMAGES, pixels // size_px**2))
    return Execution(runner=runner, threads=threads, workers=workers, batch=batch)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"
