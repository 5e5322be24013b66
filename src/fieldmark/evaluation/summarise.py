"""Targets and probabilities in, every figure out. Pure: opens no file, runs no graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Task
from fieldmark.data.listing import shown
from fieldmark.errors import DataError
from fieldmark.evaluation.cases import hits, mistakes
from fieldmark.evaluation.evaluation import ClassFigures, Evaluation, Part, ReliabilityBin
from fieldmark.measures.estimating import Estimates, estimate_all
from fieldmark.measures.intervals import proportion
from fieldmark.measures.outcomes import Outcomes, outcomes
from fieldmark.measures.scores import EDGES, ece_of_a_perfect_model, in_bin, stated
from fieldmark.measures.weighted import once

Counts = NDArray[np.int64]


def summarise(
    targets: NDArray[Any],
    probabilities: NDArray[Any],
    *,
    task: Task,
    classes: tuple[str, ...],
    thresholds: Sequence[float] | NDArray[np.float64] | None = None,
    files: Sequence[str],
    part: Part,
    seed: int = 0,
    skipped: tuple[tuple[str, str], ...] = (),
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Everything there is to say of N images.

    `targets` int64 [N] (single) or 0, 1 or UNKNOWN [N, C] (multi); `probabilities` [N, C] in the order of `classes`,
    calibrated; `thresholds` multi only, one a class or [N, C], 0.5 unless given; `files` N names; `seed` draws the
    bootstrap's resamples.
    DataError where N is 0; ValueError where shapes disagree.
    """
    if not len(targets):
        do = "check that the part of the data that is measured holds images that can be read"
        raise DataError("there are no images to measure", where=f"part {part!r}", do=do)
    seen = outcomes(targets, probabilities, task=task, thresholds=thresholds)
    if seen.classes != len(classes) or len(seen) != len(files):
        raise ValueError(f"{len(seen)} x {seen.classes} probabilities, {len(files)} files, {len(classes)} classes")
    estimates = estimate_all(seen, seed=seed)
    confusion, truly, answered = _confusion(seen)
    absent = tuple(name for name, n in zip(classes, truly) if not n)
    return Evaluation(
        task=task,
        part=part,
        n=len(seen),
        classes=classes,
        absent=absent,
        figures=estimates.overall | {"ece_of_a_perfect_model": ece_of_a_perfect_model(seen, seed=seed)},
        per_class=_per_class(classes, truly, answered, estimates),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=_reliability(seen),
        mistakes=mistakes(seen, classes, files),
        hits=hits(seen, classes, files),
        skipped=skipped,
        notes=(*notes, *_unknown(seen), *_remarks(classes, truly, answered, estimates.resamples, seed)),
    )


def _confusion(seen: Outcomes) -> tuple[Counts, Counts, Counts]:
    """([truth][answer] or per class (tn, fp, fn, tp), images truly of each class, images said to be)."""
    of = once(seen)
    truly, answered, rightly = (counts[:, 0].astype(np.int64) for counts in (of.truly, of.answered, of.rightly))
    if seen.task == "multi":
        judged = np.broadcast_to(of.judged[:, 0].astype(np.int64), truly.shape)
        either = truly + answered - rightly
        return np.stack([judged - either, answered - rightly, truly - rightly, rightly], 1), truly, answered
    cells = np.bincount(seen.targets * seen.classes + seen.answers, minlength=seen.classes**2)
    return cells.reshape(seen.classes, seen.classes), truly, answered


def _per_class(
    classes: tuple[str, ...], truly: Counts, answered: Counts, estimates: Estimates
) -> tuple[ClassFigures, ...]:
    return tuple(
        ClassFigures(
            name=name,
            n=int(truly[at]),
            predicted=int(answered[at]),
            figures={figure: of_each[at] for figure, of_each in estimates.per_class.items()},
        )
        for at, name in enumerate(classes)
    )


def _reliability(seen: Outcomes) -> tuple[ReliabilityBin, ...]:
    """The bins that hold a probability; n of `came_true` counts images (single) or image x class pairs (multi)."""
    said, true, known = stated(seen)
    said, true = said[known], true[known]
    bins = in_bin(said)
    return tuple(
        ReliabilityBin(
            low=float(EDGES[at]),
            high=float(EDGES[at + 1]),
            said=float(said[bins == at].mean()),
            came_true=proportion(int(true[bins == at].sum()), int((bins == at).sum())),
        )
        for at in np.unique(bins).tolist()
    )


def _unknown(seen: Outcomes) -> tuple[str, ...]:
    if seen.known is None:
        return ()
    share = 1 - seen.known.mean()
    return (f"nobody looked for {share:.0%} of the labels (image by image); they count neither for nor against it",)


def _remarks(classes: tuple[str, ...], truly: Counts, answered: Counts, resamples: int, seed: int) -> tuple[str, ...]:
    remarks = [
        f"intervals are 95 %: Wilson's for proportions, for the rest the bootstrap's ({resamples:,} resamples of "
        f"the images, seed {seed})"
    ]
    if absent := [name for name, n in zip(classes, truly) if not n]:
        remarks.append(f"no image here has these classes, so no average counts them: {shown(absent)}")
    if unsaid := [name for name, n, said in zip(classes, truly, answered) if n and not said]:
        remarks.append(f"never predicted, so 0 in macro precision and macro F1: {shown(unsaid)}")
    return tuple(remarks)
