"""A client's connection, bounded where uvicorn does not bound it: the time and the size of a request's head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldmark.server.limits import Limits


def bounded(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, for connections that are closed where a request's head is not there within
    `limits.head_s`, or is larger than `limits.max_header_bytes`."""

    class Bounded(HttpToolsProtocol):
        _head: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._head_bytes = 0
            self._wait()
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(url)
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(name + value)
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._stop()
            super().on_headers_complete()

        def _wait(self) -> None:
            self._stop()
            self._head = self.loop.call_later(limits.head_s, self.transport.close)

        def _stop(self) -> None:
            if self._head is not None:
                self._head.cancel()

        def _count(self, some: bytes) -> None:
            self._head_bytes += len(some)
            if self._head_bytes > limits.max_header_bytes:
                raise ValueError("the head of this request is too large")

        def send_400_response(self, msg: str) -> Any:
            self._stop()
            return super().send_400_response(msg)

    return Bounded
