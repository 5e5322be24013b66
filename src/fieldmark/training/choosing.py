"""What "auto" becomes: model, method, geometry, head and folds, each with the evidence that decided.

Also the place where a setting that would have no effect is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import UNKNOWN, Dataset, Task
from fieldmark.data.geometry import Fit, Geometry
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.row import SMALL_PX, EncoderRow
from fieldmark.encoders.weights import weights_available
from fieldmark.errors import UsageError
from fieldmark.heads.row import HEADS
from fieldmark.ranks import world_size
from fieldmark.table import unknown_name
from fieldmark.training import listeners
from fieldmark.training.balances import BALANCES
from fieldmark.training.losses import LOSSES
from fieldmark.training.plan import Plan
from fieldmark.training.presets import asked_for
from fieldmark.training.recipe import Recipe
from fieldmark.training.remedies import refuse_idle_doubts
from fieldmark.training.schedule import SCHEDULES
from fieldmark.training.teacher import open_teacher
from fieldmark.units import seconds

FEW_IMAGES = 300  # below this, one held-out part is too small to be trusted; folds use every image
DEFAULT_FOLDS = 5
# For small images from scratch, by the work of a pass, about three times that of the one before.
BY_WORK = ("resnet-small", "airbench-small", "airbench")
# Beyond so many, a larger part only narrows an interval that is narrow already, and training goes without.
ENOUGH_TO_CHOOSE, ENOUGH_TO_TEST = 2_500, 10_000
# Of magnetic tiles, whose defects lie anywhere, 0.66 and 0.67 of the validation images are right where the whole is
# shown, 0.59 and 0.45 by the square from the middle; of clothes, 1.3 times as long as wide, 0.87 either way.
LONG, LONG_SHARE = 2.0, 0.1
# What recipe and plan have in common are settings of the loop, but for those that serve a probe as well.
LOOP_FIELDS = tuple(
    name
    for name in Recipe.__struct_fields__
    if name in Plan.__struct_fields__ and name not in ("seed", "threads", "balance", "prior")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A recipe with its large questions answered; `reasons` has a line for each answer that was ours."""

    model: str
    row: EncoderRow
    method: Literal["probe", "network"]
    head: str
    geometry: Geometry
    folds: int
    shares: tuple[float, float, float]
    reasons: tuple[str, ...]


def choose(recipe: Recipe, data: Dataset) -> Choice:
    """Answer what the recipe left to us.

    Raises UnknownName for a model or head that no table has, UsageError for settings that contradict each other.
    """
    if recipe.teacher != "none":
        open_teacher(recipe.teacher, data)
    reasons: list[str] = []
    shorter = int(np.median(data.sizes_px.min(axis=1)))
    model = _model(recipe, shorter, reasons)
    row = encoder_row(model)
    method = _method(recipe, model, row, reasons)
    head = _head(recipe, method, data.task, reasons)
    geometry = _geometry(recipe, row, data, shorter, reasons)
    folds = _folds(recipe, method, data, reasons)
    shares = _shares(recipe, data, reasons)
    _refuse_what_the_labels_do_not_allow(recipe, data)
    asked_for(recipe)  # an unknown name, or settings that contradict each other, are an error here, before any work
    _refuse_unknown_names(recipe)
    _refuse_what_has_no_effect(recipe, method, row, folds)
    refuse_idle_doubts(recipe, data.task, probe=method == "probe", folds=folds)
    _refuse_heads_for_whole_labels(head, method, data)
    return Choice(
        model=model,
        row=row,
        method=method,
        head=head,
        geometry=geometry,
        folds=folds,
        shares=shares,
        reasons=tuple(reasons),
    )


def _model(recipe: Recipe, shorter_px: int, reasons: list[str]) -> str:
    if recipe.model != "auto":
        return recipe.model
    small = shorter_px <= SMALL_PX
    model = BY_WORK[0] if small and recipe.method != "probe" else "efficientnet-lite0"
    kind = "small images" if small else "photos"
    reasons.append(f"model = {model}: {kind} (median shorter side {shorter_px} px; small is up to {SMALL_PX} px)")
    return model


