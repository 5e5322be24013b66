"""What onnx2torch (1.5) looks up in every run, settled, so that torch can trace and lower what is left.

Bounds of slices, places to gather from, widths of padding and the shapes to reshape to come to it as tensors, which
no trace can follow: torch.export works for hours at what a Swin's paddings might be, none of which pads anything.
Most are constants. The shapes that a transformer works out from the number of images are not; asked twice, with two
numbers of images, every one of them tells what it is.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from fieldmark.conversion.quiet import quiet

FAR = 2**40  # beyond the end of anything

Sizes = tuple[int | None, ...]  # None: where the number of images shows


class Sliced(nn.Module):
    """ONNX's Slice within bounds that are known."""

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


class Selected(nn.Module):
    """ONNX's Gather of one place along `axis`."""

    def __init__(self, axis: int, place: int) -> None:
        super().__init__()
        self.axis, self.place = axis, place

    def forward(self, values: Tensor) -> Tensor:
        return values.select(self.axis, self.place)


class Reshaped(nn.Module):
    """To `sizes`, of which one at most is as many as are left."""

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


def settle(module: fx.GraphModule, two: Tensor, three: Tensor) -> None:
    """Of a graph in torch; `two` and `three` are so many images for it."""
    (pixels,) = (node for node in module.graph.nodes if node.op == "placeholder")
    seen = [_Recorded(module, images).env for images in (two, three)]
    for node in module.graph.nodes:
        if node.op != "call_module":
            continue
        constants = [module.get_buffer(each.target) for each in node.args[1:] if each.op == "get_attr"]
        known = constants if len(constants) == len(node.args) - 1 else []
        settled = _settled(module.get_submodule(node.target), known, [env[node] for env in seen])
        if settled is not None:
            module.set_submodule(node.target, settled)
            node.args = (node.args[0], pixels) if isinstance(settled, Expanded) else node.args[:1]
    module.graph.eliminate_dead_code()
    module.recompile()


def _settled(layer: nn.Module, known: list[Tensor], answers: list[Any]) -> nn.Module | None:
    """What does the work of `layer` without being told: `known` is what it is told in every run, where that is the
    same, `answers` what it gave for two and for three images. None where it cannot be said, or there is no need."""
    theirs = importlib.import_module("onnx2torch.node_converters")
    reshaping = (
        theirs.reshape.OnnxReshape,
        theirs.squeeze.OnnxSqueezeDynamicAxes,
        theirs.unsqueeze.OnnxUnsqueezeDynamicAxes,
    )
    if isinstance(layer, theirs.slice.OnnxSlice) and len(known) > 2:
        return Sliced(*known)
    if isinstance(layer, theirs.gather.OnnxGather) and known and not known[0].ndim:
        return Selected(layer._axis, int(known[0]))
    if isinstance(layer, theirs.pad.OnnxPadDynamic) and known and layer.mode == "constant":
        pads, fill = known[0].tolist(), float(known[1]) if known[1:] else 0.0
        padded = theirs.pad.OnnxPadStatic.create_from_onnx_params(pads, "constant", fill)
        return padded if any(pads) else nn.Identity()
    if isinstance(layer, theirs.split.OnnxSplit13):
        parts = [part.shape[layer.axis] for part in answers[0]]
        return cast(nn.Module, theirs.split.OnnxSplit(len(parts), layer.axis, parts))
    if isinstance(layer, reshaping):
        sizes = _sizes(*answers)
        return Reshaped(sizes) if sizes.count(None) < 2 else None
    if isinstance(layer, theirs.expand.OnnxExpand):
        sizes = _sizes(*answers)
        alone = {size for size, fixed in zip(answers[0].shape, sizes) if fixed is None} <= {2}  # not times something
        return Expanded(sizes) if alone else None
    return None


def _sizes(of_two: Tensor, of_three: Tensor) -> Sizes:
    return tuple(a if a == b else None for a, b in zip(of_two.shape, of_three.shape, strict=True))
