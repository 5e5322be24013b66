"""What a form costs: bytes, milliseconds, images per second, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from fieldmark.conversion.exported import Cost
from fieldmark.inference.autotuning import answers_to, burst_rate
from fieldmark.inference.bench import latency, sample_of
from fieldmark.inference.classifier import Classifier
from fieldmark.inference.fresh_process import predict_afresh

SECONDS = 2.0  # for latency, and for the rate
FOLDER_IMAGES = 200


def cost(alone: Classifier, many: Classifier, files: Sequence[Path], images: Iterator[Path], *, light: bool) -> Cost:
    """`alone` and `many` are one form opened for one image at a time and for many; `light`: predict can run it."""
    sample = sample_of(images, alone)
    single = latency(alone, list(sample.values()), seconds=SECONDS)
    wave = many.execution.workers * many.execution.batch
    rate, _ = burst_rate(partial(answers_to, many, sample), wave, SECONDS)
    peak = predict_afresh(alone.bundle.path, list(islice(cycle(sample), FOLDER_IMAGES))).peak_mb if light else None
    return Cost(
        size_bytes=sum(file.stat().st_size for file in files),
        p50_ms=single.p50_ms,
        p99_ms=single.p99_ms,
        images_per_s=rate,
        peak_mb=peak,
    )