def _method(recipe: Recipe, model: str, row: EncoderRow, reasons: list[str]) -> Literal["probe", "network"]:
    if recipe.method == "network" and not row.trainable:
        raise UsageError(
            f"{model} has nothing that training could improve",
            where="method = network",
            do="use --method probe, or choose a network such as resnet-small",
        )
    if recipe.method != "auto":
        return recipe.method
    if not row.trainable or (row.method == "probe" and recipe.teacher == "none"):
        method: Literal["probe", "network"] = "probe"
        why = f"that is how {model} is used unless you say otherwise"
    elif recipe.teacher != "none":
        method, why = "network", "a teacher teaches encoder and head together"
    elif pretrained(recipe, row):
        method, why = "probe", "pretrained weights are at hand, and a fitted head needs minutes, not hours"
    else:
        method, why = "network", "no pretrained weights, so encoder and head learn together"
    reasons.append(f"method = {method}: {why}")
    return method


def pretrained(recipe: Recipe, row: EncoderRow) -> bool:
    """Whether the encoder starts from weights that the recipe names or that lie on this machine."""
    return recipe.weights not in ("auto", "none") or (
        recipe.weights == "auto" and weights_available(row.weights) is not None
    )


def _head(recipe: Recipe, method: str, task: Task, reasons: list[str]) -> str:
    if recipe.head == "auto":
        probed = "logistic" if task == "single" else "cosine"
        head = probed if method == "probe" else "linear"
        several = ", several labels an image" if head == "cosine" else ""
        reasons.append(f"head = {head}: the usual one for --method {method}{several}")
        return head
    HEADS[recipe.head]  # an unknown name is an error here, before any work
    if method == "network" and recipe.head != "linear":
        raise UsageError(
            f"a network is trained together with a linear head, not with {recipe.head}",
            where=f"head = {recipe.head}, method = network",
            do=f"drop --head, or fit {recipe.head} on fixed features with --method probe",
        )
    return recipe.head


def _geometry(recipe: Recipe, row: EncoderRow, data: Dataset, shorter_px: int, reasons: list[str]) -> Geometry:
    size = None if recipe.size == "auto" else int(recipe.size)
    geometry = row.geometry(size)
    small = shorter_px <= SMALL_PX
    if size is None and small and row.fits_small and not pretrained(recipe, row):
        geometry = row.geometry(max(8, shorter_px))
    if recipe.size == "auto":
        enlarged = "; enlarged to what the network was made for" if small and geometry.size_px > SMALL_PX else ""
        reasons.append(
            f"size = {geometry.size_px} px: the images' shorter side is {shorter_px} px (median){enlarged}"
        )
    fit = recipe.fit
    if fit == "auto":
        fit, why = _fit(geometry.fit, data.sizes_px.max(axis=1) / data.sizes_px.min(axis=1))
        reasons.append(f"fit = {fit}: {why}")
    if fit != geometry.fit:
        fraction = geometry.crop_fraction if fit == "crop" else 1.0
        geometry = msgspec.structs.replace(geometry, fit=fit, crop_fraction=fraction)
    return geometry


def _fit(usual: Fit, ratios: NDArray[np.float64]) -> tuple[Fit, str]:
    """`ratios` [N]: how many times as long as wide each image is."""
    longest = float(np.quantile(ratios, 1 - LONG_SHARE))
    if usual == "crop" and longest >= LONG:
        return "squash", (
            f"of {LONG_SHARE:.0%} of the images, {longest:.2g} times as long as wide or more, a square from the "
            "middle would show less than half"
        )
    return usual, f"as the encoder was made for (median aspect ratio {float(np.median(ratios)):.2f})"


def _folds(recipe: Recipe, method: str, data: Dataset, reasons: list[str]) -> int:
    if recipe.folds != "auto":
        folds = int(recipe.folds)
        if folds == 1:
            raise UsageError(
                "one fold leaves nothing to test on", where="folds = 1", do="use 0 (one split) or 2 and more"
            )
        return folds
    to_learn = int((data.split != "test").sum())
    parted = bool((data.split == "validation").any()) or recipe.split != "auto"
    folds = DEFAULT_FOLDS if method == "probe" and to_learn < FEW_IMAGES and not parted else 0
    if folds:
        use = "chooses and calibrates" if to_learn < len(data) else "is tested"
        reasons.append(f"folds = {folds}: {to_learn} images (below {FEW_IMAGES}) to learn from: each {use} once")
    return folds


