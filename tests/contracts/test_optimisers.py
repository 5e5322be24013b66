"""Every optimiser: rates by depth, decay that spares norms, a loss that falls; and the field's own, to the digit."""

from __future__ import annotations

import importlib

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional

import fieldmark.encoders.zoo  # noqa: F401  makes timm importable beside any torchvision
import makers_training as make
from fieldmark.encoders import architectures
from fieldmark.encoders.row import ENCODERS
from fieldmark.errors import UnknownName, UsageError
from fieldmark.training import end_to_end, optimisers, planning
from fieldmark.training.loop import Fitted
from fieldmark.training.muon import orthogonal
from fieldmark.training.optimisers import OPTIMISERS
from fieldmark.training.plan import Plan
from fieldmark.training.recipe import Recipe

every_optimiser = pytest.mark.parametrize("optimiser", list(OPTIMISERS))


def shares(network: nn.Module, plan: Plan) -> list[float]:
    """What each weight's group has of the rate, in the network's order; but for filters that Muon turns."""
    groups = [group for group in optimisers.build(network, plan).param_groups if not group.get("orthogonal")]
    share = {id(weight): group["share"] for group in groups for weight in group["params"]}
    return [share[id(weight)] for weight in network.parameters() if id(weight) in share]


@every_optimiser
def test_rates_rise_from_the_first_layer_to_the_head(optimiser):
    network = make.network()
    alike, rising = (
        shares(network, msgspec.structs.replace(make.PLAN, optimiser=optimiser, first_layer_rate=first))
        for first in (1.0, 0.1)
    )
    assert len(set(alike)) == 1
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(0.1 * alike[0]) and rising[-1] > 0.6 * alike[0]


@every_optimiser
def test_decay_shrinks_weights_by_rate_times_decay_and_spares_norms_and_biases(optimiser):
    """With gradients of nought a step is decay alone; a filter that Muon turns keeps its size."""
    plan = msgspec.structs.replace(make.PLAN, optimiser=optimiser, learning_rate=0.5, weight_decay=0.1)
    network = make.network()
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    stepper = optimisers.build(network, plan)
    turned = {id(w) for group in stepper.param_groups if group.get("orthogonal") for w in group["params"]}
    stepper.step()
    for name, weight in network.named_parameters():
        expected = before[name] * (0.95 if weight.ndim > 1 and id(weight) not in turned else 1.0)
        assert torch.allclose(weight, expected, rtol=1e-6, atol=0), name


@every_optimiser
def test_at_the_rate_of_its_row_the_loss_falls(optimiser):
    torch.manual_seed(0)
    network, row = make.network(), OPTIMISERS[optimiser]
    pixels, targets = map(torch.from_numpy, make.squares(48))
    rate, why = row.rate(len(targets), 40, False)
    stepper = optimisers.build(network, msgspec.structs.replace(make.PLAN, optimiser=optimiser, learning_rate=rate))
    losses = []
    for _ in range(40):
        loss = functional.cross_entropy(network(pixels)[1], targets)
        losses.append(loss.item())
        stepper.zero_grad()
        loss.backward()
        for group in stepper.param_groups:
            group["lr"] = rate * group["share"]
        stepper.step()
    assert why
    assert losses[-1] < 0.9 * losses[0]


@every_optimiser
def test_a_new_head_starts_as_suits_the_optimiser(optimiser, tmp_path, monkeypatch):
    heads = []

    def fitted(network, _job, plan):
        heads.append(network.head.weight.detach().clone())
        return Fitted(epochs=(), best_epoch=None, score_name="", plan=plan, notes=())

    monkeypatch.setattr(end_to_end, "fit", fitted)
    end_to_end.learn_end_to_end(make.job(tmp_path, recipe=Recipe(optimiser=optimiser)))
    (head,) = heads
    assert (head.std(correction=0) > 0) == (OPTIMISERS[optimiser].head_spread > 0)


def test_every_encoder_names_an_optimiser_of_the_table():
    assert {ENCODERS[name].optimiser for name in ENCODERS} <= set(OPTIMISERS)
    assert {known.optimiser for known in architectures.ROWS} <= set(OPTIMISERS)


def test_an_optimiser_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(UnknownName, match="adamw"):
        planning.plan(make.job(tmp_path, recipe=Recipe(optimiser="adamv")), pretrained=False)


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
