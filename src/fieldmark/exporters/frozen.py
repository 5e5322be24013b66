"""The network as it is shipped."""

from __future__ import annotations

import copy

from torch import nn


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in float32 and evaluation mode; the caller's network stays where and as it is."""
    return copy.deepcopy(network).cpu().float().eval()
