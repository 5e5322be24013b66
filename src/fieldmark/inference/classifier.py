"""A bundle at work: pictures in, predictions out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.layout import MANIFEST
from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.data.loading import load_bytes, load_file, load_many
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.errors import BundleError, DataError, UsageError
from fieldmark.inference.deciding import labels, probabilities
from fieldmark.inference.prediction import Failure, Prediction
from fieldmark.inference.runner import Runner, open_graph

# A batch holds at most this many pixels (32 images of 224 px) and images: beyond it memory grows and speed does not.
_BATCH_PIXELS, _BATCH_IMAGES = 32 * 224 * 224, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A verified bundle and its graph, ready to answer. Safe to share between threads."""

    bundle: Bundle
    runner: Runner

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(embedding float32 [N, D], logits float32 [N, C]) of pixels uint8 [N, size_px, size_px, 3]."""
        return self.runner.run(pixels)

    def predict(self, source: str | Path | bytes, *, embedding: bool = False) -> Prediction:
        """The answer for one image: a path, or the bytes of an encoded image (JPEG, PNG ...).

        Raises DataError where the image cannot be read.
        """
        geometry = self.bundle.manifest.geometry
        if isinstance(source, bytes):
            name, pixels = f"({len(source)} bytes)", load_bytes(source, geometry)
        else:
            name, pixels = str(source), load_file(Path(source), geometry)
        if isinstance(pixels, Unreadable):
            raise DataError(
                f"this image cannot be read: {pixels.reason.value} ({pixels.detail})",
                where=name,
                do="look at it in an image viewer, and save it again as JPEG or PNG",
            )
        return self._answer([name], pixels[None], embedding)[0]

    def predict_many(
        self, sources: Iterable[str | Path], *, embedding: bool = False
    ) -> Iterator[Prediction | Failure]:
        """An answer for each path, in order; an image that cannot be read gives a Failure.

        Pictures are decoded while others run through the graph. Two batches are held at a time, however many
        `sources` there are.
        """
        if isinstance(sources, str | bytes | Path):
            raise UsageError(
                "predict_many takes several paths, and got one", where=str(sources)[:200], do="use predict, or a list"
            )
        return self._stream(sources, embedding)

    def _stream(self, sources: Iterable[str | Path], embedding: bool) -> Iterator[Prediction | Failure]:
        named, opened = itertools.tee(sources)
        geometry = self.bundle.manifest.geometry
        loaded = zip(map(str, named), load_many(map(Path, opened), geometry))
        size = max(1, min(_BATCH_IMAGES, _BATCH_PIXELS // geometry.size_px**2))
        with ThreadPoolExecutor(1, thread_name_prefix="fieldmark-run") as worker:
            running: Future[list[Prediction | Failure]] | None = None
            while batch := list(itertools.islice(loaded, size)):
                following = worker.submit(self._answer_batch, batch, embedding)
                if running is not None:
                    yield from running.result()
                running = following
            if running is not None:
                yield from running.result()

    def _answer_batch(
        self, batch: Sequence[tuple[str, Pixels | Unreadable]], embedding: bool
    ) -> list[Prediction | Failure]:
        readable = [(name, pixels) for name, pixels in batch if not isinstance(pixels, Unreadable)]
        answers: Iterator[Prediction] = iter(())
        if readable:
            names, pixels = zip(*readable)
            answers = iter(self._answer(names, np.stack(pixels), embedding))
        return [
            Failure(source=name, unreadable=found) if isinstance(found, Unreadable) else next(answers)
            for name, found in batch
        ]

    def _answer(self, names: Sequence[str], pixels: Pixels, embedding: bool) -> list[Prediction]:
        manifest = self.bundle.manifest
        embeddings, logits = self.run(pixels)
        certainty = probabilities(logits, manifest.decision, manifest.task)
        decided = labels(certainty, manifest.decision, manifest.task, manifest.classes)
        return [
            Prediction(
                source=name,
                classes=manifest.classes,
                probabilities=certainty[row],
                labels=decided[row],
                embedding=embeddings[row] if embedding else None,
            )
            for row, name in enumerate(names)
        ]


def load(path: str | Path, *, threads: int | None = None) -> Classifier:
    """The classifier in bundle `path`, after every checksum was compared; `threads` for the graph, default all
    cores that this process may use.

    Raises BundleError where the bundle is incomplete, altered, of another schema, or does not fit its graph.
    """
    bundle = open_bundle(path)
    runner = open_graph(bundle.graph, threads=threads)
    manifest = bundle.manifest
    for field, said, found in (
        ("geometry.size_px", manifest.geometry.size_px, runner.size_px),
        ("classes", len(manifest.classes), runner.n_classes),
        ("embedding_size", manifest.embedding_size, runner.embedding_size),
    ):
        if said != found:
            raise BundleError(
                f"{MANIFEST} and the graph do not belong together: {field} is {said} there, and {found} in the graph",
                where=f"{bundle.path / MANIFEST}, field $.{field}",
                do="copy or download the bundle again, or train it again",
            )
    return Classifier(bundle=bundle, runner=runner)
