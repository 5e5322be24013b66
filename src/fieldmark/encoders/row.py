"""The table of encoders. Reading it needs no torch: a row's module is imported when the row is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from fieldmark.data.geometry import Geometry
from fieldmark.table import Table

if TYPE_CHECKING:
    from fieldmark.encoders.encoder import Encoder


SMALL_PX = 64  # up to here, on the shorter side, pictures are small: icons, digits, thumbnails


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
    optimiser: str = "sgd"  # that trains it best from scratch
    rate_share: float = 1.0  # of the optimiser's rate from scratch, that suits it
    fits_small: bool = False  # can be built for images of 8 to SMALL_PX as they are, without enlarging them


ENCODERS: Table[EncoderRow] = Table.folder("model", "fieldmark.encoders")
