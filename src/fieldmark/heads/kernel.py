"""The Gaussian kernel, as a module and on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.heads.scaling import affine

Floats = NDArray[np.floating[Any]]


class GaussianKernel(nn.Module):
    """sum over centres of exp(-gamma |x - centre|**2) * coefficient + bias: float32 [N, D] -> [N, C]."""

    centres: Tensor
    offset: Tensor
    gamma: Tensor

    def __init__(self, centres: Floats, gamma: float, coefficients: Floats, bias: Floats) -> None:
        super().__init__()
        tensor = torch.from_numpy(np.asarray(centres, dtype=np.float32))
        self.register_buffer("centres", tensor.T.contiguous())
        self.register_buffer("offset", tensor.square().sum(dim=1))
        self.register_buffer("gamma", torch.tensor(gamma, dtype=torch.float32))
        self.combine = affine(coefficients, bias)

    def forward(self, embedding: Tensor) -> Tensor:
        length = embedding.square().sum(dim=1, keepdim=True)
        distance = (length + self.offset - 2 * (embedding @ self.centres)).clamp_min(0)
        combined: Tensor = self.combine(torch.exp(-distance * self.gamma))
        return combined


def median_distance(x: Floats, seed: int) -> float:
    """Median squared distance between rows (of a thousand of them); 1 where all are alike and any width will do."""
    few = x[np.random.default_rng(seed).permutation(len(x))[:1000]]
    between = distances(few, few)[np.triu_indices(len(few), k=1)]
    middle = float(np.median(between)) if len(between) else 0.0
    return middle if middle > 0 else 1.0


def distances(a: Floats, b: Floats) -> Floats:
    """Squared distances [len(a), len(b)]."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0))
