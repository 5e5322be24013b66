"""The pixel cache: the same pixels whatever happens to it, and nobody's disk filled."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import makers_pixels as make
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_file
from fieldmark.data.picture import Reason, Unreadable
from fieldmark.errors import DataError
from fieldmark.training import cache, cache_folder
from fieldmark.training.cache import cache_pixels
from fieldmark.training.pixels import in_batches

SOME = "30KB"  # beside its lists three images of GEOMETRY fit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache of blocks of two images, on a disk that may be filled."""
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fieldmark.training.keeping.BLOCK_BYTES", 2 * make.ROW_BYTES)
    monkeypatch.setattr("fieldmark.training.cache_folder.KEPT_FREE", 0)
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path):
    """Nine pictures, of which two are none."""
    data = make.pictures(tmp_path / "data", 9)
    for row in (0, 5):
        data.path(row).write_bytes(b"no picture %d" % row)
    return make.listed(tmp_path / "data", data.targets)


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that were decoded to be kept, in their order."""
    names: list[str] = []
    real = cache.load_many

    def load_many(paths, *arguments, **named):
        names.extend(path.name for path in paths)
        return real(paths, *arguments, **named)

    monkeypatch.setattr(cache, "load_many", load_many)
    return names


def assert_right(cached, geometry: Geometry = make.GEOMETRY) -> None:
    """Every row, read at once and in another order, is what its file gives."""
    expected = [load_file(cached.data.path(row), geometry) for row in range(len(cached.data))]
    assert not any(isinstance(each, Unreadable) for each in expected)
    order = np.random.default_rng(0).permutation(len(cached.data))
    got = cached.pixels[order]
    assert len(cached.pixels) == len(cached.data) and got.dtype == np.uint8 and got.flags.writeable
    assert got.shape == (len(order), geometry.size_px, geometry.size_px, 3)
    assert all(np.array_equal(got[at], expected[row]) for at, row in enumerate(order))


@pytest.mark.parametrize("size", ["auto", "1GB", SOME, "1KB", "0"])
def test_it_holds_what_the_geometry_makes_and_names_the_rest(data, size):
    for _ in range(2):
        cached = cache_pixels(data, make.GEOMETRY, size=size)
        assert_right(cached)
        assert list(cached.data.files) == [f"{row:04d}" for row in (1, 2, 3, 4, 6, 7, 8)]
        assert [(one.file, one.unreadable.reason) for one in cached.data.skipped] == [
            ("0000", Reason.NOT_AN_IMAGE),
            ("0005", Reason.NOT_AN_IMAGE),
        ]
        assert any("decoded whenever" in note for note in cached.data.notes) == (size in (SOME, "1KB", "0"))


def test_no_rows_at_all(data):
    cached = cache_pixels(data.rows(np.array([0, 5])), make.GEOMETRY)
    assert len(cached.pixels) == 0 and len(cached.data.skipped) == 2
    assert cached.pixels[np.empty(0, np.int64)].shape == (0, 32, 32, 3)


def test_what_was_decoded_is_shared_by_content(data, tmp_path, decoded):
    first = cache_pixels(data.rows(np.arange(5)), make.GEOMETRY)
    assert decoded == ["0000", "0001", "0002", "0003", "0004"]
    decoded.clear()
    again = cache_pixels(data.rows(np.arange(5)[::-1]), make.GEOMETRY)
    assert decoded == []
    assert np.array_equal(again.pixels[np.arange(4)], first.pixels[np.arange(4)[::-1]])
    assert_right(cache_pixels(data, make.GEOMETRY))
    assert decoded == ["0005", "0006", "0007", "0008"]
    decoded.clear()
    # Another folder, in which a file has one of these files' bytes and another name.
    other = make.pictures(tmp_path / "other", 2, seed=1)
    other.path(1).write_bytes(data.path(7).read_bytes())
    assert_right(cache_pixels(make.listed(other.root, other.targets), make.GEOMETRY))
    assert decoded == ["0000"]


def test_images_of_the_same_bytes_are_decoded_once(data, decoded):
    data.path(2).write_bytes(data.path(1).read_bytes())
    data = make.listed(data.root, data.targets)
    assert_right(cache_pixels(data, make.GEOMETRY))
    assert "0001" in decoded and "0002" not in decoded


@pytest.mark.parametrize("change", ["geometry", "pillow", "code"])
def test_other_makers_of_pixels_never_share(data, monkeypatch, tmp_path, decoded, change):
    cache_pixels(data, make.GEOMETRY)
    geometry = Geometry(size_px=32, fit="pad") if change == "geometry" else make.GEOMETRY
    if change == "pillow":
        monkeypatch.setattr("PIL.__version__", "0.1")
    if change == "code":
        monkeypatch.setattr("fieldmark.data.__file__", str(tmp_path / "__init__.py"))
    cached = cache_pixels(data, geometry)
    assert_right(cached, geometry)
    assert len(decoded) == 18


def flip(at: int):
    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[at] ^= 1
        return bytes(changed)

    return damage


DAMAGES = {
    "a pixel": flip(100),
    "the list": flip(-30),
    "the tail": flip(-1),
    "cut off": lambda content: content[:-1],
    "without a list": lambda content: content[: 2 * make.ROW_BYTES],
    "next to nothing": lambda content: content[:5],
    "empty": lambda content: content[:0],
    "longer": lambda content: b"\0" + content,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_block_is_seen_named_and_made_anew(data, folder, decoded, damage):
    cache_pixels(data, make.GEOMETRY)
    before = {file.name: file.read_bytes() for file in make.blocks(folder)}
    victim = make.blocks(folder)[1]
    victim.write_bytes(damage(victim.read_bytes()))
    decoded.clear()
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert [note for note in cached.data.notes if "damaged" in note and victim.name in note]
    assert 1 <= len(decoded) <= 3, "what lies in other blocks is not decoded again"
    decoded.clear()
    again = cache_pixels(data, make.GEOMETRY)
    assert_right(again)
    assert decoded == [] and again.data.notes == ()
    assert before.items() <= {file.name: file.read_bytes() for file in make.blocks(folder)}.items()


def test_a_block_that_is_missing_is_made_anew(data, folder, decoded):
    cache_pixels(data, make.GEOMETRY)
    make.blocks(folder)[0].unlink()
    decoded.clear()
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert 1 <= len(decoded) <= 3 and cached.data.notes == ()


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_after(calls: int, real):
    left = [calls]

    def limited(*arguments):
        left[0] -= 1
        return full() if left[0] < 0 else real(*arguments)

    return limited


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_disk_that_fills_up_costs_nothing_but_time(data, folder, monkeypatch, decoded, blocks):
    with monkeypatch.context() as patched:
        patched.setattr("fieldmark.training.blocks.os.fsync", full_after(blocks, os.fsync))
        cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert len(cached.data.skipped) == 2 and len(decoded) == 9
    (note,) = cached.data.notes
    assert note.startswith(f"{7 - 2 * blocks} of 7 images") and "No space left" in note and str(folder) in note
    assert len(make.blocks(folder)) == blocks and not make.drafts(folder)
    decoded.clear()
    assert_right(again := cache_pixels(data, make.GEOMETRY))
    assert again.data.notes == () and len(decoded) <= 9 - 2 * blocks


def test_a_disk_that_is_full_at_the_first_byte(data, folder, monkeypatch):
    monkeypatch.setattr("fieldmark.training.blocks.Draft.add", full)
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert "No space left" in cached.data.notes[0]
    assert not make.blocks(folder) and not make.drafts(folder)


def test_a_cache_that_cannot_be(data, folder):
    folder.write_text("a file stands where the folder should")
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert str(folder) in cached.data.notes[0]


def test_without_a_home(data, monkeypatch):
    monkeypatch.delenv("FIELDMARK_CACHE")
    monkeypatch.setattr(cache_folder.Path, "home", lambda: full())
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert "no folder" in cached.data.notes[0]


def test_a_disk_keeps_room_for_others(data, folder, monkeypatch):
    monkeypatch.setattr("fieldmark.training.cache_folder.KEPT_FREE", 2**62)
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert cached.pixels.blocks == () and not make.blocks(folder) and "of the disk free" in cached.data.notes[0]


def test_interrupted_it_keeps_whole_blocks_and_nothing_half(data, folder, monkeypatch):
    def progress(stage, done, total, remark=""):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_pixels(data, make.GEOMETRY, progress=progress)
    assert len(make.blocks(folder)) == 2 and not make.drafts(folder)
    assert_right(cache_pixels(data, make.GEOMETRY))


def test_a_set_that_is_too_large_fills_its_room_and_is_judged_once(data, folder, decoded):
    for expected in (9, 0, 0):
        decoded.clear()
        cached = cache_pixels(data, make.GEOMETRY, size=SOME)
        assert len(decoded) == expected
        assert_right(cached)
        assert cached.data.notes[-1].startswith("4 of 7 images") and "0.03 MB" in cached.data.notes[-1]
        assert len(cached.data.skipped) == 2
        assert make.size_of(folder) <= 30_000


def test_nothing_is_written_where_not_even_lists_have_room(data, folder):
    cached = cache_pixels(data, make.GEOMETRY, size="1KB")
    assert_right(cached)
    assert not make.blocks(folder) and not make.drafts(folder)


def test_with_more_room_the_rest_is_kept_too(data, decoded):
    cache_pixels(data, make.GEOMETRY, size=SOME)
    decoded.clear()
    cached = cache_pixels(data, make.GEOMETRY, size="1GB")
    assert_right(cached)
    assert len(decoded) == 4 and cached.data.notes == ()


def test_many_small_blocks_come_together_in_a_large_one(data, folder, monkeypatch, decoded):
    for row in range(1, 9):
        cache_pixels(data.rows(np.arange(row, row + 1)), make.GEOMETRY)
    decoded.clear()
    monkeypatch.setattr("fieldmark.training.cache.MOST_BLOCKS", 3)
    monkeypatch.setattr("fieldmark.training.keeping.BLOCK_BYTES", 100 * make.ROW_BYTES)
    for expected in (8, 0):
        decoded.clear()
        cached = cache_pixels(data, make.GEOMETRY)
        assert_right(cached)
        assert len(decoded) == expected and len(cached.pixels.blocks) == 2


def sets(tmp_path, number: int):
    return [make.pictures(tmp_path / str(seed), 2, seed=seed) for seed in range(number)]


TWO_SETS = f"{(5 * make.ROW_BYTES + 2**14) / 1000}KB"


def test_the_least_recently_used_go_first(tmp_path, folder, decoded):
    first, second, third = sets(tmp_path, 3)
    cache_pixels(first, make.GEOMETRY)
    cache_pixels(second, make.GEOMETRY)
    for block in make.blocks(folder):
        os.utime(block, (1, 1))
    cache_pixels(first, make.GEOMETRY)
    cached = cache_pixels(third, make.GEOMETRY, size=TWO_SETS)
    assert_right(cached)
    assert cached.data.notes == () and len(make.blocks(folder)) == 2
    for each, expected in ((first, 0), (third, 0), (second, 2)):
        decoded.clear()
        cache_pixels(each, make.GEOMETRY)
        assert len(decoded) == expected


def test_what_this_process_uses_is_never_removed(tmp_path, folder):
    first, second, third = (cache_pixels(each, make.GEOMETRY, size=TWO_SETS) for each in sets(tmp_path, 3))
    assert "2 of 2 images" in third.data.notes[0]
    for each in (first, second, third):
        assert_right(each)
    assert len(make.blocks(folder)) == 3, "two of images, one that says what can be decoded"


def test_a_smaller_size_shrinks_what_is_there(tmp_path, folder):
    for each in sets(tmp_path, 3):
        cache_pixels(each, make.GEOMETRY)
    last = make.pictures(tmp_path / "last", 3, seed=9)
    cache_pixels(last, make.GEOMETRY, size=TWO_SETS)
    assert make.size_of(folder) <= 5 * make.ROW_BYTES + 2**14
    assert_right(cache_pixels(last, make.GEOMETRY, size="5KB"))
    assert make.size_of(folder) <= 5_000, "were it its own"
    assert_right(cache_pixels(last, make.GEOMETRY))
    cache_pixels(last, make.GEOMETRY, size="0")
    assert make.blocks(folder), "no cache: nothing is read, written or removed"


def test_without_locks_nothing_is_removed(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("fieldmark.bundle.claiming.fcntl", None)
    for each in sets(tmp_path, 3):
        assert_right(cache_pixels(each, make.GEOMETRY, size=TWO_SETS))
    assert len([file for file in make.blocks(folder) if file.stat().st_size > make.ROW_BYTES]) == 2


def test_a_file_that_changed_since_it_was_listed_is_skipped(data, folder, decoded):
    data.path(3).write_bytes(data.path(4).read_bytes())
    data.path(6).unlink()
    for _ in range(2):
        decoded.clear()
        cached = cache_pixels(data, make.GEOMETRY)
        assert_right(cached)
        reasons = {one.file: one.unreadable.reason for one in cached.data.skipped}
        assert reasons["0003"] == Reason.CHANGED and reasons["0006"] == Reason.MISSING and len(reasons) == 4
        assert len(make.blocks(folder)) == 3
    assert decoded == ["0003", "0006"], "another file of these bytes may come, so nothing is remembered of them"


def test_a_missing_file_has_a_twin(data):
    data.path(2).write_bytes(data.path(1).read_bytes())
    data = make.listed(data.root, data.targets)
    data.path(1).unlink()
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert "0002" in cached.data.files and [one.file for one in cached.data.skipped] == ["0000", "0001", "0005"]


def test_an_image_that_is_lost_while_it_is_streamed_is_an_error_in_words(data):
    cached = cache_pixels(data, make.GEOMETRY, size="0")
    data.path(4).unlink()
    with pytest.raises(DataError, match="0004: missing"):
        list(in_batches(cached.pixels, np.arange(7), 2))
    data.path(4).write_bytes(data.path(3).read_bytes())
    with pytest.raises(DataError, match="0004: changed"):
        cached.pixels[np.arange(7)]


def test_progress_is_told(data):
    seen: list[tuple[object, ...]] = []
    for _ in range(2):
        cache_pixels(data, make.GEOMETRY, progress=lambda *said: seen.append(said))
    assert ("read images", 9, 9) in seen and seen[-1] == ("check decoded images", 4, 4)


CHILD = """
import hashlib, sys
from pathlib import Path
import numpy as np
import makers_pixels as make
from fieldmark.training import cache_folder, keeping
from fieldmark.training.cache import cache_pixels
cache_folder.KEPT_FREE, keeping.BLOCK_BYTES = 0, 2 * make.ROW_BYTES
def progress(stage, done, total, remark=""):
    print(done, flush=True)
    sys.stdin.readline()
