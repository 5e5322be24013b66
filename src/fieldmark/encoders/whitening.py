"""What small networks learn of their pixels before training: mean and scale, or a whitening of patches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.encoders.encoder import Encoder

SAMPLED_IMAGES = 5000


def sample(pixels: NDArray[np.uint8], seed: int) -> Tensor:
    """Up to 5,000 random images as float32 [n, 3, H, W] in 0..1."""
    chosen = np.random.default_rng(seed).permutation(len(pixels))[:SAMPLED_IMAGES]
    return torch.from_numpy(pixels[np.sort(chosen)]).permute(0, 3, 1, 2).to(torch.float32) / 255.0


class Standardise(nn.Module):
    """Each colour channel less its mean, over its standard deviation: float32 [N, 3, H, W] -> the same shape."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def learn(self, images: Tensor) -> None:
        """Take mean and deviation from float32 [n, 3, H, W]; an empty channel keeps a deviation above nought."""
        self.mean.copy_(images.double().mean((0, 2, 3), keepdim=True))
        self.std.copy_(images.double().std((0, 2, 3), keepdim=True).clamp(min=1e-2))

    def forward(self, pixels: Tensor) -> Tensor:
        standard: Tensor = (pixels - self.mean) / self.std
        return standard


class Whitened(Encoder):
    """float32 [N, 3, S, S] in 0..1 -> float32 [N, embedding_size], the maximum of each map of `body`.

    The first layer, `patches`, whitens square patches, is learnt from the training images without labels, and stays
    as it is; each of its filters is there with both signs (Page 2019; Jordan 2024).
    """

    def __init__(self, patches: nn.Conv2d, body: nn.Sequential, embedding_size: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.standardise = Standardise()
        self.patches = patches
        self.patches.weight.requires_grad_(False)
        self.body = body

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        images = sample(pixels, seed)
        self.standardise.learn(images)
        filters = whitening_filters(
            self.standardise(images), self.patches.kernel_size[0], self.patches.out_channels // 2
        )
        with torch.no_grad():
            self.patches.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.body(self.patches(self.standardise(pixels)))
        return maps.amax((2, 3), keepdim=True).flatten(1)  # sides kept: ExecuTorch knows no other maximum


def whitening_filters(images: Tensor, side: int, count: int) -> Tensor:
    """float32 [n, 3, H, W] -> float32 [count, 3, side, side]: the leading eigenvectors of the images' patches, each
    over the root of its eigenvalue, so that their answers are uncorrelated and of like size (Page 2019)."""
    patches = images.unfold(2, side, 2).unfold(3, side, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * side * side)
    covariance = patches.double().T @ patches.double() / len(patches)
    values, vectors = torch.linalg.eigh(covariance)
    # The small constant keeps near-constant directions (grey images have many) from being blown up.
    scaled = vectors / torch.sqrt(values.clamp(min=0.0) + 1e-2)
    filters: Tensor = scaled.T.flip(0)[:count].reshape(-1, 3, side, side).to(torch.float32)
    return filters
