"""Encoder and head as one module: uint8 pixels in; embedding and logits out. What is trained is what is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fieldmark.encoders.encoder import Encoder


def as_input(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in 0..1, as every encoder takes it."""
    # Pixels lie in memory as [N, H, W, 3], so the permuted view is channels_last without a copy.
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0


class Network(nn.Module):
    """uint8 pixels [N, H, W, 3] -> (embedding float32 [N, D], logits float32 [N, C]).

    With `mirror`, answers (not training) take the mean embedding of the image and its mirror image: better by about
    a point for twice the work, and part of the graph that ships.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, *, mirror: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.mirror = mirror

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        seen = as_input(pixels)
        embedding = self.encoder(seen)
        if self.mirror and not self.training:
            embedding = 0.5 * (embedding + self.encoder(seen.flip(3)))
        return embedding.float(), self.head(embedding).float()
