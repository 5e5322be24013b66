"""Hostile and unlucky clients against a server, while usual ones go on asking. BUNDLE IMAGE [--requests 2000]

For each fault, repeated by eight clients at a time until usual ones had 50 answers: how many of its requests were
answered, refused with a status, or had their connection closed; and of the usual requests meanwhile, how many were
answered, and how many lost (any other status, or none). At the end the memory of all the server's processes, before
and while usual clients go on. Loopback only; every count and wait is bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image

WAIT_S = 40
ENOUGH, MOST_ROUNDS, PAUSE_S = 50, 200, 0.02
Ask = Callable[[bytes], Awaitable[str]]


class Client:
    """Asks one server, each time on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(self, *parts: bytes, pause_s: float = 0.0, listen: bool = True) -> str:
        """The status of what comes back; "closed" where nothing does."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return "not connected"
        speaking = asyncio.create_task(_speak(writer, parts, pause_s))
        try:
            async with asyncio.timeout(WAIT_S):
                if listen:  # as clients do: who is refused early says no more
                    return await _status(reader)
                await speaking
                return "went away"
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return "closed"
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            writer.close()

    async def post(self, body: bytes, *headers: str, said: int | None = None) -> str:
        lines = ["POST /v1/predict HTTP/1.1", "Host: x", "Connection: close", *headers]
        lines.append(f"Content-Length: {len(body) if said is None else said}")
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n", body)


async def _speak(writer: asyncio.StreamWriter, parts: Sequence[bytes], pause_s: float) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause_s)


async def _status(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(found[1]) if found else 0)
    return head.split(b" ", 2)[1].decode()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    packed = zlib.compress(bytes(side * (side // 8 + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def encoded(form: str, side: int, **how: str) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side), 7).save(file, form, **how)
    return file.getvalue()


def scan_bomb() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4000, 4000), (120, 130, 140)).save(file, "JPEG", progressive=True)
    usual = file.getvalue()
    return usual[:-2] + usual[usual.rindex(b"\xff\xda") : -2] * 5000 + b"\xff\xd9"


def faults(client: Client, image: bytes, workers: Callable[[], list[int]]) -> dict[str, Callable[[], Awaitable[str]]]:
    """What one hostile or unlucky client does."""
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n' for _ in range(10_000)
    )
    multipart, as_json = "Content-Type: multipart/form-data; boundary=x", "Content-Type: application/json"
    start = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"

    many = len(workers())

    async def kill_a_worker() -> str:
        alive = workers()
        if len(alive) == many:  # the last one dead has been replaced
            os.kill(random.choice(alive), signal.SIGKILL)
        return await client.post(image)

    return {
        "a body beyond the limit": lambda: client.post(bytes(40 * 2**20)),
        "a body said to be 10 TB": lambda: client.post(image, said=10**13),
        "a body shorter than said, then gone": lambda: client.send(start, image[:500], listen=False),
        "a truncated JPEG": lambda: client.post(image[: len(image) // 2]),
        "a PNG of 40,000 x 40,000": lambda: client.post(png),
        "a GIF of 15,000 x 15,000": lambda: client.post(gif),
        "a TIFF of 15,000 x 15,000": lambda: client.post(tiff),
        "a WebP of 16,000 x 16,000": lambda: client.post(webp),
        "a JPEG of 5,000 scans": lambda: client.post(scans),
        "the wrong magic": lambda: client.post(b"MZ" + image),
        "10,000 parts": lambda: client.post(parts + b"--x--\r\n", multipart),
        "JSON 10,000 deep": lambda: client.post(b'{"images":' + b"[" * 10_000, as_json),
        "a head that dribbles": lambda: client.send(b"POST /v1", b"/pre", b"dict", pause_s=6.0),
        "a body that dribbles": lambda: client.send(start, *[b"x"] * 30, pause_s=1.0),
        "a client that vanishes": lambda: client.send(
            start.replace(b"100000", b"%d" % len(image)), image, listen=False
        ),
        "a worker killed": kill_a_worker,
    }


png, gif, webp, scans = png_bomb(40_000), encoded("GIF", 15_000), encoded("WEBP", 16_000), scan_bomb()
tiff = encoded("TIFF", 15_000, compression="tiff_adobe_deflate")


@asynccontextmanager
async def usual(client: Client, image: bytes) -> AsyncIterator[Counter[str]]:
    """Four clients that ask as usual while the context lasts: their statuses."""
    counts: Counter[str] = Counter()

    async def asking() -> None:
        while True:
            counts[await client.post(image)] += 1

    tasks = [asyncio.create_task(asking()) for _ in range(4)]
    try:
        yield counts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def resident_mb(processes: list[int]) -> float:
    pages = [int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run(server: subprocess.Popen[str], port: int, image: bytes, requests: int) -> None:
    def workers() -> list[int]:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        return [int(number) for number in children.split()]

    client = Client(port)
    for _ in range(200):
        await client.post(image)
    before = resident_mb([server.pid, *workers()])
    for name, one in faults(client, image, workers).items():
        statuses: Counter[str] = Counter()
        async with usual(client, image) as meanwhile:
            for _ in range(MOST_ROUNDS):
                statuses.update(await asyncio.gather(*(one() for _ in range(8))))
                if meanwhile.total() >= ENOUGH:
                    break
                await asyncio.sleep(PAUSE_S)
        lost = sum(count for status, count in meanwhile.items() if status != "200")
        row = {"fault": name, "statuses": dict(statuses), "meanwhile": meanwhile["200"], "lost": lost}
        print(json.dumps(row), flush=True)
    statuses = Counter(await asyncio.gather(*(client.post(image) for _ in range(1000))))
    print(json.dumps({"fault": "1,000 connections at once", "statuses": dict(statuses)}), flush=True)
    after = []
    for _ in range(10):
        for _ in range(requests // 500):
            await asyncio.gather(*(client.post(image) for _ in range(50)))
        after.append(round(resident_mb([server.pid, *workers()])))
    print(json.dumps({"requests": requests, "resident_mb_before": round(before), "meanwhile": after}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("image", type=Path)
    parser.add_argument(
        "--requests", type=int, default=2000, help="usual ones at the end, to see whether memory grows"
    )
    asked = parser.parse_args()
    words = [sys.executable, "-m", "fieldmark", "serve", asked.bundle, "--port", "0"]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stderr or () if '"listening"' in line)
        subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)  # the log goes nowhere
        port = int(json.loads(line)["url"].rpartition(":")[2])
        asyncio.run(run(server, port, asked.image.read_bytes(), asked.requests))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
