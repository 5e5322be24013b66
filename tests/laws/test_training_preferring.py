"""Who is dropped and who is preferred, for any figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.outcomes import outcomes
from fieldmark.training.preferring import ALIKE, Judged, Standing, dropped, preferred, reason, standings
from fieldmark.training.weighing import Limits, Weight


def weight(milliseconds: float, size_bytes: int = 1_000_000) -> Weight:
    return Weight(latency_ms=(milliseconds, 2 * milliseconds), size_bytes=size_bytes, energy_mj=None)


def standing(
    name: str,
    behind: float,
    doubt: float = 0.03,
    milliseconds: float = 1.0,
    size_bytes: int = 1_000_000,
    complete: bool = True,
) -> Standing:
    score = Estimate(value=0.9 - behind, low=0.8 - behind, high=0.95 - behind, n=200, interval="wilson")
    gap = Estimate(value=behind, low=behind - doubt, high=behind + doubt, n=200, interval="bootstrap")
    return Standing(name=name, score=score, behind=gap, weight=weight(milliseconds, size_bytes), complete=complete)


@st.composite
def any_ranking(draw):
    count = draw(st.integers(1, 9))
    gaps = sorted(draw(st.lists(st.floats(0, 0.3), min_size=count, max_size=count)))
    gaps[0] = 0.0
    return [
        standing(
            f"candidate-{at}",
            gap,
            milliseconds=draw(st.floats(0.1, 100)),
            size_bytes=draw(st.integers(10_000, 10**9)),
            complete=draw(st.booleans()),
        )
        for at, gap in enumerate(gaps)
    ]


@given(any_ranking())
def test_the_preferred_is_within_reach_and_nobody_within_reach_is_clearly_faster(ranked):
    winner = preferred(ranked)
    assert winner.tied
    reach = [each for each in ranked if each.tied]
    assert all(winner.latency_ms <= ALIKE * each.latency_ms for each in reach)
    quick = [each for each in reach if each.latency_ms <= ALIKE * min(one.latency_ms for one in reach)]
    assert all(winner.weight.size_bytes <= ALIKE * each.weight.size_bytes for each in quick)


@given(any_ranking())
def test_the_better_half_stays_and_so_does_whoever_may_still_win(ranked):
    gone = dropped(ranked)
    assert not {each.name for each in ranked[: (len(ranked) + 1) // 2]} & set(gone)
    assert not [each.name for each in ranked if each.tied and not each.complete and each.name in gone]
    assert {each.name for each in ranked[(len(ranked) + 1) // 2 :] if not each.tied} <= set(gone)
    assert preferred([each for each in ranked if each.name not in gone]).tied


@given(any_ranking())
def test_the_reason_is_two_sentences_that_name_the_winner(ranked):
    winner = preferred(ranked)
    told = reason(ranked, winner, "accuracy")
    assert winner.name in told and told.endswith(".")
    assert told.count(". ") == 1


def test_the_simple_one_is_preferred_where_images_cannot_tell():
    large, small = standing("large", 0.0, milliseconds=10.0), standing("small", 0.01, milliseconds=2.0)
    assert preferred([large, small]) is small
    told = reason([large, small], small, "accuracy")
    assert (
        "small is preferred to large" in told
        and "1.0 points (-2.0 to 4.0)" in told
        and "2 ms instead of 10 ms" in told
    )


def test_the_best_is_taken_where_the_simple_one_is_surely_behind():
    large, small = standing("large", 0.0, milliseconds=10.0), standing("small", 0.05, milliseconds=2.0)
    assert preferred([large, small]) is large
    assert "5.0 points (2.0 to 8.0) ahead of small" in reason([large, small], large, "accuracy")


def test_of_equally_quick_ones_the_smaller_and_of_equally_large_ones_the_better():
    best, quick = standing("best", 0.0, milliseconds=1.0), standing("quick", 0.01, milliseconds=0.95)
    assert preferred([best, quick]) is best
    smaller = standing("smaller", 0.02, milliseconds=1.0, size_bytes=500_000)
    assert preferred([best, quick, smaller]) is smaller


def test_whoever_can_improve_no_further_and_has_no_advantage_goes():
    rest = [standing("best", 0.0), standing("slower", 0.01, milliseconds=3.0)]
    assert set(dropped(rest)) == {"slower"}
    assert not dropped([rest[0], standing("slower", 0.01, milliseconds=3.0, complete=False)])
    assert not dropped([rest[0], standing("faster", 0.01, milliseconds=0.5)])


def judged(right: int, milliseconds: float) -> Judged:
    targets = np.arange(60) % 2
    said = np.where(np.arange(60) < right, targets, 1 - targets)
    return Judged(
        seen=outcomes(targets, np.eye(2)[said] * 0.8 + 0.1, task="single"),
        weight=weight(milliseconds),
        complete=True,
    )


def test_standings_are_best_first_and_of_equal_ones_the_faster():
    ranked = standings({"b": judged(50, 9.0), "c": judged(58, 3.0), "a": judged(50, 4.0)}, "accuracy")
    assert [each.name for each in ranked] == ["c", "a", "b"]
    assert ranked[0].behind.value == 0.0 and ranked[1].behind.value == pytest.approx(8 / 60)
    assert ranked[0].score.value == pytest.approx(58 / 60) and not ranked[1].tied


def test_the_excess_is_of_the_tighter_limit():
    both = Limits(latency_ms=10.0, size_bytes=500_000)
    assert both.excess(weight(5.0)) == 2.0 and both.excess(weight(40.0, 100_000)) == 4.0
    assert Limits(latency_ms=None, size_bytes=None).excess(weight(1e9)) == 0.0
