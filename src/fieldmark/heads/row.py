"""The table of heads. A head is fitted on embeddings by whatever is best, and becomes a module of tensors:
embedding float32 [N, D] -> logits float32 [N, C], so that it exports like everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.dataset import Task
from fieldmark.table import Table

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What a head is fitted on. `embedding` float32 [N, D]; `targets` as in Dataset (int64 [N] or int8 [N, C]);
    `group` int64 [N]: rows of one group stay together where the head chooses by inner folds."""

    embedding: NDArray[np.float32]
    targets: NDArray[Any]
    group: NDArray[np.int64]
    classes: int
    task: Task


Settings = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHead:
    """`module` maps embedding to logits; `choices` say what was chosen, between what and by which evidence
    ("C = 0.3 of 0.01 .. 10, by 5 inner folds: 0.874"); `settings` the chosen values, to refit without choosing."""

    module: nn.Module
    choices: tuple[str, ...] = ()
    settings: Settings | None = None


class Fit(Protocol):
    def __call__(self, data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead: ...


# The source library's own answer: fitted on the same data with the chosen settings and seed, asked about an embedding
# [M, D] -> scores [M, C] that rank the classes as the logits should (multi: whose signs are the labels).
Library = Callable[[Labelled, Settings, int, NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """`one_image_class`: what becomes of a class with a single image ("learns": it can be predicted).
    `leaves_out_unknown`: an image may be labelled in part; what nobody looked for has no say in the fit."""

    reference: str
    fit: Fit
    one_image_class: Literal["learns", "may be lost"]
    leaves_out_unknown: bool = False
    discrete: bool = False  # logits move in steps (trees, neighbours), so a probability gap may be large
    library: Library | None = None  # what the contract test holds the head against


HEADS: Table[HeadRow] = Table.folder("head", "fieldmark.heads")
