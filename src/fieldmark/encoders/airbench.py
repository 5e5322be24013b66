"""Jordan's network for 32 px (airbench94): six convolutions from full resolution on, for budgets of many minutes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.resnet_small import ConvolutionBlock, small_geometry
from fieldmark.encoders.row import EncoderRow
from fieldmark.encoders.whitening import Standardise, sample, whitening_filters

PATCH_PX, FILTERS = 2, 24
Widths = tuple[int, int, int]
POOLED_PX = 16  # smaller images would have nothing left after three halvings that round down


class Airbench(Encoder):
    """float32 [N, 3, S, S] in 0..1 -> float32 [N, widths[-1]], the maximum of each map.

    The first layer whitens 2 x 2 patches, as in `resnet_small`; then three times two convolutions of `widths`
    channels, the map halved after the first. At 32 px a pass forward through 64, 256 and 256 takes 118 million
    multiplications, most of them at 15 px.
    """

    def __init__(self, size_px: int, widths: Widths) -> None:
        super().__init__()
        self.embedding_size = widths[-1]
        self.standardise = Standardise()
        self.patches = nn.Conv2d(3, FILTERS, PATCH_PX)
        self.patches.weight.requires_grad_(False)
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise((FILTERS, *widths)):
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
        self.pool = nn.MaxPool2d(2, ceil_mode=rounds_up)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.gelu(self.norm(self.pool(self.convolution(maps))))


def airbench_row(widths: Widths) -> EncoderRow:
    """The row of such a network."""

    def build(size_px: int) -> Airbench:
        return Airbench(size_px, widths)

    return EncoderRow(
        reference="Jordan 2024, 94 % on CIFAR-10 in 3.29 seconds on a single GPU",
        build=build,
        geometry=small_geometry,
        fits_small=True,
        method="network",
        trainable=True,
        optimiser="muon",
    )


ROW = airbench_row((64, 256, 256))
