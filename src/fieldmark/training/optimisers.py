"""How steps are taken. Weight decay is decoupled from the gradient, and leaves norms, biases and scales alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.errors import UsageError
from fieldmark.training.decoupled import DecoupledSGD
from fieldmark.training.lion import Lion
from fieldmark.training.muon import Muon
from fieldmark.training.plan import Plan

MOMENTUM = 0.9
MUON_MOMENTUM = 0.6  # of what Muon leaves to SGD
RATES = 6  # as many learning rates at most, from first layer to head
BESIDE_MUON = 0.83  # share of Muon's rate, which is in units of the filters' size, that suits the rest


def build(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser over the weights that train. Before every step the loop sets each group's `lr` to the
    schedule's rate times the group's `share`. UsageError where the network has nothing that Muon is for."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    # Not the depthwise ones, whose rows see a channel each: between them there is nothing to make orthogonal.
    filters = [w for w in weights if plan.optimiser == "muon" and w.ndim == 4 and w.shape[1] > 1]
    rest = [w for w in weights if not any(w is filter for filter in filters)]
    if plan.optimiser == "adamw":
        groups = _groups("weight_decay", rest, plan)
        return torch.optim.AdamW(groups, lr=plan.learning_rate, foreach=True)
    if plan.optimiser == "lion":
        return Lion(_groups("decay", rest, plan), {"lr": plan.learning_rate})
    if plan.optimiser == "sgd":
        groups = _groups("decay", rest, plan)
        return DecoupledSGD(groups, lr=plan.learning_rate, momentum=MOMENTUM, nesterov=True, foreach=True)
    if not filters:
        raise UsageError(
            "muon moves the filters of convolutions, and this network has none",
            where="--optimiser muon",
            do="use --optimiser adamw, which is right for transformers",
        )
    groups = _groups("decay", rest, plan, share=BESIDE_MUON)
    groups.append({"params": filters, "decay": 0.0, "share": 1.0, "orthogonal": True})
    return Muon(groups, lr=plan.learning_rate, momentum=MUON_MOMENTUM, nesterov=True, foreach=True)


def _groups(key: str, weights: Sequence[Tensor], plan: Plan, share: float = 1.0) -> list[dict[str, Any]]:
    """Weights in the order of the network, in up to RATES runs of like depth; in each those that decay and those that
    do not. From the first run to the last the rate rises by equal factors (Howard and Ruder 2018)."""
    runs = RATES if plan.first_layer_rate < 1.0 else 1
    groups = []
    for run in range(runs):
        some = [w for at, w in enumerate(weights) if at * runs // len(weights) == run]
        rate = share * plan.first_layer_rate ** (1.0 - run / max(1, runs - 1))
        groups.append({"params": [w for w in some if w.ndim > 1], key: plan.weight_decay, "share": rate})
        groups.append({"params": [w for w in some if w.ndim <= 1], key: 0.0, "share": rate})
    return [group for group in groups if group["params"]]
