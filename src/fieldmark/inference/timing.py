"""How long one picture takes, from its bytes to the answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.inference.classifier import Classifier

_WARM_UP = 3


def latency_ms(
    classifier: Classifier, sources: Sequence[str | Path | bytes], *, repeats: int = 50
) -> tuple[float, float]:
    """(median, 95th percentile) in milliseconds of `predict`, decoding included, one picture at a time.

    `repeats` predictions are timed, going round `sources`, after three that are not.
    """
    took = []
    for number, source in enumerate(itertools.islice(itertools.cycle(sources), _WARM_UP + repeats)):
        began = time.perf_counter_ns()
        classifier.predict(source)
        if number >= _WARM_UP:
            took.append((time.perf_counter_ns() - began) / 1e6)
    median, slow = np.percentile(took, [50, 95])
    return float(median), float(slow)
