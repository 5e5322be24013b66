"""Pieces of an ONNX graph: a member's own graph made ready to stand beside others, and small sums of tensors.

Only operators that mean the same in every opset since 13 are added (reductions do not), so that members of any later
exporter can be put together as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from fieldmark.bundle.schema import Decision
from fieldmark.data.geometry import Geometry, resampling
from fieldmark.inference.deciding import calibrated

Nodes = tuple[onnx.NodeProto, ...]
Constants = tuple[onnx.TensorProto, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Nodes and their constants; `embedding` and `logits` name the tensors that come out."""

    nodes: Nodes
    constants: Constants
    embedding: str
    logits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A bundle's graph, and what stands between it and the others. Square pixels of `side_px` become its own by
    `inner`; `decision` calibrates its logits; `order` int64 [C] says where each class is among its own.
    """

    model: onnx.ModelProto
    side_px: int
    inner: Geometry
    decision: Decision
    order: NDArray[np.int64]

    def fragment(self, prefix: str, pixels: str = "pixels") -> Fragment:
        """Its graph under names of its own, from the tensor `pixels` to calibrated logits in the joint order."""
        own = onnx.GraphProto()
        own.CopyFrom(self.model.graph)
        own = compose.add_prefix_graph(own, prefix)
        nodes, constants = self._as_own_pixels(prefix, pixels)
        steps = (
            helper.make_node("Gather", [f"{prefix}logits", f"{prefix}order"], [f"{prefix}ordered"], axis=1),
            helper.make_node("Mul", [f"{prefix}ordered", f"{prefix}slopes"], [f"{prefix}scaled"]),
            helper.make_node("Add", [f"{prefix}scaled", f"{prefix}intercepts"], [f"{prefix}calibrated"]),
        )
        own_classes = np.zeros((1, len(self.order)))
        intercepts = calibrated(own_classes, self.decision)
        slopes = calibrated(own_classes + 1.0, self.decision) - intercepts
        held = (
            constant(f"{prefix}order", self.order),
            constant(f"{prefix}slopes", slopes[:, self.order].astype(np.float32)),
            constant(f"{prefix}intercepts", intercepts[:, self.order].astype(np.float32)),
        )
        return Fragment(
            nodes=(*nodes, *own.node, *steps),
            constants=(*constants, *own.initializer, *held),
            embedding=f"{prefix}embedding",
            logits=f"{prefix}calibrated",
        )

    def _as_own_pixels(self, prefix: str, pixels: str) -> tuple[Nodes, Constants]:
        if self.inner.size_px == self.side_px and self.inner.crop_fraction == 1.0:
            return (helper.make_node("Identity", [pixels], [f"{prefix}pixels"]),), ()
        return resized(prefix, pixels, resampling(self.inner, self.side_px))


def constant(name: str, value: object) -> onnx.TensorProto:
    """A tensor that the graph holds; its type is that of the array."""
    return numpy_helper.from_array(np.asarray(value), name)


def chain(prefix: str, first: str, steps: Sequence[tuple[str, Sequence[str], dict[str, Any]]], last: str) -> Nodes:
    """Nodes of one input each after the other, from tensor `first` to tensor `last`. A step is an operator, its
    inputs with "" where the running tensor goes, and its attributes."""
    nodes, at = [], first
    for number, (operator, inputs, attributes) in enumerate(steps, start=1):
        to = last if number == len(steps) else f"{prefix}step-{number}"
        nodes.append(helper.make_node(operator, [name or at for name in inputs], [to], **attributes))
        at = to
    return tuple(nodes)


def resized(prefix: str, pixels: str, rows: NDArray[np.float32]) -> tuple[Nodes, Constants]:
    """uint8 [N, S, S, 3] -> `{prefix}pixels` uint8 [N, s, s, 3] by `rows` float32 [s, S], as Pillow does it: across,
    to whole levels, down, to whole levels. A product of matrices, because ONNX's own Resize is another filter in
    each runtime and antialiased in few."""
    whole: list[tuple[str, Sequence[str], dict[str, Any]]] = [
        ("Add", ["", f"{prefix}half"], {}),
        ("Floor", [""], {}),
        ("Clip", ["", f"{prefix}black", f"{prefix}white"], {}),
    ]
    steps: list[tuple[str, Sequence[str], dict[str, Any]]] = [
        ("Cast", [""], {"to": onnx.TensorProto.FLOAT}),
        ("Transpose", [""], {"perm": [0, 3, 1, 2]}),
        ("MatMul", ["", f"{prefix}across"], {}),
        *whole,
        ("MatMul", [f"{prefix}down", ""], {}),
        *whole,
        ("Transpose", [""], {"perm": [0, 2, 3, 1]}),
        ("Cast", [""], {"to": onnx.TensorProto.UINT8}),
    ]
    constants = (
        constant(f"{prefix}across", np.ascontiguousarray(rows.T)),
        constant(f"{prefix}down", rows),
        constant(f"{prefix}half", np.float32(0.5)),
        constant(f"{prefix}black", np.float32(0)),
        constant(f"{prefix}white", np.float32(255)),
    )
    return chain(f"{prefix}resize-", pixels, steps, f"{prefix}pixels"), constants


def log_mean(prefix: str, logs: Sequence[str], weights: Sequence[float], out: str) -> tuple[Nodes, Constants]:
    """`out` = log of the weighted mean of exp(`logs`), two or more tensors of one shape; the largest is taken out
    first, so that a probability too small for float32 does not become log 0."""
    count = range(len(logs))
    constants = tuple(constant(f"{prefix}weight-{at}", np.log(np.float32(max(weights[at], 1e-30)))) for at in count)
    nodes = [
        *(helper.make_node("Add", [logs[at], f"{prefix}weight-{at}"], [f"{prefix}weighted-{at}"]) for at in count),
        helper.make_node("Max", [f"{prefix}weighted-{at}" for at in count], [f"{prefix}largest"]),
        *(
            helper.make_node("Sub", [f"{prefix}weighted-{at}", f"{prefix}largest"], [f"{prefix}less-{at}"])
            for at in count
        ),
        *(helper.make_node("Exp", [f"{prefix}less-{at}"], [f"{prefix}share-{at}"]) for at in count),
        helper.make_node("Sum", [f"{prefix}share-{at}" for at in count], [f"{prefix}shares"]),
        helper.make_node("Log", [f"{prefix}shares"], [f"{prefix}rest"]),
        helper.make_node("Add", [f"{prefix}rest", f"{prefix}largest"], [out]),
    ]
    return tuple(nodes), constants
