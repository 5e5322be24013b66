"""GoogLeNet: nine blocks of filters of several sizes side by side, the first Inception

Szegedy et al. 2014, table 1, with batch normalisation (Ioffe and Szegedy 2015) after each convolution, which makes
the two auxiliary classifiers of the paper unnecessary.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.row import SMALL_PX, EncoderRow
from fieldmark.encoders.whitening import Standardise, sample

# Maps of the 1 x 1 branch, the 3 x 3 branch (before, after), the 5 x 5 branch (before, after), and after pooling.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        *((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64)),
        *((112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class Inception(nn.Module):
    """Four branches on the same maps, their maps side by side."""

    def __init__(self, channels_in: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                _convolution(channels_in, one, 1),
                nn.Sequential(_convolution(channels_in, three_in, 1), _convolution(three_in, three, 3)),
                nn.Sequential(_convolution(channels_in, five_in, 1), _convolution(five_in, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _convolution(channels_in, pooled, 1)),
            ]
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class GoogLeNet(Encoder):
    """float32 [N, 3, S, S] in 0..1 -> float32 [N, 1024]. At 64 px or less the first layer is 3 x 3 at stride 1 and
    the first of the stem's two poolings is left out."""

    embedding_size = 1024

    def __init__(self, size_px: int) -> None:
        super().__init__()
        small = size_px <= SMALL_PX
        self.standardise = Standardise()
        stem = (_convolution(3, 64, 3),) if small else (_convolution(3, 64, 7, stride=2), _halving())
        layers: list[nn.Module] = [*stem, _convolution(64, 64, 1), _convolution(64, 192, 3), _halving()]
        channels = 192
        for stage in STAGES:
            for widths in stage:
                layers.append(Inception(channels, widths))
                channels = widths[0] + widths[2] + widths[4] + widths[5]
            layers.append(_halving())
        self.features = nn.Sequential(*layers[:-1])
        self.dropout = nn.Dropout(0.4)

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        self.standardise.learn(sample(pixels, seed))

    def forward(self, pixels: Tensor) -> Tensor:
        embedding: Tensor = self.dropout(self.features(self.standardise(pixels)).mean((2, 3)))
        return embedding


def _convolution(channels_in: int, channels_out: int, side: int, *, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(channels_in, channels_out, side, stride=stride, padding=side // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # or the signal dies within nine blocks
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


def _halving() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, padding=1)


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 224)


ROW = EncoderRow(
    reference="Szegedy et al. 2014, Going deeper with convolutions",
    build=GoogLeNet,
    geometry=_geometry,
    fits_small=True,
    method="network",
    trainable=True,
    optimiser="muon",
)
