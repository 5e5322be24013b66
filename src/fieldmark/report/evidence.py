"""What an evaluation points at: its strongest and weakest class, and what it takes for what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldmark.evaluation.evaluation import ClassFigures, Evaluation
from fieldmark.report.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """`count` of the `of` images that truly are `truth` were taken for `answer`."""

    truth: str
    answer: str
    count: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Yes-or-no answers for one label of a multi-label evaluation, in images; `unknown`: nobody looked for it."""

    name: str
    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int
    unknown: int


def judged(report: Report) -> Evaluation | None:
    """The figures that count: those of the held-out part, or validation's where nothing was held out."""
    return report.test or report.validation


def confusions(evaluation: Evaluation) -> list[Confusion]:
    """What was taken for what (single label), most frequent first; ties in the order of the classes."""
    if evaluation.task != "single" or not evaluation.confusion:
        return []
    counts = np.asarray(evaluation.confusion, dtype=np.int64)
    of = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    truths, answers = np.nonzero(counts)
    order = np.argsort(-counts[truths, answers], kind="stable")
    return [
        Confusion(
            truth=evaluation.classes[truth],
            answer=evaluation.classes[answer],
            count=int(counts[truth, answer]),
            of=int(of[truth]),
        )
        for truth, answer in zip(truths[order], answers[order])
    ]


def label_counts(evaluation: Evaluation) -> list[LabelCounts]:
    """Right and wrong per label (multi label), those with most wrong first."""
    if evaluation.task != "multi":
        return []
    counts = [
        LabelCounts(
            name=name,
            true_negative=tn,
            false_positive=fp,
            false_negative=fn,
            true_positive=tp,
            unknown=evaluation.n - (tn + fp + fn + tp),
        )
        for name, (tn, fp, fn, tp) in zip(evaluation.classes, evaluation.confusion)
    ]
    return sorted(counts, key=lambda label: -(label.false_positive + label.false_negative))


def worst_first(evaluation: Evaluation) -> list[ClassFigures]:
    """Classes by F1 (recall where there is no F1), worst first; those without a figure last."""
    return sorted(evaluation.per_class, key=lambda figures: (score(figures) is None, score(figures) or 0.0))


def weakest(evaluation: Evaluation) -> ClassFigures | None:
    """The class with the lowest score among those that the images have; None where all are alike."""
    scored = [figures for figures in worst_first(evaluation) if figures.n and score(figures) is not None]
    return scored[0] if scored and score(scored[0]) != score(scored[-1]) else None


def strongest(evaluation: Evaluation) -> ClassFigures | None:
    """The class that is surely good: the highest lower bound of its score. None where all are alike."""
    if weakest(evaluation) is None:
        return None
    scored = [figures for figures in evaluation.per_class if figures.n and score(figures) is not None]
    return max(scored, key=lambda figures: (_surely(figures), score(figures) or 0.0))


def score(figures: ClassFigures) -> float | None:
    """F1, or recall where F1 was not measured."""
    for name in ("f1", "recall"):
        if name in figures.figures:
            return figures.figures[name].value
    return None


def _surely(figures: ClassFigures) -> float:
    for name in ("f1", "recall"):
        if name in figures.figures:
            return figures.figures[name].low or 0.0
    return 0.0
