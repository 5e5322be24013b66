"""Every measure that fits, each with its interval, from one set of resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldmark.data.dataset import Task
from fieldmark.measures.estimate import Estimate
from fieldmark.measures.intervals import bootstrapped, proportion, resamples, resamples_for
from fieldmark.measures.outcomes import Floats, Outcomes
from fieldmark.measures.row import Measure
from fieldmark.measures.table import MEASURES
from fieldmark.measures.weighted import Weighted, once


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """`overall` by the row's name; `per_class` by the row's name, one estimate a class in the order of classes;
    `resamples` is how many draws stand behind each bootstrap interval."""

    overall: dict[str, Estimate]
    per_class: dict[str, tuple[Estimate, ...]]
    resamples: int


def fitting(task: Task, classes: int) -> tuple[Measure, ...]:
    """The rows that say something of this task with this many classes, in the table's order."""
    rows = (MEASURES[name] for name in MEASURES)
    return tuple(row for row in rows if task in row.tasks and classes > row.more_classes_than)


def estimate_all(outcomes: Outcomes, *, seed: int = 0) -> Estimates:
    """Every fitting row with its 95 % interval. The same seed gives the same intervals."""
    rows = fitting(outcomes.task, outcomes.classes)
    count = resamples_for(len(outcomes), outcomes.classes)
    draws = _draws(tuple(row for row in rows if row.interval == "bootstrap"), outcomes, count, seed)
    whole = once(outcomes)
    made = {row.name: _estimates(row, whole, draws.get(row.name)) for row in rows}
    return Estimates(
        overall={row.name: made[row.name][0] for row in rows if row.scope == "all"},
        per_class={row.name: made[row.name] for row in rows if row.scope == "class"},
        resamples=count,
    )


def _draws(rows: tuple[Measure, ...], outcomes: Outcomes, count: int, seed: int) -> dict[str, Floats]:
    """Each row's figure in every resample, float64 [1 or C, count]."""
    blocks: dict[str, list[Floats]] = {row.name: [] for row in rows}
    for times in resamples(len(outcomes), count, seed=seed):
        of = Weighted(outcomes=outcomes, times=times)
        for row in rows:
            blocks[row.name].append(np.atleast_2d(row.function(of)))
    return {name: np.concatenate(parts, axis=1) for name, parts in blocks.items()}


def _estimates(row: Measure, whole: Weighted, draws: Floats | None) -> tuple[Estimate, ...]:
    values: list[float] = np.atleast_2d(row.function(whole))[:, 0].tolist()
    counts: list[float] = np.broadcast_to(row.count(whole).reshape(-1), len(values)).tolist()
    if draws is None:
        return tuple(proportion(v * n if n else 0.0, round(n), why=row.undefined) for v, n in zip(values, counts))
    return tuple(
        bootstrapped(v, drawn, round(n), within=row.range, why=row.undefined)
        for v, n, drawn in zip(values, counts, draws)
    )
