"""The one script for small computers: same answers as Fieldmark, without Fieldmark."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.bundle.schema import Decision
from fieldmark.conversion.run import export
from fieldmark.data.geometry import Geometry
from fieldmark.inference.classifier import load
from makers_bundle import SIZE_PX, pictures, write_bundle, write_bundle_with_canaries
from makers_combining import labelled, pair

SCRIPT = Path(__file__).parents[2] / "edge" / "predict.py"
# A process in which nothing of Fieldmark, and none of its other packages, can be imported.
_ALONE = (
    "import sys, runpy\n"
    "for name in ('fieldmark', 'msgspec', 'click', 'rich', 'jinja2', 'torch', 'onnx'): sys.modules[name] = None\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def script(*words):
    return subprocess.run(
        [sys.executable, "-c", _ALONE, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def edge():
    return runpy.run_path(str(SCRIPT), run_name="edge")


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("size", [(SIZE_PX, SIZE_PX), (31, 20), (20, 31)])
def test_its_probabilities_are_those_of_the_light_predictor(tmp_path, edge, fit, size):
    geometry = Geometry(size_px=SIZE_PX, fit=fit, crop_fraction=0.9, pad_value=7)
    bundle = write_bundle(tmp_path / "b.fieldmark", geometry=geometry)
    for name in ("large.jpg", "turned.jpg"):
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        Image.fromarray(pictures(1, 40)[0]).resize((size[0] * 8, size[1] * 8)).save(tmp_path / name, exif=exif)
        _, said = edge["Bundle"](bundle).predict(tmp_path / name)
        assert said == pytest.approx(load(bundle).predict(tmp_path / name).probabilities, abs=1e-6)
    modes = {"RGB": None, "L": "L", "RGBA": "RGBA", "P": "P"}
    for number, (name, mode) in enumerate(modes.items()):
        image = Image.fromarray(pictures(4, 40)[number]).resize(size)
        (image.convert(mode) if mode else image).save(tmp_path / f"{name}.png")
        _, said = edge["Bundle"](bundle).predict(tmp_path / f"{name}.png")
        assert said == pytest.approx(load(bundle).predict(tmp_path / f"{name}.png").probabilities, abs=1e-6)


def test_several_labels_are_decided_by_their_thresholds(tmp_path, edge):
    decision = Decision(slopes=(0.1, 0.2, 0.1), intercepts=(0.5, -0.5, 0.0), thresholds=(0.4, 0.6, 0.5))
    bundle = write_bundle(tmp_path / "b.fieldmark", task="multi", decision=decision)
    for number, pixels in enumerate(pictures(6, 30)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        answer, said = edge["Bundle"](bundle).predict(tmp_path / f"{number}.png")
        right = load(bundle).predict(tmp_path / f"{number}.png")
        assert said == pytest.approx(right.probabilities, abs=1e-6)
        assert answer == list(right.labels)


def test_alone_it_answers_checks_and_finds_what_was_altered(tmp_path):
    bundle = write_bundle_with_canaries(tmp_path / "b.fieldmark")
    Image.fromarray(pictures(1, 30)[0]).save(tmp_path / "a.png")
    answered = script(bundle, tmp_path / "a.png")
    assert answered.returncode == 0, answered.stderr
    assert load(bundle).predict(tmp_path / "a.png").labels[0] in answered.stdout
    checked = script(bundle, "--check")
    assert (checked.returncode, checked.stdout) == (0, "9 of 9 canaries answer as recorded\n")

    manifest = json.loads((bundle / "fieldmark.json").read_text())
    manifest["canaries"][0]["probabilities"] = [0.0, 0.5, 0.5]
    (bundle / "fieldmark.json").write_text(json.dumps(manifest))
    altered = script(bundle, "--check")
    assert altered.returncode == 1
    assert "not as it was written" in altered.stderr
    (bundle / "SHA256SUMS").write_text("")
    gone_wrong = script(bundle, "--check")
    assert gone_wrong.returncode == 1
    assert "8 of 9" in gone_wrong.stdout
    assert np.isfinite(float(gone_wrong.stdout.split("differs by ")[1].split()[0]))


def test_an_export_answers_by_its_own_graph(tmp_path, edge):
    bundle = write_bundle_with_canaries(tmp_path / "tiny.fieldmark")
    labelled(tmp_path / "data", pair(tmp_path), {"train": 24, "validation": 20, "test": 24})
    (done,) = export(bundle, tmp_path / "data" / "list.csv", to=["onnx-float16"])
    exported, file = edge["Bundle"](done.bundle), tmp_path / "data" / "images" / "0.png"
    assert exported.answering()[0] == "model.float16.onnx"
    assert exported.predict(file)[1] == pytest.approx(load(done.bundle).predict(file).probabilities, abs=1e-6)
    assert "9 of 9 canaries answer as recorded" in script(done.bundle, "--check").stdout
