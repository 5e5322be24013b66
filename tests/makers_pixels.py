"""Image files made up for tests of the pixel cache: few, small, each unlike the others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import makers_training
from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry

GEOMETRY = Geometry(size_px=32)
ROW_BYTES = 3 * 32**2


def pictures(folder: Path, images: int, seed: int = 0) -> Dataset:
    """So many PNG files of coloured squares, 16 px, with the sha256 that a reader of the folder would give."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, targets = makers_training.squares(images, seed)
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{row:04d}", format="PNG")
    return listed(folder, targets)


def listed(folder: Path, targets: np.ndarray) -> Dataset:
    """The dataset of these files as they are now."""
    data = makers_training.table(folder, targets)
    content = [hashlib.sha256(data.path(row).read_bytes()).hexdigest() for row in range(len(data))]
    return replace(data, content=np.array(content, object))


def blocks(cache: Path) -> list[Path]:
    return sorted(cache.glob("pixels/*/*.pixels"))


def size_of(cache: Path) -> int:
    return sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())


def drafts(cache: Path) -> list[Path]:
    return list(cache.glob("pixels/.*"))
