"""What a budget can do on this machine is measured, and has a say in the batch and in mirrored answers."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

import makers_training as make
from fieldmark.training import planning, speed
from fieldmark.training.planning import plan
from fieldmark.training.precision import Speed
from fieldmark.training.recipe import Recipe
from fieldmark.training.speed import speed_of


def test_the_network_is_as_it_was_and_both_speeds_are_told(tmp_path):
    network, job = make.network(), make.job(tmp_path)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    drawn = torch.random.get_rng_state()
    seen = speed_of(network, job, threads=1)
    assert seen.learning > 0 and seen.answering > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), drawn)


def planned(
    tmp_path, monkeypatch, *, images: int, learning: float, answering: float = 1e6, seconds: float = 100.0, **choice
):
    monkeypatch.setattr(speed, "speed_of", lambda *_: Speed(learning=learning, answering=answering))
    job = replace(make.job(tmp_path, recipe=Recipe(budget="100s", flip="yes")), deadline=time.monotonic() + seconds)
    job = replace(job, choice=replace(job.choice, **choice))
    job = replace(job, train=job.train.repeat(-(-images // len(job.train)))[:images])
    return plan(job, pretrained=False, network=make.network())


def test_a_slow_network_takes_smaller_steps_and_a_quick_one_those_it_always_takes(tmp_path, monkeypatch):
    (slow, why), (quick, _) = (planned(tmp_path, monkeypatch, images=50_000, learning=s) for s in (20.0, 1e6))
    assert quick.batch == 128
    assert 8 <= slow.batch <= 32
    assert any(line.startswith("batch = ") and "20 images/s" in line for line in why)
    steps = 0.6 * 100 * 20 / slow.batch
    assert steps >= planning.STEPS


@pytest.mark.parametrize(("answering", "mirrored"), [(1e6, True), (0.1, False)])
def test_mirror_images_are_asked_where_there_is_time_for_it(tmp_path, monkeypatch, answering, mirrored):
    made, why = planned(tmp_path, monkeypatch, images=64, learning=1e6, answering=answering)
    assert made.mirror == mirrored
    assert mirrored or any("of the budget" in line for line in why if line.startswith("mirror"))


def test_the_steps_that_there_is_time_for_decide_how_long_each_is(tmp_path, monkeypatch):
    """With Muon; the batch, too, must be alike for that."""
    row = replace(make.ROW, optimiser="muon")
    rates = []
    for learning in (1e3, 1e4, 1e9):
        made, why = planned(tmp_path, monkeypatch, images=50_000, learning=learning, row=row)
        assert made.batch == 512
        rates.append(made.learning_rate)
        steps = min(100 * learning / 512, made.epochs * (50_000 // 512))
        (said,) = (line for line in why if line.startswith("learning rate"))
        assert int(said.split(" steps")[0].split()[-1]) == pytest.approx(steps, rel=0.02)
    assert rates[0] > rates[1] > rates[2] > 0


def test_without_a_budget_nothing_is_measured_where_the_precision_is_given(tmp_path, monkeypatch):
    """Left to us, a processor that has bf16 is timed in both."""
    monkeypatch.setattr(speed, "speed_of", lambda *_: pytest.fail("nobody asked"))
    plan(make.job(tmp_path, recipe=Recipe(precision="fp32")), pretrained=False, network=make.network())
