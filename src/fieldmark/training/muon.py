"""Muon: convolution filters step in orthogonal directions, all of them as far; everything else is Nesterov SGD.

Jordan et al. 2024, Muon: an optimizer for hidden layers. A gradient's few strong directions drown the others; made
orthogonal, every direction that the batch speaks of is learnt at the same pace, which takes far fewer passes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.training.decoupled import DecoupledSGD

MOMENTUM = 0.6
# Newton-Schulz for the polar factor, with the coefficients of the paper: three rounds bring the singular values of
# a usual gradient near enough to one another.
ROUNDS = 3
A, B, C = 3.4445, -4.7750, 2.0315


class Muon(DecoupledSGD):
    """Groups with `orthogonal=True` hold filters [out, in, height, width]; their `lr` is in units of the filters' own
    size, which stays what it was at the start: what a filter feeds is normalised, so only its direction counts."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        for group in self.param_groups:
            for filters in group["params"] if group.get("orthogonal") else ():
                if filters.grad is not None:
                    self._turn(filters, filters.grad, group["lr"])
                    filters.grad = None  # used up: SGD, below, moves what has one
        return super().step(closure)

    def _turn(self, filters: Tensor, gradient: Tensor, learning_rate: float) -> None:
        kept = self.state[filters]
        if "momentum_buffer" not in kept:
            kept["momentum_buffer"] = torch.zeros_like(filters)
        momentum = kept["momentum_buffer"].mul_(MOMENTUM).add_(gradient)
        ahead = gradient.add(momentum, alpha=MOMENTUM)
        size = filters.norm()
        filters.add_(orthogonal(ahead) * size, alpha=-learning_rate / len(filters) ** 0.5)
        filters.mul_(size / filters.norm())


def orthogonal(update: Tensor) -> Tensor:
    """float32 [out, ...] -> the same shape: about the nearest matrix [out, rest] whose singular values are all 1."""
    matrix = update.flatten(1)
    wide = matrix.shape[0] <= matrix.shape[1]
    turned = matrix if wide else matrix.T
    turned = turned / (turned.norm() + 1e-7)
    for _ in range(ROUNDS):
        gram = turned @ turned.T
        turned = A * turned + (B * gram + C * gram @ gram) @ turned
    back: Tensor = (turned if wide else turned.T).reshape(update.shape)
    return back
