"""What operators and people at a browser ask: is it alive, is it ready, what does it count, a page to try it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
from fastapi import APIRouter, Response

from fieldmark.server.metrics import generate_latest
from fieldmark.server.service import Service

# The page carries its own style and script, and speaks to nobody but this server.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def router(service: Service) -> APIRouter:
    """Health, metrics, models and the page."""
    routes = APIRouter()

    @routes.get("/health/live", summary="Is the process alive?", response_class=Response)
    async def live() -> Response:
        return _json({"live": True})

    @routes.get(
        "/health/ready", summary="Did the canaries answer right, and is it not ending?", response_class=Response
    )
    async def ready() -> Response:
        return _json({"ready": service.ready}, 200 if service.ready else 503)

    @routes.get("/metrics", summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        service.metrics.ready.set(service.ready)
        service.metrics.waiting_images.set(len(service.fleet.queue) + service.fleet.at_work)
        service.metrics.held_bytes.set(service.memory.held)
        return Response(generate_latest(service.metrics.registry), media_type="text/plain; version=0.0.4")

    @routes.get("/v1/models", summary="Models, versions and aliases", response_class=Response)
    async def models() -> Response:
        return _json({"models": [_model(service, key) for key in service.served]})

    @routes.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(_page(), media_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})

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


@cache
def _page() -> bytes:
    return files("fieldmark.server").joinpath("page.html").read_bytes()


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
