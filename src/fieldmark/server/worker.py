"""A worker: a process that decodes images and runs graphs, and can be lost without losing a request.

`python -m fieldmark.server.worker`: reads frames from standard input, writes frames to standard output, ends when its
input does. It is a process of its own so that Python's lock, a hostile image or a crash in a decoder stay in it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import BinaryIO

import numpy as np

from fieldmark.bundle.reading import open_bundle
from fieldmark.data.loading import load_bytes
from fieldmark.data.picture import Limits, Pixels, Unreadable
from fieldmark.errors import BundleError, FieldmarkError
from fieldmark.inference.canaries import check
from fieldmark.inference.classifier import Classifier, ready
from fieldmark.inference.deciding import labels, probabilities
from fieldmark.inference.execution import Execution
from fieldmark.inference.runners import DEFAULT_RUNNER
from fieldmark.inference.variants import on_this_machine
from fieldmark.server.messages import (
    LENGTH_BYTES,
    TO_WORKER,
    Answered,
    Batch,
    Failed,
    Load,
    Model,
    Ready,
    Row,
    framed,
)

NO_ANSWER = "no answer"
_ROUNDS = 3  # of which the quickest counts: others were held up by something


def main() -> None:
    """Load, say so, then answer batches until the input ends."""
    _give_way()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the front says when to end
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints in here must not end up amid frames
    asked = _next(incoming)
    if not isinstance(asked, Load):
        return
    try:
        classifiers = {model.key: _loaded(model) for model in asked.models}
    except FieldmarkError as error:
        _say(outgoing, Failed(error.what, error.where, error.do))
        return
    _say(outgoing, Ready({key: _timed(each, asked.sizes) for key, each in classifiers.items()}))
    limits = Limits(max_bytes=asked.max_bytes, max_pixels=asked.max_pixels)
    while isinstance(batch := _next(incoming), Batch):
        _say(outgoing, answer(classifiers[batch.key], batch, limits))


def _give_way() -> None:
    """To the front, which needs a core for half a millisecond, and then: while it waited for one behind workers, they
    ran out of images (4 connections, 2 cores: the p99 was 21 ms, and is 17)."""
    if sys.platform != "win32":
        os.nice(10)


def answer(classifier: Classifier, batch: Batch, limits: Limits) -> Answered:
    """A row for each image of the batch."""
    begun = time.perf_counter()
    geometry = classifier.bundle.manifest.geometry
    shape = (geometry.size_px, geometry.size_px, 3)
    loaded: list[Pixels | Unreadable] = [
        np.frombuffer(image, np.uint8).reshape(shape) if batch.raw else load_bytes(image, geometry, limits)
        for image in batch.images
    ]
    decoded = time.perf_counter()
    pixels = [each for each in loaded if not isinstance(each, Unreadable)]
    rows = iter(_rows(classifier, np.stack(pixels)) if pixels else ())
    answers = tuple(
        Row(reason=str(each.reason), detail=each.detail) if isinstance(each, Unreadable) else next(rows)
        for each in loaded
    )
    return Answered(batch.number, answers, decoded - begun, time.perf_counter() - decoded)


def _rows(classifier: Classifier, pixels: Pixels) -> list[Row]:
    manifest = classifier.bundle.manifest
    try:
        embeddings, logits = classifier.run(pixels)
    except BundleError as error:  # such as an answer that is not a number: these images, not this process, are lost
        return [Row(reason=NO_ANSWER, detail=error.what)] * len(pixels)
    certainty = probabilities(logits, manifest.decision, manifest.task)
    decided = labels(certainty, manifest.decision, manifest.task, manifest.classes)
    return [
        Row(certainty[row].tobytes(), logits[row].tobytes(), embeddings[row].tobytes(), decided[row])
        for row in range(len(pixels))
    ]


def _loaded(model: Model) -> Classifier:
    bundle = on_this_machine(open_bundle(model.path))
    # One core: the workers are as many as there are. A picture at a time: what comes fills no larger batch.
    classifier = ready(bundle, Execution(runner=bundle.runner or DEFAULT_RUNNER, threads=1, workers=1, batch=1))
    result = check(classifier)
    if not result.ok:
        raise BundleError(
            f"{model.key} does not answer as when it was made: {'; '.join(result.words)}",
            where=model.path,
            do="see fieldmark check; train or download the bundle again",
        )
    return classifier


def _timed(classifier: Classifier, sizes: tuple[int, ...]) -> dict[int, float]:
    """Seconds that a batch of each size takes in the graph; also its first, slow runs."""
    size_px, seconds = classifier.bundle.manifest.geometry.size_px, {}
    for size in sizes:
        pixels = np.full((size, size_px, size_px, 3), 127, np.uint8)
        took = []
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            classifier.run(pixels)
            took.append(time.perf_counter() - begun)
        seconds[size] = min(took)
    return seconds


def _next(incoming: BinaryIO) -> Load | Batch | None:
    """The next message; None where the front has gone."""
    length = incoming.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    message: Load | Batch = TO_WORKER.decode(incoming.read(int.from_bytes(length, "little")))
    return message


def _say(outgoing: BinaryIO, message: Ready | Failed | Answered) -> None:
    frame = memoryview(framed(message))
    while frame:  # unbuffered: a pipe takes what it has room for
        frame = frame[outgoing.write(frame) :]


if __name__ == "__main__":
    main()
