"""A budget with time for it takes a larger network; nothing that was asked for is changed."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import makers_training as make
from fieldmark.encoders.building import encoder_row
from fieldmark.training import speed
from fieldmark.training.affording import ENOUGH, afforded
from fieldmark.training.choosing import BY_WORK
from fieldmark.training.planning import plan
from fieldmark.training.precision import Speed
from fieldmark.training.recipe import Recipe

USUAL, SMALL, LARGE = BY_WORK


def job_of(tmp_path, *, images: int = 50_000, seconds: float | None = 100.0, chosen: str = USUAL, **recipe):
    job = make.job(tmp_path, recipe=Recipe(budget="100s", precision="fp32", **recipe))
    deadline = None if seconds is None else time.monotonic() + seconds
    choice = replace(job.choice, model=chosen, row=encoder_row(chosen))
    return replace(
        job, train=job.train.repeat(images // len(job.train) + 1)[:images], deadline=deadline, choice=choice
    )


@pytest.fixture
def speeds(monkeypatch):
    """As asked in images a second, of the smaller one and the larger one."""

    def measured(*learning: float) -> None:
        by_width = dict(zip((128, 256), learning, strict=True))
        monkeypatch.setattr(
            speed,
            "speed_of",
            lambda network, *_: Speed(learning=by_width[network.encoder.embedding_size], answering=1e9),
        )

    return measured


@pytest.mark.parametrize(
    ("learning", "model"),
    [((1400, 1300), USUAL), ((1600, 2400), SMALL), ((9000, 2600), LARGE)],
)
def test_the_largest_that_sees_enough_images_is_taken_and_it_is_said(tmp_path, speeds, learning, model):
    speeds(*learning)
    made = afforded(job_of(tmp_path)).choice
    assert made.model == model and made.row is encoder_row(model)
    said = [reason for reason in made.reasons if reason.startswith(f"model = {model}")]
    assert bool(said) == (model != USUAL)
    assert all("images" in reason for reason in said)


def test_few_images_are_not_seen_more_often_than_passes_allow(tmp_path, speeds):
    speeds(1e6, 1e6)
    few, more = (ENOUGH[name] // 40 - 1 for name in (SMALL, LARGE))
    assert afforded(job_of(tmp_path, images=few)).choice.model == USUAL
    assert afforded(job_of(tmp_path, images=few + 2)).choice.model == SMALL
    assert afforded(job_of(tmp_path, images=more + 2)).choice.model == LARGE
    assert afforded(job_of(tmp_path, images=few + 2, epochs=30.0)).choice.model == USUAL


@pytest.mark.parametrize("asked", [{"model": USUAL}, {"weights": "mine.pth"}, {"chosen": "lenet"}, {"seconds": None}])
def test_what_was_asked_for_stays_and_nothing_is_measured(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(speed, "speed_of", lambda *_: pytest.fail("nobody asked"))
    job = job_of(tmp_path, **asked)
    assert afforded(job) is job


def test_a_run_that_goes_on_keeps_its_network(tmp_path, speeds, monkeypatch):
    speeds(9000, 2600)
    job = job_of(tmp_path)
    assert afforded(job).choice.model == LARGE
    monkeypatch.setattr(speed, "speed_of", lambda *_: pytest.fail("measured already"))
    assert afforded(replace(job, resume=True)).choice.model == LARGE


def test_what_was_measured_is_not_measured_again_to_plan_by(tmp_path, speeds, monkeypatch):
    speeds(9000, 2600)
    job = afforded(job_of(tmp_path))
    monkeypatch.setattr(speed, "speed_of", lambda *_: pytest.fail("measured already"))
    made, _ = plan(job, pretrained=False, network=make.network())
    assert made.precision == "fp32" and job.speeds["fp32"].learning == 2600
