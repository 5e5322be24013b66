"""Networks made for photos of 224 px, fitted to images of 64 px or less."""

from __future__ import annotations

from torch import nn

HALVING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def keep_size(network: nn.Module, count: int) -> None:
    """The first `count` layers of `network` that halve the image keep its size instead; weights are untouched."""
    halving = [layer for layer in network.modules() if isinstance(layer, HALVING) and layer.stride in (2, (2, 2))]
    for layer in halving[:count]:
        layer.stride = (1, 1) if isinstance(layer, nn.Conv2d) else 1
    for pooling in network.modules():
        if isinstance(pooling, nn.MaxPool2d):
            pooling.ceil_mode = True  # 28 px become 14, 7, 4, 2 and 1; without the odd row they would end at 0
