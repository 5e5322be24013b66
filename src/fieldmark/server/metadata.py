"""What the server and its models say of themselves: `GET /v2` and `GET /v2/models/{model}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec

from fieldmark.server.tensors import INPUTS, OUTPUTS

EXTENSIONS = ("classification", "binary_tensor_data")


def server_metadata() -> bytes:
    """The JSON of `GET /v2`: name, version, and the extensions that are there."""
    return msgspec.json.encode({"name": "fieldmark", "version": version("fieldmark"), "extensions": EXTENSIONS})


def model_metadata(name: str, versions: Sequence[str], *, size_px: int, n_classes: int, embedding_size: int) -> bytes:
    """The JSON of `GET /v2/models/{model}`; -1 in a shape is the number of images."""
    inputs = {"image": (-1,), "pixels": (-1, size_px, size_px, 3)}
    classes = (-1, n_classes)
    outputs = {
        "probabilities": classes,
        "labels": (-1,),
        "logits": classes,
        "embedding": (-1, embedding_size),
    }
    return msgspec.json.encode(
        {
            "name": name,
            "versions": versions,
            "platform": "onnx_onnxv1",
            "inputs": _described(INPUTS, inputs),
            "outputs": _described(OUTPUTS, outputs),
        }
    )


def _described(datatypes: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> list[dict[str, object]]:
    return [{"name": name, "datatype": datatypes[name], "shape": shapes[name]} for name in datatypes]
