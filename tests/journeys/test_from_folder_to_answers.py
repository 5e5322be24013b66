"""The main job, as a person does it: a folder becomes a bundle, a report, and answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fieldmark as library
from makers import fieldmark, photo


def test_the_bundle_is_whole(bundle: Path) -> None:
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {"fieldmark.json", "model.onnx", "weights.safetensors", "README.md", "SHA256SUMS"} <= names
    assert {"report/index.html", "report/report.json"} <= names
    assert not list(bundle.parent.glob("*.run")), "the run's folder goes when the bundle is there"


def test_few_photos_are_judged_out_of_fold(bundle: Path) -> None:
    manifest = json.loads((bundle / "fieldmark.json").read_text())
    assert manifest["recipe"]["folds"] == 5
    shown = fieldmark("info", bundle, "--json", cwd=bundle.parent)
    test = json.loads(shown.stdout)["test"]
    assert test["part"] == "out-of-fold"
    assert test["n"] == 36
    accuracy = test["accuracy"]
    assert accuracy["low"] < accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] > 0.8


def test_no_auto_is_left_in_the_recipe(bundle: Path) -> None:
    manifest = json.loads((bundle / "fieldmark.json").read_text())
    assert "auto" not in manifest["recipe"].values()


def test_predict_on_a_terminal(bundle: Path, photos: Path) -> None:
    answered = fieldmark("predict", bundle, photos / "red" / "red-000.jpg", cwd=bundle.parent)
    assert answered.returncode == 0, answered.stderr
    assert "red " in answered.stdout
    assert " %" in answered.stdout


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_form_gives_every_file(bundle: Path, photos: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"answers.{form}"
    answered = fieldmark("predict", bundle, photos, "--format", form, "--output", out, cwd=tmp_path)
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout == ""
    assert _labels(out, form) == sorted(path.parent.name for path in photos.rglob("*.jpg"))


def _labels(file: Path, form: str) -> list[str]:
    if form == "csv":
        return sorted(row["label"] for row in csv.DictReader(io.StringIO(file.read_text())))
    if form == "jsonl":
        return sorted(json.loads(line)["labels"][0] for line in file.read_text().splitlines())
    import pyarrow.parquet as pq

    return sorted(pq.read_table(file).column("label").to_pylist())


def test_json_is_one_document_and_nothing_else(bundle: Path, photos: Path) -> None:
    answered = fieldmark("predict", bundle, photos / "blue", "--json", cwd=bundle.parent)
    document = json.loads(answered.stdout)
    assert document["counts"] == {"answered": 12, "unreadable": 0}
    top = document["predictions"][0]["top"]
    assert sum(each["probability"] for each in top) == pytest.approx(1.0)


def test_standard_input_takes_an_image_or_a_list(bundle: Path, photos: Path) -> None:
    file = photos / "green" / "green-003.jpg"
    image = fieldmark("predict", bundle, "-", "--json", cwd=bundle.parent, stdin=file.read_bytes())
    listed = fieldmark("predict", bundle, "-", "--json", cwd=bundle.parent, stdin=f"{file}\n".encode())
    assert json.loads(image.stdout)["predictions"][0]["top"] == json.loads(listed.stdout)["predictions"][0]["top"], (
        image.stderr + listed.stderr
    )


def test_a_glob_that_the_shell_left_alone(bundle: Path, photos: Path) -> None:
    answered = fieldmark("predict", bundle, str(photos / "*" / "*-00[01].jpg"), "--json", cwd=bundle.parent)
    assert json.loads(answered.stdout)["counts"]["answered"] == 6


def test_check_proves_the_bundle(bundle: Path) -> None:
    checked = fieldmark("check", bundle, "--json", cwd=bundle.parent)
    result = json.loads(checked.stdout)
    assert checked.returncode == 0
    assert result["ok"]
    assert len(result["canaries"]) >= 6


def test_evaluate_matches_classes_by_name(bundle: Path, tmp_path: Path) -> None:
    # Only two of the three classes, so that positions cannot agree.
    for colour in ("red", "blue"):
        (tmp_path / "new" / colour).mkdir(parents=True)
        for seed in range(5):
            photo(colour, 77_000 + seed).save(tmp_path / "new" / colour / f"{seed}.png")
    done = fieldmark("evaluate", bundle, "new", "--json", "--report", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    test = json.loads(done.stdout)["test"]
    assert test["absent"] == ["green"]
    assert test["accuracy"]["value"] >= 0.8
    assert "<html" in (tmp_path / "page.html").read_text()


def test_a_manifest_may_lie_elsewhere_than_its_images(bundle: Path, photos: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.jpg"))]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]))
    beside = fieldmark("evaluate", bundle, "list.csv", "--json", cwd=tmp_path)
    assert beside.returncode == 2 and "--root" in beside.stderr
    done = fieldmark("evaluate", bundle, "list.csv", "--root", photos, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"]["n"] == 36


def test_python_gives_the_same_answers(bundle: Path, photos: Path) -> None:
    file = photos / "blue" / "blue-005.jpg"
    answered = fieldmark("predict", bundle, file, "--json", "--top", "1", cwd=bundle.parent)
    said = json.loads(answered.stdout)["predictions"][0]["top"][0]
    prediction = library.load(bundle).predict(file)
    assert prediction.ranked(1)[0] == (said["class"], pytest.approx(said["probability"]))


def test_an_unreadable_file_in_a_folder_is_skipped_and_named(bundle: Path, tmp_path: Path) -> None:
    photo("red", 5).save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_text("not an image")
    skipped = fieldmark("predict", bundle, tmp_path, "--format", "csv", cwd=tmp_path)
    assert skipped.returncode == 0
    assert "bad.jpg: not an image" in skipped.stderr
    assert "bad.jpg" in skipped.stdout, "one row for each input"
    strict = fieldmark("predict", bundle, tmp_path, "--strict", cwd=tmp_path)
    assert strict.returncode == 2


def test_multi_label_from_a_manifest(tmp_path: Path) -> None:
    rows = ["file,labels"]
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        colours = [c for c in ("red", "green", "blue") if random.random() < 0.5]
        canvas = Image.new("RGB", (96, 96), (120, 120, 120))
        for place, colour in enumerate(colours):
            canvas.paste(photo(colour, number, (32, 96)), (32 * place, 0))
        canvas.save(tmp_path / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{'|'.join(colours)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    trained = fieldmark("train", "labels.csv", "--model", "colour", "--out", "m.fieldmark", "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    figures = json.loads(trained.stdout)["test"]
    assert figures["map"]["value"] > 0.6
