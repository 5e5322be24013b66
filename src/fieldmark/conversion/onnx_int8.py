"""ONNX in int8 (static QDQ, a scale for each channel): a quarter of the size, faster where a processor has VNNI"""

from __future__ import annotations

from pathlib import Path

from fieldmark.conversion.row import Form, Source, Written

FILE = "model.int8.onnx"


def _write(source: Source, folder: Path) -> Written:
    from fieldmark.conversion.static import quantise

    return Written(files=(FILE,), notes=quantise(source, folder / FILE))


ROW = Form(
    reference="Jacob et al. 2018, Quantization and training of neural networks for integer-arithmetic-only inference",
    precision="int8",
    runner="onnxruntime",
    packages=("onnx",),
    install="pip install 'fieldmark[train]'",
    write=_write,
)
