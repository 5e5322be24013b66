"""Jordan's network for 32 px (airbench94): six convolutions from full resolution on, for budgets of many minutes."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fieldmark.encoders.resnet_small import ConvolutionBlock, small_geometry
from fieldmark.encoders.row import EncoderRow
from fieldmark.encoders.whitening import Whitened

PATCH_PX, FILTERS = 2, 24
Widths = tuple[int, int, int]
POOLED_PX = 16  # smaller images would have nothing left after three halvings that round down


class HalvingBlock(ConvolutionBlock):
    """As its kin, with the maximum of 2 x 2 taken before the norm, which then has a quarter of the work."""

    def __init__(self, channels_in: int, channels_out: int, *, rounds_up: bool) -> None:
        super().__init__(channels_in, channels_out)
        self.pool = nn.MaxPool2d(2, ceil_mode=rounds_up)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.gelu(self.norm(self.pool(self.convolution(maps))))


def airbench_row(widths: Widths) -> EncoderRow:
    """The row of such a network.

    The first layer whitens 2 x 2 patches at full resolution; then three times two convolutions of `widths` channels,
    the map halved after the first. At 32 px a pass forward through 64, 256 and 256 takes 118 million multiplications,
    most of them at 15 px.
    """

    def build(size_px: int) -> Whitened:
        patches = nn.Conv2d(3, FILTERS, PATCH_PX)
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise((FILTERS, *widths)):
            layers += [HalvingBlock(before, after, rounds_up=size_px < POOLED_PX), ConvolutionBlock(after, after)]
        return Whitened(patches, nn.Sequential(*layers), embedding_size=widths[-1])

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
