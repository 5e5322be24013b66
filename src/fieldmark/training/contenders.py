"""Which models are tried where nobody says which: a spread from tiny to strong, of what this machine can have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from fieldmark.data.dataset import Dataset
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.row import ENCODERS, SMALL_PX
from fieldmark.encoders.weights import names_in_folder, weights_available
from fieldmark.errors import UnknownName
from fieldmark.training.recipe import Recipe

SMALLER_PX = 128  # a photo network fed fewer pixels answers in a third of the time
FROM_SCRATCH = ("lenet", "resnet-small", "airbench-small")  # for small images


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A name for people, and the recipe that it stands for; `after` names the candidate that it starts from."""

    name: str
    recipe: Recipe
    after: str | None = None


def spread(data: Dataset, base: Recipe) -> tuple[Contender, ...]:
    """Colour alone, gradients and colour, small networks from scratch where images are small, and each network whose
    weights are on this machine, at two sizes for photos, probed and fine-tuned. `base` holds what all have in common.
    """
    small = int(np.median(data.sizes_px.min(axis=1))) <= SMALL_PX
    found = [
        Contender(name="colour", recipe=replace(base, model="colour")),
        Contender(name="hog+colour", recipe=replace(base, model="hog+colour")),
        Contender(name="hog+colour rbf-svm", recipe=replace(base, model="hog+colour", head="rbf-svm")),
    ]
    if small:
        found += [Contender(name=model, recipe=replace(base, model=model, weights="none")) for model in FROM_SCRATCH]
    for model in _with_weights():
        found += _pretrained(model, replace(base, size=SMALLER_PX))
        if not small:
            found += _pretrained(model, base)
    return tuple(found)


def named(models: tuple[str, ...], base: Recipe) -> tuple[Contender, ...]:
    """The models that a person names, each in every way that it can be used. UnknownName where one is none."""
    found: list[Contender] = []
    for model in dict.fromkeys(models):
        row = encoder_row(model)
        pretrained = weights_available(row.weights) is not None
        found += (
            _pretrained(model, base) if pretrained else [Contender(name=model, recipe=replace(base, model=model))]
        )
    return tuple(found)


def _pretrained(model: str, base: Recipe) -> list[Contender]:
    name = model if base.size == "auto" else f"{model} {base.size} px"
    return [
        Contender(name=name, recipe=replace(base, model=model, method="probe")),
        Contender(name=f"{name} fine-tuned", recipe=replace(base, model=model, method="network"), after=name),
    ]


def _with_weights() -> list[str]:
    """Names of models whose weights need no network to be had: rows of our own table, then what the folder holds."""
    ours = {name: ENCODERS[name].weights for name in ENCODERS}
    found = [name for name, weights in ours.items() if weights_available(weights)]
    taken = {ours[name] for name in found}
    return found + [name for name in names_in_folder() if name not in taken and _known(name)]


def _known(name: str) -> bool:
    try:
        return encoder_row(name).trainable
    except UnknownName:  # a file of something else, such as a bundle's own weights
        return False
