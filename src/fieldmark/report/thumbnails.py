"""Small pictures for the page, made through the decode path that serves the classifier."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fieldmark.data.decoding import decode
from fieldmark.data.loading import read_bytes
from fieldmark.data.picture import Limits, Picture, Pixels, Unreadable

SIDE_PX = 96
QUALITY = 70


def thumbnails(dataset_root: Path, files: Iterable[str]) -> dict[str, bytes]:
    """file -> WebP of at most 96 x 96 px, aspect kept, never enlarged. `files` are relative to `dataset_root`.
    What cannot be read is left out: the page then shows the name alone."""
    made: dict[str, bytes] = {}
    for file in dict.fromkeys(files):
        picture = _read(dataset_root / file, Limits())
        if picture is not None:
            made[file] = webp(picture.pixels)
    return made


def webp(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3] as a WebP thumbnail; the same bytes for the same pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=QUALITY, method=4)
    return encoded.getvalue()


def _read(path: Path, limits: Limits) -> Picture | None:
    encoded = read_bytes(path, limits)
    if isinstance(encoded, Unreadable):
        return None
    picture = decode(encoded, limits=limits, scale_to_px=SIDE_PX)
    return picture if isinstance(picture, Picture) else None
