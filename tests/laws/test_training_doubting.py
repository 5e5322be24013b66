"""Labels in doubt: planted wrong ones are found before training, and training does with them what was asked."""

from __future__ import annotations

import csv
import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import makers_training as make
from fieldmark.errors import DataError, OutputError
from fieldmark.measures.label_noise import Suspects
from fieldmark.training import doubting
from fieldmark.training.doubting import doubt
from fieldmark.training.job import Job
from fieldmark.training.recipe import Recipe
from fieldmark.training.suspects import beside, dealt_with, write_suspects

RATE = 0.25


def noisy_job(folder: Path, suspects: str = "keep", kind: str = "symmetric") -> tuple[Job, np.ndarray]:
    """Squares of which a quarter (of red and green, each called the other) has a wrong label in training alone; and
    the truth."""
    made = make.job(folder, images=360, recipe=Recipe(noisy="yes", suspects=suspects))
    truth, random = made.data.targets, np.random.default_rng(1)
    other = random.integers(1, 3, len(truth)) if kind == "symmetric" else np.array([1, 2, 0])[truth]
    wrong = (random.random(len(truth)) < RATE) & np.isin(np.arange(len(truth)), made.train)
    labels = np.where(wrong, (truth + other) % 3, truth)
    return replace(made, data=replace(made.data, targets=labels)), truth


@pytest.mark.parametrize("kind", ["symmetric", "class-dependent"])
def test_planted_noise_is_found_in_amount_and_kind_and_said(tmp_path, kind):
    job, truth = noisy_job(tmp_path, kind=kind)
    doubted = doubt(job)
    labels = job.data.targets
    planted = (labels != truth)[job.train].mean()
    assert doubted.noise.rate.low <= planted <= doubted.noise.rate.high
    assert doubted.noise.kind == kind
    given = [
        [(labels == label)[job.train][truth[job.train] == true].mean() for true in range(3)] for label in range(3)
    ]
    assert doubted.mixed == pytest.approx(np.array(given), abs=0.15)
    assert ("r called g" in doubted.data.notes[-2]) == (kind == "class-dependent")
    found = doubted.suspects.row
    assert set(found) <= set(job.train.tolist())
    assert (labels != truth)[found].mean() > 0.9 and len(found) > 0.8 * planted * len(job.train)
    assert (doubted.suspects.suggested == truth[found]).mean() > 0.9
    assert "label noise: " in doubted.data.notes[-2] and "hog+colour on 240" in doubted.data.notes[-2]
    assert doubted.data.notes[-1].startswith(f"{len(found)} of 240 training images")


def test_suspects_are_kept_weighed_down_or_dropped_and_nothing_else_changes(tmp_path):
    jobs = {}
    for suspects in ("keep", "down-weight", "drop"):
        (tmp_path / suspects).mkdir()
        jobs[suspects] = (
            noisy_job(tmp_path / suspects, suspects)[0],
            doubt(noisy_job(tmp_path / suspects, suspects)[0]),
        )
    for before, after in jobs.values():
        assert np.array_equal(after.validation, before.validation) and np.array_equal(after.test, before.test)
        assert np.array_equal(after.data.targets, before.data.targets)
    before, kept = jobs["keep"]
    assert np.array_equal(kept.train, before.train) and kept.trust is None
    weighed, listed = jobs["down-weight"][1], kept.suspects
    assert np.array_equal(weighed.train, before.train)
    doubted = np.isin(weighed.train, listed.row)
    assert (weighed.trust[~doubted] == 1).all() and (weighed.trust[doubted] <= 0.5).all()
    assert weighed.trust[doubted].sum() == pytest.approx(listed.right.sum(), rel=1e-5)
    dropped = jobs["drop"][1]
    assert dropped.train.tolist() == [row for row in before.train if row not in set(listed.row)]
    assert dropped.counts.sum() == len(before.train) - len(listed.row)


def test_a_run_that_goes_on_doubts_the_same_labels_without_asking_again(tmp_path, monkeypatch):
    job, _ = noisy_job(tmp_path)
    first = doubt(job)

    def never(*_args):
        raise AssertionError("judged again")

    monkeypatch.setattr(doubting, "judge_out_of_fold", never)
    again = doubt(replace(job, resume=True))
    assert again.suspects.row.tolist() == first.suspects.row.tolist()
    assert again.suspects.right.tobytes() == first.suspects.right.tobytes() and again.noise == first.noise


def test_a_class_that_no_other_fold_has_is_not_doubted(tmp_path):
    """The only image of its class: whoever did not learn from it cannot know it."""
    job, _ = noisy_job(tmp_path)
    targets = job.data.targets.copy()
    targets[job.train[0]] = 3
    data = replace(job.data, targets=targets, classes=(*job.data.classes, "lonely"))
    doubted = doubt(replace(job, data=data))
    assert job.train[0] not in doubted.suspects.row
    assert "on 239 training images" in doubted.data.notes[-2]


def suspecting(job: Job, rows: np.ndarray) -> Job:
    half = np.full(len(rows), 0.4)
    label = job.data.targets[rows]
    return replace(
        job,
        suspects=Suspects(row=rows, label=label, suggested=(label + 1) % 3, right=half, out_of_fold=half / 2),
    )


def test_a_class_is_not_emptied(tmp_path):
    job = make.job(tmp_path, recipe=Recipe(noisy="yes", suspects="drop"))
    reds = job.train[job.data.targets[job.train] == 0]
    with pytest.raises(DataError, match="no training image is left of r"):
        dealt_with(suspecting(job, reds))


def test_the_list_has_a_line_for_each_in_their_order(tmp_path):
    job = suspecting(make.job(tmp_path), np.array([7, 3, 90]))
    write_suspects(job, tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["file"] for line in lines] == ["0007", "0003", "0090"]
    assert [(line["label"], line["suggested"]) for line in lines] == [("g", "b"), ("r", "g"), ("r", "g")]
    assert {line["probability_right"] for line in lines} == {"0.4000"}
    assert {line["out_of_fold_probability"] for line in lines} == {"0.2000"}


def test_the_list_is_whole_or_not_there(tmp_path, monkeypatch):
    job = suspecting(make.job(tmp_path), np.array([7, 3]))
    (tmp_path / "list.csv").write_text("of before")

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fieldmark.data.writing.Path.replace", full)
    with pytest.raises(OutputError, match="could not be written"):
        write_suspects(job, tmp_path / "list.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]
    assert (tmp_path / "list.csv").read_text() == "of before"


def test_the_list_lies_beside_the_bundle_under_its_name():
    assert beside(Path("a/photos.fieldmark")) == Path("a/photos.suspects.csv")
    assert beside(Path("photos")) == Path("photos.suspects.csv")
