"""The public verb `choose`: which model, within the limits that were set, and why. It reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from fieldmark.bundle.layout import name_of
from fieldmark.bundle.writing import staged
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read
from fieldmark.data.splits import refuse_one_class
from fieldmark.errors import UsageError
from fieldmark.memory import keep_freed_memory
from fieldmark.progress import Progress, silent
from fieldmark.report.selection import Selection
from fieldmark.training.admitting import Admission, admit
from fieldmark.training.attending import Entrant
from fieldmark.training.contenders import Contender, named, spread
from fieldmark.training.finishing import finish
from fieldmark.training.job import Job, Learned
from fieldmark.training.preferring import preferred
from fieldmark.training.race import Race, run_race
from fieldmark.training.recipe import Recipe
from fieldmark.training.run import Trained, prepare, running
from fieldmark.training.shipping import Wishes, ship
from fieldmark.training.telling import selection
from fieldmark.training.weighing import Limits
from fieldmark.training.worlds import SLIGHTLY_UNEVEN, unevenness
from fieldmark.units import milliseconds, seconds, size_in_bytes

CONTEST_SHARE = 0.5  # of the time after reading: to find the best; the rest is for training it
WEIGHING_SHARE = 0.3  # of the budget, at most, to measure graphs


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked of `choose`. `latency` is of the median answer, `size` of the exported graph."""

    latency: str | None = None
    size: str | None = None
    budget: str = "20m"
    models: tuple[str, ...] = ()  # candidates by name; none: a spread of what is at hand
    seed: int = 0

    def limits(self) -> Limits:
        return Limits(
            latency_ms=milliseconds(self.latency, where="latency") if self.latency else None,
            size_bytes=size_in_bytes(self.size, where="size") if self.size else None,
        )

    def flags(self) -> dict[str, str]:
        """What differs from the defaults, and the budget."""
        given = {"latency": self.latency, "size": self.size, "budget": self.budget, "model": ",".join(self.models)}
        return {name: text for name, text in {**given, "seed": str(self.seed or "")}.items() if text}

    def recipe(self) -> Recipe:
        """What all candidates have in common: one split, so that all are judged on the same images."""
        return Recipe(folds=0, seed=self.seed, budget=self.budget)


def choose(
    data: Dataset | str | Path,
    *,
    out: str | Path | None = None,
    latency: str | None = None,
    size: str | None = None,
    budget: str = "20m",
    models: Sequence[str] = (),
    seed: int = 0,
    candidates: Sequence[Contender] = (),
    canaries: Literal["generated", "data"] = "generated",
    thumbnails: bool = True,
    resume: bool = False,
    begun: float | None = None,
    progress: Progress = silent,
) -> Trained:
    """Try candidates on `data`, drop the losers early, train the best with the rest of the budget, and write it to
    `out` as a bundle whose report shows them all.

    `latency` ("20ms": the median answer, from the file on) and `size` ("10MB": the exported graph) are limits, and
    come first: each candidate's graph is measured before anything is trained. Candidates are judged on the same
    validation images; of those that cannot be told from the best, the fastest is taken. The test part is seen once,
    by the model that ships. `budget` is for everything together. `models` names the models to try, `candidates`
    gives whole recipes (their folds, seed and budget are set here); with neither, it is a spread of what this
    machine has. `begun` is when the command began, in seconds of
    time.monotonic, where that was before this call. `resume` goes on with what an interrupted run left in `OUT.run/`;
    its budget begins anew.

    Raises UsageError where no candidate keeps to the limits or none could be trained; otherwise as `train` does.
    """
    begun = time.monotonic() if begun is None else begun
    wanted = Wanted(latency=latency, size=size, budget=budget, models=tuple(models), seed=seed)
    limits = wanted.limits()
    # "none" is refused: rounds are shares of a budget.
    weighing_ends = begun + WEIGHING_SHARE * seconds(wanted.budget, where="budget")
    keep_freed_memory()
    data = data if isinstance(data, Dataset) else read(data, progress=progress)
    refuse_one_class(data)
    out = Path(out) if out is not None else Path(data.root.resolve().name + ".fieldmark")
    contenders = _alike(candidates, wanted) or _contenders(wanted, data)
    wishes = Wishes(name=name_of(out), canaries=canaries, thumbnails=thumbnails)
    with staged(out) as folder, running(out, wanted, resume=resume) as run_folder:
        admissions = admit(contenders, limits, data, run_folder, ends=weighing_ends, progress=progress)
        entrants, ends = _enter(admissions, data, run_folder, begun, progress)
        job, learned, told = _select(admissions, entrants, wanted, limits, ends, run_folder, progress)
        report = ship(job, learned, folder, wishes, begun=begun, selection=told)
    return Trained(bundle=out, report=report)


