"""The server's life: load, listen, load anew when told, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from fieldmark.bundle.layout import SUMS
from fieldmark.cores import available_cores
from fieldmark.errors import FieldmarkError, UsageError
from fieldmark.server.application import application
from fieldmark.server.bodies import Memory
from fieldmark.server.connection import bounded
from fieldmark.server.fleet import Fleet
from fieldmark.server.keys import Gate, Key
from fieldmark.server.limits import Limits
from fieldmark.server.logs import log
from fieldmark.server.metrics import new_metrics
from fieldmark.server.models import Source
from fieldmark.server.request_log import RequestLog
from fieldmark.server.service import Service

_KEEP_ALIVE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that `fieldmark serve` was told. `workers` 0: one a core. `watch_s` 0: bundles are loaded anew on
    SIGHUP alone. `drain_s`: how long after SIGTERM the server answers on while it says that it is not ready."""

    sources: tuple[Source, ...]
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[Key, ...] = ()
    no_auth: bool = False
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    request_log: Path | None = None
    log_images: bool = False
    watch_s: float = 0.0
    drain_s: float = 0.0


def serve(settings: Settings) -> None:
    """Answers requests until SIGTERM or Ctrl-C; what is under way then is answered still.

    Raises UsageError for an address that others can reach without `keys` or `no_auth`, or that is taken; BundleError
    for a bundle that cannot be loaded or does not answer as it did when it was made.
    """
    _refuse_an_open_door(settings)
    with (
        _bound(settings) as listening,
        tempfile.TemporaryDirectory(prefix="fieldmark-serve-") as folder,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(_serve(settings, listening, Path(folder)))


async def _serve(settings: Settings, listening: socket.socket, folder: Path) -> None:
    service = _service(settings, folder)
    await service.fleet.reload(settings.sources)
    service.metrics.serving(list(service.served.values()))
    server = _Server(_config(service), service, settings.drain_s)
    tasks = [asyncio.create_task(service.fleet.watch())]
    with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGHUP, lambda: tasks.append(asyncio.create_task(_reload(service)))
        )
    if settings.watch_s:
        tasks.append(asyncio.create_task(_reload_on_change(service, settings.watch_s)))
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in tasks:
            task.cancel()
        await service.fleet.end()
        if service.request_log is not None:
            await asyncio.to_thread(service.request_log.close)
        log("ended")


def _service(settings: Settings, folder: Path) -> Service:
    metrics = new_metrics()

    def told(event: str, **facts: object) -> None:
        if event == "worker lost":
            metrics.worker_losses.inc()
        log(event, **facts)

    limits = settings.limits
    request_log = settings.request_log and RequestLog(
        settings.request_log, images=settings.log_images, dropped=metrics.request_log_failures.inc
    )
    return Service(
        sources=settings.sources,
        aliases=settings.aliases,
        limits=limits,
        gate=Gate(settings.keys),
        fleet=Fleet(limits, settings.workers or available_cores(), folder, told),
        metrics=metrics,
        memory=Memory(limits.max_waiting_bytes),
        request_log=request_log or None,
    )


async def _reload(service: Service) -> None:
    """The bundles as they are on disk now; where that fails, the models stay as they are."""
    try:
        await service.fleet.reload(service.sources)
    except (FieldmarkError, OSError) as error:
        service.metrics.reloads.labels("failed").inc()
        what, where = (error.what, error.where) if isinstance(error, FieldmarkError) else (str(error), "")
        log("reload failed", what=what, where=where, do="the models that were loaded before answer on")
        return
    service.metrics.reloads.labels("done").inc()
    service.metrics.serving(list(service.served.values()))
    log("reloaded", models={key: served.digest for key, served in service.served.items()})


async def _reload_on_change(service: Service, every_s: float) -> None:
    """A bundle is moved into place whole, its checksums last: when that file is another, the bundle is."""
    seen = _stamps(service.sources)
    while True:
        await asyncio.sleep(every_s)
        now = _stamps(service.sources)
        if now != seen:
            seen = now
            await _reload(service)


def _stamps(sources: tuple[Source, ...]) -> list[tuple[int, int, int] | None]:
    stamps: list[tuple[int, int, int] | None] = []
    for source in sources:
        try:
            status = (source.path / SUMS).stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return stamps


class _Server(uvicorn.Server):
    """uvicorn's, but for its end: not ready at once, then answering on for `drain_s`, then no new connections, then
    what is under way, and exit code 0."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_s: float) -> None:
        super().__init__(config)
        self._service, self._drain_s = service, drain_s
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for host, port, *_ in (listening.getsockname() for listening in sockets or ()):
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log("listening", url=url, models=list(self._service.served))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  (uvicorn's signature)
        if self._service.draining.is_set():  # asked twice: at once
            self.should_exit = self.force_exit = True
            return
        self._service.draining.set()
        log("draining", seconds=self._drain_s)
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_s, self._end)

    def _end(self) -> None:
        self.should_exit = True


def _config(service: Service) -> uvicorn.Config:
    logging.getLogger().handlers = [_Told()]
    return uvicorn.Config(
        application(service),
        http=bounded(service.limits),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(service.limits.answer_s) + 1,
    )


class _Told(logging.Handler):
    """What uvicorn and other libraries have to say, in our log."""

    def emit(self, record: logging.LogRecord) -> None:
        log("server", level=record.levelname.lower(), what=self.format(record))


def _refuse_an_open_door(settings: Settings) -> None:
    if settings.keys or settings.no_auth or _loopback(settings.host):
        return
    raise UsageError(
        f"{settings.host} can be reached by others, and nobody would be asked for a key",
        where="--host",
        do="make keys with `fieldmark key NAME --keys keys.json` and add --keys keys.json; or say --no-auth",
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The address is taken first: if it cannot be, nobody needs to wait for models."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _not_bound(settings, error) from error
    with listening:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            raise _not_bound(settings, error) from error
        yield listening


def _not_bound(settings: Settings, error: OSError) -> UsageError:
    return UsageError(
        f"this address cannot be listened on: {error.strerror or error}",
        where=f"--host {settings.host} --port {settings.port}",
        do="end what listens there, or give another --port",
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
