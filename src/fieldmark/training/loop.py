"""The training loop, whole. What it calls is a plain function in a file of that name beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.dataset import Task
from fieldmark.errors import UsageError
from fieldmark.progress import Progress, silent
from fieldmark.report.report import Epoch
from fieldmark.training import checkpoint, optimisers
from fieldmark.training.augment import augment
from fieldmark.training.determinism import deterministic, seed_of
from fieldmark.training.losses import loss
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.running import Run
from fieldmark.training.schedule import Pace, position, rate, refit
from fieldmark.training.scoring import score, score_name

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


def fit(
    network: Network,
    pixels: NDArray[np.uint8],
    targets: NDArray[Any],
    validation_pixels: NDArray[np.uint8],
    validation_targets: NDArray[Any],
    task: Task,
    plan: Plan,
    *,
    run_folder: Path | None = None,
    fingerprint: str = "",
    deadline: float | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> Fitted:
    """Train `network` on uint8 pixels [N, S, S, 3] and targets as in Dataset; leave the best epoch's weights in it.

    `run_folder` receives checkpoints; with `resume` the newest one's plan and state are taken up, and the weights
    come out as if the run had never stopped. `fingerprint` is of the data: a checkpoint of other data is refused.
    `deadline` (seconds of `time.monotonic`) fits the schedule to the speed that is seen: the learning rate still
    falls to nought. UsageError: a budget for next to nothing, nothing to resume, a loss that is no number.
    """
    if run_folder is not None and not resume:
        checkpoint.clear(run_folder)
    with deterministic(plan.threads):
        accelerator = _accelerator(plan.precision)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        network.train()
        model, optimiser = accelerator.prepare(network, optimisers.build(network, plan))
        run = Run(network=network, optimiser=optimiser, plan=plan, folder=run_folder, fingerprint=fingerprint)
        if resume:
            run.resume()
        plan, per_epoch = run.plan, max(1, len(pixels) // run.plan.batch)
        refits = plan.refits or ((0, max(1, round(plan.epochs * per_epoch))),)
        pace = None if deadline is None else Pace(deadline=deadline, step=run.step)
        scoring_s, began = 0.0, (time.monotonic(), run.step)

        while run.step < refits[-1][1] and not run.tired:
            epoch, index = divmod(run.step, per_epoch)
            rows = _order(len(pixels), plan.seed, epoch)[index * plan.batch : (index + 1) * plan.batch]
            generator = torch.manual_seed(seed_of(plan.seed, run.step))  # dropout draws from it too
            mirrored = _mirrored(len(pixels), rows, epoch, plan)
            views = augment(torch.from_numpy(pixels[rows]), mirrored, plan, generator)
            truth = torch.from_numpy(targets[rows]).to(accelerator.device)
            learning_rate = plan.learning_rate * rate(position(run.step, refits), plan.warmup)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate

            value = loss(model(views.to(accelerator.device))[1], truth, task, smoothing=plan.label_smoothing)
            optimiser.zero_grad()
            accelerator.backward(value)
            optimiser.step()
            run.stepped(value)

            if pace is not None and pace.measure(run.step):
                affordable = pace.affordable(run.step, scoring_s=scoring_s, per_epoch=per_epoch)
                refits = refit(refits, run.step, _enough(affordable), longest=refits[0][1])
                run.plan = replace(plan, refits=refits, epochs=refits[-1][1] / per_epoch)
            ended = run.step % per_epoch == 0 or run.step == refits[-1][1]
            if ended:
                reached = score(network, validation_pixels, validation_targets, task)
                run.scored(reached, steps=index + 1, learning_rate=learning_rate)
                scoring_s = reached.seconds
            run.save_when_due(epoch_ended=ended)
            progress("train", run.step, refits[-1][1], _remark(run, refits[-1][1], began))

        run.save()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        network.load_state_dict(run.best)
        network.cpu().eval()
    return Fitted(
        epochs=run.epochs, best_epoch=run.best_epoch, score_name=score_name(task), plan=run.plan, notes=run.notes
    )


def _accelerator(precision: str) -> Accelerator:
    # One process may train several networks; accelerate keeps the first one's precision for all unless told.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision)


@lru_cache(maxsize=1)
def _order(images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(images)


@lru_cache(maxsize=1)
def _first_sides(images: int, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng((seed, images)).random(images) < 0.5


def _mirrored(images: int, rows: NDArray[np.int64], epoch: int, plan: Plan) -> Tensor:
    """Each image mirrored in every other epoch, from a random first side: two epochs show both (Jordan 2024)."""
    sides = _first_sides(images, plan.seed)[rows] ^ (epoch % 2 == 1)
    return torch.from_numpy(sides & plan.flip)


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
    return f"epoch {len(run.epochs) + 1}, {newest}{left_s:.0f} s left"
