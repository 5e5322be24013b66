"""How fast a network learns and answers here: measured before what depends on it is decided."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fieldmark.training.determinism import deterministic
from fieldmark.training.job import Job
from fieldmark.training.network import Network
from fieldmark.training.precision import Precision, Speed
from fieldmark.training.scoring import scoring_batch
from fieldmark.training.winograd import winograd

PART = 4  # so much of a batch tells whether there is time for the whole of it
LONGEST_S = 0.5


class Speeds(dict[Precision, Speed]):
    """Of one network, by precision: each is measured when it is first asked for, unless the job brings it along."""

    def __init__(self, network: Network, job: Job, threads: int) -> None:
        super().__init__(job.speeds)
        self._measure = partial(speed_of, network, job, threads)

    def __missing__(self, precision: Precision) -> Speed:
        self[precision] = self._measure(precision)
        return self[precision]


def speed_of(network: Network, job: Job, threads: int, precision: Precision = "fp32") -> Speed:
    """Of a copy of the network on the first of the job's training images; the network stays as it is."""
    tried = copy.deepcopy(network).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    pixels = torch.from_numpy(job.pixels[job.train[: scoring_batch(job)]])

    def learn(some: Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = tried(some)[1]
        logits.float().square().mean().backward()

    def answer(some: Tensor) -> None:
        with torch.inference_mode():
            tried(some)

    with deterministic(threads), winograd(tried):
        return Speed(learning=_per_second(learn, pixels), answering=_per_second(answer, pixels))


def _per_second(once: Callable[[Tensor], None], images: Tensor) -> float:
    """Of so many images as are used at once; of a few where those would take long."""
    few = images[: max(1, len(images) // PART)]
    _seconds(once, few)  # the first time is slower
    seconds = _seconds(once, few)
    if seconds * len(images) > LONGEST_S * len(few):
        return len(few) / seconds
    return len(images) / min(_seconds(once, images) for _ in range(2))


def _seconds(once: Callable[[Tensor], None], images: Tensor) -> float:
    began = time.perf_counter()
    once(images)
    return time.perf_counter() - began
