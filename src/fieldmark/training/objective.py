"""The one number that a training step lowers: a loss, and what a balance and a remedy for wrong labels add to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.training.balances import BALANCES, Balance
from fieldmark.training.batches import Batch
from fieldmark.training.distilling import Taught, taught
from fieldmark.training.job import Job
from fieldmark.training.losses import LOSSES, Formula, softened
from fieldmark.training.mixing import Mix
from fieldmark.training.plan import Plan
from fieldmark.training.remedies import REMEDIES, Remedy, drawn_to_memory, smallest
from fieldmark.training.state import Tensors

ANSWERS = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`counts` float64 [C]: images of each class in training. `trust` float32 [len(train)]: how much each image
    counts, None where all count alike. `remembered` is what changes from step to step, and so is part of a
    checkpoint: what a remedy knows of each image, float16 (ample for a probability) [len(train), C]."""

    formula: Formula
    task: Task
    smoothing: float
    balance: Balance
    counts: NDArray[np.float64]
    remedy: Remedy
    noise_rate: float
    trust: Tensor | None
    remembered: Tensors
    taught: Taught | None

    def __call__(self, logits: Tensor, batch: Batch, position: float, mix: Mix | None = None) -> Tensor:
        """Mean over the batch, a scalar; logits float32 [B, C], position in 0..1.

        Mixed images have mixed targets, and mixed weights. With several labels an image, one that both images have
        is wholly there, and one that a single image has is there by that image's share.
        """
        targets = batch.targets.to(logits.device)
        adjusted = logits
        if self.balance.offset:
            adjusted = logits + torch.from_numpy(self.balance.offset(self.counts)).to(logits)
        truth = softened(targets, logits.shape[1], self.task, self.smoothing)
        losses = self.formula(adjusted, mix.of(truth) if mix else truth)
        if self.taught:
            losses = self.taught.mixed(losses, logits, batch.rows, batch.mirrored)
        if self.balance.weight:
            weights = torch.from_numpy(self.balance.weight(self.counts, position)).to(logits)[targets]
            losses = losses * (mix.of(weights) if mix else weights)
        if self.trust is not None:
            trust = self.trust[batch.places].to(losses)
            losses = losses * (mix.of(trust) if mix else trust)
        if self.remedy.memory:
            answers = self.remembered[ANSWERS]
            pull, now = drawn_to_memory(logits, answers[batch.places].to(logits), self.remedy.memory)
            answers[batch.places] = now.to(answers)
            losses = losses + pull
        if self.remedy.kept:
            losses = smallest(losses, self.remedy.kept(self.noise_rate, position))
        return losses.mean()


def objective(job: Job, plan: Plan) -> Objective:
    """What the plan asks to be lowered. UsageError for a loss that is not for the job's kind of labels."""
    remedy = REMEDIES[plan.remedy]
    shape = (len(job.train), len(job.data.classes))
    return Objective(
        formula=LOSSES[plan.loss].of(job.data.task),
        task=job.data.task,
        smoothing=plan.label_smoothing,
        balance=BALANCES[plan.balance],
        counts=job.counts,
        remedy=remedy,
        noise_rate=plan.noise_rate,
        trust=None if job.trust is None else torch.from_numpy(job.trust),
        remembered={ANSWERS: torch.zeros(shape, dtype=torch.float16)} if remedy.memory else {},
        taught=taught(job, plan),
    )
