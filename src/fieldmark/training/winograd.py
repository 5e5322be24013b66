"""3 x 3 convolutions of small maps with a third of the multiplications, forward and backward, on a processor.

Lavin and Gray 2016, F(4 x 4, 3 x 3): a tile of 6 x 6 inputs gives 4 x 4 outputs for 36 multiplications a pair of
channels instead of 144. The transforms are linear along each side, so for a map of known size they are one small
matrix a side, borders included, and the whole convolution is matrix products. oneDNN, which torch calls, has this for
inference at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS, TILE = 4, 6  # px of a tile's side, after and before
# Beyond these the transforms, which grow with the square of the side and with each channel, cost what products save.
LARGEST_SIDE, FEWEST_CHANNELS, FEWEST_IMAGES = 16, 64, 128

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


@contextmanager
def winograd(network: nn.Module) -> Iterator[None]:
    """Within, the convolutions of `network` that this suits are done so; all others, and any afterwards, as ever."""
    suited = [module for module in network.modules() if isinstance(module, nn.Conv2d) and _suits(module)]
    try:
        for module in suited:
            module.forward = partial(_forward, module)  # type: ignore[method-assign]
        yield
    finally:
        for module in suited:
            del module.forward


def convolve(maps: Tensor, weight: Tensor) -> Tensor:
    """float32 [N, C, H, W] and [D, C, 3, 3] -> [N, D, H, W]: stride 1, borders filled with zeros. Differs from the
    direct sum by rounding only (about 1e-5 of the largest value)."""
    return _Convolution.apply(maps, weight)  # type: ignore[no-any-return, no-untyped-call]


def _suits(module: nn.Conv2d) -> bool:
    return (
        type(module) is nn.Conv2d  # others compute something more
        and module.kernel_size == (3, 3)
        and module.stride == module.dilation == (1, 1)
        and module.padding == (1, 1)
        and module.padding_mode == "zeros"
        and module.groups == 1
        and 2 * module.in_channels * module.out_channels
        >= FEWEST_CHANNELS * (module.in_channels + module.out_channels)
    )


def _forward(module: nn.Conv2d, maps: Tensor) -> Tensor:
    small = len(maps) >= FEWEST_IMAGES and max(maps.shape[2:]) <= LARGEST_SIDE
    exact = maps.dtype == torch.float32 and maps.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    if not (small and exact):
        return functional.conv2d(maps, module.weight, module.bias, padding=1)
    convolved = convolve(maps, module.weight)
    return convolved if module.bias is None else convolved + module.bias[:, None, None]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        (down_in, down_out), (across_in, across_out) = map(_transforms, maps.shape[2:])
        tiles = _transform(_images_inside(maps), down_in, across_in)
        ctx.save_for_backward(tiles, weight)
        ctx.size = maps.shape[2:]
        return _images_first(_transform(_products(tiles, _kernels(weight)), down_out, across_out))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        tiles, weight = ctx.saved_tensors
        (down_in, down_out), (across_in, across_out) = map(_transforms, ctx.size)
        products = _transform(_images_inside(gradient), down_out.T, across_out.T)
        into_weight = _into_weight(tiles, products)
        if not ctx.needs_input_grad[0]:
            return None, into_weight
        into_tiles = _products(products, _kernels(weight).transpose(2, 3))
        return _images_first(_transform(into_tiles, down_in.T, across_in.T)), into_weight


@cache
def _transforms(side: int) -> tuple[Tensor, Tensor]:
    """Along one side of `side` px: [6 T, side] from pixels to T tiles, and [side, 6 T] back; rows by place in the
    tile, then by tile. Pixels beyond the border are zero, so they have no column."""
    tiles = -(-side // OUTPUTS)
    into, back = torch.zeros(TILE, tiles, side), torch.zeros(side, TILE, tiles)
    for tile in range(tiles):
        for place in range(TILE):
            pixel = tile * OUTPUTS + place - 1
            if 0 <= pixel < side:
                into[:, tile, pixel] = torch.tensor(_INPUT)[:, place]
        for place in range(min(OUTPUTS, side - tile * OUTPUTS)):
            back[tile * OUTPUTS + place, :, tile] = torch.tensor(_OUTPUT)[place]
    return into.reshape(TILE * tiles, side), back.reshape(side, TILE * tiles)


def _images_inside(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> [H, W, N, C], so that every product below runs over whole memory."""
    return maps.permute(2, 3, 0, 1).contiguous()


def _images_first(maps: Tensor) -> Tensor:
    """[H, W, N, C] -> [N, C, H, W], channels last in memory."""
    return maps.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _transform(maps: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """[H, W, N, C] by matrices [H', H] and [W', W] -> [H', W', N, C]."""
    height, width, images, channels = maps.shape
    lines = (down @ maps.reshape(height, -1)).view(len(down), width, images * channels)
    return torch.matmul(across, lines).view(len(down), len(across), images, channels)


def _kernels(weight: Tensor) -> Tensor:
    """[D, C, 3, 3] -> [6, 6, C, D]."""
    kernel = torch.tensor(_KERNEL)
    return torch.einsum("ui,vj,dcij->uvcd", kernel, kernel, weight).contiguous()


def _products(tiles: Tensor, kernels: Tensor) -> Tensor:
    """Tiles [6 T, 6 U, N, C] by kernels [6, 6, C, D] -> [6 T, 6 U, N, D]."""
    down, across, images, channels = tiles.shape
    shape = (TILE, down // TILE, TILE, across // TILE, channels, kernels.shape[3])
    repeated = kernels[:, None, :, None].expand(shape).reshape(-1, *shape[4:])
    return torch.bmm(tiles.view(-1, images, channels), repeated).view(down, across, images, -1)


def _into_weight(tiles: Tensor, products: Tensor) -> Tensor:
    """The gradient [D, C, 3, 3] from tiles [6 T, 6 U, N, C] and products' gradients [6 T, 6 U, N, D]."""
    down, across, images, channels = tiles.shape
    each = torch.bmm(tiles.view(-1, images, channels).transpose(1, 2), products.view(-1, images, products.shape[3]))
    kernels = each.view(TILE, down // TILE, TILE, across // TILE, channels, -1).sum((1, 3))
    kernel = torch.tensor(_KERNEL)
    return torch.einsum("ui,vj,uvcd->dcij", kernel, kernel, kernels)
