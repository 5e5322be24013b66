"""The classical encoders against plain loops over pixels, and what they learn without labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.colour import Colour
from fieldmark.encoders.hog import Hog
from fieldmark.encoders.orientation import Rosette
from fieldmark.encoders.sift import DenseSift
from fieldmark.errors import UsageError


def pictures(count: int, size_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth patterns, so that there are edges and not only noise."""
    coarse = np.random.default_rng(seed).random((count, 3, size_px // 4, size_px // 4), dtype=np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(size_px, size_px), mode="bilinear")
    return (smooth.permute(0, 2, 3, 1) * 255).byte().numpy()


def as_input(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def hog_by_loops(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.float64]:
    """Dalal & Triggs, one pixel at a time, with an arc tangent and linear shares; blocks [K-1, K-1, 4, 9]."""
    picture = np.sqrt(np.maximum(pixels / 255, 1e-4))
    size = len(picture)
    histogram = np.zeros((cells, cells, 9))
    cell_px = size / cells
    for y in range(size):
        for x in range(size):
            left, right = picture[y, max(x - 1, 0)], picture[y, min(x + 1, size - 1)]
            above, below = picture[max(y - 1, 0), x], picture[min(y + 1, size - 1), x]
            across, down = right - left, below - above
            channel = np.argmax(across**2 + down**2)
            length = math.hypot(across[channel], down[channel])
            position = math.degrees(math.atan2(down[channel], across[channel])) % 180 / 20
            row, column = (y + 0.5) / cell_px - 0.5, (x + 0.5) / cell_px - 0.5
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < cells and 0 <= c < cells:
                        share = length * (1 - abs(row - r)) * (1 - abs(column - c)) / cell_px**2
                        low = math.floor(position)
                        histogram[r, c, low % 9] += share * (1 - (position - low))
                        histogram[r, c, (low + 1) % 9] += share * (position - low)
    corners = (histogram[:-1, :-1], histogram[:-1, 1:], histogram[1:, :-1], histogram[1:, 1:])
    blocks = np.stack(corners, axis=2)
    for clip in (0.2, np.inf):
        blocks = np.minimum(blocks / np.sqrt(np.square(blocks).sum(axis=(2, 3), keepdims=True) + 1e-4), clip)
    return blocks


@pytest.mark.parametrize("size_px", [16, 28])
def test_hog_is_dalal_and_triggs(size_px: int) -> None:
    pixels = pictures(1, size_px)
    ours = Hog(size_px)(as_input(pixels))[0].numpy() * math.sqrt(49 + 9)
    for cells, part in ((8, ours[: 49 * 36]), (4, ours[49 * 36 :])):
        # Ours are [4 corners, 9 bins, K-1, K-1].
        reference = hog_by_loops(pixels[0], cells).transpose(2, 3, 0, 1).ravel()
        # The shares of a direction fall off as a sine, not a line: 1.6 % apart at most, before clipping.
        np.testing.assert_allclose(part, reference, atol=0.02)


@pytest.mark.parametrize("directions", [6, 8, 18])
def test_rosette_writes_a_vector_as_a_sum_of_its_neighbours(directions: int) -> None:
    vectors = torch.randn(50, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    shares = Rosette(directions)(vectors)
    angle = torch.arange(directions) * (2 * math.pi / directions)
    again = torch.einsum("nkhw,kd->ndhw", shares, torch.stack([angle.cos(), angle.sin()], dim=1))
    torch.testing.assert_close(again, vectors, atol=1e-5, rtol=1e-5)
    assert (shares >= 0).all()
    assert ((shares > 1e-6).sum(dim=1) <= 2).all()


def test_colour_tells_hue_and_place() -> None:
    red_left = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    red_left[:, :, :8, 0] = 255
    blue_left = red_left[..., ::-1].copy()
    red_right = red_left[:, :, ::-1].copy()
    both = Colour(16)(as_input(np.concatenate([red_left, red_left, blue_left, red_right])))
    torch.testing.assert_close(both[0], both[1])
    assert (both[0] @ both[2]) < 0.8
    assert (both[0] @ both[3]) < 0.8


def test_sift_descriptors_turn_with_the_picture() -> None:
    pixels = pictures(1, 32)
    turned = np.rot90(pixels, k=1, axes=(1, 2)).copy()
    encoder = DenseSift(32)
    ours, theirs = encoder.descriptors(as_input(pixels))[0], encoder.descriptors(as_input(turned))[0]
    count = ours.shape[-1]
    ours = ours.view(4, 4, 8, count, count)
    # A quarter turn to the left: places and cells turn, and each direction becomes the one two eighths back.
    expected = torch.rot90(torch.rot90(ours, 1, (3, 4)), 1, (0, 1)).roll(-2, dims=2)
    torch.testing.assert_close(theirs.view(4, 4, 8, count, count), expected, atol=1e-3, rtol=1e-3)


def test_sift_learns_its_words_from_pictures_by_seed() -> None:
    pixels = pictures(30, 32)
    first, second, other = DenseSift(32), DenseSift(32), DenseSift(32)
    for encoder, seed in ((first, 1), (second, 1), (other, 2)):
        encoder.learn(pixels, seed)
    assert torch.equal(first.words, second.words)
    assert not torch.equal(first.words, other.words)

    def nearest(encoder: DenseSift) -> float:
        found = encoder.descriptors(as_input(pixels)).flatten(2).transpose(1, 2).flatten(0, 1)
        return float(torch.cdist(found, encoder.words).min(dim=1).values.square().mean())

    assert nearest(first) < 0.5 * nearest(DenseSift(32))


def test_joined_encoders_stand_side_by_side_and_each_learns() -> None:
    pixels = pictures(12, 32)
    joined = encoder_row("hog+sift").build(32)
    joined.learn(pixels, 0)
    alone = DenseSift(32)
    alone.learn(pixels, 0)
    expected = torch.cat([Hog(32)(as_input(pixels)), alone(as_input(pixels))], dim=1)
    torch.testing.assert_close(joined(as_input(pixels)), expected)
    assert joined.embedding_size == expected.shape[1]


def test_a_part_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        encoder_row("hog+hog")
