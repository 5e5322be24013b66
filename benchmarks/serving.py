"""A server over loopback beside folder prediction with the same bundle. BUNDLE IMAGES [--connections 1,4,16,64]
[--seconds 8] [--rounds 3] [--litserve].

Connections stay open, and each asks as soon as it has its answer, with the bytes of an image file as the body.
"folder": a process that predicts the same files over and over, a worker and one thread a core, as `predict` does.
"json": the same with {"images": ["<base64>"]} as the body, which is what LitServe is asked with where --litserve is
given (litserve_app.py): "litserve" with its default, one worker, "litserve, a worker a core" as we run. "half load":
16 connections that ask at given times, half as many a second as the round's best, each counted from its time on;
`p99_over_one` is its p99 over the median of one connection. Rounds take turns. The load generator's share of the
processor is told, and `over_folder_without_client` takes it off: requests a second over what folder prediction
reaches with the share that the generator left.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from fieldmark.bundle.reading import open_bundle
from fieldmark.cores import available_cores
from fieldmark.inference.classifier import ready
from fieldmark.inference.execution import for_many
from fieldmark.inference.variants import on_this_machine

IMAGES = 200
HALF_LOAD = "16"  # connections


def folder(bundle: str, files: list[Path], seconds: float) -> float:
    """Images a second of folder prediction, after a second that is not counted."""
    opened = on_this_machine(open_bundle(bundle))
    classifier = ready(opened, for_many(available_cores(), opened.manifest.geometry.size_px, opened.runner))
    answers, began = classifier.predict_many(itertools.cycle(files)), time.perf_counter()
    count, since = 0, began + 1
    for _ in answers:
        now = time.perf_counter()
        count += now >= since
        if now >= since + seconds:
            break
    return count / (now - since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server on this machine listens, and in which form it is sent an image."""

    port: int
    path: str
    json: bool

    def words(self) -> list[str]:
        return ["--port", str(self.port), "--path", self.path, *(["--json"] if self.json else [])]


def as_json(file: Path) -> bytes:
    return json.dumps({"images": [base64.b64encode(file.read_bytes()).decode()]}).encode()


async def asking(
    place: Place, bodies: Iterator[bytes], starts: Iterator[float], until: float, took: list[float], lost: list[str]
) -> None:
    """Asks at each of `starts`, which the others take from, too, and counts from there, however late it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    kind = "application/json" if place.json else "image/jpeg"
    head_of = f"POST {place.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: ".encode()
    try:
        while (began := next(starts)) < until:
            await asyncio.sleep(max(0.0, began - time.perf_counter()))
            body = next(bodies)
            writer.write(head_of + b"%d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(found[1]) if found else 0)
            if head.split(b" ", 2)[1] == b"200":
                took.append(time.perf_counter() - began)
            else:
                lost.append(head.split(b"\r\n")[0].decode())
    finally:
        writer.close()


def starting(rate: float | None) -> Iterator[float]:
    """When requests begin: `rate` a second from now on; None: whenever somebody asks."""
    if rate is None:
        return iter(time.perf_counter, None)
    return itertools.count(time.perf_counter(), 1 / rate)


async def client(
    place: Place, files: list[Path], connections: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    bodies = itertools.cycle([as_json(file) if place.json else file.read_bytes() for file in files])

    async def ask(seconds: float, took: list[float], lost: list[str]) -> None:
        like, until = (place, bodies, starting(rate)), time.perf_counter() + seconds
        await asyncio.gather(*(asking(*like, until, took, lost) for _ in range(connections)))

    await ask(1.0, [], [])
    before, took, lost = resource.getrusage(resource.RUSAGE_SELF), [], []
    began = time.perf_counter()
    await ask(seconds, took, lost)
    lasted, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    return {
        "requests_per_s": len(took) / lasted,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "n": len(took),
        "not_answered": lost,
        "client_share": cpu_s / lasted / available_cores(),
    }


@contextmanager
def server(bundle: str) -> Iterator[int]:
    words = [sys.executable, "-m", "fieldmark", "serve", bundle, "--port", "0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr or ():
            if '"listening"' in line:
                break
        port = int(json.loads(line)["url"].rpartition(":")[2])
        subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)  # the log goes nowhere
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def litserve(bundle: str, workers: int) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("litserve_app.py")
    process = subprocess.Popen(
        [sys.executable, str(script), bundle, str(port), str(workers)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                if answer.status == 200:
                    break
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # asked to end, it leaves its workers behind
        process.wait()


def in_a_process(*words: str) -> Any:
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("images", type=Path)
    parser.add_argument("--connections", default="1,4,16,64")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve", action="store_true")
    parser.add_argument("--only", choices=["folder", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    files = sorted(path for path in asked.images.rglob("*") if path.is_file())[:IMAGES]
    if asked.only == "folder":
        print(json.dumps(folder(asked.bundle, files, asked.seconds)))
        return
    if asked.only == "client":
        place = Place(port=asked.port, path=asked.path, json=asked.json)
        print(json.dumps(asyncio.run(client(place, files, int(asked.connections), asked.seconds, asked.rate))))
        return
    like = [asked.bundle, str(asked.images), "--seconds", str(asked.seconds)]
    folders: list[float] = []
    peers = {"litserve": 1, "litserve, a worker a core": available_cores()} if asked.litserve else {}
    kinds = ["jpeg", "json", *peers]
    counts = asked.connections.split(",")
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {(kind, count): [] for count in counts for kind in kinds}
    rounds["half load", HALF_LOAD] = []

    def measure(kind: str, place: Place, *more: str) -> None:
        for count in counts if kind in kinds else (HALF_LOAD,):
            words = (*like, "--only", "client", *place.words(), "--connections", count, *more)
            rounds[kind, count].append(in_a_process(*words))
            print(kind, count, rounds[kind, count][-1]["requests_per_s"], file=sys.stderr, flush=True)

    for _ in range(asked.rounds):
        folders.append(in_a_process(*like, "--only", "folder"))
        with server(asked.bundle) as port:
            jpeg = Place(port=port, path="/v1/predict", json=False)
            measure("jpeg", jpeg)
            best = max(rounds["jpeg", count][-1]["requests_per_s"] for count in counts)
            measure("half load", jpeg, "--rate", str(best / 2))
            measure("json", Place(port=port, path="/v1/predict", json=True))
        for kind, workers in peers.items():
            with litserve(asked.bundle, workers) as port:
                measure(kind, Place(port=port, path="/predict", json=True))
    usual = statistics.median(folders)
    print(json.dumps({"folder_images_per_s": [round(each, 1) for each in folders]}))
    for (kind, count), found in rounds.items():
        row = {name: statistics.median(each[name] for each in found) for name in found[0] if name != "not_answered"}
        row |= {"over_folder": row["requests_per_s"] / usual}
        row["over_folder_without_client"] = row["over_folder"] / (1 - row["client_share"])
        if kind == "half load" and "1" in counts:
            row["p99_over_one"] = row["p99_ms"] / statistics.median(each["p50_ms"] for each in rounds["jpeg", "1"])
        row["not_answered"] = sum(len(each["not_answered"]) for each in found)
        rounded = {name: round(value, 3) for name, value in row.items()}
        print(json.dumps({"asked_by": kind, "connections": int(count), **rounded}))


if __name__ == "__main__":
    main()
