"""One short name for a whole data set: what its images are, how they are labelled, and how they are split."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from fieldmark.data.dataset import UNKNOWN, Dataset


def fingerprint(dataset: Dataset) -> str:
    """sha256, in hex, over task, class names and the sorted rows (content id, label names, split, and the names of
    labels that nobody looked for, if any).

    Where the files lie, what they are called and the order of rows do not matter; every byte of an image does.
    """
    rows = sorted(
        (str(content), labels, str(split), *((unknown,) if unknown else ()))
        for content, labels, split, unknown in zip(
            dataset.content, label_names(dataset), dataset.split, unknown_names(dataset)
        )
    )
    return hashlib.sha256(msgspec.json.encode([dataset.task, sorted(dataset.classes), rows])).hexdigest()


def label_names(dataset: Dataset) -> list[tuple[str, ...]]:
    """The names of each row's labels, sorted; one a row in a single-label task."""
    if dataset.task == "single":
        return [(dataset.classes[target],) for target in dataset.targets]
    return _names(dataset, 1)


def unknown_names(dataset: Dataset) -> list[tuple[str, ...]]:
    """The names of the labels that nobody looked for in each row's image, sorted."""
    return [()] * len(dataset) if dataset.task == "single" else _names(dataset, UNKNOWN)


def _names(dataset: Dataset, value: int) -> list[tuple[str, ...]]:
    return [tuple(sorted(dataset.classes[at] for at in np.flatnonzero(row == value))) for row in dataset.targets]
