"""How a schedule is walked, and how its length is fitted to a clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.training.schedule import Pace, position, refit


@given(st.integers(1, 500))
def test_without_refits_positions_are_evenly_spread(total):
    walked = [position(step, ((0, total),)) for step in range(total)]
    assert walked == pytest.approx([(step + 0.5) / total for step in range(total)])


@st.composite
def histories(draw):
    """Refits as a run makes them: later steps, and totals that leave at least one step."""
    refits = [(0, draw(st.integers(1, 60)))]
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(refits[-1][0] + 1, refits[-1][1])) if refits[-1][1] > refits[-1][0] else None
        if start is None or start >= refits[-1][1]:
            break
        refits.append((start, draw(st.integers(start + 1, start + 60))))
    return tuple(refits)


@given(histories())
def test_with_refits_the_schedule_never_goes_back_and_reaches_its_end(refits):
    total = refits[-1][1]
    walked = [position(step, refits) for step in range(total)]
    assert all(0.0 <= earlier < later <= 1.0 for earlier, later in pairwise(walked))
    last = 1.0 - position(total - 1, refits)
    before = 1.0 - (position(total - 2, refits) if total > 1 else 0.0)
    assert last <= 0.5 * before + 1e-9


@given(histories())
def test_what_is_refitted_later_does_not_change_what_was_walked(refits):
    for count in range(1, len(refits)):
        until = refits[count][0]
        assert [position(s, refits) for s in range(until)] == [position(s, refits[:count]) for s in range(until)]


def test_small_errors_of_speed_are_left_alone():
    assert refit(((0, 1000),), 500, 1020, longest=2000) == ((0, 1000),)
    assert refit(((0, 1000),), 500, 900, longest=2000) == ((0, 1000), (500, 900))
    assert refit(((0, 1000),), 500, 1200, longest=2000) == ((0, 1000), (500, 1200))
    assert refit(((0, 1000),), 500, 5000, longest=1000) == ((0, 1000),)
    assert refit(((0, 1000),), 500, 100, longest=1000) == ((0, 1000), (500, 500))


def test_pace_counts_the_scoring_and_keeps_something_back(monkeypatch):
    clock = iter([101.0, 106.0, 106.0, 203.0, 203.15])
    monkeypatch.setattr("fieldmark.training.schedule.time.monotonic", lambda: next(clock))
    pace = Pace(206.0)
    assert not pace.measure(10, 5000)  # what was before counts for nothing: the first step is slow
    assert pace.measure(60, 5000)
    assert pace.step_s == pytest.approx(0.1)
    assert pace.affordable(60, scoring_s=10.0, per_epoch=100, after_s=20.0) == 60 + int((206 - 106 - 30) * 0.97 / 0.2)
    assert pace.measure(1030, 5000)
    assert not pace.measure(1031, 5000)  # three seconds are left: a look every 0.3 s is enough


def run_under(budget_s: float, step_s: float, slow: tuple[float, float, float], monkeypatch) -> float:
    """Seconds that a run of steps takes which, from slow[0] to slow[1], take slow[2] times as long."""
    now = [0.0]
    monkeypatch.setattr("fieldmark.training.schedule.time.monotonic", lambda: now[0])
    begun, ended, factor = slow
    pace, refits, step = Pace(budget_s), ((0, 1_000_000),), 0
    while step < refits[-1][1]:
        now[0] += step_s * (factor if begun <= now[0] < ended else 1.0)
        step += 1
        if pace.measure(step, refits[-1][1]):
            affordable = pace.affordable(step, scoring_s=0.0, per_epoch=100, after_s=0.0)
            refits = refit(refits, step, affordable, longest=refits[0][1])
    return now[0]


@pytest.mark.parametrize("factor", [1.0, 5.0, 100.0])
@pytest.mark.parametrize("begun", [0.0, 20.0, 60.0])
def test_a_run_that_other_work_slowed_for_a_while_still_uses_its_time(monkeypatch, factor, begun):
    assert 95.0 < run_under(100.0, 0.01, (begun, begun + 10.0, factor), monkeypatch) <= 100.0
