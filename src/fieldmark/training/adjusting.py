"""A fitted head, moved to a world whose classes are all alike (Menon et al. 2021, post-hoc logit adjustment)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.inference.deciding import fit_temperature
from fieldmark.training.balances import log_prior


class Adjusted(nn.Module):
    """The logits of `head` and a constant for each class, `shift` [C]: float32 [N, D] -> float32 [N, C]."""

    shift: Tensor

    def __init__(self, head: nn.Module, shift: NDArray[np.float64]) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("shift", torch.from_numpy(shift.astype(np.float32)))

    def forward(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.head(embedding) + self.shift
        return logits


def shift_to_even(
    counts: NDArray[np.float64], logits: NDArray[np.float32], targets: NDArray[Any]
) -> NDArray[np.float64]:
    """[C], by Bayes' rule: less the log of how common a class was in training (`counts`). A head's logits need not be
    log-odds, so this is in units of the temperature that makes them that on held-out `logits` [N, C]."""
    return -fit_temperature(logits, targets) * log_prior(counts)
