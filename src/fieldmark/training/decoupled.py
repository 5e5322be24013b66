"""Nesterov SGD whose weight decay is decoupled from the gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch


class DecoupledSGD(torch.optim.SGD):
    """Each step first shrinks a group's weights by its `lr` times its `decay`, as AdamW does (Loshchilov and Hutter
    2019), so that the two can be tuned apart."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        for group in self.param_groups:
            moving = [weight for weight in group["params"] if weight.grad is not None]
            if moving and group["decay"]:
                torch._foreach_mul_(moving, 1.0 - group["lr"] * group["decay"])
        return super().step(closure)  # type: ignore[no-any-return]
