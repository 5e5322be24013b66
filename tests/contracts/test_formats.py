"""The contract of every row of FORMATS: one alone sniffs, what is written comes back, broken files say where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.dataset import UNKNOWN, Dataset
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.formats.row import FORMATS
from fieldmark.data.reading import read
from fieldmark.errors import FieldmarkError
from makers_data import encoded, photo, write_photos

WRITABLE = [name for name in FORMATS if FORMATS[name].write is not None]
FOLDERS = [name for name in FORMATS if FORMATS[name].write is None]


def _single(folder: Path) -> Dataset:
    return read(write_photos(folder, {"cat": 3, "dog": 2, 'a|b, "c" é': 2}))


def _rich(folder: Path) -> Dataset:
    plain = _single(folder)
    column = np.array(["x;y", "", " two\nlines", "ü", "0", "null", "#"], dtype=object)
    split = np.array(["train", "test", "", "validation", "train", "train", "test"], dtype=object)
    group = np.array(["g1", "g1", "", "g2", "", "", ""], dtype=object)
    return replace(plain, split=split, group=group, metadata={"camera": column})


def _multi(folder: Path) -> Dataset:
    plain = _single(folder)
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=np.uint8)
    return replace(plain, targets=targets, classes=("fur", "tail"), task="multi")


def _in_part(folder: Path) -> Dataset:
    whole = _multi(folder)
    unknown = np.array([[0, 1], [0, 0], [1, 0], [1, 0], [0, 0], [0, 0], [0, 0]], dtype=bool)
    return replace(whole, targets=np.where(unknown, UNKNOWN, whole.targets).astype(np.int8))


SHAPES: dict[str, Callable[[Path], Dataset]] = {
    "single": _single,
    "rich": _rich,
    "multi": _multi,
    "in part": _in_part,
}


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_comes_back(name: str, shape: str, tmp_path: Path) -> None:
    dataset = SHAPES[shape](tmp_path / "photos")
    path = tmp_path / f"manifest.{name}"
    write = FORMATS[name].write
    assert write is not None
    write(dataset, path)
    assert FORMATS[name].sniff(path)
    _assert_same(read(path, root=dataset.root), dataset)


@pytest.mark.parametrize("name", FORMATS)
def test_exactly_one_format_sniffs_each_sample(name: str, tmp_path: Path) -> None:
    sample = _sample(name, tmp_path)
    assert [other for other in FORMATS if FORMATS[other].sniff(sample)] == [name]
    assert len(read(sample, root=None if name in FOLDERS else tmp_path / "photos")) > 0


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize(
    "broken", [b"", b"\n", b"\xff\xfe\x00broken", b'"', b"{", b"PAR1", b"file\n", b'{"file": []}\n']
)
def test_a_broken_file_is_an_error_that_names_it(name: str, broken: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"manifest.{name}"
    path.write_bytes(broken)
    with pytest.raises(FieldmarkError) as caught:
        read(path)
    assert str(path) in caught.value.where
    assert caught.value.do


@pytest.mark.parametrize("name", FORMATS)
def test_a_setting_takes_effect_or_is_refused(name: str, tmp_path: Path) -> None:
    sample = _sample(name, tmp_path)
    with pytest.raises(FieldmarkError):
        read(sample, columns={"file": "no such column"}, root=tmp_path / "photos")


@pytest.mark.parametrize("name", WRITABLE)
def test_labels_that_a_manifest_cannot_hold_are_refused_or_held(name: str, tmp_path: Path) -> None:
    dataset = replace(_multi(tmp_path / "photos"), classes=("a|b", "c"))
    path = tmp_path / f"manifest.{name}"
    write = FORMATS[name].write
    assert write is not None
    try:
        write(dataset, path)
    except FieldmarkError as error:
        assert "a|b" in error.what
    else:
        _assert_same(read(path, root=dataset.root), dataset)


def _sample(name: str, tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    if name in FOLDERS:
        within = {"splits": ("train/cat", "train/dog", "val/cat")}.get(name, ("cat", "dog"))
        return write_photos(photos, dict.fromkeys(within, 2))
    write = FORMATS[name].write
    assert write is not None
    write(_single(photos), tmp_path / f"manifest.{name}")
    (tmp_path / "other.png").write_bytes(encoded(photo(8, 8), "PNG"))
    return tmp_path / f"manifest.{name}"


def _assert_same(one: Dataset, other: Dataset) -> None:
    assert (one.classes, one.task, one.root) == (other.classes, other.task, other.root)
    assert fingerprint(one) == fingerprint(other)
    for name in ("files", "content", "sizes_px", "targets", "split", "group"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert not getattr(one, name).flags.writeable
    assert set(one.metadata) == set(other.metadata)
    for name, column in other.metadata.items():
        np.testing.assert_array_equal(one.metadata[name], column)
