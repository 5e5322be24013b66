"""The views of a batch that a training step sees: whole-batch operations on uint8 pixels, as the plan names them."""

from __future__ import annotations

import torch
from torch import Tensor

from fieldmark.training.augmentations import Augmentation, rows_of
from fieldmark.training.mixing import Mix
from fieldmark.training.plan import Plan


def augment(pixels: Tensor, mirrored: Tensor, plan: Plan, generator: torch.Generator) -> tuple[Tensor, Mix | None]:
    """uint8 [N, S, S, 3] -> views of the same shape, and how images were mixed, if they were;
    `mirrored` bool [N] says whose turn it is in this epoch. Depends on nothing but its arguments; `generator` is on
    the CPU whatever the device."""
    rows = rows_of(plan.augment)
    for row in rows:
        if row.change is not None:
            chosen = mirrored if row.alternating else _drawn(len(pixels), row.chance, generator)
            at = chosen.nonzero().flatten().to(pixels.device)
            if len(at):
                changed = row.change(pixels.index_select(0, at), plan, generator)
                pixels = changed if len(at) == len(pixels) else pixels.index_copy(0, at, changed)
    mixing = [row for row in rows if row.mix is not None]
    return mixed(pixels, mixing, generator) if mixing else (pixels, None)


def mixed(pixels: Tensor, rows: list[Augmentation], generator: torch.Generator) -> tuple[Tensor, Mix]:
    """Each image with the one before it in the batch, whose order is random anyway; of several kinds of mixing each
    image is left to one, drawn evenly."""
    images = len(pixels)
    partner = torch.arange(images).roll(1)
    kind = torch.randint(len(rows), (images,), generator=generator)
    share, result = torch.ones(images), pixels
    for number, row in enumerate(rows):
        at = ((kind == number) & _drawn(images, row.chance, generator)).nonzero().flatten()
        if row.mix is not None and len(at):
            own, others = (pixels.index_select(0, each.to(pixels.device)) for each in (at, partner[at]))
            views, share[at] = row.mix(own, others, generator)
            result = result.index_copy(0, at.to(pixels.device), views)
    return result, Mix(partner=partner, share=share)


def _drawn(images: int, chance: float, generator: torch.Generator) -> Tensor:
    """bool [images], each true with this chance."""
    if chance == 1.0:
        return torch.ones(images, dtype=torch.bool)
    return torch.rand(images, generator=generator) < chance
