"""Outcomes in which each image counts a number of times.

A measure is one function of these. With every image counted once it gives the figure; with the counts of a
resample drawn with replacement it gives one draw of the bootstrap. So the interval can never belong to another
definition than the value. B resamples are computed at once; intermediate counts are shared between measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.measures.outcomes import Floats, Outcomes
from fieldmark.measures.ranking import ranking


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """`times` float64 [N, B], whole numbers: how often image i counts in resample b; each column sums to more
    than zero."""

    outcomes: Outcomes
    times: Floats

    @cached_property
    def images(self) -> Floats:
        """float64 [B]"""
        return np.asarray(self.times.sum(axis=0))

    @cached_property
    def judged(self) -> Floats:
        """float64 [C, B], or [1, B] where it is the same for all: images of which it is known whether they have the
        class."""
        known = self.outcomes.known
        return self.images[None, :] if known is None else self._per_class(known)

    @cached_property
    def truly(self) -> Floats:
        """float64 [C, B]: how many images truly have each class."""
        return self._per_class(self.outcomes.targets)

    @cached_property
    def answered(self) -> Floats:
        """float64 [C, B]: how many images were said to have each class."""
        known, answers = self.outcomes.known, self.outcomes.answers
        return self._per_class(answers if known is None else answers & known)

    @cached_property
    def rightly(self) -> Floats:
        """float64 [C, B]: how many images have each class and were said to."""
        true, said = self.outcomes.targets, self.outcomes.answers
        return self._per_class(np.where(true == said, true, -1) if self.outcomes.task == "single" else true & said)

    @cached_property
    def _ranking(self) -> tuple[Floats, Floats]:
        return ranking(self.outcomes, self.times)

    @property
    def auroc(self) -> Floats:
        """float64 [C, B]: NaN where a class has no images, or all of them."""
        return self._ranking[0]

    @property
    def average_precision(self) -> Floats:
        """float64 [C, B]: NaN where a class has no images."""
        return self._ranking[1]

    def mean(self, per_image: NDArray[Any]) -> Floats:
        """float64 [B]: the mean over images of one figure an image."""
        return np.asarray(per_image @ self.times / self.images)

    def mean_of_pairs(self, per_pair: NDArray[Any]) -> Floats:
        """float64 [B]: multi, the mean of [N, C] over the image x class pairs that are known."""
        known = self.outcomes.known
        if known is None:
            return self.mean(per_pair.mean(axis=1))
        pairs = known.sum(axis=1) @ self.times
        total = np.where(known, per_pair, 0.0).sum(axis=1) @ self.times
        return np.asarray(np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0))

    def _per_class(self, labels: NDArray[Any]) -> Floats:
        if self.outcomes.task == "multi":
            return np.asarray((self.times.T @ labels.astype(np.float64)).T)
        order = np.argsort(labels, kind="stable")
        values, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(self.times[order], starts, axis=0)
        counts = np.zeros((self.outcomes.classes, self.times.shape[1]))
        counts[values[values >= 0]] = sums[values >= 0]
        return counts


def once(outcomes: Outcomes) -> Weighted:
    """Every image counts once: B = 1."""
    return Weighted(outcomes=outcomes, times=np.ones((len(outcomes), 1)))
