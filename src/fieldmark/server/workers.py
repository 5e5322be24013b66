"""Worker processes as the front sees them: started, spoken to, listened to, lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO

from fieldmark.errors import BundleError, Interrupted
from fieldmark.server.messages import LENGTH_BYTES, TO_FRONT, Answered, Batch, Failed, Load, Ready, framed
from fieldmark.server.waiting import Image

_PIPE_BYTES = 2**20  # room for a usual image, so that a worker reads it in one go


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A batch that a worker has: since when, and since when it is the first, which the worker works on."""

    images: list[Image]
    since: float
    begun: float


class Worker:
    """A process, and the batches it was given, in order. `seconds` of a batch by key and size, as it timed them."""

    def __init__(self, process: asyncio.subprocess.Process, seconds: dict[str, dict[int, float]]) -> None:
        self.process, self.seconds = process, seconds
        self.sent: dict[int, Sent] = {}
        self.since = time.monotonic()

    @property
    def at_work(self) -> int:
        return sum(len(each.images) for each in self.sent.values())

    @property
    def open(self) -> bool:
        """Whether it may be given more: false once it has ended, which its input shows first, or was dismissed."""
        return not _input(self.process).transport.is_closing()

    def give(self, batch: Batch, images: list[Image]) -> None:
        """Sends a batch on its way; the pipe's buffer grows as it must, within what may wait at all."""
        now = time.monotonic()
        self.sent[batch.number] = Sent(images=images, since=now, begun=now)
        _input(self.process).write(framed(batch))

    def answered(self, number: int) -> Sent:
        """The batch that it has answered: the first it had, so the next one is begun now."""
        done = self.sent.pop(number)
        for number, following in itertools.islice(self.sent.items(), 1):
            self.sent[number] = replace(following, begun=time.monotonic())
        return done

    def busy_s(self) -> float:
        """How long it has been working on the batch that it is working on; 0 without one."""
        now = time.monotonic()
        return now - next((each.begun for each in self.sent.values()), now)

    async def listen(self, heard: Callable[[Worker, Answered], None]) -> None:
        """Until the process has ended."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while isinstance(message := await _message(self.process), Answered):
                heard(self, message)
        self.kill()
        await self.process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def dismiss(self) -> None:
        """It ends when it has answered what it was given."""
        _input(self.process).close()


async def start(load: Load, stderr: int | IO[bytes] | None = None) -> Worker:
    """A worker whose models are loaded and answer their canaries as recorded.

    Raises BundleError as the worker did, Interrupted where it ended without a word.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fieldmark.server.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        limit=_PIPE_BYTES,
    )
    try:
        _widen(process)
        _input(process).write(framed(load))
        message = await _message(process)
    except (asyncio.IncompleteReadError, ConnectionError):
        message = None
    except asyncio.CancelledError:
        process.kill()
        raise
    if isinstance(message, Ready):
        return Worker(process, message.seconds)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    code = await process.wait()
    if isinstance(message, Failed):
        raise BundleError(message.what, where=message.where, do=message.do)
    raise Interrupted(
        f"a worker ended before it was ready (exit code {code})",
        where=", ".join(model.key for model in load.models),
        do="look at what it printed; a lack of memory is a usual cause",
    )


async def _message(process: asyncio.subprocess.Process) -> Ready | Failed | Answered:
    if process.stdout is None:
        raise ConnectionError("its output is not a pipe")
    length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "little")
    message: Ready | Failed | Answered = TO_FRONT.decode(await process.stdout.readexactly(length))
    return message


def _input(process: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise ConnectionError("its input is not a pipe")
    return process.stdin


def _widen(process: asyncio.subprocess.Process) -> None:
    """On Linux a pipe may hold more than 64 kB; elsewhere, and where that is not allowed, it works all the same."""
    try:
        import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError, AttributeError, ConnectionError):
        descriptor = _input(process).get_extra_info("pipe").fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
