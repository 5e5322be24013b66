"""Laws of decoding: each kind of file has its defined pixels, and no bytes at all raise."""

from __future__ import annotations

import struct
import time
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fieldmark.data.decoding import decode, header
from fieldmark.data.picture import Limits, Picture, Reason, Unreadable
from makers_data import encoded, photo, samples, turned

SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_gives_rgb_of_the_size_that_its_header_says(name: str) -> None:
    picture = decode(SAMPLES[name])
    assert isinstance(picture, Picture)
    assert picture.pixels.dtype == np.uint8
    height, width, channels = picture.pixels.shape
    assert channels == 3
    assert header(SAMPLES[name]) == (width, height)
    assert picture.pixels.std() > 5  # a picture, not a black one in its place


@settings(max_examples=250, deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), data=st.data())
def test_cut_or_altered_bytes_give_a_picture_or_a_reason(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    del damaged[data.draw(st.integers(0, len(damaged)), label="cut at") :]
    places = st.lists(st.tuples(st.integers(0, max(0, len(damaged) - 1)), st.integers(0, 255)), max_size=8)
    for place, value in data.draw(places, label="altered") if damaged else []:
        damaged[place] = value
    limits = Limits(max_pixels=1_000_000)
    assert isinstance(decode(bytes(damaged), limits=limits), Picture | Unreadable)
    assert isinstance(decode(bytes(damaged), limits=limits, scale_to_px=4), Picture | Unreadable)
    assert isinstance(header(bytes(damaged), limits=limits), tuple | Unreadable)


@settings(max_examples=100, deadline=None)
@given(start=st.sampled_from(sorted(SAMPLES)), rest=st.binary(max_size=200), kept=st.integers(0, 40))
def test_a_good_start_before_noise_gives_a_picture_or_a_reason(start: str, rest: bytes, kept: int) -> None:
    assert isinstance(decode(SAMPLES[start][:kept] + rest, limits=Limits(max_pixels=10**6)), Picture | Unreadable)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_as_pillow_would(kind: str, orientation: int) -> None:
    from PIL import ImageOps

    options = {"TIFF": {}, "AVIF": {"speed": 10}}.get(kind, {})
    file = turned(photo(24, 16), orientation, kind, **options)
    with Image.open(BytesIO(file)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    picture = decode(file)
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert header(file) == expected.shape[1::-1]
    assert ("turned by EXIF" in picture.notes) == (orientation > 1)


def test_damaged_exif_does_not_turn_and_does_not_warn() -> None:
    entries = b"\x01\x12\0\x03\0\0\0\x01\0\x63\0\0" + b"\x01\x1a\0\x05" + b"\xff" * 8  # orientation 99; a far offset
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + entries
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = decode(encoded(photo(24, 16), "JPEG", exif=exif))
    assert isinstance(picture, Picture)
    assert picture.pixels.shape == (16, 24, 3)
    assert picture.notes == ()


def test_alpha_is_composed_over_white() -> None:
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    half = Image.new("LA", (9, 9), (0, 128))
    palette = Image.new("P", (9, 9), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    grey = Image.new("L", (9, 9), 7)
    for image, options, value in (
        (clear, {}, 255),
        (half, {}, 127),
        (palette, {"transparency": 1}, 255),
        (grey, {"transparency": 7}, 255),
    ):
        picture = decode(encoded(image, "PNG", **options))
        assert isinstance(picture, Picture)
        assert picture.pixels.min() == picture.pixels.max() == value
        assert picture.notes == ("alpha over white",)


def test_sixteen_bits_keep_the_high_byte() -> None:
    deep = np.array([[0, 255, 256, 32768, 65535]] * 3, dtype=np.uint16)
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in deep)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 5, 3, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    rgb = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)
    grey = b"P5 5 3 65535\n" + deep.astype(">u2").tobytes()
    for file in (rgb, grey, encoded(Image.fromarray(deep), "PNG"), encoded(Image.fromarray(deep), "TIFF")):
        picture = decode(file)
        assert isinstance(picture, Picture)
        np.testing.assert_array_equal(picture.pixels[0], np.repeat([[0], [0], [1], [128], [255]], 3, axis=1))
        assert picture.notes == ("16 bit to 8",)


def test_animated_gives_the_first_frame_and_says_so() -> None:
    for name in ("gif animated", "png animated", "webp animated"):
        picture = decode(SAMPLES[name])
        assert isinstance(picture, Picture)
        assert "first of several frames" in picture.notes
        gap = np.abs(picture.pixels.astype(int) - np.asarray(photo(24, 16, 1)).astype(int)).mean()
        assert gap < 20 < np.abs(picture.pixels.astype(int) - np.asarray(photo(24, 16, 2)).astype(int)).mean()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(mode: str) -> None:
    file = encoded(Image.new(mode, (9, 9)), "TIFF")
    for result in (decode(file), header(file)):
        assert isinstance(result, Unreadable)
        assert result.reason == Reason.FORMAT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"hello, I am a text file", Reason.NOT_AN_IMAGE),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, Reason.FORMAT_NOT_ALLOWED),
        (b"%PDF-1.7", Reason.FORMAT_NOT_ALLOWED),
        (b"8BPS" + b"\0" * 40, Reason.FORMAT_NOT_ALLOWED),
        (b"\xff\xd8\xff" + b"\0" * 40, Reason.TRUNCATED),
    ],
)
def test_what_is_no_picture_says_why(file: bytes, reason: Reason) -> None:
    for result in (decode(file), header(file)):
        assert isinstance(result, Unreadable)
        assert result.reason == reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM", "TIFF"])
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_truncated_file_is_truncated_and_never_half_a_picture(kind: str, share: float) -> None:
    file = encoded(photo(160, 120), kind)
    result = decode(file[: int(len(file) * share)])
    assert isinstance(result, Unreadable)
    assert result.reason == Reason.TRUNCATED


