"""Which images belong together: the group that was given, and byte-identical files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Dataset


def group_ids(dataset: Dataset) -> NDArray[np.int64]:
    """int64 [N]: equal for rows that share a non-empty `group` or `content`, in chains too (union-find).

    Numbered from 0 in the order of first appearance.
    """
    parent = list(range(len(dataset)))

    def top(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in (dataset.content, dataset.group):
        first: dict[str, int] = {}
        for row, value in enumerate(column):
            if value:
                parent[top(row)] = top(first.setdefault(value, row))
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(top(row), len(numbers)) for row in range(len(dataset))], dtype=np.int64)
