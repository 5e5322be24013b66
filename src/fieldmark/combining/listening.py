"""What each member says of images that all of them see through the geometry of the whole: the definition, in numpy,
of what the one graph has to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry, apply
from fieldmark.data.loading import load_many
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.inference.classifier import Classifier
from fieldmark.inference.deciding import probabilities
from fieldmark.measures.outcomes import Floats
from fieldmark.progress import Progress

BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A member with the geometry that makes its own pixels of those of the whole; `order` int64 [C] says where each
    class of the whole is among its own."""

    classifier: Classifier
    inner: Geometry
    order: NDArray[np.int64]

    def says(self, pixels: Pixels) -> tuple[NDArray[np.float32], Floats]:
        """Its embedding float32 [N, D], and calibrated probabilities float64 [N, C] in the order of the whole."""
        manifest = self.classifier.bundle.manifest
        own = np.stack([apply(each, self.inner) for each in pixels])
        embedding, logits = self.classifier.run(own)
        return embedding, probabilities(logits, manifest.decision, manifest.task)[:, self.order]


def listen(
    voices: Sequence[Voice], data: Dataset, geometry: Geometry, progress: Progress, *, stage: str
) -> tuple[Floats, NDArray[np.int64]]:
    """(float64 [M, K, C] calibrated probabilities, int64 [K] the rows of `data` that could be read)."""
    loaded = enumerate(load_many((data.path(row) for row in range(len(data))), geometry))
    said: list[Floats] = []
    rows: list[int] = []
    while batch := list(islice(loaded, BATCH)):
        readable = [(row, pixels) for row, pixels in batch if not isinstance(pixels, Unreadable)]
        if readable:
            pixels = np.stack([each for _, each in readable])
            said.append(np.stack([voice.says(pixels)[1] for voice in voices]))
            rows += [row for row, _ in readable]
        progress(stage, batch[-1][0] + 1, len(data))
    if not said:
        return np.empty((len(voices), 0, 0)), np.empty(0, np.int64)
    return np.concatenate(said, axis=1), np.array(rows, dtype=np.int64)