def _select(
    admissions: Sequence[Admission],
    entrants: Sequence[Entrant],
    wanted: Wanted,
    limits: Limits,
    ends: float,
    run_folder: Path,
    progress: Progress,
) -> tuple[Job, Learned, Selection]:
    """What ships, and what is told of how it was chosen."""
    score_name = score_of(entrants[0].job)
    contest_ends = time.monotonic() + CONTEST_SHARE * (ends - time.monotonic())
    race = run_race(
        entrants,
        score_name,
        limits,
        ends=contest_ends,
        last=ends,
        folder=run_folder / "contest",
        progress=progress,
    )
    ranked = race.ranked(score_name)
    if not ranked:
        raise _none_trained(race, wanted.budget)
    winner = preferred(ranked)
    finished = finish(winner, entrants, race, score_name, limits, ends, run_folder)
    told = selection(
        admissions,
        race,
        score_name,
        winner,
        finished.words,
        limits,
        budget=wanted.budget,
        asked=wanted.flags(),
    )
    choice = finished.job.choice
    reasons = (f"model = {choice.model}: {told.reason}", *choice.reasons)
    job = replace(finished.job, choice=replace(choice, reasons=reasons), progress=progress)
    return job, finished.learned, told


def _contenders(wanted: Wanted, data: Dataset) -> tuple[Contender, ...]:
    return named(wanted.models, wanted.recipe()) if wanted.models else spread(data, wanted.recipe())


def _alike(candidates: Sequence[Contender], wanted: Wanted) -> tuple[Contender, ...]:
    common = wanted.recipe()
    return tuple(
        replace(
            each,
            recipe=msgspec.structs.replace(each.recipe, folds=common.folds, seed=common.seed, budget=common.budget),
        )
        for each in candidates
    )


def score_of(job: Job) -> str:
    """The measure that candidates are judged by: never plain accuracy where classes are uneven."""
    if job.data.task == "multi":
        return "map"
    return "accuracy" if unevenness(job) < SLIGHTLY_UNEVEN else "balanced_accuracy"


def _enter(
    admissions: Sequence[Admission], data: Dataset, run_folder: Path, begun: float, progress: Progress
) -> tuple[list[Entrant], float]:
    """Each admitted candidate with its pixels, which those of one geometry find in the cache; and when learning must
    be over."""
    entrants = []
    for each in admissions:
        if each.why or each.choice is None or each.weight is None:
            continue
        job = prepare(
            data,
            each.choice,
            each.contender.recipe,
            run_folder,
            begun=begun,
            resume=False,
            progress=progress,
        )
        name, after = each.contender.name, each.contender.after
        entrants.append(Entrant(name=name, after=after, job=job, weight=each.weight, mirror=each.mirror))
    # What exporting and timing took once it takes again in the end, and on a busy machine that is much more than a
    # budget keeps back by itself.
    ends = min(each.job.deadline for each in entrants if each.job.deadline is not None)
    return entrants, ends - max(each.seconds for each in admissions)


def _none_trained(race: Race, budget: str) -> UsageError:
    name, why = next(iter(race.failed.items()), ("", "the budget ended before one was trained"))
    return UsageError(
        "no candidate could be trained",
        where=f"{name}: {why}" if name else f"budget = {budget}: {why}",
        do="give a longer --budget, or name other candidates with --model",
    )
