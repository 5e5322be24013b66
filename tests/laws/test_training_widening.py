"""A budget with time for it takes a wider network; nothing that was asked for is changed."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import makers_training as make
from fieldmark.encoders.building import encoder_row
from fieldmark.training import widening
from fieldmark.training.recipe import Recipe
from fieldmark.training.speed import Speed
from fieldmark.training.widening import ENOUGH, WIDTHS, widened

NARROW, MIDDLE, WIDE = WIDTHS


def job_of(tmp_path, *, images: int = 50_000, seconds: float | None = 100.0, chosen: str = NARROW, **recipe):
    job = make.job(tmp_path, recipe=Recipe(budget="100s", precision="fp32", **recipe))
    deadline = None if seconds is None else time.monotonic() + seconds
    choice = replace(job.choice, model=chosen, row=encoder_row(chosen))
    return replace(
        job, train=job.train.repeat(images // len(job.train) + 1)[:images], deadline=deadline, choice=choice
    )


@pytest.fixture
def speeds(monkeypatch):
    """As asked in images a second, from the narrowest network to the widest."""

    def measured(*learning: float) -> None:
        by_width = dict(zip((48, 64, 96), learning, strict=True))
        monkeypatch.setattr(
            widening,
            "speed_of",
            lambda network, *_: Speed(learning=by_width[network.encoder.patches.out_channels], answering=1e9),
        )

    return measured


@pytest.mark.parametrize(
    ("learning", "model"),
    [((3900, 3800, 3700), NARROW), ((9000, 4100, 2000), MIDDLE), ((20000, 9000, 4100), WIDE)],
)
def test_the_widest_that_sees_enough_images_is_taken_and_it_is_said(tmp_path, speeds, learning, model):
    speeds(*learning)
    made = widened(job_of(tmp_path)).choice
    assert made.model == model and made.row is encoder_row(model)
    said = [reason for reason in made.reasons if reason.startswith(f"model = {model}")]
    assert bool(said) == (model != NARROW)
    assert all("images" in reason for reason in said)


def test_few_images_are_not_seen_more_often_than_passes_allow(tmp_path, speeds):
    speeds(1e6, 1e6, 1e6)
    few = ENOUGH // 40 - 1
    assert widened(job_of(tmp_path, images=few)).choice.model == NARROW
    assert widened(job_of(tmp_path, images=few + 2)).choice.model == WIDE
    assert widened(job_of(tmp_path, images=few + 2, epochs=30.0)).choice.model == NARROW


@pytest.mark.parametrize(
    "asked", [{"model": NARROW}, {"weights": "mine.pth"}, {"chosen": "lenet"}, {"seconds": None}]
)
def test_what_was_asked_for_stays_and_nothing_is_measured(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(widening, "speed_of", lambda *_: pytest.fail("nobody asked"))
    job = job_of(tmp_path, **asked)
    assert widened(job) is job


def test_a_run_that_goes_on_keeps_its_width(tmp_path, speeds, monkeypatch):
    speeds(20000, 9000, 4100)
    job = job_of(tmp_path)
    assert widened(job).choice.model == WIDE
    monkeypatch.setattr(widening, "speed_of", lambda *_: pytest.fail("measured already"))
    assert widened(replace(job, resume=True)).choice.model == WIDE
