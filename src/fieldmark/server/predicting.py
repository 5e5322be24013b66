"""`POST /v1/predict`: an image, or several, and what they show."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from fieldmark.data.picture import Reason
from fieldmark.server.bodies import images_in, read_body
from fieldmark.server.refusals import RequestError, refusals
from fieldmark.server.service import Service
from fieldmark.server.waiting import Answer
from fieldmark.server.worker import NO_ANSWER

PREDICT, PATH = "Predict", "/v1/predict"
_STATUS = {
    Reason.FORMAT_NOT_ALLOWED: 415,
    Reason.NOT_AN_IMAGE: 415,
    Reason.TOO_MANY_BYTES: 413,
    Reason.TOO_MANY_PIXELS: 413,
    NO_ANSWER: 500,
}
_DESCRIPTION = """The body is an image file as it is, multipart files, or JSON with base64.

Probabilities are calibrated; `labels` is the decision. An image that cannot be read is an error of its own among
several, and the request's error where it is alone."""
_EXAMPLE = {
    "model": "pets",
    "version": "2",
    "predictions": [
        {
            "labels": ["dog"],
            "top": [
                {"class": "dog", "probability": 0.94},
                {"class": "wolf", "probability": 0.04},
                {"class": "cat", "probability": 0.02},
            ],
        },
        {"error": {"reason": "truncated", "detail": "the JPEG file ends too early"}},
    ],
    "timings_ms": {"queue": 0.1, "decode": 2.0, "inference": 9.1},
}
_REFUSAL = {
    "error": {
        "what": "this image cannot be read: truncated (the JPEG file ends too early)",
        "where": "image",
        "do": "look at it in an image viewer, and save it again as JPEG or PNG",
    }
}
SAMPLES = (  # language, label, source
    ("Shell", "An image as it is", "curl --data-binary @photo.jpg 'http://127.0.0.1:8000/v1/predict?top=3'"),
    ("Shell", "Several files", "curl -F file=@one.jpg -F file=@two.jpg http://127.0.0.1:8000/v1/predict"),
    (
        "Shell",
        "Base64 in JSON",
        """echo '{"images": ["'$(base64 < photo.jpg | tr -d '\\n')'"]}' |
  curl -H 'Content-Type: application/json' -d @- http://127.0.0.1:8000/v1/predict""",
    ),
)
_ASKED = {
    "x-codeSamples": [{"lang": lang, "label": label, "source": source} for lang, label, source in SAMPLES],
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/jpeg", "image/png")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["images"],
                    "properties": {"images": {"type": "array", "minItems": 1, "items": {"type": "string"}}},
                },
                "example": {"images": ["<base64 of a JPEG file>"]},
            },
        },
    },
}


class Question(BaseModel, frozen=True):
    """The query: what is asked of the images in the body."""

    model: Annotated[str | None, Field(description="Which model; needed where there are several.")] = None
    version: Annotated[str | None, Field(description="A version or an alias; default: champion.")] = None
    top: Annotated[int, Field(ge=1, le=10_000, description="How many classes to name.")] = 5
    embedding: Annotated[bool, Field(description="Add the embedding, a list of numbers.")] = False


def router(service: Service) -> APIRouter:
    """The one route, on `service`: it describes what `short_way` answers, and refuses what is not in order."""
    routes = APIRouter()

    @routes.post(
        PATH,
        summary="What do these images show?",
        description=_DESCRIPTION,
        responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, **refusals(_REFUSAL)},
        tags=[PREDICT],
        openapi_extra=_ASKED,
        response_class=Response,
    )
    async def predict(request: Request, asked: Annotated[Question, Query()]) -> Response:
        return await predicted(request, service, asked)

    return routes


async def predicted(request: Request, service: Service, asked: Question) -> Response:
    """The answer to a request. RequestError where there is none, or its only image has none."""
    served = service.model(asked.model, asked.version)
    with service.memory.holding() as more:
        body = await read_body(request, service.limits, more)
        images = await images_in(body, request, service.limits)
        answers = await service.answers(request, served, images)
    if len(answers) == 1 and answers[0].row.reason:
        raise unreadable(answers[0], "image")
    said = {
        "model": served.source.name,
        "version": served.source.version,
        "predictions": [_prediction(answer, asked.top, asked.embedding) for answer in answers],
        "timings_ms": timings_ms(answers),
    }
    return Response(msgspec.json.encode(said), media_type="application/json")


def unreadable(answer: Answer, where: str) -> RequestError:
    """The refusal of an image that gave no answer."""
    reason = answer.row.reason
    what = "the model gives no answer" if reason == NO_ANSWER else "this image cannot be read"
    return RequestError(
        f"{what}: {reason} ({answer.row.detail})",
        where=where,
        do="look at it in an image viewer, and save it again as JPEG or PNG",
        status=_STATUS.get(reason, 422),
    )


def timings_ms(answers: list[Answer]) -> dict[str, float]:
    """The longest of each step, in milliseconds."""
    return {
        name: round(1000 * max(seconds), 3)
        for name, seconds in (
            ("queue", [answer.queue_s for answer in answers]),
            ("decode", [answer.decode_s for answer in answers]),
            ("inference", [answer.run_s for answer in answers]),
        )
    }


def _prediction(answer: Answer, top: int, embedding: bool) -> dict[str, Any]:
    row, classes = answer.row, answer.served.manifest.classes
    if row.reason:
        return {"error": {"reason": row.reason, "detail": row.detail}}
    said = np.frombuffer(row.probabilities, np.float64)
    ranked = [
        {"class": classes[place], "probability": float(said[place])}
        for place in np.argsort(-said, kind="stable")[:top].tolist()
    ]
    extra = {"embedding": np.frombuffer(row.embedding, np.float32).tolist()} if embedding else {}
    return {"labels": row.labels, "top": ranked, **extra}
