"""Shapes that a graph computes from the number of images, settled, so that torch can trace what is left.

An exported transformer works out the shapes that it reshapes to, in tensors; onnx2torch (1.5) reads those tensors in
every run, which no trace can follow. Asked twice, with two numbers of images, every shape tells what it is.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, fx, nn

from fieldmark.conversion.quiet import quiet

Sizes = tuple[int | None, ...]  # None: as many as images


class Reshaped(nn.Module):
    """To `sizes`, whatever the number of images."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = [-1 if each is None else each for each in sizes]

    def forward(self, values: Tensor) -> Tensor:
        return values.reshape(self.sizes)


class Expanded(nn.Module):
    """To `sizes`, as often as there are images."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, values: Tensor, pixels: Tensor) -> Tensor:
        return values.expand([pixels.shape[0] if each is None else each for each in self.sizes])


class _Recorded(fx.Interpreter):
    """What each node gives for `pixels`."""

    def __init__(self, module: fx.GraphModule, pixels: Tensor) -> None:
        super().__init__(module, garbage_collect_values=False)
        with quiet(), torch.inference_mode():
            self.run(pixels)


def settle_shapes(module: fx.GraphModule, two: Tensor, three: Tensor) -> None:
    """Of a graph in torch; `two` and `three` are so many images for it."""
    theirs = importlib.import_module("onnx2torch.node_converters")
    reshaping = (
        theirs.reshape.OnnxReshape,
        theirs.squeeze.OnnxSqueezeDynamicAxes,
        theirs.unsqueeze.OnnxUnsqueezeDynamicAxes,
    )
    (pixels,) = (node for node in module.graph.nodes if node.op == "placeholder")
    seen = [_Recorded(module, images).env for images in (two, three)]
    for node in module.graph.nodes:
        layer = module.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(layer, reshaping) and (sizes := _sizes(*(env[node] for env in seen))):
            module.set_submodule(node.target, Reshaped(sizes))
            node.args = node.args[:1]
        elif isinstance(layer, theirs.expand.OnnxExpand) and (sizes := _sizes(*(env[node] for env in seen))):
            module.set_submodule(node.target, Expanded(sizes))
            node.args = (node.args[0], pixels)
        elif isinstance(layer, theirs.split.OnnxSplit13) and len(node.args) > 1:
            parts = seen[0][node.args[1]].tolist()
            module.set_submodule(node.target, theirs.split.OnnxSplit(len(parts), layer.axis, parts))
            node.args = node.args[:1]
    module.graph.eliminate_dead_code()
    module.recompile()


def _sizes(of_two: Any, of_three: Any) -> Sizes | None:
    """None where it is not one size alone that the number of images, as it is, decides."""
    sizes = tuple(a if a == b else None for a, b in zip(of_two.shape, of_three.shape, strict=True))
    settled = [a for a, size in zip(of_two.shape, sizes) if size is None]
    return sizes if settled in ([], [2]) else None
