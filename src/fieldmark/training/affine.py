"""Linear maps of a batch of images: of places, which crop, turn, slant and move, and of colours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: what Pillow takes for the grey of a colour


def warp(pixels: Tensor, maps: Tensor) -> Tensor:
    """uint8 [N, S, S, 3] -> the same shape: the place (x, y) of each result, -1..1 from edge
    to edge, shows what is at `maps` float [N, 2, 3] times (x, y, 1) in its image. Bilinear; beyond the edge lies the
    image mirrored."""
    images, side = pixels.shape[:2]
    maps = maps.to(pixels.device, torch.float32)
    centres = (2.0 * torch.arange(side, device=pixels.device) + 1.0) / side - 1.0
    # Written out because functional.affine_grid takes longer than the sampling itself.
    grid = torch.empty(images, side, side, 2, device=pixels.device)
    for axis in range(2):
        of_x = maps[:, axis, 0, None] * centres
        of_y = maps[:, axis, 1, None] * centres + maps[:, axis, 2, None]
        torch.add(of_x[:, None, :], of_y[:, :, None], out=grid[..., axis])
    planes = pixels.permute(0, 3, 1, 2).to(torch.float32)
    sampled = functional.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)
    # Means of pixels are within 0..255 without being held there.
    return sampled.add_(0.5).permute(0, 2, 3, 1).to(torch.uint8, memory_format=torch.contiguous_format)


def recolour(pixels: Tensor, own: Tensor, offset: Tensor, grey: Tensor | None = None) -> Tensor:
    """uint8 [N, S, S, 3] -> the same shape: each pixel `own` times, and `offset` grey levels, and its own grey `grey`
    times, float32 [N] each."""
    values = pixels.reshape(len(pixels), -1).to(torch.float32).mul_(own[:, None]).add_(offset[:, None])
    if grey is not None:
        values = values.view(pixels.shape).add_((grey_of(pixels) * grey[:, None, None])[..., None])
    return as_pixels(values).view(pixels.shape)


def grey_of(pixels: Tensor) -> Tensor:
    """uint8 [N, S, S, 3] -> float32 [N, S, S], in grey levels."""
    return pixels.to(torch.float32) @ torch.tensor(LUMA, device=pixels.device)


def mean_grey(pixels: Tensor) -> Tensor:
    """uint8 [N, S, S, 3] -> float32 [N], in grey levels."""
    return grey_of(pixels).mean((1, 2))


def as_pixels(values: Tensor) -> Tensor:
    """float of any shape, in grey levels, changed in place -> uint8, rounded and held to 0..255."""
    return values.round_().clamp_(0, 255).to(torch.uint8)
