"""The table of what can run a bundle's graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fieldmark.inference.openvino import open_openvino
from fieldmark.inference.runner import Runner, open_graph
from fieldmark.table import Table

DEFAULT_RUNNER = "onnxruntime"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRow:
    """`open(graph, threads, workers, batch)` makes a graph ready to run by `workers` callers at once, with `threads`
    threads for each, mostly `batch` pictures or one a run; or raises BundleError, or MissingExtra where its `package`
    is not installed. Of pictures of 224 px, a run of `batch` is the quickest, larger ones take memory alone."""

    name: str
    summary: str
    package: str
    batch: int
    open: Callable[[Path, int, int, int], Runner]

    def version(self) -> str:
        """The runtime's own, since what was fastest with one may not be with the next; empty where there is none."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


def _open_onnxruntime(graph: Path, threads: int, _workers: int, _batch: int) -> Runner:
    return open_graph(graph, threads=threads)  # each call of a session has `threads` of its own, and any batch


ROWS = (
    RunnerRow(
        name=DEFAULT_RUNNER,
        summary="onnxruntime on the processor, in float32",
        package="onnxruntime",
        batch=4,
        open=_open_onnxruntime,
    ),
    RunnerRow(
        name="openvino",
        summary="OpenVINO on the processor, in float32; often faster on Intel's and AMD's",
        package="openvino",
        batch=8,
        open=open_openvino,
    ),
)
RUNNERS: Table[RunnerRow] = Table.rows("runner", ROWS)


def installed() -> dict[str, str]:
    """Name -> version of the runners that can be used here."""
    return {name: found for name in RUNNERS if (found := RUNNERS[name].version())}
