"""The pixel cache: every readable picture once, trusted only when whole."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import makers_training as make
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_file
from fieldmark.data.picture import Unreadable
from fieldmark.errors import OutputError
from fieldmark.training import cache
from fieldmark.training.cache import cache_pixels

GEOMETRY = Geometry(size_px=12)


@pytest.fixture
def data(tmp_path):
    """Nine pictures, of which two are none."""
    folder = tmp_path / "data"
    folder.mkdir()
    pixels, targets = make.squares(9)
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{row:04d}", format="PNG")
    for row in (0, 5):
        (folder / f"{row:04d}").write_bytes(b"no picture")
    return make.table(folder, targets)


def counted(monkeypatch) -> list[int]:
    """How many files each call decodes."""
    calls: list[int] = []
    real = cache.load_many

    def load_many(paths, *arguments, **named):
        calls.append(len(paths))
        return real(paths, *arguments, **named)

    monkeypatch.setattr(cache, "load_many", load_many)
    return calls


def test_it_holds_what_the_geometry_makes_and_names_the_rest(data, tmp_path):
    cached = cache_pixels(data, GEOMETRY, tmp_path / "run")
    assert cached.pixels.shape == (7, 12, 12, 3) and cached.pixels.dtype == np.uint8
    assert list(cached.data.files) == [f"{row:04d}" for row in (1, 2, 3, 4, 6, 7, 8)]
    assert list(cached.data.targets) == [int(data.targets[row]) for row in (1, 2, 3, 4, 6, 7, 8)]
    for row, pixels in enumerate(cached.pixels):
        expected = load_file(cached.data.path(row), GEOMETRY)
        assert not isinstance(expected, Unreadable) and np.array_equal(pixels, expected)
    assert [skipped.file for skipped in cached.data.skipped] == ["0000", "0005"]


def test_a_whole_one_is_taken_again(data, tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    first = cache_pixels(data, GEOMETRY, tmp_path / "run")
    second = cache_pixels(data, GEOMETRY, tmp_path / "run")
    assert calls == [9]
    assert np.array_equal(first.pixels, second.pixels) and second.data.skipped == first.data.skipped


@pytest.mark.parametrize("change", ["content", "order", "geometry", "truncated", "index"])
def test_anything_else_is_made_anew(data, tmp_path, monkeypatch, change):
    calls = counted(monkeypatch)
    folder, geometry = tmp_path / "run", GEOMETRY
    cache_pixels(data, geometry, folder)
    if change == "content":
        data = replace(data, content=np.array([f"new {row}" for row in range(9)], object))
    elif change == "order":
        data = data.rows(np.arange(9)[::-1])
    elif change == "geometry":
        geometry = Geometry(size_px=12, fit="pad")
    elif change == "truncated":
        (folder / "pixels.npy").write_bytes((folder / "pixels.npy").read_bytes()[:-1])
    else:
        (folder / "pixels.json").write_text("{")
    cached = cache_pixels(data, geometry, folder)
    assert calls == [9, 9]
    assert len(cached.pixels) == 7


def failing(after: int, error: BaseException):
    real = cache.load_many

    def load_many(*arguments, **named) -> Iterator[object]:
        for number, loaded in enumerate(real(*arguments, **named)):
            if number == after:
                raise error
            yield loaded

    return load_many


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left"), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_whatever_ends_the_writing_nothing_is_left(data, tmp_path, monkeypatch, error, raised):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(cache, "load_many", failing(4, error))
        with pytest.raises(raised):
            cache_pixels(data, GEOMETRY, folder)
    assert list(folder.iterdir()) == []
    assert len(cache_pixels(data, GEOMETRY, folder).pixels) == 7


def test_a_dataset_without_one_readable_picture(data, tmp_path):
    cached = cache_pixels(data.rows(np.array([0, 5])), GEOMETRY, tmp_path / "run")
    assert len(cached.pixels) == 0 and len(cached.data.skipped) == 2


def test_progress_is_told(data, tmp_path):
    seen: list[tuple[str, int, int]] = []
    cache_pixels(
        data,
        GEOMETRY,
        tmp_path / "run",
        progress=lambda *said: seen.append(said),
    )
    assert seen[-1] == ("read images", 9, 9)
