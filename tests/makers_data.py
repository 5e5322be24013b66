"""Makers for the data room: encoded pictures of every kind, folders of them, and Datasets without files."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fieldmark.data.dataset import Dataset


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth shapes, edges and a little noise: what a photo has and random pixels do not."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(coarse).astype(float)
    y, x = np.mgrid[:height, :width]
    for _ in range(6):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.3) * min(width, height)
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.uniform(0, 255, 3)
    pixels += rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(image: Image.Image, orientation: int, kind: str = "JPEG", **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif.tobytes(), **options)


def samples() -> dict[str, bytes]:
    """A small good file of every format, and of the modes that differ within one."""
    rgb = photo(24, 16)
    half = rgb.convert("RGBA")
    half.putalpha(128)
    deep = Image.fromarray((np.arange(384, dtype=np.uint16) * 170).reshape(16, 24))
    frames = [photo(24, 16, seed) for seed in (1, 2, 3)]
    return {
        "jpeg": encoded(rgb, "JPEG"),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg grey": encoded(rgb.convert("L"), "JPEG"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg turned": turned(rgb, 6),
        "png": encoded(rgb, "PNG"),
        "png alpha": encoded(half, "PNG"),
        "png palette": encoded(rgb.quantize(16), "PNG", transparency=3),
        "png 16 bit": encoded(deep, "PNG"),
        "png 1 bit": encoded(rgb.convert("1"), "PNG"),
        "png animated": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "gif": encoded(rgb.quantize(16), "GIF"),
        "gif animated": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "webp": encoded(rgb, "WEBP"),
        "webp alpha": encoded(half, "WEBP", lossless=True),
        "webp animated": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "bmp": encoded(rgb, "BMP"),
        "tiff": encoded(rgb, "TIFF"),
        "tiff 16 bit": encoded(deep, "TIFF"),
        "tiff lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff cmyk": encoded(rgb.convert("CMYK"), "TIFF"),
        "avif": encoded(rgb, "AVIF", speed=10),
        "ppm": encoded(rgb, "PPM"),
        "pgm 16 bit": b"P5 24 16 65535\n" + np.asarray(deep).astype(">u2").tobytes(),
    }


def write_photos(folder: Path, counts: dict[str, int], *, kind: str = "JPEG", seed: int = 0) -> Path:
    """`counts` maps folders ("cat", "train/cat") to how many different small photos to put there."""
    number = seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            number += 1
            (folder / name / f"{at}.{kind.lower()}").write_bytes(encoded(photo(16, 12, number), kind))
    return folder


def table(
    targets: object,
    *,
    split: object = "",
    group: object = "",
    content: object = None,
    classes: tuple[str, ...] | None = None,
) -> Dataset:
    """A Dataset whose files do not exist: for all that works on columns alone."""
    columns = np.array(targets, dtype=np.int64)
    multi = columns.ndim == 2
    count = len(columns)
    width = columns.shape[1] if multi else int(columns.max(initial=0)) + 1
    names = [f"{n}.jpg" for n in range(count)]
    own = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    return Dataset(
        root=Path("nowhere"),
        files=_objects(names, count),
        content=_objects(own if content is None else content, count),
        sizes_px=np.full((count, 2), 32, dtype=np.int32),
        targets=columns.astype(np.uint8) if multi else columns,
        split=_objects(split, count),
        group=_objects(group, count),
        classes=classes or tuple(f"class {n}" for n in range(width)),
        task="multi" if multi else "single",
    )


def _objects(values: object, count: int) -> np.ndarray:
    column = np.empty(count, dtype=object)
    column[:] = values
    return column
