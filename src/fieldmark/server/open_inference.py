"""The routes of the Open Inference Protocol V2: clients of Triton, KServe and others ask as they are used to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from fastapi import APIRouter, Request, Response

from fieldmark.server.answering import Answers, encode_infer
from fieldmark.server.asking import HEADER, InferRequest, parse_infer, read_header_length
from fieldmark.server.bodies import read_body
from fieldmark.server.metadata import model_metadata, server_metadata
from fieldmark.server.models import Served
from fieldmark.server.predicting import unreadable
from fieldmark.server.protocol_description import (
    ANSWER,
    ASKED,
    DESCRIPTION,
    METADATA,
    NOT_READY,
    PROTOCOL,
    REFUSAL,
)
from fieldmark.server.refusals import refusals
from fieldmark.server.service import Service
from fieldmark.server.waiting import Answer


def router(service: Service) -> APIRouter:
    """Health and metadata of the server and of models, and inference."""
    routes = APIRouter(prefix="/v2", default_response_class=Response, tags=[PROTOCOL], responses=refusals(REFUSAL))

    @routes.get("", summary="What this server is")
    async def server() -> Response:
        return _json(server_metadata())

    @routes.get("/health/live", summary="Is the process alive?")
    async def live() -> Response:
        return Response()

    @routes.get("/health/ready", summary="May it be asked?", responses=NOT_READY)
    async def ready() -> Response:
        return Response(status_code=200 if service.ready else 503)

    @routes.get(
        "/models/{model}/versions/{version}",
        summary="What a version of a model takes and gives",
        responses=METADATA,
    )
    @routes.get("/models/{model}", summary="What a model takes and gives", responses=METADATA)
    async def metadata(model: str, version: str | None = None) -> Response:
        return _json(_metadata(service, model, version))

    @routes.get("/models/{model}/versions/{version}/ready", summary="May this version be asked?", responses=NOT_READY)
    @routes.get("/models/{model}/ready", summary="May this model be asked?", responses=NOT_READY)
    async def model_ready(model: str, version: str | None = None) -> Response:
        name = service.model(model, version).source.name
        return _json(msgspec.json.encode({"name": name, "ready": service.ready}), 200 if service.ready else 503)

    @routes.post(
        "/models/{model}/versions/{version}/infer",
        summary="Ask a version of a model",
        openapi_extra={"requestBody": ASKED["requestBody"]},
        responses=ANSWER,
    )
    @routes.post(
        "/models/{model}/infer",
        summary="Ask a model",
        description=DESCRIPTION,
        openapi_extra=ASKED,
        responses=ANSWER,
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
