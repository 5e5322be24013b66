"""What a file turned out to be: pixels, or the typed reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 3], sRGB order red, green, blue


class Reason(StrEnum):
    """Why a file gave no picture."""

    MISSING = "missing"
    NOT_READABLE = "not readable"
    EMPTY = "empty file"
    NOT_AN_IMAGE = "not an image"
    FORMAT_NOT_ALLOWED = "format not allowed"
    TOO_MANY_BYTES = "too many bytes"
    TOO_MANY_PIXELS = "too many pixels"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """No picture, and why. `detail` says what was found, in words for a person."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Decoded pixels and what was done to get them.

    `pixels` uint8 [H, W, 3]; `format` the file's own ("JPEG"); `notes` what decoding changed, in order
    ("turned by EXIF", "alpha over white", "16 bit to 8", "first of 12 frames").
    """

    pixels: Pixels
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may cost. Checked on the header, before anything is decoded."""

    max_bytes: int = 256 * 2**20
    max_pixels: int = 200_000_000
