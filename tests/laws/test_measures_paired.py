"""The difference of two classifiers on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.measures.estimating import estimate_all
from fieldmark.measures.outcomes import Outcomes, outcomes
from fieldmark.measures.paired import difference, estimate_one
from fieldmark.measures.table import MEASURES

NAMES = ("accuracy", "balanced_accuracy")


def answered(right: np.ndarray, seed: int = 0) -> Outcomes:
    """Right where `right` is true, and otherwise the next class."""
    targets = np.random.default_rng(seed).integers(0, 3, len(right))
    said = np.full((len(right), 3), 0.1)
    said[np.arange(len(right)), np.where(right, targets, (targets + 1) % 3)] = 0.8
    return outcomes(targets, said, task="single")


def of_share(share: float, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


@pytest.mark.parametrize("name", NAMES)
def test_one_figure_is_the_one_of_them_all(name):
    seen = answered(of_share(0.7, 200, 1))
    assert estimate_one(MEASURES[name], seen) == estimate_all(seen).overall[name]


@pytest.mark.parametrize("name", NAMES)
@given(one=st.integers(0, 99), other=st.integers(0, 99))
def test_it_turns_round_with_the_two_and_holds_the_difference(name, one, other):
    a, b = answered(of_share(0.8, 80, one)), answered(of_share(0.6, 80, other))
    gap, back = difference(MEASURES[name], a, b), difference(MEASURES[name], b, a)
    assert gap.value == pytest.approx(-back.value)
    assert gap.low <= gap.value <= gap.high and (gap.low, gap.high) == pytest.approx((-back.high, -back.low))


def test_with_itself_there_is_none():
    seen = answered(of_share(0.7, 50, 3))
    gap = difference(MEASURES["accuracy"], seen, seen)
    assert (gap.value, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_sharing_the_hard_images_narrows_it():
    right = of_share(0.7, 300, 4)
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True
    paired = difference(MEASURES["accuracy"], answered(better), answered(right))
    assert paired.low > 0  # all twelve differences point one way
    alone = estimate_one(MEASURES["accuracy"], answered(right))
    assert paired.high - paired.low < 0.6 * (alone.high - alone.low)


def test_an_even_trade_is_no_difference():
    right = np.arange(100) < 70
    other = np.roll(right, 10)
    gap = difference(MEASURES["accuracy"], answered(right), answered(other))
    assert gap.value == 0.0 and gap.low < 0 < gap.high


def test_other_images_cannot_be_paired():
    right = of_share(0.7, 60, 5)
    with pytest.raises(ValueError, match="same images"):
        difference(MEASURES["accuracy"], answered(right, seed=0), answered(right, seed=1))
