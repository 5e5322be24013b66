"""Laws of geometry and loading: exact shapes, one definition, a stated tolerance, and order kept."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldmark.data.decoding import decode
from fieldmark.data.geometry import DRAFT_TOLERANCE, Geometry, apply, scale_to_px
from fieldmark.data.loading import load_bytes, load_file, load_many
from fieldmark.data.picture import Limits, Picture, Reason, Unreadable
from makers_data import encoded, photo, samples, turned

geometries = st.builds(
    Geometry,
    size_px=st.integers(8, 40),
    fit=st.sampled_from(["crop", "pad", "squash"]),
    filter=st.sampled_from(["box", "bilinear", "bicubic", "lanczos"]),
    crop_fraction=st.floats(0.1, 1.0),
    pad_value=st.integers(0, 255),
)


@settings(max_examples=150, deadline=None)
@given(geometry=geometries, width=st.integers(1, 90), height=st.integers(1, 90), value=st.integers(0, 255))
def test_any_picture_becomes_a_square_and_a_plain_one_stays_plain(
    geometry: Geometry, width: int, height: int, value: int
) -> None:
    pixels = np.full((height, width, 3), value, dtype=np.uint8)
    before = pixels.copy()
    made = apply(pixels, geometry)
    assert made.shape == (geometry.size_px, geometry.size_px, 3)
    assert made.dtype == np.uint8
    allowed = {value, geometry.pad_value} if geometry.fit == "pad" else {value}
    assert set(np.unique(made)) <= allowed
    assert value in made
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1)])
def test_extreme_shapes(fit: str, shape: tuple[int, int]) -> None:
    assert apply(np.full((*shape, 3), 9, dtype=np.uint8), Geometry(size_px=16, fit=fit)).shape == (16, 16, 3)


@settings(max_examples=40, deadline=None)
@given(geometry=geometries, seed=st.integers(0, 5), width=st.integers(3, 60), height=st.integers(3, 60))
def test_mirroring_the_picture_mirrors_the_result(geometry: Geometry, seed: int, width: int, height: int) -> None:
    assume(geometry.filter != "box")  # its edges fall on pixels' centres, and a tie goes to one side
    pixels = np.asarray(photo(width, height, seed))
    made, mirrored = apply(pixels, geometry), apply(np.ascontiguousarray(pixels[:, ::-1]), geometry)
    if geometry.fit == "pad" and (geometry.size_px - _inner_width(geometry, width, height)) % 2:
        return  # an odd rest of columns: left gets one fewer
    assert np.abs(made.astype(int) - mirrored[:, ::-1].astype(int)).max() <= 2


def test_the_definition_in_the_docstring_is_what_is_done() -> None:
    image = photo(50, 31)
    pixels = np.asarray(image)
    side = 31 * 0.875
    box = (25 - side / 2, 15.5 - side / 2, 25 + side / 2, 15.5 + side / 2)
    crop = apply(pixels, Geometry(size_px=20, crop_fraction=0.875))
    np.testing.assert_allclose(crop, np.asarray(image.resize((20, 20), 3, box=box)), atol=1)
    padded = apply(pixels, Geometry(size_px=20, fit="pad", pad_value=7))
    np.testing.assert_array_equal(padded[4:16], np.asarray(image.resize((20, 12), 3)))
    assert (padded[:4] == 7).all()
    assert (padded[16:] == 7).all()
    np.testing.assert_array_equal(
        apply(pixels, Geometry(size_px=20, fit="squash")), np.asarray(image.resize((20, 20), 3))
    )


def test_a_picture_that_fits_is_not_touched() -> None:
    pixels = np.asarray(photo(16, 16))
    for fit in ("crop", "pad", "squash"):
        np.testing.assert_array_equal(apply(pixels, Geometry(size_px=16, fit=fit)), pixels)


@pytest.mark.parametrize("size_px", [32, 56])
@pytest.mark.parametrize("seed", range(4))
def test_scaled_decoding_stays_inside_its_tolerance(size_px: int, seed: int) -> None:
    file = encoded(photo(640, 480, seed), "JPEG", quality=85)
    geometry = Geometry(size_px=size_px)
    scaled = decode(file, scale_to_px=scale_to_px(geometry))
    assert isinstance(scaled, Picture)
    assert scaled.notes[0].startswith("decoded at 1/")
    gap = np.abs(_loaded(file, geometry).astype(int) - apply(_decoded(file), geometry).astype(int))
    mean, largest = DRAFT_TOLERANCE
    assert gap.mean() <= mean
    assert gap.max() <= largest


def test_scaled_decoding_is_not_used_where_it_would_shift_or_blur() -> None:
    geometry = Geometry(size_px=32)
    for width, height in ((641, 480), (100, 100), (126, 126)):
        file = encoded(photo(width, height), "JPEG")
        np.testing.assert_array_equal(_loaded(file, geometry), apply(_decoded(file), geometry))


def test_scaled_decoding_turns_by_exif_too() -> None:
    geometry = Geometry(size_px=32)
    file = turned(photo(640, 480), 6)
    gap = np.abs(_loaded(file, geometry).astype(int) - apply(_decoded(file), geometry).astype(int))
    assert gap.mean() <= DRAFT_TOLERANCE[0]


def test_load_many_is_load_file_in_order_with_the_unreadable_in_their_places(tmp_path: Path) -> None:
    geometry = Geometry(size_px=16)
    paths = []
    for at, file in enumerate([*samples().values(), b"no picture", b""] * 6):
        paths.append(tmp_path / f"{at}.bin")
        paths[-1].write_bytes(file)
    paths.insert(5, tmp_path / "missing.jpg")
    paths.insert(9, tmp_path)
    alone = [load_file(path, geometry) for path in paths]
    for threads in (1, 3):
        together = list(load_many(paths, geometry, threads=threads))
        assert len(together) == len(alone)
        for one, other in zip(alone, together):
            if isinstance(one, Unreadable):
                assert one == other
            else:
                np.testing.assert_array_equal(one, other)
    reasons = [alone[5], alone[9], alone[-1], alone[-2]]
    assert [r.reason for r in reasons if isinstance(r, Unreadable)] == [
        Reason.MISSING,
        Reason.NOT_READABLE,
        Reason.EMPTY,
        Reason.NOT_AN_IMAGE,
    ]


def test_load_many_takes_from_an_endless_source_only_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(encoded(photo(16, 16), "PNG"))
    taken = itertools.count()
    before = threading.active_count()
    pictures = load_many((path for _ in taken), Geometry(size_px=512), threads=2)
    for _ in range(3):
        next(pictures)
    pictures.close()
    assert next(taken) < 40
    assert threading.active_count() == before


def test_what_the_source_raises_comes_through(tmp_path: Path) -> None:
    def source() -> Iterator[Path]:
        yield tmp_path / "missing.jpg"
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        list(load_many(source(), Geometry(size_px=16)))


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(photo(16, 16), "PNG"))
    result = load_file(path, Geometry(size_px=16), Limits(max_bytes=10))
    assert isinstance(result, Unreadable)
    assert result.reason == Reason.TOO_MANY_BYTES


def _loaded(file: bytes, geometry: Geometry) -> np.ndarray:
    pixels = load_bytes(file, geometry)
    assert isinstance(pixels, np.ndarray)
    return pixels


def _decoded(file: bytes) -> np.ndarray:
    picture = decode(file)
    assert isinstance(picture, Picture)
    return picture.pixels


def _inner_width(geometry: Geometry, width: int, height: int) -> int:
    return max(1, int(width * geometry.size_px / max(width, height) + 0.5))
