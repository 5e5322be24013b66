"""a linear layer: ridge regression when probed, trained together with the encoder in a network

Hoerl & Kennard 1970, on targets of 0 and 1; the ridge is chosen by squared hinge loss on inner folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from torch import nn

from fieldmark.heads.choosing import SQUARED_HINGE, fit_chosen
from fieldmark.heads.learnable import learnable, one_hot
from fieldmark.heads.row import FittedHead, HeadRow, Labelled, Settings
from fieldmark.heads.scaling import Centred, affine

_RIDGES = (10_000.0, 3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)


class Linear(nn.Linear):
    """The head of a network: logits float32 [N, classes], all 0 until it is trained."""

    def __init__(self, embedding_size: int, classes: int) -> None:
        super().__init__(embedding_size, classes)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def fit(data: Labelled, *, seed: int, settings: Settings | None = None) -> FittedHead:
    """The ridge is chosen, or taken from `settings`."""
    return fit_chosen("ridge", _RIDGES, data, _path, SQUARED_HINGE, seed=seed, settings=settings)


def _path(data: Labelled, ridges: Sequence[float]) -> Iterator[nn.Module]:
    part, place = learnable(data)
    scaling = Centred.of(part.embedding)
    x, truth = scaling.apply_to(part.embedding), one_hot(part)
    share = truth.mean(axis=0, dtype=np.float64)
    gram, right = (x.T @ x).astype(np.float64), (x.T @ (truth - share)).astype(np.float64)
    for ridge in ridges:
        system = gram + ridge * np.eye(len(gram))
        weights = cho_solve(cho_factor(system, lower=True), right)
        # Shares of 0 and 1 as margins of -1 and +1, so that 0 parts yes from no.
        yield place(nn.Sequential(scaling, affine(2 * weights, 2 * share - 1)))


def _library(data: Labelled, settings: Settings, _seed: int, asked: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.linear_model import Ridge  # two seconds to import; training does without

    scaling = Centred.of(data.embedding)
    model = Ridge(alpha=float(settings["ridge"])).fit(scaling.apply_to(data.embedding), 2 * one_hot(data) - 1)
    return np.asarray(model.predict(scaling.apply_to(asked)))


ROW = HeadRow(
    reference="Hoerl & Kennard, Ridge Regression, Technometrics 1970",
    fit=fit,
    one_image_class="may be lost",
    library=_library,
)
