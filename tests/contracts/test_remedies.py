"""Every remedy: wrong labels are learnt by heart less than without it; and which estimate calls for which."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import makers_training as make
from fieldmark.encoders.encoder import Encoder
from fieldmark.measures.intervals import proportion
from fieldmark.measures.label_noise import Kind, LabelNoise, Mistaken
from fieldmark.training.loop import fit
from fieldmark.training.network import Network
from fieldmark.training.objective import ANSWERS, objective
from fieldmark.training.planning import plan as plan_for
from fieldmark.training.recipe import Recipe
from fieldmark.training.remedies import REMEDIES, held_apart, in_words, posterior, pull, remedy_for, renewed, smallest

every_remedy = pytest.mark.parametrize("name", [name for name in REMEDIES if name != "none"])
RATE = 0.3


class Memoriser(Encoder):
    """So many weights that any labels can be learnt by heart."""

    embedding_size = 256

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * make.SIDE_PX**2, self.embedding_size)

    def forward(self, pixels: Tensor) -> Tensor:
        return (4 * self.layer(pixels.flatten(1) - 0.4)).relu()


def learnt_by_heart(tmp_path, remedy: str) -> list[float]:
    """After each epoch, of the training images with a wrong label the share that is answered with that label."""
    random = np.random.default_rng(0)
    pixels, truth = make.squares(240, noise=20.0)
    labels = np.where(random.random(240) < RATE, (truth + random.integers(1, 3, 240)) % 3, truth)
    made = make.job(tmp_path)
    made = replace(
        made,
        pixels=pixels,
        data=make.table(tmp_path, labels),
        train=np.arange(240),
        validation=np.flatnonzero(labels != truth),
    )
    torch.manual_seed(0)
    network = Network(Memoriser(), nn.Linear(Memoriser.embedding_size, 3))
    changes = {"flip": False, "shift_px": 0, "label_smoothing": REMEDIES[remedy].smoothing}
    plan = msgspec.structs.replace(
        make.PLAN, epochs=40, learning_rate=0.005, remedy=remedy, noise_rate=RATE, **changes
    )
    return [epoch.score for epoch in fit(network, made, plan).epochs]


@every_remedy
def test_wrong_labels_are_learnt_by_heart_less(name, tmp_path):
    plain, remedied = (learnt_by_heart(tmp_path, each) for each in ("none", name))
    assert plain[-1] > 0.95
    assert remedied[-1] < (0.5 if REMEDIES[name].corrects else 0.1)
    assert np.mean(remedied) < 0.75 * np.mean(plain)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, generator=random), torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([5, 3, 9, 0, 2, 7])


@every_remedy
def test_its_gradients_are_numbers_whatever_the_logits(name, tmp_path):
    lowered = objective(make.job(tmp_path), msgspec.structs.replace(make.PLAN, remedy=name, noise_rate=RATE))
    for size in (0.0, 1e2, 1e4) * 3:
        logits, targets, rows = batch()
        logits = (size * logits).requires_grad_()
        make.lowered(lowered, logits, targets, 0.5, rows).backward()
        assert torch.isfinite(logits.grad).all()


def test_a_memory_is_the_papers_moving_mean_of_the_rows_that_were_seen(tmp_path):
    lowered = objective(make.job(tmp_path), msgspec.structs.replace(make.PLAN, remedy="early-learning"))
    (logits, targets, rows), (later, _, _) = batch(0), batch(1)
    make.lowered(lowered, logits, targets, 0.1, rows)
    make.lowered(lowered, later, targets, 0.1, rows)
    expected = 0.7 * (0.3 * logits.softmax(1)) + 0.3 * later.softmax(1)
    kept = lowered.remembered[ANSWERS]
    assert torch.allclose(kept[rows].float(), expected, atol=2e-3)
    others = torch.ones(len(kept), dtype=torch.bool)
    others[rows] = False
    assert not kept[others].any()
    assert kept.dtype == torch.float16 and kept.shape == (64, 3)


def test_the_pull_is_the_papers():
    """log(1 - <t, p>), whose gradient is p (<t, p> - t) / (1 - <t, p>)."""
    logits = torch.tensor([[2.0, 0.5, -1.0]], requires_grad=True)
    remembered = torch.tensor([[0.1, 0.7, 0.2]])
    added = pull(logits, remembered)
    added.sum().backward()
    p = logits.detach().softmax(1)
    agreement = (p * remembered).sum()
    assert added.item() == pytest.approx(torch.log(1 - agreement).item(), rel=1e-5)
    assert torch.allclose(logits.grad, p * (agreement - remembered) / (1 - agreement), atol=1e-5)


MIXED = np.array([[0.6, 0.0, 0.1], [0.3, 1.0, 0.1], [0.1, 0.0, 0.8]])  # column: truth


def test_with_the_present_answer_remembered_the_gradient_is_that_of_forward_correction():
    """Of -log sum_y p(y) T[label, y] (Patrini et al. 2017)."""
    logits, targets, _ = batch()
    mixed = torch.from_numpy(MIXED).float()
    corrected, plain = (logits.clone().requires_grad_() for _ in range(2))
    (-(corrected.softmax(1) * mixed[targets]).sum(1).log()).sum().backward()
    aim = posterior(mixed[targets], logits.softmax(1))
    (-(aim * plain.log_softmax(1)).sum()).backward()
    assert torch.allclose(corrected.grad, plain.grad, atol=1e-6)


def test_targets_begin_as_what_labels_tell_and_follow_what_is_remembered(tmp_path):
    made = replace(make.job(tmp_path), mixed=MIXED)
    lowered = objective(made, msgspec.structs.replace(make.PLAN, remedy="posterior", label_smoothing=0.0))
    logits, targets, rows = batch()
    for seen in range(3):
        kept = lowered.remembered[ANSWERS][rows].float()
        assert kept.sum(1) == pytest.approx(np.full(6, 1 - 0.9**seen), abs=1e-3)
        now = renewed(kept, logits, 0.9)
        aim = posterior(torch.from_numpy(MIXED).float()[targets], now)
        expected = -(aim * logits.log_softmax(1)).sum(1).mean()
        assert make.lowered(lowered, logits, targets, 0.5, rows).item() == pytest.approx(expected.item(), rel=1e-4)


def test_margins_for_rare_classes_are_margins_for_what_is_remembered_too(tmp_path):
    """Labels are as uneven as the data, and so must be the prior that Bayes' rule puts them on."""
    made = replace(make.job(tmp_path), mixed=MIXED)
    plan = msgspec.structs.replace(make.PLAN, remedy="posterior", balance="logit-adjustment")
    lowered, (logits, targets, rows) = objective(made, plan), batch()
    make.lowered(lowered, logits, targets, 0.5, rows)
    offset = torch.from_numpy(np.log(made.counts / made.counts.sum())).float()
    assert torch.allclose(lowered.remembered[ANSWERS][rows].float(), 0.1 * (logits + offset).softmax(1), atol=1e-3)


