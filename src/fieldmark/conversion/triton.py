"""a model repository for NVIDIA's Triton Inference Server: ONNX in float32 with its config.pbtxt"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from fieldmark.bundle.schema import Manifest
from fieldmark.conversion.row import Form, Source, Written

FOLDER = "triton"
MOST_IN_A_BATCH = 32


def _write(source: Source, folder: Path) -> Written:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.manifest.name)
    place = folder / FOLDER / name
    (place / "1").mkdir(parents=True)
    shutil.copyfile(source.graph, place / "1" / "model.onnx")
    (place / "labels.txt").write_text("".join(f"{each}\n" for each in source.manifest.classes), encoding="utf-8")
    (place / "config.pbtxt").write_text(_config(name, source.manifest), encoding="utf-8")
    files = ("1/model.onnx", "config.pbtxt", "labels.txt")
    return Written(
        files=tuple(f"{FOLDER}/{name}/{file}" for file in files),
        notes=("Triton takes pixels, not files: geometry and decision, in fieldmark.json, are its client's part",),
    )


def _config(name: str, manifest: Manifest) -> str:
    """Triton's model configuration, as protobuf text; N stands outside `dims`."""
    side = manifest.geometry.size_px
    return f"""name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: {MOST_IN_A_BATCH}
input [{{ name: "pixels" data_type: TYPE_UINT8 dims: [ {side}, {side}, 3 ] }}]
output [
  {{ name: "embedding" data_type: TYPE_FP32 dims: [ {manifest.embedding_size} ] }},
  {{ name: "logits" data_type: TYPE_FP32 dims: [ {len(manifest.classes)} ] label_filename: "labels.txt" }}
]
dynamic_batching {{ }}
"""


ROW = Form(
    reference="https://docs.nvidia.com/deeplearning/triton-inference-server, model configuration",
    precision="float32",
    runner="onnxruntime",
    packages=(),
    install="pip install 'fieldmark[train]'",
    write=_write,
)
