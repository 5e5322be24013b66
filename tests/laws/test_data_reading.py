"""Laws of reading: what lies in a folder or a manifest is in the Dataset, or is said."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.formats.row import FORMATS
from fieldmark.data.picture import Reason
from fieldmark.data.reading import read
from fieldmark.errors import DataError, MissingExtra, UnknownName
from makers_data import encoded, photo, turned, write_photos

PNG = encoded(photo(9, 7), "PNG")


def test_a_folder_is_read_in_natural_order_whatever_the_case_of_suffixes(tmp_path: Path) -> None:
    for name in ("b/img10.PNG", "b/img2.png", "b/Img1.Png", "a10/x.png", "a9/x.png"):
        _put(tmp_path / name)
    data = read(tmp_path)
    assert list(data.files) == ["a9/x.png", "a10/x.png", "b/Img1.Png", "b/img2.png", "b/img10.PNG"]
    assert data.classes == ("a9", "a10", "b")
    assert list(data.targets) == [0, 1, 2, 2, 2]
    assert (data.sizes_px == [9, 7]).all()


def test_what_is_left_aside_is_said_and_droppings_are_not(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    for name in (
        ".hidden/x.png",
        "cat/.x.png",
        "cat/Thumbs.db",
        ".DS_Store",
        "cat/notes.txt",
        "readme.md",
        "stray.png",
    ):
        _put(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cat" / "also empty").mkdir()
    data = read(tmp_path)
    assert len(data) == 4
    assert data.notes == (
        "files that are no pictures were left aside: 1 .md, 1 .txt",
        "pictures beside the class folders have no label and were left out: 1 (stray.png)",
        "folders without a picture are no classes: empty",
    )


def test_unreadable_files_are_skipped_with_their_reason_and_strict_refuses_them(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    good = encoded(photo(160, 120), "JPEG")
    bad = {
        "cat/cut.jpg": (good[: len(good) // 2], Reason.TRUNCATED),
        "cat/empty.png": (b"", Reason.EMPTY),
        "dog/iphone.HEIC": (b"\0\0\0\x18ftypheic" + b"\0" * 40, Reason.FORMAT_NOT_ALLOWED),
        "dog/text.jpg": (b"hello", Reason.NOT_AN_IMAGE),
    }
    for name, (file, _) in bad.items():
        _put(tmp_path / name, file)
    (tmp_path / "dog/zzz.jpg").symlink_to("nowhere.jpg")
    data = read(tmp_path)
    assert len(data) == 4
    found = {skipped.file: skipped.unreadable.reason for skipped in data.skipped}
    assert found == {name: reason for name, (_, reason) in bad.items()} | {"dog/zzz.jpg": Reason.MISSING}
    with pytest.raises(DataError, match=r"5 of 9 images cannot be read; the first is cat/cut\.jpg: truncated"):
        read(tmp_path, strict=True)


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems have no such names")
@pytest.mark.parametrize("name", [b"caf\xe9/x.png", b"cat/caf\xe9.png"])
def test_a_name_that_is_no_text_is_refused_at_once(tmp_path: Path, name: bytes) -> None:
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    _put(tmp_path / os.fsdecode(name))
    with pytest.raises(DataError, match="1 paths are not UTF-8") as refused:
        read(tmp_path)
    str(refused.value).encode()


def test_sizes_are_as_a_person_sees_them_and_progress_reaches_the_end(tmp_path: Path) -> None:
    _put(tmp_path / "a/x.jpg", turned(photo(24, 16), 6))
    _put(tmp_path / "b/x.jpg", turned(photo(24, 16), 3))
    calls: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int, remark: str = "") -> None:
        calls.append((stage, done, total))

    data = read(tmp_path, progress=note)
    assert data.sizes_px.tolist() == [[16, 24], [24, 16]]
    assert calls[-1] == ("read", 2, 2)


@pytest.mark.parametrize(
    ("put", "says", "do"),
    [
        ((), "the folder is empty", "one folder of pictures for each class"),
        (("a.png", "b.png"), "2 pictures but no class folders", "make one folder a class"),
        (("cat/readme.txt",), "no pictures", "one folder of pictures for each class"),
        (
            ("cat/left/x.png", "dog/x.png"),
            "unclear which folder is the class: cat/left/x.png",
            "straight into its folder",
        ),
        (("photos/cat/x.png", "photos/dog/x.png"), "photos/cat/x.png", "pass {root}/photos"),
        (
            ("photos/cat/x.png", "labels.csv"),
            "photos/cat/x.png",
            "pass the manifest that lies there: {root}/labels.csv",
        ),
        (("train/cat/x.png", "bird/x.png"), "bird stands beside train", "rename that folder"),
        (("val/cat/x.png", "valid/cat/x.png"), "two folders are the validation part", "merge"),
        (("train/x.png", "test/y.png"), "no class folders with pictures", "a folder for each class"),
        (
            ("train/cat/x.png", "test/cat/x.png", "test/dog/y.png"),
            "test has labels that training never saw.*dog \\(1\\)",
            "spelt",
        ),
    ],
)
def test_folders_that_cannot_be_used(put: tuple[str, ...], says: str, do: str, tmp_path: Path) -> None:
    for name in put:
        _put(tmp_path / name)
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path)
    assert do.replace("{root}", str(tmp_path)) in caught.value.do
    assert str(tmp_path) in caught.value.where


def test_paths_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    _put(tmp_path / "x.png")
    with pytest.raises(DataError, match="neither a folder of images nor a manifest"):
        read(tmp_path / "x.png")


def test_split_folders_by_their_usual_names_and_classes_by_name(tmp_path: Path) -> None:
    for name in (
        "Training/dog/1.png",
        "Training/cat/1.png",
        "VALID/dog/1.png",
        "testing/cat/2.png",
        "docs/readme.txt",
    ):
        _put(tmp_path / name)
    data = read(tmp_path)
    assert list(data.split) == ["train", "train", "validation", "test"]
    assert [data.classes[target] for target in data.targets] == ["cat", "dog", "dog", "cat"]
    assert any("docs" in note for note in data.notes)


def test_only_training_is_still_a_split_folder(tmp_path: Path) -> None:
    data = read(write_photos(tmp_path, {"train/cat": 2, "train/dog": 2}))
    assert set(data.split) == {"train"}
    assert data.classes == ("cat", "dog")


def test_a_class_is_one_class_however_its_name_is_composed(tmp_path: Path) -> None:
    for split, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("café", "bar"):
            _put(tmp_path / split / unicodedata.normalize(form, name) / "1.png")
    data = read(tmp_path)
    assert data.classes == ("bar", "café")
    assert all(data.path(row).exists() for row in range(4))


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"cat": 2, "dog": 2})
    (tmp_path / "photos/cat/loop").symlink_to(tmp_path / "photos/empty")
    (tmp_path / "photos/empty").mkdir()
    (tmp_path / "photos/empty/round").symlink_to(tmp_path / "photos/empty")
    (tmp_path / "photos/self").symlink_to("self")
    (tmp_path / "photos/dog/linked.jpg").symlink_to(tmp_path / "photos/cat/0.jpeg")
    assert len(read(tmp_path / "photos")) == 5


def test_a_csv_with_every_awkward_thing(tmp_path: Path) -> None:
    _put(tmp_path / "in, here/é 1.png")
    _put(tmp_path / "b.png")
    header = "\ufefffile,label,split,group,note\r\n"
    first = '"in, here/é 1.png"," a ""cat""",Training,g1,"two\r\nlines"\r\n'
    text = header + first + "\r\n" + ".\\b.png,dog,,,a\u2028b\r\n"
    (tmp_path / "m.csv").write_text(unicodedata.normalize("NFC", text), encoding="utf-8", newline="")
    data = read(tmp_path / "m.csv")
    assert data.classes == ('a "cat"', "dog")
    assert list(data.files) == ["in, here/é 1.png", "b.png"]
    assert list(data.split) == ["train", ""]
    assert list(data.group) == ["g1", ""]
    assert list(data.metadata["note"]) == ["two\r\nlines", "a\u2028b"]


