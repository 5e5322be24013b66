"""Noise that was planted is found: how much, of which kind, and which labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fieldmark.measures.label_noise import (
    calibrated,
    confident_joint,
    find_label_noise,
    self_confidence,
    surest,
    transition,
    true_classes,
)

CLASSES = ("a", "b", "c", "d")
EVEN = np.full((4, 4), 0.1) + 0.6 * np.eye(4)  # column: truth; three in ten wrong, spread
PAIRS = np.array([[0.6, 0, 0, 0], [0.4, 1, 0, 0], [0, 0, 0.7, 0.2], [0, 0, 0.3, 0.8]])
CLEAN = np.eye(4)


def planted(mixed: np.ndarray, seed: int, n: int = 3000, spread: float = 0.35, shares=(0.25, 0.25, 0.25, 0.25)):
    """Truth, labels and probabilities: blobs in the plane, seen through the posterior of labels given the place."""
    random = np.random.default_rng(seed)
    truth = random.choice(4, n, p=shares)
    centres = np.array([[0, 0], [0, 1.5], [1.5, 0], [1.5, 1.5]])
    place = centres[truth] + random.normal(0, spread, (n, 2))
    density = np.exp(-((place[:, None] - centres) ** 2).sum(2) / (2 * spread**2)) * np.array(shares)
    labels = (random.random(n)[:, None] > mixed.T[truth].cumsum(axis=1)).sum(axis=1)
    return truth, labels, (density / density.sum(1, keepdims=True)) @ mixed.T


@pytest.mark.parametrize("mixed", [EVEN, PAIRS, CLEAN], ids=["even", "pairs", "clean"])
def test_the_planted_rate_is_in_its_interval_as_often_as_an_interval_promises(mixed):
    held = 0
    for seed in range(40):
        truth, labels, probabilities = planted(mixed, seed, n=6000)
        noise = find_label_noise(labels, probabilities, CLASSES).noise
        wrong = (truth != labels).mean()
        assert noise.rate.n >= 100 and noise.rate.low is not None and noise.rate.high is not None
        held += noise.rate.low <= wrong <= noise.rate.high
    assert held >= 34


def test_where_classes_overlap_the_papers_own_rate_calls_difficulty_noise():
    _, labels, probabilities = planted(CLEAN, 0, spread=0.7)
    noise = find_label_noise(labels, probabilities, CLASSES).noise
    assert noise.joint_rate > 0.08 and noise.rate.value < 0.5 * noise.joint_rate, noise


def test_how_often_a_class_is_called_another_is_found_by_a_weak_probe_too():
    """Which answers a class that loses labels too seldom, and is as sure of it."""
    losing = np.array([[0.6, 0, 0, 0], [0.4, 1, 0, 0], [0, 0, 0.6, 0], [0, 0, 0.4, 1]])
    found = []
    for seed in range(10):
        _, labels, probabilities = planted(losing, seed, n=6000, spread=0.7)
        mixed = find_label_noise(labels, probabilities, CLASSES).mixed
        assert mixed.sum(axis=0) == pytest.approx(np.ones(4))
        found.append(mixed[[1, 3], [0, 2]])
    assert np.mean(found) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.6, 0.2, 0.15, 0.05)], ids=["alike", "uneven"])
@pytest.mark.parametrize("seed", range(5))
def test_the_kind_is_told_and_the_pairs_are_named(seed, shares):
    _, labels, probabilities = planted(EVEN, seed, shares=shares)
    even = find_label_noise(labels, probabilities, CLASSES).noise
    assert even.kind == "symmetric" and even.pairs == ()
    _, labels, probabilities = planted(PAIRS, seed, shares=shares)
    pairs = find_label_noise(labels, probabilities, CLASSES).noise
    assert pairs.kind == "class-dependent"
    assert {(pair.truth, pair.given) for pair in pairs.pairs} >= {("a", "b"), ("c", "d")}
    assert {(pair.truth, pair.given) for pair in pairs.pairs} <= {("a", "b"), ("c", "d"), ("d", "c")}
    assert pairs.pairs[0].share == pytest.approx(0.4, abs=0.15)


def test_two_classes_are_symmetric_when_both_ways_are_alike():
    random = np.random.default_rng(0)
    truth = np.arange(2000) % 2
    clear = np.eye(2)[truth] * 0.98 + 0.01
    both = np.where(random.random(2000) < 0.3, 1 - truth, truth)
    one = np.where((truth == 0) & (random.random(2000) < 0.3), 1, truth)
    assert find_label_noise(both, clear, ("a", "b")).noise.kind == "symmetric"
    noise = find_label_noise(one, clear, ("a", "b")).noise
    assert [(pair.truth, pair.given) for pair in noise.pairs] == [("a", "b")]


@pytest.mark.parametrize("mixed", [EVEN, PAIRS], ids=["even", "pairs"])
def test_suspects_are_wrong_labels_most_doubtful_first_with_the_truth_suggested(mixed):
    truth, labels, probabilities = planted(mixed, 1)
    suspects = find_label_noise(labels, probabilities, CLASSES).suspects
    wrong = truth[suspects.row] != suspects.label
    assert wrong.mean() > 0.9 and wrong.sum() > 0.85 * (truth != labels).sum()
    assert (truth[suspects.row] == suspects.suggested)[wrong].mean() > 0.95
    assert (np.diff(suspects.right) >= 0).all() and (suspects.suggested != suspects.label).all()
    # What is said of them comes true: about as many are right as their probabilities sum to.
    assert suspects.right.sum() == pytest.approx((~wrong).sum(), abs=0.1 * len(wrong))


def test_clean_labels_have_next_to_no_suspects_even_where_they_are_hard_to_tell():
    _, labels, probabilities = planted(CLEAN, 2, spread=0.7)
    suspects = find_label_noise(labels, probabilities, CLASSES).suspects
    paper = confident_joint(labels, probabilities, self_confidence(labels, probabilities))
    assert len(suspects.row) < 0.05 * len(labels) < paper.sum() - np.trace(paper)


def test_the_confident_joint_is_the_papers():
    """Worked by hand: thresholds 0.6 and 0.7, of which the fourth image reaches none; of two reached, the larger."""
    targets = np.array([0, 0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.5, 0.5], [0.7, 0.3]])
    assert self_confidence(targets, probabilities) == pytest.approx([0.6, 0.7])
    assert confident_joint(targets, probabilities, np.array([0.6, 0.7])).tolist() == [[2, 1], [0, 1]]
    assert confident_joint(targets, probabilities, np.array([0.2, 0.2]))[0].tolist() == [2, 1]


@st.composite
def judged(draw):
    classes = draw(st.integers(2, 5))
    n = draw(st.integers(1, 40))
    targets = draw(arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    raw = draw(arrays(np.float64, (n, classes), elements=st.floats(0.001, 1)))
    return targets, raw / raw.sum(axis=1, keepdims=True)


@given(judged())
def test_rows_are_calibrated_to_the_counts_of_labels_and_columns_of_the_transition_sum_to_one(case):
    targets, probabilities = case
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    for thresholds in (self_confidence(targets, probabilities), surest(probabilities)):
        joint = calibrated(confident_joint(targets, probabilities, thresholds), counts)
        assert joint.sum(axis=1) == pytest.approx(counts)
        assert transition(joint).sum(axis=0) == pytest.approx(np.ones(len(counts)))


@given(judged())
def test_whatever_is_handed_in_the_figures_are_figures(case):
    targets, probabilities = case
    classes = (*CLASSES, "e")
    found = find_label_noise(targets, probabilities, classes[: probabilities.shape[1]])
    noise, suspects = found.noise, found.suspects
    assert noise.rate.value is not None and 0 <= noise.rate.low <= noise.rate.value <= noise.rate.high <= 1
    assert 0 <= noise.joint_rate <= 1 and 0 <= noise.evenness <= 1
    assert ((suspects.right >= 0) & (suspects.right <= 0.5 + 1e-9)).all()
    assert len(np.unique(suspects.row)) == len(suspects.row)


@given(judged(), st.randoms(use_true_random=False))
def test_how_classes_are_numbered_changes_nothing(case, random):
    targets, probabilities = case
    order = random.sample(range(probabilities.shape[1]), probabilities.shape[1])
    place = np.argsort(order)
    thresholds = self_confidence(targets, probabilities)
    joint = confident_joint(targets, probabilities, thresholds)
    if (np.diff(np.sort(probabilities, axis=1)) > 0).all():
        again = confident_joint(place[targets], probabilities[:, order], thresholds[order])
        assert (again == joint[np.ix_(order, order)]).all()


def test_true_classes_without_noise_are_the_labels_and_with_it_follow_bayes():
    _, labels, probabilities = planted(EVEN, 3)
    assert true_classes(labels, probabilities, CLEAN).argmax(axis=1).tolist() == labels.tolist()
    one = true_classes(np.array([0]), np.array([[0.1, 0.7, 0.1, 0.1]]), EVEN)[0]
    # The place says b for certain (its labels are b seven times in ten), so the label a is one of the wrong ones.
    assert one[1] > 0.95
