"""Whether two sets of probabilities give the same answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Decision
from fieldmark.data.dataset import Task
from fieldmark.inference.deciding import DEFAULT_THRESHOLD
from fieldmark.measures.outcomes import Floats


def answers(said: Floats, task: Task, decision: Decision) -> NDArray[np.int64]:
    """Probabilities [N, C] -> int64 [N, 1], the class; or of several labels int64 [N, C], which of them it has."""
    if task == "single":
        return np.asarray(said.argmax(axis=1)[:, None])
    thresholds = decision.thresholds or (DEFAULT_THRESHOLD,) * said.shape[1]
    return (said >= np.asarray(thresholds)).astype(np.int64)


def margins(said: Floats, task: Task, decision: Decision) -> Floats:
    """How far each of the `answers` is from being another one, as a difference of probabilities; the same shape."""
    if task == "single":
        second, best = np.partition(said, -2, axis=1)[:, -2:].T
        return np.asarray(best - second)[:, None]
    thresholds = decision.thresholds or (DEFAULT_THRESHOLD,) * said.shape[1]
    return np.asarray(np.abs(said - np.asarray(thresholds)))
