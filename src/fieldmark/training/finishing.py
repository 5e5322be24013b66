"""The winner of the rounds is trained with what is left of the budget, and compared with what it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.errors import OutputError
from fieldmark.measures.paired import difference
from fieldmark.measures.table import MEASURES
from fieldmark.report.wording import duration
from fieldmark.training import checkpoint, journal
from fieldmark.training.admitting import in_words
from fieldmark.training.attending import FAULTS, Entrant, Result, fault_in_words, judge, shared_images
from fieldmark.training.job import Job, Learned
from fieldmark.training.preferring import Standing, points
from fieldmark.training.race import Race
from fieldmark.training.run import LEARN
from fieldmark.training.weighing import Limits

NO_LONGER_S = 10.0  # a final training shorter than this is not begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What is shipped, and in words how it came to be."""

    job: Job
    learned: Learned
    words: str


def finish(
    winner: Standing,
    entrants: Sequence[Entrant],
    race: Race,
    score_name: str,
    limits: Limits,
    ends: float,
    run_folder: Path,
) -> Finished:
    """Train the winner with what is left, or ship it as it is where there is nothing left to learn or no time."""
    by_name = {each.name: each for each in entrants}
    result = race.results[winner.name]
    runner = _most_promising(by_name[winner.name], race, entrants)
    so_far = None
    if result.learned is not None:
        so_far = Finished(
            job=replace(by_name[winner.name].job, train=result.train),
            learned=result.learned,
            words="it had learnt all it could",
        )
    done = result.judged.complete and runner.name == winner.name
    left_s = ends - time.monotonic()
    if so_far is not None and (done or left_s < NO_LONGER_S):
        return so_far if done else replace(so_far, words="no time was left to train it further")
    place = run_folder / f"final-{journal.slug(runner.name)}"
    place.mkdir(exist_ok=True)
    job = replace(
        runner.job, run_folder=place, resume=checkpoint.exists(place), deadline=_last_moment(runner, result, ends)
    )
    began = time.monotonic()
    try:
        learned = LEARN[job.choice.method](job)
        worse = _worse(runner, job, learned, result, score_name, limits, place)
    except OutputError:
        raise
    except FAULTS as fault:
        if so_far is None:
            raise
        return replace(so_far, words=f"training it further failed ({fault_in_words(fault)}), so it ships as it was")
    if worse and so_far is not None:
        return replace(so_far, words=worse)
    how = "fine-tuned" if runner.name != winner.name else "trained on" if runner.tunes else "fitted to all images"
    took = duration(time.monotonic() - began)
    return Finished(job=job, learned=learned, words=f"{how} with the rest of the budget, {took}")


def _most_promising(winner: Entrant, race: Race, entrants: Sequence[Entrant]) -> Entrant:
    """The winner; or, where it is a probe, its network fine-tuned, if that is still in: it answers as quickly, and
    has more to learn."""
    return next((each for each in race.still_in(entrants) if each.after == winner.name), winner)


def _last_moment(runner: Entrant, result: Result, ends: float) -> float:
    """When learning must be over, so that it can be compared with what is there; the loop itself keeps time for the
    answers that calibrate and test, a probe does not."""
    answers = len(result.judged.seen)
    if not runner.tunes:
        answers += len(runner.job.validation) + len(runner.job.test)
    return ends - answers * runner.weight.latency_ms[0] / 1000 - 3.0


def _worse(
    runner: Entrant, job: Job, learned: Learned, result: Result, score_name: str, limits: Limits, place: Path
) -> str:
    """Why what was learnt last is not what ships, in words; "" where it does."""
    shared = replace(job, validation=shared_images(runner, len(result.judged.seen)))
    judged = judge(runner, shared, learned, place)
    if limits.excess(judged.weight) > 1:
        return f"trained further it came to {in_words(judged.weight)}, over a limit, so it ships as it was"
    gap = difference(MEASURES[score_name], result.judged.seen, judged.seen)
    if gap.value is not None and gap.value > 0:
        return f"trained further it did worse by {points(gap)}, so it ships as it was"
    return ""
