"""The training loop, whole. What it calls is a plain function in a file of that name beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.errors import UsageError
from fieldmark.report.report import Epoch
from fieldmark.training import optimisers
from fieldmark.training.augment import augment
from fieldmark.training.determinism import deterministic, seed_of
from fieldmark.training.job import Job
from fieldmark.training.losses import loss
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.running import Run, begin_or_resume
from fieldmark.training.schedule import Pace, position, rate, refit
from fieldmark.training.scoring import score, score_name

FEWEST_STEPS = 10  # a budget that allows fewer is refused
FIRST_SIDES = 2**32  # no epoch has this number, so its order is free to say which side of an image comes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What training came to; the best epoch's weights are in the network. `plan` as it was run: give it again, with
    the same data and machine, and the same bytes come out. Epochs count from 1."""

    epochs: tuple[Epoch, ...]
    best_epoch: int
    score_name: str
    plan: Plan
    notes: tuple[str, ...] = ()


def fit(network: Network, job: Job, plan: Plan) -> Fitted:
    """Train `network` on the job's training rows; leave the best epoch's weights in it, on the CPU, in eval mode.

    Checkpoints go to the job's run folder; with `resume` the newest one's plan and state are taken up, and the
    weights come out as if the run had never stopped. A `deadline` fits the schedule to the speed that is seen: the
    learning rate still falls to nought. UsageError: a budget for next to nothing, a checkpoint of other data, a loss
    that is no number.
    """
    standing, tensors = begin_or_resume(job, plan)
    plan = standing.plan
    with deterministic(plan.threads):
        accelerator = _accelerator(plan.precision)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        network.train()
        model, optimiser = accelerator.prepare(network, optimisers.build(network, plan))
        run = Run(standing, tensors, network, optimiser, job.run_folder)
        per_epoch = max(1, len(job.train) // plan.batch)
        refits = plan.refits or ((0, max(1, round(plan.epochs * per_epoch))),)
        pace = None if job.deadline is None else Pace(job.deadline, run.step)
        began, scoring_s = (time.monotonic(), run.step), 0.0

        while run.step < refits[-1][1] and not run.tired:
            epoch, index = divmod(run.step, per_epoch)
            generator = torch.manual_seed(seed_of(plan.seed, run.step))  # dropout draws from it too
            pixels, truth, mirrored = _batch(job, plan, epoch, index)
            views = augment(pixels, mirrored, plan, generator)
            learning_rate = plan.learning_rate * rate(position(run.step, refits), plan.warmup)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * group["share"]

            logits = model(views.to(accelerator.device))[1]
            value = loss(logits, truth.to(accelerator.device), job.data.task, smoothing=plan.label_smoothing)
            optimiser.zero_grad()
            accelerator.backward(value)
            optimiser.step()
            run.stepped(value)

            if pace is not None and pace.measure(run.step):
                after_s = scoring_s * _still_to_answer(job, plan)
                affordable = pace.affordable(run.step, scoring_s=scoring_s, per_epoch=per_epoch, after_s=after_s)
                refits = refit(refits, run.step, _enough(affordable), longest=refits[0][1])
                run.plan = replace(plan, refits=refits, epochs=refits[-1][1] / per_epoch)
            ended = run.step % per_epoch == 0 or run.step == refits[-1][1]
            if ended:
                reached = score(network, job.pixels, job.data.targets, job.validation, job.data.task)
                run.scored(reached, steps=index + 1, learning_rate=learning_rate)
                scoring_s = reached.seconds
            run.save_when_due(epoch_ended=ended)
            job.progress("train", run.step, refits[-1][1], _remark(run, refits[-1][1], began))

        run.save()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        network.load_state_dict(run.best)
        network.cpu().eval()
    name = score_name(job.data.task)
    return Fitted(epochs=run.epochs, best_epoch=run.best_epoch, score_name=name, plan=run.plan, notes=run.notes)


def _accelerator(precision: str) -> Accelerator:
    # One process may train several networks; accelerate keeps the first one's precision for all unless told.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision)


@lru_cache(maxsize=2)
def _order(images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(images)


def _batch(job: Job, plan: Plan, epoch: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 pixels [B, S, S, 3], their targets, and bool [B]: mirrored in this epoch.

    Each image is mirrored in every other epoch, from a random first side: two epochs show both (Jordan 2024).
    """
    chosen = _order(len(job.train), plan.seed, epoch)[index * plan.batch : (index + 1) * plan.batch]
    first_side = _order(len(job.train), plan.seed, FIRST_SIDES)[chosen] % 2
    mirrored = (first_side + epoch) % 2 == 1 if plan.flip else np.zeros(len(chosen), bool)
    rows = job.train[chosen]
    pixels, targets = job.pixels[rows], job.data.targets[rows]
    return torch.from_numpy(pixels), torch.from_numpy(targets), torch.from_numpy(mirrored)


def _still_to_answer(job: Job, plan: Plan) -> float:
    """How many times the validation part the finished graph will answer, to be calibrated and tested."""
    return (2 if plan.mirror else 1) * (1 + len(job.test) / len(job.validation))


def _enough(affordable: int) -> int:
    if affordable < FEWEST_STEPS:
        raise UsageError(
            "the time budget leaves next to none for training",
            where="--budget",
            do="give more time, or a smaller --size, --model or --batch",
        )
    return affordable


def _remark(run: Run, total: int, began: tuple[float, int]) -> str:
    """The newest figures and the time left at the mean speed so far."""
    left_s = (time.monotonic() - began[0]) / (run.step - began[1]) * (total - run.step)
    newest = f"best {run.epochs[run.best_epoch - 1].score:.4f}, " if run.best_epoch else ""
    return f"epoch {len(run.epochs) + (run.step < total)}, {newest}{left_s:.0f} s left"
