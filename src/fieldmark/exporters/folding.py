"""What the size of the picture alone decides in a graph is computed once, instead of in every run.

Tracing writes such work down: how much to pad as TensorFlow does takes EfficientNet-Lite0 a fifth of its time, stands
in the way of quantisation, and is more than some converters understand. onnxruntime computes it, so that it comes out
as it would have when serving; a library with rules of its own (onnxslim 0.1.98) rounded negative quotients otherwise.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from fieldmark.exporters.padding import pad_in_convolutions

_BATCHES = (1, 2)  # what is the same for both does not depend on how many images there are


def fold(model: ModelProto, size_px: int) -> ModelProto:
    """`model`, uint8 pixels [N, size_px, size_px, 3] in, with every tensor that neither pixels nor N decide as a
    constant, without the nodes that made it, and zeros around maps laid by whom they are for. Graphs with branches
    inside are left as they are."""
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return model
    folded = ModelProto()
    folded.CopyFrom(model)
    settled = _settled(folded.graph)
    used = {name for node in folded.graph.node if not settled & {*node.output} for name in node.input}
    for name, value in _computed(model, sorted(settled & used), size_px).items():
        folded.graph.initializer.append(numpy_helper.from_array(value, name))
    pad_in_convolutions(folded.graph)
    _drop_what_nobody_uses(folded.graph)
    return folded


def _settled(graph: GraphProto) -> set[str]:
    """Tensors that are made of constants and of shapes."""
    constant, settled = {each.name for each in graph.initializer} | {""}, set[str]()
    for node in graph.node:  # in the order of their work
        if node.op_type == "Shape" or constant | settled >= {*node.input}:
            settled |= {*node.output}
    return settled


def _computed(model: ModelProto, names: list[str], size_px: int) -> dict[str, NDArray[np.generic]]:
    """Those of the tensors `names` that are the same for any number of images."""
    if not names:
        return {}
    watched = ModelProto()
    watched.CopyFrom(model)
    outputs = {each.name for each in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    one, two = (
        session.run(names, {"pixels": np.zeros((images, size_px, size_px, 3), np.uint8)}) for images in _BATCHES
    )
    return {name: first for name, first, second in zip(names, one, two) if np.array_equal(first, second)}


def _drop_what_nobody_uses(graph: GraphProto) -> None:
    made = {each.name for each in graph.initializer}
    wanted = {each.name for each in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if wanted & ({*node.output} - made):
            kept.append(node)
            wanted |= {*node.input}
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [each for each in graph.initializer if each.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(constants)
