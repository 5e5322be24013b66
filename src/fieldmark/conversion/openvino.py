"""OpenVINO's own files (.xml and .bin) in float32: for Intel's and AMD's processors"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fieldmark.conversion.row import Form, Source, Written
from fieldmark.inference.openvino import ARITHMETIC, Arithmetic, openvino_core


def write_openvino(
    source: Source, folder: Path, *, name: str, compress: bool, arithmetic: Arithmetic = "f32"
) -> Written:
    """Weights in float16 with `compress`; they are computed with in `arithmetic`."""
    import openvino

    graph = openvino_core().read_model(source.graph)
    graph.set_rt_info(arithmetic, [*ARITHMETIC])
    openvino.save_model(graph, folder / f"{name}.xml", compress_to_fp16=compress)
    return Written(files=(f"{name}.xml", f"{name}.bin"))


ROW = Form(
    reference="https://docs.openvino.ai, OpenVINO IR format",
    precision="float32",
    runner="openvino",
    packages=("openvino",),
    install="pip install 'fieldmark[openvino]'",
    write=partial(write_openvino, name="model", compress=False),
)
