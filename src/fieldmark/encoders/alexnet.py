"""AlexNet: five convolutions and two full layers, the network that began it all in 2012

Krizhevsky, Sutskever and Hinton 2012 in the one-column form of Krizhevsky 2014, with batch normalisation (Ioffe and
Szegedy 2015) in place of local response normalisation, without which it learns nothing within minutes.
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

WIDTHS = (64, 192, 384, 256, 256)


class AlexNet(Encoder):
    """float32 [N, 3, S, S] in 0..1 -> float32 [N, 4096]. At 64 px or less the first layer is 3 x 3 at stride 1, and
    the full layers have 1,024 units. The first of them is as large as the input needs (at 224 px, the paper's)."""

    def __init__(self, size_px: int) -> None:
        super().__init__()
        small = size_px <= SMALL_PX
        self.embedding_size = 1024 if small else 4096
        first, second, third, fourth, fifth = WIDTHS
        self.standardise = Standardise()
        stem = _layer(3, first, 3, padding=1) if small else _layer(3, first, 11, stride=4, padding=2)
        pool = nn.MaxPool2d(2) if small else nn.MaxPool2d(3, stride=2)
        self.features = nn.Sequential(
            *(*stem, pool, *_layer(first, second, 3 if small else 5, padding=1 if small else 2), pool),
            *(*_layer(second, third, 3, padding=1), *_layer(third, fourth, 3, padding=1)),
            *(*_layer(fourth, fifth, 3, padding=1), pool),
        )
        with torch.no_grad():
            maps = self.features.eval()(torch.zeros(1, 3, size_px, size_px))
        self.features.train()
        self.full = nn.Sequential(
            *(nn.Dropout(), nn.Linear(maps.numel(), self.embedding_size), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(self.embedding_size, self.embedding_size), nn.ReLU()),
        )

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        self.standardise.learn(sample(pixels, seed))

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.features(self.standardise(pixels))
        embedding: Tensor = self.full(maps.flatten(1))
        return embedding


def _layer(channels_in: int, channels_out: int, side: int, *, stride: int = 1, padding: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, side, stride=stride, padding=padding, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU()


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 224)


ROW = EncoderRow(
    reference="Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep CNNs",
    build=AlexNet,
    geometry=_geometry,
    fits_small=True,
    method="network",
    trainable=True,
    optimiser="muon",
)
