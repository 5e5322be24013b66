"""Encoder and head as one module: uint8 pixels in; embedding and logits out. What is trained is what is exported."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fieldmark.encoders.encoder import Encoder


def as_input(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in 0..1, as every encoder takes it."""
    # Pixels lie in memory as [N, H, W, 3], so the permuted view is channels_last without a copy.
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0


class Network(nn.Module):
    """uint8 pixels [N, H, W, 3] -> (embedding float32 [N, D], logits float32 [N, C]).

    With `mirror`, answers (not training) take the mean embedding of the image and its mirror image: better by about
    a point for twice the work, and part of the graph that ships. With `keeps_statistics` batch normalisation
    normalises in training too by the averages that it came with, and leaves them as they are.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, *, mirror: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.mirror = mirror
        self.keeps_statistics = False

    def freeze(self, share: float) -> None:
        """The first `share` of the weights, counted as tensors in the encoder's order from the input on, stay as they
        are: no gradient is taken of them, and nothing of their layers is kept for one."""
        weights = list(self.parameters())
        for weight in weights[: int(share * len(weights))]:
            weight.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.keeps_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        seen = as_input(pixels)
        embedding = self.encoder(seen)
        if self.mirror and not self.training:
            embedding = 0.5 * (embedding + self.encoder(seen.flip(3)))
        return embedding.float(), self.head(embedding).float()