def test_the_header_check_sees_a_file_cut_off_at_its_end() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        file = encoded(photo(160, 120), kind)
        assert isinstance(header(file[: len(file) // 2]), Unreadable)
    assert header(encoded(photo(160, 120), "JPEG") + b"a camera's own data behind the end") == (160, 120)


def test_limits_are_checked_before_decoding() -> None:
    huge = _png_header(30_000, 30_000) + _chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + _chunk(b"IEND", b"")
    started = time.perf_counter()
    for result in (decode(huge), header(huge)):
        assert isinstance(result, Unreadable)
        assert result.reason == Reason.TOO_MANY_PIXELS
    assert time.perf_counter() - started < 1  # decoding 2.7 GB takes much longer
    few = decode(SAMPLES["png"], limits=Limits(max_bytes=100))
    assert isinstance(few, Unreadable)
    assert few.reason == Reason.TOO_MANY_BYTES


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    """A few bytes a scan, and each goes over all pixels."""
    file = BytesIO()
    Image.new("RGB", (400, 300), (120, 130, 140)).save(file, "JPEG", progressive=True)
    usual = file.getvalue()
    last = usual[usual.rindex(b"\xff\xda") : -2]
    attack = usual[:-2] + last * 5000 + b"\xff\xd9"
    limits = Limits(max_pixels=1_000_000)
    assert isinstance(decode(usual, limits=limits), Picture)
    refused = decode(attack, limits=limits)
    assert isinstance(refused, Unreadable)
    assert refused.reason == Reason.TOO_MANY_PIXELS
    assert "scans" in refused.detail


def test_our_limit_is_the_one_that_counts_and_not_pillows_global(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Image.open refuses twice as many, and warns before
    assert header(SAMPLES["png"]) == (24, 16)
    assert isinstance(decode(SAMPLES["png"]), Picture)


def test_a_text_chunk_that_unpacks_to_much_is_a_reason() -> None:
    bomb = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 80_000_000, 9))
    whole = SAMPLES["png"]
    assert isinstance(decode(whole[:33] + bomb + whole[33:]), Unreadable)


def _png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
