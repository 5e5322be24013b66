"""The table of listeners: programs that are told each line of a run's log as it is written (`--log`).

Each has a thread of its own. One that fails is dropped with a note, and one that hangs (a server that does not
answer) is not waited for: training goes on either way.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fieldmark.errors import MissingExtra, UsageError
from fieldmark.table import Table

Line = Mapping[str, Any]
LAST_LINES_S = 10.0  # so long are listeners waited for when training is over
EXPERIMENT = "fieldmark"
MOST_OF_A_PARAMETER = 6000  # characters that MLflow takes


class Listener(Protocol):
    """`hear` is called with each line of the log (see `logbook`), `close` when the run has ended."""

    def hear(self, line: Line) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRow:
    """`open(run_folder, step)` gives a listener for a run that goes on from `step`; `package` is what it imports, and
    `extra` what installs it. `refuse` raises UsageError where it lacks more than that."""

    name: str
    summary: str
    package: str
    open: Callable[[Path, int], Listener]
    refuse: Callable[[], None] = lambda: None

    def require(self) -> None:
        """MissingExtra where the package is not installed, UsageError where it has nobody to tell."""
        if importlib.util.find_spec(self.package) is None:
            raise MissingExtra(
                f"--log {self.name} needs {self.package}, which is not installed",
                where=f"log = {self.name}",
                do=f"pip install 'fieldmark[{self.name}]'",
            )
        self.refuse()


def asked(text: str) -> tuple[str, ...]:
    """The names in "tensorboard+mlflow" or "tensorboard,mlflow"; "none" has none."""
    return () if text == "none" else tuple(dict.fromkeys(re.split(r"[+,]", text)))


class TensorBoard:
    """Event files in `OUT.tensorboard/`, a folder a run; one that is resumed goes on where its checkpoint was."""

    def __init__(self, run_folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        home = run_folder.with_suffix(".tensorboard")
        runs = len(list(home.glob("run-*"))) if home.is_dir() else 0
        folder = home / f"run-{max(1, runs + (step == 0)):03d}"
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def hear(self, line: Line) -> None:
        if line["kind"] == "plan":
            rows = "\n".join(f"| {name} | {value} |" for name, value in line["plan"].items())
            self._writer.add_text("plan", f"| setting | value |\n|---|---|\n{rows}")
        for name, value in figures(line).items():
            self._writer.add_scalar(f"{line['kind']}/{name}", value, line["step"])
        if line["kind"] != "step":
            self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment "fieldmark" on the server that MLFLOW_TRACKING_URI names; resumed as the same run."""

    def __init__(self, run_folder: Path, step: int) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what a person trains is nobody else's business
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric, self._param = Metric, Param
        self._client = MlflowClient()
        remembered = run_folder / "mlflow-run"
        if step and remembered.is_file():
            self._run = remembered.read_text(encoding="utf-8")
            return
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        self._run = self._client.create_run(number, run_name=run_folder.stem).info.run_id
        remembered.write_text(self._run, encoding="utf-8")

    def hear(self, line: Line) -> None:
        if line["kind"] == "plan":
            settings = {**line["plan"], **line["machine"]}
            parameters = [self._param(name, str(value)[:MOST_OF_A_PARAMETER]) for name, value in settings.items()]
            self._client.log_batch(self._run, params=parameters)
        at_ms = int(line["time"] * 1000)
        metrics = [
            self._metric(f"{line['kind']}/{name}", value, at_ms, line["step"])
            for name, value in figures(line).items()
        ]
        if metrics:
            self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def figures(line: Line) -> dict[str, float]:
    """What of a line is a curve over steps."""
    if line["kind"] not in ("step", "epoch"):
        return {}
    return {name: float(value) for name, value in line.items() if name not in ("kind", "time", "step")}


def _refuse_without_a_server() -> None:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UsageError(
            "MLflow has not been told where runs are kept",
            where="log = mlflow, MLFLOW_TRACKING_URI is not set",
            do="export MLFLOW_TRACKING_URI=http://... (your tracking server)",
        )


ROWS = (
    ListenerRow(
        name="tensorboard",
        summary="curves in OUT.tensorboard; look with `tensorboard --logdir OUT.tensorboard`",
        package="tensorboard",
        open=TensorBoard,
    ),
    ListenerRow(
        name="mlflow",
        summary="a run on the tracking server that MLFLOW_TRACKING_URI names",
        package="mlflow",
        open=MLflow,
        refuse=_refuse_without_a_server,
    ),
)
LISTENERS: Table[ListenerRow] = Table.rows("listener", ROWS)


class Audience:
    """The listeners of one run."""

    def __init__(self, names: tuple[str, ...], run_folder: Path, step: int) -> None:
        self._ears = {name: _Ear(LISTENERS[name], run_folder, step) for name in names}

    def hear(self, line: Line) -> tuple[str, ...]:
        """Tell all, waiting for none; a note for each that has failed by now, and is told nothing more."""
        for ear in self._ears.values():
            ear.hear(line)
        return self._without_the_failed()

    def close(self) -> tuple[str, ...]:
        """Let each hear the last it was told, and end; a note for each that failed, or was not done in time."""
        wait([future for ear in self._ears.values() for future in ear.closing()], timeout=LAST_LINES_S)
        notes = self._without_the_failed()
        late = [name for name, ear in self._ears.items() if not ear.done]
        for ear in self._ears.values():
            ear.let_go()
        self._ears = {}
        return notes + tuple(f"listener {name} did not take the last lines in {LAST_LINES_S:g} s" for name in late)

    def _without_the_failed(self) -> tuple[str, ...]:
        failures = {name: failure for name, ear in self._ears.items() if (failure := ear.failure()) is not None}
        for name in failures:
            self._ears.pop(name).let_go()
        return tuple(
            f"listener {name} failed and was dropped: {type(failure).__name__}: {failure}"
            for name, failure in failures.items()
        )


class _Ear:
    """A thread that opens a listener and then tells it line after line."""

    def __init__(self, row: ListenerRow, run_folder: Path, step: int) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=row.name)
        self._listener = self._thread.submit(row.open, run_folder, step)
        self._pending: deque[Future[Any]] = deque([self._listener])

    def hear(self, line: Line) -> None:
        self._pending.append(self._thread.submit(lambda: self._listener.result().hear(line)))

    def closing(self) -> tuple[Future[Any], ...]:
        self._pending.append(self._thread.submit(lambda: self._listener.result().close()))
        return tuple(self._pending)

    def failure(self) -> BaseException | None:
        """Of the lines that were told since the last look."""
        while self._pending and self._pending[0].done():
            if (failure := self._pending.popleft().exception()) is not None:
                return failure
        return None

    @property
    def done(self) -> bool:
        return not self._pending

    def let_go(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
