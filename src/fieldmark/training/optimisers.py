"""How steps are taken. Weight decay is decoupled from the gradient, and leaves norms, biases and scales alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from fieldmark.training.plan import Plan

MOMENTUM = 0.9


class DecoupledSGD(torch.optim.SGD):
    """Nesterov SGD; each step first shrinks weights by learning rate times decay, as AdamW does
    (Loshchilov and Hutter 2019), so that the two can be tuned apart."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        for group in self.param_groups:
            moving = [weight for weight in group["params"] if weight.grad is not None]
            if moving and group["decay"]:
                torch._foreach_mul_(moving, 1.0 - group["lr"] * group["decay"])
        return super().step(closure)  # type: ignore[no-any-return]


def build(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser over the weights that train; the loop sets each group's `lr` before every step."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    decayed, spared = [w for w in weights if w.ndim > 1], [w for w in weights if w.ndim <= 1]
    if plan.optimiser == "adamw":
        groups = _groups("weight_decay", decayed, spared, plan)
        return torch.optim.AdamW(groups, lr=plan.learning_rate, foreach=True)
    groups = _groups("decay", decayed, spared, plan)
    return DecoupledSGD(groups, lr=plan.learning_rate, momentum=MOMENTUM, nesterov=True, foreach=True)


def _groups(key: str, decayed: Sequence[Tensor], spared: Sequence[Tensor], plan: Plan) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [{"params": decayed, key: plan.weight_decay}, {"params": spared, key: 0.0}]
    return [group for group in groups if group["params"]]
