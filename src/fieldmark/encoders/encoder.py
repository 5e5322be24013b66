"""What an encoder is: float32 pixels [N, 3, H, W] in 0..1 -> embedding [N, D].

It owns its normalisation (as buffers), says `embedding_size`, and is built at the size that it will be fed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Encoder(nn.Module):
    """What every encoder promises beside `forward`; the one type that probe, loop and exporter know."""

    embedding_size: int

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [N, 3, H, W] in 0..1 -> float32 [N, embedding_size]; row i depends on image i alone."""
        raise NotImplementedError

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        """Learn what is learnt without labels (a vocabulary, a whitening) from uint8 [N, H, W, 3] of the training
        part. Most encoders have nothing to learn here."""

    def backbone(self) -> nn.Module:
        """The part whose tensor names a file of pretrained weights uses."""
        return self
