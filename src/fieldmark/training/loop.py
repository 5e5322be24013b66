"""The training loop, whole. What it calls is a plain function in a file of that name beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from dataclasses import replace as with_rows

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from msgspec.structs import replace

from fieldmark.errors import OutOfTime
from fieldmark.report.report import Epoch
from fieldmark.training import optimisers
from fieldmark.training.augment import augment
from fieldmark.training.batches import Batches
from fieldmark.training.determinism import deterministic, seed_of
from fieldmark.training.job import Job
from fieldmark.training.network import Network
from fieldmark.training.objective import objective
from fieldmark.training.plan import Plan
from fieldmark.training.running import Run, begin_or_resume
from fieldmark.training.schedule import Pace, Refits, position, rate, refit
from fieldmark.training.scoring import SCORING_BATCH, score

FEWEST_STEPS = 10  # a budget that allows fewer is refused


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
        lowered = objective(job, plan)
        batches = Batches(job, plan)
        per_epoch = batches.per_epoch
        refits = plan.refits or ((0, max(1, round(plan.epochs * per_epoch))),)
        pace = None if job.deadline is None else Pace(job.deadline, run.step)
        began, scoring_s = (time.monotonic(), run.step), _scoring_time(network, job, plan)

        while run.step < refits[-1][1] and not run.tired:
            generator = torch.manual_seed(seed_of(plan.seed, run.step))  # dropout draws from it too
            at = position(run.step, refits)
            pixels, truth, mirrored = batches.at(run.step)
            views = augment(pixels, mirrored, plan, generator)
            learning_rate = plan.learning_rate * run.cut * rate(at, plan.warmup)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * group["share"]

            logits = model(views.to(accelerator.device))[1]
            value = lowered(logits, truth.to(accelerator.device), at)
            if not torch.isfinite(value):
                run.back_off()
                refits = run.plan.refits or refits[:1]
                continue
            optimiser.zero_grad()
            accelerator.backward(value)
            optimiser.step()
            run.stepped(value, position(run.step + 1, refits) - at)

            if pace is not None and pace.measure(run.step):
                refits = _refitted(refits, pace, run, job, scoring_s, per_epoch)
            ended = run.step % per_epoch == 0 or run.step == refits[-1][1]
            if ended:
                with run.average.applied():
                    reached = score(network, job, plan.score)
                    run.scored(reached, steps=(run.step - 1) % per_epoch + 1, learning_rate=learning_rate)
                scoring_s = reached.seconds
                run.epoch_ended()
            run.save_when_due(epoch_ended=ended)
            job.progress("train", run.step, refits[-1][1], _remark(run, refits[-1][1], began))

        run.save()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        network.load_state_dict(run.best)
        network.cpu().eval()
    return Fitted(epochs=run.epochs, best_epoch=run.best_epoch, score_name=plan.score, plan=run.plan, notes=run.notes)


def _accelerator(precision: str) -> Accelerator:
    # One process may train several networks; accelerate keeps the first one's precision for all unless told.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision)


def _scoring_time(network: Network, job: Job, plan: Plan) -> float:
    """Seconds that a scoring will take, judged by a few images: a slow network may not reach an epoch's end in time
    to learn it there. 0 where no budget asks."""
    if job.deadline is None:
        return 0.0
    some = job.validation[:SCORING_BATCH]
    return score(network, with_rows(job, validation=some), plan.score).seconds * len(job.validation) / len(some)


def _refitted(refits: Refits, pace: Pace, run: Run, job: Job, scoring_s: float, per_epoch: int) -> Refits:
    after_s = scoring_s * _still_to_answer(job, run.plan)
    affordable = pace.affordable(run.step, scoring_s=scoring_s, per_epoch=per_epoch, after_s=after_s)
    refits = refit(refits, run.step, _enough(affordable), longest=refits[0][1])
    run.plan = replace(run.plan, refits=refits, epochs=refits[-1][1] / per_epoch)
    return refits


def _still_to_answer(job: Job, plan: Plan) -> float:
    """How many times the validation part the finished graph will answer, to be calibrated and tested."""
    return (2 if plan.mirror else 1) * (1 + len(job.test) / len(job.validation))


def _enough(affordable: int) -> int:
    if affordable < FEWEST_STEPS:
        raise OutOfTime(
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
