"""Every schedule: up to the peak, and down to nought, whatever the budget made of its length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import makers_training as make
from fieldmark.errors import UnknownName
from fieldmark.training.choosing import choose
from fieldmark.training.planning import plan
from fieldmark.training.recipe import Recipe
from fieldmark.training.schedule import SCHEDULES, position, rate, refit

every_schedule = pytest.mark.parametrize("name", list(SCHEDULES))


@every_schedule
@given(at=st.floats(0.0, 1.0), warmup=st.floats(0.0, 1.0))
def test_the_rate_lies_between_nought_and_the_peak(name, at, warmup):
    assert 0.0 <= rate(at, warmup, name) <= 1.0


@every_schedule
@given(warmup=st.floats(0.01, 0.99))
def test_the_rate_rises_to_its_peak_and_falls_to_nought(name, warmup):
    walked = [rate(i / 1000, warmup, name) for i in range(1001)]
    peak = walked.index(max(walked))
    assert walked[:peak] == sorted(walked[:peak]) and walked[peak:] == sorted(walked[peak:], reverse=True)
    assert abs(peak / 1000 - warmup) <= 0.002
    assert walked[0] <= 0.04 + 1e-9 and max(walked) > 0.98
    assert walked[-1] == pytest.approx(0.0, abs=1e-12)


@every_schedule
@given(step=st.integers(100, 900), total=st.integers(120, 2000))
def test_a_budget_that_changes_the_length_changes_neither_the_rate_of_now_nor_its_end(name, step, total):
    before = ((0, 1000),)
    after = refit(before, step, max(total, step + 20), longest=2000)
    now = [rate(position(step - 1, refits), 0.1, name) for refits in (before, after)]
    assert now[0] == now[1]
    assert rate(position(after[-1][1] - 1, after), 0.1, name) < 0.05


def test_shapes_differ():
    """At the middle of the fall: the cosine is half way, and so is the straight line; a quarter on, it is not."""
    assert len({round(rate(0.75, 0.5, name), 6) for name in SCHEDULES}) == 1
    falls = {name: rate(0.625, 0.5, name) for name in SCHEDULES}
    assert falls["triangle"] == pytest.approx(0.75) and falls["cosine"] == pytest.approx(0.853553, abs=1e-6)
    rises = {name: rate(0.0, 0.5, name) for name in SCHEDULES}
    assert rises["one-cycle"] == pytest.approx(1 / 25) and rises["cosine"] == rises["triangle"] == 0.0


@every_schedule
def test_it_is_planned_with_its_own_warmup(name, tmp_path):
    made, choices = plan(make.job(tmp_path, recipe=Recipe(schedule=name)), pretrained=False)
    assert (made.schedule, made.warmup) == (name, SCHEDULES[name].warmup)
    assert any(choice.startswith("warmup = ") for choice in choices)


def test_one_that_is_not_there_is_refused_before_any_work(tmp_path):
    with pytest.raises(UnknownName, match="schedule"):
        choose(Recipe(schedule="one-cyle", model="lenet"), make.job(tmp_path).data)
