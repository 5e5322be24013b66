"""a random forest: 200 trees that each saw a part

Breiman, Random Forests, Machine Learning 2001 (scikit-learn's). Trees are at most 16 deep with at most 1,024 leaves,
so that the graph stays small. Nothing is chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from fieldmark.heads.learnable import learnable
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.traversal import Trees

_TREES = 200
_DEPTH = 16
_LEAVES = 1024


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """200 trees, or as many as `settings` says."""
    trees = int(settings["trees"]) if settings is not None else _TREES
    part, place = learnable(data)
    fitted = _forest(trees, seed).fit(part.embedding, part.targets)
    module = place(Trees([each.tree_ for each in fitted.estimators_], part.task))
    return FittedHead(module=module, settings={"trees": trees})


def _forest(trees: int, seed: int) -> RandomForestClassifier:
    # Each tree has its own seed, so that the number of workers does not change the result.
    return RandomForestClassifier(
        trees, max_depth=_DEPTH, max_leaf_nodes=_LEAVES, random_state=seed, n_jobs=-1
    )


def _library(data: Labelled, settings: Settings, seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    shares = _forest(int(settings["trees"]), seed).fit(data.embedding, data.targets).predict_proba(asked)
    return np.asarray(shares) if data.task == "single" else np.stack([each[:, 1] - 0.5 for each in shares], axis=1)


ROW = HeadRow(
    reference="Breiman, Random Forests, Machine Learning 2001",
    fit=fit,
    one_image_class="may be lost",
    discrete=True,
    library=_library,
)
