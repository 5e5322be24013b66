"""What a classifier says of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.picture import Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """`probabilities` float64 [C], calibrated, in the order of `classes`; `labels` is the decision: one class
    (single) or those whose probability reached its threshold (multi). `embedding` float32 [D] on request."""

    source: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    labels: tuple[str, ...]
    embedding: NDArray[np.float32] | None = None

    def ranked(self, top: int | None = None) -> list[tuple[str, float]]:
        """(class, probability), most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An image that gave no prediction, and why."""

    source: str
    unreadable: Unreadable
