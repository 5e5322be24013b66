"""Names by the million: sorted with few of them in memory, and read back as they were written."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.cli import names as module
from fieldmark.cli.names import in_sorted_order, read_names, write_name
from fieldmark.cli.sources import find_sources

# Whatever a file may be called on Linux: any bytes but NUL and the slash.
NAMES = st.binary(min_size=1, max_size=12).map(lambda name: os.fsdecode(name.translate(None, b"\0/") or b"x"))


@given(st.lists(NAMES, max_size=30), st.integers(1, 7))
def test_it_is_sorted_however_few_fit_into_memory(names, in_memory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "IN_MEMORY", in_memory)
        assert list(in_sorted_order(iter(names))) == sorted(names)


@given(st.lists(NAMES, max_size=30), st.integers(1, 9))
def test_names_come_back_as_they_were_written(names, block):
    stream = io.BytesIO()
    for name in names:
        write_name(stream, name)
    stream.seek(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        assert list(read_names(stream)) == names


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_is_walked_by_name_its_own_pictures_first_and_nothing_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 2)
    make(tmp_path, "b/2.jpg", "b/1.PNG", "b/c/0.gif", "a/z.jpg", "9.jpg", "10.jpg", "x.jpg", "note.txt")
    make(tmp_path, ".hidden/3.jpg", ".4.jpg", "a/deep/er/5.webp")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    found = [str(path.relative_to(tmp_path)) for path in find_sources([str(tmp_path)]).paths()]
    assert found == ["10.jpg", "9.jpg", "x.jpg", "a/z.jpg", "a/deep/er/5.webp", "b/1.PNG", "b/2.jpg", "b/c/0.gif"]


def test_a_folder_that_may_not_be_read_stands_in_the_answers(tmp_path, monkeypatch):
    """Passed over, its pictures would be missing and nobody would know."""
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("fieldmark.cli.sources.os.scandir", scandir)
    assert list(find_sources([str(tmp_path)]).paths()) == [tmp_path / "a", tmp_path / "b" / "2.jpg"]


@given(st.lists(NAMES, max_size=20), st.sampled_from([b"\0", b"\n", b"\r\n"]), st.integers(1, 9), st.booleans())
def test_a_list_on_standard_input_comes_in_blocks_of_any_size(names, end, block, ended):
    names = [name for name in names if not set(name) & set("\r\n") and name.strip()]
    listed = end.join(map(os.fsencode, names)) + (end if ended else b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fieldmark.cli.sources._BLOCK", block)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"./" + listed))))
        found = [str(path) for path in find_sources(["-"]).paths()]
    assert (
        found == [str(Path("./" + name)) if not at else str(Path(name)) for at, name in enumerate(names)] or not names
    )
