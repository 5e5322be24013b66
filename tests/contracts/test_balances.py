"""Every balance: nothing where classes are even, more for rare classes where they are not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

import makers_training as make
from fieldmark.encoders.building import encoder_row
from fieldmark.errors import UsageError
from fieldmark.heads.choosing import logits_of
from fieldmark.heads.linear import Linear
from fieldmark.training.adjusting import shift_to_even
from fieldmark.training.balances import BALANCES
from fieldmark.training.batches import Batches, even_order
from fieldmark.training.choosing import choose
from fieldmark.training.end_to_end import answer_for
from fieldmark.training.objective import objective
from fieldmark.training.probe import embed, learn_by_probe
from fieldmark.training.recipe import Recipe

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


def probed(tmp_path, counts, **settings):
    made = job(tmp_path, counts)
    choice = replace(made.choice, row=encoder_row("colour"), head="logistic", method="probe")
    return replace(made, choice=choice, recipe=Recipe(**settings))


def said(made, learned):
    seen = embed(learned.network.encoder, made.pixels, made.validation, deadline=None, progress=make.silent)
    return logits_of(learned.network.head, seen)


def test_a_probe_is_moved_to_classes_that_are_alike_where_they_are_uneven(tmp_path):
    auto = learn_by_probe(probed(tmp_path, (60, 12, 4)))
    assert auto.prior == "even" and auto.settings["balance"] == "logit-adjustment"
    assert any("the largest class has 15 times" in reason for reason in auto.reasons)
    (note,) = auto.notes
    assert "--prior data" in note
    even = learn_by_probe(probed(tmp_path, (30, 25, 20)))
    assert even.prior == "data" and even.settings["balance"] == "none" and not even.notes
    asked = learn_by_probe(probed(tmp_path, (60, 12, 4), prior="even"))
    assert asked.prior == "even" and not asked.notes


def test_what_a_probe_is_moved_by_favours_rare_classes_in_the_units_of_its_logits(tmp_path):
    plain, moved = (probed(tmp_path, (60, 12, 4), prior=prior) for prior in ("data", "even"))
    shift = said(moved, learn_by_probe(moved)) - said(plain, learn_by_probe(plain))
    assert np.ptp(shift, axis=0).max() < 1e-4  # the same for each image
    by_bayes = -np.log(np.array([60, 12, 4]) / 76)
    assert np.ptp(shift[0] / by_bayes) < 1e-4
    logits, targets = (
        np.random.default_rng(0).normal(size=(90, 3)) + 2 * np.eye(3)[np.arange(90) % 3],
        np.arange(90) % 3,
    )
    once, twice = (shift_to_even(COUNTS, scale * logits, targets) for scale in (1.0, 2.0))
    assert twice == pytest.approx(2 * once, rel=1e-3)


def test_a_probe_that_is_judged_out_of_fold_is_judged_as_it_ships(tmp_path):
    plain, moved = (
        replace(made, fold=np.arange(len(made.train)) % 4, validation=made.validation[:0])
        for made in (probed(tmp_path, (60, 12, 4), prior=prior) for prior in ("data", "even"))
    )
    shift = learn_by_probe(moved).out_of_fold - learn_by_probe(plain).out_of_fold
    assert np.ptp(shift, axis=0).max() < 1e-4 and (np.diff(shift[0]) > 0).all()


@every_balance
def test_a_probe_takes_what_a_fitted_head_can_have_and_refuses_the_rest(name, tmp_path):
    made = job(tmp_path, (60, 12, 4))
    recipe = Recipe(model="colour", method="probe", balance=name)
    if BALANCES[name].afterwards:
        choose(recipe, made.data)
    else:
        with pytest.raises(UsageError, match="is for a training loop"):
            choose(recipe, made.data)
