"""What happens in a run, as it happens: `log.jsonl` in the run folder, a JSON object a line, and whoever listens.

Kinds of lines: "plan" (first: plan and machine), "step" (some twenty an epoch, each over the steps since the one
before), "epoch", "note" (something a person should know), "end". A checkpoint says how much of the file belongs to
it, so that a run that is resumed neither repeats nor loses a line.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch

import fieldmark
from fieldmark.cores import available_cores
from fieldmark.errors import OutputError
from fieldmark.ranks import rank, world_size
from fieldmark.report.report import Epoch
from fieldmark.training.listeners import Audience
from fieldmark.training.plan import Plan

LOG = "log.jsonl"
LINES_PER_EPOCH = 20


class Sums(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over some steps: how many, their losses, images, seconds, and those of the seconds that the network waited."""

    steps: int = 0
    loss: float = 0.0
    images: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0

    def plus(self, other: Sums) -> Sums:
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in Sums.__struct_fields__})

    def figures(self) -> dict[str, float]:
        """Speed, and the share of step time in which the network waited for its images."""
        return {
            "images_per_second": round(self.images / max(self.seconds, 1e-9), 2),
            "data_wait": round(self.waited_s / max(self.seconds, 1e-9), 5),
        }


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a log stands: its length, and the sums since the last step's line, in this epoch, and in all."""

    bytes: int = 0
    line: Sums = Sums()
    epoch: Sums = Sums()
    run: Sums = Sums()
    seconds: float = 0.0


class Log:
    """Writes the lines; in a process other than the main one it only keeps the sums.

    OutputError where the disk will not take a line.
    """

    def __init__(self, run_folder: Path, plan: Plan, mark: Mark, audience: Audience, step: int) -> None:
        self._file, self._audience = run_folder / LOG, audience
        self._mark, self._opened_s = mark, time.monotonic() - mark.seconds
        self._began_s = self._waited_s = 0.0
        self._dropped: tuple[str, ...] = ()  # notes of listeners that failed
        if rank() == 0:
            with self._disk_faults():
                self._file.touch()
                # What a run did after its last checkpoint is done again.
                os.truncate(self._file, min(mark.bytes, self._file.stat().st_size))
        if not mark.bytes:
            self._tell("plan", step, plan=msgspec.to_builtins(plan), machine=machine())

    @property
    def mark(self) -> Mark:
        """Where the log stands, for a checkpoint."""
        if rank():
            return self._mark
        with self._disk_faults():
            size = self._file.stat().st_size
        return msgspec.structs.replace(self._mark, bytes=size, seconds=time.monotonic() - self._opened_s)

    def flush(self) -> None:
        """All lines are on the disk afterwards: a checkpoint must not speak of any that a power cut could take."""
        with self._disk_faults(), self._file.open("rb") as file:
            os.fsync(file.fileno())

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A step begins with this: within the context its images are fetched and prepared."""
        self._began_s = time.monotonic()
        yield
        self._waited_s = time.monotonic() - self._began_s

    def stepped(self, step: int, per_epoch: int, *, images: int, loss: float, learning_rate: float) -> None:
        """The step is done: `step` of them in all."""
        seconds = time.monotonic() - self._began_s
        taken = Sums(steps=1, loss=loss, images=images, seconds=seconds, waited_s=self._waited_s)
        mark = self._mark
        self._mark = mark = msgspec.structs.replace(
            mark, line=mark.line.plus(taken), epoch=mark.epoch.plus(taken), run=mark.run.plus(taken)
        )
        if step % max(1, per_epoch // LINES_PER_EPOCH) == 0:
            mean = mark.line.loss / mark.line.steps
            epoch = (step - 1) // per_epoch + 1
            self._tell("step", step, epoch=epoch, loss=mean, learning_rate=learning_rate, **mark.line.figures())
            self._mark = msgspec.structs.replace(mark, line=Sums())

    def scored(self, step: int, epoch: Epoch) -> None:
        """An epoch is over."""
        figures = {name: getattr(epoch, name) for name in ("epoch", "learning_rate", "validation_loss", "score")}
        self._tell("epoch", step, loss=epoch.train_loss, **figures, **self._mark.epoch.figures())
        self._mark = msgspec.structs.replace(self._mark, epoch=Sums())

    def note(self, step: int, text: str) -> None:
        self._tell("note", step, text=text)

    def ended(self, step: int, best_epoch: int) -> tuple[str, ...]:
        """Training is over, as it should be; returns what the report should say of it."""
        figures = self._mark.run.figures()
        self._tell("end", step, best_epoch=best_epoch, **figures)
        self.close()
        return (*self._dropped, f"data stall {figures['data_wait']:.1%} of step time")

    def close(self) -> None:
        """Listeners are told no more."""
        self._dropped += self._audience.close()

    def _tell(self, kind: str, step: int, **said: Any) -> None:
        if rank():
            return
        seconds = round(time.monotonic() - self._opened_s, 3)
        line = {"kind": kind, "step": step, **said, "seconds": seconds, "time": round(time.time(), 3)}
        with self._disk_faults(), self._file.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        dropped = self._audience.hear(line)
        self._dropped += dropped
        for note in dropped:
            self.note(step, note)

    @contextmanager
    def _disk_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"the log could not be written: {error}",
                where=str(self._file),
                do="free some space, then continue with --resume",
            ) from error


def machine() -> dict[str, Any]:
    """What a run's speed depends on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "system": platform.platform(),
        "cores": available_cores(),
        "gpu": gpu,
        "processes": world_size(),
        "fieldmark": fieldmark.__version__,
        "torch": str(torch.__version__),
    }
