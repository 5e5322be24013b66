"""Jordan's network for 32 px (airbench94): six convolutions from full resolution on; wants a fast machine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.resnet_small import ConvolutionBlock, QuickNorm, small_geometry
from fieldmark.encoders.row import EncoderRow
from fieldmark.encoders.whitening import Standardise, sample, whitening_filters

PATCH_PX, FILTERS = 2, 24
WIDTHS = (64, 256, 256)
POOLED_PX = 16  # smaller images would have nothing left after three halvings that round down


class Airbench(Encoder):
    """float32 [N, 3, S, S] in 0..1 -> float32 [N, 256], the maximum of each map.

    The first layer whitens 2 x 2 patches, as in `resnet_small`; then three times two convolutions, the map halved
    after the first. At 32 px a pass forward takes 118 million multiplications, most of them at 15 px.
    """

    embedding_size = WIDTHS[-1]

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.patches = nn.Conv2d(3, FILTERS, PATCH_PX)
        self.patches.weight.requires_grad_(False)
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in zip((FILTERS, *WIDTHS), WIDTHS, strict=False):
            layers += [HalvingBlock(before, after, rounds_up=size_px < POOLED_PX), ConvolutionBlock(after, after)]
        self.body = nn.Sequential(*layers)

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        images = sample(pixels, seed)
        self.standardise.learn(images)
        filters = whitening_filters(self.standardise(images), PATCH_PX, FILTERS // 2)
        with torch.no_grad():
            self.patches.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.body(self.patches(self.standardise(pixels)))
        return maps.amax((2, 3))


class HalvingBlock(ConvolutionBlock):
    """As its kin, with the maximum of 2 x 2 taken before the norm, which then has a quarter of the work."""

    def __init__(self, channels_in: int, channels_out: int, *, rounds_up: bool) -> None:
        super().__init__(channels_in, channels_out)
        self.norm = nn.Sequential(nn.MaxPool2d(2, ceil_mode=rounds_up), QuickNorm(channels_out))


ROW = EncoderRow(
    reference="Jordan 2024, 94 % on CIFAR-10 in 3.29 seconds on a single GPU",
    build=Airbench,
    geometry=small_geometry,
    fits_small=True,
    method="network",
    trainable=True,
    optimiser="muon",
)
