"""Around every request: who asks, what it is called, how long it took, and how an error is told."""

from __future__ import annotations

import math
import re
import secrets
import time

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldmark.server.logs import log
from fieldmark.server.metrics import labelled
from fieldmark.server.refusals import RequestError
from fieldmark.server.service import Service

# What probes and browsers ask before anybody could have given them a key; nothing of images or models is in it.
OPEN = frozenset(
    {"/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"}
)
# Refused with the body not read to its end: nothing that follows on this connection could be understood.
_UNREAD = frozenset({401, 408, 413, 415, 429, 503})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics"})


class Watch:
    """ASGI middleware: the gate before the routes; metrics and a line in the log after them."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, headers = time.perf_counter(), Headers(scope=scope)
        given = headers.get("x-request-id", "")
        name = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["id"], state["key"] = name, None
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).append("X-Request-Id", name)
            await send(message)

        try:
            if scope["path"] not in OPEN:
                state["key"] = self._service.gate.admit(_presented(headers))
            await self._app(scope, receive, named)
        except RequestError as error:  # of the gate; those of the routes became responses there
            await told(error, scope["path"])(scope, receive, named)
        finally:
            self._record(scope, status, time.perf_counter() - begun)

    def _record(self, scope: Scope, status: int, took_s: float) -> None:
        # The route's pattern and never the path: what clients make up must not become labels.
        route = getattr(scope.get("route"), "path", "none")
        labelled(self._service.metrics.requests, route, str(status)).inc()
        labelled(self._service.metrics.request_seconds, route).observe(took_s)
        if route in _QUIET and status < 400:
            return
        state = scope["state"]
        log(
            "request",
            id=state["id"],
            key=state["key"],
            method=scope["method"],
            route=route,
            status=status,
            ms=round(1000 * took_s, 2),
            client=(scope.get("client") or ("",))[0],
        )


def told(error: RequestError, path: str) -> Response:
    """The response that says what was wrong, in the words of the protocol that `path` belongs to."""
    parts = {"what": error.what, "where": error.where, "do": error.do}
    # V2's errors are one string.
    said = f"{error.what} ({error.where}); {error.do}" if path.startswith("/v2") else parts
    headers = {}
    if error.status in _UNREAD:
        headers["Connection"] = "close"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode({"error": said}), error.status, headers, "application/json")


def _presented(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key else headers.get("x-api-key")