@pytest.mark.parametrize("kind", [str, Path])
def test_other_columns_names_delimiters_and_roots(kind: type[str] | type[Path], tmp_path: Path) -> None:
    write_photos(tmp_path / "images", {"x": 3})
    rows = "image_path;label;class\nx/0.jpeg;7;cat\nx/1.jpeg;8;dog\nx/1.jpeg;8;dog\n"
    (tmp_path / "m.csv").write_text(rows)
    columns = {"file": "image_path", "label": "class"}
    data = read(kind(tmp_path / "m.csv"), columns=columns, root=kind(tmp_path / "images"))
    assert data.classes == ("cat", "dog")
    assert list(data.metadata["label"]) == ["7", "8"]
    assert any("a second time" in note for note in data.notes)


def test_several_labels_in_csv_and_jsonl(tmp_path: Path) -> None:
    write_photos(tmp_path, {"x": 3})
    (tmp_path / "m.csv").write_text("file,labels\nx/0.jpeg,tail|fur\nx/1.jpeg,\nx/2.jpeg,fur\n")
    lists = [{"file": f"x/{n}.jpeg", "labels": names} for n, names in enumerate((["fur", "tail"], [], ["fur"]))]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lists)))
    for name in ("m.csv", "m.jsonl"):
        data = read(tmp_path / name)
        assert (data.task, data.classes) == ("multi", ("fur", "tail"))
        assert data.targets.tolist() == [[1, 1], [0, 0], [1, 0]]
        assert data.targets.dtype == np.int8


