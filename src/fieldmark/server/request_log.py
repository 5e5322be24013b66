"""What was asked and answered, for monitoring to read: a JSON line an image, in a file a day.

It never holds an answer up, and never takes the server down: what the disk will not take is counted and dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fieldmark.server.waiting import Answer

_MOST_WAITING = 1000
Entry = tuple[dict[str, Any], bytes | None]


class RequestLog:
    """`folder` gets `requests-YYYY-MM-DD.jsonl`, and, with `images`, `images/<sha256>` with the file's bytes.
    `dropped` hears of each line that is lost."""

    def __init__(self, folder: Path, *, images: bool, dropped: Callable[[], None]) -> None:
        (folder / "images" if images else folder).mkdir(parents=True, exist_ok=True)
        self._folder, self._images, self._dropped = folder, images, dropped
        self._waiting: queue.Queue[Entry | None] = queue.Queue(_MOST_WAITING)
        self._writer = threading.Thread(target=self._write_all, name="fieldmark-request-log", daemon=True)
        self._writer.start()

    def add(self, request: str, key: str, encoded: Sequence[bytes], answers: Sequence[Answer]) -> None:
        """Called with every request that was answered; returns at once."""
        for image, answer in zip(encoded, answers):
            try:
                self._waiting.put_nowait((_entry(request, key, image, answer), image if self._images else None))
            except queue.Full:
                self._dropped()

    def close(self) -> None:
        """Writes what waits."""
        self._waiting.put(None)
        self._writer.join()

    def _write_all(self) -> None:
        while (entry := self._waiting.get()) is not None:
            line, image = entry
            try:
                if image is not None:
                    self._keep(line["image_sha256"], image)
                self._append(msgspec.json.encode(line) + b"\n")
            except OSError:
                self._dropped()

    def _append(self, line: bytes) -> None:
        path = self._folder / f"requests-{datetime.now(UTC):%Y-%m-%d}.jsonl"
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            if file.write(line) < len(line):  # a full disk takes a part: no half line stays
                file.truncate(before)
                raise OSError("the disk took a part of a line")

    def _keep(self, name: str, image: bytes) -> None:
        path = self._folder / "images" / name
        if path.exists():
            return
        beside = path.with_suffix(".partial")
        try:
            beside.write_bytes(image)
            beside.replace(path)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def _entry(request: str, key: str, image: bytes, answer: Answer) -> dict[str, Any]:
    row, source = answer.row, answer.served.source
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request": request,
        "key": key,
        "model": source.name,
        "version": source.version,
        "digest": answer.served.digest,
        "image_sha256": hashlib.sha256(image).hexdigest(),
        "labels": row.labels,
        "probabilities": np.frombuffer(row.probabilities, np.float64).round(6).tolist(),
        "embedding": np.frombuffer(row.embedding, np.float32).tolist(),
        "error": f"{row.reason}: {row.detail}" if row.reason else None,
        "queue_s": round(answer.queue_s, 6),
        "decode_s": round(answer.decode_s, 6),
        "inference_s": round(answer.run_s, 6),
    }
