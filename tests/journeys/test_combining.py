"""Two bundles become one, and a small network learns from them, through the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from makers import fieldmark, photo_folder, refused

FAST = ("--json", "--folds", "0", "--size", "32", "--split", "0.5,0.25,0.25")
NETWORK = ("--model", "lenet", "--epochs", "3", "--batch", "16")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and three bundles that were trained on one split of them: colours, edges, a network."""
    folder = tmp_path_factory.mktemp("workplace")
    photo_folder(folder / "photos", per_class=40, size=(40, 40))
    for name, words in (("colours", ("--model", "colour")), ("edges", ("--model", "hog"))):
        done = fieldmark("train", "photos", *words, *FAST, "--out", f"{name}.fieldmark", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_an_ensemble_is_a_bundle_like_any_other(workplace: Path) -> None:
    words = ("combine", "colours.fieldmark", "edges.fieldmark", "photos", "--as", "ensemble")
    done = fieldmark(*words, "--out", "both.fieldmark", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["test"]["n"] == 30 and [row["name"] for row in told["comparison"]["rows"]][1:] == ["colours", "edges"]
    assert not any("cannot be known" in note for note in told["notes"]), "the split is proved by the fingerprints"
    measured = fieldmark("evaluate", "both.fieldmark", "photos", "--json", cwd=workplace)
    assert measured.returncode == 0, measured.stderr
    assert fieldmark("check", "both.fieldmark", cwd=workplace).returncode == 0
    asked = fieldmark("predict", "both.fieldmark", "photos/red/red-001.jpg", "--json", cwd=workplace)
    assert json.loads(asked.stdout)["predictions"][0]["top"][0]["class"] == "red"
    shown = fieldmark("info", "both.fieldmark", cwd=workplace)
    assert "the mean of what colours and edges say" in shown.stdout
    assert re.search(r"edges .*\d+ %", shown.stdout)


def test_a_cascade_asks_the_second_where_the_first_is_not_sure(workplace: Path) -> None:
    words = ("combine", "edges.fieldmark", "colours.fieldmark", "photos", "--as", "cascade", "--within", "2")
    done = fieldmark(*words, "--out", "steps.fieldmark", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "colours" in done.stdout and "the whole, better by" in done.stdout
    manifest = json.loads((workplace / "steps.fieldmark" / "fieldmark.json").read_text())
    assert manifest["recipe"]["threshold"] > 0 and manifest["asked"] == {"as": "cascade", "within": 2.0}


def test_a_small_network_learns_from_a_bundle(workplace: Path) -> None:
    words = ("train", "photos", *NETWORK, *FAST, "--teacher", "colours.fieldmark", "--out", "pupil.fieldmark")
    done = fieldmark(*words, cwd=workplace)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["method"] == "network" and not any("another division" in note for note in told["notes"])
    manifest = json.loads((workplace / "pupil.fieldmark" / "fieldmark.json").read_text())
    assert manifest["recipe"]["teacher"] == "colours.fieldmark" and manifest["recipe"]["teacher_share"] == 0.9
    assert [parent["role"] for parent in manifest["parents"]] == ["teacher"]
    assert "taught by colours" in (workplace / "pupil.fieldmark" / "report" / "index.html").read_text()
    assert "colours" in (workplace / "pupil.fieldmark" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("combine", "colours.fieldmark", "missing.fieldmark", "photos", "--as", "ensemble"), "no such bundle"),
        (("combine", "colours.fieldmark", "colours.fieldmark", "photos", "--as", "cascade"), "given twice"),
        (("train", "photos", "--model", "hog", "--teacher", "colours.fieldmark"), "--teacher"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(workplace: Path, words: tuple[str, ...], word: str) -> None:
    done = refused(*words, "--out", "nothing.fieldmark", cwd=workplace)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    for part in ("error: ", "  where: ", "  do:    ", word):
        assert part in done.stderr, done.stderr
    assert not list(workplace.glob("*nothing*"))
