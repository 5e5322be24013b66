"""Every "auto" of a recipe becomes a value, with a line that says why."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.cores import available_cores
from fieldmark.data.dataset import Task
from fieldmark.encoders.row import SMALL_PX, Optimiser
from fieldmark.errors import UsageError
from fieldmark.training.balances import BALANCES
from fieldmark.training.job import Job
from fieldmark.training.plan import Plan, ScoreName
from fieldmark.training.precision import Precision, fastest_precision
from fieldmark.training.remedies import REMEDIES, noise_rate_of, remedy_for

UNEVEN = 10.0  # from here on rare classes get a margin
SLIGHTLY_UNEVEN = 2.0  # from here on plain accuracy would choose the epoch that serves large classes best
LOOKED_AT = 1000  # images that tell whether all are grey
V = TypeVar("V")


def plan(job: Job, *, pretrained: bool) -> tuple[Plan, tuple[str, ...]]:
    """The job's recipe with nothing left to decide for the training loop, and one line for each choice that was made.

    UsageError for a setting that cannot be followed on this machine.
    """
    recipe, size_px, images = job.recipe, job.choice.geometry.size_px, len(job.train)
    threads = available_cores() if recipe.threads == "auto" else recipe.threads
    choices: list[str] = []

    def settle(name: str, asked: V | Literal["auto"], value: V, why: str) -> V:
        if asked != "auto":
            return asked
        choices.append(f"{name} = {value}: {why}")
        return value

    small = size_px <= SMALL_PX
    optimiser = settle("optimiser", recipe.optimiser, *_optimiser(job.choice.row.optimiser, pretrained))
    batch = settle("batch", recipe.batch, _batch(images, optimiser, pretrained), "at least 16 steps a pass")
    flip, flip_why = _flip(job.data.classes, all_grey(job.pixels[job.train[:LOOKED_AT]]), small)
    flip = settle("flip", _yes(recipe.flip), flip, flip_why)
    mirror = settle("mirror", _yes(recipe.mirror), *_mirror(flip, small, pretrained))
    _refuse_answers_never_trained_for(mirror, flip)
    crop, crop_why = _crop(size_px)
    fastest, fastest_why = _precision(recipe.precision, threads)
    uneven = unevenness(job)
    balance = settle("balance", recipe.balance, *_balance(uneven))
    remedy = settle("remedy", recipe.remedy, *remedy_for(job.noise))
    return (
        Plan(
            epochs=settle("epochs", recipe.epochs, *_epochs(images, pretrained, recipe.budget != "none")),
            batch=batch,
            optimiser=optimiser,
            learning_rate=settle(
                "learning rate", recipe.learning_rate, *_learning_rate(optimiser, batch, pretrained)
            ),
            weight_decay=settle("weight decay", recipe.weight_decay, *_weight_decay(optimiser)),
            first_layer_rate=0.3 if pretrained else 1.0,
            warmup=recipe.warmup,
            average=0.05 if pretrained else 0.0,
            loss=settle("loss", recipe.loss, "cross-entropy", "the likelihood itself"),
            label_smoothing=settle("label smoothing", recipe.label_smoothing, *_smoothing(remedy)),
            balance=balance,
            remedy=remedy,
            noise_rate=settle("noise rate", recipe.noise_rate, *noise_rate_of(job.noise)),
            prior=settle("prior", recipe.prior, BALANCES[balance].prior, f"what balance = {balance} trains for"),
            score=_score(job.data.task, uneven),
            flip=flip,
            mirror=mirror,
            crop_scale=settle("crop scale", recipe.crop_scale, crop, crop_why),
            shift_px=size_px // 16 if small else 0,
            patience=settle("patience", recipe.patience, 0, "the last epochs, at the lowest rate, gain the most"),
            precision=settle("precision", recipe.precision, fastest, fastest_why),
            threads=settle("threads", recipe.threads, threads, "the processors that this process may use"),
            seed=recipe.seed,
        ),
        tuple(choices),
    )


def unevenness(job: Job) -> float:
    """How many times as many training images the largest class has as the smallest; 1 for several labels an image."""
    if job.data.task != "single":
        return 1.0
    return float(job.counts.max() / max(1.0, job.counts.min()))


def all_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether all images of uint8 [N, S, S, 3] have three equal channels."""
    return bool((pixels == pixels[..., :1]).all())


