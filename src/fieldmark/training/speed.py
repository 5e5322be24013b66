"""How fast a network learns and answers here: measured before what depends on it is decided, where a budget asks."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fieldmark.training.determinism import deterministic
from fieldmark.training.job import Job
from fieldmark.training.network import Network
from fieldmark.training.scoring import scoring_batch
from fieldmark.training.winograd import winograd

IMAGES = 32  # at most; of photos fewer are scored at once, and would take seconds
_ROUNDS = 2  # the first is slower, and not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Images a second: `learning` is forward and backward, `answering` forward alone."""

    learning: float
    answering: float


def speed_of(network: Network, job: Job, threads: int) -> Speed:
    """Of a copy of the network on the first of the job's training images; the network stays as it is."""
    tried = copy.deepcopy(network).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    rows = job.train[: min(IMAGES, scoring_batch(job) // 4)]
    pixels = torch.from_numpy(job.pixels[rows])

    def learn() -> None:
        tried(pixels)[1].square().mean().backward()

    def answer() -> None:
        with torch.inference_mode():
            tried(pixels)

    with deterministic(threads), winograd(tried):
        return Speed(learning=len(rows) / _seconds(learn), answering=len(rows) / _seconds(answer))


def _seconds(once: Callable[[], None]) -> float:
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        once()
        took.append(time.perf_counter() - began)
    return min(took)
