"""Measures of the decision alone: which labels were given. [B] for all classes together, [C, B] for each.

Macro averages are over the classes that are present in the truth. There, a class that was never predicted has
precision 0 and F1 0 (as scikit-learn's zero_division=0); on its own, its precision is undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.measures.outcomes import Floats, Outcomes
from fieldmark.measures.weighted import Weighted


def accuracy(of: Weighted) -> Floats:
    true, said = of.outcomes.targets, of.outcomes.answers
    if of.outcomes.task == "single":
        return of.mean(true == said)
    return of.mean(~np.asarray(wrong_pairs(of.outcomes).any(axis=1)))


def top(k: int, of: Weighted) -> Floats:
    return of.mean(_rank_of_truth(of.outcomes) < k)


def hamming_loss(of: Weighted) -> Floats:
    return of.mean_of_pairs(of.outcomes.targets != of.outcomes.answers)


def precision(of: Weighted) -> Floats:
    return _ratio(of.rightly, of.answered)


def recall(of: Weighted) -> Floats:
    return _ratio(of.rightly, of.truly)


def f1(of: Weighted) -> Floats:
    return _ratio(2 * of.rightly, of.truly + of.answered)


def macro_precision(of: Weighted) -> Floats:
    return mean_over(np.nan_to_num(precision(of)), of.truly > 0)


def macro_recall(of: Weighted) -> Floats:
    return mean_over(recall(of), of.truly > 0)


def macro_f1(of: Weighted) -> Floats:
    return mean_over(f1(of), of.truly > 0)


def micro_precision(of: Weighted) -> Floats:
    return _ratio(of.rightly.sum(axis=0), of.answered.sum(axis=0))


def micro_recall(of: Weighted) -> Floats:
    return _ratio(of.rightly.sum(axis=0), of.truly.sum(axis=0))


def micro_f1(of: Weighted) -> Floats:
    return _ratio(2 * of.rightly.sum(axis=0), (of.truly + of.answered).sum(axis=0))


def weighted_precision(of: Weighted) -> Floats:
    return _by_size(precision(of), of)


def weighted_recall(of: Weighted) -> Floats:
    return _by_size(recall(of), of)


def weighted_f1(of: Weighted) -> Floats:
    return _by_size(f1(of), of)


def mean_over(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """float64 [B]: the mean of [C, B] over the classes that count; NaN where none does."""
    return _ratio(np.where(where, values, 0.0).sum(axis=0), where.sum(axis=0))


def wrong_pairs(outcomes: Outcomes) -> NDArray[np.bool_]:
    """bool [N, C]: multi, the labels that were decided wrongly, as far as is known."""
    differs = np.asarray(outcomes.targets != outcomes.answers)
    return differs if outcomes.known is None else differs & outcomes.known


def _by_size(values: Floats, of: Weighted) -> Floats:
    return _ratio((np.nan_to_num(values) * of.truly).sum(axis=0), of.truly.sum(axis=0))


def _ratio(part: Floats, whole: NDArray[Any]) -> Floats:
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _rank_of_truth(outcomes: Outcomes) -> NDArray[np.int64]:
    """int64 [N]: how many classes were ranked above the true one; of equals the first leads, as in argmax."""
    own = np.take_along_axis(outcomes.probabilities, outcomes.targets[:, None], axis=1)
    before = np.arange(outcomes.classes) < outcomes.targets[:, None]
    above = (outcomes.probabilities > own) | ((outcomes.probabilities == own) & before)
    return np.asarray(above.sum(axis=1))
