"""Random views of images: what may change, and what may not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.training.augment import random_resized_crop, shift_and_mirror


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side, 3), generator=numbers(seed), dtype=torch.uint8)


nobody = torch.zeros(4, dtype=torch.bool)


@given(st.integers(0, 1000), st.integers(0, 4))
def test_a_shift_is_a_window_of_the_padded_image(seed, shift_px):
    pixels = images(4, 9, seed)
    shifted = shift_and_mirror(pixels, nobody, shift_px, numbers(seed))
    for before, after in zip(pixels.numpy(), shifted.numpy()):
        padded = np.pad(before, ((shift_px, shift_px), (shift_px, shift_px), (0, 0)), mode="reflect")
        windows = [padded[y : y + 9, x : x + 9] for y in range(2 * shift_px + 1) for x in range(2 * shift_px + 1)]
        assert any(np.array_equal(after, window) for window in windows)


def test_shifts_reach_every_place_and_differ_between_images():
    pixels = torch.arange(8, dtype=torch.uint8)[None, :, None, None].expand(500, 8, 8, 3)
    tops = shift_and_mirror(pixels, torch.zeros(500, dtype=torch.bool), 2, numbers(0))[:, 2, 0, 0]
    assert set(tops.tolist()) == {0, 1, 2, 3, 4}


def test_only_those_that_should_be_are_mirrored():
    pixels = images(4, 7)
    mirrored = torch.tensor([True, False, True, False])
    seen = shift_and_mirror(pixels, mirrored, 0, numbers(0))
    assert torch.equal(seen[mirrored], pixels[mirrored].flip(2))
    assert torch.equal(seen[~mirrored], pixels[~mirrored])


@given(st.integers(0, 1000), st.floats(0.05, 1.0), st.integers(8, 14))
def test_a_crop_makes_up_no_new_colours(seed, smallest, side):
    pixels = images(4, 12, seed)
    cropped = random_resized_crop(pixels, smallest, side, numbers(seed))
    assert cropped.shape == (4, side, side, 3) and cropped.dtype == torch.uint8
    for before, after in zip(pixels, cropped):
        assert before.amin((0, 1)).le(after.amin((0, 1))).all() and before.amax((0, 1)).ge(after.amax((0, 1))).all()


def test_a_crop_of_everything_is_close_to_everything():
    """Area 1 leaves the aspect ratio alone to change, and that by at most the two sides' limit."""
    ramp = torch.linspace(0, 255, 64).to(torch.uint8)[None, None, :, None].expand(200, 64, 64, 3)
    spans = random_resized_crop(ramp, 0.25, 64, numbers(0)).float()[:, 0, :, 0]
    widths = (spans[:, -1] - spans[:, 0]) / 255
    assert widths.min() > 0.4 and widths.max() <= 1.0
    assert widths.std() > 0.05


@pytest.mark.parametrize(
    "view", [lambda p, g: random_resized_crop(p, 0.5, 16, g), lambda p, g: shift_and_mirror(p, nobody, 2, g)]
)
def test_the_same_numbers_give_the_same_view(view):
    pixels = images(4, 16)
    assert torch.equal(view(pixels, numbers(3)), view(pixels, numbers(3)))
    assert not torch.equal(view(pixels, numbers(3)), view(pixels, numbers(4)))
