"""The routes put together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware

from fieldmark.server import open_inference, operations, predicting
from fieldmark.server.operations import OPERATE
from fieldmark.server.predicting import PREDICT
from fieldmark.server.protocol_description import PROTOCOL
from fieldmark.server.refusals import RequestError
from fieldmark.server.service import Service
from fieldmark.server.short_way import ShortWay
from fieldmark.server.watching import Watch, told

_DESCRIPTION = "Image classification with calibrated probabilities. `/v2` is the Open Inference Protocol."
_SEE = "see /docs for what there is"
_TAGS = [
    {"name": PREDICT, "description": "An image, or several, and what they show."},
    {"name": PROTOCOL, "description": "For clients of Triton, KServe and others, which ask as they are used to."},
    {"name": OPERATE, "description": "For whoever runs the server, and for what watches it."},
]


def application(service: Service) -> Watch:
    """The ASGI application of a server."""
    app = FastAPI(
        title="Fieldmark",
        version=version("fieldmark"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_tags=_TAGS,
    )
    for routes in (predicting, open_inference, operations):
        app.include_router(routes.router(service))
    _describe_keys(app, service)

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        return told(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return told(RequestError(first["msg"], where=where, do=_SEE, status=422), request.url.path)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> Response:
        refusal = RequestError(str(error.detail), where=request.url.path[:200], do=_SEE, status=error.status_code)
        response = told(refusal, request.url.path)
        response.headers.update(error.headers or {})  # 405 has to say how the route is asked
        return response

    app.add_exception_handler(Exception, _ours)
    return Watch(ServerErrorMiddleware(ShortWay(app, service), handler=_ours), service)


async def _ours(request: Request, _: Exception) -> Response:
    # The traceback goes to the log, where uvicorn writes it; the client learns nothing of the inside.
    refusal = RequestError(
        "this is a fault of the server", where="server", do="report it with the request's id", status=500
    )
    return told(refusal, request.url.path)


def _describe_keys(app: FastAPI, service: Service) -> None:
    """The gate stands before the routes, so FastAPI does not see it."""
    if service.gate.asks:
        description = app.openapi()  # made once; this is what is served
        description.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"key": []}]
