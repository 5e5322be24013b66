"""How good the network is on the validation part: what chooses the best epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.data.dataset import Task
from fieldmark.training.losses import loss
from fieldmark.training.network import Network

SCORING_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """`value` is larger for better: the accuracy (single label) or the loss with its sign turned (multi-label)."""

    value: float
    loss: float
    seconds: float


def score_name(task: Task) -> str:
    return "accuracy" if task == "single" else "negative log-loss"


def score(
    network: Network, pixels: NDArray[np.uint8], targets: NDArray[Any], rows: NDArray[np.int64], task: Task
) -> Score:
    """Of the network in evaluation mode on those rows of uint8 pixels [N, S, S, 3] and of targets as in Dataset."""
    device = next(network.parameters()).device
    began = time.monotonic()
    network.eval()
    losses, hits = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(rows), SCORING_BATCH):
            some = rows[start : start + SCORING_BATCH]
            truth = torch.from_numpy(targets[some]).to(device)
            logits = network(torch.from_numpy(pixels[some]).to(device))[1]
            losses += float(loss(logits, truth, task)) * len(some)
            hits += int((logits.argmax(1) == truth).sum()) if task == "single" else 0
    network.train()
    mean = losses / len(rows)
    value = hits / len(rows) if task == "single" else -mean
    return Score(value=value, loss=mean, seconds=time.monotonic() - began)
