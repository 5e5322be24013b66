"""AUROC and average precision of every class, for many resamples at once.

A resample changes how often an image counts, never the order of the scores, so each class is sorted once. Both
figures depend on the images between two positives only through their number: they are summed in one go, which
leaves about two cells a positive, whatever N is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldmark.measures.outcomes import Floats, Outcomes


def ranking(outcomes: Outcomes, times: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision, one class against the rest: float64 [C, B] each.

    `times` float64 [N, B] is how often each image counts. Tied scores count half in the area (Hanley & McNeil
    1982); average precision is the sum over distinct scores of precision x gain in recall, without
    interpolation, as in scikit-learn. NaN where undefined.
    """
    shape = (outcomes.classes, times.shape[1])
    auroc, average_precision = np.full(shape, np.nan), np.full(shape, np.nan)
    images = times.sum(axis=0)
    for index in range(outcomes.classes):
        has, score = outcomes.has(index), outcomes.probabilities[:, index]
        if not has.any():
            continue
        if outcomes.known is None:
            auroc[index], average_precision[index] = _one_class(has, score, times, images)
        else:
            rows = outcomes.known[:, index]
            drawn = times[rows]
            auroc[index], average_precision[index] = _one_class(has[rows], score[rows], drawn, drawn.sum(axis=0))
    return auroc, average_precision


def _one_class(has: NDArray[np.bool_], score: Floats, times: Floats, images: Floats) -> tuple[Floats, Floats]:
    # Images that score below every positive matter by their number alone: they are not even sorted.
    rows = np.flatnonzero(score >= score[has].min())
    rows = rows[np.argsort(-score[rows], kind="stable")]
    score, has = score[rows], has[rows]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])  # of the runs of equal scores
    run = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(rows)]))
    holds, first = np.unique(run[has], return_index=True)  # runs with a positive in them
    after = holds[holds + 1 < len(starts)] + 1
    edges = np.unique(np.r_[0, starts[holds], starts[after]])
    cells = np.add.reduceat(times[rows], edges, axis=0)  # [cells, B]
    at = np.searchsorted(edges, starts[holds])
    positive = np.add.reduceat(times[rows[has]], first, axis=0)  # [runs with a positive, B]
    return _figures(positive, cells[at], np.cumsum(cells, axis=0)[at], images)


def _figures(positive: Floats, run: Floats, reached: Floats, images: Floats) -> tuple[Floats, Floats]:
    """Best run first, [R, B] each: positives in a run, images in it, images down to and with it."""
    found = np.cumsum(positive, axis=0)
    positives, negatives = found[-1], images - found[-1]
    below = negatives - (reached - found)
    won = (positive * (below + 0.5 * (run - positive))).sum(axis=0)
    precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
    pairs = positives * negatives
    gained = (positive * precision).sum(axis=0)
    undefined = np.full_like(positives, np.nan)
    return (
        np.divide(won, pairs, out=undefined.copy(), where=pairs > 0),
        np.divide(gained, positives, out=undefined, where=positives > 0),
    )
