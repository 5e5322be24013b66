"""What operators and people at a browser ask: is it alive, is it ready, what does it count, a page to try it."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from fieldmark.server.metrics import generate_latest
from fieldmark.server.pages import docs_page, start_page
from fieldmark.server.refusals import refusals
from fieldmark.server.service import Service

OPERATE = "Operate"
# Pages carry their own style and script, and speak to nobody but this server.
_DOCS_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_START_POLICY = f"{_DOCS_POLICY}; script-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"
_REFUSAL = {"error": {"what": "this needs a key", "where": "Authorization", "do": "send the header ..."}}
_MODELS = {
    "models": [
        {
            "name": "pets",
            "version": "2",
            "aliases": ["champion"],
            "digest": "9f86d081884c7d65...",
            "task": "single",
            "classes": ["cat", "dog", "wolf"],
            "size_px": 224,
            "embedding_size": 512,
            "created": "2026-11-01T09:30:00+00:00",
        }
    ]
}


def _told(kind: str, example: object) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {"example": example}}}}


def router(service: Service) -> APIRouter:
    """Health, metrics, models and the page."""
    routes = APIRouter(tags=[OPERATE], default_response_class=Response, responses=refusals(_REFUSAL))

    @routes.get("/health/live", summary="Is the process alive?", responses=_told("application/json", {"live": True}))
    async def live() -> Response:
        return _json({"live": True})

    @routes.get(
        "/health/ready",
        summary="Did the canaries answer right, and is it not ending?",
        responses={**_told("application/json", {"ready": True}), 503: {"description": "Not now."}},
    )
    async def ready() -> Response:
        return _json({"ready": service.ready}, 200 if service.ready else 503)

    @routes.get(
        "/metrics",
        summary="For Prometheus",
        responses=_told("text/plain", 'fieldmark_images_total{model="pets",version="2",outcome="answered"} 12.0'),
    )
    async def metrics() -> Response:
        service.metrics.ready.set(service.ready)
        service.metrics.waiting_images.set(len(service.fleet.dispatch.queue) + service.fleet.dispatch.at_work)
        service.metrics.held_bytes.set(service.memory.held)
        return Response(generate_latest(service.metrics.registry), media_type="text/plain; version=0.0.4")

    @routes.get("/v1/models", summary="Models, versions and aliases", responses=_told("application/json", _MODELS))
    async def models() -> Response:
        return _json({"models": [_model(service, key) for key in service.served]})

    @routes.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(start_page(), media_type="text/html", headers={"Content-Security-Policy": _START_POLICY})

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        page = docs_page(request.app.openapi(), request.headers.get("host", "127.0.0.1:8000"))
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": _DOCS_POLICY})

    return routes


def _model(service: Service, key: str) -> dict[str, object]:
    served = service.served[key]
    source, manifest = served.source, served.manifest
    return {
        "name": source.name,
        "version": source.version,
        "aliases": [
            alias
            for (name, alias), version in service.aliases.items()
            if (name, version) == (source.name, source.version)
        ],
        "digest": served.digest,
        "task": manifest.task,
        "classes": manifest.classes,
        "size_px": manifest.geometry.size_px,
        "embedding_size": manifest.embedding_size,
        "created": manifest.created,
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
