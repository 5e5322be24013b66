"""What was true and what was said, side by side: all that a measure sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import UNKNOWN, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """N images, C classes.

    `targets`        single: int64 [N], index of the true class; multi: bool [N, C]
    `probabilities`  float64 [N, C], finite, in [0, 1]
    `answers`        the decision, shaped as `targets`
    `known`          multi: bool [N, C], where somebody looked; False counts nowhere, and is False in `targets`. None:
                     everywhere
    """

    task: Task
    targets: NDArray[Any]
    probabilities: Floats
    answers: NDArray[Any]
    known: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    def has(self, index: int) -> NDArray[np.bool_]:
        """bool [N]: which images truly have the class."""
        return np.asarray(self.targets == index if self.task == "single" else self.targets[:, index])


def outcomes(
    targets: NDArray[Any],
    probabilities: NDArray[Any],
    *,
    task: Task,
    thresholds: Sequence[float] | Floats | None = None,
) -> Outcomes:
    """Targets as in Dataset beside probabilities [N, C], with the decision taken: single, the most probable class
    (the first of equals); multi, each class whose probability reaches its threshold (one a class or
    [N, C]; 0.5 unless given).

    ValueError where the shapes disagree or a probability is not one.
    """
    said = np.asarray(probabilities, dtype=np.float64)
    _check(targets, said, task)
    if task == "single":
        true = np.asarray(targets, dtype=np.int64)
        return Outcomes(task=task, targets=true, probabilities=said, answers=said.argmax(axis=1))
    known = np.asarray(targets) != UNKNOWN
    limits = np.asarray([0.5] * said.shape[1] if thresholds is None else thresholds, dtype=np.float64)
    return Outcomes(
        task=task,
        targets=np.asarray(targets) > 0,
        probabilities=said,
        answers=said >= limits,
        known=None if known.all() else known,
    )


def _check(targets: NDArray[Any], said: Floats, task: Task) -> None:
    if said.ndim != 2 or not len(said) or not said.shape[1]:
        raise ValueError(f"probabilities must be [N, C] with N and C above zero, not {said.shape}")
    expected = said.shape[:1] if task == "single" else said.shape
    if np.shape(targets) != expected:
        raise ValueError(f"targets of a {task}-label task must be {expected}, not {np.shape(targets)}")
    if not (said.min() >= 0 and said.max() <= 1):  # false for NaN too
        raise ValueError("probabilities must lie between 0 and 1")
    if task == "single" and not (np.min(targets) >= 0 and np.max(targets) < said.shape[1]):
        raise ValueError(f"targets must lie between 0 and {said.shape[1] - 1}")
