"""What training lowers: cross-entropy, for one label an image or for several."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fieldmark.data.dataset import Task


def loss(logits: Tensor, targets: Tensor, task: Task, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in nats, a scalar. logits float32 [N, C].

    single: targets int64 [N]; multi: targets 0/1 [N, C], binary cross-entropy averaged over images and labels.
    `smoothing` gives that share of the truth to the other answers (Szegedy et al. 2016).
    """
    if task == "single":
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    truth = targets.to(logits.dtype) * (1.0 - smoothing) + smoothing / 2.0
    return functional.binary_cross_entropy_with_logits(logits, truth)
