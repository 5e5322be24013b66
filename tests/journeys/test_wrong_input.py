"""What a person gets wrong: each time a clear error in three parts, exit code 2, and nothing half written."""

from __future__ import annotations

import json
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from makers import assert_clear, fieldmark, photo, photo_folder, refused, truncated_jpeg


def missing(root: Path) -> str:
    return "nowhere"


def empty(root: Path) -> str:
    (root / "empty").mkdir()
    return "empty"


def one_class(root: Path) -> str:
    photo_folder(root / "one", per_class=8, classes=("red",))
    return "one"


def nested(root: Path) -> str:
    photo_folder(root / "deep" / "site-a", per_class=4)
    photo_folder(root / "deep" / "site-b", per_class=4)
    return "deep"


def manifest_outside(root: Path) -> str:
    photo("red", 1).save(root / "outside.jpg")
    (root / "inner").mkdir()
    for number, colour in enumerate(("red", "blue") * 6):
        photo(colour, number).save(root / "inner" / f"{number}.jpg")
    rows = [f"{number}.jpg,{colour}" for number, colour in enumerate(("red", "blue") * 6)]
    (root / "inner" / "list.csv").write_text("\n".join(["file,label", *rows, "../outside.jpg,red"]))
    return "inner/list.csv"


def label_only_in_test(root: Path) -> str:
    photo_folder(root / "parts" / "train", per_class=8, classes=("red", "green"))
    photo_folder(root / "parts" / "test", per_class=3, classes=("red", "blue"))
    return "parts"


DATA: list[tuple[Callable[[Path], str], str]] = [
    (missing, "nowhere"),
    (empty, "empty"),
    (one_class, "second class"),
    (nested, "site-a"),
    (manifest_outside, "outside"),
    (label_only_in_test, "blue"),
]


@pytest.mark.parametrize(("make", "word"), DATA, ids=[make.__name__ for make, _ in DATA])
def test_data_that_cannot_be_used(make: Callable[[Path], str], word: str, tmp_path: Path) -> None:
    data = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = refused("train", data, "--model", "colour", "--out", "x.fieldmark", cwd=tmp_path)
    assert_clear(done, word)
    assert sorted(tmp_path.rglob("*")) == before, "nothing half written"


def test_a_class_too_small_for_the_split_that_was_asked(tmp_path: Path) -> None:
    photo_folder(tmp_path / "data", per_class=12)
    photo_folder(tmp_path / "data", per_class=1, classes=("yellow",))
    words = ("train", "data", "--model", "colour", "--folds", "0", "--out", "x.fieldmark")
    assert_clear(fieldmark(*words, "--split", "0.6,0.2,0.2", cwd=tmp_path), "yellow")
    kept = fieldmark(*words, "--json", cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert any("yellow" in note for note in json.loads(kept.stdout)["notes"])


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("--model", "resnet-smal"), "resnet-small"),
        (("--head", "logistik"), "logistic"),
        (("--size", "3"), "size"),
        (("--split", "0.9,0.9,0"), "split"),
        (("--budget", "soon"), "budget"),
        (("--model", "hog", "--method", "network"), "probe"),
        (("--model", "hog", "--epochs", "3"), "epochs"),
        (("--weights", "missing.safetensors", "--model", "efficientnet-lite0"), "missing.safetensors"),
        (("--columns", "label=species"), "columns"),
        (("--augment", "flip+trivail", "--model", "lenet"), "did you mean trivial"),
        (("--augment", "flip+flip", "--model", "lenet"), "repeats itself"),
        (("--augment", "none", "--flip", "yes", "--model", "lenet"), "makes no flip"),
        (("--augment", "crop", "--crop-scale", "1", "--model", "lenet"), "--crop-scale"),
        (("--augment", "mixup", "--batch", "1", "--model", "lenet"), "a batch has one"),
        (("--augment", "strong", "--model", "hog"), "no training loop"),
        (("--cache-size", "20"), "20GB"),
        (("--cache-size", "-1GB"), "20GB"),
        (("--cache-size", "much"), "20GB"),
    ],
)
def test_settings_that_cannot_be_followed(words: tuple[str, ...], word: str, photos: Path, tmp_path: Path) -> None:
    done = refused("train", photos, *words, "--out", "x.fieldmark", cwd=tmp_path)
    assert_clear(done, word)
    assert not list(tmp_path.iterdir())


def test_an_unknown_column_of_a_manifest(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("image,species\na.jpg,red\n")
    done = fieldmark("train", "list.csv", "--columns", "file=image,label=specie", cwd=tmp_path)
    assert_clear(done, "specie", "species", "list.csv")


def huge_png(file: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


def text_file(file: Path) -> None:
    file.write_text("I am a text")


BAD_IMAGES: list[tuple[Callable[[Path], None], str]] = [
    (truncated_jpeg, "truncated"),
    (text_file, "not an image"),
    (huge_png, "too many pixels"),
]


@pytest.mark.parametrize(("make", "reason"), BAD_IMAGES, ids=[reason for _, reason in BAD_IMAGES])
def test_a_bad_image_given_alone(make: Callable[[Path], None], reason: str, bundle: Path, tmp_path: Path) -> None:
    make(tmp_path / "bad.jpg")
    assert_clear(refused("predict", bundle, "bad.jpg", cwd=tmp_path), reason, "bad.jpg")


def test_bad_images_in_a_folder_are_skipped_named_and_counted(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    for number, (make, _) in enumerate(BAD_IMAGES):
        make(tmp_path / "photos" / "red" / f"bad-{number}.jpg")
    words = ("train", "photos", "--model", "colour", "--out", "x.fieldmark")
    done = fieldmark(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    skipped = dict(json.loads(done.stdout)["skipped"])
    assert sorted(skipped) == [f"red/bad-{number}.jpg" for number in range(3)]
    for number, (_, reason) in enumerate(BAD_IMAGES):
        assert reason in skipped[f"red/bad-{number}.jpg"]
    assert_clear(fieldmark(*words, "--strict", cwd=tmp_path), "bad-")


@pytest.mark.parametrize("file", ["model.onnx", "fieldmark.json", "README.md", "canaries/plain.jpg"])
@pytest.mark.parametrize("harm", ["missing", "altered"])
def test_a_bundle_with_a_missing_or_altered_file(file: str, harm: str, bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy.fieldmark")
    if harm == "missing":
        (copy / file).unlink()
    else:
        encoded = bytearray((copy / file).read_bytes())
        encoded[len(encoded) // 2] ^= 1
        (copy / file).write_bytes(encoded)
    assert_clear(refused("check", copy, cwd=tmp_path), file.split("/")[-1])


def test_something_else_is_in_the_way(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = fieldmark("train", photos, "--model", "colour", "--out", "mine", cwd=tmp_path)
    assert_clear(done, "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_disk_that_fills_up(photos: Path, bundle: Path, tmp_path: Path) -> None:
    # A limit on file size refuses a write in the middle, as a full disk does, and needs no rights.
    shutil.copytree(bundle, tmp_path / "old.fieldmark")
    before = (tmp_path / "old.fieldmark" / "SHA256SUMS").read_bytes()
    words = [
        sys.executable,
        "-m",
        "fieldmark",
        "train",
        str(photos),
        "--model",
        "hog+colour",
        "--out",
        "old.fieldmark",
    ]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert_clear(done, "old.fieldmark")
    assert (tmp_path / "old.fieldmark" / "SHA256SUMS").read_bytes() == before, "the old bundle stays"
    assert [path.name for path in tmp_path.iterdir()] == ["old.fieldmark"], "nothing half written"
