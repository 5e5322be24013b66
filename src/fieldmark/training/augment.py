"""Random views of training images: whole-batch tensor operations on uint8 pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fieldmark.training.plan import Plan


def augment(pixels: Tensor, mirrored: Tensor, plan: Plan, generator: torch.Generator) -> Tensor:
    """uint8 [N, S, S, 3] -> the same shape, or of the plan's `view_px`: mirrored where `mirrored` bool [N] says so,
    then shifted and cropped as the plan asks. Depends on nothing but its arguments; `generator` is on the CPU
    whatever the device."""
    if plan.crop_scale < 1.0:
        pixels = random_resized_crop(pixels, plan.crop_scale, plan.view_px or pixels.shape[1], generator)
    return shift_and_mirror(pixels, mirrored, plan.shift_px, generator)


def shift_and_mirror(pixels: Tensor, mirrored: Tensor, shift_px: int, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to `shift_px` each way, the edge reflected into the gap; one gather for the batch."""
    images, side = pixels.shape[:2]
    shifts = torch.randint(-shift_px, shift_px + 1, (2, images, 1), generator=generator).to(pixels.device)
    down, across = _reflected(torch.arange(side, device=pixels.device) + shifts, side)
    across = torch.where(mirrored[:, None], side - 1 - across, across)
    return pixels[torch.arange(images, device=pixels.device)[:, None, None], down[:, :, None], across[:, None, :]]


def random_resized_crop(pixels: Tensor, smallest: float, side: int, generator: torch.Generator) -> Tensor:
    """A crop of `smallest`..1 of the area, 3:4 to 4:3, drawn anywhere and resized to `side` px (Szegedy et al. 2015).
    Bilinear: most crops are hardly larger than `side`, so that little is shrunk enough to alias."""
    images = len(pixels)
    draws = torch.rand(4, images, generator=generator, dtype=torch.float64)
    area = smallest + (1.0 - smallest) * draws[0]
    stretch = torch.exp((2.0 * draws[1] - 1.0) * 0.5 * torch.log(torch.tensor(4.0 / 3.0)))
    wide, high = (area.sqrt() * stretch).clamp(max=1.0), (area.sqrt() / stretch).clamp(max=1.0)
    corners = torch.zeros(images, 2, 3, dtype=torch.float64)
    corners[:, 0, 0], corners[:, 0, 2] = wide, (1.0 - wide) * (2.0 * draws[2] - 1.0)
    corners[:, 1, 1], corners[:, 1, 2] = high, (1.0 - high) * (2.0 * draws[3] - 1.0)
    planes = pixels.permute(0, 3, 1, 2).to(torch.float32)
    grid = functional.affine_grid(corners.to(planes), [images, 3, side, side], align_corners=False)
    cropped = functional.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)
    return cropped.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _reflected(index: Tensor, side: int) -> Tensor:
    # ... 2 1 | 0 1 2 ... side-1 | side-2 side-3 ...
    return (side - 1) - ((side - 1) - index.abs()).abs()
