"""Pooling maps over a grid of cells, as two fixed matrices: any picture size, any number of cells."""

from __future__ import annotations

import torch
from torch import Tensor


def tent(size_px: int, cells: int) -> Tensor:
    """float32 [cells, size_px]: bilinear shares of each pixel in the cells along one side.

    A pixel between two cell centres is shared by distance, so that a shift by a pixel moves little (Dalal &
    Triggs 2005, section 6.4). A row sums to 1, except at the border where half a tent is cut off.
    """
    cell_px = size_px / cells
    centres = (torch.arange(cells) + 0.5) * cell_px
    distance = (torch.arange(size_px) + 0.5 - centres[:, None]).abs() / cell_px
    return (1 - distance).clamp_min(0) / cell_px


def box(size_px: int, cells: int) -> Tensor:
    """float32 [cells, size_px]: averages over `cells` equal parts of a side; a pixel on a border is shared."""
    cell_px = size_px / cells
    start = torch.arange(cells)[:, None] * cell_px
    pixel = torch.arange(size_px)
    overlap = torch.minimum(start + cell_px, pixel + 1) - torch.maximum(start, pixel)
    return overlap.clamp_min(0) / cell_px


def pool(maps: Tensor, weights: Tensor) -> Tensor:
    """float32 [N, M, S, S] and weights [cells, S] -> [N, M, cells, cells]."""
    # Both products with the matrix on the right, so that each is one product of two plain matrices.
    across = maps @ weights.T
    return (across.transpose(2, 3) @ weights.T).transpose(2, 3)
