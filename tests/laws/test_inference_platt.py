"""Laws of the calibration of several labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fieldmark.data.dataset import UNKNOWN
from fieldmark.inference.platt import ENOUGH_OF_EACH, FEWEST_OF_EACH, LEAST_SLOPE, fit_platt, has_enough


def drawn(images: int, slopes: np.ndarray, intercepts: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets that come true as often as sigmoid(slope * logit + intercept) says."""
    random = np.random.default_rng(seed)
    logits = random.normal(0.0, 2.0, (images, len(slopes)))
    said = 1 / (1 + np.exp(-(slopes * logits + intercepts)))
    return logits, (random.random(logits.shape) < said).astype(np.int8)


def test_finds_the_slope_and_the_intercept_that_were_hidden():
    hidden = np.array([0.3, 1.0, 3.0]), np.array([1.0, -2.0, 0.0])
    slopes, intercepts = fit_platt(*drawn(8000, *hidden))
    np.testing.assert_allclose(slopes, hidden[0], rtol=0.1)
    np.testing.assert_allclose(intercepts, hidden[1], atol=0.2)


def test_it_is_logistic_regression_of_one_variable():
    logits, targets = drawn(5000, np.array([0.7]), np.array([-1.0]))
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits, targets[:, 0])
    (slope,), (intercept,) = fit_platt(logits, targets)  # whose truths are softened by about 1 in 1,500
    assert (slope, intercept) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=0.01)


def test_rare_labels_share_a_pair_and_common_ones_have_their_own():
    logits, targets = drawn(300, np.array([0.5, 2.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, -5.0, -5.0, -5.0]))
    own = has_enough(targets)
    assert own.tolist() == [True, True, False, False, False]
    slopes, intercepts = fit_platt(logits, targets)
    assert len(set(slopes)) == 3 and slopes[2] == slopes[3] == slopes[4] != 1.0
    assert intercepts[2] == intercepts[4] < -1.0


@given(st.integers(0, 2**32), st.floats(0.1, 0.9))
def test_what_nobody_looked_for_has_no_say(seed, share):
    logits, targets = drawn(120, np.array([0.5, 2.0, 1.0]), np.array([0.0, -1.0, 1.0]), seed % 1000)
    unknown = np.random.default_rng(seed).random(targets.shape) < share
    seen = np.where(unknown, UNKNOWN, targets)
    other = np.where(unknown, 50.0, logits)
    np.testing.assert_array_equal(fit_platt(logits, seen), fit_platt(other, seen))
    alone = [~unknown[:, at] for at in range(3)]
    for at in np.flatnonzero(has_enough(seen)):
        pairs = fit_platt(logits[alone[at], at : at + 1], targets[alone[at], at : at + 1])
        np.testing.assert_allclose(np.ravel(pairs), np.array(fit_platt(logits, seen))[:, at], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("images", [ENOUGH_OF_EACH, 400])
def test_labels_that_are_parted_exactly_are_not_infinitely_sure(images):
    targets = (np.arange(2 * images) % 2).astype(np.int8)[:, None]
    logits = 8.0 * targets - 4.0
    (slope,), (intercept,) = fit_platt(logits, targets)
    doubt = 1 / (1 + np.exp(slope * 4.0 + intercept))
    assert 0.3 / images < doubt < 3 / images


def test_a_label_that_is_ranked_upside_down_keeps_its_ranking_and_gets_its_share():
    logits, targets = drawn(400, np.array([-1.0]), np.array([-1.0]))
    (slope,), (intercept,) = fit_platt(logits, targets)
    assert slope == LEAST_SLOPE
    said = 1 / (1 + np.exp(-(slope * logits + intercept)))
    assert said.mean() == pytest.approx(targets.mean(), abs=0.02)


def test_too_few_even_together_are_left_alone():
    logits, targets = drawn(50, np.ones(2), np.zeros(2))
    targets[np.flatnonzero(targets[:, 0])[2:], 0] = targets[np.flatnonzero(targets[:, 1])[2:], 1] = 0
    assert targets.sum() < FEWEST_OF_EACH
    np.testing.assert_array_equal(fit_platt(logits, targets), [[1.0, 1.0], [0.0, 0.0]])
