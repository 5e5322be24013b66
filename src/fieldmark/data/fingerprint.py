"""One short name for a whole data set: what its images are, how they are labelled, and how they are split."""

from __future__ import annotations

import hashlib

import msgspec

from fieldmark.data.dataset import Dataset


def fingerprint(dataset: Dataset) -> str:
    """sha256, in hex, over task, class names and the sorted rows (content id, label names, split).

    Where the files lie, what they are called and the order of rows do not matter; every byte of an image does.
    """
    rows = sorted(
        (str(content), labels, str(split))
        for content, labels, split in zip(dataset.content, label_names(dataset), dataset.split)
    )
    return hashlib.sha256(msgspec.json.encode([dataset.task, sorted(dataset.classes), rows])).hexdigest()


def label_names(dataset: Dataset) -> list[tuple[str, ...]]:
    """The names of each row's labels, sorted; one a row in a single-label task."""
    if dataset.task == "single":
        return [(dataset.classes[target],) for target in dataset.targets]
    return [tuple(sorted(dataset.classes[at] for at in row.nonzero()[0])) for row in dataset.targets]
