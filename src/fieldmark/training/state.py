"""Network, optimiser, best weights and what the objective remembers, as one flat table of tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Tensors = dict[str, Tensor]


def gather(network: nn.Module, optimiser: Optimizer, best: Tensors, average: Tensors, remembered: Tensors) -> Tensors:
    """Names are `model.<name>`, `best.<name>`, `average.<name>`, `remembered.<name>` and
    `optimiser.<number of the weight>.<what>`."""
    moments = optimiser.state_dict()["state"]
    return {
        **{f"model.{name}": value for name, value in network.state_dict().items()},
        **{f"best.{name}": value for name, value in best.items()},
        **{f"average.{name}": value for name, value in average.items()},
        **{f"remembered.{name}": value for name, value in remembered.items()},
        **{f"optimiser.{i}.{key}": value for i, kept in moments.items() for key, value in kept.items()},
    }


def put_back(
    tensors: Mapping[str, Tensor], network: nn.Module, optimiser: Optimizer, remembered: Tensors
) -> tuple[Tensors, Tensors]:
    """The reverse of `gather`, into a network, an optimiser and a memory built alike; returns the best weights so far
    and the averaged ones."""
    network.load_state_dict(_under("model.", tensors))
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimiser.", tensors).items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = _laid_out_like(weights[int(number)], value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    for name, value in _under("remembered.", tensors).items():
        remembered[name].copy_(value)
    return _under("best.", tensors), _under("average.", tensors)


def snapshot(network: nn.Module) -> Tensors:
    """A copy of the weights as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    # A file holds tensors row-major; bit-exact arithmetic wants the layout (channels_last) that they had.
    return torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
