"""What the winner does with the rest of the budget, and what ships when that goes wrong."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import makers_training as make
from fieldmark.bundle.schema import Weights
from fieldmark.measures.outcomes import outcomes
from fieldmark.training.attending import Entrant, Result, shared_images
from fieldmark.training.finishing import Finished, finish
from fieldmark.training.job import Learned
from fieldmark.training.preferring import Judged, standings
from fieldmark.training.race import Race
from fieldmark.training.recipe import Recipe
from fieldmark.training.weighing import Limits, Weight

WEIGHT = Weight(latency_ms=(1.0, 1.0), size_bytes=3000, energy_mj=None)
NO_LIMITS = Limits(latency_ms=None, size_bytes=None)
EARLIER = Learned(network=make.network(), weights=Weights(source="none"), settings={}, reasons=())


def entrant(folder: Path, *, build=None, **recipe) -> Entrant:
    settings = Recipe(weights="none", epochs=4, batch=16, mirror="no", precision="fp32", **recipe)
    job = make.job(folder, recipe=settings)
    row = replace(make.ROW, build=build or make.ROW.build)
    return Entrant(
        name="tiny", after=None, job=replace(job, choice=replace(job.choice, row=row)), weight=WEIGHT, mirror=False
    )


def finished(
    folder: Path,
    each: Entrant,
    *,
    right: float,
    complete: bool = False,
    seconds: float = 600.0,
    limits: Limits = NO_LIMITS,
    earlier: Learned | None = EARLIER,
) -> Finished:
    """After a round in which it was `right` on that share of the validation images, having learnt from 32."""
    make.write_files(folder)
    rows = shared_images(each, 32)
    targets = each.job.data.targets[rows]
    said = np.where(np.arange(len(targets)) < right * len(targets), targets, (targets + 1) % 3)
    seen = outcomes(targets, 0.1 + 0.7 * np.eye(3)[said], task="single")
    judged = Judged(seen=seen, weight=WEIGHT, complete=complete)
    result = Result(judged=judged, train=each.job.train[:32], rounds=1, seconds=1.0, learned=earlier)
    race = Race(results={"tiny": result}, left={}, heavy=frozenset(), failed={})
    (winner,) = standings({"tiny": judged}, "accuracy")
    return finish(winner, [each], race, "accuracy", limits, time.monotonic() + seconds, folder)


def never(size_px: int):
    raise RuntimeError("out of memory")


def test_what_has_learnt_all_is_not_trained_again(tmp_path):
    done = finished(tmp_path, entrant(tmp_path, build=never), right=0.5, complete=True)
    assert done.learned is EARLIER and "all it could" in done.words
    assert len(done.job.train) == 32  # the report says from how many images it learnt


def test_without_time_it_ships_as_it_is(tmp_path):
    done = finished(tmp_path, entrant(tmp_path, build=never), right=0.5, seconds=2.0)
    assert done.learned is EARLIER and "no time" in done.words


def test_a_failure_in_the_end_loses_nothing(tmp_path):
    done = finished(tmp_path, entrant(tmp_path, build=never), right=0.5)
    assert done.learned is EARLIER and "out of memory" in done.words


def test_a_longer_training_that_is_better_ships(tmp_path):
    longer = finished(tmp_path, entrant(tmp_path), right=0.0)
    assert longer.learned is not EARLIER and longer.words.startswith("trained on")
    assert len(longer.job.train) == 64


def test_a_longer_training_that_is_worse_does_not(tmp_path):
    shorter = finished(tmp_path, entrant(tmp_path, learning_rate=1e-9), right=1.0)
    assert shorter.learned is EARLIER and "did worse by" in shorter.words


def test_what_grew_over_a_limit_does_not_ship(tmp_path):
    done = finished(tmp_path, entrant(tmp_path), right=0.0, limits=Limits(latency_ms=None, size_bytes=500))
    assert done.learned is EARLIER and "over a limit" in done.words


def test_after_an_interruption_it_learns_again_whatever_it_was(tmp_path):
    done = finished(tmp_path, entrant(tmp_path), right=1.0, complete=True, earlier=None)
    assert done.learned is not EARLIER and len(done.job.train) == 64
