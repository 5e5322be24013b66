"""Which format some bytes claim to be, by their first few: the allow-list, and the formats that we can name."""

from __future__ import annotations

ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

# Suffixes of files that a folder reader opens. The others are among them so that such a file is skipped with its
# reason ("HEIC is not read") and not passed over as if it were no picture.
_OTHER_PICTURES = (
    *(".heic", ".heif", ".jp2", ".j2k", ".jxl", ".psd", ".svg", ".ico", ".tga", ".dcm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"),
)
PICTURE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".avifs", ".ppm", ".pgm", ".pbm", ".pnm"),
        *_OTHER_PICTURES,
    )
)

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    *((b"P%d" % kind + space, "PPM") for kind in range(1, 7) for space in (b"\n", b"\r", b" ", b"\t", b"#")),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xffO\xffQ", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"%PDF", "PDF"),
    (b"<svg", "SVG"),
    (b"qoif", "QOI"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF"}


def format_of(encoded: bytes) -> str | None:
    """The format's name ("JPEG", "HEIC"), allowed or not; None where the start is nothing that we know."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    if encoded[4:8] == b"ftyp":
        return _BRANDS.get(encoded[8:12])
    if encoded[128:132] == b"DICM":
        return "DICOM"
    return next((name for start, name in _STARTS if encoded.startswith(start)), None)


def seems_whole(encoded: bytes, kind: str) -> bool:
    """False where the end that a whole file of this kind has is not there; True also where a kind has no such end.

    A suspicion only: cameras append data after a JPEG's end. What it costs to be sure is a decode.
    """
    tail = encoded[-32:].rstrip(b"\0\r\n")
    if kind == "JPEG":
        return tail.endswith(b"\xff\xd9")
    if kind == "PNG":
        return tail.endswith(b"IEND\xaeB`\x82")
    if kind == "GIF":
        return tail.endswith(b";")
    if kind == "WEBP":
        return len(encoded) >= 8 + int.from_bytes(encoded[4:8], "little")
    return True
