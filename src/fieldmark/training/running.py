"""A training run while it is under way: what has been reached, what was best, when it was last saved."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldmark.data.fingerprint import fingerprint
from fieldmark.errors import Interrupted, UsageError
from fieldmark.ranks import rank, world_size
from fieldmark.report.report import Epoch
from fieldmark.training import checkpoint, state
from fieldmark.training.averaging import Average
from fieldmark.training.checkpoint import Standing
from fieldmark.training.job import Job
from fieldmark.training.logbook import Log
from fieldmark.training.plan import Plan
from fieldmark.training.scoring import Score

CUT, MOST_CUTS = 0.3, 3  # of the learning rate, where the loss is no number; so often at most
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
    if (before := standing.plan.processes) != world_size():
        note = f"begun with {before} processes, and gone on with {world_size()}: alike but for rounding"
        resumed = replace(standing.plan, processes=world_size())
        standing = replace(standing, plan=resumed, notes=(*standing.notes, note))
    return standing, tensors


class Run:
    """The loop's account book: `plan` as it is being run, `step` steps done, `epochs` scored, `best` weights."""

    def __init__(
        self,
        standing: Standing,
        tensors: state.Tensors,
        network: nn.Module,
        optimiser: Optimizer,
        remembered: state.Tensors,
        folder: Path,
        log: Log,
    ) -> None:
        self.plan, self.step, self.epochs = standing.plan, standing.step, standing.epochs
        self.best_epoch, self.notes = standing.best_epoch, standing.notes
        self._loss_sum = torch.tensor(standing.loss_sum, dtype=torch.float64)
        self.best, averaged = state.put_back(tensors, network, optimiser, remembered) if tensors else ({}, {})
        self.average = Average(network, self.plan.average, averaged)
        self._network, self._optimiser, self._folder, self.log = network, optimiser, folder, log
        self._remembered = remembered  # by the objective, which changes it in place
        self._fingerprint = standing.fingerprint
        self._epoch_began = time.monotonic() - standing.epoch_s
        # What was just read from a checkpoint need not be written to it.
        self._saved_s, self._saved_step = (time.monotonic(), self.step) if tensors else (-math.inf, -1)
        self._good = self._copy()

    def stepped(self, value: Tensor, moved: float) -> None:
        """One optimiser step is done, which walked `moved` of the schedule; `value` is the batch's mean loss."""
        self.step += 1
        self.average.update(moved)
        self._loss_sum = self._loss_sum.to(value.device) + value.detach().double()

    def scored(self, score: Score, *, steps: int, learning_rate: float) -> None:
        """An epoch of `steps` is over, and the network holds the weights that were scored: they are kept where they
        are the best so far."""
        train_loss = float(self._loss_sum) / steps
        number = len(self.epochs) + 1
        if not (math.isfinite(train_loss) and math.isfinite(score.loss)):
            raise self._ran_away(f"the loss of epoch {number}")
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
        self.log.scored(self.step, epoch)
        self.epochs, self._epoch_began = (*self.epochs, epoch), time.monotonic()
        self._loss_sum = torch.zeros_like(self._loss_sum)

    def epoch_ended(self) -> None:
        """All of an epoch's business is done: this is where a loss that is no number would lead back to."""
        self._good = self._copy()

    @property
    def cut(self) -> float:
        """What the learning rate is multiplied with at this step, after losses that were no numbers."""
        return math.prod(factor for step, factor in self.plan.cuts if step <= self.step)

    def back_off(self) -> None:
        """The loss is no number: go back to where the epoch began, at a lower learning rate from there on.

        UsageError when that was done MOST_CUTS times already.
        """
        if len(self.plan.cuts) == MOST_CUTS:
            raise self._ran_away(f"the loss of step {self.step + 1}, after {MOST_CUTS} lower rates were tried,")
        standing, tensors = self._good
        note = f"the loss of step {self.step + 1} was no number: back to step {standing.step}, {CUT} of the rate on"
        self.best, averaged = state.put_back(tensors, self._network, self._optimiser, self._remembered)
        self.average = Average(self._network, self.plan.average, averaged)
        self._note(note)
        self.step = standing.step
        self._loss_sum = torch.tensor(standing.loss_sum, dtype=torch.float64)
        # The budget's refits of steps that are undone are undone with them.
        self.plan = replace(standing.plan, cuts=(*self.plan.cuts, (self.step, CUT)))

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once, at most."""
        return [self.plan.micro_batch or self.plan.batch, *self._halved][-1]

    @property
    def memory_suffices_for(self) -> int | None:
        """Images at once, where more did not go; None: nothing is known to be too much."""
        return min(self._halved, default=None)

    @property
    def _halved(self) -> list[int]:
        return [images for step, images in self.plan.halvings if step <= self.step]

    def halve(self, images: int) -> None:
        """Memory did not suffice for the step, of `images`: from here on half as many go through the network at once.

        UsageError when it was a single one already.
        """
        at_once = min(self.micro_batch, -(-images // world_size()))
        if at_once == 1:
            raise UsageError(
                "memory does not suffice for a single image",
                where="training, one image at a time",
                do="give a smaller --size or another --model, or a machine with more memory",
            )
        half = -(-at_once // 2)
        self._note(
            f"memory did not suffice for {at_once} images at once: from step {self.step + 1} on {half}, "
            f"gradients summed, so that the batch stays {self.plan.batch}"
        )
        self.plan = replace(self.plan, halvings=(*self.plan.halvings, (self.step, half)))

    @property
    def tired(self) -> bool:
        """Whether `patience` epochs went by without a better one."""
        return 0 < self.plan.patience <= len(self.epochs) - self.best_epoch

    def save(self) -> None:
        """Write a checkpoint of this very step, unless it is there already; the main process does."""
        if self._saved_step != self.step and rank() == 0:
            self.log.flush()
            checkpoint.save(self._folder, self._standing(), self._tensors())
            self._saved_s, self._saved_step = time.monotonic(), self.step

    def stop(self) -> Interrupted:
        """What to raise where the system asks for an end: nothing of what was reached is lost."""
        self.save()
        return Interrupted(
            f"training was told to end (SIGTERM), and did after step {self.step}",
            where=str(self._folder),
            do="go on with --resume",
        )

    @contextmanager
    def saved_where_interrupted(self) -> Iterator[None]:
        """For a block that leaves everything as it was where it is interrupted."""
        try:
            yield
        except Interrupted:
            self.save()
            raise

    def ended(self) -> tuple[str, ...]:
        """All steps are done; returns the notes of the run."""
        self.save()
        return (*self.notes, *self.log.ended(self.step, self.best_epoch))

    def _note(self, text: str) -> None:
        self.notes = (*self.notes, text)
        self.log.note(self.step, text)

    def _ran_away(self, what: str) -> UsageError:
        return UsageError(
            f"training ran away: {what} is not a number",
            where=f"learning rate {self.plan.learning_rate * self.cut:g}, precision {self.plan.precision}",
            do="give a smaller --learning-rate, or --precision fp32",
        )

    def _standing(self) -> Standing:
        return Standing(
            plan=self.plan,
            fingerprint=self._fingerprint,
            step=self.step,
            loss_sum=float(self._loss_sum),
            epoch_s=time.monotonic() - self._epoch_began,
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            notes=self.notes,
            log=self.log.mark,
        )

    def _copy(self) -> tuple[Standing, state.Tensors]:
        return self._standing(), {name: value.detach().clone() for name, value in self._tensors().items()}

    def _tensors(self) -> state.Tensors:
        return state.gather(self._network, self._optimiser, self.best, self.average.tensors, self._remembered)

    def save_when_due(self, *, epoch_ended: bool) -> None:
        """Save at an epoch's end when the last one is some seconds old, amid an epoch when it is a minute old."""
        if time.monotonic() - self._saved_s >= (SAVE_EPOCH_S if epoch_ended else SAVE_S):
            self.save()
