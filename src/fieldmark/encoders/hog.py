"""histograms of oriented gradients at two cell sizes (Dalal & Triggs 2005); shape and outline

Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005. Gradients of the strongest
channel, shared between neighbouring directions and cells, normalised over blocks of 2 x 2 cells with L2-Hys. Cells
are an eighth and a quarter of the side (4 and 8 px in a picture of 32 px), so that a photo of any size gives as
many numbers: 1,764 + 324 = 2,088 from 16 px upwards.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.orientation import Rosette, strongest_gradient
from fieldmark.encoders.pooling import pool, tent
from fieldmark.encoders.row import EncoderRow

_BINS = 9  # of 20 degrees, a direction and its opposite alike
_CLIP = 0.2  # of L2-Hys: no single bin may own a block


class Hog(Encoder):
    """Embedding float32 [N, 2088] of unit length per block, divided by the root of the number of blocks."""

    fine: Tensor
    coarse: Tensor

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.rosette = Rosette(2 * _BINS)
        fine = max(2, min(8, size_px // 2))
        self.register_buffer("fine", tent(size_px, fine), persistent=False)
        self.register_buffer("coarse", tent(size_px, fine // 2), persistent=False)
        blocks = (fine - 1) ** 2 + max(1, fine // 2 - 1) ** 2
        self.embedding_size = blocks * 4 * _BINS
        self.scale = 1 / math.sqrt(blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        # The square root lets shadows speak as loudly as lit parts (section 6.1).
        directions = self.rosette(strongest_gradient(pixels.clamp_min(1e-4).sqrt()))
        cells = [pool(directions, weights) for weights in (self.fine, self.coarse)]
        grids = [_blocks(grid[:, :_BINS] + grid[:, _BINS:]) for grid in cells]
        return torch.cat(grids, dim=1) * self.scale


def _blocks(cells: Tensor) -> Tensor:
    """Histograms [N, 9, K, K] -> L2-Hys blocks of 2 x 2, [N, (K - 1)**2 * 36]."""
    corners = [cells[:, :, :-1, :-1], cells[:, :, :-1, 1:], cells[:, :, 1:, :-1], cells[:, :, 1:, 1:]]
    block = _unit(torch.cat(corners, dim=1))
    return _unit(block.clamp_max(_CLIP)).flatten(1)


def _unit(block: Tensor) -> Tensor:
    # The constant keeps the noise of an even surface from being blown up to full contrast.
    return block / (block.square().sum(dim=1, keepdim=True) + 1e-4).sqrt()


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 128)


ROW = EncoderRow(
    reference="Dalal & Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005",
    build=Hog,
    geometry=_geometry,
    fits_small=True,
    method="probe",
    trainable=False,
)
