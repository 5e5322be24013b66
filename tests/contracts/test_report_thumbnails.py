"""Thumbnails: small, not enlarged, and left out where there is no picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fieldmark.report.page import MOST_THUMBNAIL_BYTES
from fieldmark.report.thumbnails import SIDE_PX, thumbnails


def test_small_pictures_of_what_can_be_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "tall.jpg")
    Image.fromarray(noise[:8, :20]).save(tmp_path / "tiny.png")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "tall.jpg").read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("no picture")
    files = ["tall.jpg", "tiny.png", "broken.jpg", "text.jpg", "missing.jpg", ".", "tall.jpg"]
    made = thumbnails(tmp_path, files)
    assert {file: Image.open(io.BytesIO(webp)).size for file, webp in made.items()} == {
        "tall.jpg": (round(SIDE_PX * 300 / 500), SIDE_PX),
        "tiny.png": (20, 8),
    }
    assert max(map(len, made.values())) <= MOST_THUMBNAIL_BYTES  # noise is the worst that can be asked of WebP
    assert thumbnails(tmp_path, files) == made
