"""The training loop, whole. What it calls is a plain function in a file of that name beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from dataclasses import replace as with_rows

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from msgspec.structs import replace
from torch import Tensor
from torch.optim import Optimizer

from fieldmark.errors import OutOfTime
from fieldmark.ranks import rank
from fieldmark.report.report import Epoch
from fieldmark.training import listeners, optimisers, together
from fieldmark.training.augment import augment
from fieldmark.training.batches import Batches
from fieldmark.training.checkpoint import Standing
from fieldmark.training.determinism import deterministic, seed_of
from fieldmark.training.gradient import Gradient
from fieldmark.training.job import Job
from fieldmark.training.listeners import Audience
from fieldmark.training.logbook import Log
from fieldmark.training.network import Network
from fieldmark.training.objective import Aim, Objective, objective
from fieldmark.training.plan import Plan
from fieldmark.training.running import Run, begin_or_resume
from fieldmark.training.schedule import Pace, Refits, position, rate, refit
from fieldmark.training.scoring import Score, score, scoring_batch
from fieldmark.training.stopping import told_to_end
from fieldmark.training.winograd import winograd

FEWEST_STEPS = 10  # a budget that allows fewer is refused
# Kept back for each layer and each MB of weights, since a deep or a large network takes longer to ship: DenseNet-121
# with 370 layers took 10 s more than a budget of three minutes, EfficientNet-B0 with 246 one, VGG-16 with 540 MB two.
LAYER_S, MB_S = 0.03, 0.015
# What the finished graph takes to answer, over what the network takes here: onnxruntime 1.3 to 1.8 times as long.
GRAPH_OVER_NETWORK = 1.5


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
    that is no number, too little memory for one image. Interrupted: a process gone, or a SIGTERM; then the newest
    checkpoint has all that was reached.
    """
    together.meet()
    standing, tensors = begin_or_resume(job, together.agreed(plan, Plan))
    plan = standing.plan
    with _prepared(network, job, standing) as (told, log, batches):
        accelerator = _accelerator(plan.precision)
        model = accelerator.prepare_model(network, evaluation_mode=True)  # as it is: see Gradient
        optimiser = accelerator.prepare_optimizer(optimisers.build(network, plan))
        together.begin_alike(network)
        lowered = objective(job, plan)
        run = Run(standing, tensors, network, optimiser, lowered.remembered, job.run_folder, log)
        gradient = Gradient(model, lowered, accelerator)
        per_epoch = batches.per_epoch
        refits = plan.refits or ((0, max(1, round(plan.epochs * per_epoch))),)
        pace = None if job.deadline is None else Pace(job.deadline - _shipping_s(network))
        began, scoring_s = (time.monotonic(), run.step), _scoring_time(network, job, plan)

        while run.step < refits[-1][1] and not run.tired:
            if told():
                raise run.stop()
            at = position(run.step, refits)
            learning_rate = plan.learning_rate * run.cut * rate(at, plan.warmup, plan.schedule)
            with log.waiting():
                views, aim = _views(batches, lowered, run.step, at, plan)
            with run.saved_where_interrupted():
                value = gradient(views, aim, at, run.micro_batch)
            if value is None:
                run.halve(len(views))
                continue
            if not torch.isfinite(value):
                run.back_off()
                refits = run.plan.refits or refits[:1]
                continue
            _take_step(optimiser, accelerator, plan, learning_rate)
            run.stepped(value, position(run.step + 1, refits) - at)
            log.stepped(run.step, per_epoch, images=len(views), loss=float(value), learning_rate=learning_rate)

            if pace is not None and together.agreed(pace.measure(run.step, refits[-1][1]), bool):
                refits = _refitted(refits, pace, run, job, scoring_s, per_epoch)
            ended = run.step % per_epoch == 0 or run.step == refits[-1][1]
            if ended:
                scoring_s = _score(run, network, job, steps=(run.step - 1) % per_epoch + 1, rate=learning_rate)
            run.save_when_due(epoch_ended=ended)
            if ended and pace is not None:
                pace.begin(run.step)
            job.progress("train", run.step, refits[-1][1], _remark(run, refits[-1][1], began))

        notes = run.ended()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        network.load_state_dict(run.best)
        network.cpu().eval()
    return Fitted(epochs=run.epochs, best_epoch=run.best_epoch, score_name=plan.score, plan=run.plan, notes=notes)


