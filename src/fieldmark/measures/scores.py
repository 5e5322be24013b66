"""Measures of the probabilities: proper scores, ranking, calibration. [B] for all classes together.

multi: every image x class pair is a yes-or-no question of its own, and figures are means over the pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.labels import mean_over
from fieldmark.measures.outcomes import Floats, Outcomes
from fieldmark.measures.weighted import Weighted

BINS = 15
SIMULATIONS = 400
EDGES = np.linspace(0.0, 1.0, BINS + 1)


def log_loss(of: Weighted) -> Floats:
    losses = _log_losses(of.outcomes)
    return of.mean(losses) if of.outcomes.task == "single" else of.mean_of_pairs(losses)


def brier(of: Weighted) -> Floats:
    said, true = of.outcomes.probabilities, of.outcomes.targets
    if of.outcomes.task == "multi":
        return of.mean_of_pairs(np.square(said - true))
    own = np.take_along_axis(said, true[:, None], axis=1)[:, 0]
    rest = np.einsum("nc,nc->n", said, said) - own**2
    # Of two classes the field counts one, (1 - p)^2; of more, all. scikit-learn's scale_by_half="auto" is the same.
    return of.mean(((1 - own) ** 2 + rest) / (2 if of.outcomes.classes == 2 else 1))


def macro_auroc(of: Weighted) -> Floats:
    return mean_over(of.auroc, ~np.isnan(of.auroc))


def macro_average_precision(of: Weighted) -> Floats:
    return mean_over(of.average_precision, ~np.isnan(of.average_precision))


def expected_calibration_error(of: Weighted) -> Floats:
    said, true, known = stated(of.outcomes)
    bins, gap = in_bin(said), np.where(known, said - true, 0.0)
    per_image = np.stack([np.where(bins == bin_, gap, 0.0).sum(axis=1) for bin_ in range(BINS)], axis=1)
    pairs = known.sum(axis=1) @ of.times
    gaps = np.abs(of.times.T @ per_image).sum(axis=1)
    return np.asarray(np.divide(gaps, pairs, out=np.full_like(gaps, np.nan), where=pairs > 0))


def stated(outcomes: Outcomes) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """The probabilities that calibration is about, whether they came true, and whether that is known: [N, 1] that of
    the answer (single), [N, C] that of each label (multi)."""
    if outcomes.task == "multi":
        known = np.ones_like(outcomes.targets) if outcomes.known is None else outcomes.known
        return outcomes.probabilities, outcomes.targets, known
    said = np.take_along_axis(outcomes.probabilities, outcomes.answers[:, None], axis=1)
    return said, (outcomes.answers == outcomes.targets)[:, None], np.ones_like(said, dtype=bool)


def in_bin(said: Floats) -> NDArray[np.int64]:
    """Which of BINS equal-width bins [low, high) each probability lies in; 1.0 is in the last."""
    return np.minimum(np.searchsorted(EDGES, said, side="right") - 1, BINS - 1)


def ece_of_a_perfect_model(outcomes: Outcomes, *, seed: int = 0) -> Estimate:
    """The ECE that a model with these very probabilities would show on this many images if they were perfectly
    calibrated: above zero, because a bin of few images strays from its mean. An ECE inside [low, high] is no sign
    of miscalibration.

    Mean and central 95 % of SIMULATIONS draws in which each stated probability comes true that often (parametric
    bootstrap; Vaicenavicius et al. 2019). The draw is of each bin's sum, normal with the bin's exact mean and
    variance where it holds over 100 probabilities, Bernoulli by Bernoulli else.
    """
    said, _, known = stated(outcomes)
    said = said[known]
    bins = in_bin(said)
    random = np.random.default_rng(seed)
    total = np.zeros(SIMULATIONS)
    for bin_ in np.unique(bins):
        total += np.abs(_stray(said[bins == bin_], random))
    draws = total / len(said)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(
        value=float(draws.mean()), low=float(low), high=float(high), n=len(outcomes), interval="bootstrap"
    )


def _stray(said: Floats, random: np.random.Generator) -> Floats:
    """float64 [SIMULATIONS]: (number that came true) - (number expected), where each comes true as often as said."""
    if len(said) > 100:
        return random.normal(0.0, np.sqrt((said * (1 - said)).sum()), SIMULATIONS)
    return np.asarray((random.random((SIMULATIONS, len(said))) < said).sum(axis=1) - said.sum())


def _log_losses(outcomes: Outcomes) -> Floats:
    """single: [N]; multi: [N, C]."""
    # A flat 0 that turns out wrong would cost infinity; float64's step stands for it, as in scikit-learn.
    tiny = np.finfo(np.float64).eps
    said = outcomes.probabilities
    if outcomes.task == "multi":
        own = np.where(outcomes.targets, said, 1 - said)
        return np.asarray(-np.log(np.clip(own, tiny, 1 - tiny)))
    own = np.take_along_axis(said, outcomes.targets[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.clip(own, tiny, 1 - tiny)))
