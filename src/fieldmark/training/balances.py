"""What is done where some classes have many images and others few: the table of balances.

All are for images with one label. `counts` are the training images of each class, float64 [C], none nought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.table import Table

Floats = NDArray[np.float64]
Prior = Literal["data", "even"]  # classes as common as in the data, or all alike
DEFERRED_UNTIL = 0.8  # of the schedule (the paper: 160 of 200 epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A row. `offset(counts)` [C] is added to the logits in training alone; `weight(counts, position)` [C] scales the
    loss of each image, with mean 1 over the images, at a position of the schedule in 0..1; with `even_draws` every
    class is drawn as often. `prior` is how common classes are in the world for which the trained network answers.
    `afterwards`: a head that is fitted, not trained, can have it too."""

    name: str
    summary: str
    reference: str
    prior: Prior
    offset: Callable[[Floats], Floats] | None = None
    weight: Callable[[Floats, float], Floats] | None = None
    even_draws: bool = False
    afterwards: bool = False


def log_prior(counts: Floats) -> Floats:
    """log of each class's share of the images, [C]."""
    return np.asarray(np.log(counts / counts.sum()))


def _inverse(counts: Floats, _position: float) -> Floats:
    return np.asarray(counts.sum() / (len(counts) * counts))


def _effective_number(counts: Floats, position: float) -> Floats:
    if position < DEFERRED_UNTIL:
        return np.ones_like(counts)
    # Of n images of a class the later ones add ever less that is new.
    weight = (1 - 0.9999) / (1 - 0.9999**counts)
    return np.asarray(weight * counts.sum() / (weight * counts).sum())


ROWS = (
    Balance(
        name="none",
        summary="every image counts alike",
        reference="plain empirical risk",
        prior="data",
        afterwards=True,
    ),
    Balance(
        name="logit-adjustment",
        summary="a margin for rare classes, as large as they are rare: consistent for balanced accuracy",
        reference="Menon et al. 2021, Long-tail learning via logit adjustment",
        prior="even",
        offset=log_prior,
        afterwards=True,
    ),
    Balance(
        name="class-weights",
        summary="an image counts in inverse proportion to its class",
        reference="King and Zeng 2001, Logistic regression in rare events data",
        prior="even",
        weight=_inverse,
    ),
    Balance(
        name="balanced-sampling",
        summary="every class is drawn as often, so images of rare ones are seen again and again",
        reference="Kang et al. 2020, Decoupling representation and classifier",
        prior="even",
        even_draws=True,
    ),
    Balance(
        name="deferred-reweighting",
        summary="all images alike first, weights by the effective number of images for the last fifth",
        reference="Cao et al. 2019, LDAM-DRW; Cui et al. 2019, effective number of samples",
        prior="even",
        weight=_effective_number,
    ),
)
BALANCES: Table[Balance] = Table.rows("balance", ROWS)
