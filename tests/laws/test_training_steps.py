"""Optimisers: the field's own, to the digit."""

from __future__ import annotations

import importlib

import msgspec
import pytest
import torch
from torch import nn

import fieldmark.encoders.zoo  # noqa: F401  makes timm importable beside any torchvision
import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training import optimisers
from fieldmark.training.muon import orthogonal


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lion"])
def test_rates_rise_from_the_first_layer_to_the_head(optimiser):
    plan = msgspec.structs.replace(make.PLAN, optimiser=optimiser, first_layer_rate=0.1)
    network = make.network()
    share = {id(w): g["share"] for g in optimisers.build(network, plan).param_groups for w in g["params"]}
    shares = [share[id(weight)] for weight in network.parameters()]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.1) and shares[-1] > 0.6


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lion"])
def test_decay_shrinks_weights_by_rate_times_decay_and_spares_norms_and_biases(optimiser):
    """With gradients of nought a step is decay alone."""
    plan = msgspec.structs.replace(make.PLAN, optimiser=optimiser, learning_rate=0.5, weight_decay=0.1)
    network = make.network()
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimisers.build(network, plan).step()
    for name, weight in network.named_parameters():
        expected = before[name] * (0.95 if weight.ndim > 1 else 1.0)
        assert torch.allclose(weight, expected, rtol=1e-6, atol=0), name


def test_sgd_without_decay_is_torchs_own():
    plan = msgspec.structs.replace(make.PLAN, learning_rate=0.1, weight_decay=0.0)
    ours, theirs = make.network(), make.network()
    steppers = (
        optimisers.build(ours, plan),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=True),
    )
    for _ in range(3):
        for network, stepper in zip((ours, theirs), steppers):
            stepper.zero_grad()
            network.head(torch.ones(2, 8)).square().sum().backward()
            stepper.step()
    assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion_is_timms_own(decay):
    plan = msgspec.structs.replace(make.PLAN, optimiser="lion", learning_rate=0.01, weight_decay=decay)
    ours, theirs = nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)
    theirs.load_state_dict(ours.state_dict())
    Lion = importlib.import_module("timm.optim").Lion
    steppers = (optimisers.build(ours, plan), Lion(theirs.parameters(), lr=0.01, weight_decay=decay, foreach=False))
    for seed in range(5):
        gradient = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
        for network, stepper in zip((ours, theirs), steppers):
            network.weight.grad = gradient.clone()
            stepper.step()
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-5, atol=1e-7)


def test_orthogonal_brings_strong_and_weak_directions_together():
    random = torch.Generator().manual_seed(0)
    update = torch.randn(12, 4, 3, 3, generator=random) * torch.logspace(-1, 1, 12)[:, None, None, None]
    before, after = (torch.linalg.svdvals(each.flatten(1)) for each in (update, orthogonal(update)))
    assert before.max() / before.min() > 50
    assert after.max() / after.min() < 10 and 0.6 < after.max() < 1.3
    assert torch.allclose(orthogonal(update.flatten(1).T), orthogonal(update).flatten(1).T, atol=1e-5)
    assert torch.allclose(orthogonal(update * 1e4), orthogonal(update), atol=1e-4)


def test_muon_turns_filters_and_keeps_their_size():
    plan = msgspec.structs.replace(make.PLAN, optimiser="muon", learning_rate=0.1)
    network = make.network()
    filters = network.encoder.convolution.weight
    before = filters.detach().clone()
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    optimisers.build(network, plan).step()
    assert filters.detach().norm() == pytest.approx(before.norm().item(), rel=1e-5)
    # Eight directions, each a step of a tenth of a filter's mean size.
    moved = (filters.detach() - before).norm() / before.norm()
    assert 0.05 < moved < 0.12


def test_muon_without_filters_is_refused():
    plan = msgspec.structs.replace(make.PLAN, optimiser="muon")
    with pytest.raises(UsageError, match="convolutions"):
        optimisers.build(nn.Linear(4, 2), plan)


def test_frozen_weights_are_left_out():
    network = make.network()
    network.encoder.convolution.weight.requires_grad_(False)
    stepped = {id(w) for group in optimisers.build(network, make.PLAN).param_groups for w in group["params"]}
    assert stepped == {id(weight) for weight in network.parameters() if weight.requires_grad}
    assert isinstance(network.head, nn.Linear)
