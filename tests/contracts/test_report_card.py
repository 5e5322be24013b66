"""The model card: a front matter that a hub reads, text that cannot break out, and a snippet that answers alike."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import makers_report as make
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_bytes
from fieldmark.report.card import model_card
from fieldmark.report.report import Report

REPORTS = make.every_report()


@pytest.mark.parametrize("name", REPORTS)
def test_a_card_for_every_report(name: str) -> None:
    card = model_card(REPORTS[name])
    _, front, body = card.split("---\n", 2)
    fields = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in front.splitlines())}
    assert fields["library_name"] == "fieldmark" and fields["pipeline_tag"] == "image-classification"
    assert "| None" not in body and "## Limits" in body and "## How to use it" in body
    assert card == model_card(REPORTS[name])


def test_a_class_name_cannot_become_markup() -> None:
    evaluation = make.single(("<script>", "[x](http://x)", "a|b", "`c`\n# d"), 40, right=0.5)
    card = model_card(make.report(evaluation, name="x`; rm -rf ~\n```\n---"))
    assert "<script>" not in card and "[x](http" not in card and "a\\|b" in card
    assert len([line for line in card.splitlines() if line.startswith("```")]) == 6
    assert len([line for line in card.splitlines() if line == "---"]) == 2
    assert len([line for line in card.splitlines() if line.startswith("# ")]) == 1


@pytest.mark.parametrize(("licence", "filed"), [("Apache-2.0", "apache-2.0"), ("My own: terms", "other"), ("", None)])
def test_the_licence_of_the_weights(licence: str, filed: str | None) -> None:
    report = REPORTS["clothing"]
    weights = msgspec.structs.replace(report.manifest.weights, licence=licence)
    manifest = msgspec.structs.replace(report.manifest, weights=weights)
    card = model_card(msgspec.structs.replace(report, manifest=manifest))
    found = re.search(r'^license: "(.*)"$', card, re.MULTILINE)
    assert (found[1] if found else None) == filed


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_snippet_answers_as_the_bundle_does(fit: str, task: str, tmp_path: Path) -> None:
    geometry = Geometry(size_px=16, fit=fit, filter="bilinear", crop_fraction=0.875, pad_value=7)
    report = _with_geometry(geometry, task)
    noise = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    photo = io.BytesIO()
    Image.fromarray(noise).save(photo, "PNG")
    (tmp_path / "photo.jpg").write_bytes(photo.getvalue())  # the bytes say what it is, not the name
    (tmp_path / "fieldmark.json").write_bytes(msgspec.json.encode(report.manifest))
    columns = np.random.default_rng(1).normal(0, 0.03, (16 * 16 * 3, len(report.manifest.classes)))
    onnx.save(_graph(columns.astype(np.float32)), tmp_path / "model.onnx")

    snippet = model_card(report).rsplit("```python\n", 1)[1].split("```")[0]
    run = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=True)

    pixels = load_bytes(photo.getvalue(), geometry)
    assert isinstance(pixels, np.ndarray)
    decision = report.manifest.decision
    scores = pixels.reshape(-1).astype(np.float32) / 255 @ columns / decision.temperature
    scores = scores if task == "single" else np.array(decision.slopes) * scores + decision.intercepts
    probabilities = np.exp(scores) / np.exp(scores).sum() if task == "single" else 1 / (1 + np.exp(-scores))
    best = np.argsort(-probabilities)[:3]
    expected = [f"{report.manifest.classes[i]} {100 * probabilities[i]:.1f} %" for i in best]
    assert run.stdout.splitlines() == expected


def _with_geometry(geometry: Geometry, task: str) -> Report:
    report = make.report(make.single(make.SCENE, 60) if task == "single" else make.multi(n=60))
    manifest = msgspec.structs.replace(report.manifest, geometry=geometry)
    return msgspec.structs.replace(report, manifest=manifest)


def _graph(columns: np.ndarray) -> onnx.ModelProto:
    """pixels -> their own 0..1 values as the embedding -> embedding @ columns as logits."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["real", "white"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "columns"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 16, 16, 3])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 768]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", columns.shape[1]]),
        ],
        [
            numpy_helper.from_array(np.float32(255), "white"),
            numpy_helper.from_array(columns, "columns"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