@contextmanager
def _prepared(network: Network, job: Job, standing: Standing) -> Iterator[tuple[Callable[[], bool], Log, Batches]]:
    """Everything that is so while training runs, and not after: whether to end, whom to tell, what comes next."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    network.freeze(standing.plan.frozen_share)
    network.keeps_statistics = standing.plan.keeps_statistics
    network.train()
    with (
        deterministic(standing.plan.threads),
        winograd(network),
        told_to_end() as told,
        opened_log(job, standing) as log,
        closing(Batches(job, standing.plan)) as batches,
    ):
        yield told, log, batches


@contextmanager
def opened_log(job: Job, standing: Standing) -> Iterator[Log]:
    """The run's log, open from where the checkpoint was."""
    names = listeners.asked(job.recipe.log) if rank() == 0 else ()
    audience = Audience(names, job.run_folder, standing.step)
    log = Log(job.run_folder, standing.plan, standing.log, audience, standing.step)
    try:
        yield log
    finally:
        log.close()


def _accelerator(precision: str) -> Accelerator:
    # One process may train several networks; accelerate keeps the first one's precision for all unless told.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision)


def _views(batches: Batches, lowered: Objective, step: int, at: float, plan: Plan) -> tuple[Tensor, Aim]:
    """The whole batch of a step, uint8 [B, S, S, 3], and what the objective wants of it: alike in every process."""
    generator = torch.manual_seed(seed_of(plan.seed, step))  # dropout draws from it too
    batch = batches.at(step)
    views, mix = augment(batch.pixels, batch.mirrored, plan, generator)
    if rank():  # dropout draws on, and shall not drop the same in each process
        torch.manual_seed(seed_of(plan.seed, step, rank()))
    return views, lowered.aim(batch, at, mix)


def _take_step(optimiser: Optimizer, accelerator: Accelerator, plan: Plan, learning_rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["share"]
    if plan.clip:
        accelerator.clip_grad_norm_([w for group in optimiser.param_groups for w in group["params"]], plan.clip)
    optimiser.step()


def _score(run: Run, network: Network, job: Job, *, steps: int, rate: float) -> float:
    """An epoch of `steps` is over; returns the seconds that its scoring took."""
    with run.average.applied():
        reached = together.agreed(score(network, job, run.plan.score, run.memory_suffices_for), Score)
        run.scored(reached, steps=steps, learning_rate=rate)
    run.epoch_ended()
    return reached.seconds


def _scoring_time(network: Network, job: Job, plan: Plan) -> float:
    """Seconds that a scoring will take, judged by a few images: a slow network may not reach an epoch's end in time
    to learn it there. 0 where no budget asks."""
    if job.deadline is None:
        return 0.0
    some = job.validation[: scoring_batch(job)]
    few = with_rows(job, validation=some)
    score(network, few, plan.score)  # the first makes ready what all others use, and may take twice as long
    return score(network, few, plan.score).seconds * len(job.validation) / len(some)


def _refitted(refits: Refits, pace: Pace, run: Run, job: Job, scoring_s: float, per_epoch: int) -> Refits:
    after_s = GRAPH_OVER_NETWORK * scoring_s * _still_to_answer(job, run.plan)
    affordable = pace.affordable(run.step, scoring_s=scoring_s, per_epoch=per_epoch, after_s=after_s)
    affordable = together.agreed(affordable, int)
    refits = refit(refits, run.step, _enough(affordable), longest=refits[0][1])
    run.plan = replace(run.plan, refits=refits, epochs=refits[-1][1] / per_epoch)
    return refits


def _shipping_s(network: Network) -> float:
    """Seconds that what is not answering takes beyond what every budget keeps back."""
    layers = sum(not any(True for _ in module.children()) for module in network.modules())
    size_mb: float = sum(tensor.nbytes for tensor in network.state_dict().values()) / 1e6
    return LAYER_S * layers + MB_S * size_mb


def _still_to_answer(job: Job, plan: Plan) -> float:
    """How many times the validation part the finished graph will answer, to be calibrated and tested."""
    return (2 if plan.mirror else 1) * (1 + len(job.test) / len(job.validation))


def _enough(affordable: int) -> int:
    if affordable < FEWEST_STEPS:
        raise OutOfTime(
            f"the time budget leaves next to none for training: {max(0, affordable)} steps, and fewer than "
            f"{FEWEST_STEPS} teach nothing",
            where="--budget",
            do="give more time, or a smaller --size, --model or --batch",
        )
    return affordable


def _remark(run: Run, total: int, began: tuple[float, int]) -> str:
    """The newest figures and the time left at the mean speed so far."""
    left_s = (time.monotonic() - began[0]) / (run.step - began[1]) * (total - run.step)
    newest = f"best {run.epochs[run.best_epoch - 1].score:.4f}, " if run.best_epoch else ""
    return f"epoch {len(run.epochs) + (run.step < total)}, {newest}{left_s:.0f} s left"
