"""Fitted decision trees as tensors: all trees of all images go down one level at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.dataset import Task

_DOUBT = 1.0  # images of nobody in a leaf, shared by all classes, so that no probability is 0


class Trees(nn.Module):
    """Embedding [N, D] -> logarithm of the mean class frequency in the leaves, [N, C] (multi: log-odds).

    Each node is a row of `feature`, `threshold` and `below` (left, right); a leaf is its own child, so that going
    down too often does no harm and the number of steps is the depth of the deepest tree.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    frequency: Tensor
    root: Tensor

    def __init__(self, trees: list[Any], task: Task) -> None:
        super().__init__()
        self.depth = max(tree.max_depth for tree in trees)
        self.single = task == "single"
        start = np.cumsum([0, *(tree.node_count for tree in trees)])
        for name, parts in _columns(trees, start[:-1], self.single).items():
            self.register_buffer(name, torch.from_numpy(np.concatenate(parts)))
        self.register_buffer("root", torch.from_numpy(start[:-1]))

    def forward(self, embedding: Tensor) -> Tensor:
        node = self.root + torch.zeros_like(embedding[:, :1], dtype=torch.int64)
        for _ in range(self.depth):
            value = embedding.gather(1, self.feature[node])
            node = torch.where(value <= self.threshold[node], self.left[node], self.right[node])
        yes = self.frequency[node].mean(dim=1)
        return yes.log() if self.single else yes.log() - (1 - yes).log()


def _columns(trees: list[Any], starts: NDArray[np.int64], single: bool) -> dict[str, list[NDArray[Any]]]:
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in Trees.__annotations__ if name != "root"}
    for tree, start in zip(trees, starts, strict=True):
        itself = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        columns["feature"].append(np.where(leaf, 0, tree.feature))
        columns["threshold"].append(_rounded_down(tree.threshold))
        columns["left"].append(start + np.where(leaf, itself, tree.children_left))
        columns["right"].append(start + np.where(leaf, itself, tree.children_right))
        columns["frequency"].append(_frequency(tree, single))
    return columns


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above: for float32 x, x <= threshold says the same before and after."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def _frequency(tree: Any, single: bool) -> NDArray[np.float32]:
    """Share of each class among the training images of a node, with a little doubt (Provost & Domingos 2003)."""
    share = tree.value[:, 0, :] if single else tree.value[:, :, 1]
    size = tree.weighted_n_node_samples[:, None]
    count = share.shape[1] if single else 2
    return ((share * size + _DOUBT / count) / (size + _DOUBT)).astype(np.float32)
