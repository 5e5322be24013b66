"""What is done to an embedding before a head sees it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Centred(nn.Module):
    """Minus the mean, over one spread for all dimensions: float32 [N, D] -> [N, D].

    One spread and not one a dimension, because dividing each by its own blows up those that carry only noise:
    on EfficientNet-Lite0's embedding of clothing photos (five folds of the training part), log-loss 0.380 and
    accuracy 0.871 against 0.401 and 0.865.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: NDArray[np.float32], scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    @classmethod
    def of(cls, embedding: NDArray[np.float32]) -> Centred:
        mean = embedding.mean(axis=0, dtype=np.float64)
        spread = float(np.sqrt(np.mean(np.var(embedding, axis=0, dtype=np.float64))))
        # A spread of zero: all rows are alike, and nothing can be told apart, however it is scaled.
        return cls(mean.astype(np.float32), 1 / spread if spread > 0 else 1.0)

    def forward(self, embedding: Tensor) -> Tensor:
        return (embedding - self.mean) * self.scale

    def apply_to(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same on arrays."""
        return (embedding - self.mean.numpy()) * self.scale.numpy()


def affine(weights: NDArray[np.floating], bias: NDArray[np.floating]) -> nn.Linear:
    """Weights [D, C] and bias [C] -> the module that applies them."""
    module = nn.Linear(*weights.shape, device="meta")
    module.to_empty(device="cpu").requires_grad_(False)
    module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights.T, dtype=np.float32)))
    module.bias.copy_(torch.from_numpy(bias.astype(np.float32)))
    return module.eval()
