"""Several labels an image, some of which nobody looked for: from a manifest to answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fieldmark as library
from makers import COLOURS, fieldmark, photo

NAMES = tuple(COLOURS)
IMAGES = 90


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 scenes of up to four colours; of every third nobody looked for red, of every fifth for anything more."""
    root = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(0)
    rows = ["file,labels,unknown,split"]
    for number in range(IMAGES):
        present = random.random(len(NAMES)) < 0.5
        canvas = Image.new("RGB", (48, 48), (120, 120, 120))
        for place, name in enumerate(NAMES):
            if present[place]:
                canvas.paste(photo(name, number, (24, 24)), (24 * (place % 2), 24 * (place // 2)))
        canvas.putpixel((47, 47), (number, 0, 0))  # no two have the same bytes
        canvas.save(root / f"{number}.png")
        unknown = "*" if number % 5 == 0 and present.any() else "red" if number % 3 == 0 else ""
        said = [name for name, there in zip(NAMES, present) if there and name != unknown]
        rows.append(f"{number}.png,{'|'.join(said)},{unknown},{'test' if number >= 60 else ''}")
    (root / "scenes.csv").write_text("\n".join(rows) + "\n")
    return root


def trained(folder: Path, scenes: Path, *words: str) -> dict[str, Any]:
    done = fieldmark("train", scenes / "scenes.csv", *words, "--out", "s.fieldmark", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


WAYS = {
    "probe": ("--model", "colour"),
    "network": (
        *("--model", "lenet", "--size", "32", "--epochs", "12", "--batch", "8"),
        *("--loss", "asymmetric", "--learning-rate", "0.05"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_label_is_judged_where_somebody_looked(way: str, scenes: Path, tmp_path: Path) -> None:
    result = trained(tmp_path, scenes, *WAYS[way])
    assert result["test"]["part"] == "test" and result["test"]["n"] == 30
    report = json.loads((tmp_path / "s.fieldmark" / "report" / "report.json").read_text())
    test = library.read(scenes / "scenes.csv").part("test")
    known = (test.targets >= 0).sum(axis=0)
    assert [sum(counts) for counts in report["test"]["confusion"]] == known.tolist()
    assert known.min() < 20 and known.max() < 30
    assert [each["figures"]["auroc"]["n"] for each in report["test"]["per_class"]] == known.tolist()
    assert any("nobody looked" in note for note in report["test"]["notes"])
    assert result["test"]["macro_auroc"]["value"] > 0.8
    decision = report["manifest"]["decision"]
    assert all(len(decision[name]) == len(NAMES) for name in ("slopes", "intercepts", "thresholds"))
    assert any(choice.startswith("calibration = ") for choice in result["choices"])


def test_few_images_to_learn_from_calibrate_out_of_fold_beside_a_test_part(scenes: Path, tmp_path: Path) -> None:
    result = trained(tmp_path, scenes, "--model", "colour")
    assert (result["validation"]["part"], result["validation"]["n"]) == ("out-of-fold", 60)


def test_the_probabilities_of_a_bundle_are_those_of_its_card(scenes: Path, tmp_path: Path) -> None:
    trained(tmp_path, scenes, *WAYS["network"])  # the colours alone tell all apart: nothing to calibrate
    bundle = library.load(tmp_path / "s.fieldmark")
    assert set(bundle.bundle.manifest.decision.slopes or ()) != {1.0}
    script = (tmp_path / "s.fieldmark" / "README.md").read_text().split("```python\n")[2].split("```")[0]
    words = [sys.executable, "-c", script.replace("photo.jpg", str(scenes / "1.png"))]
    done = subprocess.run(words, cwd=tmp_path / "s.fieldmark", capture_output=True, text=True, check=True)
    told = [f"{name} {100 * share:.1f} %" for name, share in bundle.predict(scenes / "1.png").ranked(3)]
    assert done.stdout.splitlines() == told


def test_a_label_that_no_training_image_has_is_no_class_and_it_is_said(scenes: Path, tmp_path: Path) -> None:
    rows = [row.split(",") for row in (scenes / "scenes.csv").read_text().splitlines()]
    owls = [
        [file, labels + ("|owl" if split == "test" else ""), unknown, split] for file, labels, unknown, split in rows
    ]
    (scenes / "owls.csv").write_text("".join(",".join(row) + "\n" for row in owls))
    words = ("--model", "colour", "--out", "o.fieldmark")
    done = fieldmark("train", scenes / "owls.csv", *words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert any("owl" in note and "no classes" in note for note in json.loads(done.stdout)["notes"])
    assert "owl" not in library.load(tmp_path / "o.fieldmark").bundle.manifest.classes
    again = fieldmark("evaluate", "o.fieldmark", scenes / "owls.csv", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert any("owl" in note for note in json.loads(again.stdout)["test"]["notes"])


def test_a_head_that_needs_whole_labels_is_refused_with_those_that_do_not(scenes: Path, tmp_path: Path) -> None:
    words = ("--model", "colour", "--head", "forest", "--out", "s.fieldmark")
    done = fieldmark("train", scenes / "scenes.csv", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown" in done.stderr and "logistic" in done.stderr
    assert not list(tmp_path.iterdir())
