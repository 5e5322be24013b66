"""Every loss, for every kind of labels that it is for: what its paper says, and numbers whatever the logits."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch.nn import functional

import fieldmark.encoders.zoo  # noqa: F401  makes timm importable beside any torchvision
from fieldmark.data.dataset import UNKNOWN
from fieldmark.errors import UsageError
from fieldmark.training.losses import LOSSES, softened

LOGITS = 3 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TARGETS = {
    "single": torch.tensor([0, 1, 2, 3, 1, 0]),
    "multi": torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]),
}
CASES = [(name, task) for name in LOSSES for task in ("single", "multi") if getattr(LOSSES[name], task)]
every_loss = pytest.mark.parametrize(("name", "task"), CASES)


def value(name, task, logits=LOGITS, smoothing=0.0):
    truth = softened(TARGETS[task], 4, task, smoothing)
    return LOSSES[name].of(task)(logits, truth)


@every_loss
def test_a_value_a_row_not_below_nought_and_least_for_the_truth(name, task):
    right = 12 * (2 * softened(TARGETS[task], 4, task, 0.0) - 1)
    losses, at_truth = value(name, task), value(name, task, right)
    assert losses.shape == (6,) and (losses >= 0).all()
    assert (at_truth < 0.02).all() and (value(name, task, -right) > at_truth + 0.5).all()


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
def test_gradients_are_numbers_whatever_the_logits(name, task, size):
    logits = (size * LOGITS).requires_grad_()
    value(name, task, logits, smoothing=0.1).mean().backward()
    assert torch.isfinite(logits.grad).all()


@every_loss
def test_going_down_it_finds_the_truth(name, task):
    logits = torch.zeros(6, 4, requires_grad=True)
    for _ in range(300):
        (gradient,) = torch.autograd.grad(value(name, task, logits).sum(), logits)
        logits = (logits - 2.0 * gradient).detach().requires_grad_()
    truth = TARGETS[task]
    assert torch.equal(logits.argmax(1), truth) if task == "single" else torch.equal(logits > 0, truth == 1)


def test_cross_entropy_is_torchs():
    expected = functional.cross_entropy(LOGITS, TARGETS["single"], label_smoothing=0.1, reduction="none")
    assert torch.allclose(value("cross-entropy", "single", smoothing=0.1), expected, atol=1e-6)
    truth = torch.where(TARGETS["multi"] == 1, 0.95, 0.05)
    binary = functional.binary_cross_entropy_with_logits(LOGITS, truth, reduction="none").mean(1)
    assert torch.allclose(value("cross-entropy", "multi", smoothing=0.1), binary, atol=1e-6)


def test_focal_is_the_papers():
    likely = torch.where(TARGETS["multi"] == 1, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    assert torch.allclose(value("focal", "multi"), -((1 - likely) ** 2 * likely.log()).mean(1), atol=1e-5)


def test_asymmetric_is_timms():
    theirs = importlib.import_module("timm.loss").AsymmetricLossMultiLabel(gamma_neg=4, gamma_pos=0, clip=0.05)
    ours = 4 * value("asymmetric", "multi").mean().item()
    assert ours == pytest.approx(theirs(LOGITS, TARGETS["multi"]).item(), rel=1e-4)


def test_a_wrong_label_pulls_less_under_the_robust_ones():
    """Sure of class 0 and told that it is 1: how strongly each loss insists."""
    pulls = {}
    for name in ("cross-entropy", "generalised-cross-entropy"):
        logits = torch.tensor([[6.0, 0.0, 0.0, 0.0]], requires_grad=True)
        LOSSES[name].of("single")(logits, torch.tensor([[0.0, 1.0, 0.0, 0.0]])).backward()
        pulls[name] = float(logits.grad.norm())
    assert pulls["generalised-cross-entropy"] < 0.1 * pulls["cross-entropy"]


def test_a_loss_for_other_labels_is_refused_with_those_that_fit():
    with pytest.raises(UsageError, match="several labels") as refused:
        LOSSES["generalised-cross-entropy"].of("multi")
    assert "asymmetric" in str(refused.value)


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].multi])
def test_what_nobody_looked_for_pulls_nowhere_and_the_rest_as_before(name):
    unknown = torch.tensor(
        [[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]]
    ).bool()
    logits = LOGITS.clone().requires_grad_()
    whole = LOSSES[name].of("multi")(logits, softened(TARGETS["multi"], 4, "multi", 0.1)).sum()
    (everywhere,) = torch.autograd.grad(whole, logits)
    truth = softened(TARGETS["multi"].masked_fill(unknown, UNKNOWN), 4, "multi", 0.1)
    assert torch.equal(truth.isnan(), unknown)
    losses = LOSSES[name].of("multi")(logits, truth)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert torch.isfinite(losses).all() and not gradient[unknown].any()
    assert torch.equal(gradient[~unknown], everywhere[~unknown])
