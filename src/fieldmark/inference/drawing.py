"""Generated pictures that become canaries: one for each way in which decoders and resizers go different ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fieldmark.bundle.layout import CANARIES
from fieldmark.data.geometry import Geometry
from fieldmark.data.picture import Pixels

# Twice the model's size is made smaller on the way in; eight times lets a decoder scale a JPEG in its DCT. Both stop
# where the files would weigh down the bundle (all together stay under 100 kB): above 384 px no canary is scaled so.
_LARGEST_PX, _LARGEST_SCALED_PX = 320, 2400
_ORIENTATION_TAG, _TURNED_RIGHT = 0x0112, 6


def draw(folder: Path, geometry: Geometry) -> tuple[str, ...]:
    """Writes the pictures into `folder`/canaries; their names there, in order. The same on every call, but for what
    the local encoders make of it: the files travel with the bundle, so their version does not matter."""
    (folder / CANARIES).mkdir(exist_ok=True)
    wide = max(40, min(2 * geometry.size_px, _LARGEST_PX))
    huge = max(80, min(8 * geometry.size_px, _LARGEST_SCALED_PX))
    names = []
    for seed, (name, write) in enumerate(_KINDS.items()):
        scene = Image.fromarray(_scene(wide, seed))
        if name == "large.jpg":
            scene = scene.resize((huge, huge * 3 // 4), Image.Resampling.BICUBIC)
        write(scene, folder / CANARIES / name)
        names.append(f"{CANARIES}/{name}")
    return tuple(names)


def _scene(width: int, seed: int) -> Pixels:
    """uint8 [3/4 width, width, 3]: colour gradients, a grating that resizers may alias, discs with hard edges."""
    random = np.random.default_rng(seed)
    height = width * 3 // 4
    y, x = np.mgrid[0:height, 0:width] / width
    waves, phases = random.uniform(2, 9, (3, 3)), random.uniform(0, 6, 3)
    scene = np.sin(np.stack([x, y, x * y], axis=-1) @ waves + phases)
    corner = np.s_[: height // 3, : width // 3]
    scene[corner] += 0.4 * np.sign(np.sin(70 * x + 40 * y))[corner][..., None]
    for _ in range(5):
        across, down, radius = random.uniform(0, [1, 0.75, 0.2])
        scene[(x - across) ** 2 + (y - down) ** 2 < radius**2] = random.uniform(-1, 1, 3)
    return (127.5 + 90 * scene.clip(-1.1, 1.1)).astype(np.uint8)


def _plain_jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, quality=75, subsampling="4:4:4")


def _progressive_jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, quality=75, subsampling="4:2:0", progressive=True)


def _large_jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, quality=12, subsampling="4:2:0", optimize=True)


def _turned_jpeg(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = _TURNED_RIGHT
    image.save(path, quality=75, exif=exif)


def _png(image: Image.Image, path: Path) -> None:
    # Few levels, so that a lossless file stays small.
    image.point(lambda level: level & 0xE0).save(path, optimize=True)


def _alpha_png(image: Image.Image, path: Path) -> None:
    few = image.point(lambda level: level & 0xC0)
    alpha = Image.linear_gradient("L").resize(image.size).point(lambda level: level & 0xF0)
    few.putalpha(alpha)
    few.save(path, optimize=True)


def _palette_png(image: Image.Image, path: Path) -> None:
    image.quantize(16, dither=Image.Dither.NONE).save(path, optimize=True)


def _grey_jpeg(image: Image.Image, path: Path) -> None:
    image.convert("L").save(path, quality=80)


def _webp(image: Image.Image, path: Path) -> None:
    image.save(path, quality=75)


_KINDS: dict[str, Callable[[Image.Image, Path], None]] = {
    "plain.jpg": _plain_jpeg,
    "progressive.jpg": _progressive_jpeg,
    "large.jpg": _large_jpeg,
    "turned.jpg": _turned_jpeg,
    "grey.jpg": _grey_jpeg,
    "photo.webp": _webp,
    "colour.png": _png,
    "alpha.png": _alpha_png,
    "palette.png": _palette_png,
}
