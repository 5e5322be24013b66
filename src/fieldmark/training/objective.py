"""The one number that a training step lowers: a loss, and what a balance adds to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.training.balances import BALANCES, Balance
from fieldmark.training.job import Job
from fieldmark.training.losses import LOSSES, Formula, softened
from fieldmark.training.mixing import Mix
from fieldmark.training.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`counts` float64 [C]: images of each class in training."""

    formula: Formula
    task: Task
    smoothing: float
    balance: Balance
    counts: NDArray[np.float64]

    def __call__(self, logits: Tensor, targets: Tensor, position: float, mix: Mix | None = None) -> Tensor:
        """Mean over the batch, a scalar; logits float32 [N, C], targets as in Dataset, position in 0..1.

        Mixed images have mixed targets, and mixed weights. With several labels an image, one that both images have
        is wholly there, and one that a single image has is there by that image's share.
        """
        if self.balance.offset:
            logits = logits + torch.from_numpy(self.balance.offset(self.counts)).to(logits)
        truth = softened(targets, logits.shape[1], self.task, self.smoothing)
        losses = self.formula(logits, mix.of(truth) if mix else truth)
        if self.balance.weight:
            weights = torch.from_numpy(self.balance.weight(self.counts, position)).to(logits)[targets]
            losses = losses * (mix.of(weights) if mix else weights)
        return losses.mean()


def objective(job: Job, plan: Plan) -> Objective:
    """What the plan asks to be lowered. UsageError for a loss that is not for the job's kind of labels."""
    return Objective(
        formula=LOSSES[plan.loss].of(job.data.task),
        task=job.data.task,
        smoothing=plan.label_smoothing,
        balance=BALANCES[plan.balance],
        counts=job.counts,
    )
