"""Zeros laid around a map for a convolution become that convolution's own padding.

TensorFlow pads right and below where it cannot pad evenly, and a traced network does so in a node of its own. In one
node with the convolution it costs nothing, is not rounded apart when quantised, and is what converters understand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper


def pad_in_convolutions(graph: GraphProto) -> None:
    """Changes `graph`; the nodes that padded stay, and nobody uses them."""
    constants = {each.name: each for each in graph.initializer}
    padding = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    users = Counter(name for node in graph.node for name in node.input)
    users.update(each.name for each in graph.output)
    for node in graph.node:
        pad = padding.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or users[pad.output[0]] > 1:
            continue
        own, more = _given(node), _zeros_around(pad, constants)
        if own is not None and more is not None:
            _give(node, [a + b for a, b in zip(own or [0] * len(more), more, strict=True)])
            node.input[0] = pad.input[0]


def _given(convolution: NodeProto) -> list[int] | None:
    """Its own padding, begins and then ends; empty: none. None where it is not given in numbers."""
    said = {each.name: helper.get_attribute_value(each) for each in convolution.attribute}
    return list(said.get("pads", [])) if said.get("auto_pad", b"NOTSET") == b"NOTSET" else None


def _zeros_around(pad: NodeProto, constants: Mapping[str, TensorProto]) -> list[int] | None:
    """How many zeros it lays around height and width, begins and then ends; None where it does anything else."""
    _, widths, *more = pad.input
    value, axes = (*more, "", "")[:2]
    mode = next((each.s for each in pad.attribute if each.name == "mode"), b"constant")
    known = widths in constants and (not value or value in constants) and not axes
    if mode != b"constant" or not known or (value and numpy_helper.to_array(constants[value]).any()):
        return None
    around = numpy_helper.to_array(constants[widths]).reshape(2, -1)
    if around.min() < 0 or around[:, :2].any():  # cut off, or padded with images or channels
        return None
    return [int(each) for each in around[:, 2:].flatten()]


def _give(convolution: NodeProto, pads: list[int]) -> None:
    others = [each for each in convolution.attribute if each.name != "pads"]
    del convolution.attribute[:]
    convolution.attribute.extend([*others, helper.make_attribute("pads", pads)])
