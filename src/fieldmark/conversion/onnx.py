"""ONNX in float32, as in every bundle: for onnxruntime, and for whatever reads ONNX"""

from __future__ import annotations

from pathlib import Path

from fieldmark.bundle.layout import GRAPH
from fieldmark.conversion.row import Form, Source, Written


def _write(_source: Source, _folder: Path) -> Written:
    return Written(files=(GRAPH,))  # every bundle holds it


ROW = Form(
    reference="https://onnx.ai/onnx/intro",
    precision="float32",
    runner="onnxruntime",
    packages=(),
    install="pip install 'fieldmark[train]'",
    write=_write,
)
