"""A client's connection, where uvicorn leaves it open, closes it too soon or wakes the client too often: the time and
the size of a request's head are bounded, a request that is answered before its end is heard out, and an answer is
sent in one piece."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldmark.server.limits import Limits


class _Lingering:
    """A transport that, closed amid a request's body, says its own end, and waits so long for the client's.

    An answer's head is kept until its body comes, or the loop turns: sent alone, it would wake the client, on the
    core that is to make the body, and for nothing.
    """

    def __init__(self, transport: asyncio.Transport, linger_s: float) -> None:
        self._transport, self._linger_s = transport, linger_s
        self._head = b""
        self._ending = False
        self.in_body = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._ending or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
            return
        self._head = data
        asyncio.get_running_loop().call_soon(self._send_head)

    def _send_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """A second call closes at once."""
        self._send_head()
        if not self.in_body or self.is_closing():
            self._transport.close()
            return
        self._ending = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(self._linger_s, self._transport.close)


class _Bounded(HttpToolsProtocol):
    limits: Limits
    _head: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._lingering = _Lingering(transport, self.limits.linger_s)
        self._gone: asyncio.Future[None] = self.loop.create_future()
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # the rest of what was refused
            return
        pending = self._head is not None
        super().data_received(data)
        if pending and self._head is not None:  # before and after: all of these bytes are the head's
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_header_bytes:
                self._stop()
                self.send_400_response("The head of this request is too large.")

    def on_message_begin(self) -> None:
        self._wait()
        super().on_message_begin()
        self.scope["state"]["gone"] = self._gone

    def on_headers_complete(self) -> None:
        self._stop()
        self._lingering.in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._lingering.in_body = False
        super().on_message_complete()
        if not self.pipeline:  # or its end would not be heard: reading stops amid a body of more than 64 kB
            self.flow.resume_reading()

    def _wait(self) -> None:
        self._stop()
        self._head, self._head_bytes = self.loop.call_later(self.limits.head_s, self.transport.close), 0

    def _stop(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def bounded(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, for connections that are closed where a request's head is not there within
    `limits.head_s`, or grows beyond `limits.max_header_bytes` without an end (the parser would keep all of it). A
    request's `state.gone` is done once its client has closed the connection.

    What a client sends of a request that has been refused already is thrown away for `limits.linger_s`: if the
    connection were closed at once, the client would be told that it was reset, and often never see the refusal.
    """
    return type("Bounded", (_Bounded,), {"limits": limits})
