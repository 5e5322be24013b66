"""The table of what can run a bundle's graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from fieldmark.inference.runner import Runner, open_graph
from fieldmark.table import Table

DEFAULT_RUNNER = "onnxruntime"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRow:
    """`open(graph, threads)` makes a graph ready to run, safe to share between threads, or raises BundleError;
    `version()` is the runtime's own, since what was fastest with one may not be with the next."""

    name: str
    summary: str
    open: Callable[[Path, int], Runner]
    version: Callable[[], str]


def _open_onnxruntime(graph: Path, threads: int) -> Runner:
    return open_graph(graph, threads=threads)


ROWS = (
    RunnerRow(
        name=DEFAULT_RUNNER,
        summary="onnxruntime on the processor, in float32",
        open=_open_onnxruntime,
        version=lambda: str(onnxruntime.__version__),
    ),
)
RUNNERS: Table[RunnerRow] = Table.rows("runner", ROWS)
