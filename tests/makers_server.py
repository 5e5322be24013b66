"""A real server in a process of its own, and clients that ask it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
from PIL import Image

LONGEST_S = 120


class Server:
    """A running `fieldmark serve`: its port, its process, and the lines of its log as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._coming: Queue[dict[str, Any] | None] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.port = 0

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._coming.put(
                json.loads(line) if line.startswith(b"{") else {"event": "printed", "text": line.decode()}
            )
        self._coming.put(None)

    def told(self, event: str) -> dict[str, Any]:
        """The next line of the log of that name; those before it are passed over, and kept in `lines`."""
        while (line := self._coming.get(timeout=LONGEST_S)) is not None:
            self.lines.append(line)
            if line["event"] == event:
                return line
        raise AssertionError(f"the server ended without {event!r}: {self.lines}")

    def ask(
        self, path: str, body: bytes | None = None, *, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def predict(self, image: bytes, query: str = "", **headers: str) -> dict[str, Any]:
        """The answer for one image, which must be one."""
        status, _, body = self.ask(f"/v1/predict{query}", image, **headers)
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def close(self) -> None:
        """After the process has ended."""
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in children.split()]


@contextmanager
def serving(*words: str | Path, prepare: Callable[[], None] | None = None, **environment: str) -> Iterator[Server]:
    """`fieldmark serve` on a free port; ended at the end, where it has not ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldmark", "serve", *map(str, words), "--port", "0"],
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        preexec_fn=prepare,
    )
    server = Server(process)
    try:
        server.port = int(server.told("listening")["url"].rpartition(":")[2])
        yield server
    finally:
        process.terminate()  # so that it takes its copies of bundles with it
        try:
            process.wait(LONGEST_S)
        finally:
            process.kill()
            server.close()


def ended(server: Server, number: signal.Signals = signal.SIGTERM) -> int:
    """The exit code after a signal."""
    server.process.send_signal(number)
    return server.process.wait(timeout=LONGEST_S)


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]], form: str = "PNG") -> bytes:
    """The bytes of a file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()
