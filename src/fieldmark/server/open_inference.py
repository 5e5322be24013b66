"""The routes of the Open Inference Protocol V2: clients of Triton, KServe and others ask as they are used to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request, Response

from fieldmark.server.answering import Answers, encode_infer
from fieldmark.server.asking import HEADER, InferRequest, parse_infer, read_header_length
from fieldmark.server.bodies import read_body
from fieldmark.server.metadata import model_metadata, server_metadata
from fieldmark.server.models import Served
from fieldmark.server.predicting import unreadable
from fieldmark.server.refusals import refusals
from fieldmark.server.service import Service
from fieldmark.server.waiting import Answer

PROTOCOL = "Open Inference Protocol V2"
_EXAMPLE = {
    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["<base64 of a JPEG file>"]}],
    "outputs": [{"name": "probabilities", "parameters": {"classification": 3}}],
}
_DESCRIPTION = """Inputs: `image`, BYTES [N], encoded files (in JSON as base64), or `pixels`, UINT8 [N, S, S, 3],
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
_ASKED = {
    "x-codeSamples": [{"lang": lang, "label": label, "source": source} for lang, label, source in SAMPLES],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": _EXAMPLE},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_KINDS = ("application/json", "application/octet-stream")
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in _KINDS}}}
_REFUSAL = {"error": "there is no model dogs (model); have: pets/1, pets/2"}
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
_DESCRIBED: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _MODEL}}}}
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not now."}}


def router(service: Service) -> APIRouter:
    """Health and metadata of the server and of models, and inference."""
    routes = APIRouter(prefix="/v2", default_response_class=Response, tags=[PROTOCOL], responses=refusals(_REFUSAL))

    @routes.get("", summary="What this server is")
    async def server() -> Response:
        return _json(server_metadata())

    @routes.get("/health/live", summary="Is the process alive?")
    async def live() -> Response:
        return Response()

    @routes.get("/health/ready", summary="May it be asked?", responses=_NOT_READY)
    async def ready() -> Response:
        return Response(status_code=200 if service.ready else 503)

    @routes.get(
        "/models/{model}/versions/{version}",
        summary="What a version of a model takes and gives",
        responses=_DESCRIBED,
    )
    @routes.get("/models/{model}", summary="What a model takes and gives", responses=_DESCRIBED)
    async def metadata(model: str, version: str | None = None) -> Response:
        return _json(_metadata(service, model, version))

    @routes.get(
        "/models/{model}/versions/{version}/ready", summary="May this version be asked?", responses=_NOT_READY
    )
    @routes.get("/models/{model}/ready", summary="May this model be asked?", responses=_NOT_READY)
    async def model_ready(model: str, version: str | None = None) -> Response:
        name = service.model(model, version).source.name
        return _json(msgspec.json.encode({"name": name, "ready": service.ready}), 200 if service.ready else 503)

    @routes.post(
        "/models/{model}/versions/{version}/infer",
        summary="Ask a version of a model",
        openapi_extra={"requestBody": _ASKED["requestBody"]},
        responses=_ANSWER,
    )
    @routes.post(
        "/models/{model}/infer",
        summary="Ask a model",
        description=_DESCRIPTION,
        openapi_extra=_ASKED,
        responses=_ANSWER,
    )
    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        served = service.model(model, version)
        with service.memory.holding() as more:
            body = await read_body(request, service.limits, more)
            asked = _asked(body, request, served, service)
            answers = await _answers(service, request, served, asked)
        return _answered(answers, asked)

    return routes


def _metadata(service: Service, model: str, version: str | None) -> bytes:
    manifest = service.model(model, version).manifest
    return model_metadata(
        model,
        [each.source.version for each in service.served.values() if each.source.name == model],
        size_px=manifest.geometry.size_px,
        n_classes=len(manifest.classes),
        embedding_size=manifest.embedding_size,
    )


def _asked(body: bytes, request: Request, served: Served, service: Service) -> InferRequest:
    return parse_infer(
        body,
        read_header_length(request.headers.get(HEADER)),
        size_px=served.manifest.geometry.size_px,
        max_images=service.limits.max_images,
    )


async def _answers(service: Service, request: Request, served: Served, asked: InferRequest) -> list[Answer]:
    if asked.pixels is not None:
        images, raw = tuple(each.tobytes() for each in asked.pixels), True
    else:
        images, raw = asked.images or (), False
    answers = await service.answers(request, served, images, raw=raw)
    for number, answer in enumerate(answers):
        # The protocol knows no answer for a part of a batch.
        if answer.row.reason:
            raise unreadable(answer, f"inputs[0].data[{number}]")
    return answers


def _answered(answers: Sequence[Answer], asked: InferRequest) -> Response:
    rows, served = [answer.row for answer in answers], answers[0].served
    said = Answers(
        classes=served.manifest.classes,
        probabilities=np.stack([np.frombuffer(row.probabilities, np.float64) for row in rows]),
        labels=tuple(row.labels for row in rows),
        logits=np.stack([np.frombuffer(row.logits, np.float32) for row in rows]),
        embedding=np.stack([np.frombuffer(row.embedding, np.float32) for row in rows]),
    )
    body, header_length = encode_infer(
        said,
        asked.outputs,
        model_name=served.source.name,
        model_version=served.source.version,
        request_id=asked.id,
    )
    if header_length is None:
        return _json(body)
    return Response(body, headers={HEADER: str(header_length)}, media_type="application/octet-stream")


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
