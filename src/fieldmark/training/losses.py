"""What training lowers: the table of losses, each for one label an image, for several, or for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fieldmark.data.dataset import UNKNOWN, Task
from fieldmark.errors import UsageError
from fieldmark.table import Table

# Logits and truth, float32 [N, C] each, to the loss of each row, float32 [N], in nats. Truth is 0/1 or softened; NaN
# where nobody looked (multi), which a loss leaves out, and which stays NaN in whatever images are mixed with.
Formula = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A row: the formula for single-label and for multi-label truth; None where the paper has none."""

    name: str
    summary: str
    reference: str
    single: Formula | None = None
    multi: Formula | None = None

    def of(self, task: Task) -> Formula:
        """UsageError where this loss is not for the task."""
        formula = self.single if task == "single" else self.multi
        if formula is None:
            fitting = ", ".join(row.name for row in ROWS if (row.single if task == "single" else row.multi))
            raise UsageError(
                f"{self.name} is not for images with {'one label' if task == 'single' else 'several labels'}",
                where=f"loss = {self.name}",
                do=f"choose one of: {fitting}",
            )
        return formula


def softened(targets: Tensor, classes: int, task: Task, smoothing: float) -> Tensor:
    """int64 [N], or 0, 1 or UNKNOWN [N, C] -> float32 [N, C], of which `smoothing` is spread over the other answers
    (Szegedy et al. 2016); NaN where unknown."""
    if task == "single":
        return functional.one_hot(targets, classes).to(torch.float32) * (1.0 - smoothing) + smoothing / classes
    truth = targets.to(torch.float32) * (1.0 - smoothing) + smoothing / 2.0
    return truth.masked_fill(targets == UNKNOWN, torch.nan)


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return -(truth * logits.log_softmax(1)).sum(1)


def _over_labels(formula: Formula) -> Formula:
    """A formula of single labels, [N, C], as one of rows: the mean over labels, to which the unknown ones add 0. So
    each entry that is known counts alike, however many of its image's others are."""

    def of_rows(logits: Tensor, truth: Tensor) -> Tensor:
        return formula(logits, truth.nan_to_num(0.0)).masked_fill(truth.isnan(), 0.0).mean(1)

    return of_rows


def _binary_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    likely = logits.log_softmax(1)
    return -(truth * (1.0 - likely.exp()).square() * likely).sum(1)


def _binary_focal(logits: Tensor, truth: Tensor) -> Tensor:
    missed = (truth - logits.sigmoid()).abs().square()
    return missed * functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def _generalised_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    power = 0.7  # the paper's q: 0 is cross-entropy, 1 the mean absolute error
    return (truth * (1.0 - logits.softmax(1).clamp_min(1e-7) ** power) / power).sum(1)


def _symmetric_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    # The paper's weights for CIFAR-10, and its log 0 = -4, which is what a truth below e**-4 is held to.
    reverse = -(logits.softmax(1) * truth.clamp_min(1e-12).log().clamp_min(-4.0)).sum(1)
    return 0.1 * _cross_entropy(logits, truth) + reverse


def _asymmetric(logits: Tensor, truth: Tensor) -> Tensor:
    # The paper's gamma- = 4, gamma+ = 0, margin 0.05: an easy negative counts for next to nothing.
    likely = logits.sigmoid()
    shifted = (likely - 0.05).clamp_min(0.0)
    present = truth * functional.logsigmoid(logits)
    absent = (1.0 - truth) * shifted**4 * (1.0 - shifted).clamp_min(1e-7).log()
    return -(present + absent)


ROWS = (
    Loss(
        name="cross-entropy",
        summary="the likelihood itself; the default",
        reference="Good 1952, Rational decisions",
        single=_cross_entropy,
        multi=_over_labels(_binary_cross_entropy),
    ),
    Loss(
        name="focal",
        summary="images that are answered well count for less",
        reference="Lin et al. 2017, Focal loss for dense object detection; gamma 2",
        single=_focal,
        multi=_over_labels(_binary_focal),
    ),
    Loss(
        name="generalised-cross-entropy",
        summary="wrong labels spread evenly pull less; worse than cross-entropy where classes are confused in pairs",
        reference="Zhang and Sabuncu 2018, Generalized cross entropy loss; q 0.7",
        single=_generalised_cross_entropy,
    ),
    Loss(
        name="symmetric-cross-entropy",
        summary="cross-entropy with its mirror image, which wrong labels cannot pull far",
        reference="Wang et al. 2019, Symmetric cross entropy for robust learning with noisy labels",
        single=_symmetric_cross_entropy,
    ),
    Loss(
        name="asymmetric",
        summary="of many labels most are absent, and the plainly absent ones are let go",
        reference="Ridnik et al. 2021, Asymmetric loss for multi-label classification",
        multi=_over_labels(_asymmetric),
    ),
)
LOSSES: Table[Loss] = Table.rows("loss", ROWS)
