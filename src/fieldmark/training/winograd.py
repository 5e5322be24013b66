"""3 x 3 convolutions with a quarter of the multiplications, forward and backward, on a processor.

Lavin and Gray 2016, F(4 x 4, 3 x 3): a tile of 6 x 6 inputs gives 4 x 4 outputs for 36 multiplications a pair of
channels instead of 144. The transforms are linear along each side, so all of it is matrix products. oneDNN, which
torch calls, has this for inference at most.
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
FEWEST_TILES = 128
# Whole maps are transformed by matrices that know their borders, up to this side and from so many images on. Others
# are cut into tiles first: copied more than twice, but then transformed without multiplying by noughts.
LARGEST_WHOLE, FEWEST_WHOLE = 16, 256
# With fewer, transforms, which grow with each channel, cost what products save, which grow with each pair of them.
FEWEST_CHANNELS, FEWEST_CHANNELS_CUT = 64, 128

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
        and _channels(module) >= FEWEST_CHANNELS
    )


def _channels(module: nn.Conv2d) -> float:
    """Before and after, as their harmonic mean: products over transforms."""
    before, after = module.in_channels, module.out_channels
    return 2.0 * before * after / (before + after)


def _forward(module: nn.Conv2d, maps: Tensor) -> Tensor:
    down, across = (-(-side // OUTPUTS) for side in maps.shape[2:])
    exact = maps.dtype == torch.float32 and maps.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    enough = _whole(maps.shape) or _channels(module) >= FEWEST_CHANNELS_CUT
    if not (exact and enough) or len(maps) * down * across < FEWEST_TILES:
        return functional.conv2d(maps, module.weight, module.bias, padding=1)
    convolved = convolve(maps, module.weight)
    return convolved if module.bias is None else convolved + module.bias[:, None, None]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        tiles = _into_tiles(maps)
        ctx.save_for_backward(tiles, weight)
        return _out_of_tiles(_products(tiles, _kernels(weight)), maps.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        tiles, weight = ctx.saved_tensors
        gradients = _back_into_tiles(gradient)
        into_weight = _into_kernels(tiles, gradients)
        if not ctx.needs_input_grad[0]:
            return None, into_weight
        # Step by step backwards, not by a convolution with turned kernels, which would transform `gradient` again.
        into_tiles = _products(gradients, _kernels(weight.transpose(0, 1)))
        images, _, height, width = gradient.shape
        return _back_out_of_tiles(into_tiles, torch.Size((images, weight.shape[1], height, width))), into_weight


def _whole(shape: torch.Size) -> bool:
    return shape[0] >= FEWEST_WHOLE and max(shape[2:]) <= LARGEST_WHOLE


def _into_tiles(maps: Tensor) -> Tensor:
    """[N, C, H, W] -> transformed tiles [6 T, 6 U, rows, C]: T and U tiles down and across, a row an image; or T and
    U 1, and a row a tile."""
    if _whole(maps.shape):
        (down, _), (across, _) = map(_with_borders, maps.shape[2:])
        return _transform(maps.permute(2, 3, 0, 1).contiguous(), down, across)
    height, width = maps.shape[2:]
    padded = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1 + -width % OUTPUTS, 1, 1 + -height % OUTPUTS))
    cut = padded.unfold(1, TILE, OUTPUTS).unfold(2, TILE, OUTPUTS).permute(4, 5, 0, 1, 2, 3)
    matrix = torch.tensor(_INPUT, dtype=torch.float32)
    return _transform(cut.reshape(TILE, TILE, -1, maps.shape[1]), matrix, matrix)


def _out_of_tiles(products: Tensor, shape: torch.Size) -> Tensor:
    """[6 T, 6 U, rows, D] -> [N, D, H, W], channels last in memory; `shape` gives N, H and W."""
    images, _, height, width = shape
    if _whole(shape):
        (_, down), (_, across) = map(_with_borders, (height, width))
        maps = _transform(products, down, across).permute(2, 0, 1, 3)
    else:
        matrix = torch.tensor(_OUTPUT, dtype=torch.float32)
        blocks = _transform(products, matrix, matrix)
        tiles = images, -(-height // OUTPUTS), -(-width // OUTPUTS)
        placed = blocks.view(OUTPUTS, OUTPUTS, *tiles, -1).permute(2, 3, 0, 4, 1, 5)
        maps = placed.reshape(images, tiles[1] * OUTPUTS, tiles[2] * OUTPUTS, -1)[:, :height, :width]
    return maps.contiguous().permute(0, 3, 1, 2)


def _back_into_tiles(gradient: Tensor) -> Tensor:
    """What `_out_of_tiles` gave [N, D, H, W] for, [6 T, 6 U, rows, D]: its transpose."""
    height, width = gradient.shape[2:]
    if _whole(gradient.shape):
        (_, down), (_, across) = map(_with_borders, (height, width))
        return _transform(gradient.permute(2, 3, 0, 1).contiguous(), down.T, across.T)
    padded = functional.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, -width % OUTPUTS, 0, -height % OUTPUTS))
    cut = padded.unfold(1, OUTPUTS, OUTPUTS).unfold(2, OUTPUTS, OUTPUTS).permute(4, 5, 0, 1, 2, 3)
    matrix = torch.tensor(_OUTPUT, dtype=torch.float32).T
    return _transform(cut.reshape(OUTPUTS, OUTPUTS, -1, gradient.shape[1]), matrix, matrix)


def _back_out_of_tiles(gradients: Tensor, shape: torch.Size) -> Tensor:
    """What `_into_tiles` gave [6 T, 6 U, rows, C] for, [N, C, H, W], channels last in memory: its transpose."""
    images, channels, height, width = shape
    if _whole(shape):
        (down, _), (across, _) = map(_with_borders, (height, width))
        maps = _transform(gradients, down.T, across.T).permute(2, 0, 1, 3)
    else:
        matrix = torch.tensor(_INPUT, dtype=torch.float32).T
        blocks = _transform(gradients, matrix, matrix)
        tiles = -(-height // OUTPUTS), -(-width // OUTPUTS)
        cut = blocks.view(TILE, TILE, images, *tiles, channels).permute(2, 3, 0, 4, 1, 5)
        cells = cut.new_zeros(images, tiles[0] + 1, OUTPUTS, tiles[1] + 1, OUTPUTS, channels)
        # Tiles overlap: the last places of each are the first ones of the next.
        own, shared = slice(0, OUTPUTS), slice(0, TILE - OUTPUTS)
        parts = ((slice(0, -1), own, own), (slice(1, None), shared, slice(OUTPUTS, TILE)))
        for rows, into_row, of_row in parts:
            for columns, into_column, of_column in parts:
                cells[:, rows, into_row, columns, into_column] += cut[:, :, of_row, :, of_column]
        maps = cells.flatten(3, 4).flatten(1, 2)[:, 1 : 1 + height, 1 : 1 + width]
    return maps.contiguous().permute(0, 3, 1, 2)


@cache
def _with_borders(side: int) -> tuple[Tensor, Tensor]:
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


def _transform(maps: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """[H, W, rows, C] by matrices [H', H] and [W', W] -> [H', W', rows, C]."""
    height, width, rows, channels = maps.shape
    lines = (down @ maps.reshape(height, -1)).view(len(down), width, rows * channels)
    return torch.matmul(across, lines).view(len(down), len(across), rows, channels)


def _kernels(weight: Tensor) -> Tensor:
    """[D, C, 3, 3] -> [6, 6, C, D]."""
    channels = weight.shape[1]
    return torch.mm(_both_ways(), weight.permute(2, 3, 1, 0).reshape(9, -1)).view(TILE, TILE, channels, -1)


@cache
def _both_ways() -> Tensor:
    """[36, 9]: from a kernel to its transform, down and across at once."""
    kernel = torch.tensor(_KERNEL, dtype=torch.float32)
    both: Tensor = torch.kron(kernel, kernel)
    return both


def _products(tiles: Tensor, kernels: Tensor) -> Tensor:
    """Tiles [6 T, 6 U, rows, C] by kernels [6, 6, C, D] -> [6 T, 6 U, rows, D]."""
    down, across, rows, channels = tiles.shape
    shape = (TILE, down // TILE, TILE, across // TILE, channels, kernels.shape[3])
    repeated = kernels[:, None, :, None].expand(shape).reshape(-1, *shape[4:])
    return torch.bmm(tiles.view(-1, rows, channels), repeated).view(down, across, rows, -1)


def _into_kernels(tiles: Tensor, gradients: Tensor) -> Tensor:
    """The gradient [D, C, 3, 3] from tiles [6 T, 6 U, rows, C] and products' gradients [6 T, 6 U, rows, D]."""
    down, across, rows, channels = tiles.shape
    each = torch.bmm(tiles.view(-1, rows, channels).transpose(1, 2), gradients.view(-1, rows, gradients.shape[3]))
    # One side after the other: torch takes 20 times as long to sum over both at once.
    summed = each.view(TILE, down // TILE, TILE, across // TILE, channels, -1).sum(3).sum(1)
    return torch.mm(_both_ways().T, summed.view(TILE * TILE, -1)).view(3, 3, channels, -1).permute(3, 2, 0, 1)
