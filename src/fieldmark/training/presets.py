"""What `--augment` may say: a preset, names of augmentations, or both joined with +."""

from __future__ import annotations

from dataclasses import dataclass

from fieldmark.errors import UsageError
from fieldmark.table import unknown_name
from fieldmark.training.augmentations import AUGMENTATIONS
from fieldmark.training.recipe import Recipe

PRESETS = ("auto", "light", "strong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`preset` is "" where the `names` are all there is; then they are exactly what is made."""

    preset: str
    names: tuple[str, ...]


def asked_for(recipe: Recipe) -> Asked:
    """What `recipe.augment` says. UnknownName for what is neither preset nor augmentation; UsageError for a word too
    many, and where `flip` or `crop_scale` say something else."""
    words = recipe.augment.split("+")
    for word in words:
        if word not in (*PRESETS, "none", *AUGMENTATIONS):
            raise unknown_name(AUGMENTATIONS.kind, word, (*AUGMENTATIONS, *PRESETS, "none"))
    presets = [word for word in words if word in PRESETS]
    if len(set(words)) < len(words) or len(presets) > 1 or ("none" in words and len(words) > 1):
        raise UsageError(
            f"{recipe.augment!r} contradicts or repeats itself",
            where=f"augment = {recipe.augment}",
            do="write one of auto, none, light and strong, or names joined with +, each once",
        )
    asked = Asked(preset="".join(presets), names=tuple(word for word in words if word in AUGMENTATIONS))
    _refuse_contradiction(recipe, asked, "flip", f"flip = {recipe.flip}", {"yes": True, "no": False}.get(recipe.flip))
    wanted = None if recipe.crop_scale == "auto" else recipe.crop_scale < 1
    _refuse_contradiction(recipe, asked, "crop", f"crop_scale = {recipe.crop_scale}", wanted)
    return asked


def _refuse_contradiction(recipe: Recipe, asked: Asked, name: str, setting: str, wanted: bool | None) -> None:
    flag = "--" + setting.partition(" ")[0].replace("_", "-")
    if wanted is True and not asked.preset and name not in asked.names:
        raise UsageError(
            f"--augment {recipe.augment} makes no {name}, and {flag} asks for one",
            where=f"augment = {recipe.augment}, {setting}",
            do=f"add {name} to --augment, or drop {flag}",
        )
    if wanted is False and name in asked.names:
        raise UsageError(
            f"--augment {recipe.augment} asks for {name}, and {flag} for none",
            where=f"augment = {recipe.augment}, {setting}",
            do=f"take {name} out of --augment, or drop {flag}",
        )
