"""One candidate learns for its share of a round, and is judged on the images that all candidates share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Decision
from fieldmark.data.dataset import Dataset
from fieldmark.errors import FieldmarkError
from fieldmark.exporters.onnx import export
from fieldmark.inference.deciding import probabilities
from fieldmark.measures.outcomes import Outcomes, outcomes
from fieldmark.progress import Progress
from fieldmark.training import journal
from fieldmark.training.choosing import pretrained
from fieldmark.training.job import Job, Learned, Rows
from fieldmark.training.preferring import Judged
from fieldmark.training.run import LEARN
from fieldmark.training.shipping import TIMED_IMAGES, evenly_spread, graph_logits
from fieldmark.training.weighing import Weight, weigh

# What can go wrong with one candidate and say nothing of the others: ours, torch's (out of memory too), a shape.
FAULTS = (FieldmarkError, RuntimeError, ValueError, MemoryError)


def fault_in_words(fault: BaseException) -> str:
    """An error in one line."""
    what = fault.what if isinstance(fault, FieldmarkError) else f"{type(fault).__name__}: {fault}"
    return what.partition("\n")[0][:300]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A candidate that is within the limits, with all data to learn from; `weight` was measured untrained. `after` is
    the candidate that it starts from: a probe, where it is the same network fine-tuned."""

    name: str
    after: str | None
    job: Job
    weight: Weight
    mirror: bool  # how it was weighed

    @property
    def tunes(self) -> bool:
        """Whether it trains a network for as long as it may."""
        return self.job.choice.method == "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a candidate stood after its latest round; `learned` from `train` rows, None where it was read from disk."""

    judged: Judged
    train: Rows
    rounds: int
    seconds: float
    learned: Learned | None


def attend(
    each: Entrant, number: int, images: int, share_s: float, before: Result | None, folder: Path, progress: Progress
) -> Result:
    """Learn for about `share_s` seconds and answer for `images` validation images; or what the journal in `folder`
    has of this round, from a run that was cut off."""
    validation = shared_images(each, images)
    train = affordable_rows(each, share_s)
    spent_s = before.seconds if before else 0.0
    known = journal.read(folder, each.name, number, len(validation))
    if known is not None:
        entry, said = known
        judged = Judged(seen=_outcomes(each.job, validation, said), weight=entry.weight, complete=entry.complete)
        return Result(judged=judged, train=train, rounds=number, seconds=spent_s + entry.seconds, learned=None)
    began = time.monotonic()
    with _place_of_its_own(folder / journal.slug(each.name)) as place:
        job = replace(
            each.job,
            train=train,
            validation=validation,
            test=each.job.test[:0],
            run_folder=place,
            # A probe reads as many images as it has time for, and is not stopped amid them.
            deadline=began + 0.8 * share_s if each.tunes else None,
            progress=progress,
        )
        learned = LEARN[job.choice.method](job)
        judged = judge(each, job, learned, place)
    entry = journal.Entry(
        name=each.name,
        round=number,
        images=len(validation),
        seconds=time.monotonic() - began,
        complete=judged.complete,
        weight=judged.weight,
    )
    journal.write(folder, entry, judged.seen.probabilities)
    return Result(judged=judged, train=train, rounds=number, seconds=spent_s + entry.seconds, learned=learned)


@contextmanager
def _place_of_its_own(place: Path) -> Iterator[Path]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def judge(each: Entrant, job: Job, learned: Learned, place: Path) -> Judged:
    """Export into `place`, answer for the job's validation images, and weigh again where it is another graph than was
    weighed."""
    network = learned.network.eval()
    graph = place / "model.onnx"
    export(network, job.choice.geometry.size_px, graph)
    said = probabilities(graph_logits(graph, job.pixels, job.validation), Decision(), job.data.task)
    weight, size = each.weight, graph.stat().st_size
    if network.mirror != each.mirror or abs(size - weight.size_bytes) > 0.02 * weight.size_bytes:
        weight = weigh(graph, job.choice.geometry, job.data.task, timed_files(job.data))
    # More time would change nothing: all images were learnt from, and no deadline shortened the schedule.
    complete = len(job.train) == len(each.job.train) and not learned.settings.get("refits")
    return Judged(seen=_outcomes(job, job.validation, said), weight=weight, complete=complete)


def timed_files(data: Dataset) -> list[Path]:
    """A few of the images, evenly spread, by which all candidates are timed."""
    return [data.path(int(row)) for row in evenly_spread(np.arange(len(data)), TIMED_IMAGES)]


def affordable_rows(each: Entrant, share_s: float) -> Rows:
    """The training rows that can be embedded in time; a network from scratch takes all, and stops when time is up."""
    train, choice = each.job.train, each.job.choice
    if each.tunes and not pretrained(each.job.recipe, choice.row):
        return train
    # torch takes about half as long again as the exported graph, and there is more to do than to embed.
    most = int(share_s * (0.15 if each.tunes else 0.4) / (each.weight.latency_ms[0] / 1000))
    fewest = 20 * len(each.job.data.classes)
    return np.sort(evenly(each.job.data, train, each.job.recipe.seed)[: max(most, fewest)])


def shared_images(each: Entrant, count: int) -> Rows:
    """The validation rows that all candidates answer."""
    return evenly(each.job.data, each.job.validation, each.job.recipe.seed)[:count]


def evenly(data: Dataset, rows: Rows, seed: int) -> Rows:
    """The rows in an order whose every beginning holds the classes in about their shares (several labels: drawn)."""
    drawn = np.random.default_rng(seed).permutation(rows)
    if data.task != "single":
        return drawn
    targets, place = data.targets[drawn], np.empty(len(drawn))
    for label in np.unique(targets):
        of = np.flatnonzero(targets == label)
        place[of] = (np.arange(len(of)) + 0.5) / len(of)
    return drawn[np.argsort(place, kind="stable")]


def _outcomes(job: Job, rows: Rows, said: NDArray[np.float64]) -> Outcomes:
    return outcomes(job.data.targets[rows], said, task=job.data.task)
