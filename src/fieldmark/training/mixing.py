"""Two images of a batch as one: MixUp, CutMix, and what becomes of their targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fieldmark.training.boxes import between, paste

MIXUP_ALPHA = 0.2  # of the Beta distribution of shares; the paper's for ImageNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Image i of a batch is `share[i]` itself and the rest image `partner[i]`; float32 [N] and int64 [N]."""

    partner: Tensor
    share: Tensor

    def of(self, values: Tensor) -> Tensor:
        """float32 [N] or [N, C], a row an image, mixed as the pixels were: targets, or the weights of images."""
        share = self.share.to(values).view(-1, *[1] * (values.ndim - 1))
        return share * values + (1.0 - share) * values[self.partner.to(values.device)]


def mixup(pixels: Tensor, others: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """uint8 [N, S, S, 3] twice -> their weighted means and the first's weights, float32 [N] (Zhang et al. 2018)."""
    random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    drawn = random.beta(MIXUP_ALPHA, MIXUP_ALPHA, len(pixels))
    drawn = np.maximum(drawn, 1.0 - drawn)  # the same mixtures, and no image quite replaced by its partner
    # Weights in 128ths: 16 bits hold every product, at half the work of floats.
    parts = torch.from_numpy(np.rint(128 * drawn).astype(np.int16))
    theirs = others.flatten(1)
    mixed = pixels.flatten(1).to(torch.int16).sub_(theirs).mul_(parts.to(pixels.device)[:, None])
    mixed = mixed.add_(64).bitwise_right_shift_(7).add_(theirs)
    return mixed.to(torch.uint8).view(pixels.shape), parts / 128.0


def cutmix(pixels: Tensor, others: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """uint8 [N, S, S, 3] twice -> the first with a box of the second, and the share of its area that the first kept,
    float32 [N]. The box covers a share drawn evenly from 0..1, less what lies outside the image (Yun et al. 2019)."""
    images, side = pixels.shape[:2]
    size, down, across = torch.rand(3, images, generator=generator)
    half = 0.5 * size.sqrt()
    rows, columns = (between(centre - half, centre + half, side) for centre in (down, across))
    share = 1.0 - rows.sum(1) * columns.sum(1) / (side * side)
    return paste(pixels, others, rows, columns), share
