"""Which execution is fastest for a bundle on this machine: measured once, where enough images are coming."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import msgspec

from fieldmark.bundle.checksums import read_sums
from fieldmark.bundle.reading import Bundle
from fieldmark.cores import available_cores, processor_model
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_file
from fieldmark.data.picture import Unreadable
from fieldmark.inference.classifier import Classifier, ready
from fieldmark.inference.execution import Execution, candidates, for_many
from fieldmark.inference.remembering import Circumstances, Measured, recall, remember
from fieldmark.inference.runners import DEFAULT_RUNNER, RUNNERS

ENOUGH_IMAGES = 500  # fewer do not win back what measuring takes
SLICE_S = 0.3  # for each candidate, after what warms it up
_SAMPLE = 32


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """`execution`, and how it was come by: `between` what it was chosen, fastest first (empty where nothing was
    measured), and whether `measured` now, `remembered` from before, `asked` for, or `usual`, for want of images to
    measure on. `unkept` says why the measurement could not be kept."""

    execution: Execution
    how: Literal["measured", "remembered", "asked", "usual"]
    between: tuple[Measured, ...] = ()
    unkept: str = ""

    def __str__(self) -> str:
        if not self.between:
            reason = "as asked" if self.how == "asked" else "not measured: too few images are coming"
            return f"{self.execution} ({reason})"
        first, *others = self.between
        rates = ", ".join(f"{each.images_per_s:.0f}" for each in others)
        when = "measured now" if self.how == "measured" else "measured before"
        unkept = f"; it could not be kept: {self.unkept}" if self.unkept else ""
        against = f", against {rates} of the others" if others else ""
        return f"{self.execution} ({first.images_per_s:.0f} images/s{against}; {when}{unkept})"


def choose(bundle: Bundle, first: Sequence[Path], *, threads: int | None = None) -> Choice:
    """The execution for many images, of which `first` are some.

    `threads` is taken as asked. Otherwise what was measured before on this machine counts; else, where `first` are at
    least ENOUGH_IMAGES, the candidates are measured on a few of them and the fastest is taken and remembered; else
    the usual one. UnknownName where the table has no runner such as the bundle's.
    """
    runner = bundle.runner or DEFAULT_RUNNER
    size_px = bundle.manifest.geometry.size_px
    usual = for_many(threads or available_cores(), size_px, runner)
    if threads is not None:
        return Choice(execution=usual, how="asked")
    here = Circumstances(
        graph=read_sums(bundle.path)[bundle.graph.relative_to(bundle.path).as_posix()],
        processor=processor_model(),
        cores=available_cores(),
        runner=runner,
        version=RUNNERS[runner].version(),
    )
    if known := recall(here):
        return Choice(execution=known[0].execution, how="remembered", between=known)
    sample = _readable(first, bundle.manifest.geometry) if len(first) >= ENOUGH_IMAGES else []
    if not sample:
        return Choice(execution=usual, how="usual")
    ranked = fastest_first(measure(bundle, candidates(here.cores, size_px, runner), sample))
    return Choice(execution=ranked[0].execution, how="measured", between=ranked, unkept=remember(here, ranked))


def fastest_first(measured: Iterator[Measured]) -> tuple[Measured, ...]:
    """Of equals, the one that was named first."""
    return tuple(sorted(measured, key=lambda each: -each.images_per_s))


def measure(bundle: Bundle, executions: Sequence[Execution], sample: Sequence[Path]) -> Iterator[Measured]:
    """Each execution's images per second, from the files of `sample`, over and over, to answers."""
    for execution in executions:
        answers = partial(answers_to, ready(bundle, execution), sample)
        yield Measured(
            execution=execution, images_per_s=burst_rate(answers, execution.workers * execution.batch, SLICE_S)[0]
        )


def answers_to(classifier: Classifier, sample: Collection[Path], count: int) -> Iterable[object]:
    """Answers to `count` of the files, which begin anew where they end."""
    return classifier.predict_many([*islice(cycle(sample), count)])


def burst_rate(
    work: Callable[[int], Iterable[object]],
    wave: int,
    slice_s: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, int]:
    """(results per second, how many were counted) of work(n), which gives n results that threads may do ahead.

    A `wave` warms up and is not counted. Then n doubles, from a wave on, until n results take `slice_s`, and these
    count, from the first's beginning to the last's end. In the middle of endless work a ResNet-50 was told to answer
    383 images a second, and 192 it was: threads do not finish in turn, and what one had ready was found at once.
    """
    count = wave
    _seconds(work(count), clock)
    while (took := _seconds(work(count), clock)) < slice_s:
        count *= 2
    return count / max(took, 1e-9), count


def _seconds(results: Iterable[object], clock: Callable[[], float]) -> float:
    began = clock()
    deque(results, maxlen=0)
    return clock() - began


def _readable(first: Sequence[Path], geometry: Geometry) -> list[Path]:
    return [path for path in first[:_SAMPLE] if not isinstance(load_file(path, geometry), Unreadable)]
