"""Calibration of several labels: sigmoid(slope * logit + intercept), fitted on held-out images.

Platt 1999, Probabilistic outputs for support vector machines, solved as Lin, Lin and Weng 2007 do. A label with
enough images has a slope and an intercept of its own; the others share a pair, fitted on all their entries together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import UNKNOWN

Floats = NDArray[np.float64]
# Images with and without a label from which it has its own: an intercept from 30 is known to about 0.2.
ENOUGH_OF_EACH = 30
FEWEST_OF_EACH = 10  # entries with and without that labels which share need together
LEAST_SLOPE = 0.01  # calibration keeps the ranking, also of a label that is ranked no better than by chance
_IDENTITY = (1.0, 0.0)


def has_enough(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """bool [C]: labels of 0, 1 or UNKNOWN [N, C] that are calibrated by themselves."""
    return np.asarray(np.minimum((targets == 1).sum(axis=0), (targets == 0).sum(axis=0)) >= ENOUGH_OF_EACH)


def fit_platt(logits: NDArray[np.floating[Any]], targets: NDArray[Any]) -> tuple[Floats, Floats]:
    """Slopes and intercepts, float64 [C] each, from held-out logits [N, C] and targets 0, 1 or UNKNOWN [N, C].

    (1, 0) where images are too few even together, and where the fit would make the plain likelihood worse.
    """
    scores, own = np.asarray(logits, np.float64), has_enough(targets)
    pairs = np.tile(_IDENTITY, (len(own), 1))
    for label in np.flatnonzero(own):
        pairs[label] = _pair(scores[:, label], targets[:, label])
    if (~own).any():
        pairs[~own] = _pair(scores[:, ~own].ravel(), targets[:, ~own].ravel())
    return pairs[:, 0], pairs[:, 1]


def _pair(scores: Floats, targets: NDArray[Any]) -> tuple[float, float]:
    known = targets != UNKNOWN
    scores, truth = scores[known], (targets[known] == 1).astype(np.float64)
    present, absent = truth.sum(), (1 - truth).sum()
    if min(present, absent) < FEWEST_OF_EACH:
        return _IDENTITY
    # As one right answer more on either side would leave room for: nothing is certain, however well it is parted.
    softened = np.where(truth == 1, (present + 1) / (present + 2), 1 / (absent + 2))
    slope, intercept = _newton(scores, softened)
    if slope < LEAST_SLOPE:
        share = softened.mean()
        slope, intercept = LEAST_SLOPE, float(np.log(share / (1 - share)) - LEAST_SLOPE * scores.mean())
    plain, fitted = (_loss(a * scores + b, truth) for a, b in (_IDENTITY, (slope, intercept)))
    return (slope, intercept) if fitted <= plain else _IDENTITY


def _newton(scores: Floats, truth: Floats) -> tuple[float, float]:
    """Where the loss, convex in slope and intercept, is least: Newton steps, each halved until it helps."""
    centre, spread = scores.mean(), max(float(scores.std()), 1e-12)
    x = np.stack([(scores - centre) / spread, np.ones_like(scores)])
    at = np.array([0.0, np.log(truth.mean() / (1 - truth.mean()))])
    value = _loss(at @ x, truth)
    for _ in range(100):
        said = 1 / (1 + np.exp(-np.clip(at @ x, -500, 500)))
        gradient = x @ (said - truth) / len(truth)
        curvature = (x * (said * (1 - said))) @ x.T / len(truth) + 1e-10 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (after := _loss((at - step) @ x, truth)) > value and np.abs(step).max() > 1e-12:
            step *= 0.5
        if after > value or value - after < 1e-13:
            break
        at, value = at - step, after
    slope = float(at[0] / spread)
    return slope, float(at[1] - slope * centre)


def _loss(scores: Floats, truth: Floats) -> float:
    return float((np.logaddexp(0.0, scores) - truth * scores).mean())
