"""How much better one classifier is than another on the same images: closer than two intervals beside each other."""

from __future__ import annotations

import numpy as np

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.intervals import bootstrapped, resamples, resamples_for
from fieldmark.measures.outcomes import Floats, Outcomes
from fieldmark.measures.table import MEASURES
from fieldmark.measures.weighted import Weighted, once


def paired_difference(name: str, ours: Outcomes, theirs: Outcomes, *, seed: int = 0) -> Estimate:
    """The figure `name` (a row of MEASURES over all classes) of `ours` less that of `theirs`, with the interval of
    the bootstrap that draws the same images for both (Efron and Tibshirani 1993).

    ValueError where the two are not of the same images.
    """
    if not np.array_equal(ours.targets, theirs.targets):
        raise ValueError("a paired difference needs answers of both for the same images")
    measure = MEASURES[name].function

    def difference(times: Floats) -> Floats:
        return measure(Weighted(outcomes=ours, times=times)) - measure(Weighted(outcomes=theirs, times=times))

    count = resamples_for(len(ours), ours.classes)
    draws = np.concatenate([difference(times) for times in resamples(len(ours), count, seed=seed)])
    lowest, highest = MEASURES[name].range
    span = highest - lowest
    value = float(difference(once(ours).times)[0])
    return bootstrapped(value, draws, len(ours), within=(-span, span), why=MEASURES[name].undefined)
