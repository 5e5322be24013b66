"""Every balance: nothing where classes are even, more for rare classes where they are not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

import makers_training as make
from fieldmark.heads.linear import Linear
from fieldmark.training.balances import BALANCES
from fieldmark.training.batches import Batches, even_order
from fieldmark.training.end_to_end import answer_for
from fieldmark.training.objective import objective

every_balance = pytest.mark.parametrize("name", list(BALANCES))
COUNTS = np.array([100.0, 20.0, 5.0])


def job(tmp_path, counts):
    """Squares of three colours, so many of each in training."""
    made = make.job(tmp_path, images=300)
    by_class = [np.flatnonzero(made.data.targets == label) for label in range(3)]
    return replace(made, train=np.sort(np.concatenate([r[:n] for r, n in zip(by_class, counts)])))


@every_balance
def test_even_classes_need_nothing(name, tmp_path):
    made, plan = job(tmp_path, (30, 30, 30)), make.PLAN
    batch = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0]), 0.9
    plain = make.lowered(objective(made, plan), *batch)
    assert make.lowered(objective(made, msgspec.structs.replace(plan, balance=name)), *batch) == pytest.approx(
        plain.item(), rel=1e-5
    )


@every_balance
def test_rare_classes_count_for_more_and_the_mean_weight_is_one(name):
    row = BALANCES[name]
    assert (name == "none") == (row.offset is None and row.weight is None and not row.even_draws)
    if row.offset:
        assert (np.diff(row.offset(COUNTS)) < 0).all()
        assert np.exp(row.offset(COUNTS)).sum() == pytest.approx(1.0)
    if row.weight:
        for position in (0.0, 0.5, 1.0):
            weight = row.weight(COUNTS, position)
            assert (weight @ COUNTS) / COUNTS.sum() == pytest.approx(1.0)
        assert (np.diff(weight) > 0).all()


def test_even_draws_fill_the_epoch_with_as_many_of_each_and_each_image_before_any_again():
    targets = np.repeat([0, 1, 2], [100, 20, 5])
    order = even_order(targets, np.random.default_rng(0))
    assert np.bincount(targets[order]).tolist() == [42, 42, 42]
    times = np.bincount(order, minlength=125)
    assert all(np.ptp(times[targets == label]) <= 1 for label in range(3))


def test_batches_of_even_draws_are_even(tmp_path):
    made = job(tmp_path, (60, 12, 4))
    batches = Batches(made, msgspec.structs.replace(make.PLAN, balance="balanced-sampling", batch=76))
    counts = np.bincount(batches.at(0).targets.numpy())
    assert np.ptp(counts) <= 1


def test_the_prior_is_moved_by_bayes_rule(tmp_path):
    """Logits of a network trained on 60 : 12 : 4, answered for classes that are alike, and back again."""
    made, head = job(tmp_path, (60, 12, 4)), Linear(8, 3)
    answer_for(head, made, msgspec.structs.replace(make.PLAN, balance="none", prior="even"))
    assert head.bias.detach().softmax(0).tolist() == pytest.approx(
        (1 / np.array([60, 12, 4])) / (1 / 60 + 1 / 12 + 1 / 4)
    )
    answer_for(head, made, msgspec.structs.replace(make.PLAN, balance="logit-adjustment", prior="data"))
    assert head.bias.detach().numpy() == pytest.approx(head.bias[0].item(), abs=1e-5)
    answer_for(head, made, msgspec.structs.replace(make.PLAN, balance="logit-adjustment", prior="even"))
    assert np.ptp(head.bias.detach().numpy()) < 1e-5
