"""What TrivialAugment and RandAugment draw from: the table of operations on pixels.

The fourteen of Cubuk et al. 2020, as Pillow defines them; each takes a whole batch, each image with a strength of its
own. At a strength of 0 an operation that has strengths leaves every image as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fieldmark.table import Table
from fieldmark.training.affine import as_pixels, mean_grey, recolour, warp

# Pixels uint8 [N, S, S, 3] and strengths float32 [N] to new pixels of the same shape; the arguments are left alone.
Operate = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row. The strongest that is drawn: `wide` by TrivialAugment, `usual` by RandAugment, `upright` where signs
    must keep their meaning; all 0 where an operation has no strengths. With `both_ways` the sign is drawn too."""

    name: str
    summary: str
    operate: Operate
    wide: float = 0.0
    usual: float = 0.0
    upright: float = 0.0
    both_ways: bool = False

    @property
    def has_strengths(self) -> bool:
        return self.wide > 0.0


def _identity(pixels: Tensor, _strengths: Tensor) -> Tensor:
    return pixels


def _brightness(pixels: Tensor, strengths: Tensor) -> Tensor:
    return recolour(pixels, own=1.0 + strengths, offset=torch.zeros_like(strengths))


def _contrast(pixels: Tensor, strengths: Tensor) -> Tensor:
    return recolour(pixels, own=1.0 + strengths, offset=-strengths * mean_grey(pixels))


def _saturation(pixels: Tensor, strengths: Tensor) -> Tensor:
    return recolour(pixels, own=1.0 + strengths, offset=torch.zeros_like(strengths), grey=-strengths)


def _sharpness(pixels: Tensor, strengths: Tensor) -> Tensor:
    if pixels.shape[1] < 3:  # all edge, which has no neighbours on every side
        return pixels
    wide = pixels.to(torch.int16)
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    inner = wide[:, 1:-1, 1:-1]
    smooth = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inner  # thirteen times
    factor = (1.0 + strengths)[:, None, None, None]
    changed = pixels.clone()
    changed[:, 1:-1, 1:-1] = as_pixels((smooth * ((1.0 - factor) / 13.0)).add_(inner * factor))
    return changed


def _posterize(pixels: Tensor, strengths: Tensor) -> Tensor:
    kept = (0xFF << strengths.round().to(torch.int64)) & 0xFF
    return pixels & kept.to(torch.uint8)[:, None, None, None]


def _solarize(pixels: Tensor, strengths: Tensor) -> Tensor:
    threshold = (256.0 * (1.0 - strengths)).clamp(max=255.0).to(torch.uint8)[:, None, None, None]
    inverted = (pixels >= threshold) & (strengths > 0.0)[:, None, None, None]
    return pixels ^ inverted.to(torch.uint8).mul_(255)


def _autocontrast(pixels: Tensor, _strengths: Tensor) -> Tensor:
    lines = pixels.flatten(2)
    darkest = lines.amin(1).view(len(pixels), -1, 3).amin(1).to(torch.float32)
    span = lines.amax(1).view(len(pixels), -1, 3).amax(1) - darkest
    factor = torch.where(span > 0.0, 255.0 / span.clamp_min(1.0), 1.0)
    darkest = torch.where(span > 0.0, darkest, 0.0)
    return as_pixels((lines - _along(darkest, lines)).mul_(_along(factor, lines))).view(pixels.shape)


