"""Network: encoder and a linear head trained together, from scratch or from weights."""

from __future__ import annotations

import msgspec
import torch

from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.heads.linear import Linear
from fieldmark.training.job import Job, Learned
from fieldmark.training.loop import fit
from fieldmark.training.network import Network
from fieldmark.training.planning import plan
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
    steps, reasons = plan(job, pretrained=weights.source != "none")
    fitted = fit(network, job, steps)
    network.mirror = steps.mirror  # only now: epochs are told apart as well by plain answers, in half the time
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
