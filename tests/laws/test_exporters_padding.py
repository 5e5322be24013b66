"""Zeros around a map are laid by the convolution that they are for, and answers stay as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fieldmark.exporters.folding import fold

SIDE = 9
SIDES = st.lists(st.integers(0, 3), min_size=4, max_size=4)


def model(around: list[int], own: list[int] | None = None, **kind: Any) -> Any:
    """uint8 [N, 9, 9, 3] -> Pad -> Conv 3 x 3 in steps of two, after which a mean; `around` and `own` as ONNX has
    them, `kind`: mode, value, auto_pad, or whether somebody else looks at the padded map as well."""
    weights = np.random.default_rng(0).normal(size=(4, 3 + around[1] + around[5], 3, 3))
    constants = {"around": np.array(around), "weights": weights.astype(np.float32)}
    inputs = ["map", "around"]
    if "value" in kind:
        constants["value"] = np.float32(kind["value"])
        inputs.append("value")
    convolution = {"auto_pad": kind["auto_pad"]} if "auto_pad" in kind else {"pads": own} if own else {}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["map"], perm=[0, 3, 1, 2]),
        helper.make_node("Pad", inputs, ["padded"], mode=kind.get("mode", "constant")),
        helper.make_node("Conv", ["padded", "weights"], ["maps"], strides=[2, 2], **convolution),
        helper.make_node("ReduceMean", ["maps"], ["answer"], axes=[2, 3]),
    ]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)]
    if kind.get("looked_at"):
        outputs.append(helper.make_tensor_value_info("padded", TensorProto.FLOAT, None))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [pixels], outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(made: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    pixels = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    return onnxruntime.InferenceSession(made.SerializeToString(), options).run(["answer"], {"pixels": pixels})[0]


def pads(made: Any) -> bool:
    return any(node.op_type == "Pad" for node in made.graph.node)


@given(around=SIDES, own=st.none() | SIDES)
def test_zeros_become_the_convolutions_own(around: list[int], own: list[int] | None) -> None:
    made = model([0, 0, *around[:2], 0, 0, *around[2:]], own)
    folded = fold(made, SIDE)
    assert pads(made) and not pads(folded)
    assert np.allclose(answers(folded), answers(made), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("around", "kind"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "reflect"}),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "edge"}),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"value": 1.0}),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"auto_pad": "SAME_UPPER"}),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"looked_at": True}),
        ([0, 1, 1, 1, 0, 0, 1, 1], {}),
        ([0, 0, -1, 0, 0, 0, -1, 0], {}),
    ],
)
def test_any_other_padding_stays(around: list[int], kind: dict[str, Any]) -> None:
    made = model(around, **kind)
    folded = fold(made, SIDE)
    assert pads(folded)
    assert np.allclose(answers(folded), answers(made))


def test_a_value_of_nought_is_zeros() -> None:
    made = model([0, 0, 0, 0, 0, 0, 1, 1], value=0.0)
    assert not pads(fold(made, SIDE))
