"""Lion: every weight steps as far as every other, in the sign of a momentum.

Chen et al. 2023, Symbolic discovery of optimization algorithms. Half of AdamW's memory. A step of fixed length wants
a rate 3 to 10 times smaller than AdamW's, and as much more decay.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

NEWEST, KEPT = 0.9, 0.99  # the paper's betas: of the momentum that the step looks at, and of the one that is kept


class Lion(torch.optim.Optimizer):
    """Groups hold `params`, `lr` and `decay`, which is decoupled: each step first shrinks weights by `lr * decay`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            moving = [weight for weight in group["params"] if weight.grad is not None]
            if moving:
                self._move(moving, group["lr"], group["decay"])
        return loss

    def _move(self, weights: list[Tensor], learning_rate: float, decay: float) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
        kept = [self.state[weight]["momentum_buffer"] for weight in weights]
        update = torch._foreach_lerp(kept, gradients, 1.0 - NEWEST)
        torch._foreach_sign_(update)
        torch._foreach_mul_(weights, 1.0 - learning_rate * decay)
        torch._foreach_add_(weights, update, alpha=-learning_rate)
        torch._foreach_lerp_(kept, gradients, 1.0 - KEPT)
