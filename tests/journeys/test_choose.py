"""Choosing a model among several, by the command line: limits, the report, and going on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.training.contenders import Contender
from fieldmark.training.recipe import Recipe
from fieldmark.training.selecting import choose
from makers import fieldmark, photo_folder, refused

FIXED = ("--model", "colour", "--model", "hog+colour", "--budget", "3m")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("small") / "small", per_class=30, size=(32, 32))


@pytest.fixture(scope="module")
def chosen(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The bundle of a choice between two fixed encoders, and what the command said of it."""
    folder = tmp_path_factory.mktemp("chosen")
    words = ("choose", small, *FIXED, "--latency", "10s", "--size", "1GB", "--out", "a.fieldmark", "--json")
    done = fieldmark(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "a.fieldmark", json.loads(done.stdout)


def test_one_of_them_ships_and_both_are_told_of(chosen: tuple[Path, dict]) -> None:
    bundle, told = chosen
    first, second = told["selection"]["candidates"]
    assert first["outcome"] == "chosen" and {first["name"], second["name"]} == {"colour", "hog+colour"}
    assert told["model"] == first["model"] and told["test"]["n"] > 0
    for each in (first, second):
        assert each["score"]["n"] == told["selection"]["n"] and each["why"]
        assert each["latency_ms"][0] > 0 and each["size_bytes"] > 0
    assert told["selection"]["reason"] in (bundle / "fieldmark.json").read_text()
    assert not bundle.with_name("a.fieldmark.run").exists()


def test_the_report_shows_them_and_the_bundle_is_whole(chosen: tuple[Path, dict]) -> None:
    bundle, _ = chosen
    page = (bundle / "report" / "index.html").read_text()
    assert "Why this model" in page
    assert "fieldmark choose DATA" in page and "--model colour,hog+colour" in page
    assert fieldmark("check", bundle, cwd=bundle.parent).returncode == 0
    assert fieldmark("info", bundle, cwd=bundle.parent).returncode == 0


def test_a_candidate_that_cannot_be_built_is_a_row_and_the_others_go_on(small: Path, tmp_path: Path) -> None:
    candidates = (
        Contender(name="good", recipe=Recipe(model="colour")),
        Contender(name="bad", recipe=Recipe(model="no-such-net")),
    )
    done = choose(small, out=tmp_path / "d.fieldmark", budget="3m", candidates=candidates)
    assert done.report.selection is not None
    good, bad = done.report.selection.candidates
    assert (good.name, good.outcome, bad.name, bad.outcome) == ("good", "chosen", "bad", "failed")
    assert "unknown model" in bad.why and bad.score is None
    assert "only candidate" in done.report.selection.reason
    assert done.report.manifest.recipe["model"] == "colour" and done.report.test is not None


def test_nothing_within_the_limits_names_the_nearest(small: Path, tmp_path: Path) -> None:
    done = fieldmark("choose", small, *FIXED, "--size", "2kB", "--out", "b.fieldmark", cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert "none of 2 candidates keeps to the limits; the nearest is colour" in done.stderr
    assert "the limit is 2 kB" in done.stderr and "do:" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--latency", "quick"), "not a length of time"),
        (("--size", "0MB"), "not a size"),
        (("--budget", "none"), "not a length of time"),
        (("--model", "resnt18"), "did you mean"),
        (("--resume",), "no interrupted run"),
    ],
)
def test_what_cannot_be_followed(small: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = refused("choose", small, *words, "--out", "b.fieldmark", cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr
    assert not list(tmp_path.iterdir())


def test_it_goes_on_where_it_was_killed_and_with_the_same_settings_alone(small: Path, tmp_path: Path) -> None:
    out = ("--out", "c.fieldmark")
    command = [sys.executable, "-m", "fieldmark", "choose", str(small), *FIXED, *out]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        contest = tmp_path / "c.fieldmark.run" / "contest"
        while running.poll() is None and not list(contest.glob("checkpoint*")):
            os.sched_yield()
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL, "the run was over before it could be killed"
    kept = {path.name for path in contest.glob("checkpoint*")}
    other = fieldmark("choose", small, *FIXED, "--size", "5MB", *out, "--resume", cwd=tmp_path)
    assert other.returncode == 2 and "settings that it began with" in other.stderr
    assert {path.name for path in contest.glob("checkpoint*")} == kept
    done = fieldmark("choose", small, *FIXED, *out, "--resume", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["selection"]["candidates"][0]["outcome"] == "chosen"
    assert not (tmp_path / "c.fieldmark.run").exists()