def _along(channels: Tensor, lines: Tensor) -> Tensor:
    # [N, 3] -> [N, 1, 3 S], beside lines of pixels [N, S, 3 S]: far faster than an innermost dimension of three.
    return channels.repeat(1, lines.shape[2] // 3)[:, None]


def _equalize(pixels: Tensor, _strengths: Tensor) -> Tensor:
    images, side = pixels.shape[:2]
    channels = torch.arange(3 * images, device=pixels.device).view(images, 1, 1, 3)
    index = pixels.to(torch.int64) + 256 * channels
    counts = torch.bincount(index.flatten(), minlength=768 * images).view(-1, 256)
    below = counts.cumsum(1) - counts
    # Pillow's own rule: every `step` pixels, the brightest level aside, are a level; with too few nothing is done.
    brightest = counts.gather(1, (counts > 0).mul(torch.arange(256, device=pixels.device)).argmax(1, keepdim=True))
    step = (side * side - brightest) // 255
    levels = ((below + step // 2) // step.clamp_min(1)).clamp(max=255)
    levels = torch.where(step > 0, levels, torch.arange(256, device=pixels.device))
    return levels.to(torch.uint8).flatten()[index]


def _rotate(pixels: Tensor, strengths: Tensor) -> Tensor:
    turned, maps = torch.deg2rad(strengths), _identities(pixels)
    maps[:, 0, 0] = maps[:, 1, 1] = turned.cos()
    maps[:, 0, 1], maps[:, 1, 0] = -turned.sin(), turned.sin()
    return warp(pixels, maps)


def _entry(row: int, column: int, factor: float) -> Operate:
    """The operation whose strengths, times `factor`, are one entry of the map of places."""

    def operate(pixels: Tensor, strengths: Tensor) -> Tensor:
        maps = _identities(pixels)
        maps[:, row, column] = factor * strengths
        return warp(pixels, maps)

    return operate


def _identities(pixels: Tensor) -> Tensor:
    return torch.eye(2, 3, device=pixels.device).repeat(len(pixels), 1, 1)


# Ranges: Müller and Hutter 2021 (wide), Cubuk et al. 2020 (usual). A shift is a share of the side: the 32 px that the
# former moves images of any size by would leave nothing of one of 32 px.
ROWS = (
    Operation(name="identity", summary="nothing", operate=_identity),
    Operation(name="autocontrast", summary="darkest to 0, brightest to 255", operate=_autocontrast),
    Operation(name="equalize", summary="every grey level as common", operate=_equalize),
    Operation(
        name="rotate", summary="turned, degrees", operate=_rotate, wide=135, usual=30, upright=15, both_ways=True
    ),
    Operation(
        name="shear-x",
        summary="slanted sideways",
        operate=_entry(0, 1, 1.0),
        wide=0.99,
        usual=0.3,
        upright=0.2,
        both_ways=True,
    ),
    Operation(
        name="shear-y",
        summary="slanted upwards",
        operate=_entry(1, 0, 1.0),
        wide=0.99,
        usual=0.3,
        upright=0.2,
        both_ways=True,
    ),
    Operation(
        name="translate-x",
        summary="moved sideways, share of the side",
        operate=_entry(0, 2, 2.0),
        wide=0.25,
        usual=0.45,
        upright=0.1,
        both_ways=True,
    ),
    Operation(
        name="translate-y",
        summary="moved up or down, share of the side",
        operate=_entry(1, 2, 2.0),
        wide=0.25,
        usual=0.45,
        upright=0.1,
        both_ways=True,
    ),
    Operation(name="posterize", summary="bits that are dropped", operate=_posterize, wide=6, usual=4, upright=4),
    Operation(
        name="solarize", summary="share of bright levels inverted", operate=_solarize, wide=1, usual=1, upright=1
    ),
    Operation(
        name="brightness",
        summary="lighter or darker",
        operate=_brightness,
        wide=0.99,
        usual=0.9,
        upright=0.9,
        both_ways=True,
    ),
    Operation(
        name="contrast",
        summary="away from or towards its mean grey",
        operate=_contrast,
        wide=0.99,
        usual=0.9,
        upright=0.9,
        both_ways=True,
    ),
    Operation(
        name="saturation",
        summary="away from or towards grey",
        operate=_saturation,
        wide=0.99,
        usual=0.9,
        upright=0.9,
        both_ways=True,
    ),
    Operation(
        name="sharpness",
        summary="away from or towards a blur",
        operate=_sharpness,
        wide=0.99,
        usual=0.9,
        upright=0.9,
        both_ways=True,
    ),
)
OPERATIONS: Table[Operation] = Table.rows("operation", ROWS)
