"""The one number that a training step lowers: a loss, and what a balance and a remedy for wrong labels add to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.measures.label_noise import spread
from fieldmark.training.balances import BALANCES, Balance
from fieldmark.training.batches import Batch
from fieldmark.training.distilling import Taught, taught
from fieldmark.training.job import Job
from fieldmark.training.losses import LOSSES, Formula, softened
from fieldmark.training.mixing import Mix
from fieldmark.training.plan import Plan
from fieldmark.training.remedies import REMEDIES, Memory, Remedy, held_apart, posterior, pull, renewed, smallest
from fieldmark.training.state import Tensors

ANSWERS = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is wanted of the answers to a batch: `truth` float32 [B, C]; `weight` float32 [B] of each image, None
    where all count alike; `places` int64 [B] among the job's training rows, `rows` int64 [B] of its data, `mirrored`
    bool [B]: seen so."""

    truth: Tensor
    weight: Tensor | None
    places: Tensor
    rows: Tensor
    mirrored: Tensor

    def part(self, some: slice) -> Aim:
        """Of some of the images."""
        return Aim(
            truth=self.truth[some],
            weight=None if self.weight is None else self.weight[some],
            places=self.places[some],
            rows=self.rows[some],
            mirrored=self.mirrored[some],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`counts` float64 [C]: images of each class in training. `trust` float32 [len(train)]: how much each image
    counts, None where all count alike. `remembered` is what changes from step to step, and so is part of a
    checkpoint: what a remedy knows of each image, float16 (ample for a probability) [len(train), C].
    `mixed` float32 [C, C], where the remedy goes by it: the probability of a label (row) given the truth (column)."""

    formula: Formula
    task: Task
    smoothing: float
    balance: Balance
    counts: NDArray[np.float64]
    remedy: Remedy
    noise_rate: float
    trust: Tensor | None
    remembered: Tensors
    mixed: Tensor | None
    taught: Taught | None

    def aim(self, batch: Batch, position: float, mix: Mix | None = None) -> Aim:
        """At a position of the schedule in 0..1.

        Mixed images have mixed targets, and mixed weights. With several labels an image, one that both images have
        is wholly there, and one that a single image has is there by that image's share.
        """
        truth = softened(batch.targets, len(self.counts), self.task, self.smoothing)
        weights = []
        if self.balance.weight:
            weights.append(torch.from_numpy(self.balance.weight(self.counts, position)).float()[batch.targets])
        if self.trust is not None:
            weights.append(self.trust[batch.places])
        weight = torch.stack(weights).prod(0) if weights else None
        if mix:
            truth, weight = mix.of(truth), None if weight is None else mix.of(weight)
        return Aim(truth=truth, weight=weight, places=batch.places, rows=batch.rows, mirrored=batch.mirrored)

    def __call__(self, logits: Tensor, aim: Aim, position: float) -> Tensor:
        """Mean over the images, a scalar; logits float32 [B, C], position in 0..1."""
        adjusted = logits
        if self.balance.offset:
            adjusted = logits + torch.from_numpy(self.balance.offset(self.counts)).to(logits)
        truth = aim.truth.to(logits.device)
        memory = self.remedy.memory
        if memory:
            remembered = self._renewed(logits if memory.strength else adjusted, aim, memory)
            if self.mixed is not None:
                truth = posterior(truth @ self.mixed.to(truth), remembered)
        losses = self.formula(adjusted, truth)
        if self.taught:
            losses = self.taught.mixed(losses, logits, aim.rows, aim.mirrored)
        if aim.weight is not None:
            losses = losses * aim.weight.to(losses)
        if memory and memory.strength:
            losses = losses + memory.strength * pull(logits, remembered)
        if self.remedy.kept:
            losses = smallest(losses, self.remedy.kept(self.noise_rate, position))
        return losses.mean()

    def _renewed(self, logits: Tensor, aim: Aim, memory: Memory) -> Tensor:
        answers = self.remembered[ANSWERS]
        now = renewed(answers[aim.places].to(logits), logits, memory.keeps)
        answers[aim.places] = now.to(answers)
        return now


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
        mixed=_mixed(job, plan) if remedy.corrects else None,
        taught=taught(job, plan),
    )


def _mixed(job: Job, plan: Plan) -> Tensor:
    """As estimated, or, where the rate was given instead, spread over all classes alike."""
    mixed = spread(plan.noise_rate, len(job.data.classes)) if job.mixed is None else job.mixed
    return torch.from_numpy(held_apart(mixed)).float()
