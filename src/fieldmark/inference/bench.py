"""Where the time goes when a bundle answers on this machine: each step alone, and all of them together."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fieldmark.data.decoding import decode_image
from fieldmark.data.geometry import apply_image, scale_to_px
from fieldmark.data.loading import load_bytes, read_bytes
from fieldmark.data.overlapping import in_order
from fieldmark.data.picture import Limits, Unreadable
from fieldmark.errors import DataError
from fieldmark.inference.autotuning import answers_to, burst_rate
from fieldmark.inference.classifier import Classifier
from fieldmark.inference.timing import WARM_UP

ROUNDS, FEWEST_ROUNDS = 5, 3
_SAMPLE, _SAMPLE_BYTES = 64, 128 * 2**20
_FEWEST_TIMED = 10
_LIMITS = Limits()
_Stage = Callable[[int], Iterable[object]]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """The median of `n` figures, the lowest and the highest."""

    median: float
    low: float
    high: float
    n: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Images per second with the execution's workers, in each of some rounds. `decode` and `inference` are ceilings:
    nothing else was done."""

    decode: Spread  # bytes to RGB pixels
    decode_and_geometry: Spread  # ... to the model's input
    inference: Spread  # input to logits, in the execution's batches
    together: Spread  # files to answers


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds for one image at a time, from its bytes to the answer, in `n` predictions; of the steps the
    medians. `rest_ms` is the median of what an answer took beyond the three."""

    n: int
    p50_ms: float
    p99_ms: float
    decode_ms: float
    geometry_ms: float
    runner_ms: float
    rest_ms: float


def spread(figures: Sequence[float]) -> Spread:
    """Of at least one figure."""
    return Spread(median=float(np.median(figures)), low=min(figures), high=max(figures), n=len(figures))


def sample_of(paths: Iterator[Path], classifier: Classifier) -> dict[Path, bytes]:
    """The first images that can be read, at most 64 and 128 MB of them, with their bytes. DataError without any."""
    found: dict[Path, bytes] = {}
    held = 0
    for path in islice(paths, _SAMPLE):
        encoded = read_bytes(path, _LIMITS)
        if isinstance(encoded, Unreadable) or held + len(encoded) > max(_SAMPLE_BYTES, len(encoded)):
            continue
        if not isinstance(load_bytes(encoded, classifier.bundle.manifest.geometry), Unreadable):
            found[path] = encoded
            held += len(encoded)
    if not found:
        raise DataError(
            "none of these images can be read", where="the sources given", do="name a folder that holds images"
        )
    return found


def rates(classifier: Classifier, sample: dict[Path, bytes], *, seconds: float) -> Rates:
    """What the steps reach alone and together, with `sample` over and over, in about `seconds`: in five rounds, or
    three where a network is too slow for more.

    The stages take turns in every round, so that what else this machine does meanwhile falls on all of them.
    """
    stages = _stages(classifier, sample)
    wave = classifier.execution.workers * classifier.execution.batch
    found: dict[str, list[float]] = {name: [] for name in stages}
    began = time.perf_counter()
    for done in range(ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for name, stage in stages.items():
            found[name].append(burst_rate(stage, wave, seconds / ROUNDS / len(stages) / 2)[0])
    return Rates(**{name: spread(figures) for name, figures in found.items()})


def _stages(classifier: Classifier, sample: dict[Path, bytes]) -> dict[str, _Stage]:
    geometry, batch = classifier.bundle.manifest.geometry, classifier.execution.batch
    encoded = list(sample.values())
    pixels = [load_bytes(one, geometry) for one in islice(cycle(encoded), batch)]
    stacked = np.stack([one for one in pixels if not isinstance(one, Unreadable)])

    def each(work: Callable[[bytes], object], count: int) -> Iterable[object]:
        images = [*islice(cycle(encoded), count)]
        chunks = [images[start : start + batch] for start in range(0, count, batch)]
        return _overlapped(classifier, lambda chunk: [work(one) for one in chunk], chunks)

    def runs(count: int) -> Iterable[object]:
        return _overlapped(classifier, lambda pixels: classifier.run(pixels)[1], repeat(stacked, count // batch))

    return {
        "decode": partial(each, partial(decode_image, limits=_LIMITS, scale_to_px=scale_to_px(geometry))),
        "decode_and_geometry": partial(each, partial(load_bytes, geometry=geometry)),
        "inference": runs,
        "together": partial(answers_to, classifier, sample),
    }


def _overlapped(
    classifier: Classifier, work: Callable[[Any], Iterable[object]], chunks: Iterable[Any]
) -> Generator[object]:
    workers = classifier.execution.workers
    for results in in_order(work, chunks, threads=workers, ahead=2 * workers):
        yield from results


def latency(classifier: Classifier, sample: Sequence[bytes], *, seconds: float) -> Latency:
    """One image at a time, for about `seconds`: the whole, and right after it the three steps of the same image."""
    taken: list[tuple[float, ...]] = []
    began = time.perf_counter()
    for number, encoded in enumerate(cycle(sample)):
        took = _one(classifier, encoded)
        if number >= WARM_UP:
            taken.append(took)
        if len(taken) >= _FEWEST_TIMED and time.perf_counter() - began > seconds:
            break
    whole, decode, geometry, runner = np.array(taken).T * 1000
    p50, p99 = np.percentile(whole, (50, 99))
    return Latency(
        n=len(taken),
        p50_ms=float(p50),
        p99_ms=float(p99),
        decode_ms=float(np.median(decode)),
        geometry_ms=float(np.median(geometry)),
        runner_ms=float(np.median(runner)),
        rest_ms=float(np.median(whole - decode - geometry - runner)),
    )


def _one(classifier: Classifier, encoded: bytes) -> tuple[float, float, float, float]:
    """Seconds of the whole, decoding, geometry and runner. The image can be read."""
    geometry = classifier.bundle.manifest.geometry
    start = time.perf_counter()
    classifier.predict(encoded)
    answered = time.perf_counter()
    decoded = decode_image(encoded, limits=_LIMITS, scale_to_px=scale_to_px(geometry))
    after_decode = time.perf_counter()
    if isinstance(decoded, Unreadable):
        raise DataError("an image that could be read cannot be read again", where=decoded.detail, do="try again")
    pixels = apply_image(decoded[0], geometry)
    after_geometry = time.perf_counter()
    classifier.run(pixels[None])
    return (
        answered - start,
        after_decode - answered,
        after_geometry - after_decode,
        time.perf_counter() - after_geometry,
    )
