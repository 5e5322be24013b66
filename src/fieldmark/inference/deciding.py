"""From logits to an answer: calibration, softmax or sigmoid, largest or thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Decision
from fieldmark.data.dataset import UNKNOWN, Task
from fieldmark.inference.platt import ENOUGH_OF_EACH, fit_platt, has_enough

DEFAULT_THRESHOLD = 0.5
COLDEST, HOTTEST = 0.01, 100.0
# With fewer images the fitted value says more about them than about the classifier.
FEWEST_IMAGES = 10


def probabilities(logits: NDArray[np.floating[Any]], decision: Decision, task: Task) -> NDArray[np.float64]:
    """float64 [N, C] from logits [N, C]; single: each row sums to 1; multi: each label has its own."""
    right = calibrated(logits, decision)
    return np.exp(_log_softmax(right)) if task == "single" else np.asarray(np.exp(-np.logaddexp(0.0, -right)))


def calibrated(logits: NDArray[np.floating[Any]], decision: Decision) -> NDArray[np.float64]:
    """float64 [N, C] from logits [N, C]: those whose softmax, or sigmoids, are the probabilities."""
    scaled = np.asarray(logits, np.float64) / decision.temperature
    return np.asarray(np.asarray(decision.slopes or 1.0) * scaled + np.asarray(decision.intercepts or 0.0))


def labels(
    probabilities: NDArray[np.float64], decision: Decision, task: Task, classes: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """Per image, the decision: the most probable class (the first of equals), or, multi, each label whose
    probability reaches its threshold (0.5 where none was chosen)."""
    if task == "single":
        return [(classes[best],) for best in probabilities.argmax(axis=1)]
    thresholds = np.asarray(decision.thresholds or [DEFAULT_THRESHOLD] * len(classes))
    return [tuple(classes[label] for label in np.flatnonzero(row >= thresholds)) for row in probabilities]


def fit_decision(
    logits: NDArray[np.floating[Any]],
    targets: NDArray[Any],
    task: Task,
    weights: NDArray[np.float64] | None = None,
) -> Decision:
    """single: the temperature; multi: slope, intercept and threshold of each label. From held-out images; arguments
    as in `fit_temperature`, where `targets` (multi) may be UNKNOWN, too."""
    if task == "single":
        return Decision(temperature=fit_temperature(logits, targets, weights))
    slopes, intercepts = fit_platt(logits, targets)
    decision = Decision(slopes=tuple(slopes.tolist()), intercepts=tuple(intercepts.tolist()))
    thresholds = _thresholds(probabilities(logits, decision, task), targets)
    return msgspec.structs.replace(decision, thresholds=tuple(thresholds.tolist()))


def weights_for(prior: object, targets: NDArray[Any], task: Task) -> NDArray[np.float64] | None:
    """[N]: what each image counts for a decision in the world of `prior`: "even", where each class that is there
    counts alike, or any other, the data's own. None: all images count alike."""
    return np.asarray(1.0 / np.bincount(targets)[targets]) if prior == "even" and task == "single" else None


def calibration_in_words(targets: NDArray[Any]) -> tuple[str, ...]:
    """What `fit_decision` does with several labels, for the choices of a bundle."""
    own, counted = has_enough(targets), (targets == 1).sum(axis=0) >= FEWEST_IMAGES
    return (
        f"calibration = own slope and intercept for {own.sum()} of {len(own)} labels (those with {ENOUGH_OF_EACH} "
        f"images and {ENOUGH_OF_EACH} without, held out); the rest share one pair",
        f"thresholds = where F1 is best, own ones for {counted.sum()} of {len(counted)} labels (those with "
        f"{FEWEST_IMAGES} images held out); the rest share one",
    )


def _thresholds(said: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """float64 [C]. Labels that too few images have share one, which is best for their entries together."""
    known, truth = targets != UNKNOWN, targets == 1
    few = truth.sum(axis=0) < FEWEST_IMAGES
    shared = best_threshold(said[:, few][known[:, few]], truth[:, few][known[:, few]])
    each = zip(few, said.T, truth.T, known.T)
    return np.array([shared if rare else best_threshold(p[seen], true[seen]) for rare, p, true, seen in each])


def best_threshold(said: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Where F1 is best for probabilities [N] of one label (Lipton, Elkan and Naryanaswamy 2014), halfway to the next
    probability below; 0.5 where fewer than 10 images have the label."""
    if truth.sum() < FEWEST_IMAGES:
        return DEFAULT_THRESHOLD
    order = np.argsort(-said, kind="stable")
    ranked = np.append(said[order], 0.0)
    f1 = 2 * truth[order].cumsum() / (np.arange(1, len(said) + 1) + truth.sum())
    last_of_equals = ranked[1:] < ranked[:-1]
    best = int(np.where(last_of_equals, f1, -1.0).argmax())
    return float((ranked[best] + ranked[best + 1]) / 2)


def fit_temperature(
    logits: NDArray[np.floating[Any]], targets: NDArray[Any], weights: NDArray[np.float64] | None = None
) -> float:
    """The temperature under which `logits` [N, C] say the truth of held-out `targets` best.

    `targets` are int [N] class indices; `weights` [N] say how much each image counts (all alike, if not given).
    Guo et al. 2017, arXiv:1706.04599: least negative log-likelihood, by golden section over log T in [0.01, 100]; the
    likelihood is convex in 1/T. As Platt (1999) did, the truth counts as 1 - 1/(N+2) rather than 1: where all answers
    are right the plain likelihood would make the classifier infinitely sure; so it is as sure as N right answers in a
    row allow. Returns 1.0 for fewer than 10 images, and where the result would make the plain likelihood worse.
    """
    if len(logits) < FEWEST_IMAGES:
        return 1.0
    scores = np.asarray(logits, np.float64)
    truth = np.eye(scores.shape[1])[targets]
    doubt = 1.0 / (len(scores) + 2)
    even = 1.0 / scores.shape[1]
    share = np.full(len(scores), 1.0) if weights is None else weights / weights.mean()
    softened = truth * (1 - doubt) + doubt * even
    fitted = math.exp(
        _golden_section(
            lambda log_t: _loss(scores / math.exp(log_t), softened, share), math.log(COLDEST), math.log(HOTTEST)
        )
    )
    plain, scaled = (_loss(each, truth, share) for each in (scores, scores / fitted))
    return fitted if scaled <= plain else 1.0


def _loss(logits: NDArray[np.float64], truth: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    return float(-(share * (truth * _log_softmax(logits)).sum(axis=1)).mean())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _golden_section(loss: Callable[[float], float], low: float, high: float, *, width: float = 1e-4) -> float:
    """Where a function with one valley is least, to `width` (Kiefer 1953)."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > width:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2