def _refuse_what_the_labels_do_not_allow(recipe: Recipe, data: Dataset) -> None:
    if recipe.loss != "auto":
        LOSSES[recipe.loss].of(data.task)
    if recipe.balance != "auto" and recipe.balance not in BALANCES:
        raise unknown_name(BALANCES.kind, recipe.balance, BALANCES)
    for name in ("balance", "prior"):
        asked = getattr(recipe, name)
        if data.task == "multi" and asked not in ("auto", "none", "data"):
            raise UsageError(
                f"--{name} {asked} is for images with one label, and these have several",
                where=f"{name} = {asked}",
                do="drop it; --loss asymmetric is for labels that are rare",
            )


def _refuse_unknown_names(recipe: Recipe) -> None:
    if recipe.schedule != "auto":
        SCHEDULES[recipe.schedule]
    for name in listeners.asked(recipe.log):
        listeners.LISTENERS[name].require()


def _refuse_heads_for_whole_labels(head: str, method: str, data: Dataset) -> None:
    in_part = data.task == "multi" and bool((data.targets == UNKNOWN).any())
    if in_part and method == "probe" and not HEADS[head].leaves_out_unknown:
        fitting = ", ".join(name for name in HEADS if HEADS[name].leaves_out_unknown)
        raise UsageError(
            f"{head} learns from images that are labelled in full, and some labels here are unknown",
            where=f"head = {head}",
            do=f"choose one of: {fitting}; or label the rest and leave out the column 'unknown'",
        )


def _refuse_what_has_no_effect(recipe: Recipe, method: str, row: EncoderRow, folds: int) -> None:
    if method == "probe":
        default = Recipe()
        idle = [name for name in (*LOOP_FIELDS, "log") if getattr(recipe, name) != getattr(default, name)]
        if idle:
            flags = ", ".join("--" + name.replace("_", "-") for name in idle)
            raise UsageError(
                f"{flags} would have no effect: a probe has no training loop",
                where=f"method = probe, {idle[0]} = {getattr(recipe, idle[0])}",
                do="drop the setting, or train the network with --method network",
            )
        if recipe.balance != "auto" and not BALANCES[recipe.balance].afterwards:
            raise UsageError(
                f"{recipe.balance} is for a training loop, and a probe has none",
                where=f"method = probe, balance = {recipe.balance}",
                do="use --balance logit-adjustment, or train the network with --method network",
            )
        if world_size() > 1:
            raise UsageError(
                "several processes would have nothing to share: a probe has no training loop",
                where=f"method = probe, WORLD_SIZE = {world_size()}",
                do="run it without torchrun, or train the network with --method network",
            )
        if row.trainable and recipe.weights == "none":
            raise UsageError(
                "a probe of a network without weights would fit a head on noise",
                where="method = probe, weights = none",
                do="let --weights find some, or train from scratch with --method network",
            )
    if not row.trainable and recipe.weights not in ("auto", "none"):
        raise UsageError(
            "this encoder has no weights that could be loaded",
            where=f"model = {recipe.model}, weights = {recipe.weights}",
            do="drop --weights",
        )
    if folds and recipe.split != "auto":
        raise UsageError(
            "with folds every image is judged once, so there are no shares to set",
            where=f"folds = {folds}, split = {recipe.split}",
            do="drop --split, or use --folds 0",
        )
    if method == "network" and folds:
        raise UsageError(
            "folds are for probes: a network would have to be trained once a fold",
            where=f"method = network, folds = {folds}",
            do="drop --folds, or use --method probe",
        )


def _shares(recipe: Recipe, data: Dataset, reasons: list[str]) -> tuple[float, float, float]:
    if recipe.split != "auto":
        return parse_shares(recipe.split)
    validation, test = min(0.15, ENOUGH_TO_CHOOSE / len(data)), min(0.15, ENOUGH_TO_TEST / len(data))
    if validation < 0.15:
        reasons.append(
            f"validation = about {ENOUGH_TO_CHOOSE:,} images: enough to choose by, the rest can be learnt from"
        )
    return (1 - validation - test, validation, test)


def parse_shares(text: str) -> tuple[float, float, float]:
    """`"0.7,0.15,0.15"` as shares of train, validation and test."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3 or not 0.999 < sum(shares) < 1.001 or min(shares) < 0 or shares[0] <= 0 or shares[1] <= 0:
        raise UsageError(
            f"{text!r} is not three shares that sum to 1",
            where=f"split = {text}",
            do="write train,validation,test as in --split 0.7,0.15,0.15 (test may be 0)",
        )
    return (shares[0], shares[1], shares[2])


def parse_duration(text: str) -> float | None:
    """`"90s"`, `"10m"`, `"2h"` or `"none"` in seconds."""
    return None if text == "none" else seconds(text, where="budget")
