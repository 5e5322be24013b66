"""How any picture becomes the model's input pixels: one pure function, the same in training and serving.

To the pixel, so that it can be made again elsewhere. A picture is W x H, S = `size_px`, and every fit is ONE call
of Pillow's `resize((w, h), filter, box=(left, top, right, bottom))`, whose box is in pixels of the picture, may end
between two pixels, and whose filters are widened when shrinking (antialiased; 8-bit, rows first, then columns):

- crop:   s = min(W, H) * crop_fraction; the box is the s x s square about the centre; (w, h) = (S, S);
- squash: the box is the whole picture; (w, h) = (S, S);
- pad:    the box is the whole picture; (w, h) = (W, H) * S / max(W, H), each floor(x + 0.5) and at least 1; laid on
          S x S pixels of `pad_value`, with its left at (S - w) // 2 and its top at (S - h) // 2.

`resize` may look at pixels outside the box, as far as its filter reaches and inside the picture.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.data.picture import Pixels

# A JPEG may be decoded at 1/2, 1/4 or 1/8 while its shorter side keeps DRAFT_MARGIN times the pixels that the
# geometry takes from it, and where both sides divide evenly. DRAFT_TOLERANCE bounds what that changes in a photo, as
# (mean, largest) absolute difference of 8-bit values from the full decode. Measured, the worst of each: 24 clothing
# photos enlarged 4, 5 and 8 times with noise, to 224 px: 0.36 and 4; 60 of them as they are (256 px, quality 75), to
# 64 px: 1.4 and 11. With a margin of 1: 3.1 and 30.
DRAFT_MARGIN = 2
DRAFT_TOLERANCE = (2.0, 24)


Fit = Literal["crop", "pad", "squash"]


class Geometry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Output is uint8 [size_px, size_px, 3].

    crop: shorter side to size_px / crop_fraction, then the centre; squash: both sides, aspect ratio lost;
    pad: longer side to size_px, the rest `pad_value`. Filters are Pillow's, antialiased.
    """

    size_px: Annotated[int, msgspec.Meta(ge=8, le=4096)]
    fit: Fit = "crop"
    filter: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0


_FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def apply(pixels: Pixels, geometry: Geometry) -> Pixels:
    """uint8 [H, W, 3], any H and W of at least 1, to uint8 [size_px, size_px, 3]."""
    return apply_image(Image.fromarray(pixels), geometry)


def apply_image(image: Image.Image, geometry: Geometry) -> Pixels:
    """As `apply`, on a Pillow image of mode RGB."""
    size = geometry.size_px
    if geometry.fit == "pad":
        return _pad(image, geometry)
    box = _centre_square(image, geometry) if geometry.fit == "crop" else (0.0, 0.0, image.width, image.height)
    if box == (0, 0, size, size) == (0, 0, *image.size):
        return np.array(image, dtype=np.uint8)
    return np.array(image.resize((size, size), _FILTERS[geometry.filter], box=box), dtype=np.uint8)


def resampling(geometry: Geometry, side_px: int) -> NDArray[np.float32]:
    """float32 [size_px, side_px]: what `apply` does to each column (and row) of a square picture of `side_px`, but
    for the rounding to whole levels after either. Not for pad, which adds pixels of its own where shapes differ."""
    # Pillow resamples an identity, and so tells its own weights; rows alone, since the width stays.
    rows = Image.fromarray(np.eye(side_px, dtype=np.float32))
    fraction = geometry.crop_fraction if geometry.fit == "crop" else 1.0
    margin = side_px * (1.0 - fraction) / 2
    box = (0.0, margin, float(side_px), side_px - margin)
    return np.array(rows.resize((side_px, geometry.size_px), _FILTERS[geometry.filter], box=box), dtype=np.float32)


def scale_to_px(geometry: Geometry) -> int:
    """The fewest pixels that a scaled decode may leave on the shorter side."""
    fraction = geometry.crop_fraction if geometry.fit == "crop" else 1.0
    return math.ceil(DRAFT_MARGIN * geometry.size_px / fraction)


def _centre_square(image: Image.Image, geometry: Geometry) -> tuple[float, float, float, float]:
    side = min(image.size) * geometry.crop_fraction
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def _pad(image: Image.Image, geometry: Geometry) -> Pixels:
    size = geometry.size_px
    scale = size / max(image.size)
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in image.size)
    inner = image if image.size == (width, height) else image.resize((width, height), _FILTERS[geometry.filter])
    padded = np.full((size, size, 3), geometry.pad_value, dtype=np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    padded[top : top + height, left : left + width] = np.asarray(inner)
    return padded
