"""Proof that a form answers as the float32 graph does, from encoded bytes to answers, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldmark.bundle.schema import Proof
from fieldmark.conversion.exported import FEWEST_AGREE, MOST_LOST, in_points
from fieldmark.conversion.row import Precision
from fieldmark.data.dataset import Dataset
from fieldmark.evaluation.evaluate import ask, targets_by_name
from fieldmark.exporters.agreeing import answers, margins
from fieldmark.exporters.parity import TIE
from fieldmark.inference.classifier import Classifier
from fieldmark.measures.outcomes import Floats, outcomes
from fieldmark.measures.paired import difference
from fieldmark.measures.table import HEADLINE, MEASURES
from fieldmark.progress import Progress


def prove(said: Floats, expected: Floats, classifiers: Sequence[Classifier], data: Dataset, images: str) -> Proof:
    """What a form `said` of the readable images in `data`, [N, C], beside what was `expected`; `classifiers` are the
    form and the float32 graph, each with a decision of its own."""
    form, reference = (each.bundle.manifest for each in classifiers)
    task = reference.task
    same = answers(said, task, form.decision) == answers(expected, task, reference.decision)
    tied = margins(expected, task, reference.decision) <= TIE
    measure = HEADLINE[task]
    targets = targets_by_name(data, reference)[0]
    seen = [
        outcomes(targets, each, task=task, thresholds=manifest.decision.thresholds)
        for each, manifest in ((expected, reference), (said, form))
    ]
    drop = difference(MEASURES[measure], *seen)
    return Proof(
        images=images,
        n=len(said),
        agreement=float((same | tied).mean()),
        ties=int(tied.sum()),
        largest_gap=float(np.abs(said - expected).max()),
        measure=measure,
        drop=drop.value,
        drop_low=drop.low,
        drop_high=drop.high,
    )


def readable(classifier: Classifier, data: Dataset, progress: Progress) -> tuple[Dataset, Floats]:
    """The images that can be read, and what is said of them, [N, C]."""
    said, failed = ask(classifier, data, progress)
    return data.rows(np.array([row for row in range(len(data)) if row not in failed], dtype=np.int64)), said


def why_not(proof: Proof, precision: Precision) -> str:
    """In words, which bound a form of this precision breaks; "" where it keeps them."""
    fewest = 1.0 if precision == "float32" else FEWEST_AGREE
    if proof.agreement < fewest:
        return f"{proof.agreement:.2%} of {proof.n} answers are the same, and {fewest:.1%} must be"
    if proof.drop is not None and proof.drop > MOST_LOST:
        lost = in_points(proof)
        return f"{proof.measure} falls by {lost} points, n {proof.n}, and may fall by {100 * MOST_LOST:g}"
    return ""
