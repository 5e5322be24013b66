"""Network: encoder and a linear head trained together, from scratch or from weights."""

from __future__ import annotations

import msgspec
import torch

from fieldmark.data.fingerprint import fingerprint
from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.heads.linear import Linear
from fieldmark.inference.cores import available_cores
from fieldmark.training.job import Job, Learned
from fieldmark.training.loop import Fitted, fit
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.planning import all_grey, plan
from fieldmark.training.probe import learn_without_labels


def learn_end_to_end(job: Job) -> Learned:
    """Build, load weights where there are any, plan, and run the loop."""
    torch.manual_seed(job.recipe.seed)
    encoder = job.choice.row.build(job.choice.geometry.size_px)
    asked, name = job.recipe.weights, job.choice.row.weights
    # From scratch is a fair way to train a network, so "auto" takes weights that are at hand and asks no hub.
    unheard = asked == "auto" and weights_available(name) is None
    weights = load_weights(encoder, name, "none" if unheard else asked)
    if weights.source == "none":
        learn_without_labels(encoder, job)
    network = Network(encoder, Linear(encoder.embedding_size, len(job.data.classes)))
    steps, reasons = _plan(job, pretrained=weights.source != "none")
    fitted = _fit(network, job, steps)
    return Learned(
        network=network,
        weights=weights,
        settings=msgspec.to_builtins(fitted.plan),
        reasons=reasons,
        notes=fitted.notes,
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        score_name=fitted.score_name,
    )


def _plan(job: Job, *, pretrained: bool) -> tuple[Plan, tuple[str, ...]]:
    return plan(
        job.recipe,
        pretrained=pretrained,
        size_px=job.choice.geometry.size_px,
        images=len(job.train),
        class_names=job.data.classes,
        grey=all_grey(job.pixels),
        threads=available_cores(),
    )


def _fit(network: Network, job: Job, steps: Plan) -> Fitted:
    return fit(
        network,
        job.pixels[job.train],
        job.data.targets[job.train],
        job.pixels[job.validation],
        job.data.targets[job.validation],
        job.data.task,
        steps,
        run_folder=job.run_folder,
        fingerprint=fingerprint(job.data),
        deadline=job.deadline,
        resume=job.resume,
        progress=job.progress,
    )
