"""a decision tree: few questions, read by a person

Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984 (scikit-learn's). The depth is chosen by
log-loss on inner folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from fieldmark.heads.choosing import LOG_LOSS, Path, fit_chosen
from fieldmark.heads.learnable import learnable
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.traversal import Trees

_DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16)


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """The depth is chosen, or taken from `settings`."""
    return fit_chosen("depth", _DEPTHS, data, _path_of(seed), LOG_LOSS, seed=seed, settings=settings)


def _path_of(seed: int) -> Path[int]:
    def path(data: Labelled, depths: Sequence[int]) -> Iterator[nn.Module]:
        part, place = learnable(data)
        for depth in depths:
            fitted = _tree(depth, seed).fit(part.embedding, part.targets)
            yield place(Trees([fitted.tree_], part.task, doubt=1.0))

    return path


def _tree(depth: int, seed: int) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=depth, random_state=seed)


def _library(data: Labelled, settings: Settings, seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    shares = _tree(int(settings["depth"]), seed).fit(data.embedding, data.targets).predict_proba(asked)
    return np.asarray(shares) if data.task == "single" else np.stack([each[:, 1] - 0.5 for each in shares], axis=1)


ROW = HeadRow(
    reference="Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984",
    fit=fit,
    one_image_class="may be lost",
    discrete=True,
    library=_library,
)
