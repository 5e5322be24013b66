"""The graph as a torch module, of which the forms that torch writes are made: they too come from what ships."""

from __future__ import annotations

import importlib
from pathlib import Path

import onnx
import onnxslim
import torch
from torch import Tensor, nn

from fieldmark.bundle.schema import Manifest


def as_torch(graph: Path) -> nn.Module:
    """uint8 [N, S, S, 3] -> (embedding, logits), in evaluation mode. NotImplementedError for a graph with an
    operator that has no counterpart."""
    # First the module that declares the operators that torchvision asks for, which the converter imports.
    importlib.import_module("fieldmark.encoders.zoo")
    # Slim, though it was exported so: bundles of before were not, nor are combinations.
    module: nn.Module = importlib.import_module("onnx2torch").convert(onnxslim.slim(onnx.load(graph)))
    return module.eval()


def example(manifest: Manifest, images: int) -> Tensor:
    """uint8 [images, S, S, 3], no two alike."""
    side = manifest.geometry.size_px
    return torch.arange(images * side * side * 3).remainder(251).to(torch.uint8).reshape(images, side, side, 3)
