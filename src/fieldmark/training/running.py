"""A training run while it is under way: what has been reached, what was best, when it was last saved."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldmark.errors import UsageError
from fieldmark.report.report import Epoch
from fieldmark.training import checkpoint, state
from fieldmark.training.checkpoint import Standing
from fieldmark.training.plan import Plan
from fieldmark.training.scoring import Score

SAVE_EPOCH_S, SAVE_S = 5.0, 60.0  # at an epoch's end when the last save is so old; amid an epoch when so old


@dataclass(kw_only=True)
class Run:
    """The loop's account book. `folder` None: nothing is saved. `epoch_s` counts only time spent training."""

    network: nn.Module
    optimiser: Optimizer
    plan: Plan
    folder: Path | None
    fingerprint: str
    step: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    epochs: tuple[Epoch, ...] = ()
    best: state.Tensors = field(default_factory=dict)
    best_epoch: int = 0
    notes: tuple[str, ...] = ()
    epoch_began: float = field(default_factory=time.monotonic)
    saved: float = -math.inf
    saved_step: int = -1

    def resume(self) -> None:
        """Take up the newest checkpoint in `folder`; UsageError where there is none, or it is of other data."""
        if self.folder is None:
            raise UsageError("nothing to resume", where="--resume", do="name the folder of the run")
        standing, tensors = checkpoint.load(self.folder)
        if standing.fingerprint != self.fingerprint:
            raise UsageError(
                "the data has changed since the run that you want to resume",
                where=str(self.folder),
                do="put the data back as it was, or start again without --resume",
            )
        self.best = state.put_back(tensors, self.network, self.optimiser)
        self.plan, self.step, self.epochs = standing.plan, standing.step, standing.epochs
        self.best_epoch, self.notes = standing.best_epoch, standing.notes
        self.loss_sum.fill_(standing.loss_sum)
        self.epoch_began = time.monotonic() - standing.epoch_s
        self.saved, self.saved_step = time.monotonic(), self.step

    def stepped(self, value: Tensor) -> None:
        """One optimiser step is done; `value` is the batch's mean loss."""
        self.step += 1
        self.loss_sum = self.loss_sum.to(value.device) + value.detach().double()

    def scored(self, score: Score, *, steps: int, learning_rate: float) -> None:
        """An epoch of `steps` is over. Keeps its weights where it is the best so far."""
        train_loss = float(self.loss_sum) / steps
        number = len(self.epochs) + 1
        if not (math.isfinite(train_loss) and math.isfinite(score.loss)):
            raise UsageError(
                f"training ran away: the loss of epoch {number} is not a number",
                where=f"learning rate {self.plan.learning_rate:g}, precision {self.plan.precision}",
                do="give a smaller --learning-rate, or --precision fp32",
            )
        best = self.epochs[self.best_epoch - 1] if self.best_epoch else None
        if best is None or (score.value, -score.loss) > (best.score, -best.validation_loss):
            self.best, self.best_epoch = state.snapshot(self.network), number
        epoch = Epoch(
            epoch=number,
            seconds=time.monotonic() - self.epoch_began,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=score.loss,
            score=score.value,
        )
        self.epochs, self.epoch_began = (*self.epochs, epoch), time.monotonic()
        self.loss_sum = torch.zeros_like(self.loss_sum)

    @property
    def tired(self) -> bool:
        """Whether `patience` epochs went by without a better one."""
        return 0 < self.plan.patience <= len(self.epochs) - self.best_epoch

    def save(self) -> None:
        """Write a checkpoint of this very step, unless it is there already."""
        if self.folder is not None and self.saved_step != self.step:
            standing = Standing(
                plan=self.plan,
                fingerprint=self.fingerprint,
                step=self.step,
                loss_sum=float(self.loss_sum),
                epoch_s=time.monotonic() - self.epoch_began,
                epochs=self.epochs,
                best_epoch=self.best_epoch,
                notes=self.notes,
            )
            checkpoint.save(self.folder, standing, state.gather(self.network, self.optimiser, self.best))
            self.saved, self.saved_step = time.monotonic(), self.step

    def save_when_due(self, *, epoch_ended: bool) -> None:
        """Save at an epoch's end when the last one is some seconds old, amid an epoch when it is a minute old."""
        if time.monotonic() - self.saved >= (SAVE_EPOCH_S if epoch_ended else SAVE_S):
            self.save()
