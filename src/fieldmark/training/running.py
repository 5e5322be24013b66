"""A training run while it is under way: what has been reached, what was best, when it was last saved."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldmark.data.fingerprint import fingerprint
from fieldmark.errors import UsageError
from fieldmark.report.report import Epoch
from fieldmark.training import checkpoint, state
from fieldmark.training.checkpoint import Standing
from fieldmark.training.job import Job
from fieldmark.training.plan import Plan
from fieldmark.training.scoring import Score

SAVE_EPOCH_S, SAVE_S = 5.0, 60.0  # at an epoch's end when the last save is so old; amid an epoch when so old


def begin_or_resume(job: Job, plan: Plan) -> tuple[Standing, state.Tensors]:
    """Where to start from: the job's newest checkpoint, whose plan then rules, or nothing done.

    A run that was stopped before its first checkpoint starts again, and says so. UsageError for one of other data.
    """
    start = Standing(plan=plan, fingerprint=fingerprint(job.data))
    if not job.resume:
        return start, {}
    if not checkpoint.exists(job.run_folder):
        return replace(start, notes=("the interrupted run had no checkpoint yet: it was begun again",)), {}
    standing, tensors = checkpoint.load(job.run_folder)
    if standing.fingerprint != start.fingerprint:
        raise UsageError(
            "the data has changed since the run that you want to go on with",
            where=str(job.run_folder),
            do="put the data back as it was, or leave out --resume to start anew",
        )
    return standing, tensors


class Run:
    """The loop's account book: `plan` as it is being run, `step` steps done, `epochs` scored, `best` weights."""

    def __init__(
        self, standing: Standing, tensors: state.Tensors, network: nn.Module, optimiser: Optimizer, folder: Path
    ) -> None:
        self.plan, self.step, self.epochs = standing.plan, standing.step, standing.epochs
        self.best_epoch, self.notes = standing.best_epoch, standing.notes
        self.best = state.put_back(tensors, network, optimiser) if tensors else {}
        self._network, self._optimiser, self._folder = network, optimiser, folder
        self._fingerprint = standing.fingerprint
        self._loss_sum = torch.tensor(standing.loss_sum, dtype=torch.float64)
        self._epoch_began = time.monotonic() - standing.epoch_s
        # What was just read from a checkpoint need not be written to it.
        self._saved_s, self._saved_step = (time.monotonic(), self.step) if tensors else (-math.inf, -1)

    def stepped(self, value: Tensor) -> None:
        """One optimiser step is done; `value` is the batch's mean loss."""
        self.step += 1
        self._loss_sum = self._loss_sum.to(value.device) + value.detach().double()

    def scored(self, score: Score, *, steps: int, learning_rate: float) -> None:
        """An epoch of `steps` is over. Keeps its weights where it is the best so far."""
        train_loss = float(self._loss_sum) / steps
        number = len(self.epochs) + 1
        if not (math.isfinite(train_loss) and math.isfinite(score.loss)):
            raise UsageError(
                f"training ran away: the loss of epoch {number} is not a number",
                where=f"learning rate {self.plan.learning_rate:g}, precision {self.plan.precision}",
                do="give a smaller --learning-rate, or --precision fp32",
            )
        best = self.epochs[self.best_epoch - 1] if self.best_epoch else None
        if best is None or (score.value, -score.loss) > (best.score, -best.validation_loss):
            self.best, self.best_epoch = state.snapshot(self._network), number
        epoch = Epoch(
            epoch=number,
            seconds=time.monotonic() - self._epoch_began,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=score.loss,
            score=score.value,
        )
        self.epochs, self._epoch_began = (*self.epochs, epoch), time.monotonic()
        self._loss_sum = torch.zeros_like(self._loss_sum)

    @property
    def tired(self) -> bool:
        """Whether `patience` epochs went by without a better one."""
        return 0 < self.plan.patience <= len(self.epochs) - self.best_epoch

    def save(self) -> None:
        """Write a checkpoint of this very step, unless it is there already."""
        if self._saved_step != self.step:
            standing = Standing(
                plan=self.plan,
                fingerprint=self._fingerprint,
                step=self.step,
                loss_sum=float(self._loss_sum),
                epoch_s=time.monotonic() - self._epoch_began,
                epochs=self.epochs,
                best_epoch=self.best_epoch,
                notes=self.notes,
            )
            checkpoint.save(self._folder, standing, state.gather(self._network, self._optimiser, self.best))
            self._saved_s, self._saved_step = time.monotonic(), self.step

    def save_when_due(self, *, epoch_ended: bool) -> None:
        """Save at an epoch's end when the last one is some seconds old, amid an epoch when it is a minute old."""
        if time.monotonic() - self._saved_s >= (SAVE_EPOCH_S if epoch_ended else SAVE_S):
            self.save()
