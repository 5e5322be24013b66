"""The combination and its members, each as it ships, on the same test images."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Dataset
from fieldmark.evaluation.evaluate import ask, judge, targets_by_name
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.inference.classifier import Classifier
from fieldmark.inference.prediction import Failure
from fieldmark.inference.timing import latency_ms
from fieldmark.measures.estimating import estimate_all
from fieldmark.measures.intervals import proportion
from fieldmark.measures.outcomes import Floats, Outcomes, outcomes
from fieldmark.measures.paired import difference
from fieldmark.measures.table import HEADLINE, MEASURES
from fieldmark.progress import Progress, about
from fieldmark.report.comparison import Beside, Comparison

TIMED_IMAGES = 200  # at most: a cascade takes longer for some images than for others


def compare(
    whole: Classifier,
    members: Mapping[str, Classifier],
    test: Dataset,
    needed: NDArray[np.bool_],
    progress: Progress,
) -> tuple[Evaluation, Comparison]:
    """The whole, measured, and beside its members; `needed` bool [M, K]: which of them it shows each readable image
    to. Every classifier reads the files through its own geometry."""
    everyone = {whole.bundle.manifest.name: whole, **members}
    asked = [ask(each, test, about(progress, name)) for name, each in everyone.items()]
    evaluation = judge(whole.bundle.manifest, test, *asked[0], part="test")
    rows, seen = _same_images([*everyone.values()], asked, test)
    measure = HEADLINE[test.task]
    spread = np.linspace(0, len(rows) - 1, min(len(rows), TIMED_IMAGES)).astype(np.int64)
    timed: list[Path] = [test.path(row) for row in rows[spread]]
    shown = (np.ones(needed.shape[1], dtype=bool), *needed)
    compared = tuple(
        Beside(
            name=name,
            figure=estimate_all(outcome).overall[measure],
            difference=difference(MEASURES[measure], seen[0], outcome) if classifier is not whole else None,
            needed=proportion(int(shown[at].sum()), len(shown[at])),
            latency_ms=latency_ms(classifier, timed, repeats=TIMED_IMAGES, percentiles=(50, 99)),
            size_bytes=classifier.bundle.graph.stat().st_size,
        )
        for at, ((name, classifier), outcome) in enumerate(zip(everyone.items(), seen))
    )
    return evaluation, Comparison(measure=measure, rows=compared)


def _same_images(
    classifiers: Sequence[Classifier], asked: Sequence[tuple[Floats, dict[int, Failure]]], test: Dataset
) -> tuple[NDArray[np.int64], list[Outcomes]]:
    """The rows that all could read, and what each said of those, in the classes of the first."""
    rows = _left(test, {row for _, failures in asked for row in failures})
    first = classifiers[0].bundle.manifest
    targets = targets_by_name(test, first)[0][rows]
    seen = []
    for classifier, (said, failures) in zip(classifiers, asked):
        manifest = classifier.bundle.manifest
        order = [manifest.classes.index(name) for name in first.classes]
        thresholds = manifest.decision.thresholds
        seen.append(
            outcomes(
                targets,
                said[np.isin(_left(test, failures), rows)][:, order],
                task=manifest.task,
                thresholds=thresholds and [thresholds[at] for at in order],
            )
        )
    return rows, seen


def _left(test: Dataset, failed: Container[int]) -> NDArray[np.int64]:
    return np.array([row for row in range(len(test)) if row not in failed], dtype=np.int64)
