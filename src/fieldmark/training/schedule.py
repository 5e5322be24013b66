"""How the learning rate rises and falls, and how its length is fitted to a wall clock.

A schedule is walked by its position in 0..1. With `refits` the pace changes on the way: from each (step, total) on,
what is left of the schedule is spread over the steps that are left: the rate never jumps, and always reaches nought.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from fieldmark.table import Table

Refits = tuple[tuple[int, int], ...]
RELIEF_SHARE = 0.05  # of the steps that are left: so many tell that the speed is another


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`rise` and `fall` give the share of the peak rate at 0..1 of their own part of the schedule; the fall ends at
    nought. `warmup` is the share of the schedule in which the rate rises, where nothing else is said."""

    name: str
    summary: str
    reference: str
    warmup: float
    rise: Callable[[float], float]
    fall: Callable[[float], float]


def _half_cosine(walked: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * walked))


ROWS = (
    Shape(
        name="cosine",
        summary="a straight rise, then half a cosine; the default",
        reference="Loshchilov and Hutter 2017, SGDR; the rise: Goyal et al. 2017",
        warmup=0.1,
        rise=lambda walked: walked,
        fall=_half_cosine,
    ),
    Shape(
        name="triangle",
        summary="a straight rise and a straight fall",
        reference="Smith 2017, Cyclical learning rates; the share of the rise: Jordan 2024, airbench94",
        warmup=0.23,
        rise=lambda walked: walked,
        fall=lambda walked: 1.0 - walked,
    ),
    Shape(
        name="one-cycle",
        summary="half a cosine up from a 25th of the peak, half a cosine down; for high peaks",
        reference="Smith and Topin 2018, Super-convergence; cosines and shares as in fastai",
        warmup=0.3,
        rise=lambda walked: 1.0 - (1.0 - 1.0 / 25.0) * _half_cosine(walked),
        fall=_half_cosine,
    ),
)
SCHEDULES: Table[Shape] = Table.rows("schedule", ROWS)


def rate(position: float, warmup: float, schedule: str) -> float:
    """Share of the peak rate at `position` in 0..1: a rise over `warmup`, then a fall to 0."""
    shape = SCHEDULES[schedule]
    if position < warmup:
        return shape.rise(position / warmup)
    return shape.fall((position - warmup) / max(1.0 - warmup, 1e-9))


def position(step: int, refits: Refits) -> float:
    """Where in 0..1 the middle of `step` lies; `refits` begins with (0, total steps)."""
    begun = [(start, total) for start, total in refits if start <= step]
    ends = [*(start for start, _ in begun[1:]), step + 0.5]
    reached = 0.0
    for (start, total), end in zip(begun, ends):
        reached += (1.0 - reached) * min(1.0, (end - start) / max(1, total - start))
    return reached


class Pace:
    """The speed of late, and what it allows before `deadline` (seconds of `time.monotonic`). The clock starts with
    the end of the first step: that one makes ready what all others use, and may take as long as twenty of them."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.since, self.step, self.step_s = 0.0, -1, 0.0

    def begin(self, step: int) -> None:
        """Steps are timed from here, where `step` are done."""
        self.since, self.step = time.monotonic(), step

    def measure(self, step: int, planned: int) -> bool:
        """Called after each step of the `planned`; True where the speed was measured anew: every five seconds, and
        more often in the end, so that an error then is a small share of what is left. Where other work has slowed
        steps down, few are planned, and those may be over before that once it has gone: so steps that take less than
        half of what was reckoned are heard of at once."""
        done = step - self.step
        if self.step < 0 or done <= 0:  # steps were undone: what they took says nothing of those to come
            self.begin(step)
            return False
        now, first = time.monotonic(), self.step_s == 0.0
        took_s = now - self.since
        relieved = took_s < 0.5 * done * self.step_s and done >= RELIEF_SHARE * (planned - self.step)
        if 0.0 < took_s < min(5.0, 0.1 * (self.deadline - now)) and not relieved:
            return False
        newest_s = took_s / done
        self.step_s = newest_s if first or relieved else 0.5 * (self.step_s + newest_s)
        self.since, self.step = now, step
        return True

    def affordable(self, step: int, *, scoring_s: float, per_epoch: int, after_s: float) -> int:
        """Total steps that fit with a scoring after each epoch, and `after_s` when all are done; 3 % of the time is
        kept back."""
        left_s = (self.deadline - time.monotonic() - scoring_s - after_s) * 0.97
        return step + max(0, int(left_s / (self.step_s + scoring_s / per_epoch)))


def refit(refits: Refits, step: int, affordable: int, longest: int) -> Refits:
    """`refits` with one more entry where `affordable` total steps differ enough from what is planned.

    Too long is mended at once, too short only when it is worth it: speed is noisy, and every change is written down.
    """
    planned = refits[-1][1]
    total = min(longest, max(step, affordable))
    left, fits = planned - step, total - step
    return (*refits, (step, total)) if fits < 0.98 * left or fits > 1.08 * left else refits
