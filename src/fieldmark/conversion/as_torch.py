"""The graph as a torch module, of which the forms that torch writes are made: they too come from what ships."""

from __future__ import annotations

import importlib
from pathlib import Path

import onnx
import torch
from torch import Tensor, fx, nn

from fieldmark.bundle.schema import Manifest
from fieldmark.conversion.settled_shapes import settle_shapes
from fieldmark.exporters.folding import fold

FAR = 2**40  # beyond the end of anything


def as_torch(graph: Path, manifest: Manifest) -> nn.Module:
    """uint8 [N, S, S, 3] -> (embedding, logits), in evaluation mode. NotImplementedError for a graph with an
    operator that has no counterpart."""
    # First the module that declares the operators that torchvision asks for, which the converter imports.
    importlib.import_module("fieldmark.encoders.zoo")
    # Once more, though it was exported so: bundles of before were not, nor are combinations.
    folded = fold(onnx.load(graph), manifest.geometry.size_px)
    module: fx.GraphModule = importlib.import_module("onnx2torch").convert(folded).eval()
    _settle_slices(module)
    settle_shapes(module, example(manifest, 2), example(manifest, 3))
    return module


class Sliced(nn.Module):
    """ONNX's Slice, whose bounds are known: onnx2torch's own (1.5) looks them up in every run, which no trace can
    follow."""

    def __init__(self, starts: Tensor, ends: Tensor, axes: Tensor, steps: Tensor | None = None) -> None:
        super().__init__()
        along = torch.ones_like(starts) if steps is None else steps
        # "To the end" is the largest number there is, which does not bear being counted from the other end.
        bounds = (each.clamp(-FAR, FAR) for each in (starts, ends))
        self.cuts = tuple(zip(*(each.tolist() for each in (*bounds, axes, along)), strict=True))

    def forward(self, values: Tensor) -> Tensor:
        for start, end, axis, step in self.cuts:
            if step < 0:  # of the order turned round, which counts from the other end
                values, start, end, step = values.flip(axis), -start - 1, -end - 1, -step
            before = (slice(None),) * (axis % values.ndim)
            values = values[(*before, slice(start, end, step))]
        return values


def _settle_slices(module: fx.GraphModule) -> None:
    theirs = importlib.import_module("onnx2torch.node_converters.slice").OnnxSlice
    for node in module.graph.nodes:
        if node.op != "call_module" or not isinstance(module.get_submodule(node.target), theirs):
            continue
        bounds = node.args[1:]
        if len(bounds) > 2 and all(each.op == "get_attr" for each in bounds):
            module.set_submodule(node.target, Sliced(*(module.get_buffer(each.target) for each in bounds)))
            node.args = node.args[:1]
    module.recompile()


def example(manifest: Manifest, images: int) -> Tensor:
    """uint8 [images, S, S, 3], no two alike."""
    side = manifest.geometry.size_px
    return torch.arange(images * side * side * 3).remainder(251).to(torch.uint8).reshape(images, side, side, 3)
