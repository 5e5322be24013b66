"""A bundle is exported through the command line, and what came out is used as any bundle is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import makers_bundle as make
import makers_combining as combining
from makers import assert_clear, fieldmark, refused

PARTS = {"train": 24, "validation": 20, "test": 24}


def test_a_bundle_goes_out_in_two_forms_and_predicts(tmp_path: Path) -> None:
    bundle = make.write_bundle_with_canaries(tmp_path / "tiny.fieldmark")
    combining.labelled(tmp_path / "data", combining.pair(tmp_path), PARTS)
    words = ("export", "tiny.fieldmark", "data/list.csv", "--to", "onnx", "--to", "openvino", "--out", "out")
    (tmp_path / "out").mkdir()
    done = fieldmark(*words, cwd=tmp_path)
    assert "100.00%" in done.stdout and "points lost" in done.stdout
    for form in ("onnx", "openvino"):
        exported = tmp_path / "out" / f"tiny-{form}.fieldmark"
        assert str(exported.relative_to(tmp_path)) in done.stdout
        fieldmark("check", exported, cwd=tmp_path)
        answers = [
            json.loads(fieldmark("predict", each, "data/images/0.png", "--json", cwd=tmp_path).stdout)
            for each in (bundle, exported)
        ]
        assert answers[0]["predictions"][0]["labels"] == answers[1]["predictions"][0]["labels"]
    told = fieldmark("predict", exported, "data/images/0.png", "--runner", "onnxruntime", cwd=tmp_path)
    assert "the float32 graph answers, not its openvino form" in told.stderr


@pytest.mark.slow
def test_all_forms_come_with_a_page_and_a_table(tmp_path: Path) -> None:
    make.write_bundle_with_canaries(tmp_path / "tiny.fieldmark")
    combining.labelled(tmp_path / "data", combining.pair(tmp_path), PARTS)
    done = fieldmark("export", "tiny.fieldmark", "data/list.csv", "--all", "--out", "out", cwd=tmp_path)
    for kind in ("html", "md"):
        overview = tmp_path / "out" / f"tiny-exports.{kind}"
        assert str(overview.relative_to(tmp_path)) in done.stdout and "onnx" in overview.read_text()


def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path) -> None:
    make.write_bundle_with_canaries(tmp_path / "tiny.fieldmark")
    combining.labelled(tmp_path / "data", combining.pair(tmp_path), PARTS)
    given = ("export", "tiny.fieldmark", "data/list.csv")
    assert_clear(refused(*given, cwd=tmp_path), "which forms?", "--all")
    assert_clear(refused(*given, "--to", "onxx", cwd=tmp_path), "unknown form 'onxx'", "did you mean onnx")
    assert_clear(refused(*given, "--all", "--to", "onnx", cwd=tmp_path), "--all is every form already")
    assert_clear(refused(*given, "--to", "onnx", "--out", "nowhere/at/all", cwd=tmp_path), "does not exist")


def test_the_forms_are_listed_with_what_is_missing(tmp_path: Path) -> None:
    listed = fieldmark("export", "--list", cwd=tmp_path).stdout
    assert "onnx-int8" in listed and "triton" in listed and "core-ml" in listed
