"""Answers made up for measures: random ones, and the corners where definitions disagree."""

from __future__ import annotations

import numpy as np

from fieldmark.measures.outcomes import Outcomes, outcomes


def random_outcomes(task: str, *, n: int = 60, classes: int = 7, seed: int = 0, skill: float = 1.5) -> Outcomes:
    """Every class present, answers right now and then, no two probabilities equal."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, classes))
    if task == "multi":
        truth = random.random((n, classes)) < 0.3
        truth[np.arange(classes), np.arange(classes)] = True
        truth[(np.arange(classes) + 1) % n, np.arange(classes)] = False
        return outcomes(truth, 1 / (1 + np.exp(-(logits + skill * truth))), task="multi")
    targets = np.arange(n) % classes
    logits[np.arange(n), targets] += skill
    return _softmax(targets, logits)


def degenerate_outcomes(task: str) -> dict[str, Outcomes]:
    """By what is odd about them."""
    return _degenerate_multi() if task == "multi" else _degenerate_single()


def _degenerate_single() -> dict[str, Outcomes]:
    random = np.random.default_rng(1)
    targets = np.arange(40) % 7
    logits = random.normal(size=(40, 7)) + 1.5 * np.eye(7)[targets]
    never = logits.copy()
    never[:, 2] = -9
    coarse = np.exp(np.round(logits))
    return {
        "one class present": _softmax(np.zeros(40, np.int64), logits),
        "one image": _softmax(targets[3:4], logits[3:4]),
        "all tied": outcomes(targets, np.full((40, 7), 1 / 7), task="single"),
        "many ties": outcomes(targets, coarse / coarse.sum(axis=1, keepdims=True), task="single"),
        "perfect and certain": outcomes(targets, np.eye(7)[targets], task="single"),
        "certain and wrong at times": outcomes(targets, np.eye(7)[logits.argmax(axis=1)], task="single"),
        "always wrong": outcomes(targets, np.eye(7)[(targets + 1) % 7], task="single"),
        "an absent class": _softmax(np.where(targets == 4, 0, targets), logits),
        "a class never predicted": _softmax(targets, never),
        "absent and never predicted": _softmax(np.where(targets == 2, 0, targets), never),
        "two classes": _softmax(targets % 2, logits[:, :2]),
    }


def _degenerate_multi() -> dict[str, Outcomes]:
    random = np.random.default_rng(2)
    truth = random.random((40, 7)) < 0.3
    said = random.random((40, 7)) * 0.6 + 0.4 * truth
    present = truth.copy()
    present[:, 4] = False
    everywhere = truth.copy()
    everywhere[:, 3] = True
    never = said.copy()
    never[:, 2] = 0.01
    return {
        "no labels at all": outcomes(np.zeros((40, 7)), said, task="multi"),
        "nothing predicted": outcomes(truth, said * 0.4, task="multi"),
        "nothing true, nothing predicted": outcomes(np.zeros((40, 7)), said * 0.4, task="multi"),
        "one image": outcomes(truth[:1], said[:1], task="multi"),
        "all tied": outcomes(truth, np.full((40, 7), 0.3), task="multi"),
        "many ties": outcomes(truth, np.round(said, 1), task="multi"),
        "perfect and certain": outcomes(truth, truth.astype(float), task="multi"),
        "always wrong": outcomes(truth, 1.0 - truth, task="multi"),
        "an absent class": outcomes(present, said, task="multi"),
        "a class that every image has": outcomes(everywhere, said, task="multi"),
        "a class never predicted": outcomes(truth, never, task="multi"),
    }


def _softmax(targets: np.ndarray, logits: np.ndarray) -> Outcomes:
    raised = np.exp(logits)
    return outcomes(targets, raised / raised.sum(axis=1, keepdims=True), task="single")
