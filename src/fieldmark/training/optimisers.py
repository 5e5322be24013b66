"""How steps are taken. Weight decay is decoupled from the gradient, and leaves norms, biases and scales alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.errors import UsageError
from fieldmark.training.decoupled import DecoupledSGD
from fieldmark.training.muon import Muon
from fieldmark.training.plan import Plan

MOMENTUM = 0.9
MUON_MOMENTUM = 0.6  # of what Muon leaves to SGD
BESIDE_MUON = 0.83  # share of Muon's rate, which is in units of the filters' size, that suits the rest


def build(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser over the weights that train. Before every step the loop sets each group's `lr` to the
    schedule's rate times the group's `share`. UsageError where the network has nothing that Muon is for."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    # Not the depthwise ones, whose rows see a channel each: between them there is nothing to make orthogonal.
    filters = [w for w in weights if plan.optimiser == "muon" and w.ndim == 4 and w.shape[1] > 1]
    rest = [w for w in weights if not any(w is filter for filter in filters)]
    decayed, spared = [w for w in rest if w.ndim > 1], [w for w in rest if w.ndim <= 1]
    if plan.optimiser == "adamw":
        groups = _groups("weight_decay", decayed, spared, plan.weight_decay)
        return torch.optim.AdamW(groups, lr=plan.learning_rate, foreach=True)
    if plan.optimiser == "sgd":
        groups = _groups("decay", decayed, spared, plan.weight_decay)
        return DecoupledSGD(groups, lr=plan.learning_rate, momentum=MOMENTUM, nesterov=True, foreach=True)
    if not filters:
        raise UsageError(
            "muon moves the filters of convolutions, and this network has none",
            where="--optimiser muon",
            do="use --optimiser adamw, which is right for transformers",
        )
    groups = _groups("decay", decayed, spared, plan.weight_decay, share=BESIDE_MUON)
    groups.append({"params": filters, "decay": 0.0, "share": 1.0, "orthogonal": True})
    return Muon(groups, lr=plan.learning_rate, momentum=MUON_MOMENTUM, nesterov=True, foreach=True)


def _groups(
    key: str, decayed: Sequence[Tensor], spared: Sequence[Tensor], decay: float, share: float = 1.0
) -> list[dict[str, Any]]:
    groups = [{"params": decayed, key: decay, "share": share}, {"params": spared, key: 0.0, "share": share}]
    return [group for group in groups if group["params"]]
