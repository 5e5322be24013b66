"""A server over loopback beside folder prediction with the same bundle. BUNDLE IMAGES [--connections 1,4,16,64]
[--seconds 8] [--rounds 3].

Connections stay open, and each asks as soon as it has its answer, with the bytes of an image file as the body.
"folder": a process that predicts the same files over and over, a worker and one thread a core, as `predict` does.
Rounds take turns. The load generator's share of the processor is told, and `over_folder_without_client` takes it off:
requests a second over what folder prediction reaches with the share that the generator left.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.bundle.reading import open_bundle
from fieldmark.cores import available_cores
from fieldmark.inference.classifier import ready
from fieldmark.inference.execution import for_many

IMAGES = 200


def folder(bundle: str, files: list[Path], seconds: float) -> float:
    """Images a second of folder prediction, after a second that is not counted."""
    opened = open_bundle(bundle)
    classifier = ready(opened, for_many(available_cores(), opened.manifest.geometry.size_px))
    answers, began = classifier.predict_many(itertools.cycle(files)), time.perf_counter()
    count, since = 0, began + 1
    for _ in answers:
        now = time.perf_counter()
        count += now >= since
        if now >= since + seconds:
            break
    return count / (now - since)


async def asking(port: int, bodies: Iterator[bytes], until: float, took: list[float], lost: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.perf_counter() < until:
            body, began = next(bodies), time.perf_counter()
            writer.write(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(found[1]) if found else 0)
            if head.split(b" ", 2)[1] == b"200":
                took.append(time.perf_counter() - began)
            else:
                lost.append(head.split(b"\r\n")[0].decode())
    finally:
        writer.close()


async def client(port: int, files: list[Path], connections: int, seconds: float) -> dict[str, Any]:
    bodies = itertools.cycle([file.read_bytes() for file in files])
    await asyncio.gather(*(asking(port, bodies, time.perf_counter() + 1, [], []) for _ in range(connections)))
    before, took, lost = resource.getrusage(resource.RUSAGE_SELF), [], []
    began = time.perf_counter()
    await asyncio.gather(*(asking(port, bodies, began + seconds, took, lost) for _ in range(connections)))
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
    parser.add_argument("--only", choices=["folder", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    files = sorted(path for path in asked.images.rglob("*") if path.is_file())[:IMAGES]
    if asked.only == "folder":
        print(json.dumps(folder(asked.bundle, files, asked.seconds)))
        return
    if asked.only == "client":
        print(json.dumps(asyncio.run(client(asked.port, files, int(asked.connections), asked.seconds))))
        return
    like = [asked.bundle, str(asked.images), "--seconds", str(asked.seconds)]
    folders: list[float] = []
    rounds: dict[str, list[dict[str, Any]]] = {count: [] for count in asked.connections.split(",")}
    for _ in range(asked.rounds):
        folders.append(in_a_process(*like, "--only", "folder"))
        with server(asked.bundle) as port:
            for count, found in rounds.items():
                found.append(in_a_process(*like, "--only", "client", "--port", str(port), "--connections", count))
    usual = statistics.median(folders)
    print(json.dumps({"folder_images_per_s": [round(each, 1) for each in folders]}))
    for count, found in rounds.items():
        row = {name: statistics.median(each[name] for each in found) for name in found[0] if name != "not_answered"}
        row |= {"over_folder": row["requests_per_s"] / usual}
        row["over_folder_without_client"] = row["over_folder"] / (1 - row["client_share"])
        row["not_answered"] = sum(len(each["not_answered"]) for each in found)
        print(json.dumps({"connections": int(count), **{name: round(value, 3) for name, value in row.items()}}))


if __name__ == "__main__":
    main()
