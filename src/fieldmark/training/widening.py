"""How wide the small residual network is: as wide as there is time for."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from fieldmark.encoders.building import encoder_row
from fieldmark.heads.linear import Linear
from fieldmark.ranks import rank, world_size
from fieldmark.training import together
from fieldmark.training.job import Job
from fieldmark.training.network import Network
from fieldmark.training.planning import MOST_PASSES, precision_for, threads_for
from fieldmark.training.speed import speed_of

WIDTHS = ("resnet-small", "resnet-small-64", "resnet-small-96")  # each about twice the work of the one before
# Images, repeated ones counted, that a network should learn from for its width to pay. See docs/benchmarks.md: on
# CIFAR-10 in the same time, 64 channels after 370,000 images come out level with 48 after 650,000.
ENOUGH = 400_000
KEPT = "model.txt"  # in the run folder: what was measured once is not measured again where a run goes on


def widened(job: Job) -> Job:
    """The job with the widest network that learns from ENOUGH images within its budget, as measured here.

    As it is where the model or its weights were asked for, where nothing bounds the time, and on a GPU, which is not
    measured.
    """
    ours = job.recipe.model == "auto" and job.recipe.weights in ("auto", "none") and job.choice.model == WIDTHS[0]
    if not ours or job.deadline is None or torch.cuda.is_available():
        return job
    kept = job.run_folder / KEPT
    if job.resume and kept.is_file():
        model, why = kept.read_text("utf-8"), "as this run began"
    else:
        model, why = _widest(job, job.deadline - time.monotonic())
    model = together.agreed(model, str)
    if rank() == 0:
        kept.write_text(model, "utf-8")
    if model == job.choice.model:
        return job
    reasons = (*job.choice.reasons, f"model = {model}, the wider {job.choice.model}: {why}")
    return replace(job, choice=replace(job.choice, model=model, row=encoder_row(model), reasons=reasons))


def _widest(job: Job, left_s: float) -> tuple[str, str]:
    model, why = WIDTHS[0], ""
    for name in WIDTHS:
        seen = _seen(job, name, left_s)
        if seen < ENOUGH:
            break
        model, why = name, f"there is time to learn from about {seen:,.0f} images, repeated ones counted"
    return model, why


def _seen(job: Job, name: str, left_s: float) -> float:
    """How many images the network learns from in the time, the scoring of each pass taken off."""
    encoder = encoder_row(name).build(job.choice.geometry.size_px)
    network = Network(encoder, Linear(encoder.embedding_size, len(job.data.classes)))
    threads, images = threads_for(job.recipe), len(job.train)
    speed = speed_of(network, job, threads, precision_for(job, network, threads)[0])
    pass_s = images / (speed.learning * world_size()) + len(job.validation) / speed.answering
    most = MOST_PASSES if job.recipe.epochs == "auto" else job.recipe.epochs
    return images * min(most, max(0.0, left_s) / pass_s)
