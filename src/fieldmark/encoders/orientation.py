"""Gradients of a picture, and vectors shared between the directions of a rosette."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def strongest_gradient(pixels: Tensor) -> Tensor:
    """float32 [N, 3, H, W] -> horizontal and vertical gradient [N, 2, H, W] of the channel where it is longest; centred differences, border replicated (Dalal & Triggs 2005, sections 6.2 and 6.3)."""
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    length = across.square() + down.square()
    gradients = torch.stack([across, down], dim=1)
    strongest, best = gradients[:, :, 0], length[:, :1]
    for channel in (1, 2):
        this = length[:, channel : channel + 1]
        strongest, best = torch.where(this > best, gradients[:, :, channel], strongest), torch.maximum(best, this)
    return strongest


class Rosette(nn.Module):
    """Shares each vector between the two directions next to it.

    A vector is written as a sum of its two neighbours among `directions` evenly spaced unit vectors; the two
    coefficients are its shares. This is the soft orientation binning of HOG and SIFT without an arc tangent: the
    share falls off as a sine where theirs is linear, 1.6 % apart at 18 directions, and a vector of length zero
    needs no special case.
    """

    neighbours: Tensor

    def __init__(self, directions: int) -> None:
        super().__init__()
        if directions < 6:
            raise ValueError("a rosette has at least 6 directions")
        step = 2 * math.pi / directions
        angle = torch.arange(directions) * step
        # The share of direction k is what is left of the next direction and of the one before, whichever is less:
        # |v| sin(angle from v to it) / sin(step). Negative means that v does not lie between the two.
        towards_next = torch.stack([(angle + step).sin(), -(angle + step).cos()], dim=1)
        from_last = torch.stack([-(angle - step).sin(), (angle - step).cos()], dim=1)
        neighbours = torch.cat([towards_next, from_last]) / math.sin(step)
        self.register_buffer("neighbours", neighbours[:, :, None, None], persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (x, y) [N, 2, H, W] -> shares [N, directions, H, W], none negative; direction 0 is +x."""
        towards_next, from_last = F.conv2d(vectors, self.neighbours).chunk(2, dim=1)
        return torch.minimum(towards_next, from_last).clamp_min(0)
