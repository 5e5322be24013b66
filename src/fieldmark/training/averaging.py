"""Weights averaged over the latest steps, which answer better than the last step's (Polyak and Juditsky 1992).

The average forgets at the pace of the schedule and not of steps: it spans the same share of a short run and of a long
one, and weights of the start are soon gone from both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of all floating-point tensors of `network`; `span` is the share of the schedule
    that it looks back on. Nought: no average, and `applied` leaves the network as it is."""

    def __init__(self, network: nn.Module, span: float, tensors: dict[str, Tensor] | None = None) -> None:
        self._network, self._span = network, span
        self.tensors = tensors or ({n: t.detach().clone() for n, t in _moving(network).items()} if span else {})
        for name, tensor in _moving(network).items() if tensors else ():
            self.tensors[name] = self.tensors[name].to(tensor)

    @torch.no_grad()
    def update(self, moved: float) -> None:
        """After a step that walked `moved` (0..1) of the schedule."""
        if self._span:
            now = _moving(self._network)
            kept = list(self.tensors.values())
            torch._foreach_lerp_(kept, [now[name] for name in self.tensors], 1.0 - math.exp(-moved / self._span))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averaged weights are in the network while the context lasts."""
        if not self._span:
            yield
            return
        before = {name: tensor.detach().clone() for name, tensor in _moving(self._network).items()}
        self._put(self.tensors)
        try:
            yield
        finally:
            self._put(before)

    @torch.no_grad()
    def _put(self, tensors: dict[str, Tensor]) -> None:
        now = _moving(self._network)
        for name, tensor in tensors.items():
            now[name].copy_(tensor)


def _moving(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
