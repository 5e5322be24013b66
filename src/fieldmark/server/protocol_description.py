"""What OpenAPI is told of the Open Inference Protocol V2: examples, and the shapes of requests."""

from __future__ import annotations

from typing import Any

from fieldmark.server.tensors import INPUTS, OUTPUTS

PROTOCOL = "Open Inference Protocol V2"
_EXAMPLE = {
    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["<base64 of a JPEG file>"]}],
    "outputs": [{"name": "probabilities", "parameters": {"classification": 3}}],
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"enum": list(INPUTS)},
                    "datatype": {"enum": list(INPUTS.values())},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    "data": {"type": "array"},
                    "parameters": {"type": "object"},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"enum": list(OUTPUTS)}, "parameters": {"type": "object"}},
            },
        },
    },
}
DESCRIPTION = """Inputs: `image`, BYTES [N], encoded files (in JSON as base64), or `pixels`, UINT8 [N, S, S, 3],
what the model's geometry makes of an image. Outputs: `probabilities`, `labels`, `logits`, and, where asked for,
`embedding`. Extensions: binary tensor data, raw binary requests, classification."""
SAMPLES = (  # language, label, source
    (
        "Shell",
        "JSON",
        """echo '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES",
        "data": ["'$(base64 < photo.jpg | tr -d '\\n')'"]}]}' |
  curl -H 'Content-Type: application/json' -d @- http://127.0.0.1:8000/v2/models/MODEL/infer""",
    ),
    (
        "Python",
        "tritonclient[http]",
        """import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient("127.0.0.1:8000")
image = triton.InferInput("image", [1], "BYTES")
image.set_data_from_numpy(np.array([open("photo.jpg", "rb").read()], dtype=object))
print(client.infer("MODEL", [image]).as_numpy("labels"))""",
    ),
)
ASKED = {
    "x-codeSamples": [{"lang": lang, "label": label, "source": source} for lang, label, source in SAMPLES],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REQUEST, "example": _EXAMPLE},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_KINDS = ("application/json", "application/octet-stream")
ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in _KINDS}}}
REFUSAL = {"error": "there is no model dogs (model); have: pets/1, pets/2"}
_MODEL = {
    "name": "pets",
    "versions": ["1", "2"],
    "platform": "onnx_onnxv1",
    "inputs": [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, 224, 224, 3]},
    ],
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "embedding", "datatype": "FP32", "shape": [-1, 512]},
    ],
}
METADATA: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _MODEL}}}}
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not now."}}
