"""ONNX in float16: half the size; faster on graphics processors, slower on most others"""

from __future__ import annotations

from pathlib import Path

from fieldmark.conversion.row import Form, Source, Written

FILE = "model.float16.onnx"


def _write(source: Source, folder: Path) -> Written:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    halved = convert_float_to_float16(onnx.load(source.graph), keep_io_types=True)
    (folder / FILE).write_bytes(halved.SerializeToString(deterministic=True))
    return Written(files=(FILE,), notes=("weights and arithmetic in float16; embedding and logits come in float32",))


ROW = Form(
    reference="Micikevicius et al. 2018, Mixed precision training; onnxruntime's float16 converter",
    precision="float16",
    runner="onnxruntime",
    packages=("onnx",),
    install="pip install 'fieldmark[train]'",
    write=_write,
)
