"""The graph as a torch module, of which the forms that torch writes are made: they too come from what ships."""

from __future__ import annotations

import importlib
from pathlib import Path

import onnx
import torch
from onnx import GraphProto, helper, numpy_helper
from torch import Tensor, nn

from fieldmark.bundle.schema import Manifest


def as_torch(graph: Path) -> nn.Module:
    """uint8 [N, S, S, 3] -> (embedding, logits), in evaluation mode. NotImplementedError for a graph with an
    operator that has no counterpart."""
    # First the module that declares the operators that torchvision asks for, which the converter imports.
    importlib.import_module("fieldmark.encoders.zoo")
    model = onnx.load(graph)
    _constants_first(model.graph)
    module: nn.Module = importlib.import_module("onnx2torch").convert(model)
    return module.eval()


def example(manifest: Manifest, images: int) -> Tensor:
    """uint8 [images, S, S, 3], no two alike."""
    side = manifest.geometry.size_px
    return torch.arange(images * side * side * 3).remainder(251).to(torch.uint8).reshape(images, side, side, 3)


def _constants_first(graph: GraphProto) -> None:
    """Constant nodes become initializers: some operators are converted only where they can see such an input."""
    for node in [each for each in graph.node if each.op_type == "Constant"]:
        value = helper.get_node_attr_value(node, "value")
        graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
        graph.node.remove(node)
