"""colour layout: mean, spread and histograms of hue and lightness over a grid (Swain & Ballard 1991)

Swain & Ballard, "Color Indexing", IJCV 1991, on a grid as in Stricker & Orengo, "Similarity of Color Images", 1995.
In each cell of a 4 x 4 grid, a 2 x 2 grid and the whole: mean and standard deviation of red, green and blue, how
much of each of 8 hues (in the opponent plane, weighed by saturation), and a histogram of 8 levels of lightness.
(3 + 3 + 8 + 8) * 21 = 462 numbers, square-rooted so that small amounts count, of unit length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.orientation import Rosette
from fieldmark.encoders.pooling import box, pool
from fieldmark.encoders.row import EncoderRow

_GRIDS = (4, 2, 1)
_HUES = 8
_LEVELS = 8
_OPPONENT = ((0.7071, -0.7071, 0.0), (0.4082, 0.4082, -0.8165), (0.3333, 0.3333, 0.3333))


class Colour(Encoder):
    """Embedding float32 [N, 462] of unit length."""

    opponent: Tensor
    levels: Tensor

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.rosette = Rosette(_HUES)
        self.register_buffer("opponent", torch.tensor(_OPPONENT)[:, :, None, None], persistent=False)
        self.register_buffer("levels", torch.linspace(0, 1, _LEVELS).view(1, -1, 1, 1), persistent=False)
        for cells in _GRIDS:
            self.register_buffer(f"box{cells}", box(size_px, cells), persistent=False)
        self.embedding_size = (6 + _HUES + _LEVELS) * sum(cells * cells for cells in _GRIDS)

    def forward(self, pixels: Tensor) -> Tensor:
        opponent = F.conv2d(pixels, self.opponent)
        hues = self.rosette(opponent[:, :2])
        lightness = (1 - (opponent[:, 2:] - self.levels).abs() * (_LEVELS - 1)).clamp_min(0)
        maps = torch.cat([pixels, pixels.square(), hues, lightness], dim=1)
        cells = [_moments(pool(maps, self.get_buffer(f"box{count}"))) for count in _GRIDS]
        amounts = (torch.cat(cells, dim=1) + 1e-6).sqrt()
        return F.normalize(amounts)


def _moments(cells: Tensor) -> Tensor:
    """Cell means of (pixels, squared pixels, shares) -> (mean, standard deviation, shares), flat."""
    mean, square, shares = cells[:, :3], cells[:, 3:6], cells[:, 6:]
    deviation = ((square - mean.square()).clamp_min(0) + 1e-6).sqrt()
    return torch.cat([mean, deviation, shares], dim=1).flatten(1)


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 64)


ROW = EncoderRow(
    reference="Swain & Ballard, IJCV 1991; Stricker & Orengo, SPIE 1995",
    build=Colour,
    geometry=_geometry,
    fits_small=True,
    method="probe",
    trainable=False,
)
