"""OpenVINO's own files in int8, by NNCF: a quarter of the size, and the fastest where a processor has VNNI"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.conversion.row import Form, Source, Written
from fieldmark.conversion.signal_stack import same_signal_stack
from fieldmark.inference.openvino import ARITHMETIC, Arithmetic, openvino_core, runner_of
from fieldmark.inference.runner import open_graph

# On a processor OpenVINO computes depthwise convolutions in float all the same, and joins what scales and squeezes to
# the product before it, if that may stay in float; rounded, each is a pass of its own: a MobileNetV3 took 5.3 ms an
# image, and takes 2.9 (4.9 in float32). Sums stay rounded: a ResNet-50's in float cost a fifth of its speed.
_IN_FLOAT = ("Multiply", "Divide", "Subtract", "ReduceMean", "HardSigmoid")
# Each operation is put back into float once to rank it, and the file compiled anew: a MobileNetV3 that bears no
# rounding was tried for half an hour, each time on all the images.
RANKED_BY, MOST_IN_FLOAT = 64, 24
# Of the images held back, answered alike; the proof asks for 0.985. To put an operation back takes most of a minute
# and costs speed: at 0.995, one answer of 256, a ResNet-50 was sent round for many minutes, of whose answers to 946
# other photos 99.5 % were alike from the start.
ENOUGH = 0.99


def write_int8(source: Source, folder: Path, *, name: str, arithmetic: Arithmetic = "f32") -> Written:
    """NNCF ranks the operations by what rounding them costs, and gives back as many as the bound asks for. What is in
    float is computed in `arithmetic`."""
    import nncf
    import onnx
    import openvino

    from fieldmark.conversion.quantising import BATCH, Judge, batches, parts_of

    parts = [slice(start, start + BATCH) for start in range(0, len(source.held_back), BATCH)]
    judge = Judge.by(open_graph(source.graph), source.manifest, source.held_back)
    transformer = parts_of(onnx.load(source.graph).graph).transformer

    def agreement(compiled: Any, among: Iterable[slice]) -> float:
        return judge.agreement(runner_of(compiled, folder / f"{name}.xml"), [*among])

    with same_signal_stack():
        graph = openvino_core().read_model(source.graph)
        quantised = nncf.quantize_with_accuracy_control(
            graph,
            calibration_dataset=nncf.Dataset([np.array(one) for one in batches(source.calibration)]),
            validation_dataset=nncf.Dataset(parts, lambda part: np.array(source.held_back[part])),
            validation_fn=agreement,
            max_drop=1.0 - ENOUGH,
            drop_type=nncf.DropType.ABSOLUTE,
            preset=nncf.QuantizationPreset.MIXED,
            # Not every graph has each of the types, which only `validate` minds.
            ignored_scope=nncf.IgnoredScope(types=[*_IN_FLOAT], names=_depthwise(graph), validate=False),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                max_num_iterations=MOST_IN_FLOAT, ranking_subset_size=RANKED_BY // BATCH
            ),
        )
    quantised.set_rt_info(arithmetic, [*ARITHMETIC])
    openvino.save_model(quantised, folder / f"{name}.xml", compress_to_fp16=False)
    return Written(files=(f"{name}.xml", f"{name}.bin"))


def _depthwise(graph: Any) -> list[str]:
    """Names of the convolutions with a channel for each group, in and out: weights [groups, 1, 1, high, wide]."""
    grouped = (node for node in graph.get_ops() if node.get_type_name() == "GroupConvolution")
    return [node.get_friendly_name() for node in grouped if [*node.input(1).get_shape()][1:3] == [1, 1]]


ROW = Form(
    reference="NNCF, post-training quantization with accuracy control: https://github.com/openvinotoolkit/nncf",
    precision="int8",
    runner="openvino",
    packages=("openvino", "nncf", "onnx"),
    install="pip install 'fieldmark[export]'",
    write=partial(write_int8, name="model.int8"),
)
