"""The one decode path: bytes of a file to uint8 RGB, or the typed reason why not.

What each kind of file becomes (colour profiles are not applied, nowhere):

- EXIF orientation: turned, so that rows and columns are as a person sees them;
- 16 bits a channel: the high byte; 1 bit: 0 or 255; grey: three equal channels;
- palette, alpha, a transparent colour: composed over white;
- CMYK: Pillow's plain conversion (Adobe's inverted JPEGs are put right by Pillow first);
- animated, or several pages: the first;
- 32-bit integers and floats, LAB: refused, they have no stated range of brightness.

Limits are checked on the header, before pixels exist. A truncated file is never half a picture.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fieldmark.data.orientation import SIDEWAYS, TURNS, orientation
from fieldmark.data.picture import Limits, Picture, Reason, Unreadable
from fieldmark.data.signatures import ALLOWED, format_of, seems_whole

# The plugins' own classes and not Image.open: it tries formats in turn, and holds to a pixel limit that is one
# global for the whole process. JpegImageFile reads the first picture of a multi-picture (MPO) file.
_OPENERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}

# What Pillow's parsers let through on hostile bytes. Seen in 69,000 altered files: OSError, SyntaxError, ValueError,
# IndexError, RuntimeError, struct.error, DecompressionBombError. The others are in the plugins' own except clauses
# (TypeError, KeyError, EOFError, zlib.error, OverflowError), are how a codec refuses a buffer (MemoryError), or are
# states that a whole file never reaches (AttributeError on a missing tag, AssertionError, ZeroDivisionError).
_PILLOW_ON_BAD_BYTES = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_SIGNS_OF_A_SHORT_FILE = ("truncat", "not enough", "not large enough", "end of file", "end of data", "bytes not proc")

# A progressive JPEG goes over all its pixels once a scan, and a scan may have a few bytes: ten are usual.
USUAL_SCANS = 10
_START_OF_SCAN = b"\xff\xda"

_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_DEFAULT_LIMITS = Limits()

Decoded = tuple[Image.Image, tuple[str, ...]]  # mode RGB, notes


def decode(
    encoded: bytes, *, limits: Limits = _DEFAULT_LIMITS, scale_to_px: int | None = None
) -> Picture | Unreadable:
    """The bytes of a file as a picture. Never raises on bad bytes.

    With `scale_to_px`, a JPEG may be decoded at 1/2, 1/4 or 1/8 (scaled in the DCT), as long as its shorter side
    keeps at least so many pixels and both sides divide evenly; `geometry.DRAFT_TOLERANCE` says what that costs.
    """
    decoded = decode_image(encoded, limits=limits, scale_to_px=scale_to_px)
    if isinstance(decoded, Unreadable):
        return decoded
    image, notes = decoded
    return Picture(pixels=np.array(image, dtype=np.uint8), format=str(format_of(encoded)), notes=notes)


def decode_image(encoded: bytes, *, limits: Limits, scale_to_px: int | None) -> Decoded | Unreadable:
    """As `decode`, but a Pillow image of mode RGB and the notes: one copy fewer for those who resize next."""
    opened = _open(encoded, limits)
    if isinstance(opened, Unreadable):
        return opened
    try:
        return _upright_rgb(opened, scale_to_px)
    except _PILLOW_ON_BAD_BYTES as error:
        return _unreadable(error, encoded)


def header(encoded: bytes, *, limits: Limits = _DEFAULT_LIMITS) -> tuple[int, int] | Unreadable:
    """(width, height) in px as a person sees them, without decoding; or why there will be no picture.

    Only a file whose end looks cut off is decoded as well, to know. Damage in the middle shows when it is decoded.
    """
    opened = _open(encoded, limits)
    if isinstance(opened, Unreadable):
        return opened
    if (refusal := _refused_mode(opened)) is not None:
        return refusal
    if not seems_whole(encoded, str(opened.format)):
        whole = decode_image(encoded, limits=limits, scale_to_px=1)
        if isinstance(whole, Unreadable):
            return whole
    width, height = opened.size
    sideways = opened.format != "TIFF" and orientation(_exif(opened)) in SIDEWAYS  # a TIFF's size is turned already
    return (height, width) if sideways else (width, height)


def _open(encoded: bytes, limits: Limits) -> ImageFile.ImageFile | Unreadable:
    if not encoded:
        return Unreadable(reason=Reason.EMPTY, detail="the file has no bytes")
    if len(encoded) > limits.max_bytes:
        return too_many_bytes(len(encoded), limits)
    kind = format_of(encoded)
    if kind is None:
        return Unreadable(reason=Reason.NOT_AN_IMAGE, detail="its first bytes are those of no image format we know")
    if kind not in _OPENERS:
        allowed = ", ".join(ALLOWED)
        return Unreadable(
            reason=Reason.FORMAT_NOT_ALLOWED, detail=f"{kind} is not read; convert it to one of {allowed}"
        )
    _hush_pillow()
    try:
        image = _OPENERS[kind](BytesIO(encoded))
    except _PILLOW_ON_BAD_BYTES as error:
        return _unreadable(error, encoded)
    width, height = image.size
    if width * height > limits.max_pixels:
        found = f"{width:,} x {height:,} pixels, more than the limit of {limits.max_pixels:,}"
        return Unreadable(reason=Reason.TOO_MANY_PIXELS, detail=found)
    scans = encoded.count(_START_OF_SCAN) if kind == "JPEG" else 1
    if scans * width * height > USUAL_SCANS * limits.max_pixels:
        found = f"{width:,} x {height:,} pixels in {scans:,} scans, each of which is decoded"
        return Unreadable(reason=Reason.TOO_MANY_PIXELS, detail=found)
    return image


def too_many_bytes(size: int, limits: Limits) -> Unreadable:
    """The refusal of a file by its size alone."""
    return Unreadable(
        reason=Reason.TOO_MANY_BYTES, detail=f"{size:,} bytes, more than the limit of {limits.max_bytes:,}"
    )


def _hush_pillow() -> None:
    # Pillow warns of odd tags and then reads on; what matters of that is in our notes. catch_warnings would be the
    # narrow way, but swaps a list of the whole process and so cannot be used from threads; this filter covers
    # Pillow's modules alone, and is put back in front wherever somebody's filters were put before it.
    if warnings.filters[:1] != [_QUIET]:
        warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")


def _upright_rgb(image: ImageFile.ImageFile, scale_to_px: int | None) -> Decoded | Unreadable:
    if (refusal := _refused_mode(image)) is not None:
        return refusal
    notes = []
    if scale_to_px is not None and image.format == "JPEG":
        scale = _dct_scale(image.size, scale_to_px)
        if scale > 1:
            image.draft(image.mode, (image.width // scale, image.height // scale))
            notes.append(f"decoded at 1/{scale}")
    turn = image.tag_v2.get(0x0112, 1) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    deep = _is_16_bit(image)
    image.load()
    if getattr(image, "is_animated", False):
        notes.append("first of several frames")
    rgb, colour_note = _rgb(image)
    notes += ["16 bit to 8"] if deep else []
    notes += [colour_note] if colour_note else []
    if turn is None:  # after load: a PNG may carry its EXIF behind the pixels
        turn = orientation(_exif(image))
        if turn in TURNS:
            rgb = rgb.transpose(TURNS[turn])
    if turn in TURNS:
        notes.append("turned by EXIF")
    return rgb, tuple(notes)


def _dct_scale(size: tuple[int, int], at_least_px: int) -> int:
    # Only a scale that divides both sides: otherwise the last row or column stands for a part of a block, and the
    # scaled picture is shifted against the full one by a part of a pixel.
    fits = (s for s in (8, 4, 2) if min(size) // s >= at_least_px and size[0] % s == size[1] % s == 0)
    return next(fits, 1)


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif", b"")
    return exif if isinstance(exif, bytes) else b""


def _refused_mode(image: Image.Image) -> Unreadable | None:
    deep_ppm = image.format == "PPM" and image.mode == "I"  # Pillow's word for a 16-bit grey PPM: 0 to 65,535
    if image.mode in {"I", "F", "LAB"} and not deep_ppm:
        kind = {"I": "32-bit integer", "F": "floating-point", "LAB": "LAB"}[image.mode]
        return Unreadable(
            reason=Reason.FORMAT_NOT_ALLOWED, detail=f"{kind} pixels; save it as 8 or 16 bit RGB or grey"
        )
    return None


def _is_16_bit(image: ImageFile.ImageFile) -> bool:
    if image.mode.startswith("I"):
        return True
    arguments = image.tile[0].args if image.tile else None
    rawmode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return isinstance(rawmode, str) and ";16" in rawmode


def _rgb(image: Image.Image) -> tuple[Image.Image, str]:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, ""
    if image.mode.startswith("I"):
        high_byte = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(high_byte).convert("RGB"), ""
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB"), "alpha over white"
    return image.convert("RGB"), f"{image.mode} to RGB" if image.mode in {"CMYK", "YCbCr", "HSV"} else ""


def _unreadable(error: BaseException, encoded: bytes) -> Unreadable:
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return Unreadable(reason=Reason.TOO_MANY_PIXELS, detail=str(error) or "more than the memory there is")
    kind = format_of(encoded)
    words = str(error).lower()
    short = isinstance(error, EOFError) or any(sign in words for sign in _SIGNS_OF_A_SHORT_FILE)
    if short or not seems_whole(encoded, str(kind)):
        return Unreadable(reason=Reason.TRUNCATED, detail=f"the {kind} file ends too early ({error})")
    return Unreadable(reason=Reason.DAMAGED, detail=f"the {kind} file cannot be decoded ({error})")
