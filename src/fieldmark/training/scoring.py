"""How good the network is on the validation part: what chooses the best epoch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.bundle.schema import Decision
from fieldmark.encoders.row import SMALL_PX
from fieldmark.inference.deciding import probabilities
from fieldmark.measures.outcomes import outcomes
from fieldmark.measures.scores import macro_average_precision
from fieldmark.measures.weighted import once
from fieldmark.training.job import Job
from fieldmark.training.losses import LOSSES, softened
from fieldmark.training.network import Network
from fieldmark.training.pixels import in_batches
from fieldmark.training.plan import ScoreName

# Images at once: as many as keep the processor's cores busy, and no more, since the maps of 256 photos fit no cache
# (measured with EfficientNet-Lite0 at 224 px: 28 to 56 images a second by 256, 70 by 32).
SMALL_BATCH, LARGE_BATCH = 256, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """`value` is larger for better; `loss` the plain (binary) cross-entropy in nats."""

    value: float
    loss: float
    seconds: float


def scoring_batch(job: Job) -> int:
    """How many of the job's images go through the network at once when it is scored."""
    return SMALL_BATCH if job.choice.geometry.size_px <= SMALL_PX else LARGE_BATCH


def score(network: Network, job: Job, name: ScoreName, at_most: int | None = None) -> Score:
    """Of the network, in evaluation mode, on the job's validation rows, `at_most` so many at once."""
    at_once = min(scoring_batch(job), at_most or len(job.validation))
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
            answers.append(logits.float().cpu().numpy())
    network.train()
    mean = losses / len(job.validation)
    value = _value(name, np.concatenate(answers), job.data.targets[job.validation], mean)
    return Score(value=value, loss=mean, seconds=time.monotonic() - began)


def _value(name: ScoreName, logits: NDArray[np.float32], truths: NDArray[Any], loss: float) -> float:
    if name == "negative log-loss" or not math.isfinite(loss):
        return -loss
    if name == "mean average precision":
        seen = outcomes(truths, probabilities(logits, Decision(), "multi"), task="multi")
        return float(np.nan_to_num(macro_average_precision(once(seen))[0]))  # nought where no image has any label
    hits = logits.argmax(axis=1) == truths
    classes = np.unique(truths) if name == "balanced accuracy" else ()
    return float(np.mean([hits[truths == each].mean() for each in classes]) if len(classes) else hits.mean())
