"""Tiny networks and the bundles made of them: real files, made in the test's own folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fieldmark.bundle.layout import GRAPH
from fieldmark.bundle.schema import Data, Decision, Manifest, Parity, Weights
from fieldmark.bundle.writing import seal, staged
from fieldmark.data.geometry import Geometry
from fieldmark.exporters.onnx import export
from fieldmark.inference import canaries
from fieldmark.inference.classifier import load

SIZE_PX = 16
CLASSES = ("cat", "dog", "wolf")


class TinyNetwork(nn.Module):
    """uint8 [N, H, W, 3] -> embedding [N, 6], logits [N, n_classes]; scaled so that pictures get unlike answers."""

    def __init__(self, n_classes: int = len(CLASSES), seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.convolution = nn.Conv2d(3, 6, 3, stride=2)
            self.norm = nn.BatchNorm2d(6)
            self.head = nn.Linear(6, n_classes)
            nn.init.normal_(self.norm.running_mean, std=0.3)
            nn.init.uniform_(self.norm.running_var, 0.2, 0.6)
            nn.init.normal_(self.head.weight, std=8.0)
        self.mean = 0.45
        share_out(self, self.head)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = pixels.permute(0, 3, 1, 2).float() / 255 - self.mean
        padded = functional.pad(inputs, (0, 1, 0, 1))  # as TensorFlow does, and networks that were trained there
        embedding = torch.relu(self.norm(self.convolution(padded))).mean(dim=(2, 3))
        return embedding, self.head(embedding)


def share_out(network: nn.Module, head: nn.Linear) -> None:
    """Moves the bias so that each class gets its share of `pictures`: random networks tend to name one always."""
    with torch.no_grad():
        head.bias -= network.eval()(torch.from_numpy(pictures(64)))[1].mean(dim=0)


def pictures(n: int, size_px: int = SIZE_PX, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [n, size_px, size_px, 3]: a colour each, with noise."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (n, 1, 1, 3))
    return np.clip(colours + random.normal(0, 40, (n, size_px, size_px, 3)), 0, 255).astype(np.uint8)


def manifest(**changes: Any) -> Manifest:
    """A manifest that fits `TinyNetwork`, but for `changes`."""
    whole = Manifest(
        name="tiny",
        created="2026-01-01T00:00:00Z",
        task="single",
        classes=CLASSES,
        geometry=Geometry(size_px=SIZE_PX),
        decision=Decision(temperature=1.5),
        model="tiny",
        head="linear",
        method="network",
        embedding_size=6,
        parameters=189,
        weights=Weights(source="none"),
        asked={},
        recipe={"seed": 0},
        choices=(),
        data=Data(fingerprint="0" * 64, parts={}, skipped=0, split="made up"),
        parity=Parity(n=8, agreement=1.0, ties=0, largest_gap=1e-7),
        canaries=(),
        versions={},
    )
    return msgspec.structs.replace(whole, **changes)


@cache
def graph(n_classes: int = len(CLASSES), seed: int = 0, size_px: int = SIZE_PX) -> bytes:
    """The exported `TinyNetwork`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH
        export(TinyNetwork(n_classes, seed), size_px, path)
        return path.read_bytes()


def write_bundle(out: Path, *, encoded_graph: bytes | None = None, **changes: Any) -> Path:
    """A whole bundle at `out`, without canaries."""
    with staged(out) as folder:
        (folder / GRAPH).write_bytes(graph() if encoded_graph is None else encoded_graph)
        seal(folder, manifest(**changes))
    return out


def write_bundle_with_canaries(out: Path, **changes: Any) -> Path:
    """A whole bundle at `out`, with drawn canaries and their recorded answers."""
    with staged(out) as folder:
        (folder / GRAPH).write_bytes(graph())
        files = canaries.draw(folder, manifest(**changes).geometry)
        seal(folder, manifest(**changes))
        recorded = canaries.record(load(folder), files)
        seal(folder, manifest(canaries=recorded, **changes))
    return out