root = Path(sys.argv[1])
data = make.listed(root, np.arange(len(list(root.iterdir()))) % 3)
cached = cache_pixels(data, make.GEOMETRY, progress=progress)
rows = np.arange(len(cached.data))
print("pixels", hashlib.sha256(cached.pixels[rows].tobytes()).hexdigest(), *cached.data.notes, flush=True)
sys.stdin.readline()
"""


def child(root) -> subprocess.Popen[str]:
    """Caches the folder's images, one for each line that it is sent; then it holds them until one more line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", CHILD, str(root)]
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environment, text=True)


def said(process: subprocess.Popen[str]) -> str:
    """What the child says next; it waits."""
    line = process.stdout.readline().strip()
    assert line and process.poll() is None
    return line


def go_on(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_killed_while_it_writes_it_leaves_a_draft_that_the_next_run_removes(tmp_path, folder, decoded):
    data = make.pictures(tmp_path / "data", 7)
    with child(data.root) as process:
        for image in "1234":
            assert said(process) == image
            go_on(process)
        assert said(process) == "5"  # amid the third block
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(make.blocks(folder)) == 2 and len(make.drafts(folder)) == 1
    cached = cache_pixels(data, make.GEOMETRY)
    assert_right(cached)
    assert decoded == ["0004", "0005", "0006"] and not make.drafts(folder) and cached.data.notes == ()


def test_two_at_once_do_each_other_no_harm(tmp_path, folder, decoded):
    data = make.pictures(tmp_path / "data", 7)
    with child(data.root) as one, child(data.root) as other:
        for _ in range(8):
            line = said(one)
            assert line == said(other)  # before either goes on, so that both found the cache empty
            go_on(one)
            go_on(other)
    assert line.startswith("pixels") and len(line.split()) == 2, "and no notes"
    assert one.returncode == other.returncode == 0
    assert not make.drafts(folder) and len(make.blocks(folder)) == 4
    assert_right(cache_pixels(data, make.GEOMETRY))
    assert decoded == []


def test_what_a_living_process_uses_is_not_removed_and_what_a_dead_one_used_is(tmp_path, folder):
    first, second = sets(tmp_path, 2)
    one_set = f"{(3 * make.ROW_BYTES + 2**14) / 1000}KB"
    with child(first.root) as process:
        for image in "12":
            assert said(process) == image
            go_on(process)
        assert said(process).startswith("pixels")  # and it holds them
        beside = cache_pixels(second, make.GEOMETRY, size=one_set)
        assert_right(beside)
        assert beside.data.notes[0].startswith("2 of 2 images")
        os.kill(process.pid, signal.SIGKILL)
    after = cache_pixels(second, make.GEOMETRY, size=one_set)
    assert_right(after)
    assert after.data.notes == ()
