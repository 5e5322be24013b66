"""Network: encoder and a linear head trained together, from scratch or from weights."""

from __future__ import annotations

import msgspec
import torch

from fieldmark.bundle.schema import Weights
from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.heads.linear import Linear
from fieldmark.training.job import Job, Learned
from fieldmark.training.loop import fit
from fieldmark.training.network import Network
from fieldmark.training.planning import plan

LEARN_FROM = 5_000  # images from which an encoder learns what it learns without labels


def learn_end_to_end(job: Job) -> Learned:
    """Build, load weights where there are any, plan, and run the loop."""
    torch.manual_seed(job.recipe.seed)
    encoder = job.choice.row.build(job.choice.geometry.size_px)
    asked = job.recipe.weights
    name = job.choice.row.weights
    wanted = asked not in ("auto", "none") or (asked == "auto" and weights_available(name) is not None)
    weights = load_weights(encoder, name, asked) if wanted else Weights(source="none")
    if not wanted:
        encoder.learn(job.pixels[job.train[:LEARN_FROM]], job.recipe.seed)
    network = Network(encoder, Linear(encoder.embedding_size, len(job.data.classes)))
    steps, reasons = plan(job, pretrained=wanted)
    fitted = fit(network, job, steps)
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
