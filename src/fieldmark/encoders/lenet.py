"""LeNet-5 for images of 16 to 64 px, in colour: small, quick, and the oldest of them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.row import EncoderRow
from fieldmark.encoders.whitening import Standardise, sample


class LeNet(Encoder):
    """Two 5 x 5 convolutions with pooling, two full layers. float32 [N, 3, S, S] in 0..1 -> float32 [N, 84].

    As the paper has it, but for ReLU in place of tanh, plain maximum pooling, full connections between the maps,
    batch normalisation (Ioffe and Szegedy 2015), and C5 made as large as the input needs (at 32 px, the paper's).
    """

    embedding_size = 84

    def __init__(self, size_px: int) -> None:
        super().__init__()
        # The paper's digits are 28 px on a ground of 32 px: smaller inputs get that margin.
        margin = 2 if size_px < 32 else 0
        left = ((size_px + 2 * margin - 4) // 2 - 4) // 2
        self.standardise = Standardise()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 6, 5, padding=margin, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 120, left, bias=False), nn.BatchNorm2d(120), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(120, 84), nn.ReLU()),
        )

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        self.standardise.learn(sample(pixels, seed))

    def forward(self, pixels: Tensor) -> Tensor:
        embedding: Tensor = self.features(self.standardise(pixels))
        return embedding


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 32, fit="squash", filter="bilinear")


ROW = EncoderRow(
    reference="LeCun et al. 1998, Gradient-based learning applied to document recognition",
    build=LeNet,
    geometry=_geometry,
    fits_small=True,
    method="network",
    trainable=True,
)
