"""Random views of images: what may change, and what may not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import makers_training as make
from fieldmark.training.augment import augment
from fieldmark.training.views import crop, erase, shift


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side, 3), generator=numbers(seed), dtype=torch.uint8)


def plan(**changes):
    return msgspec.structs.replace(make.PLAN, **changes)


@given(st.integers(0, 1000), st.integers(0, 4))
def test_a_shift_is_a_window_of_the_padded_image(seed, shift_px):
    pixels = images(4, 9, seed)
    shifted = shift(pixels, plan(shift_px=shift_px), numbers(seed))
    for before, after in zip(pixels.numpy(), shifted.numpy()):
        padded = np.pad(before, ((shift_px, shift_px), (shift_px, shift_px), (0, 0)), mode="reflect")
        windows = [padded[y : y + 9, x : x + 9] for y in range(2 * shift_px + 1) for x in range(2 * shift_px + 1)]
        assert any(np.array_equal(after, window) for window in windows)


def test_shifts_reach_every_place_and_differ_between_images():
    pixels = torch.arange(8, dtype=torch.uint8)[None, :, None, None].expand(500, 8, 8, 3)
    tops = shift(pixels, plan(shift_px=2), numbers(0))[:, 2, 0, 0]
    assert set(tops.tolist()) == {0, 1, 2, 3, 4}


def test_only_those_that_should_be_are_mirrored():
    pixels = images(4, 7)
    mirrored = torch.tensor([True, False, True, False])
    seen, _ = augment(pixels, mirrored, plan(augment="flip"), numbers(0))
    assert torch.equal(seen[mirrored], pixels[mirrored].flip(2))
    assert torch.equal(seen[~mirrored], pixels[~mirrored])


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_a_crop_makes_up_no_new_colours(seed, smallest):
    pixels = images(4, 12, seed)
    cropped = crop(pixels, plan(crop_scale=smallest), numbers(seed))
    assert cropped.shape == (4, 12, 12, 3) and cropped.dtype == torch.uint8
    for before, after in zip(pixels, cropped):
        assert before.amin((0, 1)).le(after.amin((0, 1))).all() and before.amax((0, 1)).ge(after.amax((0, 1))).all()


def test_a_crop_of_everything_is_close_to_everything():
    """Area 1 leaves the aspect ratio alone to change, and that by at most the two sides' limit."""
    ramp = torch.linspace(0, 255, 64).to(torch.uint8)[None, None, :, None].expand(200, 64, 64, 3)
    spans = crop(ramp, plan(crop_scale=0.25), numbers(0)).float()[:, 0, :, 0]
    widths = (spans[:, -1] - spans[:, 0]) / 255
    assert widths.min() > 0.4 and widths.max() <= 1.0
    assert widths.std() > 0.05


def test_a_crop_of_the_whole_area_may_still_stretch_and_one_of_scale_one_is_nearly_the_image():
    pixels = images(50, 32) // 4 + 90
    change = (crop(pixels, plan(crop_scale=1.0), numbers(0)).float() - pixels.float()).abs().mean((1, 2, 3))
    assert change.max() < 40


def test_what_is_erased_is_one_box_of_the_papers_size_and_shape():
    pixels = torch.zeros(400, 40, 40, 3, dtype=torch.uint8)
    gone = erase(pixels, plan(), numbers(0)).amax(3) > 0
    heights, widths = (gone.any(axis).sum(1).double() for axis in (2, 1))
    areas, filled = heights * widths / 1600, gone.sum((1, 2)) / (heights * widths)
    assert areas.min() > 0.01 and areas.max() < 0.4 and areas.std() > 0.05
    assert filled.min() > 0.9  # noise may be black here and there
    assert (heights / widths).max() < 4.2 and (widths / heights).max() < 4.2


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_shift_of_more_than_the_side_reaches_no_further_than_the_side(side):
    pixels = images(4, side)
    assert shift(pixels, plan(shift_px=9), numbers(0)).shape == pixels.shape