def _crop(size_px: int) -> tuple[float, str]:
    if size_px <= SMALL_PX:  # a crop of so few pixels, resized, is mostly blur
        return 1.0, f"{size_px} px images are shifted instead"
    return 0.35, "keeps most objects whole"


def _balance(uneven: float) -> tuple[str, str]:
    words = f"the largest class has {uneven:.3g} times the images of the smallest; remedies begin at {UNEVEN:g}"
    return ("logit-adjustment" if uneven >= UNEVEN else "none"), words


def _smoothing(remedy: str) -> tuple[float, str]:
    return REMEDIES[remedy].smoothing, "Szegedy et al. 2016" if remedy == "none" else f"as remedy = {remedy} asks"


def _score(task: Task, uneven: float) -> ScoreName:
    if task != "single":
        return "negative log-loss"
    return "accuracy" if uneven < SLIGHTLY_UNEVEN else "balanced accuracy"


def _yes(asked: Literal["auto", "yes", "no"]) -> bool | Literal["auto"]:
    return "auto" if asked == "auto" else asked == "yes"


def _batch(images: int, optimiser: Optimiser, pretrained: bool) -> int:
    most = 32 if pretrained else 512 if optimiser == "muon" else 128
    return max(8, min(most, 1 << (max(1, images // 16).bit_length() - 1)))


def _optimiser(from_scratch: Optimiser, pretrained: bool) -> tuple[Optimiser, str]:
    return ("adamw", "gentle on pretrained weights") if pretrained else (from_scratch, "best for it from scratch")


def _learning_rate(optimiser: Optimiser, batch: int, pretrained: bool) -> tuple[float, str]:
    if optimiser == "muon":
        rate = (0.03 if pretrained else 0.24) * (batch / 512) ** 0.5
        return rate, f"of a filter's size; with the root of a batch of {batch}, as steps of fixed length want"
    if optimiser == "adamw":
        return (3e-4, "usual for fine-tuning") if pretrained else (2e-3, "usual for small networks from scratch")
    return (0.01 if pretrained else 0.1) * batch / 128, f"in proportion to a batch of {batch} (Goyal et al. 2017)"


def _mirror(flip: bool, small: bool, pretrained: bool) -> tuple[bool, str]:
    if not flip:
        return False, "mirrored images were no part of training"
    if small and not pretrained:
        return True, "answers are the mean of an image and its mirror image; the network is small, so twice is quick"
    return False, "it would double the time of every prediction; --mirror yes where a point counts more"


def _refuse_answers_never_trained_for(mirror: bool, flip: bool) -> None:
    if mirror and not flip:
        raise UsageError(
            "the network would answer for mirrored images, and never saw one in training",
            where="--mirror yes, flip = no",
            do="drop --mirror, or train with --flip yes",
        )


def _weight_decay(optimiser: Optimiser) -> tuple[float, str]:
    return (0.05, "usual for AdamW") if optimiser == "adamw" else (5e-3, "decoupled; 5e-4 in PyTorch's coupled form")


def _epochs(images: int, pretrained: bool, budget: bool) -> tuple[float, str]:
    if budget:
        return (20.0 if pretrained else 40.0), "at most; the budget decides"
    fewest, most, views = (5, 15, 15_000) if pretrained else (12, 30, 18_000)
    why = f"{fewest} passes, or up to {most} where there are few images"
    return float(min(most, max(fewest, views // max(1, images)))), why


def _flip(class_names: tuple[str, ...], grey: bool, small: bool) -> tuple[bool, str]:
    if class_names and all(len(name) == 1 or name.isdigit() for name in class_names):
        return False, "every class is a single sign or a number, and signs mean something else mirrored"
    if grey and small:
        return False, f"all images are grey and at most {SMALL_PX} px, as writing is; --flip yes for other things"
    return True, "things look alike mirrored; --flip no where left and right differ"


def _precision(asked: str, threads: int) -> tuple[Precision, str]:
    if asked == "fp16" and not torch.cuda.is_available():
        raise UsageError(
            "fp16 arithmetic needs a GPU", where="--precision fp16", do="use --precision auto, bf16 or fp32"
        )
    return fastest_precision(threads) if asked == "auto" else (asked, "as asked")  # type: ignore[return-value]
