"""What the routes share: the models, the workers, and what is counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.requests import Request

from fieldmark.server.bodies import Memory
from fieldmark.server.fleet import Fleet
from fieldmark.server.keys import Gate
from fieldmark.server.limits import Limits
from fieldmark.server.metrics import Metrics
from fieldmark.server.models import Served, Source, resolve
from fieldmark.server.refusals import not_now
from fieldmark.server.request_log import RequestLog
from fieldmark.server.waiting import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`sources` are what the person asked to be served, `aliases` (model, alias) -> version; `draining` is set once
    the server is to end."""

    sources: tuple[Source, ...]
    aliases: dict[tuple[str, str], str]
    limits: Limits
    gate: Gate
    fleet: Fleet
    metrics: Metrics
    memory: Memory
    request_log: RequestLog | None = None
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: the models are proven, and the server is not about to end."""
        return self.fleet.ready and not self.draining.is_set()

    @property
    def served(self) -> dict[str, Served]:
        return self.fleet.current.served if self.fleet.current else {}

    def model(self, name: str | None, version: str | None) -> Served:
        """The model that a request means; RequestError (503) before there is any."""
        if not self.served:
            raise not_now("no model is loaded yet", where="model")
        return resolve(self.served, self.aliases, name, version)

    async def answers(
        self, request: Request, served: Served, images: tuple[bytes, ...], *, raw: bool = False
    ) -> list[Answer]:
        """An answer for each image; counted, and logged where that was asked for.

        Raises RequestError where there is none in time, or the client goes away.
        """
        answers = await self.fleet.dispatch.answers(served.source.key, images, raw=raw, gone=request.state.gone)
        self.metrics.answered(answers)
        if self.request_log is not None:
            self.request_log.add(request.state.id, request.state.key, images, answers)
        return answers
