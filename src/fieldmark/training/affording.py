"""Which network for small images a budget can afford: the largest that there is time to teach."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from fieldmark.encoders.building import encoder_row
from fieldmark.heads.linear import Linear
from fieldmark.ranks import rank, world_size
from fieldmark.training import together
from fieldmark.training.choosing import BY_WORK
from fieldmark.training.job import Job
from fieldmark.training.network import Network
from fieldmark.training.planning import MOST_PASSES, precision_for, threads_for
from fieldmark.training.precision import Precision, Speed
from fieldmark.training.speed import Speeds

# Images, repeated ones counted, from which on a network is ahead of what the smaller ones reach in the same time on
# CIFAR-10 (docs/benchmarks.md): measured at 150,000 of the first, 290,000 of the second, and at no fewer.
ENOUGH = {"airbench-small": 150_000, "airbench": 250_000}
KEPT = "model.txt"  # in the run folder: what was measured once is not measured again where a run goes on


def afforded(job: Job) -> Job:
    """The job with the largest network that learns from ENOUGH images for it within its budget, as measured here.

    As it is where the model or its weights were asked for, where nothing bounds the time, and on a GPU, which is not
    measured.
    """
    free = job.recipe.model == "auto" and job.recipe.weights in ("auto", "none") and job.choice.model == BY_WORK[0]
    if not free or job.deadline is None or torch.cuda.is_available():
        return job
    kept = job.run_folder / KEPT
    if job.resume and kept.is_file():
        ours, why, speeds = kept.read_text("utf-8"), "as this run began", job.speeds
    else:
        ours, why, speeds = _largest(job, job.deadline - time.monotonic())
    model = together.agreed(ours, str)
    if rank() == 0:
        kept.write_text(model, "utf-8")
    if model == job.choice.model:
        return job
    reasons = (*job.choice.reasons, f"model = {model}, not {job.choice.model}: {why}")
    choice = replace(job.choice, model=model, row=encoder_row(model), reasons=reasons)
    return replace(job, choice=choice, speeds=speeds if model == ours else job.speeds)


def _largest(job: Job, left_s: float) -> tuple[str, str, Mapping[Precision, Speed]]:
    """Its name, why, and the speeds that were measured of it."""
    (model, *larger), why, speeds = BY_WORK, "", job.speeds
    images = len(job.train)
    most = images * (MOST_PASSES if job.recipe.epochs == "auto" else job.recipe.epochs)
    for name in larger:
        if most < ENOUGH[name]:  # fewer would be seen, however fast it is
            break
        its = _speeds(job, name)
        speed = its[precision_for(job, its)[0]]
        pass_s = images / (speed.learning * world_size()) + len(job.validation) / speed.answering
        seen = min(most, images * max(0.0, left_s) / pass_s)  # the scoring of each pass taken off
        if seen < ENOUGH[name]:
            break
        model, speeds = name, its
        why = f"there is time to learn from about {seen:,.0f} images, repeated ones counted"
    return model, why, speeds


def _speeds(job: Job, name: str) -> Speeds:
    encoder = encoder_row(name).build(job.choice.geometry.size_px)
    network = Network(encoder, Linear(encoder.embedding_size, len(job.data.classes)))
    return Speeds(network, job, threads_for(job.recipe))
