"""Random changes of single images: what the rows of `augmentations` do to those images that are to be changed.

Each takes uint8 [N, S, S, 3], the plan and a generator on the CPU, draws for each image anew, and returns new pixels
of the same shape. They depend on nothing else, and leave their arguments alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.training.affine import mean_grey, recolour, warp
from fieldmark.training.boxes import between, paste
from fieldmark.training.operations import ROWS, Operation
from fieldmark.training.plan import Plan

JITTER = 0.4  # brightness, contrast and saturation change by up to so much
ERASED, ERASED_ASPECT = (0.02, 0.33), 3.3  # share of the area; longest side to shortest
LEVELS = 30  # the papers' strengths go from 0 to 30
RAND_OPERATIONS, RAND_LEVEL = 2, 9


def flip(pixels: Tensor, _plan: Plan, _generator: torch.Generator) -> Tensor:
    """Left and right swapped."""
    return pixels.flip(2)


def shift(pixels: Tensor, plan: Plan, generator: torch.Generator) -> Tensor:
    """Moved by up to `plan.shift_px` each way, the edge reflected into the gap; one gather for the batch."""
    images, side = pixels.shape[:2]
    most = min(plan.shift_px, side - 1)  # a reflection reaches no further
    shifts = torch.randint(-most, most + 1, (2, images, 1), generator=generator)
    down, across = _reflected(torch.arange(side) + shifts, side)
    lines = torch.arange(images)[:, None] * side + down
    at = (lines[:, :, None] * side + across[:, None]).flatten().to(pixels.device)
    return pixels.reshape(-1, 3).index_select(0, at).view(pixels.shape)


def crop(pixels: Tensor, plan: Plan, generator: torch.Generator) -> Tensor:
    """A crop of `plan.crop_scale`..1 of the area, 3:4 to 4:3, drawn anywhere and resized to the whole. Bilinear: most
    crops are enlarged, if anything (Szegedy et al. 2015)."""
    draws = torch.rand(4, len(pixels), generator=generator, dtype=torch.float64)
    area = plan.crop_scale + (1.0 - plan.crop_scale) * draws[0]
    stretch = torch.exp((2.0 * draws[1] - 1.0) * 0.5 * torch.log(torch.tensor(4.0 / 3.0)))
    wide, high = (area.sqrt() * stretch).clamp(max=1.0), (area.sqrt() / stretch).clamp(max=1.0)
    corners = torch.zeros(len(pixels), 2, 3, dtype=torch.float64)
    corners[:, 0, 0], corners[:, 0, 2] = wide, (1.0 - wide) * (2.0 * draws[2] - 1.0)
    corners[:, 1, 1], corners[:, 1, 2] = high, (1.0 - high) * (2.0 * draws[3] - 1.0)
    return warp(pixels, corners)


def colour(pixels: Tensor, _plan: Plan, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, each by a factor of 1 - JITTER to 1 + JITTER; no hue."""
    bright, contrast, saturation = 1.0 + JITTER * (2.0 * torch.rand(3, len(pixels), generator=generator) - 1.0)
    bright, contrast, saturation = (factor.to(pixels.device) for factor in (bright, contrast, saturation))
    return recolour(
        pixels,
        own=bright * contrast * saturation,
        offset=bright * (1.0 - contrast) * mean_grey(pixels),
        grey=bright * contrast * (1.0 - saturation),
    )


def erase(pixels: Tensor, _plan: Plan, generator: torch.Generator) -> Tensor:
    """A box of 2 to 33 % of the area becomes noise, of any grey (Zhong et al. 2020; theirs is of any colour, which
    would colour images that are grey)."""
    images, side = pixels.shape[:2]
    size, aspect, down, across = torch.rand(4, images, generator=generator)
    root = (ERASED[0] + (ERASED[1] - ERASED[0]) * size).sqrt()
    stretch = torch.tensor(ERASED_ASPECT) ** (aspect - 0.5)
    high, wide = (root * stretch).clamp(max=1.0), (root / stretch).clamp(max=1.0)
    top, left = down * (1.0 - high), across * (1.0 - wide)
    noise = torch.randint(256, (images, side, side, 1), generator=generator, dtype=torch.uint8)
    others = noise.to(pixels.device).expand_as(pixels)
    return paste(pixels, others, between(top, top + high, side), between(left, left + wide, side))


def trivial(pixels: Tensor, _plan: Plan, generator: torch.Generator) -> Tensor:
    """One operation an image, of any strength (Müller and Hutter 2021, the wide space)."""
    return _operated(pixels, _any_level(pixels, generator), lambda row: row.wide, generator)


def upright(pixels: Tensor, _plan: Plan, generator: torch.Generator) -> Tensor:
    """As `trivial`, but turned, slanted and moved no further than a sign can be."""
    return _operated(pixels, _any_level(pixels, generator), lambda row: row.upright, generator)


def rand(pixels: Tensor, _plan: Plan, generator: torch.Generator) -> Tensor:
    """Two operations an image, one after the other, at level 9 of 30 (Cubuk et al. 2020)."""
    level = torch.full((len(pixels),), RAND_LEVEL / LEVELS)
    for _ in range(RAND_OPERATIONS):
        pixels = _operated(pixels, level, lambda row: row.usual, generator)
    return pixels


def _any_level(pixels: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(LEVELS + 1, (len(pixels),), generator=generator) / LEVELS


def _operated(
    pixels: Tensor, level: Tensor, most: Callable[[Operation], float], generator: torch.Generator
) -> Tensor:
    """Each image by an operation of its own, all images of one operation at a time; `level` float32 [N] in 0..1."""
    drawn = torch.randint(len(ROWS), (len(pixels),), generator=generator)
    sign = 2 * torch.randint(2, (len(pixels),), generator=generator) - 1
    changed = pixels.clone()
    for number, row in enumerate(ROWS):
        chosen = (drawn == number).nonzero().flatten()
        if len(chosen):
            strengths = level[chosen] * most(row) * (sign[chosen] if row.both_ways else 1)
            at = chosen.to(pixels.device)
            changed[at] = row.operate(pixels[at], strengths.to(pixels.device))
    return changed


def _reflected(index: Tensor, side: int) -> Tensor:
    # ... 2 1 | 0 1 2 ... side-1 | side-2 side-3 ...
    return (side - 1) - ((side - 1) - index.abs()).abs()
