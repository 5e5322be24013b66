"""How good the network is on the validation part: what chooses the best epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from fieldmark.training.job import Job
from fieldmark.training.losses import LOSSES, softened
from fieldmark.training.network import Network
from fieldmark.training.pixels import in_batches
from fieldmark.training.plan import ScoreName

SCORING_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """`value` is larger for better; `loss` the plain (binary) cross-entropy in nats."""

    value: float
    loss: float
    seconds: float


def score(network: Network, job: Job, name: ScoreName, at_once: int = SCORING_BATCH) -> Score:
    """Of the network, in evaluation mode, on the job's validation rows, so many at once."""
    device = next(network.parameters()).device
    began = time.monotonic()
    network.eval()
    formula = LOSSES["cross-entropy"].of(job.data.task)
    losses, answers = 0.0, []
    with torch.inference_mode():
        for some, pixels in in_batches(job.pixels, job.validation, at_once):
            logits = network(torch.from_numpy(pixels).to(device))[1]
            truth = torch.from_numpy(job.data.targets[some]).to(device)
            losses += float(formula(logits, softened(truth, logits.shape[1], job.data.task, 0.0)).sum())
            answers.append(logits.argmax(1).cpu().numpy())
    network.train()
    mean = losses / len(job.validation)
    value = -mean
    if name != "negative log-loss":
        truths = job.data.targets[job.validation]
        hits = np.concatenate(answers) == truths
        classes = np.unique(truths) if name == "balanced accuracy" else ()
        value = float(np.mean([hits[truths == each].mean() for each in classes]) if len(classes) else hits.mean())
    return Score(value=value, loss=mean, seconds=time.monotonic() - began)
