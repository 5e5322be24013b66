"""A folder in which a quarter of the training images lie in the wrong place, and the list of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from makers import COLOURS, fieldmark, photo

NAMES = tuple(COLOURS)[:3]
SETTINGS = ("--model", "lenet", "--method", "network", "--epochs", "2", "--size", "32", "--batch", "16", "--json")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos named for what they show; every fourth training photo lies with the next class."""
    root = tmp_path_factory.mktemp("mixed") / "mixed"
    for part, images in (("train", 48), ("validation", 12), ("test", 12)):
        for at, shown in enumerate(NAMES):
            for image in range(images):
                moved = part == "train" and image % 4 == 0
                folder = root / part / NAMES[(at + 1 + image // 4 % 2) % 3 if moved else at]
                folder.mkdir(parents=True, exist_ok=True)
                photo(shown, 1000 * at + image + 500 * (part != "train"), (32, 32)).save(
                    folder / f"{shown}-{image}.png"
                )
    return root


def test_the_list_names_the_misplaced_photos_and_the_report_says_so(mixed: Path, tmp_path: Path) -> None:
    done = fieldmark(
        "train", mixed, *SETTINGS, "--noisy", "yes", "--suspects", "drop", "--out", "a.fieldmark", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "a.suspects.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    misplaced = [line for line in lines if not Path(line["file"]).name.startswith(line["label"])]
    assert len(misplaced) > 0.9 * len(lines) and len(lines) > 0.8 * 36
    assert all(Path(line["file"]).parts[-3] == "train" for line in lines)
    assert all(Path(line["file"]).name.startswith(line["suggested"]) for line in misplaced[:20])

    said = json.loads(done.stdout)
    assert any(f"{len(lines)} of 144 training images" in note and "dropped" in note for note in said["notes"])
    assert any(choice.startswith("remedy = early-learning: ") for choice in said["choices"])
    manifest = json.loads((tmp_path / "a.fieldmark" / "fieldmark.json").read_text())
    found = manifest["recipe"]["label_noise"]
    assert found["rate"]["low"] <= 0.25 <= found["rate"]["high"] and found["kind"] == "symmetric"
    assert manifest["recipe"]["remedy"] == "early-learning" and manifest["recipe"]["suspects"] == "drop"
    counts = {name: part["n"] for name, part in manifest["data"]["parts"].items()}
    assert counts == {"train": 144 - len(lines), "validation": 36, "test": 36}
    page = (tmp_path / "a.fieldmark" / "report" / "index.html").read_text()
    assert "label noise: " in page and "remedy = early-learning" in page


def test_without_asking_nothing_is_doubted(mixed: Path, tmp_path: Path) -> None:
    done = fieldmark("train", mixed, *SETTINGS, "--out", "b.fieldmark", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*.csv")) and "label noise" not in done.stdout
    assert json.loads((tmp_path / "b.fieldmark" / "fieldmark.json").read_text())["recipe"]["remedy"] == "none"


def test_several_labels_an_image_are_refused_in_three_parts(mixed: Path, tmp_path: Path) -> None:
    files = sorted((mixed / "train").rglob("*.png"))[:60]
    rows = [f"{file.relative_to(mixed)},{file.parent.name}|{NAMES[at % 3]}" for at, file in enumerate(files)]
    (tmp_path / "several.csv").write_text("\n".join(["file,labels", *rows]) + "\n")
    done = fieldmark("train", "several.csv", "--root", mixed, "--noisy", "yes", "--out", "c.fieldmark", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "have several" in done.stderr and "where: noisy = yes" in done.stderr and "do:" in done.stderr
