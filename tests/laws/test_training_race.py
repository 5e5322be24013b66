"""Rounds of candidates, with networks of a few weights: who is dropped, what fails, what is remembered."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import makers_training as make
from fieldmark.errors import OutOfTime, OutputError, UsageError
from fieldmark.progress import silent
from fieldmark.training import journal, race
from fieldmark.training.attending import Entrant, evenly, shared_images
from fieldmark.training.race import Race, rounds_for, run_race
from fieldmark.training.recipe import Recipe
from fieldmark.training.weighing import Limits, Weight

NO_LIMITS = Limits(latency_ms=None, size_bytes=None)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The files that a job of squares names, so that its graphs can be timed."""
    make.write_files(tmp_path)
    return tmp_path


def entrant(folder: Path, name: str, *, after: str | None = None, build=None, milliseconds: float = 1.0) -> Entrant:
    """A tiny network from scratch, or one whose building does something else."""
    job = make.job(folder, recipe=Recipe(weights="none", epochs=2, batch=16, mirror="no", precision="fp32"))
    row = replace(make.ROW, build=build or make.ROW.build)
    weight = Weight(latency_ms=(milliseconds, milliseconds), size_bytes=3000, energy_mj=None)
    return Entrant(
        name=name,
        after=after,
        job=replace(job, choice=replace(job.choice, row=row)),
        weight=weight,
        mirror=False,
    )


def run(folder: Path, *entrants: Entrant, limits: Limits = NO_LIMITS) -> Race:
    ends = time.monotonic() + 600
    return run_race(entrants, "accuracy", limits, ends=ends, last=ends, folder=folder / "contest", progress=silent)


def broken(error: BaseException):
    def build(size_px: int):
        raise error

    return build


@pytest.mark.parametrize(
    "fault", [RuntimeError("out of memory"), ValueError("shape"), UsageError("w", where="", do="")]
)
def test_one_candidate_s_failure_is_its_own(photos, fault):
    done = run(photos, entrant(photos, "good"), entrant(photos, "bad", build=broken(fault)))
    assert set(done.results) == {"good"} and set(done.failed) == {"bad"}
    assert str(fault).partition("\n")[0] in done.failed["bad"]
    assert [each.name for each in done.ranked("accuracy")] == ["good"]


@pytest.mark.parametrize("fault", [OutputError("full", where="", do=""), KeyboardInterrupt()])
def test_a_full_disk_and_an_interruption_are_everybody_s(photos, fault):
    with pytest.raises(type(fault)):
        run(photos, entrant(photos, "good"), entrant(photos, "bad", build=broken(fault)))


def test_too_little_time_is_no_failure(photos):
    done = run(
        photos, entrant(photos, "good"), entrant(photos, "slow", build=broken(OutOfTime("w", where="", do="")))
    )
    assert set(done.results) == {"good"} and not done.failed and not done.left


def test_none_is_left_where_all_fail(photos):
    done = run(photos, *(entrant(photos, name, build=broken(RuntimeError("no"))) for name in "ab"))
    assert not done.results and set(done.failed) == {"a", "b"}


def test_whoever_is_too_heavy_once_trained_cannot_be_chosen(photos):
    done = run(photos, entrant(photos, "good"), limits=Limits(latency_ms=None, size_bytes=100))
    assert done.heavy == {"good"} and done.ranked("accuracy") == ()


def test_what_builds_on_a_probe_waits_for_it_and_goes_with_it(photos, monkeypatch):
    monkeypatch.setattr(race, "LEAST_SHARE_S", 0.1)
    bad = entrant(photos, "bad", build=broken(RuntimeError("no")))
    after = entrant(photos, "bad tuned", after="bad")
    done = run(photos, entrant(photos, "good"), entrant(photos, "other"), bad, after)
    assert "bad tuned" not in done.results and done.left["bad tuned"] == "not tried: bad was out"


def test_whoever_had_no_time_gets_what_the_winner_does_not_need(photos, monkeypatch):
    monkeypatch.setattr(race, "LEAST_SHARE_S", 1000.0)
    first, second = entrant(photos, "first"), entrant(photos, "second", milliseconds=2.0)
    now = time.monotonic()
    settings = {"folder": photos / "contest", "progress": silent}
    done = run_race([first, second], "accuracy", NO_LIMITS, ends=now, last=now + 10_000, **settings)
    assert set(done.results) == {"first", "second"}
    assert done.results["first"].judged.complete and done.results["second"].rounds == 2


def test_a_race_that_was_cut_off_is_not_run_again(photos):
    first = run(photos, entrant(photos, "good"))
    again = run(photos, entrant(photos, "good", build=broken(RuntimeError("was run again"))))
    assert not again.failed
    ours, theirs = (each.results["good"].judged for each in (first, again))
    assert np.array_equal(ours.seen.probabilities, theirs.seen.probabilities)
    assert (ours.weight, ours.complete) == (theirs.weight, theirs.complete)
    assert first.results["good"].learned is not None and again.results["good"].learned is None


def test_a_damaged_memory_is_no_memory(photos):
    run(photos, entrant(photos, "good"))
    (place,) = (photos / "contest").glob("checkpoint-good*")
    (place / journal.ANSWERS).write_bytes(b"\x93NUMPY and then nothing")
    again = run(photos, entrant(photos, "good"))
    assert again.results["good"].learned is not None


def test_rounds_fit_the_candidates_and_the_time():
    assert [rounds_for(n, 10_000) for n in (1, 2, 3, 4, 5, 8, 30)] == [1, 1, 2, 2, 3, 3, 3]
    assert rounds_for(8, 1.0) == 1 and rounds_for(8, 100.0) == 2


def test_every_candidate_answers_the_same_images_and_their_beginning_has_every_class(photos):
    one, other = (shared_images(entrant(photos, name), 12) for name in "ab")
    assert np.array_equal(one, other)
    job = make.job(photos)
    assert sorted(evenly(job.data, job.train, 0)) == sorted(job.train)
    assert set(job.data.targets[evenly(job.data, job.train, 0)[:4]]) == {0, 1, 2}


def test_names_become_files_and_stay_apart():
    names = ("lenet", "net 128 px", "net-128-px", "net/128/px", "../..", "n" * 300 + "é")
    files = [journal.slug(name) for name in names]
    assert len(set(files)) == len(names) and files[0] == "lenet"
    assert all(len(file) < 100 and "/" not in file and "." not in file for file in files)
