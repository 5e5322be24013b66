"""Laws of the step from logits to an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fieldmark.bundle.schema import Decision
from fieldmark.data.dataset import Task
from fieldmark.inference.deciding import (
    COLDEST,
    FEWEST_IMAGES,
    HOTTEST,
    best_threshold,
    fit_decision,
    fit_temperature,
    labels,
    probabilities,
)

TASKS: tuple[Task, ...] = ("single", "multi")
LOGITS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-1e4, 1e4, width=32))
TEMPERATURES = st.floats(0.01, 100)


def loss(logits: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], decision: Decision, task: Task) -> float:
    """Negative log-likelihood, straight from its definition."""
    scaled = logits.astype(np.longdouble) / decision.temperature
    if task == "single":
        best = scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled - best).sum(axis=1)) + best[:, 0]
        return float((total - scaled[np.arange(len(scaled)), targets]).mean())
    scaled = np.array(decision.slopes or 1.0) * scaled + np.array(decision.intercepts or 0.0)
    return float((np.log1p(np.exp(-np.abs(scaled))) + np.maximum(scaled, 0) - scaled * targets).mean())


def drawn(task: Task, n: int, scale: float, seed: int, classes: int = 4) -> tuple[Any, Any]:
    """Logits and targets that come true as often as the logits, divided by `scale`, say."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 2, (n, classes))
    said = probabilities(true, Decision(), task)
    chance = random.random((n, 1) if task == "single" else (n, classes))
    targets = (said.cumsum(axis=1) < chance).sum(axis=1).clip(0, classes - 1) if task == "single" else said > chance
    return true * scale, targets


@given(LOGITS, TEMPERATURES)
def test_probabilities_are_probabilities(logits: Any, temperature: float) -> None:
    decision = Decision(temperature=temperature)
    single, multi = (probabilities(logits, decision, task) for task in TASKS)
    assert np.allclose(single.sum(axis=1), 1) and ((single >= 0) & (single <= 1)).all()
    assert ((multi >= 0) & (multi <= 1)).all() and single.dtype == multi.dtype == np.float64


@given(LOGITS, TEMPERATURES)
def test_temperature_keeps_the_most_probable_class(logits: Any, temperature: float) -> None:
    said = probabilities(logits, Decision(temperature=temperature), "single")
    rows = np.arange(len(logits))
    assert (said[rows, logits.argmax(axis=1)] == said.max(axis=1)).all()


@given(LOGITS, st.floats(-100, 100))
def test_softmax_sees_differences_alone(logits: Any, by: float) -> None:
    shifted = logits.astype(np.float64) + by
    assert np.allclose(
        probabilities(logits, Decision(), "single"), probabilities(shifted, Decision(), "single"), atol=1e-9
    )


def test_labels_follow_argmax_and_thresholds() -> None:
    said = np.array([[0.5, 0.3, 0.5], [0.1, 0.2, 0.0]])
    classes = ("a", "b", "c")
    assert labels(said, Decision(), "single", classes) == [("a",), ("b",)]
    assert labels(said, Decision(), "multi", classes) == [("a", "c"), ()]
    assert labels(said, Decision(thresholds=(0.6, 0.2, 0.5)), "multi", classes) == [("b", "c"), ("b",)]


@given(st.sampled_from(TASKS), st.integers(0, 60), st.floats(0.05, 20), st.integers(0, 2**32))
def test_fitting_never_makes_its_own_data_less_likely(task: Task, n: int, scale: float, seed: int) -> None:
    logits, targets = drawn(task, n, scale, seed)
    fitted = fit_decision(logits, targets, task)
    assert COLDEST <= fitted.temperature <= HOTTEST
    if n < FEWEST_IMAGES and task == "single":
        assert fitted == Decision()
    elif n:
        assert loss(logits, targets, fitted, task) <= loss(logits, targets, Decision(), task) + 1e-9


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_finds_the_temperature_that_was_hidden(scale: float) -> None:
    """On calibrated logits that is 1, within the error of 4,000 images."""
    assert fit_temperature(*drawn("single", 4000, scale, seed=3)) == pytest.approx(scale, rel=0.1)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_all_right_is_not_infinitely_sure(n: int) -> None:
    """N right answers in a row let the next be wrong about once in N."""
    logits = 3.0 * np.eye(5)[np.arange(n) % 5]
    fitted = fit_temperature(logits, np.arange(n) % 5)
    doubt = 1 - probabilities(logits, Decision(temperature=fitted), "single").max()
    assert 0.3 / n < doubt < 3 / n


def test_constant_logits_have_a_temperature() -> None:
    assert COLDEST <= fit_temperature(np.zeros((40, 2)), np.arange(40) % 2) <= HOTTEST


def test_images_that_count_more_pull_the_temperature():
    """Half the images are overconfident: with all the weight on them, or none, it is theirs or the others'."""
    calm, loud = drawn("single", 400, 1.0, 1), drawn("single", 400, 4.0, 2)
    logits, targets = (np.concatenate(pair) for pair in zip(calm, loud))
    on_loud = np.repeat([1e-9, 1.0], 400)
    assert fit_temperature(logits, targets, on_loud) == pytest.approx(fit_temperature(*loud), rel=0.05)
    assert fit_temperature(logits, targets, np.ones(800)) == fit_temperature(logits, targets)


@given(
    said=arrays(np.float64, 40, elements=st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.75, 1.0])),
    truth=arrays(np.bool_, 40, elements=st.booleans()),
)
def test_no_threshold_has_a_better_f1(said, truth):
    def f1(threshold):
        answered = said >= threshold
        return 2 * (answered & truth).sum() / max(1, answered.sum() + truth.sum())

    found = best_threshold(said, truth)
    assert 0.0 <= found <= 1.0
    if truth.sum() >= FEWEST_IMAGES and said.max() > 0:
        assert f1(found) == pytest.approx(max(f1(each) for each in np.unique(said[said > 0])))


def test_a_rare_label_keeps_the_usual_threshold():
    assert best_threshold(np.linspace(0, 1, 50), np.arange(50) >= 45) == 0.5


def test_a_decision_of_one_label_has_no_thresholds_and_one_of_several_has_one_each():
    assert fit_decision(*drawn("single", 100, 1.0, 0), "single").thresholds is None
    assert len(fit_decision(*drawn("multi", 100, 1.0, 0), "multi").thresholds or ()) == 4


def test_rare_labels_share_the_threshold_that_is_best_for_them_together():
    logits, targets = drawn("multi", 200, 1.0, seed=5, classes=6)
    targets[:, 2:] = np.arange(200)[:, None] % 40 == np.arange(4)  # five images each
    logits[:, 2:] += 4.0 * targets[:, 2:] - 6.0
    thresholds = fit_decision(logits, targets, "multi").thresholds
    assert len(set(thresholds[2:])) == 1 and thresholds[2] != 0.5 and len(set(thresholds[:3])) == 3
