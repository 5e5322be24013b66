"""`fieldmark models`: listing and filtering by what models cost."""

from __future__ import annotations

import json
from pathlib import Path

from makers import fieldmark


def test_filters_show_what_models_cost(tmp_path: Path) -> None:
    words = ("--family", "mobilenet", "--max-parameters", "5M", "--max-flops", "1G", "--licence", "apache-2.0")
    done = fieldmark("models", *words, cwd=tmp_path)
    assert done.returncode == 0 and "mobilenetv3_large_100" in done.stdout and "mult-adds" in done.stdout
    assert "hog" not in done.stdout and "logistic" not in done.stdout
    told = json.loads(fieldmark("models", *words, "--json", cwd=tmp_path).stdout)
    assert told["models"] == told["heads"] == [] and told["families"]
    assert all(each["parameters"] <= 5e6 and each["licence"] == "apache-2.0" for each in told["families"])


def test_latency_is_measured_once(tmp_path: Path) -> None:
    words = ("models", "--family", "colour", "--max-latency", "60s", "--json")
    first = fieldmark(*words, cwd=tmp_path, FIELDMARK_CACHE=str(tmp_path / "cache"))
    assert first.returncode == 0, first.stderr
    (model,) = json.loads(first.stdout)["models"]
    assert model["name"] == "colour" and model["latency_ms"] > 0
    memory = tmp_path / "cache" / "latency.json"
    kept = json.loads(memory.read_text())
    memory.write_text(json.dumps(dict.fromkeys(kept, 61_000.0)))
    again = fieldmark(*words, cwd=tmp_path, FIELDMARK_CACHE=str(tmp_path / "cache"))
    assert json.loads(again.stdout)["models"] == []  # it was believed, and is over the limit


def test_what_cannot_be_followed(tmp_path: Path) -> None:
    for words, said in ((("--family", "mobilnet"), "did you mean"), (("--max-flops", "many"), "not a number")):
        done = fieldmark("models", *words, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr
    done = fieldmark("models", "--max-parameters", "1", "--family", "yolo", cwd=tmp_path)
    assert done.returncode == 0 and "no model keeps to all of this" in done.stdout
