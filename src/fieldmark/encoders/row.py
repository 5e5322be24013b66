"""The table of encoders. An encoder is a module: float32 pixels [N, 3, H, W] in 0..1 -> embedding [N, D].

It owns its normalisation (as buffers), says `embedding_size`, and is built at the size that it will be fed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.geometry import Geometry
from fieldmark.table import Table


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


class Build(Protocol):
    def __call__(self, size_px: int) -> Encoder: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRow:
    """`build(size_px)` gives an untrained encoder; `geometry(size_px or None)` how it wants its pixels, where
    None asks for its own size. `method` is how it is used when nothing is said. `weights` is the name under which
    pretrained weights are looked for; None where nobody publishes any."""

    reference: str
    build: Build
    geometry: Callable[[int | None], Geometry]
    method: Literal["probe", "network"]
    trainable: bool  # has parameters that the training loop can improve
    weights: str | None = None


ENCODERS: Table[EncoderRow] = Table.folder("model", "fieldmark.encoders")
