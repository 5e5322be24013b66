"""Mixed images: pixels, targets and weights by the same shares."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fieldmark.encoders.zoo  # noqa: F401  makes timm importable beside any torchvision
import makers_training as make
from fieldmark.training.balances import BALANCES
from fieldmark.training.losses import LOSSES
from fieldmark.training.mixing import Mix, cutmix, mixup
from fieldmark.training.objective import objective

MIXTURES = pytest.mark.parametrize("mixture", [mixup, cutmix])


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def black_and_white(count: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    black = torch.zeros(count, side, side, 3, dtype=torch.uint8)
    return black, black + 255


def mix_of(shares: list[float]) -> Mix:
    return Mix(partner=torch.arange(len(shares)).roll(1), share=torch.tensor(shares))


@MIXTURES
@given(seed=st.integers(0, 10_000), side=st.integers(1, 20))
def test_the_share_is_what_is_seen(mixture, seed, side):
    black, white = black_and_white(6, side)
    pixels, share = mixture(white, black, numbers(seed))
    seen = pixels.double().mean((1, 2, 3)) / 255
    assert torch.allclose(seen, share.double(), atol=0.5 / 255 + 1e-6)
    # CutMix counts whole pixels, so there it is exact.
    if mixture is cutmix:
        assert torch.equal((share * side * side).round(), (pixels[..., 0] == 255).sum((1, 2)).float())


@MIXTURES
def test_a_mixture_of_an_image_with_itself_is_that_image(mixture):
    pixels = torch.randint(0, 256, (50, 9, 9, 3), generator=numbers(0), dtype=torch.uint8)
    assert torch.equal(mixture(pixels, pixels.clone(), numbers(1))[0], pixels)


def test_shares_of_cutmix_reach_from_next_to_nothing_to_all():
    black, white = black_and_white(2000, 16)
    share = cutmix(white, black, numbers(0))[1]
    assert share.min() < 0.15 and share.max() > 0.98 and 0.5 < share.mean() < 0.75


def test_cutmix_takes_one_box_from_the_same_place():
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 8, 8, 1).expand(100, 8, 8, 3)
    pixels, _ = cutmix(torch.full_like(ramp, 200), ramp, numbers(0))
    for image in pixels[..., 0]:
        theirs = image != 200
        assert torch.equal(image[theirs], ramp[0, ..., 0][theirs])
        rows, columns = theirs.any(1), theirs.any(0)
        assert torch.equal(theirs, rows[:, None] & columns[None])


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8))
def test_mixed_weights_sum_to_one(shares):
    mix = mix_of(shares)
    truth = torch.eye(3)[torch.arange(len(shares)) % 3]
    mixed = mix.of(truth)
    assert torch.allclose(mixed.sum(1), torch.ones(len(shares)), atol=1e-6) and (mixed >= 0).all()
    assert torch.allclose(mix.of(torch.ones(len(shares))), torch.ones(len(shares)), atol=1e-6)


def value(folder, mix, *, task="single", targets=None, **changes):
    lowered = objective(make.job(folder, task=task), msgspec.structs.replace(make.PLAN, **changes))
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0]])
    targets = torch.tensor([0, 1]) if targets is None else targets
    return make.lowered(lowered, logits, targets, 0.9, mix=mix).item()


@pytest.mark.parametrize("loss", [name for name in LOSSES if LOSSES[name].single])
@pytest.mark.parametrize("balance", list(BALANCES))
def test_an_image_that_is_all_itself_or_all_the_other_has_that_ones_loss(tmp_path, loss, balance):
    settings = {"loss": loss, "balance": balance}
    alone = value(tmp_path, None, **settings)
    assert value(tmp_path, mix_of([1.0, 1.0]), **settings) == pytest.approx(alone, rel=1e-6)
    swapped = value(tmp_path, None, targets=torch.tensor([1, 0]), **settings)
    assert value(tmp_path, mix_of([0.0, 0.0]), **settings) == pytest.approx(swapped, rel=1e-6)


def test_cross_entropy_of_a_mixture_is_the_mixture_of_cross_entropies(tmp_path):
    """As MixUp's paper writes it: share * loss(own) + (1 - share) * loss(other)."""
    own, other = value(tmp_path, None), value(tmp_path, None, targets=torch.tensor([1, 0]))
    assert value(tmp_path, mix_of([0.3, 0.3])) == pytest.approx(0.3 * own + 0.7 * other, rel=1e-6)


def test_class_weights_mix_with_the_targets(tmp_path):
    job = make.job(tmp_path)
    uneven = np.concatenate([job.train[job.data.targets[job.train] == 0], job.train[:8]])
    plan = msgspec.structs.replace(make.PLAN, balance="class-weights", label_smoothing=0.0)
    lowered = objective(replace(job, train=uneven), plan)
    weights = BALANCES["class-weights"].weight(lowered.counts, 0.5)
    even = torch.zeros(2, 3)  # every answer costs log 3, so only the weights are left
    mixed = make.lowered(lowered, even, torch.tensor([0, 1]), 0.5, mix=mix_of([0.25, 1.0])).item()
    expected = (0.25 * weights[0] + 0.75 * weights[1] + weights[1]) / 2 * np.log(3)
    assert mixed == pytest.approx(expected, rel=1e-5)


def test_a_label_that_both_images_have_is_wholly_there():
    truth = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert torch.allclose(mix_of([0.75, 0.75]).of(truth), torch.tensor([[1.0, 0.75, 0.0], [1.0, 0.25, 0.0]]))


@pytest.mark.parametrize("loss", [name for name in LOSSES if LOSSES[name].multi])
def test_several_labels_mix_in_every_loss(tmp_path, loss):
    targets = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.uint8)
    settings = {"loss": loss, "task": "multi", "targets": targets}
    assert value(tmp_path, mix_of([1.0, 1.0]), **settings) == pytest.approx(value(tmp_path, None, **settings))
    assert value(tmp_path, mix_of([0.5, 0.5]), **settings) != pytest.approx(value(tmp_path, None, **settings))
