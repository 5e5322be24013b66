"""What is handed to a way of learning, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.schema import Parent, Weights
from fieldmark.data.dataset import Dataset
from fieldmark.measures.label_noise import LabelNoise, Suspects
from fieldmark.progress import Progress
from fieldmark.report.report import Epoch
from fieldmark.training.balances import Prior
from fieldmark.training.choosing import Choice
from fieldmark.training.network import Network
from fieldmark.training.pixels import PixelSource
from fieldmark.training.plan import Plan
from fieldmark.training.precision import Precision, Speed
from fieldmark.training.recipe import Recipe

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Pixels uint8 [N, S, S, 3] of the N rows of `data`, and which rows are for what.

    With folds, `fold` int64 [len(train)] gives each row of `train` its fold (-1: always trained on, because its class
    has nothing else to learn from) and `validation` is empty; otherwise `fold` is None. `deadline` is in seconds of
    time.monotonic; learning must be over by then. `noise`, `mixed` float64 [C, C] (the probability of the label, row,
    given the truth, column) and `suspects` (rows of `data`) come where labels were doubted; `trust` float32
    [len(train)] is how much each training image then counts, None where all count alike.
    """

    data: Dataset
    pixels: PixelSource
    train: Rows
    validation: Rows
    test: Rows
    fold: Rows | None
    split: str  # in words
    choice: Choice
    recipe: Recipe
    run_folder: Path
    resume: bool
    deadline: float | None
    progress: Progress
    noise: LabelNoise | None = None
    mixed: NDArray[np.float64] | None = None
    suspects: Suspects | None = None
    trust: NDArray[np.float32] | None = None
    speeds: Mapping[Precision, Speed] = field(default_factory=dict)  # of the chosen network, where measured already

    @property
    def judged(self) -> Rows:
        """Rows whose answers, by a model that did not learn from them, calibrate and show parity."""
        return self.validation if self.fold is None else self.train[self.fold >= 0]

    @property
    def counts(self) -> NDArray[np.float64]:
        """Training images of each class, float64 [C]."""
        return self.data.rows(self.train).counts.astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """`settings` are what the recipe's "auto" became; `out_of_fold` float32
    [len(train), C] comes with folds; rows of fold -1 in it are zero. `prior`: the network answers for a world whose
    classes are as common as in the data, or all alike."""

    network: Network
    weights: Weights
    settings: Mapping[str, Any]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    score_name: str = ""
    prior: Prior = "data"
    out_of_fold: NDArray[np.float32] | None = None
    parents: tuple[Parent, ...] = ()  # the teacher, if there was one
    plan: Plan | None = None  # of the training loop, as it was run
