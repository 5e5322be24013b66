"""The graph as a torch module, of which the forms that torch writes are made: they too come from what ships."""

from __future__ import annotations

import importlib
from pathlib import Path

import onnx
import torch
from torch import Tensor, fx, nn

from fieldmark.bundle.schema import Manifest
from fieldmark.conversion.settling import settle
from fieldmark.exporters.folding import fold


def as_torch(graph: Path, manifest: Manifest) -> nn.Module:
    """uint8 [N, S, S, 3] -> (embedding, logits), in evaluation mode. NotImplementedError for a graph with an
    operator that has no counterpart."""
    # First the module that declares the operators that torchvision asks for, which the converter imports.
    importlib.import_module("fieldmark.encoders.zoo")
    # Once more, though it was exported so: bundles of before were not, nor are combinations.
    folded = fold(onnx.load(graph), manifest.geometry.size_px)
    module: fx.GraphModule = importlib.import_module("onnx2torch").convert(folded).eval()
    for layer in module.modules():
        if isinstance(layer, nn.LayerNorm):  # it has this from shapes that ONNX infers, which stay open in MobileViT
            layer.normalized_shape = tuple(layer.weight.shape)
    settle(module, example(manifest, 2), example(manifest, 3))
    return module


def example(manifest: Manifest, images: int) -> Tensor:
    """uint8 [images, S, S, 3], no two alike."""
    side = manifest.geometry.size_px
    return torch.arange(images * side * side * 3).remainder(251).to(torch.uint8).reshape(images, side, side, 3)
