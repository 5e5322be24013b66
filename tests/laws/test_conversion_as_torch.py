"""The graph that ships, back in torch: what no trace could follow is settled beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import makers_bundle as make
from fieldmark.bundle.layout import GRAPH
from fieldmark.conversion.as_torch import as_torch, example
from fieldmark.conversion.row import FORMS, Source
from fieldmark.conversion.settling import Sliced
from fieldmark.encoders.building import encoder_row
from fieldmark.exporters.onnx import export
from fieldmark.heads.linear import Linear
from fieldmark.inference.runner import open_graph
from fieldmark.training.network import Network

BOUND = st.integers(-9, 9) | st.sampled_from([-(2**63) + 1, 2**63 - 1])  # the last two: as far as there is anything


@given(bounds=st.tuples(BOUND, BOUND), step=st.integers(-3, 3).filter(bool), axis=st.integers(-3, 2))
def test_a_slice_is_what_onnx_says_that_it_is(bounds: tuple[int, int], step: int, axis: int) -> None:
    values = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    start, end = bounds
    assume(step > 0 or start >= -values.shape[axis])  # numpy stops there, ONNX begins at the first
    cut = Sliced(*(torch.tensor([each]) for each in (start, end, axis, step)))
    wanted = np.moveaxis(np.moveaxis(values, axis, 0)[start:end:step], 0, axis)
    assert np.array_equal(cut(torch.from_numpy(values)).numpy(), wanted)


class Mirrored(make.TinyNetwork):
    """Answers for image and mirror image together, as networks for small images do."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (embedding, logits), (other, more) = super().forward(pixels), super().forward(pixels.flip(2))
        return embedding + other, logits + more


class Attending(make.TinyNetwork):
    """A token for each place and one more, of which each looks at all, as in a vision transformer: the shapes on the
    way are worked out from the number of images."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.convolution(pixels.permute(0, 3, 1, 2).float() / 255 - self.mean)
        places = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.norm.running_mean.reshape(1, 1, 6).expand(places.shape[0], -1, -1), places], dim=1)
        images, length, width = tokens.shape
        heads = torch.cat([tokens] * 3, dim=2).reshape(images, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        looked = (query @ key.transpose(-2, -1)).softmax(dim=-1) @ value
        embedding = looked.transpose(1, 2).reshape(images, length, width)[:, 0]
        return embedding, self.head(embedding)


class Unfolded(make.TinyNetwork):
    """Each place of its neighbourhood attends to the others' counterparts, as in MobileViT: images and what they are
    cut into stand together on the way."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.convolution(pixels.permute(0, 3, 1, 2).float() / 255 - self.mean)[..., :4, :4]
        images, width, high, wide = maps.shape
        halves = maps.reshape(images * width * high // 2, 2, wide // 2, 2).transpose(1, 2)
        tokens = halves.reshape(images, width, high * wide // 4, 4).transpose(1, 3).reshape(images * 4, -1, width)
        looked = (tokens @ tokens.transpose(-2, -1)).softmax(dim=-1) @ tokens + tokens
        normal = functional.layer_norm(looked, (6,), self.norm.weight, self.norm.bias)
        embedding = normal.reshape(images, 4, -1, width).mean(dim=(1, 2))
        return embedding, self.head(embedding)


class Windowed(make.TinyNetwork):
    """Each place attends to its window, after a shift, as in Swin: maps are padded to whole windows, also where there
    is nothing to pad."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.convolution(pixels.permute(0, 3, 1, 2).float() / 255 - self.mean)[..., :4, :4].permute(0, 2, 3, 1)
        for side in (2, 3):
            images, high, wide, width = maps.shape
            rolled = torch.roll(maps, (-1, -1), dims=(1, 2))
            padded = functional.pad(rolled, (0, 0, 0, -wide % side, 0, -high % side))
            rows, columns = padded.shape[1] // side, padded.shape[2] // side
            parted = padded.reshape(images, rows, side, columns, side, width).transpose(2, 3)
            tokens = parted.reshape(-1, side * side, width)
            looked = (tokens @ tokens.transpose(-2, -1)).softmax(dim=-1) @ tokens + tokens
            whole = looked.reshape(images, rows, columns, side, side, width).transpose(2, 3)
            maps = whole.reshape(images, rows * side, columns * side, width)[:, :high, :wide]
        embedding = maps.mean(dim=(1, 2))
        return embedding, self.head(embedding)


@pytest.mark.parametrize("network", [Mirrored, Attending, Unfolded, Windowed])
def test_a_graph_that_no_trace_could_follow_can_be_exported_by_torch(
    network: type[make.TinyNetwork], tmp_path: Path
) -> None:
    export(network(), make.SIZE_PX, tmp_path / GRAPH)
    manifest, pixels = make.manifest(), make.pictures(5)
    module = as_torch(tmp_path / GRAPH, manifest)
    shapes = ({0: torch.export.Dim("N", min=1, max=64)},)
    program = torch.export.export(module, (example(manifest, 2),), dynamic_shapes=shapes)
    with torch.inference_mode():
        _, logits = program.module()(torch.from_numpy(pixels))
    assert np.allclose(logits.numpy(), open_graph(tmp_path / GRAPH).run(pixels)[1], atol=1e-4)


def small() -> Network:
    encoder = encoder_row("resnet-small").build(make.SIZE_PX)
    return Network(encoder, Linear(encoder.embedding_size, 3)).eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # ExecuTorch's own
@pytest.mark.parametrize("network", [small, Attending, Unfolded, Windowed])
def test_it_is_written_for_executorch(network: Callable[[], nn.Module], tmp_path: Path) -> None:
    pytest.importorskip("executorch", reason="ExecuTorch is not installed")
    export(network(), make.SIZE_PX, tmp_path / GRAPH)
    nothing = np.zeros((0, make.SIZE_PX, make.SIZE_PX, 3), np.uint8)
    source = Source(manifest=make.manifest(), graph=tmp_path / GRAPH, calibration=nothing, held_back=nothing)
    written = FORMS["executorch"].write(source, tmp_path)
    infer = FORMS["executorch"].infer
    assert infer is not None
    pixels = make.pictures(3)
    answers = infer(tmp_path / written.files[0])(pixels)[1]
    assert np.allclose(answers, open_graph(tmp_path / GRAPH).run(pixels)[1], atol=1e-4)
