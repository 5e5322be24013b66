"""95 % intervals: Wilson for proportions, the percentile bootstrap over images for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.outcomes import Floats

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
_Z = 1.959963984540054  # the normal law's 97.5 % point
_CELLS_IN_ALL = 2_000_000_000  # resamples x images x classes up to which all RESAMPLES are drawn: seconds
_CELLS_AT_ONCE = 4_000_000  # images x resamples held in memory together: 32 MB an array


def proportion(successes: float, n: int, *, why: str = "nothing to count") -> Estimate:
    """`successes` of `n` with the Wilson score interval (Wilson 1927); undefined, with `why`, where n is 0."""
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0, interval="none", why=why)
    p = min(successes / n, 1.0)
    spread = _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    centre, scale = p + _Z**2 / (2 * n), 1 + _Z**2 / n
    # min and max: at 0 of n and n of n the bound is the value, which rounding could miss.
    low, high = min((centre - spread) / scale, p), max((centre + spread) / scale, p)
    return Estimate(value=p, low=max(low, 0.0), high=min(high, 1.0), n=n, interval="wilson")


def bootstrapped(value: float, draws: Floats, n: int, *, within: tuple[float, float], why: str) -> Estimate:
    """`value` with the central 95 % of `draws` [B], moved so that their mean is the value, and kept in `within`.

    Resampling repeats a measure's bias in small samples (ECE, average precision: draws lie above the value, which
    lies above the truth), so that quantiles as they come miss the truth: at 300 images of 20 classes those of ECE
    held it 67 times in 100, of weighted precision 80, of macro average precision 86; moved, 90, 94 and 90.
    Draws in which the figure is undefined (NaN) are left out.
    """
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return Estimate(value=None, low=None, high=None, n=n, interval="none", why=why)
    low, high = (np.quantile(defined, [0.025, 0.975]) + (value - defined.mean())).clip(*within).tolist()
    # A skewed handful of draws, or rounding, may leave the value just outside.
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, interval="bootstrap")


def resamples_for(n: int, classes: int) -> int:
    """How many resamples are drawn: RESAMPLES, or fewer where images x classes is large."""
    return int(np.clip(_CELLS_IN_ALL // (n * classes), FEWEST_RESAMPLES, RESAMPLES))


def resamples(n: int, count: int, *, seed: int) -> Iterator[Floats]:
    """`count` draws of n images with replacement (Efron 1979), in blocks float64 [n, B]: how often each image was
    drawn. The draws depend on `n` and `seed` alone, not on the size of the blocks."""
    random = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, count, at_once):
        size = min(at_once, count - start)
        drawn = random.integers(0, n, size=(size, n))
        cells = (drawn * size + np.arange(size)[:, None]).ravel()
        yield np.bincount(cells, minlength=n * size).reshape(n, size).astype(np.float64)
