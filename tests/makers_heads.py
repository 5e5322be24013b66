"""Seeded embeddings with labels that can be learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Task
from fieldmark.heads.row import Labelled


def separable(task: Task, *, count: int = 90, size: int = 12, classes: int = 3, seed: int = 0) -> Labelled:
    """Clusters far apart (multi: labels that are the signs of three directions, with a gap between)."""
    chance = np.random.default_rng(seed)
    noise = chance.normal(size=(count, size)).astype(np.float32)
    if task == "single":
        targets = (np.arange(count) % classes).astype(np.int64)
        centres = 6 * np.eye(classes, size, dtype=np.float32)
        return _labelled(noise + centres[targets], targets, classes, task)
    labels = chance.integers(0, 2, size=(count, classes)).astype(np.uint8)
    noise[:, :classes] = 0.3 * noise[:, :classes] + 4 * (2.0 * labels - 1)
    return _labelled(noise, labels, classes, task)


def hard(task: Task, *, count: int = 120, size: int = 12, classes: int = 3, seed: int = 0) -> Labelled:
    """The same, overlapping, so that settings matter and answers differ in degree."""
    data = separable(task, count=count, size=size, classes=classes, seed=seed)
    noise = np.random.default_rng(seed + 1).normal(scale=3, size=data.embedding.shape)
    return replace(data, embedding=(data.embedding + noise).astype(np.float32))


def _labelled(embedding: NDArray[np.float32], targets: NDArray[np.generic], classes: int, task: Task) -> Labelled:
    group = np.arange(len(targets), dtype=np.int64)
    return Labelled(embedding=embedding, targets=targets, group=group, classes=classes, task=task)
