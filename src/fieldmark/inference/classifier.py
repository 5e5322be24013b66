"""A bundle at work: pictures in, predictions out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.layout import MANIFEST
from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.cores import available_cores
from fieldmark.data.loading import load_bytes, load_file
from fieldmark.data.overlapping import in_order
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.errors import BundleError, DataError, UsageError
from fieldmark.inference.deciding import labels, probabilities
from fieldmark.inference.execution import Execution, for_one
from fieldmark.inference.prediction import Failure, Prediction
from fieldmark.inference.runner import Runner
from fieldmark.inference.runners import RUNNERS
from fieldmark.inference.variants import on_this_machine

# Pictures that a worker is given at once, and runs in batches: to hand over each batch of 4 cost a quick network a
# twelfth of its pace.
_CHUNK = 16
_CHUNKS_A_WORKER = 2  # one in work and one done or waiting: a bounded window, however many pictures there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A verified bundle and its graph, ready to answer. Safe to share between threads."""

    bundle: Bundle
    runner: Runner
    execution: Execution

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
    ) -> Generator[Prediction | Failure]:
        """An answer for each path, in order; an image that cannot be read gives a Failure.

        The workers of `execution` decode some pictures while others run through the graph. A few batches a worker
        are in flight, however many `sources` there are; closing the generator stops the threads. From an iterator,
        which has no length, answers number 0, `batch`, 2 * `batch` ... always begin a run through the graph.
        """
        if isinstance(sources, str | bytes | Path):
            raise UsageError(
                "predict_many takes several paths, and got one", where=str(sources)[:200], do="use predict, or a list"
            )
        return self._stream(sources, embedding)

    def _stream(self, sources: Iterable[str | Path], embedding: bool) -> Generator[Prediction | Failure]:
        workers, batch = self.execution.workers, self.execution.batch
        size = batch * max(1, _CHUNK // batch)
        if isinstance(sources, Sized):  # few pictures are shared out, so that no worker stands idle
            size = max(1, min(size, -(-len(sources) // workers)))
        waiting = iter(sources)
        chunks = iter(lambda: list(islice(waiting, size)), [])
        work = partial(self._answer_chunk, embedding=embedding)
        with closing(in_order(work, chunks, threads=workers, ahead=workers * _CHUNKS_A_WORKER)) as answered:
            for answers in answered:
                yield from answers

    def _answer_chunk(self, sources: Sequence[str | Path], embedding: bool) -> list[Prediction | Failure]:
        batch = self.execution.batch
        runs = (sources[start : start + batch] for start in range(0, len(sources), batch))
        return [answer for run in runs for answer in self._answer_files(run, embedding)]

    def _answer_files(self, sources: Sequence[str | Path], embedding: bool) -> list[Prediction | Failure]:
        geometry = self.bundle.manifest.geometry
        batch = [(str(source), load_file(Path(source), geometry)) for source in sources]
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


def load(path: str | Path, *, execution: Execution | None = None) -> Classifier:
    """The classifier in bundle `path`, after every checksum was compared; without `execution`, all cores that this
    process may use work on each run.

    Raises BundleError where the bundle is incomplete, altered, of another schema, or does not fit its graph.
    """
    bundle = on_this_machine(open_bundle(path), runner=execution.runner if execution else None)
    return ready(bundle, execution or for_one(available_cores(), bundle.manifest.geometry.size_px, bundle.runner))


def ready(bundle: Bundle, execution: Execution) -> Classifier:
    """A verified bundle with its graph opened as `execution` says. Raises BundleError where the two do not fit, and
    UnknownName where no runner has that name."""
    runner = RUNNERS[execution.runner].open(bundle.graph, execution.threads, execution.workers, execution.batch)
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
    return Classifier(bundle=bundle, runner=runner, execution=execution)
