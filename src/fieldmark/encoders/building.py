"""From a model's name to its row: a row of the table, several joined with +, or any network of the zoo."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.row import ENCODERS, EncoderRow
from fieldmark.errors import UsageError


def encoder_row(name: str) -> EncoderRow:
    """The row of `name`: "hog", "hog+colour" (embeddings side by side), or a timm network.

    Raises UnknownName (did you mean), and UsageError where + joins what must be trained.
    """
    if "+" in name:
        return _joined(name)
    if name in ENCODERS:
        return ENCODERS[name]
    # Only here, because timm takes seconds to import.
    from fieldmark.encoders.zoo import zoo_row

    return zoo_row(name)


class Joined(Encoder):
    """Several encoders on the same pixels; embedding [N, sum of theirs], in the order of the name."""

    def __init__(self, parts: list[Encoder]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.embedding_size = sum(part.embedding_size for part in parts)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([part(pixels) for part in self.parts], dim=1)

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        for part in self.parts:
            cast(Encoder, part).learn(pixels, seed)


def _joined(name: str) -> EncoderRow:
    names = [part.strip() for part in name.split("+")]
    rows = [encoder_row(part) for part in names]
    if len(set(names)) < len(names):
        raise UsageError("a model joined with + names a part twice", where=f"model = {name!r}", do="name each once")
    trained = [part for part, row in zip(names, rows, strict=True) if row.method != "probe"]
    if trained:
        raise UsageError(
            f"{', '.join(trained)} cannot be joined with +, because it is trained, not probed",
            where=f"model = {name!r}",
            do="join encoders that `fieldmark models` marks as probe",
        )

    def build(size_px: int) -> Encoder:
        return Joined([row.build(size_px) for row in rows])

    def geometry(size_px: int | None) -> Geometry:
        # The largest size that a part asks for serves all.
        return max((row.geometry(size_px) for row in rows), key=lambda each: each.size_px)

    return EncoderRow(
        reference="; ".join(row.reference for row in rows),
        build=build,
        geometry=geometry,
        method="probe",
        trainable=False,
        fits_small=all(row.fits_small for row in rows),
    )