@pytest.mark.parametrize(
    ("rows", "says", "where"),
    [
        ("path,label\na.png,cat\n", "no column is named 'file'", "header"),
        ("file,Label\na.png,cat\n", "no column is named 'label'", "header"),
        ("file,label,labels\na.png,cat,cat\n", "a column 'label' and a column 'labels'", "header"),
        ("file,file,label\na.png,a.png,cat\n", "two columns are named 'file'", "header"),
        ("file,label\na.png,cat\nb.png\n", "1 fields and the header 2", "line 3"),
        ("file,label\na.png,cat\nb.png,\n", "field 'label' is empty", "line 3"),
        ("file,label\n,cat\n", "field 'file' is empty", "line 2"),
        ("file,label,split\na.png,cat,tset\n", "'tset', which names no split", "line 2"),
        (
            "file,label\na.png,cat\nc.png,cat\nd.png,dog\n",
            r"2 of 3 files are not there: c.png \(line 3\), d.png",
            "field 'file'",
        ),
        ("file,label\n../a.png,cat\n", "lies outside", "line 2"),
        ("file,label\n/etc/passwd,cat\n", "lies outside", "line 2"),
        ("file,label\nC:\\a.png,cat\n", "lies outside", "line 2"),
        ("file,label\nout/a.png,cat\n", "lies outside", "line 2"),
        ("file,label\nout.png,cat\n", "lies outside", "line 2"),
        ("file,label\na.png,cat\n./a.png,dog\n", "a.png is in twice", "line 2 and line 3"),
        (
            "file,label,split\na.png,cat,train\nb.png,dog,train\nsub/c.png,owl,test\n",
            r"never saw.*owl \(1\)",
            "m.csv",
        ),
        ('file,label\n"a.png,cat\n', "no CSV", "line"),
    ],
)
def test_manifests_that_cannot_be_used_say_where(rows: str, says: str, where: str, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for path in (inside / "a.png", inside / "b.png", inside / "sub/c.png", outside / "a.png", tmp_path / "a.png"):
        _put(path)
    (inside / "out").symlink_to(outside)
    (inside / "out.png").symlink_to(outside / "a.png")
    (inside / "m.csv").write_text(rows)
    with pytest.raises(DataError, match=says) as caught:
        read(inside / "m.csv")
    assert str(inside / "m.csv") in caught.value.where or caught.value.where == str(inside / "m.csv")
    assert where in caught.value.where


def test_unknown_names_are_guessed(tmp_path: Path) -> None:
    _put(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text("image_path,species\na.png,cat\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "m.csv", columns={"file": "image_pth", "label": "species"})
    assert "did you mean 'image_path'" in caught.value.do
    with pytest.raises(UnknownName) as unknown:
        read(tmp_path / "m.csv", columns={"lable": "species"})
    assert "did you mean label" in unknown.value.do


def test_an_absolute_path_inside_the_root_is_another_spelling(tmp_path: Path) -> None:
    _put(tmp_path / "x/a.png")
    (tmp_path / "m.csv").write_text(f"file,label\n{tmp_path}/x/a.png,cat\n")
    assert list(read(tmp_path / "m.csv").files) == ["x/a.png"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra) as caught:
        read(tmp_path / "m.parquet")
    assert "pip install 'fieldmark[parquet]'" in caught.value.do


def test_a_class_whose_images_are_all_unreadable_is_no_class(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    _put(tmp_path / "owl/x.png", b"nothing")
    data = read(tmp_path)
    assert data.classes == ("cat", "dog")
    assert any("owl" in note for note in data.notes)


def test_one_photo_in_two_classes_is_said(tmp_path: Path) -> None:
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    _put(tmp_path / "dog/twin.jpeg", (tmp_path / "cat/0.jpeg").read_bytes())
    assert "byte-identical images with different labels: 1 (cat/0.jpeg = dog/twin.jpeg)" in read(tmp_path).notes


def test_formats_are_listed_without_pyarrow() -> None:
    assert all(summary for _, summary in FORMATS.listing())


PARTLY = """file,labels,unknown
a.png,cat|dog,
b.png,cat,dog|owl
c.png,owl,*
d.png,,
e.png,,*
"""


def test_labels_that_nobody_looked_for_are_neither_there_nor_absent(tmp_path: Path) -> None:
    for name in "abcde":
        _put(tmp_path / f"{name}.png")
    (tmp_path / "m.csv").write_text(PARTLY)
    data = read(tmp_path / "m.csv")
    assert data.classes == ("cat", "dog", "owl")
    assert data.targets.tolist() == [[1, 1, 0], [1, -1, -1], [-1, -1, 1], [0, 0, 0]]
    assert data.counts.tolist() == [2, 1, 1]
    assert "nothing is known of 1 images, so they were left out: e.png" in data.notes
    whole = PARTLY.replace("dog|owl", "").replace("*", "")
    (tmp_path / "m.csv").write_text(whole)
    assert fingerprint(read(tmp_path / "m.csv")) != fingerprint(data)


@pytest.mark.parametrize(
    ("rows", "word"),
    [("file,labels,unknown\na.png,cat,cat|dog\n", "cat"), ("file,label,unknown\na.png,cat,dog\n", "'labels'")],
)
def test_what_contradicts_itself_is_refused(rows: str, word: str, tmp_path: Path) -> None:
    _put(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text(rows)
    with pytest.raises(DataError) as refused:
        read(tmp_path / "m.csv")
    assert word in str(refused.value) and "line 2, field 'unknown'" in refused.value.where


def _put(path: Path, file: bytes = PNG) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file)
