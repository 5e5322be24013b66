"""Candidates judged in rounds, each round with fewer of them and more time for each: successive halving
(Jamieson and Talwalkar 2016, Non-stochastic best arm identification)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fieldmark.errors import OutOfTime, OutputError
from fieldmark.progress import Progress
from fieldmark.training import journal
from fieldmark.training.attending import FAULTS, Entrant, Result, attend, fault_in_words
from fieldmark.training.preferring import Standing, dropped, preferred, standings
from fieldmark.training.weighing import Limits

LEAST_SHARE_S = 6.0  # of a round for each candidate; less would only measure who starts quickest
MOST_ROUNDS = 3
MOST_JUDGED, FEWEST_JUDGED = 2_000, 200  # validation images that a round looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """What came of it: `results` of all that were judged; why each was `left` behind; those too `heavy` once trained;
    the error of each that `failed`."""

    results: Mapping[str, Result]
    left: Mapping[str, str]
    heavy: frozenset[str]
    failed: Mapping[str, str]

    def still_in(self, entrants: Sequence[Entrant]) -> list[Entrant]:
        gone = {*self.left, *self.failed, *self.heavy}
        return [each for each in entrants if each.name not in gone]

    def ranked(self, score_name: str) -> tuple[Standing, ...]:
        """All that can be chosen, best first; those dropped on the way too, as far as they came."""
        return standings({n: r.judged for n, r in self.results.items() if n not in self.heavy}, score_name)


def run_race(
    entrants: Sequence[Entrant],
    score_name: str,
    limits: Limits,
    *,
    ends: float,
    last: float,
    folder: Path,
    progress: Progress,
) -> Race:
    """Rounds until `ends` (seconds of time.monotonic), or until one candidate is left. Where the one that would then
    be chosen has nothing more to learn, the others may have the time until `last`, which was kept for training it.
    `folder` keeps the journal."""
    race = Race(results={}, left={}, heavy=frozenset(), failed={})
    seconds = ends - time.monotonic()
    course = journal.settled(
        folder, journal.Course(images=judged_images(entrants, seconds), rounds=rounds_for(len(entrants), seconds))
    )
    for number in itertools.count(1):
        alive = race.still_in(entrants)
        waiting = [each for each in alive if _wants_time(each, race, number, course.rounds)]
        if not waiting or (number > 1 and len(alive) < 2):
            break
        now = time.monotonic()
        round_ends = now + (ends - now) / max(1, course.rounds - number + 1)
        if number > course.rounds:
            round_ends = now + (last - now) / 2  # the other half is for training who wins then
            if round_ends - now < LEAST_SHARE_S or not _winner_is_complete(race, score_name):
                break
        judged_before = [race.results.get(each.name) for each in waiting]
        race = _one_round(race, waiting, number, course.images, round_ends, folder, progress)
        if number > course.rounds and all(
            race.results.get(each.name) is before for each, before in zip(waiting, judged_before)
        ):
            break  # nobody could use the time
        heavy = (name for name, result in race.results.items() if limits.excess(result.judged.weight) > 1)
        race = _without_losers(replace(race, heavy=frozenset(heavy)), entrants, score_name)
    return race


def _winner_is_complete(race: Race, score_name: str) -> bool:
    ranked = race.ranked(score_name)
    return bool(ranked) and preferred(ranked).complete


def _wants_time(each: Entrant, race: Race, number: int, rounds: int) -> bool:
    if each.after is not None and number == 1 and rounds > 1:
        return False  # what it starts from will show whether it is worth the time
    return each.name not in race.results or not race.results[each.name].judged.complete


def _without_losers(race: Race, entrants: Sequence[Entrant], score_name: str) -> Race:
    within = {each.name for each in race.still_in(entrants)}
    ranked = [each for each in race.ranked(score_name) if each.name in within]
    left = {**race.left, **dropped(ranked)}
    out = {*left, *race.failed, *race.heavy}
    untried = {
        each.name: f"not tried: {each.after} was out"
        for each in entrants
        if each.after in out and each.name not in race.results and each.name not in out
    }
    return replace(race, left={**left, **untried})


def rounds_for(candidates: int, seconds: float) -> int:
    """As many halvings as bring the candidates down to one, at most MOST_ROUNDS and none too short to tell."""
    halvings = max(1, (candidates - 1).bit_length())
    return max(1, min(halvings, MOST_ROUNDS, int(seconds / (LEAST_SHARE_S * max(1, candidates)))))


def judged_images(entrants: Sequence[Entrant], seconds: float) -> int:
    """How many validation images all candidates answer in each round: a tenth of the time, by the slowest."""
    have = len(entrants[0].job.validation)
    slowest_s = max(each.weight.latency_ms[0] for each in entrants) / 1000
    affordable = int(0.1 * seconds / (slowest_s * len(entrants) * MOST_ROUNDS))
    return min(have, MOST_JUDGED, max(FEWEST_JUDGED, affordable))


def _one_round(
    race: Race,
    waiting: Sequence[Entrant],
    number: int,
    images: int,
    ends: float,
    folder: Path,
    progress: Progress,
) -> Race:
    """Each of the `waiting` learns for its share of the time; the quickest first, so that what they do not need goes
    to the others."""
    results, left, failed = dict(race.results), dict(race.left), dict(race.failed)
    waiting = sorted(waiting, key=lambda each: (each.tunes, each.weight.latency_ms[0]))
    stage = f"round {number}"
    for place, each in enumerate(waiting):
        share_s = (ends - time.monotonic()) / (len(waiting) - place)
        if share_s < LEAST_SHARE_S / 4 and results:
            continue  # it stands as it stood; whoever was never judged had no time
        share_s = max(share_s, LEAST_SHARE_S / 4)  # one at least is judged, however late it is
        inside = partial(_inside, progress, stage, place, len(waiting), each.name)
        try:
            results[each.name] = attend(each, number, images, share_s, results.get(each.name), folder, inside)
        except OutputError:  # a full disk is everybody's trouble
            raise
        except OutOfTime:
            continue  # no failure: with more time it may do well
        except FAULTS as fault:
            # Whoever was judged before stands as it was then.
            which = left if each.name in results else failed
            which[each.name] = f"round {number}: {fault_in_words(fault)}"
    progress(stage, len(waiting), len(waiting))
    return replace(race, results=results, left=left, failed=failed)


def _inside(
    progress: Progress, stage: str, place: int, of: int, name: str, what: str, done: int, total: int, remark: str = ""
) -> None:
    progress(stage, place, of, f"{name}: {what} {done}/{total} {remark}".rstrip())
