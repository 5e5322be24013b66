"""Which augmentations a run makes, how strong, and why: the recipe's augment, flip and crop scale as one answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.encoders.row import SMALL_PX
from fieldmark.errors import UsageError
from fieldmark.training.augmentations import AUGMENTATIONS, rows_of
from fieldmark.training.job import Job
from fieldmark.training.presets import Asked, asked_for
from fieldmark.training.recipe import Recipe

LONG = 50.0  # passes, from which mixing images begins to pay
CROP_SCALE = 0.35
SHIFT = 16  # of the side
LOOKED_AT = 1000  # images that tell whether all are grey


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The plan's fields that say how images are varied, and a line for each choice that was ours."""

    augment: str
    flip: bool
    crop_scale: float
    shift_px: int
    reasons: tuple[str, ...]


def choose_views(job: Job, *, epochs: float, batch: int) -> Views:
    """What the job's recipe asks for; where it leaves the choice to us, what keeps labels true.

    UnknownName and UsageError as `asked_for`; UsageError for mixing where a batch has one image.
    """
    recipe, size_px = job.recipe, job.choice.geometry.size_px
    asked = asked_for(recipe)
    flip, flip_why = _flip(asked, job)
    crop_scale, crop_why = _crop_scale(asked, recipe, size_px)
    names = (*asked.names, *_preset(asked.preset, flip, crop_scale, size_px, epochs))
    rows = rows_of("+".join(dict.fromkeys(names)) or "none")
    augment = "+".join(row.name for row in rows) or "none"
    _refuse_mixing_alone([row.name for row in rows if row.mix], min(batch, len(job.train)), recipe)
    reasons = (
        (recipe.flip == "auto", f"flip = {flip}: {flip_why}"),
        (recipe.crop_scale == "auto", f"crop scale = {crop_scale:g}: {crop_why}"),
        (asked.preset != "", f"augment = {augment}: {_why(asked.preset, flip, epochs)}"),
    )
    return Views(
        augment=augment,
        flip=flip,
        crop_scale=crop_scale,
        shift_px=max(1, size_px // SHIFT) if "shift" in names else 0,
        reasons=tuple(line for ours, line in reasons if ours),
    )


def all_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether all images of uint8 [N, S, S, 3] have three equal channels."""
    return bool((pixels == pixels[..., :1]).all())


def _flip(asked: Asked, job: Job) -> tuple[bool, str]:
    if job.recipe.flip != "auto" or "flip" in asked.names or not asked.preset:
        return job.recipe.flip == "yes" or "flip" in asked.names, f"as --augment {job.recipe.augment} says"
    classes, small = job.data.classes, job.choice.geometry.size_px <= SMALL_PX
    if classes and all(len(name) == 1 or name.isdigit() for name in classes):
        return False, "every class is a single sign or a number, and signs mean something else mirrored"
    if small and all_grey(job.pixels[job.train[:LOOKED_AT]]):
        return False, f"all images are grey and at most {SMALL_PX} px, as writing is; --flip yes for other things"
    return True, "things look alike mirrored; --flip no where left and right differ"


def _crop_scale(asked: Asked, recipe: Recipe, size_px: int) -> tuple[float, str]:
    if recipe.crop_scale != "auto":
        return recipe.crop_scale, "as asked"
    if "crop" in asked.names or (asked.preset and size_px > SMALL_PX):
        return CROP_SCALE, "keeps most objects whole"
    if asked.preset:  # a crop of so few pixels, resized, is mostly blur
        return 1.0, f"{size_px} px images are shifted instead"
    return 1.0, f"as --augment {recipe.augment} says"


def _preset(preset: str, flip: bool, crop_scale: float, size_px: int, epochs: float) -> tuple[str, ...]:
    if not preset:
        return ()
    light = (("crop", crop_scale < 1.0), ("flip", flip), ("shift", SHIFT <= size_px <= SMALL_PX))
    strong = (("trivial" if flip else "upright", True), ("erase", True), ("cutmix", epochs >= LONG))
    chosen = [name for name, is_on in light if is_on]
    if preset == "strong":  # what may not be mirrored is a sign, and is left readable
        chosen += [name for name, is_on in strong if is_on and (flip or AUGMENTATIONS[name].keeps_signs)]
    return tuple(chosen)


def _why(preset: str, flip: bool, epochs: float) -> str:
    if preset != "strong":
        return "few passes gain nothing from more; --augment strong where you train for long"
    if not flip:
        return "strong, without what could make another sign of a sign"
    return "strong" if epochs >= LONG else f"strong; cutmix belongs to it from {LONG:g} passes on"


def _refuse_mixing_alone(mixing: list[str], batch: int, recipe: Recipe) -> None:
    if mixing and batch < 2:
        raise UsageError(
            f"{mixing[0]} would have no effect: it mixes the images of a batch, and a batch has one",
            where=f"augment = {recipe.augment}, batch = {batch}",
            do=f"give a larger --batch, or leave {mixing[0]} out of --augment",
        )
