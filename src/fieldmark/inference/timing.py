"""How long one picture takes, from its bytes to the answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fieldmark.inference.classifier import Classifier

WARM_UP = 3


def latency_ms(
    classifier: Classifier,
    sources: Sequence[str | Path | bytes],
    *,
    repeats: int = 50,
    percentiles: tuple[float, float] = (50, 95),
) -> tuple[float, float]:
    """Two percentiles, median and 95th, in milliseconds of `predict`, decoding included, one picture at a time."""
    return time_ms(classifier.predict, sources, repeats=repeats, percentiles=percentiles)


def time_ms(
    predict: Callable[[str | Path | bytes], object],
    sources: Sequence[str | Path | bytes],
    *,
    repeats: int = 50,
    percentiles: tuple[float, float] = (50, 95),
) -> tuple[float, float]:
    """Two percentiles, median and 95th, in milliseconds of `predict(source)`.

    `repeats` predictions are timed, going round `sources`, after WARM_UP that are not.
    """
    took = []
    for number, source in enumerate(itertools.islice(itertools.cycle(sources), WARM_UP + repeats)):
        began = time.perf_counter_ns()
        predict(source)
        if number >= WARM_UP:
            took.append((time.perf_counter_ns() - began) / 1e6)
    usual, slow = np.percentile(took, percentiles)
    return float(usual), float(slow)
