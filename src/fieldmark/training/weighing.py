"""What a model costs to run: its exported graph, measured through the path that serves it, trained or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.bundle.schema import Decision
from fieldmark.data.dataset import Task
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_bytes, load_file
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.errors import DataError
from fieldmark.inference.deciding import probabilities
from fieldmark.inference.energy import joules, read_counters
from fieldmark.inference.runner import open_graph
from fieldmark.inference.timing import WARM_UP, time_ms

REPEATS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """`latency_ms` (median, p95) for one image from its file on, `size_bytes` of the graph, `energy_mj` of the
    processor for one image, None where its counters cannot be read."""

    latency_ms: tuple[float, float]
    size_bytes: int
    energy_mj: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the person set; None: no limit. Latency is the median."""

    latency_ms: float | None
    size_bytes: int | None

    def excess(self, weight: Weight) -> float:
        """How many times the tightest limit the weight is; at most 1 is within."""
        shares = [0.0]
        if self.latency_ms is not None:
            shares.append(weight.latency_ms[0] / self.latency_ms)
        if self.size_bytes is not None:
            shares.append(weight.size_bytes / self.size_bytes)
        return max(shares)


def weigh(graph: Path, geometry: Geometry, task: Task, sources: Sequence[Path | bytes]) -> Weight:
    """Decode, resize, run and decide, one image at a time, on all cores. `sources` are image files, or
    the bytes of such; those that cannot be read are passed over, and DataError says so where that is all of them."""
    runner = open_graph(graph)
    readable = [source for source in sources if not isinstance(_load(source, geometry), Unreadable)]
    if not readable:
        raise DataError(
            "none of the images that were to be timed can be read",
            where=str(sources[0])[:200] if sources else "no image",
            do="look at a few of them in an image viewer",
        )

    def predict(source: str | Path | bytes) -> object:
        return probabilities(runner.run(np.asarray(_load(source, geometry))[None])[1], Decision(), task)

    before = read_counters()
    latency_ms = time_ms(predict, readable, repeats=REPEATS)
    after = read_counters() if before is not None else None
    energy = None if before is None or after is None else 1000 * joules(before, after) / (WARM_UP + REPEATS)
    return Weight(latency_ms=latency_ms, size_bytes=graph.stat().st_size, energy_mj=energy)


def _load(source: str | Path | bytes, geometry: Geometry) -> Pixels | Unreadable:
    return load_bytes(source, geometry) if isinstance(source, bytes) else load_file(Path(source), geometry)
