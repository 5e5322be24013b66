"""Every augmentation and every operation: what is changed, what is left, and that seed and step alone decide."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

import makers_data
import makers_training as make
from fieldmark.training.augment import augment
from fieldmark.training.augmentations import AUGMENTATIONS, rows_of
from fieldmark.training.operations import OPERATIONS
from fieldmark.training.plan import Plan

every_augmentation = pytest.mark.parametrize("name", AUGMENTATIONS)
every_operation = pytest.mark.parametrize("name", OPERATIONS)
with_strengths = pytest.mark.parametrize("name", [n for n in OPERATIONS if OPERATIONS[n].has_strengths])
STRONG = {"rotate": 90.0, "shear-x": 0.5, "shear-y": 0.5, "translate-x": 0.25, "translate-y": 0.25, "posterize": 6.0}


def plan_of(names: str) -> Plan:
    return msgspec.structs.replace(make.PLAN, augment=names, flip=True, crop_scale=0.35, shift_px=2)


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int, side: int = 24) -> Tensor:
    """uint8 [N, S, S, 3] with shapes and edges, no two alike, none of full contrast."""
    pixels = [np.asarray(makers_data.photo(side, side, seed)) for seed in range(count)]
    return torch.from_numpy(np.stack(pixels)) // 2 + 50


def half(count: int) -> Tensor:
    return torch.arange(count) % 2 == 0


def seen(name: str, pixels: Tensor, seed: int = 0) -> Tensor:
    return augment(pixels, half(len(pixels)), plan_of(name), numbers(seed))[0]


@every_augmentation
@pytest.mark.parametrize(("count", "side"), [(1, 24), (2, 33), (5, 1), (3, 2), (7, 64)])
def test_any_batch_of_any_side_stays_what_it_is(name, count, side):
    pixels = torch.randint(0, 256, (count, side, side, 3), generator=numbers(1), dtype=torch.uint8)
    before = pixels.clone()
    for seed in range(4):
        views = seen(name, pixels, seed)
        assert views.shape == pixels.shape and views.dtype == torch.uint8 and views.is_contiguous()
    assert torch.equal(pixels, before), "the images that were given are left alone"


@every_augmentation
def test_seed_decides_and_nothing_else(name):
    pixels = photos(16)
    first = seen(name, pixels, 3)
    torch.rand(7)
    assert torch.equal(first, seen(name, pixels, 3))
    if not AUGMENTATIONS[name].alternating:  # an epoch decides that, not a draw
        assert not torch.equal(first, seen(name, pixels, 4))


@every_augmentation
def test_it_does_something_to_as_many_images_as_it_says(name):
    pixels = photos(200, 16)
    untouched = torch.stack([(view == image).all() for view, image in zip(seen(name, pixels), pixels)])
    row = AUGMENTATIONS[name]
    expected = 0.5 if row.alternating else row.chance
    # An operation may be the identity, a shift of nought, a mixture of next to nothing.
    assert 0.4 * expected < 1.0 - untouched.float().mean() <= 1.2 * expected


@every_augmentation
def test_an_image_is_changed_whatever_its_neighbours_are(name):
    """Images that are not drawn, and (but for mixing) those that are, do not depend on the rest of the batch."""
    pixels, others = photos(40), photos(40)
    others[::2] = others[::2].flip(0)
    views, changed = seen(name, pixels), seen(name, others)
    alone = torch.arange(40) % 2 == 1
    if AUGMENTATIONS[name].mix is None:
        assert torch.equal(views[alone], changed[alone])
    else:
        untouched = (views == pixels).flatten(1).all(1) & alone
        assert torch.equal(views[untouched], changed[untouched])


@every_augmentation
def test_grey_stays_grey(name):
    grey = photos(64)[..., :1].expand(-1, -1, -1, 3).contiguous()
    views = seen(name, grey)
    assert torch.equal(views, views[..., :1].expand_as(views))


@every_augmentation
def test_the_mix_says_which_image_and_how_much(name):
    pixels = photos(32)
    mix = augment(pixels, half(32), plan_of(name), numbers(0))[1]
    assert (mix is None) == (AUGMENTATIONS[name].mix is None)
    if mix is not None:
        assert ((mix.share >= 0) & (mix.share <= 1)).all() and (mix.share < 1).any()
        assert sorted(mix.partner.tolist()) == list(range(32)) and (mix.partner != torch.arange(32)).all()


def slant(views: Tensor) -> Tensor:
    """The direction across which grey changes most, in degrees 0..180, of each of uint8 [N, S, S, 3]; inverted grey
    has the same. Nan where there is one grey."""
    grey = views.double().mean(3)
    across, down = grey.diff(dim=2)[:, 1:], grey.diff(dim=1)[:, :, 1:]
    xx, xy, yy = ((a * b).sum((1, 2)) for a, b in ((across, across), (across, down), (down, down)))
    angle = 0.5 * torch.rad2deg(torch.atan2(2 * xy, xx - yy)) % 180
    return torch.where(xx + yy > 0, angle, torch.nan)


@every_augmentation
def test_what_keeps_signs_neither_mirrors_nor_turns_far(name):
    ramp = torch.arange(32).view(1, 32, 1, 1) + torch.arange(32).view(1, 1, 32, 1)
    pixels = (3 * ramp + 30).to(torch.uint8).expand(300, 32, 32, 3).contiguous()
    assert ((slant(pixels.flip(2)) - 45.0).abs() > 35).all(), "the measure sees mirroring"
    turned = (slant(seen(name, pixels, 1)) - 45.0).abs()
    if AUGMENTATIONS[name].keeps_signs:
        assert (turned[~turned.isnan()] < 35).double().mean() > 0.99


@every_augmentation
def test_the_documentation_has_a_line_for_it(name):
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in text and AUGMENTATIONS[name].reference and AUGMENTATIONS[name].summary


def test_names_are_made_in_the_tables_order():
    assert [row.name for row in rows_of("cutmix+flip+crop")] == ["crop", "flip", "cutmix"]
    pixels = photos(8)
    assert torch.equal(seen("cutmix+flip", pixels), seen("flip+cutmix", pixels))
    assert torch.equal(seen("none", pixels), pixels)


@with_strengths
def test_at_a_strength_of_nought_nothing_happens(name):
    pixels = photos(3, 33)
    assert torch.equal(OPERATIONS[name].operate(pixels, torch.zeros(3)), pixels)


@every_operation
@pytest.mark.parametrize("side", [1, 2, 3, 17, 32])
def test_an_operation_works_at_its_extremes_on_each_image_alone(name, side):
    operation = OPERATIONS[name]
    pixels = torch.randint(0, 256, (4, side, side, 3), generator=numbers(2), dtype=torch.uint8)
    before = pixels.clone()
    for most in (operation.wide, operation.usual, operation.upright):
        strengths = most * torch.tensor([1.0, -1.0 if operation.both_ways else 1.0, 0.5, 0.0])
        together = operation.operate(pixels, strengths)
        assert together.shape == pixels.shape and together.dtype == torch.uint8
        for at in range(4):
            alone = operation.operate(pixels[at : at + 1], strengths[at : at + 1])
            assert torch.equal(together[at : at + 1], alone)
    assert torch.equal(pixels, before)


@every_operation
def test_an_operation_is_seen(name):
    if name != "identity":
        pixels = photos(4, 32)
        strengths = torch.full((4,), 0.8 * OPERATIONS[name].wide)
        changed = OPERATIONS[name].operate(pixels, strengths).float() - pixels.float()
        assert (changed.abs().mean((1, 2, 3)) > 1.0).all()


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def pillows(name: str, image: Image.Image, strength: float) -> Image.Image | None:
    """What Pillow, whose operations the papers used, makes of it."""
    width, height = image.size
    if name in ENHANCERS:
        return ENHANCERS[name](image).enhance(1.0 + strength)
    if name == "posterize":
        return ImageOps.posterize(image, 8 - int(strength))
    if name == "solarize":
        return ImageOps.solarize(image, int(256 * (1.0 - strength)))
    if name == "rotate":
        return image.rotate(strength, Image.Resampling.BILINEAR)
    if name.startswith("translate"):
        across, down = (width * strength, 0) if name.endswith("x") else (0, height * strength)
        return image.transform(image.size, Image.Transform.AFFINE, (1, 0, across, 0, 1, down), 2)
    if name.startswith("shear"):
        middle = width / 2
        matrix = (1, strength, -strength * middle, 0, 1, 0) if name.endswith("x") else (1, 0, 0, strength, 1, 0)
        matrix = matrix if name.endswith("x") else (1, 0, 0, strength, 1, -strength * middle)
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return {"equalize": ImageOps.equalize, "autocontrast": ImageOps.autocontrast, "identity": Image.Image.copy}[name](
        image
    )


@every_operation
@pytest.mark.parametrize("sign", [1, -1])
def test_an_operation_is_pillows(name, sign):
    operation = OPERATIONS[name]
    strength = (sign if operation.both_ways else 1) * STRONG.get(name, 0.7 if operation.has_strengths else 0.0)
    for pixels in photos(4, 40):
        expected = np.asarray(pillows(name, Image.fromarray(pixels.numpy()), strength), dtype=np.int32)
        ours = operation.operate(pixels[None], torch.tensor([strength]))[0].numpy().astype(np.int32)
        inside = slice(12, 28) if name.startswith(("rotate", "shear", "translate")) else slice(None)
        # Pillow cuts fractions off where we round.
        assert np.abs(ours - expected)[inside, inside].max() <= (2 if inside.start else 1)
