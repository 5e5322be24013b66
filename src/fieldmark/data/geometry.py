"""How any picture becomes the model's input pixels: one pure function, the same in training and serving."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Geometry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Output is uint8 [size_px, size_px, 3].

    crop: shorter side to size_px / crop_fraction, then the centre; squash: both sides, aspect ratio lost;
    pad: longer side to size_px, the rest `pad_value`. Filters are Pillow's, antialiased.
    """

    size_px: Annotated[int, msgspec.Meta(ge=8, le=4096)]
    fit: Literal["crop", "pad", "squash"] = "crop"
    filter: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
