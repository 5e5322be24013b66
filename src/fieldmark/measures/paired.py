"""Two classifiers on the same images: the difference of a measure, with its interval."""

from __future__ import annotations

import numpy as np

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.intervals import bootstrapped, proportion, resamples, resamples_for
from fieldmark.measures.outcomes import Outcomes
from fieldmark.measures.row import Measure
from fieldmark.measures.weighted import Weighted, once


def estimate_one(measure: Measure, seen: Outcomes, *, seed: int = 0) -> Estimate:
    """A measure of scope "all" with its 95 % interval."""
    value = float(measure.function(once(seen))[0])
    if measure.interval == "wilson":
        return proportion(value * len(seen), len(seen), why=measure.undefined)
    count = resamples_for(len(seen), seen.classes)
    draws = [
        measure.function(Weighted(outcomes=seen, times=times)) for times in resamples(len(seen), count, seed=seed)
    ]
    return bootstrapped(value, np.concatenate(draws), len(seen), within=measure.range, why=measure.undefined)


def difference(measure: Measure, one: Outcomes, other: Outcomes, *, seed: int = 0) -> Estimate:
    """`one` less `other`, of a measure of scope "all", with the paired bootstrap's 95 % interval (Efron 1979).

    Both are judged in each resample on the same images, so what makes an image hard for both cancels: the interval is
    narrower than two intervals side by side suggest. It is undefined where either figure is. ValueError where the
    two did not see images of the same truth.
    """
    if not np.array_equal(one.targets, other.targets):
        raise ValueError("a paired comparison needs the same images in the same order")
    value = float(measure.function(once(one))[0] - measure.function(once(other))[0])
    count = resamples_for(len(one), one.classes)
    draws = [
        measure.function(Weighted(outcomes=one, times=times))
        - measure.function(Weighted(outcomes=other, times=times))
        for times in resamples(len(one), count, seed=seed)
    ]
    widest = measure.range[1] - measure.range[0]
    return bootstrapped(
        value, np.concatenate(draws), len(one), within=(-widest, widest), why=f"undefined: {measure.undefined}"
    )
