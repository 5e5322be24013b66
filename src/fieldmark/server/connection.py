"""A client's connection, bounded where uvicorn does not bound it: the time and the size of a request's head."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldmark.server.limits import Limits


def bounded(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, for connections that are closed where a request's head is not there within
    `limits.head_s`, or grows beyond `limits.max_header_bytes` without an end (the parser would keep all of it)."""

    class Bounded(HttpToolsProtocol):
        _head: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            pending = self._head is not None
            super().data_received(data)
            if pending and self._head is not None:  # before and after: all of these bytes are the head's
                self._head_bytes += len(data)
                if self._head_bytes > limits.max_header_bytes:
                    self._stop()
                    self.send_400_response("The head of this request is too large.")

        def on_message_begin(self) -> None:
            self._wait()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._stop()
            super().on_headers_complete()

        def _wait(self) -> None:
            self._stop()
            self._head, self._head_bytes = self.loop.call_later(limits.head_s, self.transport.close), 0

        def _stop(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Bounded
