"""Classes that this part of the data can teach, and those that it cannot.

A class without an image (in a fold, say) has nothing to fit; a label that every image has, or none, neither.
Heads fit the others, and here their logits are put in place among all classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.data.dataset import UNKNOWN
from fieldmark.heads.row import Labelled

_BELOW = 5.0  # logits under the least likely class that was seen: finite, and never the answer


def one_hot(data: Labelled) -> NDArray[np.float32]:
    """Targets of either task as 0 and 1, [N, C]; 0.5 where nobody looked: of a margin the sign is then 0, so that a
    loss of margins is constant there and pulls nowhere."""
    if data.task == "multi":
        return np.where(data.targets == UNKNOWN, 0.5, data.targets).astype(np.float32)
    return np.asarray(np.eye(data.classes, dtype=np.float32)[data.targets])


def rows(data: Labelled, which: NDArray[np.bool_] | NDArray[np.int64]) -> Labelled:
    """Some of the rows."""
    return replace(data, embedding=data.embedding[which], targets=data.targets[which], group=data.group[which])


def learnable(data: Labelled) -> tuple[Labelled, Callable[[nn.Module], nn.Module]]:
    """The data with only the classes that can be learnt, and how a head for these becomes a head for all."""
    truth = one_hot(data)
    count, looked_at = (truth == 1).sum(axis=0), (truth != 0.5).sum(axis=0)
    taught = count > 0 if data.task == "single" else (count > 0) & (count < looked_at)
    columns = np.flatnonzero(taught)
    if len(columns) == data.classes:
        return data, _unchanged
    if data.task == "single":
        part = replace(data, targets=np.searchsorted(columns, data.targets), classes=len(columns))
        return part, lambda module: _Seen(module, columns, data.classes)
    part = replace(data, targets=data.targets[:, columns], classes=len(columns))
    constant = np.log((count + 0.5) / (looked_at - count + 0.5))
    return part, lambda module: _Varying(module, columns, constant)


def _unchanged(module: nn.Module) -> nn.Module:
    return module


class _Seen(nn.Module):
    """Logits of the seen classes in their places; the others stay below them all."""

    place: Tensor

    def __init__(self, module: nn.Module, columns: NDArray[np.int64], classes: int) -> None:
        super().__init__()
        self.module = module
        place = np.full(classes, len(columns))
        place[columns] = np.arange(len(columns))
        self.register_buffer("place", torch.from_numpy(place))

    def forward(self, embedding: Tensor) -> Tensor:
        logits = self.module(embedding)
        below = logits.min(dim=1, keepdim=True).values - _BELOW
        return torch.cat([logits, below], dim=1).index_select(1, self.place)


class _Varying(nn.Module):
    """Logits of the labels that vary in their places; the others keep the odds at which they were seen."""

    place: Tensor
    constant: Tensor

    def __init__(self, module: nn.Module, columns: NDArray[np.int64], constant: NDArray[np.float64]) -> None:
        super().__init__()
        self.module = module
        fixed = np.setdiff1d(np.arange(len(constant)), columns)
        place = np.empty(len(constant), dtype=np.int64)
        place[columns], place[fixed] = np.arange(len(columns)), len(columns) + np.arange(len(fixed))
        self.register_buffer("place", torch.from_numpy(place))
        self.register_buffer("constant", torch.from_numpy(constant[fixed].astype(np.float32)))

    def forward(self, embedding: Tensor) -> Tensor:
        constant = self.constant + torch.zeros_like(embedding[:, :1])
        return torch.cat([self.module(embedding), constant], dim=1).index_select(1, self.place)
