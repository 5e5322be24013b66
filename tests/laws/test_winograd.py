"""Winograd's convolution is the direct one, forward and backward, whatever the shape; and leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fieldmark.training.winograd import FEWEST_TILES, FEWEST_WHOLE, LARGEST_WHOLE, convolve, winograd

ROUNDING = 5e-5  # of the largest value: F(4 x 4, 3 x 3) in float32

sides = st.integers(1, LARGEST_WHOLE + 5)
channels = st.integers(1, 9)


@given(st.sampled_from([1, 3, FEWEST_WHOLE]), channels, channels, sides, sides, st.integers(0, 2**32 - 1))
def test_is_the_direct_convolution_with_its_gradients(images, before, after, height, width, seed):
    numbers = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, before, height, width, generator=numbers, requires_grad=True)
    weight = torch.randn(after, before, 3, 3, generator=numbers, requires_grad=True)
    direct = functional.conv2d(maps.double(), weight.double(), padding=1)
    ours = convolve(maps, weight)
    pull = torch.randn(direct.shape, generator=numbers)
    expected = (direct, *torch.autograd.grad(direct, (maps, weight), pull.double()))
    for found, truth in zip((ours, *torch.autograd.grad(ours, (maps, weight), pull)), expected):
        assert found.shape == truth.shape
        assert (found - truth).abs().max() <= ROUNDING * (1.0 + truth.abs().max())


class Probed(nn.Module):
    """A convolution and, in `seen`, whether autograd knows its answer as Winograd's."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def is_winograd(self, maps: torch.Tensor) -> bool:
        with winograd(self):
            answer = self.layer(maps)
        nodes, names = [answer.grad_fn], []
        while nodes:
            node = nodes.pop()
            names.append(type(node).__name__)
            nodes += [parent for parent, _ in node.next_functions if parent is not None]
        return "_ConvolutionBackward" in names


def maps(images: int = FEWEST_TILES // 4, side: int = 8) -> torch.Tensor:
    return torch.randn(images, 128, side, side)


@pytest.mark.parametrize("bias", [True, False])
def test_suits_wide_layers_on_small_maps(bias):
    layer = nn.Conv2d(128, 128, 3, padding=1, bias=bias)
    assert Probed(layer).is_winograd(maps())
    with winograd(layer):
        inside = layer(maps_of := maps())
    torch.testing.assert_close(inside, layer(maps_of), rtol=0, atol=ROUNDING * 10)


@pytest.mark.parametrize(
    ("layer", "given_maps"),
    [
        (nn.Conv2d(128, 128, 3, padding=1, stride=2), maps()),
        (nn.Conv2d(128, 128, 3, padding=2, dilation=2), maps()),
        (nn.Conv2d(128, 128, 3), maps()),
        (nn.Conv2d(128, 128, 1), maps()),
        (nn.Conv2d(128, 128, 3, padding=1, groups=128), maps()),
        (nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"), maps()),
        (nn.Conv2d(128, 64, 3, padding=1), maps()),
        (nn.Conv2d(128, 128, 3, padding=1), maps(images=FEWEST_TILES // 4 - 1)),
    ],
    ids=["stride", "dilation", "no border", "1 x 1", "depthwise", "reflected", "thin", "few tiles"],
)
def test_leaves_others_alone(layer, given_maps):
    assert not Probed(layer).is_winograd(given_maps)
    with winograd(layer):
        inside = layer(given_maps)
    assert torch.equal(inside, layer(given_maps))


def test_thinner_layers_suit_where_no_map_is_cut():
    layer = nn.Conv2d(64, 64, 3, padding=1)
    whole, cut = (torch.randn(FEWEST_WHOLE, 64, side, side) for side in (4, LARGEST_WHOLE + 1))
    assert Probed(layer).is_winograd(whole) and not Probed(layer).is_winograd(cut[:9])


def test_nothing_stays_behind():
    layer = nn.Conv2d(128, 128, 3, padding=1)
    before = dict(vars(layer))
    with pytest.raises(ZeroDivisionError), winograd(layer):
        raise ZeroDivisionError
    assert dict(vars(layer)) == before