def test_a_class_keeps_its_own_label_before_any_other():
    even = np.array([[0.45, 0.0, 0.0], [0.55, 0.7, 1.0], [0.0, 0.3, 0.0]])
    held = held_apart(even)
    assert held.sum(axis=0) == pytest.approx(np.ones(3))
    assert held[0, 0] == pytest.approx(1.5 * held[1, 0]) and held[2, 2] == pytest.approx(1.5 * held[1, 2])
    assert held[:, 1] == pytest.approx(even[:, 1])
    assert held_apart(MIXED) == pytest.approx(MIXED)


def test_the_share_that_is_kept_falls_to_one_less_the_rate_and_stays():
    kept = REMEDIES["small-loss"].kept
    shares = [kept(0.4, position) for position in np.linspace(0, 1, 21)]
    assert shares[0] == 1.0 and shares[2] == pytest.approx(0.8)
    assert shares[4:] == pytest.approx([0.6] * 17) and (np.diff(shares) <= 0).all()


def test_the_smallest_losses_count_and_at_least_one():
    losses = torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0])
    assert smallest(losses, 0.6).tolist() == [1.0, 2.0, 3.0]
    assert smallest(losses, 0.01).tolist() == [1.0]
    assert smallest(losses, 1.0).sum() == losses.sum()


def test_an_image_counts_as_much_as_it_is_trusted(tmp_path):
    plain = make.job(tmp_path)
    trust = np.ones(len(plain.train), np.float32)
    logits, targets, rows = batch()
    trust[rows[:3]] = 0.0
    only = make.lowered(objective(plain, make.PLAN), logits[3:], targets[3:], 0.5, rows[3:])
    weighed = make.lowered(objective(replace(plain, trust=trust), make.PLAN), logits, targets, 0.5, rows)
    assert weighed.item() == pytest.approx(0.5 * only.item(), rel=1e-6)


def noise(rate: float, kind: Kind, n: int = 400) -> LabelNoise:
    pairs = (Mistaken(truth="cat", given="dog", share=0.4),) if kind == "class-dependent" else ()
    return LabelNoise(rate=proportion(rate * n, n), joint_rate=rate + 0.02, kind=kind, evenness=0.9, pairs=pairs)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_noise_has_its_remedy_with_the_evidence(kind):
    name, why = remedy_for(noise(0.4, kind), "keep")
    assert kind in REMEDIES[name].against and "40.0% of the labels" in why and "n 400" in why
    assert ("cat called dog 40%" in why) == (kind == "class-dependent")
    assert remedy_for(noise(0.05, kind), "keep")[0] == "none"
    assert remedy_for(None, "keep")[0] == "none"
    undefined = msgspec.structs.replace(noise(0.4, kind), rate=proportion(0, 0, why="no images"))
    assert remedy_for(undefined, "keep") == ("none", f"{in_words(undefined)}; below 10% label smoothing is enough")


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("suspects", ["down-weight", "drop"])
def test_one_doubt_does_not_count_twice(kind, suspects):
    name, why = remedy_for(noise(0.4, kind), suspects)
    assert not REMEDIES[name].corrects and "40.0% of the labels" in why
    assert (f"suspects = {suspects}" in why) == REMEDIES[remedy_for(noise(0.4, kind), "keep")[0]].corrects


def test_an_estimate_makes_the_plan_and_what_is_asked_wins(tmp_path):
    made = replace(make.job(tmp_path), noise=noise(0.4, "symmetric"))
    steps, choices = plan_for(made, pretrained=False)
    assert (steps.remedy, steps.noise_rate, steps.label_smoothing) == ("early-learning", 0.4, 0.0)
    assert any(line.startswith("remedy = early-learning: 40.0% of the labels look wrong") for line in choices)
    asked = Recipe(remedy="small-loss", noise_rate=0.25, label_smoothing=0.05)
    steps, _ = plan_for(replace(made, recipe=asked), pretrained=False)
    assert (steps.remedy, steps.noise_rate, steps.label_smoothing) == ("small-loss", 0.25, 0.05)
