"""Every "auto" of a recipe becomes a value, with a line that says why."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

import msgspec
import torch

from fieldmark.cores import available_cores
from fieldmark.encoders.row import SMALL_PX
from fieldmark.errors import UsageError
from fieldmark.ranks import local_world_size, world_size
from fieldmark.training import together
from fieldmark.training.choosing_views import choose_views
from fieldmark.training.job import Job
from fieldmark.training.lessons import choose_lessons
from fieldmark.training.network import Network
from fieldmark.training.optimisers import OPTIMISERS, Optimiser
from fieldmark.training.plan import Plan
from fieldmark.training.precision import Precision, Speed, fastest_precision
from fieldmark.training.recipe import Recipe
from fieldmark.training.schedule import SCHEDULES
from fieldmark.training.settled import settled
from fieldmark.training.speed import Speeds

FROZEN = 0.5
# Of a budget: what learning has of it, about; how many steps it should allow at least; what mirror images may take.
LEARNING_SHARE, STEPS, MIRROR_SHARE = 0.6, 64, 0.15
MOST_PASSES = 40.0  # under a budget, from scratch


def plan(job: Job, *, pretrained: bool, network: Network | None = None) -> tuple[Plan, tuple[str, ...]]:
    """The job's recipe with nothing left to decide for the training loop, and one line for each choice that was made.

    Under a budget `network` is timed, if it is given, and what it can do in that time has a say. UsageError for a
    setting that cannot be followed on this machine.
    """
    recipe, size_px, images = job.recipe, job.choice.geometry.size_px, len(job.train)
    threads = threads_for(recipe)
    choices: list[str] = []
    settle = partial(settled, choices)

    small = size_px <= SMALL_PX
    optimiser = settle("optimiser", recipe.optimiser, *_optimiser(job.choice.row.optimiser, pretrained))
    row = OPTIMISERS[optimiser]
    speeds = None if network is None else Speeds(network, job, threads)
    precision = precision_for(job, speeds)
    left = _left(job, speeds, precision[0])
    most = 32 if pretrained else row.largest_batch
    batch = settle("batch", recipe.batch, *_batch(images, most, left))
    _refuse_more_than_there_are(recipe.batch, images)
    _refuse_frozen_noise(recipe.frozen_share, pretrained)
    epochs = settle("epochs", recipe.epochs, *_epochs(images, pretrained, recipe.budget != "none"))
    steps = _steps(images, batch, epochs, left)
    views = choose_views(job, epochs=epochs, batch=batch)
    choices.extend(views.reasons)
    mirror = settle("mirror", _yes(recipe.mirror), *_mirror(views.flip, small, pretrained, job, left))
    _refuse_mirrors_unseen(views.flip, mirror)
    schedule = settle("schedule", recipe.schedule, "cosine", "a late fall, gentle at its end")
    return (
        Plan(
            epochs=epochs,
            batch=batch,
            micro_batch=recipe.micro_batch,
            optimiser=optimiser,
            learning_rate=settle("learning rate", recipe.learning_rate, *_rate(job, row, batch, steps, pretrained)),
            weight_decay=settle("weight decay", recipe.weight_decay, *row.decay),
            first_layer_rate=0.3 if pretrained else 1.0,
            frozen_share=settle("frozen share", recipe.frozen_share, *_frozen(pretrained)),
            keeps_statistics=pretrained,
            schedule=schedule,
            warmup=settle("warmup", recipe.warmup, SCHEDULES[schedule].warmup, f"usual for {schedule}"),
            clip=recipe.clip,
            average=0.05 if pretrained else 0.0,
            **msgspec.structs.asdict(choose_lessons(job, views.augment, choices)),
            augment=views.augment,
            flip=views.flip,
            mirror=mirror,
            crop_scale=views.crop_scale,
            shift_px=views.shift_px,
            patience=settle("patience", recipe.patience, 0, "the last epochs, at the lowest rate, gain the most"),
            precision=settle("precision", recipe.precision, *precision),
            threads=settle("threads", recipe.threads, threads, "the processors that this process may use"),
            processes=world_size(),
            seed=recipe.seed,
        ),
        tuple(choices),
    )


def _refuse_mirrors_unseen(flip: bool, mirror: bool) -> None:
    if mirror and not flip:
        raise UsageError(
            "the network would answer for mirrored images, and never saw one in training",
            where="--mirror yes, flip = no",
            do="drop --mirror, or train with --flip yes",
        )


def _frozen(pretrained: bool) -> tuple[float, str]:
    if not pretrained:
        return 0.0, "from scratch every layer has all to learn"
    if torch.cuda.is_available():
        return 0.0, "a GPU has the time to move all layers"
    return (
        FROZEN,
        "the first layers see what all photos have in common; the others learn twice as often in the same time",
    )


def _refuse_frozen_noise(asked: float | Literal["auto"], pretrained: bool) -> None:
    if asked != "auto" and asked > 0 and not pretrained:
        raise UsageError(
            "layers that were never trained would stay as they are",
            where=f"--frozen-share {asked:g}, weights = none",
            do="drop it, or start from weights with --weights",
        )


def _yes(asked: Literal["auto", "yes", "no"]) -> bool | Literal["auto"]:
    return "auto" if asked == "auto" else asked == "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """What a budget leaves: seconds, and how fast the network is."""

    seconds: float
    speed: Speed


def _left(job: Job, speeds: Speeds | None, precision: Precision) -> _Left | None:
    """None where no budget asks, and on a GPU, which is quick enough not to."""
    if speeds is None or job.deadline is None or torch.cuda.is_available():
        return None
    speed = together.agreed(speeds[precision], Speed)
    return _Left(seconds=max(0.0, job.deadline - time.monotonic()), speed=speed)


def _batch(images: int, most: int, left: _Left | None) -> tuple[int, str]:
    usual = max(8, min(most, _power_of_two(images // 16)))
    if left is None:
        return usual, "at least 16 steps a pass"
    affordable = _power_of_two(int(LEARNING_SHARE * left.seconds * left.speed.learning / STEPS))
    if affordable >= usual:
        return usual, "at least 16 steps a pass"
    return max(8, affordable), f"about {STEPS} steps at least in the budget, at {left.speed.learning:.0f} images/s"


def _power_of_two(most: int) -> int:
    return 1 << (max(1, most).bit_length() - 1)


def _refuse_more_than_there_are(batch: int | Literal["auto"], images: int) -> None:
    if batch != "auto" and batch > images:
        raise UsageError(
            f"a batch of {batch:,} is larger than the {images:,} images that there are to train on",
            where=f"--batch {batch}",
            do=f"give at most {images:,}, or leave --batch out",
        )


def _optimiser(from_scratch: str, pretrained: bool) -> tuple[str, str]:
    return ("adamw", "gentle on pretrained weights") if pretrained else (from_scratch, "best for it from scratch")


def _steps(images: int, batch: int, epochs: float, left: _Left | None) -> float:
    """About so many there will be: of all epochs, or, if those are fewer, for which there is time in the budget."""
    affordable = left.seconds * left.speed.learning / batch if left else math.inf
    return max(1.0, min(epochs * max(1, images // batch), affordable))


def _rate(job: Job, optimiser: Optimiser, batch: int, steps: float, pretrained: bool) -> tuple[float, str]:
    (rate, why), share = optimiser.rate(batch, steps, pretrained), job.choice.row.rate_share
    if pretrained or share == 1.0:
        return rate, why
    return share * rate, f"{share:g} of what is {why}, as suits this network"


def _mirror(flip: bool, small: bool, pretrained: bool, job: Job, left: _Left | None) -> tuple[bool, str]:
    if not flip:
        return False, "mirrored images were no part of training"
    again_s = (len(job.validation) + len(job.test)) / left.speed.answering if left else 0.0
    if left and again_s > MIRROR_SHARE * left.seconds:
        return False, f"to answer for mirror images as well would take {again_s:.0f} s of the budget"
    if small and not pretrained:
        return True, "answers are the mean of an image and its mirror image; the network is small, so twice is quick"
    return False, "it would double the time of every prediction; --mirror yes where a point counts more"


def _epochs(images: int, pretrained: bool, budget: bool) -> tuple[float, str]:
    if budget:
        return (20.0 if pretrained else MOST_PASSES), "at most; the budget decides"
    fewest, most, views = (5, 15, 15_000) if pretrained else (12, 30, 18_000)
    why = f"{fewest} passes, or up to {most} where there are few images"
    return float(min(most, max(fewest, views // max(1, images)))), why


def threads_for(recipe: Recipe) -> int:
    """As asked, or this process's share of the processors."""
    return max(1, available_cores() // local_world_size()) if recipe.threads == "auto" else recipe.threads


def precision_for(job: Job, speeds: Speeds | None) -> tuple[Precision, str]:
    """As asked, or that in which the network of these `speeds` learns fastest."""
    asked = job.recipe.precision
    if asked == "fp16" and not torch.cuda.is_available():
        raise UsageError(
            "fp16 arithmetic needs a GPU", where="--precision fp16", do="use --precision auto, bf16 or fp32"
        )
    if asked != "auto":
        return asked, "as asked"
    if speeds is None:
        return fastest_precision(None, 0)
    pixels = len(job.train) * job.choice.geometry.size_px**2
    return fastest_precision(lambda precision: speeds[precision].learning, pixels)
