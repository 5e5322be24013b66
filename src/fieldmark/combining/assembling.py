"""One ONNX graph of several, under the convention that every graph in a bundle keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from fieldmark.combining.fragment import Member
from fieldmark.combining.row import Rule
from fieldmark.data.dataset import Task
from fieldmark.errors import BundleError


def assemble(members: Sequence[Member], rule: Rule, task: Task, *, embedding_sizes: Sequence[int]) -> bytes:
    """ONNX bytes: `pixels` uint8 [N, side, side, 3] -> `embedding` float32 [N, D], `logits` float32 [N, C].

    `embedding_sizes` are those of the members. The same members and rule give the same bytes. BundleError for graphs
    of different opsets.
    """
    written = rule.write(members, task)
    side = members[0].side_px
    embedding_size = rule.embedding([np.empty((0, size), np.float32) for size in embedding_sizes]).shape[1]
    graph = helper.make_graph(
        [
            *written.nodes,
            helper.make_node("Identity", [written.embedding], ["embedding"]),
            helper.make_node("Identity", [written.logits], ["logits"]),
        ],
        "combination",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["N", side, side, 3])],
        [
            helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", embedding_size]),
            helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", len(members[0].order)]),
        ],
        initializer=written.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=_opsets([member.model for member in members]),
        ir_version=max(member.model.ir_version for member in members),
        producer_name="fieldmark",
    )
    onnx.checker.check_model(model)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded


def _opsets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    versions: dict[str, int] = {}
    for model in models:
        for used in model.opset_import:
            if versions.setdefault(used.domain, used.version) != used.version:
                raise BundleError(
                    "these graphs are written in different versions of ONNX's operators",
                    where=f"opset {used.version} and {versions[used.domain]} of {used.domain or 'ai.onnx'}",
                    do="train the older bundle again with this version of Fieldmark",
                )
    return [helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())]
