"""Which network for small images a budget can afford: the largest that there is time to teach."""

from __future__ import annotations

import time
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
from fieldmark.training.speed import speed_of

# Images, repeated ones counted, that a network larger than the smallest should learn from. On CIFAR-10 each is ahead
# of what else the same time allows after about 290,000 (docs/benchmarks.md); far fewer teach none of them much.
ENOUGH = 250_000
KEPT = "model.txt"  # in the run folder: what was measured once is not measured again where a run goes on


def afforded(job: Job) -> Job:
    """The job with the largest network that learns from ENOUGH images within its budget, as measured here.

    As it is where the model or its weights were asked for, where nothing bounds the time, and on a GPU, which is not
    measured.
    """
    ours = job.recipe.model == "auto" and job.recipe.weights in ("auto", "none") and job.choice.model == BY_WORK[0]
    if not ours or job.deadline is None or torch.cuda.is_available():
        return job
    kept = job.run_folder / KEPT
    if job.resume and kept.is_file():
        model, why = kept.read_text("utf-8"), "as this run began"
    else:
        model, why = _largest(job, job.deadline - time.monotonic())
    model = together.agreed(model, str)
    if rank() == 0:
        kept.write_text(model, "utf-8")
    if model == job.choice.model:
        return job
    reasons = (*job.choice.reasons, f"model = {model}, not {job.choice.model}: {why}")
    return replace(job, choice=replace(job.choice, model=model, row=encoder_row(model), reasons=reasons))


def _largest(job: Job, left_s: float) -> tuple[str, str]:
    (model, *larger), why = BY_WORK, ""
    for name in larger:
        seen = _seen(job, name, left_s)
        if seen < ENOUGH:
            break
        model, why = name, f"there is time to learn from about {seen:,.0f} images, repeated ones counted"
    return model, why


def _seen(job: Job, name: str, left_s: float) -> float:
    """How many images the network learns from in the time, the scoring of each pass taken off."""
    images = len(job.train)
    most = MOST_PASSES if job.recipe.epochs == "auto" else job.recipe.epochs
    if images * most < ENOUGH:  # however fast it is
        return images * most
    encoder, threads = encoder_row(name).build(job.choice.geometry.size_px), threads_for(job.recipe)
    network = Network(encoder, Linear(encoder.embedding_size, len(job.data.classes)))
    speed = speed_of(network, job, threads, precision_for(job, network, threads)[0])
    pass_s = images / (speed.learning * world_size()) + len(job.validation) / speed.answering
    return images * min(most, max(0.0, left_s) / pass_s)
