"""How steps are taken: the table of optimisers. Weight decay is decoupled from the gradient, and leaves norms, biases
and scales alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.errors import UsageError
from fieldmark.table import Table
from fieldmark.training.decoupled import DecoupledSGD
from fieldmark.training.lion import Lion
from fieldmark.training.muon import Muon
from fieldmark.training.plan import Plan

MOMENTUM = 0.9
MUON_MOMENTUM = 0.6  # of what Muon leaves to SGD
RATES = 6  # as many learning rates at most, from first layer to head
FEW_STEPS = 200  # of Muon, up to which they may be as long as any
BESIDE_MUON = 0.83  # share of Muon's rate, which is in units of the filters' size, that suits the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """A row. `over(weights, plan)` moves the weights that train, which stand in the network's order; `rate(batch,
    steps, pretrained)` is the peak learning rate that suits so many steps, and `decay` the weight decay, each with
    the reason; `largest_batch` is the most images a step from scratch, and `head_spread` the standard deviation of a
    new head's weights. Nought is well where steps go with the gradient. Adam's go with the gradient over its own size
    of late, and behind a head of noughts there was none: the first steps would be thirty times too long."""

    name: str
    summary: str
    reference: str
    over: Callable[[Sequence[Tensor], Plan], torch.optim.Optimizer]
    rate: Callable[[int, float, bool], tuple[float, str]]
    decay: tuple[float, str]
    largest_batch: int = 128
    head_spread: float = 0.0


def build(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser over the weights that train. Before every step the loop sets each group's `lr` to the
    schedule's rate times the group's `share`. UsageError where the network has nothing that Muon is for."""
    return OPTIMISERS[plan.optimiser].over([weight for weight in network.parameters() if weight.requires_grad], plan)


def _sgd(weights: Sequence[Tensor], plan: Plan) -> torch.optim.Optimizer:
    groups = _groups("decay", weights, plan)
    return DecoupledSGD(groups, lr=plan.learning_rate, momentum=MOMENTUM, nesterov=True, foreach=True)


def _adamw(weights: Sequence[Tensor], plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.AdamW(_groups("weight_decay", weights, plan), lr=plan.learning_rate, foreach=True)


def _lion(weights: Sequence[Tensor], plan: Plan) -> torch.optim.Optimizer:
    return Lion(_groups("decay", weights, plan), {"lr": plan.learning_rate})


def _muon(weights: Sequence[Tensor], plan: Plan) -> torch.optim.Optimizer:
    # Not the depthwise ones, whose rows see a channel each: between them there is nothing to make orthogonal.
    filters = [weight for weight in weights if weight.ndim == 4 and weight.shape[1] > 1]
    if not filters:
        raise UsageError(
            "muon moves the filters of convolutions, and this network has none",
            where="--optimiser muon",
            do="use --optimiser adamw, which is right for transformers",
        )
    rest = [weight for weight in weights if not any(weight is each for each in filters)]
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


def _rate_of_sgd(batch: int, _steps: float, pretrained: bool) -> tuple[float, str]:
    return (0.01 if pretrained else 0.1) * batch / 128, f"in proportion to a batch of {batch} (Goyal et al. 2017)"


def _rate_of_adamw(_batch: int, _steps: float, pretrained: bool) -> tuple[float, str]:
    return (3e-4, "usual for fine-tuning") if pretrained else (2e-3, "usual for small networks from scratch")


def _rate_of_lion(_batch: int, _steps: float, pretrained: bool) -> tuple[float, str]:
    return (6e-5 if pretrained else 4e-4), "a fifth of AdamW's (Chen et al. 2023: a third to a tenth)"


def _rate_of_muon(batch: int, steps: float, pretrained: bool) -> tuple[float, str]:
    if pretrained:
        return 0.03 * (batch / 512) ** 0.5, f"of a filter's size; with the root of a batch of {batch}"
    # A step is as long as another, so a long walk needs short ones: on CIFAR-10, by 5,000 images held out, 0.24 is
    # better than 0.12 over 130 steps, none of 0.12 to 0.24 is clearly so over 400, and 0.12 is than 0.24 over 1,300.
    shorter = min(1.0, (FEW_STEPS / steps) ** 0.5)
    why = f"of a filter's size; with the root of a batch of {batch}, against that of about {steps:.0f} steps"
    return 0.24 * shorter * (batch / 512) ** 0.5, why


_DECAY = (5e-3, "decoupled; 5e-4 in PyTorch's coupled form")
ROWS = (
    Optimiser(
        name="muon",
        summary="convolutional networks from scratch",
        reference="Jordan et al. 2024, Muon: an optimizer for hidden layers",
        over=_muon,
        rate=_rate_of_muon,
        decay=_DECAY,
        largest_batch=512,
    ),
    Optimiser(
        name="sgd",
        summary="the same, classically: Nesterov momentum, decoupled decay",
        reference="Loshchilov and Hutter 2019, Decoupled weight decay regularization",
        over=_sgd,
        rate=_rate_of_sgd,
        decay=_DECAY,
    ),
    Optimiser(
        name="adamw",
        summary="pretrained weights and transformers",
        reference="Loshchilov and Hutter 2019, Decoupled weight decay regularization",
        over=_adamw,
        rate=_rate_of_adamw,
        decay=(0.05, "usual for AdamW"),
        head_spread=0.02,
    ),
    Optimiser(
        name="lion",
        summary="the same with half the memory: every weight steps as far as every other",
        reference="Chen et al. 2023, Symbolic discovery of optimization algorithms",
        over=_lion,
        rate=_rate_of_lion,
        decay=(0.25, "five times AdamW's, as its rate is a fifth: what decays in a step stays"),
    ),
)
OPTIMISERS: Table[Optimiser] = Table.rows("optimiser", ROWS)
