"""The images worth looking at: the most confident mistakes and the least certain hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.evaluation import Case
from fieldmark.measures.labels import wrong_pairs
from fieldmark.measures.outcomes import Floats, Outcomes

MOST_CASES = 24


def mistakes(seen: Outcomes, classes: tuple[str, ...], files: Sequence[str]) -> tuple[Case, ...]:
    """Images answered wrongly, most confident first (multi: by the wrong label whose probability is furthest off)."""
    wrong, doubt, label = _doubt(seen)
    rows = np.flatnonzero(wrong)
    confidence = doubt if seen.task == "multi" else 1 - doubt
    return _cases(seen, rows[np.argsort(-confidence[rows], kind="stable")], label, classes, files)


def hits(seen: Outcomes, classes: tuple[str, ...], files: Sequence[str]) -> tuple[Case, ...]:
    """Images answered rightly (multi: in every label), least certain first."""
    wrong, doubt, label = _doubt(seen)
    rows = np.flatnonzero(~wrong)
    return _cases(seen, rows[np.argsort(-doubt[rows], kind="stable")], label, classes, files)


def _doubt(seen: Outcomes) -> tuple[NDArray[np.bool_], Floats, NDArray[Any]]:
    """Per image: answered wrongly?; how far the probability of one label is from certainty; which label that is.

    single: the answer's, from 1. multi: of the wrong labels, or of all where none is wrong, the one furthest from
    the truth.
    """
    if seen.task == "single":
        said = np.take_along_axis(seen.probabilities, seen.answers[:, None], axis=1)[:, 0]
        return seen.answers != seen.targets, 1 - said, seen.answers
    differs = wrong_pairs(seen)
    wrong = np.asarray(differs.any(axis=1))
    # With thresholds other than 0.5 a right label may be further from the truth than a wrong one.
    counts = differs | ~wrong[:, None] if seen.known is None else differs | (~wrong[:, None] & seen.known)
    off = np.where(counts, np.abs(seen.probabilities - seen.targets), -1.0)
    return wrong, off.max(axis=1), off.argmax(axis=1)


def _cases(
    seen: Outcomes, rows: NDArray[np.int64], label: NDArray[Any], classes: tuple[str, ...], files: Sequence[str]
) -> tuple[Case, ...]:
    return tuple(
        Case(
            file=str(files[row]),
            truth=_names(seen.targets[row], classes),
            answer=_names(seen.answers[row], classes),
            probability=float(seen.probabilities[row, label[row]]),
            label=classes[label[row]] if seen.task == "multi" else "",
        )
        for row in rows[:MOST_CASES].tolist()
    )


def _names(labels: Any, classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(classes[at] for at in np.flatnonzero(labels)) if np.ndim(labels) else (classes[int(labels)],)
